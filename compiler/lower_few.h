/* Pairwise stages with few queries (decoding): keys and channels in lanes, keys split over tasks. */
#ifndef ATTN_COMPILER_LOWER_FEW_H
#define ATTN_COMPILER_LOWER_FEW_H

#include "lower_rider.h"

/* The condition, over sizes, under which this way is faster than strips of queries; FALSE: it does not fit. `sum` is the
 * only one over keys in the equation of `out`, whose last `n_queries` dims outside of `inner` are the queries. */
Node *few_queries(Lower *l, const Tensor *out, Node *sum, unsigned n_queries, const IndexSet *inner);
/* Two phases, that have tasks where `few` holds; riders are stored beside the output. */
void lower_few(Lower *l, const Stage *stage, Node *sum, unsigned n_queries, const IndexSet *inner, Node *few,
               const Riders *riders);

#endif
