/* Control flow, memory, lanes and the checks of shared memory, from the texts in tests/gpu/programs. */
#include "programs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static void check_file(const char *name)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape), "%s", c.fatal);
    char path[1024];
    static char text[1 << 16];
    snprintf(path, sizeof path, "%s/tests/gpu/programs/%s", getenv("ATTN_SOURCE"), name);
    FILE *file = fopen(path, "rb");
    cr_assert(file, "cannot open %s", path);
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    cr_assert(n && program_check(&c, path, text) == 0);
    compilation_free(&c);
}

Test(programs, control) { check_file("control.ptx"); }
Test(programs, memory) { check_file("memory.ptx"); }
Test(programs, lanes) { check_file("lanes.ptx"); }
Test(programs, shared) { check_file("shared.ptx"); }
