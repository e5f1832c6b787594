/* The verifier of Graphs: what every pass may rely on and must leave behind. It says what is wrong with
 * the first bad equation; that is always a bug of ours. Whether a read is in range is the prover's
 * business, not structure. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

typedef struct Verify {
    Compilation *c;
    const Tensor *equation;
    const char *problem;
    uint8_t *done;           /* by Tensor.id: stands before this equation */
} Verify;

static bool number(Type t) { return t != TYPE_BOOL; }
static Type arg(const Node *n, unsigned k) { return n->args[k]->type; }

static bool good_unary(const Node *n)
{
    Type a = arg(n, 0);
    switch (n->op) {
    case N_TO_REAL: return a != TYPE_REAL && n->type == TYPE_REAL;
    case N_TO_INT: return a != TYPE_INT && n->type == TYPE_INT;
    case N_NOT: return a == TYPE_BOOL && n->type == TYPE_BOOL;
    case N_NEG: case N_ABS: case N_SIGN: return number(a) && n->type == a;
    case N_STOP: return n->type == a;
    case N_POPCOUNT: return a == TYPE_INT && n->type == TYPE_INT;
    default: return a == TYPE_REAL && n->type == TYPE_REAL;
    }
}

static bool good_binary(const Node *n)
{
    Type a = arg(n, 0);
    if (arg(n, 1) != a) return false;
    switch (n->op) {
    case N_ADD: case N_SUB: case N_MUL: case N_MIN: case N_MAX: return number(a) && n->type == a;
    case N_DIV: case N_POW: return a == TYPE_REAL && n->type == a;
    case N_EQ: case N_NE: return n->type == TYPE_BOOL;
    case N_LT: case N_LE: return number(a) && n->type == TYPE_BOOL;
    case N_AND: case N_OR: return a == TYPE_BOOL && n->type == a;
    default: return a == TYPE_INT && n->type == a;
    }
}

static bool good_leaf(const Node *n)
{
    switch (n->op) {
    case N_INT: case N_INDEX: case N_SIZE: return n->type == TYPE_INT;
    case N_REAL: return n->type == TYPE_REAL;
    case N_BOOL: case N_GIVEN: return n->type == TYPE_BOOL;
    case N_PARAM: return n->type == n->param->type;
    default: return false; /* LOCAL: only in Loops */
    }
}

static bool good_other(const Node *n)
{
    for (unsigned k = 0; k < n->n_args; k++)
        if (arg(n, k) != TYPE_INT) return false;
    switch (n->op) {
    case N_READ: return n->n_args == n->tensor->n_dims && n->type == n->tensor->type;
    case N_RAND: return n->n_args == 5 && n->type == TYPE_REAL;
    default: return n->n_args == 3 && n->type == TYPE_INT;
    }
}

static bool good_reduce(const Node *n, Type body)
{
    switch ((Reduction)n->kind) {
    case REDUCE_ANY: case REDUCE_ALL: return body == TYPE_BOOL && n->type == body;
    case REDUCE_MEAN: case REDUCE_LOGSUMEXP: return body == TYPE_REAL && n->type == body;
    case REDUCE_ARGMAX: case REDUCE_ARGMIN: return number(body) && n->type == TYPE_INT;
    default: return number(body) && n->type == body;
    }
}

static bool good_binder_result(const Node *n)
{
    Type body = binder_body(n)->type;
    const Node *extra = binder_extra(n);
    switch (n->op) {
    case N_REDUCE: return !extra && good_reduce(n, body);
    case N_NORMALISE:
        return body == TYPE_REAL && n->type == body &&
               (!extra || (n->kind == NORMALISE_SOFTMAX && extra->type == TYPE_REAL));
    case N_SCAN: return !extra && n->n_vars == 1 && number(body) && n->type == body;
    case N_TOPK: return number(body) && extra && extra->type == TYPE_INT && n->type == TYPE_BOOL;
    case N_TOPP: return number(body) && extra && extra->type == TYPE_REAL && n->type == TYPE_BOOL;
    case N_RANK: return !extra && number(body) && n->type == TYPE_INT;
    case N_TOP_INDEX: return number(body) && extra && extra->type == TYPE_INT && n->type == TYPE_INT;
    default: return extra && extra->type == TYPE_INT && n->type == TYPE_INT;
    }
}

static bool good_binder(const Node *n)
{
    unsigned fixed = 2u * n->n_vars + 2u;
    if (n->n_vars == 0 || n->n_args < fixed || n->n_args > fixed + 1) return false;
    for (unsigned k = 0; k < 2u * n->n_vars; k++)
        if (arg(n, k) != TYPE_INT) return false;
    for (unsigned k = 0; k < n->n_vars; k++)
        for (unsigned m = 0; m < k; m++)
            if (n->vars[k] == n->vars[m]) return false;
    return binder_where(n)->type == TYPE_BOOL && good_binder_result(n);
}

static const char op_class[] = {
#define LEAF 'L'
#define UNARY '1'
#define BINARY '2'
#define TERNARY '3'
#define BINDER 'B'
#define OTHER 'O'
#define NODE(name, text, class) class,
#include "lang/node_list.h"
#undef NODE
#undef LEAF
#undef UNARY
#undef BINARY
#undef TERNARY
#undef BINDER
#undef OTHER
};

static bool good_node(const Node *n)
{
    switch (op_class[n->op]) {
    case 'L': return n->n_args == 0 && good_leaf(n);
    case '1': return n->n_args == 1 && good_unary(n);
    case '2': return n->n_args == 2 && good_binary(n);
    case '3': return n->n_args == 3 && arg(n, 0) == TYPE_BOOL && arg(n, 1) == n->type && arg(n, 2) == n->type;
    case 'B': return good_binder(n);
    default: return good_other(n);
    }
}

/* A step of a recurrence must not visibly go the wrong way: t + k for k > 0 where it runs upwards. */
static const char *step_problem(const Tensor *reader, const Node *read)
{
    const Tensor *t = read->tensor;
    if (reader->group == 0 || t->group != reader->group) return NULL;
    if (t->recurrence_axis < 0 || reader->recurrence_axis < 0) return "has no axis of its recurrence";
    if (t->recurrence_step != reader->recurrence_step) return "runs the other way than its recurrence";
    const Node *at = read->args[t->recurrence_axis];
    const Index *step = reader->dims[reader->recurrence_axis];
    if ((at->op != N_ADD && at->op != N_SUB) || at->args[1]->op != N_INT) return NULL;
    if (at->args[0]->op != N_INDEX || at->args[0]->index != step) return NULL;
    int64_t offset = at->op == N_ADD ? at->args[1]->integer : -at->args[1]->integer;
    return (offset < 0) == (t->recurrence_step > 0) ? NULL : "reads a later step of its own recurrence";
}

static void verify_read(Verify *v, const Node *n)
{
    const char *problem = step_problem(v->equation, n);
    if (problem) v->problem = problem;
    else if (n->tensor->body && !v->done[n->tensor->id] && !graph_reads_earlier_step(v->equation, n))
        v->problem = "reads an equation that comes after it";
    else if (!n->tensor->body && n->tensor->role != ROLE_INPUT && n->tensor->role != ROLE_CAPTURE)
        v->problem = "reads an equation without a body";
}

static bool selection(Op op)
{
    return op == N_TOPK || op == N_TOPP || op == N_RANK || op == N_TOP_INDEX || op == N_POSITIONS;
}

static void verify_node(void *context, const Node *n)
{
    Verify *v = context;
    if (v->problem) return;
    if (!good_node(n)) v->problem = "has wrong operands";
    else if (selection(n->op) && n != v->equation->body) v->problem = "is a selection inside an equation";
    else if (n->op == N_READ) verify_read(v, n);
    if (!v->problem) return;
    Text text = {.c = v->c};
    text_add(&text, "equation '%s': ", v->equation->name);
    node_print(&text, n);
    text_add(&text, " %s", v->problem);
    v->problem = text.at;
}

static Type storage_type(StorageType s)
{
    return s == STORAGE_INT ? TYPE_INT : s == STORAGE_BOOL ? TYPE_BOOL : TYPE_REAL;
}

/* The left side: types, dims all different, no other free variables on the right. */
static const char *left_problem(const Tensor *t)
{
    if (t->type != t->body->type || t->type != storage_type(t->storage))
        return "has another type than its body";
    IndexSet rest = *t->body->free, dims = {0};
    for (unsigned k = 0; k < t->n_dims; k++) {
        if (set_has(&dims, t->dims[k]->id)) return "has a dimension twice";
        set_add(&dims, t->dims[k]->id);
        set_remove(&rest, t->dims[k]->id);
    }
    for (unsigned k = 0; k < MAX_INDICES / 64; k++)
        if (rest.words[k]) return "has a free variable that is no dimension";
    if (t->recurrence_axis >= (int)t->n_dims) return "runs along a dimension that it lacks";
    if (t->group && abs(t->recurrence_step) != 1) return "has no direction of recurrence";
    return NULL;
}

const char *graph_verify(Compilation *c, const Graph *g)
{
    Verify v = {.c = c, .done = NEW_ARRAY(c, uint8_t, c->next_tensor + 1)};
    for (uint32_t k = 0; k < g->equations.n; k++) {
        v.equation = g->equations.at[k];
        if (!v.equation->body) return format(c, "equation '%s' has no body", v.equation->name);
        const char *left = left_problem(v.equation);
        if (left) return format(c, "equation '%s' %s", v.equation->name, left);
        node_visit(c, v.equation->body, verify_node, &v);
        if (v.problem) return v.problem;
        v.done[v.equation->id] = 1;
    }
    for (uint32_t k = 0; k < g->pattern->tensors.n; k++) {
        const Tensor *t = g->pattern->tensors.at[k];
        if (t->body && !v.done[t->id]) return format(c, "output '%s' is not among the equations", t->name);
    }
    return NULL;
}
