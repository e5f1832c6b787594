/* Objects -> files: a shared object (by a linker of the system), an archive, the object as it is. Every file
 * appears under its name only when it is complete. Functions return NULL or an error text in c's arena. */
#ifndef ATTN_CODEGEN_LINK_H
#define ATTN_CODEGEN_LINK_H

#include "lang/base.h"

typedef struct Bytes { const void *at; size_t n; } Bytes;

/* Runs `ld -shared`, or `ld.lld`, or `cc`; then fills in size and checksum of the note (AttnNote). The result
 * needs at most libc and libm. */
const char *link_shared(Compilation *c, Bytes object, const char *path);
/* A static library with one member and an index of its symbols. */
const char *link_archive(Compilation *c, Bytes object, const char *const *symbols, unsigned n,
                         const char *path);
const char *link_write(Compilation *c, Bytes bytes, const char *path);
/* Does the object mention symbols that it does not define? */
bool link_has_undefined(Bytes object);
/* Size and checksum into the note of a complete file in memory. False: there is no such note. */
bool link_stamp_note(void *file, size_t n);

#endif
