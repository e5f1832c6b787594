/* Values: what needs statements (sums, rows, lazy branches around them) is emitted, the rest stays an
 * expression. Requires: bodies of a plan. Ensures: the returned node has no binders and reads buffers alone.
 */
#include "lower_internal.h"

static char yes, no;

static bool find_heavy(Lower *l, const Node *n)
{
    if (node_is_binder(n) || n->op == N_CHECK) return true;
    for (unsigned k = 0; k < n->n_args; k++)
        if (is_heavy(l, n->args[k])) return true;
    return false;
}

bool is_heavy(Lower *l, const Node *n)
{
    if (n->n_args == 0) return false;
    void *known = map_get(&l->heavy, n);
    if (!known) {
        known = find_heavy(l, n) ? &yes : &no;
        map_put(l->c, &l->heavy, n, known);
    }
    return known == &yes;
}

/* A read of a state goes to its scratch tensor, which lacks the task dims. */
static Node *lower_read(Lower *l, Node *n, Node **args)
{
    const Equation *e = plan_equation(l->plan, n->tensor);
    if (!e || e->storing != STATE) return node_read(l->c, n->tensor, args, n->guarded);
    Node **at = NEW_ARRAY(l->c, Node *, e->state->n_dims);
    for (unsigned k = 0; k < e->state->n_dims; k++)
        for (unsigned j = 0; j < n->tensor->n_dims; j++)
            if (n->tensor->dims[j] == e->state->dims[k]) at[k] = args[j];
    return node_read(l->c, e->state, at, n->guarded);
}

static Node *lower_operands(Lower *l, Node *n)
{
    Node **args = NEW_ARRAY(l->c, Node *, n->n_args);
    bool same = true;
    for (unsigned k = 0; k < n->n_args; k++) {
        args[k] = lower_value(l, n->args[k]);
        same = same && args[k] == n->args[k];
    }
    if (n->op == N_READ) return lower_read(l, n, args);
    return same ? n : node_copy_with(l->c, n, args);
}

static void branch_set(Lower *l, Node *condition, Local *local, Node *value)
{
    Branch b;
    branch_open(l, &b, condition);
    set_local(l, local, lower_value(l, value));
    branch_close(l, &b);
}

/* Lanes that differ in a condition evaluate both sides. */
static bool differs(Lower *l, const Node *condition)
{
    return l->lane && node_depends_on(condition, l->lane);
}

/* Only one side is evaluated. */
static Node *lower_if(Lower *l, Node *n)
{
    Node *condition = lower_value(l, n->args[0]);
    if (differs(l, n->args[0]) || (!is_heavy(l, n->args[1]) && !is_heavy(l, n->args[2])))
        return node_if(l->c, condition, lower_value(l, n->args[1]), lower_value(l, n->args[2]));
    Local *local = local_new(l, "value", n), *test = local_make(l, "test", TYPE_BOOL, true);
    set_local(l, test, condition);
    set_local(l, local, node_zero(l->c, n->type));
    branch_set(l, local_get(l, test), local, n->args[1]);
    branch_set(l, node_unary(l->c, N_NOT, local_get(l, test)), local, n->args[2]);
    return local_get(l, local);
}

/* The right side of `and` and `or` is evaluated only if the left does not decide. */
static Node *lower_logic(Lower *l, Node *n)
{
    Node *left = lower_value(l, n->args[0]);
    if (differs(l, n->args[0]) || !is_heavy(l, n->args[1]))
        return node_binary(l->c, n->op, left, lower_value(l, n->args[1]));
    Local *local = local_make(l, "test", TYPE_BOOL, true);
    set_local(l, local, left);
    Node *open = local_get(l, local);
    if (n->op == N_OR) open = node_unary(l->c, N_NOT, open);
    branch_set(l, open, local, n->args[1]);
    return local_get(l, local);
}

static Node *lower_binder(Lower *l, Node *n)
{
    if (n->op != N_REDUCE && !(n->op == N_NORMALISE && n->kind == NORMALISE_SOFTMAX)) return lower_row(l, n);
    if (n->op == N_NORMALISE) return lower_value(l, simplify(l->c, simplify_softmax(l->c, n)));
    Node *online = lower_online(l, n, 0, NULL);
    return online ? online : lower_reduce(l, n);
}

/* Emits a binder where it belongs and remembers its value there. */
static Node *lower_placed(Lower *l, Node *n)
{
    IndexSet set = {{0}};
    const IndexSet *free = row_free(l, n, &set);
    bool row = free != n->free;
    Node *known = row ? NULL : value_find(l, n, free);
    if (known) return known;
    if (row)
        return lower_binder(l,
                            n); /* rows place themselves: their value is a read at the current coordinates */
    Scope *here = l->scope, *target = scope_for(l, n, free);
    l->scope = target;
    Node *value = lower_binder(l, n);
    map_put(l->c, &target->values, n, value);
    l->scope = here;
    return value;
}

Node *lower_value(Lower *l, Node *n)
{
    if (n->n_args == 0) return n;
    if (node_is_binder(n)) return lower_placed(l, n);
    if (!is_heavy(l, n)) return lower_operands(l, n);
    if (n->op == N_IF) return lower_if(l, n);
    if (n->op == N_AND || n->op == N_OR) return lower_logic(l, n);
    return lower_operands(l, n);
}
