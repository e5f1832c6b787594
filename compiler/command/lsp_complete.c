/* What could stand at a position: names in scope, functions, reserved words; files after `use`. */
#include <dirent.h>
#include <string.h>

#include "compiler/command/lsp.h"

enum {
    KIND_TEXT = 1,
    KIND_FUNCTION = 3,
    KIND_KEYWORD = 14,
    KIND_FILE = 17,
    KIND_TYPE = 22,
    KIND_CONSTANT = 21
};
enum { FOLDER_DEPTH = 4, ITEMS_MAX = 2000 };

static void add(json_t *list, const char *label, int kind, const char *detail, const char *doc)
{
    if (json_array_size(list) >= ITEMS_MAX) return;
    json_t *item = json_pack("{s:o, s:i}", "label", lsp_string(label), "kind", kind);
    if (detail) json_object_set_new(item, "detail", lsp_string(detail));
    if (doc) json_object_set_new(item, "documentation", lsp_string(doc));
    json_array_append_new(list, item);
}

/* ---- files ---- */

static bool is_source(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".attn");
}

/* Sources below a folder, by their paths from there. */
static void add_files(json_t *list, Compilation *c, const char *folder, const char *below, int depth)
{
    DIR *entries = opendir(folder);
    if (!entries) return;
    for (struct dirent *e; (e = readdir(entries)) && json_array_size(list) < ITEMS_MAX;) {
        if (e->d_name[0] == '.') continue;
        const char *path = format(c, "%s%s", below, e->d_name);
        if (is_source(e->d_name))
            add(list, path, KIND_FILE, folder, NULL);
        else if (e->d_type == DT_DIR && depth < FOLDER_DEPTH)
            add_files(list, c, format(c, "%s/%s", folder, e->d_name), format(c, "%s/", path), depth + 1);
    }
    closedir(entries);
}

static json_t *files(LspText *t)
{
    json_t *list = json_array();
    const char *slash = strrchr(t->document->path, '/');
    if (slash && t->document->path[0] == '/')
        add_files(list, t->c, format(t->c, "%.*s", (int)(slash - t->document->path), t->document->path), "",
                  FOLDER_DEPTH - 1);
    for (unsigned k = 0; k < t->options.n_includes; k++) add_files(list, t->c, t->options.includes[k], "", 0);
    for (const char *const *at = pipeline_library_folders(t->c); *at; at++) add_files(list, t->c, *at, "", 0);
    return list;
}

/* ---- words ---- */

static void add_language(json_t *list)
{
#define KEYWORD(kind, text) add(list, text, KIND_KEYWORD, NULL, NULL);
#include "lang/keyword_list.h"
#undef KEYWORD
#define FUNCTION(name, arguments, summary) add(list, #name, KIND_FUNCTION, arguments, summary);
#include "lang/function_list.h"
#undef FUNCTION
#define STORAGE(name, text)                                               \
    if (STORAGE_##name != STORAGE_INT && STORAGE_##name != STORAGE_FLOAT) \
        add(list, text, KIND_TYPE, NULL, NULL); /* `int` and `float` are functions, too */
#include "lang/storage_list.h"
#undef STORAGE
    add(list, "pi", KIND_CONSTANT, NULL, NULL);
    add(list, "inf", KIND_CONSTANT, NULL, NULL);
}

static void add_names(json_t *list, const LspScope *s)
{
    static const int kinds[] = {
#define LSP_KIND(name, text, symbol, completion) completion,
#include "lsp_kind_list.h"
#undef LSP_KIND
    };
    for (uint32_t k = 0; k < s->names.n; k++) {
        const LspName *n = s->names.at[k];
        add(list, n->name, kinds[n->kind], lsp_kind_text(n->kind), n->doc);
    }
}

/* What is being written has no tree: the words of its lines up to the next declaration or empty line. */
static void add_written(json_t *list, const LspText *t, uint32_t offset)
{
    const Source *s = &t->c->sources.at[t->source];
    uint32_t from = offset;
    while (from > 0 && !(s->text[from - 1] == '\n' && s->text[from] == '\n')) from--;
    json_t *seen = json_object();
    for (Span span = {0}; from < s->length && json_object_size(seen) < 200; from++) {
        if (s->text[from] == '\n' && from > offset && s->text[from - 1] == '\n') break;
        const char *word = lsp_word_at(t, from, &span);
        if (!word) continue;
        from = span.to;
        if (span.from <= offset && offset <= span.to) continue;
        if (word[0] > '9' && !json_object_get(seen, word)) {
            json_object_set_new(seen, word, json_true());
            add(list, word, KIND_TEXT, NULL, NULL);
        }
    }
    json_decref(seen);
}

/* The line up to the offset: is it a comment, or the path of a `use`? */
static bool in_comment(const Source *s, uint32_t offset, bool *path)
{
    uint32_t from = offset;
    while (from > 0 && s->text[from - 1] != '\n') from--;
    size_t n = offset - from;
    const char *line = s->text + from, *quote = n ? memchr(line, '"', n) : NULL;
    *path =
        quote && !memchr(quote + 1, '"', n - (size_t)(quote - line) - 1) && n > 3 && !strncmp(line, "use", 3);
    return n && memchr(line, '#', n);
}

json_t *lsp_complete(LspText *t, const json_t *params)
{
    uint32_t offset = lsp_offset(t, json_object_get(params, "position"));
    bool path;
    if (in_comment(&t->c->sources.at[t->source], offset, &path)) return json_array();
    if (path) return files(t);
    json_t *list = json_array();
    LspNames *names = lsp_names(t);
    const LspScope *scope = lsp_scope_at(names, offset);
    if (scope)
        add_names(list, scope);
    else
        add_written(list, t, offset);
    add_names(list, &names->globals);
    add_language(list);
    return list;
}
