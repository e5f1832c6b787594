/* The entry point of libattn_jit: a Backend (compiler/backend.h) that makes x86-64 code with LLVM. */
#include "codegen/jit.h"

#include <string.h>

#include "codegen/cpu/emit.h"
#include "codegen/cuda/cuda.h"
#include "codegen/header.h"
#include "codegen/link.h"

/* What must be given back however a job ends. */
typedef struct Session {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMTargetMachineRef machine;
    LLVMMemoryBufferRef bytes;
    Emitter emitter;
} Session;

static void session_end(Session *s)
{
    emitter_free(&s->emitter);
    if (s->bytes) LLVMDisposeMemoryBuffer(s->bytes);
    if (s->module) LLVMDisposeModule(s->module);
    if (s->machine) LLVMDisposeTargetMachine(s->machine);
    if (s->context) LLVMContextDispose(s->context);
    memset(s, 0, sizeof *s);
}

/* Remarks such as "loop not vectorized" are nobody's business. */
static void drop_remark(LLVMDiagnosticInfoRef info, void *context)
{
    (void)info;
    (void)context;
}

static const char *session_begin(Session *s, const BackendJob *job)
{
    const char *error = NULL;
    s->context = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(s->context, drop_remark, NULL);
    s->machine = target_machine(job->c, &error);
    if (!s->machine) return error;
    s->module = LLVMModuleCreateWithNameInContext(job->source_path ? job->source_path : "attn", s->context);
    emitter_init(&s->emitter, job, s->context, s->module);
    return target_prepare_module(s->machine, s->module);
}

/* --- variants --- */

static bool wants_description(Emit what) { return what != EMIT_OBJ && what != EMIT_ARCHIVE; }
static bool wants_direct(const BackendJob *job, Emit what)
{
    return job->direct || what == EMIT_OBJ || what == EMIT_ARCHIVE;
}

/* The direct entry of every pattern: its variants for the first CPU named. */
static void emit_direct_entries(Emitter *e, const BackendJob *job, const Described *all)
{
    for (unsigned from = 0, to; from < job->variants.n; from = to) {
        const Pattern *pattern = all[from].variant->kernel->pattern;
        DirectVariant *list = NEW_ARRAY(e->c, DirectVariant, job->variants.n);
        unsigned n = 0;
        for (to = from; to < job->variants.n && all[to].variant->kernel->pattern == pattern; to++)
            list[n++] = (DirectVariant){all[to].variant->fixed, all[to].kernel, all[to].variant->kernel};
        emit_direct(e, all[from].cpu, list, n);
    }
}

/* Among variants for the same extents the most capable CPU stands first: the first that fits is used. */
static void sort_cpus(Described *all, unsigned n)
{
    for (unsigned k = 1; k < n; k++) {
        const Variant *v = all[k].variant;
        for (unsigned i = k; i > 0; i--) {
            const Variant *before = all[i - 1].variant;
            if (before->kernel != v->kernel || before->fixed != v->fixed) break;
            if (__builtin_popcountll(all[i - 1].cpu->features) >= __builtin_popcountll(all[i].cpu->features))
                break;
            Described swap = all[i - 1];
            all[i - 1] = all[i], all[i] = swap;
        }
    }
}

static const char *emit_module(Emitter *e, const BackendJob *job, Emit what)
{
    Described *all = NEW_ARRAY(job->c, Described, job->variants.n + 1);
    emit_debug_begin(e);
    for (unsigned k = 0; k < job->variants.n; k++) {
        const Variant *v = &job->variants.at[k];
        const char *known = NULL;
        const Cpu *cpu = target_cpu(job->c, v->cpu, &known);
        if (!cpu) return format(job->c, "unknown CPU '%s'; known are %s", v->cpu, known);
        if (k && wants_direct(job, what) && strcmp(cpu->name, all[0].cpu->name))
            return "a direct entry (object, archive or header) is compiled for one CPU";
        const char *entry = format(job->c, "%s.%u", v->kernel->pattern->name, k);
        all[k] = (Described){v, cpu, emit_kernel(e, v->kernel, v->fixed, cpu, entry), NULL};
        const char *error = job->target == TARGET_CUDA ? cuda_embed(job, v, &all[k].cuda) : NULL;
        if (error) return error;
    }
    sort_cpus(all, job->variants.n);
    if (wants_direct(job, what)) emit_direct_entries(e, job, all);
    if (wants_description(what)) describe_module(e, all, job->variants.n);
    emit_debug_end(e);
    return NULL;
}

/* --- output --- */

static const char *archive(const BackendJob *job, Bytes object, const char *path)
{
    const char **symbols = NEW_ARRAY(job->c, const char *, 2 * (size_t)job->variants.n + 1);
    unsigned n = 0;
    const Pattern *last = NULL;
    for (unsigned k = 0; k < job->variants.n; k++) {
        const Pattern *p = job->variants.at[k].kernel->pattern;
        if (p == last) continue;
        const char *name = header_symbol(job->c, p);
        symbols[n++] = name;
        symbols[n++] = format(job->c, "%s_workspace", name);
        last = p;
    }
    return link_archive(job->c, object, symbols, n, path);
}

static const char *write_output(Session *s, const BackendJob *job, Emit what, const char *path, Text *out)
{
    const char *error = NULL;
    if (what == EMIT_LLVM) {
        char *text = LLVMPrintModuleToString(s->module);
        text_add(out, "%s", text);
        LLVMDisposeMessage(text);
        return NULL;
    }
    s->bytes = target_emit(job->c, s->machine, s->module, what == EMIT_ASM, &error);
    if (!s->bytes) return error;
    Bytes bytes = {LLVMGetBufferStart(s->bytes), LLVMGetBufferSize(s->bytes)};
    switch (what) {
    case EMIT_ASM: text_add_bytes(out, bytes.at, bytes.n); return NULL;
    case EMIT_OBJ: return link_write(job->c, bytes, path);
    case EMIT_ARCHIVE: return archive(job, bytes, path);
    case EMIT_SHARED: return link_shared(job->c, bytes, path);
    default: return "the CPU backend cannot emit this";
    }
}

static const char *compile(Session *s, const BackendJob *job, Emit what, const char *path, Text *out)
{
    if (job->target == TARGET_CUDA && what != EMIT_SHARED)
        return "for CUDA there are shared objects, and --emit=loops, cuda, ptx";
    const char *error = session_begin(s, job);
    if (!error) error = emit_module(&s->emitter, job, what);
    if (error) return error;
    const char *wrong = target_verify(job->c, s->module);
    if (wrong) BUG(job->c, "LLVM rejects the module: %s", wrong);
    error = target_optimise(job->c, s->machine, s->module);
    return error ? error : write_output(s, job, what, path, out);
}

/* LLVM's objects are given back also when the compilation is left by its long jump. */
static const char *emit(const BackendJob *job, Emit what, const char *path, Text *out)
{
    if (what == EMIT_HEADER) return header_print(job, out);
    if (what == EMIT_CUDA || what == EMIT_PTX) return cuda_emit(job, what, out);
    Session *s = NEW(job->c, Session);
    jmp_buf outer;
    memcpy(&outer, &job->c->escape, sizeof outer);
    if (setjmp(job->c->escape)) {
        session_end(s);
        memcpy(&job->c->escape, &outer, sizeof outer);
        longjmp(job->c->escape, 1);
    }
    const char *error = compile(s, job, what, path, out);
    session_end(s);
    memcpy(&job->c->escape, &outer, sizeof outer);
    return error;
}

static const char *version(void) { return "LLVM " LLVM_VERSION_STRING; }

const Backend *attn_backend(void)
{
    static const Backend backend = {"cpu", emit, target_host_text, version};
    return &backend;
}
