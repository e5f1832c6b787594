/* Few queries: a chunk of keys (see lower_few_internal.h). Requires: staged terms. Ensures: every visible key
 * has been added once; hidden ones are not looked at. Breaks: nothing. */
#include <math.h>

#include "box.h"
#include "census.h"
#include "graph.h"
#include "lower_few_internal.h"

/* For counting (census.h). */
static void note(Few *f, const char *text, Node *condition, Node *value)
{
    Statement *s = emit(f->l, S_NOTE);
    s->text = text;
    s->condition = condition;
    s->value = value;
}

/* ---- which keys ---- */

static Node *chunk_first(Few *f)
{
    return few_op(f, N_MUL, node_index(few_c(f), f->chunk), few_int(f, FEW_CHUNK));
}

/* The range of the condition, within [lo, hi). What it does not cover is left in `tests`. */
static Range visible_range(Few *f, Node *lo, Node *hi, NodeList *tests)
{
    IndexSet none = {{0}};
    conjuncts(few_c(f), f->where, tests);
    Range range = {binder_lo(f->sum, 0), binder_hi(f->sum, 0), NULL};
    range = tighten_interval(f->l, f->key, range, tests, &none);
    range.lo = lower_value(f->l, few_op(f, N_MAX, range.lo, lo));
    range.hi = lower_value(f->l, few_op(f, N_MIN, range.hi, hi));
    return range;
}

/* May a key of [lo, hi) be visible to any head at work? */
static Node *may_hold(Few *f, Node *lo, Node *hi)
{
    Compilation *c = few_c(f);
    Box box = {.n = 1, .summaries = &f->l->summaries};
    box.sides[0] = (BoxSide){f->key, lo, hi};
    if (f->own_list) {
        Node *head = few_op(f, N_MUL, node_index(c, f->block), few_int(f, FEW_HEADS)),
             *end = few_op(f, N_ADD, head, few_int(f, FEW_HEADS));
        box.sides[box.n++] = (BoxSide){f->head, head, few_op(f, N_MIN, end, node_size(c, f->head))};
    }
    return lower_value(f->l, few_op(f, N_AND, few_op(f, N_LT, lo, hi), box_may_hold(c, &box, f->where)));
}

/* The visible ones of the next keys, one after the other, and again the last, up to the number of lanes. */
static void list_keys(Few *f)
{
    Lower *l = f->l;
    NodeList tests = {0};
    Loop loop;
    Branch seen;
    Node *first = node_index(l->c, f->first), *end = few_op(f, N_ADD, first, few_int(f, FEW_KEYS));
    Range range = visible_range(
        f, first, few_op(f, N_MIN, end, few_op(f, N_ADD, chunk_first(f), few_int(f, FEW_CHUNK))), &tests);
    set_local(l, f->count, few_int(f, 0));
    loop_open(l, &loop, f->key, range);
    branch_open(l, &seen, lower_value(l, conjunction(l->c, &tests)));
    Node **at = NEW_ARRAY(l->c, Node *, 1);
    at[0] = few_get(f, f->count);
    store(l, f->keys, at, node_index(l->c, f->key));
    set_local(l, f->count, few_op(f, N_ADD, at[0], few_int(f, 1)));
    branch_close(l, &seen);
    loop_close(l, &loop);
}

static void repeat_last(Few *f)
{
    Lower *l = f->l;
    Loop loop;
    Node *last = few_op(f, N_SUB, few_get(f, f->count), few_int(f, 1));
    loop_open(l, &loop, f->place, (Range){few_get(f, f->count), few_int(f, FEW_KEYS), NULL});
    store_at(l, f->keys, node_read(l->c, f->keys, &last, false));
    loop_close(l, &loop);
}

/* ---- the heads of a block ---- */

Node *few_member(Few *f)
{
    if (!f->head) return node_index(few_c(f), f->member);
    if (f->at >= 0) return few_int(f, f->at);
    return few_op(f, N_MOD, node_index(few_c(f), f->head), few_int(f, FEW_HEADS));
}

/* Together, heads follow the one of the loop, which reads for all of them. */
Node *few_bind(Few *f, Node *n)
{
    if (!f->head) return n;
    Node *head = node_index(few_c(f), f->head);
    Index *from[] = {f->member, f->leader, f->head};
    Node *to[] = {few_member(f), head, f->at > 0 ? few_op(f, N_ADD, head, few_int(f, f->at)) : head};
    return node_substitute(few_c(f), n, 3, from, to);
}

/* The index of heads itself runs over the members of a block. */
static void heads_open(Few *f, Loop *loop)
{
    Lower *l = f->l;
    if (!f->head) {
        loop_open(l, loop, f->member, whole_range(l, f->member));
        return;
    }
    Node *lo = few_op(f, N_MUL, node_index(l->c, f->block), few_int(f, FEW_HEADS)),
         *size = node_size(l->c, f->head);
    Node *hi = few_op(f, N_ADD, lo, few_int(f, FEW_HEADS));
    loop_open(l, loop, f->head, (Range){lo, few_op(f, N_MIN, hi, size), NULL});
}

/* [member, dims...] of the head at work */
static Node **member_at(Few *f, const Tensor *t)
{
    Node **at = NEW_ARRAY(few_c(f), Node *, t->n_dims);
    at[0] = few_member(f);
    for (unsigned k = 1; k < t->n_dims; k++) at[k] = node_index(few_c(f), t->dims[k]);
    return at;
}

static Node *of_member(Few *f, Tensor *t) { return node_read(few_c(f), t, member_at(f, t), false); }
static void set_member(Few *f, Tensor *t, Node *value) { store(f->l, t, member_at(f, t), value); }

static void start_heads(Few *f)
{
    Lower *l = f->l;
    Loop loop;
    Nest nest;
    heads_open(f, &loop);
    few_store_queries(f);
    for (unsigned k = 0; k < f->n_terms; k++) {
        FewTerm *t = &f->terms[k];
        if (t->softmax) set_member(f, t->max, few_real(f, -INFINITY));
        if (t->softmax) set_member(f, t->sum, few_real(f, 0));
        dims_open(l, &nest, f->n_dims, f->dims);
        set_member(f, t->total, few_real(f, 0));
        nest_close(l, &nest);
    }
    loop_close(l, &loop);
}

/* ---- the keys at work, of one head ---- */

Node *few_of_member(Few *f, Tensor *t, Node *at)
{
    Node **both = NEW_ARRAY(few_c(f), Node *, 2);
    both[0] = few_member(f);
    both[1] = at;
    return node_read(few_c(f), t, both, false);
}

/* Some keys at a time: the place of the first. */
static Node *places_open(Few *f, Loop *loop, Node *lo, Node *hi, unsigned at_once)
{
    Index *from = few_index(f, "from", few_int(f, FEW_KEYS));
    loop_open(f->l, loop, from, (Range){lo, hi, few_int(f, at_once)});
    return node_index(few_c(f), from);
}

static void sum_scores(Few *f)
{
    Lower *l = f->l;
    Loop some, each;
    few_store_rows(f, false);
    Node *from = places_open(f, &some, few_int(f, 0), few_get(f, f->count), FEW_AT_ONCE);
    for (uint32_t k = 0; k < f->sums.n; k++) {
        Index *next = few_index(f, "next", few_int(f, FEW_AT_ONCE));
        loop_open(l, &each, next, whole_range(l, next));
        each.kind = LOOP_JAM;
        Node **at = NEW_ARRAY(l->c, Node *, 2);
        at[0] = few_member(f);
        at[1] = few_op(f, N_ADD, from, node_index(l->c, next));
        store(l, f->sums.at[k].tile, at, lower_value(l, few_at_place(f, f->sums.at[k].value, at[1])));
        loop_close(l, &each);
    }
    few_prefetch(f, from, true);
    loop_close(l, &some);
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
Node *few_greater(Few *f, Node *a, Node *b)
{
    return f->riders->equations.n ? few_op(f, N_MAX, a, b) : node_if(few_c(f), few_op(f, N_LT, b, a), a, b);
}

/* The greatest of `from` and all lanes of a row, in several chains: each step waits for the one before. */
static Local *greatest(Few *f, Tensor *row, Node *from)
{
    enum { CHAINS = 8 };
    Lower *l = f->l;
    Loop lane;
    Local *max[CHAINS];
    Node *at = node_index(l->c, f->lane);
    for (unsigned k = 0; k < CHAINS; k++) set_local(l, max[k] = local_new(l, "max", from), from);
    loop_open(l, &lane, f->lane, (Range){few_int(f, 0), few_int(f, FEW_KEYS), few_int(f, CHAINS)});
    for (unsigned k = 0; k < CHAINS; k++) {
        Node *x = few_of_member(f, row, few_op(f, N_ADD, at, few_int(f, k)));
        set_local(l, max[k], few_greater(f, x, few_get(f, max[k])));
    }
    loop_close(l, &lane);
    for (unsigned n = CHAINS / 2; n > 0; n /= 2)
        for (unsigned k = 0; k < n; k++)
            set_local(l, max[k], few_greater(f, few_get(f, max[k]), few_get(f, max[k + n])));
    return max[0];
}

static Node *weight_of_lane(Few *f, const FewTerm *t)
{
    return few_of_member(f, t->weights, node_index(few_c(f), f->lane));
}

static void set_weight(Few *f, const FewTerm *t, Node *value)
{
    store(f->l, t->weights, weight_of_lane(f, t)->args, value);
}

static Local *sum_of_lanes(Few *f, const FewTerm *t, Node *from)
{
    Lower *l = f->l;
    Loop lane;
    Local *sum = local_new(l, "sum", from);
    set_local(l, sum, from);
    loop_open(l, &lane, f->lane, whole_range(l, f->lane));
    set_local(l, sum, few_op(f, N_ADD, few_get(f, sum), weight_of_lane(f, t)));
    loop_close(l, &lane);
    return sum;
}

/* Scores, or weights. Lanes without a key score -inf, or weigh 0. */
static void finish_scores(Few *f, const FewTerm *t)
{
    Lower *l = f->l;
    Loop lane;
    Node *at = node_index(l->c, f->lane), *key = node_read(l->c, f->keys, &at, false);
    lanes_open(f, &lane);
    Node *score = lower_value(l, few_bind(f, node_substitute(l->c, t->weight, 1, &f->key, &key)));
    Node *some = few_op(f, N_LT, at, few_get(f, f->count));
    set_weight(f, t, node_if(l->c, some, score, few_real(f, t->softmax ? -INFINITY : 0)));
    lanes_close(f, &lane);
}

Local *few_shift(Few *f, Node *max)
{
    Local *shift = local_new(f->l, "shift", max);
    set_local(f->l, shift,
              node_if(few_c(f), few_op(f, N_EQ, max, few_real(f, -INFINITY)), few_real(f, 0), max));
    return shift;
}

Local *few_scale(Few *f, Node *part, Node *max, Local *shift)
{
    Local *scale = local_new(f->l, "scale", part);
    Node *less = node_unary(few_c(f), N_EXP_DOWN, few_op(f, N_SUB, part, few_get(f, shift)));
    set_local(f->l, scale, node_if(few_c(f), few_op(f, N_EQ, part, max), few_real(f, 1), less));
    return scale;
}

/* Weights exp(score - maximum): 0 for -inf. What was summed before shrinks. */
static void normalise(Few *f, const FewTerm *t)
{
    Lower *l = f->l;
    Loop lane;
    Local *max = greatest(f, t->weights, of_member(f, t->max)), *shift = few_shift(f, few_get(f, max));
    Local *scale = few_scale(f, of_member(f, t->max), few_get(f, max), shift);
    lanes_open(f, &lane);
    Node *less = few_op(f, N_SUB, weight_of_lane(f, t), few_get(f, shift));
    set_weight(f, t, node_unary(l->c, N_EXP_DOWN, less));
    lanes_close(f, &lane);
    Local *sum = sum_of_lanes(f, t, few_op(f, N_MUL, of_member(f, t->sum), few_get(f, scale)));
    set_member(f, t->max, few_get(f, max));
    set_member(f, t->sum, few_get(f, sum));
    set_member(f, t->scale, few_get(f, scale));
}

static void weigh_keys(Few *f)
{
    for (unsigned k = 0; k < f->n_terms; k++) {
        finish_scores(f, &f->terms[k]);
        if (f->terms[k].softmax) normalise(f, &f->terms[k]);
    }
}

/* Several keys at once, so that an accumulator is loaded and stored once for all of them. */
static void add_some(Few *f, const FewTerm *t, Node *from, unsigned at_once)
{
    Lower *l = f->l;
    Nest nest;
    dims_open(l, &nest, f->n_dims, f->dims);
    Node *x = of_member(f, t->total);
    for (unsigned k = 0; k < at_once; k++) {
        Node *place = few_op(f, N_ADD, from, few_int(f, k));
        Node *factor = lower_value(l, few_at_place(f, t->factor, place));
        x = few_op(f, N_ADD, x, few_op(f, N_MUL, few_of_member(f, t->weights, place), factor));
    }
    set_member(f, t->total, x);
    nest_close(l, &nest);
}

/* Most often the maximum stays. */
static void shrink_total(Few *f, const FewTerm *t)
{
    Nest nest;
    Branch changed;
    branch_open(f->l, &changed, few_op(f, N_NE, of_member(f, t->scale), few_real(f, 1)));
    dims_open(f->l, &nest, f->n_dims, f->dims);
    set_member(f, t->total, few_op(f, N_MUL, of_member(f, t->total), of_member(f, t->scale)));
    nest_close(f->l, &nest);
    branch_close(f->l, &changed);
}

static void add_values(Few *f)
{
    Loop some;
    Node *by = few_int(f, FEW_AT_ONCE), *count = few_get(f, f->count);
    few_store_rows(f, true);
    for (unsigned k = 0; k < f->n_terms; k++)
        if (f->terms[k].softmax) shrink_total(f, &f->terms[k]);
    Local *whole = local_make(f->l, "whole", TYPE_INT, true);
    set_local(f->l, whole, few_op(f, N_MUL, few_op(f, N_FLOORDIV, count, by), by));
    Node *from = places_open(f, &some, few_int(f, 0), few_get(f, whole), FEW_AT_ONCE);
    for (unsigned k = 0; k < f->n_terms; k++) add_some(f, &f->terms[k], from, FEW_AT_ONCE);
    few_prefetch(f, from, false);
    loop_close(f->l, &some);
    from = places_open(f, &some, few_get(f, whole), count, 1);
    for (unsigned k = 0; k < f->n_terms; k++) add_some(f, &f->terms[k], from, 1);
    loop_close(f->l, &some);
}

/* ---- the chunk ---- */

static void keep_parts(Few *f)
{
    Lower *l = f->l;
    Loop loop;
    Nest nest;
    heads_open(f, &loop);
    store_at(l, f->part_seen, node_bool(l->c, true));
    for (unsigned k = 0; k < f->n_terms; k++) {
        FewTerm *t = &f->terms[k];
        if (t->softmax) store_at(l, t->part_max, of_member(f, t->max));
        if (t->softmax) store_at(l, t->part_sum, of_member(f, t->sum));
        dims_open(l, &nest, f->n_dims, f->dims);
        store_at(l, t->part_total, of_member(f, t->total));
        nest_close(l, &nest);
    }
    loop_close(l, &loop);
}

static void keep_nothing(Few *f)
{
    Loop loop;
    heads_open(f, &loop);
    store_at(f->l, f->part_seen, node_bool(few_c(f), false));
    loop_close(f->l, &loop);
}

/* If there are keys. */
static void with_keys(Few *f, void (*add)(Few *f))
{
    Branch some;
    branch_open(f->l, &some, few_op(f, N_LT, few_int(f, 0), few_get(f, f->count)));
    repeat_last(f);
    add(f);
    branch_close(f->l, &some);
}

static void each_head(Few *f, void (*add)(Few *f))
{
    Loop heads;
    heads_open(f, &heads);
    add(f);
    loop_close(f->l, &heads);
}

static void add_to_head(Few *f)
{
    note(f, CENSUS_BOX, NULL, few_get(f, f->count));
    sum_scores(f);
    weigh_keys(f);
    add_values(f);
}

static void list_and_add(Few *f)
{
    list_keys(f);
    with_keys(f, add_to_head);
}

static void weigh_head(Few *f)
{
    note(f, CENSUS_BOX, NULL, few_get(f, f->count));
    weigh_keys(f);
}

/* For all heads of the block at once where they go together, else for one after the other. */
static void in_either_way(Few *f, void (*at_once)(Few *f), void (*add)(Few *f))
{
    Branch apart;
    if (f->together) few_together(f, at_once);
    Node *yes = f->together ? few_get(f, f->together) : node_bool(few_c(f), false);
    branch_open(f->l, &apart, node_unary(few_c(f), N_NOT, yes));
    each_head(f, add);
    branch_close(f->l, &apart);
}

/* One step of all heads: they find keys, then values, that they share in the first cache. */
static void add_to_all(Few *f)
{
    in_either_way(f, few_sum_together, sum_scores);
    each_head(f, weigh_head);
    in_either_way(f, few_add_together, add_values);
}

/* The next keys, for all heads. */
static void add_keys(Few *f)
{
    if (f->own_list) {
        each_head(f, list_and_add);
        return;
    }
    list_keys(f);
    with_keys(f, add_to_all);
}

static void run_chunk(Few *f, Range range)
{
    Lower *l = f->l;
    Loop keys;
    Branch some;
    few_find_together(f);
    start_heads(f);
    range.step = few_int(f, FEW_KEYS);
    f->end = range.hi;
    loop_open(l, &keys, f->first, range);
    Node *first = node_index(l->c, f->first),
         *end = few_op(f, N_MIN, few_op(f, N_ADD, first, few_int(f, FEW_KEYS)), range.hi);
    branch_open(l, &some, may_hold(f, first, end));
    add_keys(f);
    branch_close(l, &some);
    loop_close(l, &keys);
    keep_parts(f);
}

void few_chunk(Few *f)
{
    Lower *l = f->l;
    Branch yes, no;
    NodeList tests = {0};
    Node *first = chunk_first(f), *end = few_op(f, N_ADD, first, few_int(f, FEW_CHUNK));
    note(f, CENSUS_STRIP, node_bool(l->c, true), NULL);
    f->own_list = f->head && node_depends_on(f->where, f->head);
    few_stage(f);
    f->count = local_make(l, "count", TYPE_INT, true);
    Range range = {first, few_op(f, N_MIN, end, binder_hi(f->sum, 0)), NULL};
    if (!f->own_list) range = visible_range(f, first, end, &tests);
    Local *visible = local_make(l, "visible", TYPE_BOOL, true);
    set_local(l, visible, may_hold(f, range.lo, range.hi));
    branch_open(l, &yes, few_get(f, visible));
    run_chunk(f, range);
    branch_close(l, &yes);
    branch_open(l, &no, node_unary(l->c, N_NOT, few_get(f, visible)));
    keep_nothing(f);
    branch_close(l, &no);
}
