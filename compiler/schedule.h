/* What the lowering needs to know of a target. */
#ifndef ATTN_COMPILER_SCHEDULE_H
#define ATTN_COMPILER_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "lang/ast.h"

typedef enum Target { TARGET_CPU, TARGET_CUDA } Target;

/* Queries and keys of a tile, or rows and columns of a product; 0: by tile_model.h. */
typedef struct TileShape { unsigned rows, columns; } TileShape;

typedef struct Schedule {
    Target target;
    unsigned lanes;  /* CPU: queries that one vector strip of a pairwise stage holds; 0: no strips */
    bool wide;       /* CPU: 32 vector registers, not 16 */
    bool many_tasks; /* every index of an equation that it does not run innermost is a task index, so that
                        there are as many tasks as possible and neighbours touch neighbouring elements */
    /* CUDA: what a variant fixes */
    StorageType real;     /* of float tensors */
    const int64_t *fixed; /* extents by Index.number, or -1; NULL: none */
    unsigned arch;        /* the oldest one that code is made for: 80 ... */
    TileShape tile;       /* where a kernel has it */
    bool tf32;            /* rows of f32 are multiplied as tf32 */
} Schedule;

/* For the weakest CPU in the list (LLVM's names by commas; NULL: this machine): a strip is two vector registers,
 * so that eight keys (AVX-512) or four (AVX2) with their accumulators fit the register file. */
Schedule schedule_cpu(const char *cpus, bool f64);
/* One thread a task, or tiles for tensor cores where 16-bit storage and fixed extents of features allow. */
Schedule schedule_cuda(StorageType real, bool tf32, const int64_t *fixed, unsigned arch, TileShape tile);

#endif
