/* Shared by the parts of the lowering of pairwise stages with few queries:
 *   lower_few.c        recognising, phases, merging
 *   lower_few_rows.c   what is copied into scratch: rows of keys and values, queries; what is fetched ahead
 *   lower_few_chunk.c  a chunk of keys
 *   lower_few_tile.c   heads that share their keys, at once
 *
 * A task takes a block of heads through a chunk of keys, FEW_KEYS at a time: scores, weights, then values,
 * while the values, and then the next keys, are fetched. Where all heads of the block share their keys they
 * run together: what is loaded of a key (and converted) serves all of them. What does not lie in memory as
 * sums want it (guarded, computed) is copied into rows [place, ...] first, once for all heads that share it;
 * what scores read of a query into rows [member, ...], once a chunk. Everything of a score but its sums runs
 * in lanes of keys. */
#ifndef ATTN_COMPILER_LOWER_FEW_INTERNAL_H
#define ATTN_COMPILER_LOWER_FEW_INTERNAL_H

#include "lower_few.h"

enum { FEW_CHUNK = 512, FEW_KEYS = 16 /* lanes, too */, FEW_HEADS = 4, FEW_AT_ONCE = 8 /* keys of a head */ };

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
    Index *leader;                            /* the head whose rows the head at work reads */
    Local *together;                          /* do all heads of the block share theirs? NULL: no */
    Node *units;                              /* part of that: do rows lie side by side? */
    int at;                                   /* while they run together: the member at work, else -1 */
    Index *first, *lane, *place;              /* first: of the keys at work; place: in the list of visible
                                               * ones */
    Tensor *keys;                             /* [place]: the list */
    Local *count;                             /* ... and its length */
    Node *end;                                /* of the keys of the chunk */
    FewParts rows, queries, sums;             /* [place, ...], [member, ...], [member, lane] */
    FewParts direct;                          /* rows that need no copy */
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
Node *few_bind(Few *f, Node *n);              /* what was staged, for the head at work */
Node *few_of_member(Few *f, Tensor *t, Node *at); /* element [member, at] of the head at work */
Node *few_greater(Few *f, Node *a, Node *b);

/* lower_few_rows.c */
void few_stage(Few *f);                       /* terms in terms of rows and queries; emits nothing */
Node *few_at_place(Few *f, Node *n, Node *place); /* `n` for the key at a place of the list */
void few_store_queries(Few *f);               /* of the head at work */
/* Of the listed keys, if the head before does not share them: those of factors, or of scores. */
void few_store_rows(Few *f, bool factors);
bool few_is_shared(const Few *f, const Node *read, unsigned k); /* is coordinate k of heads that share? */
NodeList few_reads(Few *f, bool factors);     /* of rows of keys */
Node *few_key(Few *f, Node *place, bool next); /* at a place, or the next one there */
void few_fetch(Few *f, const Node *row, Node *key, Node *from, Node *n); /* `n` numbers of its row */
/* Fetches the rows of some keys: of the factors of the keys at work, or of the scores of the next ones. */
void few_prefetch(Few *f, Node *from, bool factors);

/* lower_few_tile.c: heads of a block that share their keys, at once */
void few_find_together(Few *f);               /* sets `together`, if there may be such heads */
void few_together(Few *f, void (*add)(Few *f)); /* ... where they are */
void few_sum_together(Few *f);                /* scores of the keys at work */
void few_add_together(Few *f);                /* their values to the totals */

/* lower_few_chunk.c */
void few_chunk(Few *f);
Local *few_shift(Few *f, Node *max);          /* 0 where every score is -inf, for exp(score - 0) is 0 */
/* exp(part - shift); 1 where a part is the maximum. */
Local *few_scale(Few *f, Node *part, Node *max, Local *shift);

#endif
