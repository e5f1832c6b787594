/* Polynomials with int64 factors over the symbols of a proof, by checked arithmetic. */
#include "prove_state.h"

#include <string.h>

bool mono_intern(Prover *p, Mono m, uint8_t *id)
{
    for (unsigned k = 0; k < p->n_monos; k++)
        if (!memcmp(&p->monos[k], &m, sizeof m)) { *id = (uint8_t)k; return true; }
    if (p->n_monos == MAX_MONOS) return false;
    p->monos[p->n_monos] = m;
    *id = (uint8_t)p->n_monos++;
    return true;
}

static bool mono_multiply(Prover *p, unsigned a, unsigned b, uint8_t *id)
{
    const Mono *x = &p->monos[a], *y = &p->monos[b];
    Mono m = {0};
    if (x->n + y->n > MAX_DEGREE) return false;
    for (unsigned i = 0, j = 0; i < x->n || j < y->n;)
        m.symbol[m.n++] =
            j == y->n || (i < x->n && x->symbol[i] <= y->symbol[j]) ? x->symbol[i++] : y->symbol[j++];
    return mono_intern(p, m, id);
}

bool mono_divide(const Mono *m, const Mono *by, Mono *rest)
{
    unsigned j = 0;
    *rest = (Mono){0};
    for (unsigned i = 0; i < m->n; i++) {
        if (j < by->n && by->symbol[j] == m->symbol[i]) j++;
        else rest->symbol[rest->n++] = m->symbol[i];
    }
    return j == by->n && rest->n > 0;
}

bool mono_pure(const Prover *p, unsigned mono)
{
    for (unsigned k = 0; k < p->monos[mono].n; k++)
        if (!p->symbols[p->monos[mono].symbol[k]].pure) return false;
    return true;
}

bool poly_symbol(Prover *p, unsigned symbol, Poly *out)
{
    uint8_t id;
    if (!mono_intern(p, (Mono){.n = 1, .symbol = {(uint8_t)symbol}}, &id)) return false;
    *out = (Poly){.n = 1, .mono = {id}, .k = {1}};
    return true;
}

static bool scaled_sum(int64_t a, int64_t x, int64_t b, int64_t y, int64_t *out)
{
    int64_t ax, by;
    return !__builtin_mul_overflow(a, x, &ax) && !__builtin_mul_overflow(b, y, &by) &&
           !__builtin_add_overflow(ax, by, out);
}

bool poly_scale_add(Prover *p, const Poly *a, int64_t x, const Poly *b, int64_t y, Poly *out)
{
    (void)p;
    Poly r = {0};
    if (!scaled_sum(a->constant, x, b->constant, y, &r.constant)) return false;
    for (unsigned i = 0, j = 0; i < a->n || j < b->n;) {
        const bool left = j == b->n || (i < a->n && a->mono[i] <= b->mono[j]);
        const bool both = left && j < b->n && a->mono[i] == b->mono[j];
        const uint8_t mono = left ? a->mono[i] : b->mono[j];
        int64_t k;
        if (!scaled_sum(left ? a->k[i] : 0, x, both || !left ? b->k[j] : 0, y, &k)) return false;
        i += left;
        j += both || !left;
        if (!k) continue;
        if (r.n == MAX_TERMS) return false;
        r.mono[r.n] = mono;
        r.k[r.n++] = k;
    }
    *out = r;
    return true;
}

bool poly_multiply(Prover *p, const Poly *a, const Poly *b, Poly *out)
{
    Poly sum, one = {0};
    if (!poly_scale_add(p, a, b->constant, &one, 0, &sum)) return false;
    for (unsigned j = 0; j < b->n; j++) {
        Poly term = {.n = 1, .mono = {b->mono[j]}, .k = {b->k[j]}};
        if (!poly_scale_add(p, &sum, 1, &term, a->constant, &sum)) return false;
        for (unsigned i = 0; i < a->n; i++) {
            term.k[0] = b->k[j];
            if (!mono_multiply(p, a->mono[i], b->mono[j], &term.mono[0])) return false;
            if (!poly_scale_add(p, &sum, 1, &term, a->k[i], &sum)) return false;
        }
    }
    *out = sum;
    return true;
}

bool poly_equal(const Poly *a, const Poly *b)
{
    if (a->constant != b->constant || a->n != b->n) return false;
    for (unsigned k = 0; k < a->n; k++)
        if (a->mono[k] != b->mono[k] || a->k[k] != b->k[k]) return false;
    return true;
}

bool poly_add_constant(Poly *a, int64_t constant)
{
    return !__builtin_add_overflow(a->constant, constant, &a->constant);
}

void poly_tighten(Poly *a)
{
    uint64_t g = 0;
    for (unsigned k = 0; k < a->n && g != 1; k++) {
        uint64_t x = a->k[k] < 0 ? -(uint64_t)a->k[k] : (uint64_t)a->k[k];
        while (x) {
            const uint64_t r = g % x;
            g = x;
            x = r;
        }
    }
    if (g < 2 || g > INT64_MAX) return;
    const int64_t d = (int64_t)g;
    for (unsigned k = 0; k < a->n; k++) a->k[k] /= d;
    a->constant = a->constant / d - (a->constant % d < 0);
}

static Node *mono_node(Prover *p, unsigned mono, int64_t k)
{
    const Mono *m = &p->monos[mono];
    Node *n = p->symbols[m->symbol[0]].node;
    for (unsigned s = 1; s < m->n; s++) n = node_binary(p->c, N_MUL, n, p->symbols[m->symbol[s]].node);
    return k == 1 ? n : node_binary(p->c, N_MUL, node_int(p->c, k), n);
}

/* The terms whose factor has this sign, as a sum of positive ones; with the constant if its sign is that
 * too. */
static Node *one_side(Prover *p, const Poly *a, bool positive)
{
    Node *sum = NULL;
    for (unsigned t = 0; t < a->n; t++) {
        if ((a->k[t] > 0) != positive || a->k[t] == INT64_MIN) continue;
        Node *term = mono_node(p, a->mono[t], positive ? a->k[t] : -a->k[t]);
        sum = sum ? node_binary(p->c, N_ADD, sum, term) : term;
    }
    const int64_t rest = positive ? a->constant : a->constant == INT64_MIN ? INT64_MAX : -a->constant;
    if (rest > 0) sum = sum ? node_binary(p->c, N_ADD, sum, node_int(p->c, rest)) : node_int(p->c, rest);
    return sum;
}

Node *poly_node(Prover *p, const Poly *a)
{
    Node *plus = one_side(p, a, true), *minus = one_side(p, a, false);
    if (!minus) return plus ? plus : node_int(p->c, 0);
    if (!plus && !a->n) return node_int(p->c, a->constant);
    return plus ? node_binary(p->c, N_SUB, plus, minus) : node_unary(p->c, N_NEG, minus);
}

Node *poly_condition(Prover *p, const Poly *a)
{
    Poly b = *a;
    const bool strict = b.constant == -1; /* x < y rather than 1 + x <= y */
    if (strict) b.constant = 0;
    Node *plus = one_side(p, &b, true), *minus = one_side(p, &b, false), *zero = node_int(p->c, 0);
    return node_binary(p->c, strict ? N_LT : N_LE, minus ? minus : zero, plus ? plus : zero);
}
