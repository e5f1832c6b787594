/* The makers of statements and declarations, and ast_parse. */
#include "lang/syntax.h"

#include <string.h>

/* Statements */

static AstStatement *new_statement(Parser *p, AstStatementKind kind, Span span, AstName name)
{
    AstStatement *s = NEW(p->c, AstStatement);
    s->kind = kind;
    s->span = span;
    s->name = name.name ? name : (AstName){"", span};
    return s;
}

AstStatement *ast_equation(Parser *p, Span span, AstName name, bool has_subscripts, AstList subscripts,
                           const AstType *type, Ast *value)
{
    AstStatement *s = new_statement(p, AST_EQUATION, span, name);
    s->has_subscripts = has_subscripts;
    if (type) s->type = *type;
    s->value = value;
    for (uint32_t i = 0; i < subscripts.n; i++) {
        const Ast *item = subscripts.at[i];
        if (item->kind != AST_NAMED && item->kind != AST_ARROW) continue;
        Diag *d = syntax_diag(p, E016, item->span, "the left side of an equation has plain subscripts");
        if (d)
            diag_hint(p->c, d, "name the indices in order, `%s[i, j] = ...`, or one step, `%s[t] = ...`",
                      name.name, name.name);
        subscripts.at[i] = item->operands[0];
    }
    s->subscripts = subscripts;
    return s;
}

AstStatement *ast_require(Parser *p, Span span, Ast *value)
{
    AstStatement *s = new_statement(p, AST_REQUIRE, span, (AstName){0});
    s->value = value;
    return s;
}

AstStatement *ast_carry(Parser *p, Span span, AstNames names)
{
    AstStatement *s = new_statement(p, AST_CARRY, span, (AstName){0});
    s->names = names;
    return s;
}

/* The index names of `flatten(y, x)` or `join(c, j)`. */
static AstNames part_names(Parser *p, const Ast *call)
{
    AstNames names = {0};
    for (uint32_t i = 0; i < call->n; i++) {
        const Ast *arg = call->operands[i];
        if (arg->kind == AST_NAME) {
            PUSH(p->c, &names, (AstName){arg->name, arg->span});
            continue;
        }
        syntax_diag(p, E018, arg->span, "`%s` takes names of indices", call->name);
        return names;
    }
    if (names.n < 2) syntax_diag(p, E018, call->span, "`%s` takes at least two indices", call->name);
    return names;
}

AstStatement *ast_index(Parser *p, Span span, AstName name, Ast *extent)
{
    AstStatement *s = new_statement(p, AST_INDEX, span, name);
    bool flatten = extent->kind == AST_CALL && !strcmp(extent->name, "flatten");
    bool join = extent->kind == AST_CALL && !strcmp(extent->name, "join");
    s->index_kind = flatten ? AST_INDEX_FLATTEN : join ? AST_INDEX_JOIN : AST_INDEX_EXTENT;
    if (flatten || join) s->names = part_names(p, extent);
    else s->value = extent;
    return s;
}

AstStatement *ast_index_from(Parser *p, Span span, AstName name, Ast *origin)
{
    AstStatement *s = new_statement(p, AST_INDEX, span, name);
    s->index_kind = AST_INDEX_FROM;
    s->value = origin;
    return s;
}

AstStatement *ast_index_like(Parser *p, Span span, AstName name, AstName other)
{
    AstStatement *s = new_statement(p, AST_INDEX, span, name);
    s->index_kind = AST_INDEX_LIKE;
    PUSH(p->c, &s->names, other);
    return s;
}

AstStatement *ast_block(Parser *p, Span span, AstName name, AstName of, bool into, Ast *value)
{
    AstStatement *s = new_statement(p, AST_BLOCK, span, name);
    s->block_of = of;
    s->block_into = into;
    s->value = value;
    return s;
}

/* Comments */

typedef struct Line { uint32_t from, to; } Line; /* without blanks around it */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* The line in front of the one that begins at `start`. */
static bool line_above(const Source *s, uint32_t *start, Line *line)
{
    if (!*start) return false;
    uint32_t to = *start - 1, from = to;
    while (from > 0 && s->text[from - 1] != '\n') from--;
    *start = from;
    while (from < to && (s->text[from] == ' ' || s->text[from] == '\t')) from++;
    while (to > from && is_blank(s->text[to - 1])) to--;
    *line = (Line){from, to};
    return from < to && s->text[from] == '#';
}

/* The comment right above what begins at `from`, without `#` and one space; NULL: none. */
static const char *doc_above(Parser *p, uint32_t from)
{
    const Source *s = &p->c->sources.at[p->source];
    VEC(Line) lines = {0};
    uint32_t start = from;
    while (start > 0 && s->text[start - 1] != '\n') start--;
    for (uint32_t i = start; i < from; i++)
        if (s->text[i] != ' ' && s->text[i] != '\t') return NULL;
    for (Line line; line_above(s, &start, &line);) PUSH(p->c, &lines, line);
    Text out = {.c = p->c};
    for (uint32_t i = lines.n; i-- > 0;) {
        Line line = lines.at[i];
        uint32_t skip = line.to > line.from + 1 && s->text[line.from + 1] == ' ' ? 2 : 1;
        text_add_bytes(&out, s->text + line.from + skip, line.to - line.from - skip);
        if (i) text_add(&out, "\n");
    }
    return lines.n ? out.at : NULL;
}

AstStatements ast_add_statement(Parser *p, AstStatements list, AstStatement *statement)
{
    if (!statement) return list;
    statement->doc = doc_above(p, statement->span.from);
    PUSH(p->c, &list, statement);
    return list;
}

/* Declarations */

AstFunctionArgs ast_add_function_arg(Parser *p, AstFunctionArgs list, AstName name, bool is_index)
{
    PUSH(p->c, &list, (AstFunctionArg){name, is_index});
    return list;
}

AstBody ast_body(AstLocals locals, Ast *value) { return (AstBody){locals, value}; }

AstLocals ast_add_local(Parser *p, AstLocals list, AstName name, Ast *value)
{
    PUSH(p->c, &list, (AstLocal){name, value});
    return list;
}

void ast_function(Parser *p, Span span, bool is_mask, AstName name, AstFunctionArgs args, AstBody body)
{
    if (!body.value) return; /* its body had an error */
    AstFunction *f = NEW(p->c, AstFunction);
    *f = (AstFunction){.is_mask = is_mask, .name = name, .args = args, .locals = body.locals,
                       .body = body.value, .doc = doc_above(p, span.from), .span = span};
    PUSH(p->c, &p->file->functions, f);
}

void ast_pattern(Parser *p, Span span, AstName name, AstParams params, AstNames ambient, bool has_over,
                 AstTensors inputs, AstTensors outputs, AstClauses *clauses, AstStatements body)
{
    AstPattern *pattern = NEW(p->c, AstPattern);
    *pattern = (AstPattern){.name = name, .params = params, .has_over = has_over, .ambient = ambient,
                            .inputs = inputs, .outputs = outputs, .captures = clauses->captures,
                            .examples = clauses->examples, .cost = clauses->cost, .body = body,
                            .doc = doc_above(p, span.from), .span = span};
    PUSH(p->c, &p->file->patterns, pattern);
}

void ast_use(Parser *p, AstName path) { PUSH(p->c, &p->file->uses, (AstUse){path}); }

AstFile *ast_parse(Compilation *c, uint32_t source)
{
    Parser *p = NEW(c, Parser);
    *p = (Parser){.c = c, .source = source, .file = NEW(c, AstFile)};
    p->file->source = source;
    if (c->sources.at[source].too_large) {
        syntax_diag(p, E009, (Span){source, 0, 0}, "a file of more than %d MiB", SOURCE_MAX >> 20);
        return p->file;
    }
    tokens_start(p);
    parser_parse(p);
    return p->file;
}
