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
    bool weights;          /* ... and it holds a normaliser over indices that a binder around each read binds */
} Uses;

Equation *plan_add(Plan *p, Tensor *t, Node *body);
Equation *plan_insert(Plan *p, uint32_t at, Tensor *t, Node *body);
Tensor *plan_tensor(Compilation *c, const char *name, Type type, unsigned n_dims, Index **dims);
/* A part of equation number `at` as an equation before it, over the part's free indices: its READ. */
Node *plan_part(Plan *p, uint32_t at, const char *name, Node *part);
Node *plan_read_own(Compilation *c, Tensor *t); /* at its own indices */
void plan_split_outputs(Plan *p);  /* outputs that others read become copies of an equation of their own */
void plan_outline(Plan *p);        /* parts that lack an index of the loops around them become equations */
void plan_decide(Plan *p);         /* INLINED or STORED, and inlines */
void plan_split_sums(Plan *p);     /* over heads and keys: in two */
bool plan_is_spreadable(Compilation *c, const Node *n); /* holds softmaxes, and any sum can take them */
void plan_statistics(Plan *p);     /* softmaxes that are not the weights of a sum */
void plan_stages(Plan *p);         /* scans, order, tasks */
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

#endif
