/* NumPy's .npy files (format versions 1 to 3): dense arrays of numbers. */
#ifndef ATTN_COMMAND_NPY_H
#define ATTN_COMMAND_NPY_H

#include "lang/node.h"

enum { ARRAY_RANK_MAX = 32 };

/* Row-major. data: double, int64_t or uint8_t (0 or 1) by `type`. */
typedef struct Array {
    Type type;
    int rank;
    const int64_t *shape;
    size_t n;
    void *data;
} Array;

/* Reads any bool, int, unsigned or float type of either byte order, C or Fortran order, as doubles, int64_t
 * or bools. Returns NULL, or what is wrong with the file. The contents are not trusted. */
const char *npy_read(Compilation *c, const char *path, Array *array);
/* Writes `|b1`, `<i8` or `<f8` (`float_bytes` 8) or `<f4` (4) or `<f2` (2). Returns NULL or an error text. */
const char *npy_write(Compilation *c, const char *path, const Array *array, int float_bytes);

size_t type_bytes(Type type); /* of an element of Array.data */

#endif
