/* Sums of the elements of eight vectors, one after the other as a JAM loop over a sum leaves them, in one
 * tree: each round puts halves of two vectors into one and adds the others, 24 instructions instead of 80 for
 * 16 lanes. LLVM would add up every vector on its own. Requires: an optimised module. Ensures: the same sums,
 * in another order that their flags allow. Breaks: nothing. */
#include "codegen/cpu/target.h"

enum { VECTORS = 8, GROUP = 4 /* elements of 128 bits: what crosses them is dear */, MOST_LANES = 16 };

/* The sum of a vector of f32 from -0, in any order? Its lanes, or 0. */
static unsigned lanes_of_sum(LLVMValueRef v)
{
    static const char *const names[] = {"llvm.vector.reduce.fadd.v8f32", "llvm.vector.reduce.fadd.v16f32"};
    LLVMValueRef f = LLVMIsACallInst(v) ? LLVMGetCalledValue(v) : NULL;
    size_t length;
    const char *name = f && LLVMIsAFunction(f) ? LLVMGetValueName2(f, &length) : "";
    unsigned lanes = !strcmp(name, names[0]) ? 8 : !strcmp(name, names[1]) ? 16 : 0;
    if (!lanes || !(LLVMGetFastMathFlags(v) & LLVMFastMathAllowReassoc)) return 0;
    LLVMValueRef start = LLVMGetOperand(v, 0);
    return start == LLVMConstReal(LLVMTypeOf(start), -0.0) ? lanes : 0;
}

/* Which element of x and y, `lanes` each, is element k of one side of a round: elements and pairs change
 * places within groups, then even groups are added to odd ones. */
static unsigned element(unsigned round, unsigned side, unsigned k, unsigned lanes)
{
    unsigned group = k / GROUP * GROUP, at = k % GROUP;
    if (round == 0) return group + at / 2 + at % 2 * lanes + 2 * side;
    if (round == 1) return group + at % 2 + at / 2 * lanes + 2 * side;
    return 2 * group + side * GROUP + at;
}

static LLVMValueRef fold(LLVMBuilderRef b, unsigned round, LLVMValueRef x, LLVMValueRef y, unsigned out)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(LLVMGetTypeContext(LLVMTypeOf(x)));
    unsigned lanes = LLVMGetVectorSize(LLVMTypeOf(x));
    LLVMValueRef sides[2];
    for (unsigned side = 0; side < 2; side++) {
        LLVMValueRef numbers[MOST_LANES];
        for (unsigned k = 0; k < out; k++)
            numbers[k] = LLVMConstInt(i32, element(round, side, k, lanes), false);
        sides[side] = LLVMBuildShuffleVector(b, x, y, LLVMConstVector(numbers, out), "");
    }
    return LLVMBuildFAdd(b, sides[0], sides[1], "");
}

/* A vector of the sums of `all`, which is overwritten. */
static LLVMValueRef sum_all(LLVMBuilderRef b, LLVMValueRef *all, unsigned lanes)
{
    unsigned round = 0;
    for (unsigned n = VECTORS; n > 1; n /= 2, round++)
        for (unsigned k = 0; k < n / 2; k++) all[k] = fold(b, round, all[2 * k], all[2 * k + 1], lanes);
    if (lanes > VECTORS) all[0] = fold(b, round, all[0], LLVMGetPoison(LLVMTypeOf(all[0])), VECTORS);
    return all[0];
}

static void replace(LLVMBuilderRef b, LLVMValueRef *sums, unsigned lanes)
{
    LLVMValueRef all[VECTORS];
    LLVMTypeRef i64 = LLVMInt64TypeInContext(LLVMGetTypeContext(LLVMTypeOf(sums[0])));
    for (unsigned k = 0; k < VECTORS; k++) all[k] = LLVMGetOperand(sums[k], 1);
    LLVMPositionBuilderBefore(b, sums[0]);
    LLVMValueRef sum = sum_all(b, all, lanes);
    for (unsigned k = 0; k < VECTORS; k++) {
        LLVMValueRef one = LLVMBuildExtractElement(b, sum, LLVMConstInt(i64, k, false), "");
        LLVMReplaceAllUsesWith(sums[k], one);
    }
    for (unsigned k = 0; k < VECTORS; k++) LLVMInstructionEraseFromParent(sums[k]);
}

static void fold_block(LLVMBuilderRef b, LLVMBasicBlockRef block)
{
    LLVMValueRef sums[VECTORS];
    unsigned n = 0, lanes = 0;
    for (LLVMValueRef v = LLVMGetFirstInstruction(block), next; v; v = next) {
        next = LLVMGetNextInstruction(v);
        unsigned now = lanes_of_sum(v);
        if (now != lanes) n = 0;
        lanes = now;
        if (lanes) sums[n++] = v;
        if (n < VECTORS) continue;
        replace(b, sums, lanes);
        n = 0;
    }
}

void target_fold_sums(LLVMModuleRef module)
{
    LLVMBuilderRef b = LLVMCreateBuilderInContext(LLVMGetModuleContext(module));
    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f))
        for (LLVMBasicBlockRef block = LLVMGetFirstBasicBlock(f); block; block = LLVMGetNextBasicBlock(block))
            fold_block(b, block);
    LLVMDisposeBuilder(b);
}
