/* Few queries: what scores and values read, copied into scratch (see lower_few_internal.h).
 * Requires: recognised terms. Ensures: sums of scores and factors read scratch alone where all that they read
 * is of a key or of none. Breaks: weights and factors also use the variable `place` now. */
#include "graph.h"
#include "lower_few_internal.h"

/* ---- what is staged ---- */

enum { MOST_INSIDE = 16 };
typedef struct Staging {
    Few *f;
    Index *inside[MOST_INSIDE]; /* variables of the sums around */
    unsigned n;
    bool factor;
    NodeMap staged;
} Staging;

static bool is_inside(const Staging *g, const Node *n)
{
    for (unsigned k = 0; k < g->n; k++)
        if (node_depends_on(n, g->inside[k])) return true;
    return false;
}

/* Everything that it reads is of the key. Heads differ in coordinates alone, which say when they share it. */
static bool is_of_key(const Few *f, const Node *n)
{
    if (n->op == N_READ) return node_depends_on(n, f->key);
    if (n->op == N_INDEX) return n->index != f->head;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!is_of_key(f, n->args[k])) return false;
    return true;
}

static Node *stage_part(Staging *g, FewParts *parts, Node *n, Index *first)
{
    Few *f = g->f;
    Index *dims[MOST_INSIDE + 1];
    unsigned n_dims = 0;
    dims[n_dims++] = first;
    for (unsigned k = 0; k < g->n; k++)
        if (node_depends_on(n, g->inside[k])) dims[n_dims++] = g->inside[k];
    Tensor *tile = scratch_new(f->l, first == f->place ? "row" : "query", n, n_dims, dims);
    PUSH(few_c(f), parts, (FewPart){n, tile, g->factor});
    Node **at = NEW_ARRAY(few_c(f), Node *, n_dims);
    for (unsigned k = 0; k < n_dims; k++) at[k] = node_index(few_c(f), dims[k]);
    return node_read(few_c(f), tile, at, false);
}

/* A row that lies in memory as sums want it. */
static bool is_row(const Staging *g, const Node *n)
{
    if (n->op != N_READ || n->guarded) return false;
    const Node *last = n->args[n->n_args - 1];
    for (unsigned k = 0; k + 1 < n->n_args; k++)
        if (is_inside(g, n->args[k])) return false;
    return last->op == N_INDEX && is_inside(g, last);
}

bool few_is_shared(const Few *f, const Node *read, unsigned k)
{
    return read->args[k]->op == N_INDEX && read->args[k]->index == f->head && read->tensor->dims[k]->heads;
}

/* As the leader reads it. */
static Node *of_leader(Few *f, Node *read)
{
    Node **at = NEW_ARRAY(few_c(f), Node *, read->n_args);
    for (unsigned k = 0; k < read->n_args; k++)
        at[k] = f->head && few_is_shared(f, read, k) ? node_index(few_c(f), f->leader) : read->args[k];
    return node_copy_with(few_c(f), read, at);
}

static Node *stage_in(Staging *g, Node *n);

static Node *stage_operands(Staging *g, Node *n)
{
    Node **args = NEW_ARRAY(few_c(g->f), Node *, n->n_args);
    unsigned around = g->n, body = n->op == N_REDUCE ? 2 * n->n_vars + 1u : n->n_args;
    for (unsigned k = 0; k < n->n_args; k++) {
        for (unsigned v = 0; k == body && v < n->n_vars && g->n < MOST_INSIDE; v++)
            g->inside[g->n++] = n->vars[v];
        args[k] = stage_in(g, n->args[k]);
        g->n = around;
    }
    return node_copy_with(few_c(g->f), n, args);
}

static Node *stage_in(Staging *g, Node *n)
{
    Few *f = g->f;
    if (n->n_args == 0) return n;
    Node *known = map_get(&g->staged, n);
    if (known) return known;
    bool fits = n->type == TYPE_REAL && is_inside(g, n) && !is_heavy(f->l, n);
    if (fits && node_depends_on(n, f->key) && is_row(g, n)) {
        PUSH(few_c(f), &f->direct, (FewPart){.value = n, .factor = g->factor});
        known = of_leader(f, n);
    } else if (fits && node_depends_on(n, f->key) && is_of_key(f, n))
        known = stage_part(g, &f->rows, n, f->place);
    else if (fits && !node_depends_on(n, f->key))
        known = stage_part(g, &f->queries, n, f->member);
    else
        known = stage_operands(g, n);
    map_put(few_c(f), &g->staged, n, known);
    return known;
}

/* A sum of a score, for every key at work. */
static Node *stage_sum(Few *f, Node *n)
{
    if (node_is_binder(n) && (node_depends_on(n, f->key) || node_depends_on(n, f->place))) {
        for (uint32_t k = 0; k < f->sums.n; k++)
            if (f->sums.at[k].value == n) return read_at(f->l, f->sums.at[k].tile);
        Tensor *tile = scratch_new(f->l, "sums", n, 2, (Index *[]){f->member, f->lane});
        PUSH(few_c(f), &f->sums, (FewPart){.value = n, .tile = tile});
        return read_at(f->l, tile);
    }
    if (n->n_args == 0 || !is_heavy(f->l, n)) return n;
    Node **args = NEW_ARRAY(few_c(f), Node *, n->n_args);
    for (unsigned k = 0; k < n->n_args; k++) args[k] = stage_sum(f, n->args[k]);
    return node_copy_with(few_c(f), n, args);
}

void few_stage(Few *f)
{
    for (unsigned k = 0; k < f->n_terms; k++) {
        FewTerm *t = &f->terms[k];
        Staging scores = {.f = f}, factors = {.f = f, .n = f->n_dims, .factor = true};
        for (unsigned d = 0; d < f->n_dims; d++) factors.inside[d] = f->dims[d];
        if (t->softmax) t->weight = simplify_assuming(few_c(f), t->weight, f->where);
        t->weight = stage_sum(f, stage_in(&scores, t->weight));
        t->factor = stage_in(&factors, t->factor);
    }
}

/* ---- copying ---- */

Node *few_at_place(Few *f, Node *n, Node *place)
{
    Index *from[] = {f->key, f->place};
    Node *to[] = {node_read(few_c(f), f->keys, &place, false), place};
    return few_bind(f, node_substitute(few_c(f), n, 2, from, to));
}

/* `tile` at [first, dims...] */
static void store_part(Few *f, const FewPart *p, Node *first, Node *value)
{
    Lower *l = f->l;
    Node **at = NEW_ARRAY(l->c, Node *, p->tile->n_dims);
    Nest nest;
    at[0] = first;
    for (unsigned k = 1; k < p->tile->n_dims; k++) at[k] = node_index(l->c, p->tile->dims[k]);
    dims_open(l, &nest, p->tile->n_dims - 1, p->tile->dims + 1);
    store(l, p->tile, at, lower_value(l, value));
    nest_close(l, &nest);
}

void few_store_queries(Few *f)
{
    for (uint32_t k = 0; k < f->queries.n; k++)
        store_part(f, &f->queries.at[k], few_member(f), f->queries.at[k].value);
}

/* May `n` differ between this head and the one before it? */
static Node *changes(Few *f, Node *n)
{
    Compilation *c = few_c(f);
    Node *any = node_bool(c, false);
    if (!f->head || !node_depends_on(n, f->head)) return any;
    if (n->op == N_INDEX || node_is_binder(n)) return node_bool(c, true);
    if (n->op != N_READ && n->type == TYPE_INT && set_within(n->free, &f->bound)) {
        Node *before = few_op(f, N_SUB, node_index(c, f->head), few_int(f, 1));
        return few_op(f, N_NE, n, node_substitute(c, n, 1, &f->head, &before));
    }
    for (unsigned k = 0; k < n->n_args; k++) {
        Node *x = n->args[k], *own = changes(f, x);
        if (n->op == N_READ && x->op == N_INDEX && x->index == f->head && n->tensor->dims[k]->heads) {
            Node *group = node_group(c, n->tensor);
            own = few_op(f, N_EQ, few_op(f, N_MOD, x, group), few_int(f, 0));
        }
        any = few_op(f, N_OR, any, own);
    }
    return any;
}

/* The rows of the listed keys, up to a whole number of those that are summed together. */
static void copy_rows(Few *f, const FewPart *p)
{
    Lower *l = f->l;
    Loop loop;
    Branch fresh;
    Node *some = few_op(f, N_OR, few_op(f, N_EQ, few_member(f), few_int(f, 0)), changes(f, p->value));
    if (f->own_list || !f->head || f->at >= 0) some = node_bool(l->c, true);
    branch_open(l, &fresh, lower_value(l, some));
    Node *by = few_int(f, FEW_AT_ONCE),
         *up = few_op(f, N_ADD, few_get(f, f->count), few_int(f, FEW_AT_ONCE - 1));
    Node *end = few_op(f, N_MUL, few_op(f, N_FLOORDIV, up, by), by), *place = node_index(l->c, f->place);
    loop_open(l, &loop, f->place, (Range){few_int(f, 0), end, NULL});
    store_part(f, p, place, few_at_place(f, p->value, place));
    loop_close(l, &loop);
    branch_close(l, &fresh);
}

void few_store_rows(Few *f, bool factors)
{
    for (uint32_t k = 0; k < f->rows.n; k++)
        if (f->rows.at[k].factor == factors) copy_rows(f, &f->rows.at[k]);
}

/* ---- what comes next ---- */

typedef struct Reads {
    Few *f;
    NodeList found;
} Reads;

static void collect_read(void *context, const Node *n)
{
    Reads *r = context;
    bool row = n->op == N_READ && n->type == TYPE_REAL && node_depends_on(n, r->f->key);
    if (row && n->tensor->n_dims > 1) PUSH(few_c(r->f), &r->found, (Node *)n);
}

NodeList few_reads(Few *f, bool factors)
{
    Reads rows = {.f = f};
    const FewParts *parts[] = {&f->rows, &f->direct};
    for (unsigned k = 0; k < 2; k++)
        for (uint32_t i = 0; i < parts[k]->n; i++)
            if (parts[k]->at[i].factor == factors)
                node_visit(few_c(f), parts[k]->at[i].value, collect_read, &rows);
    return rows.found;
}

Node *few_key(Few *f, Node *place, bool next)
{
    Node *key = node_read(few_c(f), f->keys, &place, false), *last = few_op(f, N_SUB, f->end, few_int(f, 1));
    return next ? few_op(f, N_MIN, few_op(f, N_ADD, key, few_int(f, FEW_KEYS)), last) : key;
}

void few_fetch(Few *f, const Node *row, Node *key, Node *from, Node *n)
{
    Lower *l = f->l;
    const Tensor *t = row->tensor;
    Node **at = NEW_ARRAY(l->c, Node *, t->n_dims);
    if (is_heavy(l, row)) return;
    row = node_substitute(l->c, (Node *)row, 1, &f->key, &key);
    for (unsigned k = 0; k + 1 < t->n_dims; k++) {
        if (!set_within(row->args[k]->free, &f->bound)) return;
        at[k] = lower_value(l, row->args[k]);
    }
    at[t->n_dims - 1] = from;
    prefetch(l, (Tensor *)t, at, false)->value = n;
}

void few_prefetch(Few *f, Node *from, bool factors)
{
    Lower *l = f->l;
    Loop loop;
    NodeList rows = few_reads(f, factors);
    Node *to = few_op(f, N_ADD, from, few_int(f, FEW_AT_ONCE));
    loop_open(l, &loop, f->place, (Range){from, few_op(f, N_MIN, to, few_get(f, f->count)), NULL});
    for (uint32_t k = 0; k < rows.n; k++) {
        const Tensor *t = rows.at[k]->tensor;
        few_fetch(f, rows.at[k], few_key(f, node_index(l->c, f->place), !factors), few_int(f, 0),
                  node_size(l->c, t->dims[t->n_dims - 1]));
    }
    loop_close(l, &loop);
}
