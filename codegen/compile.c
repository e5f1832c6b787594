/* attn_jit_compile: what libattn asks for, as a run of the pipeline with the CPU backend. */
#include <stdlib.h>
#include <string.h>

#include <llvm/Config/llvm-config.h>

#include "codegen/cuda/nvrtc.h"
#include "codegen/jit.h"
#include "compiler/pipeline.h"
#include "runtime/abi.h"

#define PUBLIC __attribute__((visibility("default")))

PUBLIC AttnJitCompile attn_jit_compile;
PUBLIC AttnJitVersion attn_jit_version;

const char *attn_jit_version(void) { return "attnc " ATTN_VERSION ", LLVM " LLVM_VERSION_STRING; }

/* FLOAT for NULL and unknown names. */
static StorageType storage_named(const char *name)
{
#define STORAGE(NAME, text) \
    if (name && !strcmp(name, text)) return STORAGE_##NAME;
#include "lang/storage_list.h"
#undef STORAGE
    return STORAGE_FLOAT;
}

/* A file that the request holds: PipelineOptions.read. */
static char *read_held(void *context, const char *path, size_t *length)
{
    const AttnJitRequest *r = context;
    for (int32_t k = 0; k < r->n_files; k++) {
        const AttnSourceFile *f = &r->files[k];
        if (strcmp(f->path, path)) continue;
        *length = (size_t)f->length;
        char *text = malloc(*length + 1);
        return text ? memcpy(text, f->text, *length + 1) : NULL;
    }
    return NULL;
}

static PipelineOptions read_request(const AttnJitRequest *r)
{
    return (PipelineOptions){
        .path = r->path ? r->path : "<string>",
        .text = r->text,
        .length = (size_t)r->length,
        .pattern = r->pattern,
        .definitions = r->definitions,
        .includes = r->includes,
        .sizes = r->sizes,
        .n_definitions = (unsigned)r->n_definitions,
        .n_includes = (unsigned)r->n_includes,
        .n_sizes = (unsigned)r->n_sizes,
        .cpus = r->cpu,
        .target = r->target && !strcmp(r->target, "cuda") ? TARGET_CUDA : TARGET_CPU,
        .archs = r->archs,
        .f64 = r->real ? !strcmp(r->real, "f64") : r->f64 != 0,
        .tf32 = r->real && !strcmp(r->real, "tf32"),
        .real = storage_named(r->real),
        .debug = r->debug != 0,
        .read = read_held,
        .read_context = (void *)r,
    };
}

static char *copy(const char *text) { return text ? strdup(text) : NULL; }

/* The files that were looked for; a list that memory does not suffice for stays empty and fails the whole. */
static bool give_files(const Pipeline *p, AttnJitResult *result)
{
    if (!p->files.n) return true;
    result->files = calloc(p->files.n, sizeof *result->files);
    if (!result->files) return false;
    for (; result->n_files < (int32_t)p->files.n; result->n_files++) {
        const PipelineFile *from = &p->files.at[result->n_files];
        AttnJitFile *to = &result->files[result->n_files];
        *to = (AttnJitFile){copy(from->path), from->found, {from->hash[0], from->hash[1]}};
        if (!to->path) return false;
    }
    return true;
}

/* Diagnostics, then the reason that has no place in the source. */
static const char *result_text(Pipeline *p)
{
    const char *diags = p->c->diags.n ? diag_render(p->c, DIAG_CARETS) : "";
    if (!p->error) return *diags ? diags : NULL;
    return format(p->c, "%s%s", diags, p->error);
}

static void run(Pipeline *p, const AttnJitRequest *request, AttnJitResult *result)
{
    BackendJob job;
    bool ok = pipeline_job(p, &job);
    if (ok) ok = pipeline_generate(p, attn_backend(), &job, EMIT_SHARED, request->output, NULL);
    result->status = ok ? ATTN_JIT_OK : p->status == PIPELINE_SOURCE ? ATTN_JIT_SOURCE : ATTN_JIT_FAILED;
    const Nvrtc *nvrtc = ok && job.target == TARGET_CUDA ? nvrtc_open(p->c, &p->error) : NULL;
    result->nvrtc = nvrtc ? copy(nvrtc_path(nvrtc)) : NULL;
    const char *text = result_text(p);
    result->text = copy(text);
    if (!give_files(p, result) || (text && !result->text)) result->status = ATTN_JIT_FAILED;
}

int32_t attn_jit_compile(const AttnJitRequest *request, AttnJitResult *result)
{
    if (request->abi != ATTN_ABI_VERSION) {
        result->text = copy("libattn and libattn_jit are of different versions");
        return result->status = ATTN_JIT_FAILED;
    }
    PipelineOptions options = read_request(request);
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) {
        if (!result->text) result->text = copy(c.fatal);
        result->status = ATTN_JIT_FAILED;
    } else {
        Pipeline p;
        pipeline_init(&p, &c, &options);
        run(&p, request, result);
    }
    compilation_free(&c);
    return result->status;
}
