/* Pairwise stages with queries in vector lanes: equations (see lower_strip.h).
 *
 * The queries of a strip are a box of one to three indices. Requires: a pairwise stage. Ensures: lanes beyond
 * the last query repeat it, and store the same value to the same place. Breaks: nothing; what does not fit is
 * left to lower_equation. */
#include "lower_strip.h"

#include "census.h"

#include "graph.h"
#include "lower_few.h"
#include "lower_queries.h"
#include "lower_rider.h"

#include <math.h>

Index *strip_index(Lower *l, const char *name, Node *extent)
{
    Index *index = index_new(l->c, name, l->span);
    index->extent = extent;
    return index;
}

/* ---- fitting ---- */

static bool is_streamable(const Node *n)
{
    return n->kind == REDUCE_SUM || n->kind == REDUCE_MAX || n->kind == REDUCE_MIN;
}

static void collect_sum(void *context, Node *n, const Binding *around)
{
    Strips *t = context;
    if (!around->binder && n->op == N_REDUCE && is_streamable(n)) PUSH(comp(&t->s), &t->sums, n);
}

typedef struct Found {
    const Strip *s;
    NodeList sums;
    bool other;
} Found;

static void find_varying(void *context, Node *n, const Binding *around)
{
    Found *f = context;
    if (around->binder || !node_is_binder(n) || !varies(f->s, n)) return;
    if (n->op == N_REDUCE && is_streamable(n))
        PUSH(f->s->l->c, &f->sums, n);
    else
        f->other = true;
}

static void accumulators(Strips *t, const Node *sum)
{
    const Tensor *out = t->stage->equation->tensor;
    t->s.n_dims = 0;
    for (unsigned k = 0; k < out->n_dims && t->s.n_dims < 15; k++)
        if (set_has(&t->inner, out->dims[k]->id) && node_depends_on(sum, out->dims[k]))
            t->s.dims[t->s.n_dims++] = out->dims[k];
}

/* NULL, or what does not fit. */
static const char *sums_fit(Strips *t)
{
    Strip *s = &t->s;
    Found f = {.s = s};
    walk(comp(s), t->body, find_varying, &f);
    t->sums = f.sums;
    if (f.other) return "it holds another reduction than a sum that differs from query to query";
    if (f.sums.n == 0) return "no sum differs from query to query";
    if (contains_op(comp(s), t->body, N_CHECK)) return "a value is checked as it runs";
    if (f.sums.n > 1 && s->n_residues) /* found in the first sum alone */
        return "several sums go by keys of one residue class";
    for (uint32_t k = 0; k < f.sums.n; k++) {
        accumulators(t, f.sums.at[k]);
        if (!strip_recognise(s, f.sums.at[k]))
            return "in a sum, what is summed is no weight of a pair times the rest, or its ranges or "
                   "conditions "
                   "differ from query to query in a form that lanes cannot share";
    }
    return NULL;
}

/* ---- emitting ---- */

/* Stores every element of the strip: its other dims around what the sums left. */
static void store_riders(Strips *t)
{
    Lower *l = t->s.l;
    Index *from[MOST_QUERIES];
    Node *to[MOST_QUERIES];
    for (unsigned k = 0; k < t->n; k++) {
        from[k] = t->queries[k].index;
        to[k] = t->queries[k].at;
    }
    for (uint32_t k = 0; k < t->riders.equations.n; k++) {
        const Equation *e = t->riders.equations.at[k];
        Node **subscripts = NEW_ARRAY(l->c, Node *, e->tensor->n_dims);
        for (unsigned d = 0; d < e->tensor->n_dims; d++)
            subscripts[d] = node_substitute(l->c, node_index(l->c, e->tensor->dims[d]), t->n, from, to);
        Node *value = rider_value(&t->riders, e->body, read_at(l, t->s.row_max), read_at(l, t->s.row_sum));
        store(l, e->tensor, subscripts, lower_value(l, node_substitute(l->c, value, t->n, from, to)));
    }
}

/* Coordinates of an element of the output, and its dims within a row. */
static Node **output_row(Strips *t, Index **rest, unsigned *n)
{
    Lower *l = t->s.l;
    const Tensor *out = t->stage->equation->tensor;
    Node **subscripts = NEW_ARRAY(l->c, Node *, out->n_dims);
    *n = 0;
    for (unsigned k = 0; k < out->n_dims; k++) {
        subscripts[k] = node_index(l->c, out->dims[k]);
        if (set_has(&t->inner, out->dims[k]->id)) rest[(*n)++] = out->dims[k];
        for (unsigned q = 0; q < t->n; q++)
            if (t->queries[q].index == out->dims[k]) subscripts[k] = t->queries[q].at;
    }
    return subscripts;
}

static void prefetch_output(Strips *t)
{
    Index *dims[MAX_INDICES + 1];
    unsigned n;
    Node **subscripts = output_row(t, dims + 1, &n);
    dims[0] = t->s.lane;
    if (n) strip_prefetch(&t->s, t->stage->equation->tensor, subscripts, n + 1, dims);
}

typedef struct Rows {
    const Strips *t;
    NodeList reads;
} Rows;

static void collect_key_row(void *context, const Node *n)
{
    Rows *r = context;
    bool row = n->op == N_READ && n->type == TYPE_REAL && !n->guarded && n->n_args &&
               node_depends_on(n, r->t->bucket.place) && !varies(&r->t->s, n) &&
               !set_meets(n->free, &r->t->inner);
    if (row) PUSH(r->t->s.l->c, &r->reads, (Node *)n);
}

/* Keys of the next strip that this one does not have lie anywhere in memory. */
static void prefetch_keys(Strips *t)
{
    Strip *s = &t->s;
    Lower *l = s->l;
    const Bucket *b = &t->bucket;
    Rows rows = {.t = t};
    Box lanes = s->lanes;
    Node *strip = node_index(l->c, s->tile), *lane = node_index(l->c, s->lane);
    Node *next = binary(s, N_ADD, strip, integer(s, 1));
    lanes.summaries = &l->summaries;
    Node *lo = box_greatest(l->c, &lanes, bucket_read(b, b->last, strip, lane));
    Node *hi = box_greatest(l->c, &lanes, bucket_read(b, b->last, next, lane));
    node_visit(l->c, t->body, collect_key_row, &rows);
    lo = lower_value(l, lo);
    hi = binary(s, N_MIN, lower_value(l, hi), binary(s, N_ADD, lo, integer(s, STRIP_BLOCK)));
    Loop loop;
    loop_open(l, &loop, b->place, (Range){lo, hi, NULL});
    for (uint32_t k = 0; k < rows.reads.n; k++) strip_prefetch_row(s, rows.reads.at[k]);
    loop_close(l, &loop);
}

static void store_strip(Strips *t)
{
    Lower *l = t->s.l;
    Tensor *out = t->stage->equation->tensor;
    Index *rest[MAX_INDICES];
    unsigned n;
    Node **subscripts = output_row(t, rest, &n);
    Nest nest;
    dims_open(l, &nest, n, rest);
    store(l, out, subscripts, lower_value(l, t->body));
    nest_close(l, &nest);
}

typedef struct Tiles {
    Strip *s;
    NodeList found;
} Tiles;

static void collect_tile(void *context, const Node *n)
{
    Tiles *t = context;
    if (n->op == N_READ && n->tensor->n_dims && n->tensor->dims[n->tensor->n_dims - 1] == t->s->lane)
        PUSH(comp(t->s), &t->found, (Node *)n);
}

static NodeList find_tiles(Strips *t)
{
    Tiles tiles = {.s = &t->s};
    node_visit(comp(&t->s), t->body, collect_tile, &tiles);
    return tiles.found;
}

/* Sums that stand in tiles [dims..., lane] are read as rows [lane, dims...], contiguous as the output's. */
static void turn_tiles(Strips *t)
{
    Strip *s = &t->s;
    NodeList tiles = find_tiles(t);
    for (uint32_t k = 0; k < tiles.n; k++) {
        Node *read = tiles.at[k];
        Tensor *tile = read->tensor;
        if (tile->n_dims == 1) continue;
        Index **dims = NEW_ARRAY(comp(s), Index *, tile->n_dims);
        for (unsigned d = 0; d < tile->n_dims; d++) dims[(d + 1) % tile->n_dims] = tile->dims[d];
        Tensor *rows = scratch_new(s->l, "rows", read, tile->n_dims, dims);
        strip_transpose(s, rows, tile, tile);
        t->body = node_replace(comp(s), t->body, read, read_at(s->l, rows));
    }
}

/* For counting (census.h). */
static void note_strip(Strips *t)
{
    Statement *note = emit(t->s.l, S_NOTE);
    note->text = CENSUS_STRIP;
    note->condition = node_bool(comp(&t->s), true);
    for (unsigned k = 0; k < t->n; k++)
        note->condition = binary(&t->s, N_AND, note->condition, t->queries[k].own);
}

static bool is_extreme(const Strip *s, const Tensor *tile)
{
    for (uint32_t k = 0; k < s->extremes.n; k++)
        if (s->extremes.at[k] == tile) return true;
    return false;
}

/* In lanes: NaN for those with a sum that is not finite. x * 0 is NaN then, and stays it in a sum. */
static void mark_taint(Strips *t, Tensor *taint)
{
    Lower *l = t->s.l;
    NodeList tiles = find_tiles(t);
    Node *zero = node_real(l->c, 0), *marks = zero;
    for (uint32_t k = 0; k < tiles.n; k++) {
        Node *tile = tiles.at[k];
        if (is_extreme(&t->s, tile->tensor)) continue;
        Nest nest;
        Local *mark = local_new(l, "mark", tile);
        set_local(l, mark, zero);
        dims_open(l, &nest, tile->tensor->n_dims - 1, tile->tensor->dims);
        set_local(l, mark,
                  node_binary(l->c, N_ADD, local_get(l, mark), node_binary(l->c, N_MUL, tile, zero)));
        nest_close(l, &nest);
        marks = node_binary(l->c, N_ADD, marks, local_get(l, mark));
    }
    store_at(l, taint, marks);
}

static Node *any_taint(Lower *l, Tensor *taint)
{
    Nest nest;
    Node *mark = read_at(l, taint);
    Local *any = local_new(l, "any", mark);
    set_local(l, any, node_real(l->c, 0));
    dims_open(l, &nest, 1, taint->dims);
    set_local(l, any, node_binary(l->c, N_ADD, local_get(l, any), mark));
    nest_close(l, &nest);
    return node_unary(l->c, N_NOT, node_binary(l->c, N_EQ, local_get(l, any), local_get(l, any)));
}

void strip_lanes_open(Strip *s)
{
    loop_open(s->l, &s->vector, s->lane, whole_range(s->l, s->lane));
    s->vector.kind = LOOP_VECTOR;
    s->l->lane = s->lane;
}

void strip_lanes_close(Strip *s)
{
    s->l->lane = NULL;
    loop_close(s->l, &s->vector);
}

static Tensor *stream_sums(Strips *t)
{
    Strip *s = &t->s;
    Lower *l = s->l;
    Tensor *taint = NULL;
    strip_lanes_open(s);
    note_strip(t);
    for (uint32_t k = 0; k < t->sums.n; k++) {
        s->stream = k;
        s->alone = t->body == t->sums.at[k];
        accumulators(t, t->sums.at[k]);
        t->body = node_replace(l->c, t->body, t->sums.at[k], strip_stream(s, t->sums.at[k]));
    }
    if (s->hidden) {
        Branch test;
        taint = scratch_new(l, "taint", node_real(l->c, 0), 1, &t->s.lane);
        branch_open(l, &test, local_get(l, s->hidden));
        mark_taint(t, taint);
        branch_close(l, &test);
    }
    strip_lanes_close(s);
    return taint;
}

/* May a hidden key hold a value that is not finite? */
static bool may_be_infinite(const Node *factor)
{
    return factor && (factor->op != N_REAL || !isfinite(factor->real));
}

static bool hides_values(Strips *t)
{
    for (uint32_t k = 0; k < t->sums.n; k++) {
        accumulators(t, t->sums.at[k]);
        bool hides =
            !node_is_bool(binder_where(t->sums.at[k]), true) && strip_recognise(&t->s, t->sums.at[k]);
        for (unsigned i = 0; hides && i < t->s.n_terms; i++)
            if (may_be_infinite(t->s.terms[i].factor)) return true;
    }
    return false;
}

/* A hidden key weighs 0, but 0 times a value that is not finite is NaN. That is rare: the sums are made
 * without a test of every value, and once more with one if hidden keys took part and anything became NaN. */
static void stream_twice(Strips *t)
{
    Strip *s = &t->s;
    Lower *l = s->l;
    Node *yes = node_bool(l->c, true);
    Index *attempt = strip_index(l, "attempt", integer(s, 2));
    Local *open = local_make(l, "open", TYPE_BOOL, true);
    s->hidden = local_make(l, "hidden", TYPE_BOOL, true);
    set_local(l, open, yes);
    Loop attempts;
    Branch needed, test;
    loop_open(l, &attempts, attempt, whole_range(l, attempt));
    branch_open(l, &needed, local_get(l, open));
    s->again = binary(s, N_EQ, node_index(l->c, attempt), integer(s, 1));
    set_local(l, s->hidden, node_bool(l->c, false));
    Tensor *taint = stream_sums(t);
    set_local(l, open, node_bool(l->c, false));
    branch_open(l, &test, local_get(l, s->hidden));
    set_local(l, open, any_taint(l, taint));
    branch_close(l, &test);
    branch_close(l, &needed);
    loop_close(l, &attempts);
}

static void emit_strip(Strips *t)
{
    Strip *s = &t->s;
    Lower *l = s->l;
    Loop lane;
    Branch exists;
    Node *some = node_bool(l->c, true);
    for (unsigned k = 0; k < t->n; k++) some = node_binary(l->c, N_AND, some, t->queries[k].exists);
    branch_open(l, &exists, lower_value(l, some));
    s->outside = l->scope;
    if (t->riders.equations.n) {
        s->row_max = scratch_new(l, "row.max", t->riders.score, 1, &s->lane);
        s->row_sum = scratch_new(l, "row.sum", t->riders.score, 1, &s->lane);
    }
    prefetch_output(t);
    if (t->ordered) prefetch_keys(t);
    if (hides_values(t))
        stream_twice(t);
    else
        stream_sums(t);
    turn_tiles(t);
    loop_open(l, &lane, s->lane, whole_range(l, s->lane));
    store_strip(t);
    store_riders(t);
    loop_close(l, &lane);
    branch_close(l, &exists);
}

/* NULL, or why the stage does not run in strips. */
static const char *obstacle(Strips *t)
{
    if (t->s.l->schedule.lanes == 0) return "the target has no lanes";
    if (t->stage->equation->tensor->optional) return "the output is optional";
    if (t->sums.n == 0) return "it has no sum over keys";
    if (!queries_choose(t)) return "its output has no index of queries";
    if (!queries_place(t)) return "a row along the queries is normalised or chosen from";
    return sums_fit(t);
}

static Strips strips_with(Lower *l, const Stage *stage, unsigned lanes)
{
    Strips t = {.s = {.l = l, .n_lanes = lanes, .block = STRIP_BLOCK}, .stage = stage};
    if (lanes > l->schedule.lanes) t.s.block /= 2; /* scores of a block take as much of the first cache */
    t.inner = plan_inner(l->c, stage->equation);
    walk(l->c, stage->equation->body, collect_sum, &t);
    t.only = t.sums.n == 1 ? t.sums.at[0] : NULL;
    return t;
}

/* Does no sum go by a window that moves with the queries? */
static bool stands_still(Strips *t)
{
    bool still = !t->ordered;
    for (uint32_t k = 0; still && k < t->sums.n; k++) {
        accumulators(t, t->sums.at[k]);
        still = strip_recognise(&t->s, t->sums.at[k]) && !strip_halves_pay(&t->s);
    }
    return still;
}

/* Twice the lanes take half as many loads for a product, and half as many starts and ends for the keys that a
 * strip looks up and fetches. They pay where they visit no more pairs: in blocks of queries that see the same
 * keys. l->plain: NULL, or why the stage does not run in strips. */
static Strips choose_lanes(Lower *l, const Stage *stage)
{
    Strips t = strips_with(l, stage, 2 * l->schedule.lanes);
    l->plain = NULL;
    if (queries_in_blocks(&t) && !obstacle(&t) && stands_still(&t)) return t;
    t = strips_with(l, stage, l->schedule.lanes);
    l->plain = obstacle(&t);
    return t;
}

static const char *strips_in_words(const Strips *t)
{
    Text out = {.c = t->s.l->c};
    text_add(&out, "strips of %u queries in lanes, %s ", t->s.n_lanes, t->n > 1 ? "boxes of" : "along");
    for (unsigned k = 0; k < t->n; k++) {
        if (t->n > 1) text_add(&out, "%s%u along ", k ? " by " : "", t->queries[k].lanes);
        text_add(&out, "%s", t->queries[k].index->name);
    }
    if (t->s.n_residues) text_add(&out, ", each of one residue class");
    if (t->ordered) text_add(&out, ", queries and keys in the order of their labels");
    return out.at;
}

bool lower_strips(Lower *l, const Stage *stage)
{
    const Tensor *out = stage->equation->tensor;
    l->span = out->span;
    Strips t = choose_lanes(l, stage);
    if (l->plain) return false;
    Node *only = t.only;
    Index *rows[MAX_INDICES];
    t.riders = find_riders(l, stage, only, strip_outer_dims(out, &t.inner, rows), rows);
    for (uint32_t k = 0; k < t.riders.equations.n; k++) PUSH(l->c, &l->riders, t.riders.equations.at[k]);
    Node *few = only ? few_queries(l, out, only, t.n, &t.inner) : node_bool(l->c, false);
    if (!node_is_bool(few, false)) lower_few(l, stage, only, t.n, &t.inner, few, &t.riders);
    if (node_is_bool(few, true)) return true;
    Index *tile = t.queries[t.n - 1].tile;
    tile->extent = node_if(l->c, few, node_int(l->c, 0), tile->extent);
    if (t.ordered) bucket_phases(&t.bucket, few);
    for (uint32_t k = 0; k < t.sums.n; k++) lower_summaries(l, &t.s.lanes, t.sums.at[k]);
    Phase phase = {.name = format(l->c, "pairwise %s, queries in lanes", out->name),
                   .how = strips_in_words(&t),
                   .hides = hides_values(&t),
                   .when = node_is_bool(few, false) ? NULL : node_unary(l->c, N_NOT, few),
                   .tasks = NEW_ARRAY(l->c, Index *, out->n_dims)};
    phase.n_tasks = strip_outer_dims(out, &t.inner, phase.tasks);
    for (unsigned k = 0; k < t.n; k++) phase.tasks[phase.n_tasks - t.n + k] = t.queries[k].tile;
    Scope root;
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    emit_strip(&t);
    phase_close(l, &root, phase);
    return true;
}
