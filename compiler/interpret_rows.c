/* Normalisers, scans and selections. What a whole row has in common (maximum and sum, threshold, cut,
 * order, running values) is computed once and remembered; the value at the current coordinates follows
 * from it. sparsemax: Martins and Astudillo, ICML 2016; entmax15: Peters, Niculae and Martins, ACL 2019
 * (both by sorting). */
#include "interpret_cells.h"

#include <math.h>
#include <stdlib.h>

typedef struct Row {
    int64_t hi[MAX_BOUND];
    double shift, sum;       /* softmax: exp(score - shift) / sum */
    double threshold;        /* sparsemax, entmax15: by which scores (less shift) are lowered */
    bool none;               /* normalisers: all weights are 0; selections: nothing is selected */
    int64_t key, at;         /* topk, topp: the last that is selected */
    Item *items;             /* rank: ascending; top_index: descending; positions: in order */
    size_t n_items;
    int64_t done;            /* scan: coordinates before this one have their value */
    Scalar *running;
} Row;

/* The kept elements of a row onto the scratch stack. Returns where they begin; they run to scratch.n. */
static uint32_t gather(Interpreter *in, Walk *w, const Cell *n, bool any)
{
    uint32_t first = in->scratch.n;
    const Cell *where = cell_where(n), *body = cell_body(n);
    if (!any) return first;
    do {
        if (!interpret_eval(in, where).i) continue;
        Scalar x = interpret_eval(in, body);
        PUSH(&in->memory, &in->scratch, (Item){x, scalar_key((Type)n->type, x, true), walk_at(n)});
    } while (walk_next(in, w));
    return first;
}

static int descending(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    if (x->key != y->key) return x->key > y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int ascending(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The greatest score, NaN if there is one, -inf of nothing. */
static double greatest(const Item *item, size_t n)
{
    double max = -(double)INFINITY;
    for (size_t k = 0; k < n; k++) {
        if (isnan(item[k].value.r)) return item[k].value.r;
        max = fmax(max, item[k].value.r);
    }
    return max;
}

static double sum_exp(const Item *item, size_t n, double shift)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += exp(item[k].value.r - shift);
    return sum;
}

double interpret_logsumexp(Interpreter *in, const Cell *n)
{
    Walk w;
    bool any = walk_begin(in, &w, n);
    uint32_t first = gather(in, &w, n, any);
    walk_end(&w);
    size_t count = in->scratch.n - first;
    const Item *item = count ? in->scratch.at + first : NULL;
    double max = greatest(item, count), value = isfinite(max) ? max + log(sum_exp(item, count, max)) : max;
    in->scratch.n = first;
    return value;
}

/* max(z - threshold, 0) sums to 1; the support is the longest prefix whose last z stays above the
 * threshold. */
static double sparsemax_threshold(const Item *item, size_t n, double shift)
{
    double sum = 0, threshold = 0;
    for (size_t k = 0; k < n; k++) {
        double z = item[k].value.r - shift, count = (double)(k + 1);
        if (1 + count * z <= sum + z) break;
        sum += z;
        threshold = (sum - 1) / count;
    }
    return threshold;
}

/* max((z - threshold), 0)^2 sums to 1, with z half the scores. */
static double entmax15_threshold(const Item *item, size_t n, double shift)
{
    double sum = 0, squares = 0, threshold = 0;
    for (size_t k = 0; k < n; k++) {
        double z = (item[k].value.r - shift) / 2, count = (double)(k + 1);
        if (isinf(z)) break;
        sum += z;
        squares += z * z;
        double mean = sum / count, spread = squares - mean * sum;
        double tau = mean - sqrt(fmax((1 - spread) / count, 0));
        if (tau > z) break;
        threshold = tau;
    }
    return threshold;
}

static void fill_normalise(Row *row, const Cell *n, Item *item, size_t count, Scalar sink)
{
    row->shift = greatest(item, count);
    row->none = row->shift == -(double)INFINITY;
    if (row->none) return;
    if (n->kind == NORMALISE_SOFTMAX) {
        row->sum = sum_exp(item, count, row->shift);
        if (cell_extra(n)) row->sum += exp(sink.r - row->shift);
        return;
    }
    row->threshold = row->shift - row->shift; /* NaN for scores of NaN or inf */
    if (isnan(row->threshold)) return;
    qsort(item, count, sizeof *item, descending);
    row->threshold = n->kind == NORMALISE_SPARSEMAX ? sparsemax_threshold(item, count, row->shift)
                                                    : entmax15_threshold(item, count, row->shift);
}

static void cut_after(Row *row, const Item *item, size_t count, size_t selected)
{
    row->none = selected == 0 || count == 0;
    if (row->none) return;
    if (selected > count) selected = count;
    row->key = item[selected - 1].key;
    row->at = item[selected - 1].at;
}

static void fill_topk(Row *row, Item *item, size_t count, int64_t wanted)
{
    qsort(item, count, sizeof *item, descending);
    cut_after(row, item, count, wanted <= 0 ? 0 : (size_t)wanted);
}

static void fill_topp(Row *row, const Cell *n, Item *item, size_t count, double mass)
{
    double sum = 0;
    size_t selected = 0;
    qsort(item, count, sizeof *item, descending);
    while (!(mass <= 0) && selected < count) {
        Scalar x = item[selected++].value;
        double weight = n->type == TYPE_REAL ? x.r : (double)x.i;
        sum += isnan(weight) ? -(double)INFINITY : weight;
        if (sum >= mass) break;
    }
    cut_after(row, item, count, selected);
}

static void fill_list(Interpreter *in, Row *row, const Cell *n, Item *item, size_t count)
{
    if (n->op == N_RANK) qsort(item, count, sizeof *item, ascending);
    if (n->op == N_TOP_INDEX) qsort(item, count, sizeof *item, descending);
    row->items = NEW_ARRAY(&in->memory, Item, count + 1);
    row->n_items = count;
    for (size_t k = 0; k < count; k++) row->items[k] = item[k];
}

/* `positions` has no scores: what counts is where its body holds. */
static uint32_t gather_true(Interpreter *in, Walk *w, const Cell *n, bool any)
{
    uint32_t first = gather(in, w, n, any), kept = first;
    for (uint32_t k = first; k < in->scratch.n; k++)
        if (n->type != TYPE_BOOL || in->scratch.at[k].value.i) in->scratch.at[kept++] = in->scratch.at[k];
    in->scratch.n = kept;
    return first;
}

static void fill(Interpreter *in, Row *row, const Cell *n, Walk *w, bool any)
{
    uint32_t first = n->op == N_POSITIONS ? gather_true(in, w, n, any) : gather(in, w, n, any);
    size_t count = in->scratch.n - first;
    walk_end(w); /* the operand stands outside; its evaluation may move the scratch stack */
    bool listed = n->op == N_TOP_INDEX || n->op == N_POSITIONS;
    Scalar extra = cell_extra(n) && !listed ? interpret_eval(in, cell_extra(n)) : scalar_int(0);
    Item nothing, *item = count ? in->scratch.at + first : &nothing;
    switch (n->op) {
    case N_NORMALISE: fill_normalise(row, n, item, count, extra); break;
    case N_TOPK: fill_topk(row, item, count, extra.i); break;
    case N_TOPP: fill_topp(row, n, item, count, extra.r); break;
    default: fill_list(in, row, n, item, count); break;
    }
    in->scratch.n = first;
}

static Row *known_row(Interpreter *in, const Cell *n)
{
    for (unsigned k = 0; n->lo && k < n->n_vars; k++) n->lo[k] = interpret_eval(in, n->args[2 * k]).i;
    Scalar *known = memo_find(n->memo);
    if (!known) return NULL;
    Row *row = (Row *)(intptr_t)known->i;
    for (unsigned k = 0; n->lo && k < n->n_vars; k++)
        if (interpret_eval(in, n->args[2 * k + 1]).i != row->hi[k]) return NULL;
    return row;
}

static Row *row_of(Interpreter *in, const Cell *n)
{
    Row *row = known_row(in, n);
    if (row) return row;
    row = NEW(&in->memory, Row);
    Walk w;
    bool any = walk_begin(in, &w, n);
    if (n->op != N_SCAN) {
        fill(in, row, n, &w, any);
    } else {
        walk_end(&w);
        row->done = w.lo[0];
        row->running = NEW_ARRAY(&in->memory, Scalar, any ? n->extents[0] : 1);
    }
    for (unsigned k = 0; k < n->n_vars; k++) {
        row->hi[k] = w.hi[k];
        if (n->lo) n->lo[k] = w.lo[k];
    }
    memo_put(in, n->memo, scalar_int((intptr_t)row));
    return row;
}

static Scalar scan_start(const Cell *n)
{
    if (n->type == TYPE_REAL) return scalar_real(n->kind == SCAN_CUMMAX ? -(double)INFINITY : 0);
    return scalar_int(n->kind == SCAN_CUMMAX ? INT64_MIN : 0);
}

static Scalar scan_step(const Cell *n, Scalar before, Scalar x)
{
    if (n->kind == SCAN_CUMSUM) return scalar_binary(N_ADD, (Type)n->type, before, x);
    if (n->type == TYPE_REAL && isnan(x.r)) return before;
    return scalar_binary(N_MAX, (Type)n->type, before, x);
}

/* Only up to the current coordinate: later elements need not exist. */
static Scalar scan(Interpreter *in, const Cell *n)
{
    Row *row = row_of(in, n);
    int64_t *slot = n->vars[0], at = *slot, lo = interpret_eval(in, n->args[0]).i;
    if (at < lo || at >= row->hi[0]) BUG(&in->memory, "a scan outside of its range");
    while (row->done <= at) {
        Scalar value = row->done > lo ? row->running[row->done - 1] : scan_start(n);
        *slot = row->done;
        if (in->operations > in->limit) interpret_fail(in, "more operations than allowed");
        if (interpret_eval(in, cell_where(n)).i)
            value = scan_step(n, value, interpret_eval(in, cell_body(n)));
        row->running[row->done++] = value;
    }
    *slot = at;
    return row->running[at];
}

static bool outside(Interpreter *in, const Cell *n, const Row *row)
{
    for (unsigned k = 0; n->lo && k < n->n_vars; k++)
        if (*n->vars[k] < interpret_eval(in, n->args[2 * k]).i || *n->vars[k] >= row->hi[k]) return true;
    return false;
}

static double weight(const Row *row, const Cell *n, double score)
{
    if (n->kind == NORMALISE_SOFTMAX) return exp(score - row->shift) / row->sum;
    double z = score - row->shift;
    z = (n->kind == NORMALISE_ENTMAX15 ? z / 2 : z) - row->threshold;
    if (isnan(z)) return z;
    z = fmax(z, 0);
    return n->kind == NORMALISE_ENTMAX15 ? z * z : z;
}

static Scalar normalise(Interpreter *in, const Cell *n)
{
    if (!interpret_eval(in, cell_where(n)).i) return scalar_real(0);
    const Row *row = row_of(in, n);
    if (row->none || outside(in, n, row)) return scalar_real(0);
    return scalar_real(weight(row, n, interpret_eval(in, cell_body(n)).r));
}

static Item current(Interpreter *in, const Cell *n)
{
    Scalar x = interpret_eval(in, cell_body(n));
    return (Item){x, scalar_key((Type)n->type, x, true), walk_at(n)};
}

static Scalar selected(Interpreter *in, const Cell *n)
{
    if (!interpret_eval(in, cell_where(n)).i) return scalar_int(0);
    const Row *row = row_of(in, n);
    if (row->none || outside(in, n, row)) return scalar_int(0);
    Item x = current(in, n), cut = {.key = row->key, .at = row->at};
    return scalar_int(descending(&x, &cut) <= 0);
}

static Scalar rank(Interpreter *in, const Cell *n)
{
    if (!interpret_eval(in, cell_where(n)).i) return scalar_int(-1);
    const Row *row = row_of(in, n);
    Item x = current(in, n);
    const Item *found = bsearch(&x, row->items, row->n_items, sizeof x, ascending);
    return scalar_int(found ? found - row->items : -1);
}

static Scalar listed(Interpreter *in, const Cell *n)
{
    int64_t r = interpret_eval(in, cell_extra(n)).i;
    const Row *row = row_of(in, n);
    return scalar_int(r >= 0 && (uint64_t)r < row->n_items ? row->items[r].at : -1);
}

Scalar interpret_row(Interpreter *in, const Cell *n)
{
    switch (n->op) {
    case N_NORMALISE: return normalise(in, n);
    case N_SCAN: return scan(in, n);
    case N_TOPK: case N_TOPP: return selected(in, n);
    case N_RANK: return rank(in, n);
    default: return listed(in, n);
    }
}
