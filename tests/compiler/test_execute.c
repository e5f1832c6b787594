/* Direct execution of hand-made Loops: results, counts, and what it must notice. */
#include "compiler/execute.h"
#include "world.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* y[i] = sum of x[i, j] for j < i, through a local; `total` is kept in a workspace by a second phase. */
typedef struct Sample {
    Index *i, *j;
    Tensor *x, *y, *state;
    Local *sum;
    Statement *set0, *loop, *set, *store;
    Kernel kernel;
    double data[12], out[4];
} Sample;

static Statement *statement(World *w, StatementKind kind)
{
    Statement *s = NEW(&w->c, Statement);
    s->kind = kind;
    return s;
}

static Statement *set(World *w, Local *local, Node *value)
{
    Statement *s = statement(w, S_SET);
    s->local = local;
    s->value = value;
    return s;
}

static Statement *store(World *w, Tensor *t, Node *at, Node *value)
{
    Statement *s = statement(w, S_STORE);
    s->tensor = t;
    s->subscripts = NEW(&w->c, Node *);
    s->subscripts[0] = at;
    s->value = value;
    return s;
}

static Statement *loop(World *w, Index *variable, Node *lo, Node *hi, Statement *body)
{
    Statement *s = statement(w, S_FOR);
    s->variable = variable;
    s->lo = lo;
    s->hi = hi;
    PUSH(&w->c, &s->body, body);
    return s;
}

static void phase(World *w, Kernel *k, Index *task)
{
    Phase p = {.name = "phase", .n_tasks = task ? 1 : 0, .tasks = NEW(&w->c, Index *)};
    p.tasks[0] = task;
    PUSH(&w->c, &k->phases, p);
}

static Block *body(Kernel *k) { return &k->phases.at[k->phases.n - 1].body; }

static void make(World *w, Sample *s)
{
    memset(s, 0, sizeof *s);
    s->i = world_index(w, "i", 4);
    s->j = world_index(w, "j", 3);
    for (int k = 0; k < 12; k++) s->data[k] = 1 + k;
    s->x = world_input(w, "x", TYPE_REAL, s->data, 2, s->i, s->j);
    s->y = OUTPUT("y", REAL, REAL(0), 1, s->i);
    s->state = EQUATION("state", REAL, REAL(0), 1, s->i);
    s->sum = NEW(&w->c, Local);
    *s->sum = (Local){.name = "sum", .type = TYPE_REAL};
    s->kernel.pattern = &w->pattern;
    s->kernel.n_locals = 1;
    PUSH(&w->c, &s->kernel.buffers, (Buffer){.tensor = s->x, .kind = BUFFER_BOUND, .ring = -1});
    PUSH(&w->c, &s->kernel.buffers, (Buffer){.tensor = s->y, .kind = BUFFER_BOUND, .ring = -1});
    PUSH(&w->c, &s->kernel.buffers, (Buffer){.tensor = s->state, .kind = BUFFER_WORKSPACE, .ring = -1});
    phase(w, &s->kernel, s->i);
    Node *before = BIN(MIN, I(s->i), node_size(&w->c, s->j));
    s->set0 = set(w, s->sum, REAL(0));
    s->set = set(w, s->sum, BIN(ADD, node_local(&w->c, s->sum), READ(s->x, I(s->i), I(s->j))));
    s->loop = loop(w, s->j, INT(0), before, s->set);
    s->store = store(w, s->y, I(s->i), node_local(&w->c, s->sum));
    PUSH(&w->c, body(&s->kernel), s->set0);
    PUSH(&w->c, body(&s->kernel), s->loop);
    PUSH(&w->c, body(&s->kernel), s->store);
}

static const char *try(World *w, Sample *s, ExecuteOptions options, ExecuteCounts *counts)
{
    InterpretTensor out = {s->y, s->out, true};
    w->arguments.extents = w->extents;
    w->arguments.tensors = w->given;
    w->arguments.n_tensors = w->n_given;
    const char *wrong = loops_verify(&w->c, &s->kernel);
    if (wrong) return wrong;
    return execute(&w->c, &s->kernel, &w->arguments, &out, 1, &options, counts);
}

#define REFUSED(text, problem) \
    do { \
        const char *problem_ = (problem); \
        cr_assert(problem_ && strstr(problem_, text), "%s", problem_ ? problem_ : "no error"); \
    } while (0)

Test(execute, results_and_counts)
{
    WORLD(w);
    Sample s;
    ExecuteCounts n;
    make(w, &s);
    const char *problem = try(w, &s, (ExecuteOptions){0}, &n);
    cr_assert(!problem, "%s", problem);
    cr_assert(s.out[0] == 0 && s.out[1] == 4 && s.out[2] == 7 + 8 && s.out[3] == 10 + 11 + 12);
    cr_assert(n.loads == 6 && n.flops == 6 && n.stores == 4 && n.iterations == 6 && n.tasks == 4 &&
              n.special == 0);
    cr_assert(n.ints == 4); /* min(i, size(j)) of every task */
    problem = try(w, &s, (ExecuteOptions){.backwards = true}, NULL);
    cr_assert(!problem && s.out[3] == 33);
    REFUSED("more operations", try(w, &s, (ExecuteOptions){.limit = 5}, NULL));
    world_free(w);
}

/* An expression that stands twice in a statement is evaluated once, and again in the next statement. */
Test(execute, shared_nodes)
{
    WORLD(w);
    Sample s;
    ExecuteCounts n;
    make(w, &s);
    Node *e = UN(EXP, node_local(&w->c, s.sum));
    s.store->value = BIN(ADD, BIN(MUL, e, e), e);
    cr_assert(!try(w, &s, (ExecuteOptions){0}, &n));
    cr_assert(n.special == 4 && n.flops == 6 + 8);
    cr_assert_float_eq(s.out[1], exp(8) + exp(4), 1e-9);
    world_free(w);
}

/* In f32 every step that depends on data is rounded; what does not is rounded once where it meets data. */
Test(execute, f32)
{
    WORLD(w);
    Sample s;
    make(w, &s);
    s.data[3] = 0.1;
    s.store->value = BIN(MUL, node_local(&w->c, s.sum), BIN(DIV, UN(TO_REAL, I(s.i)), REAL(3)));
    cr_assert(!try(w, &s, (ExecuteOptions){.f32 = true}, NULL));
    cr_assert(s.out[1] == (double)((float)0.1 * (float)(1.0 / 3)));
    cr_assert(!try(w, &s, (ExecuteOptions){0}, NULL));
    cr_assert(s.out[1] == 0.1 * (1.0 / 3));
    world_free(w);
}

Test(execute, accesses)
{
    WORLD(w);
    Sample s;
    make(w, &s);
    Node *sum = node_local(&w->c, s.sum), *past = BIN(ADD, I(s.i), INT(1));
    Node *bad = READ(s.x, past, INT(0)), *good = node_read(&w->c, s.x, (Node *[]){past, INT(0)}, true);
    s.store->value = BIN(ADD, sum, bad);
    REFUSED("'x' is read at 4 along 'i'", try(w, &s, (ExecuteOptions){0}, NULL));
    s.store->value = BIN(ADD, sum, good); /* guarded: 0 outside */
    cr_assert(!try(w, &s, (ExecuteOptions){0}, NULL));
    cr_assert(s.out[3] == 33 && s.out[2] == 15 + 10);
    s.store->value = sum;
    s.store->subscripts[0] = past;
    REFUSED("'y' is written at 4 along 'i'", try(w, &s, (ExecuteOptions){0}, NULL));
    s.store->subscripts[0] = INT(1);
    REFUSED("another task is written", try(w, &s, (ExecuteOptions){0}, NULL));
    s.store->subscripts[0] = BIN(FLOORDIV, I(s.i), INT(2));
    REFUSED("another task is written", try(w, &s, (ExecuteOptions){0}, NULL));
    s.store->subscripts[0] = I(s.i);
    s.store->value = READ(s.state, I(s.i));
    REFUSED("'state' is read before it is written", try(w, &s, (ExecuteOptions){0}, NULL));
    s.kernel.phases.at[0].body.n = 2;
    REFUSED("element 0 of 'y' is not written", try(w, &s, (ExecuteOptions){0}, NULL));
    world_free(w);
}

/* A phase may read what an earlier one wrote, wherever; within a phase only what its own task wrote. */
Test(execute, phases_and_rings)
{
    WORLD(w);
    Sample s;
    make(w, &s);
    Node *other = READ(s.state, BIN(SUB, INT(3), I(s.i))), *sum = node_local(&w->c, s.sum);
    s.store->tensor = s.state;
    phase(w, &s.kernel, s.i);
    PUSH(&w->c, body(&s.kernel), store(w, s.y, I(s.i), other));
    cr_assert(!try(w, &s, (ExecuteOptions){0}, NULL));
    cr_assert(s.out[0] == 33 && s.out[3] == 0);
    Node *next = node_read(&w->c, s.state, (Node *[]){BIN(ADD, I(s.i), INT(1))}, true);
    PUSH(&w->c, &s.kernel.phases.at[0].body, set(w, s.sum, BIN(ADD, sum, next)));
    REFUSED("read before it is written", try(w, &s, (ExecuteOptions){0}, NULL));
    REFUSED("another task is read", try(w, &s, (ExecuteOptions){.backwards = true}, NULL));
    s.kernel.phases.at[0].body.n--;
    s.kernel.phases.at[0].n_tasks = 0; /* one task runs through i, and keeps two values of `state` */
    s.kernel.phases.n = 1;
    s.kernel.buffers.at[2].ring = 0;
    s.kernel.buffers.at[2].ring_depth = 2;
    Statement *outer = loop(w, s.i, INT(0), node_size(&w->c, s.i), s.set0);
    PUSH(&w->c, &outer->body, s.loop);
    PUSH(&w->c, &outer->body, s.store);
    Node *before = node_read(&w->c, s.state, (Node *[]){BIN(SUB, I(s.i), INT(1))}, true);
    PUSH(&w->c, &outer->body, store(w, s.y, I(s.i), before));
    s.kernel.phases.at[0].body = (Block){0};
    PUSH(&w->c, body(&s.kernel), outer);
    const char *problem = try(w, &s, (ExecuteOptions){0}, NULL);
    cr_assert(!problem, "%s", problem);
    cr_assert(s.out[0] == 0 && s.out[1] == 0 && s.out[2] == 4 && s.out[3] == 15);
    outer->body.at[outer->body.n - 1] =
        store(w, s.y, I(s.i), node_read(&w->c, s.state, (Node *[]){BIN(SUB, I(s.i), INT(2))}, true));
    REFUSED("at step 0, whose place holds step 2", try(w, &s, (ExecuteOptions){0}, NULL));
    world_free(w);
}

Test(execute, checks)
{
    WORLD(w);
    Sample s;
    make(w, &s);
    PUSH(&w->c, &s.kernel.checks, (Check){.kind = CHECK_RUN, .text = "half: int in 0..2"});
    PUSH(&w->c, &s.kernel.checks, (Check){.kind = CHECK_CONDITION, .text = "size(i) == 4",
                                          .test = BIN(EQ, node_size(&w->c, s.i), INT(4))});
    cr_assert(!try(w, &s, (ExecuteOptions){0}, NULL));
    s.store->value = UN(TO_REAL, node_check(&w->c, I(s.i), INT(0), INT(2), 0));
    REFUSED("half: int in 0..2", try(w, &s, (ExecuteOptions){0}, NULL));
    cr_assert(s.out[1] == 1 && s.out[3] == 1); /* clamped */
    Statement *require = statement(w, S_REQUIRE);
    require->condition = BIN(LT, I(s.i), INT(3));
    PUSH(&w->c, body(&s.kernel), require);
    s.store->value = REAL(1);
    REFUSED("half", try(w, &s, (ExecuteOptions){0}, NULL));
    w->extents[0] = 3;
    REFUSED("condition does not hold: size(i) == 4", try(w, &s, (ExecuteOptions){0}, NULL));
    world_free(w);
}
