/* See explain_cuda.h. Work of tiles follows from their visible pairs, or from extents (tile_model.h), that of
 * other kernels from the counts of census.h.
 *
 * Requires: a Plan and the Kernel lowered from it. Breaks: nothing; both are only read. */
#include "explain_cuda.h"

#include <math.h>

#include "census.h"
#include "streams.h"
#include "tape.h"
#include "tile_model.h"

enum { PLAIN_THREADS = 128 };

typedef struct Explain {
    Compilation *c;
    const Plan *plan;
    const Kernel *kernel;
    const InterpretArguments *arguments;
    const Gpu *gpu;
    StorageType real;
    CensusPhase *phases;
} Explain;

static double extents(const Explain *x, unsigned n, Index *const *list)
{
    double product = 1;
    for (unsigned k = 0; k < n; k++) {
        int64_t extent = tape_extent(x->c, list[k], x->arguments);
        product *= extent < 0 ? NAN : (double)extent;
    }
    return product;
}

/* ---- memory ---- */

static double element_bytes(const Explain *x, const Buffer *b)
{
    static const double sizes[] = {
        [STORAGE_F16] = 2, [STORAGE_BF16] = 2, [STORAGE_F32] = 4, [STORAGE_F64] = 8};
    const Tensor *t = b->tensor;
    if (t->type != TYPE_REAL) return t->type == TYPE_BOOL ? 1 : 8;
    if (b->kind != BUFFER_BOUND) return b->exact || x->real == STORAGE_F64 ? 8 : 4;
    return sizes[t->storage == STORAGE_FLOAT ? x->real : t->storage];
}

/* Bytes that a phase reads and writes, each element once (scratch: for every task): the caches have the rest.
 * Blocks of tiles and recurrences have no scratch. */
static double phase_bytes(const Explain *x, const CensusPhase *p, const ExplainKernel *out)
{
    double bytes = 0;
    for (uint32_t k = 0; k < x->kernel->buffers.n; k++) {
        const Buffer *b = &x->kernel->buffers.at[k];
        double all = extents(x, b->tensor->n_dims, b->tensor->dims), size = element_bytes(x, b);
        bool none = out->phase->tile || out->phase->product || out->phase->recurrence;
        if (b->kind == BUFFER_SCRATCH) all *= none ? 0 : out->tasks;
        bytes += size * (fmin(all, p->read[k]) + fmin(all, p->written[k]));
    }
    return bytes;
}

/* ---- tiles ---- */

static double visible_pairs(const Explain *x, const Phase *phase)
{
    StreamList list = {0};
    double most = 0;
    streams_find(x->c, x->plan->stages.at[phase->stage - 1], &list);
    for (uint32_t k = 0; k < list.n; k++) {
        double visible = streams_visible(x->c, &list.at[k], x->arguments);
        if (!(visible <= most)) most = visible;
    }
    return most;
}

static void explain_tile(const Explain *x, ExplainKernel *out, const CensusPhase *p)
{
    TileNeed need = tile_need(out->phase->tile);
    out->block = tile_block(&need);
    out->visible = visible_pairs(x, out->phase);
    out->work = tile_work(&need, out->visible);
    out->work.global = phase_bytes(x, p, out);
}

static double extent_of(const Explain *x, Index *index) { return extents(x, 1, &index); }

static void explain_product(const Explain *x, ExplainKernel *out, const CensusPhase *p)
{
    const Product *t = out->phase->product;
    ProductNeed need = product_need(t);
    unsigned last = t->n_along - 1;
    need.n_rows = extent_of(x, t->row);
    need.n_columns = extent_of(x, t->column);
    need.along = extent_of(x, t->along[last]);
    need.times = extents(x, last, t->along);
    need.batch = extents(x, out->phase->n_tasks - 2, out->phase->tasks);
    out->block = product_block(&need);
    out->work = product_work(&need);
    out->work.global = phase_bytes(x, p, out);
}

/* ---- one thread a task ---- */

/* Every operand is loaded, through an address of its own: a multiply-add is one instruction beside a load and
 * two on addresses for each of its operands. */
static void explain_plain(const Explain *x, ExplainKernel *out, const CensusPhase *p)
{
    double flops = p->vector.products + p->vector.flops + p->scalar.products + p->scalar.flops;
    double special = p->vector.special + p->scalar.special;
    double moves = p->vector.loads + p->scalar.loads + p->vector.stores + p->scalar.stores;
    double ints = p->vector.ints + p->scalar.ints;
    const Recurrence *r = out->phase->recurrence;
    if (r)
        moves /= 6,
            ints /=
            4; /* states are in registers, four rows are loaded at a time, addresses are those of registers */
    out->block = (GpuBlock){.threads = r ? r->threads : PLAIN_THREADS};
    out->work = (GpuWork){.fma = flops,
                          .exp2 = special,
                          .issue = (flops / 2 + special + 3 * moves + ints) / 32,
                          .global = phase_bytes(x, p, out)};
}

static ExplainKernel explain_phase(const Explain *x, uint32_t number)
{
    const Phase *phase = &x->kernel->phases.at[number];
    const CensusPhase *p = &x->phases[number];
    ExplainKernel out = {.phase = phase, .tasks = extents(x, phase->n_tasks, phase->tasks), .visible = NAN};
    if (phase->tile)
        explain_tile(x, &out, p);
    else if (phase->product)
        explain_product(x, &out, p);
    else
        explain_plain(x, &out, p);
    GpuBlock block = out.block;
    if (!block.registers) block.registers = GPU_THREAD_REGISTERS;
    out.resident = gpu_blocks(x->gpu, &block);
    out.limit = gpu_limit(x->gpu, &out.work);
    if (!p->complete || (phase->tile && isnan(out.visible))) out.limit = (GpuLimit){"not known", NAN, NAN};
    return out;
}

ExplainKernels explain_cuda(Compilation *c, const Plan *plan, const Kernel *kernel,
                            const InterpretArguments *arguments, const Gpu *gpu, StorageType real)
{
    Explain x = {c, plan, kernel, arguments, gpu, real, NEW_ARRAY(c, CensusPhase, kernel->phases.n + 1)};
    ExplainKernels all = {0};
    census(c, kernel, arguments, NULL, x.phases);
    for (uint32_t k = 0; k < kernel->phases.n; k++) {
        ExplainKernel one = explain_phase(&x, k);
        if (one.tasks > 0) PUSH(c, &all, one); /* split keys are for few queries, say */
    }
    return all;
}
