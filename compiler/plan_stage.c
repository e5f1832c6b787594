/* Stages of the plan: recurrences with what runs along with them, the order, the task indices.
 * Requires: decisions (plan_decide). Ensures: every stored equation is computed by one stage, after all that
 * it reads. Breaks: nothing. */
#include "plan_internal.h"

/* ---- what an equation runs innermost ---- */

typedef struct Inner {
    Compilation *c;
    const Tensor *tensor;
    IndexSet dims, inner;
} Inner;
typedef struct Heavy {
    const Node *sum;
    IndexSet dims, vars, own, *inner; /* own: dims of its loops */
    bool loops;
} Heavy;

static void note_heavy(void *context, Node *n, const Binding *around)
{
    Heavy *h = context;
    if (node_is_binder(n) != h->loops || !(h->loops || is_transcendental(n->op))) return;
    IndexSet streamed = set_and(n->free, &h->vars), has = set_and(&h->dims, n->free);
    if (around->binder || set_is_empty(&streamed)) return;
    if (h->loops) h->own = set_or(&h->own, &has);
    IndexSet lacking = set_minus(&h->dims, n->free);
    lacking = set_and(&lacking, h->sum->free);
    if (!h->loops) lacking = set_minus(&lacking, &h->own);
    *h->inner = set_or(h->inner, &lacking);
}

/* Dims that a sum has but a costly part of its summand lacks: the part is then computed once for all of them. A loop
 * costs more than an elementary function, which therefore must not put a dim innermost that a loop depends on. */
static void note_sum(Inner *in, Node *sum)
{
    if (sum->kind == REDUCE_ARGMAX || sum->kind == REDUCE_ARGMIN) return;
    Heavy h = {sum, in->dims, set_of_vars(sum), {{0}}, &in->inner, true};
    for (unsigned k = 0; k < sum->n_vars; k++) { /* what bounds the loops stays outside of them */
        h.dims = set_minus(&h.dims, binder_lo(sum, k)->free);
        h.dims = set_minus(&h.dims, binder_hi(sum, k)->free);
    }
    walk(in->c, binder_body(sum), note_heavy, &h);
    h.loops = false;
    walk(in->c, binder_body(sum), note_heavy, &h);
}

static void note_inner(void *context, Node *n, const Binding *around)
{
    Inner *in = context;
    if (around->binder || !node_is_binder(n)) return;
    if (n->op == N_REDUCE) note_sum(in, n);
    if (!node_keeps_position(n) && n->op != N_TOP_INDEX && n->op != N_POSITIONS) return;
    IndexSet row = set_of_vars(n);
    if (binder_extra(n) && (n->op == N_TOP_INDEX || n->op == N_POSITIONS)) row = *binder_extra(n)->free;
    row = set_and(&row, &in->dims);
    in->inner = set_or(&in->inner, &row);
}

IndexSet plan_inner(Compilation *c, const Equation *e)
{
    Inner in = {c, e->tensor, set_of_dims(e->tensor), {{0}}};
    walk(c, e->body, note_inner, &in);
    return in.inner;
}

/* ---- kinds and tasks ---- */

static void note_kind(void *context, Node *n, const Binding *around)
{
    StageKind *kind = context;
    bool sum = n->op == N_REDUCE && (n->kind == REDUCE_SUM || n->kind == REDUCE_MAX);
    if (plan_is_selection(n))
        *kind = STAGE_SELECT;
    else if (*kind == STAGE_SELECT)
        return;
    else if (around->binder && (node_is_binder(n) || is_transcendental(n->op)))
        *kind = STAGE_PAIRWISE;
    else if (sum && *kind == STAGE_MAP && binder_body(n)->op == N_MUL)
        *kind = STAGE_CONTRACT;
}

static Stage *equation_stage(Plan *p, Equation *e)
{
    Stage *s = NEW(p->c, Stage);
    s->kind = STAGE_MAP;
    walk(p->c, e->body, note_kind, &s->kind);
    s->equation = e;
    e->stage = s;
    return s;
}

/* The ambient dims and the first other that is not run innermost. */
static void choose_tasks(Plan *p, Stage *s)
{
    const Tensor *t = s->equation->tensor;
    IndexSet inner = plan_inner(p->c, s->equation);
    bool enough = false;
    s->tasks = NEW_ARRAY(p->c, Index *, t->n_dims);
    for (unsigned k = 0; k < t->n_dims && !enough; k++) {
        if (set_has(&inner, t->dims[k]->id)) continue;
        s->tasks[s->n_tasks++] = t->dims[k];
        enough = !t->dims[k]->ambient;
    }
}

/* ---- recurrences ---- */

typedef VEC(Equation *) Equations;
typedef struct Group {
    Plan *p;
    unsigned number;
    Index *axis;
    int step;
    Equations members, along,
        after;     /* of the recurrence; readers at the same or earlier steps; readers of the last step */
    bool *depends; /* by Tensor.id: needs the recurrence */
    IndexSet tasks, apart; /* task indices; with those along which costly parts are shared */
    bool whole; /* states are read by others too: kept for all steps */
} Group;

static bool contains_equation(const Equations *list, const Equation *e)
{
    for (uint32_t k = 0; k < list->n; k++)
        if (list->at[k] == e) return true;
    return false;
}

static bool is_last(Group *g, const Node *at)
{
    Compilation *c = g->p->c;
    Node *last = g->step > 0 ? node_binary(c, N_SUB, node_size(c, g->axis), node_int(c, 1)) : node_int(c, 0);
    return at == last;
}

/* How the reads of one equation meet the recurrence. */
typedef struct Meets {
    Group *g;
    bool any, member, steps, last, other; /* member: it reads one, not only what runs along */
    unsigned back;
} Meets;

static void note_meeting(void *context, Node *n, const Binding *around)
{
    Meets *m = context;
    if (n->op != N_READ) return;
    Equation *e = plan_equation(m->g->p, n->tensor);
    bool member = e && contains_equation(&m->g->members, e), along = e && contains_equation(&m->g->along, e);
    if (!member && !along) return;
    m->any = true;
    m->member = m->member || member;
    int axis = n->tensor->recurrence_axis;
    for (unsigned k = 0; along && k < n->tensor->n_dims; k++)
        if (n->tensor->dims[k] == m->g->axis) axis = (int)k;
    int64_t offset = 0;
    bool step = is_offset_of(n->args[axis], m->g->axis, &offset) && !set_has(&around->bound, m->g->axis->id);
    int64_t back = m->g->step > 0 ? -offset : offset;
    if (step && back >= 0 && back < 64) {
        m->steps = true;
        if (back > m->back) m->back = (unsigned)back;
    } else if (member && is_last(m->g, n->args[axis]))
        m->last = true;
    else
        m->other = true;
}

static Meets meets(Group *g, Equation *e)
{
    Meets m = {.g = g};
    walk(g->p->c, e->body, note_meeting, &m);
    return m;
}

static bool has_dim(const Tensor *t, const Index *index)
{
    for (unsigned k = 0; k < t->n_dims; k++)
        if (t->dims[k] == index) return true;
    return false;
}

/* Does e read what needs the recurrence? `outside`: and is not computed with it. */
typedef struct Need {
    Group *g;
    bool outside, found;
} Need;

static void note_need(void *context, const Node *n)
{
    Need *need = context;
    Group *g = need->g;
    Equation *read = n->op == N_READ ? plan_equation(g->p, n->tensor) : NULL;
    if (!read || !g->depends[n->tensor->id]) return;
    bool with = contains_equation(&g->members, read) || contains_equation(&g->along, read);
    need->found = need->found || !need->outside || !with;
}

static bool needs(Group *g, const Equation *e, bool outside)
{
    Need need = {g, outside, false};
    node_visit(g->p->c, e->body, note_need, &need);
    return need.found;
}

/* Members of another recurrence need what one of them needs. */
static bool partner_needs(Group *g, const Equation *e)
{
    Plan *p = g->p;
    for (uint32_t k = 0; e->tensor->group && k < p->equations.n; k++) {
        const Equation *other = p->equations.at[k];
        if (other->tensor->group == e->tensor->group && g->depends[other->tensor->id]) return true;
    }
    return false;
}

static void find_dependents(Group *g)
{
    Plan *p = g->p;
    g->depends = NEW_ARRAY(p->c, bool, p->n_by_tensor + 1);
    for (uint32_t k = 0; k < g->members.n; k++) g->depends[g->members.at[k]->tensor->id] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t k = 0; k < p->equations.n; k++) {
            const Equation *e = p->equations.at[k];
            if (e->storing == INLINED || g->depends[e->tensor->id]) continue;
            if (!needs(g, e, false) && !partner_needs(g, e)) continue;
            g->depends[e->tensor->id] = changed = true;
        }
    }
}

static void collect_members(Group *g)
{
    Plan *p = g->p;
    for (uint32_t k = 0; k < p->equations.n; k++) {
        Equation *e = p->equations.at[k];
        if (e->tensor->group == g->number && e->storing != INLINED) PUSH(p->c, &g->members, e);
    }
    const Tensor *first = g->members.at[0]->tensor;
    g->axis = first->dims[first->recurrence_axis];
    g->step = first->recurrence_step;
}

/* Readers that can run step by step with the recurrence, or once after its last step. */
static void collect_readers(Group *g)
{
    Plan *p = g->p;
    find_dependents(g);
    for (uint32_t k = 0; k < p->equations.n; k++) {
        Equation *e = p->equations.at[k];
        if (e->storing == INLINED || contains_equation(&g->members, e)) continue;
        Meets m = meets(g, e);
        bool outsider = needs(g, e, true);
        if (!m.any) continue;
        bool taken = e->tensor->group != 0 || e->stage; /* by another recurrence */
        if (!outsider && !taken && m.steps && !m.last && !m.other && has_dim(e->tensor, g->axis))
            PUSH(p->c, &g->along, e);
        else if (!outsider && !taken && m.last && !m.steps && !m.other && !has_dim(e->tensor, g->axis))
            PUSH(p->c, &g->after, e);
        else
            g->whole = g->whole || m.member;
    }
}

static void restrict_tasks(void *context, Node *n, const Binding *around)
{
    Group *g = context;
    if (n->op != N_READ) return;
    Equation *e = plan_equation(g->p, n->tensor);
    if (!e || (!contains_equation(&g->members, e) && !contains_equation(&g->along, e))) return;
    for (unsigned k = 0; k < n->tensor->n_dims; k++)
        if (!read_is_own(n, k, around)) set_remove(&g->apart, n->tensor->dims[k]->id);
}

static void restrict_to(Group *g, const Equations *list)
{
    for (uint32_t k = 0; k < list->n; k++) {
        IndexSet dims = set_of_dims(list->at[k]->tensor), inner = plan_inner(g->p->c, list->at[k]);
        g->apart = set_and(&g->apart, &dims);
        g->tasks = set_minus(&g->tasks, &inner);
        walk(g->p->c, list->at[k]->body, restrict_tasks, g);
    }
}

static unsigned dims_in(Group *g, const Tensor *t, const IndexSet *set, Index ***list)
{
    unsigned n = 0;
    *list = NEW_ARRAY(g->p->c, Index *, t->n_dims);
    for (unsigned k = 0; k < t->n_dims; k++)
        if (set_has(set, t->dims[k]->id)) (*list)[n++] = t->dims[k];
    return n;
}

static void scan_tasks(Group *g, Stage *s)
{
    const Tensor *first = g->members.at[0]->tensor;
    g->tasks = g->apart = set_of_dims(first);
    set_remove(&g->apart, g->axis->id);
    restrict_to(g, &g->members);
    restrict_to(g, &g->along);
    restrict_to(g, &g->after);
    g->tasks = set_and(&g->tasks, &g->apart);
    s->n_tasks = dims_in(g, first, &g->tasks, &s->tasks);
    s->n_apart = dims_in(g, first, &g->apart, &s->apart);
}

static unsigned depth_of(Group *g, const Equations *list)
{
    unsigned depth = 0;
    for (uint32_t k = 0; k < list->n; k++) {
        unsigned back = meets(g, list->at[k]).back;
        if (back > depth) depth = back;
    }
    return depth;
}

/* A state holds the last steps alone: the axis first, then the dims that are not tasks. */
static void make_state(Group *g, Equation *e, unsigned depth)
{
    Compilation *c = g->p->c;
    Index *dims[MAX_INDICES] = {g->axis};
    unsigned n = 1;
    for (unsigned k = 0; k < e->tensor->n_dims; k++) {
        Index *d = e->tensor->dims[k];
        if (d != g->axis && !set_has(&g->tasks, d->id)) dims[n++] = d;
    }
    e->storing = STATE;
    e->depth = depth;
    e->state = plan_tensor(c, e->tensor->name, e->tensor->type, n, dims);
    e->state->data = e->tensor->data;
}

static void add_stages(Group *g, Stage *scan, const Equations *list, bool after)
{
    for (uint32_t k = 0; k < list->n; k++) {
        Stage *s = equation_stage(g->p, list->at[k]);
        list->at[k]->stage = scan;
        if (after)
            PUSH(g->p->c, &scan->after, s);
        else
            PUSH(g->p->c, &scan->steps, s);
    }
}

static void plan_group(Plan *p, unsigned number)
{
    Group g = {.p = p, .number = number};
    collect_members(&g);
    collect_readers(&g);
    Stage *s = NEW(p->c, Stage);
    s->kind = STAGE_SCAN;
    s->axis = g.axis;
    s->step = g.step;
    scan_tasks(&g, s);
    for (uint32_t k = 0; k < g.members.n; k++) { /* steps at no fixed distance need them all */
        Meets m = meets(&g, g.members.at[k]);
        g.whole = g.whole || m.other || m.last;
    }
    unsigned depth = depth_of(&g, &g.members), along = depth_of(&g, &g.along);
    for (uint32_t k = 0; k < g.members.n && !g.whole; k++)
        make_state(&g, g.members.at[k], (along > depth ? along : depth) + 1);
    add_stages(&g, s, &g.members, false);
    add_stages(&g, s, &g.along, false);
    add_stages(&g, s, &g.after, true);
}

/* ---- order ---- */

typedef struct Order {
    Plan *p;
    const Stage *stage;
} Order;

static void place_stage(Plan *p, Stage *s);

static void place_read(void *context, Node *n, const Binding *around)
{
    (void)around;
    Order *o = context;
    Equation *e = n->op == N_READ ? plan_equation(o->p, n->tensor) : NULL;
    if (e && e->stage && e->stage != o->stage) place_stage(o->p, e->stage);
}

static void place_reads_of(Plan *p, const Stage *whole, const Stage *s)
{
    Order o = {p, whole};
    if (s->equation) walk(p->c, s->equation->body, place_read, &o);
    for (uint32_t k = 0; k < s->steps.n; k++) place_reads_of(p, whole, s->steps.at[k]);
    for (uint32_t k = 0; k < s->after.n; k++) place_reads_of(p, whole, s->after.at[k]);
}

static void place_stage(Plan *p, Stage *s)
{
    if (s->placed) return;
    s->placed = true;
    place_reads_of(p, s, s);
    PUSH(p->c, &p->stages, s);
}

/* The recurrence with the largest state comes first: what reads several runs along with it. */
static unsigned next_group(const Plan *p)
{
    unsigned group = 0;
    double largest = -1;
    for (uint32_t k = 0; k < p->equations.n; k++) {
        const Equation *e = p->equations.at[k];
        if (e->storing == INLINED || e->tensor->group == 0 || e->stage) continue;
        double n = plan_example_elements(p, e->tensor);
        if (n > largest) {
            largest = n;
            group = e->tensor->group;
        }
    }
    return group;
}

void plan_stages(Plan *p)
{
    for (unsigned group; (group = next_group(p)) != 0;) plan_group(p, group);
    for (uint32_t k = 0; k < p->equations.n; k++) {
        Equation *e = p->equations.at[k];
        if (e->storing == INLINED || e->stage) continue;
        choose_tasks(p, equation_stage(p, e));
    }
    for (uint32_t k = 0; k < p->equations.n; k++)
        if (p->equations.at[k]->stage) place_stage(p, p->equations.at[k]->stage);
}
