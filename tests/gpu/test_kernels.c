/* What NVRTC makes of CUDA C, run by the interpreter: attention with tensor cores against a plain one in
 * double, with its counts; the same with mistakes, which must be found; functions of libdevice against those
 * of libm. */
#include "codegen/cuda/nvrtc.h"
#include "criterion_main.h"
#include "ptx/ptx.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Kernels {
    Compilation c;
    PtxDevice *device;
    PtxModule *module;
} Kernels;

static const char *read_source(Compilation *c, const char *name)
{
    static char text[1 << 15];
    FILE *file = fopen(format(c, "%s/tests/gpu/kernels/%s", getenv("ATTN_SOURCE"), name), "rb");
    cr_assert(file, "no %s", name);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void compile(Kernels *k, const char *name, const char *before, unsigned arch)
{
    *k = (Kernels){.device = ptx_device_new()};
    compilation_init(&k->c);
    cr_assert(!setjmp(k->c.escape), "%s", k->c.fatal);
    const char *error;
    const Nvrtc *nvrtc = nvrtc_open(&k->c, &error);
    cr_assert(nvrtc, "%s", error);
    NvrtcImage image;
    const char *source = format(&k->c, "%s\n%s", before, read_source(&k->c, name));
    error = nvrtc_compile(&k->c, nvrtc, source, name, &(NvrtcOptions){.arch = arch, .ptx = true}, &image);
    cr_assert(!error, "%s", error);
    k->module = ptx_module_load(k->device, image.data, image.size);
    cr_assert(k->module, "%s", ptx_error(k->device));
}

static void end(Kernels *k)
{
    ptx_module_free(k->module);
    ptx_device_free(k->device);
    compilation_free(&k->c);
}

/* ---- Attention ---- */
enum { HEADS = 2, MAX_D = 128 };
typedef struct Arguments {
    uint64_t q, k, v, o;
    int n;
    float scale;
} Arguments;
typedef struct Attention {
    int n, d;
    bool bfloat;
    Arguments p;
    uint16_t *q, *k, *v, *o;
} Attention;

static uint16_t encode(bool bfloat, float x)
{
    _Float16 h = (_Float16)x;
    uint16_t bits[2];
    if (!bfloat) return memcpy(bits, &h, 2), bits[0];
    return memcpy(bits, &x, 4), bits[1];
}

static double decode(bool bfloat, uint16_t v)
{
    _Float16 h;
    uint16_t bits[2] = {0, v};
    float x;
    if (!bfloat) return memcpy(&h, &v, 2), (double)h;
    return memcpy(&x, bits, 4), (double)x;
}

static uint16_t *tensor(Kernels *k, const Attention *a, uint64_t *address)
{
    size_t n = (size_t)HEADS * (size_t)a->n * (size_t)a->d;
    *address = ptx_alloc(k->device, n * 2);
    uint16_t *at = ptx_bytes(k->device, *address, n * 2);
    for (size_t i = 0; i < n; i++) at[i] = encode(a->bfloat, (float)rand() / (float)RAND_MAX * 4 - 2);
    return at;
}

static Attention attention(Kernels *k, int n, int d, bool bfloat)
{
    Attention a = {.n = n, .d = d, .bfloat = bfloat};
    srand(3);
    a.q = tensor(k, &a, &a.p.q);
    a.k = tensor(k, &a, &a.p.k);
    a.v = tensor(k, &a, &a.p.v);
    a.o = tensor(k, &a, &a.p.o);
    a.p.n = n;
    a.p.scale = (float)(M_LOG2E / sqrt(d));
    return a;
}

static bool launch(Kernels *k, const Attention *a)
{
    PtxLaunch l = {
        ptx_find(k->module, "flash"), {(uint32_t)(a->n + 63) / 64, HEADS, 1}, {128, 1, 1}, 0, &a->p};
    cr_assert(ptx_params_size(l.function) == sizeof a->p);
    return ptx_launch(k->device, &l);
}

static void row_of(const Attention *a, size_t head, int i, double *y)
{
    size_t d = (size_t)a->d, base = head * (size_t)a->n * d;
    double weight[512], most = -INFINITY, sum = 0;
    for (int j = 0; j <= i; j++) {
        weight[j] = 0;
        for (size_t z = 0; z < d; z++)
            weight[j] += decode(a->bfloat, a->q[base + (size_t)i * d + z]) *
                         decode(a->bfloat, a->k[base + (size_t)j * d + z]);
        weight[j] /= sqrt(a->d);
        most = fmax(most, weight[j]);
    }
    memset(y, 0, d * sizeof *y);
    for (int j = 0; j <= i; j++) sum += weight[j] = exp(weight[j] - most);
    for (int j = 0; j <= i; j++)
        for (size_t z = 0; z < d; z++)
            y[z] += weight[j] / sum * decode(a->bfloat, a->v[base + (size_t)j * d + z]);
}

static double relative_error(const Attention *a)
{
    double error = 0, square = 0, y[MAX_D];
    for (size_t head = 0; head < HEADS; head++)
        for (int i = 0; i < a->n; i++) {
            row_of(a, head, i, y);
            for (size_t z = 0; z < (size_t)a->d; z++) {
                double is = decode(a->bfloat, a->o[(head * (size_t)a->n + (size_t)i) * (size_t)a->d + z]);
                error += (is - y[z]) * (is - y[z]);
                square += y[z] * y[z];
            }
        }
    return sqrt(error / square);
}

/* Tiles of 64 keys that the blocks of 64 rows visit. */
static uint64_t visited(int n)
{
    uint64_t blocks = (uint64_t)(n + 63) / 64;
    return HEADS * blocks * (blocks + 1) / 2;
}

static void check_counts(const Kernels *k, const Attention *a)
{
    PtxCounters c = ptx_counters(ptx_find(k->module, "flash"));
    uint64_t tiles = visited(a->n), d = (uint64_t)a->d;
    cr_expect(c.warps[PTX_MMA] == tiles * 4 * 2 * (64 / 8) * (d / 16)); /* 4 warps, 2 products */
    cr_expect(c.mma_flops == tiles * 2 * 2 * 64 * 64 * d);
    cr_expect(c.shared_load.units == c.shared_load.ideal && c.shared_load.requests > 0);
    cr_expect(c.shared_store.units == c.shared_store.ideal);
    cr_expect(c.global_load.units == c.global_load.ideal);
    PtxCounters loop = ptx_loop_counters(ptx_find(k->module, "flash"));
    cr_expect(loop.warps[PTX_MMA] == c.warps[PTX_MMA] && loop.warps[PTX_EXP] == c.warps[PTX_EXP]);
    cr_expect(loop.warps[PTX_GLOBAL_STORE] == 0 && loop.warps[PTX_ASYNC] < c.warps[PTX_ASYNC]);
    uint64_t blocks = HEADS * ((uint64_t)(a->n + 63) / 64);
    cr_expect(c.warps[PTX_ASYNC] ==
              (blocks + 2 * tiles) * 64 * d / 8 / 32); /* Q once, K and V of each tile once */
    if (a->n % 64 == 0)
        cr_expect(c.threads[PTX_EXP] == tiles * (64 * 64 + 2 * 128)); /* and 2 a thread to rescale */
}

static void check_flash(int n, int d, bool bfloat, unsigned arch)
{
    Kernels k;
    char before[64];
    snprintf(before, sizeof before, "#define D %d\n#define TYPE \"%s\"", d, bfloat ? "bf16" : "f16");
    compile(&k, "flash.cu", before, arch);
    Attention a = attention(&k, n, d, bfloat);
    cr_assert(launch(&k, &a), "%s", ptx_error(k.device));
    double error = relative_error(&a);
    cr_expect(error < (bfloat ? 4e-3 : 5e-4), "n = %d, d = %d, sm_%u: an error of %g", n, d, arch, error);
    check_counts(&k, &a);
    end(&k);
}

Test(kernels, flash_f16) { check_flash(100, 64, false, 80); }
Test(kernels, flash_bf16) { check_flash(192, 64, true, 80); }
Test(kernels, flash_sm_90) { check_flash(130, 64, false, 90); }
Test(kernels, flash_sm_100) { check_flash(65, 64, false, 100); }

/* A mistake, and the words that must be said about it. */
static void check_mistake(const char *definition, const char *words, bool fails)
{
    Kernels k;
    char before[128];
    snprintf(before, sizeof before, "#define D 64\n#define TYPE \"f16\"\n#define %s", definition);
    compile(&k, "flash.cu", before, 80);
    Attention a = attention(&k, 200, 64, false);
    cr_expect(launch(&k, &a) != fails, "%s", definition);
    cr_expect(strstr(ptx_error(k.device), words), "%s: %s", definition, ptx_error(k.device));
    PtxCounters c = ptx_counters(ptx_find(k.module, "flash"));
    if (!fails) cr_expect(c.shared_load.units == 8 * c.shared_load.ideal); /* all rows in the same banks */
    end(&k);
}

Test(kernels, no_barrier) { check_mistake("NO_BARRIER", "race in shared memory", true); }
Test(kernels, no_wait) { check_mistake("NO_WAIT", "a cp.async is under way", true); }
Test(kernels, no_bound) { check_mistake("NO_BOUND", "out of bounds", true); }
Test(kernels, no_swizzle) { check_mistake("NO_SWIZZLE", "", false); }

/* ---- Functions ---- */
#define FLOATS(X)                                                                                       \
    X(expf)                                                                                             \
    X(logf)                                                                                             \
    X(sinf)                                                                                             \
    X(cosf)                                                                                             \
    X(tanf) X(tanhf) X(sqrtf) X(erff) X(erfcf) X(exp2f) X(log2f) X(log1pf) X(expm1f) X(floorf) X(ceilf) \
        X(truncf) X(rintf) X(roundf) X(fabsf) X(asinf) X(acosf) X(atanf) X(sinhf) X(cbrtf)
#define DOUBLES(X)                                                                                      \
    X(exp)                                                                                              \
    X(log)                                                                                              \
    X(sin)                                                                                              \
    X(cos)                                                                                              \
    X(tanh) X(sqrt) X(erf) X(exp2) X(log2) X(log1p) X(expm1) X(floor) X(ceil) X(trunc) X(rint) X(round) \
        X(fabs) X(atan) X(cbrt)

enum { N = 300 };

static double input(int i)
{
    static const double special[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e-40, 1e30, -1e30, 1, -1, 105615.1};
    int n = sizeof special / sizeof *special;
    double u = (double)rand() / RAND_MAX * 2 - 1;
    return i < n ? special[i] : i % 3 == 0 ? u : i % 3 == 1 ? 20 * u : 1e4 * u;
}

/* In units of the last place of a type with so many bits; equal infinities and NaN are none. */
static double distance(double is, double want, int bits)
{
    if (isnan(want) || isnan(is)) return isnan(want) && isnan(is) ? 0 : INFINITY;
    if (is == want) return 0;
    int e;
    frexp(want, &e);
    return fabs(is - want) / ldexp(1, (e < -125 && bits == 24 ? -125 : e) - bits);
}

static void check_function(Kernels *k, const char *name, bool is_float, double f(double))
{
    size_t size = is_float ? 4 : 8;
    struct {
        uint64_t x, y;
        int n;
    } p = {ptx_alloc(k->device, N * size), ptx_alloc(k->device, N * size), N};
    float *x = ptx_bytes(k->device, p.x, N * size), *y = ptx_bytes(k->device, p.y, N * size);
    double *x64 = (double *)(uintptr_t)p.x, *y64 = (double *)(uintptr_t)p.y;
    srand(5);
    for (int i = 0; i < N; i++)
        if (is_float)
            x[i] = (float)input(i);
        else
            x64[i] = input(i);
    PtxLaunch l = {ptx_find(k->module, format(&k->c, "k_%s", name)), {3, 1, 1}, {128, 1, 1}, 0, &p};
    cr_assert(ptx_launch(k->device, &l), "%s", ptx_error(k->device));
    for (int i = 0; i < N; i++) {
        double want = is_float ? (double)(float)f(x[i]) : f(x64[i]), is = is_float ? y[i] : y64[i];
        cr_expect(distance(is, want, is_float ? 24 : 53) <= 4, "%s(%.17g) is %.17g, not %.17g", name,
                  is_float ? x[i] : x64[i], is, want);
    }
    ptx_free(k->device, p.x);
    ptx_free(k->device, p.y);
}

#define NAMED_FLOAT(f) "X(" #f ", float) "
#define NAMED_DOUBLE(f) "X(" #f ", double) "
#define FUNCTIONS "#define FUNCTIONS(X) " FLOATS(NAMED_FLOAT) DOUBLES(NAMED_DOUBLE)

static double by_double(float f(float), double x) { return (double)f((float)x); }
#define WRAP(f) \
    static double double_##f(double x) { return by_double(f, x); }
FLOATS(WRAP)

Test(kernels, math)
{
    for (unsigned arch = 80; arch <= 90; arch += 10) {
        Kernels k;
        compile(&k, "math.cu", FUNCTIONS, arch);
#define CHECK_FLOAT(f) check_function(&k, #f, true, double_##f);
#define CHECK_DOUBLE(f) check_function(&k, #f, false, f);
        FLOATS(CHECK_FLOAT)
        DOUBLES(CHECK_DOUBLE)
        end(&k);
    }
}

/* ---- A struct as the parameter, local arrays, a call ---- */
typedef struct Polynomial {
    uint64_t x, y;
    int64_t n, strides[4];
    int32_t steps, unused;
} Polynomial;

Test(kernels, polynomial)
{
    Kernels k;
    compile(&k, "math.cu", FUNCTIONS, 80);
    Polynomial p = {ptx_alloc(k.device, N * 4), ptx_alloc(k.device, N * 4), N, {1, 2, 4, 8}, 6, 0};
    float *x = ptx_bytes(k.device, p.x, N * 4), *y = ptx_bytes(k.device, p.y, N * 4);
    for (int i = 0; i < N; i++) x[i] = (float)(i % 7) / 4;
    PtxLaunch l = {ptx_find(k.module, "polynomial"), {2, 1, 1}, {64, 1, 1}, 0, &p};
    cr_assert(ptx_params_size(l.function) == sizeof p);
    cr_assert(ptx_launch(k.device, &l), "%s", ptx_error(k.device));
    for (int i = 0; i < N; i++) {
        float want = 0;
        for (int c = 5; c >= 0; c--) want = fmaf(want, x[i], (float)(c + 1) / (float)p.strides[c & 3]);
        cr_assert(y[i] == (i % 3 ? want : (float)(i / 2)), "%d: %g", i, y[i]);
    }
    end(&k);
}

CRITERION_MAIN int main(int argc, char **argv)
{
    Compilation c;
    const char *lacks = NULL;
    compilation_init(&c);
    if (setjmp(c.escape)) return puts(c.fatal), 1;
    nvrtc_open(&c, &lacks);
    int result = criterion_main(argc, argv, lacks);
    compilation_free(&c);
    return result;
}
