/* Ranges of loops from conditions: `j <= i and i - j < w` becomes the range max(0, i - w + 1) <= j <
 * min(size(j), i + 1),
 * `(i - j) % r == 0` a step. Only conjuncts that the range covers exactly are dropped; the others are tested
 * as well. */
#include "lower_internal.h"

/* One side of an inequality that is being solved for the variable. */
typedef struct Solve {
    Compilation *c;
    const Index *variable;
    bool exact;
} Solve;

static Node *add(Compilation *c, Node *a, Node *b) { return node_binary(c, N_ADD, a, b); }
static Node *sub(Compilation *c, Node *a, Node *b) { return node_binary(c, N_SUB, a, b); }
static bool depends(const Solve *s, const Node *n) { return node_depends_on(n, s->variable); }

static bool is_positive(const Node *n) { return n->op == N_INT && n->integer > 0; }

/* Shape of the result: the variable is at most (upper) or at least (!upper) the returned bound. */
static Node *solve(Solve *s, Node *e, Node *bound, bool *upper)
{
    Compilation *c = s->c;
    if (e->op == N_INDEX && e->index == s->variable) return bound;
    if (e->n_args == 0) return NULL;
    Node *a = e->args[0], *b = e->n_args > 1 ? e->args[1] : NULL;
    bool left = depends(s, a), right = b && depends(s, b);
    if (left && right) return NULL;
    switch (e->op) {
    case N_ADD: return left ? solve(s, a, sub(c, bound, b), upper) : solve(s, b, sub(c, bound, a), upper);
    case N_SUB:
        if (left) return solve(s, a, add(c, bound, b), upper);
        *upper = !*upper;
        return solve(s, b, sub(c, a, bound), upper);
    case N_NEG: *upper = !*upper; return solve(s, a, node_unary(c, N_NEG, bound), upper);
    case N_FLOORDIV:
        if (!left || !is_positive(b)) return NULL;
        bound = node_binary(c, N_MUL, bound, b);
        return solve(s, a, *upper ? add(c, bound, sub(c, b, node_int(c, 1))) : bound, upper);
    case N_MIN: /* min(a, b) >= bound: both are; min(a, b) <= bound says nothing of one */
    case N_MAX:
        if ((e->op == N_MAX) != *upper) return NULL;
        s->exact = false;
        return solve(s, left ? a : b, bound, upper);
    default: return NULL;
    }
}

/* A divisor that is only known when it runs: the bound holds if it is positive. */
static Node *solve_quotient(Solve *s, Node *e, Node *bound, bool *upper)
{
    if (e->op != N_FLOORDIV || depends(s, e->args[1]) || is_positive(e->args[1]))
        return solve(s, e, bound, upper);
    Compilation *c = s->c;
    Node *divisor = e->args[1], *one = node_int(c, 1);
    Node *scaled = node_binary(c, N_MUL, bound, divisor);
    Node *limit = solve(s, e->args[0], *upper ? add(c, scaled, sub(c, divisor, one)) : scaled, upper);
    if (!limit) return NULL;
    s->exact = false;
    Node *none = node_int(c, *upper ? INT64_MAX / 2 : INT64_MIN / 2);
    return node_if(c, node_binary(c, N_LT, node_int(c, 0), divisor), limit, none);
}

static void narrow(Compilation *c, Range *range, Node *bound, bool upper)
{
    if (upper)
        range->hi = node_binary(c, N_MIN, range->hi, add(c, bound, node_int(c, 1)));
    else
        range->lo = node_binary(c, N_MAX, range->lo, bound);
}

/* e <= bound or e >= bound. True if the range now says so exactly. */
static bool apply(Solve *s, Range *range, Node *e, Node *bound, bool upper)
{
    if (!depends(s, e) || depends(s, bound)) return false;
    if (e->op == N_ABS && upper) { /* |x| <= bound */
        bool above = apply(s, range, e->args[0], bound, true);
        return apply(s, range, e->args[0], node_unary(s->c, N_NEG, bound), false) && above;
    }
    s->exact = true;
    Node *limit = solve_quotient(s, e, bound, &upper);
    if (!limit) return false;
    narrow(s->c, range, limit, upper);
    return s->exact;
}

/* (i - j) % r == k: every r-th position, from the first one in the range. The test stays unless r is a
 * literal and k 0. */
static bool apply_residue(Solve *s, Range *range, Node *mod, Node *k)
{
    Compilation *c = s->c;
    Node *e = mod->args[0], *r = mod->args[1];
    if (range->step || depends(s, r) || depends(s, k)) return false;
    Node *target = NULL;
    bool left = e->n_args == 2 && depends(s, e->args[0]), right = e->n_args == 2 && depends(s, e->args[1]);
    if (e->op == N_INDEX)
        target = k;
    else if (e->op == N_SUB && right && !left && e->args[1]->op == N_INDEX)
        target = sub(c, e->args[0], k);
    else if (e->op == N_SUB && left && !right && e->args[0]->op == N_INDEX)
        target = add(c, e->args[1], k);
    else if (e->op == N_ADD && left != right && e->args[right]->op == N_INDEX)
        target = sub(c, k, e->args[!right]);
    if (!target) return false;
    Node *step = node_binary(c, N_MAX, r, node_int(c, 1));
    range->lo = add(c, range->lo, node_binary(c, N_MOD, sub(c, target, range->lo), step));
    range->step = step;
    return is_positive(r) && node_is_int(k, 0);
}

static bool apply_test(Solve *s, Range *range, const Node *test)
{
    if (test->n_args != 2 || test->args[0]->type != TYPE_INT) return false;
    Node *a = test->args[0], *b = test->args[1], *one = node_int(s->c, 1);
    switch (test->op) {
    case N_LE: return depends(s, a) ? apply(s, range, a, b, true) : apply(s, range, b, a, false);
    case N_LT:
        return depends(s, a) ? apply(s, range, a, sub(s->c, b, one), true)
                             : apply(s, range, b, add(s->c, a, one), false);
    case N_EQ: {
        if (!depends(s, a)) {
            Node *t = a;
            a = b;
            b = t;
        }
        bool exact = apply(s, range, a, b, true);
        return apply(s, range, a, b, false) && exact;
    }
    default: return false;
    }
}

static bool is_residue(const Node *test, unsigned side)
{
    return test->op == N_EQ && test->args[side]->op == N_MOD;
}

static bool usable(const Node *test, const IndexSet *later, const Index *variable)
{
    IndexSet hidden = set_and(test->free, later);
    return set_is_empty(&hidden) && node_depends_on(test, variable);
}

static void filter(Lower *l, Solve *s, Range *range, NodeList *tests, const IndexSet *later, bool residues)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < tests->n; k++) {
        Node *test = tests->at[k];
        bool done = false;
        if (usable(test, later, s->variable) && !is_heavy(l, test)) {
            if (!residues)
                done = apply_test(s, range, test);
            else if (is_residue(test, 0))
                done = apply_residue(s, range, test->args[0], test->args[1]);
            else if (is_residue(test, 1))
                done = apply_residue(s, range, test->args[1], test->args[0]);
        }
        if (!done) tests->at[kept++] = test;
    }
    tests->n = kept;
}

Range tighten_interval(Lower *l, Index *variable, Range range, NodeList *tests, const IndexSet *later)
{
    Solve s = {l->c, variable, true};
    filter(l, &s, &range, tests, later, false);
    return range;
}

Range tighten(Lower *l, Index *variable, Range range, NodeList *tests, const IndexSet *later)
{
    Solve s = {l->c, variable, true};
    range = tighten_interval(l, variable, range, tests, later);
    filter(l, &s, &range, tests, later, true);
    return range;
}
