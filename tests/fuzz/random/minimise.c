/* Delta debugging: statements and parts of the signature go, expressions become one of their operands or a
 * literal, as long as the program fails in the same way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lang/ast.h"
#include "trial.h"

typedef struct Edit {
    uint32_t from, to;
    const char *with;
} Edit;
typedef struct Edits {
    Compilation *c;
    const char *text;
    VEC(Edit) list;
} Edits;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void edit(Edits *e, Span at, const char *with) { PUSH(e->c, &e->list, (Edit){at.from, at.to, with}); }

static const char *slice(Edits *e, Span s)
{
    return format(e->c, "(%.*s)", (int)(s.to - s.from), e->text + s.from);
}

static void expression(Edits *e, const Ast *a)
{
    if (!a) return;
    uint32_t size = a->span.to - a->span.from;
    for (uint32_t k = 0; k < a->n; k++)
        if (a->kind != AST_SUBSCRIPT) edit(e, a->span, slice(e, ast_arg(a, k).value->span));
    if (a->kind == AST_SUBSCRIPT || a->kind == AST_CALL || a->kind == AST_BRACKET || size > 4) {
        edit(e, a->span, "1");
        edit(e, a->span, "0.5");
        edit(e, a->span, "true");
        edit(e, a->span, "0");
    }
    if (a->kind == AST_SUBSCRIPT && ast_is_named(a)) edit(e, a->span, a->name);
    if (ast_where(a)) edit(e, ast_where(a)->span, "true");
    for (uint32_t k = 0; k < a->n; k++) expression(e, ast_arg(a, k).value);
}

/* Takes an item out of a list, with the comma before or after it. */
static void item(Edits *e, uint32_t from, uint32_t to)
{
    const char *t = e->text;
    uint32_t a = from, b = to;
    while (t[b] == ' ') b++;
    if (t[b] == ',') {
        for (b++; t[b] == ' ';) b++;
        edit(e, (Span){0, a, b}, "");
    }
    for (b = to; a && t[a - 1] == ' ';) a--;
    if (a && t[a - 1] == ',') edit(e, (Span){0, a - 1, b}, "");
}

static void tensors(Edits *e, const AstTensors *list)
{
    for (uint32_t k = 0; k < list->n; k++) {
        const AstTensor *t = list->at[k];
        item(e, t->span.from, t->span.to);
        for (uint32_t d = 0; t->dims.n > 1 && d < t->dims.n; d++)
            item(e, t->dims.at[d].span.from, t->dims.at[d].span.to);
    }
}

static void pattern(Edits *e, const AstPattern *p)
{
    for (uint32_t k = 0; k < p->body.n; k++) edit(e, p->body.at[k]->span, "");
    tensors(e, &p->outputs);
    tensors(e, &p->inputs);
    tensors(e, &p->captures);
    for (uint32_t k = 0; k < p->ambient.n; k++) item(e, p->ambient.at[k].span.from, p->ambient.at[k].span.to);
    for (uint32_t k = 0; k < p->params.n; k++) item(e, p->params.at[k].span.from, p->params.at[k].span.to);
    for (uint32_t k = 0; k < p->examples.n; k++)
        item(e, p->examples.at[k].name.span.from, p->examples.at[k].value->span.to);
    for (uint32_t k = 0; k < p->examples.n; k++)
        if (p->examples.at[k].value->kind == AST_INTEGER && p->examples.at[k].value->integer > 1)
            edit(e, p->examples.at[k].value->span, "1");
    for (uint32_t k = 0; k < p->body.n; k++) expression(e, p->body.at[k]->value);
}

/* Simplifications of `text`, the large ones first. */
static void edits(Edits *e)
{
    uint32_t source = compilation_add_source(e->c, "program.attn", e->text, strlen(e->text));
    const AstFile *file = ast_parse(e->c, source);
    for (uint32_t k = 0; k < file->patterns.n; k++) {
        if (file->patterns.n > 1) edit(e, file->patterns.at[k]->span, "");
        pattern(e, file->patterns.at[k]);
    }
    for (uint32_t k = 0; k < file->functions.n; k++) edit(e, file->functions.at[k]->span, "");
    /* the shortest results first: few steps lead far */
    for (uint32_t k = 1; k < e->list.n; k++)
        for (uint32_t i = k; i > 0; i--) {
            Edit *a = &e->list.at[i - 1], *b = &e->list.at[i], swap = *a;
            if (strlen(a->with) + b->to - b->from <= strlen(b->with) + a->to - a->from) break;
            *a = *b, *b = swap;
        }
}

static char *apply(const char *text, const Edit *e)
{
    size_t n = strlen(text), with = strlen(e->with);
    char *out = malloc(n + with + 1);
    if (!out) return NULL;
    memcpy(out, text, e->from);
    memcpy(out + e->from, e->with, with);
    strcpy(out + e->from + with, text + e->to);
    return out;
}

static bool fails(const char *text, const char *name, const TrialOptions *options, const Outcome *outcome)
{
    RandomProgram p = {"", text, name};
    Outcome now;
    try_programs(&p, 1, options, &now);
    return same_failure(&now, outcome);
}

/* The first simplification that still fails, or NULL. `from`: where to go on in the list. */
static char *step(const char *text, const char *name, const TrialOptions *options, const Outcome *outcome,
                  uint32_t *from, double until)
{
    Compilation c;
    compilation_init(&c);
    Edits e = {.c = &c, .text = text};
    char *result = NULL;
    if (!setjmp(c.escape)) {
        edits(&e);
        if (*from >= e.list.n) *from = 0;
        for (uint32_t tried = 0; tried < e.list.n && now() < until; tried++) {
            const Edit *next = &e.list.at[(*from + tried) % e.list.n];
            if (strlen(next->with) >= next->to - next->from) continue;
            char *changed = apply(text, next);
            if (changed && fails(changed, name, options, outcome)) {
                *from = (*from + tried) % e.list.n;
                result = changed;
                break;
            }
            free(changed);
        }
    }
    compilation_free(&c);
    return result;
}

char *minimise(const char *text, const char *name, const TrialOptions *options, const Outcome *outcome,
               double seconds)
{
    char *best = strdup(text);
    double until = now() + seconds;
    for (uint32_t from = 0; best;) {
        char *next = step(best, name, options, outcome, &from, until);
        if (!next) break;
        free(best);
        best = next;
    }
    return best;
}
