/* Numbers of the small types, exact in a double, and rounding into them.
 *
 * A value is rounded once: sums that a double does not hold are made with their last bit odd where they are
 * inexact (round to odd), so that rounding again to at most 51 bits gives what one rounding would. */
#include "inside.h"

#include <math.h>
#include <string.h>

unsigned type_bits(Type t)
{
    static const uint8_t bits[TYPES] = {
#define TYPE(name, bits, kind) [T_##name] = bits,
#include "type_list.h"
#undef TYPE
    };
    return bits[t];
}

Kind type_kind(Type t)
{
    static const uint8_t kinds[TYPES] = {
#define TYPE(name, bits, kind) [T_##name] = kind,
#include "type_list.h"
#undef TYPE
    };
    return (Kind)kinds[t];
}

Type type_find(const char *text, size_t length)
{
    static const char *const names[TYPES] = {
        "",
#define TYPE(name, bits, kind) #name,
#include "type_list.h"
#undef TYPE
    };
    for (Type t = NO_TYPE + 1; t < TYPES; t++)
        if (strlen(names[t]) == length && !memcmp(names[t], text, length)) return t;
    return NO_TYPE;
}

uint64_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return isnan(x) ? 0x7fffffffu : bits;
}

uint64_t double_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return isnan(x) ? 0x7fffffffffffffffu : bits;
}

/* sign, `exponent` bits, `mantissa` bits; IEEE except that e4m3 has no infinities */
static double small_to_double(uint64_t bits, unsigned exponent, unsigned mantissa)
{
    int64_t e = (int64_t)(bits >> mantissa & ((1u << exponent) - 1)), top = (1 << exponent) - 1;
    int64_t m = (int64_t)(bits & ((1u << mantissa) - 1)), bias = top >> 1;
    double sign = bits >> (exponent + mantissa) & 1 ? -1 : 1;
    if (exponent == 4 && mantissa == 3) {
        if (e == top && m == 7) return NAN;
    } else if (e == top) {
        return m ? NAN : sign * INFINITY;
    }
    if (e == 0) return sign * ldexp((double)m, (int)(1 - bias - (int64_t)mantissa));
    return sign * ldexp((double)(m + (1 << mantissa)), (int)(e - bias - (int64_t)mantissa));
}

double half_to_double(uint64_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, magnitude = (uint32_t)bits & 0x7fff;
    bool normal = magnitude >= 0x400 && magnitude < 0x7c00;
    if (normal || !magnitude)
        return as_float(sign | (normal ? (magnitude << 13) + 0x38000000 : 0)); /* often */
    return small_to_double(bits & 0xffff, 5, 10);
}
double bfloat_to_double(uint64_t bits) { return as_float((bits & 0xffff) << 16); }

static double round_whole(double x, Modifier how)
{
    switch (how) {
    case M_RZ: return trunc(x);
    case M_RM: return floor(x);
    case M_RP: return ceil(x);
    case M_RNA: return round(x);
    default: return nearbyint(x);
    }
}

static bool overflow_is_infinite(bool negative, Modifier round)
{
    return round == M_NONE || round == M_RN || round == M_RNA || (round == M_RP && !negative) ||
           (round == M_RM && negative);
}

/* Exponent and mantissa of a finite number; larger than any of the type where it overflows. */
static uint64_t small_magnitude(double x, unsigned exponent, unsigned mantissa, Modifier round)
{
    int bias = (1 << (exponent - 1)) - 1, e;
    frexp(x, &e); /* |x| in [2^(e-1), 2^e) */
    e = e - 1 < 1 - bias || x == 0 ? 1 - bias : e - 1;
    double scaled = round_whole(ldexp(x, (int)mantissa - e), round); /* in units of the last place */
    uint64_t units = (uint64_t)fabs(scaled);
    return ((uint64_t)(e + bias - 1) << mantissa) + units; /* a hidden one adds to the exponent */
}

uint64_t double_to_small(double x, unsigned exponent, unsigned mantissa, Modifier round)
{
    uint64_t sign = (uint64_t)(signbit(x) != 0) << (exponent + mantissa);
    uint64_t infinity = (uint64_t)((1u << exponent) - 1) << mantissa;
    if (isnan(x)) return infinity | ((1u << mantissa) - 1); /* canonical: positive, all ones */
    if (isinf(x)) return sign | infinity;
    uint64_t bits = small_magnitude(x, exponent, mantissa, round);
    if (bits >= infinity) bits = overflow_is_infinite(signbit(x), round) ? infinity : infinity - 1;
    return sign | bits;
}

uint64_t double_to_half(double x, Modifier round) { return double_to_small(x, 5, 10, round); }
uint64_t double_to_bfloat(double x, Modifier round) { return double_to_small(x, 8, 7, round); }

double to_double(Type t, uint64_t bits)
{
    switch (t) {
    case T_f16:
    case T_f16x2: return half_to_double(bits);
    case T_bf16:
    case T_bf16x2: return bfloat_to_double(bits);
    case T_f64: return as_double(bits);
    case T_e4m3:
    case T_e4m3x2: return small_to_double(bits & 0xff, 4, 3);
    case T_e5m2:
    case T_e5m2x2: return small_to_double(bits & 0xff, 5, 2);
    default: return as_float(bits);
    }
}

/* Of f8 conversions: too large numbers become the greatest finite one. */
static uint64_t finite_small(double x, unsigned exponent, unsigned mantissa)
{
    double greatest = exponent == 4 ? 448 : 57344;
    uint64_t sign = (uint64_t)(signbit(x) != 0) << 7;
    if (isnan(x)) return 0x7f;
    if (fabs(x) >= greatest) return sign | (exponent == 4 ? 0x7e : 0x7b);
    return sign | small_magnitude(x, exponent, mantissa, M_RN);
}

uint64_t from_double(Type t, double x, Modifier round)
{
    switch (t) {
    case T_f16:
    case T_f16x2: return double_to_half(x, round);
    case T_bf16:
    case T_bf16x2: return double_to_bfloat(x, round);
    case T_f64: return double_bits(x);
    case T_tf32: return isnan(x) ? 0x7fffffff : double_to_small(x, 8, 10, round) << 13;
    case T_e4m3:
    case T_e4m3x2: return finite_small(x, 4, 3);
    case T_e5m2:
    case T_e5m2x2: return finite_small(x, 5, 2);
    default:
        if (round == M_RN || round == M_NONE) return float_bits((float)x);
        return isnan(x) ? 0x7fffffff : double_to_small(x, 8, 23, round);
    }
}

double add_to_odd(double a, double b)
{
    double sum = a + b;
    if (!isfinite(sum)) return sum;
    double part = sum - a, error = (a - (sum - part)) + (b - part); /* Knuth's TwoSum: exact */
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error == 0 || bits & 1) return sum;
    return nextafter(sum, error > 0 ? INFINITY : -INFINITY);
}
