/* One case of bench/gpu_counters: the pattern compiled for its extents, the only kernel run by the
 * interpreter. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gpu/counters.h"
#include "compiler/pipeline.h"

typedef struct Measure {
    Compilation *c;
    const Nvrtc *nvrtc;
    const CounterCase *x;
    BackendJob job;
    const Variant *variant;
    CudaProgram program;
    uint32_t phase; /* the one that is measured */
    PtxDevice *device;
    PtxModule *module;
    uint64_t args[ATTN_CUDA_ARGS_BYTES / 8];
    unsigned n_args;
} Measure;

/* ---- code ---- */

static const char *generate(Measure *m)
{
    const char *folder = getenv("ATTN_SOURCE");
    const char *path = format(m->c, "%s/%s", folder ? folder : ".", m->x->file);
    const char *sizes[] = {format(m->c, "d=%u", m->x->d), format(m->c, "e=%u", m->x->d)};
    Pipeline p;
    PipelineOptions *o = NEW(m->c, PipelineOptions);
    *o = (PipelineOptions){.path = path,
                           .pattern = m->x->product,
                           .target = TARGET_CUDA,
                           .real = m->x->f32 ? STORAGE_F32 : STORAGE_F16,
                           .sizes = sizes,
                           .n_sizes = 2};
    o->definitions = m->x->definitions;
    while (o->definitions[o->n_definitions]) o->n_definitions++;
    pipeline_init(&p, m->c, o);
    if (!pipeline_job(&p, &m->job)) return p.error ? p.error : format(m->c, "%s does not compile", path);
    m->variant = &m->job.variants.at[0];
    m->program = cuda_print(&m->job, m->variant, false);
    const Kernel *k = m->variant->kernel;
    const Phase *last = &k->phases.at[m->phase = k->phases.n - 1]; /* those before are for few queries */
    if (last->tile || last->product || last->recurrence) return NULL;
    return format(m->c, "%s has no kernel of a block: %s", m->x->file,
                  last->plain ? last->plain : last->name);
}

static const char *compile(Measure *m, NvrtcUsage *usage)
{
    NvrtcImage cubin, ptx;
    const char *error = nvrtc_compile(m->c, m->nvrtc, m->program.source, m->program.file,
                                      &(NvrtcOptions){.arch = 80}, &cubin);
    if (!error)
        error = nvrtc_compile(m->c, m->nvrtc, m->program.source, m->program.file,
                              &(NvrtcOptions){.arch = 80, .ptx = true}, &ptx);
    if (error) return error;
    NvrtcUsages all = nvrtc_usage(m->c, cubin.log);
    uint32_t k = 0;
    while (k < all.n && strcmp(all.at[k].kernel, m->program.kernels[m->phase].name)) k++;
    if (k == all.n) return "ptxas does not say what the kernel takes";
    *usage = all.at[k];
    m->module = ptx_module_load(m->device, ptx.data, ptx.size);
    return m->module ? NULL : ptx_error(m->device);
}

/* ---- the call ---- */

static int64_t extent_of(const Measure *m, const Index *index)
{
    const Pattern *p = m->variant->kernel->pattern;
    if (index->heads) return m->x->heads;
    if (index->ambient) return 1;
    return gpu_is_feature(p, index) ? m->x->d : m->x->n;
}

static void add(Measure *m, uint64_t word) { m->args[m->n_args++] = word; }

/* Numbers between -1 and 1; outputs stay as they are. */
static void fill(Measure *m, const Tensor *t, uint64_t address, size_t n)
{
    void *at = ptx_bytes(m->device, address, n * (m->x->f32 ? 4 : 2));
    for (size_t i = 0; i < n && t->role != ROLE_OUTPUT; i++) {
        double x = (double)rand() / RAND_MAX * 2 - 1;
        if (m->x->f32)
            ((float *)at)[i] = (float)x;
        else
            ((_Float16 *)at)[i] = (_Float16)x;
    }
}

static void add_tensor(Measure *m, const Tensor *t)
{
    int64_t strides[MAX_INDICES], n = 1;
    for (unsigned d = t->n_dims; d-- > 0;) {
        strides[d] = n;
        n *= extent_of(m, t->dims[d]);
    }
    uint64_t address = ptx_alloc(m->device, (size_t)n * (m->x->f32 ? 4 : 2));
    fill(m, t, address, (size_t)n);
    add(m, address);
    add(m, 1);
    add(m, m->x->f32 ? ATTN_F32 : ATTN_F16);
    for (unsigned d = 0; d < t->n_dims; d++) add(m, (uint64_t)strides[d]);
}

static uint64_t tasks_along(const Measure *m, const Phase *phase, const Index *index)
{
    const Tile *t = phase->tile;
    const Product *product = phase->product;
    const Recurrence *r = phase->recurrence;
    if (r && r->block == index) return ((uint64_t)extent_of(m, r->column) + r->width - 1) / r->width;
    for (unsigned k = 0; t && k < t->n_queries; k++)
        if (t->block[k] == index) return (m->x->n + t->shape[k] - 1) / t->shape[k];
    if (product && index == product->row_block) return (m->x->n + product->rows - 1) / product->rows;
    if (product && index == product->column_block) return (m->x->d + product->columns - 1) / product->columns;
    return (uint64_t)extent_of(m, index);
}

/* As runtime/abi.h lays them out. Parameters are fixed by definitions. */
static uint64_t pack(Measure *m)
{
    const Pattern *p = m->variant->kernel->pattern;
    const Phase *phase = &m->variant->kernel->phases.at[m->phase];
    uint64_t status = ptx_alloc(m->device, 64), tasks = 1;
    memset(ptx_bytes(m->device, status, 64), 0, 64);
    for (uint32_t k = 0; k < p->tensors.n; k++) add_tensor(m, p->tensors.at[k]);
    for (uint32_t k = 0; k < p->indices.n; k++) add(m, (uint64_t)extent_of(m, p->indices.at[k]));
    for (uint32_t k = 0; k < p->params.n; k++) add(m, (uint64_t)p->params.at[k]->value.integer);
    add(m, status);
    add(m, status);
    add(m, status);
    for (unsigned k = 0; k < phase->n_tasks; k++) tasks *= tasks_along(m, phase, phase->tasks[k]);
    add(m, tasks);
    return tasks;
}

/* ---- counts ---- */

/* The loop over tiles of keys: the blocks around the first that holds an mma, no less deep than it. */
static void count_loop(const PtxFunction *f, Counts *out)
{
    uint32_t n, at = 0, end;
    const PtxBlockCount *blocks = ptx_block_counts(f, &n);
    uint64_t mma = 0, others = 0;
    while (at + 1 < n && !blocks[at].n[PTX_MMA]) at++;
    uint32_t depth = blocks[at].depth;
    for (end = at; end < n && blocks[end].depth >= depth; end++) continue;
    while (at && blocks[at - 1].depth >= depth) at--;
    for (uint32_t k = at; k < end; k++) {
        mma += blocks[k].warps * blocks[k].n[PTX_MMA];
        for (unsigned class = 0; class < PTX_CLASSES; class ++)
            if (class != PTX_MMA && class != PTX_MOVE) others += blocks[k].warps * blocks[k].n[class];
    }
    out->others = mma ? (double)others / (double)mma : 0;
}

static void count_mma(const CounterCase *x, const PtxFunction *f, const PtxCounters *c, Counts *out)
{
    uint64_t d = (x->d + 15) / 16, products = x->product ? 1 : 2; /* of d each, for a pair */
    out->mma = c->warps[PTX_MMA];
    out->visited = c->mma_flops / (products * 2 * 16 * d);
    out->needed = out->visited / (16 * 8) * d * products;
    count_loop(f, out);
}

static void count_f32(const CounterCase *x, const PtxCounters *c, Counts *out)
{
    uint64_t others = 0;
    for (unsigned class = 0; class < PTX_CLASSES; class ++)
        if (class != PTX_FLOAT && class != PTX_MOVE) others += c->warps[class];
    out->mma = c->warps[PTX_FLOAT];
    out->visited = out->visible;
    double each = x->scan > 0 ? x->scan : (double)x->d * (x->product ? 1 : 2);
    out->needed = (uint64_t)((double)out->visited / 32 * each);
    out->others = (double)others / (double)out->mma;
}

static void count(Measure *m, const PtxFunction *f, Counts *out)
{
    const CounterCase *x = m->x;
    PtxCounters c = ptx_counters(f);
    out->visible = x->heads * x->visible(x);
    if (x->f32)
        count_f32(x, &c, out);
    else
        count_mma(x, f, &c, out);
    out->exp2 = (double)c.threads[PTX_EXP] / (double)out->visited;
    out->shared_bytes = (c.shared_load.units + c.shared_store.units) * 128;
    out->conflicts = c.shared_load.units - c.shared_load.ideal + c.shared_store.units - c.shared_store.ideal;
    out->sectors_per_request = (double)c.global_load.units / (double)c.global_load.ideal;
    out->shared = m->program.kernels[m->phase].shared + out->usage.shared;
    GpuBlock block = {m->program.kernels[m->phase].threads, out->usage.registers, out->shared};
    out->blocks = gpu_blocks(gpu_find(80), &block);
}

static const char *run(Measure *m, Counts *out)
{
    const char *error = generate(m);
    if (!error) error = compile(m, &out->usage);
    if (error) return error;
    uint64_t tasks = pack(m);
    const AttnCudaKernel *k = &m->program.kernels[m->phase];
    PtxLaunch launch = {
        ptx_find(m->module, k->name), {(uint32_t)tasks, 1, 1}, {k->threads, 1, 1}, k->shared, m->args};
    if (!ptx_launch(m->device, &launch)) return format(m->c, "%s", ptx_error(m->device));
    count(m, launch.function, out);
    return NULL;
}

const char *counter_measure(Compilation *c, const Nvrtc *nvrtc, const CounterCase *x, Counts *out)
{
    Measure *m = NEW(c, Measure);
    *m = (Measure){.c = c, .nvrtc = nvrtc, .x = x, .device = ptx_device_new()};
    *out = (Counts){0};
    const char *error = m->device ? run(m, out) : "out of memory";
    if (m->module) ptx_module_free(m->module);
    ptx_device_free(m->device);
    return error;
}
