/* Buffers of Loops: where they lie, how an element is loaded and stored.
 *
 * The layout function writes the offset of every workspace and scratch buffer and the two totals (multiples
 * of 64, all arithmetic saturating, so that too large a size stays too large). A phase sets up the buffers it
 * touches on entry. Each buffer has an alias scope of its own: the runtime lets no output overlap another
 * tensor, but for a carried state's end, which may be its start. */
#include "emit.h"

enum { ALIGNMENT = 64 };

static bool is_carried(const Emitter *e, const Tensor *tensor, const Tensor **partner)
{
    for (unsigned k = 0; k < e->pattern->equations.n; k++) {
        const Tensor *q = e->pattern->equations.at[k];
        if (q->carry_start == tensor || q->carry_last == tensor) {
            *partner = q->carry_start == tensor ? q->carry_last : q->carry_start;
            return *partner != NULL;
        }
    }
    return false;
}

static LLVMTypeRef element_type(Emitter *e, const Buffer *b)
{
    bool bound = b->kind == BUFFER_BOUND;
    if (b->tensor->type == TYPE_BOOL) return e->i8;
    if (b->tensor->type == TYPE_INT) return bound ? NULL : e->i64;
    if (!bound) return b->exact ? e->f64 : e->real;
    switch (b->tensor->storage) {
    case STORAGE_F64: return e->f64;
    case STORAGE_F32: return e->f32;
    case STORAGE_F16: return e->half;
    case STORAGE_BF16: return e->i16;
    default: return e->job->f64 ? e->f64 : e->f32;
    }
}

void emit_buffers_init(Emitter *e)
{
    e->n_buffers = e->kernel->buffers.n;
    e->buffers = NEW_ARRAY(e->c, EmitBuffer, e->n_buffers + 1);
    e->buffer_of = NEW_ARRAY(e->c, uint32_t, e->c->next_tensor + 1);
    for (unsigned k = 0; k < e->n_buffers; k++) {
        EmitBuffer *b = &e->buffers[k];
        b->buffer = &e->kernel->buffers.at[k];
        const Tensor *t = b->buffer->tensor, *partner = NULL;
        e->buffer_of[t->id] = k + 1;
        b->element = element_type(e, b->buffer);
        b->heads = -1;
        b->scope = b->buffer->kind == BUFFER_SCRATCH ? b->buffer->shares : k;
        b->strides = NEW_ARRAY(e->c, LLVMValueRef, t->n_dims + 1);
        b->extents = NEW_ARRAY(e->c, LLVMValueRef, t->n_dims + 1);
        if (b->buffer->kind != BUFFER_BOUND) continue;
        bool input = t->role == ROLE_INPUT || t->role == ROLE_CAPTURE;
        bool carried = is_carried(e, t, &partner);
        b->constant = input && !carried;
        if (carried && e->buffer_of[partner->id]) b->scope = e->buffers[e->buffer_of[partner->id] - 1].scope;
        for (unsigned d = 0; input && d < t->n_dims && b->heads < 0; d++)
            if (t->dims[d]->heads) b->heads = (int)d;
    }
}

/* --- which buffers does a phase touch? --- */

static void use_node(Emitter *e, const Node *n)
{
    if (!n || n->id >= e->n_nodes || e->seen[n->id] == e->stamp) return;
    e->seen[n->id] = e->stamp;
    if (n->op == N_READ || n->op == N_GROUP || n->op == N_UNIT)
        e->buffers[e->buffer_of[n->tensor->id] - 1].used = true;
    for (unsigned k = 0; k < n->n_args; k++) use_node(e, n->args[k]);
}

static void use_block(Emitter *e, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        const Node *nodes[] = {s->lo, s->hi, s->step, s->condition, s->value};
        for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) use_node(e, nodes[i]);
        if (s->tensor) {
            e->buffers[e->buffer_of[s->tensor->id] - 1].used = true;
            for (unsigned d = 0; d < s->tensor->n_dims; d++) use_node(e, s->subscripts[d]);
        }
        use_block(e, &s->body);
        use_block(e, &s->otherwise);
    }
}

/* --- setting up --- */

static void set_up_extents(Emitter *e, EmitBuffer *b)
{
    for (unsigned d = 0; d < b->buffer->tensor->n_dims; d++)
        b->extents[d] = emit_extent(e, b->buffer->tensor->dims[d]);
}

static LLVMValueRef kept_extent(Emitter *e, const EmitBuffer *b, unsigned d)
{
    return b->buffer->ring == (int)d ? emit_int(e, b->buffer->ring_depth) : b->extents[d];
}

static void set_up_dense(Emitter *e, EmitBuffer *b, unsigned number)
{
    LLVMValueRef stride = emit_int(e, 1);
    for (unsigned d = b->buffer->tensor->n_dims; d-- > 0;) {
        b->strides[d] = stride;
        if (d) stride = LLVMBuildNSWMul(e->b, stride, kept_extent(e, b, d), "");
    }
    LLVMValueRef offset = emit_load_nth(e, e->i64, e->offsets, number);
    LLVMValueRef base = b->buffer->kind == BUFFER_SCRATCH ? e->scratch : e->workspace;
    b->data = LLVMBuildInBoundsGEP2(e->b, e->i8, base, &offset, 1, b->buffer->tensor->name);
}

static void set_up_bound(Emitter *e, EmitBuffer *b)
{
    const Tensor *t = b->buffer->tensor;
    LLVMValueRef at = emit_nth(e, e->tensor_type, e->tensors, t->number);
    b->data = emit_field(e, e->tensor_type, at, 0, e->ptr);
    LLVMSetValueName2(b->data, t->name, __builtin_strlen(t->name));
    LLVMValueRef strides = emit_field(e, e->tensor_type, at, 1, e->ptr);
    for (unsigned d = 0; d < t->n_dims; d++) {
        b->strides[d] = emit_load_nth(e, e->i64, strides, d);
    }
    if (!b->element) b->type = emit_field(e, e->tensor_type, at, 3, e->i64);
    if (b->heads >= 0) { /* known not to be 0, so that the division may be hoisted */
        LLVMValueRef group = emit_field(e, e->tensor_type, at, 2, e->i64);
        b->group = emit_intrinsic2(e, "llvm.umax", group, emit_int(e, 1));
    }
}

static LLVMMetadataRef text_node(Emitter *e, const char *text, LLVMMetadataRef second)
{
    LLVMMetadataRef parts[2] = {LLVMMDStringInContext2(e->context, text, __builtin_strlen(text)), second};
    return LLVMMDNodeInContext2(e->context, parts, second ? 2 : 1);
}

static LLVMValueRef node_value(Emitter *e, LLVMMetadataRef *parts, unsigned n)
{
    return LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, parts, n));
}

static void set_up_scopes(Emitter *e)
{
    const char *function = LLVMGetValueName2(e->function, &(size_t){0});
    LLVMMetadataRef domain = text_node(e, function, NULL);
    LLVMMetadataRef *scopes = NEW_ARRAY(e->c, LLVMMetadataRef, e->n_buffers + 1);
    LLVMMetadataRef *others = NEW_ARRAY(e->c, LLVMMetadataRef, e->n_buffers + 1);
    for (unsigned k = 0; k < e->n_buffers; k++)
        if (e->buffers[k].scope == k) scopes[k] = text_node(e, format(e->c, "%s:%u", function, k), domain);
    for (unsigned k = 0; k < e->n_buffers; k++) {
        EmitBuffer *b = &e->buffers[k];
        if (!b->used) continue;
        unsigned n = 0;
        for (unsigned i = 0; i < e->n_buffers; i++)
            if (scopes[i] && i != b->scope && e->buffers[i].used) others[n++] = scopes[i];
        b->alias = node_value(e, &scopes[b->scope], 1);
        b->noalias = node_value(e, others, n);
    }
}

void emit_buffers_used(Emitter *e, const Phase *phase)
{
    e->stamp++;
    for (unsigned k = 0; k < e->n_buffers; k++) e->buffers[k].used = false;
    use_block(e, &phase->body);
    uint32_t mark = emit_mark(e);
    for (unsigned k = 0; k < e->n_buffers; k++) {
        EmitBuffer *b = &e->buffers[k];
        b->n_heads = 0;
        if (!b->used) continue;
        set_up_extents(e, b);
        if (b->buffer->kind == BUFFER_BOUND)
            set_up_bound(e, b);
        else
            set_up_dense(e, b, k);
    }
    emit_forget(e, mark);
    set_up_scopes(e);
}

/* --- layout --- */

static LLVMValueRef saturating_product(Emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef pair = emit_intrinsic2(e, "llvm.umul.with.overflow", a, b);
    LLVMValueRef over = LLVMBuildExtractValue(e->b, pair, 1, "");
    return LLVMBuildSelect(e->b, over, emit_int(e, -1), LLVMBuildExtractValue(e->b, pair, 0, ""), "");
}

static LLVMValueRef buffer_bytes(Emitter *e, EmitBuffer *b)
{
    LLVMValueRef bytes = LLVMBuildIntCast2(e->b, LLVMSizeOf(b->element), e->i64, false, "");
    set_up_extents(e, b);
    for (unsigned d = 0; d < b->buffer->tensor->n_dims; d++)
        bytes = saturating_product(e, bytes, kept_extent(e, b, d));
    bytes = emit_intrinsic2(e, "llvm.uadd.sat", bytes, emit_int(e, ALIGNMENT - 1));
    return LLVMBuildAnd(e->b, bytes, emit_int(e, -ALIGNMENT), "");
}

/* The largest of those that share the memory of buffer k. */
static LLVMValueRef shared_bytes(Emitter *e, unsigned k)
{
    LLVMValueRef most = buffer_bytes(e, &e->buffers[k]);
    for (unsigned i = k + 1; i < e->n_buffers; i++)
        if (e->buffers[i].buffer->kind == BUFFER_SCRATCH && e->buffers[i].buffer->shares == k)
            most = emit_intrinsic2(e, "llvm.umax", most, buffer_bytes(e, &e->buffers[i]));
    return most;
}

LLVMValueRef emit_layout(Emitter *e)
{
    LLVMTypeRef type = LLVMFunctionType(e->none, (LLVMTypeRef[]){e->ptr, e->ptr}, 2, false);
    LLVMValueRef f = emit_function(e, format(e->c, "%s.layout", e->entry), type), out = LLVMGetParam(f, 1);
    emit_attribute(e, f, "noinline");
    emit_call_values(e, LLVMGetParam(f, 0));
    LLVMValueRef total[2] = {emit_int(e, 0), emit_int(e, 0)};
    LLVMValueRef *offsets = NEW_ARRAY(e->c, LLVMValueRef, e->n_buffers + 1);
    uint32_t mark = emit_mark(e);
    for (unsigned k = 0; k < e->n_buffers; k++) {
        const Buffer *b = e->buffers[k].buffer;
        LLVMValueRef *sum = &total[b->kind == BUFFER_SCRATCH];
        bool shares = b->kind == BUFFER_SCRATCH && b->shares != k;
        if (b->kind == BUFFER_BOUND) continue;
        offsets[k] = shares ? offsets[b->shares] : *sum;
        LLVMBuildStore(e->b, offsets[k], emit_nth(e, e->i64, out, k));
        if (!shares) *sum = emit_intrinsic2(e, "llvm.uadd.sat", *sum, shared_bytes(e, k));
    }
    for (unsigned k = 0; k < 2; k++)
        LLVMBuildStore(e->b, total[k], emit_nth(e, e->i64, out, e->n_buffers + k));
    emit_forget(e, mark);
    LLVMBuildRetVoid(e->b);
    return f;
}

/* --- elements --- */

static void mark_access(Emitter *e, const EmitBuffer *b, LLVMValueRef access)
{
    LLVMSetMetadata(access, e->kind_scope, b->alias);
    LLVMSetMetadata(access, e->kind_noalias, b->noalias);
}

static LLVMValueRef spread_like(Emitter *e, LLVMValueRef v, LLVMValueRef as)
{
    return emit_is_vector(as) ? emit_spread(e, v) : v;
}

static bool is_unit(const EmitBuffer *b, unsigned d)
{
    return LLVMIsAConstantInt(b->strides[d]) && LLVMConstIntGetSExtValue(b->strides[d]) == 1;
}

static LLVMValueRef element_offset(Emitter *e, const EmitBuffer *b, LLVMValueRef *at)
{
    LLVMValueRef sum = NULL;
    for (unsigned d = 0; d < b->buffer->tensor->n_dims; d++) {
        LLVMValueRef x = at[d];
        if (b->buffer->ring == (int)d)
            x = LLVMBuildURem(e->b, x, emit_int_like(e, x, b->buffer->ring_depth), "");
        if (b->group && b->heads == (int)d) {
            LLVMValueRef head = emit_known_head(b, x);
            x = head ? head : LLVMBuildUDiv(e->b, x, spread_like(e, b->group, x), "");
        }
        if (!is_unit(b, d)) x = LLVMBuildNSWMul(e->b, x, spread_like(e, b->strides[d], x), "");
        if (sum) emit_match(e, &sum, &x);
        sum = sum ? LLVMBuildNSWAdd(e->b, sum, x, "") : x;
    }
    return sum ? sum : emit_int(e, 0);
}

/* bfloat16: the upper half of an f32. */
static LLVMValueRef from_bf16(Emitter *e, LLVMValueRef x)
{
    LLVMValueRef wide = LLVMBuildZExt(e->b, x, emit_shape(e, e->i32, x), "");
    LLVMValueRef bits = LLVMBuildShl(e->b, wide, spread_like(e, emit_i32(e, 16), x), "");
    return LLVMBuildBitCast(e->b, bits, emit_shape(e, e->f32, x), "");
}

static LLVMValueRef to_bf16(Emitter *e, LLVMValueRef x)
{
    LLVMBuilderRef b = e->b;
    LLVMValueRef bits = LLVMBuildBitCast(b, x, e->i32, ""), sixteen = emit_i32(e, 16);
    LLVMValueRef top = LLVMBuildLShr(b, bits, sixteen, "");
    LLVMValueRef odd = LLVMBuildAnd(b, top, emit_i32(e, 1), "");
    LLVMValueRef even = LLVMBuildAdd(b, LLVMBuildAdd(b, bits, odd, ""), emit_i32(e, 0x7fff), "");
    LLVMValueRef quiet = LLVMBuildOr(b, top, emit_i32(e, 0x40), "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, x, x, "");
    LLVMValueRef y = LLVMBuildSelect(b, nan, quiet, LLVMBuildLShr(b, even, sixteen, ""), "");
    return LLVMBuildTrunc(b, y, e->i16, "");
}

/* Half precision without F16C: LLVM would call libgcc. */
static LLVMValueRef from_half(Emitter *e, LLVMValueRef x)
{
    LLVMBuilderRef b = e->b;
    LLVMTypeRef i32 = emit_shape(e, e->i32, x), f32 = emit_shape(e, e->f32, x);
#define NUMBER(value) spread_like(e, emit_i32(e, value), x)
    if (e->cpu->features & ATTN_FEATURE_F16C)
        return LLVMBuildFPExt(b, LLVMBuildBitCast(b, x, emit_shape(e, e->half, x), ""), f32, "");
    LLVMValueRef h = LLVMBuildZExt(b, x, i32, "");
    LLVMValueRef size = LLVMBuildAnd(b, h, NUMBER(0x7fff), "");
    LLVMValueRef sign = LLVMBuildShl(b, LLVMBuildXor(b, h, size, ""), NUMBER(16), "");
    LLVMValueRef wide = LLVMBuildShl(b, size, NUMBER(13), "");
    LLVMValueRef scale = spread_like(e, LLVMConstReal(e->f32, 0x1p112), x);
    LLVMValueRef value = LLVMBuildFMul(b, LLVMBuildBitCast(b, wide, f32, ""), scale, "");
    LLVMValueRef finite = LLVMBuildICmp(b, LLVMIntULT, size, NUMBER(0x7c00), "");
    LLVMValueRef other = LLVMBuildOr(b, wide, NUMBER(0x7f800000), "");
    LLVMValueRef bits = LLVMBuildSelect(b, finite, LLVMBuildBitCast(b, value, i32, ""), other, "");
    return LLVMBuildBitCast(b, LLVMBuildOr(b, bits, sign, ""), f32, "");
#undef NUMBER
}

static LLVMValueRef to_half(Emitter *e, LLVMValueRef x)
{
    LLVMBuilderRef b = e->b;
    if (e->cpu->features & ATTN_FEATURE_F16C)
        return LLVMBuildBitCast(b, LLVMBuildFPTrunc(b, x, e->half, ""), e->i16, "");
#define emit_i32(e, value) emit_i32(e, value)
    LLVMValueRef bits = LLVMBuildBitCast(b, x, e->i32, ""),
                 size = LLVMBuildAnd(b, bits, emit_i32(e, 0x7fffffff), "");
    LLVMValueRef sign = LLVMBuildLShr(b, LLVMBuildXor(b, bits, size, ""), emit_i32(e, 16), "");
    LLVMValueRef nan = LLVMBuildICmp(b, LLVMIntUGT, size, emit_i32(e, 0x7f800000), "");
    LLVMValueRef large = LLVMBuildSelect(b, nan, emit_i32(e, 0x7e00), emit_i32(e, 0x7c00), "");
    /* below 2^-14: adding 0.5 lets the unit round to the places of a subnormal */
    LLVMValueRef shifted =
        LLVMBuildFAdd(b, LLVMBuildBitCast(b, size, e->f32, ""), LLVMConstReal(e->f32, 0.5), "");
    LLVMValueRef small =
        LLVMBuildSub(b, LLVMBuildBitCast(b, shifted, e->i32, ""), emit_i32(e, 0x3f000000), "");
    LLVMValueRef odd = LLVMBuildAnd(b, LLVMBuildLShr(b, size, emit_i32(e, 13), ""), emit_i32(e, 1), "");
    LLVMValueRef round =
        LLVMBuildAdd(b, LLVMBuildAdd(b, size, odd, ""), emit_i32(e, 0xfff - (112 << 23)), "");
    LLVMValueRef normal = LLVMBuildLShr(b, round, emit_i32(e, 13), "");
    LLVMValueRef y = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntULT, size, emit_i32(e, 0x38800000), ""),
                                     small, normal, "");
    y = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntUGE, size, emit_i32(e, 0x47800000), ""), large, y, "");
    return LLVMBuildTrunc(b, LLVMBuildOr(b, y, sign, ""), e->i16, "");
}

/* A number in memory as a value of Loops. */
static LLVMValueRef from_memory(Emitter *e, const EmitBuffer *b, LLVMValueRef v)
{
    const Tensor *t = b->buffer->tensor;
    if (t->type == TYPE_BOOL) return LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    if (t->type == TYPE_INT) return v;
    bool raw = (emit_is_vector(v) ? LLVMGetElementType(LLVMTypeOf(v)) : LLVMTypeOf(v)) == e->i16;
    if (raw) v = b->element == e->half ? from_half(e, v) : from_bf16(e, v);
    LLVMTypeRef real = emit_shape(e, b->buffer->exact ? e->f64 : e->real, v);
    return LLVMTypeOf(v) == real ? v : LLVMBuildFPCast(e->b, v, real, "");
}

static unsigned bytes_of(Emitter *e, LLVMTypeRef type)
{
    return type == e->f64 || type == e->i64 ? 8 : type == e->f32 ? 4 : type == e->i16 ? 2 : 1;
}

static LLVMTypeRef memory_type(Emitter *e, const EmitBuffer *b)
{
    return b->element == e->half ? e->i16 : b->element;
}

static LLVMValueRef load_at(Emitter *e, const EmitBuffer *b, LLVMValueRef offset, LLVMTypeRef type)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, type, emit_at(e, memory_type(e, b), b->data, offset), "");
    LLVMSetAlignment(v, bytes_of(e, memory_type(e, b)));
    mark_access(e, b, v);
    if (b->constant) LLVMSetMetadata(v, e->kind_invariant, node_value(e, NULL, 0));
    return v;
}

static LLVMValueRef load_element(Emitter *e, const EmitBuffer *b, LLVMValueRef offset)
{
    if (b->element) return from_memory(e, b, load_at(e, b, offset, memory_type(e, b)));
    LLVMValueRef v = emit_call(e, e->load_int, (LLVMValueRef[]){b->data, b->type, offset}, 3);
    mark_access(e, b, v);
    return v;
}

/* --- lanes --- */

/* The lane plus what is the same for all lanes. */
static bool is_lane_plus(Emitter *e, const Node *n)
{
    if (n->op == N_INDEX) return n->index == e->lane;
    if (n->op != N_ADD) return false;
    bool right = emit_varies(e, n->args[1]);
    return emit_varies(e, n->args[0]) != right && is_lane_plus(e, n->args[right]);
}

/* The value for the first lane. */
static LLVMValueRef at_first_lane(Emitter *e, const Node *n)
{
    if (n->op == N_INDEX) return e->first_lane;
    bool right = emit_varies(e, n->args[1]);
    return LLVMBuildNSWAdd(e->b, at_first_lane(e, n->args[right]), emit_node(e, n->args[!right]), "");
}

/* Lanes side by side: the last coordinate goes by lane, the others are the same for all. */
static bool is_contiguous(Emitter *e, const EmitBuffer *b, const Node *const *subscripts, LLVMValueRef *at)
{
    unsigned rank = b->buffer->tensor->n_dims;
    if (!b->element || rank == 0 || !is_unit(b, rank - 1)) return false;
    if (!is_lane_plus(e, subscripts[rank - 1])) return false;
    for (unsigned d = 0; d + 1 < rank; d++)
        if (emit_is_vector(at[d])) return false;
    return true;
}

static LLVMValueRef contiguous_offset(Emitter *e, const EmitBuffer *b, const Node *const *subscripts,
                                      LLVMValueRef *at)
{
    unsigned last = b->buffer->tensor->n_dims - 1;
    at[last] = at_first_lane(e, subscripts[last]);
    return element_offset(e, b, at);
}

/* One lane after the other, those with a false flag not at all: for types of which there are no gathers. */
static LLVMValueRef gather_one_by_one(Emitter *e, const EmitBuffer *b, LLVMValueRef offsets,
                                      LLVMValueRef flags)
{
    bool narrow = b->element == e->half || b->element == e->i16; /* converted one by one, too */
    LLVMTypeRef type = narrow ? e->real : b->element ? b->element : e->i64;
    LLVMBasicBlockRef before = emit_here(e), body = emit_block(e, "lane"), load = emit_block(e, "load");
    LLVMBasicBlockRef join = emit_block(e, "loaded"), end = emit_block(e, "lanes");
    LLVMValueRef start = LLVMConstInt(e->i32, 0, false), zero = LLVMConstNull(emit_vector(e, type));
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    LLVMValueRef at = LLVMBuildPhi(e->b, e->i32, "lane"), all = LLVMBuildPhi(e->b, emit_vector(e, type), "");
    LLVMBuildCondBr(e->b, LLVMBuildExtractElement(e->b, flags, at, ""), load, join);
    LLVMPositionBuilderAtEnd(e->b, load);
    LLVMValueRef offset = LLVMBuildExtractElement(e->b, offsets, at, ""), v;
    if (b->element)
        v = load_at(e, b, offset, memory_type(e, b));
    else
        v = emit_call(e, e->load_int, (LLVMValueRef[]){b->data, b->type, offset}, 3);
    if (narrow) v = from_memory(e, b, v);
    LLVMValueRef more = LLVMBuildInsertElement(e->b, all, v, at, "");
    LLVMBuildBr(e->b, join);
    LLVMPositionBuilderAtEnd(e->b, join);
    LLVMValueRef now = emit_phi2(e, emit_vector(e, type), more, load, all, body);
    LLVMValueRef next = LLVMBuildAdd(e->b, at, LLVMConstInt(e->i32, 1, false), "");
    LLVMAddIncoming(at, (LLVMValueRef[]){start, next}, (LLVMBasicBlockRef[]){before, join}, 2);
    LLVMAddIncoming(all, (LLVMValueRef[]){zero, now}, (LLVMBasicBlockRef[]){before, join}, 2);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntULT, next, LLVMConstInt(e->i32, e->lanes, false), ""),
                    body, end);
    LLVMPositionBuilderAtEnd(e->b, end);
    return now;
}

static LLVMValueRef gather(Emitter *e, const EmitBuffer *b, LLVMValueRef offsets, LLVMValueRef flags)
{
    bool wide = b->element == e->f32 || b->element == e->f64;
    if (!wide || !LLVMIsConstant(flags)) return gather_one_by_one(e, b, offsets, flags);
    LLVMTypeRef type = emit_vector(e, b->element), pointers = emit_vector(e, e->ptr);
    LLVMValueRef p = LLVMBuildGEP2(e->b, b->element, b->data, &offsets, 1, "");
    LLVMValueRef args[] = {p, LLVMConstInt(e->i32, bytes_of(e, b->element), false), flags,
                           LLVMConstNull(type)};
    LLVMValueRef v = emit_intrinsic(e, "llvm.masked.gather", (LLVMTypeRef[]){type, pointers}, 2, args, 4);
    mark_access(e, b, v);
    return v;
}

/* From lane to lane it grows by 1, or not at all: the lane plus what is the same for all, perhaps cut off
 * above (lanes beyond the last query repeat it). */
static bool steps_by_lane(Emitter *e, const Node *n)
{
    if (n->op == N_INDEX) return n->index == e->lane;
    if (n->op != N_ADD && n->op != N_SUB && n->op != N_MIN) return false;
    bool left = emit_varies(e, n->args[0]), right = emit_varies(e, n->args[1]);
    if (left == right || (n->op == N_SUB && right)) return false;
    return steps_by_lane(e, n->args[right]);
}

/* The only coordinate that differs between lanes, if it goes by lane; -1: there is none. */
static int stepping_dim(Emitter *e, const Node *n, const EmitBuffer *b, LLVMValueRef *at)
{
    int found = -1;
    for (unsigned d = 0; d < n->n_args; d++) {
        if (!emit_is_vector(at[d])) continue;
        bool plain = b->buffer->ring != (int)d && b->heads != (int)d;
        if (found >= 0 || !plain || !steps_by_lane(e, n->args[d])) return -1;
        found = (int)d;
    }
    return n->guarded || (b->element != e->f32 && b->element != e->f64) ? -1 : found;
}

/* Lanes side by side, as all but the last strip has them if the stride is 1, are one load; else they are
 * gathered. */
static LLVMValueRef load_stepping(Emitter *e, const Node *n, const EmitBuffer *b, LLVMValueRef *at,
                                  unsigned dim)
{
    LLVMBuilderRef bb = e->b;
    LLVMValueRef offsets = emit_spread(e, element_offset(e, b, at)), zero = LLVMConstInt(e->i32, 0, false);
    LLVMValueRef first = LLVMBuildExtractElement(bb, at[dim], zero, ""),
                 last = LLVMBuildExtractElement(bb, at[dim], LLVMConstInt(e->i32, e->lanes - 1, false), "");
    LLVMValueRef whole = LLVMBuildICmp(bb, LLVMIntEQ, LLVMBuildSub(bb, last, first, ""),
                                       emit_int(e, e->lanes - 1), ""),
                 unit = LLVMBuildICmp(bb, LLVMIntEQ, b->strides[dim], emit_int(e, 1), "");
    LLVMBasicBlockRef side = emit_block(e, "row"), apart = emit_block(e, "apart"),
                      end = emit_block(e, "read");
    LLVMBuildCondBr(bb, LLVMBuildAnd(bb, whole, unit, ""), side, apart);
    LLVMPositionBuilderAtEnd(bb, side);
    LLVMValueRef *start = NEW_ARRAY(e->c, LLVMValueRef, n->n_args);
    for (unsigned d = 0; d < n->n_args; d++) start[d] = d == dim ? first : at[d];
    LLVMValueRef row = load_at(e, b, element_offset(e, b, start), emit_vector(e, b->element));
    LLVMBuildBr(bb, end);
    LLVMPositionBuilderAtEnd(bb, apart);
    LLVMValueRef gathered = gather(e, b, offsets, emit_spread(e, emit_flag(e, true)));
    LLVMBuildBr(bb, end);
    LLVMPositionBuilderAtEnd(bb, end);
    return from_memory(e, b, emit_phi2(e, LLVMTypeOf(row), row, side, gathered, apart));
}

static LLVMValueRef read_lanes(Emitter *e, const Node *n, const EmitBuffer *b, LLVMValueRef *at)
{
    int dim = stepping_dim(e, n, b, at);
    LLVMValueRef flags = emit_spread(e, emit_flag(e, true));
    for (unsigned d = 0; n->guarded && d < n->n_args; d++) {
        LLVMValueRef limit = spread_like(e, b->extents[d], at[d]);
        LLVMValueRef in = LLVMBuildICmp(e->b, LLVMIntULT, at[d], limit, "");
        flags = LLVMBuildAnd(e->b, flags, emit_spread(e, in), "");
    }
    if (!n->guarded && is_contiguous(e, b, (const Node *const *)n->args, at))
        return from_memory(e, b,
                           load_at(e, b, contiguous_offset(e, b, (const Node *const *)n->args, at),
                                   emit_vector(e, memory_type(e, b))));
    if (dim >= 0) return load_stepping(e, n, b, at, (unsigned)dim);
    return from_memory(e, b, gather(e, b, emit_spread(e, element_offset(e, b, at)), flags));
}

static void scatter(Emitter *e, const EmitBuffer *b, LLVMValueRef offsets, LLVMValueRef v)
{
    if (!b->element) {
        LLVMValueRef args[] = {b->data, b->type, emit_spread(e, offsets), emit_spread(e, v)};
        emit_call_lanes(e, e->store_int, args, 4, e->none);
        return;
    }
    LLVMTypeRef type = LLVMGetElementType(LLVMTypeOf(v));
    LLVMValueRef p = LLVMBuildGEP2(e->b, type, b->data, &offsets, 1, "");
    LLVMValueRef args[] = {v, p, LLVMConstInt(e->i32, bytes_of(e, type), false),
                           emit_spread(e, emit_flag(e, true))};
    LLVMTypeRef overloads[] = {LLVMTypeOf(v), LLVMTypeOf(p)};
    mark_access(e, b, emit_intrinsic(e, "llvm.masked.scatter", overloads, 2, args, 4));
}

const EmitBuffer *emit_buffer(const Emitter *e, const Tensor *tensor)
{
    return &e->buffers[e->buffer_of[tensor->id] - 1];
}

static LLVMValueRef offset_of(Emitter *e, const EmitBuffer *b, Node *const *subscripts)
{
    LLVMValueRef *at = NEW_ARRAY(e->c, LLVMValueRef, b->buffer->tensor->n_dims + 1);
    for (unsigned d = 0; d < b->buffer->tensor->n_dims; d++) at[d] = emit_node(e, subscripts[d]);
    return element_offset(e, b, at);
}

static void store_vector(Emitter *e, const EmitBuffer *b, LLVMValueRef offset, LLVMValueRef v)
{
    LLVMValueRef p = LLVMBuildInBoundsGEP2(e->b, memory_type(e, b), b->data, &offset, 1, ""),
                 s = LLVMBuildStore(e->b, v, p);
    LLVMSetAlignment(s, bytes_of(e, memory_type(e, b)));
    mark_access(e, b, s);
}

LLVMValueRef emit_element(Emitter *e, const Tensor *tensor, Node *const *subscripts)
{
    const EmitBuffer *b = emit_buffer(e, tensor);
    return emit_at(e, memory_type(e, b), b->data, offset_of(e, b, subscripts));
}

LLVMValueRef emit_unit(Emitter *e, const Tensor *tensor, LLVMValueRef stride)
{
    EmitBuffer *b = &e->buffers[e->buffer_of[tensor->id] - 1];
    LLVMValueRef *last = &b->strides[tensor->n_dims - 1], before = *last;
    if (stride) *last = stride;
    return before;
}

typedef struct Fetch {
    Emitter *e;
    const Statement *s;
    LLVMValueRef first;
} Fetch;

static void fetch_line(void *context, LLVMValueRef offset)
{
    const Fetch *f = context;
    Emitter *e = f->e;
    LLVMValueRef args[] = {emit_at(e, e->i8, f->first, offset),
                           LLVMConstInt(e->i32, f->s->tensor->role == ROLE_OUTPUT, false),
                           LLVMConstInt(e->i32, f->s->far ? 2 : 3, false), LLVMConstInt(e->i32, 1, false)};
    emit_intrinsic(e, "llvm.prefetch", &e->ptr, 1, args, 4);
}

void emit_prefetch(Emitter *e, const Statement *s)
{
    enum { LINE = 64, MOST_LINES = 16 /* without a loop */ };
    const EmitBuffer *b = emit_buffer(e, s->tensor);
    if (!b->element) return;
    Fetch f = {e, s, emit_element(e, s->tensor, s->subscripts)};
    LLVMValueRef n = s->value ? emit_node(e, s->value) : emit_int(e, 1);
    LLVMValueRef bytes = LLVMBuildNSWMul(e->b, n, emit_int(e, bytes_of(e, memory_type(e, b))), "");
    int64_t known = LLVMIsAConstantInt(bytes) ? LLVMConstIntGetSExtValue(bytes) : INT64_MAX;
    for (int64_t at = 0; known <= LINE * MOST_LINES && at < known; at += LINE)
        fetch_line(&f, emit_int(e, at));
    if (known <= LINE * MOST_LINES) return;
    bytes = LLVMBuildNSWAdd(e->b, bytes, emit_int(e, LINE - 1), "");
    emit_steps(e, "line", emit_int(e, 0), bytes, LINE, fetch_line, &f);
}

LLVMValueRef emit_read(Emitter *e, const Node *n)
{
    const EmitBuffer *b = emit_buffer(e, n->tensor);
    unsigned rank = n->tensor->n_dims;
    LLVMValueRef *at = NEW_ARRAY(e->c, LLVMValueRef, rank + 1), inside = NULL;
    uint32_t listed = 0;
    LLVMValueRef place = emit_place(e, n, &listed);
    for (unsigned d = 0; d < rank; d++) at[d] = listed >> d & 1 ? emit_int(e, 0) : emit_node(e, n->args[d]);
    for (unsigned d = 0; d < rank; d++)
        if (emit_is_vector(at[d])) return read_lanes(e, n, b, at);
    if (place) return load_element(e, b, LLVMBuildNSWAdd(e->b, element_offset(e, b, at), place, ""));
    if (!n->guarded || !rank) return load_element(e, b, element_offset(e, b, at));
    for (unsigned d = 0; d < rank; d++) {
        LLVMValueRef in = LLVMBuildICmp(e->b, LLVMIntULT, at[d], b->extents[d], "");
        inside = inside ? LLVMBuildAnd(e->b, inside, in, "") : in;
    }
    LLVMBasicBlockRef from = emit_here(e), load = emit_block(e, "load"), end = emit_block(e, "loaded");
    LLVMBuildCondBr(e->b, inside, load, end);
    LLVMPositionBuilderAtEnd(e->b, load);
    LLVMValueRef v = load_element(e, b, element_offset(e, b, at));
    load = emit_here(e);
    LLVMBuildBr(e->b, end);
    LLVMPositionBuilderAtEnd(e->b, end);
    return emit_phi2(e, LLVMTypeOf(v), v, load, LLVMConstNull(LLVMTypeOf(v)), from);
}

void emit_store(Emitter *e, const Tensor *tensor, Node *const *subscripts, const Node *value)
{
    const EmitBuffer *b = emit_buffer(e, tensor);
    LLVMValueRef *at = NEW_ARRAY(e->c, LLVMValueRef, tensor->n_dims + 1);
    for (unsigned d = 0; d < tensor->n_dims; d++) at[d] = emit_node(e, subscripts[d]);
    LLVMTypeRef type = b->element;
    bool narrow = type == e->half || type == e->i16, vector = false;
    LLVMValueRef v =
        tensor->type == TYPE_REAL ? emit_real(e, value, narrow ? e->f32 : type) : emit_node(e, value);
    if (type == e->half)
        v = to_half(e, v);
    else if (type == e->i16)
        v = to_bf16(e, v);
    else if (type == e->i8)
        v = LLVMBuildZExt(e->b, v, emit_shape(e, e->i8, v), "");
    for (unsigned d = 0; d < tensor->n_dims; d++) vector = vector || emit_is_vector(at[d]);
    if (vector) {
        v = emit_spread(e, v);
        if (!is_contiguous(e, b, (const Node *const *)subscripts, at)) {
            scatter(e, b, emit_spread(e, element_offset(e, b, at)), v);
            return;
        }
        store_vector(e, b, contiguous_offset(e, b, (const Node *const *)subscripts, at), v);
        return;
    }
    LLVMValueRef offset = element_offset(e, b, at);
    if (!type) {
        mark_access(e, b, emit_call(e, e->store_int, (LLVMValueRef[]){b->data, b->type, offset, v}, 4));
        return;
    }
    LLVMValueRef p = LLVMBuildInBoundsGEP2(e->b, LLVMTypeOf(v), b->data, &offset, 1, "");
    mark_access(e, b, LLVMBuildStore(e->b, v, p));
}
