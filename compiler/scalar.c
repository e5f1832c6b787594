/* Scalar semantics of the core operations, as docs/language.md has them: ints wrap at 64 bits, x // 0 is
 * 0, x % 0 is x, division floors, shifts are modulo 64, min and max propagate NaN, int(x) truncates and
 * saturates. */
#include "scalar.h"

#include <math.h>
#include <string.h>

/* Two's complement wrapping without undefined behaviour. */
static int64_t wrap(uint64_t x) { return (int64_t)x; }
static uint64_t bits(int64_t x) { return (uint64_t)x; }

static int64_t floor_div(int64_t a, int64_t b)
{
    if (b == 0) return 0;
    if (b == -1) return wrap(0 - bits(a));
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    if (b == 0) return a;
    if (b == -1) return 0;
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t shift_right(int64_t a, int64_t n)
{
    unsigned k = (unsigned)(n & 63);
    return a < 0 ? ~wrap(bits(~a) >> k) : wrap(bits(a) >> k);
}

int64_t scalar_truncate(double x)
{
    if (isnan(x)) return 0;
    if (x >= 0x1p63) return INT64_MAX;
    if (x < -0x1p63) return INT64_MIN;
    return (int64_t)x;
}

static Scalar unary_int(Op op, int64_t a)
{
    switch (op) {
    case N_TO_REAL: return scalar_real((double)a);
    case N_TO_INT: case N_STOP: return scalar_int(a);
    case N_NEG: return scalar_int(wrap(0 - bits(a)));
    case N_NOT: return scalar_int(!a);
    case N_ABS: return scalar_int(a < 0 ? wrap(0 - bits(a)) : a);
    case N_SIGN: return scalar_int((a > 0) - (a < 0));
    case N_POPCOUNT: return scalar_int(__builtin_popcountll(bits(a)));
    default: return scalar_int(0);
    }
}

static double unary_real(Op op, double a)
{
    switch (op) {
    case N_TO_REAL: case N_STOP: return a;
    case N_NEG: return -a;
    case N_EXP:
    case N_EXP_DOWN: return exp(a);
    case N_EXP2:
    case N_EXP2_DOWN: return exp2(a);
    case N_EXPM1: return expm1(a);
    case N_LOG: return log(a);
    case N_LOG2: return log2(a);
    case N_LOG1P: return log1p(a);
    case N_SQRT: return sqrt(a);
    case N_RSQRT: return 1 / sqrt(a);
    case N_TANH: return tanh(a);
    case N_SIN: return sin(a);
    case N_COS: return cos(a);
    case N_ATAN: return atan(a);
    case N_ERF: return erf(a);
    case N_ABS: return fabs(a);
    case N_SIGN: return a > 0 ? 1 : a < 0 ? -1 : a;
    case N_FLOOR: return floor(a);
    case N_CEIL: return ceil(a);
    case N_ROUND: return rint(a);
    default: return (double)NAN;
    }
}

Scalar scalar_unary(Op op, Type type, Scalar a)
{
    if (type != TYPE_REAL) return unary_int(op, a.i);
    if (op == N_TO_INT) return scalar_int(scalar_truncate(a.r));
    return scalar_real(unary_real(op, a.r));
}

static int64_t binary_int(Op op, int64_t a, int64_t b)
{
    switch (op) {
    case N_ADD: return wrap(bits(a) + bits(b));
    case N_SUB: return wrap(bits(a) - bits(b));
    case N_MUL: return wrap(bits(a) * bits(b));
    case N_FLOORDIV: return floor_div(a, b);
    case N_MOD: return floor_mod(a, b);
    case N_BITAND: case N_AND: return a & b;
    case N_BITOR: case N_OR: return a | b;
    case N_BITXOR: return a ^ b;
    case N_SHL: return wrap(bits(a) << (b & 63));
    case N_SHR: return shift_right(a, b);
    case N_MIN: return a < b ? a : b;
    case N_MAX: return a > b ? a : b;
    case N_EQ: return a == b;
    case N_NE: return a != b;
    case N_LT: return a < b;
    case N_LE: return a <= b;
    default: return 0;
    }
}

static Scalar binary_real(Op op, double a, double b)
{
    switch (op) {
    case N_ADD: return scalar_real(a + b);
    case N_SUB: return scalar_real(a - b);
    case N_MUL: return scalar_real(a * b);
    case N_DIV: return scalar_real(a / b);
    case N_POW: return scalar_real(pow(a, b));
    case N_MIN: return scalar_real(isnan(a) || a < b ? a : b);
    case N_MAX: return scalar_real(isnan(a) || a > b ? a : b);
    case N_EQ: return scalar_int(a == b);
    case N_NE: return scalar_int(a != b);
    case N_LT: return scalar_int(a < b);
    case N_LE: return scalar_int(a <= b);
    default: return scalar_real((double)NAN);
    }
}

Scalar scalar_binary(Op op, Type type, Scalar a, Scalar b)
{
    return type == TYPE_REAL ? binary_real(op, a.r, b.r) : scalar_int(binary_int(op, a.i, b.i));
}

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (unsigned round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t x0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k[0], x2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k[1];
        c[0] = x0, c[1] = (uint32_t)p1, c[2] = x2, c[3] = (uint32_t)p0;
        k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

double scalar_rand(int64_t seed, const int64_t counter[4])
{
    uint32_t key[2] = {(uint32_t)bits(seed), (uint32_t)(bits(seed) >> 32)}, c[4], out[4];
    for (unsigned k = 0; k < 4; k++) c[k] = (uint32_t)bits(counter[k]);
    philox4x32(c, key, out);
    return (double)(out[0] >> 8) * 0x1p-24;
}

int64_t scalar_key(Type type, Scalar x, bool nan_low)
{
    if (type != TYPE_REAL) return x.i;
    double value = isnan(x.r) ? (nan_low ? -(double)INFINITY : (double)INFINITY) : x.r + 0.0;
    int64_t key;
    memcpy(&key, &value, sizeof key);
    return key < 0 ? key ^ INT64_MAX : key;
}
