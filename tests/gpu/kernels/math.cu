// Functions of libdevice, double and float: long chains of the arithmetic that NVRTC emits, divergence,
// tables in global memory, calls and local arrays. FUNCTIONS(X) is defined by the test: X(expf, float) ...
#define KERNEL(f, type) \
    extern "C" __global__ void k_##f(const type *x, type *y, int n) \
    { \
        int i = blockIdx.x * blockDim.x + threadIdx.x; \
        if (i < n) y[i] = f(x[i]); \
    }
FUNCTIONS(KERNEL)

struct Arguments { const float *x; float *y; long n; long strides[4]; int steps; };

__device__ __noinline__ float horner(float x, const float *c, int n)
{
    float y = 0;
    for (int i = n - 1; i >= 0; i--) y = fmaf(y, x, c[i]);
    return y;
}

// A struct as the only parameter, indexed at run time; an array on the stack, shared with a function.
extern "C" __global__ void polynomial(const Arguments a)
{
    float c[8];
    for (int i = 0; i < a.steps; i++) c[i] = (float)(i + 1) / (float)a.strides[i & 3];
    for (long t = blockIdx.x * (long)blockDim.x + threadIdx.x; t < a.n; t += (long)gridDim.x * blockDim.x)
        if (t % 3) a.y[t] = horner(a.x[t], c, a.steps);
        else a.y[t] = (float)(t / a.strides[1]);
}
