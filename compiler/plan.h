/* Plan: what is fused with what. A tree of stages over the equations of a Graph.
 *
 * Every equation is
 *   INLINED  into its readers (evaluated where it is read, hoisted as far out as its indices allow),
 *   STORED   as a whole, in a tensor of the signature or in the workspace, or
 *   STATE    kept for the last few steps of a recurrence alone.
 * Bodies in the plan have inlined equations substituted, means and log-sum-exps spelled out, and conditions of sums
 * gathered in their `where`; those of the Graph stay as they are. */
#ifndef ATTN_COMPILER_PLAN_H
#define ATTN_COMPILER_PLAN_H

#include "graph.h"

typedef enum StageKind {
#define STAGE(name, text) STAGE_##name,
#include "stage_list.h"
#undef STAGE
    STAGES
} StageKind;
typedef enum Reason {
#define REASON(name, text, words) REASON_##name,
#include "reason_list.h"
#undef REASON
    REASONS
} Reason;
typedef enum Storing { INLINED, STORED, STATE } Storing;

typedef struct Stage Stage;
/* What the plan knows of one tensor with a body. */
typedef struct Equation Equation;
struct Equation {
    Tensor *tensor;
    Node *body;
    Storing storing;
    Tensor *state;          /* STATE: the scratch tensor that holds the last steps: dims without the tasks of its scan */
    unsigned depth;         /* STATE: steps kept */
    Stage *stage;           /* STORED, STATE: where it is computed */
    Reason reason;          /* for `storing` */
    const char *origin;     /* in words: what a pass has made it of; NULL: it is written so */
    VEC(const Equation *) readers; /* at the time of the decision */
    unsigned parts;         /* equations outlined from it so far */
};

struct Stage {
    StageKind kind;
    Equation *equation;     /* what it computes; SCAN: NULL */
    unsigned n_tasks;       /* task indices: their combinations are independent */
    Index **tasks;
    unsigned n_apart;       /* SCAN: indices along which it falls apart: task indices, and others along which it */
    Index **apart;          /*   shares what is costly */
    Index *axis;            /* SCAN: runs along it, */
    int step;               /*   +1 upwards, -1 downwards */
    VEC(Stage *) steps;     /* SCAN: stages of one step, in order (each one equation at a fixed coordinate of the axis) */
    VEC(Stage *) after;     /* SCAN: stages that need the last step alone */
    bool placed;            /* already in Plan.stages */
};

typedef struct Plan {
    Compilation *c;
    const Graph *graph;
    VEC(Equation *) equations;   /* in topological order */
    Equation **by_tensor;        /* by Tensor.id; NULL: none */
    uint32_t n_by_tensor;
    VEC(Stage *) stages;
} Plan;

Plan *plan_build(Compilation *c, const Graph *graph);
Equation *plan_equation(const Plan *p, const Tensor *t); /* NULL: an input */
const char *plan_print(Compilation *c, const Plan *p);
const char *plan_verify(Compilation *c, const Plan *p);  /* NULL, or what is wrong */
const char *stage_name(StageKind kind);
const char *reason_text(Reason reason);  /* in short */
const char *reason_words(Reason reason); /* "... because it is an output" */

#endif
