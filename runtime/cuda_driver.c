/* Opening the CUDA driver, and what its results say. */
#include "internal.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *symbol;
    size_t offset;
    bool optional;
} functions[] = {
#define FUNCTION(name, suffix, parameters) {#name suffix, offsetof(RtDriver, name), false},
#define OPTIONAL(name, suffix, parameters) {#name suffix, offsetof(RtDriver, name), true},
#include "cuda_driver_list.h"
#undef FUNCTION
#undef OPTIONAL
};

static const char *driver_name(void)
{
    const char *given = secure_getenv("ATTN_CUDA_DRIVER");
    return given && *given ? given : "libcuda.so.1";
}

static AttnStatus find_functions(RtDriver *d, void *handle, AttnError *error)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *symbol = dlsym(handle, functions[i].symbol);
        if (!symbol && !functions[i].optional)
            return rt_fail(error, ATTN_STATUS_DEVICE, "the CUDA driver %s is too old: it has no %s",
                           driver_name(), functions[i].symbol);
        memcpy((char *)d + functions[i].offset, &symbol, sizeof symbol);
    }
    return ATTN_OK;
}

AttnStatus rt_driver_open(RtDriver *d, AttnError *error)
{
    if (d->handle) return ATTN_OK;
    void *handle = dlopen(driver_name(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *reason = dlerror();
        return rt_fail(error, ATTN_STATUS_DEVICE,
                       "cannot open the CUDA driver (libcuda.so.1, or what $ATTN_CUDA_DRIVER names): %s",
                       reason ? reason : driver_name());
    }
    AttnStatus status = find_functions(d, handle, error);
    if (!status) status = rt_driver(d, error, cuInit, 0);
    if (status)
        dlclose(handle);
    else
        d->handle = handle;
    return status;
}

AttnStatus rt_driver_result(const RtDriver *d, AttnError *error, const char *what, CuResult result)
{
    const char *name = NULL, *text = NULL;
    if (!result) return ATTN_OK;
    d->cuGetErrorName(result, &name);
    d->cuGetErrorString(result, &text);
    return rt_fail(error, result == CU_OUT_OF_MEMORY ? ATTN_STATUS_MEMORY : ATTN_STATUS_DEVICE,
                   "%s failed: %s (%d)%s%s", what, name ? name : "unknown error", result, text ? ": " : "",
                   text ? text : "");
}

AttnStatus rt_driver_enter(const RtDriver *d, CuContext context, bool *pushed, AttnError *error)
{
    CuContext current = NULL;
    *pushed = false;
    if (!d->cuCtxGetCurrent(&current) && current == context) return ATTN_OK;
    AttnStatus status = rt_driver(d, error, cuCtxPushCurrent, context);
    *pushed = !status;
    return status;
}

void rt_driver_leave(const RtDriver *d, bool pushed)
{
    CuContext context;
    if (pushed) d->cuCtxPopCurrent(&context);
}
