/* What the schedules need to know of a CPU. Names are LLVM's. */
#ifndef ATTN_COMPILER_SCHEDULE_H
#define ATTN_COMPILER_SCHEDULE_H

#include <stdbool.h>

/* Queries that one strip of a pairwise stage holds: two vector registers of the weakest CPU in the list (names by commas;
 * NULL: this machine), so that eight keys (AVX-512) or four (AVX2) with their accumulators fit the register file. */
unsigned schedule_lanes(const char *cpus, bool f64);

#endif
