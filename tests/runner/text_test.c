/* One text-file test: taking the file apart, running the library on its source, writing what came out. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/lower.h"
#include "compiler/performance.h"
#include "compiler/reasons.h"

enum { TEST_LANES = 16 }; /* whatever the machine has */

const char *const mode_names[MODES] = {"default", "syntax", "check", "ast", "tokens", "program",
                                        "graph", "plan", "loops", "performance", "explain"};

const char *read_file(Compilation *c, const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    Text text = {.c = c};
    text_add(&text, "%s", "");
    char bytes[4096];
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file)) > 0;) text_add_bytes(&text, bytes, n);
    bool failed = ferror(file) != 0;
    fclose(file);
    *length = text.n;
    return failed ? NULL : text.at;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static Mode default_mode(const char *path)
{
    bool explains = !strncmp(base_name(path), "explain-", 8);
    if (strstr(path, "plans/")) return explains ? MODE_EXPLAIN : MODE_PLAN;
    if (!strstr(path, "errors/")) return MODE_AST;
    if (!strncmp(base_name(path), "performance-", 12)) return MODE_PERFORMANCE;
    return strncmp(base_name(path), "syntax-", 7) ? MODE_CHECK : MODE_SYNTAX;
}

/* Where the expectation begins: the first of the `#!` lines that end the file. */
static size_t source_length(const char *text, size_t length)
{
    size_t begin = length;
    while (begin > 0) {
        size_t from = begin - 1;
        while (from > 0 && text[from - 1] != '\n') from--;
        if (strncmp(text + from, "#!", 2)) break;
        begin = from;
    }
    return begin;
}

/* One `#!` line, without its line break: a directive, or a line that is compared. */
static void read_line(TextTest *t, const char *line)
{
    Compilation *c = t->c;
    const char *word = strncmp(line, "#! ", 3) ? "" : line + 3;
    bool directive = true;
    if (!strncmp(word, "mode ", 5)) {
        for (int i = 1; i < MODES; i++)
            if (!strcmp(word + 5, mode_names[i])) t->mode = (Mode)i;
    } else if (!strncmp(word, "pad ", 4)) {
        t->pad = strtoul(word + 4, NULL, 10);
    } else if (!strncmp(word, "pattern ", 8)) {
        t->pattern = word + 8;
    } else if (!strncmp(word, "define ", 7) && strchr(word, '=')) {
        const char *equals = strchr(word, '=');
        PUSH(c, &t->definitions, (Definition){intern(c, word + 7, (size_t)(equals - word) - 7), equals + 1});
    } else {
        directive = false;
        if (!strncmp(line, "#!|", 3)) t->carets = true;
    }
    text_add(directive ? &t->directives : &t->expected, "%s\n", line);
}

bool text_test_read(Compilation *c, const char *path, Mode mode, TextTest *t)
{
    *t = (TextTest){.c = c, .path = path, .mode = default_mode(path)};
    t->directives.c = t->expected.c = c;
    text_add(&t->directives, "%s", "");
    text_add(&t->expected, "%s", "");
    t->text = read_file(c, path, &t->length);
    if (!t->text) return false;
    t->source_length = source_length(t->text, t->length);
    for (const char *at = t->text + t->source_length; *at;) {
        size_t n = strcspn(at, "\n");
        read_line(t, format(c, "%.*s", (int)n, at));
        at += n + (at[n] == '\n');
    }
    if (mode != MODE_DEFAULT) t->mode = mode;
    return true;
}

static void add_commented(Text *out, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        text_add(out, n ? "#!| %.*s\n" : "#!|\n", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void add_note(Text *out, const Compilation *c, const Diag *d, const DiagNote *note)
{
    unsigned line, column;
    text_add(out, "#! %s ", note->hint ? "hint" : "note");
    span_position(c, note->span, &line, &column);
    if (note->span.to && note->span.source != d->span.source)
        text_add(out, "%s:", base_name(c->sources.at[note->span.source].path));
    if (note->span.to) text_add(out, "%u:%u ", line, column);
    text_add(out, "%s\n", note->text);
}

static void add_diagnostics(TextTest *t, Text *out)
{
    Compilation *c = t->c;
    const Diag **sorted = diag_sorted(c);
    for (uint32_t i = 0; i < c->diags.n; i++) {
        const Diag *d = sorted[i];
        unsigned line, column;
        span_position(c, d->span, &line, &column);
        text_add(out, "#! %s %u:%u %s\n", diag_code_name(d->code), line, column, d->text);
        for (uint32_t j = 0; j < d->notes.n; j++) add_note(out, c, d, &d->notes.at[j]);
    }
    for (uint32_t i = 0; i < c->sources.n; i++) c->sources.at[i].path = base_name(c->sources.at[i].path);
    if (t->carets && t->mode != MODE_AST && (t->mode < MODE_TOKENS || t->mode == MODE_PERFORMANCE))
        add_commented(out, diag_render(c, DIAG_CARETS));
}

static void print_pattern(TextTest *t, Pattern *pattern, Text *out)
{
    Compilation *c = t->c;
    Graph *graph = graph_build(c, pattern);
    Plan *plan = t->mode == MODE_GRAPH ? NULL : plan_build(c, graph);
    if (t->mode == MODE_GRAPH) text_add(out, "%s", graph_print(c, graph));
    if (t->mode == MODE_PLAN) text_add(out, "%s", plan_print(c, plan));
    if (t->mode == MODE_LOOPS) loops_print(out, lower(c, plan, (Schedule){0}));
    if (t->mode == MODE_EXPLAIN)
        reasons_print(out, c, reasons(c, plan, lower(c, plan, (Schedule){.lanes = TEST_LANES})));
    if (t->mode == MODE_PERFORMANCE) performance(c, plan, lower(c, plan, (Schedule){.lanes = TEST_LANES}), NULL);
}

static void check(TextTest *t, uint32_t source, Text *print)
{
#ifdef ATTN_HAS_CHECK
    static const char *const include[] = {ATTN_PATTERN_DIR_SOURCE, NULL};
    LangOptions options = {.include = include,
                           .definitions = t->definitions.at,
                           .n_definitions = t->definitions.n,
                           .pattern = t->pattern,
                           .warnings = !strncmp(base_name(t->path), "warning-", 8)};
    const Program *program = lang_check(t->c, source, &options);
    if (program && t->mode == MODE_PROGRAM) program_print(print, program);
    for (uint32_t k = 0; program && t->mode > MODE_PROGRAM && k < program->patterns.n; k++)
        print_pattern(t, program->patterns.at[k], print);
#else
    (void)print;
    ast_parse(t->c, source);
#endif
}

void text_test_run(TextTest *t, Text *out)
{
    Compilation *c = t->c;
    Text source = {.c = c}, print = {.c = c};
    text_add_bytes(&source, t->text, t->source_length);
    for (size_t i = 0; i < t->pad; i++) text_add_bytes(&source, "\n", 1);
    uint32_t number = compilation_add_source(c, t->path, source.at, source.n);
    text_add(&print, "%s", "");
    if (t->mode == MODE_TOKENS) ast_print_tokens(&print, c, number);
    else if (t->mode == MODE_CHECK || t->mode >= MODE_PROGRAM) check(t, number, &print);
    else {
        AstFile *file = ast_parse(c, number);
        if (t->mode == MODE_AST && !c->errors && strncmp(t->expected.at, "#! ok", 5)) ast_print(&print, file);
    }
    size_t before = out->n;
    add_commented(out, print.at);
    add_diagnostics(t, out);
    if (out->n == before) text_add(out, "#! ok\n");
}

bool text_test_update(const TextTest *t, const Text *actual)
{
    FILE *file = fopen(t->path, "wb");
    if (!file) return false;
    bool ok = fwrite(t->text, 1, t->source_length, file) == t->source_length;
    if (t->source_length && t->text[t->source_length - 1] != '\n') ok = fputc('\n', file) != EOF && ok;
    ok = fputs(t->directives.at, file) >= 0 && fputs(actual->at, file) >= 0 && ok;
    return fclose(file) == 0 && ok;
}
