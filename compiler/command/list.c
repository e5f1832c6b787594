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

/* ---- names alone ---- */

typedef struct Names {
    Compilation *c;
    VEC(const char *) list;
} Names;

/* Of several patterns, each once. */
static void add_name(Names *n, const char *name)
{
    for (uint32_t k = 0; k < n->list.n; k++)
        if (!strcmp(n->list.at[k], name)) return;
    PUSH(n->c, &n->list, name);
}

static void names_of_pattern(Names *n, const char *what, const Pattern *p)
{
    if (!strcmp(what, "patterns")) add_name(n, p->name);
    for (uint32_t k = 0; k < p->params.n && !strcmp(what, "parameters"); k++)
        add_name(n, p->params.at[k]->name);
    for (uint32_t k = 0; k < p->indices.n && !strcmp(what, "indices"); k++)
        add_name(n, p->indices.at[k]->name);
    for (uint32_t k = 0; k < p->tensors.n; k++) {
        const Tensor *t = p->tensors.at[k];
        if (!strcmp(what, t->role == ROLE_OUTPUT ? "outputs" : "inputs")) add_name(n, t->name);
    }
}

static void names_of_desc(Names *n, const char *what, const AttnPatternDesc *d)
{
    if (!strcmp(what, "patterns")) add_name(n, d->name);
    for (int k = 0; k < d->n_params && !strcmp(what, "parameters"); k++) add_name(n, d->params[k].name);
    for (int k = 0; k < d->n_indices && !strcmp(what, "indices"); k++) add_name(n, d->indices[k]);
    for (int k = 0; k < d->n_tensors; k++)
        if (!strcmp(what, d->tensors[k].role == ATTN_ROLE_OUTPUT ? "outputs" : "inputs"))
            add_name(n, d->tensors[k].name);
}

static void print_names(const Names *n)
{
    for (uint32_t k = 0; k < n->list.n; k++) puts(n->list.at[k]);
}

static int list_source(Compilation *c, const Options *o, const char *file)
{
    PipelineOptions options = pipeline_options(o, file);
    Pipeline p;
    pipeline_init(&p, c, &options);
    if (!pipeline_check(&p)) return pipeline_report(&p, o);
    Names names = {.c = c};
    for (uint32_t k = 0; k < p.program->patterns.n; k++) {
        const Pattern *pattern = p.program->patterns.at[k];
        if (o->names) {
            names_of_pattern(&names, o->names, pattern);
            continue;
        }
        Text text = {.c = c};
        signature_print(&text, pattern);
        if (k) puts("");
        print_pattern(pattern->doc, text.at);
    }
    print_names(&names);
    return pipeline_report(&p, o);
}

static void print_variants(const AttnPatternDesc *d)
{
    if (d->device == kDLCUDA) puts("    # for CUDA devices");
    if (d->n_variants > 1) printf("    # %d variants\n", d->n_variants);
}

static int list_library(Compilation *c, const Options *o, const char *file)
{
    AttnLibrary *library;
    AttnError error;
    if (attn_open(file, &library, &error)) return complain("%s", error.text);
    bool found = false;
    Names names = {.c = c};
    for (int k = 0; k < attn_pattern_count(library); k++) {
        const AttnPatternDesc *d = attn_pattern_at(library, k);
        if (o->pattern && strcmp(d->name, o->pattern)) continue;
        if (o->names) {
            names_of_desc(&names, o->names, d);
        } else {
            if (found) puts("");
            print_pattern(d->doc, d->signature);
            print_variants(d);
        }
        found = true;
    }
    print_names(&names);
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
    return object ? list_library(c, o, file) : list_source(c, o, file);
}
