/* See tape.h. */
#include "tape.h"

#include <string.h>

#include "node_map.h"

enum { MOST_VARIABLES = 32 };

typedef struct Instruction {
    const Node *n;
    unsigned args[8];             /* numbers of instructions */
    int variable;                 /* INDEX */
    const InterpretTensor *given; /* READ */
    int64_t *extents;             /*   of its dims */
    Scalar *values;               /* TAPE_WIDTH of them; constants are filled once */
    bool constant;
    Tape *body;           /* REDUCE; its variables: those of the tape, then those of the reduction */
    int64_t *coordinates; /*   TAPE_WIDTH of each */
} Instruction;

struct Tape {
    Compilation *c;
    const InterpretArguments *arguments;
    unsigned n_variables;
    Index *variables[MOST_VARIABLES];
    VEC(Instruction) list;
    NodeMap numbers; /* of instructions, + 1 */
    double work;
};

/* ---- making ---- */

static const InterpretTensor *given(const InterpretArguments *a, const Tensor *t)
{
    for (unsigned k = 0; k < a->n_tensors; k++)
        if (a->tensors[k].tensor == t && a->tensors[k].given) return &a->tensors[k];
    return NULL;
}

static bool fill(Instruction *i, Scalar value)
{
    for (unsigned k = 0; k < TAPE_WIDTH; k++) i->values[k] = value;
    return i->constant = true;
}

static bool add_leaf(Tape *t, Instruction *i)
{
    const Node *n = i->n;
    switch (n->op) {
    case N_INT:
    case N_BOOL: return fill(i, scalar_int(n->integer));
    case N_REAL: return fill(i, scalar_real(n->real));
    case N_SIZE: return fill(i, scalar_int(t->arguments->extents[n->index->number]));
    case N_GIVEN: return fill(i, scalar_int(given(t->arguments, n->tensor) != NULL));
    case N_PARAM:
        if (!n->param->fixed) return fill(i, t->arguments->params[n->param->number]);
        return fill(i, n->type == TYPE_REAL ? scalar_real(n->param->value.real)
                                            : scalar_int(n->param->value.integer));
    case N_INDEX:
        for (unsigned k = 0; k < t->n_variables; k++)
            if (t->variables[k] == n->index) i->variable = (int)k;
        return i->variable >= 0;
    default: return false;
    }
}

static bool add_read(Tape *t, Instruction *i)
{
    const Tensor *tensor = i->n->tensor;
    i->given = given(t->arguments, tensor);
    if (!i->given || !i->given->data || tensor->n_dims > 8) return false;
    i->extents = NEW_ARRAY(t->c, int64_t, tensor->n_dims + 1);
    for (unsigned k = 0; k < tensor->n_dims; k++) {
        i->extents[k] = tape_extent(t->c, tensor->dims[k], t->arguments);
        if (i->extents[k] < 0) return false;
    }
    return true;
}

static bool add(Tape *t, const Node *n, unsigned *number);

/* Smallest, largest, all, any: what boxes ask of int tensors. */
static bool add_reduce(Tape *t, Instruction *i)
{
    const Node *n = i->n;
    bool kind =
        n->kind == REDUCE_MIN || n->kind == REDUCE_MAX || n->kind == REDUCE_ALL || n->kind == REDUCE_ANY;
    unsigned n_variables = t->n_variables + n->n_vars;
    if (n->op != N_REDUCE || !kind || n->type == TYPE_REAL || n_variables > MOST_VARIABLES) return false;
    if (n->n_vars > 3 || !node_is_bool(binder_where(n), true)) return false;
    for (unsigned k = 0; k < 2u * n->n_vars; k++)
        if (!add(t, n->args[k], &i->args[k])) return false;
    Index *variables[MOST_VARIABLES];
    for (unsigned k = 0; k < n_variables; k++)
        variables[k] = k < t->n_variables ? t->variables[k] : n->vars[k - t->n_variables];
    i->body = tape_new(t->c, binder_body(n), n_variables, variables, t->arguments);
    i->coordinates = NEW_ARRAY(t->c, int64_t, n_variables *TAPE_WIDTH);
    return i->body != NULL;
}

static bool add_operands(Tape *t, Instruction *i)
{
    if (node_is_binder(i->n)) return add_reduce(t, i);
    for (unsigned k = 0; k < i->n->n_args; k++)
        if (k == 8 || !add(t, i->n->args[k], &i->args[k])) return false;
    return i->n->op == N_READ ? add_read(t, i) : i->n->n_args > 0 || add_leaf(t, i);
}

static bool add(Tape *t, const Node *n, unsigned *number)
{
    uintptr_t known = (uintptr_t)map_get(&t->numbers, n);
    if (known) return *number = (unsigned)known - 1, true;
    Instruction i = {.n = n, .variable = -1};
    i.values = NEW_ARRAY(t->c, Scalar, TAPE_WIDTH);
    if (!add_operands(t, &i)) return false;
    *number = t->list.n;
    PUSH(t->c, &t->list, i);
    map_put(t->c, &t->numbers, n, (void *)(uintptr_t)(*number + 1));
    return true;
}

Tape *tape_new(Compilation *c, const Node *n, unsigned n_variables, Index *const *variables,
               const InterpretArguments *arguments)
{
    Tape *t = NEW(c, Tape);
    *t = (Tape){.c = c, .arguments = arguments, .n_variables = n_variables};
    unsigned last;
    if (n_variables > MOST_VARIABLES) return NULL;
    if (n_variables) memcpy(t->variables, variables, n_variables * sizeof *variables);
    return add(t, n, &last) ? t : NULL;
}

double tape_work(const Tape *t)
{
    double work = t->work;
    for (uint32_t k = 0; k < t->list.n; k++)
        if (t->list.at[k].body) work += tape_work(t->list.at[k].body);
    return work;
}

/* ---- running ---- */

/* The places of `count` elements; false: not all of them are inside. */
static bool find_places(const Tape *t, const Instruction *i, unsigned count, uint64_t *at, bool *inside)
{
    bool all = true;
    for (unsigned p = 0; p < count; p++) at[p] = 0, inside[p] = true;
    for (unsigned k = 0; k < i->n->n_args; k++) {
        const Scalar *x = t->list.at[i->args[k]].values;
        const uint64_t extent = (uint64_t)i->extents[k];
        for (unsigned p = 0; p < count; p++) {
            at[p] = at[p] * extent + (uint64_t)x[p].i;
            inside[p] &= (uint64_t)x[p].i < extent;
        }
    }
    for (unsigned p = 0; p < count; p++) all &= inside[p];
    return all;
}

static void run_read(const Tape *t, Instruction *i, unsigned count)
{
    uint64_t at[TAPE_WIDTH];
    bool inside[TAPE_WIDTH];
    Scalar *out = i->values;
    if (!find_places(t, i, count, at, inside))
        for (unsigned p = 0; p < count; p++)
            if (!inside[p]) at[p] = 0;
    const void *data = i->given->data;
    switch (i->given->tensor->type) {
    case TYPE_REAL:
        for (unsigned p = 0; p < count; p++)
            out[p] = scalar_real(inside[p] ? ((const double *)data)[at[p]] : 0);
        return;
    case TYPE_INT:
        for (unsigned p = 0; p < count; p++) out[p].i = inside[p] ? ((const int64_t *)data)[at[p]] : 0;
        return;
    case TYPE_BOOL:
        for (unsigned p = 0; p < count; p++) out[p].i = inside[p] && ((const uint8_t *)data)[at[p]] != 0;
    }
}

static int64_t combine(unsigned kind, int64_t a, int64_t b)
{
    switch (kind) {
    case REDUCE_MIN: return a < b ? a : b;
    case REDUCE_MAX: return a > b ? a : b;
    case REDUCE_ALL: return a & b;
    default: return a | b;
    }
}

/* Nothing that follows changes it. */
static bool is_settled(unsigned kind, int64_t total)
{
    return (kind == REDUCE_ANY && total) || (kind == REDUCE_ALL && !total);
}

/* Over all coordinates of its variables, for one point. */
static int64_t reduce_at(const Tape *t, Instruction *i, unsigned point, const int64_t *const *points)
{
    const Node *n = i->n;
    int64_t lo[3], hi[3], at[3], left = 1;
    int64_t total = n->kind == REDUCE_MIN   ? INT64_MAX
                    : n->kind == REDUCE_MAX ? INT64_MIN
                                            : n->kind == REDUCE_ALL;
    const int64_t *pointers[MOST_VARIABLES];
    for (unsigned k = 0; k < t->n_variables + n->n_vars; k++) pointers[k] = i->coordinates + k * TAPE_WIDTH;
    for (unsigned k = 0; k < n->n_vars; k++) {
        at[k] = lo[k] = t->list.at[i->args[2 * k]].values[point].i;
        hi[k] = t->list.at[i->args[2 * k + 1]].values[point].i;
        left *= hi[k] > lo[k] ? hi[k] - lo[k] : 0;
    }
    unsigned filled = 0;
    for (unsigned most = 8; left > 0 && !is_settled(n->kind, total); most = TAPE_WIDTH) {
        unsigned count = left < most ? (unsigned)left : most;
        left -= count;
        for (unsigned k = 0; k < t->n_variables; k++)
            for (unsigned p = filled; p < count; p++) i->coordinates[k * TAPE_WIDTH + p] = points[k][point];
        filled = count > filled ? count : filled;
        for (unsigned p = 0; p < count; p++) {
            for (unsigned k = 0; k < n->n_vars; k++)
                i->coordinates[(t->n_variables + k) * TAPE_WIDTH + p] = at[k];
            for (unsigned k = n->n_vars; k-- > 0;) {
                if (++at[k] < hi[k]) break;
                at[k] = lo[k];
            }
        }
        const Scalar *values = tape_run(i->body, count, pointers);
        for (unsigned p = 0; p < count; p++) total = combine(n->kind, total, values[p].i);
    }
    return total;
}

/* The operations that conditions are made of, on ints; all others go through scalar.h. */
#define ON_INTS(op, expression)                                     \
    case op:                                                        \
        for (unsigned p = 0; p < count; p++) out[p].i = expression; \
        return true;
static bool run_ints(const Node *n, Scalar *out, const Scalar *a, const Scalar *b, unsigned count)
{
    if (n->n_args != 2 || n->args[0]->type == TYPE_REAL) return false;
    switch (n->op) {
        ON_INTS(N_ADD, (int64_t)((uint64_t)a[p].i + (uint64_t)b[p].i))
        ON_INTS(N_SUB, (int64_t)((uint64_t)a[p].i - (uint64_t)b[p].i))
        ON_INTS(N_MUL, (int64_t)((uint64_t)a[p].i * (uint64_t)b[p].i))
        ON_INTS(N_AND, a[p].i & b[p].i)
        ON_INTS(N_OR, a[p].i | b[p].i)
        ON_INTS(N_EQ, a[p].i == b[p].i)
        ON_INTS(N_NE, a[p].i != b[p].i)
        ON_INTS(N_LT, a[p].i < b[p].i)
        ON_INTS(N_LE, a[p].i <= b[p].i)
    default: return false;
    }
}

static Scalar operation(const Tape *t, const Instruction *i, unsigned p)
{
    const Node *n = i->n;
    Scalar a = t->list.at[i->args[0]].values[p];
    if (n->op == N_IF) return t->list.at[i->args[a.i ? 1 : 2]].values[p];
    if (n->n_args == 1) return scalar_unary(n->op, n->args[0]->type, a);
    Scalar b = t->list.at[i->args[1]].values[p];
    if (n->op == N_CHECK) {
        int64_t hi = t->list.at[i->args[2]].values[p].i;
        return scalar_int(a.i >= hi ? hi - 1 : a.i < b.i ? b.i : a.i);
    }
    if (n->op == N_RAND) {
        int64_t counter[4];
        for (unsigned k = 0; k < 4; k++) counter[k] = t->list.at[i->args[k + 1]].values[p].i;
        return scalar_real(scalar_rand(a.i, counter));
    }
    return scalar_binary(n->op, n->args[0]->type, a, b);
}

/* As those of the point before: what queries alone decide, and drawn numbers, take long. */
static bool same_operands(const Tape *t, const Instruction *i, unsigned p)
{
    for (unsigned k = 0; k < i->n->n_args; k++) {
        const Scalar *x = t->list.at[i->args[k]].values;
        if (x[p].i != x[p - 1].i) return false;
    }
    return true;
}

static void run_one(const Tape *t, Instruction *i, unsigned count, const int64_t *const *points)
{
    const Node *n = i->n;
    if (i->variable >= 0) {
        for (unsigned p = 0; p < count; p++) i->values[p].i = points[i->variable][p];
    } else if (i->body) {
        for (unsigned p = 0; p < count; p++) i->values[p].i = reduce_at(t, i, p, points);
    } else if (n->op == N_READ)
        run_read(t, i, count);
    else if (!run_ints(n, i->values, t->list.at[i->args[0]].values, t->list.at[i->args[1]].values, count))
        for (unsigned p = 0; p < count; p++)
            i->values[p] = p && same_operands(t, i, p) ? i->values[p - 1] : operation(t, i, p);
}

const Scalar *tape_run(Tape *t, unsigned count, const int64_t *const *points)
{
    t->work += (double)count * t->list.n;
    for (uint32_t k = 0; k < t->list.n; k++)
        if (!t->list.at[k].constant) run_one(t, &t->list.at[k], count, points);
    return t->list.at[t->list.n - 1].values;
}

bool tape_value(Compilation *c, const Node *n, const InterpretArguments *arguments, Scalar *value)
{
    Tape *t = tape_new(c, n, 0, NULL, arguments);
    if (t) *value = *tape_run(t, 1, NULL);
    return t != NULL;
}

int64_t tape_extent(Compilation *c, Index *index, const InterpretArguments *arguments)
{
    Scalar value;
    const Index *bound = !index->extent && index->root ? index->root : index;
    if (!bound->extent) return arguments->extents[bound->number];
    return tape_value(c, bound->extent, arguments, &value) ? (value.i > 0 ? value.i : 0) : -1;
}
