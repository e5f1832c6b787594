/* Products of known inequalities, and case distinctions. */
#include "prove_state.h"

typedef struct Signs { bool asked[MAX_SYMBOLS], yes[MAX_SYMBOLS]; Origin origin[MAX_SYMBOLS]; } Signs;

static bool not_negative(Prover *p, Signs *s, const Mono *m, Origin *used) {
    *used = (Origin){.rules = BIT(S7)};
    for (unsigned k = 0; k < m->n; k++) {
        const unsigned symbol = m->symbol[k];
        if (!s->asked[symbol]) s->yes[symbol] = known_not_negative(p, symbol, &s->origin[symbol]);
        s->asked[symbol] = true;
        if (!s->yes[symbol]) return false;
        *used = origin_join(*used, s->origin[symbol]);
    }
    return true;
}

/* x = n (x // n) + x % n holds for every n, 0 included. */
static void relate_remainders(Prover *p) {
    const Origin origin = {.rules = BIT(S6)};
    for (unsigned k = 0, n = p->n_symbols; k < n; k++) {
        const Symbol y = p->symbols[k];
        Poly s, q, sum;
        if (y.op != N_MOD || !poly_symbol(p, k, &s) || !term_symbol(p, N_FLOORDIV, NULL, &y.a, &y.b, &q)) continue;
        if (poly_multiply(p, &q, &y.b, &sum) && poly_scale_add(p, &sum, 1, &s, 1, &sum)) know_equal(p, &sum, &y.a, origin);
    }
}

static bool multiply_known(Prover *p, unsigned known, const Mono *by, Origin origin) {
    const Known *k = &p->known[known];
    uint8_t id;
    Poly product;
    if (!mono_intern(p, *by, &id)) return false;
    const Poly factor = {.n = 1, .mono = {id}, .k = {1}};
    if (!poly_multiply(p, &k->p, &factor, &product)) return false;
    const unsigned before = p->n_known;
    know(p, &product, origin_join(k->origin, origin));
    return p->n_known > before;
}

static void collect_products(const Prover *p, bool *present) {
    for (unsigned k = 0; k < p->n_known; k++)
        for (unsigned t = 0; t < p->known[k].p.n; t++) present[p->known[k].p.mono[t]] = true;
}

/* Where monomial m f occurs and m occurs in a known inequality, multiplies that by f if f >= 0. */
static bool products_towards(Prover *p, Signs *signs, unsigned mono, unsigned n_known, unsigned *budget) {
    const Mono target = p->monos[mono];
    bool added = false;
    for (unsigned k = 0; k < n_known && *budget; k++)
        for (unsigned t = 0; t < p->known[k].p.n && *budget; t++) {
            Mono rest;
            Origin used;
            if (!mono_divide(&target, &p->monos[p->known[k].p.mono[t]], &rest)) continue;
            if (!not_negative(p, signs, &rest, &used) || !multiply_known(p, k, &rest, used)) continue;
            added = true;
            --*budget;
        }
    return added;
}

bool add_products(Prover *p) {
    bool present[MAX_MONOS] = {false}, added = false;
    unsigned budget = 96;
    const unsigned before = p->n_known;
    relate_remainders(p);
    added = p->n_known > before;
    collect_products(p, present);
    Signs signs = {0};
    for (unsigned m = 0, n = p->n_monos, n_known = p->n_known; m < n; m++)
        if (present[m] && p->monos[m].n > 1) added |= products_towards(p, &signs, m, n_known, &budget);
    return added;
}

static bool contradiction(Prover *p, Origin *used) {
    enum { ROUNDS = 2 };
    if (linear_contradiction(p, used)) return true;
    for (unsigned round = 0; round < ROUNDS && add_products(p); round++)
        if (linear_contradiction(p, used)) return true;
    return false;
}

static int next_split(const Prover *p) {
    for (unsigned pass = 0; pass < 2; pass++) /* divisors first: what is known of quotients waits for them */
        for (unsigned k = 0; k < p->n_splits; k++)
            if (!p->splits[k].taken && (pass || p->splits[k].kind == SPLIT_DIVISOR)) return (int)k;
    return -1;
}

typedef struct Mark { unsigned symbols, monos, known, splits; } Mark;

static Mark mark(const Prover *p) { return (Mark){p->n_symbols, p->n_monos, p->n_known, p->n_splits}; }

static void back_to(Prover *p, Mark m) {
    p->n_symbols = m.symbols;
    p->n_monos = m.monos;
    p->n_known = m.known;
    p->n_splits = m.splits;
}

/* Forgets the conditions from `first` to before `last`: the case that asked for them has become superfluous. */
static void keep_only_last(Prover *p, unsigned first, unsigned last) {
    for (unsigned k = last; k < p->found.n; k++) p->found.at[first + k - last] = p->found.at[k];
    p->found.n -= last - first;
}

/* Both alternatives must be contradictory; an alternative that was not needed makes the other one superfluous. */
static bool refute_cases(Prover *p, unsigned split, unsigned level, Origin *used) {
    const Mark before = mark(p);
    const uint32_t bit = 1u << level;
    const unsigned found = p->found.n;
    Origin parts[2];
    bool done = true;
    p->splits[split].taken = true;
    for (unsigned which = 0; which < 2 && done; which++) {
        const unsigned found_here = p->found.n;
        apply_alternative(p, &p->splits[split], which, bit);
        done = refute(p, level + 1, &parts[which]);
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

bool refute(Prover *p, unsigned level, Origin *used) {
    if (contradiction(p, used)) return true;
    const int split = level < MAX_LEVELS ? next_split(p) : -1;
    if (split >= 0 && refute_cases(p, (unsigned)split, level, used)) return true;
    return split < 0 && p->weak && find_condition(p, used);
}
