/* TRANSPOSE loops: a matrix of scratch is turned over by a function that all of them share, in squares that
 * fit the registers, what is left one by one. Requires: what LoopKind says of its form. Ensures: the results
 * of plain loops. */
#include "emit.h"

enum { MOST_SIDE = 16 };

/* to[x * to_pitch + y] = from[y * from_pitch + x] for x < columns, y < rows. */
enum { TO, TO_PITCH, FROM, FROM_PITCH, COLUMNS, ROWS, N_PARAMS };
typedef struct Turn {
    Emitter *e;
    LLVMTypeRef element;
    LLVMValueRef params[N_PARAMS], row, column;
    unsigned side;
} Turn;

/* ---- the function ---- */

static LLVMValueRef address(Turn *t, unsigned base, LLVMValueRef line, unsigned further, LLVMValueRef at)
{
    LLVMBuilderRef b = t->e->b;
    line = LLVMBuildNSWAdd(b, line, emit_int(t->e, further), "");
    LLVMValueRef offset = LLVMBuildNSWAdd(b, LLVMBuildNSWMul(b, line, t->params[base + 1], ""), at, "");
    return LLVMBuildInBoundsGEP2(b, t->element, t->params[base], &offset, 1, "");
}

static void align(Turn *t, LLVMValueRef access) { LLVMSetAlignment(access, t->element == t->e->f64 ? 8 : 4); }

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
static void turn(Turn *t, LLVMValueRef *lines)
{
    for (unsigned round = 1; round < t->side; round *= 2) {
        LLVMValueRef next[MOST_SIDE];
        for (unsigned k = 0; k < t->side / 2; k++) {
            next[2 * k] = interleave(t, lines[k], lines[k + t->side / 2], true);
            next[2 * k + 1] = interleave(t, lines[k], lines[k + t->side / 2], false);
        }
        for (unsigned k = 0; k < t->side; k++) lines[k] = next[k];
    }
}

static void square(void *context, LLVMValueRef row)
{
    Turn *t = context;
    LLVMValueRef lines[MOST_SIDE];
    for (unsigned k = 0; k < t->side; k++) {
        LLVMValueRef p = address(t, FROM, row, k, t->column);
        lines[k] = LLVMBuildLoad2(t->e->b, LLVMVectorType(t->element, t->side), p, "");
        align(t, lines[k]);
    }
    turn(t, lines);
    for (unsigned k = 0; k < t->side; k++)
        align(t, LLVMBuildStore(t->e->b, lines[k], address(t, TO, t->column, k, row)));
}

static void one(void *context, LLVMValueRef column)
{
    Turn *t = context;
    LLVMValueRef x = LLVMBuildLoad2(t->e->b, t->element, address(t, FROM, t->row, 0, column), "");
    LLVMBuildStore(t->e->b, x, address(t, TO, column, 0, t->row));
}

static void row_of_square(void *context, LLVMValueRef row)
{
    Turn *t = context;
    t->row = row;
    LLVMValueRef end = LLVMBuildNSWAdd(t->e->b, t->column, emit_int(t->e, t->side), "");
    emit_steps(t->e, "column", t->column, end, 1, one, t);
}

static void row_of_rest(void *context, LLVMValueRef row)
{
    Turn *t = context;
    t->row = row;
    emit_steps(t->e, "column", t->column, t->params[COLUMNS], 1, one, t);
}

static void squares(void *context, LLVMValueRef column)
{
    Turn *t = context;
    t->column = column;
    LLVMValueRef rest = emit_steps(t->e, "row", emit_int(t->e, 0), t->params[ROWS], t->side, square, t);
    emit_steps(t->e, "row", rest, t->params[ROWS], 1, row_of_square, t);
}

static void emit_turn(Turn *t, LLVMValueRef f)
{
    Emitter *e = t->e;
    for (unsigned k = 0; k < N_PARAMS; k++) t->params[k] = LLVMGetParam(f, k);
    LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->context, f, "entry"));
    t->column = emit_steps(e, "column", emit_int(e, 0), t->params[COLUMNS], t->side, squares, t);
    emit_steps(e, "row", emit_int(e, 0), t->params[ROWS], 1, row_of_rest, t);
    LLVMBuildRetVoid(e->b);
}

/* Made when first asked for. */
static LLVMValueRef turn_function(Turn *t)
{
    Emitter *e = t->e;
    const char *name = format(e->c, "%s.turn%u", e->entry, t->element == e->f64 ? 64 : 32);
    LLVMValueRef f = LLVMGetNamedFunction(e->module, name), here = e->function;
    if (f) return f;
    LLVMBasicBlockRef block = emit_here(e);
    LLVMTypeRef types[] = {e->ptr, e->i64, e->ptr, e->i64, e->i64, e->i64};
    f = LLVMAddFunction(e->module, name, LLVMFunctionType(e->none, types, N_PARAMS, false));
    LLVMSetLinkage(f, LLVMInternalLinkage);
    emit_cpu_attributes(e, f);
    emit_attribute(e, f, "noinline");
    emit_attribute(e, f, "nounwind");
    e->function = f;
    emit_turn(t, f);
    e->function = here;
    LLVMPositionBuilderAtEnd(e->b, block);
    return f;
}

/* ---- the loop ---- */

static bool is_last(Node *const *subscripts, unsigned n, const Index *variable)
{
    return n > 0 && subscripts[n - 1]->op == N_INDEX && subscripts[n - 1]->index == variable;
}

/* From one value of `variable`, a coordinate, to the next; NULL: it is not one. */
static LLVMValueRef pitch(const EmitBuffer *b, Node *const *subscripts, const Index *variable)
{
    for (unsigned d = 0; d < b->buffer->tensor->n_dims; d++)
        if (subscripts[d]->op == N_INDEX && subscripts[d]->index == variable) return b->strides[d];
    return NULL;
}

/* Elements of a register. */
static unsigned side_of(const Emitter *e, LLVMTypeRef element)
{
    uint64_t features = e->cpu->features;
    unsigned bytes = features & ATTN_FEATURE_AVX512F ? 64 : features & ATTN_FEATURE_AVX2 ? 32 : 16;
    return element == e->f32 ? bytes / 4 : element == e->f64 ? bytes / 8 : 0;
}

static LLVMValueRef first_element(Emitter *e, const Tensor *t, Node *const *subscripts, const Index *a,
                                  const Index *b)
{
    e->indices[a->id] = e->indices[b->id] = emit_int(e, 0);
    uint32_t mark = emit_mark(e);
    LLVMValueRef p = emit_element(e, t, subscripts);
    emit_forget(e, mark);
    return p;
}

bool emit_transpose_loop(Emitter *e, const Statement *s)
{
    const Statement *inner = s->body.at[0], *copy = inner->body.at[0];
    if (copy->kind != S_STORE || copy->value->op != N_READ) return false;
    const Tensor *to = copy->tensor, *from = copy->value->tensor;
    const EmitBuffer *a = emit_buffer(e, to), *b = emit_buffer(e, from);
    Node *const *of_to = copy->subscripts, *const *of_from = copy->value->args;
    bool along = is_last(of_from, from->n_dims, s->variable);
    const Index *column = along ? s->variable : inner->variable, *row = along ? inner->variable : s->variable;
    Turn t = {.e = e, .element = a->element, .side = side_of(e, a->element)};
    LLVMValueRef to_pitch = pitch(a, of_to, column), from_pitch = pitch(b, of_from, row);
    bool scratch = a->buffer->kind == BUFFER_SCRATCH && b->buffer->kind == BUFFER_SCRATCH;
    if (!scratch || a->element != b->element || !t.side || !to_pitch || !from_pitch) return false;
    if (!is_last(of_to, to->n_dims, row) || !is_last(of_from, from->n_dims, column)) return false;
    uint32_t mark = emit_mark(e);
    LLVMValueRef outer_size = emit_node(e, s->hi), inner_size = emit_node(e, inner->hi);
    LLVMValueRef args[N_PARAMS] = {first_element(e, to, of_to, row, column),
                                   to_pitch,
                                   first_element(e, from, of_from, row, column),
                                   from_pitch,
                                   along ? outer_size : inner_size,
                                   along ? inner_size : outer_size};
    emit_forget(e, mark);
    emit_call(e, turn_function(&t), args, N_PARAMS);
    return true;
}
