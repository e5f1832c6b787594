/* Lowering of pairwise stages to tiles of a GPU's tensor cores (Tile in loops.h). */
#ifndef ATTN_COMPILER_LOWER_TILE_H
#define ATTN_COMPILER_LOWER_TILE_H

#include "lower_internal.h"

/* Why a stage does not fit whose extents of features are open. */
#define TILE_OPEN "the extents of its features are not fixed (--size)"
/* False: the stage does not fit (l->plain says why), nothing was emitted. */
bool lower_tiles(Lower *l, const Stage *stage);

#endif
