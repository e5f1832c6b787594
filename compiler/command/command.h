/* Private to the program attnc: its options, and one function a command. */
#ifndef ATTN_COMMAND_COMMAND_H
#define ATTN_COMMAND_COMMAND_H

#include "compiler/pipeline.h"

/* Exit codes. */
enum { EXIT_FINE = 0, EXIT_INPUT = 1, EXIT_USAGE = 2 };

/* Commands, as bits for the table of options. */
typedef enum Command {
    COMMAND_CHECK = 1, COMMAND_COMPILE = 2, COMMAND_RUN = 4, COMMAND_LIST = 8, COMMAND_BENCH = 16,
    COMMAND_EXPLAIN = 32, COMMAND_SHOW = 64, COMMAND_FMT = 128, COMMAND_LSP = 256
} Command;

typedef VEC(const char *) Strings;
typedef struct Options {
    Compilation *c;                 /* holds the lists */
    Command command;
    const char *name;               /* of the command */
    Strings files, definitions, includes, sizes, inputs, outputs, places;
    const char *pattern, *header, *cpus, *emit, *dump_after, *backend, *stage, *head, *query, *html;
    Target target;
    const char *archs;              /* of CUDA; NULL: the default */
    StorageType real;               /* FLOAT: as f64 says; F16 and BF16 for CUDA alone */
    bool f64, debug, json, check, time_passes, help, states, no_cache, performance, require_fast, no_warnings,
        warnings_are_errors, in_place;
    DiagFormat format;
    int64_t threads, repeat;
    int64_t seed;
} Options;

/* ---- options.c ---- */
/* What stands behind the command. NULL, or what is wrong. */
const char *options_read(Options *o, int argc, char **argv);
PipelineOptions pipeline_options(const Options *o, const char *file);
const char *options_dtype(const Options *o); /* what `float` is */

/* ---- help.c ---- */
void help_print(Command command); /* 0: of all */

/* ---- One file each; they return an exit code. The escape of `c` is armed. ---- */
typedef int CommandRun(Compilation *c, const Options *o, const char *file);
CommandRun command_check, command_compile, command_run, command_list, command_explain, command_measure,
    command_show, command_fmt;
int command_bench(Options *o); /* bench compile */
int command_lsp(const Options *o);

/* ---- report.c ---- */
/* Diagnostics and the error of a pipeline, on stderr. Returns its exit code. */
int pipeline_report(Pipeline *p, const Options *o);
/* `attnc: text` on stderr; returns EXIT_INPUT. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* `text` as a JSON string; a number, `null` if it is NAN or infinite. */
void add_json_number(Text *out, const char *key, double value); /* `"key": value` */
/* A text file, complete or not at all; one that is there keeps its permissions. path NULL or `-`: stdout. NULL or an
 * error. */
const char *write_text(Compilation *c, const char *path, const Text *text);

/* ---- open.c ---- */
/* The code generator, opened on first use; NULL and what is missing. */
const Backend *open_backend(Compilation *c, const char **error);
/* Tells libattn where the compiler lies, for its JIT. */
void announce_backend(Compilation *c);
const char *own_program(Compilation *c); /* path of attnc */

#endif
