/* Plan to Loops: buffers, checks, phases.
 * Requires: a verified Plan. Ensures: a Kernel that loops_verify accepts: no binders, every tensor has a
 * buffer, guarded reads stay guarded. Breaks: nothing; the Plan is only read. */
#include "lower_internal.h"
#include "lower_product.h"
#include "lower_tile.h"
#include "share.h"

static void add_check(Kernel *k, Compilation *c, Check check) { PUSH(c, &k->checks, check); }

/* Proofs of subscripts count on it that sizes, and parameters that they use, leave room in 64 bits
 * (docs/safety.md). */
static void lower_limits(Lower *l)
{
    const Pattern *p = l->kernel->pattern;
    Compilation *c = l->c;
    Node *limit = node_int(c, (int64_t)1 << 31), *low = node_int(c, -((int64_t)1 << 31));
    for (uint32_t k = 0; k < p->indices.n; k++) {
        const Index *i = p->indices.at[k];
        Node *test = node_binary(c, N_LT, node_size(c, p->indices.at[k]), limit);
        add_check(l->kernel, c,
                  (Check){CHECK_CONDITION, format(c, "size(%s) < 2 ** 31", i->name), test, NULL, i->span});
    }
    for (uint32_t k = 0; k < p->params.n; k++) {
        Param *x = p->params.at[k];
        if (!x->bounded || x->type != TYPE_INT || x->fixed) continue;
        Node *value = node_param(c, x);
        Node *test =
            node_binary(c, N_AND, node_binary(c, N_LE, low, value), node_binary(c, N_LE, value, limit));
        const char *text = format(c, "-(2 ** 31) <= %s <= 2 ** 31", x->name);
        add_check(l->kernel, c, (Check){CHECK_CONDITION, text, test, NULL, x->span});
    }
}

/* Checks that run inside come first: their numbers are those of Node.check. */
static void lower_checks(Lower *l)
{
    const Pattern *p = l->kernel->pattern;
    for (uint32_t k = 0; k < p->checks.n; k++)
        add_check(l->kernel, l->c,
                  (Check){CHECK_RUN, p->checks.at[k].text, NULL, NULL, p->checks.at[k].span});
    lower_limits(l);
    for (uint32_t k = 0; k < p->conditions.n; k++) {
        const Condition *x = &p->conditions.at[k];
        add_check(l->kernel, l->c, (Check){CHECK_CONDITION, x->text, x->test, NULL, x->span});
    }
}

static void lower_buffers(Lower *l)
{
    const Pattern *p = l->kernel->pattern;
    for (uint32_t k = 0; k < p->tensors.n; k++)
        buffer_add(l, p->tensors.at[k], BUFFER_BOUND, false);
    for (uint32_t k = 0; k < l->plan->equations.n; k++) {
        const Equation *e = l->plan->equations.at[k];
        bool exact = !e->tensor->data;
        if (e->storing == STATE)
            PUSH(l->c, &l->kernel->buffers, (Buffer){e->state, BUFFER_SCRATCH, exact, 0, e->depth, 0});
        else if (e->storing == STORED && e->tensor->role == ROLE_EQUATION)
            buffer_add(l, e->tensor, BUFFER_WORKSPACE, exact);
    }
}

void phase_open(Lower *l, Scope *root, unsigned n_tasks, Index **tasks)
{
    scope_open(l, root, true);
    for (unsigned k = 0; k < n_tasks; k++) set_add(&root->bound, tasks[k]->id);
}

void phase_close(Lower *l, Scope *root, Phase phase)
{
    phase.body = root->block;
    scope_close(l, root);
    PUSH(l->c, &l->kernel->phases, phase);
}

static const char *range_text(Lower *l, const Tensor *t)
{
    Text text = {.c = l->c};
    text_add(&text, "%s in ", t->name);
    node_print(&text, t->lo);
    text_add(&text, "..");
    node_print(&text, t->hi);
    return text.at;
}

/* Every number of an int tensor with a declared range. */
static void lower_data_check(Lower *l, Tensor *t)
{
    add_check(l->kernel, l->c, (Check){CHECK_DATA_RANGE, range_text(l, t), NULL, t, t->span});
    Phase phase = {.name = format(l->c, "range of %s", t->name),
                   .n_tasks = l->schedule.many_tasks ? t->n_dims : t->n_dims ? 1 : 0,
                   .tasks = t->dims,
                   .data_check = true};
    Scope root;
    phase_open(l, &root, phase.n_tasks, t->dims);
    l->span = t->span;
    Nest rest;
    dims_open(l, &rest, t->n_dims - phase.n_tasks, t->dims + phase.n_tasks);
    Node *x = read_at(l, t);
    Statement *s = emit(l, S_REQUIRE);
    s->condition =
        node_binary(l->c, N_AND, node_binary(l->c, N_LE, t->lo, x), node_binary(l->c, N_LT, x, t->hi));
    s->check = l->kernel->checks.n - 1;
    nest_close(l, &rest);
    phase_close(l, &root, phase);
}

static IndexSet bound_by(unsigned n_tasks, Index **tasks)
{
    IndexSet bound = {{0}};
    for (unsigned k = 0; k < n_tasks; k++) set_add(&bound, tasks[k]->id);
    return bound;
}

void lower_steps(Lower *l, const Stage *s, const IndexSet *bound)
{
    IndexSet stepping = *bound;
    set_add(&stepping, s->axis->id);
    Loop loop;
    loop_open(l, &loop, s->axis, whole_range(l, s->axis));
    loop.down = s->step < 0;
    for (uint32_t k = 0; k < s->steps.n; k++) lower_equation(l, s->steps.at[k]->equation, &stepping);
    loop_close(l, &loop);
    for (uint32_t k = 0; k < s->after.n; k++) lower_equation(l, s->after.at[k]->equation, bound);
}

const char *stage_title(Lower *l, const Stage *s)
{
    const Stage *first = s->equation ? s : s->steps.at[0];
    return format(l->c, "%s %s", stage_name(s->kind), first->equation->tensor->name);
}

/* The plan's choice, or all dims that the equation does not run innermost. */
static void choose_tasks(Lower *l, const Stage *s, Phase *phase)
{
    phase->n_tasks = s->n_tasks;
    phase->tasks = s->tasks;
    if (!l->schedule.many_tasks || !s->equation) return;
    const Tensor *t = s->equation->tensor;
    IndexSet inner = plan_inner(l->c, s->equation);
    phase->n_tasks = 0;
    phase->tasks = NEW_ARRAY(l->c, Index *, t->n_dims);
    for (unsigned k = 0; k < t->n_dims; k++)
        if (!set_has(&inner, t->dims[k]->id)) phase->tasks[phase->n_tasks++] = t->dims[k];
}

static const char *how_it_runs(const Lower *l, const Stage *s)
{
    if (s->kind == STAGE_SCAN)
        return format(l->c, "step by step along %s%s", s->axis->name, s->step < 0 ? ", downwards" : "");
    return l->rows ? "whole rows in scratch memory" : "plain loops";
}

/* By the code that a block of a GPU, or vectors of a CPU, have for its kind. */
static bool lower_kind(Lower *l, const Stage *s)
{
    l->plain = NULL;
    bool cuda = l->schedule.target == TARGET_CUDA;
    if (s->kind == STAGE_PAIRWISE && (cuda ? lower_tiles(l, s) : lower_strips(l, s))) return true;
    if (s->kind == STAGE_SCAN) return cuda && lower_recurrence(l, s);
    const char *why = l->plain;
    if (!cuda || (s->kind != STAGE_CONTRACT && s->kind != STAGE_PAIRWISE && s->kind != STAGE_MAP))
        return false;
    if (lower_product(l, s)) return true;
    if (s->kind != STAGE_CONTRACT) l->plain = why;
    return false;
}

static void lower_stage(Lower *l, const Stage *s)
{
    for (uint32_t k = 0; k < l->riders.n; k++)
        if (l->riders.at[k] == s->equation) return;
    if (lower_kind(l, s)) return;
    Phase phase = {.name = stage_title(l, s), .plain = l->plain};
    l->rows = false;
    choose_tasks(l, s, &phase);
    IndexSet bound = bound_by(phase.n_tasks, phase.tasks);
    Scope root;
    phase_open(l, &root, phase.n_tasks, phase.tasks);
    if (s->kind == STAGE_SCAN)
        lower_steps(l, s, &bound);
    else
        lower_equation(l, s->equation, &bound);
    phase.how = how_it_runs(l, s);
    phase_close(l, &root, phase);
}

Kernel *lower(Compilation *c, const Plan *plan, Schedule schedule)
{
    Kernel *k = NEW(c, Kernel);
    k->pattern = plan->graph->pattern;
    Lower l = {.c = c, .plan = plan, .kernel = k, .schedule = schedule};
    lower_checks(&l);
    lower_buffers(&l);
    for (uint32_t t = 0; t < k->pattern->tensors.n; t++)
        if (k->pattern->tensors.at[t]->lo && !k->pattern->tensors.at[t]->body)
            lower_data_check(&l, k->pattern->tensors.at[t]);
    for (uint32_t s = 0; s < plan->stages.n; s++) {
        uint32_t first = k->phases.n;
        lower_stage(&l, plan->stages.at[s]);
        for (uint32_t p = first; p < k->phases.n; p++) k->phases.at[p].stage = s + 1;
    }
    share_scratch(c, k, schedule.target == TARGET_CPU);
    return k;
}
