/* Between scanner and parser: the newline rule, brackets, and places to go on after an error.
 *
 * A newline becomes a token where it ends something: not inside ( ) or [ ], not in the signature of a
 * pattern, not after what cannot end an expression, and not before what cannot begin a statement. A bracket
 * that is still open where a declaration begins or the file ends is reported here, once, and closed. */
#include "lang/syntax.h"

#include <string.h>

const char *token_text(Parser *p, Span span)
{
    const Source *s = &p->c->sources.at[span.source];
    uint32_t n = span.to - span.from, shown = n > 40 ? 37 : n;
    while (shown < n && shown > 0 && ((unsigned char)s->text[span.from + shown] & 0xC0) == 0x80) shown--;
    return format(p->c, "%.*s%s", (int)shown, s->text + span.from, shown < n ? "..." : "");
}

Diag *syntax_diag(Parser *p, DiagCode code, Span span, const char *fmt, ...)
{
    if (p->stopped || p->skipping) return NULL;
    if (++p->errors > ERRORS_MAX) {
        p->stopped = true;
        diag(p->c, E010, span, "more than %d errors in this file; the rest of it is not looked at",
             ERRORS_MAX);
        return NULL;
    }
    va_list args;
    va_start(args, fmt);
    const char *text = format_v(p->c, fmt, args);
    va_end(args);
    return diag(p->c, code, span, "%s", text);
}

void syntax_forget_parts(Parser *p)
{
    Compilation *c = p->c;
    uint32_t n = p->statement_diags;
    for (uint32_t i = n; i < c->diags.n; i++) {
        DiagCode code = c->diags.at[i]->code;
        if (code != E014 && code != E015 && code != E016) c->diags.at[n++] = c->diags.at[i];
    }
    c->errors -= c->diags.n - n;
    p->errors -= c->diags.n - n;
    c->diags.n = n;
}

bool is_keyword(int kind) { return kind >= T_PATTERN && kind <= T_FALSE; }
bool is_declaration(int kind) { return kind == T_PATTERN || kind == T_MASK || kind == T_FN || kind == T_USE; }

/* An infix operator other than `-`. */
static bool is_infix(int kind)
{
    return (kind >= T_EQ && kind <= T_POWER && kind != T_MINUS) || kind == T_AND || kind == T_OR;
}

static bool goes_on_after(int kind)
{
    switch (kind) {
    case T_END: case T_NEWLINE: case T_LBRACE: case T_COMMA: case T_ASSIGN: case T_COLON: case T_DOTS:
    case T_ARROW: case T_DOT: case T_MINUS: case T_NOT: case T_IF: case T_THEN: case T_ELSE: case T_WHERE:
    case T_IN: return true;
    default: return is_infix(kind);
    }
}

static bool goes_on_before(int kind)
{
    return is_infix(kind) || kind == T_THEN || kind == T_ELSE || kind == T_WHERE || kind == T_LBRACE
           || kind == T_RBRACE;
}

static bool newline_before(Parser *p, const Token *next)
{
    if (!next->first || p->newline_sent || !p->started) return false;
    if (next->kind == T_END) return true;
    if (p->panic && !p->brace.to && !p->signature) return is_declaration(next->kind);
    bool margin = !p->signature && next->column <= p->statement_column && !goes_on_before(next->kind);
    if (p->panic && (is_declaration(next->kind) || margin)) {
        p->depth = 0;
        p->signature = false;
        return true;
    }
    if (p->depth || p->signature) return false;
    return !goes_on_after(p->previous.kind) && !goes_on_before(next->kind);
}

static int deliver(Parser *p, Token token, PARSER_STYPE *value, Span *span)
{
    p->before_that = p->before;
    p->before = p->previous;
    p->previous = token;
    p->started = true;
    *value = token.value;
    *span = token.span;
    return token.kind;
}

static int made_up(Parser *p, int kind, PARSER_STYPE *value, Span *span)
{
    uint32_t at = p->previous.span.to;
    return deliver(p, (Token){.kind = kind, .span = {p->source, at, at}}, value, span);
}

static int open_bracket(Parser *p, const Token *token)
{
    if (p->depth < DEPTH_MAX) {
        p->open[p->depth++] = (Bracket){token->kind, token->span};
        return token->kind;
    }
    syntax_diag(p, E008, token->span, "more than %d brackets inside each other", DEPTH_MAX);
    p->stopped = true;
    return T_PARSER_error;
}

/* Keeps track of brackets, signatures and the column where the statement began. */
static int observe(Parser *p, const Token *token)
{
    if (!p->started || p->previous.kind == T_NEWLINE || p->previous.kind == T_LBRACE) {
        p->statement_column = token->column;
        p->statement_diags = p->c->diags.n;
    }
    p->partner = (Bracket){0};
    p->brace_before = p->brace.to > 0;
    p->signature_before = p->signature;
    bool skipped = p->panic && !p->brace.to && !p->signature;
    switch (token->kind) {
    case T_PATTERN:
        p->signature = true;
        break;
    case T_LPAREN: case T_LBRACKET:
        return open_bracket(p, token);
    case T_RPAREN: case T_RBRACKET:
        if (p->depth) p->partner = p->open[--p->depth];
        break;
    case T_LBRACE:
        if (p->signature) p->panic = false; /* the body may be looked at whatever the signature was */
        p->signature = false;
        p->depth = 0;
        if (!skipped) p->brace = token->span;
        break;
    case T_RBRACE:
        p->brace = (Span){0};
        break;
    }
    return token->kind;
}

/* Whether `next` cannot come while a bracket is open: then that bracket has no partner. */
static bool ends_brackets(const Parser *p, const Token *next)
{
    if (next->kind == T_END) return true;
    return (next->kind == T_RBRACE && p->depth) || (is_declaration(next->kind) && next->first);
}

const char *bracket_name(int kind) { return kind == T_LPAREN ? "(" : kind == T_LBRACKET ? "[" : "{"; }

/* Reports the innermost open ( or [. What comes next ends the file or begins a declaration: it would also end
 * a {. */
static int unclosed(Parser *p, const Token *next, Span *span)
{
    Bracket b = p->open[p->depth - 1];
    syntax_forget_parts(p);
    p->depth = 0;
    p->panic = true;
    p->brace_reported = next->kind != T_RBRACE;
    *span = (Span){p->source, p->previous.span.to, p->previous.span.to};
    syntax_diag(p, E004, b.span, "this `%s` is never closed", bracket_name(b.kind));
    return T_PARSER_error;
}

static int unclosed_brace(Parser *p, PARSER_STYPE *value, Span *span)
{
    if (!p->brace_reported) syntax_diag(p, E004, p->brace, "this `{` is never closed");
    p->brace_reported = p->newline_sent = false;
    p->brace = (Span){0};
    return made_up(p, T_RBRACE, value, span);
}

void tokens_start(Parser *p)
{
    scanner_open(p);
    p->ahead = scanner_next(p);
}

void token_push_back(Parser *p, Token token)
{
    if (p->n_pushed == sizeof p->pushed / sizeof *p->pushed) BUG(p->c, "tokens: too many are given back");
    p->pushed[p->n_pushed++] = p->ahead;
    p->ahead = token;
}

static Token take(Parser *p)
{
    Token token = p->ahead;
    if (token.kind != T_END) p->ahead = p->n_pushed ? p->pushed[--p->n_pushed] : scanner_next(p);
    return token;
}

int parser_lex(PARSER_STYPE *value, Span *span, Parser *p)
{
    if (p->skip_declaration)
        while (p->ahead.kind != T_END && !(is_declaration(p->ahead.kind) && p->ahead.first)) take(p);
    p->skip_declaration = false;
    Token next = p->ahead;
    if (p->stopped) return *span = p->previous.span, T_END;
    if (ends_brackets(p, &next)) {
        if (p->depth && p->panic) p->depth = 0;
        if (p->depth && !p->signature) return unclosed(p, &next, span);
        if (p->brace.to && next.kind != T_RBRACE && !p->panic) return unclosed_brace(p, value, span);
    }
    if (newline_before(p, &next)) {
        p->newline_sent = true;
        return made_up(p, T_NEWLINE, value, span);
    }
    p->newline_sent = false;
    next = take(p);
    next.kind = observe(p, &next);
    if (next.kind == T_PARSER_error) p->panic = true;
    return deliver(p, next, value, span);
}
