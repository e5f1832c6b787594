/* Devices, contexts, streams and events of the fake driver. */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

Driver driver = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum { MAX_PUSHED = 16 };
static _Thread_local CUcontext pushed[MAX_PUSHED]; /* per thread, as the API says */
static _Thread_local unsigned n_pushed;

CUresult driver_leave(CUresult r)
{
    pthread_mutex_unlock(&driver.lock);
    return r;
}

CUresult driver_enter(void)
{
    pthread_mutex_lock(&driver.lock);
    return driver.device ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

unsigned driver_setting(const char *variable, unsigned otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

unsigned driver_arch(void) { return driver_setting("ATTN_PTX_ARCH", 80); }

const char *ptxLastError(void) { return driver.text; }

uint64_t ptxCalls(const char *what)
{
    return !strcmp(what, "launches")      ? driver.launches
           : !strcmp(what, "waits")       ? driver.waits
           : !strcmp(what, "allocations") ? driver.allocations
                                          : driver.copies;
}

CUresult cuInit(unsigned flags)
{
    pthread_mutex_lock(&driver.lock);
    if (!driver.device) driver.device = ptx_device_new();
    return driver_leave(flags           ? CUDA_ERROR_INVALID_VALUE
                        : driver.device ? CUDA_SUCCESS
                                        : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

static const char *result_name(CUresult error)
{
    switch (error) {
#define RESULT(number, name, text) \
    case CUDA_##name: return "CUDA_" #name;
#include "result_list.h"
#undef RESULT
    }
    return NULL;
}

static const char *result_text(CUresult error)
{
    switch (error) {
#define RESULT(number, name, text) \
    case CUDA_##name: return text;
#include "result_list.h"
#undef RESULT
    }
    return NULL;
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
    *text = result_name(error);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* What the interpreter says, where it has said something: more than a GPU tells. */
CUresult cuGetErrorString(CUresult error, const char **text)
{
    bool own = driver.text[0] && (error == driver.failure || error == CUDA_ERROR_INVALID_PTX);
    *text = own && error != CUDA_SUCCESS ? driver.text : result_text(error);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static const struct {
    const char *name;
    void *function;
} functions[] = {
#define FUNCTION(name, ...) {#name, (void *)name},
#include "function_list.h"
#undef FUNCTION
};

CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status)
{
    (void)version, (void)flags;
    size_t length = strlen(symbol);
    *function = NULL;
    for (size_t k = 0; k < sizeof functions / sizeof *functions && !*function; k++) {
        const char *name = functions[k].name;
        if (!strncmp(name, symbol, length) && (!name[length] || !strcmp(name + length, "_v2")))
            *function = functions[k].function;
    }
    if (status) *status = *function ? 0 : 1; /* found, not found */
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* ---- Devices ---- */
CUresult cuDeviceGetCount(int *n)
{
    *n = 1;
    return driver_leave(driver_enter());
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    *device = 0;
    CUresult r = driver_leave(driver_enter());
    return r ? r : ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device)
{
    if (device || length <= 0) return CUDA_ERROR_INVALID_DEVICE;
    snprintf(name, (size_t)length, "PTX interpreter (sm_%u)", driver_arch());
    return CUDA_SUCCESS;
}

static int attribute_value(int attribute)
{
    switch (attribute) {
    case 1:
    case 2:
    case 3: return 1024;      /* threads of a block, in x, in y */
    case 4: return 64;        /* in z */
    case 5: return INT32_MAX; /* blocks of a grid in x */
    case 6:
    case 7: return 65535;
    case 8: return 48 * 1024; /* shared memory of a block */
    case 9: return 64 * 1024; /* constant memory */
    case 10: return 32;       /* lanes of a warp */
    case 12:
    case 82: return 65536;   /* registers of a block, of a multiprocessor */
    case 13: return 1410000; /* kHz */
    case 16: return (int)driver_setting("ATTN_PTX_SMS", 4);
    case 31:
    case 41:
    case 95:
    case 115: return 1;       /* concurrent kernels, unified addresses, cooperative, pools */
    case 36: return 1215000;  /* memory, kHz */
    case 37: return 5120;     /* bus, bits */
    case 38: return 40 << 20; /* second cache */
    case 39: return 2048;     /* threads of a multiprocessor */
    case 75: return (int)driver_arch() / 10;
    case 76: return (int)driver_arch() % 10;
    case 81:
        return (driver_arch() == 80 ? 164 : driver_arch() < 90 ? 100 : 228) * 1024; /* shared memory, SM */
    case 97:
        return (driver_arch() == 80  ? 163
                : driver_arch() < 90 ? 99
                                     : 227) *
               1024;                                                       /* of a block, on request */
    case 106: return driver_arch() == 80 || driver_arch() >= 90 ? 32 : 24; /* blocks of a multiprocessor */
    case 111: return 1024; /* shared memory that is reserved in a block */
    default: return 0;
    }
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    *value = attribute_value(attribute);
    return device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    *bytes = (size_t)8 << 30;
    return device ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

/* ---- Contexts ---- */
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    CUresult r = driver_enter();
    *context = &driver.primary;
    if (!r && device) r = CUDA_ERROR_INVALID_DEVICE;
    if (!r) driver.retained++;
    return driver_leave(r);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    CUresult r = driver_enter();
    if (!r && (device || !driver.retained)) r = CUDA_ERROR_INVALID_CONTEXT;
    if (!r && !--driver.retained) driver.failure = CUDA_SUCCESS;
    return driver_leave(r);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    CUresult r = driver_enter();
    driver.failure = CUDA_SUCCESS;
    return driver_leave(device ? CUDA_ERROR_INVALID_DEVICE : r);
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    (void)flags;
    *context = &driver.own;
    if (device) return CUDA_ERROR_INVALID_DEVICE;
    return cuCtxPushCurrent_v2(*context);
}

CUresult cuCtxDestroy_v2(CUcontext context) { return context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT; }

CUresult cuCtxSetCurrent(CUcontext context)
{
    if (n_pushed) n_pushed--;
    if (context) pushed[n_pushed++] = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    *context = n_pushed ? pushed[n_pushed - 1] : NULL;
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    if (!context || n_pushed == MAX_PUSHED) return CUDA_ERROR_INVALID_CONTEXT;
    pushed[n_pushed++] = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    if (!n_pushed) return CUDA_ERROR_INVALID_CONTEXT;
    n_pushed--;
    if (context) *context = pushed[n_pushed];
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    *device = 0;
    return n_pushed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

/* A call that uses the current context of its thread. */
CUresult driver_enter_context(void)
{
    CUresult r = driver_enter();
    return r ? r : !n_pushed ? CUDA_ERROR_INVALID_CONTEXT : driver.failure;
}

static CUresult wait_for_all(void)
{
    CUresult r = driver_enter_context();
    driver.waits++;
    return driver_leave(r);
}

CUresult cuCtxSynchronize(void) { return wait_for_all(); }

/* ---- Streams and events ---- */
CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    (void)flags;
    *stream = calloc(1, sizeof **stream);
    return *stream ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority)
{
    (void)priority;
    return cuStreamCreate(stream, flags);
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
    free(stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream) { return (void)stream, wait_for_all(); }
CUresult cuStreamQuery(CUstream stream) { return (void)stream, driver_leave(driver_enter_context()); }

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    (void)stream, (void)flags;
    return event ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context)
{
    return (void)stream, cuCtxGetCurrent(context);
}

CUresult cuStreamIsCapturing(CUstream stream, int *status)
{
    (void)stream;
    *status = 0;
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    (void)flags;
    *event = calloc(1, sizeof **event);
    return *event ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuEventDestroy_v2(CUevent event)
{
    free(event);
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)stream;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    event->seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event) { return event ? wait_for_all() : CUDA_ERROR_INVALID_HANDLE; }
CUresult cuEventQuery(CUevent event) { return event ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE; }

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end)
{
    if (!start || !end) return CUDA_ERROR_INVALID_HANDLE;
    *milliseconds = (float)(1e3 * (end->seconds - start->seconds));
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end)
{
    return cuEventElapsedTime(milliseconds, start, end);
}
