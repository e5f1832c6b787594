/* Lowering: Plan to Loops, with the schedules of the CPU. */
#ifndef ATTN_COMPILER_LOWER_H
#define ATTN_COMPILER_LOWER_H

#include "loops.h"
#include "plan.h"

Kernel *lower(Compilation *c, const Plan *plan);

#endif
