// causal_attention, compiled from patterns/mask/causal.attn by attnc 0.1.0.
// Causal attention (Vaswani et al. 2017): keys up to the query's own position. The queries are the last
// size(i) positions, so the same text decodes with a cache.

typedef long long int64;
typedef unsigned long long uint64;
#define infinity __int_as_float(0x7f800000)
#define quiet_nan __int_as_float(0x7fffffff)

// Threads of the grid, and which of them this is.
__device__ inline int64 threads() { return (int64)gridDim.x * blockDim.x; }
__device__ inline int64 thread() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }

// IEEE half precision.
struct f16 {
    unsigned short bits;
    __device__ operator float() const
    {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
    }
    __device__ void operator=(float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x)); }
};

__device__ inline float load(const f16 *at) { return f16{__ldg(&at->bits)}; }

__device__ inline int64 padded(int64 bytes) { return (bytes + 63) & -64; }

__device__ inline int64 least(int64 x, int64 y) { return x < y ? x : y; }

__device__ inline int64 most(int64 x, int64 y) { return x > y ? x : y; }

// NaN if one is NaN; -0 is less than +0.
__device__ inline float maximum(float x, float y)
{
    float z;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
    return z;
}

// Tiles of 16-bit numbers in shared memory, of rows of COLUMNS. Chunks of 8 numbers are moved at a time; they
// are swizzled so that 8 rows of one column of chunks share no bank.
template <int ROWS, int COLUMNS> constexpr int tile_bytes = ROWS * COLUMNS * 2;
template <int COLUMNS> constexpr unsigned group = COLUMNS % 64 == 0 ? 8 : COLUMNS % 32 == 0 ? 4 : 2;
template <int COLUMNS> __device__ inline unsigned chunk(unsigned row, unsigned x)
{
    return row * COLUMNS * 2 + (x ^ row / (8 / group<COLUMNS>) % group<COLUMNS>) * 16;
}
// From chunk 0 or 1 of a row to the one `x` further on (an even number) and, 8 rows at a time, `rows` below.
template <int COLUMNS> __device__ inline unsigned further(unsigned at, unsigned rows, unsigned x)
{
    return (at ^ x % group<COLUMNS> * 16) + x / group<COLUMNS> * group<COLUMNS> * 16 + rows * COLUMNS * 2;
}
__device__ inline unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ inline void copy_async(unsigned to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
// The first `bytes` of them alone, then zeros.
__device__ inline void copy_async(unsigned to, const void *from, int bytes)
{
    bytes = bytes < 0 ? 0 : bytes < 16 ? bytes : 16;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
__device__ inline void copies_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
__device__ inline void store_shared(unsigned to, unsigned x)
{
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(x) : "memory");
}
__device__ inline unsigned load_shared(unsigned from)
{
    unsigned x;
    asm volatile("ld.shared.b32 %0, [%1];" : "=r"(x) : "r"(from) : "memory");
    return x;
}
__device__ inline void load_shared(unsigned (&x)[4], unsigned from)
{
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(from) : "memory");
}
// Do all rows begin at multiples of 16 bytes, with neighbours beside each other?
template <int RANK, typename T> __device__ inline bool in_chunks(const T *data, const int64 (&strides)[RANK])
{
    uint64 bytes = (uint64)data;
    for (int k = 0; k + 1 < RANK; k++) bytes |= (uint64)strides[k] * sizeof(T);
    return bytes % 16 == 0 && strides[RANK - 1] == 1;
}
// One number of 32 bits or two of 16 bits, from column x on; zeros beyond `columns`.
template <typename T> __device__ inline unsigned word(const T *row, int x, int columns, int64 stride)
{
    if (sizeof(T) == 4) return x < columns ? *(const unsigned *)(row + x * stride) : 0;
    unsigned two = 0;
    if (x < columns) two = *(const unsigned short *)(row + x * stride);
    if (x + 1 < columns) two |= (unsigned)*(const unsigned short *)(row + (x + 1) * stride) << 16;
    return two;
}
// Copies `rows` rows of `columns` numbers to a tile, zeros around them: by cp.async where they lie in chunks.
// row(r): where row r begins, also beyond the last; neighbours in it are `stride` numbers apart.
template <int ROWS, int COLUMNS, int UNROLL = 16, typename Row>
__device__ inline void stage(unsigned tile, int rows, int columns, bool chunks, int64 stride, Row row)
{
    constexpr int SIZE = sizeof(*row(0)), N = 16 / SIZE, X = COLUMNS / N, WIDTH = COLUMNS * SIZE / 2;
    if (chunks) {
#pragma unroll UNROLL
        for (int k = 0; k < ROWS * X; k += 128) {
            const int r = (k + threadIdx.x) / X, x = (k + threadIdx.x) % X;
            if (ROWS * X % 128 && r >= ROWS) break;
            copy_async(tile + chunk<WIDTH>(r, x), row(r) + x * N, r < rows ? (columns - x * N) * SIZE : 0);
        }
        return;
    }
#pragma unroll 1
    for (int k = threadIdx.x; k < ROWS * X * 4; k += 128) {
        const int r = k / (X * 4), x = k % (X * 4);
        const unsigned bits = r < rows ? word(row(r), x * N / 4, columns, stride) : 0;
        store_shared(tile + chunk<WIDTH>(r, x / 4) + x % 4 * 4, bits);
    }
}
// The same for rows a stride apart, the first at `from`.
template <int ROWS, int COLUMNS, typename T>
__device__ inline void stage(unsigned tile, int rows, int columns, bool chunks, int64 stride, const T *from,
                             int64 row_stride)
{
    constexpr int N = 16 / sizeof(T), X = COLUMNS / N, STEP = 128 / X, WIDTH = COLUMNS * sizeof(T) / 2;
    if (!chunks || 128 % X || ROWS % STEP) {
        stage<ROWS, COLUMNS>(tile, rows, columns, chunks, stride, [=](int r) { return from + r * row_stride; });
        return;
    }
    int r = threadIdx.x / X, x = threadIdx.x % X;
    from += r * row_stride + x * N;
    if (rows >= ROWS && columns == COLUMNS) {
#pragma unroll
        for (int k = 0; k < ROWS; k += STEP, from += STEP * row_stride)
            copy_async(tile + chunk<WIDTH>(r + k, x), from);
        return;
    }
#pragma unroll 1
    for (int k = 0; k < ROWS; k += STEP, from += STEP * row_stride)
        copy_async(tile + chunk<WIDTH>(r + k, x), from, r + k < rows ? (columns - x * N) * (int)sizeof(T) : 0);
}
// 2^x, to 22 bits; results below 2^-126 are 0.
__device__ inline float power_of_2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// Is a sum not finite?
template <int E> __device__ inline bool is_tainted(const float (&total)[E / 8][4])
{
    float taint = 0; // x * 0 is NaN then
#pragma unroll
    for (int n = 0; n < E / 2; n++) taint += total[n / 4][n % 4] * 0;
    return taint != 0;
}

// Four 8x8 matrices; lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void load_matrices(unsigned (&r)[4], unsigned from)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from) : "memory");
}
__device__ inline void load_transposed(unsigned (&r)[4], unsigned from)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from) : "memory");
}

// c += a * b, 16x16 and 16x8.
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline unsigned pack(float low, float high)
{
    unsigned x;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(high), "f"(low));
    return x;
}
__device__ inline float unpack(unsigned bits)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"((unsigned short)bits));
    return x;
}

// Over the four lanes that hold a row of a fragment.
__device__ inline float row_max(float x)
{
    x = maximum(x, __shfl_xor_sync(~0u, x, 1));
    return maximum(x, __shfl_xor_sync(~0u, x, 2));
}
__device__ inline float row_sum(float x)
{
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

// Work of a warp on a tile of keys. Its 16 rows lie in fragments as mma leaves them: a thread has rows lane / 4 and
// lane / 4 + 8, and of every 8 columns the two from lane % 4 * 2 on. Bit x of `live` and `hidden` is that of element
// [x / 4][x % 4]; 16 keys without a live bit are left out.

// The rows of a 16x16 matrix in shared memory as the first operand.
template <int D> __device__ inline void load_rows(unsigned (&q)[D / 16][4], unsigned from)
{
#pragma unroll
    for (int x = 0; x < D / 16; x++) load_matrices(q[x], further<D>(from, 0, x * 2));
}
// s += q * k^T
template <int KEYS, int D>
__device__ inline void add_products(float (&s)[KEYS / 8][4], const unsigned (&q)[D / 16][4], unsigned k, unsigned live)
{
#pragma unroll
    for (int x = 0; x < D / 16; x++)
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            if (!(live >> n * 8 & 0xff)) continue;
            unsigned b[4];
            load_matrices(b, further<D>(k, n * 16, x * 2));
            multiply_add(s[2 * n], q[x], b[0], b[1]);
            multiply_add(s[2 * n + 1], q[x], b[2], b[3]);
        }
}
// The same with the rows of q in shared memory: too many for registers.
template <int KEYS, int D>
__device__ inline void add_products(float (&s)[KEYS / 8][4], unsigned q, unsigned k, unsigned live)
{
#pragma unroll
    for (int x = 0; x < D / 16; x++) {
        unsigned a[4];
        load_matrices(a, further<D>(q, 0, x * 2));
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            if (!(live >> n * 8 & 0xff)) continue;
            unsigned b[4];
            load_matrices(b, further<D>(k, n * 16, x * 2));
            multiply_add(s[2 * n], a, b[0], b[1]);
            multiply_add(s[2 * n + 1], a, b[2], b[3]);
        }
    }
}
// Scores become weights 2^((s - top) * scale), where no score is more than `slack` above top: where one would be, top
// rises to it, and what was summed before shrinks.
template <int KEYS, int N>
__device__ inline void make_weights(float (&s)[KEYS / 8][4], float (&top)[2], float (&sum)[2], float (&total)[N][4],
                                    float scale, float slack)
{
    float greatest[2], shift[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        greatest[r] = top[r];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
            greatest[r] = maximum(greatest[r], maximum(s[n][2 * r], s[n][2 * r + 1]));
        greatest[r] = row_max(greatest[r]);
    }
    if (__any_sync(~0u, !(greatest[0] <= top[0] + slack && greatest[1] <= top[1] + slack))) {
        const unsigned lane = threadIdx.x % 32, own = lane % 2; // each of two lanes has one row's
        const float before = own ? top[1] : top[0], after = own ? greatest[1] : greatest[0];
        const float shrink = before == after ? 1 : power_of_2((before - after) * scale);
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float by = __shfl_sync(~0u, shrink, (lane & ~1) + r);
            top[r] = greatest[r], sum[r] *= by;
#pragma unroll
            for (int n = 0; n < N; n++) total[n][2 * r] *= by, total[n][2 * r + 1] *= by;
        }
    }
    for (int r = 0; r < 2; r++) shift[r] = top[r] == -infinity ? 0 : top[r] * scale;
#pragma unroll
    for (int x = 0; x < KEYS / 2; x++) {
        float &weight = s[x / 4][x % 4];
        weight = power_of_2(fmaf(weight, scale, -shift[x / 2 % 2]));
        sum[x / 2 % 2] += weight;
    }
}

// The part of x that 16 bits have no room for.
__device__ inline float beyond(float x) { return x - unpack(pack(x, 0) & 0xffff); }
// total += w * v; with weights rounded to 16 bits, or (PARTS = 2) in two parts of as many.
template <int KEYS, int E, int PARTS = 1>
__device__ inline void add_values(float (&total)[E / 8][4], const float (&w)[KEYS / 8][4], unsigned v, unsigned live)
{
#pragma unroll
    for (int x = 0; x < KEYS / 16; x++) {
        if (!(live >> x * 8 & 0xff)) continue;
        unsigned a[PARTS][4];
#pragma unroll
        for (int y = 0; y < 4; y++) {
            const float *two = &w[2 * x + y / 2][y % 2 * 2];
            a[0][y] = pack(two[0], two[1]);
            if (PARTS == 2) a[PARTS - 1][y] = pack(beyond(two[0]), beyond(two[1]));
        }
#pragma unroll
        for (int n = 0; n < E / 16; n++) {
            unsigned b[4];
            load_transposed(b, further<E>(v, x * 16, n * 2));
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
                multiply_add(total[2 * n], a[part], b[0], b[1]);
                multiply_add(total[2 * n + 1], a[part], b[2], b[3]);
            }
        }
    }
}
// The same pair by pair, without those that are hidden, whose values may not be finite, and with weights of f32. These
// go through the memory at `weights`, half of the keys at a time; all bits of one are set where its pair is hidden.
template <int KEYS, int E>
__device__ inline void add_visible(float (&total)[E / 8][4], const float (&w)[KEYS / 8][4], unsigned v, unsigned hidden,
                                   unsigned weights)
{
    const unsigned lane = threadIdx.x % 32;
    weights += (threadIdx.x / 32 * 16 + lane / 4) * KEYS * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int y = 0; y < KEYS / 4; y++) {
            const int x = half * KEYS / 4 + y;
            store_shared(weights + y / 2 % 2 * 16 * KEYS + y / 4 * 32 + lane % 4 * 8 + y % 2 * 4,
                         hidden >> x & 1 ? ~0u : __float_as_uint(w[x / 4][x % 4]));
        }
        __syncwarp();
#pragma unroll 1
        for (int key = 0; key < KEYS / 2; key++) {
            unsigned weight[2];
#pragma unroll
            for (int r = 0; r < 2; r++) weight[r] = load_shared(weights + r * 16 * KEYS + key * 4);
#pragma unroll
            for (int n = 0; n < E / 8; n++) {
                const unsigned values = load_shared(v + chunk<E>(half * KEYS / 2 + key, n) + lane % 4 * 4);
#pragma unroll
                for (int y = 0; y < 4; y++)
                    if (weight[y / 2] != ~0u)
                        total[n][y] += __uint_as_float(weight[y / 2]) * unpack(y % 2 ? values >> 16 : values & 0xffff);
            }
        }
        __syncwarp();
    }
}

// Rows of the output in shared memory, 16 bits each.
template <int E> __device__ inline void put_rows(unsigned tile, const float (&total)[E / 8][4])
{
    const unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
#pragma unroll
    for (int n = 0; n < E / 4; n++)
        store_shared(tile + chunk<E>(row + n % 2 * 8, n / 2) + lane % 4 * 4,
                     pack(total[n / 2][n % 2 * 2], total[n / 2][n % 2 * 2 + 1]));
    __syncwarp();
}
// 8 numbers of one, from the chunk at `from`, of which `columns` exist.
template <typename T> __device__ inline void store_chunk(T *to, unsigned from, int columns, bool chunks, int64 stride)
{
    if (chunks && columns >= 8) {
        unsigned words[4];
        load_shared(words, from);
        *(uint4 *)to = make_uint4(words[0], words[1], words[2], words[3]);
        return;
    }
#pragma unroll 1
    for (int n = 0; n < 8 && n < columns; n++)
        to[n * stride].bits = (unsigned short)(load_shared(from + n / 2 * 4) >> n % 2 * 16);
}

// A row of the output, f32: two neighbours at a time.
template <int E>
__device__ inline void store_row(float *to, const float (&total)[E / 8][4], int row, int columns, bool chunks,
                                 int64 stride)
{
#pragma unroll
    for (int n = 0; n < E / 8; n++) {
        const int column = n * 8 + threadIdx.x % 4 * 2;
        if (chunks && column < columns) // a multiple of 4
            *(float2 *)(to + column) = make_float2(total[n][2 * row], total[n][2 * row + 1]);
        else if (column < columns) {
            to[column * stride] = total[n][2 * row];
            if (column + 1 < columns) to[(column + 1) * stride] = total[n][2 * row + 1];
        }
    }
}

#ifndef SIZE_b
#define SIZE_b size_b
#endif
#ifndef SIZE_h
#define SIZE_h size_h
#endif
#ifndef SIZE_i
#define SIZE_i size_i
#endif
#define SIZE_d 64
#ifndef SIZE_j
#define SIZE_j size_j
#endif
#define SIZE_e 64

// The parameter of every kernel. Strides count elements; so many consecutive heads, the group, share one.
struct causal_attention_args {
    const f16 *q_data; // [b, h, i, d]
    int64 q_group, q_type, q_strides[4];
    const f16 *k_data; // [b, h, j, d]
    int64 k_group, k_type, k_strides[4];
    const f16 *v_data; // [b, h, j, e]
    int64 v_group, v_type, v_strides[4];
    f16 *o_data; // [b, h, i, e]
    int64 o_group, o_type, o_strides[4];
    int64 size_b;
    int64 size_h;
    int64 size_i;
    int64 size_d;
    int64 size_j;
    int64 size_e;
    char *workspace, *scratch;
    int *status; // 0, or 1 + the number of the check that failed
    int64 tasks;
};

// With what follows from it.
struct causal_attention : causal_attention_args {
    float *o_chunk_max_data; // [b, h, i, chunk]
    float *o_chunk_sum_data; // [b, h, i, chunk]
    float *o_chunk_data; // [b, h, i, chunk, e]
    float *total_data; // [e] of this thread; threads are interleaved
    float *total_data_2; // [e] of this thread; threads are interleaved
    int64 extent_tile;
    int64 extent_chunk;
    int64 extent_tile_2;

    __device__ causal_attention(const causal_attention_args &args) : causal_attention_args(args)
    {
        extent_tile = most(extent_i() + 63 >> 6, 0);
        extent_chunk = most(extent_i() <= 64 && 1024 <= extent_j() ? extent_j() + 511 >> 9 : 0, 0);
        extent_tile_2 = most(extent_i() <= 64 && 1024 <= extent_j() ? (int64)0 : extent_i() + 63 >> 6, 0);
        int64 at = 0; // bytes
        o_chunk_max_data = (float *)(workspace + at);
        at += padded((int64)sizeof(float) * extent_b() * extent_h() * extent_i() * extent_chunk);
        o_chunk_sum_data = (float *)(workspace + at);
        at += padded((int64)sizeof(float) * extent_b() * extent_h() * extent_i() * extent_chunk);
        o_chunk_data = (float *)(workspace + at);
        at += padded((int64)sizeof(float) * extent_b() * extent_h() * extent_i() * extent_chunk * extent_e());
        at = 0; // bytes
        total_data = (float *)(scratch + at * threads());
        at += padded((int64)sizeof(float) * extent_e());
        total_data_2 = (float *)(scratch + at * threads());
        at += padded((int64)sizeof(float) * extent_e());
    }

    __device__ int64 extent_b() const { return SIZE_b; }
    __device__ int64 extent_h() const { return SIZE_h; }
    __device__ int64 extent_i() const { return SIZE_i; }
    __device__ int64 extent_d() const { return SIZE_d; }
    __device__ int64 extent_j() const { return SIZE_j; }
    __device__ int64 extent_e() const { return SIZE_e; }
    __device__ float q(int64 b, int64 h, int64 i, int64 d) const
    {
        return load(q_data + b * q_strides[0] + h * q_strides[1] + i * q_strides[2] + d * q_strides[3]);
    }
    __device__ const f16 *q_at(int64 b, int64 h, int64 i, int64 d) const
    {
        return q_data + b * q_strides[0] + h * q_strides[1] + i * q_strides[2] + d * q_strides[3];
    }
    __device__ float k(int64 b, int64 h, int64 j, int64 d) const
    {
        return load(k_data + b * k_strides[0] + h * k_strides[1] + j * k_strides[2] + d * k_strides[3]);
    }
    __device__ const f16 *k_at(int64 b, int64 h, int64 j, int64 d) const
    {
        return k_data + b * k_strides[0] + h * k_strides[1] + j * k_strides[2] + d * k_strides[3];
    }
    __device__ float v(int64 b, int64 h, int64 j, int64 e) const
    {
        return load(v_data + b * v_strides[0] + h * v_strides[1] + j * v_strides[2] + e * v_strides[3]);
    }
    __device__ const f16 *v_at(int64 b, int64 h, int64 j, int64 e) const
    {
        return v_data + b * v_strides[0] + h * v_strides[1] + j * v_strides[2] + e * v_strides[3];
    }
    __device__ f16 &o(int64 b, int64 h, int64 i, int64 e) const
    {
        return o_data[b * o_strides[0] + h * o_strides[1] + i * o_strides[2] + e * o_strides[3]];
    }
    __device__ f16 *o_at(int64 b, int64 h, int64 i, int64 e) const
    {
        return o_data + b * o_strides[0] + h * o_strides[1] + i * o_strides[2] + e * o_strides[3];
    }
    __device__ float &o_chunk_max(int64 b, int64 h, int64 i, int64 chunk) const
    {
        return o_chunk_max_data[((b * extent_h() + h) * extent_i() + i) * extent_chunk + chunk];
    }
    __device__ float &o_chunk_sum(int64 b, int64 h, int64 i, int64 chunk) const
    {
        return o_chunk_sum_data[((b * extent_h() + h) * extent_i() + i) * extent_chunk + chunk];
    }
    __device__ float &o_chunk(int64 b, int64 h, int64 i, int64 chunk, int64 e) const
    {
        return o_chunk_data[(((b * extent_h() + h) * extent_i() + i) * extent_chunk + chunk) * extent_e() + e];
    }
    __device__ float *o_chunk_at(int64 b, int64 h, int64 i, int64 chunk, int64 e) const
    {
        return o_chunk_data + (((b * extent_h() + h) * extent_i() + i) * extent_chunk + chunk) * extent_e() + e;
    }
    __device__ float &total(int64 e) const { return total_data[e * threads() + thread()]; }
    __device__ float &total_2(int64 e) const { return total_data_2[e * threads() + thread()]; }
};

// pairwise o.chunk: 64 queries and 64 keys at a time on tensor cores; a block for every b, h, chunk, tile.
//     o = sum[j](softmax[j](sum[d](q * k) / sqrt(size(d)) where causal(i, j)) * v)
extern "C" __global__ void __launch_bounds__(128, 1)
causal_attention_pairwise_o_chunk(const causal_attention_args args)
{
    if (*(volatile int *)args.status) return;
    const causal_attention io(args);
    const int64 size_e = io.extent_e();
    const int64 size_tile = io.extent_tile;
    const int64 size_chunk = io.extent_chunk;
    const int64 size_h = io.extent_h();
    const int64 size_d = io.extent_d();
    const int64 size_j = io.extent_j();
    const int64 size_i = io.extent_i();
    constexpr int D = 64, E = 64, KEYS = 64; // features of a query, of a value; keys of a tile
    extern __shared__ __align__(128) char shared[];
    const unsigned q_tile = shared_address(shared), k_tile = q_tile + 8192;
    const unsigned v_tile = k_tile + 2 * tile_bytes<KEYS, D>;
    const unsigned w_tile = q_tile;
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    // Where a lane's rows of matrices lie in them.
    const unsigned q_lane = chunk<D>(warp * 16 + lane % 16, lane / 16);
    const unsigned k_lane = chunk<D>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
    const unsigned v_lane = chunk<E>(lane % 16, lane / 16);
    const bool q_chunks = in_chunks(io.q_data, io.q_strides);
    const bool k_chunks = in_chunks(io.k_data, io.k_strides);
    const bool v_chunks = in_chunks(io.v_data, io.v_strides);
    const bool o_chunk_chunks = size_e % 4 == 0;
    for (int64 task = blockIdx.x; task < io.tasks; task += gridDim.x) {
        const int64 b = task / size_tile / size_chunk / size_h;
        const int64 h = task / size_tile / size_chunk % size_h;
        const int64 chunk = task / size_tile % size_chunk;
        const int64 tile = task % size_tile;
        const int64 q_head = h / io.q_group;
        const int64 k_head = h / io.k_group;
        const int64 v_head = h / io.v_group;
        const double root = sqrt((double)size_d);
        const double value = 1.0 / root;
        const int64 n_2 = least(least(size_j, chunk * 512 + 512), size_j + least(size_i, tile * 64 + 64) - size_i);
        // Keys that some query of the block may see.
        int64 j_begin = chunk * 512;
        int64 j_end = n_2;
        const float score_scale = (float)value;
        const float scale = score_scale * 1.44269504f; // log2(e)
        const float slack = 0;
        const int64 i_begin = tile * 64, i_end = least(i_begin + 64, size_i);
        stage<64, D>(q_tile, (int)(i_end - i_begin), 64, q_chunks, io.q_strides[3],
              io.q_at(b, q_head, i_begin, 0), io.q_strides[2]);
        copies_wait();
        __syncthreads();
        unsigned q[D / 16][4];
        load_rows<D>(q, q_tile + q_lane);
        // A second time, with care, where hidden values may have spoilt a sum.
        for (bool careful = false;; careful = true) {
            bool spoilable = false;
            float total[E / 8][4] = {};
            float top[2] = {-infinity, -infinity};
            float sum[2] = {};
            bool due = false;
            int64 next = j_begin, first = 0;
            bool partial = false;
            for (int buffer = 0;; buffer ^= 1) {
                // The next tile with a visible pair.
                bool some = false, hides = false;
                for (; next < j_end; next += KEYS) {
                    some = next <= size_j + least(size_i, tile * 64 + 64) - size_i - 1;
                    if (some) {
                        hides = size_j + tile * 64 - size_i < least(j_end, next + 64) - 1;
                    }
                    if (some) break;
                }
                // It is on its way while the one before, which has arrived, is worked on.
                copies_wait();
                __syncthreads();
                if (some) {
                    const int rows = (int)least(j_end - next, KEYS);
                    stage<KEYS, D>(k_tile + buffer * tile_bytes<KEYS, D>, rows, 64, k_chunks, io.k_strides[3],
                          io.k_at(b, k_head, next, 0), io.k_strides[2]);
                    stage<KEYS, E>(v_tile + buffer * tile_bytes<KEYS, E>, rows, 64, v_chunks, io.v_strides[3],
                          io.v_at(b, v_head, next, 0), io.v_strides[2]);
                }
                if (due) {
                    const unsigned k_now = k_tile + (buffer ^ 1) * tile_bytes<KEYS, D> + k_lane;
                    const unsigned v_now = v_tile + (buffer ^ 1) * tile_bytes<KEYS, E>;
                    const int left = (int)least(j_end - first, KEYS);
                    const bool full = !partial && left >= KEYS;
                    unsigned hidden = 0;
                    if (!full) {
                        __syncwarp(); // so that full tiles jump
#pragma unroll
                        for (int r = 0; r < 2; r++) {
                            const int64 i = i_begin + warp * 16 + lane / 4 + r * 8;
#pragma unroll
                            for (int n = 0; n < KEYS / 4; n++) {
                                const int key = n / 2 * 8 + lane % 4 * 2 + n % 2;
                                const int64 j = first + key;
                                if (!(key < left && (j <= size_j + i - size_i))) hidden |= 1u << (n / 2 * 4 + 2 * r + n % 2);
                            }
                        }
                        spoilable |= partial;
                    }
                    float s[KEYS / 8][4] = {};
                    add_products<KEYS, D>(s, q, k_now, ~0u);
                    if (!full) {
                        __syncwarp();
#pragma unroll
                        for (int x = 0; x < KEYS / 2; x++)
                            if (hidden >> x & 1) s[x / 4][x % 4] = -infinity;
                    }
                    make_weights<KEYS>(s, top, sum, total, scale, slack);
                    if (careful && partial)
                        add_visible<KEYS, E>(total, s, v_now, hidden, w_tile);
                    else
                        add_values<KEYS, E>(total, s, v_now + v_lane, ~0u);
                }
                if (!some) break;
                first = next, next += KEYS, due = true, partial = hides;
            }
            if (__syncthreads_or(!careful && spoilable && is_tainted<E>(total))) continue;
#pragma unroll
            for (int row = 0; row < 2; row++) {
                sum[row] = row_sum(sum[row]);
                const float inverse = sum[row] == 0 ? 1 : 1 / sum[row];
#pragma unroll
                for (int n = 0; n < E / 4; n++) {
                    float &x = total[n / 2][2 * row + n % 2];
                    x *= inverse;
                }
                const int64 i = i_begin + warp * 16 + lane / 4 + row * 8;
                if (lane % 4 == 0 && i < i_end) {
                    const float max = top[row] * score_scale;
                    io.o_chunk_max(b, h, i, chunk) = max;
                    io.o_chunk_sum(b, h, i, chunk) = sum[row];
                }
            }
#pragma unroll
            for (int row = 0; row < 2; row++) {
                const int64 i = i_begin + warp * 16 + lane / 4 + row * 8;
                if (!(i < i_end)) continue;
                float *to = io.o_chunk_at(b, h, i, chunk, 0);
                store_row<E>(to, total, row, 64, o_chunk_chunks, 1);
            }
            break;
        }
        __syncthreads();
    }
}

// chunks of o: a thread for every few, b, h, i, e.
//     o = sum[j](softmax[j](sum[d](q * k) / sqrt(size(d)) where causal(i, j)) * v)
extern "C" __global__ void __launch_bounds__(128, 1)
causal_attention_chunks_of_o(const causal_attention_args args)
{
    if (*(volatile int *)args.status) return;
    const causal_attention io(args);
    const int64 size_e = io.extent_e();
    const int64 size_i = io.extent_i();
    const int64 size_h = io.extent_h();
    const int64 size_b = io.extent_b();
    const int64 size_j = io.extent_j();
    for (int64 task = thread(); task < io.tasks; task += threads()) {
        const int64 few = task / size_e / size_i / size_h / size_b;
        const int64 b = task / size_e / size_i / size_h % size_b;
        const int64 h = task / size_e / size_i % size_h;
        const int64 i = task / size_e % size_i;
        const int64 e = task % size_e;
        float total = 0.0f;
        float total_2 = -infinity;
        const int64 chunk_end = size_i <= 64 && 1024 <= size_j ? size_j + 511 >> 9 : 0;
        for (int64 chunk = 0; chunk < chunk_end; chunk++) {
            if (0.0f != io.o_chunk_sum(b, h, i, chunk)) {
                total_2 = maximum(total_2, io.o_chunk_max(b, h, i, chunk));
            }
        }
        const int64 chunk_end_2 = size_i <= 64 && 1024 <= size_j ? size_j + 511 >> 9 : 0;
        for (int64 chunk = 0; chunk < chunk_end_2; chunk++) {
            if (0.0f != io.o_chunk_sum(b, h, i, chunk)) {
                total += expf(io.o_chunk_max(b, h, i, chunk) - total_2) * io.o_chunk_sum(b, h, i, chunk);
            }
        }
        bool test = 0.0f == total;
        float value = 0.0f;
        if (test) {
            value = 0.0f;
        }
        if (!test) {
            float total_3 = 0.0f;
            const int64 chunk_end_3 = size_i <= 64 && 1024 <= size_j ? size_j + 511 >> 9 : 0;
            for (int64 chunk = 0; chunk < chunk_end_3; chunk++) {
                if (0.0f != io.o_chunk_sum(b, h, i, chunk)) {
                    total_3 += expf(io.o_chunk_max(b, h, i, chunk) - total_2) * io.o_chunk_sum(b, h, i, chunk) * io.o_chunk(b, h, i, chunk, e);
                }
            }
            value = total_3 / total;
        }
        io.o(b, h, i, e) = value;
    }
}

// pairwise o: 64 queries and 64 keys at a time on tensor cores; a block for every b, h, tile.
//     o = sum[j](softmax[j](sum[d](q * k) / sqrt(size(d)) where causal(i, j)) * v)
extern "C" __global__ void __launch_bounds__(128, 1)
causal_attention_pairwise_o(const causal_attention_args args)
{
    if (*(volatile int *)args.status) return;
    const causal_attention io(args);
    const int64 size_tile = io.extent_tile_2;
    const int64 size_h = io.extent_h();
    const int64 size_d = io.extent_d();
    const int64 size_j = io.extent_j();
    const int64 size_i = io.extent_i();
    constexpr int D = 64, E = 64, KEYS = 64; // features of a query, of a value; keys of a tile
    extern __shared__ __align__(128) char shared[];
    const unsigned q_tile = shared_address(shared), k_tile = q_tile + 8192;
    const unsigned v_tile = k_tile + 2 * tile_bytes<KEYS, D>;
    const unsigned w_tile = q_tile;
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    // Where a lane's rows of matrices lie in them.
    const unsigned q_lane = chunk<D>(warp * 16 + lane % 16, lane / 16);
    const unsigned k_lane = chunk<D>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
    const unsigned v_lane = chunk<E>(lane % 16, lane / 16);
    const bool q_chunks = in_chunks(io.q_data, io.q_strides);
    const bool k_chunks = in_chunks(io.k_data, io.k_strides);
    const bool v_chunks = in_chunks(io.v_data, io.v_strides);
    const bool o_chunks = in_chunks(io.o_data, io.o_strides);
    for (int64 task = blockIdx.x; task < io.tasks; task += gridDim.x) {
        const int64 b = task / size_tile / size_h;
        const int64 h = task / size_tile % size_h;
        const int64 tile = task % size_tile;
        const int64 q_head = h / io.q_group;
        const int64 k_head = h / io.k_group;
        const int64 v_head = h / io.v_group;
        // Later queries see more keys: they are first.
        const int64 tile_from_end = size_tile - 1 - tile;
        const double root = sqrt((double)size_d);
        const double value = 1.0 / root;
        // Keys that some query of the block may see.
        int64 j_begin = 0;
        int64 j_end = least(size_j, size_j + least(size_i, tile_from_end * 64 + 64) - size_i);
        const float score_scale = (float)value;
        const float scale = score_scale * 1.44269504f; // log2(e)
        const float slack = 8 / scale; // weights up to 2^8
        const int64 i_begin = tile_from_end * 64, i_end = least(i_begin + 64, size_i);
        stage<64, D>(q_tile, (int)(i_end - i_begin), 64, q_chunks, io.q_strides[3],
              io.q_at(b, q_head, i_begin, 0), io.q_strides[2]);
        copies_wait();
        __syncthreads();
        unsigned q[D / 16][4];
        load_rows<D>(q, q_tile + q_lane);
        // A second time, with care, where hidden values may have spoilt a sum.
        for (bool careful = false;; careful = true) {
            bool spoilable = false;
            float total[E / 8][4] = {};
            float top[2] = {-infinity, -infinity};
            float sum[2] = {};
            bool due = false;
            int64 next = j_begin, first = 0;
            bool partial = false;
            for (int buffer = 0;; buffer ^= 1) {
                // The next tile with a visible pair.
                bool some = false, hides = false;
                for (; next < j_end; next += KEYS) {
                    some = next <= size_j + least(size_i, tile_from_end * 64 + 64) - size_i - 1;
                    if (some) {
                        hides = size_j + tile_from_end * 64 - size_i < least(j_end, next + 64) - 1;
                    }
                    if (some) break;
                }
                // It is on its way while the one before, which has arrived, is worked on.
                copies_wait();
                __syncthreads();
                if (some) {
                    const int rows = (int)least(j_end - next, KEYS);
                    stage<KEYS, D>(k_tile + buffer * tile_bytes<KEYS, D>, rows, 64, k_chunks, io.k_strides[3],
                          io.k_at(b, k_head, next, 0), io.k_strides[2]);
                    stage<KEYS, E>(v_tile + buffer * tile_bytes<KEYS, E>, rows, 64, v_chunks, io.v_strides[3],
                          io.v_at(b, v_head, next, 0), io.v_strides[2]);
                }
                if (due) {
                    const unsigned k_now = k_tile + (buffer ^ 1) * tile_bytes<KEYS, D> + k_lane;
                    const unsigned v_now = v_tile + (buffer ^ 1) * tile_bytes<KEYS, E>;
                    const int left = (int)least(j_end - first, KEYS);
                    const bool full = !partial && left >= KEYS;
                    unsigned hidden = 0;
                    if (!full) {
                        __syncwarp(); // so that full tiles jump
#pragma unroll
                        for (int r = 0; r < 2; r++) {
                            const int64 i = i_begin + warp * 16 + lane / 4 + r * 8;
#pragma unroll
                            for (int n = 0; n < KEYS / 4; n++) {
                                const int key = n / 2 * 8 + lane % 4 * 2 + n % 2;
                                const int64 j = first + key;
                                if (!(key < left && (j <= size_j + i - size_i))) hidden |= 1u << (n / 2 * 4 + 2 * r + n % 2);
                            }
                        }
                        spoilable |= partial;
                    }
                    float s[KEYS / 8][4] = {};
                    add_products<KEYS, D>(s, q, k_now, ~0u);
                    if (!full) {
                        __syncwarp();
#pragma unroll
                        for (int x = 0; x < KEYS / 2; x++)
                            if (hidden >> x & 1) s[x / 4][x % 4] = -infinity;
                    }
                    make_weights<KEYS>(s, top, sum, total, scale, slack);
                    if (careful && partial)
                        add_visible<KEYS, E>(total, s, v_now, hidden, w_tile);
                    else
                        add_values<KEYS, E>(total, s, v_now + v_lane, ~0u);
                }
                if (!some) break;
                first = next, next += KEYS, due = true, partial = hides;
            }
            if (__syncthreads_or(!careful && spoilable && is_tainted<E>(total))) continue;
#pragma unroll
            for (int row = 0; row < 2; row++) {
                sum[row] = row_sum(sum[row]);
                const float inverse = sum[row] == 0 ? 1 : 1 / sum[row];
#pragma unroll
                for (int n = 0; n < E / 4; n++) {
                    float &x = total[n / 2][2 * row + n % 2];
                    x *= inverse;
                }
            }
            put_rows<E>(q_tile, total);
            for (int n = lane; n < 2 * E; n += 32) {
                const int number = warp * 16 + n / (E / 8), column = n % (E / 8) * 8;
                const int64 i = i_begin + number;
                if (!(i < i_end)) continue;
                f16 *to = io.o_at(b, h, i, 0) + column * io.o_strides[3];
                store_chunk(to, q_tile + chunk<E>(number, column / 8), 64 - column, o_chunks, io.o_strides[3]);
            }
            break;
        }
        __syncthreads();
    }
}
