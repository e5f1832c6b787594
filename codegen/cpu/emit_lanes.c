/* VECTOR loops: all iterations at once, as lanes of vectors, and JAM loops: several iterations together.
 *
 * Inside a VECTOR loop the value of its variable is a vector such as 0, 1, 2, ...; whatever depends on it is
 * a vector, all else stays a scalar and is spread where it meets one. Which locals differ between lanes is
 * found first, as a fixed point. Requires: bounds of loops and conditions of branches inside do not vary; the
 * number of iterations is a literal. Ensures: the results of running the iterations one after the other. */
#include "emit.h"

#include "compiler/graph.h"
#include "compiler/walk.h"

#include <string.h>

enum { SAME = 1, VARIES = 2 };

bool emit_varies(Emitter *e, const Node *n)
{
    if (!e->lanes) return false;
    if (n->op == N_INDEX) return n->index == e->lane;
    if (n->op == N_LOCAL) return e->varying[n->local->id];
    if (n->n_args == 0) return false;
    uint8_t *known = n->id < e->n_nodes ? &e->varies[n->id] : NULL;
    if (known && *known) return *known == VARIES;
    bool yes = false;
    for (unsigned k = 0; k < n->n_args && !yes; k++) yes = emit_varies(e, n->args[k]);
    if (known) *known = yes ? VARIES : SAME;
    return yes;
}

LLVMTypeRef emit_vector(Emitter *e, LLVMTypeRef element) { return LLVMVectorType(element, e->lanes); }

bool emit_is_vector(LLVMValueRef v) { return LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind; }

LLVMTypeRef emit_shape(Emitter *e, LLVMTypeRef element, LLVMValueRef as)
{
    return emit_is_vector(as) ? emit_vector(e, element) : element;
}

static LLVMValueRef lane_number(Emitter *e, unsigned k) { return LLVMConstInt(e->i32, k, false); }

LLVMValueRef emit_spread(Emitter *e, LLVMValueRef v)
{
    if (emit_is_vector(v)) return v;
    LLVMTypeRef type = emit_vector(e, LLVMTypeOf(v));
    LLVMValueRef none = LLVMGetPoison(type),
                 one = LLVMBuildInsertElement(e->b, none, v, lane_number(e, 0), "");
    return LLVMBuildShuffleVector(e->b, one, none, LLVMConstNull(emit_vector(e, e->i32)), "");
}

void emit_match(Emitter *e, LLVMValueRef *x, LLVMValueRef *y)
{
    if (emit_is_vector(*x) || emit_is_vector(*y)) {
        *x = emit_spread(e, *x);
        *y = emit_spread(e, *y);
    }
}

LLVMValueRef emit_int_like(Emitter *e, LLVMValueRef as, int64_t x)
{
    return emit_is_vector(as) ? emit_spread(e, emit_int(e, x)) : emit_int(e, x);
}

LLVMValueRef emit_lane_numbers(Emitter *e)
{
    LLVMValueRef numbers[256];
    for (unsigned k = 0; k < e->lanes; k++) numbers[k] = emit_int(e, k);
    return LLVMConstVector(numbers, e->lanes);
}

/* --- what has no vector form --- */

LLVMValueRef emit_call_lanes(Emitter *e, LLVMValueRef function, LLVMValueRef *args, unsigned n,
                             LLVMTypeRef result)
{
    bool nothing = result == e->none;
    LLVMTypeRef type = nothing ? NULL : emit_vector(e, result);
    LLVMBasicBlockRef before = emit_here(e), body = emit_block(e, "lane"), end = emit_block(e, "lanes");
    LLVMValueRef start = lane_number(e, 0), from = nothing ? NULL : LLVMGetPoison(type), one[8];
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    LLVMValueRef at = LLVMBuildPhi(e->b, e->i32, "lane"), all = nothing ? NULL : LLVMBuildPhi(e->b, type, "");
    for (unsigned k = 0; k < n; k++)
        one[k] = emit_is_vector(args[k]) ? LLVMBuildExtractElement(e->b, args[k], at, "") : args[k];
    LLVMValueRef v = emit_call(e, function, one, n);
    LLVMValueRef more = nothing ? NULL : LLVMBuildInsertElement(e->b, all, v, at, "");
    LLVMValueRef next = LLVMBuildAdd(e->b, at, lane_number(e, 1), "");
    LLVMBasicBlockRef latch = emit_here(e);
    LLVMAddIncoming(at, (LLVMValueRef[]){start, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    if (!nothing) LLVMAddIncoming(all, (LLVMValueRef[]){from, more}, (LLVMBasicBlockRef[]){before, latch}, 2);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntULT, next, lane_number(e, e->lanes), ""), body, end);
    LLVMPositionBuilderAtEnd(e->b, end);
    return more;
}

/* --- which locals vary? --- */

static bool mark_block(Emitter *e, const Block *block);

static bool mark_statement(Emitter *e, const Statement *s)
{
    bool changed = mark_block(e, &s->body);
    changed = mark_block(e, &s->otherwise) || changed;
    if (s->kind != S_SET || e->varying[s->local->id] || !emit_varies(e, s->value)) return changed;
    memset(e->varies, 0, e->n_nodes + 1);
    return e->varying[s->local->id] = true;
}

static bool mark_block(Emitter *e, const Block *block)
{
    bool changed = false;
    for (unsigned k = 0; k < block->n; k++) changed = mark_statement(e, block->at[k]) || changed;
    return changed;
}

bool emit_block_varies(Emitter *e, const Block *block)
{
    for (unsigned k = 0; e->lanes && k < block->n; k++) {
        const Statement *s = block->at[k];
        if ((s->value && emit_varies(e, s->value)) || (s->kind == S_SET && e->varying[s->local->id]))
            return true;
        for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++)
            if (emit_varies(e, s->subscripts[d])) return true;
        if (emit_block_varies(e, &s->body) || emit_block_varies(e, &s->otherwise)) return true;
    }
    return false;
}

/* --- VECTOR --- */

void emit_vector_loop(Emitter *e, const Statement *s)
{
    unsigned lanes = loop_lanes(e->c, s);
    if (lanes == 0 || lanes > 256 || e->lanes) BUG(e->c, "a VECTOR loop needs a literal number of lanes");
    uint32_t mark = emit_mark(e);
    e->first_lane = emit_node(e, s->lo);
    emit_forget(e, mark);
    e->lanes = lanes;
    e->lane = s->variable;
    e->varying = NEW_ARRAY(e->c, bool, e->kernel->n_locals + 1);
    e->varies = NEW_ARRAY(e->c, uint8_t, e->n_nodes + 1);
    while (mark_block(e, &s->body)) continue;
    LLVMValueRef outer = e->indices[s->variable->id];
    e->indices[s->variable->id] =
        LLVMBuildNSWAdd(e->b, emit_spread(e, e->first_lane), emit_lane_numbers(e), "");
    emit_statements(e, &s->body);
    e->indices[s->variable->id] = outer;
    e->lanes = 0;
    e->lane = NULL;
}

/* --- JAM --- */

enum { MOST_COPIES = 8 };
typedef struct Jam {
    Emitter *e;
    const Index *variable;
    const Block *body;
    unsigned copies;
    LLVMValueRef at[MOST_COPIES];
    VEC(uint32_t) own;                  /* locals that live within an iteration */
    LLVMValueRef *allocas[MOST_COPIES]; /* of `own`, by position */
} Jam;

static bool reads_local(const Node *n, const Local *local)
{
    if (n->op == N_LOCAL) return n->local == local;
    for (unsigned k = 0; k < n->n_args; k++)
        if (reads_local(n->args[k], local)) return true;
    return false;
}

/* A local whose first use in the body sets it anew belongs to the iteration. */
static void find_own(Jam *j, const Block *block, bool *seen)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        if (s->kind == S_SET && !seen[s->local->id]) {
            seen[s->local->id] = true;
            if (!reads_local(s->value, s->local)) PUSH(j->e->c, &j->own, s->local->id);
        }
        find_own(j, &s->body, seen);
        find_own(j, &s->otherwise, seen);
    }
}

static void use_copy(Jam *j, unsigned copy)
{
    Emitter *e = j->e;
    e->indices[j->variable->id] = j->at[copy];
    for (uint32_t k = 0; k < j->own.n; k++) e->locals[j->own.at[k]] = j->allocas[copy][k];
}

static void keep_copy(Jam *j, unsigned copy)
{
    for (uint32_t k = 0; k < j->own.n; k++) j->allocas[copy][k] = j->e->locals[j->own.at[k]];
}

static void jam_block(Jam *j, const Block *block);

/* A loop with the same range for all copies runs once, with the copies inside. */
static bool is_shared_loop(const Jam *j, const Statement *s)
{
    return s->kind == S_FOR && s->loop == LOOP_SERIAL && (!s->step || s->step->op == N_INT) && !s->down &&
           !node_depends_on(s->lo, j->variable) && !node_depends_on(s->hi, j->variable);
}

static void jam_inner(void *context, const Statement *s) { jam_block(context, &s->body); }

static void jam_statement(Jam *j, const Statement *s)
{
    Emitter *e = j->e;
    if (is_shared_loop(j, s)) {
        emit_counted_loop(e, s, jam_inner, j);
        return;
    }
    Block one = {.at = (Statement **)&s, .n = 1, .capacity = 1};
    for (unsigned r = 0; r < j->copies; r++) {
        use_copy(j, r);
        emit_statements(e, &one);
        keep_copy(j, r);
    }
}

static void jam_block(Jam *j, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) jam_statement(j, block->at[k]);
}

LLVMValueRef emit_steps(Emitter *e, const char *name, LLVMValueRef from, LLVMValueRef hi, unsigned step,
                        void (*emit_body)(void *, LLVMValueRef at), void *context)
{
    LLVMBasicBlockRef before = emit_here(e), head = emit_block(e, "steps"), body = emit_block(e, "body"),
                      end = emit_block(e, "end");
    LLVMBuildBr(e->b, head);
    LLVMPositionBuilderAtEnd(e->b, head);
    LLVMValueRef at = LLVMBuildPhi(e->b, e->i64, name);
    LLVMValueRef next = LLVMBuildNSWAdd(e->b, at, emit_int(e, step), "");
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLE, next, hi, ""), body, end);
    LLVMPositionBuilderAtEnd(e->b, body);
    emit_body(context, at);
    LLVMBasicBlockRef latch = emit_here(e);
    LLVMAddIncoming(at, (LLVMValueRef[]){from, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    emit_loop_metadata(e, LLVMBuildBr(e->b, head), "llvm.loop.unroll.disable", 0);
    LLVMPositionBuilderAtEnd(e->b, end);
    return at;
}

/* The body for at, at + 1, ... */
static void jam_step(void *context, LLVMValueRef at)
{
    Jam *j = context;
    for (unsigned r = 0; r < j->copies; r++) {
        j->at[r] = r ? LLVMBuildNSWAdd(j->e->b, at, emit_int(j->e, r), "") : at;
        memset(j->allocas[r], 0, sizeof(LLVMValueRef) * j->own.n);
    }
    jam_block(j, j->body);
}

/* Roughly the vector instructions of one iteration, and the branches: scalars are hoisted or hidden by them.
 */
static unsigned node_weight(Emitter *e, const Node *n)
{
    if (!n || !n->n_args || e->seen[n->id] == e->stamp) return 0;
    e->seen[n->id] = e->stamp;
    bool branches = n->op == N_IF || n->op == N_AND || n->op == N_OR || (n->op == N_READ && n->guarded);
    bool function = n->type == TYPE_REAL && n->n_args <= 2 && n->op >= N_EXP && n->op <= N_ERF;
    bool long_code = function || n->op == N_POW || n->op == N_FLOORDIV || n->op == N_MOD;
    unsigned weight = emit_varies(e, n) ? (long_code ? 20 : 1) : branches ? 10 : 0;
    for (unsigned k = 0; k < n->n_args; k++) weight += node_weight(e, n->args[k]);
    return weight;
}

static unsigned block_weight(Emitter *e, const Block *block)
{
    unsigned weight = 0;
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        weight += 1 + node_weight(e, s->value) + node_weight(e, s->condition);
        weight += block_weight(e, &s->body) + block_weight(e, &s->otherwise);
    }
    return weight;
}

/* Elements that every iteration writes anew (rows of scratch): copies would mix theirs. */
static bool rewrites_elements(const Block *block, const Index *variable)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        bool own = s->kind != S_STORE;
        for (unsigned d = 0; !own && d < s->tensor->n_dims; d++)
            own = node_depends_on(s->subscripts[d], variable);
        if (!own || rewrites_elements(&s->body, variable) || rewrites_elements(&s->otherwise, variable))
            return true;
    }
    return false;
}

static bool shares_loop(const Jam *j, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++)
        if (is_shared_loop(j, block->at[k])) return true;
    return false;
}

static void find_listed(void *context, const Node *n)
{
    bool *listed = context;
    for (unsigned k = 0; n->op == N_READ && k < n->n_args; k++) *listed |= n->args[k]->op == N_READ;
}

/* Is a coordinate looked up? Its address takes registers that are then missing for one more copy. */
static bool reads_listed(Emitter *e, const Block *block)
{
    bool listed = false;
    for (unsigned k = 0; !listed && k < block->n; k++) {
        if (block->at[k]->value) node_visit(e->c, block->at[k]->value, find_listed, &listed);
        listed = listed || reads_listed(e, &block->at[k]->body);
    }
    return listed;
}

/* As many as the register file holds; fewer where the code would grow more than it gains. */
static unsigned most_copies(const Jam *j, const Statement *s)
{
    Emitter *e = j->e;
    bool wide = e->cpu->features & ATTN_FEATURE_AVX512F;
    unsigned vector =
        (wide ? 16u : 8u) / (e->real == e->f64 ? 2 : 1); /* lanes; strips have up to four vectors */
    unsigned vectors = (e->lanes + vector - 1) / vector;
    unsigned most = vectors > 2 ? (wide ? 4 : 2) : wide || vectors == 1 ? 8 : 6;
    if (most == 6 && reads_listed(e, &s->body)) most = 4;
    if (!shares_loop(j, &s->body) || rewrites_elements(&s->body, s->variable)) return 1;
    e->stamp++;
    unsigned weight = block_weight(e, &s->body);
    return weight > 160 ? 1 : weight > 60 && most > 4 ? 4 : most;
}

/* How many iterations run five at a time, which is as fast as six, so that none are left: n = 6 a + 5 b, b =
 * -n modulo 6. Any number above 24 is such a sum; of others none run so. */
static LLVMValueRef in_fives(Emitter *e, LLVMValueRef lo, LLVMValueRef hi)
{
    LLVMValueRef n = LLVMBuildNSWSub(e->b, hi, lo, ""), zero = emit_int(e, 0), six = emit_int(e, 6);
    LLVMValueRef left = LLVMBuildSub(e->b, six, LLVMBuildURem(e->b, n, six, ""), "");
    LLVMValueRef fives = LLVMBuildMul(e->b, LLVMBuildURem(e->b, left, six, ""), emit_int(e, 5), "");
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLE, fives, n, ""), fives, zero, "");
}

static bool is_own(const Jam *j, const Local *local)
{
    for (uint32_t k = 0; k < j->own.n; k++)
        if (j->own.at[k] == local->id) return true;
    return false;
}

/* Is the new value more than a choice between the old one and others? */
static bool adds_to(const Node *n, const Local *local)
{
    bool chooses = n->op == N_IF || n->op == N_MAX || n->op == N_MIN || n->type == TYPE_BOOL;
    if (!chooses) return n->op != N_LOCAL && reads_local(n, local);
    for (unsigned k = 0; k < n->n_args; k++)
        if (adds_to(n->args[k], local)) return true;
    return false;
}

static bool block_reads(const Jam *j, const Block *block, const Tensor *t)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        Node *const nodes[] = {s->lo, s->hi, s->step, s->condition, s->value};
        for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++)
            if (nodes[i] && reads_tensor(j->e->c, nodes[i], t)) return true;
        if (block_reads(j, &s->body, t) || block_reads(j, &s->otherwise, t)) return true;
    }
    return false;
}

/* Can an iteration run twice? Nothing is added up, and nothing read that it stores. */
static bool is_repeatable(const Jam *j, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        if (s->kind == S_SET && !is_own(j, s->local) && adds_to(s->value, s->local)) return false;
        if (s->kind == S_STORE && block_reads(j, j->body, s->tensor)) return false;
        if (!is_repeatable(j, &s->body) || !is_repeatable(j, &s->otherwise)) return false;
    }
    return true;
}

/* What is left runs in steps of 4 that end at hi: up to 3 iterations before `at` once more, unless there are
 * none. */
static LLVMValueRef rest_from(Emitter *e, LLVMValueRef lo, LLVMValueRef at, LLVMValueRef hi)
{
    LLVMValueRef back = LLVMBuildAnd(e->b, LLVMBuildNSWSub(e->b, at, hi, ""), emit_int(e, 3), "");
    LLVMValueRef none = LLVMBuildICmp(e->b, LLVMIntEQ, at, lo, "");
    return LLVMBuildSelect(e->b, none, at, LLVMBuildNSWSub(e->b, at, back, ""), "");
}

/* What is left after eights or sixes; `none`: is that nothing after fives? */
static unsigned fewer(unsigned copies, bool none, bool again)
{
    if (copies == 6) return 5;
    if (copies == 5 && none) return 0;
    return copies == 8 || (copies == 5 && again) ? 4 : copies > 1 ? 1 : 0;
}

void emit_jam_loop(Emitter *e, const Statement *s)
{
    Jam j = {.e = e, .variable = s->variable, .body = &s->body};
    bool *seen = NEW_ARRAY(e->c, bool, e->kernel->n_locals + 1);
    find_own(&j, &s->body, seen);
    for (unsigned r = 0; r < MOST_COPIES; r++) j.allocas[r] = NEW_ARRAY(e->c, LLVMValueRef, j.own.n + 1);
    uint32_t mark = emit_mark(e);
    LLVMValueRef lo = emit_node(e, s->lo), at = lo, hi = emit_node(e, s->hi),
                 outer = e->indices[s->variable->id];
    emit_forget(e, mark);
    bool inside = e->jammed;
    e->jammed = true;
    LLVMValueRef fives = in_fives(e, lo, hi);
    bool none = LLVMIsAConstantInt(fives) && LLVMConstIntGetSExtValue(fives) > 0;
    uint32_t places = e->places.n;
    j.copies = most_copies(&j, s);
    if (j.copies > 1) emit_places(e, &s->body);
    bool again = s->ragged && is_repeatable(&j, &s->body);
    for (; j.copies > 0; j.copies = fewer(j.copies, none, again)) {
        bool rest = j.copies == 6;
        LLVMValueRef stop = rest ? LLVMBuildNSWSub(e->b, hi, fives, "") : hi;
        if (again && j.copies == 4) at = rest_from(e, lo, at, hi);
        at = emit_steps(e, s->variable->name, at, stop, j.copies, jam_step, &j);
    }
    e->places.n = places;
    e->jammed = inside;
    e->indices[s->variable->id] = outer;
    for (uint32_t k = 0; k < j.own.n; k++) e->locals[j.own.at[k]] = NULL;
}
