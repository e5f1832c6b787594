/* Prints signatures in the syntax of the language. */
#include "signature.h"

#include <string.h>

static const char *const storage_text[] = {
#define STORAGE(name, text) text,
#include "lang/storage_list.h"
#undef STORAGE
};

static void print_param(Text *out, const Param *p)
{
    text_add(out, "%s: %s", p->name, p->type == TYPE_REAL ? "float" : p->type == TYPE_INT ? "int" : "bool");
    if (!p->has_default && !p->fixed) return;
    text_add(out, p->fixed ? " is " : " = ");
    if (p->type == TYPE_REAL) text_add(out, "%g", p->value.real);
    else if (p->type == TYPE_INT) text_add(out, "%lld", (long long)p->value.integer);
    else text_add(out, p->value.integer ? "true" : "false");
}

static void print_tensor(Text *out, const Tensor *t)
{
    text_add(out, "%s", t->name);
    if (t->storage != STORAGE_FLOAT) text_add(out, ": %s", storage_text[t->storage]);
    for (unsigned d = t->n_ambient; d < t->n_dims; d++)
        text_add(out, "%s%s", d == t->n_ambient ? "[" : ", ", t->dims[d]->name);
    if (t->n_dims > t->n_ambient) text_add(out, "]");
    if (!t->lo || !t->hi) return;
    text_add(out, " in ");
    node_print(out, t->lo);
    text_add(out, "..");
    node_print(out, t->hi);
}

static void print_tensors(Text *out, const Pattern *p, Role role, const char *before)
{
    bool any = false;
    for (unsigned k = 0; k < p->tensors.n; k++) {
        const Tensor *t = p->tensors.at[k];
        if (t->role != role || t->optional) continue;
        text_add(out, "%s", any ? ", " : before);
        print_tensor(out, t);
        any = true;
    }
}

static void print_ambient(Text *out, const Pattern *p)
{
    bool any = false;
    for (unsigned k = 0; k < p->indices.n; k++) {
        if (!p->indices.at[k]->ambient) continue;
        text_add(out, "%s%s", any ? ", " : "over ", p->indices.at[k]->name);
        any = true;
    }
    if (any) text_add(out, ": ");
}

/* `S` of the optional input `S.start`. */
static void print_carried(Text *out, const Pattern *p)
{
    bool any = false;
    for (unsigned k = 0; k < p->tensors.n; k++) {
        const Tensor *t = p->tensors.at[k];
        const char *dot = strrchr(t->name, '.');
        if (!t->optional || !dot || strcmp(dot, ".start")) continue;
        text_add(out, "%s%.*s", any ? ", " : "\n    carry ", (int)(dot - t->name), t->name);
        any = true;
    }
}

void signature_print(Text *out, const Pattern *p)
{
    text_add(out, "%s(", p->name);
    for (unsigned k = 0; k < p->params.n; k++) {
        if (k) text_add(out, ", ");
        print_param(out, p->params.at[k]);
    }
    text_add(out, ")\n    ");
    print_ambient(out, p);
    print_tensors(out, p, ROLE_INPUT, "");
    print_tensors(out, p, ROLE_OUTPUT, " -> ");
    print_tensors(out, p, ROLE_CAPTURE, "\n    with ");
    print_carried(out, p);
    for (unsigned k = 0; k < p->conditions.n; k++) {
        text_add(out, "\n    require ");
        node_print(out, p->conditions.at[k].test);
    }
}
