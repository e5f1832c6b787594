/* PTX that says what it does, in lines that begin with `//> `:
 *   run KERNEL GRID BLOCK [SHARED]  launches; the only parameter points to 4096 words, 0, 1, 2, ... before
 *   out FIRST = WORD ...            words of it afterwards
 *   error TEXT                      stands in the error that ends the launch; none is an error, too
 *   count CLASS = WARPS THREADS     what the last launch executed
 *   count global_load = REQUESTS UNITS IDEAL    and so for global_store, shared_load, shared_store */
#ifndef ATTN_TESTS_GPU_PROGRAMS_H
#define ATTN_TESTS_GPU_PROGRAMS_H

#include "lang/base.h"
#include "tests/gpu/ptx/ptx.h"

/* How many of them do not hold; each is printed. */
unsigned program_check(Compilation *c, const char *path, const char *text);

#endif
