/* The CUDA driver, opened as the program runs: nothing of CUDA is needed to build. Not part of the
 * interface. */
#ifndef ATTN_RUNTIME_CUDA_DRIVER_H
#define ATTN_RUNTIME_CUDA_DRIVER_H

#include "attn.h"

#include <stdbool.h>

/* The driver's types, as its ABI has them. */
typedef int CuResult;
typedef int CuDevice;
typedef uint64_t CuPointer; /* 0: none */
typedef struct CuContextObject *CuContext;
typedef struct CuStreamObject *CuStream;
typedef struct CuModuleObject *CuModule;
typedef struct CuFunctionObject *CuFunction;
enum { CU_OUT_OF_MEMORY = 2 }; /* of CuResult; 0 is success */
typedef enum CuAttribute {
    CU_CLOCK_KHZ = 13, CU_MULTIPROCESSORS = 16, CU_CAPABILITY_MAJOR = 75, CU_CAPABILITY_MINOR = 76, CU_MEMORY_POOLS = 115
} CuAttribute;
enum { CU_FUNCTION_DYNAMIC_SHARED = 8 };         /* of cuFuncSetAttribute */
enum { CU_JIT_ERRORS = 5, CU_JIT_ERRORS_BYTES }; /* of cuModuleLoadDataEx: its log and the room for it */

typedef struct RtDriver {
    void *handle; /* NULL: not open */
#define FUNCTION(name, suffix, parameters) CuResult (*name) parameters;
#define OPTIONAL FUNCTION
#include "cuda_driver_list.h"
#undef FUNCTION
#undef OPTIONAL
} RtDriver;

/* Opens $ATTN_CUDA_DRIVER, else libcuda.so.1, and initialises it; it stays loaded. ATTN_STATUS_DEVICE: there
 * is none, or it is too old, or has no device. */
AttnStatus rt_driver_open(RtDriver *d, AttnError *error);
/* ATTN_OK for 0; else an error that names what was done (`q: cuMemAlloc`). */
AttnStatus rt_driver_result(const RtDriver *d, AttnError *error, const char *what, CuResult result);
#define rt_driver(d, error, function, ...) \
    rt_driver_result(d, error, #function, (d)->function(__VA_ARGS__))

/* Makes `context` the thread's current one until rt_driver_leave, if it is not that yet. */
AttnStatus rt_driver_enter(const RtDriver *d, CuContext context, bool *pushed, AttnError *error);
void rt_driver_leave(const RtDriver *d, bool pushed);

#endif
