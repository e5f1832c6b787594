/* Pairwise stages with few queries, as in decoding: lanes run along keys and channels instead, and the keys
 * are split into chunks that are tasks of their own (Flash-Decoding, Dao et al. 2023).
 *
 * The first phase leaves a maximum, a sum and accumulators for every query and chunk, the second merges them.
 * The chunk is an outer task index, heads and queries are inner ones: a group of heads that shares keys and
 * values finds a chunk in the cache. Whether there are few queries is known when tensors are bound: one of
 * both ways has no tasks. Requires: one softmax-weighted sum over one index. Ensures: every visible key has
 * been added once; hidden ones are not looked at. Breaks: nothing. */
#include "lower_few.h"

#include <math.h>

#include "graph.h"

enum { CHUNK = 128, FEW_LANES = 32, AT_ONCE = 4, HEADS_AHEAD = 4, LINE = 16 /* numbers of a cache line */ };

typedef struct Few {
    Lower *l;
    const Tensor *out;
    Node *body, *sum, *score, *factor, *sink, *where;
    Index *outer[MAX_INDICES], *dims[MAX_INDICES]; /* of the output: tasks, and those of the accumulators */
    unsigned n_outer, n_queries, n_dims;
    Index *chunk, *slot, *lane, *place;           /* place: in a chunk's list of visible keys */
    Tensor *keys, *weights, *tops, *sums, *total; /* scratch */
    Tensor *part_max, *part_sum, *part_total;     /* workspace */
    Node *summed,
        *of_sum; /* the score, or a sum that it is a function of, and then the score; else of_sum is NULL */
    Local *count;
    IndexSet bound; /* the tasks and a place */
    const Riders *riders;
} Few;

static Node *op2(Few *f, Op o, Node *a, Node *b) { return node_binary(f->l->c, o, a, b); }
static Node *num(Few *f, int64_t x) { return node_int(f->l->c, x); }
static Node *real(Few *f, double x) { return node_real(f->l->c, x); }
static Node *get(Few *f, Local *x) { return local_get(f->l, x); }

/* ---- does it fit? ---- */

typedef struct Look {
    const Plan *plan;
    bool other;
    unsigned sums;
} Look;

static void look(void *context, const Node *n)
{
    Look *k = context;
    k->other |= n->guarded || n->op == N_CHECK || (node_is_binder(n) && n->op != N_REDUCE);
    k->other |= n->op == N_READ && plan_equation(k->plan, n->tensor);
    k->sums += n->op == N_REDUCE;
}

/* What is chosen by other equations, or looked up or summed at length for every pair, gains little here, and
 * its code is there once more. */
static bool is_plain(Few *f, const Node *n, unsigned most_sums)
{
    Look k = {f->l->plan, false, 0};
    node_visit(f->l->c, n, look, &k);
    return !k.other && k.sums <= most_sums;
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

static bool recognise(Few *f, const IndexSet *inner)
{
    Softmaxes found;
    split_dims(f, inner);
    Node *sum = f->sum;
    if (sum->n_vars != 1 || !find_softmaxes(f->l, sum, &found) || found.n != 1) return false;
    f->score = binder_body(found.softmax[0]);
    f->sink = binder_extra(found.softmax[0]);
    f->factor = found.factor[0];
    f->where = binder_where(sum);
    IndexSet accumulated = {{0}};
    for (unsigned k = 0; k < f->n_dims; k++) set_add(&accumulated, f->dims[k]->id);
    bool shared = !set_meets(f->score->free, &accumulated) && !set_meets(f->where->free, &accumulated) &&
                  !(f->sink && set_meets(f->sink->free, &accumulated));
    bool closed = binder_hi(sum, 0)->free == set_empty(f->l->c) && node_is_int(binder_lo(sum, 0), 0);
    return f->n_dims > 0 && shared && closed && is_other_space(f) && is_plain(f, f->score, 1) &&
           is_plain(f, f->factor, 0) && is_plain(f, f->where, 0);
}

Node *few_queries(Lower *l, const Tensor *out, Node *sum, unsigned n_queries, const IndexSet *inner)
{
    Few f = {.l = l, .out = out, .sum = sum, .n_queries = n_queries};
    if (out->role != ROLE_OUTPUT || !recognise(&f, inner)) return node_bool(l->c, false);
    Node *all = num(&f, 1);
    for (unsigned k = f.n_outer - n_queries; k < f.n_outer; k++)
        all = op2(&f, N_MUL, all, node_size(l->c, f.outer[k]));
    return op2(&f, N_LE, op2(&f, N_MUL, all, num(&f, 8)), num(&f, l->lanes));
}

/* ---- a chunk ---- */

static Index *index_of(Few *f, const char *name, Node *extent)
{
    Index *index = index_new(f->l->c, name, f->l->span);
    index->extent = extent;
    return index;
}

/* The keys of the chunk that are visible, one after the other. */
static void list_keys(Few *f)
{
    Lower *l = f->l;
    NodeList tests = {0};
    IndexSet none = {{0}};
    Loop loop;
    Branch seen;
    conjuncts(l->c, f->where, &tests);
    Range range = {binder_lo(f->sum, 0), binder_hi(f->sum, 0), NULL};
    range = tighten_interval(l, f->sum->vars[0], range, &tests, &none);
    Node *first = op2(f, N_MUL, node_index(l->c, f->chunk), num(f, CHUNK));
    range.lo = lower_value(l, op2(f, N_MAX, range.lo, first));
    range.hi = lower_value(l, op2(f, N_MIN, range.hi, op2(f, N_ADD, first, num(f, CHUNK))));
    f->count = local_make(l, "count", TYPE_INT, true);
    set_local(l, f->count, num(f, 0));
    loop_open(l, &loop, f->sum->vars[0], range);
    branch_open(l, &seen, lower_value(l, conjunction(l->c, &tests)));
    Node **at = NEW_ARRAY(l->c, Node *, 1);
    at[0] = get(f, f->count);
    store(l, f->keys, at, node_index(l->c, f->sum->vars[0]));
    set_local(l, f->count, op2(f, N_ADD, at[0], num(f, 1)));
    branch_close(l, &seen);
    loop_close(l, &loop);
}

/* `n` for the key at a place of the list. */
static Node *at_place(Few *f, Node *n, Node *place)
{
    Node *key = node_read(f->l->c, f->keys, &place, false);
    return node_substitute(f->l->c, n, 1, f->sum->vars, &key);
}

/* weights[place // lanes, place % lanes] */
static Node **in_lanes(Few *f, Node *place)
{
    Node **at = NEW_ARRAY(f->l->c, Node *, 2);
    at[0] = op2(f, N_FLOORDIV, place, num(f, FEW_LANES));
    at[1] = op2(f, N_MOD, place, num(f, FEW_LANES));
    return at;
}

static Node *slots(Few *f)
{
    return op2(f, N_FLOORDIV, op2(f, N_ADD, get(f, f->count), num(f, FEW_LANES - 1)), num(f, FEW_LANES));
}

static void place_open(Few *f, Loop *loop, Node *lo, Node *hi)
{
    loop_open(f->l, loop, f->place, (Range){lo, hi, NULL});
}

/* ---- what comes next ---- */

typedef struct Rows {
    const Few *f;
    NodeList reads;
} Rows;

static void collect_row(void *context, const Node *n)
{
    Rows *r = context;
    bool key = n->op == N_READ && node_depends_on(n, r->f->sum->vars[0]);
    if (key && n->type == TYPE_REAL && n->tensor->n_dims > 1) PUSH(r->f->l->c, &r->reads, (Node *)n);
}

/* The row of the current key some heads later, in steps of a cache line along the last dimension. */
static void prefetch_row(Few *f, Node *read, Index *head)
{
    Lower *l = f->l;
    const Tensor *t = read->tensor;
    Node *last = op2(f, N_SUB, node_size(l->c, head), num(f, 1));
    Node *later = op2(f, N_MIN, op2(f, N_ADD, node_index(l->c, head), num(f, HEADS_AHEAD)), last);
    Node **at = NEW_ARRAY(l->c, Node *, t->n_dims);
    read = at_place(f, node_substitute(l->c, read, 1, &head, &later), node_index(l->c, f->place));
    for (unsigned k = 0; k + 1 < t->n_dims; k++) {
        if (!set_within(read->args[k]->free, &f->bound)) return;
        at[k] = lower_value(l, read->args[k]);
    }
    Loop loop;
    Index *along = index_of(f, "line", node_size(l->c, t->dims[t->n_dims - 1]));
    Range range = whole_range(l, along);
    range.step = num(f, LINE);
    loop_open(l, &loop, along, range);
    at[t->n_dims - 1] = node_index(l->c, along);
    prefetch(l, (Tensor *)t, at, true);
    loop_close(l, &loop);
}

/* Heads of a group share keys and values: while they work in the cache, each fetches a part of what the next
 * group needs. */
static void prefetch_rows(Few *f)
{
    Lower *l = f->l;
    if (f->n_outer == f->n_queries) return;
    Index *head = f->outer[f->n_outer - f->n_queries - 1];
    Rows rows = {.f = f};
    node_visit(l->c, f->score, collect_row, &rows);
    node_visit(l->c, f->factor, collect_row, &rows);
    Branch turn;
    Node *ahead = num(f, HEADS_AHEAD), *place = node_index(l->c, f->place);
    Node *mine = op2(f, N_EQ, op2(f, N_MOD, place, ahead), op2(f, N_MOD, node_index(l->c, head), ahead));
    branch_open(l, &turn, mine);
    for (uint32_t k = 0; k < rows.reads.n; k++) prefetch_row(f, rows.reads.at[k], head);
    branch_close(l, &turn);
}

static void find_sum(void *context, const Node *n)
{
    const Node **sum = context;
    if (n->op == N_REDUCE) *sum = n;
}

/* A score that is a function of one sum, the same for all keys: that is left to the lanes. */
static void split_score(Few *f)
{
    Lower *l = f->l;
    const Node *sum = NULL;
    Node *score = simplify_assuming(l->c, f->score, f->where);
    f->summed = score;
    node_visit(l->c, score, find_sum, &sum);
    if (!sum || sum == score || sum->kind != REDUCE_SUM || sum->data != score->data) return;
    Node *rest = node_replace(l->c, score, (Node *)sum, real(f, 0));
    if (node_depends_on(rest, f->sum->vars[0])) return;
    f->summed = (Node *)sum;
    f->of_sum = score;
}

static void score_keys(Few *f)
{
    Lower *l = f->l;
    Loop loop;
    split_score(f);
    Node *place = node_index(l->c, f->place), *count = get(f, f->count);
    place_open(f, &loop, num(f, 0), count);
    loop.kind = LOOP_JAM;
    store(l, f->weights, in_lanes(f, place), lower_value(l, at_place(f, f->summed, place)));
    prefetch_rows(f);
    loop_close(l, &loop);
    place_open(f, &loop, count, op2(f, N_MUL, slots(f), num(f, FEW_LANES)));
    store(l, f->weights, in_lanes(f, place), real(f, -INFINITY));
    loop_close(l, &loop);
}

static void lanes_open(Few *f, Loop *lane)
{
    loop_open(f->l, lane, f->lane, whole_range(f->l, f->lane));
    lane->kind = LOOP_VECTOR;
    f->l->lane = f->lane;
}

static void lanes_close(Few *f, Loop *lane)
{
    f->l->lane = NULL;
    loop_close(f->l, lane);
}

/* Not caring for NaN, which the sums carry, unless the maximum is an output. */
static Node *greater(Few *f, Node *a, Node *b)
{
    return f->riders->equations.n ? op2(f, N_MAX, a, b) : node_if(f->l->c, op2(f, N_LT, b, a), a, b);
}

static Local *over_lanes(Few *f, Tensor *row, const char *name, bool max)
{
    Lower *l = f->l;
    Loop lane;
    Local *all = local_new(l, name, f->score);
    set_local(l, all, real(f, max ? -INFINITY : 0));
    loop_open(l, &lane, f->lane, whole_range(l, f->lane));
    Node *x = read_at(l, row);
    set_local(l, all, max ? greater(f, x, get(f, all)) : op2(f, N_ADD, get(f, all), x));
    loop_close(l, &lane);
    return all;
}

static Local *find_maximum(Few *f)
{
    Lower *l = f->l;
    Loop lane, slot;
    Local *top = local_new(l, "top", f->score);
    lanes_open(f, &lane);
    set_local(l, top, real(f, -INFINITY));
    loop_open(l, &slot, f->slot, (Range){num(f, 0), slots(f), NULL});
    if (f->of_sum) {
        Node *score = node_replace(l->c, f->of_sum, f->summed, read_at(l, f->weights));
        Node *at = op2(f, N_MUL, node_index(l->c, f->slot), num(f, FEW_LANES));
        Node *some = op2(f, N_LT, op2(f, N_ADD, at, node_index(l->c, f->lane)), get(f, f->count));
        store_at(l, f->weights, node_if(l->c, some, lower_value(l, score), real(f, -INFINITY)));
    }
    set_local(l, top, greater(f, read_at(l, f->weights), get(f, top)));
    loop_close(l, &slot);
    store_at(l, f->tops, get(f, top));
    lanes_close(f, &lane);
    return over_lanes(f, f->tops, "max", true);
}

/* exp(score - shift), also in the rest of the last slot: exp(-inf) = 0. */
static Local *weigh_keys(Few *f, Local *shift)
{
    Lower *l = f->l;
    Loop lane, slot;
    Local *sum = local_new(l, "part", f->score), *weight = local_new(l, "weight", f->score);
    lanes_open(f, &lane);
    set_local(l, sum, real(f, 0));
    loop_open(l, &slot, f->slot, (Range){num(f, 0), slots(f), NULL});
    Node *less = op2(f, N_SUB, read_at(l, f->weights), get(f, shift));
    set_local(l, weight, node_unary(l->c, N_EXP, less));
    set_local(l, sum, op2(f, N_ADD, get(f, sum), get(f, weight)));
    store_at(l, f->weights, get(f, weight));
    loop_close(l, &slot);
    store_at(l, f->sums, get(f, sum));
    lanes_close(f, &lane);
    return over_lanes(f, f->sums, "sum", false);
}

/* Several keys at once, so that an accumulator is loaded and stored once for all of them. */
static void add_keys(Few *f, Node *lo, Node *hi, unsigned at_once)
{
    Lower *l = f->l;
    Loop loop;
    Nest nest;
    place_open(f, &loop, lo, hi);
    loop.range.step = num(f, at_once);
    dims_open(l, &nest, f->n_dims, f->dims);
    Node *x = read_at(l, f->total);
    for (unsigned k = 0; k < at_once; k++) {
        Node *place = op2(f, N_ADD, node_index(l->c, f->place), num(f, k));
        Node *weight = node_read(l->c, f->weights, in_lanes(f, place), false);
        x = op2(f, N_ADD, x, op2(f, N_MUL, weight, lower_value(l, at_place(f, f->factor, place))));
    }
    store_at(l, f->total, x);
    nest_close(l, &nest);
    loop_close(l, &loop);
}

static void sum_values(Few *f)
{
    Lower *l = f->l;
    Local *whole = local_make(l, "whole", TYPE_INT, true);
    Node *count = get(f, f->count), *by = num(f, AT_ONCE);
    array_fill(l, f->total, real(f, 0));
    set_local(l, whole, op2(f, N_MUL, op2(f, N_FLOORDIV, count, by), by));
    add_keys(f, num(f, 0), get(f, whole), AT_ONCE);
    add_keys(f, get(f, whole), count, 1);
}

static void keep_part(Few *f, Local *max, Local *sum)
{
    Lower *l = f->l;
    Nest nest;
    store_at(l, f->part_max, get(f, max));
    store_at(l, f->part_sum, get(f, sum));
    dims_open(l, &nest, f->n_dims, f->dims);
    store_at(l, f->part_total, read_at(l, f->total));
    nest_close(l, &nest);
}

/* Where every score is -inf, exp(score - 0) is 0. */
static Local *shift_of(Few *f, Node *max)
{
    Local *shift = local_new(f->l, "shift", f->score);
    set_local(f->l, shift, node_if(f->l->c, op2(f, N_EQ, max, real(f, -INFINITY)), real(f, 0), max));
    return shift;
}

static void emit_chunk(Few *f)
{
    list_keys(f);
    score_keys(f);
    Local *max = find_maximum(f), *shift = shift_of(f, get(f, max));
    Local *sum = weigh_keys(f, shift);
    sum_values(f);
    keep_part(f, max, sum);
}

/* ---- merging ---- */

static void chunks_open(Few *f, Loop *loop) { loop_open(f->l, loop, f->chunk, whole_range(f->l, f->chunk)); }

static void add_parts(Few *f, Local *max, Local *shift, Local *sum)
{
    Lower *l = f->l;
    Loop chunk;
    Nest nest;
    Local *scale = local_new(l, "scale", f->score);
    chunks_open(f, &chunk);
    Node *same = op2(f, N_EQ, read_at(l, f->part_max), get(f, max)); /* inf, too */
    Node *less = node_unary(l->c, N_EXP, op2(f, N_SUB, read_at(l, f->part_max), get(f, shift)));
    set_local(l, scale, node_if(l->c, same, real(f, 1), less));
    Node *part = op2(f, N_MUL, read_at(l, f->part_sum), get(f, scale));
    set_local(l, sum, op2(f, N_ADD, get(f, sum), part));
    dims_open(l, &nest, f->n_dims, f->dims);
    Node *more = op2(f, N_MUL, read_at(l, f->part_total), get(f, scale));
    store_at(l, f->total, op2(f, N_ADD, read_at(l, f->total), more));
    nest_close(l, &nest);
    loop_close(l, &chunk);
}

static void store_output(Few *f, Local *sum)
{
    Lower *l = f->l;
    Index *inner[MAX_INDICES];
    unsigned n = 0;
    Node *total = read_at(l, f->total), *none = op2(f, N_EQ, get(f, sum), real(f, 0));
    Node *value = node_if(l->c, none, total, op2(f, N_DIV, total, get(f, sum)));
    for (unsigned k = 0; k < f->out->n_dims; k++) {
        bool task = false;
        for (unsigned j = 0; j < f->n_outer; j++) task |= f->outer[j] == f->out->dims[k];
        if (!task) inner[n++] = f->out->dims[k];
    }
    Nest nest;
    dims_open(l, &nest, n, inner);
    store_at(l, (Tensor *)f->out, lower_value(l, node_replace(l->c, f->body, f->sum, value)));
    nest_close(l, &nest);
}

static void store_riders(Few *f, Local *max, Local *sum)
{
    Lower *l = f->l;
    for (uint32_t k = 0; k < f->riders->equations.n; k++) {
        const Equation *e = f->riders->equations.at[k];
        store_at(l, e->tensor, lower_value(l, rider_value(f->riders, e->body, get(f, max), get(f, sum))));
    }
}

static void emit_merge(Few *f)
{
    Lower *l = f->l;
    Loop chunk;
    Local *max = local_new(l, "max", f->score), *sum = local_new(l, "sum", f->score);
    set_local(l, max, f->sink ? lower_value(l, f->sink) : real(f, -INFINITY));
    chunks_open(f, &chunk);
    set_local(l, max, greater(f, read_at(l, f->part_max), get(f, max)));
    loop_close(l, &chunk);
    Local *shift = shift_of(f, get(f, max));
    Node *sink =
        f->sink ? node_unary(l->c, N_EXP, op2(f, N_SUB, lower_value(l, f->sink), get(f, shift))) : real(f, 0);
    if (f->sink) sink = node_if(l->c, op2(f, N_EQ, lower_value(l, f->sink), get(f, max)), real(f, 1), sink);
    set_local(l, sum, sink);
    array_fill(l, f->total, real(f, 0));
    add_parts(f, max, shift, sum);
    store_output(f, sum);
    store_riders(f, max, sum);
}

/* ---- phases ---- */

static Tensor *workspace(Few *f, const char *name, unsigned n_dims, Index **dims)
{
    Tensor *t = plan_tensor(f->l->c, name, TYPE_REAL, n_dims, dims);
    t->data = f->score->data;
    PUSH(f->l->c, &f->l->kernel->buffers, (Buffer){t, BUFFER_WORKSPACE, !t->data, -1, 0});
    return t;
}

static void make_tensors(Few *f)
{
    Lower *l = f->l;
    Index *dims[2 * MAX_INDICES];
    f->lane = index_of(f, "lane", num(f, FEW_LANES));
    f->slot = index_of(f, "slot", num(f, CHUNK / FEW_LANES));
    f->place = index_of(f, "place", num(f, CHUNK));
    f->keys = scratch_new(l, "keys", num(f, 0), 1, &f->place);
    f->weights = scratch_new(l, "weights", f->score, 2, (Index *[]){f->slot, f->lane});
    f->tops = scratch_new(l, "tops", f->score, 1, &f->lane);
    f->sums = scratch_new(l, "sums", f->score, 1, &f->lane);
    f->total = scratch_new(l, "total", f->sum, f->n_dims, f->dims);
    unsigned n = 0;
    for (unsigned k = 0; k < f->n_outer; k++) dims[n++] = f->outer[k];
    dims[n++] = f->chunk;
    f->part_max = workspace(f, "part.max", n, dims);
    f->part_sum = workspace(f, "part.sum", n, dims);
    for (unsigned k = 0; k < f->n_dims; k++) dims[n++] = f->dims[k];
    f->part_total = workspace(f, "part.total", n, dims);
}

/* A task index with the extent of `index` if there are few queries, else of none. */
static Node *if_few(Few *f, Node *few, Node *extent) { return node_if(f->l->c, few, extent, num(f, 0)); }

/* [..., chunk, heads, queries] */
static unsigned order_tasks(Few *f, Index **tasks)
{
    unsigned n = 0, before = f->n_outer - f->n_queries;
    for (unsigned k = 0; k < f->n_outer; k++) {
        if (k + 1 == before || (before == 0 && k == 0)) tasks[n++] = f->chunk;
        tasks[n++] = f->outer[k];
    }
    return n;
}

void lower_few(Lower *l, const Stage *stage, Node *sum, unsigned n_queries, const IndexSet *inner, Node *few,
               const Riders *riders)
{
    const Tensor *out = stage->equation->tensor;
    Few f = {.l = l,
             .out = out,
             .body = stage->equation->body,
             .sum = sum,
             .n_queries = n_queries,
             .riders = riders};
    if (!recognise(&f, inner)) BUG(l->c, "a sum that did fit few queries does no more");
    Node *more = op2(&f, N_ADD, binder_hi(sum, 0), num(&f, CHUNK - 1));
    f.chunk = index_of(&f, "chunk", if_few(&f, few, op2(&f, N_FLOORDIV, more, num(&f, CHUNK))));
    Phase chunks = {.name = format(l->c, "pairwise %s, few queries: chunks of keys", out->name),
                    .tasks = NEW_ARRAY(l->c, Index *, MAX_INDICES + 1)};
    chunks.n_tasks = order_tasks(&f, chunks.tasks);
    Scope root;
    phase_open(l, &root, chunks.n_tasks, chunks.tasks);
    make_tensors(&f);
    f.bound = root.bound;
    set_add(&f.bound, f.place->id);
    emit_chunk(&f);
    phase_close(l, &root, chunks);
    Index *once = index_of(&f, "few", if_few(&f, few, num(&f, 1)));
    Phase merge = {.name = format(l->c, "pairwise %s, few queries: chunks together", out->name),
                   .tasks = NEW_ARRAY(l->c, Index *, MAX_INDICES + 1)};
    merge.tasks[merge.n_tasks++] = once;
    for (unsigned k = 0; k < f.n_outer; k++) merge.tasks[merge.n_tasks++] = f.outer[k];
    phase_open(l, &root, merge.n_tasks, merge.tasks);
    f.total = scratch_new(l, "total", f.sum, f.n_dims, f.dims);
    emit_merge(&f);
    phase_close(l, &root, merge);
}
