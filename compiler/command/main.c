/* The program attnc: finds the command, runs it on each file, and turns what happened into an exit code. */
#include <stdio.h>
#include <string.h>

#include "compiler/command/command.h"

static const struct { const char *name; Command command; CommandRun *run; } commands[] = {
    {"check", COMMAND_CHECK, command_check},       {"compile", COMMAND_COMPILE, command_compile},
    {"run", COMMAND_RUN, command_run},             {"list", COMMAND_LIST, command_list},
    {"bench", COMMAND_BENCH, command_measure},     {"explain", COMMAND_EXPLAIN, command_explain},
    {"show", COMMAND_SHOW, command_show},          {"fmt", COMMAND_FMT, command_fmt},
    {"lsp", COMMAND_LSP, NULL},
};

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
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) return help_print(0), EXIT_FINE;
    for (size_t k = 0; k < sizeof commands / sizeof *commands; k++) {
        if (strcmp(name, commands[k].name)) continue;
        o->name = name;
        o->command = commands[k].command;
        const char *wrong = options_read(o, argc - 2, argv + 2);
        if (wrong) return usage(wrong);
        if (o->help) return help_print(o->command), EXIT_FINE;
        if (o->command == COMMAND_LSP) return o->files.n ? usage("lsp takes no files") : command_lsp(o);
        bool compiler = o->command == COMMAND_BENCH && o->files.n && !strcmp(o->files.at[0], "compile");
        return compiler ? command_bench(o) : run_files(commands[k].run, o);
    }
    return usage(format(o->c, "unknown command '%s'", name));
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
