/* State of one proof (internal to lang/prove*.c). Integer terms of the text become polynomials over
 * symbols; what is known is a list of polynomials that are not negative; to show g >= 0, -g - 1 is added
 * to the list and a contradiction is sought: first by linear arithmetic over monomials, then with
 * products, then by cases. Everything is bounded by the constants below and gives up, never guesses, when
 * one is reached or an int64 overflows. */
#ifndef ATTN_LANG_PROVE_STATE_H
#define ATTN_LANG_PROVE_STATE_H

#include "prove.h"

enum {
    MAX_SYMBOLS = 64, MAX_MONOS = 255, MAX_DEGREE = 4, MAX_TERMS = 14, MAX_KNOWN = 384, MAX_SPLITS = 64,
    MAX_LEVELS = 24, MAX_PRODUCTS = 512, MAX_ROWS = 96, MAX_COLUMNS = 256, MAX_LOOK_THROUGH = 8,
    MAX_WORK = 4000, MAX_EFFORT = 100000
};

enum {
#define RULE(name, summary) RULE_##name,
#include "prove_rule_list.h"
#undef RULE
    RULES
};
#define BIT(rule) (1u << RULE_##rule)

/* constant + sum of k[t] * monos[mono[t]]; terms ordered by mono, no zero factors. */
typedef struct Poly { int64_t constant; uint8_t n, mono[MAX_TERMS]; int64_t k[MAX_TERMS]; } Poly;
typedef struct Mono { uint8_t n, symbol[MAX_DEGREE]; } Mono; /* symbols in order, repeated for powers */
/* A quantity of its own: a variable, an extent, a parameter, or a term that linear arithmetic does not
 * look into. */
typedef struct Symbol {
    Node *node;  /* NULL: made up by the prover */
    Op op;       /* FLOORDIV MOD MIN MAX ABS keep their operands as polynomials, which tells equal ones */
    bool pure;   /* over SIZE and PARAM alone: may stand in a condition */
    Poly a, b;
} Symbol;

/* What something was derived from. from: FROM_FACT, and the case distinctions (a bit for each level);
 * ranges: the variables whose ranges, all of their extents, were used, by symbol. For words alone: variables, of any
 * range, by symbol; facts and conditions by their place in the scope (place_bit). */
enum { FROM_FACT = 1u << 31 };
typedef struct Origin { uint32_t from, rules; uint64_t ranges, variables, facts, conditions; } Origin;
static inline uint64_t place_bit(unsigned k) { return k < 64 ? (uint64_t)1 << k : 0; }
/* p >= 0. start: the denied claim. */
typedef struct Known { Poly p; Origin origin; bool start; } Known;

typedef enum SplitKind { SPLIT_FACT, SPLIT_CHOICE, SPLIT_DIVISOR, SPLIT_CHECK, SPLIT_SIGN } SplitKind;
/* One of two alternatives holds. FACT: node is `positive`. CHOICE: which operand symbol is. DIVISOR:
 * symbol's b >= 1 or not. CHECK: symbol's node has a range that is not empty, or it has. SIGN: symbol >= 0
 * or not. */
typedef struct Split {
    SplitKind kind;
    bool positive, taken;
    uint8_t symbol;
    Node *node;
    Origin origin;
} Split;

typedef struct Prover {
    Compilation *c;
    const ProveScope *scope;
    unsigned n_symbols, n_monos, n_known, n_splits, depth;
    unsigned work, effort; /* spent: on translations, on the search */
    bool weak;             /* find conditions where a proof fails */
    uint32_t rules;        /* of translations, which belong to no single inequality */
    uint32_t context;      /* Origin.from of what is being translated */
    VEC(Node *) found;     /* conditions */
    void *elimination;     /* scratch of prove_condition.c */
    Symbol symbols[MAX_SYMBOLS];
    Mono monos[MAX_MONOS];
    Known known[MAX_KNOWN], products[MAX_PRODUCTS];
    Split splits[MAX_SPLITS];
    int64_t table[MAX_ROWS + 2][MAX_COLUMNS + 1];
} Prover;

/* prove_poly.c: all return false on overflow or when a table is full; `out` may be an operand. */
bool poly_scale_add(Prover *p, const Poly *a, int64_t x, const Poly *b, int64_t y, Poly *out); /* x a + y b */
bool poly_multiply(Prover *p, const Poly *a, const Poly *b, Poly *out);
bool poly_equal(const Poly *a, const Poly *b);
bool poly_add_constant(Poly *a, int64_t constant);
void poly_tighten(Poly *a); /* divides by the common factor of the terms and rounds the constant down */
bool mono_intern(Prover *p, Mono m, uint8_t *id);
bool mono_divide(const Mono *m, const Mono *by, Mono *rest); /* rest = m / by, not 1 */
bool mono_pure(const Prover *p, unsigned mono);
static inline Poly poly_constant(int64_t k) { return (Poly){.constant = k}; }
bool poly_symbol(Prover *p, unsigned symbol, Poly *out);
Node *poly_node(Prover *p, const Poly *a);              /* needs symbols with nodes */
Node *poly_condition(Prover *p, const Poly *a);         /* a >= 0 as a comparison with positive factors */

/* prove_term.c */
bool poly_of(Prover *p, Node *n, Poly *out);
bool poly_quotient(Prover *p, const Poly *a, const Poly *b, Poly *out); /* a // b */
bool term_pure(const Node *n);
bool prove_range(Prover *p, Index *v, Node **lo, Node **hi); /* its range; true: all of its extent */
Node *look_through(Prover *p, const Node *read);             /* body at these coordinates, or NULL */
void know(Prover *p, const Poly *a, Origin origin);          /* a >= 0 */
void know_equal(Prover *p, const Poly *a, const Poly *b, Origin origin);
/* a - b - less >= 0 */
void know_difference(Prover *p, const Poly *a, const Poly *b, int64_t less, Origin origin);
void split_on(Prover *p, Split s);

/* prove_symbol.c */
bool term_symbol(Prover *p, Op op, Node *n, const Poly *a, const Poly *b, Poly *out); /* found or made */
void divisor_known(Prover *p, unsigned symbol, Origin origin);                        /* states S6 */

/* prove_fact.c */
void assume(Prover *p, Node *fact, bool positive, Origin origin);
void apply_alternative(Prover *p, const Split *s, unsigned which, uint32_t level_bit);

/* Accounts for steps of the search (some 50 ns each); false: they are used up. */
static inline bool spend(Prover *p, unsigned steps)
{
    p->effort += steps;
    return p->effort <= MAX_EFFORT;
}

/* prove_linear.c. used: what the answer came from. */
unsigned drop_uncancelled(const Poly **polys, uint16_t *number, unsigned n); /* keeps what may take part */
bool linear_contradiction(Prover *p, Origin *used);
bool pure_contradiction(Prover *p, const Poly *extra, unsigned n_extra); /* of known pure ones and these */
bool known_at_least(Prover *p, const Poly *a, const Poly *b, Origin *used); /* a >= b, without cases */

/* prove_quotient.c: adds what follows about x // n and x % n from what is known by now */
void relate_quotients(Prover *p);

/* prove_wrap.c: can computing n leave the range of int64? */
bool may_wrap(Compilation *c, const Node *n);

/* prove_search.c */
/* Adds what follows by quotients and products; all: also what can take part in no contradiction. */
void saturate(Prover *p, bool all);
bool refute(Prover *p, unsigned level, Origin *used);

/* prove_condition.c: the first two add to p->found a condition that makes the present case impossible */
bool find_condition(Prover *p, Origin *used);
bool offer_condition(Prover *p, const Poly *a, Origin *used); /* a >= 0, if it makes sense */
bool supposed(const Prover *p, unsigned symbol, int64_t *least, bool *exact);
/* all AND part, or all OR part, without repeating what stands in it already; all may be NULL */
Node *add_part(Compilation *c, Op op, Node *all, Node *part);
/* of x, over extents and parameters; NULL: none found */
Node *find_bound(Prover *p, const Poly *x, bool upper);

static inline Origin origin_join(Origin a, Origin b) {
    return (Origin){a.from | b.from, a.rules | b.rules, a.ranges | b.ranges, a.variables | b.variables,
                    a.facts | b.facts, a.conditions | b.conditions};
}

#endif
