/* The makers of core expressions: sharing, folding that changes no value, substitution without capture,
 * printing. */
#include "lang/program.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static Compilation *c;
static Index *i, *j, *k;
static Tensor *q, *s; /* q[i, j]: an input; s[i, j]: an equation */

static Tensor *tensor(const char *name, Role role)
{
    Tensor *t = NEW(c, Tensor);
    t->name = name;
    t->id = c->next_tensor++;
    t->role = role;
    t->type = TYPE_REAL;
    t->n_dims = 2;
    t->dims = NEW_ARRAY(c, Index *, 2);
    t->dims[0] = i;
    t->dims[1] = j;
    t->data = true;
    return t;
}

static void setup(void)
{
    static Compilation compilation;
    c = &compilation;
    compilation_init(c);
    if (setjmp(c->escape)) cr_assert_fail("%s", c->fatal);
    i = index_new(c, "i", (Span){0});
    j = index_new(c, "j", (Span){0});
    k = index_new(c, "k", (Span){0});
    q = tensor("q", ROLE_INPUT);
    s = tensor("s", ROLE_EQUATION);
    Index *order[] = {i, j, k}; /* terms print in order of creation */
    for (int n = 0; n < 3; n++) node_index(c, order[n]);
}

static void teardown(void) { compilation_free(c); }

TestSuite(node, .init = setup, .fini = teardown);

static Node *at(Index *index) { return node_index(c, index); }
static Node *lit(int64_t n) { return node_int(c, n); }
static Node *num(double x) { return node_real(c, x); }
static Node *op(Op o, Node *a, Node *b) { return node_binary(c, o, a, b); }
static Node *read(Tensor *t, Node *a, Node *b)
{
    Node *args[] = {a, b};
    return node_read(c, t, args, false);
}
static Node *over(Op o, unsigned kind, Index *v, Node *where, Node *body)
{
    return node_binder(c, o, kind, 1, &v, NULL, NULL, where ? where : node_bool(c, true), body, NULL);
}
static const char *text(const Node *n)
{
    Text t = {.c = c};
    node_print(&t, n);
    return t.at;
}
static Node *put(Node *n, Index *v, Node *to) { return node_substitute(c, n, 1, &v, &to); }

Test(node, equal_expressions_are_one)
{
    cr_assert_eq(op(N_MUL, at(i), at(j)), op(N_MUL, at(j), at(i)), "int products commute");
    cr_assert_neq(op(N_DIV, num(1), num(3)), op(N_DIV, num(1), num(4)));
    cr_assert_neq(num(0.0), num(-0.0), "zeros differ in sign");
    cr_assert_eq(read(q, at(i), at(j)), read(q, at(i), at(j)));
    Node *args[] = {at(i), at(j)};
    cr_assert_neq(node_read(c, q, args, true), read(q, at(i), at(j)), "a guarded read is another one");
    uint32_t before = c->next_node;
    op(N_MUL, at(i), at(j));
    cr_assert_eq(c->next_node, before, "nothing new was made");
}

Test(node, sums_of_ints_have_a_normal_form)
{
    Node *a = op(N_SUB, op(N_ADD, at(i), lit(3)), at(i));
    cr_assert(node_is_int(a, 3));
    cr_assert_eq(op(N_SUB, op(N_ADD, at(i), lit(1)), lit(1)), at(i));
    cr_assert_eq(op(N_ADD, at(j), at(i)), op(N_ADD, at(i), at(j)));
    cr_assert_str_eq(text(op(N_SUB, op(N_SUB, at(i), at(j)), lit(-2))), "i - j + 2");
    cr_assert_str_eq(text(op(N_ADD, op(N_MUL, lit(3), at(i)), at(i))), "i * 4");
    cr_assert_str_eq(text(op(N_SUB, lit(1), at(i))), "1 - i");
    cr_assert_str_eq(text(node_unary(c, N_NEG, at(i))), "-i");
    cr_assert_str_eq(text(op(N_SUB, lit(0), op(N_ADD, at(i), at(j)))), "-i - j");
    Node *wrapped = op(N_ADD, op(N_ADD, at(i), lit(INT64_MAX)), lit(1));
    cr_assert_eq(op(N_ADD, wrapped, lit(INT64_MIN)), at(i), "sums wrap at 64 bits");
}

Test(node, ints_fold_as_the_language_says)
{
    cr_assert(node_is_int(op(N_FLOORDIV, lit(-7), lit(2)), -4));
    cr_assert(node_is_int(op(N_MOD, lit(-7), lit(2)), 1));
    cr_assert(node_is_int(op(N_MOD, lit(7), lit(-2)), -1));
    cr_assert(node_is_int(op(N_FLOORDIV, lit(7), lit(0)), 0));
    cr_assert(node_is_int(op(N_MOD, lit(7), lit(0)), 7));
    cr_assert(node_is_int(op(N_FLOORDIV, lit(INT64_MIN), lit(-1)), INT64_MIN));
    cr_assert(node_is_int(op(N_MOD, lit(INT64_MIN), lit(-1)), 0));
    cr_assert(node_is_int(op(N_SHL, lit(1), lit(65)), 2));
    cr_assert(node_is_int(op(N_SHR, lit(-8), lit(1)), -4));
    cr_assert(node_is_int(node_unary(c, N_TO_INT, num(NAN)), 0));
    cr_assert(node_is_int(node_unary(c, N_TO_INT, num(-2.9)), -2));
    cr_assert(node_is_int(node_unary(c, N_TO_INT, num(1e30)), INT64_MAX));
    cr_assert(node_is_int(node_unary(c, N_POPCOUNT, lit(-1)), 64));
    cr_assert_eq(node_unary(c, N_ROUND, num(2.5)), num(2.0), "round goes to even");
}

Test(node, reals_fold_only_where_no_value_changes)
{
    Node *x = read(q, at(i), at(j));
    cr_assert_neq(op(N_ADD, x, num(0.0)), x, "-0 + 0 is 0");
    cr_assert_eq(op(N_ADD, x, num(-0.0)), x);
    cr_assert_eq(op(N_SUB, x, num(0.0)), x);
    cr_assert_eq(op(N_MUL, x, num(1)), x);
    cr_assert_eq(op(N_DIV, x, num(1)), x);
    cr_assert_neq(op(N_MUL, x, num(0)), num(0), "NaN * 0 is NaN");
    cr_assert_eq(op(N_SUB, x, x)->op, N_SUB, "inf - inf is NaN");
    cr_assert_eq(op(N_EQ, x, x)->op, N_EQ, "NaN differs from itself");
    Node *less = op(N_LT, x, num(0));
    cr_assert_eq(node_unary(c, N_NOT, less)->op, N_NOT, "NaN is neither less nor not less");
    cr_assert_eq(node_unary(c, N_NOT, op(N_LT, at(i), at(j))), op(N_LE, at(j), at(i)));
    cr_assert(isnan(op(N_MIN, num(NAN), num(1))->real));
}

Test(node, straight_through_is_recognised)
{
    Node *x = read(q, at(i), at(j)), *y = read(q, at(j), at(i));
    cr_assert(node_is_straight(op(N_SUB, x, node_unary(c, N_STOP, x))));
    cr_assert(!node_is_straight(op(N_SUB, x, node_unary(c, N_STOP, y))));
    cr_assert(!node_is_straight(op(N_SUB, node_unary(c, N_STOP, x), x)));
}

Test(node, conditions_fold)
{
    Node *a = op(N_LT, at(i), at(j)), *x = read(q, at(i), at(j)), *zero = num(0);
    Node *yes = node_bool(c, true), *no = node_bool(c, false);
    cr_assert_eq(op(N_AND, yes, a), a);
    cr_assert_eq(op(N_OR, a, yes)->op, N_OR, "the left side is evaluated first, and may be what is checked");
    cr_assert_eq(op(N_OR, yes, a), yes);
    cr_assert_eq(op(N_AND, a, a), a);
    cr_assert_eq(node_if(c, yes, x, zero), x);
    cr_assert_eq(node_if(c, a, x, x), x);
    cr_assert_eq(node_if(c, a, node_if(c, a, x, num(1)), zero), node_if(c, a, x, zero));
    cr_assert_eq(node_if(c, a, yes, no), a);
    cr_assert_eq(op(N_EQ, a, no), node_unary(c, N_NOT, a));
}

Test(node, flags_follow_operands)
{
    Node *x = read(q, at(i), at(j)), *y = read(s, at(i), at(j));
    cr_assert(x->data && !x->has_binder);
    cr_assert(y->data && y->has_binder, "a read of an equation is no cheap scalar");
    cr_assert(!node_has_binder(c, y));
    Node *sum = over(N_REDUCE, REDUCE_SUM, j, NULL, x);
    cr_assert(sum->data && sum->has_binder && node_has_binder(c, sum));
    cr_assert(node_depends_on(sum, i) && !node_depends_on(sum, j));
    Node *p = over(N_NORMALISE, NORMALISE_SOFTMAX, j, NULL, x);
    cr_assert(node_depends_on(p, j), "a weight belongs to the current coordinate");
    cr_assert(!op(N_ADD, at(i), lit(1))->data);
}

Test(node, substitution_is_simultaneous)
{
    Node *n = read(q, at(i), at(j));
    Index *from[] = {i, j};
    Node *to[] = {at(j), at(i)};
    cr_assert_eq(node_substitute(c, n, 2, from, to), read(q, at(j), at(i)));
    cr_assert_eq(put(n, k, lit(3)), n);
}

Test(node, substitution_captures_nothing)
{
    Node *row = over(N_REDUCE, REDUCE_SUM, j, op(N_LE, at(j), at(i)), read(q, at(i), at(j)));
    Node *moved = put(row, i, at(j));
    cr_assert(node_depends_on(moved, j));
    cr_assert_str_eq(text(moved), "sum[j'](q[j, j'] where j' <= j)");
    cr_assert_str_eq(text(put(row, j, lit(0))), text(row), "what is bound is not free");
    cr_assert_eq(put(moved, j, at(i))->vars[0]->root, j, "a variant is the same index");
    cr_assert_eq(put(put(row, i, at(k)), k, at(i)), row);
}

Test(node, weights_stay_at_their_coordinate)
{
    Node *p = over(N_NORMALISE, NORMALISE_SOFTMAX, j, NULL, read(q, at(i), at(j)));
    Index *from = j;
    Node *other = at(k), *next = op(N_ADD, at(j), lit(1)), *row = at(i);
    cr_assert(node_substitutable(c, p, 1, &from, &other));
    cr_assert_str_eq(text(put(p, j, other)), "softmax[k: 0..size(j)](q[i, k])");
    cr_assert(!node_substitutable(c, p, 1, &from, &next));
    cr_assert(!node_substitutable(c, p, 1, &from, &row), "its own row at another column is no renaming");
    cr_assert_str_eq(text(put(p, i, lit(2))), "softmax[j](q[2, j])");
    if (!setjmp(c->escape)) {
        put(p, j, next);
        cr_assert_fail("a weight was moved");
    }
}

static Node *double_literals(void *context, Compilation *cc, Node *n)
{
    ++*(int *)context;
    return n->op == N_INT ? node_int(cc, 2 * n->integer) : n;
}

Test(node, rewriting_visits_once)
{
    Node *shared = op(N_MUL, at(i), at(j)), *n = op(N_FLOORDIV, shared, op(N_MOD, shared, lit(5)));
    int visits = 0;
    cr_assert_str_eq(text(node_rewrite(c, n, double_literals, &visits)), "i * j // (i * j % 10)");
    cr_assert_eq(visits, 6);
}

Test(node, printing_brackets_where_needed)
{
    Node *x = read(q, at(i), at(j)), *less = op(N_LT, at(i), at(j));
    cr_assert_str_eq(text(op(N_MUL, op(N_ADD, x, num(1)), x)), "(q[i, j] + 1.0) * q[i, j]");
    cr_assert_str_eq(text(op(N_SUB, x, op(N_SUB, x, num(0.1)))), "q[i, j] - (q[i, j] - 0.1)");
    cr_assert_str_eq(text(op(N_AND, op(N_OR, less, op(N_EQ, at(i), lit(0))), less)),
                     "(i < j or i == 0) and i < j");
    cr_assert_str_eq(text(node_unary(c, N_NEG, op(N_ADD, x, x))), "-(q[i, j] + q[i, j])");
    Node *whole = over(N_REDUCE, REDUCE_MAX, j, less, x);
    cr_assert_str_eq(text(whole), "max[j](q[i, j] where i < j)");
    Node *hi = lit(4),
         *part = node_binder(c, N_SCAN, SCAN_CUMSUM, 1, &j, NULL, &hi, node_bool(c, true), x, NULL);
    cr_assert_str_eq(text(part), "cumsum[j: 0..4](q[i, j])");
    cr_assert_str_eq(text(num(1e300)), "1e+300");
    cr_assert_str_eq(text(num(-INFINITY)), "-inf");
}

Test(node, short_texts_are_short)
{
    Node *n = at(i);
    for (int depth = 0; depth < 60; depth++) n = op(N_MUL, n, op(N_BITXOR, n, lit(depth)));
    Text t = {.c = c};
    node_print_short(&t, n);
    cr_assert_lt(t.n, 400, "a tree of 2^60 leaves is cut off");
    cr_assert(strstr(t.at, "..."));
}

Test(node, wrong_types_are_bugs)
{
    if (!setjmp(c->escape)) {
        op(N_ADD, at(i), num(1));
        cr_assert_fail("an int and a real were added");
    }
    cr_assert(strstr(c->fatal, "add"));
}

Test(node, sets_are_shared)
{
    const IndexSet *a = set_union(c, set_one(c, i), set_one(c, j));
    cr_assert_eq(a, set_union(c, set_one(c, j), set_one(c, i)));
    cr_assert_eq(set_without(c, a, j), set_one(c, i));
    cr_assert_eq(set_without(c, set_one(c, i), i), set_empty(c));
    cr_assert(set_meets(a, set_one(c, j)) && !set_meets(a, set_one(c, k)));
}
