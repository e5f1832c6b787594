/* The `example` of a pattern: sizes and arguments for pictures, tests, benchmarks and the planner's estimates. */
#ifndef ATTN_COMPILER_EXAMPLE_H
#define ATTN_COMPILER_EXAMPLE_H

#include "lang/program.h"

/* Extent of any index at the example's sizes and arguments; bound indices without an entry have 2 if ambient, else 16.
 * Values that cannot be evaluated count as 16. */
int64_t example_extent(Compilation *c, const Pattern *pattern, const Index *index);
/* The number of a parameter: the example's, else its default, else 0 (ints and bools converted). */
double example_param(Compilation *c, const Pattern *pattern, const Param *param);
/* An int (or number) expression over SIZE and PARAM at given extents (by Index.number) and parameters (by Param.number;
 * ints, or the bits of a double). False: it holds something else. */
bool example_evaluate(const Node *n, const int64_t *extents, const int64_t *params, double *value);
/* The numeric value of the example's expression: numbers, earlier sizes and parameters by name, + - * / // % **, min, max, size(j). */
bool example_number(Compilation *c, const Pattern *pattern, const Ast *e, const int64_t *extents, double *value);

#endif
