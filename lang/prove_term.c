/* Int terms of the text as polynomials, and the list of what is known. */
#include "prove_state.h"

void know(Prover *p, const Poly *a, Origin origin)
{
    Known k = {.p = *a, .origin = origin};
    poly_tighten(&k.p);
    if (!k.p.n && k.p.constant >= 0) return;
    for (unsigned i = 0; i < p->n_known; i++) {
        const Known *old = &p->known[i];
        if (old->p.constant > k.p.constant || old->start || (old->origin.from & ~origin.from)) continue;
        Poly same = old->p;
        same.constant = k.p.constant;
        if (poly_equal(&same, &k.p)) return;
    }
    if (p->n_known < MAX_KNOWN) p->known[p->n_known++] = k;
}

void know_difference(Prover *p, const Poly *a, const Poly *b, int64_t less, Origin origin)
{
    Poly d;
    if (poly_scale_add(p, a, 1, b, -1, &d) && poly_add_constant(&d, -less)) know(p, &d, origin);
}

void know_equal(Prover *p, const Poly *a, const Poly *b, Origin origin)
{
    know_difference(p, a, b, 0, origin);
    know_difference(p, b, a, 0, origin);
}

void split_on(Prover *p, Split s)
{
    if (p->n_splits < MAX_SPLITS) p->splits[p->n_splits++] = s;
}

bool prove_range(Prover *p, Index *v, Node **lo, Node **hi)
{
    *lo = node_int(p->c, 0);
    *hi = node_size(p->c, v);
    for (unsigned k = p->scope ? p->scope->ranges.n : 0; k-- > 0;) {
        const ProveRange *r = &p->scope->ranges.at[k];
        if (r->index != v) continue;
        const bool whole = (!r->lo || r->lo == *lo) && (!r->hi || r->hi == *hi);
        if (r->lo) *lo = r->lo;
        if (r->hi) *hi = r->hi;
        return whole;
    }
    return true;
}

static bool pure_within(const Node *n, unsigned *budget)
{
    if (!(*budget)--) { *budget = 0; return false; }
    if (n->op == N_INDEX || n->op == N_READ || n->op == N_CHECK || n->op == N_RAND || n->op == N_LOCAL)
        return false;
    if (n->has_binder || node_is_binder(n)) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!pure_within(n->args[k], budget)) return false;
    return true;
}

bool term_pure(const Node *n)
{
    unsigned budget = 64;
    return pure_within(n, &budget);
}

Node *look_through(Prover *p, const Node *read)
{
    const Tensor *t = read->tensor;
    if (!t->body || t->group || t->n_dims != read->n_args || p->depth >= MAX_LOOK_THROUGH) return NULL;
    if (!node_substitutable(p->c, t->body, t->n_dims, t->dims, read->args)) return NULL;
    return node_substitute(p->c, t->body, t->n_dims, t->dims, read->args);
}

/* Is the term worth more than a name: not a binder, a check, or something the prover knows nothing about? */
static bool transparent(const Node *n)
{
    switch (n->op) {
    case N_CHECK:
    case N_REDUCE:
    case N_TOP_INDEX:
    case N_POSITIONS:
    case N_RAND:
    case N_RANK:
    case N_SCAN: return false;
    default: return true;
    }
}

static bool poly_of_read(Prover *p, Node *n, Poly *out)
{
    const Tensor *t = n->tensor;
    if (t->body && !t->group && transparent(t->body)) {
        Node *body = look_through(p, n);
        p->depth++;
        const bool done = body && poly_of(p, body, out);
        p->depth--;
        if (done) {
            p->rules |= BIT(S10);
            return true;
        }
    }
    return term_symbol(p, N_READ, n, NULL, NULL, out);
}

static bool poly_of_shift(Prover *p, Node *n, const Poly *a, const Poly *b, Poly *out)
{
    const Poly zero = {0};
    if (b->n || b->constant < 0 || b->constant > 62) return false;
    const int64_t factor = (int64_t)1 << b->constant;
    p->rules |= BIT(S11);
    if (n->op == N_SHL) return poly_scale_add(p, a, factor, &zero, 0, out);
    const Poly divisor = poly_constant(factor);
    return term_symbol(p, N_FLOORDIV, NULL, a, &divisor, out);
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return b == -1 ? -a : a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

static bool divided(Prover *p, Op op, Node *n, const Poly *a, const Poly *b, Poly *out)
{
    const bool remainder = op == N_MOD;
    if (!a->n && !a->constant) {
        *out = *a;
        return true;
    }
    if (b->n || (a->n && b->constant != 1 && b->constant)) return term_symbol(p, op, n, a, b, out);
    if (!b->constant || b->constant == 1) {
        *out = remainder == !b->constant ? *a : poly_constant(0);
        return true;
    }
    if (a->constant == INT64_MIN) return false;
    const int64_t q = floor_divide(a->constant, b->constant);
    *out = poly_constant(remainder ? a->constant - q * b->constant : q);
    return true;
}

bool poly_quotient(Prover *p, const Poly *a, const Poly *b, Poly *out)
{
    return divided(p, N_FLOORDIV, NULL, a, b, out);
}

static bool poly_of_binary(Prover *p, Node *n, Poly *out)
{
    Poly a, b;
    if (!poly_of(p, n->args[0], &a) || !poly_of(p, n->args[1], &b)) return false;
    switch (n->op) {
    case N_ADD: return poly_scale_add(p, &a, 1, &b, 1, out);
    case N_SUB: return poly_scale_add(p, &a, 1, &b, -1, out);
    case N_MUL: return poly_multiply(p, &a, &b, out);
    case N_FLOORDIV: case N_MOD: return divided(p, n->op, n, &a, &b, out);
    case N_MIN: case N_MAX:
        if (poly_equal(&a, &b)) { *out = a; return true; }
        return term_symbol(p, n->op, n, &a, &b, out);
    case N_SHL: case N_SHR: return poly_of_shift(p, n, &a, &b, out);
    default: return false;
    }
}

static bool poly_of_known(Prover *p, Node *n, Poly *out)
{
    Poly a, zero = {0};
    switch (n->op) {
    case N_INT:
        *out = poly_constant(n->integer);
        return true;
    case N_NEG: return poly_of(p, n->args[0], &a) && poly_scale_add(p, &a, -1, &zero, 0, out);
    case N_STOP: return poly_of(p, n->args[0], out);
    case N_ABS: return poly_of(p, n->args[0], &a) && term_symbol(p, N_ABS, n, &a, NULL, out);
    case N_ADD:
    case N_SUB:
    case N_MUL:
    case N_FLOORDIV:
    case N_MOD:
    case N_MIN:
    case N_MAX:
    case N_SHL:
    case N_SHR: return poly_of_binary(p, n, out);
    case N_READ: return poly_of_read(p, n, out);
    default: return false;
    }
}

bool poly_of(Prover *p, Node *n, Poly *out)
{
    if (n->type != TYPE_INT || ++p->work > MAX_WORK) return false;
    return poly_of_known(p, n, out) || term_symbol(p, n->op, n, NULL, NULL, out);
}
