/*
 * Emits the elementary functions of math_list.h as LLVM IR.
 *
 * One description serves f32 and f64 and every vector width: `Emit` knows the type, `TABLE` picks the polynomial. The
 * notation of the comments is that of the real numbers; [x] is x rounded to the format, a pair hi + lo an unevaluated
 * sum with |lo| well below hi. Every polynomial comes from scripts/derive-coefficients.
 */
#include "math.h"
#include "math_tables.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#define COUNT(table) ((unsigned)(sizeof (table) / sizeof *(table)))

typedef LLVMValueRef V;

typedef struct {
    LLVMModuleRef module;
    LLVMBuilderRef b;
    LLVMTypeRef type, bits;    /* the real type and the integer type of the same shape */
    unsigned lanes;            /* 0 for a scalar */
    bool f64;
} Emit;

typedef struct {
    V hi, lo;
} Pair;

static const MathInfo infos[MATH_COUNT] = {
#define MATH(NAME, name, arity, ulp_f32, ulp_f64) {#name, arity, ulp_f32, ulp_f64},
#include "math_list.h"
#undef MATH
};

/* ---- Building blocks -------------------------------------------------------------------------------------------- */

static LLVMTypeRef shaped(LLVMTypeRef element, unsigned lanes)
{
    return lanes ? LLVMVectorType(element, lanes) : element;
}

static Emit emit_for(LLVMModuleRef module, LLVMBuilderRef b, LLVMTypeRef type)
{
    bool vector = LLVMGetTypeKind(type) == LLVMVectorTypeKind;
    LLVMTypeRef element = vector ? LLVMGetElementType(type) : type;
    LLVMContextRef context = LLVMGetModuleContext(module);
    Emit e = {.module = module, .b = b, .type = type, .lanes = vector ? LLVMGetVectorSize(type) : 0};
    e.f64 = LLVMGetTypeKind(element) == LLVMDoubleTypeKind;
    e.bits = shaped(e.f64 ? LLVMInt64TypeInContext(context) : LLVMInt32TypeInContext(context), e.lanes);
    return e;
}

/* The same shape in f64. */
static Emit widened(const Emit *e)
{
    return emit_for(e->module, e->b, shaped(LLVMDoubleTypeInContext(LLVMGetModuleContext(e->module)), e->lanes));
}

static unsigned mantissa_bits(const Emit *e) { return e->f64 ? 52 : 23; }
static int exponent_bias(const Emit *e) { return e->f64 ? 1023 : 127; }
static double by_format(const Emit *e, double f32, double f64) { return e->f64 ? f64 : f32; }

static V splat(const Emit *e, V scalar)
{
    V lanes[64];
    if (!e->lanes)
        return scalar;
    assert(e->lanes <= COUNT(lanes));
    for (unsigned i = 0; i < e->lanes; i++)
        lanes[i] = scalar;
    return LLVMConstVector(lanes, e->lanes);
}

static V real(const Emit *e, double x)
{
    return splat(e, LLVMConstReal(e->lanes ? LLVMGetElementType(e->type) : e->type, x));
}

static V integer(const Emit *e, int64_t x)
{
    return splat(e, LLVMConstInt(e->lanes ? LLVMGetElementType(e->bits) : e->bits, (uint64_t)x, true));
}

static V add(const Emit *e, V x, V y) { return LLVMBuildFAdd(e->b, x, y, ""); }
static V sub(const Emit *e, V x, V y) { return LLVMBuildFSub(e->b, x, y, ""); }
static V mul(const Emit *e, V x, V y) { return LLVMBuildFMul(e->b, x, y, ""); }
static V quotient(const Emit *e, V x, V y) { return LLVMBuildFDiv(e->b, x, y, ""); }
static V neg(const Emit *e, V x) { return LLVMBuildFNeg(e->b, x, ""); }
static V scaled(const Emit *e, V x, double factor) { return mul(e, x, real(e, factor)); }
static V less(const Emit *e, V x, V y) { return LLVMBuildFCmp(e->b, LLVMRealOLT, x, y, ""); }
static V equal(const Emit *e, V x, V y) { return LLVMBuildFCmp(e->b, LLVMRealOEQ, x, y, ""); }
static V pick(const Emit *e, V condition, V x, V y) { return LLVMBuildSelect(e->b, condition, x, y, ""); }
static V both(const Emit *e, V x, V y) { return LLVMBuildAnd(e->b, x, y, ""); }
static V either(const Emit *e, V x, V y) { return LLVMBuildOr(e->b, x, y, ""); }
static V not(const Emit *e, V x) { return LLVMBuildNot(e->b, x, ""); }
static V as_bits(const Emit *e, V x) { return LLVMBuildBitCast(e->b, x, e->bits, ""); }
static V as_real(const Emit *e, V x) { return LLVMBuildBitCast(e->b, x, e->type, ""); }
static V iadd(const Emit *e, V x, V y) { return LLVMBuildAdd(e->b, x, y, ""); }
static V isub(const Emit *e, V x, V y) { return LLVMBuildSub(e->b, x, y, ""); }

static V intrinsic(const Emit *e, const char *name, V *args, unsigned count)
{
    V callee = llvm_intrinsic(e->module, name, e->type);
    return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(callee), callee, args, count, "");
}

static V magnitude(const Emit *e, V x) { return intrinsic(e, "llvm.fabs", &x, 1); }
static V round_down(const Emit *e, V x) { return intrinsic(e, "llvm.floor", &x, 1); }
static V with_sign(const Emit *e, V x, V sign) { return intrinsic(e, "llvm.copysign", (V[]){x, sign}, 2); }

/* x * y + z, rounded once. */
static V fma3(const Emit *e, V x, V y, V z) { return intrinsic(e, "llvm.fma", (V[]){x, y, z}, 3); }

/* z - x * y */
static V fnma(const Emit *e, V x, V y, V z) { return fma3(e, neg(e, x), y, z); }

/* The smaller of x and a bound; NaN stays. */
static V at_most(const Emit *e, V x, double bound)
{
    return pick(e, less(e, real(e, bound), x), real(e, bound), x);
}

static V at_least(const Emit *e, V x, double bound)
{
    return pick(e, less(e, x, real(e, bound)), real(e, bound), x);
}

/* c[0] + c[1] x + ... by Horner's rule, whose roundings matter least. */
static V polynomial(const Emit *e, V x, const double *c, unsigned count)
{
    V sum = real(e, c[count - 1]);
    for (unsigned i = count - 1; i-- > 0;)
        sum = fma3(e, sum, x, real(e, c[i]));
    return sum;
}

#define TABLE(e, name, x) ((e)->f64 ? polynomial(e, x, name##_f64, COUNT(name##_f64)) \
                                    : polynomial(e, x, name##_f32, COUNT(name##_f32)))

/* x y exactly. */
static Pair exact_product(const Emit *e, V x, V y)
{
    V hi = mul(e, x, y);
    return (Pair){hi, fma3(e, x, y, neg(e, hi))};
}

/* x + y exactly, for |x| >= |y| or x = 0 (Dekker). */
static Pair exact_sum(const Emit *e, V x, V y)
{
    V hi = add(e, x, y);
    return (Pair){hi, add(e, sub(e, x, hi), y)};
}

/* x + y exactly, for any x and y (Knuth). */
static Pair exact_sum_any(const Emit *e, V x, V y)
{
    V hi = add(e, x, y), part = sub(e, hi, x);
    return (Pair){hi, add(e, sub(e, x, sub(e, hi, part)), sub(e, y, part))};
}

/* An internal function of `arity` arguments of `type`, still without a body. */
static V declare_function(LLVMModuleRef module, const char *name, LLVMTypeRef type, unsigned arity, const char *inlining)
{
    LLVMTypeRef types[2] = {type, type};
    const char *attributes[] = {inlining, "nounwind", "willreturn", "memory"};   /* memory(none) is 0 */
    V function = LLVMAddFunction(module, name, LLVMFunctionType(type, types, arity, false));
    LLVMSetLinkage(function, LLVMInternalLinkage);
    for (unsigned i = 0; i < COUNT(attributes); i++) {
        LLVMAttributeRef attribute = llvm_attribute(LLVMGetModuleContext(module), attributes[i], 0);
        LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, attribute);
    }
    return function;
}

/* A builder at the start of the body. */
static LLVMBuilderRef builder_in(V function)
{
    LLVMContextRef context = LLVMGetModuleContext(LLVMGetGlobalParent(function));
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(context, function, ""));
    return b;
}

/* ---- Integers in the low bits of reals -------------------------------------------------------------------------- */

/* Adding 1.5 * 2^mantissa leaves an integer in the low bits: to convert without instructions that AVX2 lacks. */
static double shifter(const Emit *e) { return by_format(e, 0x1.8p23, 0x1.8p52); }

typedef struct {
    V real;   /* nearest integer, ties to even */
    V bits;   /* the same in the low bits of an integer; the bits above are those of the shifter */
} Nearest;

/* The integer nearest to x * factor, which must be below 2^(mantissa - 1). */
static Nearest nearest(const Emit *e, V x, double factor)
{
    V shifted = fma3(e, x, real(e, factor), real(e, shifter(e)));
    return (Nearest){sub(e, shifted, real(e, shifter(e))), as_bits(e, shifted)};
}

static V int_to_real(const Emit *e, V n)
{
    V shifted = as_real(e, iadd(e, n, as_bits(e, real(e, shifter(e)))));
    return sub(e, shifted, real(e, shifter(e)));
}

/* n moved to the place of the exponent; the bits of the shifter fall off. */
static V exponent_field(const Emit *e, V n) { return LLVMBuildShl(e->b, n, integer(e, mantissa_bits(e)), ""); }

/* 2^(n + offset), a normal number. */
static V power_of_two(const Emit *e, V n, int offset)
{
    return as_real(e, exponent_field(e, iadd(e, n, integer(e, exponent_bias(e) + offset))));
}

/* y * 2^n where y and the result are normal. */
static V times_power_of_two(const Emit *e, V y, V n)
{
    return as_real(e, iadd(e, as_bits(e, y), exponent_field(e, n)));
}

/* ---- exp, exp2, expm1, tanh ------------------------------------------------------------------------------------- */

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
    /* The smallest x with e^x normal, and the smallest with e^x infinite. At n = 128, y < 1: its exponent still fits. */
    double lowest = by_format(e, -0x1.5d589ep+6, -0x1.6232bdd7abcd2p+9);
    return exp_range(e, x, exp_in_range(e, x), lowest, by_format(e, 0x1.62e43p+6, 0x1.62e42fefa39fp+9));
}

/* 2^r, |r| <= 1/2 */
static V exp2_reduced(const Emit *e, V r) { return fma3(e, r, TABLE(e, exp2, r), real(e, 1)); }

static V emit_exp2(const Emit *e, V x)
{
    Nearest n = nearest(e, x, 1);
    V y = times_power_of_two(e, exp2_reduced(e, sub(e, x, n.real)), n.bits);
    return exp_range(e, x, y, by_format(e, -126, -1022), by_format(e, 128, 1024));
}

/*
 * (e^x - 1) / 2 = 2^(n-1) (r + c) + (2^(n-1) - 1/2), where c = e^r - 1 - r. Adding r before the small c loses nothing to
 * the cancellation at n = 1 and n = -1. The half keeps 2^(n-1) finite up to overflow. x is at most 89 (710).
 */
static V half_expm1(const Emit *e, V x)
{
    Nearest n = nearest(e, x, log2e);
    V high = fnma(e, n.real, ln2_hi(e), x);
    V r = fnma(e, n.real, ln2_lo(e), high);
    V tail = fnma(e, n.real, ln2_lo(e), sub(e, high, r));
    V c = fma3(e, mul(e, r, r), TABLE(e, exp, r), tail);
    V scale = power_of_two(e, n.bits, -1);
    return fma3(e, scale, c, fma3(e, scale, r, sub(e, scale, real(e, 0.5))));
}

static V emit_expm1(const Emit *e, V x)
{
    V inside = at_least(e, at_most(e, x, by_format(e, 89, 710)), by_format(e, -18, -38));
    return with_sign(e, scaled(e, half_expm1(e, inside), 2), x);
}

/*
 * tanh(a) = h / (h + 1) = w - w (w / (h + 1)), h = (e^(2a) - 1) / 2, w = min(h, 1): the last term is at most half of the
 * first, so the roundings of the quotient count half. 1 from a = 10 (20) on.
 */
static V emit_tanh(const Emit *e, V x)
{
    V a = at_most(e, magnitude(e, x), by_format(e, 10, 20));
    V h = half_expm1(e, add(e, a, a));
    V w = at_most(e, h, 1);
    return with_sign(e, fnma(e, w, quotient(e, w, add(e, h, real(e, 1))), w), x);
}

/* ---- log, log2, log1p ------------------------------------------------------------------------------------------- */

typedef struct {
    V exponent;   /* k, as a real */
    V scale;      /* 2^-k, 0 where that is not normal */
    V f;          /* m - 1, exact */
} Split;

/* x = 2^k m with sqrt(1/2) <= m < sqrt(2), for x > 0, finite. Garbage for others. */
static Split split(const Emit *e, V x)
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

/*
 * f - log(1 + f), |f| <= sqrt(2) - 1. With s = f / (2 + f): log(1 + f) = 2 atanh(s) = 2s + s R(s^2). Since 2s = f - s f and
 * s f = f^2/2 - s f^2/2, the result is f^2/2 - s (f^2/2 + R): all terms are small beside f, hence their errors too.
 */
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

/* y, but -inf at the pole, NaN below it, infinity for infinity, NaN for NaN. */
static V log_range(const Emit *e, V x, V y, double pole)
{
    V inside = both(e, less(e, real(e, pole), x), less(e, x, real(e, INFINITY)));
    V other = pick(e, less(e, x, real(e, pole)), real(e, NAN), x);
    other = pick(e, equal(e, x, real(e, pole)), real(e, -INFINITY), other);
    return pick(e, inside, y, other);
}

static V emit_log(const Emit *e, V x)
{
    Split p = split(e, x);
    return log_range(e, x, log_sum(e, p.exponent, p.f), 0);
}

static V emit_log2(const Emit *e, V x)
{
    Split p = split(e, x);
    V hi = real(e, by_format(e, (float)log2e, log2e));
    V lo = real(e, by_format(e, log2e - (double)(float)log2e, 0x1.777d0ffda0d24p-56));
    V tail = fma3(e, p.f, lo, neg(e, mul(e, log1p_deficit(e, p.f), hi)));
    return log_range(e, x, add(e, p.exponent, fma3(e, p.f, hi, tail)), 0);
}

/* 1 + x = hi + lo exactly; lo joins f after scaling, so that f = x where k = 0. The sign keeps -0. */
static V emit_log1p(const Emit *e, V x)
{
    Pair u = exact_sum_any(e, real(e, 1), x);
    Split p = split(e, u.hi);
    V f = fma3(e, u.lo, p.scale, p.f);
    return with_sign(e, log_range(e, x, log_sum(e, p.exponent, f), -1), x);
}

/* ---- erf, atan -------------------------------------------------------------------------------------------------- */

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

/* ---- sin, cos (in f64) ------------------------------------------------------------------------------------------ */

typedef struct {
    Pair r;      /* |r| <= pi/4 */
    V quadrant;  /* its two lowest bits count */
} Angle;

/*
 * a = n pi/2 + r for 0 <= a <= 2^49 (Cody and Waite). pi/2 = p1 + p2 + p3 to 160 bits. a - n p1 is exact inside the fma; n p2
 * is subtracted exactly as a pair. So r is right to 2^-106 or so absolutely, and no f64 is nearer than 2^-65 to a multiple.
 */
static Angle reduce_angle(const Emit *e, V a)
{
    Nearest n = nearest(e, a, 0x1.45f306dc9c883p-1);
    V first = fnma(e, n.real, real(e, 0x1.921fb54442d18p+0), a);
    Pair second = exact_product(e, n.real, real(e, -0x1.1a62633145c07p-54));
    Pair sum = exact_sum_any(e, first, second.hi);
    V tail = fnma(e, n.real, real(e, -0x1.f1976b7ed8fbcp-110), add(e, sum.lo, second.lo));
    return (Angle){exact_sum(e, sum.hi, tail), n.bits};
}

/* sin(r) = r + (lo (1 - z/2) + r z S(z)), z = r^2. f32 ignores lo and takes a shorter S. */
static V sin_reduced(const Emit *e, Pair r, V z, bool f64)
{
    V cube = mul(e, r.hi, z);
    if (!f64)
        return fma3(e, cube, polynomial(e, z, sin_f32, COUNT(sin_f32)), r.hi);
    V low = fnma(e, scaled(e, z, 0.5), r.lo, r.lo);
    return add(e, r.hi, fma3(e, cube, TABLE(e, sin, z), low));
}

/* cos(r) = 1 - z/2 + (z^2 C(z) - r lo); the rounding of w = 1 - z/2 is added back. */
static V cos_reduced(const Emit *e, Pair r, V z, bool f64)
{
    V one = real(e, 1), half = scaled(e, z, 0.5), square = mul(e, z, z), w = sub(e, one, half);
    if (!f64)
        return fma3(e, square, polynomial(e, z, cos_f32, COUNT(cos_f32)), w);
    V tail = fnma(e, r.hi, r.lo, sub(e, sub(e, one, w), half));
    return add(e, w, fma3(e, square, TABLE(e, cos, z), tail));
}

/* sin(x + shift pi/2), from the angle of |x|. Emitter of f64; `f64` says how exact it need be. */
static V sin_of_angle(const Emit *e, V x, Angle angle, unsigned shift, bool f64)
{
    V q = iadd(e, angle.quadrant, integer(e, shift)), z = mul(e, angle.r.hi, angle.r.hi);
    V odd = LLVMBuildICmp(e->b, LLVMIntNE, both(e, q, integer(e, 1)), integer(e, 0), "");
    V y = pick(e, odd, cos_reduced(e, angle.r, z, f64), sin_reduced(e, angle.r, z, f64));
    V sign = LLVMBuildShl(e->b, LLVMBuildLShr(e->b, q, integer(e, 1), ""), integer(e, 63), "");
    if (shift == 0)   /* odd in x */
        sign = LLVMBuildXor(e->b, sign, both(e, as_bits(e, x), integer(e, INT64_MIN)), "");
    return as_real(e, LLVMBuildXor(e->b, as_bits(e, y), sign, ""));
}

/* The first 1216 bits of 2 / pi, behind the point. */
static const char two_over_pi[] =
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424d"
    "d2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639"
    "835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f46"
    "3f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab";

/* 48 bits of x from bit `from` up, as a real times 2^-exponent. */
static V real_part(const Emit *e, V x, unsigned from, bool sign, int exponent)
{
    V shifted = LLVMBuildAShr(e->b, x, LLVMConstInt(LLVMTypeOf(x), from, false), "");
    V low = LLVMBuildTrunc(e->b, shifted, e->bits, "");
    if (!sign)
        low = both(e, low, integer(e, (INT64_C(1) << 48) - 1));
    return scaled(e, LLVMBuildSIToFP(e->b, low, e->type, ""), ldexp(1, -exponent));
}

/*
 * a = n pi/2 + r for a scalar 2^49 <= a = M 2^E (Payne and Hanek). Of the bits of 2^E 2/pi those above 2^1 only contribute
 * multiples of four quarter turns, those below 2^-190 nothing that matters: integers of 192 bits, which wrap, hold a 2/pi
 * modulo 4 in units of 2^-190.
 */
static Angle reduce_huge_angle(const Emit *e, V a)
{
    LLVMContextRef context = LLVMGetModuleContext(e->module);
    LLVMTypeRef all = LLVMIntTypeInContext(context, 1216), wrapping = LLVMIntTypeInContext(context, 192);
    V bits = as_bits(e, a), low = integer(e, (INT64_C(1) << 52) - 1), one = integer(e, INT64_C(1) << 52);
    V mantissa = LLVMBuildZExt(e->b, either(e, both(e, bits, low), one), wrapping, "");
    V drop = isub(e, integer(e, 1216 - 190 + 1075), LLVMBuildLShr(e->b, bits, integer(e, 52), ""));
    V window = LLVMBuildLShr(e->b, LLVMConstIntOfString(all, two_over_pi, 16), LLVMBuildZExt(e->b, drop, all, ""), "");
    V turns = LLVMBuildMul(e->b, LLVMBuildTrunc(e->b, window, wrapping, ""), mantissa, "");
    V half = LLVMBuildShl(e->b, LLVMConstInt(wrapping, 1, false), LLVMConstInt(wrapping, 189, false), "");
    V quadrant = LLVMBuildLShr(e->b, iadd(e, turns, half), LLVMConstInt(wrapping, 190, false), "");
    V rest = LLVMBuildShl(e->b, turns, LLVMConstInt(wrapping, 2, false), "");   /* signed, in quarter turns 2^-192 */
    Pair f = exact_sum(e, real_part(e, rest, 144, true, 48), real_part(e, rest, 96, false, 96));
    f = exact_sum(e, f.hi, add(e, f.lo, real_part(e, rest, 48, false, 144)));
    V half_pi = real(e, 0x1.921fb54442d18p+0), half_pi_lo = real(e, 0x1.1a62633145c07p-54);
    Pair r = exact_product(e, f.hi, half_pi);
    r.lo = fma3(e, f.hi, half_pi_lo, fma3(e, f.lo, half_pi, r.lo));
    return (Angle){exact_sum(e, r.hi, r.lo), LLVMBuildTrunc(e->b, quadrant, e->bits, "")};
}

/* sin(x + shift pi/2) of a scalar f64 from 2^49 on, out of line. */
static V far_function(LLVMModuleRef module, unsigned shift)
{
    const char *name = shift ? "attn_cos_far_f64" : "attn_sin_far_f64";
    V function = LLVMGetNamedFunction(module, name);
    if (function)
        return function;
    function = declare_function(module, name, LLVMDoubleTypeInContext(LLVMGetModuleContext(module)), 1, "noinline");
    V x = LLVMGetParam(function, 0);
    Emit e = emit_for(module, builder_in(function), LLVMTypeOf(x));
    V y = sin_of_angle(&e, x, reduce_huge_angle(&e, magnitude(&e, x)), shift, true);
    LLVMBuildRet(e.b, add(&e, y, sub(&e, x, x)));   /* infinity gives NaN */
    LLVMDisposeBuilder(e.b);
    return function;
}

/* `fast`, with the lanes that are `far` computed again one by one. */
static V patch_far_lanes(const Emit *e, V x, V far, V fast, unsigned shift)
{
    V function = far_function(e->module, shift), slow = fast;
    LLVMTypeRef type = LLVMGlobalGetValueType(function);
    x = pick(e, far, x, real(e, 0x1p50));
    if (!e->lanes)
        return LLVMBuildCall2(e->b, type, function, &x, 1, "");
    for (unsigned i = 0; i < e->lanes; i++) {
        V lane = LLVMConstInt(LLVMInt32TypeInContext(LLVMGetModuleContext(e->module)), i, false);
        V element = LLVMBuildExtractElement(e->b, x, lane, "");
        slow = LLVMBuildInsertElement(e->b, slow, LLVMBuildCall2(e->b, type, function, &element, 1, ""), lane, "");
    }
    return pick(e, far, slow, fast);
}

/* The only branch of this file, taken when an argument is beyond 2^49. */
static V unless_far(const Emit *e, V x, V fast, unsigned shift)
{
    LLVMContextRef context = LLVMGetModuleContext(e->module);
    V far = less(e, real(e, 0x1p49), magnitude(e, x)), any = far;
    if (e->lanes) {
        V callee = llvm_intrinsic(e->module, "llvm.vector.reduce.or", LLVMTypeOf(far));
        any = LLVMBuildCall2(e->b, LLVMGlobalGetValueType(callee), callee, &far, 1, "");
    }
    LLVMBasicBlockRef near_block = LLVMGetInsertBlock(e->b);
    V function = LLVMGetBasicBlockParent(near_block);
    LLVMBasicBlockRef far_block = LLVMAppendBasicBlockInContext(context, function, "far");
    LLVMBasicBlockRef join = LLVMAppendBasicBlockInContext(context, function, "join");
    LLVMBuildCondBr(e->b, any, far_block, join);
    LLVMPositionBuilderAtEnd(e->b, far_block);
    V slow = patch_far_lanes(e, x, far, fast, shift);
    LLVMBuildBr(e->b, join);
    LLVMPositionBuilderAtEnd(e->b, join);
    V y = LLVMBuildPhi(e->b, e->type, "");
    LLVMAddIncoming(y, (V[]){fast, slow}, (LLVMBasicBlockRef[]){near_block, far_block}, 2);
    return y;
}

static V emit_sin_shifted(const Emit *e, V x, unsigned shift)
{
    Emit wide = widened(e);
    V wide_x = e->f64 ? x : LLVMBuildFPExt(e->b, x, wide.type, "");
    Angle angle = reduce_angle(&wide, magnitude(&wide, wide_x));
    V y = unless_far(&wide, wide_x, sin_of_angle(&wide, wide_x, angle, shift, e->f64), shift);
    return e->f64 ? y : LLVMBuildFPTrunc(e->b, y, e->type, "");
}

/* ---- pow (in f64) ----------------------------------------------------------------------------------------------- */

/*
 * log2(a) = k + s (c1 + c2 z + z^2 Q(z)), s = (m - 1) / (m + 1), z = s^2, c1 = 2 log2(e), c2 = c1 / 3, to about 2^-64 of its
 * size: s, z and the first two terms are pairs, the rest is below 2^-12 of the sum.
 */
static Pair log2_pair(const Emit *e, V a)
{
    Split p = split(e, a);
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

/* 2^(hi + lo), over- and underflowing gradually; halves of n scale one after the other. */
static V exp2_pair(const Emit *e, Pair w)
{
    V inside = less(e, magnitude(e, w.hi), real(e, 1100));
    V hi = at_least(e, at_most(e, w.hi, 1100), -1100), lo = pick(e, inside, w.lo, real(e, 0));
    Nearest n = nearest(e, hi, 1);
    V y = exp2_reduced(e, add(e, sub(e, hi, n.real), lo));
    V k = isub(e, n.bits, as_bits(e, real(e, shifter(e))));
    V half = LLVMBuildAShr(e->b, k, integer(e, 1), "");
    return mul(e, mul(e, y, power_of_two(e, half, 0)), power_of_two(e, isub(e, k, half), 0));
}

/* |x|^y for a = |x|, except for NaN and y = 0. */
static V pow_magnitude(const Emit *e, V a, V y, bool f64)
{
    Pair l = {emit_log2(e, a), real(e, 0)};
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

static V emit_pow(const Emit *e, V x, V y)
{
    if (e->f64)
        return pow_sign(e, x, y, pow_magnitude(e, magnitude(e, x), y, true));
    Emit wide = widened(e);
    V wx = LLVMBuildFPExt(e->b, x, wide.type, ""), wy = LLVMBuildFPExt(e->b, y, wide.type, "");
    V z = pow_sign(&wide, wx, wy, pow_magnitude(&wide, magnitude(&wide, wx), wy, false));
    return LLVMBuildFPTrunc(e->b, z, e->type, "");
}

/* ---- Functions of the module ------------------------------------------------------------------------------------ */

static V emit_rsqrt(const Emit *e, V x) { return quotient(e, real(e, 1), intrinsic(e, "llvm.sqrt", &x, 1)); }

static V emit_body(const Emit *e, MathFn fn, V x, V y)
{
    switch (fn) {
    case MATH_EXP: return emit_exp(e, x);
    case MATH_EXP2: return emit_exp2(e, x);
    case MATH_EXPM1: return emit_expm1(e, x);
    case MATH_LOG: return emit_log(e, x);
    case MATH_LOG2: return emit_log2(e, x);
    case MATH_LOG1P: return emit_log1p(e, x);
    case MATH_TANH: return emit_tanh(e, x);
    case MATH_ERF: return emit_erf(e, x);
    case MATH_SIN: return emit_sin_shifted(e, x, 0);
    case MATH_COS: return emit_sin_shifted(e, x, 1);
    case MATH_ATAN: return emit_atan(e, x);
    case MATH_POW: return emit_pow(e, x, y);
    case MATH_RSQRT: return emit_rsqrt(e, x);
    default: return NULL;
    }
}

static V define_function(LLVMModuleRef module, MathFn fn, LLVMTypeRef type, const char *name)
{
    V function = declare_function(module, name, type, infos[fn].arity, "alwaysinline");
    LLVMBuilderRef b = builder_in(function);
    Emit e = emit_for(module, b, type);
    LLVMBuildRet(b, emit_body(&e, fn, LLVMGetParam(function, 0), infos[fn].arity == 2 ? LLVMGetParam(function, 1) : NULL));
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

LLVMValueRef math_call(LLVMBuilderRef builder, LLVMModuleRef module, MathFn fn, LLVMValueRef *args, unsigned count)
{
    assert(count == infos[fn].arity);
    LLVMValueRef function = math_function(module, fn, LLVMTypeOf(args[0]));
    return LLVMBuildCall2(builder, LLVMGlobalGetValueType(function), function, args, count, "");
}
