/* Substitution and rewriting of expressions. Both visit a shared operand once.
 *
 * Ensures: no free variable of a replacement is captured: a binder of the same index is renamed to a variant
 * of it. */
#include "node_private.h"

/* ---- a map from nodes to nodes ---- */

static uint32_t memo_slot(const NodeMemo *m, const Node *key)
{
    uint32_t h = key->id * 2654435769u;
    while (m->keys[h & (m->capacity - 1)] && m->keys[h & (m->capacity - 1)] != key) h++;
    return h & (m->capacity - 1);
}

Node *node_memo_get(const NodeMemo *m, const Node *key) { return m->n ? m->values[memo_slot(m, key)] : NULL; }

void node_memo_put(Compilation *c, NodeMemo *m, const Node *key, Node *value)
{
    if (2 * (m->n + 1) > m->capacity) {
        NodeMemo old = *m;
        m->capacity = old.capacity ? 2 * old.capacity : 16;
        m->keys = NEW_ARRAY(c, const Node *, m->capacity);
        m->values = NEW_ARRAY(c, Node *, m->capacity);
        for (uint32_t k = 0; k < old.capacity; k++) {
            if (!old.keys[k]) continue;
            uint32_t slot = memo_slot(m, old.keys[k]);
            m->keys[slot] = old.keys[k];
            m->values[slot] = old.values[k];
        }
    }
    uint32_t slot = memo_slot(m, key);
    m->keys[slot] = key;
    m->values[slot] = value;
    m->n++;
}

/* ---- substitution ---- */

typedef struct Substitution {
    Compilation *c;
    unsigned count;
    Index **from;
    Node **to;
    IndexSet mask;          /* of from */
    const IndexSet *brings; /* free variables of to */
    NodeMemo memo;
    bool *failed;           /* not NULL: only a test */
} Substitution;

static Node *substitute(Substitution *s, Node *n);

static Substitution substitution(Compilation *c, unsigned capacity)
{
    return (Substitution){.c = c,
                          .from = NEW_ARRAY(c, Index *, capacity + 1),
                          .to = NEW_ARRAY(c, Node *, capacity + 1),
                          .brings = set_empty(c)};
}

static void add_pair(Substitution *s, Index *from, Node *to)
{
    if (to->op == N_INDEX && to->index == from) return;
    s->from[s->count] = from;
    s->to[s->count++] = to;
    set_add(&s->mask, from->id);
    s->brings = set_union(s->c, s->brings, to->free);
}

static Node *replacement(const Substitution *s, const Index *index)
{
    for (unsigned k = 0; k < s->count; k++)
        if (s->from[k] == index) return s->to[k];
    return NULL;
}

static bool is_bound(const Node *n, const Index *index)
{
    for (unsigned k = 0; k < n->n_vars; k++)
        if (n->vars[k] == index) return true;
    return false;
}

static void cannot(Substitution *s, const Node *n)
{
    if (!s->failed) BUG(s->c, "%s has no value at another coordinate", op_name(n->op));
    *s->failed = true;
}

/* What variable k of binder n becomes; pairs for the inside are added to `inner`. */
static Index *binder_variable(Substitution *s, Substitution *inner, Node *n, unsigned k,
                              const IndexSet *inside)
{
    Index *var = n->vars[k];
    Node *to = node_keeps_position(n) ? replacement(s, var) : NULL;
    if (to) {
        bool renames =
            to->op == N_INDEX && !set_has(inside, to->index->id) && !set_has(inner->brings, to->index->id);
        if (!renames) cannot(s, n);
        else add_pair(inner, var, to);
        return renames ? to->index : var;
    }
    if (!set_has(inner->brings, var->id)) return var;
    if (node_keeps_position(n)) {
        cannot(s, n);
        return var;
    }
    IndexSet avoid = *set_union(s->c, inside, inner->brings);
    for (unsigned m = 0; m < n->n_vars; m++) set_add(&avoid, n->vars[m]->id);
    Index *fresh = index_variant(s->c, var, &avoid);
    add_pair(inner, var, node_index(s->c, fresh));
    return fresh;
}

static Node *substitute_binder(Substitution *s, Node *n)
{
    Compilation *c = s->c;
    Node **args = NEW_ARRAY(c, Node *, n->n_args);
    unsigned bounds = 2u * n->n_vars;
    for (unsigned k = 0; k < n->n_args; k++)
        args[k] = k == bounds || k == bounds + 1 ? n->args[k] : substitute(s, n->args[k]);
    const IndexSet *inside = set_union(c, binder_where(n)->free, binder_body(n)->free);
    Substitution inner = substitution(c, s->count + n->n_vars);
    inner.failed = s->failed;
    for (unsigned k = 0; k < s->count; k++)
        if (!is_bound(n, s->from[k]) && set_has(inside, s->from[k]->id))
            add_pair(&inner, s->from[k], s->to[k]);
    Index **vars = NEW_ARRAY(c, Index *, n->n_vars + 1);
    for (unsigned k = 0; k < n->n_vars; k++) vars[k] = binder_variable(s, &inner, n, k, inside);
    args[bounds] = substitute(&inner, binder_where(n));
    args[bounds + 1] = substitute(&inner, binder_body(n));
    Node key = *n;
    key.args = args;
    key.vars = vars;
    key.data = false;
    return node_make(c, &key);
}

static Node *substitute(Substitution *s, Node *n)
{
    if (!set_meets(n->free, &s->mask)) return n;
    if (n->op == N_INDEX) return replacement(s, n->index);
    Node *known = node_memo_get(&s->memo, n);
    if (known) return known;
    Node *result;
    Span span = node_set_span(s->c, n->span);
    if (node_is_binder(n)) {
        result = substitute_binder(s, n);
    } else {
        Node **args = NEW_ARRAY(s->c, Node *, n->n_args + 1);
        for (unsigned k = 0; k < n->n_args; k++) args[k] = substitute(s, n->args[k]);
        result = node_copy_with(s->c, n, args);
    }
    node_set_span(s->c, span);
    node_memo_put(s->c, &s->memo, n, result);
    return result;
}

static Node *run(Compilation *c, Node *n, unsigned count, Index *const *from, Node *const *to, bool *failed)
{
    Substitution s = substitution(c, count);
    s.failed = failed;
    for (unsigned k = 0; k < count; k++) add_pair(&s, from[k], to[k]);
    return s.count ? substitute(&s, n) : n;
}

Node *node_substitute(Compilation *c, Node *n, unsigned count, Index *const *from, Node *const *to)
{
    return run(c, n, count, from, to, NULL);
}

bool node_substitutable(Compilation *c, const Node *n, unsigned count, Index *const *from, Node *const *to)
{
    bool failed = false;
    if (n->has_binder) run(c, (Node *)(uintptr_t)n, count, from, to, &failed);
    return !failed;
}

/* ---- rewriting ---- */

typedef struct Rewriter { Compilation *c; NodeRewrite *f; void *context; NodeMemo memo; } Rewriter;

static Node *rewrite(Rewriter *r, Node *n)
{
    Node *known = node_memo_get(&r->memo, n);
    if (known) return known;
    bool changed = false;
    Node **args = NEW_ARRAY(r->c, Node *, n->n_args + 1);
    for (unsigned k = 0; k < n->n_args; k++) {
        args[k] = rewrite(r, n->args[k]);
        changed |= args[k] != n->args[k];
    }
    Span span = node_set_span(r->c, n->span);
    Node *result = r->f(r->context, r->c, changed ? node_copy_with(r->c, n, args) : n);
    node_set_span(r->c, span);
    node_memo_put(r->c, &r->memo, n, result);
    return result;
}

Node *node_rewrite(Compilation *c, Node *n, NodeRewrite *f, void *context)
{
    Rewriter r = {.c = c, .f = f, .context = context};
    return rewrite(&r, n);
}

static Node *note_binder(void *context, Compilation *c, Node *n)
{
    (void)c;
    if (node_is_binder(n)) *(bool *)context = true;
    return n;
}

bool node_has_binder(Compilation *c, const Node *n)
{
    bool found = false;
    if (n->has_binder) node_rewrite(c, (Node *)(uintptr_t)n, note_binder, &found);
    return found;
}
