/* Direct execution of Loops: slow, checked, counting. A second opinion between the oracle and machine code
 * (what fails here is a bug of lowering, not of printing), and the executed work that `cost` is tested by.
 * Besides the results it checks that every access is in its buffer, that nothing is read before it is
 * written, that tasks of a phase do not touch each other's elements, and that every output element is
 * written. */
#ifndef ATTN_COMPILER_EXECUTE_H
#define ATTN_COMPILER_EXECUTE_H

#include "interpret.h"
#include "loops.h"

typedef struct ExecuteCounts {
    uint64_t flops;          /* real + - * / negation, min, max, abs, sqrt, rounding, conversion from ints */
    uint64_t special;        /* exp, log, tanh, sin, erf, pow, ..., rand */
    uint64_t ints;           /* operations on ints and bools, comparisons */
    uint64_t loads, stores;  /* of elements of buffers */
    uint64_t iterations;     /* of FOR */
    uint64_t tasks;
} ExecuteCounts;

typedef struct ExecuteOptions {
    bool f32;                /* the compute type, and the storage type of `float`; else f64 */
    bool backwards;          /* the tasks of a phase in the opposite order: results must be the same */
    uint64_t limit;          /* of counted work; 0: none */
} ExecuteOptions;

/* Tests the conditions of the kernel, then runs all phases. `arguments` and `outputs` as in interpret();
 * an output that is missing or not given is not bound. Returns NULL or an error (in c's arena): a
 * condition or a check that does not hold, or, beginning with "internal error", what the kernel does
 * wrong. counts: NULL, or is filled. */
const char *execute(Compilation *c, const Kernel *k, const InterpretArguments *arguments,
                    const InterpretTensor *outputs, unsigned n_outputs, const ExecuteOptions *options,
                    ExecuteCounts *counts);
uint64_t execute_work(const ExecuteCounts *counts); /* all of it but tasks, added up */

#endif
