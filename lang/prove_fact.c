/* Bool terms as inequalities, and the alternatives of case distinctions. */
#include "prove_state.h"

static void assume_comparison(Prover *p, Node *n, bool positive, Origin origin)
{
    Poly a, b;
    if (n->args[0]->type != TYPE_INT || !poly_of(p, n->args[0], &a) || !poly_of(p, n->args[1], &b)) return;
    switch (n->op) {
    case N_LT: /* a < b, or a >= b */
        if (positive) know_difference(p, &b, &a, 1, origin);
        else know_difference(p, &a, &b, 0, origin);
        return;
    case N_LE:
        if (positive) know_difference(p, &b, &a, 0, origin);
        else know_difference(p, &a, &b, 1, origin);
        return;
    default:
        if ((n->op == N_EQ) == positive) know_equal(p, &a, &b, origin);
        else split_on(p, (Split){.kind = SPLIT_FACT, .positive = positive, .node = n, .origin = origin});
    }
}

/* As for TOPK itself, at other coordinates: its variables are dimensions of the equation that it is. */
static void assume_selected(Prover *p, const Node *read, bool positive, Origin origin)
{
    const Tensor *t = read->tensor;
    if (!positive || !t->body || t->group || (t->body->op != N_TOPK && t->body->op != N_TOPP)) return;
    origin.rules |= BIT(S9);
    p->depth++;
    assume(p, node_substitute(p->c, binder_where(t->body), t->n_dims, t->dims, read->args), true, origin);
    p->depth--;
}

static void assume_read(Prover *p, Node *n, bool positive, Origin origin)
{
    Node *body = look_through(p, n);
    if (!body) {
        assume_selected(p, n, positive, origin);
        return;
    }
    origin.rules |= BIT(S10);
    p->depth++;
    assume(p, body, positive, origin);
    p->depth--;
}

static void assume_contradiction(Prover *p, Origin origin)
{
    const Poly minus_one = poly_constant(-1);
    know(p, &minus_one, origin);
}

void assume(Prover *p, Node *n, bool positive, Origin origin)
{
    if (++p->work > MAX_WORK) return;
    switch (n->op) {
    case N_BOOL:
        if ((n->integer != 0) != positive) assume_contradiction(p, origin);
        return;
    case N_NOT: assume(p, n->args[0], !positive, origin); return;
    case N_AND: case N_OR:
        if ((n->op == N_AND) == positive) {
            assume(p, n->args[0], positive, origin);
            assume(p, n->args[1], positive, origin);
            return;
        }
        /* fall through */
    case N_IF:
        origin.rules |= BIT(S5);
        split_on(p, (Split){.kind = SPLIT_FACT, .positive = positive, .node = n, .origin = origin});
        return;
    case N_LT: case N_LE: assume_comparison(p, n, positive, origin); return;
    case N_EQ: case N_NE:
        if ((n->op == N_EQ) != positive) origin.rules |= BIT(S5);
        assume_comparison(p, n, positive, origin);
        return;
    case N_READ: assume_read(p, n, positive, origin); return;
    case N_TOPK: case N_TOPP: /* what `where` left out is never selected */
        origin.rules |= BIT(S9);
        if (positive) assume(p, binder_where(n), true, origin);
        return;
    default: return;
    }
}

static void fact_alternative(Prover *p, const Split *s, unsigned which, Origin origin)
{
    Node *n = s->node;
    Poly a, b;
    if (n->op == N_IF) {
        assume(p, n->args[0], which == 0, origin);
        assume(p, n->args[1 + which], s->positive, origin);
    } else if (n->op == N_AND || n->op == N_OR) {
        if (which) assume(p, n->args[0], !s->positive, origin); /* the first did not decide */
        assume(p, n->args[which], s->positive, origin);
    } else if (poly_of(p, n->args[0], &a) && poly_of(p, n->args[1], &b)) {
        know_difference(p, which ? &a : &b, which ? &b : &a, 1, origin);
    }
}

static void choose_conditional(Prover *p, const Node *n, const Poly *s, unsigned which, Origin origin)
{
    Poly value;
    assume(p, n->args[0], which == 0, origin);
    if (n->op == N_TO_INT) value = poly_constant(which == 0);
    else if (!poly_of(p, n->args[1 + which], &value)) return;
    know_equal(p, s, &value, origin);
}

static void choose(Prover *p, unsigned symbol, unsigned which, Origin origin)
{
    const Symbol y = p->symbols[symbol];
    const Poly zero = {0};
    Poly s, minus;
    if (!poly_symbol(p, symbol, &s)) return;
    switch (y.op) {
    case N_MIN: know_difference(p, &s, which ? &y.b : &y.a, 0, origin); return;
    case N_MAX: know_difference(p, which ? &y.b : &y.a, &s, 0, origin); return;
    case N_ABS:
        if (!poly_scale_add(p, &y.a, -1, &zero, 0, &minus)) return;
        know_difference(p, which ? &minus : &y.a, &s, 0, origin);
        return;
    default: choose_conditional(p, y.node, &s, which, origin);
    }
}

static void non_empty_check(Prover *p, unsigned symbol, Origin origin)
{
    const Symbol y = p->symbols[symbol];
    Poly s;
    know_difference(p, &y.b, &y.a, 1, origin);
    if (!poly_symbol(p, symbol, &s)) return;
    know_difference(p, &s, &y.a, 0, origin);
    know_difference(p, &y.b, &s, 1, origin);
}

void apply_alternative(Prover *p, const Split *split, unsigned which, uint32_t level_bit)
{
    const Poly one = poly_constant(1), zero = {0};
    const Symbol y = p->symbols[split->symbol];
    const uint32_t outer = p->context;
    Origin origin = split->origin;
    Poly s;
    p->context = origin.from |= level_bit;
    switch (split->kind) {
    case SPLIT_FACT: fact_alternative(p, split, which, origin); break;
    case SPLIT_CHOICE: choose(p, split->symbol, which, origin); break;
    case SPLIT_DIVISOR:
        if (which) {
            know_difference(p, &zero, &y.b, 0, origin);
        } else {
            know_difference(p, &y.b, &one, 0, origin);
            divisor_known(p, split->symbol, origin);
        }
        break;
    case SPLIT_SIGN:
        if (!poly_symbol(p, split->symbol, &s)) break;
        if (which) know_difference(p, &zero, &s, 1, origin);
        else know_difference(p, &s, &zero, 0, origin);
        break;
    case SPLIT_CHECK:
        if (which) know_difference(p, &y.a, &y.b, 0, origin);
        else non_empty_check(p, split->symbol, origin);
        break;
    }
    p->context = outer;
}
