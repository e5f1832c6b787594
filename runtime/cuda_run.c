/* Running device code: memory, the parameter of the kernels, launches on the caller's stream, and what the
 * status word says afterwards. A run itself waits for nothing.
 *
 * Memory of a run: the status word (64 bytes), the workspace, the scratch of a grid's threads. If it is not
 * the caller's the word lies elsewhere, in memory of the binding: it must outlive the run. */
#include "internal.h"

#include <string.h>

enum { STATUS_BYTES = RT_ALIGNMENT, WORDS_MAX = ATTN_CUDA_ARGS_BYTES / 8 };
static const uint64_t scratch_most = UINT64_C(256) << 20; /* bytes; more threads wait for their turn */

#define driver_of(b) (&(b)->library->cuda.driver)

/* ---- sizes ---- */

/* Blocks for a phase: one for every `tasks` of them, but where threads need scratch no more than run at once.
 */
static uint64_t grid_of(const AttnBinding *b, const RtCudaCode *code, int32_t phase)
{
    const AttnCudaKernel *k = &b->variant->cuda->kernels[phase];
    uint64_t blocks = ((uint64_t)b->plan.tasks[phase] + k->tasks - 1) / k->tasks, most = INT32_MAX, own;
    if (k->scratch && b->plan.scratch) {
        most = (uint64_t)code->resident[phase];
        if (__builtin_mul_overflow(b->plan.scratch, (uint64_t)k->threads, &own) || own > scratch_most)
            most = 1;
        else if (most > scratch_most / own)
            most = scratch_most / own;
    }
    return blocks < most ? blocks : most;
}

/* The bytes of a run and where its scratch begins. False: more than the address space. */
static bool memory_bytes(const AttnBinding *b, const RtCudaCode *code, size_t *scratch, size_t *all)
{
    uint64_t shared, own = 0, sum;
    for (int32_t i = 0; i < b->variant->n_phases; i++) {
        const AttnCudaKernel *k = &b->variant->cuda->kernels[i];
        uint64_t bytes, threads = b->plan.tasks[i] > 0 ? grid_of(b, code, i) * k->threads : 0;
        if (k->scratch && __builtin_mul_overflow(threads, b->plan.scratch, &bytes)) return false;
        own = k->scratch && bytes > own ? bytes : own;
    }
    if (!rt_round_up(b->plan.workspace, &shared) || !rt_round_up(own, &own) ||
        __builtin_add_overflow(shared, (uint64_t)STATUS_BYTES, &shared) ||
        __builtin_add_overflow(shared, own, &sum) || sum > PTRDIFF_MAX)
        return false;
    *scratch = shared;
    *all = sum;
    return true;
}

AttnStatus rt_cuda_workspace(AttnBinding *b, const AttnRunOptions *o, size_t *bytes, AttnError *error)
{
    const RtCudaCode *code;
    bool pushed;
    size_t scratch;
    AttnStatus status = rt_cuda_enter(b, o->stream, &code, &pushed, error);
    if (status) return status;
    if (!memory_bytes(b, code, &scratch, bytes)) status = rt_too_large(b, error);
    rt_driver_leave(driver_of(b), pushed);
    return status;
}

/* ---- memory ---- */

static void forget(const RtDriver *d, RtDeviceMemory *m)
{
    if (m->status) d->cuMemFree(m->status);
    if (m->memory) d->cuMemFree(m->memory);
    *m = (RtDeviceMemory){0};
}

void rt_cuda_forget(AttnBinding *b)
{
    RtDeviceMemory *m = &b->on_device;
    bool pushed;
    if (!m->context || rt_driver_enter(driver_of(b), m->context, &pushed, NULL)) return;
    forget(driver_of(b), m);
    rt_driver_leave(driver_of(b), pushed);
}

/* The binding's own status word in the current context. */
static AttnStatus own_status(AttnBinding *b, CuContext context, AttnError *error)
{
    RtDeviceMemory *m = &b->on_device;
    if (m->context && m->context != context) rt_cuda_forget(b);
    m->context = context;
    return m->status ? ATTN_OK : rt_driver(driver_of(b), error, cuMemAlloc, &m->status, STATUS_BYTES);
}

/* The memory that a binding keeps, where streams cannot give any. */
static AttnStatus kept_memory(AttnBinding *b, size_t bytes, CuPointer *memory, AttnError *error)
{
    const RtDriver *d = driver_of(b);
    RtDeviceMemory *m = &b->on_device;
    AttnStatus status = ATTN_OK;
    if (m->bytes < bytes) {
        if (m->memory) d->cuMemFree(m->memory);
        m->memory = 0;
        m->bytes = 0;
        status = rt_driver(d, error, cuMemAlloc, &m->memory, bytes);
        m->bytes = status ? 0 : bytes;
    }
    *memory = m->memory;
    return status;
}

static AttnStatus get_memory(AttnBinding *b, const AttnRunOptions *o, const RtCudaCode *code, size_t bytes,
                             CuPointer *memory, AttnError *error)
{
    char *given;
    AttnStatus status = rt_given_memory(b, o, bytes, &given, error);
    *memory = (CuPointer)(uintptr_t)given;
    if (status || given || bytes == STATUS_BYTES) return status;
    status = code->pools ? rt_driver(driver_of(b), error, cuMemAllocAsync, memory, bytes, o->stream)
                         : kept_memory(b, bytes, memory, error);
    return status == ATTN_STATUS_MEMORY ? rt_out_of_workspace(b, bytes, error) : status;
}

/* In the order of the stream: after what was launched. */
static AttnStatus put_memory(AttnBinding *b, const AttnRunOptions *o, const RtCudaCode *code, size_t bytes,
                             CuPointer memory, AttnError *error)
{
    if (o->workspace || !memory) return ATTN_OK;
    if (o->release)
        o->release(o->allocate_context, (void *)(uintptr_t)memory, bytes);
    else if (code->pools)
        return rt_driver(driver_of(b), error, cuMemFreeAsync, memory, o->stream);
    return ATTN_OK;
}

/* ---- the parameter ---- */

typedef struct Arguments {
    uint64_t words[WORDS_MAX];
    int n;
} Arguments;

static int count_words(const AttnPattern *p)
{
    int n = p->n_indices + p->n_params + 4;
    for (int32_t i = 0; i < p->n_tensors; i++) n += 3 + p->tensors[i].rank;
    return n;
}

static void add(Arguments *a, const int64_t *numbers, int32_t n)
{
    for (int32_t i = 0; i < n; i++) a->words[a->n++] = (uint64_t)numbers[i];
}

static void add_pointer(Arguments *a, CuPointer at) { a->words[a->n++] = at; }

/* As runtime/abi.h has it; the last word, the number of tasks, differs from phase to phase. */
static AttnStatus pack(const AttnBinding *b, CuPointer workspace, CuPointer scratch, CuPointer status,
                       Arguments *a, AttnError *error)
{
    const AttnPattern *p = b->variant;
    int n = count_words(p);
    if (n > WORDS_MAX)
        return rt_wrong(b, error, DEVICE,
                        "its %d tensors take %d bytes of a kernel's parameter, which holds %d", p->n_tensors,
                        8 * n, ATTN_CUDA_ARGS_BYTES);
    a->n = 0;
    for (int32_t i = 0; i < p->n_tensors; i++) {
        const AttnTensor *t = &b->views[i];
        add_pointer(a, (CuPointer)(uintptr_t)t->data);
        add(a, &t->group, 1);
        add(a, &t->type, 1);
        add(a, t->strides, p->tensors[i].rank);
    }
    add(a, b->extents, p->n_indices);
    add(a, b->params, p->n_params);
    add_pointer(a, workspace);
    add_pointer(a, scratch);
    add_pointer(a, status);
    return ATTN_OK;
}

/* ---- launches ---- */

static AttnStatus launch(const AttnBinding *b, const RtCudaCode *code, int32_t phase, Arguments *a,
                         CuStream stream, AttnError *error)
{
    const RtDriver *d = driver_of(b);
    const AttnCudaKernel *k = &b->variant->cuda->kernels[phase];
    int64_t tasks = b->plan.tasks[phase];
    void *parameters[] = {a->words};
    if (tasks <= 0) return ATTN_OK;
    a->words[a->n] = (uint64_t)tasks;
    unsigned grid = (unsigned)grid_of(b, code, phase);
    return rt_driver(d, error, cuLaunchKernel, code->functions[phase], grid, 1, 1, k->threads, 1, 1,
                     k->shared, stream, parameters, NULL);
}

static AttnStatus launch_all(AttnBinding *b, const AttnRunOptions *o, const RtCudaCode *code,
                             CuPointer memory, size_t scratch, AttnError *error)
{
    Arguments a;
    CuPointer word = o->workspace ? memory : b->on_device.status;
    AttnStatus status = pack(b, memory + STATUS_BYTES, memory + scratch, word, &a, error);
    if (!status) status = rt_driver(driver_of(b), error, cuMemsetD32Async, word, 0, 1, o->stream);
    for (int32_t i = o->data_checked ? b->variant->n_data_checks : 0; i < b->variant->n_phases && !status;
         i++)
        status = launch(b, code, i, &a, o->stream, error);
    if (!status) b->on_device.last = word;
    return status;
}

static AttnStatus run(AttnBinding *b, const AttnRunOptions *o, const RtCudaCode *code, AttnError *error)
{
    size_t scratch, bytes;
    CuPointer memory;
    if (!memory_bytes(b, code, &scratch, &bytes)) return rt_too_large(b, error);
    AttnStatus status = o->workspace ? ATTN_OK : own_status(b, code->context, error);
    if (!status) status = get_memory(b, o, code, bytes, &memory, error);
    if (status) return status;
    status = launch_all(b, o, code, memory, scratch, error);
    AttnStatus given_back = put_memory(b, o, code, bytes, memory, status ? NULL : error);
    return status ? status : given_back;
}

AttnStatus rt_cuda_run(AttnBinding *b, const AttnRunOptions *o, AttnError *error)
{
    const RtCudaCode *code;
    bool pushed;
    AttnStatus status = rt_cuda_enter(b, o->stream, &code, &pushed, error);
    if (status) return status;
    status = run(b, o, code, error);
    rt_driver_leave(driver_of(b), pushed);
    return status;
}

/* ---- how it went ---- */

/* Waits for the stream; *failed is the status word of the last run. */
static AttnStatus read_status(AttnBinding *b, void *stream, int32_t *failed, AttnError *error)
{
    const RtDriver *d = driver_of(b);
    const RtCudaCode *code;
    bool pushed;
    AttnStatus status = rt_cuda_enter(b, stream, &code, &pushed, error);
    if (status) return status;
    status = rt_driver(d, error, cuMemcpyDtoHAsync, failed, b->on_device.last, sizeof *failed, stream);
    if (!status) status = rt_driver(d, error, cuStreamSynchronize, stream);
    rt_driver_leave(d, pushed);
    return status;
}

/* The tensor whose range was broken, read back to see which element it is. */
static AttnStatus range_error(AttnBinding *b, const AttnCheckInfo *check, AttnError *error)
{
    RtTensor *t = &b->tensors[check->tensor]; /* as it was in that run, unless the binding has changed */
    char *on_device = t->data, *copy = rt_alloc((size_t)(t->high - t->low), 1);
    const RtCudaCode *code;
    bool pushed;
    if (copy && b->state == RT_READY && !rt_cuda_enter(b, NULL, &code, &pushed, NULL)) {
        CuPointer from = (CuPointer)(uintptr_t)on_device + (CuPointer)t->low;
        if (!driver_of(b)->cuMemcpyDtoH(copy, from, (size_t)(t->high - t->low))) t->data = copy - t->low;
        rt_driver_leave(driver_of(b), pushed);
    }
    AttnStatus status = rt_range_error(b, check->tensor, t->data != on_device, check->text, error);
    t->data = on_device;
    rt_free(copy);
    return status;
}

AttnStatus attn_status(AttnBinding *b, void *stream, AttnError *error)
{
    int32_t failed = 0;
    if (!b) return rt_fail(error, ATTN_STATUS_USAGE, "attn_status: NULL argument");
    if (!rt_on_cuda(b)) return ATTN_OK;
    if (!b->on_device.last) return rt_wrong(b, error, USAGE, "attn_status: the binding has not run yet");
    AttnStatus status = read_status(b, stream, &failed, error);
    if (status || !failed) return status;
    if (failed > 0 && failed <= b->variant->n_checks &&
        b->variant->checks[failed - 1].kind == ATTN_CHECK_DATA_RANGE)
        return range_error(b, &b->variant->checks[failed - 1], error);
    return rt_check_failed(b, failed, error);
}
