/* What is left when a proof fails: conditions on extents and parameters, and bounds for messages. Both
 * come from one search: an inequality is combined with known ones until only extents and parameters are
 * left in it. */
#include "prove_state.h"

#include <string.h>

enum { MAX_LEFT = 16, MAX_TRIED = 400, MAX_CHOICE = 3 };
/* p >= 0 follows for all that are reached; the shortest derivations come first. */
typedef struct Reached { Poly p; Origin origin; } Reached;
typedef struct Elimination {
    unsigned n, n_left;
    uint64_t hash[MAX_TRIED];
    Reached at[MAX_TRIED], left[MAX_LEFT];
} Elimination;

static Elimination *begin_elimination(Prover *p)
{
    if (!p->elimination) p->elimination = NEW(p->c, Elimination);
    Elimination *e = p->elimination;
    e->n = e->n_left = 0;
    return e;
}

static uint64_t poly_hash(const Poly *a)
{
    uint64_t h = (uint64_t)a->constant;
    for (unsigned t = 0; t < a->n; t++) h = (h ^ (uint64_t)a->k[t] * 256 ^ a->mono[t]) * 0x9e3779b97f4a7c15u;
    return h;
}

static void reach(Elimination *e, const Poly *a, Origin origin)
{
    const uint64_t hash = poly_hash(a);
    for (unsigned k = 0; k < e->n; k++)
        if (e->hash[k] == hash && poly_equal(&e->at[k].p, a)) return;
    if (e->n == MAX_TRIED) return;
    e->hash[e->n] = hash;
    e->at[e->n++] = (Reached){*a, origin};
}

/* The term to eliminate next: that with the youngest symbol, since operands are older than what is made of
 * them. */
static int next_term(const Prover *p, const Poly *a)
{
    int best = -1;
    unsigned youngest = 0;
    for (unsigned t = 0; t < a->n; t++) {
        if (mono_pure(p, a->mono[t])) continue;
        const Mono *m = &p->monos[a->mono[t]];
        unsigned symbol = 0;
        for (unsigned k = 0; k < m->n; k++)
            if (!p->symbols[m->symbol[k]].pure) symbol = m->symbol[k];
        if (best >= 0 && symbol < youngest) continue;
        if (best >= 0 && symbol == youngest && m->n < p->monos[a->mono[best]].n) continue;
        best = (int)t;
        youngest = symbol;
    }
    return best;
}

static bool cancel(Prover *p, const Poly *a, unsigned term, const Poly *b, Poly *out)
{
    for (unsigned t = 0; t < b->n; t++) {
        if (b->mono[t] != a->mono[term]) continue;
        if ((b->k[t] > 0) == (a->k[term] > 0) || b->k[t] == INT64_MIN || a->k[term] == INT64_MIN)
            return false;
        const int64_t x = b->k[t] < 0 ? -b->k[t] : b->k[t], y = a->k[term] < 0 ? -a->k[term] : a->k[term];
        if (!poly_scale_add(p, a, x, b, y, out)) return false;
        poly_tighten(out);
        return true;
    }
    return false;
}

/* Combines what has been reached with known inequalities; what is over extents and parameters alone is
 * left. */
static void eliminate(Prover *p, Elimination *e)
{
    for (unsigned next = 0; next < e->n && e->n_left < MAX_LEFT; next++) {
        const Reached now = e->at[next];
        const int term = next_term(p, &now.p);
        if (term < 0 && now.p.n) e->left[e->n_left++] = now;
        for (unsigned k = 0; k < p->n_known && term >= 0 && e->n < MAX_TRIED; k++) {
            Poly sum;
            if (!spend(p, 1)) return;
            if (!p->known[k].start && cancel(p, &now.p, (unsigned)term, &p->known[k].p, &sum))
                reach(e, &sum, origin_join(now.origin, p->known[k].origin));
        }
    }
}

static bool opposite(const Poly *a, Poly *out) { /* not (a >= 0) */
    *out = *a;
    if (a->constant == INT64_MIN) return false;
    out->constant = -a->constant;
    for (unsigned t = 0; t < a->n; t++) {
        if (a->k[t] == INT64_MIN) return false;
        out->k[t] = -a->k[t];
    }
    return poly_add_constant(out, -1) && out->constant != INT64_MIN;
}

/* ---- is a condition worth stating? ---- */

enum { MAX_SIDE = 4 * MAX_TERMS };
/* least: of extents; plain: parameters are 1 or more, and that is all that is supposed of them. */
typedef struct Sides { unsigned n; int64_t least; bool plain; Poly at[MAX_SIDE]; } Sides;

/* What is supposed of a factor of a condition: two elements along every extent, the defaults of the
 * parameters (2 or more for those without). */
bool supposed(const Prover *p, unsigned symbol, int64_t *least, bool *exact)
{
    const Node *n = p->symbols[symbol].node;
    *exact = n && n->op == N_PARAM;
    *least = 2;
    if (n && n->op == N_SIZE) return true;
    if (!*exact) return false;
    if (!n->param->has_default) {
        *exact = false;
        return true;
    }
    *least = n->param->value.integer;
    return *least > -((int64_t)1 << 40) && *least < (int64_t)1 << 40;
}

/* symbol * rest >= least * rest, and the reverse where it is exact; rest is 1 or supposed not to be
 * negative */
static void suppose(Prover *p, Sides *s, unsigned symbol, const Poly *rest)
{
    int64_t least;
    bool exact;
    Poly x;
    if (!supposed(p, symbol, &least, &exact) || !poly_symbol(p, symbol, &x)) return;
    if (p->symbols[symbol].op == N_SIZE) least = s->least;
    else if (s->plain) least = 1, exact = false;
    if (!poly_multiply(p, &x, rest, &x) || !poly_scale_add(p, &x, 1, rest, -least, &x)) return;
    if (s->n < MAX_SIDE) s->at[s->n++] = x;
    if (exact && s->n < MAX_SIDE && poly_scale_add(p, &x, -1, &x, 0, &x)) s->at[s->n++] = x;
}

/* a // b >= 0 and a // b <= a for what is supposed of a and b. */
static void suppose_quotient(Prover *p, Sides *s, unsigned symbol)
{
    const Symbol y = p->symbols[symbol];
    Sides inner = {.n = 1, .least = s->least, .plain = s->plain};
    Poly q;
    if (y.op != N_FLOORDIV || (!y.b.n && y.b.constant < 1) || !poly_symbol(p, symbol, &q)) return;
    for (unsigned t = 0; t < y.a.n + y.b.n; t++) {
        const Mono *m = &p->monos[t < y.a.n ? y.a.mono[t] : y.b.mono[t - y.a.n]];
        const Poly one = poly_constant(1);
        for (unsigned k = 0; k < m->n; k++) suppose(p, &inner, m->symbol[k], &one);
    }
    if (!opposite(&y.a, &inner.at[0]) || !pure_contradiction(p, inner.at, inner.n)) return;
    if (y.b.n && (!opposite(&y.b, &inner.at[0]) || !poly_add_constant(&inner.at[0], 1))) return;
    if (y.b.n && !pure_contradiction(p, inner.at, inner.n)) return;
    if (s->n + 2 > MAX_SIDE || !poly_scale_add(p, &y.a, 1, &q, -1, &s->at[s->n + 1])) return;
    s->at[s->n] = q;
    s->n += 2;
}

/* Bounds extents from above, by a number. */
static bool is_absolute(const Prover *p, const Poly *condition)
{
    for (unsigned t = 0; t < condition->n; t++) {
        const Mono *m = &p->monos[condition->mono[t]];
        for (unsigned k = 0; k < m->n; k++)
            if (condition->k[t] > 0 || p->symbols[m->symbol[k]].op == N_PARAM) return false;
    }
    return true;
}

/* What is supposed of the terms of a, products of two included. */
static void suppose_terms(Prover *p, Sides *s, const Poly *a)
{
    for (unsigned t = 0; t < a->n; t++) {
        const Mono m = p->monos[a->mono[t]];
        for (unsigned k = 0; k < m.n; k++) {
            const Poly one = poly_constant(1);
            const unsigned other = m.symbol[m.n - 1 - k];
            int64_t least;
            bool exact;
            Poly rest;
            suppose(p, s, m.symbol[k], &one);
            suppose_quotient(p, s, m.symbol[k]);
            if (m.n == 2 && supposed(p, other, &least, &exact) && least >= 0 && poly_symbol(p, other, &rest))
                suppose(p, s, m.symbol[k], &rest);
        }
    }
}

static bool is_simple(const Prover *p, const Poly *condition)
{
    int64_t least;
    bool exact;
    for (unsigned t = 0; t < condition->n; t++) {
        const Mono *m = &p->monos[condition->mono[t]];
        for (unsigned k = 0; k < m->n && m->n > 1; k++)
            if (m->n > 2 || !supposed(p, m->symbol[k], &least, &exact)) return false;
    }
    return true;
}

/* The value of a pure term over one extent; false: over something else too, or too large to matter. */
static bool value_at(const Node *n, const Node **extent, int64_t size, int64_t *out)
{
    int64_t a, b;
    if (n->op == N_INT) return *out = n->integer, true;
    if (n->op == N_SIZE) {
        *out = size;
        if (!*extent) *extent = n;
        return *extent == n;
    }
    if (n->n_args != 2 || !value_at(n->args[0], extent, size, &a)) return false;
    if (!value_at(n->args[1], extent, size, &b)) return false;
    switch (n->op) {
    case N_ADD: return !__builtin_add_overflow(a, b, out);
    case N_SUB: return !__builtin_sub_overflow(a, b, out);
    case N_MUL: return !__builtin_mul_overflow(a, b, out);
    case N_FLOORDIV: return b > 0 && (*out = a / b - (a % b < 0), true);
    case N_MOD: return b > 0 && (*out = a % b + (a % b < 0 ? b : 0), true);
    case N_MIN: return *out = a < b ? a : b, true;
    case N_MAX: return *out = a > b ? a : b, true;
    default: return false;
    }
}

/* Does it fail for every extent from 16 to 79, where it is about one extent alone? */
static bool fails_for_one(Prover *p, const Poly *condition)
{
    Node *test = poly_condition(p, condition);
    const Node *extent = NULL;
    for (int64_t size = 16; size < 80; size++) {
        int64_t a, b;
        if (test->n_args != 2 || !value_at(test->args[0], &extent, size, &a)) return false;
        if (!value_at(test->args[1], &extent, size, &b)) return false;
        if (test->op == N_LT ? a < b : a <= b) return false;
    }
    return extent != NULL;
}

/* Possible with two elements along every extent (16 if it compares extents with a number alone) and with the
 * defaults of the parameters; products are of two extents or parameters. */
static bool is_sensible(Prover *p, const Poly *condition)
{
    Sides s = {.n = 1, .least = is_absolute(p, condition) ? 16 : 2, .at = {*condition}};
    if (!is_simple(p, condition) || fails_for_one(p, condition)) return false;
    suppose_terms(p, &s, condition);
    return !pure_contradiction(p, s.at, s.n);
}

static bool has_part(const Node *all, Op op, const Node *part)
{
    if (all == part) return true;
    return all->op == op && (has_part(all->args[0], op, part) || has_part(all->args[1], op, part));
}

Node *add_part(Compilation *c, Op op, Node *all, Node *part)
{
    if (!all) return part;
    if (part->op == op) return add_part(c, op, add_part(c, op, all, part->args[0]), part->args[1]);
    return has_part(all, op, part) ? all : node_binary(c, op, all, part);
}

/* No element exists either where a range that was used is empty. */
static Node *allow_empty(Prover *p, const Poly *condition, const Poly *failing, Origin origin)
{
    Node *test = poly_condition(p, condition);
    for (unsigned s = 0; s < p->n_symbols; s++) {
        if (!(origin.ranges >> s & 1)) continue;
        Node *extent = node_size(p->c, p->symbols[s].node->index);
        Poly extra[2] = {*failing};
        if (!term_pure(extent) || !poly_of(p, extent, &extra[1]) ||
            !poly_scale_add(p, &extra[1], -1, &extra[1], 0, &extra[1]))
            continue;
        if (!pure_contradiction(p, extra, 2))
            test = add_part(p->c, N_OR, node_binary(p->c, N_EQ, extent, node_int(p->c, 0)), test);
    }
    return test;
}

/* From the denied claim, or from what the present cases add. */
static void eliminate_from(Prover *p, Elimination *e, bool claim)
{
    for (unsigned k = p->n_known; k-- > 0;) {
        const Known *y = &p->known[k];
        if (claim ? y->start : !y->start && y->origin.from & ~FROM_FACT) reach(e, &y->p, y->origin);
    }
    eliminate(p, e);
}

static Node *condition_node(Prover *p, const Poly *a, Origin origin)
{
    Poly failing;
    return opposite(a, &failing) ? allow_empty(p, a, &failing, origin) : node_bool(p->c, false);
}

bool offer_condition(Prover *p, const Poly *a, Origin *used)
{
    for (unsigned t = 0; t < a->n; t++)
        if (!mono_pure(p, a->mono[t])) return false;
    if (!is_sensible(p, a)) return false;
    used->rules |= BIT(S2) | BIT(S12);
    PUSH(p->c, &p->found, condition_node(p, a, *used));
    return true;
}

/* Conditions none of which implies another; any of them would do. */
typedef struct Choice { unsigned n; Reached at[MAX_CHOICE]; } Choice;

/* Can it hold where the others do not, with an element along every extent and positive parameters? */
static bool adds_something(Prover *p, const Choice *c, const Poly *condition)
{
    Sides s = {.n = 1, .least = 1, .plain = true, .at = {*condition}};
    for (unsigned k = 0; k < c->n; k++) s.n += opposite(&c->at[k].p, &s.at[s.n]);
    suppose_terms(p, &s, condition);
    for (unsigned k = 0; k < c->n; k++) suppose_terms(p, &s, &c->at[k].p);
    return !pure_contradiction(p, s.at, s.n);
}

static void choose_weaker(Prover *p, Choice *c, const Poly *condition, Origin origin)
{
    unsigned kept = 0;
    const Choice this = {1, {{*condition, origin}}};
    if (!adds_something(p, c, condition)) return;
    for (unsigned k = 0; k < c->n; k++)
        if (adds_something(p, &this, &c->at[k].p)) c->at[kept++] = c->at[k];
    c->n = kept;
    if (c->n < MAX_CHOICE) c->at[c->n++] = this.at[0];
}

/* Is a <= b for sure, with an element along every extent? */
static bool never_above(Prover *p, const Poly *a, const Poly *b)
{
    Poly extra[MAX_SYMBOLS + 1];
    unsigned n = 1;
    if (!poly_scale_add(p, a, 1, b, -1, &extra[0]) || !poly_add_constant(&extra[0], -1)) return false;
    for (unsigned k = 0; k < p->n_symbols; k++)
        if (p->symbols[k].op == N_SIZE && poly_symbol(p, k, &extra[n])) extra[n++].constant = -1;
    return pure_contradiction(p, extra, n);
}

static bool mentions(const Prover *p, const Poly *a, unsigned symbol)
{
    for (unsigned t = 0; t < a->n; t++)
        for (unsigned k = 0; k < p->monos[a->mono[t]].n; k++)
            if (p->monos[a->mono[t]].symbol[k] == symbol) return true;
    return false;
}

/* b - k z >= 0 gives z <= b // k, and k z - b >= 0 gives z >= (b + k - 1) // k. */
static bool solve_for(Prover *p, const Poly *a, unsigned symbol, uint8_t mono, bool upper, Poly *bound)
{
    const Poly z = {.n = 1, .mono = {mono}, .k = {1}};
    int64_t factor = 0;
    for (unsigned t = 0; t < a->n; t++)
        if (a->mono[t] == mono) factor = upper ? -a->k[t] : a->k[t];
    if (factor <= 0) return false;
    const Poly divisor = poly_constant(factor);
    if (!poly_scale_add(p, a, upper ? 1 : -1, &z, factor, bound) || mentions(p, bound, symbol)) return false;
    if (factor == 1) return true;
    return (upper || poly_add_constant(bound, factor - 1)) && poly_quotient(p, bound, &divisor, bound);
}

/* x <= z (or x >= z) is assumed for a made-up z; what follows about z alone bounds it: the tightest is
 * chosen. */
static bool pure_bound(Prover *p, const Poly *x, bool upper, bool thorough, Reached *best)
{
    if (p->n_symbols == MAX_SYMBOLS) return false;
    Elimination *e = begin_elimination(p);
    const unsigned symbol = p->n_symbols++;
    p->symbols[symbol] = (Symbol){.op = N_OPS, .pure = true};
    Poly z, start;
    bool found = false;
    if (!poly_symbol(p, symbol, &z)) return false;
    if (!poly_scale_add(p, x, upper ? 1 : -1, &z, upper ? -1 : 1, &start)) return false;
    if (thorough) {
        p->known[p->n_known < MAX_KNOWN ? p->n_known++ : 0] = (Known){.p = start, .start = true};
        saturate(p, true);
    }
    reach(e, &start, (Origin){0});
    eliminate(p, e);
    for (unsigned k = 0; k < e->n_left; k++) {
        Poly bound;
        if (!solve_for(p, &e->left[k].p, symbol, z.mono[0], upper, &bound)) continue;
        if (!found || (upper ? never_above(p, &bound, &best->p) : never_above(p, &best->p, &bound)))
            *best = (Reached){bound, e->left[k].origin};
        found = true;
    }
    if (p->n_symbols == symbol + 1) p->n_symbols--;
    return found;
}

Node *find_bound(Prover *p, const Poly *x, bool upper)
{
    Reached best;
    return pure_bound(p, x, upper, true, &best) ? poly_node(p, &best.p) : NULL;
}

static bool has_quotient(const Prover *p, const Poly *a)
{
    for (unsigned t = 0; t < a->n; t++)
        for (unsigned k = 0; k < p->monos[a->mono[t]].n; k++)
            if (p->symbols[p->monos[a->mono[t]].symbol[k]].op == N_FLOORDIV) return true;
    return false;
}

static bool is_divided_again(const Prover *p, unsigned symbol)
{
    for (unsigned k = 0; k < p->n_symbols; k++)
        if (p->symbols[k].op == N_FLOORDIV && p->symbols[k].b.n && mentions(p, &p->symbols[k].a, symbol))
            return true;
    return false;
}

/* x <= y gives x // n <= y // n for n >= 1: bounds over extents and parameters of quotients by those; or
 * only of quotients of quotients, to which linear arithmetic does not do justice when n is no literal. */
static void bound_quotients(Prover *p, bool nested)
{
    for (unsigned k = 0, n = p->n_symbols; k < n; k++) {
        const Symbol y = p->symbols[k];
        const Poly one = poly_constant(1);
        Origin positive;
        Poly s, q;
        if (y.op != N_FLOORDIV || y.pure || !poly_symbol(p, k, &s)) continue;
        if (!known_at_least(p, &y.b, &one, &positive)) continue;
        if (nested && !(y.b.n && has_quotient(p, &y.a)) && !is_divided_again(p, k)) continue;
        for (unsigned upper = 0; upper < 2; upper++) {
            Reached bound;
            if (!pure_bound(p, &y.a, upper, false, &bound) || !poly_quotient(p, &bound.p, &y.b, &q)) continue;
            Origin origin = origin_join(bound.origin, positive);
            origin.rules |= BIT(S6);
            know_difference(p, upper ? &q : &s, upper ? &s : &q, 0, origin);
        }
    }
}

static void choose_conditions(Prover *p, Choice *c, bool claim)
{
    Elimination *e = begin_elimination(p);
    eliminate_from(p, e, claim);
    for (unsigned k = 0; k < e->n_left; k++) {
        Poly condition;
        if (opposite(&e->left[k].p, &condition) && is_sensible(p, &condition))
            choose_weaker(p, c, &condition, e->left[k].origin);
    }
}

bool find_condition(Prover *p, Origin *used)
{
    Choice c = {0};
    Node *any = NULL;
    for (unsigned attempt = 0; attempt < 4 && !c.n; attempt++) {
        if (attempt % 2 == 0) bound_quotients(p, attempt == 0);
        if (attempt % 2 == 0) saturate(p, true);
        choose_conditions(p, &c, attempt % 2 == 0);
    }
    *used = (Origin){.rules = BIT(S2) | BIT(S12)};
    for (unsigned k = 0; k < c.n; k++) {
        Node *one = condition_node(p, &c.at[k].p, c.at[k].origin);
        any = add_part(p->c, N_OR, any, one);
        *used = origin_join(*used, c.at[k].origin);
    }
    if (any) PUSH(p->c, &p->found, any);
    return any != NULL;
}
