/* A model of time with few terms: what census.h counts, each at a price in flops at peak, so that one
 * measured number, the FMA peak, carries it from machine to machine; or, if that takes longer, the bytes that
 * must come from memory at the measured bandwidth.
 *
 *     products   of the matrix loops: near peak in strips, where they fill the register file; in plain loops
 *                LLVM's vectors reach a part of it
 *     flops, special, ints, moves     one by one: pointwise work, exp and the like, masks (64-bit positions:
 *                twice the vectors), loads and stores of tiles
 *     gathers, divisions    one lane after the other
 *     strips, boxes, tasks            what starting one takes
 *
 * The prices were fitted once, on an AVX-512 machine, to bench/cases/ by scripts/fit_cost.py: non-negative
 * least squares of relative errors. */
#include "cost.h"

static const double prices[] = {
#define COST_TERM(name, weight) weight,
    COST_TERMS(COST_TERM)
#undef COST_TERM
};

void cost_terms(const CensusPhase *p, bool f64, double terms[COST_N_TERMS])
{
    double wide = f64 ? 2 : 1, boxes = 0; /* half as many elements in a vector */
    for (unsigned k = 0; k < p->n_streams; k++) boxes += p->streams[k].full + p->streams[k].partial;
    terms[COST_vector_products] = wide * p->vector.products;
    terms[COST_vector_flops] = wide * p->vector.flops;
    terms[COST_vector_special] = wide * p->vector.special;
    terms[COST_vector_ints] = p->vector.ints;
    terms[COST_vector_moves] = wide * (p->vector.loads + p->vector.stores);
    terms[COST_gathers] = p->vector.gathers;
    terms[COST_divisions] = p->vector.divisions + p->scalar.divisions;
    terms[COST_strips] = p->strips;
    terms[COST_boxes] = boxes;
    terms[COST_scalar_products] = wide * p->scalar.products;
    terms[COST_scalar_flops] = wide * p->scalar.flops;
    terms[COST_scalar_special] = wide * p->scalar.special;
    terms[COST_scalar_ints] = p->scalar.ints;
    terms[COST_scalar_moves] = wide * (p->scalar.loads + p->scalar.stores);
    terms[COST_tasks] = p->tasks;
}

double cost_seconds(const CensusPhase *p, const CostMachine *m, double bytes, bool f64, int threads)
{
    double terms[COST_N_TERMS], work = 0, together = (double)threads < p->tasks ? (double)threads : p->tasks;
    if (together < 1) together = 1;
    cost_terms(p, f64, terms);
    for (unsigned k = 0; k < COST_N_TERMS; k++) work += prices[k] * terms[k];
    double compute = work / m->peak / together;
    double memory = bytes > m->cache ? bytes / m->read / together : 0;
    return compute > memory ? compute : memory;
}
