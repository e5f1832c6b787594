/* Equations made of what a softmax-weighted sum keeps: computed beside it. */
#ifndef ATTN_COMPILER_LOWER_RIDER_H
#define ATTN_COMPILER_LOWER_RIDER_H

#include "lower_internal.h"

typedef struct Riders {
    Lower *l;
    const Stage *stage;
    Node *sum, *score;            /* of the softmax */
    unsigned n_outer;
    Index **outer;                /* the rows: dims of the output that the sum does not accumulate */
    VEC(Equation *) equations;
} Riders;

/* sum: the only one of its stage, or NULL: then there are no riders. */
Riders find_riders(Lower *l, const Stage *stage, Node *sum, unsigned n_outer, Index **outer);
/* The body of a rider where the greatest score and the sum of exp(score - greatest) are known. */
Node *rider_value(const Riders *r, Node *body, Node *max, Node *sum);

#endif
