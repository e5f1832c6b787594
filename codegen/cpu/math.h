/*
 * Elementary functions as LLVM IR.
 *
 * Each is emitted once per module and type as an internal, always inlined function without branches, so that
 * it serves vectors of any width and LLVM can vectorise loops over the scalar form. sin and cos are the
 * exception: they branch, rarely, for arguments beyond 2^49, and LLVM does not vectorise loops over their
 * scalar form; use vectors.
 *
 * Nothing here calls libm where the target has fused multiply-add and SSE4.1; without them LLVM turns
 * llvm.fma and llvm.floor into such calls, which is slow but gives the same bits. Errors and special cases:
 * docs/numerics.md.
 *
 * Instructions carry no fast-math flags, and none may be added: the reductions rely on the order of
 * operations.
 */
#ifndef ATTN_CODEGEN_CPU_MATH_H
#define ATTN_CODEGEN_CPU_MATH_H

#include "codegen/cpu/llvm.h"

typedef enum {
#define MATH(NAME, name, arity, ulp_f32, ulp_f64) MATH_##NAME,
#include "codegen/cpu/math_list.h"
#undef MATH
    MATH_COUNT
} MathFn;

typedef struct {
    const char *name;          /* as in C ("exp"); of intrinsics, LLVM's ("roundeven") */
    unsigned arity;
    double ulp_f32, ulp_f64;   /* largest errors promised */
} MathInfo;

const MathInfo *math_info(MathFn fn);

/* The function that computes `fn` elementwise on `type`: float, double, or a fixed vector of up to 64 of one
 * of them. */
LLVMValueRef math_function(LLVMModuleRef module, MathFn fn, LLVMTypeRef type);

/* Builds a call of `fn`; `count` must be its arity. The type is that of args[0]. */
LLVMValueRef math_call(LLVMBuilderRef builder, LLVMModuleRef module, MathFn fn, LLVMValueRef *args,
                       unsigned count);

#endif
