/* What was decided about a pattern, and why, whatever its sizes: for `attnc explain`. Everything here was recorded where it
 * was decided: proofs of subscripts by the checker, reasons of equations by the planner, ways to run by the lowering. */
#ifndef ATTN_COMPILER_REASONS_H
#define ATTN_COMPILER_REASONS_H

#include "growth.h"
#include "loops.h"
#include "plan.h"

/* An equation that is evaluated inside a stage, or is kept between stages. */
typedef struct ReasonEquation {
    const Equation *equation;
    const char *shape;   /* "p[b, h, i, j]" */
    const char *where;   /* extents of its indices that are derived: "c = (size(j) + 15) // 16"; NULL: there are none */
    const char *readers; /* "o, q": equations that read it */
} ReasonEquation;
typedef VEC(ReasonEquation) ReasonEquations;

/* A sum over keys: its indices, and which pairs it adds; condition NULL: all. */
typedef struct ReasonSum { const char *queries, *keys, *condition; } ReasonSum;
typedef struct ReasonRun { const char *how, *when, *not_in_lanes; } ReasonRun; /* when, not_in_lanes: may be NULL */

typedef struct ReasonStage {
    const Stage *stage;
    const char *makes;   /* shapes of what it makes */
    ReasonEquations fused;
    VEC(ReasonSum) sums;
    VEC(ReasonRun) runs;
    const char *beside;  /* the tensor whose pass makes this one, too, or NULL */
    bool hides;          /* hidden keys: see Phase.hides */
} ReasonStage;

typedef struct Reasons {
    const Pattern *pattern;
    const char *signature;
    VEC(ReasonStage) stages;
    ReasonEquations stored, unread;
    Growth *growth;
} Reasons;

/* An expression, cut short only if it is very long. */
const char *reason_text_of(Compilation *c, const Node *n);
/* A stage without a phase of its own: NULL, or the stage whose pass makes its tensor too. */
const Stage *stage_host(const Plan *plan, const Kernel *kernel, const Stage *s);
Reasons *reasons(Compilation *c, const Plan *plan, const Kernel *kernel);
void reasons_print(Text *out, Compilation *c, const Reasons *r);
void reasons_json(Text *out, Compilation *c, const Reasons *r); /* members of an object, each after a comma */

#endif
