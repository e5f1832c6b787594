/* bench/gpu_counters: what kernels with tiles, and of recurrences, for CUDA devices do, counted by the interpreter of PTX
 * (tests/gpu/ptx).
 *   cases.c     the table of cases, the pairs that each must visit, what its counts may be
 *   measure.c   one case: compiled, run on the interpreter, counted
 *   model.c     what limits it on an architecture
 *   main.c      the table
 * No GPU is needed; NVRTC is. */
#ifndef ATTN_BENCH_GPU_COUNTERS_H
#define ATTN_BENCH_GPU_COUNTERS_H

#include "codegen/cuda/cuda.h"
#include "codegen/cuda/nvrtc.h"
#include "compiler/gpu.h"
#include "tests/gpu/ptx/ptx.h"

typedef struct CounterCase {
    const char *name, *file;
    const char *definitions[3];  /* NULL at the end */
    unsigned d, heads, n;        /* features of q, k and v; extent of every other index */
    uint64_t (*visible)(const struct CounterCase *c); /* pairs of a head */
    /* Bounds; 0: none. */
    double pairs;                /* worked on, of those visible */
    double instructions;         /* of the loop over tiles that are no mma and no moves, for each mma */
    double exp2;                 /* of the visited pairs */
    unsigned blocks;             /* of a multiprocessor, at least */
    bool f32;                    /* not f16: instructions of f32 stand for mma, and all pairs are visible */
    const char *product;         /* a pattern of a product of n x d and d x d, whose elements are its pairs; else NULL */
    double scan;                 /* a recurrence: such instructions for each element of the state (the pairs) and step */
    double sectors;              /* of the ideal number; 0: 1 */
} CounterCase;

extern const CounterCase counter_cases[];
extern const unsigned n_counter_cases;

typedef struct Counts {
    uint64_t visible, visited;   /* pairs */
    uint64_t mma, needed;        /* instructions (mma or f32); those that the visited pairs need */
    double others;               /* instructions in the loop (f32: of the kernel) for each mma */
    uint64_t shared_bytes;       /* from and to shared memory */
    double exp2;                 /* for each visited pair */
    double sectors_per_request;  /* 32-byte sectors of a warp's global access, of the ideal number */
    double loads;                /* bytes of keys and values that were copied, of tiles once a block */
    uint64_t conflicts;          /* bank cycles beyond the ideal ones */
    NvrtcUsage usage;
    unsigned shared, blocks;     /* bytes of a block; blocks of a multiprocessor */
} Counts;

/* NULL, or what is wrong. */
const char *counter_measure(Compilation *c, const Nvrtc *nvrtc, const CounterCase *x, Counts *out);

/* The predicted limiter of a case. */
GpuLimit counter_limit(const Gpu *gpu, const CounterCase *x, const Counts *n);

#endif
