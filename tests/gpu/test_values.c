/* Every opcode against the ISA's meaning, from the lists in tests/gpu/values. */
#include "values.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    cr_assert(file, "cannot open %s", path);
    char *text = calloc(1, 1 << 18);
    size_t n = fread(text, 1, (1 << 18) - 1, file);
    cr_assert(n < (1 << 18) - 1);
    fclose(file);
    return text;
}

static const char *source_folder(void)
{
    const char *source = getenv("ATTN_SOURCE");
    cr_assert(source, "ATTN_SOURCE is not set");
    return source;
}

static void compare_cases(const Cases *cases, const uint64_t *out, const char *path)
{
    unsigned wrong = 0;
    for (uint32_t k = 0; k < cases->n; k++)
        for (unsigned r = 0; r < cases->at[k].n_results; r++) {
            const Case *t = &cases->at[k];
            if (values_equal(t, r, out[2 * k + r])) continue;
            fprintf(stderr, "%s:%u: %s: 0x%llx, not 0x%llx\n", path, t->line, t->opcode,
                    (unsigned long long)out[2 * k + r], (unsigned long long)t->results[r].bits);
            wrong++;
        }
    cr_assert(wrong == 0);
}

static void check_list(const char *name)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    const char *path = format(&c, "%s/tests/gpu/values/%s", source_folder(), name);
    char *text = read_file(path);
    Cases cases = {0};
    const char *wrong = values_read(&c, text, &cases);
    cr_assert(!wrong, "%s: %s", path, wrong);
    const char *module_text = values_module(&c, &cases);
    PtxDevice *device = ptx_device_new();
    PtxModule *m = ptx_module_load(device, module_text, strlen(module_text));
    cr_assert(m, "%s: %s", path, ptx_error(device));
    uint64_t out = ptx_alloc(device, 16 * cases.n);
    memset((void *)(uintptr_t)out, 0, 16 * cases.n);
    PtxLaunch launch = {ptx_find(m, "values"), {1, 1, 1}, {1, 1, 1}, 0, &out};
    cr_assert(ptx_launch(device, &launch), "%s: %s", path, ptx_error(device));
    compare_cases(&cases, (const uint64_t *)(uintptr_t)out, path);
    ptx_module_free(m);
    ptx_device_free(device);
    compilation_free(&c);
    free(text);
}

Test(values, integer) { check_list("integer.txt"); }
Test(values, floats) { check_list("float.txt"); }
Test(values, halves) { check_list("half.txt"); }
Test(values, convert) { check_list("convert.txt"); }

/* ---- Every opcode of the list is in some test ---- */
static bool mentions(const char *text, const char *opcode)
{
    size_t n = strlen(opcode);
    for (const char *at = text; (at = strstr(at, opcode)); at++) {
        bool starts = at == text || !(strchr("_.%$", at[-1]) || (at[-1] >= 'a' && at[-1] <= 'z'));
        if (starts && strchr(". ;\n", at[n])) return true;
    }
    return false;
}

Test(values, complete)
{
    static const char *const files[] = {"values/integer.txt", "values/float.txt",     "values/half.txt",
                                        "values/convert.txt", "programs/control.ptx", "programs/memory.ptx",
                                        "programs/lanes.ptx", "programs/shared.ptx",  "test_fragments.c"};
    static const char *const opcodes[] = {
#define OP(name, ...) #name,
#include "ptx/opcode_list.h"
#undef OP
    };
    enum { FILES = sizeof files / sizeof *files };
    char *texts[FILES], path[1024];
    for (size_t k = 0; k < FILES; k++) {
        snprintf(path, sizeof path, "%s/tests/gpu/%s", source_folder(), files[k]);
        texts[k] = read_file(path);
    }
    for (size_t op = 0; op < sizeof opcodes / sizeof *opcodes; op++) {
        bool found = false;
        for (size_t k = 0; k < FILES; k++) found = found || mentions(texts[k], opcodes[op]);
        cr_expect(found, "no test has the opcode %s", opcodes[op]);
    }
    for (size_t k = 0; k < FILES; k++) free(texts[k]);
}
