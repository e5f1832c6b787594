/* Device code with a driver that runs nothing (fake_driver.h): which image and context, what kernels are
 * handed, memory, errors of everything that can fail. */
#include "fake.h"
#include "fake_driver.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static AttnError error;
static FakeDriver *driver;
enum { NB = 2, NI = 3, NPAGE = 4, WORDS = 27 };
static float x[NB][NPAGE], o[NB][NI];
static int64_t table[NI];

static FakeDriver *open_driver(const char *flags)
{
    const char *path = fake_build("fake_driver", flags);
    setenv("ATTN_CUDA_DRIVER", path, 1);
    void *handle = dlopen(path, RTLD_NOW);
    cr_assert(handle, "%s", dlerror());
    return dlsym(handle, "fake_driver");
}

static void set_up(void) { driver = open_driver(""); }

static AttnLibrary *open_module(void)
{
    AttnLibrary *library = NULL;
    OK(attn_open(fake_build("fake_cuda_module", ""), &library, &error));
    return library;
}

static void on_device(Fake *f, int type, int number) { f->t.device = (DLDevice){(DLDeviceType)type, number}; }

static void bind_on(AttnBinding *b, int number)
{
    Fake fx, ft, fo;
    FAKE(&fx, x, kDLFloat, 32, NB, NPAGE);
    FAKE(&ft, table, kDLInt, 64, NI);
    FAKE(&fo, o, kDLFloat, 32, NB, NI);
    on_device(&fx, kDLCUDA, number);
    on_device(&ft, kDLCUDAManaged, number);
    on_device(&fo, kDLCUDA, number);
    OK(attn_bind(b, "x", &fx.t, &error));
    OK(attn_bind(b, "table", &ft.t, &error));
    OK(attn_bind(b, "o", &fo.t, &error));
}

static AttnBinding *bound(AttnLibrary *l, const char *pattern)
{
    AttnBinding *b;
    OK(attn_binding_new(l, pattern, &b, &error));
    bind_on(b, 0);
    OK(attn_set_float(b, "scale", 0.5, &error));
    return b;
}

typedef struct Device {
    AttnLibrary *library;
    AttnBinding *b;
} Device;

static Device start(void)
{
    Device s = {open_module(), NULL};
    s.b = bound(s.library, "pick");
    return s;
}

/* Nothing is left on the device. */
static void end(Device s)
{
    attn_binding_free(s.b);
    attn_close(s.library);
    cr_assert_eq(driver->memory, 0, "%d pieces of memory", driver->memory);
    cr_assert_eq(driver->modules, 0);
    cr_assert_eq(driver->retained, 0);
    cr_assert_eq(driver->depth, 0);
}

Test(cuda, description, .init = set_up)
{
    Device s = start();
    cr_assert_eq(attn_binding_pattern(s.b)->device, kDLCUDA);
    AttnLibrary *host = fake_open();
    cr_assert_eq(attn_pattern_at(host, 0)->device, kDLCPU);
    attn_close(host);
    cr_assert_eq(driver->calls, 0, "nothing has been asked to run");
    end(s);
}

/* Every word of the parameter, in the order of runtime/abi.h. */
Test(cuda, parameter, .init = set_up)
{
    Device s = start();
    OK(attn_run(s.b, NULL, &error));
    cr_assert_eq(driver->n_launches, 3);
    cr_assert_eq(driver->waits, 0);
    double half = 0.5;
    int64_t scale, expected[WORDS] = {(int64_t)(intptr_t)x,
                                      1,
                                      ATTN_F32,
                                      NPAGE,
                                      1, //
                                      (int64_t)(intptr_t)table,
                                      1,
                                      ATTN_I64,
                                      1, //
                                      0,
                                      1,
                                      0,
                                      0, /* not bound */
                                      (int64_t)(intptr_t)o,
                                      1,
                                      ATTN_F32,
                                      NI,
                                      1, //
                                      NB,
                                      NI,
                                      NPAGE};
    memcpy(&scale, &half, sizeof scale);
    expected[21] = scale, expected[22] = 5;
    static const struct {
        const char *kernel;
        unsigned grid, threads, shared;
        int64_t tasks;
    } phases[] = {
        {"check", 1, 128, 0, NI}, {"main", NB * NI, 64, 60000, NB * NI}, {"last", 24, 32, 16, 1000 * NB}};
    for (int i = 0; i < 3; i++) {
        const FakeLaunch *l = &driver->launches[i];
        cr_assert_str_eq(l->kernel, phases[i].kernel);
        cr_assert_eq(l->grid, phases[i].grid, "%s: %u blocks", l->kernel, l->grid);
        cr_assert_eq(l->threads, phases[i].threads);
        cr_assert_eq(l->shared, phases[i].shared);
        cr_assert_eq(l->stream, NULL);
        cr_assert_eq(memcmp(l->words, expected, 23 * sizeof *expected), 0, "%s", l->kernel);
        cr_assert_eq(l->words[24] - l->words[23], 64, "scratch behind %d bytes of workspace", NI * 8);
        cr_assert_eq(l->words[26], phases[i].tasks);
    }
    OK(attn_status(s.b, NULL, &error));
    cr_assert_eq(driver->waits, 1);
    end(s);
}

/* ---- which image ---- */

typedef struct Choice {
    int capability;
    const char *refuse, *image;
} Choice;

static void choose(Choice c)
{
    Device s = start();
    driver->capability = c.capability;
    driver->refuse = c.refuse;
    driver->n_launches = 0;
    OK(attn_run(s.b, NULL, &error));
    cr_assert(strncmp(driver->launches[0].image, c.image, strlen(c.image)) == 0, "sm_%d: %s", c.capability,
              driver->launches[0].image);
    end(s);
}

Test(cuda, images, .init = set_up)
{
    static const Choice choices[] = {{75, NULL, "cubin 75"},  {80, NULL, "cubin 80"}, {86, NULL, "cubin 86"},
                                     {89, NULL, "cubin 86"},  {90, NULL, "cubin 90"}, {120, NULL, "ptx 80"},
                                     {80, "cubin", "ptx 80"}, {75, "cubin", "ptx 75"}};
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) choose(choices[i]);
    Device s = start();
    driver->capability = 70;
    EXPECT(DEVICE, &error, "Fake 1000 is sm_70", attn_run(s.b, NULL, &error));
    cr_assert(
        strstr(error.text, "pick: compiled for sm_75, sm_80, sm_86, sm_90, PTX of sm_75, PTX of sm_80;"));
    driver->capability = 80;
    driver->refuse = "";
    EXPECT(DEVICE, &error, "line 1: not this one", attn_run(s.b, NULL, &error));
    cr_assert(strstr(error.text, "pick: loading the code for sm_80 (cuModuleLoadDataEx) failed: "
                                 "CUDA_ERROR_FAKE (209): as the test asked"));
    end(s);
}

Test(cuda, code_that_does_not_fit, .init = set_up)
{
    Device s = {open_module(), NULL};
    s.b = bound(s.library, "lame");
    EXPECT(DEVICE, &error, "cuModuleGetFunction failed", attn_run(s.b, NULL, &error));
    attn_binding_free(s.b);
    OK(attn_binding_new(s.library, "greedy", &s.b, &error));
    bind_on(s.b, 0);
    EXPECT(DEVICE, &error, "cuFuncSetAttribute failed", attn_run(s.b, NULL, &error));
    attn_binding_free(s.b);
    OK(attn_binding_new(s.library, "wide", &s.b, &error));
    OK(attn_set_extent(s.b, "b", 1, &error));
    OK(attn_set_extent(s.b, "i", 1, &error));
    OK(attn_set_extent(s.b, "page", 1, &error));
    EXPECT(DEVICE, &error, "its 130 tensors take 4216 bytes of a kernel's parameter, which holds 4096",
           attn_run(s.b, NULL, &error));
    end(s);
}

/* ---- loaded once for each context ---- */

Test(cuda, contexts, .init = set_up)
{
    Device s = start();
    AttnBinding *other = bound(s.library, "pick");
    OK(attn_run(s.b, NULL, &error)); /* none is current: the primary one of device 0 */
    OK(attn_run(other, NULL, &error));
    cr_assert_eq(driver->modules, 1);
    cr_assert_eq(driver->retained, 1);
    cr_assert_eq(driver->launches[5].context, &driver->contexts[0]);
    driver->current = &driver->contexts[1]; /* the current one, which is of the same device */
    driver->n_launches = 0;
    OK(attn_run(other, NULL, &error));
    cr_assert_eq(driver->launches[0].context, &driver->contexts[1]);
    cr_assert_eq(driver->modules, 2);
    bind_on(other, 1); /* not the current one */
    OK(attn_run(other, NULL, &error));
    cr_assert_eq(driver->launches[3].context, &driver->contexts[2]);
    cr_assert_eq(driver->retained, 2);
    cr_assert_eq(driver->current, &driver->contexts[1]);
    void *stream = &driver->contexts[3]; /* that of the stream */
    OK(attn_run(other, &(AttnRunOptions){.stream = stream}, &error));
    cr_assert_eq(driver->launches[6].context, stream);
    cr_assert_eq(driver->launches[6].stream, stream);
    OK(attn_status(other, stream, &error));
    EXPECT(USAGE, &error, "the stream belongs to another device than the tensors, which lie on device 0",
           attn_run(s.b, &(AttnRunOptions){.stream = stream}, &error));
    OK(attn_run(s.b, &(AttnRunOptions){.stream = (void *)(intptr_t)2}, &error)); /* CU_STREAM_PER_THREAD */
    attn_binding_free(other);
    end(s);
}

static void *run_many(void *library)
{
    AttnBinding *b = NULL;
    bool good = !attn_binding_new(library, "pick", &b, NULL) && !attn_set_float(b, "scale", 1, NULL);
    if (good) bind_on(b, 0);
    for (int i = 0; i < 100 && good; i++) {
        size_t bytes;
        good = !attn_workspace(b, NULL, &bytes, NULL);
    }
    attn_binding_free(b);
    return good ? library : NULL;
}

/* The driver's bookkeeping is not made for threads, but all that we ask of it happens behind one lock. */
Test(cuda, threads_load_once, .init = set_up)
{
    AttnLibrary *l = open_module();
    driver->current = &driver->contexts[0];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, run_many, l);
    for (int i = 0; i < 4; i++) {
        void *good;
        pthread_join(threads[i], &good);
        cr_assert(good);
    }
    cr_assert_eq(driver->modules, 1);
    end((Device){l, NULL});
}

/* ---- memory ---- */

static int occurrences(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

Test(cuda, memory_of_the_stream, .init = set_up)
{
    Device s = start();
    for (int i = 0; i < 3; i++) OK(attn_run(s.b, NULL, &error));
    cr_assert_eq(occurrences(driver->log, "cuMemAllocAsync "), 3);
    cr_assert_eq(occurrences(driver->log, "cuMemFreeAsync "), 3);
    cr_assert_eq(driver->memory, 1, "the status word alone stays");
    end(s);
}

Test(cuda, memory_kept, .init = set_up)
{
    driver->pools = 0;
    Device s = start();
    for (int i = 0; i < 3; i++) OK(attn_run(s.b, NULL, &error));
    cr_assert_eq(occurrences(driver->log, "cuMemAlloc "), 2, "workspace and status");
    cr_assert_eq(driver->memory, 2);
    driver->current = &driver->contexts[1]; /* of no use there */
    OK(attn_run(s.b, NULL, &error));
    cr_assert_eq(driver->memory, 2);
    end(s);
}

/* With the caller's workspace: one memset, launches, and what asks for the context. */
Test(cuda, workspace, .init = set_up)
{
    static _Alignas(64) char memory[1 << 20];
    Device s = start();
    driver->current = &driver->contexts[0];
    size_t bytes;
    OK(attn_workspace(s.b, NULL, &bytes, &error));
    cr_assert_eq(bytes, 64 + 64 + 24 * 32 * 48);
    AttnRunOptions options = {.workspace = memory, .workspace_bytes = bytes - 1};
    EXPECT(USAGE, &error, "are needed", attn_run(s.b, &options, &error));
    options.workspace_bytes = bytes;
    *driver->log = 0;
    OK(attn_run(s.b, &options, &error));
    cr_assert_str_eq(driver->log,
                     "cuCtxGetCurrent cuDeviceGet cuCtxGetCurrent cuCtxGetDevice cuCtxGetCurrent "
                     "cuMemsetD32Async cuLaunchKernel cuLaunchKernel cuLaunchKernel ");
    cr_assert_eq(driver->memory, 0);
    cr_assert_eq(driver->launches[0].words[25], (int64_t)(intptr_t)memory);
    cr_assert_eq(driver->launches[0].words[23], (int64_t)(intptr_t)memory + 64);
    memory[0] = 3; /* a replay of a captured run failed */
    EXPECT(DATA, &error, "a value is outside page: int in 0..most: most = 5", attn_status(s.b, NULL, &error));
    end(s);
}

Test(cuda, the_callers_allocator, .init = set_up)
{
    Device s = start();
    AttnRunOptions options = {.workspace = (void *)(intptr_t)8};
    EXPECT(USAGE, &error, "aligned", attn_run(s.b, &options, &error));
    options = (AttnRunOptions){.stream = &options};
    AttnLibrary *host = fake_open();
    AttnBinding *b;
    OK(attn_binding_new(host, "busy", &b, &error));
    EXPECT(USAGE, &error, "a stream is for code of CUDA devices", attn_run(b, &options, &error));
    OK(attn_status(b, NULL, &error));
    attn_binding_free(b);
    attn_close(host);
    end(s);
}

Test(cuda, too_large, .init = set_up)
{
    Device s = {open_module(), NULL};
    OK(attn_binding_new(s.library, "large", &s.b, &error));
    bind_on(s.b, 0);
    EXPECT(MEMORY, &error, "large: out of memory (6442451008 bytes of workspace)",
           attn_run(s.b, NULL, &error));
    driver->pools = 0;
    EXPECT(MEMORY, &error, "out of memory", attn_run(s.b, NULL, &error));
    OK(attn_set_extent(s.b, "i", -1, &error));
    OK(attn_bind(s.b, "table", NULL, &error));
    OK(attn_bind(s.b, "o", NULL, &error));
    OK(attn_set_extent(s.b, "i", INT64_C(1) << 32, &error));
    size_t bytes;
    EXPECT(MEMORY, &error, "larger than the address space", attn_workspace(s.b, NULL, &bytes, &error));
    end(s);
}

/* ---- what the status word says ---- */

Test(cuda, data, .init = set_up)
{
    Device s = start();
    EXPECT(USAGE, &error, "pick: attn_status: the binding has not run yet", attn_status(s.b, NULL, &error));
    driver->set_status = 2;
    table[1] = 9;
    OK(attn_run(s.b, NULL, &error));
    EXPECT(DATA, &error, "pick: table[1] = 9 is outside 0..size(page) = 0..4",
           attn_status(s.b, NULL, &error));
    table[1] = 0; /* changed since */
    EXPECT(DATA, &error, "pick: a value of table is outside its range: 0..size(page)",
           attn_status(s.b, NULL, &error));
    OK(attn_run(s.b, &(AttnRunOptions){.data_checked = 1}, &error));
    OK(attn_status(s.b, NULL, &error));
    driver->set_status = 3;
    OK(attn_run(s.b, NULL, &error));
    OK(attn_bind(s.b, "table", NULL, &error)); /* for the next run */
    EXPECT(DATA, &error, "pick: a value is outside page: int in 0..most: most = 5 (fake.attn:9:3)",
           attn_status(s.b, NULL, &error));
    driver->set_status = 4;
    bind_on(s.b, 0);
    OK(attn_run(s.b, NULL, &error));
    EXPECT(DATA, &error, "unknown failure 4", attn_status(s.b, NULL, &error));
    end(s);
}

Test(cuda, phases_without_tasks, .init = set_up)
{
    Device s = start();
    Fake fx, fo;
    FAKE(&fx, x, kDLFloat, 32, 0, NPAGE);
    FAKE(&fo, o, kDLFloat, 32, 0, NI);
    on_device(&fx, kDLCUDA, 0);
    on_device(&fo, kDLCUDA, 0);
    OK(attn_bind(s.b, "x", &fx.t, &error));
    OK(attn_bind(s.b, "o", &fo.t, &error));
    OK(attn_run(s.b, NULL, &error));
    cr_assert_eq(driver->n_launches, 1, "the check of the table");
    end(s);
}

/* ---- what does not go together ---- */

Test(cuda, places, .init = set_up)
{
    Device s = start();
    Fake f;
    FAKE(&f, x, kDLFloat, 32, NB, NPAGE);
    EXPECT(TYPE, &error, "pick: x lies in the host's memory; this code runs on a CUDA device's",
           attn_bind(s.b, "x", &f.t, &error));
    EXPECT(TYPE, &error, "x lies in the host's memory",
           attn_bind_dense(s.b, "x", x, 2, (int64_t[]){NB, NPAGE}, &error));
    on_device(&f, kDLROCM, 0);
    EXPECT(TYPE, &error, "x lies on another device (DLPack type 10, number 0)",
           attn_bind(s.b, "x", &f.t, &error));
    on_device(&f, kDLCUDA, 1);
    OK(attn_bind(s.b, "x", &f.t, &error));
    EXPECT(TYPE, &error, "x lies on CUDA device 1, but table on device 0", attn_run(s.b, NULL, &error));
    AttnLibrary *host = fake_open();
    AttnBinding *b;
    OK(attn_binding_new(host, "sums", &b, &error));
    EXPECT(TYPE, &error, "x lies on a device (DLPack type 2); this code runs on the host's memory",
           attn_bind(b, "x", &f.t, &error));
    attn_binding_free(b);
    attn_close(host);
    end(s);
}

Test(cuda, no_driver)
{
    setenv("ATTN_CUDA_DRIVER", "/nowhere/libcuda.so.1", 1);
    Device s = start();
    size_t bytes;
    OK(attn_prepare(s.b, &error));
    EXPECT(DEVICE, &error, "cannot open the CUDA driver (libcuda.so.1, or what $ATTN_CUDA_DRIVER names): ",
           attn_run(s.b, NULL, &error));
    cr_assert(strstr(error.text, "/nowhere/libcuda.so.1"));
    EXPECT(DEVICE, &error, "/nowhere/libcuda.so.1", attn_workspace(s.b, NULL, &bytes, &error));
    attn_binding_free(s.b);
    attn_close(s.library);
}

Test(cuda, old_driver)
{
    open_driver("-DFAKE_OLD");
    Device s = start();
    EXPECT(DEVICE, &error, "is too old: it has no cuMemcpyDtoH_v2", attn_run(s.b, NULL, &error));
    attn_binding_free(s.b);
    attn_close(s.library);
}

/* ---- every call of the driver fails once ---- */

static AttnStatus scenario(void)
{
    AttnLibrary *l = open_module();
    AttnBinding *b = bound(l, "pick");
    size_t bytes;
    AttnStatus status = attn_workspace(b, NULL, &bytes, &error);
    if (!status) status = attn_run(b, NULL, &error);
    if (!status) status = attn_status(b, NULL, &error);
    attn_binding_free(b);
    attn_close(l);
    return status;
}

/* Calls whose failure changes nothing: what is given back is given back, PTX replaces a cubin, and a driver
 * that cannot tell about pools has none. */
static bool harmless(const char *function, int call)
{
    static const char *const list[] = {"cuCtxPopCurrent",          "cuCtxPushCurrent", "cuMemFree",
                                       "cuModuleUnload",           "cuCtxGetCurrent",  "cuModuleLoadDataEx",
                                       "cuDevicePrimaryCtxRelease"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(function, list[i]) == 0) return true;
    return strcmp(function, "cuDeviceGetAttribute") == 0 && call > 10;
}

static void fail_each(int result, AttnStatus want, int least)
{
    for (int n = 1;; n++) {
        memset(driver, 0, offsetof(FakeDriver, set_status));
        driver->fail_at = n;
        driver->fail_with = result;
        driver->capability = 86;
        driver->pools = n % 2;
        driver->calls = 0;
        driver->failed = NULL;
        driver->n_launches = 0;
        AttnStatus status = scenario();
        if (!driver->failed) {
            cr_assert_geq(n, least);
            return;
        }
        if (status || !harmless(driver->failed, n)) {
            cr_assert_eq(status, want, "call %d, %s: %s", n, driver->failed, attn_status_text(status));
            cr_assert(strstr(error.text, driver->failed) || strstr(error.text, "bytes of workspace"),
                      "call %d, %s: %s", n, driver->failed, error.text);
        }
        if (!status && strcmp(driver->failed, "cuCtxPushCurrent") == 0) { /* nothing can be given back then */
            driver->memory = driver->modules = 0;
            continue;
        }
        cr_assert_eq(driver->modules, 0, "call %d, %s", n, driver->failed);
        cr_assert_eq(driver->retained, 0, "call %d, %s", n, driver->failed);
        cr_assert_eq(driver->depth, 0, "call %d, %s", n, driver->failed);
        cr_assert_eq(driver->memory, 0, "call %d, %s: %d", n, driver->failed, driver->memory);
    }
}

Test(cuda, every_call_fails, .init = set_up)
{
    fail_each(999, ATTN_STATUS_DEVICE, 40);
    fail_each(2, ATTN_STATUS_MEMORY, 40);
}
