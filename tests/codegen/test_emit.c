/* Machine code from kernels built by hand, against plain C. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "small.h"


static float noise(unsigned k) { return (float)((k * 2654435761u >> 8) & 0xffff) / 32768.0f - 1.0f; }

static double attention_error(Small *s, int64_t group, int64_t n, int64_t m, int64_t e)
{
    enum { H = 4 };
    size_t q_size = (size_t)(H * n * e), k_size = (size_t)(H / group * m * 2 * e);
    float *q = calloc(q_size + 1, 4), *k = calloc(k_size + 1, 4), *v = calloc(k_size + 1, 4),
          *o = calloc(q_size + 1, 4);
    for (unsigned z = 0; z < q_size; z++) q[z] = noise(z);
    for (unsigned z = 0; z < k_size; z++) k[z] = noise(z + 77), v[z] = noise(z + 999);
    /* keys stand 2 e apart; values are laid out e-major */
    int64_t sq[3] = {n * e, e, 1}, sk[3] = {m * 2 * e, 2 * e, 1}, sv[3] = {m * 2 * e, 1, m};
    AttnTensor tensors[] = {
        {q, sq, 1, ATTN_F32}, {k, sk, group, ATTN_F32}, {v, sv, group, ATTN_F32}, {o, sq, 1, ATTN_F32}};
    cr_assert_eq(small_run(s, 0, tensors, (int64_t[]){H, n, m, e}, NULL), 0);
    double worst = 0;
    double *score = calloc((size_t)m + 1, sizeof *score);
    for (int64_t h = 0; h < H; h++)
        for (int64_t i = 0; i < n; i++) {
            double sum = 0, top = -INFINITY;
            int64_t keys = i + 1 < m ? i + 1 : m;
            for (int64_t j = 0; j < keys; j++) {
                score[j] = 0;
                for (int64_t x = 0; x < e; x++)
                    score[j] += (double)q[h * sq[0] + i * sq[1] + x] * k[h / group * sk[0] + j * sk[1] + x];
                score[j] /= sqrt((double)e);
                top = fmax(top, score[j]);
            }
            for (int64_t j = 0; j < keys; j++) sum += score[j] = exp(score[j] - top);
            for (int64_t x = 0; x < e; x++) {
                double r = 0;
                for (int64_t j = 0; j < keys; j++) r += score[j] / sum * v[h / group * sv[0] + j + x * m];
                worst = fmax(worst, fabs(r - o[h * sq[0] + i * sq[1] + x]));
            }
        }
    free(q), free(k), free(v), free(o), free(score);
    return worst;
}

Test(emit, attention)
{
    Small s;
    small_begin(&s, "attention", false);
    small_attention(&s);
    small_open(&s, NULL);
    cr_assert_lt(attention_error(&s, 1, 17, 23, 8), 1e-6);
    cr_assert_lt(attention_error(&s, 2, 33, 20, 13), 1e-6);
    cr_assert_lt(attention_error(&s, 4, 1, 1, 1), 1e-6);
    small_end(&s);
}

Test(emit, attention_for_older_processors_and_fixed_extents)
{
    Small s;
    small_begin(&s, "attention", false);
    small_attention(&s);
    PUSH(&s.c, &s.job.variants, (Variant){&s.kernel, "x86-64", NULL});
    PUSH(&s.c, &s.job.variants, (Variant){&s.kernel, NULL, (int64_t[]){-1, -1, -1, 13}});
    small_open(&s, NULL);
    cr_assert_eq(s.module->n_patterns, 2);
    cr_assert_eq(s.module->patterns[0].features, 0);
    cr_assert_str_eq(s.module->patterns[0].cpu, "x86-64");
    cr_assert_eq(s.module->patterns[1].fixed[3], 13);
    cr_assert_lt(attention_error(&s, 2, 33, 20, 13), 1e-6);
    small_end(&s);
}

/* --- integers --- */

static const Op int_ops[] = {N_ADD,   N_SUB,    N_MUL, N_FLOORDIV, N_MOD, N_BITAND,
                             N_BITOR, N_BITXOR, N_SHL, N_SHR,      N_MIN, N_MAX};
static const Op int_unary[] = {N_NEG, N_ABS, N_SIGN, N_POPCOUNT};
static const int64_t int_values[] = {0,
                                     1,
                                     -1,
                                     2,
                                     -2,
                                     3,
                                     -3,
                                     7,
                                     -7,
                                     63,
                                     64,
                                     65,
                                     -64,
                                     1000003,
                                     INT64_MAX,
                                     INT64_MIN,
                                     INT64_MAX - 1,
                                     INT64_MIN + 1,
                                     1LL << 31,
                                     -(1LL << 31)};
enum { N_INT_OPS = sizeof int_ops / sizeof *int_ops, N_INT_UNARY = sizeof int_unary / sizeof *int_unary };
enum { N_VALUES = sizeof int_values / sizeof *int_values };

static int64_t int_result(Op op, int64_t x, int64_t y)
{
    uint64_t a = (uint64_t)x, b = (uint64_t)y;
    switch (op) {
    case N_ADD: return (int64_t)(a + b);
    case N_SUB: return (int64_t)(a - b);
    case N_MUL: return (int64_t)(a * b);
    case N_FLOORDIV:
        if (y == 0) return 0;
        if (y == -1) return (int64_t)(0 - a);
        return x / y - (x % y != 0 && (x % y < 0) != (y < 0));
    case N_MOD:
        if (y == 0) return x;
        if (y == -1) return 0;
        return x % y + (x % y != 0 && (x % y < 0) != (y < 0) ? y : 0);
    case N_BITAND: return x & y;
    case N_BITOR: return x | y;
    case N_BITXOR: return x ^ y;
    case N_SHL: return (int64_t)(a << (b & 63));
    case N_SHR: return x >> (b & 63);
    case N_MIN: return x < y ? x : y;
    case N_MAX: return x > y ? x : y;
    case N_NEG: return (int64_t)(0 - a);
    case N_ABS: return x < 0 ? (int64_t)(0 - a) : x;
    case N_SIGN: return (x > 0) - (x < 0);
    default: return __builtin_popcountll(a);
    }
}

/* out[op, i, j] = x[i] op y[j] */
Test(emit, integers)
{
    Small s;
    small_begin(&s, "integers", false);
    Compilation *c = &s.c;
    Index *p = small_index(&s, "p"), *i = small_index(&s, "i"), *j = small_index(&s, "j");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    Tensor *y = small_tensor(&s, "y", ROLE_INPUT, STORAGE_INT, TYPE_INT, DIMS(j));
    Tensor *out = small_tensor(&s, "out", ROLE_OUTPUT, STORAGE_INT, TYPE_INT, DIMS(p, i, j));
    Block *body = &small_for(&s, &small_phase(&s, DIMS(i))->body, j, LOOP_SERIAL)->body;
    for (unsigned k = 0; k < N_INT_OPS + N_INT_UNARY; k++) {
        Node *a = small_at(&s, x), *b = small_at(&s, y);
        Node *r =
            k < N_INT_OPS ? node_binary(c, int_ops[k], a, b) : node_unary(c, int_unary[k - N_INT_OPS], a);
        small_store(&s, body, out, NODES(node_int(c, k), node_index(c, i), node_index(c, j)), r);
    }
    small_open(&s, NULL);
    static int64_t got[N_INT_OPS + N_INT_UNARY][N_VALUES][N_VALUES];
    int64_t one = 1, so[3] = {N_VALUES * N_VALUES, N_VALUES, 1};
    AttnTensor tensors[] = {{(void *)(uintptr_t)int_values, &one, 1, ATTN_I64},
                            {(void *)(uintptr_t)int_values, &one, 1, ATTN_I64}, {got, so, 1, ATTN_I64}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){N_INT_OPS + N_INT_UNARY, N_VALUES, N_VALUES}, NULL),
                 0);
    for (unsigned k = 0; k < N_INT_OPS + N_INT_UNARY; k++)
        for (unsigned a = 0; a < N_VALUES; a++)
            for (unsigned b = 0; b < N_VALUES; b++) {
                Op op = k < N_INT_OPS ? int_ops[k] : int_unary[k - N_INT_OPS];
                int64_t expected = int_result(op, int_values[a], int_values[b]);
                cr_assert_eq(got[k][a][b], expected, "%lld %s %lld: %lld, not %lld", (long long)int_values[a],
                             op_name(op), (long long)int_values[b], (long long)got[k][a][b],
                             (long long)expected);
            }
    small_end(&s);
}

/* out[p, i]: x // constant and x % constant, whatever way they are emitted. */
Test(emit, division_by_constants)
{
    static const int64_t divisors[] = {1, 2, 3, 7, 8, 64, -1, -2, -7, 1LL << 40, INT64_MIN, 0};
    enum { N = sizeof divisors / sizeof *divisors };
    Small s;
    small_begin(&s, "division", false);
    Compilation *c = &s.c;
    Index *p = small_index(&s, "p"), *i = small_index(&s, "i");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    Tensor *out = small_tensor(&s, "out", ROLE_OUTPUT, STORAGE_INT, TYPE_INT, DIMS(p, i));
    Block *body = &small_phase(&s, DIMS(i))->body;
    for (unsigned k = 0; k < 2 * N; k++) {
        Node *r = node_binary(c, k < N ? N_FLOORDIV : N_MOD, small_at(&s, x), node_int(c, divisors[k % N]));
        small_store(&s, body, out, NODES(node_int(c, k), node_index(c, i)), r);
    }
    small_open(&s, NULL);
    int64_t got[2 * N][N_VALUES], one = 1, so[2] = {N_VALUES, 1};
    AttnTensor tensors[] = {{(void *)(uintptr_t)int_values, &one, 1, ATTN_I64}, {got, so, 1, ATTN_I64}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){2 * N, N_VALUES}, NULL), 0);
    for (unsigned k = 0; k < 2 * N; k++)
        for (unsigned a = 0; a < N_VALUES; a++)
            cr_assert_eq(got[k][a], int_result(k < N ? N_FLOORDIV : N_MOD, int_values[a], divisors[k % N]));
    small_end(&s);
}

/* y[i] = x[i] for every element type of both. */
Test(emit, every_integer_type)
{
    Small s;
    small_begin(&s, "copy", false);
    Index *i = small_index(&s, "i");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    Tensor *y = small_tensor(&s, "y", ROLE_OUTPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    small_store_at(&s, &small_phase(&s, DIMS(i))->body, y, small_at(&s, x));
    small_open(&s, NULL);
    static const unsigned bytes[] = {[ATTN_I8] = 1, [ATTN_I16] = 2, [ATTN_I32] = 4, [ATTN_I64] = 8,
                                     [ATTN_U8] = 1, [ATTN_U16] = 2, [ATTN_U32] = 4, [ATTN_U64] = 8};
    for (int from = ATTN_I8; from <= ATTN_U64; from++)
        for (int to = ATTN_I8; to <= ATTN_U64; to++) {
            unsigned char a[64], b[64] = {0};
            for (unsigned k = 0; k < 64; k++) a[k] = (unsigned char)(int)(noise(k) * 200);
            int64_t two = 2, one = 1; /* reads every other element */
            AttnTensor tensors[] = {{a, &two, 1, from}, {b, &one, 1, to}};
            cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){4}, NULL), 0);
            for (unsigned k = 0; k < 4; k++) {
                int64_t value = 0, got = 0;
                memcpy(&value, a + 2 * k * bytes[from], bytes[from]);
                memcpy(&got, b + k * bytes[to], bytes[to]);
                unsigned shift = 64 - 8 * bytes[from];
                if (from < ATTN_U8) value = (int64_t)((uint64_t)value << shift) >> shift;
                uint64_t mask = bytes[to] == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * bytes[to]) - 1;
                cr_assert_eq((uint64_t)got, (uint64_t)value & mask, "%d to %d", from, to);
            }
        }
    small_end(&s);
}

/* --- reals --- */

static const Op real_ops[] = {N_ADD, N_SUB, N_MUL, N_DIV, N_MIN, N_MAX};
static const Op real_unary[] = {N_NEG, N_ABS, N_SIGN, N_FLOOR, N_CEIL, N_ROUND, N_SQRT};
static const double real_values[] = {0.0,  -0.0,  0.5,      -0.5,      1.5, 2.5,      -2.5,      3.75,
                                     1e30, -1e30, INFINITY, -INFINITY, NAN, 0x1p-130, 8388609.0, -7.0};
enum {
    N_REAL_OPS = sizeof real_ops / sizeof *real_ops,
    N_REAL_UNARY = sizeof real_unary / sizeof *real_unary
};
enum { N_REALS = sizeof real_values / sizeof *real_values };

static float real_result(Op op, float x, float y)
{
    switch (op) {
    case N_ADD: return x + y;
    case N_SUB: return x - y;
    case N_MUL: return x * y;
    case N_DIV: return x / y;
    case N_MIN: return isnan(x) || isnan(y) ? NAN : fminf(x, y);
    case N_MAX: return isnan(x) || isnan(y) ? NAN : fmaxf(x, y);
    case N_NEG: return -x;
    case N_ABS: return fabsf(x);
    case N_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
    case N_FLOOR: return floorf(x);
    case N_CEIL: return ceilf(x);
    case N_ROUND: return rintf(x);
    default: return sqrtf(x);
    }
}

static void check_reals(const char *cpu)
{
    Small s;
    small_begin(&s, "reals", false);
    Compilation *c = &s.c;
    Index *p = small_index(&s, "p"), *i = small_index(&s, "i"), *j = small_index(&s, "j");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, F, TYPE_REAL, DIMS(i));
    Tensor *y = small_tensor(&s, "y", ROLE_INPUT, F, TYPE_REAL, DIMS(j));
    Tensor *out = small_tensor(&s, "out", ROLE_OUTPUT, F, TYPE_REAL, DIMS(p, i, j));
    Tensor *flags = small_tensor(&s, "flags", ROLE_OUTPUT, STORAGE_BOOL, TYPE_BOOL, DIMS(p, i, j));
    Tensor *ints = small_tensor(&s, "ints", ROLE_OUTPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    Block *body = &small_phase(&s, DIMS(i))->body, *inner = &small_for(&s, body, j, LOOP_SERIAL)->body;
    small_store_at(&s, body, ints, node_unary(c, N_TO_INT, small_at(&s, x)));
    static const Op compares[] = {N_EQ, N_NE, N_LT, N_LE};
    for (unsigned k = 0; k < N_REAL_OPS + N_REAL_UNARY + 4; k++) {
        Node *a = small_at(&s, x), *b = small_at(&s, y),
             **at = NODES(node_int(c, k), node_index(c, i), node_index(c, j));
        if (k < N_REAL_OPS) small_store(&s, inner, out, at, node_binary(c, real_ops[k], a, b));
        else if (k < N_REAL_OPS + N_REAL_UNARY)
            small_store(&s, inner, out, at, node_unary(c, real_unary[k - N_REAL_OPS], a));
        else {
            unsigned which = k - N_REAL_OPS - N_REAL_UNARY;
            at[0] = node_int(c, which);
            small_store(&s, inner, flags, at, node_binary(c, compares[which], a, b));
        }
    }
    small_open(&s, cpu);
    static float values[N_REALS], got[N_REAL_OPS + N_REAL_UNARY][N_REALS][N_REALS];
    static bool flag[4][N_REALS][N_REALS];
    int64_t whole[N_REALS], one = 1, so[3] = {N_REALS * N_REALS, N_REALS, 1};
    for (unsigned k = 0; k < N_REALS; k++) values[k] = (float)real_values[k];
    AttnTensor tensors[] = {{values, &one, 1, ATTN_F32}, {values, &one, 1, ATTN_F32}, {got, so, 1, ATTN_F32},
                            {flag, so, 1, ATTN_BOOL}, {whole, &one, 1, ATTN_I64}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){N_REAL_OPS + N_REAL_UNARY, N_REALS, N_REALS}, NULL),
                 0);
    for (unsigned a = 0; a < N_REALS; a++)
        for (unsigned b = 0; b < N_REALS; b++) {
            float u = values[a], v = values[b];
            for (unsigned k = 0; k < N_REAL_OPS + N_REAL_UNARY; k++) {
                Op op = k < N_REAL_OPS ? real_ops[k] : real_unary[k - N_REAL_OPS];
                float expected = real_result(op, u, v), r = got[k][a][b];
                cr_assert(r == expected || (isnan(r) && isnan(expected)), "%g %s %g: %g, not %g", (double)u,
                          op_name(op), (double)v, (double)r, (double)expected);
            }
            bool expected[4] = {u == v, u != v, u < v, u <= v};
            for (unsigned k = 0; k < 4; k++) cr_assert_eq(flag[k][a][b], expected[k]);
        }
    static const int64_t truncated[] = {0,         0,         0,         0,         1, 2, -2,      3,
                                        INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, 0, 0, 8388609, -7};
    for (unsigned k = 0; k < N_REALS; k++) cr_assert_eq(whole[k], truncated[k]);
    small_end(&s);
}

Test(emit, reals) { check_reals(NULL); }
Test(emit, reals_on_every_processor) { check_reals("x86-64"); }

/* o[i] = x[i]: all 65536 patterns of 16 bits, widened; then narrowed again from f32. */
static void check_narrow(StorageType storage, AttnType type, const char *cpu)
{
    Small s;
    small_begin(&s, "narrow", false);
    Index *i = small_index(&s, "i");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, storage, TYPE_REAL, DIMS(i));
    Tensor *wide = small_tensor(&s, "wide", ROLE_OUTPUT, STORAGE_F32, TYPE_REAL, DIMS(i));
    Tensor *f = small_tensor(&s, "f", ROLE_INPUT, STORAGE_F32, TYPE_REAL, DIMS(i));
    Tensor *y = small_tensor(&s, "y", ROLE_OUTPUT, storage, TYPE_REAL, DIMS(i));
    Block *body = &small_for(&s, &small_phase(&s, NO_DIMS)->body, i, LOOP_SERIAL)->body;
    small_store_at(&s, body, wide, small_at(&s, x));
    small_store_at(&s, body, y, small_at(&s, f));
    small_open(&s, cpu);
    enum { N = 65536 };
    static uint16_t bits[N], back[N];
    static float floats[N], sums[N];
    for (unsigned k = 0; k < N; k++) {
        bits[k] = (uint16_t)k;
        uint32_t pattern = k * 65521u + k % 7; /* all over f32 */
        memcpy(&sums[k], &pattern, 4);
    }
    int64_t one = 1;
    AttnTensor tensors[] = {
        {bits, &one, 1, type}, {floats, &one, 1, ATTN_F32}, {sums, &one, 1, ATTN_F32}, {back, &one, 1, type}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){N}, NULL), 0);
    for (unsigned k = 0; k < N; k++) {
        float expected;
        if (type == ATTN_F16) {
            int exponent = k >> 10 & 31, mantissa = k & 1023;
            double size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                        : exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
            expected = (float)(k >> 15 ? -size : size);
        } else {
            uint32_t pattern = k << 16;
            memcpy(&expected, &pattern, 4);
        }
        cr_assert(floats[k] == expected || (isnan(floats[k]) && isnan(expected)), "%x widens to %g", k,
                  (double)floats[k]);
    }
    for (unsigned k = 0; k < N; k++) { /* the nearest, ties to even: no neighbour is closer */
        if (isnan(sums[k])) {
            cr_assert(isnan(floats[back[k]]));
            continue;
        }
        double largest = type == ATTN_F16 ? 65504.0 : 0x1.fep127, step = type == ATTN_F16 ? 32.0 : 0x1p120;
        double size = fabs((double)sums[k]), r = fabs((double)floats[back[k]]);
        cr_assert_eq(back[k] >> 15, signbit(sums[k]) != 0);
        if (size >= largest + step / 2) {
            cr_assert_eq(r, INFINITY);
            continue;
        }
        unsigned magnitude = back[k] & 0x7fff;
        double up = fabs((double)floats[magnitude + 1]),
               down = magnitude ? fabs((double)floats[magnitude - 1]) : 0;
        if (isinf(up)) up = largest + step;
        cr_assert(size <= (r + up) / 2 && (!magnitude || size >= (r + down) / 2), "%a narrows to %a", size,
                  r);
        if (size == (r + up) / 2 || (magnitude && size == (r + down) / 2)) cr_assert_eq(magnitude & 1, 0);
    }
    small_end(&s);
}

Test(emit, half) { check_narrow(STORAGE_F16, ATTN_F16, NULL); }
Test(emit, half_on_every_processor) { check_narrow(STORAGE_F16, ATTN_F16, "x86-64"); }
Test(emit, bfloat) { check_narrow(STORAGE_BF16, ATTN_BF16, NULL); }

/* --- guards, checks, conditions, random numbers --- */

Test(emit, guarded_reads_touch_nothing_outside)
{
    Small s;
    small_begin(&s, "guard", false);
    Compilation *c = &s.c;
    Index *i = small_index(&s, "i"), *j = small_index(&s, "j");
    Tensor *at = small_tensor(&s, "at", ROLE_INPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, F, TYPE_REAL, DIMS(j));
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(i));
    Node *value = node_read(c, x, NODES(small_at(&s, at)), true);
    small_store_at(&s, &small_for(&s, &small_phase(&s, NO_DIMS)->body, i, LOOP_SERIAL)->body, o, value);
    small_open(&s, NULL);
    int64_t where[] = {0, 3, 4, -1, INT64_MAX, INT64_MIN, 2, 1LL << 40}, one = 1;
    float data[] = {10, 11, 12, 13}, got[8], expected[] = {10, 13, 0, 0, 0, 0, 12, 0};
    AttnTensor tensors[] = {{where, &one, 1, ATTN_I64}, {data, &one, 1, ATTN_F32}, {got, &one, 1, ATTN_F32}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){8, 4}, NULL), 0);
    for (unsigned k = 0; k < 8; k++) cr_assert_eq(got[k], expected[k]);
    small_end(&s);
}

Test(emit, branches_are_lazy)
{
    Small s;
    small_begin(&s, "lazy", false);
    Compilation *c = &s.c;
    Index *i = small_index(&s, "i");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, F, TYPE_REAL, DIMS(i));
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(i));
    x->optional = true;
    Node *value = node_if(c, node_given(c, x), small_at(&s, x), node_real(c, 5));
    small_store_at(&s, &small_phase(&s, DIMS(i))->body, o, value);
    small_open(&s, NULL);
    float data[] = {1, 2}, got[2];
    int64_t one = 1;
    AttnTensor tensors[] = {{data, &one, 1, ATTN_F32}, {got, &one, 1, ATTN_F32}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){2}, NULL), 0);
    cr_assert(got[0] == 1 && got[1] == 2);
    tensors[0].data = NULL;
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){2}, NULL), 0);
    cr_assert(got[0] == 5 && got[1] == 5);
    small_end(&s);
}

Test(emit, checks_report_and_clamp)
{
    Small s;
    small_begin(&s, "checks", false);
    Compilation *c = &s.c;
    Index *i = small_index(&s, "i");
    Param *limit = small_param(&s, "limit", TYPE_INT);
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    small_check(&s, CHECK_CONDITION, "size(i) % 2 == 0",
                node_binary(c, N_EQ, node_binary(c, N_MOD, node_size(c, i), node_int(c, 2)), node_int(c, 0)));
    unsigned range = small_check(&s, CHECK_RUN, "o in 0..limit", NULL);
    Node *value = node_check(c, small_at(&s, x), node_int(c, 0), node_param(c, limit), range);
    small_store_at(&s, &small_phase(&s, DIMS(i))->body, o, value);
    small_open(&s, NULL);
    int64_t data[] = {3, -4, 9, 0}, got[4], one = 1, bound = 10;
    AttnTensor tensors[] = {{data, &one, 1, ATTN_I64}, {got, &one, 1, ATTN_I64}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){4}, &bound), 2);
    cr_assert(got[0] == 3 && got[1] == 0 && got[2] == 9 && got[3] == 0);
    data[1] = 4;
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){4}, &bound), 0);
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){3}, &bound), 1);
    cr_assert_str_eq(s.module->patterns[0].checks[0].text, "size(i) % 2 == 0");
    small_end(&s);
}

Test(emit, random_numbers)
{
    Small s;
    small_begin(&s, "random", false);
    Compilation *c = &s.c;
    Index *i = small_index(&s, "i");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, STORAGE_INT, TYPE_INT, DIMS(i));
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(i));
    Node *args[5];
    for (unsigned k = 0; k < 5; k++) args[k] = node_read(c, x, NODES(node_int(c, k)), false);
    small_store_at(&s, &small_phase(&s, DIMS(i))->body, o, node_rand(c, args));
    small_open(&s, NULL);
    /* Random123, kat_vectors: philox4x32-10 */
    static const struct { uint32_t counter[4], key[2], first; } known[] = {
        {{0, 0, 0, 0}, {0, 0}, 0x6627e8d5},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, 0x408f276d},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, 0xd16cfe09},
    };
    for (unsigned k = 0; k < 3; k++) {
        int64_t data[5] = {(int64_t)((uint64_t)known[k].key[1] << 32 | known[k].key[0])}, one = 1;
        for (unsigned z = 0; z < 4; z++) data[z + 1] = known[k].counter[z];
        float got[5];
        AttnTensor tensors[] = {{data, &one, 1, ATTN_I64}, {got, &one, 1, ATTN_F32}};
        cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){5}, NULL), 0);
        cr_assert_eq(got[4], (float)(known[k].first >> 8) * 0x1p-24f);
    }
    small_end(&s);
}

/* A reversed cumulative sum through a ring buffer and workspace: o[i] = sum of x from i on, mod nothing. */
Test(emit, rings_and_loops_downwards)
{
    Small s;
    small_begin(&s, "ring", true);
    Compilation *c = &s.c;
    Index *i = small_index(&s, "i");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, F, TYPE_REAL, DIMS(i));
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(i));
    Tensor *kept = small_buffer(&s, "kept", BUFFER_WORKSPACE, TYPE_REAL, false, DIMS(i));
    Buffer *ring = &s.kernel.buffers.at[s.kernel.buffers.n - 1];
    ring->ring = 0;
    ring->ring_depth = 2;
    Statement *loop = small_for(&s, &small_phase(&s, NO_DIMS)->body, i, LOOP_SERIAL);
    loop->down = true;
    Node *next = node_binary(c, N_ADD, node_index(c, i), node_int(c, 1));
    Node *rest = node_read(c, kept, NODES(next), true);
    small_store_at(&s, &loop->body, kept, node_binary(c, N_ADD, small_at(&s, x), rest));
    small_store_at(&s, &loop->body, o, small_at(&s, kept));
    small_open(&s, NULL);
    enum { N = 9 };
    double data[N], got[N], sum = 0;
    int64_t one = 1, stride = -1;
    for (unsigned k = 0; k < N; k++) data[k] = k * k;
    AttnTensor tensors[] = {{data + N - 1, &stride, 1, ATTN_F64},
                            {got, &one, 1, ATTN_F64}}; /* x read backwards */
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){N}, NULL), 0);
    for (unsigned k = 0; k < N; k++) {
        sum += data[k];
        cr_assert_eq(got[N - 1 - k], sum);
    }
    AttnPlan plan = {.tasks = (int64_t[1]){0}};
    AttnCall call = {tensors, (int64_t[]){N}, NULL, NULL, NULL};
    s.module->patterns[0].prepare(&call, &plan);
    cr_assert_eq(plan.workspace, 64);
    small_end(&s);
}

Test(emit, sizes_that_overflow_stay_too_large)
{
    Small s;
    small_begin(&s, "large", false);
    Index *i = small_index(&s, "i"), *j = small_index(&s, "j");
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(i));
    small_buffer(&s, "a", BUFFER_WORKSPACE, TYPE_REAL, true, DIMS(i, j));
    small_buffer(&s, "b", BUFFER_WORKSPACE, TYPE_BOOL, false, DIMS(i));
    small_buffer(&s, "d", BUFFER_SCRATCH, TYPE_INT, false, DIMS(j));
    small_store_at(&s, &small_phase(&s, DIMS(i, j))->body, o, node_real(&s.c, 1));
    small_open(&s, NULL);
    int64_t tasks[1];
    AttnPlan plan = {.tasks = tasks};
    AttnCall call = {NULL, (int64_t[]){1LL << 40, 1LL << 40}, NULL, NULL, NULL};
    cr_assert_eq(s.module->patterns[0].prepare(&call, &plan), 0);
    cr_assert_geq(plan.workspace, UINT64_MAX - 63);
    cr_assert_eq(plan.scratch, (uint64_t)8 << 40);
    cr_assert_eq(tasks[0], INT64_MAX);
    call.extents = (int64_t[]){0, 3};
    cr_assert_eq(s.module->patterns[0].prepare(&call, &plan), 0);
    cr_assert_eq(plan.workspace, 0);
    cr_assert_eq(tasks[0], 0);
    small_end(&s);
}

/* o[c] over an index whose extent follows from another: it stands behind the bound ones and is compared if
 * known. */
Test(emit, derived_extents_are_compared)
{
    Small s;
    small_begin(&s, "derived", false);
    Compilation *c = &s.c;
    Index *i = small_index(&s, "i"), *twice = index_new(c, "twice", (Span){0});
    twice->extent = node_binary(c, N_MUL, node_int(c, 2), node_size(c, i));
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, F, TYPE_REAL, DIMS(i));
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(twice));
    Node *half = node_binary(c, N_FLOORDIV, node_index(c, twice), node_int(c, 2));
    small_store_at(&s, &small_phase(&s, DIMS(twice))->body, o, small_read(&s, x, NODES(half)));
    small_open(&s, NULL);
    const AttnPattern *p = s.module->patterns;
    cr_assert(p->n_indices == 2 && p->indices[1].derived && !p->indices[0].derived &&
              p->tensors[1].dims[0] == 1);
    float data[] = {1, 2}, got[4];
    int64_t one = 1;
    AttnTensor tensors[] = {{data, &one, 1, ATTN_F32}, {got, &one, 1, ATTN_F32}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){2, 4}, NULL), 0);
    cr_assert(got[0] == 1 && got[3] == 2);
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){2, -1}, NULL), 0);
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){2, 5}, NULL), 1);
    cr_assert_eq(p->n_checks, 1);
    cr_assert_str_eq(p->checks[0].text, "size(twice) == size(i) * 2");
    small_end(&s);
}

/* x[n + 1] = if i & 2^n then exp(x[n]) else log(x[n]): both sides need x[n], so it must stand before the
 * branch, else the code doubles with every step. */
Test(emit, what_both_sides_need_is_emitted_once)
{
    enum { STEPS = 40 };
    Small s;
    small_begin(&s, "chain", true);
    Compilation *c = &s.c;
    Index *i = small_index(&s, "i");
    Tensor *x = small_tensor(&s, "x", ROLE_INPUT, F, TYPE_REAL, DIMS(i));
    Tensor *o = small_tensor(&s, "o", ROLE_OUTPUT, F, TYPE_REAL, DIMS(i));
    Node *value = small_at(&s, x);
    for (int64_t k = 0; k < STEPS; k++) {
        Node *bit = node_binary(c, N_BITAND, node_index(c, i), node_int(c, (int64_t)1 << k % 3));
        Node *up = node_binary(c, N_POW, value, node_real(c, 1.5)),
             *down = node_binary(c, N_POW, value, node_real(c, 0.5));
        value = node_if(c, node_binary(c, N_EQ, bit, node_int(c, 0)), up, down);
    }
    small_store_at(&s, &small_phase(&s, DIMS(i))->body, o, value);
    small_open(&s, NULL);
    double data[8], got[8];
    for (unsigned k = 0; k < 8; k++) data[k] = 1 + k / 1024.0;
    int64_t one = 1;
    AttnTensor tensors[] = {{data, &one, 1, ATTN_F64}, {got, &one, 1, ATTN_F64}};
    cr_assert_eq(small_run(&s, 0, tensors, (int64_t[]){8}, NULL), 0);
    for (unsigned k = 0; k < 8; k++) {
        double expected = data[k];
        for (unsigned n = 0; n < STEPS; n++) expected = pow(expected, k & 1u << n % 3 ? 0.5 : 1.5);
        cr_assert(fabs(got[k] - expected) <= 1e-9 * expected || (isinf(got[k]) && isinf(expected)));
    }
    small_end(&s);
}
