/* Shared by the parts of the lowering of pairwise stages to strips of queries in vector lanes:
 *   lower_strip.c   equations: whether they fit, what is stored
 *   lower_queries.c equations: which queries the lanes hold
 *   lower_stream.c  one sum: recognising it, staging, accumulators
 *   lower_summary.c what boxes of conditions over int and bool tensors need
 *   lower_list.c    one sum: what is looked up once for a key or for a lane
 *   lower_fetch.c   one sum: prefetching keys that lie anywhere
 *   lower_block.c   one sum: the streamed keys in blocks, their scores and weights
 *   lower_range.c   one sum: which keys a box of lanes can see at all
 *   lower_half.c    one sum: keys that half of the lanes see, in those
 *   lower_sparse.c  one sum: thresholds of sparse normalisers, between two passes over the blocks
 *
 * A strip is a small box of queries, one per lane. Its sums over the streamed indices run in blocks of keys: a block's scores
 * stand in a tile [key][lane], so that keys and values are read by broadcast from where they are, the normaliser is vertical
 * and a range of keys may start and stop anywhere. Which blocks matter follows from the condition over the box (block,
 * strip): empty ones are skipped, full ones run without a test, only partial ones mask. Where a condition asks for
 * `(i - j) % r == 0`, a strip holds queries of one residue class and its keys go in steps of r. */
#ifndef ATTN_COMPILER_LOWER_STRIP_H
#define ATTN_COMPILER_LOWER_STRIP_H

#include "box.h"
#include "lower_internal.h"

enum { STRIP_BLOCK = 128 /* keys */, MOST_STREAMED = 8, MOST_QUERIES = 3 };

/* One weighted sum: over a softmax (its score, sink), or of plain weights (softmax NULL); or, without a factor, the
 * greatest or least weight (the greatest score, if riders want the sum of the softmax). */
typedef struct Term {
    Node *softmax, *weight, *factor; /* weight: the score, or what does not depend on the dims of the accumulators */
    Node *gain;                      /* of a softmax: its weights times factor times this, which no key and no dim changes */
    Reduction extreme;               /* no factor: REDUCE_MAX or REDUCE_MIN */
    Local *max, *sum, *top, *shift;
    Op exp;                          /* of scores: N_EXP_DOWN, or N_EXP2_DOWN of scores in units of ln 2 */
    Tensor *total, *tile;
    Tensor *kept_max, *kept_sum; /* [lane]: while the vector loop is left */
} Term;

/* A condition `e % modulus == 0` with e = query - key or the like: the keys of a query are those that are congruent to
 * `target`. */
typedef struct Residue { Index *query, *key; Node *test, *modulus, *target; } Residue;

/* A streamed index for the whole strip: base, base + step, ..., `count` of them. */
typedef struct Streamed { Index *index; Node *base, *step, *count; Local *at; Tensor *list; } Streamed;

/* An int of the key alone: its values for the keys of a block. */
typedef struct List { Node *value; Tensor *tensor; } List;

typedef struct Strip {
    Lower *l;
    Index *lane;
    unsigned n_lanes;        /* the schedule's, or twice as many */
    unsigned block;          /* keys */
    Box lanes;               /* all lanes of the strip */
    Scope *outside;          /* of the vector loop */
    Index *tile;             /* the last task index: strips follow each other along it */
    Residue residues[MOST_QUERIES];
    unsigned n_residues;
    unsigned stream;         /* number of the sum being streamed */
    bool alone;              /* the equation is that sum: its elements are used once each, as they are stored */
    Node *sum, *where;       /* the sum being streamed */
    NodeMap fitting;         /* nodes of it that are known to fit lanes */
    Term terms[MOST_SOFTMAXES];
    unsigned n_terms, n_dims;
    Index *dims[16];         /* of the accumulators */
    Streamed streamed[MOST_STREAMED];
    Tensor *seen;            /* [key, lane]: where the condition holds in a partial block */
    Index *key;              /* in the block */
    Node *first, *count;     /* of the block, in the flattened list of keys */
    Tensor *row_max, *row_sum; /* [lane]: of the softmax, or of a maximum, kept for riders; NULL: there are none */
    VEC(const Tensor *) extremes; /* results that hidden values cannot spoil */
    VEC(List) lists;
    Index *slot;             /* the place of a key in the lists */
    Node *shown, *nonempty;  /* the condition, with lists; may anything be visible at all? */
    Node *again;             /* the second attempt? NULL: one is enough */
    Local *hidden;           /* has a block with hidden keys been added? */
    Loop vector;             /* over the lanes */
    Tensor *scores, *threshold; /* [place, lane], [lane]: kept between the passes of a sparse normaliser; NULL: it is none */
    Local *place;            /* of the block's first key in them */
    bool second;             /* of the passes */
    Node *partial;           /* may the condition fail in the block? NULL: there is none */
} Strip;

static inline Compilation *comp(Strip *s) { return s->l->c; }
static inline Node *binary(Strip *s, Op op, Node *a, Node *b) { return node_binary(comp(s), op, a, b); }
static inline Node *real(Strip *s, double x) { return node_real(comp(s), x); }
static inline Node *integer(Strip *s, int64_t x) { return node_int(comp(s), x); }
static inline Node *get(Strip *s, Local *x) { return local_get(s->l, x); }
/* How many times `by`, above 0, is needed to reach n. */
static inline Node *round_up(Strip *s, Node *n, Node *by)
{
    return binary(s, N_FLOORDIV, binary(s, N_ADD, n, binary(s, N_SUB, by, integer(s, 1))), by);
}
static inline bool varies(const Strip *s, const Node *n) { return node_depends_on(n, s->lane); }
Index *strip_index(Lower *l, const char *name, Node *extent);

/* lower_stream.c */
Index **strip_lane_last(Strip *s, unsigned n, Index *const *dims); /* lane, dims... as dims..., lane */
/* One of them is `tile` [dims..., lane], the other [lane, dims...]. */
void strip_transpose(Strip *s, Tensor *to, Tensor *from, const Tensor *tile);
bool strip_recognise(Strip *s, Node *sum);    /* fills terms; does the sum fit lanes? */
Node *strip_stream(Strip *s, Node *sum);      /* one recognised sum for all lanes and all of its dims: its value */

/* Rows along the last of dims, a cache line at a time. */
void strip_prefetch(Strip *s, Tensor *t, Node *const *subscripts, unsigned n_dims, Index **dims);
/* What is read at coordinates that are known here, along all that are not; nothing if these are no plain indices. */
void strip_prefetch_row(Strip *s, const Node *read);
Scope *strip_outside_open(Strip *s);          /* statements before the vector loop ... */
void strip_outside_close(Strip *s, Scope *here); /* ... until here */

/* lower_summary.c */
/* Of what the condition of a sum looks up along queries and keys; before the phase is opened. */
void lower_summaries(Lower *l, const Box *queries, const Node *sum);

/* lower_list.c */
void strip_list(Strip *s);                    /* weights, factors and the condition in terms of lists */

/* lower_strip.c */
void strip_lanes_open(Strip *s);
void strip_lanes_close(Strip *s);

/* lower_fetch.c */
void strip_fetch(Strip *s);                   /* what a block begins with */
void strip_fetch_new(Strip *s);               /* all keys and values from s->first on, s->count of them */
void strip_fetch_beside(Strip *s);            /* for the score of a key: later ones, its own value */

/* lower_block.c */
Node *strip_at_key(Strip *s, Node *n);        /* `n` for the key number s->key of the block */
void strip_keys_open(Strip *s, Loop *loop, LoopKind kind); /* a loop over the keys of the block */
void strip_blocks(Strip *s);                  /* all keys of s->sum into the totals of the terms */
void strip_keys(Strip *s, Node *from, Node *to); /* those of the flattened list into the totals of the lanes around */

/* lower_range.c: least and greatest + 1 of what the lanes in the box can see. */
Range strip_range(Strip *s, unsigned k, const Box *lanes); /* of the k-th streamed index */
/* Of the outermost one, for every alternative of the condition; `when`: it has a lane at all. */
enum { MOST_ALTERNATIVES = 4 };
typedef struct Ranges { Range at[MOST_ALTERNATIVES]; Node *when[MOST_ALTERNATIVES]; unsigned n; } Ranges;
Ranges strip_ranges(Strip *s, const Box *lanes);

/* lower_half.c */
bool strip_halves_pay(Strip *s);              /* do both halves of the lanes see the same keys? */
void strip_leave_lanes(Strip *s);             /* what the terms have so far into memory, and out of the vector loop */
void strip_halves(Strip *s, Node *total);     /* all `total` keys; back in the vector loop */

/* lower_sparse.c */
void strip_sparse(Strip *s);                  /* the same for the only term, by two passes; leaves and enters the vector loop */
void strip_keep_scores(Strip *s, const Term *t); /* of a block, in the first pass */
void strip_sparse_weights(Strip *s, const Term *t); /* in the second */

#endif
