/* Expressions of Loops -> LLVM values.
 *
 * Requires: every variable, extent, parameter and local that the node mentions has a value in the Emitter.
 * Ensures: IF, AND and OR evaluate what they need: a side with a READ, a CHECK or much work stands in a
 * branch, the rest becomes a select. Integers are total as the language defines them. Values are shared
 * within a statement, and only where the first of them dominates. */
#include "emit.h"

#include "codegen/cpu/math.h"

/* Facts by Node.id: low nibble 1 + cost class, then exactness. */
enum { COST_KNOWN = 1, COST_BRANCH = 2, EXACT_KNOWN = 4, EXACT_YES = 8 };
enum { COST_MAX = 40 }; /* above: worth a branch */

static unsigned op_cost(const Node *n)
{
    switch (n->op) {
    case N_READ:
    case N_CHECK: return COST_MAX + 1;
    case N_EXP:
    case N_EXP2:
    case N_EXPM1:
    case N_EXP_DOWN:
    case N_EXP2_DOWN:
    case N_LOG:
    case N_LOG2:
    case N_LOG1P:
    case N_TANH:
    case N_ERF: return 20;
    case N_SIN:
    case N_COS:
    case N_ATAN:
    case N_POW:
    case N_RAND: return COST_MAX + 1;
    case N_FLOORDIV:
    case N_MOD: return n->args[1]->op == N_INT ? 4 : 12;
    case N_DIV:
    case N_SQRT:
    case N_RSQRT: return 5;
    default: return 1;
    }
}

static unsigned cost(Emitter *e, const Node *n, unsigned left)
{
    if (n->id < e->n_nodes && e->facts[n->id] & COST_KNOWN && e->facts[n->id] & COST_BRANCH) return left + 1;
    unsigned sum = op_cost(n);
    for (unsigned k = 0; k < n->n_args && sum <= left; k++) sum += cost(e, n->args[k], left - sum);
    return sum;
}

/* Must this side of an IF, AND or OR stand in a branch? */
static bool needs_branch(Emitter *e, const Node *n)
{
    uint8_t *fact = n->id < e->n_nodes ? &e->facts[n->id] : NULL;
    if (fact && *fact & COST_KNOWN) return *fact & COST_BRANCH;
    bool yes = cost(e, n, COST_MAX) > COST_MAX;
    if (fact) *fact |= (uint8_t)(COST_KNOWN | (yes ? COST_BRANCH : 0));
    return yes;
}

static bool find_exact(Emitter *e, const Node *n)
{
    switch (n->op) {
    case N_REAL:
    case N_PARAM: return true;
    case N_LOCAL: return n->local->exact;
    case N_READ: return e->buffers[e->buffer_of[n->tensor->id] - 1].buffer->exact;
    default: break;
    }
    if (n->data) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (n->args[k]->type == TYPE_REAL && !emit_exact(e, n->args[k])) return false;
    return true;
}

bool emit_exact(Emitter *e, const Node *n)
{
    uint8_t *fact = n->id < e->n_nodes ? &e->facts[n->id] : NULL;
    if (fact && *fact & EXACT_KNOWN) return *fact & EXACT_YES;
    bool yes = find_exact(e, n);
    if (fact) *fact |= (uint8_t)(EXACT_KNOWN | (yes ? EXACT_YES : 0));
    return yes;
}

/* Numbers of indices alone are exact, but where both sides of a streamed pair enter: their integer part is
 * exact then (sizes are below 2^31), the rest may be in the compute type. */
static LLVMTypeRef real_type(Emitter *e, const Node *n)
{
    return emit_exact(e, n) && !(e->jammed && emit_varies(e, n)) ? e->f64 : e->real;
}

static LLVMTypeRef value_type(Emitter *e, const Node *n)
{
    LLVMTypeRef type = n->type == TYPE_BOOL ? e->i1 : n->type == TYPE_INT ? e->i64 : real_type(e, n);
    return emit_varies(e, n) ? emit_vector(e, type) : type;
}

uint32_t emit_mark(Emitter *e) { return e->trail.n; }

void emit_forget(Emitter *e, uint32_t mark)
{
    while (e->trail.n > mark) e->memo[e->trail.at[--e->trail.n]] = NULL;
}

LLVMTypeRef emit_local_type(Emitter *e, const Local *local)
{
    LLVMTypeRef real = local->exact ? e->f64 : e->real;
    LLVMTypeRef type = local->type == TYPE_BOOL ? e->i1 : local->type == TYPE_INT ? e->i64 : real;
    return e->lanes && e->varying[local->id] ? emit_vector(e, type) : type;
}

LLVMValueRef emit_local(Emitter *e, const Local *local)
{
    if (!e->locals[local->id])
        e->locals[local->id] = emit_alloca(e, emit_local_type(e, local), local->name ? local->name : "");
    return e->locals[local->id];
}

LLVMValueRef emit_extent(Emitter *e, const Index *index)
{
    if (!index->extent && index->root && index->root != index) index = index->root;
    if (!index->extent) return e->extents[index->number];
    LLVMValueRef n = emit_node(e, index->extent);
    return emit_intrinsic2(e, "llvm.smax", n, emit_int(e, 0));
}

LLVMValueRef emit_real(Emitter *e, const Node *n, LLVMTypeRef type)
{
    if (n->op == N_REAL) return LLVMConstReal(type, n->real);
    LLVMValueRef v = emit_node(e, n);
    type = emit_shape(e, type, v);
    return LLVMTypeOf(v) == type ? v : LLVMBuildFPCast(e->b, v, type, "");
}

/* As a scalar of the type, or as a vector of it. */
static LLVMValueRef emit_as(Emitter *e, const Node *n, LLVMTypeRef type)
{
    bool vector = LLVMGetTypeKind(type) == LLVMVectorTypeKind;
    LLVMTypeRef element = vector ? LLVMGetElementType(type) : type;
    LLVMValueRef v = n->type == TYPE_REAL ? emit_real(e, n, element) : emit_node(e, n);
    return vector ? emit_spread(e, v) : v;
}

void emit_fail_unless(Emitter *e, LLVMValueRef condition, unsigned check)
{
    LLVMBasicBlockRef bad = emit_block(e, "bad"), good = emit_block(e, "good");
    LLVMBuildCondBr(e->b, condition, good, bad);
    LLVMPositionBuilderAtEnd(e->b, bad);
    emit_call(e, e->fail, (LLVMValueRef[]){e->status, emit_i32(e, check + 1)}, 2);
    LLVMBuildBr(e->b, good);
    LLVMPositionBuilderAtEnd(e->b, good);
}

/* --- lazy operations --- */

/* How many operands are evaluated whatever the others are. */
static unsigned sure_args(const Node *n)
{
    return n->op == N_IF || n->op == N_AND || n->op == N_OR ? 1 : n->n_args;
}

static void mark_sure(Emitter *e, const Node *n, uint32_t stamp)
{
    if (n->id >= e->n_nodes || e->seen[n->id] == stamp || e->memo[n->id] || !n->n_args) return;
    e->seen[n->id] = stamp;
    for (unsigned k = 0; k < sure_args(n); k++) mark_sure(e, n->args[k], stamp);
}

static void emit_sure(Emitter *e, const Node *n, uint32_t marked, uint32_t visited)
{
    if (n->id >= e->n_nodes || e->seen[n->id] == visited || e->memo[n->id] || !n->n_args) return;
    if (e->seen[n->id] == marked) {
        e->seen[n->id] = visited;
        emit_node(e, n);
        return;
    }
    e->seen[n->id] = visited;
    for (unsigned k = 0; k < sure_args(n); k++) emit_sure(e, n->args[k], marked, visited);
}

/* Emits what both sides of a branch need, so that a chain of branches does not double its code with every
 * one. */
static void emit_common(Emitter *e, const Node *a, const Node *b)
{
    uint32_t marked = ++e->stamp, visited = ++e->stamp;
    mark_sure(e, a, marked);
    emit_sure(e, b, marked, visited);
}

/* condition ? then : otherwise; a NULL side is the constant `missing`. */
static LLVMValueRef branch(Emitter *e, LLVMValueRef condition, const Node *then, const Node *otherwise,
                           LLVMValueRef missing, LLVMTypeRef type)
{
    LLVMBasicBlockRef yes = emit_block(e, "then"), no = emit_block(e, "else"), end = emit_block(e, "end");
    LLVMBuildCondBr(e->b, condition, yes, no);
    uint32_t mark = emit_mark(e);
    LLVMPositionBuilderAtEnd(e->b, yes);
    LLVMValueRef a = then ? emit_as(e, then, type) : missing;
    yes = emit_here(e);
    LLVMBuildBr(e->b, end);
    emit_forget(e, mark);
    LLVMPositionBuilderAtEnd(e->b, no);
    LLVMValueRef b = otherwise ? emit_as(e, otherwise, type) : missing;
    no = emit_here(e);
    LLVMBuildBr(e->b, end);
    emit_forget(e, mark);
    LLVMPositionBuilderAtEnd(e->b, end);
    return emit_phi2(e, type, a, yes, b, no);
}

static LLVMValueRef emit_if(Emitter *e, const Node *n)
{
    LLVMValueRef condition = emit_node(e, n->args[0]);
    LLVMTypeRef type = value_type(e, n);
    bool lazy = !emit_is_vector(condition) && (needs_branch(e, n->args[1]) || needs_branch(e, n->args[2]));
    if (lazy) {
        emit_common(e, n->args[1], n->args[2]);
        return branch(e, condition, n->args[1], n->args[2], NULL, type);
    }
    LLVMValueRef a = emit_as(e, n->args[1], type), b = emit_as(e, n->args[2], type);
    return LLVMBuildSelect(e->b, condition, a, b, "");
}

static LLVMValueRef emit_and_or(Emitter *e, const Node *n)
{
    bool is_and = n->op == N_AND;
    LLVMValueRef a = emit_node(e, n->args[0]);
    const Node *right = n->args[1];
    if (!needs_branch(e, right) || emit_varies(e, n)) { /* lanes do not branch: reads guard themselves */
        LLVMValueRef b = emit_node(e, right);
        emit_match(e, &a, &b);
        return is_and ? LLVMBuildAnd(e->b, a, b, "") : LLVMBuildOr(e->b, a, b, "");
    }
    LLVMValueRef decided = emit_flag(e, !is_and);
    return branch(e, a, is_and ? right : NULL, is_and ? NULL : right, decided, e->i1);
}

/* --- integers --- */

/* Quotient and remainder rounded towards minus infinity; x // 0 is 0, x % 0 is x, x // -1 wraps. */
static LLVMValueRef floor_divide(Emitter *e, LLVMValueRef x, LLVMValueRef y, bool modulo)
{
    LLVMBuilderRef b = e->b;
    LLVMValueRef zero = emit_int_like(e, x, 0), one = emit_int_like(e, x, 1);
    LLVMValueRef is_zero = LLVMBuildICmp(b, LLVMIntEQ, y, zero, "");
    LLVMValueRef is_minus = LLVMBuildICmp(b, LLVMIntEQ, y, emit_int_like(e, x, -1), "");
    LLVMValueRef safe = LLVMBuildSelect(b, LLVMBuildOr(b, is_zero, is_minus, ""), one, y, "");
    LLVMValueRef q = LLVMBuildSDiv(b, x, safe, "");
    LLVMValueRef r = LLVMBuildSub(b, x, LLVMBuildMul(b, q, safe, ""), "");
    LLVMValueRef apart = LLVMBuildICmp(b, LLVMIntSLT, LLVMBuildXor(b, r, safe, ""), zero, "");
    LLVMValueRef low = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntNE, r, zero, ""), apart, "");
    if (modulo) {
        r = LLVMBuildSelect(b, low, LLVMBuildAdd(b, r, safe, ""), r, "");
        return LLVMBuildSelect(b, is_zero, x, r, "");
    }
    q = LLVMBuildSelect(b, low, LLVMBuildSub(b, q, one, ""), q, "");
    q = LLVMBuildSelect(b, is_minus, LLVMBuildNeg(b, x, ""), q, "");
    return LLVMBuildSelect(b, is_zero, zero, q, "");
}

/* The same as a function of scalars, for divisors that are not literals: a division is slow, but its code is
 * long, there is none of vectors, and conditions over boxes hold dozens. */
static LLVMValueRef divide_function(Emitter *e, bool modulo)
{
    const char *name = format(e->c, "%s.floor_%s", e->entry, modulo ? "modulo" : "divide");
    LLVMValueRef f = LLVMGetNamedFunction(e->module, name);
    if (f) return f;
    LLVMBasicBlockRef here = emit_here(e);
    f = LLVMAddFunction(e->module, name, LLVMFunctionType(e->i64, (LLVMTypeRef[]){e->i64, e->i64}, 2, false));
    LLVMSetLinkage(f, LLVMInternalLinkage);
    emit_cpu_attributes(e, f);
    static const char *const pure[] = {"noinline", "nounwind", "willreturn", "speculatable", "memory"};
    for (unsigned k = 0; k < sizeof pure / sizeof *pure; k++) emit_attribute(e, f, pure[k]);
    LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->context, f, "entry"));
    LLVMBuildRet(e->b, floor_divide(e, LLVMGetParam(f, 0), LLVMGetParam(f, 1), modulo));
    LLVMPositionBuilderAtEnd(e->b, here);
    return f;
}

LLVMValueRef emit_divide(Emitter *e, LLVMValueRef x, LLVMValueRef y, bool modulo)
{
    return emit_call(e, divide_function(e, modulo), (LLVMValueRef[]){x, y}, 2);
}

static LLVMValueRef int_divide(Emitter *e, LLVMValueRef x, const Node *divisor, LLVMValueRef y, bool modulo)
{
    if (divisor->op == N_INT && divisor->integer > 0 && !(divisor->integer & (divisor->integer - 1))) {
        int shift = __builtin_ctzll((unsigned long long)divisor->integer);
        return modulo ? LLVMBuildAnd(e->b, x, emit_int_like(e, x, divisor->integer - 1), "")
                      : LLVMBuildAShr(e->b, x, emit_int_like(e, x, shift), "");
    }
    if (!emit_is_vector(x) && divisor->op == N_INT) return floor_divide(e, x, y, modulo);
    if (!emit_is_vector(x)) return emit_divide(e, x, y, modulo);
    return emit_call_lanes(e, divide_function(e, modulo), (LLVMValueRef[]){x, y}, 2, e->i64);
}

/* Arithmetic that says when it wraps: for conditions, which then do not hold. */
static LLVMValueRef watched(Emitter *e, const Node *n, LLVMValueRef x, LLVMValueRef y)
{
    const char *name = n->op == N_ADD   ? "llvm.sadd.with.overflow"
                       : n->op == N_SUB ? "llvm.ssub.with.overflow"
                                        : "llvm.smul.with.overflow";
    LLVMValueRef pair = emit_intrinsic2(e, name, x, y), over = LLVMBuildExtractValue(e->b, pair, 1, "");
    LLVMValueRef before = LLVMBuildLoad2(e->b, e->i1, e->overflow, "");
    LLVMBuildStore(e->b, LLVMBuildOr(e->b, before, over, ""), e->overflow);
    return LLVMBuildExtractValue(e->b, pair, 0, "");
}

static LLVMValueRef emit_binary_int(Emitter *e, const Node *n)
{
    LLVMBuilderRef b = e->b;
    LLVMValueRef x = emit_node(e, n->args[0]), y = emit_node(e, n->args[1]);
    emit_match(e, &x, &y);
    if (e->overflow && (n->op == N_ADD || n->op == N_SUB || n->op == N_MUL)) return watched(e, n, x, y);
    switch (n->op) {
    case N_ADD: return LLVMBuildAdd(b, x, y, "");
    case N_SUB: return LLVMBuildSub(b, x, y, "");
    case N_MUL: return LLVMBuildMul(b, x, y, "");
    case N_FLOORDIV: return int_divide(e, x, n->args[1], y, false);
    case N_MOD: return int_divide(e, x, n->args[1], y, true);
    case N_BITAND: return LLVMBuildAnd(b, x, y, "");
    case N_BITOR: return LLVMBuildOr(b, x, y, "");
    case N_BITXOR: return LLVMBuildXor(b, x, y, "");
    case N_SHL: return LLVMBuildShl(b, x, LLVMBuildAnd(b, y, emit_int_like(e, y, 63), ""), "");
    case N_SHR: return LLVMBuildAShr(b, x, LLVMBuildAnd(b, y, emit_int_like(e, y, 63), ""), "");
    case N_MIN: return emit_intrinsic2(e, "llvm.smin", x, y);
    case N_MAX: return emit_intrinsic2(e, "llvm.smax", x, y);
    default: BUG(e->c, "no integer operation %s", op_name(n->op));
    }
}

/* Towards zero, saturating; NaN is 0. LLVM's own saturating conversion of vectors goes lane by lane. */
static LLVMValueRef emit_to_int(Emitter *e, LLVMValueRef x)
{
    LLVMTypeRef real = LLVMTypeOf(x), type = emit_shape(e, e->i64, x);
    if (!emit_is_vector(x))
        return emit_intrinsic(e, "llvm.fptosi.sat", (LLVMTypeRef[]){type, real}, 2, &x, 1);
    LLVMBuilderRef b = e->b;
    LLVMTypeRef element = LLVMGetElementType(real);
    LLVMValueRef top = emit_spread(e, LLVMConstReal(element, 0x1p63)),
                 bottom = emit_spread(e, LLVMConstReal(element, -0x1p63)), zero = LLVMConstNull(real);
    LLVMValueRef low = LLVMBuildFCmp(b, LLVMRealOLE, x, bottom, ""),
                 high = LLVMBuildFCmp(b, LLVMRealOGE, x, top, ""),
                 inside = LLVMBuildAnd(b, LLVMBuildFCmp(b, LLVMRealOGT, x, bottom, ""),
                                       LLVMBuildFCmp(b, LLVMRealOLT, x, top, ""), "");
    LLVMValueRef safe = LLVMBuildSelect(b, inside, x, zero, ""), n = LLVMBuildFPToSI(b, safe, type, "");
    n = LLVMBuildSelect(b, low, emit_spread(e, emit_int(e, INT64_MIN)), n, "");
    return LLVMBuildSelect(b, high, emit_spread(e, emit_int(e, INT64_MAX)), n, "");
}

static LLVMValueRef emit_unary_int(Emitter *e, const Node *n)
{
    LLVMBuilderRef b = e->b;
    LLVMValueRef x = emit_node(e, n->args[0]);
    LLVMTypeRef type = emit_shape(e, e->i64, x);
    switch (n->op) {
    case N_NEG: return LLVMBuildNeg(b, x, "");
    case N_STOP: return x;
    case N_ABS:
        return emit_intrinsic(e, "llvm.abs", &type, 1, (LLVMValueRef[]){x, LLVMConstInt(e->i1, 0, false)}, 2);
    case N_SIGN: {
        LLVMValueRef above =
            LLVMBuildZExt(b, LLVMBuildICmp(b, LLVMIntSGT, x, emit_int_like(e, x, 0), ""), type, "");
        return LLVMBuildOr(b, LLVMBuildAShr(b, x, emit_int_like(e, x, 63), ""), above, "");
    }
    case N_POPCOUNT: return emit_intrinsic1(e, "llvm.ctpop", x);
    case N_TO_INT:
        if (n->args[0]->type == TYPE_BOOL) return LLVMBuildZExt(b, x, type, "");
        return emit_to_int(e, x);
    default: BUG(e->c, "no integer operation %s", op_name(n->op));
    }
}

static LLVMValueRef emit_check(Emitter *e, const Node *n)
{
    LLVMValueRef x = emit_node(e, n->args[0]), lo = emit_node(e, n->args[1]), hi = emit_node(e, n->args[2]);
    LLVMValueRef above = LLVMBuildICmp(e->b, LLVMIntSGE, x, lo, ""),
                 below = LLVMBuildICmp(e->b, LLVMIntSLT, x, hi, "");
    emit_fail_unless(e, LLVMBuildAnd(e->b, above, below, ""), n->check);
    LLVMValueRef last = LLVMBuildSub(e->b, hi, emit_int(e, 1), "");
    return emit_intrinsic2(e, "llvm.smin", emit_intrinsic2(e, "llvm.smax", x, lo), last);
}

/* --- bools --- */

static LLVMValueRef emit_compare(Emitter *e, const Node *n)
{
    const Node *a = n->args[0], *b = n->args[1];
    if (a->type == TYPE_REAL) {
        LLVMTypeRef type = emit_exact(e, a) && emit_exact(e, b) ? e->f64 : e->real;
        LLVMRealPredicate p = n->op == N_EQ   ? LLVMRealOEQ
                              : n->op == N_NE ? LLVMRealUNE
                              : n->op == N_LT ? LLVMRealOLT
                                              : LLVMRealOLE;
        LLVMValueRef x = emit_real(e, a, type), y = emit_real(e, b, type);
        emit_match(e, &x, &y);
        return LLVMBuildFCmp(e->b, p, x, y, "");
    }
    LLVMIntPredicate p = n->op == N_EQ   ? LLVMIntEQ
                         : n->op == N_NE ? LLVMIntNE
                         : n->op == N_LT ? LLVMIntSLT
                                         : LLVMIntSLE;
    LLVMValueRef x = emit_node(e, a), y = emit_node(e, b);
    emit_match(e, &x, &y);
    return LLVMBuildICmp(e->b, p, x, y, "");
}

static LLVMValueRef emit_bool(Emitter *e, const Node *n)
{
    switch (n->op) {
    case N_EQ:
    case N_NE:
    case N_LT:
    case N_LE: return emit_compare(e, n);
    case N_AND:
    case N_OR: return emit_and_or(e, n);
    case N_NOT: return LLVMBuildNot(e->b, emit_node(e, n->args[0]), "");
    case N_STOP: return emit_node(e, n->args[0]);
    case N_GIVEN: {
        LLVMValueRef at = emit_nth(e, e->tensor_type, e->tensors, n->tensor->number);
        LLVMValueRef data = emit_field(e, e->tensor_type, at, 0, e->ptr);
        return LLVMBuildIsNotNull(e->b, data, "");
    }
    default: BUG(e->c, "no bool operation %s", op_name(n->op));
    }
}

/* --- reals --- */

static int math_of(Op op)
{
    switch (op) {
#define CASE(NAME) \
    case N_##NAME: return MATH_##NAME;
        CASE(EXP)
        CASE(EXP2)
        CASE(EXPM1)
        CASE(EXP_DOWN)
        CASE(EXP2_DOWN)
        CASE(LOG)
        CASE(LOG2) CASE(LOG1P) CASE(SQRT) CASE(RSQRT) CASE(TANH) CASE(SIN) CASE(COS) CASE(ATAN) CASE(ERF)
            CASE(POW) CASE(ABS) CASE(FLOOR) CASE(CEIL) CASE(ROUND) CASE(MIN) CASE(MAX)
#undef CASE
                default : return -1;
    }
}

static LLVMValueRef real_operation(Emitter *e, const Node *n, LLVMValueRef x, LLVMValueRef y)
{
    LLVMBuilderRef b = e->b;
    switch (n->op) {
    case N_NEG: return LLVMBuildFNeg(b, x, "");
    case N_STOP: return x;
    case N_ADD: return LLVMBuildFAdd(b, x, y, "");
    case N_SUB: return LLVMBuildFSub(b, x, y, "");
    case N_MUL: return LLVMBuildFMul(b, x, y, "");
    case N_DIV: return LLVMBuildFDiv(b, x, y, "");
    case N_SIGN: {
        LLVMValueRef zero = LLVMConstReal(LLVMTypeOf(x), 0), one = LLVMConstReal(LLVMTypeOf(x), 1);
        LLVMValueRef below = LLVMBuildFCmp(b, LLVMRealOLT, x, zero, ""),
                     above = LLVMBuildFCmp(b, LLVMRealOGT, x, zero, "");
        x = LLVMBuildSelect(b, below, LLVMConstReal(LLVMTypeOf(x), -1), x, "");
        return LLVMBuildSelect(b, above, one, x, "");
    }
    default: {
        int fn = math_of(n->op);
        if (fn < 0) BUG(e->c, "no real operation %s", op_name(n->op));
        return math_call(b, e->module, (MathFn)fn, (LLVMValueRef[]){x, y}, n->n_args);
    }
    }
}

static bool is_one(const Node *n) { return n->op == N_REAL && n->real == 1; }

/* y of 1 / (1 + exp(y)), or NULL. */
static const Node *logistic_of(const Node *n)
{
    const Node *sum = n->op == N_DIV && is_one(n->args[0]) ? n->args[1] : NULL;
    if (!sum || sum->op != N_ADD) return NULL;
    const Node *exp = sum->args[is_one(sum->args[0])];
    return exp->op == N_EXP && is_one(sum->args[exp == sum->args[0]]) ? exp->args[0] : NULL;
}

static LLVMValueRef emit_logistic(Emitter *e, const Node *y, LLVMTypeRef type)
{
    bool negative = y->op == N_NEG;
    LLVMValueRef x = emit_real(e, negative ? y->args[0] : y, type);
    if (!negative) x = LLVMBuildFNeg(e->b, x, "");
    return math_call(e->b, e->module, MATH_SIGMOID, &x, 1);
}

static LLVMValueRef emit_rand(Emitter *e, const Node *n)
{
    LLVMValueRef args[5];
    for (unsigned k = 0; k < 5; k++) args[k] = emit_node(e, n->args[k]);
    LLVMTypeRef type = value_type(e, n);
    LLVMValueRef bits =
        emit_varies(e, n)
            ? emit_call_lanes(e, e->philox, args, 5, LLVMGetReturnType(LLVMGlobalGetValueType(e->philox)))
            : emit_call(e, e->philox, args, 5);
    LLVMValueRef x = LLVMBuildUIToFP(e->b, bits, type, "");
    return LLVMBuildFMul(e->b, x, LLVMConstReal(type, 0x1p-24), ""); /* exact in every type */
}

static LLVMValueRef emit_real_node(Emitter *e, const Node *n)
{
    if (n->op == N_RAND) return emit_rand(e, n);
    LLVMTypeRef type = real_type(e, n);
    if (n->op == N_TO_REAL) {
        LLVMValueRef x = emit_node(e, n->args[0]);
        type = emit_shape(e, type, x);
        return n->args[0]->type == TYPE_BOOL ? LLVMBuildUIToFP(e->b, x, type, "")
                                             : LLVMBuildSIToFP(e->b, x, type, "");
    }
    const Node *logistic = logistic_of(n);
    if (logistic) return emit_logistic(e, logistic, type);
    LLVMValueRef x = emit_real(e, n->args[0], type),
                 y = n->n_args > 1 ? emit_real(e, n->args[1], type) : NULL;
    if (y) emit_match(e, &x, &y);
    LLVMValueRef v = real_operation(e, n, x, y);
    bool arithmetic = n->op == N_ADD || n->op == N_SUB || n->op == N_MUL;
    if (arithmetic && !emit_exact(e, n) && LLVMCanValueUseFastMathFlags(v)) /* exact: rounded as written */
        LLVMSetFastMathFlags(v, LLVMFastMathAllowContract);
    return v;
}

/* --- all --- */

static LLVMValueRef emit_leaf(Emitter *e, const Node *n)
{
    switch (n->op) {
    case N_INT: return emit_int(e, n->integer);
    case N_BOOL: return LLVMConstInt(e->i1, (uint64_t)n->integer, false);
    case N_REAL: return LLVMConstReal(e->f64, n->real);
    case N_SIZE: return emit_extent(e, n->index);
    case N_PARAM: return e->params[n->param->number];
    case N_GROUP: {
        const EmitBuffer *b = emit_buffer(e, n->tensor);
        if (!b->group) return emit_int(e, 1);
        LLVMValueRef same = LLVMBuildICmp(e->b, LLVMIntEQ, b->strides[b->heads], emit_int(e, 0), "");
        return LLVMBuildSelect(e->b, same, emit_int(e, INT32_MAX), b->group, "");
    }
    case N_UNIT:
        return LLVMBuildICmp(e->b, LLVMIntEQ, emit_unit(e, n->tensor, NULL), emit_int(e, 1), "");
    case N_LOCAL: return LLVMBuildLoad2(e->b, emit_local_type(e, n->local), emit_local(e, n->local), "");
    case N_INDEX:
        if (!e->indices[n->index->id]) BUG(e->c, "variable %s has no value here", n->index->name);
        return e->indices[n->index->id];
    default: return NULL;
    }
}

static LLVMValueRef emit_inner(Emitter *e, const Node *n)
{
    if (n->op == N_READ) return emit_read(e, n);
    if (n->op == N_IF) return emit_if(e, n);
    if (n->op == N_CHECK) return emit_check(e, n);
    if (node_is_binder(n)) BUG(e->c, "a binder is left in Loops");
    if (n->type == TYPE_BOOL) return emit_bool(e, n);
    if (n->type == TYPE_REAL) return emit_real_node(e, n);
    return n->n_args == 1 ? emit_unary_int(e, n) : emit_binary_int(e, n);
}

LLVMValueRef emit_node(Emitter *e, const Node *n)
{
    LLVMValueRef leaf = emit_leaf(e, n);
    if (leaf) return leaf;
    if (n->id < e->n_nodes && e->memo[n->id]) return e->memo[n->id];
    LLVMValueRef v = emit_inner(e, n);
    if (n->id < e->n_nodes) {
        e->memo[n->id] = v;
        PUSH(e->c, &e->trail, n->id);
    }
    return v;
}
