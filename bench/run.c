/* bench/run: the patterns of bench/cases/ on one thread, in one process with what the machine can do. Prints
 * a table; with a file name it also writes JSON:
 *
 *     run [--quick] [FILE.json]
 *
 * Rates are 4 * d flops for every visible pair (query, key), whatever was computed: the share of a case is
 * its rate by that of dense attention in this run. Times are medians. */
#include <attn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/command/host.h"

#ifndef ATTN_CASES
#error "the folder of the cases"
#endif

typedef struct Case {
    const char *name, *sizes; /* `i=4096 j=4096 d=64 e=64`: an extent for every index but b and h */
    double floor;             /* the share of dense that must be reached, or 0 */
    bool (*visible)(const struct Case *, int i, int j);
    int w, r, side; /* what `visible` needs */
    int n;          /* queries and keys */
} Case;

static bool all(const Case *c, int i, int j) { return (void)c, (void)i, (void)j, true; }
static bool causal(const Case *c, int i, int j) { return (void)c, j <= i; }
static bool window(const Case *c, int i, int j) { return j <= i && i - j < c->w; }
static bool dilated(const Case *c, int i, int j)
{
    return j <= i && i - j < c->w * c->r && (i - j) % c->r == 0;
}
static bool prefix(const Case *c, int i, int j) { return j <= i || j < c->w; }
static bool global(const Case *c, int i, int j) { return abs(i - j) <= c->w || i < c->r || j < c->r; }
static bool near_on_axis(const Case *c, int i, int j)
{
    int cells = (c->side - 1 - i % c->r) / c->r + 1, start = i / c->r - c->w / 2,
        last = cells > c->w ? cells - c->w : 0;
    start = start < 0 ? 0 : start > last ? last : start;
    return i % c->r == j % c->r && start <= j / c->r && j / c->r < start + c->w;
}
static bool near2d(const Case *c, int i, int j)
{
    return near_on_axis(c, i / c->side, j / c->side) && near_on_axis(c, i % c->side, j % c->side);
}
static bool near3d(const Case *c, int i, int j)
{
    int side = c->side;
    return near_on_axis(c, i / side / side, j / side / side) &&
           near_on_axis(c, i / side % side, j / side % side) && near_on_axis(c, i % side, j % side);
}
static bool swin(const Case *c, int i, int j)
{
    return i / c->side / c->w == j / c->side / c->w && i % c->side / c->w == j % c->side / c->w;
}

#define LINE "i=4096 j=4096 d=64 e=64"
#define PLANE "y=64 x=64 ky=64 kx=64 d=64 e=64"
static const Case cases[] = {
    {"dense", LINE, 0, all, 0, 0, 0, 4096},
    {"causal", LINE, 0.90, causal, 0, 0, 0, 4096},
    {"window256", LINE, 0.80, window, 256, 0, 0, 4096},
    {"window1024", LINE, 0.90, window, 1024, 0, 0, 4096},
    {"dilated", LINE, 0.70, dilated, 256, 4, 0, 4096},
    {"prefix", LINE, 0.90, prefix, 512, 0, 0, 4096},
    {"global", LINE, 0.80, global, 256, 4, 0, 4096},
    {"alibi", LINE, 0.80, causal, 0, 0, 0, 4096},
    {"soft_cap", LINE, 0.80, all, 0, 0, 0, 4096},
    {"sigmoid", LINE, 0.95, all, 0, 0, 0, 4096},
    {"neighborhood2d", PLANE, 0.50, near2d, 13, 1, 64, 4096},
    {"neighborhood2d_dilated", PLANE, 0.55, near2d, 13, 4, 64, 4096},
    {"neighborhood3d", "z=16 y=16 x=16 kz=16 ky=16 kx=16 d=64 e=64", 0.50, near3d, 7, 1, 16, 4096},
    {"swin", PLANE, 0.75, swin, 8, 0, 64, 4096},
};
enum { HEADS = 8, ROUNDS = 9 };

static AttnError error;

static void check(AttnStatus status, const char *what)
{
    if (status == ATTN_OK) return;
    fprintf(stderr, "bench: %s: %s\n", what, error.text);
    exit(1);
}

static double visible_pairs(const Case *c)
{
    double pairs = 0;
    for (int i = 0; i < c->n; i++)
        for (int j = 0; j < c->n; j++) pairs += c->visible(c, i, j);
    return pairs * (double)HEADS;
}

static int64_t size_of(const Case *c, const char *index)
{
    if (!strcmp(index, "b")) return 1;
    if (!strcmp(index, "h")) return HEADS;
    char key[16];
    snprintf(key, sizeof key, "%s=", index);
    const char *at = strncmp(c->sizes, key, strlen(key)) == 0 ? c->sizes : NULL;
    snprintf(key, sizeof key, " %s=", index);
    if (!at && (at = strstr(c->sizes, key))) at++;
    return at ? strtoll(strchr(at, '=') + 1, NULL, 10) : 1;
}

static float *numbers(size_t n, unsigned seed)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t k = 0; x && k < n; k++) {
        seed = seed * 1664525u + 1013904223u;
        x[k] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
    return x;
}

static void bind_all(AttnBinding *binding, const Case *c, float **memory)
{
    const AttnPatternDesc *p = attn_binding_pattern(binding);
    for (int t = 0; t < p->n_tensors; t++) {
        int64_t shape[8], count = 1;
        for (int d = 0; d < p->tensors[t].rank; d++) count *= shape[d] = size_of(c, p->tensors[t].indices[d]);
        memory[t] = numbers((size_t)count, (unsigned)t + 1);
        check(attn_bind_dense(binding, p->tensors[t].name, memory[t], p->tensors[t].rank, shape, &error),
              c->name);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_run(AttnBinding *binding, const char *name, int rounds)
{
    AttnRunOptions options = {.threads = 1};
    double seconds[ROUNDS];
    check(attn_run(binding, &options, &error), name);
    for (int k = 0; k < rounds; k++) {
        double start = host_seconds();
        check(attn_run(binding, &options, &error), name);
        seconds[k] = host_seconds() - start;
    }
    qsort(seconds, (size_t)rounds, sizeof *seconds, by_size);
    return seconds[rounds / 2];
}

static double run_case(const Case *c, int rounds)
{
    char path[1024];
    AttnLibrary *library;
    AttnBinding *binding;
    float *memory[32] = {0};
    const char *const sizes[] = {"d=64", "e=64", NULL};
    AttnCompileOptions options = {.sizes = sizes};
    snprintf(path, sizeof path, "%s/%s.attn", ATTN_CASES, c->name);
    check(attn_compile_file(path, &options, &library, &error), c->name);
    check(attn_binding_new(library, NULL, &binding, &error), c->name);
    bind_all(binding, c, memory);
    double seconds = median_run(binding, c->name, rounds);
    attn_binding_free(binding);
    attn_close(library);
    for (int k = 0; k < 32; k++) free(memory[k]);
    return seconds;
}

static double blas_attention(void)
{
    int n = 4096, d = 64;
    size_t count = (size_t)HEADS * (size_t)n * (size_t)d;
    float *q = numbers(count, 1), *k = numbers(count, 2), *v = numbers(count, 3), *o = numbers(count, 4);
    double seconds = q && k && v && o ? host_blas_attention(HEADS, n, d, q, k, v, o) : 0;
    free(q), free(k), free(v), free(o);
    return seconds;
}

typedef struct Result {
    double seconds, pairs, rate;
} Result;

static void write_json(const char *path, double peak, double read, double sgemm, double blas,
                       const Result *results, int n)
{
    FILE *f = fopen(path, "w");
    if (!f) check(ATTN_STATUS_IO, path);
    fprintf(f,
            "{\"peak_flops\": %.4g, \"read_bytes\": %.4g, \"sgemm_flops\": %.4g, \"blas_attention_flops\": "
            "%.4g, \"cases\": {",
            peak, read, sgemm, blas);
    for (int k = 0; k < n; k++)
        fprintf(f,
                "%s\n  \"%s\": {\"seconds\": %.6g, \"visible_pairs\": %.0f, \"flops\": %.4g, "
                "\"share_of_dense\": %.3f}",
                k ? "," : "", cases[k].name, results[k].seconds, results[k].pairs, results[k].rate,
                results[k].rate / results[0].rate);
    fprintf(f, "\n}}\n");
    fclose(f);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 && !strcmp(argv[1], "--quick") ? 1 : ROUNDS, n = sizeof cases / sizeof *cases;
    const char *json = argc > (rounds == 1 ? 2 : 1) ? argv[argc - 1] : NULL;
    Result results[sizeof cases / sizeof *cases];
    double peak = host_peak_flops(1), sgemm = host_sgemm_flops(1024, 1), read = host_read_bytes(1),
           blas = blas_attention();
    double dense = 4.0 * 64 * 4096 * 4096 * (double)HEADS, blas_rate = blas > 0 ? dense / blas : 0;
    printf("peak %.0f GFLOP/s, sgemm %.2f of it, read %.1f GB/s, attention by BLAS %.2f of peak\n\n",
           peak / 1e9, sgemm / peak, read / 1e9, blas_rate / peak);
    printf("| case | of peak | of sgemm | of dense | asked |\n|---|---|---|---|---|\n");
    for (int k = 0; k < n; k++) {
        results[k].seconds = run_case(&cases[k], rounds);
        results[k].pairs = visible_pairs(&cases[k]);
        results[k].rate = 4.0 * 64 * results[k].pairs / results[k].seconds;
        printf("| %s | %.2f | %.2f | %.2f | %.2f |\n", cases[k].name, results[k].rate / peak,
               sgemm > 0 ? results[k].rate / sgemm : 0, results[k].rate / results[0].rate, cases[k].floor);
        fflush(stdout);
    }
    if (json) write_json(json, peak, read, sgemm, blas_rate, results, n);
    return 0;
}
