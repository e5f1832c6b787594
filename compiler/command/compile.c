/* attnc compile: a file for every output asked for, or the text of a pass. */
#include <string.h>

#include "compiler/command/command.h"

static const struct { const char *suffix; Emit what; } suffixes[] = {
    {".so", EMIT_SHARED}, {".o", EMIT_OBJ}, {".a", EMIT_ARCHIVE}, {".h", EMIT_HEADER}, {".ll", EMIT_LLVM},
    {".s", EMIT_ASM}, {".cu", EMIT_CUDA}, {".ptx", EMIT_PTX},
};

static const char *const emit_names[] = {
#define EMIT(name, text) text,
#include "compiler/emit_list.h"
#undef EMIT
};

/* By --emit, else by the suffix of the output; false: neither says. */
static bool what_to_emit(const Options *o, const char *output, Emit *what)
{
    for (int k = 0; o->emit && k < EMITS; k++)
        if (!strcmp(o->emit, emit_names[k])) return *what = (Emit)k, true;
    const char *dot = output ? strrchr(output, '.') : NULL;
    for (size_t k = 0; dot && k < sizeof suffixes / sizeof *suffixes; k++)
        if (!strcmp(dot, suffixes[k].suffix)) return *what = suffixes[k].what, true;
    return false;
}

static bool is_file(Emit what) { return what == EMIT_OBJ || what == EMIT_ARCHIVE || what == EMIT_SHARED; }

static const char *usage(const Options *o, const char *output, Emit *what)
{
    if (o->outputs.n > 1) return "compile writes one output: -o once";
    if (!output && !o->emit && !o->header) return "say where to write: -o FILE.so, or --emit";
    if ((output || o->emit) && !what_to_emit(o, output, what))
        return "the suffix of -o tells what to write: .so .o .a .h .ll .s .cu .ptx; or use --emit";
    if ((output || o->emit) && is_file(*what) && !output) return "--emit=obj needs -o FILE";
    return NULL;
}

static bool emit(Pipeline *p, const Backend *backend, const BackendJob *job, Emit what, const char *path)
{
    Text text = {.c = p->c};
    if (!pipeline_generate(p, backend, job, what, path, &text)) return false;
    p->error = is_file(what) ? NULL : write_text(p->c, path, &text);
    if (p->error) p->status = PIPELINE_FAILED;
    return !p->error;
}

static void print(Pipeline *p, Emit what, const char *path)
{
    Text text = {.c = p->c};
    pipeline_print(p, what, &text);
    p->error = text.n && !p->error ? write_text(p->c, path, &text) : p->error;
    if (p->error && !p->status) p->status = PIPELINE_FAILED;
}

static int compile(Pipeline *p, const Options *o, const char *output, Emit what)
{
    BackendJob job;
    if (!pipeline_job(p, &job)) return pipeline_report(p, o);
    const Backend *backend = open_backend(p->c, &p->error);
    if (!backend) {
        p->status = PIPELINE_FAILED;
        return pipeline_report(p, o);
    }
    bool ok = !(output || o->emit) || emit(p, backend, &job, what, output);
    if (ok && o->header) emit(p, backend, &job, EMIT_HEADER, o->header);
    return pipeline_report(p, o);
}

int command_compile(Compilation *c, const Options *o, const char *file)
{
    const char *output = o->outputs.n ? o->outputs.at[0] : NULL;
    Emit what = EMIT_HEADER;
    const char *wrong = usage(o, output, &what);
    if (wrong) return complain("%s", wrong), EXIT_USAGE;
    PipelineOptions options = pipeline_options(o, file);
    if (what == EMIT_CUDA || what == EMIT_PTX) options.target = TARGET_CUDA;
    options.sizes = o->sizes.at;
    options.n_sizes = o->sizes.n;
    options.direct = o->header != NULL;
    if (what == EMIT_CUDA || what == EMIT_PTX) options.target = TARGET_CUDA;
    Pipeline p;
    pipeline_init(&p, c, &options);
    if (what < EMIT_LLVM) {
        print(&p, what, output);
        return pipeline_report(&p, o);
    }
    return compile(&p, o, output, what);
}
