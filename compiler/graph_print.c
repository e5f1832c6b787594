/* The dump of --emit=graph: parameters, indices, tensors, conditions, then one equation a line. */
#include "graph.h"

static const char *const storage_text[] = {
#define STORAGE(name, text) text,
#include "lang/storage_list.h"
#undef STORAGE
};
static const char *const type_text[] = {"bool", "int", "real"};
static const char *const role_text[] = {"input", "capture", "output", "equation"};

static void print_dims(Text *out, const Tensor *t)
{
    text_add(out, "%s[", t->name);
    for (unsigned k = 0; k < t->n_dims; k++) text_add(out, "%s%s", k ? ", " : "", t->dims[k]->name);
    text_add(out, "]");
}

static void print_param(Text *out, const Param *p)
{
    text_add(out, "param %s: %s", p->name, type_text[p->type]);
    if (p->has_default || p->fixed) {
        text_add(out, p->fixed ? " fixed " : " = ");
        if (p->type == TYPE_REAL) text_add(out, "%.17g", p->value.real);
        else text_add(out, "%lld", (long long)p->value.integer);
    }
    text_add(out, "\n");
}

static void print_tensor(Text *out, const Tensor *t)
{
    text_add(out, "%s ", role_text[t->role]);
    print_dims(out, t);
    text_add(out, ": %s", storage_text[t->storage]);
    if (t->lo) {
        text_add(out, " in ");
        node_print(out, t->lo);
        text_add(out, "..");
        node_print(out, t->hi);
    }
    text_add(out, "%s\n", t->optional ? " optional" : "");
}

static void print_equation(Text *out, const Tensor *t)
{
    print_dims(out, t);
    text_add(out, ": %s", type_text[t->type]);
    if (t->group) {
        text_add(out, " recurrence %u", t->group);
        const char *sign = t->recurrence_step < 0 ? "-" : "";
        if (t->recurrence_axis >= 0) text_add(out, " along %s%s", sign, t->dims[t->recurrence_axis]->name);
    }
    text_add(out, " = ");
    node_print(out, t->body);
    text_add(out, "\n");
}

const char *graph_print(Compilation *c, const Graph *g)
{
    const Pattern *p = g->pattern;
    Text out = {.c = c};
    text_add(&out, "graph %s\n", p->name);
    for (uint32_t k = 0; k < p->params.n; k++) print_param(&out, p->params.at[k]);
    for (uint32_t k = 0; k < p->indices.n; k++)
        text_add(&out, "index %s%s\n", p->indices.at[k]->name,
                 p->indices.at[k]->heads ? " heads" : p->indices.at[k]->ambient ? " ambient" : "");
    for (uint32_t k = 0; k < p->tensors.n; k++) print_tensor(&out, p->tensors.at[k]);
    for (uint32_t k = 0; k < p->conditions.n; k++) {
        text_add(&out, "condition ");
        node_print(&out, p->conditions.at[k].test);
        text_add(&out, "\n");
    }
    for (uint32_t k = 0; k < g->equations.n; k++) print_equation(&out, g->equations.at[k]);
    return out.at;
}
