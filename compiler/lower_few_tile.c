/* Few queries: the heads of a block that share their keys, at once (see lower_few_internal.h), so that what
 * is loaded of a key, and converted, serves all of them, and all sums of a step stand in registers: scores of
 * a few keys in lanes of what is summed, then values in lanes of channels. Each step fetches a few lines of
 * what comes next, in the order of memory: prefetches that come in bursts are dropped by the machine.
 * Requires: staged terms. Ensures: what the heads would do one after the other. Breaks: nothing. */
#include "graph.h"
#include "lower_few_internal.h"

/* ---- where heads go together ---- */

typedef struct Sharing {
    Few *f;
    Node *shared, *units;
} Sharing;

static void look_at_read(void *context, const Node *n)
{
    Sharing *s = context;
    Few *f = s->f;
    for (unsigned k = 0; n->op == N_READ && k < n->n_args; k++) {
        if (!node_depends_on(n->args[k], f->head)) continue;
        Node *group = node_group(few_c(f), n->tensor), *all = node_bool(few_c(f), false);
        if (few_is_shared(f, n, k))
            all = few_op(f, N_OR, few_op(f, N_LE, node_size(few_c(f), f->head), group),
                         few_op(f, N_EQ, few_op(f, N_MOD, group, few_int(f, FEW_HEADS)), few_int(f, 0)));
        s->shared = few_op(f, N_AND, s->shared, all);
    }
}

/* Sums over one whole range. */
static bool has_plain_sums(Few *f)
{
    for (uint32_t k = 0; k < f->sums.n; k++) {
        const Node *n = f->sums.at[k].value;
        bool plain = n->op == N_REDUCE && n->kind == REDUCE_SUM && n->n_vars == 1;
        if (!plain || !node_is_int(binder_lo(n, 0), 0) || binder_hi(n, 0)->free != set_empty(few_c(f)) ||
            !node_is_bool(binder_where(n), true))
            return false;
    }
    return f->head && !f->own_list;
}

void few_find_together(Few *f)
{
    Compilation *c = few_c(f);
    if (!has_plain_sums(f)) return;
    Node *next =
        few_op(f, N_MUL, few_op(f, N_ADD, node_index(c, f->block), few_int(f, 1)), few_int(f, FEW_HEADS));
    Sharing s = {f, few_op(f, N_LE, next, node_size(c, f->head)), node_bool(c, true)};
    for (uint32_t k = 0; k < f->rows.n; k++) node_visit(c, f->rows.at[k].value, look_at_read, &s);
    for (uint32_t k = 0; k < f->direct.n; k++) {
        node_visit(c, f->direct.at[k].value, look_at_read, &s);
        s.units = few_op(f, N_AND, s.units, node_unit(c, f->direct.at[k].value->tensor));
    }
    if (node_is_bool(s.shared, false)) return;
    f->units = s.units;
    f->together = local_make(f->l, "together", TYPE_BOOL, true);
    set_local(f->l, f->together, few_op(f, N_AND, s.shared, s.units));
}

/* The first head leads. That rows lie side by side is said once more, for those who look at this branch
 * alone. */
void few_together(Few *f, void (*add)(Few *f))
{
    Lower *l = f->l;
    Branch way;
    Loop leader;
    Node *first = few_op(f, N_MUL, node_index(l->c, f->block), few_int(f, FEW_HEADS));
    branch_open(l, &way, few_op(f, N_AND, few_get(f, f->together), f->units));
    loop_open(l, &leader, f->head, (Range){first, few_op(f, N_ADD, first, few_int(f, 1)), NULL});
    f->at = 0;
    add(f);
    f->at = -1;
    loop_close(l, &leader);
    branch_close(l, &way);
}

/* ---- what comes next ---- */

static bool is_half(const Tensor *t) { return t->storage == STORAGE_F16 || t->storage == STORAGE_BF16; }

enum { MOST_ROWS = 4 };
typedef struct Ahead {
    Few *f;
    bool next; /* rows of the next keys, not of these */
    const Node *rows[MOST_ROWS];
    Local *place[MOST_ROWS], *key[MOST_ROWS], *at[MOST_ROWS]; /* what is fetched next */
    unsigned n;
} Ahead;

static void go_to_row(const Ahead *a, unsigned k, Node *place)
{
    Few *f = a->f;
    set_local(f->l, a->place[k], place);
    set_local(f->l, a->key[k], few_key(f, few_get(f, a->place[k]), a->next));
    set_local(f->l, a->at[k], few_int(f, 0));
}

static Ahead ahead_open(Few *f, bool factors)
{
    Ahead a = {.f = f, .next = !factors};
    NodeList rows = few_reads(f, factors);
    for (; a.n < rows.n && a.n < MOST_ROWS; a.n++) {
        a.rows[a.n] = rows.at[a.n];
        a.place[a.n] = local_make(f->l, "row", TYPE_INT, true);
        a.key[a.n] = local_make(f->l, "key", TYPE_INT, true);
        a.at[a.n] = local_make(f->l, "at", TYPE_INT, true);
        go_to_row(&a, a.n, few_int(f, 0));
    }
    return a;
}

/* So many numbers of every row, but whole lines. */
static void ahead_step(const Ahead *a, unsigned numbers)
{
    Few *f = a->f;
    Branch end;
    for (unsigned k = 0; k < a->n; k++) {
        const Tensor *t = a->rows[k]->tensor;
        int64_t line = is_half(t) ? 32 : 16, step = numbers > line ? numbers : line;
        Node *at = few_get(f, a->at[k]), *size = node_size(few_c(f), t->dims[t->n_dims - 1]);
        few_fetch(f, a->rows[k], few_get(f, a->key[k]), at, few_int(f, step));
        set_local(f->l, a->at[k], few_op(f, N_ADD, at, few_int(f, step)));
        Node *last = few_op(f, N_SUB, few_get(f, f->count), few_int(f, 1));
        branch_open(f->l, &end, few_op(f, N_LE, size, at));
        go_to_row(a, k, few_op(f, N_MIN, few_op(f, N_ADD, few_get(f, a->place[k]), few_int(f, 1)), last));
        branch_close(f->l, &end);
    }
}

/* ---- lanes ---- */

/* Only rows of 16 bits come from memory as fast as wide registers take them: with others, half as wide,
 * fetches come evenly, so that fewer are dropped, and that gains more than the registers. */
static bool is_wide(const Few *f)
{
    bool half = false;
    for (uint32_t k = 0; k < f->direct.n; k++) half |= is_half(f->direct.at[k].value->tensor);
    return f->l->schedule.wide && half;
}

static unsigned lanes_of_register(const Few *f)
{
    unsigned parts = f->l->schedule.wide && !is_wide(f) ? 4 : 2;
    return f->l->schedule.lanes > parts ? f->l->schedule.lanes / parts : 1;
}

/* Registers for the sums of one head. */
static unsigned sums_of_head(const Few *f) { return is_wide(f) ? 4 : 2; }

typedef struct Lanes {
    Index *lane, *start;
    Loop vector, along;
    Node *at; /* the coordinate of the lane at work */
} Lanes;

/* lo, lo + n, ... < hi, each with the n - 1 after it. */
static void lanes_open(Few *f, Lanes *s, unsigned n)
{
    s->lane = few_index(f, "lane", few_int(f, n));
    s->start = few_index(f, "start", few_int(f, n));
    s->at = few_op(f, N_ADD, node_index(few_c(f), s->start), node_index(few_c(f), s->lane));
    loop_open(f->l, &s->vector, s->lane, whole_range(f->l, s->lane));
    s->vector.kind = LOOP_VECTOR;
    f->l->lane = s->lane;
}

static void lanes_close(Few *f, Lanes *s)
{
    f->l->lane = NULL;
    loop_close(f->l, &s->vector);
}

static Node *whole(Few *f, Node *size, unsigned by)
{
    return few_op(f, N_MUL, few_op(f, N_FLOORDIV, size, few_int(f, by)), few_int(f, by));
}

/* ---- scores ---- */

enum { KEYS = 2 /* at a time */, SUMS = KEYS * FEW_HEADS };
typedef struct Sums {
    Few *f;
    const FewPart *part;
    Node *from;         /* the place of the first key */
    Local *local[SUMS]; /* by key, head */
} Sums;

static void start_sums(Sums *s)
{
    for (unsigned k = 0; k < SUMS; k++) {
        s->local[k] = local_new(s->f->l, "total", s->part->value);
        set_local(s->f->l, s->local[k], few_real(s->f, 0));
    }
}

/* What the coordinate `at` adds to all sums. */
static void add_to_sums(Sums *s, Node *at)
{
    Few *f = s->f;
    for (unsigned k = 0; k < SUMS; k++) {
        f->at = k % FEW_HEADS;
        Node *sum = few_at_place(f, s->part->value, few_op(f, N_ADD, s->from, few_int(f, k / FEW_HEADS)));
        Node *more = lower_value(f->l, node_substitute(few_c(f), binder_body(sum), 1, sum->vars, &at));
        set_local(f->l, s->local[k], few_op(f, N_ADD, few_get(f, s->local[k]), more));
    }
    f->at = 0;
}

static Node *element(Few *f, Tensor *t, Node *first, Node *second)
{
    Node **at = NEW_ARRAY(few_c(f), Node *, 2);
    at[0] = first;
    at[1] = second;
    return node_read(few_c(f), t, at, false);
}

/* Sums in lanes, left in `parts` [key and head, lane]. */
static void sum_lanes(Sums *s, Tensor *parts, const Ahead *ahead)
{
    Few *f = s->f;
    Lanes lanes;
    unsigned n = lanes_of_register(f);
    lanes_open(f, &lanes, n);
    start_sums(s);
    loop_open(f->l, &lanes.along, lanes.start,
              (Range){few_int(f, 0), whole(f, binder_hi(s->part->value, 0), n), few_int(f, n)});
    ahead_step(ahead, n * KEYS);
    add_to_sums(s, lanes.at);
    loop_close(f->l, &lanes.along);
    for (unsigned k = 0; k < SUMS; k++)
        store(f->l, parts, element(f, parts, few_int(f, k), node_index(few_c(f), lanes.lane))->args,
              few_get(f, s->local[k]));
    lanes_close(f, &lanes);
}

/* Over the lanes, and what they leave over. */
static void finish_sums(Sums *s, Tensor *parts)
{
    Few *f = s->f;
    Loop loop;
    unsigned n = lanes_of_register(f);
    Index *lane = few_index(f, "lane", few_int(f, n)),
          *rest = few_index(f, "rest", binder_hi(s->part->value, 0));
    start_sums(s);
    loop_open(f->l, &loop, lane, whole_range(f->l, lane));
    for (unsigned k = 0; k < SUMS; k++) {
        Node *part = element(f, parts, few_int(f, k), node_index(few_c(f), lane));
        set_local(f->l, s->local[k], few_op(f, N_ADD, few_get(f, s->local[k]), part));
    }
    loop_close(f->l, &loop);
    loop_open(f->l, &loop, rest, (Range){whole(f, rest->extent, n), rest->extent, NULL});
    loop.kind = LOOP_JAM;
    add_to_sums(s, node_index(few_c(f), rest));
    loop_close(f->l, &loop);
    for (unsigned k = 0; k < SUMS; k++) {
        Node *place = few_op(f, N_ADD, s->from, few_int(f, k / FEW_HEADS));
        store(f->l, s->part->tile, element(f, s->part->tile, few_int(f, k % FEW_HEADS), place)->args,
              few_get(f, s->local[k]));
    }
}

void few_sum_together(Few *f)
{
    Lower *l = f->l;
    Loop some;
    few_store_rows(f, false);
    Ahead ahead = ahead_open(f, true), none = {0};
    Index *from = few_index(f, "from", few_int(f, FEW_KEYS)), *pair = few_index(f, "sum", few_int(f, SUMS)),
          *lane = few_index(f, "lane", few_int(f, lanes_of_register(f)));
    loop_open(l, &some, from, (Range){few_int(f, 0), few_get(f, f->count), few_int(f, KEYS)});
    for (uint32_t k = 0; k < f->sums.n; k++) {
        Sums s = {.f = f, .part = &f->sums.at[k], .from = node_index(l->c, from)};
        Tensor *parts = scratch_new(l, "parts", s.part->value, 2, (Index *[]){pair, lane});
        sum_lanes(&s, parts, k ? &none : &ahead);
        finish_sums(&s, parts);
    }
    loop_close(l, &some);
}

/* ---- values ---- */

typedef struct Values {
    Few *f;
    const FewTerm *term;
    Node *at; /* the coordinate along the last dimension */
    const Ahead *ahead;
    unsigned lanes;
} Values;

static Node **total_at(const Values *v)
{
    Few *f = v->f;
    const Tensor *t = v->term->total;
    Node **at = NEW_ARRAY(few_c(f), Node *, t->n_dims);
    at[0] = few_member(f);
    for (unsigned k = 1; k + 1 < t->n_dims; k++) at[k] = node_index(few_c(f), t->dims[k]);
    at[t->n_dims - 1] = v->at;
    return at;
}

static void add_key(const Values *v, Local *const *total)
{
    Few *f = v->f;
    Node *place = node_index(few_c(f), f->place);
    for (unsigned m = 0; m < FEW_HEADS; m++) {
        f->at = (int)m;
        Node *factor = few_at_place(f, v->term->factor, place);
        factor = lower_value(f->l, node_substitute(few_c(f), factor, 1, &f->dims[f->n_dims - 1], &v->at));
        Node *more = few_op(f, N_MUL, few_of_member(f, v->term->weights, place), factor);
        set_local(f->l, total[m], few_op(f, N_ADD, few_get(f, total[m]), more));
    }
    f->at = 0;
}

/* All listed keys to the totals of all heads at `at`, which shrink first. */
static void add_keys_at(const Values *v)
{
    Few *f = v->f;
    Local *total[FEW_HEADS];
    Loop places;
    for (unsigned m = 0; m < FEW_HEADS; m++) {
        f->at = (int)m;
        Node *member = few_member(f), *x = node_read(few_c(f), v->term->total, total_at(v), false);
        if (v->term->softmax) x = few_op(f, N_MUL, x, node_read(few_c(f), v->term->scale, &member, false));
        set_local(f->l, total[m] = local_new(f->l, "total", x), x);
    }
    loop_open(f->l, &places, f->place, (Range){few_int(f, 0), few_get(f, f->count), NULL});
    if (v->lanes == 1) places.kind = LOOP_JAM;
    if (v->ahead) ahead_step(v->ahead, v->lanes);
    add_key(v, total);
    loop_close(f->l, &places);
    for (unsigned m = 0; m < FEW_HEADS; m++) {
        f->at = (int)m;
        store(f->l, v->term->total, total_at(v), few_get(f, total[m]));
    }
    f->at = 0;
}

static void add_in_lanes(Values *v, Node *lo, Node *hi)
{
    Few *f = v->f;
    Lanes lanes;
    Range range = {lo, hi, few_int(f, v->lanes)};
    lanes_open(f, &lanes, v->lanes);
    loop_open(f->l, &lanes.along, lanes.start, range);
    v->at = lanes.at;
    add_keys_at(v);
    loop_close(f->l, &lanes.along);
    lanes_close(f, &lanes);
}

/* Channels by registers of all sums, then by one, then one by one. */
static void add_term(Few *f, const FewTerm *t, const Ahead *ahead)
{
    Nest nest;
    Loop rest;
    unsigned n = lanes_of_register(f), many = n * sums_of_head(f);
    Index *one = few_index(f, "rest", node_size(few_c(f), f->dims[f->n_dims - 1]));
    Node *by_many = whole(f, one->extent, many), *by_one = whole(f, one->extent, n);
    dims_open(f->l, &nest, f->n_dims - 1, f->dims);
    add_in_lanes(&(Values){.f = f, .term = t, .ahead = ahead, .lanes = many}, few_int(f, 0), by_many);
    add_in_lanes(&(Values){.f = f, .term = t, .lanes = n}, by_many, by_one);
    loop_open(f->l, &rest, one, (Range){by_one, one->extent, NULL});
    add_keys_at(&(Values){.f = f, .term = t, .at = node_index(few_c(f), one), .lanes = 1});
    loop_close(f->l, &rest);
    nest_close(f->l, &nest);
}

void few_add_together(Few *f)
{
    few_store_rows(f, true);
    Ahead ahead = ahead_open(f, false);
    for (unsigned k = 0; k < f->n_terms; k++) add_term(f, &f->terms[k], k ? NULL : &ahead);
}
