/* The CUDA back end: Loops -> CUDA C (print.h) -> PTX and cubins (nvrtc.h) -> data of the module (module.c).
 * docs/gpu.md tells how a kernel comes about. */
#ifndef ATTN_CODEGEN_CUDA_H
#define ATTN_CODEGEN_CUDA_H

#include "compiler/backend.h"
#include "runtime/abi.h"

/* What one variant becomes. */
typedef struct CudaProgram {
    const char *file;               /* its name in messages: PATTERN.cu */
    const char *source;             /* CUDA C, complete */
    const AttnCudaKernel *kernels;  /* one for every phase */
    unsigned n_kernels;
} CudaProgram;

/* lines: #line directives that point into the .attn files. */
CudaProgram cuda_print(const BackendJob *job, const Variant *variant, bool lines);

/* What a module embeds for a variant: kernels for job->archs. NULL, or an error text. */
const char *cuda_embed(const BackendJob *job, const Variant *variant, const AttnCuda **cuda);

/* The text of --emit=cuda or ptx: all patterns, the most special variant of each. */
const char *cuda_emit(const BackendJob *job, Emit what, Text *out);

#endif
