/* bench/run: the patterns of bench/cases/ in one process with what the machine can do. Prints a table; with a
 * file name it also writes JSON:
 *
 *     run [--quick] [--cpu NAME] [--case NAME] [FILE.json]
 *
 * A rate is 2 (d + e) flops for every visible pair (query, key) and map of scores over the median time,
 * whatever was computed. With --cpu the code is for that CPU, and the peak and OpenBLAS's kernels are of its
 * vectors. --case NAME measures that one and what it is measured against. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "compiler/command/host.h"
#include "runtime/abi.h"

#define V3 ATTN_FEATURE_AVX2
#define V4 (ATTN_FEATURE_AVX2 | ATTN_FEATURE_AVX512F)
static const struct { const char *name; unsigned features; } cpus[] = {
#define CPU(name, features) {name, (unsigned)(features)},
#include "codegen/cpu/cpu_list.h"
#undef CPU
};

static bool is_narrow(const char *cpu)
{
    for (size_t k = 0; k < sizeof cpus / sizeof *cpus; k++)
        if (!strcmp(cpus[k].name, cpu)) return !(cpus[k].features & ATTN_FEATURE_AVX512F);
    return false;
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: run [--quick] [--cpu NAME] [--case NAME] [FILE.json]\n");
    exit(2);
}

static Options read_options(int argc, char **argv)
{
    Options o = {0};
    for (int k = 1; k < argc; k++) {
        const char **value = !strcmp(argv[k], "--cpu") ? &o.cpu : !strcmp(argv[k], "--case") ? &o.only : NULL;
        if (!strcmp(argv[k], "--quick")) o.quick = true;
        else if (value && k + 1 < argc) *value = argv[++k];
        else if (value || argv[k][0] == '-' || o.json) usage();
        else o.json = argv[k];
    }
    o.narrow = o.cpu && is_narrow(o.cpu);
    if (o.only && case_number(o.only) < 0) usage();
    return o;
}

/* The case asked for, and what it is measured against; all, if none was. */
static void choose(const Options *o, bool *chosen)
{
    for (int k = 0; k < n_cases; k++) chosen[k] = !o->only;
    if (!o->only) return;
    const Case *c = &cases[case_number(o->only)];
    chosen[case_number(o->only)] = true;
    if (c->other) chosen[case_number(c->other)] = true;
}

/* Attention by BLAS, in flops. */
static double blas_attention(void)
{
    const int heads = 8, length = 4096, d = 64;
    size_t n = (size_t)(heads * length * d);
    float *x = malloc(4 * n * sizeof *x);
    for (size_t k = 0; x && k < 4 * n; k++) x[k] = (float)(k * 7 % 13) / 13;
    double seconds = x ? host_blas_attention(heads, length, d, x, x + n, x + 2 * n, x + 3 * n) : 0;
    free(x);
    return seconds > 0 ? 4.0 * d * length * length * heads / seconds : 0;
}

static Machine look_at_machine(const Options *o)
{
    Machine m = {0};
    if (o->narrow) host_narrow_sgemm();
    for (int threads = 1; threads <= 2; threads++) {
        m.peak[threads - 1] = o->narrow ? host_narrow_flops(threads) : host_peak_flops(threads);
        m.read[threads - 1] = host_read_bytes(threads);
    }
    m.sgemm = host_sgemm_flops(1024, 1);
    m.blas_attention = blas_attention();
    return m;
}

int main(int argc, char **argv)
{
    Options options = read_options(argc, argv);
    Result *results = calloc((size_t)n_cases, sizeof *results);
    bool *chosen = calloc((size_t)n_cases, sizeof *chosen);
    if (!results || !chosen) return 1;
    choose(&options, chosen);
    Machine machine = look_at_machine(&options);
    report_machine(&machine, &options);
    for (int k = 0; k < n_cases; k++) {
        if (!chosen[k]) continue;
        results[k] = measure_case(&cases[k], &options);
        report_row(k, results, &machine);
    }
    report_end(results);
    bool written = !options.json || report_json(&options, &machine, results, chosen);
    if (!written) perror(options.json);
    free(results);
    free(chosen);
    return written ? 0 : 1;
}
