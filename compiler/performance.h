/* Diagnostics of class performance: what is legal but slow, why, and the way out. */
#ifndef ATTN_COMPILER_PERFORMANCE_H
#define ATTN_COMPILER_PERFORMANCE_H

#include "interpret.h"
#include "loops.h"
#include "plan.h"

/* Adds them to c->diags: P001 masks that no block escapes, P002 pairwise stages that run as plain loops, P003
 * gathers, P004 large intermediates. `kernel` is that of the plan, lowered for strips. arguments: the sizes
 * to look at; NULL: those of the example. */
void performance(Compilation *c, const Plan *plan, const Kernel *kernel, const InterpretArguments *arguments);

#endif
