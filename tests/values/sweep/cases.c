/* Which sizes a pattern is tried at: each index in turn, the others as in the example. */
#include <math.h>
#include <string.h>

#include "compiler/command/sample.h"
#include "compiler/example.h"
#include "compiler/gpu.h"
#include "sweep.h"

#ifdef ATTN_SANITIZE /* slow, and looks at our own code alone: less will do */
static const int64_t long_sizes[] = {0, 1, 17, 65};
static const int64_t short_sizes[] = {0, 1, 5};
enum { FIXED = 0 };
#else
static const int64_t long_sizes[] = {0, 1, 2, 17, 63, 64, 65, 130};
static const int64_t short_sizes[] = {0, 1, 2, 5, 9}; /* for axes of spaces with several dimensions */
enum { FIXED = 2 }; /* indices with code of their own for some extents */
#endif
static const int64_t ambient_sizes[] = {0, 1, 3};
static const int64_t long_fixed[] = {17, 64}, short_fixed[] = {5, 9};

#define LENGTH(a) (unsigned)(sizeof(a) / sizeof *(a))

/* z, y, x, or the same of the keys. */
static char axis_letter(const Index *index)
{
    const char *name = index->name[0] == 'k' && index->name[1] ? index->name + 1 : index->name;
    return name[0] && !name[1] && strchr("xyz", name[0]) ? name[0] : 0;
}

static bool several_axes(const Pattern *pattern)
{
    unsigned seen = 0;
    for (uint32_t k = 0; k < pattern->indices.n; k++) {
        char letter = axis_letter(pattern->indices.at[k]);
        if (letter) seen |= 1u << (letter - 'x');
    }
    return __builtin_popcount(seen) > 1;
}

static bool is_short(const Pattern *pattern, const Index *index)
{
    return axis_letter(index) && several_axes(pattern);
}

static unsigned sizes_of(const Pattern *pattern, const Index *index, const int64_t **sizes)
{
    bool few = is_short(pattern, index);
    *sizes = index->ambient ? ambient_sizes : few ? short_sizes : long_sizes;
    return index->ambient ? LENGTH(ambient_sizes) : few ? LENGTH(short_sizes) : LENGTH(long_sizes);
}

/* Code for fixed extents takes long to make: by default of the longest indices alone. */
static bool is_long(Compilation *c, const Pattern *pattern, const Index *index)
{
    int64_t extent = example_extent(c, pattern, index);
    unsigned longer = 0;
    for (uint32_t k = 0; k < pattern->indices.n; k++) {
        const Index *other = pattern->indices.at[k];
        int64_t its = example_extent(c, pattern, other);
        longer += !other->ambient && (its > extent || (its == extent && k < index->number));
    }
    return longer + 1 <= FIXED;
}

unsigned cases_fixed(Compilation *c, const Pattern *pattern, const Index *index, bool full,
                     const int64_t **extents)
{
    if (index->ambient || (!full && !is_long(c, pattern, index))) return 0;
    *extents = is_short(pattern, index) ? short_fixed : long_fixed;
    return LENGTH(long_fixed);
}

static void add(Compilation *c, Cases *cases, Case a)
{
    a.optional = cases->n % 2 == 0; /* in turn */
    a.number = cases->n;
    PUSH(c, cases, a);
}

static void add_pairs(Compilation *c, const Pattern *pattern, const Index *index, int64_t extent,
                      Cases *cases)
{
    for (uint32_t k = 0; k < pattern->indices.n; k++) {
        const Index *other = pattern->indices.at[k];
        const int64_t *sizes;
        if (other->number <= index->number) continue;
        unsigned n = sizes_of(pattern, other, &sizes);
        for (unsigned i = 0; i < n; i++)
            add(c, cases, (Case){.index = {index, other}, .extent = {extent, sizes[i]}});
    }
}

static void add_bindings(Compilation *c, const Pattern *pattern, Cases *cases)
{
    const Index *heads = NULL;
    for (uint32_t k = 0; k < pattern->indices.n; k++)
        if (pattern->indices.at[k]->heads) heads = pattern->indices.at[k];
    if (!heads) return;
    add(c, cases, (Case){.index = {heads}, .extent = {4}, .binding = BIND_GROUPS});
    add(c, cases, (Case){.index = {heads}, .extent = {3}, .binding = BIND_ONE_HEAD});
    add(c, cases, (Case){.binding = BIND_BROADCAST});
}

void cases_list(Compilation *c, const Pattern *pattern, bool full, Cases *cases)
{
    add(c, cases, (Case){.all_orders = true});
    add(c, cases, (Case){.all_orders = true});
    add_bindings(c, pattern, cases);
    for (uint32_t k = 0; k < pattern->indices.n; k++) {
        const Index *index = pattern->indices.at[k];
        const int64_t *sizes;
        unsigned n = sizes_of(pattern, index, &sizes);
        for (unsigned i = 0; i < n; i++) {
            add(c, cases, (Case){.index = {index}, .extent = {sizes[i]}});
            if (full) add_pairs(c, pattern, index, sizes[i], cases);
        }
    }
}

/* The extent along dimension d with which an input is bound. */
static int64_t bound_extent(const CallTensor *t, unsigned d, Binding binding)
{
    const Index *index = t->tensor->dims[d];
    int64_t full = t->full[d];
    if (full < 1 || !index->ambient) return full;
    if (binding == BIND_BROADCAST) return 1;
    if (!index->heads) return full;
    return binding == BIND_ONE_HEAD ? 1 : full % 2 ? full : full / 2;
}

static const char *rebind(Call *call, CallTensor *t, Binding binding, uint64_t seed)
{
    unsigned rank = t->tensor->n_dims;
    t->shape = NEW_ARRAY(call->c, int64_t, rank + 1);
    for (unsigned d = 0; d < rank; d++) t->shape[d] = bound_extent(t, d, binding);
    CallTensor part = *t;
    part.full = t->shape;
    part.n = t->n = call_elements(t->shape, rank);
    part.data = t->data = arena_alloc(call->c, t->n * type_bytes(t->tensor->type) + 1);
    return sample_fill(call, &part, seed);
}

/* States that are handed in: some are divisors. */
static void make_positive(CallTensor *t)
{
    double *data = t->data;
    for (size_t k = 0; t->tensor->type == TYPE_REAL && k < t->n; k++) data[k] = fabs(data[k]);
}

static int64_t small_extent(const Pattern *pattern, const Index *index)
{
    return index->ambient ? 2 : is_short(pattern, index) ? 5 : 13;
}

const char *const *cases_features(Compilation *c, const Pattern *pattern, int64_t extent)
{
    const char **sizes = NEW_ARRAY(c, const char *, pattern->indices.n + 1);
    unsigned n = 0;
    for (uint32_t k = 0; k < pattern->indices.n; k++)
        if (gpu_is_feature(pattern, pattern->indices.at[k]))
            sizes[n++] = format(c, "%s=%lld", pattern->indices.at[k]->name, (long long)extent);
    sizes[n] = NULL;
    return sizes;
}

static const char *set_features(Call *call, int64_t extent)
{
    const char *wrong = NULL;
    for (uint32_t k = 0; !wrong && k < call->pattern->indices.n; k++)
        if (gpu_is_feature(call->pattern, call->pattern->indices.at[k]))
            wrong = call_set_size(call, call->pattern->indices.at[k]->name, extent);
    return wrong;
}

static const char *make_small(Call *call)
{
    const char *wrong = NULL;
    for (uint32_t k = 0; !wrong && k < call->pattern->indices.n; k++) {
        const Index *index = call->pattern->indices.at[k];
        int64_t extent = example_extent(call->c, call->pattern, index), most = small_extent(call->pattern, index);
        wrong = call_set_size(call, index->name, extent < most ? extent : most);
    }
    return wrong;
}

const char *cases_apply(Call *call, const Case *a, uint64_t seed)
{
    const char *wrong = a->small ? make_small(call) : NULL;
    if (!wrong && a->features) wrong = set_features(call, a->features);
    for (unsigned k = 0; !wrong && k < 2 && a->index[k]; k++)
        wrong = call_set_size(call, a->index[k]->name, a->extent[k]);
    if (!wrong) wrong = call_complete(call, seed, a->optional);
    for (uint32_t k = 0; !wrong && k < call->pattern->tensors.n; k++)
        if (call->tensors[k].tensor->optional && call->tensors[k].data) make_positive(&call->tensors[k]);
    bool first = true;
    for (uint32_t k = 0; !wrong && a->binding && k < call->pattern->tensors.n; k++) {
        CallTensor *t = &call->tensors[k];
        if (!t->data) continue;
        if (!first) wrong = rebind(call, t, a->binding, seed);
        first = false;
    }
    return wrong;
}

const char *cases_options(Compilation *c, const Case *a)
{
    static const char *const bindings[] = {"", " (fewer heads)", " (one head)", " (broadcast)"};
    Text text = {.c = c};
    if (a->features) text_add(&text, "(features %lld) ", (long long)a->features);
    for (unsigned k = 0; k < 2 && a->index[k]; k++)
        text_add(&text, "--size %s=%lld ", a->index[k]->name, (long long)a->extent[k]);
    text_add(&text, "%s%s", a->optional ? "--states" : "", bindings[a->binding]);
    return text.at;
}
