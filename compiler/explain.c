/* See explain.h.
 * Requires: a Plan and the Kernel lowered from it. Breaks: nothing; both are only read. */
#include "explain.h"

#include <math.h>
#include <string.h>

#include "plan_internal.h"
#include "reasons.h"
#include "streams.h"
#include "tape.h"

typedef struct Explain {
    Compilation *c;
    const Plan *plan;
    const Kernel *kernel;
    const InterpretArguments *arguments;
    const ExplainOptions *options;
    CensusPhase *phases;
    StreamList streams; /* of all stages so far, each space once */
} Explain;

/* ---- streams ---- */

typedef struct Streams {
    const Equation *e;
    IndexSet inner;
    StreamList list;
} Streams;

/* Of equal spaces only the first is counted. True: it is new. */
static bool measure_stream(Explain *x, Stream *s)
{
    for (uint32_t k = 0; k < x->streams.n; k++) {
        if (!streams_same(&x->streams.at[k], s)) continue;
        s->visible = x->streams.at[k].visible;
        return false;
    }
    s->visible = streams_visible(x->c, s, x->arguments);
    PUSH(x->c, &x->streams, *s);
    return true;
}

/* ---- flops of pairwise stages ---- */

typedef struct Flops {
    Explain *x;
    const Stream *s;
    NodeMap *seen;
    unsigned softmaxes;
    double total;
} Flops;

static double extents(Explain *x, unsigned n, Index *const *list, const Node *used)
{
    double product = 1;
    for (unsigned k = 0; k < n; k++) {
        if (used && !node_depends_on(used, list[k])) continue;
        int64_t extent = tape_extent(x->c, list[k], x->arguments);
        product *= extent < 0 ? NAN : (double)extent;
    }
    return product;
}

/* Sums of products inside: at every visible pair if they differ between keys, else once for what they depend
 * on. */
static void add_inner_sum(void *context, Node *n, const Binding *around)
{
    Flops *f = context;
    (void)around;
    if (n->op == N_NORMALISE && !map_get(f->seen, n)) {
        map_put(f->x->c, f->seen, n, n);
        f->softmaxes++;
    }
    if (n->op != N_REDUCE || n->kind != REDUCE_SUM || binder_body(n)->op != N_MUL || map_get(f->seen, n))
        return;
    map_put(f->x->c, f->seen, n, n);
    bool streamed = false;
    for (unsigned k = 0; k < f->s->sum->n_vars; k++)
        streamed = streamed || node_depends_on(n, f->s->sum->vars[k]);
    double times = streamed ? f->s->visible : extents(f->x, f->s->n_variables, f->s->variables, n);
    f->total += 2 * times * extents(f->x, n->n_vars, n->vars, NULL);
}

static double stream_flops(Explain *x, const Streams *all, const Stream *s, NodeMap *seen)
{
    Flops f = {x, s, seen, 0, 0};
    Node *sum = (Node *)s->sum;
    walk(x->c, binder_body(sum), add_inner_sum, &f);
    if (sum->op != N_REDUCE || sum->kind != REDUCE_SUM || sum->type != TYPE_REAL) return f.total;
    double width = 1;
    const Tensor *t = all->e->tensor;
    for (unsigned k = 0; k < t->n_dims; k++)
        if (set_has(&all->inner, t->dims[k]->id)) width *= extents(x, 1, &t->dims[k], sum);
    return f.total + 2 * width * s->visible * (f.softmaxes > 1 ? f.softmaxes : 1);
}

/* ---- words ---- */

static void add_fused(Explain *x, ExplainStage *out, const Tensor *reader);

typedef struct Fusing {
    Explain *x;
    ExplainStage *out;
} Fusing;

static void note_fused(void *context, const Node *n)
{
    Fusing *f = context;
    const Equation *e = n->op == N_READ ? plan_equation(f->x->plan, n->tensor) : NULL;
    if (!e || e->storing != INLINED) return;
    for (uint32_t k = 0; k < f->out->fused.n; k++)
        if (f->out->fused.at[k] == e->tensor->name) return;
    add_fused(f->x, f->out, e->tensor);
    PUSH(f->x->c, &f->out->fused, e->tensor->name);
}

/* The Graph's bodies still read what the plan has inlined. */
static void add_fused(Explain *x, ExplainStage *out, const Tensor *reader)
{
    Fusing f = {x, out};
    if (reader->body) node_visit(x->c, reader->body, note_fused, &f);
}

/* ---- memory ---- */

static double element_bytes(const Explain *x, const Buffer *b)
{
    static const double sizes[] = {
        [STORAGE_F16] = 2, [STORAGE_BF16] = 2, [STORAGE_F32] = 4, [STORAGE_F64] = 8};
    const Tensor *t = b->tensor;
    if (t->type == TYPE_BOOL) return 1;
    if (t->type == TYPE_INT) return 8;
    if (b->kind != BUFFER_BOUND) return b->exact || x->options->f64 ? 8 : 4;
    return t->storage == STORAGE_FLOAT ? (x->options->f64 ? 8 : 4) : sizes[t->storage];
}

static double buffer_elements(Explain *x, const Buffer *b)
{
    double n = 1;
    for (unsigned k = 0; k < b->tensor->n_dims; k++)
        n *= b->ring == (int)k ? (double)b->ring_depth : extents(x, 1, &b->tensor->dims[k], NULL);
    return n;
}

static void add_memory(Explain *x, ExplainStage *out, const CensusPhase *p)
{
    for (uint32_t k = 0; k < x->kernel->buffers.n; k++) {
        const Buffer *b = &x->kernel->buffers.at[k];
        double all = buffer_elements(x, b), size = element_bytes(x, b);
        bool used = p->read[k] > 0 || p->written[k] > 0;
        if (b->kind != BUFFER_BOUND && used && (b->kind == BUFFER_SCRATCH || p->written[k] > 0))
            out->workspace += ceil(all * size / 64) * 64;
        if (b->kind == BUFFER_SCRATCH) continue;
        out->bytes_read += size * fmin(all, p->read[k]);
        out->bytes_written += size * fmin(all, p->written[k]);
    }
}

/* ---- stages ---- */

static void add_phase(Explain *x, ExplainStage *out, uint32_t number)
{
    const CensusPhase *p = &x->phases[number];
    const Phase *phase = &x->kernel->phases.at[number];
    if (p->complete && p->tasks == 0) return; /* another way was chosen at these sizes */
    double bytes = -out->bytes_read - out->bytes_written, terms[COST_N_TERMS];
    if (p->lanes > out->lanes) out->lanes = p->lanes;
    if (phase->how) out->runs = phase->how;
    out->exact = out->exact && p->exact;
    add_memory(x, out, p);
    bytes += out->bytes_read + out->bytes_written;
    out->seconds += p->complete
                        ? cost_seconds(p, &x->options->machine, bytes, x->options->f64, x->options->threads)
                        : NAN;
    cost_terms(p, x->options->f64, terms);
    for (unsigned k = 0; k < COST_N_TERMS; k++) out->terms[k] += terms[k];
    if (!out->pairwise) out->flops += p->complete ? work_flops(&p->vector) + work_flops(&p->scalar) : NAN;
    double visited = p->longest;
    for (unsigned k = 0; k < p->n_streams; k++) {
        out->full += p->streams[k].full;
        out->partial += p->streams[k].partial;
        visited = fmax(visited, p->streams[k].visited);
    }
    if (!p->complete) out->full = NAN;
    out->boxes = p->lanes ? out->full + out->partial : NAN;
    out->visited = p->complete && out->pairwise ? fmax(out->visited, visited) : NAN;
}

static void add_streams(Explain *x, ExplainStage *out, Streams *s, bool *counted)
{
    NodeMap seen = {0};
    out->visible = 0;
    for (uint32_t k = 0; k < s->list.n; k++) {
        *counted = measure_stream(x, &s->list.at[k]) || *counted;
        out->visible = fmax(out->visible, s->list.at[k].visible);
        if (isnan(s->list.at[k].visible)) out->visible = NAN;
        out->flops += stream_flops(x, s, &s->list.at[k], &seen);
    }
}

static Streams streams_of(Explain *x, const Stage *stage)
{
    Streams s = {.e = stage->equation};
    if (stage->kind != STAGE_PAIRWISE) return s;
    s.inner = plan_inner(x->c, stage->equation);
    streams_find(x->c, stage, &s.list);
    return s;
}

/* Equations of a recurrence, too. */
static void name_stage(Explain *x, ExplainStage *out, const Stage *s)
{
    for (uint32_t k = 0; k < s->steps.n; k++) name_stage(x, out, s->steps.at[k]);
    for (uint32_t k = 0; k < s->after.n; k++) name_stage(x, out, s->after.at[k]);
    if (!s->equation) return;
    const char *name = s->equation->tensor->name;
    out->name = out->name ? format(x->c, "%s, %s", out->name, name) : name;
    add_fused(x, out, s->equation->tensor);
}

static void explain_stage(Explain *x, Explanation *all, uint32_t number, Streams *s)
{
    ExplainStage out = {.stage = x->plan->stages.at[number], .exact = true, .runs = "not at all"};
    bool counted = false;
    const Stage *host = stage_host(x->plan, x->kernel, out.stage);
    name_stage(x, &out, out.stage);
    if (host && host->equation) out.runs = format(x->c, "in the pass of %s", host->equation->tensor->name);
    out.pairwise = s->list.n > 0 && !host;
    out.boxes = out.full = out.partial = 0;
    out.visited = out.pairwise ? 0 : NAN;
    for (uint32_t k = 0; k < x->kernel->phases.n; k++)
        if (x->kernel->phases.at[k].stage == number + 1) add_phase(x, &out, k);
    if (out.pairwise)
        add_streams(x, &out, s, &counted);
    else
        out.visible = out.boxes = NAN;
    if (!(out.boxes > 0) && out.visited < out.visible) /* loops over other indices than the streamed ones */
        out.visited = NAN;
    PUSH(x->c, &all->stages, out);
    all->flops += out.flops;
    all->bytes_read += out.bytes_read;
    all->bytes_written += out.bytes_written;
    all->seconds += out.seconds;
    if (!counted) return;
    all->visible += out.visible;
    all->visited += out.visited;
}

static double buffer_bytes(Explain *x, uint32_t k)
{
    const Buffer *b = &x->kernel->buffers.at[k];
    return ceil(buffer_elements(x, b) * element_bytes(x, b) / 64) * 64;
}

/* Of the memory that buffer k owns: 0 if it uses that of another one. */
static double owned_bytes(Explain *x, uint32_t k)
{
    const Buffer *all = x->kernel->buffers.at;
    if (all[k].kind != BUFFER_SCRATCH) return buffer_bytes(x, k);
    double most = 0;
    for (uint32_t i = k; all[k].shares == k && i < x->kernel->buffers.n; i++)
        if (all[i].kind == BUFFER_SCRATCH && all[i].shares == k) most = fmax(most, buffer_bytes(x, i));
    return most;
}

/* Tensors of the workspace once, and the scratch of every thread. */
static double whole_workspace(Explain *x)
{
    double bytes = 0;
    for (uint32_t k = 0; k < x->kernel->buffers.n; k++) {
        BufferKind kind = x->kernel->buffers.at[k].kind;
        if (kind != BUFFER_BOUND)
            bytes += owned_bytes(x, k) * (kind == BUFFER_SCRATCH ? x->options->threads : 1);
    }
    return bytes;
}

Explanation *explain(Compilation *c, const Plan *plan, const Kernel *kernel,
                     const InterpretArguments *arguments, const ExplainOptions *options)
{
    Explain x = {c, plan, kernel, arguments, options, NEW_ARRAY(c, CensusPhase, kernel->phases.n + 1), {0}};
    Explanation *all = NEW(c, Explanation);
    Streams *streams = NEW_ARRAY(c, Streams, plan->stages.n + 1);
    IndexSet *streamed = NEW_ARRAY(c, IndexSet, kernel->phases.n + 1);
    for (uint32_t k = 0; k < plan->stages.n; k++) streams[k] = streams_of(&x, plan->stages.at[k]);
    for (uint32_t p = 0; p < kernel->phases.n; p++) {
        unsigned stage = kernel->phases.at[p].stage;
        for (uint32_t k = 0; stage && k < streams[stage - 1].list.n; k++) {
            IndexSet vars = set_of_vars(streams[stage - 1].list.at[k].sum);
            streamed[p] = set_or(&streamed[p], &vars);
        }
    }
    census(c, kernel, arguments, streamed, x.phases);
    for (uint32_t k = 0; k < plan->stages.n; k++) explain_stage(&x, all, k, &streams[k]);
    all->workspace = whole_workspace(&x);
    return all;
}
