/* Calls a compiled pattern as a C function, without our library:
 *
 *     attnc compile sliding_window.attn -o sliding_window.o --header sliding_window.h
 *     cc direct_header.c sliding_window.o -lm
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sliding_window.h"

enum { HEADS = 4, KEY_HEADS = 2, QUERIES = 30, KEYS = 70, D = 16, E = 12, WINDOW = 9 };
static float q[HEADS][QUERIES][D], k[KEY_HEADS][KEYS][D], v[KEY_HEADS][KEYS][E], o[HEADS][QUERIES][E];

static void fill(float *x, size_t n, float step)
{
    for (size_t i = 0; i < n; i++)
        x[i] = sinf((float)i * step);
}

/* One number of the output, as the equations say it: the queries are the last positions. */
static double expected(int h, int i, int e)
{
    double above = 0, below = 0;
    int g = h * KEY_HEADS / HEADS, position = KEYS - QUERIES + i;
    for (int j = position - WINDOW + 1; j <= position; j++) {
        double s = 0;
        for (int d = 0; d < D; d++)
            s += (double)q[h][i][d] * (double)k[g][j][d];
        double weight = exp(s / sqrt(D));
        above += weight * (double)v[g][j][e];
        below += weight;
    }
    return above / below;
}

int main(void)
{
    fill(&q[0][0][0], sizeof q / sizeof(float), 0.37f);
    fill(&k[0][0][0], sizeof k / sizeof(float), 0.71f);
    fill(&v[0][0][0], sizeof v / sizeof(float), 1.3f);
    struct sliding_window_args args = sliding_window_defaults();
    args.size_b = 1, args.size_h = HEADS, args.size_i = QUERIES, args.size_j = KEYS, args.size_d = D,
    args.size_e = E;
    args.window = WINDOW;
    args.q = &q[0][0][0], args.k = &k[0][0][0], args.v = &v[0][0][0], args.o = &o[0][0][0];
    args.k_group = args.v_group = HEADS / KEY_HEADS;
    size_t bytes = sliding_window_workspace(&args);
    args.workspace = bytes ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
    int status = sliding_window(&args);
    free(args.workspace);
    double worst = 0;
    for (int h = 0; h < HEADS; h++)
        for (int i = 0; i < QUERIES; i++)
            for (int e = 0; e < E; e++)
                worst = fmax(worst, fabs((double)o[h][i][e] - expected(h, i, e)));
    printf("status %d, largest error %.2g\n", status, worst);
    return status == 0 && worst < 1e-5 ? 0 : 1;
}
