/* Matrix instructions: mma, ldmatrix, stmatrix, movmatrix.
 *
 * Fragments of m16n8k: with E elements in 32 bits, lane l holds of register r
 *   a: row l / 4 + 8 (r % 2), columns E (l % 4) + 0 .. E-1 + 4 E (r / 2)
 *   b: rows E (l % 4) + 0 .. E-1 + 4 E r, column l / 4
 *   c, d: row l / 4 + 8 (r / 2), column 2 (l % 4) + r % 2
 * An 8x8 matrix of ldmatrix: row l / 4, columns 2 (l % 4) and the next; rows and columns change places in
 * .trans. */
#include "inside.h"

#include <string.h>

enum { ROWS = 16, COLUMNS = 8, MAX_DEPTH = 32 };

static bool whole_warp(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!warp_converged(w, mask, FULL)) return false;
    if (mask != FULL)
        run_fail(w, (uint32_t)__builtin_ctz(mask), "only lanes %08x of the warp take part", mask);
    (void)i;
    return true;
}

static double element(Type t, uint64_t bits)
{
    switch (t) {
    case T_tf32: return as_float(bits & 0xffffe000); /* the lower bits do not count */
    case T_s8:
    case T_u8: return (double)(int64_t)widen(t, bits);
    default: return to_double(t, keep_bits(bits, type_bits(t)));
    }
}

/* Elements of the registers of a fragment: [register][element of it][lane]. */
typedef double Fragment[8][4][LANES];

/* Exact: the exponent by a product, which subnormals survive; 31 stands for what is not finite. */
static void halves(const Word *v, unsigned shift, double x[LANES])
{
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t h = v[lane] >> shift, sign = (h & 0x8000) << 16, bits = (h & 0x7fff) << 13;
        uint32_t special = (h & 0x7c00) == 0x7c00 ? 0x7f800000u | bits : 0;
        float finite = as_float(bits) * 0x1p112f;
        uint32_t word;
        memcpy(&word, &finite, sizeof word);
        x[lane] = as_float(sign | (special ? special : word));
    }
}

static void bfloats(const Word *v, unsigned shift, double x[LANES])
{
    for (uint32_t lane = 0; lane < LANES; lane++) x[lane] = as_float((v[lane] >> shift & 0xffff) << 16);
}

static void read_fragment(const Warp *w, Type t, const int32_t *slots, uint32_t n, Fragment f)
{
    uint32_t bits = type_bits(t);
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t k = 0; k < 32 / bits; k++) {
            if (t == T_f16)
                halves(words(w, slots[r]), bits * k, f[r][k]);
            else if (t == T_bf16)
                bfloats(words(w, slots[r]), bits * k, f[r][k]);
            else
                for (uint32_t lane = 0; lane < LANES; lane++)
                    f[r][k][lane] = element(t, get(w, slots[r], lane) >> bits * k);
        }
}

static void gather_a(const Warp *w, const Instruction *i, double a[ROWS][MAX_DEPTH])
{
    Fragment f;
    Type t = (Type)i->types[1];
    uint32_t n = 32 / type_bits(t), registers = (uint32_t)i->offset / (2 * n);
    read_fragment(w, t, i->a, registers, f);
    for (uint32_t r = 0; r < registers; r++)
        for (uint32_t k = 0; k < n; k++)
            for (uint32_t lane = 0; lane < LANES; lane++)
                a[lane / 4 + 8 * (r % 2)][n * (lane % 4) + k + 4 * n * (r / 2)] = f[r][k][lane];
}

static void gather_b(const Warp *w, const Instruction *i, double b[MAX_DEPTH][COLUMNS])
{
    Fragment f;
    Type t = (Type)i->types[2];
    uint32_t n = 32 / type_bits(t), registers = (uint32_t)i->offset / (4 * n);
    read_fragment(w, t, i->b, registers, f);
    for (uint32_t r = 0; r < registers; r++)
        for (uint32_t k = 0; k < n; k++)
            for (uint32_t lane = 0; lane < LANES; lane++)
                b[n * (lane % 4) + k + 4 * n * r][lane / 4] = f[r][k][lane];
}

static double sum_before(const Warp *w, const Instruction *i, uint32_t lane, uint32_t r)
{
    if (i->types[0] == T_f16) return half_to_double(get(w, i->c[r / 2], lane) >> 16 * (r % 2));
    return (double)(int64_t)widen(T_s32, get(w, i->c[r], lane));
}

static uint32_t sum_bits(const Instruction *i, double sum)
{
    if (i->types[0] == T_f16) return (uint32_t)double_to_half(sum, M_RN);
    if (i->mod[SAT]) sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
    return (uint32_t)(int64_t)sum;
}

void run_mma(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    double a[ROWS][MAX_DEPTH], b[MAX_DEPTH][COLUMNS], sums[ROWS][COLUMNS] = {0};
    uint32_t result[4][LANES], depth = (uint32_t)i->offset;
    gather_a(w, i, a);
    gather_b(w, i, b);
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t k = 0; k < depth; k++)
            for (uint32_t column = 0; column < COLUMNS; column++)
                sums[row][column] += a[row][k] * b[k][column];
    for (uint32_t r = 0; r < 4 && i->types[0] == T_f32; r++)
        for (uint32_t lane = 0; lane < LANES; lane++) {
            double sum = sums[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2];
            float x = (float)(sum + as_float(words(w, i->c[r])[lane]));
            memcpy(&result[r][lane], &x, sizeof x);
            if (x != x) result[r][lane] = 0x7fffffff;
        }
    for (uint32_t r = 0; r < 4 && i->types[0] != T_f32; r++)
        for (uint32_t lane = 0; lane < LANES; lane++) {
            double sum = sums[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2];
            result[r][lane] = sum_bits(i, sum + sum_before(w, i, lane, r));
        }
    if (i->types[0] == T_f16)
        for (uint32_t r = 0; r < 2; r++)
            for (uint32_t lane = 0; lane < LANES; lane++)
                result[r][lane] = result[2 * r][lane] | result[2 * r + 1][lane] << 16;
    for (uint32_t r = 0; r < i->n; r++) put_words(w, i->d[r], FULL, result[r]);
}

/* ---- Matrices of 8 rows of 16 bytes ---- */
static void matrix_rows(Warp *w, const Instruction *i, bool write, Request *r)
{
    uint32_t n = 8u * i->n;
    *r = (Request){.access = {.bytes = 16, .write = write, .matrix = true},
                   .space = (Space)i->space,
                   .mask = n == LANES ? FULL : (1u << n) - 1};
    for (uint32_t lane = 0; lane < LANES; lane++)
        r->at[lane] = get(w, i->b[0], lane < n ? lane : 0) + (uint64_t)i->offset;
    memory_request(w, r);
    if (r->space != SHARED) run_fail(w, 0, "the rows of a matrix must be in shared memory");
}

/* The two bytes of element k of a lane, in matrix m. */
static unsigned char *matrix_element(const Request *r, const Instruction *i, uint32_t m, uint32_t lane,
                                     uint32_t k)
{
    uint32_t row = lane / 4, column = 2 * (lane % 4) + k;
    return i->mod[TRANS] ? r->bytes[8 * m + column] + 2 * row : r->bytes[8 * m + row] + 2 * column;
}

void run_ldmatrix(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    Request r;
    matrix_rows(w, i, false, &r);
    for (uint32_t m = 0; m < i->n; m++) {
        uint32_t v[LANES];
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint16_t pair[2];
            for (uint32_t k = 0; k < 2; k++) memcpy(&pair[k], matrix_element(&r, i, m, lane, k), 2);
            v[lane] = pair[0] | (uint32_t)pair[1] << 16;
        }
        if (i->d[m] != NO_SLOT) put_words(w, i->d[m], FULL, v);
    }
}

void run_stmatrix(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    Request r;
    matrix_rows(w, i, true, &r);
    for (uint32_t m = 0; m < i->n; m++)
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t k = 0; k < 2; k++) {
                uint16_t v = (uint16_t)(get(w, i->a[m], lane) >> 16 * k);
                memcpy(matrix_element(&r, i, m, lane, k), &v, 2);
            }
}

void run_movmatrix(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    uint32_t result[LANES];
    const Word *a = words(w, i->a[0]);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        result[lane] = 0;
        for (uint32_t k = 0; k < 2; k++) { /* the transposed element's row and column */
            uint32_t row = 2 * (lane % 4) + k, column = lane / 4;
            result[lane] |= (a[4 * row + column / 2] >> 16 * (column % 2) & 0xffff) << 16 * k;
        }
    }
    put_words(w, i->d[0], FULL, result);
}
