/* An expression as a list of instructions that run for many points at once: for counting, where an expression
 * over indices, sizes, parameters and given tensors is wanted at millions of points. Everything is evaluated,
 * also what IF, AND and OR would leave out: a read outside of its tensor gives 0. */
#ifndef ATTN_COMPILER_TAPE_H
#define ATTN_COMPILER_TAPE_H

#include "interpret.h"

enum { TAPE_WIDTH = 256 };
typedef struct Tape Tape;

/* variables: the free indices, in any order, at most 32. NULL: something is needed that is not given (a
 * computed tensor, an input without data, a binder). */
Tape *tape_new(Compilation *c, const Node *n, unsigned n_variables, Index *const *variables,
               const InterpretArguments *arguments);
/* `count` points, at most TAPE_WIDTH: points[k] holds the coordinates of variable k. */
const Scalar *tape_run(Tape *t, unsigned count, const int64_t *const *points);
double tape_work(const Tape *t); /* instructions for single points so far */

/* The value of an expression without free indices. False: it needs something else. */
bool tape_value(Compilation *c, const Node *n, const InterpretArguments *arguments, Scalar *value);
/* Extent of an index; -1: it needs something else. */
int64_t tape_extent(Compilation *c, Index *index, const InterpretArguments *arguments);

#endif
