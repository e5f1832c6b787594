/* A compiler that compiles nothing: it hands out the module $FAKE_MODULE, and does what the source text
 * asks for. Every call appends a byte to $FAKE_LOG. */
#include "runtime/abi.h"
#include "runtime/note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void copy_file(const char *from, const char *to)
{
    char buffer[4096];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    for (size_t n; in && out && (n = fread(buffer, 1, sizeof buffer, in)) > 0;)
        fwrite(buffer, 1, n, out);
    if (in)
        fclose(in);
    if (out)
        fclose(out);
}

static void add_file(AttnJitResult *r, const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    AttnJitFile file = {.path = strdup(path), .found = f != NULL};
    if (f) {
        size_t n = fread(text, 1, sizeof text, f);
        XXH128_hash_t h = XXH3_128bits(text, n);
        file.hash[0] = h.low64, file.hash[1] = h.high64;
        fclose(f);
    }
    r->files = realloc(r->files, (size_t)(r->n_files + 1) * sizeof *r->files);
    r->files[r->n_files++] = file;
}

/* `use PATH`: looks for PATH.first, then for PATH. */
static void use_files(const char *text, AttnJitResult *r)
{
    char path[600], first[610];
    for (; (text = strstr(text, "use ")); text += 4)
        if (sscanf(text, "use %599s", path) == 1) {
            snprintf(first, sizeof first, "%s.first", path);
            add_file(r, first);
            if (!r->files[r->n_files - 1].found)
                add_file(r, path);
        }
}

__attribute__((visibility("default"))) AttnJitCompile attn_jit_compile;
__attribute__((visibility("default"))) AttnJitVersion attn_jit_version;

const char *attn_jit_version(void) { return "fake"; }

int32_t attn_jit_compile(const AttnJitRequest *request, AttnJitResult *result)
{
    FILE *log = fopen(getenv("FAKE_LOG"), "ab");
    fputc('x', log);
    fclose(log);
    const char *text = request->text;
    use_files(text, result);
    if (strstr(text, "error"))
        result->text = strdup("s.attn:1:1: error[E001]: wrong"), result->status = ATTN_JIT_SOURCE;
    else if (strstr(text, "fail"))
        result->text = strdup("no linker"), result->status = ATTN_JIT_FAILED;
    else if (strstr(text, "silent"))
        result->status = ATTN_JIT_FAILED;
    if (strstr(text, "warn"))
        result->text = strdup("a warning");
    if (strstr(text, "target")) {
        result->text = malloc(100);
        snprintf(result->text, 100, "target %s, %s, %s", request->target ? request->target : "-",
                 request->archs ? request->archs : "-", request->real ? request->real : "-");
    }
    if (request->target)
        result->nvrtc = strdup(getenv("FAKE_NVRTC"));
    if (strstr(text, "rubbish"))
        copy_file("/proc/self/cmdline", request->output);
    else if (!result->status && !strstr(text, "nothing"))
        copy_file(getenv("FAKE_MODULE"), request->output);
    return result->status;
}
