/* Tokens of PTX. Words hold dots and double colons, as opcodes do: `ld.global.L1::no_allocate`. */
#ifndef ATTN_TESTS_GPU_PTX_LEXER_H
#define ATTN_TESTS_GPU_PTX_LEXER_H

#include "inside.h"

typedef enum TokenKind {
    TOKEN_END, TOKEN_WORD, TOKEN_INTEGER, TOKEN_DOUBLE, TOKEN_STRING, TOKEN_MARK
} TokenKind;
typedef struct Lexer {
    PtxModule *m;
    const char *at, *end;    /* what follows the token */
    TokenKind kind;
    const char *text;        /* of a word or string: not ended by a zero */
    size_t length;
    int64_t integer;         /* also the bits of 0f and 0d numbers */
    double number;           /* of `1.5` */
    char mark;
    uint32_t line, token_line;
} Lexer;

void lexer_next(Lexer *l);
void lexer_skip_line(Lexer *l);         /* to the first token of the next line */
bool lexer_is_word(const Lexer *l, const char *text);
bool lexer_is_mark(const Lexer *l, char mark);
bool lexer_accept(Lexer *l, char mark); /* goes past it if it is there */
bool lexer_accept_word(Lexer *l, const char *text);
void lexer_expect(Lexer *l, char mark);
const char *lexer_name(Lexer *l);       /* interned; goes past the word */
int64_t lexer_integer(Lexer *l);        /* with an optional minus */

#endif
