/* Numbers for inputs: uniform, normal, integers, sorted, distinct, chance, or one number everywhere. */
#include "compiler/command/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "compiler/example.h"

/* SplitMix64 (Steele, Lea, Flood, Fast splittable pseudorandom number generators; OOPSLA 2014). */
typedef struct Random { uint64_t state; } Random;

static uint64_t random_bits(Random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double random_unit(Random *r) { return (double)(random_bits(r) >> 11) * 0x1p-53; }

static double random_normal(Random *r)
{
    double radius = sqrt(-2 * log(1 - random_unit(r)));
    return radius * cos(2 * M_PI * random_unit(r));
}

/* In 0 .. n - 1; the bias of a multiplication of 64 bits does not matter here. */
static uint64_t random_below(Random *r, uint64_t n)
{
    return (uint64_t)((unsigned __int128)random_bits(r) * n >> 64);
}

typedef enum Kind { CONSTANT, UNIFORM, NORMAL, INTEGERS, SORTED, DISTINCT, CHANCE } Kind;
typedef struct Distribution { Kind kind; double a, b; bool range; /* a and b are known */ } Distribution;

/* --- what is asked for --- */

static bool tensor_range(const Call *call, const Tensor *t, double *lo, double *hi)
{
    const int64_t *params = (const int64_t *)call->params;
    return t->lo && t->hi && example_evaluate(t->lo, call->extents, params, lo) &&
           example_evaluate(t->hi, call->extents, params, hi);
}

static const char *by_default(const Call *call, const Tensor *t, Distribution *d)
{
    *d = (Distribution){.kind = NORMAL, .a = 0, .b = 1};
    if (t->type == TYPE_BOOL) *d = (Distribution){.kind = CHANCE, .a = 0.5};
    if (t->type != TYPE_INT) return NULL;
    d->kind = INTEGERS;
    if (tensor_range(call, t, &d->a, &d->b)) return NULL;
    return format(call->c, "'%s' holds ints without a range: give data or an entry in the example", t->name);
}

static const struct { const char *name; Kind kind; unsigned n; } kinds[] = {
    {"uniform", UNIFORM, 2}, {"normal", NORMAL, 2}, {"integers", INTEGERS, 2},
    {"sorted", SORTED, 2}, {"distinct", DISTINCT, 2}, {"chance", CHANCE, 1},
};

static const char *read_call(const Call *call, const Ast *e, const char *name, Distribution *d)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(e->name, kinds[k].name) || e->n > kinds[k].n) continue;
        double x[2] = {0, 0};
        for (uint32_t i = 0; i < e->n; i++)
            if (!example_number(call->c, call->pattern, e->operands[i], call->extents, &x[i]))
                return format(call->c, "the example of '%s' is no number", name);
        *d = (Distribution){kinds[k].kind, x[0], x[1], e->n == kinds[k].n};
        return NULL;
    }
    double x;
    if (!example_number(call->c, call->pattern, e, call->extents, &x))
        return format(call->c, "the example of '%s' cannot be evaluated", name);
    *d = (Distribution){.kind = CONSTANT, .a = x};
    return NULL;
}

static const char *distribution(const Call *call, const Tensor *t, Distribution *d)
{
    const Ast *e = NULL;
    for (uint32_t k = 0; k < call->pattern->examples.n; k++)
        if (call->pattern->examples.at[k].tensor == t) e = call->pattern->examples.at[k].value;
    if (!e) return by_default(call, t, d);
    if (e->kind == AST_CALL) {
        const char *wrong = read_call(call, e, t->name, d);
        if (wrong) return wrong;
    } else if (e->kind == AST_NAME && (!strcmp(e->name, "distinct") || !strcmp(e->name, "sorted"))) {
        *d = (Distribution){.kind = strcmp(e->name, "sorted") ? DISTINCT : SORTED};
    } else {
        d->kind = CONSTANT;
        if (!example_number(call->c, call->pattern, e, call->extents, &d->a))
            return format(call->c, "the example of '%s' cannot be evaluated", t->name);
    }
    if (!d->range && (d->kind == DISTINCT || d->kind == SORTED))
        d->range = tensor_range(call, t, &d->a, &d->b);
    return NULL;
}

/* --- numbers --- */

double storage_round(StorageType s, double x)
{
    if (s == STORAGE_F64 || x != x) return x;
    if (s == STORAGE_F16) return (double)(_Float16)x;
    float f = (float)x;
    if (s == STORAGE_F32) return (double)f;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits += 0x7fff + (bits >> 16 & 1);
    bits &= 0xffff0000u;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double draw(Random *r, const Distribution *d, Type type)
{
    switch (d->kind) {
    case CONSTANT: return d->a;
    case NORMAL: return d->a + d->b * random_normal(r);
    case CHANCE: return random_unit(r) < d->a;
    case INTEGERS: return floor(d->a) + (double)random_below(r, d->b > d->a ? (uint64_t)(d->b - d->a) : 0);
    default: break;
    }
    double x = d->a + (d->b - d->a) * random_unit(r);
    return type == TYPE_INT ? floor(x) : x;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* `n` different numbers of lo, lo + 1, ... hi - 1, or as many as there are, again and again. */
static void draw_distinct(Compilation *c, Random *r, const Distribution *d, Type type, double *out, size_t n)
{
    double lo = d->range ? d->a : 0;
    uint64_t count = type == TYPE_INT && d->range && d->b > d->a ? (uint64_t)(d->b - d->a) : n ? n : 1;
    if (type != TYPE_INT) count = n ? n : 1;
    if (count > ((uint64_t)1 << 24) + 4 * n) count = 4 * (n ? n : 1);
    uint64_t *deck = NEW_ARRAY(c, uint64_t, count);
    for (uint64_t k = 0; k < count; k++) deck[k] = k;
    double span = d->range ? d->b - d->a : 2, from = d->range ? lo : -1;
    for (size_t k = 0; k < n; k++) {
        uint64_t at = k % count, with = at + random_below(r, count - at), x = deck[with];
        deck[with] = deck[at], deck[at] = x;
        out[k] = type == TYPE_INT ? lo + (double)x : from + span * ((double)x + 0.5) / (double)count;
    }
}

static void fill(const Call *call, Random *r, const Distribution *d, CallTensor *t, double *out)
{
    unsigned rank = t->tensor->n_dims;
    size_t row = rank ? (size_t)t->full[rank - 1] : 1;
    Type type = t->tensor->type;
    if (d->kind == DISTINCT) {
        /* of the whole tensor if the range suffices, else of every row */
        bool whole = !d->range || type != TYPE_INT || d->b - d->a >= (double)t->n;
        size_t part = whole ? t->n : row;
        for (size_t k = 0; part && k < t->n; k += part) draw_distinct(call->c, r, d, type, out + k, part);
        return;
    }
    for (size_t k = 0; k < t->n; k++) out[k] = draw(r, d, type);
    for (size_t k = 0; d->kind == SORTED && row && k < t->n; k += row)
        qsort(out + k, row, sizeof *out, by_value);
}

static void store(const Call *call, CallTensor *t, const double *from)
{
    for (size_t k = 0; k < t->n; k++) {
        switch (t->tensor->type) {
        case TYPE_REAL: ((double *)t->data)[k] = storage_round(call_storage(call, t->tensor), from[k]); break;
        case TYPE_INT: ((int64_t *)t->data)[k] = scalar_truncate(from[k]); break;
        case TYPE_BOOL: ((uint8_t *)t->data)[k] = from[k] != 0; break;
        }
    }
}

const char *sample_fill(const Call *call, CallTensor *t, uint64_t seed)
{
    Distribution d = {0};
    const char *wrong = distribution(call, t->tensor, &d);
    if (wrong) return wrong;
    Random r = {XXH64(t->tensor->name, strlen(t->tensor->name), seed)};
    bool real = t->tensor->type == TYPE_REAL;
    double *numbers = real ? t->data : NEW_ARRAY(call->c, double, t->n + 1);
    fill(call, &r, &d, t, numbers);
    store(call, t, numbers);
    return NULL;
}
