/* A module written by hand, as the compiler would have made it: what the tests of the runtime run.
 * -DFAKE_ABI=N and -DFAKE_NUMBER=N vary it. */
#include "runtime/abi.h"

#include <stddef.h>

#ifndef FAKE_ABI
#define FAKE_ABI ATTN_ABI_VERSION
#endif
#ifndef FAKE_NUMBER
#define FAKE_NUMBER 0
#endif
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define COUNT(a) ((int32_t)(sizeof(a) / sizeof *(a)))

#ifndef FAKE_NO_NOTE
__asm__(".pushsection .note.attnc,\"a\",@note\n"
        ".balign 4\n"
        ".long 6, 40, " TEXT(ATTN_NOTE_TYPE) "\n"
                                             ".asciz \"" ATTN_NOTE_NAME "\"\n"
                                             ".balign 4\n"
                                             ".long " TEXT(FAKE_ABI) ", 0\n"
                                                                     ".quad 0, 0, 0, 0\n"
                                                                     ".popsection");
#endif

/* Element of a tensor of up to four dimensions; `heads`: the dimension that groups, or -1. */
static int64_t offset(const AttnTensor *t, int rank, int heads, const int64_t *at)
{
    int64_t sum = 0;
    for (int i = 0; i < rank; i++)
        sum += t->strides[i] * (i == heads ? at[i] / t->group : at[i]);
    return sum;
}

static void fail(const AttnCall *call, int32_t check)
{
    int32_t expected = 0;
    __atomic_compare_exchange_n(call->status, &expected, check + 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static int64_t load_int(const AttnTensor *t, int64_t at)
{
    switch ((AttnType)t->type) {
    case ATTN_I8: return ((const int8_t *)t->data)[at];
    case ATTN_U8: return ((const uint8_t *)t->data)[at];
    case ATTN_I16: return ((const int16_t *)t->data)[at];
    case ATTN_U16: return ((const uint16_t *)t->data)[at];
    case ATTN_I32: return ((const int32_t *)t->data)[at];
    case ATTN_U32: return ((const uint32_t *)t->data)[at];
    default: return ((const int64_t *)t->data)[at];
    }
}

/* ---- score: o[b, h, i, j] = scale * sum[d](q * (k + pool[table[b, j], d])) + bias[h] where i - j < window ---- */

enum { B, H, I, J, D, PAGE };
static const AttnIndexInfo score_indices[] = {{"b", 0}, {"h", 0}, {"i", 0}, {"j", 0}, {"d", 0}, {"page", 0}};
static const int32_t bhid[] = {B, H, I, D}, bhjd[] = {B, H, J, D}, bhij[] = {B, H, I, J},
                     page_d[] = {PAGE, D}, bj[] = {B, J}, only_h[] = {H};
static const AttnTensorInfo score_tensors[] = {
    {"q", ATTN_INPUT, ATTN_F32, 4, 2, 1, 0, bhid, NULL, "Queries."},
    {"k", ATTN_INPUT, ATTN_F32, 4, 2, 1, 0, bhjd, NULL, NULL},
    {"pool", ATTN_CAPTURE, ATTN_F32, 2, 0, -1, 0, page_d, NULL, NULL},
    {"table", ATTN_CAPTURE, ATTN_I64, 2, 0, -1, 0, bj, "0..size(page)", NULL},
    {"bias", ATTN_CAPTURE, ATTN_F32, 1, 0, -1, 1, only_h, NULL, NULL},
    {"o", ATTN_OUTPUT, ATTN_F32, 4, 2, -1, 0, bhij, NULL, NULL},
};
enum { WINDOW, SCALE, FLIP };
static const AttnParamInfo score_params[] = {
    {"window", ATTN_I64, 1, 1000}, {"scale", ATTN_F64, 0, 0}, {"flip", ATTN_BOOL, 1, 0}};
static const AttnCheckInfo score_checks[] = {
    {"size(d) % 2 == 0 and window >= 0", ATTN_CHECK_CONDITION, -1, 7, 5},
    {"table in 0..size(page)", ATTN_CHECK_DATA_RANGE, 3, 4, 10},
    {"half: int in 0..window", ATTN_CHECK_RUN, -1, 9, 3},
};

static int32_t score_prepare(const AttnCall *c, AttnPlan *plan)
{
    const int64_t *n = c->extents;
    if (n[D] % 2 != 0 || c->params[WINDOW] < 0)
        return 1;
    plan->workspace = (uint64_t)(n[B] * n[J] * n[D]) * sizeof(float);
    plan->scratch = (uint64_t)n[J] * sizeof(double);
    plan->tasks[0] = n[B];
    plan->tasks[1] = n[B] * n[J];
    plan->tasks[2] = n[B] * n[H] * n[I];
    return 0;
}

static void score_check(const AttnCall *c, int64_t b)
{
    const int64_t *n = c->extents;
    for (int64_t j = 0; j < n[J]; j++) {
        int64_t page = load_int(&c->tensors[3], offset(&c->tensors[3], 2, -1, (int64_t[]){b, j}));
        if (page < 0 || page >= n[PAGE])
            fail(c, 1);
    }
}

static void score_gather(const AttnCall *c, int64_t task)
{
    const int64_t *n = c->extents;
    int64_t b = task / n[J], j = task % n[J];
    int64_t page = load_int(&c->tensors[3], offset(&c->tensors[3], 2, -1, (int64_t[]){b, j}));
    float *row = (float *)c->workspace + task * n[D];
    for (int64_t d = 0; d < n[D]; d++)
        row[d] = ((float *)c->tensors[2].data)[offset(&c->tensors[2], 2, -1, (int64_t[]){page, d})];
}

static double score_one(const AttnCall *c, const int64_t *at)
{
    const int64_t *n = c->extents;
    double sum = 0, scale;
    __builtin_memcpy(&scale, &c->params[SCALE], sizeof scale);
    for (int64_t d = 0; d < n[D]; d++) {
        float q =
            ((float *)c->tensors[0].data)[offset(&c->tensors[0], 4, 1, (int64_t[]){at[0], at[1], at[2], d})];
        float k =
            ((float *)c->tensors[1].data)[offset(&c->tensors[1], 4, 1, (int64_t[]){at[0], at[1], at[3], d})];
        sum += q * (k + ((float *)c->workspace)[(at[0] * n[J] + at[3]) * n[D] + d]);
    }
    return (c->params[FLIP] ? -1 : 1) * scale * sum;
}

static void score_row(const AttnCall *c, int64_t task, double *row)
{
    const int64_t *n = c->extents, i = task % n[I], h = task / n[I] % n[H], b = task / n[I] / n[H];
    for (int64_t j = 0; j < n[J]; j++)
        row[j] = i - j < c->params[WINDOW] ? score_one(c, (int64_t[]){b, h, i, j}) : 0;
    for (int64_t j = 0; j < n[J]; j++) {
        float bias = c->tensors[4].data ? ((float *)c->tensors[4].data)[c->tensors[4].strides[0] * h] : 0;
        if (row[j] == 12345)
            fail(c, 2);
        ((float *)c->tensors[5].data)[offset(&c->tensors[5], 4, -1, (int64_t[]){b, h, i, j})] =
            (float)row[j] + bias;
    }
}

static void score_phase(const AttnCall *c, int32_t phase, int64_t first, int64_t last, void *scratch)
{
    for (int64_t task = first; task < last; task++) {
        if (phase == 0)
            score_check(c, task);
        else if (phase == 1)
            score_gather(c, task);
        else
            score_row(c, task, scratch);
    }
}

/* ---- sums: y[b, t] = running sum of x along t, with its state carried ---- */

static const AttnIndexInfo sums_indices[] = {{"b", 0}, {"t", 0}};
static const int32_t dim_bt[] = {0, 1}, dim_b[] = {0};
static const AttnTensorInfo sums_tensors[] = {
    {"x", ATTN_INPUT, ATTN_F32, 2, 1, 0, 0, dim_bt, NULL, NULL},
    {"y", ATTN_OUTPUT, ATTN_F32, 2, 1, -1, 0, dim_bt, NULL, NULL},
    {"S.start", ATTN_INPUT, ATTN_F32, 1, 1, 0, 1, dim_b, NULL, NULL},
    {"S.last", ATTN_OUTPUT, ATTN_F32, 1, 1, -1, 1, dim_b, NULL, NULL},
};

static int32_t sums_prepare(const AttnCall *c, AttnPlan *plan)
{
    plan->workspace = plan->scratch = 0;
    plan->tasks[0] = c->extents[0];
    return 0;
}

static void sums_phase(const AttnCall *c, int32_t phase, int64_t first, int64_t last, void *scratch)
{
    (void)phase, (void)scratch;
    const AttnTensor *x = &c->tensors[0], *y = &c->tensors[1], *start = &c->tensors[2], *end = &c->tensors[3];
    for (int64_t b = first; b < last; b++) {
        float s = start->data ? ((float *)start->data)[start->strides[0] * (b / start->group)] : 0;
        for (int64_t t = 0; t < c->extents[1]; t++) {
            s += ((float *)x->data)[x->strides[0] * (b / x->group) + x->strides[1] * t];
            ((float *)y->data)[y->strides[0] * b + y->strides[1] * t] = s;
        }
        if (end->data)
            ((float *)end->data)[end->strides[0] * b] = s;
    }
}

/* ---- pick: which variant ran; only: none that fits everything ---- */

static const AttnIndexInfo pick_indices[] = {{"d", 0}};
static const int32_t pick_dims[] = {0};
static const int64_t fixed_4[] = {4}, fixed_64[] = {64}, free_extents[] = {-1};
static const AttnTensorInfo pick_tensors[] = {
    {"x", ATTN_INPUT, ATTN_F32, 1, 0, -1, 0, pick_dims, NULL, NULL},
    {"o", ATTN_OUTPUT, ATTN_I64, 0, 0, -1, 0, NULL, "0..100", NULL},
};

static int32_t pick_prepare(const AttnCall *c, AttnPlan *plan)
{
    (void)c;
    plan->workspace = plan->scratch = 0;
    plan->tasks[0] = 1;
    return 0;
}

static void put_int(const AttnTensor *t, int64_t value)
{
    if (t->type == ATTN_I8)
        *(int8_t *)t->data = (int8_t)value;
    else
        *(int64_t *)t->data = value;
}
#define PICK(number)                                                                                         \
    static void pick_##number(const AttnCall *c, int32_t phase, int64_t first, int64_t last, void *scratch)  \
    {                                                                                                        \
        (void)phase, (void)first, (void)last, (void)scratch;                                                 \
        put_int(&c->tensors[1], number);                                                                     \
    }
PICK(1)
PICK(2)
PICK(3)

/* ---- kinds: one tensor of every element type ---- */

static const AttnTensorInfo kinds_tensors[] = {
    {"f64", ATTN_INPUT, ATTN_F64, 1, 0, -1, 0, pick_dims, NULL, NULL},
    {"f16", ATTN_INPUT, ATTN_F16, 1, 0, -1, 0, pick_dims, NULL, NULL},
    {"bf16", ATTN_INPUT, ATTN_BF16, 1, 0, -1, 0, pick_dims, NULL, NULL},
    {"bool", ATTN_INPUT, ATTN_BOOL, 1, 0, -1, 0, pick_dims, NULL, NULL},
    {"int", ATTN_INPUT, ATTN_I64, 1, 0, -1, 0, pick_dims, "-5..250 + bound", NULL},
    {"sum", ATTN_OUTPUT, ATTN_F64, 1, 0, -1, 0, pick_dims, NULL, NULL},
};
static const AttnParamInfo kinds_params[] = {{"bound", ATTN_I64, 1, 0}};

static void kinds_phase(const AttnCall *c, int32_t phase, int64_t first, int64_t last, void *scratch)
{
    (void)phase, (void)first, (void)last, (void)scratch;
    const AttnTensor *t = c->tensors;
    for (int64_t i = 0; i < c->extents[0]; i++)
        ((double *)t[5].data)[t[5].strides[0] * i] = ((double *)t[0].data)[t[0].strides[0] * i] +
                                                     ((uint8_t *)t[3].data)[t[3].strides[0] * i] +
                                                     (double)load_int(&t[4], t[4].strides[0] * i);
}

/* ---- busy: counts in o[i] how often task i ran; one phase after the other must see all of the one before ---- */

static const AttnIndexInfo busy_indices[] = {{"i", 0}};
static const AttnTensorInfo busy_tensors[] = {
    {"o", ATTN_OUTPUT, ATTN_I64, 1, 0, -1, 0, pick_dims, NULL, NULL}};
static const AttnParamInfo busy_params[] = {{"fail_at", ATTN_I64, 1, -1}};
static const AttnCheckInfo busy_checks[] = {{"o[i] in 0..fail_at", ATTN_CHECK_RUN, -1, 3, 1}};

static int32_t busy_prepare(const AttnCall *c, AttnPlan *plan)
{
    plan->workspace = (uint64_t)c->extents[0] * 8;
    plan->scratch = 64;
    plan->tasks[0] = plan->tasks[1] = c->extents[0];
    return 0;
}

static void busy_phase(const AttnCall *c, int32_t phase, int64_t first, int64_t last, void *scratch)
{
    int64_t n = c->extents[0], *shared = c->workspace, *o = c->tensors[0].data;
    volatile int64_t *own = scratch; /* no two workers may share it */
    for (int64_t i = first; i < last; i++) {
        *own = i;
        if (i == c->params[0])
            fail(c, 0);
        if (phase == 0)
            shared[i] = i;
        else
            o[i] = shared[n - 1 - i] + i == n - 1 && *own == i ? 1 : -1;
    }
}

/* ---- twice: o[r] = x[r // 2], where r has twice as many positions as d ---- */

static const AttnIndexInfo twice_indices[] = {{"d", 0}, {"r", 1}};
static const int32_t twice_r[] = {1};
static const AttnTensorInfo twice_tensors[] = {
    {"x", ATTN_INPUT, ATTN_F32, 1, 0, -1, 0, pick_dims, NULL, NULL},
    {"o", ATTN_OUTPUT, ATTN_F32, 1, 0, -1, 0, twice_r, NULL, NULL},
};
static const AttnCheckInfo twice_checks[] = {{"size(r) == 2 * size(d)", ATTN_CHECK_CONDITION, -1, 2, 1}};

static int32_t twice_prepare(const AttnCall *c, AttnPlan *plan)
{
    if (c->extents[1] >= 0 && c->extents[1] != 2 * c->extents[0])
        return 1;
    plan->workspace = (uint64_t)c->extents[0] * 128;
    plan->scratch = 0;
    plan->tasks[0] = 1;
    return 0;
}

static void twice_phase(const AttnCall *c, int32_t phase, int64_t first, int64_t last, void *scratch)
{
    (void)phase, (void)first, (void)last, (void)scratch;
    for (int64_t r = 0; r < 2 * c->extents[0]; r++)
        ((float *)c->tensors[1].data)[c->tensors[1].strides[0] * r] =
            ((float *)c->tensors[0].data)[c->tensors[0].strides[0] * (r / 2)];
}

/* ---- */

#define PATTERN(name_, indices_, tensors_)                                                                   \
    .name = name_, .signature = "pattern " name_ "(...)", .n_indices = COUNT(indices_),                      \
    .n_tensors = COUNT(tensors_), .indices = indices_, .tensors = tensors_, .cpu = "x86-64"
static const AttnPattern patterns[] = {
    {PATTERN("score", score_indices, score_tensors), .doc = "Scores.", .params = score_params, .n_params = 3,
     .checks = score_checks, .n_checks = 3, .n_phases = 3, .n_data_checks = 1, .prepare = score_prepare,
     .phase = score_phase},
    {PATTERN("sums", sums_indices, sums_tensors), .n_phases = 1, .prepare = sums_prepare,
     .phase = sums_phase},
    {PATTERN("pick", pick_indices, pick_tensors), .features = UINT64_C(1) << 40, .fixed = free_extents,
     .n_phases = 1, .prepare = pick_prepare, .phase = pick_1},
    {PATTERN("pick", pick_indices, pick_tensors), .fixed = fixed_4, .n_phases = 1, .prepare = pick_prepare,
     .phase = pick_2},
    {PATTERN("pick", pick_indices, pick_tensors), .fixed = free_extents, .n_phases = 1,
     .prepare = pick_prepare, .phase = pick_3},
    {PATTERN("only", pick_indices, pick_tensors), .features = UINT64_C(1) << 40, .fixed = fixed_4,
     .n_phases = 1, .prepare = pick_prepare, .phase = pick_1},
    {PATTERN("only", pick_indices, pick_tensors), .fixed = fixed_64, .n_phases = 1, .prepare = pick_prepare,
     .phase = pick_2},
    {PATTERN("kinds", pick_indices, kinds_tensors), .params = kinds_params, .n_params = 1, .n_phases = 1,
     .prepare = pick_prepare, .phase = kinds_phase},
    {PATTERN("busy", busy_indices, busy_tensors), .params = busy_params, .n_params = 1, .checks = busy_checks,
     .n_checks = 1, .n_phases = 2, .prepare = busy_prepare, .phase = busy_phase},
    {PATTERN("twice", twice_indices, twice_tensors), .checks = twice_checks, .n_checks = 1, .n_phases = 1,
     .prepare = twice_prepare, .phase = twice_phase},
};

__attribute__((visibility("default"))) extern const AttnModule attn_module;
const AttnModule attn_module = {.abi = FAKE_ABI,
                                .n_patterns = COUNT(patterns),
                                .patterns = patterns,
                                .compiler = "by hand",
                                .source = "fake.attn",
                                .source_hash = {1, FAKE_NUMBER}};
