/* Helpers in CUDA C that generated programs may call. */
#ifndef ATTN_CODEGEN_CUDA_PRELUDE_H
#define ATTN_CODEGEN_CUDA_PRELUDE_H

typedef enum Helper {
#define HELPER(name, text) HELP_##name,
#include "codegen/cuda/prelude_list.h"
#undef HELPER
    HELPERS
} Helper;

extern const char *const helper_texts[HELPERS];

#endif
