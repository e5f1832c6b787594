/* Recurrences for GPUs: states in registers, values of some steps ahead of their use (Recurrence in loops.h).
 *
 * Requires: a scan stage and a schedule for GPUs. Ensures: the body of the phase computes the same step by
 * step; its Recurrence says how threads do it: every dim of a state is a task, the axis, the rows that
 * threads share, or of a small fixed extent, and states are read at fixed distances. Breaks: nothing; what
 * does not fit is left to loops of one thread. */
#include "graph.h"
#include "gpu.h"
#include "lower_scan.h"
#include "lower_tile.h"

#include <string.h>

enum {
    ROWS = 8,    /* of a thread, if there are as many */
    MATRIX = 32, /* so many rows are those of a matrix, not of a few states for each channel */
    THREADS = 128,
    STEPS = 16,
    MOST_AHEAD = 24, /* values that a thread fetches at a time */
    SHARED = 40 << 10
};

void scan_refuse(Scanning *x, const char *why)
{
    if (!x->why) x->why = why;
}

int64_t scan_fixed(const Scanning *x, const Node *n)
{
    if (n->n_args != 2 || n->type != TYPE_INT) return tile_extent(x->l, n);
    int64_t a = scan_fixed(x, n->args[0]), b = scan_fixed(x, n->args[1]);
    if (a < 0 || b < 0) return -1;
    return n->op == N_ADD ? a + b : n->op == N_MUL ? a * b : -1;
}

Node *scan_extent(const Scanning *x, Index *i) { return node_size(x->l->c, i); }

static bool is_task(const Scanning *x, const Index *i) { return set_has(&x->tasks, i->id); }

Kept *scan_kept(const Scanning *x, const Tensor *t)
{
    for (uint32_t k = 0; k < x->kept.n; k++)
        if (x->kept.at[k].tensor == t) return &x->kept.at[k];
    return NULL;
}

/* ---- walking ---- */

typedef void Each(Scanning *x, Statement *s, Node *n);

static void each_node(Scanning *x, const Block *block, Each *f)
{
    for (uint32_t k = 0; k < block->n; k++) {
        Statement *s = block->at[k];
        Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
        f(x, s, NULL);
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i]) f(x, s, all[i]);
        for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++) f(x, s, s->subscripts[d]);
        each_node(x, &s->body, f);
        each_node(x, &s->otherwise, f);
    }
}

/* ---- what is kept in registers ---- */

static uint32_t buffer_number(const Scanning *x, const Tensor *t)
{
    return (uint32_t)(kernel_buffer(x->l->kernel, t) - x->l->kernel->buffers.at);
}

static void note_stored(Scanning *x, Statement *s, Node *n)
{
    if (n || s->kind != S_STORE) return;
    uint32_t number = buffer_number(x, s->tensor);
    if (number >= MAX_INDICES)
        scan_refuse(x, "too many buffers");
    else
        set_add(&x->stored, number);
}

static bool is_stored(const Scanning *x, const Tensor *t) { return set_has(&x->stored, buffer_number(x, t)); }

static void keep(Scanning *x, Tensor *t)
{
    const Buffer *b = kernel_buffer(x->l->kernel, t);
    if (scan_kept(x, t)) return;
    Kept kept = {.tensor = t, .stored = b->kind != BUFFER_SCRATCH, .axis = -1, .row = -1, .depth = 1};
    kept.at = NEW_ARRAY(x->l->c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) {
        kept.at[d] = node_index(x->l->c, t->dims[d]);
        if (t->dims[d] == x->stage->axis && (kept.stored || b->ring == (int)d)) kept.axis = (int)d;
        if (is_task(x, t->dims[d])) kept.own |= (uint64_t)1 << d;
    }
    PUSH(x->l->c, &x->kept, kept);
}

static void note_kept_node(void *context, const Node *n)
{
    Scanning *x = context;
    if (n->op == N_READ && is_stored(x, n->tensor)) keep(x, n->tensor);
}

static void note_kept(Scanning *x, Statement *s, Node *n)
{
    if (n)
        node_visit(x->l->c, n, note_kept_node, x);
    else if (s->kind == S_STORE && kernel_buffer(x->l->kernel, s->tensor)->kind == BUFFER_SCRATCH)
        keep(x, s->tensor);
}

/* May a variant fix all that the extent is made of? */
static bool is_feature(const Scanning *x, const Node *n)
{
    if (n->op == N_SIZE) return gpu_is_feature(x->l->kernel->pattern, n->index);
    bool all = n->n_args > 0 || n->op == N_INT;
    for (unsigned k = 0; k < n->n_args; k++) all = all && is_feature(x, n->args[k]);
    return all;
}

/* The largest dim of states that is none of the tasks, and has not been tried: threads share it. */
static bool choose_row(Scanning *x, IndexSet *tried)
{
    Recurrence *r = x->r;
    for (uint32_t k = 0; k < x->kept.n; k++) {
        const Kept *kept = &x->kept.at[k];
        for (unsigned d = 0; d < kept->tensor->n_dims; d++) {
            Index *dim = kept->tensor->dims[d];
            if (!kept_is_left(kept, d) || set_has(tried, dim->id)) continue;
            int64_t n = scan_fixed(x, scan_extent(x, dim));
            if (n < 0)
                scan_refuse(x,
                            is_feature(x, scan_extent(x, dim)) ? TILE_OPEN : "its states may be of any size");
            if (n == 0) scan_refuse(x, "its states are empty");
            if (n > r->n_rows) r->row = dim, r->n_rows = n;
        }
    }
    if (r->row) set_add(tried, r->row->id);
    return r->row && !x->why;
}

static void place_rows(Scanning *x)
{
    for (uint32_t k = 0; k < x->kept.n && !x->why; k++) {
        Kept *kept = &x->kept.at[k];
        int64_t size = 1;
        kept->extents = NEW_ARRAY(x->l->c, int64_t, kept->tensor->n_dims + 1);
        for (unsigned d = 0; d < kept->tensor->n_dims; d++) {
            Index *dim = kept->tensor->dims[d];
            if (!kept_is_left(kept, d)) continue;
            kept->extents[d] = scan_fixed(x, scan_extent(x, dim));
            if (kept->row < 0 && x->r->row && scan_extent(x, dim) == scan_extent(x, x->r->row))
                kept->row = (int)d;
            else
                size *= kept->extents[d];
            if (size > SCAN_MOST_WORDS) scan_refuse(x, "its states have too many elements");
        }
        kept->size = (unsigned)size;
    }
}

/* ---- values ahead of their use ---- */

typedef struct Worth {
    const Scanning *x;
    bool reads, optional, changes, costly;
} Worth;

static bool is_carried(const Pattern *pattern, const Tensor *t)
{
    for (uint32_t k = 0; k < pattern->equations.n; k++)
        if (pattern->equations.at[k]->carry_start == t) return true;
    return false;
}

static void note_worth(void *context, const Node *n)
{
    Worth *w = context;
    w->costly = w->costly || is_transcendental(n->op) || n->op == N_DIV || n->op == N_SQRT;
    w->changes = w->changes || n->op == N_LOCAL || n->op == N_CHECK || n->op == N_RAND;
    if (n->op != N_READ) return;
    w->reads = true;
    w->optional = w->optional || n->tensor->optional;
    w->changes = w->changes || is_stored(w->x, n->tensor) || is_carried(w->x->l->kernel->pattern, n->tensor);
}

/* sure: evaluated in every step. */
static bool take_ahead(Scanning *x, Node *n, bool sure)
{
    const Recurrence *r = x->r;
    Worth w = {.x = x};
    Early a = {n, node_depends_on(n, r->axis), r->row && node_depends_on(n, r->row),
               r->column && node_depends_on(n, r->column)};
    IndexSet known = x->tasks;
    set_add(&known, r->axis->id);
    if (r->row) set_add(&known, r->row->id);
    if (!set_within(n->free, &known) || (a.axis && a.row && a.column)) return false;
    node_visit(x->l->c, n, note_worth, &w);
    if (w.changes || !(w.reads || w.costly) || (w.optional && !sure)) return false;
    for (uint32_t k = 0; k < x->early.n; k++)
        if (x->early.at[k].value == n) return true;
    PUSH(x->l->c, &x->early, a);
    return true;
}

static void look_ahead(Scanning *x, Node *n, bool sure)
{
    if (!n || n->n_args == 0 || take_ahead(x, n, sure)) return;
    bool lazy = n->op == N_IF || n->op == N_AND || n->op == N_OR;
    for (unsigned k = 0; k < n->n_args; k++) look_ahead(x, n->args[k], sure && !(lazy && k));
}

static void look_in_block(Scanning *x, const Block *block, bool sure)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        look_ahead(x, s->condition, sure);
        look_ahead(x, s->value, sure);
        look_in_block(x, &s->body, sure && s->kind != S_IF);
        look_in_block(x, &s->otherwise, false);
    }
}

/* Elements over axis and column, one for every step. */
static bool is_late(const Scanning *x, const Statement *s)
{
    const Recurrence *r = x->r;
    bool axis = false, column = !r->column;
    if (s->kind != S_STORE || s->value->type != TYPE_REAL || scan_kept(x, s->tensor)) return false;
    for (unsigned d = 0; d < s->tensor->n_dims; d++) {
        const Node *n = s->subscripts[d];
        if (n->op != N_INDEX) return false;
        axis = axis || n->index == r->axis;
        column = column || n->index == r->column;
    }
    return axis && column;
}

static void look_for_late(Scanning *x)
{
    for (uint32_t k = 0; k < x->r->step.n; k++)
        if (is_late(x, x->r->step.at[k])) PUSH(x->l->c, &x->late, x->r->step.at[k]);
    x->r->late = x->late.at, x->r->n_late = x->late.n;
}

/* ---- sizes ---- */

static unsigned words_of(const Scanning *x)
{
    unsigned words = 0, rows = x->r->rows;
    for (uint32_t k = 0; k < x->kept.n; k++)
        words += x->kept.at[k].size * (x->kept.at[k].row >= 0 ? rows : 1);
    return words;
}

static unsigned words_ahead(const Scanning *x)
{
    unsigned words = 0;
    for (uint32_t k = 0; k < x->early.n; k++)
        if (!x->early.at[k].axis) words += x->early.at[k].row ? x->r->rows : 1;
    return words;
}

/* Neighbours along the last index share the rows that do not depend on it. */
static void choose_column(Scanning *x)
{
    Recurrence *r = x->r;
    Index *last = x->stage->n_apart ? x->stage->apart[x->stage->n_apart - 1] : NULL;
    bool shares = false;
    if (!last || last->heads) return;
    for (uint32_t k = 0; k < x->early.n; k++) {
        const Early *a = &x->early.at[k];
        shares = shares || (a->axis && a->row && !node_depends_on(a->value, last));
    }
    if (shares) r->column = last;
}

static void choose_lanes(Scanning *x)
{
    Recurrence *r = x->r;
    r->lanes = r->row && !r->column ? 32 : 1;
    while (r->lanes < 32 && (int64_t)r->lanes * ROWS < r->n_rows) r->lanes *= 2;
    r->rows = (unsigned)((r->n_rows + r->lanes - 1) / r->lanes);
    while (r->lanes < 32 && words_of(x) > SCAN_MOST_WORDS) {
        r->lanes *= 2;
        r->rows = (unsigned)((r->n_rows + r->lanes - 1) / r->lanes);
    }
    if (words_of(x) > SCAN_MOST_WORDS) scan_refuse(x, "its states have too many elements");
}

/* Values that lie in shared memory: elements for each step. */
static unsigned per_step(const Scanning *x)
{
    const Recurrence *r = x->r;
    int64_t n = r->n_late * (r->column ? r->width : 1);
    for (uint32_t k = 0; k < x->early.n; k++) {
        const Early *a = &x->early.at[k];
        if (a->axis) n += a->row ? r->n_rows : a->column ? r->width : 1;
    }
    return (unsigned)n;
}

static void choose_sizes(Scanning *x)
{
    Recurrence *r = x->r;
    unsigned kept = words_of(x), ahead = words_ahead(x);
    int64_t columns = r->n_columns = r->column ? scan_fixed(x, scan_extent(x, r->column)) : 1;
    r->columns = 1;
    bool matrix = r->n_rows >= MATRIX; /* rows that several tasks of a thread load together */
    while (r->column && matrix && r->columns < 4 && 2 * r->columns * (kept + ahead) <= SCAN_MOST_WORDS &&
           columns % (2 * r->columns) == 0 && 2 * r->columns * 4 <= columns)
        r->columns *= 2;
    unsigned groups = r->column ? THREADS / r->lanes : 1;
    while (r->column && groups > 1 && columns > 0 && (int64_t)groups / 2 * r->columns >= columns &&
           groups * r->lanes > 32)
        groups /= 2;
    r->threads = groups * r->lanes;
    if (r->threads < 32) r->threads = 32;
    r->width = r->threads / r->lanes * r->columns;
    r->steps = STEPS;
    while (r->steps > 1 &&
           (per_step(x) * r->steps > MOST_AHEAD * r->threads || per_step(x) * r->steps * 8 > SHARED))
        r->steps /= 2;
    if (per_step(x) * 8 > SHARED) scan_refuse(x, "a step needs too much shared memory");
}

/* ---- the phase ---- */

static const char *how_it_runs(Scanning *x)
{
    const Recurrence *r = x->r;
    const char *way = format(x->l->c, "step by step along %s%s", r->axis->name, r->down ? ", downwards" : "");
    if (!r->row) return format(x->l->c, "%s, states in registers", way);
    return format(x->l->c, "%s, states in registers of %u threads", way, r->lanes);
}

static Phase make_phase(Scanning *x)
{
    Lower *l = x->l;
    Recurrence *r = x->r;
    Phase phase = {.name = stage_title(l, x->stage),
                   .how = how_it_runs(x),
                   .recurrence = r,
                   .tasks = NEW_ARRAY(l->c, Index *, x->stage->n_apart + 1)};
    for (unsigned k = 0; k < x->stage->n_apart; k++)
        if (x->stage->apart[k] != r->column) phase.tasks[phase.n_tasks++] = x->stage->apart[k];
    if (!r->column) return phase;
    Node *width = node_int(l->c, r->width), *size = scan_extent(x, r->column);
    Node *up = node_binary(l->c, N_ADD, size, node_int(l->c, r->width - 1));
    r->block = index_new(l->c, "block", l->span);
    r->block->extent = node_binary(l->c, N_FLOORDIV, up, width);
    phase.tasks[phase.n_tasks++] = r->block;
    return phase;
}

/* Loops with the same meaning. */
static void close_phase(Scanning *x, Scope *root, Phase phase)
{
    Lower *l = x->l;
    Recurrence *r = x->r;
    if (r->column) {
        Node *width = node_int(l->c, r->width);
        Node *from = node_binary(l->c, N_MUL, node_index(l->c, r->block), width);
        Statement *s = NEW(l->c, Statement);
        *s = (Statement){.kind = S_FOR, .variable = r->column, .lo = from, .body = root->block};
        s->hi = node_binary(l->c, N_MIN, node_binary(l->c, N_ADD, from, width), scan_extent(x, r->column));
        root->block = (Block){0};
        PUSH(l->c, &root->block, s);
    }
    phase_close(l, root, phase);
}

/* Statements before the steps, a step, and what follows. */
static bool split_body(Scanning *x, const Block *body, Block *before, Block *step, Block *after)
{
    uint32_t at = 0;
    while (at < body->n && !(body->at[at]->kind == S_FOR && body->at[at]->variable == x->stage->axis)) at++;
    if (at == body->n) return false;
    for (uint32_t k = 0; k < body->n; k++)
        if (k != at) PUSH(x->l->c, k < at ? before : after, body->at[k]);
    *step = body->at[at]->body;
    return true;
}

/* With the rows that have been chosen, if any. */
static void analyse(Scanning *x, const Block *body)
{
    Recurrence *r = x->r;
    Block step = {0}, after = {0};
    if (!split_body(x, body, &r->before, &step, &after)) scan_refuse(x, "it has no steps");
    if (!x->why) place_rows(x);
    if (x->why) return;
    r->step = scan_rewrite(x, &step, false);
    r->after = scan_rewrite(x, &after, true);
    if (r->row) {
        look_in_block(x, &r->step, true);
        choose_column(x);
        x->early.n = 0;
    }
    choose_lanes(x);
    if (!x->why) scan_check(x);
    if (x->why) return;
    if (r->row) look_in_block(x, &r->step, true), look_for_late(x);
    r->threads = THREADS;
    if (r->row) choose_sizes(x);
    r->kept = x->kept.at, r->n_kept = x->kept.n;
    r->early = x->early.at, r->n_early = x->early.n;
}

static Scanning scanning(Lower *l, const Stage *s)
{
    Scanning x = {.l = l, .stage = s, .r = NEW(l->c, Recurrence)};
    *x.r = (Recurrence){.axis = s->axis, .down = s->step < 0, .lanes = 1, .rows = 1, .columns = 1};
    for (unsigned k = 0; k < s->n_apart; k++) set_add(&x.tasks, s->apart[k]->id);
    return x;
}

/* With the first of the dims for rows that fits. */
static Scanning find_rows(Lower *l, const Stage *s, const Block *body)
{
    IndexSet tried = {{0}};
    const char *why = NULL;
    for (;;) {
        Scanning x = scanning(l, s);
        each_node(&x, body, note_stored);
        each_node(&x, body, note_kept);
        bool more = choose_row(&x, &tried);
        if (!x.why && (more || !why)) analyse(&x, body);
        if (!more && why) x.why = why;
        if (!x.why || !more) return x;
        why = x.why;
    }
}

bool lower_recurrence(Lower *l, const Stage *s)
{
    uint32_t buffers = l->kernel->buffers.n;
    IndexSet tasks = {{0}};
    Scope root;
    for (unsigned k = 0; k < s->n_apart; k++) set_add(&tasks, s->apart[k]->id);
    phase_open(l, &root, s->n_apart, s->apart);
    lower_steps(l, s, &tasks);
    Scanning x = find_rows(l, s, &root.block);
    l->plain = x.why;
    if (x.why) {
        scope_close(l, &root);
        l->kernel->buffers.n = buffers;
        return false;
    }
    close_phase(&x, &root, make_phase(&x));
    return true;
}
