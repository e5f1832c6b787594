/* attnc bench FILE: how fast a pattern runs on sample data, beside what this machine can do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/command/case.h"
#include "compiler/command/device.h"
#include "compiler/command/host.h"
#include "compiler/command/profile.h"
#include "compiler/explain.h"

enum { ROUNDS = 9, SGEMM_SIZE = 1024 };
static const double enough = 4; /* seconds of measuring */

typedef struct Measure {
    Compilation *c;
    const Options *o;
    Pipeline p;
    Pattern *pattern;
    Call call;
    Explanation *all;
    unsigned runs;
    double seconds, best, peak, sgemm;
} Measure;

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const char *time_runs(Measure *m, AttnLibrary *library)
{
    unsigned rounds = m->o->repeat ? (unsigned)m->o->repeat : ROUNDS;
    double *times = NEW_ARRAY(m->c, double, rounds + 2);
    CallOptions run = {.threads = (int)m->o->threads,
                       .repeat = rounds + 1,
                       .times = times,
                       .enough = m->o->repeat ? 0 : enough,
                       .ran = &m->runs};
    CallResult result;
    const char *wrong = call_machine(&m->call, library, &run, &result);
    if (wrong) return wrong;
    m->runs--; /* the first run warms up */
    qsort(times + 1, m->runs, sizeof *times, by_number);
    m->best = times[1];
    m->seconds = (times[1 + (m->runs - 1) / 2] + times[1 + m->runs / 2]) / 2;
    return NULL;
}

static const char *measure(Measure *m)
{
    AttnCompileOptions options = case_jit(m->c, m->o, m->pattern);
    AttnLibrary *library;
    AttnError *error = NEW(m->c, AttnError);
    const Source *source = &m->c->sources.at[m->p.source];
    options.sizes = case_fixed_sizes(&m->call);
    announce_backend(m->c);
    if (attn_compile_string(source->text, source->path, &options, &library, error)) return error->text;
    const char *wrong = time_runs(m, library);
    attn_close(library);
    return wrong;
}

/* What the device can do; nothing is predicted for it. */
static void look_at_device(Measure *m)
{
    Device d = {0};
    StorageType real = m->o->real != STORAGE_FLOAT ? m->o->real : m->o->f64 ? STORAGE_F64 : STORAGE_F32;
    if (device_open(&d, NULL))
        m->peak = m->o->tf32 ? device_peak_flops(&d, STORAGE_F16) / 2 : device_peak_flops(&d, real);
    device_close(&d);
}

static void look(Measure *m)
{
    int threads = (int)m->o->threads;
    bool cuda = m->o->target == TARGET_CUDA;
    Profile host = profile_of_host(m->c);
    m->peak = cuda ? 0 : host_peak_flops(threads) / (m->o->f64 ? 2 : 1);
    m->sgemm = cuda ? 0 : host_sgemm_flops(SGEMM_SIZE, threads);
    if (cuda) look_at_device(m);
    Plan *plan = pipeline_plan(&m->p, m->pattern);
    Kernel *kernel = pipeline_lower(&m->p, plan, NULL);
    ExplainOptions options = {.f64 = m->o->f64,
                              .threads = threads,
                              .machine = {host.peak, host.read, host.caches[PROFILE_CACHES - 1]}};
    m->all = explain(m->c, plan, kernel, call_arguments(&m->call), &options);
}

/* ---- what is shown ---- */

typedef struct Figure {
    const char *key, *text;
    double value, scale; /* shown as value * scale */
} Figure;

static unsigned figures(const Measure *m, Figure *out)
{
    const Explanation *all = m->all;
    double bytes = all->bytes_read + all->bytes_written, none = NAN;
    bool cuda = m->o->target == TARGET_CUDA;
    Figure list[] = {{"seconds", "ms, median", m->seconds, 1e3},
                     {"best_seconds", "ms, best", m->best, 1e3},
                     {"predicted_seconds", "ms, predicted", cuda ? none : all->seconds, 1e3},
                     {"visible_pairs", "visible pairs", all->visible > 0 ? all->visible : none, 1},
                     {"visited_pairs", "visited pairs", all->visible > 0 ? all->visited : none, 1},
                     {"flops", "flops", all->flops, 1},
                     {"gflops", "GFLOP/s", all->flops / m->seconds / 1e9, 1},
                     {"peak_gflops", "GFLOP/s, peak of the multiply-adds", m->peak > 0 ? m->peak / 1e9 : none, 1},
                     {"share_of_peak", "of the peak", m->peak > 0 ? all->flops / m->seconds / m->peak : none, 1},
                     {"sgemm_gflops", "GFLOP/s, OpenBLAS sgemm", m->sgemm > 0 ? m->sgemm / 1e9 : none, 1},
                     {"bytes", "bytes read and written, at least", bytes, 1},
                     {"gbytes_per_second", "GB/s of them", bytes / m->seconds / 1e9, 1}};
    memcpy(out, list, sizeof list);
    return sizeof list / sizeof *list;
}

static void print_json(const Measure *m)
{
    Text out = {.c = m->c};
    Figure list[16];
    unsigned n = figures(m, list);
    text_add(&out, "{\"pattern\": ");
    text_add_json(&out, m->pattern->name);
    text_add(&out, ", \"target\": \"%s\", \"dtype\": \"%s\", \"threads\": %lld, \"sizes\": {",
             m->o->target == TARGET_CUDA ? "cuda" : "cpu", options_dtype(m->o), (long long)m->o->threads);
    case_json_sizes(&out, &m->call);
    text_add(&out, "}, \"parameters\": {");
    case_json_params(&out, &m->call);
    text_add(&out, "}, \"runs\": %u", m->runs);
    for (unsigned k = 0; k < n; k++) {
        text_add(&out, ", ");
        add_json_number(&out, list[k].key, list[k].value);
    }
    text_add(&out, "}\n");
    fputs(out.at, stdout);
}

static void print_text(const Measure *m)
{
    Text out = {.c = m->c};
    Figure list[16];
    unsigned n = figures(m, list);
    text_add(&out, "%s, %s, ", m->pattern->name, options_dtype(m->o));
    if (m->o->target == TARGET_CUDA) text_add(&out, "cuda, %u runs\n  ", m->runs);
    else
        text_add(&out, "%lld thread%s, %u runs\n  ", (long long)m->o->threads, m->o->threads == 1 ? "" : "s",
                 m->runs);
    case_print(&out, &m->call);
    text_add(&out, "\n");
    for (unsigned k = 0; k < n; k++) {
        if (isfinite(list[k].value))
            text_add(&out, "%14.5g  %s\n", list[k].value * list[k].scale, list[k].text);
        else
            text_add(&out, "%14s  %s\n", "-", list[k].text);
    }
    fputs(out.at, stdout);
}

int command_measure(Compilation *c, const Options *o, const char *file)
{
    PipelineOptions options = pipeline_options(o, file);
    Measure *m = NEW(c, Measure);
    *m = (Measure){.c = c, .o = o};
    pipeline_init(&m->p, c, &options);
    if (!pipeline_check(&m->p)) return pipeline_report(&m->p, o);
    const char *wrong = case_open(&m->p, file, o, &m->pattern, &m->call);
    if (!wrong) wrong = call_complete(&m->call, (uint64_t)o->seed, false);
    if (!wrong && o->require_fast) pipeline_kernel(&m->p, m->pattern);
    if (m->p.status) return pipeline_report(&m->p, o);
    if (!wrong) wrong = measure(m);
    if (wrong) return complain("%s", wrong);
    look(m);
    if (o->json)
        print_json(m);
    else
        print_text(m);
    return pipeline_report(&m->p, o);
}
