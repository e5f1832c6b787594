/* Ints that belong to one key, or to one lane, looked up once (see lower_strip.h): coordinates such as
 * `64 * chosen[r] + l` and labels such as `doc[b, j]` once for every block of keys, labels of queries once
 * for every strip.
 *
 * Requires: recognised terms. Ensures: listed coordinates lie inside their dimension, so that their reads
 * need no guard: a key that the guard would have stopped is hidden, for what is visible is in range; its
 * score is not used, and its factor may be any number, also NaN (is_tainted). Breaks: weights, factors and
 * the condition of the strip also use the variable `slot` now. */
#include <string.h>

#include "lower_strip.h"

typedef struct Listing {
    Strip *s;
    IndexSet known;  /* bound here, and the streamed variables */
    Node *evaluated; /* when what is being visited is evaluated for a visible key; NULL: not known */
    NodeMap done[2]; /* evaluated always or not */
    bool closed;     /* no more lists: what is not in one is looked up where it is used */
} Listing;

static bool is_streamed(const Strip *s, const Node *n)
{
    for (unsigned k = 0; k < s->sum->n_vars; k++)
        if (node_depends_on(n, s->sum->vars[k])) return true;
    return false;
}

static bool is_known(const Listing *g, const Node *n) { return set_within(n->free, &g->known); }

/* The same in all lanes. */
static bool is_of_key(const Listing *g, const Node *n)
{
    return n->type == TYPE_INT && is_streamed(g->s, n) && !varies(g->s, n) && is_known(g, n);
}

static bool is_of_lane(const Listing *g, const Node *n)
{
    return n->type == TYPE_INT && !is_streamed(g->s, n) && varies(g->s, n) && is_known(g, n);
}

/* Sums and differences of streamed indices cost no more than a list. */
static bool is_plain(const Strip *s, const Node *n)
{
    if (!is_streamed(s, n) || n->op == N_INDEX) return true;
    if (n->op != N_ADD && n->op != N_SUB && n->op != N_NEG) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!is_plain(s, n->args[k])) return false;
    return true;
}

static Node *clamped(Strip *s, Node *x, Node *extent)
{
    return binary(s, N_MAX, binary(s, N_MIN, x, binary(s, N_SUB, extent, integer(s, 1))), integer(s, 0));
}

static const List *find_list(const Strip *s, const Node *value)
{
    for (uint32_t k = 0; k < s->lists.n; k++)
        if (s->lists.at[k].value == value) return &s->lists.at[k];
    return NULL;
}

/* Shall the value have a list? */
static bool is_listed(const Listing *g, const Node *n)
{
    return is_of_key(g, n) && (!g->closed || find_list(g->s, n));
}

/* The element of a list, new or known. */
static Node *listed(Strip *s, Node *value)
{
    const List *found = find_list(s, value);
    if (!found) {
        Tensor *list = scratch_new(s->l, "list", integer(s, 0), 1, &s->key);
        PUSH(comp(s), &s->lists, (List){value, list});
        found = &s->lists.at[s->lists.n - 1];
    }
    return node_read(comp(s), found->tensor, (Node *[]){node_index(comp(s), s->slot)}, false);
}

/* A value of the lanes, computed before their loop. */
static Node *label(Strip *s, Node *n)
{
    Tensor *labels = scratch_new(s->l, "label", n, 1, &s->lane);
    Scope *here = strip_outside_open(s);
    Nest nest;
    dims_open(s->l, &nest, 1, &s->lane);
    store_at(s->l, labels, lower_value(s->l, n));
    nest_close(s->l, &nest);
    strip_outside_close(s, here);
    return read_at(s->l, labels);
}

/* ---- reads ---- */

static bool covers(const Node *x, const Tensor *t, unsigned k, Compilation *c)
{
    return x->op == N_INDEX && node_size(c, x->index) == node_size(c, t->dims[k]);
}

/* Can every coordinate be moved inside its dimension without touching what a visible key reads? */
static bool can_clamp(const Listing *g, const Node *n)
{
    if (!n->guarded || !g->evaluated) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!covers(n->args[k], n->tensor, k, comp(g->s)) &&
            (varies(g->s, n->args[k]) || !is_known(g, n->args[k])))
            return false;
    return true;
}

static Node *list_in(Listing *g, Node *n);

static Node *list_operand(Listing *g, Node *n, Node *evaluated)
{
    Node *around = g->evaluated;
    g->evaluated = evaluated;
    n = list_in(g, n);
    g->evaluated = around;
    return n;
}

/* Nothing is visible where a dimension that a visible key reads is empty. */
static void require_extent(Listing *g, Node *extent)
{
    Strip *s = g->s;
    Node *some = binary(s, N_LT, integer(s, 0), extent);
    Node *fine = binary(s, N_OR, node_unary(comp(s), N_NOT, g->evaluated), some);
    s->nonempty = binary(s, N_AND, s->nonempty, fine);
}

static Node *list_read(Listing *g, Node *n)
{
    Strip *s = g->s;
    Node **args = NEW_ARRAY(comp(s), Node *, n->n_args);
    bool clamp = can_clamp(g, n);
    for (unsigned k = 0; k < n->n_args; k++) {
        Node *x = n->args[k], *extent = node_size(comp(s), n->tensor->dims[k]);
        bool outside = clamp && !covers(x, n->tensor, k, comp(s));
        if (outside) x = clamped(s, x, extent);
        if (outside) require_extent(g, extent);
        args[k] = is_listed(g, x) && !is_plain(s, x) ? listed(s, x) : list_operand(g, x, NULL);
    }
    return node_read(comp(s), n->tensor, args, n->guarded && !clamp);
}

/* ---- everything else ---- */

/* When is the body of a reduction evaluated? */
static Node *evaluated_inside(Listing *g, const Node *n)
{
    Strip *s = g->s;
    Node *some = g->evaluated;
    for (unsigned k = 0; some && k < n->n_vars; k++) {
        Node *test = binary(s, N_LT, binder_lo(n, k), binder_hi(n, k));
        some = test->free == set_empty(comp(s)) ? binary(s, N_AND, some, test) : NULL;
    }
    return node_is_bool(binder_where(n), true) ? some : NULL;
}

static Node *list_operands(Listing *g, Node *n)
{
    Node **args = NEW_ARRAY(comp(g->s), Node *, n->n_args);
    bool lazy = n->op == N_IF || n->op == N_AND || n->op == N_OR;
    for (unsigned k = 0; k < n->n_args; k++) {
        bool body = n->op == N_REDUCE && n->args[k] == binder_body(n);
        Node *when = body ? evaluated_inside(g, n) : lazy && k > 0 ? NULL : g->evaluated;
        args[k] = list_operand(g, n->args[k], when);
    }
    return node_copy_with(comp(g->s), n, args);
}

static Node *list_in(Listing *g, Node *n)
{
    bool read = n->n_args > 0 && contains_op(comp(g->s), n, N_READ);
    if (!read) return n;
    NodeMap *done = g->evaluated && node_is_bool(g->evaluated, true) ? &g->done[1]
                    : g->evaluated                                   ? NULL
                                                                     : &g->done[0];
    Node *known = done ? map_get(done, n) : NULL;
    if (known) return known;
    if (is_listed(g, n))
        known = listed(g->s, n);
    else if (is_of_lane(g, n))
        known = label(g->s, n);
    else
        known = n->op == N_READ ? list_read(g, n) : list_operands(g, n);
    if (done) map_put(comp(g->s), done, n, known);
    return known;
}

void strip_list(Strip *s)
{
    Compilation *c = comp(s);
    Node *always = node_bool(c, true);
    Listing g = {.s = s, .known = set_of_vars(s->sum), .evaluated = always};
    for (const Scope *o = s->l->scope; o; o = o->outer) g.known = set_or(&g.known, &o->bound);
    s->slot = strip_index(s->l, "slot", integer(s, s->block));
    s->nonempty = always;
    memset(&s->lists, 0, sizeof s->lists);
    for (unsigned k = 0; k < s->n_terms; k++) {
        s->terms[k].weight = list_in(&g, s->terms[k].weight);
        if (s->terms[k].factor) s->terms[k].factor = list_in(&g, s->terms[k].factor);
    }
    g.evaluated = NULL;
    g.closed = s->sum->n_vars == 1; /* only partial blocks ask for the condition, and once; rows are cheap */
    s->shown = list_in(&g, s->where);
}
