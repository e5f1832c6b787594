/* Rewrites of single expressions (see simplify.h).
 * Requires: verified nodes. Ensures: the same values, element by element. Breaks: nothing. */
#include "simplify.h"

#include <math.h>

void conjuncts(Compilation *c, Node *test, NodeList *list)
{
    if (node_is_bool(test, true)) return;
    if (test->op == N_AND) {
        conjuncts(c, test->args[0], list);
        conjuncts(c, test->args[1], list);
        return;
    }
    PUSH(c, list, test);
}

Node *conjunction(Compilation *c, const NodeList *list)
{
    Node *all = node_bool(c, true);
    for (uint32_t k = 0; k < list->n; k++) all = node_binary(c, N_AND, all, list->at[k]);
    return all;
}

static bool binds_into(const Node *binder, const Node *fact)
{
    for (unsigned k = 0; k < binder->n_vars; k++)
        if (node_depends_on(fact, binder->vars[k])) return true;
    return false;
}

/* Conjuncts inside a binder of one of their own variables are about other elements: they stay. */
Node *simplify_assuming(Compilation *c, Node *n, Node *fact)
{
    NodeList facts = {0};
    conjuncts(c, fact, &facts);
    for (uint32_t k = 0; k < facts.n; k++)
        if (facts.at[k] == n) return node_bool(c, true);
    if (n->n_args == 0 || facts.n == 0) return n;
    if (node_is_binder(n)) {
        NodeList outside = {0};
        for (uint32_t k = 0; k < facts.n; k++)
            if (!binds_into(n, facts.at[k])) PUSH(c, &outside, facts.at[k]);
        if (outside.n == 0) return n;
        fact = conjunction(c, &outside);
    }
    Node **args = NEW_ARRAY(c, Node *, n->n_args);
    bool same = true;
    for (unsigned k = 0; k < n->n_args; k++) {
        args[k] = simplify_assuming(c, n->args[k], fact);
        same = same && args[k] == n->args[k];
    }
    return same ? n : node_copy_with(c, n, args);
}

Node *reduce_like(Compilation *c, const Node *n, Reduction kind, Node *where, Node *body)
{
    Node *lo[16], *hi[16];
    for (unsigned k = 0; k < n->n_vars; k++) {
        lo[k] = binder_lo(n, k);
        hi[k] = binder_hi(n, k);
    }
    return node_binder(c, N_REDUCE, kind, n->n_vars, n->vars, lo, hi, where, body, NULL);
}

static Node *mean(Compilation *c, Node *n)
{
    Node *one = node_int(c, 1), *zero = node_real(c, 0);
    Node *count = reduce_like(c, n, REDUCE_SUM, binder_where(n), one);
    Node *sum = reduce_like(c, n, REDUCE_SUM, binder_where(n), binder_body(n));
    Node *value = node_binary(c, N_DIV, sum, node_unary(c, N_TO_REAL, count));
    return node_if(c, node_binary(c, N_EQ, count, node_int(c, 0)), zero, value);
}

static Node *is_infinite(Compilation *c, Node *x)
{
    return node_binary(c, N_EQ, node_unary(c, N_ABS, x), node_real(c, INFINITY));
}

/* max + log(sum(exp(x - max))); an infinite maximum is the result itself. */
static Node *logsumexp(Compilation *c, Node *n)
{
    Node *max = reduce_like(c, n, REDUCE_MAX, binder_where(n), binder_body(n));
    Node *shifted = node_unary(c, N_EXP, node_binary(c, N_SUB, binder_body(n), max));
    Node *sum = reduce_like(c, n, REDUCE_SUM, binder_where(n), shifted);
    return node_if(c, is_infinite(c, max), max, node_binary(c, N_ADD, max, node_unary(c, N_LOG, sum)));
}

Node *simplify_softmax(Compilation *c, Node *n)
{
    Node *where = binder_where(n), *score = binder_body(n), *sink = binder_extra(n);
    Node *max = reduce_like(c, n, REDUCE_MAX, where, score);
    if (sink) max = node_binary(c, N_MAX, max, sink);
    Node *sum = reduce_like(c, n, REDUCE_SUM, where, node_unary(c, N_EXP, node_binary(c, N_SUB, score, max)));
    if (sink) { /* 1 where it is the largest, inf included */
        Node *less = node_unary(c, N_EXP, node_binary(c, N_SUB, sink, max));
        sum = node_binary(c, N_ADD, sum, node_if(c, node_binary(c, N_EQ, sink, max), node_real(c, 1), less));
    }
    Node *weight = node_binary(c, N_DIV, node_unary(c, N_EXP, node_binary(c, N_SUB, score, max)), sum);
    Node *some = node_unary(c, N_NOT, node_binary(c, N_EQ, max, node_real(c, -INFINITY)));
    return node_if(c, where, node_if(c, some, weight, node_real(c, 0)), node_real(c, 0));
}

static bool is_zero(const Node *n)
{
    return (n->op == N_INT && n->integer == 0) || (n->op == N_REAL && n->real == 0);
}

/* sum(if c then x else 0 where w) is sum(x where w and c). */
static Node *gather_condition(Compilation *c, Node *n)
{
    Node *where = binder_where(n), *body = binder_body(n);
    while (body->op == N_IF && is_zero(body->args[2])) {
        where = node_binary(c, N_AND, where, body->args[0]);
        body = body->args[1];
    }
    body = simplify_assuming(c, body, where);
    if (where == binder_where(n) && body == binder_body(n)) return n;
    return reduce_like(c, n, REDUCE_SUM, where, body);
}

static Node *simplify_node(void *context, Compilation *c, Node *n)
{
    (void)context;
    if (node_is_straight(n)) return node_real(c, 0);
    if (n->op != N_REDUCE) return n;
    if (n->kind == REDUCE_MEAN) return mean(c, n);
    if (n->kind == REDUCE_LOGSUMEXP) return logsumexp(c, n);
    return n->kind == REDUCE_SUM ? gather_condition(c, n) : n;
}

Node *simplify(Compilation *c, Node *n) { return node_rewrite(c, n, simplify_node, NULL); }
