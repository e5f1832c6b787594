/* TRANSPOSE loops: a matrix of scratch is turned over in squares that fit the registers; what is left of the
 * outer range runs as plain loops. Requires: what LoopKind says of its form. Ensures: the results of plain
 * loops. */
#include "emit.h"

enum { MOST_SIDE = 16 };

typedef struct Turn {
    Emitter *e;
    const Statement *outer, *inner, *copy;
    const Node *read;
    unsigned side;
    bool gathers; /* the outer variable is the last coordinate of what is read */
} Turn;

static bool ends_with(Node *const *subscripts, unsigned n, const Index *variable)
{
    return n > 0 && subscripts[n - 1]->op == N_INDEX && subscripts[n - 1]->index == variable;
}

/* Rows of one register. */
static unsigned side_of(const Emitter *e, LLVMTypeRef element)
{
    unsigned bytes = e->cpu->features & ATTN_FEATURE_AVX512F ? 64
                     : e->cpu->features & ATTN_FEATURE_AVX2  ? 32
                                                             : 16;
    return element == e->f32 ? bytes / 4 : element == e->f64 ? bytes / 8 : 0;
}

static bool recognise(Turn *t)
{
    const Statement *inner = t->inner = t->outer->body.at[0], *copy = t->copy = inner->body.at[0];
    if (copy->kind != S_STORE || copy->value->op != N_READ) return false;
    const Tensor *to = copy->tensor, *from = copy->value->tensor;
    const EmitBuffer *a = emit_buffer(t->e, to), *b = emit_buffer(t->e, from);
    t->read = copy->value;
    t->side = side_of(t->e, a->element);
    t->gathers = ends_with(t->read->args, from->n_dims, t->outer->variable);
    const Index *last = t->gathers ? inner->variable : t->outer->variable;
    bool scratch = a->buffer->kind == BUFFER_SCRATCH && b->buffer->kind == BUFFER_SCRATCH;
    return scratch && inner->hi->op == N_INT && a->element == b->element && t->side > 1 &&
           ends_with(copy->subscripts, to->n_dims, last) &&
           (t->gathers || ends_with(t->read->args, from->n_dims, inner->variable)) &&
           inner->hi->integer % t->side == 0;
}

/* low: a0 b0 a1 b1 ... of the first halves, else of the second. */
static LLVMValueRef interleave(Turn *t, LLVMValueRef a, LLVMValueRef b, bool low)
{
    LLVMValueRef numbers[MOST_SIDE];
    for (unsigned k = 0; k < t->side; k++)
        numbers[k] = LLVMConstInt(t->e->i32, (low ? 0 : t->side / 2) + k / 2 + (k % 2 ? t->side : 0), false);
    return LLVMBuildShuffleVector(t->e->b, a, b, LLVMConstVector(numbers, t->side), "");
}

/* Each round turns the number (row, column) of an element round by one bit; after all of them, rows are
 * columns. */
static void turn(Turn *t, LLVMValueRef *rows)
{
    for (unsigned round = 1; round < t->side; round *= 2) {
        LLVMValueRef next[MOST_SIDE];
        for (unsigned k = 0; k < t->side / 2; k++) {
            next[2 * k] = interleave(t, rows[k], rows[k + t->side / 2], true);
            next[2 * k + 1] = interleave(t, rows[k], rows[k + t->side / 2], false);
        }
        for (unsigned k = 0; k < t->side; k++) rows[k] = next[k];
    }
}

static void place(Turn *t, LLVMValueRef outer, LLVMValueRef inner, bool along_outer, unsigned row)
{
    Emitter *e = t->e;
    LLVMValueRef r = emit_int(e, row);
    e->indices[t->outer->variable->id] = along_outer ? LLVMBuildNSWAdd(e->b, outer, r, "") : outer;
    e->indices[t->inner->variable->id] = along_outer ? inner : LLVMBuildNSWAdd(e->b, inner, r, "");
}

static void squares(void *context, LLVMValueRef at)
{
    Turn *t = context;
    Emitter *e = t->e;
    for (int64_t lane = 0; lane < t->inner->hi->integer; lane += t->side) {
        LLVMValueRef rows[MOST_SIDE];
        uint32_t mark = emit_mark(e);
        for (unsigned k = 0; k < t->side; k++) {
            place(t, at, emit_int(e, lane), !t->gathers, k);
            rows[k] = emit_load_row(e, t->read->tensor, t->read->args, t->side);
            emit_forget(e, mark);
        }
        turn(t, rows);
        for (unsigned k = 0; k < t->side; k++) {
            place(t, at, emit_int(e, lane), t->gathers, k);
            emit_store_row(e, t->copy->tensor, t->copy->subscripts, rows[k]);
            emit_forget(e, mark);
        }
    }
}

bool emit_transpose_loop(Emitter *e, const Statement *s)
{
    Turn t = {.e = e, .outer = s};
    if (!recognise(&t)) return false;
    LLVMValueRef outer = e->indices[s->variable->id], inner = e->indices[t.inner->variable->id];
    uint32_t mark = emit_mark(e);
    LLVMValueRef lo = emit_node(e, s->lo), hi = emit_node(e, s->hi);
    emit_forget(e, mark);
    LLVMValueRef rest = emit_steps(e, s->variable->name, lo, hi, t.side, squares, &t);
    e->indices[s->variable->id] = outer;
    e->indices[t.inner->variable->id] = inner;
    emit_counted_loop(e, s, rest, emit_loop_body, e);
    return true;
}
