/* Interval arithmetic over expressions (see box.h). Int tensors are bounded by their minimum and maximum over
 * the coordinates that the box reaches, bool tensors by `any` and `all`. Requires: int arithmetic that does
 * not wrap in the box. Ensures: soundness, which the tests check at random. */
#include "box.h"

#include "walk.h"

typedef struct Interval {
    Node *lo, *hi;
} Interval; /* inclusive; NULL: not known */
typedef struct Truth {
    Node *hold, *fail;
} Truth;

static Interval interval(Compilation *c, const Box *box, Node *n);
static Truth truth(Compilation *c, const Box *box, Node *n);

static Node *op(Compilation *c, Op o, Node *a, Node *b) { return a && b ? node_binary(c, o, a, b) : NULL; }

static bool touches(const Box *box, const Node *n)
{
    for (unsigned k = 0; k < box->n; k++)
        if (node_depends_on(n, box->sides[k].index)) return true;
    return false;
}

static Interval index_interval(Compilation *c, const Box *box, Node *n)
{
    for (unsigned k = 0; k < box->n; k++)
        if (box->sides[k].index == n->index)
            return (Interval){box->sides[k].lo, op(c, N_SUB, box->sides[k].hi, node_int(c, 1))};
    return (Interval){n, n};
}

static Interval multiply(Compilation *c, Interval a, Interval b)
{
    Node *p = op(c, N_MUL, a.lo, b.lo), *q = op(c, N_MUL, a.lo, b.hi), *r = op(c, N_MUL, a.hi, b.lo),
         *s = op(c, N_MUL, a.hi, b.hi);
    return (Interval){op(c, N_MIN, op(c, N_MIN, p, q), op(c, N_MIN, r, s)),
                      op(c, N_MAX, op(c, N_MAX, p, q), op(c, N_MAX, r, s))};
}

/* Quotients by a divisor that is the same in the whole box: monotone, one way or the other; by 0 always 0. */
static Interval divide(Compilation *c, Interval a, Node *b)
{
    Node *p = op(c, N_FLOORDIV, a.lo, b), *q = op(c, N_FLOORDIV, a.hi, b);
    return (Interval){op(c, N_MIN, p, q), op(c, N_MAX, p, q)};
}

/* Remainders: exact while the quotient does not change (by 0 it is always 0, and x % 0 is x), else anything
 * the divisor allows. */
static Interval modulo(Compilation *c, Interval a, Node *b)
{
    if (!a.lo || !a.hi) return (Interval){NULL, NULL};
    Node *zero = node_int(c, 0), *one = node_int(c, 1);
    Node *same = op(c, N_EQ, op(c, N_FLOORDIV, a.lo, b), op(c, N_FLOORDIV, a.hi, b));
    Node *least = op(c, N_MIN, op(c, N_ADD, b, one), zero), *most = op(c, N_MAX, op(c, N_SUB, b, one), zero);
    return (Interval){node_if(c, same, op(c, N_MOD, a.lo, b), least),
                      node_if(c, same, op(c, N_MOD, a.hi, b), most)};
}

static Interval absolute(Compilation *c, Interval a)
{
    if (!a.lo || !a.hi) return (Interval){node_int(c, 0), NULL};
    Node *zero = node_int(c, 0), *minus = node_unary(c, N_NEG, a.lo);
    Node *least = op(c, N_MAX, zero, op(c, N_MAX, a.lo, node_unary(c, N_NEG, a.hi)));
    return (Interval){least, op(c, N_MAX, minus, a.hi)};
}

static Interval join(Compilation *c, Interval a, Interval b)
{
    return (Interval){op(c, N_MIN, a.lo, b.lo), op(c, N_MAX, a.hi, b.hi)};
}

static Interval choose(Compilation *c, const Box *box, Node *n)
{
    Interval a = interval(c, box, n->args[1]), b = interval(c, box, n->args[2]), both = join(c, a, b);
    if (touches(box, n->args[0])) {
        Truth t = truth(c, box, n->args[0]);
        Node *never = node_unary(c, N_NOT, t.hold), *always = node_unary(c, N_NOT, t.fail);
        if (!both.lo || !both.hi) return both;
        return (Interval){node_if(c, never, b.lo, node_if(c, always, a.lo, both.lo)),
                          node_if(c, never, b.hi, node_if(c, always, a.hi, both.hi))};
    }
    return (Interval){a.lo && b.lo ? node_if(c, n->args[0], a.lo, b.lo) : NULL,
                      a.hi && b.hi ? node_if(c, n->args[0], a.hi, b.hi) : NULL};
}

/* A READ over all coordinates that the box reaches: `n` with a fresh variable for every coordinate that
 * moves. */
typedef struct Reach {
    Node *read, **at;
    unsigned n, dim; /* dim: the last that moves */
    Index *vars[16];
    Node *lo[16], *hi[16];
} Reach;

static bool reach(Compilation *c, const Box *box, Node *n, Reach *r)
{
    Node **at = NEW_ARRAY(c, Node *, n->n_args);
    IndexSet used = *n->free;
    r->n = 0;
    for (unsigned k = 0; k < n->n_args; k++) {
        at[k] = n->args[k];
        if (!touches(box, n->args[k])) continue;
        Interval range = interval(c, box, n->args[k]);
        if (!range.lo || !range.hi || r->n == 16) return false;
        set_add(&used, n->tensor->dims[k]->id);
        Index *v = index_variant(c, n->tensor->dims[k], &used);
        set_add(&used, v->id);
        r->lo[r->n] = op(c, N_MAX, range.lo, node_int(c, 0));
        r->hi[r->n] = op(c, N_MIN, op(c, N_ADD, range.hi, node_int(c, 1)), node_size(c, v));
        r->vars[r->n++] = v;
        r->dim = k;
        at[k] = node_index(c, v);
    }
    r->at = at;
    r->read = node_read(c, n->tensor, at, n->guarded);
    return true;
}

static bool moves_plainly(const Box *box, const Node *n)
{
    if (!touches(box, n) || n->op == N_INDEX) return true;
    if (n->op != N_ADD && n->op != N_SUB && n->op != N_MIN && n->op != N_MAX) return false;
    return moves_plainly(box, n->args[0]) && moves_plainly(box, n->args[1]);
}

int box_summary_dim(const Box *box, const Node *read)
{
    int dim = -1;
    for (unsigned k = 0; k < read->n_args; k++) {
        if (!touches(box, read->args[k])) continue;
        if (dim >= 0 || !moves_plainly(box, read->args[k])) return -1;
        dim = (int)k;
    }
    return dim;
}

/* The same over the chunks that the range meets. */
static Node *over_chunks(Compilation *c, Reach *r, const Summary *s, Reduction kind)
{
    bool low = kind == REDUCE_MIN || kind == REDUCE_ALL;
    Node *size = node_int(c, SUMMARY), *one = node_int(c, 1);
    Node *lo = op(c, N_FLOORDIV, r->lo[0], size),
         *hi = op(c, N_ADD, op(c, N_FLOORDIV, op(c, N_SUB, r->hi[0], one), size), one);
    Index *chunk = index_variant(c, s->chunk, set_one(c, s->chunk));
    r->at[r->dim] = node_index(c, chunk);
    Node *read = node_read(c, low ? s->least : s->most, r->at, r->read->guarded);
    return node_binder(c, N_REDUCE, kind, 1, &chunk, &lo, &hi, node_bool(c, true), read, NULL);
}

static Node *over_reach(Compilation *c, const Box *box, Reach *r, Reduction kind)
{
    for (uint32_t k = 0; box->summaries && r->n == 1 && k < box->summaries->n; k++) {
        const Summary *s = &box->summaries->at[k];
        if (s->tensor == r->read->tensor && s->dim == r->dim) return over_chunks(c, r, s, kind);
    }
    return node_binder(c, N_REDUCE, kind, r->n, r->vars, r->lo, r->hi, node_bool(c, true), r->read, NULL);
}

/* Coordinates outside (guarded reads) give 0. */
static Interval read_interval(Compilation *c, const Box *box, Node *n)
{
    Reach r;
    if (!reach(c, box, n, &r)) return (Interval){NULL, NULL};
    Interval x = {over_reach(c, box, &r, REDUCE_MIN), over_reach(c, box, &r, REDUCE_MAX)};
    if (!n->guarded) return x;
    return (Interval){op(c, N_MIN, x.lo, node_int(c, 0)), op(c, N_MAX, x.hi, node_int(c, 0))};
}

static Interval interval(Compilation *c, const Box *box, Node *n)
{
    if (!touches(box, n)) return (Interval){n, n};
    Interval unknown = {NULL, NULL}, a = unknown, b = unknown;
    if (n->op == N_INDEX) return index_interval(c, box, n);
    if (n->op == N_READ) return read_interval(c, box, n);
    if (n->op == N_IF) return choose(c, box, n);
    if (n->op == N_TO_INT && n->args[0]->type == TYPE_BOOL) {
        Truth t = truth(c, box, n->args[0]);
        return (Interval){node_unary(c, N_TO_INT, node_unary(c, N_NOT, t.fail)),
                          node_unary(c, N_TO_INT, t.hold)};
    }
    if (node_is_binder(n) || n->n_args == 0 || n->args[0]->type != TYPE_INT) return unknown;
    a = interval(c, box, n->args[0]);
    if (n->n_args > 1) b = interval(c, box, n->args[1]);
    bool steady = n->n_args > 1 && !touches(box, n->args[1]);
    switch (n->op) {
    case N_ADD: return (Interval){op(c, N_ADD, a.lo, b.lo), op(c, N_ADD, a.hi, b.hi)};
    case N_SUB: return (Interval){op(c, N_SUB, a.lo, b.hi), op(c, N_SUB, a.hi, b.lo)};
    case N_NEG:
        return (Interval){a.hi ? node_unary(c, N_NEG, a.hi) : NULL, a.lo ? node_unary(c, N_NEG, a.lo) : NULL};
    case N_MUL: return multiply(c, a, b);
    case N_FLOORDIV: return steady && a.lo && a.hi ? divide(c, a, n->args[1]) : unknown;
    case N_MOD: return steady ? modulo(c, a, n->args[1]) : unknown;
    case N_MIN: return (Interval){op(c, N_MIN, a.lo, b.lo), op(c, N_MIN, a.hi, b.hi)};
    case N_MAX: return (Interval){op(c, N_MAX, a.lo, b.lo), op(c, N_MAX, a.hi, b.hi)};
    case N_ABS: return absolute(c, a);
    default: return unknown;
    }
}

/* ---- conditions ---- */

/* What literals say of elements that are in a declared range, and of their least and greatest. */
static const Node *declared(const Node *n, bool upper)
{
    if (n->op == N_INT) return n;
    if (n->op == N_REDUCE && (n->kind == REDUCE_MIN || n->kind == REDUCE_MAX)) n = binder_body(n);
    const Node *limit = n->op != N_READ || n->guarded ? NULL : upper ? n->tensor->hi : n->tensor->lo;
    return limit && limit->op == N_INT ? limit : NULL;
}

/* a < b or a <= b: true, false or as it stands. */
static Node *order(Compilation *c, Op o, Node *a, Node *b)
{
    const Node *least[2], *most[2];
    Node *const sides[] = {a, b};
    int64_t lo[2] = {INT64_MIN, INT64_MIN}, hi[2] = {INT64_MAX, INT64_MAX};
    for (unsigned k = 0; a && b && k < 2; k++) {
        least[k] = declared(sides[k], false);
        most[k] = declared(sides[k], true);
        if (least[k]) lo[k] = least[k]->integer;
        if (most[k]) hi[k] = most[k]->integer - (sides[k]->op != N_INT);
    }
    if (o == N_LE ? hi[0] <= lo[1] : hi[0] < lo[1]) return node_bool(c, true);
    if (o == N_LE ? hi[1] < lo[0] : hi[1] <= lo[0]) return node_bool(c, false);
    return op(c, o, a, b);
}

static Node *known(Compilation *c, Node *a) { return a ? a : node_bool(c, true); }

static Truth compare(Compilation *c, const Box *box, Node *n)
{
    Interval a = interval(c, box, n->args[0]), b = interval(c, box, n->args[1]);
    if (n->op == N_LT || n->op == N_LE)
        return (Truth){known(c, order(c, n->op, a.lo, b.hi)),
                       known(c, order(c, n->op == N_LT ? N_LE : N_LT, b.lo, a.hi))};
    Node *meet = op(c, N_AND, order(c, N_LE, a.lo, b.hi), order(c, N_LE, b.lo, a.hi));
    Node *differ = op(c, N_OR, order(c, N_LT, a.lo, b.hi), order(c, N_LT, b.lo, a.hi));
    if (n->op == N_EQ) return (Truth){known(c, meet), known(c, differ)};
    return (Truth){known(c, differ), known(c, meet)};
}

static Truth read_truth(Compilation *c, const Box *box, Node *n)
{
    Reach r;
    Node *always = node_bool(c, true);
    if (!reach(c, box, n, &r)) return (Truth){always, always};
    Node *all = over_reach(c, box, &r, REDUCE_ALL);
    return (Truth){over_reach(c, box, &r, REDUCE_ANY), n->guarded ? always : node_unary(c, N_NOT, all)};
}

static Truth logic(Compilation *c, const Box *box, Node *n)
{
    Truth a = truth(c, box, n->args[0]), b = truth(c, box, n->args[1]);
    Op other = n->op == N_AND ? N_OR : N_AND;
    return (Truth){op(c, n->op, a.hold, b.hold), op(c, other, a.fail, b.fail)};
}

static Truth choose_truth(Compilation *c, const Box *box, Node *n)
{
    Truth t = truth(c, box, n->args[0]), a = truth(c, box, n->args[1]), b = truth(c, box, n->args[2]);
    Node *hold = op(c, N_OR, op(c, N_AND, t.hold, a.hold), op(c, N_AND, t.fail, b.hold));
    return (Truth){hold, op(c, N_OR, op(c, N_AND, t.hold, a.fail), op(c, N_AND, t.fail, b.fail))};
}

static Truth truth(Compilation *c, const Box *box, Node *n)
{
    Node *always = node_bool(c, true);
    if (!touches(box, n)) return (Truth){n, node_unary(c, N_NOT, n)};
    switch (n->op) {
    case N_AND:
    case N_OR: return logic(c, box, n);
    case N_NOT: {
        Truth a = truth(c, box, n->args[0]);
        return (Truth){a.fail, a.hold};
    }
    case N_IF: return choose_truth(c, box, n);
    case N_READ: return read_truth(c, box, n);
    case N_EQ:
    case N_NE:
    case N_LT:
    case N_LE:
        if (n->args[0]->type == TYPE_INT) return compare(c, box, n);
        return (Truth){always, always};
    default: return (Truth){always, always};
    }
}

Node *box_least(Compilation *c, const Box *box, Node *n) { return interval(c, box, n).lo; }
Node *box_greatest(Compilation *c, const Box *box, Node *n) { return interval(c, box, n).hi; }
Node *box_may_hold(Compilation *c, const Box *box, Node *test) { return truth(c, box, test).hold; }
Node *box_may_fail(Compilation *c, const Box *box, Node *test) { return truth(c, box, test).fail; }
