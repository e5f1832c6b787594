/* The streamed keys of a strip in blocks (see lower_strip.h).
 * Requires: recognised terms with their accumulators. Ensures: every visible key has been added once, in all
 * lanes that see it. Breaks: nothing. */
#include "graph.h"
#include "lower_strip.h"

#include "census.h"

#include <math.h>
#include <string.h>

/* Keys: full blocks are whole parts, one where the condition must be tested is one. Rows of several
 * dimensions are hardly ever full if the condition is about the last one, too. */
enum { PART = 32 };
static unsigned part_of(const Strip *s)
{
    unsigned n = s->sum->n_vars;
    return n > 1 && node_depends_on(s->where, s->sum->vars[n - 1]) ? s->block : PART;
}

/* ---- one block of keys ---- */

/* Where the key number s->key of the block is. */
static Node *coordinate(Strip *s, const Streamed *v)
{
    Node *key = node_index(comp(s), s->key);
    if (v->list) return node_read(comp(s), v->list, &key, false);
    Node *at = binary(s, N_ADD, s->first, key);
    return binary(s, N_ADD, v->base, binary(s, N_MUL, v->step, at));
}

Node *strip_at_key(Strip *s, Node *n)
{
    unsigned count = s->sum->n_vars;
    Index *from[MOST_STREAMED + 1];
    Node *to[MOST_STREAMED + 1];
    for (unsigned k = 0; k < count; k++) {
        from[k] = s->sum->vars[k];
        to[k] = coordinate(s, &s->streamed[k]);
    }
    from[count] = s->slot;
    to[count] = node_index(comp(s), s->key);
    return node_substitute(comp(s), n, count + 1, from, to);
}

static Range keys_of_block(Strip *s) { return (Range){node_int(comp(s), 0), s->count, NULL}; }

void strip_keys_open(Strip *s, Loop *loop, LoopKind kind)
{
    loop_open(s->l, loop, s->key, keys_of_block(s));
    loop->kind = kind;
    loop->ragged = s->partial != NULL;
}

static Node *greater(Strip *s, Node *a,
                     Node *b) /* b unless a is greater; not caring for NaN, which the sums carry */
{
    return node_if(comp(s), binary(s, N_LT, b, a), a, b);
}

/* start + sum(...), which begins at `start`. */
static bool is_started(Strip *s, const Node *n)
{
    return n->op == N_ADD && n->args[0]->free == set_empty(comp(s)) && n->args[1]->op == N_REDUCE &&
           n->args[1]->kind == REDUCE_SUM;
}

static Node *score_of(Strip *s, Node *n)
{
    if (!is_started(s, n)) return lower_value(s->l, n);
    return lower_sum_from(s->l, n->args[1], lower_value(s->l, n->args[0]));
}

/* Which lanes see which keys of the block: once, so that the code of a condition is there once. */
static void see_block(Strip *s)
{
    Loop loop;
    strip_keys_open(s, &loop, LOOP_SERIAL);
    store_at(s->l, s->seen, lower_value(s->l, strip_at_key(s, s->shown)));
    loop_close(s->l, &loop);
}

typedef struct Sums {
    Strip *s;
    Node *sum, *started;
    unsigned count;
    bool functions;
} Sums;

static void look_for_sum(void *context, const Node *n)
{
    Sums *f = context;
    if (is_transcendental(n->op)) f->functions = true;
    if (is_started(f->s, n)) f->started = (Node *)n;
    if (n->op != N_REDUCE || !varies(f->s, n)) return;
    f->sum = (Node *)n;
    f->count++;
}

/* The only sum of a score that is a function of it (tanh, exp): the loop that runs keys together stops there,
 * and the code of the function is there once. Else the score. */
static Node *sum_in(Strip *s, Node *score)
{
    Sums f = {.s = s};
    node_visit(comp(s), score, look_for_sum, &f);
    bool alone = f.count == 1 && f.sum != score && f.sum->kind == REDUCE_SUM && f.sum->data == score->data;
    if (!alone) return score;
    if (f.started && f.started->args[1] == f.sum) f.sum = f.started;
    Sums outside = {.s = s};
    Node *number = node_unary(comp(s), N_TO_REAL, node_index(comp(s), s->key)); /* nothing folds around it */
    node_visit(comp(s), node_replace(comp(s), score, f.sum, number), look_for_sum, &outside);
    return outside.functions ? f.sum : score;
}

/* A maximum that is an output is NaN if a score is. */
static Node *further(Strip *s, Term *t, Node *x)
{
    if (t->softmax && !s->row_max) return greater(s, x, get(s, t->top));
    return reduction_combine(comp(s), t->softmax ? REDUCE_MAX : t->extreme, get(s, t->top), x);
}

/* Scores of the block into the tile, and their maximum. */
static void score_block(Strip *s, Term *t)
{
    Lower *l = s->l;
    Loop loop;
    Node *sum = t->softmax ? t->weight : sum_in(s, t->weight);
    if (t->top) set_local(l, t->top, get(s, t->max));
    strip_keys_open(s, &loop, LOOP_JAM);
    if (t == s->terms) strip_fetch_beside(s);
    Local *x = local_new(l, "score", t->weight);
    set_local(l, x, score_of(s, strip_at_key(s, sum)));
    store_at(l, t->tile, get(s, x));
    if (t->top && sum == t->weight) set_local(l, t->top, further(s, t, get(s, x)));
    loop_close(l, &loop);
    if (sum == t->weight) return;
    strip_keys_open(s, &loop, LOOP_SERIAL);
    Node *of_sum = node_replace(comp(s), t->weight, sum, read_at(l, t->tile));
    set_local(l, x, lower_value(l, strip_at_key(s, of_sum)));
    store_at(l, t->tile, get(s, x));
    if (t->top) set_local(l, t->top, further(s, t, get(s, x)));
    loop_close(l, &loop);
}

/* Hidden keys score -inf, or weigh 0, or are no extreme. */
static void hide_block(Strip *s, Term *t)
{
    Lower *l = s->l;
    Node *none = real(s, t->softmax ? -INFINITY : 0);
    Loop loop;
    if (!t->factor) none = reduction_identity(comp(s), t->extreme, TYPE_REAL);
    if (t->top) set_local(l, t->top, get(s, t->max));
    strip_keys_open(s, &loop, LOOP_SERIAL);
    store_at(l, t->tile, node_if(comp(s), read_at(l, s->seen), read_at(l, t->tile), none));
    if (t->top) set_local(l, t->top, further(s, t, read_at(l, t->tile)));
    loop_close(l, &loop);
}

/* Scores become weights exp(score - maximum); what was summed before shrinks by `scale`. */
static Local *normalise_block(Strip *s, Term *t)
{
    Lower *l = s->l;
    Compilation *c = comp(s);
    Node *top = get(s, t->top);
    set_local(l, t->shift, node_if(c, binary(s, N_EQ, top, real(s, -INFINITY)), real(s, 0), top));
    Local *scale = local_new(l, "scale", t->weight), *weight = local_new(l, "weight", t->weight);
    Node *same = binary(s, N_EQ, get(s, t->max), get(s, t->shift)); /* inf, from a sink, too */
    Node *less = node_unary(c, t->exp, binary(s, N_SUB, get(s, t->max), get(s, t->shift)));
    set_local(l, scale, node_if(c, same, real(s, 1), less));
    set_local(l, t->sum, binary(s, N_MUL, get(s, t->sum), get(s, scale)));
    Loop loop;
    strip_keys_open(s, &loop, LOOP_SERIAL);
    set_local(l, weight, node_unary(c, t->exp, binary(s, N_SUB, read_at(l, t->tile), get(s, t->shift))));
    set_local(l, t->sum, binary(s, N_ADD, get(s, t->sum), get(s, weight)));
    if (t->factor) store_at(l, t->tile, get(s, weight));
    loop_close(l, &loop);
    set_local(l, t->max, top);
    return scale;
}

/* total = total * scale + sum over keys of weight * factor. `careful`: a hidden key's factor may be NaN or
 * infinite. */
static void weigh_block(Strip *s, Term *t, Local *scale, bool careful)
{
    Lower *l = s->l;
    Compilation *c = comp(s);
    Nest nest;
    dims_open(l, &nest, s->n_dims, s->dims);
    if (s->n_dims && !careful) nest.loops[s->n_dims - 1].kind = LOOP_JAM;
    Local *x = local_new(l, "x", s->sum);
    Node *old = read_at(l, t->total);
    set_local(l, x, scale ? binary(s, N_MUL, old, get(s, scale)) : old);
    Loop loop;
    strip_keys_open(s, &loop, LOOP_SERIAL);
    Node *more = binary(s, N_ADD, get(s, x),
                        binary(s, N_MUL, read_at(l, t->tile), lower_value(l, strip_at_key(s, t->factor))));
    if (careful) more = node_if(c, read_at(l, s->seen), more, get(s, x));
    set_local(l, x, more);
    loop_close(l, &loop);
    store_at(l, t->total, get(s, x));
    nest_close(l, &nest);
}

/* The second attempt at a strip takes care in partial blocks (lower_strip.c). */
static void weigh_either(Strip *s, Term *t, Local *scale)
{
    Lower *l = s->l;
    Branch yes, no;
    Local *careful = local_make(l, "careful", TYPE_BOOL, true);
    set_local(l, careful, binary(s, N_AND, s->partial, s->again));
    branch_open(l, &yes, get(s, careful));
    weigh_block(s, t, scale, true);
    branch_close(l, &yes);
    branch_open(l, &no, node_unary(comp(s), N_NOT, get(s, careful)));
    weigh_block(s, t, scale, false);
    branch_close(l, &no);
}

/* For counting (census.h). */
static void note_box(Strip *s)
{
    Statement *note = emit(s->l, S_NOTE);
    note->text = CENSUS_BOX;
    note->check = s->stream;
    note->value = s->count;
    note->condition = s->partial;
}

/* What only partial blocks need is behind branches: the code of the sums, by far the longest, is there once.
 */
static void run_block(Strip *s)
{
    Lower *l = s->l;
    if (!s->second) note_box(s);
    Branch partial;
    if (s->partial) {
        branch_open(l, &partial, s->partial);
        if (s->hidden) set_local(l, s->hidden, node_bool(comp(s), true));
        see_block(s);
        branch_close(l, &partial);
    }
    for (unsigned k = 0; k < s->n_terms; k++) {
        Term *t = &s->terms[k];
        if (s->second)
            strip_sparse_weights(s, t);
        else
            score_block(s, t);
        if (s->partial && !s->second) {
            branch_open(l, &partial, s->partial);
            hide_block(s, t);
            branch_close(l, &partial);
        }
        if (s->scores && !s->second) {
            strip_keep_scores(s, t);
            continue;
        }
        if (!t->factor && !t->softmax) set_local(l, t->max, get(s, t->top));
        Local *scale = t->softmax && !s->scores ? normalise_block(s, t) : NULL;
        if (!t->factor) continue;
        if (s->partial && s->again)
            weigh_either(s, t, scale);
        else
            weigh_block(s, t, scale, false);
    }
    if (s->scores) set_local(l, s->place, binary(s, N_ADD, get(s, s->place), s->count));
}

/* ---- the streamed space ---- */

/* The range of a streamed index over all lanes; with a residue, in steps from the first congruent one. */
static void find_range(Strip *s, unsigned k)
{
    Lower *l = s->l;
    Streamed *v = &s->streamed[k];
    Range range = strip_range(s, k, &s->lanes);
    Node *lo = range.lo, *hi = range.hi;
    v->index = s->sum->vars[k];
    v->step = integer(s, 1);
    for (unsigned r = 0; r < s->n_residues; r++) {
        if (s->residues[r].key != v->index) continue;
        v->step = binary(s, N_MAX, node_unary(comp(s), N_ABS, s->residues[r].modulus), integer(s, 1));
        lo = binary(s, N_ADD, lo, binary(s, N_MOD, binary(s, N_SUB, s->residues[r].target, lo), v->step));
    }
    Local *base = local_make(l, "base", TYPE_INT, true), *count = local_make(l, "count", TYPE_INT, true);
    Local *step = local_make(l, "step", TYPE_INT, true);
    set_local(l, base, lower_value(l, lo));
    if (!node_is_int(v->step, 1)) {
        set_local(l, step, lower_value(l, v->step));
        v->step = get(s, step);
    }
    v->base = get(s, base);
    Node *size = binary(s, N_SUB, lower_value(l, hi), v->base),
         *up = binary(s, N_SUB, v->step, integer(s, 1));
    size = binary(s, N_FLOORDIV, binary(s, N_ADD, size, up), v->step);
    set_local(l, count, binary(s, N_MAX, size, integer(s, 0)));
    v->count = get(s, count);
}

/* The box of the block: with several streamed indices, whole rows of all but the first. */
static Box block_box(Strip *s)
{
    Box box = s->lanes;
    box.summaries = &s->l->summaries;
    Node *one = integer(s, 1), *row = one,
         *last = binary(s, N_SUB, binary(s, N_ADD, s->first, s->count), one);
    for (unsigned k = 1; k < s->sum->n_vars; k++) row = binary(s, N_MUL, row, s->streamed[k].count);
    for (unsigned k = 0; k < s->sum->n_vars; k++) {
        const Streamed *v = &s->streamed[k];
        Node *from = k ? integer(s, 0) : binary(s, N_FLOORDIV, s->first, row);
        Node *to = k ? binary(s, N_SUB, v->count, one) : binary(s, N_FLOORDIV, last, row);
        Node *lo = binary(s, N_ADD, v->base, binary(s, N_MUL, v->step, from));
        Node *hi = binary(s, N_ADD, binary(s, N_ADD, v->base, binary(s, N_MUL, v->step, to)), one);
        box.sides[box.n++] = (BoxSide){v->index, lo, hi};
    }
    return box;
}

static Node *may_hold(Strip *s)
{
    Box box = block_box(s);
    return lower_value(s->l, box_may_hold(comp(s), &box, s->where));
}

static Node *may_fail(Strip *s)
{
    Box box = block_box(s);
    return lower_value(s->l, box_may_fail(comp(s), &box, s->where));
}

/* Do terms or the condition still ask for the coordinate, or lists alone? */
static bool is_used(const Strip *s, const Index *streamed)
{
    bool used = node_depends_on(s->shown, streamed);
    for (unsigned k = 0; k < s->n_terms; k++)
        used = used || node_depends_on(s->terms[k].weight, streamed) ||
               (s->terms[k].factor && node_depends_on(s->terms[k].factor, streamed));
    return used;
}

/* Several streamed indices: the coordinates of the block's keys as lists, row-major. */
static void make_coordinates(Strip *s)
{
    for (unsigned k = 0; k < s->sum->n_vars; k++) {
        Streamed *v = &s->streamed[k];
        if (is_used(s, v->index)) v->list = scratch_new(s->l, "list", integer(s, 0), 1, &s->key);
        v->at = local_make(s->l, "at", TYPE_INT, true);
    }
}

static Node *place(Strip *s, const Streamed *v, Node *at)
{
    return binary(s, N_ADD, v->base, binary(s, N_MUL, v->step, at));
}

/* The next row: counts the coordinates up to the k-th on. */
static void advance(Strip *s, unsigned k)
{
    Lower *l = s->l;
    const Streamed *v = &s->streamed[k];
    set_local(l, v->at, binary(s, N_ADD, get(s, v->at), integer(s, 1)));
    if (k == 0) return;
    Branch end;
    branch_open(l, &end, binary(s, N_EQ, get(s, v->at), v->count));
    set_local(l, v->at, integer(s, 0));
    advance(s, k - 1);
    branch_close(l, &end);
}

/* What a row looks up once for all of its keys, which `inner` tell apart, into locals. */
static Node *look_up(Strip *s, Node *n, const IndexSet *inner)
{
    if (!contains_op(comp(s), n, N_READ)) return n;
    if (!set_meets(n->free, inner)) {
        Local *local = local_make(s->l, "row", TYPE_INT, true);
        set_local(s->l, local, lower_value(s->l, n));
        return get(s, local);
    }
    Node **args = NEW_ARRAY(comp(s), Node *, n->n_args);
    for (unsigned k = 0; k < n->n_args; k++)
        args[k] = n->args[k]->type == TYPE_INT ? look_up(s, n->args[k], inner) : n->args[k];
    return node_copy_with(comp(s), n, args);
}

/* Coordinates and lists of the keys [lo, hi) of the block, which differ in the last coordinate alone: `at`
 * for key 0. */
static void fill_row(Strip *s, Node *lo, Node *hi, Node *at)
{
    Lower *l = s->l;
    unsigned n = s->sum->n_vars;
    Node **to = NEW_ARRAY(comp(s), Node *, n + 1), **values = NEW_ARRAY(comp(s), Node *, s->lists.n + 1);
    Index *from[MOST_STREAMED + 1];
    const IndexSet *inner = set_one(comp(s), s->key);
    Loop loop;
    for (unsigned k = 0; k < n; k++) {
        from[k] = s->sum->vars[k];
        to[k] = place(s, &s->streamed[k], get(s, s->streamed[k].at));
    }
    Node *key = node_index(comp(s), s->key);
    from[n] = s->slot;
    to[n] = key;
    to[n - 1] = place(s, &s->streamed[n - 1], binary(s, N_ADD, at, key));
    for (uint32_t k = 0; k < s->lists.n; k++)
        values[k] = look_up(s, node_substitute(comp(s), s->lists.at[k].value, n + 1, from, to), inner);
    loop_open(l, &loop, s->key, (Range){lo, hi, NULL});
    for (unsigned k = 0; k < n; k++)
        if (s->streamed[k].list) store_at(l, s->streamed[k].list, to[k]);
    for (uint32_t k = 0; k < s->lists.n; k++) store_at(l, s->lists.at[k].tensor, lower_value(l, values[k]));
    loop_close(l, &loop);
}

/* Row by row. */
static void fill_rows(Strip *s)
{
    Lower *l = s->l;
    unsigned last = s->sum->n_vars - 1;
    Node *length = s->streamed[last].count, *one = integer(s, 1), *zero = integer(s, 0);
    Node *first = binary(s, N_FLOORDIV, s->first, length), *rows = first;
    Node *end = binary(s, N_FLOORDIV, binary(s, N_SUB, binary(s, N_ADD, s->first, s->count), one), length);
    Index *row = strip_index(l, "row", zero);
    Loop loop;
    for (unsigned k = last; k-- > 0;) {
        const Streamed *v = &s->streamed[k];
        set_local(l, v->at, k ? binary(s, N_MOD, rows, v->count) : rows);
        rows = binary(s, N_FLOORDIV, rows, v->count);
    }
    loop_open(l, &loop, row, (Range){first, binary(s, N_ADD, end, one), NULL});
    Node *begin = binary(s, N_SUB, binary(s, N_MUL, node_index(comp(s), row), length), s->first);
    Local *from = local_make(l, "begin", TYPE_INT, true);
    set_local(l, from, begin);
    fill_row(s, binary(s, N_MAX, get(s, from), zero),
             binary(s, N_MIN, binary(s, N_ADD, get(s, from), length), s->count),
             node_unary(comp(s), N_NEG, get(s, from)));
    advance(s, last - 1);
    loop_close(l, &loop);
}

static void fill_lists(Strip *s)
{
    Loop loop;
    if (s->sum->n_vars > 1) {
        fill_rows(s);
        return;
    }
    if (s->lists.n == 0) return;
    strip_keys_open(s, &loop, LOOP_SERIAL);
    for (uint32_t k = 0; k < s->lists.n; k++)
        store_at(s->l, s->lists.at[k].tensor, lower_value(s->l, strip_at_key(s, s->lists.at[k].value)));
    loop_close(s->l, &loop);
}

static void add_keys(Strip *s)
{
    fill_lists(s);
    strip_fetch(s);
    run_block(s);
}

/* ---- which blocks ---- */

static Node *keys_left(Strip *s, Local *end) { return binary(s, N_SUB, get(s, end), s->first); }

static Local *set_count(Strip *s, const char *name, Node *value)
{
    Local *count = local_make(s->l, name, TYPE_INT, true);
    set_local(s->l, count, value);
    s->count = get(s, count);
    return count;
}

/* The longest block from here, of whole parts, in which the condition cannot fail; else one part where it
 * may. */
static void choose_block(Strip *s, Local *count, Local *partial)
{
    Lower *l = s->l;
    Index *shorter = strip_index(l, "shorter", integer(s, s->block / part_of(s)));
    Node *none = binary(s, N_EQ, node_index(comp(s), shorter), integer(s, 0)), *part = integer(s, part_of(s));
    Loop loop;
    Branch try;
    loop_open(l, &loop, shorter, whole_range(l, shorter));
    Node *more = binary(s, N_AND, get(s, partial), binary(s, N_LT, part, get(s, count)));
    branch_open(l, &try, binary(s, N_OR, none, more));
    Node *less =
        binary(s, N_MUL, binary(s, N_FLOORDIV, binary(s, N_SUB, get(s, count), integer(s, 1)), part), part);
    set_count(s, "size", node_if(comp(s), none, get(s, count), less));
    set_local(l, partial, may_fail(s));
    set_local(l, count, s->count);
    branch_close(l, &try);
    loop_close(l, &loop);
    s->count = get(s, count);
}

/* Keys [next, next + count) are done, or hidden from all lanes. */
static void pass(Strip *s, Local *next) { set_local(s->l, next, binary(s, N_ADD, s->first, s->count)); }

/* Where the condition holds nowhere in a whole block or in the part that is left of it, nothing is added. */
static void judge_block(Strip *s, Local *end, Local *next)
{
    Lower *l = s->l;
    Branch due, some, rest, part;
    Local *partial = local_make(l, "partial", TYPE_BOOL, true);
    branch_open(l, &due, binary(s, N_LE, get(s, next), s->first));
    set_count(s, "block", binary(s, N_MIN, integer(s, s->block), keys_left(s, end)));
    pass(s, next);
    branch_open(l, &some, may_hold(s));
    Local *count = set_count(s, "count", s->count);
    set_local(l, partial, node_bool(comp(s), true));
    choose_block(s, count, partial);
    pass(s, next);
    s->partial = get(s, partial);
    Local *any = local_make(l, "any", TYPE_BOOL, true);
    set_local(l, any, node_bool(comp(s), true));
    branch_open(l, &part, s->partial);
    set_local(l, any, may_hold(s));
    branch_close(l, &part);
    branch_open(l, &rest, get(s, any));
    add_keys(s);
    branch_close(l, &rest);
    branch_close(l, &some);
    branch_close(l, &due);
}

/* Adds the keys [from, to) of the flattened list. */
void strip_keys(Strip *s, Node *from, Node *to)
{
    Lower *l = s->l;
    Loop loop;
    bool hides = !node_is_bool(s->where, true);
    Local *end = local_make(l, "end", TYPE_INT, true), *next = local_make(l, "next", TYPE_INT, true);
    set_local(l, end, to);
    if (hides) set_local(l, next, from);
    Index *first = strip_index(l, "first", integer(s, 0));
    loop_open(l, &loop, first, (Range){from, get(s, end), integer(s, hides ? part_of(s) : s->block)});
    s->first = node_index(comp(s), first);
    if (hides)
        judge_block(s, end, next);
    else {
        set_count(s, "count", binary(s, N_MIN, integer(s, s->block), keys_left(s, end)));
        add_keys(s);
    }
    loop_close(l, &loop);
}

void strip_blocks(Strip *s)
{
    Lower *l = s->l;
    Node *total = integer(s, 1), *zero = integer(s, 0);
    bool halved = strip_halves_pay(s);
    if (halved) strip_leave_lanes(s);
    memset(s->streamed, 0, sizeof s->streamed);
    s->partial = NULL;
    if (s->scores) set_local(l, s->place, zero);
    for (unsigned k = 0; k < s->sum->n_vars; k++) {
        find_range(s, k);
        total = binary(s, N_MUL, total, s->streamed[k].count);
    }
    if (!node_is_bool(s->where, true))
        s->seen = scratch_new(l, "seen", s->where, 2, (Index *[]){s->key, s->lane});
    if (s->sum->n_vars > 1) make_coordinates(s);
    total = node_if(comp(s), s->nonempty, total, zero);
    if (halved)
        strip_halves(s, total);
    else
        strip_keys(s, zero, total);
}
