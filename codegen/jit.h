/* The exported entry of libattn_jit. */
#ifndef ATTN_CODEGEN_JIT_H
#define ATTN_CODEGEN_JIT_H

#include "compiler/backend.h"

/* The CPU backend. Always the same address; never NULL. */
__attribute__((visibility("default"))) const Backend *attn_backend(void);

#endif
