/* Which boxes matter: expressions over a box of indices instead of one element (abstract interpretation with intervals).
 * A box gives every listed index a range [lo, hi); the results hold for all elements in it, and are exact where the
 * indices occur once. */
#ifndef ATTN_COMPILER_BOX_H
#define ATTN_COMPILER_BOX_H

#include "lang/program.h"

typedef struct BoxSide { const Index *index; Node *lo, *hi; } BoxSide; /* lo <= INDEX(index) < hi, not empty */
/* Least and greatest number (bools: all, any) of every SUMMARY elements of a tensor along one dimension: tensors of its
 * shape but for that dimension. Ranges are then looked up in chunks, which widens them to whole ones. */
enum { SUMMARY = 32 };
typedef struct Summary { const Tensor *tensor; unsigned dim; Index *chunk; Tensor *least, *most; } Summary;
typedef VEC(Summary) SummaryList;

typedef struct Box { BoxSide sides[16]; unsigned n; const SummaryList *summaries; } Box; /* summaries: NULL, none */

/* Least and greatest value of an int expression in the box; NULL: not known. */
Node *box_least(Compilation *c, const Box *box, Node *n);
Node *box_greatest(Compilation *c, const Box *box, Node *n);
/* May the condition hold (fail) somewhere in the box? TRUE if nothing better is known. */
Node *box_may_hold(Compilation *c, const Box *box, Node *test);
Node *box_may_fail(Compilation *c, const Box *box, Node *test);
/* The only coordinate of a READ that moves in the box, plainly along an index: a summary would help. -1: there is none. */
int box_summary_dim(const Box *box, const Node *read);

#endif
