/* Help texts, from command_list.h and option_list.h. tests/command/examples.sh runs the examples in them. */
#include <stdio.h>
#include <string.h>

#include "compiler/command/command.h"

enum { WIDTH = 100, COLUMN = 28 /* of what an option does */ };

const CommandInfo command_table[COMMANDS] = {
#define COMMAND(id, name, usage, summary, text, examples) {COMMAND_##id, name, usage, summary, text, examples},
#include "compiler/command/command_list.h"
#undef COMMAND
};

const CommandInfo *command_find(const char *name)
{
    for (unsigned k = 0; k < COMMANDS; k++)
        if (!strcmp(name, command_table[k].name)) return &command_table[k];
    return NULL;
}

/* Words from column `at` on, in lines that begin at column `indent`. */
static void wrap(Text *out, const char *text, size_t n, unsigned at, unsigned indent)
{
    for (size_t k = 0; k < n;) {
        size_t word = strcspn(text + k, " ");
        if (word > n - k) word = n - k;
        if (at > indent && at + 1 + word > WIDTH) {
            text_add(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            text_add(out, " ");
            at++;
        }
        text_add_bytes(out, text + k, word);
        at += (unsigned)word;
        k += word + (k + word < n);
    }
    text_add(out, "\n");
}

/* Every line behind `prefix`. */
static void add_lines(Text *out, const char *prefix, const char *lines)
{
    for (const char *at = lines; *at; at += strcspn(at, "\n"), at += *at == '\n')
        text_add(out, "%s%.*s\n", prefix, (int)strcspn(at, "\n"), at);
}

static void add_option(Text *out, const OptionInfo *o)
{
    size_t before = out->n;
    text_add(out, "  ");
    if (o->brief) text_add(out, "%s, ", o->brief);
    text_add(out, "%s", o->name);
    if (o->value) text_add(out, " %s", o->value);
    unsigned at = (unsigned)(out->n - before);
    if (at + 2 > COLUMN) text_add(out, "\n"), at = 0;
    text_add(out, "%*s", (int)(COLUMN - at), "");
    wrap(out, o->text, strlen(o->text), COLUMN, COLUMN);
    if (o->words) {
        const char *words = format(out->c, "one of %s", o->words);
        text_add(out, "%*s", COLUMN, "");
        wrap(out, words, strlen(words), COLUMN, COLUMN);
    }
}

static void general(Text *out)
{
    text_add(out, "attnc " ATTN_VERSION ": a compiler for attention patterns\n\nusage: attnc COMMAND [OPTIONS] FILE\n\n");
    for (unsigned k = 0; k < COMMANDS; k++)
        text_add(out, "  %-10s%s\n", command_table[k].name, command_table[k].summary);
    text_add(out, "\nexamples:\n  attnc check full.attn\n  attnc compile full.attn -o full.so\n"
                  "  attnc run full.attn --check\n  attnc list full.so\n\n"
                  "attnc help COMMAND tells more. Exit codes: 0 fine, 1 the input is wrong, 2 usage.\n");
}

void help_text(Text *out, const CommandInfo *command)
{
    if (!command) {
        general(out);
        return;
    }
    const char *prefix = "usage: attnc ";
    for (const char *at = command->usage; *at; prefix = "       attnc ") {
        size_t n = strcspn(at, "\n");
        text_add(out, "%s%.*s\n", prefix, (int)n, at);
        at += n + (at[n] == '\n');
    }
    text_add(out, "\n");
    for (const char *at = command->text; *at;) {
        size_t n = strcspn(at, "\n");
        if (*at == ' ') text_add(out, "%.*s\n", (int)n, at);
        else wrap(out, at, n, 0, 0);
        at += n + (at[n] == '\n');
    }
    text_add(out, "\noptions:\n");
    for (const OptionInfo *o = NULL; (o = option_next(o, command->command));) add_option(out, o);
    text_add(out, "\nexamples:\n");
    add_lines(out, "  attnc ", command->examples);
}

int help_print(Compilation *c, const CommandInfo *command)
{
    Text out = {.c = c};
    help_text(&out, command);
    fputs(out.at, stdout);
    return EXIT_FINE;
}

static bool is_language(const Options *o) { return o->files.n && !strcmp(o->files.at[0], "language"); }

int command_help(Options *o)
{
    const CommandInfo *command = o->files.n ? command_find(o->files.at[0]) : NULL;
    Text out = {.c = o->c};
    if (!o->shell && !o->man) return help_print(o->c, command);
    if (o->man && is_language(o)) help_man_language(&out);
    else if (o->man) help_man(&out, command);
    else if (!strcmp(o->shell, "bash")) help_bash(&out);
    else if (!strcmp(o->shell, "zsh")) help_zsh(&out);
    else help_fish(&out);
    fputs(out.at, stdout);
    return EXIT_FINE;
}
