/* The contract between generated code and whoever runs it. Everything in a module is constant data and
 * functions that keep no state: any number of threads may run one kernel at once.
 *
 * Order of a call: prepare (checks conditions, says how much memory and how many tasks), then phases 0, 1,
 * ... in order, with a barrier between them; the tasks of one phase may be shared out to threads in any
 * way, every thread with its own scratch. Generated code reports failure through AttnCall.status alone.
 *
 * Code for GPUs keeps prepare, which runs on the host; every phase is a CUDA kernel of the embedded images
 * (AttnCuda), launched on one stream in their order. */
#ifndef ATTN_RUNTIME_ABI_H
#define ATTN_RUNTIME_ABI_H

#include <stdint.h>

#define ATTN_ABI_VERSION 3
#define ATTN_MODULE_SYMBOL "attn_module"
#define ATTN_NOTE_NAME "attnc"      /* ELF note, type 1, in section .note.attnc */
#define ATTN_NOTE_TYPE 1

/* Element types of bound tensors. */
typedef enum AttnType {
    ATTN_F64, ATTN_F32, ATTN_F16, ATTN_BF16, ATTN_BOOL,
    ATTN_I8, ATTN_I16, ATTN_I32, ATTN_I64, ATTN_U8, ATTN_U16, ATTN_U32, ATTN_U64
} AttnType;

/* The descriptor of the note: checked before the file is opened by the dynamic loader. */
typedef struct AttnNote {
    uint32_t abi;
    uint32_t reserved;
    uint64_t size;      /* of the whole file */
    uint64_t checksum;  /* XXH3-64 of the whole file with this field as 0 */
    uint64_t source[2]; /* XXH128 of the sources */
} AttnNote;

/* One bound tensor. Strides count elements; 0 along a broadcast dimension. */
typedef struct AttnTensor {
    void *data;              /* NULL: an optional tensor that is not bound */
    const int64_t *strides;  /* one per dimension */
    int64_t group;           /* consecutive heads that share one head of this tensor; 1 elsewhere */
    int64_t type;            /* AttnType; fixed for float tensors, any integer type for int ones */
} AttnTensor;

typedef struct AttnCall {
    const AttnTensor *tensors; /* in the order of AttnPattern.tensors */
    const int64_t *extents;    /* in the order of AttnPattern.indices */
    const int64_t *params;     /* ints; bools as 0 or 1; floats as the bits of a double */
    void *workspace;           /* AttnPlan.workspace bytes, aligned to 64 */
    int32_t *status;           /* 0; or 1 + the number of the check that failed (set once, atomically) */
} AttnCall;

typedef struct AttnPlan {
    uint64_t workspace;        /* bytes for the whole call */
    uint64_t scratch;          /* bytes for every thread, aligned to 64 */
    int64_t *tasks;            /* room for AttnPattern.n_phases numbers */
} AttnPlan;

/* Returns 0, or 1 + the number of the condition that does not hold. Uses only extents, params and
 * tensors[].data != NULL. */
typedef int32_t AttnPrepare(const AttnCall *call, AttnPlan *plan);
typedef void AttnPhase(const AttnCall *call, int32_t phase, int64_t first, int64_t last, void *scratch);

typedef enum AttnRole { ATTN_INPUT, ATTN_CAPTURE, ATTN_OUTPUT } AttnRole;
typedef struct AttnIndexInfo {
    const char *name;
    int64_t derived;         /* 1: follows from others, prepare compares it; -1 in the call: not known */
} AttnIndexInfo;
typedef struct AttnTensorInfo {
    const char *name;
    int32_t role;            /* AttnRole */
    int32_t type;            /* AttnType; ATTN_I64 for int: any integer type may be bound */
    int32_t rank;
    int32_t ambient;         /* the first `ambient` dimensions are implicit; extent 1 broadcasts along their
                                indices in all inputs */
    int32_t heads;           /* the dimension that may be bound with a divisor of its extent, or -1 */
    int32_t optional;        /* may be left unbound */
    const int32_t *dims;     /* rank numbers of indices; derived ones come last among these */
    const char *range;       /* `0..size(page)`, or NULL */
    const char *doc;         /* or NULL */
} AttnTensorInfo;
typedef struct AttnParamInfo {
    const char *name;
    int32_t type;            /* ATTN_I64, ATTN_F64 or ATTN_BOOL */
    int32_t has_default;     /* 2: fixed when it was compiled; the code does not look at AttnCall.params */
    int64_t value;           /* default or constant, as in AttnCall.params */
} AttnParamInfo;
typedef enum AttnCheckKind { ATTN_CHECK_CONDITION, ATTN_CHECK_DATA_RANGE, ATTN_CHECK_RUN } AttnCheckKind;
typedef struct AttnCheckInfo {
    const char *text;        /* as written in the pattern */
    int32_t kind;
    int32_t tensor;          /* DATA_RANGE: its number */
    int32_t line, column;    /* in the source */
} AttnCheckInfo;

/* ---- CUDA ----
 * The parameter of every kernel is one struct by value, made of 8-byte words alone, at most
 * ATTN_CUDA_ARGS_BYTES of them:
 *     for each of AttnPattern.tensors: data (a device pointer, NULL: not bound), group, type (AttnType),
 *         strides[rank], all as in AttnTensor
 *     extents[n_indices], params[n_params]  as in AttnCall
 *     workspace  device memory of AttnPlan.workspace bytes, aligned to 64, shared by all phases
 *     scratch    device memory of AttnPlan.scratch bytes for every thread of the grid, aligned to 64; phases
 *                may share one. Threads' elements are interleaved, so a grid is free to have any size
 *     status     an int32 of device memory, 0 before the first phase; a check that fails sets it to 1 + its
 *                number (the first one wins), and kernels that start later return at once
 *     tasks      AttnPlan.tasks of the phase
 * A grid has one dimension. Its blocks share out the tasks by themselves, AttnCudaKernel.tasks at a time and
 * block `b` from b * tasks on, in steps of the grid: one block is enough, and more than
 * ceil(AttnPlan.tasks / AttnCudaKernel.tasks) find nothing to do. A phase without tasks is not launched. */
#define ATTN_CUDA_ARGS_BYTES 4096

typedef enum AttnCudaImageKind { ATTN_CUDA_CUBIN, ATTN_CUDA_PTX } AttnCudaImageKind;
/* A cubin runs on devices of the same major and no smaller minor capability, PTX on all that are not
 * older. */
typedef struct AttnCudaImage {
    uint32_t arch;           /* 10 * major + minor: 80, 90, 100 ... */
    uint32_t kind;           /* AttnCudaImageKind */
    uint64_t size;           /* bytes; the 0 that ends the text of PTX counted */
    const void *data;
} AttnCudaImage;
typedef struct AttnCudaKernel {
    const char *name;        /* in the images */
    uint32_t threads;        /* of a block: what the code was compiled for */
    uint32_t tasks;          /* that a block takes at a time; `threads` where a thread takes one */
    uint32_t shared;         /* bytes of dynamic shared memory of a block */
    uint32_t scratch;        /* 1: uses scratch; else its grid needs none, however large */
} AttnCudaKernel;
/* The device code of one variant. */
typedef struct AttnCuda {
    int32_t n_images;        /* cubins first, from the lowest arch on, then PTX of the lowest */
    int32_t n_kernels;       /* AttnPattern.n_phases */
    const AttnCudaImage *images;
    const AttnCudaKernel *kernels;
    const char *source;      /* CUDA C that includes nothing. Extents that this variant leaves open may be
                                fixed by options of NVRTC, -DSIZE_d=64, by the names of AttnPattern.indices */
    const int32_t *features; /* numbers of the indices whose extents would give better kernels if they were
                                constants, -1 at the end; NULL: none. AttnOrigin makes such a variant */
} AttnCuda;

/* A file of source text. */
typedef struct AttnSourceFile {
    const char *path;        /* as it was opened */
    const char *text;        /* ends with a zero byte that is not counted */
    uint64_t length;
} AttnSourceFile;
/* What compiles a module for CUDA once more, for the extents of a call. */
typedef struct AttnOrigin {
    const AttnSourceFile *files;    /* the source, then what it uses */
    const char *const *definitions; /* `window=64`; NULL at the end */
    const char *real;               /* storage type of float tensors */
    int32_t n_files;
    int32_t debug;
} AttnOrigin;

/* One pattern. Variants (fixed extents, CPUs) of a pattern stand one after the other, the most special
 * first; the first whose CPU features the machine has and whose fixed extents match the call is used. */
typedef struct AttnPattern {
    const char *name, *doc, *signature; /* signature: as `attnc list` prints it */
    int32_t n_indices, n_tensors, n_params, n_checks, n_phases;
    int32_t n_data_checks;   /* the first so many phases test data alone */
    const AttnIndexInfo *indices;
    const AttnTensorInfo *tensors;
    const AttnParamInfo *params;
    const AttnCheckInfo *checks;
    const int64_t *fixed;    /* per index: the extent it was compiled for, or -1 */
    const char *cpu;         /* LLVM's CPU name it was compiled for */
    uint64_t features;       /* AttnFeature bits it needs */
    AttnPrepare *prepare;    /* host code, whatever the target is */
    AttnPhase *phase;        /* NULL for code for GPUs */
    const AttnCuda *cuda;    /* NULL for code for CPUs */
} AttnPattern;

typedef enum AttnFeature {
    ATTN_FEATURE_AVX = 1 << 0, ATTN_FEATURE_AVX2 = 1 << 1, ATTN_FEATURE_FMA = 1 << 2,
    ATTN_FEATURE_F16C = 1 << 3,
    ATTN_FEATURE_AVX512F = 1 << 4, ATTN_FEATURE_AVX512BW = 1 << 5, ATTN_FEATURE_AVX512DQ = 1 << 6,
    ATTN_FEATURE_AVX512VL = 1 << 7, ATTN_FEATURE_AVX512CD = 1 << 8, ATTN_FEATURE_BMI2 = 1 << 9,
    ATTN_FEATURE_AVX512BF16 = 1 << 10, ATTN_FEATURE_AVX512VNNI = 1 << 11, ATTN_FEATURE_AVX512FP16 = 1 << 12
} AttnFeature;

typedef struct AttnModule {
    uint32_t abi;
    int32_t n_patterns;      /* entries of `patterns`, variants counted */
    const AttnPattern *patterns;
    const char *compiler;    /* `attnc 0.1.0, LLVM 19.1.7` */
    const char *source;      /* path as given */
    uint64_t source_hash[2];
    const AttnOrigin *origin; /* NULL for code for CPUs */
} AttnModule;

/* libattn_jit: opened by libattn and by the command when something must be compiled. Strings are
 * zero-terminated; lists have their length beside them. */
#define ATTN_JIT_LIBRARY "libattn_jit.so"
#define ATTN_JIT_SYMBOL "attn_jit_compile"
#define ATTN_JIT_VERSION_SYMBOL "attn_jit_version"

typedef struct AttnJitRequest {
    uint32_t abi;                   /* ATTN_ABI_VERSION of the caller */
    int32_t f64;                    /* storage type of float tensors: f64 instead of f32 */
    int32_t debug;                  /* line tables */
    const char *path;               /* of the source: stands in messages; `use` looks beside it first */
    const char *text;               /* the source itself; `path` is not read */
    uint64_t length;
    const char *pattern;            /* the only one to compile, or NULL: all of the file */
    const char *cpu;                /* LLVM's CPU names, separated by commas, or NULL: this machine's */
    const char *const *definitions; /* `window=64` */
    const char *const *includes;    /* folders for `use`, in their order */
    const char *const *sizes;       /* `d=64,128` */
    int32_t n_definitions, n_includes, n_sizes;
    const char *output;             /* the shared object to write */
    const char *target;             /* `cuda`, or NULL: the CPU */
    const char *archs;              /* cuda: `sm_80,sm_90`, or NULL: sm_80. PTX of the lowest is added */
    const char *real;               /* storage type of float tensors: `f32`, `f64`, `f16`, `bf16`, or `tf32`:
                                       f32 with products in tf32 (these three for cuda alone), or NULL: as `f64` says */
    const AttnSourceFile *files;    /* stand for the files of these paths */
    int32_t n_files;
} AttnJitRequest;

/* A file that `use` looked for. What the result holds is in memory of malloc; the caller frees it. */
typedef struct AttnJitFile {
    char *path;                     /* as opened; relative to the working folder if it was given so */
    int32_t found;                  /* 0: looked for before the one that was found, and absent */
    uint64_t hash[2];               /* XXH3-128 (low64, high64) of the bytes that were compiled */
} AttnJitFile;
typedef enum AttnJitStatus { ATTN_JIT_OK, ATTN_JIT_SOURCE, ATTN_JIT_FAILED } AttnJitStatus;
typedef struct AttnJitResult {
    int32_t status;                 /* AttnJitStatus; SOURCE: text or options; FAILED: anything else */
    char *text;                     /* diagnostics, the reason, or warnings where all went well; or NULL */
    char *nvrtc;                    /* path of the CUDA compiler that was used, or NULL */
    AttnJitFile *files;             /* all that were looked for, the main source apart */
    int32_t n_files;
} AttnJitResult;

/* attn_jit_compile: any number of threads at once. The result is zeroed by the caller, and set where the
 * status is not 0 too. Returns result->status. attn_jit_version: `attnc 0.1.0, LLVM 19.1.7`, constant. */
typedef int32_t AttnJitCompile(const AttnJitRequest *request, AttnJitResult *result);
typedef const char *AttnJitVersion(void);

#endif
