/* Weighted sums by online softmax (Milakov and Gimelshein 2018; Rabe and Staats 2021; Dao et al. 2022): one
 * pass over the streamed indices, with a running maximum, sum and accumulators that are rescaled when the
 * maximum grows. A sum that is linear in several softmaxes over the same elements (differential attention)
 * keeps one of each per softmax. */
#include "lower_internal.h"

#include <math.h>

typedef struct Term {
    Node *softmax, *factor;
    Local *max, *sum;
    Tensor *total;
    Local *scalar;
} Term;
typedef struct Online {
    Lower *l;
    Node *n, *where;
    Term terms[MOST_SOFTMAXES];
    unsigned count, n_dims;
    Index **dims;
} Online;

/* ---- recognising ---- */

/* The conjuncts of a condition that tell elements apart; the others hold for all or none. */
static Node *telling(Compilation *c, const Node *sum, Node *where)
{
    NodeList all = {0}, own = {0};
    IndexSet vars = set_of_vars(sum);
    conjuncts(c, where, &all);
    for (uint32_t k = 0; k < all.n; k++) {
        IndexSet used = set_and(&vars, all.at[k]->free);
        if (!set_is_empty(&used)) PUSH(c, &own, all.at[k]);
    }
    return conjunction(c, &own);
}

/* What leaves out the whole row of the softmax must leave it out of the sum. */
static bool implies_rest(Compilation *c, const Node *sum, Node *where)
{
    NodeList all = {0}, known = {0};
    IndexSet vars = set_of_vars(sum);
    conjuncts(c, where, &all);
    conjuncts(c, binder_where(sum), &known);
    for (uint32_t k = 0; k < all.n; k++) {
        IndexSet used = set_and(&vars, all.at[k]->free);
        bool found = !set_is_empty(&used);
        for (uint32_t i = 0; i < known.n; i++) found = found || known.at[i] == all.at[k];
        if (!found) return false;
    }
    return true;
}

static bool same_elements(Compilation *c, const Node *n, const Node *softmax)
{
    bool same = softmax->op == N_NORMALISE && softmax->n_vars == n->n_vars &&
                telling(c, n, binder_where(softmax)) == telling(c, n, binder_where(n)) &&
                implies_rest(c, n, binder_where(softmax));
    for (unsigned k = 0; same && k < n->n_vars; k++)
        same = softmax->vars[k] == n->vars[k] && binder_lo(softmax, k) == binder_lo(n, k) &&
               binder_hi(softmax, k) == binder_hi(n, k);
    return same;
}

static bool holds_softmax(const Node *n)
{
    if (n->op == N_NORMALISE) return true;
    for (unsigned k = 0; k < n->n_args && !node_is_binder(n); k++)
        if (holds_softmax(n->args[k])) return true;
    return false;
}

static bool add_softmax(Compilation *c, const Node *sum, Softmaxes *out, Node *softmax, Node *factor)
{
    if (!same_elements(c, sum, softmax)) return false;
    for (unsigned k = 0; k < out->n; k++) {
        if (out->softmax[k] != softmax) continue;
        out->factor[k] = node_binary(c, N_ADD, out->factor[k], factor);
        return true;
    }
    if (out->n == MOST_SOFTMAXES) return false;
    out->softmax[out->n] = softmax;
    out->factor[out->n++] = factor;
    return true;
}

/* Writes `e * factor` as a sum of softmaxes with factors; false if it is not linear in them. */
static bool split_terms(Compilation *c, const Node *sum, Softmaxes *out, Node *e, Node *factor)
{
    if (e->op == N_NORMALISE) return add_softmax(c, sum, out, e, factor);
    if (!holds_softmax(e)) return false;
    Node *a = e->args[0], *b = e->n_args > 1 ? e->args[1] : NULL;
    switch (e->op) {
    case N_ADD: return split_terms(c, sum, out, a, factor) && split_terms(c, sum, out, b, factor);
    case N_SUB:
        return split_terms(c, sum, out, a, factor) &&
               split_terms(c, sum, out, b, node_unary(c, N_NEG, factor));
    case N_NEG: return split_terms(c, sum, out, a, node_unary(c, N_NEG, factor));
    case N_MUL:
        if (!holds_softmax(a)) return split_terms(c, sum, out, b, node_binary(c, N_MUL, factor, a));
        return !holds_softmax(b) && split_terms(c, sum, out, a, node_binary(c, N_MUL, factor, b));
    case N_DIV: return !holds_softmax(b) && split_terms(c, sum, out, a, node_binary(c, N_DIV, factor, b));
    default: return false;
    }
}

bool find_softmaxes(Compilation *c, const Node *sum, Softmaxes *out)
{
    if (!find_normalisers(c, sum, out)) return false;
    for (unsigned k = 0; k < out->n; k++)
        if (out->softmax[k]->kind != NORMALISE_SOFTMAX) return false;
    return true;
}

bool find_normalisers(Compilation *c, const Node *sum, Softmaxes *out)
{
    *out = (Softmaxes){.any = holds_softmax(binder_body(sum))};
    return sum->kind == REDUCE_SUM && out->any && split_terms(c, sum, out, binder_body(sum), node_real(c, 1));
}

static bool depends_on_dims(const Online *o, const Node *n)
{
    for (unsigned k = 0; k < o->n_dims; k++)
        if (node_depends_on(n, o->dims[k])) return true;
    return false;
}

void split_product(Lower *l, Node *n, unsigned n_dims, Index *const *dims, Node **weight, Node **factor)
{
    bool own = false;
    for (unsigned k = 0; k < n_dims; k++) own |= node_depends_on(n, dims[k]);
    if (!own)
        *weight = node_binary(l->c, N_MUL, *weight, n);
    else if (n->op == N_MUL) {
        split_product(l, n->args[0], n_dims, dims, weight, factor);
        split_product(l, n->args[1], n_dims, dims, weight, factor);
    } else
        *factor = node_binary(l->c, N_MUL, *factor, n);
}

/* Scores and conditions must be shared by all accumulators. */
static bool recognise(Online *o)
{
    Softmaxes found;
    if (depends_on_dims(o, o->where) || !find_softmaxes(o->l->c, o->n, &found)) return false;
    o->count = found.n;
    for (unsigned k = 0; k < found.n; k++) {
        o->terms[k] = (Term){.softmax = found.softmax[k], .factor = found.factor[k]};
        if (depends_on_dims(o, found.softmax[k])) return false;
    }
    return true;
}

/* ---- emitting ---- */

static void start_term(Online *o, Term *t)
{
    Lower *l = o->l;
    Node *sink = binder_extra(t->softmax);
    t->max = local_new(l, "max", t->softmax);
    t->sum = local_new(l, "sum", t->softmax);
    set_local(l, t->max, sink ? lower_value(l, sink) : node_real(l->c, -INFINITY));
    set_local(l, t->sum, node_real(l->c, sink ? 1 : 0));
    if (o->n_dims == 0) {
        t->scalar = local_new(l, "total", o->n);
        set_local(l, t->scalar, node_real(l->c, 0));
    } else {
        t->total = scratch_new(l, "total", o->n, o->n_dims, o->dims);
        array_fill(l, t->total, node_real(l->c, 0));
    }
}

/* total = total * scale, or total + weight * factor. */
static void update_total(Online *o, Term *t, Node *scale, Node *weight)
{
    Lower *l = o->l;
    Compilation *c = l->c;
    Nest own;
    dims_open(l, &own, o->n_dims, o->dims);
    Node *old = t->total ? read_at(l, t->total) : local_get(l, t->scalar);
    Node *value = scale
                      ? node_binary(c, N_MUL, old, scale)
                      : node_binary(c, N_ADD, old, node_binary(c, N_MUL, weight, lower_value(l, t->factor)));
    if (t->total)
        store_at(l, t->total, value);
    else
        set_local(l, t->scalar, value);
    nest_close(l, &own);
}

static Node *exp_of_difference(Compilation *c, Node *a, Node *b)
{
    return node_unary(c, N_EXP_DOWN, node_binary(c, N_SUB, a, b));
}

/* A greater score: what was summed so far shrinks by exp(old maximum - new). */
static void raise_maximum(Online *o, Term *t, Node *score)
{
    Lower *l = o->l;
    Node *max = local_get(l, t->max), *sum = local_get(l, t->sum);
    Local *scale = local_new(l, "scale", t->softmax);
    Branch b;
    branch_open(l, &b, node_binary(l->c, N_LT, max, score));
    set_local(l, scale, exp_of_difference(l->c, max, score));
    set_local(l, t->sum, node_binary(l->c, N_MUL, sum, local_get(l, scale)));
    update_total(o, t, local_get(l, scale), NULL);
    set_local(l, t->max, score);
    branch_close(l, &b);
}

static void stream_term(Online *o, Term *t)
{
    Lower *l = o->l;
    Compilation *c = l->c;
    Local *score = local_new(l, "score", t->softmax), *weight = local_new(l, "weight", t->softmax);
    set_local(l, score, lower_value(l, simplify_assuming(c, binder_body(t->softmax), o->where)));
    Node *s = local_get(l, score);
    raise_maximum(o, t, s);
    Node *none = node_binary(c, N_EQ, s, node_real(c, -INFINITY));
    set_local(l, weight, node_if(c, none, node_real(c, 0), exp_of_difference(c, s, local_get(l, t->max))));
    set_local(l, t->sum, node_binary(c, N_ADD, local_get(l, t->sum), local_get(l, weight)));
    update_total(o, t, NULL, local_get(l, weight));
}

/* Of nothing, or of scores that are all -inf, the weights are 0. */
static Node *finish(Online *o)
{
    Compilation *c = o->l->c;
    Node *value = NULL;
    for (unsigned k = 0; k < o->count; k++) {
        const Term *t = &o->terms[k];
        Node *total = t->total ? read_at(o->l, t->total) : local_get(o->l, t->scalar),
             *sum = local_get(o->l, t->sum);
        Node *part =
            node_if(c, node_binary(c, N_EQ, sum, node_real(c, 0)), total, node_binary(c, N_DIV, total, sum));
        value = value ? node_binary(c, N_ADD, value, part) : part;
    }
    return value;
}

Node *lower_online(Lower *l, Node *n, unsigned n_dims, Index **dims)
{
    Online o = {.l = l, .n = n, .where = binder_where(n), .n_dims = n_dims, .dims = dims};
    if (!recognise(&o)) return NULL;
    for (unsigned k = 0; k < o.count; k++) start_term(&o, &o.terms[k]);
    Nest nest;
    nest_open(l, &nest, n, o.where);
    for (unsigned k = 0; k < o.count; k++) stream_term(&o, &o.terms[k]);
    nest_close(l, &nest);
    return finish(&o);
}
