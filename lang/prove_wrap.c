/* Proofs are about integers, machines wrap around at 64 bits. This finds the terms for which the two
 * agree: intervals from the sizes that things can have at all. */
#include "prove_state.h"

typedef struct Interval { __int128 lo, hi; bool wraps; } Interval;
typedef struct Wrap { Compilation *c; unsigned budget, depth; } Wrap;

static const __int128 most = ((__int128)1 << 31) - 1; /* bound extents, |parameters|: docs/safety.md S13 */

static Interval any_int(bool wraps) { return (Interval){INT64_MIN, INT64_MAX, wraps}; }
static __int128 smaller(__int128 a, __int128 b) { return a < b ? a : b; }
static __int128 larger(__int128 a, __int128 b) { return a > b ? a : b; }

static Interval fit(Interval a) { return a.lo < INT64_MIN || a.hi > INT64_MAX ? any_int(true) : a; }

static Interval times(Interval a, Interval b) { /* each end fits 64 bits */
    const __int128 w = a.lo * b.lo, x = a.lo * b.hi, y = a.hi * b.lo, z = a.hi * b.hi;
    return (Interval){smaller(smaller(w, x), smaller(y, z)), larger(larger(w, x), larger(y, z)), false};
}

static Interval bits_below(Interval a, Interval b) { /* of &: within a literal that is not negative */
    if (a.lo == a.hi && a.lo >= 0) return (Interval){0, a.hi, false};
    return b.lo == b.hi && b.lo >= 0 ? (Interval){0, b.hi, false} : any_int(false);
}

static Interval quotient(Interval a, Interval b)
{
    const __int128 far = larger(larger(a.hi, -a.lo), 0);
    if (b.lo > 0 && a.lo >= 0) return (Interval){0, a.hi / b.lo, false};
    return (Interval){-far, far, false};
}

static Interval remainder_of(Interval a, Interval b)
{
    if (b.lo > 0) return (Interval){0, b.hi - 1, false};
    const __int128 far = larger(larger(b.hi, -b.lo), larger(a.hi, -a.lo));
    return (Interval){-far, far, false};
}

static Interval combine(Op op, Interval a, Interval b)
{
    switch (op) {
    case N_ADD: return (Interval){a.lo + b.lo, a.hi + b.hi, false};
    case N_SUB: return (Interval){a.lo - b.hi, a.hi - b.lo, false};
    case N_MUL: return times(a, b);
    case N_FLOORDIV: return quotient(a, b);
    case N_MOD: return remainder_of(a, b);
    case N_MIN: return (Interval){smaller(a.lo, b.lo), smaller(a.hi, b.hi), false};
    case N_MAX: return (Interval){larger(a.lo, b.lo), larger(a.hi, b.hi), false};
    case N_BITAND: return bits_below(a, b);
    case N_SHL:
        return b.lo < 0 || b.hi > 62 ? any_int(true)
                                     : times(a, (Interval){(__int128)1 << b.lo, (__int128)1 << b.hi, false});
    default: return any_int(false);
    }
}

static Interval interval_of(Wrap *w, const Node *n);

static Interval binary_interval(Wrap *w, const Node *n)
{
    const Interval a = interval_of(w, n->args[0]), b = interval_of(w, n->args[1]);
    Interval r = fit(combine(n->op, a, b));
    r.wraps |= a.wraps | b.wraps;
    return r;
}

static Interval hull(Interval a, Interval b)
{
    return (Interval){smaller(a.lo, b.lo), larger(a.hi, b.hi), a.wraps | b.wraps};
}

static Interval negated(Interval a) { return fit((Interval){-a.hi, -a.lo, a.wraps}); }

static Interval within(Wrap *w, const Node *lo, const Node *hi) { /* lo <= x < hi */
    const Interval a = interval_of(w, lo), b = interval_of(w, hi);
    return fit((Interval){smaller(a.lo, b.lo - 1), larger(a.hi, b.hi - 1), a.wraps | b.wraps});
}

static Interval read_interval(Wrap *w, const Node *n)
{
    const Tensor *t = n->tensor;
    bool wraps = false;
    for (unsigned k = 0; k < n->n_args; k++) wraps |= interval_of(w, n->args[k]).wraps;
    Interval r = any_int(false);
    if (t->body && (!t->group || t->body->op == N_CHECK) && w->depth < MAX_LOOK_THROUGH) {
        w->depth++;
        r = interval_of(w, t->body);
        w->depth--;
    } else if (!t->body && t->lo && t->hi) {
        r = within(w, t->lo, t->hi);
    }
    r.wraps |= wraps;
    return r;
}

static Interval binder_interval(const Node *n) { /* positions and counts: of what exists */
    const bool position = n->op == N_TOP_INDEX || n->op == N_POSITIONS || n->op == N_RANK ||
                          (n->op == N_REDUCE && (n->kind == REDUCE_ARGMAX || n->kind == REDUCE_ARGMIN));
    const bool count = n->op == N_REDUCE && n->kind == REDUCE_SUM && binder_body(n)->op == N_TO_INT;
    return position || count ? (Interval){-1, (__int128)1 << 62, false} : any_int(false);
}

static Interval index_interval(Wrap *w, const Index *v)
{
    if (!v->extent || w->depth >= MAX_LOOK_THROUGH) return (Interval){0, most, false};
    w->depth++;
    const Interval extent = interval_of(w, v->extent);
    w->depth--;
    return (Interval){0, larger(extent.hi, 0), extent.wraps};
}

/* The conditions of IF are not looked at: either value will do. */
static Interval interval_of(Wrap *w, const Node *n)
{
    if (!w->budget || n->type != TYPE_INT) return any_int(!w->budget);
    w->budget--;
    switch (n->op) {
    case N_INT: return (Interval){n->integer, n->integer, false};
    case N_SIZE: return (Interval){0, most, false};
    case N_INDEX: return index_interval(w, n->index);
    case N_PARAM: return (Interval){-most, most, false};
    case N_READ: return read_interval(w, n);
    case N_CHECK: return within(w, n->args[1], n->args[2]);
    case N_STOP: return interval_of(w, n->args[0]);
    case N_NEG: return negated(interval_of(w, n->args[0]));
    case N_ABS: {
        const Interval a = interval_of(w, n->args[0]), b = negated(a);
        return (Interval){0, larger(a.hi, b.hi), b.wraps};
    }
    case N_SIGN: return (Interval){-1, 1, interval_of(w, n->args[0]).wraps};
    case N_POPCOUNT: return (Interval){0, 64, false};
    case N_TO_INT: return n->args[0]->type == TYPE_BOOL ? (Interval){0, 1, false} : any_int(false);
    case N_IF: return hull(interval_of(w, n->args[1]), interval_of(w, n->args[2]));
    default:
        if (node_is_binder(n)) return binder_interval(n);
        return n->n_args == 2 ? binary_interval(w, n) : any_int(false);
    }
}

/* Sums and products are right modulo 2**64 whatever happens in between: their operands are what matters. */
static bool wraps_inside(Wrap *w, const Node *n)
{
    if (n->op == N_NEG) return wraps_inside(w, n->args[0]);
    if (n->op == N_ADD || n->op == N_SUB || n->op == N_MUL)
        return wraps_inside(w, n->args[0]) || wraps_inside(w, n->args[1]);
    return interval_of(w, n).wraps;
}

bool may_wrap(Compilation *c, const Node *n)
{
    Wrap w = {.c = c, .budget = 400};
    return wraps_inside(&w, n);
}

bool int_may_wrap(Compilation *c, const Node *n)
{
    Wrap w = {.c = c, .budget = 400};
    return interval_of(&w, n).wraps;
}
