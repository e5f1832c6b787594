/* See reasons.h: collecting. reasons_print.c writes.
 * Requires: a Plan and the Kernel lowered from it. Breaks: nothing; both are only read. */
#include "reasons.h"

#include <string.h>

#include "plan_internal.h"
#include "signature.h"
#include "streams.h"

typedef VEC(const Equation *) EquationList;
typedef struct Collect {
    Compilation *c;
    const Plan *plan;
    const Kernel *kernel;
    Reasons *out;
    EquationList *inlined;
    uint32_t *fused_into; /* by Tensor.id: number of the stage + 1 */
} Collect;

/* ---- shapes ---- */

const char *reason_text_of(Compilation *c, const Node *n)
{
    enum { LONG = 1000 };
    Text out = {.c = c}, cut = {.c = c};
    node_print(&out, n);
    if (out.n <= LONG) return out.at;
    node_print_short(&cut, n);
    return cut.at;
}

static const char *names_of(Compilation *c, unsigned n, Index *const *indices)
{
    Text out = {.c = c};
    text_add(&out, "%s", "");
    for (unsigned k = 0; k < n; k++) text_add(&out, "%s%s", k ? ", " : "", indices[k]->name);
    return out.at;
}

static const char *shape_of(Compilation *c, const Tensor *t)
{
    if (!t->n_dims) return t->name;
    return format(c, "%s[%s]", t->name, names_of(c, t->n_dims, t->dims));
}

/* Extents that are no extents of the signature. */
static const char *derived_extents(Compilation *c, const Tensor *t)
{
    Text out = {.c = c};
    for (unsigned k = 0; k < t->n_dims; k++) {
        const Node *extent = node_size(c, t->dims[k]);
        if (extent->op == N_SIZE && extent->index == t->dims[k]) continue;
        text_add(&out, "%ssize(%s) = %s", out.n ? ", " : "", t->dims[k]->name, reason_text_of(c, extent));
    }
    return out.n ? out.at : NULL;
}

/* The readers at the time of the decision; of what was made later, those of the plan. */
typedef struct Reading {
    const Tensor *read;
    bool found;
} Reading;

static void note_read(void *context, const Node *n)
{
    Reading *r = context;
    r->found = r->found || (n->op == N_READ && n->tensor == r->read);
}

static const char *readers_of(Collect *x, const Equation *e)
{
    Text out = {.c = x->c};
    for (uint32_t k = 0; k < e->readers.n; k++)
        text_add(&out, "%s%s", k ? ", " : "", e->readers.at[k]->tensor->name);
    for (uint32_t k = 0; !e->readers.n && k < x->plan->equations.n; k++) {
        Reading r = {e->tensor, false};
        const Equation *other = x->plan->equations.at[k];
        if (other != e && other->storing != INLINED) node_visit(x->c, other->body, note_read, &r);
        if (r.found) text_add(&out, "%s%s", out.n ? ", " : "", other->tensor->name);
    }
    return out.n ? out.at : "";
}

static ReasonEquation reason_equation(Collect *x, const Equation *e)
{
    return (ReasonEquation){e, shape_of(x->c, e->tensor), derived_extents(x->c, e->tensor), readers_of(x, e)};
}

/* ---- what is fused into a stage ---- */

/* By Tensor.id: the inlined equations that each one reads. */
static void find_inlined(Collect *x)
{
    x->inlined = NEW_ARRAY(x->c, EquationList, x->plan->n_by_tensor + 1);
    x->fused_into = NEW_ARRAY(x->c, uint32_t, x->plan->n_by_tensor + 1);
    for (uint32_t k = 0; k < x->plan->equations.n; k++) {
        const Equation *e = x->plan->equations.at[k];
        for (uint32_t n = 0; e->storing == INLINED && n < e->readers.n; n++)
            PUSH(x->c, &x->inlined[e->readers.at[n]->tensor->id], e);
    }
}

/* Each once a stage. */
static void add_fused(Collect *x, ReasonStage *out, const Equation *into)
{
    EquationList open = {0};
    PUSH(x->c, &open, into);
    while (open.n) {
        const EquationList *list = &x->inlined[open.at[--open.n]->tensor->id];
        for (uint32_t k = 0; k < list->n; k++) {
            uint32_t *mark = &x->fused_into[list->at[k]->tensor->id];
            if (*mark == x->out->stages.n + 1) continue;
            *mark = x->out->stages.n + 1;
            PUSH(x->c, &out->fused, reason_equation(x, list->at[k]));
            PUSH(x->c, &open, list->at[k]);
        }
    }
}

static void add_equations(Collect *x, ReasonStage *out, const Stage *s)
{
    for (uint32_t k = 0; k < s->steps.n; k++) add_equations(x, out, s->steps.at[k]);
    for (uint32_t k = 0; k < s->after.n; k++) add_equations(x, out, s->after.at[k]);
    if (!s->equation) return;
    const char *shape = shape_of(x->c, s->equation->tensor);
    out->makes = out->makes ? format(x->c, "%s, %s", out->makes, shape) : shape;
    add_fused(x, out, s->equation);
}

/* ---- stages ---- */

static void add_sums(Collect *x, ReasonStage *out)
{
    StreamList list = {0};
    streams_find(x->c, out->stage, &list);
    for (uint32_t k = 0; k < list.n; k++) {
        const Stream *s = &list.at[k];
        bool known = false;
        for (uint32_t n = 0; n < k && !known; n++) known = streams_same(s, &list.at[n]);
        if (known) continue;
        ReasonSum sum = {names_of(x->c, s->n_dims, s->variables),
                         names_of(x->c, s->n_variables - s->n_dims, s->variables + s->n_dims),
                         node_is_bool(s->test, true) ? NULL : reason_text_of(x->c, s->test)};
        PUSH(x->c, &out->sums, sum);
    }
}

static void add_runs(Collect *x, ReasonStage *out, uint32_t number)
{
    for (uint32_t k = 0; k < x->kernel->phases.n; k++) {
        const Phase *p = &x->kernel->phases.at[k];
        if (p->stage != number + 1 || !p->how) continue;
        bool always = !p->when || node_is_bool(p->when, true);
        PUSH(x->c, &out->runs, (ReasonRun){p->how, always ? NULL : reason_text_of(x->c, p->when), p->plain});
        out->hides = out->hides || p->hides;
    }
}

static bool stores(const Block *block, const Tensor *t)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        if (s->kind == S_STORE && s->tensor == t) return true;
        if (stores(&s->body, t) || stores(&s->otherwise, t)) return true;
    }
    return false;
}

const Stage *stage_host(const Plan *plan, const Kernel *kernel, const Stage *s)
{
    for (uint32_t k = 0; s->equation && k < kernel->phases.n; k++) {
        const Phase *p = &kernel->phases.at[k];
        if (p->stage && plan->stages.at[p->stage - 1] != s && stores(&p->body, s->equation->tensor))
            return plan->stages.at[p->stage - 1];
    }
    return NULL;
}

static void add_stage(Collect *x, uint32_t number)
{
    ReasonStage out = {.stage = x->plan->stages.at[number]};
    const Stage *host = stage_host(x->plan, x->kernel, out.stage);
    if (host && host->equation) out.beside = host->equation->tensor->name;
    add_equations(x, &out, out.stage);
    add_sums(x, &out);
    add_runs(x, &out, number);
    PUSH(x->c, &x->out->stages, out);
}

Reasons *reasons(Compilation *c, const Plan *plan, const Kernel *kernel)
{
    Reasons *r = NEW(c, Reasons);
    Collect x = {.c = c, .plan = plan, .kernel = kernel, .out = r};
    Text signature = {.c = c};
    r->pattern = plan->graph->pattern;
    signature_print(&signature, r->pattern);
    r->signature = signature.at;
    find_inlined(&x);
    for (uint32_t k = 0; k < plan->stages.n; k++) add_stage(&x, k);
    for (uint32_t k = 0; k < plan->equations.n; k++) {
        const Equation *e = plan->equations.at[k];
        if (e->storing != INLINED && e->tensor->role == ROLE_EQUATION)
            PUSH(c, &r->stored, reason_equation(&x, e));
        if (e->reason == REASON_UNREAD) PUSH(c, &r->unread, reason_equation(&x, e));
    }
    r->growth = growth(c, plan);
    return r;
}
