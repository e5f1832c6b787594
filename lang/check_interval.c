/* The last resort of subscript safety: bounds of a coordinate by intervals over extents and parameters, which
 * make a condition for when tensors are bound. Coarse (every variable ranges by itself), but exact for what
 * occurs: block numbers `j // w`, strided and shifted reads.
 *
 * Divisors and factors that are parameters are supposed to be positive, and that becomes part of the
 * condition. */
#include "check_facts.h"

typedef struct Interval { Node *lo, *hi; } Interval; /* lo NULL: unknown */
typedef struct Intervals {
    Checker *k;
    const ProveScope *scope;
    Node *condition;  /* supposed so far */
    Node *empty;      /* a variable that was used ranges over nothing */
    bool used_facts;
    unsigned work;
} Intervals;

static Interval bounds(Intervals *x, Node *n);

static Interval none(void) { return (Interval){NULL, NULL}; }

static bool is_pure(Compilation *c, const Node *n)
{
    return n->free == set_empty(c) && !n->has_binder && n->op != N_READ && n->op != N_RAND &&
           n->op != N_CHECK;
}

static Node *op(Intervals *x, Op o, Node *a, Node *b) { return node_binary(x->k->c, o, a, b); }
static Node *lit(Intervals *x, int64_t n) { return node_int(x->k->c, n); }

static void suppose(Intervals *x, Node *test) { x->condition = op(x, N_AND, x->condition, test); }

/* n >= least (0 or 1), by a condition if need be; false: not to be supposed. */
static bool at_least(Intervals *x, Node *n, int64_t least)
{
    switch (n->op) {
    case N_INT: return n->integer >= least;
    case N_SIZE:
        if (least) suppose(x, op(x, N_LE, lit(x, 1), n));
        return true;
    case N_PARAM:
        if (n->param->has_default && n->param->value.integer < least) return false;
        suppose(x, op(x, N_LE, lit(x, least), n));
        return true;
    case N_ADD: return at_least(x, n->args[0], least) && at_least(x, n->args[1], 0);
    case N_MUL: return at_least(x, n->args[0], least) && at_least(x, n->args[1], least);
    case N_FLOORDIV: return !least && at_least(x, n->args[0], 0) && at_least(x, n->args[1], 1);
    case N_MAX:
        return n->args[0]->op == N_INT ? n->args[0]->integer >= least || at_least(x, n->args[1], least)
                                       : at_least(x, n->args[0], least) || at_least(x, n->args[1], least);
    case N_MIN: return at_least(x, n->args[0], least) && at_least(x, n->args[1], least);
    default: return false;
    }
}

/* A simple condition on the variable v: `bound <= v` or `v < bound`, with a pure bound. */
static void tighten(Intervals *x, const Node *fact, const Node *v, Interval *r)
{
    if (fact->op != N_LT && fact->op != N_LE) return;
    Node *a = fact->args[0], *b = fact->args[1];
    int64_t strict = fact->op == N_LT;
    if (b == v && is_pure(x->k->c, a)) {
        Node *lo = op(x, N_ADD, a, lit(x, strict));
        r->lo = node_is_int(r->lo, 0) && lo->op == N_INT && lo->integer < 0 ? r->lo : op(x, N_MAX, r->lo, lo);
        x->used_facts = true;
    } else if (a == v && is_pure(x->k->c, b)) {
        r->hi = op(x, N_MIN, r->hi, op(x, N_SUB, b, lit(x, strict)));
        x->used_facts = true;
    }
}

static Interval variable(Intervals *x, Node *n)
{
    Compilation *c = x->k->c;
    Node *size = node_size(c, n->index);
    Interval r = {lit(x, 0), op(x, N_SUB, size, lit(x, 1))};
    for (uint32_t k = 0; k < x->scope->ranges.n; k++) {
        const ProveRange *range = &x->scope->ranges.at[k];
        if (range->index != n->index || range->hi == size) continue;
        Interval lo = bounds(x, range->lo), hi = bounds(x, range->hi);
        if (!lo.lo || !hi.lo) return none();
        r = (Interval){op(x, N_MAX, r.lo, lo.lo), op(x, N_MIN, r.hi, op(x, N_SUB, hi.hi, lit(x, 1)))};
    }
    for (uint32_t k = 0; k < x->scope->facts.n; k++) tighten(x, x->scope->facts.at[k], n, &r);
    if (!is_pure(c, size)) return none();
    x->empty = op(x, N_OR, x->empty, op(x, N_LT, r.hi, r.lo));
    return r;
}

static Interval product(Intervals *x, Node *a, Node *b)
{
    Compilation *c = x->k->c;
    if (is_pure(c, a)) return is_pure(c, b) ? none() : product(x, b, a);
    if (!is_pure(c, b)) return none();
    Interval r = bounds(x, a);
    if (!r.lo) return r;
    if (b->op == N_INT && b->integer < 0) return (Interval){op(x, N_MUL, r.hi, b), op(x, N_MUL, r.lo, b)};
    if (!at_least(x, b, 0)) return none();
    return (Interval){op(x, N_MUL, r.lo, b), op(x, N_MUL, r.hi, b)};
}

static Interval monotone(Intervals *x, Op o, Node *a, Node *b)
{
    Interval p = bounds(x, a), q = bounds(x, b);
    if (!p.lo || !q.lo) return none();
    if (o == N_SUB) return (Interval){op(x, o, p.lo, q.hi), op(x, o, p.hi, q.lo)};
    return (Interval){op(x, o, p.lo, q.lo), op(x, o, p.hi, q.hi)};
}

static Interval divided(Intervals *x, Op o, Node *a, Node *b)
{
    Interval p = bounds(x, a);
    if (!p.lo || !is_pure(x->k->c, b) || !at_least(x, b, 1)) return none();
    if (o == N_MOD) return (Interval){lit(x, 0), op(x, N_SUB, b, lit(x, 1))};
    return (Interval){op(x, o, p.lo, b), op(x, o, p.hi, b)};
}

static Interval bounds(Intervals *x, Node *n)
{
    if (++x->work > 2000) return none();
    if (is_pure(x->k->c, n)) return (Interval){n, n};
    switch (n->op) {
    case N_INDEX: return variable(x, n);
    case N_ADD: case N_SUB: case N_MIN: case N_MAX: return monotone(x, n->op, n->args[0], n->args[1]);
    case N_NEG: return monotone(x, N_SUB, lit(x, 0), n->args[0]);
    case N_MUL: return product(x, n->args[0], n->args[1]);
    case N_FLOORDIV: case N_MOD: return divided(x, n->op, n->args[0], n->args[1]);
    case N_READ:
        if (n->tensor->lo) return (Interval){n->tensor->lo, op(x, N_SUB, n->tensor->hi, lit(x, 1))};
        return none();
    default: return none();
    }
}

static Node *note_leaf(void *context, Compilation *c, Node *n)
{
    ProveScope *s = context;
    if (n->op == N_SIZE) PUSH(c, &s->conditions, node_binary(c, N_LE, node_int(c, 2), n));
    if (n->op != N_PARAM || n->type != TYPE_INT) return n;
    bool known = n->param->has_default;
    Node *value = node_int(c, known ? n->param->value.integer : 2);
    PUSH(c, &s->conditions, node_binary(c, known ? N_EQ : N_LE, value, n));
    return n;
}

/* Can it hold with two elements along every extent and the defaults of the parameters? */
static bool is_sensible(Compilation *c, Node *test)
{
    ProveScope s = {0};
    node_rewrite(c, test, note_leaf, &s);
    return !node_is_bool(test, false) && prove_truth(c, &s, test) != 0;
}

bool interval_condition(Checker *k, const ProveScope *scope, Node *at, Node *extent, Proof *p)
{
    Compilation *c = k->c;
    Intervals x = {.k = k, .scope = scope, .condition = node_bool(c, true), .empty = node_bool(c, false)};
    Interval r = bounds(&x, at);
    if (!r.lo || !is_pure(c, extent)) return false;
    Node *low = node_binary(c, N_LE, node_int(c, 0), r.lo), *high = node_binary(c, N_LT, r.hi, extent);
    Node *both_ends = node_binary(c, N_AND, low, high);
    if (!is_sensible(c, low) || !is_sensible(c, high) || !is_sensible(c, both_ends)) return false;
    Node *test = node_binary(c, N_AND, x.condition, node_binary(c, N_OR, x.empty, both_ends));
    *p = (Proof){.result = PROVED_IF, .used_facts = x.used_facts, .condition = test};
    return true;
}
