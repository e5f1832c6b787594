/* Pairwise stages with few queries, as in decoding: lanes run along keys and channels instead, and the keys
 * are split into chunks that are tasks of their own (Flash-Decoding, Dao et al. 2023).
 *
 * A task takes some heads through a chunk, 32 keys at a time: heads that share keys and values find them in
 * the first cache. It leaves a maximum, a sum and accumulators for every query, head and chunk; a second
 * phase merges them. Whether there are few queries is known when tensors are bound: one of both ways has no
 * tasks. Requires: one softmax-weighted sum over one index. Ensures: every visible key has been added once;
 * hidden ones are not looked at. Breaks: nothing. */
#include "lower_few.h"

#include <math.h>

#include "census.h"
#include "graph.h"

enum { CHUNK = 512, FEW_LANES = 32, AT_ONCE = 4, HEADS = 4, LINE = 16 /* numbers of a cache line */ };

typedef struct Few {
    Lower *l;
    const Tensor *out;
    Node *body, *sum, *score, *factor, *sink, *where;
    Index *outer[MAX_INDICES], *dims[MAX_INDICES]; /* of the output: tasks, and those of the accumulators */
    unsigned n_outer, n_queries, n_dims;
    Index *head;                              /* the last dim before the queries, or NULL */
    Index *chunk, *block, *member;            /* block: of heads; member: of a block */
    Index *first, *lane, *place;              /* first: of 32 keys; place: in their list of visible ones */
    Tensor *keys, *weights, *tops;            /* scratch, of the keys at work */
    Tensor *max, *sum_of, *total;             /* scratch, of every member */
    Tensor *part_max, *part_sum, *part_total; /* workspace */
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
    if (sum->n_vars != 1 || !find_softmaxes(f->l->c, sum, &found) || found.n != 1) return false;
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

/* The visible ones of the next keys, one after the other. */
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
    Node *first =
        op2(f, N_ADD, op2(f, N_MUL, node_index(l->c, f->chunk), num(f, CHUNK)), node_index(l->c, f->first));
    range.lo = lower_value(l, op2(f, N_MAX, range.lo, first));
    range.hi = lower_value(l, op2(f, N_MIN, range.hi, op2(f, N_ADD, first, num(f, FEW_LANES))));
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

/* The row of the key 32 later, in steps of a cache line along the last dimension. */
static void prefetch_row(Few *f, Node *read)
{
    Lower *l = f->l;
    const Tensor *t = read->tensor;
    Node *place = node_index(l->c, f->place), *last = op2(f, N_SUB, binder_hi(f->sum, 0), num(f, 1));
    Node *key = op2(f, N_ADD, node_read(l->c, f->keys, &place, false), num(f, FEW_LANES));
    key = op2(f, N_MIN, key, last);
    Node **at = NEW_ARRAY(l->c, Node *, t->n_dims);
    read = node_substitute(l->c, read, 1, f->sum->vars, &key);
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
    Index *head = f->head;
    if (!head) return;
    Rows rows = {.f = f};
    node_visit(l->c, f->score, collect_row, &rows);
    node_visit(l->c, f->factor, collect_row, &rows);
    Branch turn;
    Node *ahead = num(f, HEADS), *place = node_index(l->c, f->place);
    Node *mine = op2(f, N_EQ, op2(f, N_MOD, place, ahead), op2(f, N_MOD, node_index(l->c, head), ahead));
    branch_open(l, &turn, mine);
    for (uint32_t k = 0; k < rows.reads.n; k++) prefetch_row(f, rows.reads.at[k]);
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

static Node *weight_at(Few *f, Node *place) { return node_read(f->l->c, f->weights, &place, false); }

static void score_keys(Few *f)
{
    Lower *l = f->l;
    Loop loop;
    Node **place = NEW_ARRAY(l->c, Node *, 1);
    place[0] = node_index(l->c, f->place);
    place_open(f, &loop, num(f, 0), get(f, f->count));
    loop.kind = LOOP_JAM;
    store(l, f->weights, place, lower_value(l, at_place(f, f->summed, place[0])));
    prefetch_rows(f);
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

/* ---- the heads of a block ---- */

/* The index of heads itself runs over the members of a block. */
static void heads_open(Few *f, Loop *loop)
{
    Lower *l = f->l;
    if (!f->head) {
        loop_open(l, loop, f->member, whole_range(l, f->member));
        return;
    }
    Node *lo = op2(f, N_MUL, node_index(l->c, f->block), num(f, HEADS)), *size = node_size(l->c, f->head);
    loop_open(l, loop, f->head, (Range){lo, op2(f, N_MIN, op2(f, N_ADD, lo, num(f, HEADS)), size), NULL});
}

/* [member, dims...] of the head at work */
static Node **member_at(Few *f, const Tensor *t)
{
    Lower *l = f->l;
    Node **at = NEW_ARRAY(l->c, Node *, t->n_dims);
    at[0] = f->head ? op2(f, N_MOD, node_index(l->c, f->head), num(f, HEADS)) : node_index(l->c, f->member);
    for (unsigned k = 1; k < t->n_dims; k++) at[k] = node_index(l->c, t->dims[k]);
    return at;
}

static Node *of_member(Few *f, Tensor *t) { return node_read(f->l->c, t, member_at(f, t), false); }
static void set_member(Few *f, Tensor *t, Node *value) { store(f->l, t, member_at(f, t), value); }

static void start_heads(Few *f)
{
    Lower *l = f->l;
    Loop loop;
    Nest nest;
    heads_open(f, &loop);
    set_member(f, f->max, real(f, -INFINITY));
    set_member(f, f->sum_of, real(f, 0));
    dims_open(l, &nest, f->n_dims, f->dims);
    set_member(f, f->total, real(f, 0));
    nest_close(l, &nest);
    loop_close(l, &loop);
}

/* ---- 32 keys of one head ---- */

static Node *element(Few *f, Tensor *row, unsigned number)
{
    Node **at = NEW_ARRAY(f->l->c, Node *, 1);
    at[0] = op2(f, N_ADD, node_index(f->l->c, f->lane), num(f, number));
    return node_read(f->l->c, row, at, false);
}

/* The greatest of `from` and all lanes of a row, in several chains: each step waits for the one before. */
static Local *greatest(Few *f, Tensor *row, Node *from)
{
    enum { CHAINS = 8 };
    Lower *l = f->l;
    Loop lane;
    Local *max[CHAINS];
    for (unsigned k = 0; k < CHAINS; k++) set_local(l, max[k] = local_new(l, "max", f->score), from);
    loop_open(l, &lane, f->lane, (Range){num(f, 0), num(f, FEW_LANES), num(f, CHAINS)});
    for (unsigned k = 0; k < CHAINS; k++)
        set_local(l, max[k], greater(f, element(f, row, k), get(f, max[k])));
    loop_close(l, &lane);
    for (unsigned n = CHAINS / 2; n > 0; n /= 2)
        for (unsigned k = 0; k < n; k++) set_local(l, max[k], greater(f, get(f, max[k]), get(f, max[k + n])));
    return max[0];
}

static Local *sum_of_lanes(Few *f, Tensor *row, Node *from)
{
    Lower *l = f->l;
    Loop lane;
    Local *sum = local_new(l, "sum", f->score);
    set_local(l, sum, from);
    loop_open(l, &lane, f->lane, whole_range(l, f->lane));
    set_local(l, sum, op2(f, N_ADD, get(f, sum), read_at(l, row)));
    loop_close(l, &lane);
    return sum;
}

/* Lanes without a key score -inf. */
static Local *find_maximum(Few *f)
{
    Lower *l = f->l;
    Loop lane;
    Node *score = read_at(l, f->weights), *some = op2(f, N_LT, node_index(l->c, f->lane), get(f, f->count));
    lanes_open(f, &lane);
    if (f->of_sum) score = lower_value(l, node_replace(l->c, f->of_sum, f->summed, score));
    store_at(l, f->tops, node_if(l->c, some, score, real(f, -INFINITY)));
    lanes_close(f, &lane);
    return greatest(f, f->tops, of_member(f, f->max));
}

/* exp(score - shift): 0 for -inf. */
static Local *weigh_keys(Few *f, Local *shift, Node *before)
{
    Lower *l = f->l;
    Loop lane;
    lanes_open(f, &lane);
    store_at(l, f->weights, node_unary(l->c, N_EXP, op2(f, N_SUB, read_at(l, f->tops), get(f, shift))));
    lanes_close(f, &lane);
    return sum_of_lanes(f, f->weights, before);
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
    Node *x = of_member(f, f->total);
    for (unsigned k = 0; k < at_once; k++) {
        Node *place = op2(f, N_ADD, node_index(l->c, f->place), num(f, k));
        Node *factor = lower_value(l, at_place(f, f->factor, place));
        x = op2(f, N_ADD, x, op2(f, N_MUL, weight_at(f, place), factor));
    }
    set_member(f, f->total, x);
    nest_close(l, &nest);
    loop_close(l, &loop);
}

static void sum_values(Few *f, Local *scale)
{
    Lower *l = f->l;
    Nest nest;
    Local *whole = local_make(l, "whole", TYPE_INT, true);
    Node *count = get(f, f->count), *by = num(f, AT_ONCE);
    dims_open(l, &nest, f->n_dims, f->dims);
    set_member(f, f->total, op2(f, N_MUL, of_member(f, f->total), get(f, scale)));
    nest_close(l, &nest);
    set_local(l, whole, op2(f, N_MUL, op2(f, N_FLOORDIV, count, by), by));
    add_keys(f, num(f, 0), get(f, whole), AT_ONCE);
    add_keys(f, get(f, whole), count, 1);
}

/* Where every score is -inf, exp(score - 0) is 0. */
static Local *shift_of(Few *f, Node *max)
{
    Local *shift = local_new(f->l, "shift", f->score);
    set_local(f->l, shift, node_if(f->l->c, op2(f, N_EQ, max, real(f, -INFINITY)), real(f, 0), max));
    return shift;
}

/* exp(part - shift), and 1 where a part is the maximum itself, infinite or not. */
static Local *scale_of(Few *f, Node *part, Node *max, Local *shift)
{
    Local *scale = local_new(f->l, "scale", f->score);
    Node *less = node_unary(f->l->c, N_EXP, op2(f, N_SUB, part, get(f, shift)));
    set_local(f->l, scale, node_if(f->l->c, op2(f, N_EQ, part, max), real(f, 1), less));
    return scale;
}

/* For counting (census.h). */
static void note(Few *f, const char *text, Node *condition, Node *value)
{
    Statement *s = emit(f->l, S_NOTE);
    s->text = text;
    s->condition = condition;
    s->value = value;
}

static void add_to_head(Few *f)
{
    note(f, CENSUS_BOX, NULL, get(f, f->count));
    score_keys(f);
    Local *max = find_maximum(f), *shift = shift_of(f, get(f, max));
    Local *scale = scale_of(f, of_member(f, f->max), get(f, max), shift);
    Local *sum = weigh_keys(f, shift, op2(f, N_MUL, of_member(f, f->sum_of), get(f, scale)));
    sum_values(f, scale);
    set_member(f, f->max, get(f, max));
    set_member(f, f->sum_of, get(f, sum));
}

static void keep_parts(Few *f)
{
    Lower *l = f->l;
    Loop loop;
    Nest nest;
    heads_open(f, &loop);
    store_at(l, f->part_max, of_member(f, f->max));
    store_at(l, f->part_sum, of_member(f, f->sum_of));
    dims_open(l, &nest, f->n_dims, f->dims);
    store_at(l, f->part_total, of_member(f, f->total));
    nest_close(l, &nest);
    loop_close(l, &loop);
}

static void emit_chunk(Few *f)
{
    Lower *l = f->l;
    Loop keys, heads;
    Branch some;
    bool shared = !f->head || !node_depends_on(f->where, f->head);
    note(f, CENSUS_STRIP, node_bool(l->c, true), NULL);
    split_score(f);
    start_heads(f);
    loop_open(l, &keys, f->first, (Range){num(f, 0), num(f, CHUNK), num(f, FEW_LANES)});
    if (shared) list_keys(f);
    heads_open(f, &heads);
    if (!shared) list_keys(f);
    branch_open(l, &some, op2(f, N_LT, num(f, 0), get(f, f->count)));
    add_to_head(f);
    branch_close(l, &some);
    loop_close(l, &heads);
    loop_close(l, &keys);
    keep_parts(f);
}

/* ---- merging ---- */

static void chunks_open(Few *f, Loop *loop) { loop_open(f->l, loop, f->chunk, whole_range(f->l, f->chunk)); }

static void add_parts(Few *f, Local *max, Local *shift, Local *sum)
{
    Lower *l = f->l;
    Loop chunk;
    Nest nest;
    chunks_open(f, &chunk);
    Local *scale = scale_of(f, read_at(l, f->part_max), get(f, max), shift);
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
    Index *of_heads[MAX_INDICES];
    of_heads[0] = f->member = index_of(f, "member", num(f, f->head ? HEADS : 1));
    for (unsigned k = 0; k < f->n_dims; k++) of_heads[k + 1] = f->dims[k];
    f->lane = index_of(f, "lane", num(f, FEW_LANES));
    f->first = index_of(f, "first", num(f, CHUNK));
    f->place = index_of(f, "place", num(f, FEW_LANES));
    f->keys = scratch_new(l, "keys", num(f, 0), 1, &f->place);
    f->weights = scratch_new(l, "weights", f->score, 1, &f->lane);
    f->tops = scratch_new(l, "tops", f->score, 1, &f->lane);
    f->max = scratch_new(l, "max", f->score, 1, &f->member);
    f->sum_of = scratch_new(l, "sum", f->score, 1, &f->member);
    f->total = scratch_new(l, "total", f->sum, f->n_dims + 1, of_heads);
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
    if (f.n_outer > n_queries) f.head = f.outer[f.n_outer - n_queries - 1];
    if (f.head) {
        Node *blocks = op2(&f, N_ADD, node_size(l->c, f.head), num(&f, HEADS - 1));
        f.block = index_of(&f, "block", op2(&f, N_FLOORDIV, blocks, num(&f, HEADS)));
    }
    f.chunk = index_of(&f, "chunk", if_few(&f, few, op2(&f, N_FLOORDIV, more, num(&f, CHUNK))));
    Phase chunks = {.name = format(l->c, "pairwise %s, few queries: chunks of keys", out->name),
                    .tasks = NEW_ARRAY(l->c, Index *, MAX_INDICES + 1)};
    chunks.n_tasks = order_tasks(&f, chunks.tasks);
    Scope root;
    phase_open(l, &root, chunks.n_tasks, chunks.tasks);
    make_tensors(&f);
    f.bound = root.bound;
    set_add(&f.bound, f.place->id);
    if (f.head) set_add(&f.bound, f.head->id);
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
