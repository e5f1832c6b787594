/* Fetching the keys and values of a block before they are needed (see lower_strip.h).
 *
 * Requires: a block has been chosen and its lists are filled. Ensures: nothing but hints. Breaks: nothing.
 *
 * Dense keys come in the order of memory: the machine sees that by itself. It does not where blocks of keys
 * are chosen by a table or a list or belong to one strip alone, as in windows that tile a picture. The rows
 * of a block's first keys are fetched before it; those of the others, and the values, beside its scores,
 * whose multiplications leave room for it. Windows that move along fetch the few keys that are new with a
 * strip before it (lower_half.c): beside scores that would take a third of the time to compile. */
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
    bool blocks = n->op == N_FLOORDIV && n->args[1]->op == N_INT;
    for (unsigned k = 0; blocks && k < j->s->sum->n_vars; k++)
        if (node_depends_on(n, j->s->sum->vars[k])) j->found = true;
}

static bool keys_surprise(Strip *s)
{
    Jumps jumps = {.s = s};
    node_visit(comp(s), s->where, find_jump, &jumps);
    return jumps.found || s->lists.n > 0;
}

/* How many keys before its own a row of a score is fetched, among the scores of others. */
enum { AHEAD = 8 };

typedef struct Fetch {
    Strip *s;
    Node *key; /* whose rows */
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
    strip_prefetch_row(s, node_substitute(comp(s), strip_at_key(s, (Node *)n), 1, &s->key, &f->key));
}

/* The rows of a key that scores (or values) are made of. */
static void fetch_rows(Strip *s, Node *key, bool scores, bool values)
{
    Fetch f = {.s = s, .key = key};
    for (unsigned k = 0; k < s->n_terms; k++) {
        if (scores) node_visit(comp(s), s->terms[k].weight, fetch_read, &f);
        if (values && s->terms[k].factor) node_visit(comp(s), s->terms[k].factor, fetch_read, &f);
    }
}

static void fetch_first(Strip *s, Node *count, bool scores, bool values)
{
    Loop loop;
    loop_open(s->l, &loop, s->key, (Range){integer(s, 0), count, NULL});
    fetch_rows(s, node_index(comp(s), s->key), scores, values);
    loop_close(s->l, &loop);
}

void strip_fetch(Strip *s)
{
    if (!keys_surprise(s)) return;
    if (s->second)
        fetch_first(s, s->count, false, true);
    else
        fetch_first(s, binary(s, N_MIN, integer(s, AHEAD), s->count), true, false);
}

void strip_fetch_new(Strip *s) { fetch_first(s, s->count, true, true); }

void strip_fetch_beside(Strip *s)
{
    Node *key = node_index(comp(s), s->key);
    if (!keys_surprise(s)) return;
    Node *last = binary(s, N_SUB, s->count, integer(s, 1));
    fetch_rows(s, binary(s, N_MIN, binary(s, N_ADD, key, integer(s, AHEAD)), last), true, false);
    if (!s->scores) fetch_rows(s, key, false, true);
}
