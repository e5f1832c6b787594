/* What a block of a tile kernel takes of a multiprocessor, and how large a tile should be for that. */
#ifndef ATTN_COMPILER_TILE_MODEL_H
#define ATTN_COMPILER_TILE_MODEL_H

#include "gpu.h"
#include "loops.h"
#include "schedule.h"

enum { TILE_MODEL_THREADS = 128, TILE_MODEL_QUERIES = 64 }; /* of a block */
/* Does a thread on tensor cores keep its part of queries in registers, at most 32 of them? */
static inline bool tile_keeps_queries(bool tf32, int64_t d) { return d <= (tf32 ? 64 : 128); }

typedef struct TileNeed {
    bool mma, tf32;  /* on tensor cores, rows of 16 bits, or of f32 as tf32; else of f32 */
    int64_t d, e;    /* features of queries and keys, of values */
    unsigned keys;   /* of a tile */
    bool masks;      /* pairs may be hidden */
    bool plain;      /* a sum without a softmax: no maxima, nothing is rescaled */
    unsigned list;   /* coordinates of a key that go through shared memory */
} TileNeed;

TileNeed tile_need(const Tile *t);
/* Registers are an estimate: fragments of queries, scores and sums, and what else kernels were seen to take;
 * shared memory is without that of long scores. */
GpuBlock tile_block(const TileNeed *need);
/* Work of a block on `pairs` of query and key. */
GpuWork tile_work(const TileNeed *need, double pairs);
/* The keys of a tile that take least time for each: 64, 32 or 16 (in f32 also 8). Every GPU of the same major capability must
 * be able to run a block. `need->keys` is not looked at. */
unsigned tile_keys(const TileNeed *need, unsigned arch);

/* A sum of products (Product in loops.h). */
typedef struct ProductNeed {
    bool mma;
    unsigned rows, columns, depth;           /* of a tile */
    double n_rows, n_columns, along;         /* of the work: extents, that of the last summed index, */
    double batch, times;                     /* of all other indices, of other summed ones together */
} ProductNeed;

ProductNeed product_need(const Product *t); /* of one tile */
GpuBlock product_block(const ProductNeed *need);
/* Work of all blocks, traffic of device memory apart. */
GpuWork product_work(const ProductNeed *need);
/* Sets the tile that takes least time for the work; of those of this shape, if there are any. */
void product_tile(ProductNeed *need, unsigned arch, TileShape shape);

#endif
