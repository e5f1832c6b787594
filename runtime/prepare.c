/* From what is bound to a call that generated code may run: extents that agree, the variant that fits,
 * views of the tensors, conditions, overlap. */
#include "internal.h"

#include <string.h>

static const AttnPattern *pattern_of(const AttnBinding *b) { return b->kernel->variants; }

static const char *index_name(const AttnBinding *b, int32_t index)
{
    return pattern_of(b)->indices[index].name;
}

static int find_name(const char *const *names, int n, const char *name, size_t length)
{
    for (int i = 0; i < n; i++)
        if (strncmp(names[i], name, length) == 0 && names[i][length] == 0)
            return i;
    return -1;
}

int rt_index_find(const AttnBinding *b, const char *name, size_t length)
{
    return find_name(b->kernel->desc.indices, b->kernel->desc.n_indices, name, length);
}

int rt_param_find(const AttnBinding *b, const char *name, size_t length)
{
    for (int i = 0; i < b->kernel->desc.n_params; i++)
        if (find_name(&b->kernel->desc.params[i].name, 1, name, length) == 0)
            return i;
    return -1;
}

/* ---- extents ---- */

/* One place that tells the extent of an index. */
typedef struct Told {
    int64_t extent;
    const char *by;
    bool broadcasts, divides;
} Told;

/* Ambient indices are the leading ones of tensors that do not name them; others may name them anywhere. */
static bool is_ambient(const AttnPattern *p, int32_t index)
{
    for (int32_t i = 0; i < p->n_tensors; i++)
        for (int32_t d = 0; d < p->tensors[i].ambient; d++)
            if (p->tensors[i].dims[d] == index)
                return true;
    return false;
}

/* The next place that tells about `index`, from position (tensor, dimension) on; false: no more. */
static bool next_told(const AttnBinding *b, int32_t index, int32_t *tensor, int32_t *dim, Told *told)
{
    const AttnPattern *p = pattern_of(b);
    if (*tensor < 0) {
        *tensor = 0;
        if (b->stated[index] >= 0) {
            *told = (Told){.extent = b->stated[index], .by = "attn_set_extent"};
            return true;
        }
    }
    for (; *tensor < p->n_tensors; ++*tensor, *dim = 0) {
        const AttnTensorInfo *info = &p->tensors[*tensor];
        for (; b->tensors[*tensor].data && *dim < info->rank; ++*dim) {
            if (info->dims[*dim] != index)
                continue;
            bool input = info->role != ATTN_OUTPUT;
            *told = (Told){b->tensors[*tensor].shape[*dim], info->name, input && is_ambient(p, index),
                           input && *dim == info->heads};
            ++*dim;
            return true;
        }
    }
    return false;
}

static AttnStatus disagree(const AttnBinding *b, int32_t index, const Told *told, const Told *most,
                           AttnError *error)
{
    const char *name = index_name(b, index);
    if (told->broadcasts || told->divides)
        return rt_wrong(b, error, SHAPE,
                        "the extent of %s is %lld in %s, but %lld in %s; there it must be the same%s%s", name,
                        (long long)most->extent, most->by, (long long)told->extent, told->by,
                        told->broadcasts ? " or 1" : "", told->divides ? " or a divisor" : "");
    return rt_wrong(b, error, SHAPE, "the extent of %s is %lld in %s, but %lld in %s", name,
                    (long long)most->extent, most->by, (long long)told->extent, told->by);
}

/* The largest extent told (0 if one is 0), which all others must fit. */
static AttnStatus unify_index(AttnBinding *b, int32_t index, AttnError *error)
{
    Told told, most = {.extent = -1};
    for (int32_t tensor = -1, dim = 0; next_told(b, index, &tensor, &dim, &told);)
        if (most.extent != 0 && (told.extent == 0 || told.extent > most.extent))
            most = told;
    for (int32_t tensor = -1, dim = 0; next_told(b, index, &tensor, &dim, &told);) {
        bool fits = told.extent == most.extent || (told.broadcasts && told.extent == 1) ||
                    (told.divides && told.extent > 0 && most.extent % told.extent == 0);
        if (!fits)
            return disagree(b, index, &told, &most, error);
    }
    b->extents[index] = most.extent;
    return ATTN_OK;
}

AttnStatus rt_unify(AttnBinding *b, AttnError *error)
{
    AttnStatus status = ATTN_OK;
    for (int32_t i = 0; i < pattern_of(b)->n_indices && !status; i++)
        status = unify_index(b, i, error);
    return status;
}

/* ---- what must be there ---- */

static AttnStatus check_present(const AttnBinding *b, bool to_run, AttnError *error)
{
    const AttnPattern *p = pattern_of(b);
    for (int32_t i = 0; i < p->n_tensors && to_run; i++)
        if (!b->tensors[i].data && !p->tensors[i].optional)
            return rt_wrong(b, error, MISSING, "%s is not bound", p->tensors[i].name);
    for (int32_t i = 0; i < p->n_params; i++)
        if (!b->is_set[i])
            return rt_wrong(b, error, MISSING, "parameter %s has no default and is not set",
                            p->params[i].name);
    for (int32_t i = 0; i < p->n_indices; i++)
        if (b->extents[i] < 0 && !p->indices[i].derived)
            return rt_wrong(b, error, MISSING, "the extent of %s is not known: no bound tensor has it",
                            index_name(b, i));
    return ATTN_OK;
}

static AttnStatus check_int_types(const AttnBinding *b, AttnError *error)
{
    const AttnPattern *p = pattern_of(b);
    for (int32_t i = 0; i < p->n_tensors; i++) {
        int64_t low, high, least, greatest;
        const RtTensor *t = &b->tensors[i];
        if (!t->data || !p->tensors[i].range || !rt_range(b, p->tensors[i].range, &low, &high) || low >= high)
            continue;
        rt_type_limits(t->type, &least, &greatest);
        if (low < least || high - 1 > greatest)
            return rt_wrong(b, error, TYPE,
                            "%s is bound to %s, which does not hold its range %s = %lld..%lld",
                            p->tensors[i].name, rt_type_name(t->type), p->tensors[i].range, (long long)low,
                            (long long)high);
    }
    return ATTN_OK;
}

/* Device tensors lie on one device. */
static AttnStatus check_device(AttnBinding *b, AttnError *error)
{
    const AttnPattern *p = pattern_of(b);
    const char *by = NULL;
    b->device = -1;
    for (int32_t i = 0; i < p->n_tensors && rt_on_cuda(b); i++) {
        const RtTensor *t = &b->tensors[i];
        if (by && t->data && t->device != b->device)
            return rt_wrong(b, error, TYPE, "%s lies on CUDA device %d, but %s on device %d", by, b->device,
                            p->tensors[i].name, t->device);
        if (t->data)
            b->device = t->device, by = p->tensors[i].name;
    }
    return ATTN_OK;
}

/* ---- variants ---- */

static bool sizes_fit(const AttnBinding *b, const AttnPattern *v)
{
    for (int32_t i = 0; i < v->n_indices && v->fixed; i++)
        if (v->fixed[i] >= 0 && v->fixed[i] != b->extents[i])
            return false;
    return true;
}

static AttnStatus no_variant(const AttnBinding *b, AttnError *error)
{
    const AttnPattern *v = pattern_of(b);
    uint64_t lacking = 0;
    for (int i = 0; i < b->kernel->desc.n_variants; i++)
        if (sizes_fit(b, &v[i])) {
            lacking = v[i].features & ~b->library->features;
            break;
        }
    if (lacking)
        return rt_wrong(b, error, CPU, "compiled for %s; this machine lacks %s",
                        v->cpu ? v->cpu : "another CPU", rt_feature_name(lacking & -lacking));
    for (int32_t i = 0; i < v->n_indices; i++)
        if (v->fixed && v->fixed[i] >= 0 && v->fixed[i] != b->extents[i])
            return rt_wrong(b, error, SHAPE, "the extent of %s is %lld; the code was compiled for %lld alone",
                            index_name(b, i), (long long)b->extents[i], (long long)v->fixed[i]);
    return rt_wrong(b, error, SHAPE, "no variant was compiled for these extents");
}

static AttnStatus choose_variant(AttnBinding *b, AttnError *error)
{
    for (int i = 0; i < b->kernel->desc.n_variants; i++) {
        const AttnPattern *v = &b->kernel->variants[i];
        if (!(v->features & ~b->library->features) && sizes_fit(b, v)) {
            b->variant = v;
            return ATTN_OK;
        }
    }
    return no_variant(b, error);
}

/* ---- views ---- */

static void make_view(const AttnBinding *b, int32_t tensor, AttnTensor *view, int64_t *strides)
{
    const AttnTensorInfo *info = &pattern_of(b)->tensors[tensor];
    const RtTensor *t = &b->tensors[tensor];
    *view = (AttnTensor){.data = t->data, .strides = strides, .group = 1, .type = (int64_t)t->type};
    for (int32_t i = 0; i < info->rank; i++) {
        int64_t extent = b->extents[info->dims[i]];
        strides[i] = t->shape[i] > 1 ? t->strides[i] : 0;
        if (i == info->heads && t->shape[i] > 1 && t->shape[i] < extent)
            view->group = extent / t->shape[i];
    }
}

/* Before a run is asked for, tensors that may not be left out count as given. */
static void make_views(AttnBinding *b)
{
    static _Alignas(64) char unbound[64];
    const AttnPattern *p = pattern_of(b);
    int64_t *strides = b->view_strides;
    for (int32_t i = 0; i < p->n_tensors; strides += p->tensors[i].rank, i++) {
        make_view(b, i, &b->views[i], strides);
        if (!b->views[i].data && !p->tensors[i].optional)
            b->views[i] =
                (AttnTensor){.data = unbound, .strides = strides, .group = 1, .type = p->tensors[i].type};
    }
}

/* ---- conditions and overlap ---- */

AttnStatus rt_plan(AttnBinding *b, AttnError *error)
{
    int32_t failed = 0;
    AttnCall call = {.tensors = b->views, .extents = b->extents, .params = b->params, .status = &failed};
    failed = b->variant->prepare(&call, &b->plan);
    if (!failed)
        return ATTN_OK;
    const AttnCheckInfo *check = &b->variant->checks[failed - 1];
    char values[512];
    rt_describe_values(b, check->text, values, sizeof values);
    return rt_wrong(b, error, CONDITION, "%s does not hold%s%s (%s:%d:%d)", check->text, *values ? ": " : "",
                    values, b->library->module->source, check->line, check->column);
}

/* `S.last` and `S.start` of one carried state. */
static bool carried_pair(const char *last, const char *start)
{
    size_t n = strlen(last), m = strlen(start);
    return n > 5 && m > 6 && n - 5 == m - 6 && strcmp(last + n - 5, ".last") == 0 &&
           strcmp(start + m - 6, ".start") == 0 && memcmp(last, start, n - 5) == 0;
}

static bool same_elements(const RtTensor *a, const RtTensor *b, int32_t rank)
{
    for (int32_t i = 0; i < rank; i++)
        if (a->shape[i] != b->shape[i] || (a->shape[i] > 1 && a->strides[i] != b->strides[i]))
            return false;
    return a->data == b->data && a->type == b->type;
}

static AttnStatus check_pair(const AttnBinding *b, int32_t output, int32_t other, AttnError *error)
{
    const AttnTensorInfo *o = &pattern_of(b)->tensors[output], *x = &pattern_of(b)->tensors[other];
    const RtTensor *to = &b->tensors[output], *tx = &b->tensors[other];
    if (!tx->data || !rt_overlap(to, o->rank, tx, x->rank))
        return ATTN_OK;
    bool pair = carried_pair(o->name, x->name);
    if (pair && same_elements(to, tx, o->rank))
        return ATTN_OK;
    return rt_wrong(b, error, OVERLAP, "output %s overlaps %s in memory%s", o->name, x->name,
                    pair ? " without being the same" : "");
}

static AttnStatus check_overlap(const AttnBinding *b, AttnError *error)
{
    const AttnPattern *p = pattern_of(b);
    for (int32_t i = 0; i < p->n_tensors; i++) {
        if (p->tensors[i].role != ATTN_OUTPUT || !b->tensors[i].data)
            continue;
        if (rt_overlaps_itself(&b->tensors[i], p->tensors[i].rank))
            return rt_wrong(b, error, OVERLAP, "the strides of output %s make its elements overlap",
                            p->tensors[i].name);
        for (int32_t j = 0; j < p->n_tensors; j++) {
            bool seen = j == i || (j < i && p->tensors[j].role == ATTN_OUTPUT);
            AttnStatus status = seen ? ATTN_OK : check_pair(b, i, j, error);
            if (status)
                return status;
        }
    }
    return ATTN_OK;
}

AttnStatus rt_prepare(AttnBinding *b, bool to_run, AttnError *error)
{
    if (b->state == RT_READY || (b->state == RT_SIZED && !to_run))
        return ATTN_OK;
    AttnStatus status = rt_unify(b, error);
    if (!status)
        status = check_present(b, to_run, error);
    if (!status)
        status = check_int_types(b, error);
    if (!status)
        status = check_device(b, error);
    if (!status)
        status = choose_variant(b, error);
    if (status)
        return status;
    make_views(b);
    status = rt_plan(b, error);
    if (!status && to_run)
        status = check_overlap(b, error);
    if (!status)
        b->state = to_run ? RT_READY : RT_SIZED;
    return status;
}

AttnStatus attn_prepare(AttnBinding *b, AttnError *error)
{
    return b ? rt_prepare(b, true, error) : rt_fail(error, ATTN_STATUS_USAGE, "attn_prepare: NULL argument");
}
