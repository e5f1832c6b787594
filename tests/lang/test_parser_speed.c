/* Scanner and parser take 20 MB in a second of processor time and more (31 were measured, 26 in memory that
 * is new to the process), on all patterns of the library one after the other, over and over. The best of ten
 * runs counts, and 15 MB are enough, for a machine may be slow or busy. Memory of one run serves the next:
 * what the kernel takes to hand out pages is not the parser's. Sanitizers are not measured. */
#include "lang/ast.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES = 4 << 20, RUNS = 10, LEAST = 15 };
static char text[BYTES];
static size_t n;

static int add_file(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)at;
    const char *dot = strrchr(path, '.');
    if (kind != FTW_F || !dot || strcmp(dot, ".attn") || n + (size_t)info->st_size > BYTES) return 0;
    FILE *file = fopen(path, "rb");
    if (file) n += fread(text + n, 1, (size_t)info->st_size, file);
    if (file) fclose(file);
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds_to_parse(void)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) cr_assert_fail("%s", c.fatal);
    double start = now();
    ast_parse(&c, compilation_add_source(&c, "all.attn", text, n));
    double seconds = now() - start;
    cr_assert_eq(c.errors, 0, "%.300s", diag_render(&c, DIAG_LINES));
    compilation_free(&c);
    return seconds;
}

Test(parser, speed, .timeout = 60)
{
#ifdef ATTN_SANITIZE
    cr_skip_test("sanitizers are not measured");
#endif
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/patterns", getenv("ATTN_SOURCE"));
    nftw(folder, add_file, 16, 0);
    size_t once = n;
    cr_assert(once > 50000, "%zu bytes of patterns", once);
    for (; n + once <= BYTES; n += once) memcpy(text + n, text, once);
    double best = seconds_to_parse();
    for (unsigned k = 1; k < RUNS; k++) {
        double seconds = seconds_to_parse();
        if (seconds < best) best = seconds;
    }
    printf("%.1f MB/s\n", 1e-6 * (double)n / best);
    cr_assert(1e-6 * (double)n / best >= (double)LEAST, "%.1f MB/s", 1e-6 * (double)n / best);
}
