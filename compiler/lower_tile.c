/* Pairwise stages as tiles of queries and keys for tensor cores (Dao 2023).
 *
 * Requires: a pairwise stage, and a schedule that knows the extents of features and that tensors are of 16
 * bits. Ensures: the body of the phase computes the same, one query after the other; its Tile says how a
 * block of threads does it. Breaks: nothing; what does not fit is left to lower_equation. */
#include "lower_tile.h"

#include "graph.h"
#include "lower_rider.h"
#include "lower_strip.h"

#include <math.h>

enum { BLOCK_QUERIES = 64, BLOCK_KEYS = 64, MOST_FEATURES = 256, WIDE = 128 };

typedef struct Tiling {
    Lower *l;
    const Stage *stage;
    Tile *t;
    IndexSet inner;
    NodeList binders; /* outermost ones of the body */
    Node *sum, *softmax, *weight, *factor, *product;
    Index *outer[MAX_INDICES];
    unsigned n_outer;
    Riders riders;
} Tiling;

static Node *number(Tiling *x, int64_t n) { return node_int(x->l->c, n); }
static Node *combine(Tiling *x, Op op, Node *a, Node *b) { return node_binary(x->l->c, op, a, b); }

/* ---- recognising ---- */

static void collect_binder(void *context, Node *n, const Binding *around)
{
    Tiling *x = context;
    if (!around->binder && node_is_binder(n)) PUSH(x->l->c, &x->binders, n);
}

/* The extent that the schedule fixes, or -1. */
static int64_t fixed_extent(const Tiling *x, const Node *size)
{
    if (size->op == N_INT) return size->integer;
    if (size->op != N_SIZE || !x->l->schedule.fixed) return -1;
    return x->l->schedule.fixed[size->index->number];
}

/* A row of features: a tensor of 16 bits in memory, with `feature` as its last coordinate alone. */
static bool is_row(const Tiling *x, const Node *n, const Index *feature)
{
    if (n->op != N_READ || n->guarded || n->n_args == 0 || n->type != TYPE_REAL) return false;
    const Tensor *t = n->tensor;
    StorageType storage = t->storage == STORAGE_FLOAT ? x->l->schedule.real : t->storage;
    if (t->optional || (t->role != ROLE_INPUT && t->role != ROLE_CAPTURE)) return false;
    if (storage != x->l->schedule.real) return false;
    for (unsigned k = 0; k < n->n_args; k++) {
        bool last = k + 1 == n->n_args;
        if (last ? n->args[k]->op != N_INDEX || n->args[k]->index != feature
                 : node_depends_on(n->args[k], feature))
            return false;
        if (contains_binder(x->l->c, n->args[k])) return false;
    }
    return true;
}

static void find_product(void *context, Node *n, const Binding *around)
{
    Tiling *x = context;
    if (!around->binder && node_is_binder(n)) PUSH(x->l->c, &x->binders, n);
}

/* sum[d](q * k) with all of d. */
static const char *match_product(Tiling *x, Index *key)
{
    Tile *t = x->t;
    x->binders.n = 0;
    walk(x->l->c, x->weight, find_product, x);
    for (uint32_t k = 1; k < x->binders.n; k++)
        if (x->binders.at[k] != x->binders.at[0]) return "the score holds more than one sum";
    Node *n = x->binders.n ? x->binders.at[0] : NULL;
    if (!n || n->op != N_REDUCE || n->kind != REDUCE_SUM || n->n_vars != 1 ||
        !node_is_bool(binder_where(n), true) || binder_body(n)->op != N_MUL)
        return "the score holds no sum of products";
    Index *feature = n->vars[0];
    Node *a = binder_body(n)->args[0], *b = binder_body(n)->args[1];
    if (node_depends_on(a, key))
        t->k = a, t->q = b;
    else
        t->q = a, t->k = b;
    if (!is_row(x, t->q, feature) || !is_row(x, t->k, feature) || node_depends_on(t->q, key))
        return "the products of the score are not those of rows in memory";
    if (!node_is_int(binder_lo(n, 0), 0) || node_size(x->l->c, feature) != binder_hi(n, 0))
        return "the score sums part of the rows";
    t->d = fixed_extent(x, binder_hi(n, 0));
    x->product = n;
    return NULL;
}

/* The last index of the output that tells queries apart, but not keys or values. */
static const char *choose_query(Tiling *x)
{
    Tile *t = x->t;
    for (unsigned k = x->n_outer; k-- > 0 && !t->query;) {
        Index *i = x->outer[k];
        if (!i->ambient && node_depends_on(t->q, i) && !node_depends_on(t->k, i) &&
            !node_depends_on(x->factor, i))
            t->query = i;
    }
    return t->query ? NULL : "no index of the output tells queries apart, but not keys";
}

static bool is_plain(Tiling *x, const Node *n) { return !n || !contains_binder(x->l->c, n); }

static const char *match_sum(Tiling *x)
{
    Lower *l = x->l;
    Softmaxes found;
    x->sum = x->binders.n == 1 ? x->binders.at[0] : NULL;
    if (!x->sum || x->sum->op != N_REDUCE || x->sum->kind != REDUCE_SUM || x->sum->n_vars != 1)
        return "it is not made of one sum over one index";
    if (!find_softmaxes(l->c, x->sum, &found) || found.n != 1) return "it is no sum weighted by one softmax";
    x->softmax = found.softmax[0];
    x->factor = found.factor[0];
    x->weight = simplify_assuming(l->c, binder_body(x->softmax), binder_where(x->sum));
    return NULL;
}

/* The features of the values are the output's innermost index. */
static const char *match_column(Tiling *x)
{
    const Tensor *out = x->stage->equation->tensor;
    unsigned n_inner = 0;
    for (unsigned k = 0; k < out->n_dims; k++)
        if (set_has(&x->inner, out->dims[k]->id))
            x->t->column = out->dims[k], n_inner++;
        else
            x->outer[x->n_outer++] = out->dims[k];
    if (n_inner != 1) return "its output has no single index of features";
    x->t->e = fixed_extent(x, node_size(x->l->c, x->t->column));
    x->t->v = x->factor;
    if (!is_row(x, x->factor, x->t->column)) return "what is weighted is no row in memory";
    return NULL;
}

static const char *check_extents(const Tiling *x)
{
    const Tile *t = x->t;
    if (t->d < 1 || t->e < 1) return "the extents of its features are not fixed (--size)";
    if (t->d > MOST_FEATURES || t->e > MOST_FEATURES) return "more than 256 features";
    return NULL;
}

/* NULL, or why the stage does not run in tiles. */
static const char *obstacle(Tiling *x)
{
    Lower *l = x->l;
    const Equation *e = x->stage->equation;
    if (l->schedule.real != STORAGE_F16 && l->schedule.real != STORAGE_BF16)
        return "tensor cores take f16 and bf16 alone";
    if (e->tensor->optional || e->tensor->role != ROLE_OUTPUT) return "what it computes is no output";
    if (contains_op(l->c, e->body, N_CHECK)) return "a value is checked as it runs";
    x->inner = plan_inner(l->c, e);
    walk(l->c, e->body, collect_binder, x);
    const char *why = match_sum(x);
    if (!why) why = match_column(x);
    if (!why) why = match_product(x, x->sum->vars[0]);
    if (!why) why = choose_query(x);
    if (!why) why = check_extents(x);
    if (why) return why;
    Node *rest = node_replace(l->c, x->weight, x->product, node_real(l->c, 0));
    if (!is_plain(x, rest) || !is_plain(x, binder_where(x->sum)) || !is_plain(x, binder_extra(x->softmax)) ||
        !is_plain(x, node_replace(l->c, e->body, x->sum, node_real(l->c, 0))))
        return "scores or conditions hold further reductions";
    bool fits = is_plain(x, binder_lo(x->sum, 0)) && is_plain(x, binder_hi(x->sum, 0)) &&
                !node_depends_on(binder_where(x->sum), x->t->column) &&
                !node_depends_on(x->weight, x->t->column);
    return fits ? NULL : "scores or conditions differ from feature to feature";
}

/* ---- the tile ---- */

static bool is_positive(const Node *n)
{
    if (n->op == N_REAL) return n->real > 0;
    if (n->op == N_SQRT || n->op == N_TO_REAL) return is_positive(n->args[0]);
    if (n->op == N_DIV || n->op == N_MUL) return is_positive(n->args[0]) && is_positive(n->args[1]);
    return n->op == N_SIZE;
}

/* A score that is a positive multiple of the product: the factor, which joins that of exp2. */
static Node *scale_of(Tiling *x)
{
    Compilation *c = x->l->c;
    Node *n = x->weight;
    if (binder_extra(x->softmax)) return NULL;
    if (n == x->product) return node_real(c, 1);
    if (n->op == N_DIV && n->args[0] == x->product && is_positive(n->args[1]))
        return combine(x, N_DIV, node_real(c, 1), n->args[1]);
    if (n->op == N_MUL && n->args[0] == x->product && is_positive(n->args[1])) return n->args[1];
    if (n->op == N_MUL && n->args[1] == x->product && is_positive(n->args[0])) return n->args[0];
    return NULL;
}

static BoxSide side_of_queries(Tiling *x)
{
    Node *size = node_size(x->l->c, x->t->query);
    Node *from = combine(x, N_MUL, node_index(x->l->c, x->t->block), number(x, x->t->queries));
    Node *to = combine(x, N_MIN, combine(x, N_ADD, from, number(x, x->t->queries)), size);
    return (BoxSide){x->t->query, from, to};
}

/* Ranges that differ from query to query are conditions, too. */
static Node *whole_condition(Tiling *x)
{
    Node *where = binder_where(x->sum), *lo = binder_lo(x->sum, 0), *hi = binder_hi(x->sum, 0);
    Node *key = node_index(x->l->c, x->t->key);
    if (node_depends_on(lo, x->t->query)) where = combine(x, N_AND, where, combine(x, N_LE, lo, key));
    if (node_depends_on(hi, x->t->query)) where = combine(x, N_AND, where, combine(x, N_LT, key, hi));
    return where;
}

/* The keys that some query of the block may see. */
static void find_range(Tiling *x, const Box *queries)
{
    Lower *l = x->l;
    Tile *t = x->t;
    NodeList tests = {0};
    IndexSet later = {{0}};
    conjuncts(l->c, t->where, &tests);
    Range whole = {binder_lo(x->sum, 0), binder_hi(x->sum, 0), NULL};
    Range range = tighten_interval(l, t->key, whole, &tests, &later);
    Node *lo = box_least(l->c, queries, range.lo), *hi = box_greatest(l->c, queries, range.hi);
    if (!lo) lo = number(x, 0);
    if (!hi) hi = node_size(l->c, t->key);
    t->begin = local_make(l, format(l->c, "%s_begin", t->key->name), TYPE_INT, true);
    t->end = local_make(l, format(l->c, "%s_end", t->key->name), TYPE_INT, true);
    set_local(l, t->begin, lower_value(l, lo));
    set_local(l, t->end, lower_value(l, hi));
}

/* What a tile of keys holds. */
static void judge(Tiling *x, Box box)
{
    Lower *l = x->l;
    Tile *t = x->t;
    Scope scope;
    t->some = local_make(l, "some", TYPE_BOOL, true);
    t->partial = local_make(l, "partial", TYPE_BOOL, true);
    t->first = strip_index(l, format(l->c, "%s_first", t->key->name), number(x, INT32_MAX));
    scope_open(l, &scope, true);
    set_add(&scope.bound, t->first->id);
    Node *first = node_index(l->c, t->first);
    Node *last = combine(x, N_MIN, combine(x, N_ADD, first, number(x, t->keys)), local_get(l, t->end));
    box.sides[box.n++] = (BoxSide){t->key, first, last};
    set_local(l, t->some, lower_value(l, box_may_hold(l->c, &box, t->where)));
    Branch visible;
    branch_open(l, &visible, local_get(l, t->some));
    set_local(l, t->partial, lower_value(l, box_may_fail(l->c, &box, t->where)));
    branch_close(l, &visible);
    t->judge = scope.block;
    scope_close(l, &scope);
}

static void make_values(Tiling *x)
{
    Lower *l = x->l;
    Compilation *c = l->c;
    Tile *t = x->t;
    const Equation *e = x->stage->equation;
    t->out = e->tensor;
    t->dot = local_new(l, "score", x->product);
    t->total = local_new(l, "total", x->sum);
    t->max = local_new(l, "max", x->weight);
    t->sum = local_new(l, "sum", x->weight);
    t->sink = binder_extra(x->softmax);
    t->scale = scale_of(x);
    t->score = node_replace(c, x->weight, x->product, local_get(l, t->dot));
    t->value = node_replace(c, e->body, x->sum, local_get(l, t->total));
    t->riders = NEW_ARRAY(c, TileRider, x->riders.equations.n + 1);
    for (uint32_t k = 0; k < x->riders.equations.n; k++) {
        const Equation *r = x->riders.equations.at[k];
        Node *value = rider_value(&x->riders, r->body, local_get(l, t->max), local_get(l, t->sum));
        t->riders[t->n_riders++] = (TileRider){r->tensor, value};
    }
}

/* Loops with the same meaning. */
static void make_body(Tiling *x, Phase *phase)
{
    Lower *l = x->l;
    Scope root;
    Loop loop;
    BoxSide side = side_of_queries(x);
    IndexSet bound = {{0}};
    for (unsigned k = 0; k < x->n_outer; k++) set_add(&bound, x->outer[k]->id);
    phase_open(l, &root, phase->n_tasks, phase->tasks);
    loop_open(l, &loop, x->t->query, (Range){side.lo, side.hi, NULL});
    lower_equation(l, x->stage->equation, &bound);
    for (uint32_t k = 0; k < x->riders.equations.n; k++) lower_equation(l, x->riders.equations.at[k], &bound);
    loop_close(l, &loop);
    phase_close(l, &root, *phase);
}

static void make_tile(Tiling *x, const Phase *phase)
{
    Lower *l = x->l;
    Tile *t = x->t;
    Scope root;
    Box box = {.n = 1, .sides = {side_of_queries(x)}, .summaries = &l->summaries};
    t->where = whole_condition(x);
    lower_summaries(l, &box, x->sum);
    phase_open(l, &root, phase->n_tasks, phase->tasks);
    find_range(x, &box);
    judge(x, box);
    make_values(x);
    t->range = root.block;
    scope_close(l, &root);
}

bool lower_tiles(Lower *l, const Stage *stage)
{
    Tiling x = {.l = l, .stage = stage, .t = NEW(l->c, Tile)};
    Tile *t = x.t;
    *t = (Tile){.queries = BLOCK_QUERIES};
    l->span = stage->equation->tensor->span;
    l->plain = obstacle(&x);
    if (l->plain) return false;
    t->keys = t->d > WIDE || t->e > WIDE ? BLOCK_KEYS / 2 : BLOCK_KEYS;
    t->key = x.sum->vars[0];
    t->block = strip_index(l, "tile", number(&x, 0));
    Node *up = combine(&x, N_ADD, node_size(l->c, t->query), number(&x, t->queries - 1));
    t->block->extent = combine(&x, N_FLOORDIV, up, number(&x, t->queries));
    x.riders = find_riders(l, stage, x.sum, x.n_outer, x.outer);
    for (uint32_t k = 0; k < x.riders.equations.n; k++) PUSH(l->c, &l->riders, x.riders.equations.at[k]);
    Phase phase = {.name = format(l->c, "pairwise %s", t->out ? t->out->name : stage->equation->tensor->name),
                   .tasks = NEW_ARRAY(l->c, Index *, x.n_outer),
                   .tile = t};
    for (unsigned k = 0; k < x.n_outer; k++)
        if (x.outer[k] != t->query) phase.tasks[phase.n_tasks++] = x.outer[k];
    phase.tasks[phase.n_tasks++] = t->block;
    make_tile(&x, &phase);
    make_body(&x, &phase);
    return true;
}
