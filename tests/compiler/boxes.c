/* See boxes.h. */
#include "boxes.h"

#include <stdio.h>
#include <string.h>

int64_t random_between(uint64_t *state, int64_t lo, int64_t hi)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    uint64_t bits = *state * 0x2545f4914f6cdd1du >> 16;
    return lo + (int64_t)(bits % (uint64_t)(hi - lo + 1));
}

/* ---- values ---- */

Table *values_table(Values *v, const Tensor *t)
{
    for (unsigned k = 0; k < v->n_tables; k++)
        if (v->tables[k].tensor == t) return &v->tables[k];
    return NULL;
}

int64_t values_extent(Compilation *c, Values *v, const Index *index)
{
    return index->extent ? values_of(c, v, index->extent).i : v->extents[index->root->number];
}

void values_changed(Values *v) { v->epoch = ++v->epochs; }

static Scalar read_value(Compilation *c, Values *v, const Node *n)
{
    const Table *t = values_table(v, n->tensor);
    int64_t at = 0;
    if (!t) return v->astray = true, scalar_int(0);
    for (unsigned k = 0; k < n->n_args; k++) {
        int64_t x = values_of(c, v, n->args[k]).i;
        if (x < 0 || x >= t->shape[k]) {
            v->astray = v->astray || !n->guarded;
            return scalar_int(0);
        }
        at = at * t->shape[k] + x;
    }
    return scalar_int(t->data[at]);
}

/* Ranges of a binder's variables: evaluated outside. */
typedef struct Ranges {
    int64_t lo[16], hi[16];
} Ranges;

static int64_t merge(unsigned kind, int64_t a, int64_t b)
{
    switch (kind) {
    case REDUCE_MIN: return a < b ? a : b;
    case REDUCE_MAX: return a > b ? a : b;
    case REDUCE_ANY: return a | b;
    default: return a & b; /* ALL */
    }
}

static int64_t reduce_from(Compilation *c, Values *v, const Node *n, const Ranges *r, unsigned k, int64_t all)
{
    if (k == n->n_vars) {
        values_changed(v);
        if (!values_of(c, v, binder_where(n)).i) return all;
        return merge(n->kind, all, values_of(c, v, binder_body(n)).i);
    }
    for (int64_t x = r->lo[k]; x < r->hi[k]; x++) {
        v->index[n->vars[k]->id] = x;
        all = reduce_from(c, v, n, r, k + 1, all);
    }
    return all;
}

static Scalar reduce_value(Compilation *c, Values *v, const Node *n)
{
    static const int64_t none[] = {[REDUCE_MIN] = INT64_MAX, [REDUCE_MAX] = INT64_MIN, [REDUCE_ANY] = 0,
                                   [REDUCE_ALL] = 1};
    bool known = n->kind == REDUCE_MIN || n->kind == REDUCE_MAX;
    known = known || n->kind == REDUCE_ANY || n->kind == REDUCE_ALL;
    if (!known || binder_body(n)->type == TYPE_REAL) return v->astray = true, scalar_int(0);
    Ranges r;
    int64_t before[16];
    uint32_t epoch = v->epoch;
    for (unsigned k = 0; k < n->n_vars; k++) {
        before[k] = v->index[n->vars[k]->id];
        r.lo[k] = values_of(c, v, binder_lo(n, k)).i;
        r.hi[k] = values_of(c, v, binder_hi(n, k)).i;
    }
    int64_t all = reduce_from(c, v, n, &r, 0, none[n->kind]);
    for (unsigned k = 0; k < n->n_vars; k++) v->index[n->vars[k]->id] = before[k];
    v->epoch = epoch;
    return scalar_int(all);
}

static Scalar compute(Compilation *c, Values *v, const Node *n)
{
    switch (n->op) {
    case N_INT:
    case N_BOOL: return scalar_int(n->integer);
    case N_REAL: return scalar_real(n->real);
    case N_INDEX: return scalar_int(v->index[n->index->id]);
    case N_SIZE: return scalar_int(v->extents[n->index->number]);
    case N_PARAM: return v->params[n->param->number];
    case N_READ: return read_value(c, v, n);
    case N_REDUCE: return reduce_value(c, v, n);
    case N_IF: return values_of(c, v, n->args[values_of(c, v, n->args[0]).i ? 1 : 2]);
    case N_AND: return values_of(c, v, n->args[0]).i ? values_of(c, v, n->args[1]) : scalar_int(0);
    case N_OR: return values_of(c, v, n->args[0]).i ? scalar_int(1) : values_of(c, v, n->args[1]);
    default: break;
    }
    if (node_is_binder(n) || n->n_args < 1 || n->n_args > 2) return v->astray = true, scalar_int(0);
    Scalar a = values_of(c, v, n->args[0]);
    Type type = n->args[0]->type;
    if (n->n_args == 1) return scalar_unary(n->op, type, a);
    return scalar_binary(n->op, type, a, values_of(c, v, n->args[1]));
}

static void make_room(Compilation *c, Values *v)
{
    if (v->n_memo >= c->next_node) return;
    uint32_t n = 2 * c->next_node + 1024;
    v->memo = NEW_ARRAY(c, Scalar, n);
    v->stamp = NEW_ARRAY(c, uint32_t, n);
    memset(v->stamp, 0, n * sizeof *v->stamp);
    v->n_memo = n;
    values_changed(v);
}

Scalar values_of(Compilation *c, Values *v, const Node *n)
{
    make_room(c, v);
    if (v->stamp[n->id] == v->epoch) return v->memo[n->id];
    Scalar x = compute(c, v, n);
    v->memo[n->id] = x;
    v->stamp[n->id] = v->epoch;
    return x;
}

/* ---- boxes ---- */

void space_add(Compilation *c, Space *s, Index *variable)
{
    unsigned k = s->box.n++;
    s->variables[k] = variable;
    s->lo[k] = index_new(c, format(c, "%s_lo", variable->name), variable->span);
    s->hi[k] = index_new(c, format(c, "%s_hi", variable->name), variable->span);
    s->box.sides[k] = (BoxSide){variable, node_index(c, s->lo[k]), node_index(c, s->hi[k])};
}

void space_set(Values *v, const Space *s, unsigned side, int64_t lo, int64_t hi)
{
    v->index[s->lo[side]->id] = lo;
    v->index[s->hi[side]->id] = hi;
    values_changed(v);
}

/* What an expression is in all points of the box. */
typedef struct Found {
    int64_t least, greatest;
} Found;

static void look(Compilation *c, Values *v, const Space *s, unsigned k, const Node *n, Found *f)
{
    if (k == s->box.n) {
        values_changed(v);
        int64_t x = values_of(c, v, n).i;
        f->least = merge(REDUCE_MIN, f->least, x);
        f->greatest = merge(REDUCE_MAX, f->greatest, x);
        return;
    }
    int64_t lo = v->index[s->lo[k]->id], hi = v->index[s->hi[k]->id];
    for (int64_t x = lo; x < hi; x++) {
        v->index[s->variables[k]->id] = x;
        look(c, v, s, k + 1, n, f);
    }
}

static const char *describe(Compilation *c, Values *v, const Space *s, const Node *n, const char *what)
{
    Text text = {.c = c};
    text_add(&text, "%s: ", what);
    node_print(&text, n);
    for (unsigned k = 0; k < s->box.n; k++)
        text_add(&text, ", %s in %ld..%ld", s->variables[k]->name, (long)v->index[s->lo[k]->id],
                 (long)v->index[s->hi[k]->id]);
    return text.at;
}

/* Everything that depends on the box itself is asked at a point outside of all boxes: it must not matter. */
static void forget_point(Values *v, const Space *s)
{
    for (unsigned k = 0; k < s->box.n; k++) v->index[s->variables[k]->id] = -1000003;
    values_changed(v);
}

const char *box_judge(Compilation *c, Values *v, const Space *s, const Node *test, const Node *hold,
                      const Node *fail, Verdicts *verdicts)
{
    Found f = {1, 0};
    v->astray = false;
    look(c, v, s, 0, test, &f);
    if (v->astray) return NULL;
    forget_point(v, s);
    bool may_hold = values_of(c, v, hold).i, may_fail = values_of(c, v, fail).i;
    if (v->astray) return describe(c, v, s, test, "the answer reads what the box does not");
    if (f.greatest && !may_hold) return describe(c, v, s, test, "called empty, but it holds");
    if (!f.least && !may_fail) return describe(c, v, s, test, "called full, but it fails");
    verdicts->boxes++;
    verdicts->exact += may_hold == (f.greatest == 1) && may_fail == (f.least == 0);
    verdicts->empty += f.greatest == 0;
    verdicts->full += f.least == 1;
    verdicts->found_empty += !may_hold;
    verdicts->found_full += !may_fail;
    return NULL;
}

const char *box_judge_bounds(Compilation *c, Values *v, const Space *s, const Node *n, const Node *least,
                             const Node *greatest, Verdicts *verdicts)
{
    Found f = {INT64_MAX, INT64_MIN};
    v->astray = false;
    look(c, v, s, 0, n, &f);
    if (v->astray) return NULL;
    forget_point(v, s);
    int64_t lo = least ? values_of(c, v, least).i : INT64_MIN;
    int64_t hi = greatest ? values_of(c, v, greatest).i : INT64_MAX;
    if (v->astray) return describe(c, v, s, n, "the bounds read what the box does not");
    if (lo > f.least) return describe(c, v, s, n, "the lower bound is too high");
    if (hi < f.greatest) return describe(c, v, s, n, "the upper bound is too low");
    verdicts->boxes++;
    verdicts->exact += lo == f.least && hi == f.greatest;
    return NULL;
}

void verdicts_print(const char *what, const Verdicts *v)
{
    fprintf(stderr, "%s: %lu boxes, %lu judged exactly", what, (unsigned long)v->boxes,
            (unsigned long)v->exact);
    if (v->empty + v->full)
        fprintf(stderr, "; found %lu of %lu empty ones, %lu of %lu full ones", (unsigned long)v->found_empty,
                (unsigned long)v->empty, (unsigned long)v->found_full, (unsigned long)v->full);
    fprintf(stderr, "\n");
}
