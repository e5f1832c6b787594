/* Subscript safety: every read is proved to be in range for the elements that exist, or made so by a
 * condition that is checked when tensors are bound; else it is an error.
 *
 * Requires: pattern->equations in order. Equations are visited from the outputs down; each collects the
 * contexts of its readers (what holds where it is read, in terms of its own coordinates), so that a condition
 * around a read is known in the equation that is read. Ensures: READ nodes that need conditions around them
 * are `guarded`, the same way everywhere. */
#include "check_facts.h"

enum { CONTEXTS_MAX = 16 };

typedef VEC(Node *) Facts;
typedef struct Contexts { VEC(Facts) list; } Contexts;

typedef struct Safety {
    Checker *k;
    Contexts *of;          /* by Tensor.id */
    const Facts *context;  /* at hand; NULL: none. Its facts come first in a scope */
    uint32_t declared;     /* conditions before any read was proved */
    const Tensor *reader;  /* the equation at hand */
    NodeMemo guarded;      /* READ nodes that need their conditions */
    NodeMemo reported;
    NodeMemo rebuilt;
    NodeMemo loose;        /* nodes that hold a guarded read, of other equations too */
    bool *loose_tensor;    /* by Tensor.id */
} Safety;

/* ---- contexts ---- */

static bool has_fact(const Facts *f, const Node *n)
{
    for (uint32_t k = 0; k < f->n; k++)
        if (f->at[k] == n) return true;
    return false;
}

static bool same_facts(const Facts *a, const Facts *b)
{
    if (a->n != b->n) return false;
    for (uint32_t k = 0; k < a->n; k++)
        if (!has_fact(b, a->at[k])) return false;
    return true;
}

/* What two contexts share. */
static void intersect(Facts *a, const Facts *b)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < a->n; k++)
        if (has_fact(b, a->at[k])) a->at[kept++] = a->at[k];
    a->n = kept;
}

static void add_context(Safety *s, Contexts *to, Facts facts)
{
    for (uint32_t k = 0; k < to->list.n; k++)
        if (same_facts(&to->list.at[k], &facts)) return;
    if (to->list.n < CONTEXTS_MAX) {
        PUSH(s->k->c, &to->list, facts);
        return;
    }
    for (uint32_t k = 1; k < to->list.n; k++) intersect(&to->list.at[0], &to->list.at[k]);
    to->list.n = 1;
    intersect(&to->list.at[0], &facts);
}

typedef struct Renaming { Compilation *c; unsigned count; Index **from; Node **to; IndexSet taken; } Renaming;

static bool is_mapped(const Renaming *r, const Index *v)
{
    for (unsigned k = 0; k < r->count; k++)
        if (r->from[k] == v) return true;
    return false;
}

static void rename_to(Renaming *r, Index *v, Node *to)
{
    r->from[r->count] = v;
    r->to[r->count++] = to;
}

/* Variables of the reader that are no coordinate of what it reads stay as unknowns under another name. */
static void rename_rest(Safety *s, Renaming *r, const Node *n)
{
    for (unsigned id = 0; id < s->k->c->next_index; id++) {
        if (!set_has(n->free, id) || !set_has(&r->taken, id)) continue;
        Index *v = s->k->info[id].self;
        if (!v || is_mapped(r, v)) continue;
        Index *other = index_variant(r->c, v, &r->taken);
        s->k->info[other->id].self = other;
        set_add(&r->taken, other->id);
        rename_to(r, v, node_index(r->c, other));
    }
}

static void add_renamed(Safety *s, Renaming *r, ProveScope *out, Node *fact)
{
    rename_rest(s, r, fact);
    if (node_substitutable(r->c, fact, r->count, r->from, r->to))
        fact_add(r->c, out, node_substitute(r->c, fact, r->count, r->from, r->to));
}

static void range_facts(Safety *s, Renaming *r, ProveScope *out, const ProveRange *range)
{
    Compilation *c = r->c;
    Node *v = node_index(c, range->index);
    if (!node_is_int(range->lo, 0)) add_renamed(s, r, out, node_binary(c, N_LE, range->lo, v));
    if (range->hi != node_size(c, range->index)) add_renamed(s, r, out, node_binary(c, N_LT, v, range->hi));
}

/* What holds at this read, over the coordinates of the equation that is read. */
static Facts context_of(Safety *s, const FactWalk *w, const Node *read)
{
    Compilation *c = s->k->c;
    const Tensor *t = read->tensor;
    Index *from[MAX_INDICES];
    Node *to[MAX_INDICES];
    Renaming r = {.c = c, .from = from, .to = to};
    for (unsigned d = 0; d < t->n_dims; d++) set_add(&r.taken, t->dims[d]->id);
    for (unsigned d = 0; d < t->n_dims; d++)
        if (read->args[d]->op == N_INDEX && !is_mapped(&r, read->args[d]->index))
            rename_to(&r, read->args[d]->index, node_index(c, t->dims[d]));
    ProveScope out = {0};
    for (unsigned d = 0; d < t->n_dims; d++) {
        bool plain = read->args[d]->op == N_INDEX;
        Node *now = node_index(c, t->dims[d]);
        if (!plain) {
            rename_rest(s, &r, read->args[d]);
            if (!node_substitutable(c, read->args[d], r.count, r.from, r.to)) continue;
            fact_add(c, &out,
                     node_binary(c, N_EQ, now, node_substitute(c, read->args[d], r.count, r.from, r.to)));
        }
    }
    for (uint32_t k = 0; k < w->scope.ranges.n; k++) range_facts(s, &r, &out, &w->scope.ranges.at[k]);
    for (uint32_t k = 0; k < w->scope.facts.n; k++) add_renamed(s, &r, &out, w->scope.facts.at[k]);
    Facts facts = {0};
    for (uint32_t k = 0; k < out.facts.n; k++) PUSH(c, &facts, out.facts.at[k]);
    return facts;
}

/* ---- one read ---- */

static const char *node_text(Compilation *c, const Node *n)
{
    Text text = {.c = c};
    node_print_short(&text, n);
    return text.at;
}

static bool trivially_inside(const FactWalk *w, const Node *at, const Node *extent)
{
    Compilation *c = w->k->c;
    if (at->op != N_INDEX || node_size(c, at->index) != extent) return false;
    for (uint32_t k = 0; k < w->scope.ranges.n; k++)
        if (w->scope.ranges.at[k].index == at->index)
            return node_is_int(w->scope.ranges.at[k].lo, 0) && w->scope.ranges.at[k].hi == extent;
    return true;
}

static void out_of_range(Safety *s, const Node *read, unsigned d, const Proof *p)
{
    Compilation *c = s->k->c;
    if (node_memo_get(&s->reported, read)) return;
    node_memo_put(c, &s->reported, read, (Node *)(uintptr_t)read);
    const Index *dim = read->tensor->dims[d];
    const char *extent = node_text(c, node_size(c, (Index *)(uintptr_t)dim));
    const char *at = node_text(c, read->args[d]);
    Diag *g = report(
        c, E201, read->span,
        "subscript `%s` of `%s` may leave its range: index `%s` needs `%s` in 0 .. %s - 1, and %s",
        dim->name, read->tensor->name, dim->name, at, extent, p->range);
    diag_hint(c, g, "%s", p->hint);
}

/* For `attnc explain`: once for an equation that is proved under several conditions in the same way. */
static void note_subscript(Safety *s, const Node *read, unsigned d, const Proof *p, bool guard)
{
    Pattern *pattern = s->k->pattern;
    Subscript new = {s->reader, read->tensor, d, read->args[d], p->rule, p->used, p->condition, guard,
                     read->span};
    if (p->result == NOT_PROVED) return;
    for (uint32_t n = pattern->subscripts.n, most = 64; n-- > 0 && most-- > 0;) {
        const Subscript *old = &pattern->subscripts.at[n];
        bool same = old->reader == s->reader && old->tensor == new.tensor && old->dim == d;
        if (same && old->at == new.at && old->guarded == guard) return;
    }
    PUSH(s->k->c, &pattern->subscripts, new);
}

static void apply(Safety *s, Node *read, unsigned d, const Proof *p)
{
    Checker *k = s->k;
    Compilation *c = k->c;
    bool guard = p->result == PROVED_BY_FACTS || (p->result == PROVED_IF && p->used_facts);
    if (p->result == NOT_PROVED) out_of_range(s, read, d, p);
    if (p->result == PROVED_IF)
        add_condition(k, p->condition, read->span, E201, "subscript `%s` of `%s` must stay in range",
                      read->tensor->dims[d]->name, read->tensor->name);
    if (guard && !node_memo_get(&s->guarded, read)) node_memo_put(c, &s->guarded, read, read);
    note_subscript(s, read, d, p, guard);
}

/* Without any condition, else with all of them, else with those of the equation itself: a prover of bounded
 * effort may lose its way among many. */
static Proof prove_with_facts(Compilation *c, ProveScope scope, uint32_t own, Node *at, Node *extent)
{
    uint32_t n = scope.facts.n;
    scope.facts.n = 0;
    Proof plain = prove_in_range(c, &scope, at, extent);
    if (plain.result == PROVED || n == 0) return plain;
    scope.facts.n = n;
    Proof all = prove_in_range(c, &scope, at, extent);
    if (all.result != NOT_PROVED) return all;
    if (plain.result != NOT_PROVED) return plain;
    if (own == 0 || own >= n) return all;
    scope.facts.at += own;
    scope.facts.n = n - own;
    Proof path = prove_in_range(c, &scope, at, extent);
    return path.result == NOT_PROVED ? all : path;
}

static bool known(const ProveScope *scope, const Node *n)
{
    for (uint32_t k = 0; k < scope->facts.n; k++)
        if (scope->facts.at[k] == n) return true;
    return node_is_bool(n, true);
}

/* The range itself is a condition around the read: that of `pad`, or one written out. */
static bool stated(Compilation *c, const ProveScope *scope, Node *at, Node *extent)
{
    return scope->facts.n && known(scope, node_binary(c, N_LE, node_int(c, 0), at)) &&
           known(scope, node_binary(c, N_LT, at, extent));
}

/* Conditions that came from other reads are tried last. */
static Proof prove_read(Safety *s, const FactWalk *w, Node *at, Node *extent)
{
    Compilation *c = s->k->c;
    ProveScope scope = w->scope;
    if (stated(c, &scope, at, extent)) return (Proof){.result = PROVED_BY_FACTS, .used_facts = true};
    scope.conditions = fact_scope(s->k).conditions;
    uint32_t all = scope.conditions.n, own = s->context ? s->context->n : 0;
    scope.conditions.n = s->declared;
    Proof p = prove_with_facts(c, scope, own, at, extent);
    if (p.result != NOT_PROVED) return p;
    scope.conditions.n = all;
    return all > s->declared ? prove_with_facts(c, scope, own, at, extent) : p;
}

static void check_read(FactWalk *w, Node *read)
{
    Safety *s = w->context;
    Checker *k = s->k;
    const Tensor *t = read->tensor;
    for (unsigned d = 0; d < t->n_dims; d++) {
        Node *extent = node_size(k->c, t->dims[d]);
        if (trivially_inside(w, read->args[d], extent)) {
            k->pattern->plain_subscripts++;
            continue;
        }
        Proof p = prove_read(s, w, read->args[d], extent);
        apply(s, read, d, &p);
    }
    if (t->body && !t->group) add_context(s, &s->of[t->id], context_of(s, w, read));
}

/* ---- equations ---- */

static void check_under(Safety *s, Tensor *t, const Facts *facts)
{
    Checker *k = s->k;
    NodeMemo seen = {0};
    FactWalk w = {.k = k, .scope = fact_scope(k), .read = check_read, .context = s, .seen = &seen};
    for (unsigned d = 0; d < t->n_dims; d++) /* the element at hand exists */
        PUSH(k->c, &w.scope.ranges, (ProveRange){t->dims[d], node_int(k->c, 0), node_size(k->c, t->dims[d])});
    for (uint32_t n = 0; facts && n < facts->n; n++) PUSH(k->c, &w.scope.facts, facts->at[n]);
    s->context = facts;
    fact_walk(&w, t->body);
}

/* A guarded read out of range is 0, whatever range its tensor promises: what is read at such a value needs a guard
 * of its own. */
static bool is_loose(Safety *s, Node *n)
{
    if (n->op == N_READ && (n->guarded || s->loose_tensor[n->tensor->id])) return true;
    if (n->n_args == 0) return false;
    Node *known = node_memo_get(&s->loose, n);
    if (known) return node_is_bool(known, true);
    bool loose = false;
    for (unsigned k = 0; k < n->n_args && !loose; k++) loose = is_loose(s, n->args[k]);
    node_memo_put(s->k->c, &s->loose, n, node_bool(s->k->c, loose));
    return loose;
}

static bool reads_loosely(Safety *s, const Node *read)
{
    for (unsigned k = 0; k < read->n_args; k++)
        if (is_loose(s, read->args[k])) return true;
    return false;
}

static Node *guard_reads(Safety *s, Node *n)
{
    Compilation *c = s->k->c;
    if (n->n_args == 0) return n;
    Node *known = node_memo_get(&s->rebuilt, n);
    if (known) return known;
    Node **args = NEW_ARRAY(c, Node *, n->n_args);
    bool changed = false;
    for (unsigned k = 0; k < n->n_args; k++) {
        args[k] = guard_reads(s, n->args[k]);
        changed |= args[k] != n->args[k];
    }
    Span span = node_set_span(c, n->span);
    Node *result = n;
    if (n->op == N_READ && node_memo_get(&s->guarded, n)) result = node_read(c, n->tensor, args, true);
    else if (changed) result = node_copy_with(c, n, args);
    if (result->op == N_READ && !result->guarded && reads_loosely(s, result))
        result = node_read(c, n->tensor, result->args, true);
    node_set_span(c, span);
    node_memo_put(c, &s->rebuilt, n, result);
    return result;
}

void check_safety(Checker *k)
{
    Pattern *p = k->pattern;
    Safety s = {.k = k, .of = NEW_ARRAY(k->c, Contexts, k->c->next_tensor + 1),
                .declared = p->conditions.n};
    for (uint32_t n = p->equations.n; n-- > 0;) {
        Tensor *t = p->equations.at[n];
        const Contexts *known = &s.of[t->id];
        s.reader = t;
        bool everywhere = t->role == ROLE_OUTPUT || t->group || known->list.n == 0;
        if (everywhere) check_under(&s, t, NULL);
        for (uint32_t m = 0; !everywhere && m < known->list.n; m++) check_under(&s, t, &known->list.at[m]);
    }
    if (!s.guarded.n) return;
    s.loose_tensor = NEW_ARRAY(k->c, bool, k->c->next_tensor + 1);
    for (uint32_t n = 0; n < p->equations.n; n++) {
        Tensor *t = p->equations.at[n];
        t->body = guard_reads(&s, t->body);
        s.loose_tensor[t->id] = is_loose(&s, t->body);
    }
}
