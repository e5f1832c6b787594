/* A kernel of Loops -> a program in CUDA C: prelude, the struct of the parameter, one __global__ function for
 * every phase. Requires: a verified Kernel that was lowered for CUDA. Ensures: no header is needed; kernels
 * return at once where an earlier one reported a failed check. */
#include <string.h>

#include "codegen/cuda/print.h"

enum { THREADS = 128 };

/* ---- lines ---- */

void print_line(Printer *p, Span span)
{
    if (p->lines && span.to) {
        unsigned line, column;
        span_position(p->c, span, &line, &column);
        text_add(p->out, "#line %u \"%s\"\n", line, p->c->sources.at[span.source].path);
    }
    text_add(p->out, "%*s", (int)(4 * p->indent), "");
}

/* Every line of a text behind `//`. */
static void print_comment(Printer *p, const char *before, const char *text, const char *end)
{
    for (const char *next; text < end && *text; text = next) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop) stop = end;
        next = stop + (stop < end);
        text_add(p->out, "//%s%.*s\n", before, (int)(stop - text), text);
    }
}

/* The lines of the source that hold an equation. */
static void print_equation(Printer *p, Span span)
{
    const Source *source = &p->c->sources.at[span.source];
    const char *from = source->text + span.from, *to = source->text + span.to;
    while (from > source->text && from[-1] != '\n') from--;
    while (*to && *to != '\n') to++;
    while (*from == ' ') from++;
    print_comment(p, "     ", from, to);
}

/* ---- helpers ---- */

void print_want(Printer *p, Helper helper)
{
    p->wants[helper] = true;
    if (helper == HELP_FLOOR_MOD) p->wants[HELP_FLOOR_DIV] = true;
    if (p->wants[HELP_FLOOR_DIV]) p->wants[HELP_QUOTIENT] = true;
    if (helper == HELP_CHECKED) p->wants[HELP_FAIL] = p->wants[HELP_LEAST] = p->wants[HELP_MOST] = true;
}

static void print_prelude(Printer *p)
{
    text_add(p->out,
             "typedef long long int64;\ntypedef unsigned long long uint64;\n"
             "#define infinity __int_as_float(0x7f800000)\n#define quiet_nan __int_as_float(0x7fffffff)\n\n"
             "// Threads of the grid, and which of them this is.\n"
             "__device__ inline int64 threads() { return (int64)gridDim.x * blockDim.x; }\n"
             "__device__ inline int64 thread() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }\n\n");
    for (unsigned k = 0; k < HELPERS; k++)
        if (p->wants[k]) text_add(p->out, "%s\n", helper_texts[k]);
}

/* ---- kernels ---- */

typedef VEC(Span) Spans;

/* The equations that statements compute, in their order. */
static void collect_spans(Compilation *c, const Block *block, Spans *spans)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        bool known = s->kind == S_FOR || s->kind == S_IF || !s->span.to;
        for (uint32_t i = 0; i < spans->n && !known; i++)
            known = spans->at[i].source == s->span.source && spans->at[i].from == s->span.from;
        if (!known) PUSH(c, spans, s->span);
        collect_spans(c, &s->body, spans);
        collect_spans(c, &s->otherwise, spans);
    }
}

static void print_kernel_comment(Printer *p, const Phase *phase)
{
    const Tile *t = phase->tile;
    const Product *m = phase->product;
    text_add(p->out, "\n// %s: ", phase->name);
    const Recurrence *r = phase->recurrence;
    bool block = t || m || (r && r->row);
    if (t) text_add(p->out, "%u queries and %u keys at a time", t->queries, t->keys);
    if (m)
        text_add(p->out, "%u %s x %u %s, %u products at a time", m->rows, m->row->name, m->columns,
                 m->column->name, m->depth);
    if (t || m) text_add(p->out, (t ? t->mma : m->mma) ? " on tensor cores; " : "; ");
    if (r && r->row) text_add(p->out, "%u lanes share the rows %s; ", r->lanes, r->row->name);
    if (phase->n_tasks)
        text_add(p->out, "a %s for every ", block ? "block" : "thread");
    else
        text_add(p->out, "one %s", block ? "block" : "thread");
    for (unsigned k = 0; k < phase->n_tasks; k++)
        text_add(p->out, "%s%s", k ? ", " : "", phase->tasks[k]->name);
    text_add(p->out, ".\n");
    Spans spans = {0};
    collect_spans(p->c, &phase->body, &spans);
    for (uint32_t k = 0; k < spans.n; k++) print_equation(p, spans.at[k]);
}

static void begin_kernel(Printer *p)
{
    p->own = (Names){.outer = &p->sizes_taken};
    p->sizes_taken = (Names){.outer = &p->globals};
    p->sizes.n = p->size_names.n = 0;
    for (unsigned k = 0; k < p->n_buffers; k++) p->buffers[k].used = false;
    p->indent = 1;
}

static unsigned kernel_threads(const Phase *phase)
{
    return phase->tile || phase->product ? TILE_THREADS : phase->recurrence ? phase->recurrence->threads : THREADS;
}

/* Statements first: they tell which extents are needed. */
static void print_phase(Printer *p, const Phase *phase, const char *name)
{
    Text body = {.c = p->c}, *out = p->out;
    begin_kernel(p);
    p->out = &body;
    print_phase_body(p, phase);
    p->out = out;
    print_kernel_comment(p, phase);
    text_add(out, "extern \"C\" __global__ void __launch_bounds__(%u, 1)\n%s(const %s args)\n{\n",
             kernel_threads(phase), name, p->args);
    if (!phase->data_check) /* volatile: another block may be setting it */
        text_add(out, "    if (*(volatile int *)args.%s) return;\n", p->status);
    text_add(out, "    const %s io(args);\n", p->view);
    for (uint32_t k = 0; k < p->sizes.n; k++)
        text_add(out, "    const int64 %s = io.%s;\n", p->size_names.at[k],
                 print_extent_method(p, p->sizes.at[k]));
    text_add(out, "%s}\n", body.at);
}

static bool uses_scratch(const Printer *p)
{
    for (unsigned k = 0; k < p->n_buffers; k++)
        if (p->buffers[k].used && p->buffers[k].buffer->kind == BUFFER_SCRATCH) return true;
    return false;
}

static const AttnCudaKernel *print_kernels(Printer *p)
{
    unsigned n = p->kernel->phases.n;
    AttnCudaKernel *kernels = NEW_ARRAY(p->c, AttnCudaKernel, n + 1);
    for (unsigned k = 0; k < n; k++) {
        const Phase *phase = &p->kernel->phases.at[k];
        const char *name = name_new(p->c, &p->globals, format(p->c, "%s_%s", p->pattern->name, phase->name));
        print_phase(p, phase, name);
        unsigned threads = kernel_threads(phase);
        bool shares = phase->recurrence && phase->recurrence->row;
        kernels[k] = (AttnCudaKernel){name, threads, shares ? 1 : threads, 0, uses_scratch(p)};
        if (phase->tile)
            kernels[k] = (AttnCudaKernel){name, TILE_THREADS, 1, print_tile_shared(p, phase->tile), 0};
        if (phase->product)
            kernels[k] = (AttnCudaKernel){name, TILE_THREADS, 1, print_product_shared(phase->product), 0};
    }
    return kernels;
}

/* ---- a program ---- */

static void begin(Printer *p, const BackendJob *job, const Variant *v, bool lines)
{
    Compilation *c = job->c;
    *p = (Printer){.c = c,
                   .job = job,
                   .kernel = v->kernel,
                   .pattern = v->kernel->pattern,
                   .fixed = v->fixed,
                   .lines = lines,
                   .real = job->f64 ? "double" : "float",
                   .n_nodes = c->next_node};
    p->facts = NEW_ARRAY(c, uint8_t, p->n_nodes + 1);
    p->bits = NEW_ARRAY(c, uint8_t, p->n_nodes + 1);
    p->memo = NEW_ARRAY(c, const char *, p->n_nodes + 1);
    p->uses = NEW_ARRAY(c, uint32_t, p->n_nodes + 1);
    p->stamp = NEW_ARRAY(c, uint32_t, p->n_nodes + 1);
    p->indices = NEW_ARRAY(c, const char *, (c->next_index > MAX_INDICES ? c->next_index : MAX_INDICES) + 1);
    p->locals = NEW_ARRAY(c, const char *, v->kernel->n_locals + 1);
    p->view = name_new(c, &p->globals, p->pattern->name);
    p->args = name_new(c, &p->globals, format(c, "%s_args", p->pattern->name));
    print_args_init(p);
}

static void print_title(Printer *p)
{
    const Pattern *pattern = p->pattern;
    text_add(p->out, "// %s, compiled from %s by attnc " ATTN_VERSION ".\n", pattern->name,
             p->job->source_path);
    if (pattern->doc) print_comment(p, " ", pattern->doc, pattern->doc + strlen(pattern->doc));
    text_add(p->out, "\n");
}

CudaProgram cuda_print(const BackendJob *job, const Variant *variant, bool lines)
{
    Printer *p = NEW(job->c, Printer);
    Text kernels = {.c = job->c}, args = {.c = job->c}, out = {.c = job->c};
    begin(p, job, variant, lines);
    p->out = &kernels;
    CudaProgram program = {.file = format(job->c, "%s.cu", p->pattern->name),
                           .kernels = print_kernels(p),
                           .n_kernels = variant->kernel->phases.n};
    p->out = &args;
    p->indent = 0;
    print_args(p);
    p->out = &out;
    print_title(p);
    print_prelude(p);
    text_add(&out, "%s%s", args.at, kernels.at ? kernels.at : "");
    program.source = out.at;
    return program;
}
