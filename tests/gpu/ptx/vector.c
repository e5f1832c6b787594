/* Arithmetic of all lanes at once, in loops that compilers turn into vector code: the instructions that
 * kernels execute most, as vector_list.h has them. They give what alu_*.c gives lane by lane.
 *
 * Requires: an instruction as decoded. Ensures: it is run by a loop where there is one for its name, and
 * where its registers are as wide as that expects. */
#include "inside.h"

#include <math.h>

static inline uint32_t single(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? 0x7fffffff : bits;
}

static inline uint64_t twice(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? 0x7fffffffffffffff : bits;
}

static inline uint32_t normal(uint32_t bits) { return bits & 0x7f800000 ? bits : bits & 0x80000000; }

/* As integers of one order: -0 below +0. */
static inline int32_t in_order(uint32_t bits) { return (int32_t)(bits ^ (bits >> 31 ? 0x7fffffffu : 0)); }
static inline bool no_number(uint32_t bits) { return (bits & 0x7fffffff) > 0x7f800000; }
static inline uint32_t choose(uint32_t a, uint32_t b, bool first, bool either)
{
    uint32_t number = no_number(a) ? b : no_number(b) ? a : first ? a : b;
    bool none = either ? no_number(a) || no_number(b) : no_number(a) && no_number(b);
    return none ? 0x7fffffff : number;
}
static inline uint32_t greater(uint32_t a, uint32_t b, bool nan)
{
    return choose(a, b, in_order(a) > in_order(b), nan);
}
static inline uint32_t smaller(uint32_t a, uint32_t b, bool nan)
{
    return choose(a, b, in_order(a) < in_order(b), nan);
}

/* 2^x = 2^n exp(f ln 2), |f| <= 1/2; the series ends where a double does, nearly. */
static inline uint32_t power_of_two(uint32_t bits)
{
    double x = as_float(bits);
    x = x < -1000 ? -1000 : x > 1000 ? 1000 : x;
    double shifted = x + 0x1.8p52, f = (x - (shifted - 0x1.8p52)) * 0.693147180559945309417,
           y = 1.0 / 479001600;
    static const double inverse[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                     1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24,
                                     1.0 / 6,        1.0 / 2,       1.0,          1.0};
    for (unsigned k = 0; k < 12; k++) y = y * f + inverse[k];
    uint64_t n;
    memcpy(&n, &shifted, sizeof n);
    return single((float)(y * as_double((n + 1023) << 52)));
}

static inline uint32_t half_to_single(uint32_t h)
{
    uint32_t bits = (h & 0x7fff) << 13, word;
    float finite = as_float(bits) * 0x1p112f; /* subnormals as well */
    memcpy(&word, &finite, sizeof word);
    if ((h & 0x7c00) == 0x7c00) word = 0x7f800000;
    return (h & 0x7fff) > 0x7c00 ? 0x7fffffff : word | (h & 0x8000) << 16;
}

static inline uint32_t single_to_half(uint32_t bits)
{
    uint32_t size = bits & 0x7fffffff, small, half = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    float units = as_float(size) + 0.5f; /* whose last place is the least half */
    memcpy(&small, &units, sizeof small);
    if (size < 0x38800000) half = small - 0x3f000000;
    if (size >= 0x477ff000) half = 0x7c00;
    return size > 0x7f800000 ? 0x7fff : half | (bits >> 16 & 0x8000);
}

static inline uint32_t single_to_bfloat(uint32_t bits)
{
    uint32_t upper = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : upper;
}

/* A source: where it is, its number in a lane. */
#define ROW_0(x, slot)
#define ROW_W(x, slot) const Word *x##_row = words(w, slot);
#define ROW_L(x, slot) const Wide *x##_row = wides(w, slot);
#define ROW_P(x, slot) const uint32_t x##_row = get_bits(w, slot);
#define LANE_0(x)
#define LANE_W(x) uint32_t x = x##_row[lane];
#define LANE_L(x) uint64_t x = x##_row[lane];
#define LANE_P(x) bool x = x##_row >> lane & 1;
/* The results of all lanes. */
#define RESULTS_W uint32_t r[LANES];
#define RESULTS_L uint64_t r[LANES];
#define RESULTS_P uint32_t r = 0;
#define RESULT_W(v) r[lane] = v;
#define RESULT_L(v) r[lane] = v;
#define RESULT_P(v) r |= (uint32_t)(v) << lane;
#define PUT_W put_words(w, i->d[0], mask, r);
#define PUT_L put_wides(w, i->d[0], mask, r);
#define PUT_P put_bits(w, i->d[0], mask, r);

#define VECTOR(name, D, A, B, C, expression)                                                             \
    static void vector_##name(Warp *w, const Instruction *i, uint32_t mask)                              \
    {                                                                                                    \
        ROW_##A(a, i->a[0]) ROW_##B(b, i->b[0]) ROW_##C(c, i->c[0])                                      \
            RESULTS_##D for (uint32_t lane = 0; lane < LANES;                                            \
                             lane++){LANE_##A(a) LANE_##B(b) LANE_##C(c) RESULT_##D(expression)} PUT_##D \
    }
#define LOGIC(name, B, expression)                                                    \
    static void vector_##name(Warp *w, const Instruction *i, uint32_t mask)           \
    {                                                                                 \
        ROW_P(a, i->a[0]) ROW_##B(b, i->b[0]) put_bits(w, i->d[0], mask, expression); \
    }
#include "vector_list.h"
#undef VECTOR
#undef LOGIC

#define WIDTH_0 NO_WIDTH
#define WIDTH_W WORD
#define WIDTH_L WIDE
#define WIDTH_P BIT
static const VectorEntry entries[] = {
#define VECTOR(name, D, A, B, C, expression) \
    {#name, vector_##name, {WIDTH_##D, WIDTH_##A, WIDTH_##B, WIDTH_##C}},
#define LOGIC(name, B, expression) {#name, vector_##name, {BIT, BIT, WIDTH_##B, NO_WIDTH}},
#include "vector_list.h"
#undef VECTOR
#undef LOGIC
};
enum { ENTRIES = sizeof entries / sizeof *entries };

const VectorEntry *vector_entry(uint32_t n) { return n < ENTRIES ? &entries[n] : NULL; }

static bool is_named(const Statement *s, const char *name)
{
    for (uint32_t k = 0; k < s->n_parts; k++) {
        size_t length = strlen(s->parts[k]);
        if (strncmp(name, s->parts[k], length) || name[length] != (k + 1 < s->n_parts ? '_' : 0))
            return false;
        name += length + 1;
    }
    return true;
}

static bool fits(const VectorEntry *e, const Instruction *i)
{
    const int32_t slots[] = {i->d[0], i->a[0], i->b[0], i->c[0]};
    for (unsigned k = 0; k < 4; k++)
        if (e->width[k] != NO_WIDTH && (slots[k] == NO_SLOT || slot_width(slots[k]) != e->width[k]))
            return false;
    return i->run == run_alu || i->d[1] == NO_SLOT;
}

void vector_choose(const Statement *s, Instruction *i)
{
    if (i->run != run_alu && i->run != run_setp) return;
    for (uint32_t k = 0; k < ENTRIES; k++)
        if (is_named(s, entries[k].name)) {
            if (fits(&entries[k], i)) i->run = entries[k].run;
            return;
        }
}
