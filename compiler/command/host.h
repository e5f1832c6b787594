/* What this machine can do, measured in this process: for `attnc bench`, `attnc explain` and bench/run. Rates are
 * per second. Times of one thread are those of its own clock, which stands still while it waits for others. */
#ifndef ATTN_COMMAND_HOST_H
#define ATTN_COMMAND_HOST_H

#include <stdbool.h>
#include <stddef.h>

double host_seconds(void);                  /* a clock that stands still while this thread waits for others */
double host_peak_flops(int threads);        /* multiply-adds of f32 in the widest vectors, 2 per element */
double host_narrow_flops(int threads);      /* the same in vectors of 8; 0: there are none */
double host_read_bytes(int threads);        /* sequential reads of an array far larger than any cache */
/* Reads the cache lines of that memory, every thread its share: seconds. */
double host_read_seconds(const void *memory, size_t bytes, int threads);
double host_sgemm_flops(int n, int threads); /* OpenBLAS, n x n x n; 0: there is no OpenBLAS */
/* From now on OpenBLAS is as on a machine without AVX-512, on one thread. Before any other use of it. False: there is
 * no OpenBLAS. */
bool host_narrow_sgemm(void);
/* softmax(q k^T / sqrt(d)) v for every head by sgemm, softmax, sgemm on one thread: seconds. 0: no OpenBLAS. */
double host_blas_attention(int heads, int n, int d, const float *q, const float *k, const float *v, float *o);

#endif
