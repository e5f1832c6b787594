/* lang: text in, Program or diagnostics out. This header is the folder's table of contents.
 *   base.h     arena, names, sources, diagnostics          base.c diag.c
 *   ast.h      the syntax tree                             scanner.l parser.y ast.c ast_print.c
 *   layout.h   the canonical layout of a source            layout*.c
 *   node.h     the core expressions                        node.c node_print.c
 *   program.h  what a checked file is                      check*.c (names, indices, types), prove*.c (subscripts) */
#ifndef ATTN_LANG_H
#define ATTN_LANG_H

#include "program.h"

typedef struct Definition { const char *name, *value; } Definition; /* -D name=value, value as text */
typedef struct LangOptions {
    const char *const *include; /* folders for `use`, searched in order after the file's own; NULL-terminated or NULL */
    const Definition *definitions; /* parameters fixed for every pattern that has them */
    unsigned n_definitions;
    const char *pattern;        /* check only this one, or NULL for all */
    bool warnings;              /* of the file itself: W001 ... */
    bool warnings_are_errors;
    /* Reads a file for `use`; returns malloc'd text or NULL. NULL: the file system. */
    char *(*read)(void *context, const char *path, size_t *length);
    void *read_context;
} LangOptions;

/* Checks source number `source`. NULL if there were errors (c->diags says which). Fatal conditions (out of memory,
 * internal errors) leave through c->escape, which the caller must have armed. */
Program *lang_check(Compilation *c, uint32_t source, const LangOptions *options);
/* Finds what the file `from` uses as `name`: beside it, then in the include folders. Reads it unless it is a source
 * already. False: there is none. */
bool lang_find_used(Compilation *c, const LangOptions *options, const char *from, const char *name, uint32_t *source);

#endif
