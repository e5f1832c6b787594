/* Small things for building IR, and the internal functions that a kernel calls: integers of any element type,
 * the status word, random numbers. */
#include "emit.h"

#include <string.h>

LLVMValueRef emit_int(Emitter *e, int64_t value) { return LLVMConstInt(e->i64, (uint64_t)value, true); }

LLVMValueRef emit_i32(Emitter *e, int64_t value) { return LLVMConstInt(e->i32, (uint64_t)value, true); }
LLVMValueRef emit_flag(Emitter *e, bool value) { return LLVMConstInt(e->i1, value, false); }

LLVMValueRef emit_at(Emitter *e, LLVMTypeRef type, LLVMValueRef base, LLVMValueRef offset)
{
    return LLVMBuildInBoundsGEP2(e->b, type, base, &offset, 1, "");
}

LLVMValueRef emit_nth(Emitter *e, LLVMTypeRef type, LLVMValueRef base, int64_t offset)
{
    return emit_at(e, type, base, emit_int(e, offset));
}

LLVMValueRef emit_load_nth(Emitter *e, LLVMTypeRef type, LLVMValueRef base, int64_t offset)
{
    return LLVMBuildLoad2(e->b, type, emit_nth(e, type, base, offset), "");
}

LLVMValueRef emit_alloca(Emitter *e, LLVMTypeRef type, const char *name)
{
    return LLVMBuildAlloca(e->allocas, type, name);
}

LLVMBasicBlockRef emit_block(Emitter *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

LLVMBasicBlockRef emit_here(Emitter *e) { return LLVMGetInsertBlock(e->b); }

LLVMValueRef emit_phi2(Emitter *e, LLVMTypeRef type, LLVMValueRef a, LLVMBasicBlockRef from_a, LLVMValueRef b,
                       LLVMBasicBlockRef from_b)
{
    LLVMValueRef phi = LLVMBuildPhi(e->b, type, "");
    LLVMAddIncoming(phi, (LLVMValueRef[]){a, b}, (LLVMBasicBlockRef[]){from_a, from_b}, 2);
    return phi;
}

LLVMValueRef emit_call(Emitter *e, LLVMValueRef function, LLVMValueRef *args, unsigned n)
{
    return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(function), function, args, n, "");
}

LLVMValueRef emit_intrinsic(Emitter *e, const char *name, LLVMTypeRef *overloads, unsigned n_overloads,
                            LLVMValueRef *args, unsigned n_args)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id) BUG(e->c, "LLVM has no intrinsic %s", name);
    return emit_call(e, LLVMGetIntrinsicDeclaration(e->module, id, overloads, n_overloads), args, n_args);
}

LLVMValueRef emit_intrinsic1(Emitter *e, const char *name, LLVMValueRef a)
{
    LLVMTypeRef type = LLVMTypeOf(a);
    return emit_intrinsic(e, name, &type, 1, &a, 1);
}

LLVMValueRef emit_intrinsic2(Emitter *e, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef type = LLVMTypeOf(a);
    return emit_intrinsic(e, name, &type, 1, (LLVMValueRef[]){a, b}, 2);
}

void emit_attribute(Emitter *e, LLVMValueRef function, const char *name)
{
    LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            llvm_attribute(e->context, name, 0));
}

static void text_attribute(Emitter *e, LLVMValueRef function, const char *key, const char *value)
{
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->context, key, (unsigned)strlen(key), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

void emit_cpu_attributes(Emitter *e, LLVMValueRef function)
{
    text_attribute(e, function, "target-cpu", e->cpu->base);
    text_attribute(e, function, "target-features", e->cpu->feature_text);
    text_attribute(e, function, "tune-cpu", e->cpu->tune);
    emit_attribute(e, function, "nounwind");
}

static LLVMMetadataRef loop_property(Emitter *e, const char *key, LLVMValueRef value)
{
    LLVMMetadataRef pair[2] = {LLVMMDStringInContext2(e->context, key, strlen(key)), LLVMValueAsMetadata(value)};
    return LLVMMDNodeInContext2(e->context, pair, 2);
}

void emit_loop_metadata(Emitter *e, LLVMValueRef branch, const char *key, unsigned width)
{
    LLVMMetadataRef parts[4] = {LLVMTemporaryMDNode(e->context, NULL, 0)};
    unsigned n = 1;
    LLVMMetadataRef progress = LLVMMDStringInContext2(e->context, "llvm.loop.mustprogress", 22);
    parts[n++] = LLVMMDNodeInContext2(e->context, &progress, 1);
    if (key) parts[n++] = loop_property(e, key, emit_flag(e, true));
    if (width) parts[n++] = loop_property(e, "llvm.loop.vectorize.width", LLVMConstInt(e->i32, width, false));
    /* A loop is named by a node that holds itself; replacing the placeholder makes it distinct. */
    LLVMMetadataRef node = LLVMMDNodeInContext2(e->context, parts, n);
    LLVMMetadataReplaceAllUsesWith(parts[0], node);
    LLVMSetMetadata(branch, e->kind_loop, LLVMMetadataAsValue(e->context, node));
}

/* --- integers of any element type --- */

typedef struct IntType { AttnType type; unsigned bits; bool is_signed; } IntType;
static const IntType int_types[] = {
    {ATTN_I64, 64, true}, {ATTN_I32, 32, true}, {ATTN_I16, 16, true}, {ATTN_I8, 8, true},
    {ATTN_U32, 32, false}, {ATTN_U16, 16, false}, {ATTN_U8, 8, false}, {ATTN_U64, 64, false},
};
enum { N_INT_TYPES = sizeof int_types / sizeof *int_types };

static LLVMValueRef support_function(Emitter *e, const char *name, LLVMTypeRef result, LLVMTypeRef *args,
                                     unsigned n)
{
    LLVMTypeRef type = LLVMFunctionType(result, args, n, false);
    LLVMValueRef f = emit_function(e, format(e->c, "%s.%s", e->entry, name), type);
    emit_attribute(e, f, "noinline");
    return f;
}

/* load_int(data, type, offset) and store_int(data, type, offset, value): a switch over the element types. */
static LLVMValueRef int_access(Emitter *e, bool store)
{
    LLVMTypeRef args[] = {e->ptr, e->i64, e->i64, e->i64};
    LLVMValueRef f =
        support_function(e, store ? "store_int" : "load_int", store ? e->none : e->i64, args, store ? 4 : 3);
    LLVMValueRef data = LLVMGetParam(f, 0), type = LLVMGetParam(f, 1), offset = LLVMGetParam(f, 2);
    LLVMBasicBlockRef other = emit_block(e, "other");
    LLVMValueRef choice = LLVMBuildSwitch(e->b, type, other, N_INT_TYPES);
    LLVMPositionBuilderAtEnd(e->b, other);
    LLVMBuildUnreachable(e->b); /* the loader lets nothing else through */
    for (unsigned k = 0; k < N_INT_TYPES; k++) {
        LLVMBasicBlockRef block = emit_block(e, "type");
        LLVMAddCase(choice, emit_int(e, int_types[k].type), block);
        LLVMPositionBuilderAtEnd(e->b, block);
        LLVMTypeRef element = LLVMIntTypeInContext(e->context, int_types[k].bits);
        LLVMValueRef at = emit_at(e, element, data, offset);
        if (store) {
            LLVMBuildStore(e->b, LLVMBuildTrunc(e->b, LLVMGetParam(f, 3), element, ""), at);
            LLVMBuildRetVoid(e->b);
        } else {
            LLVMValueRef v = LLVMBuildLoad2(e->b, element, at, "");
            LLVMBuildRet(e->b, LLVMBuildIntCast2(e->b, v, e->i64, int_types[k].is_signed, ""));
        }
    }
    return f;
}

/* fail(status, code): the first failure stays. */
static LLVMValueRef fail_function(Emitter *e)
{
    LLVMValueRef f = support_function(e, "fail", e->none, (LLVMTypeRef[]){e->ptr, e->i32}, 2);
    emit_attribute(e, f, "cold");
    LLVMBuildAtomicCmpXchg(e->b, LLVMGetParam(f, 0), emit_i32(e, 0), LLVMGetParam(f, 1),
                           LLVMAtomicOrderingMonotonic, LLVMAtomicOrderingMonotonic, false);
    LLVMBuildRetVoid(e->b);
    return f;
}

/* The two halves of a 32 x 32 bit product. */
static void wide_multiply(Emitter *e, LLVMValueRef x, uint32_t factor, LLVMValueRef *high, LLVMValueRef *low)
{
    LLVMValueRef wide = LLVMBuildMul(e->b, LLVMBuildZExt(e->b, x, e->i64, ""), emit_int(e, factor), "");
    *high = LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, wide, emit_int(e, 32), ""), e->i32, "");
    *low = LLVMBuildTrunc(e->b, wide, e->i32, "");
}

static LLVMValueRef xor3(Emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    return LLVMBuildXor(e->b, LLVMBuildXor(e->b, a, b, ""), c, "");
}

/* philox(seed, a, b, c, d): Philox4x32-10 (Salmon et al. 2011), the first output word >> 8. */
static LLVMValueRef philox_function(Emitter *e)
{
    LLVMTypeRef args[] = {e->i64, e->i64, e->i64, e->i64, e->i64};
    LLVMValueRef f = support_function(e, "philox", e->i32, args, 5);
    LLVMValueRef seed = LLVMGetParam(f, 0), x[4], key[2];
    key[0] = LLVMBuildTrunc(e->b, seed, e->i32, "");
    key[1] = LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, seed, emit_int(e, 32), ""), e->i32, "");
    for (unsigned k = 0; k < 4; k++) x[k] = LLVMBuildTrunc(e->b, LLVMGetParam(f, k + 1), e->i32, "");
    for (unsigned round = 0; round < 10; round++) {
        LLVMValueRef high0, low0, high1, low1;
        wide_multiply(e, x[0], 0xD2511F53, &high0, &low0);
        wide_multiply(e, x[2], 0xCD9E8D57, &high1, &low1);
        LLVMValueRef next[4] = {xor3(e, high1, x[1], key[0]), low1, xor3(e, high0, x[3], key[1]), low0};
        memcpy(x, next, sizeof x);
        key[0] = LLVMBuildAdd(e->b, key[0], emit_i32(e, 0x9E3779B9), "");
        key[1] = LLVMBuildAdd(e->b, key[1], emit_i32(e, 0xBB67AE85), "");
    }
    LLVMBuildRet(e->b, LLVMBuildLShr(e->b, x[0], emit_i32(e, 8), ""));
    return f;
}

void emit_support(Emitter *e)
{
    e->load_int = int_access(e, false);
    e->store_int = int_access(e, true);
    e->fail = fail_function(e);
    e->philox = philox_function(e);
}
