/* What the files of libattn share. Nothing here is part of the interface; every name starts with rt_ or
 * Rt, because a program that links the static library sees them. */
#ifndef ATTN_RUNTIME_INTERNAL_H
#define ATTN_RUNTIME_INTERNAL_H

#include "abi.h"
#include "attn.h"
#include "cuda_driver.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* ---- error.c ---- */
/* Fills the caller's error (may be NULL) and returns `status`. */
AttnStatus rt_fail(AttnError *error, AttnStatus status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
AttnStatus rt_no_memory(AttnError *error);
/* A text that grows; `failed` after an allocation failed. */
typedef struct RtText { char *at; size_t n, capacity; bool failed; } RtText;
void rt_text_add(RtText *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rt_text_bytes(RtText *text, const void *bytes, size_t n);

/* ---- memory.c: the only place that allocates (tests replace the file to make allocations fail) ---- */
void *rt_alloc(size_t count, size_t size); /* zeroed; NULL: no memory; count 0 gives memory */
void *rt_grow(void *memory, size_t bytes);
void *rt_alloc_aligned(size_t bytes, size_t alignment);
void rt_free(void *memory);
char *rt_copy_text(const char *text);

/* ---- cpu.c ---- */
uint64_t rt_cpu_features(void); /* AttnFeature bits that CPU and system support */
const char *rt_feature_name(uint64_t feature); /* of a single bit */
void rt_cpu_identity(RtText *text); /* model and all feature words, for cache keys */

/* ---- elf.c ---- */
AttnStatus rt_read_file(int fd, const char *path, char **bytes, size_t *size, AttnError *error);
/* Checks that a file is a complete, undamaged module of this ABI. `path` stands in messages. */
AttnStatus rt_elf_check(const void *file, size_t size, const char *path, AttnNote *note, AttnError *error);

/* ---- cuda.c: device code, loaded once for each context ---- */
typedef struct RtCudaCode {
    struct RtCudaCode *next;
    const AttnPattern *variant;
    CuContext context;
    unsigned long long id; /* of the context, where the driver tells: pointers are used again */
    CuModule module;
    CuFunction *functions; /* one per phase */
    int *resident;         /* per phase: blocks that the device runs at once */
    bool pools;            /* memory can be had in the order of a stream */
} RtCudaCode;
typedef struct RtCudaPrimary RtCudaPrimary;
typedef struct RtCudaSpecial RtCudaSpecial;
typedef struct RtCuda {
    pthread_mutex_t lock; /* of all below; what the lists hold stays as it is until the library goes */
    RtDriver driver;
    RtCudaCode *codes;
    RtCudaPrimary *primaries; /* contexts that we keep */
    RtCudaSpecial *specials;
} RtCuda;
/* The binding's variant in the context of `stream`, else in the current one if it is of the tensors' device,
 * else in that device's primary one. The context is entered; leave it by rt_driver_leave. */
AttnStatus rt_cuda_enter(AttnBinding *b, void *stream, const RtCudaCode **code, bool *pushed,
                         AttnError *error);
void rt_cuda_unload(RtCuda *cuda);
AttnStatus rt_cuda_arch(const RtDriver *d, CuDevice device, uint32_t *arch, AttnError *error);

/* ---- cuda_special.c: variants made as the program runs, for the extents of a call ---- */
/* Gives the binding one in place of its variant, which leaves features open, where that helps and there are
 * libattn_jit and NVRTC; else all stays as it is. The current context is that of the call; RtCuda.lock is
 * held. */
AttnStatus rt_cuda_specialise(AttnBinding *b, RtCuda *cuda, AttnError *error);
void rt_cuda_unload_specials(RtCuda *cuda);

/* ---- jit.c ---- */
/* attn_compile_string with files that stand for those of their paths. `identity`: what tells them apart from
 * others in the cache's key. */
AttnStatus rt_compile(const char *text, const char *path, const AttnCompileOptions *options,
                      const AttnSourceFile *files, int32_t n_files, const uint64_t identity[2],
                      AttnLibrary **library, AttnError *error);

/* ---- library.c ---- */
typedef struct RtKernel {
    AttnPatternDesc desc;
    const AttnPattern *variants; /* desc.n_variants of them */
    AttnTensorDesc *tensors;
    AttnParamDesc *params;
    const char **names; /* of the indices, then of every tensor's dimensions */
} RtKernel;
struct AttnLibrary {
    atomic_int references;
    int fd; /* keeps the loader's name for the file alive */
    void *handle;
    const AttnModule *module;
    char *path, *remark;
    _Atomic(char *) general; /* set once, by cuda_special.c */
    bool cached;
    uint64_t features; /* of this machine */
    uint64_t checksum; /* of the file */
    int n_kernels;
    RtKernel *kernels;
    RtCuda cuda;
};
/* Takes over `fd` in every case. */
AttnStatus rt_library_open(int fd, const char *path, AttnLibrary **library, AttnError *error);
const RtKernel *rt_kernel_find(const AttnLibrary *library, const char *name);

/* ---- bind.c ---- */
typedef struct RtTensor {
    char *data; /* NULL: not bound; never NULL if bound */
    AttnType type;
    int device; /* number of the CUDA device */
    int64_t *shape, *strides;
    int64_t count; /* elements */
    int64_t low, high; /* bytes used: [data + low, data + high) */
} RtTensor;
/* What a binding has on a device; 0: nothing. */
typedef struct RtDeviceMemory {
    CuContext context; /* of `status` and `memory` */
    CuPointer status;  /* word of runs whose workspace is not the caller's */
    CuPointer memory;  /* workspace where memory cannot be had in the order of a stream */
    size_t bytes;      /* of `memory` */
    CuPointer last;    /* status word of the last run */
} RtDeviceMemory;
typedef enum RtState { RT_CHANGED, RT_SIZED, RT_READY } RtState;
struct AttnBinding {
    AttnLibrary *library;
    const RtKernel *kernel;
    RtState state;
    RtTensor *tensors; /* as bound */
    int64_t *stated; /* per index: extent set by the caller, or -1 */
    bool *is_set; /* per parameter */
    int64_t *params;
    /* what prepare makes of it */
    const AttnPattern *variant;
    int64_t *extents;
    AttnTensor *views;
    AttnPlan plan;
    size_t task_room; /* of plan.tasks */
    int64_t *numbers; /* memory of all arrays of numbers above */
    int64_t *view_strides;
    int device; /* that the tensors lie on; -1: none is bound */
    RtDeviceMemory on_device;
};
static inline bool rt_on_cuda(const AttnBinding *b) { return b->kernel->variants->cuda != NULL; }
#define rt_name(b) ((b)->kernel->desc.name)
/* rt_fail with the pattern's name in front. */
#define rt_wrong(b, error, status, format, ...) \
    rt_fail(error, ATTN_STATUS_##status, "%s: " format, rt_name(b), ##__VA_ARGS__)
bool rt_task_room(AttnBinding *b, size_t phases); /* for plan.tasks; false: no memory */
size_t rt_type_bytes(AttnType type);
const char *rt_type_name(AttnType type);
void rt_type_limits(AttnType type, int64_t *low, int64_t *high);  /* of integers; uint64 up to INT64_MAX */

/* ---- prepare.c ---- */
AttnStatus rt_unify(AttnBinding *b, AttnError *error); /* extents of all indices; -1: unknown */
AttnStatus rt_prepare(AttnBinding *b, bool to_run, AttnError *error);
int rt_index_find(const AttnBinding *b, const char *name, size_t length);
/* Asks the variant's `prepare` again. */
AttnStatus rt_plan(AttnBinding *b, AttnError *error);
int rt_param_find(const AttnBinding *b, const char *name, size_t length);

/* ---- overlap.c ---- */
/* Whether two bound tensors share a byte; true also where finding out would take too long. */
bool rt_overlap(const RtTensor *a, int rank_a, const RtTensor *b, int rank_b);
bool rt_overlaps_itself(const RtTensor *t, int rank);

/* ---- range.c ---- */
/* The numbers behind `0..size(page)`: false if the text holds something that only the compiler
 * understands. */
bool rt_range(const AttnBinding *b, const char *text, int64_t *low, int64_t *high);
/* The extent of a derived index that no tensor tells, from the check that compares it. */
bool rt_derived_extent(const AttnBinding *b, int index, int64_t *extent);
/* The sizes and parameters that a text names: `size(c) = 7, groups = 2`. */
void rt_describe_values(const AttnBinding *b, const char *text, char *out, size_t bytes);
/* Says which element of an int tensor is outside its range, if the host may read it. */
AttnStatus rt_range_error(const AttnBinding *b, int tensor, bool readable, const char *check,
                          AttnError *error);

/* ---- run.c ---- */
enum { RT_ALIGNMENT = 64 };
bool rt_round_up(uint64_t bytes, uint64_t *rounded); /* to RT_ALIGNMENT; false: too large */
AttnStatus rt_too_large(const AttnBinding *b, AttnError *error);
AttnStatus rt_out_of_workspace(const AttnBinding *b, size_t bytes, AttnError *error);
/* The caller's workspace, or what its `allocate` gives; *memory NULL: there is neither. */
AttnStatus rt_given_memory(const AttnBinding *b, const AttnRunOptions *options, size_t bytes, char **memory,
                           AttnError *error);
/* What a check says that failed while generated code ran. */
AttnStatus rt_check_failed(const AttnBinding *b, int32_t status, AttnError *error);

/* ---- cuda_run.c: the same for device code ---- */
AttnStatus rt_cuda_workspace(AttnBinding *b, const AttnRunOptions *options, size_t *bytes, AttnError *error);
AttnStatus rt_cuda_run(AttnBinding *b, const AttnRunOptions *options, AttnError *error);
void rt_cuda_forget(AttnBinding *b); /* gives back what the binding has on a device */

/* ---- threads.c ---- */
int rt_threads(const AttnRunOptions *options); /* the most that a run would use, >= 1 */
/* Runs a phase on up to `workers` threads, each with its part of `scratch`. False: the host's pool left
 * work undone. */
bool rt_phase(const AttnPattern *pattern, const AttnCall *call, int32_t number, int64_t tasks, int workers,
              char *scratch, size_t scratch_bytes, const AttnRunOptions *options);

/* ---- depend.c: what a module was made from, as text ---- */
typedef struct RtIdentity { long long size, seconds, nanoseconds; } RtIdentity;
bool rt_identity(const char *path, RtIdentity *identity); /* false: there is no such file */
void rt_depend_file(RtText *list, const AttnJitFile *file);       /* its content, or that it is absent */
void rt_depend_library(RtText *list, const char *path); /* its identity */
bool rt_depend_holds(const char *list, size_t bytes); /* whether all is as it was */

/* ---- cache.c ---- */
typedef struct RtCache {
    int folder; /* -1: no cache */
    char *path; /* of the folder */
    int64_t limit; /* bytes */
    char *problem; /* why there is none, or NULL */
} RtCache;
bool rt_cache_open(RtCache *cache); /* false: no memory */
void rt_cache_close(RtCache *cache);
/* Opens the module stored for a key. NULL: there is none, or what is there is stale, damaged or foreign. */
AttnLibrary *rt_cache_find(const RtCache *cache, const RtText *key);
/* A path in the folder that nobody else uses. NULL: no memory. */
char *rt_cache_temporary(const RtCache *cache);
/* Files a module that was compiled to `temporary` (which disappears), with what it was made from, and
 * opens it. That it cannot be filed is only remarked. */
AttnStatus rt_cache_store(const RtCache *cache, const RtText *key, const char *temporary,
                          const RtText *made_from, AttnLibrary **library, AttnError *error);

#endif
