/* The oracle against closed forms that are computed here by other means. */
#include "world.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_RUN(t, data) \
    do { \
        const char *problem_ = world_try(w, t, data); \
        cr_assert(!problem_, "%s", problem_ ? problem_ : ""); \
    } while (0)
#define NEAR(a, b) \
    do { \
        const double a_ = (a), b_ = (b); \
        cr_assert(fabs(a_ - b_) <= 1e-12 * (1 + fabs(b_)), "%.17g is not %.17g", a_, b_); \
    } while (0)

static const double infinity_ = (double)INFINITY, nan_ = (double)NAN;

/* ---- scalars ---- */

static int64_t int_of(Op op, int64_t a, int64_t b)
{
    return scalar_binary(op, TYPE_INT, scalar_int(a), scalar_int(b)).i;
}

static double real_of(Op op, double a, double b)
{
    return scalar_binary(op, TYPE_REAL, scalar_real(a), scalar_real(b)).r;
}

static int64_t key_of(double x, bool nan_low) { return scalar_key(TYPE_REAL, scalar_real(x), nan_low); }

Test(scalar, ints)
{
    cr_assert(int_of(N_ADD, INT64_MAX, 1) == INT64_MIN);
    cr_assert(int_of(N_SUB, INT64_MIN, 1) == INT64_MAX);
    cr_assert(int_of(N_MUL, INT64_MAX, 2) == -2);
    for (int64_t a = -7; a <= 7; a++) {
        cr_assert(int_of(N_FLOORDIV, a, 0) == 0 && int_of(N_MOD, a, 0) == a);
        for (int64_t b = -3; b <= 3; b++) {
            if (b == 0) continue;
            int64_t q = (int64_t)floor((double)a / (double)b);
            cr_assert(int_of(N_FLOORDIV, a, b) == q && int_of(N_MOD, a, b) == a - q * b);
        }
    }
    cr_assert(int_of(N_FLOORDIV, INT64_MIN, -1) == INT64_MIN && int_of(N_MOD, INT64_MIN, -1) == 0);
    cr_assert(int_of(N_SHL, 1, 65) == 2 && int_of(N_SHL, 1, 63) == INT64_MIN &&
              int_of(N_SHL, 1, -1) == INT64_MIN);
    cr_assert(int_of(N_SHR, -8, 1) == -4 && int_of(N_SHR, -1, 63) == -1 && int_of(N_SHR, 8, 64) == 8);
    cr_assert(scalar_unary(N_ABS, TYPE_INT, scalar_int(INT64_MIN)).i == INT64_MIN);
    cr_assert(scalar_unary(N_POPCOUNT, TYPE_INT, scalar_int(-1)).i == 64);
    cr_assert(scalar_unary(N_SIGN, TYPE_INT, scalar_int(-5)).i == -1);
}

Test(scalar, reals)
{
    cr_assert(scalar_truncate(nan_) == 0 && scalar_truncate(1e300) == INT64_MAX &&
              scalar_truncate(-1e300) == INT64_MIN);
    cr_assert(scalar_truncate(-2.9) == -2 && scalar_truncate(0x1p63) == INT64_MAX);
    cr_assert(isnan(real_of(N_MIN, nan_, 1)) && isnan(real_of(N_MIN, 1, nan_)));
    cr_assert(isnan(real_of(N_MAX, nan_, 1)) && isnan(real_of(N_MAX, 1, nan_)));
    cr_assert(real_of(N_MIN, 1, -infinity_) == -infinity_ && real_of(N_MAX, 1, 2) == 2);
    double halves[] = {-2.5, -1.5, -0.5, 0.5, 1.5, 2.5}, even[] = {-2, -2, 0, 0, 2, 2};
    for (unsigned k = 0; k < 6; k++) cr_assert(scalar_unary(N_ROUND, TYPE_REAL,
                                                            scalar_real(halves[k])).r == even[k]);
    cr_assert(isnan(scalar_unary(N_SIGN, TYPE_REAL, scalar_real(nan_)).r));
    double ascending[] = {-infinity_, -2, -1e-300, 0, 1e-300, 1, infinity_};
    for (unsigned k = 0; k + 1 < 7; k++)
        cr_assert(key_of(ascending[k], true) < key_of(ascending[k + 1], true));
    cr_assert(key_of(-0.0, true) == key_of(0.0, true));
    cr_assert(key_of(nan_, true) == key_of(-infinity_, true) &&
              key_of(nan_, false) == key_of(infinity_, false));
}

/* Known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
Test(scalar, philox)
{
    static const uint32_t vectors[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
         0x5001e420,
         0x24126ea1}};
    for (unsigned v = 0; v < 3; v++) {
        uint32_t out[4];
        philox4x32(vectors[v], vectors[v] + 4, out);
        cr_assert(memcmp(out, vectors[v] + 6, sizeof out) == 0);
    }
    /* The seed's low word first; negative ints modulo 2^32. */
    int64_t counter[4] = {0x243f6a88, (int64_t)0x85a308d3 - ((int64_t)1 << 32), 0x13198a2e, 0x03707344};
    cr_assert(scalar_rand(0x299f31d0a4093822, counter) == (double)(0xd16cfe09 >> 8) / 16777216.0);
    cr_assert(scalar_rand(-1, (int64_t[4]){-1, -1, -1, -1}) == (double)(0x408f276d >> 8) / 16777216.0);
}

/* ---- reductions ---- */

Test(reduce, of_nothing)
{
    WORLD(w);
    Index *j = world_index(w, "j", 3);
    Node *none = BIN(LT, I(j), INT(0)), *x = UN(TO_REAL, I(j));
    static const double expected[REDUCTIONS] = {
        [REDUCE_SUM] = 0, [REDUCE_PROD] = 1, [REDUCE_MEAN] = 0, [REDUCE_MAX] = -INFINITY,
            [REDUCE_MIN] = INFINITY,
        [REDUCE_LOGSUMEXP] = -INFINITY};
    for (unsigned k = 0; k < REDUCTIONS; k++) {
        double y;
        if (k == REDUCE_ANY || k == REDUCE_ALL || k == REDUCE_ARGMAX || k == REDUCE_ARGMIN) continue;
        Tensor *t = OUTPUT("t", REAL, BIND(REDUCE, k, j, none, x, NULL), 0);
        CHECK_RUN(t, &y);
        cr_assert(y == expected[k], "reduction %u gives %g", k, y);
    }
    uint8_t b[2];
    int64_t n[4];
    CHECK_RUN(OUTPUT("any", BOOL, REDUCE(ANY, j, none, TRUE_), 0), &b[0]);
    CHECK_RUN(OUTPUT("all", BOOL, REDUCE(ALL, j, none, BIN(LT, I(j), INT(0))), 0), &b[1]);
    CHECK_RUN(OUTPUT("am", INT, REDUCE(ARGMAX, j, none, x), 0), &n[0]);
    CHECK_RUN(OUTPUT("an", INT, REDUCE(ARGMIN, j, none, x), 0), &n[1]);
    CHECK_RUN(OUTPUT("im", INT, REDUCE(MAX, j, none, I(j)), 0), &n[2]);
    CHECK_RUN(OUTPUT("in", INT, REDUCE(MIN, j, none, I(j)), 0), &n[3]);
    cr_assert(b[0] == 0 && b[1] == 1 && n[0] == -1 && n[1] == -1 && n[2] == INT64_MIN && n[3] == INT64_MAX);
    world_free(w);
}

Test(reduce, nan_and_ties)
{
    WORLD(w);
    double data[] = {nan_, 3, 1, 3, 1, nan_};
    Index *j = world_index(w, "j", 6);
    Tensor *x = INPUT("x", REAL, data, 1, j);
    int64_t at[2];
    double y[3];
    CHECK_RUN(OUTPUT("a", INT, REDUCE(ARGMAX, j, TRUE_, READ(x, I(j))), 0),
              &at[0]);
    CHECK_RUN(OUTPUT("b", INT, REDUCE(ARGMIN, j, TRUE_, READ(x, I(j))), 0),
              &at[1]);
    cr_assert(at[0] == 1 && at[1] == 2);
    Node *finite = BIN(EQ, READ(x, I(j)), READ(x, I(j)));
    CHECK_RUN(OUTPUT("c", REAL, REDUCE(MAX, j, TRUE_, READ(x, I(j))), 0),
              &y[0]);
    CHECK_RUN(OUTPUT("d", REAL, REDUCE(MEAN, j, finite, READ(x, I(j))), 0),
              &y[1]);
    CHECK_RUN(OUTPUT("e", REAL, REDUCE(LOGSUMEXP, j, finite, READ(x, I(j))), 0), &y[2]);
    cr_assert(isnan(y[0]) && y[1] == 2);
    NEAR(y[2], log(2 * exp(3) + 2 * exp(1)));
    world_free(w);
}

Test(reduce, argmax_is_row_major_over_several)
{
    WORLD(w);
    Index *a = world_index(w, "a", 3), *b = world_index(w, "b", 4);
    double data[12] = {0};
    data[1 * 4 + 2] = data[2 * 4 + 0] = 5;
    Tensor *x = INPUT("x", REAL, data, 2, a, b);
    int64_t ab, ba;
    Node *read = READ(x, I(a), I(b));
    CHECK_RUN(OUTPUT("ab", INT, BIND2(REDUCE, REDUCE_ARGMAX, a, b, TRUE_, read, NULL), 0), &ab);
    CHECK_RUN(OUTPUT("ba", INT, BIND2(REDUCE, REDUCE_ARGMAX, b, a, TRUE_, read, NULL), 0), &ba);
    cr_assert(ab == 6 && ba == 0 * 3 + 2);
    world_free(w);
}

/* ---- softmax ---- */

typedef struct Attention { Index *i, *j, *d, *e; double *q, *k, *v; Tensor *s, *p, *o; } Attention;

/* o = sum[j](softmax[j](sum[d](q * k) where near) * v), as the checker spells it. */
static Attention attention(World *w, int64_t n, int64_t m, Node *(*near)(World *, Index *, Index *))
{
    Attention a = {world_index(w, "i", n), world_index(w, "j", m), world_index(w, "d", 4),
                   world_index(w, "e", 3),
                   world_random_data(w, (size_t)(n * 4)), world_random_data(w, (size_t)(m * 4)),
                   world_random_data(w, (size_t)(m * 3)), NULL, NULL, NULL};
    Tensor *q = INPUT("q", REAL, a.q, 2, a.i, a.d), *k = INPUT("k", REAL, a.k, 2, a.j, a.d),
           *v = INPUT("v", REAL, a.v, 2, a.j, a.e);
    Node *s = SUM(a.d, TRUE_, BIN(MUL, READ(q, I(a.i), I(a.d)), READ(k, I(a.j), I(a.d)))),
        *where = near(w, a.i, a.j);
    Node *p = SOFTMAX(a.j, where, s);
    a.p = OUTPUT("p", REAL, p, 2, a.i, a.j);
    Node *o = SUM(a.j, TRUE_, IF(where, BIN(MUL, p, READ(v, I(a.j), I(a.e))), REAL(0)));
    a.o = OUTPUT("o", REAL, o, 2, a.i, a.e);
    return a;
}

static Node *window5(World *w, Index *i, Index *j)
{
    return BIN(AND, BIN(LE, I(j), I(i)), BIN(LT, BIN(SUB, I(i), I(j)), INT(5)));
}

static bool in_window5(int64_t i, int64_t j) { return j <= i && i - j < 5; }

Test(softmax, window)
{
    WORLD(w);
    enum { N = 40 };
    Attention a = attention(w, N, N, window5);
    double o[N * 3], p[N * N];
    CHECK_RUN(a.o, o);
    CHECK_RUN(a.p, p);
    for (int64_t i = 0; i < N; i++) {
        double weight[N] = {0}, sum = 0;
        for (int64_t j = 0; j < N; j++) {
            double s = 0;
            for (int64_t d = 0; d < 4; d++) s += a.q[i * 4 + d] * a.k[j * 4 + d];
            sum += weight[j] = in_window5(i, j) ? exp(s) : 0;
        }
        for (int64_t j = 0; j < N; j++) NEAR(p[i * N + j], weight[j] / sum);
        for (int64_t e = 0; e < 3; e++) {
            double y = 0;
            for (int64_t j = 0; j < N; j++) y += weight[j] / sum * a.v[j * 3 + e];
            NEAR(o[i * 3 + e], y);
        }
    }
    world_free(w);
}

static Node *everything(World *w, Index *i, Index *j)
{
    (void)i, (void)j;
    return TRUE_;
}

/* A row's maximum and sum are computed once, scores once for every pair: no n^3. */
Test(softmax, cost)
{
    WORLD(w);
    enum { N = 60 };
    Attention a = attention(w, N, N, everything);
    double o[N * 3];
    CHECK_RUN(a.o, o);
    cr_assert(w->operations < N * N * (4 * 8 + 3 * 12 + 20), "%llu operations",
              (unsigned long long)w->operations);
    world_free(w);
}

static double softmax_at(World *w, const double *scores, const uint8_t *kept, int64_t n, const double *sink,
                         double *out)
{
    Index *j = world_index(w, "j", n);
    Tensor *s = INPUT("s", REAL, (void *)(uintptr_t)scores, 1, j);
    Tensor *c = INPUT("c", BOOL, (void *)(uintptr_t)kept, 1, j);
    Node *p = BIND(NORMALISE, NORMALISE_SOFTMAX, j, READ(c, I(j)), READ(s, I(j)), sink ? REAL(*sink) : NULL);
    CHECK_RUN(OUTPUT("p", REAL, p, 1, j), out);
    return out[0];
}

Test(softmax, special_rows)
{
    WORLD(w);
    static const uint8_t all[4] = {1, 1, 1, 1}, none[4] = {0}, tail[4] = {0, 0, 1, 1};
    double p[4], low[4] = {-infinity_, -infinity_, -infinity_, -infinity_}, high[4] = {1, infinity_, 0, 1};
    double bad[4] = {nan_, infinity_, 700, 800}, some[4] = {-infinity_, 0, 1000, 1000}, sink = 1000;
    softmax_at(w, low, all, 4, NULL, p);
    cr_assert(p[0] == 0 && p[3] == 0);
    softmax_at(w, high, all, 4, NULL, p);
    cr_assert(isnan(p[0]) && isnan(p[1]) && isnan(p[3]));
    softmax_at(w, some, none, 4, NULL, p);
    cr_assert(p[0] == 0 && p[1] == 0 && p[2] == 0);
    softmax_at(w, bad, tail, 4, NULL, p); /* what was left out is not evaluated: NaN does not leak */
    cr_assert(p[0] == 0 && p[1] == 0);
    NEAR(p[2], exp(-100) / (1 + exp(-100)));
    softmax_at(w, some, all, 4, &sink, p);
    cr_assert(p[0] == 0);
    NEAR(p[2], 1.0 / 3);
    double far = 5000, gone = -infinity_;
    softmax_at(w, some, all, 4, &far, p);
    cr_assert(p[2] == 0);
    softmax_at(w, some, all, 4, &gone, p);
    NEAR(p[3], 0.5);
    softmax_at(w, low, all, 4, &far, p);
    cr_assert(p[0] == 0);
    world_free(w);
}

/* The threshold by bisection instead of sorting. */
static double bisect(const double *s, const uint8_t *kept, int n, bool entmax)
{
    double lo = -100, hi = 100;
    for (int step = 0; step < 200; step++) {
        double middle = (lo + hi) / 2, sum = 0;
        for (int k = 0; k < n; k++) {
            double z = fmax((entmax ? s[k] / 2 : s[k]) - middle, 0);
            if (kept[k]) sum += entmax ? z * z : z;
        }
        if (sum > 1) lo = middle;
        else hi = middle;
    }
    return (lo + hi) / 2;
}

static void sparse_row(World *w, Normaliser kind, const double *s, const uint8_t *kept, int n)
{
    Index *j = world_index(w, "j", n);
    Tensor *score = INPUT("s", REAL, (void *)(uintptr_t)s, 1, j);
    Tensor *c = INPUT("c", BOOL, (void *)(uintptr_t)kept, 1, j);
    double p[16], tau = bisect(s, kept, n, kind == NORMALISE_ENTMAX15), sum = 0;
    Node *body = BIND(NORMALISE, kind, j, READ(c, I(j)), READ(score, I(j)), NULL);
    CHECK_RUN(OUTPUT("p", REAL, body, 1, j), p);
    for (int k = 0; k < n; k++) {
        double z = fmax((kind == NORMALISE_ENTMAX15 ? s[k] / 2 : s[k]) - tau, 0);
        NEAR(p[k], kept[k] ? kind == NORMALISE_ENTMAX15 ? z * z : z : 0);
        sum += p[k];
    }
    NEAR(sum, 1);
}

static void sparse_rows(int round)
{
    WORLD(w);
    double s[12];
    uint8_t kept[12];
    for (int k = 0; k < round * 5; k++) (void)world_random(w);
    for (int k = 0; k < 12; k++) s[k] = (1 + round % 4) * world_random(w), kept[k] = k == 3 ||
        world_random(w) > -0.5;
    if (round == 5) s[1] = s[2] = s[3];
    sparse_row(w, NORMALISE_SPARSEMAX, s, kept, 12);
    sparse_row(w, NORMALISE_ENTMAX15, s, kept, 12);
    world_free(w);
}

Test(softmax, sparsemax_and_entmax)
{
    for (int round = 0; round < 10; round++) sparse_rows(round);
    WORLD(w);
    double low[3] = {-infinity_, 2, -infinity_}, p[3];
    Index *j = world_index(w, "j", 3);
    Node *score = READ(INPUT("t", REAL, low, 1, j), I(j));
    for (unsigned kind = NORMALISE_SPARSEMAX; kind <= NORMALISE_ENTMAX15; kind++) {
        Node *body = BIND(NORMALISE, kind, j, TRUE_, score, NULL);
        CHECK_RUN(OUTPUT("p", REAL, body, 1, j), p);
        cr_assert(p[0] == 0 && p[1] == 1 && p[2] == 0);
    }
    world_free(w);
}

/* ---- what exists ---- */

/* A guarded read is in range only under the mask, and stands in an equation of its own. */
Test(exist, hidden_elements_are_not_evaluated)
{
    WORLD(w);
    int64_t table[4] = {0, 1, 99, -5};
    double pool[2] = {10, 20}, y;
    Index *j = world_index(w, "j", 4), *n = world_index(w, "n", 2);
    Tensor *at = INPUT("table", INT, table, 1, j), *u = INPUT("pool", REAL, pool, 1, n);
    Node *read = node_read(&w->c, u, (Node *[]){READ(at, I(j))}, true);
    Tensor *x = EQUATION("x", REAL, read, 1, j);
    Tensor *good = OUTPUT("good", REAL, SUM(j, BIN(LT, I(j), INT(2)), READ(x, I(j))), 0);
    CHECK_RUN(good, &y);
    cr_assert(y == 30);
    Tensor *bad = OUTPUT("bad", REAL, SUM(j, BIN(LT, I(j), INT(3)), READ(x, I(j))), 0);
    const char *problem = world_try(w, bad, &y);
    cr_assert(problem && strstr(problem, "pool") && strstr(problem, "99"), "%s",
              problem ? problem : "no error");
    world_free(w);
}

Test(exist, lazy_operators)
{
    WORLD(w);
    double data[1] = {7}, y[3];
    Index *n = world_index(w, "n", 1), *j = world_index(w, "j", 3);
    Tensor *u = INPUT("u", REAL, data, 1, n);
    Node *read = node_read(&w->c, u, (Node *[]){I(j)}, true), *positive = BIN(LT, REAL(0), read);
    Node *inside = BIN(LT, I(j), INT(1));
    Node *body = BIN(ADD, IF(inside, read, REAL(1)), UN(TO_REAL, BIN(AND, inside, positive)));
    body = BIN(ADD, body, UN(TO_REAL, BIN(OR, UN(NOT, inside), positive)));
    CHECK_RUN(OUTPUT("y", REAL, body, 1, j), y);
    cr_assert(y[0] == 9 && y[1] == 2 && y[2] == 2);
    world_free(w);
}

/* ---- selections ---- */

typedef struct Row { double score[6]; uint8_t kept[6]; } Row;

static Tensor *selection(World *w, Op op, const Row *row, Node *extra, Index *list)
{
    Index *j = w->pattern.indices.at[0];
    Tensor *s = INPUT("s", REAL, (void *)(uintptr_t)row->score, 1, j);
    Tensor *c = INPUT("c", BOOL, (void *)(uintptr_t)row->kept, 1, j);
    Node *var_body = READ(s, I(j)), *where = READ(c, I(j));
    Node *body = node_binder(&w->c, op, 0, 1, (Index *[]){j}, (Node *[]){NULL}, (Node *[]){NULL}, where,
                             op == N_POSITIONS ? TRUE_ : var_body, extra);
    return world_equation(w, ROLE_OUTPUT, "sel", body->type, body, 1, list ? list : j);
}

static const Row mixed = {{2, 5, NAN, 5, 2, 9}, {1, 1, 1, 1, 1, 0}};

Test(select, topk)
{
    static const char *const expected[] = {"000000", "010000", "010100", "110100", "110110", "111110",
                                           "111110"};
    for (volatile int n = -1; n <= 6; n++) {
        WORLD(w);
        world_index(w, "j", 6);
        uint8_t out[6];
        CHECK_RUN(selection(w, N_TOPK, &mixed, INT(n), NULL), out);
        for (int k = 0; k < 6; k++) cr_assert(out[k] == expected[n < 0 ? 0 : n][k] - '0', "n = %d, k = %d",
                                              n, k);
        world_free(w);
    }
}

Test(select, topp)
{
    static const Row row = {{0.1, 0.4, 0.2, 0.2, 0.1, 9}, {1, 1, 1, 1, 1, 0}};
    static const struct { double mass; const char *expected; } cases[] = {
        {0, "000000"}, {-1, "000000"}, {0.3, "010000"}, {0.41, "011000"}, {0.7, "011100"}, {0.85, "111100"},
            {7, "111110"}};
    for (volatile unsigned m = 0; m < sizeof cases / sizeof *cases; m++) {
        WORLD(w);
        world_index(w, "j", 6);
        uint8_t out[6];
        CHECK_RUN(selection(w, N_TOPP, &row, REAL(cases[m].mass), NULL), out);
        for (int k = 0; k < 6; k++) cr_assert(out[k] == cases[m].expected[k] - '0', "mass = %g, k = %d",
                                              cases[m].mass, k);
        world_free(w);
    }
}

Test(select, lists_and_rank)
{
    WORLD(w);
    world_index(w, "j", 6);
    Index *r = world_index(w, "r", 7);
    int64_t out[7], best[7] = {1, 3, 0, 4, 2, -1, -1}, holds[7] = {0, 1, 2, 3, 4, -1, -1},
        place[6] = {1, 3, 0, 4, 2, -1};
    CHECK_RUN(selection(w, N_TOP_INDEX, &mixed, I(r), r), out);
    cr_assert(memcmp(out, best, sizeof best) == 0);
    CHECK_RUN(selection(w, N_POSITIONS, &mixed, I(r), r), out);
    cr_assert(memcmp(out, holds, sizeof holds) == 0);
    CHECK_RUN(selection(w, N_RANK, &mixed, NULL, NULL), out);
    cr_assert(memcmp(out, place, sizeof place) == 0);
    world_free(w);
}

Test(select, several_indices)
{
    WORLD(w);
    Index *a = world_index(w, "a", 2), *b = world_index(w, "b", 3), *r = world_index(w, "r", 3);
    double data[6] = {1, 7, 7, 7, 0, 8};
    Tensor *x = INPUT("x", REAL, data, 2, a, b);
    uint8_t out[6], expected[6] = {0, 1, 1, 0, 0, 1};
    int64_t list[3], row[3] = {5, 1, 2}, swapped[3] = {5, 1, 2};
    Node *read = READ(x, I(a), I(b));
    CHECK_RUN(OUTPUT("k", BOOL, BIND2(TOPK, 0, a, b, TRUE_, read, INT(3)), 2, a, b), out);
    cr_assert(memcmp(out, expected, sizeof out) == 0);
    CHECK_RUN(OUTPUT("l", INT, BIND2(TOP_INDEX, 0, a, b, TRUE_, read, I(r)), 1, r), list);
    cr_assert(memcmp(list, row, sizeof row) == 0);
    /* (b, a): the positions are b * 2 + a, and ties go by them. */
    swapped[0] = 2 * 2 + 1, swapped[1] = 0 * 2 + 1, swapped[2] = 1 * 2 + 0;
    CHECK_RUN(OUTPUT("m", INT, BIND2(TOP_INDEX, 0, b, a, TRUE_, read, I(r)), 1, r), list);
    cr_assert(memcmp(list, swapped, sizeof swapped) == 0);
    world_free(w);
}

/* ---- scans ---- */

Test(scan, sums_and_maxima)
{
    WORLD(w);
    Index *j = world_index(w, "j", 6);
    double data[6] = {1, 2, nan_, 4, 3, 8}, y[6], sums[6] = {1, 3, 3, 7, 10, 18};
    int64_t n[6], counts[6] = {1, 3, 6, 10, 15, 21};
    double maxima[6] = {-infinity_, 2, 2, 4, 4, 8};
    Tensor *x = INPUT("x", REAL, data, 1, j);
    Node *finite = BIN(EQ, READ(x, I(j)), READ(x, I(j))), *late = BIN(LE, INT(1), I(j));
    CHECK_RUN(OUTPUT("s", REAL, SCAN(CUMSUM, j, finite, READ(x, I(j))), 1, j),
              y);
    for (int k = 0; k < 6; k++) cr_assert(y[k] == sums[k]);
    CHECK_RUN(OUTPUT("m", REAL, SCAN(CUMMAX, j, late, READ(x, I(j))), 1, j),
              y);
    for (int k = 0; k < 6; k++) cr_assert(y[k] == maxima[k]);
    Node *next = BIN(ADD, I(j), INT(1));
    CHECK_RUN(OUTPUT("n", INT, SCAN(CUMSUM, j, TRUE_, next), 1, j), n);
    cr_assert(memcmp(n, counts, sizeof n) == 0);
    world_free(w);
}

/* Elements after the position need not exist. */
Test(scan, needs_only_what_comes_before)
{
    WORLD(w);
    Index *j = world_index(w, "j", 6), *n = world_index(w, "n", 3);
    double data[3] = {1, 2, 4}, y;
    Tensor *u = INPUT("u", REAL, data, 1, n);
    Node *read = node_read(&w->c, u, (Node *[]){I(j)}, true);
    Tensor *s = EQUATION("s", REAL, SCAN(CUMSUM, j, TRUE_, read), 1, j);
    CHECK_RUN(OUTPUT("y", REAL, READ(s, INT(2)), 0), &y);
    cr_assert(y == 7);
    world_free(w);
}

/* ---- blocks ---- */

/* Blocks of 4 of 10 positions: a reduction by block, a normaliser and a scan within the position's block. */
Test(blocks, within)
{
    WORLD(w);
    enum { N = 10 };
    Index *j = world_index(w, "j", N), *c = world_index(w, "c", 3);
    double *data = world_random_data(w, N), mean[3], p[N], s[N];
    Tensor *x = INPUT("x", REAL, data, 1, j);
    Node *lo = BIN(MUL, I(c), INT(4)), *hi = BIN(MIN, BIN(ADD, lo, INT(4)), INT(N)),
        *block = BIN(FLOORDIV, I(j), INT(4));
    Node *lo_j = node_substitute(&w->c, lo, 1, &c, &block), *hi_j = node_substitute(&w->c, hi, 1, &c, &block);
    Node *read = READ(x, I(j));
    CHECK_RUN(OUTPUT("m", REAL, BIND_IN(REDUCE, REDUCE_MEAN, j, lo, hi, TRUE_, read, NULL), 1,
                             c), mean);
    CHECK_RUN(OUTPUT("p", REAL, BIND_IN(NORMALISE, NORMALISE_SOFTMAX, j, lo_j, hi_j, TRUE_, read, NULL), 1,
                     j), p);
    CHECK_RUN(OUTPUT("s", REAL, BIND_IN(SCAN, SCAN_CUMSUM, j, lo_j, hi_j, TRUE_, read, NULL), 1, j), s);
    for (int b = 0; b < 3; b++) {
        int end = b == 2 ? N : 4 * b + 4;
        double sum = 0, exps = 0, running = 0;
        for (int k = 4 * b; k < end; k++) sum += data[k], exps += exp(data[k]);
        NEAR(mean[b], sum / (end - 4 * b));
        for (int k = 4 * b; k < end; k++) {
            running += data[k];
            NEAR(p[k], exp(data[k]) / exps);
            NEAR(s[k], running);
        }
    }
    world_free(w);
}

/* ---- recurrences ---- */

static void recurrent(Tensor *t, int step)
{
    t->group = 1;
    t->recurrence_axis = 0;
    t->recurrence_step = step;
}

/* x[t] = a x[t - 1] + u[t] over many steps, either way, asked for at its far end alone: no stack overflow. */
static void long_recurrence(int step)
{
    WORLD(w);
    enum { N = 100000 };
    Index *t = world_index(w, "t", N);
    double *u = world_random_data(w, N), last, expected = 0;
    Tensor *in = INPUT("u", REAL, u, 1, t), *x = EQUATION("x", REAL, NULL, 1, t);
    recurrent(x, step);
    Node *before = BIN(SUB, I(t), INT(step)), *first = BIN(EQ, I(t), INT(step > 0 ? 0 : N - 1));
    Node *state = IF(first, REAL(0), node_read(&w->c, x, &before, true));
    x->body = BIN(ADD, BIN(MUL, REAL(0.99), state), READ(in, I(t)));
    CHECK_RUN(OUTPUT("y", REAL, READ(x, INT(step > 0 ? N - 1 : 0)), 0), &last);
    for (int k = 0; k < N; k++) expected = 0.99 * expected + u[step > 0 ? k : N - 1 - k];
    NEAR(last, expected);
    cr_assert(w->operations < 40 * N);
    world_free(w);
}

Test(recurrence, forward_many_steps) { long_recurrence(1); }
Test(recurrence, backward_many_steps) { long_recurrence(-1); }

/* The gated delta rule with a matrix state, and its states asked for at the end first. */
Test(recurrence, gated_delta)
{
    WORLD(w);
    enum { T = 600, D = 4, E = 3 };
    Index *t = world_index(w, "t", T), *d = world_index(w, "d", D), *e = world_index(w, "e", E);
    double *k = world_random_data(w, T * D), *v = world_random_data(w, T * E), *a = world_random_data(w, T),
        s[D][E] = {0};
    double last[D * E];
    Tensor *kt = INPUT("k", REAL, k, 2, t, d), *vt = INPUT("v", REAL, v, 2, t, e);
    Tensor *at = INPUT("a", REAL, a, 1, t);
    Tensor *S = EQUATION("S", REAL, NULL, 3, t, d, e);
    recurrent(S, 1);
    Node *before = IF(BIN(LE, INT(1), I(t)), node_read(&w->c, S,
                                                       (Node *[]){BIN(SUB, I(t), INT(1)), I(d), I(e)}, true),
                      REAL(0));
    Node *kr = READ(kt, I(t), I(d)), *projected = SUM(d, TRUE_, BIN(MUL, kr, before));
    S->body = BIN(ADD, BIN(MUL, READ(at, I(t)), BIN(SUB, before, BIN(MUL, kr, projected))),
                  BIN(MUL, kr, READ(vt, I(t), I(e))));
    CHECK_RUN(OUTPUT("last", REAL, READ(S, INT(T - 1), I(d), I(e)), 2, d, e), last);
    for (int step = 0; step < T; step++)
        for (int c = 0; c < E; c++) {
            double dot = 0;
            for (int r = 0; r < D; r++) dot += k[step * D + r] * s[r][c];
            for (int r = 0; r < D; r++)
                s[r][c] = a[step] * (s[r][c] - k[step * D + r] * dot) + k[step * D + r] * v[step * E + c];
        }
    for (int r = 0; r < D; r++)
        for (int c = 0; c < E; c++) NEAR(last[r * E + c], s[r][c]);
    cr_assert(w->operations < (uint64_t)T * D * E * 200, "%llu operations",
              (unsigned long long)w->operations);
    world_free(w);
}

/* ---- sharing, limits, errors ---- */

/* x = x * x + x nested 200 times is 200 nodes, not 2^200. */
Test(limits, shared_expressions_once)
{
    WORLD(w);
    Index *i = world_index(w, "i", 1);
    double data[1] = {0.5}, y, expected = 0.5;
    Node *x = READ(INPUT("x", REAL, data, 1, i), INT(0));
    for (int k = 0; k < 200; k++) {
        x = UN(TANH, BIN(ADD, BIN(MUL, x, x), x));
        expected = tanh(expected * expected + expected);
    }
    CHECK_RUN(OUTPUT("y", REAL, x, 0), &y);
    NEAR(y, expected);
    world_free(w);
}

Test(limits, operations)
{
    WORLD(w);
    Index *i = world_index(w, "i", 1000000);
    w->arguments.limit = 1000;
    double y;
    Tensor *t = OUTPUT("y", REAL, SUM(i, TRUE_, UN(EXP, UN(TO_REAL, I(i)))), 0);
    const char *problem = world_try(w, t, &y);
    cr_assert(problem && strstr(problem, "operations"));
    cr_assert(w->operations < 2000);
    world_free(w);
}

Test(limits, conditions_ranges_and_checks)
{
    WORLD(w);
    Index *i = world_index(w, "i", 3), *n = world_index(w, "n", 2);
    int64_t data[3] = {0, 1, 2}, y[3];
    Tensor *x = INPUT("x", INT, data, 1, i);
    PUSH(&w->c, &w->pattern.checks, (RunCheck){.text = "half: int in 0..2"});
    Tensor *good = OUTPUT("y", INT, READ(x, I(i)), 1, i);
    Node *checked = node_check(&w->c, READ(x, I(i)), INT(0), INT(2), 0);
    Tensor *half = OUTPUT("half", INT, checked, 1, i);
    CHECK_RUN(good, y);
    const char *problem = world_try(w, half, y);
    cr_assert(problem && strstr(problem, "half: int in 0..2") && strstr(problem, "2 is not in 0..2"), "%s",
              problem);
    x->lo = INT(0);
    x->hi = node_size(&w->c, n);
    problem = world_try(w, good, y);
    cr_assert(problem && strstr(problem, "'x'"), "%s", problem);
    x->lo = x->hi = NULL;
    PUSH(&w->c, &w->pattern.conditions, (Condition){.test = BIN(EQ, BIN(MOD, node_size(&w->c, i), INT(2)),
                                                                INT(0)),
                                                     .text = "size(i) % 2 == 0"});
    problem = world_try(w, good, y);
    cr_assert(problem && strstr(problem, "size(i) % 2 == 0"), "%s", problem);
    world_free(w);
}

/* A selection that was made elsewhere is taken as it is. */
Test(limits, overridden_equation)
{
    WORLD(w);
    Index *j = world_index(w, "j", 4);
    double data[4] = {1, 2, 3, 4}, y;
    uint8_t forced[4] = {1, 0, 0, 1};
    Tensor *x = INPUT("x", REAL, data, 1, j);
    Tensor *pick = EQUATION("pick", BOOL, BIND(TOPK, 0, j, TRUE_, READ(x, I(j)), INT(2)), 1, j);
    Tensor *out = OUTPUT("y", REAL, SUM(j, READ(pick, I(j)), READ(x, I(j))), 0);
    CHECK_RUN(out, &y);
    cr_assert(y == 7);
    w->given[w->n_given++] = (InterpretTensor){pick, forced, true};
    CHECK_RUN(out, &y);
    cr_assert(y == 5);
    world_free(w);
}

Test(limits, rand_and_empty_extents)
{
    WORLD(w);
    Index *i = world_index(w, "i", 5), *z = world_index(w, "z", 0);
    double y[5];
    Node *args[5] = {INT(7), I(i), INT(0), INT(0), INT(0)};
    CHECK_RUN(OUTPUT("r", REAL, node_rand(&w->c, args), 1, i), y);
    for (int64_t k = 0; k < 5; k++) cr_assert(y[k] == scalar_rand(7, (int64_t[4]){k, 0, 0, 0}) && y[k] >= 0 &&
                                              y[k] < 1);
    Tensor *none = OUTPUT("n", REAL, SUM(z, TRUE_, UN(TO_REAL, I(z))), 1, i);
    CHECK_RUN(none, y);
    cr_assert(y[0] == 0 && y[4] == 0);
    Tensor *empty = OUTPUT("e", REAL, UN(TO_REAL, I(z)), 2, i, z);
    CHECK_RUN(empty, y);
    world_free(w);
}
