/* Helpers in CUDA C that generated programs use: HELPER(name, text), each after those that it uses. A program
 * holds those that it needs alone. */
HELPER(BF16,
"// bfloat16: the upper half of a float.\n"
"struct bf16 {\n"
"    unsigned short bits;\n"
"    __device__ operator float() const { return __uint_as_float((unsigned)bits << 16); }\n"
"    __device__ void operator=(float x) { asm(\"cvt.rn.bf16.f32 %0, %1;\" : \"=h\"(bits) : \"f\"(x)); }\n"
"};\n")
HELPER(F16,
"// IEEE half precision.\n"
"struct f16 {\n"
"    unsigned short bits;\n"
"    __device__ operator float() const\n"
"    {\n"
"        float x;\n"
"        asm(\"cvt.f32.f16 %0, %1;\" : \"=f\"(x) : \"h\"(bits));\n"
"        return x;\n"
"    }\n"
"    __device__ void operator=(float x) { asm(\"cvt.rn.f16.f32 %0, %1;\" : \"=h\"(bits) : \"f\"(x)); }\n"
"};\n")
HELPER(LOAD,
"// Of inputs, which do not change while a kernel runs.\n"
"__device__ inline float load(const float *at) { return __ldg(at); }\n"
"__device__ inline double load(const double *at) { return __ldg(at); }\n")
HELPER(LOAD_BF16,
"__device__ inline float load(const bf16 *at) { return bf16{__ldg(&at->bits)}; }\n")
HELPER(LOAD_F16,
"__device__ inline float load(const f16 *at) { return f16{__ldg(&at->bits)}; }\n")
HELPER(ANY_INT,
"// An element of a tensor of any integer type, by its number in AttnType.\n"
"struct any_int {\n"
"    char *data;\n"
"    int64 type, at;\n"
"    __device__ operator int64() const\n"
"    {\n"
"        switch (type) {\n"
"        case 5: return ((const signed char *)data)[at];\n"
"        case 6: return ((const short *)data)[at];\n"
"        case 7: return ((const int *)data)[at];\n"
"        case 9: return ((const unsigned char *)data)[at];\n"
"        case 10: return ((const unsigned short *)data)[at];\n"
"        case 11: return ((const unsigned *)data)[at];\n"
"        default: return ((const int64 *)data)[at];\n"
"        }\n"
"    }\n"
"    __device__ void operator=(int64 x)\n"
"    {\n"
"        switch (type) {\n"
"        case 5: case 9: data[at] = (char)x; break;\n"
"        case 6: case 10: ((short *)data)[at] = (short)x; break;\n"
"        case 7: case 11: ((int *)data)[at] = (int)x; break;\n"
"        default: ((int64 *)data)[at] = x;\n"
"        }\n"
"    }\n"
"};\n")
HELPER(PADDED,
"__device__ inline int64 padded(int64 bytes) { return (bytes + 63) & -64; }\n")
HELPER(INSIDE,
"// 0 <= x < size.\n"
"__device__ inline bool inside(int64 x, int64 size) { return (uint64)x < (uint64)size; }\n")
HELPER(LEAST,
"__device__ inline int64 least(int64 x, int64 y) { return x < y ? x : y; }\n")
HELPER(MOST,
"__device__ inline int64 most(int64 x, int64 y) { return x > y ? x : y; }\n")
HELPER(QUOTIENT,
"// x / y for y > 0. Without calls, which would spill registers; seldom is more than the first line needed.\n"
"__device__ inline uint64 quotient(uint64 x, uint64 y)\n"
"{\n"
"    if (((x | y) >> 32) == 0) return (unsigned)x / (unsigned)y;\n"
"    uint64 q = 0, r = 0;\n"
"#pragma unroll 1\n"
"    for (int bit = 63; bit >= 0; bit--) {\n"
"        const bool carry = r >> 63;\n"
"        r = r << 1 | (x >> bit & 1);\n"
"        if (carry || r >= y) r -= y, q |= (uint64)1 << bit;\n"
"    }\n"
"    return q;\n"
"}\n")
HELPER(FLOOR_DIV,
"// Rounded towards minus infinity; x / 0 is 0.\n"
"__device__ inline int64 floor_div(int64 x, int64 y)\n"
"{\n"
"    if (y == 0) return 0;\n"
"    const uint64 n = x < 0 ? 0 - (uint64)x : x, m = y < 0 ? 0 - (uint64)y : y, q = quotient(n, m);\n"
"    return (x ^ y) >= 0 ? (int64)q : (int64)(0 - q) - (q * m != n);\n"
"}\n")
HELPER(FLOOR_MOD,
"// The remainder of that; x % 0 is x.\n"
"__device__ inline int64 floor_mod(int64 x, int64 y)\n"
"{\n"
"    return (int64)((uint64)x - (uint64)floor_div(x, y) * (uint64)y);\n"
"}\n")
HELPER(WRAP,
"// Integers that may wrap.\n"
"__device__ inline int64 wrap_add(int64 x, int64 y) { return (int64)((uint64)x + (uint64)y); }\n"
"__device__ inline int64 wrap_sub(int64 x, int64 y) { return (int64)((uint64)x - (uint64)y); }\n"
"__device__ inline int64 wrap_mul(int64 x, int64 y) { return (int64)((uint64)x * (uint64)y); }\n")
HELPER(SHIFT,
"__device__ inline int64 shift_left(int64 x, int64 n) { return (int64)((uint64)x << (n & 63)); }\n"
"__device__ inline int64 shift_right(int64 x, int64 n) { return x >> (n & 63); }\n")
HELPER(SIGN,
"__device__ inline int64 sign(int64 x) { return (x > 0) - (x < 0); }\n"
"__device__ inline float sign(float x) { return x > 0 ? 1 : x < 0 ? -1 : x; }\n"
"__device__ inline double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }\n")
HELPER(ABS_INT,
"__device__ inline int64 magnitude(int64 x) { return (int64)(x < 0 ? 0 - (uint64)x : (uint64)x); }\n")
HELPER(TO_INT,
"// Towards zero, saturating; NaN is 0.\n"
"__device__ inline int64 to_int(double x)\n"
"{\n"
"    if (x != x) return 0;\n"
"    return x >= 0x1p63 ? 0x7fffffffffffffff : x > -0x1p63 ? (int64)x : -0x7fffffffffffffff - 1;\n"
"}\n")
HELPER(MIN_F32,
"// NaN if one is NaN; -0 is less than +0.\n"
"__device__ inline float minimum(float x, float y)\n"
"{\n"
"    float z;\n"
"    asm(\"min.NaN.f32 %0, %1, %2;\" : \"=f\"(z) : \"f\"(x), \"f\"(y));\n"
"    return z;\n"
"}\n")
HELPER(MAX_F32,
"// NaN if one is NaN; -0 is less than +0.\n"
"__device__ inline float maximum(float x, float y)\n"
"{\n"
"    float z;\n"
"    asm(\"max.NaN.f32 %0, %1, %2;\" : \"=f\"(z) : \"f\"(x), \"f\"(y));\n"
"    return z;\n"
"}\n")
HELPER(MIN_F64,
"// NaN if one is NaN.\n"
"__device__ inline double minimum(double x, double y) { return x != x || y != y ? x + y : fmin(x, y); }\n")
HELPER(MAX_F64,
"// NaN if one is NaN.\n"
"__device__ inline double maximum(double x, double y) { return x != x || y != y ? x + y : fmax(x, y); }\n")
HELPER(FAIL,
"// The first check that fails stays.\n"
"__device__ inline void fail(int *status, int code) { atomicCAS(status, 0, code); }\n")
HELPER(CHECKED,
"// x, reported when not lo <= x < hi, and then moved inside.\n"
"__device__ inline int64 checked(int64 x, int64 lo, int64 hi, int *status, int code)\n"
"{\n"
"    if (x < lo || x >= hi) fail(status, code);\n"
"    return least(most(x, lo), hi - 1);\n"
"}\n")
HELPER(RANDOM,
"// Philox4x32-10 (Salmon et al. 2011): the first word, as 24 bits on [0, 1).\n"
"__device__ inline float random(int64 seed, int64 a, int64 b, int64 c, int64 d)\n"
"{\n"
"    unsigned key0 = (unsigned)seed, key1 = (unsigned)(seed >> 32);\n"
"    unsigned x0 = (unsigned)a, x1 = (unsigned)b, x2 = (unsigned)c, x3 = (unsigned)d;\n"
"    for (int round = 0; round < 10; round++) {\n"
"        const unsigned high0 = __umulhi(x0, 0xD2511F53u), low0 = x0 * 0xD2511F53u;\n"
"        const unsigned high1 = __umulhi(x2, 0xCD9E8D57u), low1 = x2 * 0xCD9E8D57u;\n"
"        x0 = high1 ^ x1 ^ key0, x1 = low1, x2 = high0 ^ x3 ^ key1, x3 = low0;\n"
"        key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;\n"
"    }\n"
"    return (float)(x0 >> 8) * 0x1p-24f;\n"
"}\n")
#include "codegen/cuda/prelude_tile_list.h"
HELPER(FLOATS,
"__device__ inline float4 load_shared4(unsigned from)\n"
"{\n"
"    float4 x;\n"
"    asm volatile(\"ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];\"\n"
"                 : \"=f\"(x.x), \"=f\"(x.y), \"=f\"(x.z), \"=f\"(x.w) : \"r\"(from) : \"memory\");\n"
"    return x;\n"
"}\n"
"__device__ inline void store_shared(unsigned to, const float (&x)[4])\n"
"{\n"
"    asm volatile(\"st.shared.v4.f32 [%0], {%1, %2, %3, %4};\"\n"
"                 ::\"r\"(to), \"f\"(x[0]), \"f\"(x[1]), \"f\"(x[2]), \"f\"(x[3]) : \"memory\");\n"
"}\n"
"__device__ inline void store_shared(unsigned to, const float (&x)[2])\n"
"{\n"
"    asm volatile(\"st.shared.v2.f32 [%0], {%1, %2};\" ::\"r\"(to), \"f\"(x[0]), \"f\"(x[1]) : \"memory\");\n"
"}\n"
"__device__ inline void store_shared(unsigned to, const float (&x)[1])\n"
"{\n"
"    asm volatile(\"st.shared.f32 [%0], %1;\" ::\"r\"(to), \"f\"(x[0]) : \"memory\");\n"
"}\n")
#include "codegen/cuda/prelude_tile_f32_list.h"
#include "codegen/cuda/prelude_product_list.h"
HELPER(SUM_LANES,
"// The sum over so many neighbouring lanes, in all of them.\n"
"template <int LANES, typename T> __device__ inline T sum_lanes(T x)\n"
"{\n"
"#pragma unroll\n"
"    for (int distance = LANES / 2; distance; distance /= 2) x += __shfl_xor_sync(~0u, x, distance);\n"
"    return x;\n"
"}\n")
