/* The functions of the language. Those without an operation of their own are composed of others here. */
#include "check.h"

#include <math.h>
#include <string.h>

typedef enum BuiltinKind {
    REAL_OP,   /* one core operation on a real */
    REAL_MADE, /* composed, on a real */
    SAME_OP,   /* abs, sign: int or real */
    ROUNDING,  /* floor, ceil, round: real; an int stays */
    OTHER
} BuiltinKind;
typedef struct Builtin { const char *name; BuiltinKind kind; Op op; } Builtin;

static const Builtin builtins[] = {
    {"exp", REAL_OP, N_EXP},         {"exp2", REAL_OP, N_EXP2},      {"expm1", REAL_OP, N_EXPM1},
    {"log", REAL_OP, N_LOG},         {"log2", REAL_OP, N_LOG2},      {"log1p", REAL_OP, N_LOG1P},
    {"sqrt", REAL_OP, N_SQRT},       {"rsqrt", REAL_OP, N_RSQRT},    {"tanh", REAL_OP, N_TANH},
    {"sin", REAL_OP, N_SIN},         {"cos", REAL_OP, N_COS},        {"atan", REAL_OP, N_ATAN},
    {"erf", REAL_OP, N_ERF},         {"abs", SAME_OP, N_ABS},        {"sign", SAME_OP, N_SIGN},
    {"floor", ROUNDING, N_FLOOR},    {"ceil", ROUNDING, N_CEIL},     {"round", ROUNDING, N_ROUND},
    {"sigmoid", REAL_MADE, N_OPS},   {"elu", REAL_MADE, N_OPS},      {"gelu", REAL_MADE, N_OPS},
    {"silu", REAL_MADE, N_OPS},      {"softplus", REAL_MADE, N_OPS}, {"relu", OTHER, N_OPS},
    {"min", OTHER, N_MIN},           {"max", OTHER, N_MAX},          {"clamp", OTHER, N_OPS},
    {"pow", OTHER, N_POW},           {"float", OTHER, N_OPS},        {"int", OTHER, N_OPS},
    {"popcount", OTHER, N_POPCOUNT}, {"stop", OTHER, N_STOP},        {"rand", OTHER, N_RAND},
    {"pad", OTHER, N_OPS},           {"size", OTHER, N_OPS},         {"first", OTHER, N_OPS},
    {"last", OTHER, N_OPS},          {"count", OTHER, N_OPS}};

static const Builtin *find(const char *name)
{
    for (size_t k = 0; k < sizeof builtins / sizeof *builtins; k++)
        if (!strcmp(builtins[k].name, name)) return &builtins[k];
    return NULL;
}

bool is_builtin(const char *name) { return find(name) != NULL; }

/* Positional arguments, between `least` and `most` of them. */
static bool positional(const Env *e, const Ast *a, unsigned least, unsigned most)
{
    bool plain = true;
    for (uint32_t k = 0; k < a->n; k++) plain &= ast_is_plain(a->operands[k]);
    if (plain && a->n >= least && a->n <= most) return true;
    static const char *const forms[] = {"", "x", "x, y", "x, lo, hi", "", "seed, a, b, c, d"};
    Diag *d;
    if (!plain)
        fail(e, &d, E105, a->span, "`%s` takes plain arguments", a->name);
    else if (least == most)
        fail(e, &d, E105, a->span, "`%s` takes %u argument%s, not %u", a->name, least, least == 1 ? "" : "s",
             a->n);
    else
        fail(e, &d, E105, a->span, "`%s` takes %u to %u arguments, not %u", a->name, least, most, a->n);
    diag_hint(e->k->c, d, "write `%s(%s)`", a->name,
              strstr("size first last", a->name) ? "i" : forms[most > 5 ? 2 : most]);
    return false;
}

static Value arg(const Env *e, const Ast *a, unsigned k) { return elaborate(e, a->operands[k]); }

/* The value is no longer a plain product: its guard is spelled out, what it absorbs is forgotten. */
static Value plain(Checker *k, Value v)
{
    if (v.node) v.node = value_node(k, v);
    v.guard = false;
    v.kept = NULL;
    return v;
}

static Value real_arg(const Env *e, const Ast *a, unsigned k)
{
    const char *what = format(e->k->c, "the argument of `%s`", a->name);
    return value_convert(e, plain(e->k, arg(e, a, k)), TYPE_REAL, a->operands[k]->span, what);
}

static Value int_arg(const Env *e, const Ast *a, unsigned k)
{
    const char *what = format(e->k->c, "argument %u of `%s`", k + 1, a->name);
    return value_convert(e, plain(e->k, arg(e, a, k)), TYPE_INT, a->operands[k]->span, what);
}

static Node *bin(Compilation *c, Op op, Node *a, Node *b) { return node_binary(c, op, a, b); }
static Node *un(Compilation *c, Op op, Node *a) { return node_unary(c, op, a); }
static Node *num(Compilation *c, double x) { return node_real(c, x); }

static Node *sigmoid(Compilation *c, Node *x)
{
    return bin(c, N_DIV, num(c, 1), bin(c, N_ADD, num(c, 1), un(c, N_EXP, un(c, N_NEG, x))));
}

static Node *composed(Compilation *c, const char *name, Node *x)
{
    if (!strcmp(name, "sigmoid")) return sigmoid(c, x);
    if (!strcmp(name, "silu")) return bin(c, N_MUL, x, sigmoid(c, x));
    if (!strcmp(name, "elu")) return node_if(c, bin(c, N_LT, num(c, 0), x), x, un(c, N_EXPM1, x));
    if (!strcmp(name, "gelu")) {
        Node *erf = un(c, N_ERF, bin(c, N_DIV, x, num(c, sqrt(2))));
        return bin(c, N_MUL, bin(c, N_MUL, num(c, 0.5), x), bin(c, N_ADD, num(c, 1), erf));
    }
    Node *tail = un(c, N_LOG1P, un(c, N_EXP, un(c, N_NEG, un(c, N_ABS, x)))); /* softplus */
    return bin(c, N_ADD, bin(c, N_MAX, x, num(c, 0)), tail);
}

static Value merge(Checker *k, Value a, Value b, Node *node)
{
    return (Value){
        .node = node, .free = set_union(k->c, a.free, b.free), .inside = both(k, a.inside, b.inside)};
}

static Value number_arg(const Env *e, const Ast *a, unsigned k)
{
    Value v = plain(e->k, arg(e, a, k));
    if (v.node && v.node->type == TYPE_BOOL) return real_arg(e, a, k); /* reports */
    return v;
}

/* min and max of two or more. */
static Value extreme(const Env *e, const Ast *a, Op op)
{
    if (!positional(e, a, 2, 64)) return value_none();
    Value all = number_arg(e, a, 0);
    for (uint32_t k = 1; k < a->n; k++) {
        Value v = number_arg(e, a, k);
        if (!value_unify(e, &all, &v, a->span, "arguments")) return value_none();
        all = merge(e->k, all, v, bin(e->k->c, op, all.node, v.node));
    }
    return all;
}

static Value clamp(const Env *e, const Ast *a)
{
    if (!positional(e, a, 3, 3)) return value_none();
    Value x = number_arg(e, a, 0), lo = number_arg(e, a, 1), hi = number_arg(e, a, 2);
    if (!value_unify(e, &lo, &hi, a->span, "arguments") || !value_unify(e, &x, &lo, a->span, "arguments"))
        return value_none();
    if (!value_unify(e, &x, &hi, a->span, "arguments")) return value_none();
    Compilation *c = e->k->c;
    return merge(e->k, merge(e->k, x, lo, NULL), hi, bin(c, N_MIN, bin(c, N_MAX, x.node, lo.node), hi.node));
}

static Value to_int(const Env *e, const Ast *a)
{
    if (!positional(e, a, 1, 1)) return value_none();
    Value v = plain(e->k, arg(e, a, 0));
    if (v.node && v.node->type != TYPE_INT) v.node = un(e->k->c, N_TO_INT, v.node);
    return v;
}

static Value to_float(const Env *e, const Ast *a)
{
    if (!positional(e, a, 1, 1)) return value_none();
    Value v = plain(e->k, arg(e, a, 0));
    if (v.node) v.node = to_real(e->k->c, v.node);
    return v;
}

static Value relu(const Env *e, const Ast *a)
{
    if (!positional(e, a, 1, 1)) return value_none();
    Value v = number_arg(e, a, 0);
    if (v.node) v.node = bin(e->k->c, N_MAX, v.node, zero_of(e->k->c, v.node->type));
    return v;
}

/* What was left out stays so. */
static Value stop(const Env *e, const Ast *a)
{
    if (!positional(e, a, 1, 1)) return value_none();
    Value v = arg(e, a, 0);
    if (v.node && v.node->type == TYPE_REAL) v.node = un(e->k->c, N_STOP, v.node);
    return v;
}

static Value power(const Env *e, const Ast *a)
{
    if (!positional(e, a, 2, 2)) return value_none();
    Value x = real_arg(e, a, 0), y = real_arg(e, a, 1);
    return x.node && y.node ? merge(e->k, x, y, bin(e->k->c, N_POW, x.node, y.node)) : value_none();
}

static Value popcount(const Env *e, const Ast *a)
{
    if (!positional(e, a, 1, 1)) return value_none();
    Value v = int_arg(e, a, 0);
    if (v.node) v.node = un(e->k->c, N_POPCOUNT, v.node);
    return v;
}

static Value uniform(const Env *e, const Ast *a)
{
    if (!positional(e, a, 2, 5)) return value_none();
    Compilation *c = e->k->c;
    Value all = {.free = set_empty(c)};
    Node *args[5];
    bool failed = false;
    for (unsigned k = 0; k < 5; k++) {
        Value v = k < a->n ? int_arg(e, a, k) : value_make(e->k, node_int(c, 0));
        failed |= !v.node;
        args[k] = v.node;
        if (v.node) all = merge(e->k, all, v, NULL);
    }
    if (failed) return value_none();
    all.node = node_rand(c, args);
    return all;
}

static Value padded(const Env *e, const Ast *a)
{
    if (!positional(e, a, 2, 2)) return value_none();
    Env inner = *e;
    inner.pad = true;
    Value x = arg(&inner, a, 0), y = arg(e, a, 1);
    if (!value_unify(e, &x, &y, a->span, "the arguments of `pad`")) return value_none();
    Node *inside = x.inside;
    Value v = {.kept = x.kept, .free = set_union(e->k->c, x.free, y.free), .inside = y.inside};
    v.node =
        inside ? node_if(e->k->c, inside, value_node(e->k, x), value_node(e->k, y)) : value_node(e->k, x);
    if (v.kept && inside) v.kept = node_binary(e->k->c, N_OR, node_unary(e->k->c, N_NOT, inside), v.kept);
    return v;
}

/* size(i), first(i), last(i). */
static Value of_index(const Env *e, const Ast *a)
{
    if (!positional(e, a, 1, 1)) return value_none();
    const Ast *name = a->operands[0];
    if (name->kind != AST_NAME)
        return fail(e, NULL, E103, name->span, "`%s` takes the name of an index", a->name);
    Index *index = find_index(e, name->name, name->span);
    if (!index) return value_none();
    Compilation *c = e->k->c;
    resolve_index(e->k, index);
    Node *size = node_size(c, index), *origin = origin_of(e, index);
    if (!strcmp(a->name, "size")) return value_make(e->k, size);
    Node *first = origin ? origin : node_int(c, 0);
    if (!strcmp(a->name, "first")) return value_make(e->k, first);
    return value_make(e->k, bin(c, N_SUB, bin(c, N_ADD, first, size), node_int(c, 1)));
}

/* count(mask) in `cost`: true elements, averaged over the ambient indices. */
static Value counted(const Env *e, const Ast *a)
{
    if (!positional(e, a, 1, 1)) return value_none();
    const Ast *name = a->operands[0];
    Entity *t = name->kind == AST_NAME ? find_entity(e->scope, name->name) : NULL;
    if (!e->cost || !t || t->type != TYPE_BOOL)
        return fail(e, NULL, E119, a->span,
                    "`count` stands in `cost` and takes the name of a bool tensor or equation");
    Env inner = *e;
    inner.cost = false;
    Value v = read_bare(&inner, t, name->span);
    if (!v.node) return v;
    Compilation *c = e->k->c;
    Node *n = un(c, N_TO_REAL, v.node), *ambient = num(c, 1);
    if (t->n_dims)
        n = node_binder(c, N_REDUCE, REDUCE_SUM, t->n_dims, t->dims, NULL, NULL, node_bool(c, true), n, NULL);
    for (unsigned k = 0; k < t->n_dims; k++)
        if (t->dims[k]->ambient) ambient = bin(c, N_MUL, ambient, to_real(c, node_size(c, t->dims[k])));
    return value_make(e->k, bin(c, N_DIV, n, ambient));
}

static Value other(const Env *e, const Ast *a)
{
    const char *name = a->name;
    if (!strcmp(name, "min") || !strcmp(name, "max")) return extreme(e, a, find(name)->op);
    if (!strcmp(name, "clamp")) return clamp(e, a);
    if (!strcmp(name, "int")) return to_int(e, a);
    if (!strcmp(name, "float")) return to_float(e, a);
    if (!strcmp(name, "relu")) return relu(e, a);
    if (!strcmp(name, "stop")) return stop(e, a);
    if (!strcmp(name, "pow")) return power(e, a);
    if (!strcmp(name, "popcount")) return popcount(e, a);
    if (!strcmp(name, "rand")) return uniform(e, a);
    if (!strcmp(name, "pad")) return padded(e, a);
    return !strcmp(name, "count") ? counted(e, a) : of_index(e, a);
}

Value builtin_call(const Env *e, const Ast *a)
{
    const Builtin *b = find(a->name);
    if (b->kind == OTHER) return other(e, a);
    if (!positional(e, a, 1, 1)) return value_none();
    if (b->kind == SAME_OP) {
        Value v = number_arg(e, a, 0);
        if (v.node) v.node = un(e->k->c, b->op, v.node);
        return v;
    }
    Value v = b->kind == ROUNDING ? number_arg(e, a, 0) : real_arg(e, a, 0);
    if (!v.node || v.node->type == TYPE_INT) return v;
    v.node = b->kind == REAL_MADE ? composed(e->k->c, a->name, v.node) : un(e->k->c, b->op, v.node);
    return v;
}
