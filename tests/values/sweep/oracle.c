/* What the interpreter says, kept in files: it is slow, and seldom changes. A result is found by the meaning
 * of the pattern (the text of its Graph), the sizes, the arguments, the inputs, and the interpreter's own
 * source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "sweep.h"

static const char *const interpreter_sources[] = {
    "interpret.c", "interpret_cells.c", "interpret_eval.c", "interpret_rows.c", "scalar.c",
};

static void add_file(XXH3_state_t *state, const char *path)
{
    char bytes[4096];
    FILE *file = fopen(path, "rb");
    for (size_t n; file && (n = fread(bytes, 1, sizeof bytes, file)) > 0;)
        XXH3_128bits_update(state, bytes, n);
    if (file) fclose(file);
}

static void add_number(XXH3_state_t *state, int64_t x) { XXH3_128bits_update(state, &x, sizeof x); }

static void add_tensor(XXH3_state_t *state, const CallTensor *t)
{
    add_number(state, t->given);
    for (unsigned d = 0; d < t->tensor->n_dims; d++) add_number(state, t->shape[d]);
    if (t->data) XXH3_128bits_update(state, t->data, t->n * type_bytes(t->tensor->type));
}

static XXH128_hash_t key(const Call *call, const char *graph)
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    for (size_t k = 0; k < sizeof interpreter_sources / sizeof *interpreter_sources; k++)
        add_file(&state, format(call->c, "%s/compiler/%s", ATTN_SOURCE_DIR, interpreter_sources[k]));
    XXH3_128bits_update(&state, graph, strlen(graph));
    add_number(&state, (int64_t)call->limit);
    for (uint32_t k = 0; k < call->pattern->conditions.n; k++) {
        const char *text = call->pattern->conditions.at[k].text;
        XXH3_128bits_update(&state, text, strlen(text) + 1);
    }
    for (uint32_t k = 0; k < call->pattern->indices.n; k++) add_number(&state, call->extents[k]);
    for (uint32_t k = 0; k < call->pattern->params.n; k++) add_number(&state, call->params[k].i);
    for (uint32_t k = 0; k < call->pattern->tensors.n; k++) add_tensor(&state, &call->tensors[k]);
    return XXH3_128bits_digest(&state);
}

static const char *folder(Compilation *c)
{
    const char *named = getenv("ATTN_ORACLE");
    const char *path = named && *named ? named : format(c, "%s/build/oracle", ATTN_SOURCE_DIR);
    mkdir(path, 0777);
    return path;
}

/* A file: the length of an error text (0: none) and the text, or the outputs one after the other, and at the
 * end a checksum of all before it. */
static bool load(Call *call, const char *path, CallResult *result, const char **wrong)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status)) return file ? fclose(file), false : false;
    size_t n = (size_t)status.st_size, at = 8;
    unsigned char *bytes = arena_alloc(call->c, n + 1);
    bool ok = n >= 16 && fread(bytes, 1, n, file) == n;
    fclose(file);
    uint64_t sum, length;
    if (!ok) return false;
    memcpy(&sum, bytes + n - 8, 8);
    memcpy(&length, bytes, 8);
    if (XXH3_64bits(bytes, n - 8) != sum || length > n - 16) return false;
    if (length) return *wrong = intern(call->c, (const char *)bytes + 8, length), true;
    *result = (CallResult){.data = NEW_ARRAY(call->c, void *, call->pattern->tensors.n + 1)};
    for (uint32_t k = 0; k < call->pattern->tensors.n; k++) {
        const CallTensor *t = &call->tensors[k];
        if (t->tensor->role != ROLE_OUTPUT || !t->given) continue;
        result->data[k] = bytes + at;
        at += (t->n * type_bytes(t->tensor->type) + 7) / 8 * 8;
        if (at > n - 8) return false;
    }
    return at == n - 8;
}

static void save(Call *call, const char *path, const CallResult *result, const char *wrong)
{
    Text out = {.c = call->c};
    uint64_t length = wrong ? strlen(wrong) : 0;
    text_add_bytes(&out, (const char *)&length, 8);
    if (wrong) text_add_bytes(&out, wrong, length);
    for (uint32_t k = 0; !wrong && k < call->pattern->tensors.n; k++) {
        const CallTensor *t = &call->tensors[k];
        size_t n = t->n * type_bytes(t->tensor->type);
        if (!result->data[k]) continue;
        text_add_bytes(&out, result->data[k], n);
        text_add_bytes(&out, "\0\0\0\0\0\0\0", (8 - n % 8) % 8);
    }
    uint64_t sum = XXH3_64bits(out.at, out.n);
    text_add_bytes(&out, (const char *)&sum, 8);
    const char *temporary = format(call->c, "%s.%ld", path, (long)getpid());
    FILE *file = fopen(temporary, "wb");
    if (!file) return; /* then it is worked out again */
    bool ok = fwrite(out.at, 1, out.n, file) == out.n;
    if (fclose(file) || !ok || rename(temporary, path)) unlink(temporary);
}

const char *oracle_results(Call *call, const Graph *graph, CallResult *result)
{
    XXH128_hash_t h = key(call, graph_print(call->c, graph));
    const char *path = format(call->c, "%s/%016llx%016llx", folder(call->c), (unsigned long long)h.high64,
                              (unsigned long long)h.low64);
    const char *wrong = NULL;
    if (load(call, path, result, &wrong)) return wrong;
    wrong = call_interpret(call, graph, result);
    if (!wrong || strncmp(wrong, "internal error", 14)) save(call, path, result, wrong);
    return wrong;
}
