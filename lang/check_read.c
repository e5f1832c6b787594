/* Reads of tensors: bare, with named and with positional subscripts. */
#include "check.h"

#include <string.h>

/* kept of an equation at the given coordinates. */
static Node *kept_at(const Env *e, Entity *t, Node **at)
{
    Compilation *c = e->k->c;
    if (!t->kept) return NULL;
    if (!t->kept_tensor && node_substitutable(c, t->kept, t->n_dims, t->dims, at) &&
        !node_has_binder(c, t->kept))
        return node_substitute(c, t->kept, t->n_dims, t->dims, at);
    if (!t->kept_tensor)
        t->kept_tensor =
            aux_equation(e->k, format(c, "%s%s.kept", t->owner->prefix, t->name), t->kept, t->span);
    Node **own = NEW_ARRAY(c, Node *, t->kept_tensor->n_dims + 1);
    for (unsigned d = 0; d < t->kept_tensor->n_dims; d++)
        for (unsigned m = 0; m < t->n_dims; m++)
            if (t->dims[m] == t->kept_tensor->dims[d]) own[d] = at[m];
    return node_read(c, t->kept_tensor, own, false);
}

/* The condition that subscript d is in range; NULL where it is plain. */
static Node *inside_of(Checker *k, Entity *t, unsigned d, Node *at)
{
    Compilation *c = k->c;
    Node *size = node_size(c, t->dims[d]);
    Node *low = node_binary(c, N_LE, node_int(c, 0), at), *high = node_binary(c, N_LT, at, size);
    if (t->axis == t->dims[d]) return t->step > 0 ? high : low; /* states before the first step may be read */
    return node_binary(c, N_AND, low, high);
}

static Node *argument_at(const Env *e, Entity *t, Node **at)
{
    Compilation *c = e->k->c;
    if (!node_substitutable(c, t->argument, t->n_dims, t->from, at))
        BUG(c, "argument %s is no plain read", t->name);
    return node_substitute(c, t->argument, t->n_dims, t->from, at);
}

Value check_read_at(const Env *e, Entity *t, Node **at, const bool *given, const IndexSet *free, Span span)
{
    Checker *k = e->k;
    Compilation *c = k->c;
    Value v = {.free = free};
    if (t->argument) {
        v.node = argument_at(e, t, at);
    } else {
        v.node = NULL;
        for (unsigned d = 0; d < t->n_dims && !v.node; d++)
            if (t->axis && t->dims[d] == t->axis && given[d]) v = read_recurrent(e, t, at, d), v.free = free;
        if (!v.node) v.node = node_read(c, t->tensor, at, false);
        if (t->poisoned) return value_none();
    }
    v.kept = kept_at(e, t, at);
    for (unsigned d = 0; e->pad && d < t->n_dims; d++)
        if (given[d]) v.inside = both(k, v.inside, inside_of(k, t, d, at[d]));
    (void)span;
    return v;
}

/* An equation that is needed before its turn (by an origin, or inside its own cycle). */
static bool ready(const Env *e, Entity *t, Span span)
{
    if (t->tensor || t->argument) return true;
    if (t->poisoned) return false;
    if (t->state == ENTITY_ACTIVE) {
        fail(e, NULL, E301, span, "`%s` needs itself here", t->name);
        t->poisoned = true;
        return false;
    }
    entity_elaborate(t);
    return t->tensor != NULL;
}

Value read_bare(const Env *e, Entity *t, Span span)
{
    if (!ready(e, t, span)) return value_none();
    Compilation *c = e->k->c;
    Node **at = NEW_ARRAY(c, Node *, t->n_dims + 1);
    bool *given = NEW_ARRAY(c, bool, t->n_dims + 1);
    const IndexSet *free = set_empty(c);
    for (unsigned d = 0; d < t->n_dims; d++) {
        at[d] = coordinate(e, t->dims[d]);
        free = set_union(c, free, at[d]->free);
    }
    return check_read_at(e, t, at, given, free, span);
}

static const char *dims_text(Compilation *c, const Entity *t)
{
    Text text = {.c = c};
    for (unsigned d = t->n_ambient; d < t->n_dims; d++)
        text_add(&text, "%s%s", d > t->n_ambient ? ", " : "", t->dims[d]->name);
    return text.n ? text.at : "";
}

static Value subscript_value(const Env *e, const Ast *a)
{
    Env inner = *e; /* a read inside a subscript is a read like any other */
    return value_convert(e, elaborate(&inner, a), TYPE_INT, a->span, "a subscript");
}

/* The index that a named subscript means: one of the scope, else a dimension of the tensor. */
static Index *named_index(const Env *e, Entity *t, const Ast *arg)
{
    Symbol *s = scope_find(e->scope, arg->name);
    if (s && s->kind == SYMBOL_INDEX) return s->index;
    for (unsigned d = 0; d < t->n_dims; d++)
        if (t->dims[d]->name == arg->name) return t->dims[d];
    return find_index(e, arg->name, arg->name_span);
}

static bool concerns(const Checker *k, const Entity *t, const Index *index)
{
    for (unsigned d = 0; d < t->n_dims; d++)
        if (t->dims[d] == index || is_axis(k, index, t->dims[d]) || is_axis(k, t->dims[d], index))
            return true;
    return false;
}

/* In a called pattern an argument may lack an ambient index, and so may what is made of it: it is the same all along
 * it, wherever it is read. */
static bool is_absent_ambient(const Entity *t, const char *name)
{
    const AstPattern *callee = t->owner->ast;
    if (!t->owner->caller) return false;
    for (uint32_t n = 0; n < callee->ambient.n; n++)
        if (callee->ambient.at[n].name == name) return true;
    return false;
}

static bool literal_position(const Ast *a)
{
    return a->kind == AST_INTEGER ||
           (a->kind == AST_UNARY && a->op == OP_NEG && a->operands[0]->kind == AST_INTEGER);
}

static bool check_literal(const Env *e, const Entity *t, const Index *index, const Ast *a)
{
    if (index != t->axis || !index->origin || !literal_position(a)) return true;
    Diag *d;
    fail(e, &d, E307, a->span, "`%s` has an origin, so a literal is no step of `%s`", index->name, t->name);
    diag_hint(e->k->c, d, "the state before the first step is `%s[first(%s) - 1]`", t->name, index->name);
    return false;
}

static Value read_named(const Env *e, const Ast *a, Entity *t)
{
    Checker *k = e->k;
    Compilation *c = k->c;
    Env named = *e;
    bool failed = false;
    const IndexSet *free = set_empty(c);
    Node *inside = NULL;
    for (uint32_t n = 0; n < a->n; n++) {
        const Ast *arg = a->operands[n], *value = arg->operands[0];
        Index *index = named_index(e, t, arg);
        Value v = subscript_value(e, value);
        if (index && v.node && !concerns(k, t, index) && is_absent_ambient(t, arg->name)) continue;
        if (index && !concerns(k, t, index)) {
            Diag *d;
            fail(e, &d, E111, arg->name_span, "`%s` has no index `%s`", t->name, arg->name);
            diag_hint(c, d, "it is %s[%s]", t->name, dims_text(c, t));
            index = NULL;
        }
        for (uint32_t m = 0; m < n && index; m++)
            if (a->operands[m]->name == arg->name) {
                fail(e, NULL, E106, arg->name_span, "`%s` is given twice", arg->name);
                index = NULL;
            }
        failed |= !index || !v.node || !check_literal(e, t, index, value);
        if (!index || !v.node) continue;
        named.map = map_push(k, named.map, index, from_position(e, index, value_node(k, v)));
        free = set_union(c, free, set_union(c, v.free, v.node->free));
        inside = both(k, inside, v.inside);
    }
    if (failed) return value_none();
    Node **at = NEW_ARRAY(c, Node *, t->n_dims + 1);
    bool *given = NEW_ARRAY(c, bool, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) {
        at[d] = coordinate(&named, t->dims[d]);
        given[d] = at[d] != coordinate(e, t->dims[d]);
        free = set_union(c, free, at[d]->free);
        if (given[d] && at[d] == node_index(c, t->dims[d])) given[d] = false;
    }
    Value v = check_read_at(e, t, at, given, free, a->span);
    v.inside = both(k, inside, v.inside);
    return v;
}

static Value no_order(const Env *e, const Ast *a, Entity *t)
{
    Diag *d;
    Value none = fail(e, &d, E109, a->span,
                      "`%s` takes named subscripts: its left side was not written out in full", t->name);
    if (t->n_dims)
        diag_hint(e->k->c, d, "write `%s[%s = ...]`, or `%s[%s] = ...` where it is defined", t->name,
                  t->dims[t->n_dims - 1]->name, t->name, dims_text(e->k->c, t));
    return none;
}

static Value read_positional(const Env *e, const Ast *a, Entity *t)
{
    Checker *k = e->k;
    Compilation *c = k->c;
    unsigned explicit_dims = t->n_dims - t->n_ambient, first = t->n_ambient, n = a->n;
    bool one = t->single && n == 1 && explicit_dims != 1;
    if (!t->written && !one && !(t->single && n == 1)) return no_order(e, a, t);
    if (!one && n != explicit_dims) {
        Diag *d;
        Value none = fail(e, &d, E110, a->span, "`%s` has %u %s%s, and is given %u subscript%s here", t->name,
                          explicit_dims, explicit_dims == 1 ? "index" : "indices",
                          t->n_ambient ? " besides the ambient ones" : "", n, n == 1 ? "" : "s");
        diag_hint(c, d, "it is %s[%s]; to change only some: `%s[%s = ...]`", t->name, dims_text(c, t),
                  t->name, t->n_dims ? t->dims[t->n_dims - 1]->name : "i");
        return none;
    }
    Node **at = NEW_ARRAY(c, Node *, t->n_dims + 1);
    bool *given = NEW_ARRAY(c, bool, t->n_dims + 1);
    const IndexSet *free = set_empty(c);
    Node *inside = NULL;
    bool failed = false;
    for (unsigned d = 0; d < t->n_dims; d++) {
        bool subscripted = one ? t->dims[d] == t->axis : d >= first;
        if (!subscripted) {
            at[d] = coordinate(e, t->dims[d]);
            free = set_union(c, free, at[d]->free);
            continue;
        }
        const Ast *s = a->operands[one ? 0 : d - first];
        Value v = subscript_value(e, s);
        failed |= !v.node || !check_literal(e, t, t->dims[d], s);
        if (!v.node) continue;
        at[d] = from_position(e, t->dims[d], value_node(k, v));
        given[d] = at[d] != node_index(c, t->dims[d]);
        free = set_union(c, free, set_union(c, v.free, at[d]->free));
        inside = both(k, inside, v.inside);
    }
    if (failed) return value_none();
    Value v = check_read_at(e, t, at, given, free, a->span);
    v.inside = both(k, inside, v.inside);
    return v;
}

static Value not_a_tensor(const Env *e, const Ast *a)
{
    Diag *d;
    Symbol *s = scope_find(e->scope, a->name);
    if (!s) {
        Value none = fail(e, &d, E101, a->name_span, "unknown name `%s`", a->name);
        hint_name(e->k, d, e->scope, a->name, false);
        return none;
    }
    Value none = fail(e, &d, E112, a->span, "`%s` is no tensor or equation and takes no subscripts", a->name);
    if (s->kind == SYMBOL_CLOSURE)
        diag_hint(
            e->k->c, d,
            "an argument of a function may be subscripted where a named tensor is passed for it: give the "
            "expression a name of its own");
    return none;
}

Value elaborate_subscript(const Env *e, const Ast *a)
{
    Entity *t = find_entity(e->scope, a->name);
    if (!t) return not_a_tensor(e, a);
    if (!ready(e, t, a->name_span)) return value_none();
    return ast_is_named(a) ? read_named(e, a, t) : read_positional(e, a, t);
}
