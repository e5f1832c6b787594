/* Where a condition holds in a box of points: the box is halved as long as box.h cannot tell whether it holds
 * in all of it or nowhere, and small boxes are evaluated point by point. For counting pairs (pairs.h) and for
 * pictures (show.h). */
#ifndef ATTN_COMPILER_HALVING_H
#define ATTN_COMPILER_HALVING_H

#include "interpret.h"

enum { HALVING_MOST = 15 }; /* variables */
typedef struct Halving Halving;
/* lo <= variable < hi */
typedef struct HalvingBox { int64_t lo[HALVING_MOST], hi[HALVING_MOST]; } HalvingBox;

typedef enum HalvingClass {
    HALVING_EMPTY, HALVING_FULL, /* so says the analysis */
    HALVING_PARTIAL              /* undecided and small: evaluated */
} HalvingClass;
/* `holds`: of a PARTIAL box, one for every point, row-major in the order of the variables; else NULL. */
typedef void HalvingVisit(void *context, const HalvingBox *box, HalvingClass class, const bool *holds);

typedef struct HalvingOptions {
    double leaf;   /* undecided boxes of at most so many points are evaluated; at most HALVING_LEAF */
    double budget; /* instructions for single points; what is left then is not visited */
    HalvingVisit *visit;
    void *context;
} HalvingOptions;
enum { HALVING_LEAF = 1024 };

/* NULL: the condition needs something that is not given. */
Halving *halving_new(Compilation *c, Node *test, unsigned n_variables, Index *const *variables,
                     const InterpretArguments *arguments);
double halving_volume(const Halving *h, const HalvingBox *box);
/* Visits disjoint boxes that make up the whole one, lower coordinates first. False: the budget did not do.
 * *identity (or NULL) is equal for equal sets of points in boxes of equal shape, and else differs but for
 * chance, 2^-64. */
bool halving_run(Halving *h, const HalvingBox *whole, const HalvingOptions *options, uint64_t *identity);

#endif
