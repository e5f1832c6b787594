/* Brackets that bind: reductions, normalisers, scans, and join. Selections stand in check_select.c. */
#include "check.h"

#include <string.h>

typedef struct Bracket { const char *name; Op op; unsigned kind; } Bracket;
static const Bracket brackets[] = {
#define REDUCTION(name, text) {text, N_REDUCE, REDUCE_##name},
#include "reduction_list.h"
#undef REDUCTION
#define NORMALISER(name, text) {text, N_NORMALISE, NORMALISE_##name},
#include "normaliser_list.h"
#undef NORMALISER
#define SCAN_KIND(name, text) {text, N_SCAN, SCAN_##name},
#include "scan_list.h"
#undef SCAN_KIND
    {"topk", N_TOPK, 0}, {"topp", N_TOPP, 0}, {"rank", N_RANK, 0}, {"top_index", N_TOP_INDEX, 0},
    {"positions", N_POSITIONS, 0}, {"join", N_OPS, 0}};

static const Bracket *find(const char *name)
{
    for (size_t k = 0; k < sizeof brackets / sizeof *brackets; k++)
        if (!strcmp(brackets[k].name, name)) return &brackets[k];
    return NULL;
}

bool is_bracket(const char *name) { return find(name) != NULL; }

/* ---- binding ---- */

/* `j | c`: the block index c, a block of j; lo and hi of j within it. */
static bool bind_block(const Env *e, const AstBinder *binder, Bound *b, unsigned k, bool keeps)
{
    Checker *ck = e->k;
    Index *block = find_index(e, binder->block, binder->block_span);
    if (!block) return false;
    resolve_index(ck, block);
    if (block->block_of != b->index[k]) {
        Diag *d;
        fail(e, &d, E116, binder->block_span, "`%s` is no block index of `%s`", binder->block, binder->name);
        diag_hint(ck->c, d, "declare it: `block %s of %s by 64`", binder->block, binder->name);
        return false;
    }
    Env at = *e;
    if (keeps) { /* the block of the position that the value belongs to */
        at.map = b->map;
        at.map = map_push(ck, b->map, block, at_map(&at, block->block_at));
    }
    b->lo[k] = at_map(&at, block->block_lo);
    b->hi[k] = at_map(&at, block->block_hi);
    return true;
}

/* Inside a normaliser or scan over blocks the block index is that of the bound position. */
static void map_block(Checker *k, const Env *e, const AstBinder *binder, Bound *b)
{
    Symbol *s = scope_find(e->scope, binder->block);
    Env inner = *e;
    inner.map = b->map;
    b->map = map_push(k, b->map, s->index, at_map(&inner, s->index->block_at));
}

Bound bind(const Env *e, const Ast *a, bool keeps)
{
    Compilation *c = e->k->c;
    AstBinders binders = ast_binders(a);
    unsigned n = binders.n;
    Bound b = {.n = n, .index = NEW_ARRAY(c, Index *, n + 1), .var = NEW_ARRAY(c, Index *, n + 1),
               .lo = NEW_ARRAY(c, Node *, n + 1), .hi = NEW_ARRAY(c, Node *, n + 1), .map = e->map};
    Env inner = *e;
    for (unsigned k = 0; k < n; k++) {
        const AstBinder *binder = &binders.at[k];
        b.index[k] = find_index(e, binder->name, binder->span);
        if (!b.index[k]) { b.failed = true; continue; }
        resolve_index(e->k, b.index[k]);
        for (unsigned m = 0; m < k; m++) {
            if (b.index[m] != b.index[k]) continue;
            fail(e, NULL, E106, binder->span, "`%s` is bound twice", binder->name);
            b.failed = true;
            break;
        }
        inner.map = b.map = map_bind(&inner, b.index[k], &b.var[k]);
        if (binder->block && !bind_block(e, binder, &b, k, keeps)) b.failed = true;
    }
    for (unsigned k = 0; keeps && !b.failed && k < n; k++)
        if (binders.at[k].block) map_block(e->k, e, &binders.at[k], &b);
    return b;
}

static const IndexSet *hide(Checker *k, const Bound *b, const IndexSet *free)
{
    for (unsigned m = 0; m < b->n; m++) free = set_without(k->c, free, b->var[m]);
    return free;
}

/* `inside` of the body holds for every element that the binder visits. */
static Node *everywhere(Checker *k, const Bound *b, Value where, Value body)
{
    Compilation *c = k->c;
    Node *n = body.inside;
    if (n && !node_is_bool(where.node, true)) n = node_binary(c, N_OR, node_unary(c, N_NOT, where.node), n);
    n = both(k, where.inside, n);
    if (!n) return NULL;
    bool depends = false;
    for (unsigned m = 0; m < b->n; m++) depends |= node_depends_on(n, b->var[m]);
    if (depends)
        return node_binder(c, N_REDUCE, REDUCE_ALL, b->n, b->var, b->lo, b->hi, node_bool(c, true), n, NULL);
    for (unsigned m = 0; m < b->n; m++) {
        Node *lo = b->lo[m] ? b->lo[m] : node_int(c, 0), *hi = b->hi[m] ? b->hi[m] : node_size(c, b->var[m]);
        n = node_binary(c, N_OR, node_binary(c, N_LE, hi, lo), n);
    }
    return n;
}

Value bound_value(const Env *e, const Bound *b, Node *node, Value where, Value body, bool keeps)
{
    Checker *k = e->k;
    Value v = {.node = node, .inside = everywhere(k, b, where, body)};
    v.free = hide(k, b, set_union(k->c, where.free, body.free));
    for (unsigned m = 0; m < b->n; m++) {
        const IndexSet *range = b->lo[m] ? set_union(k->c, b->lo[m]->free, b->hi[m]->free) : set_empty(k->c);
        v.free = set_union(k->c, v.free, keeps ? hide(k, b, range) : range);
        if (keeps) v.free = set_union(k->c, v.free, coordinate(e, b->index[m])->free);
    }
    return v;
}

/* ---- arguments ---- */

Value condition_of(const Env *inner, const Ast *a)
{
    const Ast *where = ast_where(a);
    if (!where) return value_make(inner->k, node_bool(inner->k->c, true));
    Value v = value_convert(inner, elaborate(inner, where), TYPE_BOOL, where->span, "a `where`");
    note_condition(inner, where, v.node);
    return v;
}

/* The one positional argument of a reduction, normaliser or scan; `sink` if it is allowed. */
static const Ast *body_of(const Env *e, const Ast *a, const Ast **sink)
{
    const Ast *body = NULL;
    bool good = true;
    for (uint32_t k = 0; k < ast_n_args(a) && good; k++) {
        AstArg arg = ast_arg(a, k);
        if (arg.name && sink && !strcmp(arg.name, "sink") && !*sink) {
            *sink = arg.value;
        } else if (arg.name) {
            Diag *d;
            fail(e, &d, E115, arg.name_span, "`%s` has no option `%s`", a->name, arg.name);
            if (sink) diag_hint(e->k->c, d, "its one option is `sink`");
            return NULL;
        } else if (arg.is_index || body) good = false;
        else body = arg.value;
    }
    if (good && body) return body;
    Diag *d;
    fail(e, &d, E105, a->span, "`%s` takes one argument", a->name);
    diag_hint(e->k->c, d, "several indices stand in the square brackets: `%s[i, j](x)`", a->name);
    return NULL;
}

static Value body_value(const Env *inner, const Ast *a, const Ast *body, Op op, unsigned kind)
{
    Value v = elaborate(inner, body);
    const char *what = format(inner->k->c, "the argument of `%s`", a->name);
    bool logical = op == N_REDUCE && (kind == REDUCE_ANY || kind == REDUCE_ALL);
    bool real = op == N_NORMALISE || (op == N_REDUCE && (kind == REDUCE_MEAN || kind == REDUCE_LOGSUMEXP));
    if (logical) return value_convert(inner, v, TYPE_BOOL, body->span, what);
    if (real || (v.node && v.node->type == TYPE_BOOL))
        return value_convert(inner, v, TYPE_REAL, body->span, what);
    return v;
}

/* ---- reductions ---- */

static bool passes_zero(unsigned kind) { return kind == REDUCE_SUM || kind == REDUCE_MEAN; }

/* The position of the attaining element, where the coordinate was found. */
static Node *place(const Env *e, const Bound *b, Node *found)
{
    Node *origin = b->n == 1 ? origin_of(e, b->index[0]) : NULL;
    if (!origin) return found;
    Compilation *c = e->k->c;
    return node_if(c, node_binary(c, N_LE, node_int(c, 0), found), node_binary(c, N_ADD, origin, found),
                   node_int(c, -1));
}

static Value reduce(const Env *e, const Ast *a, unsigned kind)
{
    Checker *k = e->k;
    Bound b = bind(e, a, false);
    const Ast *argument = body_of(e, a, NULL);
    if (b.failed || !argument) return value_none();
    Env inner = *e;
    inner.map = b.map;
    Value where = condition_of(&inner, a), body = body_value(&inner, a, argument, N_REDUCE, kind);
    if (!where.node || !body.node) return value_none();
    Node *n =
        node_binder(k->c, N_REDUCE, kind, b.n, b.var, b.lo, b.hi, where.node, value_node(k, body), NULL);
    if (kind == REDUCE_ARGMAX || kind == REDUCE_ARGMIN) n = place(e, &b, n);
    Value v = bound_value(e, &b, n, where, body, false);
    if (!passes_zero(kind) || !body.kept) return v;
    bool depends = !node_is_bool(where.node, true);
    for (unsigned m = 0; m < b.n; m++) depends |= node_depends_on(body.kept, b.var[m]);
    v.kept = body.kept;
    if (depends)
        v.kept = node_binder(k->c, N_REDUCE, REDUCE_ANY, b.n, b.var, b.lo, b.hi, where.node, body.kept, NULL);
    return v;
}

/* ---- normalisers and scans ---- */

static Value read_kept(const Env *e, const Bound *b, Tensor *t)
{
    Compilation *c = e->k->c;
    Node **at = NEW_ARRAY(c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) {
        at[d] = node_index(c, t->dims[d]);
        for (unsigned m = 0; m < b->n; m++)
            if (b->var[m] == t->dims[d]) at[d] = coordinate(e, b->index[m]);
    }
    return value_make(e->k, node_read(c, t, at, false));
}

Value keep_position(const Env *e, const Ast *a, const Bound *b, Node *node, Value v, const char *suffix,
                    bool always)
{
    bool here = !always;
    for (unsigned m = 0; m < b->n; m++) here &= coordinate(e, b->index[m]) == node_index(e->k->c, b->var[m]);
    if (here) {
        v.node = node;
        return v;
    }
    v.node = read_kept(e, b, aux_equation(e->k, suffix, node, a->span)).node;
    if (!v.kept) return v;
    Compilation *c = e->k->c;
    Node **to = NEW_ARRAY(c, Node *, b->n);
    for (unsigned m = 0; m < b->n; m++) to[m] = coordinate(e, b->index[m]);
    if (node_substitutable(c, v.kept, b->n, b->var, to))
        v.kept = node_substitute(c, v.kept, b->n, b->var, to);
    else v.kept = read_kept(e, b, aux_equation(e->k, "kept", v.kept, a->span)).node;
    return v;
}

static Value sink_value(const Env *e, const Ast *a, const Ast *sink, const Bound *b)
{
    Value v = value_convert(e, elaborate(e, sink), TYPE_REAL, sink->span, "a sink");
    for (unsigned m = 0; v.node && m < b->n; m++)
        if (set_has(v.free, b->index[m]->id))
            return fail(e, NULL, E114, sink->span,
                        "the sink of this `%s` depends on `%s`, which it normalises over", a->name,
                        b->index[m]->name);
    return v;
}

static Value normalise(const Env *e, const Ast *a, const Bracket *bracket)
{
    Checker *k = e->k;
    Bound b = bind(e, a, true);
    const Ast *sink = NULL;
    bool scan = bracket->op == N_SCAN, softmax = !scan && bracket->kind == NORMALISE_SOFTMAX;
    const Ast *argument = body_of(e, a, softmax ? &sink : NULL);
    if (scan && b.n != 1) fail(e, NULL, E113, a->span, "`%s` runs along one index", a->name);
    if (b.failed || !argument || (scan && b.n != 1)) return value_none();
    Env inner = *e;
    inner.map = b.map;
    Value where = condition_of(&inner, a), body = body_value(&inner, a, argument, bracket->op, bracket->kind);
    Value extra = sink ? sink_value(e, a, sink, &b) : value_make(k, node_bool(k->c, true));
    if (!where.node || !body.node || !extra.node) return value_none();
    Node *n = node_binder(k->c, bracket->op, bracket->kind, b.n, b.var, b.lo, b.hi, where.node,
                          value_node(k, body), sink ? value_node(k, extra) : NULL);
    Value v = bound_value(e, &b, n, where, body, true);
    v.free = set_union(k->c, v.free, extra.free);
    v.inside = both(k, v.inside, extra.inside);
    if (!scan && !node_is_bool(where.node, true)) v.kept = where.node;
    return keep_position(e, a, &b, n, v, a->name, false);
}

/* ---- join ---- */

static Value join_part(const Env *e, const Ast *a, uint32_t p, Index *whole, Node **offset)
{
    Checker *k = e->k;
    Compilation *c = k->c;
    Index *part = k->info[whole->id].parts.at[p];
    Env inner = *e;
    inner.map = map_push(k, e->map, part, node_binary(c, N_SUB, coordinate(e, whole), *offset));
    *offset = node_binary(c, N_ADD, *offset, node_size(c, part));
    return elaborate(&inner, a->operands[p]);
}

static Value join_last(const Env *e, Value x, Value rest, Node *test)
{
    Compilation *c = e->k->c;
    Value v = {.free = set_union(c, x.free, rest.free)};
    v.node = node_if(c, test, value_node(e->k, x), value_node(e->k, rest));
    Node *yes = node_bool(c, true);
    if (x.kept || rest.kept) v.kept = node_if(c, test, x.kept ? x.kept : yes, rest.kept ? rest.kept : yes);
    if (x.inside || rest.inside)
        v.inside = node_if(c, test, x.inside ? x.inside : yes, rest.inside ? rest.inside : yes);
    return v;
}

static Value join(const Env *e, const Ast *a)
{
    Checker *k = e->k;
    Compilation *c = k->c;
    AstBinders binders = ast_binders(a);
    bool one = binders.n == 1 && !binders.at[0].block && !ast_where(a);
    Index *whole = one ? find_index(e, binders.at[0].name, binders.at[0].span) : NULL;
    if (!one)
        return fail(e, NULL, E117, a->span,
                    "`join[u](x, y)` takes one joined index and a value for each of its parts");
    if (!whole) return value_none();
    resolve_index(k, whole);
    const IndexInfo *info = &k->info[whole->id];
    if (!info->join || info->parts.n != a->n) {
        Diag *d;
        Value none = info->join
                         ? fail(e, &d, E117, a->span, "`%s` joins %u indices, and is given %u value%s here",
                                whole->name, info->parts.n, a->n, a->n == 1 ? "" : "s")
                         : fail(e, &d, E117, a->span, "`%s` joins no indices", whole->name);
        if (!info->join) diag_hint(c, d, "declare it: `index %s: join(c, j)`", whole->name);
        return none;
    }
    Value parts[64];
    Node *ends[64], *offset = node_int(c, 0);
    uint32_t n = a->n < 64 ? a->n : 64;
    for (uint32_t p = 0; p < n; p++) {
        if (!ast_is_plain(a->operands[p]))
            return fail(e, NULL, E117, a->span, "`join` takes plain values");
        parts[p] = join_part(e, a, p, whole, &offset);
        ends[p] = offset;
    }
    Value all = parts[n - 1];
    for (uint32_t p = n - 1; p-- > 0;) {
        if (!value_unify(e, &parts[p], &all, a->span, "the parts of a join")) return value_none();
        all = join_last(e, parts[p], all, node_binary(c, N_LT, coordinate(e, whole), ends[p]));
    }
    /* As written, the value depends on u, not on the parts. */
    if (all.node) all.free = set_union(c, all.free, coordinate(e, whole)->free);
    return all;
}

Value elaborate_bracket(const Env *e, const Ast *a)
{
    const Bracket *b = find(a->name);
    if (!b) {
        Diag *d;
        bool function = is_builtin(a->name) || global_find(e->scope->file, a->name);
        Value none = fail(e, &d, E102, a->name_span,
                          function ? "`%s` binds no indices" : "unknown operation `%s[...](...)`", a->name);
        if (function) diag_hint(e->k->c, d, "write `%s(...)`", a->name);
        else hint_name(e->k, d, e->scope, a->name, true);
        return none;
    }
    bool selects = b->op == N_TOP_INDEX || b->op == N_POSITIONS;
    AstBinders binders = ast_binders(a);
    for (uint32_t k = 0; k < binders.n; k++)
        if (binders.at[k].to && !(selects && k == binders.n - 1))
            return fail(e, NULL, E113, binders.at[k].to_span,
                        "`-> %s` stands behind the last index of `top_index` and "
                        "`positions` alone",
                        binders.at[k].to);
    if (b->op == N_REDUCE) return reduce(e, a, b->kind);
    if (b->op == N_NORMALISE || b->op == N_SCAN) return normalise(e, a, b);
    return b->op == N_OPS ? join(e, a) : elaborate_selection(e, a);
}
