/* Warnings: what is legal and hardly meant. Names are looked for in the text, conditions are decided by the
 * prover in all places that they were elaborated for; names that begin with `_` are let off.
 * Requires: the file has no errors. Breaks: nothing. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

/* ---- names in expressions ---- */

typedef VEC(const char *) Names;

static void add_names(Compilation *c, Names *to, const Ast *a)
{
    if (!a) return;
    if (ast_named_by(a)) PUSH(c, to, a->name);
    for (uint32_t n = 0; n < a->n; n++) {
        if (a->kind == AST_SUBSCRIPT && ast_is_named(a)) PUSH(c, to, a->operands[n]->name);
        add_names(c, to, a->operands[n]);
    }
    AstBinders binders = ast_binders(a);
    for (uint32_t n = 0; n < binders.n; n++) {
        const AstBinder *b = &binders.at[n];
        PUSH(c, to, b->name);
        if (b->block) PUSH(c, to, b->block);
        if (b->to) PUSH(c, to, b->to);
    }
}

static int compare_pointers(const void *va, const void *vb)
{
    uintptr_t a = (uintptr_t)*(const char *const *)va, b = (uintptr_t)*(const char *const *)vb;
    return a < b ? -1 : a > b;
}

static void sort_names(Names *n)
{
    if (n->n) qsort(n->at, n->n, sizeof *n->at, compare_pointers);
}

static bool has_name(const Names *n, const char *name)
{
    return n->n && bsearch(&name, n->at, n->n, sizeof *n->at, compare_pointers);
}

static bool let_off(const char *name) { return name[0] == '_'; }

/* ---- equations that no output needs ---- */

typedef struct Warner {
    Checker *k;
    const AstPattern *ast;
    FileScope *file;
    Names used;                        /* in the body, and in what the signature computes with */
    VEC(const AstStatement *) by_name; /* equations, sorted by the names that they define */
    bool *reached;                     /* of by_name */
} Warner;

static int compare_equations(const void *va, const void *vb)
{
    const AstStatement *a = *(const AstStatement *const *)va, *b = *(const AstStatement *const *)vb;
    int order = compare_pointers(&a->name.name, &b->name.name);
    return order ? order : a->span.from < b->span.from ? -1 : a->span.from > b->span.from;
}

/* The first equation of that name in by_name. */
static uint32_t find_equations(const Warner *w, const char *name)
{
    uint32_t lo = 0, hi = w->by_name.n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (compare_pointers(&w->by_name.at[mid]->name.name, &name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void statement_names(Compilation *c, Names *to, const AstStatement *s)
{
    add_names(c, to, s->value);
    add_names(c, to, s->type.lo);
    add_names(c, to, s->type.hi);
    for (uint32_t n = 0; n < s->subscripts.n; n++) add_names(c, to, s->subscripts.at[n]);
    for (uint32_t n = 0; n < s->names.n; n++) PUSH(c, to, s->names.at[n].name);
    if (s->kind == AST_BLOCK) PUSH(c, to, s->block_of.name);
}

static void find_reached(Warner *w)
{
    Compilation *c = w->k->c;
    const AstPattern *p = w->ast;
    Names open = {0};
    for (uint32_t n = 0; n < p->outputs.n; n++) PUSH(c, &open, p->outputs.at[n]->name.name);
    for (uint32_t n = 0; n < p->examples.n; n++) add_names(c, &open, p->examples.at[n].value);
    for (uint32_t n = 0; n < p->body.n; n++)
        if (p->body.at[n]->kind != AST_EQUATION || let_off(p->body.at[n]->name.name))
            statement_names(c, &open, p->body.at[n]);
    add_names(c, &open, p->cost);
    while (open.n) {
        const char *name = open.at[--open.n];
        for (uint32_t n = find_equations(w, name); n < w->by_name.n && w->by_name.at[n]->name.name == name;
             n++) {
            if (w->reached[n]) break;
            w->reached[n] = true;
            statement_names(c, &open, w->by_name.at[n]);
        }
    }
}

static void warn_equations(Warner *w)
{
    Compilation *c = w->k->c;
    for (uint32_t n = 0; n < w->ast->body.n; n++)
        if (w->ast->body.at[n]->kind == AST_EQUATION) PUSH(c, &w->by_name, w->ast->body.at[n]);
    if (!w->by_name.n) return;
    qsort(w->by_name.at, w->by_name.n, sizeof *w->by_name.at, compare_equations);
    w->reached = NEW_ARRAY(c, bool, w->by_name.n);
    find_reached(w);
    const char *told = NULL; /* once for all equations of a recurrence */
    for (uint32_t n = 0; n < w->by_name.n; n++) {
        AstName name = w->by_name.at[n]->name;
        if (w->reached[n] || name.name == told || let_off(name.name)) continue;
        told = name.name;
        diag(c, W001, name.span, "no output needs `%s`", name.name);
    }
}

/* ---- what is declared and never used ---- */

static void type_names(Compilation *c, Names *to, const AstTensors *list)
{
    for (uint32_t n = 0; n < list->n; n++) {
        add_names(c, to, list->at[n]->type.lo);
        add_names(c, to, list->at[n]->type.hi);
    }
}

/* A called pattern takes indices that no argument has by their names. */
static void add_called(Warner *w)
{
    Compilation *c = w->k->c;
    for (uint32_t n = 0, end = w->used.n; n < end; n++) {
        const Global *g = global_find(w->file, w->used.at[n]);
        for (uint32_t t = 0; g && g->pattern && t < g->pattern->outputs.n; t++)
            for (uint32_t d = 0; d < g->pattern->outputs.at[t]->dims.n; d++)
                PUSH(c, &w->used, g->pattern->outputs.at[t]->dims.at[d].name);
    }
}

static void collect_used(Warner *w)
{
    Compilation *c = w->k->c;
    const AstPattern *p = w->ast;
    for (uint32_t n = 0; n < p->body.n; n++) statement_names(c, &w->used, p->body.at[n]);
    for (uint32_t n = 0; n < p->params.n; n++) add_names(c, &w->used, p->params.at[n].value);
    type_names(c, &w->used, &p->captures);
    type_names(c, &w->used, &p->inputs);
    type_names(c, &w->used, &p->outputs);
    sort_names(&w->used);
    add_called(w);
    sort_names(&w->used);
}

static bool in_signature(const AstTensors *list, const char *name)
{
    for (uint32_t n = 0; n < list->n; n++)
        for (uint32_t d = 0; d < list->at[n]->dims.n; d++)
            if (list->at[n]->dims.at[d].name == name) return true;
    return false;
}

static void warn_unused(Warner *w, DiagCode code, AstName name, const char *fmt)
{
    if (!let_off(name.name) && !has_name(&w->used, name.name)) diag(w->k->c, code, name.span, fmt, name.name);
}

static void warn_declared(Warner *w)
{
    const AstPattern *p = w->ast;
    for (uint32_t n = 0; n < p->params.n; n++)
        warn_unused(w, W002, p->params.at[n].name, "parameter `%s` has no effect");
    for (uint32_t n = 0; n < p->body.n; n++) {
        const AstStatement *s = p->body.at[n];
        if (s->kind != AST_INDEX && s->kind != AST_BLOCK) continue;
        bool known = in_signature(&p->inputs, s->name.name) || in_signature(&p->outputs, s->name.name) ||
                     in_signature(&p->captures, s->name.name);
        for (uint32_t m = 0; m < p->ambient.n; m++) known |= p->ambient.at[m].name == s->name.name;
        if (!known) warn_unused(w, W003, s->name, "index `%s` is never used");
    }
    for (uint32_t n = 0; n < p->inputs.n; n++)
        warn_unused(w, W004, p->inputs.at[n]->name, "input `%s` is never read");
    for (uint32_t n = 0; n < p->captures.n; n++)
        warn_unused(w, W004, p->captures.at[n]->name, "input `%s` is never read");
}

/* ---- conditions ---- */

enum { DECIDED_MAX = 500 /* conditions of a pattern that are looked at */ };

/* Proofs are about integers; comparisons of sums that could wrap around are left alone. */
static bool wraps(Compilation *c, const Node *n)
{
    bool any = n->type == TYPE_INT && int_may_wrap(c, n);
    for (unsigned k = 0; n->type == TYPE_BOOL && k < n->n_args && !any; k++) any = wraps(c, n->args[k]);
    return any;
}

void note_condition(const Env *e, const Ast *a, Node *test)
{
    Checker *k = e->k;
    bool asked = k->options && k->options->warnings && !k->options->n_definitions;
    bool own = a->kind != AST_NAME && e->scope->instance == k->root && !e->scope->function && !e->cost;
    if (!asked || !own || !test || (k->equation && let_off(k->equation))) return;
    ProveScope scope = {0};
    for (uint32_t n = 0; n < k->pattern->conditions.n; n++)
        PUSH(k->c, &scope.conditions, k->pattern->conditions.at[n].test);
    Decided *d = NULL;
    for (uint32_t n = 0; n < k->decided.n && !d; n++)
        if (k->decided.at[n].ast == a) d = &k->decided.at[n];
    if (d && d->truth < 0) return;
    if (!d && k->decided.n == DECIDED_MAX) return;
    int truth = wraps(k->c, test) ? -1 : prove_truth(k->c, &scope, test);
    if (!d)
        PUSH(k->c, &k->decided, (Decided){a, truth});
    else if (d->truth != truth)
        d->truth = -1;
}

/* Part of a condition that is decided as a whole? */
static bool within_other(const Checker *k, const Decided *d)
{
    for (uint32_t n = 0; n < k->decided.n; n++) {
        const Decided *o = &k->decided.at[n];
        Span a = d->ast->span, b = o->ast->span;
        bool inside = a.from >= b.from && a.to <= b.to && b.to - b.from > a.to - a.from;
        if (inside && o->truth >= 0) return true;
    }
    return false;
}

static void warn_conditions(Checker *k)
{
    for (uint32_t n = 0; n < k->decided.n; n++) {
        const Decided *d = &k->decided.at[n];
        if (d->truth < 0 || within_other(k, d)) continue;
        const char *text = cited(k->c, d->ast->span);
        if (d->truth == 1) diag(k->c, W005, d->ast->span, "the condition `%s` always holds", text);
        if (d->truth == 0) diag(k->c, W006, d->ast->span, "the condition `%s` never holds", text);
    }
}

/* ---- names that look alike ---- */

typedef struct Alike {
    const char *key;
    AstName name;
} Alike;
typedef VEC(Alike) Alikes;
enum { ALIKE_MAX = 64 /* names that look like one and are told */ };

/* The same for names that differ in l, I and 1 and, from two characters on, in O and 0 or in case alone. */
static const char *look_of(Compilation *c, const char *name)
{
    char *look = format(c, "%s", name);
    for (char *at = look; *at; at++) {
        if (*at == 'I') *at = '1';
        if (*at >= 'A' && *at <= 'Z' && look[1]) *at = (char)(*at - 'A' + 'a');
        if (*at == 'l') *at = '1';
        if (*at == 'o' && look[1]) *at = '0';
    }
    return look;
}

static int compare_looks(const void *va, const void *vb)
{
    const Alike *a = va, *b = vb;
    int order = strcmp(a->key, b->key);
    return order ? order : a->name.span.from < b->name.span.from ? -1 : a->name.span.from > b->name.span.from;
}

static void add_alike(Compilation *c, Alikes *to, AstName name)
{
    if (!let_off(name.name)) PUSH(c, to, (Alike){look_of(c, name.name), name});
}

static void signature_names(Compilation *c, Alikes *to, const AstTensors *list)
{
    for (uint32_t n = 0; n < list->n; n++) {
        add_alike(c, to, list->at[n]->name);
        for (uint32_t d = 0; d < list->at[n]->dims.n; d++) add_alike(c, to, list->at[n]->dims.at[d]);
    }
}

static void warn_looks(Warner *w)
{
    Compilation *c = w->k->c;
    const AstPattern *p = w->ast;
    Alikes all = {0};
    for (uint32_t n = 0; n < p->params.n; n++) add_alike(c, &all, p->params.at[n].name);
    for (uint32_t n = 0; n < p->ambient.n; n++) add_alike(c, &all, p->ambient.at[n]);
    signature_names(c, &all, &p->inputs);
    signature_names(c, &all, &p->outputs);
    signature_names(c, &all, &p->captures);
    for (uint32_t n = 0; n < p->body.n; n++)
        if (p->body.at[n]->kind != AST_REQUIRE && p->body.at[n]->kind != AST_CARRY)
            add_alike(c, &all, p->body.at[n]->name);
    if (all.n) qsort(all.at, all.n, sizeof *all.at, compare_looks);
    for (uint32_t n = 1, first = 0; n < all.n; n++) {
        const Alike *a = &all.at[first], *b = &all.at[n];
        bool known = n > first + ALIKE_MAX; /* once for every name that looks like the first one */
        if (strcmp(a->key, b->key)) first = n;
        for (uint32_t m = first; m < n && !known; m++) known = all.at[m].name.name == b->name.name;
        if (first == n || known) continue;
        Diag *d = diag(c, W007, b->name.span, "`%s` and `%s` look alike", b->name.name, a->name.name);
        diag_note(c, d, a->name.span, "the other one");
    }
}

void warn_pattern(Checker *k, const AstPattern *ast, FileScope *file)
{
    Warner w = {.k = k, .ast = ast, .file = file};
    warn_equations(&w);
    collect_used(&w);
    warn_declared(&w);
    warn_conditions(k);
    warn_looks(&w);
}

/* ---- functions and files ---- */

static void warn_function(Checker *k, const AstFunction *f)
{
    Names used = {0};
    add_names(k->c, &used, f->body);
    for (uint32_t n = 0; n < f->locals.n; n++) add_names(k->c, &used, f->locals.at[n].value);
    sort_names(&used);
    for (uint32_t n = 0; n < f->args.n + f->locals.n; n++) {
        AstName name = n < f->args.n ? f->args.at[n].name : f->locals.at[n - f->args.n].name;
        if (!let_off(name.name) && !has_name(&used, name.name))
            diag(k->c, W008, name.span, "`%s` does not use `%s`", f->name.name, name.name);
    }
}

static void file_names(Compilation *c, Names *to, const AstFile *file)
{
    for (uint32_t n = 0; n < file->functions.n; n++) {
        add_names(c, to, file->functions.at[n]->body);
        for (uint32_t m = 0; m < file->functions.at[n]->locals.n; m++)
            add_names(c, to, file->functions.at[n]->locals.at[m].value);
    }
    for (uint32_t n = 0; n < file->patterns.n; n++)
        for (uint32_t m = 0; m < file->patterns.at[n]->body.n; m++)
            statement_names(c, to, file->patterns.at[n]->body.at[m]);
    sort_names(to);
}

void warn_file(Checker *k, FileScope *f)
{
    Names used = {0};
    file_names(k->c, &used, f->file);
    for (uint32_t n = 0; n < f->file->functions.n; n++) warn_function(k, f->file->functions.at[n]);
    for (uint32_t n = 0; n < f->file->uses.n; n++) {
        const AstName *path = &f->file->uses.at[n].path;
        const FileScope *other = find_file(k, f, path->name);
        bool any = !other;
        for (uint32_t m = 0; other && m < other->globals.n; m++)
            any |= other->globals.at[m].home == other && has_name(&used, other->globals.at[m].name);
        if (!any) diag(k->c, W009, path->span, "nothing of \"%s\" is used", path->name);
    }
}
