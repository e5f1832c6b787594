/* libattn with real kernels on a device (the interpreter's, unless there is another): results, streams and
 * threads, what a run waits for and allocates, data out of range, kernels that fault. */
#include "compiler/command/device.h"
#include "criterion_main.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two phases beside the check of the data: a sum along rows, what is gathered of it. */
static const char source[] = "pattern gathered(scale: float)\n"
                             "    x[i, d] -> o[n]\n"
                             "    with table: int[n] in 0..size(i)\n"
                             "    example i = 5, d = 3, n = 4, table = integers(0, 5), scale = 2\n"
                             "{\n"
                             "    s[i] = s[i - 1] + sum[d](x)\n"
                             "    o = scale * s[table]\n"
                             "}\n";
enum { I = 37, D = 5, N = 300 };

typedef struct Run {
    Device device;
    AttnLibrary *library;
    AttnBinding *b;
    CuPointer x, table, o;
    float host_x[I][D], host_o[N];
    int32_t host_table[N];
} Run;
static AttnError error;
#define OK(call) cr_assert_eq(call, ATTN_OK, "%s", error.text)

static uint64_t (*calls)(const char *what); /* of the interpreter's driver; NULL: another */

static void choose_driver(void)
{
    const char *own = getenv("ATTN_CUDA_PTX");
    bool other = access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
    if (own && !other) setenv("ATTN_CUDA_DRIVER", own, 0);
}

static void bind(Run *r, AttnBinding *b, CuPointer o)
{
    DLTensor x = {(void *)(uintptr_t)r->x, {kDLCUDA, 0}, 2, {kDLFloat, 32, 1}, (int64_t[]){I, D}, NULL, 0};
    DLTensor table = {(void *)(uintptr_t)r->table, {kDLCUDA, 0}, 1, {kDLInt, 32, 1}, (int64_t[]){N}, NULL, 0};
    DLTensor out = {(void *)(uintptr_t)o, {kDLCUDA, 0}, 1, {kDLFloat, 32, 1}, (int64_t[]){N}, NULL, 0};
    OK(attn_bind(b, "x", &x, &error));
    OK(attn_bind(b, "table", &table, &error));
    OK(attn_bind(b, "o", &out, &error));
    OK(attn_set_float(b, "scale", 0.5, &error));
}

static Run *start(void)
{
    Run *r = calloc(1, sizeof *r);
    cr_assert(device_open(&r->device, &error), "%s", error.text);
    void *driver = dlsym(r->device.driver.handle, "ptxCalls");
    memcpy(&calls, &driver, sizeof driver);
    for (int k = 0; k < I * D; k++) r->host_x[k / D][k % D] = (float)(k * 7 % 11) - 5;
    for (int k = 0; k < N; k++) r->host_table[k] = k * 13 % I;
    cr_assert(device_put(&r->device, &r->x, r->host_x, sizeof r->host_x, &error));
    cr_assert(device_put(&r->device, &r->table, r->host_table, sizeof r->host_table, &error));
    cr_assert(device_put(&r->device, &r->o, r->host_o, sizeof r->host_o, &error));
    AttnCompileOptions options = {.target = "cuda:compute_80"};
    OK(attn_compile_string(source, NULL, &options, &r->library, &error));
    OK(attn_binding_new(r->library, NULL, &r->b, &error));
    bind(r, r->b, r->o);
    return r;
}

static void end(Run *r)
{
    attn_binding_free(r->b);
    attn_close(r->library);
    device_free(&r->device, r->x);
    device_free(&r->device, r->table);
    device_free(&r->device, r->o);
    device_close(&r->device);
    free(r);
}

static bool correct(const Run *r, CuPointer o)
{
    float sums[I], got[N], sum = 0;
    for (int i = 0; i < I; i++) {
        for (int d = 0; d < D; d++) sum += r->host_x[i][d];
        sums[i] = sum;
    }
    if (!device_get(&r->device, got, o, sizeof got, &error)) return false;
    for (int k = 0; k < N; k++)
        if (got[k] != 0.5f * sums[r->host_table[k]]) return false;
    return true;
}

static void put_table(Run *r, int at, int32_t value)
{
    CuPointer place = r->table + sizeof value * (size_t)at;
    cr_assert_eq(r->device.driver.cuMemcpyHtoD(place, &value, sizeof value), 0);
}

Test(gpu_run, results)
{
    Run *r = start();
    for (int k = 0; k < 3; k++) {
        OK(attn_run(r->b, NULL, &error));
        OK(attn_status(r->b, NULL, &error));
        cr_assert(correct(r, r->o));
    }
    end(r);
}

/* With a workspace a run neither waits nor allocates nor copies, whatever came before. */
Test(gpu_run, hidden_calls)
{
    Run *r = start();
    static const char *const kinds[] = {"waits", "allocations", "copies"};
    size_t bytes;
    CuPointer workspace;
    OK(attn_workspace(r->b, NULL, &bytes, &error));
    cr_assert_eq(r->device.driver.cuMemAlloc(&workspace, bytes), 0);
    AttnRunOptions options = {.workspace = (void *)(uintptr_t)workspace, .workspace_bytes = bytes};
    for (int k = 0; k < 2; k++) {
        uint64_t before[3], launches = calls ? calls("launches") : 0;
        for (int i = 0; calls && i < 3; i++) before[i] = calls(kinds[i]);
        OK(attn_run(r->b, &options, &error));
        for (int i = 0; calls && i < 3; i++) cr_assert_eq(calls(kinds[i]), before[i], "%s", kinds[i]);
        if (calls) cr_assert_geq(calls("launches"), launches + 2);
        OK(attn_status(r->b, NULL, &error));
        cr_assert(correct(r, r->o));
    }
    device_free(&r->device, workspace);
    end(r);
}

/* A failure belongs to one run: the next begins anew. Outputs are not touched by it. */
Test(gpu_run, data)
{
    Run *r = start();
    float before[N], after[N];
    cr_assert(device_get(&r->device, before, r->o, sizeof before, &error));
    put_table(r, 290, I);
    OK(attn_run(r->b, NULL, &error));
    cr_assert_eq(attn_status(r->b, NULL, &error), ATTN_STATUS_DATA);
    cr_assert_str_eq(error.text, "gathered: table[290] = 37 is outside 0..size(i) = 0..37");
    cr_assert(device_get(&r->device, after, r->o, sizeof after, &error));
    cr_assert_eq(memcmp(before, after, sizeof before), 0);
    put_table(r, 290, r->host_table[290]);
    OK(attn_run(r->b, NULL, &error));
    OK(attn_status(r->b, NULL, &error));
    cr_assert(correct(r, r->o));
    end(r);
}

typedef struct Part {
    Run *run;
    pthread_t thread;
    bool good;
} Part;

static void *run_part(void *data)
{
    Part *part = data;
    Run *r = part->run;
    AttnBinding *b;
    AttnError own;
    CuPointer o = 0;
    bool pushed;
    const RtDriver *d = &r->device.driver;
    if (rt_driver_enter(d, r->device.context, &pushed, &own)) return NULL;
    bool good = !attn_binding_new(r->library, NULL, &b, &own) &&
                device_put(&r->device, &o, r->host_o, sizeof r->host_o, &own);
    if (good) bind(r, b, o);
    for (int k = 0; k < 5 && good; k++)
        good = !attn_run(b, NULL, &own) && !attn_status(b, NULL, &own) && correct(r, o);
    part->good = good;
    attn_binding_free(b);
    device_free(&r->device, o);
    rt_driver_leave(d, pushed);
    return NULL;
}

Test(gpu_run, threads)
{
    Run *r = start();
    Part parts[4];
    for (int k = 0; k < 4; k++) {
        parts[k] = (Part){.run = r};
        pthread_create(&parts[k].thread, NULL, run_part, &parts[k]);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(parts[k].thread, NULL);
        cr_assert(parts[k].good, "thread %d", k);
    }
    end(r);
}

/* A tensor that is smaller than it says: the interpreter finds the access, and the status says which. */
Test(gpu_run, a_fault)
{
    Run *r = start();
    if (calls) {
        CuPointer small;
        cr_assert(device_put(&r->device, &small, r->host_x, sizeof r->host_x - 4, &error));
        CuPointer whole = r->x;
        r->x = small;
        bind(r, r->b, r->o);
        AttnStatus status = attn_run(r->b, NULL, &error);
        if (!status) status = attn_status(r->b, NULL, &error);
        cr_assert_eq(status, ATTN_STATUS_DEVICE);
        cr_assert(strstr(error.text, "out of bounds"), "%s", error.text);
        device_free(&r->device, small);
        r->x = whole;
    }
    end(r);
}

CRITERION_MAIN int main(int argc, char **argv)
{
    choose_driver();
    return criterion_main(argc, argv, device_usable(&error) ? NULL : error.text);
}
