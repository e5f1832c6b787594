/* attnc list: the patterns of a source or of a shared object. */
#include <stdio.h>
#include <string.h>

#include "compiler/command/command.h"
#include "compiler/signature.h"
#include "runtime/attn.h"

static void print_pattern(const char *doc, const char *signature)
{
    for (const char *line = doc; line && *line;) {
        size_t n = strcspn(line, "\n");
        printf(n ? "# %.*s\n" : "#\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
    printf("%s\n", signature);
}

static int list_source(Compilation *c, const Options *o, const char *file)
{
    PipelineOptions options = pipeline_options(o, file);
    Pipeline p;
    pipeline_init(&p, c, &options);
    if (!pipeline_check(&p)) return pipeline_report(&p, o);
    for (uint32_t k = 0; k < p.program->patterns.n; k++) {
        const Pattern *pattern = p.program->patterns.at[k];
        Text text = {.c = c};
        signature_print(&text, pattern);
        if (k) puts("");
        print_pattern(pattern->doc, text.at);
    }
    return pipeline_report(&p, o);
}

static void print_variants(const AttnPatternDesc *d)
{
    if (d->device == kDLCUDA) puts("    # for CUDA devices");
    if (d->n_variants > 1) printf("    # %d variants\n", d->n_variants);
}

static int list_library(const Options *o, const char *file)
{
    AttnLibrary *library;
    AttnError error;
    if (attn_open(file, &library, &error)) return complain("%s", error.text);
    bool found = false;
    for (int k = 0; k < attn_pattern_count(library); k++) {
        const AttnPatternDesc *d = attn_pattern_at(library, k);
        if (o->pattern && strcmp(d->name, o->pattern)) continue;
        if (found) puts("");
        print_pattern(d->doc, d->signature);
        print_variants(d);
        found = true;
    }
    attn_close(library);
    return found ? EXIT_FINE : complain("%s has no pattern '%s'", file, o->pattern ? o->pattern : "");
}

/* By its first bytes, not by its name. */
static bool is_elf(const char *file)
{
    char magic[4] = {0};
    FILE *f = fopen(file, "rbe");
    if (!f) return false;
    bool elf = fread(magic, 1, 4, f) == 4 && !memcmp(magic, "\177ELF", 4);
    fclose(f);
    return elf;
}

int command_list(Compilation *c, const Options *o, const char *file)
{
    size_t n = strlen(file);
    bool object = (n > 3 && !strcmp(file + n - 3, ".so")) || is_elf(file);
    return object ? list_library(o, file) : list_source(c, o, file);
}
