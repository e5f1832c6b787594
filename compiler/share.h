/* Memory of scratch tensors. */
#ifndef ATTN_COMPILER_SHARE_H
#define ATTN_COMPILER_SHARE_H

#include "loops.h"

/* Sets Buffer.shares: scratch tensors that are not alive at the same time lie in the same place; share
 * false: all have memory of their own, as where threads interleave elements of several sizes. */
void share_scratch(Compilation *c, Kernel *kernel, bool share);

#endif
