/* See fake_driver.h. A stream is a small number, or the address of the context that it belongs to. With
 * -DFAKE_OLD a function is missing. */
#include "tests/abi/fake_driver.h"
#include "runtime/cuda_driver.h"

#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
PUBLIC FakeDriver fake_driver = {.capability = 86, .pools = 1, .fail_with = 999};
#define S fake_driver
enum { INVALID = 1, NO_BINARY = 209, INVALID_CONTEXT = 201 };

static bool fails(const char *name)
{
    size_t n = strlen(S.log);
    if (n + strlen(name) + 2 < sizeof S.log) {
        strcpy(S.log + n, name);
        strcat(S.log, " ");
    }
    bool now = ++S.calls == S.fail_at;
    if (now) S.failed = name;
    return now;
}
#define BEGIN(name) \
    if (fails(name)) return S.fail_with;
/* What gives something back does it though it fails. */
#define END(name) return fails(name) ? S.fail_with : 0

static int device_of(const void *context) { return (int)((const char *)context - S.contexts) / 2; }

PUBLIC CuResult cuInit(unsigned flags)
{
    BEGIN("cuInit");
    return flags ? INVALID : 0;
}
PUBLIC CuResult cuGetErrorName(CuResult result, const char **name)
{
    *name = result == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
    return result == 12345 ? INVALID : 0;
}
PUBLIC CuResult cuGetErrorString(CuResult result, const char **text)
{
    *text = result == 2 ? "out of memory" : "as the test asked";
    return 0;
}
PUBLIC CuResult cuDeviceGet(CuDevice *device, int ordinal)
{
    BEGIN("cuDeviceGet");
    *device = ordinal;
    return ordinal < 0 || ordinal > 1 ? 101 : 0;
}
PUBLIC CuResult cuDeviceGetCount(int *count)
{
    BEGIN("cuDeviceGetCount");
    *count = 2;
    return 0;
}
PUBLIC CuResult cuDeviceGetName(char *name, int bytes, CuDevice device)
{
    (void)device;
    strncpy(name, "Fake 1000", (size_t)bytes);
    return 0;
}
PUBLIC CuResult cuDeviceGetAttribute(int *value, CuAttribute attribute, CuDevice device)
{
    (void)device;
    BEGIN("cuDeviceGetAttribute");
    switch (attribute) {
    case CU_CLOCK_KHZ: *value = 1000000; return 0;
    case CU_MULTIPROCESSORS: *value = 3; return 0;
    case CU_CAPABILITY_MAJOR: *value = S.capability / 10; return 0;
    case CU_CAPABILITY_MINOR: *value = S.capability % 10; return 0;
    case CU_MEMORY_POOLS: *value = S.pools; return 0;
    }
    return INVALID;
}
PUBLIC CuResult cuDevicePrimaryCtxRetain(CuContext *context, CuDevice device)
{
    BEGIN("cuDevicePrimaryCtxRetain");
    *context = (CuContext)(void *)&S.contexts[2 * device];
    S.retained++;
    return 0;
}
PUBLIC CuResult cuDevicePrimaryCtxRelease_v2(CuDevice device)
{
    (void)device;
    S.retained--;
    END("cuDevicePrimaryCtxRelease");
}
PUBLIC CuResult cuCtxGetCurrent(CuContext *context)
{
    BEGIN("cuCtxGetCurrent");
    *context = S.current;
    return 0;
}
PUBLIC CuResult cuCtxGetDevice(CuDevice *device)
{
    BEGIN("cuCtxGetDevice");
    *device = S.current ? device_of(S.current) : 0;
    return S.current ? 0 : INVALID_CONTEXT;
}
static void *stack[8];
PUBLIC CuResult cuCtxPushCurrent_v2(CuContext context)
{
    BEGIN("cuCtxPushCurrent");
    stack[S.depth++] = S.current;
    S.current = context;
    return 0;
}
PUBLIC CuResult cuCtxPopCurrent_v2(CuContext *context)
{
    *context = S.current;
    S.current = stack[--S.depth];
    END("cuCtxPopCurrent");
}
PUBLIC CuResult cuStreamGetCtx(CuStream stream, CuContext *context)
{
    BEGIN("cuStreamGetCtx");
    *context = (CuContext)(void *)stream;
    return 0;
}
PUBLIC CuResult cuStreamSynchronize(CuStream stream)
{
    (void)stream;
    S.waits++;
    END("cuStreamSynchronize");
}

/* ---- code: a module is its image, a function the text of its name there ---- */

typedef struct Function {
    char name[32];
    const char *image;
} Function;
typedef struct Module {
    const char *image;
    void *context;
    Function functions[8];
    int n;
} Module;

PUBLIC CuResult cuModuleLoadDataEx(CuModule *module, const void *image, unsigned n, int *options,
                                   void **values)
{
    BEGIN("cuModuleLoadDataEx");
    if (S.refuse && strncmp(image, S.refuse, strlen(S.refuse)) == 0) {
        if (n == 2 && options[0] == CU_JIT_ERRORS && options[1] == CU_JIT_ERRORS_BYTES &&
            (size_t)values[1] > 64)
            strcpy(values[0], "line 1: not this one");
        return NO_BINARY;
    }
    static Module all[8];
    Module *m = all;
    if (!S.modules++)
        memset(all, 0, sizeof all);
    while (m->image)
        m++;
    *m = (Module){.image = image, .context = S.current};
    *module = (CuModule)(void *)m;
    return 0;
}
PUBLIC CuResult cuModuleUnload(CuModule module)
{
    if (((Module *)(void *)module)->context != S.current) abort();
    ((Module *)(void *)module)->image = NULL;
    S.modules--;
    END("cuModuleUnload");
}
PUBLIC CuResult cuModuleGetFunction(CuFunction *function, CuModule module, const char *name)
{
    BEGIN("cuModuleGetFunction");
    Module *m = (Module *)(void *)module;
    Function *f = &m->functions[m->n++];
    strncpy(f->name, name, sizeof f->name - 1);
    f->image = m->image;
    *function = (CuFunction)(void *)f;
    return strstr(m->image, name) ? 0 : 500;
}
PUBLIC CuResult cuFuncSetAttribute(CuFunction function, int attribute, int value)
{
    (void)function;
    BEGIN("cuFuncSetAttribute");
    return attribute == CU_FUNCTION_DYNAMIC_SHARED && value <= 100000 ? 0 : INVALID;
}
PUBLIC CuResult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CuFunction function, int threads,
                                                            size_t shared)
{
    (void)function, (void)shared;
    BEGIN("cuOccupancyMaxActiveBlocksPerMultiprocessor");
    *blocks = 256 / threads;
    return 0;
}

/* How many words the parameter has says the image: `words N`. The last but one is the status word's address.
 */
PUBLIC CuResult cuLaunchKernel(CuFunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                               unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                               CuStream stream, void **parameters, void **extra)
{
    BEGIN("cuLaunchKernel");
    const Function *f = (const Function *)(void *)function;
    const char *words = strstr(f->image, "words ");
    size_t n = words ? strtoul(words + 6, NULL, 10) : 0;
    if (extra || grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || !grid_x || S.n_launches == 16)
        return INVALID;
    FakeLaunch *l = &S.launches[S.n_launches++];
    *l = (FakeLaunch){f->name, f->image, grid_x, block_x, shared, stream, S.current, {0}};
    memcpy(l->words, parameters[0], 8 * n);
    if (S.set_status && strcmp(f->name, "check") == 0) *(int32_t *)(uintptr_t)l->words[n - 2] = S.set_status;
    return 0;
}

/* ---- memory ---- */

static CuResult allocate(CuPointer *memory, size_t bytes)
{
    if (bytes > (size_t)1 << 30) return CU_OUT_OF_MEMORY;
    static _Alignas(256) char all[1 << 20];
    static size_t used;
    if (!S.memory++)
        used = 0;
    if (bytes > sizeof all - used)
        abort();
    memset(all + used, 0x5a, bytes);
    *memory = (CuPointer)(uintptr_t)(all + used);
    used += (bytes + 255) / 256 * 256;
    return 0;
}
PUBLIC CuResult cuMemAlloc_v2(CuPointer *memory, size_t bytes)
{
    BEGIN("cuMemAlloc");
    return allocate(memory, bytes);
}
PUBLIC CuResult cuMemFree_v2(CuPointer memory)
{
    (void)memory;
    S.memory--;
    END("cuMemFree");
}
PUBLIC CuResult cuMemAllocAsync(CuPointer *memory, size_t bytes, CuStream stream)
{
    (void)stream;
    BEGIN("cuMemAllocAsync");
    return allocate(memory, bytes);
}
PUBLIC CuResult cuMemFreeAsync(CuPointer memory, CuStream stream)
{
    (void)stream;
    (void)memory;
    S.memory--;
    END("cuMemFreeAsync");
}
PUBLIC CuResult cuMemsetD32Async(CuPointer memory, unsigned value, size_t count, CuStream stream)
{
    (void)stream;
    BEGIN("cuMemsetD32Async");
    for (size_t i = 0; i < count; i++) ((unsigned *)(uintptr_t)memory)[i] = value;
    return 0;
}
PUBLIC CuResult cuMemcpyHtoD_v2(CuPointer to, const void *from, size_t bytes)
{
    BEGIN("cuMemcpyHtoD");
    memcpy((void *)(uintptr_t)to, from, bytes);
    return 0;
}
#ifndef FAKE_OLD
PUBLIC CuResult cuMemcpyDtoH_v2(void *to, CuPointer from, size_t bytes)
{
    BEGIN("cuMemcpyDtoH");
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return 0;
}
#endif
PUBLIC CuResult cuMemcpyDtoHAsync_v2(void *to, CuPointer from, size_t bytes, CuStream stream)
{
    (void)stream;
    BEGIN("cuMemcpyDtoHAsync");
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return 0;
}
