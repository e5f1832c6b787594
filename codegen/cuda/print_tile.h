/* Shared by the parts of the printer of tiles.
 *   print_tile.c        the kernel: memory, loops over tasks and tiles of keys
 *   print_tile_rows.c   rows of queries, keys and values on their way to shared memory, those of the output out
 *   print_tile_pair.c   pairs of queries and keys: scores, what is hidden, weights; what becomes of the sums
 *   prelude_tile_list.h, prelude_tile_f32_list.h   the steps of a warp
 *
 * What differs between tensor cores and f32 is in TileLayout: how the elements of a warp's 16 rows lie in its lanes. In both
 * a thread keeps float s[KEYS / 8][4] of scores and float total[E / 8][4] of sums; what is said of an element of s by its
 * number x = 4 * first + second is said by bit x of a word. */
#ifndef ATTN_CODEGEN_CUDA_PRINT_TILE_H
#define ATTN_CODEGEN_CUDA_PRINT_TILE_H

#include "codegen/cuda/print.h"

typedef struct TileLayout {
    unsigned rows, lanes;      /* of a thread; that share a row */
    const char *row;           /* the first of a thread's rows in the block, */
    unsigned step;             /* and from one to the next */
    const char *n_keys, *key;  /* of a thread; which one is key n in the tile */
    const char *bit, *score;   /* of the element for r and n */
    const char *n_columns, *column, *total; /* the same of the output, for row and n */
    unsigned features, columns; /* those of keys, and of values, are padded to a multiple of these */
} TileLayout;

/* Names in the kernel. */
typedef struct TilePrinter {
    Printer *p;
    const Tile *t;
    const TileLayout *layout;
    const char *i[TILE_DIMS], *j[TILE_DIMS], *e; /* a query, a key, a feature */
    const char *from[TILE_DIMS], *to[TILE_DIMS]; /* queries of the block: from .. to */
    const char *begin, *end, *next, *first;      /* keys; tiles of them: the next one, that in work */
    unsigned parts;                              /* of 16 bits that a weight has */
    bool masks, boxes;                           /* pairs are hidden; keys have several indices */
    bool plain, large;                           /* no softmax: weights may be too large for 16 bits */
    bool careful;                                /* work may have to be done again, with care */
    bool wide;                                   /* the output is f32, rows are not */
    bool doubled;                                /* tiles of keys have two buffers */
    const char *d_width, *e_width;               /* of D and E numbers, in 16 bits; on tensor cores */
    const char *d_bytes, *e_bytes;               /* of a tile of keys, of values */
} TilePrinter;

/* ---- print_tile_rows.c ---- */
/* A call of stage(), which copies rows to shared memory. */
typedef struct TileCopy {
    const Node *read;                            /* of an element; its last coordinate is the column */
    const char *tile, *shape, *rows, *columns;
    const char *from;                            /* the first column, or NULL */
} TileCopy;
/* Rows that are a stride apart, `variable` running from `first` on. False: they are not, nothing was printed. */
bool tile_copy_apart(Printer *p, const TileCopy *s, const Index *variable, const char *first);
/* Rows anywhere: between both the coordinates of row `number` are declared. */
const char *tile_copy_open(Printer *p, const TileCopy *s);
void tile_copy_close(Printer *p, TileCopy s, const char *row);
const char *tile_stride(Printer *p, const Tensor *t, unsigned dim); /* from one element to the next */
void tile_chunks(Printer *p, const Tensor *t); /* may its rows be copied in chunks? */

/* Declares the coordinates of query number `r` of the block that `n` needs (NULL: all). A warp has a box of its own. */
void tile_queries_at(TilePrinter *x, const Node *n, const char *r, bool clamp);
const char *tile_inside_block(const TilePrinter *x); /* `y < y_end && x < x_end` */
/* Copies rows: of the block's queries; of keys and values from `first` on, to the place that `tile` names. */
void tile_stage_queries(TilePrinter *x);
void tile_stage_keys(TilePrinter *x, const char *tile, const char *first);
void tile_stage_values(TilePrinter *x, const char *tile, const char *first);
void tile_stage_list(TilePrinter *x, const char *list); /* the coordinates of keys from x->next on */
void tile_store(TilePrinter *x);

/* ---- print_tile_pair.c ---- */
bool tile_is_long(Printer *p, const Node *n); /* too much code to have it once for every element */
const char *tile_row(const TilePrinter *x, const char *r); /* number of query r of a thread in the block */
void tile_mask(TilePrinter *x);      /* sets what is hidden, and full */
void tile_scores(TilePrinter *x, const char *q, const char *k);
void tile_hide(TilePrinter *x);
void tile_weigh(TilePrinter *x);     /* scores become weights */
void tile_start(TilePrinter *x);     /* of the sums */
void tile_finish(TilePrinter *x);    /* sums become elements of the output */

#endif
