/* Numbers by name (see names.h): open addressing, at most half full. */
#include "names.h"

static uint32_t first_slot(const NameTable *t, const char *name)
{
    return (uint32_t)((uint64_t)(uintptr_t)name * 0x9e3779b97f4a7c15u >> 32) & (t->capacity - 1);
}

static NameSlot *find_slot(const NameTable *t, const char *name)
{
    uint32_t k = first_slot(t, name);
    while (t->slots[k].name && t->slots[k].name != name) k = (k + 1) & (t->capacity - 1);
    return &t->slots[k];
}

static void grow(Compilation *c, NameTable *t)
{
    NameTable larger = {.capacity = t->capacity ? t->capacity * 2 : 16, .n = t->n};
    larger.slots = NEW_ARRAY(c, NameSlot, larger.capacity);
    for (uint32_t k = 0; k < t->capacity; k++)
        if (t->slots[k].name) *find_slot(&larger, t->slots[k].name) = t->slots[k];
    *t = larger;
}

void names_put(Compilation *c, NameTable *t, const char *name, uint32_t number)
{
    if (t->n >= t->capacity / 2) grow(c, t);
    NameSlot *slot = find_slot(t, name);
    t->n += !slot->name;
    *slot = (NameSlot){name, number};
}

int64_t names_get(const NameTable *t, const char *name)
{
    if (!t->capacity) return NO_NUMBER;
    const NameSlot *slot = find_slot(t, name);
    return slot->name ? (int64_t)slot->number : NO_NUMBER;
}
