/* All memory of libattn itself comes from here. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void *rt_alloc(size_t count, size_t size) { return calloc(count ? count : 1, size ? size : 1); }

void *rt_grow(void *memory, size_t bytes) { return realloc(memory, bytes); }

void *rt_alloc_aligned(size_t bytes, size_t alignment)
{
    void *memory = NULL;
    return posix_memalign(&memory, alignment, bytes) == 0 ? memory : NULL;
}

void rt_free(void *memory) { free(memory); }

char *rt_copy_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = rt_alloc(bytes, 1);
    return copy ? memcpy(copy, text, bytes) : NULL;
}
