/* See tile_model.h. */
#include "tile_model.h"

#include "graph.h"

#include <math.h>

static unsigned padded(int64_t n, unsigned to) { return (unsigned)(n + to - 1) / to * to; }
static unsigned padded_d(const TileNeed *x) { return padded(x->d, x->mma && !x->tf32 ? 16 : 8); }
static unsigned padded_e(const TileNeed *x) { return padded(x->e, x->mma && !x->tf32 ? 16 : 32); }
static unsigned greater(unsigned a, unsigned b) { return a > b ? a : b; }

TileNeed tile_need(const Tile *t)
{
    return (TileNeed){.mma = t->mma,
                      .tf32 = t->tf32,
                      .d = t->d,
                      .e = t->e,
                      .keys = t->keys,
                      .masks = !node_is_bool(t->where, true),
                      .plain = !t->max,
                      .list = t->n_keys > 1 ? t->n_keys : 0};
}

/* Queries, keys and values, weights, coordinates; on tensor cores two tiles of keys, and queries, weights and
 * the output in the same place where they fit. */
static unsigned shared_bytes(const TileNeed *x)
{
    unsigned d = padded_d(x), e = padded_e(x);
    if (!x->mma) return TILE_MODEL_QUERIES * 4 * (d + x->keys) + x->keys * 4 * (d + e + x->list);
    unsigned weights = TILE_MODEL_QUERIES * 2 * x->keys, bytes = x->tf32 ? 4 : 2;
    unsigned rows = greater(TILE_MODEL_QUERIES * bytes * greater(d, e), weights);
    if (tile_keeps_queries(x->tf32, x->d)) weights = 0;
    return rows + weights + 2 * x->keys * bytes * (d + e) + 2 * x->list * x->keys * 4;
}

/* A thread has 1/32 of the 16 rows of its warp: d / 4 registers of 16-bit queries, keys / 2 scores, e / 2
 * sums. The rest (addresses, maxima, fragments of keys under way) was 67 to 69 in kernels without a mask, 100
 * to 120 in those with one; queries that stay in shared memory took 36, and
 * sums without a softmax 50 fewer (ptxas 13.0, sm_80); not so with tf32, whose values are loaded one by one.
 */
static unsigned registers_of(const TileNeed *x)
{
    enum { OWN = 68, MASK = 42, UNKEPT = 36, SOFTMAX = 50 };
    bool kept = x->mma && tile_keeps_queries(x->tf32, x->d);
    unsigned queries = kept ? padded_d(x) / (x->tf32 ? 2 : 4) : UNKEPT;
    return queries + x->keys / 2 + padded_e(x) / 2 + OWN + (x->masks ? MASK : 0) -
           (x->plain && !x->tf32 ? SOFTMAX : 0);
}

GpuBlock tile_block(const TileNeed *x)
{
    unsigned registers = registers_of(x);
    return (GpuBlock){TILE_MODEL_THREADS, registers > GPU_THREAD_REGISTERS ? GPU_THREAD_REGISTERS : registers,
                      shared_bytes(x)};
}

/* f32: a warp reads 16 rows and the keys, four features of each, for their 64 * keys products. */
static GpuWork work_f32(const TileNeed *x, double pairs)
{
    double products = (padded_d(x) + padded_e(x)) * pairs;
    return (GpuWork){.fma = 2 * products,
                     .exp2 = pairs,
                     .issue = products / 32 * 1.3 + pairs / 32 * 10,
                     .shared = products * (16 + x->keys) * 16 / (64.0 * x->keys)};
}

/* Instructions of a warp on 16 rows and 64 keys, mma apart: 274 and 1.45 for each mma, of d = 64 and 128 with
 * bench/gpu_counters; of these 60 for each tile: a barrier, copies, the judging of its pairs. */
GpuWork tile_work(const TileNeed *x, double pairs)
{
    if (!x->mma) return work_f32(x, pairs);
    double flops = 2.0 * (padded_d(x) + padded_e(x)) * pairs, mma = flops / (2 * 16 * 8 * (x->tf32 ? 8 : 16));
    return (GpuWork){.mma = x->tf32 ? 2 * flops : flops, /* tf32: half as fast */
                     .exp2 = pairs,
                     .issue =
                         mma * (x->tf32 ? 5 : 2.45) + pairs / (16 * 64) * 214 + pairs / (16.0 * x->keys) * 60,
                     .shared = mma / 2 * 512}; /* an ldmatrix of four for every two */
}

/* Warps of which one waits while others work: 8 of a multiprocessor hide what a few would wait for. */
static double waiting(const Gpu *gpu, const GpuBlock *block)
{
    const double enough = 8;
    double warps = gpu_blocks(gpu, block) * (double)(block->threads / 32);
    return warps < enough ? enough / warps : 1;
}

static double seconds(const TileNeed *x, const Gpu *gpu)
{
    const double pairs = 1 << 20;
    GpuBlock block = tile_block(x);
    GpuWork work = tile_work(x, pairs);
    return gpu_limit(gpu, &work).seconds * waiting(gpu, &block);
}

static bool fits_all(const TileNeed *x, unsigned arch)
{
    GpuBlock block = tile_block(x);
    bool fits = registers_of(x) <= GPU_THREAD_REGISTERS + 1;
    for (unsigned k = 0; k < n_gpu_archs; k++)
        if (gpu_archs[k].arch / 10 == arch / 10) fits = fits && gpu_blocks(&gpu_archs[k], &block);
    return fits;
}

/* Without tensor cores a thread has its operands in registers: as many keys as leave it those. */
static unsigned keys_f32(const TileNeed *x)
{
    int64_t both = x->d + x->e;
    return 64u >> ((both > 128) + (both > 256) + (both > 384));
}

unsigned tile_keys(const TileNeed *need, unsigned arch)
{
    if (!need->mma) return keys_f32(need);
    TileNeed x = *need;
    unsigned best = 16;
    double least = 0;
    for (x.keys = 64; x.keys >= 16; x.keys /= 2) {
        if (!fits_all(&x, arch)) continue;
        double time = seconds(&x, gpu_find(arch));
        if (least > 0 && time >= least) continue;
        least = time, best = x.keys;
    }
    return best;
}

/* ---- sums of products ---- */

ProductNeed product_need(const Product *t)
{
    return (ProductNeed){.mma = t->mma,
                         .rows = t->rows,
                         .columns = t->columns,
                         .depth = t->depth,
                         .n_rows = t->rows,
                         .n_columns = t->columns,
                         .along = t->depth,
                         .batch = 1,
                         .times = 1};
}

/* A thread has 1/128 of the tile; a warp a quarter, half of the rows by half of the columns, and in registers
 * the operands of a step: 16 rows on tensor cores, else 4 products of all rows and of 4 columns. */
GpuBlock product_block(const ProductNeed *x)
{
    enum { OWN = 44 };
    unsigned operands = x->mma ? x->rows / 8 + 4 : x->rows / 2 + 16;
    unsigned registers = x->rows * x->columns / TILE_MODEL_THREADS + operands + OWN;
    return (GpuBlock){TILE_MODEL_THREADS, registers > GPU_THREAD_REGISTERS ? GPU_THREAD_REGISTERS : registers,
                      2 * (x->rows + x->columns) * x->depth * (x->mma ? 2 : 4)};
}

static double blocks_of(const ProductNeed *x)
{
    return x->batch * ceil(x->n_rows / x->rows) * ceil(x->n_columns / x->columns);
}

/* A step of a warp, of 16 products on tensor cores and else of 4, loads what it has of rows and columns: 16
 * of one by an ldmatrix, 4 rows or 8 columns by a load of 16 bytes a lane, which takes as long. Beside loads
 * and products there are, for every tile, a barrier and copies (bench/gpu_counters). */
GpuWork product_work(const ProductNeed *x)
{
    double tiles = blocks_of(x) * x->times * ceil(x->along / x->depth), size = x->mma ? 2 : 4;
    double products = tiles * x->rows * x->columns * x->depth;
    double steps = tiles * 4 * x->depth / (x->mma ? 16 : 4);
    double loads = steps * (x->mma ? (x->rows + x->columns) / 32.0 : x->rows / 8.0 + x->columns / 16.0);
    double copies = tiles * (x->rows + x->columns) * x->depth * size / 16 / 32;
    GpuWork work = {.shared = loads * 512, .issue = loads * 1.5 + copies * 2 + tiles * 4 * 40};
    if (x->mma)
        work.mma = 2 * products, work.issue += products / (16 * 8 * 16);
    else
        work.fma = 2 * products, work.issue += products / 32;
    return work;
}

/* Multiprocessors that have no block of the last ones wait for those that have, and products now and then for
 * loads. */
static double product_seconds(const ProductNeed *x, const Gpu *gpu)
{
    GpuBlock block = product_block(x);
    GpuWork work = product_work(x), loads = {.shared = work.shared};
    double blocks = blocks_of(x), once = gpu->processors * (double)gpu_blocks(gpu, &block);
    double share = blocks < gpu->processors ? gpu->processors / blocks : ceil(blocks / once) * once / blocks;
    double seconds = gpu_limit(gpu, &work).seconds + gpu_limit(gpu, &loads).seconds / 2;
    return seconds * share * waiting(gpu, &block);
}

static bool has_shape(const unsigned *tile, TileShape shape)
{
    return tile[0] == shape.rows && tile[1] == shape.columns;
}

void product_tile(ProductNeed *need, unsigned arch, TileShape shape)
{
    static const unsigned mma[][3] = {
        {128, 128, 64}, {128, 128, 32}, {128, 64, 64}, {64, 128, 64}, {64, 64, 64}};
    static const unsigned f32[][3] = {{64, 128, 32}, {64, 64, 32}};
    const unsigned(*tiles)[3] = need->mma ? mma : f32,
          n = need->mma ? sizeof mma / sizeof *mma : sizeof f32 / sizeof *f32;
    ProductNeed x = *need;
    bool asked = false;
    double least = INFINITY;
    for (unsigned k = 0; k < n; k++) asked = asked || has_shape(tiles[k], shape);
    for (unsigned k = 0; k < n; k++) {
        if (asked && !has_shape(tiles[k], shape)) continue;
        x.rows = tiles[k][0], x.columns = tiles[k][1], x.depth = tiles[k][2];
        double time = product_seconds(&x, gpu_find(arch));
        if (time >= least) continue;
        least = time, *need = x;
    }
}
