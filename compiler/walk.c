/* See walk.h. */
#include "walk.h"

#include "graph.h"
#include "node_map.h"

IndexSet set_or(const IndexSet *a, const IndexSet *b)
{
    IndexSet s = *a;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++) s.words[k] |= b->words[k];
    return s;
}

IndexSet set_minus(const IndexSet *a, const IndexSet *b)
{
    IndexSet s = *a;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++) s.words[k] &= ~b->words[k];
    return s;
}

IndexSet set_and(const IndexSet *a, const IndexSet *b)
{
    IndexSet s = *a;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++) s.words[k] &= b->words[k];
    return s;
}

bool set_is_empty(const IndexSet *a)
{
    uint64_t any = 0;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++) any |= a->words[k];
    return any == 0;
}

bool set_within(const IndexSet *a, const IndexSet *b)
{
    IndexSet rest = set_minus(a, b);
    return set_is_empty(&rest);
}

IndexSet set_of_dims(const Tensor *t)
{
    IndexSet s = {0};
    for (unsigned k = 0; k < t->n_dims; k++) set_add(&s, t->dims[k]->id);
    return s;
}

IndexSet set_of_vars(const Node *binder)
{
    IndexSet s = {0};
    for (unsigned k = 0; k < binder->n_vars; k++) set_add(&s, binder->vars[k]->id);
    return s;
}

bool bounds_depend_on(const Node *binder, const IndexSet *set)
{
    for (unsigned k = 0; k < 2u * binder->n_vars; k++) {
        IndexSet used = set_and(binder->args[k]->free, set);
        if (!set_is_empty(&used)) return true;
    }
    return false;
}

typedef struct Walker {
    Compilation *c;
    Walk *f;
    void *context;
    NodeMap seen;
} Walker;

static void walk_in(Walker *w, Node *n, const Binding *around);

static void walk_binder(Walker *w, Node *n, const Binding *around)
{
    IndexSet vars = set_of_vars(n);
    Binding inner = {n, around, set_or(&around->bound, &vars)};
    Walker inside = {w->c, w->f, w->context, {0}};
    for (unsigned k = 0; k < n->n_args; k++) {
        bool bound = k == 2u * n->n_vars || k == 2u * n->n_vars + 1;
        if (bound)
            walk_in(&inside, n->args[k], &inner);
        else
            walk_in(w, n->args[k], around);
    }
}

static void walk_in(Walker *w, Node *n, const Binding *around)
{
    if (map_get(&w->seen, n)) return;
    map_put(w->c, &w->seen, n, n);
    w->f(w->context, n, around);
    if (node_is_binder(n)) {
        walk_binder(w, n, around);
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) walk_in(w, n->args[k], around);
}

void walk(Compilation *c, Node *n, Walk *f, void *context)
{
    Walker w = {c, f, context, {0}};
    Binding none = {0};
    walk_in(&w, n, &none);
}

bool read_is_own(const Node *read, unsigned k, const Binding *around)
{
    const Node *at = read->args[k];
    const Index *dim = read->tensor->dims[k];
    return at->op == N_INDEX && at->index == dim && !set_has(&around->bound, dim->id);
}

bool read_is_identity(const Node *read)
{
    for (unsigned k = 0; k < read->n_args; k++)
        if (read->args[k]->op != N_INDEX || read->args[k]->index != read->tensor->dims[k]) return false;
    return true;
}

bool is_offset_of(const Node *at, const Index *index, int64_t *offset)
{
    *offset = 0;
    if (at->op == N_INDEX) return at->index == index;
    if (at->op != N_ADD && at->op != N_SUB) return false;
    const Node *a = at->args[0], *b = at->args[1];
    if (at->op == N_ADD && a->op == N_INT) {
        const Node *t = a;
        a = b;
        b = t;
    }
    if (a->op != N_INDEX || a->index != index || b->op != N_INT) return false;
    *offset = at->op == N_ADD ? b->integer : -b->integer;
    return true;
}

typedef struct Find {
    bool found;
    Op op;
    const Tensor *tensor;
    unsigned count;
} Find;

static void find_binder(void *context, const Node *n)
{
    Find *f = context;
    if (node_is_binder(n)) f->found = true;
}

bool contains_binder(Compilation *c, const Node *n)
{
    if (!n->has_binder) return false;
    Find f = {0};
    node_visit(c, n, find_binder, &f);
    return f.found;
}

static void find_op(void *context, const Node *n)
{
    Find *f = context;
    if (n->op == f->op) f->found = true;
}

bool contains_op(Compilation *c, const Node *n, Op op)
{
    Find f = {.op = op};
    node_visit(c, n, find_op, &f);
    return f.found;
}

static void find_tensor(void *context, const Node *n)
{
    Find *f = context;
    if (n->op == N_READ && n->tensor == f->tensor) f->found = true;
}

bool reads_tensor(Compilation *c, const Node *n, const Tensor *t)
{
    Find f = {.tensor = t};
    node_visit(c, n, find_tensor, &f);
    return f.found;
}

static void count_op(void *context, const Node *n)
{
    Find *f = context;
    if (n->n_args > 0 && n->op != N_READ) f->count++;
}

unsigned node_count(Compilation *c, const Node *n)
{
    Find f = {0};
    node_visit(c, n, count_op, &f);
    return f.count;
}

bool is_transcendental(Op op)
{
    switch (op) {
    case N_EXP:
    case N_EXP2:
    case N_EXPM1:
    case N_EXP_DOWN:
    case N_EXP2_DOWN:
    case N_LOG:
    case N_LOG2:
    case N_LOG1P:
    case N_TANH:
    case N_SIN:
    case N_COS:
    case N_ATAN:
    case N_ERF:
    case N_POW:
    case N_RAND: return true;
    default: return false;
    }
}

typedef struct Swap {
    const Node *from;
    Node *to;
} Swap;

static Node *swap_node(void *context, Compilation *c, Node *n)
{
    (void)c;
    const Swap *s = context;
    return n == s->from ? s->to : n;
}

Node *node_replace(Compilation *c, Node *n, Node *from, Node *to)
{
    Swap s = {from, to};
    return node_rewrite(c, n, swap_node, &s);
}
