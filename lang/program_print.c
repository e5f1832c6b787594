/* Prints a checked pattern: parameters, indices, tensors, conditions, equations. For tests and dumps;
 * deterministic. */
#include "program.h"

static const char *const storages[] = {
#define STORAGE(name, text) text,
#include "storage_list.h"
#undef STORAGE
};

static void print_param(Text *out, const Param *p)
{
    static const char *const types[] = {"bool", "int", "float"};
    text_add(out, "    param %s: %s", p->name, types[p->type]);
    const char *kind = p->fixed ? " fixed" : " =";
    bool given = p->fixed || p->has_default;
    if (given && p->type == TYPE_REAL) text_add(out, "%s %g", kind, p->value.real);
    else if (given) text_add(out, "%s %lld", kind, (long long)p->value.integer);
    text_add(out, "\n");
}

static void print_dims(Text *out, const Tensor *t)
{
    text_add(out, "%s[", t->name);
    for (unsigned d = 0; d < t->n_dims; d++)
        text_add(out, "%s%s", d == 0 ? "" : d == t->n_ambient ? "; " : ", ", t->dims[d]->name);
    text_add(out, "]: %s", storages[t->storage]);
    if (t->lo) {
        text_add(out, " in ");
        node_print(out, t->lo);
        text_add(out, "..");
        node_print(out, t->hi);
    }
}

static void print_tensor(Text *out, const Tensor *t)
{
    static const char *const roles[] = {"input", "with", "output", "equation"};
    text_add(out, "    %s%s ", t->optional ? "optional " : "", roles[t->role]);
    print_dims(out, t);
    text_add(out, "\n");
}

static void print_equation(Text *out, const Tensor *t)
{
    text_add(out, "    ");
    print_dims(out, t);
    if (t->group)
        text_add(out, " group %u along %s %+d", t->group, t->dims[t->recurrence_axis]->name,
                 t->recurrence_step);
    text_add(out, "%s =\n        ", t->data ? " data" : "");
    if (t->body) node_print(out, t->body);
    text_add(out, "\n");
}

static void print_index(Text *out, const Index *index)
{
    text_add(out, "    index %s", index->name);
    if (index->extent) {
        text_add(out, ": ");
        node_print(out, index->extent);
    } else text_add(out, index->heads ? " heads" : index->ambient ? " ambient" : " bound");
    if (index->origin) {
        text_add(out, " from ");
        node_print(out, index->origin);
    }
    text_add(out, "\n");
}

/* Indices of tensors and equations, each once. */
static void print_indices(Text *out, const Pattern *p)
{
    bool seen[MAX_INDICES] = {false};
    for (uint32_t n = 0; n < p->tensors.n + p->equations.n; n++) {
        const Tensor *t = n < p->tensors.n ? p->tensors.at[n] : p->equations.at[n - p->tensors.n];
        for (unsigned d = 0; d < t->n_dims; d++) {
            if (seen[t->dims[d]->id]) continue;
            seen[t->dims[d]->id] = true;
            print_index(out, t->dims[d]);
        }
    }
}

void pattern_print(Text *out, const Pattern *p)
{
    text_add(out, "pattern %s\n", p->name);
    for (uint32_t n = 0; n < p->params.n; n++) print_param(out, p->params.at[n]);
    print_indices(out, p);
    for (uint32_t n = 0; n < p->tensors.n; n++) print_tensor(out, p->tensors.at[n]);
    for (uint32_t n = 0; n < p->conditions.n; n++) {
        text_add(out, "    require ");
        node_print(out, p->conditions.at[n].test);
        text_add(out, "    # %s\n", p->conditions.at[n].text);
    }
    for (uint32_t n = 0; n < p->equations.n; n++) print_equation(out, p->equations.at[n]);
    if (p->cost) {
        text_add(out, "    cost ");
        node_print(out, p->cost);
        text_add(out, "\n");
    }
}

void program_print(Text *out, const Program *program)
{
    for (uint32_t n = 0; n < program->patterns.n; n++) pattern_print(out, program->patterns.at[n]);
}
