/* The time that a phase of a kernel will take, from what census.h counted. */
#ifndef ATTN_COMPILER_COST_H
#define ATTN_COMPILER_COST_H

#include "census.h"

typedef struct CostMachine {
    double peak;     /* f32 flops per second of one thread, in fused multiply-adds of the widest vectors */
    double read;     /* bytes per second of one thread from memory */
    double cache;    /* bytes of the last cache that one thread can fill */
} CostMachine;

/* Seconds. bytes: read and written at least once; f64: the compute type. */
double cost_seconds(const CensusPhase *p, const CostMachine *m, double bytes, bool f64, int threads);

/* The terms of the model, in flops at peak that take as long: for fitting and for tests. */
#define COST_TERMS(X) \
    X(vector_products, 1.038) \
    X(vector_flops, 3.121) \
    X(vector_special, 10.61) \
    X(vector_ints, 3.821) \
    X(vector_moves, 4.056) \
    X(gathers, 60) \
    X(strips, 2.075e+04) \
    X(boxes, 2004) \
    X(scalar_products, 8) \
    X(scalar_flops, 16) \
    X(scalar_special, 100) \
    X(scalar_ints, 8) \
    X(scalar_moves, 8) \
    X(tasks, 1.0e+04)
typedef enum CostTerm {
#define COST_TERM(name, weight) COST_##name,
    COST_TERMS(COST_TERM)
#undef COST_TERM
    COST_N_TERMS
} CostTerm;
void cost_terms(const CensusPhase *p, bool f64, double terms[COST_N_TERMS]);

#endif
