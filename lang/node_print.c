/* Prints expressions on one line in the syntax of the language, as far as that goes, with brackets only where needed.
 * Coordinates are printed as the names of their indices; binder ranges other than the whole index as `j: lo..hi`. */
#include "program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* From loosest to tightest. */
enum { P_IF, P_OR, P_AND, P_NOT, P_COMPARE, P_BITOR, P_BITXOR, P_BITAND, P_SHIFT, P_ADD, P_MUL, P_NEG, P_POW, P_ATOM };

static const char *const reductions[] = {
#define REDUCTION(name, text) text,
#include "reduction_list.h"
#undef REDUCTION
};
static const char *const normalisers[] = {
#define NORMALISER(name, text) text,
#include "normaliser_list.h"
#undef NORMALISER
};
static const char *const scans[] = {
#define SCAN_KIND(name, text) text,
#include "scan_list.h"
#undef SCAN_KIND
};

static void print(Text *out, const Node *n, int level);

typedef struct Infix { const char *text; int level; } Infix;
static Infix infix(Op op)
{
    switch (op) {
    case N_ADD: return (Infix){"+", P_ADD};
    case N_SUB: return (Infix){"-", P_ADD};
    case N_MUL: return (Infix){"*", P_MUL};
    case N_DIV: return (Infix){"/", P_MUL};
    case N_FLOORDIV: return (Infix){"//", P_MUL};
    case N_MOD: return (Infix){"%", P_MUL};
    case N_BITAND: return (Infix){"&", P_BITAND};
    case N_BITOR: return (Infix){"|", P_BITOR};
    case N_BITXOR: return (Infix){"^", P_BITXOR};
    case N_SHL: return (Infix){"<<", P_SHIFT};
    case N_SHR: return (Infix){">>", P_SHIFT};
    case N_EQ: return (Infix){"==", P_COMPARE};
    case N_NE: return (Infix){"!=", P_COMPARE};
    case N_LT: return (Infix){"<", P_COMPARE};
    case N_LE: return (Infix){"<=", P_COMPARE};
    case N_AND: return (Infix){"and", P_AND};
    case N_OR: return (Infix){"or", P_OR};
    default: return (Infix){NULL, P_ATOM};
    }
}

static void open_bracket(Text *out, bool needed) { if (needed) text_add(out, "("); }
static void close_bracket(Text *out, bool needed) { if (needed) text_add(out, ")"); }

static void print_real(Text *out, double x)
{
    char text[40];
    if (isnan(x)) { text_add(out, "nan"); return; }
    if (isinf(x)) { text_add(out, x < 0 ? "-inf" : "inf"); return; }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    bool plain = true;
    for (const char *p = text; *p; p++) plain &= *p != '.' && *p != 'e';
    text_add(out, "%s%s", text, plain ? ".0" : "");
}

static void print_list(Text *out, Node *const *args, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        if (k) text_add(out, ", ");
        print(out, args[k], P_IF);
    }
}

static void print_read(Text *out, const Node *n)
{
    text_add(out, "%s", n->tensor->name);
    if (!n->n_args) return;
    text_add(out, "[");
    print_list(out, n->args, n->n_args);
    text_add(out, n->guarded ? "]?" : "]");
}

static const char *binder_name(const Node *n)
{
    if (n->op == N_REDUCE) return reductions[n->kind];
    if (n->op == N_NORMALISE) return normalisers[n->kind];
    return n->op == N_SCAN ? scans[n->kind] : op_name(n->op);
}

static bool whole_range(const Node *n, unsigned k)
{
    const Node *hi = binder_hi(n, k);
    const Index *v = n->vars[k];
    return node_is_int(binder_lo(n, k), 0) && (v->extent ? hi == v->extent : hi->op == N_SIZE && hi->index == v);
}

static void print_binder(Text *out, const Node *n)
{
    text_add(out, "%s[", binder_name(n));
    for (unsigned k = 0; k < n->n_vars; k++) {
        text_add(out, "%s%s", k ? ", " : "", n->vars[k]->name);
        if (whole_range(n, k)) continue;
        text_add(out, ": ");
        print(out, binder_lo(n, k), P_ADD);
        text_add(out, "..");
        print(out, binder_hi(n, k), P_ADD);
    }
    text_add(out, "](");
    print(out, binder_body(n), P_IF);
    if (!node_is_bool(binder_where(n), true)) {
        text_add(out, " where ");
        print(out, binder_where(n), P_IF);
    }
    if (binder_extra(n)) {
        text_add(out, n->op == N_NORMALISE ? ", sink = " : ", ");
        print(out, binder_extra(n), P_IF);
    }
    text_add(out, ")");
}

static void print_prefix(Text *out, const Node *n, int level, const char *text, int own)
{
    open_bracket(out, level > own);
    text_add(out, "%s", text);
    print(out, n->args[0], own);
    close_bracket(out, level > own);
}

static void print_if(Text *out, const Node *n, int level)
{
    open_bracket(out, level > P_IF);
    text_add(out, "if ");
    print(out, n->args[0], P_OR);
    text_add(out, " then ");
    print(out, n->args[1], P_OR);
    text_add(out, " else ");
    print(out, n->args[2], P_IF);
    close_bracket(out, level > P_IF);
}

static void print_call(Text *out, const Node *n)
{
    if (n->op == N_TO_REAL) text_add(out, "float(");
    else if (n->op == N_TO_INT) text_add(out, "int(");
    else text_add(out, "%s(", op_name(n->op));
    print_list(out, n->args, n->n_args);
    text_add(out, ")");
}

static void print_infix(Text *out, const Node *n, int level, Infix o)
{
    open_bracket(out, level > o.level);
    print(out, n->args[0], o.level == P_COMPARE ? o.level + 1 : o.level);
    text_add(out, " %s ", o.text);
    bool associative = n->op == N_AND || n->op == N_OR;
    print(out, n->args[1], associative ? o.level : o.level + 1);
    close_bracket(out, level > o.level);
}

static void print(Text *out, const Node *n, int level)
{
    switch (n->op) {
    case N_INT: text_add(out, level > P_NEG && n->integer < 0 ? "(%lld)" : "%lld", (long long)n->integer); return;
    case N_REAL:
        open_bracket(out, level > P_NEG && signbit(n->real));
        print_real(out, n->real);
        close_bracket(out, level > P_NEG && signbit(n->real));
        return;
    case N_BOOL: text_add(out, n->integer ? "true" : "false"); return;
    case N_INDEX: text_add(out, "%s", n->index->name); return;
    case N_SIZE: text_add(out, "size(%s)", n->index->name); return;
    case N_PARAM: text_add(out, "%s", n->param->name); return;
    case N_GIVEN: text_add(out, "given(%s)", n->tensor->name); return;
    case N_LOCAL: text_add(out, "%s", n->local->name); return;
    case N_READ: print_read(out, n); return;
    case N_NEG: print_prefix(out, n, level, "-", P_NEG); return;
    case N_NOT: print_prefix(out, n, level, "not ", P_NOT); return;
    case N_IF: print_if(out, n, level); return;
    default: break;
    }
    Infix o = infix(n->op);
    if (node_is_binder(n)) print_binder(out, n);
    else if (o.text) print_infix(out, n, level, o);
    else print_call(out, n);
}

void node_print(Text *out, const Node *n) { print(out, n, P_IF); }
