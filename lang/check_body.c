/* The names that a body declares: indices, blocks, new indices of selections, equations and their first
 * states. */
#include "check.h"

/* ---- indices ---- */

static Index *find_or_declare(Instance *in, AstName name)
{
    Symbol *s = scope_find(&in->scope, name.name);
    if (s && s->kind == SYMBOL_INDEX) return s->index;
    return declare_index(in, name.name, name.span);
}

static void twice(Instance *in, const AstStatement *s, const AstStatement *first, const char *what)
{
    Diag *d = report(in->k->c, E505, s->span, "`%s` gets %s twice", s->name.name, what);
    diag_note(in->k->c, d, first->span, "the first time here");
}

static void declare_one(Instance *in, const AstStatement *s)
{
    Index *index = find_or_declare(in, s->name);
    if (in->k->too_large) return;
    IndexInfo *info = &in->k->info[index->id];
    bool from = s->kind == AST_INDEX && s->index_kind == AST_INDEX_FROM;
    const AstStatement **place = from ? &info->origin : &info->extent;
    if (*place) twice(in, s, *place, from ? "an origin" : "an extent");
    else if (info->owner != in || index->ambient)
        report(in->k->c, E505, s->span,
               "`%s` is an ambient index: its extent comes from the tensors, and it begins at 0",
               index->name);
    else *place = s;
}

/* ---- new indices of `top_index[j -> r]` and `positions[j -> r]` ---- */

static void selected_index(Instance *in, const Ast *a)
{
    Checker *k = in->k;
    AstBinders binders = ast_binders(a);
    const AstBinder *last = binders.n ? &binders.at[binders.n - 1] : NULL;
    if (!last || !last->to || ast_n_args(a) < 2) return; /* the last is reported where it is elaborated */
    Symbol *s = scope_find(&in->scope, last->to);
    Index *index = s && s->kind == SYMBOL_INDEX ? s->index : NULL;
    if (!s) index = declare_index(in, last->to, last->to_span);
    if (!index || index->ambient) return;
    IndexInfo *info = &k->info[index->id];
    if (info->owner == in && !info->extent && !info->selected) info->selected = ast_arg(a, 1).value;
}

static void find_selected(Instance *in, const Ast *a)
{
    if (!a) return;
    for (uint32_t n = 0; n < a->n; n++) find_selected(in, a->operands[n]);
    if (a->kind == AST_BRACKET) selected_index(in, a);
}

/* ---- equations ---- */

static Index *index_name(Instance *in, const Ast *a)
{
    Symbol *s = a->kind == AST_NAME ? scope_find(&in->scope, a->name) : NULL;
    return s && s->kind == SYMBOL_INDEX ? s->index : NULL;
}

static Entity *equation_entity(Instance *in, const AstStatement *s)
{
    Checker *k = in->k;
    Symbol *old = scope_find(&in->scope, s->name.name);
    if (old && old->kind == SYMBOL_ENTITY) {
        Entity *t = old->entity;
        if (t->role == ROLE_OUTPUT || t->role == ROLE_EQUATION) return t;
        Diag *d = report(k->c, E503, s->name.span, "`%s` is an input and cannot be defined", t->name);
        diag_note(k->c, d, t->span, "it is given here");
        return NULL;
    }
    Entity *t = NEW(k->c, Entity);
    *t = (Entity){.name = s->name.name, .span = s->name.span, .owner = in, .role = ROLE_EQUATION};
    if (!scope_add(k, &in->scope,
                   (Symbol){.name = t->name, .kind = SYMBOL_ENTITY, .span = t->span, .entity = t}))
        return NULL;
    PUSH(k->c, &in->entities, t);
    PUSH(k->c, &k->entities, t);
    return t;
}

static void bad_left(Instance *in, const AstStatement *s, Span span, const char *why)
{
    Diag *d = report(in->k->c, E507, span, "%s", why);
    diag_hint(
        in->k->c, d,
        "a left side is `%s`, `%s[i, j]` with all its indices, `%s[t]` for a recurrence, or `%s[-1]` for the "
        "state before its first step",
        s->name.name, s->name.name, s->name.name, s->name.name);
}

/* `o[e, i] = ...` of an output: its declaration already says the order. */
static void output_order(Instance *in, Entity *t, const AstStatement *s)
{
    Compilation *c = in->k->c;
    unsigned explicit_dims = t->n_dims - t->n_ambient;
    bool same = s->subscripts.n == explicit_dims;
    for (uint32_t d = 0; same && d < explicit_dims; d++)
        same = index_name(in, s->subscripts.at[d]) == t->dims[t->n_ambient + d];
    if (same) return;
    Diag *d = report(c, E507, s->span, "the left side of `%s` differs from its declaration", t->name);
    diag_note(c, d, t->declared->span, "declared here");
    diag_hint(c, d, "write `%s = ...`: its indices and their order are those of the signature", t->name);
    t->poisoned = true;
}

static void full_left_side(Instance *in, Entity *t, const AstStatement *s)
{
    Compilation *c = in->k->c;
    t->written = true;
    t->dims = NEW_ARRAY(c, Index *, s->subscripts.n + 1);
    for (uint32_t n = 0; n < s->subscripts.n; n++) {
        Index *index = index_name(in, s->subscripts.at[n]);
        for (uint32_t m = 0; m < n; m++)
            if (t->dims[m] == index) {
                bad_left(in, s, s->subscripts.at[n]->span,
                         format(c, "`%s` stands twice on the left side of `%s`", index->name, s->name.name));
                t->poisoned = true;
            }
        t->dims[t->n_dims++] = index;
    }
}

static bool all_indices(Instance *in, const AstStatement *s)
{
    for (uint32_t n = 0; n < s->subscripts.n; n++)
        if (!index_name(in, s->subscripts.at[n])) return false;
    return true;
}

static void main_equation(Instance *in, Entity *t, const AstStatement *s)
{
    Checker *k = in->k;
    if (t->equation) {
        Diag *d = report(k->c, E501, s->name.span, "`%s` is defined twice", t->name);
        diag_note(k->c, d, t->equation->name.span, "first defined here");
        if (s->subscripts.n == 1)
            diag_hint(k->c, d, "the state before the first step is `%s[-1] = ...`", t->name);
        return;
    }
    t->equation = s;
    t->span = s->name.span;
    bool output = t->role == ROLE_OUTPUT;
    if (!s->has_subscripts) return;
    if (s->subscripts.n == 1) {
        t->single = true;
        t->axis = index_name(in, s->subscripts.at[0]);
        bool own = !output;
        for (unsigned d = 0; d < t->n_dims; d++) own |= t->dims[d] == t->axis;
        if (!own) output_order(in, t, s);
    } else if (output) output_order(in, t, s);
    else full_left_side(in, t, s);
}

static void declare_equation(Instance *in, const AstStatement *s)
{
    Entity *t = equation_entity(in, s);
    if (!t) return;
    if (!s->has_subscripts || all_indices(in, s)) {
        main_equation(in, t, s);
        return;
    }
    if (s->subscripts.n == 1 && s->subscripts.at[0]->kind != AST_NAME) {
        PUSH(in->k->c, &t->initials, (Initial){.statement = s});
        return;
    }
    for (uint32_t n = 0; n < s->subscripts.n; n++) {
        const Ast *a = s->subscripts.at[n];
        if (index_name(in, a)) continue;
        if (a->kind != AST_NAME)
            bad_left(in, s, a->span,
                     format(in->k->c, "several subscripts on the left side of `%s` are names of indices alone",
                            s->name.name));
        else if (scope_find(&in->scope, a->name))
            bad_left(in, s, a->span,
                     format(in->k->c, "`%s` is no index, and stands in brackets on the left side of `%s`", a->name,
                            s->name.name));
        else {
            Diag *d = report(in->k->c, E103, a->span, "there is no index `%s`", a->name);
            hint_name(in->k, d, &in->scope, a->name, false);
        }
    }
    t->poisoned = true;
    if (!t->equation) t->equation = s;
}

static void declare_carry(Instance *in, const AstStatement *s)
{
    Compilation *c = in->k->c;
    for (uint32_t n = 0; n < s->names.n; n++) {
        Symbol *symbol = scope_find(&in->scope, s->names.at[n].name);
        Entity *t = symbol && symbol->kind == SYMBOL_ENTITY ? symbol->entity : NULL;
        if (t && t->equation) {
            if (t->carried) report(c, E306, s->names.at[n].span, "`%s` is carried twice", t->name);
            t->carried = true;
            continue;
        }
        Diag *d = report(c, E306, s->names.at[n].span,
                         symbol ? "`%s` is no equation" : "there is no equation `%s` to carry",
                         s->names.at[n].name);
        if (!symbol) hint_name(in->k, d, &in->scope, s->names.at[n].name, false);
    }
}

static void missing_equations(Instance *in)
{
    Compilation *c = in->k->c;
    for (uint32_t n = 0; n < in->entities.n; n++) {
        Entity *t = in->entities.at[n];
        if (t->equation) continue;
        t->poisoned = true;
        t->state = ENTITY_DONE;
        if (t->role == ROLE_OUTPUT)
            diag_hint(c, report(c, E502, t->span, "output `%s` has no equation", t->name),
                      "define it: `%s = ...`", t->name);
        else {
            Diag *d = report(c, E305, t->initials.at[0].statement->span,
                             "`%s` has a first state but no equation", t->name);
            diag_hint(c, d, "add `%s[t] = ...`", t->name);
        }
    }
}

void declare_body(Instance *in)
{
    const AstStatements *body = &in->ast->body;
    for (uint32_t n = 0; n < body->n; n++)
        if (body->at[n]->kind == AST_INDEX || body->at[n]->kind == AST_BLOCK) declare_one(in, body->at[n]);
    for (uint32_t n = 0; n < body->n; n++)
        if (body->at[n]->kind == AST_EQUATION) find_selected(in, body->at[n]->value);
    for (uint32_t n = 0; n < body->n; n++)
        if (body->at[n]->kind == AST_EQUATION) declare_equation(in, body->at[n]);
    for (uint32_t n = 0; n < body->n; n++)
        if (body->at[n]->kind == AST_CARRY) declare_carry(in, body->at[n]);
    missing_equations(in);
}
