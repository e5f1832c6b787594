/* Patterns built by hand from Nodes, with data, for tests of what comes after the checker. */
#ifndef ATTN_TESTS_WORLD_H
#define ATTN_TESTS_WORLD_H

#include "compiler/compiler.h"

typedef struct World {
    Compilation c;
    Pattern pattern;
    int64_t extents[32];
    InterpretTensor given[32];
    unsigned n_given;
    InterpretArguments arguments;
    uint64_t random, operations; /* state of world_random; operations of the last world_try */
} World;

/* Declares a World and arms its escape: a bug of ours fails the test that called it. */
#define WORLD(w) \
    World w##_, *w = &w##_; \
    world_init(w); \
    if (setjmp(w->c.escape)) cr_assert_fail("%s", w->c.fatal)

void world_init(World *w);
void world_free(World *w);
Index *world_index(World *w, const char *name, int64_t extent);
/* An input with dense data (double, int64_t or uint8_t) over n indices. */
Tensor *world_input(World *w, const char *name, Type type, void *data, unsigned n, ...);
/* An equation (role EQUATION or OUTPUT) over n indices. body NULL: set it later, as recurrences need. */
Tensor *world_equation(World *w, Role role, const char *name, Type type, Node *body, unsigned n, ...);
/* Evaluates all elements of an equation. NULL, or the error. */
const char *world_try(World *w, Tensor *t, void *data);
double world_random(World *w); /* in [-1, 1) */
double *world_random_data(World *w, size_t n);

/* Shorthand; `w` is the World in scope. */
#define I(index) node_index(&w->c, index)
#define INT(x) node_int(&w->c, x)
#define REAL(x) node_real(&w->c, x)
#define TRUE_ node_bool(&w->c, true)
#define UN(op, a) node_unary(&w->c, N_##op, a)
#define BIN(op, a, b) node_binary(&w->c, N_##op, a, b)
#define IF(a, b, x) node_if(&w->c, a, b, x)
#define READ(t, ...) node_read(&w->c, t, (Node *[]){__VA_ARGS__}, false)
#define BIND(op, kind, var, where, body, extra) BIND_IN(op, kind, var, NULL, NULL, where, body, extra)
#define BIND_IN(op, kind, var, lo, hi, where, body, extra) \
    node_binder(&w->c, N_##op, kind, 1, (Index *[]){var}, (Node *[]){lo}, (Node *[]){hi}, where, body, extra)
#define BIND2(op, kind, a, b, where, body, extra) \
    node_binder(&w->c, N_##op, kind, 2, (Index *[]){a, b}, (Node *[2]){NULL}, (Node *[2]){NULL}, where, \
                body, extra)
#define REDUCE(kind, var, where, body) BIND(REDUCE, REDUCE_##kind, var, where, body, NULL)
#define SUM(var, where, body) REDUCE(SUM, var, where, body)
#define SCAN(kind, var, where, body) BIND(SCAN, SCAN_##kind, var, where, body, NULL)
#define SOFTMAX(var, where, body) BIND(NORMALISE, NORMALISE_SOFTMAX, var, where, body, NULL)
#define OUTPUT(name, type, ...) world_equation(w, ROLE_OUTPUT, name, TYPE_##type, __VA_ARGS__)
#define EQUATION(name, type, ...) world_equation(w, ROLE_EQUATION, name, TYPE_##type, __VA_ARGS__)
#define INPUT(name, type, data, ...) world_input(w, name, TYPE_##type, data, __VA_ARGS__)

#endif
