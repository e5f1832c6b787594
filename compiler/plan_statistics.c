/* Softmaxes that are not the weights of a sum over their own elements (slot attention, where queries compete
 * for a key; sums of weights over queries) by the statistics of their rows: the greatest score and the sum
 * of exp(score - greatest) of every row become equations, so that a weight can be computed again anywhere.
 * Maps that are stored come before the decisions (plan_decide), so that these see how often a score is read.
 * Ensures: a softmax inside a reduction is a weight of it (find_softmaxes), or its ranges depend on indices.
 * Breaks: nothing. */
#include "plan_internal.h"

#include <math.h>

typedef struct Spread {
    Plan *p;
    uint32_t at;     /* of the equation being rewritten */
    NodeMap weights; /* of softmaxes met so far */
} Spread;

static Node *binary(Spread *s, Op op, Node *a, Node *b) { return node_binary(s->p->c, op, a, b); }
static Node *real(Spread *s, double x) { return node_real(s->p->c, x); }

static Node *statistic(Spread *s, const char *name, Node *body)
{
    Plan *p = s->p;
    Equation *reader = p->equations.at[s->at], *e;
    name = format(p->c, "%s.%s%u", reader->tensor->name, name, reader->parts);
    Node *read = plan_part(p, s->at++, name, simplify(p->c, body), true);
    e = plan_equation(p, read->tensor);
    e->storing = STORED;
    e->reason = REASON_STATISTIC;
    e->origin = format(p->c, "of %s: a number for every row of its softmax", reader->tensor->name);
    return read;
}

/* exp(a - b), 1 where both are the same infinity. */
static Node *exp_difference(Spread *s, Node *a, Node *b)
{
    Node *less = node_unary(s->p->c, N_EXP, binary(s, N_SUB, a, b));
    return node_if(s->p->c, binary(s, N_EQ, a, b), real(s, 1), less);
}

/* exp(score - shift) * scale: both 0 for rows without a score above -inf. */
static Node *spread(Spread *s, Node *n)
{
    Compilation *c = s->p->c;
    Node *known = map_get(&s->weights, n), *where = binder_where(n), *score = binder_body(n),
         *sink = binder_extra(n), *zero = real(s, 0);
    if (known) return known;
    s->p->equations.at[s->at]->parts++;
    Node *top = statistic(s, "top", reduce_like(c, n, REDUCE_MAX, where, score));
    Node *less = node_unary(c, N_EXP, binary(s, N_SUB, score, top));
    Node *sum = reduce_like(c, n, REDUCE_SUM, where, less), *greatest = top;
    if (sink) {
        Node *some = binary(s, N_MUL, sum, exp_difference(s, top, greatest = binary(s, N_MAX, top, sink)));
        sum = binary(s, N_ADD, node_if(c, binary(s, N_EQ, top, real(s, -INFINITY)), zero, some),
                     exp_difference(s, sink, greatest));
    }
    Node *none = binary(s, N_EQ, greatest, real(s, -INFINITY));
    Node *shift = statistic(s, "shift", node_if(c, none, zero, greatest));
    Node *scale = statistic(s, "scale", node_if(c, none, zero, binary(s, N_DIV, real(s, 1), sum)));
    Node *weight = binary(s, N_MUL, node_unary(c, N_EXP, binary(s, N_SUB, score, shift)), scale);
    known = node_if(c, where, weight, zero);
    map_put(c, &s->weights, n, known);
    return known;
}

static bool has_statistics(const Node *n)
{
    if (n->op != N_NORMALISE || n->kind != NORMALISE_SOFTMAX) return false;
    return !bounds_depend_on(n, n->free);
}

bool plan_is_spreadable(const Node *n)
{
    if (node_is_binder(n)) return has_statistics(n);
    for (unsigned k = 0; k < n->n_args; k++)
        if (plan_is_spreadable(n->args[k])) return true;
    return false;
}

static bool is_weighted_sum(Compilation *c, const Node *n)
{
    Softmaxes found;
    return n->op == N_REDUCE && n->kind == REDUCE_SUM && find_softmaxes(c, n, &found);
}

/* A row of its own for every step of some variables of the sum, as in sum[c, j](softmax[j](...) * v): each is
 * used once, so that nothing is gained by computing its weights again. */
static bool is_row_of(const Node *n, const Node *sum)
{
    IndexSet own = set_of_vars(n), all = set_of_vars(sum);
    return n->n_vars < sum->n_vars && set_within(&own, &all);
}

/* sum: the innermost reduction around, or NULL. */
static Node *spread_in(Spread *s, Node *n, const Node *sum)
{
    Compilation *c = s->p->c;
    if (n->n_args == 0 || is_weighted_sum(c, n)) return n;
    if (sum && has_statistics(n) && !is_row_of(n, sum)) return spread(s, n);
    Node **args = NEW_ARRAY(c, Node *, n->n_args);
    bool same = true;
    for (unsigned k = 0; k < n->n_args; k++) {
        args[k] = spread_in(s, n->args[k], n->op == N_REDUCE ? n : sum);
        same = same && args[k] == n->args[k];
    }
    return same ? n : node_copy_with(c, n, args);
}

void plan_spread_maps(Plan *p)
{
    Spread s = {.p = p};
    Uses *uses = plan_uses(p);
    for (; s.at < p->equations.n; s.at++) {
        Equation *e = p->equations.at[s.at];
        const Uses *u = &uses[e->tensor->id];
        if (!has_statistics(e->body) || u->readers == 0 || u->weights || u->sliced) continue;
        e->body = simplify(p->c, spread(&s, e->body));
    }
}

void plan_statistics(Plan *p)
{
    Spread s = {.p = p};
    for (; s.at < p->equations.n; s.at++) {
        Equation *e = p->equations.at[s.at];
        if (e->storing != STORED || e->tensor->group != 0 || !contains_op(p->c, e->body, N_NORMALISE))
            continue;
        e->body = simplify(p->c, spread_in(&s, e->body, NULL));
    }
}
