/* Reads without a guard must be in range wherever they are evaluated: proved again here, from the ranges
 * of variables, declared ranges and the pattern's conditions alone. Whatever moves a read or replaces its
 * coordinates and forgets the guard is found by this, before a backend loads from outside. Too slow for
 * every compilation: for tests. */
#include "graph.h"

#include "lang/prove.h"

typedef struct Safety {
    Compilation *c;
    const Tensor *equation;
    ProveScope scope;
    uint8_t *seen;           /* by Node.id, in this context of binders */
    const char *problem;
} Safety;

static void check(Safety *s, Node *n);

/* The condition that is left, or one it is made of, must be among those that are checked when tensors are
 * bound. */
static bool known_condition(const Safety *s, const Node *condition)
{
    if (condition->op == N_AND)
        return known_condition(s, condition->args[0]) && known_condition(s, condition->args[1]);
    for (uint32_t k = 0; k < s->scope.conditions.n; k++)
        if (s->scope.conditions.at[k] == condition) return true;
    return node_is_bool(condition, true);
}

static void check_read(Safety *s, Node *n)
{
    if (n->guarded) return;
    for (unsigned k = 0; k < n->n_args && !s->problem; k++) {
        Proof proof = prove_in_range(s->c, &s->scope, n->args[k], node_size(s->c, n->tensor->dims[k]));
        if (proof.result == PROVED) continue;
        if (proof.result == PROVED_IF && !proof.used_facts && known_condition(s, proof.condition)) continue;
        Text text = {.c = s->c};
        text_add(&text, "equation '%s': ", s->equation->name);
        node_print(&text, n);
        text_add(&text, " has no guard, and coordinate %u is not proved to be in range", k);
        s->problem = text.at;
    }
}

static void check_binder(Safety *s, Node *n)
{
    uint8_t *outer = s->seen;
    uint32_t ranges = s->scope.ranges.n;
    for (unsigned k = 0; k < n->n_vars; k++) {
        Node *lo = binder_lo(n, k), *hi = binder_hi(n, k);
        for (unsigned m = 0; m < n->n_vars; m++) { /* what is said of a variable outside is nothing inside */
            if (node_depends_on(lo, n->vars[m])) lo = node_int(s->c, 0);
            if (node_depends_on(hi, n->vars[m])) hi = node_size(s->c, n->vars[k]);
        }
        PUSH(s->c, &s->scope.ranges, (ProveRange){n->vars[k], lo, hi});
    }
    s->seen = NEW_ARRAY(s->c, uint8_t, n->id + 1);
    check(s, binder_where(n));
    check(s, binder_body(n));
    s->seen = outer;
    s->scope.ranges.n = ranges;
    for (unsigned k = 0; k < 2u * n->n_vars; k++) check(s, n->args[k]);
    if (binder_extra(n)) check(s, binder_extra(n));
}

static void check(Safety *s, Node *n)
{
    if (s->problem || s->seen[n->id]) return;
    s->seen[n->id] = 1;
    if (n->op == N_READ) check_read(s, n);
    if (node_is_binder(n)) {
        check_binder(s, n);
        /* A normaliser, a scan or a selection is also evaluated at the coordinates around it. */
        if (n->op != N_REDUCE) check(s, binder_where(n)), check(s, binder_body(n));
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) check(s, n->args[k]);
}

const char *graph_verify_reads(Compilation *c, const Graph *g)
{
    Safety s = {.c = c};
    for (uint32_t k = 0; k < g->pattern->conditions.n; k++)
        PUSH(c, &s.scope.conditions, g->pattern->conditions.at[k].test);
    for (uint32_t k = 0; k < g->equations.n && !s.problem; k++) {
        s.equation = g->equations.at[k];
        s.seen = NEW_ARRAY(c, uint8_t, s.equation->body->id + 1);
        check(&s, s.equation->body);
    }
    return s.problem;
}
