/* What the kernels for a GPU take at given sizes, for `attnc explain --target cuda`. */
#ifndef ATTN_COMPILER_EXPLAIN_CUDA_H
#define ATTN_COMPILER_EXPLAIN_CUDA_H

#include "gpu.h"
#include "interpret.h"
#include "loops.h"
#include "plan.h"

/* Numbers that are not known are NAN. */
typedef struct ExplainKernel {
    const Phase *phase;
    double tasks, visible;     /* visible: pairs of query and key; NAN where there are no tiles */
    GpuBlock block;            /* registers 0: not known, 255 at most */
    unsigned resident;         /* blocks of a multiprocessor, at least */
    GpuWork work;
    GpuLimit limit;            /* NAN seconds: not known */
} ExplainKernel;
typedef VEC(ExplainKernel) ExplainKernels;

/* One for every phase. The kernel is lowered for CUDA, with float tensors of type `real`. */
ExplainKernels explain_cuda(Compilation *c, const Plan *plan, const Kernel *kernel,
                            const InterpretArguments *arguments, const Gpu *gpu, StorageType real);

#endif
