/* bench/gpu_counters [--check] [CASE]: counts of the tile kernels. --check: exit code 1 where one is beyond
 * its bound. Exit code 77: there is no NVRTC. */
#include <stdio.h>
#include <string.h>

#include "bench/gpu/counters.h"

enum { SKIPPED = 77 };

static unsigned beyond(const char *what, double is, double bound)
{
    if (bound <= 0 || is <= bound) return 0;
    printf("  BEYOND: %s %.3f, at most %.3f\n", what, is, bound);
    return 1;
}

static void print(const CounterCase *x, const Counts *n)
{
    printf("%-20s %9.3f %10llu %8.3f %6.2f %6.3f %7.3f %9llu %5u %6u %6.0f %6u", x->name,
           (double)n->visited / (double)n->visible, (unsigned long long)n->mma,
           (double)n->mma / (double)n->needed, n->others, n->exp2, n->sectors_per_request,
           (unsigned long long)n->conflicts, n->usage.registers, n->usage.spills, n->shared / 1024.0,
           n->blocks);
    for (unsigned k = 0; k < n_gpu_archs; k++) {
        GpuLimit limit = counter_limit(&gpu_archs[k], x, n);
        printf("  %s %.0f%%", limit.name, 100 * limit.tensor);
    }
    printf("\n");
}

static unsigned check(const CounterCase *x, const Counts *n)
{
    unsigned wrong = beyond("pairs worked on / visible", (double)n->visited / (double)n->visible, x->pairs);
    wrong += beyond("mma / needed", (double)n->mma / (double)n->needed,
                    x->scan > 0 ? 1.5
                    : x->f32    ? 1.07
                                : 1);
    wrong += beyond("instructions / mma", n->others, x->instructions);
    wrong += beyond("exp2 / pair", n->exp2, x->exp2);
    wrong += beyond("sectors / ideal", n->sectors_per_request, x->sectors > 0 ? x->sectors : 1.001);
    wrong += beyond("bank conflicts", (double)n->conflicts, 0.5);
    wrong += beyond("bytes of spills", n->usage.spills, 0.5);
    if (n->blocks < x->blocks)
        printf("  BEYOND: %u blocks of a multiprocessor, at least %u\n", n->blocks, x->blocks), wrong++;
    return wrong;
}

static int measure(const CounterCase *x, bool checks)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) return printf("%s: %s\n", x->name, c.fatal), 1;
    const char *error;
    Counts n;
    unsigned wrong = 0;
    const Nvrtc *nvrtc = nvrtc_open(&c, &error);
    if (nvrtc) error = counter_measure(&c, nvrtc, x, &n);
    if (error)
        printf("%s: %s\n", x->name, error);
    else
        print(x, &n), wrong = checks ? check(x, &n) : 0;
    compilation_free(&c);
    return !nvrtc ? SKIPPED : error || wrong;
}

int main(int argc, char **argv)
{
    int result = 0;
    bool checks = argc > 1 && !strcmp(argv[1], "--check");
    const char *only = argc > 1 + checks ? argv[1 + checks] : NULL;
    printf("%-20s %9s %10s %8s %6s %6s %7s %9s %5s %6s %6s %6s  limit and share of tensor time:", "",
           "pairs/vis.", "mma", "mma/need", "others", "exp2", "sectors", "conflicts", "regs", "spills", "KiB",
           "blocks");
    for (unsigned k = 0; k < n_gpu_archs; k++) printf(" sm_%u", gpu_archs[k].arch);
    printf("\n");
    for (unsigned k = 0; k < n_counter_cases && result != SKIPPED; k++) {
        if (only && !strstr(counter_cases[k].name, only)) continue;
        int one = measure(&counter_cases[k], checks);
        fflush(stdout);
        result = one ? one : result;
    }
    return result;
}
