/* The driver of the checker: one Program from a parsed file, every pattern elaborated by itself.
 *
 * Requires: a source; c->escape armed. Ensures: without errors, a Program whose patterns are self-contained
 * (program.h); NULL if anything was reported. */
#include "check.h"

#include <string.h>

static void drop_unread(Checker *k);

static void begin_pattern(Checker *k, const AstPattern *ast)
{
    Compilation *c = k->c;
    c->next_index = c->next_tensor = 0;
    memset(k->info, 0, sizeof k->info);
    k->decided.n = k->instances.n = k->entities.n = k->tensors.n = k->aux.n = k->maps.n = 0;
    k->tensor_names = (NameTable){0};
    k->n_named = 0;
    k->depth = k->work = k->component = k->n_components = 0;
    k->too_large = false;
    k->equation = NULL;
    k->pattern = NEW(c, Pattern);
    *k->pattern = (Pattern){.name = ast->name.name, .doc = ast->doc, .span = ast->name.span, .ast = ast};
}

enum { EQUATIONS_MAX = 2000 /* that outputs need: some passes keep a bit for every two */ };

/* Outputs take the equations that define them; int inputs get their ranges. */
static void finish_tensors(Checker *k)
{
    for (uint32_t n = 0; n < k->tensors.n; n++)
        if (k->tensors.at[n]->body) PUSH(k->c, &k->pattern->equations, k->tensors.at[n]);
    drop_unread(k);
}

static void check_pattern(Checker *k, const AstPattern *ast, FileScope *file)
{
    Compilation *c = k->c;
    unsigned errors = c->errors;
    begin_pattern(k, ast);
    Instance *in = NEW(c, Instance);
    *in = (Instance){.k = k, .ast = ast, .prefix = ""};
    in->scope = (Scope){.file = file, .instance = in, .inlined = ast};
    k->root = in;
    declare_parameters(in);
    declare_signature(in);
    declare_body(in);
    resolve_indices(in);
    declare_ranges(in);
    elaborate_requires(in);
    instance_equations(in);
    carry_tensors(in);
    resolve_examples(in);
    if (c->errors == errors) {
        resolve_cost(in);
        finish_tensors(k);
        if (k->pattern->equations.n > EQUATIONS_MAX)
            report(c, E118, ast->name.span, "`%s` has more than %d equations that its outputs need", ast->name.name,
                   EQUATIONS_MAX);
    }
    if (c->errors == errors) {
        check_recurrences(k);
        if (c->errors == errors) check_safety(k);
    }
    if (k->options && k->options->warnings && c->errors == errors) warn_pattern(k, ast, file);
    PUSH(c, &k->program->patterns, k->pattern);
}

/* ---- what outputs need ---- */

typedef struct Reach { Checker *k; Tensor **stack; uint32_t n; bool *seen; } Reach;

static Node *reach_read(void *context, Compilation *c, Node *n)
{
    (void)c;
    Reach *r = context;
    if (n->op == N_READ && n->tensor->body && !r->seen[n->tensor->id]) {
        r->seen[n->tensor->id] = true;
        r->stack[r->n++] = n->tensor;
    }
    return n;
}

static void drop_unread(Checker *k)
{
    Compilation *c = k->c;
    Reach r = {k, NEW_ARRAY(c, Tensor *, c->next_tensor + 1), 0, NEW_ARRAY(c, bool, c->next_tensor + 1)};
    for (uint32_t n = 0; n < k->pattern->equations.n; n++) {
        Tensor *t = k->pattern->equations.at[n];
        if (t->role != ROLE_OUTPUT) continue;
        r.seen[t->id] = true;
        r.stack[r.n++] = t;
    }
    if (k->pattern->cost) node_rewrite(c, k->pattern->cost, reach_read, &r);
    while (r.n) node_rewrite(c, r.stack[--r.n]->body, reach_read, &r);
    uint32_t kept = 0;
    for (uint32_t n = 0; n < k->pattern->equations.n; n++)
        if (r.seen[k->pattern->equations.at[n]->id])
            k->pattern->equations.at[kept++] = k->pattern->equations.at[n];
    k->pattern->equations.n = kept;
}

/* ---- entry ---- */

enum { PATTERNS_MB_MAX = 600 /* that a file's patterns take together */ };

static bool wanted(const LangOptions *o, const AstPattern *p)
{
    return !o || !o->pattern || !strcmp(o->pattern, p->name.name);
}

/* Is there no memory left for this pattern? */
static bool too_many(Checker *k, const AstPattern *p)
{
    if (k->c->bytes >> 20 < PATTERNS_MB_MAX) return false;
    report(k->c, E009, p->name.span, "the patterns of this file in front of `%s` take more than %d MiB of memory",
           p->name.name, PATTERNS_MB_MAX);
    return true;
}

static void escalate(Compilation *c)
{
    for (uint32_t n = 0; n < c->diags.n; n++) {
        if (c->diags.at[n]->severity != SEVERITY_WARNING) continue;
        c->diags.at[n]->severity = SEVERITY_ERROR;
        c->errors++;
    }
}

Program *lang_check(Compilation *c, uint32_t source, const LangOptions *options)
{
    unsigned errors = c->errors;
    Checker *k = NEW(c, Checker);
    k->c = c;
    k->options = options;
    k->program = NEW(c, Program);
    FileScope *file = use_file(k, source);
    k->program->file = file->file;
    if (c->errors > errors) return NULL;
    for (uint32_t n = 0; n < k->files.n; n++) check_functions(k, k->files.at[n]);
    uint32_t indices = 0, tensors = 0; /* ids start anew in every pattern; later ones must be new to all of them */
    for (uint32_t n = 0; n < file->file->patterns.n; n++) {
        const AstPattern *p = file->file->patterns.at[n];
        if (!wanted(options, p)) continue;
        if (too_many(k, p)) break;
        check_pattern(k, p, file);
        if (c->next_index > indices) indices = c->next_index;
        if (c->next_tensor > tensors) tensors = c->next_tensor;
    }
    c->next_index = indices;
    c->next_tensor = tensors;
    if (options && options->warnings && c->errors == errors) warn_file(k, file);
    if (options && options->warnings_are_errors) escalate(c);
    return c->errors > errors ? NULL : k->program;
}
