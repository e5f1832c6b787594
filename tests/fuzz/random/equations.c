/* Declarations and equations of random patterns: plain ones, selections, recurrences, attention. */
#include "generate_internal.h"

/* --- declarations --- */

static void declare_block(Gen *g, unsigned j)
{
    unsigned n = 1 + below(g, 3), extent = g->index[j].extent;
    bool by = maybe(g, 60);
    unsigned c = add_index(g, new_name(g, "c"), G_BLOCK, by ? (extent + n - 1) / n : n);
    g->index[c].of[0] = j;
    g->index[c].origin = by && g->index[j].origin;
    text_add(&g->body, "    block %s of %s %s %u\n", g->index[c].name, g->index[j].name, by ? "by" : "into",
             n);
}

static void declare_parts(Gen *g, const Signature *s, bool join)
{
    unsigned a = any_base(g, s), b = any_base(g, s);
    if (a == b || g->index[a].origin || g->index[b].origin) return;
    unsigned x = g->index[a].extent, y = g->index[b].extent;
    if (!join && x * y > 20) return;
    unsigned t = add_index(g, new_name(g, join ? "u" : "t"), join ? G_JOIN : G_FLATTEN, join ? x + y : x * y);
    g->index[t].of[0] = a, g->index[t].of[1] = b;
    g->written = true;
    text_add(&g->body, "    index %s: %s(%s, %s)\n", g->index[t].name, join ? "join" : "flatten",
             g->index[a].name, g->index[b].name);
}

static void declare_origin(Gen *g, const Signature *s)
{
    unsigned i = any_base(g, s), j = any_base(g, s);
    if (i == j || g->index[i].origin) return;
    for (unsigned k = 0; k < g->n_indices; k++)
        if (g->index[k].kind != G_BASE && (g->index[k].of[0] == i || g->index[k].of[1] == i)) return;
    const char *name = g->index[i].name, *other = g->index[j].name;
    if (maybe(g, 60))
        text_add(&g->body, "    index %s from size(%s) - size(%s)\n", name, other, name);
    else
        text_add(&g->body, "    index %s from %u\n", name, below(g, 4));
    g->index[i].origin = true;
}

void declare(Gen *g, const Signature *s)
{
    unsigned k = any_base(g, s);
    switch (below(g, 7)) {
    case 0: {
        unsigned m = add_index(g, new_name(g, "m"), G_LIKE, g->index[k].extent);
        g->index[m].of[0] = k, g->index[m].root = k, g->index[m].origin = g->index[k].origin;
        text_add(&g->body, "    index %s like %s\n", g->index[m].name, g->index[k].name);
        break;
    }
    case 1: declare_block(g, k); break;
    case 2:
        if (g->index[g->n_indices - 1].kind == G_BLOCK && maybe(g, 40))
            declare_block(g, g->n_indices - 1);
        else
            declare_block(g, k);
        break;
    case 3: declare_parts(g, s, false); break;
    case 4: declare_parts(g, s, true); break;
    case 5: declare_origin(g, s); break;
    default: {
        unsigned n = 1 + below(g, 3), r = add_index(g, new_name(g, "r"), G_EXTENT, n);
        if (maybe(g, 60))
            text_add(&g->body, "    index %s: %u\n", g->index[r].name, n);
        else {
            g->index[r].extent = g->index[k].extent / 2 + 1;
            text_add(&g->body, "    index %s: size(%s) // 2 + 1\n", g->index[r].name, g->index[k].name);
        }
    }
    }
}

/* --- equations --- */

/* Ambient ones and up to three others, few enough elements. */
static Set some_scope(Gen *g, const Signature *s, unsigned most)
{
    Set scope = BIT(s->n_ambient) - 1;
    g->work = 1;
    for (unsigned k = 0; k < s->n_ambient; k++) g->work *= g->index[k].extent;
    unsigned n = below(g, most + 1);
    for (unsigned k = 0; k < n; k++) {
        unsigned index = below(g, g->n_indices);
        if (visible(g, scope, index) || g->work * g->index[index].extent > 600) continue;
        Set with = bind_index(g, scope, index);
        if ((with & scope) != scope) continue;
        scope = with;
        g->work *= g->index[index].extent ? g->index[index].extent : 1;
    }
    return scope;
}

static unsigned list(const Gen *g, Set set, unsigned *dims, unsigned *n_hidden)
{
    unsigned n = 0;
    *n_hidden = 0;
    for (unsigned k = 0; k < g->n_indices && n < G_DIMS; k++)
        if (set & BIT(k)) dims[n++] = k, *n_hidden += g->index[k].ambient;
    return n;
}

/* Adds `name` with the indices `set`; writes its left side, in full or bare. */
GTensor *define(Gen *g, const char *name, GType type, Set set, bool full)
{
    unsigned dims[G_DIMS], hidden, n = list(g, set, dims, &hidden);
    full = full && n > hidden;
    if (full && n > hidden + 1 && maybe(g, 50)) {
        unsigned a = dims[hidden];
        dims[hidden] = dims[n - 1], dims[n - 1] = a;
    }
    GTensor *t = add_tensor(g, name, type, n, dims);
    t->n_hidden = hidden;
    t->positional = full && n > hidden;
    text_add(&g->body, "    ");
    written_dims(g, &g->body, name, full ? n - hidden : 0, dims + hidden);
    return t;
}

static unsigned set_size(Set s) { return (unsigned)__builtin_popcount(s); }

static void plain_equation(Gen *g, const Signature *s, GType type)
{
    Set scope = some_scope(g, s, 3);
    g->used = 0;
    Expr e = type == G_REAL  ? gen_real(g, scope, 3)
             : type == G_INT ? gen_int(g, scope, 3)
                             : gen_bool(g, scope, 3);
    bool full = g->written || maybe(g, 30);
    Set set = full && maybe(g, 40) ? g->used | (scope & ~(BIT(s->n_ambient) - 1)) : g->used;
    if (set_size(set) > G_DIMS) return;
    if (full && !(set >> s->n_ambient)) full = false;
    const char *name = new_name(g, type == G_REAL ? "s" : type == G_INT ? "k" : "p");
    bool ranged = type == G_INT && maybe(g, 40);
    GTensor *t = define(g, name, type, set, full);
    t->bound = e.hi > -e.lo ? e.hi : -e.lo;
    t->lo = (int)e.lo, t->hi = (int)e.hi;
    if (ranged) {
        unsigned to = any_base(g, s);
        g->index[to].origin ? text_add(&g->body, ": int in -1000..1000 = %s\n", e.text)
                            : text_add(&g->body, ": int in 0..size(%s) = clamp(%s, 0, size(%s) - 1)\n",
                                       g->index[to].name, e.text, g->index[to].name);
        if (!g->index[to].origin) t->range_of = (int)to, t->lo = 0, t->hi = (int)g->index[to].extent;
    } else
        text_add(&g->body, " = %s\n", e.text);
}

/* Positions of a selection, over a new index. */
static void selection(Gen *g, const Signature *s)
{
    unsigned j = any_base(g, s);
    Set scope = some_scope(g, s, 1) & ~BIT(j);
    if (g->index[j].origin || visible(g, scope, j) || g->n_indices > G_INDICES - 2) return;
    Set inner = bind_index(g, scope, j);
    if ((inner & scope) != scope) return;
    g->used = 0;
    bool top = maybe(g, 60);
    const char *x = top ? gen_direct(g, inner).text : gen_bool(g, inner, 2).text;
    const char *where = top ? gen_where(g, inner, 1) : "";
    g->used &= ~BIT(j);
    unsigned n = 1 + below(g, 3), r = add_index(g, new_name(g, "r"), G_EXTENT, n);
    if (set_size(g->used) + 1 > G_DIMS) return;
    text_add(&g->body, "    index %s: %u\n", g->index[r].name, n);
    GTensor *t = define(g, new_name(g, "at"), G_INT, g->used | BIT(r), g->written);
    t->lo = -1, t->hi = (int)g->index[j].extent;
    t->or_none = true, t->range_of = (int)j;
    text_add(&g->body, " = %s[%s -> %s](%s%s, %u)\n", top ? "top_index" : "positions", g->index[j].name,
             g->index[r].name, x, where, n);
    GTensor chosen = *t;
    for (unsigned k = 0; k < g->n_tensors; k++) { /* gathers something by it */
        const GTensor *v = &g->tensor[k];
        if (v->type != G_REAL || !maybe(g, 50)) continue;
        for (unsigned d = 0; d < v->n_dims; d++) {
            if (v->dims[d] != j || set_size(g->used | BIT(r)) + v->n_dims > G_DIMS + 1) continue;
            Set set = g->used | BIT(r);
            for (unsigned i = 0; i < v->n_dims; i++)
                if (i != d) set |= BIT(v->dims[i]);
            const char *read = format(g->c, "%s[%s = %s]", v->name, g->index[j].name, chosen.name);
            GTensor *out = define(g, new_name(g, "s"), G_REAL, set, g->written);
            out->bound = 2;
            text_add(&g->body, " = if %s >= 0 then %s else 0.25\n", chosen.name, read);
            return;
        }
    }
}

static void rank_equation(Gen *g, const Signature *s)
{
    unsigned j = any_base(g, s);
    Set scope = some_scope(g, s, 1);
    if (visible(g, scope, j)) return;
    Set inner = bind_index(g, scope, j);
    if ((inner & scope) != scope) return;
    g->used = 0;
    const char *x = gen_direct(g, inner).text, *where = gen_where(g, inner, 1);
    Set set = g->used | BIT(j);
    GTensor *t = define(g, new_name(g, "k"), G_INT, set, g->written);
    t->lo = -1, t->hi = (int)g->index[j].extent;
    text_add(&g->body, " = rank[%s](%s%s)\n", g->index[j].name, x, where);
}

/* --- recurrences --- */

static void recurrence(Gen *g, const Signature *s)
{
    unsigned t = maybe(g, 80) ? any_base(g, s) : below(g, g->n_indices);
    if (g->index[t].ambient || g->index[t].kind == G_JOIN) return;
    Set scope = some_scope(g, s, 2), flat = 0;
    for (unsigned k = 0; k < g->n_indices; k++)
        if (g->index[k].kind == G_FLATTEN) flat |= BIT(k) | BIT(g->index[k].of[0]) | BIT(g->index[k].of[1]);
    if (scope & flat) return;
    if (visible(g, scope, t)) return;
    Set inner = bind_index(g, scope, t);
    if ((inner & scope) != scope) return;
    g->work *= g->index[t].extent + 1;
    g->used = 0;
    unsigned form = below(g, 6);
    Expr input = gen_real(g, inner, 2),
         gate = form && maybe(g, 50) ? gen_real(g, inner, 1) : (Expr){"", -1, 1};
    Set rest = g->used & ~BIT(t), set = rest | BIT(t);
    if (set_size(set) > G_DIMS) return;
    const char *S = new_name(g, "S"), *x = g->index[t].name;
    bool down = maybe(g, 25), two = maybe(g, 25), start = maybe(g, 40), carry = !two && maybe(g, 30);
    const char *sign = down ? "+" : "-",
               *decay = *gate.text ? format(g->c, "0.75 * sigmoid(%s)", gate.text) : "0.625";
    if (carry) text_add(&g->body, "    carry %s\n", S);
    if (start) {
        const char *at = down ? format(g->c, "size(%s)", x) : "-1";
        g->used = 0;
        text_add(&g->body, "    %s[%s] = %s\n", S, at, gen_real(g, rest, 1).text);
        if (two && maybe(g, 50))
            text_add(&g->body, "    %s[%s] = %s\n", S, down ? format(g->c, "size(%s) + 1", x) : "-2",
                     gen_real(g, rest, 1).text);
    }
    const char *before = format(g->c, "%s[%s %s 1]", S, x, sign);
    text_add(&g->body, "    %s[%s] = ", S, x);
    const char *third = two ? format(g->c, " - 0.25 * %s[%s %s 2]", S, x, sign) : "";
    const char *in = input.hi > 8 ? format(g->c, "%s / 8.0", input.text) : input.text;
    switch (form) {
    case 0: text_add(&g->body, "tanh(%s + %s%s)\n", before, in, third); break;
    case 1: text_add(&g->body, "max(%s * %s, %s)%s\n", decay, before, in, third); break;
    case 2: {
        const char *W = new_name(g, "S");
        text_add(&g->body, "%s * %s + 0.25 * %s[%s %s 1]%s\n", decay, before, W, x, sign, third);
        text_add(&g->body, "    %s[%s] = 0.5 * %s[%s %s 1] + %s + 0.125 * %s\n", W, x, W, x, sign, in,
                 maybe(g, 50) ? S : before);
        break;
    }
    default: text_add(&g->body, "%s * %s + %s%s\n", decay, before, in, third);
    }
    unsigned dims[G_DIMS], hidden, n = list(g, set, dims, &hidden);
    GTensor *state = add_tensor(g, S, G_REAL, n, dims);
    state->n_hidden = hidden;
    state->bound = 16;
    if (maybe(g, 30)) {
        n = list(g, rest, dims, &hidden);
        GTensor *last = define(g, new_name(g, "s"), G_REAL, rest, g->written && n > hidden);
        last->bound = 16;
        text_add(&g->body, " = %s[%s = %s(%s)]\n", S, x, down ? "first" : "last", x);
    }
}

/* --- what the plan looks for --- */

/* A condition that tells keys by their place, as masks of the field do. */
static const char *placed_mask(Gen *g, Set scope, unsigned key)
{
    static const char *const masks[] = {
        "%2$s <= %1$s",
        "0 <= %1$s - %2$s < 3",
        "abs(%1$s - %2$s) <= 2",
        "(%1$s - %2$s) %% 2 == 0",
        "0 <= %1$s - %2$s < 6 and (%1$s - %2$s) %% 3 == 0",
        "%1$s // 3 == %2$s // 3",
        "%2$s < 2 or %2$s >= %1$s - 1",
        "%2$s <= %1$s + 2 and %2$s != %1$s",
        "%1$s // 2 - %2$s // 2 < 3",
    };
    for (unsigned tries = 0; tries < 8; tries++) {
        unsigned q = below(g, g->n_indices);
        if (!(scope & BIT(q)) || g->index[q].ambient || q == key) continue;
        use_index(g, scope, q);
        if (maybe(g, 15)) {
            g->std_masks = true;
            return format(g->c, "neighborhood(%s, %s, size(%s), 3, %u)", g->index[q].name, g->index[key].name,
                          g->index[key].name, 1 + below(g, 2));
        }
        Text text = {.c = g->c};
        text_add(&text, "(");
        for (const char *at = masks[below(g, sizeof masks / sizeof *masks)]; *at; at++) {
            if (at[0] == '%' && at[1] == '%')
                at++, text_add(&text, "%%");
            else if (at[0] == '%')
                text_add(&text, "%s", g->index[at[1] == '1' ? q : key].name), at += 3;
            else
                text_add(&text, "%c", *at);
        }
        text_add(&text, ")");
        return text.at;
    }
    return "true";
}

/* sum[j](softmax[j](scores where mask) * v), over one or two key indices: from the tensors at hand, in full
 * or by equations of its own. */
static void attention(Gen *g, const Signature *s)
{
    unsigned j = any_base(g, s), d = any_base(g, s);
    Set scope = some_scope(g, s, 2);
    if (visible(g, scope, j) || visible(g, scope, d) || j == d) return;
    Set inner = bind_index(g, scope, j);
    if ((inner & scope) != scope) return;
    unsigned second = any_base(g, s);
    bool two = maybe(g, 30) && second != j && second != d && !visible(g, inner, second);
    Set keys = BIT(j);
    if (two) {
        Set both = bind_index(g, inner, second);
        if ((both & inner) != inner) return;
        inner = both, keys |= BIT(second);
    }
    Set deep = bind_index(g, inner, d);
    if ((deep & inner) != inner) return;
    g->used = 0;
    Expr q = gen_real(g, bind_index(g, scope, d), 0),
         k = gen_real(g, deep & ~(scope >> s->n_ambient << s->n_ambient), 0);
    const char *bias = maybe(g, 40) ? format(g->c, " + %s", gen_real(g, inner, 1).text) : "";
    Set scored = g->used & ~BIT(d);
    bool masked = maybe(g, 70);
    Expr mask = {"true", 0, 1};
    if (masked && maybe(g, 35))
        mask = gen_bool(g, inner, 2);
    else if (masked)
        mask.text = placed_mask(g, scope, j);
    if (masked && two) mask.text = format(g->c, "(%s and %s)", mask.text, placed_mask(g, scope, second));
    if (masked) g->used |= keys; /* near enough: masks mention their keys */
    Set weighed = (g->used & ~BIT(d)) | keys;
    Expr v = gen_real(g, inner, maybe(g, 70) ? 0 : 2);
    Set free = g->used & ~(keys | BIT(d));
    if (set_size(g->used | keys) > G_DIMS) return;
    const char *J = two ? format(g->c, "%s, %s", g->index[j].name, g->index[second].name) : g->index[j].name,
               *D = g->index[d].name;
    const char *where = masked ? format(g->c, " where %s", mask.text) : "";
    const char *sink = maybe(g, 15) ? ", sink = 0.25" : "";
    const char *scores = format(g->c, "sum[%s](%s * %s) / sqrt(size(%s) + 1)%s", D, q.text, k.text, D, bias);
    if (maybe(g, 40)) {
        GTensor *t = define(g, new_name(g, "s"), G_REAL, scored, g->written);
        t->bound = 8;
        text_add(&g->body, " = %s\n", scores);
        scores = t->name;
    }
    const char *weight = format(g->c, "softmax[%s](%s%s%s)", J, scores, where, sink);
    if (maybe(g, 40)) {
        GTensor *t = define(g, new_name(g, "s"), G_REAL, weighed, g->written);
        text_add(&g->body, " = %s\n", weight);
        weight = t->name;
    }
    GTensor *t = define(g, new_name(g, "s"), G_REAL, free, g->written && set_size(free) > s->n_ambient);
    t->bound = 2;
    text_add(&g->body, " = sum[%s](%s * %s)\n", J, weight, v.text);
}

static const char *bool_text(Gen *g, Set scope) { return gen_bool(g, scope, 0).text; }

/* A state with two indices of its own that reads itself in a sum, and an int or bool one. */
static void delta_rule(Gen *g, const Signature *s)
{
    unsigned t = any_base(g, s), d = any_base(g, s), e = any_base(g, s);
    if (t == d || t == e || d == e || g->written) return;
    const char *T = g->index[t].name, *D = g->index[d].name, *S = new_name(g, "S");
    Set scope = (BIT(s->n_ambient) - 1) | BIT(t);
    g->work = 200;
    g->used = 0;
    Expr k = gen_real(g, scope | BIT(d), 0), v = gen_real(g, scope | BIT(e), 0), b = gen_real(g, scope, 1);
    Set set = g->used | BIT(t) | BIT(d) | BIT(e);
    if (set_size(set) > G_DIMS) return;
    bool down = maybe(g, 25);
    const char *before = format(g->c, "%s[%s %s 1]", S, T, down ? "+" : "-");
    if (maybe(g, 40)) text_add(&g->body, "    carry %s\n", S);
    text_add(&g->body,
             "    %s[%s] = 0.75 * (%s - 0.125 * sigmoid(%s) * tanh(%s) * sum[%s](tanh(%s) * %s)) + tanh(%s) "
             "* tanh(%s)",
             S, T, before, b.text, k.text, D, k.text, before, k.text, v.text);
    text_add(&g->body, set & BIT(d) && set & BIT(e) ? " * (1 + 0.0 * (%s + %s))\n" : "\n", D,
             g->index[e].name);
    unsigned dims[G_DIMS], hidden, n = list(g, set, dims, &hidden);
    GTensor *state = add_tensor(g, S, G_REAL, n, dims);
    state->n_hidden = hidden, state->bound = 8;
}

static void small_state(Gen *g, const Signature *s)
{
    unsigned t = any_base(g, s);
    Set scope = (BIT(s->n_ambient) - 1) | BIT(t);
    g->work = 50;
    g->used = 0;
    bool flag = maybe(g, 40), down = maybe(g, 25);
    const char *S = new_name(g, flag ? "f" : "k"), *T = g->index[t].name;
    const char *before = format(g->c, "%s[%s = %s %s 1]", S, T, T, down ? "+" : "-");
    Expr in = flag ? gen_bool(g, scope, 1) : gen_int(g, scope, 1);
    if (g->written) return;
    text_add(&g->body, flag ? "    %s = %s != %s or %s\n" : "    %s = (%s * 3 + %s) %% 11\n", S, before,
             in.text, flag ? bool_text(g, scope) : "");
    unsigned dims[G_DIMS], hidden, n = list(g, g->used | BIT(t), dims, &hidden);
    GTensor *state = add_tensor(g, S, flag ? G_BOOL : G_INT, n, dims);
    state->n_hidden = hidden, state->hi = 11;
}

/* ---- all ---- */

void equations(Gen *g, const Signature *s)
{
    unsigned n = g->small ? 1 : 1 + below(g, 4);
    for (unsigned k = 0; k < n; k++) {
        if (g->n_tensors > G_TENSORS - 6 || g->n_indices > G_INDICES - 4) return;
        unsigned kind = below(g, 19);
        if (kind < 5)
            plain_equation(g, s, G_REAL);
        else if (kind < 7)
            plain_equation(g, s, G_BOOL);
        else if (kind < 8)
            plain_equation(g, s, G_INT);
        else if (kind < 9)
            rank_equation(g, s);
        else if (kind < 11)
            selection(g, s);
        else if (kind < 14)
            attention(g, s);
        else if (kind < 15)
            delta_rule(g, s);
        else if (kind < 16)
            small_state(g, s);
        else
            recurrence(g, s);
    }
}
