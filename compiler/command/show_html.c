/* attnc show --html: one page that evaluates the mask itself. Here: what it shows, as a JavaScript object in
 * the place of @MODEL@ in show_page.html. Ints and bools of tensors are written into the page; sizes that
 * they depend on do not move, and nothing does where the mask needs selections. */
#include <math.h>
#include <string.h>

#include "compiler/command/show.h"
#include "compiler/javascript.h"
#include "compiler/tape.h"

enum { MOST_NUMBERS = 1 << 20, WIDE_SHIFT = 45, EXACT_SHIFT = 53 };

__asm__(".section .rodata\n"
        ".global attn_show_page, attn_show_page_end\n"
        "attn_show_page: .incbin \"" ATTN_SHOW_PAGE "\"\n"
        "attn_show_page_end: .byte 0\n"
        ".previous\n");
extern const char attn_show_page[], attn_show_page_end[];

typedef struct Page {
    Scene *s;
    Text *out;
    JavaScript script;
    IndexSet bound; /* by Index.number: sizes that data depends on */
    bool computed;  /* data that depends on anything */
} Page;

/* A string in a script of a page. */
static void add_string(Page *p, const char *text)
{
    Text quoted = {.c = p->s->c};
    text_add_json(&quoted, text);
    for (const char *at = quoted.at; *at; at++) text_add(p->out, *at == '<' ? "\\u003c" : "%c", *at);
}

static void add_function(Page *p, const char *head, const Node *n)
{
    text_add(p->out, "%s => ", head);
    javascript_print(&p->script, p->out, n);
}

static void add_extent(Page *p, Index *index) { add_function(p, "extent: ()", node_size(p->s->c, index)); }

/* ---- what moves ---- */

static void note_size(void *context, Compilation *c, const Node *n)
{
    Page *p = context;
    (void)c;
    if (n->op == N_SIZE) set_add(&p->bound, n->index->number);
}

static void note_sizes(Page *p, const Node *n)
{
    note_size(p, p->s->c, n);
    for (unsigned k = 0; k < n->n_args; k++) note_sizes(p, n->args[k]);
}

static void note_tensor(Page *p, const Tensor *t)
{
    p->computed = p->computed || t->body || t->role == ROLE_EQUATION;
    for (unsigned k = 0; k < t->n_dims; k++) note_sizes(p, node_size(p->s->c, t->dims[k]));
    if (t->lo) note_sizes(p, t->lo);
    if (t->hi) note_sizes(p, t->hi);
}

/* Is the size or parameter part of the text that the page evaluates? */
static bool mentions(const Page *p, const char *leaf) { return strstr(p->out->at, leaf) != NULL; }

/* ---- the parts of the model ---- */

static void add_variables(Page *p)
{
    const ShowMap *map = p->s->map;
    text_add(p->out, "  variables: [");
    for (unsigned k = 0; k < map->n; k++) {
        bool row = k < map->n_others + map->n_rows;
        text_add(p->out, "\n    {name: ");
        add_string(p, map->variables[k]->name);
        text_add(p->out, ", kind: \"%s\", at: %lld, ",
                 k < map->n_others ? "other"
                 : row             ? "row"
                                   : "column",
                 (long long)p->s->at[k]);
        add_extent(p, map->variables[k]);
        text_add(p->out, "},");
    }
    text_add(p->out, "\n  ],\n  times: [");
    for (unsigned k = 0; k < map->stream.n_variables; k++) {
        bool known = false;
        for (unsigned i = 0; i < map->n; i++) known = known || map->variables[i] == map->stream.variables[k];
        if (known) continue;
        text_add(p->out, "\n    {");
        add_extent(p, map->stream.variables[k]);
        text_add(p->out, "},");
    }
    text_add(p->out, "\n  ],\n");
}

static void add_conditions(Page *p)
{
    text_add(p->out, "  conditions: [");
    for (uint32_t k = 0; k < p->s->pattern->conditions.n; k++) {
        const Condition *condition = &p->s->pattern->conditions.at[k];
        text_add(p->out, "\n    {text: ");
        add_string(p, condition->text);
        text_add(p->out, ", ");
        add_function(p, "holds: ()", condition->test);
        text_add(p->out, "},");
    }
    text_add(p->out, "\n  ],\n");
}

/* The mask over all variables; `exact`: over BigInts. */
static void add_mask(Page *p, const char *name, JavaScriptInts ints)
{
    Text head = {.c = p->s->c};
    text_add(&head, "  %s: (", name);
    for (unsigned k = 0; k < p->s->map->n; k++)
        text_add(&head, "%s%s", k ? ", " : "", javascript_variable(p->s->c, p->s->map->variables[k]));
    text_add(&head, ")");
    p->script.ints = ints;
    add_function(p, head.at, p->s->map->test);
    p->script.ints = JAVASCRIPT_NUMBERS;
    text_add(p->out, ",\n");
}

static const InterpretTensor *data_of(const Page *p, const Tensor *t)
{
    const InterpretArguments *a = p->s->arguments;
    for (unsigned k = 0; k < a->n_tensors; k++)
        if (a->tensors[k].tensor == t && a->tensors[k].given && a->tensors[k].data) return &a->tensors[k];
    return NULL;
}

static void add_number(Page *p, const InterpretTensor *data, size_t at)
{
    if (data->tensor->type == TYPE_REAL) {
        double x = ((const double *)data->data)[at];
        text_add(p->out, isnan(x) ? "NaN" : isinf(x) ? (x < 0 ? "-Infinity" : "Infinity") : "%.17g", x);
        return;
    }
    if (data->tensor->type == TYPE_BOOL) {
        text_add(p->out, "%d", ((const uint8_t *)data->data)[at] != 0);
        return;
    }
    int64_t x = ((const int64_t *)data->data)[at], size = x < 0 ? -(x + 1) : x;
    if (size >> WIDE_SHIFT) p->script.wide = true;
    if (size >> EXACT_SHIFT) p->script.cannot = "ints beyond 2**53 in a tensor";
    text_add(p->out, "%lld", (long long)x);
}

static void add_tensor(Page *p, const Tensor *t)
{
    const InterpretTensor *data = data_of(p, t);
    double n = 1;
    text_add(p->out, "\n  {shape: [");
    for (unsigned k = 0; k < t->n_dims; k++) {
        int64_t extent = tape_extent(p->s->c, t->dims[k], p->s->arguments);
        n *= (double)extent;
        text_add(p->out, "%s%lld", k ? ", " : "", (long long)extent);
    }
    text_add(p->out, "], data: [");
    if (!data || n > (double)MOST_NUMBERS) p->script.cannot = "so large a tensor";
    for (size_t k = 0; !p->script.cannot && k < (size_t)n; k++) {
        text_add(p->out, k ? "," : "");
        add_number(p, data, k);
    }
    text_add(p->out, "]},");
}

static void add_sizes(Page *p, const bool *moves)
{
    text_add(p->out, "  sizes: [");
    for (uint32_t k = 0; k < p->s->pattern->indices.n; k++) {
        text_add(p->out, "\n    {name: ");
        add_string(p, p->s->pattern->indices.at[k]->name);
        text_add(p->out, ", value: %lld, moves: %s},", (long long)p->s->call.extents[k],
                 moves[k] ? "true" : "false");
    }
    text_add(p->out, "\n  ],\n");
}

static void add_params(Page *p, const bool *moves)
{
    static const char *const types[] = {[TYPE_BOOL] = "bool", [TYPE_INT] = "int", [TYPE_REAL] = "float"};
    text_add(p->out, "  parameters: [");
    for (uint32_t k = 0; k < p->s->pattern->params.n; k++) {
        const Param *param = p->s->pattern->params.at[k];
        Scalar value = p->s->call.params[k];
        text_add(p->out, "\n    {name: ");
        add_string(p, param->name);
        text_add(p->out, ", type: \"%s\", moves: %s, value: ", types[param->type],
                 moves[k] ? "true" : "false");
        if (param->type == TYPE_REAL)
            text_add(p->out, "%.17g},", value.r);
        else if (param->type == TYPE_INT)
            text_add(p->out, "%lld},", (long long)value.i);
        else
            text_add(p->out, "%s},", value.i ? "true" : "false");
    }
    text_add(p->out, "\n  ],\n");
}

/* ---- the page ---- */

static void add_model(Page *p)
{
    Scene *s = p->s;
    add_mask(p, "mask", JAVASCRIPT_NUMBERS);
    bool wide = p->script.wide;
    p->script.wide = false;
    add_mask(p, "exact", JAVASCRIPT_BIGINTS);
    add_variables(p);
    bool *sizes = NEW_ARRAY(s->c, bool, s->pattern->indices.n + 1);
    bool *params = NEW_ARRAY(s->c, bool, s->pattern->params.n + 1);
    for (uint32_t k = 0; k < p->script.tensors.n; k++) note_tensor(p, p->script.tensors.at[k]);
    for (uint32_t k = 0; k < s->pattern->indices.n; k++)
        sizes[k] = !p->computed && !set_has(&p->bound, k) && mentions(p, format(s->c, "S[%u]", k));
    for (uint32_t k = 0; k < s->pattern->params.n; k++)
        params[k] = !p->computed && mentions(p, format(s->c, "P[%u]", k));
    add_conditions(p);
    add_sizes(p, sizes);
    add_params(p, params);
    p->script.wide = wide;
    text_add(p->out, "  tensors: [");
    for (uint32_t k = 0; k < p->script.tensors.n; k++) add_tensor(p, p->script.tensors.at[k]);
    text_add(p->out, "\n  ],\n  wide: %s\n", p->script.wide ? "true" : "false");
}

const char *show_html(Scene *s, Text *out)
{
    Text model = {.c = s->c};
    Page p = {.s = s, .out = &model, .script = {.c = s->c, .arguments = s->arguments}};
    const char *mark = strstr(attn_show_page, "@MODEL@");
    text_add(&model, "{\n  pattern: ");
    add_string(&p, s->pattern->name);
    text_add(&model, ",\n  map: ");
    add_string(&p, s->map->name);
    text_add(&model, ",\n  condition: ");
    add_string(&p, scene_condition(s, s->map));
    text_add(&model, ",\n");
    add_model(&p);
    text_add(&model, "}");
    if (p.script.cannot) return format(s->c, "the mask cannot be put on a page: it has %s", p.script.cannot);
    text_add_bytes(out, attn_show_page, (size_t)(mark - attn_show_page));
    text_add_bytes(out, model.at, model.n);
    mark += strlen("@MODEL@");
    text_add_bytes(out, mark, (size_t)(attn_show_page_end - mark));
    return NULL;
}
