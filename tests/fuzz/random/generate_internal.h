/* State of the generator of random programs. */
#ifndef ATTN_FUZZ_GENERATE_INTERNAL_H
#define ATTN_FUZZ_GENERATE_INTERNAL_H

#include "generate.h"

enum { G_INDICES = 32, G_TENSORS = 48, G_DIMS = 6, G_PARAMS = 6 };
typedef uint32_t Set; /* of indices, by number */
#define BIT(k) ((Set)1 << (k))

typedef enum GKind { G_BASE, G_EXTENT, G_LIKE, G_FLATTEN, G_JOIN, G_BLOCK } GKind;
typedef enum GType { G_BOOL, G_INT, G_REAL } GType;

typedef struct GIndex {
    const char *name;
    GKind kind;
    unsigned extent; /* of the example */
    bool ambient, origin;
    unsigned of[2]; /* LIKE, BLOCK: of[0]; FLATTEN, JOIN: the parts */
    unsigned root;  /* the index with the same positions */
} GIndex;

typedef struct GTensor {
    const char *name;
    GType type;
    unsigned n_dims, dims[G_DIMS];
    unsigned n_hidden; /* the first dims are ambient ones that are not written */
    bool positional;   /* may be subscripted by position */
    bool input;        /* float inputs have no ties */
    int range_of;      /* INT: values are positions of this index, or -1 */
    bool or_none;      /* ... or -1 */
    int lo, hi;        /* INT: hi included */
    double bound;      /* REAL: |x| is below, about */
} GTensor;

typedef struct GParam {
    const char *name;
    GType type;
    int value;
} GParam;

typedef struct Gen {
    Compilation *c;
    Random r;
    unsigned number;
    bool smooth;
    bool small;    /* little of everything: compiled several times as fast */
    GIndex index[G_INDICES];
    unsigned n_indices;
    GTensor tensor[G_TENSORS];
    unsigned n_tensors;
    GParam param[G_PARAMS];
    unsigned n_params;
    Set used;    /* free indices of what was generated since it was cleared */
    double work; /* iterations around the place that is generated */
    bool has_fn, has_mask, std_masks, std_math;
    bool written; /* left sides are always written out: there is a flatten or a join */
    unsigned n_names;
    Text body;
} Gen;

/* An expression, bracketed where it needs to be. */
typedef struct Expr {
    const char *text;
    double lo, hi;
} Expr;

/* Of the pattern at hand: inputs and captures come first among the tensors, ambient and base ones among the
 * indices. */
typedef struct Signature {
    unsigned n_ambient, n_base, n_inputs,
        n_bound; /* the first n_inputs tensors are inputs, the rest captures */
    unsigned output_dims[2][3], n_output_dims[2], n_outputs;
    bool output_int[2];
    const char *output_name[2];
    Set seen; /* base indices of inputs */
    Text over, with, example;
    Text inputs_text, extents; /* over without outputs */
} Signature;

static inline unsigned below(Gen *g, unsigned n) { return random_below(&g->r, n); }
static inline bool maybe(Gen *g, unsigned percent) { return chance(&g->r, percent); }
const char *new_name(Gen *g, const char *stem);
bool visible(const Gen *g, Set scope, unsigned index); /* usable without subscripts */
Set bind_index(const Gen *g, Set scope, unsigned index);
void use_index(Gen *g, Set scope, unsigned index);
/* An index that may be bound here, or -1: few enough iterations, not in scope. */
int pick_index(Gen *g, Set scope);

Expr gen_real(Gen *g, Set scope, unsigned depth);
Expr gen_int(Gen *g, Set scope, unsigned depth);
Expr gen_bool(Gen *g, Set scope, unsigned depth);
Expr gen_direct(Gen *g, Set scope); /* a float that is loaded, not computed: comparisons of it are exact */
Expr gen_cut(Gen *g, Set scope,
             unsigned depth); /* a float that may be compared: direct, or any if not smooth */
Expr gen_read(Gen *g, Set scope, const GTensor *t, unsigned depth);
int pick_tensor(Gen *g, GType type);
const char *gen_where(Gen *g, Set scope, unsigned depth); /* " where c", or "" */
Expr gen_reduction(Gen *g, Set scope, unsigned depth);    /* gen_binder.c: to reals */
Expr gen_weighted(Gen *g, Set scope, unsigned depth);
Expr gen_keeping(Gen *g, Set scope, unsigned depth);
Expr gen_block_reduction(Gen *g, Set scope, unsigned depth);
Expr gen_count(Gen *g, Set scope, unsigned depth); /* to ints */
Expr gen_any(Gen *g, Set scope, unsigned depth);   /* to bools */
Expr gen_pick(Gen *g, Set scope, unsigned depth);  /* topk, topp */
Expr gen_pad(Gen *g, Set scope, unsigned depth);
Expr gen_guarded(Gen *g, Set scope, unsigned depth);
Expr gen_position(Gen *g, Set scope, unsigned index,
                  unsigned depth); /* an int that is in range for `index` */
unsigned any_base(Gen *g, const Signature *s);
void written_dims(Gen *g, Text *out, const char *name, unsigned n, const unsigned *dims);
/* equations.c: declarations and equations go to the body */
void declare(Gen *g, const Signature *s);
void equations(Gen *g, const Signature *s);
GTensor *define(Gen *g, const char *name, GType type, Set set, bool full); /* writes the left side */
GTensor *add_tensor(Gen *g, const char *name, GType type, unsigned n_dims, const unsigned *dims);
unsigned add_index(Gen *g, const char *name, GKind kind, unsigned extent);

#endif
