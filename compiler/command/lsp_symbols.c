/* The outline of a text. */
#include "compiler/command/lsp.h"

static json_t *symbol(const LspText *t, const LspName *n, Span span)
{
    static const int kinds[] = {
#define LSP_KIND(name, text, symbol, completion) symbol,
#include "lsp_kind_list.h"
#undef LSP_KIND
    };
    return json_pack("{s:o, s:s, s:i, s:o, s:o}", "name", lsp_string(n->name), "detail",
                     lsp_kind_text(n->kind), "kind", kinds[n->kind], "range", lsp_range(t, span),
                     "selectionRange", lsp_range(t, n->span));
}

static Span span_of(const LspName *n)
{
    Span span = n->statement ? n->statement->span : n->param ? n->param->span : n->span;
    return span.from <= n->span.from && n->span.to <= span.to ? span : n->span;
}

static json_t *children(const LspText *t, const LspName *global)
{
    json_t *list = json_array();
    const LspScope *s = global->scope;
    for (uint32_t k = 0; k < s->names.n; k++)
        json_array_append_new(list, symbol(t, s->names.at[k], span_of(s->names.at[k])));
    return list;
}

json_t *lsp_symbols(LspText *t, const json_t *params)
{
    (void)params;
    json_t *list = json_array();
    LspNames *names = lsp_names(t);
    for (uint32_t k = 0; k < names->globals.names.n; k++) {
        const LspName *n = names->globals.names.at[k];
        if (n->span.source != t->source) continue;
        json_t *one = symbol(t, n, n->pattern ? n->pattern->span : n->function->span);
        json_object_set_new(one, "children", children(t, n));
        json_array_append_new(list, one);
    }
    return list;
}
