/*
 * LLVM as this project sees it: its C API, version 19. Every difference between versions of LLVM is hidden
 * here.
 */
#ifndef ATTN_CODEGEN_CPU_LLVM_H
#define ATTN_CODEGEN_CPU_LLVM_H

#include <llvm/Config/llvm-config.h>

#if LLVM_VERSION_MAJOR != 19
#error "LLVM 19 is required (Debian: llvm-19-dev)"
#endif

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include <string.h>

/* An enum attribute such as "nounwind"; `value` is 0 for those that carry none. */
static inline LLVMAttributeRef llvm_attribute(LLVMContextRef context, const char *name, uint64_t value)
{
    return LLVMCreateEnumAttribute(context, LLVMGetEnumAttributeKindForName(name, strlen(name)), value);
}

/* The declaration of intrinsic `name` ("llvm.fma") for one overloaded type. NULL if LLVM has no such
 * intrinsic. */
static inline LLVMValueRef llvm_intrinsic(LLVMModuleRef module, const char *name, LLVMTypeRef type)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    return id ? LLVMGetIntrinsicDeclaration(module, id, &type, 1) : NULL;   /* id 0 would crash */
}

#endif
