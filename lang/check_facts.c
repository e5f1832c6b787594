/* What is known where: conditions of IF, AND, OR and `where` around a read, and the ranges of binders.
 *
 * A shared operand is visited once under the same conditions. A pathological tangle of conditions is cut off:
 * from then on conditions are no longer collected, which only makes less known. */
#include "check_facts.h"

enum { WORK_MAX = 60000, FACTS_MAX = 200 };

void fact_add(Compilation *c, ProveScope *scope, Node *fact)
{
    if (node_is_bool(fact, true) || scope->facts.n >= FACTS_MAX) return;
    if (fact->op == N_AND) {
        fact_add(c, scope, fact->args[0]);
        fact_add(c, scope, fact->args[1]);
        return;
    }
    for (uint32_t n = 0; n < scope->facts.n; n++)
        if (scope->facts.at[n] == fact) return;
    PUSH(c, &scope->facts, fact);
}

ProveScope fact_scope(Checker *k)
{
    ProveScope s = {0};
    for (uint32_t n = 0; n < k->pattern->conditions.n; n++)
        PUSH(k->c, &s.conditions, k->pattern->conditions.at[n].test);
    return s;
}

static void walk_under(FactWalk *w, Node *n, Node *fact)
{
    if (node_is_bool(fact, true) || w->work > WORK_MAX) {
        fact_walk(w, n);
        return;
    }
    uint32_t before = w->scope.facts.n;
    NodeMemo fresh = {0}, *outer = w->seen;
    fact_add(w->k->c, &w->scope, fact);
    if (w->scope.facts.n > before) w->seen = &fresh;
    fact_walk(w, n);
    w->scope.facts.n = before;
    w->seen = outer;
}

static bool mentions_variable(const Node *n, const Node *binder)
{
    for (unsigned k = 0; k < binder->n_vars; k++)
        if (node_depends_on(n, binder->vars[k])) return true;
    return false;
}

static bool binds(const Node *binder, const Index *index)
{
    for (unsigned k = 0; k < binder->n_vars; k++)
        if (binder->vars[k] == index) return true;
    return false;
}

/* `fact` inside of a binder, where its ranges are not empty; NULL: nothing. */
static Node *not_empty(Compilation *c, Node *fact, const Node *n)
{
    if (fact->op == N_OR) {
        Node *a = not_empty(c, fact->args[0], n), *b = not_empty(c, fact->args[1], n);
        return !a ? b : !b ? a : node_binary(c, N_OR, a, b);
    }
    for (unsigned k = 0; k < n->n_vars; k++)
        if (fact == node_binary(c, N_LE, binder_hi(n, k), binder_lo(n, k))) return NULL;
    return fact;
}

/* What is known outside of a binder and does not speak of its variables. */
static ProveScope scope_inside(FactWalk *w, const Node *n)
{
    Compilation *c = w->k->c;
    ProveScope s = {.conditions = w->scope.conditions};
    for (uint32_t f = 0; f < w->scope.facts.n; f++)
        if (!mentions_variable(w->scope.facts.at[f], n)) {
            Node *fact = not_empty(c, w->scope.facts.at[f], n);
            if (fact) fact_add(c, &s, fact);
        }
    for (uint32_t r = 0; r < w->scope.ranges.n; r++) {
        ProveRange range = w->scope.ranges.at[r];
        if (!binds(n, range.index) && !mentions_variable(range.lo, n) && !mentions_variable(range.hi, n))
            PUSH(c, &s.ranges, range);
    }
    for (unsigned k = 0; k < n->n_vars; k++) {
        bool clash = mentions_variable(binder_lo(n, k), n) || mentions_variable(binder_hi(n, k), n);
        if (!clash) PUSH(c, &s.ranges, (ProveRange){n->vars[k], binder_lo(n, k), binder_hi(n, k)});
    }
    return s;
}

static void walk_binder(FactWalk *w, Node *n)
{
    unsigned bounds = 2u * n->n_vars;
    for (unsigned k = 0; k < n->n_args; k++)
        if (k != bounds && k != bounds + 1) fact_walk(w, n->args[k]);
    FactWalk inner = *w;
    NodeMemo fresh = {0};
    inner.seen = &fresh;
    inner.scope = scope_inside(w, n);
    for (unsigned k = 0; k < n->n_vars; k++) set_add(&inner.bound, n->vars[k]->id);
    fact_walk(&inner, binder_where(n));
    walk_under(&inner, binder_body(n), binder_where(n));
    w->work = inner.work;
}

void fact_walk(FactWalk *w, Node *n)
{
    if (n->n_args == 0 && n->op != N_READ) return;
    if (node_memo_get(w->seen, n)) return;
    node_memo_put(w->k->c, w->seen, n, n);
    w->work++;
    if (node_is_binder(n)) {
        walk_binder(w, n);
        return;
    }
    if (n->op == N_IF || n->op == N_AND || n->op == N_OR) {
        Node *opposite = node_unary(w->k->c, N_NOT, n->args[0]);
        fact_walk(w, n->args[0]);
        walk_under(w, n->args[1], n->op == N_OR ? opposite : n->args[0]);
        if (n->op == N_IF) walk_under(w, n->args[2], opposite);
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) fact_walk(w, n->args[k]);
    if (n->op == N_READ) w->read(w, n);
}
