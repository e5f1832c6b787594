/* Random programs by coverage: libFuzzer's bytes are what the generator draws from. The oracle and Loops must
 * agree on each at two assignments of extents, machine code on one of CODE_EVERY. A failure is printed with
 * its program; `fuzz_random_programs -m FILE` makes it smaller. */
#include "../random/trial.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CODE_EVERY = 32 };

static uint32_t hash(const uint8_t *data, size_t size)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t k = 0; k < size; k++) h = (h ^ data[k]) * 16777619u;
    return h ^ h >> 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) {
        fprintf(stderr, "fuzz_programs: the generator: %s\n", c.fatal);
        abort();
    }
    uint32_t h = hash(data, size);
    bool f32 = size && data[0] % 4 == 0;
    const uint8_t *bytes = size ? data + 1 : data;
    Random r = {.state = 1, .bytes = bytes, .end = data + size};
    RandomProgram p = random_program_from(&c, r, 0, f32);
    TrialOptions options = {.f64 = !f32, .generate_code = h % CODE_EVERY == 0, .sizes = 2, .seed = h};
    Outcome o;
    try_program(&p, &options, &o);
    if (o.verdict == FAILED) {
        fprintf(stderr, "fuzz_programs: %s\n# %s, seed %u\n%s%s", o.text, f32 ? "f32" : "f64", h, p.uses,
                p.text);
        abort();
    }
    compilation_free(&c);
    return o.verdict == REJECTED ? -1 : 0; /* -1: not worth keeping */
}
