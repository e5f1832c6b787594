/* See prelude.h. */
#include "codegen/cuda/prelude.h"

const char *const helper_texts[HELPERS] = {
#define HELPER(name, text) text,
#include "codegen/cuda/prelude_list.h"
#undef HELPER
};
