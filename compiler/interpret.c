/* The interpreter's interface, and elements of equations on demand. A read of an unknown element evaluates
 * it then and there, which recurses; where the C stack has grown too far, the whole evaluation is given
 * up, the element is put on a list of demands and evaluated first, from the ground. What is finished stays
 * remembered, so little is lost, and the stack needed does not depend on extents. */
#include "interpret_cells.h"

#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 512 << 10, MAX_DEMANDS = 1 << 24 };

void interpret_fail(Interpreter *in, const char *text)
{
    in->error = text;
    longjmp(in->memory.escape, 1);
}

int64_t interpret_extent(Interpreter *in, const Index *index)
{
    if (index->id >= MAX_INDICES) BUG(&in->memory, "index '%s' has number %u", index->name, index->id);
    int64_t *known = &in->extent[index->id];
    if (*known >= 0) return *known;
    if (!index->extent) return *known = in->arguments->extents[index->number];
    *known = interpret_eval(in, interpret_build(in, index->extent)).i;
    if (*known >= 0) return *known;
    long long extent = *known;
    *known = -1;
    interpret_fail(in, format(&in->memory, "index '%s' would have %lld positions", index->name, extent));
}

static const InterpretTensor *argument(const Interpreter *in, const Tensor *tensor)
{
    const InterpretArguments *a = in->arguments;
    for (unsigned k = 0; k < a->n_tensors; k++)
        if (a->tensors[k].tensor == tensor && a->tensors[k].given) return &a->tensors[k];
    return NULL;
}

Table *interpret_table(Interpreter *in, const Tensor *tensor)
{
    Table *t = in->tables[tensor->id];
    if (t) return t;
    t = in->tables[tensor->id] = NEW(&in->memory, Table);
    t->tensor = tensor;
    t->n_dims = tensor->n_dims;
    if (tensor->n_dims > MAX_DIMS) BUG(&in->memory, "'%s' has %u dimensions", tensor->name, tensor->n_dims);
    t->extents = NEW_ARRAY(&in->memory, int64_t, tensor->n_dims + 1);
    for (unsigned k = 0; k < tensor->n_dims; k++) t->extents[k] = interpret_extent(in, tensor->dims[k]);
    const InterpretTensor *given = argument(in, tensor);
    if (given) t->data = given->data ? given->data : NEW(&in->memory, Scalar); /* it may have no elements */
    else if (tensor->body && !store_init(in, &t->store, t->extents, t->n_dims))
        interpret_fail(in, format(&in->memory, "'%s' is too large for the interpreter", tensor->name));
    return t;
}

static void build_body(Interpreter *in, Table *t)
{
    const Tensor *tensor = t->tensor;
    if (!tensor->body) BUG(&in->memory, "'%s' is read, but not given", tensor->name);
    IndexSet scope = in->scope;
    bool twice = in->twice;
    memset(&in->scope, 0, sizeof in->scope);
    for (unsigned k = 0; k < t->n_dims; k++) set_add(&in->scope, tensor->dims[k]->id);
    in->twice = false;
    t->body = interpret_build(in, tensor->body);
    in->scope = scope;
    in->twice = twice;
}

/* Before anything is evaluated: building changes Cells that others share, so none may be at work then. */
static void build_bodies(Interpreter *in)
{
    for (uint32_t k = 0; k < in->g->equations.n; k++) {
        Table *t = interpret_table(in, in->g->equations.at[k]);
        if (!t->data && !t->body) build_body(in, t);
    }
}

/* Evaluates and remembers an element that is not known. */
static Scalar element(Interpreter *in, Table *t, uint64_t at, const int64_t *x)
{
    int64_t saved[MAX_DIMS];
    if (!t->body) build_body(in, t);
    for (unsigned k = 0; k < t->n_dims; k++) {
        int64_t *slot = &in->value[t->tensor->dims[k]->id];
        saved[k] = *slot;
        *slot = x[k];
    }
    Scalar value = interpret_eval(in, t->body);
    for (unsigned k = 0; k < t->n_dims; k++) in->value[t->tensor->dims[k]->id] = saved[k];
    store_put(in, &t->store, at, value);
    if (in->operations > in->limit) interpret_fail(in, "more operations than allowed");
    return value;
}

static void demand(Interpreter *in, Table *t, uint64_t at)
{
    if (in->demands.n > MAX_DEMANDS) BUG(&in->memory, "'%s' seems to need itself", t->tensor->name);
    PUSH(&in->memory, &in->demands, (Demand){t, at});
}

Scalar interpret_read(Interpreter *in, Table *t, uint64_t at, const int64_t *x)
{
    char *here = __builtin_frame_address(0);
    if (in->stack - here > STACK_BYTES) {
        demand(in, t, at);
        longjmp(in->resume, 1);
    }
    return element(in, t, at, x);
}

static void settle_last(Interpreter *in)
{
    Demand d = in->demands.at[in->demands.n - 1];
    int64_t x[MAX_DIMS];
    uint64_t rest = d.at;
    for (unsigned k = d.table->n_dims; k-- > 0; rest /= (uint64_t)d.table->extents[k])
        x[k] = (int64_t)(rest % (uint64_t)d.table->extents[k]);
    if (!store_find(&d.table->store, d.at)) (void)element(in, d.table, d.at, x);
    in->demands.n--;
}

/* The value of an expression, or (NULL) nothing but all that is demanded. */
static Scalar drive(Interpreter *in, const Cell *expression)
{
    in->stack = __builtin_frame_address(0);
    (void)setjmp(in->resume);
    in->scratch.n = 0;
    while (in->demands.n > 0) settle_last(in);
    return expression ? interpret_eval(in, expression) : scalar_int(0);
}

static Scalar given_element(const Table *t, uint64_t at)
{
    switch (t->tensor->type) {
    case TYPE_REAL: return scalar_real(((const double *)t->data)[at]);
    case TYPE_INT: return scalar_int(((const int64_t *)t->data)[at]);
    default: return scalar_int(((const uint8_t *)t->data)[at] != 0);
    }
}

static Scalar value_at(Interpreter *in, Table *t, uint64_t at)
{
    if (t->data) return given_element(t, at);
    if (!store_find(&t->store, at)) {
        demand(in, t, at);
        drive(in, NULL);
    }
    return *store_find(&t->store, at);
}

static void put(Type type, void *data, uint64_t at, Scalar value)
{
    switch (type) {
    case TYPE_REAL: ((double *)data)[at] = value.r; break;
    case TYPE_INT: ((int64_t *)data)[at] = value.i; break;
    default: ((uint8_t *)data)[at] = value.i != 0; break;
    }
}

static bool start(Interpreter *in, const Graph *g, const InterpretArguments *arguments)
{
    if (setjmp(in->memory.escape)) return false;
    in->g = g;
    in->arguments = arguments;
    in->limit = arguments->limit ? arguments->limit : UINT64_MAX;
    for (unsigned k = 0; k < MAX_INDICES; k++) in->extent[k] = -1;
    in->tables = NEW_ARRAY(&in->memory, Table *, g->c->next_tensor + 1);
    in->n_cells = g->c->next_node + 1;
    in->cells = NEW_ARRAY(&in->memory, Cell *, in->n_cells);
    return true;
}

Interpreter *interpreter_new(const Graph *g, const InterpretArguments *arguments)
{
    Interpreter *in = calloc(1, sizeof *in);
    if (!in) return NULL;
    compilation_init(&in->memory);
    if (start(in, g, arguments)) return in;
    interpreter_free(in);
    return NULL;
}

void interpreter_free(Interpreter *in)
{
    if (!in) return;
    compilation_free(&in->memory);
    free(in);
}

/* What an entry point returns after it came out by the escape. */
static const char *failure(Interpreter *in)
{
    const char *text = in->error ? in->error : in->memory.fatal;
    in->error = NULL;
    in->demands.n = 0;
    in->twice = false;
    memset(&in->scope, 0, sizeof in->scope);
    return text;
}

static const char *check_range(Interpreter *in, const Tensor *tensor)
{
    if (!tensor->lo || tensor->body) return NULL;
    const Table *t = interpret_table(in, tensor);
    if (!t->data) return NULL;
    int64_t lo = interpret_eval(in, interpret_build(in, tensor->lo)).i;
    int64_t hi = interpret_eval(in, interpret_build(in, tensor->hi)).i;
    uint64_t count = 1;
    for (unsigned k = 0; k < t->n_dims; k++) count *= (uint64_t)t->extents[k];
    for (uint64_t at = 0; at < count; at++) {
        int64_t x = ((const int64_t *)t->data)[at];
        if (x < lo || x >= hi)
            return format(&in->memory, "'%s' has the value %lld, which is not in %lld..%lld", tensor->name,
                          (long long)x, (long long)lo, (long long)hi);
    }
    return NULL;
}

const char *interpreter_conditions(Interpreter *in)
{
    if (setjmp(in->memory.escape)) return failure(in);
    const Pattern *p = in->g->pattern;
    for (uint32_t k = 0; k < p->conditions.n; k++)
        if (!drive(in, interpret_build(in, p->conditions.at[k].test)).i)
            return format(&in->memory, "condition does not hold: %s", p->conditions.at[k].text);
    for (uint32_t k = 0; k < p->tensors.n; k++) {
        const char *problem = check_range(in, p->tensors.at[k]);
        if (problem) return problem;
    }
    return NULL;
}

const char *interpreter_evaluate(Interpreter *in, const Tensor *tensor, void *data)
{
    if (setjmp(in->memory.escape)) return failure(in);
    build_bodies(in);
    Table *t = interpret_table(in, tensor);
    uint64_t count = 1;
    for (unsigned k = 0; k < t->n_dims; k++) count *= (uint64_t)t->extents[k];
    for (uint64_t at = 0; at < count; at++) put(tensor->type, data, at, value_at(in, t, at));
    return NULL;
}

const char *interpreter_element(Interpreter *in, const Tensor *tensor, const int64_t *x, Scalar *value)
{
    if (setjmp(in->memory.escape)) return failure(in);
    build_bodies(in);
    Table *t = interpret_table(in, tensor);
    uint64_t at = 0;
    for (unsigned k = 0; k < t->n_dims; k++) {
        if (x[k] < 0 || x[k] >= t->extents[k]) return "no such element";
        at = at * (uint64_t)t->extents[k] + (uint64_t)x[k];
    }
    *value = value_at(in, t, at);
    return NULL;
}

const char *interpreter_scalar(Interpreter *in, Node *expression, Scalar *value)
{
    if (setjmp(in->memory.escape)) return failure(in);
    build_bodies(in);
    *value = drive(in, interpret_build(in, expression));
    return NULL;
}

int64_t interpreter_extent(Interpreter *in, const Index *index)
{
    if (setjmp(in->memory.escape)) return -1;
    return interpret_extent(in, index);
}

uint64_t interpreter_operations(const Interpreter *in) { return in->operations; }

static const char *run(Interpreter *in, const InterpretTensor *outputs, unsigned n_outputs)
{
    const char *problem = interpreter_conditions(in);
    for (unsigned k = 0; !problem && k < n_outputs; k++)
        problem = interpreter_evaluate(in, outputs[k].tensor, outputs[k].data);
    return problem;
}

const char *interpret(Compilation *c, const Graph *g, const InterpretArguments *arguments,
                      const InterpretTensor *outputs, unsigned n_outputs)
{
    Interpreter *in = interpreter_new(g, arguments);
    if (!in) return "out of memory";
    const char *problem = run(in, outputs, n_outputs);
    if (problem) problem = format(c, "%s", problem);
    if (arguments->operations) *arguments->operations = interpreter_operations(in);
    interpreter_free(in);
    return problem;
}
