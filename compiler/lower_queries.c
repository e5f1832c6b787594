/* Pairwise stages with queries in vector lanes: which queries the lanes hold (see lower_queries.h).
 *
 * Requires: the sums of a pairwise stage. Ensures: every query is in a strip; lanes beyond the last query
 * repeat it. Breaks: nothing. */
#include "lower_queries.h"

#include "graph.h"

/* ---- indices ---- */

unsigned strip_outer_dims(const Tensor *t, const IndexSet *inner, Index **dims)
{
    unsigned n = 0;
    for (unsigned k = 0; k < t->n_dims; k++)
        if (!set_has(inner, t->dims[k]->id)) dims[n++] = t->dims[k];
    return n;
}

/* Does a condition over several streamed indices tell positions of this index apart? Then lanes spread along
 * it. */
static bool is_spatial(const Strips *t, const Index *index)
{
    for (uint32_t k = 0; k < t->sums.n; k++)
        if (t->sums.at[k]->n_vars < 2 || !node_depends_on(binder_where(t->sums.at[k]), index)) return false;
    return t->sums.n > 0;
}

/* The last outer index holds the lanes, or up to three spatial ones in boxes such as 8 x 4 and 4 x 2 x 4: of
 * cubes, two along the first index, for either half of the lanes may see keys that the other does not. */
bool queries_choose(Strips *t)
{
    Index *outer[MAX_INDICES];
    unsigned n = strip_outer_dims(t->stage->equation->tensor, &t->inner, outer), lanes = t->s.n_lanes;
    if (n == 0 || outer[n - 1]->ambient) return false;
    t->n = 1;
    while (t->n < MOST_QUERIES && t->n < n && !outer[n - 1 - t->n]->ambient &&
           is_spatial(t, outer[n - 1 - t->n]))
        t->n++;
    for (unsigned k = 0; k < t->n; k++) t->queries[k] = (Query){.index = outer[n - t->n + k], .lanes = 1};
    for (unsigned turn = 0; lanes > 1; turn++, lanes /= 2) /* the first, the last, those between */
        t->queries[(t->n - turn % t->n) % t->n].lanes *= 2;
    return true;
}

/* ---- residues ---- */

/* e as `sign * index + rest`; 0: it is not. */
static int linear_in(Compilation *c, const Node *e, const Index *index, Node **rest)
{
    if (e->op == N_INDEX && e->index == index) {
        *rest = node_int(c, 0);
        return 1;
    }
    if (e->op != N_ADD && e->op != N_SUB) return 0;
    bool left = node_depends_on(e->args[0], index), right = node_depends_on(e->args[1], index);
    if (left == right) return 0;
    int sign = linear_in(c, e->args[right], index, rest);
    if (!sign) return 0;
    if (left)
        *rest = node_binary(c, e->op, *rest, e->args[1]);
    else if (e->op == N_ADD)
        *rest = node_binary(c, N_ADD, e->args[0], *rest);
    else {
        *rest = node_binary(c, N_SUB, e->args[0], *rest);
        return -sign;
    }
    return sign;
}

/* `(query - key + ...) % modulus == 0`, either way round. */
static bool match_residue(Strip *s, Node *test, Index *query, Index *key, Residue *r)
{
    if (test->op != N_EQ) return false;
    Node *mod = test->args[test->args[0]->op != N_MOD], *zero = test->args[test->args[0]->op == N_MOD], *rest;
    if (mod->op != N_MOD || !node_is_int(zero, 0) || mod->args[1]->free != set_empty(comp(s))) return false;
    int of_query = linear_in(comp(s), mod->args[0], query, &rest),
        of_key = linear_in(comp(s), mod->args[0], key, &rest);
    if (of_query * of_key != -1) return false;
    if (of_key > 0) rest = node_unary(comp(s), N_NEG, rest);
    *r = (Residue){query, key, test, mod->args[1], rest};
    return true;
}

static void find_residue(Strips *t, Query *q)
{
    Strip *s = &t->s;
    const Node *sum = t->sums.at[0];
    NodeList tests = {0};
    conjuncts(comp(s), binder_where(sum), &tests);
    for (uint32_t k = 0; k < tests.n && !q->residue; k++)
        for (unsigned v = 0; v < sum->n_vars && !q->residue; v++)
            if (match_residue(s, tests.at[k], q->index, sum->vars[v], &s->residues[s->n_residues]))
                q->residue = &s->residues[s->n_residues++];
}

/* ---- tiles ---- */

/* This query's part of the lane number. */
static Node *lane_of(const Strips *t, unsigned number)
{
    Strip *s = (Strip *)&t->s;
    Node *lane = node_index(comp(s), s->lane);
    int64_t below = 1;
    for (unsigned k = number + 1; k < t->n; k++) below *= t->queries[k].lanes;
    if (below > 1) lane = binary(s, N_FLOORDIV, lane, integer(s, below));
    return number ? binary(s, N_MOD, lane, integer(s, t->queries[number].lanes)) : lane;
}

/* Positions class + modulus * cell: all of one residue class; without a residue the class is 0 and the
 * modulus 1. */
static void place_query(Strips *t, unsigned number)
{
    Strip *s = &t->s;
    Query *q = &t->queries[number];
    Node *size = node_size(comp(s), q->index), *one = integer(s, 1), *modulus = one, *class = integer(s, 0);
    if (q->residue) {
        modulus = binary(s, N_MAX, node_unary(comp(s), N_ABS, q->residue->modulus), one);
        modulus = binary(s, N_MIN, modulus, binary(s, N_MAX, size, one));
    }
    Node *lanes = integer(s, q->lanes), *tiles = round_up(s, round_up(s, size, modulus), lanes);
    q->tile = strip_index(s->l, "strip", binary(s, N_MUL, modulus, tiles));
    Node *tile = node_index(comp(s), q->tile);
    if (q->residue) {
        class = binary(s, N_FLOORDIV, tile, tiles);
        tile = binary(s, N_MOD, tile, tiles);
    }
    Node *last = binary(s, N_SUB, size, one);
    if (q->residue) last = binary(s, N_FLOORDIV, binary(s, N_SUB, last, class), modulus);
    Node *cell = binary(s, N_ADD, binary(s, N_MUL, tile, lanes), lane_of(t, number));
    q->own = binary(s, N_LE, cell, last);
    cell = binary(s, N_MIN, cell, last);
    q->at = binary(s, N_ADD, class, binary(s, N_MUL, modulus, cell));
    q->exists =
        node_bool(comp(s), true); /* classes differ in size by one: the last tile of one may be empty */
    if (q->residue) q->exists = binary(s, N_LE, binary(s, N_MUL, tile, lanes), last);
}

/* Strips in the order of labels, where the only condition over pairs asks that they be equal. */
static bool order_query(Strips *t)
{
    Index *outer[MAX_INDICES];
    unsigned n = strip_outer_dims(t->stage->equation->tensor, &t->inner, outer);
    Query *q = &t->queries[0];
    Strip *s = &t->s;
    Bucket *b = &t->bucket;
    if (t->n > 1 || t->sums.n > 1 || q->residue ||
        !bucket_find(s->l, t->sums.at[0], q->index, n - 1, outer, b))
        return false;
    q->tile = strip_index(s->l, "strip", bucket_strips(b));
    Node *strip = node_index(comp(s), q->tile), *lane = node_index(comp(s), s->lane);
    Node *count = bucket_read(b, b->count, strip, NULL);
    q->own = binary(s, N_LT, lane, count);
    q->at = bucket_read(b, b->at, strip, lane);
    q->exists = binary(s, N_LT, integer(s, 0), count);
    return true;
}

/* `query // D` where D is a multiple of the lanes: the same for all of them, for tiles begin at multiples. */
static const Query *uniform_quotient(const Strips *t, const Node *n)
{
    if (n->op != N_FLOORDIV || n->args[0]->op != N_INDEX || n->args[1]->op != N_INT) return NULL;
    for (unsigned k = 0; k < t->n; k++) {
        const Query *q = &t->queries[k];
        if (n->args[0]->index == q->index && !q->residue && !t->ordered && n->args[1]->integer > 0 &&
            n->args[1]->integer % q->lanes == 0)
            return q;
    }
    return NULL;
}

typedef struct Quotients {
    const Strips *t;
    NodeList found;
} Quotients;

static void collect_quotient(void *context, const Node *n)
{
    Quotients *q = context;
    if (uniform_quotient(q->t, n)) PUSH(q->t->s.l->c, &q->found, (Node *)n);
}

static Node *with_uniform_quotients(Strips *t, Node *body)
{
    Compilation *c = comp(&t->s);
    Quotients q = {.t = t};
    node_visit(c, body, collect_quotient, &q);
    for (uint32_t k = 0; k < q.found.n; k++) {
        Node *n = q.found.at[k], *zero = integer(&t->s, 0);
        Node *first = node_substitute(c, uniform_quotient(t, n)->at, 1, &t->s.lane, &zero);
        body = node_replace(c, body, n, node_binary(c, N_FLOORDIV, first, n->args[1]));
    }
    return body;
}

bool queries_place(Strips *t)
{
    Strip *s = &t->s;
    Compilation *c = comp(s);
    Node *body = t->stage->equation->body, *first = integer(s, 0);
    Index *from[MOST_QUERIES];
    Node *to[MOST_QUERIES];
    s->lane = strip_index(s->l, "lane", integer(s, s->n_lanes));
    s->lanes = (Box){.n = 1};
    s->lanes.sides[0] = (BoxSide){s->lane, first, integer(s, s->n_lanes)};
    for (unsigned k = 0; k < t->n; k++) {
        find_residue(t, &t->queries[k]);
        t->ordered = order_query(t);
        if (!t->ordered) place_query(t, k);
        s->tile = t->queries[k].tile;
        from[k] = t->queries[k].index;
        to[k] = t->queries[k].at;
    }
    body = with_uniform_quotients(t, body);
    if (t->ordered) body = bucket_body(&t->bucket, body, node_index(c, s->tile), node_index(c, s->lane));
    if (!node_substitutable(c, body, t->n, from, to)) return false;
    t->body = node_substitute(c, body, t->n, from, to);
    for (unsigned k = 0; k < s->n_residues; k++) { /* a whole class has one target: that of its first lane */
        Residue *r = &s->residues[k];
        r->test = node_substitute(c, r->test, t->n, from, to);
        r->target = node_substitute(c, r->target, t->n, from, to);
        r->target = node_substitute(c, r->target, 1, &s->lane, &first);
    }
    return true;
}

bool queries_in_blocks(Strips *t)
{
    Quotients q = {.t = t};
    if (!queries_choose(t)) return false;
    node_visit(comp(&t->s), t->stage->equation->body, collect_quotient, &q);
    for (unsigned k = 0; k < t->n; k++) {
        bool found = false;
        for (uint32_t i = 0; i < q.found.n; i++)
            found |= q.found.at[i]->args[0]->index == t->queries[k].index;
        if (!found) return false;
    }
    return true;
}
