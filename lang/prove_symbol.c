/* Symbols of a proof, and what is known about each as soon as it turns up. */
#include "prove_state.h"

/* Where a new symbol's facts come from: its rule, and the case or fact in which it turned up, since only
 * there is it known to have a value at all. */
static Origin by(const Prover *p, uint32_t rules) { return (Origin){.from = p->context, .rules = rules}; }

static void know_between(Prover *p, const Poly *s, Node *lo, Node *hi, Origin origin)
{
    Poly bound;
    if (lo && poly_of(p, lo, &bound)) know_difference(p, s, &bound, 0, origin);
    if (hi && poly_of(p, hi, &bound)) know_difference(p, &bound, s, 1, origin);
}

static void know_within(Prover *p, const Poly *s, int64_t least, int64_t most, Origin origin)
{
    const Poly lo = poly_constant(least), hi = poly_constant(most);
    know_difference(p, s, &lo, 0, origin);
    know_difference(p, &hi, s, 0, origin);
}

static void know_index(Prover *p, unsigned symbol, const Poly *s)
{
    Node *lo, *hi;
    Origin origin = by(p, BIT(S1));
    origin.variables = place_bit(symbol);
    if (prove_range(p, p->symbols[symbol].node->index, &lo, &hi)) origin.ranges = (uint64_t)1 << symbol;
    know_between(p, s, lo, hi, origin);
}

/* The positions over all variables of a binder, when each runs through its whole extent. */
static bool count_of(Prover *p, const Node *n, Poly *count)
{
    *count = poly_constant(1);
    for (unsigned k = 0; k < n->n_vars; k++) {
        Node *extent = node_size(p->c, n->vars[k]);
        Poly e;
        if (!node_is_int(binder_lo(n, k), 0) || binder_hi(n, k) != extent) return false;
        if (!poly_of(p, extent, &e) || !poly_multiply(p, count, &e, count)) return false;
    }
    return true;
}

/* -1 <= position < count; a count is not negative, since no extent is. */
static void know_position(Prover *p, const Poly *s, const Node *binder)
{
    const Poly none = poly_constant(-1);
    Poly count;
    know_difference(p, s, &none, 0, by(p, BIT(S9)));
    if (count_of(p, binder, &count)) know_difference(p, &count, s, 1, by(p, BIT(S9)));
}

static bool is_zero_or_one(const Node *n)
{
    return (n->op == N_TO_INT && n->args[0]->type == TYPE_BOOL) ||
           (n->op == N_INT && (n->integer | 1) == 1) ||
           (n->op == N_IF && is_zero_or_one(n->args[1]) && is_zero_or_one(n->args[2]));
}

static void know_binder(Prover *p, const Poly *s, const Node *n)
{
    const Poly zero = {0};
    Poly count;
    if (n->op == N_TOP_INDEX || n->op == N_POSITIONS || n->op == N_RANK) know_position(p, s, n);
    if (n->op != N_REDUCE) return;
    if (n->kind == REDUCE_ARGMAX || n->kind == REDUCE_ARGMIN) know_position(p, s, n);
    if (n->kind != REDUCE_SUM || !is_zero_or_one(binder_body(n))) return;
    know_difference(p, s, &zero, 0, by(p, BIT(S11)));
    if (count_of(p, n, &count)) know_difference(p, &count, s, 0, by(p, BIT(S11)));
}

/* A CHECK with bounds lo <= x < hi keeps its value there, unless there is no such value. */
static void know_check(Prover *p, unsigned symbol, const Node *check)
{
    Poly lo, hi;
    if (!poly_of(p, check->args[1], &lo) || !poly_of(p, check->args[2], &hi)) return;
    p->symbols[symbol].a = lo;
    p->symbols[symbol].b = hi;
    split_on(p, (Split){.kind = SPLIT_CHECK, .symbol = (uint8_t)symbol, .origin = by(p, BIT(S8))});
}

static void know_read(Prover *p, unsigned symbol, const Poly *s)
{
    Node *n = p->symbols[symbol].node;
    const Tensor *t = n->tensor;
    if (!t->body) {
        know_between(p, s, t->lo, t->hi, by(p, BIT(S8)));
        return;
    }
    const Node *body = t->body;
    if (body->op == N_CHECK) { /* its bounds hold for every step of a recurrence as well */
        Node *bounds[3];
        for (unsigned k = 0; k < 3; k++)
            bounds[k] = k ? node_substitute(p->c, body->args[k], t->n_dims, t->dims, n->args) : n;
        know_check(p, symbol, &(Node){.args = bounds});
    } else if (!t->group && node_is_binder(body)) {
        know_binder(p, s, body);
    }
}

/* Is b >= 1 known as it stands? */
static bool divisor_is_positive(Prover *p, const Poly *b, Origin *origin)
{
    if (!b->n) return b->constant > 0;
    for (unsigned k = 0; k < p->n_known; k++) {
        const Known *known = &p->known[k];
        Poly same = known->p;
        if (known->start || !poly_add_constant(&same, 1) || same.constant > b->constant) continue;
        same.constant = b->constant;
        if (!poly_equal(&same, b)) continue;
        *origin = origin_join(*origin, known->origin);
        return true;
    }
    return false;
}

void divisor_known(Prover *p, unsigned symbol, Origin origin)
{
    const Symbol *y = &p->symbols[symbol];
    Poly s, product, rest;
    if (!poly_symbol(p, symbol, &s)) return;
    if (y->op == N_MOD) {
        const Poly zero = {0};
        know_difference(p, &s, &zero, 0, origin);
        know_difference(p, &y->b, &s, 1, origin);
    } else if (poly_multiply(p, &s, &y->b, &product) && poly_scale_add(p, &y->a, 1, &product, -1, &rest)) {
        know(p, &rest, origin);                       /* a - n q >= 0 */
        know_difference(p, &y->b, &rest, 1, origin);  /* n - 1 - (a - n q) >= 0 */
    }
}

static void know_division(Prover *p, unsigned symbol)
{
    Origin origin = by(p, BIT(S6));
    const Poly *b = &p->symbols[symbol].b;
    if (divisor_is_positive(p, b, &origin)) divisor_known(p, symbol, origin);
    else if (b->n)
        split_on(p, (Split){.kind = SPLIT_DIVISOR, .symbol = (uint8_t)symbol, .origin = by(p, BIT(S6))});
}

static void know_order(Prover *p, unsigned symbol, const Poly *s)
{
    const Symbol y = p->symbols[symbol];
    const Poly zero = {0};
    if (y.op == N_MIN) {
        know_difference(p, &y.a, s, 0, by(p, BIT(S4)));
        know_difference(p, &y.b, s, 0, by(p, BIT(S4)));
    } else {
        Poly minus;
        know_difference(p, s, &y.a, 0, by(p, BIT(S4)));
        if (y.op == N_MAX) know_difference(p, s, &y.b, 0, by(p, BIT(S4)));
        else if (poly_scale_add(p, &y.a, -1, &zero, 0, &minus))
            know_difference(p, s, &minus, 0, by(p, BIT(S4)));
        if (y.op == N_ABS) know_difference(p, s, &zero, 0, by(p, BIT(S4)));
    }
    split_on(p, (Split){.kind = SPLIT_CHOICE, .symbol = (uint8_t)symbol, .origin = by(p, BIT(S4))});
}

static void know_bits(Prover *p, const Poly *s, const Node *n)
{
    for (unsigned k = 0; k < 2; k++)
        if (n->args[k]->op == N_INT && n->args[k]->integer >= 0)
            know_within(p, s, 0, n->args[k]->integer, by(p, BIT(S11)));
}

static void know_symbol(Prover *p, unsigned symbol)
{
    Node *n = p->symbols[symbol].node;
    const Poly zero = {0};
    Poly s;
    if (!poly_symbol(p, symbol, &s)) return;
    switch (p->symbols[symbol].op) {
    case N_INDEX: know_index(p, symbol, &s); return;
    case N_SIZE: know_difference(p, &s, &zero, 0, by(p, BIT(S1))); return;
    case N_PARAM: n->param->bounded = true; return;
    case N_READ: know_read(p, symbol, &s); return;
    case N_FLOORDIV: case N_MOD: know_division(p, symbol); return;
    case N_MIN: case N_MAX: case N_ABS: know_order(p, symbol, &s); return;
    case N_CHECK: know_check(p, symbol, n); return;
    case N_BITAND: know_bits(p, &s, n); return;
    case N_POPCOUNT: know_within(p, &s, 0, 64, by(p, BIT(S11))); return;
    case N_SIGN: know_within(p, &s, -1, 1, by(p, BIT(S11))); return;
    case N_TO_INT:
        if (n->args[0]->type != TYPE_BOOL) return;
        know_within(p, &s, 0, 1, by(p, BIT(S5))); /* and the cases of IF: */
        /* fall through */
    case N_IF:
        split_on(p, (Split){.kind = SPLIT_CHOICE, .symbol = (uint8_t)symbol, .origin = by(p, BIT(S5))});
        return;
    default:
        if (node_is_binder(n)) know_binder(p, &s, n);
    }
}

/* `like` indices and renamed copies share the extent of their root. */
static Node *canonical(Prover *p, Node *n)
{
    if (n->op != N_SIZE) return n;
    Index *root = n->index->root;
    return root && root != n->index && !n->index->extent && !root->extent ? node_size(p->c, root) : n;
}

static bool same_symbol(const Symbol *y, Op op, const Node *n, const Poly *a, const Poly *b)
{
    if (y->op != op) return false;
    if (!a) return y->node == n;
    return poly_equal(&y->a, a) && (!b || poly_equal(&y->b, b));
}

static bool poly_pure(const Prover *p, const Poly *a)
{
    for (unsigned k = 0; k < a->n; k++)
        if (!mono_pure(p, a->mono[k])) return false;
    return true;
}

bool term_symbol(Prover *p, Op op, Node *n, const Poly *a, const Poly *b, Poly *out)
{
    if (n) n = canonical(p, n);
    for (unsigned k = 0; k < p->n_symbols; k++)
        if (same_symbol(&p->symbols[k], op, n, a, b)) return poly_symbol(p, k, out);
    if (p->n_symbols == MAX_SYMBOLS) return false;
    const unsigned symbol = p->n_symbols++;
    Symbol *y = &p->symbols[symbol];
    *y = (Symbol){.node = n, .op = op};
    if (a) y->a = *a;
    if (b) y->b = *b;
    y->pure = a ? poly_pure(p, a) && (!b || poly_pure(p, b)) : n && term_pure(n);
    if (y->pure && a && (!n || !term_pure(n))) {
        Node *x = poly_node(p, a);
        y->node = b ? node_binary(p->c, op, x, poly_node(p, b)) : node_unary(p->c, op, x);
    }
    if (!poly_symbol(p, symbol, out)) return false;
    know_symbol(p, symbol);
    return true;
}
