/* Bindings: shapes that broadcast, grouped heads, strides, and the error for each thing that does not fit. */
#include "fake.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static AttnError error;

/* score() with everything bound: b = 2, h = 4, i = 3, j = 5, d = 6, page = 7. */
enum { NB = 2, NH = 4, NI = 3, NJ = 5, ND = 6, NP = 7 };
typedef struct Score {
    AttnLibrary *library;
    AttnBinding *b;
    float q[NB][NH][NI][ND], k[NB][NH][NJ][ND], pool[NP][ND], bias[NH], o[NB][NH][NI][NJ];
    int64_t table[NB][NJ];
} Score;

static float number(unsigned *state)
{
    *state = *state * 1664525 + 1013904223;
    return (float)(*state >> 24) / 16 - 8;
}

static Score *score(void)
{
    Score *s = calloc(1, sizeof *s);
    unsigned state = 1;
    for (float *x = &s->q[0][0][0][0]; x < &s->o[0][0][0][0]; x++)
        *x = number(&state);
    for (int n = 0; n < NB * NJ; n++)
        s->table[n / NJ][n % NJ] = (n * 3) % NP;
    s->library = fake_open();
    OK(attn_binding_new(s->library, "score", &s->b, &error));
    OK(attn_bind_dense(s->b, "q", s->q, 4, (int64_t[]){NB, NH, NI, ND}, &error));
    OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){NB, NH, NJ, ND}, &error));
    OK(attn_bind_dense(s->b, "pool", s->pool, 2, (int64_t[]){NP, ND}, &error));
    OK(attn_bind_dense(s->b, "table", s->table, 2, (int64_t[]){NB, NJ}, &error));
    OK(attn_bind_dense(s->b, "o", s->o, 4, (int64_t[]){NB, NH, NI, NJ}, &error));
    OK(attn_set_float(s->b, "scale", 0.5, &error));
    return s;
}

static void done(Score *s)
{
    attn_binding_free(s->b);
    attn_close(s->library);
    free(s);
}

static double expected(const Score *s, int b, int h, int i, int j, int k_heads, int k_batch)
{
    double sum = 0;
    for (int d = 0; d < ND; d++)
        sum += s->q[b][h][i][d] *
               ((&s->k[0][0][0][0])[(((b % k_batch) * k_heads + h / (NH / k_heads)) * NJ + j) * ND + d] +
                s->pool[s->table[b][j]][d]);
    return 0.5 * sum;
}

static void check(const Score *s, int k_heads, int k_batch, bool bias)
{
    for (int n = 0; n < NB * NH * NI * NJ; n++) {
        int j = n % NJ, i = n / NJ % NI, h = n / NJ / NI % NH, b = n / NJ / NI / NH;
        float want = (float)expected(s, b, h, i, j, k_heads, k_batch) + (bias ? s->bias[h] : 0);
        cr_assert_float_eq(s->o[b][h][i][j], want, 1e-3, "[%d, %d, %d, %d]", b, h, i, j);
    }
}

Test(bind, full_shapes)
{
    Score *s = score();
    OK(attn_run(s->b, NULL, &error));
    check(s, NH, NB, false);
    OK(attn_bind_dense(s->b, "bias", s->bias, 1, (int64_t[]){NH}, &error));
    OK(attn_run(s->b, NULL, &error));
    check(s, NH, NB, true);
    OK(attn_bind(s->b, "bias", NULL, &error));
    OK(attn_run(s->b, NULL, &error));
    check(s, NH, NB, false);
    done(s);
}

Test(bind, heads_in_groups)
{
    Score *s = score();
    for (int heads = 1; heads <= NH; heads *= 2) {
        OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){NB, heads, NJ, ND}, &error));
        OK(attn_run(s->b, NULL, &error));
        check(s, heads, NB, false);
    }
    EXPECT(SHAPE, &error, "extent of h is 4 in q, but 3 in k; there it must be the same or 1 or a divisor",
           (OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){NB, 3, NJ, ND}, &error)),
            attn_run(s->b, NULL, &error)));
    done(s);
}

Test(bind, ambient_extents_of_one)
{
    Score *s = score();
    OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){1, NH, NJ, ND}, &error));
    OK(attn_run(s->b, NULL, &error));
    check(s, NH, 1, false);
    int64_t extent;
    OK(attn_extent(s->b, "b", &extent, &error));
    cr_assert_eq(extent, NB);
    EXPECT(NAME, &error, "no index named 'z'", attn_extent(s->b, "z", &extent, &error));
    done(s);
}

Test(bind, captures_broadcast_and_outputs_do_not)
{
    Score *s = score();
    OK(attn_bind_dense(s->b, "bias", s->bias, 1, (int64_t[]){1}, &error));
    for (int h = 1; h < NH; h++)
        s->bias[h] = s->bias[0];
    OK(attn_run(s->b, NULL, &error));
    check(s, NH, NB, true);
    OK(attn_bind_dense(s->b, "bias", s->bias, 1, (int64_t[]){2}, &error));
    EXPECT(SHAPE, &error, "extent of h is 4 in q, but 2 in bias; there it must be the same or 1",
           attn_run(s->b, NULL, &error));
    OK(attn_bind(s->b, "bias", NULL, &error));
    OK(attn_bind_dense(s->b, "o", s->o, 4, (int64_t[]){1, NH, NI, NJ}, &error));
    EXPECT(SHAPE, &error, "extent of b is 2 in q, but 1 in o", attn_run(s->b, NULL, &error));
    done(s);
}

/* The largest extent bound counts, also where an output alone has it. */
Test(bind, output_decides_ambient_extent)
{
    Score *s = score();
    OK(attn_bind_dense(s->b, "q", s->q, 4, (int64_t[]){NB, 1, NI, ND}, &error));
    OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){NB, 1, NJ, ND}, &error));
    OK(attn_run(s->b, NULL, &error));
    for (int h = 1; h < NH; h++)
        cr_assert_eq(memcmp(s->o[0][0], s->o[0][h], sizeof s->o[0][0]), 0);
    done(s);
}

Test(bind, strides)
{
    Score *s = score();
    Fake q, o;
    float *turned = malloc(sizeof s->q), *out = malloc(sizeof s->o);
    /* q as [d, i, h, b] in memory, i backwards; o as [j, b, i, h]. */
    for (int n = 0; n < NB * NH * NI * ND; n++) {
        int d = n % ND, i = n / ND % NI, h = n / ND / NI % NH, b = n / ND / NI / NH;
        turned[((d * NI + (NI - 1 - i)) * NH + h) * NB + b] = s->q[b][h][i][d];
    }
    FAKE(&q, turned, kDLFloat, 32, NB, NH, NI, ND);
    memcpy(q.strides, (int64_t[]){1, NB, -NB * NH, NB * NH * NI}, 4 * sizeof(int64_t));
    q.t.byte_offset = (NI - 1) * NB * NH * sizeof(float);
    FAKE(&o, out, kDLFloat, 32, NB, NH, NI, NJ);
    memcpy(o.strides, (int64_t[]){NI * NH, 1, NH, NB * NI * NH}, 4 * sizeof(int64_t));
    OK(attn_bind(s->b, "q", &q.t, &error));
    OK(attn_bind(s->b, "o", &o.t, &error));
    OK(attn_run(s->b, NULL, &error));
    for (int n = 0; n < NB * NH * NI * NJ; n++) {
        int j = n % NJ, i = n / NJ % NI, h = n / NJ / NI % NH, b = n / NJ / NI / NH;
        s->o[b][h][i][j] = out[((j * NB + b) * NI + i) * NH + h];
    }
    check(s, NH, NB, false);
    free(turned);
    free(out);
    done(s);
}

static void bind_empty(Score *s)
{
    OK(attn_bind_dense(s->b, "q", NULL, 4, (int64_t[]){NB, 0, NI, ND}, &error));
    OK(attn_bind_dense(s->b, "o", NULL, 4, (int64_t[]){NB, 0, NI, NJ}, &error));
}

Test(bind, empty)
{
    Score *s = score();
    bind_empty(s);
    OK(attn_run(s->b, NULL, &error)); /* k's 4 heads are a divisor of 0 */
    int64_t extent;
    OK(attn_extent(s->b, "h", &extent, &error));
    cr_assert_eq(extent, 0);
    OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){0, 1, NJ, ND}, &error));
    EXPECT(SHAPE, &error, "extent of b is 0 in k, but 2 in q", attn_run(s->b, NULL, &error));
    done(s);
}

Test(bind, names)
{
    Score *s = score();
    EXPECT(NAME, &error, "score has no tensor named 'z'", attn_bind(s->b, "z", NULL, &error));
    EXPECT(NAME, &error, "score has no parameter named 'z'", attn_set_int(s->b, "z", 1, &error));
    EXPECT(USAGE, &error, "NULL", attn_bind(s->b, NULL, NULL, &error));
    AttnBinding *b;
    EXPECT(NAME, &error, "no pattern named 'z'", attn_binding_new(s->library, "z", &b, &error));
    EXPECT(NAME, &error, "has 7 patterns: say which", attn_binding_new(s->library, NULL, &b, &error));
    done(s);
}

Test(bind, types)
{
    Score *s = score();
    Fake f;
    FAKE(&f, s->q, kDLFloat, 64, NB, NH, NI, ND);
    EXPECT(TYPE, &error, "q has elements of f64; it takes f32", attn_bind(s->b, "q", &f.t, &error));
    EXPECT(MISSING, &error, "q is not bound", attn_run(s->b, NULL, &error));
    FAKE(&f, s->q, kDLInt, 32, NB, NH, NI, ND);
    EXPECT(TYPE, &error, "q has elements of int32; it takes f32", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, s->q, kDLComplex, 64, NB, NH, NI, ND);
    EXPECT(TYPE, &error, "unknown type", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, s->q, kDLFloat, 32, NB, NH, NI, ND);
    f.t.dtype.lanes = 4;
    EXPECT(TYPE, &error, "unknown type", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, s->table, kDLFloat, 32, NB, NJ);
    EXPECT(TYPE, &error, "table has elements of f32; it takes an integer type",
           attn_bind(s->b, "table", &f.t, &error));
    FAKE(&f, s->q, kDLFloat, 32, NB, NH, NI, ND);
    f.t.device.device_type = kDLCUDA;
    EXPECT(TYPE, &error, "lies on a device", attn_bind(s->b, "q", &f.t, &error));
    EXPECT(TYPE, &error, "parameter window is an int, not a float",
           attn_set_float(s->b, "window", 1, &error));
    EXPECT(TYPE, &error, "parameter flip is a bool, not an int", attn_set_int(s->b, "flip", 1, &error));
    OK(attn_set_int(s->b, "scale", 2, &error));
    done(s);
}

Test(bind, shapes)
{
    Score *s = score();
    Fake f;
    FAKE(&f, s->q, kDLFloat, 32, NB, NH, NI);
    EXPECT(SHAPE, &error, "q has 3 dimensions; it takes 4", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, s->q, kDLFloat, 32, NB, NH, NI, ND);
    f.shape[2] = -1;
    EXPECT(SHAPE, &error, "extent of q along i is negative", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, s->q, kDLFloat, 32, NB, NH, NI, ND);
    f.strides[0] = INT64_MAX / 4;
    EXPECT(SHAPE, &error, "q is larger than the address space", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, s->q, kDLFloat, 32, NB, NH, NI, ND);
    f.strides[0] = INT64_MAX / 16;
    EXPECT(SHAPE, &error, "q reaches beyond the address space",
           (f.t.data = (void *)(UINTPTR_MAX - 63), attn_bind(s->b, "q", &f.t, &error)));
    FAKE(&f, s->q, kDLFloat, 32, 1 << 30, 1 << 30, 1 << 30, 1 << 30);
    memset(f.strides, 0, sizeof f.strides);
    EXPECT(SHAPE, &error, "larger than the address space", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, NULL, kDLFloat, 32, NB, NH, NI, ND);
    EXPECT(MISSING, &error, "q has no data (NULL)", attn_bind(s->b, "q", &f.t, &error));
    FAKE(&f, (char *)s->q + 2, kDLFloat, 32, NB, NH, NI, ND);
    EXPECT(SHAPE, &error, "q is not aligned to its elements of 4 bytes", attn_bind(s->b, "q", &f.t, &error));
    done(s);
}

Test(bind, extents_agree)
{
    Score *s = score();
    OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){NB, NH, NJ, 4}, &error));
    EXPECT(SHAPE, &error, "score: the extent of d is 6 in q, but 4 in k", attn_run(s->b, NULL, &error));
    OK(attn_bind_dense(s->b, "k", s->k, 4, (int64_t[]){NB, NH, NJ, ND}, &error));
    OK(attn_set_extent(s->b, "j", 6, &error));
    EXPECT(SHAPE, &error, "the extent of j is 6 in attn_set_extent, but 5 in k",
           attn_run(s->b, NULL, &error));
    OK(attn_set_extent(s->b, "j", NJ, &error));
    OK(attn_run(s->b, NULL, &error));
    EXPECT(SHAPE, &error, "negative", attn_set_extent(s->b, "j", -2, &error));
    done(s);
}

Test(bind, missing)
{
    AttnLibrary *l = fake_open();
    AttnBinding *b;
    OK(attn_binding_new(l, "score", &b, &error));
    EXPECT(MISSING, &error, "q is not bound", attn_prepare(b, &error));
    size_t bytes;
    EXPECT(MISSING, &error, "scale has no default and is not set", attn_workspace(b, NULL, &bytes, &error));
    OK(attn_set_float(b, "scale", 1, &error));
    EXPECT(MISSING, &error, "the extent of b is not known", attn_workspace(b, NULL, &bytes, &error));
    static const char *const names[] = {"b", "h", "i", "j", "d", "page"};
    for (int n = 0; n < 6; n++)
        OK(attn_set_extent(b, names[n], n + 2, &error));
    AttnRunOptions options = {.threads = 1};
    OK(attn_workspace(b, &options, &bytes, &error));
    cr_assert_eq(bytes, (2 * 5 * 6 * 4 + 63) / 64 * 64 + 64);
    attn_binding_free(b);
    attn_close(l);
}

Test(bind, conditions)
{
    Score *s = score();
    OK(attn_set_int(s->b, "window", -3, &error));
    EXPECT(CONDITION, &error,
           "score: size(d) % 2 == 0 and window >= 0 does not hold: size(d) = 6, window = -3 "
           "(fake.attn:7:5)",
           attn_run(s->b, NULL, &error));
    OK(attn_set_int(s->b, "window", 2, &error));
    OK(attn_run(s->b, NULL, &error));
    cr_assert_eq(s->o[0][0][2][0], 0);
    cr_assert_neq(s->o[0][0][2][1], 0);
    done(s);
}

Test(bind, data_ranges)
{
    Score *s = score();
    memset(s->o, 0x55, sizeof s->o);
    s->table[1][3] = 9;
    EXPECT(DATA, &error, "score: table[1, 3] = 9 is outside 0..size(page) = 0..7",
           attn_run(s->b, NULL, &error));
    s->table[1][3] = 0, s->table[0][2] = -1;
    EXPECT(DATA, &error, "table[0, 2] = -1 is outside", attn_run(s->b, NULL, &error));
    cr_assert_eq(((unsigned char *)s->o)[0], 0x55, "nothing is written before");
    done(s);
}

#define INT_TYPE(type, code, bits)                                                                           \
    do {                                                                                                     \
        type table[NB * NJ];                                                                                 \
        for (int n = 0; n < NB * NJ; n++)                                                                    \
            table[n] = (type)s->table[n / NJ][n % NJ];                                                       \
        FAKE(&f, table, code, bits, NB, NJ);                                                                 \
        OK(attn_bind(s->b, "table", &f.t, &error));                                                          \
        memset(s->o, 0, sizeof s->o);                                                                        \
        OK(attn_run(s->b, NULL, &error));                                                                    \
        check(s, NH, NB, false);                                                                             \
        table[4] = 100;                                                                                      \
        EXPECT(DATA, &error, "table[0, 4] = 100", attn_run(s->b, NULL, &error));                             \
    } while (0)

Test(bind, any_integer_type)
{
    Score *s = score();
    Fake f;
    INT_TYPE(int8_t, kDLInt, 8);
    INT_TYPE(int16_t, kDLInt, 16);
    INT_TYPE(int32_t, kDLInt, 32);
    INT_TYPE(int64_t, kDLInt, 64);
    INT_TYPE(uint8_t, kDLUInt, 8);
    INT_TYPE(uint16_t, kDLUInt, 16);
    INT_TYPE(uint32_t, kDLUInt, 32);
    INT_TYPE(uint64_t, kDLUInt, 64);
    done(s);
}

Test(bind, element_types)
{
    AttnLibrary *l = fake_open();
    AttnBinding *b;
    double f64[2] = {1, 2}, sum[2];
    uint16_t half[2] = {0};
    uint8_t bools[2] = {1, 0}, small[2] = {3, 4};
    Fake f;
    OK(attn_binding_new(l, "kinds", &b, &error));
    OK(attn_bind_dense(b, "f64", f64, 1, (int64_t[]){2}, &error));
    OK(attn_bind_dense(b, "f16", half, 1, (int64_t[]){2}, &error));
    FAKE(&f, half, kDLFloat, 16, 2);
    EXPECT(TYPE, &error, "bf16 has elements of f16; it takes bf16", attn_bind(b, "bf16", &f.t, &error));
    OK(attn_bind_dense(b, "bf16", half, 1, (int64_t[]){2}, &error));
    FAKE(&f, bools, kDLInt, 8, 2);
    EXPECT(TYPE, &error, "bool has elements of int8; it takes bool", attn_bind(b, "bool", &f.t, &error));
    FAKE(&f, bools, 6, 8, 2);
    OK(attn_bind(b, "bool", &f.t, &error));
    OK(attn_bind_dense(b, "bool", bools, 1, (int64_t[]){2}, &error));
    FAKE(&f, small, kDLUInt, 8, 2);
    OK(attn_bind(b, "int", &f.t, &error));
    OK(attn_bind_dense(b, "sum", sum, 1, (int64_t[]){2}, &error));
    EXPECT(TYPE, &error, "int is bound to uint8, which does not hold its range -5..250 + bound = -5..250",
           attn_run(b, NULL, &error));
    int16_t wide[2] = {3, 4};
    FAKE(&f, wide, kDLInt, 16, 2);
    OK(attn_bind(b, "int", &f.t, &error));
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(sum[0], 1 + 1 + 3);
    cr_assert_eq(sum[1], 2 + 0 + 4);
    OK(attn_set_int(b, "bound", 40000, &error));
    EXPECT(TYPE, &error, "does not hold", attn_run(b, NULL, &error));
    attn_binding_free(b);
    attn_close(l);
}

Test(bind, variants)
{
    AttnLibrary *l = fake_open();
    AttnBinding *b;
    float x[64] = {0};
    int64_t o = 0;
    OK(attn_binding_new(l, "pick", &b, &error));
    OK(attn_bind_dense(b, "o", &o, 0, NULL, &error));
    for (int64_t n = 3; n <= 5; n++) {
        OK(attn_bind_dense(b, "x", x, 1, &n, &error));
        OK(attn_run(b, NULL, &error));
        cr_assert_eq(o, n == 4 ? 2 : 3);
    }
    attn_binding_free(b);
    OK(attn_binding_new(l, "only", &b, &error));
    OK(attn_bind_dense(b, "o", &o, 0, NULL, &error));
    OK(attn_bind_dense(b, "x", x, 1, (int64_t[]){4}, &error));
    EXPECT(CPU, &error, "only: compiled for x86-64; this machine lacks", attn_run(b, NULL, &error));
    OK(attn_bind_dense(b, "x", x, 1, (int64_t[]){5}, &error));
    EXPECT(SHAPE, &error, "the extent of d is 5; the code was compiled for 4", attn_run(b, NULL, &error));
    OK(attn_bind_dense(b, "x", x, 1, (int64_t[]){64}, &error));
    OK(attn_run(b, NULL, &error));
    attn_binding_free(b);
    attn_close(l);
}

/* An extent that follows from others need not be known before its tensor is bound, and is compared then. */
Test(bind, derived_extents)
{
    AttnLibrary *l = fake_open();
    AttnBinding *b;
    float x[3] = {1, 2, 3}, o[6] = {0};
    size_t bytes;
    int64_t extent;
    OK(attn_binding_new(l, "twice", &b, &error));
    EXPECT(MISSING, &error, "the extent of r is not known", attn_extent(b, "r", &extent, &error));
    OK(attn_bind_dense(b, "x", x, 1, (int64_t[]){3}, &error));
    OK(attn_workspace(b, NULL, &bytes, &error));
    cr_assert_eq(bytes, 3 * 128);
    OK(attn_extent(b, "r", &extent, &error));
    cr_assert_eq(extent, 6);
    OK(attn_bind_dense(b, "o", o, 1, (int64_t[]){5}, &error));
    EXPECT(CONDITION, &error, "twice: size(r) == 2 * size(d) does not hold: size(r) = 5, size(d) = 3",
           attn_run(b, NULL, &error));
    OK(attn_bind_dense(b, "o", o, 1, (int64_t[]){6}, &error));
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o[5], 3);
    attn_binding_free(b);
    attn_close(l);
}
