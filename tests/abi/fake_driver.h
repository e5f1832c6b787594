/* A CUDA driver that runs nothing: it notes what is asked of it, fails where a test says so, and counts what
 * was not given back. Device memory is the host's. The library (tests/abi/module/fake_driver.c) exports its
 * state as `fake_driver`. */
#ifndef ATTN_TESTS_FAKE_DRIVER_H
#define ATTN_TESTS_FAKE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct FakeLaunch {
    const char *kernel, *image; /* name and text */
    unsigned grid, threads, shared;
    void *stream, *context;
    int64_t words[64];          /* the parameter */
} FakeLaunch;

typedef struct FakeDriver {
    /* set by tests */
    int fail_at;        /* the call with this number fails; 0: none */
    int fail_with;      /* result of a failing call */
    const char *refuse; /* images that begin with this text do not load */
    int capability;     /* 10 * major + minor */
    int pools;          /* memory in the order of streams */
    int set_status;     /* written to the status word by a kernel named `check`; 0: nothing */
    void *current;      /* context; &contexts[n] is one of device n / 2, even ones are primary */
    char contexts[4];
    /* told to tests */
    int calls;
    const char *failed; /* the function that failed, or NULL */
    int memory, modules, retained, waits;
    int depth;          /* contexts pushed */
    int n_launches;
    FakeLaunch launches[16];
    char log[16384];    /* names of functions, a blank after each */
} FakeDriver;

#endif
