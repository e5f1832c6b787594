/* Expressions evaluated at points and in boxes, one by one: what compiler/box.h says of a box against what is
 * so. */
#ifndef ATTN_TESTS_BOXES_H
#define ATTN_TESTS_BOXES_H

#include "compiler/box.h"
#include "compiler/scalar.h"

/* Elements of a tensor, dense; ints, and bools as 0 and 1. */
typedef struct Table {
    const Tensor *tensor;
    int64_t shape[8], *data;
} Table;

typedef struct Values {
    int64_t index[MAX_INDICES];  /* by Index.id */
    const int64_t *extents;      /* by Index.number */
    const Scalar *params;        /* by Param.number */
    Table tables[64];
    unsigned n_tables;
    bool astray;                 /* an unguarded read was out of range, or something has no value here */
    Scalar *memo;                /* by Node.id, where `stamp` is `epoch` */
    uint32_t *stamp, epoch, epochs, n_memo;
} Values;

/* The value of an expression where the variables are v->index, as the language has it; reads out of range are
 * 0. Real tensors have no value. */
Scalar values_of(Compilation *c, Values *v, const Node *n);
void values_changed(Values *v); /* to be called after a change of v->index */
Table *values_table(Values *v, const Tensor *t); /* NULL: none */
int64_t values_extent(Compilation *c, Values *v, const Index *index);

/* Variables with symbolic bounds: sides of a box whose bounds are other variables, set before asking. */
typedef struct Space {
    Index *variables[16], *lo[16], *hi[16];
    Box box;
} Space;

void space_add(Compilation *c, Space *s, Index *variable);
void space_set(Values *v, const Space *s, unsigned side, int64_t lo, int64_t hi); /* lo <= variable < hi */

/* Verdicts over many boxes. */
typedef struct Verdicts {
    uint64_t boxes, exact;   /* exact: both answers were as good as they can be */
    uint64_t empty, full;    /* boxes that are; found_*: and were called so */
    uint64_t found_empty, found_full;
} Verdicts;

/* The box that space_set made, looked at point by point: NULL, or what is wrong with `hold` and `fail`, which
 * box_may_hold and box_may_fail made of `test`. Boxes with reads astray do not count. */
const char *box_judge(Compilation *c, Values *v, const Space *s, const Node *test, const Node *hold,
                      const Node *fail, Verdicts *verdicts);
/* The same for the bounds of an int expression; least, greatest may be NULL. */
const char *box_judge_bounds(Compilation *c, Values *v, const Space *s, const Node *n, const Node *least,
                             const Node *greatest, Verdicts *verdicts);

void verdicts_print(const char *what, const Verdicts *v); /* to stderr */

/* xorshift64* (Vigna 2016), in lo .. hi. */
int64_t random_between(uint64_t *state, int64_t lo, int64_t hi);

#endif
