/* What a kernel does at given sizes and data, counted without doing it: what steers (bounds of loops,
 * conditions, the ints and bools that they follow from) is executed, everything else is counted, and a loop
 * that steers nothing is counted once. So counting takes about as long as there are blocks of keys, not
 * pairs.
 *
 * Lowering marks by NOTE statements what runs in strips of queries in lanes:
 *     strip    condition: does this lane hold a query of its own? (lanes beyond the last query repeat it); outside of
 *              lanes: one query
 *     box      a visited block of keys of stream `check`; value: how many; condition: must they be masked?
 *              (NULL: no)
 *     rounds   in a loop of `check` rounds at most, that ends earlier by numbers: value: how many are usual */
#ifndef ATTN_COMPILER_CENSUS_H
#define ATTN_COMPILER_CENSUS_H

#include "interpret.h"
#include "loops.h"

#define CENSUS_STRIP "strip"
#define CENSUS_BOX "box"
#define CENSUS_ROUNDS "rounds"

/* Operations on single elements. */
typedef struct Work {
    double products;  /* multiplications and additions of x = x + a * b, two each */
    double flops;     /* other arithmetic on reals */
    double special;   /* exp, tanh, ..., division, square roots */
    double ints;      /* on ints and bools, comparisons, selections */
    double divisions; /* of them, by what is no power of 2; by a literal: a twentieth */
    double loads, stores;
    double gathers; /* loads whose lanes are not neighbours in memory */
} Work;

enum { CENSUS_STREAMS = 8 };
typedef struct CensusStream {
    double full, partial; /* boxes */
    double visited;       /* pairs of query and key */
} CensusStream;

typedef struct CensusPhase {
    bool exact;     /* false: what depends on the numbers of float tensors was counted either way */
    bool hopeful;   /* NaN, of which there is a test, was taken for absent: strips that meet it run twice */
    bool complete;  /* false: it took too long; nothing below counts */
    unsigned lanes; /* queries in a strip, 0: no strips */
    double strips, tasks;
    unsigned n_streams;
    CensusStream streams[CENSUS_STREAMS];
    Work vector, scalar;    /* what is done lane by lane, and everything else */
    double *read, *written; /* by buffer: elements, repeats counted */
    double spared_stores;   /* how many more they were, were those repeated for every lane that are made once for all */
    double longest; /* iterations of the loop over streamed indices that runs most often (see census) */
} CensusPhase;

/* Fills one entry per phase of the kernel. `streamed`: by phase, indices whose loops `longest` is about; may
 * be NULL. Tensors of `arguments` need data only where it steers: without it both ways are counted. */
void census(Compilation *c, const Kernel *k, const InterpretArguments *arguments, const IndexSet *streamed,
            CensusPhase *phases);
/* Does this read of the buffer, in a VECTOR loop over `lane`, take a load for every lane? */
bool census_is_gather(const Buffer *b, const Node *read, const Index *lane);
double work_flops(const Work *w); /* products, flops and special together */

#endif
