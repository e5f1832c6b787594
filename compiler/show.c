/* See show.h: which maps there are, and their conditions over tensors with data. */
#include "show.h"

#include "plan_internal.h"
#include "tape.h"

/* ---- maps ---- */

/* Indices that the condition is not about multiply counts, but change no picture. */
static void add_variables(ShowMap *map)
{
    const Stream *s = &map->stream;
    for (unsigned k = 0; k < s->n_dims; k++)
        if (s->variables[k]->ambient && node_depends_on(s->test, s->variables[k]) && map->n < HALVING_MOST)
            map->variables[map->n++] = s->variables[k];
    map->n_others = map->n;
    for (unsigned k = 0; k < s->n_dims; k++)
        if (!s->variables[k]->ambient && map->n < HALVING_MOST) map->variables[map->n++] = s->variables[k];
    map->n_rows = map->n - map->n_others;
    for (unsigned k = s->n_dims; k < s->n_variables; k++)
        if (map->n < HALVING_MOST) map->variables[map->n++] = s->variables[k];
    map->n_columns = map->n - map->n_others - map->n_rows;
}

static bool is_known(const ShowMapList *list, uint32_t from, const Stream *s)
{
    for (uint32_t k = from; k < list->n; k++)
        if (streams_same(&list->at[k].stream, s)) return true;
    return false;
}

static void add_stage(Compilation *c, const Stage *stage, ShowMapList *list)
{
    StreamList streams = {0};
    uint32_t first = list->n;
    streams_find(c, stage, &streams);
    for (uint32_t k = 0; k < streams.n; k++) {
        const Stream *s = &streams.at[k];
        if (s->n_variables > HALVING_MOST || is_known(list, first, s)) continue;
        ShowMap map = {.stage = stage,
                       .stream = *s,
                       .test = s->test,
                       .condition = s->test,
                       .name = stage->equation->tensor->name};
        add_variables(&map);
        PUSH(c, list, map);
    }
    for (uint32_t k = first; list->n > first + 1 && k < list->n; k++)
        list->at[k].name = format(c, "%s.%u", list->at[k].name, k - first + 1);
}

void show_maps(Compilation *c, const Plan *plan, ShowMapList *list)
{
    for (uint32_t k = 0; k < plan->stages.n; k++) add_stage(c, plan->stages.at[k], list);
}

bool show_is_masked(const ShowMap *map) { return !node_is_bool(map->stream.test, true); }

/* ---- conditions over tensors with data ---- */

typedef struct Preparing {
    Compilation *c;
    const Plan *plan;
    VEC(Tensor *) computed; /* equations that stay READs */
    bool numbers, changed;
} Preparing;

static void find_large(void *context, Node *n, const Binding *around)
{
    bool *large = context;
    (void)around;
    bool small = n->op == N_REDUCE && (n->kind == REDUCE_ANY || n->kind == REDUCE_ALL);
    *large = *large || n->data || (node_is_binder(n) && !(small && n->n_vars <= 3));
}

/* An equation that is read like a condition: no selection, no sum, nothing that recurs. */
static bool is_condition(Preparing *x, const Equation *e)
{
    bool large = e->tensor->data || e->tensor->group > 0 || e->tensor->type == TYPE_REAL;
    walk(x->c, e->body, find_large, &large);
    return !large;
}

static Node *put_in(void *context, Compilation *c, Node *n)
{
    Preparing *x = context;
    const Equation *e = n->op == N_READ ? plan_equation(x->plan, n->tensor) : NULL;
    if (n->op == N_READ && !e && n->tensor->type == TYPE_REAL) x->numbers = true;
    if (!e) return n;
    if (is_condition(x, e)) {
        x->changed = true;
        return node_substitute(c, e->body, n->tensor->n_dims, n->tensor->dims, n->args);
    }
    x->numbers = true;
    for (uint32_t k = 0; k < x->computed.n; k++)
        if (x->computed.at[k] == n->tensor) return n;
    PUSH(c, &x->computed, n->tensor);
    return n;
}

static Node *put_all_in(Preparing *x, Node *test)
{
    do {
        x->changed = false;
        test = node_rewrite(x->c, test, put_in, x);
    } while (x->changed);
    return test;
}

bool show_needs_numbers(Compilation *c, const Plan *plan, const ShowMap *map)
{
    Preparing x = {.c = c, .plan = plan};
    put_all_in(&x, map->test);
    return x.numbers;
}

static const char *evaluate(Compilation *c, Interpreter *in, Tensor *t, const InterpretArguments *arguments,
                            InterpretTensor *out)
{
    double n = 1;
    for (unsigned k = 0; k < t->n_dims; k++) n *= (double)tape_extent(c, t->dims[k], arguments);
    if (!(n >= 0) || n > 0x1p26) return format(c, "'%s' would have %.3g elements to compute", t->name, n);
    *out = (InterpretTensor){t, arena_alloc(c, (size_t)n * 8 + 1), true};
    const char *wrong = interpreter_evaluate(in, t, out->data);
    return wrong ? format(c, "'%s' of the mask cannot be computed here: %s", t->name, wrong) : NULL;
}

/* Equations of the plan alone get their bodies for the time being. */
static const char *evaluate_all(Preparing *x, InterpretArguments *arguments, InterpretTensor *list)
{
    bool *made = NEW_ARRAY(x->c, bool, x->plan->equations.n + 1);
    const char *wrong = NULL;
    for (uint32_t k = 0; k < x->plan->equations.n; k++) {
        Equation *e = x->plan->equations.at[k];
        made[k] = !e->tensor->body;
        if (made[k]) e->tensor->body = e->body;
    }
    Interpreter *in = interpreter_new(x->plan->graph, arguments);
    if (!in) wrong = "out of memory";
    for (uint32_t k = 0; !wrong && k < x->computed.n; k++)
        wrong = evaluate(x->c, in, x->computed.at[k], arguments, &list[k]);
    interpreter_free(in);
    for (uint32_t k = 0; k < x->plan->equations.n; k++)
        if (made[k]) x->plan->equations.at[k]->tensor->body = NULL;
    return wrong;
}

/* Data for what is in `x->computed`. */
static const char *compute(Preparing *x, InterpretArguments *arguments, uint64_t limit)
{
    unsigned n = arguments->n_tensors;
    InterpretTensor *list = NEW_ARRAY(x->c, InterpretTensor, n + x->computed.n);
    for (unsigned k = 0; k < n; k++) list[k] = arguments->tensors[k];
    InterpretArguments own = *arguments;
    own.limit = limit;
    const char *wrong = evaluate_all(x, &own, list + n);
    arguments->tensors = list;
    arguments->n_tensors = n + x->computed.n;
    return wrong;
}

/* A condition that is too much for a tape (it has sums of its own) becomes a table of all pairs. */
static const char *tabulate(Preparing *x, ShowMap *map, InterpretArguments *arguments, uint64_t limit)
{
    Node *at[HALVING_MOST];
    Tensor *table = plan_tensor(x->c, "mask", TYPE_BOOL, map->n, map->variables);
    table->body = map->test;
    for (unsigned k = 0; k < map->n; k++) at[k] = node_index(x->c, map->variables[k]);
    x->computed.n = 0;
    PUSH(x->c, &x->computed, table);
    map->test = node_read(x->c, table, at, false);
    return compute(x, arguments, limit);
}

const char *show_prepare(Compilation *c, const Plan *plan, ShowMap *map, InterpretArguments *arguments,
                         uint64_t limit)
{
    Preparing x = {.c = c, .plan = plan};
    map->test = map->condition = put_all_in(&x, map->test);
    const char *wrong = x.computed.n ? compute(&x, arguments, limit) : NULL;
    if (wrong || tape_new(c, map->test, map->n, map->variables, arguments)) return wrong;
    return tabulate(&x, map, arguments, limit);
}
