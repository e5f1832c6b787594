/* See nvrtc.h. */
#include "codegen/cuda/nvrtc.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct Nvrtc {
    const char *path;
#define NVRTC(name, result, arguments) result(*name) arguments;
#include "codegen/cuda/nvrtc_list.h"
#undef NVRTC
};

/* ---- finding it ---- */

/* The last file, by name, that fits the pattern; NULL: none. The `alt` libraries are another build of the
 * same. */
static const char *last_match(Compilation *c, const char *pattern)
{
    glob_t found;
    const char *last = NULL;
    if (glob(pattern, 0, NULL, &found)) return NULL;
    for (size_t k = 0; k < found.gl_pathc; k++)
        if (!strstr(found.gl_pathv[k], ".alt.")) last = format(c, "%s", found.gl_pathv[k]);
    globfree(&found);
    return last;
}

static const char *in_folder(Compilation *c, const char *folder)
{
    const char *path = last_match(c, format(c, "%s/libnvrtc.so.[0-9]*", folder));
    return path ? path : last_match(c, format(c, "%s/libnvrtc.so", folder));
}

static bool is_folder(const char *path)
{
    struct stat s;
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

static const char *in_environment(Compilation *c)
{
    static const char *const places[] = {"cu[0-9]*/lib", "cuda_nvrtc/lib"};
    const char *venv = getenv("VIRTUAL_ENV"), *path = NULL;
    for (size_t k = 0; venv && k < 2 && !path; k++)
        path = in_folder(c, format(c, "%s/lib/python3*/site-packages/nvidia/%s", venv, places[k]));
    return path;
}

static void open_builtins(Compilation *c, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return;
    const char *builtins = last_match(c, format(c, "%.*s/libnvrtc-builtins.so*", (int)(slash - path), path));
    if (builtins) dlopen(builtins, RTLD_NOW | RTLD_GLOBAL); /* else NVRTC itself looks for it */
}

static void *open_path(Compilation *c, const char *path)
{
    if (!path) return NULL;
    open_builtins(c, path);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *open_anywhere(Compilation *c)
{
    void *library = open_path(c, in_folder(c, "/usr/local/cuda/lib64"));
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12"};
    for (size_t k = 0; k < 2 && !library; k++) library = dlopen(names[k], RTLD_NOW | RTLD_LOCAL);
    return library ? library : open_path(c, in_environment(c));
}

/* The functions; the name of one that is missing, or NULL. */
static const char *bind(Nvrtc *n, void *library)
{
    void *symbol;
#define NVRTC(name, result, arguments)      \
    symbol = dlsym(library, "nvrtc" #name); \
    if (!symbol) return "nvrtc" #name;      \
    memcpy(&n->name, &symbol, sizeof symbol);
#include "codegen/cuda/nvrtc_list.h"
#undef NVRTC
    return NULL;
}

const Nvrtc *nvrtc_open(Compilation *c, const char **error)
{
    const char *named = getenv("ATTN_NVRTC"), *file = named;
    if (named && is_folder(named)) file = in_folder(c, named);
    void *library = named && *named ? open_path(c, file) : open_anywhere(c);
    if (!library && named && *named) {
        *error = format(c, "NVRTC is not at $ATTN_NVRTC, %s", named);
        return NULL;
    }
    if (!library) {
        *error = "NVRTC, the compiler of CUDA C, is not found: install the CUDA toolkit or PyPI's "
                 "nvidia-cuda-nvrtc, and name its folder in $ATTN_NVRTC";
        return NULL;
    }
    Nvrtc *n = NEW(c, Nvrtc);
    const char *missing = bind(n, library);
    Dl_info info = {0};
    memcpy(&library, &n->Version, sizeof library);
    n->path =
        !missing && dladdr(library, &info) && info.dli_fname ? format(c, "%s", info.dli_fname) : "libnvrtc";
    if (missing) *error = format(c, "NVRTC lacks %s", missing);
    return missing ? NULL : n;
}

const char *nvrtc_path(const Nvrtc *n) { return n->path; }

const char *nvrtc_version(Compilation *c, const Nvrtc *n)
{
    int major = 0, minor = 0;
    n->Version(&major, &minor);
    return format(c, "NVRTC %d.%d (%s)", major, minor, n->path);
}

/* ---- compiling ---- */

/* `PATH(LINE):` becomes `PATH:LINE:`. */
static const char *places(Compilation *c, const char *log)
{
    Text out = {.c = c};
    for (const char *at = log; *at; at++) {
        size_t digits = *at == '(' ? strspn(at + 1, "0123456789") : 0;
        bool place = digits && at[digits + 1] == ')' && at[digits + 2] == ':';
        if (place)
            text_add(&out, ":%.*s", (int)digits, at + 1), at += digits + 1;
        else
            text_add_bytes(&out, at, 1);
    }
    return out.at ? out.at : "";
}

static char *read_log(Compilation *c, const Nvrtc *n, void *program)
{
    size_t size = 0;
    n->GetProgramLogSize(program, &size);
    char *log = arena_alloc(c, size + 1);
    if (size) n->GetProgramLog(program, log);
    return log;
}

static int read_image(Compilation *c, const Nvrtc *n, void *program, bool ptx, NvrtcImage *image)
{
    int result = ptx ? n->GetPTXSize(program, &image->size) : n->GetCUBINSize(program, &image->size);
    if (result) return result;
    char *data = arena_alloc(c, image->size + 1);
    image->data = data;
    return ptx ? n->GetPTX(program, data) : n->GetCUBIN(program, data);
}

static int compile(Compilation *c, const Nvrtc *n, void *program, const NvrtcOptions *o, NvrtcImage *image)
{
    const char **options = NEW_ARRAY(c, const char *, o->n_definitions + 4);
    int count = 0;
    options[count++] = format(c, "--gpu-architecture=%s_%u", o->ptx ? "compute" : "sm", o->arch);
    options[count++] = "--std=c++17";
    if (!o->ptx) options[count++] = "--ptxas-options=-v";
    if (o->lines) options[count++] = "--generate-line-info";
    for (unsigned k = 0; k < o->n_definitions; k++) options[count++] = format(c, "-D%s", o->definitions[k]);
    int result = n->CompileProgram(program, count, options);
    image->log = read_log(c, n, program);
    return result ? result : read_image(c, n, program, o->ptx, image);
}

const char *nvrtc_compile(Compilation *c, const Nvrtc *n, const char *source, const char *name,
                          const NvrtcOptions *options, NvrtcImage *image)
{
    void *program = NULL;
    *image = (NvrtcImage){0};
    int result = n->CreateProgram(&program, source, name, 0, NULL, NULL);
    if (!result) result = compile(c, n, program, options, image);
    if (program) n->DestroyProgram(&program);
    if (!result) return NULL;
    const char *why = n->GetErrorString(result),
               *log = image->log && *image->log ? places(c, image->log) : "";
    return format(c, "NVRTC fails on %s for sm_%u: %s\n%s", name, options->arch, why ? why : "", log);
}

/* ---- the log of ptxas ---- */

static unsigned number_before(const char *line, const char *words)
{
    const char *at = strstr(line, words);
    while (at && at > line && at[-1] == ' ') at--;
    while (at && at > line && at[-1] >= '0' && at[-1] <= '9') at--;
    return at ? (unsigned)strtoul(at, NULL, 10) : 0;
}

static void read_line(Compilation *c, const char *line, NvrtcUsages *all)
{
    char name[256];
    NvrtcUsage *last = all->n ? &all->at[all->n - 1] : NULL;
    if (sscanf(line, "ptxas info : Compiling entry function '%255[^']'", name) == 1) {
        PUSH(c, all, (NvrtcUsage){.kernel = format(c, "%s", name)});
    } else if (last && strstr(line, "bytes spill stores") && !last->registers) {
        last->stack = number_before(line, "bytes stack frame");
        last->spills += number_before(line, "bytes spill stores") + number_before(line, "bytes spill loads");
    } else if (last && strstr(line, "Used ")) {
        last->registers = number_before(line, "registers");
        last->shared = number_before(line, "bytes smem");
    } else if (last && strstr(line, "bytes spill stores")) { /* of a function that it calls */
        last->spills += number_before(line, "bytes spill stores") + number_before(line, "bytes spill loads");
    }
}

NvrtcUsages nvrtc_usage(Compilation *c, const char *log)
{
    NvrtcUsages all = {0};
    while (*log) {
        size_t n = strcspn(log, "\n");
        read_line(c, format(c, "%.*s", (int)n, log), &all);
        log += n + (log[n] == '\n');
    }
    return all;
}
