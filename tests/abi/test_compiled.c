/* The runtime with patterns that the real compiler compiles from strings. */
#include "fake.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static AttnError error;

static AttnLibrary *compile(const char *text, const AttnCompileOptions *options)
{
    AttnLibrary *l = NULL;
    OK(attn_compile_string(text, NULL, options, &l, &error));
    return l;
}

static AttnBinding *binding(AttnLibrary *l)
{
    AttnBinding *b = NULL;
    OK(attn_binding_new(l, NULL, &b, &error));
    return b;
}

static void done(AttnLibrary *l, AttnBinding *b)
{
    attn_binding_free(b);
    attn_close(l);
}

static void fill(float *x, size_t n, double step)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sin((double)i * step);
}

#define BIND(name, data, ...)                                                                                \
    OK(attn_bind_dense(b, name, data, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__}, \
                       &error))

static const char full[] = "pattern full()\n"
                           "    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]\n"
                           "    example i = 4, j = 4, d = 4, e = 4\n"
                           "{\n"
                           "    o = sum[j](softmax[j](sum[d](q * k) / sqrt(size(d))) * v)\n"
                           "}\n";

/* Grouped heads and a broadcast batch give what repeated tensors give. */
Test(compiled, groups_and_broadcast)
{
    enum { B = 2, H = 6, G = 2, I = 5, J = 7, D = 4 };
    static float q[B][H][I][D], k[G][J][D], v[G][J][D], kk[B][H][J][D], vv[B][H][J][D], o[2][B][H][I][D];
    fill(&q[0][0][0][0], B * H * I * D, 0.3);
    fill(&k[0][0][0], G * J * D, 0.7);
    fill(&v[0][0][0], G * J * D, 1.1);
    for (int n = 0; n < B * H; n++) {
        memcpy(kk[n / H][n % H], k[n % H / (H / G)], sizeof k[0]);
        memcpy(vv[n / H][n % H], v[n % H / (H / G)], sizeof v[0]);
    }
    AttnLibrary *l = compile(full, NULL);
    AttnBinding *b = binding(l);
    BIND("q", q, B, H, I, D);
    BIND("k", k, 1, G, J, D);
    BIND("v", v, 1, G, J, D);
    BIND("o", o[0], B, H, I, D);
    OK(attn_run(b, NULL, &error));
    BIND("k", kk, B, H, J, D);
    BIND("v", vv, B, H, J, D);
    BIND("o", o[1], B, H, I, D);
    OK(attn_run(b, &(AttnRunOptions){.threads = 3}, &error));
    cr_assert_neq(o[0][1][5][4][3], 0);
    cr_assert_eq(memcmp(o[0], o[1], sizeof o[0]), 0);
    done(l, b);
}

static const char paged[] = "pattern paged(groups: int = 2)\n"
                            "    over b: x[i] -> o[i]\n"
                            "    with pool[page, slot], table: int[b, i] in 0..size(page)\n"
                            "    example i = 4, page = 3, slot = 4\n"
                            "{\n"
                            "    require size(slot) % groups == 0\n"
                            "    o = x * sum[slot](pool[table[b, i], slot])\n"
                            "}\n";

Test(compiled, ranges_and_conditions)
{
    float x[2][3], pool[5][4], o[2][3];
    int32_t table[2][3] = {{0, 4, 2}, {1, 3, 0}};
    fill(&x[0][0], 6, 0.3);
    fill(&pool[0][0], 20, 0.7);
    AttnLibrary *l = compile(paged, NULL);
    AttnBinding *b = binding(l);
    Fake t;
    FAKE(&t, table, kDLInt, 32, 2, 3);
    BIND("x", x, 2, 3);
    BIND("pool", pool, 5, 4);
    BIND("o", o, 2, 3);
    EXPECT(MISSING, &error, "paged: table is not bound", attn_run(b, NULL, &error));
    OK(attn_bind(b, "table", &t.t, &error));
    OK(attn_run(b, NULL, &error));
    for (int n = 0; n < 6; n++) {
        const float *row = pool[table[n / 3][n % 3]];
        cr_assert_float_eq(o[n / 3][n % 3], x[n / 3][n % 3] * (row[0] + row[1] + row[2] + row[3]), 1e-5);
    }
    table[1][2] = 5;
    EXPECT(DATA, &error, "paged: table[1, 2] = 5 is outside 0..size(page) = 0..5", attn_run(b, NULL, &error));
    table[1][2] = -1;
    EXPECT(DATA, &error, "table[1, 2] = -1 is outside", attn_run(b, NULL, &error));
    table[1][2] = 0;
    OK(attn_set_int(b, "groups", 3, &error));
    EXPECT(CONDITION, &error,
           "paged: size(slot) % groups == 0 does not hold: size(slot) = 4, groups = 3 (<string>:6:",
           attn_run(b, NULL, &error));
    BIND("pool", pool, 5, 3);
    OK(attn_run(b, NULL, &error));
    done(l, b);
}

Test(compiled, carried_state)
{
    static const char text[] = "pattern decay(rate: float)\n"
                               "    over b: x[t] -> y[t]\n"
                               "    example t = 8, rate = 0.5\n"
                               "{\n"
                               "    carry S\n"
                               "    S[t] = rate * S[t - 1] + x\n"
                               "    y = S\n"
                               "}\n";
    enum { B = 3, T = 10, FIRST = 4 };
    float x[B][T], whole[B][T], parts[B][T], state[B] = {0};
    fill(&x[0][0], B * T, 0.9);
    AttnLibrary *l = compile(text, NULL);
    AttnBinding *b = binding(l);
    BIND("x", x, B, T);
    BIND("y", whole, B, T);
    EXPECT(MISSING, &error, "parameter rate has no default and is not set", attn_run(b, NULL, &error));
    OK(attn_set_float(b, "rate", 0.75, &error));
    OK(attn_run(b, NULL, &error));
    BIND("S.start", state, B);
    BIND("S.last", state, B); /* in place */
    for (int64_t from = 0; from < T; from = from ? T : FIRST) {
        Fake fx, fy;
        int64_t n = from ? T - FIRST : FIRST;
        FAKE(&fx, &x[0][from], kDLFloat, 32, B, n);
        FAKE(&fy, &parts[0][from], kDLFloat, 32, B, n);
        fx.strides[0] = fy.strides[0] = T;
        OK(attn_bind(b, "x", &fx.t, &error));
        OK(attn_bind(b, "y", &fy.t, &error));
        OK(attn_run(b, NULL, &error));
    }
    for (int n = 0; n < B * T; n++)
        cr_assert_float_eq(parts[n / T][n % T], whole[n / T][n % T], 1e-6);
    for (int n = 0; n < B; n++)
        cr_assert_float_eq(state[n], whole[n][T - 1], 1e-6);
    done(l, b);
}

Test(compiled, range_checked_as_it_runs)
{
    static const char text[] = "pattern half()\n"
                               "    over: x[i], y[j] -> o[i]\n"
                               "    example i = 4, j = 4\n"
                               "{\n"
                               "    at: int in 0..size(j) = int(x)\n"
                               "    o = y[at]\n"
                               "}\n";
    const char *body = strstr(text, "over: ");
    char without[300];
    snprintf(without, sizeof without, "%.*s%s", (int)(body - text), text, body + strlen("over: "));
    float x[3] = {0, 2, 1}, y[3] = {5, 6, 7}, o[3];
    AttnLibrary *l = compile(without, NULL);
    AttnBinding *b = binding(l);
    BIND("x", x, 3);
    BIND("y", y, 3);
    BIND("o", o, 3);
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o[1], 7);
    x[1] = 3;
    EXPECT(DATA, &error, "half: a value is outside", attn_run(b, NULL, &error));
    cr_assert(strstr(error.text, "size(j) = 3 (<string>:5:"), "%s", error.text);
    done(l, b);
}

Test(compiled, options)
{
    AttnLibrary *l;
    double q[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}}, o[2];
    static const char text[] = "pattern norm(power: int = 1, flip: bool = false)\n"
                               "    q[i, d] -> o[i]\n"
                               "    example i = 2, d = 4\n"
                               "{\n"
                               "    o = (if flip then -1 else 1) * power * sum[d](q)\n"
                               "}\n"
                               "pattern other()\n"
                               "    q[i] -> o[i]\n"
                               "    example i = 2\n"
                               "{\n"
                               "    o = q\n"
                               "}\n";
    static const char *const definitions[] = {"power=3", NULL}, *const sizes[] = {"d=4", NULL},
                             *const wrong[] = {"nothing=3", NULL};
    AttnCompileOptions options = {.pattern = "norm", .definitions = definitions, .sizes = sizes, .f64 = 1};
    l = compile(text, &options);
    cr_assert_eq(attn_pattern_count(l), 1);
    cr_assert(attn_pattern_at(l, 0)->params[0].fixed);
    cr_assert(!attn_pattern_at(l, 0)->params[1].fixed);
    cr_assert_eq(attn_pattern_at(l, 0)->n_variants, 2);
    cr_assert_eq(attn_pattern_at(l, 0)->tensors[0].type.bits, 64);
    AttnBinding *b = binding(l);
    OK(attn_set_bool(b, "flip", 1, &error));
    EXPECT(USAGE, &error, "power was fixed when the pattern was compiled: power = 3",
           attn_set_int(b, "power", 1, &error));
    OK(attn_set_int(b, "power", 3, &error));
    BIND("q", q, 2, 4);
    BIND("o", o, 2);
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o[1], -3 * 26);
    BIND("q", q, 2, 3);
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o[0], -3 * 6);
    done(l, b);
    EXPECT(SOURCE, &error, "nothing",
           attn_compile_string(text, NULL, &(AttnCompileOptions){.definitions = wrong}, &l, &error));
    EXPECT(SOURCE, &error, "missing",
           attn_compile_string(text, NULL, &(AttnCompileOptions){.pattern = "missing"}, &l, &error));
    EXPECT(SOURCE, &error, "error[E", attn_compile_string("pattern", NULL, NULL, &l, &error));
    cr_assert(strstr(error.text, "<string>:1:"), "%s", error.text);
    EXPECT(COMPILER, &error, "",
           attn_compile_string(full, NULL, &(AttnCompileOptions){.cpu = "no-such-cpu"}, &l, &error));
}

/* What `use` finds, and what it would find first, decide whether a cached pattern is still the one. */
Test(compiled, used_files)
{
    char folder[500], masks[700], first[600], include[600], source[600];
    static const char text[] = "use \"my_masks.attn\"\n"
                               "pattern p()\n"
                               "    x[i], y[j] -> o[i]\n"
                               "    example i = 4, j = 4\n"
                               "{\n"
                               "    o = x * sum[j](y where mine(i, j))\n"
                               "}\n";
    snprintf(folder, sizeof folder, "%s", fake_folder());
    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(include, sizeof include, "%s/include", folder);
    mkdir(include, 0700);
    snprintf(masks, sizeof masks, "%s/my_masks.attn", include);
    snprintf(first, sizeof first, "%s/my_masks.attn", folder);
    snprintf(source, sizeof source, "%s/p.attn", folder);
    fake_write(masks, "mask mine(i, j) = j < i\n", 24);
    fake_write(source, text, sizeof text - 1);
    const char *includes[] = {include, NULL};
    AttnCompileOptions options = {.includes = includes};
    float x[3] = {1, 1, 1}, y[3] = {1, 10, 100};
    const float want[] = {11, 111, 110};
    for (int round = 0; round < 6; round++) {
        float o[3];
        AttnLibrary *l;
        if (round == 2)
            fake_write(masks, "mask mine(i, j) = j <= i\n", 25);
        if (round == 4)
            fake_write(first, "mask mine(i, j) = 0 < j <= i\n", 29);
        OK(attn_compile_file(source, &options, &l, &error));
        cr_assert_eq(attn_library_desc(l).cached, round % 2, "round %d", round);
        AttnBinding *b = binding(l);
        BIND("x", x, 3);
        BIND("y", y, 3);
        BIND("o", o, 3);
        OK(attn_run(b, NULL, &error));
        cr_assert_eq(o[2], want[round / 2], "round %d: %g", round, (double)o[2]);
        done(l, b);
    }
}

static bool works(const char *text)
{
    AttnError e;
    AttnLibrary *l = NULL;
    AttnBinding *b = NULL;
    float q[4] = {1, 2, 3, 4}, o[4] = {0};
    bool good = attn_compile_string(text, NULL, NULL, &l, &e) == ATTN_OK &&
                attn_binding_new(l, "full", &b, &e) == ATTN_OK;
    const char *const names[] = {"q", "k", "v", "o"};
    for (int i = 0; i < 4 && good; i++)
        good = attn_bind_dense(b, names[i], i < 3 ? q : o, 4, (int64_t[]){1, 1, 2, 2}, &e) == ATTN_OK;
    good = good && attn_run(b, &(AttnRunOptions){.threads = 2}, &e) == ATTN_OK && o[3] > 3 && o[3] < 4;
    if (!good)
        fprintf(stderr, "%s\n", e.text);
    attn_binding_free(b);
    attn_close(l);
    return good;
}

static void *work(void *data)
{
    bool good = true;
    for (int i = 0; i < 6 && good; i++) {
        char text[sizeof full + 32];
        snprintf(text, sizeof text, "%s# %d\n", full, i);
        good = works(text);
    }
    return good ? data : NULL;
}

/* Several threads compile the same and different texts at once. */
Test(compiled, threads)
{
    pthread_t threads[4];
    void *good;
    setenv("XDG_CACHE_HOME", fake_folder(), 1);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, threads);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &good);
        cr_assert(good);
    }
}

/* The compiler and its code work in a child, too. */
Test(compiled, after_fork, .timeout = 120)
{
    setenv("ATTN_CACHE_SIZE", "0", 1);
    cr_assert(works(full));
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(!works(full));
    }
    int status = 1;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
}

/* A byte other than 0 is true, whatever it is. */
Test(compiled, bools)
{
    static const char text[] = "pattern keep()\n"
                               "    x[i], y[j] -> o[i], any_kept: bool[i]\n"
                               "    with c: bool[i, j]\n"
                               "    example i = 4, j = 4\n"
                               "{\n"
                               "    o = x * sum[j](y where c)\n"
                               "    any_kept = any[j](c)\n"
                               "}\n";
    float x[2] = {1, 1}, y[3] = {1, 10, 100}, o[2];
    uint8_t c[2][3] = {{1, 0, 2}, {0, 0, 0}}, kept[2] = {7, 7};
    AttnLibrary *l = compile(text, NULL);
    AttnBinding *b = binding(l);
    BIND("x", x, 2);
    BIND("y", y, 3);
    BIND("c", c, 2, 3);
    BIND("o", o, 2);
    BIND("any_kept", kept, 2);
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o[0], 101);
    cr_assert_eq(kept[0], 1);
    cr_assert_eq(kept[1], 0);
    done(l, b);
}

/* Outputs of ints, in whatever integer type the host has. */
Test(compiled, integer_outputs)
{
    static const char text[] = "pattern best()\n"
                               "    x[i, j] -> o: int[i]\n"
                               "    example i = 4, j = 4\n"
                               "{\n"
                               "    o = argmax[j](x) - 1\n"
                               "}\n";
    float x[3][4] = {{0, 5, 1, 2}, {9, 1, 2, 3}, {0, 1, 2, 3}};
    int64_t wide[3] = {0};
    int32_t middle[3] = {0};
    int8_t narrow[6] = {0};
    Fake f;
    AttnLibrary *l = compile(text, NULL);
    AttnBinding *b = binding(l);
    BIND("x", x, 3, 4);
    BIND("o", wide, 3);
    OK(attn_run(b, NULL, &error));
    FAKE(&f, middle, kDLInt, 32, 3);
    OK(attn_bind(b, "o", &f.t, &error));
    OK(attn_run(b, NULL, &error));
    FAKE(&f, narrow, kDLInt, 8, 3);
    f.strides[0] = 2;
    OK(attn_bind(b, "o", &f.t, &error));
    OK(attn_run(b, NULL, &error));
    for (int i = 0; i < 3; i++) {
        const int64_t want[] = {0, -1, 2};
        cr_assert_eq(wide[i], want[i]);
        cr_assert_eq(middle[i], want[i]);
        cr_assert_eq(narrow[2 * i], want[i]);
        cr_assert_eq(narrow[2 * i + 1], 0);
    }
    done(l, b);
}

/* The extents of outputs that follow from others, so that a host can make the outputs. */
Test(compiled, derived_extents)
{
    static const char text[] = "pattern twice(more: int = 3)\n"
                               "    x[d], y[e] -> o[r], p[u]\n"
                               "    example d = 4, e = 4\n"
                               "{\n"
                               "    index r: 2 * size(d) - (size(e) - more) // 2\n"
                               "    index u: join(d, e)\n"
                               "    o[r] = sum[d](x) + r\n"
                               "    p = join[u](x, y)\n"
                               "}\n";
    float x[5] = {1, 2, 3, 4, 5}, y[6] = {6, 7, 8, 9, 10, 11}, o[10], p[11];
    int64_t extent;
    AttnLibrary *l = compile(text, NULL);
    AttnBinding *b = binding(l);
    BIND("x", x, 5);
    BIND("y", y, 6);
    OK(attn_extent(b, "r", &extent, &error));
    cr_assert_eq(extent, 9);
    OK(attn_extent(b, "u", &extent, &error));
    cr_assert_eq(extent, 11);
    BIND("o", o, 10);
    BIND("p", p, 11);
    EXPECT(CONDITION, &error, "size(r) == ", attn_run(b, NULL, &error));
    BIND("o", o, 9);
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o[8], 23);
    cr_assert_eq(p[10], 11);
    done(l, b);
}

/* Code for several CPUs in one module: the first that this machine can run. */
Test(compiled, variants_for_cpus)
{
    AttnLibrary *l = compile(full, &(AttnCompileOptions){.cpu = "x86-64-v4,x86-64-v3,x86-64"});
    cr_assert_eq(attn_pattern_at(l, 0)->n_variants, 3);
    AttnBinding *b = binding(l);
    float x[4] = {1, 2, 3, 4}, o[4];
    BIND("q", x, 1, 1, 2, 2);
    BIND("k", x, 1, 1, 2, 2);
    BIND("v", x, 1, 1, 2, 2);
    BIND("o", o, 1, 1, 2, 2);
    OK(attn_run(b, NULL, &error));
    cr_assert(o[3] > 3 && o[3] < 4);
    done(l, b);
}
