/* The direct C entries of codegen/header.h: the arguments' struct becomes an AttnCall on the stack, then
 * prepare and all phases run in the calling thread.
 *
 * `NAME.direct(args, run)` does the work of both: it returns the bytes of workspace, or the status. */
#include "emit.h"

#include "codegen/header.h"

enum { DIRECT_BAD_ARGUMENT = -1, DIRECT_NO_VARIANT = -2, ALIGNMENT = 64 };

typedef struct Direct {
    const Pattern *pattern;
    LLVMValueRef args, run, tensors, call, plan, status;
} Direct;

static void store_field(Emitter *e, LLVMTypeRef record, LLVMValueRef at, unsigned field, LLVMValueRef value)
{
    LLVMBuildStore(e->b, value, LLVMBuildStructGEP2(e->b, record, at, field, ""));
}

/* Where `condition` holds, the function returns `code` (0 if only the workspace is asked for). */
static void return_if(Emitter *e, const Direct *d, LLVMValueRef condition, LLVMValueRef code)
{
    LLVMBasicBlockRef leave = emit_block(e, "leave"), stay = emit_block(e, "stay");
    LLVMBuildCondBr(e->b, condition, leave, stay);
    LLVMPositionBuilderAtEnd(e->b, leave);
    LLVMBuildRet(e->b, LLVMBuildSelect(e->b, d->run, code, emit_int(e, 0), ""));
    LLVMPositionBuilderAtEnd(e->b, stay);
}

static LLVMValueRef dense_strides(Emitter *e, const Tensor *t, LLVMValueRef group)
{
    LLVMValueRef table = emit_alloca(e, LLVMArrayType2(e->i64, t->n_dims + 1), "dense"),
                 stride = emit_int(e, 1);
    for (unsigned k = t->n_dims; k-- > 0;) {
        LLVMBuildStore(e->b, stride, emit_nth(e, e->i64, table, k));
        LLVMValueRef extent = emit_extent(e, t->dims[k]);
        if (header_heads(t) == (int)k) extent = LLVMBuildUDiv(e->b, extent, group, "");
        stride = LLVMBuildMul(e->b, stride, extent, "");
    }
    emit_forget(e, 0);
    return table;
}

/* One AttnTensor from its fields, which begin at field *at. */
static void bind_tensor(Emitter *e, const Direct *d, unsigned number, unsigned *at)
{
    const Tensor *t = d->pattern->tensors.at[number];
    LLVMValueRef data = emit_load_nth(e, e->ptr, d->args, (*at)++);
    LLVMValueRef strides = emit_load_nth(e, e->ptr, d->args, (*at)++);
    LLVMValueRef group = emit_int(e, 1);
    if (header_heads(t) >= 0) {
        group = emit_load_nth(e, e->i64, d->args, (*at)++);
        group = emit_intrinsic2(e, "llvm.smax", group, emit_int(e, 1));
    }
    LLVMValueRef dense = dense_strides(e, t, group), none = LLVMBuildIsNull(e->b, strides, "");
    LLVMValueRef tensor = emit_nth(e, e->tensor_type, d->tensors, number);
    store_field(e, e->tensor_type, tensor, 0, data);
    store_field(e, e->tensor_type, tensor, 1, LLVMBuildSelect(e->b, none, dense, strides, ""));
    store_field(e, e->tensor_type, tensor, 2, group);
    AttnType type = t->type == TYPE_BOOL ? ATTN_BOOL : ATTN_I64; /* of reals it is known */
    store_field(e, e->tensor_type, tensor, 3, emit_int(e, type));
}

static void bind(Emitter *e, Direct *d)
{
    const Pattern *p = d->pattern;
    Fields fields = header_fields(e->c, p);
    LLVMValueRef params = emit_alloca(e, LLVMArrayType2(e->i64, p->params.n + 1), "params");
    unsigned at = 1 + p->indices.n;
    IndexList derived = emit_derived_indices(e->c, p);
    unsigned n_indices = p->indices.n + derived.n;
    LLVMValueRef extents = emit_alloca(e, LLVMArrayType2(e->i64, n_indices + 1), "extents");
    for (unsigned k = 0; k < n_indices; k++) { /* derived ones: not known, so not compared */
        LLVMValueRef n = emit_int(e, -1);
        if (k < p->indices.n) n = emit_load_nth(e, e->i64, d->args, 1 + k);
        LLVMBuildStore(e->b, n, emit_nth(e, e->i64, extents, k));
        if (k < p->indices.n)
            return_if(e, d, LLVMBuildICmp(e->b, LLVMIntSLT, n, emit_int(e, 0), ""),
                      emit_int(e, DIRECT_BAD_ARGUMENT));
    }
    for (unsigned k = 0; k < p->params.n; k++)
        if (!p->params.at[k]->fixed)
            LLVMBuildStore(e->b, emit_load_nth(e, e->i64, d->args, at++),
                           emit_nth(e, e->i64, params, k));
    LLVMValueRef workspace = LLVMBuildLoad2(e->b, e->ptr, d->args, "workspace");
    LLVMBuildStore(e->b, emit_i32(e, 0), d->status);
    LLVMValueRef parts[5] = {d->tensors, extents, params, workspace, d->status};
    for (unsigned k = 0; k < 5; k++) store_field(e, e->call_type, d->call, k, parts[k]);
    emit_call_values(e, d->call);
    for (unsigned k = 0; k < p->tensors.n; k++) bind_tensor(e, d, k, &at);
    if (at != fields.n) BUG(e->c, "the fields of %s and its entry disagree", p->name);
}

/* --- choosing a variant --- */

typedef struct Choice { LLVMValueRef prepare, phase, n_phases; } Choice;

static Choice choose(Emitter *e, Direct *d, const DirectVariant *variants, unsigned n)
{
    LLVMBasicBlockRef found = emit_block(e, "found");
    LLVMValueRef phi[3];
    LLVMBasicBlockRef here = emit_here(e);
    LLVMPositionBuilderAtEnd(e->b, found);
    phi[0] = LLVMBuildPhi(e->b, e->ptr, "prepare");
    phi[1] = LLVMBuildPhi(e->b, e->ptr, "phase");
    phi[2] = LLVMBuildPhi(e->b, e->i32, "phases");
    LLVMPositionBuilderAtEnd(e->b, here);
    for (unsigned v = 0; v < n; v++) {
        LLVMValueRef match = emit_flag(e, true);
        for (unsigned k = 0; variants[v].fixed && k < d->pattern->indices.n; k++) {
            if (variants[v].fixed[k] < 0) continue;
            LLVMValueRef same =
                LLVMBuildICmp(e->b, LLVMIntEQ, e->extents[k], emit_int(e, variants[v].fixed[k]), "");
            match = LLVMBuildAnd(e->b, match, same, "");
        }
        LLVMValueRef values[3] = {variants[v].kernel.prepare, variants[v].kernel.phase,
                                  LLVMConstInt(e->i32, variants[v].loops->phases.n, false)};
        here = emit_here(e);
        for (unsigned k = 0; k < 3; k++) LLVMAddIncoming(phi[k], &values[k], &here, 1);
        LLVMBasicBlockRef next = emit_block(e, "next");
        LLVMBuildCondBr(e->b, match, found, next);
        LLVMPositionBuilderAtEnd(e->b, next);
    }
    LLVMBuildRet(e->b, LLVMBuildSelect(e->b, d->run, emit_int(e, DIRECT_NO_VARIANT), emit_int(e, 0), ""));
    LLVMPositionBuilderAtEnd(e->b, found);
    return (Choice){phi[0], phi[1], phi[2]};
}

/* for (phase = 0; phase < n; phase++) { all its tasks; if (status) return status; } */
static void run_phases(Emitter *e, const Direct *d, Choice choice, LLVMValueRef tasks, LLVMValueRef scratch)
{
    LLVMBasicBlockRef before = emit_here(e), head = emit_block(e, "head"), body = emit_block(e, "body");
    LLVMBasicBlockRef end = emit_block(e, "end");
    LLVMBuildBr(e->b, head);
    LLVMPositionBuilderAtEnd(e->b, head);
    LLVMValueRef k = LLVMBuildPhi(e->b, e->i32, "phase"), zero = emit_i32(e, 0);
    LLVMAddIncoming(k, &zero, &before, 1);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, k, choice.n_phases, ""), body, end);
    LLVMPositionBuilderAtEnd(e->b, body);
    LLVMValueRef wide = LLVMBuildZExt(e->b, k, e->i64, "");
    LLVMValueRef count = LLVMBuildLoad2(e->b, e->i64, emit_at(e, e->i64, tasks, wide), "");
    LLVMValueRef args[] = {d->call, k, emit_int(e, 0), count, scratch};
    LLVMBuildCall2(e->b, emit_phase_type(e), choice.phase, args, 5, "");
    LLVMValueRef status = LLVMBuildLoad2(e->b, e->i32, d->status, "");
    return_if(e, d, LLVMBuildICmp(e->b, LLVMIntNE, status, zero, ""),
              LLVMBuildSExt(e->b, status, e->i64, ""));
    LLVMValueRef next = LLVMBuildAdd(e->b, k, emit_i32(e, 1), "");
    LLVMBasicBlockRef latch = emit_here(e);
    LLVMAddIncoming(k, &next, &latch, 1);
    LLVMBuildBr(e->b, head);
    LLVMPositionBuilderAtEnd(e->b, end);
    LLVMBuildRet(e->b, emit_int(e, 0));
}

static LLVMValueRef emit_both(Emitter *e, const Pattern *p, const DirectVariant *variants, unsigned n)
{
    unsigned n_phases = 0;
    for (unsigned k = 0; k < n; k++)
        if (variants[k].loops->phases.n > n_phases) n_phases = variants[k].loops->phases.n;
    LLVMTypeRef type = LLVMFunctionType(e->i64, (LLVMTypeRef[]){e->ptr, e->i1}, 2, false);
    LLVMValueRef f = emit_function(e, format(e->c, "%s.direct", p->name), type);
    emit_attribute(e, f, "noinline");
    Direct d = {.pattern = p, .args = LLVMGetParam(f, 0), .run = LLVMGetParam(f, 1)};
    d.tensors = emit_alloca(e, LLVMArrayType2(e->tensor_type, p->tensors.n + 1), "tensors");
    d.call = emit_alloca(e, e->call_type, "call");
    d.plan = emit_alloca(e, e->plan_type, "plan");
    d.status = emit_alloca(e, e->i32, "status");
    LLVMValueRef tasks = emit_alloca(e, LLVMArrayType2(e->i64, n_phases + 1), "tasks");
    bind(e, &d);
    Choice choice = choose(e, &d, variants, n);
    store_field(e, e->plan_type, d.plan, 2, tasks);
    LLVMValueRef code =
        LLVMBuildCall2(e->b, emit_prepare_type(e), choice.prepare, (LLVMValueRef[]){d.call, d.plan}, 2, "");
    LLVMValueRef refused = LLVMBuildICmp(e->b, LLVMIntNE, code, emit_i32(e, 0), "");
    return_if(e, &d, refused, LLVMBuildSExt(e->b, code, e->i64, ""));
    LLVMValueRef shared = emit_field(e, e->plan_type, d.plan, 0, e->i64);
    LLVMValueRef bytes =
        emit_intrinsic2(e, "llvm.uadd.sat", shared, emit_field(e, e->plan_type, d.plan, 1, e->i64));
    LLVMBasicBlockRef go = emit_block(e, "go"), tell = emit_block(e, "tell");
    LLVMBuildCondBr(e->b, d.run, go, tell);
    LLVMPositionBuilderAtEnd(e->b, tell);
    LLVMBuildRet(e->b, bytes);
    LLVMPositionBuilderAtEnd(e->b, go);
    LLVMValueRef needed = LLVMBuildICmp(e->b, LLVMIntNE, bytes, emit_int(e, 0), "");
    LLVMValueRef missing = LLVMBuildAnd(e->b, needed, LLVMBuildIsNull(e->b, e->workspace, ""), "");
    return_if(e, &d, missing, emit_int(e, DIRECT_BAD_ARGUMENT));
    LLVMValueRef scratch = LLVMBuildGEP2(e->b, e->i8, e->workspace, &shared, 1, "");
    run_phases(e, &d, choice, tasks, scratch);
    return f;
}

static void emit_entry(Emitter *e, LLVMValueRef both, const char *name, LLVMTypeRef result, bool run)
{
    LLVMValueRef f = emit_function(e, name, LLVMFunctionType(result, &e->ptr, 1, false));
    LLVMSetLinkage(f, LLVMExternalLinkage);
    LLVMValueRef args[] = {LLVMGetParam(f, 0), emit_flag(e, run)};
    LLVMBuildRet(e->b, LLVMBuildIntCast2(e->b, emit_call(e, both, args, 2), result, true, ""));
}

void emit_direct(Emitter *e, const Cpu *cpu, const DirectVariant *variants, unsigned n)
{
    const Pattern *pattern = variants[0].loops->pattern;
    const char *name = header_symbol(e->c, pattern);
    emit_begin(e, variants[0].loops, NULL, cpu, pattern->name);
    LLVMValueRef both = emit_both(e, pattern, variants, n);
    emit_entry(e, both, name, e->i32, true);
    emit_entry(e, both, format(e->c, "%s_workspace", name), e->i64, false);
}
