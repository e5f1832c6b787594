/* See halving.h. */
#include "halving.h"

#include <string.h>

#include "box.h"
#include "tape.h"

struct Halving {
    Compilation *c;
    unsigned n;
    Index *variables[HALVING_MOST];
    Index *bounds[2 * HALVING_MOST]; /* lo, hi of every side, as variables of may_hold and may_fail */
    Tape *test, *may_hold, *may_fail;
    const HalvingOptions *options;
    bool holds[HALVING_LEAF];
};

/* ---- making ---- */

static void make_judges(Halving *h, Node *test, const InterpretArguments *arguments)
{
    Compilation *c = h->c;
    Box box = {.n = h->n};
    for (unsigned k = 0; k < h->n; k++) {
        Index *lo = h->bounds[2 * k] = index_new(c, "lo", (Span){0, 0, 0}),
              *hi = h->bounds[2 * k + 1] = index_new(c, "hi", (Span){0, 0, 0});
        box.sides[k] = (BoxSide){h->variables[k], node_index(c, lo), node_index(c, hi)};
    }
    Node *hold = box_may_hold(c, &box, test), *fail = box_may_fail(c, &box, test);
    h->may_hold = tape_new(c, hold, 2 * h->n, h->bounds, arguments);
    h->may_fail = tape_new(c, fail, 2 * h->n, h->bounds, arguments);
}

Halving *halving_new(Compilation *c, Node *test, unsigned n_variables, Index *const *variables,
                     const InterpretArguments *arguments)
{
    if (n_variables > HALVING_MOST) return NULL;
    Halving *h = NEW(c, Halving);
    *h = (Halving){.c = c, .n = n_variables};
    for (unsigned k = 0; k < n_variables; k++) h->variables[k] = variables[k];
    h->test = tape_new(c, test, n_variables, variables, arguments);
    if (!h->test) return NULL;
    make_judges(h, test, arguments);
    return h;
}

/* ---- running ---- */

double halving_volume(const Halving *h, const HalvingBox *box)
{
    double n = 1;
    for (unsigned k = 0; k < h->n; k++) n *= box->hi[k] > box->lo[k] ? (double)(box->hi[k] - box->lo[k]) : 0;
    return n;
}

static bool judge(Halving *h, Tape *t, const HalvingBox *box)
{
    const int64_t *points[2 * HALVING_MOST];
    for (unsigned k = 0; k < h->n; k++) {
        points[2 * k] = &box->lo[k];
        points[2 * k + 1] = &box->hi[k];
    }
    return tape_run(t, 1, points)->i != 0;
}

static bool is_too_long(const Halving *h)
{
    double work = tape_work(h->test);
    if (h->may_hold) work += 4 * tape_work(h->may_hold); /* for one point at a time */
    if (h->may_fail) work += 4 * tape_work(h->may_fail);
    return work > h->options->budget;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * 0x9E3779B97F4A7C15u + b + 0x632BE59BD9B4E019u; /* the finaliser of splitmix64 */
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return x > 1 ? x : x + 2;
}
enum { NONE = 0, ALL = 1 }; /* identities of boxes that are empty or full, however that was found out */

/* The next `count` points of the box, row-major; at: of the first, moves behind the last. */
static void fill_points(const Halving *h, const HalvingBox *box, int64_t *at, unsigned count,
                        int64_t points[][TAPE_WIDTH])
{
    unsigned inner = h->n - 1;
    for (unsigned i = 0, n; i < count; i += n) {
        n = count - i;
        if (box->hi[inner] - at[inner] < n) n = (unsigned)(box->hi[inner] - at[inner]);
        for (unsigned k = 0; k < inner; k++)
            for (unsigned p = 0; p < n; p++) points[k][i + p] = at[k];
        for (unsigned p = 0; p < n; p++) points[inner][i + p] = at[inner] + p;
        at[inner] += n;
        for (unsigned k = inner; k > 0 && at[k] == box->hi[k]; k--) {
            at[k] = box->lo[k];
            at[k - 1]++;
        }
    }
}

/* Every 64 results are a number. */
static uint64_t identity_of(const bool *holds, unsigned size)
{
    uint64_t identity = 0;
    for (unsigned from = 0; from < size; from += 64) {
        uint64_t bits = 0;
        for (unsigned k = 0; k < 64 && from + k < size; k++) bits |= (uint64_t)holds[from + k] << k;
        identity = mix(identity, bits);
    }
    return identity;
}

static uint64_t evaluate(Halving *h, const HalvingBox *box)
{
    int64_t at[HALVING_MOST], points[HALVING_MOST][TAPE_WIDTH];
    const int64_t *pointers[HALVING_MOST];
    unsigned size = (unsigned)halving_volume(h, box), found = 0;
    memcpy(at, box->lo, sizeof at);
    for (unsigned k = 0; k < h->n; k++) pointers[k] = points[k];
    for (unsigned from = 0; from < size; from += TAPE_WIDTH) {
        unsigned n = size - from < TAPE_WIDTH ? size - from : TAPE_WIDTH;
        if (h->n) fill_points(h, box, at, n, points);
        const Scalar *values = tape_run(h->test, n, pointers);
        for (unsigned i = 0; i < n; i++) h->holds[from + i] = values[i].i != 0;
    }
    for (unsigned i = 0; i < size; i++) found += h->holds[i];
    return !found ? NONE : found == size ? ALL : identity_of(h->holds, size);
}

static uint64_t visit(Halving *h, const HalvingBox *box, HalvingClass class)
{
    uint64_t identity = class == HALVING_PARTIAL ? evaluate(h, box) : class == HALVING_FULL ? ALL : NONE;
    h->options->visit(h->options->context, box, class, class == HALVING_PARTIAL ? h->holds : NULL);
    return identity;
}

static uint64_t run(Halving *h, const HalvingBox *box)
{
    double size = halving_volume(h, box);
    if (size <= 0 || is_too_long(h)) return NONE;
    if (h->may_hold && !judge(h, h->may_hold, box)) return visit(h, box, HALVING_EMPTY);
    if (h->may_fail && !judge(h, h->may_fail, box)) return visit(h, box, HALVING_FULL);
    if (size <= h->options->leaf) return visit(h, box, HALVING_PARTIAL);
    unsigned longest = 0;
    for (unsigned k = 1; k < h->n; k++)
        if (box->hi[k] - box->lo[k] > box->hi[longest] - box->lo[longest]) longest = k;
    HalvingBox low = *box, high = *box;
    low.hi[longest] = high.lo[longest] = box->lo[longest] + (box->hi[longest] - box->lo[longest]) / 2;
    uint64_t a = run(h, &low), b = run(h, &high);
    return a == b && a <= ALL ? a : mix(a, b);
}

bool halving_run(Halving *h, const HalvingBox *whole, const HalvingOptions *options, uint64_t *identity)
{
    h->options = options;
    uint64_t found = run(h, whole);
    if (identity) *identity = found;
    return !is_too_long(h);
}
