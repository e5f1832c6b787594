/* Parameters, the indices and tensors of a signature, and the names that a body declares. */
#include "check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters ---- */

static bool parse_value(const char *text, Type type, Param *p)
{
    char *end = NULL;
    errno = 0;
    if (type == TYPE_BOOL) {
        p->value.integer = !strcmp(text, "true");
        return p->value.integer || !strcmp(text, "false");
    }
    if (type == TYPE_INT) p->value.integer = strtoll(text, &end, 10);
    else p->value.real = strtod(text, &end);
    return *text && !*end && errno == 0;
}

static void take_definition(Checker *k, Param *p)
{
    const LangOptions *o = k->options;
    for (unsigned n = 0; o && n < o->n_definitions; n++) {
        if (strcmp(o->definitions[n].name, p->name)) continue;
        if (parse_value(o->definitions[n].value, p->type, p)) p->fixed = true;
        else
            report(k->c, E508, p->span, "`%s` cannot be `%s`: it is %s", p->name, o->definitions[n].value,
                   type_name(p->type));
    }
}

static bool take_literal(Param *p, const Node *n)
{
    if (n->op == N_REAL) p->value.real = n->real;
    else if (n->op == N_INT || n->op == N_BOOL) p->value.integer = n->integer;
    else return false;
    return true;
}

static void take_default(Instance *in, Param *p, const Ast *a)
{
    Env e = {.k = in->k, .scope = &in->scope};
    Node *n = elaborate_scalar(&e, a, p->type, E508, format(in->k->c, "the default of `%s`", p->name));
    p->has_default = true; /* also where it is wrong: nothing else misses it */
    if (n && !take_literal(p, n)) report(in->k->c, E508, a->span, "the default of `%s` is no constant", p->name);
}

void declare_parameters(Instance *in)
{
    Checker *k = in->k;
    for (uint32_t n = 0; n < in->ast->params.n; n++) {
        const AstParam *a = &in->ast->params.at[n];
        Param *p = NEW(k->c, Param);
        *p = (Param){
            .name = a->name.name, .type = storage_type(a->type.type), .number = n, .span = a->name.span};
        if (a->value) take_default(in, p, a->value);
        take_definition(k, p);
        PUSH(k->c, &k->pattern->params, p);
        scope_add(
            k, &in->scope,
            (Symbol){.name = p->name, .kind = SYMBOL_NODE, .span = p->span, .node = node_param(k->c, p)});
    }
}

/* ---- indices of the signature ---- */

enum { DECLARED_MAX = 400 }; /* the rest of MAX_INDICES is for variants */

Index *declare_index(Instance *in, const char *name, Span span)
{
    Checker *k = in->k;
    if (k->c->next_index >= DECLARED_MAX) {
        if (!k->too_large)
            report(k->c, E118, span,
                   "`%s` has more than %d indices, those of the patterns that it calls included",
                   k->pattern->name, DECLARED_MAX);
        k->too_large = true;
        return k->info[0].self;
    }
    Index *index = index_new(k->c, name, span);
    k->info[index->id] = (IndexInfo){.self = index, .owner = in};
    if (!scope_add(k, &in->scope, (Symbol){.name = name, .kind = SYMBOL_INDEX, .span = span, .index = index}))
        return index;
    return index;
}

static void bound_index(Instance *in, Index *index)
{
    Checker *k = in->k;
    k->info[index->id].signature = true;
}

static void declare_ambient(Instance *in)
{
    const AstNames *names = &in->ast->ambient;
    for (uint32_t n = 0; n < names->n; n++) {
        Index *index = declare_index(in, names->at[n].name, names->at[n].span);
        index->ambient = true;
        index->heads = n + 1 == names->n;
        bound_index(in, index);
    }
}

static Index *dimension(Instance *in, AstName name)
{
    Symbol *s = scope_find(&in->scope, name.name);
    if (!s) {
        Index *index = declare_index(in, name.name, name.span);
        bound_index(in, index);
        return index;
    }
    if (s->kind == SYMBOL_INDEX) return s->index;
    Diag *d = report(in->k->c, E501, name.span, "`%s` is not an index", name.name);
    diag_note(in->k->c, d, s->span, "`%s` is defined here", name.name);
    return NULL;
}

/* Indices are made in the standard order: ambient ones, then those of inputs, outputs, captures. */
static void declare_dims(Instance *in, const AstTensors *tensors)
{
    for (uint32_t n = 0; n < tensors->n; n++)
        for (uint32_t d = 0; d < tensors->at[n]->dims.n; d++) dimension(in, tensors->at[n]->dims.at[d]);
}

/* ---- tensors ---- */

static bool names_ambient(const Instance *in, const AstTensor *a)
{
    for (uint32_t d = 0; d < a->dims.n; d++)
        for (uint32_t n = 0; n < in->ast->ambient.n; n++)
            if (in->ast->ambient.at[n].name == a->dims.at[d].name) return true;
    return false;
}

static void tensor_dims(Instance *in, Entity *t, const AstTensor *a)
{
    Compilation *c = in->k->c;
    t->dims = NEW_ARRAY(c, Index *, in->ast->ambient.n + a->dims.n + 1);
    if (t->role != ROLE_CAPTURE && !names_ambient(in, a))
        for (uint32_t n = 0; n < in->ast->ambient.n; n++) {
            Symbol *s = scope_find(&in->scope, in->ast->ambient.at[n].name);
            if (s && s->kind == SYMBOL_INDEX) t->dims[t->n_dims++] = s->index;
        }
    t->n_ambient = t->n_dims;
    for (uint32_t d = 0; d < a->dims.n; d++) {
        Index *index = dimension(in, a->dims.at[d]);
        if (!index || in->k->too_large) {
            t->poisoned = true;
            return;
        }
        for (unsigned m = 0; m < t->n_dims; m++)
            if (t->dims[m] == index) {
                report(c, E106, a->dims.at[d].span, "`%s` is twice a dimension of `%s`", index->name,
                       t->name);
                t->poisoned = true;
                return;
            }
        t->dims[t->n_dims++] = index;
    }
}

static Tensor *tensor_of(Instance *in, const Entity *t, const AstTensor *a)
{
    Checker *k = in->k;
    Tensor *made = NEW(k->c, Tensor);
    *made = (Tensor){.name = t->name,
                     .id = k->c->next_tensor++,
                     .role = t->role,
                     .storage = a->type.type,
                     .type = t->type,
                     .n_dims = t->n_dims,
                     .n_ambient = t->n_ambient,
                     .dims = t->dims,
                     .recurrence_axis = -1,
                     .span = t->span,
                     .number = k->pattern->tensors.n,
                     .data = t->type == TYPE_REAL};
    PUSH(k->c, &k->pattern->tensors, made);
    PUSH(k->c, &k->tensors, made);
    return made;
}

static void declare_tensor(Instance *in, const AstTensor *a, Role role)
{
    Checker *k = in->k;
    Entity *t = NEW(k->c, Entity);
    *t = (Entity){.name = a->name.name,
                  .span = a->name.span,
                  .owner = in,
                  .role = role,
                  .declared = a,
                  .written = true,
                  .type = storage_type(a->type.type),
                  .state = role == ROLE_OUTPUT ? ENTITY_PENDING : ENTITY_DONE};
    if (!scope_add(k, &in->scope,
                   (Symbol){.name = t->name, .kind = SYMBOL_ENTITY, .span = t->span, .entity = t}))
        return;
    tensor_dims(in, t, a);
    if (role == ROLE_OUTPUT) {
        PUSH(k->c, &in->entities, t);
        PUSH(k->c, &k->entities, t);
    }
    t->tensor = tensor_of(in, t, a);
}

void declare_signature(Instance *in)
{
    declare_ambient(in);
    declare_dims(in, &in->ast->inputs);
    declare_dims(in, &in->ast->outputs);
    declare_dims(in, &in->ast->captures);
    for (uint32_t n = 0; n < in->ast->inputs.n; n++) declare_tensor(in, in->ast->inputs.at[n], ROLE_INPUT);
    for (uint32_t n = 0; n < in->ast->captures.n; n++)
        declare_tensor(in, in->ast->captures.at[n], ROLE_CAPTURE);
    for (uint32_t n = 0; n < in->ast->outputs.n; n++)
        declare_tensor(in, in->ast->outputs.at[n], ROLE_OUTPUT);
}

/* Ranges of int inputs: after the indices are known. */
void declare_ranges(Instance *in)
{
    Env e = {.k = in->k, .scope = &in->scope};
    for (uint32_t n = 0; n < in->scope.symbols.n; n++) {
        if (in->scope.symbols.at[n].kind != SYMBOL_ENTITY) continue;
        Entity *t = in->scope.symbols.at[n].entity;
        if (!t->declared || !t->declared->type.lo || !t->tensor) continue;
        const char *what = format(in->k->c, "a bound of the range of `%s`", t->name);
        t->tensor->lo = elaborate_scalar(&e, t->declared->type.lo, TYPE_INT, E509, what);
        t->tensor->hi = elaborate_scalar(&e, t->declared->type.hi, TYPE_INT, E509, what);
        if (!t->tensor->hi) t->tensor->lo = NULL;
    }
}
