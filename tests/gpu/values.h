/* Instructions with numbers and what they give: one a line,
 *   OPCODE OPERAND, ... = RESULT, ...      exactly, bit by bit; `nan`: any NaN
 *   OPCODE OPERAND, ... ~ RESULT           a float, within 2^-20 of it
 * A number has the last type of the opcode (a result the first), or the one after a colon: `3:u32`. `#7`
 * stands as it is in the instruction. Decimal fractions, `inf` and `nan` are floats. `//` begins a comment. */
#ifndef ATTN_TESTS_GPU_VALUES_H
#define ATTN_TESTS_GPU_VALUES_H

#include "tests/gpu/ptx/inside.h"

typedef struct Number { Type type; uint64_t bits; bool literal; const char *text; } Number;
typedef struct Case {
    const char *opcode;
    Number operands[6], results[2];
    unsigned n_operands, n_results, line;
    bool nearly;
} Case;
typedef VEC(Case) Cases;

/* NULL, or what is wrong with the text. */
const char *values_read(Compilation *c, const char *text, Cases *cases);
/* A module whose kernel `values` stores result r of case k at out[2 k + r], 8 bytes each. */
const char *values_module(Compilation *c, const Cases *cases);
bool values_equal(const Case *t, unsigned result, uint64_t bits);

#endif
