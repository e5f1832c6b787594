/* Values: types, conversions, operators, and what absorbs (`kept`): a weight that a normaliser left out is 0,
 * and what it multiplies is not evaluated. */
#include "check.h"

#include <string.h>

Value value_none(void) { return (Value){0}; }

Value value_make(Checker *k, Node *n)
{
    return (Value){.node = n, .free = n->free ? n->free : set_empty(k->c)};
}

static Diag *report_v(Compilation *c, DiagCode code, Span span, const char *fmt, va_list args)
{
    return diag_told(c, code, span) ? &c->left_out : diag_v(c, code, span, fmt, args);
}

Diag *report(Compilation *c, DiagCode code, Span span, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    Diag *d = report_v(c, code, span, fmt, args);
    va_end(args);
    return d;
}

Value fail(const Env *e, Diag **d, DiagCode code, Span span, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    Diag *made = report_v(e->k->c, code, span, fmt, args);
    va_end(args);
    if (d) *d = made;
    return value_none();
}

bool exact_begin(Compilation *c)
{
    bool before = c->wrapped;
    c->wrapped = false;
    return before;
}

bool exact_end(Compilation *c, bool begun)
{
    bool wrapped = c->wrapped;
    c->wrapped = begun;
    return !wrapped;
}

const char *type_name(Type t) { return t == TYPE_REAL ? "float" : t == TYPE_INT ? "int" : "bool"; }
Type storage_type(StorageType t)
{
    return t == STORAGE_INT ? TYPE_INT : t == STORAGE_BOOL ? TYPE_BOOL : TYPE_REAL;
}

Node *zero_of(Compilation *c, Type type)
{
    return type == TYPE_REAL ? node_real(c, 0) : type == TYPE_INT ? node_int(c, 0) : node_bool(c, false);
}

Node *value_node(Checker *k, Value v)
{
    return v.guard && v.kept ? node_if(k->c, v.kept, v.node, zero_of(k->c, v.node->type)) : v.node;
}

Node *to_real(Compilation *c, Node *n) { return n->type == TYPE_REAL ? n : node_unary(c, N_TO_REAL, n); }

Node *both(Checker *k, Node *a, Node *b) { return !a ? b : !b ? a : node_binary(k->c, N_AND, a, b); }

Value value_convert(const Env *e, Value v, Type type, Span span, const char *what)
{
    if (!v.node || v.node->type == type) return v;
    if (v.node->type == TYPE_INT && type == TYPE_REAL) {
        v.node = to_real(e->k->c, v.node);
        return v;
    }
    Diag *d;
    Value none =
        fail(e, &d, E104, span, "%s is %s, and %s is needed", what, type_name(v.node->type), type_name(type));
    if (v.node->type == TYPE_REAL && type == TYPE_INT)
        diag_hint(e->k->c, d, "`int(x)` truncates, `int(floor(x))` and `int(round(x))` round");
    else if (v.node->type == TYPE_BOOL)
        diag_hint(e->k->c, d, "`%s(c)` turns a bool into 0 or 1", type_name(type));
    else diag_hint(e->k->c, d, "write the condition out: `x != 0`, `x > 0`");
    return none;
}

bool value_unify(const Env *e, Value *x, Value *y, Span span, const char *what)
{
    if (!x->node || !y->node) return false;
    Type a = x->node->type, b = y->node->type;
    if (a == b) return true;
    if (a != TYPE_BOOL && b != TYPE_BOOL) {
        *x = value_convert(e, *x, TYPE_REAL, span, what);
        *y = value_convert(e, *y, TYPE_REAL, span, what);
        return true;
    }
    Diag *d;
    fail(e, &d, E104, span, "%s are %s and %s", what, type_name(a), type_name(b));
    diag_hint(e->k->c, d, "`int(c)` or `float(c)` turns a bool into 0 or 1");
    return false;
}

static bool numbers(const Env *e, const Ast *a, Value *x, Value *y)
{
    const char *what = format(e->k->c, "the operands of `%s`", (const char *[]){
#define AST_OP(name, text) text,
#include "ast_op_list.h"
#undef AST_OP
    }[a->op]);
    if (!value_unify(e, x, y, a->name_span, what)) return false;
    if (x->node->type != TYPE_BOOL) return true;
    Diag *d;
    fail(e, &d, E104, a->name_span, "%s are bools", what);
    diag_hint(e->k->c, d,
              "combine conditions by `and`, `or`, `not`; `int(c)` or `float(c)` turns one into 0 or 1");
    return false;
}

static Value combine(Checker *k, Value x, Value y, Node *node)
{
    return (Value){
        .node = node, .free = set_union(k->c, x.free, y.free), .inside = both(k, x.inside, y.inside)};
}

static Value sum_of(Checker *k, Op op, Value x, Value y)
{
    Value v = combine(k, x, y, node_binary(k->c, op, value_node(k, x), value_node(k, y)));
    if (x.kept && y.kept) v.kept = node_binary(k->c, N_OR, x.kept, y.kept);
    return v;
}

static Value product_of(Checker *k, Value x, Value y)
{
    Value v = combine(k, x, y, node_binary(k->c, N_MUL, x.node, y.node));
    v.kept = both(k, x.kept, y.kept);
    v.guard = v.kept != NULL;
    return v;
}

static Value quotient_of(const Env *e, Value x, Value y)
{
    Checker *k = e->k;
    Node *divisor = to_real(k->c, value_node(k, y));
    Value v = combine(k, x, y, node_binary(k->c, N_DIV, to_real(k->c, x.node), divisor));
    v.kept = x.kept;
    v.guard = v.kept != NULL;
    return v;
}

static Node *int_power(Compilation *c, Node *base, int64_t exponent)
{
    Node *result = node_int(c, 1);
    for (uint64_t n = (uint64_t)exponent; n; n >>= 1) {
        if (n & 1) result = node_binary(c, N_MUL, result, base);
        if (n > 1) base = node_binary(c, N_MUL, base, base);
    }
    return result;
}

static bool positive_literal(const Node *n)
{
    return (n->op == N_INT && n->integer > 0) || (n->op == N_REAL && n->real > 0);
}

static Value power_of(const Env *e, const Ast *a, Value x, Value y)
{
    Compilation *c = e->k->c;
    const Ast *exponent = a->operands[1];
    bool literal = exponent->kind == AST_INTEGER;
    Value v = combine(e->k, x, y, NULL);
    if (literal && x.node->type == TYPE_INT) v.node = int_power(c, x.node, exponent->integer);
    else if (literal && exponent->integer == 2) v.node = node_binary(c, N_MUL, x.node, x.node);
    else v.node = node_binary(c, N_POW, to_real(c, x.node), to_real(c, value_node(e->k, y)));
    bool passes = (literal || exponent->kind == AST_REAL) && positive_literal(y.node);
    if (passes) {
        v.kept = x.kept;
        v.guard = x.guard;
    } else if (x.guard && x.kept) {
        Node *base = value_node(e->k, x);
        v.node = literal && base->type == TYPE_INT
                     ? int_power(c, base, exponent->integer)
                     : node_binary(c, N_POW, to_real(c, base), to_real(c, value_node(e->k, y)));
    }
    return v;
}

static Op int_op(AstOp op)
{
    switch (op) {
    case OP_FLOORDIV: return N_FLOORDIV;
    case OP_MOD: return N_MOD;
    case OP_BITAND: return N_BITAND;
    case OP_BITOR: return N_BITOR;
    case OP_BITXOR: return N_BITXOR;
    case OP_SHL: return N_SHL;
    case OP_SHR: return N_SHR;
    default: return N_OPS;
    }
}

static Value int_operator(const Env *e, const Ast *a, AstOp op, Value x, Value y)
{
    Op core = int_op(op);
    if (x.node->type == TYPE_INT && y.node->type == TYPE_INT)
        return combine(e->k, x, y, node_binary(e->k->c, core, value_node(e->k, x), value_node(e->k, y)));
    Diag *d;
    Value none = fail(e, &d, E104, a->name_span, "`%s` is for ints, and its operands are %s and %s",
                      op == OP_FLOORDIV ? "//"
                      : op == OP_MOD    ? "%"
                      : op == OP_SHL    ? "<<"
                      : op == OP_SHR    ? ">>"
                      : op == OP_BITAND ? "&"
                      : op == OP_BITOR  ? "|"
                                        : "^",
                      type_name(x.node->type), type_name(y.node->type));
    if (op == OP_FLOORDIV) diag_hint(e->k->c, d, "`floor(x / y)` is for floats; `int(x)` makes an int");
    else if (x.node->type == TYPE_BOOL) diag_hint(e->k->c, d, "combine conditions by `and`, `or`, `not`");
    else diag_hint(e->k->c, d, "`int(x)` makes an int");
    return none;
}

static Value comparison(const Env *e, const Ast *a, AstOp op, Value x, Value y)
{
    Checker *k = e->k;
    if (!value_unify(e, &x, &y, a->span, "the two sides of a comparison")) return value_none();
    Node *l = value_node(k, x), *r = value_node(k, y);
    if (l->type == TYPE_BOOL && op != OP_EQ && op != OP_NE) {
        Diag *d;
        Value none = fail(e, &d, E104, a->span, "bools are compared by `==` and `!=` alone");
        diag_hint(k->c, d, "`int(c)` turns a bool into 0 or 1");
        return none;
    }
    switch (op) {
    case OP_EQ: return combine(k, x, y, node_binary(k->c, N_EQ, l, r));
    case OP_NE: return combine(k, x, y, node_binary(k->c, N_NE, l, r));
    case OP_LT: return combine(k, x, y, node_binary(k->c, N_LT, l, r));
    case OP_LE: return combine(k, x, y, node_binary(k->c, N_LE, l, r));
    case OP_GT: return combine(k, x, y, node_binary(k->c, N_LT, r, l));
    default: return combine(k, x, y, node_binary(k->c, N_LE, r, l));
    }
}

Value value_operator(const Env *e, const Ast *a, AstOp op, Value x, Value y)
{
    if (!x.node || !y.node) return value_none();
    switch (op) {
    case OP_ADD: case OP_SUB: case OP_MUL: case OP_DIV: case OP_POW:
        if (!numbers(e, a, &x, &y)) return value_none();
        break;
    case OP_EQ: case OP_NE: case OP_LT: case OP_LE: case OP_GT: case OP_GE: return comparison(e, a, op, x, y);
    default: return int_operator(e, a, op, x, y);
    }
    if (op == OP_ADD || op == OP_SUB) return sum_of(e->k, op == OP_ADD ? N_ADD : N_SUB, x, y);
    if (op == OP_MUL) return product_of(e->k, x, y);
    return op == OP_DIV ? quotient_of(e, x, y) : power_of(e, a, x, y);
}
