/* See streams.h. */
#include "streams.h"

#include <math.h>
#include <string.h>

#include "pairs.h"
#include "plan_internal.h"
#include "tape.h"

typedef struct Finding {
    Compilation *c;
    const Equation *e;
    IndexSet inner;
    StreamList *list;
} Finding;

static void find_pairwise(void *context, Node *n, const Binding *around)
{
    bool *found = context;
    (void)around;
    *found = *found || node_is_binder(n) || is_transcendental(n->op);
}

static Node *both(Compilation *c, Node *a, Node *b) { return node_binary(c, N_AND, a, b); }

/* Also that every variable is in its range. */
static Node *whole_test(Compilation *c, const Node *sum)
{
    Node *test = node_bool(c, true);
    for (unsigned k = 0; k < sum->n_vars; k++) {
        Node *at = node_index(c, sum->vars[k]);
        if (!node_is_int(binder_lo(sum, k), 0))
            test = both(c, test, node_binary(c, N_LE, binder_lo(sum, k), at));
        if (binder_hi(sum, k) != node_size(c, sum->vars[k]))
            test = both(c, test, node_binary(c, N_LT, at, binder_hi(sum, k)));
    }
    return both(c, test, binder_where(sum));
}

static void add_stream(void *context, Node *n, const Binding *around)
{
    Finding *f = context;
    bool pairwise = false;
    if (around->binder || !node_is_binder(n)) return;
    walk(f->c, binder_body(n), find_pairwise, &pairwise);
    if (!pairwise || n->n_vars > 8) return;
    Stream stream = {.sum = n, .test = whole_test(f->c, n)};
    IndexSet vars = set_of_vars(n);
    const Tensor *t = f->e->tensor;
    for (unsigned k = 0; k < t->n_dims && stream.n_dims < STREAM_MOST - 16; k++)
        if (!set_has(&f->inner, t->dims[k]->id) && !set_has(&vars, t->dims[k]->id))
            stream.variables[stream.n_dims++] = t->dims[k];
    stream.n_variables = stream.n_dims;
    for (unsigned k = 0; k < n->n_vars; k++) stream.variables[stream.n_variables++] = n->vars[k];
    PUSH(f->c, f->list, stream);
}

void streams_find(Compilation *c, const Stage *stage, StreamList *list)
{
    Finding f = {.c = c, .e = stage->equation, .list = list};
    if (stage->kind != STAGE_PAIRWISE) return;
    f.inner = plan_inner(c, stage->equation);
    walk(c, stage->equation->body, add_stream, &f);
}

bool streams_same(const Stream *a, const Stream *b)
{
    return a->test == b->test && a->n_variables == b->n_variables &&
           !memcmp(a->variables, b->variables, a->n_variables * sizeof *a->variables);
}

/* Points of the whole space: those of the condition's own variables, times all others. */
double streams_visible(Compilation *c, const Stream *s, const InterpretArguments *arguments)
{
    Index *own[STREAM_MOST];
    unsigned n = 0;
    double others = 1, count;
    for (unsigned k = 0; k < s->n_variables; k++) {
        if (node_depends_on(s->test, s->variables[k])) {
            own[n++] = s->variables[k];
            continue;
        }
        int64_t extent = tape_extent(c, s->variables[k], arguments);
        if (extent < 0) return NAN;
        others *= (double)extent;
    }
    return pairs_count(c, s->test, n, own, arguments, PAIRS_ENOUGH, &count) ? count * others : NAN;
}
