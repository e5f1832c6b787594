/* The table and the JSON of bench/run. */
#include "bench.h"

#include <string.h>

static const char *const against[] = {
#define AGAINST(name, text) text,
    AGAINSTS(AGAINST)
#undef AGAINST
};

static double rate(const Result *r) { return r->flops / r->seconds; }
static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static double of_peak(int number, const Result *results, const Machine *m)
{
    return ratio(rate(&results[number]), m->peak[case_threads(&cases[number]) - 1]);
}

static double of_sgemm(int number, const Result *results, const Machine *m)
{
    return ratio(rate(&results[number]), m->sgemm * case_threads(&cases[number]));
}

static double per_query(int number, const Result *results)
{
    return results[number].seconds / (cases[number].queries ? cases[number].queries : 4096);
}

double report_share(int number, const Result *results, const Machine *m)
{
    const Case *c = &cases[number];
    const Result *r = &results[number];
    int other = c->other ? case_number(c->other) : -1;
    switch (c->of) {
    case OF_NOTHING: return 0;
    case OF_SGEMM: return of_sgemm(number, results, m);
    case OF_CASE: return ratio(rate(r), rate(&results[other]));
    case OF_QUERY: return ratio(per_query(other, results), per_query(number, results));
    case OF_ONE_THREAD: return ratio(r->one_thread, r->best);
    case OF_READ: return ratio(r->bytes / r->seconds, r->read);
    }
    return 0;
}

void report_machine(const Machine *m, const Options *o)
{
    if (o->cpu) printf("code for %s, ", o->cpu);
    printf("peak %.0f GFLOP/s (two threads %.0f), sgemm %.2f of it, attention by BLAS %.2f of it, "
           "reads %.1f GB/s (two threads %.1f)\n\n",
           m->peak[0] / 1e9, m->peak[1] / 1e9, ratio(m->sgemm, m->peak[0]),
           ratio(m->blas_attention, m->peak[0]), m->read[0] / 1e9, m->read[1] / 1e9);
    printf("| case | ms | predicted | of peak | asked | of sgemm | share | of | asked | workspace |\n"
           "|---|---|---|---|---|---|---|---|---|---|\n");
}

/* A number with two places, or nothing for 0. */
static const char *optional(char *text, double x)
{
    if (x == 0) return "";
    snprintf(text, 16, "%.2f", x);
    return text;
}

void report_row(int number, const Result *results, const Machine *m)
{
    const Case *c = &cases[number];
    char share[16], floor[16], peak_floor[16], workspace[32], predicted[16];
    snprintf(workspace, sizeof workspace, "%.0f KiB", results[number].workspace / 1024);
    printf("| %s | %.2f | %s | %.2f | %s | %.2f | %s | %s%s | %s | %s |\n", c->name,
           1e3 * results[number].seconds, optional(predicted, 1e3 * results[number].predicted),
           of_peak(number, results, m), optional(peak_floor, c->peak_floor), of_sgemm(number, results, m),
           optional(share, report_share(number, results, m)), c->other ? c->other : "", against[c->of],
           optional(floor, c->floor), workspace);
    fflush(stdout);
}

static void write_case(FILE *f, int number, const Result *results, const Machine *m)
{
    const Case *c = &cases[number];
    const Result *r = &results[number];
    fprintf(f,
            "{\"name\": \"%s\", \"threads\": %d, \"seconds\": %.6g, \"best_seconds\": %.6g, "
            "\"visible_pairs\": %.0f, \"flops\": %.6g, \"gflops\": %.4g, \"gbytes\": %.4g, "
            "\"workspace_bytes\": %.0f, \"of_peak\": %.4f, \"peak_floor\": %.3g, \"of_sgemm\": %.4f, "
            "\"of\": \"%s%s\", \"share\": %.4f, \"floor\": %.3g, \"predicted_seconds\": %.6g}",
            c->name, case_threads(c), r->seconds, r->best, r->pairs, r->flops, rate(r) / 1e9,
            r->bytes / r->seconds / 1e9, r->workspace, of_peak(number, results, m), c->peak_floor,
            of_sgemm(number, results, m), c->other ? c->other : "", against[c->of],
            report_share(number, results, m), c->floor, r->predicted);
}

void report_end(const Result *results)
{
    double error = predict_error(results);
    if (error > 0) printf("\nmedian error of predicted times: %.3f (asked: 0.25)\n", error);
}

bool report_json(const Options *o, const Machine *m, const Result *results, const bool *shown)
{
    FILE *f = fopen(o->json, "w");
    if (!f) return false;
    fprintf(f,
            "{\"cpu\": \"%s\", \"peak_gflops\": %.4g, \"peak_gflops_two_threads\": %.4g,\n"
            "\"sgemm_gflops\": %.4g, \"blas_attention_gflops\": %.4g, \"read_gbytes\": %.4g, "
            "\"read_gbytes_two_threads\": %.4g,\n\"predicted_median_error\": %.4g,\n\"cases\": [",
            o->cpu ? o->cpu : "", m->peak[0] / 1e9, m->peak[1] / 1e9, m->sgemm / 1e9, m->blas_attention / 1e9,
            m->read[0] / 1e9, m->read[1] / 1e9, predict_error(results));
    const char *between = "\n  ";
    for (int k = 0; k < n_cases; k++) {
        if (!shown[k]) continue;
        fputs(between, f);
        write_case(f, k, results, m);
        between = ",\n  ";
    }
    fprintf(f, "\n]}\n");
    bool written = !ferror(f);
    return !fclose(f) && written;
}
