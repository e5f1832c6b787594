/* Expressions of Loops -> expressions of C.
 *
 * Requires: variables for all indices, locals and extents that are mentioned; what print_share.c has given a
 * variable is printed as that. Ensures: the meaning of lang/node_list.h: C's ?:, && and || are as lazy as IF,
 * AND and OR; int arithmetic that may leave 62 bits goes through functions that wrap; a real is converted
 * where two types meet, never promoted silently. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cuda/print.h"

enum { EXACT_KNOWN = 1, EXACT_YES = 2 };

unsigned print_sure(const Node *n)
{
    return n->op == N_IF || n->op == N_AND || n->op == N_OR ? 1 : n->n_args;
}

static const PrintBuffer *buffer_of(const Printer *p, const Tensor *t)
{
    return &p->buffers[p->buffer_of[t->id] - 1];
}

/* ---- types ---- */

static bool find_exact(Printer *p, const Node *n)
{
    switch (n->op) {
    case N_REAL:
    case N_PARAM: return true;
    case N_LOCAL: return n->local->exact;
    case N_READ: return buffer_of(p, n->tensor)->buffer->exact;
    default: break;
    }
    if (n->data) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (n->args[k]->type == TYPE_REAL && !print_exact(p, n->args[k])) return false;
    return true;
}

bool print_exact(Printer *p, const Node *n)
{
    uint8_t *fact = &p->facts[n->id];
    if (!(*fact & EXACT_KNOWN)) *fact = (uint8_t)(EXACT_KNOWN | (find_exact(p, n) ? EXACT_YES : 0));
    return *fact & EXACT_YES;
}

static const char *real_type(Printer *p, const Node *n) { return print_exact(p, n) ? "double" : p->real; }

const char *print_type(Printer *p, const Node *n)
{
    return n->type == TYPE_BOOL ? "bool" : n->type == TYPE_INT ? "int64" : real_type(p, n);
}

static bool is_double(const char *type) { return type[0] == 'd'; }

enum { ANY_BITS = 63, SIZE_BITS = 31, PLACE_BITS = 40 };
static unsigned bits_of(Printer *p, const Node *n);

/* ---- pieces ---- */

static void open(Printer *p, Strength own, Strength around)
{
    if (own < around) text_add(p->out, "(");
}

static void shut(Printer *p, Strength own, Strength around)
{
    if (own < around) text_add(p->out, ")");
}

static void print_int(Printer *p, int64_t x, Strength around)
{
    const char *suffix = x > INT32_MAX || x < -INT32_MAX ? "LL" : "";
    if (x == INT64_MIN)
        text_add(p->out, "(-0x7fffffffffffffff - 1)");
    else if (x < 0 && around >= BIND_UNARY)
        text_add(p->out, "(%lld%s)", (long long)x, suffix);
    else
        text_add(p->out, "%lld%s", (long long)x, suffix);
}

/* The shortest decimal number that reads back as x. */
static const char *shortest(Printer *p, double x, bool wide)
{
    for (int digits = 1; digits < 17; digits++) {
        char *text = format(p->c, "%.*g", digits, x);
        if (wide ? strtod(text, NULL) == x : strtof(text, NULL) == (float)x) return text;
    }
    return format(p->c, "%.17g", x);
}

static void print_real_literal(Printer *p, double x, const char *type, Strength around)
{
    bool wide = is_double(type), negative = signbit(x) && !isnan(x);
    if (!wide && isfinite(x)) x = (double)(float)x;
    if (negative) open(p, BIND_UNARY, around);
    if (negative) text_add(p->out, "-");
    x = fabs(x);
    if (isnan(x))
        text_add(p->out, wide ? "(double)quiet_nan" : "quiet_nan");
    else if (isinf(x))
        text_add(p->out, wide ? "(double)infinity" : "infinity");
    else {
        const char *text = shortest(p, x, wide);
        text_add(p->out, "%s%s%s", text, strpbrk(text, ".e") ? "" : ".0", wide ? "" : "f");
    }
    if (negative) shut(p, BIND_UNARY, around);
}

void print_as(Printer *p, const Node *n, const char *type, Strength around)
{
    if (n->op == N_REAL && !p->memo[n->id]) {
        print_real_literal(p, n->real, type, around);
        return;
    }
    if (n->type != TYPE_REAL || !strcmp(print_type(p, n), type)) {
        print_node(p, n, around);
        return;
    }
    bool once =
        n->op == N_TO_REAL && !p->memo[n->id] && n->args[0]->type == TYPE_INT && bits_of(p, n->args[0]) < 53;
    open(p, BIND_UNARY, around);
    text_add(p->out, "(%s)", type);
    print_node(p, once ? n->args[0] : n, BIND_UNARY); /* an int that a double holds exactly */
    shut(p, BIND_UNARY, around);
}

static void print_call(Printer *p, const char *function, const Node *n, const char *type)
{
    text_add(p->out, "%s(", function);
    for (unsigned k = 0; k < n->n_args; k++) {
        if (k) text_add(p->out, ", ");
        print_as(p, n->args[k], type ? type : print_type(p, n->args[k]), BIND_ANY);
    }
    text_add(p->out, ")");
}

static void print_infix(Printer *p, const Node *n, const char *operator, Strength own, const char *type,
                        Strength around)
{
    open(p, own, around);
    print_as(p, n->args[0], type ? type : print_type(p, n->args[0]), own);
    text_add(p->out, " %s ", operator);
    print_as(p, n->args[1], type ? type : print_type(p, n->args[1]), (Strength)(own + 1));
    shut(p, own, around);
}

static void print_prefix(Printer *p, const Node *n, const char *operator, const char * type, Strength around)
{
    open(p, BIND_UNARY, around);
    text_add(p->out, "%s", operator);
    print_as(p, n->args[0], type ? type : print_type(p, n->args[0]), BIND_UNARY);
    shut(p, BIND_UNARY, around);
}

/* ---- reads ---- */

/* The coordinate of a dimension of heads is that of the group. */
static void print_head_coordinate(Printer *p, const PrintBuffer *b, const Node *at)
{
    if (at->op == N_INDEX && b->head && at->index == b->head_of) {
        text_add(p->out, "%s", b->head);
        return;
    }
    print_node(p, at, BIND_MULTIPLY);
    text_add(p->out, " / io.%s", b->group);
}

void print_access(Printer *p, const Tensor *t, Node *const *at)
{
    if (!print_scan_register(p, t, at)) print_in_memory(p, t, at);
}

void print_in_memory(Printer *p, const Tensor *t, Node *const *at)
{
    PrintBuffer *b = &p->buffers[p->buffer_of[t->id] - 1];
    b->used = true;
    text_add(p->out, "io.%s(", b->access);
    for (unsigned d = 0; d < t->n_dims; d++) {
        if (d) text_add(p->out, ", ");
        if (b->heads == (int)d)
            print_head_coordinate(p, b, at[d]);
        else
            print_node(p, at[d], BIND_ANY);
    }
    text_add(p->out, ")");
}

void print_address(Printer *p, const Tensor *t, Node *const *at)
{
    PrintBuffer *b = &p->buffers[p->buffer_of[t->id] - 1];
    if (!b->address) b->address = name_new(p->c, &p->members, format(p->c, "%s_at", b->access));
    text_add(p->out, "io.%s(", b->address);
    for (unsigned d = 0; d + 1 < t->n_dims; d++) {
        if (b->heads == (int)d)
            print_head_coordinate(p, b, at[d]);
        else
            print_node(p, at[d], BIND_ANY);
        text_add(p->out, ", ");
    }
    text_add(p->out, "0)");
}

/* Is this coordinate a variable that takes values of the dimension alone? */
static bool is_sure(const Printer *p, const Node *at, const Index *dim)
{
    if (at->op != N_INDEX || !set_has(&p->whole, at->index->id)) return false;
    return print_bound_index(at->index) == print_bound_index(dim) ||
           (dim->extent && at->index->extent == dim->extent);
}

bool print_guarded(const Printer *p, const Node *n)
{
    bool needs = false;
    for (unsigned d = 0; n->op == N_READ && (n->guarded || p->careful) && d < n->n_args; d++)
        needs = needs || !is_sure(p, n->args[d], n->tensor->dims[d]);
    return needs;
}

/* `inside(x, size)`: 0 <= x < size in one comparison. */
static void print_guards(Printer *p, const Node *n)
{
    bool first = true;
    print_want(p, HELP_INSIDE);
    for (unsigned d = 0; d < n->n_args; d++) {
        if (is_sure(p, n->args[d], n->tensor->dims[d])) continue;
        text_add(p->out, "%sinside(", first ? "" : " && ");
        print_node(p, n->args[d], BIND_ANY);
        text_add(p->out, ", %s)", print_extent(p, n->tensor->dims[d]));
        first = false;
    }
}

static void print_read(Printer *p, const Node *n, Strength around)
{
    const PrintBuffer *b = buffer_of(p, n->tensor);
    const char *type = print_type(p, n);
    bool converts = b->written && n->type == TYPE_REAL && strcmp(b->element, type);
    bool guarded = print_guarded(p, n);
    Strength own = guarded ? BIND_CONDITIONAL : converts ? BIND_UNARY : BIND_POSTFIX;
    open(p, own, around);
    if (guarded) {
        print_guards(p, n);
        text_add(p->out, " ? ");
    }
    if (converts) text_add(p->out, "(%s)", type);
    print_access(p, n->tensor, n->args);
    if (guarded)
        text_add(p->out, n->type == TYPE_BOOL  ? " : false"
                         : n->type == TYPE_INT ? " : 0"
                         : is_double(type)     ? " : 0.0"
                                               : " : 0.0f");
    shut(p, own, around);
}

/* ---- bools ---- */

static void print_compare(Printer *p, const Node *n, Strength around)
{
    const Node *x = n->args[0], *y = n->args[1];
    bool equality = n->op == N_EQ || n->op == N_NE;
    const char *operator= n->op == N_EQ ? "==" : n->op == N_NE ? "!=" : n->op == N_LT ? "<" : "<=";
    const char *type = x->type != TYPE_REAL                     ? NULL
                       : print_exact(p, x) && print_exact(p, y) ? "double"
                                                                : p->real;
    print_infix(p, n, operator, equality ? BIND_EQUAL : BIND_COMPARE, type, around);
}

static void print_bool(Printer *p, const Node *n, Strength around)
{
    switch (n->op) {
    case N_NOT: print_prefix(p, n, "!", NULL, around); return;
    case N_AND: print_infix(p, n, "&&", BIND_AND, NULL, around); return;
    case N_OR: /* with brackets around the ands inside */
        open(p, BIND_OR, around);
        print_node(p, n->args[0], n->args[0]->op == N_AND ? BIND_BITS : BIND_OR);
        text_add(p->out, " || ");
        print_node(p, n->args[1], BIND_BITS);
        shut(p, BIND_OR, around);
        return;
    case N_EQ:
    case N_NE:
    case N_LT:
    case N_LE: print_compare(p, n, around); return;
    case N_STOP: print_node(p, n->args[0], around); return;
    case N_GIVEN:
        open(p, BIND_EQUAL, around);
        text_add(p->out, "io.%s != nullptr", buffer_of(p, n->tensor)->data);
        shut(p, BIND_EQUAL, around);
        return;
    default: BUG(p->c, "no bool operation %s", op_name(n->op));
    }
}

/* ---- ints ---- */

static unsigned find_bits(Printer *p, const Node *n)
{
    unsigned x = n->n_args > 0 && n->args[0]->type == TYPE_INT ? bits_of(p, n->args[0]) : ANY_BITS;
    unsigned y = n->n_args > 1 && n->args[1]->type == TYPE_INT ? bits_of(p, n->args[1]) : ANY_BITS;
    unsigned larger = x > y ? x : y;
    uint64_t literal = (uint64_t)(n->op == N_INT && n->integer < 0 ? ~n->integer
                                  : n->op == N_INT                 ? n->integer
                                                                   : 0);
    switch (n->op) {
    case N_INT: return 64 - (unsigned)__builtin_clzll(literal | 1);
    case N_INDEX: return n->index->extent ? bits_of(p, n->index->extent) : SIZE_BITS;
    case N_SIZE: return SIZE_BITS;
    case N_PARAM:
    case N_LOCAL: return PLACE_BITS; /* positions and counts */
    case N_READ: return n->tensor->hi ? SIZE_BITS : ANY_BITS;
    case N_ADD:
    case N_SUB: return larger + 1;
    case N_MUL: return x + y;
    case N_FLOORDIV: return x + 1;
    case N_BITAND: return n->args[1]->op == N_INT && n->args[1]->integer >= 0 ? y : larger;
    case N_CHECK:
    case N_NEG:
    case N_ABS:
    case N_STOP:
    case N_SHR: return x;
    case N_MIN:
    case N_MAX:
    case N_MOD:
    case N_BITOR:
    case N_BITXOR: return larger;
    case N_IF: {
        unsigned other = bits_of(p, n->args[2]);
        return y > other ? y : other;
    }
    case N_POPCOUNT:
    case N_SIGN: return 7;
    case N_TO_INT: return n->args[0]->type == TYPE_BOOL ? 1 : ANY_BITS;
    default: return ANY_BITS;
    }
}

/* A number of bits that the value fits, its sign apart; ANY_BITS: it may wrap. Extents are below 2^31. */
static unsigned bits_of(Printer *p, const Node *n)
{
    if (!p->bits[n->id]) {
        unsigned bits = find_bits(p, n);
        p->bits[n->id] = (uint8_t)(bits < ANY_BITS ? bits : ANY_BITS);
    }
    return p->bits[n->id];
}

static void print_wrapping(Printer *p, const Node *n, const char *operator, Strength own, Strength around)
{
    if (bits_of(p, n) < ANY_BITS) {
        print_infix(p, n, operator, own, NULL, around);
        return;
    }
    print_want(p, HELP_WRAP);
    print_call(p, n->op == N_ADD ? "wrap_add" : n->op == N_SUB ? "wrap_sub" : "wrap_mul", n, NULL);
}

/* Division by a literal power of two is a shift, its remainder a mask. */
static void print_division(Printer *p, const Node *n, Strength around)
{
    const Node *y = n->args[1];
    bool modulo = n->op == N_MOD;
    if (y->op == N_INT && y->integer > 0 && !(y->integer & (y->integer - 1))) {
        Strength own = modulo ? BIND_BITS : BIND_SHIFT;
        open(p, own, around);
        print_node(p, n->args[0], BIND_ADD);
        if (modulo)
            text_add(p->out, " & %lld", (long long)(y->integer - 1));
        else
            text_add(p->out, " >> %d", __builtin_ctzll((unsigned long long)y->integer));
        shut(p, own, around);
        return;
    }
    print_want(p, modulo ? HELP_FLOOR_MOD : HELP_FLOOR_DIV);
    print_call(p, modulo ? "floor_mod" : "floor_div", n, NULL);
}

/* Mixed bit operations carry brackets. */
static void print_bits(Printer *p, const Node *n, const char *operator, Strength around)
{
    open(p, BIND_BITS, around);
    print_node(p, n->args[0], n->args[0]->op == n->op ? BIND_BITS : BIND_UNARY);
    text_add(p->out, " %s ", operator);
    print_node(p, n->args[1], BIND_UNARY);
    shut(p, BIND_BITS, around);
}

static void print_helped(Printer *p, const Node *n, Helper helper, const char *function)
{
    print_want(p, helper);
    print_call(p, function, n, NULL);
}

static void print_unary_int(Printer *p, const Node *n, Strength around)
{
    switch (n->op) {
    case N_NEG: print_prefix(p, n, "-", NULL, around); return;
    case N_STOP: print_node(p, n->args[0], around); return;
    case N_ABS: print_helped(p, n, HELP_ABS_INT, "magnitude"); return;
    case N_SIGN: print_helped(p, n, HELP_SIGN, "sign"); return;
    case N_POPCOUNT: print_call(p, "(int64)__popcll", n, NULL); return;
    case N_TO_INT:
        if (n->args[0]->type == TYPE_BOOL)
            print_prefix(p, n, "(int64)", NULL, around);
        else
            print_helped(p, n, HELP_TO_INT, "to_int");
        return;
    default: BUG(p->c, "no integer operation %s", op_name(n->op));
    }
}

static void print_binary_int(Printer *p, const Node *n, Strength around)
{
    switch (n->op) {
    case N_ADD: print_wrapping(p, n, "+", BIND_ADD, around); return;
    case N_SUB: print_wrapping(p, n, "-", BIND_ADD, around); return;
    case N_MUL: print_wrapping(p, n, "*", BIND_MULTIPLY, around); return;
    case N_FLOORDIV:
    case N_MOD: print_division(p, n, around); return;
    case N_BITAND: print_bits(p, n, "&", around); return;
    case N_BITOR: print_bits(p, n, "|", around); return;
    case N_BITXOR: print_bits(p, n, "^", around); return;
    case N_SHL: print_helped(p, n, HELP_SHIFT, "shift_left"); return;
    case N_SHR: print_helped(p, n, HELP_SHIFT, "shift_right"); return;
    case N_MIN: print_helped(p, n, HELP_LEAST, "least"); return;
    case N_MAX: print_helped(p, n, HELP_MOST, "most"); return;
    default: BUG(p->c, "no integer operation %s", op_name(n->op));
    }
}

static void print_check(Printer *p, const Node *n)
{
    print_want(p, HELP_CHECKED);
    text_add(p->out, "checked(");
    for (unsigned k = 0; k < 3; k++) {
        print_node(p, n->args[k], BIND_ANY);
        text_add(p->out, ", ");
    }
    text_add(p->out, "io.%s, %u)", p->status, n->check + 1);
}

/* ---- reals ---- */

/* CUDA's function of doubles; that of floats has an `f` behind it. */
static const char *function_of(Op op)
{
    switch (op) {
    case N_EXP: case N_EXP_DOWN: return "exp";
    case N_EXP2: case N_EXP2_DOWN: return "exp2";
    case N_EXPM1: return "expm1";
    case N_LOG: return "log";
    case N_LOG2: return "log2";
    case N_LOG1P: return "log1p";
    case N_SQRT: return "sqrt";
    case N_RSQRT: return "rsqrt";
    case N_TANH: return "tanh";
    case N_SIN: return "sin";
    case N_COS: return "cos";
    case N_ATAN: return "atan";
    case N_ERF: return "erf";
    case N_POW: return "pow";
    case N_ABS: return "fabs";
    case N_FLOOR: return "floor";
    case N_CEIL: return "ceil";
    case N_ROUND: return "rint";
    default: return NULL;
    }
}

static void print_function(Printer *p, const Node *n, const char *type)
{
    const char *name = function_of(n->op);
    if (!name) BUG(p->c, "no real operation %s", op_name(n->op));
    print_call(p, format(p->c, "%s%s", name, is_double(type) ? "" : "f"), n, type);
}

bool print_may_fuse(Printer *p, const Node *n)
{
    return n->op == N_MUL && n->type == TYPE_REAL && print_exact(p, n);
}

static void print_product(Printer *p, const Node *n, const char *type, Strength around)
{
    bool sum = around == BIND_ADD || around == BIND_MULTIPLY;
    if (sum && print_may_fuse(p, n))
        print_call(p, "__dmul_rn", n, type);
    else
        print_infix(p, n, "*", BIND_MULTIPLY, type, around);
}

static void print_extreme(Printer *p, const Node *n, const char *type)
{
    bool wide = is_double(type), least = n->op == N_MIN;
    print_want(p, least ? (wide ? HELP_MIN_F64 : HELP_MIN_F32) : (wide ? HELP_MAX_F64 : HELP_MAX_F32));
    print_call(p, least ? "minimum" : "maximum", n, type);
}

static void print_to_real(Printer *p, const Node *n, const char *type, Strength around)
{
    open(p, BIND_UNARY, around);
    text_add(p->out, "(%s)", type);
    print_node(p, n->args[0], BIND_UNARY);
    shut(p, BIND_UNARY, around);
}

static void print_random(Printer *p, const Node *n)
{
    print_want(p, HELP_RANDOM);
    print_call(p, print_exact(p, n) || is_double(p->real) ? "(double)random" : "random", n, NULL);
}

static void print_real(Printer *p, const Node *n, Strength around)
{
    const char *type = real_type(p, n);
    switch (n->op) {
    case N_RAND: print_random(p, n); return;
    case N_TO_REAL: print_to_real(p, n, type, around); return;
    case N_NEG: print_prefix(p, n, "-", type, around); return;
    case N_STOP: print_as(p, n->args[0], type, around); return;
    case N_ADD: print_infix(p, n, "+", BIND_ADD, type, around); return;
    case N_SUB: print_infix(p, n, "-", BIND_ADD, type, around); return;
    case N_MUL: print_product(p, n, type, around); return;
    case N_DIV: print_infix(p, n, "/", BIND_MULTIPLY, type, around); return;
    case N_MIN:
    case N_MAX: print_extreme(p, n, type); return;
    case N_SIGN:
        print_want(p, HELP_SIGN);
        print_call(p, "sign", n, type);
        return;
    default: print_function(p, n, type);
    }
}

/* ---- all ---- */

/* Two literals would be of 32 bits. */
static void print_arm(Printer *p, const Node *n, const char *type, Strength around)
{
    if (n->op == N_INT) text_add(p->out, "(int64)");
    print_as(p, n, type, n->op == N_INT ? BIND_UNARY : around);
}

static void print_if(Printer *p, const Node *n, Strength around)
{
    const char *type = print_type(p, n);
    open(p, BIND_CONDITIONAL, around);
    print_node(p, n->args[0], BIND_OR);
    text_add(p->out, " ? ");
    print_arm(p, n->args[1], type, BIND_OR);
    text_add(p->out, " : ");
    print_as(p, n->args[2], type, BIND_CONDITIONAL);
    shut(p, BIND_CONDITIONAL, around);
}

static void print_param(Printer *p, const Param *x, Strength around)
{
    const char *where = p->inside ? "" : "io.";
    if (x->type != TYPE_BOOL) {
        text_add(p->out, "%s%s", where, p->params[x->number]);
        return;
    }
    open(p, BIND_EQUAL, around);
    text_add(p->out, "%s%s != 0", where, p->params[x->number]);
    shut(p, BIND_EQUAL, around);
}

static void print_leaf(Printer *p, const Node *n, Strength around)
{
    switch (n->op) {
    case N_INT: print_int(p, n->integer, around); return;
    case N_BOOL: text_add(p->out, n->integer ? "true" : "false"); return;
    case N_REAL: print_real_literal(p, n->real, "double", around); return;
    case N_SIZE: text_add(p->out, "%s", print_extent(p, n->index)); return;
    case N_PARAM: print_param(p, n->param, around); return;
    case N_LOCAL: text_add(p->out, "%s", p->locals[n->local->id]); return;
    case N_INDEX:
        if (!p->indices[n->index->id]) BUG(p->c, "variable %s has no value here", n->index->name);
        text_add(p->out, "%s", p->indices[n->index->id]);
        return;
    case N_GIVEN: print_bool(p, n, around); return;
    default: BUG(p->c, "%s is no leaf", op_name(n->op));
    }
}

void print_node(Printer *p, const Node *n, Strength around)
{
    if (p->memo[n->id])
        text_add(p->out, "%s", p->memo[n->id]);
    else if (n->op == N_READ)
        print_read(p, n, around);
    else if (n->n_args == 0)
        print_leaf(p, n, around);
    else if (node_is_binder(n))
        BUG(p->c, "a binder is left in Loops");
    else if (n->op == N_IF)
        print_if(p, n, around);
    else if (n->op == N_CHECK)
        print_check(p, n);
    else if (n->type == TYPE_BOOL)
        print_bool(p, n, around);
    else if (n->type == TYPE_REAL)
        print_real(p, n, around);
    else if (n->n_args == 1)
        print_unary_int(p, n, around);
    else
        print_binary_int(p, n, around);
}
