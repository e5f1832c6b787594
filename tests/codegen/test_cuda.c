/* Every pattern of the library as CUDA C: NVRTC compiles it, nothing spills, and it does not take long. */
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/cuda/cuda.h"
#include "codegen/cuda/nvrtc.h"
#include "compiler/pipeline.h"

enum { FILES_MAX = 400, KERNELS_MAX = 4000, SHARED_MAX = 48 << 10 };

static char *files[FILES_MAX];
static unsigned n_files;
static double seconds[KERNELS_MAX]; /* CPU time of a program by kernels: one is compiled with its siblings */
static unsigned n_kernels;

static int note_file(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s, (void)at;
    const char *dot = strrchr(path, '.');
    if (type == FTW_F && dot && !strcmp(dot, ".attn") && !strstr(path, "/std/") && n_files < FILES_MAX)
        files[n_files++] = strdup(path);
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void find_files(void)
{
    char folder[4096];
    const char *source = getenv("ATTN_SOURCE");
    snprintf(folder, sizeof folder, "%s/patterns", source ? source : ".");
    cr_assert(!nftw(folder, note_file, 16, FTW_PHYS), "%s", folder);
    cr_assert(n_files > 50);
    qsort(files, n_files, sizeof *files, by_name);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check_usage(Compilation *c, const CudaProgram *program, const char *log)
{
    NvrtcUsages usages = nvrtc_usage(c, log);
    cr_assert(usages.n == program->n_kernels, "%s: %u of %u kernels", program->file, usages.n, program->n_kernels);
    for (uint32_t k = 0; k < usages.n; k++) {
        const NvrtcUsage *u = &usages.at[k];
        cr_expect(u->registers > 0 && u->registers <= 255 && u->shared <= SHARED_MAX, "%s", u->kernel);
        cr_expect(u->spills == 0, "%s spills %u bytes", u->kernel, u->spills);
    }
}

static void check_variant(const BackendJob *job, const Nvrtc *nvrtc, const Variant *v, unsigned arch)
{
    NvrtcImage image;
    CudaProgram program = cuda_print(job, v, true);
    double start = now();
    const char *error = nvrtc_compile(job->c, nvrtc, program.source, program.file, &(NvrtcOptions){.arch = arch}, &image);
    double each = (now() - start) / (program.n_kernels ? program.n_kernels : 1);
    cr_assert(!error, "%s", error);
    for (unsigned k = 0; k < program.n_kernels && n_kernels < KERNELS_MAX; k++) seconds[n_kernels++] = each;
    check_usage(job->c, &program, image.log);
}

/* False: there is no NVRTC. */
static bool check_file(const char *path, StorageType real, unsigned arch)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape), "%s: %s", path, c.fatal);
    PipelineOptions options = {.path = path, .target = TARGET_CUDA, .f64 = real == STORAGE_F64, .real = real};
    Pipeline p;
    BackendJob job;
    pipeline_init(&p, &c, &options);
    cr_assert(pipeline_job(&p, &job), "%s", path);
    const char *error = NULL;
    const Nvrtc *nvrtc = nvrtc_open(&c, &error);
    if (!nvrtc) fprintf(stderr, "skipped: %s\n", error);
    for (uint32_t k = 0; nvrtc && k < job.variants.n; k++) check_variant(&job, nvrtc, &job.variants.at[k], arch);
    compilation_free(&c);
    return nvrtc != NULL;
}

static void check_times(void)
{
    qsort(seconds, n_kernels, sizeof *seconds, by_size);
    double median = seconds[n_kernels / 2], most = seconds[n_kernels - 1];
    fprintf(stderr, "%u kernels: median %.3f s, at most %.3f s each\n", n_kernels, median, most);
    cr_expect(median <= 0.5);
    cr_expect(most <= 1.5);
}

Test(cuda, library)
{
    find_files();
    for (unsigned k = 0; k < n_files; k++)
        if (!check_file(files[k], STORAGE_FLOAT, 80)) return;
    check_times();
}

/* Other storage types and architectures: all of the library with ATTN_TEST_FULL, else a few files. */
Test(cuda, sample)
{
    static const struct { StorageType real; unsigned arch; } ways[] = {
        {STORAGE_F16, 80}, {STORAGE_BF16, 89}, {STORAGE_FLOAT, 90}, {STORAGE_F64, 80}, {STORAGE_FLOAT, 100}};
    unsigned step = getenv("ATTN_TEST_FULL") ? 1 : 20;
    find_files();
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++)
        for (unsigned k = w; k < n_files; k += step)
            if (!check_file(files[k], ways[w].real, ways[w].arch)) return;
}
