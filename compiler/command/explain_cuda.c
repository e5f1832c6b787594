/* attnc explain --target cuda: the kernels of a pattern, what they take of a GPU, and what limits them. */
#include "compiler/explain_cuda.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compiler/command/case.h"
#include "compiler/tile_model.h"

typedef struct Show {
    Compilation *c;
    const Options *o;
    Pattern *pattern;
    Call call;
    const Gpu *gpu;
    unsigned arch;
    ExplainKernels kernels;
    Text out;
} Show;

static const char *kind_of(const Phase *p)
{
    return p->tile         ? "tile"
           : p->product    ? "product"
           : p->recurrence ? "scan"
           : p->data_check ? "check"
                           : "thread";
}

static bool has_mma(const Phase *p) { return p->tile ? p->tile->mma : p->product && p->product->mma; }

/* ---- text ---- */

static void show_kernel(Show *x, const ExplainKernel *k)
{
    Text *out = &x->out;
    const Phase *p = k->phase;
    text_add(out, "\n%s: ", p->name);
    if (p->tile)
        text_add(out, "tiles of %u queries and %u keys, a block for each of %.0f", p->tile->queries,
                 p->tile->keys, k->tasks);
    else if (p->product)
        text_add(out, "tiles of %u rows and %u columns, %u products at a time, a block for each of %.0f",
                 p->product->rows, p->product->columns, p->product->depth, k->tasks);
    else if (p->recurrence && p->recurrence->row)
        text_add(out, "%u threads for the rows %s, %u columns, a block for each of %.0f",
                 p->recurrence->lanes, p->recurrence->row->name,
                 p->recurrence->column ? p->recurrence->width : 1, k->tasks);
    else
        text_add(out, "a thread for each of %.0f%s", k->tasks, p->data_check ? ", which checks data" : "");
    text_add(out, "\n");
    if (p->recurrence) text_add(out, "    states in registers\n");
    if (p->plain) text_add(out, "    no tiles: %s\n", p->plain);
    text_add(out, "    a block: %u threads", k->block.threads);
    if (k->block.registers)
        text_add(out, " of about %u registers, %.1f KiB of shared memory; %u on a multiprocessor\n",
                 k->block.registers, k->block.shared / 1024.0, k->resident);
    else
        text_add(out, " of at most 255 registers; at least %u on a multiprocessor\n", k->resident);
    if (isfinite(k->visible)) text_add(out, "    pairs visible %.0f\n", k->visible);
    text_add(out, "    limited by %s", k->limit.name);
    if (has_mma(p) && isfinite(k->limit.tensor))
        text_add(out, ", tensor cores %.0f%% of the time", 100 * k->limit.tensor);
    if (isfinite(k->limit.seconds)) text_add(out, "; %.3g us", 1e6 * k->limit.seconds);
    text_add(out, "\n");
}

static double all_seconds(const Show *x)
{
    double sum = 0;
    for (uint32_t k = 0; k < x->kernels.n; k++) sum += x->kernels.at[k].limit.seconds;
    return sum;
}

static void show_text(Show *x)
{
    text_add(&x->out, "%s, %s, sm_%u as on %s (%u multiprocessors at %.4g GHz, %.4g GB/s)\n  ",
             x->pattern->name, options_dtype(x->o), x->arch, x->gpu->device, x->gpu->processors, x->gpu->ghz,
             x->gpu->memory);
    case_print(&x->out, &x->call);
    text_add(&x->out, "\n");
    for (uint32_t k = 0; k < x->kernels.n; k++) show_kernel(x, &x->kernels.at[k]);
    text_add(&x->out, "\nall kernels: %.3g us, launches apart\n", 1e6 * all_seconds(x));
}

/* ---- JSON ---- */

static void json_numbers(Text *out, const char *const *keys, const double *values)
{
    for (; *keys; keys++, values++) {
        text_add(out, ", ");
        add_json_number(out, *keys, *values);
    }
}

static void json_kernel(Show *x, const ExplainKernel *k)
{
    Text *out = &x->out;
    const Phase *p = k->phase;
    text_add(out, "\n  {\"name\": ");
    text_add_json(out, p->name);
    text_add(out, ", \"kind\": \"%s\", \"why_no_tiles\": ", kind_of(p));
    if (p->plain)
        text_add_json(out, p->plain);
    else
        text_add(out, "null");
    if (p->tile)
        text_add(out, ", \"tile\": [%u, %u]", p->tile->queries, p->tile->keys);
    else if (p->product)
        text_add(out, ", \"tile\": [%u, %u, %u]", p->product->rows, p->product->columns, p->product->depth);
    else
        text_add(out, ", \"tile\": null");
    json_numbers(
        out,
        (const char *const[]){"tasks", "threads", "registers", "shared_bytes", "blocks_per_multiprocessor",
                              "visible_pairs", "tensor_flops", "flops", "exp2", "instructions",
                              "shared_traffic", "global_traffic", "predicted_seconds", "tensor_share", NULL},
        (const double[]){k->tasks, k->block.threads, k->block.registers ? (double)k->block.registers : NAN,
                         k->block.shared, k->resident, k->visible, k->work.mma, k->work.fma, k->work.exp2,
                         k->work.issue, k->work.shared, k->work.global, k->limit.seconds, k->limit.tensor});
    text_add(out, ", \"limit\": \"%s\"}", k->limit.name);
}

static void show_json(Show *x)
{
    Text *out = &x->out;
    text_add(out, "{\"pattern\": ");
    text_add_json(out, x->pattern->name);
    text_add(
        out,
        ", \"target\": \"cuda\", \"arch\": \"sm_%u\", \"device\": \"%s\", \"dtype\": \"%s\",\n \"sizes\": {",
        x->arch, x->gpu->device, options_dtype(x->o));
    case_json_sizes(out, &x->call);
    text_add(out, "}, \"parameters\": {");
    case_json_params(out, &x->call);
    text_add(out, "},\n \"kernels\": [");
    for (uint32_t k = 0; k < x->kernels.n; k++) {
        text_add(out, "%s", k ? "," : "");
        json_kernel(x, &x->kernels.at[k]);
    }
    text_add(out, "],\n ");
    add_json_number(out, "predicted_seconds", all_seconds(x));
    text_add(out, "}\n");
}

/* ---- the command ---- */

/* Features are constants, as `attnc run` compiles them. */
static const int64_t *fixed_extents(Show *x)
{
    int64_t *fixed = NEW_ARRAY(x->c, int64_t, x->pattern->indices.n + 1);
    const InterpretArguments *arguments = call_arguments(&x->call);
    for (uint32_t k = 0; k < x->pattern->indices.n; k++)
        fixed[k] = gpu_is_feature(x->pattern, x->pattern->indices.at[k]) ? arguments->extents[k] : -1;
    return fixed;
}

int command_explain_cuda(Compilation *c, const Options *o, const char *file)
{
    enum { MOST_REALS = 1 << 18 }; /* of a tensor that a condition may read */
    PipelineOptions options = pipeline_options(o, file);
    Pipeline p;
    Show *x = NEW(c, Show);
    *x = (Show){.c = c, .o = o, .out = {.c = c}, .arch = gpu_oldest(o->archs)};
    x->gpu = gpu_find(x->arch);
    pipeline_init(&p, c, &options);
    if (!pipeline_check(&p)) return pipeline_report(&p, o);
    const char *wrong = case_open(&p, file, o, &x->pattern, &x->call);
    x->call.most_reals = MOST_REALS;
    if (!wrong) wrong = call_complete(&x->call, (uint64_t)o->seed, false);
    if (wrong) return complain("%s", wrong);
    const Plan *plan = pipeline_plan(&p, x->pattern);
    const Kernel *kernel = pipeline_lower(&p, plan, fixed_extents(x));
    StorageType real = o->real != STORAGE_FLOAT ? o->real : o->f64 ? STORAGE_F64 : STORAGE_F32;
    x->kernels = explain_cuda(c, plan, kernel, call_arguments(&x->call), x->gpu, real);
    if (o->json)
        show_json(x);
    else
        show_text(x);
    fputs(x->out.at, stdout);
    return pipeline_report(&p, o);
}
