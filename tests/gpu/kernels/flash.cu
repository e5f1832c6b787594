// Causal attention as a kernel engineer writes it for sm_80: K and V tiles by cp.async in two buffers, swizzled;
// tensor cores; softmax in registers. Mistakes on request, for the checks that must see them: NO_BARRIER,
// NO_WAIT, NO_BOUND, NO_SWIZZLE.
typedef unsigned short u16;
typedef unsigned int u32;

#define INFINITY __int_as_float(0x7f800000)
#define TILE 64

__device__ u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }

__device__ void copy_16(u32 to, const void *from, bool inside)
{
    int bytes = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

__device__ void mma(float c[4], const u32 a[4], u32 b0, u32 b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE ".f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ void load_matrices(u32 r[4], u32 at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}

__device__ void load_transposed(u32 r[4], u32 at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}

__device__ u32 pair(float low, float high)
{
    u32 r;
    asm("cvt.rn." TYPE "x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

__device__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Chunk x (8 numbers) of row r, so that 8 rows of one column of chunks are in different banks.
__device__ const u16 *chunk(const u16 *tile, int r, int x)
{
#ifdef NO_SWIZZLE
    return tile + r * D + x * 8;
#else
    return tile + r * D + (x ^ (r & 7)) * 8;
#endif
}

__device__ void load_tile(const u16 *tile, const u16 *from, int first, int n)
{
#pragma unroll
    for (int i = 0; i < TILE * D / 8 / 128; i++) {
        int c = i * 128 + threadIdx.x, r = c / (D / 8), x = c % (D / 8);
#ifdef NO_BOUND
        int row = first + r;
        copy_16(shared_address(chunk(tile, r, x)), from + (size_t)row * D + x * 8, true);
#else
        int row = min(first + r, n - 1);
        copy_16(shared_address(chunk(tile, r, x)), from + (size_t)row * D + x * 8, first + r < n);
#endif
    }
}

extern "C" __global__ void __launch_bounds__(128)
flash(const u16 *q, const u16 *k, const u16 *v, u16 *o, int n, float scale)
{
    __shared__ __align__(128) u16 sq[TILE * D], sk[2][TILE * D], sv[2][TILE * D];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = blockIdx.x * TILE;
    size_t base = (size_t)blockIdx.y * n * D;
    q += base, k += base, v += base, o += base;
    load_tile(sq, q, first, n);
    load_tile(sk[0], k, 0, n);
    load_tile(sv[0], v, 0, n);
    asm volatile("cp.async.commit_group;");

    u32 qf[D / 16][4];
    float acc[D / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    int tiles = min((n + TILE - 1) / TILE, first / TILE + 1);
    for (int t = 0; t < tiles; t++) {
        if (t + 1 < tiles) {
            load_tile(sk[(t + 1) & 1], k, (t + 1) * TILE, n);
            load_tile(sv[(t + 1) & 1], v, (t + 1) * TILE, n);
            asm volatile("cp.async.commit_group;");
#ifndef NO_WAIT
            asm volatile("cp.async.wait_group 1;" ::: "memory");
#endif
        } else {
            asm volatile("cp.async.wait_group 0;" ::: "memory");
        }
        __syncthreads();
        if (t == 0)
#pragma unroll
            for (int kk = 0; kk < D / 16; kk++)
                load_matrices(qf[kk], shared_address(chunk(sq, warp * 16 + (lane & 15), kk * 2 + lane / 16)));

        float s[TILE / 8][4] = {};
#pragma unroll
        for (int kk = 0; kk < D / 16; kk++)
#pragma unroll
            for (int j = 0; j < TILE / 16; j++) {
                u32 b[4];
                load_matrices(b, shared_address(chunk(sk[t & 1], j * 16 + (lane & 7) + lane / 16 * 8,
                                                      kk * 2 + (lane >> 3 & 1))));
                mma(s[2 * j], qf[kk], b[0], b[1]);
                mma(s[2 * j + 1], qf[kk], b[2], b[3]);
            }
        if (t == tiles - 1)
#pragma unroll
            for (int j = 0; j < TILE / 8; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    int key = t * TILE + j * 8 + (lane & 3) * 2 + (e & 1);
                    int row = first + warp * 16 + lane / 4 + (e >> 1) * 8;
                    if (key > row || key >= n) s[j][e] = -INFINITY;
                }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float m = most[h];
#pragma unroll
            for (int j = 0; j < TILE / 8; j++) m = fmaxf(m, fmaxf(s[j][2 * h], s[j][2 * h + 1]));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 1));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 2));
            float shift = m == -INFINITY ? 0 : m * scale, grow = exp2_fast(most[h] * scale - shift);
            most[h] = m;
            sum[h] *= grow;
#pragma unroll
            for (int j = 0; j < D / 8; j++) acc[j][2 * h] *= grow, acc[j][2 * h + 1] *= grow;
#pragma unroll
            for (int j = 0; j < TILE / 8; j++)
#pragma unroll
                for (int e = 2 * h; e < 2 * h + 2; e++)
                    sum[h] += s[j][e] = exp2_fast(s[j][e] * scale - shift);
        }
#pragma unroll
        for (int kk = 0; kk < TILE / 16; kk++) {
            u32 a[4] = {pair(s[2 * kk][0], s[2 * kk][1]), pair(s[2 * kk][2], s[2 * kk][3]),
                        pair(s[2 * kk + 1][0], s[2 * kk + 1][1]), pair(s[2 * kk + 1][2], s[2 * kk + 1][3])};
#pragma unroll
            for (int j = 0; j < D / 16; j++) {
                u32 b[4];
                const u16 *at = chunk(sv[t & 1], kk * 16 + (lane & 15), j * 2 + lane / 16);
                load_transposed(b, shared_address(at));
                mma(acc[2 * j], a, b[0], b[1]);
                mma(acc[2 * j + 1], a, b[2], b[3]);
            }
        }
#ifndef NO_BARRIER
        __syncthreads();
#endif
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        sum[h] += __shfl_xor_sync(~0u, sum[h], 1);
        sum[h] += __shfl_xor_sync(~0u, sum[h], 2);
        float inverse = 1 / sum[h];
        int row = first + warp * 16 + lane / 4 + 8 * h;
        if (row < n)
#pragma unroll
            for (int j = 0; j < D / 8; j++)
                *(u32 *)(o + (size_t)row * D + j * 8 + (lane & 3) * 2) =
                    pair(acc[j][2 * h] * inverse, acc[j][2 * h + 1] * inverse);
    }
}
