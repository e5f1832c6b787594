// gated_delta, compiled from patterns/recurrence/gated_delta.attn by attnc 0.1.0.
// Gated delta rule (Gated DeltaNet, Yang et al. 2024), with its state going in and out as tensors (`carry S`
// would do the same).

typedef long long int64;
typedef unsigned long long uint64;
#define infinity __int_as_float(0x7f800000)
#define quiet_nan __int_as_float(0x7fffffff)

// Threads of the grid, and which of them this is.
__device__ inline int64 threads() { return (int64)gridDim.x * blockDim.x; }
__device__ inline int64 thread() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }

// Of inputs, which do not change while a kernel runs.
__device__ inline float load(const float *at) { return __ldg(at); }
__device__ inline double load(const double *at) { return __ldg(at); }

__device__ inline int64 padded(int64 bytes) { return (bytes + 63) & -64; }

__device__ inline int64 least(int64 x, int64 y) { return x < y ? x : y; }

__device__ inline int64 most(int64 x, int64 y) { return x > y ? x : y; }

// The sum over so many neighbouring lanes, in all of them.
template <int LANES, typename T> __device__ inline T sum_lanes(T x)
{
#pragma unroll
    for (int distance = LANES / 2; distance; distance /= 2) x += __shfl_xor_sync(~0u, x, distance);
    return x;
}

#ifndef SIZE_b
#define SIZE_b size_b
#endif
#ifndef SIZE_h
#define SIZE_h size_h
#endif
#ifndef SIZE_t
#define SIZE_t size_t
#endif
#define SIZE_d 64
#define SIZE_e 64

// The parameter of every kernel. Strides count elements; so many consecutive heads, the group, share one.
struct gated_delta_args {
    const float *q_data; // [b, h, t, d]
    int64 q_group, q_type, q_strides[4];
    const float *k_data; // [b, h, t, d]
    int64 k_group, k_type, k_strides[4];
    const float *v_data; // [b, h, t, e]
    int64 v_group, v_type, v_strides[4];
    const float *a_data; // [b, h, t]
    int64 a_group, a_type, a_strides[3];
    const float *beta_data; // [b, h, t]
    int64 beta_group, beta_type, beta_strides[3];
    const float *start_data; // [b, h, d, e]
    int64 start_group, start_type, start_strides[4];
    float *o_data; // [b, h, t, e]
    int64 o_group, o_type, o_strides[4];
    float *last_data; // [b, h, d, e]
    int64 last_group, last_type, last_strides[4];
    int64 size_b;
    int64 size_h;
    int64 size_t;
    int64 size_d;
    int64 size_e;
    char *workspace, *scratch;
    int *status; // 0, or 1 + the number of the check that failed
    int64 tasks;
};

// With what follows from it.
struct gated_delta : gated_delta_args {
    float *S_part1_data; // [t] of this thread; threads are interleaved
    float *S_data; // [t, d] of this thread; threads are interleaved
    int64 extent_block;

    __device__ gated_delta(const gated_delta_args &args) : gated_delta_args(args)
    {
        extent_block = most(extent_e() + 63 >> 6, 0);
        int64 at = 0; // bytes
        S_part1_data = (float *)(scratch + at * threads());
        at += padded((int64)sizeof(float) * 2);
        S_data = (float *)(scratch + at * threads());
        at += padded((int64)sizeof(float) * 2 * extent_d());
    }

    __device__ int64 extent_b() const { return SIZE_b; }
    __device__ int64 extent_h() const { return SIZE_h; }
    __device__ int64 extent_t() const { return SIZE_t; }
    __device__ int64 extent_d() const { return SIZE_d; }
    __device__ int64 extent_e() const { return SIZE_e; }
    __device__ float q(int64 b, int64 h, int64 t, int64 d) const
    {
        return load(q_data + b * q_strides[0] + h * q_strides[1] + t * q_strides[2] + d * q_strides[3]);
    }
    __device__ float k(int64 b, int64 h, int64 t, int64 d) const
    {
        return load(k_data + b * k_strides[0] + h * k_strides[1] + t * k_strides[2] + d * k_strides[3]);
    }
    __device__ float v(int64 b, int64 h, int64 t, int64 e) const
    {
        return load(v_data + b * v_strides[0] + h * v_strides[1] + t * v_strides[2] + e * v_strides[3]);
    }
    __device__ float a(int64 b, int64 h, int64 t) const
    {
        return load(a_data + b * a_strides[0] + h * a_strides[1] + t * a_strides[2]);
    }
    __device__ float beta(int64 b, int64 h, int64 t) const
    {
        return load(beta_data + b * beta_strides[0] + h * beta_strides[1] + t * beta_strides[2]);
    }
    __device__ float start(int64 b, int64 h, int64 d, int64 e) const
    {
        return load(start_data + b * start_strides[0] + h * start_strides[1] + d * start_strides[2] + e * start_strides[3]);
    }
    __device__ float &o(int64 b, int64 h, int64 t, int64 e) const
    {
        return o_data[b * o_strides[0] + h * o_strides[1] + t * o_strides[2] + e * o_strides[3]];
    }
    __device__ float &last(int64 b, int64 h, int64 d, int64 e) const
    {
        return last_data[b * last_strides[0] + h * last_strides[1] + d * last_strides[2] + e * last_strides[3]];
    }
    __device__ float &S_part1(uint64 t) const { return S_part1_data[t % 2 * threads() + thread()]; }
    __device__ float &S(uint64 t, int64 d) const
    {
        return S_data[(t % 2 * extent_d() + d) * threads() + thread()];
    }
};

// scan S.part1: 8 lanes share the rows d; a block for every b, h, block.
//     S[t]  = a * (S[t-1] - beta * k * sum[d](k * S[t-1])) + beta * k * v
//     S[t]  = a * (S[t-1] - beta * k * sum[d](k * S[t-1])) + beta * k * v
//     o     = sum[d](q * S)
//     last  = S[last(t)]
extern "C" __global__ void __launch_bounds__(128, 1)
gated_delta_scan_S_part1(const gated_delta_args args)
{
    if (*(volatile int *)args.status) return;
    const gated_delta io(args);
    const int64 size_block = io.extent_block;
    const int64 size_h = io.extent_h();
    const int64 size_e = io.extent_e();
    const int64 size_t = io.extent_t();
    __shared__ __align__(16) float k_steps[8][64];
    __shared__ __align__(16) float a_steps[8];
    __shared__ __align__(16) float value_steps[8][64];
    __shared__ __align__(16) float v_steps[8][64];
    __shared__ __align__(16) float q_steps[8][64];
    __shared__ float o_steps[8][64];
    const int lane = threadIdx.x % 8;
    const int group = threadIdx.x / 8;
    for (int64 task = blockIdx.x; task < io.tasks; task += gridDim.x) {
        const int64 b = task / size_block / size_h;
        const int64 h = task / size_block % size_h;
        const int64 block = task % size_block;
        const int64 q_head = h / io.q_group;
        const int64 k_head = h / io.k_group;
        const int64 v_head = h / io.v_group;
        const int64 a_head = h / io.a_group;
        const int64 beta_head = h / io.beta_group;
        const int64 start_head = h / io.start_group;
        float S[4][2][8]; // of a step, and of those before it
        float S_part1[4];
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int column = group + c * 16;
            const int64 e = block * 64 + column;
#pragma unroll
            for (int r = 0; r < 8; r++) {
                const int d = r / 4 * 32 + lane * 4 + r % 4;
                S[c][1][r] = io.start(b, start_head, d, e);
            }
        }
        float k_next[4];
        float a_next;
        float beta_next[4];
        float v_next[4];
        float q_next[4];
        // While some steps run, what the next ones need is on its way.
        for (int64 next = 0; next < size_t + 8; next += 8) {
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const int step = (threadIdx.x + n * 128) / 64;
                const int d = (threadIdx.x + n * 128) % 64;
                const int64 t = next + step;
                if (t < size_t) {
                    k_next[n] = io.k(b, k_head, t, d);
                    beta_next[n] = io.beta(b, beta_head, t);
                    q_next[n] = io.q(b, q_head, t, d);
                }
            }
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const int step = (threadIdx.x + n * 128) / 64;
                const int column = (threadIdx.x + n * 128) % 64;
                const int64 e = block * 64 + column;
                const int64 t = next + step;
                if (t < size_t) {
                    v_next[n] = io.v(b, v_head, t, e);
                }
            }
            {
                const int step = threadIdx.x;
                const int64 t = next + step;
                if (step < 8 && t < size_t) {
                    a_next = io.a(b, a_head, t);
                }
            }
            if (next) {
                for (int step = 0; step < least(size_t - (next - 8), 8); step++) {
                    const int64 t = next - 8 + step;
                    float k[8];
                    const float a = a_steps[step];
                    float value[8];
                    float q[8];
#pragma unroll
                    for (int r = 0; r < 8; r++) {
                        const int d = r / 4 * 32 + lane * 4 + r % 4;
                        k[r] = k_steps[step][d];
                        value[r] = value_steps[step][d];
                        q[r] = q_steps[step][d];
                    }
#pragma unroll
                    for (int c = 0; c < 4; c++) {
                        const int column = group + c * 16;
                        const int64 e = block * 64 + column;
                        float total = 0.0f;
#pragma unroll
                        for (int r = 0; r < 8; r++) {
                            const int d = r / 4 * 32 + lane * 4 + r % 4;
                            total += k[r] * S[c][1][r];
                        }
                        total = sum_lanes<8>(total);
                        S_part1[c] = total;
#pragma unroll
                        for (int r = 0; r < 8; r++) {
                            const int d = r / 4 * 32 + lane * 4 + r % 4;
                            S[c][0][r] = a * (S[c][1][r] - value[r] * S_part1[c]) + value[r] * v_steps[step][column];
                        }
                        float total_2 = 0.0f;
#pragma unroll
                        for (int r = 0; r < 8; r++) {
                            const int d = r / 4 * 32 + lane * 4 + r % 4;
                            total_2 += q[r] * S[c][0][r];
                        }
                        total_2 = sum_lanes<8>(total_2);
                        if (lane == 0) o_steps[step][column] = total_2;
#pragma unroll
                        for (int n = 0; n < 8; n++) {
                            S[c][1][n] = S[c][0][n];
                        }
                    }
                }
            }
            __syncthreads();
            if (next) {
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    const int step = (threadIdx.x + n * 128) / 64;
                    const int column = (threadIdx.x + n * 128) % 64;
                    const int64 e = block * 64 + column;
                    const int64 t = next - 8 + step;
                    if (t < size_t) {
                        io.o(b, h, t, e) = o_steps[step][column];
                    }
                }
            }
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const int step = (threadIdx.x + n * 128) / 64;
                const int d = (threadIdx.x + n * 128) % 64;
                const int64 t = next + step;
                if (t < size_t) {
                    k_steps[step][d] = k_next[n];
                    value_steps[step][d] = beta_next[n] * k_next[n];
                    q_steps[step][d] = q_next[n];
                }
            }
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const int step = (threadIdx.x + n * 128) / 64;
                const int column = (threadIdx.x + n * 128) % 64;
                const int64 e = block * 64 + column;
                const int64 t = next + step;
                if (t < size_t) {
                    v_steps[step][column] = v_next[n];
                }
            }
            {
                const int step = threadIdx.x;
                const int64 t = next + step;
                if (step < 8 && t < size_t) {
                    a_steps[step] = a_next;
                }
            }
            __syncthreads();
        }
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int column = group + c * 16;
            const int64 e = block * 64 + column;
#pragma unroll
            for (int r = 0; r < 8; r++) {
                const int d = r / 4 * 32 + lane * 4 + r % 4;
                io.last(b, h, d, e) = S[c][1][r];
            }
        }
    }
}
