/* More about // and % than their definitions: what rounding to integers adds. */
#include "prove_state.h"

enum { MAX_DEPTH = 5, MAX_COMBINED = 80 };

/* x = n (x // n) + x % n holds for every n, 0 included. */
static void relate_remainder(Prover *p, unsigned symbol)
{
    const Symbol y = p->symbols[symbol];
    const Origin origin = {.rules = BIT(S6)};
    Poly s, q, sum;
    if (!poly_symbol(p, symbol, &s) || !term_symbol(p, N_FLOORDIV, NULL, &y.a, &y.b, &q)) return;
    if (poly_multiply(p, &q, &y.b, &sum) && poly_scale_add(p, &sum, 1, &s, 1, &sum))
        know_equal(p, &sum, &y.a, origin);
}

static int indivisible_term(const Poly *a, int64_t n)
{
    for (unsigned t = a->n; t-- > 0;)
        if (a->k[t] % n) return (int)t;
    return -1;
}

/* Replaces the terms of a >= 0 that n does not divide by their known bounds; when all others are multiples
 * of n, the constant may be rounded down to one. */
static void round_down(Prover *p, const Poly *a, int64_t n, Origin origin, unsigned depth, unsigned *budget)
{
    const int term = indivisible_term(a, n);
    if (term < 0) {
        if (a->n && a->constant % n) know(p, a, origin);
        return;
    }
    for (unsigned k = 0, last = p->n_known; k < last && depth < MAX_DEPTH && *budget; k++) {
        const Known *known = &p->known[k];
        Poly next;
        if (known->start) continue;
        for (unsigned t = 0; t < known->p.n; t++) {
            if (known->p.mono[t] != a->mono[term] || (known->p.k[t] != 1 && known->p.k[t] != -1)) continue;
            if ((known->p.k[t] > 0) == (a->k[term] > 0) || a->k[term] == INT64_MIN) continue;
            const int64_t factor = a->k[term] < 0 ? -a->k[term] : a->k[term];
            if (!poly_scale_add(p, a, 1, &known->p, factor, &next)) continue;
            --*budget;
            round_down(p, &next, n, origin_join(origin, known->origin), depth + 1, budget);
            break;
        }
    }
}

static void round_quotient(Prover *p, unsigned symbol)
{
    const Symbol y = p->symbols[symbol];
    const Origin origin = {.rules = BIT(S6) | BIT(S2)};
    const int64_t n = y.b.constant;
    unsigned budget = MAX_COMBINED, more = MAX_COMBINED;
    Poly s, below, above;
    if (!poly_symbol(p, symbol, &s) || !poly_scale_add(p, &y.a, 1, &s, -n, &below)) return;
    round_down(p, &below, n, origin, 0, &budget); /* a - n q >= 0 */
    if (poly_scale_add(p, &below, -1, &below, 0, &above) && poly_add_constant(&above, n - 1))
        round_down(p, &above, n, origin, 0, &more); /* n q + n - 1 - a >= 0 */
}

/* x // n >= 0 if x >= 0 and n >= 1. */
static void sign_of_quotient(Prover *p, unsigned symbol)
{
    const Symbol y = p->symbols[symbol];
    const Poly zero = {0}, one = poly_constant(1);
    Origin a, b;
    Poly s;
    if (!poly_symbol(p, symbol, &s) || !known_at_least(p, &y.b, &one, &b) ||
        !known_at_least(p, &y.a, &zero, &a))
        return;
    Origin origin = origin_join(a, b);
    origin.rules |= BIT(S6);
    know_difference(p, &s, &zero, 0, origin);
}

void relate_quotients(Prover *p)
{
    for (unsigned k = 0, n = p->n_symbols; k < n; k++)
        if (p->symbols[k].op == N_MOD) relate_remainder(p, k);
    for (unsigned k = 0, n = p->n_symbols; k < n; k++) {
        if (p->symbols[k].op != N_FLOORDIV) continue;
        if (p->symbols[k].b.n) sign_of_quotient(p, k);
        else if (p->symbols[k].b.constant > 1) round_quotient(p, k);
    }
}
