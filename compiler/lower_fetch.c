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

typedef struct Jumps {
    const Strip *s;
    bool found;
} Jumps;

static void find_jump(void *context, const Node *n)
{
    Jumps *j = context;
    for (unsigned k = 0; n->op == N_FLOORDIV && k < j->s->sum->n_vars; k++)
        if (node_depends_on(n, j->s->sum->vars[k])) j->found = true;
}

static bool keys_jump(Strip *s)
{
    Jumps jumps = {.s = s};
    node_visit(comp(s), s->where, find_jump, &jumps);
    return jumps.found || s->lists.n > 0;
}

typedef struct Fetch {
    Strip *s;
    NodeMap done;
} Fetch;

static void fetch_read(void *context, const Node *n)
{
    Fetch *f = context;
    Strip *s = f->s;
    IndexSet streamed = set_of_vars(s->sum);
    if (n->op != N_READ || n->type != TYPE_REAL || n->guarded || varies(s, n) || map_get(&f->done, n)) return;
    set_add(&streamed, s->slot->id);
    streamed = set_and(n->free, &streamed);
    if (set_is_empty(&streamed)) return;
    map_put(comp(s), &f->done, n, (Node *)n);
    strip_prefetch_row(s, strip_at_key(s, (Node *)n));
}

static void fetch(Strip *s)
{
    Fetch f = {.s = s};
    Loop loop;
    strip_keys_open(s, &loop, LOOP_SERIAL);
    for (unsigned k = 0; k < s->n_terms; k++) {
        node_visit(comp(s), s->terms[k].weight, fetch_read, &f);
        if (s->terms[k].factor) node_visit(comp(s), s->terms[k].factor, fetch_read, &f);
    }
    loop_close(s->l, &loop);
}

void strip_fetch_ahead(Strip *s)
{
    if (s->sum->n_vars > 1 || keys_jump(s)) return;
    fetch(s);
}

void strip_fetch(Strip *s)
{
    if (keys_jump(s)) fetch(s);
}
