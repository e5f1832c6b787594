/* `main` of a Criterion program that may be skipped as a whole. */
#ifndef ATTN_TESTS_GPU_CRITERION_MAIN_H
#define ATTN_TESTS_GPU_CRITERION_MAIN_H

/* Criterion's workers look for `main` among the symbols of the program. */
#define CRITERION_MAIN __attribute__((visibility("default")))

/* Runs its tests. lacks: what is missing, or NULL; then none runs, and the exit code is that of skipped tests. */
int criterion_main(int argc, char **argv, const char *lacks);

#endif
