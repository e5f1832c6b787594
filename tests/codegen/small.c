/* See small.h. A failure of the machinery ends the test by abort(). */
#include "small.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void stop(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why ? why : "failed");
    abort();
}

void small_begin(Small *s, const char *name, bool f64)
{
    memset(s, 0, sizeof *s);
    compilation_init(&s->c);
    if (setjmp(s->c.escape)) stop(name, s->c.fatal);
    s->pattern.name = name;
    s->kernel.pattern = &s->pattern;
    s->job = (BackendJob){.c = &s->c, .program = &s->program, .f64 = f64, .source_path = "small.attn",
                          .source_hash = {0x1234, 0x5678}};
    const char *folder = getenv("TMPDIR");
    snprintf(s->folder, sizeof s->folder, "%.40s/attn-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(s->folder)) stop(s->folder, "cannot create");
}

void small_end(Small *s)
{
    if (s->library) dlclose(s->library);
    unlink(format(&s->c, "%s/k.so", s->folder));
    rmdir(s->folder);
    compilation_free(&s->c);
}

Index *small_index(Small *s, const char *name)
{
    Index *index = index_new(&s->c, name, (Span){0});
    index->number = s->pattern.indices.n;
    PUSH(&s->c, &s->pattern.indices, index);
    return index;
}

static Tensor *new_tensor(Small *s, const char *name, Role role, StorageType storage, Type type,
                          Index *const *dims)
{
    Tensor *t = NEW(&s->c, Tensor);
    *t = (Tensor){.name = name, .id = s->c.next_tensor++, .role = role, .storage = storage, .type = type,
                  .recurrence_axis = -1, .data = type == TYPE_REAL};
    while (dims[t->n_dims]) t->n_dims++;
    t->dims = NEW_ARRAY(&s->c, Index *, t->n_dims + 1);
    memcpy(t->dims, dims, t->n_dims * sizeof *dims);
    return t;
}

Tensor *small_tensor(Small *s, const char *name, Role role, StorageType storage, Type type,
                     Index *const *dims)
{
    Tensor *t = new_tensor(s, name, role, storage, type, dims);
    t->number = s->pattern.tensors.n;
    PUSH(&s->c, &s->pattern.tensors, t);
    PUSH(&s->c, &s->kernel.buffers, (Buffer){.tensor = t, .kind = BUFFER_BOUND, .ring = -1});
    return t;
}

Tensor *small_buffer(Small *s, const char *name, BufferKind kind, Type type, bool exact, Index *const *dims)
{
    Tensor *t = new_tensor(s, name, ROLE_EQUATION, STORAGE_FLOAT, type, dims);
    Buffer own = {.tensor = t, .kind = kind, .exact = exact, .ring = -1, .shares = s->kernel.buffers.n};
    PUSH(&s->c, &s->kernel.buffers, own);
    return t;
}

Param *small_param(Small *s, const char *name, Type type)
{
    Param *p = NEW(&s->c, Param);
    *p = (Param){.name = name, .type = type, .number = s->pattern.params.n};
    PUSH(&s->c, &s->pattern.params, p);
    return p;
}

Local *small_local(Small *s, const char *name, Type type, bool exact)
{
    Local *local = NEW(&s->c, Local);
    *local = (Local){name, type, exact, s->kernel.n_locals++};
    return local;
}

Phase *small_phase(Small *s, Index *const *tasks)
{
    Phase phase = {.name = "phase"};
    while (tasks[phase.n_tasks]) phase.n_tasks++;
    phase.tasks = NEW_ARRAY(&s->c, Index *, phase.n_tasks + 1);
    memcpy(phase.tasks, tasks, phase.n_tasks * sizeof *tasks);
    PUSH(&s->c, &s->kernel.phases, phase);
    return &s->kernel.phases.at[s->kernel.phases.n - 1];
}

unsigned small_check(Small *s, CheckKind kind, const char *text, Node *test)
{
    PUSH(&s->c, &s->kernel.checks, (Check){.kind = kind, .text = text, .test = test});
    return s->kernel.checks.n - 1;
}

static Statement *add(Small *s, Block *block, Statement content)
{
    Statement *statement = NEW(&s->c, Statement);
    *statement = content;
    PUSH(&s->c, block, statement);
    return statement;
}

static Node **copy_nodes(Small *s, Node **nodes, unsigned n)
{
    Node **copy = NEW_ARRAY(&s->c, Node *, n + 1);
    if (n) memcpy(copy, nodes, n * sizeof *nodes);
    return copy;
}

Statement *small_store(Small *s, Block *block, Tensor *t, Node **subscripts, Node *value)
{
    return add(s, block, (Statement){.kind = S_STORE, .tensor = t, .value = value,
                                     .subscripts = copy_nodes(s, subscripts, t->n_dims)});
}

Statement *small_set(Small *s, Block *block, Local *local, Node *value)
{
    return add(s, block, (Statement){.kind = S_SET, .local = local, .value = value});
}

Statement *small_for(Small *s, Block *block, Index *variable, LoopKind kind)
{
    return add(s, block, (Statement){.kind = S_FOR, .variable = variable, .lo = node_int(&s->c, 0),
                                     .hi = node_size(&s->c, variable), .loop = kind});
}

Node *small_read(Small *s, Tensor *t, Node **subscripts) { return node_read(&s->c, t, subscripts, false); }

static Node **own_indices(Small *s, const Tensor *t)
{
    Node **at = NEW_ARRAY(&s->c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) at[d] = node_index(&s->c, t->dims[d]);
    return at;
}

Node *small_at(Small *s, Tensor *t) { return small_read(s, t, own_indices(s, t)); }

Statement *small_store_at(Small *s, Block *block, Tensor *t, Node *value)
{
    return small_store(s, block, t, own_indices(s, t), value);
}

void small_open(Small *s, const char *cpu)
{
    if (!s->job.variants.n) PUSH(&s->c, &s->job.variants, (Variant){&s->kernel, cpu, NULL});
    const char *path = format(&s->c, "%s/k.so", s->folder);
    const char *error = attn_backend()->emit(&s->job, EMIT_SHARED, path, NULL);
    if (error) stop(s->pattern.name, error);
    s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!s->library) stop(path, dlerror());
    s->module = dlsym(s->library, ATTN_MODULE_SYMBOL);
    if (!s->module) stop(path, dlerror());
}

int small_run(Small *s, unsigned number, const AttnTensor *tensors, const int64_t *extents,
              const int64_t *params)
{
    const AttnPattern *p = &s->module->patterns[number];
    int32_t status = 0;
    int64_t *tasks = NEW_ARRAY(&s->c, int64_t, p->n_phases + 1);
    AttnPlan plan = {.tasks = tasks};
    AttnCall call = {tensors, extents, params, NULL, &status};
    int32_t refused = p->prepare(&call, &plan);
    if (refused) return refused;
    call.workspace = aligned_alloc(64, plan.workspace + 64);
    void *scratch = aligned_alloc(64, plan.scratch + 64);
    for (int32_t k = 0; k < p->n_phases; k++) p->phase(&call, k, 0, tasks[k], scratch);
    free(call.workspace);
    free(scratch);
    return status;
}

void small_attention(Small *s)
{
    Compilation *c = &s->c;
    Index *h = small_index(s, "h"), *i = small_index(s, "i"), *j = small_index(s, "j"),
          *d = small_index(s, "d");
    h->heads = h->ambient = true;
    Tensor *q = small_tensor(s, "q", ROLE_INPUT, F, TYPE_REAL, DIMS(h, i, d));
    Tensor *k = small_tensor(s, "k", ROLE_INPUT, F, TYPE_REAL, DIMS(h, j, d));
    Tensor *v = small_tensor(s, "v", ROLE_INPUT, F, TYPE_REAL, DIMS(h, j, d));
    Tensor *o = small_tensor(s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(h, i, d));
    Tensor *sum = small_buffer(s, "sum", BUFFER_SCRATCH, TYPE_REAL, false, DIMS(d));
    Local *m = small_local(s, "m", TYPE_REAL, false), *l = small_local(s, "l", TYPE_REAL, false);
    Local *x = small_local(s, "x", TYPE_REAL, false), *w = small_local(s, "w", TYPE_REAL, false);
    Local *up = small_local(s, "up", TYPE_REAL, false), *old = small_local(s, "old", TYPE_REAL, false);
    Node *nm = node_local(c, m), *nl = node_local(c, l), *nx = node_local(c, x), *nw = node_local(c, w);
    Block *body = &small_phase(s, DIMS(h, i))->body;
    small_set(s, body, m, node_real(c, -INFINITY));
    small_set(s, body, l, node_real(c, 0));
    small_store_at(s, &small_for(s, body, d, LOOP_SERIAL)->body, sum, node_real(c, 0));
    Statement *keys = small_for(s, body, j, LOOP_SERIAL);
    keys->hi =
        node_binary(c, N_MIN, node_size(c, j), node_binary(c, N_ADD, node_index(c, i), node_int(c, 1)));
    small_set(s, &keys->body, x, node_real(c, 0));
    Block *dot = &small_for(s, &keys->body, d, LOOP_SERIAL)->body;
    small_set(s, dot, x, node_binary(c, N_ADD, nx, node_binary(c, N_MUL, small_at(s, q), small_at(s, k))));
    Node *root = node_unary(c, N_SQRT, node_unary(c, N_TO_REAL, node_size(c, d)));
    small_set(s, &keys->body, x, node_binary(c, N_DIV, nx, root));
    small_set(s, &keys->body, old, nm);
    small_set(s, &keys->body, m, node_binary(c, N_MAX, nm, nx));
    small_set(s, &keys->body, up, node_unary(c, N_EXP, node_binary(c, N_SUB, node_local(c, old), nm)));
    small_set(s, &keys->body, w, node_unary(c, N_EXP, node_binary(c, N_SUB, nx, nm)));
    small_set(s, &keys->body, l, node_binary(c, N_ADD, node_binary(c, N_MUL, nl, node_local(c, up)), nw));
    Block *add = &small_for(s, &keys->body, d, LOOP_SERIAL)->body;
    Node *grown = node_binary(c, N_ADD, node_binary(c, N_MUL, small_at(s, sum), node_local(c, up)),
                              node_binary(c, N_MUL, nw, small_at(s, v)));
    small_store_at(s, add, sum, grown);
    small_store_at(s, &small_for(s, body, d, LOOP_SERIAL)->body, o,
                   node_binary(c, N_DIV, small_at(s, sum), nl));
}
