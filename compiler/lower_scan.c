/* Recurrences for GPUs: states in registers, values of some steps ahead of their use (Recurrence in loops.h).
 *
 * Requires: a scan stage and a schedule for GPUs. Ensures: the body of the phase computes the same step by
 * step; its Recurrence says how threads do it: every dim of a state is a task, the axis, the rows that
 * threads share, or of a small fixed extent, and states are read at fixed distances. Breaks: nothing; what
 * does not fit is left to loops of one thread. */
#include "graph.h"
#include "gpu.h"
#include "lower_tile.h"

#include <string.h>

enum {
    MOST_WORDS = 96,    /* registers of a thread for states and what it has at hand */
    MOST_UNROLLED = 64, /* rounds of loops over rows and what else is unrolled in a step */
    ROWS = 8,           /* of a thread, if there are as many */
    MATRIX = 32,        /* so many rows are those of a matrix, not of a few states for each channel */
    THREADS = 128,
    STEPS = 16,
    MOST_AHEAD = 24, /* values that a thread fetches at a time */
    SHARED = 40 << 10
};

typedef struct Scanning {
    Lower *l;
    const Stage *stage;
    Recurrence *r;
    IndexSet tasks, stored; /* by Index.id; by place in Kernel.buffers */
    VEC(Kept) kept;
    VEC(Early) early;
    VEC(const Statement *) late;
    bool in_after;
    const char *why; /* it does not fit, or NULL */
} Scanning;

static void refuse(Scanning *x, const char *why)
{
    if (!x->why) x->why = why;
}

/* The number that an extent is fixed to, or -1. */
static int64_t fixed_value(const Scanning *x, const Node *n)
{
    if (n->op == N_INT) return n->integer;
    if (n->op == N_SIZE && x->l->schedule.fixed) return x->l->schedule.fixed[n->index->number];
    if (n->n_args != 2 || n->type != TYPE_INT) return -1;
    int64_t a = fixed_value(x, n->args[0]), b = fixed_value(x, n->args[1]);
    if (a < 0 || b < 0) return -1;
    return n->op == N_ADD ? a + b : n->op == N_MUL ? a * b : -1;
}

static Node *extent(const Scanning *x, Index *i) { return node_size(x->l->c, i); }

static bool is_task(const Scanning *x, const Index *i) { return set_has(&x->tasks, i->id); }

static Kept *kept_of(const Scanning *x, const Tensor *t)
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
        refuse(x, "too many buffers");
    else
        set_add(&x->stored, number);
}

static bool is_stored(const Scanning *x, const Tensor *t) { return set_has(&x->stored, buffer_number(x, t)); }

static void keep(Scanning *x, Tensor *t)
{
    const Buffer *b = kernel_buffer(x->l->kernel, t);
    if (kept_of(x, t)) return;
    Kept kept = {.tensor = t, .stored = b->kind != BUFFER_SCRATCH, .axis = -1, .row = -1, .depth = 1};
    kept.at = NEW_ARRAY(x->l->c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) {
        kept.at[d] = node_index(x->l->c, t->dims[d]);
        if (t->dims[d] == x->stage->axis) kept.axis = (int)d;
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

/* Neither the axis nor a task. */
static bool is_dim_left(const Kept *k, unsigned d) { return (int)d != k->axis && !(k->own >> d & 1); }

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
            if (!is_dim_left(kept, d) || set_has(tried, dim->id)) continue;
            int64_t n = fixed_value(x, extent(x, dim));
            if (n < 0) refuse(x, is_feature(x, extent(x, dim)) ? TILE_OPEN : "its states may be of any size");
            if (n == 0) refuse(x, "its states are empty");
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
        for (unsigned d = 0; d < kept->tensor->n_dims; d++) {
            Index *dim = kept->tensor->dims[d];
            if (!is_dim_left(kept, d)) continue;
            if (kept->row < 0 && x->r->row && extent(x, dim) == extent(x, x->r->row))
                kept->row = (int)d;
            else
                size *= fixed_value(x, extent(x, dim));
            if (size > MOST_WORDS) refuse(x, "its states have too many elements");
        }
        kept->size = (unsigned)size;
    }
}

/* ---- rows in place of loop variables, values ahead of the first step ---- */

typedef struct Rewrite {
    Scanning *x;
    Index *from; /* a variable over rows, or NULL */
} Rewrite;

/* How many steps back a state is read; in what follows the last step: 1. Less than 0: at no fixed distance.
 */
static int steps_back(const Scanning *x, const Kept *k, const Node *n)
{
    Compilation *c = x->l->c;
    if (k->axis < 0) return 0;
    Node *at = n->args[k->axis], *last = node_int(c, 0);
    int64_t offset;
    if (x->in_after) {
        if (x->stage->step > 0) last = node_binary(c, N_SUB, extent(x, x->stage->axis), node_int(c, 1));
        return at == last ? 1 : -1;
    }
    if (!is_offset_of(at, x->stage->axis, &offset)) return -1;
    offset *= x->stage->step > 0 ? -1 : 1;
    return offset >= 0 && offset < 8 ? (int)offset : -1;
}

static bool is_in_range(const Scanning *x, const Node *test, const Node *at)
{
    if (x->stage->step > 0) return test->op == N_LE && node_is_int(test->args[0], 0) && test->args[1] == at;
    return test->op == N_LT && test->args[0] == at && test->args[1] == extent(x, x->stage->axis);
}

/* The value at `back` steps before the first one, over the dims of the state, as `n` says it for a read of
 * `read`. */
static Node *start_of(const Scanning *x, Node *n, int ahead)
{
    Compilation *c = x->l->c;
    Node *first = node_int(c, ahead);
    if (x->stage->step < 0)
        first =
            node_binary(c, N_SUB, node_binary(c, N_SUB, extent(x, x->stage->axis), node_int(c, 1)), first);
    return x->in_after ? n : node_substitute(c, n, 1, &(Index *){x->stage->axis}, &first);
}

/* Is `n` what the start value `start` is at the coordinates of `read`? */
static bool is_start_at(const Scanning *x, const Kept *k, Node *start, const Node *read, const Node *n)
{
    Index *from[MAX_INDICES];
    Node *to[MAX_INDICES];
    unsigned count = 0;
    for (unsigned d = 0; d < read->n_args; d++) {
        if (!is_dim_left(k, d) || (int)d == k->row) continue;
        from[count] = k->tensor->dims[d];
        to[count++] = read->args[d];
    }
    return node_substitute(x->l->c, start, count, from, to) == n;
}

static bool at_own_dims(const Kept *k, const Node *read)
{
    bool own = true;
    for (unsigned d = 0; d < read->n_args; d++)
        own = own && (!is_dim_left(k, d) || (int)d == k->row ||
                      (read->args[d]->op == N_INDEX && read->args[d]->index == k->tensor->dims[d]));
    return own;
}

/* A read of `back` steps before tells the values of so many steps before the first one. */
static bool take_start(Scanning *x, Kept *k, const Node *read, Node *otherwise, int back)
{
    if (!k->start) k->start = NEW_ARRAY(x->l->c, Node *, 9);
    bool fits = true;
    for (int before = 1; before <= back; before++) {
        Node *value = start_of(x, otherwise, back - before);
        if (!k->start[before] && at_own_dims(k, read)) k->start[before] = value;
        fits = fits && k->start[before] && is_start_at(x, k, k->start[before], read, value);
    }
    if ((unsigned)back >= k->depth) k->depth = (unsigned)back + 1;
    return fits;
}

/* `if 0 <= t - 1 then S[t - 1] else start`: the state itself, which begins with that. */
static Node *without_start(void *context, Compilation *c, Node *n)
{
    Scanning *x = context;
    Node *read = n->op == N_IF ? n->args[1] : NULL;
    Kept *k = read && read->op == N_READ ? kept_of(x, read->tensor) : NULL;
    if (!k || k->axis < 0 || !is_in_range(x, n->args[0], read->args[k->axis])) return n;
    int back = steps_back(x, k, read);
    if (back < 1 || !take_start(x, k, read, n->args[2], back)) return n;
    return node_read(c, read->tensor, read->args, false);
}

static Node *rewritten(Rewrite *w, Node *n)
{
    Compilation *c = w->x->l->c;
    if (!n) return NULL;
    Node *row = w->from && w->from != w->x->r->row ? node_index(c, w->x->r->row) : NULL;
    if (row) n = node_substitute(c, n, 1, &w->from, &row);
    return node_rewrite(c, n, without_start, w->x);
}

static bool is_row_loop(const Scanning *x, const Statement *s)
{
    return x->r->row && s->kind == S_FOR && !s->step && !s->down && node_is_int(s->lo, 0) &&
           s->hi == extent(x, x->r->row);
}

static Block rewrite_block(Rewrite *w, const Block *block)
{
    Block out = {0};
    Compilation *c = w->x->l->c;
    for (uint32_t k = 0; k < block->n; k++) {
        Statement *s = NEW(c, Statement);
        *s = *block->at[k];
        Rewrite inner = *w;
        if (!w->from && is_row_loop(w->x, s)) inner.from = s->variable, s->variable = w->x->r->row;
        s->lo = rewritten(w, s->lo);
        s->hi = rewritten(w, s->hi);
        s->step = rewritten(w, s->step);
        s->condition = rewritten(w, s->condition);
        s->value = rewritten(w, s->value);
        if (s->tensor) s->subscripts = NEW_ARRAY(c, Node *, s->tensor->n_dims);
        for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++)
            s->subscripts[d] = rewritten(w, block->at[k]->subscripts[d]);
        s->body = rewrite_block(&inner, &s->body);
        s->otherwise = rewrite_block(&inner, &s->otherwise);
        PUSH(c, &out, s);
    }
    return out;
}

/* ---- does it fit? ---- */

typedef struct Fit {
    Scanning *x;
    const Statement *loop; /* over rows, or NULL */
    const Block *block;    /* that holds the loop over rows, */
    uint32_t at;           /* there */
    IndexSet unrolled;     /* variables with a fixed range */
    unsigned rounds;
    bool uniform; /* all threads of the block come here */
} Fit;

static void fit_access(const Fit *f, const Tensor *t, Node *const *at, bool guarded, bool store)
{
    Scanning *x = f->x;
    const Kept *k = kept_of(x, t);
    if (!k) return;
    Node n = {.args = (Node **)at, .n_args = (uint16_t)t->n_dims};
    int back = steps_back(x, k, &n);
    if (back < 0 || back >= (int)k->depth || (store && (back || x->in_after)))
        refuse(x, "its states are not read at fixed distances");
    if (back && guarded) refuse(x, "states before the first one are no values of their own");
    for (unsigned d = 0; d < t->n_dims; d++) {
        const Node *i = at[d];
        if (k->own >> d & 1) {
            if (i->op != N_INDEX || i->index != t->dims[d]) refuse(x, "a task reads states of another");
        } else if ((int)d == k->row) {
            if (i->op != N_INDEX || i->index != x->r->row || !f->loop)
                refuse(x, "a row of a state needs another one");
        } else if ((int)d != k->axis && !set_within(i->free, &f->unrolled))
            refuse(x, "elements of a state are not read at fixed places");
    }
}

static void fit_node_at(void *context, const Node *n)
{
    const Fit *f = context;
    if (n->op == N_READ) fit_access(f, n->tensor, n->args, n->guarded, false);
}

static void fit_node(const Fit *f, const Node *n)
{
    if (n) node_visit(f->x->l->c, n, fit_node_at, (void *)f);
}

/* Does every thread find the same? */
static bool is_uniform(const Scanning *x, const Node *n)
{
    Compilation *c = x->l->c;
    if (!n) return true;
    if (x->r->column && node_depends_on(n, x->r->column)) return false;
    return !(x->r->row && node_depends_on(n, x->r->row)) && !contains_op(c, n, N_LOCAL) &&
           !contains_op(c, n, N_READ) && !contains_op(c, n, N_CHECK);
}

static bool is_reduction(const Node *n, const Local *local)
{
    return n->op == N_ADD && n->type == TYPE_REAL && n->args[0]->op == N_LOCAL && n->args[0]->local == local;
}

/* Is the local mentioned in any statement but `loop`? */
static bool is_used_apart(const Scanning *x, const Block *block, const Statement *loop, const Local *local)
{
    Node *n = node_local(x->l->c, (Local *)local);
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        const Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
        if (s == loop) continue;
        bool used = s->kind == S_SET && s->local == local;
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
            used = used || (all[i] && node_replace(x->l->c, (Node *)all[i], n, NULL) != all[i]);
        if (used || is_used_apart(x, &s->body, loop, local) || is_used_apart(x, &s->otherwise, loop, local))
            return true;
    }
    return false;
}

/* The value that a local has ahead of the loop over rows. */
static const Node *value_before(const Fit *f, const Local *local)
{
    for (uint32_t k = f->at; k-- > 0;) {
        const Statement *s = f->block->at[k];
        if (s->kind == S_SET && s->local == local) return s->value;
    }
    return NULL;
}

/* A local that is set for every row: of that row alone, or the sum (or the like) of all. */
static void fit_set(const Fit *f, const Statement *s)
{
    Scanning *x = f->x;
    if (!f->loop || (!is_used_apart(x, &x->r->step, f->loop, s->local) &&
                     !is_used_apart(x, &x->r->after, f->loop, s->local)))
        return;
    const Node *before = value_before(f, s->local);
    if (!before || !is_reduction(s->value, s->local) || before->op != N_REAL || before->real != 0)
        refuse(x, "what rows have in common is no sum");
}

static void fit_block(const Fit *around, const Block *block);

static void fit_for(const Fit *f, const Block *block, uint32_t at)
{
    const Statement *s = block->at[at];
    Scanning *x = f->x;
    Fit inner = *f;
    bool row = s->variable == x->r->row && is_row_loop(x, s) && !f->loop;
    int64_t n = node_is_int(s->lo, 0) && !s->step && !s->down ? fixed_value(x, s->hi) : -1;
    inner.uniform = f->uniform && is_uniform(x, s->lo) && is_uniform(x, s->hi) && is_uniform(x, s->step);
    if (row) {
        if (!f->uniform) refuse(x, "not all threads of a block come to its sums");
        inner.loop = s, inner.block = block, inner.at = at;
        inner.rounds *= (unsigned)((x->r->n_rows + x->r->lanes - 1) / x->r->lanes);
    } else if (n >= 0 && n * f->rounds <= MOST_UNROLLED) {
        set_add(&inner.unrolled, s->variable->id);
        inner.rounds *= (unsigned)n;
    }
    fit_block(&inner, &s->body);
}

static void fit_block(const Fit *f, const Block *block)
{
    Scanning *x = f->x;
    for (uint32_t k = 0; k < block->n && !x->why; k++) {
        const Statement *s = block->at[k];
        const Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++) fit_node(f, all[i]);
        for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++) fit_node(f, s->subscripts[d]);
        Fit inner = *f;
        inner.uniform = f->uniform && is_uniform(x, s->condition);
        switch (s->kind) {
        case S_FOR: fit_for(f, block, k); break;
        case S_IF:
            fit_block(&inner, &s->body);
            fit_block(&inner, &s->otherwise);
            break;
        case S_SET: fit_set(f, s); break;
        case S_STORE: {
            const Kept *kept = kept_of(x, s->tensor);
            fit_access(f, s->tensor, s->subscripts, false, true);
            if (f->loop && kept && kept->row < 0) refuse(x, "rows share a value that is no sum");
            break;
        }
        case S_REQUIRE: refuse(x, "values are checked as it runs"); break;
        default: break;
        }
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
    if (s->kind != S_STORE || s->value->type != TYPE_REAL || kept_of(x, s->tensor)) return false;
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
    while (r->lanes < 32 && words_of(x) > MOST_WORDS) {
        r->lanes *= 2;
        r->rows = (unsigned)((r->n_rows + r->lanes - 1) / r->lanes);
    }
    if (words_of(x) > MOST_WORDS) refuse(x, "its states have too many elements");
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
    int64_t columns = r->column ? fixed_value(x, extent(x, r->column)) : 1;
    r->columns = 1;
    bool matrix = r->n_rows >= MATRIX; /* rows that several tasks of a thread load together */
    while (r->column && matrix && r->columns < 4 && 2 * r->columns * (kept + ahead) <= MOST_WORDS &&
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
    if (per_step(x) * 8 > SHARED) refuse(x, "a step needs too much shared memory");
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
    Node *width = node_int(l->c, r->width), *size = extent(x, r->column);
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
        s->hi = node_binary(l->c, N_MIN, node_binary(l->c, N_ADD, from, width), extent(x, r->column));
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

static void check_fit(Scanning *x)
{
    Recurrence *r = x->r;
    Fit fit = {.x = x, .uniform = true, .rounds = 1};
    x->in_after = true;
    fit_block(&fit, &r->after);
    x->in_after = false;
    fit_block(&fit, &r->step);
    if (r->row && r->before.n) refuse(x, "it has values of its own ahead of the steps");
}

/* With the rows that have been chosen, if any. */
static void analyse(Scanning *x, const Block *body)
{
    Recurrence *r = x->r;
    Block step = {0}, after = {0};
    if (!split_body(x, body, &r->before, &step, &after)) refuse(x, "it has no steps");
    if (!x->why) place_rows(x);
    if (x->why) return;
    Rewrite w = {x, NULL};
    r->step = rewrite_block(&w, &step);
    x->in_after = true;
    r->after = rewrite_block(&w, &after);
    x->in_after = false;
    if (r->row) {
        look_in_block(x, &r->step, true);
        choose_column(x);
        x->early.n = 0;
    }
    choose_lanes(x);
    if (!x->why) check_fit(x);
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
