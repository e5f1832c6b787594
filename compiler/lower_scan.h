/* Lowering of recurrences for GPUs (Recurrence in loops.h):
 *   lower_scan.c       what is kept in registers, rows, what comes ahead, sizes, the phase
 *   lower_scan_fit.c   rows in place of loop variables, start values; does it fit? */
#ifndef ATTN_COMPILER_LOWER_SCAN_H
#define ATTN_COMPILER_LOWER_SCAN_H

#include "lower_internal.h"

enum { SCAN_MOST_WORDS = 96 /* registers of a thread for states and what it has at hand */ };

typedef struct Scanning {
    Lower *l;
    const Stage *stage;
    Recurrence *r;
    IndexSet tasks, stored; /* by Index.id; by place in Kernel.buffers */
    VEC(Kept) kept;
    VEC(Early) early;
    VEC(const Statement *) late;
    bool in_after;
    const char *why; /* it does not fit, or NULL */
} Scanning;

/* lower_scan.c */
void scan_refuse(Scanning *x, const char *why);
int64_t scan_fixed(const Scanning *x, const Node *n); /* as tile_extent, of sums and products of extents, too */
Node *scan_extent(const Scanning *x, Index *i);
Kept *scan_kept(const Scanning *x, const Tensor *t); /* NULL: not in registers */

/* lower_scan_fit.c */
/* Statements with the rows of x as the variable of all loops over them, and states of steps before the first as values of
 * their own. */
Block scan_rewrite(Scanning *x, const Block *block, bool after);
void scan_check(Scanning *x); /* refuses what does not fit */

#endif
