/* Sparse normalisers in strips (see lower_strip.h): the weights of a query are max(x - t, 0), or its square
 * for 1.5-entmax, with the threshold t at which they sum to 1 (Martins and Astudillo 2016; Peters et al.
 * 2019).
 *
 * A first pass over the blocks keeps the scores of the strip, [key, lane]; a second one makes weights of
 * them. Between them thresholds grow from below, by Newton's method on sum - 1, or sqrt(sum) - 1 for squares:
 * convex functions of t that fall, so that no step goes too far, and value times slope falls to a quarter at
 * least with every step. So 64 steps bring them to the last bit of f64, and few are needed: a strip ends when
 * no lane moves. Requires: one term, of a sparse normaliser. Ensures: a lane that sees nothing gets 0, one
 * with a score that is NaN or inf gets NaN, as the interpreter has it. Breaks: nothing. */
#include "lower_strip.h"

#include "census.h"

#include <math.h>

enum { MOST_ROUNDS = 64, USUAL_ROUNDS = 8 };

static bool is_squared(const Strip *s) { return s->terms[0].softmax->kind == NORMALISE_ENTMAX15; }

/* Where key s->key of the block is kept. */
static Node **place_of_key(Strip *s)
{
    Node **at = NEW_ARRAY(comp(s), Node *, 2);
    at[0] = binary(s, N_ADD, get(s, s->place), node_index(comp(s), s->key));
    at[1] = node_index(comp(s), s->lane);
    return at;
}

static void keys_open(Strip *s, Loop *loop)
{
    loop_open(s->l, loop, s->key, (Range){integer(s, 0), s->count, NULL});
}

static void places_open(Strip *s, Loop *loop)
{
    loop_open(s->l, loop, s->scores->dims[0], (Range){integer(s, 0), get(s, s->place), NULL});
}

/* x, or 0 if it is not above; NaN stays. */
static Node *positive(Strip *s, Node *x)
{
    return node_if(comp(s), binary(s, N_LE, x, real(s, 0)), real(s, 0), x);
}

void strip_keep_scores(Strip *s, const Term *t)
{
    Loop loop;
    keys_open(s, &loop);
    store(s->l, s->scores, place_of_key(s), read_at(s->l, t->tile));
    loop_close(s->l, &loop);
    set_local(s->l, t->max, get(s, t->top));
}

void strip_sparse_weights(Strip *s, const Term *t)
{
    Lower *l = s->l;
    Loop loop;
    keys_open(s, &loop);
    Local *x = local_new(l, "x", t->weight);
    Node *kept = node_read(comp(s), s->scores, place_of_key(s), false);
    set_local(l, x, positive(s, binary(s, N_SUB, kept, get(s, t->shift))));
    store_at(l, t->tile, is_squared(s) ? binary(s, N_MUL, get(s, x), get(s, x)) : get(s, x));
    loop_close(l, &loop);
}

static void make_room(Strip *s)
{
    Lower *l = s->l;
    const Term *t = &s->terms[0];
    Node *all = integer(s, 1);
    for (unsigned k = 0; k < s->sum->n_vars; k++)
        all = binary(s, N_MUL, all, node_size(comp(s), s->sum->vars[k]));
    Scope *here = strip_outside_open(s);
    Index *place = strip_index(l, "place", all);
    s->scores = scratch_new(l, "scores", t->weight, 2, (Index *[]){place, s->lane});
    s->threshold = scratch_new(l, "threshold", t->weight, 1, &s->lane);
    s->place = local_make(l, "place", TYPE_INT, true);
    strip_outside_close(s, here);
}

/* Scores in terms of the greatest, which gets 0: the threshold is between -1 and 0 then. */
static void shift_scores(Strip *s, const Term *t)
{
    Lower *l = s->l;
    Loop loop;
    Node *none = binary(s, N_EQ, get(s, t->max), real(s, -INFINITY));
    set_local(l, t->shift, node_if(comp(s), none, real(s, 0), get(s, t->max)));
    places_open(s, &loop);
    Node *x = binary(s, N_SUB, read_at(l, s->scores), get(s, t->shift));
    store_at(l, s->scores, is_squared(s) ? binary(s, N_MUL, x, real(s, 0.5)) : x);
    loop_close(l, &loop);
    store_at(l, s->threshold, real(s, -1));
}

static Node *newton_step(Strip *s, Node *sum, Node *slope)
{
    Node *root = is_squared(s) ? node_unary(comp(s), N_SQRT, sum) : NULL, *one = real(s, 1);
    if (root) return binary(s, N_DIV, binary(s, N_MUL, binary(s, N_SUB, root, one), root), slope);
    return binary(s, N_DIV, binary(s, N_SUB, sum, one), slope);
}

/* One step of all lanes; `moved` tells which have made one. */
static void raise_thresholds(Strip *s, Tensor *moved)
{
    Lower *l = s->l;
    Loop loop;
    Node *like = s->terms[0].weight, *zero = real(s, 0);
    strip_lanes_open(s);
    Local *t = local_new(l, "t", like), *sum = local_new(l, "sum", like),
          *slope = local_new(l, "slope", like), *x = local_new(l, "x", like);
    set_local(l, t, read_at(l, s->threshold));
    set_local(l, sum, zero);
    set_local(l, slope, zero);
    places_open(s, &loop);
    set_local(l, x, positive(s, binary(s, N_SUB, read_at(l, s->scores), get(s, t))));
    Node *more = is_squared(s) ? binary(s, N_MUL, get(s, x), get(s, x)) : get(s, x);
    Node *one = node_if(comp(s), binary(s, N_LT, zero, get(s, x)), real(s, 1), zero);
    set_local(l, sum, binary(s, N_ADD, get(s, sum), more));
    set_local(l, slope, binary(s, N_ADD, get(s, slope), is_squared(s) ? get(s, x) : one));
    loop_close(l, &loop);
    set_local(l, x, binary(s, N_ADD, get(s, t), newton_step(s, get(s, sum), get(s, slope))));
    Node *up = binary(s, N_LT, get(s, t), get(s, x));
    store_at(l, moved, node_if(comp(s), up, real(s, 1), zero));
    store_at(l, s->threshold, node_if(comp(s), up, get(s, x), get(s, t)));
    strip_lanes_close(s);
}

static void note_rounds(Strip *s)
{
    Statement *note = emit(s->l, S_NOTE);
    note->text = CENSUS_ROUNDS;
    note->value = integer(s, USUAL_ROUNDS);
    note->check = MOST_ROUNDS;
}

static void find_thresholds(Strip *s)
{
    Lower *l = s->l;
    Index *round = strip_index(l, "round", integer(s, MOST_ROUNDS));
    Local *open = local_make(l, "open", TYPE_BOOL, true);
    Tensor *moved = scratch_new(l, "moved", s->terms[0].weight, 1, &s->lane);
    Loop rounds;
    Branch needed;
    Nest lanes;
    set_local(l, open, node_bool(comp(s), true));
    loop_open(l, &rounds, round, whole_range(l, round));
    note_rounds(s);
    branch_open(l, &needed, get(s, open));
    raise_thresholds(s, moved);
    set_local(l, open, node_bool(comp(s), false));
    dims_open(l, &lanes, 1, &s->lane);
    set_local(l, open, binary(s, N_OR, get(s, open), binary(s, N_LT, real(s, 0), read_at(l, moved))));
    nest_close(l, &lanes);
    branch_close(l, &needed);
    loop_close(l, &rounds);
}

void strip_sparse(Strip *s)
{
    Lower *l = s->l;
    Term *t = &s->terms[0];
    make_room(s);
    s->second = false;
    strip_blocks(s);
    shift_scores(s, t);
    strip_lanes_close(s);
    find_thresholds(s);
    strip_lanes_open(s);
    t->shift = local_new(l, "threshold", t->weight);
    set_local(l, t->shift, read_at(l, s->threshold));
    s->second = true;
    strip_blocks(s);
    s->second = false;
    s->scores = NULL;
}
