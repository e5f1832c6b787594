/* Selections: topk, topp, rank, top_index, positions. Each becomes an equation of its own. */
#include "check.h"

#include <string.h>

typedef struct Selection { Op op; unsigned n_args; } Selection;

static Selection selection(const char *name)
{
    if (!strcmp(name, "topk")) return (Selection){N_TOPK, 2};
    if (!strcmp(name, "topp")) return (Selection){N_TOPP, 2};
    if (!strcmp(name, "rank")) return (Selection){N_RANK, 1};
    if (!strcmp(name, "top_index")) return (Selection){N_TOP_INDEX, 2};
    return (Selection){N_POSITIONS, 2};
}

static bool plain_args(const Env *e, const Ast *a, unsigned n)
{
    bool plain = ast_n_args(a) == n;
    for (uint32_t k = 0; k < ast_n_args(a); k++) plain &= ast_is_plain(a->operands[k]);
    if (plain) return true;
    Diag *d;
    fail(e, &d, E105, a->span, "`%s` takes %s", a->name, n == 1 ? "one argument" : "two arguments");
    if (n == 2)
        diag_hint(e->k->c, d, "`%s[j%s](x%s, n)`", a->name,
                  strstr("top_index positions", a->name) ? " -> r" : "",
                  strcmp(a->name, "positions") ? " where c" : "");
    return false;
}

/* The second argument: n or mass, free of what is selected. */
static Value limit(const Env *e, const Ast *a, const Bound *b, Op op)
{
    const Ast *arg = a->operands[1];
    Type type = op == N_TOPP ? TYPE_REAL : TYPE_INT;
    const char *what = op == N_TOPP ? "the mass" : "the number to select";
    bool begun = exact_begin(e->k->c);
    Value v = value_convert(e, elaborate(e, arg), type, arg->span, what);
    if (!exact_end(e->k->c, begun) && v.node) return fail(e, NULL, E122, arg->span, "%s leaves 64 bits", what);
    for (unsigned m = 0; v.node && m < b->n; m++)
        if (set_has(v.free, b->index[m]->id)) {
            Diag *d;
            Value none = fail(e, &d, E114, arg->span,
                              "the second argument of `%s` depends on `%s`, which it selects from", a->name,
                              b->index[m]->name);
            return none;
        }
    if (v.node) v.node = value_node(e->k, v);
    return v;
}

/* The rank r of `top_index[j -> r]` and `positions[j -> r]`. */
static Index *rank_index(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    AstBinders binders = ast_binders(a);
    const AstBinder *last = &binders.at[binders.n - 1];
    if (!last->to) {
        Diag *d;
        fail(e, &d, E113, a->span, "`%s` gives its positions over a new index", a->name);
        diag_hint(k->c, d, "write `%s[%s -> r](...)`", a->name, last->name);
        return NULL;
    }
    Index *r = find_index(e, last->to, last->to_span);
    if (!r) return NULL;
    resolve_index(k, r);
    Env at = {.k = k, .scope = e->scope};
    const Ast *count = a->operands[1];
    Node *n = k->info[r->id].selected == count
                  ? r->extent
                  : elaborate_scalar(&at, count, TYPE_INT, E120, "the extent of a selection");
    if (!n) return NULL;
    add_condition(k, node_binary(k->c, N_EQ, n, node_size(k->c, r)), last->to_span, E505,
                  "the extent of `%s` must be the number selected", r->name);
    return r;
}

/* Bound positions become values: with one index that has an origin, positions begin there. */
static Node *with_origin(const Env *e, const Bound *b, Node *found)
{
    Node *origin = b->n == 1 ? origin_of(e, b->index[0]) : NULL;
    if (!origin) return found;
    Compilation *c = e->k->c;
    return node_if(c, node_binary(c, N_LE, node_int(c, 0), found), node_binary(c, N_ADD, origin, found),
                   node_int(c, -1));
}

/* A selection whose inside stands at other coordinates than the plain ones reads them through its equation.
 */
static Value list_positions(const Env *e, const Ast *a, const Bound *b, Node *n, Value v, Index *r)
{
    Checker *k = e->k;
    Tensor *t = aux_equation(k, a->name, n, a->span);
    Node **at = NEW_ARRAY(k->c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++)
        at[d] = t->dims[d] == r ? coordinate(e, r) : node_index(k->c, t->dims[d]);
    v.node = with_origin(e, b, node_read(k->c, t, at, false));
    v.free = set_union(k->c, v.free, coordinate(e, r)->free);
    return v;
}

static Value first_argument(const Env *inner, const Ast *a, Op op)
{
    const Ast *arg = a->operands[0];
    Value v = elaborate(inner, arg);
    const char *what = format(inner->k->c, "the first argument of `%s`", a->name);
    if (op == N_POSITIONS) return value_convert(inner, v, TYPE_BOOL, arg->span, what);
    if (op == N_TOPP || (v.node && v.node->type == TYPE_BOOL))
        return value_convert(inner, v, TYPE_REAL, arg->span, what);
    return v;
}

Value elaborate_selection(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    Compilation *c = k->c;
    Selection s = selection(a->name);
    bool lists = s.op == N_TOP_INDEX || s.op == N_POSITIONS;
    if (!plain_args(e, a, s.n_args)) return value_none();
    Bound b = bind(e, a, !lists);
    Index *r = lists && !b.failed ? rank_index(e, a) : NULL;
    if (b.failed || (lists && !r)) return value_none();
    Env inner = *e;
    inner.map = b.map;
    Value extra = value_make(k, node_bool(c, true)), where = condition_of(&inner, a);
    Value body = first_argument(&inner, a, s.op);
    if (!lists && s.n_args == 2) extra = limit(e, a, &b, s.op);
    if (!where.node || !body.node || !extra.node) return value_none();
    Node *score = value_node(k, body), *test = where.node;
    if (s.op == N_POSITIONS) {
        test = node_binary(c, N_AND, test, score);
        score = node_bool(c, true);
    }
    Node *last = lists ? node_index(c, r) : s.n_args == 2 ? extra.node : NULL;
    Node *n = node_binder(c, s.op, 0, b.n, b.var, b.lo, b.hi, test, score, last);
    Value v = bound_value(e, &b, n, where, body, !lists);
    v.free = set_union(c, v.free, extra.free);
    v.inside = both(k, v.inside, extra.inside);
    if (lists) return list_positions(e, a, &b, n, v, r);
    return keep_position(e, a, &b, n, v, "pick", true);
}
