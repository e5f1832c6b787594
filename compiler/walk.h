/* Visits the nodes of an expression together with the variables that are bound around them. */
#ifndef ATTN_COMPILER_WALK_H
#define ATTN_COMPILER_WALK_H

#include "lang/program.h"

typedef struct Binding {
    const Node *binder; /* the innermost binder whose body or `where` this is; NULL: outside all */
    const struct Binding *outer;
    IndexSet bound; /* by all binders around */
} Binding;
typedef void Walk(void *context, Node *n, const Binding *around);

/* Calls f for every node once per context of binders, an operation before its operands. What a binder
 * evaluates outside (bounds, extras) is visited in the outer context. */
void walk(Compilation *c, Node *n, Walk *f, void *context);

/* Set algebra. */
IndexSet set_of_dims(const Tensor *t);
bool set_within(const IndexSet *a, const IndexSet *b);
bool set_is_empty(const IndexSet *a);
IndexSet set_or(const IndexSet *a, const IndexSet *b);
IndexSet set_minus(const IndexSet *a, const IndexSet *b);
IndexSet set_and(const IndexSet *a, const IndexSet *b);
IndexSet set_of_vars(const Node *binder);

bool bounds_depend_on(const Node *binder, const IndexSet *set); /* the ranges of its variables */

/* Is coordinate k of this READ the dimension's own index, not bound by a binder around? */
bool read_is_own(const Node *read, unsigned k, const Binding *around);
bool read_is_identity(const Node *read); /* every coordinate is INDEX of the dimension, bound or not */
/* coordinate == INDEX(index) + *offset ? */
bool is_offset_of(const Node *coordinate, const Index *index, int64_t *offset);
bool contains_binder(Compilation *c, const Node *n);
bool contains_op(Compilation *c, const Node *n, Op op);
bool reads_tensor(Compilation *c, const Node *n, const Tensor *t);
/* `n` with every occurrence of one node replaced by another. */
Node *node_replace(Compilation *c, Node *n, Node *from, Node *to);
bool is_transcendental(Op op);
/* Nodes of the DAG that compute (leaves and reads of tensors not counted). */
unsigned node_count(Compilation *c, const Node *n);

#endif
