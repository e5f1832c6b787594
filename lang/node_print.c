/* Prints expressions on one line in the syntax of the language, as far as that goes, with brackets only where
 * needed. Coordinates are printed as the names of their indices; binder ranges other than the whole index as
 * `j: lo..hi`. */
#include "program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* From loosest to tightest. */
enum {
    P_IF,
    P_OR,
    P_AND,
    P_NOT,
    P_COMPARE,
    P_BITOR,
    P_BITXOR,
    P_BITAND,
    P_SHIFT,
    P_ADD,
    P_MUL,
    P_NEG,
    P_POW,
    P_ATOM
};

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

/* An expression is a DAG and may be huge as a tree: nothing more is printed once the text is longer than
 * this. */
enum { PRINTED_MAX = 1 << 20, SHORT_MAX = 160 };

typedef struct Printer { Text *out; size_t end; } Printer;

static void print(Printer *p, const Node *n, int level);

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

static void open_bracket(Printer *p, bool needed) { if (needed) text_add(p->out, "("); }
static void close_bracket(Printer *p, bool needed) { if (needed) text_add(p->out, ")"); }

static void print_real(Printer *p, double x)
{
    char text[40];
    if (isnan(x)) { text_add(p->out, "nan"); return; }
    if (isinf(x)) { text_add(p->out, x < 0 ? "-inf" : "inf"); return; }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    bool plain = true;
    for (const char *at = text; *at; at++) plain &= *at != '.' && *at != 'e';
    text_add(p->out, "%s%s", text, plain ? ".0" : "");
}

static void print_list(Printer *p, Node *const *args, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        if (k) text_add(p->out, ", ");
        print(p, args[k], P_IF);
    }
}

static void print_read(Printer *p, const Node *n)
{
    text_add(p->out, "%s", n->tensor->name);
    if (!n->n_args) return;
    text_add(p->out, "[");
    print_list(p, n->args, n->n_args);
    text_add(p->out, n->guarded ? "]?" : "]");
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
    return node_is_int(binder_lo(n, k), 0) &&
           (v->extent ? hi == v->extent : hi->op == N_SIZE && hi->index == v);
}

static void print_binder(Printer *p, const Node *n)
{
    text_add(p->out, "%s[", binder_name(n));
    for (unsigned k = 0; k < n->n_vars; k++) {
        text_add(p->out, "%s%s", k ? ", " : "", n->vars[k]->name);
        if (whole_range(n, k)) continue;
        text_add(p->out, ": ");
        print(p, binder_lo(n, k), P_ADD);
        text_add(p->out, "..");
        print(p, binder_hi(n, k), P_ADD);
    }
    text_add(p->out, "](");
    print(p, binder_body(n), P_IF);
    if (!node_is_bool(binder_where(n), true)) {
        text_add(p->out, " where ");
        print(p, binder_where(n), P_IF);
    }
    if (binder_extra(n)) {
        text_add(p->out, n->op == N_NORMALISE ? ", sink = " : ", ");
        print(p, binder_extra(n), P_IF);
    }
    text_add(p->out, ")");
}

static void print_prefix(Printer *p, const Node *n, int level, const char *text, int own)
{
    open_bracket(p, level > own);
    text_add(p->out, "%s", text);
    print(p, n->args[0], own);
    close_bracket(p, level > own);
}

static void print_if(Printer *p, const Node *n, int level)
{
    open_bracket(p, level > P_IF);
    text_add(p->out, "if ");
    print(p, n->args[0], P_OR);
    text_add(p->out, " then ");
    print(p, n->args[1], P_OR);
    text_add(p->out, " else ");
    print(p, n->args[2], P_IF);
    close_bracket(p, level > P_IF);
}

static void print_call(Printer *p, const Node *n)
{
    if (n->op == N_TO_REAL) text_add(p->out, "float(");
    else if (n->op == N_TO_INT) text_add(p->out, "int(");
    else text_add(p->out, "%s(", op_name(n->op));
    print_list(p, n->args, n->n_args);
    text_add(p->out, ")");
}

static void print_infix(Printer *p, const Node *n, int level, Infix o)
{
    open_bracket(p, level > o.level);
    print(p, n->args[0], o.level == P_COMPARE ? o.level + 1 : o.level);
    text_add(p->out, " %s ", o.text);
    bool associative = n->op == N_AND || n->op == N_OR;
    print(p, n->args[1], associative ? o.level : o.level + 1);
    close_bracket(p, level > o.level);
}

static void print(Printer *p, const Node *n, int level)
{
    if (p->out->n > p->end) return;
    switch (n->op) {
    case N_INT:
        text_add(p->out, level > P_NEG && n->integer < 0 ? "(%lld)" : "%lld", (long long)n->integer);
        return;
    case N_REAL:
        open_bracket(p, level > P_NEG && signbit(n->real));
        print_real(p, n->real);
        close_bracket(p, level > P_NEG && signbit(n->real));
        return;
    case N_BOOL: text_add(p->out, n->integer ? "true" : "false"); return;
    case N_INDEX: text_add(p->out, "%s", n->index->name); return;
    case N_SIZE: text_add(p->out, "size(%s)", n->index->name); return;
    case N_PARAM: text_add(p->out, "%s", n->param->name); return;
    case N_GIVEN: text_add(p->out, "given(%s)", n->tensor->name); return;
    case N_GROUP: text_add(p->out, "group(%s)", n->tensor->name); return;
    case N_UNIT: text_add(p->out, "unit(%s)", n->tensor->name); return;
    case N_LOCAL: text_add(p->out, "%s", n->local->name); return;
    case N_READ: print_read(p, n); return;
    case N_NEG: print_prefix(p, n, level, "-", P_NEG); return;
    case N_NOT: print_prefix(p, n, level, "not ", P_NOT); return;
    case N_IF: print_if(p, n, level); return;
    default: break;
    }
    Infix o = infix(n->op);
    if (node_is_binder(n)) print_binder(p, n);
    else if (o.text) print_infix(p, n, level, o);
    else print_call(p, n);
}

static void print_up_to(Text *out, const Node *n, size_t most)
{
    Printer p = {out, out->n + most};
    print(&p, n, P_IF);
    if (out->n > p.end) text_add(out, " ...");
}

void node_print(Text *out, const Node *n) { print_up_to(out, n, PRINTED_MAX); }
void node_print_short(Text *out, const Node *n) { print_up_to(out, n, SHORT_MAX); }
