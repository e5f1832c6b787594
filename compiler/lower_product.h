/* Lowering of matrix products to tiles (Product in loops.h): what tasks, rows and columns are, how operands reach
 * shared memory. */
#ifndef ATTN_COMPILER_LOWER_PRODUCT_H
#define ATTN_COMPILER_LOWER_PRODUCT_H

#include "lower_internal.h"

/* False: the stage is no matrix product that is worth it (l->plain says why), nothing was emitted. */
bool lower_product(Lower *l, const Stage *stage);

#endif
