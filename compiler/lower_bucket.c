/* Queries and keys in the order of labels (see lower_bucket.h). Requires: a sum over one streamed index for
 * queries of one index. Ensures: every query stands in one strip, lanes beyond the last repeat it; a sum over
 * `place` runs over the same keys. Breaks: the order in which a sum adds. */
#include "lower_bucket.h"

#include "graph.h"

static Node *op(const Bucket *b, Op o, Node *x, Node *y) { return node_binary(b->l->c, o, x, y); }
static Node *number(const Bucket *b, int64_t x) { return node_int(b->l->c, x); }
static Node *more(const Bucket *b, Node *x, int64_t by) { return op(b, N_ADD, x, number(b, by)); }
static Node *size(const Bucket *b, Index *index) { return node_size(b->l->c, index); }
static Node *at(const Bucket *b, Index *index) { return node_index(b->l->c, index); }
static Node *get(const Bucket *b, Local *x) { return local_get(b->l, x); }

static Index *index_of(const Bucket *b, const char *name, Node *extent)
{
    Index *index = index_new(b->l->c, name, b->l->span);
    index->extent = extent;
    return index;
}

static Local *variable(const Bucket *b, const char *name, Node *value)
{
    Local *x = local_make(b->l, name, TYPE_INT, true);
    set_local(b->l, x, value);
    return x;
}

/* ---- recognising ---- */

typedef struct Look {
    const Bucket *b;
    bool label, other, pair; /* reads along an index; binders of keys that need their order; reads of pairs */
} Look;

static bool is_whole(Compilation *c, const Node *n, const Index *index)
{
    bool found = false;
    for (unsigned k = 0; k < n->n_vars; k++) {
        if (n->vars[k] != index) continue;
        found = node_is_int(binder_lo(n, k), 0) && binder_hi(n, k) == node_size(c, (Index *)index);
        if (!found) return false;
    }
    return true;
}

static bool binds(const Node *n, const Index *index)
{
    for (unsigned k = 0; k < n->n_vars; k++)
        if (n->vars[k] == index) return true;
    return false;
}

static void look(void *context, const Node *n)
{
    Look *f = context;
    const Bucket *b = f->b;
    bool sum = n->op == N_REDUCE && (n->kind == REDUCE_SUM || n->kind == REDUCE_MAX || n->kind == REDUCE_MIN),
         weights = n->op == N_NORMALISE;
    if (binds(n, b->key) && (!(sum || weights) || !is_whole(b->l->c, n, b->key))) f->other = true;
    if (n->op != N_READ) return;
    bool query = node_depends_on(n, b->query), key = node_depends_on(n, b->key);
    f->label = f->label || query || key;
    f->pair = f->pair || (query && key);
}

static Look look_at(const Bucket *b, Node *n)
{
    Look f = {.b = b};
    node_visit(b->l->c, n, look, &f);
    return f;
}

/* An int that is looked up for one of the indices alone. */
static bool is_label(const Bucket *b, Node *n, const Index *own, const Index *other)
{
    return n->type == TYPE_INT && node_depends_on(n, own) && !node_depends_on(n, other) &&
           !is_heavy(b->l, n) && look_at(b, n).label;
}

static bool match_labels(Bucket *b, const Node *test)
{
    Label *x = &b->labels[b->n_labels];
    for (unsigned k = 0; test->op == N_EQ && k < 2 && b->n_labels < MOST_LABELS; k++) {
        *x = (Label){.of_query = test->args[k], .of_key = test->args[!k]};
        if (!is_label(b, x->of_query, b->query, b->key) || !is_label(b, x->of_key, b->key, b->query))
            continue;
        b->n_labels++;
        return true;
    }
    return false;
}

static bool find_labels(Bucket *b, NodeList *tests)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < tests->n; k++)
        if (!match_labels(b, tests->at[k])) tests->at[kept++] = tests->at[k];
    tests->n = kept;
    return b->n_labels > 0;
}

/* Ints and bools that the condition looks up for one of the two; false: it looks up something else. */
static bool find_look_ups(Bucket *b, Node *n)
{
    Look f = look_at(b, n);
    bool query = node_depends_on(n, b->query), key = node_depends_on(n, b->key);
    if (!f.label) return true;
    if (n->op == N_READ && query && key) return false;
    if (is_heavy(b->l, n) || (n->op == N_READ && n->type == TYPE_REAL)) return false;
    if (n->type != TYPE_REAL && query != key) {
        for (uint32_t k = 0; k < b->look_ups.n; k++)
            if (b->look_ups.at[k].value == n) return true;
        PUSH(b->l->c, &b->look_ups, (LookUp){.value = n, .of_key = key});
        return true;
    }
    for (unsigned k = 0; k < n->n_args; k++)
        if (!find_look_ups(b, n->args[k])) return false;
    return true;
}

static bool find_rows(Bucket *b, unsigned n_outer, Index **outer)
{
    IndexSet free = set_or(b->keys.lo->free, b->keys.hi->free);
    for (unsigned k = 0; k < b->n_labels; k++) {
        free = set_or(&free, b->labels[k].of_query->free);
        free = set_or(&free, b->labels[k].of_key->free);
    }
    for (uint32_t k = 0; k < b->look_ups.n; k++) free = set_or(&free, b->look_ups.at[k].value->free);
    set_remove(&free, b->query->id);
    set_remove(&free, b->key->id);
    b->rows = NEW_ARRAY(b->l->c, Index *, n_outer + 1);
    for (unsigned k = 0; k < n_outer; k++) {
        if (!set_has(&free, outer[k]->id)) continue;
        b->rows[b->n_rows++] = outer[k];
        set_remove(&free, outer[k]->id);
    }
    return set_is_empty(&free);
}

static Tensor *table_of(const Bucket *b, const char *name, Type type, Index *first, Index *second)
{
    Index *dims[MAX_INDICES];
    unsigned n = 0;
    for (; n < b->n_rows; n++) dims[n] = b->rows[n];
    dims[n++] = first;
    if (second) dims[n++] = second;
    return plan_tensor(b->l->c, name, type, n, dims);
}

static Tensor *table(const Bucket *b, const char *name, Index *first, Index *second)
{
    return table_of(b, name, TYPE_INT, first, second);
}

static unsigned least_lanes(const Bucket *b) { return b->n_lanes < 2 ? 1 : b->n_lanes / 2; }

static bool same_order(const Bucket *b)
{
    Compilation *c = b->l->c;
    Node *key = at(b, b->key);
    bool same = node_size(c, b->query) == node_size(c, b->key);
    for (unsigned k = 0; k < b->n_labels; k++)
        same = same && node_substitute(c, b->labels[k].of_query, 1, &b->query, &key) == b->labels[k].of_key;
    return same;
}

static void make_tables(Bucket *b)
{
    b->n_lanes = b->l->schedule.lanes;
    b->place = index_of(b, "place", size(b, b->key));
    b->bit = index_of(b, "bit", number(b, 32));
    b->queries = index_of(b, "query", size(b, b->query));
    b->slots = index_of(b, "slot", size(b, b->key));
    b->strips = index_of(b, "strip", more(b, bucket_strips(b), 1));
    b->lanes = index_of(b, "lane", number(b, b->n_lanes));
    bool same = same_order(b);
    b->key_order = b->query_order = table(b, "key.order", b->slots, NULL);
    if (!same) b->query_order = table(b, "query.order", b->queries, NULL);
    for (unsigned k = 0; k < b->n_labels; k++) {
        Label *x = &b->labels[k];
        x->key_table = x->query_table = table(b, "key.label", b->slots, NULL);
        if (!same) x->query_table = table(b, "query.label", b->queries, NULL);
    }
    b->begin = table(b, "strip.begin", b->strips, NULL);
    b->count = table(b, "strip.count", b->strips, NULL);
    b->at = table(b, "strip.query", b->strips, b->lanes);
    b->first = table(b, "strip.first", b->strips, b->lanes);
    b->last = table(b, "strip.last", b->strips, b->lanes);
}

static Node *read(const Bucket *b, Tensor *t, Node *first, Node *second)
{
    Node **coordinates = NEW_ARRAY(b->l->c, Node *, t->n_dims);
    for (unsigned k = 0; k < b->n_rows; k++) coordinates[k] = at(b, b->rows[k]);
    coordinates[b->n_rows] = first;
    if (second) coordinates[b->n_rows + 1] = second;
    return node_read(b->l->c, t, coordinates, false);
}

static void replace_look_ups(Bucket *b)
{
    for (uint32_t k = 0; k < b->look_ups.n; k++) {
        LookUp *x = &b->look_ups.at[k];
        Index *first = x->of_key ? b->slots : b->strips, *second = x->of_key ? NULL : b->lanes;
        x->table = table_of(b, x->of_key ? "key.value" : "strip.value", x->value->type, first, second);
        Node *own = read(b, x->table, at(b, x->of_key ? b->place : first), second ? at(b, second) : NULL);
        b->rest = node_replace(b->l->c, b->rest, x->value, own);
    }
}

bool bucket_find(Lower *l, Node *sum, Index *query, unsigned n_outer, Index **outer, Bucket *b)
{
    NodeList tests = {0};
    IndexSet later = {{0}};
    if (sum->n_vars != 1) return false;
    *b = (Bucket){.l = l, .query = query, .key = sum->vars[0], .test = binder_where(sum)};
    conjuncts(l->c, b->test, &tests);
    if (!find_labels(b, &tests)) return false;
    b->keys = tighten_interval(l, b->key, whole_range(l, b->key), &tests, &later);
    b->rest = conjunction(l->c, &tests);
    Look all = look_at(b, sum);
    if (all.other || all.pair || !find_look_ups(b, b->rest) || !find_rows(b, n_outer, outer)) return false;
    make_tables(b);
    replace_look_ups(b);
    return true;
}

/* ---- what becomes of the sum ---- */

Node *bucket_strips(const Bucket *b)
{
    Node *queries = size(b, b->query);
    Node *most = more(b, op(b, N_FLOORDIV, queries, number(b, least_lanes(b))), 1);
    return node_if(b->l->c, op(b, N_EQ, queries, number(b, 0)), queries, most);
}

static void put(const Bucket *b, Tensor *t, Node *first, Node *second, Node *value)
{
    store(b->l, t, read(b, t, first, second)->args, value);
}

Node *bucket_read(const Bucket *b, Tensor *t, Node *strip, Node *lane) { return read(b, t, strip, lane); }

typedef struct Ordered {
    const Bucket *b;
    Node *old, *now; /* the condition */
} Ordered;

static Node *key_in_order(void *context, Compilation *c, Node *n)
{
    const Bucket *b = context;
    (void)c;
    return n->op == N_INDEX && n->index == b->key ? read(b, b->key_order, at(b, b->place), NULL) : n;
}

static Node *in_order(void *context, Compilation *c, Node *n)
{
    const Ordered *o = context;
    const Bucket *b = o->b;
    if (n == o->old) return o->now;
    if (!binds(n, b->key)) return key_in_order((void *)b, c, n);
    Index *vars[MAX_INDICES];
    Node *lo[MAX_INDICES], *hi[MAX_INDICES];
    for (unsigned k = 0; k < n->n_vars; k++) {
        vars[k] = n->vars[k] == b->key ? b->place : n->vars[k];
        lo[k] = binder_lo(n, k);
        hi[k] = binder_hi(n, k);
    }
    return node_binder(c, n->op, n->kind, n->n_vars, vars, lo, hi, binder_where(n), binder_body(n),
                       binder_extra(n));
}

Node *bucket_body(const Bucket *b, Node *body, Node *strip, Node *lane)
{
    Compilation *c = b->l->c;
    Ordered o = {.b = b};
    Node *place = at(b, b->place);
    Node *from = op(b, N_LE, read(b, b->first, strip, lane), place);
    Node *to = op(b, N_LT, place, read(b, b->last, strip, lane));
    o.old = node_rewrite(c, b->test, key_in_order, (void *)b);
    Node *rest = node_rewrite(c, b->rest, key_in_order, (void *)b);
    rest = node_substitute(c, rest, 2, (Index *[]){b->strips, b->lanes}, (Node *[]){strip, lane});
    o.now = op(b, N_AND, op(b, N_AND, from, to), rest);
    return node_rewrite(c, body, in_order, &o);
}

/* ---- sorting ---- */

enum { DIGIT = 8, DIGITS = 1 << DIGIT };

typedef struct Sort {
    const Bucket *b;
    Index *item, *digit, *pass;
    Tensor *labels, *pair, *start; /* [item]; [2, item]: the order so far, and the next; [digit] */
    Local *least, *most, *passes;
} Sort;

static Node *read1(const Bucket *b, Tensor *t, Node *x) { return node_read(b->l->c, t, &x, false); }

static void put1(const Bucket *b, Tensor *t, Node *x, Node *value)
{
    store(b->l, t, read1(b, t, x)->args, value);
}

static Node *half(const Sort *s, Node *number_of, Node *item)
{
    return node_read(s->b->l->c, s->pair, (Node *[]){number_of, item}, false);
}

static void put_half(const Sort *s, Node *number_of, Node *item, Node *value)
{
    store(s->b->l, s->pair, half(s, number_of, item)->args, value);
}

static void repeat(const Bucket *b, Loop *loop, Index *index, Node *lo, Node *hi)
{
    loop_open(b->l, loop, index, (Range){lo, hi, NULL});
}

static Sort sort_of(const Bucket *b, Index *index)
{
    Sort s = {.b = b, .item = index_of(b, "item", size(b, index))};
    Node *zero = number(b, 0);
    Index *halves = index_of(b, "half", number(b, 2));
    s.digit = index_of(b, "digit", number(b, DIGITS + 1));
    s.pass = index_of(b, "pass", number(b, 64 / DIGIT));
    s.labels = scratch_new(b->l, "labels", zero, 1, &s.item);
    s.pair = scratch_new(b->l, "order", zero, 2, (Index *[]){halves, s.item});
    s.start = scratch_new(b->l, "start", zero, 1, &s.digit);
    return s;
}

/* The labels, their least and greatest. */
static void start_sort(Sort *s, Index *index, Node *label)
{
    const Bucket *b = s->b;
    Node *item = at(b, s->item), *value = node_substitute(b->l->c, label, 1, &index, &item);
    Loop loop;
    s->least = variable(b, "least", number(b, INT64_MAX));
    s->most = variable(b, "most", number(b, INT64_MIN));
    repeat(b, &loop, s->item, number(b, 0), size(b, s->item));
    Local *x = variable(b, "label", lower_value(b->l, value));
    put1(b, s->labels, item, get(b, x));
    set_local(b->l, s->least, op(b, N_MIN, get(b, s->least), get(b, x)));
    set_local(b->l, s->most, op(b, N_MAX, get(b, s->most), get(b, x)));
    loop_close(b->l, &loop);
}

/* Digits, from the last, in which labels - least differ; the difference may be anything of 64 bits. */
static void count_passes(Sort *s)
{
    const Bucket *b = s->b;
    Node *range = op(b, N_SUB, get(b, s->most), get(b, s->least));
    Node *shifted = op(b, N_SHR, range, op(b, N_MUL, at(b, s->digit), number(b, DIGIT)));
    Loop loop;
    s->passes = variable(b, "passes", number(b, 0));
    repeat(b, &loop, s->digit, number(b, 0), number(b, 64 / DIGIT));
    Node *some = node_unary(b->l->c, N_TO_INT, op(b, N_NE, shifted, number(b, 0)));
    set_local(b->l, s->passes, op(b, N_ADD, get(b, s->passes), some));
    loop_close(b->l, &loop);
}

static Node *digit_of(const Sort *s, Index *pass, Node *item)
{
    const Bucket *b = s->b;
    Node *label = op(b, N_SUB, read1(b, s->labels, item), get(b, s->least));
    Node *shifted = op(b, N_SHR, label, op(b, N_MUL, at(b, pass), number(b, DIGIT)));
    return op(b, N_BITAND, shifted, number(b, DIGITS - 1));
}

/* Where the items of every digit start. */
static void count_digits(const Sort *s, Index *pass, Node *from)
{
    const Bucket *b = s->b;
    Node *zero = number(b, 0), *all = number(b, DIGITS), *digit = at(b, s->digit), *next = more(b, digit, 1);
    Loop loop;
    put1(b, s->start, zero, zero);
    repeat(b, &loop, s->digit, zero, all);
    put1(b, s->start, next, zero);
    loop_close(b->l, &loop);
    repeat(b, &loop, s->item, zero, size(b, s->item));
    Local *after = variable(b, "after", more(b, digit_of(s, pass, half(s, from, at(b, s->item))), 1));
    put1(b, s->start, get(b, after), more(b, read1(b, s->start, get(b, after)), 1));
    loop_close(b->l, &loop);
    repeat(b, &loop, s->digit, zero, all);
    put1(b, s->start, next, op(b, N_ADD, read1(b, s->start, next), read1(b, s->start, digit)));
    loop_close(b->l, &loop);
}

static void sort_by_digit(const Sort *s, Index *pass)
{
    const Bucket *b = s->b;
    Node *from = op(b, N_BITAND, at(b, pass), number(b, 1)), *to = op(b, N_SUB, number(b, 1), from);
    Loop loop;
    count_digits(s, pass, from);
    repeat(b, &loop, s->item, number(b, 0), size(b, s->item));
    Local *item = variable(b, "sorted", half(s, from, at(b, s->item)));
    Local *digit = variable(b, "digit", digit_of(s, pass, get(b, item)));
    Local *place = variable(b, "place", read1(b, s->start, get(b, digit)));
    put_half(s, to, get(b, place), get(b, item));
    put1(b, s->start, get(b, digit), more(b, get(b, place), 1));
    loop_close(b->l, &loop);
}

/* Stable, the last digits first; from and to `order`. */
static void sort_by_label(Sort *s, Index *index, Node *label, Tensor *order)
{
    const Bucket *b = s->b;
    Node *zero = number(b, 0), *all = size(b, s->item), *place = at(b, s->item);
    Loop loop;
    start_sort(s, index, label);
    count_passes(s);
    repeat(b, &loop, s->item, zero, all);
    put_half(s, zero, place, read(b, order, place, NULL));
    loop_close(b->l, &loop);
    repeat(b, &loop, s->pass, zero, get(b, s->passes));
    sort_by_digit(s, s->pass);
    loop_close(b->l, &loop);
    repeat(b, &loop, s->item, zero, all);
    put(b, order, place, NULL, half(s, op(b, N_BITAND, get(b, s->passes), number(b, 1)), place));
    loop_close(b->l, &loop);
}

/* By all labels, the last first. */
static void sort(const Bucket *b, bool of_keys)
{
    Index *index = of_keys ? b->key : b->query;
    Tensor *order = of_keys ? b->key_order : b->query_order;
    Sort s = sort_of(b, index);
    Node *place = at(b, s.item);
    Loop loop;
    repeat(b, &loop, s.item, number(b, 0), size(b, s.item));
    put(b, order, place, NULL, place);
    loop_close(b->l, &loop);
    for (unsigned k = b->n_labels; k-- > 0;)
        sort_by_label(&s, index, of_keys ? b->labels[k].of_key : b->labels[k].of_query, order);
    repeat(b, &loop, s.item, number(b, 0), size(b, s.item));
    Local *item = variable(b, "sorted", read(b, order, place, NULL));
    for (unsigned k = 0; k < b->n_labels; k++) {
        const Label *x = &b->labels[k];
        Node *position = get(b, item), *label = of_keys ? x->of_key : x->of_query;
        label = lower_value(b->l, node_substitute(b->l->c, label, 1, &index, &position));
        put(b, of_keys ? x->key_table : x->query_table, place, NULL, label);
    }
    loop_close(b->l, &loop);
}

/* What the condition looks up, at the position of one query or key. */
static void fill_look_ups(const Bucket *b, bool of_key, Node *position, Node *first, Node *second)
{
    Index *index = of_key ? b->key : b->query;
    for (uint32_t k = 0; k < b->look_ups.n; k++) {
        const LookUp *x = &b->look_ups.at[k];
        if (x->of_key != of_key) continue;
        Node *value = node_substitute(b->l->c, x->value, 1, &index, &position);
        put(b, x->table, first, second, lower_value(b->l, value));
    }
}

static void fill_keys(const Bucket *b)
{
    Loop loop;
    repeat(b, &loop, b->place, number(b, 0), size(b, b->place));
    Local *key = variable(b, "key", read(b, b->key_order, at(b, b->place), NULL));
    fill_look_ups(b, true, get(b, key), at(b, b->place), NULL);
    loop_close(b->l, &loop);
}

/* ---- strips ---- */

/* Queries from `begin`, as many as there are lanes; fewer, if buckets end among the last of them. */
static void cut_strip(const Bucket *b, Local *cut, Node *begin)
{
    Index *query = index_of(b, "query", size(b, b->query));
    Local *end = variable(b, "end", get(b, cut));
    Node *all = size(b, b->query), *x = at(b, query);
    Node *from = more(b, begin, least_lanes(b)), *to = op(b, N_MIN, more(b, get(b, end), 1), all);
    Loop loop;
    repeat(b, &loop, query, from, node_if(b->l->c, op(b, N_LT, get(b, end), all), to, from));
    Node *differ = node_bool(b->l->c, false);
    for (unsigned k = 0; k < b->n_labels; k++) {
        Tensor *labels = b->labels[k].query_table;
        Node *before = read(b, labels, more(b, x, -1), NULL);
        differ = op(b, N_OR, differ, op(b, N_NE, read(b, labels, x, NULL), before));
    }
    set_local(b->l, cut, node_if(b->l->c, differ, x, get(b, cut)));
    loop_close(b->l, &loop);
}

static void cut_strips(const Bucket *b)
{
    Index *strip = index_of(b, "strip", size(b, b->strips));
    Local *next = variable(b, "next", number(b, 0));
    Loop loop;
    repeat(b, &loop, strip, number(b, 0), size(b, strip));
    Local *begin = variable(b, "begin", get(b, next));
    Node *full = op(b, N_MIN, more(b, get(b, begin), b->n_lanes), size(b, b->query));
    Local *cut = variable(b, "cut", full);
    cut_strip(b, cut, get(b, begin));
    put(b, b->begin, at(b, strip), NULL, get(b, begin));
    put(b, b->count, at(b, strip), NULL, op(b, N_SUB, get(b, cut), get(b, begin)));
    set_local(b->l, next, get(b, cut));
    loop_close(b->l, &loop);
}

/* ---- the keys of a query ---- */

/* How many bits `n` has. */
static Local *bits(const Bucket *b, Node *n)
{
    Local *count = variable(b, "bits", number(b, 0));
    Loop loop;
    repeat(b, &loop, b->bit, number(b, 0), size(b, b->bit));
    Node *some = node_unary(b->l->c, N_TO_INT, op(b, N_NE, op(b, N_SHR, n, at(b, b->bit)), number(b, 0)));
    set_local(b->l, count, op(b, N_ADD, get(b, count), some));
    loop_close(b->l, &loop);
    return count;
}

/* The first place from `from` on, before `to`, whose number in `t` is not `below` the limit; by halving. */
static Local *search(const Bucket *b, Node *from, Node *to, Local *n_bits, Tensor *t, Op below, Node *limit)
{
    Local *place = variable(b, "found", from);
    Loop loop;
    repeat(b, &loop, b->bit, number(b, 0), get(b, n_bits));
    loop.down = true;
    Local *probe =
        variable(b, "probe", op(b, N_ADD, get(b, place), op(b, N_SHL, number(b, 1), at(b, b->bit))));
    Node *last = more(b, op(b, N_MIN, get(b, probe), to), -1);
    Node *before = op(b, below, read(b, t, last, NULL), limit), *in = op(b, N_LE, get(b, probe), to);
    set_local(b->l, place, node_if(b->l->c, op(b, N_AND, before, in), get(b, probe), get(b, place)));
    loop_close(b->l, &loop);
    return place;
}

/* The keys of one label each, and how long the searches among them take. */
typedef struct Piece {
    Local *labels[MOST_LABELS], *from, *to, *n_bits;
} Piece;

static Piece piece_new(const Bucket *b)
{
    Node *zero = number(b, 0);
    Piece p = {.from = variable(b, "from", zero),
               .to = variable(b, "to", zero),
               .n_bits = variable(b, "bits", zero)};
    for (unsigned k = 0; k < b->n_labels; k++) p.labels[k] = variable(b, "label", zero);
    return p;
}

/* The keys with label number k of those with the labels before it. */
static void narrow_piece(const Bucket *b, const Piece *p, unsigned k)
{
    Tensor *keys = b->labels[k].key_table;
    Node *from = get(b, p->from), *to = get(b, p->to), *label = get(b, p->labels[k]);
    Local *first = search(b, from, to, p->n_bits, keys, N_LT, label);
    set_local(b->l, p->to, get(b, search(b, from, to, p->n_bits, keys, N_LE, label)));
    set_local(b->l, p->from, get(b, first));
    set_local(b->l, p->n_bits, get(b, bits(b, op(b, N_SUB, get(b, p->to), get(b, p->from)))));
}

/* Of the query at `place`; that of the query before it, if the labels are the same. */
static void find_piece(const Bucket *b, const Piece *p, Node *place, Node *is_first, Local *all_bits)
{
    Branch new;
    Local *differs = local_make(b->l, "differs", TYPE_BOOL, true);
    Node *differ = is_first;
    for (unsigned k = 0; k < b->n_labels; k++) {
        Node *label = read(b, b->labels[k].query_table, place, NULL);
        differ = op(b, N_OR, differ, op(b, N_NE, label, get(b, p->labels[k])));
    }
    set_local(b->l, differs, differ);
    branch_open(b->l, &new, get(b, differs));
    set_local(b->l, p->from, number(b, 0));
    set_local(b->l, p->to, size(b, b->slots));
    set_local(b->l, p->n_bits, get(b, all_bits));
    for (unsigned k = 0; k < b->n_labels; k++) {
        set_local(b->l, p->labels[k], read(b, b->labels[k].query_table, place, NULL));
        narrow_piece(b, p, k);
    }
    branch_close(b->l, &new);
}

/* Where keys from `limit` on begin in the piece. */
static Node *place_of(const Bucket *b, const Piece *p, Node *limit, Node *query)
{
    if (node_is_int(limit, 0)) return get(b, p->from);
    if (limit == size(b, b->key)) return get(b, p->to);
    limit = lower_value(b->l, node_substitute(b->l->c, limit, 1, (Index *[]){b->query}, &query));
    Local *value = variable(b, "limit", limit);
    return get(b, search(b, get(b, p->from), get(b, p->to), p->n_bits, b->key_order, N_LT, get(b, value)));
}

/* One strip; of empty ones all lanes hold the last query of all. */
static void fill_strip(const Bucket *b)
{
    Node *strip = at(b, b->strips), *lane, *one = number(b, 1);
    Index *lanes = index_of(b, "lane", number(b, b->n_lanes));
    Local *begin = variable(b, "begin", read(b, b->begin, strip, NULL)),
          *end = variable(b, "end", op(b, N_ADD, get(b, begin), read(b, b->count, strip, NULL)));
    Local *all_bits = bits(b, size(b, b->slots));
    Piece p = piece_new(b);
    Loop loop;
    repeat(b, &loop, lanes, number(b, 0), size(b, lanes));
    lane = at(b, lanes);
    Node *last = op(b, N_SUB, op(b, N_MAX, get(b, end), one), one);
    Local *place = variable(b, "place", op(b, N_MIN, op(b, N_ADD, get(b, begin), lane), last));
    Local *query = variable(b, "query", read(b, b->query_order, get(b, place), NULL));
    find_piece(b, &p, get(b, place), op(b, N_EQ, lane, number(b, 0)), all_bits);
    put(b, b->at, strip, lane, get(b, query));
    fill_look_ups(b, false, get(b, query), strip, lane);
    put(b, b->first, strip, lane, place_of(b, &p, b->keys.lo, get(b, query)));
    put(b, b->last, strip, lane, place_of(b, &p, b->keys.hi, get(b, query)));
    loop_close(b->l, &loop);
}

/* ---- phases ---- */

static void keep(const Bucket *b, Tensor *t)
{
    buffer_add(b->l, t, BUFFER_WORKSPACE, false);
}

static void keep_tables(const Bucket *b)
{
    keep(b, b->key_order);
    if (b->query_order != b->key_order) keep(b, b->query_order);
    for (unsigned k = 0; k < b->n_labels; k++) {
        const Label *x = &b->labels[k];
        keep(b, x->key_table);
        if (x->query_table != x->key_table) keep(b, x->query_table);
    }
    keep(b, b->begin);
    keep(b, b->count);
    keep(b, b->at);
    keep(b, b->first);
    keep(b, b->last);
    for (uint32_t k = 0; k < b->look_ups.n; k++) keep(b, b->look_ups.at[k].table);
}

/* The rows, and then one more index. */
static Phase phase_of(const Bucket *b, const char *name, Index *last)
{
    Phase phase = {.name = name, .tasks = NEW_ARRAY(b->l->c, Index *, b->n_rows + 1)};
    for (unsigned k = 0; k < b->n_rows; k++) phase.tasks[phase.n_tasks++] = b->rows[k];
    phase.tasks[phase.n_tasks++] = last;
    return phase;
}

/* Nothing is needed for few queries, or for none. */
static Node *if_needed(const Bucket *b, Node *few, Node *n)
{
    Node *none = op(b, N_OR, few, op(b, N_EQ, size(b, b->query), number(b, 0)));
    return node_if(b->l->c, none, number(b, 0), n);
}

void bucket_phases(Bucket *b, Node *few)
{
    Scope root;
    b->slots->extent = if_needed(b, few, b->slots->extent);
    b->queries->extent = if_needed(b, few, b->queries->extent);
    b->strips->extent = if_needed(b, few, b->strips->extent);
    keep_tables(b);
    Phase phase = phase_of(b, "order of labels", index_of(b, "call", if_needed(b, few, number(b, 1))));
    phase_open(b->l, &root, phase.n_tasks, phase.tasks);
    sort(b, true);
    if (b->query_order != b->key_order) sort(b, false);
    if (b->look_ups.n) fill_keys(b);
    cut_strips(b);
    phase_close(b->l, &root, phase);
    phase = phase_of(b, "strips by label", b->strips);
    phase_open(b->l, &root, phase.n_tasks, phase.tasks);
    fill_strip(b);
    phase_close(b->l, &root, phase);
}
