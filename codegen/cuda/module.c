/* From variants to what a module embeds, and what --emit=cuda and ptx print. See cuda.h. */
#include "codegen/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cuda/nvrtc.h"
#include "compiler/gpu.h"
#include "compiler/lower_tile.h"

/* ---- architectures ---- */

/* As NVIDIA's tools name them: sm_80 is a cubin, compute_80 PTX. */
typedef struct Archs {
    VEC(unsigned) cubins; /* ascending */
    unsigned ptx;
} Archs;

static void add_cubin(Compilation *c, Archs *archs, unsigned arch)
{
    uint32_t k = 0;
    while (k < archs->cubins.n && archs->cubins.at[k] < arch) k++;
    if (k < archs->cubins.n && archs->cubins.at[k] == arch) return;
    PUSH(c, &archs->cubins, arch);
    for (uint32_t i = archs->cubins.n - 1; i > k; i--) archs->cubins.at[i] = archs->cubins.at[i - 1];
    archs->cubins.at[k] = arch;
}

static bool read_arch(const char *at, const char *end, const char *form, unsigned *arch)
{
    int used = 0;
    return sscanf(at, form, arch, &used) == 1 && at + used == end && *arch >= 80;
}

/* `sm_80,sm_90`; PTX is of the lowest unless `compute_80` names another, which may stand alone. NULL, or what
 * is wrong. */
static const char *read_archs(const BackendJob *job, Archs *archs)
{
    const char *text = job->archs ? job->archs : "sm_80";
    for (const char *at = text, *end; at; at = *end ? end + 1 : NULL) {
        unsigned arch = 0;
        end = strchrnul(at, ',');
        if (read_arch(at, end, "sm_%u%n", &arch))
            add_cubin(job->c, archs, arch);
        else if (read_arch(at, end, "compute_%u%n", &arch))
            archs->ptx = arch;
        else
            return format(job->c, "--arch %s: expected sm_80 or later, by commas; compute_80 for PTX", text);
    }
    if (!archs->ptx) archs->ptx = archs->cubins.at[0];
    return NULL;
}

/* ---- images ---- */

static const char *compile(const BackendJob *job, const Nvrtc *nvrtc, const CudaProgram *program,
                           unsigned arch, bool ptx, NvrtcImage *image)
{
    NvrtcOptions options = {.arch = arch, .ptx = ptx, .lines = job->debug};
    return nvrtc_compile(job->c, nvrtc, program->source, program->file, &options, image);
}

typedef VEC(AttnCudaImage) Images;

static const char *add_image(const BackendJob *job, const Nvrtc *nvrtc, const CudaProgram *program,
                             unsigned arch, bool ptx, Images *images)
{
    NvrtcImage image;
    const char *error = compile(job, nvrtc, program, arch, ptx, &image);
    if (error) return error;
    uint32_t kind = ptx ? ATTN_CUDA_PTX : ATTN_CUDA_CUBIN;
    PUSH(job->c, images, (AttnCudaImage){arch, kind, image.size, image.data});
    return NULL;
}

/* Features, where they would give some stage tiles if they were fixed; else NULL. */
static const int32_t *open_features(const BackendJob *job, const Kernel *kernel)
{
    const Pattern *p = kernel->pattern;
    int32_t *list = NEW_ARRAY(job->c, int32_t, p->indices.n + 1), n = 0;
    bool wanted = false;
    for (uint32_t k = 0; k < kernel->phases.n; k++)
        wanted = wanted || (kernel->phases.at[k].plain && !strcmp(kernel->phases.at[k].plain, TILE_OPEN));
    for (uint32_t k = 0; k < p->indices.n; k++)
        if (gpu_is_feature(p, p->indices.at[k])) list[n++] = (int32_t)k;
    list[n] = -1;
    return wanted && n ? list : NULL;
}

const char *cuda_embed(const BackendJob *job, const Variant *variant, const AttnCuda **cuda)
{
    Archs archs = {0};
    Images images = {0};
    CudaProgram program = cuda_print(job, variant, true);
    const char *error = read_archs(job, &archs);
    const Nvrtc *nvrtc = error ? NULL : nvrtc_open(job->c, &error);
    for (uint32_t k = 0; k < archs.cubins.n && !error; k++)
        error = add_image(job, nvrtc, &program, archs.cubins.at[k], false, &images);
    if (!error) error = add_image(job, nvrtc, &program, archs.ptx, true, &images);
    if (error) return error;
    AttnCuda *made = NEW(job->c, AttnCuda);
    *made = (AttnCuda){.n_images = (int32_t)images.n,
                       .n_kernels = (int32_t)program.n_kernels,
                       .images = images.at,
                       .kernels = program.kernels,
                       .source = program.source,
                       .features = open_features(job, variant->kernel)};
    *cuda = made;
    return NULL;
}

/* ---- text ---- */

static const char *emit_ptx(const BackendJob *job, const CudaProgram *program, Text *out)
{
    Archs archs = {0};
    NvrtcImage image;
    const char *error = read_archs(job, &archs);
    const Nvrtc *nvrtc = error ? NULL : nvrtc_open(job->c, &error);
    if (!error) error = compile(job, nvrtc, program, archs.ptx, true, &image);
    if (!error) text_add(out, "%s", image.data);
    return error;
}

const char *cuda_emit(const BackendJob *job, Emit what, Text *out)
{
    const char *error = NULL;
    for (uint32_t k = 0; k < job->variants.n && !error; k++) {
        const Variant *v = &job->variants.at[k];
        if (k && job->variants.at[k - 1].kernel->pattern == v->kernel->pattern) continue;
        CudaProgram program = cuda_print(job, v, what == EMIT_PTX);
        if (out->n) text_add(out, "\n");
        if (what == EMIT_PTX)
            error = emit_ptx(job, &program, out);
        else
            text_add(out, "%s", program.source);
    }
    return error;
}
