/* Private to the program attnc: its options, and one function a command. */
#ifndef ATTN_COMMAND_COMMAND_H
#define ATTN_COMMAND_COMMAND_H

#include <stdio.h>

#include "compiler/pipeline.h"

/* Exit codes. */
enum { EXIT_FINE = 0, EXIT_INPUT = 1, EXIT_USAGE = 2 };

/* Commands, as bits for the table of options. */
enum {
#define COMMAND(id, name, usage, summary, text, examples) NUMBER_OF_##id,
#include "compiler/command/command_list.h"
#undef COMMAND
    COMMANDS
};
typedef enum Command {
#define COMMAND(id, name, usage, summary, text, examples) COMMAND_##id = 1 << NUMBER_OF_##id,
#include "compiler/command/command_list.h"
#undef COMMAND
} Command;
typedef struct CommandInfo {
    Command command;
    const char *name, *usage, *summary, *text, *examples;
} CommandInfo;
extern const CommandInfo command_table[COMMANDS]; /* in help.c */

typedef enum OptionId {
    OPTION_PATTERN, OPTION_DEFINE, OPTION_INCLUDE, OPTION_OUTPUT, OPTION_INPUT, OPTION_HEADER, OPTION_SIZE, OPTION_DTYPE,
    OPTION_CPU, OPTION_TILE, OPTION_DEBUG,
    OPTION_EMIT, OPTION_DUMP, OPTION_TIMES, OPTION_DIAGNOSTICS, OPTION_BACKEND, OPTION_THREADS,
    OPTION_SEED, OPTION_VERIFY, OPTION_REPEAT, OPTION_JSON, OPTION_HELP, OPTION_STATES, OPTION_NO_CACHE,
    OPTION_PERFORMANCE, OPTION_REQUIRE_FAST, OPTION_TARGET, OPTION_ARCH, OPTION_STAGE, OPTION_HEAD, OPTION_QUERY, OPTION_AT,
    OPTION_HTML, OPTION_IN_PLACE, OPTION_STDIO, OPTION_NO_WARNINGS, OPTION_WARNING_ERRORS, OPTION_NAMES, OPTION_MAN,
    OPTION_COMPLETION
} OptionId;
/* What the value of an option is, for shells: names (of the file's patterns, ...), files, folders, words of a list. */
typedef enum ValueKind {
    VALUE_NOTHING, VALUE_PATTERNS, VALUE_PARAMETERS, VALUE_INDICES, VALUE_INPUTS, VALUE_OUTPUTS, VALUE_FILES,
    VALUE_FOLDERS, VALUE_WORDS
} ValueKind;
typedef struct OptionInfo {
    OptionId id;
    const char *brief, *name, *value; /* `-p`, `--pattern`, `NAME`; brief and value may be NULL */
    unsigned commands;
    ValueKind kind;
    const char *words, *text;
} OptionInfo;

typedef VEC(const char *) Strings;
typedef struct Options {
    Compilation *c;                 /* holds the lists */
    Command command;
    const char *name;               /* of the command */
    Strings files, definitions, includes, sizes, inputs, outputs, places;
    const char *pattern, *header, *cpus, *emit, *dump_after, *backend, *stage, *head, *query, *html, *names,
        *shell;
    Target target;
    const char *archs;              /* of CUDA; NULL: the default */
    TileShape tile;                 /* of CUDA; zeros: the compiler chooses */
    bool tf32;                      /* f32, with products in tf32; for CUDA alone */
    StorageType real;               /* FLOAT: as f64 says; F16 and BF16 for CUDA alone */
    bool f64, debug, json, check, time_passes, help, states, no_cache, performance, require_fast, no_warnings,
        warnings_are_errors, in_place, man;
    DiagFormat format;
    int64_t threads, repeat;
    int64_t seed;
} Options;

/* ---- options.c ---- */
/* What stands behind the command. NULL, or what is wrong. */
const char *options_read(Options *o, int argc, char **argv);
PipelineOptions pipeline_options(const Options *o, const char *file);
const char *options_dtype(const Options *o); /* what `float` is */

/* The next option of a command behind `after` (NULL: the first), in the order of the help texts; NULL: no more. */
const OptionInfo *option_next(const OptionInfo *after, Command command);

/* ---- help.c, help_man.c, help_shell.c ---- */
void help_text(Text *out, const CommandInfo *command); /* NULL: of all */
void help_man(Text *out, const CommandInfo *command);  /* a manual page, in man(7) */
void help_man_language(Text *out);                     /* attn(5) */
void help_bash(Text *out);
void help_zsh(Text *out);
void help_fish(Text *out);
const CommandInfo *command_find(const char *name); /* NULL: there is none */
int command_help(Options *o);                      /* attnc help */
int help_print(Compilation *c, const CommandInfo *command); /* its text on stdout */

/* ---- One file each; they return an exit code. The escape of `c` is armed. ---- */
typedef int CommandRun(Compilation *c, const Options *o, const char *file);
CommandRun command_check, command_compile, command_run, command_list, command_explain, command_measure,
    command_show, command_fmt, command_explain_cuda;
int command_bench(Options *o); /* bench compile */
int command_lsp(const Options *o);

/* ---- report.c ---- */
/* Diagnostics and the error of a pipeline, on stderr. Returns its exit code. */
int pipeline_report(Pipeline *p, const Options *o);
/* `attnc: text` on stderr; returns EXIT_INPUT. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* `text` as a JSON string; a number, `null` if it is NAN or infinite. */
void add_json_number(Text *out, const char *key, double value); /* `"key": value` */
/* A file that is written, complete or not at all: under another name until its end. One that is there keeps its
 * permissions; devices and pipes are written to directly. */
typedef struct Output { const char *path, *temporary; FILE *file; int error; } Output;
bool output_begin(Compilation *c, Output *o, const char *path); /* false: output_end tells why */
const char *output_end(Compilation *c, Output *o, bool good);   /* NULL or an error; not good: errno says why */
/* All of a text. path NULL or `-`: stdout. NULL or an error. */
const char *write_text(Compilation *c, const char *path, const Text *text);

/* ---- open.c ---- */
/* The code generator, opened on first use; NULL and what is missing. */
const Backend *open_backend(Compilation *c, const char **error);
/* Tells libattn where the compiler lies, for its JIT. */
void announce_backend(Compilation *c);
const char *own_program(Compilation *c); /* path of attnc */

#endif
