/* The command line: one table of options for all commands. */
#include "compiler/command/command.h"

#include <stdlib.h>
#include <string.h>

enum {
#define COMMAND(id, name, usage, summary, text, examples) id = COMMAND_##id,
#include "compiler/command/command_list.h"
#undef COMMAND
};

static const OptionInfo table[] = {
#define OPTION(id, brief, name, value, commands, kind, words, text) \
    {OPTION_##id, brief, name, value, commands, VALUE_##kind, words, text},
#include "compiler/command/option_list.h"
#undef OPTION
};
static const OptionInfo *const table_end = table + sizeof table / sizeof *table;

const OptionInfo *option_next(const OptionInfo *after, Command command)
{
    for (const OptionInfo *o = after ? after + 1 : table; o < table_end; o++)
        if (o->commands & command) return o;
    return NULL;
}

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
    return NULL;
}

static const char *read_dtype(Options *o, const char *text)
{
    o->f64 = !strcmp(text, "f64");
    o->tf32 = !strcmp(text, "tf32");
    o->real = !strcmp(text, "f16") ? STORAGE_F16 : !strcmp(text, "bf16") ? STORAGE_BF16 : STORAGE_FLOAT;
    return NULL;
}

const char *options_dtype(const Options *o)
{
    return o->real == STORAGE_F16 ? "f16" : o->real == STORAGE_BF16 ? "bf16" : o->f64 ? "f64" : o->tf32 ? "tf32" : "f32";
}

/* `cuda:sm_80,sm_90` names architectures, too. */
static const char *read_target(Options *o, const char *text)
{
    bool named = !strncmp(text, "cuda:", 5) && text[5];
    o->target = named || !strcmp(text, "cuda") ? TARGET_CUDA : TARGET_CPU;
    if (named) o->archs = text + 5;
    return named ? NULL : read_word(o, "--target", text, "cpu cuda cuda:sm_80");
}

/* `64x32`: queries and keys of a tile, or rows and columns. */
static TileShape read_tile(const char *text)
{
    char *by;
    unsigned rows = (unsigned)strtoul(text, &by, 10);
    return (TileShape){rows, (unsigned)strtoul(by + 1, NULL, 10)};
}

static const char *apply(Options *o, const OptionInfo *option, const char *value)
{
    Compilation *c = o->c;
    const char *name = option->name;
    if (option->words && option->id != OPTION_TARGET) {
        const char *wrong = read_word(o, name, value, option->words);
        if (wrong) return wrong;
    }
    switch (option->id) {
    case OPTION_PATTERN: o->pattern = value; return NULL;
    case OPTION_DEFINE: PUSH(c, &o->definitions, value); return NULL;
    case OPTION_INCLUDE: PUSH(c, &o->includes, value); return NULL;
    case OPTION_OUTPUT: PUSH(c, &o->outputs, value); return NULL;
    case OPTION_INPUT: PUSH(c, &o->inputs, value); return NULL;
    case OPTION_SIZE: PUSH(c, &o->sizes, value); return NULL;
    case OPTION_HEADER: o->header = value; return NULL;
    case OPTION_DTYPE: return read_dtype(o, value);
    case OPTION_CPU: o->cpus = value; return NULL;
    case OPTION_TARGET: return read_target(o, value);
    case OPTION_TILE: o->tile = read_tile(value); return NULL;
    case OPTION_ARCH: o->archs = value; return NULL;
    case OPTION_DEBUG: o->debug = true; return NULL;
    case OPTION_EMIT: o->emit = value; return NULL;
    case OPTION_DUMP: o->dump_after = value; return NULL;
    case OPTION_TIMES: o->time_passes = true; return NULL;
    case OPTION_DIAGNOSTICS: return read_format(o, value);
    case OPTION_BACKEND: o->backend = value; return NULL;
    case OPTION_THREADS: return read_number(o, name, value, 1, &o->threads);
    case OPTION_SEED: return read_number(o, name, value, INT64_MIN, &o->seed);
    case OPTION_VERIFY: o->check = true; return NULL;
    case OPTION_STATES: o->states = true; return NULL;
    case OPTION_NO_CACHE: o->no_cache = true; return NULL;
    case OPTION_REPEAT: return read_number(o, name, value, 1, &o->repeat);
    case OPTION_JSON: o->json = true; return NULL;
    case OPTION_STAGE: o->stage = value; return NULL;
    case OPTION_HEAD: o->head = value; return NULL;
    case OPTION_QUERY: o->query = value; return NULL;
    case OPTION_AT: PUSH(c, &o->places, value); return NULL;
    case OPTION_HTML: o->html = value; return NULL;
    case OPTION_PERFORMANCE: o->performance = true; return NULL;
    case OPTION_REQUIRE_FAST: o->require_fast = true; return NULL;
    case OPTION_IN_PLACE: o->in_place = true; return NULL;
    case OPTION_STDIO: return NULL;
    case OPTION_NO_WARNINGS: o->no_warnings = true; return NULL;
    case OPTION_WARNING_ERRORS: o->warnings_are_errors = true; return NULL;
    case OPTION_NAMES: o->names = value; return NULL;
    case OPTION_MAN: o->man = true; return NULL;
    case OPTION_COMPLETION: o->shell = value; return NULL;
    case OPTION_HELP: o->help = true; return NULL;
    }
    return NULL;
}

/* --- words --- */

/* Does `word` spell the option? *value: what is joined to it (`-Dx=1`, `--size=d=64`), or NULL. */
static bool matches(const OptionInfo *option, const char *word, const char **value)
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
static const OptionInfo *find(const Options *o, const char *word, const char **value)
{
    const OptionInfo *other = NULL;
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
        const OptionInfo *option = find(o, word, &value);
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
    if (o->target == TARGET_CPU && o->tile.rows) return "--tile is for --target cuda";
    if (o->tile.columns == 8 && (o->tf32 || o->real != STORAGE_FLOAT)) return "--tile 64x8 is for --dtype f32";
    if (o->target == TARGET_CPU && o->tf32) return "--dtype tf32 is for --target cuda";
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
        .tile = o->tile,
        .f64 = o->f64,
        .tf32 = o->tf32,
        .real = o->real,
        .debug = o->debug,
        .dump_after = o->dump_after,
        .time_passes = o->time_passes,
        .warnings = (o->command & (COMMAND_CHECK | COMMAND_COMPILE)) && !o->no_warnings,
        .warnings_are_errors = o->warnings_are_errors,
        .performance = o->performance,
        .require_fast = o->require_fast,
    };
}
