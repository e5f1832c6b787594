/* Scalar semantics of every operation of lang/node.h that is no binder and no read, on 64-bit ints,
 * doubles and bools (bools are ints 0 and 1): the one definition that the interpreter and the execution of
 * Loops share. Pure. */
#ifndef ATTN_COMPILER_SCALAR_H
#define ATTN_COMPILER_SCALAR_H

#include "lang/node.h"

typedef union Scalar { int64_t i; double r; } Scalar;

static inline Scalar scalar_int(int64_t x) { return (Scalar){.i = x}; }
static inline Scalar scalar_real(double x) { return (Scalar){.r = x}; }

/* `type` is that of the operand. The operation must exist for it (graph_verify sees to that). */
Scalar scalar_unary(Op op, Type type, Scalar a);
/* `type` is that of both operands. AND and OR take both sides: the caller decides what is evaluated. */
Scalar scalar_binary(Op op, Type type, Scalar a, Scalar b);
/* Uniform on [0, 1): the first output word of philox4x32, >> 8, times 2^-24. */
double scalar_rand(int64_t seed, const int64_t counter[4]);
/* Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3; SC 2011). */
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
int64_t scalar_truncate(double x); /* towards 0, saturating; NaN gives 0 */

/* An int key that orders like the value; NaN counts as -inf (`nan_low`) or as inf. Both zeros are one. */
int64_t scalar_key(Type type, Scalar x, bool nan_low);

#endif
