/* What this CPU can do, as CPU and operating system report it. */
#include "internal.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* Which register states the system saves: XCR0. */
static uint64_t saved_states(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | (uint64_t)high << 32;
}

typedef enum Register { EAX, EBX, ECX, EDX } Register;
typedef struct FeatureBit {
    uint32_t leaf, subleaf;
    Register reg;
    int bit;
    bool wide;
    AttnFeature feature;
} FeatureBit;
static const FeatureBit feature_bits[] = {
    {1, 0, ECX, 28, false, ATTN_FEATURE_AVX},       {7, 0, EBX, 5, false, ATTN_FEATURE_AVX2},
    {1, 0, ECX, 12, false, ATTN_FEATURE_FMA},       {1, 0, ECX, 29, false, ATTN_FEATURE_F16C},
    {7, 0, EBX, 16, true, ATTN_FEATURE_AVX512F},    {7, 0, EBX, 30, true, ATTN_FEATURE_AVX512BW},
    {7, 0, EBX, 17, true, ATTN_FEATURE_AVX512DQ},   {7, 0, EBX, 31, true, ATTN_FEATURE_AVX512VL},
    {7, 0, EBX, 28, true, ATTN_FEATURE_AVX512CD},   {7, 0, EBX, 8, false, ATTN_FEATURE_BMI2},
    {7, 1, EAX, 5, true, ATTN_FEATURE_AVX512BF16},  {7, 0, ECX, 11, true, ATTN_FEATURE_AVX512VNNI},
    {7, 0, EDX, 23, true, ATTN_FEATURE_AVX512FP16},
};

uint64_t rt_cpu_features(void)
{
    uint32_t r[4] = {0};
    if (!__get_cpuid(1, &r[EAX], &r[EBX], &r[ECX], &r[EDX]) || !(r[ECX] >> 27 & 1)) /* OSXSAVE */
        return 0;
    uint64_t states = saved_states(), found = 0;
    bool avx = (states & 0x06) == 0x06, avx512 = (states & 0xe6) == 0xe6;
    for (size_t i = 0; i < sizeof feature_bits / sizeof *feature_bits; i++) {
        const FeatureBit *f = &feature_bits[i];
        uint32_t w[4] = {0};
        if (!__get_cpuid_count(f->leaf, f->subleaf, &w[EAX], &w[EBX], &w[ECX], &w[EDX]))
            continue;
        bool usable = f->feature == ATTN_FEATURE_BMI2 || (f->wide ? avx512 : avx);
        if (usable && (w[f->reg] >> f->bit & 1))
            found |= (uint64_t)f->feature;
    }
    return found;
}

void rt_cpu_identity(RtText *text)
{
    static const uint32_t leaves[][2] = {{0, 0},          {1, 0},          {7, 0},          {7, 1},
                                         {0x80000001, 0}, {0x80000002, 0}, {0x80000003, 0}, {0x80000004, 0}};
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        uint32_t r[4] = {0};
        if (!__get_cpuid_count(leaves[i][0], leaves[i][1], &r[EAX], &r[EBX], &r[ECX], &r[EDX]))
            continue;
        if (leaves[i][0] == 1)
            r[EBX] &= 0xffff; /* the rest tells which core is asked */
        rt_text_add(text, "%x.%x:%x,%x,%x,%x ", leaves[i][0], leaves[i][1], r[EAX], r[EBX], r[ECX], r[EDX]);
    }
    rt_text_add(text, "features:%llx", (unsigned long long)rt_cpu_features());
}

#else
#include <sys/utsname.h>

uint64_t rt_cpu_features(void) { return 0; }

void rt_cpu_identity(RtText *text)
{
    struct utsname name;
    rt_text_add(text, "%s", uname(&name) == 0 ? name.machine : "unknown");
}
#endif

const char *rt_feature_name(uint64_t feature)
{
    switch ((AttnFeature)feature) {
    case ATTN_FEATURE_AVX: return "AVX";
    case ATTN_FEATURE_AVX2: return "AVX2";
    case ATTN_FEATURE_FMA: return "FMA";
    case ATTN_FEATURE_F16C: return "F16C";
    case ATTN_FEATURE_AVX512F: return "AVX-512F";
    case ATTN_FEATURE_AVX512BW: return "AVX-512BW";
    case ATTN_FEATURE_AVX512DQ: return "AVX-512DQ";
    case ATTN_FEATURE_AVX512VL: return "AVX-512VL";
    case ATTN_FEATURE_AVX512CD: return "AVX-512CD";
    case ATTN_FEATURE_BMI2: return "BMI2";
    case ATTN_FEATURE_AVX512BF16: return "AVX-512BF16";
    case ATTN_FEATURE_AVX512VNNI: return "AVX-512VNNI";
    case ATTN_FEATURE_AVX512FP16: return "AVX-512FP16";
    }
    return "an unknown feature";
}
