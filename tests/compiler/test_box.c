/* Which boxes matter: random conditions over random boxes, all points of which are looked at. No box that is
 * called empty may hold a visible point, none that is called full a hidden one; and the answers must be worth
 * asking for. */
#include "boxes.h"
#include "world.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { INDICES = 3, TABLES = 2, PARAMS = 2, EXPRESSIONS = 20000, BOXES = 12 };

typedef struct Random {
    World *w;
    uint64_t state;
    unsigned n_indices;
    Index *indices[INDICES];
    Tensor *ints[TABLES], *bools[TABLES];
    Param *params[PARAMS];
    Scalar arguments[PARAMS];
    Values values;
    Space space;
} Random;

static int64_t between(Random *g, int64_t lo, int64_t hi) { return random_between(&g->state, lo, hi); }
static bool chance(Random *g, int percent) { return between(g, 1, 100) <= percent; }

/* ---- what there is ---- */

static Tensor *add_table(Random *g, Type type, const char *name)
{
    World *w = g->w;
    Values *v = &g->values;
    Index *a = g->indices[between(g, 0, g->n_indices - 1)], *b = g->indices[between(g, 0, g->n_indices - 1)];
    bool two = a != b && chance(g, 50), sorted = chance(g, 50);
    Tensor *t = world_input(w, name, type, NULL, two ? 2 : 1, a, b);
    Table *x = &v->tables[v->n_tables++];
    *x = (Table){.tensor = t, .shape = {w->extents[a->number], w->extents[b->number]}};
    int64_t n = x->shape[0] * (two ? x->shape[1] : 1), value = between(g, -3, 3);
    x->data = NEW_ARRAY(&w->c, int64_t, n);
    for (int64_t k = 0; k < n; k++) {
        value = sorted ? value + (between(g, 0, 2) == 0) : between(g, -4, 12);
        x->data[k] = type == TYPE_BOOL ? chance(g, 60) : value;
    }
    return t;
}

static void begin(Random *g, World *w, uint64_t seed)
{
    static const char *const names[] = {"i", "j", "l"};
    *g = (Random){.w = w, .state = seed * 0x9e3779b97f4a7c15u + 1};
    g->n_indices = (unsigned)between(g, 1, INDICES);
    g->values.extents = w->extents;
    g->values.params = g->arguments;
    for (unsigned k = 0; k < g->n_indices; k++)
        g->indices[k] = world_index(w, names[k], between(g, 1, g->n_indices == 3 ? 9 : 24));
    for (unsigned k = 0; k < g->n_indices; k++) space_add(&w->c, &g->space, g->indices[k]);
    for (unsigned k = 0; k < TABLES; k++) g->ints[k] = add_table(g, TYPE_INT, k ? "f" : "g");
    for (unsigned k = 0; k < TABLES; k++) g->bools[k] = add_table(g, TYPE_BOOL, k ? "m" : "n");
    for (unsigned k = 0; k < PARAMS; k++) {
        g->params[k] = NEW(&w->c, Param);
        *g->params[k] = (Param){.name = k ? "w" : "r", .type = TYPE_INT, .number = k};
        g->arguments[k].i = chance(g, 80) ? between(g, 1, 12) : between(g, -5, 0);
    }
}

/* ---- expressions of the language ---- */

static Node *predicate(Random *g, int depth);
static Node *number(Random *g, int depth);

static Node *small(Random *g)
{
    World *w = g->w;
    if (chance(g, 20)) return node_param(&w->c, g->params[between(g, 0, PARAMS - 1)]);
    if (chance(g, 10)) return node_size(&w->c, g->indices[between(g, 0, g->n_indices - 1)]);
    return INT(chance(g, 85) ? between(g, 1, 9) : between(g, -6, 0));
}

/* In range: the index itself, or cut off at the ends. Else guarded. */
static Node *read_table(Random *g, Tensor *t, int depth)
{
    World *w = g->w;
    Node *at[2];
    bool guarded = chance(g, 30);
    for (unsigned k = 0; k < t->n_dims; k++) {
        Node *last = BIN(SUB, node_size(&w->c, t->dims[k]), INT(1));
        at[k] = depth > 0 && chance(g, 40) ? number(g, depth - 1) : I(t->dims[k]);
        if (at[k]->op != N_INDEX && !guarded) at[k] = BIN(MIN, BIN(MAX, at[k], INT(0)), last);
    }
    return node_read(&w->c, t, at, guarded);
}

static Node *leaf(Random *g)
{
    World *w = g->w;
    if (chance(g, 75)) return I(g->indices[between(g, 0, g->n_indices - 1)]);
    return chance(g, 50) ? small(g) : read_table(g, g->ints[between(g, 0, TABLES - 1)], 0);
}

/* Products stay far below 2^63. */
static Node *product(Random *g, int depth)
{
    World *w = g->w;
    return BIN(MUL, number(g, depth > 1 ? 1 : depth - 1), chance(g, 80) ? small(g) : leaf(g));
}

static Node *divisor(Random *g) { return chance(g, 92) ? small(g) : leaf(g); }

static Node *number(Random *g, int depth)
{
    World *w = g->w;
    if (depth <= 0) return leaf(g);
    switch (between(g, 0, 13)) {
    case 0:
    case 1: return BIN(ADD, number(g, depth - 1), number(g, depth - 1));
    case 2:
    case 3:
    case 4: return BIN(SUB, number(g, depth - 1), number(g, depth - 1));
    case 5: return product(g, depth);
    case 6:
    case 7: return BIN(FLOORDIV, number(g, depth - 1), divisor(g));
    case 8:
    case 9: return BIN(MOD, number(g, depth - 1), divisor(g));
    case 10: return chance(g, 50) ? UN(ABS, number(g, depth - 1)) : UN(NEG, number(g, depth - 1));
    case 11: return BIN(MIN, number(g, depth - 1), number(g, depth - 1));
    case 12: return BIN(MAX, number(g, depth - 1), number(g, depth - 1));
    default: break;
    }
    if (chance(g, 40)) return read_table(g, g->ints[between(g, 0, TABLES - 1)], depth);
    if (chance(g, 30)) return UN(TO_INT, predicate(g, depth - 1));
    if (chance(g, 20)) return BIN(BITXOR, number(g, depth - 1), small(g)); /* not looked into */
    return IF(predicate(g, depth - 1), number(g, depth - 1), number(g, depth - 1));
}

static Node *comparison(Random *g, int depth)
{
    World *w = g->w;
    Node *a = number(g, depth), *b = chance(g, 50) ? small(g) : number(g, depth > 1 ? 1 : depth);
    switch (between(g, 0, 5)) {
    case 0: return BIN(EQ, a, b);
    case 1: return BIN(NE, a, b);
    case 2: return BIN(LT, a, b);
    case 3: return BIN(LE, a, b);
    case 4: return BIN(EQ, BIN(MOD, a, small(g)), INT(0));
    default: return BIN(AND, BIN(LE, INT(0), a), BIN(LT, a, b)); /* 0 <= a < b */
    }
}

static Node *predicate(Random *g, int depth)
{
    World *w = g->w;
    if (depth <= 0 || chance(g, 30))
        return chance(g, 15) ? read_table(g, g->bools[between(g, 0, TABLES - 1)], depth)
                             : comparison(g, depth > 2 ? 2 : depth);
    switch (between(g, 0, 6)) {
    case 0:
    case 1:
    case 2: return BIN(AND, predicate(g, depth - 1), predicate(g, depth - 1));
    case 3:
    case 4: return BIN(OR, predicate(g, depth - 1), predicate(g, depth - 1));
    case 5: return UN(NOT, predicate(g, depth - 1));
    default: return IF(predicate(g, depth - 1), predicate(g, depth - 1), predicate(g, depth - 1));
    }
}

/* ---- boxes ---- */

static void set_box(Random *g)
{
    for (unsigned k = 0; k < g->n_indices; k++) {
        int64_t n = g->w->extents[g->indices[k]->number], lo = between(g, 0, n - 1);
        int64_t most = chance(g, 50) && n - lo > 4 ? 4 : n - lo;
        space_set(&g->values, &g->space, k, lo, lo + between(g, 1, most));
    }
}

/* The same with literals for bounds, so that makers fold. */
static Box literal_box(Random *g)
{
    World *w = g->w;
    Box box = g->space.box;
    for (unsigned k = 0; k < g->n_indices; k++) {
        box.sides[k].lo = INT(g->values.index[g->space.lo[k]->id]);
        box.sides[k].hi = INT(g->values.index[g->space.hi[k]->id]);
    }
    return box;
}

static void try_predicate(Random *g, uint64_t seed, Verdicts *verdicts)
{
    Compilation *c = &g->w->c;
    Node *test = predicate(g, 3);
    Node *hold = box_may_hold(c, &g->space.box, test), *fail = box_may_fail(c, &g->space.box, test);
    for (int k = 0; k < BOXES; k++) {
        set_box(g);
        if (k == 0) {
            Box box = literal_box(g);
            hold = box_may_hold(c, &box, test);
            fail = box_may_fail(c, &box, test);
        }
        const char *wrong = box_judge(c, &g->values, &g->space, test, hold, fail, verdicts);
        cr_assert(!wrong, "seed %lu: %s", (unsigned long)seed, wrong);
        if (k == 0) {
            hold = box_may_hold(c, &g->space.box, test);
            fail = box_may_fail(c, &g->space.box, test);
        }
    }
}

static void try_number(Random *g, uint64_t seed, Verdicts *verdicts)
{
    Compilation *c = &g->w->c;
    Node *n = number(g, 3);
    Node *least = box_least(c, &g->space.box, n), *greatest = box_greatest(c, &g->space.box, n);
    for (int k = 0; k < BOXES; k++) {
        set_box(g);
        const char *wrong = box_judge_bounds(c, &g->values, &g->space, n, least, greatest, verdicts);
        cr_assert(!wrong, "seed %lu: %s", (unsigned long)seed, wrong);
    }
}

typedef void Try(Random *g, uint64_t seed, Verdicts *verdicts);

/* A compilation of its own for every expression. */
static void try_one(Try *try, uint64_t seed, Verdicts *verdicts)
{
    Random g;
    WORLD(w);
    begin(&g, w, seed);
    try(&g, seed, verdicts);
    world_free(w);
}

/* $ATTN_TEST_SEED is where seeds begin. */
static Verdicts try_many(Try *try, uint64_t count)
{
    const char *given = getenv("ATTN_TEST_SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 0;
    Verdicts verdicts = {0};
    for (uint64_t k = 0; k < count; k++) try_one(try, first + k, &verdicts);
    return verdicts;
}

#ifdef ATTN_SANITIZE
enum { COUNT = EXPRESSIONS / 8 };
#else
enum { COUNT = EXPRESSIONS };
#endif

#define ENOUGH(part, whole, percent) \
    cr_assert(100 * (part) >= (percent) * (whole), #part ": %lu of %lu", (unsigned long)(part), \
              (unsigned long)(whole))

Test(box, random_conditions)
{
    Verdicts v = try_many(try_predicate, COUNT);
    verdicts_print("conditions", &v);
    ENOUGH(v.exact, v.boxes, 85);
    ENOUGH(v.found_empty, v.empty, 82);
    ENOUGH(v.found_full, v.full, 80);
}

Test(box, random_bounds)
{
    Verdicts v = try_many(try_number, COUNT);
    verdicts_print("bounds", &v);
    ENOUGH(v.exact, v.boxes, 66);
}
