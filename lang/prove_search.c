/* Products of known inequalities, and case distinctions. */
#include "prove_state.h"

typedef struct Signs { bool asked[MAX_SYMBOLS], yes[MAX_SYMBOLS]; Origin origin[MAX_SYMBOLS]; } Signs;

static bool not_negative(Prover *p, Signs *s, const Mono *m, Origin *used)
{
    *used = (Origin){.rules = BIT(S7)};
    for (unsigned k = 0; k < m->n; k++) {
        const unsigned symbol = m->symbol[k];
        const Poly zero = {0};
        Poly x;
        if (!s->asked[symbol])
            s->yes[symbol] = poly_symbol(p, symbol, &x) && known_at_least(p, &x, &zero, &s->origin[symbol]);
        s->asked[symbol] = true;
        if (!s->yes[symbol]) return false;
        *used = origin_join(*used, s->origin[symbol]);
    }
    return true;
}

/* Inequalities that products add, until it is clear which of them can take part in a contradiction. */
typedef struct Products { Prover *p; Signs signs; unsigned n, degree; Known *at; } Products;

static bool is_new(const Products *q, const Known *k)
{
    for (unsigned i = 0; i < q->n; i++)
        if (poly_equal(&q->at[i].p, &k->p)) return false;
    return true;
}

static unsigned degree(const Prover *p, const Poly *a)
{
    unsigned most = 0;
    for (unsigned t = 0; t < a->n; t++)
        if (p->monos[a->mono[t]].n > most) most = p->monos[a->mono[t]].n;
    return most;
}

/* No product has a higher degree than what is there already. */
static void multiply(Products *q, const Known *k, const Mono *by, Origin sign)
{
    Known product = {.origin = origin_join(k->origin, sign), .start = k->start};
    uint8_t id;
    if (q->n == MAX_PRODUCTS || degree(q->p, &k->p) + by->n > q->degree || !mono_intern(q->p, *by, &id))
        return;
    const Poly factor = {.n = 1, .mono = {id}, .k = {1}};
    if (!poly_multiply(q->p, &k->p, &factor, &product.p)) return;
    poly_tighten(&product.p);
    if (is_new(q, &product)) q->at[q->n++] = product;
}

/* Where monomial m f occurs and m occurs in k, multiplies k by f if f >= 0. */
static void products_towards(Products *q, const Mono *target, const Known *k)
{
    for (unsigned t = 0; t < k->p.n && spend(q->p, 1); t++) {
        Mono rest;
        Origin sign;
        if (!mono_divide(target, &q->p->monos[k->p.mono[t]], &rest)) continue;
        if (not_negative(q->p, &q->signs, &rest, &sign)) multiply(q, k, &rest, sign);
    }
}

static void mark_monos(const Known *list, unsigned n, bool *present)
{
    for (unsigned k = 0; k < n; k++)
        for (unsigned t = 0; t < list[k].p.n; t++) present[list[k].p.mono[t]] = true;
}

/* Twice, since a product may bring monomials that others must cancel. */
static void all_products(Products *q)
{
    Prover *p = q->p;
    for (unsigned k = 0; k < p->n_known; k++)
        if (degree(p, &p->known[k].p) > q->degree) q->degree = degree(p, &p->known[k].p);
    for (unsigned round = 0; round < 2; round++) {
        bool present[MAX_MONOS] = {false};
        mark_monos(p->known, p->n_known, present);
        mark_monos(q->at, q->n, present);
        for (unsigned m = 0, n_monos = p->n_monos, n = q->n; m < n_monos; m++) {
            const Mono target = p->monos[m];
            if (!present[m] || target.n < 2) continue;
            for (unsigned k = 0; k < p->n_known; k++) products_towards(q, &target, &p->known[k]);
            for (unsigned k = 0; k < n; k++) {
                const Known copy = q->at[k];
                products_towards(q, &target, &copy);
            }
        }
    }
}

static void add_product(Prover *p, const Known *product)
{
    if (!product->start) {
        know(p, &product->p, product->origin);
        return;
    }
    for (unsigned k = 0; k < p->n_known; k++)
        if (p->known[k].start && poly_equal(&p->known[k].p, &product->p)) return;
    if (p->n_known < MAX_KNOWN) p->known[p->n_known++] = *product;
}

static void add_products(Prover *p, bool all)
{
    Products q = {.p = p, .at = p->products};
    const Poly *polys[MAX_KNOWN + MAX_PRODUCTS];
    uint16_t number[MAX_KNOWN + MAX_PRODUCTS];
    all_products(&q);
    for (unsigned k = 0; k < p->n_known + q.n; k++) {
        polys[k] = k < p->n_known ? &p->known[k].p : &q.at[k - p->n_known].p;
        number[k] = (uint16_t)k;
    }
    const unsigned n_known = p->n_known, n = all ? n_known + q.n
                                                      : drop_uncancelled(polys, number, n_known + q.n);
    for (unsigned k = 0; k < n; k++)
        if (number[k] >= n_known) add_product(p, &q.at[number[k] - n_known]);
}

void saturate(Prover *p, bool all)
{
    relate_quotients(p);
    add_products(p, all);
}

/* Quotients and products take time: at the beginning, and when there is nothing left to take apart. */
static bool contradiction(Prover *p, bool thorough, Origin *used)
{
    if (linear_contradiction(p, used)) return true;
    if (!thorough) return false;
    unsigned before = p->n_known;
    relate_quotients(p);
    if (p->n_known > before && linear_contradiction(p, used)) return true;
    before = p->n_known;
    add_products(p, false);
    return p->n_known > before && linear_contradiction(p, used);
}

static bool is_early(SplitKind kind) { return kind == SPLIT_DIVISOR || kind == SPLIT_SIGN; }

/* Divisors and factors come first: what is known of quotients and products waits for them. */
static int next_split(const Prover *p)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned k = 0; k < p->n_splits; k++)
            if (!p->splits[k].taken && (pass || is_early(p->splits[k].kind))) return (int)k;
    return -1;
}

typedef struct Mark { unsigned symbols, monos, known, splits; } Mark;

static Mark mark(const Prover *p) { return (Mark){p->n_symbols, p->n_monos, p->n_known, p->n_splits}; }

static void back_to(Prover *p, Mark m)
{
    p->n_symbols = m.symbols;
    p->n_monos = m.monos;
    p->n_known = m.known;
    p->n_splits = m.splits;
}

/* Forgets the conditions from `first` to before `last`: the case that asked for them has become
 * superfluous. */
static void keep_only_last(Prover *p, unsigned first, unsigned last)
{
    for (unsigned k = last; k < p->found.n; k++) p->found.at[first + k - last] = p->found.at[k];
    p->found.n -= last - first;
}

/* What would rule out the second case of these splits at once: n >= 1, n >= 0, or a range that is not
 * empty. */
static bool direct_condition(Prover *p, const Split *s, Poly *a)
{
    const Poly zero = {0}, *empty = s->kind == SPLIT_CHECK ? &p->symbols[s->symbol].a : &zero;
    if (s->kind == SPLIT_SIGN) return poly_symbol(p, s->symbol, a);
    if (s->kind != SPLIT_DIVISOR && s->kind != SPLIT_CHECK) return false;
    return poly_scale_add(p, &p->symbols[s->symbol].b, 1, empty, -1, a) && poly_add_constant(a, -1);
}

/* Such a second case is not taken apart further, since that condition will do. */
static bool refute_case(Prover *p, const Split *s, unsigned which, unsigned level, Origin *used)
{
    Poly direct;
    if (!p->weak || which == 0 || !direct_condition(p, s, &direct)) return refute(p, level + 1, used);
    if (contradiction(p, true, used)) return true;
    *used = s->origin;
    used->from |= 1u << level;
    return offer_condition(p, &direct, used) || find_condition(p, used);
}

/* Both alternatives must be contradictory; an alternative that was not needed makes the other one
 * superfluous. */
static bool refute_cases(Prover *p, unsigned split, unsigned level, Origin *used)
{
    const Mark before = mark(p);
    const uint32_t bit = 1u << level;
    const unsigned found = p->found.n;
    Origin parts[2];
    bool done = true;
    p->splits[split].taken = true;
    for (unsigned which = 0; which < 2 && done; which++) {
        const unsigned found_here = p->found.n;
        apply_alternative(p, &p->splits[split], which, bit);
        done = refute_case(p, &p->splits[split], which, level, &parts[which]);
        back_to(p, before);
        if (done && !(parts[which].from & bit)) {
            keep_only_last(p, found, found_here);
            *used = parts[which];
            p->splits[split].taken = false;
            return true;
        }
    }
    p->splits[split].taken = false;
    if (!done) return false;
    *used = origin_join(origin_join(parts[0], parts[1]), p->splits[split].origin);
    used->from &= ~bit;
    return true;
}

bool refute(Prover *p, unsigned level, Origin *used)
{
    const int split = level < MAX_LEVELS ? next_split(p) : -1;
    if (contradiction(p, level == 0 || split < 0, used)) return true;
    if (split >= 0 && refute_cases(p, (unsigned)split, level, used)) return true;
    return split < 0 && p->weak && find_condition(p, used);
}
