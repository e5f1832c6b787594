/* Bindings: a pattern with the tensors, parameters and extents of a call. What one tensor alone can tell
 * is checked here; prepare.c checks what they must have in common. */
#include "internal.h"

#include <string.h>

/* Newer DLPack headers name it kDLBool. */
enum { DL_BOOL = 6 };

size_t rt_type_bytes(AttnType type)
{
    static const size_t bytes[] = {8, 4, 2, 2, 1, 1, 2, 4, 8, 1, 2, 4, 8};
    return bytes[type];
}

const char *rt_type_name(AttnType type)
{
    static const char *const names[] = {"f64",   "f32",   "f16",   "bf16",   "bool",   "int8",  "int16",
                                        "int32", "int64", "uint8", "uint16", "uint32", "uint64"};
    return names[type];
}

void rt_type_limits(AttnType type, int64_t *low, int64_t *high)
{
    int bits = 8 * (int)rt_type_bytes(type);
    bool is_signed = type >= ATTN_I8 && type <= ATTN_I64;
    *low = is_signed ? -(int64_t)(UINT64_C(1) << (bits - 2)) * 2 : 0;
    *high = bits == 64 ? INT64_MAX : (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1;
}

static bool is_int(int32_t type) { return type >= ATTN_I8 && type <= ATTN_U64; }

static bool from_dl_type(DLDataType d, bool want_bool, AttnType *type)
{
    if (d.lanes != 1)
        return false;
    unsigned log = d.bits == 8 ? 0 : d.bits == 16 ? 1 : d.bits == 32 ? 2 : d.bits == 64 ? 3 : 4;
    if (log > 3)
        return false;
    static const AttnType ints[] = {ATTN_I8, ATTN_I16, ATTN_I32, ATTN_I64};
    static const AttnType uints[] = {ATTN_U8, ATTN_U16, ATTN_U32, ATTN_U64};
    static const AttnType floats[] = {ATTN_F16, ATTN_F16, ATTN_F32, ATTN_F64};
    if (d.code == kDLInt)
        *type = ints[log];
    else if (d.code == kDLUInt)
        *type = want_bool && log == 0 ? ATTN_BOOL : uints[log];
    else if (d.code == kDLFloat && log > 0)
        *type = floats[log];
    else if (d.code == kDLBfloat && log == 1)
        *type = ATTN_BF16;
    else if (d.code == DL_BOOL && log == 0)
        *type = ATTN_BOOL;
    else
        return false;
    return true;
}

/* ---- making and freeing ---- */

static AttnStatus find_pattern(const AttnLibrary *l, const char *pattern, const RtKernel **kernel,
                               AttnError *error)
{
    *kernel = pattern ? rt_kernel_find(l, pattern) : l->n_kernels == 1 ? &l->kernels[0] : NULL;
    if (*kernel)
        return ATTN_OK;
    if (pattern)
        return rt_fail(error, ATTN_STATUS_NAME, "%s has no pattern named '%s'", l->path, pattern);
    return rt_fail(error, ATTN_STATUS_NAME, "%s has %d patterns: say which", l->path, l->n_kernels);
}

bool rt_task_room(AttnBinding *b, size_t phases)
{
    if (phases <= b->task_room && b->plan.tasks)
        return true;
    int64_t *tasks = rt_alloc(phases, sizeof *tasks);
    if (!tasks)
        return false;
    rt_free(b->plan.tasks);
    b->plan.tasks = tasks;
    b->task_room = phases;
    return true;
}

static bool allocate(AttnBinding *b)
{
    const AttnPattern *p = b->kernel->variants;
    size_t indices = (size_t)p->n_indices, tensors = (size_t)p->n_tensors, ranks = 0, phases = 0;
    for (size_t i = 0; i < tensors; i++)
        ranks += (size_t)p->tensors[i].rank;
    for (int i = 0; i < b->kernel->desc.n_variants; i++)
        if ((size_t)p[i].n_phases > phases)
            phases = (size_t)p[i].n_phases;
    b->tensors = rt_alloc(tensors, sizeof *b->tensors);
    b->views = rt_alloc(tensors, sizeof *b->views);
    b->is_set = rt_alloc((size_t)p->n_params, sizeof *b->is_set);
    b->numbers = rt_alloc(2 * indices + (size_t)p->n_params + 3 * ranks, sizeof *b->numbers);
    if (!b->tensors || !b->views || !b->is_set || !b->numbers || !rt_task_room(b, phases))
        return false;
    int64_t *n = b->numbers;
    b->stated = n, n += indices;
    b->extents = n, n += indices;
    b->params = n, n += p->n_params;
    b->view_strides = n, n += ranks;
    for (size_t i = 0; i < tensors; i++) {
        b->tensors[i].shape = n, n += p->tensors[i].rank;
        b->tensors[i].strides = n, n += p->tensors[i].rank;
    }
    return true;
}

static void set_defaults(AttnBinding *b)
{
    const AttnPattern *p = b->kernel->variants;
    for (int32_t i = 0; i < p->n_indices; i++)
        b->stated[i] = -1;
    for (int32_t i = 0; i < p->n_params; i++) {
        b->params[i] = p->params[i].value;
        b->is_set[i] = p->params[i].has_default != 0;
    }
}

AttnStatus attn_binding_new(AttnLibrary *library, const char *pattern, AttnBinding **binding,
                            AttnError *error)
{
    if (!library || !binding)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_binding_new: NULL argument");
    const RtKernel *kernel;
    AttnStatus status = find_pattern(library, pattern, &kernel, error);
    if (status)
        return status;
    AttnBinding *b = rt_alloc(1, sizeof *b);
    if (!b)
        return rt_no_memory(error);
    b->library = library;
    b->kernel = kernel;
    atomic_fetch_add_explicit(&library->references, 1, memory_order_relaxed);
    if (!allocate(b)) {
        attn_binding_free(b);
        return rt_no_memory(error);
    }
    set_defaults(b);
    *binding = b;
    return ATTN_OK;
}

void attn_binding_free(AttnBinding *b)
{
    if (!b)
        return;
    rt_cuda_forget(b);
    rt_free(b->tensors);
    rt_free(b->views);
    rt_free(b->is_set);
    rt_free(b->numbers);
    rt_free(b->plan.tasks);
    attn_close(b->library);
    rt_free(b);
}

const AttnPatternDesc *attn_binding_pattern(const AttnBinding *b) { return &b->kernel->desc; }

/* ---- tensors ---- */

static AttnStatus check_type(const AttnBinding *b, const AttnTensorInfo *info, const DLTensor *v,
                             AttnType *type, AttnError *error)
{
    bool known = from_dl_type(v->dtype, info->type == ATTN_BOOL, type);
    bool fits = known && (is_int(info->type) ? is_int((int32_t)*type) : (int32_t)*type == info->type);
    if (fits)
        return ATTN_OK;
    const char *want = is_int(info->type) ? "an integer type" : rt_type_name((AttnType)info->type);
    if (known)
        return rt_wrong(b, error, TYPE, "%s has elements of %s; it takes %s", info->name, rt_type_name(*type),
                        want);
    return rt_wrong(b, error, TYPE,
                    "%s has elements of an unknown type (DLPack code %d, %d bits, %d lanes); it takes %s",
                    info->name, v->dtype.code, v->dtype.bits, v->dtype.lanes, want);
}

static bool on_host(DLDeviceType device)
{
    return device == kDLCPU || device == kDLCUDAHost || device == kDLROCMHost;
}

static AttnStatus check_place(const AttnBinding *b, const AttnTensorInfo *info, DLDevice device,
                              AttnError *error)
{
    DLDeviceType type = device.device_type;
    if (rt_on_cuda(b) && on_host(type))
        return rt_wrong(b, error, TYPE, "%s lies in the host's memory; this code runs on a CUDA device's",
                        info->name);
    if (rt_on_cuda(b) && ((type != kDLCUDA && type != kDLCUDAManaged) || device.device_id < 0))
        return rt_wrong(b, error, TYPE,
                        "%s lies on another device (DLPack type %d, number %d); this code runs on CUDA's",
                        info->name, (int)type, device.device_id);
    if (!rt_on_cuda(b) && !on_host(type))
        return rt_wrong(b, error, TYPE,
                        "%s lies on a device (DLPack type %d); this code runs on the host's memory",
                        info->name, (int)type);
    return ATTN_OK;
}

static AttnStatus check_form(const AttnBinding *b, const AttnTensorInfo *info, const DLTensor *v,
                             AttnError *error)
{
    AttnStatus status = check_place(b, info, v->device, error);
    if (status)
        return status;
    if (v->ndim != info->rank)
        return rt_wrong(b, error, SHAPE, "%s has %d dimensions; it takes %d", info->name, v->ndim,
                        info->rank);
    if (v->ndim > 0 && !v->shape)
        return rt_wrong(b, error, USAGE, "%s has no shape", info->name);
    for (int32_t i = 0; i < info->rank; i++)
        if (v->shape[i] < 0)
            return rt_wrong(b, error, SHAPE, "the extent of %s along %s is negative (%lld)", info->name,
                            b->kernel->variants->indices[info->dims[i]].name, (long long)v->shape[i]);
    return ATTN_OK;
}

/* Strides, the number of elements and the bytes that they reach; false: more than 63 bits. */
static bool measure(RtTensor *t, const DLTensor *v, size_t element)
{
    bool empty = false, overflow = false;
    int64_t dense = 1, size = (int64_t)element;
    for (int i = v->ndim - 1; i >= 0; i--) {
        t->shape[i] = v->shape[i];
        t->strides[i] = v->strides ? v->strides[i] : dense;
        empty = empty || v->shape[i] == 0;
        overflow |= __builtin_mul_overflow(dense, v->shape[i] > 1 ? v->shape[i] : 1, &dense);
    }
    t->count = empty ? 0 : dense;
    t->low = 0;
    t->high = empty ? 0 : size;
    for (int i = 0; i < v->ndim && !empty; i++) {
        int64_t reach;
        overflow |= __builtin_mul_overflow(t->shape[i] - 1, t->strides[i], &reach);
        overflow |= __builtin_mul_overflow(reach, size, &reach);
        int64_t *end = reach < 0 ? &t->low : &t->high;
        overflow |= __builtin_add_overflow(*end, reach, end);
    }
    int64_t bytes;
    return !overflow && !__builtin_mul_overflow(dense, size, &bytes);
}

static AttnStatus check_memory(const AttnBinding *b, const AttnTensorInfo *info, const DLTensor *v,
                               RtTensor *t, AttnError *error)
{
    static _Alignas(64) char nothing[64]; /* where empty tensors point */
    size_t element = rt_type_bytes(t->type);
    if (!measure(t, v, element))
        return rt_wrong(b, error, SHAPE, "%s is larger than the address space", info->name);
    if (t->count == 0) {
        t->data = nothing;
        return ATTN_OK;
    }
    if (!v->data)
        return rt_wrong(b, error, MISSING, "%s has no data (NULL) for its %lld elements", info->name,
                        (long long)t->count);
    uintptr_t at = (uintptr_t)v->data;
    uintptr_t first, last;
    if (__builtin_add_overflow(at, v->byte_offset, &at) ||
        __builtin_sub_overflow(at, (uintptr_t)-t->low, &first) ||
        __builtin_add_overflow(at, (uintptr_t)t->high, &last))
        return rt_wrong(b, error, SHAPE, "%s reaches beyond the address space", info->name);
    if (at % element != 0)
        return rt_wrong(b, error, SHAPE, "%s is not aligned to its elements of %zu bytes", info->name,
                        element);
    t->data = (char *)v->data + v->byte_offset;
    return ATTN_OK;
}

static int tensor_find(const AttnBinding *b, const char *name)
{
    for (int i = 0; i < b->kernel->desc.n_tensors; i++)
        if (strcmp(b->kernel->desc.tensors[i].name, name) == 0)
            return i;
    return -1;
}

AttnStatus attn_bind(AttnBinding *b, const char *tensor, const DLTensor *value, AttnError *error)
{
    if (!b || !tensor)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_bind: NULL argument");
    int n = tensor_find(b, tensor);
    if (n < 0)
        return rt_fail(error, ATTN_STATUS_NAME, "%s has no tensor named '%s'", rt_name(b), tensor);
    const AttnTensorInfo *info = &b->kernel->variants->tensors[n];
    RtTensor *t = &b->tensors[n];
    b->state = RT_CHANGED;
    t->data = NULL;
    if (!value)
        return ATTN_OK;
    t->device = value->device.device_id;
    AttnStatus status = check_form(b, info, value, error);
    if (!status)
        status = check_type(b, info, value, &t->type, error);
    return status ? status : check_memory(b, info, value, t, error);
}

AttnStatus attn_bind_dense(AttnBinding *b, const char *tensor, void *data, int rank, const int64_t *shape,
                           AttnError *error)
{
    int n = b && tensor ? tensor_find(b, tensor) : -1;
    DLTensor value = {
        .data = data, .device = {kDLCPU, 0}, .ndim = rank, .shape = (int64_t *)(uintptr_t)shape};
    if (n >= 0)
        value.dtype = b->kernel->desc.tensors[n].type;
    return attn_bind(b, tensor, &value, error);
}

/* ---- parameters and extents ---- */

static AttnStatus set(AttnBinding *b, const char *param, AttnParamKind kind, int64_t bits, AttnError *error)
{
    static const char *const kinds[] = {"an int", "a float", "a bool"};
    if (!b || !param)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_set: NULL argument");
    int n = rt_param_find(b, param, strlen(param));
    if (n < 0)
        return rt_fail(error, ATTN_STATUS_NAME, "%s has no parameter named '%s'", rt_name(b), param);
    AttnParamKind want = b->kernel->desc.params[n].kind;
    if (want == ATTN_PARAM_FLOAT && kind == ATTN_PARAM_INT) {
        double real = (double)bits;
        memcpy(&bits, &real, sizeof bits);
    } else if (want != kind) {
        return rt_wrong(b, error, TYPE, "parameter %s is %s, not %s", param, kinds[want], kinds[kind]);
    }
    if (b->kernel->desc.params[n].fixed && bits != b->params[n]) {
        char value[64];
        rt_describe_values(b, param, value, sizeof value);
        return rt_wrong(b, error, USAGE, "parameter %s was fixed when the pattern was compiled: %s", param,
                        value);
    }
    b->params[n] = bits;
    b->is_set[n] = true;
    b->state = RT_CHANGED;
    return ATTN_OK;
}

AttnStatus attn_set_int(AttnBinding *b, const char *param, int64_t value, AttnError *error)
{
    return set(b, param, ATTN_PARAM_INT, value, error);
}

AttnStatus attn_set_float(AttnBinding *b, const char *param, double value, AttnError *error)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return set(b, param, ATTN_PARAM_FLOAT, bits, error);
}

AttnStatus attn_set_bool(AttnBinding *b, const char *param, int value, AttnError *error)
{
    return set(b, param, ATTN_PARAM_BOOL, value != 0, error);
}

static AttnStatus index_number(const AttnBinding *b, const char *index, int *number, AttnError *error)
{
    if (!b || !index)
        return rt_fail(error, ATTN_STATUS_USAGE, "NULL argument");
    *number = rt_index_find(b, index, strlen(index));
    if (*number < 0)
        return rt_fail(error, ATTN_STATUS_NAME, "%s has no index named '%s' in its tensors", rt_name(b),
                       index);
    return ATTN_OK;
}

AttnStatus attn_set_extent(AttnBinding *b, const char *index, int64_t extent, AttnError *error)
{
    int n;
    AttnStatus status = index_number(b, index, &n, error);
    if (status)
        return status;
    if (extent < -1)
        return rt_wrong(b, error, SHAPE, "the extent of %s is negative (%lld)", index, (long long)extent);
    b->stated[n] = extent;
    b->state = RT_CHANGED;
    return ATTN_OK;
}

AttnStatus attn_extent(AttnBinding *b, const char *index, int64_t *extent, AttnError *error)
{
    int n;
    AttnStatus status = index_number(b, index, &n, error);
    if (!status && !extent)
        status = rt_fail(error, ATTN_STATUS_USAGE, "attn_extent: NULL argument");
    if (!status && b->state == RT_CHANGED)
        status = rt_unify(b, error);
    if (status)
        return status;
    if (b->extents[n] >= 0) {
        *extent = b->extents[n];
        return ATTN_OK;
    }
    if (b->kernel->variants->indices[n].derived && rt_derived_extent(b, n, extent))
        return ATTN_OK;
    return rt_wrong(b, error, MISSING, "the extent of %s is not known: no bound tensor has it", index);
}
