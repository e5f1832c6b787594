/* Halving: its boxes are disjoint and make up the whole, their classes and points are those of the condition
 * written in C, and sets of points are equal if and only if their identities are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "compiler/halving.h"
#include "script.h"

enum { ROWS = 90, COLUMNS = 130 };

typedef bool Condition2(int64_t i, int64_t j);
static bool causal(int64_t i, int64_t j) { return j <= i; }
static bool window(int64_t i, int64_t j) { return j <= i && i - j < 9; }
static bool dilated(int64_t i, int64_t j) { return j <= i && (i - j) % 3 == 0; }
static bool product(int64_t i, int64_t j) { return i * j % 7 < 3; }
static bool blocks(int64_t i, int64_t j) { return i / 16 == j / 16 || j < 4; }
static bool always(int64_t i, int64_t j) { return i + j >= 0; }
static bool never(int64_t i, int64_t j) { return i + j < 0; }

/* Both texts are the same set. */
static const struct {
    Condition2 *holds;
    const char *text, *also;
} cases[] = {
    {causal, "j <= i", "not (i * i < i * j) and (i > 0 or j == 0)"},
    {window, "j <= i and i - j < 9", "(j <= i and i - j < 8) or i == j + 8"},
    {dilated, "j <= i and (i - j) % 3 == 0", "i >= j and i % 3 == j % 3"},
    {product, "i * j % 7 < 3", "i * j - 7 * (i * j // 7) <= 2"},
    {blocks, "i // 16 == j // 16 or j < 4", "(i >> 4) == (j >> 4) or j // 4 == 0"},
    {always, "i + j >= 0", "i * j * i * j >= 0"},
    {never, "i + j < 0", "i * j * i * j < 0"},
};

typedef struct Seen {
    Condition2 *holds;
    unsigned times[ROWS][COLUMNS];
    unsigned boxes[3], points;
} Seen;

static void look(void *context, const HalvingBox *box, HalvingClass class, const bool *holds)
{
    Seen *seen = context;
    seen->boxes[class]++;
    cr_assert((holds != NULL) == (class == HALVING_PARTIAL));
    for (int64_t i = box->lo[0]; i < box->hi[0]; i++)
        for (int64_t j = box->lo[1]; j < box->hi[1]; j++) {
            bool here = holds ? *holds++ : class == HALVING_FULL;
            cr_assert(here == seen->holds(i, j), "(%d, %d) is in a box of class %d", (int)i, (int)j,
                      (int)class);
            seen->times[i][j]++;
            seen->points += class == HALVING_PARTIAL;
        }
}

static uint64_t halve(const char *condition, Condition2 *holds, double leaf, Seen *seen)
{
    char text[512];
    snprintf(text, sizeof text, "pattern p() over b: x[i], y[j] -> o[i] { o = sum[j](1.0 where %s) }\n",
             condition);
    SCRIPT(s, text);
    script_size(s, "i", ROWS);
    script_size(s, "j", COLUMNS);
    const Node *sum = s->pattern->equations.at[0]->body;
    while (sum->op != N_REDUCE) sum = sum->args[sum->n_args - 1];
    Index *variables[] = {NULL, sum->vars[0]};
    for (uint32_t k = 0; k < s->pattern->indices.n; k++)
        if (!strcmp(s->pattern->indices.at[k]->name, "i")) variables[0] = s->pattern->indices.at[k];
    Halving *h = halving_new(&s->c, binder_where(sum), 2, variables, &s->arguments);
    cr_assert(h, "%s", condition);
    *seen = (Seen){.holds = holds};
    HalvingOptions options = {leaf, 1e9, look, seen};
    HalvingBox whole = {{0, 0}, {ROWS, COLUMNS}};
    uint64_t identity;
    cr_assert(halving_run(h, &whole, &options, &identity));
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned j = 0; j < COLUMNS; j++)
            cr_assert(seen->times[i][j] == 1, "(%u, %u) of %s", i, j, condition);
    script_free(s);
    return identity;
}

Test(halving, boxes_and_identities)
{
    static Seen seen;
    enum { N = sizeof cases / sizeof *cases };
    uint64_t identity[N];
    for (size_t k = 0; k < N; k++) {
        identity[k] = halve(cases[k].text, cases[k].holds, 16, &seen);
        cr_assert(identity[k] == halve(cases[k].also, cases[k].holds, 16, &seen), "%s", cases[k].also);
        for (size_t i = 0; i < k; i++) cr_assert(identity[i] != identity[k], "%s", cases[k].text);
        halve(cases[k].text, cases[k].holds, HALVING_LEAF, &seen);
    }
}

Test(halving, few_points_are_evaluated)
{
    static Seen seen;
    halve("j <= i and i - j < 9", window, 16, &seen);
    cr_assert(seen.points < ROWS * COLUMNS / 4, "%u", seen.points);
    cr_assert(seen.boxes[HALVING_EMPTY] > 0 && seen.boxes[HALVING_FULL] > 0);
    halve("i + j >= 0", always, 16, &seen);
    cr_assert(seen.points == 0 && seen.boxes[HALVING_FULL] == 1);
}
