/* Makers of operations: constants fold, and identities that change no value, NaN or sign.
 *
 * Int arithmetic is modulo 2^64, so sums are kept in a normal form: terms (products with a literal) in order
 * of creation, positive ones first, the constant last. `i + 1 - 1` is `i`, and equal affine forms are equal
 * nodes. */
#include "node_private.h"

#include <math.h>
#include <string.h>

/* Modulo 2^64; that it was is noted: bounds and extents must not. */
static int64_t wrap_add(Compilation *c, int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) c->wrapped = true;
    return sum;
}
static int64_t wrap_mul(Compilation *c, int64_t a, int64_t b)
{
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product)) c->wrapped = true;
    return product;
}
static int64_t wrap_neg(Compilation *c, int64_t a)
{
    if (a == INT64_MIN) c->wrapped = true;
    return (int64_t)(0 - (uint64_t)a);
}
static int64_t wrap_shift(Compilation *c, int64_t a, int64_t b)
{
    int64_t shifted = (int64_t)((uint64_t)a << (b & 63));
    if (b < 0 || b > 63 || shifted >> (b & 63) != a) c->wrapped = true;
    return shifted;
}
static int64_t floor_div(Compilation *c, int64_t a, int64_t b)
{
    if (b == 0) return 0;
    if (b == -1) return wrap_neg(c, a);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
static int64_t floor_mod(int64_t a, int64_t b)
{
    if (b == 0) return a;
    if (b == -1) return 0;
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static bool constant(const Node *n) { return n->op == N_INT || n->op == N_REAL || n->op == N_BOOL; }
static Node *raw(Compilation *c, Op op, Type type, Node *a, Node *b)
{
    Node *args[] = {a, b};
    return node_make(c, &(Node){.op = op, .type = type, .args = args, .n_args = b ? 2 : 1});
}

/* ---- sums of ints ---- */

typedef struct Term { Node *node; int64_t factor; } Term;
typedef struct Sum { VEC(Term) terms; int64_t constant; } Sum;

static void sum_term(Compilation *c, Sum *s, Node *n, int64_t factor)
{
    for (uint32_t k = 0; k < s->terms.n; k++)
        if (s->terms.at[k].node == n) {
            s->terms.at[k].factor = wrap_add(c, s->terms.at[k].factor, factor);
            return;
        }
    PUSH(c, &s->terms, (Term){n, factor});
}

static void sum_add(Compilation *c, Sum *s, Node *n, int64_t factor)
{
    switch (n->op) {
    case N_INT: s->constant = wrap_add(c, s->constant, wrap_mul(c, n->integer, factor)); return;
    case N_ADD: sum_add(c, s, n->args[0], factor); sum_add(c, s, n->args[1], factor); return;
    case N_SUB: sum_add(c, s, n->args[0], factor); sum_add(c, s, n->args[1], wrap_neg(c, factor)); return;
    case N_NEG: sum_add(c, s, n->args[0], wrap_neg(c, factor)); return;
    case N_MUL:
        if (n->args[1]->op == N_INT) {
            sum_add(c, s, n->args[0], wrap_mul(c, factor, n->args[1]->integer));
            return;
        }
        break;
    default: break;
    }
    sum_term(c, s, n, factor);
}

static void sum_sort(Sum *s)
{
    for (uint32_t k = 1; k < s->terms.n; k++)
        for (uint32_t m = k; m && s->terms.at[m - 1].node->id > s->terms.at[m].node->id; m--) {
            Term t = s->terms.at[m];
            s->terms.at[m] = s->terms.at[m - 1];
            s->terms.at[m - 1] = t;
        }
}

static Node *sum_product(Compilation *c, Node *n, int64_t factor)
{
    return factor == 1 ? n : raw(c, N_MUL, TYPE_INT, n, node_int(c, factor));
}

static Node *sum_build(Compilation *c, Sum *s)
{
    Node *n = NULL;
    sum_sort(s);
    for (uint32_t k = 0; k < s->terms.n; k++) {
        Term t = s->terms.at[k];
        if (t.factor > 0) {
            Node *p = sum_product(c, t.node, t.factor);
            n = n ? raw(c, N_ADD, TYPE_INT, n, p) : p;
        }
    }
    bool led = n || s->constant == 0;
    if (!led) n = node_int(c, s->constant);
    for (uint32_t k = 0; k < s->terms.n; k++) {
        Term t = s->terms.at[k];
        if (t.factor >= 0) continue;
        Node *p = sum_product(c, t.node, wrap_neg(c, t.factor));
        n = n ? raw(c, N_SUB, TYPE_INT, n, p) : raw(c, N_NEG, TYPE_INT, p, NULL);
    }
    if (!n) return node_int(c, 0);
    if (!led || s->constant == 0) return n;
    if (s->constant < 0 && s->constant != INT64_MIN)
        return raw(c, N_SUB, TYPE_INT, n, node_int(c, -s->constant));
    return raw(c, N_ADD, TYPE_INT, n, node_int(c, s->constant));
}

static Node *affine(Compilation *c, Node *a, int64_t fa, Node *b, int64_t fb)
{
    Sum s = {0};
    sum_add(c, &s, a, fa);
    if (b) sum_add(c, &s, b, fb);
    return sum_build(c, &s);
}

/* ---- unary ---- */

static int64_t truncate_real(double x)
{
    if (isnan(x)) return 0;
    if (x >= 0x1p63) return INT64_MAX;
    return x <= -0x1p63 ? INT64_MIN : (int64_t)x;
}

static Node *fold_int(Compilation *c, Op op, int64_t x)
{
    switch (op) {
    case N_TO_REAL: return node_real(c, (double)x);
    case N_NEG: return node_int(c, wrap_neg(c, x));
    case N_ABS: return node_int(c, x < 0 ? wrap_neg(c, x) : x);
    case N_SIGN: return node_int(c, (x > 0) - (x < 0));
    case N_POPCOUNT: return node_int(c, __builtin_popcountll((unsigned long long)x));
    default: return NULL;
    }
}

static Node *fold_real(Compilation *c, Op op, double x)
{
    switch (op) {
    case N_TO_INT: return node_int(c, truncate_real(x));
    case N_NEG: return node_real(c, -x);
    case N_ABS: return node_real(c, fabs(x));
    case N_SIGN: return node_real(c, isnan(x) ? x : (double)((x > 0) - (x < 0)));
    case N_FLOOR: return node_real(c, floor(x));
    case N_CEIL: return node_real(c, ceil(x));
    case N_ROUND: return node_real(c, nearbyint(x));
    case N_SQRT: return node_real(c, sqrt(x));
    case N_EXP: return node_real(c, exp(x));
    case N_EXP2: return node_real(c, exp2(x));
    case N_LOG: return node_real(c, log(x));
    case N_LOG2: return node_real(c, log2(x));
    default: return NULL;
    }
}

static Node *fold_not(Compilation *c, Node *a)
{
    if (a->op == N_NOT) return a->args[0];
    if (a->op == N_EQ) return node_binary(c, N_NE, a->args[0], a->args[1]);
    if (a->op == N_NE) return node_binary(c, N_EQ, a->args[0], a->args[1]);
    bool ints = (a->op == N_LT || a->op == N_LE) && a->args[0]->type == TYPE_INT; /* reals may be NaN */
    if (ints) return node_binary(c, a->op == N_LT ? N_LE : N_LT, a->args[1], a->args[0]);
    return raw(c, N_NOT, TYPE_BOOL, a, NULL);
}

static Node *fold_unary(Compilation *c, Op op, Node *a)
{
    if (a->op == N_BOOL && op == N_NOT) return node_bool(c, !a->integer);
    if (a->op == N_BOOL && op == N_TO_INT) return node_int(c, a->integer);
    if (a->op == N_BOOL && op == N_TO_REAL) return node_real(c, (double)a->integer);
    if (a->op == N_INT) return fold_int(c, op, a->integer);
    if (a->op == N_REAL) return fold_real(c, op, a->real);
    return NULL;
}

static void assert_unary(Compilation *c, Op op, const Node *a)
{
    bool ok;
    switch (op) {
    case N_TO_REAL: ok = a->type != TYPE_REAL; break;
    case N_TO_INT: ok = a->type != TYPE_INT; break;
    case N_NOT: ok = a->type == TYPE_BOOL; break;
    case N_NEG: case N_ABS: case N_SIGN: ok = a->type != TYPE_BOOL; break;
    case N_POPCOUNT: ok = a->type == TYPE_INT; break;
    case N_STOP: ok = true; break;
    default: ok = a->type == TYPE_REAL; break;
    }
    if (!ok) BUG(c, "operand of %s has the wrong type", op_name(op));
}

Node *node_unary(Compilation *c, Op op, Node *a)
{
    assert_unary(c, op, a);
    Node *folded = constant(a) ? fold_unary(c, op, a) : NULL;
    if (folded) return folded;
    if (op == N_NOT) return fold_not(c, a);
    if (op == N_NEG && a->type == TYPE_INT) return affine(c, a, -1, NULL, 0);
    if (op == N_NEG && a->op == N_NEG) return a->args[0];
    if (op == N_STOP && (a->op == N_STOP || constant(a) || a->type != TYPE_REAL)) return a;
    Type type = op == N_TO_REAL ? TYPE_REAL : op == N_TO_INT || op == N_POPCOUNT ? TYPE_INT : a->type;
    return raw(c, op, type, a, NULL);
}

/* ---- binary ---- */

static Node *fold_ints(Compilation *c, Op op, int64_t a, int64_t b)
{
    switch (op) {
    case N_MUL: return node_int(c, wrap_mul(c, a, b));
    case N_FLOORDIV: return node_int(c, floor_div(c, a, b));
    case N_MOD: return node_int(c, floor_mod(a, b));
    case N_BITAND: return node_int(c, a & b);
    case N_BITOR: return node_int(c, a | b);
    case N_BITXOR: return node_int(c, a ^ b);
    case N_SHL: return node_int(c, wrap_shift(c, a, b));
    case N_SHR: return node_int(c, a >> (b & 63));
    case N_MIN: return node_int(c, a < b ? a : b);
    case N_MAX: return node_int(c, a > b ? a : b);
    case N_EQ: return node_bool(c, a == b);
    case N_NE: return node_bool(c, a != b);
    case N_LT: return node_bool(c, a < b);
    case N_LE: return node_bool(c, a <= b);
    default: return NULL;
    }
}

static Node *fold_reals(Compilation *c, Op op, double a, double b)
{
    switch (op) {
    case N_ADD: return node_real(c, a + b);
    case N_SUB: return node_real(c, a - b);
    case N_MUL: return node_real(c, a * b);
    case N_DIV: return node_real(c, a / b);
    case N_POW: return node_real(c, pow(a, b));
    case N_MIN: return node_real(c, isnan(a) || isnan(b) ? NAN : a < b ? a : b);
    case N_MAX: return node_real(c, isnan(a) || isnan(b) ? NAN : a > b ? a : b);
    case N_EQ: return node_bool(c, a == b);
    case N_NE: return node_bool(c, a != b);
    case N_LT: return node_bool(c, a < b);
    case N_LE: return node_bool(c, a <= b);
    default: return NULL;
    }
}

static bool is_real(const Node *n, double value) { return n->op == N_REAL && n->real == value; }

/* Identities of reals: exact for every value. NULL: none applies. */
static Node *real_identity(Op op, Node *a, Node *b)
{
    if (op == N_MUL && is_real(b, 1)) return a;
    if (op == N_MUL && is_real(a, 1)) return b;
    if (op == N_DIV && is_real(b, 1)) return a;
    if (op == N_SUB && is_real(b, 0) && !signbit(b->real)) return a;
    if (op == N_ADD && is_real(b, 0) && signbit(b->real)) return a;
    if (op == N_ADD && is_real(a, 0) && signbit(a->real)) return b;
    if (op == N_POW && is_real(b, 1)) return a;
    return (op == N_MIN || op == N_MAX) && a == b ? a : NULL;
}

static Node *int_operation(Compilation *c, Op op, Node *a, Node *b)
{
    switch (op) {
    case N_ADD: return affine(c, a, 1, b, 1);
    case N_SUB: return affine(c, a, 1, b, -1);
    case N_MUL:
        if (a->op == N_INT) return affine(c, b, a->integer, NULL, 0);
        if (b->op == N_INT) return affine(c, a, b->integer, NULL, 0);
        return NULL;
    case N_FLOORDIV: return node_is_int(b, 1) ? a : NULL;
    case N_MOD: return node_is_int(b, 1) || node_is_int(b, -1) ? node_int(c, 0) : NULL;
    case N_MIN: case N_MAX: return a == b ? a : NULL;
    case N_BITAND: case N_BITOR: return a == b ? a : NULL;
    case N_SHL: case N_SHR: return node_is_int(b, 0) ? a : NULL;
    case N_EQ: case N_LE: return a == b ? node_bool(c, true) : NULL;
    case N_NE: case N_LT: return a == b ? node_bool(c, false) : NULL;
    default: return NULL;
    }
}

static bool commutes(Op op, Type type)
{
    if (op == N_EQ || op == N_NE) return true;
    return type == TYPE_INT &&
           (op == N_MUL || op == N_MIN || op == N_MAX || op == N_BITAND || op == N_BITOR || op == N_BITXOR);
}

static Node *fold_logic(Compilation *c, Op op, Node *a, Node *b)
{
    bool stop = op == N_OR; /* the value that decides */
    if (node_is_bool(a, stop)) return a;
    if (node_is_bool(a, !stop)) return b;
    if (node_is_bool(b, !stop) || a == b) return a;
    if (b->op == op && b->args[0] == a) return b;
    if (a->op == op && a->args[1] == b) return a;
    return raw(c, op, TYPE_BOOL, a, b);
}

static Node *fold_bools(Compilation *c, Op op, Node *a, Node *b)
{
    if (a == b) return node_bool(c, op == N_EQ);
    if (b->op != N_BOOL) return a->op == N_BOOL ? fold_bools(c, op, b, a) : NULL;
    return (op == N_EQ) == (b->integer != 0) ? a : node_unary(c, N_NOT, a);
}

static void assert_binary(Compilation *c, Op op, const Node *a, const Node *b)
{
    Type t = a->type;
    bool ok = t == b->type;
    switch (op) {
    case N_ADD:
    case N_SUB:
    case N_MUL:
    case N_MIN:
    case N_MAX:
    case N_LT:
    case N_LE: ok &= t != TYPE_BOOL; break;
    case N_DIV: case N_POW: ok &= t == TYPE_REAL; break;
    case N_EQ: case N_NE: break;
    case N_AND: case N_OR: ok &= t == TYPE_BOOL; break;
    default: ok &= t == TYPE_INT; break;
    }
    if (!ok) BUG(c, "operands of %s have the wrong types", op_name(op));
}

static bool is_test(Op op) { return op == N_EQ || op == N_NE || op == N_LT || op == N_LE; }

Node *node_binary(Compilation *c, Op op, Node *a, Node *b)
{
    assert_binary(c, op, a, b);
    if (op == N_AND || op == N_OR) return fold_logic(c, op, a, b);
    Node *folded = NULL;
    if (a->type == TYPE_BOOL) folded = fold_bools(c, op, a, b);
    else if (a->op == N_INT && b->op == N_INT && op != N_ADD && op != N_SUB)
        folded = fold_ints(c, op, a->integer, b->integer);
    else if (a->op == N_REAL && b->op == N_REAL) folded = fold_reals(c, op, a->real, b->real);
    else if (a->type == TYPE_INT) folded = int_operation(c, op, a, b);
    else folded = real_identity(op, a, b);
    if (folded) return folded;
    if (commutes(op, a->type) && a->id > b->id) return raw(c, op, is_test(op) ? TYPE_BOOL : a->type, b, a);
    return raw(c, op, is_test(op) ? TYPE_BOOL : a->type, a, b);
}

Node *node_if(Compilation *c, Node *condition, Node *then, Node *otherwise)
{
    if (condition->type != TYPE_BOOL || then->type != otherwise->type)
        BUG(c, "operands of if have the wrong types");
    if (condition->op == N_BOOL) return condition->integer ? then : otherwise;
    if (then == otherwise) return then;
    if (condition->op == N_NOT) return node_if(c, condition->args[0], otherwise, then);
    if (then->op == N_IF && then->args[0] == condition)
        return node_if(c, condition, then->args[1], otherwise);
    if (otherwise->op == N_IF && otherwise->args[0] == condition)
        return node_if(c, condition, then, otherwise->args[2]);
    if (then->type == TYPE_BOOL) {
        if (node_is_bool(then, true)) return node_binary(c, N_OR, condition, otherwise);
        if (node_is_bool(otherwise, false)) return node_binary(c, N_AND, condition, then);
    }
    Node *args[] = {condition, then, otherwise};
    return node_make(c, &(Node){.op = N_IF, .type = then->type, .args = args, .n_args = 3});
}
