/* The language as the oracle evaluates it, from text, against closed forms that are computed here by plain
 * loops. */
#include "script.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define NEAR(a, b) \
    do { \
        const double a_ = (a), b_ = (b); \
        cr_assert(fabs(a_ - b_) <= 1e-12 * (1 + fabs(b_)), "%.17g is not %.17g", a_, b_); \
    } while (0)

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

/* ---- windows ---- */

static const char window_text[] =
    "pattern sliding_window(window: int = 256)\n"
    "    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e], n: int[i]\n"
    "    example b = 1, h = 2, i = 6, j = 20, d = 4, e = 3, window = 5\n"
    "{\n"
    "    index i from size(j) - size(i)\n"
    "    seen = j <= i and i - j < window\n"
    "    s = sum[d](q * k) / sqrt(size(d))\n"
    "    p = softmax[j](s where seen)\n"
    "    o = sum[j](p * v)\n"
    "    n = sum[j](int(seen))\n"
    "}\n";

/* The queries are the last size(i) positions; o and the number of visible keys, by hand. */
Test(meaning, sliding_window)
{
    SCRIPT(s, window_text);
    const double *q = script_random(s, "q"), *k = script_random(s, "k"), *v = script_random(s, "v");
    const double *o = REALS(s, "o");
    const int64_t *n = INTS(s, "n");
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 6; i++) {
            double sum = 0, y[3] = {0};
            int position = i + 14, count = 0;
            for (int j = position - 4; j <= position; j++, count++) {
                double e = exp(dot(q + (h * 6 + i) * 4, k + (h * 20 + j) * 4, 4) / 2);
                sum += e;
                for (int c = 0; c < 3; c++) y[c] += e * v[(h * 20 + j) * 3 + c];
            }
            cr_assert(n[h * 6 + i] == count);
            for (int c = 0; c < 3; c++) NEAR(o[(h * 6 + i) * 3 + c], y[c] / sum);
        }
    script_free(s);
}

/* The rows of a causal window of w hold min(i + 1, w) keys. */
Test(meaning, window_counts)
{
    SCRIPT(s, "pattern counts(w: int = 1) over b: q[i] -> n: int[i] example b = 1, i = 30\n"
              "{ index j like i\n n = sum[j](int(0 <= i - j < w)) }");
    script_random(s, "q");
    for (int64_t w = 0; w <= 8; w++) {
        script_int(s, "w", w);
        const int64_t *n = INTS(s, "n");
        for (int64_t i = 0; i < 30; i++) cr_assert(n[i] == (i + 1 < w ? i + 1 : w));
    }
    script_free(s);
}

/* ---- neighbourhood attention ---- */

/* NATTEN's neighbour set of position i by its own definition: within the dilation group of i, the window
 * of `w` cells whose centre is i, pushed inside at the borders. */
static bool neighbour(int64_t i, int64_t j, int64_t n, int64_t w, int64_t r)
{
    if (i % r != j % r) return false;
    int64_t cells = 0, at = i / r;
    for (int64_t p = i % r; p < n; p += r) cells++;
    int64_t start = at - w / 2, end;
    if (start + w > cells) start = cells - w;
    if (start < 0) start = 0;
    end = start + w < cells ? start + w : cells;
    return start <= j / r && j / r < end;
}

static void neighbour_sets(int64_t n, int64_t w, int64_t r)
{
    SCRIPT(s, "use \"std/masks.attn\"\n"
              "pattern near(w: int = 7, r: int = 1) over h: q[x] -> near: bool[h, x, y]\n"
              "    example x = 1, y = 1\n"
              "{ require w > 0 and r > 0\n"
              "  require size(x) == size(y)\n"
              "  near = neighborhood(x, y, size(y), w, r) }\n");
    script_size(s, "h", 1);
    script_size(s, "x", n);
    script_size(s, "y", n);
    script_int(s, "w", w);
    script_int(s, "r", r);
    script_random(s, "q");
    const uint8_t *near = BOOLS(s, "near");
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            cr_assert(near[i * n + j] == neighbour(i, j, n, w, r), "n %d w %d r %d: %d, %d", (int)n, (int)w,
                      (int)r,
                      (int)i, (int)j);
    script_free(s);
}

Test(meaning, neighbour_sets)
{
    for (int64_t n = 1; n <= 17; n += 4)
        for (int64_t w = 1; w <= 7; w += 2)
            for (int64_t r = 1; r <= 3; r++) neighbour_sets(n, w, r);
}

Test(meaning, neighborhood2d)
{
    SCRIPT(s, "use \"std/masks.attn\"\n"
              "pattern n2(w: int = 3) over b: q[y, x, d], k[ky, kx, d], v[ky, kx] -> o[y, x]\n"
              "    example b = 1, y = 6, x = 5, ky = 6, kx = 5, d = 3\n"
              "{ require w > 0\n"
              "  near = neighborhood(y, ky, size(ky), w, 1) and neighborhood(x, kx, size(kx), w, 1)\n"
              "  o = sum[ky, kx](softmax[ky, kx](sum[d](q * k) where near) * v) }\n");
    const double *q = script_random(s, "q"), *k = script_random(s, "k"), *v = script_random(s, "v");
    const double *o = REALS(s, "o");
    for (int y = 0; y < 6; y++)
        for (int x = 0; x < 5; x++) {
            double sum = 0, value = 0;
            for (int m = 0; m < 30; m++) {
                if (!neighbour(y, m / 5, 6, 3, 1) || !neighbour(x, m % 5, 5, 3, 1)) continue;
                double e = exp(dot(q + (y * 5 + x) * 3, k + m * 3, 3));
                sum += e;
                value += e * v[m];
            }
            NEAR(o[y * 5 + x], value / sum);
        }
    script_free(s);
}

/* ---- what exists ---- */

/* A weight that a normaliser left out absorbs NaN and infinities; an ordinary 0 (a score of -inf) does
 * not. */
Test(meaning, absorbed_weights)
{
    SCRIPT(s, "pattern absorb() over b: x[i, j], v[j] -> o[i], r[i], z[i]\n"
              "    example b = 1, i = 3, j = 3\n"
              "{ p = softmax[j](x where j < i)\n"
              "  o = sum[j](p * v)\n"
              "  r = sum[j]((-p + 0 * p) / 2 * v) + sum[j](v * stop(p) ** 2)\n"
              "  z = sum[j](softmax[j](if j < i then 0 else -inf) * v) }\n");
    static const double v[3] = {2, 4, NAN};
    script_random(s, "x");
    script_bind(s, "v", v);
    const double *x = s->tensors[0].data, *o = REALS(s, "o"), *r = REALS(s, "r"), *z = REALS(s, "z");
    double p = 1 / (1 + exp(x[7] - x[6]));
    cr_assert(o[0] == 0 && o[1] == 2);
    NEAR(o[2], 2 * p + 4 * (1 - p));
    NEAR(r[1], -1 + 2);
    NEAR(r[2], -o[2] / 2 + 2 * p * p + 4 * (1 - p) * (1 - p));
    cr_assert(isnan(z[1]) && isnan(z[2]));
    script_free(s);
}

/* A table read that is in range only under the mask stands in an equation of its own: a paged cache. */
Test(meaning, paged_cache)
{
    SCRIPT(s, "pattern paged() over b: q[i, d] -> o[i]\n"
              "    with pool[page, u, d], table: int[b, n] in -1..size(page),\n"
              "         len: int[b] in 0..size(n) * 4 + 1\n"
              "    example b = 2, i = 1, page = 5, u = 4, n = 3, d = 2\n"
              "{ require size(u) == 4\n"
              "  index j: size(n) * 4\n"
              "  row = if table[b, j // 4] >= 0 then sum[d](q * pool[table[b, j // 4], j % 4, d]) else 0\n"
              "  o = sum[j](softmax[j](row where j < len) * row) }\n");
    static const int64_t table[6] = {4, 2, -1, 1, -1, 0}, length[2] = {7, 3};
    const double *q = script_random(s, "q"), *pool = script_random(s, "pool");
    script_bind(s, "table", table);
    script_bind(s, "len", length);
    const double *o = REALS(s, "o");
    for (int b = 0; b < 2; b++) {
        double sum = 0, value = 0;
        for (int64_t j = 0; j < length[b]; j++) {
            double row = dot(q + b * 2, pool + (table[b * 3 + j / 4] * 4 + j % 4) * 2, 2);
            sum += exp(row);
            value += exp(row) * row;
        }
        NEAR(o[b], value / sum);
    }
    static const int64_t wrong[6] = {4, 2, -1, 1, -1, 5};
    script_bind(s, "table", wrong);
    cr_assert(!script_run(s, "o") && strstr(s->failed, "'table' has the value 5"), "%s", s->failed);
    script_free(s);
}

Test(meaning, pad_and_convolution)
{
    SCRIPT(s, "pattern conv() over b: u[t, c] -> y[t, c], m[t, c]\n"
              "    with w[r]\n"
              "    example b = 1, t = 12, c = 2, r = 5\n"
              "{ y = sum[r](w[r] * pad(u[t - r, c], 0))\n"
              "  m = pad(u[t - 1, c] + u[t + 1, c], -1) }\n");
    const double *u = script_random(s, "u"), *w = script_random(s, "w");
    const double *y = REALS(s, "y"), *m = REALS(s, "m");
    for (int t = 0; t < 12; t++)
        for (int c = 0; c < 2; c++) {
            double sum = 0;
            for (int r = 0; r < 5 && r <= t; r++) sum += w[r] * u[(t - r) * 2 + c];
            NEAR(y[t * 2 + c], sum);
            NEAR(m[t * 2 + c], t == 0 || t == 11 ? -1 : u[(t - 1) * 2 + c] + u[(t + 1) * 2 + c]);
        }
    script_free(s);
}

/* ---- blocks, axes ---- */

Test(meaning, blocks)
{
    SCRIPT(s, "pattern blocks() over b: x[j] -> m[c], o[j], r[a], n: int[j]\n"
              "    example b = 1, j = 11, c = 3\n"
              "{ block c of j by 4\n"
              "  block a of j into 4\n"
              "  m = mean[j | c](x)\n"
              "  o = softmax[j | c](x) - m[c = c(j)]\n"
              "  r = max[j | a](x)\n"
              "  n = a(j) }\n");
    const double *x = script_random(s, "x"), *m = REALS(s, "m"), *o = REALS(s, "o"), *r = REALS(s, "r");
    const int64_t *n = INTS(s, "n");
    for (int c = 0; c < 3; c++) {
        int end = c == 2 ? 11 : 4 * c + 4;
        double sum = 0, exps = 0;
        for (int j = 4 * c; j < end; j++) sum += x[j], exps += exp(x[j]);
        NEAR(m[c], sum / (end - 4 * c));
        for (int j = 4 * c; j < end; j++) NEAR(o[j], exp(x[j]) / exps - sum / (end - 4 * c));
    }
    for (int a = 0; a < 4; a++) {
        double max = -2;
        for (int j = a * 11 / 4; j < (a + 1) * 11 / 4; j++) {
            max = fmax(max, x[j]);
            cr_assert(n[j] == a);
        }
        NEAR(r[a], max);
    }
    script_free(s);
}

Test(meaning, flatten_and_join)
{
    SCRIPT(s, "pattern axes() over b: x[y, z], w[k] -> f[t], g[y, z], p[u]\n"
              "    example b = 1, y = 3, z = 4, k = 2\n"
              "{ index t: flatten(y, z)\n"
              "  index u: join(t, k)\n"
              "  f[t] = x * 2\n"
              "  h[t] = cumsum[t](f)\n"
              "  g = h\n"
              "  p[u] = softmax[u](join[u](f, w)) }\n");
    const double *x = script_random(s, "x"), *w = script_random(s, "w");
    const double *f = REALS(s, "f"), *g = REALS(s, "g"), *p = REALS(s, "p");
    double sum = 0, exps = exp(w[0]) + exp(w[1]);
    for (int t = 0; t < 12; t++) exps += exp(2 * x[t]);
    for (int t = 0; t < 12; t++) {
        sum += 2 * x[t];
        NEAR(f[t], 2 * x[t]);
        NEAR(g[t], sum);
        NEAR(p[t], exp(2 * x[t]) / exps);
    }
    NEAR(p[13], exp(w[1]) / exps);
    script_free(s);
}

/* ---- selection ---- */

/* MoBA with two of the earlier blocks: the chosen ones by comparing all pairs of gates. */
Test(meaning, routed_blocks)
{
    SCRIPT(s, "pattern moba(top: int = 2) over b: q[i, d], k[j, d] -> keep: bool[b, i, j]\n"
              "    example b = 1, i = 40, j = 40, d = 3\n"
              "{ block c of j by 8\n"
              "  require size(i) == size(j)\n"
              "  gate = sum[d](q * mean[j | c](k))\n"
              "  pick = topk[c](gate where c < c(i), top)\n"
              "  keep = (pick[c = c(j)] or c(i) == c(j)) and j <= i }\n");
    const double *q = script_random(s, "q"), *k = script_random(s, "k");
    const uint8_t *keep = BOOLS(s, "keep");
    for (int i = 0; i < 40; i++) {
        double gate[5];
        for (int c = 0; c < 5; c++) {
            gate[c] = 0;
            for (int j = 8 * c; j < 8 * c + 8; j++) gate[c] += dot(q + i * 3, k + j * 3, 3) / 8;
        }
        for (int j = 0; j < 40; j++) {
            int c = j / 8, better = 0;
            for (int other = 0; other < i / 8; other++) better += gate[other] > gate[c];
            cr_assert(keep[i * 40 + j] == ((c == i / 8 || (c < i / 8 && better < 2)) && j <= i));
        }
    }
    script_free(s);
}

/* Gather by top_index, scatter back; rank is the inverse of sorting. */
Test(meaning, gather_scatter_rank)
{
    SCRIPT(s, "pattern route(n: int = 3) over b: x[t], gate[t] -> y[t], at: int[b, r],\n"
              "    place: int[b, t], some: int[b, m]\n"
              "    example b = 1, t = 9\n"
              "{ require n >= 0\n"
              "  index r: n\n"
              "  index m: 4\n"
              "  at = top_index[t -> r](gate, n)\n"
              "  y = sum[r](2 * x where at == t)\n"
              "  place = rank[t](gate where t != 4)\n"
              "  some = positions[t -> m](gate > 0, 4) }\n");
    static const double gate[9] = {0.5, -1, 3, 0.5, 9, 2, NAN, 0.25, -7};
    static const int64_t best[3] = {4, 2, 5}, places[9] = {4, 2, 7, 5, -1, 6, 0, 3, 1},
        holds[4] = {0, 2, 3, 4};
    const double *x = script_random(s, "x");
    script_bind(s, "gate", gate);
    const double *y = REALS(s, "y");
    cr_assert(!memcmp(INTS(s, "at"), best, sizeof best));
    const int64_t *place = INTS(s, "place");
    /* NaN counts as -inf: before -7 and -1. */
    for (int t = 0; t < 9; t++) cr_assert(place[t] == places[t], "%d: %d", t, (int)place[t]);
    cr_assert(!memcmp(INTS(s, "some"), holds, sizeof holds));
    for (int t = 0; t < 9; t++) NEAR(y[t], t == 4 || t == 2 || t == 5 ? 2 * x[t] : 0);
    script_int(s, "n", 20); /* more than there are: -1 past the end */
    cr_assert(INTS(s, "at")[19] == -1 && INTS(s, "at")[8] == 6);
    script_free(s);
}

/* ---- recurrences ---- */

static const char delta_text[] =
    "pattern gated_delta() over b: q[t, d], k[t, d], v[t, e] -> o[t, e], last[d, e]\n"
    "    with a[b, t], beta[b, t], start[b, d, e]\n"
    "    example b = 1, t = 30, d = 4, e = 3\n"
    "{\n"
    "    S[-1] = start\n"
    "    S[t]  = a * (S[t-1] - beta * k * sum[d](k * S[t-1])) + beta * k * v\n"
    "    o     = sum[d](q * S)\n"
    "    last  = S[last(t)]\n"
    "}\n";

Test(meaning, gated_delta)
{
    SCRIPT(s, delta_text);
    const double *q = script_random(s, "q"), *k = script_random(s, "k"), *v = script_random(s, "v");
    const double *a = script_random(s, "a"), *beta = script_random(s, "beta"),
        *start = script_random(s, "start");
    const double *o = REALS(s, "o"), *last = REALS(s, "last");
    double state[4][3];
    memcpy(state, start, sizeof state);
    for (int t = 0; t < 30; t++)
        for (int e = 0; e < 3; e++) {
            double kept = 0, y = 0;
            for (int d = 0; d < 4; d++) kept += k[t * 4 + d] * state[d][e];
            for (int d = 0; d < 4; d++) {
                double step = beta[t] * k[t * 4 + d];
                state[d][e] = a[t] * (state[d][e] - step * kept) + step * v[t * 3 + e];
                y += q[t * 4 + d] * state[d][e];
            }
            NEAR(o[t * 3 + e], y);
        }
    for (int m = 0; m < 12; m++) NEAR(last[m], (&state[0][0])[m]);
    script_free(s);
}

/* Two coupled recurrences that read two steps back, with their states before the first step; and one
 * backwards. */
Test(meaning, coupled_and_backward_recurrences)
{
    SCRIPT(s, "pattern both() over b: u[t] -> x[t], y[t], r[t]\n"
              "    example b = 1, t = 20\n"
              "{ x[-1] = 1\n"
              "  x[-2] = 2\n"
              "  x[t] = u + 0.5 * x[t - 2] + 0.25 * y[t - 1]\n"
              "  y[t] = x - y[t - 1]\n"
              "  r[t] = u * x + 0.5 * r[t + 1] }\n");
    const double *u = script_random(s, "u"), *x = REALS(s, "x"), *y = REALS(s, "y"), *r = REALS(s, "r");
    double x1 = 1, x2 = 2, y1 = 0, next = 0;
    for (int t = 0; t < 20; t++) {
        double now = u[t] + 0.5 * x2 + 0.25 * y1;
        y1 = now - y1;
        x2 = x1, x1 = now;
        NEAR(x[t], now);
        NEAR(y[t], y1);
    }
    for (int t = 19; t >= 0; t--) NEAR(r[t], next = u[t] * x[t] + 0.5 * next);
    script_free(s);
}

/* `carry`: two halves with the state handed over are the whole; without steps the last state is the first. */
Test(meaning, carried_state)
{
    static const char text[] = "pattern carried() over b: u[t] -> y[t] example b = 1, t = 8\n"
                               "{ carry S\n"
                               "  S[-1] = 3\n"
                               "  S[t] = 0.5 * S[t - 1] + u\n"
                               "  y = S }\n";
    SCRIPT(s, text);
    double u[8], whole[8], half[4];
    memcpy(u, script_random(s, "u"), sizeof u);
    memcpy(whole, REALS(s, "y"), sizeof whole);
    double state = 3;
    for (int t = 0; t < 8; t++) NEAR(whole[t], state = 0.5 * state + u[t]);
    script_size(s, "t", 4);
    double last = *REALS(s, "S.last");
    NEAR(last, whole[3]);
    script_bind(s, "u", u + 4);
    script_bind(s, "S.start", &last);
    memcpy(half, REALS(s, "y"), sizeof half);
    for (int t = 0; t < 4; t++) NEAR(half[t], whole[4 + t]);
    script_size(s, "t", 0);
    NEAR(*REALS(s, "S.last"), last);
    script_free(s);
}

/* ---- composition ---- */

Test(meaning, composition)
{
    SCRIPT(s, "fn unit(x, [d]) = x * rsqrt(sum[d](x * x))\n"
              "pattern row(cap: float = 50) over b: q[i, d], k[j, d], v[j] -> o[i]\n"
              "{ o = sum[j](softmax[j](cap * tanh(sum[d](q * k) / cap)) * v) }\n"
              "pattern outer() over b, h: q[i, d], k[j, d], v[j] -> o[i]\n"
              "    example b = 1, h = 2, i = 4, j = 5, d = 3\n"
              "{ o = 2 * row(unit(q, [d]), k, v, cap = 0.5) - row(q, k, v) }\n");
    const double *q = script_random(s, "q"), *k = script_random(s, "k"), *v = script_random(s, "v"),
        *o = REALS(s, "o");
    for (int m = 0; m < 8; m++) {
        const double *x = q + m * 3;
        double norm = sqrt(dot(x, x, 3)), sum[2] = {0}, value[2] = {0};
        for (int j = 0; j < 5; j++) {
            double score = dot(x, k + (m / 4 * 5 + j) * 3, 3);
            double e[2] = {exp(0.5 * tanh(score / norm / 0.5)), exp(50 * tanh(score / 50))};
            for (int r = 0; r < 2; r++) sum[r] += e[r], value[r] += e[r] * v[m / 4 * 5 + j];
        }
        NEAR(o[m], 2 * value[0] / sum[0] - value[1] / sum[1]);
    }
    script_free(s);
}

/* Agent attention as two plain softmaxes. */
Test(meaning, agents)
{
    SCRIPT(s, "pattern agent(agents: int = 3) over b: q[i, d], k[j, d], v[j] -> o[i]\n"
              "    example b = 1, i = 10, j = 7, d = 2, agents = 3\n"
              "{ require agents > 0\n"
              "  block a of i into agents\n"
              "  g = mean[i | a](q)\n"
              "  va = sum[j](softmax[j](sum[d](g * k)) * v)\n"
              "  o = sum[a](softmax[a](sum[d](q * g)) * va) }\n");
    const double *q = script_random(s, "q"), *k = script_random(s, "k"), *v = script_random(s, "v"),
        *o = REALS(s, "o");
    double g[3][2] = {{0}}, va[3];
    for (int a = 0; a < 3; a++) {
        int from = a * 10 / 3, to = (a + 1) * 10 / 3;
        for (int i = from; i < to; i++)
            for (int d = 0; d < 2; d++) g[a][d] += q[i * 2 + d] / (to - from);
        double sum = 0, value = 0;
        for (int j = 0; j < 7; j++) {
            double e = exp(dot(g[a], k + j * 2, 2));
            sum += e;
            value += e * v[j];
        }
        va[a] = value / sum;
    }
    for (int i = 0; i < 10; i++) {
        double sum = 0, value = 0;
        for (int a = 0; a < 3; a++) {
            double e = exp(dot(q + i * 2, g[a], 2));
            sum += e;
            value += e * va[a];
        }
        NEAR(o[i], value / sum);
    }
    script_free(s);
}

/* ---- scalars ---- */

Test(meaning, scalars)
{
    SCRIPT(s, "pattern scalars() over b: x[i] -> n: int[i], y[i], r[i], e: int[m]\n"
              "    example b = 1, i = 4\n"
              "{ index m: 9\n"
              "  n = int(x) + (i - 2) // 2 * 100 + (i - 2) % 3 * 10\n"
              "  y = round(x) + 2 ** -1 + clamp(x, -1, 1) + (if i == 3 then elu(x) else relu(x))\n"
              "  r = rand(7, i, -1)\n"
              "  e = if m == 0 then int(2 ** 3 ** 2) else if m == 1 then (m + 6) // 0\n"
              "      else if m == 2 then m % 0\n"
              "      else if m == 3 then 1 << (64 + m) else if m == 4 then -m >> 1\n"
              "      else if m == 5 then popcount(m)\n"
              "      else if m == 6 then m ^ 3 else if m == 7 then -7 // 2 else int(1.0 / float(m - 8)) }\n");
    static const double x[4] = {2.5, -2.5, 1e30, -0.75};
    static const int64_t e[9] = {512, 0, 2, 8, -2, 2, 5, -4, INT64_MAX};
    script_bind(s, "x", x);
    const int64_t *n = INTS(s, "n"), *m = INTS(s, "e");
    const double *y = REALS(s, "y"), *r = REALS(s, "r");
    cr_assert(n[0] == 2 - 100 + 10 && n[1] == -2 - 100 + 20 && n[2] == INT64_MAX && n[3] == 10);
    NEAR(y[0], 2 + 0.5 + 1 + 2.5);
    NEAR(y[1], -2 + 0.5 - 1 + 0);
    NEAR(y[3], -1 + 0.5 - 0.75 + expm1(-0.75));
    for (int64_t i = 0; i < 4; i++) cr_assert(r[i] == scalar_rand(7, (int64_t[4]){i, 0xffffffff, 0, 0}));
    for (int k = 0; k < 9; k++) cr_assert(m[k] == e[k], "%d: %lld", k, (long long)m[k]);
    script_free(s);
}
