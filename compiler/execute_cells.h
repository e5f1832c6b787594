/* Inside of the execution of Loops.
 *   execute.c        the interface: conditions, phases, tasks, statements
 *   execute_eval.c   expressions, loads and stores */
#ifndef ATTN_COMPILER_EXECUTE_CELLS_H
#define ATTN_COMPILER_EXECUTE_CELLS_H

#include "execute.h"

/* A buffer with who wrote its elements: 0 nobody, else the number of a task, counted through all phases. */
typedef struct Area {
    const Buffer *buffer;
    unsigned n_dims;
    int64_t *extents;        /* as stored: the ring dimension has its depth */
    int64_t *bounds;         /* what coordinates must be below */
    uint64_t n;
    void *data;              /* double, int64_t or uint8_t; NULL: not bound */
    uint32_t *writer;        /* NULL: given */
    int64_t *step;           /* by element: its coordinate along the ring dimension; NULL: no ring */
    struct Area *owner, *holder; /* of shared memory: whose it is; in the owner: who wrote there last, or NULL */
} Area;

/* A Node in execution: its last value, good while `stamp` is the current evaluation. */
typedef struct Shared { uint64_t stamp; Scalar value; Area *area; bool shared; } Shared;

typedef struct Executor {
    Compilation memory;
    const Kernel *k;
    const InterpretArguments *arguments;
    const InterpretTensor *outputs;
    unsigned n_outputs;
    ExecuteOptions options;
    ExecuteCounts counts;
    int64_t value[MAX_INDICES], extent[MAX_INDICES];
    Area *areas;             /* as Kernel.buffers */
    Shared **shared;         /* by Node.id */
    uint32_t n_shared;
    uint64_t stamp;
    Scalar *locals;
    uint32_t *local_task;    /* by Local.id: the task that set it */
    uint32_t task, first_task; /* now; the first one of this phase */
    const char *failed;      /* a check that did not hold */
} Executor;

_Noreturn void execute_fail(Executor *x, const char *text); /* in execute.c */
const InterpretTensor *execute_bound(const Executor *x, const Tensor *tensor); /* NULL: not bound */
int64_t execute_extent(Executor *x, const Index *index);

Scalar execute_eval(Executor *x, const Node *n);          /* at this moment */
void execute_store(Executor *x, const Tensor *t, Node *const *subscripts, Scalar value);
Scalar execute_round(const Executor *x, Scalar value);    /* to the compute type */
void execute_check_failed(Executor *x, unsigned check);
Area *execute_area(Executor *x, const Tensor *t);

#endif
