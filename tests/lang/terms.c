/* Terms for tests: a reader and an evaluator. */
#include "terms.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Index *world_index(World *w, const char *name, const char *extent)
{
    Index *x = index_new(w->c, name, (Span){0});
    x->root = x;
    if (extent) x->extent = term(w, extent);
    return w->indices[w->n_indices++] = x;
}

Param *world_param(World *w, const char *name)
{
    Param *x = NEW(w->c, Param);
    *x = (Param){.name = name, .type = TYPE_INT, .number = w->n_params};
    return w->params[w->n_params++] = x;
}

Index *world_find(const World *w, const char *name)
{
    for (unsigned k = 0; k < w->n_indices; k++)
        if (!strcmp(w->indices[k]->name, name)) return w->indices[k];
    return NULL;
}

Tensor *world_tensor(World *w, const char *name, Type type, const char *dims, const char *lo, const char *hi,
                     const char *body) {
    Tensor *t = NEW(w->c, Tensor);
    *t = (Tensor){.name = name,
                  .id = w->c->next_tensor++,
                  .role = body ? ROLE_EQUATION : ROLE_INPUT,
                  .type = type,
                  .recurrence_axis = -1};
    t->dims = NEW_ARRAY(w->c, Index *, 8);
    char text[100], *rest = text;
    snprintf(text, sizeof text, "%s", dims);
    for (char *dim; (dim = strsep(&rest, " "));)
        if (*dim) t->dims[t->n_dims++] = world_find(w, dim);
    if (lo) t->lo = term(w, lo);
    if (hi) t->hi = term(w, hi);
    if (body) t->body = term(w, body);
    return w->tensors[w->n_tensors++] = t;
}

typedef struct Reader { World *w; const char *at; } Reader;
static Node *read_if(Reader *r);

static bool accept(Reader *r, const char *token)
{
    while (*r->at == ' ') r->at++;
    const size_t n = strlen(token);
    if (strncmp(r->at, token, n)) return false;
    if (isalpha((unsigned char)*token) && (isalnum((unsigned char)r->at[n]) || r->at[n] == '_')) return false;
    r->at += n;
    return true;
}

static void expect(Reader *r, const char *token)
{
    if (accept(r, token)) return;
    fprintf(stderr, "expected '%s' at '%s'\n", token, r->at);
    abort();
}

static unsigned read_list(Reader *r, const char *close, Node **out)
{
    unsigned n = 0;
    do out[n++] = read_if(r);
    while (accept(r, ","));
    expect(r, close);
    return n;
}

static Node *read_call(Reader *r, const char *name)
{
    Compilation *c = r->w->c;
    Node *a[8];
    read_list(r, ")", a);
    if (!strcmp(name, "size")) return node_size(c, a[0]->index);
    if (!strcmp(name, "min")) return node_binary(c, N_MIN, a[0], a[1]);
    if (!strcmp(name, "max")) return node_binary(c, N_MAX, a[0], a[1]);
    if (!strcmp(name, "clamp")) return node_binary(c, N_MIN, node_binary(c, N_MAX, a[0], a[1]), a[2]);
    if (!strcmp(name, "abs")) return node_unary(c, N_ABS, a[0]);
    if (!strcmp(name, "int")) return node_unary(c, N_TO_INT, a[0]);
    if (!strcmp(name, "check")) return node_check(c, a[0], a[1], a[2], 0);
    fprintf(stderr, "unknown function %s\n", name);
    abort();
}

static Node *read_name(Reader *r)
{
    World *w = r->w;
    char name[32];
    unsigned n = 0;
    while (isalnum((unsigned char)*r->at) || *r->at == '_') name[n++] = *r->at++;
    name[n] = 0;
    if (accept(r, "(")) return read_call(r, name);
    for (unsigned k = 0; k < w->n_tensors; k++) {
        Node *a[8];
        if (strcmp(w->tensors[k]->name, name)) continue;
        if (accept(r, "[")) read_list(r, "]", a);
        return node_read(w->c, w->tensors[k], a, false);
    }
    if (world_find(w, name)) return node_index(w->c, world_find(w, name));
    for (unsigned k = 0; k < w->n_params; k++)
        if (!strcmp(w->params[k]->name, name)) return node_param(w->c, w->params[k]);
    fprintf(stderr, "unknown name %s\n", name);
    abort();
}

static Node *read_atom(Reader *r)
{
    if (accept(r, "(")) {
        Node *n = read_if(r);
        expect(r, ")");
        return n;
    }
    if (accept(r, "-")) return node_unary(r->w->c, N_NEG, read_atom(r));
    if (accept(r, "true")) return node_bool(r->w->c, true);
    if (accept(r, "false")) return node_bool(r->w->c, false);
    while (*r->at == ' ') r->at++;
    if (!isdigit((unsigned char)*r->at)) return read_name(r);
    char *end;
    const int64_t value = strtoll(r->at, &end, 10);
    r->at = end;
    return node_int(r->w->c, value);
}

static Node *read_product(Reader *r)
{
    Node *n = read_atom(r);
    for (;;) {
        const Op op = accept(r, "*") ? N_MUL : accept(r, "//") ? N_FLOORDIV : accept(r, "%") ? N_MOD : N_OPS;
        if (op == N_OPS) return n;
        n = node_binary(r->w->c, op, n, read_atom(r));
    }
}

static Node *read_sum(Reader *r)
{
    Node *n = read_product(r);
    for (;;) {
        const Op op = accept(r, "+") ? N_ADD : accept(r, "-") ? N_SUB : N_OPS;
        if (op == N_OPS) return n;
        n = node_binary(r->w->c, op, n, read_product(r));
    }
}

static Node *read_comparison(Reader *r)
{
    static const struct { const char *text; Op op; bool swap; } ops[] = {
        {"<=", N_LE, false}, {">=", N_LE, true}, {"==", N_EQ, false},
        {"!=", N_NE, false}, {"<", N_LT, false}, {">", N_LT, true},
    };
    Compilation *c = r->w->c;
    Node *left = read_sum(r), *all = NULL;
    for (;;) {
        unsigned k = 0;
        while (k < 6 && !accept(r, ops[k].text)) k++;
        if (k == 6) return all ? all : left;
        Node *right = read_sum(r);
        Node *test = node_binary(c, ops[k].op, ops[k].swap ? right : left, ops[k].swap ? left : right);
        all = all ? node_binary(c, N_AND, all, test) : test;
        left = right;
    }
}

static Node *read_not(Reader *r)
{
    return accept(r, "not") ? node_unary(r->w->c, N_NOT, read_not(r)) : read_comparison(r);
}

static Node *read_and(Reader *r)
{
    Node *n = read_not(r);
    while (accept(r, "and")) n = node_binary(r->w->c, N_AND, n, read_not(r));
    return n;
}

static Node *read_or(Reader *r)
{
    Node *n = read_and(r);
    while (accept(r, "or")) n = node_binary(r->w->c, N_OR, n, read_and(r));
    return n;
}

static Node *read_if(Reader *r)
{
    if (!accept(r, "if")) return read_or(r);
    Node *condition = read_or(r);
    expect(r, "then");
    Node *then = read_if(r);
    expect(r, "else");
    return node_if(r->w->c, condition, then, read_if(r));
}

Node *term(World *w, const char *text)
{
    Reader r = {w, text};
    Node *n = read_if(&r);
    expect(&r, "");
    if (*r.at) expect(&r, "the end");
    return n;
}

static int64_t floor_of(int64_t a, int64_t b)
{
    return b ? a / b - (a % b != 0 && (a % b < 0) != (b < 0)) : 0;
}

int64_t term_value(const Values *v, const Node *n)
{
    int64_t x[8] = {0};
    if (n->op == N_IF) return term_value(v, n->args[term_value(v, n->args[0]) ? 1 : 2]);
    if (n->op == N_AND) return term_value(v, n->args[0]) && term_value(v, n->args[1]);
    if (n->op == N_OR) return term_value(v, n->args[0]) || term_value(v, n->args[1]);
    for (unsigned k = 0; k < n->n_args; k++) x[k] = term_value(v, n->args[k]);
    switch (n->op) {
    case N_INT: case N_BOOL: return n->integer;
    case N_INDEX: return v->index[n->index->id];
    case N_SIZE: return v->extent[n->index->id];
    case N_PARAM: return v->param[n->param->number];
    case N_READ: return v->read(v, n, x);
    case N_TO_INT: return x[0];
    case N_NEG: return -x[0];
    case N_NOT: return !x[0];
    case N_ADD: return x[0] + x[1];
    case N_SUB: return x[0] - x[1];
    case N_MUL: return x[0] * x[1];
    case N_FLOORDIV: return floor_of(x[0], x[1]);
    case N_MOD: return x[0] - x[1] * floor_of(x[0], x[1]);
    case N_MIN: return x[0] < x[1] ? x[0] : x[1];
    case N_MAX: return x[0] > x[1] ? x[0] : x[1];
    case N_ABS: return x[0] < 0 ? -x[0] : x[0];
    case N_EQ: return x[0] == x[1];
    case N_NE: return x[0] != x[1];
    case N_LT: return x[0] < x[1];
    case N_LE: return x[0] <= x[1];
    default: fprintf(stderr, "no value for %s\n", op_name(n->op)); abort();
    }
}
