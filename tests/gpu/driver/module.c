/* Modules, kernels and launches of the fake driver. */
#include "driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Modules ---- */
static unsigned target_of(const char *text) /* `.target sm_80` */
{
    const char *at = strstr(text, ".target");
    at = at ? strstr(at, "sm_") : NULL;
    return at ? (unsigned)strtoul(at + 3, NULL, 10) : 0;
}

static bool is_text(const char *image) { return image[0] == '/' || image[0] == '.' || image[0] == '\n'; }

static CUresult load(CUmodule *module, const char *image)
{
    if (!is_text(image)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    if (target_of(image) > driver_arch()) {
        snprintf(driver.text, sizeof driver.text, "PTX for sm_%u on a device of sm_%u", target_of(image),
                 driver_arch());
        return CUDA_ERROR_INVALID_PTX;
    }
    CUmodule m = calloc(1, sizeof *m);
    if (!m) return CUDA_ERROR_OUT_OF_MEMORY;
    m->module = ptx_module_load(driver.device, image, strlen(image));
    *module = m;
    if (m->module) return CUDA_SUCCESS;
    snprintf(driver.text, sizeof driver.text, "%s", ptx_error(driver.device));
    free(m);
    *module = NULL;
    return CUDA_ERROR_INVALID_PTX;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    CUresult r = driver_enter_context();
    return driver_leave(r ? r : load(module, image));
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned n, int *options, void **values)
{
    CUresult r = cuModuleLoadData(module, image);
    char *log = NULL;
    size_t size = 0;
    for (unsigned k = 0; k < n; k++) {
        if (options[k] == 5) log = values[k];                     /* CU_JIT_ERROR_LOG_BUFFER */
        if (options[k] == 6) size = (size_t)(uintptr_t)values[k]; /* and its size */
    }
    if (log && size) snprintf(log, size, "%s", r == CUDA_ERROR_INVALID_PTX ? driver.text : "");
    return r;
}

CUresult cuModuleUnload(CUmodule module)
{
    CUresult r = driver_enter();
    if (!module) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    while (module->functions) {
        CUfunction f = module->functions;
        module->functions = f->next;
        free(f);
    }
    ptx_module_free(module->module);
    free(module);
    return driver_leave(r);
}

static CUresult find(CUfunction *function, CUmodule module, const char *name)
{
    const PtxFunction *found = ptx_find(module->module, name);
    if (!found) return CUDA_ERROR_NOT_FOUND;
    for (CUfunction f = module->functions; f; f = f->next)
        if (f->function == found) return *function = f, CUDA_SUCCESS;
    CUfunction f = calloc(1, sizeof *f);
    if (!f) return CUDA_ERROR_OUT_OF_MEMORY;
    *f = (struct CUfunc_st){found, ptx_static_shared(found) < 49152 ? 49152 - ptx_static_shared(found) : 0,
                            module->functions};
    *function = module->functions = f;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    CUresult r = driver_enter();
    *function = NULL;
    if (!r) r = module ? find(function, module, name) : CUDA_ERROR_INVALID_HANDLE;
    return driver_leave(r);
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name)
{
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    CUdeviceptr at = ptx_find_variable(module->module, name, bytes);
    if (address) *address = at;
    return at ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* ---- Functions ---- */
enum {
    MAX_THREADS,
    SHARED_SIZE,
    CONST_SIZE,
    LOCAL_SIZE,
    N_REGISTERS,
    PTX_VERSION,
    BINARY_VERSION,
    CACHE_MODE,
    MAX_DYNAMIC_SHARED,
    CARVEOUT
};

CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value)
{
    int most;
    cuDeviceGetAttribute(&most, 97, 0); /* shared memory of a block on request */
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute == CARVEOUT) return CUDA_SUCCESS;
    if (attribute != MAX_DYNAMIC_SHARED || value < 0) return CUDA_ERROR_INVALID_VALUE;
    if (value + (int)ptx_static_shared(function->function) > most) return CUDA_ERROR_INVALID_VALUE;
    function->max_dynamic = (uint32_t)value;
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction function)
{
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    switch (attribute) {
    case MAX_THREADS: *value = (int)ptx_max_threads(function->function); break;
    case SHARED_SIZE: *value = (int)ptx_static_shared(function->function); break;
    case LOCAL_SIZE: *value = (int)ptx_local_bytes(function->function); break;
    case N_REGISTERS: *value = 128; break; /* an interpreter has none */
    case PTX_VERSION:
    case BINARY_VERSION: *value = (int)driver_arch(); break;
    case MAX_DYNAMIC_SHARED: *value = (int)function->max_dynamic; break;
    default: *value = 0;
    }
    return CUDA_SUCCESS;
}

CUresult cuFuncSetCacheConfig(CUfunction function, int config)
{
    (void)config;
    return function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, CUfunction function, int threads, size_t shared)
{
    if (!function || threads <= 0) return CUDA_ERROR_INVALID_VALUE;
    int all;
    cuDeviceGetAttribute(&all, 81, 0);
    size_t bytes = shared + ptx_static_shared(function->function) + 1024;
    int by_threads = 2048 / ((threads + 31) / 32 * 32), by_shared = (int)((size_t)all / bytes);
    *n = by_threads < by_shared ? by_threads : by_shared;
    return CUDA_SUCCESS;
}

/* ---- Launches ---- */
static void log_traffic(FILE *log, const char *name, PtxTraffic t)
{
    fprintf(log, ", \"%s\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", name, t.requests, t.units, t.ideal);
}

static void log_classes(FILE *log, const char *name, const PtxCounters *c)
{
    fprintf(log, ", \"%s\": {", name);
    for (PtxClass k = 0, n = 0; k < PTX_CLASSES; k++)
        if (c->warps[k]) fprintf(log, "%s\"%s\": %" PRIu64, n++ ? ", " : "", ptx_class_name(k), c->warps[k]);
    fprintf(log, "}");
}

/* One line of JSON: instructions of all of it and of the main loop; traffic is [requests, sectors or bank
 * cycles, ideal ones]. */
static void log_launch(const PtxLaunch *l, const char *name)
{
    const char *path = getenv("ATTN_PTX_LOG");
    FILE *log = path && *path ? fopen(path, "a") : NULL;
    if (!log) return;
    PtxCounters c = ptx_counters(l->function);
    fprintf(log, "{\"kernel\": \"%s\", \"grid\": [%u, %u, %u], \"block\": [%u, %u, %u], \"shared\": %u", name,
            l->grid[0], l->grid[1], l->grid[2], l->block[0], l->block[1], l->block[2],
            l->shared + ptx_static_shared(l->function));
    log_classes(log, "warps", &c);
    PtxCounters loop = ptx_loop_counters(l->function);
    log_classes(log, "loop", &loop);
    fprintf(log, ", \"exp2_threads\": %" PRIu64 ", \"mma_flops\": %" PRIu64, c.threads[PTX_EXP], c.mma_flops);
    log_traffic(log, "global_load", c.global_load);
    log_traffic(log, "global_store", c.global_store);
    log_traffic(log, "shared_load", c.shared_load);
    log_traffic(log, "shared_store", c.shared_store);
    fprintf(log, "}\n");
    fclose(log);
}

/* The parameters one after the other: from pointers to them, or from the buffer of `extra`. */
static bool pack_params(const PtxFunction *f, void **params, void **extra, unsigned char *bytes)
{
    for (; extra && extra[0]; extra += 2)
        if (extra[0] == (void *)1) memcpy(bytes, extra[1], ptx_params_size(f));
    for (uint32_t k = 0; params && k < ptx_n_params(f); k++) {
        uint32_t size, offset = ptx_param_offset(f, k, &size);
        if (!params[k]) return false;
        memcpy(bytes + offset, params[k], size);
    }
    return true;
}

static CUresult launch(CUfunction f, PtxLaunch *l, void **params, void **extra)
{
    unsigned char bytes[4096] = {0};
    if (ptx_params_size(f->function) > sizeof bytes || l->shared > f->max_dynamic)
        return CUDA_ERROR_INVALID_VALUE;
    if (!pack_params(f->function, params, extra, bytes)) return CUDA_ERROR_INVALID_VALUE;
    l->params = bytes;
    driver.launches++;
    driver.text[0] = 0;
    if (ptx_launch(driver.device, l)) {
        log_launch(l, ptx_name(f->function));
        return CUDA_SUCCESS;
    }
    snprintf(driver.text, sizeof driver.text, "%s", ptx_error(driver.device));
    return driver.failure = CUDA_ERROR_ILLEGAL_ADDRESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                        CUstream stream, void **params, void **extra)
{
    (void)stream;
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    PtxLaunch l = {function->function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared, NULL};
    CUresult r = driver_enter_context();
    return driver_leave(r ? r : launch(function, &l, params, extra));
}
