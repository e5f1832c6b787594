/* One random program on three ways: oracle, Loops, machine code. */
#ifndef ATTN_FUZZ_TRIAL_H
#define ATTN_FUZZ_TRIAL_H

#include "generate.h"

typedef enum Verdict {
    FINE,
    REJECTED, /* the checker says that it is wrong */
    REFUSED,  /* conditions do not hold; all agree */
    LONG,     /* too many operations for the oracle */
    FAILED
} Verdict;
typedef struct Outcome {
    Verdict verdict;
    char text[400];
} Outcome;

typedef struct TrialOptions {
    bool f64;
    bool generate_code;     /* machine code too */
    const char *target;     /* of it: NULL: this machine; `cuda:compute_80`: the first CUDA device */
    bool variants;          /* machine code of its own for two extents of some index, too */
    unsigned sizes;         /* assignments of extents to try; the first is the example's */
    uint64_t seed;          /* of extents and data */
    const char *definition; /* `n0=2`: makes this parameter constant in programs that have it; or NULL */
} TrialOptions;

/* Runs in a child process, so that a crash is an outcome as well. */
void try_programs(const RandomProgram *programs, unsigned n, const TrialOptions *options, Outcome *outcomes);
/* One program, in this process. */
void try_program(const RandomProgram *program, const TrialOptions *options, Outcome *outcome);
/* What a failure is, without the numbers in it: equal for the same mistake, more or less. */
bool same_failure(const Outcome *a, const Outcome *b);
/* A smaller program that fails in the same way (malloc'd). */
char *minimise(const char *text, const char *name, const TrialOptions *options, const Outcome *outcome,
               double seconds);

#endif
