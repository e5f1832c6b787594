// paged, compiled from patterns/cache/paged.attn by attnc 0.1.0.
// Decoding from a paged cache (vLLM, Kwon et al. 2023): table says which page of the pool holds positions 16
// p to 16 p + 15 of a sequence, len how many positions are filled. The queries are the last size(i) of them.

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

// An element of a tensor of any integer type, by its number in AttnType.
struct any_int {
    char *data;
    int64 type, at;
    __device__ operator int64() const
    {
        switch (type) {
        case 5: return ((const signed char *)data)[at];
        case 6: return ((const short *)data)[at];
        case 7: return ((const int *)data)[at];
        case 9: return ((const unsigned char *)data)[at];
        case 10: return ((const unsigned short *)data)[at];
        case 11: return ((const unsigned *)data)[at];
        default: return ((const int64 *)data)[at];
        }
    }
    __device__ void operator=(int64 x)
    {
        switch (type) {
        case 5: case 9: data[at] = (char)x; break;
        case 6: case 10: ((short *)data)[at] = (short)x; break;
        case 7: case 11: ((int *)data)[at] = (int)x; break;
        default: ((int64 *)data)[at] = x;
        }
    }
};

__device__ inline int64 padded(int64 bytes) { return (bytes + 63) & -64; }

// 0 <= x < size.
__device__ inline bool inside(int64 x, int64 size) { return (uint64)x < (uint64)size; }

__device__ inline int64 least(int64 x, int64 y) { return x < y ? x : y; }

// The first check that fails stays.
__device__ inline void fail(int *status, int code) { atomicCAS(status, 0, code); }

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
#ifndef SIZE_e
#define SIZE_e size_e
#endif
#ifndef SIZE_page
#define SIZE_page size_page
#endif
#ifndef SIZE_slot
#define SIZE_slot size_slot
#endif
#ifndef SIZE_p
#define SIZE_p size_p
#endif

// The parameter of every kernel. Strides count elements; so many consecutive heads, the group, share one.
struct paged_args {
    const float *q_data; // [b, h, i, d]
    int64 q_group, q_type, q_strides[4];
    const float *kpool_data; // [page, h, slot, d]
    int64 kpool_group, kpool_type, kpool_strides[4];
    const float *vpool_data; // [page, h, slot, e]
    int64 vpool_group, vpool_type, vpool_strides[4];
    char *table_data; // [b, p]
    int64 table_group, table_type, table_strides[2];
    char *len_data; // [b]
    int64 len_group, len_type, len_strides[1];
    float *o_data; // [b, h, i, e]
    int64 o_group, o_type, o_strides[4];
    int64 size_b;
    int64 size_h;
    int64 size_i;
    int64 size_d;
    int64 size_e;
    int64 size_page;
    int64 size_slot;
    int64 size_p;
    char *workspace, *scratch;
    int *status; // 0, or 1 + the number of the check that failed
    int64 tasks;
};

// With what follows from it.
struct paged : paged_args {
    float *total_data; // [e] of this thread; threads are interleaved

    __device__ paged(const paged_args &args) : paged_args(args)
    {
        int64 at = 0; // bytes
        total_data = (float *)(scratch + at * threads());
        at += padded((int64)sizeof(float) * extent_e());
    }

    __device__ int64 extent_b() const { return SIZE_b; }
    __device__ int64 extent_h() const { return SIZE_h; }
    __device__ int64 extent_i() const { return SIZE_i; }
    __device__ int64 extent_d() const { return SIZE_d; }
    __device__ int64 extent_e() const { return SIZE_e; }
    __device__ int64 extent_page() const { return SIZE_page; }
    __device__ int64 extent_slot() const { return SIZE_slot; }
    __device__ int64 extent_p() const { return SIZE_p; }
    __device__ float q(int64 b, int64 h, int64 i, int64 d) const
    {
        return load(q_data + b * q_strides[0] + h * q_strides[1] + i * q_strides[2] + d * q_strides[3]);
    }
    __device__ float kpool(int64 page, int64 h, int64 slot, int64 d) const
    {
        return load(kpool_data + page * kpool_strides[0] + h * kpool_strides[1] + slot * kpool_strides[2] + d * kpool_strides[3]);
    }
    __device__ float vpool(int64 page, int64 h, int64 slot, int64 e) const
    {
        return load(vpool_data + page * vpool_strides[0] + h * vpool_strides[1] + slot * vpool_strides[2] + e * vpool_strides[3]);
    }
    __device__ int64 table(int64 b, int64 p) const
    {
        return any_int{table_data, table_type, b * table_strides[0] + p * table_strides[1]};
    }
    __device__ int64 len(int64 b) const { return any_int{len_data, len_type, b * len_strides[0]}; }
    __device__ float &o(int64 b, int64 h, int64 i, int64 e) const
    {
        return o_data[b * o_strides[0] + h * o_strides[1] + i * o_strides[2] + e * o_strides[3]];
    }
    __device__ float &total(int64 e) const { return total_data[e * threads() + thread()]; }
};

// range of table: a thread for every b, p.
//     with kpool[page, h, slot, d], vpool[page, h, slot, e], table: int[b, p] in 0..size(page),
extern "C" __global__ void __launch_bounds__(128, 1)
paged_range_of_table(const paged_args args)
{
    const paged io(args);
    const int64 size_p = io.extent_p();
    const int64 size_page = io.extent_page();
    for (int64 task = thread(); task < io.tasks; task += threads()) {
        const int64 b = task / size_p;
        const int64 p = task % size_p;
        const int64 table = io.table(b, p);
        if (!(0 <= table && table < size_page)) fail(io.status, 10);
    }
}

// range of len: a thread for every b.
//     len: int[b] in 0..size(p) * 16 + 1
extern "C" __global__ void __launch_bounds__(128, 1)
paged_range_of_len(const paged_args args)
{
    const paged io(args);
    const int64 size_p = io.extent_p();
    for (int64 b = thread(); b < io.tasks; b += threads()) {
        const int64 len = io.len(b);
        if (!(0 <= len && len < size_p * 16 + 1)) fail(io.status, 11);
    }
}

// pairwise o: a thread for every b, h, i.
//     o = sum[j](softmax[j](s where j <= i) * vpool[table[b, j // 16], h, j % 16, e])
extern "C" __global__ void __launch_bounds__(128, 1)
paged_pairwise_o(const paged_args args)
{
    if (*(volatile int *)args.status) return;
    const paged io(args);
    const int64 size_d = io.extent_d();
    const int64 size_i = io.extent_i();
    const int64 size_h = io.extent_h();
    const int64 size_e = io.extent_e();
    const int64 size_p = io.extent_p();
    const double root = sqrt((double)size_d);
    for (int64 task = thread(); task < io.tasks; task += threads()) {
        const int64 b = task / size_i / size_h;
        const int64 h = task / size_i % size_h;
        const int64 i = task % size_i;
        const int64 q_head = h / io.q_group;
        const int64 kpool_head = h / io.kpool_group;
        const int64 vpool_head = h / io.vpool_group;
        float max = -infinity;
        float sum = 0.0f;
        for (int64 e = 0; e < size_e; e++) {
            io.total(e) = 0.0f;
        }
        const int64 j_end = least(size_p * 16, io.len(b) + i - size_i + 1);
        for (int64 j = 0; j < j_end; j++) {
            const int64 table = inside(j >> 4, size_p) ? io.table(b, j >> 4) : 0;
            float total = 0.0f;
            for (int64 d = 0; d < size_d; d++) {
                total += io.q(b, q_head, i, d) * io.kpool(table, kpool_head, j & 15, d);
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
                io.total(e) += weight * io.vpool(table, vpool_head, j & 15, e);
            }
        }
        for (int64 e = 0; e < size_e; e++) {
            io.o(b, h, i, e) = 0.0f == sum ? io.total(e) : io.total(e) / sum;
        }
    }
}
