/* Keys that only one half of a strip's lanes can see (see lower_strip.h): the first and the last ones of a
 * window, or of a box of queries.
 *
 * Requires: recognised terms with their accumulators. Ensures: these keys are added in a vector loop of half
 * the lanes, all others in the whole one. Breaks: the terms have new locals.
 *
 * The keys of either half are one range [begin, end) of the flattened list, which the outermost streamed
 * index decides. Before and after what both have in common, a piece may belong to one half alone: four
 * pieces, most of them empty, share one copy of the code. What was summed goes from one vector loop to the
 * next in memory. A second attempt (lower_strip.c) does without. */
#include "lower_strip.h"

#include "graph.h"

/* The lanes from `first`. */
static Box half_of(Strip *s, Node *first)
{
    Box box = s->lanes;
    box.sides[0].lo = first;
    box.sides[0].hi = binary(s, N_ADD, first, integer(s, s->l->schedule.lanes / 2));
    return box;
}

/* Windows, of which the keys move along with the queries on either side: a range that begins or ends in one
 * place for all is long. Those that are looked up cost more than they save: strips of labels hardly ever
 * straddle two. */
bool strip_halves_pay(Strip *s)
{
    unsigned lanes = s->l->schedule.lanes;
    if (s->scores || lanes % 2 || node_is_bool(s->where, true)) return false;
    Box low = half_of(s, integer(s, 0)), high = half_of(s, integer(s, lanes / 2));
    Range a = strip_range(s, 0, &low), b = strip_range(s, 0, &high);
    if (a.lo == b.lo || a.hi == b.hi) return false;
    return !is_heavy(s->l, a.lo) && !is_heavy(s->l, a.hi) && !is_heavy(s->l, b.lo) && !is_heavy(s->l, b.hi);
}

/* ---- from one vector loop to the next ---- */

static Tensor *keep(Strip *s, const char *name, const Term *t)
{
    Scope *here = strip_outside_open(s);
    Tensor *kept = scratch_new(s->l, name, t->weight, 1, &s->lane);
    strip_outside_close(s, here);
    return kept;
}

static void leave(Strip *s)
{
    for (unsigned k = 0; k < s->n_terms; k++) {
        Term *t = &s->terms[k];
        if (t->max) store_at(s->l, t->kept_max, get(s, t->max));
        if (t->sum) store_at(s->l, t->kept_sum, get(s, t->sum));
    }
}

static void enter(Strip *s)
{
    Lower *l = s->l;
    for (unsigned k = 0; k < s->n_terms; k++) {
        Term *t = &s->terms[k];
        if (t->max) {
            t->max = local_new(l, "max", t->weight);
            t->top = local_new(l, "top", t->weight);
            set_local(l, t->max, read_at(l, t->kept_max));
        }
        if (t->sum) {
            t->sum = local_new(l, "sum", t->weight);
            t->shift = local_new(l, "shift", t->weight);
            set_local(l, t->sum, read_at(l, t->kept_sum));
        }
    }
}

void strip_leave_lanes(Strip *s)
{
    for (unsigned k = 0; k < s->n_terms; k++) {
        Term *t = &s->terms[k];
        if (t->max) t->kept_max = keep(s, "max", t);
        if (t->sum) t->kept_sum = keep(s, "sum", t);
    }
    leave(s);
    strip_lanes_close(s);
}

/* ---- pieces ---- */

typedef struct Keys {
    Local *begin, *end;
} Keys;

/* The place of coordinate x of the outermost streamed index in the flattened list. */
static Node *place_of(Strip *s, Node *x, Node *total)
{
    const Streamed *v = &s->streamed[0];
    Node *at = round_up(s, binary(s, N_SUB, lower_value(s->l, x), v->base), v->step);
    for (unsigned k = 1; k < s->sum->n_vars; k++) at = binary(s, N_MUL, at, s->streamed[k].count);
    return binary(s, N_MAX, binary(s, N_MIN, at, total), integer(s, 0));
}

static Keys keys_of_half(Strip *s, unsigned half, Node *total)
{
    Lower *l = s->l;
    Box box = half_of(s, integer(s, half * l->schedule.lanes / 2));
    Range range = strip_range(s, 0, &box);
    Keys keys = {local_make(l, "begin", TYPE_INT, true), local_make(l, "end", TYPE_INT, true)};
    Node *again = s->again ? s->again : node_bool(comp(s), false);
    Node *begin = node_if(comp(s), again, integer(s, 0), place_of(s, range.lo, total));
    Node *end = node_if(comp(s), again, total, place_of(s, range.hi, total));
    set_local(l, keys.begin, begin);
    set_local(l, keys.end, binary(s, N_MAX, end, get(s, keys.begin)));
    return keys;
}

static Node *either(Strip *s, Node *second, Local *a, Local *b)
{
    return node_if(comp(s), second, get(s, b), get(s, a));
}

static Local *set_new(Strip *s, const char *name, Node *value)
{
    Local *local = local_make(s->l, name, TYPE_INT, true);
    set_local(s->l, local, value);
    return local;
}

/* The keys [from, to), in a vector loop over the lanes in the box. */
static void add_keys(Strip *s, Box lanes, Node *from, Node *to)
{
    Box all = s->lanes;
    Loop vector = s->vector;
    s->lanes = lanes;
    loop_open(s->l, &s->vector, s->lane, (Range){lanes.sides[0].lo, lanes.sides[0].hi, NULL});
    s->vector.kind = LOOP_VECTOR;
    s->l->lane = s->lane;
    enter(s);
    strip_keys(s, from, to);
    leave(s);
    strip_lanes_close(s);
    s->vector = vector;
    s->lanes = all;
}

/* The keys of one half before the other begins, or after it ends. */
static void add_piece(Strip *s, const Keys *of, Node *second, Node *after)
{
    Lower *l = s->l;
    Branch some;
    Node *again = s->again;
    Local *lane =
        set_new(s, "lane", node_if(comp(s), second, integer(s, l->schedule.lanes / 2), integer(s, 0)));
    Node *begin = either(s, second, of[0].begin, of[1].begin), *end = either(s, second, of[0].end, of[1].end),
         *their_begin = either(s, second, of[1].begin, of[0].begin),
         *their_end = either(s, second, of[1].end, of[0].end);
    Local *from = set_new(s, "from", node_if(comp(s), after, binary(s, N_MAX, begin, their_end), begin));
    Local *to = set_new(s, "to", node_if(comp(s), after, end, binary(s, N_MIN, end, their_begin)));
    branch_open(l, &some, binary(s, N_LT, get(s, from), get(s, to)));
    s->again = NULL;
    add_keys(s, half_of(s, get(s, lane)), get(s, from), get(s, to));
    s->again = again;
    branch_close(l, &some);
}

/* Keys after those of both halves are new with this strip, and are few, so the machine does not see them
 * coming. */
static void fetch_new(Strip *s, const Keys *of, Local *total)
{
    Node *end = binary(s, N_MIN, get(s, of[0].end), get(s, of[1].end));
    s->first = get(s, set_new(s, "new", end));
    s->count = binary(s, N_MIN, integer(s, STRIP_BLOCK / 4), binary(s, N_SUB, get(s, total), s->first));
    strip_fetch_ahead(s);
}

/* Pieces 0 and 1: before, of either half; 2: of both; 3 and 4: after. */
enum { BOTH = 2, PIECES = 5 };

void strip_halves(Strip *s, Node *total)
{
    Lower *l = s->l;
    Local *all = set_new(s, "total", total);
    Keys of[2];
    Loop pieces;
    Branch yes, no;
    for (unsigned half = 0; half < 2; half++) of[half] = keys_of_half(s, half, get(s, all));
    fetch_new(s, of, all);
    Index *piece = strip_index(l, "piece", integer(s, PIECES));
    loop_open(l, &pieces, piece, whole_range(l, piece));
    Node *number = node_index(comp(s), piece), *both = binary(s, N_EQ, number, integer(s, BOTH));
    branch_open(l, &yes, both);
    add_keys(s, s->lanes, binary(s, N_MAX, get(s, of[0].begin), get(s, of[1].begin)),
             binary(s, N_MIN, get(s, of[0].end), get(s, of[1].end)));
    branch_close(l, &yes);
    branch_open(l, &no, node_unary(comp(s), N_NOT, both));
    add_piece(s, of, binary(s, N_EQ, binary(s, N_MOD, number, integer(s, 3)), integer(s, 1)),
              binary(s, N_LT, integer(s, BOTH), number));
    branch_close(l, &no);
    loop_close(l, &pieces);
    strip_lanes_open(s);
    enter(s);
}
