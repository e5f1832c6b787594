/* What GPUs can do, and what a kernel takes of them: occupancy and the predicted limiter, for tile sizes,
 * `attnc explain`, `attnc bench` and bench/gpu_counters. */
#ifndef ATTN_COMPILER_GPU_H
#define ATTN_COMPILER_GPU_H

#include "lang/program.h"

/* One architecture: gpu_list.h. Rates are of a multiprocessor and cycle. */
typedef struct Gpu {
    unsigned arch;             /* 10 * major + minor */
    const char *device;
    unsigned processors;
    double ghz, memory;        /* GB/s */
    double tensor, mma, f32, f64; /* flops; mma: share of `tensor` */
    double exp2, shared;       /* results, bytes */
    unsigned shared_processor, shared_block; /* KiB */
    unsigned threads, blocks;  /* of a multiprocessor, at most */
} Gpu;
enum { GPU_REGISTERS = 65536 /* of a multiprocessor */, GPU_ISSUE = 4 /* warp instructions a cycle */ };
enum { GPU_THREAD_REGISTERS = 255 /* at most */ };

extern const Gpu gpu_archs[];
extern const unsigned n_gpu_archs;
/* The newest one that is not newer than `arch`, else the oldest. */
const Gpu *gpu_find(unsigned arch);
/* The oldest of `sm_80,sm_90,compute_80`; NULL: 80. */
unsigned gpu_oldest(const char *archs);

/* What a block takes. */
typedef struct GpuBlock { unsigned threads, registers /* of a thread */, shared /* bytes */; } GpuBlock;
/* Blocks that a multiprocessor runs at once; 0: not one fits. */
unsigned gpu_blocks(const Gpu *gpu, const GpuBlock *block);

/* What a kernel does in all. */
typedef struct GpuWork {
    double mma;      /* flops on tensor cores */
    double fma;      /* flops in f32 elsewhere */
    double exp2;     /* results */
    double issue;    /* warp instructions */
    double shared;   /* bytes from and to shared memory */
    double global;   /* bytes from and to device memory */
} GpuWork;
typedef struct GpuLimit {
    const char *name; /* tensor, fma, exp, issue, shared, global: what takes longest */
    double seconds;   /* it takes, on all multiprocessors of gpu->device */
    double tensor;    /* ... of which tensor cores are busy: 0..1 */
} GpuLimit;
GpuLimit gpu_limit(const Gpu *gpu, const GpuWork *work);

/* An index whose extent should be a constant of a kernel: the last one of a real tensor. */
bool gpu_is_feature(const Pattern *pattern, const Index *index);

#endif
