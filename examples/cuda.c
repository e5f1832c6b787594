/* Compiles a pattern for a GPU, runs it on tensors in the device's memory, on a stream of the caller's, and
 * checks it against a plain loop. A program with the CUDA toolkit would include <cuda.h> and link libcuda;
 * this one opens the driver itself, so that it is built everywhere. NVRTC is needed, too ($ATTN_NVRTC). */
#include <attn.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char source[] = "pattern causal_attention()\n"
                             "    over b: q[i, d], k[j, d], v[j, e] -> o[i, e]\n"
                             "    example i = 20, j = 20, d = 8, e = 8\n"
                             "{\n"
                             "    p = softmax[j](sum[d](q * k) / sqrt(size(d)) where j <= i)\n"
                             "    o = sum[j](p * v)\n"
                             "}\n";

enum { B = 2, N = 50, D = 8, E = 5 };
static float q[B][N][D], k[B][N][D], v[B][N][E], o[B][N][E];

/* ---- what we need of the driver ---- */

typedef uint64_t Pointer; /* CUdeviceptr */
typedef struct Context *Context;
typedef struct Stream *Stream;
static struct {
    int (*cuInit)(unsigned flags);
    int (*cuDevicePrimaryCtxRetain)(Context *context, int device);
    int (*cuCtxSetCurrent)(Context context);
    int (*cuStreamCreate)(Stream *stream, unsigned flags);
    int (*cuStreamDestroy_v2)(Stream stream);
    int (*cuMemAlloc_v2)(Pointer *memory, size_t bytes);
    int (*cuMemFree_v2)(Pointer memory);
    int (*cuMemcpyHtoD_v2)(Pointer to, const void *from, size_t bytes);
    int (*cuMemcpyDtoH_v2)(void *to, Pointer from, size_t bytes);
} cu;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void open_driver(void)
{
    const char *named = getenv("ATTN_CUDA_DRIVER");
    void *driver = dlopen(named && *named ? named : "libcuda.so.1", RTLD_NOW);
    if (!driver)
        fail("no CUDA driver", dlerror());
#define FIND(name)                                                                                           \
    if (!(*(void **)&cu.name = dlsym(driver, #name)))                                                        \
    fail("the CUDA driver lacks", #name)
    FIND(cuInit);
    FIND(cuDevicePrimaryCtxRetain);
    FIND(cuCtxSetCurrent);
    FIND(cuStreamCreate);
    FIND(cuStreamDestroy_v2);
    FIND(cuMemAlloc_v2);
    FIND(cuMemFree_v2);
    FIND(cuMemcpyHtoD_v2);
    FIND(cuMemcpyDtoH_v2);
}

/* ---- tensors ---- */

static void cuda(const char *what, int result)
{
    char number[32];
    snprintf(number, sizeof number, "CUDA error %d", result);
    if (result)
        fail(what, number);
}

/* A copy of a [B, N, width] array on device 0, as DLPack describes it. */
static DLTensor on_device(const void *host, int64_t *shape)
{
    size_t bytes = (size_t)(shape[0] * shape[1] * shape[2]) * sizeof(float);
    Pointer memory;
    cuda("memory", cu.cuMemAlloc_v2(&memory, bytes));
    cuda("copy", cu.cuMemcpyHtoD_v2(memory, host, bytes));
    return (DLTensor){.data = (void *)(uintptr_t)memory,
                      .device = {kDLCUDA, 0},
                      .ndim = 3,
                      .dtype = {kDLFloat, 32, 1},
                      .shape = shape}; /* row-major, since there are no strides */
}

static void fill(float *x, size_t n, float step)
{
    for (size_t i = 0; i < n; i++)
        x[i] = sinf((float)i * step);
}

/* One number of the output, as the equations say it. */
static double expected(int b, int i, int e)
{
    double above = 0, below = 0;
    for (int j = 0; j <= i; j++) {
        double s = 0;
        for (int d = 0; d < D; d++)
            s += (double)q[b][i][d] * (double)k[b][j][d];
        above += exp(s / sqrt(D)) * (double)v[b][j][e];
        below += exp(s / sqrt(D));
    }
    return above / below;
}

int main(void)
{
    AttnError error;
    AttnLibrary *library;
    AttnBinding *binding;
    Context context;
    Stream stream;
    size_t bytes;
    Pointer workspace;
    fill(&q[0][0][0], sizeof q / sizeof(float), 0.37f);
    fill(&k[0][0][0], sizeof k / sizeof(float), 0.71f);
    fill(&v[0][0][0], sizeof v / sizeof(float), 1.3f);
    open_driver();
    cuda("start", cu.cuInit(0));
    cuda("context", cu.cuDevicePrimaryCtxRetain(&context, 0));
    cuda("context", cu.cuCtxSetCurrent(context));
    cuda("stream", cu.cuStreamCreate(&stream, 1)); /* CU_STREAM_NON_BLOCKING */
    DLTensor tensors[] = {on_device(q, (int64_t[]){B, N, D}), on_device(k, (int64_t[]){B, N, D}),
                          on_device(v, (int64_t[]){B, N, E}), on_device(o, (int64_t[]){B, N, E})};

    AttnRunOptions run = {.stream = stream};
    if (attn_compile_string(source, NULL, &(AttnCompileOptions){.target = "cuda"}, &library, &error) ||
        attn_binding_new(library, "causal_attention", &binding, &error) ||
        attn_bind(binding, "q", &tensors[0], &error) || attn_bind(binding, "k", &tensors[1], &error) ||
        attn_bind(binding, "v", &tensors[2], &error) || attn_bind(binding, "o", &tensors[3], &error) ||
        attn_workspace(binding, &run, &bytes, &error))
        fail("attn", error.text);
    cuda("workspace", cu.cuMemAlloc_v2(&workspace, bytes));
    run.workspace = (void *)(uintptr_t)workspace;
    run.workspace_bytes = bytes;
    if (attn_run(binding, &run, &error) ||    /* launches; what is put on the stream now comes after it */
        attn_status(binding, stream, &error)) /* waits */
        fail("attn", error.text);
    cuda("copy", cu.cuMemcpyDtoH_v2(o, (Pointer)(uintptr_t)tensors[3].data, sizeof o));

    double worst = 0;
    for (int b = 0; b < B; b++)
        for (int i = 0; i < N; i++)
            for (int e = 0; e < E; e++)
                worst = fmax(worst, fabs((double)o[b][i][e] - expected(b, i, e)));
    printf("%zu bytes of workspace; largest error %.2g\n", bytes, worst);
    attn_binding_free(binding);
    attn_close(library);
    for (int i = 0; i < 4; i++)
        cu.cuMemFree_v2((Pointer)(uintptr_t)tensors[i].data);
    cu.cuMemFree_v2(workspace);
    cu.cuStreamDestroy_v2(stream);
    return worst < 1e-5 ? 0 : 1;
}
