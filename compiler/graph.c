/* Building and sorting the Graph. Requires: a checked Pattern. Ensures: equations in topological order,
 * unneeded ones dropped. Breaks: nothing. */
#include "graph.h"

#include <string.h>

typedef struct Visit { Compilation *c; NodeVisit *f; void *context; uint8_t *seen; } Visit;

static void visit(Visit *v, const Node *n)
{
    if (v->seen[n->id]) return;
    v->seen[n->id] = 1;
    v->f(v->context, n);
    for (unsigned k = 0; k < n->n_args; k++) visit(v, n->args[k]);
}

void node_visit(Compilation *c, const Node *n, NodeVisit *f, void *context)
{
    Visit v = {c, f, context, NEW_ARRAY(c, uint8_t, n->id + 1)}; /* operands are older than their operation */
    visit(&v, n);
}

static bool same_group(const Tensor *a, const Tensor *b) { return a->group != 0 && a->group == b->group; }

bool graph_reads_earlier_step(const Tensor *reader, const Node *read)
{
    const Tensor *t = read->tensor;
    if (!same_group(reader, t) || t->recurrence_axis < 0 || reader->recurrence_axis < 0) return false;
    const Node *at = read->args[t->recurrence_axis];
    return !(at->op == N_INDEX && at->index == reader->dims[reader->recurrence_axis]);
}

typedef struct Sort { Graph *g; uint8_t *state; } Sort;
enum { UNSEEN, OPEN, DONE };
/* The reads of one equation, in the order in which they stand. */
typedef struct Reads { Compilation *c; VEC(const Node *) at; } Reads;

static void add_read(void *context, const Node *n)
{
    Reads *r = context;
    if (n->op == N_READ && n->tensor->body) PUSH(r->c, &r->at, n);
}

static Reads reads_of(Compilation *c, const Tensor *t)
{
    Reads r = {.c = c};
    node_visit(c, t->body, add_read, &r);
    return r;
}

static void sort_equation(Sort *s, Tensor *t);

/* A member of a recurrence after those that it reads at the same step. */
static void sort_member(Sort *s, Tensor *t)
{
    if (s->state[t->id] == DONE) return;
    if (s->state[t->id] == OPEN) BUG(s->g->c, "equation '%s' needs itself at the same step", t->name);
    s->state[t->id] = OPEN;
    Reads r = reads_of(s->g->c, t);
    for (uint32_t k = 0; k < r.at.n; k++) {
        Tensor *read = r.at.at[k]->tensor;
        if (same_group(t, read) && !graph_reads_earlier_step(t, r.at.at[k])) sort_member(s, read);
    }
    s->state[t->id] = DONE;
    PUSH(s->g->c, &s->g->equations, t);
}

/* A recurrence: first all that it reads from outside, then its members, which so stand together. */
static void sort_group(Sort *s, Tensor *first)
{
    Compilation *c = s->g->c;
    VEC(Tensor *) members = {0};
    uint8_t *seen = NEW_ARRAY(c, uint8_t, c->next_tensor + 1);
    PUSH(c, &members, first);
    seen[first->id] = 1;
    for (uint32_t m = 0; m < members.n; m++) {
        Reads r = reads_of(c, members.at[m]);
        for (uint32_t k = 0; k < r.at.n; k++) {
            Tensor *read = r.at.at[k]->tensor;
            if (!same_group(first, read)) sort_equation(s, read);
            else if (!seen[read->id]) seen[read->id] = 1, PUSH(c, &members, read);
        }
    }
    for (uint32_t m = 0; m < members.n; m++) sort_member(s, members.at[m]);
}

static void sort_equation(Sort *s, Tensor *t)
{
    if (s->state[t->id] == DONE) return;
    if (s->state[t->id] == OPEN) BUG(s->g->c, "equation '%s' needs itself", t->name);
    if (t->group != 0) {
        sort_group(s, t);
        return;
    }
    s->state[t->id] = OPEN;
    Reads r = reads_of(s->g->c, t);
    for (uint32_t k = 0; k < r.at.n; k++) sort_equation(s, r.at.at[k]->tensor);
    s->state[t->id] = DONE;
    PUSH(s->g->c, &s->g->equations, t);
}

void graph_sort(Graph *g)
{
    Sort s = {.g = g, .state = NEW_ARRAY(g->c, uint8_t, g->c->next_tensor + 1)};
    g->equations.at = NULL;
    g->equations.n = g->equations.capacity = 0;
    for (uint32_t k = 0; k < g->pattern->tensors.n; k++) {
        Tensor *t = g->pattern->tensors.at[k];
        if (t->body) sort_equation(&s, t);
    }
}

Tensor *graph_find(const Graph *g, const char *name)
{
    for (uint32_t k = 0; k < g->equations.n; k++)
        if (strcmp(g->equations.at[k]->name, name) == 0) return g->equations.at[k];
    for (uint32_t k = 0; k < g->pattern->tensors.n; k++)
        if (strcmp(g->pattern->tensors.at[k]->name, name) == 0) return g->pattern->tensors.at[k];
    return NULL;
}

Graph *graph_build(Compilation *c, Pattern *pattern)
{
    Graph *g = NEW(c, Graph);
    g->c = c;
    g->pattern = pattern;
    graph_sort(g);
    return g;
}
