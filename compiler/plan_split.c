/* Sums over maps of scores of several heads, as in sum[h, i](p[h, i, j]): one sum for each head, and then
 * their sum. A strip of queries computes its side of the scores once, which one head at a time has.
 * Requires: decisions (plan_decide). Ensures: no map of scores is stored for it, only one number for every
 * row and head. Breaks: the order of summation. */
#include "plan_internal.h"

typedef struct Split {
    Plan *p;
    const Equation *reader;
    const Node *sum;
    IndexSet rows, heads,
        rest; /* dims of the reader, ambient ones apart; variables that go outside; others */
    bool any;
} Split;

/* What the rows decide of a costly part, as k[h, j, d] in sum[h, i](p[h, i, j]), names all heads. */
static void look_at_read(void *context, Node *n, const Binding *around)
{
    Split *s = context;
    IndexSet own = set_and(n->free, &s->rows);
    if (n->op != N_READ || !around->binder || set_is_empty(&own)) return;
    s->heads = set_and(&s->heads, n->free);
    s->any = true;
}

static bool splits(Split *s)
{
    if (s->sum->op != N_REDUCE || s->sum->kind != REDUCE_SUM || s->sum->type != TYPE_REAL) return false;
    IndexSet all = s->heads = set_of_vars(s->sum);
    for (unsigned k = 0; k < s->reader->tensor->n_dims; k++)
        if (!s->reader->tensor->dims[k]->ambient) set_add(&s->rows, s->reader->tensor->dims[k]->id);
    walk(s->p->c, binder_body(s->sum), look_at_read, s);
    s->rest = set_minus(&all, &s->heads);
    IndexSet told = set_and(binder_where(s->sum)->free, &s->heads);
    return s->any && !set_is_empty(&s->heads) && !set_is_empty(&s->rest) && set_is_empty(&told) &&
           !bounds_depend_on(s->sum, &all);
}

/* Some of the variables of the sum, around `body`. */
static Node *sum_over(Split *s, const IndexSet *which, Node *where, Node *body)
{
    Index *vars[16];
    Node *lo[16], *hi[16];
    unsigned n = 0;
    for (unsigned k = 0; k < s->sum->n_vars; k++) {
        if (!set_has(which, s->sum->vars[k]->id)) continue;
        vars[n] = s->sum->vars[k];
        lo[n] = binder_lo(s->sum, k);
        hi[n++] = binder_hi(s->sum, k);
    }
    return node_binder(s->p->c, N_REDUCE, REDUCE_SUM, n, vars, lo, hi, where, body, NULL);
}

static void split_sum(Plan *p, uint32_t at)
{
    Equation *e = p->equations.at[at];
    Split s = {.p = p, .reader = e, .sum = e->body};
    if (!splits(&s)) return;
    Node *part = simplify(p->c, sum_over(&s, &s.rest, binder_where(s.sum), binder_body(s.sum)));
    double n = plan_example_elements(p, e->tensor);
    for (unsigned k = 0; k < s.sum->n_vars; k++)
        if (set_has(&s.heads, s.sum->vars[k]->id)) n *= plan_example_extent(p, s.sum->vars[k]);
    if (n > plan_largest_bound(p)) return;
    Node *read = plan_part(p, at, format(p->c, "%s.heads", e->tensor->name), part, true);
    plan_equation(p, read->tensor)->storing = STORED;
    plan_equation(p, read->tensor)->reason = REASON_HEADS;
    plan_equation(p, read->tensor)->origin = format(p->c, "of %s: its sums for every head", e->tensor->name);
    e->body = sum_over(&s, &s.heads, node_bool(p->c, true), read);
}

void plan_split_sums(Plan *p)
{
    for (uint32_t k = 0; k < p->equations.n; k++) {
        const Equation *e = p->equations.at[k];
        if (e->storing == STORED && e->tensor->group == 0) split_sum(p, k);
    }
}
