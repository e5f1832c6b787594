/* Equations: which indices they are over, their tensors, auxiliary equations. */
#include "check.h"

#include <string.h>

unsigned set_list(Checker *k, const IndexSet *s, Index ***list)
{
    unsigned n = 0;
    Index **at = NEW_ARRAY(k->c, Index *, k->c->next_index + 1);
    for (unsigned id = 0; id < k->c->next_index; id++)
        if (set_has(s, id)) at[n++] = index_by_id(k, id);
    *list = at;
    return n;
}

static const char *interned(Checker *k, const char *name) { return intern(k->c, name, strlen(name)); }

static bool name_taken(Checker *k, const char *name)
{
    for (; k->n_named < k->tensors.n; k->n_named++)
        names_put(k->c, &k->tensor_names, interned(k, k->tensors.at[k->n_named]->name), k->n_named);
    int64_t number = names_get(&k->tensor_names, interned(k, name));
    return number != NO_NUMBER && !strcmp(k->tensors.at[number]->name, name); /* else it has another by now */
}

static const char *unique_name(Checker *k, const char *name)
{
    if (!name_taken(k, name)) return name;
    for (unsigned n = 2;; n++) {
        const char *numbered = format(k->c, "%s%u", name, n);
        if (!name_taken(k, numbered)) return numbered;
    }
}

static void rename_tensor(Checker *k, Tensor *t, const char *name)
{
    const char *unique = unique_name(k, name);
    int64_t number = names_get(&k->tensor_names, interned(k, t->name));
    names_put(k->c, &k->tensor_names, interned(k, unique), (uint32_t)number);
    t->name = unique;
}

static void set_dims(Checker *k, Tensor *t, unsigned n_dims, Index **dims)
{
    t->n_dims = n_dims;
    t->dims = NEW_ARRAY(k->c, Index *, n_dims + 1);
    for (unsigned d = 0; d < n_dims; d++) t->dims[d] = dims[d];
    t->n_ambient = 0;
    while (t->n_ambient < n_dims && dims[t->n_ambient]->ambient) t->n_ambient++;
}

Tensor *equation_new(Checker *k, const char *name, unsigned n_dims, Index **dims, Type type, Span span)
{
    Tensor *t = NEW(k->c, Tensor);
    t->name = unique_name(k, name);
    t->id = k->c->next_tensor++;
    t->role = ROLE_EQUATION;
    t->type = type;
    t->storage = type == TYPE_REAL ? STORAGE_FLOAT : type == TYPE_INT ? STORAGE_INT : STORAGE_BOOL;
    t->recurrence_axis = -1;
    t->span = span;
    set_dims(k, t, n_dims, dims);
    PUSH(k->c, &k->tensors, t);
    return t;
}

Tensor *aux_equation(Checker *k, const char *suffix, Node *node, Span span)
{
    for (uint32_t n = 0; n < k->aux.n; n++)
        if (k->aux.at[n].node == node) return k->aux.at[n].tensor;
    Index **dims;
    unsigned n_dims = set_list(k, node->free, &dims);
    bool whole = strchr(suffix, '.') != NULL;
    const char *name = whole ? suffix : format(k->c, "%s.%s", k->equation ? k->equation : "", suffix);
    Tensor *t = equation_new(k, name, n_dims, dims, node->type, span);
    t->body = node;
    t->data = node->data;
    PUSH(k->c, &k->aux, (Aux){node, t});
    return t;
}

/* ---- left sides ---- */

static Type declared_type(const Entity *t, const AstType **said)
{
    const AstType *own = t->equation && t->equation->type.span.to ? &t->equation->type : NULL;
    *said = own ? own : t->declared ? &t->declared->type : NULL;
    return *said ? storage_type((*said)->type) : TYPE_REAL;
}

static bool is_over(const Entity *t, const Index *index)
{
    for (unsigned d = 0; d < t->n_dims; d++)
        if (t->dims[d] == index) return true;
    return false;
}

/* Is `index` bound, or given another place, by the brackets of this expression? */
static bool takes_away(const Ast *a, const Index *index)
{
    AstBinders binders = ast_binders(a);
    for (uint32_t n = 0; n < binders.n; n++)
        if (!strcmp(binders.at[n].name, index->name)) return true;
    if (a->kind != AST_SUBSCRIPT || !ast_is_named(a)) return a->kind == AST_SUBSCRIPT;
    for (uint32_t n = 0; n < a->n; n++)
        if (!strcmp(a->operands[n]->name, index->name)) return true;
    return false;
}

/* The first name in the text that depends on `index`, or NULL. */
static const Ast *bringing(Scope *s, const Ast *a, const Index *index)
{
    if (!a) return NULL;
    bool name = a->kind == AST_NAME || a->kind == AST_SUBSCRIPT, away = takes_away(a, index);
    Symbol *symbol = name && !away ? scope_find(s, a->name) : NULL;
    if (symbol && symbol->kind == SYMBOL_INDEX && symbol->index == index) return a;
    if (symbol && symbol->kind == SYMBOL_ENTITY && is_over(symbol->entity, index)) return a;
    if (away && a->kind != AST_SUBSCRIPT) return NULL;
    const Ast *found = NULL;
    for (uint32_t n = 0; n < a->n && !found; n++) found = bringing(s, a->operands[n], index);
    return found;
}

/* What both sides are over, and what in the text brings in the index that one of them lacks. */
static void note_sides(const Env *e, Diag *d, const Entity *t, const IndexSet *free, const Index *index)
{
    Compilation *c = e->k->c;
    Index **list;
    unsigned n = set_list(e->k, free, &list);
    Text right = {.c = c}, left = {.c = c};
    text_add(&left, "%s", "");
    for (unsigned k = 0; k < n; k++) text_add(&right, "%s%s", k ? ", " : "", list[k]->name);
    for (unsigned k = 0; k < t->n_dims; k++) text_add(&left, "%s%s", k ? ", " : "", t->dims[k]->name);
    diag_note(c, d, (Span){0}, "the right side is over [%s], `%s` over [%s]", right.at, t->name, left.at);
    const Ast *from = bringing(e->scope, t->equation->value, index);
    if (from) diag_note(c, d, from->name_span, "`%s` brings in `%s`", from->name, index->name);
}

/* A right side that depends on what the left side lacks. */
void entity_covers(const Env *e, Entity *t, const IndexSet *free)
{
    for (unsigned id = 0; id < e->k->c->next_index; id++) {
        if (!set_has(free, id)) continue;
        bool there = false;
        for (unsigned d = 0; d < t->n_dims; d++) there |= t->dims[d]->id == id;
        if (there) continue;
        const char *name = index_by_id(e->k, id)->name;
        Diag *d;
        fail(e, &d, E107, t->equation->value->span,
             "the right side of `%s` depends on `%s`, which `%s` does not have", t->name, name, t->name);
        note_sides(e, d, t, free, index_by_id(e->k, id));
        diag_hint(e->k->c, d, "reduce over it (`sum[%s](...)`), or add it to the left side%s", name,
                  t->declared ? " in the signature" : "");
        t->poisoned = true;
        return;
    }
}

bool entity_mixes(const Env *e, Entity *t, const IndexSet *free)
{
    Checker *k = e->k;
    for (unsigned a = 0; a < k->c->next_index; a++)
        for (unsigned b = 0; b < k->c->next_index; b++) {
            if (!set_has(free, a) || !set_has(free, b) || !is_axis(k, index_by_id(k, a), index_by_id(k, b)))
                continue;
            const char *axis = index_by_id(k, a)->name, *flat = index_by_id(k, b)->name;
            Diag *d;
            fail(e, &d, E108, t->equation->value->span, "`%s` mixes `%s` with `%s`, which runs through it",
                 t->name, axis, flat);
            diag_hint(k->c, d,
                      "write the left side out in full, with `%s` or with its axes: `%s[%s, ...] = ...`",
                      flat, t->name, flat);
            t->poisoned = true;
            return true;
        }
    return false;
}

/* Ambient, or an index of a caller. */
static bool is_ambient_in(const Instance *in, const Index *index)
{
    return index->ambient || in->k->info[index->id].owner != in;
}

void count_ambient(Entity *t)
{
    t->n_ambient = 0;
    while (t->n_ambient < t->n_dims && is_ambient_in(t->owner, t->dims[t->n_ambient])) t->n_ambient++;
}

/* Written-out dims get the ambient indices that the right side needs in front. */
void entity_prepend_ambient(Entity *t, const IndexSet *free)
{
    Checker *k = t->owner->k;
    Index **dims = NEW_ARRAY(k->c, Index *, k->c->next_index + t->n_dims + 1);
    unsigned n = 0;
    for (unsigned id = 0; id < k->c->next_index; id++) {
        bool listed = false;
        for (unsigned d = 0; d < t->n_dims; d++) listed |= t->dims[d]->id == id;
        if (!listed && set_has(free, id) && is_ambient_in(t->owner, index_by_id(k, id)))
            dims[n++] = index_by_id(k, id);
    }
    t->n_ambient = n;
    for (unsigned d = 0; d < t->n_dims; d++) dims[n++] = t->dims[d];
    t->dims = dims;
    t->n_dims = n;
}

static void finish_dims(const Env *e, Entity *t, const IndexSet *free)
{
    if (t->role == ROLE_OUTPUT && !t->owner->caller) {
        entity_covers(e, t, free);
    } else if (t->written) {
        entity_prepend_ambient(t, free);
        entity_covers(e, t, free);
    } else if (!entity_mixes(e, t, free)) {
        if (t->single) free = set_union(e->k->c, free, set_one(e->k->c, t->axis));
        t->n_dims = set_list(e->k, free, &t->dims);
        count_ambient(t);
    }
}

/* ---- right sides ---- */

void entity_tensor(Entity *t, unsigned n_dims, Index **dims, Type type, bool data)
{
    Checker *k = t->owner->k;
    if (!t->tensor)
        t->tensor =
            equation_new(k, format(k->c, "%s%s", t->owner->prefix, t->name), n_dims, dims, type, t->span);
    else set_dims(k, t->tensor, n_dims, dims); /* an output of the root */
    t->type = t->tensor->type;
    t->tensor->data = data;
    t->tensor->doc = t->equation ? t->equation->doc : NULL;
}

static Node *range_bound(const Env *e, const char *name, const Ast *a)
{
    Value v = value_convert(e, elaborate(e, a), TYPE_INT, a->span, format(e->k->c, "a bound of the range of `%s`", name));
    return v.node ? value_node(e->k, v) : NULL;
}

Node *entity_check(const Env *e, Entity *t, Node *n)
{
    const AstType *type = t->equation ? &t->equation->type : NULL;
    if (!type || !type->lo || !n) return n;
    Checker *k = e->k;
    Node *lo = range_bound(e, t->name, type->lo), *hi = range_bound(e, t->name, type->hi);
    if (!lo || !hi) return NULL;
    const Source *s = &k->c->sources.at[type->span.source];
    const char *text = format(k->c, "%s%s: %.*s", t->owner->prefix, t->name,
                              (int)(type->hi->span.to - type->span.from), s->text + type->span.from);
    if (!t->check) {
        PUSH(k->c, &k->pattern->checks, (RunCheck){text, type->span});
        t->check = k->pattern->checks.n;
    }
    if (t->tensor && lo->free == set_empty(k->c) && hi->free == set_empty(k->c)) {
        t->tensor->lo = lo;
        t->tensor->hi = hi;
    }
    return node_check(k->c, n, lo, hi, t->check - 1);
}

Value entity_right_side(const Env *e, Entity *t, const Ast *a)
{
    Checker *k = e->k;
    const char *outer = k->equation;
    k->equation = format(k->c, "%s%s", t->owner->prefix, t->name);
    Value v = elaborate(e, a);
    if (v.node && v.node->type == TYPE_BOOL) note_condition(e, a, v.node);
    k->equation = outer;
    const AstType *said;
    Type type = declared_type(t, &said);
    if (!v.node || !said) return v;
    const char *what = format(k->c, "the right side of `%s`", t->name);
    return value_convert(e, v, type, a->span, what);
}

/* Takes over an auxiliary equation that is the whole right side. */
static bool adopt(Entity *t, Node *n)
{
    Checker *k = t->owner->k;
    if (t->tensor || n->op != N_READ || n->tensor->n_dims != t->n_dims || n->type != n->tensor->type)
        return false;
    for (unsigned d = 0; d < t->n_dims; d++)
        if (n->tensor->dims[d] != t->dims[d] || n->args[d] != node_index(k->c, t->dims[d])) return false;
    for (uint32_t m = 0; m < k->aux.n; m++) {
        if (k->aux.at[m].tensor != n->tensor) continue;
        const char *name = format(k->c, "%s%s", t->owner->prefix, t->name);
        if (strncmp(n->tensor->name, name, strlen(name)) || n->tensor->span.from < t->span.from) return false;
        rename_tensor(k, n->tensor, name);
        n->tensor->span = t->span;
        t->tensor = n->tensor;
        t->type = t->tensor->type;
        t->tensor->doc = t->equation->doc;
        return true;
    }
    return false;
}

Map *left_map(Entity *t)
{
    Checker *k = t->owner->k;
    Map *map = NULL;
    for (unsigned d = 0; d < t->n_dims && (t->written || t->role == ROLE_OUTPUT); d++)
        map = map_push(k, map, t->dims[d], node_index(k->c, t->dims[d]));
    if (t->single && !map) map = map_push(k, map, t->axis, node_index(k->c, t->axis));
    return map;
}

/* An equation whose dimensions and type follow from its right side. */
void entity_elaborate(Entity *t)
{
    Checker *k = t->owner->k;
    Env e = {.k = k, .scope = &t->owner->scope, .map = left_map(t)};
    t->state = ENTITY_ACTIVE;
    Value v = entity_right_side(&e, t, t->equation->value);
    t->state = ENTITY_DONE;
    if (!v.node) t->poisoned = true;
    if (t->poisoned) return;
    finish_dims(&e, t, v.free);
    if (t->poisoned) return;
    t->kept = v.kept;
    Node *n = value_node(k, v);
    bool checked = t->equation->type.lo != NULL;
    if (!checked && adopt(t, n)) return;
    entity_tensor(t, t->n_dims, t->dims, n->type, n->data);
    n = entity_check(&e, t, n);
    if (!n) t->poisoned = true;
    t->tensor->body = n;
}
