/* Recurrences in registers: what their statements become, and whether they fit (lower_scan.h).
 *
 * Requires: the states and rows of x. Ensures: a loop over rows is one of the variable r->row; states are
 * read at fixed distances, rows and places; all threads of a block come to sums over rows. */
#include "graph.h"
#include "lower_scan.h"

enum { MOST_UNROLLED = 64 /* rounds of loops over rows and what else is unrolled in a step */ };

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
        if (x->stage->step > 0) last = node_binary(c, N_SUB, scan_extent(x, x->stage->axis), node_int(c, 1));
        return at == last ? 1 : -1;
    }
    if (!is_offset_of(at, x->stage->axis, &offset)) return -1;
    offset *= x->stage->step > 0 ? -1 : 1;
    return offset >= 0 && offset < 8 ? (int)offset : -1;
}

static bool is_in_range(const Scanning *x, const Node *test, const Node *at)
{
    if (x->stage->step > 0) return test->op == N_LE && node_is_int(test->args[0], 0) && test->args[1] == at;
    return test->op == N_LT && test->args[0] == at && test->args[1] == scan_extent(x, x->stage->axis);
}

/* The value at `back` steps before the first one, over the dims of the state, as `n` says it for a read of
 * `read`. */
static Node *start_of(const Scanning *x, Node *n, int ahead)
{
    Compilation *c = x->l->c;
    Node *first = node_int(c, ahead);
    if (x->stage->step < 0)
        first = node_binary(c, N_SUB, node_binary(c, N_SUB, scan_extent(x, x->stage->axis), node_int(c, 1)),
                            first);
    return x->in_after ? n : node_substitute(c, n, 1, &(Index *){x->stage->axis}, &first);
}

/* Is `n` what the start value `start` is at the coordinates of `read`? */
static bool is_start_at(const Scanning *x, const Kept *k, Node *start, const Node *read, const Node *n)
{
    Index *from[MAX_INDICES];
    Node *to[MAX_INDICES];
    unsigned count = 0;
    for (unsigned d = 0; d < read->n_args; d++) {
        if (!kept_is_left(k, d) || (int)d == k->row) continue;
        from[count] = k->tensor->dims[d];
        to[count++] = read->args[d];
    }
    return node_substitute(x->l->c, start, count, from, to) == n;
}

static bool at_own_dims(const Kept *k, const Node *read)
{
    bool own = true;
    for (unsigned d = 0; d < read->n_args; d++)
        own = own && (!kept_is_left(k, d) || (int)d == k->row ||
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
    Kept *k = read && read->op == N_READ ? scan_kept(x, read->tensor) : NULL;
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
           s->hi == scan_extent(x, x->r->row);
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

Block scan_rewrite(Scanning *x, const Block *block, bool after)
{
    Rewrite w = {x, NULL};
    x->in_after = after;
    Block out = rewrite_block(&w, block);
    x->in_after = false;
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
    const Kept *k = scan_kept(x, t);
    if (!k) return;
    Node n = {.args = (Node **)at, .n_args = (uint16_t)t->n_dims};
    int back = steps_back(x, k, &n);
    if (back < 0 || back >= (int)k->depth || (store && (back || x->in_after)))
        scan_refuse(x, "its states are not read at fixed distances");
    if (back && guarded) scan_refuse(x, "states before the first one are no values of their own");
    for (unsigned d = 0; d < t->n_dims; d++) {
        const Node *i = at[d];
        if (k->own >> d & 1) {
            if (i->op != N_INDEX || i->index != t->dims[d]) scan_refuse(x, "a task reads states of another");
        } else if ((int)d == k->row) {
            if (i->op != N_INDEX || i->index != x->r->row || !f->loop)
                scan_refuse(x, "a row of a state needs another one");
        } else if ((int)d != k->axis && !set_within(i->free, &f->unrolled))
            scan_refuse(x, "elements of a state are not read at fixed places");
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

typedef struct FindLocal {
    const Local *local;
    bool found;
} FindLocal;

static void find_local(void *context, const Node *n)
{
    FindLocal *f = context;
    f->found = f->found || (n->op == N_LOCAL && n->local == f->local);
}

/* Is the local mentioned in any statement but `loop`? */
static bool is_used_apart(const Scanning *x, const Block *block, const Statement *loop, const Local *local)
{
    FindLocal f = {local, false};
    for (uint32_t k = 0; k < block->n && !f.found; k++) {
        const Statement *s = block->at[k];
        const Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
        if (s == loop) continue;
        f.found = s->kind == S_SET && s->local == local;
        for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
            if (all[i]) node_visit(x->l->c, all[i], find_local, &f);
        f.found = f.found || is_used_apart(x, &s->body, loop, local) ||
                  is_used_apart(x, &s->otherwise, loop, local);
    }
    return f.found;
}

/* The value that a local has ahead of the loop over rows. */
static const Node *value_before(const Fit *f, const Local *local)
{
    for (uint32_t k = f->at; k-- > 0;) {
        Statement *s = f->block->at[k];
        const Block one = {&s, 1, 1};
        if (s->kind == S_SET && s->local == local) return s->value;
        if (is_used_apart(f->x, &one, NULL, local)) return NULL;
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
        scan_refuse(x, "what rows have in common is no sum");
}

static void fit_block(const Fit *around, const Block *block);

static void fit_for(const Fit *f, const Block *block, uint32_t at)
{
    const Statement *s = block->at[at];
    Scanning *x = f->x;
    Fit inner = *f;
    if (s->variable == x->r->axis || set_has(&x->tasks, s->variable->id))
        scan_refuse(x, "a step has a loop over its axis, or its tasks");
    bool row = s->variable == x->r->row && is_row_loop(x, s) && !f->loop;
    int64_t n = node_is_int(s->lo, 0) && !s->step && !s->down ? scan_fixed(x, s->hi) : -1;
    inner.uniform = f->uniform && is_uniform(x, s->lo) && is_uniform(x, s->hi) && is_uniform(x, s->step);
    if (row) {
        if (!f->uniform) scan_refuse(x, "not all threads of a block come to its sums");
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
            const Kept *kept = scan_kept(x, s->tensor);
            fit_access(f, s->tensor, s->subscripts, false, true);
            if (f->loop && kept && kept->row < 0) scan_refuse(x, "rows share a value that is no sum");
            break;
        }
        case S_REQUIRE: scan_refuse(x, "values are checked as it runs"); break;
        default: break;
        }
    }
}

void scan_check(Scanning *x)
{
    Recurrence *r = x->r;
    Fit fit = {.x = x, .uniform = true, .rounds = 1};
    x->in_after = true;
    fit_block(&fit, &r->after);
    x->in_after = false;
    fit_block(&fit, &r->step);
    if (r->row && r->before.n) scan_refuse(x, "it has values of its own ahead of the steps");
}
