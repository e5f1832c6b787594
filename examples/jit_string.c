/* Compiles a pattern that is written in this file, runs it, and checks it against a plain loop. The second
 * time it comes from the cache on the disk, and no compiler is opened. */
#include <attn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Attention by distance: keys weigh less the farther they are from the query. */
static const char source[] = "pattern gaussian(width: float = 4)\n"
                             "    over b: q[i, d], k[j, d], v[j, e] -> o[i, e]\n"
                             "    example i = 20, j = 20, d = 8, e = 8\n"
                             "{\n"
                             "    far = (i - j) / width\n"
                             "    p = softmax[j](sum[d](q * k) / sqrt(size(d)) - far * far / 2)\n"
                             "    o = sum[j](p * v)\n"
                             "}\n";

enum { B = 2, I = 33, J = 50, D = 8, E = 5 };
static float q[B][I][D], k[B][J][D], v[B][J][E], o[B][I][E];

static void fill(float *x, size_t n, float step)
{
    for (size_t i = 0; i < n; i++)
        x[i] = sinf((float)i * step);
}

/* One number of the output, as the equations say it. */
static double expected(int b, int i, int e, double width)
{
    double above = 0, below = 0;
    for (int j = 0; j < J; j++) {
        double s = 0, far = (i - j) / width;
        for (int d = 0; d < D; d++)
            s += (double)q[b][i][d] * (double)k[b][j][d];
        double weight = exp(s / sqrt(D) - far * far / 2);
        above += weight * (double)v[b][j][e];
        below += weight;
    }
    return above / below;
}

int main(void)
{
    AttnError error;
    AttnLibrary *library;
    AttnBinding *binding;
    fill(&q[0][0][0], sizeof q / sizeof(float), 0.37f);
    fill(&k[0][0][0], sizeof k / sizeof(float), 0.71f);
    fill(&v[0][0][0], sizeof v / sizeof(float), 1.3f);
    if (attn_compile_string(source, NULL, NULL, &library, &error) ||
        attn_binding_new(library, "gaussian", &binding, &error) ||
        attn_bind_dense(binding, "q", q, 3, (int64_t[]){B, I, D}, &error) ||
        attn_bind_dense(binding, "k", k, 3, (int64_t[]){B, J, D}, &error) ||
        attn_bind_dense(binding, "v", v, 3, (int64_t[]){B, J, E}, &error) ||
        attn_bind_dense(binding, "o", o, 3, (int64_t[]){B, I, E}, &error) ||
        attn_set_float(binding, "width", 2.5, &error) || attn_run(binding, NULL, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    double worst = 0;
    for (int b = 0; b < B; b++)
        for (int i = 0; i < I; i++)
            for (int e = 0; e < E; e++)
                worst = fmax(worst, fabs((double)o[b][i][e] - expected(b, i, e, 2.5)));
    printf("%s; largest error %.2g\n", attn_library_desc(library).cached ? "from the cache" : "compiled",
           worst);
    attn_binding_free(binding);
    attn_close(library);
    return worst < 1e-5 ? 0 : 1;
}
