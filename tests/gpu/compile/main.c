/* What NVRTC makes of the library: no spills, shared memory within what an architecture has, times.
 *
 *     gpu_compile FILE.attn...   one line for every program; ATTN_TEST_FULL=1: all, else a sample
 *
 * All patterns are compiled for sm_80 in f32, and with constant features (tiles) in f32, tf32 and f16; one of
 * every kind of stage for sm_89, sm_90 and sm_100. Exit code 77: there is no NVRTC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/cuda/cuda.h"
#include "codegen/cuda/nvrtc.h"
#include "compiler/gpu.h"
#include "compiler/pipeline.h"
#include "compiler/tile_model.h"

enum { SKIPPED = 77, BASE = 80, FEATURES = 64 };
static const double most_seconds = 1.5, median_seconds = 0.5; /* of a kernel, by one processor */

/* Every kind of stage. */
static const char *const sample[] = {
    "score/full",
    "mask/causal",
    "score/with_lse",
    "window/neighborhood2d",
    "cache/paged",
    "gate/lama",
    "routing/moh",
    "recurrence/gated_delta",
    "state/selective_scan",
    "low_bit/sale",
    "spectral/orchid",
    "normaliser/sparsemax",
    "channel/channel_attention",
};

typedef struct Case {
    const char *file;
    unsigned arch;
    StorageType real;
    bool fixed; /* features */
    bool tf32;
} Case;

typedef struct Checking {
    VEC(double) seconds;
    unsigned programs, kernels, failed, most_registers;
    Compilation own; /* of this list */
} Checking;

static bool is_sample(const char *file)
{
    for (size_t k = 0; k < sizeof sample / sizeof *sample; k++) {
        const char *at = strstr(file, sample[k]);
        if (at && !strcmp(at + strlen(sample[k]), ".attn")) return true;
    }
    return false;
}

static const char *name_of(const char *file)
{
    const char *at = strstr(file, "patterns/");
    return at ? at + strlen("patterns/") : file;
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool wrong(Checking *x, const Case *p, const char *kernel, const char *what)
{
    printf("  WRONG: %s, sm_%u, %s: %s\n", name_of(p->file), p->arch, kernel, what);
    x->failed++;
    return false;
}

/* compiler/tile_model.h against ptxas: registers, and shared memory but for long scores. */
static void check_model(Checking *x, Compilation *c, const Case *p, const NvrtcUsage *u,
                        const AttnCudaKernel *k, const Phase *phase)
{
    enum { SCORES = 16 << 10 };
    GpuBlock block;
    if (phase->tile) {
        TileNeed need = tile_need(phase->tile);
        block = tile_block(&need);
    } else {
        ProductNeed need = product_need(phase->product);
        block = product_block(&need);
    }
    if (block.shared > k->shared || k->shared - block.shared > SCORES)
        wrong(x, p, k->name,
              format(c, "%u bytes of shared memory, %u by the model", k->shared, block.shared));
    if (u->registers > block.registers * 1.5 || u->registers < block.registers * 0.7)
        wrong(x, p, k->name, format(c, "%u registers, %u by the model", u->registers, block.registers));
}

static void check_kernel(Checking *x, Compilation *c, const Case *p, const NvrtcUsage *u,
                         const AttnCudaKernel *k)
{
    unsigned shared = u->shared + k->shared;
    GpuBlock block = {k->threads, u->registers, shared};
    if (u->spills) wrong(x, p, k->name, format(c, "%u bytes of spills", u->spills));
    if (!gpu_blocks(gpu_find(p->arch), &block))
        wrong(x, p, k->name,
              format(c, "%u registers, %u bytes of shared memory do not fit", u->registers, shared));
    if (u->registers > x->most_registers) x->most_registers = u->registers;
    x->kernels++;
}

/* ptxas lists kernels in an order of its own. */
static void check_usage(Checking *x, Compilation *c, const Case *p, const CudaProgram *made,
                        const Kernel *kernel, const char *log)
{
    NvrtcUsages all = nvrtc_usage(c, log);
    for (unsigned k = 0; k < made->n_kernels; k++) {
        const NvrtcUsage *found = NULL;
        for (uint32_t u = 0; u < all.n; u++)
            if (!strcmp(all.at[u].kernel, made->kernels[k].name)) found = &all.at[u];
        if (found) check_kernel(x, c, p, found, &made->kernels[k]);
        const Phase *phase = &kernel->phases.at[k];
        if (found && (phase->tile || phase->product)) check_model(x, c, p, found, &made->kernels[k], phase);
        if (!found) wrong(x, p, made->kernels[k].name, "ptxas does not say what it takes");
    }
}

static void compile(Checking *x, Compilation *c, const Nvrtc *nvrtc, const Case *p, const CudaProgram *made,
                    const Kernel *kernel)
{
    NvrtcImage image;
    double start = processor_seconds();
    const char *error =
        nvrtc_compile(c, nvrtc, made->source, made->file, &(NvrtcOptions){.arch = p->arch}, &image);
    double seconds = (processor_seconds() - start) / (made->n_kernels ? made->n_kernels : 1);
    if (error) {
        wrong(x, p, made->file, error);
        return;
    }
    printf("%-40s %-32s sm_%-3u %s%s %3u kernels %6.3f s each\n", name_of(p->file), made->file, p->arch,
           p->real == STORAGE_F16 ? "f16"
           : p->tf32              ? "tf32"
                                  : "f32",
           p->fixed ? " fixed" : "      ", made->n_kernels, seconds);
    check_usage(x, c, p, made, kernel, image.log);
    if (seconds > most_seconds) wrong(x, p, made->file, format(c, "%.2f s for a kernel", seconds));
    for (unsigned k = 0; k < made->n_kernels; k++) PUSH(&x->own, &x->seconds, seconds);
    x->programs++;
}

static const char *const *features(Compilation *c, const Case *p, const Pattern *pattern, unsigned *n)
{
    const char **sizes = NEW_ARRAY(c, const char *, pattern->indices.n + 1);
    for (uint32_t k = 0; k < pattern->indices.n && p->fixed; k++)
        if (gpu_is_feature(pattern, pattern->indices.at[k]))
            sizes[(*n)++] = format(c, "%s=%d", pattern->indices.at[k]->name, FEATURES);
    return sizes;
}

/* One pattern of a file, with a compilation of its own. False: there are no more. */
static bool check_pattern(Checking *x, Compilation *c, const Nvrtc *nvrtc, const Case *p, uint32_t number)
{
    Pipeline all, one;
    PipelineOptions options = {.path = p->file, .target = TARGET_CUDA, .real = p->real, .tf32 = p->tf32};
    BackendJob job;
    pipeline_init(&all, c, &options);
    if (!pipeline_check(&all)) return wrong(x, p, "-", "does not compile");
    if (number >= all.program->patterns.n) return false;
    const Pattern *pattern = all.program->patterns.at[number];
    options.pattern = pattern->name;
    options.sizes = features(c, p, pattern, &options.n_sizes);
    pipeline_init(&one, c, &options);
    if (!pipeline_job(&one, &job)) return wrong(x, p, pattern->name, "does not compile");
    CudaProgram made = cuda_print(&job, &job.variants.at[0], true);
    compile(x, c, nvrtc, p, &made, job.variants.at[0].kernel);
    return true;
}

static bool check_alone(Checking *x, const Nvrtc *nvrtc, const Case *p, uint32_t number)
{
    Compilation c;
    compilation_init(&c);
    bool more = setjmp(c.escape) ? wrong(x, p, "-", c.fatal) : check_pattern(x, &c, nvrtc, p, number);
    compilation_free(&c);
    return more;
}

static void check_program(Checking *x, const Nvrtc *nvrtc, Case p)
{
    for (uint32_t k = 0; check_alone(x, nvrtc, &p, k); k++) continue;
    fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int finish(Checking *x)
{
    uint32_t n = x->seconds.n;
    if (!n) return puts("nothing was compiled"), 1;
    qsort(x->seconds.at, n, sizeof *x->seconds.at, by_size);
    double median = x->seconds.at[n / 2];
    printf("%u programs, %u kernels: %.3f s each (median), %.3f s at most; %u registers at most; %u wrong\n",
           x->programs, x->kernels, median, x->seconds.at[n - 1], x->most_registers, x->failed);
    if (median > median_seconds) printf("  WRONG: a median above %g s\n", median_seconds);
    return x->failed || median > median_seconds;
}

static void check_all(Checking *x, const Nvrtc *nvrtc, int n, char **files)
{
    static const unsigned others[] = {89, 90, 100};
    bool full = getenv("ATTN_TEST_FULL") != NULL;
    for (int k = 0, number = 0; k < n; k++) {
        if (!full && !is_sample(files[k])) continue;
        if (full) check_program(x, nvrtc, (Case){files[k], .arch = BASE, .real = STORAGE_F32});
        check_program(x, nvrtc, (Case){files[k], .arch = BASE, .real = STORAGE_F32, .fixed = true});
        check_program(x, nvrtc, (Case){files[k], .arch = BASE, .real = STORAGE_F16, .fixed = true});
        if (full || strstr(files[k], "mask/causal.attn"))
            check_program(x, nvrtc,
                          (Case){files[k], .arch = BASE, .real = STORAGE_F32, .fixed = true, .tf32 = true});
        if (!is_sample(files[k])) continue;
        for (unsigned i = 0; i < 3; i++) /* one of them, in turn, where there is little time */
            if (full || number % 3 == (int)i)
                check_program(x, nvrtc,
                              (Case){files[k], .arch = others[i], .real = STORAGE_F16, .fixed = true});
        number++;
    }
}

int main(int argc, char **argv)
{
    Checking x = {0};
    const char *error;
    compilation_init(&x.own);
    if (setjmp(x.own.escape)) return puts(x.own.fatal), 1;
    const Nvrtc *nvrtc = nvrtc_open(&x.own, &error);
    if (!nvrtc) return printf("skipped: %s\n", error), SKIPPED;
    check_all(&x, nvrtc, argc - 1, argv + 1);
    int result = finish(&x);
    compilation_free(&x.own);
    return result;
}
