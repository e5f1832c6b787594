/* Graphs: order of equations, dump, and what the verifier refuses. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

/* x and y are one recurrence along t that reads `gate`; z reads y; `unused` nobody. */
typedef struct Sample { Index *t, *i; Tensor *u, *gate, *x, *y, *z; } Sample;

static void recurrent(Tensor *t)
{
    t->group = 1;
    t->recurrence_axis = 0;
    t->recurrence_step = 1;
}

static Sample sample(World *w)
{
    Sample s = {.t = world_index(w, "t", 5), .i = world_index(w, "i", 3)};
    s.u = world_input(w, "u", TYPE_REAL, world_random_data(w, 15), 2, s.t, s.i);
    s.z = OUTPUT("z", REAL, NULL, 1, s.t);
    EQUATION("unused", REAL, REAL(1), 1, s.t);
    s.y = EQUATION("y", REAL, NULL, 2, s.t, s.i);
    s.x = EQUATION("x", REAL, NULL, 2, s.t, s.i);
    s.gate = EQUATION("gate", REAL, UN(EXP, READ(s.u, I(s.t), I(s.i))), 2, s.t, s.i);
    recurrent(s.x);
    recurrent(s.y);
    Node *before[] = {BIN(SUB, I(s.t), INT(1)), I(s.i)};
    s.y->body = BIN(ADD, READ(s.x, I(s.t), I(s.i)), READ(s.gate, I(s.t), I(s.i)));
    s.x->body = IF(BIN(LT, INT(0), I(s.t)), node_read(&w->c, s.y, before, true), REAL(0));
    s.z->body = SUM(s.i, TRUE_, READ(s.y, I(s.t), I(s.i)));
    return s;
}

Test(graph, order)
{
    WORLD(w);
    Sample s = sample(w);
    Graph *g = graph_build(&w->c, &w->pattern);
    Tensor *expected[] = {s.gate, s.x, s.y, s.z};
    cr_assert(g->equations.n == 4);
    for (unsigned k = 0; k < 4; k++) cr_assert(g->equations.at[k] == expected[k], "%s",
                                               g->equations.at[k]->name);
    const char *problem = graph_verify(&w->c, g);
    cr_assert(!problem, "%s", problem);
    cr_assert(graph_find(g, "gate") == s.gate && graph_find(g, "u") == s.u && !graph_find(g, "unused"));
    double z[5], sum = 0;
    cr_assert(!world_try(w, s.z, z));
    for (int t = 0; t < 5; t++) {
        const double *u = w->given[0].data;
        for (int i = 0; i < 3; i++) sum += __builtin_exp(u[t * 3 + i]);
        cr_assert_float_eq(z[t], sum, 1e-12);
    }
    world_free(w);
}

Test(graph, print)
{
    WORLD(w);
    sample(w);
    const char *text = graph_print(&w->c, graph_build(&w->c, &w->pattern));
    cr_assert(strncmp(text, "graph test\nindex t\nindex i\ninput u[t, i]: float\noutput z[t]: float\n",
                      66) == 0, "%s",
              text);
    cr_assert(strstr(text, "\ngate[t, i]: real = exp(u[t, i])\n"), "%s", text);
    cr_assert(strstr(text, "\ny[t, i]: real recurrence 1 along t = "), "%s", text);
    cr_assert_str_eq(text, graph_print(&w->c, graph_build(&w->c, &w->pattern)));
    world_free(w);
}

/* What `graph_verify` says of a graph with one more equation, put at place `at`. */
static const char *verify_with(World *w, Tensor *t, uint32_t at)
{
    Graph *g = graph_build(&w->c, &w->pattern);
    PUSH(&w->c, &g->equations, t);
    for (uint32_t k = g->equations.n - 1; k > at; k--) {
        g->equations.at[k] = g->equations.at[k - 1];
        g->equations.at[k - 1] = t;
    }
    const char *problem = graph_verify(&w->c, g);
    return problem ? problem : "nothing";
}

#define REFUSED(text, ...) \
    do { \
        const char *problem_ = verify_with(w, __VA_ARGS__); \
        cr_assert(strstr(problem_, text), "%s", problem_); \
    } while (0)

/* The makers refuse wrong operands, so they are made by hand here. */
static Node *raw(World *w, const Node *like, Op op, Node *a)
{
    Node *n = NEW(&w->c, Node);
    *n = *like;
    n->op = op;
    n->id = w->c.next_node++;
    n->args = NEW_ARRAY(&w->c, Node *, n->n_args);
    for (unsigned k = 0; k < n->n_args; k++) n->args[k] = k == 0 ? a : like->args[k];
    return n;
}

Test(graph, verifier)
{
    WORLD(w);
    Sample s = sample(w);
    Node *u = READ(s.u, I(s.t), I(s.i)), *sum = BIN(ADD, u, REAL(2));
    REFUSED("nothing", EQUATION("a", REAL, sum, 2, s.t, s.i), 0);
    REFUSED("no dimension", EQUATION("a", REAL, sum, 1, s.t), 0);
    REFUSED("dimension twice", EQUATION("a", REAL, sum, 3, s.t, s.i, s.t), 0);
    REFUSED("another type", EQUATION("a", INT, sum, 2, s.t, s.i), 0);
    REFUSED("has no body", EQUATION("a", REAL, NULL, 0), 0);
    REFUSED("comes after it", EQUATION("a", REAL, READ(s.gate, I(s.t), I(s.i)), 2, s.t, s.i), 0);
    REFUSED("wrong operands", EQUATION("a", REAL, raw(w, sum, N_ADD, I(s.t)), 2, s.t, s.i), 0);
    REFUSED("wrong operands", EQUATION("a", REAL, raw(w, sum, N_BITAND, u), 2, s.t, s.i), 0);
    Node *short_read = NEW(&w->c, Node);
    *short_read = *u;
    short_read->id = w->c.next_node++;
    short_read->n_args = 1;
    REFUSED("wrong operands", EQUATION("a", REAL, short_read, 2, s.t, s.i), 0);
    Node *pair = BIND2(REDUCE, REDUCE_SUM, s.t, s.i, TRUE_, u, NULL),
        *twice = raw(w, pair, N_REDUCE, pair->args[0]);
    twice->vars = (Index *[]){s.i, s.i};
    REFUSED("wrong operands", EQUATION("a", REAL, twice, 0), 0);
    Node *pick = BIND(TOPK, 0, s.i, TRUE_, u, INT(1));
    REFUSED("nothing", EQUATION("a", BOOL, pick, 2, s.t, s.i), 0);
    REFUSED("selection inside", EQUATION("a", BOOL, UN(NOT, pick), 2, s.t, s.i), 0);
    world_free(w);
}

Test(graph, verifier_of_recurrences)
{
    WORLD(w);
    Sample s = sample(w);
    Node *later[] = {BIN(ADD, I(s.t), INT(1)), I(s.i)};
    Tensor *a = EQUATION("a", REAL, node_read(&w->c, s.y, later, true), 2, s.t, s.i);
    REFUSED("nothing", a, 4);
    recurrent(a);
    REFUSED("later step", a, 4);
    a->recurrence_step = -1;
    REFUSED("other way", a, 4);
    a->recurrence_axis = -1;
    REFUSED("no axis", a, 4);
    world_free(w);
}

Test(graph, cycle_within_a_step)
{
    World w_, *w = &w_;
    world_init(w);
    Sample s = sample(w);
    s.x->body = BIN(ADD, READ(s.y, I(s.t), I(s.i)), REAL(1));
    if (!setjmp(w->c.escape)) {
        graph_build(&w->c, &w->pattern);
        cr_assert_fail("a cycle was sorted");
    }
    cr_assert(strstr(w->c.fatal, "same step"), "%s", w->c.fatal);
    world_free(w);
}
