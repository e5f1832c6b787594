/* Changes to a text: its canonical layout, what a diagnostic proposes, other names. */
#include <string.h>

#include "compiler/command/lsp.h"
#include "lang/layout.h"

json_t *lsp_format(LspText *t, const json_t *params)
{
    (void)params;
    Text out = {.c = t->c};
    text_add(&out, "%s", "");
    if (!layout_source(t->c, t->source, &out)) return NULL;
    const Source *s = &t->c->sources.at[t->source];
    if (out.n == s->length && !memcmp(out.at, s->text, out.n)) return json_array();
    Span all = {t->source, 0, s->length};
    return json_pack("[{s:o, s:o}]", "range", lsp_range(t, all), "newText", json_stringn(out.at, out.n));
}

/* ---- quick fixes ---- */

/* The name in "hint: did you mean `name`?", or NULL. */
static const char *proposal(Compilation *c, const char *message)
{
    static const char start[] = "hint: did you mean `";
    if (!message || strncmp(message, start, sizeof start - 1)) return NULL;
    const char *name = message + sizeof start - 1, *end = strchr(name, '`');
    return end && !strcmp(end, "`?") ? intern(c, name, (size_t)(end - name)) : NULL;
}

static json_t *fix(const LspText *t, json_t *diagnostic, const char *name)
{
    json_t *edit =
        json_pack("{s:O, s:o}", "range", json_object_get(diagnostic, "range"), "newText", lsp_string(name));
    return json_pack("{s:o, s:s, s:b, s:[O], s:{s:{s:[o]}}}", "title",
                     lsp_string(format(t->c, "Write `%s`", name)), "kind", "quickfix", "isPreferred", 1,
                     "diagnostics", diagnostic, "edit", "changes", t->document->uri, edit);
}

/* From the diagnostics that the editor hands back. */
json_t *lsp_actions(LspText *t, const json_t *params)
{
    json_t *list = json_array(), *diagnostic, *info;
    const json_t *context = json_object_get(params, "context");
    size_t k, m;
    json_array_foreach(json_object_get(context, "diagnostics"), k, diagnostic)
    {
        if (!json_object_get(diagnostic, "range")) continue;
        json_array_foreach(json_object_get(diagnostic, "relatedInformation"), m, info)
        {
            const char *name = proposal(t->c, json_string_value(json_object_get(info, "message")));
            if (name) json_array_append_new(list, fix(t, diagnostic, name));
        }
    }
    return list;
}

/* ---- rename ---- */

static bool is_name(const char *text)
{
    static const char *const taken[] = {
#define KEYWORD(kind, text) text,
#include "lang/keyword_list.h"
#undef KEYWORD
        "pi", "inf"};
    for (size_t k = 0; k < sizeof taken / sizeof *taken; k++)
        if (!strcmp(text, taken[k])) return false;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return *text && strlen(text) <= 255 && (*text < '0' || *text > '9') && !text[strspn(text, letters)];
}

/* What speaks against a new name; NULL: nothing. */
static const char *objection(const LspText *t, const LspNames *names, const LspName *n, const char *name)
{
    if (!n) return "there is no name of the text here";
    if (n->span.source != t->source) return "it is defined in another file";
    if (!name || !is_name(name)) return "a name has letters, digits and `_`, and is no reserved word";
    name = intern(t->c, name, strlen(name));
    const LspScope *s = n->scope ? &names->globals : lsp_scope_at(names, n->span.from);
    return s && lsp_find(s, name) ? "that name is taken" : NULL;
}

json_t *lsp_rename(LspText *t, const json_t *params)
{
    LspNames *names = lsp_names(t);
    Span span;
    const LspName *n = lsp_name_at(names, lsp_offset(t, json_object_get(params, "position")), &span);
    const char *name = json_string_value(json_object_get(params, "newName"));
    t->error = objection(t, names, n, name);
    if (t->error) return NULL;
    json_t *list = json_array();
    for (uint32_t k = 0; k < names->uses.n; k++)
        if (names->uses.at[k].name == n)
            json_array_append_new(list, json_pack("{s:o, s:s}", "range", lsp_range(t, names->uses.at[k].span),
                                                  "newText", name));
    return json_pack("{s:{s:o}}", "changes", t->document->uri, list);
}
