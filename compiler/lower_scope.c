/* Scopes, locals, scratch tensors and loops of the lowering (see lower_internal.h). */
#include "lower_internal.h"

Statement *emit(Lower *l, StatementKind kind)
{
    Statement *s = NEW(l->c, Statement);
    s->kind = kind;
    s->span = l->span;
    PUSH(l->c, &l->scope->block, s);
    return s;
}

void scope_open(Lower *l, Scope *s, bool loop)
{
    *s = (Scope){.outer = l->scope, .depth = l->scope ? l->scope->depth + 1 : 0, .loop = loop,
                 .number = ++l->n_scopes};
    l->scope = s;
}

void scope_close(Lower *l, Scope *s) { l->scope = s->outer; }

/* The innermost scope that binds one of the variables. */
static Scope *binding_scope(Lower *l, const IndexSet *free)
{
    Scope *s = l->scope;
    while (s->outer) {
        IndexSet here = set_and(&s->bound, free);
        if (!set_is_empty(&here)) return s;
        s = s->outer;
    }
    return s;
}

/* What a value is made of besides variables: locals and scratch, which mean nothing outside of their scopes. */
typedef struct Made { Lower *l; unsigned scopes[16], n; } Made;

static void note_scope(Made *m, unsigned scope)
{
    for (unsigned k = 0; k < m->n; k++)
        if (m->scopes[k] == scope) return;
    if (m->n < sizeof m->scopes / sizeof *m->scopes) m->scopes[m->n++] = scope;
    else m->scopes[0] = m->l->scope->number; /* too many: here */
}

static void note_made(void *context, const Node *n)
{
    Made *m = context;
    Lower *l = m->l;
    if (n->op == N_LOCAL && n->local->id < l->local_scopes.n) note_scope(m, l->local_scopes.at[n->local->id]);
    for (uint32_t k = 0; n->op == N_READ && k < l->scratch_scopes.n; k++)
        if (l->scratch_scopes.at[k].tensor == n->tensor) note_scope(m, l->scratch_scopes.at[k].scope);
}

static bool is_made_in(const Made *m, const Scope *s)
{
    for (unsigned k = 0; k < m->n; k++)
        if (m->scopes[k] == s->number) return true;
    return false;
}

Scope *scope_for(Lower *l, const Node *n, const IndexSet *free)
{
    if (l->kernel->pattern->checks.n && contains_op(l->c, n, N_CHECK)) return l->scope;
    Made made = {.l = l};
    node_visit(l->c, n, note_made, &made);
    Scope *binding = binding_scope(l, free), *target = l->scope;
    for (Scope *s = l->scope; s != binding && !is_made_in(&made, s); s = s->outer)
        if (s->loop) target = s->outer;
    return target;
}

Node *value_find(Lower *l, const Node *n, const IndexSet *free)
{
    Scope *binding = binding_scope(l, free);
    for (Scope *s = l->scope;; s = s->outer) {
        Node *value = map_get(&s->values, n);
        if (value) return value;
        if (s == binding) return NULL;
    }
}

Local *local_make(Lower *l, const char *name, Type type, bool exact)
{
    Local *local = NEW(l->c, Local);
    *local = (Local){name, type, exact, l->kernel->n_locals++};
    while (l->local_scopes.n < local->id) PUSH(l->c, &l->local_scopes, 0);
    PUSH(l->c, &l->local_scopes, l->scope ? l->scope->number : 0);
    return local;
}

Local *local_new(Lower *l, const char *name, const Node *like)
{
    return local_make(l, name, like->type, !like->data);
}

Node *local_get(Lower *l, Local *local) { return node_local(l->c, local); }

void set_local(Lower *l, Local *local, Node *value)
{
    Statement *s = emit(l, S_SET);
    s->local = local;
    s->value = value;
}

void store(Lower *l, Tensor *t, Node **subscripts, Node *value)
{
    Statement *s = emit(l, S_STORE);
    s->tensor = t;
    s->subscripts = subscripts;
    s->value = value;
}

Statement *prefetch(Lower *l, Tensor *t, Node **subscripts, bool far)
{
    Statement *s = emit(l, S_PREFETCH);
    s->tensor = t;
    s->subscripts = subscripts;
    s->far = far;
    return s;
}

void buffer_add(Lower *l, Tensor *t, BufferKind kind, bool exact)
{
    PUSH(l->c, &l->kernel->buffers, (Buffer){.tensor = t, .kind = kind, .exact = exact, .ring = -1});
}

Tensor *scratch_new(Lower *l, const char *name, const Node *like, unsigned n_dims, Index **dims)
{
    Tensor *t = plan_tensor(l->c, name, like->type, n_dims, dims);
    t->data = like->data;
    buffer_add(l, t, BUFFER_SCRATCH, !like->data);
    PUSH(l->c, &l->scratch_scopes, (ScratchScope){t, l->scope->number});
    return t;
}

static Node **own_subscripts(Lower *l, const Tensor *t)
{
    Node **at = NEW_ARRAY(l->c, Node *, t->n_dims);
    for (unsigned k = 0; k < t->n_dims; k++) at[k] = node_index(l->c, t->dims[k]);
    return at;
}

Node *read_at(Lower *l, Tensor *t) { return node_read(l->c, t, own_subscripts(l, t), false); }

void store_at(Lower *l, Tensor *t, Node *value) { store(l, t, own_subscripts(l, t), value); }

Range whole_range(Lower *l, Index *index) { return (Range){node_int(l->c, 0), node_size(l->c, index), NULL}; }

void loop_open(Lower *l, Loop *loop, Index *variable, Range range)
{
    loop->variable = variable;
    loop->range = range;
    loop->down = loop->ragged = false;
    loop->kind = LOOP_SERIAL;
    scope_open(l, &loop->scope, true);
    set_add(&loop->scope.bound, variable->id);
}

void loop_close(Lower *l, Loop *loop)
{
    scope_close(l, &loop->scope);
    if (loop->scope.block.n == 0) return;
    Statement *s = emit(l, S_FOR);
    s->variable = loop->variable;
    s->lo = loop->range.lo;
    s->hi = loop->range.hi;
    s->step = loop->range.step;
    s->down = loop->down;
    s->ragged = loop->ragged;
    s->loop = loop->kind;
    s->body = loop->scope.block;
}

void branch_open(Lower *l, Branch *b, Node *condition)
{
    b->condition = condition;
    scope_open(l, &b->scope, false);
}

/* A condition that is always true needs no branch: its statements join those around. */
void branch_close(Lower *l, Branch *b)
{
    scope_close(l, &b->scope);
    if (node_is_bool(b->condition, true)) {
        for (uint32_t k = 0; k < b->scope.block.n; k++) PUSH(l->c, &l->scope->block, b->scope.block.at[k]);
        return;
    }
    if (b->scope.block.n == 0) return;
    Statement *s = emit(l, S_IF);
    s->condition = b->condition;
    s->body = b->scope.block;
}
