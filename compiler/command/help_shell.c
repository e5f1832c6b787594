/* Completions for bash, zsh and fish, from command_list.h and option_list.h. Names of patterns, parameters,
 * indices and tensors come from `attnc list --names` of the file on the command line. */
#include <string.h>

#include "compiler/command/command.h"

static const char *const asked[] = {
    [VALUE_PATTERNS] = "patterns", [VALUE_PARAMETERS] = "parameters", [VALUE_INDICES] = "indices",
    [VALUE_INPUTS] = "inputs",     [VALUE_OUTPUTS] = "outputs",       [VALUE_WORDS] = NULL};

/* In single quotes; what `special` holds gets a backslash. */
static void add_quoted(Text *out, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            text_add(out, "'\\''");
        else
            text_add(out, "%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

static const char *command_names(Compilation *c)
{
    Text out = {.c = c};
    for (unsigned k = 0; k < COMMANDS; k++) text_add(&out, "%s%s", k ? " " : "", command_table[k].name);
    return out.at;
}

/* ---- bash ---- */

static void bash_value(Text *out, const OptionInfo *o)
{
    switch (o->kind) {
    case VALUE_NOTHING: text_add(out, "return"); return;
    case VALUE_PATTERNS: text_add(out, "_attnc_names patterns ' '"); return;
    case VALUE_PARAMETERS:
    case VALUE_INDICES:
    case VALUE_INPUTS:
    case VALUE_OUTPUTS: text_add(out, "_attnc_names %s =", asked[o->kind]); return;
    case VALUE_FILES: text_add(out, "_attnc_files -f"); return;
    case VALUE_FOLDERS: text_add(out, "_attnc_files -d"); return;
    case VALUE_WORDS: text_add(out, "COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", o->words); return;
    }
}

static void bash_command(Text *out, const CommandInfo *command)
{
    for (const OptionInfo *o = NULL; (o = option_next(o, command->command));) {
        if (!o->value) continue;
        text_add(out, "    %s:%s", command->name, o->name);
        if (o->brief) text_add(out, "|%s:%s", command->name, o->brief);
        text_add(out, ") ");
        bash_value(out, o);
        text_add(out, "; return ;;\n");
    }
}

static void bash_options(Text *out, const CommandInfo *command)
{
    text_add(out, "    %s) options='", command->name);
    for (const OptionInfo *o = NULL; (o = option_next(o, command->command));)
        text_add(out, "%s%s%s ", o->brief ? o->brief : "", o->brief ? " " : "", o->name);
    text_add(out, "' ;;\n");
}

static const char bash_begin[] =
    "# Completions of attnc for bash, made by attnc help --completion bash.\n"
    "\n"
    "# The first pattern file or shared object on the command line.\n"
    "_attnc_file() {\n"
    "    local word\n"
    "    for word in \"${COMP_WORDS[@]:2}\"; do\n"
    "        word=${word/#\\~/$HOME}\n"
    "        if [[ $word == *.attn || $word == *.so ]] && [[ -f $word ]]; then echo \"$word\"; return; fi\n"
    "    done\n"
    "}\n"
    "\n"
    "# _attnc_names WHAT SUFFIX: names of that file.\n"
    "_attnc_names() {\n"
    "    local file\n"
    "    file=$(_attnc_file)\n"
    "    [[ -n $file ]] || return\n"
    "    COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" list \"$file\" --names \"$1\" 2>/dev/null)\" -- "
    "\"$cur\"))\n"
    "    [[ $2 == ' ' ]] && return\n"
    "    COMPREPLY=(\"${COMPREPLY[@]/%/$2}\")\n"
    "    compopt -o nospace 2>/dev/null\n"
    "}\n"
    "\n"
    "_attnc_files() {\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\")\n"
    "}\n"
    "\n"
    "_attnc() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} "
    "options=\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        COMPREPLY=($(compgen -W '";

static const char bash_middle[] = " --help --version' -- \"$cur\"))\n"
                                  "        return\n"
                                  "    fi\n"
                                  "    if [[ $cur == = ]]; then cur=; else [[ $prev == = ]] && "
                                  "prev=${COMP_WORDS[COMP_CWORD - 2]}; fi # --option=value\n"
                                  "    if [[ $prev != -* && ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then "
                                  "_attnc_files -f; return; fi # -i NAME=FILE\n"
                                  "    case $command:$prev in\n";

static const char bash_end[] =
    "    esac\n"
    "    if [[ $cur == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    case $command in\n"
    "    help) COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\")) ;;\n"
    "    lsp) ;;\n"
    "    *)\n"
    "        local suffix='!*.attn'\n"
    "        [[ $command == list ]] && suffix='!*.@(attn|so)'\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        local extglob=$(shopt -p extglob)\n"
    "        shopt -s extglob\n"
    "        mapfile -t COMPREPLY < <(compgen -f -X \"$suffix\" -- \"$cur\"; compgen -d -- \"$cur\")\n"
    "        $extglob\n"
    "        [[ $command == bench && compile == \"$cur\"* ]] && COMPREPLY+=(compile)\n"
    "        ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _attnc attnc\n";

void help_bash(Text *out)
{
    text_add(out, "%s%s%s", bash_begin, command_names(out->c), bash_middle);
    for (unsigned k = 0; k < COMMANDS; k++) bash_command(out, &command_table[k]);
    text_add(out, "    esac\n    local commands='%s'\n    case $command in\n", command_names(out->c));
    for (unsigned k = 0; k < COMMANDS; k++) bash_options(out, &command_table[k]);
    text_add(out, "%s", bash_end);
}

/* ---- zsh ---- */

static void zsh_value(Text *out, const OptionInfo *o)
{
    text_add(out, ":");
    add_quoted(out, o->value, ":[]");
    text_add(out, ":");
    switch (o->kind) {
    case VALUE_NOTHING: text_add(out, " "); return;
    case VALUE_PATTERNS: text_add(out, "_attnc_names patterns"); return;
    case VALUE_PARAMETERS:
    case VALUE_INDICES:
    case VALUE_INPUTS:
    case VALUE_OUTPUTS: text_add(out, "_attnc_names %s =", asked[o->kind]); return;
    case VALUE_FILES: text_add(out, "_files"); return;
    case VALUE_FOLDERS: text_add(out, "_files -/"); return;
    case VALUE_WORDS: text_add(out, "(%s)", o->words); return;
    }
}

/* '*' lets an option stand several times. */
static void zsh_option(Text *out, const OptionInfo *o, const char *name)
{
    text_add(out, "            '*%s[", name);
    add_quoted(out, o->text, ":[]\\");
    text_add(out, "]");
    if (o->value) zsh_value(out, o);
    text_add(out, "' \\\n");
}

static void zsh_command(Text *out, const CommandInfo *command)
{
    text_add(out, "    %s)\n        _arguments -S -s \\\n", command->name);
    for (const OptionInfo *o = NULL; (o = option_next(o, command->command));) {
        if (o->brief) zsh_option(out, o, o->brief);
        zsh_option(out, o, o->name);
    }
    if (command->command == COMMAND_HELP)
        text_add(out, "            '1:command:(%s)' ;;\n", command_names(out->c));
    else if (command->command == COMMAND_LSP)
        text_add(out, "            && return ;;\n");
    else if (command->command == COMMAND_LIST)
        text_add(out, "            '*:file:_files -g \"*.(attn|so)\"' ;;\n");
    else if (command->command == COMMAND_BENCH)
        text_add(out, "            '*:file:{ _alternative \"command:command:(compile)\" \"file:file:_files "
                      "-g \\*.attn\" }' ;;\n");
    else
        text_add(out, "            '*:file:_files -g \"*.attn\"' ;;\n");
}

static const char zsh_begin[] =
    "#compdef attnc\n"
    "# Completions of attnc for zsh, made by attnc help --completion zsh.\n"
    "\n"
    "# _attnc_names WHAT [SUFFIX]: names of the pattern file on the command line.\n"
    "_attnc_names() {\n"
    "    local word file\n"
    "    local -a names\n"
    "    for word in $words; do [[ $word == *.(attn|so) && -f $word ]] && file=$word; done\n"
    "    [[ -n $file ]] || return 1\n"
    "    names=(${(f)\"$(attnc list $file --names $1 2>/dev/null)\"})\n"
    "    if [[ -n $2 ]]; then compadd -S $2 -q -- $names; else compadd -- $names; fi\n"
    "}\n"
    "\n"
    "_attnc() {\n"
    "    local -a commands=(\n";

void help_zsh(Text *out)
{
    text_add(out, "%s", zsh_begin);
    for (unsigned k = 0; k < COMMANDS; k++) {
        text_add(out, "        '%s:", command_table[k].name);
        add_quoted(out, command_table[k].summary, ":\\");
        text_add(out, "'\n");
    }
    text_add(
        out,
        "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
        "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n");
    for (unsigned k = 0; k < COMMANDS; k++) zsh_command(out, &command_table[k]);
    text_add(out, "    esac\n}\n\nif [[ $funcstack[1] == _attnc ]]; then _attnc \"$@\"; else compdef _attnc "
                  "attnc; fi\n");
}

/* ---- fish ---- */

static const char fish_begin[] =
    "# Completions of attnc for fish, made by attnc help --completion fish.\n"
    "\n"
    "# Names of the pattern file on the command line, each followed by the second argument.\n"
    "function __attnc_names\n"
    "    for word in (commandline -opc)\n"
    "        if string match -qr '\\.(attn|so)$' -- $word; and test -f $word\n"
    "            for name in (attnc list $word --names $argv[1] 2>/dev/null)\n"
    "                echo $name$argv[2]\n"
    "            end\n"
    "            return\n"
    "        end\n"
    "    end\n"
    "end\n"
    "\n";

static void fish_value(Text *out, const OptionInfo *o)
{
    switch (o->kind) {
    case VALUE_NOTHING: text_add(out, " -x"); return;
    case VALUE_PATTERNS: text_add(out, " -x -a '(__attnc_names patterns)'"); return;
    case VALUE_PARAMETERS:
    case VALUE_INDICES:
    case VALUE_INPUTS:
    case VALUE_OUTPUTS: text_add(out, " -x -a '(__attnc_names %s =)'", asked[o->kind]); return;
    case VALUE_FILES: text_add(out, " -r"); return;
    case VALUE_FOLDERS: text_add(out, " -x -a '(__fish_complete_directories)'"); return;
    case VALUE_WORDS: text_add(out, " -x -a '%s'", o->words); return;
    }
}

void help_fish(Text *out)
{
    text_add(out, "%s", fish_begin);
    for (unsigned k = 0; k < COMMANDS; k++) {
        text_add(out, "complete -c attnc -f -n __fish_use_subcommand -a %s -d '", command_table[k].name);
        add_quoted(out, command_table[k].summary, "\\");
        text_add(out, "'\n");
        for (const OptionInfo *o = NULL; (o = option_next(o, command_table[k].command));) {
            text_add(out, "complete -c attnc -n '__fish_seen_subcommand_from %s'", command_table[k].name);
            if (o->brief) text_add(out, " -s %s", o->brief + 1);
            if (o->name[1] == '-')
                text_add(out, " -l %s", o->name + 2);
            else
                text_add(out, " -o %s", o->name + 1);
            if (o->value) fish_value(out, o);
            text_add(out, " -d '");
            add_quoted(out, o->text, "\\");
            text_add(out, "'\n");
        }
    }
}
