/* What to say about a token that the grammar cannot use: "expected ... after ..., found ...", and for common
 * slips what was probably meant. Requires: p->previous is that token and p->before the one in front of it. */
#include "lang/syntax.h"

#include <string.h>

static bool expects(const Expected *e, int kind) { return e->kind[kind - TOKEN_FIRST]; }
static bool is_name_like(int kind)
{
    return kind == T_NAME || kind == T_INTEGER || kind == T_REAL || kind == T_TRUE || kind == T_FALSE;
}

/* The text of a token as a message names it. */
static const char *describe(Parser *p, const Token *token)
{
    bool made_up = token->span.to == token->span.from;
    if (token->kind == T_END || token->kind == T_NEWLINE) return token_name(token->kind);
    return format(p->c, "`%s`", made_up ? token_name(token->kind) : token_text(p, token->span));
}

typedef struct Choices { const char *at[12]; unsigned n; } Choices;

static void choose(Choices *list, const char *text)
{
    if (list->n < sizeof list->at / sizeof *list->at) list->at[list->n++] = text;
}

static void choose_kind(Parser *p, Choices *list, int kind)
{
    const char *name = token_name(kind);
    bool plain = kind == T_NAME || kind == T_STRING || kind == T_NEWLINE;
    choose(list, plain ? name : format(p->c, "`%s`", name));
}

static bool is_clause(int kind) { return kind == T_WITH || kind == T_EXAMPLE || kind == T_COST; }

/* Tokens of the expected set that are not part of an expression. */
static void choose_others(Parser *p, Choices *list, const Expected *e, bool operand)
{
    bool clause = false;
    for (int kind = TOKEN_FIRST; kind < TOKEN_FIRST + TOKEN_KINDS; kind++) {
        if (!expects(e, kind)) continue;
        if (operand && ((kind >= T_EQ && kind <= T_POWER) || kind == T_AND || kind == T_OR)) continue;
        if (operand && (kind == T_LPAREN || kind == T_LBRACKET || kind == T_DOT || kind == T_WHERE)) continue;
        if (operand && kind == T_ARROW && expects(e, T_RBRACKET)) continue;
        if (kind == T_RBRACE && expects(e, T_NEWLINE)) continue;
        if (!is_clause(kind)) choose_kind(p, list, kind);
        else if (!clause) choose(list, "a clause");
        if (is_clause(kind)) clause = true;
    }
}

static const char *join_choices(Parser *p, const Choices *list)
{
    Text out = {.c = p->c};
    for (unsigned i = 0; i < list->n; i++)
        text_add(&out, "%s%s", i == 0 ? "" : i + 1 == list->n ? " or " : ", ", list->at[i]);
    return list->n ? out.at : "something else";
}

static const char *expectation(Parser *p, const Expected *e)
{
    Choices list = {.n = 0};
    if (expects(e, T_USE)) return "a declaration (`pattern`, `mask`, `fn` or `use`)";
    if (expects(e, T_REQUIRE)) return "a statement or `}`";
    if (expects(e, T_INTEGER)) return "an expression";
    if (expects(e, T_THEN)) return "`then`";
    if (expects(e, T_ELSE)) return "`else`";
    choose_others(p, &list, e, expects(e, T_PLUS));
    if (expects(e, T_PLUS)) choose(&list, "an operator");
    return join_choices(p, &list);
}

/* A reserved word where a name was meant: `index in: 4`, `block = 3`. */
static bool reserved_word(Parser *p, const Expected *e)
{
    const Token *found = &p->previous, *before = &p->before;
    const Token *word = found;
    if (is_keyword(before->kind) && before->column == p->statement_column && !expects(e, T_INTEGER)
        && (found->kind == T_ASSIGN || found->kind == T_LBRACKET))
        word = before;
    else if (!is_keyword(found->kind) || !expects(e, T_NAME)) return false;
    else if (expects(e, T_REQUIRE) ? p->ahead.kind != T_ASSIGN && p->ahead.kind != T_LBRACKET : found->first)
        return false;
    else if (expects(e, T_INTEGER) && (found->kind >= T_WHERE || found->kind == T_IN)) return false;
    syntax_diag(p, E005, word->span, "`%s` is a reserved word and cannot be a name", token_name(word->kind));
    return true;
}

/* Closing brackets without partner or of the wrong kind, opening ones that a new line at the margin leaves
 * open. */
static bool wrong_bracket(Parser *p)
{
    const Token *found = &p->previous;
    bool closing = found->kind == T_RPAREN || found->kind == T_RBRACKET || found->kind == T_RBRACE;
    Bracket b = p->partner;
    if (closing && !b.kind && !(found->kind == T_RBRACE && p->brace_before)) {
        syntax_diag(p, E004, found->span, "this `%s` closes nothing", token_name(found->kind));
        return true;
    }
    if (closing && b.kind && (b.kind == T_LPAREN) != (found->kind == T_RPAREN)) {
        const char *open = bracket_name(b.kind);
        Diag *d =
            syntax_diag(p, E004, found->span, "`%s` does not close this `%s`", token_name(found->kind), open);
        if (d) diag_note(p->c, d, b.span, "`%s` was opened here", open);
        return true;
    }
    uint32_t depth = p->depth - (found->kind == T_LPAREN || found->kind == T_LBRACKET);
    if (!depth || p->signature || !found->first || found->column > p->statement_column) return false;
    b = p->open[depth - 1];
    Diag *d = syntax_diag(p, E004, b.span, "this `%s` is never closed", bracket_name(b.kind));
    if (d) diag_note(p->c, d, found->span, "%s does not continue it", describe(p, found));
    if (!is_declaration(found->kind)) token_push_back(p, *found); /* it begins the next statement */
    return true;
}

/* `a = b +` and then `c = d` on the next line: the mistake is the end of the first line. */
static bool dangling_operator(Parser *p, const Expected *e)
{
    Token found = p->previous, name = p->before, operator = p->before_that;
    if (found.kind != T_ASSIGN || name.kind != T_NAME || !name.first || name.column > p->statement_column)
        return false;
    if (!expects(e, T_EQ) || p->signature || p->depth) return false;
    Span end = {p->source, operator.span.to, operator.span.to};
    syntax_diag(p, E001, end, "expected an expression after %s, found the end of the line",
                describe(p, &operator));
    token_push_back(p, found);
    token_push_back(p, name);
    return true;
}

static const char *hint_for(Parser *p, const Expected *e)
{
    int found = p->previous.kind, before = p->before.kind;
    bool operand = expects(e, T_PLUS);
    if (found == T_ASSIGN && expects(e, T_EQ)) return "`==` compares, `=` defines";
    if (found == T_EQ && expects(e, T_ASSIGN)) return "an equation is written with `=`";
    if (found == T_PLUS && expects(e, T_INTEGER)) return "there is no `+` in front of a number";
    if (expects(e, T_REQUIRE))
        return is_declaration(found) ? NULL : "a statement is an equation: `name = ...`";
    if (found == T_RBRACE && expects(e, T_NEWLINE)) return "the last line of a function's block is its value";
    if (found == T_NEWLINE && expects(e, T_RBRACE) && operand)
        return "only the last line of a function's block is a bare expression";
    if (found == T_IF) return "an `if` that is an operand needs brackets";
    if (found == T_NOT && expects(e, T_INTEGER)) return "a `not` that is an operand needs brackets";
    if (expects(e, T_ELSE)) return "an `if` is an expression: it needs both values";
    if (found == T_LBRACKET && operand)
        return "only a name can have subscripts: define this value by an equation of its own";
    if (operand && !expects(e, T_THEN) && (is_name_like(found) || found == T_LPAREN) && !p->previous.first
        && (is_name_like(before) || before == T_RPAREN || before == T_RBRACKET))
        return "a product is written with `*`";
    if (expects(e, T_ASSIGN) && expects(e, T_COLON) && !operand && found != T_NEWLINE && before != T_LBRACKET)
        return "a statement is an equation: `name = ...`";
    return NULL;
}

/* A declaration begins where the parser wants none: it is looked at again. If that did not help, a `}` was passed over
 * with a mistake, and is made up; if that does not help either, this declaration is passed over. */
static void begin_declaration(Parser *p, const Token *found)
{
    bool again = p->declarations && p->declaration == found->span.from;
    p->declarations = again ? p->declarations + 1 : 1;
    p->declaration = found->span.from;
    if (p->declarations > 2) return;
    if (again) p->brace = found->span, p->brace_reported = true;
    token_push_back(p, *found);
    p->signature = false;
}

/* After an error outside of bodies: what belongs to the declaration that failed is not one itself. */
static void give_up_declaration(Parser *p)
{
    const Token *found = &p->previous;
    if (is_declaration(found->kind) && found->first) begin_declaration(p, found);
    if (p->signature_before || p->brace_before) return;
    if (found->kind == T_LBRACE) p->brace = (Span){0};
    if (found->kind == T_NEWLINE) p->skip_declaration = true;
}

void syntax_error(Parser *p, const Expected *e)
{
    p->panic = true;
    syntax_forget_parts(p);
    give_up_declaration(p);
    bool again = is_declaration(p->previous.kind) && p->previous.first && p->declarations > 1;
    if (again || p->previous.reported || reserved_word(p, e) || wrong_bracket(p) || dangling_operator(p, e)) return;
    const Token *found = &p->previous, *before = &p->before;
    bool begins = before->kind == T_END || before->kind == T_NEWLINE;
    bool line_ended = found->first && (found->kind == T_RBRACE || is_declaration(found->kind))
                      && expects(e, T_INTEGER) && before->kind != T_LBRACE;
    Span place = line_ended ? (Span){p->source, before->span.to, before->span.to} : found->span;
    Diag *d = syntax_diag(p, E001, place, "expected %s%s%s, found %s", expectation(p, e),
                          begins ? "" : " after ", begins ? "" : describe(p, before),
                          line_ended ? token_name(T_NEWLINE) : describe(p, found));
    const char *hint = hint_for(p, e);
    if (d && hint) diag_hint(p->c, d, "%s", hint);
}

/* Bison's own complaints: its stack is full. */
void parser_error(Span *span, Parser *p, const char *text)
{
    (void)text;
    syntax_diag(p, E008, *span, "this is nested too deeply");
    p->stopped = true;
}

void syntax_recovered(Parser *p) { p->panic = false; }
