/* Prints tokens, and trees as the text they came from in one fixed layout: printing what was parsed, parsing
 * it and printing it again gives the same text. Brackets stand where the tree needs them and nowhere else. */
#include "lang/syntax.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_text[] = {
#define AST_OP(name, text) text,
#include "ast_op_list.h"
#undef AST_OP
};
static const char *const storage_text[] = {
#define STORAGE(name, text) text,
#include "storage_list.h"
#undef STORAGE
};

/* How tightly an expression binds: the rules of the grammar from loose to tight. */
typedef enum Level {
    LEVEL_IF, LEVEL_OR, LEVEL_AND, LEVEL_NOT, LEVEL_COMPARE, LEVEL_BITOR, LEVEL_BITXOR, LEVEL_BITAND,
    LEVEL_SHIFT, LEVEL_SUM, LEVEL_PRODUCT, LEVEL_UNARY, LEVEL_POWER, LEVEL_PRIMARY
} Level;

static Level level_of_op(AstOp op)
{
    switch (op) {
    case OP_OR: return LEVEL_OR;
    case OP_AND: return LEVEL_AND;
    case OP_NOT: return LEVEL_NOT;
    case OP_BITOR: return LEVEL_BITOR;
    case OP_BITXOR: return LEVEL_BITXOR;
    case OP_BITAND: return LEVEL_BITAND;
    case OP_SHL: case OP_SHR: return LEVEL_SHIFT;
    case OP_ADD: case OP_SUB: return LEVEL_SUM;
    case OP_MUL: case OP_DIV: case OP_FLOORDIV: case OP_MOD: return LEVEL_PRODUCT;
    case OP_NEG: return LEVEL_UNARY;
    case OP_POW: return LEVEL_POWER;
    default: return LEVEL_COMPARE;
    }
}

static Level level_of(const Ast *e)
{
    switch (e->kind) {
    case AST_IF: return LEVEL_IF;
    case AST_COMPARE: return LEVEL_COMPARE;
    case AST_UNARY: case AST_BINARY: return level_of_op(e->op);
    default: return LEVEL_PRIMARY;
    }
}

static void print(Text *out, const Ast *e, Level least);

/* The shortest decimal text that reads back as the same number, with a point or an exponent. */
static void print_real(Text *out, double value)
{
    char text[40];
    int digits = 1;
    do snprintf(text, sizeof text, "%.*g", digits, value);
    while (digits++ < 17 && strtod(text, NULL) != value);
    if (strchr(text, 'e') && value < 1e15 && value == floor(value))
        snprintf(text, sizeof text, "%.0f", value);
    for (char *at = text; *at; at++)
        if (*at == ',') *at = '.'; /* whatever the host's locale */
    text_add(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_list(Text *out, const AstList *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (i) text_add(out, ", ");
        print(out, list->at[i], LEVEL_IF);
    }
}

static void print_args(Text *out, const Ast *e)
{
    const Ast *where = ast_where(e);
    for (uint32_t i = 0; i < ast_n_args(e); i++) {
        if (i) text_add(out, ", ");
        print(out, e->operands[i], LEVEL_IF);
        if (i || !where) continue;
        text_add(out, " where ");
        print(out, where, LEVEL_IF);
    }
}

static void print_bracket(Text *out, const Ast *e)
{
    text_add(out, "%s[", e->name);
    AstBinders binders = ast_binders(e);
    for (uint32_t i = 0; i < binders.n; i++) {
        const AstBinder *b = &binders.at[i];
        text_add(out, "%s%s", i ? ", " : "", b->name);
        if (b->block) text_add(out, " | %s", b->block);
        if (b->to) text_add(out, " -> %s", b->to);
    }
    text_add(out, "](");
    print_args(out, e);
    text_add(out, ")");
}

static void print_binary(Text *out, const Ast *e)
{
    Level level = level_of(e);
    bool power = e->op == OP_POW; /* binds to the right, and takes a `-` there */
    print(out, e->operands[0], power ? LEVEL_PRIMARY : level);
    text_add(out, " %s ", op_text[e->op]);
    print(out, e->operands[1], power ? LEVEL_UNARY : level + 1);
}

static void print_compare(Text *out, const Ast *e)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (i) text_add(out, " %s ", op_text[e->ops[i - 1]]);
        print(out, e->operands[i], LEVEL_BITOR);
    }
}

static void print_if(Text *out, const Ast *e)
{
    text_add(out, "if ");
    print(out, e->operands[0], LEVEL_IF);
    text_add(out, " then ");
    print(out, e->operands[1], LEVEL_IF);
    text_add(out, " else ");
    print(out, e->operands[2], LEVEL_IF);
}

static void print_bare(Text *out, const Ast *e)
{
    switch (e->kind) {
    case AST_INTEGER: text_add(out, "%lld", (long long)e->integer); break;
    case AST_REAL: print_real(out, e->real); break;
    case AST_BOOLEAN: text_add(out, "%s", e->boolean ? "true" : "false"); break;
    case AST_NAME: text_add(out, "%s", e->name); break;
    case AST_SUBSCRIPT:
    case AST_CALL:
        text_add(out, e->kind == AST_CALL ? "%s(" : "%s[", e->name);
        print_args(out, e);
        text_add(out, e->kind == AST_CALL ? ")" : "]");
        break;
    case AST_NAMED:
        text_add(out, "%s = ", e->name);
        print(out, e->operands[0], LEVEL_IF);
        break;
    case AST_INDEX_NAME: text_add(out, "[%s]", e->name); break;
    case AST_BRACKET: print_bracket(out, e); break;
    case AST_MEMBER:
        print(out, e->operands[0], LEVEL_PRIMARY);
        text_add(out, ".%s", e->name);
        break;
    case AST_UNARY:
        text_add(out, e->op == OP_NOT ? "not " : "-");
        print(out, e->operands[0], level_of(e));
        break;
    case AST_BINARY: print_binary(out, e); break;
    case AST_COMPARE: print_compare(out, e); break;
    case AST_IF: print_if(out, e); break;
    case AST_ARROW:
    case AST_WHERE:
    case AST_KINDS: BUG(out->c, "no such expression");
    }
}

static void print(Text *out, const Ast *e, Level least)
{
    bool brackets = level_of(e) < least;
    if (brackets) text_add(out, "(");
    print_bare(out, e);
    if (brackets) text_add(out, ")");
}

void ast_print_expression(Text *out, const Ast *e) { print(out, e, LEVEL_IF); }

static void print_doc(Text *out, const char *doc, const char *indent)
{
    while (doc) {
        size_t n = strcspn(doc, "\n");
        text_add(out, n ? "%s# " : "%s#", indent);
        text_add_bytes(out, doc, n);
        text_add(out, "\n");
        doc = doc[n] ? doc + n + 1 : NULL;
    }
}

static void print_range(Text *out, const AstType *type)
{
    if (!type->hi) return;
    text_add(out, " in ");
    print(out, type->lo, LEVEL_BITOR);
    text_add(out, "..");
    print(out, type->hi, LEVEL_BITOR);
}

static void print_type(Text *out, const AstType *type)
{
    if (type->span.to) text_add(out, ": %s", storage_text[type->type]);
}

static void print_names(Text *out, const AstNames *names)
{
    for (uint32_t i = 0; i < names->n; i++) text_add(out, "%s%s", i ? ", " : "", names->at[i].name);
}

static void print_tensors(Text *out, const AstTensors *tensors)
{
    for (uint32_t i = 0; i < tensors->n; i++) {
        const AstTensor *t = tensors->at[i];
        text_add(out, "%s%s", i ? ", " : "", t->name.name);
        print_type(out, &t->type);
        if (t->has_dims) {
            text_add(out, "[");
            print_names(out, &t->dims);
            text_add(out, "]");
        }
        print_range(out, &t->type);
    }
}

static void print_index(Text *out, const AstStatement *s)
{
    static const char *const words[] = {": ", " like ", " from ", ": flatten(", ": join("};
    bool parts = s->index_kind == AST_INDEX_FLATTEN || s->index_kind == AST_INDEX_JOIN;
    text_add(out, "index %s%s", s->name.name, words[s->index_kind]);
    if (s->value) print(out, s->value, LEVEL_IF);
    print_names(out, &s->names);
    text_add(out, "%s", parts ? ")" : "");
}

static void print_equation(Text *out, const AstStatement *s)
{
    text_add(out, "%s", s->name.name);
    if (s->has_subscripts) {
        text_add(out, "[");
        print_list(out, &s->subscripts);
        text_add(out, "]");
    }
    print_type(out, &s->type);
    print_range(out, &s->type);
    text_add(out, " = ");
    print(out, s->value, LEVEL_IF);
}

static void print_statement(Text *out, const AstStatement *s)
{
    print_doc(out, s->doc, "    ");
    text_add(out, "    ");
    switch (s->kind) {
    case AST_EQUATION: print_equation(out, s); break;
    case AST_REQUIRE:
        text_add(out, "require ");
        print(out, s->value, LEVEL_IF);
        break;
    case AST_CARRY:
        text_add(out, "carry ");
        print_names(out, &s->names);
        break;
    case AST_INDEX: print_index(out, s); break;
    case AST_BLOCK:
        text_add(out, "block %s of %s %s ", s->name.name, s->block_of.name, s->block_into ? "into" : "by");
        print(out, s->value, LEVEL_IF);
        break;
    }
    text_add(out, "\n");
}

static void print_function(Text *out, const AstFunction *f)
{
    print_doc(out, f->doc, "");
    text_add(out, "%s %s(", f->is_mask ? "mask" : "fn", f->name.name);
    for (uint32_t i = 0; i < f->args.n; i++) {
        const AstFunctionArg *arg = &f->args.at[i];
        text_add(out, arg->is_index ? "%s[%s]" : "%s%s", i ? ", " : "", arg->name.name);
    }
    text_add(out, f->locals.n ? ") {\n" : ") = ");
    for (uint32_t i = 0; i < f->locals.n; i++) {
        text_add(out, "    %s = ", f->locals.at[i].name.name);
        print(out, f->locals.at[i].value, LEVEL_IF);
        text_add(out, "\n");
    }
    if (f->locals.n) text_add(out, "    ");
    print(out, f->body, LEVEL_IF);
    text_add(out, f->locals.n ? "\n}\n" : "\n");
}

static void print_signature(Text *out, const AstPattern *p)
{
    text_add(out, "pattern %s(", p->name.name);
    for (uint32_t i = 0; i < p->params.n; i++) {
        const AstParam *param = &p->params.at[i];
        text_add(out, "%s%s", i ? ", " : "", param->name.name);
        print_type(out, &param->type);
        if (param->value) {
            text_add(out, " = ");
            print(out, param->value, LEVEL_IF);
        }
    }
    text_add(out, ")\n    ");
    if (p->has_over) {
        text_add(out, "over ");
        print_names(out, &p->ambient);
        text_add(out, ": ");
    }
    print_tensors(out, &p->inputs);
    text_add(out, p->inputs.n ? " -> " : "-> ");
    print_tensors(out, &p->outputs);
}

static void print_pattern(Text *out, const AstPattern *p)
{
    print_doc(out, p->doc, "");
    print_signature(out, p);
    if (p->captures.n) {
        text_add(out, "\n    with ");
        print_tensors(out, &p->captures);
    }
    for (uint32_t i = 0; i < p->examples.n; i++) {
        text_add(out, i ? ", %s = " : "\n    example %s = ", p->examples.at[i].name.name);
        print(out, p->examples.at[i].value, LEVEL_IF);
    }
    if (p->cost) {
        text_add(out, "\n    cost ");
        print(out, p->cost, LEVEL_IF);
    }
    text_add(out, "\n{\n");
    for (uint32_t i = 0; i < p->body.n; i++) print_statement(out, p->body.at[i]);
    text_add(out, "}\n");
}

void ast_print(Text *out, const AstFile *file)
{
    text_add(out, "%s", "");
    for (uint32_t i = 0; i < file->uses.n; i++) text_add(out, "use \"%s\"\n", file->uses.at[i].path.name);
    for (uint32_t i = 0; i < file->functions.n; i++) print_function(out, file->functions.at[i]);
    for (uint32_t i = 0; i < file->patterns.n; i++) print_pattern(out, file->patterns.at[i]);
}

void ast_print_tokens(Text *out, Compilation *c, uint32_t source)
{
    Parser *p = NEW(c, Parser);
    *p = (Parser){.c = c, .source = source};
    text_add(out, "%s", "");
    if (c->sources.at[source].too_large) return;
    tokens_start(p);
    PARSER_STYPE value;
    Span span;
    const char *source_text = c->sources.at[source].text;
    unsigned line = 1;
    uint32_t at = 0, start = 0; /* bytes seen, and where their last line begins */
    for (int kind; (kind = parser_lex(&value, &span, p)) != T_END;) {
        for (; at < span.from; at++)
            if (source_text[at] == '\n') line++, start = at + 1;
        bool written = kind == T_NAME || kind == T_STRING || kind == T_INTEGER || kind == T_REAL;
        const char *name = kind == T_PARSER_error ? "error"
                           : kind == T_NEWLINE    ? "newline"
                                                  : token_name(kind);
        if (written) name = strchr(name, ' ') + 1; /* without its article */
        text_add(out, written ? "%u:%u %s %.*s\n" : "%u:%u %s\n", line, span.from - start + 1, name,
                 (int)(span.to - span.from), source_text + span.from);
    }
}
