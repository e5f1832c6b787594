/* Conditions that ask for `f[i] == g[j]` over int tensors (documents, clusters, hash buckets): queries and keys are put in
 * the order of their labels, so that the keys of a query are one piece of it, however they lie in memory.
 *
 * Once a call, for every row of labels: keys and queries are sorted by label and position (radix sort, stable), queries are
 * cut into strips, at the end of a bucket where half of the lanes is filled, and the piece of every query is found.
 * A range of keys such as `j <= i` is part of the piece, for inside of a bucket keys are in their own order. Workspace: a
 * few ints for every query and key. */
#ifndef ATTN_COMPILER_LOWER_BUCKET_H
#define ATTN_COMPILER_LOWER_BUCKET_H

#include "lower_internal.h"

/* What the rest of the condition looks up for a query or a key: [rows, strips, lanes] or [rows, slots]. */
typedef struct LookUp { Node *value; bool of_key; Tensor *table; } LookUp;

/* One equality; of several, the earlier sort before the later. Labels in order: [rows, queries], [rows, slots]. */
enum { MOST_LABELS = 4 };
typedef struct Label { Node *of_query, *of_key; Tensor *query_table, *key_table; } Label;

typedef struct Bucket {
    Lower *l;
    Index *query, *key;       /* positions in their own order */
    unsigned n_labels;
    Label labels[MOST_LABELS];
    Range keys;               /* those that a query may see apart from labels: over INDEX(query) */
    Node *test, *rest;        /* the whole condition; what labels and range do not cover, over `strips` and `lanes` */
    VEC(LookUp) look_ups;
    unsigned n_rows, n_lanes;
    Index **rows;             /* task indices that all this depends on */
    Index *place;             /* of a key in the order: takes the place of `key` */
    Index *bit;               /* of loops that halve */
    Index *queries, *slots, *strips, *lanes; /* dims of the tensors: one more strip than there are tasks */
    Tensor *query_order, *key_order;   /* [rows, queries], [rows, slots]: positions */
    Tensor *begin, *count;             /* [rows, strips]: the first query of a strip, in their order; how many, or 0 */
    Tensor *at, *first, *last;         /* [rows, strips, lanes]: position of the query; its keys, in their order */
} Bucket;

/* Does the sum over keys fit? outer: task indices of its stage, `query` apart. `b` says how, then. */
bool bucket_find(Lower *l, Node *sum, Index *query, unsigned n_outer, Index **outer, Bucket *b);
Node *bucket_strips(const Bucket *b);                       /* how many there may be, empty ones included */
Node *bucket_read(const Bucket *b, Tensor *t, Node *strip, Node *lane); /* lane NULL: t has none */
/* `body` with keys in the order of labels. */
Node *bucket_body(const Bucket *b, Node *body, Node *strip, Node *lane);
void bucket_phases(Bucket *b, Node *few); /* few: when nothing of this is needed */

#endif
