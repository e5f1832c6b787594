/* What this machine can do, measured in this process on one thread. Rates are per second. */
#ifndef ATTN_BENCH_MACHINE_H
#define ATTN_BENCH_MACHINE_H

double machine_seconds(void);               /* a clock that stands still while this thread waits for others */
double machine_peak_flops(void);            /* fused multiply-adds of f32 in the widest vectors, 2 per element */
double machine_read_bytes(void);            /* sequential reads of an array far larger than any cache */
double machine_sgemm_flops(int n);          /* OpenBLAS, n x n x n; 0: there is no OpenBLAS */
/* softmax(q k^T / sqrt(d)) v for every head by sgemm, softmax, sgemm: seconds. 0: no OpenBLAS. */
double machine_blas_attention(int heads, int n, int d, const float *q, const float *k, const float *v, float *o);

#endif
