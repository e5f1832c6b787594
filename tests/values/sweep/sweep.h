/* The patterns of a file at many sizes: machine code against the interpreter. Private to this program. */
#ifndef ATTN_VALUES_SWEEP_H
#define ATTN_VALUES_SWEEP_H

#include "compiler/command/call.h"

/* How the tensors of a case are bound. */
typedef enum Binding {
    BIND_FULL,
    BIND_GROUPS,    /* four heads; inputs but the first have two */
    BIND_ONE_HEAD,  /* inputs but the first have one head, which all share */
    BIND_BROADCAST  /* inputs but the first have extent 1 along ambient dimensions */
} Binding;

/* Extents that differ from the example's. */
typedef struct Case {
    const Index *index[2];   /* NULL: none */
    int64_t extent[2];
    Binding binding;
    bool optional;           /* optional tensors are bound too */
    bool all_orders;         /* threads, guards and layouts are crossed */
    bool small;              /* extents that are not given are at most those of small_extent() */
    int64_t features;        /* but those of features are this; 0: they are like others */
    unsigned number;         /* in its list */
} Case;
typedef VEC(Case) Cases;

/* All cases of a pattern; `full`: also two extents at a time. */
void cases_list(Compilation *c, const Pattern *pattern, bool full, Cases *cases);
/* Extents for which code of its own is made, for one index; returns how many. */
unsigned cases_fixed(Compilation *c, const Pattern *pattern, const Index *index, bool full,
                     const int64_t **extents);
/* Sizes (`d=16`) that fix the features, which are the last dimensions of real tensors. Ended by
 * NULL. */
const char *const *cases_features(Compilation *c, const Pattern *pattern, int64_t extent);
/* Fills `call` for a case. NULL or what is wrong with the example. */
const char *cases_apply(Call *call, const Case *a, uint64_t seed);
/* Sizes as options of attnc. */
const char *cases_options(Compilation *c, const Case *a);

/* Results of the interpreter, kept on disk. Returns its error, or NULL and the outputs. */
const char *oracle_results(Call *call, const Graph *graph, CallResult *result);

#endif
