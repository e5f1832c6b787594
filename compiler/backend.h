/* What the pipeline needs of a code generator. The compiler never names LLVM: libattn_jit hands one of these in. */
#ifndef ATTN_COMPILER_BACKEND_H
#define ATTN_COMPILER_BACKEND_H

#include "loops.h"
#include "schedule.h"

typedef enum Emit {
#define EMIT(name, text) EMIT_##name,
#include "emit_list.h"
#undef EMIT
    EMITS
} Emit;

/* One compiled variant of one pattern. */
typedef struct Variant {
    Kernel *kernel;
    const char *cpu;             /* LLVM's CPU name, or NULL: this machine's */
    const int64_t *fixed;        /* per Pattern.indices: the extent it was specialised for, or -1 */
} Variant;
typedef struct BackendJob {
    Compilation *c;
    const Program *program;
    VEC(Variant) variants;       /* grouped by pattern, the most special first */
    Target target;
    const char *archs;           /* CUDA: `sm_80,sm_90`, or NULL: sm_80 */
    bool f64;                    /* storage and compute type of float tensors */
    bool tf32;                   /* products of f32 as tf32 */
    StorageType real;            /* storage type of float tensors; FLOAT: as f64 says */
    bool debug;                  /* -g */
    bool direct;                 /* also the direct C entries */
    uint64_t source_hash[2];
    const char *source_path;
    const char *const *definitions; /* `window=64` */
    unsigned n_definitions;
} BackendJob;
/* What `float` is. */
static inline StorageType job_real(const BackendJob *job)
{
    return job->real != STORAGE_FLOAT ? job->real : job->f64 ? STORAGE_F64 : STORAGE_F32;
}
/* Of a tensor of the signature. */
static inline StorageType job_storage(const BackendJob *job, const Tensor *t)
{
    return t->storage != STORAGE_FLOAT ? t->storage : job_real(job);
}
typedef struct Backend {
    const char *name;
    /* Text (LLVM, ASM) or a file (OBJ, ARCHIVE, SHARED) at `path`. Returns NULL or an error text (in job->c's arena). */
    const char *(*emit)(const BackendJob *job, Emit what, const char *path, Text *out);
    const char *(*host_cpu)(Compilation *c);    /* name and features, for cache keys */
    const char *(*version)(void);               /* `LLVM 19.1.7` */
} Backend;

#endif
