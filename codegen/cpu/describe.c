/* What a module says about itself: AttnModule as constant data, and the note that is read before it is
 * opened. */
#include "emit.h"

#include "compiler/signature.h"

#include <string.h>

static LLVMValueRef private_constant(Emitter *e, LLVMValueRef value)
{
    LLVMValueRef g = LLVMAddGlobal(e->module, LLVMTypeOf(value), "");
    LLVMSetInitializer(g, value);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(g, true);
    return g;
}

static LLVMValueRef text(Emitter *e, const char *s)
{
    if (!s) return LLVMConstNull(e->ptr);
    LLVMValueRef g = private_constant(e, LLVMConstStringInContext2(e->context, s, strlen(s), false));
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

static LLVMValueRef record(Emitter *e, LLVMValueRef *fields, unsigned n)
{
    return LLVMConstStructInContext(e->context, fields, n, false);
}

/* A constant array of equal records, or NULL. */
static LLVMValueRef array(Emitter *e, LLVMValueRef *items, unsigned n)
{
    return n ? private_constant(e, LLVMConstArray2(LLVMTypeOf(items[0]), items, n)) : LLVMConstNull(e->ptr);
}

static AttnType bound_type(const Emitter *e, const Tensor *t)
{
    if (t->type == TYPE_BOOL) return ATTN_BOOL;
    if (t->type == TYPE_INT) return ATTN_I64;
    switch (job_storage(e->job, t)) {
    case STORAGE_F64: return ATTN_F64;
    case STORAGE_F16: return ATTN_F16;
    case STORAGE_BF16: return ATTN_BF16;
    default: return ATTN_F32;
    }
}

static const char *range_text(Emitter *e, const Tensor *t)
{
    if (!t->lo || !t->hi) return NULL;
    Text out = {.c = e->c};
    node_print(&out, t->lo);
    text_add(&out, "..");
    node_print(&out, t->hi);
    return out.at;
}

static LLVMValueRef tensor_info(Emitter *e, const Pattern *p, const IndexList *derived, const Tensor *t)
{
    LLVMValueRef *dims = NEW_ARRAY(e->c, LLVMValueRef, t->n_dims + 1);
    int heads = -1;
    bool input = t->role == ROLE_INPUT || t->role == ROLE_CAPTURE;
    for (unsigned d = 0; d < t->n_dims; d++) {
        dims[d] = emit_i32(e, emit_index_number(p, derived, t->dims[d]));
        if (input && heads < 0 && t->dims[d]->heads) heads = (int)d;
    }
    AttnRole role = t->role == ROLE_INPUT ? ATTN_INPUT : t->role == ROLE_CAPTURE ? ATTN_CAPTURE : ATTN_OUTPUT;
    LLVMValueRef fields[] = {
        text(e, t->name),         emit_i32(e, role),         emit_i32(e, bound_type(e, t)),
        emit_i32(e, t->n_dims),   emit_i32(e, t->n_ambient), emit_i32(e, heads),
        emit_i32(e, t->optional), array(e, dims, t->n_dims), text(e, range_text(e, t)),
        text(e, t->doc)};
    return record(e, fields, sizeof fields / sizeof *fields);
}

static LLVMValueRef param_info(Emitter *e, const Param *p)
{
    int64_t value = p->value.integer;
    if (p->type == TYPE_REAL) memcpy(&value, &p->value.real, sizeof value);
    AttnType type = p->type == TYPE_REAL ? ATTN_F64 : p->type == TYPE_INT ? ATTN_I64 : ATTN_BOOL;
    LLVMValueRef fields[] = {text(e, p->name), emit_i32(e, type), emit_i32(e, p->fixed ? 2 : p->has_default),
                             emit_int(e, value)};
    return record(e, fields, 4);
}

static LLVMValueRef check_info(Emitter *e, const Check *check)
{
    unsigned line = 0, column = 0;
    if (check->span.to) span_position(e->c, check->span, &line, &column);
    LLVMValueRef fields[] = {text(e, check->text), emit_i32(e, check->kind),
                             emit_i32(e, check->tensor ? (int64_t)check->tensor->number : -1),
                             emit_i32(e, line), emit_i32(e, column)};
    return record(e, fields, 5);
}

static LLVMValueRef index_info(Emitter *e, const Index *index, bool derived)
{
    return record(e, (LLVMValueRef[]){text(e, index->name), emit_int(e, derived)}, 2);
}

/* `size(c) == size(m) + size(r)`: the check that a derived index adds. */
static LLVMValueRef derived_check(Emitter *e, const Index *index)
{
    Text out = {.c = e->c};
    text_add(&out, "size(%s) == ", index->name);
    node_print(&out, index->extent);
    Check check = {.kind = CHECK_CONDITION, .text = out.at, .span = index->span};
    return check_info(e, &check);
}

static const char *signature(Emitter *e, const Pattern *p)
{
    Text out = {.c = e->c};
    signature_print(&out, p);
    return out.at;
}

/* --- patterns and the module --- */

#define TABLE(name, count, make) \
    LLVMValueRef *name = NEW_ARRAY(e->c, LLVMValueRef, (count) + 1); \
    for (unsigned k = 0; k < (count); k++) name[k] = make

static LLVMValueRef image_info(Emitter *e, const AttnCudaImage *image)
{
    LLVMValueRef bytes = private_constant(
        e, LLVMConstStringInContext2(e->context, image->data, (size_t)image->size, true));
    LLVMSetAlignment(bytes, 16);
    LLVMValueRef fields[] = {emit_i32(e, image->arch), emit_i32(e, image->kind),
                             emit_int(e, (int64_t)image->size), bytes};
    return record(e, fields, sizeof fields / sizeof *fields);
}

static LLVMValueRef cuda_kernel_info(Emitter *e, const AttnCudaKernel *k)
{
    LLVMValueRef fields[] = {text(e, k->name), emit_i32(e, k->threads), emit_i32(e, k->tasks),
                             emit_i32(e, k->shared), emit_i32(e, k->scratch)};
    return record(e, fields, sizeof fields / sizeof *fields);
}

static LLVMValueRef cuda_info(Emitter *e, const AttnCuda *cuda)
{
    if (!cuda) return LLVMConstNull(e->ptr);
    unsigned n_images = (unsigned)cuda->n_images, n_kernels = (unsigned)cuda->n_kernels;
    TABLE(images, n_images, image_info(e, &cuda->images[k]));
    TABLE(kernels, n_kernels, cuda_kernel_info(e, &cuda->kernels[k]));
    LLVMValueRef features = LLVMConstNull(e->ptr);
    if (cuda->features) {
        unsigned n = 0;
        while (cuda->features[n++] >= 0) continue;
        TABLE(numbers, n, emit_i32(e, cuda->features[k]));
        features = array(e, numbers, n);
    }
    LLVMValueRef fields[] = {emit_i32(e, n_images), emit_i32(e, n_kernels), array(e, images, n_images),
                             array(e, kernels, n_kernels), text(e, cuda->source), features};
    return private_constant(e, record(e, fields, sizeof fields / sizeof *fields));
}

static LLVMValueRef pattern_info(Emitter *e, const Described *d)
{
    const Kernel *kernel = d->variant->kernel;
    const Pattern *p = kernel->pattern;
    IndexList derived = emit_derived_indices(e->c, p);
    unsigned bound = p->indices.n, n_indices = bound + derived.n;
    unsigned own = kernel->checks.n, n_checks = own + derived.n;
    const int64_t *extents = d->variant->fixed;
    TABLE(indices, n_indices,
          index_info(e, k < bound ? p->indices.at[k] : derived.at[k - bound], k >= bound));
    TABLE(tensors, p->tensors.n, tensor_info(e, p, &derived, p->tensors.at[k]));
    TABLE(params, p->params.n, param_info(e, p->params.at[k]));
    TABLE(checks, n_checks,
          k < own ? check_info(e, &kernel->checks.at[k]) : derived_check(e, derived.at[k - own]));
    TABLE(fixed, n_indices, emit_int(e, extents && k < bound ? extents[k] : -1));
    unsigned data_checks = 0;
    while (data_checks < kernel->phases.n && kernel->phases.at[data_checks].data_check) data_checks++;
    LLVMValueRef fields[] = {
        text(e, p->name), text(e, p->doc), text(e, signature(e, p)),
        emit_i32(e, n_indices), emit_i32(e, p->tensors.n), emit_i32(e, p->params.n), emit_i32(e, n_checks),
        emit_i32(e, kernel->phases.n), emit_i32(e, data_checks),
        array(e, indices, n_indices), array(e, tensors, p->tensors.n), array(e, params, p->params.n),
        array(e, checks, n_checks), array(e, fixed, n_indices),
        text(e, d->cpu->name), emit_int(e, (int64_t)d->cpu->features), d->kernel.prepare, d->kernel.phase,
        cuda_info(e, d->cuda)};
    return record(e, fields, sizeof fields / sizeof *fields);
}

/* The note: size and checksum are filled in when the file is complete. */
static void add_note(Emitter *e)
{
    LLVMValueRef hash[2] = {emit_int(e, (int64_t)e->job->source_hash[0]),
                            emit_int(e, (int64_t)e->job->source_hash[1])};
    LLVMValueRef fields[] = {
        emit_i32(e, sizeof ATTN_NOTE_NAME), emit_i32(e, sizeof(AttnNote)), emit_i32(e, ATTN_NOTE_TYPE),
        LLVMConstStringInContext2(e->context, ATTN_NOTE_NAME "\0\0", 8, true),
        emit_i32(e, ATTN_ABI_VERSION), emit_i32(e, 0), emit_int(e, 0), emit_int(e, 0), hash[0], hash[1]};
    LLVMValueRef note = LLVMConstStructInContext(e->context, fields, sizeof fields / sizeof *fields, true);
    LLVMValueRef g = LLVMAddGlobal(e->module, LLVMTypeOf(note), "attn.note");
    LLVMSetInitializer(g, note);
    LLVMSetLinkage(g, LLVMInternalLinkage);
    LLVMSetGlobalConstant(g, true);
    LLVMSetSection(g, ".note.attnc");
    LLVMSetAlignment(g, 4);
    LLVMValueRef used = LLVMAddGlobal(e->module, LLVMArrayType2(e->ptr, 1), "llvm.used");
    LLVMSetInitializer(used, LLVMConstArray2(e->ptr, &g, 1));
    LLVMSetLinkage(used, LLVMAppendingLinkage);
    LLVMSetSection(used, "llvm.metadata");
}

static LLVMValueRef file_info(Emitter *e, const Source *s)
{
    return record(e, (LLVMValueRef[]){text(e, s->path), text(e, s->text), emit_int(e, s->length)}, 3);
}

static const char *real_name(const BackendJob *job)
{
    static const char *const names[] = {
#define STORAGE(NAME, text) [STORAGE_##NAME] = text,
#include "lang/storage_list.h"
#undef STORAGE
    };
    return job->tf32 ? "tf32" : names[job_real(job)];
}

static LLVMValueRef origin_info(Emitter *e)
{
    const BackendJob *job = e->job;
    if (job->target != TARGET_CUDA) return LLVMConstNull(e->ptr);
    unsigned n_files = e->c->sources.n, n_definitions = job->n_definitions;
    TABLE(files, n_files, file_info(e, &e->c->sources.at[k]));
    TABLE(definitions, n_definitions, text(e, job->definitions[k]));
    definitions[n_definitions] = LLVMConstNull(e->ptr);
    LLVMValueRef fields[] = {array(e, files, n_files), array(e, definitions, n_definitions + 1),
                             text(e, real_name(job)), emit_i32(e, n_files),
                             emit_i32(e, job->debug)};
    return private_constant(e, record(e, fields, sizeof fields / sizeof *fields));
}

void describe_module(Emitter *e, const Described *variants, unsigned n)
{
    TABLE(patterns, n, pattern_info(e, &variants[k]));
    LLVMValueRef hash[2] = {emit_int(e, (int64_t)e->job->source_hash[0]),
                            emit_int(e, (int64_t)e->job->source_hash[1])};
    LLVMValueRef fields[] = {
        emit_i32(e, ATTN_ABI_VERSION), emit_i32(e, n), array(e, patterns, n),
        text(e, "attnc " ATTN_VERSION ", LLVM " LLVM_VERSION_STRING),
        text(e, e->job->source_path), LLVMConstArray2(e->i64, hash, 2), origin_info(e)};
    LLVMValueRef module = record(e, fields, sizeof fields / sizeof *fields);
    LLVMValueRef g = LLVMAddGlobal(e->module, LLVMTypeOf(module), ATTN_MODULE_SYMBOL);
    LLVMSetInitializer(g, module);
    LLVMSetGlobalConstant(g, true);
    add_note(e);
}
