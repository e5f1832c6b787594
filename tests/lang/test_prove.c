/* The prover of subscript safety: what it must prove, what it must not, and that it never errs (random
 * programs against all small assignments). */
#include "lang/prove.h"
#include "terms.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* b h i j t x y c d r m u p page: plain indices; n w dil: parameters; cb: blocks of 64 of j, fl: the grid
 * y x flattened, a: n blocks; ids: unranged, page_of: a table of pages, half: an equation, near: a mask,
 * step: a checked equation */
static World *world(Compilation *c)
{
    static const char *const plain[] = {"b", "h", "i", "j", "t", "x", "y",
                                        "c", "d", "r", "m", "u", "p", "page"};
    World *w = NEW(c, World);
    w->c = c;
    for (unsigned k = 0; k < sizeof plain / sizeof *plain; k++) world_index(w, plain[k], NULL);
    world_param(w, "n");
    world_param(w, "w");
    world_param(w, "dil");
    world_index(w, "cb", "(size(j) + 63) // 64");
    world_index(w, "fl", "size(y) * size(x)");
    world_index(w, "a", "n");
    world_tensor(w, "ids", TYPE_INT, "b i", NULL, NULL, NULL);
    world_tensor(w, "page_of", TYPE_INT, "b p", "0", "size(page)", NULL);
    world_tensor(w, "half", TYPE_INT, "i", NULL, NULL, "i // 2");
    world_tensor(w, "near", TYPE_BOOL, "i j", NULL, NULL, "0 <= i - j < w");
    world_tensor(w, "step", TYPE_INT, "i", NULL, NULL, "check(ids[0, i], 0, size(j))");
    return w;
}

/* best, nth: what selections over j (and c) return; kept: the j that topk takes from those with j <= i */
static void add_selections(World *w)
{
    Compilation *c = w->c;
    Index *j = world_find(w, "j"), *cc = world_find(w, "c"), *r = world_find(w, "r");
    Node *yes = node_bool(c, true), *score = node_unary(c, N_TO_REAL, node_index(c, j));
    Tensor *best = world_tensor(w, "best", TYPE_INT, "i r", NULL, NULL, NULL);
    best->body = node_binder(c, N_TOP_INDEX, 0, 1, &j, NULL, NULL, yes, score, node_index(c, r));
    Tensor *nth = world_tensor(w, "nth", TYPE_INT, "i", NULL, NULL, NULL);
    nth->body = node_binder(c, N_REDUCE, REDUCE_ARGMAX, 2, (Index *[]){cc, j}, NULL, NULL, yes, score, NULL);
    Tensor *kept = world_tensor(w, "kept", TYPE_BOOL, "i j", NULL, NULL, NULL);
    kept->body = node_binder(c, N_TOPK, 0, 1, &j, NULL, NULL, term(w, "j <= i"), score, node_int(c, 4));
    Tensor *count = world_tensor(w, "count", TYPE_INT, "i", NULL, NULL, NULL);
    count->body = node_binder(c, N_REDUCE, REDUCE_SUM, 1, &j, NULL, NULL, yes, term(w, "int(j <= i)"), NULL);
}

static void add_all(World *w, ProveScope *s, const char *facts, const char *conditions)
{
    if (facts) PUSH(w->c, &s->facts, term(w, facts));
    if (conditions) PUSH(w->c, &s->conditions, term(w, conditions));
}

static const char *text_of(Compilation *c, Node *n)
{
    Text text = {.c = c};
    if (!n) return "";
    node_print(&text, n);
    return text.at;
}

/* answer: "proved", "facts", "if CONDITION", "facts if CONDITION", "not RANGE" */
typedef struct Case { const char *coordinate, *extent, *facts, *conditions, *answer; } Case;

static const char *answer_of(Compilation *c, const Proof *p)
{
    if (p->result == NOT_PROVED) return format(c, "not %s", p->range);
    if (p->result == PROVED_IF)
        return format(c, "%sif %s", p->used_facts ? "facts " : "", text_of(c, p->condition));
    return p->result == PROVED_BY_FACTS ? "facts" : "proved";
}

static void check_cases(const Case *cases, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        Compilation c;
        compilation_init(&c);
        if (setjmp(c.escape)) {
            cr_expect_fail("%s: %s", cases[k].coordinate, c.fatal);
            continue;
        }
        World *w = world(&c);
        add_selections(w);
        ProveScope scope = {0};
        add_all(w, &scope, cases[k].facts, cases[k].conditions);
        const Proof p = prove_in_range(&c, &scope, term(w, cases[k].coordinate), term(w, cases[k].extent));
        const char *answer = answer_of(&c, &p);
        cr_expect_str_eq(answer, cases[k].answer, "%s in %s where %s: %s, not %s", cases[k].coordinate,
                         cases[k].extent, cases[k].facts ? cases[k].facts : "true", answer, cases[k].answer);
        compilation_free(&c);
    }
}
#define CHECK_CASES(cases) check_cases(cases, sizeof cases / sizeof *cases)

Test(prove, affine)
{
    static const Case cases[] = {
        {"j", "size(j)", NULL, NULL, "proved"},
        {"i", "size(j)", NULL, NULL, "if size(i) <= size(j)"},
        {"i", "size(j)", NULL, "size(j) == size(i) + 3", "proved"},
        {"j + 1", "size(j)", NULL, NULL, "not it is 1 .. size(j)"},
        {"j - 1", "size(j)", NULL, NULL, "not it is -1 .. size(j) - 2"},
        {"i - j + size(i) - 1", "2 * size(i) - 1", NULL, "size(i) == size(j)", "proved"},
        {"i - j + size(i) - 2", "2 * size(i) - 1", NULL, "size(i) == size(j)",
         "not it is size(i) - size(j) - 1 .. size(i) * 2 - 3"},
        {"size(t) - 1", "size(t)", NULL, NULL, "if 0 < size(t)"},
        {"i + 3", "128", NULL, NULL, "if size(i) <= 125"},
        {"3", "3", NULL, NULL, "not it is 3"},
        {"t - r", "size(t)", NULL, NULL, "not it is 1 - size(r) .. size(t) - 1"}, /* no condition size(r) <= 1 */
        {"i + w", "size(j)", NULL, "w >= 0", "if 0 == size(i) or w + size(i) <= size(j)"},
        {"2 * i + 1", "2 * size(i)", NULL, NULL, "proved"},
        {"2 * i + 2", "2 * size(i)", NULL, NULL, "not it is 2 .. size(i) * 2"},
    };
    CHECK_CASES(cases);
}

Test(prove, facts)
{
    static const Case cases[] = {
        {"i - j + n", "2 * n + 1", "-n <= i - j <= n", NULL, "facts"},
        {"i - j + n", "2 * n", "-n <= i - j <= n", NULL,
         "facts if size(j) == 0 or 0 == size(i) or size(i) <= n"},
        {"t - r", "size(t)", "t >= r", NULL, "facts"},
        {"t - r", "size(t)", "not t < r", NULL, "facts"},
        {"t - r", "size(t)", "t != r and t >= r", NULL, "facts"},
        {"t - r - 1", "size(t)", "t != r and t >= r", NULL, "facts"},
        {"ids[b, i] - 1", "size(j)", "0 < ids[b, i] <= size(j)", NULL, "facts"},
        {"ids[b, i]", "size(j)", "ids[b, j] >= 0 and ids[b, i] < size(j)", NULL, "not all that is known is that it is at most size(j) - 1"},
        {"cb * 64 + r", "size(j)", "cb * 64 + r < size(j)", NULL, "facts"},
        {"i - j", "w", "near[i, j]", NULL, "facts"},
        {"j - i", "w", "near[i, j]", NULL, "not it is 1 - w .. 0"},
        {"x - y", "4", "x == y or x == y + 3", NULL, "facts"},
        {"x - y", "4", "x == y or x == y + 4", NULL, "not it is 1 - size(y) .. size(x) - 1"},
        {"if i < size(j) then i else 0", "size(j)", NULL, "size(j) > 0", "proved"},
        {"i - int(i > j)", "size(i)", NULL, NULL, "proved"},
    };
    CHECK_CASES(cases);
}

Test(prove, quotients)
{
    static const Case cases[] = {
        {"j // 16", "size(p)", NULL, NULL, "if size(j) <= size(p) * 16"},
        {"j // 64", "size(cb)", NULL, NULL, "proved"},
        {"i + i // 2", "size(i)", NULL, NULL, "not it is 0 .. (size(i) * 3 - 3) // 2"},
        {"size(i) - i - i // 2 - 3", "size(i)", NULL, NULL, "not it is (-2 - size(i)) // 2 .. size(i) - 3"},
        {"j // 64 + 1", "size(cb)", NULL, NULL, "not it is 1 .. (size(j) + 63) // 64"},
        {"j // 16 * 16 + j % 16", "size(j)", NULL, NULL, "proved"},
        {"j % 16", "16", NULL, NULL, "proved"},
        {"j % 16", "15", NULL, NULL, "not it is 0 .. 15"},
        {"j % n", "n", NULL, NULL, "if 0 < n"},
        {"j % n", "n", NULL, "n >= 1", "proved"},
        {"(t + r) % size(t)", "size(t)", NULL, NULL, "proved"},
        {"y // 8 * 8 + u % 8", "size(y)", NULL, "size(y) % 8 == 0", "proved"},
        {"y // 8 * 8 + u % 8", "size(y)", NULL, "size(y) % 4 == 0",
         "if (size(y) - 1) // 8 * 8 + 8 <= size(y) or size(u) + (size(y) - 1) // 8 * 8 <= size(y)"},
        {"half[i]", "size(i)", NULL, NULL, "proved"},
        {"half[i] + half[i]", "size(i)", NULL, NULL, "proved"},
        {"x - y + 7", "15", "x // 8 == y // 8", NULL, "facts"},
        {"x - y + 6", "15", "x // 8 == y // 8", NULL, "not it is 7 - size(y) .. size(x) + 5"},
        {"x - y + n - 1", "2 * n - 1", "x // n == y // n and n > 0", NULL, "facts"},
        {"x - y + n - 1", "2 * n - 1", "x // n == y // n", NULL, "facts if 0 < n"},
        {"y * size(m) // size(y)", "size(m)", NULL, NULL, "if size(y) == 0 or 0 < size(m)"},
    };
    CHECK_CASES(cases);
}

Test(prove, products)
{
    static const Case cases[] = {
        {"y * size(x) + x", "size(y) * size(x)", NULL, NULL, "proved"},
        {"y * size(x) + x + 1", "size(y) * size(x)", NULL, NULL, "not it is 1 .. size(y) * size(x)"},
        {"fl // size(x)", "size(y)", NULL, NULL, "proved"},
        {"fl // size(x)", "size(y) - 1", NULL, NULL,
         "if size(y) * size(x) == 0 or (size(y) * size(x) - 1) // size(x) + 2 <= size(y)"},
        {"fl % size(x)", "size(x)", NULL, NULL, "proved"},
        {"i * (i + 1) // 2 + j", "size(i) * (size(i) + 1) // 2", "j <= i", NULL, "facts"},
        {"a * size(i) // n", "size(i)", NULL, "size(i) > 0", "proved"},
    };
    CHECK_CASES(cases);
}

Test(prove, order)
{
    static const Case cases[] = {
        {"clamp(i - j, 0, size(t) - 1)", "size(t)", NULL, NULL, "if 0 < size(t)"},
        {"clamp(i - j, -n, n) + n", "2 * n + 1", NULL, "n >= 0", "proved"},
        {"min(i, j)", "size(j)", NULL, NULL, "proved"},
        {"min(max(ids[0, i], 0), size(i) - 1)", "size(i)", NULL, NULL, "proved"}, /* i exists */
        {"max(i, j)", "size(j)", NULL, "size(i) <= size(j)", "proved"},
        {"max(i, j) - 1", "size(j)", NULL, "size(i) <= size(j)", "not all that is known is that it is at least -1"},
        {"abs(i - j)", "size(i)", NULL, "size(i) == size(j)", "proved"},
        {"abs(i - j) - 1", "size(i)", NULL, "size(i) == size(j)", "not all that is known is that it is at least -1"},
        {"(clamp(i // dil - w // 2, 0, max((size(i) - 1 - i % dil) // dil + 1 - w, 0)) + u) * dil + i % dil",
         "size(i)", "u < min(w, (size(i) - 1 - i % dil) // dil + 1)", NULL, "facts if 0 < dil"},
    };
    CHECK_CASES(cases);
}

Test(prove, tensors)
{
    static const Case cases[] = {
        {"page_of[b, j // 16]", "size(page)", NULL, NULL, "proved"},
        {"page_of[b, j // 16] + 1", "size(page)", NULL, NULL, "not it is 1 .. size(page)"},
        {"ids[b, i]", "size(j)", NULL, NULL, "not nothing bounds it"},
        {"step[i]", "size(j)", NULL, NULL, "if 0 < size(j)"},
        {"step[i]", "size(j)", NULL, "size(j) > 0", "proved"},
        {"best[i, r]", "size(j)", "best[i, r] >= 0", NULL, "facts"},
        {"best[i, r]", "size(j)", NULL, NULL, "not it is -1 .. size(j) - 1"},
        {"best[i, r] + 1", "size(j) + 1", NULL, NULL, "proved"},
        {"nth[i] // size(j)", "size(c)", "nth[i] >= 0", NULL, "facts"},
        {"nth[i] % size(j)", "size(j)", "nth[i] >= 0", NULL, "facts"},
        {"i - j", "size(i)", "kept[i, j]", NULL, "facts"},
        {"i - j // 2", "size(i)", "kept[i, j // 2]", NULL, "facts"},
        {"j - i", "size(j)", "kept[i, j]", NULL, "not it is 1 - size(i) .. 0"},
        {"count[i]", "size(j) + 1", NULL, NULL, "proved"},
        {"count[i]", "size(j)", NULL, NULL, "not it is 0 .. size(j)"},
    };
    CHECK_CASES(cases);
}

static void with_world(void (*test)(World *))
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) cr_assert_fail("%s", c.fatal);
    test(world(&c));
    compilation_free(&c);
}

static Proof prove_block(World *w, const char *index, const char *lo, const char *hi)
{
    ProveScope scope = {0};
    PUSH(w->c, &scope.ranges, (ProveRange){world_find(w, index), term(w, lo), term(w, hi)});
    return prove_in_range(w->c, &scope, term(w, index), node_size(w->c, world_find(w, index)));
}

static void blocks(World *w)
{
    cr_expect_eq(prove_block(w, "j", "cb * 64", "min((cb + 1) * 64, size(j))").result, PROVED);
    cr_expect_eq(prove_block(w, "j", "cb * 64", "(cb + 1) * 64").result, PROVED_IF);
    cr_expect_eq(prove_block(w, "i", "a * size(i) // n", "(a + 1) * size(i) // n").result, PROVED);
    cr_expect_eq(prove_block(w, "i", "a * size(i) // n", "(a + 2) * size(i) // n").result, PROVED_IF);
}
Test(prove, blocks) { with_world(blocks); }

static int truth(World *w, const char *test, const char *facts)
{
    ProveScope scope = {0};
    add_all(w, &scope, facts, NULL);
    return prove_truth(w->c, &scope, term(w, test));
}

static void truths(World *w)
{
    cr_expect_eq(truth(w, "i >= 0", NULL), 1);
    cr_expect_eq(truth(w, "i < 0", NULL), 0);
    cr_expect_eq(truth(w, "i < j", NULL), -1);
    cr_expect_eq(truth(w, "i < j", "i + 1 == j"), 1);
    cr_expect_eq(truth(w, "i <= j or j < i", NULL), 1);
    cr_expect_eq(truth(w, "i % 2 == 2", NULL), 0);
    cr_expect_eq(truth(w, "1 == size(d)", "0 <= i // (size(d) - 2)"), -1); /* a negative divisor */
    cr_expect_eq(truth(w, "near[i, j]", "i == j and w > 0"), 1);
    cr_expect_eq(truth(w, "near[i, j]", "i < j"), 0);
}
Test(prove, truth) { with_world(truths); }

static void betweens(World *w)
{
    ProveScope scope = {0};
    Node *t = term(w, "t");
    cr_expect_eq(prove_between(w->c, &scope, term(w, "t - 1"), node_int(w->c, -1), t).result, PROVED);
    cr_expect_eq(prove_between(w->c, &scope, t, node_int(w->c, 0), t).result, NOT_PROVED);
}
Test(prove, between) { with_world(betweens); }

/* Huge numbers: nothing may be concluded by wrapping around. */
static void overflow(World *w)
{
    static const char *const coordinates[] = {
        "i * 9223372036854775807 + j * 9223372036854775807", "i * 4611686018427387904 + 1",
        "(i + 9223372036854775807) // 2 + 9223372036854775807", "0 - (0 - 9223372036854775807 - 1)",
        "i - (0 - 9223372036854775807 - 1)", "i * i * 4611686018427387904 * i + j",
    };
    for (unsigned k = 0; k < sizeof coordinates / sizeof *coordinates; k++) {
        ProveScope scope = {0};
        const Proof p = prove_in_range(w->c, &scope, term(w, coordinates[k]), term(w, "size(j)"));
        cr_expect(p.result == NOT_PROVED || p.result == PROVED_IF, "%s: %s", coordinates[k],
                  answer_of(w->c, &p));
    }
}
Test(prove, overflow) { with_world(overflow); }

/* Where the machine may wrap around before a clamp, the read stays guarded. */
static void wrapping(World *w)
{
    static const Case cases[] = {
        {"min(max(ids[b, i], 0), size(j) - 1)", "size(j)", NULL, "size(j) > 0", "proved"},
        {"min(max(ids[b, i], 0) + 1, size(j) - 1)", "size(j)", NULL, "size(j) > 0", "facts"},
        {"min(abs(ids[b, i]), size(j) - 1)", "size(j)", NULL, "size(j) > 0", "facts"},
        {"min(n + i, size(j) - 1)", "size(j)", NULL, "size(j) > 0 and n >= 0", "proved"},
        {"min(n * n * n * n, size(j) - 1)", "size(j)", NULL, "size(j) > 0 and n >= 0", "facts"},
    };
    (void)w;
    CHECK_CASES(cases);
}
Test(prove, wrapping) { with_world(wrapping); }

/* ---- soundness: random programs ---- */

typedef struct Random { uint64_t state; } Random;
static unsigned below(Random *r, unsigned n)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(r->state >> 33) % n;
}

static const char *pick(Random *r, const char *const *list, unsigned n) { return list[below(r, n)]; }
#define PICK(r, ...)                                                                                         \
    pick(r, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void random_bool(Random *r, Text *out, unsigned depth);
static void random_int(Random *r, Text *out, unsigned depth)
{
    const unsigned kind = depth ? below(r, 13) : 0;
    if (kind < 4) {
        text_add(out, "%s",
                 PICK(r, "i", "i", "j", "j", "k", "n", "size(i)", "size(j)", "size(k)", "tab[i]", "eq[i]",
                      "1", "2", "3", "0"));
        return;
    }
    if (kind == 12) {
        text_add(out, "(if ");
        random_bool(r, out, 1);
        text_add(out, " then ");
        random_int(r, out, depth - 1);
        text_add(out, " else ");
        random_int(r, out, depth - 1);
        text_add(out, ")");
        return;
    }
    const char *call = kind == 11 ? PICK(r, "min", "max", "abs") : "";
    text_add(out, "%s(", call);
    random_int(r, out, depth - 1);
    if (!strcmp(call, "abs")) { text_add(out, ")"); return; }
    if (*call) text_add(out, ", ");
    else text_add(out, " %s ", PICK(r, "+", "+", "-", "-", "*", "//", "%"));
    if (below(r, 3)) random_int(r, out, depth - 1);
    else text_add(out, "%s", PICK(r, "2", "3", "n", "size(j)", "size(k)"));
    text_add(out, ")");
}

static void random_bool(Random *r, Text *out, unsigned depth)
{
    if (depth && !below(r, 3)) {
        text_add(out, below(r, 4) ? "(" : "not (");
        random_bool(r, out, depth - 1);
        text_add(out, " %s ", PICK(r, "and", "or"));
        random_bool(r, out, depth - 1);
        text_add(out, ")");
        return;
    }
    text_add(out, "(");
    random_int(r, out, below(r, 2));
    text_add(out, " %s ", PICK(r, "<", "<=", "==", "!=", ">="));
    random_int(r, out, below(r, 3));
    text_add(out, ")");
}

static int64_t scramble(const Values *v, int64_t at)
{
    return (at * 7 + v->extent[0] * 5 + v->param[0]) & 1023;
}

/* tab: any value in its declared range 0..size(k); eq: its body i // 2 + n, whatever it is read at */
static int64_t read_value(const Values *v, const Node *n, const int64_t *at)
{
    if (!strcmp(n->tensor->name, "eq")) return (at[0] >= 0 ? at[0] / 2 : (at[0] - 1) / 2) + v->param[0];
    const int64_t extent = v->extent[2];
    return extent > 0 ? scramble(v, at[0]) % extent : 0;
}

static World *small_world(Compilation *c)
{
    World *w = NEW(c, World);
    w->c = c;
    world_index(w, "i", NULL);
    world_index(w, "j", NULL);
    world_index(w, "k", NULL);
    world_param(w, "n");
    world_tensor(w, "tab", TYPE_INT, "i", "0", "size(k)", NULL);
    world_tensor(w, "eq", TYPE_INT, "i", NULL, NULL, "i // 2 + n");
    return w;
}

typedef struct Trial {
    Node *coordinate, *extent, *facts, *conditions, *test;
    const ProveRange *range; /* of j, or NULL: all of it */
    bool reads_tab;
    const Proof *proof;
    int truth;
} Trial;

/* Is the coordinate in range, and the test what it was found to be, where all of i, j, k exist? */
static bool holds_here(const Trial *trial, const Values *v, bool claimed)
{
    if (!term_value(v, trial->facts)) return true;
    const int64_t at = claimed ? term_value(v, trial->coordinate) : 0;
    if (claimed && (at < 0 || at >= term_value(v, trial->extent))) return false;
    return trial->truth < 0 || (term_value(v, trial->test) != 0) == (trial->truth != 0);
}

/* A read that is not guarded must be in range wherever its own variables exist, facts or not. */
static bool holds_alone(const Trial *trial, const Values *v)
{
    const int64_t at = term_value(v, trial->coordinate);
    return at >= 0 && at < term_value(v, trial->extent);
}

static bool holds_for(const Trial *trial, Values *v, bool claimed, bool alone, unsigned depth)
{
    if (depth == 3) return alone ? holds_alone(trial, v) : holds_here(trial, v, claimed);
    const IndexSet *used = trial->coordinate->free;
    const bool ranged = trial->range && depth == 1;
    if (alone && !set_has(used, depth) && !(depth == 0 && trial->range && set_has(used, 1))) {
        v->index[depth] = 0;
        return holds_for(trial, v, claimed, alone, depth + 1);
    }
    const int64_t lo = ranged ? term_value(v, trial->range->lo) : 0;
    const int64_t hi = ranged ? term_value(v, trial->range->hi) : v->extent[depth];
    for (int64_t x = lo; x < hi; x++) {
        v->index[depth] = x;
        if (!holds_for(trial, v, claimed, alone, depth + 1)) return false;
    }
    return true;
}

/* Is the answer right for these extents, this n, and all i, j, k? */
static bool holds(const Trial *trial, Values *v)
{
    const Proof *p = trial->proof;
    if (!term_value(v, trial->conditions)) return true;
    const bool claimed = p->result != NOT_PROVED && !(p->result == PROVED_IF && !term_value(v, p->condition));
    if (!holds_for(trial, v, claimed, false, 0)) return false;
    return !claimed || p->used_facts || holds_for(trial, v, claimed, true, 0);
}

static bool right_answer(const Trial *trial, Random *r)
{
    Values v = {.read = read_value};
    for (unsigned k = 0; k < 30; k++) {
        for (unsigned x = 0; x < 3; x++) v.extent[x] = below(r, 5);
        if (!v.extent[2] && trial->reads_tab) v.extent[0] = 0; /* a table with an empty range has no elements */
        v.param[0] = (int64_t)below(r, 8) - 3;
        if (!holds(trial, &v)) return false;
    }
    return true;
}

static const char *const extents[] = {"size(i)",         "size(j)", "size(k)",           "size(i) + size(j)",
                                      "2 * size(i) - 1", "n",       "size(i) * size(j)", "(size(j) + 1) // 2",
                                      "2 * n + 1",       "3"};

static void random_trial(World *w, Random *r, unsigned *counts)
{
    Compilation *c = w->c;
    Text x = {.c = c}, f = {.c = c}, q = {.c = c}, t = {.c = c};
    random_int(r, &x, 1 + below(r, 3));
    random_bool(r, &f, 2);
    random_bool(r, &t, 1);
    text_add(&q, "%s",
             PICK(r, "true", "true", "n >= 1", "size(i) == size(j)", "size(j) <= 2 * size(k)",
                  "size(k) % 2 == 0"));
    const char *extent = extents[below(r, sizeof extents / sizeof *extents)];
    if (below(r, 2)) { /* the coordinate is in range by a fact, if the prover sees it */
        text_add(&f, " and 0 <= %s and %s < %s", x.at, x.at, extent);
    }
    ProveScope scope = {0};
    ProveRange range = {world_find(w, "j"), NULL, NULL};
    add_all(w, &scope, f.at, q.at);
    if (!below(r, 3)) { /* j in a block, which may depend on i */
        range.lo = term(w, PICK(r, "0", "i", "i // 2 * 2", "1", "n"));
        range.hi = term(w, PICK(r, "size(j)", "i + 1", "min(i + 2, size(j))", "size(k)", "n"));
        PUSH(c, &scope.ranges, range);
    }
    if (below(r, 2)) PUSH(c, &scope.ranges, (ProveRange){world_find(w, "k"), node_int(c, 0), term(w, "size(k)")});
    Trial trial = {term(w, x.at), term(w, extent), term(w, f.at), term(w, q.at), term(w, t.at),
                   range.lo ? &range : NULL,
                   strstr(x.at, "tab") || strstr(f.at, "tab") || strstr(t.at, "tab"), NULL, -1};
    const Proof proof = prove_in_range(c, &scope, trial.coordinate, trial.extent);
    trial.proof = &proof;
    trial.truth = prove_truth(c, &scope, trial.test);
    counts[proof.result]++;
    counts[4] += trial.truth >= 0;
    cr_expect(right_answer(&trial, r), "%s in %s where %s given %s: %s; %s: %d", x.at, extent, f.at, q.at,
              answer_of(c, &proof), t.at, trial.truth);
}

Test(prove, never_errs)
{
    unsigned counts[5] = {0};
    for (volatile unsigned seed = 0; seed < 3000; seed++) {
        Compilation c;
        compilation_init(&c);
        if (setjmp(c.escape)) cr_assert_fail("seed %u: %s", seed, c.fatal);
        Random r = {.state = seed * 7919u + 1};
        random_trial(small_world(&c), &r, counts);
        compilation_free(&c);
    }
    /* the test is worth something only if all kinds of answers occur often */
    for (unsigned k = 0; k < 5; k++) cr_expect_gt(counts[k], 100u, "%u answers of kind %u", counts[k], k);
}
