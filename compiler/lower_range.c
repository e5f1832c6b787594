/* Ranges of the streamed indices that the lanes of a box can see (see lower_strip.h).
 *
 * Requires: a recognised sum. Ensures: a key outside of them is hidden from all lanes in the box. Breaks:
 * nothing. A condition such as `i - j < w or j < 4` has a range for each of its alternatives. */
#include "graph.h"
#include "lower_strip.h"

/* A disjunction of conjunctions. */
typedef struct Alternatives {
    NodeList tests[MOST_ALTERNATIVES];
    unsigned n;
} Alternatives;

static Alternatives alone(Strip *s, Node *test)
{
    Alternatives a = {.n = 1};
    PUSH(comp(s), &a.tests[0], test);
    return a;
}

static void add_tests(Strip *s, NodeList *to, const NodeList *tests)
{
    for (uint32_t k = 0; k < tests->n; k++) PUSH(comp(s), to, tests->at[k]);
}

/* Of more than fit, the condition is left as it is. */
static Alternatives alternatives(Strip *s, Node *n)
{
    if (n->op != N_AND && n->op != N_OR) return alone(s, n);
    Alternatives all = {.n = 0}, a = alternatives(s, n->args[0]), b = alternatives(s, n->args[1]);
    bool both = n->op == N_AND;
    if ((both ? a.n * b.n : a.n + b.n) > MOST_ALTERNATIVES) return alone(s, n);
    for (unsigned k = 0; k < a.n; k++)
        for (unsigned j = 0; j < (both ? b.n : 1); j++) {
            add_tests(s, &all.tests[all.n], &a.tests[k]);
            if (both) add_tests(s, &all.tests[all.n], &b.tests[j]);
            all.n++;
        }
    for (unsigned j = 0; !both && j < b.n; j++) all.tests[all.n++] = b.tests[j];
    return all;
}

/* Takes tests that the range says exactly out of the list. */
static Range range_under(Strip *s, unsigned k, const Box *lanes, NodeList *tests)
{
    Lower *l = s->l;
    IndexSet later = {{0}};
    for (unsigned j = 0; j < s->sum->n_vars; j++)
        if (j != k) set_add(&later, s->sum->vars[j]->id);
    Range whole = {binder_lo(s->sum, k), binder_hi(s->sum, k), NULL};
    Range range = tighten_interval(l, s->sum->vars[k], whole, tests, &later);
    Box box = *lanes;
    box.summaries = &l->summaries;
    Node *lo = box_least(comp(s), &box, range.lo), *hi = box_greatest(comp(s), &box, range.hi);
    return (Range){lo ? lo : whole.lo, hi ? hi : whole.hi, NULL};
}

Range strip_range(Strip *s, unsigned k, const Box *lanes)
{
    NodeList tests = {0};
    conjuncts(comp(s), s->where, &tests);
    return range_under(s, k, lanes, &tests);
}

/* May the tests that are about queries alone hold for a lane in the box? */
static Node *lanes_may_pass(Strip *s, const Box *lanes, const NodeList *tests)
{
    IndexSet streamed = set_of_vars(s->sum);
    Box box = *lanes;
    box.summaries = &s->l->summaries;
    Node *pass = node_bool(comp(s), true);
    for (uint32_t k = 0; k < tests->n; k++)
        if (!set_meets(tests->at[k]->free, &streamed))
            pass = binary(s, N_AND, pass, box_may_hold(comp(s), &box, tests->at[k]));
    return pass;
}

Ranges strip_ranges(Strip *s, const Box *lanes)
{
    Ranges ranges = {.n = 1};
    Node *always = node_bool(comp(s), true);
    ranges.at[0] = strip_range(s, 0, lanes);
    ranges.when[0] = always;
    Alternatives a = alternatives(s, s->where);
    Ranges each = {.n = a.n};
    for (unsigned k = 0; a.n > 1 && k < a.n; k++) {
        each.at[k] = range_under(s, 0, lanes, &a.tests[k]);
        each.when[k] = lanes_may_pass(s, lanes, &a.tests[k]);
        bool whole = each.at[k].lo == binder_lo(s->sum, 0) && each.at[k].hi == binder_hi(s->sum, 0);
        if (whole && each.when[k] == always) return ranges;
    }
    return a.n > 1 ? each : ranges;
}
