/* Processors, passes, objects. See target.h. */
#include "codegen/cpu/target.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/abi.h"

#define V3 (ATTN_FEATURE_AVX | ATTN_FEATURE_AVX2 | ATTN_FEATURE_FMA | ATTN_FEATURE_F16C | ATTN_FEATURE_BMI2)
#define V4                                                                                               \
    (V3 | ATTN_FEATURE_AVX512F | ATTN_FEATURE_AVX512BW | ATTN_FEATURE_AVX512DQ | ATTN_FEATURE_AVX512VL | \
     ATTN_FEATURE_AVX512CD)

static const struct {
    const char *name;
    uint64_t features;
} cpus[] = {
#define CPU(name, features) {name, (uint64_t)(features)},
#include "cpu_list.h"
#undef CPU
};
static const struct {
    const char *name;
    uint64_t bit;
} features[] = {
#define FEATURE(bit, name) {name, ATTN_FEATURE_##bit},
#include "feature_list.h"
#undef FEATURE
};
enum { N_CPUS = sizeof cpus / sizeof *cpus, N_FEATURES = sizeof features / sizeof *features };

/* The level that a feature stands on is taken as a whole: machines with AVX2, FMA and BMI2 have all of v3. */
static const Cpu *make_cpu(Compilation *c, const char *name, const char *tune, uint64_t bits)
{
    if ((bits & V3) != V3)
        bits = 0; /* without all of v3: what every x86-64 has */
    else if ((bits & V4) != V4)
        bits &= V3;
    bool v2 = !bits && !strcmp(name, "x86-64-v2");
    Cpu *cpu = NEW(c, Cpu);
    Text text = {.c = c};
    for (unsigned k = 0; k < N_FEATURES; k++)
        if (bits & features[k].bit) text_add(&text, "%s+%s", text.n ? "," : "", features[k].name);
    const char *base = bits & ATTN_FEATURE_AVX512F ? "x86-64-v4"
                       : bits                      ? "x86-64-v3"
                       : v2                        ? "x86-64-v2"
                                                   : "x86-64";
    *cpu = (Cpu){name, base, tune, text.n ? text.at : "", bits};
    return cpu;
}

static uint64_t host_features(void)
{
    char *text = LLVMGetHostCPUFeatures(); /* "+sse2,-tbm,..." */
    uint64_t bits = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        for (unsigned k = 0; k < N_FEATURES; k++)
            if (word[0] == '+' && !strcmp(word + 1, features[k].name)) bits |= features[k].bit;
    LLVMDisposeMessage(text);
    return bits;
}

static const char *take_message(Compilation *c, char *message)
{
    const char *copy = format(c, "%s", message ? message : "LLVM gave no reason");
    if (message) LLVMDisposeMessage(message);
    return copy;
}

const Cpu *target_cpu(Compilation *c, const char *name, const char **known)
{
    if (!name) {
        const char *host = take_message(c, LLVMGetHostCPUName());
        return make_cpu(c, host, host, host_features());
    }
    for (unsigned k = 0; k < N_CPUS; k++) {
        bool level = !strncmp(name, "x86-64", 6);
        const char *tune = !level                                    ? cpus[k].name
                           : cpus[k].features & ATTN_FEATURE_AVX512F ? "skylake-avx512"
                           : cpus[k].features                        ? "haswell"
                                                                     : "generic";
        if (!strcmp(cpus[k].name, name)) return make_cpu(c, cpus[k].name, tune, cpus[k].features);
    }
    Text text = {.c = c};
    for (unsigned k = 0; k < N_CPUS; k++) text_add(&text, "%s%s", k ? ", " : "", cpus[k].name);
    if (known) *known = text.at;
    return NULL;
}

const char *target_host_text(Compilation *c)
{
    const Cpu *cpu = target_cpu(c, NULL, NULL);
    return format(c, "%s %s", cpu->name, cpu->feature_text);
}

/* The level of code generation is Less: by measurement the loops are as fast as with Default, and compiled in
 * 8 % less time. */
LLVMTargetMachineRef target_machine(Compilation *c, const char **error)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMTargetRef target = NULL;
    char *message = NULL;
    const char *triple = "x86_64-unknown-linux-gnu";
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        *error = take_message(c, message);
        return NULL;
    }
    LLVMTargetMachineRef machine = LLVMCreateTargetMachine(target, triple, "x86-64", "", LLVMCodeGenLevelLess,
                                                           LLVMRelocPIC, LLVMCodeModelSmall);
    if (!machine) *error = "LLVM has no target machine for x86-64";
    return machine;
}

const char *target_prepare_module(LLVMTargetMachineRef machine, LLVMModuleRef module)
{
    LLVMSetTarget(module, "x86_64-unknown-linux-gnu");
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(module, layout);
    LLVMDisposeTargetData(layout);
    return NULL;
}

const char *target_verify(Compilation *c, LLVMModuleRef module)
{
    char *message = NULL;
    if (!LLVMVerifyModule(module, LLVMReturnStatusAction, &message)) {
        LLVMDisposeMessage(message);
        return NULL;
    }
    return take_message(c, message);
}

/* What the emitted code needs, once each: locals become registers, invariants leave loops, equal loads become
 * one, loops marked as lanes become vectors. LLVM's own O2 takes three times as long, half of that for vector
 * forms of loops that are not marked, which gain nothing here. */
static const char *const pipeline =
    "always-inline,globaldce,function(sroa,early-cse<memssa>,jump-threading,simplifycfg,"
    "instcombine<no-verify-fixpoint>,loop-mssa(loop-rotate,licm),simplifycfg,gvn,loop-mssa(licm),"
    "simplifycfg<hoist-common-insts;sink-common-insts>,"
    "loop-vectorize<interleave-forced-only;vectorize-forced-only>,instcombine<no-verify-fixpoint>,"
    "simplifycfg,loop-mssa(licm))"; /* instcombine sinks divisions into loops */

/* Copies of loop bodies cost compile time and, with the small extents of features, more time in remainders
 * than they save. */
static LLVMPassBuilderOptionsRef pass_options(void)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopUnrolling(options, false);
    LLVMPassBuilderOptionsSetLoopInterleaving(options, false);
    LLVMPassBuilderOptionsSetSLPVectorization(options, false);
    return options;
}

const char *target_optimise(Compilation *c, LLVMTargetMachineRef machine, LLVMModuleRef module)
{
    LLVMPassBuilderOptionsRef options = pass_options();
    LLVMErrorRef failure = LLVMRunPasses(module, pipeline, machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!failure) {
        target_fold_sums(module);
        return NULL;
    }
    char *message = LLVMGetErrorMessage(failure);
    const char *copy = format(c, "%s", message);
    LLVMDisposeErrorMessage(message);
    return copy;
}

LLVMMemoryBufferRef target_emit(Compilation *c, LLVMTargetMachineRef machine, LLVMModuleRef module,
                                bool assembly, const char **error)
{
    char *message = NULL;
    LLVMMemoryBufferRef bytes = NULL;
    LLVMCodeGenFileType type = assembly ? LLVMAssemblyFile : LLVMObjectFile;
    if (!LLVMTargetMachineEmitToMemoryBuffer(machine, module, type, &message, &bytes)) return bytes;
    *error = take_message(c, message);
    return NULL;
}
