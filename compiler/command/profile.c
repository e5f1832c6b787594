/* See profile.h. Sizes of caches come from hwloc where it is installed, opened as the program runs. */
#include "compiler/command/profile.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if __has_include(<hwloc.h>)
#include <hwloc.h>
#define HAS_HWLOC 1
#endif

#include "compiler/command/host.h"

#define HEADER "attnc machine 1"

/* ---- what it is called ---- */

static void name_cpu(char *out, size_t size)
{
    char line[512], model[100] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "model name : %99[^\n]", model) == 1) break;
    if (file) fclose(file);
    snprintf(out, size, "%s x %ld", model, sysconf(_SC_NPROCESSORS_CONF));
}

/* ---- caches ---- */

static void ask_system(double *caches)
{
    static const int names[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
    for (unsigned k = 0; k < PROFILE_CACHES; k++) {
        long bytes = sysconf(names[k]);
        caches[k] = bytes > 0 ? (double)bytes : 0;
    }
}

#ifdef HAS_HWLOC
#define SYMBOL(library, name)   \
    __typeof__(name) *p_##name; \
    *(void **)&p_##name = dlsym(library, #name)

/* False: hwloc knows nothing. */
static bool ask_hwloc(double *caches)
{
    static const hwloc_obj_type_t types[] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE};
    void *library = dlopen("libhwloc.so.15", RTLD_NOW | RTLD_LOCAL);
    hwloc_topology_t topology;
    if (!library) return false;
    SYMBOL(library, hwloc_topology_init);
    SYMBOL(library, hwloc_topology_load);
    SYMBOL(library, hwloc_topology_destroy);
    SYMBOL(library, hwloc_get_type_depth);
    SYMBOL(library, hwloc_get_obj_by_depth);
    bool all = p_hwloc_topology_init && p_hwloc_topology_load && p_hwloc_topology_destroy &&
               p_hwloc_get_type_depth && p_hwloc_get_obj_by_depth;
    if (!all || p_hwloc_topology_init(&topology)) return false;
    bool known = !p_hwloc_topology_load(topology);
    for (unsigned k = 0; known && k < PROFILE_CACHES; k++) {
        int depth = p_hwloc_get_type_depth(topology, types[k]);
        hwloc_obj_t cache = depth >= 0 ? p_hwloc_get_obj_by_depth(topology, depth, 0) : NULL;
        caches[k] = cache ? (double)cache->attr->cache.size : 0;
    }
    p_hwloc_topology_destroy(topology);
    while (dlerror()) continue; /* of plugins that it looked for: the text would be lost memory */
    return known && caches[0] > 0;
}
#else
static bool ask_hwloc(double *caches)
{
    (void)caches;
    return false;
}
#endif

/* ---- the file ---- */

static const char *file_path(Compilation *c)
{
    const char *base = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    if (base && *base == '/') return format(c, "%s/attnc/machine.txt", base);
    return home && *home == '/' ? format(c, "%s/.cache/attnc/machine.txt", home) : NULL;
}

/* True: it is about this CPU. */
static bool read_file(const char *path, Profile *p)
{
    Profile found = {.cpu = ""};
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) return false;
    double *k = found.caches;
    bool whole = fscanf(file, HEADER " cpu %127[^\n] peak %lf read %lf caches %lf %lf %lf", found.cpu,
                        &found.peak, &found.read, &k[0], &k[1], &k[2]) == 6;
    fclose(file);
    if (!whole || strcmp(found.cpu, p->cpu) || !(found.peak > 0) || !(found.read > 0)) return false;
    *p = found;
    return true;
}

static void make_folder(Compilation *c, const char *path)
{
    char *folder = format(c, "%s", path);
    for (char *at = folder + 1; *at; at++) {
        if (*at != '/') continue;
        *at = 0;
        mkdir(folder, 0700);
        *at = '/';
    }
}

/* Where it cannot be written it is measured each time. */
static void write_file(Compilation *c, const char *path, const Profile *p)
{
    if (!path) return;
    make_folder(c, path);
    const char *temporary = format(c, "%s.%ld", path, (long)getpid());
    FILE *file = fopen(temporary, "wxe");
    if (!file) return;
    fprintf(file, HEADER "\ncpu %s\npeak %.6g\nread %.6g\ncaches %.0f %.0f %.0f\n", p->cpu, p->peak, p->read,
            p->caches[0], p->caches[1], p->caches[2]);
    if (fclose(file) || rename(temporary, path)) unlink(temporary);
}

Profile profile_of_host(Compilation *c)
{
    Profile p = {.cpu = ""};
    const char *path = file_path(c);
    name_cpu(p.cpu, sizeof p.cpu);
    if (read_file(path, &p)) return p;
    p.peak = host_peak_flops(1);
    p.read = host_read_bytes(1);
    if (!ask_hwloc(p.caches)) ask_system(p.caches);
    write_file(c, path, &p);
    return p;
}
