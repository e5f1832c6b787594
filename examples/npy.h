/* Just enough of NumPy's .npy format for the examples: float32 arrays, row-major. */
#ifndef EXAMPLES_NPY_H
#define EXAMPLES_NPY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Array { float *data; int rank; int64_t shape[8]; size_t count; } Array;

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static Array array_new(int rank, const int64_t *shape)
{
    Array a = {.rank = rank, .count = 1};
    for (int i = 0; i < rank; i++)
        a.count *= (size_t)(a.shape[i] = shape[i]);
    a.data = calloc(a.count + 1, sizeof *a.data);
    if (!a.data)
        fail("array", "out of memory");
    return a;
}

/* The header is text: {'descr': '<f4', 'fortran_order': False, 'shape': (1, 12, 331, 32), } */
static Array array_read(const char *path)
{
    unsigned char start[10];
    char header[65536] = "";
    int64_t shape[8] = {0};
    int rank = 0;
    FILE *f = fopen(path, "rb");
    if (!f || fread(start, 1, 10, f) != 10 || memcmp(start, "\x93NUMPY\x01", 7) != 0)
        fail(path, "not a .npy file of version 1");
    size_t length = start[8] + 256u * start[9];
    if (fread(header, 1, length, f) != length || !strstr(header, "'<f4'") || strstr(header, "True"))
        fail(path, "not a row-major array of float32");
    const char *at = strchr(header, '(');
    while (at && rank < 8 && strchr("0123456789", at[strspn(at, "(, ")]) && at[strspn(at, "(, ")]) {
        at += strspn(at, "(, ");
        shape[rank++] = strtoll(at, (char **)&at, 10);
    }
    Array a = array_new(rank, shape);
    if (fread(a.data, sizeof *a.data, a.count, f) != a.count)
        fail(path, "truncated");
    fclose(f);
    return a;
}

#endif
