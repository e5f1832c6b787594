/* See host.h. OpenBLAS is opened as the program runs, with its own choice of kernels: what the environment
 * says of them would slow it down. */
#include "compiler/command/host.h"

#include <dlfcn.h>
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double host_seconds(void) { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

/* ---- several threads ---- */

typedef double Measure(void); /* one thread's rate */
typedef struct Worker {
    pthread_t thread;
    pthread_barrier_t *start;
    Measure *measure;
    double rate;
} Worker;

static void *work(void *data)
{
    Worker *w = data;
    pthread_barrier_wait(w->start);
    w->rate = w->measure();
    return NULL;
}

/* The sum of what `threads` of them reach at the same time. */
static double together(Measure *measure, int threads)
{
    Worker *workers = threads > 1 ? calloc((size_t)threads, sizeof *workers) : NULL;
    pthread_barrier_t start;
    double rate = 0;
    if (!workers) return measure();
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int k = 0; k < threads; k++) {
        workers[k] = (Worker){.start = &start, .measure = measure};
        if (pthread_create(&workers[k].thread, NULL, work, &workers[k])) abort();
    }
    for (int k = 0; k < threads; k++) {
        pthread_join(workers[k].thread, NULL);
        rate += workers[k].rate;
    }
    pthread_barrier_destroy(&start);
    free(workers);
    return rate;
}

/* ---- arithmetic ---- */

enum { CHAINS = 16, ROUNDS = 4000000 };
static _Thread_local volatile float sink;

__attribute__((target("avx512f"))) static double peak_wide(void)
{
    __m512 x[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (int k = 0; k < CHAINS; k++) x[k] = _mm512_set1_ps((float)k);
    double start = host_seconds();
    for (int n = 0; n < ROUNDS; n++)
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++) x[k] = _mm512_fmadd_ps(x[k], a, b);
    double seconds = host_seconds() - start;
    for (int k = 0; k < CHAINS; k++) sink = sink + _mm512_reduce_add_ps(x[k]);
    return 2.0 * 16 * (double)CHAINS * (double)ROUNDS / seconds;
}

__attribute__((target("avx2,fma"))) static double peak_narrow(void)
{
    __m256 x[12], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    for (int k = 0; k < 12; k++) x[k] = _mm256_set1_ps((float)k);
    double start = host_seconds();
    for (int n = 0; n < ROUNDS; n++)
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++) x[k] = _mm256_fmadd_ps(x[k], a, b);
    double seconds = host_seconds() - start;
    for (int k = 0; k < 12; k++) sink = sink + _mm256_cvtss_f32(x[k]);
    return 2.0 * 8 * 12 * (double)ROUNDS / seconds;
}

/* Without fused multiply-adds: what the compiler makes of it. */
static double peak_plain(void)
{
    float x[32], a = 0.999f, b = 0.001f;
    for (int k = 0; k < 32; k++) x[k] = (float)k;
    double start = host_seconds();
    for (int n = 0; n < ROUNDS; n++)
        for (int k = 0; k < 32; k++) x[k] = x[k] * a + b;
    double seconds = host_seconds() - start;
    for (int k = 0; k < 32; k++) sink = sink + x[k];
    return 2.0 * 32 * (double)ROUNDS / seconds;
}

static double peak_once(void)
{
    bool wide = __builtin_cpu_supports("avx512f"),
         narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    double best = 0;
    for (int k = 0; k < 3; k++) {
        double rate = wide ? peak_wide() : narrow ? peak_narrow() : peak_plain();
        if (rate > best) best = rate;
    }
    return best;
}

static double narrow_once(void)
{
    bool able = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    double best = 0;
    for (int k = 0; able && k < 3; k++) best = fmax(best, peak_narrow());
    return best;
}

double host_peak_flops(int threads) { return together(peak_once, threads); }
double host_narrow_flops(int threads) { return together(narrow_once, threads); }

/* ---- memory ---- */

/* Whole cache lines into four sums: with fewer or narrower ones the additions are what takes time. */
typedef unsigned long long Line __attribute__((vector_size(64), may_alias));

static inline __attribute__((always_inline)) unsigned long long sum_lines(const Line *x, size_t n)
{
    Line a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t k = 0; k + 4 <= n; k += 4) {
        a += x[k];
        b += x[k + 1];
        c += x[k + 2];
        d += x[k + 3];
    }
    a += b + c + d;
    return a[0] + a[3] + a[7];
}

__attribute__((target("avx512f"))) static unsigned long long sum_wide(const Line *x, size_t n)
{
    return sum_lines(x, n);
}
__attribute__((target("avx2"))) static unsigned long long sum_narrow(const Line *x, size_t n)
{
    return sum_lines(x, n);
}
static unsigned long long sum_plain(const Line *x, size_t n) { return sum_lines(x, n); }

static unsigned long long sum(const Line *x, size_t n)
{
    return __builtin_cpu_supports("avx512f") ? sum_wide(x, n)
           : __builtin_cpu_supports("avx2")  ? sum_narrow(x, n)
                                             : sum_plain(x, n);
}

static unsigned long long sum_by_threads(const Line *lines, size_t share, int threads)
{
    unsigned long long all = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : all)
    for (int k = 0; k < threads; k++) all += sum(lines + (size_t)k * share, share);
    return all;
}

double host_read_seconds(const void *memory, size_t bytes, int threads)
{
    clockid_t clock = threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    size_t unaligned = -(uintptr_t)memory % sizeof(Line);
    const Line *lines = (const Line *)((uintptr_t)memory + unaligned);
    size_t share = bytes > unaligned ? (bytes - unaligned) / sizeof(Line) / (size_t)threads : 0;
    unsigned long long all;
    double start = seconds_of(clock);
    if (threads > 1) /* OpenMP keeps memory for good */
        all = sum_by_threads(lines, share, threads);
    else
        all = sum(lines, share);
    sink = (float)all;
    return seconds_of(clock) - start;
}

double host_read_bytes(int threads)
{
    size_t bytes = (size_t)512 << 20;
    char *x = aligned_alloc(sizeof(Line), bytes);
    double best = 0;
    if (!x) return 0;
    memset(x, 1, bytes);
    for (int round = 0; round < 5; round++)
        best = fmax(best, (double)bytes / host_read_seconds(x, bytes, threads));
    free(x);
    return best;
}

/* ---- OpenBLAS ---- */

typedef void Sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                   int lda, const float *b, int ldb, float beta, float *c, int ldc);
enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

static Sgemm *open_sgemm(int threads)
{
    char number[16];
    snprintf(number, sizeof number, "%d", threads);
    unsetenv("OPENBLAS_CORETYPE");
    unsetenv("OPENBLAS_L2_SIZE");
    setenv("OPENBLAS_NUM_THREADS", number, 1);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    return library ? (Sgemm *)dlsym(library, "cblas_sgemm") : NULL;
}

/* OpenBLAS looks at the environment once, as it is loaded; it stays loaded. */
bool host_narrow_sgemm(void)
{
    setenv("OPENBLAS_CORETYPE", "Haswell", 1);
    unsetenv("OPENBLAS_L2_SIZE");
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    return dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL) != NULL;
}

double host_sgemm_flops(int n, int threads)
{
    Sgemm *sgemm = open_sgemm(threads);
    clockid_t clock = threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    size_t count = (size_t)n * (size_t)n;
    float *a = sgemm ? malloc(3 * count * sizeof *a) : NULL;
    double best = 0;
    for (size_t k = 0; a && k < 3 * count; k++) a[k] = (float)(k % 7);
    for (int round = 0; a && round < 5; round++) {
        double start = seconds_of(clock);
        sgemm(ROW_MAJOR, PLAIN, PLAIN, n, n, n, 1, a, n, a + count, n, 0, a + 2 * count, n);
        double rate = 2.0 * n * n * n / (seconds_of(clock) - start);
        if (rate > best) best = rate;
    }
    free(a);
    return best;
}

static void softmax_rows(float *s, int rows, int n)
{
    for (int i = 0; i < rows; i++, s += n) {
        float max = s[0], sum = 0;
        for (int j = 1; j < n; j++) max = s[j] > max ? s[j] : max;
        for (int j = 0; j < n; j++) sum += s[j] = expf(s[j] - max);
        for (int j = 0; j < n; j++) s[j] /= sum;
    }
}

double host_blas_attention(int heads, int n, int d, const float *q, const float *k, const float *v, float *o)
{
    Sgemm *sgemm = open_sgemm(1);
    float *s = malloc((size_t)n * (size_t)n * sizeof *s);
    double start = host_seconds();
    for (int h = 0; s && sgemm && h < heads; h++) {
        size_t at = (size_t)h * (size_t)n * (size_t)d;
        sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, n, n, d, 1 / sqrtf((float)d), q + at, d, k + at, d, 0, s, n);
        softmax_rows(s, n, n);
        sgemm(ROW_MAJOR, PLAIN, PLAIN, n, d, n, 1, s, n, v + at, d, 0, o + at, d);
    }
    free(s);
    return s && sgemm ? host_seconds() - start : 0;
}
