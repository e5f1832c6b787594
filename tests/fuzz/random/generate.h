/* Random programs: valid patterns from a seed, as text. What they say is arbitrary; that they check is made
 * likely by construction (subscripts that can be proved, types that fit), and their numbers stay small, so
 * that results of different backends can be compared. */
#ifndef ATTN_FUZZ_GENERATE_H
#define ATTN_FUZZ_GENERATE_H

#include "lang/base.h"

/* SplitMix64, after the bytes if there are any: a fuzzer steers by them. */
typedef struct Random {
    uint64_t state;
    const uint8_t *bytes, *end;
} Random;
uint64_t random_bits(Random *r); /* never of the bytes */
unsigned random_below(Random *r, unsigned n); /* 0 .. n - 1; n > 0; of one byte up to 256, else of two */
bool chance(Random *r, unsigned percent);

typedef struct RandomProgram {
    const char *uses; /* lines of `use`, may be "" */
    const char *text; /* functions and patterns; their names end with the number */
    const char *name; /* of the last pattern, which is the one to run */
} RandomProgram;

/* smooth: nothing in it jumps (comparisons, selections and roundings of computed floats), so that f32 may be
 * compared as well. */
RandomProgram random_program(Compilation *c, uint64_t seed, unsigned number, bool smooth);
RandomProgram random_program_from(Compilation *c, Random r, unsigned number, bool smooth);

#endif
