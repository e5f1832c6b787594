/* A kernel of Loops -> internal functions `ENTRY.prepare` and `ENTRY.phase` as runtime/abi.h describes them,
 * with one more function for every phase.
 *
 * Requires: a verified Kernel. Ensures: a module that verifies; nothing is loaded or stored outside the
 * buffers as long as extents are not negative. */
#include "emit.h"

#include <string.h>

void emitter_init(Emitter *e, const BackendJob *job, LLVMContextRef context, LLVMModuleRef module)
{
    *e = (Emitter){.c = job->c, .job = job, .context = context, .module = module};
    e->b = LLVMCreateBuilderInContext(context);
    e->allocas = LLVMCreateBuilderInContext(context);
    e->none = LLVMVoidTypeInContext(context);
    e->i1 = LLVMInt1TypeInContext(context);
    e->i8 = LLVMInt8TypeInContext(context);
    e->i16 = LLVMInt16TypeInContext(context);
    e->i32 = LLVMInt32TypeInContext(context);
    e->i64 = LLVMInt64TypeInContext(context);
    e->half = LLVMHalfTypeInContext(context);
    e->f32 = LLVMFloatTypeInContext(context);
    e->f64 = LLVMDoubleTypeInContext(context);
    e->ptr = LLVMPointerTypeInContext(context, 0);
    e->real = job->f64 ? e->f64 : e->f32;
    e->tensor_type =
        LLVMStructTypeInContext(context, (LLVMTypeRef[]){e->ptr, e->ptr, e->i64, e->i64}, 4, false);
    e->call_type =
        LLVMStructTypeInContext(context, (LLVMTypeRef[]){e->ptr, e->ptr, e->ptr, e->ptr, e->ptr}, 5, false);
    e->plan_type = LLVMStructTypeInContext(context, (LLVMTypeRef[]){e->i64, e->i64, e->ptr}, 3, false);
#define KIND(field, name) e->field = LLVMGetMDKindIDInContext(context, name, (unsigned)strlen(name))
    KIND(kind_scope, "alias.scope");
    KIND(kind_noalias, "noalias");
    KIND(kind_invariant, "invariant.load");
    KIND(kind_range, "range");
    KIND(kind_loop, "llvm.loop");
#undef KIND
}

void emitter_free(Emitter *e)
{
    if (e->b) LLVMDisposeBuilder(e->b);
    if (e->allocas) LLVMDisposeBuilder(e->allocas);
    if (e->di) LLVMDisposeDIBuilder(e->di);
    e->b = e->allocas = NULL;
    e->di = NULL;
}

LLVMTypeRef emit_prepare_type(Emitter *e)
{
    return LLVMFunctionType(e->i32, (LLVMTypeRef[]){e->ptr, e->ptr}, 2, false);
}

LLVMTypeRef emit_phase_type(Emitter *e)
{
    return LLVMFunctionType(e->none, (LLVMTypeRef[]){e->ptr, e->i32, e->i64, e->i64, e->ptr}, 5, false);
}

LLVMValueRef emit_function(Emitter *e, const char *name, LLVMTypeRef type)
{
    LLVMValueRef f = LLVMAddFunction(e->module, name, type);
    LLVMSetLinkage(f, LLVMInternalLinkage);
    emit_cpu_attributes(e, f);
    emit_attribute(e, f, "willreturn");
    emit_attribute(e, f, "mustprogress");
    e->function = f;
    LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(e->context, f, "entry");
    LLVMBasicBlockRef start = LLVMAppendBasicBlockInContext(e->context, f, "start");
    LLVMPositionBuilderAtEnd(e->b, entry);
    emit_debug_function(e, f, e->pattern ? e->pattern->span : (Span){0});
    LLVMPositionBuilderBefore(e->allocas, LLVMBuildBr(e->b, start));
    LLVMPositionBuilderAtEnd(e->b, start);
    emit_forget(e, 0);
    if (e->locals) memset(e->locals, 0, sizeof(LLVMValueRef) * (e->kernel->n_locals + 1));
    return f;
}

LLVMValueRef emit_field(Emitter *e, LLVMTypeRef record, LLVMValueRef at, unsigned field, LLVMTypeRef type)
{
    return LLVMBuildLoad2(e->b, type, LLVMBuildStructGEP2(e->b, record, at, field, ""), "");
}

/* Extents are not negative and far from wrapping: tells LLVM that signed and unsigned arithmetic agree. */
static void set_extent_range(Emitter *e, LLVMValueRef load)
{
    LLVMMetadataRef bounds[2] = {LLVMValueAsMetadata(emit_int(e, 0)),
                                 LLVMValueAsMetadata(emit_int(e, (int64_t)1 << 62))};
    LLVMSetMetadata(load, e->kind_range,
                    LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, bounds, 2)));
}

void emit_call_values(Emitter *e, LLVMValueRef call)
{
    const Pattern *p = e->pattern;
    e->call = call;
    e->tensors = emit_field(e, e->call_type, call, 0, e->ptr);
    LLVMValueRef extents = emit_field(e, e->call_type, call, 1, e->ptr);
    LLVMValueRef params = emit_field(e, e->call_type, call, 2, e->ptr);
    e->workspace = emit_field(e, e->call_type, call, 3, e->ptr);
    e->status = emit_field(e, e->call_type, call, 4, e->ptr);
    for (unsigned k = 0; k < p->indices.n; k++) {
        if (e->fixed && e->fixed[k] >= 0) {
            e->extents[k] = emit_int(e, e->fixed[k]);
            continue;
        }
        LLVMValueRef at = emit_nth(e, e->i64, extents, k);
        e->extents[k] = LLVMBuildLoad2(e->b, e->i64, at, p->indices.at[k]->name);
        set_extent_range(e, e->extents[k]);
    }
    for (unsigned k = 0; k < p->params.n; k++) {
        const Param *param = p->params.at[k];
        LLVMTypeRef type = param->type == TYPE_REAL ? e->f64 : e->i64;
        LLVMValueRef at = emit_nth(e, e->i64, params, k);
        e->params[k] = LLVMBuildLoad2(e->b, type, at, param->name);
        if (param->type == TYPE_BOOL)
            e->params[k] = LLVMBuildICmp(e->b, LLVMIntNE, e->params[k], emit_int(e, 0), "");
    }
}

/* --- prepare --- */

static const Index *bound_index(const Index *index)
{
    return !index->extent && index->root ? index->root : index;
}

int emit_index_number(const Pattern *pattern, const IndexList *derived, const Index *index)
{
    index = bound_index(index);
    if (!index->extent) return (int)index->number;
    for (unsigned k = 0; k < derived->n; k++)
        if (derived->at[k] == index) return (int)(pattern->indices.n + k);
    return -1;
}

IndexList emit_derived_indices(Compilation *c, const Pattern *pattern)
{
    IndexList derived = {0};
    for (unsigned k = 0; k < pattern->tensors.n; k++)
        for (unsigned d = 0; d < pattern->tensors.at[k]->n_dims; d++) {
            const Index *index = bound_index(pattern->tensors.at[k]->dims[d]);
            if (emit_index_number(pattern, &derived, index) < 0) PUSH(c, &derived, index);
        }
    return derived;
}

static void prepare_condition(Emitter *e, LLVMValueRef holds, unsigned check)
{
    emit_forget(e, 0);
    LLVMBasicBlockRef bad = emit_block(e, "fails"), good = emit_block(e, "holds");
    LLVMBuildCondBr(e->b, holds, good, bad);
    LLVMPositionBuilderAtEnd(e->b, bad);
    LLVMBuildRet(e->b, emit_i32(e, check + 1));
    LLVMPositionBuilderAtEnd(e->b, good);
}

static void prepare_conditions(Emitter *e)
{
    for (unsigned k = 0; k < e->kernel->checks.n; k++) {
        const Check *check = &e->kernel->checks.at[k];
        if (check->kind != CHECK_CONDITION) continue;
        emit_debug_place(e, check->span);
        e->overflow = emit_alloca(e, e->i1, "overflow");
        LLVMBuildStore(e->b, emit_flag(e, false), e->overflow);
        LLVMValueRef holds = emit_node(e, check->test);
        LLVMValueRef sound = LLVMBuildNot(e->b, LLVMBuildLoad2(e->b, e->i1, e->overflow, ""), "");
        e->overflow = NULL;
        prepare_condition(e, LLVMBuildAnd(e->b, holds, sound, ""), k);
    }
    IndexList derived = emit_derived_indices(e->c, e->pattern);
    LLVMValueRef extents = derived.n ? emit_field(e, e->call_type, e->call, 1, e->ptr) : NULL;
    for (unsigned k = 0; k < derived.n; k++) {
        LLVMValueRef number = emit_int(e, (int64_t)e->pattern->indices.n + k);
        LLVMValueRef n = LLVMBuildLoad2(e->b, e->i64, emit_at(e, e->i64, extents, number), "");
        LLVMValueRef same = LLVMBuildICmp(e->b, LLVMIntEQ, n, emit_extent(e, derived.at[k]), "");
        LLVMValueRef unknown = LLVMBuildICmp(e->b, LLVMIntSLT, n, emit_int(e, 0), "");
        prepare_condition(e, LLVMBuildOr(e->b, same, unknown, ""), e->kernel->checks.n + k);
    }
}

/* The number of tasks, at most the greatest int. */
static LLVMValueRef count_tasks(Emitter *e, const Phase *phase)
{
    LLVMValueRef count = emit_int(e, 1), most = emit_int(e, INT64_MAX), zero = emit_int(e, 0);
    LLVMValueRef empty = emit_flag(e, false);
    for (unsigned k = 0; k < phase->n_tasks; k++) {
        LLVMValueRef n = emit_extent(e, phase->tasks[k]);
        LLVMValueRef pair = emit_intrinsic2(e, "llvm.smul.with.overflow", count, n);
        LLVMValueRef over = LLVMBuildExtractValue(e->b, pair, 1, "");
        count = LLVMBuildSelect(e->b, over, most, LLVMBuildExtractValue(e->b, pair, 0, ""), "");
        empty = LLVMBuildOr(e->b, empty, LLVMBuildICmp(e->b, LLVMIntEQ, n, zero, ""), "");
    }
    return LLVMBuildSelect(e->b, empty, zero, count, "");
}

static LLVMValueRef call_layout(Emitter *e, LLVMValueRef call)
{
    LLVMValueRef offsets = emit_alloca(e, LLVMArrayType2(e->i64, e->n_buffers + 2), "offsets");
    emit_call(e, e->layout, (LLVMValueRef[]){call, offsets}, 2);
    return offsets;
}

static LLVMValueRef emit_prepare(Emitter *e)
{
    LLVMValueRef f = emit_function(e, format(e->c, "%s.prepare", e->entry), emit_prepare_type(e));
    LLVMValueRef plan = LLVMGetParam(f, 1);
    emit_call_values(e, LLVMGetParam(f, 0));
    prepare_conditions(e);
    LLVMValueRef offsets = e->layout ? call_layout(e, e->call) : NULL;
    for (unsigned k = 0; k < 2; k++) {
        LLVMValueRef bytes = emit_int(e, 0), where = emit_int(e, (int64_t)e->n_buffers + k);
        if (offsets) bytes = LLVMBuildLoad2(e->b, e->i64, emit_at(e, e->i64, offsets, where), "");
        LLVMBuildStore(e->b, bytes, LLVMBuildStructGEP2(e->b, e->plan_type, plan, k, ""));
    }
    LLVMValueRef tasks = emit_field(e, e->plan_type, plan, 2, e->ptr);
    for (unsigned k = 0; k < e->kernel->phases.n; k++) {
        LLVMValueRef at = emit_nth(e, e->i64, tasks, k);
        LLVMBuildStore(e->b, count_tasks(e, &e->kernel->phases.at[k]), at);
    }
    LLVMBuildRet(e->b, emit_i32(e, 0));
    return f;
}

/* --- phases --- */

static void set_task_coordinates(Emitter *e, const Phase *phase, LLVMValueRef *sizes, LLVMValueRef task)
{
    for (unsigned k = phase->n_tasks; k-- > 0;) {
        LLVMValueRef x = k ? emit_divide(e, task, sizes[k], true) : task;
        if (k) task = emit_divide(e, task, sizes[k], false);
        e->indices[phase->tasks[k]->id] = x;
        emit_divide_heads(e, phase->tasks[k], &phase->body);
    }
}

/* A phase: for every task of [first, last), its body. */
static LLVMValueRef emit_phase_function(Emitter *e, unsigned number)
{
    const Phase *phase = &e->kernel->phases.at[number];
    LLVMTypeRef type =
        LLVMFunctionType(e->none, (LLVMTypeRef[]){e->ptr, e->i64, e->i64, e->ptr, e->ptr}, 5, false);
    LLVMValueRef f =
        emit_function(e, format(e->c, "%s.%u.%s", e->entry, number, phase->name ? phase->name : ""), type);
    emit_attribute(e, f, "noinline");
    e->scratch = LLVMGetParam(f, 3);
    e->offsets = LLVMGetParam(f, 4);
    emit_call_values(e, LLVMGetParam(f, 0));
    emit_buffers_used(e, phase);
    LLVMValueRef *sizes = NEW_ARRAY(e->c, LLVMValueRef, phase->n_tasks + 1);
    for (unsigned k = 0; k < phase->n_tasks; k++) /* a task exists, so none is 0; LLVM should know */
        sizes[k] = emit_intrinsic2(e, "llvm.umax", emit_extent(e, phase->tasks[k]), emit_int(e, 1));
    emit_forget(e, 0);
    LLVMBasicBlockRef before = emit_here(e), head = emit_block(e, "tasks"), body = emit_block(e, "task");
    LLVMBasicBlockRef end = emit_block(e, "done");
    LLVMBuildBr(e->b, head);
    LLVMPositionBuilderAtEnd(e->b, head);
    LLVMValueRef task = LLVMBuildPhi(e->b, e->i64, "task"), first = LLVMGetParam(f, 1);
    LLVMAddIncoming(task, &first, &before, 1);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, task, LLVMGetParam(f, 2), ""), body, end);
    LLVMPositionBuilderAtEnd(e->b, body);
    set_task_coordinates(e, phase, sizes, task);
    emit_statements(e, &phase->body);
    LLVMValueRef next = LLVMBuildNSWAdd(e->b, task, emit_int(e, 1), "");
    LLVMBasicBlockRef latch = emit_here(e);
    LLVMAddIncoming(task, &next, &latch, 1);
    LLVMBuildBr(e->b, head);
    LLVMPositionBuilderAtEnd(e->b, end);
    LLVMBuildRetVoid(e->b);
    return f;
}

static LLVMValueRef emit_phase(Emitter *e)
{
    unsigned n = e->kernel->phases.n;
    LLVMValueRef *phases = NEW_ARRAY(e->c, LLVMValueRef, n + 1);
    for (unsigned k = 0; k < n; k++) phases[k] = emit_phase_function(e, k);
    LLVMValueRef f = emit_function(e, format(e->c, "%s.phase", e->entry), emit_phase_type(e));
    LLVMValueRef call = LLVMGetParam(f, 0);
    LLVMValueRef offsets = e->layout ? call_layout(e, call) : LLVMConstNull(e->ptr);
    LLVMBasicBlockRef done = emit_block(e, "done");
    LLVMValueRef choice = LLVMBuildSwitch(e->b, LLVMGetParam(f, 1), done, n);
    for (unsigned k = 0; k < n; k++) {
        LLVMBasicBlockRef block = emit_block(e, "phase");
        LLVMAddCase(choice, emit_i32(e, k), block);
        LLVMPositionBuilderAtEnd(e->b, block);
        LLVMValueRef args[] = {call, LLVMGetParam(f, 2), LLVMGetParam(f, 3), LLVMGetParam(f, 4), offsets};
        emit_call(e, phases[k], args, 5);
        LLVMBuildBr(e->b, done);
    }
    LLVMPositionBuilderAtEnd(e->b, done);
    LLVMBuildRetVoid(e->b);
    return f;
}

static uint32_t at_least(uint32_t n, uint32_t least) { return n > least ? n : least; }

void emit_begin(Emitter *e, const Kernel *kernel, const int64_t *fixed, const Cpu *cpu, const char *entry)
{
    Compilation *c = e->c;
    e->kernel = kernel;
    e->pattern = kernel->pattern;
    e->fixed = fixed;
    e->cpu = cpu;
    e->entry = entry;
    e->n_nodes = c->next_node;
    e->facts = NEW_ARRAY(c, uint8_t, e->n_nodes + 1);
    e->seen = NEW_ARRAY(c, uint32_t, e->n_nodes + 1);
    e->memo = NEW_ARRAY(c, LLVMValueRef, e->n_nodes + 1);
    e->stamp = 0;
    e->trail.n = 0;
    e->indices = NEW_ARRAY(c, LLVMValueRef, at_least(c->next_index, MAX_INDICES) + 1);
    e->extents = NEW_ARRAY(c, LLVMValueRef, kernel->pattern->indices.n + 1);
    e->params = NEW_ARRAY(c, LLVMValueRef, kernel->pattern->params.n + 1);
    e->locals = NEW_ARRAY(c, LLVMValueRef, kernel->n_locals + 1);
}

EmittedKernel emit_kernel(Emitter *e, const Kernel *kernel, const int64_t *fixed, const Cpu *cpu,
                          const char *entry)
{
    emit_begin(e, kernel, fixed, cpu, entry);
    emit_support(e);
    emit_buffers_init(e);
    bool any = false;
    for (unsigned k = 0; k < e->n_buffers; k++) any = any || kernel->buffers.at[k].kind != BUFFER_BOUND;
    e->layout = any ? emit_layout(e) : NULL;
    LLVMValueRef prepare = emit_prepare(e);
    bool cuda = e->job->target == TARGET_CUDA; /* phases are not for this processor */
    return (EmittedKernel){prepare, cuda ? LLVMConstNull(e->ptr) : emit_phase(e)};
}
