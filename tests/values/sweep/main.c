/* Machine code against the interpreter: every pattern of a file, f32 and f64, on 1 and 2 threads, at the
 * sizes of cases.c, with extents at run time and fixed ones. Every tensor ends at an unreadable page, and
 * begins at one in a second pass with other strides. What the interpreter refuses (a condition, a declared
 * range) must be refused for the same reason.
 *
 *     values_sweep [--cuda] FILE.attn [PATTERN]   ATTN_TEST_FULL=1: two extents at a time, several seeds
 *
 * --cuda: PTX on the CUDA device, f16 and bf16 too, at smaller sizes; exit code 77 where there is no driver
 * or no NVRTC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/command/device.h"
#include "compiler/pipeline.h"
#include "compiler/gpu.h"
#include "sweep.h"

enum { ORACLE_OPERATIONS = 20000000, CUDA_OPERATIONS = 1000000 }; /* most that a case may cost */
enum { SKIPPED = 77 };

/* What `float` is, in groups that run on the same numbers. */
typedef struct Real { const char *name; bool f64; StorageType real; } Real;
enum { F32, F64, F16, BF16, REALS };
static const Real reals[REALS] = {{"f32", false, STORAGE_FLOAT},
                                  {"f64", true, STORAGE_FLOAT},
                                  {"f16", false, STORAGE_F16},
                                  {"bf16", false, STORAGE_BF16}};

typedef struct Counts { unsigned compared, refused, large, close, failed; } Counts;

typedef struct Sweep {
    const char *file;
    Compilation *c;          /* of the pattern */
    Pattern *pattern;
    Graph *graph;
    bool full, cuda, small;
    int64_t features;        /* fixed ones; 0: none */
    uint64_t seed;
    Counts counts;
} Sweep;

/* One case in one storage type. */
typedef struct Trial {
    Sweep *s;
    const Case *a;
    Call *call;
    const Real *type;
    AttnLibrary *library;
    const char *fixed;       /* `i=17,64`, or NULL: extents at run time */
    const CallResult *reference;
    const char *refusal;     /* why the interpreter refuses, or NULL */
    int close;               /* 1: a selection is within rounding of its cut, -1: it is not, 0: unknown */
} Trial;

static void fail(Trial *t, const CallOptions *o, const char *text)
{
    static const char *const guards[] = {"", ", pages unreadable after", ", pages unreadable before"};
    static const char *const layouts[] = {"", ", transposed", ", backwards"};
    if (t->s->counts.failed++ >= 20) return;
    printf("FAILED: %s\n  attnc run %s%s -p %s %s --dtype %s --threads %d --seed %llu --check%s%s%s%s%s\n",
           text, t->s->cuda ? "--target cuda " : "", t->s->file, t->s->pattern->name,
           cases_options(t->call->c, t->a), t->type->name, o->threads, (unsigned long long)t->s->seed, guards[o->guard],
           layouts[o->layout], t->fixed ? " (code for " : "", t->fixed ? t->fixed : "", t->fixed ? ")" : "");
}

/* --- one run --- */

/* Both refusals must be about the same: the runtime adds values and places to what the interpreter says. */
static bool same_refusal(Compilation *c, const char *refusal, const char *got)
{
    static const char before[] = "condition does not hold: ";
    if (!strncmp(refusal, before, sizeof before - 1)) {
        const char *condition = refusal + sizeof before - 1;
        return strstr(got, format(c, "%s does not hold", condition)) != NULL;
    }
    if (refusal[0] == '\'') { /* 'table' has the value 9, which is not in 0..4 */
        const char *end = strchr(refusal + 1, '\'');
        return end && strstr(got, intern(c, refusal + 1, (size_t)(end - refusal - 1))) != NULL;
    }
    const char *end = strstr(refusal, " is not in ");  /* half: int in 0..n: 7 is not in 0..5 */
    while (end && end > refusal && *end != ':') end--;
    return end && strstr(got, intern(c, refusal, (size_t)(end - refusal))) != NULL;
}

/* Are selections (or ints made of floats) so close to their cut that rounding decides? Then the interpreter
 * itself gives other results on inputs that are changed by as little. */
static bool is_close(Trial *t)
{
    Call changed = *t->call;
    CallResult other;
    uint32_t n = t->s->pattern->tensors.n;
    if (t->close) return t->close > 0;
    t->close = -1;
    changed.tensors = NEW_ARRAY(changed.c, CallTensor, n + 1);
    for (uint32_t k = 0; k < n; k++) {
        CallTensor *x = &changed.tensors[k];
        *x = t->call->tensors[k];
        if (!x->data || x->tensor->type != TYPE_REAL) continue;
        double *data = x->data = memcpy(NEW_ARRAY(changed.c, double, x->n + 1), x->data, x->n * sizeof *data);
        for (size_t i = 0; i < x->n; i++)
            data[i] *= 1 + 1e-6 * ((double)(i * 2654435761u >> 8 & 255) / 128 - 1);
    }
    if (call_interpret(&changed, t->s->graph, &other)) return false;
    for (uint32_t k = 0; k < n; k++) {
        if (!other.data[k]) continue;
        Difference d = call_compare(&t->call->tensors[k], other.data[k], t->reference->data[k]);
        if (d.places || d.rms > 1e-3) t->close = 1;
    }
    return t->close > 0;
}

static void compare(Trial *t, const CallOptions *o, const CallResult *result)
{
    for (uint32_t k = 0; k < t->s->pattern->tensors.n; k++) {
        const CallTensor *out = &t->call->tensors[k];
        if (!t->reference->data[k]) continue;
        Difference d = call_compare(out, result->data[k], t->reference->data[k]);
        double limit = call_threshold(t->call, out);
        if ((!d.places && d.rms <= limit) || is_close(t)) continue;
        fail(t, o, format(t->call->c, "%s: relative RMS error %.3g, limit %.3g, %zu places; element %zu is "
                          "%.9g, not %.9g", out->tensor->name, d.rms, limit, d.places, d.worst, d.got,
                          d.expected));
        return;
    }
}

static void run(Trial *t, CallOptions o)
{
    CallResult result;
    const char *wrong = call_machine(t->call, t->library, &o, &result);
    if (t->refusal) {
        if (!wrong) fail(t, &o, format(t->call->c, "ran, but: %s", t->refusal));
        else if (!same_refusal(t->call->c, t->refusal, wrong))
            fail(t, &o, format(t->call->c, "said: %s\n  instead of: %s", wrong, t->refusal));
    } else if (wrong) {
        fail(t, &o, wrong);
    } else {
        compare(t, &o, &result);
    }
}

static void run_orders(Trial *t)
{
    if (t->s->cuda && !t->s->full) {
        run(t, (CallOptions){.threads = 1, .layout = (CallLayout)(t->a->number % 3)});
        return;
    }
    if (!t->a->all_orders && !t->s->full) {
        run(t, (CallOptions){.threads = 1, .guard = GUARD_END});
        run(t, (CallOptions){.threads = 2, .guard = GUARD_BEGIN, .layout = LAYOUT_TRANSPOSED});
        return;
    }
    for (int threads = 1; threads <= 2; threads++)
        for (CallGuard guard = GUARD_END; guard <= GUARD_BEGIN; guard++)
            for (CallLayout layout = LAYOUT_DENSE; layout <= LAYOUT_BACKWARDS; layout++)
                run(t, (CallOptions){.threads = threads, .guard = guard, .layout = layout});
}

/* --- one case --- */

typedef struct Code { AttnLibrary *library[REALS]; const char *fixed; } Code; /* NULL: not wanted */

/* `reals` from `first` on, of which all that have code run on the same numbers. */
static void try_reals(Sweep *s, const Case *a, const Code *code, int first, int n)
{
    Compilation c;
    compilation_init(&c);
    Call call;
    CallResult reference;
    Trial t = {.s = s, .a = a, .call = &call, .fixed = code->fixed, .reference = &reference};
    if (setjmp(c.escape)) {
        printf("FAILED: %s: %s\n", s->pattern->name, c.fatal);
        s->counts.failed++;
        compilation_free(&c);
        return;
    }
    call_init(&call, &c, s->pattern, false); /* f64 runs on the numbers of f32 */
    call.real = reals[first].real;
    call.limit = s->cuda && !s->full ? CUDA_OPERATIONS : ORACLE_OPERATIONS;
    const char *wrong = cases_apply(&call, a, s->seed);
    if (!wrong) t.refusal = oracle_results(&call, s->graph, &reference);
    bool large = t.refusal && strstr(t.refusal, "more operations than allowed");
    if (wrong || (t.refusal && !strncmp(t.refusal, "internal error", 14)))
        fail(&t, &(CallOptions){0}, wrong ? wrong : t.refusal);
    else if (large) s->counts.large++;
    else for (int k = first; k < first + n; k++) {
        call.f64 = reals[k].f64;
        t.type = &reals[k];
        t.library = code->library[k];
        if (t.library) run_orders(&t);
    }
    s->counts.compared += !t.refusal && t.close <= 0;
    s->counts.close += t.close > 0;
    s->counts.refused += t.refusal && !large;
    compilation_free(&c);
}

static void try_case(Sweep *s, const Case *a, const Code *code)
{
    Case own = *a;
    own.small = s->small;
    own.features = s->features;
    if (code->library[F32]) try_reals(s, &own, code, F32, 2);
    if (code->library[F16]) try_reals(s, &own, code, F16, 1);
    if (code->library[BF16]) try_reals(s, &own, code, BF16, 1);
}

/* --- one pattern --- */

static bool wanted(const Sweep *s, int type)
{
    if (s->features) return type != F64;
    return s->cuda ? s->full || type != F64 : type <= F64;
}

static void close_code(Code *code)
{
    for (int k = 0; k < REALS; k++) attn_close(code->library[k]);
}

static bool compile(Sweep *s, const char *const *sizes, Code *code)
{
    static AttnError error;
    for (int k = 0; k < REALS; k++) {
        AttnCompileOptions o = {.pattern = s->pattern->name, .sizes = sizes, .real = reals[k].name,
                                .target = s->cuda ? "cuda:compute_80" : NULL};
        if (!wanted(s, k) || !attn_compile_file(s->file, &o, &code->library[k], &error)) continue;
        printf("FAILED: %s does not compile%s%s, %s:\n%s\n", s->pattern->name,
               code->fixed ? " with --size " : "", code->fixed ? code->fixed : "", reals[k].name, error.text);
        s->counts.failed++;
        close_code(code);
        return false;
    }
    return true;
}

static void sweep_fixed(Sweep *s, const Index *index)
{
    const int64_t *extents;
    unsigned n = cases_fixed(s->c, s->pattern, index, s->full, &extents);
    if (!n) return;
    Text text = {.c = s->c};
    for (unsigned k = 0; k < n; k++)
        text_add(&text, "%s%lld", k ? "," : format(s->c, "%s=", index->name), (long long)extents[k]);
    Code code = {.fixed = text.at};
    if (!compile(s, (const char *const[]){text.at, NULL}, &code)) return;
    for (unsigned k = 0; k < n; k++)
        try_case(s, &(Case){.index = {index}, .extent = {extents[k]}, .optional = k == 0}, &code);
    close_code(&code);
}

static void sweep_run_time(Sweep *s)
{
    Code code = {0};
    Cases cases = {0};
    if (!compile(s, NULL, &code)) return;
    cases_list(s->c, s->pattern, s->full && s->seed == 1, &cases);
    for (uint32_t k = 0; k < cases.n; k++) try_case(s, &cases.at[k], &code);
    close_code(&code);
}

/* Tiles: features that are constants, and multiples of 16. */
static void sweep_features(Sweep *s, int64_t extent)
{
    const char *const *sizes = cases_features(s->c, s->pattern, extent);
    Text text = {.c = s->c};
    Code code = {0};
    Cases cases = {0};
    for (unsigned k = 0; sizes[k]; k++) text_add(&text, "%s%s", k ? " " : "", sizes[k]);
    code.fixed = text.at;
    s->features = extent;
    if (!text.n || !compile(s, sizes, &code)) return;
    cases_list(s->c, s->pattern, false, &cases);
    for (uint32_t k = 0; k < cases.n; k++)
        if (!cases.at[k].index[0] || !gpu_is_feature(s->pattern, cases.at[k].index[0]))
            try_case(s, &cases.at[k], &code);
    close_code(&code);
    s->features = 0;
}

/* Are small extents such as the pattern takes? */
static bool takes_small(const Sweep *s)
{
    Compilation c;
    Call call;
    CallResult result;
    compilation_init(&c);
    bool taken = !setjmp(c.escape);
    if (taken) {
        call_init(&call, &c, s->pattern, false);
        taken = !cases_apply(&call, &(Case){.small = true}, 1) && !oracle_results(&call, s->graph, &result);
    }
    compilation_free(&c);
    return taken;
}

static unsigned sweep_pattern(const char *file, bool cuda, Pipeline *p, Pattern *pattern)
{
    Sweep s = {.file = file, .c = p->c, .cuda = cuda, .pattern = pattern, .graph = pipeline_graph(p, pattern)};
    s.small = cuda && takes_small(&s);
    const char *full = getenv("ATTN_TEST_FULL");
    s.full = full && *full && strcmp(full, "0");
    for (s.seed = 1; s.seed <= (s.full ? 3 : 1); s.seed++) {
        sweep_run_time(&s);
        if (cuda) sweep_features(&s, s.full ? 64 : 16);
        for (uint32_t k = 0; k < pattern->indices.n && (!cuda || s.full); k++) sweep_fixed(&s, pattern->indices.at[k]);
    }
    Counts n = s.counts;
    if (!n.compared) printf("FAILED: %s: nothing was compared\n", pattern->name), n.failed++;
    if (10 * n.close > n.compared)
        printf("FAILED: %s: selections too close to call\n", pattern->name), n.failed++;
    printf("%s: %u compared, %u refused, %u too large, %u too close to call, %u failures\n", pattern->name,
           n.compared, n.refused, n.large, n.close, n.failed);
    return n.failed;
}

static int sweep_file(const char *file, const char *pattern, bool cuda)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) return printf("%s: %s\n", file, c.fatal), 1;
    PipelineOptions o = {.path = file, .pattern = pattern};
    Pipeline p;
    pipeline_init(&p, &c, &o);
    unsigned failed = 0;
    if (!pipeline_check(&p)) {
        printf("%s\n%s", p.error ? p.error : "", diag_render(&c, DIAG_CARETS));
        failed = 1;
    }
    for (uint32_t k = 0; p.program && k < p.program->patterns.n; k++)
        failed += sweep_pattern(file, cuda, &p, p.program->patterns.at[k]);
    compilation_free(&c);
    return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    int at = argc > 1 && !strcmp(argv[1], "--cuda") ? 2 : 1;
    if (argc <= at || argc > at + 2)
        return fprintf(stderr, "usage: values_sweep [--cuda] FILE.attn [PATTERN]\n"), 2;
    static AttnError lacks;
    if (at == 2 && !device_usable(&lacks)) return printf("skipped: %s\n", lacks.text), SKIPPED;
    return sweep_file(argv[at], argc > at + 1 ? argv[at + 1] : NULL, at == 2);
}
