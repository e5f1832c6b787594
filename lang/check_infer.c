/* Free indices and types of the equations of a cycle, before they are elaborated: the least solution, found
 * by iteration over the syntax. Tolerant: mistakes are reported when the equations are elaborated. */
#include "check.h"

#include <string.h>

enum { UNKNOWN = -1 };

static Inferred infer(const Env *e, const Ast *a);

static Inferred nothing(Checker *k) { return (Inferred){set_empty(k->c), UNKNOWN}; }

static int join_types(int a, int b)
{
    if (a == UNKNOWN || a == b) return b;
    if (b == UNKNOWN) return a;
    return a == TYPE_BOOL || b == TYPE_BOOL ? a : TYPE_REAL;
}

static Inferred join(Checker *k, Inferred a, Inferred b)
{
    return (Inferred){set_union(k->c, a.free, b.free), join_types(a.type, b.type)};
}

static Inferred of_entity(Checker *k, Entity *t)
{
    if (t->component && !t->tensor)
        return (Inferred){t->inferred ? t->inferred : set_empty(k->c), t->inferred_type};
    Inferred x = {set_empty(k->c), (int)t->type};
    for (unsigned d = 0; d < t->n_dims; d++) x.free = set_union(k->c, x.free, set_one(k->c, t->dims[d]));
    return x;
}

static Inferred of_closure(const Env *e, Closure *closure)
{
    Checker *k = e->k;
    if (closure->inferred) return closure->result;
    if (closure->active) return nothing(k);
    closure->active = true;
    Env inner = *e;
    inner.scope = closure->scope;
    closure->result = infer(&inner, closure->ast);
    closure->inferred = true;
    closure->active = false;
    return closure->result;
}

static Inferred of_name(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    Symbol *s = scope_find(e->scope, a->name);
    if (!s)
        return (Inferred){set_empty(k->c),
                          !strcmp(a->name, "pi") || !strcmp(a->name, "inf") ? (int)TYPE_REAL : UNKNOWN};
    switch (s->kind) {
    case SYMBOL_INDEX: {
        const IndexSet *free = set_one(k->c, s->index);
        if (s->index->origin) free = set_union(k->c, free, s->index->origin->free);
        return (Inferred){free, TYPE_INT};
    }
    case SYMBOL_NODE: return (Inferred){set_empty(k->c), s->node ? (int)s->node->type : UNKNOWN};
    case SYMBOL_ENTITY: return of_entity(k, s->entity);
    default: return of_closure(e, s->closure);
    }
}

static const IndexSet *hide_index(Checker *k, const IndexSet *free, const Index *index)
{
    free = set_without(k->c, free, index);
    for (unsigned id = 0; id < k->c->next_index; id++) {
        if (!set_has(free, id) || !k->info[id].self) continue;
        Index *other = k->info[id].self;
        if (is_axis(k, other, index)) free = set_without(k->c, free, other);
        if (!is_axis(k, index, other)) continue;
        free = set_without(k->c, free, other); /* the flattened one is read at its axes */
        for (uint32_t p = 0; p < k->info[id].parts.n; p++)
            if (k->info[id].parts.at[p] != index)
                free = set_union(k->c, free, set_one(k->c, k->info[id].parts.at[p]));
    }
    return free;
}

static Inferred of_subscript(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    Entity *t = find_entity(e->scope, a->name);
    if (!t) return nothing(k);
    Inferred x = of_entity(k, t);
    bool named = ast_is_named(a);
    for (uint32_t n = 0; named && n < a->n; n++) {
        Symbol *s = scope_find(e->scope, a->operands[n]->name);
        if (s && s->kind == SYMBOL_INDEX) x.free = hide_index(k, x.free, s->index);
    }
    bool one = !named && t->single && t->axis && a->n == 1;
    if (one) x.free = set_without(k->c, x.free, t->axis);
    for (unsigned d = t->n_ambient; !named && !one && d < t->n_dims; d++)
        x.free = set_without(k->c, x.free, t->dims[d]);
    for (uint32_t n = 0; n < a->n; n++)
        x.free = set_union(k->c, x.free, infer(e, ast_arg(a, n).value).free);
    return x;
}

static Inferred of_function(const Env *e, const Ast *a, const Global *g)
{
    Checker *k = e->k;
    const AstFunction *f = g->function;
    Scope *s = NEW(k->c, Scope);
    *s = (Scope){.file = g->home, .function = f->name.name, .inlined = f, .caller = e->scope};
    if (calls_itself(e->scope, f)) return nothing(k);
    for (uint32_t n = 0; n < f->args.n; n++) {
        const Ast *value = argument_for(f, a, n).value;
        if (!value) return nothing(k);
        const Symbol *index = f->args.at[n].is_index && value->kind == AST_NAME ? scope_find(e->scope, value->name) : NULL;
        Symbol made = {.name = f->args.at[n].name.name, .kind = SYMBOL_CLOSURE};
        if (index && index->kind == SYMBOL_INDEX) {
            made.kind = SYMBOL_INDEX;
            made.index = index->index;
        } else made.closure = closure_new(k, value, e->scope);
        PUSH(k->c, &s->symbols, made);
    }
    for (uint32_t n = 0; n < f->locals.n; n++)
        PUSH(k->c, &s->symbols, (Symbol){.name = f->locals.at[n].name.name, .kind = SYMBOL_CLOSURE,
                                         .closure = closure_new(k, f->locals.at[n].value, s)});
    Env inner = *e;
    inner.scope = s;
    return infer(&inner, f->body);
}

static int function_type(const char *name, int args)
{
    static const char *const ints[] = {"int", "size", "first", "last", "popcount"};
    static const char *const same[] = {"min",  "max",   "clamp", "abs",  "sign", "floor",
                                       "ceil", "round", "relu",  "stop", "pad"};
    for (size_t n = 0; n < sizeof ints / sizeof *ints; n++)
        if (!strcmp(name, ints[n])) return TYPE_INT;
    for (size_t n = 0; n < sizeof same / sizeof *same; n++)
        if (!strcmp(name, same[n])) return args;
    return TYPE_REAL;
}

static Inferred of_call(const Env *e, const Ast *a, const AstName *member)
{
    Checker *k = e->k;
    Symbol *s = scope_find(e->scope, a->name);
    Inferred x = nothing(k);
    Global *g = s && s->kind == SYMBOL_INDEX ? NULL : global_find(e->scope->file, a->name);
    if (g && g->function) return of_function(e, a, g);
    if (g) return infer_pattern_call(e, a, g, member);
    bool of_index = !strcmp(a->name, "size") || !strcmp(a->name, "first") || !strcmp(a->name, "last");
    for (uint32_t n = 0; n < a->n && !of_index; n++) x = join(k, x, infer(e, ast_arg(a, n).value));
    x.type = s && s->kind == SYMBOL_INDEX ? (int)TYPE_INT : function_type(a->name, x.type);
    return x;
}

static int bracket_type(const char *name, int body)
{
    if (!strcmp(name, "any") || !strcmp(name, "all") || !strcmp(name, "topk") || !strcmp(name, "topp"))
        return TYPE_BOOL;
    if (!strncmp(name, "arg", 3) || !strcmp(name, "rank") || !strcmp(name, "top_index") ||
        !strcmp(name, "positions"))
        return TYPE_INT;
    static const char *const same[] = {"sum", "prod", "max", "min", "cumsum", "cummax", "join"};
    for (size_t n = 0; n < sizeof same / sizeof *same; n++)
        if (!strcmp(name, same[n])) return body;
    return TYPE_REAL;
}

static bool reduces(const char *name)
{
    static const char *const names[] = {"sum", "prod",   "max",    "min",       "mean",      "any",
                                        "all", "argmax", "argmin", "logsumexp", "top_index", "positions"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        if (!strcmp(name, names[n])) return true;
    return false;
}

static Index *index_named(const Env *e, const char *name)
{
    Symbol *s = name ? scope_find(e->scope, name) : NULL;
    return s && s->kind == SYMBOL_INDEX ? s->index : NULL;
}

static Inferred of_join(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    AstBinders binders = ast_binders(a);
    Index *whole = binders.n ? index_named(e, binders.at[0].name) : NULL;
    Inferred x = nothing(k);
    for (uint32_t n = 0; n < ast_n_args(a); n++) {
        Inferred part = infer(e, ast_arg(a, n).value);
        if (whole && n < k->info[whole->id].parts.n)
            part.free = hide_index(k, part.free, k->info[whole->id].parts.at[n]);
        x = join(k, x, part);
    }
    if (whole) x.free = set_union(k->c, x.free, set_one(k->c, whole));
    return x;
}

static Inferred of_bracket(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    if (!strcmp(a->name, "join")) return of_join(e, a);
    Inferred x = ast_n_args(a) ? infer(e, ast_arg(a, 0).value) : nothing(k);
    int type = bracket_type(a->name, x.type);
    if (ast_where(a)) x = join(k, x, infer(e, ast_where(a)));
    AstBinders binders = ast_binders(a);
    bool keeps = !reduces(a->name);
    for (uint32_t n = 0; n < binders.n; n++) {
        Index *index = index_named(e, binders.at[n].name), *block = index_named(e, binders.at[n].block);
        if (!index) continue;
        x.free = hide_index(k, x.free, index);
        if (block)
            x.free = keeps ? set_without(k->c, x.free, block) : set_union(k->c, x.free, set_one(k->c, block));
        Index *to = index_named(e, binders.at[n].to);
        if (keeps) x.free = set_union(k->c, x.free, set_one(k->c, index));
        if (to) x.free = set_union(k->c, x.free, set_one(k->c, to));
    }
    bool list = !strcmp(a->name, "top_index") || !strcmp(a->name, "positions");
    for (uint32_t n = 1; n < ast_n_args(a) && !list; n++)
        x.free = set_union(k->c, x.free, infer(e, ast_arg(a, n).value).free);
    x.type = type;
    return x;
}

static Inferred of_binary(const Env *e, const Ast *a)
{
    Inferred x = join(e->k, infer(e, a->operands[0]), infer(e, a->operands[1]));
    if (a->op == OP_AND || a->op == OP_OR) x.type = TYPE_BOOL;
    if (a->op == OP_DIV) x.type = TYPE_REAL;
    if (a->op == OP_POW && a->operands[1]->kind != AST_INTEGER) x.type = TYPE_REAL;
    return x;
}

static Inferred infer(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    Inferred x = nothing(k);
    if (k->work > 300000) return x;
    k->work++;
    switch (a->kind) {
    case AST_INTEGER: x.type = TYPE_INT; return x;
    case AST_REAL: x.type = TYPE_REAL; return x;
    case AST_BOOLEAN: x.type = TYPE_BOOL; return x;
    case AST_NAME: return of_name(e, a);
    case AST_SUBSCRIPT: return of_subscript(e, a);
    case AST_CALL: return of_call(e, a, NULL);
    case AST_BRACKET: return of_bracket(e, a);
    case AST_UNARY: return infer(e, a->operands[0]);
    case AST_BINARY: return of_binary(e, a);
    case AST_MEMBER:
        if (a->operands[0]->kind != AST_CALL) return x;
        return of_call(e, a->operands[0], &(AstName){a->name, a->name_span});
    case AST_COMPARE:
        for (uint32_t n = 0; n < a->n; n++) x = join(k, x, infer(e, a->operands[n]));
        x.type = TYPE_BOOL;
        return x;
    case AST_IF: {
        Inferred test = infer(e, a->operands[0]);
        x = join(k, infer(e, a->operands[1]), infer(e, a->operands[2]));
        x.free = set_union(k->c, x.free, test.free);
        return x;
    }
    default: return x;
    }
}

Inferred infer_expression(const Env *e, const Ast *a) { return infer(e, a); }

/* ---- the least solution ---- */

/* Free indices under the left side of t: axes of a flattened index of it are that index, and the reverse. */
static const IndexSet *under_left_side(Entity *t, const IndexSet *free)
{
    Checker *k = t->owner->k;
    unsigned n = t->n_dims + (t->single && t->n_dims == 0);
    for (unsigned d = 0; d < n; d++) {
        Index *dim = t->n_dims ? t->dims[d] : t->axis;
        for (unsigned id = 0; id < k->c->next_index; id++) {
            Index *other = set_has(free, id) ? k->info[id].self : NULL;
            if (!other || (!is_axis(k, other, dim) && !is_axis(k, dim, other))) continue;
            free = set_union(k->c, set_without(k->c, free, other), set_one(k->c, dim));
            for (uint32_t p = 0; p < k->info[id].parts.n && is_axis(k, dim, other); p++)
                free = set_union(k->c, free, set_one(k->c, k->info[id].parts.at[p]));
        }
    }
    return free;
}

static bool grow(Entity *t)
{
    Checker *k = t->owner->k;
    Env e = {.k = k, .scope = &t->owner->scope};
    Inferred x = {t->inferred, t->inferred_type};
    x = join(k, x, infer(&e, t->equation->value));
    for (uint32_t n = 0; n < t->initials.n; n++)
        x = join(k, x, infer(&e, t->initials.at[n].statement->value));
    x.free = under_left_side(t, x.free);
    if (t->single) x.free = set_union(k->c, x.free, set_one(k->c, t->axis));
    bool changed = x.free != t->inferred || x.type != t->inferred_type;
    t->inferred = x.free;
    t->inferred_type = x.type;
    return changed;
}

static void start(Entity *t)
{
    Checker *k = t->owner->k;
    t->inferred = set_empty(k->c);
    t->inferred_type = UNKNOWN;
    for (unsigned d = 0; d < t->n_dims; d++)
        t->inferred = set_union(k->c, t->inferred, set_one(k->c, t->dims[d]));
    bool typed = t->equation->type.span.to || t->declared;
    if (typed)
        t->inferred_type =
            (int)storage_type(t->equation->type.span.to ? t->equation->type.type : t->declared->type.type);
}

/* Dimensions of a member from what was found; outputs and full left sides keep theirs. */
static void settle(Entity *t)
{
    Checker *k = t->owner->k;
    bool typed = t->equation->type.span.to || t->declared;
    if (!typed) t->type = t->inferred_type == UNKNOWN ? TYPE_REAL : (Type)t->inferred_type;
    else t->type = storage_type(t->equation->type.span.to ? t->equation->type.type : t->declared->type.type);
    if (t->role == ROLE_OUTPUT && !t->owner->caller) return;
    if (t->written) {
        entity_prepend_ambient(t, t->inferred);
        return;
    }
    Env e = {.k = k, .scope = &t->owner->scope};
    entity_mixes(&e, t, t->inferred);
    t->n_dims = set_list(k, t->inferred, &t->dims);
    count_ambient(t);
}

void infer_component(Checker *k, unsigned n, Entity **members)
{
    (void)k;
    for (unsigned m = 0; m < n; m++) start(members[m]);
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned m = 0; m < n; m++) changed |= grow(members[m]);
    }
    for (unsigned m = 0; m < n; m++) settle(members[m]);
}
