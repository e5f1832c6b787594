/* attnc explain: what a pattern takes at given sizes, stage by stage, without running it. */
#include "compiler/explain.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compiler/command/case.h"
#include "compiler/command/profile.h"
#include "compiler/performance.h"
#include "compiler/reasons.h"

enum { MOST_REALS = 1 << 18 }; /* of a tensor that a condition may read */

typedef struct Show {
    Compilation *c;
    const Options *o;
    Pattern *pattern;
    Call call;
    Plan *plan;
    Explanation *all; /* NULL: no figures are wanted */
    Reasons *reasons;
    Profile host;
    Text out;
} Show;

static const char *const storing_names[] = {[INLINED] = "inlined", [STORED] = "stored", [STATE] = "state"};

static const char *const work_names[] = {
#define COST_TERM(name, weight) #name,
    COST_TERMS(COST_TERM)
#undef COST_TERM
};

/* ---- JSON ---- */

static void json_list(Text *out, const char *key, uint32_t n, const char *const *list)
{
    text_add(out, "\"%s\": [", key);
    for (uint32_t k = 0; k < n; k++) {
        if (k) text_add(out, ", ");
        text_add_json(out, list[k]);
    }
    text_add(out, "]");
}

static void json_numbers(Text *out, const char *const *keys, const double *values)
{
    for (; *keys; keys++, values++) {
        text_add(out, ", ");
        add_json_number(out, *keys, *values);
    }
}

static void json_stage(Text *out, const ExplainStage *s)
{
    text_add(out, "\n  {\"kind\": \"%s\", \"output\": ", stage_name(s->stage->kind));
    text_add_json(out, s->name);
    text_add(out, ", ");
    json_list(out, "fused", s->fused.n, s->fused.at);
    text_add(out, ", \"runs\": ");
    text_add_json(out, s->runs);
    text_add(out, ", \"lanes\": %u, \"exact\": %s", s->lanes, s->exact ? "true" : "false");
    json_numbers(
        out,
        (const char *const[]){"flops", "bytes_read", "bytes_written", "workspace", "visible_pairs",
                              "visited_pairs", NULL},
        (const double[]){s->flops, s->bytes_read, s->bytes_written, s->workspace, s->visible, s->visited});
    text_add(out, ", \"boxes\": ");
    if (isfinite(s->boxes)) {
        text_add(out, "{");
        add_json_number(out, "visited", s->boxes);
        json_numbers(out, (const char *const[]){"full", "partial", NULL},
                     (const double[]){s->full, s->partial});
        text_add(out, "}, ");
    } else
        text_add(out, "null, ");
    add_json_number(out, "predicted_seconds", s->seconds);
    text_add(out, ", \"work\": {");
    for (unsigned k = 0; k < COST_N_TERMS; k++) {
        text_add(out, "%s", k ? ", " : "");
        add_json_number(out, work_names[k], s->terms[k]);
    }
    text_add(out, "}}");
}

static void json_equations(Show *x)
{
    text_add(&x->out, "],\n \"equations\": [");
    for (uint32_t k = 0; k < x->plan->equations.n; k++) {
        const Equation *e = x->plan->equations.at[k];
        text_add(&x->out, "%s\n  {\"name\": ", k ? "," : "");
        text_add_json(&x->out, e->tensor->name);
        text_add(&x->out, ", \"storing\": \"%s\", \"why\": ", storing_names[e->storing]);
        text_add_json(&x->out, reason_text(e->reason));
        text_add(&x->out, "}");
    }
    text_add(&x->out, "]");
}

static void json_head(Show *x)
{
    Text *out = &x->out;
    text_add(out, "{\"pattern\": ");
    text_add_json(out, x->pattern->name);
    text_add(out, ", \"dtype\": \"%s\", \"threads\": %lld,\n \"sizes\": {", x->o->f64 ? "f64" : "f32",
             (long long)x->o->threads);
    case_json_sizes(out, &x->call);
    text_add(out, "}, \"parameters\": {");
    case_json_params(out, &x->call);
    text_add(out, "},\n \"machine\": {\"cpu\": ");
    text_add_json(out, x->host.cpu);
    json_numbers(out,
                 (const char *const[]){"peak_gflops", "read_gbytes_per_second", "l1_bytes", "l2_bytes",
                                       "l3_bytes", NULL},
                 (const double[]){x->host.peak / 1e9, x->host.read / 1e9, x->host.caches[0],
                                  x->host.caches[1], x->host.caches[2]});
    text_add(out, "},\n \"stages\": [");
}

static void json_diagnostics(Show *x)
{
    text_add(&x->out, ",\n \"diagnostics\": [");
    const Diag **list = diag_sorted(x->c);
    for (uint32_t k = 0; k < x->c->diags.n; k++) {
        text_add(&x->out, "%s\n  ", k ? "," : "");
        diag_add_json(&x->out, x->c, list[k]);
    }
    text_add(&x->out, "]");
}

static void show_json(Show *x)
{
    const Explanation *all = x->all;
    double none = all->visible > 0 || isnan(all->visible) ? 0 : NAN;
    json_head(x);
    for (uint32_t k = 0; k < all->stages.n; k++) {
        text_add(&x->out, "%s", k ? "," : "");
        json_stage(&x->out, &all->stages.at[k]);
    }
    json_equations(x);
    reasons_json(&x->out, x->c, x->reasons);
    json_diagnostics(x);
    json_numbers(&x->out,
                 (const char *const[]){"flops", "bytes_read", "bytes_written", "workspace", "visible_pairs",
                                       "visited_pairs", "predicted_seconds", NULL},
                 (const double[]){all->flops, all->bytes_read, all->bytes_written, all->workspace,
                                  all->visible + none, all->visited + none, all->seconds});
    text_add(&x->out, "}\n");
}

/* ---- text ---- */

static void show_number(Text *out, const char *what, double value)
{
    if (isfinite(value))
        text_add(out, value == floor(value) && fabs(value) < 1e9 ? "  %s %.0f" : "  %s %.4g", what, value);
    else
        text_add(out, "  %s not known", what);
}

static void show_stage(Text *out, const ExplainStage *s, uint32_t number)
{
    text_add(out, "\nstage %u: %s %s, %s\n", number, stage_name(s->stage->kind), s->name, s->runs);
    for (uint32_t k = 0; k < s->fused.n; k++) text_add(out, "%s%s", k ? ", " : "    fused: ", s->fused.at[k]);
    if (s->fused.n) text_add(out, "\n");
    if (s->pairwise) {
        text_add(out, "  ");
        show_number(out, "pairs visible", s->visible);
        show_number(out, "visited", s->visited);
        if (s->visited > 0 && s->visible > 0) text_add(out, "  ratio %.3f", s->visited / s->visible);
        text_add(out, "\n");
    }
    if (isfinite(s->boxes)) {
        text_add(out, "  ");
        show_number(out, "boxes", s->boxes);
        show_number(out, "full", s->full);
        show_number(out, "partial", s->partial);
        text_add(out, "\n");
    }
    text_add(out, "  ");
    show_number(out, s->exact ? "flops" : "flops, at most", s->flops);
    show_number(out, "bytes read", s->bytes_read);
    show_number(out, "written", s->bytes_written);
    show_number(out, "workspace", s->workspace);
    text_add(out, "\n  ");
    show_number(out, "predicted ms", 1e3 * s->seconds);
    if (s->seconds > 0 && isfinite(s->flops)) text_add(out, "  GFLOP/s %.4g", s->flops / s->seconds / 1e9);
    text_add(out, "\n");
}

static void show_figures(Show *x)
{
    Text *out = &x->out;
    const Explanation *all = x->all;
    text_add(out, "\n%s, %s, %lld thread%s\n  ", x->pattern->name, x->o->f64 ? "f64" : "f32",
             (long long)x->o->threads, x->o->threads == 1 ? "" : "s");
    case_print(out, &x->call);
    text_add(out, "\n  on %s: peak %.4g GFLOP/s, reads %.3g GB/s a thread; caches %.0fK %.0fK %.0fK\n",
             x->host.cpu, x->host.peak / 1e9, x->host.read / 1e9, x->host.caches[0] / 1024,
             x->host.caches[1] / 1024, x->host.caches[2] / 1024);
    for (uint32_t k = 0; k < all->stages.n; k++) show_stage(out, &all->stages.at[k], k + 1);
    text_add(out, "\nall stages:");
    show_number(out, "flops", all->flops);
    show_number(out, "workspace", all->workspace);
    show_number(out, "predicted ms", 1e3 * all->seconds);
    text_add(out, "\n");
}

static void explain_figures(Show *x, const Kernel *kernel)
{
    const Options *o = x->o;
    x->host = profile_of_host(x->c);
    ExplainOptions how = {.f64 = o->f64,
                          .threads = (int)o->threads,
                          .machine = {x->host.peak, x->host.read, x->host.caches[PROFILE_CACHES - 1]}};
    x->all = explain(x->c, x->plan, kernel, call_arguments(&x->call), &how);
}

int command_explain(Compilation *c, const Options *o, const char *file)
{
    if (o->target == TARGET_CUDA) return command_explain_cuda(c, o, file);
    PipelineOptions options = pipeline_options(o, file);
    Pipeline p;
    Show *x = NEW(c, Show);
    bool sized = o->sizes.n || o->inputs.n;
    *x = (Show){.c = c, .o = o, .out = {.c = c}};
    pipeline_init(&p, c, &options);
    if (!pipeline_check(&p)) return pipeline_report(&p, o);
    const char *wrong = case_open(&p, file, o, &x->pattern, &x->call);
    x->call.most_reals = MOST_REALS;
    if (!wrong && (sized || o->json)) wrong = call_complete(&x->call, (uint64_t)o->seed, false);
    if (wrong) return complain("%s", wrong);
    x->plan = pipeline_plan(&p, x->pattern);
    Kernel *kernel = pipeline_lower(&p, x->plan, NULL);
    x->reasons = reasons(c, x->plan, kernel);
    if (sized || o->json) explain_figures(x, kernel);
    performance(c, x->plan, kernel, sized ? call_arguments(&x->call) : NULL);
    if (o->json)
        show_json(x);
    else
        reasons_print(&x->out, c, x->reasons);
    if (sized && !o->json) show_figures(x);
    fputs(x->out.at, stdout);
    return pipeline_report(&p, o);
}
