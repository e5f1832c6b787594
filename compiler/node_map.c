/* See node_map.h. */
#include "node_map.h"

static uint32_t slot(const NodeMap *m, const Node *key)
{
    uint32_t at = (key->id * 2654435761u) & (m->capacity - 1);
    while (m->keys[at] && m->keys[at] != key) at = (at + 1) & (m->capacity - 1);
    return at;
}

void *map_get(const NodeMap *m, const Node *key) { return m->n ? m->values[slot(m, key)] : NULL; }

static void grow(Compilation *c, NodeMap *m)
{
    NodeMap wider = {.capacity = m->capacity ? 2 * m->capacity : 16};
    wider.keys = NEW_ARRAY(c, const Node *, wider.capacity);
    wider.values = NEW_ARRAY(c, void *, wider.capacity);
    for (uint32_t k = 0; k < m->capacity; k++)
        if (m->keys[k]) map_put(c, &wider, m->keys[k], m->values[k]);
    *m = wider;
}

void map_put(Compilation *c, NodeMap *m, const Node *key, void *value)
{
    if (2 * (m->n + 1) > m->capacity) grow(c, m);
    uint32_t at = slot(m, key);
    if (!m->keys[at]) m->n++;
    m->keys[at] = key;
    m->values[at] = value;
}
