/* The sums over keys of pairwise stages, and the conditions that say which pairs of query and key they add:
 * what `attnc explain` counts and `attnc show` draws. */
#ifndef ATTN_COMPILER_STREAMS_H
#define ATTN_COMPILER_STREAMS_H

#include "interpret.h"
#include "plan.h"

enum { STREAM_MOST = 64 };
/* One reduction (or normaliser) over streamed indices. */
typedef struct Stream {
    const Node *sum;
    Node *test; /* which points it adds, all dims of its stage around; ranges of its variables included */
    Index *variables[STREAM_MOST]; /* the dims of the stage but for accumulators, then the streamed indices */
    unsigned n_dims, n_variables;
    double visible; /* of streams_visible: set by who asks */
} Stream;
typedef VEC(Stream) StreamList;

/* Of one equation; none where its stage is not pairwise. */
void streams_find(Compilation *c, const Stage *stage, StreamList *list);
bool streams_same(const Stream *a, const Stream *b); /* the same points of the same space */
/* Points that it adds; NAN: that cannot be told, or takes too long. */
double streams_visible(Compilation *c, const Stream *s, const InterpretArguments *arguments);

#endif
