/* Helpers of the runtime's tests: modules built by the C compiler, tensors, expectations of errors. */
#ifndef ATTN_TESTS_FAKE_H
#define ATTN_TESTS_FAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/abi.h"
#include "runtime/attn.h"

/* Path of tests/abi/module/NAME.c compiled to a shared object with `flags` (blanks between), once for all
 * tests. A module has its note's size and checksum set. Ends the test on failure. */
const char *fake_build(const char *name, const char *flags);
/* The module of most tests. */
const char *fake_module(void);
AttnLibrary *fake_open(void);
/* Sets size and checksum of a module's note. */
void fake_seal(const char *path);
/* An empty folder of this test, below the build folder. */
const char *fake_folder(void);

char *fake_read(const char *path, size_t *size);
void fake_write(const char *path, const void *bytes, size_t size);

/* A row-major tensor for attn_bind: shapes up to 8 dimensions, ended by -1. */
typedef struct Fake { DLTensor t; int64_t shape[8], strides[8]; } Fake;
void fake_tensor(Fake *f, void *data, int code, int bits, const int64_t *shape);
#define FAKE(f, data, code, bits, ...) fake_tensor(f, data, code, bits, (int64_t[]){__VA_ARGS__, -1})

/* Fails the test unless `got` is `want` and the text holds `part`. */
void fake_expect(AttnStatus got, AttnStatus want, const AttnError *error, const char *part, const char *file,
                 int line);
#define EXPECT(want, error, part, call) fake_expect(call, ATTN_STATUS_##want, error, part, __FILE__, __LINE__)
#define OK(call) fake_expect(call, ATTN_OK, &error, "", __FILE__, __LINE__)

#endif
