/* See javascript.h. */
#include "javascript.h"

#include <math.h>

enum { MOST_TEXT = 1 << 18 };                   /* bytes: shared operands are written again */
static const int64_t narrow = (int64_t)1 << 45; /* 256 of them add up exactly */

/* How an operation on `$0` and `$1` is written: of reals, of ints as numbers, of ints as BigInts. NULL: there
 * is no such thing, or (numbers) BigInts are needed. */
typedef struct Spelling {
    const char *real, *number, *bigint;
} Spelling;

static const Spelling spellings[N_OPS] = {
    [N_NEG] = {"(-$0)", "(-$0)", "W(-$0)"},
    [N_ADD] = {"($0 + $1)", "($0 + $1)", "W($0 + $1)"},
    [N_SUB] = {"($0 - $1)", "($0 - $1)", "W($0 - $1)"},
    [N_MUL] = {"($0 * $1)", "mul($0, $1)", "W($0 * $1)"},
    [N_DIV] = {"($0 / $1)", NULL, NULL},
    [N_FLOORDIV] = {NULL, "fdiv($0, $1)", "Fdiv($0, $1)"},
    [N_MOD] = {NULL, "fmod($0, $1)", "Fmod($0, $1)"},
    [N_POW] = {"Math.pow($0, $1)", NULL, NULL},
    [N_BITAND] = {NULL, NULL, "($0 & $1)"},
    [N_BITOR] = {NULL, NULL, "($0 | $1)"},
    [N_BITXOR] = {NULL, NULL, "($0 ^ $1)"},
    [N_SHL] = {NULL, NULL, "W($0 << ($1 & 63n))"},
    [N_SHR] = {NULL, NULL, "($0 >> ($1 & 63n))"},
    [N_MIN] = {"Math.min($0, $1)", "least($0, $1)", "least($0, $1)"},
    [N_MAX] = {"Math.max($0, $1)", "most($0, $1)", "most($0, $1)"},
    [N_EXP] = {"Math.exp($0)", NULL, NULL},
    [N_EXP2] = {"Math.pow(2, $0)", NULL, NULL},
    [N_EXPM1] = {"Math.expm1($0)", NULL, NULL},
    [N_LOG] = {"Math.log($0)", NULL, NULL},
    [N_LOG2] = {"Math.log2($0)", NULL, NULL},
    [N_LOG1P] = {"Math.log1p($0)", NULL, NULL},
    [N_SQRT] = {"Math.sqrt($0)", NULL, NULL},
    [N_RSQRT] = {"(1 / Math.sqrt($0))", NULL, NULL},
    [N_TANH] = {"Math.tanh($0)", NULL, NULL},
    [N_SIN] = {"Math.sin($0)", NULL, NULL},
    [N_COS] = {"Math.cos($0)", NULL, NULL},
    [N_ATAN] = {"Math.atan($0)", NULL, NULL},
    [N_ABS] = {"Math.abs($0)", "Math.abs($0)", "Abs($0)"},
    [N_SIGN] = {"Math.sign($0)", "Math.sign($0)", "Sign($0)"},
    [N_FLOOR] = {"Math.floor($0)", NULL, NULL},
    [N_CEIL] = {"Math.ceil($0)", NULL, NULL},
    [N_ROUND] = {"round($0)", NULL, NULL},
    [N_POPCOUNT] = {NULL, NULL, "Pop($0)"},
    [N_STOP] = {"$0", "$0", "$0"},
    [N_EQ] = {"($0 === $1)", "($0 === $1)", "($0 === $1)"},
    [N_NE] = {"($0 !== $1)", "($0 !== $1)", "($0 !== $1)"},
    [N_LT] = {"($0 < $1)", "($0 < $1)", "($0 < $1)"},
    [N_LE] = {"($0 <= $1)", "($0 <= $1)", "($0 <= $1)"},
    [N_NOT] = {"(!$0)", "(!$0)", "(!$0)"},
    [N_AND] = {"($0 && $1)", "($0 && $1)", "($0 && $1)"},
    [N_OR] = {"($0 || $1)", "($0 || $1)", "($0 || $1)"},
    [N_IF] = {"($0 ? $1 : $2)", "($0 ? $1 : $2)", "($0 ? $1 : $2)"},
};

static bool big(const JavaScript *s) { return s->ints == JAVASCRIPT_BIGINTS; }

const char *javascript_variable(Compilation *c, const Index *index) { return format(c, "x%u", index->id); }

static void spell(JavaScript *s, Text *out, const char *spelling, const Node *n)
{
    for (; *spelling; spelling++) {
        if (*spelling == '$')
            javascript_print(s, out, n->args[*++spelling - '0']);
        else
            text_add(out, "%c", *spelling);
    }
}

static void add_int(JavaScript *s, Text *out, int64_t value)
{
    if (value > narrow || value < -narrow) s->wide = true;
    text_add(out, value < 0 ? "(%lld%s)" : "%lld%s", (long long)value, big(s) ? "n" : "");
}

static void add_real(Text *out, double value)
{
    if (isnan(value))
        text_add(out, "NaN");
    else if (isinf(value))
        text_add(out, value < 0 ? "(-Infinity)" : "Infinity");
    else
        text_add(out, "(%.17g)", value);
}

static bool is_given(const JavaScript *s, const Tensor *t)
{
    for (unsigned k = 0; k < s->arguments->n_tensors; k++)
        if (s->arguments->tensors[k].tensor == t) return s->arguments->tensors[k].given;
    return false;
}

static unsigned tensor_number(JavaScript *s, const Tensor *t)
{
    for (uint32_t k = 0; k < s->tensors.n; k++)
        if (s->tensors.at[k] == t) return k;
    PUSH(s->c, &s->tensors, t);
    return s->tensors.n - 1;
}

/* A coordinate outside gives 0, false. */
static void add_read(JavaScript *s, Text *out, const Node *n)
{
    bool whole = n->type == TYPE_INT && big(s);
    text_add(out, "%s(T[%u]",
             n->type == TYPE_BOOL ? "has"
             : whole              ? "Read"
                                  : "read",
             tensor_number(s, n->tensor));
    for (unsigned k = 0; k < n->n_args; k++) {
        text_add(out, ", ");
        javascript_print(s, out, n->args[k]);
    }
    text_add(out, ")");
}

/* any and all of conditions: loops inside each other. */
static void add_reduce(JavaScript *s, Text *out, const Node *n)
{
    bool any = n->kind == REDUCE_ANY;
    if (n->op != N_REDUCE || (!any && n->kind != REDUCE_ALL)) {
        s->cannot = op_name(n->op);
        return;
    }
    for (unsigned k = 0; k < n->n_vars; k++) {
        text_add(out, "%s(", any ? "any" : "all");
        javascript_print(s, out, binder_lo(n, k));
        text_add(out, ", ");
        javascript_print(s, out, binder_hi(n, k));
        text_add(out, ", %s => ", javascript_variable(s->c, n->vars[k]));
    }
    text_add(out, any ? "(" : "(!");
    javascript_print(s, out, binder_where(n));
    text_add(out, any ? " && " : " || ");
    javascript_print(s, out, binder_body(n));
    text_add(out, ")");
    for (unsigned k = 0; k < n->n_vars; k++) text_add(out, ")");
}

static void add_conversion(JavaScript *s, Text *out, const Node *n)
{
    Type from = n->args[0]->type;
    const char *spelling;
    if (n->op == N_TO_REAL)
        spelling = from == TYPE_BOOL ? "($0 ? 1 : 0)" : "Number($0)";
    else if (from == TYPE_BOOL)
        spelling = big(s) ? "($0 ? 1n : 0n)" : "($0 ? 1 : 0)";
    else
        spelling = from == TYPE_INT ? "$0" : big(s) ? "Int($0)" : "int($0)";
    spell(s, out, spelling, n);
}

static void add_operation(JavaScript *s, Text *out, const Node *n)
{
    const Spelling *how = &spellings[n->op];
    bool real = n->n_args > 0 && n->args[n->op == N_IF]->type == TYPE_REAL;
    const char *spelling = real ? how->real : big(s) ? how->bigint : how->number;
    if (!spelling && !real && how->bigint) {
        s->wide = true;
        spelling = how->bigint;
    }
    if (spelling)
        spell(s, out, spelling, n);
    else
        s->cannot = op_name(n->op);
}

void javascript_print(JavaScript *s, Text *out, const Node *n)
{
    if (out->n > MOST_TEXT) s->cannot = "an expression so long";
    if (s->cannot) return;
    if (node_is_binder(n)) {
        add_reduce(s, out, n);
        return;
    }
    switch (n->op) {
    case N_INT: add_int(s, out, n->integer); return;
    case N_REAL: add_real(out, n->real); return;
    case N_BOOL: text_add(out, n->integer ? "true" : "false"); return;
    case N_INDEX: text_add(out, "%s", javascript_variable(s->c, n->index)); return;
    case N_SIZE: text_add(out, "S[%u]", n->index->number); return;
    case N_PARAM: text_add(out, "P[%u]", n->param->number); return;
    case N_GIVEN: text_add(out, is_given(s, n->tensor) ? "true" : "false"); return;
    case N_READ: add_read(s, out, n); return;
    case N_TO_REAL:
    case N_TO_INT: add_conversion(s, out, n); return;
    case N_RAND: spell(s, out, "rand($0, $1, $2, $3, $4)", n); return;
    case N_CHECK:
        spell(s, out, big(s) ? "most($1, least($0, $2 - 1n))" : "most($1, least($0, $2 - 1))", n);
        return;
    default: add_operation(s, out, n); return;
    }
}
