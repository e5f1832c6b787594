/* See world.h. */
#include "world.h"

#include <string.h>

void world_init(World *w)
{
    memset(w, 0, sizeof *w);
    compilation_init(&w->c);
    w->pattern.name = "test";
    w->random = 88172645463325252u;
}

void world_free(World *w) { compilation_free(&w->c); }

Index *world_index(World *w, const char *name, int64_t extent)
{
    Index *i = NEW(&w->c, Index);
    i->name = name;
    i->id = w->c.next_index++;
    i->root = i;
    i->number = w->pattern.indices.n;
    w->extents[i->number] = extent;
    PUSH(&w->c, &w->pattern.indices, i);
    return i;
}

static Tensor *tensor(World *w, Role role, const char *name, Type type, unsigned n, va_list dims)
{
    Tensor *t = NEW(&w->c, Tensor);
    t->name = name;
    t->id = w->c.next_tensor++;
    t->role = role;
    t->type = type;
    t->storage = type == TYPE_REAL ? STORAGE_FLOAT : type == TYPE_INT ? STORAGE_INT : STORAGE_BOOL;
    t->n_dims = n;
    t->dims = NEW_ARRAY(&w->c, Index *, n + 1);
    for (unsigned k = 0; k < n; k++) t->dims[k] = va_arg(dims, Index *);
    t->recurrence_axis = -1;
    t->number = w->pattern.tensors.n;
    if (role != ROLE_EQUATION) PUSH(&w->c, &w->pattern.tensors, t);
    return t;
}

Tensor *world_input(World *w, const char *name, Type type, void *data, unsigned n, ...)
{
    va_list dims;
    va_start(dims, n);
    Tensor *t = tensor(w, ROLE_INPUT, name, type, n, dims);
    va_end(dims);
    t->data = type == TYPE_REAL;
    w->given[w->n_given++] = (InterpretTensor){t, data, true};
    return t;
}

Tensor *world_equation(World *w, Role role, const char *name, Type type, Node *body, unsigned n, ...)
{
    va_list dims;
    va_start(dims, n);
    Tensor *t = tensor(w, role, name, type, n, dims);
    va_end(dims);
    t->body = body;
    PUSH(&w->c, &w->pattern.equations, t);
    return t;
}

const char *world_try(World *w, Tensor *t, void *data)
{
    Graph *g = graph_build(&w->c, &w->pattern);
    const char *problem = graph_verify(&w->c, g);
    if (problem) return problem;
    w->arguments.extents = w->extents;
    w->arguments.tensors = w->given;
    w->arguments.n_tensors = w->n_given;
    Interpreter *in = interpreter_new(g, &w->arguments);
    if (!in) return "out of memory";
    problem = interpreter_conditions(in);
    if (!problem) problem = interpreter_evaluate(in, t, data);
    if (problem) problem = format(&w->c, "%s", problem);
    w->operations = interpreter_operations(in);
    interpreter_free(in);
    return problem;
}

double world_random(World *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (double)(w->random >> 11) * 0x1p-52 - 1;
}

double *world_random_data(World *w, size_t n)
{
    double *data = NEW_ARRAY(&w->c, double, n + 1);
    for (size_t k = 0; k < n; k++) data[k] = world_random(w);
    return data;
}
