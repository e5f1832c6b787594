/* A call of a pattern: what its sizes, arguments and inputs are, and the oracles that take them. */
#include "compiler/command/call.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "compiler/command/sample.h"
#include "compiler/example.h"
#include "compiler/execute.h"
#include "compiler/interpret.h"

static const Index *bound_index(const Index *index)
{
    return !index->extent && index->root ? index->root : index;
}

static bool is_input(const Tensor *t) { return t->role == ROLE_INPUT || t->role == ROLE_CAPTURE; }

StorageType call_storage(const Call *call, const Tensor *t)
{
    if (t->type == TYPE_INT) return STORAGE_INT;
    if (t->type == TYPE_BOOL) return STORAGE_BOOL;
    if (t->storage != STORAGE_FLOAT) return t->storage;
    return call->real != STORAGE_FLOAT ? call->real : call->f64 ? STORAGE_F64 : STORAGE_F32;
}

void call_init(Call *call, Compilation *c, Pattern *pattern, bool f64)
{
    *call = (Call){.c = c, .pattern = pattern, .f64 = f64};
    call->extents = NEW_ARRAY(c, int64_t, pattern->indices.n + 1);
    call->params = NEW_ARRAY(c, Scalar, pattern->params.n + 1);
    call->param_set = NEW_ARRAY(c, bool, pattern->params.n + 1);
    call->tensors = NEW_ARRAY(c, CallTensor, pattern->tensors.n + 1);
    for (uint32_t k = 0; k < pattern->indices.n; k++) call->extents[k] = -1;
    for (uint32_t k = 0; k < pattern->tensors.n; k++) call->tensors[k].tensor = pattern->tensors.at[k];
}

/* --- what is given --- */

const char *call_set_size(Call *call, const char *index, int64_t extent)
{
    if (extent < 0) return format(call->c, "size %s = %lld is negative", index, (long long)extent);
    for (uint32_t k = 0; k < call->pattern->indices.n; k++) {
        const Index *found = call->pattern->indices.at[k];
        if (strcmp(found->name, index)) continue;
        call->extents[found->number] = extent;
        return NULL;
    }
    return format(call->c, "pattern '%s' has no tensor with an index '%s'", call->pattern->name, index);
}

static Scalar param_value(const Param *p, double value)
{
    return p->type == TYPE_REAL ? scalar_real(value) : scalar_int(scalar_truncate(value));
}

const char *call_set_param(Call *call, const char *param, double value)
{
    for (uint32_t k = 0; k < call->pattern->params.n; k++) {
        const Param *p = call->pattern->params.at[k];
        if (strcmp(p->name, param)) continue;
        call->params[p->number] = param_value(p, value);
        call->param_set[p->number] = true;
        return NULL;
    }
    return format(call->c, "pattern '%s' has no parameter '%s'", call->pattern->name, param);
}

static double array_number(const Array *a, size_t k)
{
    switch (a->type) {
    case TYPE_REAL: return ((const double *)a->data)[k];
    case TYPE_INT: return (double)((const int64_t *)a->data)[k];
    default: return ((const uint8_t *)a->data)[k];
    }
}

/* Fractions are no ints, and only 0 and 1 are bools. */
static bool converts(Type type, const Array *a, double x)
{
    if (type == TYPE_INT) return a->type != TYPE_REAL || (x == trunc(x) && fabs(x) < 0x1p63);
    return type != TYPE_BOOL || x == 0 || x == 1;
}

/* Numbers of an array as those of a tensor. */
static const char *convert(Call *call, CallTensor *t, const Array *a)
{
    Type type = t->tensor->type;
    t->data = arena_alloc(call->c, a->n * type_bytes(type) + 1);
    for (size_t k = 0; k < a->n; k++) {
        double x = array_number(a, k);
        if (!converts(type, a, x))
            return format(call->c, "'%s' holds %ss, but element %zu of its data is %g", t->tensor->name,
                          type == TYPE_INT ? "int" : "bool", k, x);
        if (type == TYPE_REAL) ((double *)t->data)[k] = storage_round(call_storage(call, t->tensor), x);
        else if (type == TYPE_BOOL) ((uint8_t *)t->data)[k] = x != 0;
        else ((int64_t *)t->data)[k] = a->type == TYPE_INT ? ((const int64_t *)a->data)[k] : (int64_t)x;
    }
    return NULL;
}

CallTensor *call_find_input(Call *call, const char *tensor)
{
    for (uint32_t k = 0; k < call->pattern->tensors.n; k++)
        if (is_input(call->tensors[k].tensor) && !strcmp(call->tensors[k].tensor->name, tensor))
            return &call->tensors[k];
    return NULL;
}

const char *call_set_array(Call *call, const char *tensor, const Array *array)
{
    Compilation *c = call->c;
    CallTensor *t = call_find_input(call, tensor);
    if (!t) return format(c, "pattern '%s' has no input '%s'", call->pattern->name, tensor);
    if (array->rank != (int)t->tensor->n_dims)
        return format(c, "'%s' has %u dimensions, its data %d", tensor, t->tensor->n_dims, array->rank);
    t->shape = NEW_ARRAY(c, int64_t, array->rank + 1);
    if (array->rank) memcpy(t->shape, array->shape, (size_t)array->rank * sizeof *t->shape);
    t->n = array->n;
    t->given = true;
    return convert(call, t, array);
}

/* --- parameters and extents --- */

static bool has_example(const Pattern *pattern, const Param *param, const Index *index)
{
    for (uint32_t k = 0; k < pattern->examples.n; k++) {
        const Example *e = &pattern->examples.at[k];
        if ((param && e->param == param) || (index && e->index == index)) return true;
    }
    return false;
}

static const char *complete_params(Call *call)
{
    for (uint32_t k = 0; k < call->pattern->params.n; k++) {
        const Param *p = call->pattern->params.at[k];
        if (call->param_set[p->number]) continue;
        if (!p->fixed && !p->has_default && !has_example(call->pattern, p, NULL))
            return format(call->c, "parameter '%s' needs a value: -D %s=...", p->name, p->name);
        double value = example_param(call->c, call->pattern, p);
        call->params[p->number] = param_value(p, value);
    }
    return NULL;
}

/* May the tensor be bound with fewer than all elements along this dimension? */
static bool broadcasts(const Tensor *t, unsigned d)
{
    return is_input(t) && (d < t->n_ambient || t->dims[d]->ambient);
}

/* The largest one counts, but 0 if there is one. */
static void extents_of_array(Call *call, const CallTensor *t, const bool *sized)
{
    for (unsigned d = 0; d < t->tensor->n_dims; d++) {
        const Index *index = bound_index(t->tensor->dims[d]);
        if (index->extent || sized[index->number]) continue;
        int64_t *extent = &call->extents[index->number];
        bool larger = broadcasts(t->tensor, d) && *extent > 0 && t->shape[d] > *extent;
        if (*extent < 0 || larger || t->shape[d] == 0) *extent = t->shape[d];
    }
}

static void extents_of_arrays(Call *call)
{
    bool *sized = NEW_ARRAY(call->c, bool, call->pattern->indices.n + 1);
    for (uint32_t k = 0; k < call->pattern->indices.n; k++) sized[k] = call->extents[k] >= 0;
    for (uint32_t k = 0; k < call->pattern->tensors.n; k++)
        if (call->tensors[k].data) extents_of_array(call, &call->tensors[k], sized);
}

static const char *extents_of_example(Call *call)
{
    const Pattern *pattern = call->pattern;
    for (uint32_t k = 0; k < pattern->examples.n; k++) {
        const Example *e = &pattern->examples.at[k];
        double value;
        if (!e->index || call->extents[e->index->number] >= 0) continue;
        if (!example_number(call->c, pattern, e->value, call->extents, &value) || value < 0 || value > 0x1p48)
            return format(call->c, "the example's size of '%s' cannot be used", e->name);
        call->extents[e->index->number] = (int64_t)value;
    }
    for (uint32_t k = 0; k < pattern->indices.n; k++)
        if (call->extents[k] < 0) call->extents[k] = example_extent(call->c, pattern, pattern->indices.at[k]);
    return NULL;
}

/* --- shapes --- */

size_t call_elements(const int64_t *shape, unsigned rank)
{
    size_t n = 1;
    for (unsigned k = 0; k < rank; k++)
        if (shape[k] <= 0) return 0;
    for (unsigned k = 0; k < rank; k++)
        if (__builtin_mul_overflow(n, (size_t)shape[k], &n)) return SIZE_MAX;
    return n;
}

static const char *full_shape(Call *call, CallTensor *t)
{
    const Tensor *tensor = t->tensor;
    t->full = NEW_ARRAY(call->c, int64_t, tensor->n_dims + 1);
    for (unsigned d = 0; d < tensor->n_dims; d++) {
        const Index *index = bound_index(tensor->dims[d]);
        double extent = 0;
        if (!index->extent) extent = (double)call->extents[index->number];
        else if (!example_evaluate(index->extent, call->extents, (const int64_t *)call->params, &extent))
            return format(call->c, "the extent of '%s' cannot be evaluated", index->name);
        if (extent > INT32_MAX)
            return format(call->c, "'%s' would be too large along '%s'", tensor->name, index->name);
        t->full[d] = extent > 0 ? (int64_t)extent : 0;
    }
    if (call_elements(t->full, tensor->n_dims) > SIZE_MAX / 64)
        return format(call->c, "'%s' would be too large", tensor->name);
    return NULL;
}

static const char *check_shape(const Call *call, const CallTensor *t)
{
    for (unsigned d = 0; d < t->tensor->n_dims; d++) {
        const Tensor *tensor = t->tensor;
        int64_t is = t->shape[d], full = t->full[d];
        bool grouped = is_input(tensor) && tensor->dims[d]->heads && is > 0 && full % is == 0;
        if (is == full || grouped || (broadcasts(tensor, d) && is == 1)) continue;
        return format(call->c, "'%s' has extent %lld along '%s', which is %lld", tensor->name, (long long)is,
                      tensor->dims[d]->name, (long long)full);
    }
    return NULL;
}

static const char *complete_tensor(Call *call, CallTensor *t, uint64_t seed, bool optional)
{
    const char *wrong = full_shape(call, t);
    if (wrong) return wrong;
    if (t->shape) return check_shape(call, t);
    t->given = !t->tensor->optional || optional;
    t->shape = t->full;
    t->n = call_elements(t->full, t->tensor->n_dims);
    bool skipped = call->most_reals && t->n > call->most_reals && t->tensor->type == TYPE_REAL;
    if (!t->given || !is_input(t->tensor) || skipped) return NULL;
    t->data = arena_alloc(call->c, t->n * type_bytes(t->tensor->type) + 1);
    return sample_fill(call, t, seed);
}

const char *call_complete(Call *call, uint64_t seed, bool optional)
{
    const char *wrong = complete_params(call);
    if (!wrong) extents_of_arrays(call);
    if (!wrong) wrong = extents_of_example(call);
    for (uint32_t k = 0; !wrong && k < call->pattern->tensors.n; k++)
        wrong = complete_tensor(call, &call->tensors[k], seed, optional);
    return wrong;
}

/* --- the oracles --- */

double call_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Data over all of a tensor's coordinates: what was bound once is repeated. */
static void *expand(Call *call, const CallTensor *t)
{
    unsigned rank = t->tensor->n_dims;
    if (!rank || !memcmp(t->shape, t->full, rank * sizeof *t->full)) return t->data;
    size_t n = call_elements(t->full, rank), size = type_bytes(t->tensor->type);
    char *out = arena_alloc(call->c, n * size + 1);
    for (size_t k = 0; k < n; k++) {
        size_t rest = k, from = 0, stride = 1;
        for (unsigned d = rank; d-- > 0;) {
            size_t at = rest % (size_t)t->full[d];
            rest /= (size_t)t->full[d];
            from += stride * (at / (size_t)(t->full[d] / t->shape[d]));
            stride *= (size_t)t->shape[d];
        }
        memcpy(out + k * size, (const char *)t->data + from * size, size);
    }
    return out;
}

typedef struct Oracle {
    InterpretArguments arguments;
    InterpretTensor *inputs, *outputs;
    unsigned n_outputs;
} Oracle;

/* result NULL: outputs are given, but no data is wanted. */
static Oracle oracle(Call *call, CallResult *result)
{
    uint32_t n = call->pattern->tensors.n;
    Oracle o = {.inputs = NEW_ARRAY(call->c, InterpretTensor, n + 1),
                .outputs = NEW_ARRAY(call->c, InterpretTensor, n + 1)};
    o.arguments = (InterpretArguments){.extents = call->extents, .params = call->params, .tensors = o.inputs,
                                        .limit = call->limit};
    if (result) *result = (CallResult){.data = NEW_ARRAY(call->c, void *, n + 1)};
    for (uint32_t k = 0; k < n; k++) {
        CallTensor *t = &call->tensors[k];
        if (is_input(t->tensor)) {
            void *data = t->data ? expand(call, t) : NULL;
            o.inputs[o.arguments.n_tensors++] = (InterpretTensor){t->tensor, data, t->given};
        } else if (t->given && !result) {
            o.inputs[o.arguments.n_tensors++] = (InterpretTensor){t->tensor, NULL, true};
        } else if (t->given) {
            result->data[k] = arena_alloc(call->c, t->n * type_bytes(t->tensor->type) + 1);
            o.outputs[o.n_outputs++] = (InterpretTensor){t->tensor, result->data[k], true};
        }
    }
    return o;
}

InterpretArguments *call_arguments(Call *call)
{
    InterpretArguments *arguments = NEW(call->c, InterpretArguments);
    *arguments = oracle(call, NULL).arguments;
    return arguments;
}

const char *call_interpret(Call *call, const Graph *graph, CallResult *result)
{
    Oracle o = oracle(call, result);
    o.arguments.operations = &result->operations;
    double start = call_now();
    const char *wrong = interpret(call->c, graph, &o.arguments, o.outputs, o.n_outputs);
    result->seconds = call_now() - start;
    return wrong;
}

const char *call_execute(Call *call, const Kernel *kernel, CallResult *result)
{
    Oracle o = oracle(call, result);
    ExecuteCounts counts = {0};
    ExecuteOptions options = {.f32 = !call->f64, .limit = call->limit};
    double start = call_now();
    const char *wrong = execute(call->c, kernel, &o.arguments, o.outputs, o.n_outputs, &options, &counts);
    result->seconds = call_now() - start;
    result->operations = execute_work(&counts);
    result->stores = counts.stores;
    return wrong;
}
