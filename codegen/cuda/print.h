/* Loops -> CUDA C, shared by the print_*.c files.
 *   print.c            a program: prelude, parameter, kernels    print_node.c       expressions
 *   print_args.c       the parameter of the kernels: layout,     print_statement.c  statements
 *                      access to buffers, extents                print_share.c      what is computed once
 *   print_name.c       names                                     print_invariant.c  and what ahead of a loop
 *   print_tile.h       kernels with tiles of queries and keys
 *   print_product.c    kernels with tiles of sums of products
 *   print_scan.h       kernels of recurrences
 *   prelude.c          helpers in CUDA C
 * The program includes nothing. The parameter of its kernels is a struct whose fields runtime/abi.h describes;
 * what they make of it, `io`, gives access to the buffers, so that kernels read as the pattern does:
 *     s += io.q(b, h, i, d) * io.k(b, k_head, j, d);
 * Extents are methods too, so that NVRTC's option -DSIZE_d=64 makes a constant of one. */
#ifndef ATTN_CODEGEN_CUDA_PRINT_H
#define ATTN_CODEGEN_CUDA_PRINT_H

#include "codegen/cuda/cuda.h"
#include "codegen/cuda/prelude.h"

/* Names that a part of the program has taken. */
typedef struct Names {
    const struct Names *outer; /* NULL: none */
    VEC(const char *) taken;
} Names;

/* How a name is made of a text of the pattern. Both give a C identifier that is not taken, and take it. */
const char *name_new(Compilation *c, Names *names, const char *like);
void name_free(Names *names, const char *name);
const char *name_clean(Compilation *c, const char *like); /* an identifier, taken or not */

/* A buffer, by its number in Kernel.buffers. */
typedef struct PrintBuffer {
    const Buffer *buffer;
    const char *access;      /* method */
    const char *address;     /* method that points at elements; NULL: not wanted */
    const char *data;        /* field: where it begins */
    const char *group, *type, *strides; /* fields of a bound one */
    const char *element;     /* C type in memory */
    int heads;               /* the dimension whose coordinate is divided by the group, or -1 */
    bool written;            /* by some phase */
    bool steady;             /* does not change during a call */
    bool used;               /* by the current kernel */
    const char *head;        /* in the current kernel: variable with the divided coordinate, or NULL */
    const Index *head_of;    /* ... of this */
} PrintBuffer;

typedef struct Printer {
    Compilation *c;
    const BackendJob *job;
    const Kernel *kernel;
    const Pattern *pattern;
    const int64_t *fixed;    /* extents of the variant, or NULL */
    bool lines;              /* with #line */
    Text *out;
    unsigned indent;
    bool wants[HELPERS];
    const char *real;        /* the compute type */
    /* program */
    Names globals, members;
    const char *args, *view; /* types: of the parameter; of what kernels make of it */
    unsigned n_buffers;
    PrintBuffer *buffers;
    uint32_t *buffer_of;     /* by Tensor.id: number + 1 */
    const char **extents, **params; /* fields, by number */
    const char **methods;    /* of the extents */
    const char *workspace, *scratch, *status, *tasks; /* fields */
    VEC(const Index *) derived;     /* extents that follow from others: methods, */
    VEC(const char *) derived_names;
    uint8_t *facts, *bits;   /* by Node.id: exactness, width (print_node.c) */
    /* kernel; in the methods of the parameter `inside` */
    bool inside;
    Names own;
    const char **indices;    /* by Index.id: variable, or NULL */
    const char **locals;     /* by Local.id */
    VEC(const Index *) sizes;       /* extents in use, and their variables */
    VEC(const char *) size_names;
    Names sizes_taken;              /* their names: taken for the whole kernel */
    struct Place *places;    /* by Local.id: where it is declared (print_statement.c) */
    /* statement: print_share.c */
    const char **memo;       /* by Node.id: the variable that holds its value */
    uint32_t *uses;          /* by Node.id: places where it stands in what is looked at */
    uint32_t *stamp, now;    /* by Node.id: walks */
    VEC(const Node *) trail; /* those in `memo` */
    IndexSet bound;          /* variables that have a value, */
    IndexSet whole;          /* and those that take no coordinate outside of their index */
    bool eager;              /* lazy operands may be evaluated, */
    bool careful;            /* and reads are not known to be in range */
    struct ScanPrinter *scan; /* in the kernel of a recurrence */
    Span span;               /* of the statement */
    uint32_t n_nodes;
} Printer;

/* Binding strength of what is printed, as in C. */
typedef enum Strength {
    BIND_ANY, BIND_CONDITIONAL, BIND_OR, BIND_AND, BIND_BITS, BIND_EQUAL, BIND_COMPARE, BIND_SHIFT, BIND_ADD,
    BIND_MULTIPLY, BIND_UNARY, BIND_POSTFIX
} Strength;

/* ---- print.c ---- */
void print_line(Printer *p, Span span);      /* #line, where wanted, and the indentation */
void print_want(Printer *p, Helper helper);  /* with all that it uses itself */

/* ---- print_args.c ---- */
void print_args_init(Printer *p);
void print_args(Printer *p);
const char *print_element(const Printer *p, const Buffer *b);
const Index *print_bound_index(const Index *index); /* the one that tells its extent */
/* The name of an extent: a method inside the parameter, else a variable of the kernel. */
const char *print_extent(Printer *p, const Index *index);
const char *print_extent_method(Printer *p, const Index *index);

/* ---- print_node.c ---- */
bool print_exact(Printer *p, const Node *n);             /* a real that is kept in f64 */
const char *print_type(Printer *p, const Node *n);       /* its C type */
void print_node(Printer *p, const Node *n, Strength around);
void print_as(Printer *p, const Node *n, const char *type, Strength around); /* a real, converted */
void print_access(Printer *p, const Tensor *t, Node *const *at); /* `io.q(b, h, i, d)` */
void print_in_memory(Printer *p, const Tensor *t, Node *const *at); /* whatever is kept in registers */
void print_address(Printer *p, const Tensor *t, Node *const *at); /* `io.q_at(b, h, i, 0)`: the last one is 0 */
/* An exact product: rounded as written, so that it must not become part of a fused multiply-add. One that is
 * given a variable is printed for BIND_MULTIPLY. */
bool print_may_fuse(Printer *p, const Node *n);
/* A read that tests its coordinates: they stand in its text twice. */
bool print_guarded(const Printer *p, const Node *n);
/* How many operands are evaluated whatever the others are. */
unsigned print_sure(const Node *n);

/* ---- print_share.c ---- */
/* Declares variables for what a statement needs more than once, ahead of it; print_forget ends its use. */
void print_shared(Printer *p, Span span, unsigned n, Node *const *roots);
void print_declared(Printer *p, Node *n); /* a variable for one node */
void print_forget(Printer *p, uint32_t mark);
void print_remember(Printer *p, const Node *n, const char *name); /* that the text stands for it */
const char *print_like(const Node *n); /* what to call it */

/* ---- print_invariant.c ---- */
/* Declares variables for what changes with none of the loops in `body`; repeated: the body itself is that of
 * one. */
void print_invariants(Printer *p, const Block *body, bool repeated, Span span);
void print_invariants_of(Printer *p, unsigned n, Node *const *roots); /* of values that loops need */

/* ---- print_statement.c ---- */
void print_assigned(Printer *p, const Statement *s, const char *type); /* ` = VALUE;` */
void print_phase_body(Printer *p, const Phase *phase);
void print_lines(Printer *p, const char *text); /* indented: `{` at the end of a line opens a block, `}` at its beginning ends one */
/* Declares what the value needs; then `before VALUE after`. */
void print_value(Printer *p, const char *before, Node *n, const char *type, const char *after);
#define LINES(p, ...) print_lines(p, format((p)->c, __VA_ARGS__))
void print_block(Printer *p, const Block *block);
void print_part(Printer *p, const Block *block); /* its locals stay declared */
/* Opens the loop over tasks. */
void print_task_indices(Printer *p, const Phase *phase, const char *start, const char *step);
void print_head(Printer *p, const Index *variable, Span span); /* heads that follow from a new value of it */

/* ---- print_scan.c ---- */
void print_scan_body(Printer *p, const Phase *phase);
/* In the kernel of a recurrence: an element of a state in registers, a loop over rows. False: it is none. */
bool print_scan_late(Printer *p, const Statement *s); /* a store that is made after some steps */
bool print_scan_register(Printer *p, const Tensor *t, Node *const *at);
bool print_scan_loop(Printer *p, const Statement *s, uint32_t mark);
bool print_scan_unrolls(Printer *p, const Statement *s); /* the variable of a loop numbers registers */
bool print_scan_is_kept(const Printer *p, const Tensor *t, bool *stored); /* stored: in memory, too */
void print_scan_condition(Printer *p); /* of a store to memory: `if (lane == 0) ` */
void print_loop_body(Printer *p, const Statement *s, const char *name, uint32_t mark);

/* ---- print_tile.c ---- */
enum { TILE_THREADS = 128 };
void print_tile_body(Printer *p, const Phase *phase);
unsigned print_tile_shared(Printer *p, const Tile *t); /* bytes of shared memory of a block */

/* ---- print_product.c ---- */
void print_product_body(Printer *p, const Phase *phase);
unsigned print_product_shared(const Product *t);

#endif
