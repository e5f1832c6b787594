/* See pairs.h. Conditions over separate variables multiply; in each part the space is halved as long as box.h
 * cannot tell whether the condition holds in all of it or nowhere, and counted point by point when it is
 * small. */
#include "pairs.h"

#include "box.h"
#include "simplify.h"
#include "tape.h"
#include "walk.h"

enum { MOST = 15 };
static const double leaf = 1024;    /* points */
static const double budget = 3e9; /* instructions */

typedef struct Counting {
    Compilation *c;
    const InterpretArguments *arguments;
    unsigned n;
    Index *variables[MOST];
    Index *bounds[2 * MOST]; /* lo, hi of every side, as variables of may_hold and may_fail */
    Tape *test, *may_hold, *may_fail;
} Counting;

typedef struct Part {
    int64_t lo[MOST], hi[MOST];
} Part;

static double volume(const Counting *g, const Part *p)
{
    double n = 1;
    for (unsigned k = 0; k < g->n; k++) n *= (double)(p->hi[k] - p->lo[k]);
    return n;
}

static bool judge(Counting *g, Tape *t, const Part *p)
{
    const int64_t *points[2 * MOST];
    for (unsigned k = 0; k < g->n; k++) {
        points[2 * k] = &p->lo[k];
        points[2 * k + 1] = &p->hi[k];
    }
    return tape_run(t, 1, points)->i != 0;
}

static double count_points(Counting *g, const Part *p)
{
    int64_t at[MOST], points[MOST][TAPE_WIDTH];
    const int64_t *pointers[MOST];
    uint64_t left = (uint64_t)volume(g, p);
    double found = 0;
    for (unsigned k = 0; k < g->n; k++) {
        at[k] = p->lo[k];
        pointers[k] = points[k];
    }
    while (left > 0) {
        unsigned n = left < TAPE_WIDTH ? (unsigned)left : TAPE_WIDTH;
        left -= n;
        for (unsigned i = 0; i < n; i++) {
            for (unsigned k = 0; k < g->n; k++) points[k][i] = at[k];
            for (unsigned k = g->n; k-- > 0;) {
                if (++at[k] < p->hi[k]) break;
                at[k] = p->lo[k];
            }
        }
        const Scalar *values = tape_run(g->test, n, pointers);
        for (unsigned i = 0; i < n; i++) found += values[i].i != 0;
    }
    return found;
}

static bool is_too_long(const Counting *g)
{
    double work = tape_work(g->test);
    if (g->may_hold) work += 4 * tape_work(g->may_hold); /* for one point at a time */
    if (g->may_fail) work += 4 * tape_work(g->may_fail);
    return work > budget;
}

static double count_part(Counting *g, const Part *p)
{
    double size = volume(g, p);
    if (size <= 0 || is_too_long(g)) return 0;
    if (g->may_hold && !judge(g, g->may_hold, p)) return 0;
    if (g->may_fail && !judge(g, g->may_fail, p)) return size;
    if (size <= leaf) return count_points(g, p);
    unsigned longest = 0;
    for (unsigned k = 1; k < g->n; k++)
        if (p->hi[k] - p->lo[k] > p->hi[longest] - p->lo[longest]) longest = k;
    Part low = *p, high = *p;
    low.hi[longest] = high.lo[longest] = p->lo[longest] + (p->hi[longest] - p->lo[longest]) / 2;
    return count_part(g, &low) + count_part(g, &high);
}

static Index *bound_variable(Counting *g, const char *name) { return index_new(g->c, name, (Span){0, 0, 0}); }

static void make_judges(Counting *g, Node *test)
{
    Box box = {.n = g->n};
    for (unsigned k = 0; k < g->n; k++) {
        Index *lo = g->bounds[2 * k] = bound_variable(g, "lo"),
              *hi = g->bounds[2 * k + 1] = bound_variable(g, "hi");
        box.sides[k] = (BoxSide){g->variables[k], node_index(g->c, lo), node_index(g->c, hi)};
    }
    Node *hold = box_may_hold(g->c, &box, test), *fail = box_may_fail(g->c, &box, test);
    g->may_hold = tape_new(g->c, hold, 2 * g->n, g->bounds, g->arguments);
    g->may_fail = tape_new(g->c, fail, 2 * g->n, g->bounds, g->arguments);
}

/* One condition over all of its variables. */
static bool count_component(Compilation *c, Node *test, unsigned n, Index *const *variables,
                            const InterpretArguments *arguments, double *count)
{
    Counting g = {.c = c, .arguments = arguments, .n = n};
    Part all = {{0}, {0}};
    for (unsigned k = 0; k < n; k++) {
        g.variables[k] = variables[k];
        all.hi[k] = tape_extent(c, variables[k], arguments);
        if (all.hi[k] < 0) return false;
    }
    g.test = tape_new(c, test, n, variables, arguments);
    if (!g.test) return false;
    make_judges(&g, test);
    *count = count_part(&g, &all);
    return !is_too_long(&g);
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
                 const InterpretArguments *arguments, double *count)
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
        if (!count_component(c, conjunction(c, &mine), n, members, arguments, &part)) return false;
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
