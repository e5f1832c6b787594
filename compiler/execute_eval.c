/* Expressions of Loops at one moment: every Node is evaluated at most once, IF, AND and OR are lazy. Real
 * nodes that depend on data are rounded to the compute type, and so are real operands that meet them. */
#include "execute_cells.h"

#include <math.h>
#include <string.h>

static Scalar eval(Executor *x, const Node *n);

/* ---- rounding ---- */

Scalar execute_round(const Executor *x, Scalar value)
{
    return x->options.f32 ? scalar_real((double)(float)value.r) : value;
}

static double round_bf16(double value)
{
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (isnan(f)) return value;
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* As an element of a buffer holds it. */
static Scalar round_element(const Executor *x, const Buffer *b, Scalar value)
{
    if (b->tensor->type != TYPE_REAL) return value;
    if (b->kind != BUFFER_BOUND) return b->exact ? value : execute_round(x, value);
    switch (b->tensor->storage) {
    case STORAGE_F64: return value;
    case STORAGE_F32: return scalar_real((double)(float)value.r);
    case STORAGE_F16: return scalar_real((double)(_Float16)(float)value.r);
    case STORAGE_BF16: return scalar_real(round_bf16(value.r));
    default: return execute_round(x, value);
    }
}

/* ---- buffers ---- */

Area *execute_area(Executor *x, const Tensor *t)
{
    for (uint32_t k = 0; k < x->k->buffers.n; k++)
        if (x->k->buffers.at[k].tensor == t) return &x->areas[k];
    BUG(&x->memory, "no buffer holds '%s'", t->name);
}

/* Where coordinates lead to. */
typedef struct Place {
    uint64_t at;
    int64_t step;            /* the coordinate along the ring */
    bool outside;
    int64_t bad;             /* a coordinate that is outside, */
    unsigned bad_dim;        /*   and of which dimension */
} Place;

static Place place(Executor *x, const Area *a, Node *const *subscripts)
{
    Place p = {0};
    for (unsigned k = 0; k < a->n_dims; k++) {
        int64_t c = eval(x, subscripts[k]).i;
        if ((uint64_t)c >= (uint64_t)a->bounds[k]) {
            p.outside = true;
            p.bad = c;
            p.bad_dim = k;
            continue;
        }
        if (a->buffer->ring == (int)k) p.step = c;
        p.at = p.at * (uint64_t)a->extents[k] + (uint64_t)(c % a->extents[k]);
    }
    return p;
}

_Noreturn static void outside(Executor *x, const Area *a, const char *what, const Place *p)
{
    const Tensor *t = a->buffer->tensor;
    BUG(&x->memory, "'%s' %s at %lld along '%s', which has %lld positions", t->name, what, (long long)p->bad,
        t->dims[p->bad_dim]->name, (long long)a->bounds[p->bad_dim]);
}

/* May this task touch an element that `writer` wrote? */
static void same_task(Executor *x, const Area *a, uint32_t writer, const char *what)
{
    const char *name = a->buffer->tensor->name;
    if (writer != x->task && (writer >= x->first_task || a->buffer->kind == BUFFER_SCRATCH))
        BUG(&x->memory, "'%s': an element of another task is %s", name, what);
}

static Scalar element(const Area *a, uint64_t at)
{
    switch (a->buffer->tensor->type) {
    case TYPE_REAL: return scalar_real(((const double *)a->data)[at]);
    case TYPE_INT: return scalar_int(((const int64_t *)a->data)[at]);
    default: return scalar_int(((const uint8_t *)a->data)[at] != 0);
    }
}

static Scalar load(Executor *x, const Node *n, Area *a)
{
    Place p = place(x, a, n->args);
    if (p.outside && n->guarded) return scalar_int(0);
    if (p.outside) outside(x, a, "is read", &p);
    if (!a->data) BUG(&x->memory, "'%s' is read, but not bound", n->tensor->name);
    x->counts.loads++;
    if (a->writer) {
        if (a->writer[p.at] == 0) BUG(&x->memory, "'%s' is read before it is written", n->tensor->name);
        same_task(x, a, a->writer[p.at], "read");
    }
    if (a->step && a->step[p.at] != p.step)
        BUG(&x->memory, "'%s' is read at step %lld, whose place holds step %lld", n->tensor->name,
            (long long)p.step, (long long)a->step[p.at]);
    return round_element(x, a->buffer, element(a, p.at));
}

/* What others kept in the same memory is gone. */
static void take_memory(Area *a)
{
    Area *owner = a->owner;
    if (!owner || owner->holder == a) return;
    if (owner->holder) memset(owner->holder->writer, 0, owner->holder->n * sizeof *owner->holder->writer);
    owner->holder = a;
}

void execute_store(Executor *x, const Tensor *t, Node *const *subscripts, Scalar value)
{
    Area *a = execute_area(x, t);
    x->stamp++;
    Place p = place(x, a, subscripts);
    uint64_t at = p.at;
    if (p.outside) outside(x, a, "is written", &p);
    if (!a->data || !a->writer) BUG(&x->memory, "'%s' is written, but not bound for it", t->name);
    if (a->buffer->kind != BUFFER_SCRATCH && a->writer[at]) same_task(x, a, a->writer[at], "written");
    take_memory(a);
    a->writer[at] = x->task;
    if (a->step) a->step[at] = p.step;
    x->counts.stores++;
    value = round_element(x, a->buffer, value);
    switch (t->type) {
    case TYPE_REAL: ((double *)a->data)[at] = value.r; break;
    case TYPE_INT: ((int64_t *)a->data)[at] = value.i; break;
    default: ((uint8_t *)a->data)[at] = value.i != 0; break;
    }
}

/* ---- operations ---- */

static bool special(Op op)
{
    switch (op) {
    case N_EXP: case N_EXP2: case N_EXPM1: case N_EXP_DOWN: case N_EXP2_DOWN: case N_LOG: case N_LOG2: case N_LOG1P: case N_TANH: case N_SIN:
    case N_COS: case N_ATAN: case N_ERF: case N_POW: case N_RAND: return true;
    default: return false;
    }
}

static void count(Executor *x, const Node *n)
{
    if (special(n->op)) x->counts.special++;
    else if (n->type == TYPE_REAL) x->counts.flops++;
    else x->counts.ints++;
}

/* An operand, rounded if it meets data. */
static Scalar operand(Executor *x, const Node *n, unsigned k, bool data)
{
    Scalar value = eval(x, n->args[k]);
    return data && n->args[k]->type == TYPE_REAL ? execute_round(x, value) : value;
}

static Scalar operation(Executor *x, const Node *n)
{
    bool data = n->args[0]->data || (n->n_args > 1 && n->args[1]->data);
    Type type = n->args[0]->type;
    if (n->op != N_STOP) count(x, n);
    if (n->n_args == 1) return scalar_unary(n->op, type, operand(x, n, 0, data));
    Scalar a = operand(x, n, 0, data), b = operand(x, n, 1, data);
    return scalar_binary(n->op, type, a, b);
}

static Scalar param(const Executor *x, const Param *p)
{
    if (!p->fixed) return x->arguments->params[p->number];
    return p->type == TYPE_REAL ? scalar_real(p->value.real) : scalar_int(p->value.integer);
}

static Scalar local(Executor *x, const Local *l)
{
    if (x->local_task[l->id] != x->task) BUG(&x->memory, "'%s' is read before it is set", l->name);
    return x->locals[l->id];
}

static Scalar check(Executor *x, const Node *n)
{
    int64_t value = eval(x, n->args[0]).i, lo = eval(x, n->args[1]).i, hi = eval(x, n->args[2]).i;
    x->counts.ints += 2;
    if (lo <= value && value < hi) return scalar_int(value);
    execute_check_failed(x, n->check);
    return scalar_int(value >= hi ? hi - 1 : lo);
}

static Scalar draw(Executor *x, const Node *n)
{
    int64_t a[5];
    for (unsigned k = 0; k < 5; k++) a[k] = eval(x, n->args[k]).i;
    count(x, n);
    return scalar_real(scalar_rand(a[0], a + 1));
}

static Scalar leaf(Executor *x, const Node *n)
{
    switch (n->op) {
    case N_INT: case N_BOOL: return scalar_int(n->integer);
    case N_REAL: return scalar_real(n->real);
    case N_INDEX: return scalar_int(x->value[n->index->id]);
    case N_SIZE: return scalar_int(execute_extent(x, n->index));
    case N_PARAM: return param(x, n->param);
    case N_GIVEN: return scalar_int(execute_bound(x, n->tensor) != NULL);
    case N_GROUP:
    case N_UNIT: return scalar_int(1);
    case N_LOCAL: return local(x, n->local);
    default: BUG(&x->memory, "a %s is left in Loops", op_name(n->op));
    }
}

static Scalar compute(Executor *x, const Node *n, Shared *s)
{
    switch (n->op) {
    case N_READ:
        if (!s->area) s->area = execute_area(x, n->tensor);
        return load(x, n, s->area);
    case N_IF: return eval(x, n->args[eval(x, n->args[0]).i ? 1 : 2]);
    case N_AND: return scalar_int(eval(x, n->args[0]).i && eval(x, n->args[1]).i);
    case N_OR: return scalar_int(eval(x, n->args[0]).i || eval(x, n->args[1]).i);
    case N_CHECK: return check(x, n);
    case N_RAND: return draw(x, n);
    default:
        if (node_is_binder(n)) BUG(&x->memory, "a %s is left in Loops", op_name(n->op));
        return operation(x, n);
    }
}

static Shared *shared_of(Executor *x, const Node *n)
{
    if (n->id >= x->n_shared) {
        Shared **more = NEW_ARRAY(&x->memory, Shared *, 2 * (size_t)n->id);
        if (x->n_shared) memcpy(more, x->shared, x->n_shared * sizeof *more);
        x->shared = more;
        x->n_shared = 2 * n->id;
    }
    if (!x->shared[n->id]) x->shared[n->id] = NEW(&x->memory, Shared);
    return x->shared[n->id];
}

static Scalar eval(Executor *x, const Node *n)
{
    if (n->n_args == 0 && n->op != N_READ) {
        Scalar value = leaf(x, n);
        return n->type == TYPE_REAL && n->data ? execute_round(x, value) : value;
    }
    Shared *s = shared_of(x, n);
    if (s->stamp == x->stamp) return s->value;
    Scalar value = compute(x, n, s);
    if (n->type == TYPE_REAL && n->data) value = execute_round(x, value);
    s->value = value;
    s->stamp = x->stamp;
    return value;
}

Scalar execute_eval(Executor *x, const Node *n)
{
    x->stamp++;
    return eval(x, n);
}
