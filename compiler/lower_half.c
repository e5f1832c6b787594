/* Keys that only one half of a strip's lanes can see (see lower_strip.h): the first and the last ones of a
 * window, or of a box of queries.
 *
 * Requires: recognised terms with their accumulators. Ensures: these keys are added in a vector loop of half
 * the lanes, all others in the whole one. Breaks: the terms have new locals.
 *
 * The keys of either half are a range [begin, end) of the flattened list for every alternative of the
 * condition, which the outermost streamed index decides. They are walked in pieces from one end of a range to
 * the next, of both halves or of one; most pieces are empty, and all share one copy of the code. What was
 * summed goes from one vector loop to the next in memory. A second attempt (lower_strip.c) does without. */
#include "lower_strip.h"

#include "graph.h"

/* The lanes from `first`. */
static Box half_of(Strip *s, Node *first)
{
    Box box = s->lanes;
    box.sides[0].lo = first;
    box.sides[0].hi = binary(s, N_ADD, first, integer(s, s->n_lanes / 2));
    return box;
}

/* The greatest value that literals allow. */
static int64_t literal_bound(const Node *n)
{
    if (n->op == N_INT) return n->integer;
    if (n->op != N_MIN) return INT64_MAX;
    int64_t a = literal_bound(n->args[0]), b = literal_bound(n->args[1]);
    return a < b ? a : b;
}

/* A range that begins or ends in one place for all is long, unless it is said not to be. */
static bool is_long(const Range *a, const Range *b)
{
    if ((a->lo == b->lo) == (a->hi == b->hi)) return false;
    return !node_is_int(a->lo, 0) || literal_bound(a->hi) > STRIP_BLOCK;
}

/* Windows, of which the keys move along with the queries on either side. Those that are looked up cost more
 * than they save: strips of labels hardly ever straddle two. */
bool strip_halves_pay(Strip *s)
{
    unsigned lanes = s->n_lanes;
    if (s->scores || lanes % 2 || node_is_bool(s->where, true)) return false;
    Box low = half_of(s, integer(s, 0)), high = half_of(s, integer(s, lanes / 2));
    Ranges a = strip_ranges(s, &low), b = strip_ranges(s, &high);
    bool moves = false;
    if (a.n != b.n) return false;
    for (unsigned k = 0; k < a.n; k++) {
        Node *const nodes[] = {a.at[k].lo, a.at[k].hi, a.when[k], b.at[k].lo, b.at[k].hi, b.when[k]};
        for (unsigned j = 0; j < sizeof nodes / sizeof *nodes; j++)
            if (is_heavy(s->l, nodes[j])) return false;
        if (is_long(&a.at[k], &b.at[k])) return false;
        moves = moves || (a.at[k].lo != b.at[k].lo && a.at[k].hi != b.at[k].hi);
    }
    return moves;
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

/* The ranges of one half. */
typedef struct Keys {
    Local *begin[MOST_ALTERNATIVES], *end[MOST_ALTERNATIVES];
    unsigned n;
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
    Box box = half_of(s, integer(s, half * s->n_lanes / 2));
    Ranges ranges = strip_ranges(s, &box);
    Keys keys = {.n = ranges.n};
    Node *again = s->again ? s->again : node_bool(comp(s), false);
    for (unsigned k = 0; k < ranges.n; k++) {
        keys.begin[k] = local_make(l, "begin", TYPE_INT, true);
        keys.end[k] = local_make(l, "end", TYPE_INT, true);
        Node *begin = place_of(s, ranges.at[k].lo, total), *end = place_of(s, ranges.at[k].hi, total);
        set_local(l, keys.begin[k], node_if(comp(s), again, integer(s, 0), begin));
        end = node_if(comp(s), ranges.when[k], end, get(s, keys.begin[k]));
        set_local(l, keys.end[k], node_if(comp(s), again, total, end));
    }
    return keys;
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

/* How far the keys from `at` on are alike for one half: to the end of those that it sees, or to the next that
 * it sees. */
typedef struct Stretch {
    Local *seen, *end;
} Stretch;

static Stretch stretch_from(Strip *s, const Keys *keys, Node *at, Node *total)
{
    Local *reach = set_new(s, "reach", at), *next = set_new(s, "next", total);
    for (unsigned k = 0; k < keys->n; k++) {
        Node *from = get(s, keys->begin[k]), *to = get(s, keys->end[k]), *end = get(s, reach);
        Node *inside = binary(s, N_AND, binary(s, N_LE, from, at), binary(s, N_LT, at, to));
        Node *later = binary(s, N_AND, binary(s, N_LT, at, from), binary(s, N_LT, from, to));
        set_local(s->l, reach, node_if(comp(s), inside, binary(s, N_MAX, end, to), end));
        set_local(s->l, next, node_if(comp(s), later, binary(s, N_MIN, get(s, next), from), get(s, next)));
    }
    Local *seen = local_make(s->l, "seen", TYPE_BOOL, true);
    set_local(s->l, seen, binary(s, N_LT, at, get(s, reach)));
    return (Stretch){seen, set_new(s, "stop", node_if(comp(s), get(s, seen), get(s, reach), get(s, next)))};
}

/* Keys that one half sees alone. */
static void add_half(Strip *s, Node *second, Node *from, Node *to)
{
    Node *again = s->again, *middle = integer(s, s->n_lanes / 2);
    Local *lane = set_new(s, "lane", node_if(comp(s), second, middle, integer(s, 0)));
    s->again = NULL;
    add_keys(s, half_of(s, get(s, lane)), from, to);
    s->again = again;
}

static void add_piece(Strip *s, const Keys *of, Local *at, Node *total)
{
    Lower *l = s->l;
    Branch yes, no, one;
    Node *from = get(s, at);
    Stretch a = stretch_from(s, &of[0], from, total), b = stretch_from(s, &of[1], from, total);
    Node *first = get(s, a.seen), *second = get(s, b.seen);
    Local *to = set_new(s, "to", binary(s, N_MIN, get(s, a.end), get(s, b.end)));
    Local *both = local_make(l, "both", TYPE_BOOL, true);
    set_local(l, both, binary(s, N_AND, first, second));
    branch_open(l, &yes, get(s, both));
    add_keys(s, s->lanes, from, get(s, to));
    branch_close(l, &yes);
    branch_open(l, &no, node_unary(comp(s), N_NOT, get(s, both)));
    branch_open(l, &one, binary(s, N_OR, first, second));
    add_half(s, second, from, get(s, to));
    branch_close(l, &one);
    branch_close(l, &no);
    set_local(l, at, get(s, to));
}

/* Keys after those of both halves are new with this strip, and are few, so the machine does not see them
 * coming. */
static void fetch_new(Strip *s, const Keys *of, Local *total)
{
    Node *end = binary(s, N_MIN, get(s, of[0].end[0]), get(s, of[1].end[0]));
    s->first = get(s, set_new(s, "new", end));
    s->count = binary(s, N_MIN, integer(s, STRIP_BLOCK / 4), binary(s, N_SUB, get(s, total), s->first));
    strip_fetch_new(s);
}

void strip_halves(Strip *s, Node *total)
{
    Lower *l = s->l;
    Local *all = set_new(s, "total", total);
    Keys of[2];
    Loop pieces;
    Branch left;
    for (unsigned half = 0; half < 2; half++) of[half] = keys_of_half(s, half, get(s, all));
    if (of[0].n == 1) fetch_new(s, of, all);
    Local *at =
        set_new(s, "at", integer(s, 0)); /* every piece but the last ends where a range does or begins */
    Index *piece = strip_index(l, "piece", integer(s, 4 * of[0].n + 1));
    loop_open(l, &pieces, piece, whole_range(l, piece));
    branch_open(l, &left, binary(s, N_LT, get(s, at), get(s, all)));
    add_piece(s, of, at, get(s, all));
    branch_close(l, &left);
    loop_close(l, &pieces);
    strip_lanes_open(s);
    enter(s);
}
