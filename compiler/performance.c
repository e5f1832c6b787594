/* See performance.h.
 * Requires: a Plan and the Kernel lowered from it. Breaks: nothing; both are only read. */
#include "performance.h"

#include <math.h>
#include <string.h>

#include "box.h"
#include "census.h"
#include "example.h"
#include "plan_internal.h"
#include "tape.h"

static const double large_bytes = 64 << 20;

typedef struct Look {
    Compilation *c;
    const Plan *plan;
    const Kernel *kernel;
    const InterpretArguments *arguments;
    bool sized;         /* these were asked for; else they are the example's */
    const Stage *stage; /* of the phase being looked at */
    const Phase *phase;
    const Index *lane; /* of the VECTOR loop around */
    bool told_mask, told_plain;
    VEC(const Tensor *) told; /* gathers that have been named */
} Look;

static const char *shortly(Compilation *c, const Node *n)
{
    Text text = {.c = c};
    node_print_short(&text, n);
    return text.at;
}

/* ---- P001: masks ---- */

static bool is_true(const Node *n)
{
    if (n->op == N_OR) return is_true(n->args[0]) || is_true(n->args[1]);
    if (n->op == N_AND) return is_true(n->args[0]) && is_true(n->args[1]);
    return node_is_bool(n, true);
}

typedef struct Sets {
    const Local *local;
    bool any, always; /* set at all; to nothing but TRUE */
} Sets;

static void find_sets(Sets *s, const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *x = block->at[k];
        if (x->kind == S_SET && x->local == s->local) {
            s->any = true;
            s->always = s->always && is_true(x->value);
        }
        find_sets(s, &x->body);
        find_sets(s, &x->otherwise);
    }
}

/* Must this block be masked, whatever it is? */
static bool is_always(const Look *x, const Node *partial)
{
    if (!partial || is_true(partial)) return partial != NULL;
    Sets s = {partial->op == N_LOCAL ? partial->local : NULL, false, true};
    if (s.local) find_sets(&s, &x->phase->body);
    return s.any && s.always;
}

typedef struct Undecided {
    Look *x;
    Diag *d;
} Undecided;

static void add_side(Look *x, Box *box, const Node *test, Index *index)
{
    if (box->n == sizeof box->sides / sizeof *box->sides || !node_depends_on(test, index)) return;
    Index *lo = index_new(x->c, "lo", index->span), *hi = index_new(x->c, "hi", index->span);
    box->sides[box->n++] = (BoxSide){index, node_index(x->c, lo), node_index(x->c, hi)};
}

/* The conjuncts that no analysis of boxes decides. */
static void name_undecided(void *context, Node *n, const Binding *around)
{
    Undecided *u = context;
    Look *x = u->x;
    NodeList tests = {0};
    if (around->binder || !node_is_binder(n)) return;
    conjuncts(x->c, binder_where(n), &tests);
    for (uint32_t k = 0; k < tests.n; k++) {
        Node *test = tests.at[k];
        Box box = {.n = 0};
        for (unsigned v = 0; v < n->n_vars; v++) add_side(x, &box, test, n->vars[v]);
        for (unsigned v = 0; v < x->stage->equation->tensor->n_dims; v++)
            add_side(x, &box, test, x->stage->equation->tensor->dims[v]);
        if (is_true(box_may_fail(x->c, &box, test)) && is_true(box_may_hold(x->c, &box, test)))
            diag_note(x->c, u->d, test->span, "`%s`", shortly(x->c, test));
    }
}

static void look_at_box(Look *x, const Statement *s)
{
    if (x->told_mask || !is_always(x, s->condition)) return;
    x->told_mask = true;
    Diag *d = diag(x->c, P001, x->stage->equation->tensor->span,
                   "every block of keys of `%s` is masked: its condition cannot be decided for a whole block",
                   x->stage->equation->tensor->name);
    Undecided u = {x, d};
    walk(x->c, x->stage->equation->body, name_undecided, &u);
    diag_hint(x->c, d,
              "comparisons of positions, sizes, parameters and int tensors are decided for whole blocks, so "
              "that only blocks at an edge are masked; numbers of float tensors are not");
}

/* ---- P002: plain loops ---- */

static bool has_lanes(const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        if (s->kind == S_FOR && s->loop == LOOP_VECTOR) return true;
        if (has_lanes(&s->body) || has_lanes(&s->otherwise)) return true;
    }
    return false;
}

/* All phases of a stage: some only make summaries. */
static bool stage_has_lanes(const Look *x)
{
    for (uint32_t k = 0; k < x->kernel->phases.n; k++) {
        const Phase *p = &x->kernel->phases.at[k];
        if (p->stage == x->phase->stage && has_lanes(&p->body)) return true;
    }
    return false;
}

static void look_at_stage(Look *x)
{
    if (x->stage->kind != STAGE_PAIRWISE || x->told_plain || stage_has_lanes(x)) return;
    x->told_plain = true;
    const Tensor *t = x->stage->equation->tensor;
    Diag *d = diag(x->c, P002, t->span, "`%s` runs as plain loops, without queries in vector lanes", t->name);
    if (x->phase->plain) diag_note(x->c, d, (Span){0, 0, 0}, "%s", x->phase->plain);
    diag_hint(x->c, d,
              "weighted sums over keys, with a softmax or with weights from each pair alone, run in lanes "
              "where the last index of the output that is not summed away counts queries");
}

/* ---- P003: gathers ---- */

static void tell_gather(Look *x, const Node *read)
{
    const Tensor *from = read->tensor;
    for (uint32_t k = 0; k < x->told.n; k++)
        if (x->told.at[k] == from) return;
    PUSH(x->c, &x->told, from);
    const Tensor *t = x->stage->equation->tensor;
    Diag *d = diag(x->c, P003, t->span, "`%s` gathers from `%s`: a load for every pair of query and key",
                   t->name, from->name);
    if (read->span.to) diag_note(x->c, d, read->span, "it is read here");
    diag_hint(x->c, d,
              "queries lie in vector lanes: a last dimension that runs along them, as in `bias[key, query]` "
              "or `table[query - key]`, is loaded whole");
}

/* Of reads that change from key to key: others are hoisted. */
static void find_gathers(Look *x, Node *n, const IndexSet *loops)
{
    if (!n || !node_depends_on(n, x->lane)) return;
    for (unsigned k = 0; k < n->n_args; k++) find_gathers(x, n->args[k], loops);
    IndexSet keys = set_and(n->free, loops);
    if (n->op != N_READ || set_is_empty(&keys)) return;
    if (census_is_gather(kernel_buffer(x->kernel, n->tensor), n, x->lane)) tell_gather(x, n);
}

/* ---- statements ---- */

static void look_at_block(Look *x, const Block *block, const IndexSet *loops)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        const Index *outer = x->lane;
        IndexSet inside = *loops;
        if (s->kind == S_NOTE && s->text && !strcmp(s->text, CENSUS_BOX)) look_at_box(x, s);
        if (x->lane && (s->kind == S_SET || s->kind == S_STORE)) find_gathers(x, s->value, loops);
        if (s->kind == S_FOR && x->lane) set_add(&inside, s->variable->id);
        if (s->kind == S_FOR && s->loop == LOOP_VECTOR) x->lane = s->variable;
        look_at_block(x, &s->body, &inside);
        look_at_block(x, &s->otherwise, &inside);
        x->lane = outer;
    }
}

/* ---- P004: intermediates ---- */

static double elements(const Look *x, const Tensor *t, const InterpretArguments *arguments)
{
    double n = 1;
    for (unsigned k = 0; k < t->n_dims; k++) n *= (double)tape_extent(x->c, t->dims[k], arguments);
    return n;
}

/* Does it count positions, not channels? The last dimension of every tensor is taken for channels. */
static bool is_long(const Pattern *p, const Index *index)
{
    for (uint32_t t = 0; t < p->tensors.n; t++)
        for (unsigned d = 0; d + 1 < p->tensors.at[t]->n_dims; d++)
            if (p->tensors.at[t]->dims[d] == index && !index->ambient) return true;
    return false;
}

/* How it grows with all positions together: 2 of an n x n map. */
static double degree(const Look *x, const Tensor *t, const InterpretArguments *doubled)
{
    double before = elements(x, t, x->arguments), after = elements(x, t, doubled);
    return before > 0 && after > 0 ? log2(after / before) : 0;
}

static InterpretArguments *doubled_sizes(const Look *x)
{
    const Pattern *p = x->kernel->pattern;
    InterpretArguments *doubled = NEW(x->c, InterpretArguments);
    int64_t *extents = NEW_ARRAY(x->c, int64_t, p->indices.n + 1);
    *doubled = *x->arguments;
    for (uint32_t k = 0; k < p->indices.n; k++)
        extents[k] = x->arguments->extents[k] * (is_long(p, p->indices.at[k]) ? 2 : 1);
    doubled->extents = extents;
    return doubled;
}

static InterpretArguments *example_sizes(Compilation *c, const Pattern *p)
{
    InterpretArguments *a = NEW(c, InterpretArguments);
    int64_t *extents = NEW_ARRAY(c, int64_t, p->indices.n + 1);
    Scalar *params = NEW_ARRAY(c, Scalar, p->params.n + 1);
    for (uint32_t k = 0; k < p->indices.n; k++) extents[k] = example_extent(c, p, p->indices.at[k]);
    for (uint32_t k = 0; k < p->params.n; k++) {
        double value = example_param(c, p, p->params.at[k]);
        params[k] = p->params.at[k]->type == TYPE_REAL ? scalar_real(value) : scalar_int((int64_t)value);
    }
    a->extents = extents;
    a->params = params;
    return a;
}

static const Equation *equation_of(const Look *x, const Tensor *t)
{
    const Equation *e = plan_equation(x->plan, t);
    return e && e->storing == STORED ? e : NULL;
}

static void look_at_buffer(Look *x, const Buffer *b, const InterpretArguments *doubled, double most)
{
    const Tensor *t = b->tensor;
    const Equation *e = equation_of(x, t);
    if (b->kind != BUFFER_WORKSPACE || !e) return;
    double size = t->type == TYPE_BOOL              ? 1
                  : t->type == TYPE_INT || b->exact ? 8
                                                    : 4,
           bytes = size * elements(x, t, x->arguments);
    bool grows = degree(x, t, doubled) > most + 0.5;
    if (bytes <= large_bytes && !grows) return;
    Text dims = {.c = x->c};
    text_add(&dims, "%s", "");
    for (unsigned k = 0; k < t->n_dims; k++) text_add(&dims, "%s%s", k ? ", " : "", t->dims[k]->name);
    Diag *d = diag(x->c, P004, t->span, "`%s[%s]` is stored: %.0f bytes%s%s", t->name, dims.at, bytes,
                   x->sized ? "" : " at the example's sizes",
                   grows ? ", and grows faster with the positions than any tensor of the signature" : "");
    diag_note(x->c, d, (Span){0, 0, 0}, "why it is stored: %s", reason_words(e->reason));
    diag_hint(x->c, d, "what one sum alone reads, at its own indices, is never stored");
}

void performance(Compilation *c, const Plan *plan, const Kernel *kernel, const InterpretArguments *arguments)
{
    Look x = {.c = c, .plan = plan, .kernel = kernel, .arguments = arguments, .sized = arguments != NULL};
    if (!arguments) x.arguments = example_sizes(c, kernel->pattern);
    IndexSet none = {{0}};
    for (uint32_t k = 0; k < kernel->phases.n; k++) {
        x.phase = &kernel->phases.at[k];
        if (!x.phase->stage) continue;
        if (x.stage != plan->stages.at[x.phase->stage - 1]) x.told_mask = x.told_plain = false, x.told.n = 0;
        x.stage = plan->stages.at[x.phase->stage - 1];
        if (!x.stage->equation) continue;
        look_at_stage(&x);
        look_at_block(&x, &x.phase->body, &none);
    }
    double most = 0;
    const InterpretArguments *doubled = doubled_sizes(&x);
    for (uint32_t k = 0; k < kernel->pattern->tensors.n; k++)
        most = fmax(most, degree(&x, kernel->pattern->tensors.at[k], doubled));
    for (uint32_t k = 0; k < kernel->buffers.n; k++)
        look_at_buffer(&x, &kernel->buffers.at[k], doubled, most);
}
