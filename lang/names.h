/* Numbers by name. Names are interned (base.h), so equal ones have equal pointers. */
#ifndef ATTN_LANG_NAMES_H
#define ATTN_LANG_NAMES_H

#include "base.h"

typedef struct NameSlot { const char *name; uint32_t number; } NameSlot;
typedef struct NameTable { NameSlot *slots; uint32_t capacity, n; } NameTable; /* zeroed: empty */

enum { NO_NUMBER = -1 };
void names_put(Compilation *c, NameTable *t, const char *name, uint32_t number); /* instead of what it had */
int64_t names_get(const NameTable *t, const char *name); /* or NO_NUMBER */

#endif
