/* codegen: Loops in, machine code out. This header is the folder's table of contents.
 *   cpu/emit*.c   Loops -> LLVM IR          cpu/math.c      elementary functions
 *   cpu/target.c  CPU names, passes, object  cpu/describe.c  the module's description of itself
 *   cuda/print*.c Loops -> CUDA C            cuda/nvrtc.c    CUDA C -> PTX, cubins
 *   link.c        objects -> .so, .a         header.c        the C header of a direct call
 *   jit.c         the entry points of libattn_jit */
#ifndef ATTN_CODEGEN_H
#define ATTN_CODEGEN_H

#include "compiler/loops.h"

typedef struct CpuOptions {
    const char *cpu;        /* LLVM CPU name, or NULL: this machine's */
    bool f64;               /* storage and compute type of float tensors: f64 instead of f32 */
    bool debug;             /* line tables that point into the .attn file */
    int level;              /* 0..3, usually 2 */
    const char *entry;      /* unique prefix of the symbols of this kernel variant */
    bool direct;            /* also emit the direct C entry (header.c) under the pattern's name */
} CpuOptions;

#endif
