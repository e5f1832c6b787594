/* Numbers for inputs, as the `example` of a pattern describes them. */
#ifndef ATTN_COMMAND_SAMPLE_H
#define ATTN_COMMAND_SAMPLE_H

#include "compiler/command/call.h"

/* Fills `t->data` (dense over t->full). Draws depend on the seed and the name of the tensor alone. Returns
 * NULL or what is wrong with the example. */
const char *sample_fill(const Call *call, CallTensor *t, uint64_t seed);
/* The nearest number that a storage type holds. */
double storage_round(StorageType type, double x);

#endif
