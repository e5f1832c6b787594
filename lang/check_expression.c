/* Elaborates expressions: names, operators, conditions; calls and brackets go to their own files. */
#include "check.h"

#include <math.h>
#include <string.h>

enum { DEPTH_MAX = 1200, WORK_MAX = 400000 };

static Value unknown_name(const Env *e, const Ast *a)
{
    Diag *d;
    bool function = global_find(e->scope->file, a->name) || is_builtin(a->name) || is_bracket(a->name);
    Value none = fail(e, &d, E101, a->name_span,
                      function ? "`%s` is a function and needs its arguments" : "unknown name `%s`", a->name);
    if (!function) hint_name(e->k, d, e->scope, a->name, false);
    if (function)
        diag_hint(e->k->c, d, is_bracket(a->name) ? "write `%s[j](...)`" : "write `%s(...)`", a->name);
    if (!function && e->scope->function)
        diag_hint(e->k->c, d, "`%s` sees its arguments alone: what it uses has to be passed",
                  e->scope->function);
    return none;
}

Value closure_value(const Env *e, Closure *closure)
{
    for (uint32_t n = 0; n < closure->memo.n; n++) {
        const Memo *m = &closure->memo.at[n];
        if (m->map == e->map && m->pad == e->pad) return m->value;
    }
    Env inner = *e;
    inner.scope = closure->scope;
    Value v = elaborate(&inner, closure->ast);
    PUSH(e->k->c, &closure->memo, (Memo){e->map, e->pad, v});
    return v;
}

static Value index_value(const Env *e, Index *index)
{
    resolve_index(e->k, index);
    Node *n = e->cost ? node_size(e->k->c, index) : position(e, index);
    return value_make(e->k, n);
}

static Value elaborate_name(const Env *e, const Ast *a)
{
    Compilation *c = e->k->c;
    if (!strcmp(a->name, "pi")) return value_make(e->k, node_real(c, 3.14159265358979323846));
    if (!strcmp(a->name, "inf")) return value_make(e->k, node_real(c, INFINITY));
    Symbol *s = scope_find(e->scope, a->name);
    if (!s) return unknown_name(e, a);
    switch (s->kind) {
    case SYMBOL_INDEX: return index_value(e, s->index);
    case SYMBOL_NODE: return s->node ? value_make(e->k, s->node) : value_none();
    case SYMBOL_ENTITY: return read_bare(e, s->entity, a->span);
    default: return closure_value(e, s->closure);
    }
}

static Value elaborate_not(const Env *e, const Ast *a)
{
    Value x = elaborate(e, a->operands[0]);
    x = value_convert(e, x, TYPE_BOOL, a->operands[0]->span, "the operand of `not`");
    if (x.node) x.node = node_unary(e->k->c, N_NOT, x.node);
    x.kept = NULL;
    return x;
}

static Value elaborate_negation(const Env *e, const Ast *a)
{
    Value x = elaborate(e, a->operands[0]);
    if (!x.node) return x;
    if (x.node->type == TYPE_BOOL) return value_convert(e, x, TYPE_REAL, a->span, "the operand of `-`");
    x.node = node_unary(e->k->c, N_NEG, x.node);
    return x;
}

/* The right side exists, and has to be in range, only where the left side does not decide. */
static Value elaborate_logic(const Env *e, const Ast *a)
{
    Compilation *c = e->k->c;
    const char *what = a->op == OP_AND ? "an operand of `and`" : "an operand of `or`";
    Value x = value_convert(e, elaborate(e, a->operands[0]), TYPE_BOOL, a->operands[0]->span, what);
    Value y = value_convert(e, elaborate(e, a->operands[1]), TYPE_BOOL, a->operands[1]->span, what);
    if (!x.node || !y.node) return value_none();
    note_condition(e, a->operands[0], x.node);
    note_condition(e, a->operands[1], y.node);
    Value v = {.node = node_binary(c, a->op == OP_AND ? N_AND : N_OR, x.node, y.node),
               .free = set_union(c, x.free, y.free)};
    Node *inside = y.inside;
    if (inside)
        inside = node_binary(c, N_OR, a->op == OP_AND ? node_unary(c, N_NOT, x.node) : x.node, inside);
    v.inside = both(e->k, x.inside, inside);
    return v;
}

static Node *or_true(Compilation *c, Node *n) { return n ? n : node_bool(c, true); }

static Value elaborate_if(const Env *e, const Ast *a)
{
    Compilation *c = e->k->c;
    const Ast *test = a->operands[0];
    Value t = value_convert(e, elaborate(e, test), TYPE_BOOL, test->span, "the condition of `if`");
    note_condition(e, test, t.node);
    Value x = elaborate(e, a->operands[1]), y = elaborate(e, a->operands[2]);
    if (!value_unify(e, &x, &y, a->span, "the two sides of `if`") || !t.node) return value_none();
    Value v = {.free = set_union(c, t.free, set_union(c, x.free, y.free)), .inside = t.inside};
    v.node = node_if(c, t.node, value_node(e->k, x), value_node(e->k, y));
    if (x.kept || y.kept) v.kept = node_if(c, t.node, or_true(c, x.kept), or_true(c, y.kept));
    if (v.kept && node_is_bool(v.kept, true)) v.kept = NULL;
    if (x.inside || y.inside)
        v.inside = both(e->k, v.inside, node_if(c, t.node, or_true(c, x.inside), or_true(c, y.inside)));
    return v;
}

static Value elaborate_comparison(const Env *e, const Ast *a)
{
    Compilation *c = e->k->c;
    Value left = elaborate(e, a->operands[0]), all = {.node = NULL};
    bool failed = !left.node;
    for (uint32_t n = 1; n < a->n; n++) {
        Value right = elaborate(e, a->operands[n]);
        Ast pair = *a;
        pair.span = span_join(a->operands[n - 1]->span, a->operands[n]->span);
        Value test = value_operator(e, &pair, a->ops[n - 1], left, right);
        failed |= !test.node;
        if (!failed && n > 1) {
            Node *inside =
                test.inside ? node_binary(c, N_OR, node_unary(c, N_NOT, all.node), test.inside) : NULL;
            test.inside = both(e->k, all.inside, inside);
            test.node = node_binary(c, N_AND, all.node, test.node);
            test.free = set_union(c, all.free, test.free);
        }
        all = test;
        left = right;
    }
    return failed ? value_none() : all;
}

static Value elaborate_member(const Env *e, const Ast *a)
{
    const Ast *call = a->operands[0];
    Global *g = call->kind == AST_CALL ? global_find(e->scope->file, call->name) : NULL;
    AstName name = {a->name, a->name_span};
    if (g && g->pattern) return call_pattern(e, call, g, &name);
    Diag *d;
    Value none = fail(e, &d, E405, a->span,
                      "`.%s` stands behind the call of a pattern: it picks one of its outputs", a->name);
    if (!strcmp(a->name, "last"))
        diag_hint(e->k->c, d, "the state after the last step is `S[last(t)]`");
    return none;
}

/* `c(j)`: the block of a position. */
static Value block_of_position(const Env *e, const Ast *a, Index *block)
{
    Checker *k = e->k;
    if (a->n != 1 || !ast_is_plain(a->operands[0]))
        return fail(e, NULL, E105, a->span, "`%s(j)` is the block of one position", a->name);
    const Ast *arg = a->operands[0];
    Value x = value_convert(e, elaborate(e, arg), TYPE_INT, arg->span, "a position");
    if (!x.node) return value_none();
    resolve_index(k, block);
    Env inner = *e;
    inner.map = map_push(k, e->map, block->block_of, from_position(e, block->block_of, x.node));
    Node *at = at_map(&inner, block->block_at), *origin = origin_of(e, block);
    x.node = origin ? node_binary(k->c, N_ADD, origin, at) : at;
    x.free = set_union(k->c, x.free, x.node->free);
    x.kept = NULL;
    return x;
}

static Value unknown_function(const Env *e, const Ast *a)
{
    Diag *d;
    Symbol *s = scope_find(e->scope, a->name);
    if (s) {
        Value none = fail(
            e, &d, E102, a->name_span,
            s->kind == SYMBOL_INDEX ? "`%s` is an index but no block index" : "`%s` is no function", a->name);
        if (s->kind == SYMBOL_ENTITY) diag_hint(e->k->c, d, "subscripts stand in [ ]: `%s[...]`", a->name);
        else if (s->kind != SYMBOL_INDEX) hint_name(e->k, d, e->scope, a->name, true);
        if (s->kind == SYMBOL_INDEX) diag_hint(e->k->c, d, "declare it: `block %s of j by 64`", a->name);
        return none;
    }
    if (is_bracket(a->name)) {
        Value none = fail(e, &d, E102, a->name_span, "`%s` needs the indices that it binds", a->name);
        diag_hint(e->k->c, d, "write `%s[j](...)`", a->name);
        return none;
    }
    Value none = fail(e, &d, E102, a->name_span, "unknown function `%s`", a->name);
    hint_name(e->k, d, e->scope, a->name, true);
    return none;
}

static Value elaborate_call(const Env *e, const Ast *a)
{
    Symbol *s = scope_find(e->scope, a->name);
    if (s && s->kind == SYMBOL_INDEX) {
        resolve_index(e->k, s->index);
        if (s->index->block_of) return block_of_position(e, a, s->index);
    }
    Global *g = global_find(e->scope->file, a->name);
    if (g && g->function) return call_function(e, a, g);
    if (g) return call_pattern(e, a, g, NULL);
    return is_builtin(a->name) ? builtin_call(e, a) : unknown_function(e, a);
}

static Value dispatch(const Env *e, const Ast *a)
{
    Compilation *c = e->k->c;
    switch (a->kind) {
    case AST_INTEGER: return value_make(e->k, node_int(c, a->integer));
    case AST_REAL: return value_make(e->k, node_real(c, a->real));
    case AST_BOOLEAN: return value_make(e->k, node_bool(c, a->boolean));
    case AST_NAME: return elaborate_name(e, a);
    case AST_SUBSCRIPT: return elaborate_subscript(e, a);
    case AST_CALL: return elaborate_call(e, a);
    case AST_BRACKET: return elaborate_bracket(e, a);
    case AST_MEMBER: return elaborate_member(e, a);
    case AST_UNARY: return a->op == OP_NOT ? elaborate_not(e, a) : elaborate_negation(e, a);
    case AST_COMPARE: return elaborate_comparison(e, a);
    case AST_IF: return elaborate_if(e, a);
    case AST_BINARY: break;
    default: BUG(c, "expression of kind %d", (int)a->kind);
    }
    if (a->op == OP_AND || a->op == OP_OR) return elaborate_logic(e, a);
    Value x = elaborate(e, a->operands[0]), y = elaborate(e, a->operands[1]);
    return value_operator(e, a, a->op, x, y);
}

Value elaborate(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    if (k->too_large) return value_none();
    if (++k->work > WORK_MAX || k->depth > DEPTH_MAX) {
        k->too_large = true;
        Diag *d;
        Value none = fail(e, &d, E118, a->span,
                          "`%s` is too large once its functions and patterns are inlined", k->pattern->name);
        diag_hint(k->c, d, "give parts of it names: an equation is elaborated once");
        return none;
    }
    Span span = node_set_span(k->c, a->span);
    k->depth++;
    Value v = dispatch(e, a);
    if (v.node) v.free = set_union(k->c, v.free, v.node->free); /* origins and blocks bring their own */
    k->depth--;
    node_set_span(k->c, span);
    return v;
}

static Node *note_read(void *context, Compilation *c, Node *n)
{
    (void)c;
    if (n->op == N_READ || n->op == N_RAND || n->op == N_CHECK) *(bool *)context = true;
    return n;
}

static bool node_reads(Compilation *c, Node *n)
{
    bool reads = false;
    node_rewrite(c, n, note_read, &reads);
    return reads;
}

Node *elaborate_scalar(const Env *e, const Ast *a, Type type, DiagCode code, const char *what)
{
    bool begun = exact_begin(e->k->c);
    Value v = value_convert(e, elaborate(e, a), type, a->span, what);
    bool exact = exact_end(e->k->c, begun);
    if (!v.node) return NULL;
    if (!exact) return fail(e, NULL, E122, a->span, "%s leaves 64 bits", what).node;
    if (v.free == set_empty(e->k->c) && !v.node->has_binder && !node_reads(e->k->c, v.node)) return v.node;
    Diag *d;
    fail(e, &d, code, a->span, "%s is more than extents, parameters and literals", what);
    diag_hint(e->k->c, d,
              "`size(i)` is the extent of i; a value of a tensor or a position is not known when tensors are "
              "bound");
    return NULL;
}
