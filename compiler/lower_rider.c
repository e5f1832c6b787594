/* Equations that ride on a softmax-weighted sum: log-sum-exps, row maxima and whatever else is made of the
 * greatest score of a row and the sum of exp(score - greatest), which the sum keeps anyway (the logsumexp
 * output of Dao et al. 2022). They ride on a row maximum, too, which then keeps such a sum for them.
 * Requires: one softmax without a sink, or a maximum. Ensures: a rider reads nothing that is
 * computed later; its stage needs no phase of its own. Breaks: nothing. */
#include "lower_rider.h"

#include "graph.h"

static bool same_rows(const Node *a, const Node *b)
{
    bool same = a->n_vars == b->n_vars && binder_where(a) == binder_where(b);
    for (unsigned k = 0; same && k < a->n_vars; k++)
        same = a->vars[k] == b->vars[k] && binder_lo(a, k) == binder_lo(b, k) &&
               binder_hi(a, k) == binder_hi(b, k);
    return same;
}

static bool is_greatest(const Riders *r, const Node *n)
{
    return n->op == N_REDUCE && n->kind == REDUCE_MAX && same_rows(n, r->sum) && binder_body(n) == r->score;
}

static bool reads_greatest(const Riders *r, const Node *n)
{
    if (n->op != N_READ || !read_is_identity(n)) return false;
    const Equation *e = plan_equation(r->l->plan, n->tensor);
    return e && is_greatest(r, e->body);
}

static bool is_sum_of_exp(const Riders *r, const Node *n)
{
    if (n->op != N_REDUCE || n->kind != REDUCE_SUM || !same_rows(n, r->sum)) return false;
    const Node *e = binder_body(n), *less = e->op == N_EXP ? e->args[0] : NULL;
    return less && less->op == N_SUB && less->args[0] == r->score && reads_greatest(r, less->args[1]);
}

/* ---- in terms of a maximum and a sum ---- */

typedef struct Parts {
    const Riders *r;
    NodeList greatest, sums;
} Parts;

static void find_part(void *context, const Node *n)
{
    Parts *p = context;
    Compilation *c = p->r->l->c;
    if (is_greatest(p->r, n) || reads_greatest(p->r, n)) PUSH(c, &p->greatest, (Node *)n);
    if (is_sum_of_exp(p->r, n)) PUSH(c, &p->sums, (Node *)n);
}

Node *rider_value(const Riders *r, Node *body, Node *max, Node *sum)
{
    Parts p = {.r = r};
    node_visit(r->l->c, body, find_part, &p);
    for (uint32_t k = 0; k < p.sums.n; k++) body = node_replace(r->l->c, body, p.sums.at[k], sum);
    for (uint32_t k = 0; k < p.greatest.n; k++) body = node_replace(r->l->c, body, p.greatest.at[k], max);
    return body;
}

/* ---- which ---- */

static bool is_known(const Riders *r, const Tensor *t)
{
    const Equation *e = plan_equation(r->l->plan, t);
    if (!e) return true;
    for (uint32_t k = 0; k < r->l->plan->stages.n; k++) {
        const Stage *s = r->l->plan->stages.at[k];
        if (s == r->stage) return false;
        if (s == e->stage) return true;
    }
    return false;
}

typedef struct Needs {
    const Riders *r;
    bool other;
} Needs;

static void look(void *context, const Node *n)
{
    Needs *k = context;
    k->other |= node_is_binder(n) || n->op == N_CHECK || (n->op == N_READ && !is_known(k->r, n->tensor));
}

static bool has_dims(const Riders *r, const Tensor *t)
{
    bool same = t->n_dims == r->n_outer;
    for (unsigned k = 0; same && k < t->n_dims; k++) same = t->dims[k] == r->outer[k];
    return same;
}

static bool rides(const Riders *r, const Stage *stage)
{
    const Equation *e = stage->equation;
    if (!e || e->storing != STORED || e->tensor->optional || !has_dims(r, e->tensor)) return false;
    Node *zero = node_real(r->l->c, 0), *body = rider_value(r, e->body, zero, zero);
    Needs k = {r, false};
    node_visit(r->l->c, body, look, &k);
    return body != e->body && !k.other;
}

/* The score of the rows: of the only softmax of a sum, or that of a row maximum. */
static Node *score_of_rows(Lower *l, const Node *sum)
{
    Softmaxes found;
    if (sum->kind == REDUCE_MAX) return binder_body(sum);
    bool alone = find_softmaxes(l->c, sum, &found) && found.n == 1 && !binder_extra(found.softmax[0]);
    return alone ? binder_body(found.softmax[0]) : NULL;
}

static bool holds_sum(const Riders *r, const Equation *e)
{
    Parts p = {.r = r};
    node_visit(r->l->c, e->body, find_part, &p);
    return p.sums.n > 0;
}

Riders find_riders(Lower *l, const Stage *stage, Node *sum, unsigned n_outer, Index **outer)
{
    Riders r = {.l = l, .stage = stage, .sum = sum, .n_outer = n_outer, .outer = outer};
    bool later = false, sums = false;
    if (!sum || !(r.score = score_of_rows(l, sum))) return r;
    for (uint32_t k = 0; k < l->plan->stages.n; k++) {
        const Stage *s = l->plan->stages.at[k];
        bool rider = later && rides(&r, s);
        if (rider) PUSH(l->c, &r.equations, s->equation);
        sums |= rider && holds_sum(&r, s->equation);
        later |= s == stage;
    }
    if (sum->kind == REDUCE_MAX && !sums) r.equations.n = 0; /* the maximum is no less work alone */
    return r;
}
