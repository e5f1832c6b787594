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

// 0 <= x < size.
__device__ inline bool inside(int64 x, int64 size) { return (uint64)x < (uint64)size; }

#ifndef SIZE_b
#define SIZE_b size_b
#endif
#ifndef SIZE_h
#define SIZE_h size_h
#endif
#ifndef SIZE_t
#define SIZE_t size_t
#endif
#ifndef SIZE_d
#define SIZE_d size_d
#endif
#ifndef SIZE_e
#define SIZE_e size_e
#endif

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

    __device__ gated_delta(const gated_delta_args &args) : gated_delta_args(args)
    {
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

// scan S.part1: a thread for every b, h, e.
//     S[t]  = a * (S[t-1] - beta * k * sum[d](k * S[t-1])) + beta * k * v
//     S[t]  = a * (S[t-1] - beta * k * sum[d](k * S[t-1])) + beta * k * v
//     o     = sum[d](q * S)
//     last  = S[last(t)]
extern "C" __global__ void __launch_bounds__(128, 1)
gated_delta_scan_S_part1(const gated_delta_args args)
{
    if (*(volatile int *)args.status) return;
    const gated_delta io(args);
    const int64 size_e = io.extent_e();
    const int64 size_h = io.extent_h();
    const int64 size_t = io.extent_t();
    const int64 size_d = io.extent_d();
    for (int64 task = thread(); task < io.tasks; task += threads()) {
        const int64 b = task / size_e / size_h;
        const int64 h = task / size_e % size_h;
        const int64 e = task % size_e;
        const int64 q_head = h / io.q_group;
        const int64 k_head = h / io.k_group;
        const int64 v_head = h / io.v_group;
        const int64 a_head = h / io.a_group;
        const int64 beta_head = h / io.beta_group;
        const int64 start_head = h / io.start_group;
        for (int64 t = 0; t < size_t; t++) {
            const float a = io.a(b, a_head, t);
            const float beta = io.beta(b, beta_head, t);
            const float v = io.v(b, v_head, t, e);
            float total = 0.0f;
            for (int64 d = 0; d < size_d; d++) {
                total += io.k(b, k_head, t, d) * (0 <= t - 1 ? (inside(t - 1, size_t) ? io.S(t - 1, d) : 0.0f) : io.start(b, start_head, d, e));
            }
            io.S_part1(t) = total;
            for (int64 d = 0; d < size_d; d++) {
                io.S(t, d) = a * ((0 <= t - 1 ? (inside(t - 1, size_t) ? io.S(t - 1, d) : 0.0f) : io.start(b, start_head, d, e)) - beta * io.k(b, k_head, t, d) * io.S_part1(t)) + beta * io.k(b, k_head, t, d) * v;
            }
            float total_2 = 0.0f;
            for (int64 d = 0; d < size_d; d++) {
                total_2 += io.q(b, q_head, t, d) * io.S(t, d);
            }
            io.o(b, h, t, e) = total_2;
        }
        for (int64 d = 0; d < size_d; d++) {
            io.last(b, h, d, e) = 0 <= size_t - 1 ? (inside(size_t - 1, size_t) ? io.S(size_t - 1, d) : 0.0f) : io.start(b, start_head, d, e);
        }
    }
}
