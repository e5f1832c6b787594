/* Tokens of PTX: words, numbers, strings and single characters; comments are skipped. */
#include "lexer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void skip_blanks(Lexer *l)
{
    while (l->at < l->end) {
        if (*l->at == '\n') l->line++;
        if (isspace((unsigned char)*l->at)) {
            l->at++;
        } else if (l->end - l->at > 1 && l->at[0] == '/' && l->at[1] == '/') {
            while (l->at < l->end && *l->at != '\n') l->at++;
        } else if (l->end - l->at > 1 && l->at[0] == '/' && l->at[1] == '*') {
            for (l->at += 2; l->end - l->at > 1 && (l->at[0] != '*' || l->at[1] != '/'); l->at++)
                if (*l->at == '\n') l->line++;
            l->at = l->end - l->at > 1 ? l->at + 2 : l->end;
        } else {
            return;
        }
    }
}

static bool starts_word(char c)
{
    return isalpha((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.';
}

static void word(Lexer *l)
{
    l->kind = TOKEN_WORD;
    l->text = l->at;
    while (l->at < l->end) {
        if (starts_word(*l->at) || isdigit((unsigned char)*l->at))
            l->at++;
        else if (l->end - l->at > 2 && l->at[0] == ':' && l->at[1] == ':')
            l->at += 2;
        else
            break;
    }
    l->length = (size_t)(l->at - l->text);
}

static int64_t digits(Lexer *l, int base)
{
    char buffer[72];
    size_t n = 0;
    while (l->at < l->end && isalnum((unsigned char)*l->at) && n < sizeof buffer - 1) {
        if (*l->at == 'U') { /* a suffix */
            l->at++;
            break;
        }
        buffer[n++] = *l->at++;
    }
    buffer[n] = 0;
    char *end;
    uint64_t value = strtoull(buffer, &end, base);
    if (n == 0 || *end) module_fail(l->m, l->line, "`%s` is no number", buffer);
    return (int64_t)value;
}

static bool is_decimal_fraction(const Lexer *l)
{
    const char *p = l->at;
    while (p < l->end && isdigit((unsigned char)*p)) p++;
    return p < l->end && (*p == '.' || *p == 'e' || *p == 'E');
}

static void number(Lexer *l)
{
    l->kind = TOKEN_INTEGER;
    char second = l->end - l->at > 1 && l->at[0] == '0' ? l->at[1] : 0;
    if (second == 'f' || second == 'F' || second == 'd' || second == 'D' || second == 'x' || second == 'X') {
        l->at += 2;
        l->integer = digits(l, 16);
    } else if (second == 'b' || second == 'B') {
        l->at += 2;
        l->integer = digits(l, 2);
    } else if (is_decimal_fraction(l)) {
        char *end;
        l->kind = TOKEN_DOUBLE;
        l->number = strtod(l->at, &end);
        l->at = end;
    } else {
        l->integer = digits(l, second && isdigit((unsigned char)second) ? 8 : 10);
    }
}

static void string(Lexer *l)
{
    l->kind = TOKEN_STRING;
    l->text = ++l->at;
    while (l->at < l->end && *l->at != '"' && *l->at != '\n') l->at++;
    l->length = (size_t)(l->at - l->text);
    if (l->at < l->end && *l->at == '"') l->at++;
}

void lexer_next(Lexer *l)
{
    skip_blanks(l);
    l->token_line = l->line;
    l->kind = TOKEN_END;
    if (l->at == l->end || !*l->at) return;
    if (isdigit((unsigned char)*l->at)) {
        number(l);
    } else if (starts_word(*l->at)) {
        word(l);
    } else if (*l->at == '"') {
        string(l);
    } else {
        l->kind = TOKEN_MARK;
        l->mark = *l->at++;
    }
}

void lexer_skip_line(Lexer *l)
{
    while (l->line == l->token_line && l->at < l->end && *l->at != '\n') l->at++;
    lexer_next(l);
}

bool lexer_is_word(const Lexer *l, const char *text)
{
    return l->kind == TOKEN_WORD && strlen(text) == l->length && !memcmp(text, l->text, l->length);
}

bool lexer_is_mark(const Lexer *l, char mark) { return l->kind == TOKEN_MARK && l->mark == mark; }

bool lexer_accept(Lexer *l, char mark)
{
    if (!lexer_is_mark(l, mark)) return false;
    lexer_next(l);
    return true;
}

bool lexer_accept_word(Lexer *l, const char *text)
{
    if (!lexer_is_word(l, text)) return false;
    lexer_next(l);
    return true;
}

void lexer_expect(Lexer *l, char mark)
{
    if (lexer_accept(l, mark)) return;
    if (l->kind == TOKEN_WORD)
        module_fail(l->m, l->token_line, "expected `%c`, found `%.*s`", mark, (int)l->length, l->text);
    module_fail(l->m, l->token_line, "expected `%c`", mark);
}

const char *lexer_name(Lexer *l)
{
    if (l->kind != TOKEN_WORD) module_fail(l->m, l->token_line, "expected a name");
    const char *name = intern(&l->m->c, l->text, l->length);
    lexer_next(l);
    return name;
}

int64_t lexer_integer(Lexer *l)
{
    bool negative = lexer_accept(l, '-');
    if (l->kind != TOKEN_INTEGER) module_fail(l->m, l->token_line, "expected a number");
    int64_t value = l->integer;
    lexer_next(l);
    return negative ? (int64_t)(0 - (uint64_t)value) : value;
}
