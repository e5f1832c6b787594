/* Overlap of outputs: the exact test against brute force, and what bindings make of it. */
#include "fake.h"
#include "runtime/internal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static AttnError error;
enum { SPACE = 4096, RANK = 4 };

typedef struct Random {
    int64_t shape[RANK], strides[RANK];
    RtTensor t;
    int rank;
} Random;

static unsigned draw(unsigned *state, unsigned n)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % n;
}

/* A tensor anywhere in `space`; false: it would not fit. */
static bool random_tensor(Random *r, unsigned *state, char *space)
{
    static const AttnType types[] = {ATTN_F64, ATTN_F32, ATTN_F16, ATTN_I8};
    r->t = (RtTensor){.type = types[draw(state, 4)], .shape = r->shape, .strides = r->strides, .count = 1};
    int64_t size = (int64_t)rt_type_bytes(r->t.type);
    r->rank = (int)draw(state, RANK + 1);
    r->t.high = size;
    for (int i = 0; i < r->rank; i++) {
        r->shape[i] = draw(state, 6);
        r->strides[i] = (int64_t)draw(state, 24) - 8;
        r->t.count *= r->shape[i];
        int64_t reach = (r->shape[i] - 1) * r->strides[i] * size;
        *(reach < 0 ? &r->t.low : &r->t.high) += r->shape[i] ? reach : 0;
    }
    int64_t room = SPACE - (r->t.high - r->t.low);
    if (room < size)
        return false;
    int64_t at = (int64_t)draw(state, (unsigned)(room / size < 40 ? room / size : 40)) * size - r->t.low;
    r->t.data = space + (at + size - 1) / size * size;
    return r->t.data + r->t.high <= space + SPACE && r->t.data + r->t.low >= space;
}

static void mark(const Random *r, char *space, unsigned char *map, int dim, int64_t at, bool *twice)
{
    if (dim < r->rank) {
        for (int64_t i = 0; i < r->shape[dim]; i++)
            mark(r, space, map, dim + 1, at + i * r->strides[dim], twice);
        return;
    }
    int64_t size = (int64_t)rt_type_bytes(r->t.type), first = r->t.data - space + at * size;
    for (int64_t i = 0; i < size; i++)
        *twice = map[first + i]++ != 0 || *twice;
}

Test(overlap, exact)
{
    unsigned state = 7;
    int overlapping = 0, disjoint_inside = 0;
    static char space[SPACE];
    for (int round = 0; round < 20000; round++) {
        unsigned char map_a[SPACE] = {0}, map_b[SPACE] = {0};
        Random a, b;
        bool twice = false, ignored = false, share = false;
        if (!random_tensor(&a, &state, space) || !random_tensor(&b, &state, space))
            continue;
        mark(&a, space, map_a, 0, 0, &twice);
        mark(&b, space, map_b, 0, 0, &ignored);
        for (int i = 0; i < SPACE; i++)
            share = share || (map_a[i] && map_b[i]);
        cr_assert_eq(rt_overlap(&a.t, a.rank, &b.t, b.rank), share, "round %d", round);
        cr_assert(!twice || rt_overlaps_itself(&a.t, a.rank), "round %d", round);
        overlapping += share;
        disjoint_inside += !share && a.t.count && b.t.count && a.t.data + a.t.low < b.t.data + b.t.high &&
                           b.t.data + b.t.low < a.t.data + a.t.high;
    }
    cr_assert(overlapping > 1000 && disjoint_inside > 100, "%d %d", overlapping, disjoint_inside);
}

/* Hard instances end, with the safe answer. */
Test(overlap, bounded_effort)
{
    int64_t shape[8] = {99, 101, 103, 107, 109, 113, 127, 131};
    int64_t sa[8] = {1000003, 2000029, 3000017, 5000011, 7000003, 11000027, 13000027, 17000023};
    int64_t sb[8] = {1000033, 2000003, 3000029, 5000077, 7000009, 11000081, 13000133, 17000069};
    static char space[1];
    RtTensor
        a = {.data = space, .type = ATTN_F32, .shape = shape, .strides = sa, .count = 1 << 20, .high = 1},
        b = {.data = space, .type = ATTN_F32, .shape = shape, .strides = sb, .count = 1 << 20, .high = 1};
    for (int i = 0; i < 8; i++)
        a.high += (shape[i] - 1) * sa[i] * 4, b.high += (shape[i] - 1) * sb[i] * 4;
    cr_assert(rt_overlap(&a, 8, &b, 8));
}

static AttnBinding *sums(AttnLibrary *l, float *x, float *y)
{
    AttnBinding *b;
    OK(attn_binding_new(l, "sums", &b, &error));
    OK(attn_bind_dense(b, "x", x, 2, (int64_t[]){2, 3}, &error));
    OK(attn_bind_dense(b, "y", y, 2, (int64_t[]){2, 3}, &error));
    return b;
}

Test(overlap, outputs_and_inputs)
{
    AttnLibrary *l = fake_open();
    float memory[16] = {1, 2, 3, 4, 5, 6};
    AttnBinding *b = sums(l, memory, memory);
    EXPECT(OVERLAP, &error, "sums: output y overlaps x in memory", attn_run(b, NULL, &error));
    OK(attn_bind_dense(b, "y", memory + 5, 2, (int64_t[]){2, 3}, &error));
    EXPECT(OVERLAP, &error, "output y overlaps x", attn_run(b, NULL, &error));
    OK(attn_bind_dense(b, "y", memory + 6, 2, (int64_t[]){2, 3}, &error));
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(memory[8], 6);
    /* Two halves of one array, interleaved. */
    Fake x, y;
    FAKE(&x, memory, kDLFloat, 32, 2, 3);
    FAKE(&y, memory + 1, kDLFloat, 32, 2, 3);
    x.strides[0] = y.strides[0] = 6, x.strides[1] = y.strides[1] = 2;
    OK(attn_bind(b, "x", &x.t, &error));
    OK(attn_bind(b, "y", &y.t, &error));
    OK(attn_run(b, NULL, &error));
    y.strides[1] = 1;
    OK(attn_bind(b, "y", &y.t, &error));
    EXPECT(OVERLAP, &error, "output y overlaps x", attn_run(b, NULL, &error));
    y.strides[0] = 1;
    y.t.data = memory + 12;
    OK(attn_bind(b, "y", &y.t, &error));
    EXPECT(OVERLAP, &error, "the strides of output y make its elements overlap", attn_run(b, NULL, &error));
    attn_binding_free(b);
    attn_close(l);
}

Test(overlap, last_may_be_start)
{
    AttnLibrary *l = fake_open();
    float x[6] = {1, 2, 3, 4, 5, 6}, y[6], state[4] = {10, 0, 20, 0};
    AttnBinding *b = sums(l, x, y);
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(y[5], 15);
    Fake s;
    FAKE(&s, state, kDLFloat, 32, 2);
    s.strides[0] = 2;
    OK(attn_bind(b, "S.start", &s.t, &error));
    OK(attn_bind(b, "S.last", &s.t, &error));
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(y[5], 35);
    cr_assert_eq(state[0], 16);
    cr_assert_eq(state[2], 35);
    s.strides[0] = 1;
    OK(attn_bind(b, "S.last", &s.t, &error));
    EXPECT(OVERLAP, &error, "output S.last overlaps S.start in memory without being the same",
           attn_run(b, NULL, &error));
    OK(attn_bind_dense(b, "S.last", y, 1, (int64_t[]){2}, &error));
    EXPECT(OVERLAP, &error, "output y overlaps S.last", attn_run(b, NULL, &error));
    attn_binding_free(b);
    attn_close(l);
}
