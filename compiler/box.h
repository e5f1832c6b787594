/* Which boxes matter: expressions over a box of indices instead of one element (abstract interpretation with intervals).
 * A box gives every listed index a range [lo, hi); the results hold for all elements in it, and are exact where the
 * indices occur once. */
#ifndef ATTN_COMPILER_BOX_H
#define ATTN_COMPILER_BOX_H

#include "lang/program.h"

typedef struct BoxSide { const Index *index; Node *lo, *hi; } BoxSide; /* lo <= INDEX(index) < hi, not empty */
typedef struct Box { BoxSide sides[16]; unsigned n; } Box;

/* Least and greatest value of an int expression in the box; NULL: not known. */
Node *box_least(Compilation *c, const Box *box, Node *n);
Node *box_greatest(Compilation *c, const Box *box, Node *n);
/* May the condition hold (fail) somewhere in the box? TRUE if nothing better is known. */
Node *box_may_hold(Compilation *c, const Box *box, Node *test);
Node *box_may_fail(Compilation *c, const Box *box, Node *test);

#endif
