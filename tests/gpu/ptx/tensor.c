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

static void gather_a(const Warp *w, const Instruction *i, double a[ROWS][MAX_DEPTH])
{
    Type t = (Type)i->types[1];
    uint32_t bits = type_bits(t), n = 32 / bits, registers = (uint32_t)i->offset / (2 * n);
    for (uint32_t r = 0; r < registers; r++) {
        const uint64_t *v = lanes_of(w, i->a[r]);
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t k = 0; k < n; k++)
                a[lane / 4 + 8 * (r % 2)][n * (lane % 4) + k + 4 * n * (r / 2)] =
                    element(t, v[lane] >> bits * k);
    }
}

static void gather_b(const Warp *w, const Instruction *i, double b[COLUMNS][MAX_DEPTH])
{
    Type t = (Type)i->types[2];
    uint32_t bits = type_bits(t), n = 32 / bits, registers = (uint32_t)i->offset / (4 * n);
    for (uint32_t r = 0; r < registers; r++) {
        const uint64_t *v = lanes_of(w, i->b[r]);
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t k = 0; k < n; k++)
                b[lane / 4][n * (lane % 4) + k + 4 * n * r] = element(t, v[lane] >> bits * k);
    }
}

static double sum_before(const Warp *w, const Instruction *i, uint32_t lane, uint32_t r)
{
    if (i->types[0] == T_f16) return half_to_double(lanes_of(w, i->c[r / 2])[lane] >> 16 * (r % 2));
    uint64_t bits = lanes_of(w, i->c[r])[lane];
    return i->types[0] == T_s32 ? (double)(int64_t)widen(T_s32, bits) : (double)as_float(bits);
}

static uint64_t integer_sum(const Instruction *i, double sum)
{
    if (i->mod[SAT]) sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
    return (uint32_t)(int64_t)sum;
}

void run_mma(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    double a[ROWS][MAX_DEPTH], b[COLUMNS][MAX_DEPTH];
    uint64_t result[4][LANES];
    gather_a(w, i, a);
    gather_b(w, i, b);
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (uint32_t r = 0; r < 4; r++) {
            const double *x = a[lane / 4 + 8 * (r / 2)], *y = b[2 * (lane % 4) + r % 2];
            double sum = 0;
            for (uint32_t k = 0; k < (uint32_t)i->offset; k++) sum += x[k] * y[k];
            sum += sum_before(w, i, lane, r);
            result[r][lane] = i->types[0] == T_s32   ? integer_sum(i, sum)
                              : i->types[0] == T_f16 ? double_to_half(sum, M_RN)
                                                     : float_bits((float)sum);
        }
    if (i->types[0] == T_f16)
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t r = 0; r < 2; r++)
                result[r][lane] = result[2 * r][lane] | result[2 * r + 1][lane] << 16;
    for (uint32_t r = 0; r < i->n; r++) memcpy(lanes_of(w, i->d[r]), result[r], sizeof result[r]);
}

/* ---- Matrices of 8 rows of 16 bytes ---- */
typedef struct Rows {
    unsigned char *at[LANES];
} Rows;

static Rows matrix_rows(Warp *w, const Instruction *i, bool write)
{
    Rows rows;
    uint64_t where[LANES];
    uint32_t n = 8u * i->n;
    for (uint32_t lane = 0; lane < n; lane++) {
        Space space = (Space)i->space;
        where[lane] = lanes_of(w, i->b[0])[lane] + (uint64_t)i->offset;
        rows.at[lane] =
            memory_at(w, &space, lane, &where[lane], (Access){.bytes = 16, .write = write, .matrix = true});
        if (space != SHARED) run_fail(w, lane, "the rows of a matrix must be in shared memory");
    }
    traffic_count(w, SHARED, where, n == 32 ? FULL : (1u << n) - 1, 16);
    return rows;
}

/* The two bytes of element k of a lane, in matrix m. */
static unsigned char *matrix_element(const Rows *rows, const Instruction *i, uint32_t m, uint32_t lane,
                                     uint32_t k)
{
    uint32_t row = lane / 4, column = 2 * (lane % 4) + k;
    return i->mod[TRANS] ? rows->at[8 * m + column] + 2 * row : rows->at[8 * m + row] + 2 * column;
}

void run_ldmatrix(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    Rows rows = matrix_rows(w, i, false);
    for (uint32_t m = 0; m < i->n; m++)
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint16_t pair[2];
            for (uint32_t k = 0; k < 2; k++) memcpy(&pair[k], matrix_element(&rows, i, m, lane, k), 2);
            if (i->d[m] != NO_SLOT) lanes_of(w, i->d[m])[lane] = pair[0] | (uint64_t)pair[1] << 16;
        }
}

void run_stmatrix(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    Rows rows = matrix_rows(w, i, true);
    for (uint32_t m = 0; m < i->n; m++)
        for (uint32_t lane = 0; lane < LANES; lane++)
            for (uint32_t k = 0; k < 2; k++) {
                uint16_t v = (uint16_t)(lanes_of(w, i->a[m])[lane] >> 16 * k);
                memcpy(matrix_element(&rows, i, m, lane, k), &v, 2);
            }
}

void run_movmatrix(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!whole_warp(w, i, mask)) return;
    uint64_t result[LANES];
    const uint64_t *a = lanes_of(w, i->a[0]);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        result[lane] = 0;
        for (uint32_t k = 0; k < 2; k++) { /* the transposed element's row and column */
            uint32_t row = 2 * (lane % 4) + k, column = lane / 4;
            result[lane] |= (a[4 * row + column / 2] >> 16 * (column % 2) & 0xffff) << 16 * k;
        }
    }
    memcpy(lanes_of(w, i->d[0]), result, sizeof result);
}
