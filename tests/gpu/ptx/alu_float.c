/* Floating-point instructions of one lane: one rounding, subnormals as .ftz says, NaN canonical. */
#include "inside.h"

#include <fenv.h>
#include <math.h>

static uint64_t flush(Type t, uint64_t bits)
{
    if (t == T_f32) return bits & 0x7f800000 ? bits : bits & 0x80000000;
    if (t == T_f16) return bits & 0x7c00 ? bits : bits & 0x8000;
    return bits;
}

static uint64_t canonical_nan(Type t) { return from_double(t, NAN, M_RN); }
static bool is_nan(Type t, uint64_t bits) { return isnan(to_double(t, bits)); }
static uint64_t sign_of(Type t) { return 1ull << (type_bits(t) - 1); }

static uint64_t finish(const Instruction *i, Type t, uint64_t bits)
{
    if (i->mod[FTZ]) bits = flush(t, bits);
    if (i->mod[SAT] == M_SAT) {
        double x = to_double(t, bits);
        return x >= 1 ? from_double(t, 1, M_RN) : x > 0 ? bits : 0;
    }
    if (i->mod[RELU] && !is_nan(t, bits) && bits & sign_of(t)) return 0;
    return bits;
}

/* With the rounding of the processor: only for f64 and directed rounding. */
static __attribute__((noinline)) double directed(FloatOp op, volatile double a, volatile double b,
                                                 volatile double c, int mode)
{
    fesetround(mode);
    volatile double r = op == F_ADD   ? a + b
                        : op == F_SUB ? a - b
                        : op == F_MUL ? a * b
                        : op == F_DIV ? a / b
                                      : fma(a, b, c);
    fesetround(FE_TONEAREST);
    return r;
}

static double f64_op(FloatOp op, Modifier round, double a, double b, double c)
{
    if (round == M_RZ || round == M_RM || round == M_RP)
        return directed(op, a, b, c, round == M_RZ ? FE_TOWARDZERO : round == M_RM ? FE_DOWNWARD : FE_UPWARD);
    switch (op) {
    case F_ADD: return a + b;
    case F_SUB: return a - b;
    case F_MUL: return a * b;
    case F_DIV: return a / b;
    default: return fma(a, b, c);
    }
}

/* The quotient with an odd last bit where it is not exact. */
static double divide_to_odd(double a, double b)
{
    double q = a / b, rest = fma(-q, b, a);
    uint64_t bits = double_bits(q);
    if (!isfinite(q) || rest == 0 || isnan(rest) || bits & 1) return q;
    return nextafter(q, (rest > 0) == (b > 0) ? INFINITY : -INFINITY);
}

/* Types of up to 32 bits: exact or odd in a double, then rounded. */
static uint64_t small_op(FloatOp op, Type t, Modifier round, uint64_t a, uint64_t b, uint64_t c)
{
    double x = to_double(t, a), y = to_double(t, b), r;
    switch (op) {
    case F_ADD: r = add_to_odd(x, y); break;
    case F_SUB: r = add_to_odd(x, -y); break;
    case F_MUL: r = x * y; break;
    case F_DIV: r = divide_to_odd(x, y); break;
    default: r = add_to_odd(x * y, to_double(t, c)); break;
    }
    if (r == 0 && op != F_MUL && op != F_DIV && round == M_RM) { /* x - x is -0 when rounding down */
        double p = op == F_FMA ? x * y : x, q = op == F_FMA ? to_double(t, c) : op == F_SUB ? -y : y;
        r = signbit(p) && signbit(q) ? -0.0 : p != 0 || signbit(p) != signbit(q) ? -0.0 : 0.0;
    }
    return from_double(t, r, round);
}

static uint64_t f32_op(FloatOp op, uint64_t a, uint64_t b, uint64_t c)
{
    float x = as_float(a), y = as_float(b);
    switch (op) {
    case F_ADD: return float_bits(x + y);
    case F_SUB: return float_bits(x - y);
    case F_MUL: return float_bits(x * y);
    case F_DIV: return float_bits(x / y);
    default: return float_bits(fmaf(x, y, as_float(c)));
    }
}

static uint64_t order(FloatOp op, const Instruction *i, Type t, uint64_t a, uint64_t b)
{
    uint64_t sign = sign_of(t), flip = 0;
    if (i->mod[XORSIGN]) {
        flip = (a ^ b) & sign;
        a &= ~sign;
        b &= ~sign;
    }
    if (is_nan(t, a) || is_nan(t, b)) {
        if (i->mod[NANS] || (is_nan(t, a) && is_nan(t, b))) return canonical_nan(t);
        return (is_nan(t, a) ? b : a) | flip;
    }
    double x = to_double(t, a), y = to_double(t, b);
    bool first = x == y ? ((a & sign) != 0) == (op == F_MIN) : op == F_MIN ? x < y : x > y; /* -0 < +0 */
    return (first ? a : b) | flip;
}

static uint64_t element_op(FloatOp op, const Instruction *i, Type t, uint64_t a, uint64_t b, uint64_t c)
{
    if (i->mod[FTZ]) {
        a = flush(t, a);
        b = flush(t, b);
        c = flush(t, c);
    }
    Modifier round = (Modifier)i->mod[ROUND];
    uint64_t r;
    switch (op) {
    case F_MIN:
    case F_MAX:
        r = order(op, i, t, a, b);
        if (i->n_operands == 4) r = order(op, i, t, r, c);
        break;
    case F_NEG: r = t != T_f64 && is_nan(t, a) ? canonical_nan(t) : a ^ sign_of(t); break;
    case F_ABS: r = t != T_f64 && is_nan(t, a) ? canonical_nan(t) : a & ~sign_of(t); break;
    default:
        if (t == T_f64)
            r = double_bits(f64_op(op, round, as_double(a), as_double(b), as_double(c)));
        else if (t == T_f32 && (round == M_RN || round == M_NONE))
            r = f32_op(op, a, b, c);
        else
            r = small_op(op, t, round, a, b, c);
    }
    return finish(i, t, r);
}

static Type element(Type t) { return t == T_f16x2 ? T_f16 : t == T_bf16x2 ? T_bf16 : t; }

uint64_t float_op(FloatOp op, const Instruction *i, uint64_t a, uint64_t b, uint64_t c)
{
    Type t = (Type)i->type, e = element(t);
    if (e == t) return element_op(op, i, t, a, b, c);
    uint64_t low = element_op(op, i, e, a & 0xffff, b & 0xffff, c & 0xffff);
    return low | element_op(op, i, e, a >> 16, b >> 16, c >> 16) << 16;
}

#define FUNCTION(name) uint64_t alu_##name(const Instruction *i, uint64_t a, uint64_t b, uint64_t c)
FUNCTION(fma) { return float_op(F_FMA, i, a, b, c); }

FUNCTION(copysign) /* the sign of a on b */
{
    (void)c;
    uint64_t sign = sign_of((Type)i->type);
    return (b & ~sign) | (a & sign);
}

/* A function of one number, by way of a double. */
static uint64_t special(const Instruction *i, double f(double), uint64_t a)
{
    Type t = (Type)i->type, e = element(t);
    uint64_t result = 0;
    for (unsigned at = 0; at < type_bits(t); at += type_bits(e)) {
        uint64_t x = keep_bits(a >> at, type_bits(e));
        if (i->mod[FTZ]) x = flush(e, x);
        result |= finish(i, e, from_double(e, f(to_double(e, x)), (Modifier)i->mod[ROUND])) << at;
    }
    return result;
}

static double inverse(double x) { return divide_to_odd(1, x); }
static double inverse_root(double x) { return 1 / sqrt(x); }

static double root_to_odd(double x)
{
    double r = sqrt(x), rest = fma(-r, r, x);
    if (!isfinite(r) || rest == 0 || isnan(rest) || double_bits(r) & 1) return r;
    return nextafter(r, rest > 0 ? INFINITY : 0);
}

#define SPECIAL_FUNCTION(name, f) \
    FUNCTION(name) { return (void)b, (void)c, special(i, f, a); }
SPECIAL_FUNCTION(ex2, exp2)
SPECIAL_FUNCTION(lg2, log2)
SPECIAL_FUNCTION(sin, sin)
SPECIAL_FUNCTION(cos, cos)
SPECIAL_FUNCTION(tanh, tanh)

FUNCTION(rsqrt)
{
    (void)b, (void)c;
    if (i->type == T_f64 && i->mod[FTZ]) return double_bits(inverse_root(as_double(a))) & ~0xffffffffull;
    return special(i, inverse_root, a);
}

FUNCTION(rcp)
{
    (void)b, (void)c;
    if (i->type != T_f64) return special(i, inverse, a);
    if (i->mod[APPROX]) return double_bits(1 / as_double(a)) & ~0xffffffffull; /* the upper word alone */
    return double_bits(f64_op(F_DIV, (Modifier)i->mod[ROUND], 1, as_double(a), 0));
}

FUNCTION(sqrt)
{
    (void)b, (void)c;
    if (i->type != T_f64) return special(i, root_to_odd, a);
    Modifier round = (Modifier)i->mod[ROUND];
    fesetround(round == M_RZ   ? FE_TOWARDZERO
               : round == M_RM ? FE_DOWNWARD
               : round == M_RP ? FE_UPWARD
                               : FE_TONEAREST);
    volatile double r = sqrt(as_double(a));
    fesetround(FE_TONEAREST);
    return double_bits(r);
}

static bool test_number(Modifier test, double x, bool normal)
{
    switch (test) {
    case M_FINITE: return isfinite(x);
    case M_INFINITE: return isinf(x);
    case M_NUMBER: return !isnan(x);
    case M_NOTANUMBER: return isnan(x);
    case M_NORMAL: return normal;
    default: return isfinite(x) && x != 0 && !normal;
    }
}

FUNCTION(testp)
{
    (void)b, (void)c;
    double x = to_double((Type)i->type, a);
    return test_number((Modifier)i->mod[TEST], x, i->type == T_f64 ? isnormal(x) : isnormal(as_float(a)));
}

/* ---- Comparison ---- */
static bool compare_floats(Modifier m, double x, double y)
{
    bool unordered = isnan(x) || isnan(y);
    switch (m) {
    case M_EQ: return x == y;
    case M_NE: return !unordered && x != y;
    case M_LT: return x < y;
    case M_LE: return x <= y;
    case M_GT: return x > y;
    case M_GE: return x >= y;
    case M_NUM: return !unordered;
    case M_UNORDERED: return unordered;
    case M_EQU: return unordered || x == y;
    case M_NEU: return unordered || x != y;
    case M_LTU: return unordered || x < y;
    case M_LEU: return unordered || x <= y;
    case M_GTU: return unordered || x > y;
    default: return unordered || x >= y;
    }
}

bool compare(Modifier m, Type t, bool ftz, uint64_t a, uint64_t b)
{
    if (type_kind(t) == FLOAT) {
        if (ftz) a = flush(t, a), b = flush(t, b);
        return compare_floats(m, to_double(t, a), to_double(t, b));
    }
    uint64_t x = widen(t, a), y = widen(t, b);
    bool less = type_kind(t) == SIGNED ? (int64_t)x < (int64_t)y : x < y;
    switch (m) {
    case M_EQ: return x == y;
    case M_NE: return x != y;
    case M_LT:
    case M_LO: return less;
    case M_LE:
    case M_LS: return less || x == y;
    case M_GT:
    case M_HI: return !less && x != y;
    default: return !less; /* ge, hs */
    }
}

/* ---- cvt ---- */
static uint64_t float_to_integer(const Instruction *i, double x)
{
    Type t = (Type)i->type;
    unsigned bits = type_bits(t);
    bool is_signed = type_kind(t) == SIGNED;
    if (isnan(x)) return i->from == T_f64 || bits == 64 ? 1ull << (bits - 1) : 0;
    switch (i->mod[ROUND]) {
    case M_RNI: x = nearbyint(x); break;
    case M_RMI: x = floor(x); break;
    case M_RPI: x = ceil(x); break;
    default: x = trunc(x); break;
    }
    double low = is_signed ? -ldexp(1, (int)bits - 1) : 0, high = ldexp(1, (int)bits - (is_signed ? 1 : 0));
    if (x < low) return is_signed ? 0 - (1ull << (bits - 1)) : 0; /* out of range: the nearest there is */
    if (x >= high) return is_signed ? (1ull << (bits - 1)) - 1 : keep_bits(UINT64_MAX, bits);
    return is_signed ? (uint64_t)(int64_t)x : (uint64_t)x;
}

static uint64_t integer_to_integer(const Instruction *i, uint64_t a)
{
    Type t = (Type)i->type, from = (Type)i->from;
    uint64_t v = widen(from, a);
    if (i->mod[SAT]) {
        unsigned bits = type_bits(t);
        bool below = type_kind(from) == SIGNED && (int64_t)v < 0;
        if (type_kind(t) != SIGNED)
            return below ? 0 : v > keep_bits(UINT64_MAX, bits) ? keep_bits(UINT64_MAX, bits) : v;
        int64_t top = (int64_t)(UINT64_MAX >> 1 >> (64 - bits));
        if (below) return (int64_t)v < -top - 1 ? (uint64_t)(-top - 1) : v;
        return v > (uint64_t)top ? (uint64_t)top : v;
    }
    return widen(t, v);
}

/* Odd in its last bit where the double does not hold it. */
static double integer_to_odd(Type t, uint64_t v)
{
    bool negative = type_kind(t) == SIGNED && (int64_t)v < 0;
    uint64_t magnitude = negative ? 0 - v : v;
    unsigned spare = magnitude >> 53 ? 11 - (unsigned)__builtin_clzll(magnitude) : 0;
    uint64_t low = magnitude & ((1ull << spare) - 1);
    magnitude = magnitude >> spare | (low != 0);
    double x = ldexp((double)magnitude, (int)spare);
    return negative ? -x : x;
}

static uint64_t integer_to_float(const Instruction *i, uint64_t a)
{
    Type from = (Type)i->from;
    Modifier round = (Modifier)i->mod[ROUND];
    uint64_t v = widen(from, a);
    if (i->type != T_f64) return from_double((Type)i->type, integer_to_odd(from, v), round);
    if (round == M_NONE) round = M_RN;
    fesetround(round == M_RZ   ? FE_TOWARDZERO
               : round == M_RM ? FE_DOWNWARD
               : round == M_RP ? FE_UPWARD
                               : FE_TONEAREST);
    volatile uint64_t bits = v;
    volatile double x = type_kind(from) == SIGNED ? (double)(int64_t)bits : (double)bits;
    fesetround(FE_TONEAREST);
    return double_bits(x);
}

static uint64_t float_to_float(const Instruction *i, Type t, Type from, uint64_t a)
{
    if (i->mod[FTZ] && from == T_f32) a = flush(from, a);
    double x = to_double(from, a);
    Modifier round = (Modifier)i->mod[ROUND];
    switch (round) {
    case M_RNI: x = nearbyint(x); break;
    case M_RZI: x = trunc(x); break;
    case M_RMI: x = floor(x); break;
    case M_RPI: x = ceil(x); break;
    default: break;
    }
    if (i->mod[SAT] == M_SATFINITE && type_bits(t) == 16 && !isnan(x)) {
        double greatest = t == T_f16 ? 65504 : 0x1.fep127;
        x = x > greatest ? greatest : x < -greatest ? -greatest : x;
    }
    uint64_t r = from_double(t, x, round);
    if (i->mod[FTZ] && t == T_f32) r = flush(t, r);
    if (i->mod[SAT] == M_SAT) r = x >= 1 ? from_double(t, 1, M_RN) : x > 0 ? r : 0;
    if (i->mod[RELU] && (x < 0 || (x == 0 && signbit(x)))) r = 0;
    return r;
}

/* Pairs: the first operand is the upper half. */
static uint64_t convert_pair(const Instruction *i, uint64_t a, uint64_t b)
{
    Type t = (Type)i->type, from = (Type)i->from;
    Type e = t == T_f16x2 ? T_f16 : t == T_bf16x2 ? T_bf16 : t;
    unsigned bits = type_bits(t) / 2;
    if (from == T_f32) return float_to_float(i, e, from, a) << bits | float_to_float(i, e, from, b);
    unsigned half = type_bits(from) / 2; /* one pair into another */
    return float_to_float(i, e, from, a >> half) << bits | float_to_float(i, e, from, keep_bits(a, half));
}

static bool is_pair(Type t) { return t == T_f16x2 || t == T_bf16x2 || t == T_e4m3x2 || t == T_e5m2x2; }

FUNCTION(cvt)
{
    (void)c;
    Type t = (Type)i->type, from = (Type)i->from;
    bool to_float = type_kind(t) == FLOAT, from_float = type_kind(from) == FLOAT;
    if (is_pair(t)) return convert_pair(i, a, b);
    if (to_float && from_float) return float_to_float(i, t, from, a);
    if (to_float) return integer_to_float(i, a);
    if (!from_float) return integer_to_integer(i, a);
    if (i->mod[FTZ]) a = flush(from, a);
    return float_to_integer(i, to_double(from, a));
}
