/* One case of bench/run: compiled, bound, run. On one thread the time is that of the thread, which stands
 * still while others have the processor; on several it is the clock's. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler/command/host.h"

#ifndef ATTN_CASES
#error "the folder of the cases"
#endif

enum { ROUNDS = 9, MOST_TENSORS = 32, MOST_DIMS = 8 };
static const double patience = 10; /* seconds */

typedef struct Run {
    const Case *c;
    AttnLibrary *library;
    AttnBinding *binding;
    void *memory[MOST_TENSORS];
    size_t bytes[MOST_TENSORS]; /* of keys and values; 0: something else */
    AttnError error;
} Run;

static void check(Run *run, AttnStatus status)
{
    if (status == ATTN_OK) return;
    fprintf(stderr, "bench: %s: %s\n", run->c->name, run->error.text);
    exit(1);
}

static void compile(Run *run, const char *cpu)
{
    char path[1024], d[32], e[32];
    const char *const sizes[] = {d, e, NULL};
    AttnCompileOptions options = {.sizes = sizes, .cpu = cpu};
    snprintf(path, sizeof path, "%s/%s.attn", ATTN_CASES, run->c->file ? run->c->file : run->c->name);
    snprintf(d, sizeof d, "d=%d", (int)case_extent(run->c, "d"));
    snprintf(e, sizeof e, "e=%d", (int)case_extent(run->c, "e"));
    check(run, attn_compile_file(path, &options, &run->library, &run->error));
    check(run, attn_binding_new(run->library, NULL, &run->binding, &run->error));
}

static bool is_cache(const char *name) { return !strcmp(name, "k") || !strcmp(name, "v"); }

static void bind(Run *run, int number)
{
    const AttnTensorDesc *t = &attn_binding_pattern(run->binding)->tensors[number];
    int64_t shape[MOST_DIMS], count = 1;
    for (int d = 0; d < t->rank; d++) {
        shape[d] = case_extent(run->c, t->indices[d]);
        if (d == t->heads && is_cache(t->name) && run->c->key_heads) shape[d] = run->c->key_heads;
        count *= shape[d];
    }
    run->memory[number] = input_new(t, (size_t)count, shape, (unsigned)number + 1);
    if (!run->memory[number]) {
        snprintf(run->error.text, sizeof run->error.text, "no numbers for %s", t->name);
        check(run, ATTN_STATUS_MEMORY);
    }
    if (is_cache(t->name)) run->bytes[number] = (size_t)count * (size_t)t->type.bits / 8;
    check(run, attn_bind_dense(run->binding, t->name, run->memory[number], t->rank, shape, &run->error));
}

static double wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double all_bytes(const Run *run)
{
    double bytes = 0;
    for (int k = 0; k < MOST_TENSORS; k++) bytes += (double)run->bytes[k];
    return bytes;
}

/* Bytes per second at which these very keys and values can be read. */
static double read_rate(const Run *run, int threads)
{
    double seconds = 0;
    for (int k = 0; k < MOST_TENSORS; k++)
        if (run->bytes[k]) seconds += host_read_seconds(run->memory[k], run->bytes[k], threads);
    return all_bytes(run) / seconds;
}

/* Seconds of some rounds after one that warms up, in their order of size: how many. Slow cases have fewer.
 * What is measured against reads takes turns with them; *read: their rates, sorted as well. */
static int time_rounds(Run *run, int threads, bool clock, int rounds, double *seconds, double *read)
{
    AttnRunOptions options = {.threads = threads};
    check(run, attn_run(run->binding, &options, &run->error));
    double spent = 0;
    int n = 0;
    for (; n < rounds && spent < patience; n++) {
        if (run->c->of == OF_READ) read[n] = read_rate(run, threads);
        double start = clock ? wall_seconds() : host_seconds();
        check(run, attn_run(run->binding, &options, &run->error));
        spent += seconds[n] = (clock ? wall_seconds() : host_seconds()) - start;
    }
    qsort(seconds, (size_t)n, sizeof *seconds, by_size);
    qsort(read, (size_t)n, sizeof *read, by_size);
    return n;
}

static double workspace(Run *run)
{
    size_t bytes;
    AttnRunOptions options = {.threads = case_threads(run->c)};
    check(run, attn_workspace(run->binding, &options, &bytes, &run->error));
    return (double)bytes;
}

static void release(Run *run)
{
    attn_binding_free(run->binding);
    attn_close(run->library);
    for (int k = 0; k < MOST_TENSORS; k++) free(run->memory[k]);
}

Result measure_case(const Case *c, const Options *options)
{
    Run run = {.c = c};
    compile(&run, options->cpu);
    for (int k = 0; k < attn_binding_pattern(run.binding)->n_tensors; k++) bind(&run, k);
    int threads = case_threads(c), rounds = options->quick ? 1 : c->of == OF_ONE_THREAD ? 5 : ROUNDS;
    double seconds[ROUNDS], read[ROUNDS] = {0};
    double flops = 2.0 * (double)(case_extent(c, "d") + case_extent(c, "e"));
    Result result = {.pairs = case_visible_pairs(c), .bytes = all_bytes(&run), .workspace = workspace(&run)};
    result.predicted = predict_case(c, attn_binding_pattern(run.binding), options);
    int n = time_rounds(&run, threads, threads > 1, rounds, seconds, read);
    result.seconds = seconds[n / 2];
    result.best = seconds[0];
    result.read = read[n / 2];
    if (c->of == OF_ONE_THREAD) {
        time_rounds(&run, 1, true, rounds, seconds, read);
        result.one_thread = seconds[0];
    }
    result.flops = flops * result.pairs * (c->maps ? c->maps : 1);
    release(&run);
    return result;
}
