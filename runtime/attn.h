/* libattn: run attention patterns that attnc has compiled, or compile them as the program runs.
 *
 *     AttnError error;
 *     AttnLibrary *library;
 *     AttnBinding *binding;
 *     if (attn_open("window.so", &library, &error) ||
 *         attn_binding_new(library, "sliding_window", &binding, &error) ||
 *         attn_bind_dense(binding, "q", q, 4, (int64_t[]){1, 8, 512, 64}, &error) ||  // k, v, o likewise
 *         attn_set_int(binding, "window", 128, &error) ||
 *         attn_run(binding, NULL, &error))
 *         fprintf(stderr, "%s\n", error.text);
 *
 * Functions that can fail return an AttnStatus (ATTN_OK is 0) and explain themselves in an AttnError of
 * the caller, who may pass NULL. They never print, never end the process, and leave their results
 * untouched when they fail.
 *
 * Threads: a library may be used by any number of threads at once; a binding by one at a time, so threads
 * that run the same pattern together have a binding each. After fork both may be used in the child.
 *
 * All sizes are counted in elements unless a name says bytes. No function keeps a pointer to its
 * arguments, except tensor data: that must stay valid while it is bound and used. */
#ifndef ATTN_H
#define ATTN_H

#include <stddef.h>
#include <stdint.h>

#include <dlpack/dlpack.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ATTN_API
#define ATTN_API __attribute__((visibility("default")))
#endif

/* Why a function failed. */
#define ATTN_STATUSES(X) \
    X(OK, "ok") \
    X(MEMORY, "out of memory") \
    X(IO, "a file cannot be read or written") \
    X(FILE, "not a module, or a damaged one") \
    X(ABI, "made for another version of libattn") \
    X(CPU, "needs a CPU feature that this machine lacks") \
    X(SOURCE, "the pattern's source is wrong") \
    X(COMPILER, "the compiler is missing or failed") \
    X(NAME, "no such pattern, tensor, index or parameter") \
    X(TYPE, "wrong element or parameter type") \
    X(SHAPE, "wrong rank, extent, stride or alignment") \
    X(MISSING, "a tensor, extent or parameter is not set") \
    X(CONDITION, "a condition of the pattern does not hold") \
    X(OVERLAP, "an output overlaps another tensor") \
    X(DATA, "a value is outside its range") \
    X(USAGE, "an argument of the call is wrong") \
    X(DEVICE, "the GPU or its driver is missing or failed")
typedef enum AttnStatus {
#define ATTN_STATUS_CONSTANT(name, text) ATTN_STATUS_##name,
    ATTN_STATUSES(ATTN_STATUS_CONSTANT)
#undef ATTN_STATUS_CONSTANT
} AttnStatus;
#define ATTN_OK ATTN_STATUS_OK

typedef struct AttnError {
    AttnStatus status;
    char text[4096]; /* one line, or the compiler's diagnostics; cut with `...` if longer */
} AttnError;

/* The fixed text of a status, as in the list above. */
ATTN_API const char *attn_status_text(AttnStatus status);
/* Version of this library, `0.1.0`. */
ATTN_API const char *attn_version(void);

/* ---- Modules ---- */

typedef struct AttnLibrary AttnLibrary; /* an opened module: one or several patterns as machine code */

/* Opens a shared object that attnc made. The file is checked first: one that is truncated, damaged,
 * foreign, or made for another version (ATTN_STATUS_FILE, _ABI) never reaches the dynamic loader. Holds
 * one file descriptor while open. `path` is a file name, not searched for. */
ATTN_API AttnStatus attn_open(const char *path, AttnLibrary **library, AttnError *error);

typedef struct AttnCompileOptions {       /* zeroed means: the defaults; a list may be NULL */
    const char *pattern;                  /* compile this one alone; NULL: all of the file */
    const char *const *definitions;       /* `window=64`: parameters made constant; ends with NULL */
    const char *const *includes;          /* folders for `use`; ends with NULL */
    const char *const *sizes;             /* `d=64,128`: extents with own variants; ends with NULL */
    const char *cpu;                      /* names as LLVM spells them, by commas; NULL: this machine */
    int f64;                              /* float tensors are f64 instead of f32 */
    int debug;                            /* line tables that point into the source */
    int no_cache;                         /* neither read nor write the cache */
    const char *target;                   /* `cpu` (also NULL), `cuda`, or `cuda:sm_80,sm_90`: a cubin for
                                             each of these, and PTX for what is newer than the first */
    const char *real;                     /* float tensors are f32, f64, f16, bf16 or tf32 (these three for
                                             CUDA alone; tf32: f32, with products of tiles in
                                             tf32); NULL: as `f64` says */
} AttnCompileOptions;

/* Compiles source text, or finds it compiled in the cache, and opens the result. What is wrong with the
 * text comes back as ATTN_STATUS_SOURCE with the compiler's diagnostics. `options` may be NULL. `path`
 * stands for the text in diagnostics and tells where `use` looks first; NULL: `<string>`, and the working
 * folder.
 *
 * The cache is $XDG_CACHE_HOME/attnc, or ~/.cache/attnc, at most $ATTN_CACHE_SIZE bytes (K, M, G may
 * follow; 256M by default; 0 for none). It is used only if it belongs to this user and nobody else may
 * write there. The compiler, libattn_jit.so, is $ATTN_JIT or lies beside this library; it is not opened
 * for a pattern that the cache holds. */
ATTN_API AttnStatus attn_compile_string(const char *text, const char *path, const AttnCompileOptions *options,
                                        AttnLibrary **library, AttnError *error);
/* The same for a file. */
ATTN_API AttnStatus attn_compile_file(const char *path, const AttnCompileOptions *options,
                                      AttnLibrary **library, AttnError *error);

/* Lets go of a library. Bindings made from it stay usable; the code is unmapped with the last of them.
 * NULL is fine. */
ATTN_API void attn_close(AttnLibrary *library);

/* ---- What a module holds ---- */

typedef struct AttnLibraryDesc {
    const char *path;        /* of the shared object */
    const char *source;      /* of the text, as the compiler was given it */
    const char *compiler;    /* `attnc 0.1.0, LLVM 19.1.7` */
    uint64_t source_hash[2]; /* XXH3-128 of the sources */
    int cached;              /* compiled earlier, found in the cache */
    const char *remark;      /* why the cache was not used, the compiler's warnings, or NULL */
    const char *general;     /* CUDA: why no kernels were made for the extents of a call, or NULL */
} AttnLibraryDesc;
/* Valid while the library is open. */
ATTN_API AttnLibraryDesc attn_library_desc(const AttnLibrary *library);

typedef enum AttnTensorRole { ATTN_ROLE_INPUT, ATTN_ROLE_CAPTURE, ATTN_ROLE_OUTPUT } AttnTensorRole;

typedef struct AttnTensorDesc {
    const char *name;            /* `q`; a carried state is `S.start` (input) and `S.last` (output) */
    const char *doc;             /* or NULL */
    const char *range;           /* of an int tensor, as written: `0..size(page)`; or NULL */
    const char *const *indices;  /* names, `rank` of them: the shape, ambient indices first */
    AttnTensorRole role;
    DLDataType type;             /* int tensors: int64, but any that holds the range will do */
    int rank;
    int n_ambient;               /* the first n_ambient dimensions are ambient indices: extent 1 fits any */
    int heads;                   /* the dimension whose extent may be a divisor (grouped heads), or -1 */
    int optional;                /* may stay unbound */
} AttnTensorDesc;

typedef enum AttnParamKind { ATTN_PARAM_INT, ATTN_PARAM_FLOAT, ATTN_PARAM_BOOL } AttnParamKind;
typedef struct AttnParamDesc {
    const char *name;
    AttnParamKind kind;
    int has_default;
    int fixed;                   /* to the value below, when the pattern was compiled */
    int64_t integer;             /* the default of an int or bool */
    double real;                 /* of a float */
} AttnParamDesc;

typedef struct AttnPatternDesc {
    const char *name;
    const char *doc;             /* or NULL */
    const char *signature;       /* as written, on one or several lines */
    DLDeviceType device;         /* kDLCPU or kDLCUDA: where tensors must lie */
    int n_indices, n_tensors, n_params;
    int n_variants;              /* code for several CPUs or fixed extents; chosen when it runs */
    const char *const *indices;
    const AttnTensorDesc *tensors;
    const AttnParamDesc *params;
} AttnPatternDesc;

ATTN_API int attn_pattern_count(const AttnLibrary *library);
/* Number 0 to count - 1, else NULL. Valid while the library or a binding of it lives. */
ATTN_API const AttnPatternDesc *attn_pattern_at(const AttnLibrary *library, int number);
/* By name, or NULL: none. */
ATTN_API const AttnPatternDesc *attn_pattern_find(const AttnLibrary *library, const char *name);

/* ---- A call: tensors and parameters ---- */

typedef struct AttnBinding AttnBinding; /* one pattern with what is bound to it; may be run many times */

/* `pattern` NULL: the only one of the library. */
ATTN_API AttnStatus attn_binding_new(AttnLibrary *library, const char *pattern, AttnBinding **binding,
                                     AttnError *error);
ATTN_API void attn_binding_free(AttnBinding *binding);
ATTN_API const AttnPatternDesc *attn_binding_pattern(const AttnBinding *binding);

/* Binds a tensor by name; NULL unbinds it. Rank and element type are checked here (ATTN_STATUS_NAME,
 * _TYPE, _SHAPE), what concerns several tensors when the call is prepared. Any strides will do for inputs,
 * negative and 0 included. Memory must be the host's, or a CUDA device's for code of such. A bool is one
 * byte, 0: false (kDLBool or kDLUInt of 8 bits). The description is copied, the data not.
 *   Shapes: one extent per index of the tensor's description. Along the ambient indices of an input,
 * wherever they stand, the extent may be 1; along `heads` it may be any divisor of the extent, and each
 * head serves that many consecutive ones. */
ATTN_API AttnStatus attn_bind(AttnBinding *binding, const char *tensor, const DLTensor *value,
                              AttnError *error);
/* The same for a row-major array of the host of the described type (int64_t for int tensors, one byte for
 * bool). */
ATTN_API AttnStatus attn_bind_dense(AttnBinding *binding, const char *tensor, void *data, int rank,
                                    const int64_t *shape, AttnError *error);

/* Parameters; those without a default must be set. An int is accepted for a float parameter, nothing else
 * is converted. One that was fixed when the pattern was compiled takes no other value. */
ATTN_API AttnStatus attn_set_int(AttnBinding *binding, const char *param, int64_t value, AttnError *error);
ATTN_API AttnStatus attn_set_float(AttnBinding *binding, const char *param, double value, AttnError *error);
ATTN_API AttnStatus attn_set_bool(AttnBinding *binding, const char *param, int value, AttnError *error);

/* States an extent that no bound tensor tells (yet): for attn_workspace before outputs exist, or as a
 * check. -1: unset. */
ATTN_API AttnStatus attn_set_extent(AttnBinding *binding, const char *index, int64_t extent,
                                    AttnError *error);
/* The extent of an index as it follows from what is bound: what is needed to make the outputs. */
ATTN_API AttnStatus attn_extent(AttnBinding *binding, const char *index, int64_t *extent, AttnError *error);

/* ---- Running ---- */

/* A host's thread pool: must call work(data, n) once for every n in 0 .. count - 1, on any threads in any
 * order, and return when all have returned. */
typedef void AttnParallel(void *context, int count, void (*work)(void *data, int n), void *data);
/* A host's allocator: `bytes` > 0, aligned to `alignment` (a power of 2); NULL for no memory. */
typedef void *AttnAllocate(void *context, size_t bytes, size_t alignment);
typedef void AttnRelease(void *context, void *memory, size_t bytes);

typedef struct AttnRunOptions {   /* zeroed means: the defaults */
    int threads;                  /* at most so many; 0: as OpenMP decides; 1: the caller's alone */
    AttnParallel *parallel;       /* instead of OpenMP; needs threads >= 1 */
    void *parallel_context;
    AttnAllocate *allocate;       /* instead of malloc; both or none */
    AttnRelease *release;
    void *allocate_context;
    void *workspace;              /* for the call, aligned to 64: then nothing is allocated */
    size_t workspace_bytes;       /* at least what attn_workspace says for the same number of threads */
    int data_checked;             /* the caller vouches for the declared ranges of int tensors */
    void *stream;                 /* of CUDA (CUstream, cudaStream_t); NULL: the default stream */
} AttnRunOptions;

/* All checks that need no data: everything bound, extents that agree, conditions of the pattern, no
 * overlap of an output with another tensor (`S.last` may be exactly `S.start`). attn_run does it as well,
 * once after every change. */
ATTN_API AttnStatus attn_prepare(AttnBinding *binding, AttnError *error);

/* Bytes of memory that a run takes beside its tensors. Needs the extents, not the data: tensors may still
 * be unbound if their extents are known from others or from attn_set_extent. `options` (may be NULL) gives
 * the number of threads, or the stream. For code on CUDA devices these are bytes of the device that the
 * tensors lie on, else of the current context's, else of the first; the code is loaded into that context. */
ATTN_API AttnStatus attn_workspace(AttnBinding *binding, const AttnRunOptions *options, size_t *bytes,
                                   AttnError *error);

/* Runs the pattern and returns when its outputs are complete. Values outside a declared range are found
 * before anything is written (ATTN_STATUS_DATA names the element); a range that the pattern asks to check
 * as it runs may fail later, and outputs are then unspecified. `options` may be NULL. */
ATTN_API AttnStatus attn_run(AttnBinding *binding, const AttnRunOptions *options, AttnError *error);

/* ---- CUDA ----
 * A library compiled for CUDA takes tensors in a device's memory (kDLCUDA), all of one device. attn_run
 * checks all that needs no data, launches, and returns: it waits for nothing, and outputs are complete when
 * the stream is. The device finds values outside a range before anything is written; attn_status tells.
 *   `workspace`, or what `allocate` gives, is device memory, and after `release` it must be good until the
 * stream has come there; without them the driver allocates in the order of the stream. With a workspace of
 * the caller's a run is a memset and launches, nothing else, and may be captured in a graph once
 * attn_workspace or an earlier run has loaded the code into the context. Options of threads do not matter.
 *   The context is that of `stream`, else the current one if it is of the tensors' device, else the device's
 * primary one; it must outlive library and binding. Runs of one binding on several streams need an order
 * among them that is the caller's: a binding for each is simpler. The driver is $ATTN_CUDA_DRIVER or
 * libcuda.so.1, opened by the first run (ATTN_STATUS_DEVICE: there is none, or what it failed of). */

/* Waits for `stream` and tells how the binding's last run on it went, or its last replay where it was
 * captured: ATTN_STATUS_DATA names what was outside its range (outputs are unspecified then), _DEVICE what
 * the driver reports. A workspace of the caller's must still be there. Code of the host: always ATTN_OK. */
ATTN_API AttnStatus attn_status(AttnBinding *binding, void *stream, AttnError *error);

#ifdef __cplusplus
}
#endif
#endif
