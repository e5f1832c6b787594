/* Graph: what is meant. The equations of one checked Pattern as a unit for rewrites: every tensor with a
 * body that an output needs, each after the equations that it reads at the same step (reads of earlier
 * steps of a recurrence apart). Equations are shared with the Pattern: a rewrite replaces bodies or the
 * list, and keeps `pattern`. */
#ifndef ATTN_COMPILER_GRAPH_H
#define ATTN_COMPILER_GRAPH_H

#include "lang/program.h"

typedef struct Graph {
    Compilation *c;
    Pattern *pattern;
    VEC(Tensor *) equations;
} Graph;

/* The equations that outputs and carried states need, in topological order (that of the pattern where it
 * is free). */
Graph *graph_build(Compilation *c, Pattern *pattern);
/* Sorts again and drops what no output needs: for after a rewrite. Members of a recurrence stand together.
 * BUG on a cycle within a step. */
void graph_sort(Graph *g);
Tensor *graph_find(const Graph *g, const char *name); /* an equation or a tensor of the signature, or NULL */
/* All of it as text, one line an item: the dump of --emit=graph. Deterministic. */
const char *graph_print(Compilation *c, const Graph *g);
/* NULL, or what is wrong with the first bad equation: operand types and counts, free variables,
 * subscripts, binders, steps of recurrences, order. */
const char *graph_verify(Compilation *c, const Graph *g);

/* NULL, or a read without a guard that is not proved to be in range. For tests: proving takes long. */
const char *graph_verify_reads(Compilation *c, const Graph *g);

/* Calls f once for every node of the DAG below and including n, an operation before its operands. */
typedef void NodeVisit(void *context, const Node *n);
void node_visit(Compilation *c, const Node *n, NodeVisit *f, void *context);
/* Does `reader` (whose body holds `read`) read an earlier step of its own recurrence? */
bool graph_reads_earlier_step(const Tensor *reader, const Node *read);

#endif
