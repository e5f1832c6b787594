/* A call by machine code: tensors are bound through libattn as a host program would; for code of CUDA, their
 * copies on the device. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compiler/command/call.h"
#include "compiler/command/device.h"
#include "compiler/command/host.h"

/* --- memory of one tensor --- */

typedef struct Region {
    void *map;
    size_t map_bytes;
    unsigned char *data;
    size_t bytes;
    CuPointer copy; /* on the device */
} Region;

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/* Between two unreadable pages, flush against one of them. */
static bool region_new(Region *r, size_t bytes, CallGuard guard)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inside = round_up(bytes ? bytes : 1, page);
    *r = (Region){.map_bytes = inside + 2 * page, .bytes = bytes};
    r->map = mmap(NULL, r->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->map == MAP_FAILED) return r->map = NULL, false;
    unsigned char *start = (unsigned char *)r->map + page;
    r->data = guard == GUARD_END ? start + inside - bytes : start;
    return !mprotect(r->map, page, PROT_NONE) && !mprotect(start + inside, page, PROT_NONE);
}

/* --- elements as the kernel stores them --- */

static size_t storage_bytes(StorageType s)
{
    switch (s) {
    case STORAGE_BOOL: return 1;
    case STORAGE_F16:
    case STORAGE_BF16: return 2;
    case STORAGE_F32: return 4;
    default: return 8;
    }
}

static void pack(StorageType s, unsigned char *to, const double *from, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        float f = (float)from[k];
        _Float16 h = (_Float16)from[k];
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        uint16_t b = (uint16_t)(bits >> 16); /* already rounded */
        if (s == STORAGE_F32) memcpy(to + 4 * k, &f, 4);
        else memcpy(to + 2 * k, s == STORAGE_F16 ? (const void *)&h : &b, 2);
    }
}

static void unpack(StorageType s, double *to, const unsigned char *from, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        float f;
        _Float16 h;
        uint16_t b;
        if (s == STORAGE_F32) memcpy(&f, from + 4 * k, 4);
        else if (s == STORAGE_F16) memcpy(&h, from + 2 * k, 2), f = (float)h;
        else {
            memcpy(&b, from + 2 * k, 2);
            uint32_t bits = (uint32_t)b << 16;
            memcpy(&f, &bits, sizeof f);
        }
        to[k] = (double)f;
    }
}

static bool packed(StorageType s) { return s == STORAGE_F32 || s == STORAGE_F16 || s == STORAGE_BF16; }

/* --- a binding and its tensors --- */

typedef struct Machine {
    Call *call;
    AttnBinding *binding;
    Region *regions; /* by Tensor.number */
    Device device;   /* open: the code runs on CUDA */
    AttnError *error;
} Machine;

enum { UNWRITTEN = 0xff }; /* outputs begin as NaN, -1, and a bool that is none */

/* Strides of `t` in elements; returns the place of its element 0. */
static size_t strides(const CallTensor *t, CallLayout layout, int64_t *out)
{
    unsigned rank = t->tensor->n_dims;
    bool backwards = layout == LAYOUT_BACKWARDS && t->data;
    int64_t stride = backwards ? -1 : 1;
    for (unsigned k = 0; k < rank; k++) {
        unsigned d = layout == LAYOUT_TRANSPOSED ? k : rank - 1 - k;
        out[d] = stride;
        stride *= t->shape[d] > 0 ? t->shape[d] : 1;
    }
    return backwards && t->n ? t->n - 1 : 0;
}

/* Elements between row-major order and that of the strides, which is one of the same memory without holes. */
static void reorder(const CallTensor *t, const int64_t *stride, size_t first, size_t bytes,
                    unsigned char *ordered, unsigned char *placed, bool place)
{
    for (size_t k = 0; k < t->n; k++) {
        int64_t at = (int64_t)first;
        size_t rest = k;
        for (unsigned d = t->tensor->n_dims; d-- > 0; rest /= (size_t)t->shape[d])
            at += stride[d] * (int64_t)(rest % (size_t)t->shape[d]);
        unsigned char *a = ordered + k * bytes, *b = placed + (size_t)at * bytes;
        if (place) memcpy(b, a, bytes);
        else memcpy(a, b, bytes);
    }
}

static DLDataType element_type(StorageType s)
{
    switch (s) {
    case STORAGE_BOOL: return (DLDataType){kDLUInt, 8, 1}; /* older DLPack has no kDLBool */
    case STORAGE_INT: return (DLDataType){kDLInt, 64, 1};
    case STORAGE_F16: return (DLDataType){kDLFloat, 16, 1};
    case STORAGE_BF16: return (DLDataType){kDLBfloat, 16, 1};
    case STORAGE_F32: return (DLDataType){kDLFloat, 32, 1};
    default: return (DLDataType){kDLFloat, 64, 1};
    }
}

static bool bind(Machine *m, uint32_t number, const CallOptions *options)
{
    const CallTensor *t = &m->call->tensors[number];
    StorageType s = call_storage(m->call, t->tensor);
    Region *r = &m->regions[number];
    if (!region_new(r, t->n * storage_bytes(s), options->guard)) {
        m->error->status = ATTN_STATUS_MEMORY;
        strcpy(m->error->text, "out of memory");
        return false;
    }
    int64_t *stride = NEW_ARRAY(m->call->c, int64_t, t->tensor->n_dims + 1);
    size_t first = strides(t, options->layout, stride);
    unsigned char *ordered = arena_alloc(m->call->c, r->bytes + 1);
    if (!t->data) memset(r->data, UNWRITTEN, r->bytes);
    else if (packed(s)) pack(s, ordered, t->data, t->n);
    else if (r->bytes) memcpy(ordered, t->data, r->bytes);
    if (t->data) reorder(t, stride, first, storage_bytes(s), ordered, r->data, true);
    if (m->device.context && !device_put(&m->device, &r->copy, r->data, r->bytes, m->error)) return false;
    DLTensor value = {.data = m->device.context ? (void *)(uintptr_t)r->copy : r->data,
                      .device = {m->device.context ? kDLCUDA : kDLCPU, 0}, .ndim = (int)t->tensor->n_dims,
                      .dtype = element_type(s), .shape = t->shape, .strides = stride,
                      .byte_offset = first * storage_bytes(s)};
    return !attn_bind(m->binding, t->tensor->name, &value, m->error);
}

static bool fetch(Machine *m, const CallTensor *t, CallLayout layout, const Region *r, void *out)
{
    if (r->copy && !device_get(&m->device, r->data, r->copy, r->bytes, m->error)) return false;
    StorageType s = call_storage(m->call, t->tensor);
    int64_t *stride = NEW_ARRAY(m->call->c, int64_t, t->tensor->n_dims + 1);
    size_t first = strides(t, layout, stride);
    unsigned char *ordered = arena_alloc(m->call->c, r->bytes + 1);
    reorder(t, stride, first, storage_bytes(s), ordered, r->data, false);
    if (packed(s)) unpack(s, out, ordered, t->n);
    else if (t->n) memcpy(out, ordered, r->bytes);
    return true;
}

static bool set_param(Machine *m, const Param *p)
{
    Scalar value = m->call->params[p->number];
    if (p->fixed) return true;
    if (p->type == TYPE_REAL) return !attn_set_float(m->binding, p->name, value.r, m->error);
    if (p->type == TYPE_INT) return !attn_set_int(m->binding, p->name, value.i, m->error);
    return !attn_set_bool(m->binding, p->name, value.i != 0, m->error);
}

static bool bind_all(Machine *m, const CallOptions *options)
{
    const Pattern *p = m->call->pattern;
    for (uint32_t k = 0; k < p->params.n; k++)
        if (!set_param(m, p->params.at[k])) return false;
    for (uint32_t k = 0; k < p->tensors.n; k++)
        if (m->call->tensors[k].given && !bind(m, k, options)) return false;
    /* these must agree with what the oracle takes */
    for (uint32_t k = 0; k < p->indices.n; k++)
        if (attn_set_extent(m->binding, p->indices.at[k]->name, m->call->extents[k], m->error)) return false;
    return true;
}

/* Where times are asked for, one thread's are those of its own clock. */
static double now(const Machine *m, const CallOptions *options)
{
    return options->times && options->threads == 1 && !m->device.context ? host_seconds() : call_now();
}

static bool run(Machine *m, const CallOptions *options, CallResult *result)
{
    AttnRunOptions run = {.threads = options->threads};
    double begin = call_now();
    unsigned k = 0;
    while (k < (options->repeat ? options->repeat : 1)) {
        if (options->enough > 0 && k > 2 && call_now() - begin > options->enough) break;
        double start = now(m, options);
        if (attn_run(m->binding, &run, m->error) || attn_status(m->binding, NULL, m->error)) return false;
        double seconds = now(m, options) - start;
        if (options->times) options->times[k] = seconds;
        if (!k++ || seconds < result->seconds) result->seconds = seconds;
    }
    if (options->ran) *options->ran = k;
    for (uint32_t k = 0; k < m->call->pattern->tensors.n; k++) {
        void *out = result->data[k];
        if (out && !fetch(m, &m->call->tensors[k], options->layout, &m->regions[k], out)) return false;
    }
    return true;
}

const char *call_machine(Call *call, AttnLibrary *library, const CallOptions *options, CallResult *result)
{
    uint32_t n = call->pattern->tensors.n;
    Machine m = {.call = call, .regions = NEW_ARRAY(call->c, Region, n + 1)};
    m.error = NEW(call->c, AttnError);
    *result = (CallResult){.data = NEW_ARRAY(call->c, void *, n + 1)};
    for (uint32_t k = 0; k < n; k++) {
        const CallTensor *t = &call->tensors[k];
        if (t->tensor->role == ROLE_OUTPUT && t->given)
            result->data[k] = arena_alloc(call->c, t->n * type_bytes(t->tensor->type) + 1);
    }
    bool ok = !attn_binding_new(library, call->pattern->name, &m.binding, m.error);
    if (ok && attn_binding_pattern(m.binding)->device == kDLCUDA) ok = device_open(&m.device, m.error);
    ok = ok && bind_all(&m, options) && run(&m, options, result);
    attn_binding_free(m.binding);
    for (uint32_t k = 0; k < n; k++) {
        if (m.regions[k].copy) device_free(&m.device, m.regions[k].copy);
        if (m.regions[k].map) munmap(m.regions[k].map, m.regions[k].map_bytes);
    }
    device_close(&m.device);
    return ok ? NULL : m.error->text;
}
