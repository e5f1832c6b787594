/* pow as LLVM IR: 2^(y log2 |x|), computed in f64 for f32 and with a logarithm of some 64 bits for f64. */
#include "codegen/cpu/math_emit.h"
#include "codegen/cpu/math_tables.h"

/* log2(a) = k + s (c1 + c2 z + z^2 Q(z)), s = (m - 1) / (m + 1), z = s^2, c1 = 2 log2(e), c2 = c1 / 3, to
 * about 2^-64 of its size: s, z and the first two terms are pairs; the rest is below 2^-12 of the sum, so
 * that f64 is enough. */
static Pair log2_pair(const Emit *e, V a)
{
    Split p = math_split(e, a);
    V den = add(e, p.f, real(e, 2)), inverse = quotient(e, real(e, 1), den);
    V den_lo = sub(e, p.f, sub(e, den, real(e, 2)));
    V s = mul(e, p.f, inverse);
    V s_lo = mul(e, fnma(e, s, den_lo, fnma(e, s, den, p.f)), inverse);
    Pair z = exact_product(e, s, s);
    z.lo = fma3(e, add(e, s, s), s_lo, z.lo);
    V c1 = real(e, 0x1.71547652b82fep+1), c1_lo = real(e, 0x1.777d0ffda0d24p-55);
    V c2 = real(e, 0x1.ec709dc3a03fdp-1), c2_lo = real(e, 0x1.d27f05548af0cp-55);
    Pair t = exact_product(e, z.hi, c2);
    t.lo = fma3(e, z.hi, c2_lo, fma3(e, z.lo, c2, t.lo));
    t.lo = fma3(e, mul(e, z.hi, z.hi), polynomial(e, z.hi, pow_f64, COUNT(pow_f64)), t.lo);
    Pair c = exact_sum(e, c1, t.hi);
    c.lo = add(e, c.lo, add(e, t.lo, c1_lo));
    Pair l = exact_product(e, s, c.hi);
    l.lo = fma3(e, s, c.lo, fma3(e, s_lo, c.hi, l.lo));
    Pair sum = exact_sum(e, p.exponent, l.hi);
    return exact_sum(e, sum.hi, add(e, sum.lo, l.lo));   /* l.lo is not small: y times it must be */
}

/* 2^(hi + lo), with subnormal results: 2^(n / 2) and 2^(n - n / 2) scale one after the other. */
static V exp2_pair(const Emit *e, Pair w)
{
    V inside = less(e, magnitude(e, w.hi), real(e, 1100));
    V hi = at_least(e, at_most(e, w.hi, 1100), -1100), lo = pick(e, inside, w.lo, real(e, 0));
    Nearest n = nearest(e, hi, 1);
    V y = math_exp2_reduced(e, add(e, sub(e, hi, n.real), lo));
    V k = isub(e, n.bits, as_bits(e, real(e, shifter(e))));
    V half = LLVMBuildAShr(e->b, k, integer(e, 1), "");
    return mul(e, mul(e, y, power_of_two(e, half, 0)), power_of_two(e, isub(e, k, half), 0));
}

/* |x|^y for a = |x|, except for NaN and y = 0. */
static V pow_magnitude(const Emit *e, V a, V y, bool f64)
{
    Pair l = {math_log2(e, a), real(e, 0)};
    if (f64) {
        V infinite = either(e, equal(e, a, real(e, 0)), equal(e, a, real(e, INFINITY)));
        Pair exact = log2_pair(e, a);
        l.hi = pick(e, infinite, l.hi, exact.hi);
        l.lo = pick(e, infinite, l.lo, exact.lo);
    }
    V w = mul(e, y, l.hi);
    V lo = f64 ? fma3(e, y, l.lo, fma3(e, y, l.hi, neg(e, w))) : real(e, 0);
    return pick(e, equal(e, a, real(e, 1)), a, exp2_pair(e, (Pair){w, lo}));   /* 1^inf = 1 */
}

/* The special cases of IEEE 754, 9.2.1, given m = |x|^y. */
static V pow_sign(const Emit *e, V x, V y, V m)
{
    V half = scaled(e, y, 0.5), whole = equal(e, y, round_down(e, y));
    V odd = both(e, whole, not(e, equal(e, half, round_down(e, half))));
    V finite_negative = both(e, less(e, x, real(e, 0)), less(e, real(e, -INFINITY), x));
    V z = pick(e, odd, with_sign(e, m, x), m);
    z = pick(e, both(e, finite_negative, not(e, whole)), real(e, NAN), z);
    z = pick(e, LLVMBuildFCmp(e->b, LLVMRealUNO, x, y, ""), add(e, x, y), z);
    V always_one = either(e, equal(e, x, real(e, 1)), equal(e, y, real(e, 0)));
    return pick(e, always_one, real(e, 1), z);
}

V math_pow(const Emit *e, V x, V y)
{
    if (e->f64)
        return pow_sign(e, x, y, pow_magnitude(e, magnitude(e, x), y, true));
    Emit wide = widened(e);
    V wx = LLVMBuildFPExt(e->b, x, wide.type, ""), wy = LLVMBuildFPExt(e->b, y, wide.type, "");
    V z = pow_sign(&wide, wx, wy, pow_magnitude(&wide, magnitude(&wide, wx), wy, false));
    return LLVMBuildFPTrunc(e->b, z, e->type, "");
}

