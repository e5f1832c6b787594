/* Fetching the keys and values of a block before they are needed (see lower_strip.h).
 *
 * Requires: a block has been chosen and its lists are filled. Ensures: nothing but hints. Breaks: nothing.
 *
 * Strips that follow each other along a window share most of their keys, and what is new comes in the order
 * of memory: the machine sees that by itself. It does not where blocks of keys are chosen by a table or a
 * list or belong to one strip alone, as in windows that tile a picture. */
#include "lower_strip.h"

#include "graph.h"
#include "walk.h"

static void find_jump(void *context, const Node *n)
{
    if (n->op == N_FLOORDIV) *(bool *)context = true;
}

static bool keys_jump(Strip *s)
{
    bool quotient = false;
    node_visit(comp(s), s->where, find_jump, &quotient);
    return quotient || s->lists.n > 0;
}

/* The variables along which a read goes, each a coordinate of its own: *n of them; false: it is another. */
static bool row_of(Strip *s, const Node *read, const IndexSet *bound, Index **dims, unsigned *n)
{
    *n = 0;
    for (unsigned k = 0; k < read->n_args; k++) {
        const Node *at = read->args[k];
        IndexSet own = set_and(at->free, bound);
        if (set_is_empty(&own)) continue;
        if (at->op != N_INDEX || *n == MAX_INDICES) return false;
        dims[(*n)++] = at->index;
    }
    const Node *last = read->n_args ? read->args[read->n_args - 1] : NULL;
    return *n && last->op == N_INDEX && last->index == dims[*n - 1] && !varies(s, read);
}

typedef struct Fetch {
    Strip *s;
    NodeMap done;
} Fetch;

static void fetch_read(void *context, Node *n, const Binding *around)
{
    Fetch *f = context;
    Strip *s = f->s;
    Index *dims[MAX_INDICES];
    unsigned n_dims;
    IndexSet bound = around->bound, streamed = set_of_vars(s->sum);
    if (n->op != N_READ || n->type != TYPE_REAL || n->guarded || map_get(&f->done, n)) return;
    for (unsigned k = 0; k < s->n_dims; k++) set_add(&bound, s->dims[k]->id);
    set_add(&streamed, s->slot->id);
    streamed = set_and(n->free, &streamed);
    if (set_is_empty(&streamed) || !row_of(s, n, &bound, dims, &n_dims)) return;
    map_put(comp(s), &f->done, n, n);
    Node *read = strip_at_key(s, n);
    strip_prefetch(s, read->tensor, read->args, n_dims, dims);
}

void strip_fetch(Strip *s)
{
    Fetch f = {.s = s};
    Loop loop;
    if (!keys_jump(s)) return;
    strip_keys_open(s, &loop, LOOP_SERIAL);
    for (unsigned k = 0; k < s->n_terms; k++) {
        walk(comp(s), s->terms[k].weight, fetch_read, &f);
        if (s->terms[k].factor) walk(comp(s), s->terms[k].factor, fetch_read, &f);
    }
    loop_close(s->l, &loop);
}
