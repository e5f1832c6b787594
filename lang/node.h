/* The core: typed expressions over coordinates, hash-consed within a Compilation, so that equal expressions
 * are equal pointers. The checker elaborates everything else of the language into these (masks, functions and
 * patterns inlined, defaults and absorbed weights spelled out as IF), and every later level keeps them.
 *
 * A variable is an Index: INDEX(j) stands for the coordinate of j (from 0 to extent - 1; an origin has
 * already been added where a position was meant). A binder binds its variables inside `where` and its body,
 * dynamically: an inner binder of the same index hides the outer one. Evaluation is lazy in IF, AND, OR, and
 * `where`. */
#ifndef ATTN_LANG_NODE_H
#define ATTN_LANG_NODE_H

#include "base.h"

typedef struct Node Node;
typedef struct Index Index;
typedef struct Tensor Tensor;
typedef struct Param Param;
typedef struct Local Local;

typedef enum Type { TYPE_BOOL, TYPE_INT, TYPE_REAL } Type;
typedef enum Op {
#define NODE(name, text, class) N_##name,
#include "node_list.h"
#undef NODE
    N_OPS
} Op;
typedef enum Reduction {
#define REDUCTION(name, text) REDUCE_##name,
#include "reduction_list.h"
#undef REDUCTION
    REDUCTIONS
} Reduction;
typedef enum Normaliser {
#define NORMALISER(name, text) NORMALISE_##name,
#include "normaliser_list.h"
#undef NORMALISER
    NORMALISERS
} Normaliser;
typedef enum ScanKind {
#define SCAN_KIND(name, text) SCAN_##name,
#include "scan_list.h"
#undef SCAN_KIND
    SCAN_KINDS
} ScanKind;

/* A scalar variable of Loops (N_LOCAL). exact: a real that is kept in f64 whatever the compute type is. */
struct Local { const char *name; Type type; bool exact; uint32_t id; };

/* Sets of indices by Index.id. */
enum { MAX_INDICES = 512 };
typedef struct IndexSet { uint64_t words[MAX_INDICES / 64]; } IndexSet;
static inline bool set_has(const IndexSet *s, unsigned id) { return s->words[id / 64] >> (id % 64) & 1; }
static inline void set_add(IndexSet *s, unsigned id) { s->words[id / 64] |= (uint64_t)1 << (id % 64); }
static inline void set_remove(IndexSet *s, unsigned id) { s->words[id / 64] &= ~((uint64_t)1 << (id % 64)); }

struct Node {
    Op op;
    Type type;
    uint8_t kind;            /* REDUCE: Reduction; NORMALISE: Normaliser; SCAN: ScanKind */
    bool guarded; /* READ: in range only under conditions around it (or around the readers of its equation);
                   * whoever evaluates it elsewhere must test the coordinates first */
    bool data;    /* depends on the numbers of a float tensor: computed in the compute type; else in f64 */
    bool has_binder; /* a binder or a READ of an equation stands somewhere inside: not a cheap scalar */
    uint32_t id;             /* order of creation: deterministic */
    uint16_t n_args, n_vars; /* n_vars: BINDER: args[2k], args[2k+1] are lo and hi of vars[k] */
    uint16_t check;          /* CHECK: number of the run-time check */
    Node **args;
    Index **vars;
    union { int64_t integer; double real; Index *index; Tensor *tensor; Param *param; Local *local; };
    const IndexSet *free;    /* free variables */
    Span span;               /* where it was first written */
};

/* Makers. All fold constants and apply exact identities (x + 0, x * 1, IF true ...) only where no value, NaN
 * or sign included, can change. Operand types are asserted, not converted. */
Node *node_int(Compilation *c, int64_t value);
Node *node_real(Compilation *c, double value);
Node *node_bool(Compilation *c, bool value);
Node *node_index(Compilation *c, Index *index);
Node *node_size(Compilation *c, Index *index);  /* the extent: index->extent if derived, else a SIZE leaf */
Node *node_param(Compilation *c, Param *param); /* a literal if the parameter is fixed */
Node *node_given(Compilation *c, Tensor *tensor);
Node *node_group(Compilation *c, Tensor *tensor);
Node *node_unit(Compilation *c, Tensor *tensor);
Node *node_local(Compilation *c, Local *local);
Node *node_unary(Compilation *c, Op op, Node *a);
Node *node_binary(Compilation *c, Op op, Node *a, Node *b);
Node *node_if(Compilation *c, Node *condition, Node *then, Node *otherwise);
Node *node_read(Compilation *c, Tensor *tensor, Node **subscripts, bool guarded);
Node *node_rand(Compilation *c, Node **args5);
Node *node_check(Compilation *c, Node *x, Node *lo, Node *hi, unsigned check);
/* lo, hi: NULL entries stand for 0 and the extent. extra: NULL, or what the operation needs besides. */
Node *node_binder(Compilation *c, Op op, unsigned kind, unsigned n_vars, Index **vars, Node **lo, Node **hi,
                  Node *where, Node *body, Node *extra);
Node *node_copy_with(Compilation *c, const Node *n, Node **args); /* same operation, other operands */

static inline Node *binder_lo(const Node *n, unsigned k) { return n->args[2 * k]; }
static inline Node *binder_hi(const Node *n, unsigned k) { return n->args[2 * k + 1]; }
static inline Node *binder_where(const Node *n) { return n->args[2 * n->n_vars]; }
static inline Node *binder_body(const Node *n) { return n->args[2 * n->n_vars + 1]; }
static inline Node *binder_extra(const Node *n)
{
    return n->n_args > 2 * n->n_vars + 2 ? n->args[2 * n->n_vars + 2] : NULL;
}
bool node_is_binder(const Node *n);
bool node_depends_on(const Node *n, const Index *index); /* free in n */
bool node_is_int(const Node *n, int64_t value);
bool node_is_bool(const Node *n, bool value);
const char *op_name(Op op);
/* A binder whose value belongs to the current coordinates of its variables (they are free in it): NORMALISE,
 * SCAN, TOPK, TOPP, RANK. */
bool node_keeps_position(const Node *n);
/* x - stop(x), the straight-through estimator: exactly 0 forward, also where x is inf or NaN. Kept for
 * gradients; whoever evaluates takes 0. */
bool node_is_straight(const Node *n);
bool node_has_binder(Compilation *c, const Node *n); /* a binder proper: reads of equations do not count */
Span node_set_span(Compilation *c,
                   Span span); /* the span of nodes made from now on; returns the one before */

/* Interned sets: equal sets of a Compilation are equal pointers. */
const IndexSet *set_intern(Compilation *c, const IndexSet *s);
const IndexSet *set_empty(Compilation *c);
const IndexSet *set_one(Compilation *c, const Index *index);
const IndexSet *set_union(Compilation *c, const IndexSet *a, const IndexSet *b);
const IndexSet *set_without(Compilation *c, const IndexSet *a, const Index *index);
bool set_meets(const IndexSet *a, const IndexSet *b);

Index *index_new(Compilation *c, const char *name, Span span);
/* A stand-in for `like` (same extent, origin and root) that is not in `avoid`; the same one for the same
 * question. */
Index *index_variant(Compilation *c, Index *like, const IndexSet *avoid);

/* Replaces free variables: to[k] for INDEX(from[k]). Binders of an index that occurs free in a replacement
 * are renamed (a variant), so nothing is captured. A binder that keeps its position takes only another INDEX
 * for its variables (and none that its inside uses): see node_substitutable. */
bool node_substitutable(Compilation *c, const Node *n, unsigned count, Index *const *from, Node *const *to);
Node *node_substitute(Compilation *c, Node *n, unsigned count, Index *const *from, Node *const *to);
/* Rebuilds bottom-up: f(context, node with new operands) for every node once. */
typedef Node *NodeRewrite(void *context, Compilation *c, Node *n);
Node *node_rewrite(Compilation *c, Node *n, NodeRewrite *f, void *context);
/* One line, brackets only where needed, in the syntax of the language as far as that goes: for dumps and
 * messages. */
void node_print(Text *out, const Node *n);
void node_print_short(Text *out, const Node *n); /* cut short: for messages */

#endif
