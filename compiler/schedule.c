/* See schedule.h. */
#include "schedule.h"

#include <string.h>

/* Names of processors with 512-bit vectors that are worth using. */
static const char *const wide[] = {"x86-64-v4",      "skylake-avx512", "cascadelake",   "cooperlake",
                                   "icelake-client", "icelake-server", "tigerlake",     "rocketlake",
                                   "sapphirerapids", "emeraldrapids",  "graniterapids", "znver4",
                                   "znver5"};

static bool host_is_wide(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
#else
    return false;
#endif
}

static bool is_wide(const char *name, size_t length)
{
    for (size_t k = 0; k < sizeof wide / sizeof *wide; k++)
        if (strlen(wide[k]) == length && memcmp(wide[k], name, length) == 0) return true;
    return false;
}

Schedule schedule_cpu(const char *cpus, bool f64)
{
    bool all_wide = cpus ? true : host_is_wide();
    for (const char *at = cpus; at && *at;) {
        size_t length = strcspn(at, ",");
        all_wide = all_wide && is_wide(at, length);
        at += length + (at[length] == ',');
    }
    unsigned lanes = (all_wide ? 32u : 16u) / (f64 ? 2 : 1);
    return (Schedule){.target = TARGET_CPU, .lanes = lanes, .wide = all_wide};
}

Schedule schedule_cuda(StorageType real, bool tf32, const int64_t *fixed, unsigned arch, TileShape tile)
{
    return (Schedule){.target = TARGET_CUDA,
                      .many_tasks = true,
                      .real = real == STORAGE_FLOAT ? STORAGE_F32 : real,
                      .tf32 = tf32,
                      .fixed = fixed,
                      .arch = arch,
                      .tile = tile};
}
