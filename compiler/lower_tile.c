/* Pairwise stages as tiles of queries and keys: of 16 bits for tensor cores (Dao 2023), of f32 without.
 *
 * Requires: a pairwise stage, and a schedule that knows the extents of features. Ensures: the body of the
 * phase computes the same, one query after the other; its Tile says how a block of threads does it. Breaks:
 * nothing; what does not fit is left to lower_equation. */
#include "lower_tile.h"

#include "graph.h"
#include "lower_strip.h"
#include "tile_model.h"

#include <math.h>
#include <string.h>

enum { BLOCK_QUERIES = TILE_MODEL_QUERIES /* 8 x 8, 4 x 4 x 4 */, MOST_FEATURES = 256 };

static Node *number(Tiling *x, int64_t n) { return node_int(x->l->c, n); }
static Node *combine(Tiling *x, Op op, Node *a, Node *b) { return node_binary(x->l->c, op, a, b); }

/* ---- recognising ---- */

void tiling_collect(void *context, Node *n, const Binding *around)
{
    Tiling *x = context;
    if (!around->binder && node_is_binder(n)) PUSH(x->l->c, &x->binders, n);
}

int64_t tile_extent(const Lower *l, const Node *size)
{
    if (size->op == N_INT) return size->integer;
    if (size->op != N_SIZE || !l->schedule.fixed) return -1;
    return l->schedule.fixed[size->index->number];
}

StorageType tile_storage(const Lower *l, const Tensor *t)
{
    const Buffer *b = kernel_buffer(l->kernel, t);
    if (!b) return STORAGE_F32; /* of a map of several */
    if (b->kind != BUFFER_BOUND) return b->exact ? STORAGE_F64 : STORAGE_F32;
    return t->storage == STORAGE_FLOAT ? l->schedule.real : t->storage;
}

/* A row of features in memory: of the type that all have, with `feature` as its last coordinate alone. */
static bool is_row(const Tiling *x, const Node *n, const Index *feature)
{
    if (n->op != N_READ || n->guarded || n->n_args == 0 || n->type != TYPE_REAL) return false;
    const Tensor *t = n->tensor;
    if (t->optional || tile_storage(x->l, t) != x->l->schedule.real) return false;
    for (unsigned k = 0; k < n->n_args; k++) {
        bool last = k + 1 == n->n_args;
        if (last ? n->args[k]->op != N_INDEX || n->args[k]->index != feature
                 : node_depends_on(n->args[k], feature))
            return false;
        if (contains_binder(x->l->c, n->args[k])) return false;
    }
    return true;
}

static bool depends_on_keys(const Tiling *x, const Node *n)
{
    for (unsigned k = 0; k < x->sum->n_vars; k++)
        if (node_depends_on(n, x->sum->vars[k])) return true;
    return false;
}

/* sum[d](q * k) with all of d. */
static const char *match_product(Tiling *x)
{
    Tile *t = x->t;
    x->binders.n = 0;
    walk(x->l->c, x->weight, tiling_collect, x);
    for (uint32_t k = 1; k < x->binders.n; k++)
        if (x->binders.at[k] != x->binders.at[0]) return "the score holds more than one sum";
    Node *n = x->binders.n ? x->binders.at[0] : NULL;
    if (!n || n->op != N_REDUCE || n->kind != REDUCE_SUM || n->n_vars != 1 ||
        !node_is_bool(binder_where(n), true) || binder_body(n)->op != N_MUL)
        return "the score holds no sum of products";
    Index *feature = n->vars[0];
    Node *a = binder_body(n)->args[0], *b = binder_body(n)->args[1];
    if (depends_on_keys(x, a))
        t->k = a, t->q = b;
    else
        t->q = a, t->k = b;
    if (!is_row(x, t->q, feature) || !is_row(x, t->k, feature) || depends_on_keys(x, t->q))
        return "the products of the score are not those of rows in memory";
    if (!node_is_int(binder_lo(n, 0), 0) || node_size(x->l->c, feature) != binder_hi(n, 0))
        return "the score sums part of the rows";
    t->d = tile_extent(x->l, binder_hi(n, 0));
    x->product = n;
    return NULL;
}

static bool is_query(const Tiling *x, const Index *i)
{
    return !i->ambient && node_depends_on(x->t->q, i) && !node_depends_on(x->t->k, i) &&
           (!x->factor || !node_depends_on(x->factor, i));
}

/* The last index of the output that tells queries apart, but not keys or values; with keys of several indices
 * those before it, too, that conditions look at. */
static const char *choose_queries(Tiling *x)
{
    static const unsigned shapes[TILE_DIMS][TILE_DIMS] = {{BLOCK_QUERIES}, {8, 8}, {4, 4, 4}};
    Tile *t = x->t;
    unsigned last = x->n_outer, first;
    while (last && !is_query(x, x->outer[last - 1])) last--;
    if (!last) return "no index of the output tells queries apart, but not keys";
    for (first = last - 1; first && last - first < TILE_DIMS && x->sum->n_vars > 1; first--) {
        Index *i = x->outer[first - 1];
        if (!is_query(x, i) || !node_depends_on(binder_where(x->sum), i)) break;
    }
    t->n_queries = last - first;
    for (unsigned k = 0; k < t->n_queries; k++) {
        t->query[k] = x->outer[first + k];
        t->shape[k] = shapes[t->n_queries - 1][k];
    }
    return NULL;
}

static Node *sink_of(const Tiling *x) { return x->softmax ? binder_extra(x->softmax) : NULL; }

static bool is_plain(Tiling *x, const Node *n) { return !n || !contains_binder(x->l->c, n); }

/* The features of the values are the output's innermost index; without one the output is a number for every
 * query. */
static const char *match_column(Tiling *x)
{
    const Tensor *out = x->stage->equation->tensor;
    unsigned n_inner = 0;
    for (unsigned k = 0; k < out->n_dims; k++)
        if (set_has(&x->inner, out->dims[k]->id))
            x->t->column = out->dims[k], n_inner++;
        else
            x->outer[x->n_outer++] = out->dims[k];
    if (!n_inner) return NULL;
    if (n_inner != 1 || x->t->column != out->dims[out->n_dims - 1])
        return "its output has no single index of features, which is its last";
    x->t->e = tile_extent(x->l, node_size(x->l->c, x->t->column));
    return NULL;
}

/* A factor of weights as a product of a row and what all of its features share. */
static void split_gain(Tiling *x, Node *n, Node **gain, Node **row)
{
    Index *column = x->t->column;
    if (!node_depends_on(n, column)) {
        *gain = combine(x, N_MUL, *gain, n);
    } else if (n->op == N_NEG) {
        *gain = node_unary(x->l->c, N_NEG, *gain);
        split_gain(x, n->args[0], gain, row);
    } else if (n->op == N_MUL) {
        split_gain(x, n->args[0], gain, row);
        split_gain(x, n->args[1], gain, row);
    } else
        *row = combine(x, N_MUL, *row, n);
}

/* Weights of one softmax, or as they are, with values or without. */
static const char *match_weights(Tiling *x)
{
    Lower *l = x->l;
    Softmaxes found;
    bool softmaxes = find_softmaxes(l->c, x->sum, &found);
    if (softmaxes ? found.n != 1 || !x->t->column : found.any)
        return "its weights are not those of one softmax";
    x->softmax = softmaxes ? found.softmax[0] : NULL;
    x->gain = x->factor = x->weight = node_real(l->c, 1);
    if (softmaxes) {
        x->weight = binder_body(x->softmax);
        split_gain(x, found.factor[0], &x->gain, &x->factor);
    } else
        split_product(l, binder_body(x->sum), x->t->column != NULL, &x->t->column, &x->weight, &x->factor);
    if (!x->t->column)
        x->factor = NULL;
    else if (!is_row(x, x->factor, x->t->column))
        return "what is weighted is no row in memory";
    x->t->v = x->factor;
    return NULL;
}

/* A weighted sum, or the greatest score. */
static const char *match_sum(Tiling *x)
{
    const char *why = NULL;
    x->sum = x->binders.n == 1 ? x->binders.at[0] : NULL;
    bool one = x->sum && x->sum->op == N_REDUCE && x->sum->type == TYPE_REAL && x->sum->n_vars <= TILE_DIMS;
    x->greatest = one && x->sum->kind == REDUCE_MAX && !x->t->column;
    if (!one || (x->sum->kind != REDUCE_SUM && !x->greatest))
        return "it is not made of one sum over up to three indices";
    if (x->greatest)
        x->weight = binder_body(x->sum);
    else
        why = match_weights(x);
    if (!why) x->weight = simplify_assuming(x->l->c, x->weight, binder_where(x->sum));
    return why;
}

static const char *check_extents(const Tiling *x)
{
    const Tile *t = x->t;
    if (t->d < 1 || (t->column && t->e < 1)) return TILE_OPEN;
    if (t->d > MOST_FEATURES || t->e > MOST_FEATURES) return "more than 256 features";
    return NULL;
}

/* NULL, or why the stage does not run in tiles. */
static const char *obstacle(Tiling *x)
{
    Lower *l = x->l;
    const Equation *e = x->stage->equation;
    StorageType real = l->schedule.real, out = tile_storage(x->l, e->tensor);
    if (real == STORAGE_F64) return "tiles are of f32, f16 or bf16";
    if (e->tensor->optional || (out != STORAGE_F32 && out != real))
        return "what it computes is kept in f64, or is optional";
    if (contains_op(l->c, e->body, N_CHECK)) return "a value is checked as it runs";
    x->inner = plan_inner(l->c, e);
    walk(l->c, e->body, tiling_collect, x);
    const char *why = match_column(x);
    if (!why) why = match_sum(x);
    if (!why) why = match_product(x);
    if (!why) why = choose_queries(x);
    if (!why) why = check_extents(x);
    if (why) return why;
    Node *rest = node_replace(l->c, x->weight, x->product, node_real(l->c, 0));
    if (!is_plain(x, rest) || !is_plain(x, x->gain) || !is_plain(x, binder_where(x->sum)) ||
        !is_plain(x, sink_of(x)) || !is_plain(x, node_replace(l->c, e->body, x->sum, node_real(l->c, 0))))
        return "scores or conditions hold further reductions";
    const Index *column = x->t->column;
    bool fits =
        !column || (!node_depends_on(binder_where(x->sum), column) && !node_depends_on(x->weight, column));
    for (unsigned k = 0; k < x->sum->n_vars && fits; k++) {
        Node *lo = binder_lo(x->sum, k), *hi = binder_hi(x->sum, k);
        fits = is_plain(x, lo) && is_plain(x, hi) && !depends_on_keys(x, lo) && !depends_on_keys(x, hi);
    }
    return fits ? NULL : "scores or conditions differ from feature to feature, or ranges from key to key";
}

/* ---- the tile ---- */

static bool is_positive(const Node *n)
{
    if (n->op == N_REAL) return n->real > 0;
    if (n->op == N_SQRT || n->op == N_TO_REAL) return is_positive(n->args[0]);
    if (n->op == N_DIV || n->op == N_MUL) return is_positive(n->args[0]) && is_positive(n->args[1]);
    return n->op == N_SIZE;
}

/* A score that is a positive multiple of the product: the factor, which joins that of exp2, or of the result.
 */
static Node *scale_of(Tiling *x)
{
    Compilation *c = x->l->c;
    Node *n = x->weight;
    if (sink_of(x)) return NULL;
    if (n == x->product) return node_real(c, 1);
    if (n->op == N_DIV && n->args[0] == x->product && is_positive(n->args[1]))
        return combine(x, N_DIV, node_real(c, 1), n->args[1]);
    if (n->op == N_MUL && n->args[0] == x->product && is_positive(n->args[1])) return n->args[1];
    if (n->op == N_MUL && n->args[1] == x->product && is_positive(n->args[0])) return n->args[0];
    return NULL;
}

static BoxSide side_of_queries(Tiling *x, unsigned k)
{
    const Tile *t = x->t;
    Node *size = node_size(x->l->c, t->query[k]), *shape = number(x, t->shape[k]);
    Node *from = combine(x, N_MUL, node_index(x->l->c, t->block[k]), shape);
    return (BoxSide){t->query[k], from, combine(x, N_MIN, combine(x, N_ADD, from, shape), size)};
}

static bool depends_on_queries(const Tile *t, const Node *n)
{
    for (unsigned k = 0; k < t->n_queries; k++)
        if (node_depends_on(n, t->query[k])) return true;
    return false;
}

/* Ranges that differ from query to query are conditions, too. */
static Node *whole_condition(Tiling *x)
{
    Node *where = binder_where(x->sum);
    for (unsigned k = 0; k < x->sum->n_vars; k++) {
        Node *lo = binder_lo(x->sum, k), *hi = binder_hi(x->sum, k), *key = node_index(x->l->c, x->t->key[k]);
        if (depends_on_queries(x->t, lo)) where = combine(x, N_AND, where, combine(x, N_LE, lo, key));
        if (depends_on_queries(x->t, hi)) where = combine(x, N_AND, where, combine(x, N_LT, key, hi));
    }
    return where;
}

static Local *set_key_local(Tiling *x, const char *form, unsigned k, Node *value)
{
    Local *local = local_make(x->l, format(x->l->c, form, x->t->key[k]->name), TYPE_INT, true);
    set_local(x->l, local, value);
    return local;
}

/* The keys that some query of the block may see. */
static void find_range(Tiling *x, const Box *queries, unsigned k)
{
    Lower *l = x->l;
    Tile *t = x->t;
    NodeList tests = {0};
    IndexSet later = {{0}};
    for (unsigned other = 0; other < t->n_keys; other++)
        if (other != k) set_add(&later, t->key[other]->id);
    conjuncts(l->c, t->where, &tests);
    Range whole = {binder_lo(x->sum, k), binder_hi(x->sum, k), NULL};
    Range range = tighten_interval(l, t->key[k], whole, &tests, &later);
    t->grows = !x->chunk && t->n_queries == 1 && t->n_keys == 1 && depends_on_queries(t, range.hi) &&
               !depends_on_queries(t, range.lo);
    Node *lo = box_least(l->c, queries, range.lo), *hi = box_greatest(l->c, queries, range.hi);
    if (!lo) lo = number(x, 0);
    if (!hi) hi = node_size(l->c, t->key[k]);
    t->begin[k] = set_key_local(x, "%s_begin", k, lower_value(l, lo));
    t->end[k] = set_key_local(x, "%s_end", k, lower_value(l, hi));
}

/* Keys of several indices are numbered. */
static void count_keys(Tiling *x)
{
    Tile *t = x->t;
    Node *total = number(x, 1);
    for (unsigned k = 0; k < t->n_keys; k++) {
        Node *size = combine(x, N_SUB, local_get(x->l, t->end[k]), local_get(x->l, t->begin[k]));
        t->count[k] = set_key_local(x, "%s_count", k, combine(x, N_MAX, size, number(x, 0)));
        total = combine(x, N_MUL, total, local_get(x->l, t->count[k]));
    }
    t->total_keys = local_make(x->l, "keys_end", TYPE_INT, true);
    set_local(x->l, t->total_keys, total);
}

/* The keys from `first` on: of several indices whole rows of all but the first. */
static void add_key_sides(Tiling *x, Box *box)
{
    Lower *l = x->l;
    Tile *t = x->t;
    Node *one = number(x, 1), *row = one, *first = node_index(l->c, t->first);
    Node *end = local_get(l, t->n_keys > 1 ? t->total_keys : t->end[0]);
    Node *last = combine(x, N_MIN, combine(x, N_ADD, first, number(x, t->keys)), end);
    if (t->n_keys == 1) {
        box->sides[box->n++] = (BoxSide){t->key[0], first, last};
        return;
    }
    for (unsigned k = 1; k < t->n_keys; k++) row = combine(x, N_MUL, row, local_get(l, t->count[k]));
    for (unsigned k = 0; k < t->n_keys; k++) {
        Node *lo = local_get(l, t->begin[k]), *hi = local_get(l, t->end[k]);
        if (k == 0) {
            Node *to = combine(x, N_FLOORDIV, combine(x, N_SUB, last, one), row);
            hi = combine(x, N_ADD, lo, combine(x, N_ADD, to, one));
            lo = combine(x, N_ADD, lo, combine(x, N_FLOORDIV, first, row));
        }
        box->sides[box->n++] = (BoxSide){t->key[k], lo, hi};
    }
}

/* What a tile of keys holds. */
static void judge(Tiling *x, Box box)
{
    Lower *l = x->l;
    Tile *t = x->t;
    Scope scope;
    t->some = local_make(l, "some", TYPE_BOOL, true);
    t->partial = local_make(l, "partial", TYPE_BOOL, true);
    t->first = strip_index(l, "next", number(x, INT32_MAX));
    scope_open(l, &scope, true);
    set_add(&scope.bound, t->first->id);
    add_key_sides(x, &box);
    set_local(l, t->some, lower_value(l, box_may_hold(l->c, &box, t->where)));
    Branch visible;
    branch_open(l, &visible, local_get(l, t->some));
    set_local(l, t->partial, lower_value(l, box_may_fail(l->c, &box, t->where)));
    branch_close(l, &visible);
    t->judge = scope.block;
    scope_close(l, &scope);
}

static void add_rider(Tiling *x, const Equation *e, Node *value)
{
    x->t->riders[x->t->n_riders++] = (TileRider){e->tensor, value};
}

/* What a thread keeps of a row: its greatest score, the sum of exponentials or of plain weights, and that of
 * values. */
static void make_sums(Tiling *x)
{
    Lower *l = x->l;
    Tile *t = x->t;
    const Equation *e = x->stage->equation;
    if (x->softmax || x->greatest) t->max = local_new(l, "max", x->weight);
    if (x->softmax || x->riders.equations.n || (!t->v && !x->greatest))
        t->sum = local_new(l, "sum", x->weight);
    t->riders = NEW_ARRAY(l->c, TileRider, x->riders.equations.n + 2);
    if (t->v) {
        t->out = e->tensor;
        t->total = local_new(l, "total", x->sum);
        Node *total = local_get(l, t->total);
        if (!depends_on_keys(x, x->gain)) total = combine(x, N_MUL, total, x->gain);
        t->value = node_replace(l->c, e->body, x->sum, total);
    } else
        add_rider(x, e, node_replace(l->c, e->body, x->sum, local_get(l, x->greatest ? t->max : t->sum)));
}

static void make_values(Tiling *x)
{
    Lower *l = x->l;
    Tile *t = x->t;
    t->dot = local_new(l, "score", x->product);
    t->sink = sink_of(x);
    t->scale = scale_of(x);
    t->score = node_replace(l->c, x->weight, x->product, local_get(l, t->dot));
    if (x->gain && depends_on_keys(x, x->gain)) {
        Node *weight = local_get(l, t->dot),
             *zero = node_real(l->c, 0); /* 0 also where the gain is not finite */
        t->gain = node_if(l->c, combine(x, N_EQ, weight, zero), zero, combine(x, N_MUL, weight, x->gain));
    }
    make_sums(x);
    for (uint32_t k = 0; k < x->riders.equations.n; k++) {
        const Equation *r = x->riders.equations.at[k];
        Node *max = local_get(l, t->max), *sum = local_get(l, t->sum);
        add_rider(x, r, x->chunk ? (k ? sum : max) : rider_value(&x->riders, r->body, max, sum));
    }
}

/* Loops with the same meaning. */
static void make_body(Tiling *x, Phase *phase)
{
    Lower *l = x->l;
    const Tile *t = x->t;
    Scope root;
    Loop loops[TILE_DIMS];
    IndexSet bound = {{0}};
    for (unsigned k = 0; k < x->n_outer; k++) set_add(&bound, x->outer[k]->id);
    phase_open(l, &root, phase->n_tasks, phase->tasks);
    for (unsigned k = 0; k < t->n_queries; k++) {
        BoxSide side = side_of_queries(x, k);
        loop_open(l, &loops[k], t->query[k], (Range){side.lo, side.hi, NULL});
    }
    lower_equation(l, x->stage->equation, &bound);
    for (uint32_t k = 0; k < x->riders.equations.n; k++) lower_equation(l, x->riders.equations.at[k], &bound);
    for (unsigned k = t->n_queries; k-- > 0;) loop_close(l, &loops[k]);
    phase_close(l, &root, *phase);
}

static void make_tile(Tiling *x, const Phase *phase)
{
    Lower *l = x->l;
    Tile *t = x->t;
    Scope root;
    Box box = {.n = t->n_queries, .summaries = &l->summaries};
    for (unsigned k = 0; k < t->n_queries; k++) box.sides[k] = side_of_queries(x, k);
    t->where = whole_condition(x);
    lower_summaries(l, &box, x->sum);
    phase_open(l, &root, phase->n_tasks, phase->tasks);
    for (unsigned k = 0; k < t->n_keys; k++) find_range(x, &box, k);
    if (t->n_keys > 1) count_keys(x);
    judge(x, box);
    make_values(x);
    t->range = root.block;
    scope_close(l, &root);
}

/* A task is a box of queries for all other indices of the output. */
static Phase make_tasks(Tiling *x)
{
    Lower *l = x->l;
    Tile *t = x->t;
    Phase phase = {.name = format(l->c, "pairwise %s", x->stage->equation->tensor->name),
                   .how = "boxes of queries against tiles of keys",
                   .when = x->when,
                   .tasks = NEW_ARRAY(l->c, Index *, x->n_outer),
                   .tile = t};
    IndexSet queries = {{0}};
    for (unsigned k = 0; k < t->n_queries; k++) set_add(&queries, t->query[k]->id);
    for (unsigned k = 0; k < x->n_outer; k++)
        if (!set_has(&queries, x->outer[k]->id)) phase.tasks[phase.n_tasks++] = x->outer[k];
    for (unsigned k = 0; k < t->n_queries; k++) {
        const char *name = t->n_queries > 1 ? format(l->c, "tile_%s", t->query[k]->name) : "tile";
        Node *shape = number(x, t->shape[k]), *size = node_size(l->c, t->query[k]);
        Node *up = combine(x, N_SUB, combine(x, N_ADD, size, shape), number(x, 1));
        Node *tiles = combine(x, N_FLOORDIV, up, shape);
        if (x->unless) tiles = node_if(l->c, x->unless, number(x, 0), tiles);
        t->block[k] = strip_index(l, name, tiles);
        phase.tasks[phase.n_tasks++] = t->block[k];
    }
    return phase;
}

static unsigned keys_of_tile(const Tiling *x)
{
    const Tile *t = x->t;
    TileNeed need = {.mma = t->mma,
                     .tf32 = t->tf32,
                     .d = t->d,
                     .e = t->e,
                     .masks = !node_is_bool(binder_where(x->sum), true),
                     .list = t->n_keys > 1 ? t->n_keys : 0};
    TileShape shape = x->l->schedule.tile;
    bool has = shape.rows == BLOCK_QUERIES && shape.columns && shape.columns <= 64;
    return has ? shape.columns : tile_keys(&need, x->l->schedule.arch);
}

Tiling tiling_for(Lower *l, const Stage *stage)
{
    Tiling x = {.l = l, .stage = stage, .t = NEW(l->c, Tile)};
    *x.t = (Tile){.queries = BLOCK_QUERIES};
    l->span = stage->equation->tensor->span;
    l->plain = obstacle(&x);
    if (!l->plain) x.riders = find_riders(l, stage, x.sum, x.n_outer, x.outer);
    return x;
}

void tiling_lower(Tiling *x)
{
    Lower *l = x->l;
    Tile *t = x->t;
    t->tf32 = l->schedule.tf32;
    t->mma = t->tf32 || l->schedule.real != STORAGE_F32;
    t->n_keys = x->sum->n_vars;
    t->keys = keys_of_tile(x);
    for (unsigned k = 0; k < t->n_keys; k++) t->key[k] = x->sum->vars[k];
    for (uint32_t k = 0; k < x->riders.equations.n && !x->chunk; k++)
        PUSH(l->c, &l->riders, x->riders.equations.at[k]);
    Phase phase = make_tasks(x);
    make_tile(x, &phase);
    make_body(x, &phase);
}

bool lower_tiles(Lower *l, const Stage *stage)
{
    Tiling x = tiling_for(l, stage);
    if (l->plain) {
        const char *why = l->plain;
        bool maps = tiles_of_maps(l, stage);
        if (!maps && strcmp(l->plain, TILE_OPEN)) l->plain = why;
        return maps;
    }
    tiles_of_chunks(&x);
    tiling_lower(&x);
    return true;
}
