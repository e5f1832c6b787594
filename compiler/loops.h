/* Loops: how a pattern runs. Statements over the core expressions of lang/node.h, with nothing of attention in them.
 *
 * What is left of Nodes here: no binders; a READ loads from the Buffer of its tensor (one coordinate per dimension); a
 * LOCAL is a scalar variable whose value changes over time, so two equal Nodes need not have equal values at two
 * statements. A guarded READ whose coordinates may lie outside loads nothing and is 0 (false) there: printers test every
 * coordinate against the extent before they touch memory. IF, AND, OR stay lazy.
 *
 * Types in a printer: int is 64 bits; bool is one bit in registers, one byte in memory; a real Node with `data` is
 * computed in the compute type (f32, or f64 when the storage type is f64), one without in f64 and rounded once where it
 * meets data. Locals and buffers say which with their `exact` flag. */
#ifndef ATTN_COMPILER_LOOPS_H
#define ATTN_COMPILER_LOOPS_H

#include "lang/program.h"

typedef enum BufferKind {
    BUFFER_BOUND,     /* a tensor of the signature: strides, broadcasting, head groups and element type of the call */
    BUFFER_WORKSPACE, /* one for the call, dense row-major, shared by all phases and threads */
    BUFFER_SCRATCH    /* one for every worker thread, dense row-major */
} BufferKind;
typedef struct Buffer {
    Tensor *tensor;   /* shape: extents of tensor->dims; element: tensor->type */
    BufferKind kind;
    bool exact;       /* real elements are kept in f64 whatever the compute type is */
    int ring;         /* this dimension is kept modulo ring_depth, or -1 (states of recurrences) */
    unsigned ring_depth;
    unsigned shares;  /* scratch: number of the buffer whose memory it uses, of its own or of an earlier one */
} Buffer;

typedef enum StatementKind {
#define STATEMENT(name) S_##name,
#include "statement_list.h"
#undef STATEMENT
    S_KINDS
} StatementKind;
/* VECTOR: a literal number of iterations, from any first one, that run in lockstep, as lanes of vectors; ranges of loops and conditions of
 * branches inside are the same for all. JAM: iterations are independent but for sums and maxima in locals from outside;
 * several may run together, statement by statement, sharing what they load. TRANSPOSE: around a loop with a literal range
 * around a store of one scratch buffer into another, with the two loop variables as the last coordinate of one each. */
typedef enum LoopKind { LOOP_SERIAL, LOOP_VECTOR, LOOP_JAM, LOOP_TRANSPOSE } LoopKind;

typedef struct Statement Statement;
typedef VEC(Statement *) Block;
struct Statement {
    StatementKind kind;
    Span span;            /* of the equation it computes: line tables */
    /* FOR: variable runs lo, lo + step, ... < hi (down: hi - 1, ... >= lo with step 1); step > 0 */
    Index *variable;
    Node *lo, *hi, *step; /* step NULL: 1 */
    LoopKind loop;
    bool down;
    bool ragged;          /* JAM: often no multiple of what runs together */
    Block body, otherwise; /* FOR: body; IF: body, otherwise */
    Node *condition;      /* IF; REQUIRE: must hold, else status = check */
    Local *local;         /* SET */
    Tensor *tensor;       /* STORE; PREFETCH: this element will be needed soon, a hint */
    bool far;             /* PREFETCH: not so soon, and more than the first cache holds */
    Node **subscripts;
    Node *value;          /* SET, STORE; PREFETCH: so many elements from there on, side by side; NULL: one */
    unsigned check;       /* REQUIRE: number in Kernel.checks */
    const char *text;     /* NOTE: a comment for dumps */
};

/* How a block of a GPU runs a weighted sum of rows: a box of `queries` against all keys, `keys` at a time. The phase's body
 * says what it computes; this adds nothing to that. Rows are READs of tensors of one type, whose last coordinate is the
 * feature. Keys of several indices are a list, row-major over begin .. end of each. */
enum { TILE_DIMS = 3 };
typedef struct TileRider { Tensor *tensor; Node *value; } TileRider;
typedef struct Tile {
    unsigned n_queries, n_keys;  /* indices */
    Index *query[TILE_DIMS], *key[TILE_DIMS], *column; /* column: the feature of values and output */
    Index *block[TILE_DIMS];     /* the last task indices: boxes of queries, */
    unsigned shape[TILE_DIMS];   /* so many along each */
    Index *first;                /* where a tile of keys begins: its coordinate, or its place in the list */
    unsigned queries, keys;
    bool grows;                  /* later queries see more keys */
    bool mma, tf32;              /* on tensor cores: rows of 16 bits, or of f32 as tf32; else of f32 */
    int64_t d, e;                /* features of q and k, of v */
    Node *q, *k, *v;             /* v NULL: sums of weights or greatest scores alone; no column, out, total and value */
    Block range;                 /* sets begin, end, count and total: keys outside are hidden from the whole block */
    Local *begin[TILE_DIMS], *end[TILE_DIMS], *count[TILE_DIMS], *total_keys; /* count, total: of several indices */
    Block judge;                 /* sets for the tile of keys: may a pair in it be visible (some), hidden (partial)? */
    Local *some, *partial;
    Node *where;                 /* is a pair visible? */
    Local *dot;                  /* sum[d](q * k) */
    Node *score;                 /* of dot, query, key; without a softmax (max NULL) the weight itself */
    Node *scale;                 /* score = dot * scale with scale > 0; NULL: it is more than that */
    Node *gain;                  /* what a weight becomes (dot stands for it) when it has been summed, or NULL */
    Node *sink;                  /* a score without a value, or NULL */
    Local *max, *sum, *total;    /* of the scores; of exp(score - max), or of weights, or NULL; the weighted sum */
    Tensor *out;
    Node *value;                 /* of an element of it, of total */
    TileRider *riders;           /* of max and sum: one value a query */
    unsigned n_riders;
} Tile;

/* How a block of a GPU runs a sum of products: a tile of the result, `depth` products at a time. As with Tile, the phase's
 * body says what it computes. */
enum { PRODUCT_DIMS = 3 };
typedef struct ProductSide {
    Node *value;  /* of an element, by the side's own index and the summed ones */
    bool copied;  /* a READ that goes to shared memory as it is; else `value` is evaluated for every element */
    bool along;   /* neighbours differ in the last summed index; else in the side's own */
} ProductSide;
typedef struct Product {
    Index *row, *column;
    Index *row_block, *column_block; /* the last task indices: tiles of the result, of */
    unsigned rows, columns, depth;
    bool mma;             /* on tensor cores: both sides in 16 bits; else in f32 */
    ProductSide a, b;     /* of rows, of columns */
    unsigned n_along;
    Index *along[PRODUCT_DIMS]; /* summed: begin .. end of each, which `range` sets */
    Block range;
    Local *begin[PRODUCT_DIMS], *end[PRODUCT_DIMS], *total;
    Tensor *out;
    Node *value;          /* of an element of it, of total */
} Product;

/* A state of a recurrence in registers. */
typedef struct Kept {
    Tensor *tensor;          /* scratch, or (`stored`) one that others read, too; dims that are no tasks are of fixed extents */
    bool stored;
    int axis, row;           /* positions of the axis, which has `depth` steps, and of the rows among its dims, or -1 */
    unsigned depth, size;    /* steps; elements of a step, rows apart */
    uint64_t own;            /* dims (a bit each) that are tasks: each thread has its own */
    int64_t *extents;        /* of its other dims but the axis */
    Node **at;               /* its dims as coordinates */
    Node **start;            /* [k]: k steps before the first one, over the dims; 0 is not used; NULL: nobody reads it */
} Kept;
/* Is it a dim that is neither the axis nor a task? */
static inline bool kept_is_left(const Kept *k, unsigned d) { return (int)d != k->axis && !(k->own >> d & 1); }
/* A value of the steps that more than one thread may need, over axis, row or column; or (not over the axis) one that a
 * thread has at hand for all steps. */
typedef struct Early { Node *value; bool axis, row, column; } Early;
/* How a GPU runs a recurrence, with its states in registers: a thread for every task, or with `row` a block for a range of
 * tasks along `column` (or for one), of which `lanes` threads share the rows of a task, and a thread has `columns` tasks.
 * The phase's body says what it computes; this adds nothing to that, but start values of states. */
typedef struct Recurrence {
    Index *axis;
    bool down;
    Index *column, *block;   /* `block`: the last task index, ranges of `width` columns */
    Index *row;              /* of all loops over rows in `step` and `after` */
    int64_t n_rows, n_columns; /* columns: -1, if their number is not fixed */
    unsigned lanes, rows, columns, width, threads; /* rows, columns: of a thread; threads: of a block */
    unsigned steps;          /* that are read ahead together */
    Block before, step, after;
    Kept *kept;
    unsigned n_kept;
    Early *early;
    unsigned n_early;
    const Statement **late;  /* stores of `step` that every step makes, over axis and column: may be made after some steps */
    unsigned n_late;
} Recurrence;

/* One phase: `tasks` are the combinations of its task indices, independent of each other; a barrier follows. */
typedef struct Phase {
    const char *name;
    unsigned n_tasks;     /* number of task indices; 0: one task */
    Index **tasks;        /* row-major, the last fastest */
    Block body;
    bool data_check;      /* only tests declared ranges of data: may be skipped if the caller vouches for them */
    unsigned stage;       /* number in Plan.stages + 1 of the stage that it belongs to; 0: none */
    const char *how;      /* it runs, in words; NULL: it only makes ready, or puts together, what others need */
    Node *when;           /* over SIZE: it has tasks only where this holds; NULL: always */
    bool hides;           /* hidden keys may hold values that are not finite: a strip that met one runs twice */
    const char *plain;    /* why a stage that might does not run in strips or tiles, or NULL */
    const Tile *tile;     /* how a block of a GPU runs a weighted sum of rows, */
    const Product *product; /* or a sum of products, */
    const Recurrence *recurrence; /* or a recurrence; or NULL */
} Phase;

typedef enum CheckKind { CHECK_CONDITION, CHECK_DATA_RANGE, CHECK_RUN } CheckKind;
/* What can go wrong in generated code; status = number + 1. */
typedef struct Check {
    CheckKind kind;
    const char *text;     /* the condition as written, or `table in 0..size(page)` */
    Node *test;           /* CONDITION: over SIZE, PARAM, GIVEN */
    Tensor *tensor;       /* DATA_RANGE */
    Span span;
} Check;

typedef struct Kernel {
    Pattern *pattern;
    VEC(Buffer) buffers;  /* BOUND ones first, in the order of Pattern.tensors */
    VEC(Check) checks;    /* RUN ones first: a CHECK node's number is its place here */
    VEC(Phase) phases;
    uint32_t n_locals;
} Kernel;

const Buffer *kernel_buffer(const Kernel *k, const Tensor *tensor); /* NULL: none */
unsigned loop_lanes(Compilation *c, const Statement *s); /* iterations of a VECTOR loop; 0: no literal number */
void loops_print(Text *out, const Kernel *k);
const char *loops_verify(Compilation *c, const Kernel *k); /* NULL, or what is wrong */

#endif
