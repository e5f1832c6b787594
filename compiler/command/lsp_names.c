/* What the names of a text mean, from its syntax tree alone: it works while the text is being written.
 *
 * First every pattern and function gets a scope with what it defines, then each name in the text is looked
 * up. */
#include <string.h>

#include "compiler/command/lsp.h"

const char *lsp_kind_text(LspKind kind)
{
    static const char *const texts[] = {
#define LSP_KIND(name, text, symbol, completion) text,
#include "lsp_kind_list.h"
#undef LSP_KIND
    };
    return texts[kind];
}

/* ---- names by their (interned) text ---- */

static LspName **slot(const LspScope *s, const char *name)
{
    uint32_t at = (uint32_t)(((uintptr_t)name >> 4) * 0x9E3779B1u);
    while (s->table[at &= s->capacity - 1] && s->table[at]->name != name) at++;
    return &s->table[at];
}

LspName *lsp_find(const LspScope *s, const char *name) { return s->capacity && name ? *slot(s, name) : NULL; }

static void insert(LspNames *n, LspScope *s, LspName *name)
{
    PUSH(n->c, &s->names, name);
    bool grows = 2 * s->names.n > s->capacity;
    if (grows) {
        s->capacity = s->capacity ? 2 * s->capacity : 16;
        s->table = NEW_ARRAY(n->c, LspName *, s->capacity);
    }
    for (uint32_t k = grows ? 0 : s->names.n - 1; k < s->names.n; k++)
        *slot(s, s->names.at[k]->name) = s->names.at[k];
}

static const LspName *find_global(const LspNames *n, const char *name) { return lsp_find(&n->globals, name); }

/* The scope of the pattern or function that is called; NULL: it is none. */
static const LspScope *callee(const LspNames *n, const Ast *call)
{
    const LspName *global = call->kind == AST_CALL ? find_global(n, call->name) : NULL;
    return global ? global->scope : NULL;
}

/* ---- scopes ---- */

/* Adds a name, or gives the one that is there. */
static LspName *add(LspNames *n, LspScope *s, LspKind kind, const AstName *name)
{
    LspName *one = lsp_find(s, name->name);
    if (one || !name->name) return one;
    one = NEW(n->c, LspName);
    *one = (LspName){.kind = kind, .name = name->name, .span = name->span, .pattern = s->pattern};
    insert(n, s, one);
    return one;
}

static void add_tensors(LspNames *n, LspScope *s, LspKind kind, const AstTensors *list)
{
    for (uint32_t k = 0; k < list->n; k++) {
        LspName *one = add(n, s, kind, &list->at[k]->name);
        one->tensor = list->at[k];
        for (uint32_t d = 0; d < list->at[k]->dims.n; d++) add(n, s, LSP_INDEX, &list->at[k]->dims.at[d]);
    }
}

/* Indices that selections make: `top_index[t -> r](...)`. */
static void add_selected(LspNames *n, LspScope *s, const Ast *e)
{
    if (!e) return;
    AstBinders binders = ast_binders(e);
    for (uint32_t k = 0; k < binders.n; k++)
        if (binders.at[k].to) add(n, s, LSP_INDEX, &(AstName){binders.at[k].to, binders.at[k].to_span});
    for (uint32_t k = 0; k < e->n; k++) add_selected(n, s, e->operands[k]);
}

/* `S[-1] = ...` and the like. */
static bool is_initial(const AstStatement *a)
{
    if (a->subscripts.n != 1) return false;
    AstKind kind = a->subscripts.at[0]->kind;
    return kind != AST_NAME && kind != AST_BINARY;
}

static void add_statement(LspNames *n, LspScope *s, const AstStatement *a)
{
    bool index = a->kind == AST_INDEX || a->kind == AST_BLOCK;
    if (!index && a->kind != AST_EQUATION) return;
    LspName *one = add(n, s, index ? LSP_INDEX : LSP_EQUATION, &a->name);
    if (!one) return;
    bool better = !one->statement || (!index && is_initial(one->statement) && !is_initial(a));
    if (!better) return;
    one->statement = a;
    one->doc = a->doc;
    if (!index) one->span = a->name.span; /* of outputs, too: the equation */
}

static LspScope *scope_new(LspNames *n, Span span, const AstPattern *pattern)
{
    LspScope *s = NEW(n->c, LspScope);
    *s = (LspScope){.span = span, .pattern = pattern};
    PUSH(n->c, &n->scopes, s);
    return s;
}

static LspScope *add_pattern(LspNames *n, const AstPattern *p)
{
    LspScope *s = scope_new(n, p->span, p);
    for (uint32_t k = 0; k < p->params.n; k++) {
        LspName *one = add(n, s, LSP_PARAMETER, &p->params.at[k].name);
        one->param = &p->params.at[k];
    }
    for (uint32_t k = 0; k < p->ambient.n; k++) add(n, s, LSP_INDEX, &p->ambient.at[k]);
    add_tensors(n, s, LSP_INPUT, &p->inputs);
    add_tensors(n, s, LSP_OUTPUT, &p->outputs);
    add_tensors(n, s, LSP_CAPTURE, &p->captures);
    for (uint32_t k = 0; k < p->body.n; k++) add_selected(n, s, p->body.at[k]->value);
    for (uint32_t k = 0; k < p->body.n; k++) add_statement(n, s, p->body.at[k]);
    return s;
}

static LspScope *add_function(LspNames *n, const AstFunction *f)
{
    LspScope *s = scope_new(n, f->span, NULL);
    for (uint32_t k = 0; k < f->args.n; k++)
        add(n, s, f->args.at[k].is_index ? LSP_INDEX : LSP_ARGUMENT, &f->args.at[k].name);
    for (uint32_t k = 0; k < f->locals.n; k++) add(n, s, LSP_LOCAL, &f->locals.at[k].name);
    for (uint32_t k = 0; k < s->names.n; k++) s->names.at[k]->function = f;
    return s;
}

static void add_global(LspNames *n, LspName name)
{
    if (find_global(n, name.name)) return;
    LspName *one = NEW(n->c, LspName);
    *one = name;
    insert(n, &n->globals, one);
}

static void add_file(LspNames *n, const AstFile *file)
{
    for (uint32_t k = 0; k < file->functions.n; k++) {
        const AstFunction *f = file->functions.at[k];
        add_global(n, (LspName){.kind = f->is_mask ? LSP_MASK : LSP_FUNCTION,
                                .name = f->name.name,
                                .doc = f->doc,
                                .span = f->name.span,
                                .function = f,
                                .scope = add_function(n, f)});
    }
    for (uint32_t k = 0; k < file->patterns.n; k++) {
        const AstPattern *p = file->patterns.at[k];
        add_global(n, (LspName){.kind = LSP_PATTERN,
                                .name = p->name.name,
                                .doc = p->doc,
                                .span = p->name.span,
                                .pattern = p,
                                .scope = add_pattern(n, p)});
    }
}

/* ---- uses ---- */

static void use(LspNames *n, Span span, const LspName *name)
{
    if (name && span.to > span.from) PUSH(n->c, &n->uses, (LspUse){span, name});
}

static void use_in(LspNames *n, const LspScope *s, const AstName *name)
{
    use(n, name->span, lsp_find(s, name->name));
}

static void use_all(LspNames *n, const LspScope *s, const AstNames *list)
{
    for (uint32_t k = 0; k < list->n; k++) use_in(n, s, &list->at[k]);
}

/* What `name = value` names: an index of a tensor, or something of what is called. */
static const LspName *find_argument(const LspNames *n, const LspScope *s, const Ast *e, const char *name)
{
    if (e->kind == AST_SUBSCRIPT) return lsp_find(s, name);
    const LspScope *inside = callee(n, e);
    return inside ? lsp_find(inside, name) : NULL;
}

static const LspName *find_name(const LspNames *n, const LspScope *s, const Ast *e)
{
    if (e->kind == AST_BRACKET) return NULL;
    if (e->kind == AST_MEMBER) {
        const LspScope *inside = callee(n, e->operands[0]);
        return inside ? lsp_find(inside, e->name) : NULL;
    }
    const LspName *own = lsp_find(s, e->name);
    return own || e->kind != AST_CALL ? own : find_global(n, e->name);
}

static void use_expression(LspNames *n, const LspScope *s, const Ast *e)
{
    if (!e) return;
    if (ast_named_by(e)) use(n, e->name_span, find_name(n, s, e));
    AstBinders binders = ast_binders(e);
    for (uint32_t k = 0; k < binders.n; k++) {
        const AstBinder *b = &binders.at[k];
        use_in(n, s, &(AstName){b->name, b->span});
        if (b->block) use_in(n, s, &(AstName){b->block, b->block_span});
        if (b->to) use_in(n, s, &(AstName){b->to, b->to_span});
    }
    for (uint32_t k = 0; k < e->n; k++) {
        const Ast *part = e->operands[k];
        if (part->kind == AST_NAMED) use(n, part->name_span, find_argument(n, s, e, part->name));
        use_expression(n, s, part);
    }
}

static void use_type(LspNames *n, const LspScope *s, const AstType *type)
{
    use_expression(n, s, type->lo);
    use_expression(n, s, type->hi);
}

static void use_tensors(LspNames *n, const LspScope *s, const AstTensors *list)
{
    for (uint32_t k = 0; k < list->n; k++) {
        use_in(n, s, &list->at[k]->name);
        use_all(n, s, &list->at[k]->dims);
        use_type(n, s, &list->at[k]->type);
    }
}

static void use_pattern(LspNames *n, const LspScope *s, const AstPattern *p)
{
    use(n, p->name.span, find_global(n, p->name.name));
    for (uint32_t k = 0; k < p->params.n; k++) {
        use_in(n, s, &p->params.at[k].name);
        use_expression(n, s, p->params.at[k].value);
    }
    use_all(n, s, &p->ambient);
    use_tensors(n, s, &p->inputs);
    use_tensors(n, s, &p->outputs);
    use_tensors(n, s, &p->captures);
    for (uint32_t k = 0; k < p->examples.n; k++) {
        use_in(n, s, &p->examples.at[k].name);
        use_expression(n, s, p->examples.at[k].value);
    }
    use_expression(n, s, p->cost);
    for (uint32_t k = 0; k < p->body.n; k++) {
        const AstStatement *a = p->body.at[k];
        use_in(n, s, &a->name);
        for (uint32_t i = 0; i < a->subscripts.n; i++) use_expression(n, s, a->subscripts.at[i]);
        use_type(n, s, &a->type);
        use_expression(n, s, a->value);
        use_all(n, s, &a->names);
        use_in(n, s, &a->block_of);
    }
}

static void use_function(LspNames *n, const LspScope *s, const AstFunction *f)
{
    use(n, f->name.span, find_global(n, f->name.name));
    for (uint32_t k = 0; k < f->args.n; k++) use_in(n, s, &f->args.at[k].name);
    for (uint32_t k = 0; k < f->locals.n; k++) {
        use_in(n, s, &f->locals.at[k].name);
        use_expression(n, s, f->locals.at[k].value);
    }
    use_expression(n, s, f->body);
}

/* ---- entry ---- */

static void read_used(LspNames *n, LspText *t)
{
    for (uint32_t k = 0; k < n->file->uses.n; k++) {
        const AstName *path = &n->file->uses.at[k].path;
        LspFile file = {.span = path->span};
        file.found = pipeline_find_used(&t->pipeline, t->document->path, path->name, &file.source);
        PUSH(n->c, &n->files, file);
        if (file.found && file.source != t->source) add_file(n, ast_parse(n->c, file.source));
    }
}

LspNames *lsp_names(LspText *t)
{
    LspNames *n = NEW(t->c, LspNames);
    n->c = t->c;
    n->file = ast_parse(t->c, t->source);
    add_file(n, n->file);
    uint32_t own = n->scopes.n;
    read_used(n, t);
    for (uint32_t k = 0; k < own; k++) {
        const LspScope *s = n->scopes.at[k];
        uint32_t functions = n->file->functions.n;
        if (s->pattern)
            use_pattern(n, s, s->pattern);
        else if (k < functions)
            use_function(n, s, n->file->functions.at[k]);
    }
    return n;
}

const LspName *lsp_name_at(const LspNames *n, uint32_t offset, Span *span)
{
    for (uint32_t k = 0; k < n->uses.n; k++) {
        if (offset < n->uses.at[k].span.from || offset > n->uses.at[k].span.to) continue;
        *span = n->uses.at[k].span;
        return n->uses.at[k].name;
    }
    return NULL;
}

LspScope *lsp_scope_at(const LspNames *n, uint32_t offset)
{
    for (uint32_t k = 0; k < n->scopes.n; k++) {
        LspScope *s = n->scopes.at[k];
        if (s->span.source == n->file->source && s->span.from <= offset && offset <= s->span.to) return s;
    }
    return NULL;
}

static bool is_letter(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

const char *lsp_word_at(const LspText *t, uint32_t offset, Span *span)
{
    const Source *s = &t->c->sources.at[t->source];
    uint32_t from = offset, to = offset;
    while (from > 0 && is_letter(s->text[from - 1])) from--;
    while (to < s->length && is_letter(s->text[to])) to++;
    *span = (Span){t->source, from, to};
    return to > from ? intern(t->c, s->text + from, to - from) : NULL;
}
