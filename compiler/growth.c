/* See growth.h.
 * Requires: a Plan. Breaks: nothing; it is only read. */
#include "growth.h"

#include <math.h>
#include <string.h>

#include "example.h"
#include "pairs.h"
#include "plan_internal.h"
#include "tape.h"

enum { MOST_SPACE = 12, SCALE = 4 };
static const double slack = 1.6, /* growth of terms is told apart by it: boundaries of blocks, triangles */
    enough = 2e7,                /* instructions for one count */
    least = 0.05;                /* share of the work of a term that is held against the promise */

/* What one sum or element runs over. */
typedef struct Space {
    Index *indices[MOST_SPACE];
    unsigned n;
    Node *test;
} Space;

typedef struct Measure {
    Compilation *c;
    const Plan *plan;
    Growth *out;
    const Equation *e;
    unsigned n_indices;
    Index **indices; /* quantities: bound indices, */
    Param **params;  /* then parameters */
    int64_t *extents;
    Scalar *values;
    InterpretArguments arguments;
    VEC(Space) spaces;
} Measure;

/* ---- quantities ---- */

static void choose_quantities(Measure *m)
{
    const Pattern *p = m->plan->graph->pattern;
    Compilation *c = m->c;
    unsigned most = p->indices.n + p->params.n + 1;
    m->indices = NEW_ARRAY(c, Index *, most);
    m->params = NEW_ARRAY(c, Param *, most);
    m->out->names = NEW_ARRAY(c, const char *, most);
    m->extents = NEW_ARRAY(c, int64_t, p->indices.n + 1);
    m->values = NEW_ARRAY(c, Scalar, p->params.n + 1);
    m->arguments = (InterpretArguments){.extents = m->extents, .params = m->values};
    for (uint32_t k = 0; k < p->indices.n; k++)
        if (!p->indices.at[k]->ambient) m->indices[m->out->n++] = p->indices.at[k];
    m->n_indices = m->out->n;
    for (uint32_t k = 0; k < p->params.n; k++)
        if (p->params.at[k]->type == TYPE_INT && !p->params.at[k]->fixed)
            m->params[m->out->n++ - m->n_indices] = p->params.at[k];
    for (unsigned k = 0; k < m->out->n; k++)
        m->out->names[k] = k < m->n_indices ? m->indices[k]->name : m->params[k - m->n_indices]->name;
}

static int64_t *quantity(Measure *m, unsigned k)
{
    return k < m->n_indices ? &m->extents[m->indices[k]->number]
                            : &m->values[m->params[k - m->n_indices]->number].i;
}

/* The pattern's conditions hold, and no position is negative, which is legal but leaves little to count. */
static bool allowed(Measure *m)
{
    const Pattern *p = m->plan->graph->pattern;
    for (uint32_t k = 0; k < p->indices.n; k++) {
        Scalar value;
        Node *origin = p->indices.at[k]->origin;
        if (origin && tape_value(m->c, origin, &m->arguments, &value) && value.i < 0) return false;
    }
    for (uint32_t k = 0; k < p->conditions.n; k++) {
        Scalar value;
        if (tape_value(m->c, p->conditions.at[k].test, &m->arguments, &value) && !value.i) return false;
    }
    return true;
}

static void example_sizes(Measure *m)
{
    const Pattern *p = m->plan->graph->pattern;
    for (uint32_t k = 0; k < p->indices.n; k++) m->extents[k] = example_extent(m->c, p, p->indices.at[k]);
    for (uint32_t k = 0; k < p->params.n; k++) {
        double value = example_param(m->c, p, p->params.at[k]);
        m->values[k] = p->params.at[k]->type == TYPE_REAL ? scalar_real(value) : scalar_int((int64_t)value);
    }
}

/* Extents so large that edges matter little. */
static void choose_base(Measure *m)
{
    example_sizes(m);
    for (unsigned k = 0; k < m->n_indices; k++) *quantity(m, k) *= SCALE;
    if (!allowed(m)) example_sizes(m);
}

/* ---- spaces ---- */

static void add_index(Space *s, Index *index)
{
    for (unsigned k = 0; k < s->n; k++)
        if (s->indices[k] == index) return;
    if (!index->ambient && s->n < MOST_SPACE) s->indices[s->n++] = index;
}

static Node *both(Compilation *c, Node *a, Node *b) { return node_binary(c, N_AND, a, b); }

/* That every variable of a binder is in its range, and its condition. */
static Node *test_of(Compilation *c, const Node *n)
{
    Node *test = node_bool(c, true);
    for (unsigned k = 0; k < n->n_vars; k++) {
        Node *at = node_index(c, n->vars[k]);
        if (!node_is_int(binder_lo(n, k), 0)) test = both(c, test, node_binary(c, N_LE, binder_lo(n, k), at));
        if (binder_hi(n, k) != node_size(c, n->vars[k]))
            test = both(c, test, node_binary(c, N_LT, at, binder_hi(n, k)));
    }
    return both(c, test, binder_where(n));
}

static void add_space(Measure *m, const Space *s)
{
    for (uint32_t k = 0; k < m->spaces.n; k++) {
        const Space *old = &m->spaces.at[k];
        if (old->test == s->test && old->n == s->n &&
            !memcmp(old->indices, s->indices, s->n * sizeof *s->indices))
            return;
    }
    PUSH(m->c, &m->spaces, *s);
}

/* A binder is evaluated once for everything that it depends on. */
static void add_binder(void *context, Node *n, const Binding *around)
{
    Measure *m = context;
    if (!node_is_binder(n)) return;
    Space s = {.test = test_of(m->c, n)};
    const Tensor *t = m->e->tensor;
    for (unsigned k = 0; k < t->n_dims; k++)
        if (node_depends_on(n, t->dims[k])) add_index(&s, t->dims[k]);
    for (const Binding *b = around; b && b->binder; b = b->outer) {
        bool inside = false;
        for (unsigned k = 0; k < b->binder->n_vars; k++)
            if (node_depends_on(n, b->binder->vars[k])) add_index(&s, b->binder->vars[k]), inside = true;
        if (inside) s.test = both(m->c, s.test, test_of(m->c, b->binder));
    }
    for (unsigned k = 0; k < n->n_vars; k++) add_index(&s, n->vars[k]);
    add_space(m, &s);
}

static void add_equation(Measure *m, const Equation *e)
{
    Space s = {.test = node_bool(m->c, true)};
    if (e->storing == INLINED) return;
    for (unsigned k = 0; k < e->tensor->n_dims; k++) add_index(&s, e->tensor->dims[k]);
    m->e = e;
    add_space(m, &s);
    walk(m->c, e->body, add_binder, m);
}

/* ---- counting ---- */

/* The conjuncts about the indices of the space alone, as far as they can be counted without data. *all: all
 * of them are. */
static Node *countable(Measure *m, const Space *s, bool *all)
{
    NodeList tests = {0}, kept = {0};
    IndexSet own = {{0}};
    for (unsigned k = 0; k < s->n; k++) set_add(&own, s->indices[k]->id);
    conjuncts(m->c, s->test, &tests);
    for (uint32_t k = 0; k < tests.n; k++) {
        Node *test = tests.at[k];
        if (!set_within(test->free, &own) || contains_op(m->c, test, N_READ) || contains_binder(m->c, test))
            continue;
        PUSH(m->c, &kept, test);
    }
    *all = kept.n == tests.n;
    return conjunction(m->c, &kept);
}

static double points(Measure *m, unsigned n, Index *const *indices, Node *test)
{
    Index *own[MOST_SPACE];
    unsigned n_own = 0;
    double others = 1, count = 1;
    for (unsigned k = 0; k < n; k++) {
        if (node_depends_on(test, indices[k])) {
            own[n_own++] = indices[k];
            continue;
        }
        int64_t extent = tape_extent(m->c, indices[k], &m->arguments);
        if (extent < 0) return NAN;
        others *= (double)extent;
    }
    uint32_t next = m->c->next_index; /* counting makes indices that nothing keeps; their number is limited */
    bool counted =
        node_is_bool(test, true) || pairs_count(m->c, test, n_own, own, &m->arguments, enough, &count);
    m->c->next_index = next;
    return counted ? count * others : NAN;
}

typedef double Value(Measure *m, const void *what);

static double value_of_space(Measure *m, const void *what)
{
    const Space *s = what;
    return points(m, s->n, s->indices, s->test);
}

/* All extents (`k` the number of quantities), or quantity k. */
static void scale(Measure *m, unsigned k, int64_t *const base, double by)
{
    for (unsigned q = 0; q < m->out->n; q++)
        *quantity(m, q) =
            q == k || (k == m->out->n && q < m->n_indices) ? (int64_t)((double)base[q] * by) : base[q];
}

/* How many times as much where quantity k is twice as large: beyond these sizes, or below them where
 * conditions of the pattern do not allow that. NAN: they allow neither. */
static double times_of(Measure *m, unsigned k, Value *value, const void *what)
{
    static const double ways[][2] = {{2, 4}, {0.25, 0.5}};
    int64_t *base = NEW_ARRAY(m->c, int64_t, m->out->n + 1);
    double times = NAN;
    for (unsigned q = 0; q < m->out->n; q++) base[q] = *quantity(m, q);
    for (unsigned way = 0; way < 2 && isnan(times); way++) {
        scale(m, k, base, ways[way][1]);
        if (!allowed(m)) continue;
        double above = value(m, what);
        scale(m, k, base, ways[way][0]);
        if (!allowed(m) || (k < m->out->n && *quantity(m, k) < 1)) continue;
        double below = value(m, what);
        if (below > 0) times = above / below;
    }
    scale(m, k, base, 1);
    return times;
}

/* The last one: of all extents together. */
static double *all_times(Measure *m, Value *value, const void *what)
{
    double *times = NEW_ARRAY(m->c, double, m->out->n + 1);
    for (unsigned k = 0; k <= m->out->n; k++) times[k] = times_of(m, k, value, what);
    return times;
}

/* ---- terms ---- */

static void add_factor(GrowthTerm *t, const char *name)
{
    if (t->n < GROWTH_FACTORS) t->factors[t->n++] = name;
}

/* An extent as `cost` has it: indices stand for theirs. */
static const char *extent_text(Compilation *c, Index *index)
{
    Text raw = {.c = c}, out = {.c = c};
    Node *extent = node_size(c, index);
    if (extent->op == N_SIZE) return extent->index->name;
    node_print(&raw, extent);
    text_add(&out, "(");
    for (const char *at = raw.at; *at; at++) {
        const char *close = strncmp(at, "size(", 5) ? NULL : strchr(at, ')');
        if (!close) {
            text_add_bytes(&out, at, 1);
            continue;
        }
        text_add_bytes(&out, at + 5, (size_t)(close - at - 5));
        at = close;
    }
    text_add(&out, ")");
    bool simple = extent->n_args == 0;
    return simple ? format(c, "%.*s", (int)out.n - 2, out.at + 1) : out.at;
}

static bool near_integer(double power, int *rounded)
{
    *rounded = (int)lround(power);
    return fabs(power - *rounded) <= 0.25 && *rounded >= 0;
}

/* Powers of the quantities from `first` to before `last`; false: the points do not grow as such a product
 * does. */
static bool add_powers(Measure *m, GrowthTerm *t, const double *times, unsigned first, unsigned last,
                       int *sum)
{
    *sum = 0;
    for (unsigned k = first; k < last; k++) {
        int power;
        if (!(times[k] > 0) || !near_integer(log2(times[k]), &power)) return false;
        *sum += power;
        for (; power > 0; power--) add_factor(t, m->out->names[k]);
    }
    return true;
}

/* The points of a space as a product of extents and parameters. Extents that bound each other, as those of
 * queries and keys in windows, have fewer powers together than each by itself: those of the queries come
 * first. */
static bool add_space_powers(Measure *m, GrowthTerm *t, const Space *own, const double *times)
{
    GrowthTerm indices = *t, params = {.n = 0};
    int sum, all, rest;
    if (!(times[m->out->n] > 0) || !near_integer(log2(times[m->out->n]), &all)) return false;
    if (!add_powers(m, &params, times, m->n_indices, m->out->n, &rest)) return false;
    if (!add_powers(m, &indices, times, 0, m->n_indices, &sum) || sum != all) {
        if (all > (int)own->n) return false;
        indices = *t;
        for (int k = 0; k < all; k++) add_factor(&indices, extent_text(m->c, own->indices[k]));
    }
    *t = indices;
    for (unsigned k = 0; k < params.n; k++) add_factor(t, params.factors[k]);
    return true;
}

static void add_term(Measure *m, const Space *space)
{
    Space counted = *space, own = {.n = 0};
    GrowthTerm t = {.n = 0};
    bool all;
    counted.test = own.test = countable(m, space, &all);
    bool known = !isnan(value_of_space(m, &counted));
    if (!known) counted.test = own.test = node_bool(m->c, true);
    t.at_most = !all || !known;
    for (unsigned k = 0; k < space->n; k++)
        if (node_depends_on(counted.test, space->indices[k])) own.indices[own.n++] = space->indices[k];
    bool powers = own.n && add_space_powers(m, &t, &own, all_times(m, value_of_space, &own));
    if (own.n && !powers) counted.test = node_bool(m->c, true), t.at_most = true;
    for (unsigned k = 0; k < space->n; k++) {
        Index *index = space->indices[k];
        bool told = powers && node_depends_on(counted.test, index);
        if (!told && node_size(m->c, index)->op != N_INT) add_factor(&t, extent_text(m->c, index));
    }
    t.base = value_of_space(m, &counted);
    t.times = all_times(m, value_of_space, &counted);
    PUSH(m->c, &m->out->terms, t);
}

static bool divides(const GrowthTerm *a, const GrowthTerm *b)
{
    bool taken[GROWTH_FACTORS] = {false};
    unsigned found = 0;
    for (unsigned k = 0; k < a->n; k++)
        for (unsigned n = 0; n < b->n; n++)
            if (!taken[n] && !strcmp(a->factors[k], b->factors[n])) {
                taken[n] = true;
                found++;
                break;
            }
    return found == a->n;
}

/* Is a no more than b, and does it grow no faster, whatever grows? */
static bool is_below(const Measure *m, const GrowthTerm *a, const GrowthTerm *b)
{
    if (divides(a, b)) return true;
    if (!(a->base <= b->base) && !isnan(a->base)) return false;
    for (unsigned k = 0; k <= m->out->n; k++)
        if (!(a->times[k] <= b->times[k] * 1.25) && !(isnan(a->times[k]) && isnan(b->times[k]))) return false;
    return true;
}

static void drop_small_terms(Measure *m)
{
    Growth *g = m->out;
    bool *below = NEW_ARRAY(m->c, bool, g->terms.n + 1);
    uint32_t kept = 0;
    for (uint32_t a = 0; a < g->terms.n; a++)
        for (uint32_t b = 0; b < g->terms.n && !below[a]; b++) {
            bool twin = is_below(m, &g->terms.at[b], &g->terms.at[a]);
            below[a] =
                a != b && !below[b] && is_below(m, &g->terms.at[a], &g->terms.at[b]) && (!twin || b < a);
        }
    for (uint32_t k = 0; k < g->terms.n; k++)
        if (!below[k]) g->terms.at[kept++] = g->terms.at[k];
    g->terms.n = kept;
}

/* ---- text ---- */

static void print_factors(Text *out, const GrowthTerm *t, unsigned n)
{
    for (unsigned k = 0; k < n; k++) text_add(out, "%s%s", k ? " * " : "", t->factors[k]);
    if (!n) text_add(out, "1");
}

static bool same_but_last(const GrowthTerm *a, const GrowthTerm *b)
{
    if (a->n != b->n || a->n < 2) return false;
    for (unsigned k = 0; k + 1 < a->n; k++)
        if (strcmp(a->factors[k], b->factors[k])) return false;
    return true;
}

/* `i * d + i * e` as `i * (d + e)`. */
static const char *derived_text(Measure *m)
{
    Text out = {.c = m->c};
    Growth *g = m->out;
    bool *told = NEW_ARRAY(m->c, bool, g->terms.n + 1);
    for (uint32_t a = 0; a < g->terms.n; a++) {
        const GrowthTerm *t = &g->terms.at[a];
        Text last = {.c = m->c};
        unsigned n = 0;
        g->at_most = g->at_most || t->at_most;
        if (told[a]) continue;
        for (uint32_t b = a; b < g->terms.n; b++) {
            if (b != a && (told[b] || !same_but_last(t, &g->terms.at[b]))) continue;
            told[b] = true;
            if (t->n) text_add(&last, "%s%s", n++ ? " + " : "", g->terms.at[b].factors[t->n - 1]);
        }
        text_add(&out, "%s", out.n ? " + " : "");
        if (n > 1) {
            print_factors(&out, t, t->n - 1);
            text_add(&out, " * (%s)", last.at);
        } else
            print_factors(&out, t, t->n);
    }
    return out.n ? out.at : "1";
}

/* ---- the promise ---- */

typedef struct Part {
    Node *n;
} Part;

static double value_of_node(Measure *m, const void *what)
{
    const Part *p = what;
    Scalar value;
    if (!tape_value(m->c, p->n, &m->arguments, &value)) return NAN;
    return p->n->type == TYPE_REAL ? value.r : (double)value.i;
}

/* Of the fastest term: their constants are not known. */
static double promised_times(Measure *m, Node *n, unsigned k)
{
    if (n->op == N_TO_REAL) return promised_times(m, n->args[0], k);
    if (n->op != N_ADD && n->op != N_MUL) return times_of(m, k, value_of_node, &(Part){n});
    double a = promised_times(m, n->args[0], k), b = promised_times(m, n->args[1], k);
    return n->op == N_MUL ? a * b : fmax(a, b);
}

static void compare_with_promise(Measure *m)
{
    Growth *g = m->out;
    const Pattern *p = m->plan->graph->pattern;
    if (!p->cost) return;
    g->promised = NEW_ARRAY(m->c, double, g->n + 1);
    double all = 0;
    for (uint32_t t = 0; t < g->terms.n; t++) all += g->terms.at[t].base;
    for (unsigned k = 0; k <= g->n; k++) {
        g->promised[k] = promised_times(m, p->cost, k);
        for (uint32_t t = 0; t < g->terms.n && !g->faster; t++) {
            const GrowthTerm *term = &g->terms.at[t];
            bool matters = term->base > least * all && !term->at_most;
            if (matters && term->times[k] > slack * fmax(g->promised[k], 1))
                g->faster = k < g->n ? g->names[k] : "all extents";
        }
    }
}

static const char *source_text(Compilation *c, const Pattern *p)
{
    if (!p->ast || !p->ast->cost) return NULL;
    Span span = p->ast->cost->span;
    return format(c, "%.*s", (int)(span.to - span.from), c->sources.at[span.source].text + span.from);
}

Growth *growth(Compilation *c, const Plan *plan)
{
    Growth *g = NEW(c, Growth);
    Measure m = {.c = c, .plan = plan, .out = g};
    choose_quantities(&m);
    choose_base(&m);
    for (uint32_t k = 0; k < plan->equations.n; k++) add_equation(&m, plan->equations.at[k]);
    for (uint32_t k = 0; k < m.spaces.n; k++) add_term(&m, &m.spaces.at[k]);
    drop_small_terms(&m);
    g->derived = derived_text(&m);
    g->promise = source_text(c, plan->graph->pattern);
    compare_with_promise(&m);
    return g;
}
