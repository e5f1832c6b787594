/* Pairwise stages with queries in vector lanes.
 *
 * A strip is `lanes` consecutive values of one index (the queries). Its sums over the streamed indices run in blocks of
 * keys: a block's scores stand in a tile [key][lane], so that keys and values are read by broadcast from where they are,
 * the normaliser is vertical and a range of keys may start and stop anywhere. Which blocks matter follows from the
 * condition over the box (block, strip): empty ones are skipped, full ones run without a test, only partial ones mask.
 *
 * Requires: an equation that strip_fits. Ensures: bounds of loops and conditions of branches are the same in all lanes;
 * lanes beyond the last query repeat it, and store the same value to the same place. Breaks: nothing. */
#include "lower_internal.h"

#include "box.h"

#include <math.h>

enum { BLOCK = 128, PART = 32 }; /* keys of a full block, and of one whose condition must be tested */

/* One weighted sum: over a softmax (its score, sink), or of plain weights (softmax NULL). */
typedef struct Term {
    Node *softmax, *weight, *factor; /* weight: the score, or what does not depend on the dims of the accumulators */
    Local *max, *sum, *top, *shift;
    Tensor *total, *tile;
} Term;

typedef struct Strip {
    Lower *l;
    Index *lane;
    Box lanes;               /* all lanes of the strip */
    Scope *outside;          /* of the vector loop */
    Node *sum, *where;       /* the sum being streamed */
    Term terms[MOST_SOFTMAXES];
    unsigned n_terms, n_dims;
    Index *dims[16];         /* of the accumulators; then the lane */
    Index *key;              /* in the block */
    Node *first, *count;     /* of the block */
} Strip;

static Compilation *comp(Strip *s) { return s->l->c; }
static Node *binary(Strip *s, Op op, Node *a, Node *b) { return node_binary(comp(s), op, a, b); }
static Node *real(Strip *s, double x) { return node_real(comp(s), x); }
static Node *get(Strip *s, Local *x) { return local_get(s->l, x); }

static Index *fresh(Lower *l, const char *name, Node *extent)
{
    Index *index = index_new(l->c, name, l->span);
    index->extent = extent;
    return index;
}

/* ---- recognising ---- */

static bool varies(const Strip *s, const Node *n) { return node_depends_on(n, s->lane); }

static bool depends_on_dims(const Strip *s, const Node *n)
{
    for (unsigned k = 0; k < s->n_dims; k++)
        if (node_depends_on(n, s->dims[k])) return true;
    return false;
}

/* Splits a product into what the accumulators' dims do not touch (the weight) and the rest. */
static void split_product(Strip *s, Node *n, Node **weight, Node **factor)
{
    if (!depends_on_dims(s, n)) {
        *weight = binary(s, N_MUL, *weight, n);
    } else if (n->op == N_MUL) {
        split_product(s, n->args[0], weight, factor);
        split_product(s, n->args[1], weight, factor);
    } else *factor = binary(s, N_MUL, *factor, n);
}

static bool add_plain(Strip *s)
{
    Node *weight = real(s, 1), *factor = real(s, 1);
    if (binder_body(s->sum)->type != TYPE_REAL) return false;
    split_product(s, binder_body(s->sum), &weight, &factor);
    s->terms[s->n_terms++] = (Term){.weight = weight, .factor = factor};
    return varies(s, weight);
}

/* Statements inside lanes must be the same for all: loops with ranges of their own are not. */
static bool is_uniform_nest(const Strip *s, const Node *n)
{
    for (unsigned k = 0; k < n->n_vars; k++)
        if (varies(s, binder_lo(n, k)) || varies(s, binder_hi(n, k))) return false;
    return node_is_bool(binder_where(n), true) && n->kind != REDUCE_ARGMAX && n->kind != REDUCE_ARGMIN;
}

static bool fits_lanes(Strip *s, const Node *n)
{
    if (n->op == N_CHECK) return false;
    if (node_is_binder(n) && (n->op != N_REDUCE || !is_uniform_nest(s, n)) && varies(s, n)) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!fits_lanes(s, n->args[k])) return false;
    return true;
}

static bool recognise(Strip *s)
{
    if (s->sum->kind != REDUCE_SUM || depends_on_dims(s, s->where)) return false;
    Softmaxes found;
    s->n_terms = 0;
    if (find_softmaxes(s->l, s->sum, &found)) {
        for (unsigned k = 0; k < found.n; k++)
            s->terms[s->n_terms++] = (Term){.softmax = found.softmax[k], .weight = binder_body(found.softmax[k]),
                                            .factor = found.factor[k]};
    } else if (found.any || !add_plain(s)) return false;
    for (unsigned k = 0; k < s->n_terms; k++) {
        const Term *t = &s->terms[k];
        if (depends_on_dims(s, t->weight) || !fits_lanes(s, t->weight) || !fits_lanes(s, t->factor)) return false;
        if (t->softmax && binder_extra(t->softmax) && !fits_lanes(s, binder_extra(t->softmax))) return false;
    }
    IndexSet own = {{0}};
    for (unsigned k = 0; k < s->n_dims; k++) set_add(&own, s->dims[k]->id);
    set_add(&own, s->lane->id);
    return !bounds_depend_on(s->sum, &own) && fits_lanes(s, s->where);
}

/* ---- staging ---- */

/* Parts of a score that the lanes need again for every key: computed once per strip, into a tile [..., lane].
 * streamed: what changes while the tile is in use, the variables of sums around the innermost included. */
typedef struct Staging { Strip *s; IndexSet streamed; NodeMap staged; } Staging;

static bool is_stageable(Staging *g, const Node *n, const Node *inside)
{
    IndexSet own = set_of_vars(inside), used = set_and(n->free, &own), streamed = set_and(n->free, &g->streamed);
    return n->type == TYPE_REAL && varies(g->s, n) && !set_is_empty(&used) && set_is_empty(&streamed) && n->n_args > 0 &&
           !is_heavy(g->s->l, n);
}

/* Lanes one after the other, before the vector loop: their rows are contiguous in memory as lanes are not. */
static Scope *outside_open(Strip *s)
{
    Scope *here = s->l->scope;
    s->l->scope = s->outside;
    s->l->lane = NULL;
    return here;
}

static void outside_close(Strip *s, Scope *here)
{
    s->l->scope = here;
    s->l->lane = s->lane;
}

static Node *stage_tile(Staging *g, Node *n, const Node *inside)
{
    Strip *s = g->s;
    Index *dims[17];
    unsigned n_dims = 0;
    for (unsigned k = 0; k < inside->n_vars; k++)
        if (node_depends_on(n, inside->vars[k])) dims[n_dims++] = inside->vars[k];
    dims[n_dims++] = s->lane;
    Tensor *tile = scratch_new(s->l, "staged", n, n_dims, dims);
    Scope *here = outside_open(s);
    Loop lane;
    Nest nest;
    loop_open(s->l, &lane, s->lane, whole_range(s->l, s->lane));
    dims_open(s->l, &nest, n_dims - 1, dims);
    store_at(s->l, tile, lower_value(s->l, n));
    nest_close(s->l, &nest);
    loop_close(s->l, &lane);
    outside_close(s, here);
    return read_at(s->l, tile);
}

static Node *stage_in(Staging *g, Node *n, const Node *inside);

static Node *stage_body(Staging *g, Node *sum, const Node *around)
{
    IndexSet streamed = g->streamed;
    for (unsigned k = 0; around && k < around->n_vars; k++) set_add(&g->streamed, around->vars[k]->id);
    Node *body = stage_in(g, sum->args[sum->n_args - 1], sum);
    g->streamed = streamed;
    return body;
}

static Node *stage_in(Staging *g, Node *n, const Node *inside)
{
    Node *known = map_get(&g->staged, n);
    if (known) return known;
    if (inside && is_stageable(g, n, inside)) known = stage_tile(g, n, inside);
    else if (n->n_args == 0) known = n;
    else {
        Node **args = NEW_ARRAY(comp(g->s), Node *, n->n_args);
        bool sum = n->op == N_REDUCE;
        for (unsigned k = 0; k < n->n_args; k++)
            args[k] = sum && k + 1 == n->n_args ? stage_body(g, n, inside) : stage_in(g, n->args[k], inside);
        known = node_copy_with(comp(g->s), n, args);
    }
    if (n->n_args) map_put(comp(g->s), &g->staged, n, known);
    return known;
}

/* sqrt(size(d)) or size(d) of a variable of the sum: 0 only if the sum is empty. */
static bool is_size_of(const Node *n, const Node *sum)
{
    if (n->op == N_SQRT || n->op == N_TO_REAL) return is_size_of(n->args[0], sum);
    for (unsigned k = 0; k < sum->n_vars; k++)
        if (binder_hi(sum, k) == n && node_is_int(binder_lo(sum, k), 0)) return true;
    return false;
}

/* sum(a * b) / sqrt(size(d)) is 0 / sqrt(size(d)) + sum(a / sqrt(size(d)) * b): the scale is applied once per strip, and
 * an empty sum is still divided. */
static Node *scale_inside(Strip *s, Node *n)
{
    Node *sum = n->op == N_DIV ? n->args[0] : NULL;
    if (!sum || sum->op != N_REDUCE || sum->kind != REDUCE_SUM || binder_body(sum)->op != N_MUL ||
        !is_size_of(n->args[1], sum))
        return n;
    Node *body = binder_body(sum);
    unsigned side = varies(s, body->args[0]) ? 0 : 1;
    Node *scaled = binary(s, N_MUL, binary(s, N_DIV, body->args[side], n->args[1]), body->args[!side]);
    Node *lo[16], *hi[16];
    for (unsigned k = 0; k < sum->n_vars; k++) {
        lo[k] = binder_lo(sum, k);
        hi[k] = binder_hi(sum, k);
    }
    Node *inside = node_binder(comp(s), N_REDUCE, REDUCE_SUM, sum->n_vars, sum->vars, lo, hi, binder_where(sum), scaled, NULL);
    return binary(s, N_ADD, binary(s, N_DIV, real(s, 0), n->args[1]), inside);
}

static void stage_terms(Strip *s)
{
    Staging g = {.s = s, .streamed = set_of_vars(s->sum)};
    for (unsigned k = 0; k < s->n_terms; k++)
        s->terms[k].weight = stage_in(&g, scale_inside(s, s->terms[k].weight), NULL);
}

/* ---- accumulators ---- */

static void start_term(Strip *s, Term *t)
{
    Lower *l = s->l;
    Node *sink = t->softmax ? binder_extra(t->softmax) : NULL;
    if (t->softmax) {
        t->max = local_new(l, "max", t->weight);
        t->sum = local_new(l, "sum", t->weight);
        t->top = local_new(l, "top", t->weight);
        t->shift = local_new(l, "shift", t->weight);
        set_local(l, t->max, sink ? lower_value(l, sink) : real(s, -INFINITY));
        set_local(l, t->sum, real(s, sink ? 1 : 0));
    }
    Index *dims[17];
    for (unsigned k = 0; k < s->n_dims; k++) dims[k] = s->dims[k];
    dims[s->n_dims] = s->lane;
    t->total = scratch_new(l, "total", s->sum, s->n_dims + 1, dims);
    t->tile = scratch_new(l, "weights", t->weight, 2, (Index *[]){s->key, s->lane});
    Nest nest;
    dims_open(l, &nest, s->n_dims, s->dims);
    store_at(l, t->total, real(s, 0));
    nest_close(l, &nest);
}

/* ---- one block of keys ---- */

/* `n` for key number s->key of the block. */
static Node *at_key(Strip *s, Node *n)
{
    Index *streamed = s->sum->vars[s->sum->n_vars - 1];
    Node *at = binary(s, N_ADD, s->first, node_index(comp(s), s->key));
    return node_substitute(comp(s), n, 1, &streamed, &at);
}

static Range keys_of_block(Strip *s)
{
    return (Range){node_int(comp(s), 0), s->count, NULL};
}

static void keys_open(Strip *s, Loop *loop, LoopKind kind)
{
    loop_open(s->l, loop, s->key, keys_of_block(s));
    loop->kind = kind;
}

static Node *greater(Strip *s, Node *a, Node *b) /* b unless a is greater; not caring for NaN, which the sums carry */
{
    return node_if(comp(s), binary(s, N_LT, b, a), a, b);
}

/* start + sum(...) begins at `start`. */
static Node *score_of(Strip *s, Node *n)
{
    bool started = n->op == N_ADD && n->args[0]->free == set_empty(comp(s)) && n->args[1]->op == N_REDUCE;
    if (!started || n->args[1]->kind != REDUCE_SUM) return lower_value(s->l, n);
    return lower_sum_from(s->l, n->args[1], lower_value(s->l, n->args[0]));
}

/* Scores of the block into the tile, and their maximum. */
static void score_block(Strip *s, Term *t, bool masked)
{
    Lower *l = s->l;
    Loop loop;
    keys_open(s, &loop, LOOP_JAM);
    Node *weight = t->softmax ? simplify_assuming(comp(s), t->weight, s->where) : t->weight;
    Local *x = local_new(l, "score", weight);
    set_local(l, x, score_of(s, at_key(s, weight)));
    Node *value = get(s, x), *none = real(s, t->softmax ? -INFINITY : 0);
    if (masked) value = node_if(comp(s), lower_value(l, at_key(s, s->where)), value, none);
    store_at(l, t->tile, value);
    if (t->softmax) set_local(l, t->top, greater(s, read_at(l, t->tile), get(s, t->top)));
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
    set_local(l, scale, node_unary(c, N_EXP, binary(s, N_SUB, get(s, t->max), get(s, t->shift))));
    set_local(l, t->sum, binary(s, N_MUL, get(s, t->sum), get(s, scale)));
    Loop loop;
    keys_open(s, &loop, LOOP_SERIAL);
    set_local(l, weight, node_unary(c, N_EXP, binary(s, N_SUB, read_at(l, t->tile), get(s, t->shift))));
    set_local(l, t->sum, binary(s, N_ADD, get(s, t->sum), get(s, weight)));
    store_at(l, t->tile, get(s, weight));
    loop_close(l, &loop);
    set_local(l, t->max, top);
    return scale;
}

/* total = total * scale + sum over keys of weight * factor. `careful`: a hidden key's factor may be NaN or infinite. */
static void weigh_block(Strip *s, Term *t, Local *scale, bool careful)
{
    Lower *l = s->l;
    Compilation *c = comp(s);
    Nest nest;
    dims_open(l, &nest, s->n_dims, s->dims);
    if (s->n_dims) nest.loops[s->n_dims - 1].kind = LOOP_JAM;
    Local *x = local_new(l, "x", s->sum);
    Node *old = read_at(l, t->total);
    set_local(l, x, scale ? binary(s, N_MUL, old, get(s, scale)) : old);
    Loop loop;
    keys_open(s, &loop, LOOP_SERIAL);
    Node *more = binary(s, N_ADD, get(s, x), binary(s, N_MUL, read_at(l, t->tile), lower_value(l, at_key(s, t->factor))));
    if (careful) more = node_if(c, lower_value(l, at_key(s, s->where)), more, get(s, x));
    set_local(l, x, more);
    loop_close(l, &loop);
    store_at(l, t->total, get(s, x));
    nest_close(l, &nest);
}

/* Is a number of the block's factors not finite? x * 0 is NaN then, and stays it in a sum: one for every accumulator, so
 * that the loop over keys needs no sum across them. */
static Node *is_tainted(Strip *s, Term *t)
{
    Lower *l = s->l;
    Tensor *taint = scratch_new(l, "taint", t->factor, s->n_dims, s->dims);
    Local *any = local_new(l, "any", t->factor);
    array_fill(l, taint, real(s, 0));
    Loop loop;
    Nest nest;
    keys_open(s, &loop, LOOP_SERIAL);
    lanes_open(l, &nest, s->n_dims, s->dims);
    Node *zero = binary(s, N_MUL, lower_value(l, at_key(s, t->factor)), real(s, 0));
    store_at(l, taint, binary(s, N_ADD, read_at(l, taint), zero));
    nest_close(l, &nest);
    loop_close(l, &loop);
    set_local(l, any, real(s, 0));
    dims_open(l, &nest, s->n_dims, s->dims);
    set_local(l, any, binary(s, N_ADD, get(s, any), read_at(l, taint)));
    nest_close(l, &nest);
    return binary(s, N_NE, get(s, any), get(s, any));
}

static void weigh_either(Strip *s, Term *t, Local *scale)
{
    Lower *l = s->l;
    Branch yes, no;
    Local *tainted = local_make(l, "tainted", TYPE_BOOL, true);
    set_local(l, tainted, varies(s, t->factor) ? node_bool(comp(s), true) : is_tainted(s, t));
    branch_open(l, &yes, get(s, tainted));
    weigh_block(s, t, scale, true);
    branch_close(l, &yes);
    branch_open(l, &no, node_unary(comp(s), N_NOT, get(s, tainted)));
    weigh_block(s, t, scale, false);
    branch_close(l, &no);
}

static void run_block(Strip *s, bool partial)
{
    for (unsigned k = 0; k < s->n_terms; k++) {
        Term *t = &s->terms[k];
        if (t->softmax) set_local(s->l, t->top, get(s, t->max));
        score_block(s, t, partial);
        Local *scale = t->softmax ? normalise_block(s, t) : NULL;
        if (partial) weigh_either(s, t, scale);
        else weigh_block(s, t, scale, false);
    }
}

/* ---- the streamed space ---- */

static Box block_box(Strip *s)
{
    Box box = s->lanes;
    Index *streamed = s->sum->vars[s->sum->n_vars - 1];
    box.sides[box.n++] = (BoxSide){streamed, s->first, binary(s, N_ADD, s->first, s->count)};
    return box;
}

/* A loop over [lo, hi) in blocks of `size` keys; s->first and s->count are the current one. */
static void blocks_open(Strip *s, Loop *loop, const char *name, Node *lo, Node *hi, unsigned size)
{
    Lower *l = s->l;
    Compilation *c = comp(s);
    Local *end = local_make(l, "end", TYPE_INT, true), *count = local_make(l, "count", TYPE_INT, true);
    set_local(l, end, hi);
    Index *first = fresh(l, name, node_size(c, s->sum->vars[s->sum->n_vars - 1]));
    loop_open(l, loop, first, (Range){lo, get(s, end), node_int(c, size)});
    s->first = node_index(c, first);
    set_local(l, count, binary(s, N_MIN, node_int(c, size), binary(s, N_SUB, get(s, end), s->first)));
    s->count = get(s, count);
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

/* The parts of a block that is not full: those whose condition holds nowhere are left out. */
static void run_parts(Strip *s)
{
    Lower *l = s->l;
    Node *first = s->first, *count = s->count;
    Loop part;
    Branch some;
    blocks_open(s, &part, "part", first, binary(s, N_ADD, first, count), PART);
    branch_open(l, &some, may_hold(s));
    run_block(s, true);
    branch_close(l, &some);
    loop_close(l, &part);
    s->first = first;
    s->count = count;
}

/* A block whose condition holds nowhere is left out; one where it may fail runs in parts that test it. */
static void judge_block(Strip *s)
{
    Lower *l = s->l;
    if (node_is_bool(s->where, true)) {
        run_block(s, false);
        return;
    }
    Branch some, full, parts;
    branch_open(l, &some, may_hold(s));
    Local *partial = local_make(l, "partial", TYPE_BOOL, true);
    set_local(l, partial, may_fail(s));
    branch_open(l, &full, node_unary(comp(s), N_NOT, get(s, partial)));
    run_block(s, false);
    branch_close(l, &full);
    branch_open(l, &parts, get(s, partial));
    run_parts(s);
    branch_close(l, &parts);
    branch_close(l, &some);
}

/* The range of a streamed index for the whole strip. */
static Range strip_range(Strip *s, unsigned k)
{
    Lower *l = s->l;
    NodeList tests = {0};
    IndexSet later = {{0}};
    for (unsigned j = k + 1; j < s->sum->n_vars; j++) set_add(&later, s->sum->vars[j]->id);
    conjuncts(comp(s), s->where, &tests);
    Range whole = {binder_lo(s->sum, k), binder_hi(s->sum, k), NULL};
    Range range = tighten_interval(l, s->sum->vars[k], whole, &tests, &later);
    Node *lo = box_least(comp(s), &s->lanes, range.lo), *hi = box_greatest(comp(s), &s->lanes, range.hi);
    range.lo = lower_value(l, lo ? lo : whole.lo);
    range.hi = lower_value(l, hi ? hi : whole.hi);
    return range;
}

static void stream_blocks(Strip *s)
{
    Range range = strip_range(s, s->sum->n_vars - 1);
    Loop loop;
    blocks_open(s, &loop, "first", range.lo, range.hi, BLOCK);
    judge_block(s);
    loop_close(s->l, &loop);
}

static void stream_from(Strip *s, unsigned k)
{
    if (k + 1 == s->sum->n_vars) {
        stream_blocks(s);
        return;
    }
    Loop loop;
    loop_open(s->l, &loop, s->sum->vars[k], strip_range(s, k));
    stream_from(s, k + 1);
    loop_close(s->l, &loop);
}

/* Divides by the sum of the weights. Of nothing, or of scores that are all -inf, the weights are 0. */
static Node *finish_term(Strip *s, const Term *t)
{
    Lower *l = s->l;
    if (!t->softmax) return read_at(l, t->total);
    Local *scale = local_new(l, "scale", t->weight);
    Node *sum = get(s, t->sum), *one = real(s, 1);
    set_local(l, scale, node_if(comp(s), binary(s, N_EQ, sum, real(s, 0)), one, binary(s, N_DIV, one, sum)));
    Nest nest;
    dims_open(l, &nest, s->n_dims, s->dims);
    store_at(l, t->total, binary(s, N_MUL, read_at(l, t->total), get(s, scale)));
    nest_close(l, &nest);
    return read_at(l, t->total);
}

/* One sum for all lanes and all of its dims. NULL: it does not fit. */
static Node *stream_sum(Strip *s, Node *sum)
{
    s->sum = sum;
    s->where = binder_where(sum);
    if (!recognise(s)) return NULL;
    s->key = fresh(s->l, "key", node_int(comp(s), BLOCK));
    stage_terms(s);
    for (unsigned k = 0; k < s->n_terms; k++) start_term(s, &s->terms[k]);
    stream_from(s, 0);
    Node *value = finish_term(s, &s->terms[0]);
    for (unsigned k = 1; k < s->n_terms; k++) value = binary(s, N_ADD, value, finish_term(s, &s->terms[k]));
    return value;
}

/* ---- equations ---- */

typedef struct Sums { Strip *s; NodeList list; bool other; } Sums;

static void collect_sum(void *context, Node *n, const Binding *around)
{
    Sums *sums = context;
    if (around->binder || !node_is_binder(n) || !varies(sums->s, n)) return;
    if (n->op == N_REDUCE && n->kind == REDUCE_SUM) PUSH(comp(sums->s), &sums->list, n);
    else sums->other = true;
}

static unsigned accumulator_dims(const Tensor *t, const IndexSet *inner, const Node *sum, Index **dims)
{
    unsigned n = 0;
    for (unsigned k = 0; k < t->n_dims && n < 15; k++)
        if (set_has(inner, t->dims[k]->id) && node_depends_on(sum, t->dims[k])) dims[n++] = t->dims[k];
    return n;
}

/* A lane's query is the strip's first plus the lane, or the last there is. */
static Node *query_of_lane(Strip *s, Index *query, Index *strip)
{
    Compilation *c = comp(s);
    Node *start = binary(s, N_MUL, node_index(c, strip), node_int(c, s->l->lanes));
    Node *end = binary(s, N_SUB, node_size(c, query), node_int(c, 1));
    return binary(s, N_MIN, binary(s, N_ADD, start, node_index(c, s->lane)), end);
}

static bool sums_fit(Strip *s, Node *body, const Tensor *t, const IndexSet *inner, Sums *sums)
{
    walk(comp(s), body, collect_sum, sums);
    if (sums->other || sums->list.n == 0 || contains_op(comp(s), body, N_CHECK)) return false;
    for (uint32_t k = 0; k < sums->list.n; k++) {
        s->sum = sums->list.at[k];
        s->where = binder_where(s->sum);
        s->n_dims = accumulator_dims(t, inner, s->sum, s->dims);
        if (!recognise(s)) return false;
    }
    return true;
}

typedef struct Swap { Node *from, *to; } Swap;

static Node *swap_node(void *context, Compilation *c, Node *n)
{
    (void)c;
    Swap *x = context;
    return n == x->from ? x->to : n;
}

/* Stores every element of the strip: dims that are not tasks around what the sums left. */
static void store_strip(Strip *s, const Stage *stage, Node *body, Index *query, Node *at)
{
    Lower *l = s->l;
    Tensor *t = stage->equation->tensor;
    Index *rest[MAX_INDICES];
    Node **subscripts = NEW_ARRAY(l->c, Node *, t->n_dims);
    unsigned n = 0;
    for (unsigned k = 0; k < t->n_dims; k++) {
        bool task = false;
        for (unsigned j = 0; j < stage->n_tasks; j++) task = task || stage->tasks[j] == t->dims[k];
        if (!task) rest[n++] = t->dims[k];
        subscripts[k] = t->dims[k] == query ? at : node_index(l->c, t->dims[k]);
    }
    Nest nest;
    dims_open(l, &nest, n, rest);
    store(l, t, subscripts, lower_value(l, body));
    nest_close(l, &nest);
}

/* The last task index becomes strips of lanes; all other dims are run inside, so every one must be an accumulator's. */
static bool open_strip(Strip *s, const Stage *stage, Index **strip, Node **at, Node **body)
{
    Lower *l = s->l;
    Index *query = stage->n_tasks ? stage->tasks[stage->n_tasks - 1] : NULL;
    const Tensor *t = stage->equation->tensor;
    bool narrow = t->storage == STORAGE_F16 || t->storage == STORAGE_BF16;
    if (l->lanes == 0 || !query || query->ambient || t->optional || narrow) return false;
    Node *size = node_size(l->c, query), *lanes = node_int(l->c, l->lanes);
    *strip = fresh(l, "strip", binary(s, N_FLOORDIV, binary(s, N_ADD, size, node_int(l->c, l->lanes - 1)), lanes));
    s->lane = fresh(l, "lane", lanes);
    s->lanes = (Box){.n = 1};
    s->lanes.sides[0] = (BoxSide){s->lane, node_int(l->c, 0), lanes};
    *at = query_of_lane(s, query, *strip);
    if (!node_substitutable(l->c, stage->equation->body, 1, &query, at)) return false;
    *body = node_substitute(l->c, stage->equation->body, 1, &query, at);
    return true;
}

static bool covers_rest(const Stage *stage, const IndexSet *inner)
{
    const Tensor *t = stage->equation->tensor;
    IndexSet rest = set_of_dims(t);
    for (unsigned k = 0; k < stage->n_tasks; k++) set_remove(&rest, stage->tasks[k]->id);
    return set_within(&rest, inner);
}

static void emit_strip(Strip *s, const Stage *stage, Node *body, const IndexSet *inner, const Sums *sums, Node *at)
{
    Lower *l = s->l;
    Loop lane;
    s->outside = l->scope;
    loop_open(l, &lane, s->lane, whole_range(l, s->lane));
    lane.kind = LOOP_VECTOR;
    l->lane = s->lane;
    for (uint32_t k = 0; k < sums->list.n; k++) {
        s->n_dims = accumulator_dims(stage->equation->tensor, inner, sums->list.at[k], s->dims);
        Swap swap = {sums->list.at[k], stream_sum(s, sums->list.at[k])};
        body = node_rewrite(l->c, body, swap_node, &swap);
    }
    l->lane = NULL;
    loop_close(l, &lane);
    loop_open(l, &lane, s->lane, whole_range(l, s->lane));
    store_strip(s, stage, body, stage->tasks[stage->n_tasks - 1], at);
    loop_close(l, &lane);
}

bool lower_strips(Lower *l, const Stage *stage)
{
    Strip s = {.l = l};
    Sums sums = {.s = &s};
    Index *strip;
    Node *at, *body;
    l->span = stage->equation->tensor->span;
    IndexSet inner = plan_inner(l->c, stage->equation);
    if (!open_strip(&s, stage, &strip, &at, &body) || !covers_rest(stage, &inner) ||
        !sums_fit(&s, body, stage->equation->tensor, &inner, &sums))
        return false;
    Phase phase = {.name = format(l->c, "pairwise %s, queries in lanes", stage->equation->tensor->name),
                   .n_tasks = stage->n_tasks, .tasks = NEW_ARRAY(l->c, Index *, stage->n_tasks)};
    for (unsigned k = 0; k < stage->n_tasks; k++) phase.tasks[k] = stage->tasks[k];
    phase.tasks[stage->n_tasks - 1] = strip;
    Scope root;
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    emit_strip(&s, stage, body, &inner, &sums, at);
    phase_close(l, &root, phase);
    return true;
}
