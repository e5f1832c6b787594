/* Which queries the lanes of a strip hold: a box of one to three indices, of a residue class or in the order of
 * labels. */
#ifndef ATTN_COMPILER_LOWER_QUERIES_H
#define ATTN_COMPILER_LOWER_QUERIES_H

#include "lower_bucket.h"
#include "lower_rider.h"
#include "lower_strip.h"

/* One index of the queries: the tile (a task index) says which of its positions the lanes hold. */
typedef struct Query {
    Index *index, *tile;
    unsigned lanes;
    const Residue *residue;
    Node *at;     /* the position of a lane */
    Node *own;    /* is it one of the lane's own? those beyond the last repeat it */
    Node *exists; /* has the tile any? */
} Query;

/* An equation in strips. */
typedef struct Strips {
    Strip s;
    const Stage *stage;
    Query queries[MOST_QUERIES];
    unsigned n;
    bool ordered; /* the lanes of the only query are in the order of labels */
    Bucket bucket;
    IndexSet inner;
    NodeList sums;
    Node *only; /* sum of the body, as it was */
    Node *body;
    Riders riders;
} Strips;

/* The dims of a tensor that are not inner ones (plan_inner): how many. */
unsigned strip_outer_dims(const Tensor *t, const IndexSet *inner, Index **dims);
/* The indices of t->queries and their lanes; false: there is none. */
bool queries_choose(Strips *t);
/* t->body: everything about queries in terms of lanes. False: it cannot be put so. */
bool queries_place(Strips *t);
/* Chooses, and: are queries told apart by quotients that all lanes share? */
bool queries_in_blocks(Strips *t);

#endif
