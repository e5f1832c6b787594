/* The command line: one table of options for all commands. */
#include "compiler/command/command.h"

#include <string.h>

enum {
    CHECK = COMMAND_CHECK, COMPILE = COMMAND_COMPILE, RUN = COMMAND_RUN, LIST = COMMAND_LIST,
    BENCH = COMMAND_BENCH, EXPLAIN = COMMAND_EXPLAIN, SHOW = COMMAND_SHOW,
    FMT = COMMAND_FMT, LSP = COMMAND_LSP
};

typedef enum Id {
    PATTERN, DEFINE, INCLUDE, OUTPUT, INPUT, HEADER, SIZE, DTYPE, CPU, DEBUG, EMIT, DUMP, TIMES, DIAGNOSTICS,
    BACKEND, THREADS, SEED, VERIFY, REPEAT, JSON, HELP, STATES, NO_CACHE,
    PERFORMANCE, REQUIRE_FAST, TARGET, ARCH, STAGE, HEAD, QUERY, AT, HTML, IN_PLACE, STDIO,
    NO_WARNINGS, WARNING_ERRORS
} Id;

typedef struct Option {
    Id id;
    const char *brief, *name; /* `-p`, `--pattern` */
    bool value;
    unsigned commands;
} Option;

enum { ALL = CHECK | COMPILE | RUN | LIST | BENCH | EXPLAIN | SHOW };
static const Option table[] = {
    {PATTERN, "-p", "--pattern", true, ALL},
    {DEFINE, "-D", "--define", true, ALL},
    {INCLUDE, "-I", "--include", true, ALL | LSP},
    {OUTPUT, "-o", "--output", true, COMPILE | RUN | SHOW},
    {INPUT, "-i", "--input", true, RUN | BENCH | EXPLAIN | SHOW},
    {HEADER, NULL, "--header", true, COMPILE},
    {SIZE, NULL, "--size", true, COMPILE | RUN | BENCH | EXPLAIN | SHOW},
    {DTYPE, NULL, "--dtype", true, COMPILE | RUN | BENCH | EXPLAIN},
    {CPU, NULL, "--cpu", true, COMPILE | RUN},
    {TARGET, NULL, "--target", true, COMPILE | RUN | BENCH},
    {ARCH, NULL, "--arch", true, COMPILE | RUN | BENCH},
    {DEBUG, "-g", "--debug", false, COMPILE | RUN},
    {EMIT, NULL, "--emit", true, COMPILE},
    {DUMP, NULL, "--dump-after", true, CHECK | COMPILE},
    {TIMES, NULL, "--time-passes", false, CHECK | COMPILE},
    {DIAGNOSTICS, NULL, "--diagnostics", true, ALL | FMT},
    {PERFORMANCE, NULL, "--performance", false, CHECK | COMPILE},
    {REQUIRE_FAST, NULL, "--require-fast", false, COMPILE | RUN | BENCH},
    {NO_WARNINGS, "-w", "--no-warnings", false, CHECK | COMPILE},
    {WARNING_ERRORS, NULL, "--warnings-as-errors", false, CHECK | COMPILE},
    {WARNING_ERRORS, NULL, "-Werror", false, CHECK | COMPILE},
    {BACKEND, NULL, "--backend", true, RUN},
    {THREADS, NULL, "--threads", true, RUN | BENCH | EXPLAIN},
    {SEED, NULL, "--seed", true, RUN | BENCH | EXPLAIN | SHOW},
    {VERIFY, NULL, "--check", false, RUN | FMT},
    {STATES, NULL, "--states", false, RUN},
    {NO_CACHE, NULL, "--no-cache", false, RUN | BENCH},
    {REPEAT, NULL, "--repeat", true, RUN | BENCH},
    {JSON, NULL, "--json", false, BENCH | EXPLAIN | SHOW},
    {STAGE, NULL, "--stage", true, SHOW},
    {HEAD, NULL, "--head", true, SHOW},
    {QUERY, NULL, "--query", true, SHOW},
    {AT, NULL, "--at", true, SHOW},
    {HTML, NULL, "--html", true, SHOW},
    {IN_PLACE, "-i", "--in-place", false, FMT},
    {STDIO, NULL, "--stdio", false, LSP}, /* editors say so; there is nothing else */
    {HELP, "-h", "--help", false, ALL | FMT | LSP},
};

/* --- values --- */

static const char *read_number(const Options *o, const char *name, const char *text, int64_t least,
                               int64_t *value)
{
    if (pipeline_parse_int(text, value) && *value >= least) return NULL;
    return format(o->c, "%s %s: expected a number from %lld on", name, text, (long long)least);
}

/* One of the words of a list, separated by spaces. */
static const char *read_word(const Options *o, const char *name, const char *text, const char *words)
{
    size_t n = strlen(text);
    for (const char *at = words; n && (at = strstr(at, text)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return NULL;
    return format(o->c, "%s %s: expected one of %s", name, text, words);
}

static const char *read_format(Options *o, const char *text)
{
    o->format = !strcmp(text, "lines") ? DIAG_LINES : !strcmp(text, "json") ? DIAG_JSON : DIAG_CARETS;
    return read_word(o, "--diagnostics", text, "lines json carets");
}

static const char *read_dtype(Options *o, const char *text)
{
    o->f64 = !strcmp(text, "f64");
    o->real = !strcmp(text, "f16") ? STORAGE_F16 : !strcmp(text, "bf16") ? STORAGE_BF16 : STORAGE_FLOAT;
    return read_word(o, "--dtype", text, "f32 f64 f16 bf16");
}

const char *options_dtype(const Options *o)
{
    return o->real == STORAGE_F16 ? "f16" : o->real == STORAGE_BF16 ? "bf16" : o->f64 ? "f64" : "f32";
}

/* `cuda:sm_80,sm_90` names architectures, too. */
static const char *read_target(Options *o, const char *text)
{
    bool named = !strncmp(text, "cuda:", 5) && text[5];
    o->target = named || !strcmp(text, "cuda") ? TARGET_CUDA : TARGET_CPU;
    if (named) o->archs = text + 5;
    return named ? NULL : read_word(o, "--target", text, "cpu cuda cuda:sm_80");
}

#define EMIT_NAMES "tokens ast program graph plan loops llvm asm cuda ptx obj"

static const char *apply(Options *o, const Option *option, const char *value)
{
    Compilation *c = o->c;
    const char *name = option->name;
    switch (option->id) {
    case PATTERN: o->pattern = value; return NULL;
    case DEFINE: PUSH(c, &o->definitions, value); return NULL;
    case INCLUDE: PUSH(c, &o->includes, value); return NULL;
    case OUTPUT: PUSH(c, &o->outputs, value); return NULL;
    case INPUT: PUSH(c, &o->inputs, value); return NULL;
    case SIZE: PUSH(c, &o->sizes, value); return NULL;
    case HEADER: o->header = value; return NULL;
    case DTYPE: return read_dtype(o, value);
    case CPU: o->cpus = value; return NULL;
    case TARGET: return read_target(o, value);
    case ARCH: o->archs = value; return NULL;
    case DEBUG: o->debug = true; return NULL;
    case EMIT: o->emit = value; return read_word(o, name, value, EMIT_NAMES);
    case DUMP: o->dump_after = value; return read_word(o, name, value, PASS_NAMES " all");
    case TIMES: o->time_passes = true; return NULL;
    case DIAGNOSTICS: return read_format(o, value);
    case BACKEND: o->backend = value; return read_word(o, name, value, "cpu cuda loops interpreter");
    case THREADS: return read_number(o, name, value, 1, &o->threads);
    case SEED: return read_number(o, name, value, INT64_MIN, &o->seed);
    case VERIFY: o->check = true; return NULL;
    case STATES: o->states = true; return NULL;
    case NO_CACHE: o->no_cache = true; return NULL;
    case REPEAT: return read_number(o, name, value, 1, &o->repeat);
    case JSON: o->json = true; return NULL;
    case STAGE: o->stage = value; return NULL;
    case HEAD: o->head = value; return NULL;
    case QUERY: o->query = value; return NULL;
    case AT: PUSH(c, &o->places, value); return NULL;
    case HTML: o->html = value; return NULL;
    case PERFORMANCE: o->performance = true; return NULL;
    case REQUIRE_FAST: o->require_fast = true; return NULL;
    case IN_PLACE: o->in_place = true; return NULL;
    case STDIO: return NULL;
    case NO_WARNINGS: o->no_warnings = true; return NULL;
    case WARNING_ERRORS: o->warnings_are_errors = true; return NULL;
    case HELP: o->help = true; return NULL;
    }
    return NULL;
}

/* --- words --- */

/* Does `word` spell the option? *value: what is joined to it (`-Dx=1`, `--size=d=64`), or NULL. */
static bool matches(const Option *option, const char *word, const char **value)
{
    size_t n = strlen(option->name);
    *value = NULL;
    if (!strncmp(word, option->name, n)) {
        if (word[n] == '=') *value = word + n + 1;
        return !word[n] || word[n] == '=';
    }
    if (!option->brief || strncmp(word, option->brief, 2)) return false;
    if (word[2]) *value = word + 2;
    return !word[2] || option->value;
}

/* An option of the command; else one of another command, so that it can be named; or NULL. */
static const Option *find(const Options *o, const char *word, const char **value)
{
    const Option *other = NULL;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        if (!matches(&table[k], word, value)) continue;
        if (table[k].commands & o->command) return &table[k];
        if (!other) other = &table[k];
    }
    return other;
}

static const char *read_words(Options *o, int argc, char **argv)
{
    bool only_files = false;
    for (int k = 0; k < argc; k++) {
        const char *word = argv[k], *value;
        if (only_files || word[0] != '-' || !word[1]) {
            PUSH(o->c, &o->files, word);
            continue;
        }
        if (!strcmp(word, "--")) {
            only_files = true;
            continue;
        }
        const Option *option = find(o, word, &value);
        if (!option) return format(o->c, "unknown option %s", word);
        if (!(option->commands & o->command))
            return format(o->c, "%s has no option %s", o->name, option->name);
        if (!option->value && value) return format(o->c, "option %s takes no value", option->name);
        if (option->value && !value && ++k == argc) return format(o->c, "option %s needs a value", word);
        const char *wrong = apply(o, option, value ? value : argv[k]);
        if (wrong) return wrong;
    }
    return NULL;
}

static bool is(const char *option, const char *value) { return option && !strcmp(option, value); }

const char *options_read(Options *o, int argc, char **argv)
{
    const char *wrong = read_words(o, argc, argv);
    if (wrong) return wrong;
    if (is(o->emit, "cuda") || is(o->emit, "ptx") || is(o->backend, "cuda")) o->target = TARGET_CUDA;
    if (o->target == TARGET_CUDA && is(o->backend, "cpu")) return "--backend cpu is for --target cpu";
    if (o->target == TARGET_CUDA && o->cpus) return "--cpu is for --target cpu; --arch sm_80 names GPUs";
    if (o->target == TARGET_CPU && o->archs) return "--arch is for --target cuda; --cpu names CPUs";
    if (o->target == TARGET_CPU && o->real != STORAGE_FLOAT)
        return format(o->c, "--dtype %s is for --target cuda; for CPUs declare tensors as %s", options_dtype(o),
                      options_dtype(o));
    return NULL;
}

PipelineOptions pipeline_options(const Options *o, const char *file)
{
    return (PipelineOptions){
        .path = file,
        .pattern = o->pattern,
        .definitions = o->definitions.at,
        .n_definitions = o->definitions.n,
        .includes = o->includes.at,
        .n_includes = o->includes.n,
        .target = o->target,
        .cpus = o->cpus,
        .archs = o->archs,
        .f64 = o->f64,
        .real = o->real,
        .debug = o->debug,
        .dump_after = o->dump_after,
        .time_passes = o->time_passes,
        .warnings = (o->command & (CHECK | COMPILE)) && !o->no_warnings,
        .warnings_are_errors = o->warnings_are_errors,
        .performance = o->performance,
        .require_fast = o->require_fast,
    };
}
