/* Manual pages in man(7), from command_list.h and option_list.h: attnc(1), and one page a command; and
 * attn(5), the language in short, from its lists of words and functions. */
#include <ctype.h>
#include <string.h>

#include "compiler/command/command.h"

/* Text as roff has it. Between backticks: bold. */
static void add_text(Text *out, const char *text, size_t n)
{
    bool bold = false;
    if (n && (*text == '.' || *text == '\'')) text_add(out, "\\&");
    for (size_t k = 0; k < n; k++) {
        if (text[k] == '`') {
            bold = !bold;
            text_add(out, bold ? "\\fB" : "\\fR");
        } else if (text[k] == '\\')
            text_add(out, "\\e");
        else if (text[k] == '-')
            text_add(out, "\\-");
        else
            text_add_bytes(out, text + k, 1);
    }
}

static void add(Text *out, const char *text) { add_text(out, text, strlen(text)); }

/* Paragraphs; lines that begin with a space, and all where `code`, as they are. */
static void add_paragraphs(Text *out, const char *text, const char *prefix, bool code)
{
    bool open = false, first = true;
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        bool fixed = code || *at == ' ';
        if (fixed && !open) text_add(out, ".nf\n");
        if (!fixed && open) text_add(out, ".fi\n");
        if (!fixed && !first) text_add(out, ".PP\n");
        open = fixed;
        first = false;
        add(out, prefix);
        add_text(out, at, n);
        text_add(out, "\n");
        at += n + (at[n] == '\n');
    }
    if (open) text_add(out, ".fi\n");
}

static void add_option(Text *out, const OptionInfo *o)
{
    text_add(out, ".TP\n");
    if (o->brief) {
        text_add(out, "\\fB");
        add(out, o->brief);
        text_add(out, "\\fR, ");
    }
    text_add(out, "\\fB");
    add(out, o->name);
    text_add(out, "\\fR");
    if (o->value) {
        text_add(out, " \\fI");
        add(out, o->value);
        text_add(out, "\\fR");
    }
    text_add(out, "\n");
    add(out, o->text);
    if (o->words) {
        text_add(out, "; one of ");
        add(out, o->words);
    }
    text_add(out, "\n");
}

static void add_header(Text *out, const char *name, int section, const char *summary)
{
    text_add(out, ".TH ");
    for (const char *at = name; *at; at++) text_add(out, "%c", toupper((unsigned char)*at));
    text_add(out, " %d " ATTN_DATE " \"attnc " ATTN_VERSION "\"\n.SH NAME\n", section);
    add(out, name);
    text_add(out, " \\- ");
    add(out, summary);
    text_add(out, "\n");
}

static void add_status(Text *out)
{
    text_add(out, ".SH EXIT STATUS\n0: all is fine. 1: the input is wrong: a source, a tensor, a value, a "
                  "file that cannot be\n"
                  "read or written. 2: the command line is.\n");
}

static void page_of_all(Text *out)
{
    add_header(out, "attnc", 1, "a compiler for attention patterns");
    text_add(out,
             ".SH SYNOPSIS\n\\fBattnc\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] \\fIFILE\\fR\n.SH DESCRIPTION\n");
    add(out, "A pattern is written as equations in index notation in a `.attn` file. attnc checks it, runs "
             "it with a reference "
             "interpreter, and compiles it to machine code: a shared object, an object file with a C header, "
             "or a kernel "
             "that a host program compiles as it runs.");
    text_add(out, "\n.SH COMMANDS\n");
    for (unsigned k = 0; k < COMMANDS; k++) {
        text_add(out, ".TP\n\\fB%s\\fR\n", command_table[k].name);
        add(out, command_table[k].summary);
        text_add(out, "\n");
    }
    add_status(out);
    text_add(out, ".SH ENVIRONMENT\n"
                  ".TP\n\\fBXDG_CACHE_HOME\\fR\nwhere compiled patterns are kept, in its folder attnc; "
                  "~/.cache by default\n"
                  ".TP\n\\fBATTN_NVRTC\\fR, \\fBATTN_CUDA_DRIVER\\fR\nNVRTC, and the CUDA driver, if they "
                  "are not where they "
                  "are looked for\n"
                  ".TP\n\\fBNO_COLOR\\fR, \\fBCOLUMNS\\fR\nno colours on a terminal; how wide it is\n");
    text_add(out, ".SH SEE ALSO\n");
    for (unsigned k = 0; k < COMMANDS; k++) text_add(out, "\\fBattnc\\-%s\\fR(1),\n", command_table[k].name);
    text_add(out, "\\fBattn\\fR(5)\n");
}

static const char language[] =
    "A `.attn` file describes attention patterns and token mixers as equations in index notation. What a "
    "pattern means is "
    "what one gets by evaluating its equations element by element, in exact arithmetic; how it is computed "
    "is the "
    "compiler's business alone. The manual, docs/language.md of the sources, has every rule.\n"
    "  # Causal sliding-window attention.\n"
    "  pattern sliding_window(window: int = 256)\n"
    "      over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]\n"
    "      example i = 64, j = 64, d = 16, e = 16, window = 12\n"
    "  {\n"
    "      index i from size(j) - size(i)\n"
    "      s = sum[d](q * k) / sqrt(size(d))\n"
    "      p = softmax[j](s where j <= i and i - j < window)\n"
    "      o = sum[j](p * v)\n"
    "  }\n";

void help_man_language(Text *out)
{
    static const char *const functions[][3] = {
#define FUNCTION(name, arguments, summary) {#name, arguments, summary},
#include "lang/function_list.h"
#undef FUNCTION
    };
    add_header(out, "attn", 5, "a language of attention patterns");
    text_add(out, ".SH DESCRIPTION\n");
    add_paragraphs(out, language, "", false);
    text_add(out, ".SH OPERATORS\nFrom the loosest to the tightest: if then else; or; and; not; == != < <= > "
                  ">= (chains are\n"
                  "conjunctions); |; ^; &; << >>; + \\-; * / // %%; unary \\-; **; calls and subscripts.\n"
                  ".SH RESERVED WORDS\n");
#define KEYWORD(token, text) text_add(out, text "\n");
#include "lang/keyword_list.h"
#undef KEYWORD
    text_add(out, ".SH FUNCTIONS\n");
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        text_add(out, ".TP\n\\fB%s\\fR", functions[k][0]);
        add(out, functions[k][1]);
        text_add(out, "\n");
        add(out, functions[k][2]);
        text_add(out, "\n");
    }
    text_add(out, ".SH SEE ALSO\n\\fBattnc\\fR(1)\n");
}

void help_man(Text *out, const CommandInfo *command)
{
    if (!command) {
        page_of_all(out);
        return;
    }
    add_header(out, format(out->c, "attnc-%s", command->name), 1, command->summary);
    text_add(out, ".SH SYNOPSIS\n");
    add_paragraphs(out, command->usage, "attnc ", true);
    text_add(out, ".SH DESCRIPTION\n");
    add_paragraphs(out, command->text, "", false);
    text_add(out, ".SH OPTIONS\n");
    for (const OptionInfo *o = NULL; (o = option_next(o, command->command));) add_option(out, o);
    text_add(out, ".SH EXAMPLES\n");
    add_paragraphs(out, command->examples, "attnc ", true);
    add_status(out);
    text_add(out, ".SH SEE ALSO\n\\fBattnc\\fR(1)\n");
}
