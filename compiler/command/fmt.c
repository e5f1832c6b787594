/* attnc fmt: the canonical layout of sources, on stdout or in place. A source with errors stays as it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/command/command.h"
#include "lang/layout.h"

/* All of stdin, at most one byte more than a source may have. */
static bool read_stdin(Compilation *c, uint32_t *source)
{
    Text text = {.c = c};
    char bytes[1 << 16];
    for (size_t n; text.n <= SOURCE_MAX && (n = fread(bytes, 1, sizeof bytes, stdin));)
        text_add_bytes(&text, bytes, n);
    *source = compilation_add_source(c, "<stdin>", text.n ? text.at : "", text.n);
    return !ferror(stdin);
}

static bool read_source(Compilation *c, const char *file, uint32_t *source)
{
    if (!strcmp(file, "-"))
        return read_stdin(c, source) || complain("cannot read stdin: %s", strerror(errno)) < 0;
    PipelineOptions options = {.path = file};
    Pipeline p;
    pipeline_init(&p, c, &options);
    if (!pipeline_read(&p)) return complain("%s", p.error) < 0;
    *source = p.source;
    return true;
}

int command_fmt(Compilation *c, const Options *o, const char *file)
{
    uint32_t number = 0;
    Text text = {.c = c};
    text_add(&text, "%s", "");
    if (!read_source(c, file, &number)) return EXIT_INPUT;
    if (!layout_source(c, number, &text)) return fputs(diag_render(c, o->format), stderr), EXIT_INPUT;
    const Source *source = &c->sources.at[number];
    bool same = text.n == source->length && !memcmp(text.at, source->text, text.n);
    if (o->check) return same ? EXIT_FINE : (puts(file), EXIT_INPUT);
    if (o->in_place && same) return EXIT_FINE;
    const char *wrong = write_text(c, o->in_place ? file : NULL, &text);
    return wrong ? complain("%s", wrong) : EXIT_FINE;
}
