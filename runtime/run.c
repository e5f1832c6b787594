/* Running a prepared call: memory, phases, and what a failed check says. */
#include "internal.h"

#include <stdint.h>

bool rt_round_up(uint64_t bytes, uint64_t *rounded)
{
    if (__builtin_add_overflow(bytes, (uint64_t)RT_ALIGNMENT - 1, rounded))
        return false;
    *rounded &= ~(uint64_t)(RT_ALIGNMENT - 1);
    return true;
}

static int workers_of(const AttnBinding *b, const AttnRunOptions *options)
{
    int64_t tasks = 1;
    for (int32_t i = 0; i < b->variant->n_phases; i++)
        tasks = b->plan.tasks[i] > tasks ? b->plan.tasks[i] : tasks;
    int threads = rt_threads(options);
    return tasks < threads ? (int)tasks : threads;
}

/* The workspace, then the scratch of every worker. False: more than the address space. */
static bool memory_bytes(const AttnBinding *b, int workers, size_t *workspace, size_t *scratch, size_t *all)
{
    uint64_t shared, own, sum;
    if (!rt_round_up(b->plan.workspace, &shared) || !rt_round_up(b->plan.scratch, &own) ||
        __builtin_mul_overflow(own, (uint64_t)workers, &sum) || __builtin_add_overflow(sum, shared, &sum) ||
        sum > PTRDIFF_MAX)
        return false;
    *workspace = shared;
    *scratch = own;
    *all = sum;
    return true;
}

AttnStatus rt_too_large(const AttnBinding *b, AttnError *error)
{
    return rt_wrong(b, error, MEMORY, "the workspace is larger than the address space");
}

AttnStatus rt_out_of_workspace(const AttnBinding *b, size_t bytes, AttnError *error)
{
    return rt_wrong(b, error, MEMORY, "out of memory (%zu bytes of workspace)", bytes);
}

AttnStatus attn_workspace(AttnBinding *b, const AttnRunOptions *options, size_t *bytes, AttnError *error)
{
    static const AttnRunOptions defaults;
    if (!b || !bytes)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_workspace: NULL argument");
    AttnStatus status = rt_prepare(b, false, error);
    if (status)
        return status;
    if (rt_on_cuda(b))
        return rt_cuda_workspace(b, options ? options : &defaults, bytes, error);
    size_t workspace, scratch;
    if (!memory_bytes(b, workers_of(b, options ? options : &defaults), &workspace, &scratch, bytes))
        return rt_too_large(b, error);
    return ATTN_OK;
}

static AttnStatus check_options(const AttnBinding *b, const AttnRunOptions *o, AttnError *error)
{
    const char *wrong = NULL;
    if (o->threads < 0)
        wrong = "threads is negative";
    else if (o->parallel && o->threads < 1)
        wrong = "a thread pool needs threads >= 1";
    else if (!o->allocate != !o->release)
        wrong = "allocate and release go together";
    else if ((uintptr_t)o->workspace % RT_ALIGNMENT != 0)
        wrong = "the workspace is not aligned to 64 bytes";
    else if (o->stream && !rt_on_cuda(b))
        wrong = "a stream is for code of CUDA devices; this runs on the host";
    return wrong ? rt_wrong(b, error, USAGE, "options: %s", wrong) : ATTN_OK;
}

/* ---- memory ---- */

AttnStatus rt_given_memory(const AttnBinding *b, const AttnRunOptions *o, size_t bytes, char **memory,
                           AttnError *error)
{
    *memory = o->workspace;
    if (o->workspace && o->workspace_bytes < bytes)
        return rt_wrong(b, error, USAGE, "the workspace has %zu bytes; %zu are needed", o->workspace_bytes,
                        bytes);
    if (o->workspace || !o->allocate)
        return ATTN_OK;
    *memory = o->allocate(o->allocate_context, bytes, RT_ALIGNMENT);
    return *memory ? ATTN_OK : rt_out_of_workspace(b, bytes, error);
}

static AttnStatus get_memory(const AttnBinding *b, const AttnRunOptions *o, size_t bytes, char **memory,
                             AttnError *error)
{
    *memory = NULL;
    if (bytes == 0)
        return ATTN_OK;
    AttnStatus status = rt_given_memory(b, o, bytes, memory, error);
    if (status || *memory)
        return status;
    *memory = rt_alloc_aligned(bytes, RT_ALIGNMENT);
    return *memory ? ATTN_OK : rt_out_of_workspace(b, bytes, error);
}

static void put_memory(const AttnRunOptions *o, char *memory, size_t bytes)
{
    if (o->workspace || !memory)
        return;
    if (o->release)
        o->release(o->allocate_context, memory, bytes);
    else
        rt_free(memory);
}

/* ---- phases ---- */

AttnStatus rt_check_failed(const AttnBinding *b, int32_t status, AttnError *error)
{
    if (status < 1 || status > b->variant->n_checks)
        return rt_wrong(b, error, DATA, "unknown failure %d of generated code", status);
    const AttnCheckInfo *check = &b->variant->checks[status - 1];
    if (check->kind == ATTN_CHECK_DATA_RANGE)
        return rt_range_error(b, check->tensor, true, check->text, error);
    char values[512];
    rt_describe_values(b, check->text, values, sizeof values);
    return rt_wrong(b, error, DATA, "a value is outside %s%s%s (%s:%d:%d)", check->text, *values ? ": " : "",
                    values, b->library->module->source, check->line, check->column);
}

static AttnStatus run_phases(const AttnBinding *b, const AttnRunOptions *o, int workers, char *memory,
                             size_t workspace, size_t scratch, AttnError *error)
{
    int32_t status = 0;
    AttnCall call = {.tensors = b->views,
                     .extents = b->extents,
                     .params = b->params,
                     .workspace = memory,
                     .status = &status};
    bool done = true;
    for (int32_t i = o->data_checked ? b->variant->n_data_checks : 0;
         i < b->variant->n_phases && !status && done; i++)
        done = rt_phase(b->variant, &call, i, b->plan.tasks[i], workers, memory ? memory + workspace : NULL,
                        scratch, o);
    if (status)
        return rt_check_failed(b, status, error);
    return done ? ATTN_OK : rt_wrong(b, error, USAGE, "the thread pool returned before the work was done");
}

AttnStatus attn_run(AttnBinding *b, const AttnRunOptions *options, AttnError *error)
{
    static const AttnRunOptions defaults;
    const AttnRunOptions *o = options ? options : &defaults;
    if (!b)
        return rt_fail(error, ATTN_STATUS_USAGE, "attn_run: NULL argument");
    AttnStatus status = check_options(b, o, error);
    if (!status)
        status = rt_prepare(b, true, error);
    if (status)
        return status;
    if (rt_on_cuda(b))
        return rt_cuda_run(b, o, error);
    int workers = workers_of(b, o);
    size_t workspace, scratch, bytes;
    char *memory;
    if (!memory_bytes(b, workers, &workspace, &scratch, &bytes))
        return rt_too_large(b, error);
    status = get_memory(b, o, bytes, &memory, error);
    if (status)
        return status;
    status = run_phases(b, o, workers, memory, workspace, scratch, error);
    put_memory(o, memory, bytes);
    return status;
}
