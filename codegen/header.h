/* The C header of the direct entries (cpu/emit_direct.c): one struct and two functions a pattern. */
#ifndef ATTN_CODEGEN_HEADER_H
#define ATTN_CODEGEN_HEADER_H

#include "compiler/backend.h"

/* Prints the header for all patterns of the job. Returns NULL or an error text. */
const char *header_print(const BackendJob *job, Text *out);

/* The fields of `struct NAME_args`, which the header declares and the entry reads: all are 8 bytes wide, in
 * this order. */
typedef enum FieldKind {
    FIELD_WORKSPACE,  /* void * */
    FIELD_EXTENT,     /* int64_t: Pattern.indices[number] */
    FIELD_PARAM,      /* int64_t or double: Pattern.params[number]; fixed ones have none */
    FIELD_DATA,       /* pointer: Pattern.tensors[number] */
    FIELD_STRIDES,    /* const int64_t *, or NULL: dense, row-major */
    FIELD_GROUP       /* int64_t: consecutive heads that share one head of the tensor; 0 is 1 */
} FieldKind;
typedef struct Field { FieldKind kind; unsigned number; const char *name; } Field;
typedef VEC(Field) Fields;
const char *header_symbol(Compilation *c,
                          const Pattern *pattern); /* NAME: the pattern's, unless C reserves it */
Fields header_fields(Compilation *c, const Pattern *pattern);
/* The dimension of an input that may have a divisor of its index's extent, or -1. */
int header_heads(const Tensor *tensor);

#endif
