/* Expressions as JavaScript, for the pages of `attnc show --html`. The page brings the helpers that the text
 * calls (compiler/command/show_page.html). */
#ifndef ATTN_COMPILER_JAVASCRIPT_H
#define ATTN_COMPILER_JAVASCRIPT_H

#include "interpret.h"

/* Ints as numbers are fast, and exact below 2^53: the helper `mul` notices larger products. As BigInts they
 * wrap at 64 bits, as the language says, and are far slower. */
typedef enum JavaScriptInts { JAVASCRIPT_NUMBERS, JAVASCRIPT_BIGINTS } JavaScriptInts;

typedef struct JavaScript {
    Compilation *c;
    const InterpretArguments *arguments; /* which optional tensors are given */
    JavaScriptInts ints;
    VEC(const Tensor *) tensors;         /* T[k] of the text; add what is read */
    bool wide;                           /* NUMBERS: something needs BIGINTS */
    const char *cannot;                  /* an operation that there is no JavaScript for, or NULL */
} JavaScript;

/* Sizes are S[Index.number], parameters P[Param.number], variables javascript_variable. */
void javascript_print(JavaScript *s, Text *out, const Node *n);
const char *javascript_variable(Compilation *c, const Index *index);

#endif
