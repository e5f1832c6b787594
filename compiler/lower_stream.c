/* One sum of a strip: what fits lanes, what is computed once per strip, where the sums go (see
 * lower_strip.h). Requires: a sum over streamed indices in the body of an equation whose queries are lanes.
 * Ensures: bounds of loops and conditions of branches are the same in all lanes. Breaks: nothing. */
#include "lower_strip.h"

#include "graph.h"

#include <math.h>

/* ---- recognising ---- */

static bool is_sparse(const Term *t) { return t->softmax && t->softmax->kind != NORMALISE_SOFTMAX; }

static bool depends_on_dims(const Strip *s, const Node *n)
{
    for (unsigned k = 0; k < s->n_dims; k++)
        if (node_depends_on(n, s->dims[k])) return true;
    return false;
}

/* Over the scores of a maximum. */
static Node *softmax_like(Strip *s, const Node *n)
{
    Node *lo[16], *hi[16];
    for (unsigned k = 0; k < n->n_vars; k++) {
        lo[k] = binder_lo(n, k);
        hi[k] = binder_hi(n, k);
    }
    return node_binder(comp(s), N_NORMALISE, NORMALISE_SOFTMAX, n->n_vars, n->vars, lo, hi, binder_where(n),
                       binder_body(n), NULL);
}

static bool add_extreme(Strip *s)
{
    Node *body = binder_body(s->sum);
    if (body->type != TYPE_REAL || s->n_dims) return false;
    Node *softmax = s->row_sum ? softmax_like(s, s->sum) : NULL;
    s->terms[s->n_terms++] = (Term){.softmax = softmax, .weight = body, .extreme = (Reduction)s->sum->kind};
    return varies(s, body);
}

static bool add_plain(Strip *s)
{
    Node *weight = real(s, 1), *factor = real(s, 1);
    if (binder_body(s->sum)->type != TYPE_REAL) return false;
    split_product(s->l, binder_body(s->sum), s->n_dims, s->dims, &weight, &factor);
    s->terms[s->n_terms++] = (Term){.weight = weight, .factor = factor};
    return varies(s, weight);
}

/* Statements inside lanes must be the same for all: loops with ranges of their own are not, nor is one that
 * looks on only until it knows. */
static bool is_uniform_nest(const Strip *s, const Node *n)
{
    for (unsigned k = 0; k < n->n_vars; k++)
        if (varies(s, binder_lo(n, k)) || varies(s, binder_hi(n, k))) return false;
    bool branches = n->kind == REDUCE_ARGMAX || n->kind == REDUCE_ARGMIN || n->kind == REDUCE_ANY ||
                    n->kind == REDUCE_ALL;
    return node_is_bool(binder_where(n), true) && !branches;
}

/* A row along a streamed index has no value at the coordinate of a key in a block. */
static bool keeps_streamed(const Strip *s, const Node *n)
{
    if (!node_is_binder(n) || !node_keeps_position(n)) return false;
    for (unsigned k = 0; k < s->sum->n_vars; k++)
        if (node_depends_on(n, s->sum->vars[k])) return true;
    return false;
}

static bool fits_lanes(Strip *s, const Node *n)
{
    if (n->op == N_CHECK || keeps_streamed(s, n)) return false;
    if (n->n_args == 0 || map_get(&s->fitting, n)) return true;
    if (node_is_binder(n) && (n->op != N_REDUCE || !is_uniform_nest(s, n)) && varies(s, n)) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!fits_lanes(s, n->args[k])) return false;
    map_put(comp(s), &s->fitting, n, s);
    return true;
}

/* What is the same for all keys and dims of a factor joins the gain. */
static void split_gain(Strip *s, Node *n, Node **gain, Node **factor)
{
    IndexSet vars = set_of_vars(s->sum), streamed = set_and(n->free, &vars);
    if (set_is_empty(&streamed) && !depends_on_dims(s, n))
        *gain = binary(s, N_MUL, *gain, n);
    else if (n->op == N_NEG) {
        *gain = node_unary(comp(s), N_NEG, *gain);
        split_gain(s, n->args[0], gain, factor);
    } else if (n->op == N_MUL) {
        split_gain(s, n->args[0], gain, factor);
        split_gain(s, n->args[1], gain, factor);
    } else
        *factor = binary(s, N_MUL, *factor, n);
}

/* With a sink the sum of the weights does not tell that a row sees no key: 0 times an infinite gain would be
 * NaN. */
static Term softmax_term(Strip *s, Node *softmax, Node *product)
{
    Node *gain = real(s, 1), *factor = gain;
    if (softmax->kind == NORMALISE_SOFTMAX && !binder_extra(softmax))
        split_gain(s, product, &gain, &factor);
    else
        factor = product;
    return (Term){.softmax = softmax, .weight = binder_body(softmax), .factor = factor, .gain = gain};
}

bool strip_recognise(Strip *s, Node *sum)
{
    s->sum = sum;
    s->where = binder_where(sum);
    s->fitting = (NodeMap){0};
    if (sum->n_vars > MOST_STREAMED) return false;
    if (depends_on_dims(s, s->where)) return false;
    Softmaxes found;
    s->n_terms = 0;
    if (sum->kind == REDUCE_MAX || sum->kind == REDUCE_MIN) {
        if (!add_extreme(s)) return false;
    } else if (sum->kind != REDUCE_SUM)
        return false;
    else if (find_normalisers(comp(s), s->sum, &found)) {
        for (unsigned k = 0; k < found.n; k++)
            s->terms[s->n_terms++] = softmax_term(s, found.softmax[k], found.factor[k]);
    } else if (found.any || !add_plain(s))
        return false;
    for (unsigned k = 0; k < s->n_terms; k++) {
        const Term *t = &s->terms[k];
        if (is_sparse(t) && s->n_terms > 1) return false;
        if (depends_on_dims(s, t->weight) || !fits_lanes(s, t->weight)) return false;
        if (t->factor && !fits_lanes(s, t->factor)) return false;
        if (t->gain && !fits_lanes(s, t->gain)) return false;
        Node *sink = t->softmax ? binder_extra(t->softmax) : NULL;
        if (sink && (depends_on_dims(s, sink) || !fits_lanes(s, sink))) return false;
    }
    IndexSet own = {{0}};
    for (unsigned k = 0; k < s->n_dims; k++) set_add(&own, s->dims[k]->id);
    set_add(&own, s->lane->id);
    return !bounds_depend_on(s->sum, &own) && fits_lanes(s, s->where);
}

/* ---- staging ---- */

/* Parts of a score that the lanes need again for every key: computed once per strip, into a tile [..., lane].
 * streamed: what changes while the tile is in use, the variables of sums around the innermost included. */
typedef struct Staging {
    Strip *s;
    IndexSet streamed;
    NodeMap staged;
    bool exact; /* a sum keeps its rounding: scales stay outside */
} Staging;

static bool is_stageable(Staging *g, const Node *n, const Node *inside)
{
    IndexSet own = set_of_vars(inside), used = set_and(n->free, &own),
             streamed = set_and(n->free, &g->streamed);
    return n->type == TYPE_REAL && varies(g->s, n) && !set_is_empty(&used) && set_is_empty(&streamed) &&
           n->n_args > 0 && !is_heavy(g->s->l, n);
}

Index **strip_lane_last(Strip *s, unsigned n, Index *const *dims)
{
    Index **turned = NEW_ARRAY(comp(s), Index *, n + 1);
    for (unsigned k = 1; k < n; k++) turned[k - 1] = dims[k];
    turned[n - 1] = dims[0];
    return turned;
}

void strip_transpose(Strip *s, Tensor *to, Tensor *from, const Tensor *tile)
{
    Nest nest;
    dims_open(s->l, &nest, tile->n_dims, tile->dims);
    nest.loops[tile->n_dims - 2].kind = LOOP_TRANSPOSE;
    store_at(s->l, to, read_at(s->l, from));
    nest_close(s->l, &nest);
}

/* Lanes one after the other, before the vector loop: their rows are contiguous in memory as lanes are not. */
Scope *strip_outside_open(Strip *s)
{
    Scope *here = s->l->scope;
    s->l->scope = s->outside;
    s->l->lane = NULL;
    return here;
}

void strip_outside_close(Strip *s, Scope *here)
{
    s->l->scope = here;
    s->l->lane = s->lane;
}

void strip_prefetch(Strip *s, Tensor *t, Node *const *subscripts, unsigned n_dims, Index **dims)
{
    Nest nest;
    Node **at = NEW_ARRAY(comp(s), Node *, t->n_dims);
    dims_open(s->l, &nest, n_dims, dims);
    if (n_dims) nest.loops[n_dims - 1].range.step = integer(s, 16); /* numbers of a cache line */
    for (unsigned d = 0; d < t->n_dims; d++) at[d] = lower_value(s->l, subscripts[d]);
    prefetch(s->l, t, at, false);
    nest_close(s->l, &nest);
}

void strip_prefetch_row(Strip *s, const Node *read)
{
    IndexSet bound = {{0}};
    Index *dims[16];
    unsigned n = 0;
    for (const Scope *o = s->l->scope; o; o = o->outer) bound = set_or(&bound, &o->bound);
    for (unsigned k = 0; k < read->n_args; k++) {
        const Node *x = read->args[k];
        if (set_within(x->free, &bound)) continue;
        if (x->op != N_INDEX || n == 16) return;
        dims[n++] = x->index;
        set_add(&bound, x->index->id);
    }
    strip_prefetch(s, read->tensor, read->args, n, dims);
}

typedef struct Rows {
    Strip *s;
    NodeList reads;
} Rows;

static void collect_row(void *context, const Node *n)
{
    Rows *r = context;
    bool row = n->op == N_READ && n->type == TYPE_REAL && !n->guarded && varies(r->s, n);
    if (row) PUSH(comp(r->s), &r->reads, (Node *)n);
}

/* The rows that the next strip stages, which lie further on in memory (those of another residue jump). */
static void prefetch_next(Strip *s, const Node *n, unsigned n_dims, Index **dims)
{
    Rows rows = {.s = s};
    Node *next = binary(s, N_ADD, node_index(comp(s), s->tile), integer(s, 1));
    node_visit(comp(s), n, collect_row, &rows);
    if (s->n_residues) return;
    for (uint32_t k = 0; k < rows.reads.n; k++) {
        Node *read = node_substitute(comp(s), rows.reads.at[k], 1, &s->tile, &next);
        strip_prefetch(s, read->tensor, read->args, n_dims, dims);
    }
}

static Node *stage_tile(Staging *g, Node *n, const Node *inside)
{
    Strip *s = g->s;
    Index *dims[17];
    unsigned n_dims = 0;
    dims[n_dims++] = s->lane;
    for (unsigned k = 0; k < inside->n_vars; k++)
        if (node_depends_on(n, inside->vars[k])) dims[n_dims++] = inside->vars[k];
    Tensor *rows = scratch_new(s->l, "rows", n, n_dims, dims);
    Tensor *tile = scratch_new(s->l, "staged", n, n_dims, strip_lane_last(s, n_dims, dims));
    Scope *here = strip_outside_open(s);
    Nest nest;
    dims_open(s->l, &nest, n_dims, dims);
    store_at(s->l, rows, lower_value(s->l, n));
    nest_close(s->l, &nest);
    strip_transpose(s, tile, rows, tile);
    prefetch_next(s, n, n_dims, dims);
    strip_outside_close(s, here);
    return read_at(s->l, tile);
}

/* sqrt(size(d)) or size(d) of a variable of the sum: 0 only if the sum is empty. */
static bool is_size_of(const Node *n, const Node *sum)
{
    if (n->op == N_SQRT || n->op == N_TO_REAL) return is_size_of(n->args[0], sum);
    for (unsigned k = 0; k < sum->n_vars; k++)
        if (binder_hi(sum, k) == n && node_is_int(binder_lo(sum, k), 0)) return true;
    return false;
}

/* Do numbers keep their precision when they are scaled? */
static bool is_scale(double x) { return 0x1p-20 < fabs(x) && fabs(x) < 0x1p20; }

/* unit * sum(a * b) / sqrt(size(d)) is 0 / sqrt(size(d)) + sum(a * (unit / sqrt(size(d))) * b): the scale is
 * applied once per strip, and an empty sum is still divided. Divisors that are literals join the unit. */
static Node *scale_inside(Strip *s, Node *n, double unit)
{
    bool literal = n->op == N_DIV && n->args[1]->op == N_REAL && is_scale(unit / n->args[1]->real);
    Node *inner = literal ? scale_inside(s, n->args[0], unit / n->args[1]->real) : n;
    if (literal) return inner == n->args[0] ? n : inner;
    Node *sum = n->op == N_DIV ? n->args[0] : NULL;
    if (!sum || sum->op != N_REDUCE || sum->kind != REDUCE_SUM || binder_body(sum)->op != N_MUL ||
        !is_size_of(n->args[1], sum))
        return n;
    Node *body = binder_body(sum);
    unsigned side = varies(s, body->args[0]) ? 0 : 1;
    Node *scaled =
        binary(s, N_MUL, binary(s, N_MUL, body->args[side], binary(s, N_DIV, real(s, unit), n->args[1])),
               body->args[!side]);
    Node *lo[16], *hi[16];
    for (unsigned k = 0; k < sum->n_vars; k++) {
        lo[k] = binder_lo(sum, k);
        hi[k] = binder_hi(sum, k);
    }
    Node *inside = node_binder(comp(s), N_REDUCE, REDUCE_SUM, sum->n_vars, sum->vars, lo, hi,
                               binder_where(sum), scaled, NULL);
    return binary(s, N_ADD, binary(s, N_DIV, real(s, 0), n->args[1]), inside);
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
    Node *known = map_get(&g->staged, n), *scaled = inside || g->exact ? n : scale_inside(g->s, n, 1);
    if (known) return known;
    if (scaled != n)
        known = stage_in(g, scaled, NULL);
    else if (inside && is_stageable(g, n, inside))
        known = stage_tile(g, n, inside);
    else if (n->n_args == 0)
        known = n;
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

/* Does a step, such as x > 0, tell values apart that differ by a rounding? */
static void look_for_step(void *context, const Node *n)
{
    bool steps = n->op == N_SIGN || n->op == N_FLOOR || n->op == N_CEIL || n->op == N_ROUND;
    for (unsigned k = 0; k < n->n_args && n->type != TYPE_REAL; k++) steps |= n->args[k]->type == TYPE_REAL;
    if (steps) *(bool *)context = true;
}

/* Scores that nothing but their weights needs are scaled to powers of two. */
static void stage_terms(Strip *s)
{
    Staging g = {.s = s, .streamed = set_of_vars(s->sum)};
    for (unsigned k = 0; k < s->n_terms; k++)
        node_visit(comp(s), s->terms[k].weight, look_for_step, &g.exact);
    for (unsigned k = 0; k < s->n_terms; k++) {
        Term *t = &s->terms[k];
        if (t->softmax) t->weight = simplify_assuming(comp(s), t->weight, s->where);
        bool alone = t->softmax && t->factor && !s->row_max && !is_sparse(t) && !binder_extra(t->softmax);
        Node *scaled = alone ? scale_inside(s, t->weight, 1 / log(2)) : t->weight;
        t->exp = scaled != t->weight ? N_EXP2_DOWN : N_EXP_DOWN;
        t->weight = stage_in(&g, scaled, NULL);
    }
}

/* ---- accumulators ---- */

static void start_term(Strip *s, Term *t)
{
    Lower *l = s->l;
    Node *sink = t->softmax ? binder_extra(t->softmax) : NULL;
    if (!t->factor && !t->softmax) {
        t->max = local_new(l, "extreme", t->weight);
        t->top = local_new(l, "top", t->weight);
        set_local(l, t->max, reduction_identity(comp(s), t->extreme, TYPE_REAL));
    }
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
    if (!t->factor) return;
    Nest nest;
    dims_open(l, &nest, s->n_dims, s->dims);
    store_at(l, t->total, real(s, 0));
    nest_close(l, &nest);
}

/* ---- the end ---- */

/* Divides by the sum of the weights. Of nothing, or of scores that are all -inf, the weights are 0. */
static Node *finish_term(Strip *s, const Term *t)
{
    Lower *l = s->l;
    if (!t->factor) {
        store_at(l, t->total, get(s, t->max));
        PUSH(comp(s), &s->extremes, t->total);
    }
    if (t->softmax && s->row_max) {
        store_at(l, s->row_max, get(s, t->max));
        store_at(l, s->row_sum, get(s, t->sum));
    }
    if (!t->softmax || !t->factor || is_sparse(t)) return read_at(l, t->total);
    Local *scale = local_new(l, "scale", t->weight);
    Node *sum = get(s, t->sum), *share = binary(s, N_DIV, lower_value(l, t->gain), sum);
    set_local(l, scale, node_if(comp(s), binary(s, N_EQ, sum, real(s, 0)), real(s, 1), share));
    if (s->alone) {
        Scope *here = strip_outside_open(s);
        Tensor *scales = scratch_new(l, "scale", t->weight, 1, &s->lane);
        strip_outside_close(s, here);
        store_at(l, scales, get(s, scale));
        return binary(s, N_MUL, read_at(l, t->total), read_at(l, scales));
    }
    Nest nest;
    dims_open(l, &nest, s->n_dims, s->dims);
    store_at(l, t->total, binary(s, N_MUL, read_at(l, t->total), get(s, scale)));
    nest_close(l, &nest);
    return read_at(l, t->total);
}

/* The condition without `e % modulus == 0` where the keys go in steps anyway. Modulo 0 means equal. */
static Node *stepped_condition(Strip *s, Node *where)
{
    for (unsigned k = 0; k < s->n_residues; k++) {
        const Residue *r = &s->residues[k];
        Node *e = r->test->args[r->test->args[0]->op != N_MOD]->args[0], *zero = integer(s, 0);
        Node *rest = binary(s, N_OR, binary(s, N_NE, r->modulus, zero), binary(s, N_EQ, e, zero));
        NodeList all = {0};
        conjuncts(comp(s), where, &all);
        for (uint32_t j = 0; j < all.n; j++)
            if (all.at[j] == r->test) all.at[j] = rest;
        where = conjunction(comp(s), &all);
    }
    return where;
}

Node *strip_stream(Strip *s, Node *sum)
{
    if (!strip_recognise(s, sum)) BUG(comp(s), "a sum that did fit lanes does no more");
    s->key = strip_index(s->l, "key", integer(s, s->block));
    stage_terms(s);
    s->where = stepped_condition(s, s->where);
    strip_list(s);
    for (unsigned k = 0; k < s->n_terms; k++) start_term(s, &s->terms[k]);
    if (is_sparse(&s->terms[0]))
        strip_sparse(s);
    else
        strip_blocks(s);
    Node *value = finish_term(s, &s->terms[0]);
    for (unsigned k = 1; k < s->n_terms; k++) value = binary(s, N_ADD, value, finish_term(s, &s->terms[k]));
    return value;
}
