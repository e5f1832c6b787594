/* One equation: loops over its dims, sums that share costly parts over several dims as arrays, the store. */
#include "lower_internal.h"

typedef struct FindSum {
    Lower *l;
    const IndexSet *inner;
    Node *found;
} FindSum;

static bool is_array_sum(const Node *n, const IndexSet *inner)
{
    IndexSet own = set_and(n->free, inner);
    if (n->op != N_REDUCE || n->kind == REDUCE_ARGMAX || n->kind == REDUCE_ARGMIN || set_is_empty(&own))
        return false;
    return !bounds_depend_on(n, inner);
}

static void find_sum(void *context, Node *n, const Binding *around)
{
    FindSum *f = context;
    if (!f->found && !around->binder && is_array_sum(n, f->inner)) f->found = n;
}

/* Sums over several dims at once are emitted here and read where they stood. */
static Node *emit_array_sums(Lower *l, const Tensor *t, Node *body, const IndexSet *inner)
{
    for (;;) {
        FindSum f = {l, inner, NULL};
        walk(l->c, body, find_sum, &f);
        if (!f.found) return body;
        Index *dims[MAX_INDICES];
        unsigned n = 0;
        for (unsigned k = 0; k < t->n_dims; k++)
            if (set_has(inner, t->dims[k]->id) && node_depends_on(f.found, t->dims[k]))
                dims[n++] = t->dims[k];
        body = node_replace(l->c, body, f.found, lower_array_reduce(l, f.found, n, dims));
    }
}

static unsigned select_dims(const Tensor *t, const IndexSet *from, Index **dims)
{
    unsigned n = 0;
    for (unsigned k = 0; k < t->n_dims; k++)
        if (set_has(from, t->dims[k]->id)) dims[n++] = t->dims[k];
    return n;
}

void lower_equation(Lower *l, Equation *e, const IndexSet *bound)
{
    Tensor *t = e->tensor;
    IndexSet all = set_of_dims(t), inner = plan_inner(l->c, e);
    all = set_minus(&all, bound);
    inner = set_and(&inner, &all);
    IndexSet outer = set_minus(&all, &inner);
    Index *dims[MAX_INDICES];
    l->span = e->body->span.to ? e->body->span : t->span;
    Branch given;
    branch_open(l, &given, t->optional ? node_given(l->c, t) : node_bool(l->c, true));
    Nest outside, inside;
    dims_open(l, &outside, select_dims(t, &outer, dims), dims);
    Node *body = emit_array_sums(l, t, e->body, &inner);
    dims_open(l, &inside, select_dims(t, &inner, dims), dims);
    Node *value = lower_value(l, body);
    store_at(l, e->storing == STATE ? e->state : t, value);
    nest_close(l, &inside);
    nest_close(l, &outside);
    branch_close(l, &given);
}
