/* Shared by the parts of the planner. */
#ifndef ATTN_COMPILER_PLAN_INTERNAL_H
#define ATTN_COMPILER_PLAN_INTERNAL_H

#include "node_map.h"
#include "plan.h"
#include "simplify.h"
#include "walk.h"

/* How the readers of an equation use it, all together. */
typedef struct Uses {
    unsigned readers;      /* equations that read it */
    const Equation *last;
    bool own;              /* every coordinate of every read is the dimension's own index */
    bool exact;            /* ... and no other index is in scope there: inlining repeats no work */
    bool streamed;         /* ... else those left over are indices of the reader, and all binders around bind its dims */
    bool sliced;           /* every read is as above, or one of no more elements than there are, as p[i = 0] */
    NodeList moved;        /* those reads that are not at its own indices */
    bool weights;          /* ... and it holds a normaliser over indices that a binder around each read binds */
} Uses;

Equation *plan_add(Plan *p, Tensor *t, Node *body);
Equation *plan_insert(Plan *p, uint32_t at, Tensor *t, Node *body);
Tensor *plan_tensor(Compilation *c, const char *name, Type type, unsigned n_dims, Index **dims);
/* A part of equation number `at` as an equation before it, over the part's free indices: its READ. `rows_last`: those that
 * are dims of the equation come after those of binders, so that strips of queries lie along them. */
Node *plan_part(Plan *p, uint32_t at, const char *name, Node *part, bool rows_last);
void plan_split_outputs(Plan *p);  /* outputs that others read become copies of an equation of their own */
void plan_outline(Plan *p);        /* parts that lack an index of the loops around them become equations */
void plan_decide(Plan *p);         /* INLINED or STORED, and inlines */
void plan_split_sums(Plan *p);     /* over heads and keys: in two */
bool plan_is_spreadable(const Node *n); /* a weight of a softmax that any sum can take, or what is made of it */
void plan_spread_maps(Plan *p);    /* softmaxes that are stored: statistics of their rows become equations */
void plan_statistics(Plan *p);     /* the same of softmaxes in sums that they are not the weights of */
void plan_stages(Plan *p);         /* scans, order, tasks */
double plan_example_extent(const Plan *p, Index *index); /* 1: ambient */
double plan_example_elements(const Plan *p, const Tensor *t); /* at the example's sizes, ambient ones apart */
double plan_largest_bound(const Plan *p); /* the same of the largest tensor of the signature */
Uses *plan_uses(const Plan *p);    /* by Tensor.id */
bool plan_is_selection(const Node *n);
/* The dims of the equation that its stage runs innermost, sharing what is computed for all of them. */
IndexSet plan_inner(Compilation *c, const Equation *e);

/* A sum as a sum of softmaxes over the same elements with factors. `any`: it holds one at all. */
enum { MOST_SOFTMAXES = 4 };
typedef struct Softmaxes { Node *softmax[MOST_SOFTMAXES], *factor[MOST_SOFTMAXES]; unsigned n; bool any; } Softmaxes;
bool find_softmaxes(Compilation *c, const Node *sum, Softmaxes *out);
bool find_normalisers(Compilation *c, const Node *sum, Softmaxes *out); /* the same of any normaliser */

#endif
