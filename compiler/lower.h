/* Lowering: Plan to Loops, with the schedules of a target. */
#ifndef ATTN_COMPILER_LOWER_H
#define ATTN_COMPILER_LOWER_H

#include "loops.h"
#include "plan.h"
#include "schedule.h"

Kernel *lower(Compilation *c, const Plan *plan, Schedule schedule);

#endif
