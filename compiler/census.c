/* See census.h.
 * Requires: a Kernel that loops_verify accepts. */
#include "census.h"

#include <stdlib.h>
#include <string.h>

#include "execute_cells.h"
#include "simplify.h"
#include "walk.h"

static const double most_steps = 3e7; /* statements that are executed, in a second and a half */

double work_flops(const Work *w) { return w->products + w->flops + w->special; }

/* ---- statements with what is known of them ---- */

typedef struct Touch {
    uint32_t buffer;
    bool store;
    double n;
} Touch;
typedef struct Step Step;
typedef VEC(Step *) Steps;
struct Step {
    const Statement *s;
    Node *lo, *hi, *step, *condition, *value; /* those of s, tests for NaN taken as false */
    bool known, needed;                       /* FOR, IF: can it be steered by? SET, STORE: does it steer? */
    bool holds_needed;                        /* something inside is needed */
    IndexSet steering;                        /* indices that steer inside */
    Work vector, scalar;                      /* of one execution, lanes apart */
    VEC(Touch) touches;
    double iterations; /* FOR: all together */
    Steps body, otherwise;
};

enum { MOST_LANES = 256 };
typedef struct Census {
    Compilation *c;
    Executor *x;
    const Kernel *k;
    CensusPhase *phase;
    const IndexSet *streamed;
    const Index *lane;    /* of the VECTOR loop around */
    double weight, lanes; /* how often this place is passed; lanes of it */
    double steps;         /* executed so far */
    bool own[MOST_LANES]; /* by lane: has it a query of its own? without a VECTOR loop, the first */
    bool changed;
    bool *local_unknown, *local_needed;
    bool *buffer_unknown, *buffer_needed;
    uint32_t *mark, stamp;   /* by Node.id: visited in pass number `stamp` */
    bool *result;            /*   what was found then */
    const Index **lane_mark; /* the same for one VECTOR loop */
    bool *lane_result;
} Census;

static uint32_t buffer_number(const Census *g, const Tensor *t)
{
    for (uint32_t k = 0; k < g->k->buffers.n; k++)
        if (g->k->buffers.at[k].tensor == t) return k;
    BUG(g->c, "no buffer holds '%s'", t->name);
}

/* x != x of a real: no data holds NaN here. */
static Node *drop_nan_test(void *context, Compilation *c, Node *n)
{
    (void)context;
    bool same = n->op == N_NE && n->args[0] == n->args[1] && n->args[0]->type == TYPE_REAL;
    return same ? node_bool(c, false) : n;
}

static Node *steering_form(Census *g, Node *n)
{
    if (!n || n->type == TYPE_REAL) return n;
    Node *form = node_rewrite(g->c, n, drop_nan_test, NULL);
    g->phase->hopeful |= form != n;
    return form;
}

/* ---- what one statement costs ---- */

static bool is_special(Op op)
{
    return is_transcendental(op) || op == N_DIV || op == N_SQRT || op == N_RSQRT;
}

/* Differs between lanes; reals in locals do. */
static bool in_lanes(Census *g, const Node *n)
{
    if (!g->lane) return false;
    if (node_depends_on(n, g->lane)) return true;
    if (n->n_args == 0) return n->op == N_LOCAL && n->type == TYPE_REAL;
    if (g->lane_mark[n->id] == g->lane) return g->lane_result[n->id];
    bool any = false;
    for (unsigned k = 0; k < n->n_args && !any; k++) any = in_lanes(g, n->args[k]);
    g->lane_mark[n->id] = g->lane;
    return g->lane_result[n->id] = any;
}

enum { NO_STRIDE = 1 << 20 };

/* What n grows by from lane to lane; NO_STRIDE: it is not the same everywhere. */
static int64_t lane_stride(const Node *n, const Index *lane)
{
    if (!node_depends_on(n, lane)) return 0;
    if (n->op == N_INDEX) return 1;
    int64_t a = n->n_args > 0 ? lane_stride(n->args[0], lane) : 0,
            b = n->n_args > 1 ? lane_stride(n->args[1], lane) : 0;
    if (a == NO_STRIDE || b == NO_STRIDE) return NO_STRIDE;
    switch (n->op) {
    case N_ADD: return a + b;
    case N_SUB: return a - b;
    case N_MIN: /* of the last query, which repeats */
    case N_MAX: return a && b && a != b ? NO_STRIDE : a ? a : b;
    case N_MUL: return node_is_int(n->args[0], 1) ? b : node_is_int(n->args[1], 1) ? a : NO_STRIDE;
    default: return NO_STRIDE;
    }
}

bool census_is_gather(const Buffer *b, const Node *read, const Index *lane)
{
    if (!b || b->kind == BUFFER_SCRATCH || !node_depends_on(read, lane)) return false;
    for (unsigned k = 0; k < read->n_args; k++) {
        int64_t stride = lane_stride(read->args[k], lane);
        if (stride != 0 && (k + 1 < read->n_args || (stride != 1 && stride != -1))) return true;
    }
    return false;
}

/* Of ints, by what is no power of 2: vectors have none, and by a literal it is a multiplication. */
static double divisions_of(const Node *n)
{
    if (n->op != N_FLOORDIV && n->op != N_MOD) return 0;
    const Node *by = n->args[1];
    if (by->op != N_INT) return 1;
    bool shifts = by->integer > 0 && (by->integer & (by->integer - 1)) == 0;
    return shifts ? 0 : 0.05;
}

static void touch(Census *g, Step *s, const Tensor *t, bool store, double n)
{
    PUSH(g->c, &s->touches, (Touch){buffer_number(g, t), store, n});
}

/* Every operation of the DAG once; coordinates of reads are addresses and cost nothing of their own, but
 * those of gathers. */
static void add_cost(Census *g, Step *s, const Node *n)
{
    if (!n || g->mark[n->id] == g->stamp) return;
    g->mark[n->id] = g->stamp;
    Work *w = in_lanes(g, n) ? &s->vector : &s->scalar;
    if (n->op == N_READ) {
        bool gather = g->lane && census_is_gather(kernel_buffer(g->k, n->tensor), n, g->lane);
        ++*(gather ? &w->gathers : &w->loads);
        for (unsigned k = 0; gather && k < n->n_args; k++) add_cost(g, s, n->args[k]);
        touch(g, s, n->tensor, false, w == &s->vector ? g->lanes : 1);
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) add_cost(g, s, n->args[k]);
    if (n->n_args == 0 || n->op == N_STOP) return;
    bool real = n->type == TYPE_REAL;
    if (!real || n->op == N_IF || n->args[0]->type != TYPE_REAL)
        w->ints++, w->divisions += divisions_of(n);
    else if (is_special(n->op))
        w->special++;
    else
        w->flops++;
}

/* x = x + a * b, also under a condition. */
static const Node *product_of(const Statement *s)
{
    const Node *n = s->value;
    if (s->kind != S_SET || n->type != TYPE_REAL) return NULL;
    if (n->op == N_IF) n = n->args[1];
    bool sum = n->op == N_ADD && n->args[0]->op == N_LOCAL && n->args[0]->local == s->local;
    return sum && n->args[1]->op == N_MUL ? n : NULL;
}

static void cost_of(Census *g, Step *s)
{
    g->stamp++;
    const Node *product = product_of(s->s);
    if (s->s->kind == S_NOTE || s->s->kind == S_PREFETCH) return;
    if (product) {
        (in_lanes(g, product) ? &s->vector : &s->scalar)->products += 2;
        g->mark[product->id] = g->mark[product->args[1]->id] = g->stamp;
        for (unsigned k = 0; k < 2; k++) add_cost(g, s, product->args[1]->args[k]);
        s->vector.loads = s->scalar.loads = 0; /* they run beside the products */
    }
    add_cost(g, s, s->s->value);
    add_cost(g, s, s->s->condition);
    if (s->s->kind != S_STORE) return;
    bool vector = in_lanes(g, s->s->value);
    for (unsigned k = 0; k < s->s->tensor->n_dims; k++) vector = in_lanes(g, s->s->subscripts[k]) || vector;
    (vector ? &s->vector : &s->scalar)->stores++;
    touch(g, s, s->s->tensor, true, vector ? g->lanes : 1);
}

static void add_costs(Census *g, const Steps *steps)
{
    for (uint32_t k = 0; k < steps->n; k++) {
        Step *s = steps->at[k];
        const Index *outer = g->lane;
        double lanes = g->lanes;
        if (s->s->kind == S_FOR && s->s->loop == LOOP_VECTOR) {
            g->lane = s->s->variable;
            g->lanes = loop_lanes(g->c, s->s);
        }
        cost_of(g, s);
        add_costs(g, &s->body);
        add_costs(g, &s->otherwise);
        g->lane = outer;
        g->lanes = lanes;
    }
}

static void build(Census *g, const Block *block, Steps *out)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        Step *step = NEW(g->c, Step);
        *step = (Step){.s = s,
                       .lo = steering_form(g, s->lo),
                       .hi = steering_form(g, s->hi),
                       .step = steering_form(g, s->step),
                       .condition = steering_form(g, s->condition),
                       .value = steering_form(g, s->value)};
        build(g, &s->body, &step->body);
        build(g, &s->otherwise, &step->otherwise);
        PUSH(g->c, out, step);
    }
}

/* ---- what can be known, and what must be ---- */

static bool is_known(Census *g, const Node *n)
{
    if (!n) return true;
    if (n->op == N_LOCAL) return !g->local_unknown[n->local->id];
    if (g->mark[n->id] == g->stamp) return g->result[n->id];
    bool known = n->op != N_READ || !g->buffer_unknown[buffer_number(g, n->tensor)];
    for (unsigned k = 0; k < n->n_args && known; k++) known = is_known(g, n->args[k]);
    g->mark[n->id] = g->stamp;
    return g->result[n->id] = known;
}

static void set_flag(Census *g, bool *flag)
{
    if (!*flag) g->changed = *flag = true;
}

static void spread_unknown(Census *g, const Steps *steps, bool under_unknown)
{
    for (uint32_t k = 0; k < steps->n; k++) {
        Step *s = steps->at[k];
        bool known = is_known(g, s->lo) && is_known(g, s->hi) && is_known(g, s->step) &&
                     is_known(g, s->condition) && !under_unknown;
        s->known = known;
        if (s->s->kind == S_SET && (under_unknown || !is_known(g, s->value)))
            set_flag(g, &g->local_unknown[s->s->local->id]);
        if (s->s->kind == S_STORE) {
            for (unsigned d = 0; d < s->s->tensor->n_dims; d++)
                known = known && is_known(g, s->s->subscripts[d]);
            if (!known || !is_known(g, s->value))
                set_flag(g, &g->buffer_unknown[buffer_number(g, s->s->tensor)]);
        }
        spread_unknown(g, &s->body, !known);
        spread_unknown(g, &s->otherwise, !known);
    }
}

static void need(Census *g, const Node *n)
{
    if (!n || g->mark[n->id] == g->stamp) return;
    g->mark[n->id] = g->stamp;
    if (n->op == N_LOCAL) set_flag(g, &g->local_needed[n->local->id]);
    if (n->op == N_READ) set_flag(g, &g->buffer_needed[buffer_number(g, n->tensor)]);
    for (unsigned k = 0; k < n->n_args; k++) need(g, n->args[k]);
}

static void need_steps(Census *g, const Steps *steps)
{
    for (uint32_t k = 0; k < steps->n; k++) {
        Step *s = steps->at[k];
        bool steers = s->known && (s->s->kind == S_FOR || s->s->kind == S_IF || s->s->kind == S_NOTE);
        if (s->s->kind == S_SET) steers = g->local_needed[s->s->local->id];
        if (s->s->kind == S_STORE) steers = g->buffer_needed[buffer_number(g, s->s->tensor)];
        if (steers && s->s->kind == S_STORE)
            for (unsigned d = 0; d < s->s->tensor->n_dims; d++) need(g, s->s->subscripts[d]);
        if (steers) {
            need(g, s->lo), need(g, s->hi), need(g, s->step);
            need(g, s->condition), need(g, s->value);
        }
        s->needed = steers;
        need_steps(g, &s->body);
        need_steps(g, &s->otherwise);
    }
}

static void add_free(IndexSet *set, const Node *n)
{
    if (n) *set = set_or(set, n->free);
}

/* Indices that steer, and whether something inside must be executed. */
static void summarise(Step *s)
{
    bool action = s->s->kind == S_SET || s->s->kind == S_STORE;
    s->holds_needed = action && s->needed;
    if (s->needed && !action) {
        add_free(&s->steering, s->lo), add_free(&s->steering, s->hi), add_free(&s->steering, s->step);
        add_free(&s->steering, s->condition), add_free(&s->steering, s->value);
    }
    for (unsigned half = 0; half < 2; half++) {
        const Steps *steps = half ? &s->otherwise : &s->body;
        for (uint32_t k = 0; k < steps->n; k++) {
            summarise(steps->at[k]);
            s->holds_needed = s->holds_needed || steps->at[k]->holds_needed;
            s->steering = set_or(&s->steering, &steps->at[k]->steering);
        }
    }
}

static void add_needed_free(IndexSet *set, const Steps *steps)
{
    for (uint32_t k = 0; k < steps->n; k++) {
        const Step *s = steps->at[k];
        *set = set_or(set, &s->steering);
        if (s->needed) {
            add_free(set, s->value);
            for (unsigned d = 0; s->s->kind == S_STORE && d < s->s->tensor->n_dims; d++)
                add_free(set, s->s->subscripts[d]);
        }
        add_needed_free(set, &s->body);
        add_needed_free(set, &s->otherwise);
    }
}

/* ---- walking ---- */

static void run_steps(Census *g, const Steps *steps);

static void add_work(Work *to, const Work *w, double times)
{
    to->products += times * w->products;
    to->flops += times * w->flops;
    to->special += times * w->special;
    to->ints += times * w->ints;
    to->divisions += times * w->divisions;
    to->loads += times * w->loads;
    to->stores += times * w->stores;
    to->gathers += times * w->gathers;
}

static void pay(Census *g, const Step *s)
{
    CensusPhase *p = g->phase;
    add_work(&p->vector, &s->vector, g->weight * g->lanes);
    add_work(&p->scalar, &s->scalar, g->weight);
    if (g->lane) p->spared_stores += g->weight * s->scalar.stores * (g->lanes - 1);
    for (uint32_t k = 0; k < s->touches.n; k++) {
        const Touch *t = &s->touches.at[k];
        (t->store ? p->written : p->read)[t->buffer] += g->weight * t->n;
    }
}

static int64_t number(Census *g, const Node *n, int64_t without)
{
    return n ? execute_eval(g->x, n).i : without;
}

static void run_for(Census *g, Step *s)
{
    int64_t *at = &g->x->value[s->s->variable->id], outer = *at;
    int64_t lo = 0, hi = 0, step = 1;
    if (s->known) {
        lo = number(g, s->lo, 0);
        hi = number(g, s->hi, 0);
        step = number(g, s->step, 1);
    } else { /* as long as it can be */
        g->phase->exact = false;
        hi = execute_extent(g->x, s->s->variable);
    }
    double trips = hi > lo && step > 0 ? (double)((hi - lo + step - 1) / step) : 0, weight = g->weight;
    s->iterations += weight * trips;
    if (g->streamed && set_has(g->streamed, s->s->variable->id) && s->iterations > g->phase->longest)
        g->phase->longest = s->iterations;
    bool vector = s->s->loop == LOOP_VECTOR;
    bool once = vector || (!s->holds_needed && !set_has(&s->steering, s->s->variable->id));
    const Index *lane = g->lane;
    double lanes = g->lanes;
    if (vector) {
        g->lane = s->s->variable;
        g->lanes = trips;
        if (g->phase->lanes < trips) g->phase->lanes = (unsigned)trips;
    } else if (once)
        g->weight *= trips;
    *at = lo;
    if (trips > 0 && once) run_steps(g, &s->body);
    for (*at = s->s->down ? hi - 1 : lo; !once && *at >= lo && *at < hi; *at += s->s->down ? -1 : step)
        run_steps(g, &s->body);
    *at = outer;
    g->weight = weight;
    g->lane = lane;
    g->lanes = lanes;
}

static void run_if(Census *g, const Step *s)
{
    if (s->known) {
        run_steps(g, number(g, s->condition, 1) ? &s->body : &s->otherwise);
        return;
    }
    g->phase->exact = false;
    run_steps(g, &s->body);
    run_steps(g, &s->otherwise);
}

static void note_strip(Census *g, const Step *s)
{
    int64_t *at = g->lane ? &g->x->value[g->lane->id] : NULL;
    g->phase->strips += g->weight;
    g->own[0] = number(g, s->condition, 1) != 0;
    for (int64_t k = 0; at && k < (int64_t)g->lanes && k < MOST_LANES; k++) {
        *at = k;
        g->own[k] = number(g, s->condition, 1) != 0;
    }
    if (at) *at = 0;
}

/* Lanes here with a query of their own. */
static double own_lanes(const Census *g)
{
    int64_t first = g->lane ? g->x->value[g->lane->id] : 0, n = 0;
    for (int64_t k = first; k < first + (int64_t)g->lanes && k < MOST_LANES; k++) n += g->own[k];
    return (double)n;
}

static void note_box(Census *g, const Step *s)
{
    if (s->s->check >= CENSUS_STREAMS) return;
    CensusStream *stream = &g->phase->streams[s->s->check];
    bool partial = s->condition && number(g, s->condition, 0);
    if (s->s->check >= g->phase->n_streams) g->phase->n_streams = s->s->check + 1;
    if (partial)
        stream->partial += g->weight;
    else
        stream->full += g->weight;
    stream->visited += g->weight * own_lanes(g) * (double)number(g, s->value, 0);
}

static void run_note(Census *g, const Step *s)
{
    if (!s->known || !s->s->text) return;
    if (!strcmp(s->s->text, CENSUS_STRIP)) note_strip(g, s);
    if (!strcmp(s->s->text, CENSUS_BOX)) note_box(g, s);
    if (!strcmp(s->s->text, CENSUS_ROUNDS)) g->weight *= (double)number(g, s->value, 0) / s->s->check;
}

static void run_set(Census *g, const Step *s)
{
    if (!s->needed) return;
    g->x->locals[s->s->local->id] = execute_eval(g->x, s->value);
    g->x->local_task[s->s->local->id] = g->x->task;
}

static void run_step(Census *g, Step *s)
{
    if (++g->steps > most_steps) execute_fail(g->x, "too long");
    pay(g, s);
    switch (s->s->kind) {
    case S_FOR: run_for(g, s); break;
    case S_IF: run_if(g, s); break;
    case S_SET: run_set(g, s); break;
    case S_STORE:
        if (s->needed) execute_store(g->x, s->s->tensor, s->s->subscripts, execute_eval(g->x, s->value));
        break;
    case S_NOTE: run_note(g, s); break;
    default: break;
    }
}

static void run_steps(Census *g, const Steps *steps)
{
    for (uint32_t k = 0; k < steps->n; k++) run_step(g, steps->at[k]);
}

/* ---- phases and tasks ---- */

static void start_task(Census *g)
{
    Executor *x = g->x;
    x->task++;
    for (uint32_t k = 0; k < x->k->buffers.n; k++) {
        Area *a = &x->areas[k];
        if (a->buffer->kind == BUFFER_SCRATCH && a->writer) memset(a->writer, 0, a->n * sizeof *a->writer);
    }
}

/* Will so many tasks take too long, by the steps of those that are done? The first ones may be longer than others. */
static bool hopeless(double steps, double done, double all)
{
    return steps > most_steps / 100 && steps / done * all > 4 * most_steps;
}

/* Task indices that steer one by one; the others multiply. */
static void run_tasks(Census *g, const Phase *p, const Steps *steps, const IndexSet *steering,
                      unsigned number)
{
    if (number == p->n_tasks) {
        start_task(g);
        run_steps(g, steps);
        return;
    }
    Index *index = p->tasks[number];
    int64_t extent = execute_extent(g->x, index);
    double weight = g->weight, before = g->steps;
    bool one_by_one = set_has(steering, index->id);
    if (!one_by_one) g->weight *= (double)extent;
    for (int64_t at = 0; at < extent && (one_by_one || at == 0); at++) {
        g->x->value[index->id] = at;
        run_tasks(g, p, steps, steering, number + 1);
        if (one_by_one && hopeless(g->steps - before, (double)at + 1, (double)extent))
            execute_fail(g->x, "too long");
    }
    g->weight = weight;
}

static void run_phase(Census *g, const Phase *p, Steps *steps)
{
    IndexSet steering = {{0}};
    g->weight = g->lanes = 1;
    g->lane = NULL;
    g->phase->tasks = 1;
    for (unsigned k = 0; k < p->n_tasks; k++) g->phase->tasks *= (double)execute_extent(g->x, p->tasks[k]);
    add_needed_free(&steering, steps);
    g->x->first_task = g->x->task + 1;
    run_tasks(g, p, steps, &steering, 0);
}

/* ---- memory of what steers ---- */

static void make_area(Census *g, uint32_t number)
{
    Executor *x = g->x;
    Area *a = &x->areas[number];
    const Buffer *b = &g->k->buffers.at[number];
    const Tensor *t = b->tensor;
    *a = (Area){.buffer = b, .n_dims = t->n_dims, .n = 1};
    a->extents = NEW_ARRAY(&x->memory, int64_t, t->n_dims + 1);
    a->bounds = NEW_ARRAY(&x->memory, int64_t, t->n_dims + 1);
    for (unsigned k = 0; k < t->n_dims; k++) {
        a->bounds[k] = execute_extent(x, t->dims[k]);
        a->extents[k] = b->ring == (int)k ? (int64_t)b->ring_depth : a->bounds[k];
        a->n *= (uint64_t)a->extents[k];
    }
    if (!g->buffer_needed[number]) return;
    const InterpretTensor *bound = b->kind == BUFFER_BOUND ? execute_bound(x, t) : NULL;
    if (bound && t->role != ROLE_OUTPUT) {
        a->data = bound->data;
        return;
    }
    a->data = arena_alloc(&x->memory, 8 * (a->n + 1));
    a->writer = NEW_ARRAY(&x->memory, uint32_t, a->n + 1);
    if (b->ring >= 0) a->step = NEW_ARRAY(&x->memory, int64_t, a->n + 1);
}

/* Reals that are computed are not; inputs are where their data is given. */
static void start_flags(Census *g)
{
    const Kernel *k = g->k;
    g->local_unknown = NEW_ARRAY(g->c, bool, k->n_locals + 1);
    g->local_needed = NEW_ARRAY(g->c, bool, k->n_locals + 1);
    g->buffer_unknown = NEW_ARRAY(g->c, bool, k->buffers.n + 1);
    g->buffer_needed = NEW_ARRAY(g->c, bool, k->buffers.n + 1);
    for (uint32_t b = 0; b < k->buffers.n; b++) {
        const Tensor *t = k->buffers.at[b].tensor;
        bool input = k->buffers.at[b].kind == BUFFER_BOUND && t->role != ROLE_OUTPUT;
        const InterpretTensor *bound = input ? execute_bound(g->x, t) : NULL;
        g->buffer_unknown[b] = input ? !bound || !bound->data : t->type == TYPE_REAL;
    }
}

static void spread_real_locals(Census *g, const Steps *steps)
{
    for (uint32_t k = 0; k < steps->n; k++) {
        const Statement *s = steps->at[k]->s;
        if (s->kind == S_SET && s->local->type == TYPE_REAL && s->value->data)
            g->local_unknown[s->local->id] = true;
        spread_real_locals(g, &steps->at[k]->body);
        spread_real_locals(g, &steps->at[k]->otherwise);
    }
}

static void analyse(Census *g, Steps *phases, uint32_t n)
{
    start_flags(g);
    for (uint32_t k = 0; k < n; k++) spread_real_locals(g, &phases[k]);
    for (g->changed = true; g->changed;) {
        g->changed = false;
        g->stamp++;
        for (uint32_t k = 0; k < n; k++) spread_unknown(g, &phases[k], false);
    }
    for (g->changed = true; g->changed;) {
        g->changed = false;
        g->stamp++;
        for (uint32_t k = 0; k < n; k++) need_steps(g, &phases[k]);
    }
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t s = 0; s < phases[k].n; s++) summarise(phases[k].at[s]);
}

static void start_phase(Census *g, CensusPhase *phase)
{
    *phase = (CensusPhase){.exact = true, .complete = true};
    phase->read = NEW_ARRAY(g->c, double, g->k->buffers.n + 1);
    phase->written = NEW_ARRAY(g->c, double, g->k->buffers.n + 1);
}

static void run(Census *g, Steps *steps, const IndexSet *streamed, CensusPhase *phases)
{
    Executor *x = g->x;
    volatile uint32_t at = 0;
    if (setjmp(x->memory.escape)) {
        if (x->memory.exhausted) compilation_no_memory(g->c);
        for (uint32_t k = at; k < g->k->phases.n; k++) phases[k].complete = false;
        return; /* also what the data of an example does wrong */
    }
    for (unsigned k = 0; k < MAX_INDICES; k++) x->extent[k] = -1;
    x->locals = NEW_ARRAY(&x->memory, Scalar, g->k->n_locals + 1);
    x->local_task = NEW_ARRAY(&x->memory, uint32_t, g->k->n_locals + 1);
    x->areas = NEW_ARRAY(&x->memory, Area, g->k->buffers.n + 1);
    for (uint32_t k = 0; k < g->k->buffers.n; k++) make_area(g, k);
    for (; at < g->k->phases.n; at++) {
        g->phase = &phases[at];
        g->streamed = streamed ? &streamed[at] : NULL;
        run_phase(g, &g->k->phases.at[at], &steps[at]);
    }
}

static void start_marks(Census *g)
{
    uint32_t n = g->c->next_node + 1;
    g->mark = NEW_ARRAY(g->c, uint32_t, n);
    g->result = NEW_ARRAY(g->c, bool, n);
    g->lane_mark = NEW_ARRAY(g->c, const Index *, n);
    g->lane_result = NEW_ARRAY(g->c, bool, n);
}

void census(Compilation *c, const Kernel *k, const InterpretArguments *arguments, const IndexSet *streamed,
            CensusPhase *phases)
{
    uint32_t n = k->phases.n;
    Executor *x = NEW(c, Executor);
    compilation_init(&x->memory);
    compilation_adopt(c, &x->memory);
    x->k = k;
    x->arguments = arguments;
    Census g = {.c = c, .x = x, .k = k, .lanes = 1};
    Steps *steps = NEW_ARRAY(c, Steps, n + 1);
    for (uint32_t p = 0; p < n; p++) {
        g.phase = &phases[p];
        start_phase(&g, g.phase);
        build(&g, &k->phases.at[p].body, &steps[p]);
    }
    start_marks(&g);
    for (uint32_t p = 0; p < n; p++) add_costs(&g, &steps[p]);
    analyse(&g, steps, n);
    run(&g, steps, streamed, phases);
    compilation_free(&x->memory);
}
