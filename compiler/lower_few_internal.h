/* Shared by the parts of the lowering of pairwise stages with few queries:
 *   lower_few.c        recognising, phases, merging
 *   lower_few_rows.c   what is copied into scratch: rows of keys and values, queries; what is fetched ahead
 *   lower_few_chunk.c  a chunk of keys
 *
 * A task takes a block of heads through a chunk of keys, FEW_KEYS at a time: the scores of all heads, their
 * weights, then their values, so that the keys, and then the values, that heads share lie in the first cache
 * while the others are fetched. What does not lie in memory as sums want it (half precision, guarded,
 * computed) is copied into rows [place, ...] first, once for all heads that share it; what scores read of a
 * query into rows [member, ...], once a chunk. Everything of a score but its sums runs in lanes of keys. */
#ifndef ATTN_COMPILER_LOWER_FEW_INTERNAL_H
#define ATTN_COMPILER_LOWER_FEW_INTERNAL_H

#include "lower_few.h"

enum { FEW_CHUNK = 512, FEW_KEYS = 32 /* lanes, too */, FEW_AT_ONCE = 8, FEW_HEADS = 4 };

/* Softmax weights of `weight`, or `weight` itself, times `factor`. */
typedef struct FewTerm {
    Node *softmax, *weight, *factor;
    Tensor *weights;                     /* [member, lane] of the keys at work */
    Tensor *scale, *max, *sum, *total;           /* [member, ...]; when merging: total [...] */
    Tensor *part_max, *part_sum, *part_total; /* of chunks */
    Local *top, *all;                    /* when merging: greatest score, sum of the weights */
} FewTerm;

/* A value that stands in scratch. */
typedef struct FewPart { Node *value; Tensor *tile; bool factor; } FewPart;
typedef VEC(FewPart) FewParts;

typedef struct Few {
    Lower *l;
    const Tensor *out;
    Node *body, *sum, *where;
    Index *key;                               /* the streamed index */
    FewTerm terms[MOST_SOFTMAXES];
    unsigned n_terms;
    Index *outer[MAX_INDICES], *dims[MAX_INDICES]; /* of the output: tasks, and those of the accumulators */
    unsigned n_outer, n_queries, n_dims;
    Index *head;                              /* the last dim before the queries, or NULL */
    Index *chunk, *block, *member;            /* block: of heads; member: of a block */
    Index *first, *lane, *place;              /* first: of the keys at work; place: in the list of visible
                                               * ones */
    Tensor *keys;                             /* [place]: the list */
    Local *count;                             /* ... and its length */
    Node *end;                                /* of the keys of the chunk */
    FewParts rows, queries, sums;             /* [place, ...], [member, ...], [member, lane] */
    FewParts direct;                          /* rows that need no copy */
    Local *sharers;                           /* 2^this heads share rows: 1, 2 or 4; NULL: one */
    bool own_list;                            /* heads see different keys */
    Tensor *part_seen;                        /* has the chunk a visible key? */
    IndexSet bound;                           /* the tasks, a head and a place */
    const Riders *riders;
} Few;

static inline Compilation *few_c(Few *f) { return f->l->c; }
static inline Node *few_op(Few *f, Op o, Node *a, Node *b) { return node_binary(f->l->c, o, a, b); }
static inline Node *few_int(Few *f, int64_t x) { return node_int(f->l->c, x); }
static inline Node *few_real(Few *f, double x) { return node_real(f->l->c, x); }
static inline Node *few_get(Few *f, Local *x) { return local_get(f->l, x); }
Index *few_index(Few *f, const char *name, Node *extent);
Node *few_member(Few *f);                     /* the number of the head at work in its block */
Node *few_of_member(Few *f, Tensor *t, Node *at); /* element [member, at] of the head at work */
Node *few_greater(Few *f, Node *a, Node *b);

/* lower_few_rows.c */
void few_stage(Few *f);                       /* terms in terms of rows and queries; emits nothing */
Node *few_at_place(Few *f, Node *n, Node *place); /* `n` for the key at a place of the list */
void few_store_queries(Few *f);               /* of the head at work */
/* Of the listed keys, if the head before does not share them: those of factors, or of scores. */
void few_store_rows(Few *f, bool factors);
void few_count_sharers(Few *f);
/* Fetches this head's share of rows: of the factors of the keys at work, or of the scores of the next
 * ones. */
void few_prefetch(Few *f, Node *from, bool factors);

/* lower_few_chunk.c */
void few_chunk(Few *f);
Local *few_shift(Few *f, Node *max);          /* 0 where every score is -inf, for exp(score - 0) is 0 */
/* exp(part - shift); 1 where a part is the maximum. */
Local *few_scale(Few *f, Node *part, Node *max, Local *shift);

#endif
