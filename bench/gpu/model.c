/* What limits a kernel: the counts of a case over what a multiprocessor does in a cycle. */
#include "bench/gpu/counters.h"

/* Sources: NVIDIA A100 Tensor Core GPU Architecture (2020), H100 Tensor Core GPU Architecture (2022), CUDA
 * C++ Programming Guide 12, tables "Throughput of Native Arithmetic Instructions" and "Technical
 * Specifications per Compute Capability". A100: 108 multiprocessors at 1.41 GHz, 1555 GB/s. H100 (SXM): 132
 * at 1.83 GHz, 3350 GB/s; mma.sync reaches about 62% of what wgmma does there. Ada (L40S): 142 at 2.52 GHz,
 * 864 GB/s, half the tensor rate with sums in f32. */
const Architecture architectures[] = {
    {"sm_80", 80, 2048, 16, 4, 128, 1555.0 / 108 / 1.41, 164 << 10},
    {"sm_89", 89, 1024, 16, 4, 128, 864.0 / 142 / 2.52, 100 << 10},
    {"sm_90", 90, 4096 * 0.62, 16, 4, 128, 3350.0 / 132 / 1.83, 228 << 10},
};
const unsigned n_architectures = sizeof architectures / sizeof *architectures;

const char *counter_limit(const Architecture *a, const CounterCase *x, const Counts *n, double *share)
{
    double mma = (double)n->mma, flops = mma * 2 * 16 * 8 * 16;
    double global = 4.0 * x->heads * x->n * x->d * 2; /* q, k, v and o once: the cache has the rest */
    struct {
        const char *name;
        double cycles;
    } all[] = {
        {"tensor", flops / a->mma_flops},
        {"exp", n->exp2 * (double)n->visited / a->exp2},
        {"issue", mma * (1 + n->others) / a->issue},
        {"shared", mma / 2 * 512 / a->shared}, /* an ldmatrix of 4 for every two */
        {"global", global / a->global},
    };
    unsigned most = 0;
    for (unsigned k = 1; k < sizeof all / sizeof *all; k++)
        if (all[k].cycles > all[most].cycles) most = k;
    *share = all[0].cycles / all[most].cycles;
    return all[most].name;
}
