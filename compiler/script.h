/* Expressions as JavaScript, for the pages of `attnc show --html`. The page brings the helpers that the text
 * calls (compiler/command/show_page.html). */
#ifndef ATTN_COMPILER_SCRIPT_H
#define ATTN_COMPILER_SCRIPT_H

#include "interpret.h"

/* Ints as numbers are fast, and exact below 2^53: the helper `mul` notices larger products. As BigInts they
 * wrap at 64 bits, as the language says, and are far slower. */
typedef enum ScriptInts { SCRIPT_NUMBERS, SCRIPT_BIGINTS } ScriptInts;

typedef struct Script {
    Compilation *c;
    const InterpretArguments *arguments; /* which optional tensors are given */
    ScriptInts ints;
    VEC(const Tensor *) tensors;         /* T[k] of the text; add what is read */
    bool wide;                           /* NUMBERS: something needs BIGINTS */
    const char *cannot;                  /* an operation that there is no JavaScript for, or NULL */
} Script;

/* Sizes are S[Index.number], parameters P[Param.number], variables script_variable. */
void script_print(Script *s, Text *out, const Node *n);
const char *script_variable(Compilation *c, const Index *index);

#endif
