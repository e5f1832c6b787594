/* Statements of Loops -> LLVM IR. A loop variable is a phi; a local is an alloca that mem2reg turns into
 * values. */
#include "emit.h"

#include "compiler/graph.h"

typedef struct Reads {
    const Local *local;
    unsigned n;
} Reads;

static void count_local(void *context, const Node *n)
{
    Reads *r = context;
    if (n->op == N_LOCAL && n->local == r->local) r->n++;
}

static void count_reads(Emitter *e, const Block *block, Reads *r)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        const Node *all[] = {s->condition, s->value, s->lo, s->hi};
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i]) node_visit(e->c, all[i], count_local, r);
        for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++)
            node_visit(e->c, s->subscripts[d], count_local, r);
        count_reads(e, &s->body, r);
        count_reads(e, &s->otherwise, r);
    }
}

static unsigned reads_in(Emitter *e, const Block *block, const Local *local)
{
    Reads r = {.local = local};
    count_reads(e, block, &r);
    return r.n;
}

/* Of a running sum every partial sum counts. LLVM would make one of a constant an induction, start + i *
 * step, which is NaN at i = 0 for a step of inf. */
static bool is_running(Emitter *e, const Block *loop, const Statement *s)
{
    Reads own = {.local = s->local};
    node_visit(e->c, s->value, count_local, &own);
    return own.n > 0 && reads_in(e, loop, s->local) > 1;
}

/* Does every iteration only store elements and sum reals, perhaps under conditions? Then vectors pay; LLVM
 * looks whether they may. */
static bool fits_vectors(Emitter *e, const Block *loop, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        bool fits = s->kind == S_STORE || s->kind == S_NOTE || s->kind == S_IF;
        if (s->kind == S_SET) fits = s->local->type == TYPE_REAL && !is_running(e, loop, s);
        if (!fits || !fits_vectors(e, loop, &s->body) || !fits_vectors(e, loop, &s->otherwise)) return false;
    }
    return true;
}

static void find_half(void *context, const Node *n)
{
    Emitter **e = context;
    if (*e && n->op == N_READ && emit_buffer(*e, n->tensor)->element == (*e)->half) *e = NULL;
}

static bool reads_half(Emitter *e, const Block *block)
{
    Emitter *none = e; /* NULL when found */
    for (unsigned k = 0; k < block->n; k++) {
        if (block->at[k]->value) node_visit(e->c, block->at[k]->value, find_half, &none);
        if (!none || reads_half(e, &block->at[k]->body) || reads_half(e, &block->at[k]->otherwise))
            return true;
    }
    return false;
}

/* LLVM takes conversions from half precision for costly and settles for short vectors. */
static unsigned width_hint(Emitter *e, const Statement *s)
{
    bool f16c = e->cpu->features & ATTN_FEATURE_F16C;
    if (!f16c || e->lanes || !fits_vectors(e, &s->body, &s->body) || !reads_half(e, &s->body)) return 0;
    return e->cpu->features & ATTN_FEATURE_AVX512F ? 16 : 8;
}

static const char *loop_hint(Emitter *e, const Statement *s)
{
    if (emit_block_varies(e, &s->body)) return "llvm.loop.unroll.disable"; /* vectors fill the loop already */
    return fits_vectors(e, &s->body, &s->body) ? "llvm.loop.vectorize.enable" : NULL;
}

/* Upwards: variable = lo, lo + step, ... < hi. Downwards the phi is one above the variable. */
void emit_counted_loop(Emitter *e, const Statement *s, void (*emit_body)(void *, const Statement *),
                       void *context)
{
    uint32_t mark = emit_mark(e);
    LLVMValueRef lo = emit_node(e, s->lo), hi = emit_node(e, s->hi),
                 step = s->step ? emit_node(e, s->step) : emit_int(e, 1);
    emit_forget(e, mark);
    LLVMBasicBlockRef before = emit_here(e), head = emit_block(e, "head"), body = emit_block(e, "body");
    LLVMBasicBlockRef end = emit_block(e, "end");
    LLVMBuildBr(e->b, head);
    LLVMPositionBuilderAtEnd(e->b, head);
    LLVMValueRef at = LLVMBuildPhi(e->b, e->i64, s->variable->name ? s->variable->name : "");
    LLVMAddIncoming(at, s->down ? &hi : &lo, &before, 1);
    LLVMValueRef more = LLVMBuildICmp(e->b, s->down ? LLVMIntSGT : LLVMIntSLT, at, s->down ? lo : hi, "");
    LLVMBuildCondBr(e->b, more, body, end);
    LLVMPositionBuilderAtEnd(e->b, body);
    LLVMValueRef outer = e->indices[s->variable->id];
    LLVMValueRef below = s->down ? LLVMBuildNSWSub(e->b, at, emit_int(e, 1), "") : NULL;
    e->indices[s->variable->id] = s->down ? below : at;
    const Statement *around = e->loop;
    e->loop = s;
    emit_divide_heads(e, s->variable, &s->body);
    emit_body(context, s);
    e->loop = around;
    e->indices[s->variable->id] = outer;
    emit_debug_place(e, s->span);
    LLVMValueRef next = s->down ? below : LLVMBuildNSWAdd(e->b, at, step, "");
    LLVMBasicBlockRef latch = emit_here(e);
    LLVMAddIncoming(at, &next, &latch, 1);
    emit_loop_metadata(e, LLVMBuildBr(e->b, head), loop_hint(e, s), width_hint(e, s));
    LLVMPositionBuilderAtEnd(e->b, end);
}

/* --- divisions that do not change in a loop --- */

typedef struct Divisions {
    Emitter *e;
    const Index *variable;
} Divisions;

static bool invariant(const Node *n, const Index *variable)
{
    if (n->op == N_READ || n->op == N_LOCAL || n->op == N_CHECK || (n->op == N_INDEX && n->index == variable))
        return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!invariant(n->args[k], variable)) return false;
    return true;
}

static void emit_division(void *context, const Node *n)
{
    const Divisions *d = context;
    if ((n->op == N_FLOORDIV || n->op == N_MOD) && n->args[1]->op != N_INT && invariant(n, d->variable))
        emit_node(d->e, n);
    for (unsigned k = 0; n->op == N_READ && k < n->n_args; k++)
        if (n->tensor->dims[k]->heads && invariant(n->args[k], d->variable)) emit_divide_head(d->e, n);
}

static void divisions(Divisions *d, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        if (s->condition) node_visit(d->e->c, s->condition, emit_division, d);
        if (s->value) node_visit(d->e->c, s->value, emit_division, d);
        for (unsigned i = 0; s->tensor && i < s->tensor->n_dims; i++)
            node_visit(d->e->c, s->subscripts[i], emit_division, d);
        divisions(d, &s->body);
        divisions(d, &s->otherwise);
    }
}

/* Before the loop, for LLVM does not know that they cannot fail. Left under a condition inside, its
 * vectoriser takes the address of a load that they lead to from a lane where the condition does not hold
 * (LLVM 19). */
static void emit_divisions(Emitter *e, const Statement *s)
{
    Divisions d = {e, s->variable};
    if (fits_vectors(e, &s->body, &s->body) && !e->lanes) divisions(&d, &s->body);
}

static void emit_body(void *context, const Statement *s) { emit_statements(context, &s->body); }

static void emit_for(Emitter *e, const Statement *s)
{
    if (s->loop == LOOP_VECTOR)
        emit_vector_loop(e, s);
    else if (s->loop == LOOP_JAM)
        emit_jam_loop(e, s);
    else if (s->loop == LOOP_TRANSPOSE && emit_transpose_loop(e, s))
        return;
    else {
        unsigned *heads = emit_heads_mark(e);
        emit_divisions(e, s);
        emit_counted_loop(e, s, emit_body, e);
        emit_heads_forget(e, heads);
    }
}

typedef struct Units {
    Emitter *e;
    const Tensor *tensors[8];
    LLVMValueRef strides[8];
    unsigned n;
} Units;

static void assume_units(Units *u, const Node *condition)
{
    if (condition->op == N_AND)
        for (unsigned k = 0; k < 2; k++) assume_units(u, condition->args[k]);
    if (condition->op != N_UNIT || u->n == sizeof u->tensors / sizeof *u->tensors) return;
    u->tensors[u->n] = condition->tensor;
    u->strides[u->n++] = emit_unit(u->e, condition->tensor, emit_int(u->e, 1));
}

/* Where the condition holds, its tensors have literal strides. */
static void emit_where(Emitter *e, const Statement *s)
{
    Units u = {.e = e};
    assume_units(&u, s->condition);
    emit_statements(e, &s->body);
    while (u.n-- > 0) emit_unit(e, u.tensors[u.n], u.strides[u.n]);
}

static void emit_if_statement(Emitter *e, const Statement *s)
{
    uint32_t mark = emit_mark(e);
    LLVMValueRef condition = emit_node(e, s->condition);
    emit_forget(e, mark);
    LLVMBasicBlockRef yes = emit_block(e, "then"), end = emit_block(e, "end");
    LLVMBasicBlockRef no = s->otherwise.n ? emit_block(e, "else") : end;
    LLVMBuildCondBr(e->b, condition, yes, no);
    LLVMPositionBuilderAtEnd(e->b, yes);
    emit_where(e, s);
    LLVMBuildBr(e->b, end);
    if (s->otherwise.n) {
        LLVMPositionBuilderAtEnd(e->b, no);
        emit_statements(e, &s->otherwise);
        LLVMBuildBr(e->b, end);
    }
    LLVMPositionBuilderAtEnd(e->b, end);
}

/* A sum or product that grows in a local may be regrouped: nothing fixes its order. */
static void allow_regrouping(Emitter *e, const Statement *s, LLVMValueRef value)
{
    const Node *n = s->value;
    bool grows = n->type == TYPE_REAL && (n->op == N_ADD || n->op == N_MUL) && !s->local->exact &&
                 ((n->args[0]->op == N_LOCAL && n->args[0]->local == s->local) ||
                  (n->args[1]->op == N_LOCAL && n->args[1]->local == s->local));
    LLVMOpcode op = LLVMIsAInstruction(value) ? LLVMGetInstructionOpcode(value) : LLVMRet;
    if (grows && !emit_exact(e, n) && (op == LLVMFAdd || op == LLVMFMul) &&
        !(e->loop && is_running(e, &e->loop->body, s)))
        LLVMSetFastMathFlags(value, LLVMFastMathAllowContract | LLVMFastMathAllowReassoc |
                                        LLVMFastMathNoSignedZeros);
}

static void emit_set(Emitter *e, const Statement *s)
{
    LLVMTypeRef type = emit_local_type(e, s->local);
    bool vector = LLVMGetTypeKind(type) == LLVMVectorTypeKind;
    LLVMTypeRef element = vector ? LLVMGetElementType(type) : type;
    LLVMValueRef v = s->local->type == TYPE_REAL ? emit_real(e, s->value, element) : emit_node(e, s->value);
    if (vector) v = emit_spread(e, v);
    allow_regrouping(e, s, v);
    LLVMBuildStore(e->b, v, emit_local(e, s->local));
}

static void emit_statement(Emitter *e, const Statement *s)
{
    switch (s->kind) {
    case S_FOR: emit_for(e, s); break;
    case S_IF: emit_if_statement(e, s); break;
    case S_SET: emit_set(e, s); break;
    case S_STORE: emit_store(e, s->tensor, s->subscripts, s->value); break;
    case S_PREFETCH: emit_prefetch(e, s); break;
    case S_REQUIRE: emit_fail_unless(e, emit_node(e, s->condition), s->check); break;
    case S_NOTE: break;
    default: BUG(e->c, "unknown statement");
    }
}

void emit_statements(Emitter *e, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) {
        uint32_t mark = emit_mark(e);
        emit_debug_place(e, block->at[k]->span);
        emit_statement(e, block->at[k]);
        emit_forget(e, mark);
    }
}
