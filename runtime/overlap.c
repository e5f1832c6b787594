/* Whether strided tensors share memory: intervals first, then exactly, by looking for a solution of
 *     sum of a[i] x[i] = c,  0 <= x[i] <= n[i]
 * (NumPy's formulation of shared memory). The search is cut where a greatest common divisor or the reach
 * of what is left says no; after too many steps the answer is the safe one. */
#include "internal.h"

enum { TERMS_MAX = 64, STEPS_MAX = 20000 };

typedef struct Term {
    uint64_t a, n;
} Term;
typedef struct Problem {
    Term t[TERMS_MAX + 2];
    uint64_t gcd[TERMS_MAX + 2], reach[TERMS_MAX + 2];
    int n, steps;
} Problem;

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* Keeps terms in descending order of their factor; equal factors are one term. False: no room. */
static bool add_term(Problem *p, uint64_t a, uint64_t n)
{
    if (a == 0 || n == 0)
        return true;
    int at = 0;
    while (at < p->n && p->t[at].a > a)
        at++;
    if (at < p->n && p->t[at].a == a) {
        p->t[at].n += n;
        return true;
    }
    if (p->n == TERMS_MAX)
        return false;
    for (int i = p->n++; i > at; i--)
        p->t[i] = p->t[i - 1];
    p->t[at] = (Term){a, n};
    return true;
}

/* Both tensors' terms; a tensor read backwards has the same addresses. All sums fit: they are inside an
 * address space. */
static bool add_terms(Problem *p, const RtTensor *t, int rank)
{
    uint64_t element = rt_type_bytes(t->type);
    bool room = add_term(p, 1, element - 1);
    for (int i = 0; i < rank; i++) {
        uint64_t stride = t->strides[i] < 0 ? -(uint64_t)t->strides[i] : (uint64_t)t->strides[i];
        room = room && add_term(p, stride * element, (uint64_t)t->shape[i] - 1);
    }
    return room;
}

/* What terms i and later can add up to. */
static void finish(Problem *p)
{
    p->gcd[p->n] = p->reach[p->n] = 0;
    for (int i = p->n - 1; i >= 0; i--) {
        p->gcd[i] = gcd(p->t[i].a, p->gcd[i + 1]);
        p->reach[i] = p->reach[i + 1] + p->t[i].a * p->t[i].n;
    }
}

static bool solvable(Problem *p, int i, uint64_t c)
{
    if (c == 0 || ++p->steps > STEPS_MAX)
        return true;
    if (c > p->reach[i] || c % p->gcd[i] != 0)
        return false;
    if (i == p->n - 1)
        return true; /* divisible and within reach */
    uint64_t a = p->t[i].a, rest = p->reach[i + 1];
    uint64_t most = c / a < p->t[i].n ? c / a : p->t[i].n, least = c > rest ? (c - rest + a - 1) / a : 0;
    for (uint64_t x = most + 1; x-- > least;)
        if (solvable(p, i + 1, c - a * x))
            return true;
    return false;
}

bool rt_overlap(const RtTensor *a, int rank_a, const RtTensor *b, int rank_b)
{
    if (a->count == 0 || b->count == 0)
        return false;
    uintptr_t a0 = (uintptr_t)a->data + (uintptr_t)a->low, a1 = (uintptr_t)a->data + (uintptr_t)a->high;
    uintptr_t b0 = (uintptr_t)b->data + (uintptr_t)b->low, b1 = (uintptr_t)b->data + (uintptr_t)b->high;
    if (a1 <= b0 || b1 <= a0)
        return false;
    /* An address of a, counted up from a0, equals one of b, counted down from b1 - 1. */
    Problem p = {.n = 0};
    if (!add_terms(&p, a, rank_a) || !add_terms(&p, b, rank_b))
        return true;
    finish(&p);
    return solvable(&p, 0, b1 - 1 - a0);
}

/* By strides in ascending order, each must pass what the smaller ones reach. Strides that interleave
 * without meeting exist, but nobody needs them for an output. */
bool rt_overlaps_itself(const RtTensor *t, int rank)
{
    if (t->count <= 1)
        return false;
    Problem p = {.n = 0};
    for (int i = 0; i < rank; i++) {
        uint64_t stride = t->strides[i] < 0 ? -(uint64_t)t->strides[i] : (uint64_t)t->strides[i];
        int before = p.n;
        if (t->shape[i] > 1 &&
            (stride == 0 || !add_term(&p, stride, (uint64_t)t->shape[i] - 1) || p.n == before))
            return true;
    }
    finish(&p);
    for (int i = 0; i < p.n; i++)
        if (p.t[i].a <= p.reach[i + 1])
            return true;
    return false;
}
