/* Rows at listed coordinates: where they begin, worked out before a JAM loop of which every step reads them
 * all.
 *
 * `v[list[key], other[key], e]` with steps over e and a loop over the key inside costs a product and a sum
 * for every coordinate, key and step. A table has what the listed coordinates come to, for all keys once.
 * Requires: lists that are scratch of a literal extent, read at the variable of a loop inside, which nothing
 * in the JAM loop changes. Ensures: the same addresses. */
#include "emit.h"

#include "compiler/graph.h"

/* Is the coordinate list[variable]? */
static bool is_listed(Emitter *e, const Node *x, const Index *variable)
{
    return x->op == N_READ && x->n_args == 1 && !x->guarded && x->args[0]->op == N_INDEX &&
           x->args[0]->index == variable && x->tensor->dims[0]->extent &&
           x->tensor->dims[0]->extent->op == N_INT &&
           emit_buffer(e, x->tensor)->buffer->kind == BUFFER_SCRATCH;
}

/* Dimensions of `read` that are; 0: none. */
static uint32_t listed_dims(Emitter *e, const Node *read, const Index *variable)
{
    const EmitBuffer *b = emit_buffer(e, read->tensor);
    uint32_t dims = 0;
    for (unsigned d = 0; d < read->n_args && d < 32; d++)
        if (b->heads != (int)d && b->buffer->ring != (int)d && is_listed(e, read->args[d], variable))
            dims |= (uint32_t)1 << d;
    return read->guarded ? 0 : dims;
}

static bool is_same(const EmitPlace *p, const Node *read, uint32_t dims)
{
    if (p->read->tensor != read->tensor || p->dims != dims) return false;
    for (unsigned d = 0; d < read->n_args; d++)
        if (dims >> d & 1 && p->read->args[d] != read->args[d]) return false;
    return true;
}

typedef struct Finder {
    Emitter *e;
    const Index *variable;
} Finder;

static void find_place(void *context, const Node *n)
{
    const Finder *f = context;
    Emitter *e = f->e;
    uint32_t dims = n->op == N_READ && n->type == TYPE_REAL ? listed_dims(e, n, f->variable) : 0;
    if (!dims) return;
    unsigned first = 0;
    while (!(dims >> first & 1)) first++;
    for (uint32_t k = 0; k < e->places.n; k++)
        if (is_same(&e->places.at[k], n, dims)) return;
    uint64_t extent = (uint64_t)n->args[first]->tensor->dims[0]->extent->integer;
    LLVMTypeRef type = LLVMArrayType2(e->i64, extent);
    PUSH(e->c, &e->places, (EmitPlace){n, dims, f->variable, type, emit_alloca(e, type, "places")});
}

static LLVMValueRef entry(Emitter *e, const EmitPlace *p, LLVMValueRef at)
{
    LLVMValueRef indices[] = {emit_int(e, 0), at};
    return LLVMBuildInBoundsGEP2(e->b, p->type, p->table, indices, 2, "");
}

typedef struct Filler {
    Emitter *e;
    const Index *variable;
    uint32_t from;
} Filler;

static void fill(void *context, LLVMValueRef at)
{
    const Filler *f = context;
    Emitter *e = f->e;
    LLVMValueRef outer = e->indices[f->variable->id];
    uint32_t mark = emit_mark(e);
    e->indices[f->variable->id] = at;
    for (uint32_t k = f->from; k < e->places.n; k++) {
        const EmitPlace *p = &e->places.at[k];
        const EmitBuffer *b = emit_buffer(e, p->read->tensor);
        LLVMValueRef sum = emit_int(e, 0);
        for (unsigned d = 0; d < p->read->n_args; d++)
            if (p->dims >> d & 1)
                sum = LLVMBuildNSWAdd(
                    e->b, sum, LLVMBuildNSWMul(e->b, emit_node(e, p->read->args[d]), b->strides[d], ""), "");
        LLVMBuildStore(e->b, sum, entry(e, p, at));
    }
    emit_forget(e, mark);
    e->indices[f->variable->id] = outer;
}

static bool is_bound(const Node *n) { return n->op == N_INT || (n->op == N_LOCAL && n->type == TYPE_INT); }

void emit_places(Emitter *e, const Block *body)
{
    for (unsigned k = 0; k < body->n; k++) {
        const Statement *s = body->at[k];
        if (s->kind != S_FOR || s->loop != LOOP_SERIAL || s->step || s->down || !is_bound(s->lo) ||
            !is_bound(s->hi))
            continue;
        Finder finder = {e, s->variable};
        uint32_t from = e->places.n;
        for (unsigned i = 0; i < s->body.n; i++)
            if (s->body.at[i]->value) node_visit(e->c, s->body.at[i]->value, find_place, &finder);
        if (e->places.n == from) continue;
        Filler filler = {e, s->variable, from};
        uint32_t mark = emit_mark(e);
        LLVMValueRef lo = emit_node(e, s->lo), hi = emit_node(e, s->hi);
        emit_forget(e, mark);
        emit_steps(e, "place", lo, hi, 1, fill, &filler);
    }
}

LLVMValueRef emit_place(Emitter *e, const Node *read, uint32_t *dims)
{
    if (e->places.n && emit_varies(e, read)) return NULL;
    for (uint32_t k = 0; k < e->places.n; k++) {
        const EmitPlace *p = &e->places.at[k];
        if (p->read->tensor != read->tensor || !is_same(p, read, listed_dims(e, read, p->variable))) continue;
        *dims = p->dims;
        return LLVMBuildLoad2(e->b, e->i64, entry(e, p, e->indices[p->variable->id]), "");
    }
    return NULL;
}
