/* Pairwise stages with queries in vector lanes: equations (see lower_strip.h).
 *
 * The queries of a strip are a box of one to three indices. Requires: a pairwise stage. Ensures: lanes beyond
 * the last query repeat it, and store the same value to the same place. Breaks: nothing; what does not fit is
 * left to lower_equation. */
#include "lower_strip.h"

#include "census.h"

#include "graph.h"
#include "lower_bucket.h"
#include "lower_few.h"
#include "lower_rider.h"

#include <math.h>

Index *strip_index(Lower *l, const char *name, Node *extent)
{
    Index *index = index_new(l->c, name, l->span);
    index->extent = extent;
    return index;
}

/* ---- queries and lanes ---- */

/* One index of the queries: the tile (a task index) says which of its positions the lanes hold. */
typedef struct Query {
    Index *index, *tile;
    unsigned lanes;
    const Residue *residue;
    Node *at;     /* the position of a lane */
    Node *own;    /* is it one of the lane's own? those beyond the last repeat it */
    Node *exists; /* has the tile any? */
} Query;

typedef struct Tiling {
    Strip s;
    const Stage *stage;
    Query queries[MOST_QUERIES];
    unsigned n;
    bool ordered; /* the lanes of the only query are in the order of labels */
    Bucket bucket;
    IndexSet inner;
    NodeList sums;
    Node *only; /* sum of the body, as it was */
    Node *body;
    Riders riders;
} Tiling;

static unsigned outer_dims(const Tensor *t, const IndexSet *inner, Index **dims)
{
    unsigned n = 0;
    for (unsigned k = 0; k < t->n_dims; k++)
        if (!set_has(inner, t->dims[k]->id)) dims[n++] = t->dims[k];
    return n;
}

static bool is_streamable(const Node *n)
{
    return n->kind == REDUCE_SUM || n->kind == REDUCE_MAX || n->kind == REDUCE_MIN;
}

static void collect_sum(void *context, Node *n, const Binding *around)
{
    Tiling *t = context;
    if (!around->binder && n->op == N_REDUCE && is_streamable(n)) PUSH(comp(&t->s), &t->sums, n);
}

/* Does a condition over several streamed indices tell positions of this index apart? Then lanes spread along
 * it. */
static bool is_spatial(const Tiling *t, const Index *index)
{
    for (uint32_t k = 0; k < t->sums.n; k++)
        if (t->sums.at[k]->n_vars < 2 || !node_depends_on(binder_where(t->sums.at[k]), index)) return false;
    return t->sums.n > 0;
}

/* The last outer index holds the lanes, or up to three spatial ones in boxes such as 8 x 4 and 4 x 2 x 4: of
 * cubes, two along the first index, for either half of the lanes may see keys that the other does not. */
static bool choose_queries(Tiling *t)
{
    Index *outer[MAX_INDICES];
    unsigned n = outer_dims(t->stage->equation->tensor, &t->inner, outer), lanes = t->s.n_lanes;
    if (n == 0 || outer[n - 1]->ambient) return false;
    t->n = 1;
    while (t->n < MOST_QUERIES && t->n < n && !outer[n - 1 - t->n]->ambient &&
           is_spatial(t, outer[n - 1 - t->n]))
        t->n++;
    for (unsigned k = 0; k < t->n; k++) t->queries[k] = (Query){.index = outer[n - t->n + k], .lanes = 1};
    for (unsigned turn = 0; lanes > 1; turn++, lanes /= 2) /* the first, the last, those between */
        t->queries[(t->n - turn % t->n) % t->n].lanes *= 2;
    return true;
}

/* ---- residues ---- */

/* e as `sign * index + rest`; 0: it is not. */
static int linear_in(Compilation *c, const Node *e, const Index *index, Node **rest)
{
    if (e->op == N_INDEX && e->index == index) {
        *rest = node_int(c, 0);
        return 1;
    }
    if (e->op != N_ADD && e->op != N_SUB) return 0;
    bool left = node_depends_on(e->args[0], index), right = node_depends_on(e->args[1], index);
    if (left == right) return 0;
    int sign = linear_in(c, e->args[right], index, rest);
    if (!sign) return 0;
    if (left)
        *rest = node_binary(c, e->op, *rest, e->args[1]);
    else if (e->op == N_ADD)
        *rest = node_binary(c, N_ADD, e->args[0], *rest);
    else {
        *rest = node_binary(c, N_SUB, e->args[0], *rest);
        return -sign;
    }
    return sign;
}

/* `(query - key + ...) % modulus == 0`, either way round. */
static bool match_residue(Strip *s, Node *test, Index *query, Index *key, Residue *r)
{
    if (test->op != N_EQ) return false;
    Node *mod = test->args[test->args[0]->op != N_MOD], *zero = test->args[test->args[0]->op == N_MOD], *rest;
    if (mod->op != N_MOD || !node_is_int(zero, 0) || mod->args[1]->free != set_empty(comp(s))) return false;
    int of_query = linear_in(comp(s), mod->args[0], query, &rest),
        of_key = linear_in(comp(s), mod->args[0], key, &rest);
    if (of_query * of_key != -1) return false;
    if (of_key > 0) rest = node_unary(comp(s), N_NEG, rest);
    *r = (Residue){query, key, test, mod->args[1], rest};
    return true;
}

static void find_residue(Tiling *t, Query *q)
{
    Strip *s = &t->s;
    const Node *sum = t->sums.at[0];
    NodeList tests = {0};
    conjuncts(comp(s), binder_where(sum), &tests);
    for (uint32_t k = 0; k < tests.n && !q->residue; k++)
        for (unsigned v = 0; v < sum->n_vars && !q->residue; v++)
            if (match_residue(s, tests.at[k], q->index, sum->vars[v], &s->residues[s->n_residues]))
                q->residue = &s->residues[s->n_residues++];
}

/* ---- tiles ---- */

/* This query's part of the lane number. */
static Node *lane_of(const Tiling *t, unsigned number)
{
    Strip *s = (Strip *)&t->s;
    Node *lane = node_index(comp(s), s->lane);
    int64_t below = 1;
    for (unsigned k = number + 1; k < t->n; k++) below *= t->queries[k].lanes;
    if (below > 1) lane = binary(s, N_FLOORDIV, lane, integer(s, below));
    return number ? binary(s, N_MOD, lane, integer(s, t->queries[number].lanes)) : lane;
}

/* Positions class + modulus * cell: all of one residue class; without a residue the class is 0 and the
 * modulus 1. */
static void place_query(Tiling *t, unsigned number)
{
    Strip *s = &t->s;
    Query *q = &t->queries[number];
    Node *size = node_size(comp(s), q->index), *one = integer(s, 1), *modulus = one, *class = integer(s, 0);
    if (q->residue) {
        modulus = binary(s, N_MAX, node_unary(comp(s), N_ABS, q->residue->modulus), one);
        modulus = binary(s, N_MIN, modulus, binary(s, N_MAX, size, one));
    }
    Node *lanes = integer(s, q->lanes), *tiles = round_up(s, round_up(s, size, modulus), lanes);
    q->tile = strip_index(s->l, "strip", binary(s, N_MUL, modulus, tiles));
    Node *tile = node_index(comp(s), q->tile);
    if (q->residue) {
        class = binary(s, N_FLOORDIV, tile, tiles);
        tile = binary(s, N_MOD, tile, tiles);
    }
    Node *last = binary(s, N_SUB, size, one);
    if (q->residue) last = binary(s, N_FLOORDIV, binary(s, N_SUB, last, class), modulus);
    Node *cell = binary(s, N_ADD, binary(s, N_MUL, tile, lanes), lane_of(t, number));
    q->own = binary(s, N_LE, cell, last);
    cell = binary(s, N_MIN, cell, last);
    q->at = binary(s, N_ADD, class, binary(s, N_MUL, modulus, cell));
    q->exists =
        node_bool(comp(s), true); /* classes differ in size by one: the last tile of one may be empty */
    if (q->residue) q->exists = binary(s, N_LE, binary(s, N_MUL, tile, lanes), last);
}

/* Strips in the order of labels, where the only condition over pairs asks that they be equal. */
static bool order_query(Tiling *t)
{
    Index *outer[MAX_INDICES];
    unsigned n = outer_dims(t->stage->equation->tensor, &t->inner, outer);
    Query *q = &t->queries[0];
    Strip *s = &t->s;
    Bucket *b = &t->bucket;
    if (t->n > 1 || t->sums.n > 1 || q->residue ||
        !bucket_find(s->l, t->sums.at[0], q->index, n - 1, outer, b))
        return false;
    q->tile = strip_index(s->l, "strip", bucket_strips(b));
    Node *strip = node_index(comp(s), q->tile), *lane = node_index(comp(s), s->lane);
    Node *count = bucket_read(b, b->count, strip, NULL);
    q->own = binary(s, N_LT, lane, count);
    q->at = bucket_read(b, b->at, strip, lane);
    q->exists = binary(s, N_LT, integer(s, 0), count);
    return true;
}

/* `query // D` where D is a multiple of the lanes: the same for all of them, for tiles begin at multiples. */
static const Query *uniform_quotient(const Tiling *t, const Node *n)
{
    if (n->op != N_FLOORDIV || n->args[0]->op != N_INDEX || n->args[1]->op != N_INT) return NULL;
    for (unsigned k = 0; k < t->n; k++) {
        const Query *q = &t->queries[k];
        if (n->args[0]->index == q->index && !q->residue && !t->ordered && n->args[1]->integer > 0 &&
            n->args[1]->integer % q->lanes == 0)
            return q;
    }
    return NULL;
}

typedef struct Quotients {
    const Tiling *t;
    NodeList found;
} Quotients;

static void collect_quotient(void *context, const Node *n)
{
    Quotients *q = context;
    if (uniform_quotient(q->t, n)) PUSH(q->t->s.l->c, &q->found, (Node *)n);
}

static Node *with_uniform_quotients(Tiling *t, Node *body)
{
    Compilation *c = comp(&t->s);
    Quotients q = {.t = t};
    node_visit(c, body, collect_quotient, &q);
    for (uint32_t k = 0; k < q.found.n; k++) {
        Node *n = q.found.at[k], *zero = integer(&t->s, 0);
        Node *first = node_substitute(c, uniform_quotient(t, n)->at, 1, &t->s.lane, &zero);
        body = node_replace(c, body, n, node_binary(c, N_FLOORDIV, first, n->args[1]));
    }
    return body;
}

/* Everything about queries in terms of lanes. */
static bool place_body(Tiling *t)
{
    Strip *s = &t->s;
    Compilation *c = comp(s);
    Node *body = t->stage->equation->body, *first = integer(s, 0);
    Index *from[MOST_QUERIES];
    Node *to[MOST_QUERIES];
    s->lane = strip_index(s->l, "lane", integer(s, s->n_lanes));
    s->lanes = (Box){.n = 1};
    s->lanes.sides[0] = (BoxSide){s->lane, first, integer(s, s->n_lanes)};
    for (unsigned k = 0; k < t->n; k++) {
        find_residue(t, &t->queries[k]);
        t->ordered = order_query(t);
        if (!t->ordered) place_query(t, k);
        s->tile = t->queries[k].tile;
        from[k] = t->queries[k].index;
        to[k] = t->queries[k].at;
    }
    body = with_uniform_quotients(t, body);
    if (t->ordered) body = bucket_body(&t->bucket, body, node_index(c, s->tile), node_index(c, s->lane));
    if (!node_substitutable(c, body, t->n, from, to)) return false;
    t->body = node_substitute(c, body, t->n, from, to);
    for (unsigned k = 0; k < s->n_residues; k++) { /* a whole class has one target: that of its first lane */
        Residue *r = &s->residues[k];
        r->test = node_substitute(c, r->test, t->n, from, to);
        r->target = node_substitute(c, r->target, t->n, from, to);
        r->target = node_substitute(c, r->target, 1, &s->lane, &first);
    }
    return true;
}

/* ---- fitting ---- */

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

static void accumulators(Tiling *t, const Node *sum)
{
    const Tensor *out = t->stage->equation->tensor;
    t->s.n_dims = 0;
    for (unsigned k = 0; k < out->n_dims && t->s.n_dims < 15; k++)
        if (set_has(&t->inner, out->dims[k]->id) && node_depends_on(sum, out->dims[k]))
            t->s.dims[t->s.n_dims++] = out->dims[k];
}

/* NULL, or what does not fit. */
static const char *sums_fit(Tiling *t)
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
static void store_riders(Tiling *t)
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
static Node **output_row(Tiling *t, Index **rest, unsigned *n)
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

static void prefetch_output(Tiling *t)
{
    Index *dims[MAX_INDICES + 1];
    unsigned n;
    Node **subscripts = output_row(t, dims + 1, &n);
    dims[0] = t->s.lane;
    if (n) strip_prefetch(&t->s, t->stage->equation->tensor, subscripts, n + 1, dims);
}

typedef struct Rows {
    const Tiling *t;
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
static void prefetch_keys(Tiling *t)
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

static void store_strip(Tiling *t)
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

static NodeList find_tiles(Tiling *t)
{
    Tiles tiles = {.s = &t->s};
    node_visit(comp(&t->s), t->body, collect_tile, &tiles);
    return tiles.found;
}

/* Sums that stand in tiles [dims..., lane] are read as rows [lane, dims...], contiguous as the output's. */
static void turn_tiles(Tiling *t)
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
static void note_strip(Tiling *t)
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
static void mark_taint(Tiling *t, Tensor *taint)
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

static Tensor *stream_sums(Tiling *t)
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

static bool hides_values(Tiling *t)
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
static void stream_twice(Tiling *t)
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

static void emit_strip(Tiling *t)
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
static const char *obstacle(Tiling *t)
{
    if (t->s.l->schedule.lanes == 0) return "the target has no lanes";
    if (t->stage->equation->tensor->optional) return "the output is optional";
    if (t->sums.n == 0) return "it has no sum over keys";
    if (!choose_queries(t)) return "its output has no index of queries";
    if (!place_body(t)) return "a row along the queries is normalised or chosen from";
    return sums_fit(t);
}

static Tiling tiling_with(Lower *l, const Stage *stage, unsigned lanes)
{
    Tiling t = {.s = {.l = l, .n_lanes = lanes, .block = STRIP_BLOCK}, .stage = stage};
    if (lanes > l->schedule.lanes) t.s.block /= 2; /* scores of a block take as much of the first cache */
    t.inner = plan_inner(l->c, stage->equation);
    walk(l->c, stage->equation->body, collect_sum, &t);
    t.only = t.sums.n == 1 ? t.sums.at[0] : NULL;
    return t;
}

/* Are queries told apart by quotients that all lanes share? */
static bool in_blocks(Tiling *t)
{
    Quotients q = {.t = t};
    if (!choose_queries(t)) return false;
    node_visit(comp(&t->s), t->stage->equation->body, collect_quotient, &q);
    for (unsigned k = 0; k < t->n; k++) {
        bool found = false;
        for (uint32_t i = 0; i < q.found.n; i++)
            found |= q.found.at[i]->args[0]->index == t->queries[k].index;
        if (!found) return false;
    }
    return true;
}

/* Does no sum go by a window that moves with the queries? */
static bool stands_still(Tiling *t)
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
static Tiling choose_lanes(Lower *l, const Stage *stage)
{
    Tiling t = tiling_with(l, stage, 2 * l->schedule.lanes);
    l->plain = NULL;
    if (in_blocks(&t) && !obstacle(&t) && stands_still(&t)) return t;
    t = tiling_with(l, stage, l->schedule.lanes);
    l->plain = obstacle(&t);
    return t;
}

static const char *strips_in_words(const Tiling *t)
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
    Tiling t = choose_lanes(l, stage);
    if (l->plain) return false;
    Node *only = t.only;
    Index *rows[MAX_INDICES];
    t.riders = find_riders(l, stage, only, outer_dims(out, &t.inner, rows), rows);
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
    phase.n_tasks = outer_dims(out, &t.inner, phase.tasks);
    for (unsigned k = 0; k < t.n; k++) phase.tasks[phase.n_tasks - t.n + k] = t.queries[k].tile;
    Scope root;
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    emit_strip(&t);
    phase_close(l, &root, phase);
    return true;
}
