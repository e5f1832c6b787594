/* Variants made as the program runs. A module for CUDA carries its sources (AttnOrigin): where the variant of
 * a call leaves features open that would give better kernels as constants, it is compiled once more with the
 * extents of the call, for the device's architecture, by libattn_jit and NVRTC. The result is found in the
 * cache on the disk from then on. Where it cannot be had, the open variant runs, and attn_library_desc says
 * why.
 *
 * One is made for every architecture and combination of extents, by whichever thread is first; the others
 * wait for it. $ATTN_SPECIALISE=0: none is made. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FEATURES = 16 };

struct RtCudaSpecial {
    RtCudaSpecial *next;
    const AttnPattern *open; /* the variant that it stands for */
    uint32_t arch;
    int64_t extents[MOST_FEATURES];
    AttnLibrary *library;       /* NULL: it cannot be had */
    const AttnPattern *variant; /* of the library */
};

static int count_features(const AttnPattern *v)
{
    int n = 0;
    while (v->cuda->features[n] >= 0) n++;
    return n;
}

static bool is_wanted(const AttnBinding *b)
{
    const char *setting = secure_getenv("ATTN_SPECIALISE");
    const AttnPattern *v = b->variant;
    return v->cuda->features && b->library->module->origin && count_features(v) <= MOST_FEATURES &&
           !(setting && strcmp(setting, "0") == 0);
}

/* ---- making one ---- */

typedef struct Sizes {
    char text[MOST_FEATURES][128];
    const char *list[MOST_FEATURES + 1];
} Sizes;

/* `d=64`. False: the name is too long. */
static bool make_sizes(const AttnPattern *v, const int64_t *extents, Sizes *sizes)
{
    int n = count_features(v);
    for (int i = 0; i < n; i++) {
        int length = snprintf(sizes->text[i], sizeof sizes->text[i], "%s=%lld",
                              v->indices[v->cuda->features[i]].name, (long long)extents[i]);
        if (length < 0 || (size_t)length >= sizeof sizes->text[i]) return false;
        sizes->list[i] = sizes->text[i];
    }
    sizes->list[n] = NULL;
    return true;
}

/* The variant of fixed features; NULL: the module is made of other sources, or has none. */
static const AttnPattern *find_variant(const AttnLibrary *l, const AttnLibrary *origin, const char *name)
{
    const RtKernel *k = rt_kernel_find(l, name);
    bool same =
        memcmp(l->module->source_hash, origin->module->source_hash, sizeof origin->module->source_hash) == 0;
    return same && k && k->variants->cuda ? k->variants : NULL;
}

/* The first reason stays. */
static void tell(const AttnBinding *b, const RtCudaSpecial *s, const Sizes *sizes, const char *why)
{
    RtText text = {0};
    if (atomic_load(&b->library->general)) return;
    rt_text_add(&text, "%s runs general kernels on sm_%u: those for", b->variant->name, s->arch);
    for (int i = 0; sizes->list[i]; i++) rt_text_add(&text, " %s", sizes->list[i]);
    rt_text_add(&text, " could not be made: %s", why);
    atomic_store(&b->library->general, text.at);
}

static void make(const AttnBinding *b, RtCudaSpecial *s)
{
    AttnError error = {0};
    const AttnOrigin *origin = b->library->module->origin;
    char target[32];
    Sizes sizes;
    AttnCompileOptions options = {.pattern = b->variant->name,
                                  .definitions = origin->definitions,
                                  .sizes = sizes.list,
                                  .f64 = strcmp(origin->real, "f64") == 0,
                                  .debug = origin->debug,
                                  .target = target,
                                  .real = origin->real};
    snprintf(target, sizeof target, "cuda:sm_%u", s->arch);
    if (!make_sizes(b->variant, s->extents, &sizes)) return;
    if (rt_compile(origin->files[0].text, origin->files[0].path, &options, origin->files, origin->n_files,
                   b->library->module->source_hash, &s->library, &error)) {
        tell(b, s, &sizes, error.text);
        return;
    }
    s->variant = find_variant(s->library, b->library, b->variant->name);
    if (!s->variant) tell(b, s, &sizes, "its sources are other ones by now");
}

/* ---- finding one ---- */

static bool is_for(const RtCudaSpecial *s, const AttnBinding *b, uint32_t arch)
{
    const AttnPattern *v = b->variant;
    bool same = s->open == v && s->arch == arch;
    for (int i = 0; same && v->cuda->features[i] >= 0; i++)
        same = s->extents[i] == b->extents[v->cuda->features[i]];
    return same;
}

/* NULL: no memory. */
static RtCudaSpecial *find_or_make(const AttnBinding *b, RtCuda *c, uint32_t arch)
{
    RtCudaSpecial *s = c->specials;
    while (s && !is_for(s, b, arch)) s = s->next;
    if (s) return s;
    s = rt_alloc(1, sizeof *s);
    if (!s) return NULL;
    s->open = b->variant;
    s->arch = arch;
    for (int i = 0; b->variant->cuda->features[i] >= 0; i++)
        s->extents[i] = b->extents[b->variant->cuda->features[i]];
    make(b, s);
    s->next = c->specials;
    c->specials = s;
    return s;
}

AttnStatus rt_cuda_specialise(AttnBinding *b, RtCuda *c, AttnError *error)
{
    CuDevice device;
    uint32_t arch;
    if (!is_wanted(b)) return ATTN_OK;
    AttnStatus status = rt_driver(&c->driver, error, cuCtxGetDevice, &device);
    if (!status) status = rt_cuda_arch(&c->driver, device, &arch, error);
    if (status) return status;
    const RtCudaSpecial *s = find_or_make(b, c, arch);
    if (!s) return rt_no_memory(error);
    if (!s->variant) return ATTN_OK;
    if (!rt_task_room(b, (size_t)s->variant->n_phases)) return rt_no_memory(error);
    b->variant = s->variant;
    return rt_plan(b, error);
}

void rt_cuda_unload_specials(RtCuda *c)
{
    for (RtCudaSpecial *s = c->specials, *next; s; s = next) {
        next = s->next;
        attn_close(s->library);
        rt_free(s);
    }
}
