/* What a name is, where it is defined, and where else it stands. */
#include <string.h>

#include "compiler/command/lsp.h"

/* ---- hover ---- */

static void add_slice(Text *out, const LspText *t, Span span, char end)
{
    const Source *s = &t->c->sources.at[span.source];
    uint32_t to = span.from;
    while (to < span.to && s->text[to] != end) to++;
    while (to > span.from && strchr(" \n\r\t", s->text[to - 1])) to--;
    text_add_bytes(out, s->text + span.from, to - span.from);
}

static const Tensor *tensor_named(const Pattern *p, const char *name)
{
    for (uint32_t k = 0; p && k < p->tensors.n; k++)
        if (!strcmp(p->tensors.at[k]->name, name)) return p->tensors.at[k];
    for (uint32_t k = 0; p && k < p->equations.n; k++)
        if (!strcmp(p->equations.at[k]->name, name)) return p->equations.at[k];
    return NULL;
}

static const Index *index_named(const Pattern *p, const char *name)
{
    for (uint32_t k = 0; p && k < p->tensors.n + p->equations.n; k++) {
        const Tensor *t = k < p->tensors.n ? p->tensors.at[k] : p->equations.at[k - p->tensors.n];
        for (unsigned d = 0; d < t->n_dims; d++)
            if (!strcmp(t->dims[d]->name, name)) return t->dims[d];
    }
    return NULL;
}

static void add_tensor(Text *out, const Tensor *t)
{
    static const char *const storages[] = {
#define STORAGE(name, text) text,
#include "lang/storage_list.h"
#undef STORAGE
    };
    text_add(out, "%s", t->name);
    for (unsigned d = 0; d < t->n_dims; d++) text_add(out, "%s%s", d ? ", " : "[", t->dims[d]->name);
    text_add(out, "%s: %s", t->n_dims ? "]" : "", storages[t->storage]);
    if (!t->lo) return;
    text_add(out, " in ");
    node_print(out, t->lo);
    text_add(out, "..");
    node_print(out, t->hi);
}

/* The first lines: what could stand in a source. */
static void add_code(Text *out, const LspText *t, const LspName *n, const Pattern *p)
{
    const Tensor *tensor = tensor_named(p, n->name);
    switch (n->kind) {
    case LSP_PATTERN: add_slice(out, t, n->pattern->span, '{'); return;
    case LSP_FUNCTION:
    case LSP_MASK: add_slice(out, t, n->function->span, '{'); return;
    case LSP_PARAMETER: add_slice(out, t, n->param->span, 0); return;
    case LSP_INDEX:
        if (n->statement)
            add_slice(out, t, n->statement->span, '\n');
        else
            text_add(out, "index %s", n->name);
        return;
    case LSP_ARGUMENT:
    case LSP_LOCAL: text_add(out, "%s", n->name); return;
    default: break;
    }
    if (tensor)
        add_tensor(out, tensor);
    else if (n->tensor)
        add_slice(out, t, n->tensor->span, 0);
    else
        text_add(out, "%s", n->name);
    if (!n->statement) return;
    text_add(out, "\n");
    add_slice(out, t, n->statement->span, 0);
}

static void add_index(Text *out, const Index *index)
{
    text_add(out, "\n\nExtent: ");
    if (index->extent)
        text_add(out, "`"), node_print(out, index->extent), text_add(out, "`");
    else
        text_add(out, "that of the tensors bound");
    if (index->origin) text_add(out, ", from `"), node_print(out, index->origin), text_add(out, "`");
    if (index->heads) text_add(out, "; the heads: tensors may have a divisor of it");
}

static void add_words(Text *out, const LspName *n, const Pattern *p)
{
    const Tensor *tensor = tensor_named(p, n->name);
    const Index *index = n->kind == LSP_INDEX ? index_named(p, n->name) : NULL;
    bool global = n->kind == LSP_FUNCTION || n->kind == LSP_MASK || n->kind == LSP_PATTERN;
    text_add(out, "\n```\n");
    if (!global) text_add(out, "%s of ", lsp_kind_text(n->kind));
    if (!global) text_add(out, "`%s`", n->pattern ? n->pattern->name.name : n->function->name.name);
    if (index) add_index(out, index);
    if (tensor && !index && tensor->group)
        text_add(out, ", a recurrence along `%s`, %s", tensor->dims[tensor->recurrence_axis]->name,
                 tensor->recurrence_step > 0 ? "forward" : "backward");
    if (n->doc) text_add(out, "%s%s", global ? "" : "\n\n", n->doc);
}

static const Pattern *pattern_of(const Program *program, const AstPattern *ast)
{
    for (uint32_t k = 0; program && k < program->patterns.n; k++)
        if (program->patterns.at[k]->name == ast->name.name) return program->patterns.at[k];
    return NULL;
}

/* A function or symbol of the language. */
static bool add_builtin(Text *out, const char *word)
{
    static const struct {
        const char *name, *arguments, *summary;
    } list[] = {
#define FUNCTION(name, arguments, summary) {#name, arguments, summary},
#include "lang/function_list.h"
#undef FUNCTION
    };
    for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
        if (strcmp(word, list[k].name)) continue;
        text_add(out, "```attn\n%s%s\n```\n%s", word, list[k].arguments, list[k].summary);
        return true;
    }
    return false;
}

json_t *lsp_hover(LspText *t, const json_t *params)
{
    bool checked = pipeline_check(&t->pipeline);
    LspNames *names = lsp_names(t);
    uint32_t offset = lsp_offset(t, json_object_get(params, "position"));
    Span span;
    Text out = {.c = t->c};
    const LspName *n = lsp_name_at(names, offset, &span);
    if (n) {
        bool own = checked && n->pattern && n->span.source == t->source;
        const Pattern *p = own ? pattern_of(t->pipeline.program, n->pattern) : NULL;
        text_add(&out, "```attn\n");
        add_code(&out, t, n, p);
        add_words(&out, n, p);
    } else {
        const char *word = lsp_word_at(t, offset, &span);
        if (!word || !add_builtin(&out, word)) return NULL;
    }
    return json_pack("{s:{s:s, s:o}, s:o}", "contents", "kind", "markdown", "value", lsp_string(out.at),
                     "range", lsp_range(t, span));
}

/* ---- where it is ---- */

json_t *lsp_definition(LspText *t, const json_t *params)
{
    LspNames *names = lsp_names(t);
    uint32_t offset = lsp_offset(t, json_object_get(params, "position"));
    Span span;
    for (uint32_t k = 0; k < names->files.n; k++) {
        const LspFile *file = &names->files.at[k];
        if (file->found && file->span.from <= offset && offset <= file->span.to)
            return lsp_location(t, (Span){file->source, 0, 0});
    }
    const LspName *n = lsp_name_at(names, offset, &span);
    return n ? lsp_location(t, n->span) : NULL;
}

/* Every place in the text that means the same. */
static json_t *places(LspText *t, const json_t *params, bool locations)
{
    LspNames *names = lsp_names(t);
    Span span;
    const LspName *n = lsp_name_at(names, lsp_offset(t, json_object_get(params, "position")), &span);
    if (!n) return NULL;
    json_t *list = json_array();
    for (uint32_t k = 0; k < names->uses.n; k++) {
        if (names->uses.at[k].name != n) continue;
        span = names->uses.at[k].span;
        json_array_append_new(list, locations ? lsp_location(t, span)
                                              : json_pack("{s:o}", "range", lsp_range(t, span)));
    }
    return list;
}

json_t *lsp_references(LspText *t, const json_t *params) { return places(t, params, true); }
json_t *lsp_highlight(LspText *t, const json_t *params) { return places(t, params, false); }
