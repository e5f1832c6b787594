/* Promised costs: the work that Loops execute may grow no faster than `cost` when extents are doubled: all of
 * them, and each one and each two that the cost names or whose positions matter (a mask that does not skip
 * grows with the keys that it leaves out). A factor that the cost lacks shows as 2; causal triangles that
 * become trapezoids, strips and blocks that are rounded up show as at most 3/2: the limit lies between. Terms
 * of a sum have unknown constants, so a sum may grow as its fastest term.
 *
 *     values_cost FILE.attn [PATTERN] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/command/call.h"
#include "compiler/execute.h"
#include "compiler/interpret.h"
#include "compiler/pipeline.h"

#define SLACK 1.6 /* of the growth of the cost */
enum { ENOUGH_WORK = 500000, MOST_BASE = 5000000, MOST_WORK = 200000000, INDICES = 64, FACTORS = 64 };

typedef struct Cost {
    Compilation *c;
    Pattern *pattern;
    Graph *graph;
    Kernel *kernel;
    bool named[INDICES], position[INDICES]; /* by Index.number: in the cost; used as a value */
    int64_t base[INDICES];
} Cost;

/* What a call took, and the numbers that the promise for it is made of by sums and products. */
typedef struct Measured {
    double work, factors[FACTORS];
    const char *wrong;
} Measured;

/* --- which indices --- */

static const Index *bound(const Index *index)
{
    while (!index->extent && index->root && index->root != index) index = index->root;
    return index->extent ? NULL : index;
}

static void see_named(void *context, const Node *n)
{
    Cost *cost = context;
    const Index *index = n->op == N_SIZE ? bound(n->index) : NULL;
    if (index) cost->named[index->number] = true;
}

/* A subscript that is an index alone is not what is looked for. */
static void see_position(void *context, const Node *n)
{
    Cost *cost = context;
    for (unsigned k = 0; n->op != N_READ && !node_is_binder(n) && k < n->n_args; k++) {
        const Index *index = n->args[k]->op == N_INDEX ? bound(n->args[k]->index) : NULL;
        if (index) cost->position[index->number] = true;
    }
}

/* --- one call --- */

/* Values of what sums and products of `n` are made of, from left to right. */
static const char *factors(Interpreter *in, Node *n, double *values, unsigned *count)
{
    if (n->op == N_TO_REAL) return factors(in, n->args[0], values, count);
    if (n->op == N_ADD || n->op == N_MUL) {
        const char *error = factors(in, n->args[0], values, count);
        return error ? error : factors(in, n->args[1], values, count);
    }
    Scalar value;
    const char *error = *count < FACTORS ? interpreter_scalar(in, n, &value) : "a cost of too many factors";
    if (!error) values[(*count)++] = n->type == TYPE_REAL ? value.r : (double)value.i;
    return error;
}

/* How much the promise grows. */
static double growth(const Node *n, const double *small, const double *large, unsigned *at)
{
    if (n->op == N_TO_REAL) return growth(n->args[0], small, large, at);
    if (n->op != N_ADD && n->op != N_MUL) {
        double ratio = small[*at] != 0 ? large[*at] / small[*at] : 1;
        ++*at;
        return ratio;
    }
    double a = growth(n->args[0], small, large, at), b = growth(n->args[1], small, large, at);
    return n->op == N_MUL ? a * b : a > b ? a : b;
}

static const char *promise(const Cost *cost, const Call *call, Measured *m)
{
    InterpretTensor *inputs = NEW_ARRAY(call->c, InterpretTensor, cost->pattern->tensors.n + 1);
    InterpretArguments a = {.extents = call->extents, .params = call->params, .tensors = inputs};
    for (uint32_t k = 0; k < cost->pattern->tensors.n; k++) {
        const CallTensor *t = &call->tensors[k];
        inputs[a.n_tensors++] = (InterpretTensor){t->tensor, t->data, t->data != NULL};
    }
    Interpreter *in = interpreter_new(cost->graph, &a);
    unsigned count = 0;
    const char *error = in ? factors(in, cost->pattern->cost, m->factors, &count) : "out of memory";
    if (error) error = format(call->c, "%s", error);
    interpreter_free(in);
    return error;
}

static Measured measure(const Cost *cost, const int64_t *extents)
{
    Compilation c;
    compilation_init(&c);
    Measured m = {0};
    static char wrong[256];
    if (setjmp(c.escape)) {
        snprintf(wrong, sizeof wrong, "%s", c.fatal);
        compilation_free(&c);
        return (Measured){.wrong = wrong};
    }
    Call call;
    CallResult result;
    call_init(&call, &c, cost->pattern, true);
    call.limit = MOST_WORK;
    for (uint32_t k = 0; k < cost->pattern->indices.n; k++) call.extents[k] = extents[k];
    const char *error = call_complete(&call, 1, false);
    if (!error) error = call_execute(&call, cost->kernel, &result);
    if (!error) error = promise(cost, &call, &m);
    if (!error) m.work = (double)result.operations;
    if (error) m.wrong = strncpy(wrong, error, sizeof wrong - 1);
    compilation_free(&c);
    return m;
}

/* --- growth --- */

static bool is_refusal(const char *wrong)
{
    return strstr(wrong, "condition") || strstr(wrong, "not in") || strstr(wrong, "check failed");
}

/* False: it grows too fast. `names` says what was doubled. */
static bool check_growth(const Cost *cost, const Measured *small, const int64_t *extents, const char *names)
{
    Measured large = measure(cost, extents);
    if (large.wrong && is_refusal(large.wrong)) return true;
    if (large.wrong) {
        bool large_only = strstr(large.wrong, "more operations") != NULL;
        printf("%s%s, %s doubled: %s\n", large_only ? "  " : "FAILED: ", cost->pattern->name, names,
               large.wrong);
        return large_only;
    }
    unsigned at = 0;
    double work = large.work / small->work;
    double promised = growth(cost->pattern->cost, small->factors, large.factors, &at);
    bool ok = work <= SLACK * (promised > 1 ? promised : 1);
    printf("%s%s, %s doubled: work %.3g -> %.3g, times %.2f; cost times %.2f\n", ok ? "  " : "FAILED: ",
           cost->pattern->name, names, small->work, large.work, work, promised);
    return ok;
}

/* All indices that are not ambient, as far as the pattern's conditions allow. */
static bool check_all(const Cost *cost, const Measured *small)
{
    int64_t extents[INDICES];
    Text names = {.c = cost->c};
    memcpy(extents, cost->base, sizeof extents);
    for (uint32_t k = 0; k < cost->pattern->indices.n; k++)
        if (!cost->pattern->indices.at[k]->ambient) extents[k] *= 2;
    Measured m = measure(cost, extents);
    for (uint32_t k = 0; m.wrong && is_refusal(m.wrong) && k < cost->pattern->indices.n; k++) {
        extents[k] = cost->base[k];
        m = measure(cost, extents);
    }
    for (uint32_t k = 0; k < cost->pattern->indices.n; k++)
        if (extents[k] != cost->base[k])
            text_add(&names, "%s%s", names.n ? ", " : "", cost->pattern->indices.at[k]->name);
    return !names.n || check_growth(cost, small, extents, names.at);
}

static bool matters(const Cost *cost, uint32_t k)
{
    return !cost->pattern->indices.at[k]->ambient && (cost->named[k] || cost->position[k]);
}

static unsigned check_each(const Cost *cost, const Measured *small)
{
    unsigned failed = 0;
    for (uint32_t k = 0; k < cost->pattern->indices.n; k++) {
        const char *name = cost->pattern->indices.at[k]->name;
        int64_t extents[INDICES];
        if (!matters(cost, k)) continue;
        memcpy(extents, cost->base, sizeof extents);
        extents[k] *= 2;
        failed += !check_growth(cost, small, extents, name);
        for (uint32_t i = 0; i < k; i++) {
            if (!matters(cost, i)) continue;
            extents[i] *= 2;
            const char *names = format(cost->c, "%s, %s", cost->pattern->indices.at[i]->name, name);
            failed += !check_growth(cost, small, extents, names);
            extents[i] = cost->base[i];
        }
    }
    return failed;
}

/* The example, doubled until there is something to count; not so much that all that follows is slow. */
static Measured choose_base(Cost *cost)
{
    Call call;
    call_init(&call, cost->c, cost->pattern, true);
    Measured m = {.wrong = call_complete(&call, 1, false)};
    if (m.wrong) return m;
    memcpy(cost->base, call.extents, sizeof *cost->base * cost->pattern->indices.n);
    m = measure(cost, cost->base);
    for (unsigned round = 0; round < 2 && !m.wrong && m.work < (double)ENOUGH_WORK; round++) {
        int64_t larger[INDICES];
        for (uint32_t k = 0; k < cost->pattern->indices.n; k++)
            larger[k] = cost->base[k] * (cost->pattern->indices.at[k]->ambient ? 1 : 2);
        Measured next = measure(cost, larger);
        if (next.wrong || next.work > (double)MOST_BASE) break;
        m = next;
        memcpy(cost->base, larger, sizeof larger);
    }
    return m;
}

static unsigned check_pattern(Pipeline *p, Pattern *pattern)
{
    Cost cost = {.c = p->c, .pattern = pattern};
    if (!pattern->cost) return 0;
    if (pattern->indices.n > INDICES) BUG(p->c, "more than %d indices", INDICES);
    cost.graph = pipeline_graph(p, pattern);
    cost.kernel = pipeline_kernel(p, pattern);
    node_visit(p->c, pattern->cost, see_named, &cost);
    for (uint32_t k = 0; k < pattern->equations.n; k++)
        node_visit(p->c, pattern->equations.at[k]->body, see_position, &cost);
    Measured small = choose_base(&cost);
    if (small.wrong) return printf("FAILED: %s: %s\n", pattern->name, small.wrong), 1;
    return !check_all(&cost, &small) + check_each(&cost, &small);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) return fprintf(stderr, "usage: %s FILE.attn [PATTERN]\n", argv[0]), 2;
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) return printf("%s: %s\n", argv[1], c.fatal), 1;
    PipelineOptions o = {.path = argv[1], .pattern = argc > 2 ? argv[2] : NULL};
    Pipeline p;
    pipeline_init(&p, &c, &o);
    unsigned failed = 0;
    if (!pipeline_check(&p)) {
        printf("%s\n%s", p.error ? p.error : "", diag_render(&c, DIAG_CARETS));
        failed = 1;
    }
    for (uint32_t k = 0; p.program && k < p.program->patterns.n; k++)
        failed += check_pattern(&p, p.program->patterns.at[k]);
    compilation_free(&c);
    return failed ? 1 : 0;
}
