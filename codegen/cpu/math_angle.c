/* sin and cos as LLVM IR, computed in f64 for both formats. Up to 2^49 (5.6e14) the angle is reduced by
 * Cody and Waite's method; beyond, by Payne and Hanek's, in a scalar function out of line. */
#include "codegen/cpu/math_emit.h"
#include "codegen/cpu/math_tables.h"

typedef struct {
    Pair r;      /* |r| <= pi/4 */
    V quadrant;  /* its two lowest bits count */
} Angle;

/* pi/2 to 53, 106 and 160 bits. */
static const double half_pi = 0x1.921fb54442d18p+0, half_pi_lo = 0x1.1a62633145c07p-54;
static const double half_pi_rest = -0x1.f1976b7ed8fbcp-110;

/* a = n pi/2 + r for 0 <= a <= 2^49. a - n p1 is exact: a multiple of 2^-52 below 1. n p2 is subtracted
 * exactly, as a pair. So r is right to about 2^-106, and no f64 in this range is nearer than 2^-62 to a
 * multiple of pi/2. */
static Angle reduce_angle(const Emit *e, V a)
{
    Nearest n = nearest(e, a, 0x1.45f306dc9c883p-1);
    V first = fnma(e, n.real, real(e, half_pi), a);
    Pair second = exact_product(e, n.real, real(e, -half_pi_lo));
    Pair sum = exact_sum_any(e, first, second.hi);
    V tail = fnma(e, n.real, real(e, half_pi_rest), add(e, sum.lo, second.lo));
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

/* sin(x + turns pi/2), from the angle of |x|. `e` is f64; `f64` says how exact the result must be. */
static V sin_of_angle(const Emit *e, V x, Angle angle, unsigned turns, bool f64)
{
    V q = iadd(e, angle.quadrant, integer(e, turns)), z = mul(e, angle.r.hi, angle.r.hi);
    V odd = LLVMBuildICmp(e->b, LLVMIntNE, both(e, q, integer(e, 1)), integer(e, 0), "");
    V y = pick(e, odd, cos_reduced(e, angle.r, z, f64), sin_reduced(e, angle.r, z, f64));
    V sign = LLVMBuildShl(e->b, LLVMBuildLShr(e->b, q, integer(e, 1), ""), integer(e, 63), "");
    if (turns == 0)   /* odd in x */
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

/* a = n pi/2 + r for a scalar 2^49 <= a = M 2^E. Of the bits of 2^E 2/pi those above 2^1 only contribute
 * whole turns, those below 2^-190 nothing that matters: integers that wrap at 192 bits hold a 2/pi modulo
 * 4 in units of 2^-190. */
static Angle reduce_huge_angle(const Emit *e, V a)
{
    LLVMContextRef context = LLVMGetModuleContext(e->module);
    LLVMTypeRef all = LLVMIntTypeInContext(context, 1216), wrapping = LLVMIntTypeInContext(context, 192);
    V digits = LLVMConstIntOfString(all, two_over_pi, 16);
    V bits = as_bits(e, a), low = integer(e, (INT64_C(1) << 52) - 1), one = integer(e, INT64_C(1) << 52);
    V mantissa = LLVMBuildZExt(e->b, either(e, both(e, bits, low), one), wrapping, "");
    V exponent = LLVMBuildLShr(e->b, bits, integer(e, 52), "");   /* E + 1075 */
    V drop = LLVMBuildZExt(e->b, isub(e, integer(e, 1216 - 190 + 1075), exponent), all, "");
    V window = LLVMBuildLShr(e->b, digits, drop, "");
    V turns = LLVMBuildMul(e->b, LLVMBuildTrunc(e->b, window, wrapping, ""), mantissa, "");
    V half = LLVMBuildShl(e->b, LLVMConstInt(wrapping, 1, false), LLVMConstInt(wrapping, 189, false), "");
    V quadrant = LLVMBuildLShr(e->b, iadd(e, turns, half), LLVMConstInt(wrapping, 190, false), "");
    V rest = LLVMBuildShl(e->b, turns, LLVMConstInt(wrapping, 2, false), "");   /* signed, times 2^-192 */
    Pair f = exact_sum(e, real_part(e, rest, 144, true, 48), real_part(e, rest, 96, false, 96));
    f = exact_sum(e, f.hi, add(e, f.lo, real_part(e, rest, 48, false, 144)));
    Pair r = exact_product(e, f.hi, real(e, half_pi));
    r.lo = fma3(e, f.hi, real(e, half_pi_lo), fma3(e, f.lo, real(e, half_pi), r.lo));
    return (Angle){exact_sum(e, r.hi, r.lo), LLVMBuildTrunc(e->b, quadrant, e->bits, "")};
}

/* sin(x + turns pi/2) of a scalar f64 from 2^49 on, out of line. */
static V far_function(LLVMModuleRef module, unsigned turns)
{
    const char *name = turns ? "attn_cos_far_f64" : "attn_sin_far_f64";
    V function = LLVMGetNamedFunction(module, name);
    if (function)
        return function;
    LLVMTypeRef type = LLVMDoubleTypeInContext(LLVMGetModuleContext(module));
    function = declare_function(module, name, type, 1, "noinline");
    V x = LLVMGetParam(function, 0);
    Emit e = emit_for(module, builder_in(function), type);
    V y = sin_of_angle(&e, x, reduce_huge_angle(&e, magnitude(&e, x)), turns, true);
    LLVMBuildRet(e.b, add(&e, y, sub(&e, x, x)));   /* infinity gives NaN */
    LLVMDisposeBuilder(e.b);
    return function;
}

/* `fast`, with the lanes that are `far` computed again one by one: in a loop, to keep code small. */
static V patch_far_lanes(const Emit *e, V x, V far, V fast, unsigned turns)
{
    V function = far_function(e->module, turns), slow = fast;
    LLVMTypeRef type = LLVMGlobalGetValueType(function);
    x = pick(e, far, x, real(e, 0x1p50));
    if (!e->lanes)
        return LLVMBuildCall2(e->b, type, function, &x, 1, "");
    LLVMContextRef context = LLVMGetModuleContext(e->module);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(context);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(context, LLVMGetBasicBlockParent(before), "lane");
    LLVMBasicBlockRef end = LLVMAppendBasicBlockInContext(context, LLVMGetBasicBlockParent(before), "patched");
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    V lane = LLVMBuildPhi(e->b, i32, ""), so_far = LLVMBuildPhi(e->b, e->type, "");
    V element = LLVMBuildExtractElement(e->b, x, lane, "");
    V value = LLVMBuildCall2(e->b, type, function, &element, 1, "");
    slow = LLVMBuildInsertElement(e->b, so_far, value, lane, "");
    V next = LLVMBuildAdd(e->b, lane, LLVMConstInt(i32, 1, false), "");
    LLVMAddIncoming(lane, (V[]){LLVMConstInt(i32, 0, false), next}, (LLVMBasicBlockRef[]){before, body}, 2);
    LLVMAddIncoming(so_far, (V[]){fast, slow}, (LLVMBasicBlockRef[]){before, body}, 2);
    V again = LLVMBuildICmp(e->b, LLVMIntULT, next, LLVMConstInt(i32, e->lanes, false), "");
    LLVMBuildCondBr(e->b, again, body, end);
    LLVMPositionBuilderAtEnd(e->b, end);
    return pick(e, far, slow, fast);
}

/* The only branch in all of these functions, taken when some argument is beyond 2^49. */
static V unless_far(const Emit *e, V x, V fast, unsigned turns)
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
    V slow = patch_far_lanes(e, x, far, fast, turns);
    far_block = LLVMGetInsertBlock(e->b);
    LLVMBuildBr(e->b, join);
    LLVMPositionBuilderAtEnd(e->b, join);
    V y = LLVMBuildPhi(e->b, e->type, "");
    LLVMAddIncoming(y, (V[]){fast, slow}, (LLVMBasicBlockRef[]){near_block, far_block}, 2);
    return y;
}

V math_sin(const Emit *e, V x, unsigned turns)
{
    Emit wide = widened(e);
    V wide_x = e->f64 ? x : LLVMBuildFPExt(e->b, x, wide.type, "");
    Angle angle = reduce_angle(&wide, magnitude(&wide, wide_x));
    V y = unless_far(&wide, wide_x, sin_of_angle(&wide, wide_x, angle, turns, e->f64), turns);
    return e->f64 ? y : LLVMBuildFPTrunc(e->b, y, e->type, "");
}

