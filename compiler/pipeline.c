/* The whole road from a source to a file.
 *
 * Requires: c->escape armed; options that outlive the pipeline. Ensures: after every pass its verifier has
 * agreed; a user's mistake is a diagnostic or `error`, a pass's own is a BUG. */
#include "compiler/pipeline.h"

#include "compiler/gpu.h"
#include "compiler/performance.h"
#include "compiler/schedule.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum { VARIANTS_MAX = 256 };

void pipeline_init(Pipeline *p, Compilation *c, const PipelineOptions *options)
{
    *p = (Pipeline){.c = c, .options = options, .source = UINT32_MAX, .trace.c = c, .times.c = c};
}

static bool fail(Pipeline *p, PipelineStatus status, const char *text)
{
    p->status = status;
    if (text) p->error = text;
    return false;
}

/* --- reading --- */

/* A file in memory of malloc, at most one byte more than `most`; or NULL and errno. */
static char *slurp(const char *path, int flags, size_t most, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!file) {
        if (fd >= 0) close(fd);
        return NULL;
    }
    size_t capacity = 16 * 1024, n = 0;
    char *bytes = malloc(capacity + 1);
    while (bytes) {
        n += fread(bytes + n, 1, capacity - n, file);
        if (n < capacity || n > most) break;
        capacity *= 2;
        char *larger = realloc(bytes, capacity + 1);
        if (!larger) free(bytes);
        bytes = larger;
    }
    int error = errno;
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) {
        free(bytes);
        bytes = NULL;
    }
    errno = error;
    if (!bytes) return NULL;
    *length = n > most ? most + 1 : n;
    bytes[*length] = 0;
    return bytes;
}

bool pipeline_read(Pipeline *p)
{
    const PipelineOptions *o = p->options;
    if (p->status) return false;
    if (p->source != UINT32_MAX) return true;
    if (o->text) return p->source = compilation_add_source(p->c, o->path, o->text, o->length), true;
    size_t length;
    char *text = slurp(o->path, 0, SOURCE_MAX, &length);
    if (!text && errno == ENOMEM) compilation_no_memory(p->c);
    if (!text) return fail(p, PIPELINE_SOURCE, format(p->c, "cannot read %s: %s", o->path, strerror(errno)));
    p->source = compilation_take_source(p->c, o->path, text, length);
    return true;
}

static void hash_bytes(const void *bytes, size_t n, uint64_t hash[2])
{
    XXH128_hash_t h = XXH3_128bits(bytes, n);
    hash[0] = h.low64, hash[1] = h.high64;
}

/* For `use`: reads a file and remembers it. */
static char *read_used(void *context, const char *path, size_t *length)
{
    Pipeline *p = context;
    PUSH(p->c, &p->files, (PipelineFile){format(p->c, "%s", path), false, {0, 0}});
    PipelineFile *file = &p->files.at[p->files.n - 1];
    const PipelineOptions *o = p->options;
    char *text = o->read ? o->read(o->read_context, path, length) : NULL;
    struct stat info; /* what is no file might never end, or be the stdin of a server */
    bool regular = !text && !stat(path, &info) && S_ISREG(info.st_mode);
    if (regular) text = slurp(path, O_NONBLOCK, SOURCE_MAX, length);
    if (!text && regular && errno == ENOMEM) compilation_no_memory(p->c); /* not: it is not there */
    if (!text) return NULL;
    file->found = true;
    hash_bytes(text, *length, file->hash);
    return text;
}

void pipeline_hash(const Pipeline *p, uint64_t hash[2])
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    for (uint32_t k = 0; k < p->c->sources.n; k++) {
        const Source *s = &p->c->sources.at[k];
        uint64_t length = s->length;
        XXH3_128bits_update(&state, &length, sizeof length);
        XXH3_128bits_update(&state, s->text, s->length);
    }
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    hash[0] = h.low64, hash[1] = h.high64;
}

/* --- the installed library --- */

static bool is_folder(const char *path) { return access(path, R_OK | X_OK) == 0; }

/* bin/attnc and lib/libattn_jit.so (or lib/x86_64-linux-gnu/...) stand beside share/attnc/patterns. */
static const char *folder_beside(Compilation *c, const char *file)
{
    char *path = realpath(file, NULL);
    if (!path) return NULL;
    char base[PATH_MAX];
    bool fits = (size_t)snprintf(base, sizeof base, "%s", path) < sizeof base;
    free(path);
    for (int level = 0; fits && level < 4; level++) {
        char *slash = strrchr(base, '/');
        if (!slash) return NULL;
        *slash = 0;
        const char *folder = format(c, "%s/share/attnc/patterns", base);
        if (is_folder(folder)) return folder;
    }
    return NULL;
}

/* The file that this code was loaded from: libattn_jit.so, or the program. */
static const char *own_file(void)
{
    Dl_info info;
    if (dladdr((const void *)(uintptr_t)own_file, &info) && info.dli_fname && strstr(info.dli_fname, ".so"))
        return info.dli_fname;
    return "/proc/self/exe";
}

const char *const *pipeline_library_folders(Compilation *c)
{
    const char **list = NEW_ARRAY(c, const char *, 4);
    unsigned n = 0;
    const char *beside = folder_beside(c, own_file());
    if (beside) list[n++] = beside;
    if (!beside && is_folder(ATTN_PATTERN_DIR)) list[n++] = ATTN_PATTERN_DIR;
    if (!beside && !n && is_folder(ATTN_PATTERN_DIR_SOURCE)) list[n++] = ATTN_PATTERN_DIR_SOURCE;
    return list;
}

/* --- passes --- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void timed(Pipeline *p, const char *pass, double start)
{
    if (p->options->time_passes) text_add(&p->times, "%10.3f ms  %s\n", 1e3 * (now() - start), pass);
}

static bool dumps(const Pipeline *p, const char *pass)
{
    const char *after = p->options->dump_after;
    return after && (!strcmp(after, pass) || !strcmp(after, "all"));
}

static void dump(Pipeline *p, const char *pass, const char *text)
{
    text_add(&p->trace, "--- after %s ---\n%s", pass, text);
}

static void verify(Pipeline *p, const char *pass, const char *wrong)
{
    if (wrong) BUG(p->c, "after %s: %s", pass, wrong);
}

/* --- options that need the program --- */

bool pipeline_parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || *end || errno || text[0] == ' ') return false;
    *value = parsed;
    return true;
}

/* `name=value`; false: there is no `=`. */
static bool split(Compilation *c, const char *text, const char **name, const char **value)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) return false;
    *name = intern(c, text, (size_t)(equals - text));
    *value = equals + 1;
    return true;
}

static bool read_definitions(Pipeline *p, Definition *list)
{
    const char *const *text = p->options->definitions;
    for (unsigned k = 0; k < p->options->n_definitions; k++)
        if (!split(p->c, text[k], &list[k].name, &list[k].value))
            return fail(p, PIPELINE_SOURCE, format(p->c, "-D %s: expected NAME=VALUE", text[k]));
    return true;
}

static bool has_param(const Program *program, const char *name)
{
    for (uint32_t k = 0; k < program->patterns.n; k++)
        for (uint32_t i = 0; i < program->patterns.at[k]->params.n; i++)
            if (!strcmp(program->patterns.at[k]->params.at[i]->name, name)) return true;
    return false;
}

static bool has_index(const Program *program, const char *name)
{
    for (uint32_t k = 0; k < program->patterns.n; k++)
        for (uint32_t i = 0; i < program->patterns.at[k]->indices.n; i++)
            if (!strcmp(program->patterns.at[k]->indices.at[i]->name, name)) return true;
    return false;
}

static bool unknown_pattern(Pipeline *p)
{
    Text text = {.c = p->c};
    text_add(&text, "%s has no pattern '%s'; it has", p->options->path, p->options->pattern);
    for (uint32_t k = 0; k < p->program->file->patterns.n; k++)
        text_add(&text, "%s %s", k ? "," : "", p->program->file->patterns.at[k]->name.name);
    if (!p->program->file->patterns.n) text_add(&text, " none");
    return fail(p, PIPELINE_SOURCE, text.at);
}

/* Drops the patterns that were not asked for; then every definition must mean something. */
static bool select_patterns(Pipeline *p, const Definition *definitions)
{
    Program *program = p->program;
    const char *name = p->options->pattern;
    for (uint32_t k = 0; name && k < program->patterns.n; k++)
        if (!strcmp(program->patterns.at[k]->name, name)) {
            program->patterns.at[0] = program->patterns.at[k];
            program->patterns.n = 1;
        }
    if (name && (program->patterns.n != 1 || strcmp(program->patterns.at[0]->name, name)))
        return unknown_pattern(p);
    for (unsigned k = 0; k < p->options->n_definitions; k++) {
        name = definitions[k].name;
        if (!has_param(program, name))
            return fail(p, PIPELINE_SOURCE, format(p->c, "-D %s: no pattern has such a parameter", name));
    }
    return true;
}

/* --- one pass a line --- */

/* --emit=program: every equation, those that no output needs too. */
static const char *print_program(Compilation *c, const Program *program)
{
    Text out = {.c = c};
    text_add(&out, "%s", "");
    for (uint32_t k = 0; k < program->patterns.n; k++) {
        Graph all = {.c = c, .pattern = program->patterns.at[k]};
        all.equations.at = all.pattern->equations.at;
        all.equations.n = all.pattern->equations.n;
        text_add(&out, "%s%s", k ? "\n" : "", graph_print(c, &all));
    }
    return out.at;
}

static LangOptions lang_options(Pipeline *p)
{
    const PipelineOptions *o = p->options;
    const char *const *library = pipeline_library_folders(p->c);
    VEC(const char *) include = {0};
    for (unsigned k = 0; k < o->n_includes; k++) PUSH(p->c, &include, o->includes[k]);
    for (; *library; library++) PUSH(p->c, &include, *library);
    PUSH(p->c, &include, NULL);
    return (LangOptions){
        .include = include.at, .pattern = o->pattern, .read = read_used, .read_context = p,
        .warnings = o->warnings, .warnings_are_errors = o->warnings_are_errors};
}

bool pipeline_find_used(Pipeline *p, const char *from, const char *name, uint32_t *source)
{
    LangOptions lang = lang_options(p);
    return lang_find_used(p->c, &lang, from, name, source);
}

bool pipeline_check(Pipeline *p)
{
    Compilation *c = p->c;
    const PipelineOptions *o = p->options;
    if (p->program) return !p->status;
    Definition *definitions = NEW_ARRAY(c, Definition, o->n_definitions + 1);
    if (!read_definitions(p, definitions) || !pipeline_read(p)) return false;
    LangOptions lang = lang_options(p);
    lang.definitions = definitions;
    lang.n_definitions = o->n_definitions;
    double start = now();
    p->program = lang_check(c, p->source, &lang);
    timed(p, "check", start);
    if (!p->program) return fail(p, PIPELINE_SOURCE, NULL);
    if (dumps(p, "check")) dump(p, "check", print_program(c, p->program));
    return select_patterns(p, definitions);
}

Graph *pipeline_graph(Pipeline *p, Pattern *pattern)
{
    double start = now();
    Graph *graph = graph_build(p->c, pattern);
    verify(p, "graph", graph_verify(p->c, graph));
    timed(p, "graph", start);
    if (dumps(p, "graph")) dump(p, "graph", graph_print(p->c, graph));
    return graph;
}

Plan *pipeline_plan(Pipeline *p, Pattern *pattern)
{
    Graph *graph = pipeline_graph(p, pattern);
    double start = now();
    Plan *plan = plan_build(p->c, graph);
    verify(p, "plan", plan_verify(p->c, plan));
    timed(p, "plan", start);
    if (dumps(p, "plan")) dump(p, "plan", plan_print(p->c, plan));
    return plan;
}

/* With require_fast the status becomes that of a wrong source. */
static void look_at_performance(Pipeline *p, const Plan *plan, const Kernel *kernel)
{
    uint32_t before = p->c->diags.n;
    if (!p->options->performance && !p->options->require_fast) return;
    performance(p->c, plan, kernel, NULL);
    if (!p->options->require_fast || p->c->diags.n == before) return;
    for (uint32_t k = before; k < p->c->diags.n; k++) p->c->diags.at[k]->severity = SEVERITY_ERROR;
    p->c->errors += p->c->diags.n - before;
    fail(p, PIPELINE_SOURCE, NULL);
}

Kernel *pipeline_lower(Pipeline *p, const Plan *plan, const int64_t *fixed)
{
    double start = now();
    const PipelineOptions *o = p->options;
    Schedule schedule = o->target == TARGET_CUDA
                            ? schedule_cuda(o->real, o->tf32, fixed, gpu_oldest(o->archs), o->tile)
                            : schedule_cpu(o->cpus, o->f64);
    Kernel *kernel = lower(p->c, plan, schedule);
    verify(p, "loops", loops_verify(p->c, kernel));
    timed(p, "loops", start);
    Text text = {.c = p->c};
    if (dumps(p, "loops")) loops_print(&text, kernel), dump(p, "loops", text.at);
    if (o->target == TARGET_CPU) look_at_performance(p, plan, kernel);
    return kernel;
}

Kernel *pipeline_kernel(Pipeline *p, Pattern *pattern) { return pipeline_lower(p, pipeline_plan(p, pattern), NULL); }

/* --- variants --- */

typedef struct SizeList { const char *name; VEC(int64_t) values; } SizeList;
typedef VEC(SizeList) SizeLists;

static SizeList *size_list(Compilation *c, SizeLists *lists, const char *name)
{
    for (uint32_t k = 0; k < lists->n; k++)
        if (!strcmp(lists->at[k].name, name)) return &lists->at[k];
    PUSH(c, lists, (SizeList){.name = name});
    return &lists->at[lists->n - 1];
}

static bool read_sizes(Pipeline *p, SizeLists *lists)
{
    Compilation *c = p->c;
    for (unsigned k = 0; k < p->options->n_sizes; k++) {
        const char *text = p->options->sizes[k], *name = "", *value = NULL;
        bool ok = split(c, text, &name, &value);
        SizeList *list = size_list(c, lists, name);
        for (const char *end; ok && value; value = *end ? end + 1 : NULL) {
            end = strchrnul(value, ',');
            int64_t size = -1;
            ok = pipeline_parse_int(format(c, "%.*s", (int)(end - value), value), &size) && size >= 0;
            PUSH(c, &list->values, size);
        }
        if (!ok) return fail(p, PIPELINE_SOURCE, format(c, "--size %s: expected INDEX=N or INDEX=N,N", text));
        if (!has_index(p->program, name))
            return fail(p, PIPELINE_SOURCE, format(c, "--size %s: no tensor has an index '%s'", text, name));
    }
    return true;
}

/* The extents of combination `number` for one pattern, the last list fastest; NULL: there is none. */
static int64_t *combination(Compilation *c, const Pattern *pattern, const SizeLists *lists, uint64_t number)
{
    int64_t *fixed = NULL;
    for (uint32_t k = lists->n; k-- > 0;) {
        const SizeList *list = &lists->at[k];
        for (uint32_t i = 0; i < pattern->indices.n; i++) {
            if (strcmp(pattern->indices.at[i]->name, list->name)) continue;
            if (!fixed) {
                fixed = NEW_ARRAY(c, int64_t, pattern->indices.n);
                for (uint32_t m = 0; m < pattern->indices.n; m++) fixed[m] = -1;
            }
            fixed[i] = list->values.at[number % list->values.n];
            number /= list->values.n;
        }
    }
    return number ? NULL : fixed; /* indices of other patterns take no part in the count */
}

/* Code for GPUs has its host part compiled for any x86-64. */
static void add_cpus(Pipeline *p, BackendJob *job, Kernel *kernel, const int64_t *fixed)
{
    bool cuda = job->target == TARGET_CUDA;
    if (cuda || !p->options->cpus) {
        PUSH(p->c, &job->variants, (Variant){kernel, cuda ? "x86-64" : NULL, fixed});
        return;
    }
    for (const char *name = p->options->cpus, *end; name; name = *end ? end + 1 : NULL) {
        end = strchrnul(name, ',');
        PUSH(p->c, &job->variants, (Variant){kernel, intern(p->c, name, (size_t)(end - name)), fixed});
    }
}

/* Variants of one pattern: those of fixed extents first. Schedules of GPUs depend on them. */
static bool add_variants(Pipeline *p, BackendJob *job, Pattern *pattern, const SizeLists *lists)
{
    Plan *plan = pipeline_plan(p, pattern);
    Kernel *kernel = pipeline_lower(p, plan, NULL);
    for (uint64_t number = 0;; number++) {
        const int64_t *fixed = combination(p->c, pattern, lists, number);
        if (!fixed) break;
        add_cpus(p, job, job->target == TARGET_CUDA ? pipeline_lower(p, plan, fixed) : kernel, fixed);
        if (job->variants.n > VARIANTS_MAX)
            return fail(p, PIPELINE_SOURCE, format(p->c, "--size: more than %d variants", VARIANTS_MAX));
    }
    add_cpus(p, job, kernel, NULL);
    return true;
}

bool pipeline_job(Pipeline *p, BackendJob *job)
{
    SizeLists lists = {0};
    const PipelineOptions *o = p->options;
    *job = (BackendJob){.c = p->c, .f64 = o->f64, .debug = o->debug, .direct = o->direct};
    job->source_path = o->path;
    job->definitions = o->definitions;
    job->n_definitions = o->n_definitions;
    job->target = o->target;
    job->archs = o->archs;
    job->real = o->real;
    job->tf32 = o->tf32;
    if (!pipeline_check(p) || !read_sizes(p, &lists)) return false;
    job->program = p->program;
    pipeline_hash(p, job->source_hash);
    if (!p->program->patterns.n)
        return fail(p, PIPELINE_SOURCE, format(p->c, "%s has no pattern to compile", p->options->path));
    for (uint32_t k = 0; k < p->program->patterns.n; k++)
        if (!add_variants(p, job, p->program->patterns.at[k], &lists)) return false;
    return !p->status;
}

bool pipeline_generate(Pipeline *p, const Backend *backend, const BackendJob *job, Emit what,
                       const char *path, Text *out)
{
    double start = now();
    const char *error = backend->emit(job, what, path, out);
    timed(p, "code", start);
    return error ? fail(p, PIPELINE_FAILED, error) : true;
}

/* --- what --emit prints --- */

static const char *print_pattern(Pipeline *p, Pattern *pattern, Emit what)
{
    if (what == EMIT_GRAPH) return graph_print(p->c, pipeline_graph(p, pattern));
    if (what == EMIT_PLAN) return plan_print(p->c, pipeline_plan(p, pattern));
    Text text = {.c = p->c};
    loops_print(&text, pipeline_kernel(p, pattern));
    return text.at;
}

bool pipeline_print(Pipeline *p, Emit what, Text *out)
{
    if (what == EMIT_TOKENS || what == EMIT_AST) {
        if (!pipeline_read(p)) return false;
        if (what == EMIT_TOKENS) ast_print_tokens(out, p->c, p->source);
        else ast_print(out, ast_parse(p->c, p->source));
        return p->c->errors ? fail(p, PIPELINE_SOURCE, NULL) : true;
    }
    if (!pipeline_check(p)) return false;
    if (what == EMIT_PROGRAM) text_add(out, "%s", print_program(p->c, p->program));
    for (uint32_t k = 0; what != EMIT_PROGRAM && k < p->program->patterns.n; k++) {
        if (k) text_add(out, "\n");
        text_add(out, "%s", print_pattern(p, p->program->patterns.at[k], what));
    }
    return true;
}
