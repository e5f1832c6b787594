/* Heads that share keys: the coordinate of such a dimension is divided by the group, which is known when
 * tensors are bound, once where the coordinate gets its value. Requires: buffers that are set up. Ensures: a
 * division that is known here need not be made again. */
#include "emit.h"

#include "compiler/graph.h"

LLVMValueRef emit_known_head(const EmitBuffer *b, LLVMValueRef x)
{
    for (unsigned k = 0; k < b->n_heads; k++)
        if (b->head_of[k] == x) return b->head[k];
    return NULL;
}

static void remember_head(Emitter *e, EmitBuffer *b, LLVMValueRef x)
{
    if (b->n_heads == sizeof b->head / sizeof *b->head || emit_is_vector(x) || emit_known_head(b, x)) return;
    b->head_of[b->n_heads] = x;
    b->head[b->n_heads++] = emit_divide(e, x, b->group, false);
}

typedef struct HeadReads {
    Emitter *e;
    const Index *variable;
    bool *found; /* by buffer */
} HeadReads;

static void find_head(HeadReads *r, const Tensor *tensor, Node *const *subscripts)
{
    unsigned k = r->e->buffer_of[tensor->id] - 1;
    const EmitBuffer *b = &r->e->buffers[k];
    if (!b->group) return;
    const Node *head = subscripts[b->heads];
    r->found[k] |= head->op == N_INDEX && head->index == r->variable;
}

static void find_head_read(void *context, const Node *n)
{
    if (n->op == N_READ) find_head(context, n->tensor, n->args);
}

static void find_head_reads(HeadReads *r, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        const Node *nodes[] = {s->lo, s->hi, s->step, s->condition, s->value};
        for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++)
            if (nodes[i]) node_visit(r->e->c, nodes[i], find_head_read, r);
        if (s->tensor) find_head(r, s->tensor, s->subscripts);
        for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++)
            node_visit(r->e->c, s->subscripts[d], find_head_read, r);
        find_head_reads(r, &s->body);
        find_head_reads(r, &s->otherwise);
    }
}

void emit_divide_heads(Emitter *e, const Index *variable, const Block *body)
{
    if (!variable->heads) return;
    HeadReads r = {e, variable, NEW_ARRAY(e->c, bool, e->n_buffers + 1)};
    find_head_reads(&r, body);
    for (unsigned k = 0; k < e->n_buffers; k++) {
        EmitBuffer *b = &e->buffers[k];
        if (!b->used || !b->group || b->buffer->tensor->dims[b->heads] != variable) continue;
        b->n_heads = 0;
        if (r.found[k]) remember_head(e, b, e->indices[variable->id]);
    }
}

void emit_divide_head(Emitter *e, const Node *read)
{
    for (unsigned k = 0; k < e->n_buffers; k++) {
        EmitBuffer *b = &e->buffers[k];
        if (b->used && b->group && b->buffer->tensor == read->tensor)
            remember_head(e, b, emit_node(e, read->args[b->heads]));
    }
}

unsigned *emit_heads_mark(Emitter *e)
{
    unsigned *n = NEW_ARRAY(e->c, unsigned, e->n_buffers + 1);
    for (unsigned k = 0; k < e->n_buffers; k++) n[k] = e->buffers[k].n_heads;
    return n;
}

void emit_heads_forget(Emitter *e, const unsigned *mark)
{
    for (unsigned k = 0; k < e->n_buffers; k++)
        if (e->buffers[k].n_heads > mark[k]) e->buffers[k].n_heads = mark[k];
}
