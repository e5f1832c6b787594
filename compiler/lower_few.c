/* Pairwise stages with few queries, as in decoding: lanes run along keys and channels instead, and the keys
 * are split into chunks that are tasks of their own (Flash-Decoding, Dao et al. 2023).
 *
 * A chunk leaves a maximum, a sum and accumulators for every query and head; a second phase merges them.
 * Whether there are few queries is known when tensors are bound: one of both ways has no tasks. Requires: one
 * weighted sum over one index. Ensures: every visible key has been added once; hidden ones are not looked at.
 * Breaks: nothing. */
#include <math.h>

#include "graph.h"
#include "lower_few_internal.h"

enum { MOST_NODES = 16 };

Index *few_index(Few *f, const char *name, Node *extent)
{
    Index *index = index_new(few_c(f), name, f->l->span);
    index->extent = extent;
    return index;
}

/* ---- does it fit? ---- */

typedef struct Look {
    const Few *f;
    bool other;
} Look;

static bool is_of_key(const Few *f, const Node *n) { return node_depends_on(n, f->key); }

/* What is chosen or normalised for every key, or summed at length within a sum, gains little here. */
static void look(void *context, Node *n, const Binding *around)
{
    Look *k = context;
    k->other |= n->op == N_CHECK;
    if (!node_is_binder(n) || !is_of_key(k->f, n)) return;
    k->other |= n->op != N_REDUCE || n->type != TYPE_REAL || around->binder;
    k->other |= n->kind == REDUCE_ARGMAX || n->kind == REDUCE_ARGMIN;
}

static bool is_plain(const Few *f, Node *n)
{
    Look k = {.f = f};
    walk(f->l->c, n, look, &k);
    return !k.other;
}

/* Keys that come with the queries (`j like i`) are as few as these. */
static bool is_other_space(const Few *f)
{
    for (unsigned k = f->n_outer - f->n_queries; k < f->n_outer; k++)
        if (binder_hi(f->sum, 0) == node_size(f->l->c, f->outer[k])) return false;
    return true;
}

static void split_dims(Few *f, const IndexSet *inner)
{
    for (unsigned k = 0; k < f->out->n_dims; k++) {
        Index *dim = f->out->dims[k];
        if (!set_has(inner, dim->id))
            f->outer[f->n_outer++] = dim;
        else if (node_depends_on(f->sum, dim))
            f->dims[f->n_dims++] = dim;
    }
}

static bool find_terms(Few *f)
{
    Softmaxes found;
    if (f->sum->kind != REDUCE_SUM || binder_body(f->sum)->type != TYPE_REAL) return false;
    if (find_softmaxes(f->l->c, f->sum, &found)) {
        f->n_terms = found.n;
        for (unsigned k = 0; k < found.n; k++)
            f->terms[k] = (FewTerm){.softmax = found.softmax[k],
                                    .weight = binder_body(found.softmax[k]),
                                    .factor = found.factor[k]};
        return true;
    }
    FewTerm *t = &f->terms[f->n_terms++];
    *t = (FewTerm){.weight = few_real(f, 1), .factor = few_real(f, 1)};
    split_product(f->l, binder_body(f->sum), f->n_dims, f->dims, &t->weight, &t->factor);
    return !found.any && is_of_key(f, t->weight);
}

/* The code of scores and conditions is there once more, in two forms: LLVM takes long over what is longer. */
static bool is_short(const Few *f)
{
    unsigned nodes = node_count(f->l->c, f->where);
    for (unsigned k = 0; k < f->n_terms; k++)
        nodes += node_count(f->l->c, f->terms[k].weight) + node_count(f->l->c, f->terms[k].factor);
    return nodes <= MOST_NODES;
}

static bool fits(Few *f, const FewTerm *t)
{
    IndexSet accumulated = {{0}};
    for (unsigned k = 0; k < f->n_dims; k++) set_add(&accumulated, f->dims[k]->id);
    Node *sink = t->softmax ? binder_extra(t->softmax) : NULL;
    return !set_meets(t->weight->free, &accumulated) && !(sink && set_meets(sink->free, &accumulated)) &&
           is_plain(f, t->weight) && is_plain(f, t->factor) && !is_heavy(f->l, t->factor);
}

static bool recognise(Few *f, const IndexSet *inner)
{
    split_dims(f, inner);
    Node *sum = f->sum;
    f->key = sum->vars[0];
    f->where = binder_where(sum);
    if (sum->n_vars != 1 || f->n_dims == 0 || !find_terms(f) || contains_op(f->l->c, f->where, N_CHECK))
        return false;
    for (unsigned k = 0; k < f->n_terms; k++)
        if (!fits(f, &f->terms[k])) return false;
    for (unsigned k = 0; k < f->n_dims; k++)
        if (node_depends_on(f->where, f->dims[k])) return false;
    bool closed = binder_hi(sum, 0)->free == set_empty(f->l->c) && node_is_int(binder_lo(sum, 0), 0);
    return closed && is_other_space(f) && is_short(f);
}

Node *few_queries(Lower *l, const Tensor *out, Node *sum, unsigned n_queries, const IndexSet *inner)
{
    Few f = {.l = l, .out = out, .sum = sum, .n_queries = n_queries};
    if (out->role != ROLE_OUTPUT || !recognise(&f, inner)) return node_bool(l->c, false);
    Node *all = few_int(&f, 1);
    for (unsigned k = f.n_outer - n_queries; k < f.n_outer; k++)
        all = few_op(&f, N_MUL, all, node_size(l->c, f.outer[k]));
    return few_op(&f, N_LE, few_op(&f, N_MUL, all, few_int(&f, 8)), few_int(&f, l->schedule.lanes));
}

/* ---- merging ---- */

/* Chunks without a visible key left nothing. */
static void chunks_open(Few *f, Loop *loop, Branch *seen)
{
    loop_open(f->l, loop, f->chunk, whole_range(f->l, f->chunk));
    branch_open(f->l, seen, read_at(f->l, f->part_seen));
}

static void chunks_close(Few *f, Loop *loop, Branch *seen)
{
    branch_close(f->l, seen);
    loop_close(f->l, loop);
}

static void add_parts(Few *f, FewTerm *t, Local *shift)
{
    Lower *l = f->l;
    Loop chunk;
    Branch seen;
    Nest nest;
    Node *scale = few_real(f, 1);
    chunks_open(f, &chunk, &seen);
    if (t->softmax) {
        scale = few_get(f, few_scale(f, read_at(l, t->part_max), few_get(f, t->top), shift));
        Node *part = few_op(f, N_MUL, read_at(l, t->part_sum), scale);
        set_local(l, t->all, few_op(f, N_ADD, few_get(f, t->all), part));
    }
    dims_open(l, &nest, f->n_dims, f->dims);
    Node *more = few_op(f, N_MUL, read_at(l, t->part_total), scale);
    store_at(l, t->total, few_op(f, N_ADD, read_at(l, t->total), more));
    nest_close(l, &nest);
    chunks_close(f, &chunk, &seen);
}

/* What the sink weighs. */
static Node *sink_weight(Few *f, const FewTerm *t, Local *shift)
{
    Node *sink = binder_extra(t->softmax);
    if (!sink) return few_real(f, 0);
    sink = lower_value(f->l, sink);
    Node *less = node_unary(few_c(f), N_EXP_DOWN, few_op(f, N_SUB, sink, few_get(f, shift)));
    return node_if(few_c(f), few_op(f, N_EQ, sink, few_get(f, t->top)), few_real(f, 1), less);
}

static Local *find_top(Few *f, FewTerm *t)
{
    Lower *l = f->l;
    Loop chunk;
    Branch seen;
    Node *sink = binder_extra(t->softmax);
    t->top = local_new(l, "max", t->weight);
    t->all = local_new(l, "sum", t->weight);
    set_local(l, t->top, sink ? lower_value(l, sink) : few_real(f, -INFINITY));
    chunks_open(f, &chunk, &seen);
    set_local(l, t->top, few_greater(f, read_at(l, t->part_max), few_get(f, t->top)));
    chunks_close(f, &chunk, &seen);
    Local *shift = few_shift(f, few_get(f, t->top));
    set_local(l, t->all, sink_weight(f, t, shift));
    return shift;
}

/* The sum, of all its terms. */
static Node *merged(Few *f)
{
    Node *sum = NULL;
    for (unsigned k = 0; k < f->n_terms; k++) {
        const FewTerm *t = &f->terms[k];
        Node *total = read_at(f->l, t->total);
        if (t->softmax) {
            Node *none = few_op(f, N_EQ, few_get(f, t->all), few_real(f, 0));
            total = node_if(few_c(f), none, total, few_op(f, N_DIV, total, few_get(f, t->all)));
        }
        sum = sum ? few_op(f, N_ADD, sum, total) : total;
    }
    return sum;
}

static void store_output(Few *f)
{
    Lower *l = f->l;
    Index *inner[MAX_INDICES];
    unsigned n = 0;
    for (unsigned k = 0; k < f->out->n_dims; k++) {
        bool task = false;
        for (unsigned j = 0; j < f->n_outer; j++) task |= f->outer[j] == f->out->dims[k];
        if (!task) inner[n++] = f->out->dims[k];
    }
    Nest nest;
    dims_open(l, &nest, n, inner);
    store_at(l, (Tensor *)f->out, lower_value(l, node_replace(l->c, f->body, f->sum, merged(f))));
    nest_close(l, &nest);
}

static void store_riders(Few *f)
{
    Lower *l = f->l;
    for (uint32_t k = 0; k < f->riders->equations.n; k++) {
        const Equation *e = f->riders->equations.at[k];
        Node *value =
            rider_value(f->riders, e->body, few_get(f, f->terms[0].top), few_get(f, f->terms[0].all));
        store_at(l, e->tensor, lower_value(l, value));
    }
}

static void emit_merge(Few *f)
{
    for (unsigned k = 0; k < f->n_terms; k++) {
        FewTerm *t = &f->terms[k];
        t->total = scratch_new(f->l, "total", f->sum, f->n_dims, f->dims);
        Local *shift = t->softmax ? find_top(f, t) : NULL;
        array_fill(f->l, t->total, few_real(f, 0));
        add_parts(f, t, shift);
    }
    store_output(f);
    store_riders(f);
}

/* ---- phases ---- */

static Tensor *workspace(Few *f, const char *name, const Node *like, unsigned n_dims, Index **dims)
{
    Tensor *t = plan_tensor(few_c(f), name, like->type, n_dims, dims);
    t->data = like->data;
    buffer_add(f->l, t, BUFFER_WORKSPACE, !t->data);
    return t;
}

/* of_heads: [member, dims...]; dims: [outer..., chunk, dims...], of which n without the last */
static void make_term(Few *f, FewTerm *t, Index **of_heads, unsigned n, Index **dims)
{
    Lower *l = f->l;
    t->weights = scratch_new(l, "weights", t->weight, 2, (Index *[]){f->member, f->lane});
    t->total = scratch_new(l, "total", f->sum, f->n_dims + 1, of_heads);
    t->part_total = workspace(f, "part.total", f->sum, n + f->n_dims, dims);
    if (!t->softmax) return;
    t->scale = scratch_new(l, "scale", t->weight, 1, &f->member);
    t->max = scratch_new(l, "max", t->weight, 1, &f->member);
    t->sum = scratch_new(l, "sum", t->weight, 1, &f->member);
    t->part_max = workspace(f, "part.max", t->weight, n, dims);
    t->part_sum = workspace(f, "part.sum", t->weight, n, dims);
}

static void make_tensors(Few *f)
{
    Lower *l = f->l;
    Index *dims[2 * MAX_INDICES], *of_heads[MAX_INDICES];
    unsigned n = 0;
    of_heads[0] = f->member = few_index(f, "member", few_int(f, f->head ? FEW_HEADS : 1));
    for (unsigned k = 0; k < f->n_outer; k++) dims[n++] = f->outer[k];
    dims[n++] = f->chunk;
    for (unsigned k = 0; k < f->n_dims; k++) of_heads[k + 1] = dims[n + k] = f->dims[k];
    if (f->head) f->leader = few_index(f, "leader", node_size(l->c, f->head));
    f->lane = few_index(f, "lane", few_int(f, FEW_KEYS));
    f->first = few_index(f, "first", few_int(f, FEW_CHUNK));
    f->place = few_index(f, "place", few_int(f, FEW_KEYS));
    f->keys = scratch_new(l, "keys", few_int(f, 0), 1, &f->place);
    f->part_seen = workspace(f, "part.seen", node_bool(l->c, true), n, dims);
    for (unsigned k = 0; k < f->n_terms; k++) make_term(f, &f->terms[k], of_heads, n, dims);
}

/* A task index with the extent of `index` if there are few queries, else of none. */
static Node *if_few(Few *f, Node *few, Node *extent) { return node_if(few_c(f), few, extent, few_int(f, 0)); }

/* [..., chunk, block of heads, queries] */
static unsigned order_tasks(Few *f, Index **tasks)
{
    unsigned n = 0, before = f->n_outer - f->n_queries;
    for (unsigned k = 0; k + 1 < before; k++) tasks[n++] = f->outer[k];
    tasks[n++] = f->chunk;
    if (f->head) tasks[n++] = f->block;
    for (unsigned k = before; k < f->n_outer; k++) tasks[n++] = f->outer[k];
    return n;
}

/* How many parts of so many it takes. */
static Node *parts(Few *f, Node *whole, unsigned part)
{
    return few_op(f, N_FLOORDIV, few_op(f, N_ADD, whole, few_int(f, part - 1)), few_int(f, part));
}

static void chunk_phase(Few *f, Node *few)
{
    Lower *l = f->l;
    Scope root;
    Phase phase = {.name = format(l->c, "pairwise %s, few queries: chunks of keys", f->out->name),
                   .how = "few queries: keys and channels in lanes, keys split into chunks",
                   .when = few,
                   .tasks = NEW_ARRAY(l->c, Index *, MAX_INDICES + 1)};
    phase.n_tasks = order_tasks(f, phase.tasks);
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    make_tensors(f);
    f->bound = root.bound;
    set_add(&f->bound, f->place->id);
    if (f->head) set_add(&f->bound, f->head->id);
    few_chunk(f);
    phase_close(l, &root, phase);
}

static void merge_phase(Few *f, Node *few)
{
    Lower *l = f->l;
    Scope root;
    Phase phase = {.name = format(l->c, "pairwise %s, few queries: chunks together", f->out->name),
                   .tasks = NEW_ARRAY(l->c, Index *, MAX_INDICES + 1)};
    phase.tasks[phase.n_tasks++] = few_index(f, "few", if_few(f, few, few_int(f, 1)));
    for (unsigned k = 0; k < f->n_outer; k++) phase.tasks[phase.n_tasks++] = f->outer[k];
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    emit_merge(f);
    phase_close(l, &root, phase);
}

void lower_few(Lower *l, const Stage *stage, Node *sum, unsigned n_queries, const IndexSet *inner, Node *few,
               const Riders *riders)
{
    Few f = {.l = l,
             .out = stage->equation->tensor,
             .body = stage->equation->body,
             .sum = sum,
             .n_queries = n_queries,
             .riders = riders,
             .at = -1};
    if (!recognise(&f, inner)) BUG(l->c, "a sum that did fit few queries does no more");
    if (f.n_outer > n_queries) f.head = f.outer[f.n_outer - n_queries - 1];
    if (f.head) f.block = few_index(&f, "block", parts(&f, node_size(l->c, f.head), FEW_HEADS));
    f.chunk = few_index(&f, "chunk", if_few(&f, few, parts(&f, binder_hi(sum, 0), FEW_CHUNK)));
    chunk_phase(&f, few);
    merge_phase(&f, few);
}
