/* See gpu.h. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

const Gpu gpu_archs[] = {
#define GPU(...) {__VA_ARGS__},
#include "gpu_list.h"
#undef GPU
};
const unsigned n_gpu_archs = sizeof gpu_archs / sizeof *gpu_archs;

const Gpu *gpu_find(unsigned arch)
{
    const Gpu *found = gpu_archs;
    for (unsigned k = 1; k < n_gpu_archs; k++)
        if (gpu_archs[k].arch <= arch) found = &gpu_archs[k];
    return found;
}

unsigned gpu_oldest(const char *archs)
{
    unsigned oldest = archs ? 1000 : 80;
    for (const char *at = archs; at && (at = strchr(at, '_')); at++) {
        unsigned arch = (unsigned)strtoul(at + 1, NULL, 10);
        if (arch >= 80 && arch < oldest) oldest = arch;
    }
    return oldest < 1000 ? oldest : 80;
}

/* ---- occupancy ---- */

/* CUDA C++ Programming Guide: registers are handed out to a warp 256 at a time, by each of the four
 * schedulers from a quarter; of shared memory every block takes 1 KiB more than it asks for. */
enum { PARTS = 4, REGISTER_UNIT = 256, WARP = 32, SHARED_UNIT = 128, SHARED_OWN = 1024 };

static unsigned round_up(unsigned n, unsigned unit) { return (n + unit - 1) / unit * unit; }
static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

unsigned gpu_blocks(const Gpu *gpu, const GpuBlock *b)
{
    unsigned warps = (b->threads + WARP - 1) / WARP, shared = round_up(b->shared, SHARED_UNIT);
    unsigned registers = round_up((b->registers ? b->registers : 1) * WARP, REGISTER_UNIT);
    if (!warps || shared > gpu->shared_block << 10) return 0;
    unsigned by_registers = GPU_REGISTERS / PARTS / registers * PARTS / warps;
    unsigned by_shared = (gpu->shared_processor << 10) / (shared + SHARED_OWN);
    unsigned by_threads = gpu->threads / WARP / warps;
    return least(least(by_registers, by_shared), least(by_threads, gpu->blocks));
}

/* ---- limits ---- */

GpuLimit gpu_limit(const Gpu *gpu, const GpuWork *w)
{
    const struct {
        const char *name;
        double cycles;
    } all[] = {
        {"tensor", w->mma / (gpu->tensor * gpu->mma)},
        {"fma", w->fma / gpu->f32},
        {"exp", w->exp2 / gpu->exp2},
        {"issue", w->issue / (double)GPU_ISSUE},
        {"shared", w->shared / gpu->shared},
        {"global", w->global * gpu->processors * gpu->ghz / gpu->memory},
    };
    unsigned most = 0;
    for (unsigned k = 1; k < sizeof all / sizeof *all; k++)
        if (all[k].cycles > all[most].cycles) most = k;
    double cycles = all[most].cycles;
    return (GpuLimit){all[most].name, cycles / (gpu->processors * gpu->ghz * 1e9),
                      cycles > 0 ? all[0].cycles / cycles : 0};
}

/* ---- features ---- */

bool gpu_is_feature(const Pattern *pattern, const Index *index)
{
    for (uint32_t k = 0; k < pattern->tensors.n; k++) {
        const Tensor *t = pattern->tensors.at[k];
        const Index *last = t->n_dims ? t->dims[t->n_dims - 1] : NULL;
        if (last == index && t->type == TYPE_REAL && !index->ambient && !index->extent) return true;
    }
    return false;
}
