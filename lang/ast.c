/* The makers of syntax trees, one for each action of the grammar, and ast_parse. Makers also report what the
 * grammar lets pass: misplaced `where`, mixed subscripts, brackets that should hold index names, doubled
 * clauses. */
#include "lang/syntax.h"

#include <string.h>

/* Expressions */

/* Depth is bounded so that later passes may recurse. */
static void set_depth(Parser *p, Ast *e, uint32_t depth)
{
    if (depth > TREE_MAX && !p->stopped) {
        syntax_diag(p, E008, e->name_span, "more than %d levels of expressions inside each other", TREE_MAX);
        p->stopped = true;
    }
    e->depth = depth & UINT16_MAX;
}

static void deepen(Parser *p, Ast *e)
{
    uint32_t depth = 0;
    for (uint32_t i = 0; i < e->n; i++)
        if (e->operands[i]->depth > depth) depth = e->operands[i]->depth;
    set_depth(p, e, depth + 1);
}

/* With room for n operands behind it. */
static Ast *new_ast(Parser *p, AstKind kind, Span span, Span name_span, uint32_t n)
{
    Ast *e = arena_alloc(p->c, sizeof *e + sizeof *e->operands * n);
    *e = (Ast){.kind = kind, .depth = 1, .n = n, .span = span, .name_span = name_span};
    if (n) e->operands = (Ast **)(e + 1);
    return e;
}

static Ast *new_named(Parser *p, AstKind kind, Span span, AstName name, uint32_t n)
{
    Ast *e = new_ast(p, kind, span, name.span, n);
    e->name = name.name;
    return e;
}

/* In brackets of its own parent, so it takes no level of the tree. */
static Ast *wrap(Parser *p, AstKind kind, Span span, AstName name, Ast *inside)
{
    Ast *e = new_named(p, kind, span, name, 1);
    e->operands[0] = inside;
    e->depth = inside->depth;
    return e;
}

Ast *ast_integer(Parser *p, Span span, int64_t value)
{
    Ast *e = new_ast(p, AST_INTEGER, span, span, 0);
    e->integer = value;
    return e;
}

Ast *ast_real(Parser *p, Span span, double value)
{
    Ast *e = new_ast(p, AST_REAL, span, span, 0);
    e->real = value;
    return e;
}

Ast *ast_boolean(Parser *p, Span span, bool value)
{
    Ast *e = new_ast(p, AST_BOOLEAN, span, span, 0);
    e->boolean = value;
    return e;
}

Ast *ast_name(Parser *p, AstName name) { return new_named(p, AST_NAME, name.span, name, 0); }

Ast *ast_bracketed(Ast *e, Span span)
{
    e->span = span;
    return e;
}

Ast *ast_unary(Parser *p, Span span, AstOp op, Span op_span, Ast *a)
{
    Ast *e = new_ast(p, AST_UNARY, span, op_span, 1);
    e->op = op;
    e->operands[0] = a;
    deepen(p, e);
    return e;
}

static Ast *new_pair(Parser *p, AstKind kind, Span span, Span op_span, Ast *a, Ast *b)
{
    Ast *e = new_ast(p, kind, span, op_span, 2);
    e->operands[0] = a;
    e->operands[1] = b;
    deepen(p, e);
    return e;
}

Ast *ast_binary(Parser *p, Span span, AstOp op, Span op_span, Ast *a, Ast *b)
{
    Ast *e = new_pair(p, AST_BINARY, span, op_span, a, b);
    e->op = op;
    return e;
}

/* Operands and operators of a chain have room for a power of two. */
static void chain_ops(Parser *p, Ast *e, AstOp op)
{
    uint32_t n = e->n - 2; /* operators so far */
    AstOp *ops = (AstOp *)e->ops;
    if (!(n & (n - 1))) {
        ops = NEW_ARRAY(p->c, AstOp, n ? 2 * (size_t)n : 1);
        if (n) memcpy(ops, e->ops, sizeof *ops * n);
    }
    ops[n] = op;
    e->ops = ops;
}

Ast *ast_compare(Parser *p, Span span, AstOp op, Span op_span, Ast *a, Ast *b)
{
    Ast *e = new_pair(p, AST_COMPARE, span, op_span, a, b);
    chain_ops(p, e, op);
    return e;
}

Ast *ast_chain(Parser *p, Span span, AstOp op, Ast *chain, Ast *b)
{
    uint32_t n = chain->n;
    if (!(n & (n - 1))) {
        Ast **operands = NEW_ARRAY(p->c, Ast *, 2 * (size_t)n);
        memcpy(operands, chain->operands, sizeof *operands * n);
        chain->operands = operands;
    }
    chain->operands[chain->n++] = b;
    chain_ops(p, chain, op);
    chain->span = span;
    if (b->depth >= chain->depth) set_depth(p, chain, b->depth + 1);
    return chain;
}

Ast *ast_if(Parser *p, Span span, Ast *condition, Ast *yes, Ast *no)
{
    Ast *e = new_ast(p, AST_IF, span, span, 3);
    e->operands[0] = condition;
    e->operands[1] = yes;
    e->operands[2] = no;
    deepen(p, e);
    return e;
}

Ast *ast_member(Parser *p, Span span, Ast *base, AstName name)
{
    Ast *e = new_named(p, AST_MEMBER, span, name, 1);
    e->operands[0] = base;
    deepen(p, e);
    return e;
}

/* Subscripts, arguments and binders */

Ast *ast_named(Parser *p, Span span, AstName name, Ast *value)
{
    return wrap(p, AST_NAMED, span, name, value);
}

Ast *ast_index_name(Parser *p, Span span, AstName name)
{
    return wrap(p, AST_INDEX_NAME, span, name, ast_name(p, name));
}

Ast *ast_arrow(Parser *p, Span span, AstName from, AstName to)
{
    return wrap(p, AST_ARROW, span, to, ast_name(p, from));
}

Ast *ast_with(Parser *p, Ast *item, AstWhere where)
{
    return where.condition ? new_pair(p, AST_WHERE, item->span, where.span, item, where.condition) : item;
}

AstList ast_add(Parser *p, AstList list, Ast *e)
{
    PUSH(p->c, &list, e);
    return list;
}

static void take_operands(Parser *p, Ast *e, AstList items)
{
    e->operands = items.at;
    e->n = items.n;
    deepen(p, e);
}

Ast *ast_subscript(Parser *p, Span span, AstName name, AstList items)
{
    bool mixed = false;
    for (uint32_t i = 0; i < items.n; i++) {
        Ast *item = items.at[i];
        if (item->kind == AST_ARROW) {
            syntax_diag(p, E015, item->span, "`->` makes a new index only in the brackets of a selection: "
                                             "`top_index[j -> r](...)`");
            items.at[i] = item->operands[0];
        }
        mixed |= (item->kind == AST_NAMED) != (items.at[0]->kind == AST_NAMED);
    }
    if (mixed)
        syntax_diag(p, E016, span, "the subscripts of `%s` are either all positions or all named (`i = ...`)",
                    name.name);
    Ast *e = new_named(p, AST_SUBSCRIPT, span, name, 0);
    take_operands(p, e, items);
    return e;
}

/* The condition behind argument i; it belongs behind the first one in the brackets of a reduction and its like. */
static Ast *take_where(Parser *p, const Ast *e, const Ast *with, uint32_t i)
{
    bool may = e->kind == AST_BRACKET;
    if (may && i == 0 && with->operands[0]->kind != AST_NAMED) return with->operands[1];
    Diag *d = syntax_diag(p, E014, with->name_span,
                          may ? "`where` follows the first argument of `%s`"
                              : "`%s` is a function: it takes no `where`",
                          e->name);
    if (d && !may) diag_hint(p->c, d, "`where` stands in the brackets of a reduction: `sum[j](x where c)`");
    return NULL;
}

/* Its arguments, and the condition behind them. */
static Ast *add_arguments(Parser *p, Ast *e, AstList items)
{
    Ast *where = NULL;
    for (uint32_t i = 0; i < items.n; i++) {
        const Ast *with = items.at[i]->kind == AST_WHERE ? items.at[i] : NULL;
        if (with) items.at[i] = with->operands[0];
        if (i > 0 && items.at[i - 1]->kind == AST_NAMED && items.at[i]->kind != AST_NAMED)
            syntax_diag(p, E016, items.at[i]->span, "an argument without a name after one with a name");
        if (!with) continue;
        Ast *condition = take_where(p, e, with, i);
        if (condition) where = condition;
    }
    if (where) PUSH(p->c, &items, where);
    take_operands(p, e, items);
    return where;
}

Ast *ast_call(Parser *p, Span span, AstName name, AstList items)
{
    Ast *e = new_named(p, AST_CALL, span, name, 0);
    add_arguments(p, e, items);
    return e;
}

static bool is_name(const Ast *e) { return e->kind == AST_NAME; }

/* `j`, `j | c` or `j -> r`: as an expression the second is a bit operation on two names. */
static bool make_binder(const Ast *item, AstBinder *binder)
{
    const Ast *e = item->kind == AST_ARROW ? item->operands[0] : item;
    bool blocked = e->kind == AST_BINARY && e->op == OP_BITOR && is_name(e->operands[0])
                   && is_name(e->operands[1]) && e->span.from == e->operands[0]->span.from && e->span.to == e->operands[1]->span.to;
    if (!is_name(e) && !blocked) return false;
    const Ast *name = blocked ? e->operands[0] : e, *block = blocked ? e->operands[1] : NULL;
    *binder = (AstBinder){.name = name->name, .span = name->span};
    if (item != e) binder->to = item->name, binder->to_span = item->name_span;
    if (block) binder->block = block->name, binder->block_span = block->span;
    return true;
}

Ast *ast_bracket(Parser *p, Span span, AstName name, AstList binders, AstList items)
{
    AstBracket *e = NEW(p->c, AstBracket);
    e->ast = (Ast){.kind = AST_BRACKET, .span = span, .name_span = name.span, .name = name.name};
    for (uint32_t i = 0; i < binders.n; i++) {
        AstBinder binder;
        if (make_binder(binders.at[i], &binder)) {
            PUSH(p->c, &e->binders, binder);
            continue;
        }
        Diag *d =
            syntax_diag(p, E015, binders.at[i]->span, "the brackets of `%s` hold index names", name.name);
        if (d) diag_hint(p->c, d, "`%s[j](...)`, within blocks `%s[j | c](...)`", name.name, name.name);
    }
    e->where = add_arguments(p, &e->ast, items);
    return &e->ast;
}

/* Signatures */

static bool same(const char *a, const char *b) { return !strcmp(a, b); }

static AstType *new_type(Parser *p, StorageType type, Span span)
{
    AstType *made = NEW(p->c, AstType);
    *made = (AstType){.type = type, .span = span};
    return made;
}

AstType *ast_type(Parser *p, Span span, AstName name)
{
    static const char *const names[] = {
#define STORAGE(name, text) text,
#include "storage_list.h"
#undef STORAGE
    };
    for (int i = 0; i < STORAGES; i++)
        if (same(name.name, names[i])) return new_type(p, (StorageType)i, span);
    Diag *d = syntax_diag(p, E011, span, "unknown type `%s`", name.name);
    if (d) diag_hint(p->c, d, "the types are float, f64, f32, f16, bf16, int and bool");
    return new_type(p, STORAGE_FLOAT, span);
}

AstType *ast_range(Parser *p, Span span, AstType *type, Ast *lo, Ast *hi)
{
    if (type->type != STORAGE_INT) {
        Diag *d = syntax_diag(p, E017, span, "only `int` has a range");
        if (d) diag_hint(p->c, d, "write `: int in lo..hi`; hi is excluded");
        return type;
    }
    type->lo = lo;
    type->hi = hi;
    return type;
}

AstNames ast_add_name(Parser *p, AstNames list, AstName name)
{
    PUSH(p->c, &list, name);
    return list;
}

AstTensor *ast_tensor(Parser *p, Span span, AstName name, const AstType *type, AstNames dims, bool has_dims)
{
    AstTensor *tensor = NEW(p->c, AstTensor);
    *tensor = (AstTensor){.name = name, .dims = dims, .has_dims = has_dims, .span = span};
    if (type) tensor->type = *type;
    return tensor;
}

AstTensor *ast_tensor_range(Parser *p, Span span, AstTensor *tensor, Ast *lo, Ast *hi)
{
    ast_range(p, tensor->type.span.to ? tensor->type.span : tensor->name.span, &tensor->type, lo, hi);
    tensor->span = span;
    return tensor;
}

AstTensors ast_add_tensor(Parser *p, AstTensors list, AstTensor *tensor)
{
    PUSH(p->c, &list, tensor);
    return list;
}

AstParam *ast_param(Parser *p, Span span, AstName name, const AstType *written, Ast *value)
{
    AstType type = written ? *written : (AstType){0};
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
    AstParam *param = NEW(p->c, AstParam);
    *param = (AstParam){name, type, value, span};
    return param;
}

AstParams ast_add_param(Parser *p, AstParams list, AstParam *param)
{
    PUSH(p->c, &list, *param);
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
