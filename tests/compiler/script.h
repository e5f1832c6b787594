/* A pattern from text with sizes and data by name, evaluated by the oracle: for tests that compare with
 * closed forms. */
#ifndef ATTN_TESTS_SCRIPT_H
#define ATTN_TESTS_SCRIPT_H

#include "compiler/compiler.h"
#include "lang/lang.h"

typedef struct Script {
    Compilation c;
    Pattern *pattern;
    Graph *graph;
    int64_t extents[64];
    Scalar params[64];
    InterpretTensor tensors[64];
    InterpretArguments arguments;
    uint64_t random, operations;
    const char *failed;      /* the last error: diagnostics, or of the interpreter */
} Script;

/* Declares a Script from a text (one pattern) and arms its escape. Sizes are those of the example. */
#define SCRIPT(s, text) \
    Script s##_, *s = &s##_; \
    script_init(s); \
    if (setjmp(s->c.escape)) cr_assert_fail("%s", s->c.fatal); \
    cr_assert(script_open(s, text), "%s", s->failed)

void script_init(Script *s);
bool script_open(Script *s, const char *text);
void script_free(Script *s);
void script_size(Script *s, const char *index, int64_t extent);
int64_t script_extent(Script *s, const char *index);
void script_int(Script *s, const char *param, int64_t value);
void script_real(Script *s, const char *param, double value);
/* Binds data (double, int64_t or uint8_t, dense). */
void script_bind(Script *s, const char *tensor, const void *data);
/* Binds numbers from [-1, 1) and returns them; after all sizes are set. */
double *script_random(Script *s, const char *tensor);
size_t script_elements(Script *s, const Tensor *t);
/* All elements of an output or an equation; NULL on an error (`failed` says which). */
void *script_run(Script *s, const char *tensor);
/* The same, as doubles; fails the test on an error. */
#define REALS(s, tensor) ((double *)script_checked(s, tensor))
#define INTS(s, tensor) ((int64_t *)script_checked(s, tensor))
#define BOOLS(s, tensor) ((uint8_t *)script_checked(s, tensor))
void *script_checked(Script *s, const char *tensor);

#endif
