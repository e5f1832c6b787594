/* Variants made as the program runs: a library whose features are open gets tensor cores for those of a call,
 * where NVRTC is there; else its general kernel runs. Results are those of a plain loop. */
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

enum { N = 70, MOST_D = 48 };
static AttnError error;
#define OK(call) cr_assert_eq(call, ATTN_OK, "%s", error.text)

/* `use`d text is embedded, too: it is gone when the variant is made. */
static const char used[] = "mask near(i, j, w) = 0 <= i - j < w\n";
static const char source[] = "use \"near.attn\"\n"
                             "pattern window(w: int)\n"
                             "    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]\n"
                             "    example i = 5, j = 5, d = 3, e = 3, w = 2\n"
                             "{\n"
                             "    o = sum[j](softmax[j](sum[d](q * k) where near(i, j, w)) * v)\n"
                             "}\n";

typedef struct Run {
    Device device;
    AttnLibrary *library;
    char folder[64], log[96];
} Run;

typedef struct Call {
    Run *run;
    int d;
    _Float16 q[N][MOST_D], k[N][MOST_D], v[N][MOST_D], o[N][MOST_D];
    CuPointer on[4];
    AttnBinding *b;
    bool good;
} Call;

static void save(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && !fclose(file));
}

static Run *start(void)
{
    Run *r = calloc(1, sizeof *r);
    char path[96];
    cr_assert(device_open(&r->device, &error), "%s", error.text);
    strcpy(r->folder, "/tmp/attnc-special-XXXXXX");
    cr_assert(mkdtemp(r->folder));
    setenv("XDG_CACHE_HOME", r->folder, 1);
    setenv("ATTN_SPECIALISE", "1", 1);
    snprintf(r->log, sizeof r->log, "%s/log", r->folder);
    setenv("ATTN_PTX_LOG", r->log, 1);
    snprintf(path, sizeof path, "%s/near.attn", r->folder);
    save(path, used);
    snprintf(path, sizeof path, "%s/window.attn", r->folder);
    AttnCompileOptions options = {
        .target = "cuda:compute_80", .real = "f16", .definitions = (const char *[]){"w=20", NULL}};
    OK(attn_compile_string(source, path, &options, &r->library, &error));
    snprintf(path, sizeof path, "%s/near.attn", r->folder);
    unlink(path);
    return r;
}

static void end(Run *r)
{
    char command[128];
    attn_close(r->library);
    device_close(&r->device);
    snprintf(command, sizeof command, "rm -r %s", r->folder);
    cr_assert(!system(command));
    free(r);
}

/* ---- a call ---- */

static _Float16 input(int number, int i, int d)
{
    return (_Float16)((float)((number * 31 + i * 17 + d * 7) % 23) / 11 - 1);
}

static bool bind(Call *x, const char *name, int which, AttnError *own)
{
    DLTensor t = {(void *)(uintptr_t)x->on[which],
                  {kDLCUDA, 0},
                  4,
                  {kDLFloat, 16, 1},
                  (int64_t[]){1, 1, N, x->d},
                  (int64_t[]){1, 1, MOST_D, 1},
                  0};
    return !attn_bind(x->b, name, &t, own);
}

static bool make(Call *x, AttnError *own)
{
    const Device *device = &x->run->device;
    for (int i = 0; i < N; i++)
        for (int d = 0; d < x->d; d++)
            x->q[i][d] = input(1, i, d), x->k[i][d] = input(2, i, d), x->v[i][d] = input(3, i, d);
    return device_put(device, &x->on[0], x->q, sizeof x->q, own) &&
           device_put(device, &x->on[1], x->k, sizeof x->k, own) &&
           device_put(device, &x->on[2], x->v, sizeof x->v, own) &&
           device_put(device, &x->on[3], x->o, sizeof x->o, own) &&
           !attn_binding_new(x->run->library, NULL, &x->b, own) && bind(x, "q", 0, own) &&
           bind(x, "k", 1, own) && bind(x, "v", 2, own) && bind(x, "o", 3, own);
}

static bool is_right(const Call *x)
{
    for (int i = 0; i < N; i++) {
        double weight[N] = {0}, sum = 0;
        for (int j = i < 20 ? 0 : i - 19; j <= i; j++) {
            double score = 0;
            for (int d = 0; d < x->d; d++) score += (double)x->q[i][d] * (double)x->k[j][d];
            sum += weight[j] = exp(score);
        }
        for (int d = 0; d < x->d; d++) {
            double want = 0;
            for (int j = 0; j <= i; j++) want += weight[j] / sum * (double)x->v[j][d];
            if (!(fabs(want - (double)x->o[i][d]) < 4e-3)) return false;
        }
    }
    return true;
}

static void drop(Call *x)
{
    attn_binding_free(x->b);
    for (int k = 0; k < 4; k++) device_free(&x->run->device, x->on[k]);
}

static void *call(void *data)
{
    Call *x = data;
    AttnError own;
    bool pushed;
    const RtDriver *d = &x->run->device.driver;
    if (rt_driver_enter(d, x->run->device.context, &pushed, &own)) return NULL;
    x->good = make(x, &own) && !attn_run(x->b, NULL, &own) && !attn_status(x->b, NULL, &own) &&
              device_get(&x->run->device, x->o, x->on[3], sizeof x->o, &own) && is_right(x);
    if (!x->good) fprintf(stderr, "d = %d: %s\n", x->d, own.text);
    drop(x);
    rt_driver_leave(d, pushed);
    return NULL;
}

static bool works(Run *r, int d)
{
    Call *x = calloc(1, sizeof *x);
    *x = (Call){.run = r, .d = d};
    call(x);
    bool good = x->good;
    free(x);
    return good;
}

/* ---- what ran ---- */

/* Launches with, and without tensor cores, since the last question; -1: another driver than the
 * interpreter's. */
static void count(const Run *r, int *with, int *without)
{
    char line[4096];
    FILE *file = fopen(r->log, "r");
    *with = *without = file ? 0 : -1;
    while (file && fgets(line, sizeof line, file)) {
        const char *mma = strstr(line, "\"mma_flops\": ");
        cr_assert(mma);
        *(atof(mma + strlen("\"mma_flops\": ")) > 0 ? with : without) += 1;
    }
    if (file) fclose(file);
    unlink(r->log);
}

static void expect(const Run *r, int with, int without)
{
    int got[2];
    count(r, &got[0], &got[1]);
    if (got[0] < 0) return;
    cr_assert(got[0] == with && got[1] == without, "%d launches on tensor cores, %d others", got[0], got[1]);
}

Test(special, extents)
{
    Run *r = start();
    cr_assert(works(r, 32));
    expect(r, 1, 0);
    cr_assert(works(r, 20)); /* others: one more */
    cr_assert(works(r, 32)); /* there already */
    expect(r, 2, 0);
    setenv("ATTN_SPECIALISE", "0", 1);
    cr_assert(works(r, 32));
    expect(r, 0, 1);
    end(r);
}

/* Without NVRTC, or without the compiler: known extents from the cache or memory, others by the general
 * kernel. */
Test(special, nothing_to_compile_with)
{
    Run *r = start();
    const char *jit = getenv("ATTN_JIT");
    char *before = jit ? strdup(jit) : NULL;
    setenv("ATTN_NVRTC", "/nowhere", 1);
    cr_assert_null(attn_library_desc(r->library).general);
    cr_assert(works(r, 32));
    expect(r, 0, 1);
    const char *why = attn_library_desc(r->library).general;
    cr_assert(why && strstr(why, "d=32 e=32") && strstr(why, "/nowhere"), "%s", why ? why : "nothing is told");
    setenv("ATTN_JIT", "/nowhere", 1);
    cr_assert(works(r, 48));
    expect(r, 0, 1);
    if (before) setenv("ATTN_JIT", before, 1);
    free(before);
    end(r);
}

Test(special, threads)
{
    Run *r = start();
    Call *calls = calloc(4, sizeof *calls);
    pthread_t threads[4];
    for (int k = 0; k < 4; k++) {
        calls[k] = (Call){.run = r, .d = 16 + 16 * (k % 2)};
        pthread_create(&threads[k], NULL, call, &calls[k]);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(threads[k], NULL);
        cr_assert(calls[k].good, "thread %d", k);
    }
    free(calls);
    expect(r, 4, 0);
    end(r);
}

CRITERION_MAIN int main(int argc, char **argv)
{
    const char *own = getenv("ATTN_CUDA_PTX");
    if (own && access("/dev/nvidiactl", F_OK) && access("/dev/dxg", F_OK)) setenv("ATTN_CUDA_DRIVER", own, 0);
    return criterion_main(argc, argv, device_usable(&error) ? NULL : error.text);
}
