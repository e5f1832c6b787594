/* attnc run: one call of one pattern, on data from files or from its example. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/command/case.h"

typedef struct Run {
    Compilation *c;
    const Options *o;
    Pipeline p;
    Pattern *pattern;
    Call call;
    double prepare; /* seconds to compile, or to find it compiled */
} Run;

/* --- what is given --- */

/* The output that an -o names, or the only one. */
static CallTensor *find_output(Run *r, const char *name)
{
    CallTensor *found = NULL;
    for (uint32_t k = 0; k < r->pattern->tensors.n; k++) {
        CallTensor *t = &r->call.tensors[k];
        if (t->tensor->role != ROLE_OUTPUT) continue;
        if (name && !strcmp(t->tensor->name, name)) return t;
        if (!name && !t->tensor->optional) {
            if (found) return NULL;
            found = t;
        }
    }
    return found;
}

static const char *check_outputs(Run *r)
{
    const char *name;
    for (uint32_t k = 0; k < r->o->outputs.n; k++) {
        case_value(r->c, r->o->outputs.at[k], &name);
        if (!find_output(r, name))
            return format(r->c, name ? "'%s' has no output '%s'" : "'%s' has several outputs: -o NAME=FILE",
                          r->pattern->name, name);
    }
    return NULL;
}

/* S.last is made where it is asked for. */
static void want_states(Run *r)
{
    const char *name;
    for (uint32_t k = 0; k < r->o->outputs.n; k++) {
        case_value(r->c, r->o->outputs.at[k], &name);
        find_output(r, name)->given = true;
    }
    for (uint32_t k = 0; k < r->pattern->tensors.n; k++)
        if (r->o->states && r->call.tensors[k].tensor->role == ROLE_OUTPUT) r->call.tensors[k].given = true;
}

static const char *prepare(Run *r, const char *file)
{
    const char *wrong = case_open(&r->p, file, r->o, &r->pattern, &r->call);
    if (!wrong) wrong = check_outputs(r);
    if (!wrong) wrong = call_complete(&r->call, (uint64_t)r->o->seed, false);
    if (!wrong) want_states(r);
    return wrong;
}

/* --- running --- */

static const char *run_machine(Run *r, CallResult *result)
{
    AttnCompileOptions options = case_jit(r->c, r->o, r->pattern);
    AttnLibrary *library;
    AttnError *error = NEW(r->c, AttnError);
    const Source *source = &r->c->sources.at[r->p.source];
    if (r->o->target == TARGET_CUDA && (r->o->tf32 || r->o->real != STORAGE_FLOAT))
        options.sizes = case_fixed_sizes(&r->call); /* tensor cores */
    announce_backend(r->c);
    double start = call_now();
    if (attn_compile_string(source->text, source->path, &options, &library, error)) return error->text;
    r->prepare = call_now() - start;
    CallOptions run = {.threads = (int)r->o->threads, .repeat = (unsigned)r->o->repeat};
    const char *wrong = call_machine(&r->call, library, &run, result);
    attn_close(library);
    return wrong;
}

static const char *run_backend(Run *r, const char *backend, CallResult *result)
{
    if (!strcmp(backend, "cpu") || !strcmp(backend, "cuda")) return run_machine(r, result);
    double start = call_now();
    if (!strcmp(backend, "interpreter")) {
        Graph *graph = pipeline_graph(&r->p, r->pattern);
        r->prepare = call_now() - start;
        return call_interpret(&r->call, graph, result);
    }
    Kernel *kernel = pipeline_kernel(&r->p, r->pattern);
    r->prepare = call_now() - start;
    return call_execute(&r->call, kernel, result);
}

/* --- what is shown and written --- */

static void print_call(const Run *r, const char *backend)
{
    Text text = {.c = r->c};
    text_add(&text, "%s", "");
    case_print(&text, &r->call);
    printf("%s, %s, %s\n  %s\n", r->pattern->name, backend, options_dtype(r->o), text.at);
}

static void print_output(const CallTensor *t, const void *data)
{
    static const char *const types[] = {"bool", "int", "float"};
    printf("  %s: %s[", t->tensor->name, types[t->tensor->type]);
    for (unsigned d = 0; d < t->tensor->n_dims; d++) printf("%s%lld", d ? ", " : "", (long long)t->full[d]);
    printf("]  checksum %016llx\n", (unsigned long long)call_checksum(t, data));
}

static void print_results(const Run *r, const char *backend, const CallResult *result)
{
    print_call(r, backend);
    for (uint32_t k = 0; k < r->pattern->tensors.n; k++)
        if (result->data[k]) print_output(&r->call.tensors[k], result->data[k]);
    printf("  %.3f ms", 1e3 * result->seconds);
    if (r->prepare > 0) printf(" after %.1f ms to prepare", 1e3 * r->prepare);
    if (result->operations) printf(", %llu operations", (unsigned long long)result->operations);
    puts("");
}

/* Bytes of a float in a .npy file: bf16, which NumPy lacks, is written as f32. */
static int float_bytes(const Run *r, const Tensor *t)
{
    StorageType s = call_storage(&r->call, t);
    return s == STORAGE_F64 ? 8 : s == STORAGE_F16 ? 2 : 4;
}

static const char *write_outputs(Run *r, const CallResult *result)
{
    const char *wrong = NULL, *name;
    for (uint32_t k = 0; !wrong && k < r->o->outputs.n; k++) {
        const char *path = case_value(r->c, r->o->outputs.at[k], &name);
        const CallTensor *t = find_output(r, name);
        void *data = result->data[t->tensor->number];
        Array array = {t->tensor->type, (int)t->tensor->n_dims, t->full, t->n, data};
        wrong = npy_write(r->c, path, &array, float_bytes(r, t->tensor));
    }
    return wrong;
}

/* --- --check --- */

static bool print_difference(const Run *r, const CallTensor *t, const void *result, const void *reference)
{
    Difference d = call_compare(t, result, reference);
    double limit = call_threshold(&r->call, t);
    bool fine = !d.places && d.rms <= limit;
    printf("  check %s: relative RMS error %.3g, limit %.3g", t->tensor->name, d.rms, limit);
    if (d.places) printf("; %zu elements differ in kind or value", d.places);
    if (!fine) printf("; element %zu is %.9g instead of %.9g", d.worst, d.got, d.expected);
    puts(fine ? "" : "  FAILED");
    return fine;
}

static const char *check(Run *r, const CallResult *result, bool *fine)
{
    CallResult reference;
    const char *wrong = call_interpret(&r->call, pipeline_graph(&r->p, r->pattern), &reference);
    for (uint32_t k = 0; !wrong && k < r->pattern->tensors.n; k++)
        if (result->data[k] && !print_difference(r, &r->call.tensors[k], result->data[k], reference.data[k]))
            *fine = false;
    return wrong;
}

int command_run(Compilation *c, const Options *o, const char *file)
{
    PipelineOptions options = pipeline_options(o, file);
    const char *backend = o->backend ? o->backend : o->target == TARGET_CUDA ? "cuda" : "cpu";
    Run *r = NEW(c, Run);
    *r = (Run){.c = c, .o = o};
    pipeline_init(&r->p, c, &options);
    if (!pipeline_check(&r->p)) return pipeline_report(&r->p, o);
    CallResult result;
    bool fine = true;
    const char *wrong = prepare(r, file);
    if (!wrong && o->require_fast) pipeline_kernel(&r->p, r->pattern);
    if (r->p.status) return pipeline_report(&r->p, o);
    if (!wrong) wrong = run_backend(r, backend, &result);
    if (!wrong) print_results(r, backend, &result);
    if (!wrong) wrong = write_outputs(r, &result);
    if (!wrong && o->check) wrong = check(r, &result, &fine);
    if (wrong) return complain("%s", wrong);
    int code = pipeline_report(&r->p, o);
    return fine ? code : EXIT_INPUT;
}
