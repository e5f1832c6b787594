/*
 * The emitted elementary functions against libm: long double for f64, double for f32. Each is run as LLVM
 * would use it, in a loop over arrays, as a scalar (which LLVM vectorises) and as a vector (8 x f32, 4 x
 * f64).
 *
 * f32: every 9973rd bit pattern; f64: random ones. Both: the neighbours of hard points, random points of
 * the interesting ranges, multiples of pi/2 for sin and cos. ATTN_MATH_EFFORT=n in the environment takes n
 * times as many points (from 9973 on, all 2^32 of f32), ATTN_MATH_REPORT prints the largest error of each
 * function.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/math.h"

enum { BATCH = 4096, VECTOR_BYTES = 32 };

typedef void Sweep(const void *x, const void *y, void *out, int64_t count);

typedef struct {
    MathFn fn;
    bool f64;
    Sweep *scalar, *vector;
    double worst, worst_x, worst_y, worst_got;
    long tested;
    uint64_t seed;
    unsigned fill;
    union {
        float f32[BATCH];
        double f64[BATCH];
    } x, y, scalar_out, vector_out;
} Trial;

/* ---- The code under test
 * ---------------------------------------------------------------------------------------- */

static LLVMValueRef element(LLVMBuilderRef b, LLVMTypeRef type, LLVMValueRef base, LLVMValueRef index)
{
    return LLVMBuildGEP2(b, type, base, &index, 1, "");
}

/* void NAME(x, y, out, count): out[i] = fn(x[i], y[i]) for i < count, where `type` is the element. */
static void define_sweep(LLVMModuleRef module, MathFn fn, LLVMTypeRef type, const char *name)
{
    LLVMContextRef context = LLVMGetModuleContext(module);
    LLVMTypeRef pointer = LLVMPointerTypeInContext(context, 0), index = LLVMInt64TypeInContext(context);
    LLVMTypeRef parameters[] = {pointer, pointer, pointer, index};
    LLVMTypeRef signature = LLVMFunctionType(LLVMVoidTypeInContext(context), parameters, 4, false);
    LLVMValueRef function = LLVMAddFunction(module, name, signature);
    LLVMAttributeRef noalias = llvm_attribute(context, "noalias", 0);
    for (unsigned i = 1; i <= 3; i++)
        LLVMAddAttributeAtIndex(function, i, noalias);
    LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(context, function, "entry");
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(context, function, "body");
    LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(context, function, "done");
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
    LLVMPositionBuilderAtEnd(b, entry);
    LLVMBuildBr(b, body);
    LLVMPositionBuilderAtEnd(b, body);
    LLVMValueRef i = LLVMBuildPhi(b, index, "i");
    LLVMValueRef args[2];
    for (unsigned a = 0; a < math_info(fn)->arity; a++) {
        args[a] = LLVMBuildLoad2(b, type, element(b, type, LLVMGetParam(function, a), i), "");
        LLVMSetAlignment(args[a], 4);
    }
    LLVMValueRef value = math_call(b, module, fn, args, math_info(fn)->arity);
    LLVMValueRef store = LLVMBuildStore(b, value, element(b, type, LLVMGetParam(function, 2), i));
    LLVMSetAlignment(store, 4);
    LLVMValueRef next = LLVMBuildAdd(b, i, LLVMConstInt(index, 1, false), "");
    LLVMValueRef from[] = {LLVMConstInt(index, 0, false), next};
    LLVMBasicBlockRef blocks[] = {entry, LLVMGetInsertBlock(b)};
    LLVMAddIncoming(i, from, blocks, 2);
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, next, LLVMGetParam(function, 3), ""), body, done);
    LLVMPositionBuilderAtEnd(b, done);
    LLVMBuildRetVoid(b);
    LLVMDisposeBuilder(b);
}

static void sweep_name(char *name, size_t size, MathFn fn, bool f64, bool vector)
{
    snprintf(name, size, "%s_%s_%s", math_info(fn)->name, f64 ? "f64" : "f32", vector ? "vector" : "scalar");
}

static void define_sweeps(LLVMModuleRef module, MathFn fn, bool f64)
{
    LLVMContextRef context = LLVMGetModuleContext(module);
    LLVMTypeRef scalar = f64 ? LLVMDoubleTypeInContext(context) : LLVMFloatTypeInContext(context);
    LLVMTypeRef vector = LLVMVectorType(scalar, f64 ? VECTOR_BYTES / 8 : VECTOR_BYTES / 4);
    char name[64];
    sweep_name(name, sizeof name, fn, f64, false);
    define_sweep(module, fn, scalar, name);
    sweep_name(name, sizeof name, fn, f64, true);
    define_sweep(module, fn, vector, name);
}

static void check(LLVMErrorRef error)
{
    if (error) {
        char *text = LLVMGetErrorMessage(error);
        cr_assert_fail("LLVM: %s", text);
    }
}

static LLVMTargetMachineRef machine_for(const char *cpu)
{
    char *triple = LLVMGetDefaultTargetTriple(), *error = NULL;
    char *host = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
    LLVMTargetRef target;
    cr_assert(!LLVMGetTargetFromTriple(triple, &target, &error), "%s", error);
    LLVMTargetMachineRef machine = LLVMCreateTargetMachine(target, triple, cpu ? cpu : host,
        cpu ? "" : features, LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelJITDefault);
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(host);
    LLVMDisposeMessage(features);
    return machine;
}

/* Optimises and loads a module of its own context. Takes both. */
static LLVMOrcLLJITRef load(LLVMModuleRef module, LLVMOrcThreadSafeContextRef context, const char *cpu)
{
    char *error = NULL;
    cr_assert(!LLVMVerifyModule(module, LLVMReturnStatusAction, &error), "%s", error);
    LLVMDisposeMessage(error);
    LLVMTargetMachineRef machine = machine_for(cpu);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    check(LLVMRunPasses(module, "default<O2>", machine, options));
    LLVMDisposePassBuilderOptions(options);

    LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
    LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(builder,
        LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(machine));
    LLVMOrcLLJITRef jit;
    check(LLVMOrcCreateLLJIT(&jit, builder));
    LLVMOrcDefinitionGeneratorRef process;
    check(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&process, LLVMOrcLLJITGetGlobalPrefix(jit),
                                                               NULL, NULL));
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(jit), process);
    LLVMOrcThreadSafeModuleRef safe = LLVMOrcCreateNewThreadSafeModule(module, context);
    check(LLVMOrcLLJITAddLLVMIRModule(jit, LLVMOrcLLJITGetMainJITDylib(jit), safe));
    LLVMOrcDisposeThreadSafeContext(context);
    return jit;
}

static LLVMOrcLLJITRef compile(MathFn first, MathFn last, bool f64, const char *cpu)
{
    LLVMOrcThreadSafeContextRef context = LLVMOrcCreateNewThreadSafeContext();
    LLVMContextRef inner = LLVMOrcThreadSafeContextGetContext(context);
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext("math", inner);
    for (MathFn fn = first; fn <= last; fn++)
        define_sweeps(module, fn, f64);
    return load(module, context, cpu);
}

static Sweep *lookup(LLVMOrcLLJITRef jit, MathFn fn, bool f64, bool vector)
{
    char name[64];
    LLVMOrcExecutorAddress address;
    sweep_name(name, sizeof name, fn, f64, vector);
    check(LLVMOrcLLJITLookup(jit, &address, name));
    return (Sweep *)(uintptr_t)address;
}

static void start_llvm(void)
{
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
}

/* ---- References
 * ------------------------------------------------------------------------------------------------- */

static long double minimum_of(long double x, long double y)
{
    return isnan(x) || isnan(y) ? NAN : x == y ? (signbit(x) ? x : y) : x < y ? x : y;
}

#define UNARY(NAME, f) case MATH_##NAME: return f64 ? f##l(x) : (long double)f((double)x);

/* f32 has references in f64 because they are fast and more than good enough. */
static long double reference(MathFn fn, bool f64, long double x, long double y)
{
    switch (fn) {
    UNARY(EXP, exp) UNARY(EXP_DOWN, exp) UNARY(EXP2, exp2) UNARY(EXP2_DOWN, exp2) UNARY(EXPM1, expm1)
    UNARY(LOG, log) UNARY(LOG2, log2) UNARY(LOG1P, log1p)
    UNARY(TANH, tanh) UNARY(ERF, erf) UNARY(SIN, sin) UNARY(COS, cos) UNARY(ATAN, atan)
    UNARY(SQRT, sqrt) UNARY(ABS, fabs) UNARY(FLOOR, floor) UNARY(CEIL, ceil) UNARY(ROUND, rint)
    case MATH_SIGMOID: return f64 ? 1 / (1 + expl(-x)) : (long double)(1 / (1 + exp(-(double)x)));
    case MATH_RSQRT: return 1 / sqrtl(x);
    case MATH_POW: return f64 ? powl(x, y) : (long double)pow((double)x, (double)y);
    case MATH_MIN: return minimum_of(x, y);
    case MATH_MAX: return -minimum_of(-x, -y);
    case MATH_COUNT: break;
    }
    return 0;
}

static long double rounded(long double x, bool f64)
{
    return f64 ? (long double)(double)x : (long double)(float)x;
}

/* The distance of the floating-point numbers around x; that of the smallest normal ones below those. */
static long double spacing(long double x, bool f64)
{
    int exponent, least = f64 ? -1021 : -125, digits = f64 ? 53 : 24;
    frexpl(x, &exponent);
    return ldexpl(1, (exponent < least ? least : exponent) - digits);
}

/* Exponentials give 0 below the normal range. */
static bool may_flush(MathFn fn, long double want, bool f64)
{
    bool plain = fn == MATH_EXP || fn == MATH_EXP2, short_one = fn == MATH_EXP_DOWN || fn == MATH_EXP2_DOWN;
    return (plain || short_one || fn == MATH_SIGMOID) && want < (f64 ? 0x1p-1022L : 0x1p-126L);
}

/* The error of `got` in ulp; infinite where the kind or sign of the result is wrong. */
static double ulp_error(MathFn fn, bool f64, double got, long double want)
{
    long double nearest = rounded(want, f64);
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (may_flush(fn, want, f64) && got == 0)
        return 0;
    if (isinf(nearest) || isinf(got) || want == 0)
        return got == (double)nearest && !signbit(got) == !signbit(nearest) ? 0 : INFINITY;
    if (got != 0 && !signbit(got) != !signbit(want))
        return INFINITY;
    return (double)(fabsl(got - want) / spacing(want, f64));
}

/* ---- Sweeps
 * ----------------------------------------------------------------------------------------------------- */

static double at(const Trial *t, const void *array, unsigned i)
{
    return t->f64 ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

static bool same_bits(double a, double b)   /* any NaN equals any other */
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void flush(Trial *t)
{
    unsigned per_vector = t->f64 ? VECTOR_BYTES / 8 : VECTOR_BYTES / 4, count = t->fill;
    unsigned padded = (count + per_vector - 1) / per_vector * per_vector;
    t->fill = 0;
    if (!count)
        return;
    t->scalar(&t->x, &t->y, &t->scalar_out, count);
    t->vector(&t->x, &t->y, &t->vector_out, padded / per_vector);
    for (unsigned i = 0; i < count; i++) {
        double x = at(t, &t->x, i), y = at(t, &t->y, i);
        double got = at(t, &t->scalar_out, i), other = at(t, &t->vector_out, i);
        double error = ulp_error(t->fn, t->f64, got, reference(t->fn, t->f64, x, y));
        cr_assert(same_bits(got, other), "%s(%a, %a): scalar %a, vector %a", math_info(t->fn)->name, x, y,
                  got, other);
        if (error > t->worst) {
            t->worst = error;
            t->worst_x = x, t->worst_y = y, t->worst_got = got;
        }
    }
    t->tested += count;
}

static void put(Trial *t, double x, double y)
{
    if (t->fn == MATH_EXP_DOWN || t->fn == MATH_EXP2_DOWN)
        x = -fabs(x);
    if (t->f64)
        t->x.f64[t->fill] = x, t->y.f64[t->fill] = y;
    else
        t->x.f32[t->fill] = (float)x, t->y.f32[t->fill] = (float)y;
    t->fill++;
}

static void feed(Trial *t, double x, double y)
{
    put(t, x, y);
    if (t->fill == BATCH)
        flush(t);
}

static uint64_t random_bits(Trial *t)   /* splitmix64 */
{
    uint64_t z = t->seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double random_between(Trial *t, double low, double high)
{
    return low + (high - low) * (double)(random_bits(t) >> 11) * 0x1p-53;
}

static double f32_from(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static double f64_from(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double step(const Trial *t, double x, double towards)
{
    return t->f64 ? nextafter(x, towards) : (double)nextafterf((float)x, (float)towards);
}

/* x, -x and `reach` neighbours on each side. */
static void feed_around(Trial *t, double x, double y, int reach)
{
    double up = x, down = x;
    for (int i = 0; i <= reach; i++) {
        feed(t, up, y), feed(t, -up, y), feed(t, down, y), feed(t, -down, y);
        up = step(t, up, INFINITY), down = step(t, down, -INFINITY);
    }
}

/* Special values, ends of ranges, and where the algorithms change their pieces. */
static const double hard_points[] = {
    0, INFINITY, NAN, 1, 0.5, 2, 3, 4, 6, 10, 20, 0x1p-149, 0x1p-126, 0x1p-1074, 0x1p-1022, 0x1.fffffep127,
    0x1.fffffffffffffp1023, 88.722839, 87.336544, 89, 103.97208, 709.78271289338397, 708.39641853226408, 710,
    745.2, 17.4, 18, 37.5, 38, 127, 128, 126, 149, 1022, 1023, 1024, 1074, 0.34657359, 1.03972077,
    0.70710678118654752, 1.4142135623730951,
    0.84375, 1e5, 1e9, 1e15, 0x1p49, 0x1p50, 0x1p64, 0x1p100, 0x1.6ac5b262ca1ffp849, 1e-5, 0x1p-12, 0x1p-27,
    0x1.921fb54442d18p0, 0x1.921fb54442d18p1, 0x1p-24, 0x1p-53, 1e300, 1e-300, 0x1.fffffep-1, 0x1.fffffep23,
    0x1p52,
};
enum { HARD = sizeof hard_points / sizeof *hard_points };

static int effort(void)
{
    const char *text = getenv("ATTN_MATH_EFFORT");
    int n = text ? atoi(text) : 1;
    return n < 1 ? 1 : n;
}

static void feed_bit_patterns(Trial *t)
{
    uint64_t stride = effort() < 9973 ? 9973 / (unsigned)effort() : 1;
    for (uint64_t bits = 0; !t->f64 && bits < UINT64_C(1) << 32; bits += stride)
        feed(t, f32_from((uint32_t)bits), 0);
    for (int i = 0; t->f64 && i < 60000 * effort(); i++)
        feed(t, f64_from(random_bits(t)), 0);
}

static void feed_unary(Trial *t)
{
    for (int i = 0; i < HARD; i++)
        feed_around(t, hard_points[i], 0, 64);
    feed_bit_patterns(t);
    static const double spans[] = {1e-3, 0.5, 1.5, 6, 30, 800};
    for (unsigned s = 0; s < sizeof spans / sizeof *spans; s++)
        for (int i = 0; i < 16000 * effort(); i++)
            feed(t, random_between(t, -spans[s], spans[s]), 0);
    for (int i = 0; i < 20000 * effort(); i++)   /* where logarithms vanish */
        feed(t, random_between(t, 0.6, 1.6), 0);
}

/* Near multiples of pi/2, where the reduced angle loses most. */
static void feed_angles(Trial *t)
{
    for (int n = 1; n < 65000; n++)
        feed(t, n * M_PI_2, 0), feed(t, step(t, n * M_PI_2, 0), 0);
    for (int i = 0; i < 30000 * effort(); i++) {
        double n = nearbyint(exp(random_between(t, 0, 33)));
        feed(t, n * M_PI_2, 0);
        feed(t, random_between(t, -1e9, 1e9), 0);
    }
}

static void feed_binary(Trial *t)
{
    for (int i = 0; i < HARD; i++)
        for (int j = 0; j < HARD; j++)
            for (int signs = 0; signs < 4; signs++)
                feed(t, copysign(hard_points[i], (signs & 1) - 0.5),
                     copysign(hard_points[j], (signs & 2) - 0.5));
    for (int i = 0; i < 60000 * effort(); i++) {
        uint64_t x = random_bits(t), y = random_bits(t);
        feed(t, t->f64 ? f64_from(x) : f32_from((uint32_t)x), t->f64 ? f64_from(y) : f32_from((uint32_t)y));
        feed(t, random_between(t, -10, 10), nearbyint(random_between(t, -40, 40)));
        double base = exp(random_between(t, -5, 5)), limit = (t->f64 ? 745 : 104) / fabs(log(base));
        feed(t, base, random_between(t, -limit, limit));
        base = 1 + random_between(t, -1e-3, 1e-3);
        feed(t, base, random_between(t, -1, 1) * (t->f64 ? 745 : 104) / fabs(log(base)));
    }
}

static void run_trial(LLVMOrcLLJITRef jit, MathFn fn, bool f64)
{
    Trial *t = calloc(1, sizeof *t);
    t->fn = fn, t->f64 = f64, t->seed = fn;
    t->scalar = lookup(jit, fn, f64, false), t->vector = lookup(jit, fn, f64, true);
    if (math_info(fn)->arity == 2)
        feed_binary(t);
    else
        feed_unary(t);
    if (fn == MATH_SIN || fn == MATH_COS)
        feed_angles(t);
    flush(t);
    double promised = f64 ? math_info(fn)->ulp_f64 : math_info(fn)->ulp_f32;
    if (getenv("ATTN_MATH_REPORT"))
        fprintf(stderr, "%-9s %s  %.3f ulp of %.1f, at %a %a -> %a  (%ld points)\n", math_info(fn)->name,
                f64 ? "f64" : "f32", t->worst, promised, t->worst_x, t->worst_y, t->worst_got, t->tested);
    cr_expect(t->worst <= promised, "%s %s: %.3f ulp at (%a, %a) = %a, promised %.1f", math_info(fn)->name,
              f64 ? "f64" : "f32", t->worst, t->worst_x, t->worst_y, t->worst_got, promised);
    free(t);
}

static void run_all(bool f64)
{
    start_llvm();
    LLVMOrcLLJITRef jit = compile(0, MATH_COUNT - 1, f64, NULL);
    for (MathFn fn = 0; fn < MATH_COUNT; fn++)
        run_trial(jit, fn, f64);
    check(LLVMOrcDisposeLLJIT(jit));
}

/* Without fused multiply-add in hardware LLVM calls fma of libm: slow, but the bits stay. */
static void same_bits_without_fma(bool f64)
{
    LLVMOrcLLJITRef host = compile(0, MATH_COUNT - 1, f64, NULL);
    LLVMOrcLLJITRef plain = compile(0, MATH_COUNT - 1, f64, "x86-64");
    Trial *t = calloc(1, sizeof *t);
    t->f64 = f64;
    for (int i = 0; i < 2048; i++) {
        uint64_t bits = random_bits(t);
        double any = f64 ? f64_from(bits) : f32_from((uint32_t)bits);
        put(t, i & 1 ? random_between(t, -30, 30) : any, random_between(t, -30, 30));
    }
    for (MathFn fn = 0; fn < MATH_COUNT; fn++) {
        lookup(host, fn, f64, false)(&t->x, &t->y, &t->scalar_out, 2048);
        lookup(plain, fn, f64, false)(&t->x, &t->y, &t->vector_out, 2048);
        for (unsigned i = 0; i < 2048; i++) {
            double a = at(t, &t->scalar_out, i), b = at(t, &t->vector_out, i);
            cr_assert(same_bits(a, b), "%s(%a, %a): host %a, x86-64 %a", math_info(fn)->name, at(t, &t->x, i),
                      at(t, &t->y, i), a, b);
        }
    }
    free(t);
    check(LLVMOrcDisposeLLJIT(host));
    check(LLVMOrcDisposeLLJIT(plain));
}

Test(math, same_bits_without_fma)
{
    start_llvm();
    same_bits_without_fma(false);
    same_bits_without_fma(true);
}

Test(math, f32_within_promised_errors) { run_all(false); }
Test(math, f64_within_promised_errors) { run_all(true); }
