/* attnc bench compile: how long the compiler takes, in whole processes as a user meets it. Each JIT is
 * measured in a process of its own (forked before anything opened LLVM), from source text to first result. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/command/call.h"
#include "compiler/command/command.h"

extern char **environ;

#define METRICS(X) X(check) X(compile) X(jit) X(cached) X(start)
enum {
#define METRIC(name) METRIC_##name,
    METRICS(METRIC)
#undef METRIC
    N_METRICS
};
static const char *const metric_names[] = {
#define METRIC(name) #name "_ms",
    METRICS(METRIC)
#undef METRIC
};
static const double limits[] = {30, 600, 300, 20, 5}; /* milliseconds that must hold */

typedef struct Row { const char *file, *pattern, *error; double ms[N_METRICS]; } Row;
typedef struct Bench {
    Compilation *c;
    const Options *o;
    const char *folder, *object; /* temporary */
    Strings files;
    VEC(Row) rows;
} Bench;

/* --- files --- */

static bool ends_in(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && !strcmp(text + n - m, suffix);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* A file as it is, or all .attn files of a folder and of those in it. */
static const char *add_path(Bench *b, const char *path)
{
    struct stat info;
    if (stat(path, &info)) return format(b->c, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISDIR(info.st_mode)) {
        PUSH(b->c, &b->files, path);
        return NULL;
    }
    DIR *folder = opendir(path);
    if (!folder) return format(b->c, "cannot read %s: %s", path, strerror(errno));
    const char *wrong = NULL;
    for (const struct dirent *e; !wrong && (e = readdir(folder));) {
        if (e->d_name[0] == '.') continue;
        const char *below = format(b->c, "%s/%s", path, e->d_name);
        bool is_folder = !stat(below, &info) && S_ISDIR(info.st_mode);
        if (is_folder || ends_in(below, ".attn")) wrong = add_path(b, below);
    }
    closedir(folder);
    return wrong;
}

static const char *collect(Bench *b)
{
    const char *wrong = NULL;
    for (uint32_t k = 1; !wrong && k < b->o->files.n; k++) wrong = add_path(b, b->o->files.at[k]);
    const char *const *library = pipeline_library_folders(b->c);
    if (b->o->files.n == 1 && *library) wrong = add_path(b, *library);
    if (b->files.n) qsort(b->files.at, b->files.n, sizeof *b->files.at, by_name);
    return wrong;
}

/* --- measuring --- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_number);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* Milliseconds of a whole process, or -1: it failed. */
static double time_process(char *const *argv)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    pid_t child;
    int status = -1;
    double start = call_now();
    bool started = !posix_spawn(&child, argv[0], &actions, NULL, argv, environ);
    if (started) waitpid(child, &status, 0);
    double ms = 1e3 * (call_now() - start);
    posix_spawn_file_actions_destroy(&actions);
    return started && status == 0 ? ms : -1;
}

/* The first result from source text, in milliseconds; or -1, and the reason in `text`. */
static double first_result(const Bench *b, Call *call, const Source *source, bool no_cache, char *text)
{
    Strings includes = b->o->includes;
    PUSH(call->c, &includes, NULL);
    AttnCompileOptions options = {.pattern = call->pattern->name, .includes = includes.at, .f64 = call->f64,
                                  .no_cache = no_cache};
    AttnLibrary *library;
    AttnError error;
    CallResult result;
    double start = call_now();
    const char *wrong = error.text;
    if (!attn_compile_string(source->text, source->path, &options, &library, &error))
        wrong = call_machine(call, library, &(CallOptions){.threads = 1}, &result);
    double ms = 1e3 * (call_now() - start);
    if (wrong) snprintf(text, 256, "%.255s", wrong);
    return wrong ? -1 : ms;
}

typedef struct Report { double ms; char text[256]; } Report;

static Report in_child(const Bench *b, Call *call, const Source *source, bool no_cache)
{
    Report report = {-1, "the process that compiles died"};
    int ends[2];
    if (pipe(ends)) return report;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        report.ms = first_result(b, call, source, no_cache, report.text);
        _exit(write(ends[1], &report, sizeof report) != sizeof report);
    }
    close(ends[1]);
    Report got;
    if (child > 0 && read(ends[0], &got, sizeof got) == sizeof got) report = got;
    close(ends[0]);
    if (child > 0) waitpid(child, NULL, 0);
    return report;
}

/* --- one pattern --- */

typedef enum Way { WAY_PROCESS, WAY_JIT, WAY_CACHED } Way;

static void measure(Bench *b, Row *row, int metric, Way way, char *const *argv, Call *call,
                    const Source *source)
{
    double *ms = NEW_ARRAY(b->c, double, b->o->repeat);
    for (int64_t k = 0; k < b->o->repeat && !row->error; k++) {
        if (way == WAY_PROCESS) {
            ms[k] = time_process(argv);
            if (ms[k] < 0) row->error = format(b->c, "attnc %s failed", argv[1]);
            continue;
        }
        Report r = in_child(b, call, source, way == WAY_JIT);
        ms[k] = r.ms;
        if (r.ms < 0) row->error = format(b->c, "%s", r.text);
    }
    row->ms[metric] = row->error ? -1 : median(ms, (size_t)b->o->repeat);
}

typedef VEC(char *) Words;

static char **words(Bench *b, const char *const *list)
{
    Words w = {0};
    PUSH(b->c, &w, format(b->c, "%s", own_program(b->c)));
    for (; *list; list++) PUSH(b->c, &w, format(b->c, "%s", *list));
    for (uint32_t k = 0; k < b->o->includes.n && strcmp(w.at[1], "list"); k++)
        PUSH(b->c, &w, format(b->c, "-I%s", b->o->includes.at[k]));
    PUSH(b->c, &w, NULL);
    return w.at;
}

static void measure_pattern(Bench *b, Pattern *pattern, const Source *source)
{
    Row row = {.file = source->path, .pattern = pattern->name};
    const char *dtype = b->o->f64 ? "f64" : "f32", *name = pattern->name;
    Call call;
    call_init(&call, b->c, pattern, b->o->f64);
    row.error = call_complete(&call, 1, false);
    char **check = words(b, (const char *[]){"check", source->path, "-p", name, NULL});
    char **compile = words(b, (const char *[]){"compile", source->path, "-p", name, "--dtype", dtype, "-o",
                                               b->object, NULL});
    char **list = words(b, (const char *[]){"list", b->object, NULL});
    measure(b, &row, METRIC_check, WAY_PROCESS, check, NULL, NULL);
    measure(b, &row, METRIC_compile, WAY_PROCESS, compile, NULL, NULL);
    measure(b, &row, METRIC_start, WAY_PROCESS, list, NULL, NULL);
    measure(b, &row, METRIC_jit, WAY_JIT, NULL, &call, source);
    if (!row.error) in_child(b, &call, source, false); /* into the cache */
    measure(b, &row, METRIC_cached, WAY_CACHED, NULL, &call, source);
    PUSH(b->c, &b->rows, row);
}

static int measure_file(Bench *b, const char *file)
{
    PipelineOptions options = pipeline_options(b->o, file);
    Pipeline p;
    pipeline_init(&p, b->c, &options);
    b->c->diags.n = 0;
    options.pattern = NULL;
    if (!pipeline_check(&p)) return pipeline_report(&p, b->o);
    for (uint32_t k = 0; k < p.program->patterns.n; k++) {
        Pattern *pattern = p.program->patterns.at[k];
        if (b->o->pattern && strcmp(b->o->pattern, pattern->name)) continue;
        measure_pattern(b, pattern, &b->c->sources.at[p.source]);
    }
    return EXIT_FINE;
}

/* --- what is shown --- */

static void print_string(Compilation *c, const char *text)
{
    Text out = {.c = c};
    text_add_json(&out, text);
    fputs(out.at, stdout);
}

static void print_json(const Bench *b)
{
    printf("{\"attnc\": \"" ATTN_VERSION "\", \"dtype\": \"%s\", \"repeat\": %lld, \"limits\": {",
           b->o->f64 ? "f64" : "f32", (long long)b->o->repeat);
    for (int m = 0; m < N_METRICS; m++) printf("%s\"%s\": %g", m ? ", " : "", metric_names[m], limits[m]);
    printf("},\n \"patterns\": [");
    for (uint32_t k = 0; k < b->rows.n; k++) {
        const Row *r = &b->rows.at[k];
        printf("%s\n  {\"file\": ", k ? "," : "");
        print_string(b->c, r->file);
        printf(", \"pattern\": ");
        print_string(b->c, r->pattern);
        if (r->error) printf(", \"error\": "), print_string(b->c, r->error);
        for (int m = 0; m < N_METRICS && !r->error; m++) printf(", \"%s\": %.3f", metric_names[m], r->ms[m]);
        printf("}");
    }
    printf("],\n \"largest\": {");
    for (int m = 0; m < N_METRICS; m++) {
        double most = 0;
        for (uint32_t k = 0; k < b->rows.n; k++)
            if (b->rows.at[k].ms[m] > most) most = b->rows.at[k].ms[m];
        printf("%s\"%s\": %.3f", m ? ", " : "", metric_names[m], most);
    }
    printf("}}\n");
}

static void print_table(const Bench *b)
{
    printf("%-28s", "median ms");
    for (int m = 0; m < N_METRICS; m++) printf("%10.*s", (int)strlen(metric_names[m]) - 3, metric_names[m]);
    puts("");
    for (uint32_t k = 0; k < b->rows.n; k++) {
        const Row *r = &b->rows.at[k];
        printf("%-28s", r->pattern);
        for (int m = 0; m < N_METRICS && !r->error; m++) printf("%10.2f", r->ms[m]);
        puts(r->error ? r->error : "");
    }
    printf("%-28s", "limit");
    for (int m = 0; m < N_METRICS; m++) printf("%10g", limits[m]);
    puts("");
}

/* --- the whole --- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static int bench(Bench *b)
{
    int code = EXIT_FINE;
    const char *wrong = collect(b);
    if (wrong) return complain("%s", wrong);
    for (uint32_t k = 0; k < b->files.n; k++) {
        int one = measure_file(b, b->files.at[k]);
        if (one > code) code = one;
    }
    for (uint32_t k = 0; k < b->rows.n; k++)
        if (b->rows.at[k].error) code = EXIT_INPUT;
    if (b->o->json) print_json(b);
    else print_table(b);
    return code;
}

int command_bench(Options *o)
{
    const char *under = getenv("TMPDIR");
    char *folder = format(o->c, "%s/attnc-bench-XXXXXX", under && *under ? under : "/tmp");
    if (!mkdtemp(folder)) return complain("cannot make %s: %s", folder, strerror(errno));
    Bench b = {.c = o->c, .o = o, .folder = folder, .object = format(o->c, "%s/pattern.so", folder)};
    if (!o->repeat) o->repeat = 5;
    announce_backend(o->c);
    setenv("XDG_CACHE_HOME", folder, 1);
    int code = bench(&b);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return code;
}
