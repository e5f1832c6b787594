/* Values that need their whole row: scans, two-pass normalisers, selections, and softmax within blocks. The
 * row is computed once into a scratch tensor over the bound variables (TOP_INDEX and POSITIONS: over their
 * new index), where the variables it depends on are bound; its value is a read at the current coordinates.
 * Ranges that depend on the row's own variables are blocks: each is computed when its first element is met.
 */
#include "lower_internal.h"

#include <math.h>

typedef struct Row {
    Lower *l;
    Node *n;
    Tensor *result;
    Tensor *values, *kept, *chosen; /* scratch over the variables, by need */
} Row;

static bool by_new_index(const Node *n) { return n->op == N_TOP_INDEX || n->op == N_POSITIONS; }

static bool has_blocks(const Node *n)
{
    for (unsigned k = 0; k < n->n_vars; k++)
        for (unsigned j = 0; j < n->n_vars; j++)
            if (node_depends_on(binder_lo(n, k), n->vars[j]) || node_depends_on(binder_hi(n, k), n->vars[j]))
                return true;
    return false;
}

static bool is_row(const Node *n)
{
    if (n->op == N_REDUCE) return false;
    return n->op != N_NORMALISE || n->kind != NORMALISE_SOFTMAX || has_blocks(n);
}

const IndexSet *row_free(Lower *l, const Node *n, IndexSet *set)
{
    (void)l;
    if (!is_row(n)) return n->free;
    *set = (IndexSet){{0}};
    for (unsigned k = 0; k < n->n_args; k++) *set = set_or(set, n->args[k]->free);
    IndexSet own = set_of_vars(n);
    if (by_new_index(n)) own = set_or(&own, binder_extra(n)->free);
    *set = set_minus(set, &own);
    return set;
}

/* ---- small tools ---- */

static Node *real(Row *r, double x) { return node_real(r->l->c, x); }
static Node *binary(Row *r, Op op, Node *a, Node *b) { return node_binary(r->l->c, op, a, b); }
static Node *get(Row *r, Local *x) { return local_get(r->l, x); }
static Local *make(Row *r, const char *name, Node *start)
{
    Local *x = local_make(r->l, name, start->type, start->type != TYPE_REAL || !binder_body(r->n)->data);
    set_local(r->l, x, start);
    return x;
}
static void accumulate(Row *r, Local *x, Op op, Node *value)
{
    set_local(r->l, x, binary(r, op, get(r, x), value));
}
static Tensor *over_vars(Row *r, const char *name, const Node *like)
{
    return scratch_new(r->l, name, like, r->n->n_vars, r->n->vars);
}

/* Loops over all elements of the row; `condition` opens a branch. */
static void each(Row *r, Nest *nest, Node *condition) { nest_open_with(r->l, nest, r->n, condition); }

static void each_end(Row *r, Nest *nest) { nest_close(r->l, nest); }

/* values = the scores (`worst` for NaN), kept = the condition. */
static void gather(Row *r, bool replace_nan)
{
    Compilation *c = r->l->c;
    Node *body = binder_body(r->n), *where = binder_where(r->n);
    r->values = over_vars(r, "values", body);
    r->kept = over_vars(r, "kept", where);
    Nest nest;
    each(r, &nest, node_bool(c, true));
    Node *worst = body->type == TYPE_REAL ? real(r, -INFINITY) : node_int(c, INT64_MIN);
    Local *x = local_new(r->l, "x", body);
    set_local(r->l, x, lower_value(r->l, node_if(c, where, body, worst)));
    store_at(r->l, r->kept, lower_value(r->l, where));
    store_at(r->l, r->values, replace_nan ? comparable(c, get(r, x), -INFINITY) : get(r, x));
    each_end(r, &nest);
}

/* ---- scans ---- */

static void scan_row(Row *r)
{
    Lower *l = r->l;
    bool max = r->n->kind == SCAN_CUMMAX;
    Node *n = r->n;
    Local *total = make(r, "total", reduction_identity(l->c, max ? REDUCE_MAX : REDUCE_SUM, n->type));
    Nest nest;
    each(r, &nest, node_bool(l->c, true));
    Branch b;
    branch_open(l, &b, lower_value(l, binder_where(n)));
    Local *x = local_new(l, "x", binder_body(n));
    set_local(l, x, lower_value(l, binder_body(n)));
    accumulate(r, total, max ? N_MAX : N_ADD, max ? comparable(l->c, get(r, x), -INFINITY) : get(r, x));
    branch_close(l, &b);
    store_at(l, r->result, get(r, total));
    each_end(r, &nest);
}

/* ---- normalisers ---- */

/* The greatest kept score: NaN if one is NaN, -inf of nothing. */
static Local *maximum(Row *r)
{
    Local *max = make(r, "max", real(r, -INFINITY));
    Nest nest;
    each(r, &nest, read_at(r->l, r->kept));
    accumulate(r, max, N_MAX, read_at(r->l, r->values));
    each_end(r, &nest);
    return max;
}

/* Scores below the maximum: values = (score - max) * scale, -inf where left out. */
static void shift(Row *r, Local *max, double scale)
{
    Nest nest;
    each(r, &nest, read_at(r->l, r->kept));
    Node *x = binary(r, N_SUB, read_at(r->l, r->values), get(r, max));
    store_at(r->l, r->values, binary(r, N_MUL, x, real(r, scale)));
    each_end(r, &nest);
}

static Node *above(Row *r, Node *threshold)
{
    return binary(r, N_MAX, binary(r, N_SUB, read_at(r->l, r->values), threshold), real(r, 0));
}

static Node *weight_of(Row *r, Node *threshold, bool squared)
{
    Node *x = above(r, threshold);
    return squared ? binary(r, N_MUL, x, x) : x;
}

enum { BISECTIONS = 56 }; /* the interval has length 1: to the last bit of f64 */

/* The threshold t in [-1, 0] at which the weights sum to 1, from below. */
static Local *bisect(Row *r, bool squared)
{
    Lower *l = r->l;
    Local *lo = make(r, "lo", real(r, -1)), *hi = make(r, "hi", real(r, 0)),
          *mid = make(r, "mid", real(r, 0));
    Index *round = index_new(l->c, "round", l->span);
    round->extent = node_int(l->c, BISECTIONS);
    Loop loop;
    loop_open(l, &loop, round, whole_range(l, round));
    set_local(l, mid, binary(r, N_MUL, binary(r, N_ADD, get(r, lo), get(r, hi)), real(r, 0.5)));
    Local *sum = make(r, "sum", real(r, 0));
    Nest nest;
    each(r, &nest, read_at(l, r->kept));
    accumulate(r, sum, N_ADD, weight_of(r, get(r, mid), squared));
    each_end(r, &nest);
    Node *enough = binary(r, N_LE, real(r, 1), get(r, sum));
    set_local(l, lo, node_if(l->c, enough, get(r, mid), get(r, lo)));
    set_local(l, hi, node_if(l->c, enough, get(r, hi), get(r, mid)));
    loop_close(l, &loop);
    return lo;
}

/* The threshold in closed form once the support {x > from} is known (Martins and Astudillo 2016, algorithm 1;
 * Peters et al. 2019, algorithm 2). */
static Node *exact_threshold(Row *r, Node *from, bool squared)
{
    Lower *l = r->l;
    Local *count = make(r, "count", real(r, 0)), *sum = make(r, "sum", real(r, 0)),
          *spread = make(r, "spread", real(r, 0));
    Node *inside = binary(r, N_AND, read_at(l, r->kept), binary(r, N_LT, from, read_at(l, r->values)));
    Nest nest;
    each(r, &nest, inside);
    accumulate(r, count, N_ADD, real(r, 1));
    accumulate(r, sum, N_ADD, read_at(l, r->values));
    each_end(r, &nest);
    if (!squared) return binary(r, N_DIV, binary(r, N_SUB, get(r, sum), real(r, 1)), get(r, count));
    Node *mean = binary(r, N_DIV, get(r, sum), get(r, count));
    each(r, &nest, inside);
    Node *off = binary(r, N_SUB, read_at(l, r->values), mean);
    accumulate(r, spread, N_ADD, binary(r, N_MUL, off, off));
    each_end(r, &nest);
    Node *rest = binary(r, N_MAX, binary(r, N_SUB, real(r, 1), get(r, spread)), real(r, 0));
    return binary(r, N_SUB, mean, node_unary(l->c, N_SQRT, binary(r, N_DIV, rest, get(r, count))));
}

static void sparse_row(Row *r)
{
    Lower *l = r->l;
    bool squared = r->n->kind == NORMALISE_ENTMAX15;
    gather(r, false);
    Local *max = maximum(r);
    shift(r, max, squared ? 0.5 : 1);
    Local *from = bisect(r, squared);
    Local *threshold = make(r, "threshold", exact_threshold(r, get(r, from), squared));
    Nest nest;
    each(r, &nest, node_bool(l->c, true));
    Node *sound = binary(r, N_LT, get(r, max), real(r, INFINITY)); /* false for NaN, too */
    Node *weight = node_if(l->c, sound, weight_of(r, get(r, threshold), squared), real(r, NAN));
    Node *some = binary(r, N_AND, read_at(l, r->kept),
                        node_unary(l->c, N_NOT, binary(r, N_EQ, get(r, max), real(r, -INFINITY))));
    store_at(l, r->result, node_if(l->c, some, weight, real(r, 0)));
    each_end(r, &nest);
}

static void softmax_row(Row *r)
{
    Lower *l = r->l;
    gather(r, false);
    Local *max = maximum(r);
    Node *sink = binder_extra(r->n);
    if (sink) accumulate(r, max, N_MAX, lower_value(l, sink));
    Node *start = real(r, 0);
    if (sink) { /* 1 where it is the largest, inf included */
        Node *most = binary(r, N_EQ, lower_value(l, sink), get(r, max));
        Node *less = node_unary(l->c, N_EXP_DOWN, binary(r, N_SUB, lower_value(l, sink), get(r, max)));
        start = node_if(l->c, most, real(r, 1), less);
    }
    Local *sum = make(r, "sum", start);
    Node *weight = node_unary(l->c, N_EXP_DOWN, binary(r, N_SUB, read_at(l, r->values), get(r, max)));
    Nest nest;
    each(r, &nest, read_at(l, r->kept));
    accumulate(r, sum, N_ADD, weight);
    each_end(r, &nest);
    each(r, &nest, node_bool(l->c, true));
    Node *some = binary(r, N_AND, read_at(l, r->kept),
                        node_unary(l->c, N_NOT, binary(r, N_EQ, get(r, max), real(r, -INFINITY))));
    store_at(l, r->result, node_if(l->c, some, binary(r, N_DIV, weight, get(r, sum)), real(r, 0)));
    each_end(r, &nest);
}

/* ---- selections ---- */

typedef struct Best {
    Local *value, *found, *coordinates[16], *position;
} Best;

/* The greatest value that is kept and not yet chosen, the first of equals. */
static Best find_best(Row *r)
{
    Lower *l = r->l;
    Compilation *c = l->c;
    Best best = {.value = make(r, "best", node_zero(c, r->values->type)),
                 .found = make(r, "found", node_bool(c, false)),
                 .position = make(r, "position", node_int(c, -1))};
    for (unsigned k = 0; k < r->n->n_vars; k++) best.coordinates[k] = make(r, "coordinate", node_int(c, 0));
    Node *free = binary(r, N_AND, read_at(l, r->kept), node_unary(c, N_NOT, read_at(l, r->chosen)));
    Node *x = read_at(l, r->values);
    Node *better =
        binary(r, N_OR, node_unary(c, N_NOT, get(r, best.found)), binary(r, N_LT, get(r, best.value), x));
    Nest nest;
    each(r, &nest, binary(r, N_AND, free, better));
    set_local(l, best.value, x);
    set_local(l, best.found, node_bool(c, true));
    set_local(l, best.position, row_major(l, r->n->n_vars, r->n->vars));
    for (unsigned k = 0; k < r->n->n_vars; k++)
        set_local(l, best.coordinates[k], node_index(c, r->n->vars[k]));
    each_end(r, &nest);
    return best;
}

static void choose(Row *r, const Best *best)
{
    Node **at = NEW_ARRAY(r->l->c, Node *, r->n->n_vars);
    for (unsigned k = 0; k < r->n->n_vars; k++) at[k] = get(r, best->coordinates[k]);
    store(r->l, r->chosen, at, node_bool(r->l->c, true));
}

static Node *row_size(Row *r)
{
    Node *size = node_int(r->l->c, 1);
    for (unsigned k = 0; k < r->n->n_vars; k++)
        size = binary(r, N_MUL, size, node_size(r->l->c, r->n->vars[k]));
    return size;
}

static Index *counter(Row *r, const char *name)
{
    Index *index = index_new(r->l->c, name, r->l->span);
    index->extent = row_size(r);
    return index;
}

static void start_selection(Row *r)
{
    gather(r, true);
    Node *none = node_bool(r->l->c, false);
    r->chosen = r->result->type == TYPE_BOOL ? r->result : over_vars(r, "chosen", none);
    Nest nest;
    each(r, &nest, node_bool(r->l->c, true));
    store_at(r->l, r->chosen, none);
    each_end(r, &nest);
}

/* TOPK: n times the best of the rest. */
static void topk_row(Row *r)
{
    Lower *l = r->l;
    Node *n = lower_value(l, binder_extra(r->n));
    start_selection(r);
    Index *round = counter(r, "round");
    Range range = {node_int(l->c, 0), binary(r, N_MIN, n, row_size(r)), NULL};
    Loop loop;
    loop_open(l, &loop, round, range);
    Best best = find_best(r);
    Branch b;
    branch_open(l, &b, get(r, best.found));
    choose(r, &best);
    branch_close(l, &b);
    loop_close(l, &loop);
}

/* TOPP: the best of the rest until the mass is reached. */
static void topp_row(Row *r)
{
    Lower *l = r->l;
    Node *mass = lower_value(l, binder_extra(r->n));
    start_selection(r);
    Local *sum = make(r, "sum", real(r, 0)), *open = make(r, "open", node_bool(l->c, true));
    Index *round = counter(r, "round");
    Loop loop;
    loop_open(l, &loop, round, whole_range(l, round));
    Branch more, b;
    branch_open(l, &more, binary(r, N_AND, get(r, open), binary(r, N_LT, get(r, sum), mass)));
    Best best = find_best(r);
    set_local(l, open, get(r, best.found));
    branch_open(l, &b, get(r, best.found));
    choose(r, &best);
    accumulate(r, sum, N_ADD, get(r, best.value));
    branch_close(l, &b);
    branch_close(l, &more);
    loop_close(l, &loop);
}

static void fill_result(Row *r, Node *value) { array_fill(r->l, r->result, value); }

static void top_index_row(Row *r)
{
    Lower *l = r->l;
    fill_result(r, node_int(l->c, -1));
    start_selection(r);
    Index *round = r->result->dims[0];
    Range range = {node_int(l->c, 0), binary(r, N_MIN, node_size(l->c, round), row_size(r)), NULL};
    Loop loop;
    loop_open(l, &loop, round, range);
    Best best = find_best(r);
    Branch b;
    branch_open(l, &b, get(r, best.found));
    choose(r, &best);
    store_at(l, r->result, get(r, best.position));
    branch_close(l, &b);
    loop_close(l, &loop);
}

static void positions_row(Row *r)
{
    Lower *l = r->l;
    fill_result(r, node_int(l->c, -1));
    Local *next = make(r, "next", node_int(l->c, 0));
    Nest nest;
    each(r, &nest, node_bool(l->c, true));
    Node *room = binary(r, N_LT, get(r, next), node_size(l->c, r->result->dims[0]));
    Branch b;
    branch_open(l, &b, lower_value(l, binary(r, N_AND, room, binder_where(r->n))));
    Node **at = NEW_ARRAY(l->c, Node *, 1);
    at[0] = get(r, next);
    store(l, r->result, at, row_major(l, r->n->n_vars, r->n->vars));
    accumulate(r, next, N_ADD, node_int(l->c, 1));
    branch_close(l, &b);
    each_end(r, &nest);
}

/* RANK: how many come before, by value, then by position. */
static void rank_row(Row *r)
{
    Lower *l = r->l;
    Compilation *c = l->c;
    gather(r, true);
    Nest own, others;
    each(r, &own, node_bool(c, true));
    Local *x = make(r, "x", node_zero(c, r->values->type)),
          *at = make(r, "at", row_major(l, r->n->n_vars, r->n->vars));
    Local *rank = make(r, "rank", node_int(c, -1)), *in = make(r, "in", read_at(l, r->kept));
    set_local(l, x, read_at(l, r->values));
    set_local(l, rank, node_if(c, get(r, in), node_int(c, 0), node_int(c, -1)));
    Node *y = read_at(l, r->values), *place = row_major(l, r->n->n_vars, r->n->vars);
    Node *tie = binary(r, N_AND, binary(r, N_EQ, y, get(r, x)), binary(r, N_LT, place, get(r, at)));
    Node *before = binary(r, N_OR, binary(r, N_LT, y, get(r, x)), tie);
    each(r, &others, binary(r, N_AND, get(r, in), binary(r, N_AND, read_at(l, r->kept), before)));
    accumulate(r, rank, N_ADD, node_int(c, 1));
    each_end(r, &others);
    store_at(l, r->result, get(r, rank));
    each_end(r, &own);
}

/* ---- dispatch ---- */

static void row_body(Row *r)
{
    switch (r->n->op) {
    case N_SCAN: scan_row(r); return;
    case N_NORMALISE:
        if (r->n->kind == NORMALISE_SOFTMAX)
            softmax_row(r);
        else
            sparse_row(r);
        return;
    case N_TOPK: topk_row(r); return;
    case N_TOPP: topp_row(r); return;
    case N_RANK: rank_row(r); return;
    case N_TOP_INDEX: top_index_row(r); return;
    case N_POSITIONS: positions_row(r); return;
    default: BUG(r->l->c, "%s is not a row", op_name(r->n->op));
    }
}

/* Every block when its first element is met. */
static void row_blocks(Row *r)
{
    Lower *l = r->l;
    Node *n = r->n, *first = node_bool(l->c, true);
    for (unsigned k = 0; k < n->n_vars; k++)
        first = binary(r, N_AND, first, binary(r, N_EQ, node_index(l->c, n->vars[k]), binder_lo(n, k)));
    Nest outer;
    dims_open(l, &outer, n->n_vars, n->vars);
    Branch b;
    branch_open(l, &b, lower_value(l, first));
    row_body(r);
    branch_close(l, &b);
    nest_close(l, &outer);
}

static Tensor *row_result(Lower *l, Node *n)
{
    l->rows = true;
    if (!by_new_index(n)) return scratch_new(l, "row", n, n->n_vars, n->vars);
    Node *at = binder_extra(n);
    if (at->op != N_INDEX) BUG(l->c, "%s is read at something else than its new index", op_name(n->op));
    return scratch_new(l, "row", n, 1, &at->index);
}

Node *lower_row(Lower *l, Node *n)
{
    IndexSet set;
    const IndexSet *free = row_free(l, n, &set);
    Node *known = value_find(l, n, free);
    if (known) return known;
    Scope *here = l->scope, *target = scope_for(l, n, free);
    l->scope = target;
    Row r = {.l = l, .n = n, .result = row_result(l, n)};
    if (has_blocks(n))
        row_blocks(&r);
    else
        row_body(&r);
    Node *value = read_at(l, r.result);
    map_put(l->c, &target->values, n, value);
    l->scope = here;
    return value;
}
