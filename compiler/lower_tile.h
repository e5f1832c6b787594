/* Lowering of pairwise stages to tiles of queries and keys (Tile in loops.h):
 *   lower_tile.c         one sum: recognising it, its Tile
 *   lower_tile_parts.c   sums in parts: several maps of scores; keys in chunks where queries are few */
#ifndef ATTN_COMPILER_LOWER_TILE_H
#define ATTN_COMPILER_LOWER_TILE_H

#include "lower_internal.h"
#include "lower_rider.h"
#include "walk.h"

/* Why a stage does not fit whose extents of features are open. */
#define TILE_OPEN "the extents of its features are not fixed (--size)"
/* False: the stage does not fit (l->plain says why), nothing was emitted. */
bool lower_tiles(Lower *l, const Stage *stage);

/* The extent that the schedule fixes, or -1. */
int64_t tile_extent(const Lower *l, const Node *size);
/* Of what memory holds of a real tensor. */
StorageType tile_storage(const Lower *l, const Tensor *t);

/* One sum of a stage. */
typedef struct Tiling {
    Lower *l;
    const Stage *stage;
    Tile *t;
    IndexSet inner;
    NodeList binders;                                /* outermost ones of the body */
    Node *sum, *softmax, *weight, *factor, *product; /* factor NULL: there are no values */
    Node *gain;                                      /* of weights of a softmax */
    bool greatest;                                   /* of the scores, no sum */
    Index *outer[MAX_INDICES];
    unsigned n_outer;
    Riders riders;
    Index *chunk;                                    /* of keys: riders are the greatest score and the sum of the chunk */
    Node *when, *unless;                             /* conditions of having tasks, or NULL */
} Tiling;

Tiling tiling_for(Lower *l, const Stage *stage); /* l->plain: why there is none, or NULL */
void tiling_lower(Tiling *x);                    /* its phase */
void tiling_collect(void *context, Node *n, const Binding *around); /* a Walk: outermost binders of a Tiling */

/* A sum over several maps of scores: tiles for each, one after the other, into the workspace. */
bool tiles_of_maps(Lower *l, const Stage *stage);
/* Few queries and many keys, as in decoding: chunks of keys for blocks of their own, which another phase puts together
 * (Dao et al. 2023, Flash-Decoding). Emitted before the phase of x, which has no tasks then. */
void tiles_of_chunks(Tiling *x);

#endif
