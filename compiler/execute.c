/* Direct execution of Loops: conditions, phases, tasks, statements.
 * Requires: a Kernel that loops_verify accepts. */
#include "execute_cells.h"

#include <stdlib.h>
#include <string.h>

uint64_t execute_work(const ExecuteCounts *c)
{
    return c->flops + c->special + c->ints + c->loads + c->stores + c->iterations;
}

void execute_fail(Executor *x, const char *text)
{
    x->failed = text;
    longjmp(x->memory.escape, 1);
}

void execute_check_failed(Executor *x, unsigned number)
{
    if (number >= x->k->checks.n) BUG(&x->memory, "no check has number %u", number);
    if (!x->failed) x->failed = format(&x->memory, "check failed: %s", x->k->checks.at[number].text);
}

const InterpretTensor *execute_bound(const Executor *x, const Tensor *tensor)
{
    for (unsigned k = 0; k < x->n_outputs; k++)
        if (x->outputs[k].tensor == tensor && x->outputs[k].given) return &x->outputs[k];
    for (unsigned k = 0; k < x->arguments->n_tensors; k++)
        if (x->arguments->tensors[k].tensor == tensor && x->arguments->tensors[k].given)
            return &x->arguments->tensors[k];
    return NULL;
}

int64_t execute_extent(Executor *x, const Index *index)
{
    if (index->id >= MAX_INDICES) BUG(&x->memory, "index '%s' has number %u", index->name, index->id);
    int64_t *known = &x->extent[index->id];
    if (*known >= 0) return *known;
    *known = index->extent ? execute_eval(x, index->extent).i : x->arguments->extents[index->number];
    if (*known < 0) execute_fail(x, format(&x->memory, "index '%s' would have fewer than 0 positions",
                                           index->name));
    return *known;
}

/* ---- buffers ---- */

static void make_area(Executor *x, Area *a, const Buffer *b)
{
    const Tensor *t = b->tensor;
    const InterpretTensor *bound = b->kind == BUFFER_BOUND ? execute_bound(x, t) : NULL;
    a->buffer = b;
    a->n_dims = t->n_dims;
    a->extents = NEW_ARRAY(&x->memory, int64_t, t->n_dims + 1);
    a->bounds = NEW_ARRAY(&x->memory, int64_t, t->n_dims + 1);
    a->n = 1;
    for (unsigned k = 0; k < t->n_dims; k++) {
        a->bounds[k] = execute_extent(x, t->dims[k]);
        a->extents[k] = b->ring == (int)k ? (int64_t)b->ring_depth : a->bounds[k];
        a->n *= (uint64_t)a->extents[k];
    }
    if (b->kind != BUFFER_BOUND) a->data = arena_alloc(&x->memory, 8 * (a->n + 1));
    else if (bound) a->data = bound->data ? bound->data : NEW(&x->memory, Scalar);
    bool written = b->kind != BUFFER_BOUND || t->role == ROLE_OUTPUT;
    if (written && a->data) a->writer = NEW_ARRAY(&x->memory, uint32_t, a->n + 1);
    if (b->ring >= 0 && a->data) a->step = NEW_ARRAY(&x->memory, int64_t, a->n + 1);
}

static void check_outputs(Executor *x)
{
    for (uint32_t k = 0; k < x->k->buffers.n; k++) {
        const Area *a = &x->areas[k];
        if (a->buffer->kind != BUFFER_BOUND || !a->writer) continue;
        for (uint64_t at = 0; at < a->n; at++)
            if (a->writer[at] == 0)
                BUG(&x->memory, "element %llu of '%s' is not written", (unsigned long long)at,
                    a->buffer->tensor->name);
    }
}

/* ---- statements ---- */

static void run_block(Executor *x, const Block *block);

static void iterate(Executor *x, const Statement *s, int64_t at)
{
    x->value[s->variable->id] = at;
    x->counts.iterations++;
    if (x->options.limit && execute_work(&x->counts) > x->options.limit)
        execute_fail(x, "more operations than allowed");
    run_block(x, &s->body);
}

static void run_for(Executor *x, const Statement *s)
{
    int64_t lo = execute_eval(x, s->lo).i, hi = execute_eval(x, s->hi).i;
    int64_t step = s->step ? execute_eval(x, s->step).i : 1, outer = x->value[s->variable->id];
    if (step <= 0) BUG(&x->memory, "the loop over '%s' has step %lld", s->variable->name, (long long)step);
    if (s->down)
        for (int64_t at = hi - 1; at >= lo; at--) iterate(x, s, at);
    else
        for (int64_t at = lo; at < hi; at += step) iterate(x, s, at);
    x->value[s->variable->id] = outer;
}

static void run_set(Executor *x, const Statement *s)
{
    Scalar value = execute_eval(x, s->value);
    x->locals[s->local->id] = s->local->type == TYPE_REAL &&
        !s->local->exact ? execute_round(x, value) : value;
    x->local_task[s->local->id] = x->task;
}

static void run_statement(Executor *x, const Statement *s)
{
    switch (s->kind) {
    case S_FOR: run_for(x, s); break;
    case S_IF: run_block(x, execute_eval(x, s->condition).i ? &s->body : &s->otherwise); break;
    case S_SET: run_set(x, s); break;
    case S_STORE: execute_store(x, s->tensor, s->subscripts, execute_eval(x, s->value)); break;
    case S_REQUIRE:
        if (!execute_eval(x, s->condition).i) execute_check_failed(x, s->check);
        break;
    case S_PREFETCH:
    case S_NOTE: break;
    default: BUG(&x->memory, "unknown statement %d", (int)s->kind);
    }
}

static void run_block(Executor *x, const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) run_statement(x, block->at[k]);
}

/* Task number `at` of a phase: row-major, the last index fastest. Scratch starts out unwritten. */
static void run_task(Executor *x, const Phase *p, uint64_t at)
{
    x->task++;
    x->counts.tasks++;
    for (unsigned k = p->n_tasks; k-- > 0;) {
        uint64_t extent = (uint64_t)execute_extent(x, p->tasks[k]);
        x->value[p->tasks[k]->id] = (int64_t)(at % extent);
        at /= extent;
    }
    for (uint32_t k = 0; k < x->k->buffers.n; k++)
        if (x->areas[k].buffer->kind == BUFFER_SCRATCH)
            memset(x->areas[k].writer, 0, x->areas[k].n * sizeof *x->areas[k].writer);
    run_block(x, &p->body);
}

static void run_phase(Executor *x, const Phase *p)
{
    uint64_t n = 1;
    for (unsigned k = 0; k < p->n_tasks; k++) n *= (uint64_t)execute_extent(x, p->tasks[k]);
    x->first_task = x->task + 1;
    for (uint64_t at = 0; at < n; at++) run_task(x, p, x->options.backwards ? n - 1 - at : at);
}

/* NULL, or the error. */
static const char *run(Executor *x)
{
    if (setjmp(x->memory.escape)) return x->failed ? x->failed : x->memory.fatal;
    for (unsigned k = 0; k < MAX_INDICES; k++) x->extent[k] = -1;
    for (uint32_t k = 0; k < x->k->checks.n; k++) {
        const Check *check = &x->k->checks.at[k];
        if (check->kind == CHECK_CONDITION && check->test && !execute_eval(x, check->test).i)
            return format(&x->memory, "condition does not hold: %s", check->text);
    }
    x->locals = NEW_ARRAY(&x->memory, Scalar, x->k->n_locals + 1);
    x->local_task = NEW_ARRAY(&x->memory, uint32_t, x->k->n_locals + 1);
    x->areas = NEW_ARRAY(&x->memory, Area, x->k->buffers.n + 1);
    for (uint32_t k = 0; k < x->k->buffers.n; k++) make_area(x, &x->areas[k], &x->k->buffers.at[k]);
    for (uint32_t k = 0; k < x->k->buffers.n; k++)
        if (x->areas[k].buffer->kind == BUFFER_SCRATCH) x->areas[k].owner = &x->areas[x->areas[k].buffer->shares];
    memset(&x->counts, 0, sizeof x->counts);
    for (uint32_t k = 0; k < x->k->phases.n && !x->failed; k++) run_phase(x, &x->k->phases.at[k]);
    if (!x->failed) check_outputs(x);
    return x->failed;
}

const char *execute(Compilation *c, const Kernel *k, const InterpretArguments *arguments,
                    const InterpretTensor *outputs, unsigned n_outputs, const ExecuteOptions *options,
                    ExecuteCounts *counts)
{
    Executor *x = NEW(c, Executor);
    compilation_init(&x->memory);
    compilation_adopt(c, &x->memory);
    x->k = k;
    x->arguments = arguments;
    x->outputs = outputs;
    x->n_outputs = n_outputs;
    if (options) x->options = *options;
    const char *problem = run(x);
    if (problem) problem = format(c, "%s", problem);
    if (counts) *counts = x->counts;
    compilation_free(&x->memory);
    return problem;
}
