/* Orders the equations, finds the recurrences among them and checks that every cycle passes through an
 * earlier step.
 *
 * Ensures: pattern->equations stands in an order in which every equation comes after what it reads (members
 * of one recurrence together, after what they read at the same step); group, recurrence_axis and
 * recurrence_step are set. */
#include "check_facts.h"

typedef struct Vertex { Tensor *t; VEC(uint32_t) reads; uint32_t low, visit; bool on_stack; } Vertex;
typedef struct Order {
    Checker *k;
    Vertex *v;
    uint32_t n, visits, current;
    uint32_t *number;      /* by Tensor.id: vertex + 1 */
    uint32_t *stack, depth;
    unsigned groups;
    VEC(Tensor *) sorted;
    VEC(uint32_t) members; /* of the component at hand */
} Order;

static Node *note_edge(void *context, Compilation *c, Node *n)
{
    Order *o = context;
    if (n->op == N_READ && o->number[n->tensor->id])
        PUSH(c, &o->v[o->current].reads, o->number[n->tensor->id] - 1);
    return n;
}

/* ---- steps within a recurrence ---- */

enum Step { SAME_STEP, EARLIER, LATER, UNKNOWN_STEP };

static int axis_of(const Tensor *t, const Index *axis)
{
    for (unsigned d = 0; d < t->n_dims; d++)
        if (t->dims[d] == axis) return (int)d;
    return -1;
}

/* What one member reads of the others. */
typedef struct Walk {
    Order *o;
    Index *axis;
    bool earlier, later; /* met */
    Node *at;            /* a read of an unknown step */
    VEC(uint32_t) same;  /* vertices read at the same step */
} Walk;

static bool proved_before(FactWalk *f, Node *early, Node *late, Span span)
{
    Checker *k = f->k;
    Proof p = prove_between(k->c, &f->scope, early, early, late);
    if (p.result == NOT_PROVED) return false;
    if (p.result == PROVED_IF) {
        add_condition(k, p.condition, span, E301, "a recurrence must read earlier steps");
    }
    return true;
}

static enum Step step_of(FactWalk *f, const Walk *w, Node *read, Node *at)
{
    Compilation *c = f->k->c;
    if (set_has(&f->bound, w->axis->id)) return UNKNOWN_STEP; /* the step itself has no name here */
    Node *now = node_index(c, w->axis), *distance = node_binary(c, N_SUB, at, now);
    if (distance->op == N_INT)
        return distance->integer == 0 ? SAME_STEP : distance->integer < 0 ? EARLIER : LATER;
    if (proved_before(f, at, now, read->span)) return EARLIER;
    return proved_before(f, now, at, read->span) ? LATER : UNKNOWN_STEP;
}

static bool is_member(const Order *o, const Tensor *t, uint32_t *vertex)
{
    if (!o->number[t->id]) return false;
    for (uint32_t n = 0; n < o->members.n; n++)
        if (o->members.at[n] == o->number[t->id] - 1) return *vertex = o->members.at[n], true;
    return false;
}

static void note_step(FactWalk *f, Node *n)
{
    Walk *w = f->context;
    uint32_t vertex;
    if (!is_member(w->o, n->tensor, &vertex)) return;
    int d = axis_of(n->tensor, w->axis);
    enum Step s = d < 0 ? SAME_STEP : step_of(f, w, n, n->args[d]);
    w->earlier |= s == EARLIER;
    w->later |= s == LATER;
    if (s == UNKNOWN_STEP && !w->at) w->at = n;
    if (s == SAME_STEP) PUSH(f->k->c, &w->same, vertex);
}

static void walk_member(Walk *w, Tensor *t)
{
    NodeMemo seen = {0};
    FactWalk f = {.k = w->o->k, .scope = fact_scope(w->o->k), .read = note_step, .context = w, .seen = &seen};
    fact_walk(&f, t->body);
}

/* ---- components ---- */

/* Names of a cycle, for messages. */
static const char *cycle_text(Order *o)
{
    Text text = {.c = o->k->c};
    for (uint32_t n = 0; n < o->members.n && n < 6; n++)
        text_add(&text, "%s`%s`", n ? ", " : "", o->v[o->members.at[n]].t->name);
    if (o->members.n > 6) text_add(&text, " and %u more", o->members.n - 6);
    return text.at;
}

static Index *axis_of_component(Order *o)
{
    for (uint32_t n = 0; n < o->members.n; n++)
        for (uint32_t e = 0; e < o->k->entities.n; e++) {
            const Entity *t = o->k->entities.at[e];
            if (t->tensor == o->v[o->members.at[n]].t && t->axis) return t->axis;
        }
    return NULL;
}

/* Sorts members by what they read at the same step; false: a cycle within a step. */
static bool sort_members(Order *o, const Walk *walks)
{
    uint32_t n = o->members.n, done = 0;
    bool *placed = NEW_ARRAY(o->k->c, bool, n);
    while (done < n) {
        uint32_t before = done;
        for (uint32_t m = 0; m < n; m++) {
            bool ready = !placed[m];
            for (uint32_t r = 0; ready && r < walks[m].same.n; r++)
                for (uint32_t q = 0; q < n; q++)
                    if (o->members.at[q] == walks[m].same.at[r] && !placed[q]) ready = false;
            if (!ready) continue;
            placed[m] = true;
            PUSH(o->k->c, &o->sorted, o->v[o->members.at[m]].t);
            done++;
        }
        if (done == before) return false;
    }
    return true;
}

static void no_earlier_step(Order *o, const Walk *w)
{
    Compilation *c = o->k->c;
    Tensor *first = o->v[o->members.at[0]].t;
    Diag *d = report(c, E301, first->span, o->members.n == 1 ? "%s needs itself" : "%s need each other",
                     cycle_text(o));
    if (w && w->axis && w->at) {
        diag_note(c, d, w->at->span, "this read is not known to be at an earlier `%s`", w->axis->name);
        diag_hint(c, d, "a recurrence reads an earlier step, `%s[%s - 1]`, or in all its reads a later one",
                  first->name, w->axis->name);
    } else if (w && w->axis)
        diag_hint(c, d, "a cycle has to pass through a read at an earlier `%s`", w->axis->name);
    else
        diag_hint(c, d, "a recurrence reads an earlier step: `%s[t] = ... %s[t - 1] ...`", first->name,
                  first->name);
}

static void recurrence(Order *o)
{
    Checker *k = o->k;
    Index *axis = axis_of_component(o);
    Walk *walks = NEW_ARRAY(k->c, Walk, o->members.n);
    bool earlier = false, later = false, whole = axis != NULL;
    const Walk *unknown = NULL;
    o->groups++;
    for (uint32_t n = 0; n < o->members.n; n++) {
        Tensor *t = o->v[o->members.at[n]].t;
        walks[n] = (Walk){.o = o, .axis = axis};
        if (!axis || axis_of(t, axis) < 0) { whole = false; continue; }
        walk_member(&walks[n], t);
        earlier |= walks[n].earlier;
        later |= walks[n].later;
        if (walks[n].at && !unknown) unknown = &walks[n];
        t->group = o->groups;
        t->recurrence_axis = axis_of(t, axis);
    }
    if (!whole) { no_earlier_step(o, &(Walk){.axis = axis}); return; }
    if (unknown) { no_earlier_step(o, unknown); return; }
    if (earlier && later) {
        Diag *d = report(k->c, E304, o->v[o->members.at[0]].t->span,
                         "the recurrence of %s reads earlier and later `%s`", cycle_text(o), axis->name);
        diag_hint(k->c, d,
                  "all reads within a recurrence go the same way: split it into two, one for each direction");
        return;
    }
    for (uint32_t n = 0; n < o->members.n; n++) o->v[o->members.at[n]].t->recurrence_step = later ? -1 : 1;
    if (!sort_members(o, walks)) no_earlier_step(o, &(Walk){.axis = axis});
}

static void component(Order *o, uint32_t v)
{
    o->members.n = 0;
    uint32_t m;
    do {
        m = o->stack[--o->depth];
        o->v[m].on_stack = false;
        PUSH(o->k->c, &o->members, m);
    } while (m != v);
    bool cyclic = o->members.n > 1;
    for (uint32_t n = 0; n < o->v[v].reads.n; n++) cyclic |= o->v[v].reads.at[n] == v;
    for (uint32_t a = 0; a < o->members.n / 2; a++) { /* in the order of the file, more or less */
        uint32_t swap = o->members.at[a];
        o->members.at[a] = o->members.at[o->members.n - 1 - a];
        o->members.at[o->members.n - 1 - a] = swap;
    }
    if (cyclic) recurrence(o);
    else PUSH(o->k->c, &o->sorted, o->v[v].t);
}

static void visit(Order *o, uint32_t v)
{
    Vertex *x = &o->v[v];
    x->visit = x->low = ++o->visits;
    x->on_stack = true;
    o->stack[o->depth++] = v;
    for (uint32_t n = 0; n < x->reads.n; n++) {
        Vertex *y = &o->v[x->reads.at[n]];
        if (!y->visit) visit(o, x->reads.at[n]);
        if (y->on_stack && y->low < x->low) x->low = y->low;
    }
    if (x->low == x->visit) component(o, v);
}

void check_recurrences(Checker *k)
{
    Compilation *c = k->c;
    Pattern *p = k->pattern;
    Order o = {.k = k,
               .n = p->equations.n,
               .v = NEW_ARRAY(c, Vertex, p->equations.n + 1),
               .number = NEW_ARRAY(c, uint32_t, c->next_tensor + 1),
               .stack = NEW_ARRAY(c, uint32_t, p->equations.n + 1)};
    for (uint32_t n = 0; n < o.n; n++) {
        o.v[n].t = p->equations.at[n];
        o.number[o.v[n].t->id] = n + 1;
    }
    for (o.current = 0; o.current < o.n; o.current++) node_rewrite(c, o.v[o.current].t->body, note_edge, &o);
    for (uint32_t n = 0; n < o.n; n++)
        if (!o.v[n].visit) visit(&o, n);
    p->equations.n = 0;
    for (uint32_t n = 0; n < o.sorted.n; n++) PUSH(c, &p->equations, o.sorted.at[n]);
}
