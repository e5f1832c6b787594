/* Which boxes matter, for every condition of the pattern library: `where` and `if` with the equations that
 * they name, over random boxes of all their indices. Tables and selections are drawn at random. */
#include "boxes.h"

#include "compiler/example.h"
#include "compiler/pipeline.h"
#include "compiler/walk.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOXES = 60, POINTS = 2000, ELEMENTS = 1 << 20 };

typedef struct Library {
    Compilation c;
    const Pattern *pattern;
    int64_t extents[64];
    Scalar params[64];
    Values values;
    VEC(Node *) tests;
    uint64_t random;
} Library;

/* ---- conditions ---- */

/* Equations without sums of their own stand where they are read, as the planner has them. */
static Node *inline_read(void *context, Compilation *c, Node *n)
{
    (void)context;
    const Tensor *t = n->op == N_READ ? n->tensor : NULL;
    if (!t || !t->body || t->group || t->type == TYPE_REAL || node_has_binder(c, t->body)) return n;
    Node *body = node_rewrite(c, t->body, inline_read, NULL);
    return node_substitutable(c, body, t->n_dims, t->dims, n->args)
               ? node_substitute(c, body, t->n_dims, t->dims, n->args)
               : n;
}

static void add_test(void *context, Node *n, const Binding *around)
{
    Library *l = context;
    (void)around;
    bool where = n->op == N_REDUCE || n->op == N_NORMALISE || n->op == N_SCAN;
    Node *test = where ? binder_where(n) : n->op == N_IF ? n->args[0] : NULL;
    if (!test || test->op == N_BOOL || test->free == set_empty(&l->c)) return;
    test = node_rewrite(&l->c, test, inline_read, NULL);
    for (uint32_t k = 0; k < l->tests.n; k++)
        if (l->tests.at[k] == test) return;
    PUSH(&l->c, &l->tests, test);
}

/* ---- data ---- */

static int64_t draw(Library *l, const Tensor *t, int64_t k, int64_t n)
{
    int64_t lo = -1, hi = 8;
    if (t->type == TYPE_BOOL) return random_between(&l->random, 0, 1);
    if (t->lo) lo = values_of(&l->c, &l->values, t->lo).i;
    if (t->hi) hi = values_of(&l->c, &l->values, t->hi).i;
    if (lo >= hi) return lo;
    return t->id % 2 ? lo + k * (hi - lo) / n : random_between(&l->random, lo, hi - 1);
}

static void add_table(void *context, const Node *n)
{
    Library *l = context;
    Values *v = &l->values;
    const Tensor *t = n->op == N_READ ? n->tensor : NULL;
    if (!t || t->type == TYPE_REAL || values_table(v, t) || v->n_tables == 64 || t->n_dims > 8) return;
    Table x = {.tensor = t};
    int64_t count = 1;
    for (unsigned d = 0; d < t->n_dims; d++) {
        x.shape[d] = values_extent(&l->c, v, t->dims[d]);
        count = x.shape[d] > 0 && count < ELEMENTS ? count * x.shape[d] : ELEMENTS;
    }
    if (count >= ELEMENTS) return;
    x.data = NEW_ARRAY(&l->c, int64_t, count);
    for (int64_t k = 0; k < count; k++) x.data[k] = draw(l, t, k, count);
    v->tables[v->n_tables++] = x;
}

/* ---- boxes ---- */

typedef struct Side {
    Library *l;
    Space *space;
    const Node *test;
} Side;

static void add_side(void *context, const Node *n)
{
    Side *side = context;
    if (n->op != N_INDEX || !set_has(side->test->free, n->index->id) || side->space->box.n == 16) return;
    for (unsigned k = 0; k < side->space->box.n; k++)
        if (side->space->variables[k] == n->index) return;
    space_add(&side->l->c, side->space, n->index);
}

/* False: an index has no coordinates. */
static bool set_box(Library *l, const Space *s)
{
    int64_t room = POINTS;
    bool small = random_between(&l->random, 0, 1);
    for (unsigned k = 0; k < s->box.n; k++) {
        int64_t n = values_extent(&l->c, &l->values, s->variables[k]);
        if (n < 1) return false;
        int64_t lo = random_between(&l->random, 0, n - 1), most = n - lo < room ? n - lo : room;
        if (small && most > 4) most = 4;
        int64_t size = s->variables[k]->ambient ? 1 : random_between(&l->random, 1, most);
        space_set(&l->values, s, k, lo, lo + size);
        room = room / size > 1 ? room / size : 1;
    }
    return true;
}

static void try_test(Library *l, const Node *test, Verdicts *verdicts)
{
    Space space = {0};
    Side side = {l, &space, test};
    node_visit(&l->c, test, add_side, &side);
    node_visit(&l->c, test, add_table, l);
    Node *hold = box_may_hold(&l->c, &space.box, (Node *)(uintptr_t)test);
    Node *fail = box_may_fail(&l->c, &space.box, (Node *)(uintptr_t)test);
    for (int k = 0; k < BOXES && set_box(l, &space); k++) {
        const char *wrong = box_judge(&l->c, &l->values, &space, test, hold, fail, verdicts);
        cr_assert(!wrong, "%s: %s", l->pattern->name, wrong);
    }
}

/* ---- patterns ---- */

static void begin(Library *l, const Pattern *p)
{
    l->pattern = p;
    l->tests.n = 0;
    l->values.n_tables = 0;
    l->values.extents = l->extents;
    l->values.params = l->params;
    for (uint32_t k = 0; k < p->indices.n; k++)
        l->extents[k] = example_extent(&l->c, p, p->indices.at[k]);
    for (uint32_t k = 0; k < p->params.n; k++) {
        double x = example_param(&l->c, p, p->params.at[k]);
        l->params[k] = p->params.at[k]->type == TYPE_REAL ? scalar_real(x) : scalar_int((int64_t)x);
    }
    values_changed(&l->values);
}

static void try_pattern(Library *l, const Graph *g, Verdicts *verdicts)
{
    begin(l, g->pattern);
    for (uint32_t k = 0; k < g->equations.n; k++) walk(&l->c, g->equations.at[k]->body, add_test, l);
    for (uint32_t k = 0; k < l->tests.n; k++) try_test(l, l->tests.at[k], verdicts);
}

static Verdicts total;
static unsigned n_patterns, n_judged;

static void try_file(const char *path)
{
    static Library library;
    Library *l = &library;
    memset(l, 0, sizeof *l);
    l->random = 88172645463325252u;
    compilation_init(&l->c);
    if (setjmp(l->c.escape)) cr_assert_fail("%s: %s", path, l->c.fatal);
    const char *include[] = {format(&l->c, "%s/patterns", getenv("ATTN_SOURCE"))};
    Pipeline p;
    pipeline_init(&p, &l->c, &(PipelineOptions){.path = path, .includes = include, .n_includes = 1});
    cr_assert(pipeline_check(&p), "%s: %s", path, diag_render(&l->c, DIAG_LINES));
    for (uint32_t k = 0; k < p.program->patterns.n; k++) {
        uint64_t before = total.boxes;
        try_pattern(l, pipeline_graph(&p, p.program->patterns.at[k]), &total);
        n_patterns++;
        n_judged += total.boxes > before;
    }
    compilation_free(&l->c);
}

static int visit(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info, (void)at;
    size_t n = strlen(path);
    if (type == FTW_F && n > 5 && !strcmp(path + n - 5, ".attn") && !strstr(path, "/std/")) try_file(path);
    return 0;
}

Test(box, library)
{
    const char *source = getenv("ATTN_SOURCE");
    char path[4096];
    cr_assert(source, "ATTN_SOURCE is not set");
    snprintf(path, sizeof path, "%s/patterns", source);
    cr_assert(nftw(path, visit, 16, FTW_PHYS) == 0);
    verdicts_print("library", &total);
    cr_assert(n_judged >= 80, "%u of %u patterns", n_judged, n_patterns);
    cr_assert(100 * total.exact >= 94 * total.boxes);
}
