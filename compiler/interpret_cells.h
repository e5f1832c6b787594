/* Inside of the interpreter: expressions as Cells with resolved operands, and memories for what is needed
 * again.
 *   interpret.c        the interface; elements of equations on demand
 *   interpret_cells.c  Nodes to Cells, memories
 *   interpret_eval.c   Cells to values: scalars, reads, reductions
 *   interpret_rows.c   normalisers, scans, selections: what is computed once for a whole row */
#ifndef ATTN_COMPILER_INTERPRET_CELLS_H
#define ATTN_COMPILER_INTERPRET_CELLS_H

#include "interpret.h"

enum { MAX_BOUND = 8, MAX_DIMS = 32, PAGE_SHIFT = 10 };
enum { MAX_ELEMENTS_SHIFT = 34 }; /* of one table: 2^34 elements take 2^24 pointers to pages */

/* Operations of Cells besides those of Nodes. */
enum { CELL_CONSTANT = N_OPS, CELL_MEMO, CELL_F64, CELL_I64, CELL_U8, CELL_EQUATION };

typedef struct Cell Cell;
typedef struct Page { uint64_t known[(1 << PAGE_SHIFT) / 64]; Scalar values[]; } Page;

/* Values by coordinates, kept in pages that are made when first written. */
typedef struct Store { uint64_t n; Page **pages; } Store;

/* Remembered values of one Cell, by the values of its free variables: all of them, or the last one if that
 * is all that is worth it (pages == NULL). */
typedef struct Memo {
    unsigned n;
    const int64_t **slots;
    int64_t *extents;
    Store store;
    int64_t *last;           /* without a store: variables of last_value */
    bool valid;
    Scalar last_value;
} Memo;

/* A tensor: given data, or an equation with its elements so far. */
typedef struct Table {
    const Tensor *tensor;
    unsigned n_dims;
    int64_t *extents;
    void *data;
    Cell *body;              /* built when first needed */
    Store store;
} Table;

struct Cell {
    uint8_t op;              /* Op or CELL_... */
    uint8_t kind;            /* as in Node */
    uint8_t type;            /* UNARY, BINARY: of the operand; binders: of the body */
    uint16_t n_args, n_vars;
    uint32_t weight;         /* evaluations when nothing is remembered */
    Cell **args;
    int64_t **vars;          /* binder: slots of its variables */
    int64_t *extents;        /* binder: of its variables */
    int64_t *lo;             /* rows whose range is no constant: where the one that is looked for begins */
    union { Scalar value; int64_t *slot; Table *table; Memo *memo; };
    const Node *node;
};

/* Place of a kept element in a row; `at` is row-major over the extents of the bound variables. */
typedef struct Item { Scalar value; int64_t key, at; } Item;
typedef struct Demand { Table *table; uint64_t at; } Demand;

struct Interpreter {
    Compilation memory;      /* arena, and the way out of errors */
    const Graph *g;
    const InterpretArguments *arguments;
    const char *error;
    int64_t value[MAX_INDICES]; /* current coordinates, by Index.id */
    int64_t extent[MAX_INDICES]; /* -1: not yet known */
    Table **tables;          /* by Tensor.id */
    Cell **cells;            /* by Node.id */
    uint32_t n_cells;
    IndexSet scope;          /* while building: variables around */
    bool twice;              /* while building: inside what a row evaluates once more */
    VEC(Item) scratch;
    uint64_t operations, limit;
    jmp_buf resume;          /* to the loop over demands */
    char *stack;             /* where that loop stands */
    VEC(Demand) demands;
};

/* interpret.c */
_Noreturn void interpret_fail(Interpreter *in, const char *text); /* a mistake of the caller or in the data */
Table *interpret_table(Interpreter *in, const Tensor *tensor);
int64_t interpret_extent(Interpreter *in, const Index *index);
/* An element of an equation that is not known yet. */
Scalar interpret_read(Interpreter *in, Table *t, uint64_t at, const int64_t *x);

/* interpret_cells.c */
Cell *interpret_build(Interpreter *in, Node *n);
bool store_init(Interpreter *in, Store *s, const int64_t *extents, unsigned n); /* false: too large */
Scalar *store_find(const Store *s, uint64_t at); /* NULL: not known */
void store_put(Interpreter *in, Store *s, uint64_t at, Scalar value);
Memo *memo_new(Interpreter *in, const IndexSet *free, bool all, const Cell *binder);
Scalar *memo_find(Memo *m);
void memo_put(Interpreter *in, Memo *m, Scalar value);

/* interpret_eval.c */
Scalar interpret_eval(Interpreter *in, const Cell *n);
/* The coordinates of a binder, row-major, from lo to hi. begin: false if there are none; end: always. */
typedef struct Walk { const Cell *n; int64_t lo[MAX_BOUND], hi[MAX_BOUND], saved[MAX_BOUND]; } Walk;
bool walk_begin(Interpreter *in, Walk *w, const Cell *n);
bool walk_next(Interpreter *in, Walk *w);
void walk_end(Walk *w);
int64_t walk_at(const Cell *n); /* row-major position of the current coordinates */
static inline const Cell *cell_where(const Cell *n) { return n->args[2 * n->n_vars]; }
static inline const Cell *cell_body(const Cell *n) { return n->args[2 * n->n_vars + 1]; }
static inline const Cell *cell_extra(const Cell *n)
{
    return n->n_args > 2 * n->n_vars + 2 ? n->args[2 * n->n_vars + 2] : NULL;
}

/* interpret_rows.c */
Scalar interpret_row(Interpreter *in, const Cell *n); /* NORMALISE, SCAN and selections */
double interpret_logsumexp(Interpreter *in, const Cell *n);

#endif
