/* What limits a kernel: the counts of a case against what a GPU does (compiler/gpu.h). */
#include "bench/gpu/counters.h"

GpuLimit counter_limit(const Gpu *gpu, const CounterCase *x, const Counts *n)
{
    double mma = (double)n->mma;
    GpuWork work = {
        .mma = mma * 2 * 16 * 8 * 16,
        .exp2 = n->exp2 * (double)n->visited,
        .issue = mma * (1 + n->others),
        .shared = mma / 2 * 512,                    /* an ldmatrix of 4 for every two */
        .global = 4.0 * x->heads * x->n * x->d * 2, /* q, k, v and o once: the cache has the rest */
    };
    return gpu_limit(gpu, &work);
}
