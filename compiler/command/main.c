/* The program attnc: finds the command, runs it on each file, and turns what happened into an exit code. */
#include <stdio.h>
#include <string.h>

#include "compiler/command/command.h"

static CommandRun *run_of(Command command)
{
    switch (command) {
    case COMMAND_CHECK: return command_check;
    case COMMAND_COMPILE: return command_compile;
    case COMMAND_RUN: return command_run;
    case COMMAND_LIST: return command_list;
    case COMMAND_BENCH: return command_measure;
    case COMMAND_EXPLAIN: return command_explain;
    case COMMAND_SHOW: return command_show;
    case COMMAND_FMT: return command_fmt;
    case COMMAND_LSP: case COMMAND_HELP: break;
    }
    return NULL;
}

static int usage(const char *what)
{
    fprintf(stderr, "attnc: %s\nattnc --help tells how it is used\n", what);
    return EXIT_USAGE;
}

/* A compilation of its own for every file. */
static int run_file(CommandRun *run, const Options *o, const char *file)
{
    static Compilation c;
    volatile int code = EXIT_INPUT;
    compilation_init(&c);
    if (setjmp(c.escape)) complain("%s: %s", file, c.fatal);
    else code = run(&c, o, file);
    compilation_free(&c);
    return code;
}

static int run_files(CommandRun *run, const Options *o)
{
    int code = EXIT_FINE;
    bool several = o->command & (COMMAND_CHECK | COMMAND_LIST | COMMAND_FMT);
    if (!o->files.n && o->command == COMMAND_BENCH)
        return usage("what is measured? attnc bench FILE, or bench compile");
    if (!o->files.n) return usage(format(o->c, "%s needs a file", o->name));
    if (o->files.n > 1 && !several) return usage(format(o->c, "%s takes one file", o->name));
    for (uint32_t k = 0; k < o->files.n; k++) {
        int one = run_file(run, o, o->files.at[k]);
        if (one > code) code = one;
    }
    return code;
}

static int run_command(Options *o, int argc, char **argv)
{
    if (argc < 2) return usage("which command?");
    const char *name = argv[1];
    if (!strcmp(name, "--version")) return puts("attnc " ATTN_VERSION), EXIT_FINE;
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) return help_print(o->c, NULL);
    const CommandInfo *command = command_find(name);
    if (!command) return usage(format(o->c, "unknown command '%s'", name));
    o->name = name;
    o->command = command->command;
    const char *wrong = options_read(o, argc - 2, argv + 2);
    if (wrong) return usage(wrong);
    if (o->help) return help_print(o->c, command);
    if (o->command == COMMAND_HELP) {
        if (o->files.n > 1) return usage("help takes one command");
        bool language = o->files.n && o->man && !strcmp(o->files.at[0], "language");
        if (o->files.n && !language && !command_find(o->files.at[0]))
            return usage(format(o->c, "unknown command '%s'", o->files.at[0]));
        return command_help(o);
    }
    if (o->command == COMMAND_LSP) return o->files.n ? usage("lsp takes no files") : command_lsp(o);
    bool compiler = o->command == COMMAND_BENCH && o->files.n && !strcmp(o->files.at[0], "compile");
    return compiler ? command_bench(o) : run_files(run_of(o->command), o);
}

int main(int argc, char **argv)
{
    static Compilation c;
    static Options o;
    volatile int code = EXIT_INPUT;
    compilation_init(&c);
    o = (Options){.c = &c, .threads = 1, .seed = 1};
    if (setjmp(c.escape)) complain("%s", c.fatal);
    else code = run_command(&o, argc, argv);
    compilation_free(&c);
    if (fflush(stdout) || ferror(stdout)) return complain("cannot write to stdout");
    return code;
}
