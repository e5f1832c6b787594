/* See criterion_main.h. */
#include "criterion_main.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { SKIPPED = 77 };

int criterion_main(int argc, char **argv, const char *lacks)
{
    if (lacks) return printf("skipped: %s\n", lacks), SKIPPED;
    struct criterion_test_set *tests = criterion_initialize();
    int result = 0;
    if (criterion_handle_args(argc, argv, true)) result = !criterion_run_all_tests(tests);
    criterion_finalize(tests);
    return result;
}
