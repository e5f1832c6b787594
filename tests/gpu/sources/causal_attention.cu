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

// Of inputs, which do not change while a kernel runs.
__device__ inline float load(const float *at) { return __ldg(at); }
__device__ inline double load(const double *at) { return __ldg(at); }

__device__ inline int64 padded(int64 bytes) { return (bytes + 63) & -64; }

__device__ inline int64 least(int64 x, int64 y) { return x < y ? x : y; }

#ifndef SIZE_b
#define SIZE_b size_b
#endif
#ifndef SIZE_h
#define SIZE_h size_h
#endif
#ifndef SIZE_i
#define SIZE_i size_i
#endif
#ifndef SIZE_d
#define SIZE_d size_d
#endif
#ifndef SIZE_j
#define SIZE_j size_j
#endif
#ifndef SIZE_e
#define SIZE_e size_e
#endif

// The parameter of every kernel. Strides count elements; so many consecutive heads, the group, share one.
struct causal_attention_args {
    const float *q_data; // [b, h, i, d]
    int64 q_group, q_type, q_strides[4];
    const float *k_data; // [b, h, j, d]
    int64 k_group, k_type, k_strides[4];
    const float *v_data; // [b, h, j, e]
    int64 v_group, v_type, v_strides[4];
    float *o_data; // [b, h, i, e]
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
    float *total_data; // [e] of this thread; threads are interleaved

    __device__ causal_attention(const causal_attention_args &args) : causal_attention_args(args)
    {
        int64 at = 0; // bytes
        total_data = (float *)(scratch + at * threads());
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
    __device__ float k(int64 b, int64 h, int64 j, int64 d) const
    {
        return load(k_data + b * k_strides[0] + h * k_strides[1] + j * k_strides[2] + d * k_strides[3]);
    }
    __device__ float v(int64 b, int64 h, int64 j, int64 e) const
    {
        return load(v_data + b * v_strides[0] + h * v_strides[1] + j * v_strides[2] + e * v_strides[3]);
    }
    __device__ float &o(int64 b, int64 h, int64 i, int64 e) const
    {
        return o_data[b * o_strides[0] + h * o_strides[1] + i * o_strides[2] + e * o_strides[3]];
    }
    __device__ float &total(int64 e) const { return total_data[e * threads() + thread()]; }
};

// pairwise o: a thread for every b, h, i.
//     o = sum[j](softmax[j](sum[d](q * k) / sqrt(size(d)) where causal(i, j)) * v)
extern "C" __global__ void __launch_bounds__(128, 1)
causal_attention_pairwise_o(const causal_attention_args args)
{
    if (*(volatile int *)args.status) return;
    const causal_attention io(args);
    const int64 size_d = io.extent_d();
    const int64 size_i = io.extent_i();
    const int64 size_h = io.extent_h();
    const int64 size_e = io.extent_e();
    const int64 size_j = io.extent_j();
    const double root = sqrt((double)size_d);
    for (int64 task = thread(); task < io.tasks; task += threads()) {
        const int64 b = task / size_i / size_h;
        const int64 h = task / size_i % size_h;
        const int64 i = task % size_i;
        const int64 q_head = h / io.q_group;
        const int64 k_head = h / io.k_group;
        const int64 v_head = h / io.v_group;
        float max = -infinity;
        float sum = 0.0f;
        for (int64 e = 0; e < size_e; e++) {
            io.total(e) = 0.0f;
        }
        const int64 j_end = least(size_j, size_j + i - size_i + 1);
        for (int64 j = 0; j < j_end; j++) {
            float total = 0.0f;
            for (int64 d = 0; d < size_d; d++) {
                total += io.q(b, q_head, i, d) * io.k(b, k_head, j, d);
            }
            float score = total / (float)root;
            if (max < score) {
                float scale = expf(max - score);
                sum = sum * scale;
                for (int64 e = 0; e < size_e; e++) {
                    io.total(e) = io.total(e) * scale;
                }
                max = score;
            }
            float weight = -infinity == score ? 0.0f : expf(score - max);
            sum += weight;
            for (int64 e = 0; e < size_e; e++) {
                io.total(e) += weight * io.v(b, v_head, j, e);
            }
        }
        for (int64 e = 0; e < size_e; e++) {
            io.o(b, h, i, e) = 0.0f == sum ? io.total(e) : io.total(e) / sum;
        }
    }
}
