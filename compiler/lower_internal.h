/* Shared by the parts of the lowering.
 *
 * Code is emitted into a stack of scopes: bodies of loops and branches. A value is emitted in the outermost loop that
 * binds all its variables, once, and remembered there (`values`), so that what does not depend on an index is computed
 * outside of its loop. Branches are not left unless that also leaves a loop, for what stands in a branch may not be needed. */
#ifndef ATTN_COMPILER_LOWER_INTERNAL_H
#define ATTN_COMPILER_LOWER_INTERNAL_H

#include "box.h"
#include "lower.h"
#include "plan_internal.h"

typedef struct Scope Scope;
struct Scope {
    Scope *outer;
    unsigned depth, number; /* number: no other scope has it */
    bool loop;          /* binds variables and repeats; else a branch */
    IndexSet bound;     /* by this scope alone */
    Block block;
    NodeMap values;     /* what has been computed here: node -> Node of its value */
};

typedef struct ScratchScope { const Tensor *tensor; unsigned scope; } ScratchScope;

typedef struct Lower {
    Compilation *c;
    const Plan *plan;
    Kernel *kernel;
    Scope *scope;
    Span span;
    Schedule schedule;
    const char *plain;  /* why the last pairwise stage has no strips, or NULL */
    bool rows;          /* does the stage at hand keep whole rows? */
    Index *lane;        /* while a strip is lowered: what differs between lanes must not steer loops and branches */
    SummaryList summaries; /* of tensors that are complete */
    VEC(const Equation *) riders; /* computed beside another (lower_rider.h) */
    NodeMap heavy; /* memo of is_heavy */
    unsigned n_scopes;
    VEC(unsigned) local_scopes; /* by Local.id: where it was made, and is set */
    VEC(ScratchScope) scratch_scopes;
} Lower;

/* lower_scope.c */
Statement *emit(Lower *l, StatementKind kind);
void scope_open(Lower *l, Scope *s, bool loop);
void scope_close(Lower *l, Scope *s);
Scope *scope_for(Lower *l, const Node *n, const IndexSet *free); /* where a value with these variables belongs */
Node *value_find(Lower *l, const Node *n, const IndexSet *free);
Local *local_new(Lower *l, const char *name, const Node *like);
Local *local_make(Lower *l, const char *name, Type type, bool exact);
Node *local_get(Lower *l, Local *local);
void set_local(Lower *l, Local *local, Node *value);
void store(Lower *l, Tensor *t, Node **subscripts, Node *value);
Statement *prefetch(Lower *l, Tensor *t, Node **subscripts, bool far);
void buffer_add(Lower *l, Tensor *t, BufferKind kind, bool exact); /* to the kernel, without a ring */
Tensor *scratch_new(Lower *l, const char *name, const Node *like, unsigned n_dims, Index **dims);
Node *read_at(Lower *l, Tensor *t); /* at INDEX of its dims */
void store_at(Lower *l, Tensor *t, Node *value);

/* A loop over one variable. `while` ranges come from lower_bounds.c. */
typedef struct Range { Node *lo, *hi, *step; } Range;
typedef struct Loop { Scope scope; Index *variable; Range range; bool down, ragged; LoopKind kind; } Loop;
void loop_open(Lower *l, Loop *loop, Index *variable, Range range);
void loop_close(Lower *l, Loop *loop);
Range whole_range(Lower *l, Index *index);
typedef struct Branch { Scope scope; Node *condition; } Branch;
void branch_open(Lower *l, Branch *b, Node *condition); /* condition already lowered; TRUE opens nothing */
void branch_close(Lower *l, Branch *b);

/* lower_bounds.c: the range of `variable` under the conjuncts of `test`; what it covers exactly is taken out of the list.
 * Conjuncts that depend on `later` variables are left alone. */
Range tighten_interval(Lower *l, Index *variable, Range range, NodeList *test, const IndexSet *later); /* no step */
Range tighten(Lower *l, Index *variable, Range range, NodeList *test, const IndexSet *later);

/* lower.c */
void phase_open(Lower *l, Scope *root, unsigned n_tasks, Index **tasks);
void phase_close(Lower *l, Scope *root, Phase phase);

void lower_steps(Lower *l, const Stage *s, const IndexSet *bound); /* of a scan, and what follows the last one */
const char *stage_title(Lower *l, const Stage *s);

/* lower_scan.c: a scan with its states in registers of a GPU. False: it does not fit, nothing was emitted. */
bool lower_recurrence(Lower *l, const Stage *s);

/* lower_expression.c */
Node *lower_value(Lower *l, Node *n);
bool is_heavy(Lower *l, const Node *n); /* holds a binder or a check: statements are needed */

/* lower_reduce.c */
typedef struct Nest { Loop loops[16]; unsigned n; Branch branch; } Nest;
void nest_open(Lower *l, Nest *nest, const Node *binder, Node *where);
void nest_open_with(Lower *l, Nest *nest, const Node *binder, Node *condition);
void nest_close(Lower *l, Nest *nest);
void dims_open(Lower *l, Nest *nest, unsigned n_dims, Index **dims); /* loops over whole dims; nest_close ends them */
void array_fill(Lower *l, Tensor *t, Node *value);
void split_where(Lower *l, Node *where, unsigned n_dims, Index **dims, Node **outside, Node **inside);
Node *row_major(Lower *l, unsigned n_vars, Index **vars);
Node *comparable(Compilation *c, Node *x, double worst);
Node *node_zero(Compilation *c, Type type);
Node *reduction_identity(Compilation *c, Reduction kind, Type type);
Node *reduction_combine(Compilation *c, Reduction kind, Node *a, Node *b);
Node *lower_reduce(Lower *l, Node *n);
Node *lower_sum_from(Lower *l, Node *n, Node *start); /* any reduction but ARGMAX and ARGMIN, from another start */
Node *lower_array_reduce(Lower *l, Node *n, unsigned n_dims, Index **dims); /* for all of dims at once; READ of scratch */

/* A product times `weight` and `factor`: what depends on none of dims, and the rest. */
void split_product(Lower *l, Node *n, unsigned n_dims, Index *const *dims, Node **weight, Node **factor);

/* lower_strip.c: an equation with queries in vector lanes. False: it does not fit, nothing was emitted. */
bool lower_strips(Lower *l, const Stage *stage);

/* lower_online.c: a weighted sum by online softmax. NULL: it is not one. dims may be none. */
Node *lower_online(Lower *l, Node *n, unsigned n_dims, Index **dims);

/* lower_row.c: values that need a whole row; READ of the row at the current coordinates. */
Node *lower_row(Lower *l, Node *n);
const IndexSet *row_free(Lower *l, const Node *n, IndexSet *set); /* variables the row as a whole depends on */

/* lower_equation.c */
void lower_equation(Lower *l, Equation *e, const IndexSet *bound); /* all elements, for fixed indices in `bound` */

#endif
