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
    cr_assert(usages.n == program->n_kernels, "%s: %u of %u kernels", program->file, usages.n,
              program->n_kernels);
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
    const char *error =
        nvrtc_compile(job->c, nvrtc, program.source, program.file, &(NvrtcOptions){.arch = arch}, &image);
    double each = (now() - start) / (program.n_kernels ? program.n_kernels : 1);
    cr_assert(!error, "%s", error);
    for (unsigned k = 0; k < program.n_kernels && n_kernels < KERNELS_MAX; k++) seconds[n_kernels++] = each;
    check_usage(job->c, &program, image.log);
}

static void begin(Compilation *c, Pipeline *p, BackendJob *job, const PipelineOptions *options)
{
    compilation_init(c);
    cr_assert(!setjmp(c->escape), "%s: %s", options->path, c->fatal);
    pipeline_init(p, c, options);
    cr_assert(pipeline_job(p, job), "%s: %s", options->path, diag_render(c, DIAG_LINES));
}

/* NULL, and a word, where there is none. */
static const Nvrtc *open_nvrtc(Compilation *c)
{
    const char *error = NULL;
    const Nvrtc *nvrtc = nvrtc_open(c, &error);
    if (!nvrtc) fprintf(stderr, "skipped: %s\n", error);
    return nvrtc;
}

/* False: there is no NVRTC. */
static bool check_file(const char *path, StorageType real, unsigned arch)
{
    Compilation c;
    PipelineOptions options = {.path = path, .target = TARGET_CUDA, .f64 = real == STORAGE_F64, .real = real};
    Pipeline p;
    BackendJob job;
    begin(&c, &p, &job, &options);
    const Nvrtc *nvrtc = open_nvrtc(&c);
    for (uint32_t k = 0; nvrtc && k < job.variants.n; k++)
        check_variant(&job, nvrtc, &job.variants.at[k], arch);
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

/* The sanitizers look at our own code, of which a sample will do. */
static unsigned step_of(unsigned normal)
{
    return getenv("ATTN_SANITIZE") ? 40 : getenv("ATTN_TEST_FULL") ? 1 : normal;
}

Test(cuda, library)
{
    find_files();
    for (unsigned k = 0; k < n_files; k += step_of(1))
        if (!check_file(files[k], STORAGE_FLOAT, 80)) return;
    if (!getenv("ATTN_SANITIZE")) check_times();
}

/* Other storage types and architectures: all of the library with ATTN_TEST_FULL, else a few files. */
Test(cuda, sample)
{
    static const struct {
        StorageType real;
        unsigned arch;
    } ways[] = {
        {STORAGE_F16, 80}, {STORAGE_BF16, 89}, {STORAGE_FLOAT, 90}, {STORAGE_F64, 80}, {STORAGE_FLOAT, 100}};
    find_files();
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++)
        for (unsigned k = w; k < n_files; k += step_of(25))
            if (!check_file(files[k], ways[w].real, ways[w].arch)) return;
}

static const char small[] = "pattern p()\n"
                            "    over b: x[i, d] -> y[i, d]\n"
                            "    example i = 3, d = 4\n"
                            "{\n"
                            "    y = exp(x)\n"
                            "}\n";

/* Extents of a variant are literals; others may become so by NVRTC's options. */
Test(cuda, sizes)
{
    Compilation c;
    const char *sizes[] = {"d=16"};
    PipelineOptions options = {.path = "p.attn",
                               .text = small,
                               .length = strlen(small),
                               .target = TARGET_CUDA,
                               .sizes = sizes,
                               .n_sizes = 1};
    Pipeline p;
    BackendJob job;
    begin(&c, &p, &job, &options);
    cr_assert(job.variants.n == 2);
    CudaProgram fixed = cuda_print(&job, &job.variants.at[0], false),
                general = cuda_print(&job, &job.variants.at[1], false);
    cr_expect(strstr(fixed.source, "#define SIZE_d 16\n") && strstr(fixed.source, "#ifndef SIZE_i\n"));
    cr_expect(strstr(general.source, "#ifndef SIZE_d\n"));
    const Nvrtc *nvrtc = open_nvrtc(&c);
    NvrtcImage image = {0};
    const char *definition = "SIZE_d=16";
    NvrtcOptions how = {.arch = 80, .ptx = true, .definitions = &definition, .n_definitions = 1};
    const char *error = nvrtc ? nvrtc_compile(&c, nvrtc, general.source, "p.cu", &how, &image) : NULL;
    cr_expect(!error, "%s", error);
    cr_expect(!nvrtc || strstr(image.data, ".visible .entry p_map_y"));
    compilation_free(&c);
}

/* Messages of NVRTC stand at lines of the pattern. */
Test(cuda, places)
{
    Compilation c;
    PipelineOptions options = {
        .path = "folder/p.attn", .text = small, .length = strlen(small), .target = TARGET_CUDA};
    Pipeline p;
    BackendJob job;
    begin(&c, &p, &job, &options);
    CudaProgram program = cuda_print(&job, &job.variants.at[0], true);
    char *source = format(&c, "%s", program.source), *call = strstr(source, "expf(");
    cr_assert(call != NULL);
    memcpy(call, "expo(", 5);
    const Nvrtc *nvrtc = open_nvrtc(&c);
    NvrtcImage image;
    NvrtcOptions how = {.arch = 80, .ptx = true};
    const char *error = nvrtc ? nvrtc_compile(&c, nvrtc, source, program.file, &how, &image) : NULL;
    cr_expect(!nvrtc || (error && strstr(error, "folder/p.attn:5: error:")), "%s", error);
    compilation_free(&c);
}

Test(cuda, usage)
{
    static const char log[] =
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'one' for 'sm_80'\n"
        "ptxas info    : Function properties for one\n"
        "ptxas         .     24 bytes stack frame, 36 bytes spill stores, 76 bytes spill loads\n"
        "ptxas info    : Used 56 registers, used 1 barriers, 24 bytes cumulative stack size, 1024 bytes "
        "smem\n"
        "ptxas info    : Compiling entry function 'two' for 'sm_80'\n"
        "ptxas info    : Function properties for two\n"
        "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 12 registers, used 0 barriers, 360 bytes cmem[0]\n"
        "ptxas info    : Function properties for __internal_trig_reduction_slowpathd\n"
        "ptxas         .     0 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\n";
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    NvrtcUsages all = nvrtc_usage(&c, log);
    cr_assert(all.n == 2);
    const NvrtcUsage *one = &all.at[0], *two = &all.at[1];
    cr_expect(!strcmp(one->kernel, "one") && one->registers == 56 && one->stack == 24 && one->spills == 112);
    cr_expect(one->shared == 1024);
    cr_expect(!strcmp(two->kernel, "two") && two->registers == 12 && two->stack == 0 && two->spills == 12);
    compilation_free(&c);
}
