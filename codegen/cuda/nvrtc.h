/* NVRTC, the compiler of CUDA C, opened at run time. It is looked for in
 *   $ATTN_NVRTC                      a file or a folder, and nowhere else then
 *   /usr/local/cuda/lib64, and wherever the dynamic loader finds libnvrtc.so.13, .12
 *   $VIRTUAL_ENV/lib/pythonN/site-packages/nvidia/cu13/lib, .../nvidia/cuda_nvrtc/lib (the PyPI package)
 * libnvrtc-builtins, which NVRTC opens by name, is opened first where it lies beside it. */
#ifndef ATTN_CODEGEN_CUDA_NVRTC_H
#define ATTN_CODEGEN_CUDA_NVRTC_H

#include <stddef.h>

#include "lang/base.h"

typedef struct Nvrtc Nvrtc;

/* Stays open until the process ends. NULL, and why. */
const Nvrtc *nvrtc_open(Compilation *c, const char **error);
const char *nvrtc_path(const Nvrtc *n);
/* `NVRTC 13.0 (/usr/local/cuda/lib64/libnvrtc.so.13)`. */
const char *nvrtc_version(Compilation *c, const Nvrtc *n);

/* What a kernel takes of a multiprocessor, as ptxas reports it. */
typedef struct NvrtcUsage {
    const char *kernel;
    unsigned registers;                 /* of a thread */
    unsigned shared;                    /* static bytes of a block */
    unsigned stack, spills;             /* bytes of a thread; spills: stores and loads */
} NvrtcUsage;

typedef struct NvrtcImage {
    const char *data;                   /* PTX text, ended by 0, or a cubin */
    size_t size;                        /* the 0 counted */
    const char *log;                    /* of NVRTC and ptxas; empty for PTX */
} NvrtcImage;

typedef struct NvrtcOptions {
    unsigned arch;                      /* 80, 90 ... */
    bool ptx;                           /* PTX of that architecture, else a cubin */
    bool lines;                         /* tables of source lines */
    const char *const *definitions;     /* `SIZE_d=64` */
    unsigned n_definitions;
} NvrtcOptions;

/* `name` stands in messages. NULL, or the compiler's messages: places as PATH:LINE, those of #line. */
const char *nvrtc_compile(Compilation *c, const Nvrtc *n, const char *source, const char *name,
                          const NvrtcOptions *options, NvrtcImage *image);
/* One entry for every kernel in the log of a cubin. */
typedef VEC(NvrtcUsage) NvrtcUsages;
NvrtcUsages nvrtc_usage(Compilation *c, const char *log);

#endif
