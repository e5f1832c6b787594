/* Rewrites of single expressions that every lowering wants. */
#ifndef ATTN_COMPILER_SIMPLIFY_H
#define ATTN_COMPILER_SIMPLIFY_H

#include "lang/program.h"

/* MEAN and LOGSUMEXP in terms of SUM and MAX; conditions of a summand gathered in the sum's `where`. */
Node *simplify(Compilation *c, Node *n);
/* `n` where the conjuncts of `fact` are known to be true. */
Node *simplify_assuming(Compilation *c, Node *n, Node *fact);
/* Softmax, as its weight at the current coordinates: exp(s - max) / sum, 0 where left out. */
Node *simplify_softmax(Compilation *c, Node *n);
/* A reduction over the variables and ranges of another binder. */
Node *reduce_like(Compilation *c, const Node *n, Reduction kind, Node *where, Node *body);

typedef VEC(Node *) NodeList;
void conjuncts(Compilation *c, Node *test, NodeList *list); /* splits ANDs; TRUE adds nothing */
Node *conjunction(Compilation *c, const NodeList *list);

#endif
