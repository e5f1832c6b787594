/* Core expressions for tests from short texts: names of indices and parameters of a `World`, numbers,
 * size(j), min, max, clamp, abs, int, //, %, comparisons (they chain), and, or, not, if, and reads t[a, b]
 * of its tensors. */
#ifndef ATTN_TESTS_TERMS_H
#define ATTN_TESTS_TERMS_H

#include "lang/program.h"

enum { WORLD_SIZE = 24 };
typedef struct World {
    Compilation *c;
    unsigned n_indices, n_params, n_tensors;
    Index *indices[WORLD_SIZE];
    Param *params[WORLD_SIZE];
    Tensor *tensors[WORLD_SIZE];
} World;

Index *world_index(World *w, const char *name, const char *extent); /* extent: a text, or NULL: a SIZE leaf */
Param *world_param(World *w, const char *name);
/* dims: names separated by blanks; lo, hi: a declared range, or NULL; body: a text, or NULL */
Tensor *world_tensor(World *w, const char *name, Type type, const char *dims, const char *lo, const char *hi,
                     const char *body);
Index *world_find(const World *w, const char *name);
Node *term(World *w, const char *text);

/* The value of an int or bool term. values: of indices and extents by Index.id, of parameters by number,
 * of tensor elements by `read` (which gets the coordinates). */
typedef struct Values {
    int64_t index[MAX_INDICES], extent[MAX_INDICES], param[WORLD_SIZE];
    int64_t (*read)(const struct Values *v, const Node *n, const int64_t *at);
} Values;
int64_t term_value(const Values *v, const Node *n);

#endif
