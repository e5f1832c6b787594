/* The whole road from a source to a file: one call a pass. Nothing here prints, and no code generator is
 * named: it is handed in as a Backend. All functions need c->escape armed (internal errors and lack of
 * memory leave through it). */
#ifndef ATTN_COMPILER_PIPELINE_H
#define ATTN_COMPILER_PIPELINE_H

#include "backend.h"
#include "lang/lang.h"
#include "lower.h"

typedef struct PipelineOptions {
    const char *path;               /* of the source; stands in messages */
    const char *text;               /* the source itself, or NULL: `path` is read */
    size_t length;
    const char *pattern;            /* the only one, or NULL: all of the file */
    const char *const *definitions; /* `window=64`: parameters made constant */
    const char *const *includes;    /* folders for `use`, before those of the installed library */
    const char *const *sizes;       /* `d=64,128`: extents with variants beside the generic one */
    unsigned n_definitions, n_includes, n_sizes;
    Target target;
    const char *cpus;               /* by commas, or NULL: this machine's */
    const char *archs;              /* CUDA: `sm_80,sm_90`, or NULL: sm_80 */
    TileShape tile;                 /* CUDA: of kernels that have it; zeros: as compiler/tile_model.h has it */
    bool f64;                       /* storage type of float tensors: f64 instead of f32 */
    bool tf32;                      /* CUDA: products of f32 as tf32, on tensor cores */
    StorageType real;               /* the same with all choices (F16 and BF16: CUDA); FLOAT: as f64 says */
    bool debug;                     /* line tables */
    bool direct;                    /* a shared object also gets the direct C entries */
    const char *dump_after;         /* a pass of PASS_NAMES, or `all`: its result goes to Pipeline.trace */
    bool time_passes;
    bool warnings, warnings_are_errors;
    bool performance;               /* diagnostics of what is slow, at the example's sizes */
    bool require_fast;              /* ... which are errors */
    /* Texts of malloc that stand for files (those open in an editor); NULL: the file itself. May be NULL. */
    char *(*read)(void *context, const char *path, size_t *length);
    void *read_context;
} PipelineOptions;
#define PASS_NAMES "check graph plan loops"

/* A file that `use` looked for; absent ones were looked for before the one that was found. */
typedef struct PipelineFile {
    const char *path;
    bool found;
    uint64_t hash[2]; /* XXH3-128 of the bytes */
} PipelineFile;

typedef enum PipelineStatus {
    PIPELINE_OK,
    PIPELINE_SOURCE, /* the source or an option is wrong: c->diags, or `error` */
    PIPELINE_FAILED  /* anything else: `error` */
} PipelineStatus;

typedef struct Pipeline {
    Compilation *c;
    const PipelineOptions *options;
    uint32_t source;
    Program *program;
    PipelineStatus status;
    const char *error;              /* a reason without a place in the source, or NULL */
    VEC(PipelineFile) files;        /* the main source apart */
    Text trace, times;              /* --dump-after, --time-passes */
} Pipeline;

/* Each step is false after an error (`status` says which), and first does those before it. */
void pipeline_init(Pipeline *p, Compilation *c, const PipelineOptions *options);
bool pipeline_read(Pipeline *p);
bool pipeline_check(Pipeline *p); /* then p->program holds only the patterns asked for */
/* What the file `from` uses as `name`: its number; false: there is none. */
bool pipeline_find_used(Pipeline *p, const char *from, const char *name, uint32_t *source);
/* One pattern after the check, verified after every pass. A pass that breaks its own promises is a BUG. */
Graph *pipeline_graph(Pipeline *p, Pattern *pattern);
Plan *pipeline_plan(Pipeline *p, Pattern *pattern);
/* fixed: extents of a variant by Index.number, -1: open; NULL: all are. */
Kernel *pipeline_lower(Pipeline *p, const Plan *plan, const int64_t *fixed);
Kernel *pipeline_kernel(Pipeline *p, Pattern *pattern); /* both */
/* TOKENS to LOOPS of all patterns, as text. */
bool pipeline_print(Pipeline *p, Emit what, Text *out);
/* All patterns lowered, with their variants; then LLVM, ASM, HEADER to `out` or OBJ, ARCHIVE, SHARED to the
 * file `path` (several outputs of one job, if wanted). */
bool pipeline_job(Pipeline *p, BackendJob *job);
bool pipeline_generate(Pipeline *p, const Backend *backend, const BackendJob *job, Emit what,
                       const char *path, Text *out);

/* XXH3-128 over the texts of all files that were read. */
void pipeline_hash(const Pipeline *p, uint64_t hash[2]);
/* Folders of the installed pattern library, beside wherever this code was loaded from; ends with NULL. */
const char *const *pipeline_library_folders(Compilation *c);
/* A number as in -D, --size: the whole text. */
bool pipeline_parse_int(const char *text, int64_t *value);

#endif
