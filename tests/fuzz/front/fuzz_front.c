/* One input for the front end, as libFuzzer calls it: parser, checker, layout and messages must neither crash
 * nor hang nor run out of bounds. Diagnostics lie inside the text and render; without errors, the printed
 * tree parses to the same tree, and so does the canonical layout, which a second time does not change. `use`
 * finds what lies in patterns/std alone. */
#include "compiler/graph.h"
#include "lang/ast.h"
#include "lang/lang.h"
#include "lang/layout.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STD_BYTES = 1 << 16 };

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "fuzz_front: %s\n%s\n", what, text);
    abort();
}

static void check_json(Compilation *c)
{
    for (const char *line = diag_render(c, DIAG_JSON); *line; line += strcspn(line, "\n") + 1) {
        json_t *json = json_loadb(line, strcspn(line, "\n"), 0, NULL);
        if (!json) fail("this is no JSON", line);
        json_decref(json);
    }
}

static void check_diagnostics(Compilation *c, uint32_t source, size_t size)
{
    for (uint32_t i = 0; i < c->diags.n; i++) {
        Span span = c->diags.at[i]->span;
        if (span.from > span.to || (span.source == source && span.to > size))
            fail("diagnostic outside of the text", c->diags.at[i]->text);
    }
    diag_render(c, DIAG_CARETS);
    diag_render(c, DIAG_LINES);
    check_json(c);
}

/* layout_source itself looks at tokens and comments. */
static void check_layout(Compilation *c, uint32_t source, const char *tree)
{
    Text once = {.c = c}, twice = {.c = c}, printed = {.c = c};
    if (!layout_source(c, source, &once)) fail("no layout", diag_render(c, DIAG_LINES));
    uint32_t laid_out = compilation_add_source(c, "layout", once.n ? once.at : "", once.n);
    if (!layout_source(c, laid_out, &twice)) fail("the layout has no layout", once.at);
    if (once.n != twice.n || (once.n && memcmp(once.at, twice.at, once.n)))
        fail("a second time changes the layout", once.at);
    ast_print(&printed, ast_parse(c, laid_out));
    if (strcmp(tree, printed.at)) fail("the layout is another tree", once.at);
}

/* False: it has errors. */
static bool parse(const char *text, size_t size)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) fail("fatal", c.fatal);
    uint32_t source = compilation_add_source(&c, "input", text, size);
    AstFile *file = ast_parse(&c, source);
    if (c.diags.n > 21) fail("too many diagnostics", diag_render(&c, DIAG_LINES));
    check_diagnostics(&c, source, size);
    Text tokens = {.c = &c}, once = {.c = &c}, twice = {.c = &c};
    ast_print(&once, file); /* also what is left after errors */
    bool good = !c.errors;
    if (good) {
        ast_print(&twice, ast_parse(&c, compilation_add_source(&c, "printed", once.at, once.n)));
        if (c.errors) fail("a printed tree does not parse", diag_render(&c, DIAG_LINES));
        if (strcmp(once.at, twice.at)) fail("a printed tree parses to another one", once.at);
        check_layout(&c, source, once.at);
    }
    ast_print_tokens(&tokens, &c, source);
    compilation_free(&c);
    return good;
}

static char *read_std(void *context, const char *path, size_t *length)
{
    (void)context;
    char name[1000];
    if (strncmp(path, "std/", 4) || strchr(path + 4, '/') ||
        snprintf(name, sizeof name, "%s/%s", ATTN_PATTERN_DIR_SOURCE, path) >= (int)sizeof name)
        return NULL;
    FILE *file = fopen(name, "rb");
    char *text = file ? calloc(1, STD_BYTES) : NULL;
    if (text) *length = fread(text, 1, STD_BYTES - 1, file);
    if (file) fclose(file);
    return text;
}

static void check(const char *text, size_t size)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) fail("fatal", c.fatal);
    LangOptions options = {.warnings = true, .read = read_std};
    uint32_t source = compilation_add_source(&c, "input", text, size);
    Program *program = lang_check(&c, source, &options);
    check_diagnostics(&c, source, size);
    if (!program != !!c.errors) fail("errors and a program, or neither", diag_render(&c, DIAG_LINES));
    for (uint32_t k = 0; program && k < program->patterns.n; k++) {
        const char *wrong = graph_verify(&c, graph_build(&c, program->patterns.at[k]));
        if (wrong) fail("the graph is wrong", wrong);
    }
    compilation_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size ? (const char *)data : "";
    if (parse(text, size)) check(text, size);
    return 0;
}
