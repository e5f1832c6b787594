/* The signature of a checked pattern as text: what `attnc list` and `attn.h` show. */
#ifndef ATTN_COMPILER_SIGNATURE_H
#define ATTN_COMPILER_SIGNATURE_H

#include "lang/program.h"

/* `name(parameters)`, then one line each for `over ... : inputs -> outputs`, `with captures`, `carry states`
 * and every condition (`require ...`), where there are any. Lines after the first are indented by four. */
void signature_print(Text *out, const Pattern *pattern);

#endif
