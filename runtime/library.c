/* Opening modules and describing what they hold. */
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static DLDataType dl_type(int32_t type)
{
    switch ((AttnType)type) {
    case ATTN_F64: return (DLDataType){kDLFloat, 64, 1};
    case ATTN_F32: return (DLDataType){kDLFloat, 32, 1};
    case ATTN_F16: return (DLDataType){kDLFloat, 16, 1};
    case ATTN_BF16: return (DLDataType){kDLBfloat, 16, 1};
    case ATTN_BOOL: return (DLDataType){kDLUInt, 8, 1};
    default: return (DLDataType){kDLInt, 64, 1};
    }
}

static void describe_tensor(AttnTensorDesc *desc, const AttnTensorInfo *info, const AttnPattern *p,
                            const char **names)
{
    for (int32_t i = 0; i < info->rank; i++)
        names[i] = p->indices[info->dims[i]].name;
    *desc = (AttnTensorDesc){.name = info->name,
                             .doc = info->doc,
                             .range = info->range,
                             .indices = names,
                             .role = (AttnTensorRole)info->role,
                             .type = dl_type(info->type),
                             .rank = info->rank,
                             .n_ambient = info->ambient,
                             .heads = info->heads,
                             .optional = info->optional};
}

static void describe_param(AttnParamDesc *desc, const AttnParamInfo *info)
{
    *desc = (AttnParamDesc){.name = info->name,
                            .has_default = info->has_default != 0,
                            .fixed = info->has_default == 2,
                            .integer = info->value};
    desc->kind = info->type == ATTN_F64    ? ATTN_PARAM_FLOAT
                 : info->type == ATTN_BOOL ? ATTN_PARAM_BOOL
                                           : ATTN_PARAM_INT;
    if (desc->kind == ATTN_PARAM_FLOAT) {
        memcpy(&desc->real, &info->value, sizeof desc->real);
        desc->integer = 0;
    }
}

static bool describe_kernel(RtKernel *k, const AttnPattern *p, int variants)
{
    size_t names = (size_t)p->n_indices;
    for (int32_t i = 0; i < p->n_tensors; i++)
        names += (size_t)p->tensors[i].rank;
    k->variants = p;
    k->names = rt_alloc(names, sizeof *k->names);
    k->tensors = rt_alloc((size_t)p->n_tensors, sizeof *k->tensors);
    k->params = rt_alloc((size_t)p->n_params, sizeof *k->params);
    if (!k->names || !k->tensors || !k->params)
        return false;
    for (int32_t i = 0; i < p->n_indices; i++)
        k->names[i] = p->indices[i].name;
    const char **free_names = k->names + p->n_indices;
    for (int32_t i = 0; i < p->n_tensors; free_names += p->tensors[i].rank, i++)
        describe_tensor(&k->tensors[i], &p->tensors[i], p, free_names);
    for (int32_t i = 0; i < p->n_params; i++)
        describe_param(&k->params[i], &p->params[i]);
    k->desc = (AttnPatternDesc){.name = p->name,
                                .doc = p->doc,
                                .signature = p->signature,
                                .device = p->cuda ? kDLCUDA : kDLCPU,
                                .n_indices = p->n_indices,
                                .n_tensors = p->n_tensors,
                                .n_params = p->n_params,
                                .n_variants = variants,
                                .indices = k->names,
                                .tensors = k->tensors,
                                .params = k->params};
    return true;
}

/* Variants of a pattern stand together; each group becomes one kernel. */
static bool describe_module(AttnLibrary *l)
{
    const AttnModule *m = l->module;
    l->kernels = rt_alloc((size_t)m->n_patterns, sizeof *l->kernels);
    if (!l->kernels)
        return false;
    for (int32_t i = 0, n; i < m->n_patterns; i += n) {
        for (n = 1; i + n < m->n_patterns && strcmp(m->patterns[i].name, m->patterns[i + n].name) == 0;)
            n++;
        if (!describe_kernel(&l->kernels[l->n_kernels++], &m->patterns[i], n))
            return false;
    }
    return true;
}

/* A name for an open file that no other open of this process ever had. The loader takes a name that it has
 * seen for the file it had then, also where the file was replaced or the descriptor's number reused: so
 * the time is spelt into the path, a bit as `/` or `/.`. By process number, and with the descriptor kept
 * open, so that debuggers can follow it. */
static bool unique_name(int fd, char *name, size_t bytes)
{
    char self[32] = "";
    struct timespec now;
    struct stat st;
    if (readlink("/proc/self", self, sizeof self - 1) <= 0 || clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return false;
    uint64_t time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    int n = snprintf(name, bytes, "/proc/%s", self);
    for (; time; time >>= 1)
        n += snprintf(name + n, bytes - (size_t)n, time & 1 ? "/." : "/");
    snprintf(name + n, bytes - (size_t)n, "/fd/%d", fd);
    return stat(name, &st) == 0;
}

static void *load(int fd, const char *path)
{
    char name[256];
    struct stat opened, named;
    if (unique_name(fd, name, sizeof name))
        return dlopen(name, RTLD_NOW | RTLD_LOCAL);
    /* No /proc: at least the same file. */
    if (fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
        opened.st_ino == named.st_ino) {
        char local[4096];
        snprintf(local, sizeof local, "%s%s", strchr(path, '/') ? "" : "./", path);
        return dlopen(local, RTLD_NOW | RTLD_LOCAL);
    }
    return NULL;
}

static AttnStatus load_module(AttnLibrary *l, AttnError *error)
{
    l->handle = load(l->fd, l->path);
    if (!l->handle) {
        const char *reason = dlerror();
        return rt_fail(error, ATTN_STATUS_FILE, "%s: %s", l->path, reason ? reason : "it cannot be loaded");
    }
    l->module = dlsym(l->handle, ATTN_MODULE_SYMBOL);
    if (!l->module)
        return rt_fail(error, ATTN_STATUS_FILE, "%s: it does not describe itself (no symbol %s)", l->path,
                       ATTN_MODULE_SYMBOL);
    if (l->module->abi != ATTN_ABI_VERSION)
        return rt_fail(error, ATTN_STATUS_ABI, "%s: made for ABI %u; this libattn runs ABI %d", l->path,
                       l->module->abi, ATTN_ABI_VERSION);
    l->features = rt_cpu_features();
    return describe_module(l) ? ATTN_OK : rt_no_memory(error);
}

static void unload(AttnLibrary *l)
{
    for (int i = 0; i < l->n_kernels; i++) {
        rt_free(l->kernels[i].names);
        rt_free(l->kernels[i].tensors);
        rt_free(l->kernels[i].params);
    }
    rt_free(l->kernels);
    rt_cuda_unload(&l->cuda);
    if (l->handle)
        dlclose(l->handle);
    close(l->fd);
    rt_free(l->path);
    rt_free(l->remark);
    rt_free(atomic_load(&l->general));
    rt_free(l);
}

static AttnStatus check_file(int fd, const char *path, AttnNote *note, AttnError *error)
{
    char *bytes;
    size_t size;
    AttnStatus status = rt_read_file(fd, path, &bytes, &size, error);
    if (status)
        return status;
    status = rt_elf_check(bytes, size, path, note, error);
    rt_free(bytes);
    return status;
}

AttnStatus rt_library_open(int fd, const char *path, AttnLibrary **library, AttnError *error)
{
    AttnNote note;
    AttnStatus status = check_file(fd, path, &note, error);
    AttnLibrary *l = status ? NULL : rt_alloc(1, sizeof *l);
    if (!l) {
        close(fd);
        return status ? status : rt_no_memory(error);
    }
    l->fd = fd;
    l->checksum = note.checksum;
    atomic_init(&l->references, 1);
    pthread_mutex_init(&l->cuda.lock, NULL);
    l->path = rt_copy_text(path);
    status = l->path ? load_module(l, error) : rt_no_memory(error);
    if (status)
        unload(l);
    else
        *library = l;
    return status;
}

AttnStatus attn_open(const char *path, AttnLibrary **library, AttnError *error)
{
    if (!path || !library)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_open: NULL argument");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return rt_fail(error, ATTN_STATUS_IO, "%s: %s", path, strerror(errno));
    return rt_library_open(fd, path, library, error);
}

void attn_close(AttnLibrary *library)
{
    if (library && atomic_fetch_sub_explicit(&library->references, 1, memory_order_acq_rel) == 1)
        unload(library);
}

AttnLibraryDesc attn_library_desc(const AttnLibrary *l)
{
    return (AttnLibraryDesc){.path = l->path,
                             .source = l->module->source,
                             .compiler = l->module->compiler,
                             .source_hash = {l->module->source_hash[0], l->module->source_hash[1]},
                             .cached = l->cached,
                             .remark = l->remark,
                             .general = atomic_load(&l->general)};
}

int attn_pattern_count(const AttnLibrary *library) { return library->n_kernels; }

const AttnPatternDesc *attn_pattern_at(const AttnLibrary *library, int number)
{
    return number >= 0 && number < library->n_kernels ? &library->kernels[number].desc : NULL;
}

const RtKernel *rt_kernel_find(const AttnLibrary *library, const char *name)
{
    for (int i = 0; i < library->n_kernels; i++)
        if (strcmp(library->kernels[i].desc.name, name) == 0)
            return &library->kernels[i];
    return NULL;
}

const AttnPatternDesc *attn_pattern_find(const AttnLibrary *library, const char *name)
{
    const RtKernel *k = name ? rt_kernel_find(library, name) : NULL;
    return k ? &k->desc : NULL;
}
