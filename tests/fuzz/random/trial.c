/* Running random programs in a child process: check, oracle, Loops, then machine code for all of them at
 * once. */
#include "trial.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/command/call.h"
#include "compiler/explain.h"
#include "compiler/performance.h"
#include "compiler/pipeline.h"

enum { OPERATIONS_MAX = 2000000, SECONDS_MAX = 20, SIZES_MAX = 4, BATCH_MAX = 64 };

/* Shared with the child: what it is doing, and what came out. */
typedef struct Shared {
    unsigned at;
    char stage[32];
    Outcome outcomes[BATCH_MAX];
} Shared;

typedef struct Trial {
    Compilation c;
    Pipeline pipeline;
    PipelineOptions options;
    Pattern *pattern;
    Call calls[SIZES_MAX];
    CallResult reference[SIZES_MAX];
    const char *refused[SIZES_MAX]; /* the oracle's reason */
} Trial;

static void fail(Outcome *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(Outcome *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    o->verdict = FAILED;
    vsnprintf(o->text, sizeof o->text, fmt, args);
    va_end(args);
}

/* --- numbers --- */

static double tolerance(const Call *call, const Tensor *t)
{
    if (t->storage == STORAGE_F16) return 4e-3;
    if (t->storage == STORAGE_BF16) return 3e-2;
    return call->f64 && t->storage != STORAGE_F32 ? 1e-9 : 1e-3;
}

static double largest(const double *x, size_t n)
{
    double most = 1;
    for (size_t k = 0; k < n; k++)
        if (isfinite(x[k]) && fabs(x[k]) > most) most = fabs(x[k]);
    return most;
}

static bool agree(double x, double r, double most)
{
    if (isnan(x) || isnan(r)) return isnan(x) && isnan(r);
    if (isinf(x) || isinf(r)) return x == r;
    return fabs(x - r) <= most;
}

/* The first element that differs, or t->n. */
static size_t first_difference(const Call *call, const CallTensor *t, const void *result,
                               const void *reference)
{
    Type type = t->tensor->type;
    const double *x = result, *r = reference;
    double most = type == TYPE_REAL ? tolerance(call, t->tensor) * largest(r, t->n) : 0;
    size_t size = type == TYPE_BOOL ? 1 : 8, k = 0;
    for (; k < t->n; k++) {
        bool same = type == TYPE_REAL
                        ? agree(x[k], r[k], most)
                        : !memcmp((const char *)result + k * size, (const char *)reference + k * size, size);
        if (!same) break;
    }
    return k;
}

static double number(const CallTensor *t, const void *data, size_t k)
{
    return t->tensor->type == TYPE_REAL  ? ((const double *)data)[k]
           : t->tensor->type == TYPE_INT ? (double)((const int64_t *)data)[k]
                                         : ((const uint8_t *)data)[k];
}

static void compare(Outcome *o, const Call *call, const CallResult *result, const CallResult *reference,
                    const char *way, unsigned size)
{
    for (uint32_t k = 0; k < call->pattern->tensors.n && o->verdict != FAILED; k++) {
        const CallTensor *t = &call->tensors[k];
        if (!reference->data[k]) continue;
        size_t at = first_difference(call, t, result->data[k], reference->data[k]);
        if (at < t->n)
            fail(o, "%s differs: %s element %zu of %zu is %.17g instead of %.17g (size %u)", way,
                 t->tensor->name, at, t->n, number(t, result->data[k], at), number(t, reference->data[k], at),
                 size);
    }
}

/* --- one program --- */

static void random_sizes(Trial *t, Call *call, const TrialOptions *options, unsigned size)
{
    Random r = {.state = options->seed + 977 * size};
    for (uint32_t k = 0; size && k < t->pattern->indices.n; k++)
        call_set_size(call, t->pattern->indices.at[k]->name,
                      random_below(&r, 12) ? 1 + random_below(&r, random_below(&r, 4) ? 6 : 44) : 0);
}

/* Some float inputs once for all batches, or once for a group of heads. */
static void broadcast(Trial *t, Call *call, const TrialOptions *options, unsigned size)
{
    Random r = {.state = options->seed + 131 * size};
    for (uint32_t k = 0; k < t->pattern->tensors.n; k++) {
        const Tensor *tensor = t->pattern->tensors.at[k];
        unsigned rank = tensor->n_dims;
        bool can = rank && tensor->n_ambient && tensor->type == TYPE_REAL && tensor->role == ROLE_INPUT &&
                   !tensor->optional;
        if (!can || !chance(&r, 15) || call->tensors[k].full == NULL) continue;
        Array a = {.type = TYPE_REAL, .rank = (int)rank, .n = 1};
        int64_t *shape = NEW_ARRAY(&t->c, int64_t, rank);
        for (unsigned d = 0; d < rank; d++) {
            int64_t full = call->tensors[k].full[d];
            shape[d] = d < tensor->n_ambient && full > 0 && (chance(&r, 60) || full % 2) ? 1 : full;
            if (tensor->dims[d]->heads && full % 2 == 0 && full && chance(&r, 50)) shape[d] = full / 2;
            a.n *= (size_t)shape[d];
        }
        double *x = NEW_ARRAY(&t->c, double, a.n + 1);
        for (size_t i = 0; i < a.n; i++) x[i] = (double)(random_bits(&r) >> 12) * 0x1p-51 - 1;
        a.data = x, a.shape = shape;
        call_set_array(call, tensor->name, &a);
    }
}

static bool too_long(const char *wrong) { return strstr(wrong, "more operations") || strstr(wrong, "limit"); }

/* A checked equation that is stored for all elements is also checked at those that no output needs, where the
 * oracle looks at none: known, and let pass. */
static bool needless_check(const char *wrong) { return !strncmp(wrong, "check failed", 12); }

/* What is counted without running must be what ran, and everything else that explain does must work. */
static void check_census(Outcome *o, Call *call, const Plan *plan, const Kernel *kernel, uint64_t expected,
                         unsigned size)
{
    CensusPhase *phases = NEW_ARRAY(call->c, CensusPhase, kernel->phases.n + 1);
    const InterpretArguments *arguments = call_arguments(call);
    ExplainOptions options = {.f64 = call->f64, .threads = 1, .machine = {1e11, 1e10, 1e6}};
    double stores = 0;
    bool exact = true, hopeful = false;
    census(call->c, kernel, arguments, NULL, phases);
    for (uint32_t p = 0; p < kernel->phases.n; p++) {
        const CensusPhase *x = &phases[p];
        exact = exact && x->exact && x->complete;
        hopeful |= x->hopeful;
        for (uint32_t b = 0; b < kernel->buffers.n; b++) stores += x->written[b];
        stores += x->spared_stores;
    }
    bool within = hopeful ? stores <= (double)expected && (double)expected <= 2 * stores : stores == (double)expected;
    if (exact && !within)
        fail(o, "census: %.0f stores instead of %llu (size %u)", stores, (unsigned long long)expected, size);
    const Explanation *all = explain(call->c, plan, kernel, arguments, &options);
    for (uint32_t k = 0; k < all->stages.n; k++)
        if (all->stages.at[k].lanes && all->stages.at[k].visited < all->stages.at[k].visible)
            fail(o, "explain: %.0f pairs visited of %.0f by %s (size %u)", all->stages.at[k].visited,
                 all->stages.at[k].visible, all->stages.at[k].name, size);
    performance(call->c, plan, kernel, arguments);
}

static void run_oracles(Trial *t, const TrialOptions *options, Outcome *o, Shared *shared)
{
    strcpy(shared->stage, "graph");
    Graph *graph = pipeline_graph(&t->pipeline, t->pattern);
    strcpy(shared->stage, "lowering");
    Plan *plan = pipeline_plan(&t->pipeline, t->pattern);
    Kernel *kernel = pipeline_lower(&t->pipeline, plan, NULL);
    for (unsigned k = 0; k < options->sizes && o->verdict == FINE; k++) {
        Call *call = &t->calls[k];
        CallResult loops;
        call_init(call, &t->c, t->pattern, options->f64);
        call->limit = OPERATIONS_MAX;
        random_sizes(t, call, options, k);
        const char *wrong = call_complete(call, options->seed + k, k & 1);
        if (!wrong) broadcast(t, call, options, k);
        if (wrong) {
            fail(o, "call: %s", wrong);
            return;
        }
        strcpy(shared->stage, "interpreter");
        wrong = call_interpret(call, graph, &t->reference[k]);
        if (wrong && strstr(wrong, "internal error"))
            fail(o, "interpreter: %s", wrong);
        else if (wrong && too_long(wrong))
            o->verdict = LONG;
        t->refused[k] = wrong;
        if (o->verdict != FINE) return;
        strcpy(shared->stage, "loops");
        const char *other = call_execute(call, kernel, &loops);
        if (other && too_long(other))
            o->verdict = LONG;
        else if (other && strstr(other, "internal error"))
            fail(o, "loops: %s", other);
        else if (!wrong && other && needless_check(other))
            o->verdict = REFUSED;
        else if (!wrong != !other)
            fail(o, "loops %s instead of %s (size %u)", other ? other : "run", wrong ? wrong : "running", k);
        else if (!wrong)
            compare(o, call, &loops, &t->reference[k], "loops", k);
        strcpy(shared->stage, "census");
        if (!wrong && o->verdict == FINE) check_census(o, call, plan, kernel, loops.stores, k);
    }
}

/* Has the text an int parameter of the name before the `=`? */
static bool has_definition(const char *text, const char *definition)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s: int =", (int)strcspn(definition, "="), definition);
    for (const char *at = text; (at = strstr(at, name)); at++)
        if (at[-1] == '(' || at[-1] == ' ') return true;
    return false;
}

static void run_program(Trial *t, const RandomProgram *p, const TrialOptions *options, Outcome *o,
                        Shared *shared)
{
    compilation_init(&t->c);
    if (setjmp(t->c.escape)) {
        fail(o, "%s: %s", shared->stage, t->c.fatal);
        return;
    }
    strcpy(shared->stage, "check");
    const char *text = format(&t->c, "%s%s", p->uses, p->text);
    t->options =
        (PipelineOptions){.path = "program.attn", .text = text, .length = strlen(text), .f64 = options->f64};
    if (options->definition && has_definition(text, options->definition)) {
        t->options.definitions = &options->definition;
        t->options.n_definitions = 1;
    }
    pipeline_init(&t->pipeline, &t->c, &t->options);
    if (!pipeline_check(&t->pipeline)) {
        o->verdict = REJECTED;
        snprintf(o->text, sizeof o->text, "%s", diag_render(&t->c, DIAG_LINES));
        if (strstr(o->text, "internal")) o->verdict = FAILED;
        return;
    }
    for (uint32_t k = 0; k < t->pipeline.program->patterns.n; k++)
        t->pattern = t->pipeline.program->patterns.at[k];
    run_oracles(t, options, o, shared);
}

static void run_machine(Trial *t, AttnLibrary *library, const TrialOptions *options, Outcome *o,
                        Shared *shared)
{
    if (setjmp(t->c.escape)) {
        fail(o, "%s: %s", shared->stage, t->c.fatal);
        return;
    }
    volatile unsigned refused = 0;
    for (unsigned k = 0; k < options->sizes && o->verdict == FINE; k++) {
        CallResult result;
        CallOptions run = {.threads = 1 + (options->seed + k) % 2, .guard = k % 2 ? GUARD_BEGIN : GUARD_END};
        const char *wrong = call_machine(&t->calls[k], library, &run, &result), *oracle = t->refused[k];
        if (!wrong != !oracle)
            fail(o, "machine %s instead of %s (size %u)", wrong ? wrong : "runs", oracle ? oracle : "running",
                 k);
        else if (!wrong)
            compare(o, &t->calls[k], &result, &t->reference[k], "machine", k);
        else
            refused++, snprintf(o->text, sizeof o->text, "%s", oracle);
    }
    if (o->verdict == FINE && refused == options->sizes) o->verdict = REFUSED;
}

/* --- all of them --- */

static void add_text(Text *text, const RandomProgram *programs, unsigned n, const Outcome *outcomes)
{
    const char *seen[BATCH_MAX * 2];
    unsigned n_seen = 0;
    for (unsigned k = 0; k < n; k++) {
        if (outcomes[k].verdict != FINE) continue;
        for (const char *line = programs[k].uses; *line; line = strchr(line, '\n') + 1) {
            size_t length = (size_t)(strchr(line, '\n') - line) + 1;
            bool again = false;
            for (unsigned i = 0; i < n_seen; i++) again |= !strncmp(seen[i], line, length);
            if (again) continue;
            seen[n_seen++] = line;
            text_add_bytes(text, line, length);
        }
    }
    for (unsigned k = 0; k < n; k++)
        if (outcomes[k].verdict == FINE) text_add(text, "%s\n", programs[k].text);
}

/* Extents of an index of the first program that is fine: code of its own for them. */
static const char *some_size(Compilation *c, Trial *trials, unsigned n, const Outcome *outcomes)
{
    for (unsigned k = 0; k < n; k++) {
        if (outcomes[k].verdict != FINE || !trials[k].pattern->indices.n) continue;
        const Index *index = trials[k].pattern->indices.at[trials[k].pattern->indices.n - 1];
        return format(c, "%s=%lld,3", index->name, (long long)trials[k].calls[0].extents[index->number]);
    }
    return NULL;
}

/* Machine code of all that are fine so far. False: some cannot be compiled together. */
static bool compile_and_run(Compilation *c, Trial *trials, const RandomProgram *programs, unsigned n,
                            const TrialOptions *options, Shared *s)
{
    AttnError *error = NEW(c, AttnError);
    Text text = {.c = c};
    text_add(&text, "%s", "");
    add_text(&text, programs, n, s->outcomes);
    const char *definitions[] = {NULL, NULL}, *sizes[] = {NULL, NULL};
    if (options->definition && has_definition(text.at, options->definition))
        definitions[0] = options->definition;
    if (options->variants) sizes[0] = some_size(c, trials, n, s->outcomes);
    AttnCompileOptions compile = {.target = options->target,
                                  .f64 = options->f64,
                                  .no_cache = 1,
                                  .definitions = definitions,
                                  .sizes = sizes};
    AttnLibrary *library;
    bool none = true;
    for (unsigned k = 0; k < n; k++) none &= s->outcomes[k].verdict != FINE;
    if (none) return true;
    strcpy(s->stage, "code generation");
    if (attn_compile_string(text.at, "program.attn", &compile, &library, error)) {
        fail(&s->outcomes[0], "compile: %s", error->text);
        return n == 1;
    }
    strcpy(s->stage, "machine code");
    for (unsigned k = 0; k < n; k++) {
        s->at = k;
        if (s->outcomes[k].verdict == FINE) run_machine(&trials[k], library, options, &s->outcomes[k], s);
    }
    attn_close(library);
    return true;
}

static bool run_code(Trial *trials, const RandomProgram *programs, unsigned n, const TrialOptions *options,
                     Shared *s)
{
    Compilation c;
    volatile bool good = false;
    compilation_init(&c);
    if (!setjmp(c.escape)) good = compile_and_run(&c, trials, programs, n, options, s);
    compilation_free(&c);
    return good;
}

static bool child(const RandomProgram *programs, unsigned n, const TrialOptions *options, Shared *s)
{
    static Trial trials[BATCH_MAX];
    for (unsigned k = 0; k < n; k++) {
        s->at = k;
        run_program(&trials[k], &programs[k], options, &s->outcomes[k], s);
    }
    bool good = !options->generate_code || run_code(trials, programs, n, options, s);
    for (unsigned k = 0; k < n; k++) compilation_free(&trials[k].c);
    return good;
}

void try_program(const RandomProgram *program, const TrialOptions *options, Outcome *outcome)
{
    Shared s = {0};
    child(program, 1, options, &s);
    *outcome = s.outcomes[0];
}

/* No program hangs: processor time is limited, for the machine may be busy, and, for those that wait, the clock. */
static void limit_time(unsigned seconds)
{
    setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, seconds + 1});
    alarm(20 * seconds);
}

static bool in_child(const RandomProgram *programs, unsigned n, const TrialOptions *options, Shared *s)
{
    memset(s, 0, sizeof *s);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        limit_time((options->target ? 4 : 1) * (SECONDS_MAX + n)); /* NVRTC takes its time */
        _exit(child(programs, n, options, s) ? 0 : 3);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && !WEXITSTATUS(status)) return true;
    if (WIFSIGNALED(status))
        fail(&s->outcomes[s->at], "%s: signal %s", s->stage, strsignal(WTERMSIG(status)));
    else if (!(WEXITSTATUS(status) == 3 && n == 1))
        fail(&s->outcomes[s->at], "%s: exit status %d", s->stage, WEXITSTATUS(status));
    return n == 1;
}

void try_programs(const RandomProgram *programs, unsigned n, const TrialOptions *options, Outcome *outcomes)
{
    Shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED || n > BATCH_MAX) return;
    if (in_child(programs, n, options, s))
        memcpy(outcomes, s->outcomes, n * sizeof *outcomes);
    else
        for (unsigned k = 0; k < n; k++) { /* who was it? */
            in_child(&programs[k], 1, options, s);
            outcomes[k] = s->outcomes[0];
        }
    munmap(s, sizeof *s);
}

static bool skip_number(char c) { return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '\''; }

bool same_failure(const Outcome *a, const Outcome *b)
{
    if (a->verdict != b->verdict) return false;
    const char *x = a->text, *y = b->text;
    for (unsigned n = 0; n < 24; n++) {
        while (skip_number(*x)) x++;
        while (skip_number(*y)) y++;
        if (!*x || !*y) return *x == *y;
        if (*x++ != *y++) return false;
    }
    return true;
}
