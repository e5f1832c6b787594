/* Equations that need each other: found by name, their index, direction and first states; reads of earlier
 * steps; carry. */
#include "check.h"

#include <string.h>

/* ---- what an equation mentions ---- */

static void mention(Instance *in, Entity *t, const char *name)
{
    Symbol *s = name ? scope_find(&in->scope, name) : NULL;
    if (!s || s->kind != SYMBOL_ENTITY || !s->entity->equation) return;
    for (uint32_t n = 0; n < t->mentions.n; n++)
        if (t->mentions.at[n] == s->entity) return;
    PUSH(in->k->c, &t->mentions, s->entity);
}

static void find_mentions(Instance *in, Entity *t, const Ast *a)
{
    if (!a) return;
    if (a->kind == AST_NAME || a->kind == AST_SUBSCRIPT) mention(in, t, a->name);
    for (uint32_t n = 0; n < a->n; n++) find_mentions(in, t, a->operands[n]);
}

/* ---- the index of a recurrence ---- */

typedef struct Component {
    Instance *in;
    unsigned n;
    Entity **members;
} Component;
enum { CYCLE_MAX = 200 /* equations among which a cycle is looked for, to show it */ };

static bool member_of(const Component *g, const Entity *t)
{
    for (unsigned n = 0; n < g->n; n++)
        if (g->members[n] == t) return true;
    return false;
}

typedef struct Axes { VEC(Index *) found; bool forward, backward; Index *axis; } Axes;

static void note_axis(Component *g, Axes *x, const char *name)
{
    Symbol *s = scope_find(&g->in->scope, name);
    if (!s || s->kind != SYMBOL_INDEX) return;
    for (uint32_t n = 0; n < x->found.n; n++)
        if (x->found.at[n] == s->index) return;
    PUSH(g->in->k->c, &x->found, s->index);
}

/* Which way `t - 1` or `t + 1` goes. */
static void note_direction(Axes *x, const Ast *a)
{
    if (a->kind != AST_BINARY || a->operands[1]->kind != AST_INTEGER ||
        a->operands[0]->kind != AST_NAME)
        return;
    x->forward |= a->op == OP_SUB;
    x->backward |= a->op == OP_ADD;
}

static bool is_name(const Ast *a, const char *name) { return a->kind == AST_NAME && a->name == name; }

/* Subscripts of reads of members: on which indices, which way. */
static void find_axes(Component *g, Axes *x, const Ast *a)
{
    if (!a) return;
    Symbol *s = a->kind == AST_SUBSCRIPT ? scope_find(&g->in->scope, a->name) : NULL;
    bool reads = s && s->kind == SYMBOL_ENTITY && member_of(g, s->entity);
    for (uint32_t n = 0; reads && n < a->n; n++) {
        const Ast *e = a->operands[n];
        if (e->kind == AST_NAMED) {
            if (is_name(e->operands[0], e->name)) continue;
            note_axis(g, x, e->name);
            if (!x->axis || e->name == x->axis->name) note_direction(x, e->operands[0]);
            continue;
        }
        if (e->kind == AST_BINARY && e->operands[0]->kind == AST_NAME &&
            e->operands[1]->kind == AST_INTEGER && !s->entity->single)
            note_axis(g, x, e->operands[0]->name);
        if (s->entity->single) note_direction(x, e);
    }
    for (uint32_t n = 0; n < a->n; n++) find_axes(g, x, a->operands[n]);
}

static void find_all_axes(Component *g, Axes *x)
{
    for (unsigned n = 0; n < g->n; n++) find_axes(g, x, g->members[n]->equation->value);
}

static Index *written_axis(Component *g)
{
    Index *axis = NULL;
    for (unsigned n = 0; n < g->n; n++) {
        Entity *t = g->members[n];
        if (!t->single) continue;
        if (axis && axis != t->axis) {
            Diag *d = report(g->in->k->c, E303, t->span,
                             "a recurrence runs along one index, and this one along `%s` and `%s`",
                             axis->name, t->axis->name);
            diag_hint(g->in->k->c, d, "flatten them: `index t: flatten(%s, %s)`", axis->name, t->axis->name);
            return NULL;
        }
        axis = t->axis;
    }
    return axis;
}

static unsigned number_in(const Component *g, const Entity *t)
{
    unsigned n = 0;
    while (n < g->n && g->members[n] != t) n++;
    return n;
}

/* A shortest way from the first member back to it: `a` -> `b` -> `a`. */
static const char *cycle_text(const Component *g)
{
    Compilation *c = g->in->k->c;
    unsigned *queue = NEW_ARRAY(c, unsigned, g->n + 1), *next = NEW_ARRAY(c, unsigned, g->n + 1), n = 1;
    for (unsigned m = 0; m < g->n; m++) next[m] = g->n; /* towards the first member; n: not reached */
    queue[0] = 0;
    for (unsigned at = 0; at < n; at++)
        for (unsigned m = 0; m < g->n; m++)
            for (uint32_t r = 0; next[m] == g->n && r < g->members[m]->mentions.n; r++) {
                if (number_in(g, g->members[m]->mentions.at[r]) != queue[at]) continue;
                next[m] = queue[at];
                if (m) queue[n++] = m;
            }
    Text text = {.c = c};
    text_add(&text, "`%s`", g->members[0]->name);
    for (unsigned m = next[0], left = 12; m < g->n; m = m ? next[m] : g->n, left--) {
        if (!left) return text_add(&text, " -> ..."), text.at;
        text_add(&text, " -> `%s`", g->members[m]->name);
    }
    return text.at;
}

static Index *component_axis(Component *g, Axes *x)
{
    Compilation *c = g->in->k->c;
    unsigned errors = c->errors;
    Index *axis = written_axis(g);
    if (!axis && c->errors > errors) return NULL;
    x->axis = axis;
    find_all_axes(g, x);
    if (axis || x->found.n == 1) return axis ? axis : x->found.at[0];
    const Entity *t = g->members[0];
    Diag *d;
    if (!x->found.n) {
        d = report(c, E301, t->span, g->n == 1 ? "`%s` needs itself" : "`%s` and `%s` need each other",
                   t->name, g->members[g->n - 1]->name);
        if (g->n > 1 && g->n <= CYCLE_MAX)
            diag_note(c, d, (Span){0}, "the cycle of reads: %s", cycle_text(g));
        diag_hint(c, d, "a recurrence reads an earlier step: `%s[t] = ... %s[t - 1] ...`", t->name, t->name);
    } else {
        d = report(c, E302, t->span, "the recurrence of `%s` could run along `%s` or `%s`", t->name,
                   x->found.at[0]->name, x->found.at[1]->name);
        diag_hint(c, d, "say which: `%s[%s] = ...`; several at once have to be flattened", t->name,
                  x->found.at[0]->name);
    }
    return NULL;
}

/* ---- states before the first step ---- */

static Node *initial_subscript(Entity *t, const Ast *a)
{
    Env e = {.k = t->owner->k, .scope = &t->owner->scope};
    Value v = value_convert(&e, elaborate(&e, a), TYPE_INT, a->span, "a subscript");
    return v.node;
}

/* How far before the first step, and which way the recurrence goes: NAME[-1], or NAME[size(t)]. */
static bool place_initial(Entity *t, Initial *x, bool *forward, bool *backward)
{
    Compilation *c = t->owner->k->c;
    const Ast *a = x->statement->subscripts.at[0];
    Node *at = initial_subscript(t, a);
    if (!at) return false;
    Node *over = node_binary(c, N_SUB, at, node_size(c, t->axis));
    bool literal = a->kind == AST_INTEGER || a->kind == AST_UNARY;
    if (t->axis->origin && !literal) { /* first(t) - 1 */
        Node *from_first = node_binary(c, N_SUB, at, t->axis->origin);
        if (from_first->op == N_INT && from_first->integer < 0) at = from_first;
    }
    if (at->op == N_INT && at->integer < 0) {
        x->back = -at->integer;
        *forward = true;
    } else if (over->op == N_INT && over->integer >= 0) {
        x->back = over->integer + 1;
        *backward = true;
    } else {
        Diag *d = report(c, E305, a->span, "this is no step before the first one of `%s`", t->name);
        diag_hint(c, d,
                  "`%s[-1]` is the state before the first step, `%s[size(%s)]` in a recurrence that reads "
                  "later steps",
                  t->name, t->name, t->axis->name);
        return false;
    }
    return true;
}

static bool place_initials(Entity *t, bool *forward, bool *backward)
{
    Compilation *c = t->owner->k->c;
    bool good = true;
    for (uint32_t n = 0; n < t->initials.n; n++) {
        Initial *x = &t->initials.at[n];
        good &= place_initial(t, x, forward, backward);
        for (uint32_t m = 0; good && m < n && !(*forward && *backward); m++)
            if (t->initials.at[m].back == x->back) {
                report(c, E501, x->statement->span, "this state of `%s` is given twice", t->name);
                good = false;
            }
    }
    if (good && *forward && *backward) {
        report(c, E305, t->span, "`%s` has first states at both ends of `%s`", t->name, t->axis->name);
        good = false;
    }
    return good;
}

/* The value of a first state over the dims of t; an equation of its own unless it is simple. */
static void elaborate_initial(Entity *t, Initial *x)
{
    if (x->node || x->poisoned) return;
    Checker *k = t->owner->k;
    Compilation *c = k->c;
    Map *map = NULL;
    for (unsigned d = 0; d < t->n_dims && t->written; d++)
        if (t->dims[d] != t->axis) map = map_push(k, map, t->dims[d], node_index(c, t->dims[d]));
    Env e = {.k = k, .scope = &t->owner->scope, .map = map};
    x->active = true;
    Value v = entity_right_side(&e, t, x->statement->value);
    x->active = false;
    const char *what = format(c, "the first state of `%s`", t->name);
    v = value_convert(&e, v, t->type, x->statement->value->span, what);
    x->poisoned = !v.node;
    if (!v.node) return;
    for (unsigned id = 0; id < c->next_index; id++) {
        bool there = !set_has(v.free, id);
        for (unsigned d = 0; d < t->n_dims; d++) there |= t->dims[d]->id == id && t->dims[d] != t->axis;
        if (there) continue;
        report(c, E305, x->statement->value->span, "the first state of `%s` depends on `%s`, which `%s` %s",
               t->name, index_by_id(k, id)->name, t->name,
               index_by_id(k, id) == t->axis ? "runs along" : "does not have");
        x->poisoned = true;
        return;
    }
    Node *n = value_node(k, v);
    if (n->has_binder) {
        Tensor *made =
            aux_equation(k, format(c, "%s%s.init%lld", t->owner->prefix, t->name, (long long)x->back), n,
                         x->statement->span);
        n = read_tensor(k, made, &(Env){.k = k});
    }
    x->node = entity_check(&e, t, n);
}

Node *read_tensor(Checker *k, Tensor *t, const Env *e)
{
    Node **at = NEW_ARRAY(k->c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) at[d] = coordinate(e, t->dims[d]);
    return node_read(k->c, t, at, false);
}

/* The state `back` steps before the first, over the dims of t. */
static Node *initial_state(const Env *e, Entity *t, int64_t back)
{
    Node *n = NULL;
    for (uint32_t k = 0; k < t->initials.n; k++) {
        Initial *x = &t->initials.at[k];
        if (x->back != back) continue;
        if (!x->active) elaborate_initial(t, x);
        if (x->active && !x->poisoned) {
            report(e->k->c, E305, x->statement->span, "the first state of `%s` depends on itself", t->name);
            x->poisoned = true;
        }
        n = x->node;
        if (!n) t->poisoned = true;
    }
    if (!n) n = entity_check(e, t, zero_of(e->k->c, t->type));
    if (!n) n = zero_of(e->k->c, t->type);
    if (back != 1 || !t->start) return n;
    Compilation *c = e->k->c;
    return node_if(c, node_given(c, t->start), read_tensor(e->k, t->start, &(Env){.k = e->k}), n);
}

/* The state `back` steps before the first, at the other coordinates of a read (not that of the axis: states
 * have none, and `place` below is already the read's). */
static Node *state_at(const Env *e, Entity *t, int64_t back, Node *const *at)
{
    return node_substitute(e->k->c, initial_state(e, t, back), t->n_dims, t->dims, at);
}

/* The states before the first step that a read at at[axis] may meet: nearest first. */
static Node *before_first(const Env *e, Entity *t, Node *const *at, unsigned axis, Node *first, int64_t steps)
{
    Compilation *c = e->k->c;
    int64_t deepest = 1;
    for (uint32_t n = 0; n < t->initials.n; n++)
        if (t->initials.at[n].back > deepest) deepest = t->initials.at[n].back;
    bool bounded = steps > 0 && steps <= deepest;
    Node *n = bounded ? state_at(e, t, steps, at) : zero_of(c, t->type);
    for (int64_t back = bounded ? steps - 1 : deepest; back >= 1; back--) {
        bool given = back == 1;
        for (uint32_t k = 0; k < t->initials.n; k++) given |= t->initials.at[k].back == back;
        if (!given) continue;
        Node *place =
            node_binary(c, t->step > 0 ? N_SUB : N_ADD, first, node_int(c, t->step > 0 ? back : back - 1));
        n = node_if(c, node_binary(c, N_EQ, at[axis], place), state_at(e, t, back, at), n);
    }
    return n;
}

/* A carried state is known one step back, and no further. */
static void check_distance(const Env *e, Entity *t, Node *place, int64_t steps)
{
    Checker *k = e->k;
    Compilation *c = k->c;
    Node *before = t->step > 0 ? node_int(c, -1) : node_size(c, t->axis);
    if (!t->carried || steps == 1 || steps < 0 || place == before) return;
    ProveScope anywhere = {0};
    Node *known = t->step > 0 ? node_binary(c, N_LE, before, place) : node_binary(c, N_LE, place, before);
    if (!steps && prove_truth(c, &anywhere, known) == 1) return;
    Diag *d = report(k->c, E306, t->span, "`%s` is carried, but read further back than one step", t->name);
    diag_hint(k->c, d,
              "give the earlier state a name of its own that is carried too: `before[t] = %s[t - 1]`",
              t->name);
    t->carried = false;
}

/* A read of a recurrence at the coordinate at[axis]: the state there, or one before the first step. */
Value read_recurrent(const Env *e, Entity *t, Node **at, unsigned axis)
{
    Compilation *c = e->k->c;
    Node *place = at[axis], *size = node_size(c, t->axis), *zero = node_int(c, 0);
    Node *first = t->step > 0 ? zero : size;
    Node *distance = node_binary(c, N_SUB, place, node_index(c, t->axis));
    int64_t steps = distance->op != N_INT ? 0 : t->step > 0 ? -distance->integer : distance->integer;
    Node *last = t->step > 0 ? node_binary(c, N_SUB, size, node_int(c, 1)) : zero;
    if (place == last) steps = 1; /* with no steps, the state before the first */
    check_distance(e, t, place, steps);
    Node *reached = t->step > 0 ? node_binary(c, N_LE, zero, place) : node_binary(c, N_LT, place, size);
    Node *read = node_is_bool(reached, false) ? zero_of(c, t->type) : node_read(c, t->tensor, at, false);
    Node *state = before_first(e, t, at, axis, first, steps);
    return value_make(e->k, node_if(c, reached, read, state));
}

/* ---- carry ---- */

static Tensor *carried_tensor(Entity *t, const char *what, Role role)
{
    Checker *k = t->owner->k;
    Compilation *c = k->c;
    Tensor *made = NEW(c, Tensor);
    *made = (Tensor){.name = format(c, "%s.%s", t->name, what),
                     .id = c->next_tensor++,
                     .role = role,
                     .type = t->type,
                     .storage = t->tensor->storage,
                     .optional = true,
                     .recurrence_axis = -1,
                     .span = t->span,
                     .number = k->pattern->tensors.n,
                     .data = t->type == TYPE_REAL,
                     .dims = NEW_ARRAY(c, Index *, t->n_dims + 1)};
    for (unsigned d = 0; d < t->n_dims; d++)
        if (t->dims[d] != t->axis) made->dims[made->n_dims++] = t->dims[d];
    while (made->n_ambient < made->n_dims && made->dims[made->n_ambient]->ambient) made->n_ambient++;
    PUSH(c, &k->pattern->tensors, made);
    PUSH(c, &k->tensors, made);
    return made;
}

static void carry_start(Entity *t)
{
    if (!t->carried || t->owner->caller || !t->tensor) return;
    t->start = carried_tensor(t, "start", ROLE_INPUT);
    t->tensor->carry_start = t->start;
}

void carry_tensors(Instance *in)
{
    Compilation *c = in->k->c;
    for (uint32_t n = 0; n < in->entities.n; n++) {
        Entity *t = in->entities.at[n];
        if (!t->carried || t->poisoned) continue;
        if (!t->start) {
            Diag *d = report(c, E306, t->span, "`%s` is carried but is no recurrence", t->name);
            diag_hint(c, d, "a carried state reads its own earlier step: `%s[t] = ... %s[t - 1] ...`",
                      t->name, t->name);
            continue;
        }
        Tensor *last = carried_tensor(t, "last", ROLE_OUTPUT);
        t->tensor->carry_last = last;
        Node **at = NEW_ARRAY(c, Node *, t->n_dims + 1);
        unsigned axis = 0;
        for (unsigned d = 0; d < t->n_dims; d++) {
            at[d] = node_index(c, t->dims[d]);
            if (t->dims[d] == t->axis) axis = d;
        }
        at[axis] =
            t->step > 0 ? node_binary(c, N_SUB, node_size(c, t->axis), node_int(c, 1)) : node_int(c, 0);
        last->body = read_recurrent(&(Env){.k = in->k}, t, at, axis).node;
    }
}

/* ---- elaboration ---- */

static bool poison(Component *g)
{
    for (unsigned n = 0; n < g->n; n++) {
        g->members[n]->poisoned = true;
        g->members[n]->state = ENTITY_DONE;
    }
    return false;
}

static bool component_steps(Component *g, Axes *x, Index *axis)
{
    bool forward = x->forward, backward = x->backward, good = true, first_forward = false,
         first_backward = false;
    for (unsigned n = 0; n < g->n; n++) {
        g->members[n]->axis = axis;
        good &= place_initials(g->members[n], &first_forward, &first_backward);
    }
    if (!good) return poison(g);
    bool back = first_backward || (backward && !forward && !first_forward);
    for (unsigned n = 0; n < g->n; n++) g->members[n]->step = back ? -1 : 1;
    return true;
}

static void member_body(Entity *t)
{
    Checker *k = t->owner->k;
    Env e = {.k = k, .scope = &t->owner->scope, .map = left_map(t)};
    t->state = ENTITY_ACTIVE;
    Value v = entity_right_side(&e, t, t->equation->value);
    t->state = ENTITY_DONE;
    const char *what = format(k->c, "the right side of `%s`", t->name);
    v = value_convert(&e, v, t->type, t->equation->value->span, what);
    if (!v.node) { t->poisoned = true; return; }
    entity_covers(&e, t, v.free);
    t->tensor->body = entity_check(&e, t, value_node(k, v));
    if (!t->tensor->body) t->poisoned = true;
}

static void elaborate_cycle(Component *g)
{
    Checker *k = g->in->k;
    Axes x = {0};
    for (unsigned n = 0; n < g->n; n++)
        if (g->members[n]->poisoned) { poison(g); return; }
    Index *axis = component_axis(g, &x);
    if (!axis) { poison(g); return; }
    resolve_index(k, axis);
    if (!component_steps(g, &x, axis)) return;
    unsigned number = ++k->n_components, outer = k->component;
    for (unsigned n = 0; n < g->n; n++) g->members[n]->component = number;
    infer_component(k, g->n, g->members);
    for (unsigned n = 0; n < g->n; n++) {
        Entity *t = g->members[n];
        entity_tensor(t, t->n_dims, t->dims, t->type, true);
        carry_start(t);
    }
    for (unsigned n = 0; n < g->n; n++)
        for (uint32_t m = 0; m < g->members[n]->initials.n; m++)
            elaborate_initial(g->members[n], &g->members[n]->initials.at[m]);
    k->component = number;
    for (unsigned n = 0; n < g->n; n++) member_body(g->members[n]);
    k->component = outer;
    for (unsigned n = 0; n < g->n; n++)
        if (g->members[n]->poisoned) { poison(g); return; }
}

/* An equation outside of any cycle. `NAME[t] = ...` may have first states all the same. */
static void elaborate_alone(Entity *t)
{
    Checker *k = t->owner->k;
    bool forward = false, backward = false;
    if (t->initials.n && !t->axis) {
        Diag *d = report(k->c, E305, t->initials.at[0].statement->span,
                         "`%s` has a first state but runs along no index", t->name);
        diag_hint(k->c, d, "write its equation as `%s[t] = ...`", t->name);
        t->poisoned = true;
        return;
    }
    if (t->axis) resolve_index(k, t->axis);
    if (t->axis && !place_initials(t, &forward, &backward)) t->poisoned = true;
    t->step = backward ? -1 : 1;
    if (t->poisoned) return;
    entity_elaborate(t);
    if (t->poisoned) return;
    bool only = t->n_dims - t->n_ambient == 1 || (t->n_dims == 1 && t->dims[0] == t->axis);
    if (t->axis && only) t->written = true;
    if (t->axis && only && !t->initials.n && !t->carried)
        t->axis = NULL; /* written out in full: no recurrence */
    if (t->axis) carry_start(t);
    for (uint32_t n = 0; n < t->initials.n; n++) elaborate_initial(t, &t->initials.at[n]);
}

/* ---- cycles of names ---- */

enum { CHAIN_MAX = 4000 /* equations that read each other one by one */ };
typedef struct Search { Instance *in; int visits, depth; VEC(Entity *) stack; } Search;

static void close_component(Search *s, Entity *t)
{
    VEC(Entity *) members = {0};
    Entity *m;
    do {
        m = s->stack.at[--s->stack.n];
        m->on_stack = false;
        PUSH(s->in->k->c, &members, m);
    } while (m != t);
    bool cyclic = members.n > 1;
    for (uint32_t n = 0; n < t->mentions.n; n++) cyclic |= t->mentions.at[n] == t;
    for (uint32_t a = 0; a < members.n / 2; a++) {
        Entity *swap = members.at[a];
        members.at[a] = members.at[members.n - 1 - a];
        members.at[members.n - 1 - a] = swap;
    }
    Component g = {s->in, members.n, members.at};
    if (cyclic) elaborate_cycle(&g);
    else if (!t->poisoned && t->state == ENTITY_PENDING) elaborate_alone(t);
}

static void search(Search *s, Entity *t)
{
    t->visit = t->low = ++s->visits;
    t->on_stack = true;
    PUSH(s->in->k->c, &s->stack, t);
    if (++s->depth > CHAIN_MAX && !s->in->k->too_large) {
        report(s->in->k->c, E118, t->equation->span, "equations of `%s` read each other through more than %d steps",
               s->in->k->pattern->name, CHAIN_MAX);
        s->in->k->too_large = true;
    }
    for (uint32_t n = 0; n < t->mentions.n && !s->in->k->too_large; n++) {
        Entity *other = t->mentions.at[n];
        if (!other->visit) search(s, other);
        if (other->on_stack && other->low < t->low) t->low = other->low;
    }
    s->depth--;
    if (t->low == t->visit) close_component(s, t);
}

void instance_equations(Instance *in)
{
    for (uint32_t n = 0; n < in->entities.n; n++) {
        Entity *t = in->entities.at[n];
        if (!t->equation) continue;
        find_mentions(in, t, t->equation->value);
        for (uint32_t m = 0; m < t->initials.n; m++) find_mentions(in, t, t->initials.at[m].statement->value);
    }
    Search s = {.in = in};
    for (uint32_t n = 0; n < in->entities.n; n++)
        if (in->entities.at[n]->equation && !in->entities.at[n]->visit) search(&s, in->entities.at[n]);
}
