/* The makers of syntax trees, one for each action of the grammar, and ast_parse. Makers also report what the
 * grammar lets pass: misplaced `where`, mixed subscripts, brackets that should hold index names, doubled
 * clauses. */
#include "lang/syntax.h"

#include <string.h>

/* Expressions */

static uint32_t deeper(uint32_t depth, const Ast *e) { return e && e->depth >= depth ? e->depth + 1 : depth; }

/* Depth is bounded so that later passes may recurse. */
static Ast *check_depth(Parser *p, Ast *e, uint32_t depth)
{
    e->depth = depth;
    if (depth > TREE_MAX && !p->stopped) {
        syntax_diag(p, E008, e->name_span, "more than %d levels of expressions inside each other", TREE_MAX);
        p->stopped = true;
    }
    return e;
}

/* Completes a new expression. */
static Ast *finish(Parser *p, Ast *e)
{
    uint32_t depth = deeper(deeper(1, e->base), e->where);
    for (uint32_t i = 0; i < e->operands.n; i++) depth = deeper(depth, e->operands.at[i]);
    for (uint32_t i = 0; i < e->args.n; i++) depth = deeper(depth, e->args.at[i].value);
    return check_depth(p, e, depth);
}

static Ast *new_ast(Parser *p, AstKind kind, Span span, Span name_span)
{
    Ast *e = NEW(p->c, Ast);
    e->kind = kind;
    e->span = span;
    e->name_span = name_span;
    e->depth = 1;
    return e;
}

static Ast *new_named(Parser *p, AstKind kind, Span span, AstName name)
{
    Ast *e = new_ast(p, kind, span, name.span);
    e->name = name.name;
    return e;
}

Ast *ast_integer(Parser *p, Span span, int64_t value)
{
    Ast *e = new_ast(p, AST_INTEGER, span, span);
    e->integer = value;
    return e;
}

Ast *ast_real(Parser *p, Span span, double value)
{
    Ast *e = new_ast(p, AST_REAL, span, span);
    e->real = value;
    return e;
}

Ast *ast_boolean(Parser *p, Span span, bool value)
{
    Ast *e = new_ast(p, AST_BOOLEAN, span, span);
    e->boolean = value;
    return e;
}

Ast *ast_name(Parser *p, AstName name) { return new_named(p, AST_NAME, name.span, name); }

Ast *ast_bracketed(Ast *e, Span span)
{
    e->span = span;
    return e;
}

Ast *ast_unary(Parser *p, Span span, AstOp op, Span op_span, Ast *a)
{
    Ast *e = new_ast(p, AST_UNARY, span, op_span);
    e->op = op;
    PUSH(p->c, &e->operands, a);
    return finish(p, e);
}

Ast *ast_binary(Parser *p, Span span, AstOp op, Span op_span, Ast *a, Ast *b)
{
    Ast *e = new_ast(p, AST_BINARY, span, op_span);
    e->op = op;
    PUSH(p->c, &e->operands, a);
    PUSH(p->c, &e->operands, b);
    return finish(p, e);
}

Ast *ast_compare(Parser *p, Span span, AstOp op, Span op_span, Ast *a, Ast *b)
{
    Ast *e = ast_binary(p, span, op, op_span, a, b);
    e->kind = AST_COMPARE;
    e->ops = NEW_ARRAY(p->c, AstOp, 1);
    e->ops[0] = op;
    return e;
}

Ast *ast_chain(Parser *p, Span span, AstOp op, Span op_span, Ast *chain, Ast *b)
{
    (void)op_span;
    uint32_t n = chain->operands.n - 1; /* operators so far; there is room for a power of two */
    if (!(n & (n - 1))) {
        AstOp *ops = NEW_ARRAY(p->c, AstOp, 2 * (size_t)n);
        memcpy(ops, chain->ops, sizeof *ops * n);
        chain->ops = ops;
    }
    chain->ops[n] = op;
    chain->span = span;
    PUSH(p->c, &chain->operands, b);
    return check_depth(p, chain, deeper(chain->depth, b));
}

Ast *ast_if(Parser *p, Span span, Ast *condition, Ast *yes, Ast *no)
{
    Ast *e = new_ast(p, AST_IF, span, span);
    PUSH(p->c, &e->operands, condition);
    PUSH(p->c, &e->operands, yes);
    PUSH(p->c, &e->operands, no);
    return finish(p, e);
}

Ast *ast_member(Parser *p, Span span, Ast *base, AstName name)
{
    Ast *e = new_named(p, AST_MEMBER, span, name);
    e->base = base;
    return finish(p, e);
}

/* Subscripts, arguments and binders */

AstItem ast_item(Span span, Ast *value, AstWhere where)
{
    return (AstItem){{.value = value, .span = span}, {0}, where};
}

AstItem ast_item_named(Span span, AstName name, Ast *value, AstWhere where)
{
    return (AstItem){{name.name, value, false, span, name.span}, {0}, where};
}

AstItem ast_item_index(Parser *p, Span span, AstName name)
{
    return (AstItem){{NULL, ast_name(p, name), true, span, name.span}, {0}, {0}};
}

AstItem ast_item_to(Span span, Ast *value, AstName to)
{
    return (AstItem){{.value = value, .span = span}, to, {0}};
}

AstItems ast_add_item(Parser *p, AstItems list, AstItem item)
{
    PUSH(p->c, &list, item);
    return list;
}

static void no_arrow(Parser *p, const AstItem *item)
{
    if (item->to.name)
        syntax_diag(p, E015, item->arg.span,
                    "`->` makes a new index only in the brackets of a selection: `top_index[j -> r](...)`");
}

Ast *ast_subscript(Parser *p, Span span, AstName name, AstItems items)
{
    Ast *e = new_named(p, AST_SUBSCRIPT, span, name);
    bool mixed = false;
    for (uint32_t i = 0; i < items.n; i++) {
        const AstItem *item = &items.at[i];
        no_arrow(p, item);
        mixed |= !item->arg.name != !items.at[0].arg.name;
        if (item->arg.name) PUSH(p->c, &e->args, item->arg);
        else PUSH(p->c, &e->operands, item->arg.value);
    }
    if (mixed)
        syntax_diag(p, E016, span, "the subscripts of `%s` are either all positions or all named (`i = ...`)",
                    name.name);
    return finish(p, e);
}

/* Adds arguments to a call; `where` may follow the first one, in the brackets of a reduction and its like. */
static void add_arguments(Parser *p, Ast *e, AstItems items, bool may_where)
{
    for (uint32_t i = 0; i < items.n; i++) {
        const AstItem *item = &items.at[i];
        bool named_before = i > 0 && items.at[i - 1].arg.name;
        if (named_before && !item->arg.name)
            syntax_diag(p, E016, item->arg.span, "an argument without a name after one with a name");
        PUSH(p->c, &e->args, item->arg);
        if (!item->where.condition) continue;
        if (may_where && i == 0 && !item->arg.name) {
            e->where = item->where.condition;
            continue;
        }
        Diag *d = syntax_diag(p, E014, item->where.span,
                              may_where ? "`where` follows the first argument of `%s`"
                                        : "`%s` is a function: it takes no `where`",
                              e->name);
        if (d && !may_where)
            diag_hint(p->c, d, "`where` stands in the brackets of a reduction: `sum[j](x where c)`");
    }
}

Ast *ast_call(Parser *p, Span span, AstName name, AstItems items)
{
    Ast *e = new_named(p, AST_CALL, span, name);
    add_arguments(p, e, items, false);
    return finish(p, e);
}

static bool is_plain(const Ast *e) { return e->kind == AST_NAME; }

/* `j`, `j | c` or `j -> r`: as an expression the second is a bit operation on two names. */
static bool make_binder(const AstItem *item, AstBinder *binder)
{
    const Ast *e = item->arg.value;
    bool blocked = e->kind == AST_BINARY && e->op == OP_BITOR && is_plain(e->operands.at[0])
                   && is_plain(e->operands.at[1]) && e->span.from == e->operands.at[0]->span.from
                   && e->span.to == e->operands.at[1]->span.to;
    if (item->arg.name || item->where.condition || (!is_plain(e) && !blocked)) return false;
    const Ast *name = blocked ? e->operands.at[0] : e, *block = blocked ? e->operands.at[1] : NULL;
    *binder =
        (AstBinder){.name = name->name, .span = name->span, .to = item->to.name, .to_span = item->to.span};
    if (block) binder->block = block->name, binder->block_span = block->span;
    return true;
}

Ast *ast_bracket(Parser *p, Span span, AstName name, AstItems binders, AstItems items)
{
    Ast *e = new_named(p, AST_BRACKET, span, name);
    for (uint32_t i = 0; i < binders.n; i++) {
        AstBinder binder;
        if (make_binder(&binders.at[i], &binder)) {
            PUSH(p->c, &e->binders, binder);
            continue;
        }
        Diag *d =
            syntax_diag(p, E015, binders.at[i].arg.span, "the brackets of `%s` hold index names", name.name);
        if (d) diag_hint(p->c, d, "`%s[j](...)`, within blocks `%s[j | c](...)`", name.name, name.name);
    }
    add_arguments(p, e, items, true);
    return finish(p, e);
}

/* Signatures */

static bool same(const char *a, const char *b) { return !strcmp(a, b); }

AstType ast_type(Parser *p, Span span, AstName name)
{
    static const char *const names[] = {
#define STORAGE(name, text) text,
#include "storage_list.h"
#undef STORAGE
    };
    for (int i = 0; i < STORAGES; i++)
        if (same(name.name, names[i])) return (AstType){(StorageType)i, NULL, NULL, span};
    Diag *d = syntax_diag(p, E011, span, "unknown type `%s`", name.name);
    if (d) diag_hint(p->c, d, "the types are float, f64, f32, f16, bf16, int and bool");
    return (AstType){STORAGE_FLOAT, NULL, NULL, span};
}

AstType ast_range(Parser *p, Span span, AstType type, Ast *lo, Ast *hi)
{
    if (type.type != STORAGE_INT) {
        Diag *d = syntax_diag(p, E017, span, "only `int` has a range");
        if (d) diag_hint(p->c, d, "write `: int in lo..hi`; hi is excluded");
        return type;
    }
    type.lo = lo;
    type.hi = hi;
    return type;
}

AstNames ast_add_name(Parser *p, AstNames list, AstName name)
{
    PUSH(p->c, &list, name);
    return list;
}

AstTensor ast_tensor(Span span, AstName name, AstType type, AstNames dims, bool has_dims)
{
    return (AstTensor){name, dims, has_dims, type, span};
}

AstTensor ast_tensor_range(Parser *p, Span span, AstTensor tensor, Ast *lo, Ast *hi)
{
    Span place = tensor.type.span.to ? tensor.type.span : tensor.name.span;
    tensor.type = ast_range(p, place, tensor.type, lo, hi);
    tensor.span = span;
    return tensor;
}

AstTensors ast_add_tensor(Parser *p, AstTensors list, AstTensor tensor)
{
    PUSH(p->c, &list, tensor);
    return list;
}

AstParam ast_param(Parser *p, Span span, AstName name, AstType type, Ast *value)
{
    bool scalar = type.type == STORAGE_INT || type.type == STORAGE_FLOAT || type.type == STORAGE_BOOL;
    if (!type.span.to) {
        Diag *d = syntax_diag(p, E012, name.span, "the parameter `%s` has no type", name.name);
        if (d)
            diag_hint(p->c, d, "write `%s: int`, `%s: float` or `%s: bool`", name.name, name.name, name.name);
    } else if (!scalar) {
        syntax_diag(p, E012, type.span, "a parameter is `int`, `float` or `bool`");
    } else if (type.hi) {
        Diag *d = syntax_diag(p, E012, type.span, "a parameter has no range");
        if (d) diag_hint(p->c, d, "state it in the body: `require ... <= %s`", name.name);
    }
    return (AstParam){name, type, value, span};
}

AstParams ast_add_param(Parser *p, AstParams list, AstParam param)
{
    PUSH(p->c, &list, param);
    return list;
}

AstExamples ast_add_example(Parser *p, AstExamples list, AstName name, Ast *value)
{
    PUSH(p->c, &list, (AstExample){name, value});
    return list;
}

AstClauses *ast_clauses(Parser *p) { return NEW(p->c, AstClauses); }

static void once(Parser *p, Span *seen, Span span)
{
    if (seen->to) {
        Diag *d = syntax_diag(p, E013, span, "a second `%s`", token_text(p, span));
        if (d) diag_note(p->c, d, *seen, "the first one");
    }
    *seen = span;
}

AstClauses *ast_clause_with(Parser *p, AstClauses *clauses, Span span, AstTensors captures)
{
    once(p, &clauses->with, span);
    clauses->captures = captures;
    return clauses;
}

AstClauses *ast_clause_example(Parser *p, AstClauses *clauses, Span span, AstExamples examples)
{
    once(p, &clauses->example, span);
    clauses->examples = examples;
    return clauses;
}

AstClauses *ast_clause_cost(Parser *p, AstClauses *clauses, Span span, Ast *cost)
{
    once(p, &clauses->cost_span, span);
    clauses->cost = cost;
    return clauses;
}
