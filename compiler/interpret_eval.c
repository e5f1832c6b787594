/* Cells to values. Lazy in IF, AND, OR and `where`. */
#include "interpret_cells.h"

#include <math.h>

bool walk_begin(Interpreter *in, Walk *w, const Cell *n)
{
    bool any = true;
    w->n = n;
    for (unsigned k = 0; k < n->n_vars; k++) {
        w->lo[k] = interpret_eval(in, n->args[2 * k]).i;
        w->hi[k] = interpret_eval(in, n->args[2 * k + 1]).i;
        if (w->lo[k] >= w->hi[k]) any = false;
        else if (w->lo[k] < 0 || w->hi[k] > n->extents[k])
            BUG(&in->memory, "%s over %lld..%lld of '%s', which has %lld positions", op_name(n->node->op),
                (long long)w->lo[k], (long long)w->hi[k], n->node->vars[k]->name, (long long)n->extents[k]);
    }
    for (unsigned k = 0; k < n->n_vars; k++) {
        w->saved[k] = *n->vars[k];
        *n->vars[k] = w->lo[k];
    }
    return any;
}

bool walk_next(Interpreter *in, Walk *w)
{
    if (in->operations > in->limit) interpret_fail(in, "more operations than allowed");
    for (unsigned k = w->n->n_vars; k-- > 0;) {
        if (++*w->n->vars[k] < w->hi[k]) return true;
        *w->n->vars[k] = w->lo[k];
    }
    return false;
}

void walk_end(Walk *w)
{
    for (unsigned k = 0; k < w->n->n_vars; k++) *w->n->vars[k] = w->saved[k];
}

int64_t walk_at(const Cell *n)
{
    int64_t at = 0;
    for (unsigned k = 0; k < n->n_vars; k++) at = at * n->extents[k] + *n->vars[k];
    return at;
}

/* A reduction so far. Extremes by scalar_key: `at` is -1 until something was kept. */
typedef struct Fold { Scalar value; int64_t count, key, at; } Fold;

static Scalar nothing(const Cell *n)
{
    bool real = n->type == TYPE_REAL;
    switch ((Reduction)n->kind) {
    case REDUCE_PROD: return real ? scalar_real(1) : scalar_int(1);
    case REDUCE_MAX: return real ? scalar_real(-(double)INFINITY) : scalar_int(INT64_MIN);
    case REDUCE_MIN: return real ? scalar_real((double)INFINITY) : scalar_int(INT64_MAX);
    case REDUCE_ALL: return scalar_int(1);
    default: return scalar_int(0); /* also 0.0 */
    }
}

static void fold_best(Fold *f, const Cell *n, Scalar x)
{
    bool max = n->kind == REDUCE_ARGMAX;
    int64_t key = scalar_key((Type)n->type, x, max);
    if (f->at >= 0 && (max ? key <= f->key : key >= f->key)) return;
    f->key = key;
    f->at = walk_at(n);
}

/* Returns false when the value can no longer change. */
static bool fold_add(Fold *f, const Cell *n, Scalar x)
{
    Type type = (Type)n->type;
    f->count++;
    switch ((Reduction)n->kind) {
    case REDUCE_SUM: case REDUCE_MEAN:
        if (type == TYPE_REAL) f->value.r += x.r;
        else f->value = scalar_binary(N_ADD, type, f->value, x);
        return true;
    case REDUCE_PROD: f->value = scalar_binary(N_MUL, type, f->value, x); return true;
    case REDUCE_MAX: f->value = scalar_binary(N_MAX, type, f->value, x); return true;
    case REDUCE_MIN: f->value = scalar_binary(N_MIN, type, f->value, x); return true;
    case REDUCE_ANY: f->value = x; return !x.i;
    case REDUCE_ALL: f->value = x; return x.i != 0;
    default: fold_best(f, n, x); return true;
    }
}

static Scalar reduce(Interpreter *in, const Cell *n)
{
    if (n->kind == REDUCE_LOGSUMEXP) return scalar_real(interpret_logsumexp(in, n));
    Fold f = {.value = nothing(n), .at = -1};
    const Cell *where = cell_where(n), *body = cell_body(n);
    bool all = where->op == CELL_CONSTANT && where->value.i;
    Walk w;
    if (walk_begin(in, &w, n)) {
        do {
            if (!all && !interpret_eval(in, where).i) continue;
            if (!fold_add(&f, n, interpret_eval(in, body))) break;
        } while (walk_next(in, &w));
    }
    walk_end(&w);
    if (n->kind == REDUCE_ARGMAX || n->kind == REDUCE_ARGMIN) return scalar_int(f.at);
    if (n->kind == REDUCE_MEAN && f.count) f.value.r /= (double)f.count;
    return f.value;
}

_Noreturn static void out_of_range(Interpreter *in, const Cell *n, unsigned k, int64_t x)
{
    const Table *t = n->table;
    BUG(&in->memory, "'%s' read at %lld along '%s', which has %lld positions", t->tensor->name, (long long)x,
        t->tensor->dims[k]->name, (long long)t->extents[k]);
}

static inline int64_t coordinate(Interpreter *in, const Cell *n, unsigned k)
{
    const Cell *a = n->args[k];
    int64_t x = a->op == N_INDEX ? *a->slot : interpret_eval(in, a).i;
    if ((uint64_t)x >= (uint64_t)n->table->extents[k]) out_of_range(in, n, k, x);
    return x;
}

static inline uint64_t data_at(Interpreter *in, const Cell *n)
{
    uint64_t at = 0;
    for (unsigned k = 0; k < n->n_args; k++)
        at = at * (uint64_t)n->table->extents[k] + (uint64_t)coordinate(in, n, k);
    return at;
}

static Scalar read_equation(Interpreter *in, const Cell *n)
{
    int64_t x[MAX_DIMS];
    uint64_t at = 0;
    for (unsigned k = 0; k < n->n_args; k++) {
        x[k] = coordinate(in, n, k);
        at = at * (uint64_t)n->table->extents[k] + (uint64_t)x[k];
    }
    Scalar *known = n->table->store.pages ? store_find(&n->table->store, at) : NULL;
    return known ? *known : interpret_read(in, n->table, at, x);
}

static Scalar check(Interpreter *in, const Cell *n)
{
    int64_t x = interpret_eval(in, n->args[0]).i, lo = interpret_eval(in, n->args[1]).i,
            hi = interpret_eval(in, n->args[2]).i;
    if (lo <= x && x < hi) return scalar_int(x);
    const Pattern *p = in->g->pattern;
    const char *text = n->node->check < p->checks.n ? p->checks.at[n->node->check].text : "an int";
    interpret_fail(in, format(&in->memory, "%s: %lld is not in %lld..%lld", text, (long long)x, (long long)lo,
                              (long long)hi));
}

static Scalar draw(Interpreter *in, const Cell *n)
{
    int64_t a[5];
    for (unsigned k = 0; k < 5; k++) a[k] = interpret_eval(in, n->args[k]).i;
    return scalar_real(scalar_rand(a[0], a + 1));
}

static Scalar remembered(Interpreter *in, const Cell *n)
{
    Scalar *known = memo_find(n->memo);
    if (known) return *known;
    Scalar value = interpret_eval(in, n->args[0]);
    memo_put(in, n->memo, value);
    return value;
}

static Scalar binary(Interpreter *in, const Cell *n)
{
    Scalar a = interpret_eval(in, n->args[0]), b = interpret_eval(in, n->args[1]);
    if (n->type != TYPE_REAL) return scalar_binary((Op)n->op, (Type)n->type, a, b);
    switch (n->op) {
    case N_ADD: return scalar_real(a.r + b.r);
    case N_SUB: return scalar_real(a.r - b.r);
    case N_MUL: return scalar_real(a.r * b.r);
    default: return scalar_binary((Op)n->op, TYPE_REAL, a, b);
    }
}

Scalar interpret_eval(Interpreter *in, const Cell *n)
{
    for (;;) {
        in->operations++;
        switch (n->op) {
        case CELL_CONSTANT: return n->value;
        case N_INDEX: return scalar_int(*n->slot);
        case CELL_F64: return scalar_real(((const double *)n->table->data)[data_at(in, n)]);
        case CELL_I64: return scalar_int(((const int64_t *)n->table->data)[data_at(in, n)]);
        case CELL_U8: return scalar_int(((const uint8_t *)n->table->data)[data_at(in, n)] != 0);
        case CELL_EQUATION: return read_equation(in, n);
        case CELL_MEMO: return remembered(in, n);
        case N_IF: n = n->args[interpret_eval(in, n->args[0]).i ? 1 : 2]; break;
        case N_AND:
            if (!interpret_eval(in, n->args[0]).i) return scalar_int(0);
            n = n->args[1];
            break;
        case N_OR:
            if (interpret_eval(in, n->args[0]).i) return scalar_int(1);
            n = n->args[1];
            break;
        case N_REDUCE: return reduce(in, n);
        case N_NORMALISE: case N_SCAN: case N_TOPK: case N_TOPP: case N_RANK: case N_TOP_INDEX:
        case N_POSITIONS: return interpret_row(in, n);
        case N_RAND: return draw(in, n);
        case N_CHECK: return check(in, n);
        default:
            if (n->n_args == 2) return binary(in, n);
            return scalar_unary((Op)n->op, (Type)n->type, interpret_eval(in, n->args[0]));
        }
    }
}
