/* Reductions as loops: over one element, or over all elements of some dims at once (an array of accumulators
 * inside). */
#include "lower_internal.h"

#include <math.h>

/* Loops over the whole ranges of the variables, and a branch under a condition that is already lowered. */
void nest_open_with(Lower *l, Nest *nest, const Node *binder, Node *condition)
{
    nest->n = binder->n_vars;
    for (unsigned k = 0; k < binder->n_vars; k++) {
        Range range = {lower_value(l, binder_lo(binder, k)), lower_value(l, binder_hi(binder, k)), NULL};
        loop_open(l, &nest->loops[k], binder->vars[k], range);
    }
    branch_open(l, &nest->branch, condition);
}

/* Loops over the variables of a binder, narrowed by `where`, and a branch for what the ranges do not cover.
 */
void nest_open(Lower *l, Nest *nest, const Node *binder, Node *where)
{
    NodeList tests = {0};
    conjuncts(l->c, where, &tests);
    nest->n = binder->n_vars;
    for (unsigned k = 0; k < binder->n_vars; k++) {
        IndexSet later = {{0}};
        for (unsigned j = k + 1; j < binder->n_vars; j++) set_add(&later, binder->vars[j]->id);
        Range range = {binder_lo(binder, k), binder_hi(binder, k), NULL};
        range = tighten(l, binder->vars[k], range, &tests, &later);
        range.lo = lower_value(l, range.lo);
        range.hi = lower_value(l, range.hi);
        if (range.step) range.step = lower_value(l, range.step);
        loop_open(l, &nest->loops[k], binder->vars[k], range);
    }
    branch_open(l, &nest->branch, lower_value(l, conjunction(l->c, &tests)));
}

void nest_close(Lower *l, Nest *nest)
{
    branch_close(l, &nest->branch);
    for (unsigned k = nest->n; k > 0; k--) loop_close(l, &nest->loops[k - 1]);
}

Node *node_zero(Compilation *c, Type type)
{
    return type == TYPE_REAL ? node_real(c, 0) : type == TYPE_INT ? node_int(c, 0) : node_bool(c, false);
}

Node *reduction_identity(Compilation *c, Reduction kind, Type type)
{
    bool real = type == TYPE_REAL;
    switch (kind) {
    case REDUCE_PROD: return real ? node_real(c, 1) : node_int(c, 1);
    case REDUCE_MAX: return real ? node_real(c, -INFINITY) : node_int(c, INT64_MIN);
    case REDUCE_MIN: return real ? node_real(c, INFINITY) : node_int(c, INT64_MAX);
    case REDUCE_ALL: return node_bool(c, true);
    case REDUCE_ARGMAX:
    case REDUCE_ARGMIN: return node_int(c, -1);
    default: return node_zero(c, type);
    }
}

Node *reduction_combine(Compilation *c, Reduction kind, Node *a, Node *b)
{
    switch (kind) {
    case REDUCE_SUM: return node_binary(c, N_ADD, a, b);
    case REDUCE_PROD: return node_binary(c, N_MUL, a, b);
    case REDUCE_MAX: return node_binary(c, N_MAX, a, b);
    case REDUCE_MIN: return node_binary(c, N_MIN, a, b);
    case REDUCE_ANY: return node_binary(c, N_OR, a, b);
    case REDUCE_ALL: return node_binary(c, N_AND, a, b);
    default: BUG(c, "reduction %u has no combination of two values", (unsigned)kind);
    }
}

/* Row-major position over the variables, whatever part of them the loops visit. */
Node *row_major(Lower *l, unsigned n_vars, Index **vars)
{
    Node *at = node_int(l->c, 0);
    for (unsigned k = 0; k < n_vars; k++)
        at = node_binary(l->c, N_ADD, node_binary(l->c, N_MUL, at, node_size(l->c, vars[k])),
                         node_index(l->c, vars[k]));
    return at;
}

/* NaN counts as the worst. */
Node *comparable(Compilation *c, Node *x, double worst)
{
    if (x->type != TYPE_REAL) return x;
    return node_if(c, node_binary(c, N_EQ, x, x), x, node_real(c, worst));
}

/* The first of the best: position -1 until there is one. */
static Node *lower_arg(Lower *l, Node *n)
{
    Compilation *c = l->c;
    bool max = n->kind == REDUCE_ARGMAX;
    Node *body = binder_body(n);
    Local *best = local_new(l, "best", body), *at = local_make(l, "at", TYPE_INT, true),
          *x = local_new(l, "x", body);
    set_local(l, at, node_int(c, -1));
    set_local(l, best, node_zero(c, body->type));
    Nest nest;
    nest_open(l, &nest, n, binder_where(n));
    set_local(l, x, lower_value(l, body));
    set_local(l, x, comparable(c, local_get(l, x), max ? -INFINITY : INFINITY));
    Node *candidate = local_get(l, x), *holder = local_get(l, best);
    Node *first = node_binary(c, N_LT, local_get(l, at), node_int(c, 0));
    Node *better = max ? node_binary(c, N_LT, holder, candidate) : node_binary(c, N_LT, candidate, holder);
    Branch b;
    branch_open(l, &b, node_binary(c, N_OR, first, better));
    set_local(l, best, candidate);
    set_local(l, at, row_major(l, n->n_vars, n->vars));
    branch_close(l, &b);
    nest_close(l, &nest);
    return local_get(l, at);
}

/* ANY and ALL look no further than they must within one element; MAX and the like take every element. */
static void accumulate(Lower *l, Node *n, Local *total)
{
    Node *so_far = local_get(l, total);
    bool lanes = l->lane && node_depends_on(n, l->lane);
    if ((n->kind == REDUCE_ANY || n->kind == REDUCE_ALL) && !lanes) {
        Branch b;
        branch_open(l, &b, n->kind == REDUCE_ANY ? node_unary(l->c, N_NOT, so_far) : so_far);
        set_local(l, total, lower_value(l, binder_body(n)));
        branch_close(l, &b);
        return;
    }
    set_local(l, total, reduction_combine(l->c, n->kind, so_far, lower_value(l, binder_body(n))));
}

Node *lower_sum_from(Lower *l, Node *n, Node *start)
{
    Local *total = local_new(l, "total", n);
    set_local(l, total, start);
    Nest nest;
    nest_open(l, &nest, n, binder_where(n));
    accumulate(l, n, total);
    nest_close(l, &nest);
    return local_get(l, total);
}

Node *lower_reduce(Lower *l, Node *n)
{
    if (n->kind == REDUCE_ARGMAX || n->kind == REDUCE_ARGMIN) return lower_arg(l, n);
    return lower_sum_from(l, n, reduction_identity(l->c, n->kind, n->type));
}

/* ---- arrays of accumulators ---- */

void dims_open(Lower *l, Nest *nest, unsigned n_dims, Index **dims)
{
    nest->n = n_dims;
    for (unsigned k = 0; k < n_dims; k++) loop_open(l, &nest->loops[k], dims[k], whole_range(l, dims[k]));
    branch_open(l, &nest->branch, node_bool(l->c, true));
}

void array_fill(Lower *l, Tensor *t, Node *value)
{
    Nest nest;
    dims_open(l, &nest, t->n_dims, t->dims);
    store_at(l, t, value);
    nest_close(l, &nest);
}

/* The part of `where` that depends on none of dims opens the streamed loops, the rest is tested inside. */
void split_where(Lower *l, Node *where, unsigned n_dims, Index **dims, Node **outside, Node **inside)
{
    NodeList all = {0}, out = {0}, in = {0};
    conjuncts(l->c, where, &all);
    for (uint32_t k = 0; k < all.n; k++) {
        bool own = false;
        for (unsigned j = 0; j < n_dims; j++) own = own || node_depends_on(all.at[k], dims[j]);
        if (own)
            PUSH(l->c, &in, all.at[k]);
        else
            PUSH(l->c, &out, all.at[k]);
    }
    *outside = conjunction(l->c, &out);
    *inside = conjunction(l->c, &in);
}

Node *lower_array_reduce(Lower *l, Node *n, unsigned n_dims, Index **dims)
{
    Node *online = lower_online(l, n, n_dims, dims), *outside, *inside;
    if (online) return online;
    Tensor *total = scratch_new(l, "total", n, n_dims, dims);
    array_fill(l, total, reduction_identity(l->c, n->kind, n->type));
    split_where(l, binder_where(n), n_dims, dims, &outside, &inside);
    Nest streamed, own;
    nest_open(l, &streamed, n, outside);
    dims_open(l, &own, n_dims, dims);
    Branch b;
    branch_open(l, &b, lower_value(l, inside));
    store_at(l, total, reduction_combine(l->c, n->kind, read_at(l, total), lower_value(l, binder_body(n))));
    branch_close(l, &b);
    nest_close(l, &own);
    nest_close(l, &streamed);
    return read_at(l, total);
}
