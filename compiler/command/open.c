/* Opening the code generator: libattn_jit.so is looked for in $ATTN_JIT, then beside this program, then where
 * it was installed. Only commands that make machine code come here: opening LLVM takes longer than most. */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/command/command.h"
#include "runtime/abi.h"

#define BACKEND_SYMBOL "attn_backend"

const char *own_program(Compilation *c)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    return n > 0 ? intern(c, path, (size_t)n) : "attnc";
}

static const char *beside_program(Compilation *c)
{
    static const char *const places[] = {"lib", "lib64", "lib/x86_64-linux-gnu", "bin"};
    char *own = format(c, "%s", own_program(c));
    char *slash = strrchr(own, '/');
    if (!slash) return NULL;
    *slash = 0;
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        const char *path = format(c, "%s/../%s/%s", own, places[k], ATTN_JIT_LIBRARY);
        if (!access(path, R_OK)) return path;
    }
    return NULL;
}

static const char *find_library(Compilation *c)
{
    const char *named = getenv("ATTN_JIT");
    if (named && *named) return named;
    const char *beside = beside_program(c);
    if (beside) return beside;
    const char *installed = ATTN_LIB_DIR "/" ATTN_JIT_LIBRARY;
    return access(installed, R_OK) ? ATTN_JIT_LIBRARY : installed; /* else the dynamic loader searches */
}

void announce_backend(Compilation *c) { setenv("ATTN_JIT", find_library(c), 0); }

const Backend *open_backend(Compilation *c, const char **error)
{
    const char *path = find_library(c);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays open: its code is used until the end */
    void *symbol = library ? dlsym(library, BACKEND_SYMBOL) : NULL;
    if (!symbol) {
        const char *why = dlerror();
        *error = format(c, "cannot open the code generator: %s", why ? why : path);
        return NULL;
    }
    const Backend *(*backend)(void);
    memcpy(&backend, &symbol, sizeof backend);
    return backend();
}
