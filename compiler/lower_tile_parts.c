/* Weighted sums in parts, each in tiles of its own: several maps of scores, and chunks of keys where queries
 * are few. Parts leave their sums in the workspace in f32, another phase puts them together.
 *
 * Requires: what lower_tile.c does. Ensures: as many phases more, of which sizes choose. Breaks: nothing. */
#include "lower_tile.h"

#include <math.h>

#include "graph.h"
#include "lower_strip.h"

enum { CHUNK = 512 /* keys */ };

static Tensor *part_tensor(Lower *l, const Stage *stage, const char *what, unsigned n_dims, Index **dims)
{
    const Tensor *out = stage->equation->tensor;
    Tensor *t = plan_tensor(l->c, format(l->c, "%s.%s", out->name, what), TYPE_REAL, n_dims, dims);
    const Node *body = stage->equation->body;
    t->data = true;
    t->span = body->span.to ? body->span : out->span; /* of what it is a part of */
    return t;
}

/* A stage like another for one part of it. */
static Stage *part_stage(Lower *l, const Stage *stage, Tensor *t, Node *body)
{
    Stage *part = NEW(l->c, Stage);
    *part = *stage;
    part->equation = NEW(l->c, Equation);
    *part->equation = (Equation){.tensor = t, .body = body, .storing = STORED, .stage = part};
    return part;
}

/* What is left of an equation where its sum is known: a number a thread. */
static void rest_phase(Lower *l, const Stage *stage, Node *sum, Node *total, Phase phase)
{
    Equation rest = *stage->equation;
    IndexSet bound = {{0}};
    Scope root;
    for (unsigned k = 0; k < phase.n_tasks; k++) set_add(&bound, phase.tasks[k]->id);
    Span span = rest.body->span;
    rest.body = node_replace(l->c, rest.body, sum, total);
    rest.body->span = span;
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    lower_equation(l, &rest, &bound);
    phase_close(l, &root, phase);
}

/* ---- several maps ---- */

static Stage *map_stage(Lower *l, const Stage *stage, const Node *sum, const Softmaxes *found,
                        unsigned number)
{
    const Tensor *out = stage->equation->tensor;
    Node *lo[TILE_DIMS], *hi[TILE_DIMS];
    for (unsigned k = 0; k < sum->n_vars; k++) lo[k] = binder_lo(sum, k), hi[k] = binder_hi(sum, k);
    Node *body = node_binary(l->c, N_MUL, found->softmax[number], found->factor[number]);
    body = node_binder(l->c, N_REDUCE, REDUCE_SUM, sum->n_vars, sum->vars, lo, hi, binder_where(sum), body,
                       NULL);
    const char *name = format(l->c, "map%u", number + 1);
    return part_stage(l, stage, part_tensor(l, stage, name, out->n_dims, out->dims), body);
}

bool tiles_of_maps(Lower *l, const Stage *stage)
{
    const Tensor *out = stage->equation->tensor;
    Tiling whole = {.l = l}, maps[MOST_SOFTMAXES];
    Softmaxes found;
    walk(l->c, stage->equation->body, tiling_collect, &whole);
    Node *sum = whole.binders.n == 1 ? whole.binders.at[0] : NULL, *total = node_real(l->c, 0);
    if (!sum || sum->op != N_REDUCE || sum->n_vars > TILE_DIMS || !find_softmaxes(l->c, sum, &found) ||
        found.n < 2)
        return false;
    for (unsigned k = 0; k < found.n; k++) {
        maps[k] = tiling_for(l, map_stage(l, stage, sum, &found, k));
        if (l->plain) return false;
    }
    for (unsigned k = 0; k < found.n; k++) {
        Tensor *t = maps[k].stage->equation->tensor;
        buffer_add(l, t, BUFFER_WORKSPACE, false);
        tiling_lower(&maps[k]);
        total = node_binary(l->c, N_ADD, total, read_at(l, t));
    }
    rest_phase(l, stage, sum, total,
               (Phase){.name = format(l->c, "maps of %s", out->name),
                       .how = "maps of scores together",
                       .n_tasks = out->n_dims,
                       .tasks = out->dims});
    return true;
}

/* ---- chunks of keys ---- */

typedef struct Chunks {
    Tiling *x;
    Lower *l;
    Index *chunk;
    Tensor *max, *sum, *total; /* of a chunk: its greatest score, sum of exponentials, mean */
    Node *few;
} Chunks;

static Node *op(const Chunks *g, Op op, Node *a, Node *b) { return node_binary(g->l->c, op, a, b); }
static Node *number(const Chunks *g, int64_t n) { return node_int(g->l->c, n); }

/* Worth the code, and not beyond what merging knows. */
static bool has_chunks(const Tiling *x)
{
    Compilation *c = x->l->c;
    if (!x->softmax || !x->t->v || x->sum->n_vars != 1 || x->t->n_queries != 1 || x->riders.equations.n)
        return false;
    Node *keys = node_size(c, x->sum->vars[0]), *queries = node_size(c, x->t->query[0]);
    return keys != queries && node_is_int(binder_lo(x->sum, 0), 0) && binder_hi(x->sum, 0) == keys;
}

/* A reduction like the softmax, over the keys of a chunk. */
static Node *in_chunk(const Chunks *g, Op what, unsigned kind, Node *body)
{
    Tiling *x = g->x;
    Node *from = op(g, N_MUL, node_index(g->l->c, g->chunk), number(g, CHUNK));
    Node *to = op(g, N_MIN, op(g, N_ADD, from, number(g, CHUNK)), binder_hi(x->sum, 0));
    Node *where = what == N_NORMALISE ? binder_where(x->softmax) : binder_where(x->sum);
    return node_binder(g->l->c, what, kind, 1, x->sum->vars, &from, &to, where, body, NULL);
}

static void make_tensors(Chunks *g)
{
    Tiling *x = g->x;
    Index **dims = NEW_ARRAY(g->l->c, Index *, x->n_outer + 2);
    for (unsigned k = 0; k < x->n_outer; k++) dims[k] = x->outer[k];
    dims[x->n_outer] = g->chunk;
    dims[x->n_outer + 1] = x->t->column;
    g->max = part_tensor(g->l, x->stage, "chunk_max", x->n_outer + 1, dims);
    g->sum = part_tensor(g->l, x->stage, "chunk_sum", x->n_outer + 1, dims);
    g->total = part_tensor(g->l, x->stage, "chunk", x->n_outer + 2, dims);
}

/* Tiles of one chunk, which keep its greatest score and its sum. False: it does not fit. */
static bool chunk_phase(Chunks *g)
{
    Tiling *x = g->x;
    Lower *l = g->l;
    Node *score = binder_body(x->softmax), *weight = in_chunk(g, N_NORMALISE, NORMALISE_SOFTMAX, score);
    Node *body = op(g, N_MUL, weight, op(g, N_MUL, x->gain, x->factor));
    Tiling part = tiling_for(l, part_stage(l, x->stage, g->total, in_chunk(g, N_REDUCE, REDUCE_SUM, body)));
    if (l->plain) return false;
    Node *less = node_unary(l->c, N_EXP, op(g, N_SUB, score, read_at(l, g->max)));
    const Stage *max = part_stage(l, x->stage, g->max, in_chunk(g, N_REDUCE, REDUCE_MAX, score));
    const Stage *sum = part_stage(l, x->stage, g->sum, in_chunk(g, N_REDUCE, REDUCE_SUM, less));
    part.chunk = g->chunk;
    part.when = g->few;
    PUSH(l->c, &part.riders.equations, max->equation);
    PUSH(l->c, &part.riders.equations, sum->equation);
    buffer_add(l, g->max, BUFFER_WORKSPACE, false);
    buffer_add(l, g->sum, BUFFER_WORKSPACE, false);
    buffer_add(l, g->total, BUFFER_WORKSPACE, false);
    tiling_lower(&part);
    return true;
}

static Node *over_chunks(const Chunks *g, Reduction kind, Node *body)
{
    Compilation *c = g->l->c;
    Index *chunk = g->chunk;
    Node *from = number(g, 0), *to = node_size(c, chunk);
    Node *where = op(g, N_NE, read_at(g->l, g->sum), node_real(c, 0)); /* chunks without a visible key */
    return node_binder(c, N_REDUCE, kind, 1, &chunk, &from, &to, where, body, NULL);
}

/* The means of the chunks, each by its share of all exponentials. */
static void merge_phase(Chunks *g)
{
    Lower *l = g->l;
    Compilation *c = l->c;
    const Tensor *out = g->x->stage->equation->tensor;
    Node *sink = binder_extra(g->x->softmax), *zero = node_real(c, 0);
    Node *top = over_chunks(g, REDUCE_MAX, read_at(l, g->max));
    if (sink) top = op(g, N_MAX, top, sink);
    Node *share = node_unary(c, N_EXP, op(g, N_SUB, read_at(l, g->max), top));
    share = op(g, N_MUL, share, read_at(l, g->sum));
    Node *all = over_chunks(g, REDUCE_SUM, share);
    Node *total = over_chunks(g, REDUCE_SUM, op(g, N_MUL, share, read_at(l, g->total)));
    if (sink) {
        Node *its = node_unary(c, N_EXP, op(g, N_SUB, sink, top));
        all = op(g, N_ADD, all, node_if(c, op(g, N_EQ, sink, top), node_real(c, 1), its));
    }
    total = node_if(c, op(g, N_EQ, all, zero), zero, op(g, N_DIV, total, all));
    Phase phase = {.name = format(c, "chunks of %s", out->name),
                   .how = "few queries: chunks of keys together",
                   .when = g->few,
                   .tasks = NEW_ARRAY(c, Index *, out->n_dims + 1)};
    phase.tasks[phase.n_tasks++] = strip_index(l, "few", node_if(c, g->few, number(g, 1), number(g, 0)));
    for (unsigned k = 0; k < out->n_dims; k++) phase.tasks[phase.n_tasks++] = out->dims[k];
    rest_phase(l, g->x->stage, g->x->sum, total, phase);
}

void tiles_of_chunks(Tiling *x)
{
    Lower *l = x->l;
    Chunks g = {.x = x, .l = l};
    if (!has_chunks(x)) return;
    Node *queries = node_size(l->c, x->t->query[0]), *keys = binder_hi(x->sum, 0), *size = number(&g, CHUNK);
    g.few = op(&g, N_AND, op(&g, N_LE, queries, number(&g, x->t->queries)),
               op(&g, N_LE, number(&g, 2 * CHUNK), keys));
    Node *up = op(&g, N_SUB, op(&g, N_ADD, keys, size), number(&g, 1));
    g.chunk = strip_index(l, "chunk", node_if(l->c, g.few, op(&g, N_FLOORDIV, up, size), number(&g, 0)));
    make_tensors(&g);
    if (chunk_phase(&g)) {
        merge_phase(&g);
        x->unless = g.few;
    }
    l->plain = NULL;
}
