/* The fake driver as a program without CUDA's headers uses it: opened at run time, every function by its
 * name. */
#include "driver/driver.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The functions that tests call, as pointers: those of the library, not of this program. */
#define USED(X)                                                                                             \
    X(cuInit)                                                                                               \
    X(cuDriverGetVersion)                                                                                   \
    X(cuGetErrorName)                                                                                       \
    X(cuGetErrorString) X(cuDeviceGetCount) X(cuDeviceGet) X(cuDeviceGetName) X(cuDeviceGetAttribute)       \
        X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease_v2) X(cuCtxSetCurrent) X(cuCtxGetCurrent)   \
            X(cuCtxPushCurrent_v2) X(cuCtxPopCurrent_v2) X(cuCtxSynchronize) X(cuMemAlloc_v2)               \
                X(cuMemFree_v2) X(cuMemcpyHtoD_v2) X(cuMemcpyDtoH_v2) X(cuMemsetD32Async) X(cuStreamCreate) \
                    X(cuStreamSynchronize) X(cuStreamDestroy_v2) X(cuModuleLoadData) X(cuModuleLoadDataEx)  \
                        X(cuModuleUnload) X(cuModuleGetFunction) X(cuModuleGetGlobal_v2)                    \
                            X(cuFuncSetAttribute) X(cuFuncGetAttribute) X(cuLaunchKernel) X(cuEventCreate)  \
                                X(cuEventRecord) X(cuEventElapsedTime) X(cuEventDestroy_v2)                 \
                                    X(cuPointerGetAttribute) X(cuOccupancyMaxActiveBlocksPerMultiprocessor) \
                                        X(cuGetProcAddress_v2) X(ptxLastError) X(ptxCalls)

static struct {
#define POINTER(name) __typeof__(&name) name;
    USED(POINTER)
} cu;

static void set_up(void)
{
    const char *path = getenv("ATTN_CUDA_PTX");
    cr_assert(path, "ATTN_CUDA_PTX is not set");
    void *library = dlopen(path, RTLD_NOW);
    cr_assert(library, "%s", dlerror());
#define FIND(name)                                      \
    cu.name = (__typeof__(&name))dlsym(library, #name); \
    cr_assert(cu.name, #name);
    USED(FIND)
}

static CUcontext context;

static void set_up_context(void)
{
    set_up();
    cr_assert(!cu.cuInit(0) && !cu.cuDevicePrimaryCtxRetain(&context, 0) && !cu.cuCtxSetCurrent(context));
}

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"
static const char scale_ptx[] =
    HEAD ".global .u32 factor = 3;\n"
         ".visible .entry scale(.param .u64 p, .param .u32 n, .param .align 8 .b8 more[16])\n{\n"
         "    .reg .pred %p<1>; .reg .b32 %r<6>; .reg .b64 %rd<4>;\n    .shared .align 4 .b8 s[1024];\n"
         "    ld.param.u64 %rd0, [p];\n    ld.param.u32 %r0, [n];\n    ld.param.u32 %r5, [more+8];\n"
         "    mov.u32 %r1, %ctaid.x;\n    mov.u32 %r2, %ntid.x;\n    mov.u32 %r3, %tid.x;\n"
         "    mad.lo.u32 %r1, %r1, %r2, %r3;\n    setp.ge.u32 %p0, %r1, %r0;\n    @%p0 exit;\n"
         "    mul.wide.u32 %rd1, %r1, 4;\n    add.s64 %rd0, %rd0, %rd1;\n    ld.global.u32 %r2, [%rd0];\n"
         "    ld.global.u32 %r4, [factor];\n    mad.lo.u32 %r2, %r2, %r4, %r5;\n    st.global.u32 [%rd0], "
         "%r2;\n    ret;\n}\n";

typedef struct Work {
    CUmodule module;
    CUfunction f;
    CUdeviceptr p;
    uint32_t host[100];
} Work;

static Work begin(void)
{
    Work w = {0};
    for (uint32_t k = 0; k < 100; k++) w.host[k] = k;
    cr_assert(!cu.cuModuleLoadData(&w.module, scale_ptx), "%s", cu.ptxLastError());
    cr_assert(!cu.cuModuleGetFunction(&w.f, w.module, "scale"));
    cr_assert(!cu.cuMemAlloc_v2(&w.p, sizeof w.host));
    cr_assert(!cu.cuMemcpyHtoD_v2(w.p, w.host, sizeof w.host));
    return w;
}

static void end(Work *w) { cr_assert(!cu.cuMemFree_v2(w->p) && !cu.cuModuleUnload(w->module)); }

static CUresult launch(const Work *w, uint32_t n, unsigned shared)
{
    uint64_t p = w->p, more[2] = {0, 7};
    void *params[] = {&p, &n, more};
    return cu.cuLaunchKernel(w->f, 4, 1, 1, 32, 1, 1, shared, NULL, params, NULL);
}

Test(driver, runs, .init = set_up_context)
{
    Work w = begin();
    cr_assert(!launch(&w, 99, 0) && !cu.cuStreamSynchronize(NULL));
    cr_assert(!cu.cuMemcpyDtoH_v2(w.host, w.p, sizeof w.host));
    for (uint32_t k = 0; k < 100; k++) cr_assert(w.host[k] == (k < 99 ? 3 * k + 7 : k));
    cr_assert(cu.ptxCalls("launches") == 1 && cu.ptxCalls("waits") == 1 && cu.ptxCalls("copies") == 2);
    CUdeviceptr factor;
    size_t size;
    cr_assert(!cu.cuModuleGetGlobal_v2(&factor, &size, w.module, "factor") && size == 4);
    cr_assert(!cu.cuMemsetD32Async(factor, 5, 1, NULL) && !launch(&w, 1, 0));
    cr_assert(!cu.cuMemcpyDtoH_v2(w.host, w.p, 4) && w.host[0] == 7 * 5 + 7);
    end(&w);
    cr_assert(cu.cuMemFree_v2(w.p) == CUDA_ERROR_INVALID_VALUE);
}

Test(driver, buffer_of_params, .init = set_up_context)
{
    Work w = begin();
    struct {
        uint64_t p;
        uint32_t n, unused;
        uint64_t more[2];
    } all = {w.p, 100, 0, {0, 1}};
    size_t size = sizeof all;
    void *extra[] = {(void *)1, &all, (void *)2, &size, NULL};
    cr_assert(!cu.cuLaunchKernel(w.f, 4, 1, 1, 32, 1, 1, 0, NULL, NULL, extra));
    cr_assert(!cu.cuMemcpyDtoH_v2(w.host, w.p, sizeof w.host) && w.host[99] == 298);
    end(&w);
}

/* An error of the kernel: told at once, in words, and by all that follows until the context is gone. */
Test(driver, failure, .init = set_up_context)
{
    Work w = begin();
    const char *text;
    cr_assert(launch(&w, 101, 0) == CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert(strstr(cu.ptxLastError(), "scale: a read of 4 bytes of global memory out of bounds"));
    cr_assert(!cu.cuGetErrorString(CUDA_ERROR_ILLEGAL_ADDRESS, &text) && strstr(text, "out of bounds"));
    cr_assert(!cu.cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text) &&
              !strcmp(text, "CUDA_ERROR_ILLEGAL_ADDRESS"));
    cr_assert(cu.cuCtxSynchronize() == CUDA_ERROR_ILLEGAL_ADDRESS &&
              launch(&w, 1, 0) == CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert(!cu.cuDevicePrimaryCtxRelease_v2(0) && !cu.cuDevicePrimaryCtxRetain(&context, 0));
    cr_assert(!cu.cuCtxSynchronize() && !launch(&w, 100, 0));
    cr_assert(!cu.cuGetErrorString(CUDA_ERROR_INVALID_VALUE, &text) && !strcmp(text, "invalid argument"));
    end(&w);
}

/* Memory that neither the host nor a kernel wrote. */
Test(driver, unwritten, .init = set_up_context)
{
    Work w = begin();
    CUdeviceptr filled = w.p;
    cr_assert(!cu.cuMemAlloc_v2(&w.p, sizeof w.host) && !cu.cuMemcpyHtoD_v2(w.p, w.host, 4 * 10));
    cr_assert(!launch(&w, 10, 0) && launch(&w, 11, 0) == CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert(
        strstr(cu.ptxLastError(), "a read of byte 40 of an allocation of 400 bytes, which nobody wrote"));
    cr_assert(!cu.cuMemFree_v2(filled));
    end(&w);
}

Test(driver, images, .init = set_up_context)
{
    CUmodule m;
    char log[256] = "";
    int options[] = {5, 6};
    void *values[] = {log, (void *)sizeof log};
    cr_assert(cu.cuModuleLoadData(&m, "\177ELF") == CUDA_ERROR_NO_BINARY_FOR_GPU);
    cr_assert(cu.cuModuleLoadData(&m, ".version 9.0\n.target sm_90\n.address_size 64\n") ==
              CUDA_ERROR_INVALID_PTX);
    const char *unknown = HEAD ".visible .entry k()\n{\n .reg .b32 %r<1>;\n wgmma.fence %r0;\n}\n";
    cr_assert(cu.cuModuleLoadDataEx(&m, unknown, 2, options, values) == CUDA_ERROR_INVALID_PTX);
    cr_assert(strstr(log, "PTX line 7: `wgmma.fence`: this opcode is not known"), "%s", log);
    unknown = HEAD ".visible .entry k()\n{\n .reg .b32 %r<2>;\n add.trans.s32 %r0, %r1, 1;\n}\n";
    cr_assert(cu.cuModuleLoadData(&m, unknown) == CUDA_ERROR_INVALID_PTX);
    cr_assert(strstr(cu.ptxLastError(), "`trans` is not known with `add`"), "%s", cu.ptxLastError());
    setenv("ATTN_PTX_ARCH", "90", 1);
    cr_assert(!cu.cuModuleLoadData(&m, ".version 9.0\n.target sm_90\n.address_size 64\n"));
    cr_assert(!cu.cuModuleUnload(m));
    int major;
    cr_assert(!cu.cuDeviceGetAttribute(&major, 75, 0) && major == 9);
}

/* Dynamic shared memory above 48 KiB must be asked for. */
Test(driver, shared, .init = set_up_context)
{
    Work w = begin();
    int bytes;
    cr_assert(!cu.cuFuncGetAttribute(&bytes, 1, w.f) && bytes == 1024);
    cr_assert(!launch(&w, 1, 47 * 1024) && launch(&w, 1, 47 * 1024 + 16) == CUDA_ERROR_INVALID_VALUE);
    cr_assert(cu.cuFuncSetAttribute(w.f, 8, 163 * 1024) == CUDA_ERROR_INVALID_VALUE);
    cr_assert(!cu.cuFuncSetAttribute(w.f, 8, 162 * 1024) && !launch(&w, 1, 162 * 1024));
    int n;
    cr_assert(!cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&n, w.f, 128, 70 * 1024) && n == 2);
    end(&w);
}

Test(driver, contexts, .init = set_up)
{
    CUcontext c = NULL, first = NULL;
    CUdeviceptr p;
    int n;
    cr_assert(cu.cuDeviceGetCount(&n) == CUDA_ERROR_NOT_INITIALIZED);
    cr_assert(!cu.cuInit(0) && !cu.cuDeviceGetCount(&n) && n == 1);
    cr_assert(cu.cuDeviceGet(&n, 1) == CUDA_ERROR_INVALID_DEVICE && !cu.cuDeviceGet(&n, 0));
    cr_assert(cu.cuMemAlloc_v2(&p, 4) == CUDA_ERROR_INVALID_CONTEXT);
    cr_assert(!cu.cuDevicePrimaryCtxRetain(&first, 0) && !cu.cuCtxPushCurrent_v2(first));
    cr_assert(!cu.cuMemAlloc_v2(&p, 4) && !cu.cuCtxGetCurrent(&c) && c == first);
    int type = 0;
    uint32_t local = 0;
    cr_assert(!cu.cuPointerGetAttribute(&type, 2, p) && type == 2);
    cr_assert(cu.cuPointerGetAttribute(&type, 2, (CUdeviceptr)(uintptr_t)&local) == CUDA_ERROR_INVALID_VALUE);
    cr_assert(cu.cuMemcpyDtoH_v2(&local, p + 1, 4) == CUDA_ERROR_INVALID_VALUE);
    cr_assert(!cu.cuMemcpyDtoH_v2(&local, p, 4) && local == 0xffffffff); /* nothing is zero by itself */
    cr_assert(!cu.cuMemFree_v2(p));
    cr_assert(!cu.cuCtxPopCurrent_v2(&c) && !cu.cuCtxGetCurrent(&c) && !c);
}

Test(driver, names, .init = set_up_context)
{
    void *f = NULL;
    int status, version;
    char name[64];
    cr_assert(!cu.cuGetProcAddress_v2("cuMemAlloc", &f, 12000, 0, &status) && f == (void *)cu.cuMemAlloc_v2);
    cr_assert(cu.cuGetProcAddress_v2("cuMem", &f, 12000, 0, &status) == CUDA_ERROR_NOT_FOUND && !f &&
              status == 1);
    cr_assert(!cu.cuDriverGetVersion(&version) && version == 13000);
    cr_assert(!cu.cuDeviceGetName(name, sizeof name, 0) && !strcmp(name, "PTX interpreter (sm_80)"));
    CUstream s;
    CUevent a, b;
    float milliseconds = -1;
    cr_assert(!cu.cuStreamCreate(&s, 0) && !cu.cuEventCreate(&a, 0) && !cu.cuEventCreate(&b, 0));
    cr_assert(!cu.cuEventRecord(a, s) && !cu.cuEventRecord(b, s));
    cr_assert(!cu.cuEventElapsedTime(&milliseconds, a, b) && milliseconds >= 0);
    cr_assert(!cu.cuEventDestroy_v2(a) && !cu.cuEventDestroy_v2(b) && !cu.cuStreamDestroy_v2(s));
}

Test(driver, log, .init = set_up_context)
{
    char path[] = "/tmp/attn-ptx-log-XXXXXX", line[2048] = "";
    FILE *log = fdopen(mkstemp(path), "r");
    setenv("ATTN_PTX_LOG", path, 1);
    Work w = begin();
    cr_assert(!launch(&w, 32, 0));
    cr_assert(log && fgets(line, sizeof line, log));
    cr_assert(
        strstr(line, "{\"kernel\": \"scale\", \"grid\": [4, 1, 1], \"block\": [32, 1, 1], \"shared\": 1024"),
        "%s", line);
    cr_assert(strstr(line, "\"global_load\": [2, 5, 5]") && strstr(line, "\"global_store\": [1, 4, 4]"), "%s",
              line);
    end(&w);
    fclose(log);
    remove(path);
}
