/* Processors by name, the passes, and the way from a module to bytes. */
#ifndef ATTN_CODEGEN_CPU_TARGET_H
#define ATTN_CODEGEN_CPU_TARGET_H

#include "codegen/cpu/llvm.h"
#include "lang/base.h"

/* What a variant is compiled for. Code uses nothing beyond `features` (AttnFeature bits and what they stand
 * on: x86-64-v2 for AVX, v3 for AVX2), so that the check at load is exact; `tune` only schedules. */
typedef struct Cpu {
    const char *name;          /* as asked, or this machine's */
    const char *base, *tune;   /* LLVM's target-cpu and tune-cpu */
    const char *feature_text;  /* LLVM's target-features */
    uint64_t features;
} Cpu;

/* name NULL: this machine. Returns NULL for an unknown name; *known then lists the names that there are. */
const Cpu *target_cpu(Compilation *c, const char *name, const char **known);
const char *target_host_text(Compilation *c); /* name and features, for cache keys */

/* A target machine for position-independent x86-64 objects (functions carry their CPU as attributes), or NULL
 * and an error text. */
LLVMTargetMachineRef target_machine(Compilation *c, const char **error);
/* Layout and triple of the machine; then verification (always) and the passes. NULL, or an error text. */
const char *target_prepare_module(LLVMTargetMachineRef machine, LLVMModuleRef module);
const char *target_optimise(Compilation *c, LLVMTargetMachineRef machine, LLVMModuleRef module);
void target_fold_sums(LLVMModuleRef module); /* the last of them (fold.c) */
const char *target_verify(Compilation *c, LLVMModuleRef module);
/* Object or assembly as bytes. Changes the module: print it before. NULL and an error text on failure. */
LLVMMemoryBufferRef target_emit(Compilation *c, LLVMTargetMachineRef machine, LLVMModuleRef module,
                                bool assembly, const char **error);

#endif
