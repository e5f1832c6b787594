/* A module of device code written by hand, for fake_driver.c: images are texts. */
#include "runtime/abi.h"

#include <stddef.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define COUNT(a) ((int32_t)(sizeof(a) / sizeof *(a)))

__asm__(".pushsection .note.attnc,\"a\",@note\n"
        ".balign 4\n"
        ".long 6, 40, " TEXT(ATTN_NOTE_TYPE) "\n"
                                             ".asciz \"" ATTN_NOTE_NAME "\"\n"
                                             ".balign 4\n"
                                             ".long " TEXT(ATTN_ABI_VERSION) ", 0\n"
                                                                             ".quad 0, 0, 0, 0\n"
                                                                             ".popsection");

/* ---- pick: o[b, h, i] = scale * x[b, table[i]] where the page is below `most` ---- */

enum { B, I, PAGE };
static const AttnIndexInfo indices[] = {{"b", 0}, {"i", 0}, {"page", 0}};
static const int32_t b_page[] = {B, PAGE}, only_i[] = {I}, b_i[] = {B, I};
static const AttnTensorInfo tensors[] = {
    {"x", ATTN_INPUT, ATTN_F32, 2, 1, -1, 0, b_page, NULL, NULL},
    {"table", ATTN_CAPTURE, ATTN_I64, 1, 0, -1, 0, only_i, "0..size(page)", NULL},
    {"bias", ATTN_CAPTURE, ATTN_F32, 1, 0, -1, 1, only_i, NULL, NULL},
    {"o", ATTN_OUTPUT, ATTN_F32, 2, 1, -1, 0, b_i, NULL, NULL},
};
static const AttnParamInfo params[] = {{"scale", ATTN_F64, 0, 0}, {"most", ATTN_I64, 1, 5}};
static const AttnCheckInfo checks[] = {
    {"most >= 0", ATTN_CHECK_CONDITION, -1, 7, 5},
    {"table in 0..size(page)", ATTN_CHECK_DATA_RANGE, 1, 4, 10},
    {"page: int in 0..most", ATTN_CHECK_RUN, -1, 9, 3},
};

static int32_t prepare(const AttnCall *c, AttnPlan *plan)
{
    if (c->params[1] < 0) return 1;
    plan->workspace = (uint64_t)c->extents[I] * 8;
    plan->scratch = 48;
    plan->tasks[0] = c->extents[I];
    plan->tasks[1] = c->extents[B] * c->extents[I];
    plan->tasks[2] = c->extents[B] == 7 ? 0 : 1000 * c->extents[B];
    return 0;
}

#define IMAGE(arch, kind, text) {arch, ATTN_CUDA_##kind, sizeof(text), text}
#define KERNELS " words 27 check main last"
static const AttnCudaImage images[] = {
    IMAGE(75, CUBIN, "cubin 75" KERNELS), IMAGE(80, CUBIN, "cubin 80" KERNELS),
    IMAGE(86, CUBIN, "cubin 86" KERNELS), IMAGE(90, CUBIN, "cubin 90" KERNELS),
    IMAGE(75, PTX, "ptx 75" KERNELS),     IMAGE(80, PTX, "ptx 80" KERNELS)};
static const AttnCudaImage lame[] = {IMAGE(80, PTX, "ptx 80 words 27 check main")};
static const AttnCudaKernel kernels[] = {
    {"check", 128, 128, 0, 0}, {"main", 64, 1, 60000, 0}, {"last", 32, 32, 16, 1}};
static const AttnCuda cuda = {COUNT(images), COUNT(kernels), images, kernels, "__global__ ..."};
static const AttnCuda lame_cuda = {COUNT(lame), COUNT(kernels), lame, kernels, "__global__ ..."};
static const AttnCuda greedy_cuda = {COUNT(lame), 1, lame,
                                     (const AttnCudaKernel[]){{"main", 64, 1, 200000, 0}}, "__global__ ..."};

/* ---- wide: more tensors than the parameter holds ---- */

enum { WIDE = 130 };
static const AttnTensorInfo wide_tensors[WIDE] = {
    [0 ... WIDE - 1] = {"x", ATTN_CAPTURE, ATTN_F32, 1, 0, -1, 1, only_i, NULL, NULL}};

static int32_t wide_prepare(const AttnCall *c, AttnPlan *plan)
{
    plan->workspace = plan->scratch = 0;
    plan->tasks[0] = c->extents[I];
    return 0;
}
static int32_t large_prepare(const AttnCall *c, AttnPlan *plan)
{
    wide_prepare(c, plan);
    plan->workspace = (uint64_t)c->extents[I] << 31;
    return 0;
}

#define PATTERN(name_, tensors_, cuda_)                                                                     \
    .name = name_, .signature = "pattern " name_ "(...)", .n_indices = COUNT(indices),                      \
    .n_tensors = COUNT(tensors_), .indices = indices, .tensors = tensors_, .cpu = "x86-64", .cuda = &cuda_, \
    .params = params, .checks = checks, .n_checks = 3
static const AttnPattern patterns[] = {
    {PATTERN("pick", tensors, cuda), .n_params = 2, .n_phases = 3, .n_data_checks = 1, .prepare = prepare},
    {PATTERN("lame", tensors, lame_cuda), .n_params = 2, .n_phases = 3, .n_data_checks = 1,
     .prepare = prepare},
    {PATTERN("greedy", tensors, greedy_cuda), .n_phases = 1, .prepare = wide_prepare},
    {PATTERN("large", tensors, cuda), .n_phases = 1, .prepare = large_prepare},
    {PATTERN("wide", wide_tensors, cuda), .n_phases = 1, .prepare = wide_prepare},
};

__attribute__((visibility("default"))) extern const AttnModule attn_module;
const AttnModule attn_module = {.abi = ATTN_ABI_VERSION,
                                .n_patterns = COUNT(patterns),
                                .patterns = patterns,
                                .compiler = "by hand",
                                .source = "fake.attn",
                                .source_hash = {2, 0}};
