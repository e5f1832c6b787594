/* The notation in which math*.c write elementary functions as LLVM IR. One description serves f32, f64 and
 * every vector width: `Emit` knows the type. Vectors that are not powers of two are fine. */
#ifndef ATTN_CODEGEN_CPU_MATH_EMIT_H
#define ATTN_CODEGEN_CPU_MATH_EMIT_H

#include "codegen/cpu/math.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#define COUNT(table) ((unsigned)(sizeof (table) / sizeof *(table)))

typedef LLVMValueRef V;

typedef struct {
    LLVMModuleRef module;
    LLVMBuilderRef b;
    LLVMTypeRef type, bits;    /* the real type and the integer type of the same shape */
    unsigned lanes;            /* 0 for a scalar */
    bool f64;
} Emit;

typedef struct {   /* the unevaluated sum hi + lo; lo is mostly as small as the rounding error of hi */
    V hi, lo;
} Pair;

static inline LLVMTypeRef shaped(LLVMTypeRef element, unsigned lanes)
{
    return lanes ? LLVMVectorType(element, lanes) : element;
}

/* `b` may be NULL where only the shape matters. */
static inline Emit emit_for(LLVMModuleRef module, LLVMBuilderRef b, LLVMTypeRef type)
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
static inline Emit widened(const Emit *e)
{
    LLVMTypeRef element = LLVMDoubleTypeInContext(LLVMGetModuleContext(e->module));
    return emit_for(e->module, e->b, shaped(element, e->lanes));
}

static inline unsigned mantissa_bits(const Emit *e) { return e->f64 ? 52 : 23; }
static inline int exponent_bias(const Emit *e) { return e->f64 ? 1023 : 127; }
static inline double by_format(const Emit *e, double f32, double f64) { return e->f64 ? f64 : f32; }

static inline V splat(const Emit *e, V scalar)
{
    V lanes[64];
    if (!e->lanes)
        return scalar;
    assert(e->lanes <= COUNT(lanes));
    for (unsigned i = 0; i < e->lanes; i++)
        lanes[i] = scalar;
    return LLVMConstVector(lanes, e->lanes);
}

static inline V real(const Emit *e, double x)
{
    return splat(e, LLVMConstReal(e->lanes ? LLVMGetElementType(e->type) : e->type, x));
}

static inline V integer(const Emit *e, int64_t x)
{
    return splat(e, LLVMConstInt(e->lanes ? LLVMGetElementType(e->bits) : e->bits, (uint64_t)x, true));
}

static inline V add(const Emit *e, V x, V y) { return LLVMBuildFAdd(e->b, x, y, ""); }
static inline V sub(const Emit *e, V x, V y) { return LLVMBuildFSub(e->b, x, y, ""); }
static inline V mul(const Emit *e, V x, V y) { return LLVMBuildFMul(e->b, x, y, ""); }
static inline V quotient(const Emit *e, V x, V y) { return LLVMBuildFDiv(e->b, x, y, ""); }
static inline V neg(const Emit *e, V x) { return LLVMBuildFNeg(e->b, x, ""); }
static inline V scaled(const Emit *e, V x, double factor) { return mul(e, x, real(e, factor)); }
static inline V less(const Emit *e, V x, V y) { return LLVMBuildFCmp(e->b, LLVMRealOLT, x, y, ""); }
static inline V equal(const Emit *e, V x, V y) { return LLVMBuildFCmp(e->b, LLVMRealOEQ, x, y, ""); }
static inline V pick(const Emit *e, V which, V x, V y) { return LLVMBuildSelect(e->b, which, x, y, ""); }
static inline V both(const Emit *e, V x, V y) { return LLVMBuildAnd(e->b, x, y, ""); }
static inline V either(const Emit *e, V x, V y) { return LLVMBuildOr(e->b, x, y, ""); }
static inline V not(const Emit *e, V x) { return LLVMBuildNot(e->b, x, ""); }
static inline V as_bits(const Emit *e, V x) { return LLVMBuildBitCast(e->b, x, e->bits, ""); }
static inline V as_real(const Emit *e, V x) { return LLVMBuildBitCast(e->b, x, e->type, ""); }
static inline V iadd(const Emit *e, V x, V y) { return LLVMBuildAdd(e->b, x, y, ""); }
static inline V isub(const Emit *e, V x, V y) { return LLVMBuildSub(e->b, x, y, ""); }

static inline V intrinsic(const Emit *e, const char *name, V *args, unsigned count)
{
    V callee = llvm_intrinsic(e->module, name, e->type);
    return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(callee), callee, args, count, "");
}

static inline V magnitude(const Emit *e, V x) { return intrinsic(e, "llvm.fabs", &x, 1); }
static inline V round_down(const Emit *e, V x) { return intrinsic(e, "llvm.floor", &x, 1); }

static inline V with_sign(const Emit *e, V x, V sign)
{
    return intrinsic(e, "llvm.copysign", (V[]){x, sign}, 2);
}

/* x y + z and z - x y, rounded once. */
static inline V fma3(const Emit *e, V x, V y, V z) { return intrinsic(e, "llvm.fma", (V[]){x, y, z}, 3); }
static inline V fnma(const Emit *e, V x, V y, V z) { return fma3(e, neg(e, x), y, z); }

/* The smaller, the larger of x and a bound; NaN stays. */
static inline V at_most(const Emit *e, V x, double bound)
{
    return pick(e, less(e, real(e, bound), x), real(e, bound), x);
}

static inline V at_least(const Emit *e, V x, double bound)
{
    return pick(e, less(e, x, real(e, bound)), real(e, bound), x);
}

/* c[0] + c[1] x + ... by Horner's rule: even and odd part apart would halve the chain, but cost up to 1
 * ulp. */
static inline V polynomial(const Emit *e, V x, const double *c, unsigned count)
{
    V sum = real(e, c[count - 1]);
    for (unsigned i = count - 1; i-- > 0;)
        sum = fma3(e, sum, x, real(e, c[i]));
    return sum;
}

#define TABLE(e, name, x) ((e)->f64 ? polynomial(e, x, name##_f64, COUNT(name##_f64)) \
                                    : polynomial(e, x, name##_f32, COUNT(name##_f32)))

/* x y exactly. */
static inline Pair exact_product(const Emit *e, V x, V y)
{
    V hi = mul(e, x, y);
    return (Pair){hi, fma3(e, x, y, neg(e, hi))};
}

/* x + y exactly, for |x| >= |y| or x = 0 (Dekker). */
static inline Pair exact_sum(const Emit *e, V x, V y)
{
    V hi = add(e, x, y);
    return (Pair){hi, add(e, sub(e, x, hi), y)};
}

/* x + y exactly, for any x and y (Knuth). */
static inline Pair exact_sum_any(const Emit *e, V x, V y)
{
    V hi = add(e, x, y), part = sub(e, hi, x);
    return (Pair){hi, add(e, sub(e, x, sub(e, hi, part)), sub(e, y, part))};
}

/* An internal function of `arity` arguments of `type`, still without a body; `inlining` is an attribute. */
static inline V declare_function(LLVMModuleRef module, const char *name, LLVMTypeRef type, unsigned arity,
                                 const char *inlining)
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
static inline LLVMBuilderRef builder_in(V function)
{
    LLVMContextRef context = LLVMGetModuleContext(LLVMGetGlobalParent(function));
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(context, function, ""));
    return b;
}

/* Adding 1.5 * 2^mantissa leaves an integer in the low bits: conversions without instructions that AVX2
 * lacks. */
static inline double shifter(const Emit *e) { return by_format(e, 0x1.8p23, 0x1.8p52); }

typedef struct {
    V real;   /* nearest integer, ties to even */
    V bits;   /* the same in the low bits of an integer; the bits above are those of the shifter */
} Nearest;

/* The integer nearest to x * factor, which must be below 2^(mantissa - 1). */
static inline Nearest nearest(const Emit *e, V x, double factor)
{
    V shifted = fma3(e, x, real(e, factor), real(e, shifter(e)));
    return (Nearest){sub(e, shifted, real(e, shifter(e))), as_bits(e, shifted)};
}

static inline V int_to_real(const Emit *e, V n)
{
    V shifted = as_real(e, iadd(e, n, as_bits(e, real(e, shifter(e)))));
    return sub(e, shifted, real(e, shifter(e)));
}

/* n moved to the place of the exponent; the bits of the shifter fall off. */
static inline V exponent_field(const Emit *e, V n)
{
    return LLVMBuildShl(e->b, n, integer(e, mantissa_bits(e)), "");
}

/* 2^(n + offset), a normal number. */
static inline V power_of_two(const Emit *e, V n, int offset)
{
    return as_real(e, exponent_field(e, iadd(e, n, integer(e, exponent_bias(e) + offset))));
}

/* y * 2^n where y and the result are normal. */
static inline V times_power_of_two(const Emit *e, V y, V n)
{
    return as_real(e, iadd(e, as_bits(e, y), exponent_field(e, n)));
}

/* What several of the files use. */

typedef struct {
    V exponent;   /* k, as a real */
    V scale;      /* 2^-k, or 0 where that is not normal */
    V f;          /* m - 1, exact */
} Split;

/* x = 2^k m with sqrt(1/2) <= m < sqrt(2), for 0 < x < infinity. Garbage for others. */
Split math_split(const Emit *e, V x);

V math_exp2_reduced(const Emit *e, V r);                     /* 2^r, |r| <= 1/2 */
V math_log2(const Emit *e, V x);
V math_sin(const Emit *e, V x, unsigned quarter_turns);      /* sin(x + quarter_turns pi/2) */
V math_pow(const Emit *e, V x, V y);

#endif
