/* Compiling as the program runs: find the pattern in the cache, or have libattn_jit write a shared object,
 * and open it. The compiler is a library of its own, opened only when something must be compiled. */
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t count(const char *const *list)
{
    int32_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

/* ---- where the compiler is ---- */

static bool exists(const char *path)
{
    RtIdentity id;
    return rt_identity(path, &id);
}

/* `libattn_jit.so` in a folder that is given relative to that of the file `beside`; false: it is not
 * there. */
static bool look_beside(const char *beside, const char *relative, char *path)
{
    const char *slash = strrchr(beside, '/');
    int n = slash ? snprintf(path, PATH_MAX, "%.*s/%s%s", (int)(slash - beside), beside, relative,
                             ATTN_JIT_LIBRARY)
                  : -1;
    return n > 0 && n < PATH_MAX && exists(path);
}

/* $ATTN_JIT; beside this library; for a program in bin/, in the lib/ next to it; where it was installed;
 * else wherever the dynamic loader finds it. */
static void find_compiler(char *path)
{
    static const char here;
    const char *given = secure_getenv("ATTN_JIT");
    char program[PATH_MAX] = "";
    Dl_info info;
    if (given && *given) {
        snprintf(path, PATH_MAX, "%s", given);
        return;
    }
    if (dladdr(&here, &info) && info.dli_fname && look_beside(info.dli_fname, "", path))
        return;
    if (readlink("/proc/self/exe", program, sizeof program - 1) > 0 && look_beside(program, "../lib/", path))
        return;
    if (look_beside(ATTN_LIB_DIR "/", "", path))
        return;
    snprintf(path, PATH_MAX, "%s", ATTN_JIT_LIBRARY);
}

typedef struct Compiler {
    void *handle;
    AttnJitCompile *compile;
} Compiler;

/* Stays loaded: opening LLVM again and again would cost more than compiling. */
static AttnStatus open_compiler(const char *path, Compiler *compiler, AttnError *error)
{
    compiler->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!compiler->handle)
        return rt_fail(error, ATTN_STATUS_COMPILER, "cannot open the compiler: %s", dlerror());
    *(void **)&compiler->compile = dlsym(compiler->handle, ATTN_JIT_SYMBOL);
    if (compiler->compile)
        return ATTN_OK;
    dlclose(compiler->handle);
    return rt_fail(error, ATTN_STATUS_COMPILER, "%s is no compiler of attnc (no symbol %s)", path,
                   ATTN_JIT_SYMBOL);
}

/* ---- targets ---- */

/* What stands behind `cuda:`; empty: nothing. NULL: the target is another one. */
static const char *cuda_archs(const char *target)
{
    if (!target || strncmp(target, "cuda", 4) != 0)
        return NULL;
    return !target[4] ? target + 4 : target[4] == ':' && target[5] ? target + 5 : NULL;
}

static AttnStatus check_target(const char *target, AttnError *error)
{
    if (!target || strcmp(target, "cpu") == 0 || cuda_archs(target))
        return ATTN_OK;
    return rt_fail(error, ATTN_STATUS_USAGE, "target '%s': expected cpu, cuda, or cuda:sm_80,sm_90", target);
}

/* ---- keys ---- */

static void add_field(RtText *key, const char *name, const char *value, size_t length)
{
    rt_text_add(key, "%s %zu ", name, length);
    rt_text_bytes(key, value, length);
    rt_text_bytes(key, "\n", 1);
}

static void add_text(RtText *key, const char *name, const char *value)
{
    if (value)
        add_field(key, name, value, strlen(value));
}

static void add_list(RtText *key, const char *name, const char *const *list)
{
    for (int32_t i = 0; i < count(list); i++)
        add_text(key, name, list[i]);
}

/* Relative paths mean something only together with the working folder. */
static bool any_relative(const char *path, const AttnCompileOptions *o)
{
    bool relative = *path != '/';
    for (int32_t i = 0; i < count(o->includes); i++)
        relative = relative || o->includes[i][0] != '/';
    return relative;
}

static void make_key(RtText *key, const char *compiler, const char *text, const char *path,
                     const AttnCompileOptions *o, const uint64_t identity[2])
{
    char folder[PATH_MAX];
    RtText cpu = {0};
    RtIdentity id = {0};
    rt_text_add(key, "attnc %s abi %d f64 %d debug %d\n", ATTN_VERSION, ATTN_ABI_VERSION, o->f64 != 0,
                o->debug != 0);
    add_text(key, "target", o->target);
    add_text(key, "real", o->real);
    if (cuda_archs(o->target))
        add_text(key, "nvrtc", secure_getenv("ATTN_NVRTC"));
    rt_identity(compiler, &id);
    rt_text_add(key, "built %lld %lld %lld\n", id.size, id.seconds, id.nanoseconds);
    add_text(key, "compiler", compiler);
    rt_cpu_identity(&cpu);
    key->failed = key->failed || cpu.failed;
    add_text(key, "machine", cpu.at);
    rt_free(cpu.at);
    add_text(key, "cpu", o->cpu);
    add_text(key, "pattern", o->pattern);
    add_list(key, "define", o->definitions);
    add_list(key, "size", o->sizes);
    add_list(key, "include", o->includes);
    if (any_relative(path, o))
        add_text(key, "folder", getcwd(folder, sizeof folder));
    add_text(key, "path", path);
    if (identity)
        rt_text_add(key, "files %llx %llx\n", (unsigned long long)identity[0],
                    (unsigned long long)identity[1]);
    add_text(key, "source", text);
}

/* ---- compiling ---- */

static void free_result(AttnJitResult *result)
{
    for (int32_t i = 0; i < result->n_files; i++)
        free(result->files[i].path);
    free(result->files);
    free(result->nvrtc);
    free(result->text);
}

/* What went in beside the key: used files, and LLVM and NVRTC, which are other libraries than the compiler. */
static void list_dependencies(const Compiler *compiler, const AttnJitResult *result, RtText *list)
{
    Dl_info info;
    void *llvm = dlsym(compiler->handle, "LLVMGetVersion");
    for (int32_t i = 0; i < result->n_files; i++)
        rt_depend_file(list, &result->files[i]);
    if (llvm && dladdr(llvm, &info) && info.dli_fname)
        rt_depend_library(list, info.dli_fname);
    if (result->nvrtc)
        rt_depend_library(list, result->nvrtc);
}

static AttnStatus call_compiler(const Compiler *compiler, const AttnJitRequest *request, RtText *made_from,
                                char **remark, AttnError *error)
{
    AttnJitResult result = {0};
    int32_t got = compiler->compile(request, &result);
    AttnStatus status = got == ATTN_JIT_OK       ? ATTN_OK
                        : got == ATTN_JIT_SOURCE ? ATTN_STATUS_SOURCE
                                                 : ATTN_STATUS_COMPILER;
    if (status)
        rt_fail(error, status, "%s", result.text ? result.text : attn_status_text(status));
    else
        list_dependencies(compiler, &result, made_from);
    if (!status && result.text && *result.text)
        *remark = rt_copy_text(result.text);
    free_result(&result);
    return status;
}

/* Where the cache cannot be used: a folder of our own for a moment. */
static char *private_path(AttnError *error)
{
    const char *base = secure_getenv("TMPDIR");
    RtText path = {0};
    rt_text_add(&path, "%s/attnc-XXXXXX", base && *base == '/' ? base : "/tmp");
    if (path.failed) {
        rt_no_memory(error);
    } else if (!mkdtemp(path.at)) {
        rt_fail(error, ATTN_STATUS_IO, "%s: %s", path.at, strerror(errno));
        path.failed = true;
    } else {
        rt_text_add(&path, "/module.so");
        if (path.failed)
            rt_no_memory(error);
    }
    if (!path.failed)
        return path.at;
    rt_free(path.at);
    return NULL;
}

static void remove_private(char *path)
{
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
}

/* Opens a module outside the cache; nothing of it stays on the disk. */
static AttnStatus open_private(const char *path, AttnLibrary **library, AttnError *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return rt_fail(error, ATTN_STATUS_COMPILER, "the compiler left no %s: %s", path, strerror(errno));
    return rt_library_open(fd, path, library, error);
}

static AttnStatus finish(const RtCache *cache, const RtText *key, char *output, const RtText *made_from,
                         char *remark, AttnLibrary **library, AttnError *error)
{
    AttnLibrary *l;
    AttnStatus status = cache->folder >= 0 ? rt_cache_store(cache, key, output, made_from, &l, error)
                                           : open_private(output, &l, error);
    if (status) {
        rt_free(remark);
        return status;
    }
    if (remark) {
        rt_free(l->remark);
        l->remark = remark;
    } else if (cache->problem) {
        l->remark = rt_copy_text(cache->problem);
    }
    *library = l;
    return ATTN_OK;
}

static AttnStatus compile(const RtCache *cache, const RtText *key, const char *path, AttnJitRequest *request,
                          AttnLibrary **library, AttnError *error)
{
    Compiler compiler;
    AttnStatus status = open_compiler(path, &compiler, error);
    if (status)
        return status;
    bool cached = cache->folder >= 0;
    char *output = cached ? rt_cache_temporary(cache) : private_path(error), *remark = NULL;
    if (!output)
        return cached ? rt_no_memory(error) : error ? error->status : ATTN_STATUS_IO;
    RtText made_from = {0};
    request->output = output;
    status = call_compiler(&compiler, request, &made_from, &remark, error);
    if (!status && made_from.failed)
        status = rt_no_memory(error);
    if (!status)
        status = finish(cache, key, output, &made_from, remark, library, error);
    else
        rt_free(remark);
    if (cached)
        unlink(output);
    else
        remove_private(output);
    rt_free(made_from.at);
    rt_free(output);
    return status;
}

static AttnStatus find_or_compile(const RtCache *cache, const char *text, const char *path,
                                  const AttnCompileOptions *o, const AttnSourceFile *files, int32_t n_files,
                                  const uint64_t identity[2], AttnLibrary **library, AttnError *error)
{
    char compiler[PATH_MAX];
    RtText key = {0};
    AttnJitRequest request = {.abi = ATTN_ABI_VERSION,
                              .f64 = o->f64 != 0,
                              .debug = o->debug != 0,
                              .path = path,
                              .text = text,
                              .length = strlen(text),
                              .pattern = o->pattern,
                              .cpu = o->cpu,
                              .definitions = o->definitions,
                              .n_definitions = count(o->definitions),
                              .includes = o->includes,
                              .n_includes = count(o->includes),
                              .sizes = o->sizes,
                              .n_sizes = count(o->sizes),
                              .real = o->real,
                              .files = files,
                              .n_files = n_files};
    const char *archs = cuda_archs(o->target);
    request.target = archs ? "cuda" : NULL;
    request.archs = archs && *archs ? archs : NULL;
    find_compiler(compiler);
    make_key(&key, compiler, text, path, o, identity);
    AttnStatus status = key.failed ? rt_no_memory(error) : ATTN_OK;
    AttnLibrary *found = !status && cache->folder >= 0 ? rt_cache_find(cache, &key) : NULL;
    if (found)
        *library = found;
    else if (!status)
        status = compile(cache, &key, compiler, &request, library, error);
    rt_free(key.at);
    return status;
}

AttnStatus rt_compile(const char *text, const char *path, const AttnCompileOptions *options,
                      const AttnSourceFile *files, int32_t n_files, const uint64_t identity[2],
                      AttnLibrary **library, AttnError *error)
{
    static const AttnCompileOptions defaults;
    if (!text || !library)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_compile_string: NULL argument");
    const AttnCompileOptions *o = options ? options : &defaults;
    AttnStatus status = check_target(o->target, error);
    if (status)
        return status;
    RtCache cache = {.folder = -1};
    if (!o->no_cache && !rt_cache_open(&cache)) {
        rt_cache_close(&cache);
        return rt_no_memory(error);
    }
    status = find_or_compile(&cache, text, path ? path : "<string>", o, files, n_files, identity, library,
                             error);
    rt_cache_close(&cache);
    return status;
}

AttnStatus attn_compile_string(const char *text, const char *path, const AttnCompileOptions *options,
                               AttnLibrary **library, AttnError *error)
{
    return rt_compile(text, path, options, NULL, 0, NULL, library, error);
}

AttnStatus attn_compile_file(const char *path, const AttnCompileOptions *options, AttnLibrary **library,
                             AttnError *error)
{
    char *text;
    size_t size;
    if (!path || !library)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_compile_file: NULL argument");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return rt_fail(error, ATTN_STATUS_IO, "%s: %s", path, strerror(errno));
    AttnStatus status = rt_read_file(fd, path, &text, &size, error);
    close(fd);
    if (status)
        return status;
    if (strlen(text) != size)
        status = rt_fail(error, ATTN_STATUS_SOURCE, "%s: the file holds a zero byte", path);
    else
        status = attn_compile_string(text, path, options, library, error);
    rt_free(text);
    return status;
}
