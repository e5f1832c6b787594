/* What limits a kernel: the counts of a case against what a GPU does (compiler/gpu.h). */
#include "bench/gpu/counters.h"

GpuLimit counter_limit(const Gpu *gpu, const CounterCase *x, const Counts *n)
{
    double mma = x->f32 ? 0 : (double)n->mma, bytes = x->f32 ? 4 : 2;
    GpuWork work = {
        .mma = mma * 2 * 16 * 8 * 16,
        .exp2 = n->exp2 * (double)n->visited,
        .fma = x->f32 ? (double)n->needed * 32 * 2 : 0,
        .issue = (double)n->mma * (1 + n->others),
        .shared = (double)n->shared_bytes,
        /* q, k, v and o, or both sides and the result, once: the cache has the rest */
        .global = (x->product ? (2.0 * x->n + x->d) * x->d : 4.0 * x->heads * x->n * x->d) * bytes,
    };
    return gpu_limit(gpu, &work);
}
