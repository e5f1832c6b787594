/* Running out of memory at every single allocation: an error, nothing lost, nothing left open. This file
 * replaces runtime/memory.c. */
#include "fake.h"
#include "runtime/internal.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static AttnError error;
static int live, until_failure; /* 0: none */
static bool failed;

static bool fails(void)
{
    bool now = until_failure > 0 && --until_failure == 0;
    failed = failed || now;
    return now;
}

void *rt_alloc(size_t count, size_t size)
{
    void *memory = fails() ? NULL : calloc(count ? count : 1, size ? size : 1);
    live += memory != NULL;
    return memory;
}

void *rt_grow(void *memory, size_t bytes)
{
    void *grown = fails() ? NULL : realloc(memory, bytes);
    live += grown && !memory;
    return grown;
}

void *rt_alloc_aligned(size_t bytes, size_t alignment)
{
    void *memory = fails() ? NULL : aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    live += memory != NULL;
    return memory;
}

void rt_free(void *memory)
{
    live -= memory != NULL;
    free(memory);
}

char *rt_copy_text(const char *text)
{
    char *copy = rt_alloc(strlen(text) + 1, 1);
    return copy ? strcpy(copy, text) : NULL;
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

/* Runs `step` with its first, second, ... allocation failing, until it needs no more. */
static void exhaust(AttnStatus (*step)(void), int least)
{
    cr_assert_eq(step(), ATTN_OK, "%s", error.text);
    int descriptors = open_descriptors(), before = live, n = 0;
    do {
        until_failure = ++n;
        failed = false;
        AttnStatus status = step();
        until_failure = 0;
        cr_assert(status == ATTN_STATUS_MEMORY || status == ATTN_OK, "allocation %d: %s", n, error.text);
        cr_assert_eq(live, before, "allocation %d", n);
        cr_assert_eq(open_descriptors(), descriptors, "allocation %d", n);
    } while (failed);
    cr_assert(n > least, "%d allocations", n);
}

static AttnStatus open_step(void)
{
    AttnLibrary *l;
    AttnStatus status = attn_open(fake_module(), &l, &error);
    if (!status)
        attn_close(l);
    return status;
}

Test(memory, opening) { exhaust(open_step, 10); }

static AttnLibrary *library;

static AttnStatus run_step(void)
{
    AttnBinding *b;
    int64_t o[5];
    AttnStatus status = attn_binding_new(library, "busy", &b, &error);
    if (status)
        return status;
    status = attn_bind_dense(b, "o", o, 1, (int64_t[]){5}, &error);
    if (!status)
        status = attn_run(b, &(AttnRunOptions){.threads = 2}, &error);
    attn_binding_free(b);
    return status;
}

Test(memory, running)
{
    library = fake_open();
    exhaust(run_step, 5);
    attn_close(library);
    cr_assert_eq(live, 0);
}

/* On a device: the module is loaded anew in every step. */
static AttnStatus device_step(void)
{
    AttnLibrary *l;
    AttnBinding *b = NULL;
    static float x[1];
    AttnStatus status = attn_open(fake_build("fake_cuda_module", ""), &l, &error);
    if (status)
        return status;
    status = attn_binding_new(l, "large", &b, &error);
    Fake f;
    FAKE(&f, x, kDLFloat, 32, 1, 1);
    f.t.device.device_type = kDLCUDA;
    for (const char *const *name = (const char *const[]){"b", "i", "page", NULL}; *name && !status; name++)
        status = attn_set_extent(b, *name, 1, &error);
    size_t bytes;
    if (!status)
        status = attn_bind(b, "x", &f.t, &error);
    if (!status)
        status = attn_workspace(b, NULL, &bytes, &error);
    attn_binding_free(b);
    attn_close(l);
    return status;
}

Test(memory, on_a_device)
{
    setenv("ATTN_CUDA_DRIVER", fake_build("fake_driver", ""), 1);
    exhaust(device_step, 15);
}

static bool cold;
static unsigned round_number;

static AttnStatus compile_step(void)
{
    AttnLibrary *l;
    char text[32];
    snprintf(text, sizeof text, "text %u", cold ? round_number++ : 0);
    AttnStatus status = attn_compile_string(text, NULL, NULL, &l, &error);
    if (!status)
        attn_close(l);
    return status;
}

static void set_up(void)
{
    static char log_path[600];
    snprintf(log_path, sizeof log_path, "%s/log", fake_folder());
    setenv("FAKE_LOG", log_path, 1);
    *strrchr(log_path, '/') = 0;
    setenv("XDG_CACHE_HOME", log_path, 1);
    setenv("FAKE_MODULE", fake_module(), 1);
    setenv("ATTN_JIT", fake_build("fake_jit", ""), 1);
}

Test(memory, compiling, .init = set_up)
{
    cold = true;
    exhaust(compile_step, 15);
}

Test(memory, from_the_cache, .init = set_up) { exhaust(compile_step, 15); }

Test(memory, compiling_without_a_cache, .init = set_up)
{
    setenv("ATTN_CACHE_SIZE", "0", 1);
    exhaust(compile_step, 10);
}
