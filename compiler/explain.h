/* What a pattern takes at given sizes, stage by stage: for `attnc explain` and `attnc bench`. */
#ifndef ATTN_COMPILER_EXPLAIN_H
#define ATTN_COMPILER_EXPLAIN_H

#include "census.h"
#include "cost.h"
#include "plan.h"

/* Numbers that are not known are NAN. A pair is a query (a position of the output, accumulators apart) and a
 * streamed key. */
typedef struct ExplainStage {
    const Stage *stage;
    const char *name, *runs; /* the tensor it makes; in words */
    VEC(const char *) fused; /* equations that are evaluated inside */
    bool pairwise;           /* pairs and boxes mean something */
    bool exact;              /* else what depends on numbers of float tensors is an upper bound */
    unsigned lanes;          /* 0: not in strips */
    double flops; /* pairwise: two for every product in a sum, at visible pairs; else all arithmetic */
    double bytes_read, bytes_written; /* of memory that all threads see, once each */
    double workspace;                 /* bytes of the tensors it keeps, and of one thread's scratch */
    double visible, visited;          /* pairs */
    double boxes, full, partial;
    double seconds; /* predicted */
    double terms[COST_N_TERMS];
} ExplainStage;

typedef struct Explanation {
    VEC(ExplainStage) stages;
    double flops, bytes_read, bytes_written, workspace, visible, visited, seconds;
} Explanation;

typedef struct ExplainOptions {
    bool f64;
    int threads;
    CostMachine machine;
} ExplainOptions;

/* arguments: extents, parameters and the tensors that conditions read; others need no data. `kernel` is that
 * of the plan. */
Explanation *explain(Compilation *c, const Plan *plan, const Kernel *kernel,
                     const InterpretArguments *arguments, const ExplainOptions *options);

#endif
