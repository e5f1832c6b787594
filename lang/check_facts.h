/* A walk over an expression that knows, at every read, which conditions hold there and which ranges variables
 * have. */
#ifndef ATTN_LANG_CHECK_FACTS_H
#define ATTN_LANG_CHECK_FACTS_H

#include "check.h"
#include "node_private.h"

typedef struct FactWalk FactWalk;
struct FactWalk {
    Checker *k;
    ProveScope scope;                        /* what holds at the read at hand */
    IndexSet bound;                          /* variables of binders around it */
    void (*read)(FactWalk *w, Node *n);      /* called for a READ after its subscripts */
    void *context;
    NodeMemo *seen;                          /* under these facts */
    unsigned work;
};

void fact_walk(FactWalk *w, Node *n);
/* Adds a condition, split into its conjuncts. */
void fact_add(Compilation *c, ProveScope *scope, Node *fact);
ProveScope fact_scope(Checker *k); /* with the conditions of the pattern */

#endif
