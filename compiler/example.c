/* The `example` of a pattern as numbers. Entries see only those before them, so evaluation always ends. */
#include "compiler/example.h"

#include <math.h>
#include <string.h>

#include "compiler/scalar.h"

enum { DEFAULT_AMBIENT = 2, DEFAULT_EXTENT = 16, VISIBLE_ALL = INT32_MAX };

/* Where an expression of an `example` is evaluated. */
typedef struct Place {
    Compilation *c;
    const Pattern *pattern;
    const int64_t *extents; /* by Index.number, or NULL: those of the example */
    unsigned visible;       /* entries that may be used */
} Place;

static bool number(const Place *p, const Ast *e, double *value);

/* --- core expressions --- */

static Scalar read_param(const Param *param, const int64_t *params)
{
    Scalar s = {.i = param->fixed ? 0 : params[param->number]};
    if (param->fixed && param->type == TYPE_REAL) s.r = param->value.real;
    else if (param->fixed) s.i = param->value.integer;
    return s;
}

static bool evaluate(const Node *n, const int64_t *extents, const int64_t *params, Scalar *value)
{
    Scalar a, b;
    switch (n->op) {
    case N_INT:
    case N_BOOL: *value = scalar_int(n->integer); return true;
    case N_REAL: *value = scalar_real(n->real); return true;
    case N_SIZE: *value = scalar_int(extents[n->index->number]); return true;
    case N_PARAM: *value = read_param(n->param, params); return true;
    case N_IF:
        return evaluate(n->args[0], extents, params, &a) &&
               evaluate(n->args[a.i ? 1 : 2], extents, params, value);
    default: break;
    }
    if (n->op == N_READ || n->op == N_RAND || n->op == N_CHECK || node_is_binder(n)) return false;
    if (n->n_args < 1 || n->n_args > 2 || !evaluate(n->args[0], extents, params, &a)) return false;
    if (n->n_args == 2 && !evaluate(n->args[1], extents, params, &b)) return false;
    Type type = n->args[0]->type;
    *value = n->n_args == 1 ? scalar_unary(n->op, type, a) : scalar_binary(n->op, type, a, b);
    return true;
}

bool example_evaluate(const Node *n, const int64_t *extents, const int64_t *params, double *value)
{
    Scalar s;
    if (!evaluate(n, extents, params, &s)) return false;
    *value = n->type == TYPE_REAL ? s.r : (double)s.i;
    return true;
}

/* --- entries --- */

static unsigned visible_entries(const Place *p)
{
    return p->visible < p->pattern->examples.n ? p->visible : p->pattern->examples.n;
}

static int64_t bound_extent(const Place *p, const Index *index)
{
    if (p->extents) return p->extents[index->number];
    for (unsigned k = visible_entries(p); k-- > 0;) {
        const Example *e = &p->pattern->examples.at[k];
        Place before = {p->c, p->pattern, NULL, k};
        double value;
        if (e->index != index) continue;
        bool fits = number(&before, e->value, &value) && value >= 0 && value <= 0x1p62;
        return fits ? (int64_t)value : DEFAULT_EXTENT;
    }
    return index->ambient ? DEFAULT_AMBIENT : DEFAULT_EXTENT;
}

static double param_number(const Place *p, const Param *param)
{
    double value;
    for (unsigned k = param->fixed ? 0 : visible_entries(p); k-- > 0;) {
        const Example *e = &p->pattern->examples.at[k];
        Place before = {p->c, p->pattern, p->extents, k};
        if (e->param == param) return number(&before, e->value, &value) ? value : (double)DEFAULT_EXTENT;
    }
    if (!param->fixed && !param->has_default) return 0;
    return param->type == TYPE_REAL ? param->value.real : (double)param->value.integer;
}

static int64_t param_bits(const Place *p, const Param *param)
{
    double value = param_number(p, param);
    return param->type == TYPE_REAL ? scalar_real(value).i : scalar_truncate(value);
}

static int64_t extent(const Place *p, const Index *index)
{
    if (!index->extent) return bound_extent(p, index);
    const Pattern *pattern = p->pattern;
    int64_t *extents = NEW_ARRAY(p->c, int64_t, pattern->indices.n + 1);
    int64_t *params = NEW_ARRAY(p->c, int64_t, pattern->params.n + 1);
    for (unsigned k = 0; k < pattern->indices.n; k++) extents[k] = bound_extent(p, pattern->indices.at[k]);
    for (unsigned k = 0; k < pattern->params.n; k++) params[k] = param_bits(p, pattern->params.at[k]);
    double value;
    return example_evaluate(index->extent, extents, params, &value) ? (int64_t)value : DEFAULT_EXTENT;
}

int64_t example_extent(Compilation *c, const Pattern *pattern, const Index *index)
{
    return extent(&(Place){c, pattern, NULL, VISIBLE_ALL}, index);
}

double example_param(Compilation *c, const Pattern *pattern, const Param *param)
{
    return param_number(&(Place){c, pattern, NULL, VISIBLE_ALL}, param);
}

/* --- expressions as written --- */

static bool named(const Place *p, const char *name, double *value)
{
    for (unsigned k = 0; k < p->pattern->indices.n; k++) {
        const Index *index = p->pattern->indices.at[k];
        if (!strcmp(index->name, name)) return *value = (double)bound_extent(p, index), true;
    }
    for (unsigned k = 0; k < p->pattern->params.n; k++) {
        const Param *param = p->pattern->params.at[k];
        if (!strcmp(param->name, name)) return *value = param_number(p, param), true;
    }
    if (!strcmp(name, "pi")) return *value = 3.14159265358979323846, true;
    if (!strcmp(name, "inf")) return *value = INFINITY, true;
    return false;
}

static bool binary(const Place *p, const Ast *e, double *value)
{
    double a, b;
    if (!number(p, e->operands[0], &a) || !number(p, e->operands[1], &b)) return false;
    switch (e->op) {
    case OP_ADD: *value = a + b; return true;
    case OP_SUB: *value = a - b; return true;
    case OP_MUL: *value = a * b; return true;
    case OP_DIV: *value = a / b; return true;
    case OP_FLOORDIV: *value = b == 0 ? 0 : floor(a / b); return true;
    case OP_MOD: *value = b == 0 ? a : a - b * floor(a / b); return true;
    case OP_POW: *value = pow(a, b); return true;
    default: return false;
    }
}

static bool call(const Place *p, const Ast *e, double *value)
{
    double a, b;
    if (e->n < 1 || e->n > 2 || !ast_is_plain(e->operands[0])) return false;
    if (!number(p, e->operands[0], &a)) return false;
    if (e->n == 2) {
        if (!number(p, e->operands[1], &b)) return false;
        if (!strcmp(e->name, "min")) return *value = fmin(a, b), true;
        if (!strcmp(e->name, "max")) return *value = fmax(a, b), true;
        return false;
    }
    if (!strcmp(e->name, "size") || !strcmp(e->name, "float")) return *value = a, true;
    if (!strcmp(e->name, "int")) return *value = trunc(a), true;
    if (!strcmp(e->name, "sqrt")) return *value = sqrt(a), true;
    if (!strcmp(e->name, "log2")) return *value = log2(a), true;
    if (!strcmp(e->name, "exp")) return *value = exp(a), true;
    return false;
}

static bool number(const Place *p, const Ast *e, double *value)
{
    switch (e->kind) {
    case AST_INTEGER: *value = (double)e->integer; return true;
    case AST_REAL: *value = e->real; return true;
    case AST_BOOLEAN: *value = e->boolean; return true;
    case AST_NAME: return named(p, e->name, value);
    case AST_CALL: return call(p, e, value);
    case AST_BINARY: return binary(p, e, value);
    case AST_UNARY:
        if (e->op != OP_NEG || !number(p, e->operands[0], value)) return false;
        *value = -*value;
        return true;
    default: return false;
    }
}

bool example_number(Compilation *c, const Pattern *pattern, const Ast *e, const int64_t *extents,
                    double *value)
{
    return number(&(Place){c, pattern, extents, VISIBLE_ALL}, e, value);
}
