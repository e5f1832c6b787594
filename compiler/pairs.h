/* How many points of a space a condition lets through, exactly: for what `attnc explain` and `attnc bench`
 * say of visible pairs. Nothing as large as the space is stored. */
#ifndef ATTN_COMPILER_PAIRS_H
#define ATTN_COMPILER_PAIRS_H

#include "interpret.h"

#define PAIRS_ENOUGH 3e9
/* Points of the product of `variables` (whole ranges) at which `test` holds. False: that cannot be told from
 * what is given, or takes more than `budget`
 * instructions. PAIRS_ENOUGH is a second or so. */
bool pairs_count(Compilation *c, Node *test, unsigned n_variables, Index *const *variables,
                 const InterpretArguments *arguments, double budget, double *count);

#endif
