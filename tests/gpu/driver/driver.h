/* A CUDA driver whose device is the PTX interpreter: libcuda_ptx.so has the functions of the driver API that
 * a runtime needs, under their documented names and signatures, so that a host program takes the same road
 * with a GPU and without one ($ATTN_CUDA_DRIVER names it).
 *
 * Everything runs at once and in order; streams and events are only handles. Memory begins as FF bytes.
 * Modules are PTX text: a cubin is answered with CUDA_ERROR_NO_BINARY_FOR_GPU. A launch that the interpreter
 * ends returns CUDA_ERROR_ILLEGAL_ADDRESS, as do all later calls that wait or copy, until the primary
 * context is released; ptxLastError and cuGetErrorString say what happened.
 *
 * Environment: ATTN_PTX_ARCH (80: compute capability 8.0), ATTN_PTX_SMS (4: multiprocessors),
 * ATTN_PTX_LOG (a file that gets one line of JSON for every launch). */
#ifndef ATTN_TESTS_GPU_DRIVER_H
#define ATTN_TESTS_GPU_DRIVER_H

#include "tests/gpu/ptx/ptx.h"

#include <pthread.h>

typedef enum CUresult {
#define RESULT(number, name, text) CUDA_##name = number,
#include "result_list.h"
#undef RESULT
} CUresult;

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;

struct CUctx_st { int unused; };
struct CUmod_st { PtxModule *module; CUfunction functions; };
struct CUfunc_st { const PtxFunction *function; uint32_t max_dynamic; CUfunction next; };
struct CUstream_st { int unused; };
struct CUevent_st { double seconds; };

typedef struct Driver {
    pthread_mutex_t lock;
    PtxDevice *device;
    struct CUctx_st primary, own;   /* contexts: the primary one, and those of cuCtxCreate */
    unsigned retained;
    CUresult failure;               /* sticky */
    char text[1200];                /* ptxLastError */
    uint64_t launches, waits, allocations, copies; /* calls */
} Driver;
extern Driver driver;

#define EXPORT __attribute__((visibility("default")))
CUresult driver_enter(void);        /* takes the lock; an error where there was no cuInit */
CUresult driver_enter_context(void); /* or where the thread has no context, or a launch has failed */
CUresult driver_leave(CUresult r);  /* gives it back; returns r */
unsigned driver_arch(void);         /* 80 */
unsigned driver_setting(const char *variable, unsigned otherwise);

/* Not of the driver API: for tests. */
EXPORT const char *ptxLastError(void);
EXPORT uint64_t ptxCalls(const char *what); /* "launches", "waits", "allocations", "copies" so far */

#define FUNCTION(name, ...) EXPORT CUresult name(__VA_ARGS__);
#include "function_list.h"
#undef FUNCTION

#endif
