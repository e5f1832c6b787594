/* Building the plan: which equations are inlined, which stored.
 * Requires: a verified Graph. Ensures: every equation has a body over stored tensors alone, a decision and,
 * unless it is inlined, one stage. Breaks: nothing of the Graph; expressions of the plan are its own. */
#include "plan_internal.h"

#include "example.h"

static const char *const stage_names[] = {
#define STAGE(name, text) text,
#include "stage_list.h"
#undef STAGE
};

const char *stage_name(StageKind kind) { return stage_names[kind]; }

const char *reason_text(Reason reason)
{
    static const char *const texts[] = {
#define REASON(name, text, words) text,
#include "reason_list.h"
#undef REASON
    };
    return texts[reason];
}

const char *reason_words(Reason reason)
{
    static const char *const all[] = {
#define REASON(name, text, words) words,
#include "reason_list.h"
#undef REASON
    };
    return all[reason];
}

Equation *plan_equation(const Plan *p, const Tensor *t)
{
    return t->id < p->n_by_tensor ? p->by_tensor[t->id] : NULL;
}

static void index_by_tensor(Plan *p, Equation *e)
{
    if (e->tensor->id >= p->n_by_tensor) {
        uint32_t n = e->tensor->id + 64;
        Equation **wider = NEW_ARRAY(p->c, Equation *, n);
        for (uint32_t k = 0; k < p->n_by_tensor; k++) wider[k] = p->by_tensor[k];
        p->by_tensor = wider;
        p->n_by_tensor = n;
    }
    p->by_tensor[e->tensor->id] = e;
}

Equation *plan_add(Plan *p, Tensor *t, Node *body) { return plan_insert(p, p->equations.n, t, body); }

Equation *plan_insert(Plan *p, uint32_t at, Tensor *t, Node *body)
{
    Equation *e = NEW(p->c, Equation);
    e->tensor = t;
    e->body = body;
    PUSH(p->c, &p->equations, e);
    for (uint32_t k = p->equations.n - 1; k > at; k--) p->equations.at[k] = p->equations.at[k - 1];
    p->equations.at[at] = e;
    index_by_tensor(p, e);
    return e;
}

Tensor *plan_tensor(Compilation *c, const char *name, Type type, unsigned n_dims, Index **dims)
{
    static const StorageType storages[] = {
        [TYPE_BOOL] = STORAGE_BOOL, [TYPE_INT] = STORAGE_INT, [TYPE_REAL] = STORAGE_FLOAT};
    Tensor *t = NEW(c, Tensor);
    t->name = name;
    t->id = c->next_tensor++;
    t->role = ROLE_EQUATION;
    t->type = type;
    t->storage = storages[type];
    t->n_dims = n_dims;
    t->dims = NEW_ARRAY(c, Index *, n_dims);
    for (unsigned k = 0; k < n_dims; k++) t->dims[k] = dims[k];
    t->recurrence_axis = -1;
    return t;
}

/* ---- outputs that are read ---- */

typedef struct Replace {
    Tensor *from, *to;
} Replace;

static Node *replace_tensor(void *context, Compilation *c, Node *n)
{
    Replace *r = context;
    return n->op == N_READ && n->tensor == r->from ? node_read(c, r->to, n->args, n->guarded) : n;
}

static bool is_read(const Plan *p, const Tensor *t)
{
    Uses *u = plan_uses(p);
    return u[t->id].readers > 0;
}

static Node *read_own(Compilation *c, Tensor *t)
{
    Node **at = NEW_ARRAY(c, Node *, t->n_dims);
    for (unsigned k = 0; k < t->n_dims; k++) at[k] = node_index(c, t->dims[k]);
    return node_read(c, t, at, false);
}

static void split_output(Plan *p, uint32_t at)
{
    Compilation *c = p->c;
    Tensor *out = p->equations.at[at]->tensor;
    Tensor *inner = NEW(c, Tensor);
    *inner = *out;
    inner->id = c->next_tensor++;
    inner->role = ROLE_EQUATION;
    inner->storage = out->type == TYPE_REAL ? STORAGE_FLOAT : out->storage;
    p->equations.at[at]->tensor = inner;
    index_by_tensor(p, p->equations.at[at]);
    Replace r = {out, inner};
    for (uint32_t k = 0; k < p->equations.n; k++)
        p->equations.at[k]->body = node_rewrite(c, p->equations.at[k]->body, replace_tensor, &r);
    plan_add(p, out, read_own(c, inner))->origin = "rounded to its storage type, and for its caller alone";
}

/* Storage types round and may be strided; what others read is kept in the compute type. An output that is a
 * member of a recurrence is split too: its copy is a reader outside of it. */
void plan_split_outputs(Plan *p)
{
    uint32_t n = p->equations.n;
    for (uint32_t k = 0; k < n; k++) {
        Tensor *t = p->equations.at[k]->tensor;
        if (t->role == ROLE_OUTPUT && (t->group != 0 || is_read(p, t))) split_output(p, k);
    }
}

/* ---- outlining ---- */

static bool holds_check(const Plan *p, const Node *n)
{
    return p->graph->pattern->checks.n > 0 && contains_op(p->c, n, N_CHECK);
}

typedef struct Outline {
    Plan *p;
    Equation *reader;
    IndexSet dims;
    Node *found;
    const char *why; /* it is taken out */
} Outline;

typedef struct FreeDims {
    Compilation *c;
    const Node *n;
    VEC(Index *) dims;
} FreeDims;

static void add_dim(FreeDims *d, Index *index)
{
    if (!set_has(d->n->free, index->id)) return;
    for (uint32_t k = 0; k < d->dims.n; k++)
        if (d->dims.at[k] == index) return;
    PUSH(d->c, &d->dims, index);
}

static void add_vars(void *context, Node *n, const Binding *around)
{
    (void)around;
    for (unsigned k = 0; k < n->n_vars; k++) add_dim(context, n->vars[k]);
}

/* The free indices of a part of `reader`: in the order of its dims, then of the binders around; `rows_last`:
 * ambient ones, those of the binders, other dims. */
static FreeDims free_dims(Compilation *c, const Node *n, const Equation *reader, bool rows_last)
{
    FreeDims d = {.c = c, .n = n};
    const Tensor *t = reader->tensor;
    for (unsigned k = 0; k < t->n_dims; k++)
        if (!rows_last || t->dims[k]->ambient) add_dim(&d, t->dims[k]);
    walk(c, reader->body, add_vars, &d);
    for (unsigned k = 0; k < t->n_dims; k++) add_dim(&d, t->dims[k]);
    return d;
}

static bool reads_group(const Plan *p, const Node *n, unsigned group)
{
    if (group == 0) return false;
    if (n->op == N_READ && n->tensor->group == group) return true;
    for (unsigned k = 0; k < n->n_args; k++)
        if (reads_group(p, n->args[k], group)) return true;
    return false;
}

typedef struct Weights {
    const Plan *p;
    bool any;
} Weights;

static void look_for_weights(void *context, const Node *n)
{
    Weights *w = context;
    const Equation *e = n->op == N_READ ? plan_equation(w->p, n->tensor) : NULL;
    w->any |= n->op == N_NORMALISE || (e && contains_op(w->p->c, e->body, N_NORMALISE));
}

static bool sums_weights(const Plan *p, const Node *n)
{
    Weights w = {.p = p};
    node_visit(p->c, n, look_for_weights, &w);
    return w.any;
}

static void add_lacking(Text *out, const Node *n, unsigned count, Index *const *indices)
{
    for (unsigned k = 0; k < count; k++)
        if (!set_has(n->free, indices[k]->id)) text_add(out, "%s%s", out->n ? ", " : "", indices[k]->name);
}

/* The indices around it that it lacks. */
static const char *lacking(const Outline *o, const Node *n, const Binding *around)
{
    Text out = {.c = o->p->c};
    add_lacking(&out, n, o->reader->tensor->n_dims, o->reader->tensor->dims);
    for (const Binding *b = around; b && b->binder; b = b->outer)
        add_lacking(&out, n, b->binder->n_vars, b->binder->vars);
    return out.n ? out.at : "";
}

static void find_outline(void *context, Node *n, const Binding *around)
{
    Outline *o = context;
    if (o->found || !node_is_binder(n) || holds_check(o->p, n)) return;
    IndexSet scope = set_or(&o->dims, &around->bound);
    bool scan = n->op == N_SCAN && n != o->reader->body; /* runs once for all of its positions */
    bool chosen = around->binder && plan_is_selection(around->binder) && n->op == N_REDUCE &&
                  sums_weights(o->p, n); /* what is chosen from is kept as a row anyway */
    if (!scan && !chosen && set_within(&scope, n->free)) return;
    o->found = n;
    o->why = scan     ? "a scan in it"
             : chosen ? "what it chooses from"
                      : format(o->p->c, "a part of it that does not depend on %s", lacking(o, n, around));
}

Node *plan_part(Plan *p, uint32_t at, const char *name, Node *part, bool rows_last)
{
    Equation *reader = p->equations.at[at];
    FreeDims d = free_dims(p->c, part, reader, rows_last);
    Tensor *t = plan_tensor(p->c, name, part->type, d.dims.n, d.dims.at);
    t->data = part->data;
    t->span = reader->tensor->span;
    if (reads_group(p, part, reader->tensor->group)) {
        t->group = reader->tensor->group;
        t->recurrence_step = reader->tensor->recurrence_step;
        for (unsigned k = 0; k < d.dims.n; k++)
            if (d.dims.at[k] == reader->tensor->dims[reader->tensor->recurrence_axis])
                t->recurrence_axis = (int)k;
    }
    plan_insert(p, at, t, part);
    return read_own(p->c, t);
}

static bool outline_one(Plan *p, uint32_t at)
{
    Equation *reader = p->equations.at[at];
    Outline o = {.p = p, .reader = reader, .dims = set_of_dims(reader->tensor)};
    walk(p->c, reader->body, find_outline, &o);
    if (!o.found) return false;
    const char *name = format(p->c, "%s.part%u", reader->tensor->name, ++reader->parts);
    Node *read = plan_part(p, at, name, o.found, false);
    plan_equation(p, read->tensor)->origin = format(p->c, "of %s: %s", reader->tensor->name, o.why);
    reader->body = node_replace(p->c, reader->body, o.found, read);
    return true;
}

void plan_outline(Plan *p)
{
    for (uint32_t k = 0; k < p->equations.n; k++)
        while (outline_one(p, k)) continue;
}

/* ---- decisions ---- */

typedef struct UseWalk {
    Plan *p;
    Uses *uses;
    const Equation *reader;
    IndexSet dims;
    bool noted; /* in Equation.readers */
} UseWalk;

static bool normalises_over(Compilation *c, const Node *n, const IndexSet *bound)
{
    if (n->op == N_NORMALISE) {
        IndexSet vars = set_of_vars(n);
        return set_within(&vars, bound);
    }
    if (node_is_binder(n)) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (normalises_over(c, n->args[k], bound)) return true;
    return false;
}

/* Is no more evaluated there than the tensor holds, and can it be evaluated there? */
static bool is_slice(const UseWalk *w, const Node *read, const Binding *around)
{
    const Plan *p = w->p;
    const Tensor *t = read->tensor;
    double n = plan_example_elements(p, w->reader->tensor);
    for (const Binding *b = around; b && b->binder; b = b->outer)
        for (unsigned k = 0; k < b->binder->n_vars; k++) n *= plan_example_extent(p, b->binder->vars[k]);
    return n <= plan_example_elements(p, t) &&
           node_substitutable(p->c, plan_equation(p, t)->body, t->n_dims, t->dims, read->args);
}

static void note_use(void *context, Node *n, const Binding *around)
{
    UseWalk *w = context;
    if (n->op != N_READ || !plan_equation(w->p, n->tensor)) return;
    Uses *u = &w->uses[n->tensor->id];
    if (u->last != w->reader) {
        u->readers++;
        if (w->noted) PUSH(w->p->c, &plan_equation(w->p, n->tensor)->readers, w->reader);
    }
    u->last = w->reader;
    u->own = u->own && read_is_identity(n);
    if (!read_is_identity(n)) PUSH(w->p->c, &u->moved, n);
    IndexSet dims = set_of_dims(n->tensor), scope = set_or(&w->dims, &around->bound),
             rest = set_minus(&scope, &dims);
    u->exact = u->exact && u->own && set_is_empty(&rest);
    bool inside = around->binder && set_within(&around->bound, &dims) && set_within(&rest, &w->dims);
    u->streamed = u->streamed && u->own && inside;
    u->sliced = u->sliced && ((read_is_identity(n) && inside) || is_slice(w, n, around));
    u->weights = u->weights && u->own && inside &&
                 normalises_over(w->p->c, plan_equation(w->p, n->tensor)->body, &around->bound);
}

static Uses *find_uses(const Plan *p, bool noted)
{
    Uses *uses = NEW_ARRAY(p->c, Uses, p->c->next_tensor + 1);
    for (uint32_t k = 0; k <= p->c->next_tensor; k++)
        uses[k].own = uses[k].exact = uses[k].streamed = uses[k].sliced = uses[k].weights = true;
    for (uint32_t k = 0; k < p->equations.n; k++) {
        Equation *e = p->equations.at[k];
        UseWalk w = {(Plan *)p, uses, e, set_of_dims(e->tensor), noted};
        walk(p->c, e->body, note_use, &w);
    }
    return uses;
}

Uses *plan_uses(const Plan *p) { return find_uses(p, false); }

bool plan_is_selection(const Node *n)
{
    return n->op == N_TOPK || n->op == N_TOPP || n->op == N_RANK || n->op == N_TOP_INDEX ||
           n->op == N_POSITIONS;
}

static void find_costly(void *context, const Node *n)
{
    bool *costly = context;
    *costly = *costly || node_is_binder(n) || (n->data && is_transcendental(n->op));
}

/* As cheap to compute again as to load. */
static bool is_cheap(Compilation *c, const Node *n)
{
    bool costly = false;
    node_visit(c, n, find_costly, &costly);
    return !costly && node_count(c, n) <= 24;
}

double plan_example_extent(const Plan *p, Index *index)
{
    return index->ambient ? 1 : (double)example_extent(p->c, p->graph->pattern, index);
}

/* Elements at the sizes of the example, which stand for the sizes that the pattern is made for. */
double plan_example_elements(const Plan *p, const Tensor *t)
{
    double n = 1;
    for (unsigned k = 0; k < t->n_dims; k++) n *= plan_example_extent(p, t->dims[k]);
    return n;
}

double plan_largest_bound(const Plan *p)
{
    double largest = 0;
    for (uint32_t k = 0; k < p->graph->pattern->tensors.n; k++) {
        double n = plan_example_elements(p, p->graph->pattern->tensors.at[k]);
        if (n > largest) largest = n;
    }
    return largest;
}

/* Has the equation, in which others are inlined by now, a value wherever it is read? */
static bool is_movable(const Plan *p, const Equation *e, const Uses *u)
{
    const Tensor *t = e->tensor;
    for (uint32_t k = 0; k < u->moved.n; k++)
        if (!node_substitutable(p->c, e->body, t->n_dims, t->dims, u->moved.at[k]->args)) return false;
    return true;
}

static Reason decide(const Plan *p, Equation *e, const Uses *u, double largest, bool recurrent)
{
    e->storing = STORED;
    if (e->tensor->role == ROLE_OUTPUT) return REASON_OUTPUT;
    if (recurrent && !u->own) return REASON_STATE;
    if (plan_is_selection(e->body)) return REASON_SELECTION;
    if (e->body->op == N_SCAN) return REASON_SCAN;
    bool chosen = u->last && plan_is_selection(u->last->body);
    if (chosen && e->body->op == N_REDUCE && contains_op(p->c, e->body, N_NORMALISE)) return REASON_CHOSEN;
    e->storing = INLINED;
    bool movable = u->own || !contains_binder(p->c, e->body);
    if (!recurrent && movable && holds_check(p, e->body)) return REASON_CHECKED;
    if (is_cheap(p->c, e->body)) return REASON_CHEAP;
    bool large = plan_example_elements(p, e->tensor) > largest;
    if (u->exact && u->readers == 1) return REASON_ONE_READER;
    if (u->exact && large) return REASON_OWN;
    if (u->weights) return REASON_WEIGHTS;
    if (u->streamed && large) return REASON_LARGE;
    bool scanned = recurrent || (u->last && u->last->tensor->group != 0);
    bool sliced = u->sliced && large && is_movable(p, e, u);
    if ((u->streamed || sliced) && !scanned && plan_is_spreadable(e->body)) return REASON_SPREAD;
    e->storing = STORED;
    return !u->own ? REASON_MOVED : u->exact ? REASON_READERS : REASON_REPEATED;
}

static Node *guard_reads(void *context, Compilation *c, Node *n)
{
    (void)context;
    return n->op == N_READ && !n->guarded ? node_read(c, n->tensor, n->args, true) : n;
}

static Node *inline_read(void *context, Compilation *c, Node *n)
{
    const Plan *p = context;
    if (n->op != N_READ) return n;
    const Equation *e = plan_equation(p, n->tensor);
    if (!e || e->storing != INLINED) return n;
    Index *from[MAX_INDICES];
    Node *to[MAX_INDICES];
    unsigned count = 0;
    for (unsigned k = 0; k < n->n_args; k++) {
        if (n->args[k]->op == N_INDEX && n->args[k]->index == n->tensor->dims[k]) continue;
        from[count] = n->tensor->dims[k];
        to[count++] = n->args[k];
    }
    Node *body = n->guarded ? node_rewrite(c, e->body, guard_reads, NULL) : e->body;
    return count ? node_substitute(c, body, count, from, to) : body;
}

/* In topological order, so that what is inlined holds stored tensors alone. */
void plan_decide(Plan *p)
{
    Uses *uses = find_uses(p, true);
    double largest = plan_largest_bound(p);
    for (uint32_t k = 0; k < p->equations.n; k++) p->equations.at[k]->storing = STORED;
    for (uint32_t k = 0; k < p->equations.n; k++) {
        Equation *e = p->equations.at[k];
        e->body = simplify(p->c, node_rewrite(p->c, e->body, inline_read, p));
        e->reason = decide(p, e, &uses[e->tensor->id], largest, e->tensor->group != 0);
        if (e->storing == INLINED && !e->readers.n) e->reason = REASON_UNREAD;
    }
}

Plan *plan_build(Compilation *c, const Graph *graph)
{
    Plan *p = NEW(c, Plan);
    p->c = c;
    p->graph = graph;
    for (uint32_t k = 0; k < graph->equations.n; k++)
        plan_add(p, graph->equations.at[k], graph->equations.at[k]->body);
    plan_split_outputs(p);
    for (uint32_t k = 0; k < p->equations.n; k++)
        p->equations.at[k]->body = simplify(c, p->equations.at[k]->body);
    plan_outline(p);
    plan_spread_maps(p);
    plan_decide(p);
    plan_split_sums(p);
    plan_statistics(p);
    plan_stages(p);
    return p;
}
