/* Running out of memory at every single allocation of ours, from the source to the file: an error, nothing
 * lost, nothing left behind. The linker hands our calls of malloc and its kin to this file (--wrap); LLVM's
 * and libc's own stay as they are. Under AddressSanitizer the arena allocates one by one, so that each of its
 * allocations fails once. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/jit.h"
#include "compiler/command/call.h"
#include "compiler/explain.h"
#include "compiler/performance.h"
#include "compiler/pipeline.h"
#include "lang/layout.h"
#include "runtime/abi.h"

AttnJitCompile attn_jit_compile;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t n);
char *__real_strdup(const char *text);
void __real_free(void *at);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t n);
char *__wrap_strdup(const char *text);
void __wrap_free(void *at);

/* Pointers that are live, in chains. */
enum { BUCKETS = 1 << 16, LIVE_MAX = 1 << 20, EVERY = 200 };
static struct Live {
    void *at;
    uint32_t next;
} live[LIVE_MAX]; /* 0 ends a chain */
static uint32_t chains[BUCKETS], unused, n_live, n_made;
static uint64_t until_failure; /* 0: none */
static bool failed;

static uint32_t *bucket(const void *at) { return &chains[((uintptr_t)at >> 4) * 0x9E3779B1u % BUCKETS]; }

static void *remember(void *at)
{
    if (!at) return NULL;
    uint32_t k = unused ? unused : ++n_made;
    if (k >= LIVE_MAX) abort();
    if (unused) unused = live[k].next;
    live[k] = (struct Live){at, *bucket(at)};
    *bucket(at) = k;
    n_live++;
    return at;
}

static void forget(const void *at)
{
    for (uint32_t *link = bucket(at); at && *link; link = &live[*link].next) {
        uint32_t k = *link;
        if (live[k].at != at) continue;
        *link = live[k].next;
        live[k].next = unused;
        unused = k;
        n_live--;
        return;
    }
}

static bool fails(void)
{
    bool now = until_failure > 0 && --until_failure == 0;
    failed |= now;
    return now;
}

void *__wrap_malloc(size_t n) { return fails() ? NULL : remember(__real_malloc(n)); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : remember(__real_calloc(n, size)); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : remember(__real_strdup(text)); }

void *__wrap_realloc(void *at, size_t n)
{
    if (fails()) return NULL;
    forget(at);
    return remember(__real_realloc(at, n));
}

void __wrap_free(void *at)
{
    forget(at);
    __real_free(at);
}

/* ---- steps: true is success ---- */

typedef bool Step(Pipeline *p);

static bool in_pipeline(const char *path, Step *step)
{
    Compilation c;
    Pipeline p;
    PipelineOptions options = {.path = path, .warnings = true, .performance = true};
    volatile bool good = false;
    compilation_init(&c);
    if (!setjmp(c.escape)) {
        pipeline_init(&p, &c, &options);
        good = step(&p) && !p.status;
        if (!good && !p.error) cr_assert(c.diags.n > 0, "neither a message nor an error");
        if (c.diags.n) diag_render(&c, DIAG_CARETS), diag_render(&c, DIAG_JSON);
    } else {
        cr_assert_str_eq(c.fatal, "out of memory");
        good = false;
    }
    compilation_free(&c);
    return good;
}

static bool check_step(Pipeline *p)
{
    Text text = {.c = p->c};
    return pipeline_check(p) && layout_source(p->c, p->source, &text);
}

static bool plan_step(Pipeline *p)
{
    Text text = {.c = p->c};
    if (!pipeline_print(p, EMIT_LOOPS, &text)) return false;
    Call call;
    call_init(&call, p->c, p->program->patterns.at[0], false);
    const char *wrong = call_complete(&call, 1, true);
    Plan *plan = pipeline_plan(p, p->program->patterns.at[0]);
    Kernel *kernel = pipeline_lower(p, plan, NULL);
    ExplainOptions options = {.threads = 1, .machine = {1e11, 1e10, 1e6}};
    if (!wrong) explain(p->c, plan, kernel, call_arguments(&call), &options);
    return !wrong;
}

static bool run_step(Pipeline *p)
{
    CallResult result;
    Call call;
    if (!pipeline_check(p)) return false;
    Pattern *pattern = p->program->patterns.at[0];
    call_init(&call, p->c, pattern, false);
    const char *wrong = call_complete(&call, 1, true);
    if (!wrong) wrong = call_interpret(&call, pipeline_graph(p, pattern), &result);
    if (!wrong) wrong = call_execute(&call, pipeline_kernel(p, pattern), &result);
    p->error = wrong;
    return !wrong;
}

/* ---- all of them ---- */

static int files_in(const char *path)
{
    int n = 0;
    DIR *folder = opendir(path);
    while (readdir(folder)) n++;
    closedir(folder);
    return n;
}

static char folder[] = "/tmp/attn-memory-XXXXXX";

static bool compile(const char *path, Step *unused_step)
{
    (void)unused_step;
    char output[100];
    snprintf(output, sizeof output, "%s/out.so", folder);
    FILE *file = fopen(path, "rb");
    static char text[1 << 14];
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    AttnJitRequest request = {
        .abi = ATTN_ABI_VERSION, .path = path, .text = text, .length = n, .output = output};
    AttnJitResult result = {0};
    bool good = attn_jit_compile(&request, &result) == ATTN_JIT_OK;
    cr_assert_eq(good, !access(output, F_OK));
    unlink(output);
    for (int32_t k = 0; k < result.n_files; k++) free(result.files[k].path);
    free(result.files);
    free(result.nvrtc);
    free(result.text);
    return good;
}

static const char *const patterns[] = {"window/sliding_window", "recurrence/gated_delta",
                                       "routing/routing_attention", NULL};

/* With the first, second, ... allocation failing until none is left; beyond EVERY about one of sixteen. */
static void exhaust(const char *path, bool (*one)(const char *path, Step *step), Step *step)
{
    cr_assert(one(path, step), "%s", path);
    uint32_t before = n_live;
    uint64_t n = 0;
    int descriptors = files_in("/proc/self/fd");
    do {
        n += 1 + (n > EVERY ? n / 16 : 0);
        failed = false;
        until_failure = n;
        bool good = one(path, step);
        until_failure = 0;
        cr_assert_eq(n_live, before, "%s: allocation %zu: %d are lost", path, (size_t)n,
                     (int)(n_live - before));
        cr_assert(!failed || !good, "%s: allocation %zu failed, and nobody cared", path, (size_t)n);
        cr_assert_eq(files_in("/proc/self/fd"), descriptors, "%s: allocation %zu", path, (size_t)n);
        cr_assert_eq(files_in(folder), 2, "%s: allocation %zu: a file is left", path, (size_t)n);
    } while (failed);
}

static void over_patterns(bool (*one)(const char *path, Step *step), Step *step)
{
    cr_assert_not_null(mkdtemp(folder));
    for (unsigned k = 0; patterns[k]; k++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/patterns/%s.attn", getenv("ATTN_SOURCE"), patterns[k]);
        exhaust(path, one, step);
    }
    rmdir(folder);
}

Test(memory, checking, .timeout = 200) { over_patterns(in_pipeline, check_step); }
Test(memory, planning, .timeout = 200) { over_patterns(in_pipeline, plan_step); }
Test(memory, running, .timeout = 200) { over_patterns(in_pipeline, run_step); }
Test(memory, compiling, .timeout = 300) { over_patterns(compile, NULL); }
