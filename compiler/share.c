/* Scratch tensors that are never alive together get the same memory, so that the working set of a task stays
 * in the first cache.
 *
 * Requires: Loops in which no scratch element is read before the same task has written it. Ensures:
 * Buffer.shares. Breaks: nothing.
 *
 * A tensor lives from the first to the last statement that touches it. Those are compared block by block from
 * the body of a phase downwards, as long as both tensors stay inside one branch of one statement; whatever is
 * inside a loop together counts as alive together, for iterations may hand it on. */
#include "share.h"

#include "graph.h"

#include <string.h>

/* Sets of buffers. */
typedef uint64_t Word;
typedef struct Sharing {
    Compilation *c;
    Kernel *kernel;
    unsigned words;
    uint32_t *number; /* by tensor id: of its buffer */
    Word *conflicts;  /* a row per buffer */
} Sharing;

static bool has(const Word *set, unsigned k) { return set[k / 64] >> k % 64 & 1; }
static void add(Word *set, unsigned k) { set[k / 64] |= (Word)1 << k % 64; }
static Word *set_new(const Sharing *g) { return NEW_ARRAY(g->c, Word, g->words); }

typedef struct Uses {
    const Sharing *g;
    Word *set;
} Uses;

static void use_tensor(const Sharing *g, Word *set, const Tensor *t) { add(set, g->number[t->id]); }

static void use_read(void *context, const Node *n)
{
    Uses *u = context;
    if (n->op == N_READ) use_tensor(u->g, u->set, n->tensor);
}

static void use_block(const Sharing *g, Word *set, const Block *block);

static void use_statement(const Sharing *g, Word *set, const Statement *s)
{
    Uses u = {g, set};
    Node *const nodes[] = {s->lo, s->hi, s->step, s->condition, s->value};
    for (unsigned k = 0; k < sizeof nodes / sizeof *nodes; k++)
        if (nodes[k]) node_visit(g->c, nodes[k], use_read, &u);
    if (s->tensor) use_tensor(g, set, s->tensor);
    for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++)
        node_visit(g->c, s->subscripts[d], use_read, &u);
    use_block(g, set, &s->body);
    use_block(g, set, &s->otherwise);
}

static void use_block(const Sharing *g, Word *set, const Block *block)
{
    for (unsigned k = 0; k < block->n; k++) use_statement(g, set, block->at[k]);
}

/* All that are in both sets are alive together. */
static void conflict(Sharing *g, const Word *a, const Word *b)
{
    for (unsigned k = 0; k < g->kernel->buffers.n; k++) {
        if (has(a, k))
            for (unsigned w = 0; w < g->words; w++) g->conflicts[k * g->words + w] |= b[w];
        if (has(b, k))
            for (unsigned w = 0; w < g->words; w++) g->conflicts[k * g->words + w] |= a[w];
    }
}

static void set_or_into(const Sharing *g, Word *set, const Word *more)
{
    for (unsigned w = 0; w < g->words; w++) set[w] |= more[w];
}

/* Of a block: what begins before or at each statement and ends at it or after. */
static void compare(Sharing *g, const Block *block)
{
    Word **uses = NEW_ARRAY(g->c, Word *, block->n), **after = NEW_ARRAY(g->c, Word *, block->n + 1);
    Word *before = set_new(g), *across = set_new(g), *here = set_new(g);
    after[block->n] = set_new(g); /* the statement itself, and all that follow */
    for (unsigned k = block->n; k-- > 0;) {
        uses[k] = set_new(g);
        after[k] = set_new(g);
        use_statement(g, uses[k], block->at[k]);
        set_or_into(g, after[k], uses[k]);
        set_or_into(g, after[k], after[k + 1]);
    }
    for (unsigned k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        for (unsigned w = 0; w < g->words; w++) {
            across[w] = (before[w] & after[k][w]) | (uses[k][w] & after[k + 1][w]);
            here[w] = across[w] | uses[k][w];
        }
        set_or_into(g, before, uses[k]);
        conflict(g, across, here);
        if (s->kind == S_IF) {
            compare(g, &s->body);
            compare(g, &s->otherwise);
        } else
            conflict(g, uses[k], uses[k]);
    }
}

static bool may_join(const Sharing *g, unsigned buffer, unsigned owner)
{
    const Buffer *all = g->kernel->buffers.at;
    for (unsigned k = owner; k < buffer; k++)
        if (all[k].shares == owner && has(g->conflicts + (size_t)buffer * g->words, k)) return false;
    return all[owner].kind == BUFFER_SCRATCH && all[owner].shares == owner;
}

void share_scratch(Compilation *c, Kernel *kernel, bool share)
{
    unsigned n = kernel->buffers.n, words = n / 64 + 1;
    for (unsigned k = 0; k < n; k++) kernel->buffers.at[k].shares = k;
    if (!share) return;
    Sharing g = {c, kernel, words, NEW_ARRAY(c, uint32_t, c->next_tensor + 1),
                 NEW_ARRAY(c, Word, (size_t)n * words)};
    for (unsigned k = 0; k < n; k++) g.number[kernel->buffers.at[k].tensor->id] = k;
    for (unsigned k = 0; k < kernel->phases.n; k++) compare(&g, &kernel->phases.at[k].body);
    for (unsigned k = 0; k < n; k++) {
        Buffer *b = &kernel->buffers.at[k];
        for (unsigned owner = 0; b->kind == BUFFER_SCRATCH && b->shares == k && owner < k; owner++)
            if (may_join(&g, k, owner)) b->shares = owner;
    }
}
