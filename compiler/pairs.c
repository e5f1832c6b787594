/* See pairs.h. Conditions over separate variables multiply; each part is counted by halving. */
#include "pairs.h"

#include "halving.h"
#include "simplify.h"
#include "tape.h"

enum { MOST = HALVING_MOST };

typedef struct Counting {
    const Halving *halving;
    double found;
} Counting;

static void add_box(void *context, const HalvingBox *box, HalvingClass class, const bool *holds)
{
    Counting *g = context;
    if (class == HALVING_EMPTY) return;
    double size = halving_volume(g->halving, box);
    if (class == HALVING_FULL) g->found += size;
    for (size_t k = 0; holds && k < (size_t)size; k++) g->found += holds[k];
}

/* One condition over all of its variables. */
static bool count_component(Compilation *c, Node *test, unsigned n, Index *const *variables,
                            const InterpretArguments *arguments, double budget, double *count)
{
    Halving *h = halving_new(c, test, n, variables, arguments);
    HalvingBox all = {{0}, {0}};
    if (!h) return false;
    for (unsigned k = 0; k < n; k++) {
        all.hi[k] = tape_extent(c, variables[k], arguments);
        if (all.hi[k] < 0) return false;
    }
    Counting g = {h, 0};
    HalvingOptions options = {HALVING_LEAF, budget, add_box, &g};
    if (!halving_run(h, &all, &options, NULL)) return false;
    *count = g.found;
    return true;
}

/* Variables of the conjuncts that hang together with variable `first`; they are taken out of `open`. */
static unsigned component(const NodeList *tests, bool *taken, unsigned n, Index *const *variables, bool *open,
                          unsigned first, Index **members)
{
    unsigned count = 1;
    members[0] = variables[first];
    open[first] = false;
    for (unsigned m = 0; m < count; m++)
        for (uint32_t t = 0; t < tests->n; t++) {
            if (taken[t] || !node_depends_on(tests->at[t], members[m])) continue;
            taken[t] = true;
            for (unsigned k = 0; k < n; k++)
                if (open[k] && node_depends_on(tests->at[t], variables[k])) {
                    open[k] = false;
                    members[count++] = variables[k];
                }
        }
    return count;
}

bool pairs_count(Compilation *c, Node *test, unsigned n_variables, Index *const *variables,
                 const InterpretArguments *arguments, double budget, double *count)
{
    NodeList tests = {0};
    bool open[MOST];
    if (n_variables > MOST) return false;
    for (unsigned k = 0; k < n_variables; k++) open[k] = true;
    conjuncts(c, test, &tests);
    bool *taken = NEW_ARRAY(c, bool, tests.n + 1);
    *count = 1;
    for (unsigned first = 0; first < n_variables; first++) {
        if (!open[first]) continue;
        Index *members[MOST];
        bool before[MOST];
        NodeList mine = {0};
        for (uint32_t t = 0; t < tests.n && t < MOST; t++) before[t] = taken[t];
        if (tests.n > MOST) return false;
        unsigned n = component(&tests, taken, n_variables, variables, open, first, members);
        for (uint32_t t = 0; t < tests.n; t++)
            if (taken[t] && !before[t]) PUSH(c, &mine, tests.at[t]);
        double part;
        if (!count_component(c, conjunction(c, &mine), n, members, arguments, budget, &part)) return false;
        *count *= part;
    }
    for (uint32_t t = 0; t < tests.n; t++) { /* of no variable at all */
        Scalar value;
        if (taken[t]) continue;
        if (!tape_value(c, tests.at[t], arguments, &value)) return false;
        if (!value.i) *count = 0;
    }
    return true;
}
