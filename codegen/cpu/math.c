/* The elementary functions of math_list.h as LLVM IR: exponentials, logarithms, erf and atan, and the
 * functions of the module. sin and cos are in math_angle.c, pow in math_pow.c, coefficients in
 * math_tables.h. Where a comment gives two bounds, "4 (6)", they are for f32 and f64. */
#include "codegen/cpu/math.h"
#include "codegen/cpu/math_emit.h"
#include "codegen/cpu/math_tables.h"

#include <stdio.h>

static const MathInfo infos[MATH_COUNT] = {
#define MATH(NAME, name, arity, ulp_f32, ulp_f64) {#name, arity, ulp_f32, ulp_f64},
#include "codegen/cpu/math_list.h"
#undef MATH
};

/* ---- exp, exp2, expm1, tanh ---- */

/* ln 2 = hi + lo. hi is rounded to nearest: its product with an integer is inside an fma, thus exact. */
static V ln2_hi(const Emit *e) { return real(e, by_format(e, 0x1.62e43p-1, 0x1.62e42fefa39efp-1)); }
static V ln2_lo(const Emit *e) { return real(e, by_format(e, -0x1.05c61p-29, 0x1.abc9e3b39803fp-56)); }

static const double log2e = 0x1.71547652b82fep+0;

/* exp(x) = 2^n e^r, n = nearest integer to x / ln 2, |r| <= ln2 / 2. For results in the normal range. */
static V exp_in_range(const Emit *e, V x)
{
    Nearest n = nearest(e, x, log2e);
    V r = fnma(e, n.real, ln2_lo(e), fnma(e, n.real, ln2_hi(e), x));
    V y = fma3(e, r, fma3(e, r, TABLE(e, exp, r), real(e, 1)), real(e, 1));
    return times_power_of_two(e, y, n.bits);
}

/* y, but 0 for x < lowest, infinity for x >= overflow, NaN for NaN. */
static V exp_range(const Emit *e, V x, V y, double lowest, double overflow)
{
    V in_range = less(e, x, real(e, overflow));
    y = pick(e, in_range, y, add(e, x, real(e, INFINITY)));
    return pick(e, less(e, x, real(e, lowest)), real(e, 0), y);
}

static V emit_exp(const Emit *e, V x)
{
    /* The smallest x with e^x normal and the smallest with e^x infinite; just below it n = 128, but y < 1. */
    double lowest = by_format(e, -0x1.5d589ep+6, -0x1.6232bdd7abcd2p+9);
    return exp_range(e, x, exp_in_range(e, x), lowest, by_format(e, 0x1.62e43p+6, 0x1.62e42fefa39fp+9));
}

/* The same for x <= 0, in f32 with what matters alone. Nothing overflows; the shifter holds the exponent's bias, so that
 * its low bits are those of 2^n, which is 0 for n = -127: there x stops. */
static V biased_shifter(const Emit *e) { return real(e, shifter(e) + exponent_bias(e)); }

typedef struct {
    V r, p, power;   /* (1 + r p) times the power of two, which may be 0 or infinity */
} Scaled;

static V power_of(const Emit *e, V shifted)
{
    return as_real(e, LLVMBuildShl(e->b, as_bits(e, shifted), integer(e, mantissa_bits(e)), ""));
}

/* Of a power that is finite: the product with r is exact, and need not wait for p. */
static V multiplied(const Emit *e, Scaled z) { return fma3(e, mul(e, z.power, z.r), z.p, z.power); }

/* e^(sign x) for -88.4 < sign x < 89, which is infinite from 88.4 on. r lacks n ln2_lo, which is below a tenth of half an
 * ulp of x. */
static Scaled short_exp(const Emit *e, V x, double sign)
{
    double c[COUNT(exp_down_f32)];
    V shifted = fma3(e, x, real(e, sign * log2e), biased_shifter(e));
    V n = sub(e, shifted, biased_shifter(e)), r = fma3(e, sign < 0 ? n : neg(e, n), ln2_hi(e), x);
    for (unsigned i = 0; i < COUNT(c); i++)
        c[i] = i % 2 ? exp_down_f32[i] : sign * exp_down_f32[i];
    return (Scaled){r, polynomial(e, r, c, COUNT(c)), power_of(e, shifted)};
}

static V emit_exp_down(const Emit *e, V x)
{
    return e->f64 ? emit_exp(e, x) : multiplied(e, short_exp(e, at_least(e, x, -88), 1));
}

/* Beyond the bounds e^-x is infinite, or nothing beside 1. */
static V emit_sigmoid(const Emit *e, V x)
{
    V one = real(e, 1);
    if (e->f64) return quotient(e, one, add(e, one, emit_exp(e, neg(e, x))));
    Scaled z = short_exp(e, at_least(e, at_most(e, x, 40), -89), -1);
    return quotient(e, one, fma3(e, fma3(e, z.r, z.p, one), z.power, one));
}

V math_exp2_reduced(const Emit *e, V r) { return fma3(e, r, TABLE(e, exp2, r), real(e, 1)); }

static V emit_exp2(const Emit *e, V x)
{
    Nearest n = nearest(e, x, 1);
    V y = times_power_of_two(e, math_exp2_reduced(e, sub(e, x, n.real)), n.bits);
    return exp_range(e, x, y, by_format(e, -126, -1022), by_format(e, 128, 1024));
}

static V emit_exp2_down(const Emit *e, V x)
{
    if (e->f64) return emit_exp2(e, x);
    V stopped = at_least(e, x, -127), shifted = add(e, stopped, biased_shifter(e));
    V r = sub(e, stopped, sub(e, shifted, biased_shifter(e)));
    return multiplied(e, (Scaled){r, polynomial(e, r, exp2_down_f32, COUNT(exp2_down_f32)), power_of(e, shifted)});
}

/* (e^x - 1) / 2 = (2^(n-1) - 1/2) + 2^(n-1) r + 2^(n-1) c, c = e^r - 1 - r. The first sum is exact, as a
 * pair, so that cancellation at n = 1 and -1 costs nothing. The half keeps 2^(n-1) finite up to overflow.
 * x is at most 89 (710). */
static V half_expm1(const Emit *e, V x)
{
    Nearest n = nearest(e, x, log2e);
    V high = fnma(e, n.real, ln2_hi(e), x);
    V r = fnma(e, n.real, ln2_lo(e), high);
    V tail = fnma(e, n.real, ln2_lo(e), sub(e, high, r));
    V c = fma3(e, mul(e, r, r), TABLE(e, exp, r), tail);
    V scale = power_of_two(e, n.bits, -1);
    Pair sum = exact_sum(e, sub(e, scale, real(e, 0.5)), mul(e, scale, r));
    return add(e, sum.hi, fma3(e, scale, c, sum.lo));
}

static V emit_expm1(const Emit *e, V x)
{
    V inside = at_least(e, at_most(e, x, by_format(e, 89, 710)), by_format(e, -18, -38));
    return with_sign(e, scaled(e, half_expm1(e, inside), 2), x);
}

/* tanh(a) = h / (h + 1) = w - w (w / (h + 1)), h = (e^(2a) - 1) / 2, w = min(h, 1): the last term is at
 * most half of the first, so the roundings of the quotient count half. 1 from a = 10 (20) on. */
static V emit_tanh(const Emit *e, V x)
{
    V a = at_most(e, magnitude(e, x), by_format(e, 10, 20));
    V h = half_expm1(e, add(e, a, a));
    V w = at_most(e, h, 1);
    return with_sign(e, fnma(e, w, quotient(e, w, add(e, h, real(e, 1))), w), x);
}

/* ---- log, log2, log1p ---- */

Split math_split(const Emit *e, V x)
{
    int up = (int)mantissa_bits(e) + 2;
    V tiny = less(e, x, real(e, by_format(e, 0x1p-126, 0x1p-1022)));
    V bits = as_bits(e, pick(e, tiny, scaled(e, x, ldexp(1, up)), x));
    V root_half = as_bits(e, real(e, by_format(e, 0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1)));
    V k = LLVMBuildAShr(e->b, isub(e, bits, root_half), integer(e, mantissa_bits(e)), "");
    V m = as_real(e, isub(e, bits, exponent_field(e, k)));
    V bias = integer(e, exponent_bias(e));
    V normal = LLVMBuildICmp(e->b, LLVMIntSLT, k, bias, "");
    V scale = as_real(e, exponent_field(e, pick(e, normal, isub(e, bias, k), integer(e, 0))));
    k = isub(e, k, pick(e, tiny, integer(e, up), integer(e, 0)));
    return (Split){int_to_real(e, k), scale, sub(e, m, real(e, 1))};
}

/* f - log(1 + f), |f| <= sqrt(2) - 1. With s = f / (2 + f): log(1 + f) = 2 atanh(s) = 2s + s R(s^2). Since
 * 2s = f - s f and s f = f^2/2 - s f^2/2, it is f^2/2 - s (f^2/2 + R): all terms are small beside f, hence
 * their errors too. */
static V log1p_deficit(const Emit *e, V f)
{
    V s = quotient(e, f, add(e, f, real(e, 2)));
    V z = mul(e, s, s), half_square = mul(e, scaled(e, f, 0.5), f);
    return fnma(e, s, fma3(e, z, TABLE(e, log, z), half_square), half_square);
}

/* k ln 2 + log(1 + f) */
static V log_sum(const Emit *e, V k, V f)
{
    V deficit = fnma(e, k, ln2_lo(e), log1p_deficit(e, f));
    return fma3(e, k, ln2_hi(e), sub(e, f, deficit));
}

/* y, but -infinity at the pole, NaN below it, infinity for infinity, NaN for NaN. */
static V log_range(const Emit *e, V x, V y, double pole)
{
    V inside = both(e, less(e, real(e, pole), x), less(e, x, real(e, INFINITY)));
    V other = pick(e, less(e, x, real(e, pole)), real(e, NAN), x);
    other = pick(e, equal(e, x, real(e, pole)), real(e, -INFINITY), other);
    return pick(e, inside, y, other);
}

static V emit_log(const Emit *e, V x)
{
    Split p = math_split(e, x);
    return log_range(e, x, log_sum(e, p.exponent, p.f), 0);
}

V math_log2(const Emit *e, V x)
{
    Split p = math_split(e, x);
    V hi = real(e, by_format(e, (float)log2e, log2e));
    V lo = real(e, by_format(e, log2e - (double)(float)log2e, 0x1.777d0ffda0d24p-56));
    V tail = fma3(e, p.f, lo, neg(e, mul(e, log1p_deficit(e, p.f), hi)));
    return log_range(e, x, add(e, p.exponent, fma3(e, p.f, hi, tail)), 0);
}

/* 1 + x = hi + lo exactly; lo joins f after scaling, so that f = x where k = 0. The sign keeps -0. */
static V emit_log1p(const Emit *e, V x)
{
    Pair u = exact_sum_any(e, real(e, 1), x);
    Split p = math_split(e, u.hi);
    V f = fma3(e, u.lo, p.scale, p.f);
    return with_sign(e, log_range(e, x, log_sum(e, p.exponent, f), -1), x);
}

/* ---- erf, atan ---- */

/* a <= 1: a + a P(a^2). Above: 1 - e^(-a^2) R(t), t = (a - 2) / (a + 2), which is 1 from a = 4 (6) on. */
static V emit_erf(const Emit *e, V x)
{
    V a = at_most(e, magnitude(e, x), by_format(e, 4, 6)), square = mul(e, a, a);
    V small = fma3(e, a, TABLE(e, erf, square), a);
    V t = quotient(e, sub(e, a, real(e, 2)), add(e, a, real(e, 2)));
    V large = fnma(e, exp_in_range(e, neg(e, square)), TABLE(e, erfc, t), real(e, 1));
    return with_sign(e, pick(e, less(e, real(e, 1), a), large, small), x);
}

/* a <= 1: a + a z P(z), z = a^2. Above: pi/2 + atan(-1 / a). */
static V emit_atan(const Emit *e, V x)
{
    V a = magnitude(e, x), large = less(e, real(e, 1), a), zero = real(e, 0);
    V t = pick(e, large, quotient(e, real(e, -1), a), a), z = mul(e, t, t);
    V base = pick(e, large, real(e, by_format(e, 0x1.921fb6p+0, 0x1.921fb54442d18p+0)), zero);
    V base_lo = pick(e, large, real(e, by_format(e, -0x1.777a5cp-25, 0x1.1a62633145c07p-54)), zero);
    Pair sum = exact_sum(e, base, t);
    V tail = add(e, sum.lo, fma3(e, t, mul(e, z, TABLE(e, atan, z)), base_lo));
    return with_sign(e, add(e, sum.hi, tail), x);
}

/* ---- Functions of the module ---- */

static V emit_rsqrt(const Emit *e, V x) { return quotient(e, real(e, 1), intrinsic(e, "llvm.sqrt", &x, 1)); }

static V emit_body(const Emit *e, MathFn fn, V x, V y)
{
    switch (fn) {
    case MATH_EXP: return emit_exp(e, x);
    case MATH_EXP2: return emit_exp2(e, x);
    case MATH_EXP_DOWN: return emit_exp_down(e, x);
    case MATH_EXP2_DOWN: return emit_exp2_down(e, x);
    case MATH_SIGMOID: return emit_sigmoid(e, x);
    case MATH_EXPM1: return emit_expm1(e, x);
    case MATH_LOG: return emit_log(e, x);
    case MATH_LOG2: return math_log2(e, x);
    case MATH_LOG1P: return emit_log1p(e, x);
    case MATH_TANH: return emit_tanh(e, x);
    case MATH_ERF: return emit_erf(e, x);
    case MATH_SIN: return math_sin(e, x, 0);
    case MATH_COS: return math_sin(e, x, 1);
    case MATH_ATAN: return emit_atan(e, x);
    case MATH_POW: return math_pow(e, x, y);
    case MATH_RSQRT: return emit_rsqrt(e, x);
    default: return NULL;
    }
}

static V define_function(LLVMModuleRef module, MathFn fn, LLVMTypeRef type, const char *name)
{
    V function = declare_function(module, name, type, infos[fn].arity, "alwaysinline");
    LLVMBuilderRef b = builder_in(function);
    Emit e = emit_for(module, b, type);
    V y = infos[fn].arity == 2 ? LLVMGetParam(function, 1) : NULL;
    LLVMBuildRet(b, emit_body(&e, fn, LLVMGetParam(function, 0), y));
    LLVMDisposeBuilder(b);
    return function;
}

const MathInfo *math_info(MathFn fn) { return &infos[fn]; }

LLVMValueRef math_function(LLVMModuleRef module, MathFn fn, LLVMTypeRef type)
{
    char name[64];
    if (fn >= MATH_SQRT) {
        snprintf(name, sizeof name, "llvm.%s", infos[fn].name);
        return llvm_intrinsic(module, name, type);
    }
    Emit shape = emit_for(module, NULL, type);
    char lanes[16] = "";
    if (shape.lanes)
        snprintf(lanes, sizeof lanes, "v%u", shape.lanes);
    snprintf(name, sizeof name, "attn_%s_%s%s", infos[fn].name, lanes, shape.f64 ? "f64" : "f32");
    LLVMValueRef function = LLVMGetNamedFunction(module, name);
    return function ? function : define_function(module, fn, type, name);
}

LLVMValueRef math_call(LLVMBuilderRef builder, LLVMModuleRef module, MathFn fn, LLVMValueRef *args,
                       unsigned count)
{
    assert(count == infos[fn].arity);
    LLVMValueRef function = math_function(module, fn, LLVMTypeOf(args[0]));
    return LLVMBuildCall2(builder, LLVMGlobalGetValueType(function), function, args, count, "");
}
