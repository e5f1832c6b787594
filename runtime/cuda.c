/* Device code: which context a call belongs to, and the images that are loaded into it, once for every
 * variant and context. Images are cubins of some architectures and PTX, which the driver compiles. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

struct RtCudaPrimary {
    RtCudaPrimary *next;
    CuDevice device;
    CuContext context;
};

/* ---- contexts ---- */

static AttnStatus device_of(const RtDriver *d, CuContext context, CuDevice *device, AttnError *error)
{
    bool pushed;
    AttnStatus status = rt_driver_enter(d, context, &pushed, error);
    if (status) return status;
    status = rt_driver(d, error, cuCtxGetDevice, device);
    rt_driver_leave(d, pushed);
    return status;
}

/* The primary context of a device, kept until the library goes. */
static AttnStatus primary(RtCuda *c, CuDevice device, CuContext *context, AttnError *error)
{
    RtCudaPrimary *p = c->primaries;
    while (p && p->device != device) p = p->next;
    if (!p) {
        p = rt_alloc(1, sizeof *p);
        if (!p) return rt_no_memory(error);
        AttnStatus status = rt_driver(&c->driver, error, cuDevicePrimaryCtxRetain, &p->context, device);
        if (status) {
            rt_free(p);
            return status;
        }
        p->device = device;
        p->next = c->primaries;
        c->primaries = p;
    }
    *context = p->context;
    return ATTN_OK;
}

/* CU_STREAM_LEGACY and CU_STREAM_PER_THREAD stand for streams of whatever context is current. */
static bool names_context(const RtDriver *d, CuStream stream)
{
    return (uintptr_t)stream > 2 && d->cuStreamGetCtx;
}

static AttnStatus find_context(const AttnBinding *b, RtCuda *c, CuStream stream, CuContext *context,
                               AttnError *error)
{
    const RtDriver *d = &c->driver;
    CuDevice device, other;
    bool named = names_context(d, stream);
    *context = NULL;
    AttnStatus status = named ? rt_driver(d, error, cuStreamGetCtx, stream, context)
                              : rt_driver(d, error, cuCtxGetCurrent, context);
    if (status || (*context && b->device < 0)) return status;
    status = rt_driver(d, error, cuDeviceGet, &device, b->device < 0 ? 0 : b->device);
    if (!status && *context) status = device_of(d, *context, &other, error);
    if (status || (*context && device == other)) return status;
    if (named)
        return rt_wrong(b, error, USAGE,
                        "the stream belongs to another device than the tensors, which lie on "
                        "device %d",
                        b->device);
    return primary(c, device, context, error);
}

/* ---- images ---- */

AttnStatus rt_cuda_arch(const RtDriver *d, CuDevice device, uint32_t *arch, AttnError *error)
{
    int major = 0, minor = 0;
    AttnStatus status = rt_driver(d, error, cuDeviceGetAttribute, &major, CU_CAPABILITY_MAJOR, device);
    if (!status) status = rt_driver(d, error, cuDeviceGetAttribute, &minor, CU_CAPABILITY_MINOR, device);
    *arch = (uint32_t)(10 * major + minor);
    return status;
}

static bool runs_on(const AttnCudaImage *image, uint32_t arch)
{
    return image->arch <= arch && (image->kind == ATTN_CUDA_PTX || image->arch / 10 == arch / 10);
}

/* The newest image of a kind that the device runs, or NULL. */
static const AttnCudaImage *choose_image(const AttnCuda *cuda, AttnCudaImageKind kind, uint32_t arch)
{
    const AttnCudaImage *best = NULL;
    for (int32_t i = 0; i < cuda->n_images; i++) {
        const AttnCudaImage *image = &cuda->images[i];
        if (image->kind == (uint32_t)kind && runs_on(image, arch) && (!best || image->arch > best->arch))
            best = image;
    }
    return best;
}

static AttnStatus no_image(const AttnBinding *b, const RtDriver *d, CuDevice device, uint32_t arch,
                           AttnError *error)
{
    const AttnCuda *cuda = b->variant->cuda;
    char name[128] = "the device", made[256] = "";
    d->cuDeviceGetName(name, sizeof name, device);
    for (int32_t i = 0, n = 0; i < cuda->n_images && n >= 0 && (size_t)n < sizeof made; i++)
        n += snprintf(made + n, sizeof made - (size_t)n, "%s%s%u", i ? ", " : "",
                      cuda->images[i].kind == ATTN_CUDA_PTX ? "PTX of sm_" : "sm_", cuda->images[i].arch);
    return rt_wrong(b, error, DEVICE, "compiled for %s; %s is sm_%u", made, name, arch);
}

static AttnStatus load_image(const AttnBinding *b, const RtDriver *d, const AttnCudaImage *image,
                             CuModule *module, AttnError *error)
{
    char log[2048] = "", what[512];
    int options[] = {CU_JIT_ERRORS, CU_JIT_ERRORS_BYTES};
    void *values[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
    CuResult result = d->cuModuleLoadDataEx(module, image->data, 2, options, values);
    snprintf(what, sizeof what, "%s: loading the code for sm_%u (cuModuleLoadDataEx)", rt_name(b),
             image->arch);
    AttnStatus status = rt_driver_result(d, error, what, result);
    if (status && error && *log) {
        size_t n = strlen(error->text);
        snprintf(error->text + n, sizeof error->text - n, "\n%s", log);
    }
    return status;
}

/* A cubin that the driver refuses (it may be older than the compiler) gives way to PTX. */
static AttnStatus load_module(const AttnBinding *b, const RtDriver *d, CuDevice device, CuModule *module,
                              AttnError *error)
{
    uint32_t arch;
    AttnStatus status = rt_cuda_arch(d, device, &arch, error);
    if (status) return status;
    const AttnCudaImage *cubin = choose_image(b->variant->cuda, ATTN_CUDA_CUBIN, arch);
    const AttnCudaImage *ptx = choose_image(b->variant->cuda, ATTN_CUDA_PTX, arch);
    if (!cubin && !ptx) return no_image(b, d, device, arch, error);
    if (cubin) status = load_image(b, d, cubin, module, error);
    if (ptx && (!cubin || status == ATTN_STATUS_DEVICE)) status = load_image(b, d, ptx, module, error);
    return status;
}

/* ---- functions ---- */

enum { SHARED_FREE = 48 << 10 }; /* bytes of dynamic shared memory that need not be asked for */

static AttnStatus find_function(const RtDriver *d, RtCudaCode *code, int32_t i, int processors,
                                AttnError *error)
{
    const AttnCudaKernel *k = &code->variant->cuda->kernels[i];
    int blocks = 0;
    AttnStatus status = rt_driver(d, error, cuModuleGetFunction, &code->functions[i], code->module, k->name);
    if (!status && k->shared > SHARED_FREE)
        status = rt_driver(d, error, cuFuncSetAttribute, code->functions[i], CU_FUNCTION_DYNAMIC_SHARED,
                           (int)k->shared);
    if (!status)
        status = rt_driver(d, error, cuOccupancyMaxActiveBlocksPerMultiprocessor, &blocks, code->functions[i],
                           (int)k->threads, k->shared);
    code->resident[i] = (blocks > 0 ? blocks : 1) * processors;
    return status;
}

static AttnStatus find_functions(const RtDriver *d, CuDevice device, RtCudaCode *code, AttnError *error)
{
    int processors = 1, pools = 0;
    AttnStatus status = rt_driver(d, error, cuDeviceGetAttribute, &processors, CU_MULTIPROCESSORS, device);
    for (int32_t i = 0; i < code->variant->n_phases && !status; i++)
        status = find_function(d, code, i, processors, error);
    code->pools = d->cuMemAllocAsync && d->cuMemFreeAsync &&
                  !d->cuDeviceGetAttribute(&pools, CU_MEMORY_POOLS, device) && pools;
    return status;
}

/* ---- code ---- */

static void free_code(RtCudaCode *code)
{
    if (code) {
        rt_free(code->functions);
        rt_free(code->resident);
    }
    rt_free(code);
}

static RtCudaCode *new_code(const AttnPattern *variant)
{
    RtCudaCode *code = rt_alloc(1, sizeof *code);
    if (!code) return NULL;
    code->variant = variant;
    code->functions = rt_alloc((size_t)variant->n_phases, sizeof *code->functions);
    code->resident = rt_alloc((size_t)variant->n_phases, sizeof *code->resident);
    if (code->functions && code->resident) return code;
    free_code(code);
    return NULL;
}

static AttnStatus load_code(const AttnBinding *b, const RtDriver *d, RtCudaCode *code, AttnError *error)
{
    CuDevice device;
    AttnStatus status = rt_driver(d, error, cuCtxGetDevice, &device);
    if (!status) status = load_module(b, d, device, &code->module, error);
    if (status) return status;
    status = find_functions(d, device, code, error);
    if (status) d->cuModuleUnload(code->module);
    return status;
}

/* The current context is the one of the call. */
static AttnStatus find_code(const AttnBinding *b, RtCuda *c, CuContext context, const RtCudaCode **found,
                            AttnError *error)
{
    unsigned long long id = 0;
    if (c->driver.cuCtxGetId) c->driver.cuCtxGetId(context, &id);
    RtCudaCode *code = c->codes;
    while (code && (code->variant != b->variant || code->context != context || code->id != id))
        code = code->next;
    if (!code) {
        code = new_code(b->variant);
        AttnStatus status = code ? load_code(b, &c->driver, code, error) : rt_no_memory(error);
        if (status) {
            free_code(code);
            return status;
        }
        code->context = context;
        code->id = id;
        code->next = c->codes;
        c->codes = code;
    }
    *found = code;
    return ATTN_OK;
}

static AttnStatus enter(AttnBinding *b, RtCuda *c, CuStream stream, const RtCudaCode **code, bool *pushed,
                        AttnError *error)
{
    CuContext context;
    AttnStatus status = rt_driver_open(&c->driver, error);
    if (!status) status = find_context(b, c, stream, &context, error);
    if (!status) status = rt_driver_enter(&c->driver, context, pushed, error);
    if (status) return status;
    status = rt_cuda_specialise(b, c, error);
    if (!status) status = find_code(b, c, context, code, error);
    if (status) rt_driver_leave(&c->driver, *pushed);
    return status;
}

AttnStatus rt_cuda_enter(AttnBinding *b, void *stream, const RtCudaCode **code, bool *pushed,
                         AttnError *error)
{
    RtCuda *c = &b->library->cuda;
    pthread_mutex_lock(&c->lock);
    AttnStatus status = enter(b, c, stream, code, pushed, error);
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* What the driver says now interests nobody: at the end of a program it may be gone already. */
void rt_cuda_unload(RtCuda *c)
{
    for (RtCudaCode *code = c->codes, *next; code; code = next) {
        bool pushed;
        next = code->next;
        if (!rt_driver_enter(&c->driver, code->context, &pushed, NULL)) {
            c->driver.cuModuleUnload(code->module);
            rt_driver_leave(&c->driver, pushed);
        }
        free_code(code);
    }
    rt_cuda_unload_specials(c);
    for (RtCudaPrimary *p = c->primaries, *next; p; p = next) {
        next = p->next;
        c->driver.cuDevicePrimaryCtxRelease(p->device);
        rt_free(p);
    }
    pthread_mutex_destroy(&c->lock);
}
