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
    X(vector_products, 1.066) \
    X(vector_flops, 2.5) \
    X(vector_special, 10.8) \
    X(vector_ints, 1) \
    X(vector_moves, 2.7) \
    X(gathers, 60) \
    X(strips, 20500) \
    X(boxes, 1960) \
    X(scalar_products, 8) \
    X(scalar_flops, 7) \
    X(scalar_special, 65) \
    X(scalar_ints, 6.6) \
    X(scalar_moves, 3.8) \
    X(tasks, 10000)
typedef enum CostTerm {
#define COST_TERM(name, weight) COST_##name,
    COST_TERMS(COST_TERM)
#undef COST_TERM
    COST_N_TERMS
} CostTerm;
void cost_terms(const CensusPhase *p, bool f64, double terms[COST_N_TERMS]);

#endif
