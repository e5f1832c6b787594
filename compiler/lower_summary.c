/* Summaries of int and bool tensors that conditions look up along queries or keys (see box.h): phases before
 * the strips that need them, once a call. Requires: the tensor is complete when this stage begins. Ensures:
 * l->summaries. Breaks: nothing. */
#include "graph.h"
#include "lower_strip.h"

typedef struct Wanted {
    Lower *l;
    Box box; /* queries, and the keys that follow each other in a block */
} Wanted;

static Tensor *summary_tensor(Lower *l, const char *name, const Summary *s)
{
    Index **dims = NEW_ARRAY(l->c, Index *, s->tensor->n_dims);
    for (unsigned k = 0; k < s->tensor->n_dims; k++) dims[k] = k == s->dim ? s->chunk : s->tensor->dims[k];
    const char *full = format(l->c, "%s.%s", s->tensor->name, name);
    Tensor *t = plan_tensor(l->c, full, s->tensor->type, s->tensor->n_dims, dims);
    buffer_add(l, t, BUFFER_WORKSPACE, false);
    return t;
}

/* One reduction over the elements of the current chunk. */
static void store_summary(Lower *l, const Summary *s, Tensor *to, Reduction kind)
{
    Index *dim = s->tensor->dims[s->dim], *at = strip_index(l, dim->name, node_size(l->c, dim));
    Node **coordinates = NEW_ARRAY(l->c, Node *, s->tensor->n_dims), *size = node_int(l->c, SUMMARY);
    for (unsigned k = 0; k < s->tensor->n_dims; k++)
        coordinates[k] = node_index(l->c, k == s->dim ? at : s->tensor->dims[k]);
    Node *lo = node_binary(l->c, N_MUL, node_index(l->c, s->chunk), size);
    Node *hi = node_binary(l->c, N_MIN, node_binary(l->c, N_ADD, lo, size), at->extent);
    Node *read = node_read(l->c, (Tensor *)s->tensor, coordinates, false);
    Node *n = node_binder(l->c, N_REDUCE, kind, 1, &at, &lo, &hi, node_bool(l->c, true), read, NULL);
    store_at(l, to, lower_value(l, n));
}

static void summarise(Lower *l, const Tensor *t, unsigned dim)
{
    Node *size = node_size(l->c, t->dims[dim]), *more = node_int(l->c, SUMMARY - 1);
    Node *chunks =
        node_binary(l->c, N_FLOORDIV, node_binary(l->c, N_ADD, size, more), node_int(l->c, SUMMARY));
    bool flags = t->type == TYPE_BOOL;
    Summary s = {.tensor = t, .dim = dim, .chunk = strip_index(l, "chunk", chunks)};
    s.least = summary_tensor(l, flags ? "all" : "least", &s);
    s.most = summary_tensor(l, flags ? "any" : "most", &s);
    Phase phase = {
        .name = format(l->c, "summary of %s", t->name), .n_tasks = t->n_dims, .tasks = s.least->dims};
    Scope root;
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    store_summary(l, &s, s.least, flags ? REDUCE_ALL : REDUCE_MIN);
    store_summary(l, &s, s.most, flags ? REDUCE_ANY : REDUCE_MAX);
    phase_close(l, &root, phase);
    PUSH(l->c, &l->summaries, s);
}

static void summarise_read(void *context, const Node *n)
{
    const Wanted *w = context;
    int dim = n->op == N_READ && n->type != TYPE_REAL ? box_summary_dim(&w->box, n) : -1;
    for (uint32_t k = 0; dim >= 0 && k < w->l->summaries.n; k++)
        if (w->l->summaries.at[k].tensor == n->tensor && (int)w->l->summaries.at[k].dim == dim) return;
    if (dim >= 0) summarise(w->l, n->tensor, (unsigned)dim);
}

void lower_summaries(Lower *l, const Box *queries, const Node *sum)
{
    Wanted w = {.l = l, .box = *queries};
    unsigned last = sum->n_vars - 1;
    w.box.sides[w.box.n++] = (BoxSide){sum->vars[last], binder_lo(sum, last), binder_hi(sum, last)};
    node_visit(l->c, binder_where(sum), summarise_read, &w);
}
