/* Private to node*.c: the table behind Compilation.nodes. */
#ifndef ATTN_LANG_NODE_PRIVATE_H
#define ATTN_LANG_NODE_PRIVATE_H

#include "program.h"

typedef struct NodeTable {
    Node **slots;          /* open addressing; capacities are powers of two */
    uint32_t n, capacity;
    const IndexSet **sets; /* interned */
    uint32_t n_sets, set_capacity;
    const IndexSet *empty;
    Span span;             /* given to new nodes */
} NodeTable;

NodeTable *node_table(Compilation *c);
/* The node that equals *key (operation, type, operands, payload), made if there is none: no folding. */
Node *node_make(Compilation *c, const Node *key);

#endif
