/* A map from nodes to pointers, by open addressing on Node.id. Zero-initialised is empty; lives in the arena. */
#ifndef ATTN_COMPILER_NODE_MAP_H
#define ATTN_COMPILER_NODE_MAP_H

#include "lang/node.h"

typedef struct NodeMap { const Node **keys; void **values; uint32_t n, capacity; } NodeMap;

void *map_get(const NodeMap *m, const Node *key); /* NULL: absent */
void map_put(Compilation *c, NodeMap *m, const Node *key, void *value); /* replaces; value is not NULL */

#endif
