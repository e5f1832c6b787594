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
    X(vector_products, 1.1) \
    X(vector_flops, 2.55) \
    X(vector_special, 13) \
    X(vector_ints, 0.95) \
    X(vector_moves, 2.8) \
    X(gathers, 1000) \
    X(divisions, 500) \
    X(strips, 21000) \
    X(boxes, 1950) \
    X(scalar_products, 14) \
    X(scalar_flops, 10) \
    X(scalar_special, 80) \
    X(scalar_ints, 6.3) \
    X(scalar_moves, 5) \
    X(tasks, 10000)
typedef enum CostTerm {
#define COST_TERM(name, weight) COST_##name,
    COST_TERMS(COST_TERM)
#undef COST_TERM
    COST_N_TERMS
} CostTerm;
void cost_terms(const CensusPhase *p, bool f64, double terms[COST_N_TERMS]);

#endif
