/* Numbers for the tensors of a case, by their types and, where the numbers matter, by their names. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static unsigned mixed(unsigned x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

bool input_block_kept(int a, int c) { return mixed((unsigned)(64 * a + c) + 1) % 10 == 0; }

int input_document(int position)
{
    int document = 0, end = 0;
    for (;; document++) {
        end += 128 + (int)(mixed((unsigned)document + 77) % 897);
        if (position < end) return document;
    }
}

int input_cluster(int position) { return (int)(mixed((unsigned)position + 7919) % 64); }

/* [h, a, c], 0 or 1. */
static void fill_kept(int64_t *x, const int64_t *shape)
{
    for (int64_t h = 0; h < shape[0]; h++)
        for (int64_t a = 0; a < shape[1]; a++)
            for (int64_t c = 0; c < shape[2]; c++) *x++ = input_block_kept((int)a, (int)c);
}

/* [h, a, r]: the blocks of 64 that are kept, then -1. False: r is too small. */
static bool fill_list(int64_t *x, const int64_t *shape)
{
    for (int64_t row = 0; row < shape[0] * shape[1]; row++, x += shape[2]) {
        int64_t n = 0;
        for (int c = 0; c < 64; c++) {
            if (!input_block_kept((int)(row % shape[1]), c)) continue;
            if (n == shape[2]) return false;
            x[n++] = c;
        }
        while (n < shape[2]) x[n++] = -1;
    }
    return true;
}

static bool fill_ints(int64_t *x, const AttnTensorDesc *tensor, const int64_t *shape, size_t n)
{
    if (!strcmp(tensor->name, "list")) return fill_list(x, shape);
    if (!strcmp(tensor->name, "kept")) return fill_kept(x, shape), true;
    bool documents = !strcmp(tensor->name, "doc");
    for (size_t k = 0; k < n; k++) x[k] = documents ? input_document((int)k) : input_cluster((int)k);
    return documents || !strcmp(tensor->name, "cluster");
}

/* On [-1, 1); of 16-bit types those from 1/2 on, by their bits. */
static void fill_reals(void *data, DLDataType type, size_t n, unsigned seed)
{
    for (size_t k = 0; k < n; k++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned sign = seed >> 31 << 15, mantissa = seed >> 16;
        if (type.code == kDLBfloat)
            ((uint16_t *)data)[k] = (uint16_t)(sign | 0x3f00u | (mantissa & 0x7fu));
        else if (type.bits == 16)
            ((uint16_t *)data)[k] = (uint16_t)(sign | 0x3800u | (mantissa & 0x3ffu));
        else
            ((float *)data)[k] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
}

void *input_new(const AttnTensorDesc *tensor, size_t n, const int64_t *shape, unsigned seed)
{
    size_t bytes = (n + 1) * tensor->type.bits / 8;
    void *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    bool right = data != NULL;
    if (data && tensor->type.code == kDLInt)
        right = fill_ints(data, tensor, shape, n);
    else if (data)
        fill_reals(data, tensor->type, n, seed);
    if (right) return data;
    free(data);
    return NULL;
}
