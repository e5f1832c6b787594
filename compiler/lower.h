/* Lowering: Plan to Loops, with the schedules of the CPU. */
#ifndef ATTN_COMPILER_LOWER_H
#define ATTN_COMPILER_LOWER_H

#include "loops.h"
#include "plan.h"

/* lanes: queries that one vector strip of a pairwise stage holds on the target, or 0 for none. */
Kernel *lower(Compilation *c, const Plan *plan, unsigned lanes);

#endif
