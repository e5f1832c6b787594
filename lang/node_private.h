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

/* A map from nodes to nodes; zero-initialised is empty. A key is put once. */
typedef struct NodeMemo { const Node **keys; Node **values; uint32_t n, capacity; } NodeMemo;
Node *node_memo_get(const NodeMemo *m, const Node *key);
void node_memo_put(Compilation *c, NodeMemo *m, const Node *key, Node *value);

#endif
