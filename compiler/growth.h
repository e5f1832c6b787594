/* How the work of a plan grows with extents and parameters, beside what the pattern's `cost` promises. Every sum, selection
 * or element that is stored makes a term: the extents of the indices that it runs over. A condition over them is counted at
 * a few sizes, and its points become a product of extents and parameters, if they grow as one does. Ambient indices are left
 * out, as in `cost`. */
#ifndef ATTN_COMPILER_GROWTH_H
#define ATTN_COMPILER_GROWTH_H

#include "plan.h"

enum { GROWTH_FACTORS = 24 };
typedef struct GrowthTerm {
    const char *factors[GROWTH_FACTORS]; /* "i", "window", "(i + j - 1)" */
    unsigned n;
    bool at_most;  /* there is a condition that was not counted: numbers decide it, or that takes too long */
    double base;   /* at larger sizes than the example's */
    double *times; /* by quantity, then of all extents: how many times as much it is where these are doubled; NAN: not known */
} GrowthTerm;

typedef struct Growth {
    unsigned n;         /* quantities: extents that are bound, then int parameters */
    const char **names;
    double *promised;   /* by quantity, as in GrowthTerm: of the fastest term of `cost`; NULL: it promises nothing */
    const char *promise, *derived; /* as text; promise NULL: none */
    bool at_most;       /* any term is */
    VEC(GrowthTerm) terms; /* none is below another one for all quantities */
    const char *faster; /* a quantity with which the work grows faster than promised, or NULL */
} Growth;

Growth *growth(Compilation *c, const Plan *plan);

#endif
