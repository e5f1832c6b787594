/* Counting without doing: pairs against the oracle, and what a kernel stores against its execution. */
#include "compiler/census.h"
#include "compiler/execute.h"
#include "compiler/lower.h"
#include "compiler/pairs.h"
#include "compiler/tape.h"
#include "script.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- pairs ---- */

/* The sum counts keys: its condition at all queries against what the oracle adds. */
static void check_pairs(const char *condition, int64_t i, int64_t j)
{
    char text[1024];
    snprintf(text, sizeof text,
             "pattern p(w: int = 5, r: int = 3)\n over b: x[i], y[j] -> o[i]\n with f: int[i], g: int[j]\n"
             "{ o = sum[j](1.0 where %s) }\n",
             condition);
    SCRIPT(s, text);
    script_size(s, "b", 1);
    script_size(s, "i", i);
    script_size(s, "j", j);
    int64_t f[200], g[200];
    for (int64_t k = 0; k < 200; k++) f[k] = k / 7, g[k] = k * k % 11;
    script_int(s, "w", 5);
    script_int(s, "r", 3);
    script_bind(s, "f", f);
    script_bind(s, "g", g);
    script_random(s, "x");
    script_random(s, "y");
    const double *o = REALS(s, "o");
    double expected = 0, found = -1;
    for (int64_t k = 0; k < i; k++) expected += o[k];
    const Node *sum = s->pattern->equations.at[s->pattern->equations.n - 1]->body;
    while (sum->op != N_REDUCE) sum = sum->args[sum->n_args - 1];
    Index *variables[] = {s->pattern->indices.at[1], sum->vars[0]};
    for (uint32_t k = 0; k < s->pattern->indices.n; k++)
        if (!strcmp(s->pattern->indices.at[k]->name, "i")) variables[0] = s->pattern->indices.at[k];
    bool known = pairs_count(&s->c, binder_where(sum), 2, variables, &s->arguments, PAIRS_ENOUGH, &found);
    cr_assert(known, "%s cannot be counted", condition);
    cr_assert(found == expected, "%s, i = %d, j = %d: %g instead of %g", condition, (int)i, (int)j, found,
              expected);
    script_free(s);
}

Test(census, pairs_as_the_oracle_counts)
{
    static const char *const conditions[] = {"j <= i",
                                             "j <= i and i - j < w",
                                             "j <= i and (i - j) % r == 0",
                                             "abs(i - j) <= w or j < 2 or i < 3",
                                             "f == g",
                                             "f == g and j <= i",
                                             "i % 4 == 1 and j % 3 == 2",
                                             "(i // 8) % 2 == (j // 8) % 2",
                                             "i * j % 7 < 3",
                                             "not (i < j and j < 2 * i)"};
    for (size_t k = 0; k < sizeof conditions / sizeof *conditions; k++) {
        check_pairs(conditions[k], 150, 190);
        check_pairs(conditions[k], 1, 65);
        check_pairs(conditions[k], 0, 3);
    }
}

Test(census, pairs_of_large_spaces)
{
    SCRIPT(s, "pattern p() over b: x[i], y[j] -> o[i] { o = sum[j](1.0 where j <= i and i - j < 100) }");
    script_size(s, "i", 3000000);
    script_size(s, "j", 3000000);
    const Node *sum = s->pattern->equations.at[0]->body;
    while (sum->op != N_REDUCE) sum = sum->args[sum->n_args - 1];
    Index *variables[] = {NULL, sum->vars[0]};
    for (uint32_t k = 0; k < s->pattern->indices.n; k++)
        if (!strcmp(s->pattern->indices.at[k]->name, "i")) variables[0] = s->pattern->indices.at[k];
    double found;
    cr_assert(pairs_count(&s->c, binder_where(sum), 2, variables, &s->arguments, PAIRS_ENOUGH, &found));
    cr_assert(found == 100.0 * 3000000 - 100 * 99 / 2, "%.0f", found);
    script_free(s);
}

/* ---- work ---- */

/* Labels from -5 to 5, in no order. */
static void bind_labels(Script *s, const Tensor *t)
{
    size_t n = script_elements(s, t);
    int64_t *labels = NEW_ARRAY(&s->c, int64_t, n + 1);
    for (size_t k = 0; k < n; k++) labels[k] = (int64_t)(k * k * 7 % 11) - 5;
    script_bind(s, t->name, labels);
}

/* Everything that census says of stores is what happens, whatever is skipped and multiplied. */
static void check_work(const char *text, unsigned lanes, bool strips)
{
    SCRIPT(s, text);
    for (uint32_t k = 0; k < s->pattern->tensors.n; k++) {
        const Tensor *t = s->pattern->tensors.at[k];
        if (t->role != ROLE_OUTPUT && t->type == TYPE_REAL) script_random(s, t->name);
        if (t->role != ROLE_OUTPUT && t->type == TYPE_INT) bind_labels(s, t);
    }
    Kernel *kernel = lower(&s->c, plan_build(&s->c, s->graph), (Schedule){.lanes = lanes});
    InterpretTensor outputs[8];
    unsigned n = 0;
    for (uint32_t k = 0; k < s->pattern->tensors.n; k++) {
        const Tensor *t = s->pattern->tensors.at[k];
        if (t->role == ROLE_OUTPUT)
            outputs[n++] = (InterpretTensor){t, arena_alloc(&s->c, 8 * script_elements(s, t) + 8), true};
    }
    ExecuteCounts counts;
    const char *wrong = execute(&s->c, kernel, &s->arguments, outputs, n, NULL, &counts);
    cr_assert(!wrong, "%s", wrong);
    CensusPhase *phases = NEW_ARRAY(&s->c, CensusPhase, kernel->phases.n + 1);
    census(&s->c, kernel, &s->arguments, NULL, phases);
    double stores = 0, tasks = 0;
    bool in_strips = false;
    for (uint32_t p = 0; p < kernel->phases.n; p++) {
        cr_assert(phases[p].complete && phases[p].exact, "%s", kernel->phases.at[p].name);
        for (uint32_t b = 0; b < kernel->buffers.n; b++) stores += phases[p].written[b];
        stores += phases[p].spared_stores; /* execution makes them */
        tasks += phases[p].tasks;
        in_strips = in_strips || phases[p].lanes == lanes;
    }
    cr_assert(stores == (double)counts.stores, "%g stores instead of %llu: %s", stores,
              (unsigned long long)counts.stores, text);
    cr_assert(tasks == (double)counts.tasks);
    cr_assert(in_strips == strips || lanes == 0, "%s", text);
    script_free(s);
}

#define ATTENTION(where)                                                        \
    "pattern p(w: int = 9)\n over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]\n" \
    " example i = 75, j = 300, d = 3, e = 5\n"                                  \
    "{ index i from size(j) - size(i)\n o = sum[j](softmax[j](sum[d](q * k)" where ") * v) }\n"

#define LABELLED(where)                                                                          \
    "pattern p() over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]\n"                              \
    " with f: int[b, i], g: int[h, j] example b = 2, h = 3, i = 75, j = 90, d = 3, e = 5,\n"     \
    " f = integers(0, 4), g = integers(0, 4) { o = sum[j](softmax[j](sum[d](q * k) where " where \
    ") * v) }\n"

Test(census, stores_as_executed)
{
    static const char *const patterns[] = {
        ATTENTION(""), ATTENTION(" where j <= i"), ATTENTION(" where j <= i and i - j < w"),
        ATTENTION(" where j <= i and (i - j) % w == 0"), ATTENTION(" where j <= i or j % 7 < 2")};
    for (size_t k = 0; k < sizeof patterns / sizeof *patterns; k++) {
        check_work(patterns[k], 16, true);
        check_work(patterns[k], 8, true);
    }
    for (unsigned lanes = 4; lanes <= 32; lanes *= 2) { /* in the order of labels */
        check_work(LABELLED("f == g"), lanes, true);
        check_work(LABELLED("g == f and j <= i and i - j < 40 and (i + j) % 3 > 0"), lanes, true);
        check_work(LABELLED("f == g and (g > 1 or (f + j) % 3 == 1 or f < -2)"), lanes, true);
        check_work(LABELLED("f == g and f % 3 == g % 2 and j >= i"), lanes, true);
        check_work(LABELLED("f == g or j < 3"), lanes, true);
    }
    check_work("pattern p() over b: x[t, c] -> y[t, c] example t = 40, c = 5\n"
               "{ S[t] = 0.5 * S[t-1] + x\n y = S }",
               16, false);
    check_work("pattern p() over b: x[i, d], w[d, e] -> y[i, e] example i = 40, d = 5, e = 3\n"
               "{ y = sum[d](x * w where d <= i) }",
               16, false);
}
