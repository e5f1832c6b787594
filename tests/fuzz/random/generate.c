/* Whole patterns: signature, declarations, equations, recurrences. */
#include "generate_internal.h"

#include <string.h>

uint64_t random_bits(Random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

unsigned random_below(Random *r, unsigned n) { return (unsigned)(random_bits(r) >> 33) % n; }
bool chance(Random *r, unsigned percent) { return random_below(r, 100) < percent; }

const char *new_name(Gen *g, const char *stem) { return format(g->c, "%s%u", stem, g->n_names++); }

unsigned add_index(Gen *g, const char *name, GKind kind, unsigned extent)
{
    g->index[g->n_indices] = (GIndex){.name = name, .kind = kind, .extent = extent, .root = g->n_indices};
    return g->n_indices++;
}

GTensor *add_tensor(Gen *g, const char *name, GType type, unsigned n_dims, const unsigned *dims)
{
    if (g->n_tensors == G_TENSORS) return &g->tensor[G_TENSORS - 1];
    GTensor *t = &g->tensor[g->n_tensors++];
    *t = (GTensor){.name = name, .type = type, .n_dims = n_dims, .range_of = -1, .bound = 1};
    for (unsigned k = 0; k < n_dims; k++) t->dims[k] = dims[k];
    return t;
}

/* --- signature --- */

typedef struct Signature {
    unsigned n_ambient, n_base, n_inputs, n_bound; /* the first n_inputs tensors are inputs, the rest captures */
    unsigned output_dims[2][3], n_output_dims[2], n_outputs;
    bool output_int[2];
    const char *output_name[2];
    Set seen;              /* base indices of inputs */
    Text over, with, example;
    Text inputs_text, extents; /* over without outputs */
} Signature;

/* A pattern of the same file, called by the one that is generated: they share inputs and captures. */
typedef struct Callee { const char *name; const Signature *signature; GParam param[G_PARAMS]; unsigned n_params; } Callee;

static void ambient_and_base(Gen *g, Signature *s)
{
    static const char *const ambient[] = {"b", "h"}, *const base[] = {"i", "j", "d", "e", "t", "x", "y"};
    s->n_ambient = below(g, 3);
    for (unsigned k = 0; k < s->n_ambient; k++) {
        unsigned index = add_index(g, ambient[k], G_BASE, 1 + below(g, 2));
        g->index[index].ambient = true;
    }
    s->n_base = 2 + below(g, 3);
    unsigned first = below(g, 7);
    for (unsigned k = 0; k < s->n_base; k++) add_index(g, base[(first + k) % 7], G_BASE, below(g, 12) ? 1 + below(g, 6) : 0);
}

/* Every index has to occur in a tensor: the last input takes those that do not. */
static void sizes(Gen *g, const Signature *s, Text *out)
{
    for (unsigned k = 0; k < g->n_indices; k++)
        if (k < s->n_ambient || s->seen & BIT(k))
            text_add(out, "%s%s = %u", out->n ? ", " : "", g->index[k].name, g->index[k].extent);
}

static bool has(const unsigned *dims, unsigned n, unsigned index)
{
    for (unsigned k = 0; k < n; k++)
        if (dims[k] == index) return true;
    return false;
}

static unsigned any_base(Gen *g, const Signature *s) { return s->n_ambient + below(g, s->n_base); }

/* Up to `most` different base indices, in random order. */
static unsigned some_base(Gen *g, const Signature *s, unsigned most, unsigned *dims)
{
    unsigned n = 1 + below(g, most), count = 0;
    for (unsigned tries = 0; tries < 12 && count < n; tries++) {
        unsigned k = any_base(g, s);
        if (!has(dims, count, k)) dims[count++] = k;
    }
    return count;
}

static void written_dims(Gen *g, Text *out, const char *name, unsigned n, const unsigned *dims)
{
    text_add(out, "%s", name);
    for (unsigned k = 0; k < n; k++) text_add(out, "%s%s", k ? ", " : "[", g->index[dims[k]].name);
    if (n) text_add(out, "]");
}

static GTensor *with_ambient(Gen *g, const Signature *s, const char *name, unsigned n, const unsigned *dims)
{
    unsigned all[G_DIMS + 2], count = 0;
    for (unsigned k = 0; k < s->n_ambient; k++) all[count++] = k;
    for (unsigned k = 0; k < n; k++) all[count++] = dims[k];
    GTensor *t = add_tensor(g, name, G_REAL, count, all);
    t->n_hidden = s->n_ambient;
    t->positional = true;
    return t;
}

static void float_inputs(Gen *g, Signature *s)
{
    static const char *const types[] = {"f64", "f32", "f16", "bf16"};
    unsigned n = 2 + below(g, 3);
    for (unsigned k = 0; k < n; k++) {
        unsigned dims[4], n_dims = some_base(g, s, 3, dims);
        for (unsigned d = s->n_ambient; k == n - 1 && d < s->n_ambient + s->n_base && n_dims < 4; d++)
            if (!(s->seen & BIT(d)) && !has(dims, n_dims, d)) dims[n_dims++] = d;
        for (unsigned d = 0; d < n_dims; d++) s->seen |= BIT(dims[d]);
        GTensor *t = with_ambient(g, s, new_name(g, "q"), n_dims, dims);
        t->input = true;
        if (k) text_add(&s->over, ", ");
        const char *type = maybe(g, 4) ? format(g->c, ": %s", types[below(g, 4)]) : "";
        written_dims(g, &s->over, format(g->c, "%s%s", t->name, type), n_dims, dims);
        text_add(&s->example, ", %s = uniform(-1, 1)", t->name);
    }
}

/* Captured: any dims, explicit. */
static void capture(Gen *g, Signature *s, bool first)
{
    unsigned dims[G_DIMS], n = below(g, 6) ? some_base(g, s, 2, dims) : 0;
    if (s->n_ambient && maybe(g, 40)) {
        for (unsigned k = n; k > 0; k--) dims[k] = dims[k - 1];
        dims[0] = below(g, s->n_ambient);
        n++;
    }
    GTensor *t = add_tensor(g, new_name(g, "w"), G_REAL, n, dims);
    t->positional = true;
    text_add(&s->with, first ? "    with " : ", ");
    const char *left = t->name;
    switch (below(g, 4)) {
    case 0: {
        unsigned to = s->n_ambient + below(g, s->n_base);
        t->type = G_INT, t->range_of = (int)to, t->hi = (int)g->index[to].extent;
        text_add(&s->with, "%s: int", left);
        written_dims(g, &s->with, "", n, dims);
        text_add(&s->with, " in 0..size(%s)", g->index[to].name);
        break;
    }
    case 1:
        t->type = G_INT, t->lo = -2, t->hi = 5;
        text_add(&s->with, "%s: int", left);
        written_dims(g, &s->with, "", n, dims);
        if (maybe(g, 60)) text_add(&s->with, " in -2..6");
        else text_add(&s->example, ", %s = integers(-2, 5)", left);
        break;
    case 2:
        t->type = G_BOOL;
        text_add(&s->with, "%s: bool", left);
        written_dims(g, &s->with, "", n, dims);
        break;
    default:
        t->input = true;
        written_dims(g, &s->with, left, n, dims);
        text_add(&s->example, ", %s = uniform(-1, 1)", left);
    }
}

static void outputs(Gen *g, Signature *s)
{
    s->n_outputs = 1 + below(g, 2);
    for (unsigned k = 0; k < s->n_outputs; k++) {
        s->n_output_dims[k] = some_base(g, s, 3, s->output_dims[k]);
        s->output_name[k] = new_name(g, "o");
        text_add(&s->over, k ? ", " : " -> ");
        s->output_int[k] = maybe(g, 15);
        if (s->output_int[k]) {
            text_add(&s->over, "%s: int", s->output_name[k]);
            written_dims(g, &s->over, "", s->n_output_dims[k], s->output_dims[k]);
        } else written_dims(g, &s->over, s->output_name[k], s->n_output_dims[k], s->output_dims[k]);
    }
}

static void params(Gen *g, Text *out)
{
    if (maybe(g, 50)) g->param[g->n_params++] = (GParam){new_name(g, "n"), G_INT, (int)below(g, 4)};
    if (maybe(g, 40)) g->param[g->n_params++] = (GParam){new_name(g, "a"), G_REAL, 0};
    if (maybe(g, 30)) g->param[g->n_params++] = (GParam){new_name(g, "f"), G_BOOL, (int)below(g, 2)};
    for (unsigned k = 0; k < g->n_params; k++) {
        GParam *p = &g->param[k];
        if (k) text_add(out, ", ");
        if (p->type == G_INT) text_add(out, "%s: int = %d", p->name, p->value);
        else if (p->type == G_REAL) text_add(out, "%s: float = 0.6%u", p->name, below(g, 100));
        else text_add(out, "%s: bool = %s", p->name, p->value ? "true" : "false");
    }
}

/* --- declarations --- */

static void declare_block(Gen *g, unsigned j)
{
    unsigned n = 1 + below(g, 3), extent = g->index[j].extent;
    bool by = maybe(g, 60);
    unsigned c = add_index(g, new_name(g, "c"), G_BLOCK, by ? (extent + n - 1) / n : n);
    g->index[c].of[0] = j;
    g->index[c].origin = by && g->index[j].origin;
    text_add(&g->body, "    block %s of %s %s %u\n", g->index[c].name, g->index[j].name, by ? "by" : "into", n);
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
    if (maybe(g, 60)) text_add(&g->body, "    index %s from size(%s) - size(%s)\n", name, other, name);
    else text_add(&g->body, "    index %s from %u\n", name, below(g, 4));
    g->index[i].origin = true;
}

static void declare(Gen *g, const Signature *s)
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
        if (g->index[g->n_indices - 1].kind == G_BLOCK && maybe(g, 40)) declare_block(g, g->n_indices - 1);
        else declare_block(g, k);
        break;
    case 3: declare_parts(g, s, false); break;
    case 4: declare_parts(g, s, true); break;
    case 5: declare_origin(g, s); break;
    default: {
        unsigned n = 1 + below(g, 3), r = add_index(g, new_name(g, "r"), G_EXTENT, n);
        if (maybe(g, 60)) text_add(&g->body, "    index %s: %u\n", g->index[r].name, n);
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
static GTensor *define(Gen *g, const char *name, GType type, Set set, bool full)
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
    Expr e = type == G_REAL ? gen_real(g, scope, 3) : type == G_INT ? gen_int(g, scope, 3) : gen_bool(g, scope, 3);
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
    } else text_add(&g->body, " = %s\n", e.text);
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
            for (unsigned i = 0; i < v->n_dims; i++) if (i != d) set |= BIT(v->dims[i]);
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
    Expr input = gen_real(g, inner, 2), gate = form && maybe(g, 50) ? gen_real(g, inner, 1) : (Expr){"", -1, 1};
    Set rest = g->used & ~BIT(t), set = rest | BIT(t);
    if (set_size(set) > G_DIMS) return;
    const char *S = new_name(g, "S"), *x = g->index[t].name;
    bool down = maybe(g, 25), two = maybe(g, 25), start = maybe(g, 40), carry = !two && maybe(g, 30);
    const char *sign = down ? "+" : "-", *decay = *gate.text ? format(g->c, "0.75 * sigmoid(%s)", gate.text) : "0.625";
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
        "%2$s <= %1$s", "0 <= %1$s - %2$s < 3", "abs(%1$s - %2$s) <= 2", "(%1$s - %2$s) %% 2 == 0",
        "0 <= %1$s - %2$s < 6 and (%1$s - %2$s) %% 3 == 0", "%1$s // 3 == %2$s // 3", "%2$s < 2 or %2$s >= %1$s - 1",
        "%2$s <= %1$s + 2 and %2$s != %1$s", "%1$s // 2 - %2$s // 2 < 3",
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
            if (at[0] == '%' && at[1] == '%') at++, text_add(&text, "%%");
            else if (at[0] == '%') text_add(&text, "%s", g->index[at[1] == '1' ? q : key].name), at += 3;
            else text_add(&text, "%c", *at);
        }
        text_add(&text, ")");
        return text.at;
    }
    return "true";
}

/* sum[j](softmax[j](scores where mask) * v), over one or two key indices: from the tensors at hand, in full or by equations of its own. */
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
    Expr q = gen_real(g, bind_index(g, scope, d), 0), k = gen_real(g, deep & ~(scope >> s->n_ambient << s->n_ambient), 0);
    const char *bias = maybe(g, 40) ? format(g->c, " + %s", gen_real(g, inner, 1).text) : "";
    Set scored = g->used & ~BIT(d);
    bool masked = maybe(g, 70);
    Expr mask = {"true", 0, 1};
    if (masked && maybe(g, 35)) mask = gen_bool(g, inner, 2);
    else if (masked) mask.text = placed_mask(g, scope, j);
    if (masked && two) mask.text = format(g->c, "(%s and %s)", mask.text, placed_mask(g, scope, second));
    if (masked) g->used |= keys; /* near enough: masks mention their keys */
    Set weighed = (g->used & ~BIT(d)) | keys;
    Expr v = gen_real(g, inner, maybe(g, 70) ? 0 : 2);
    Set free = g->used & ~(keys | BIT(d));
    if (set_size(g->used | keys) > G_DIMS) return;
    const char *J = two ? format(g->c, "%s, %s", g->index[j].name, g->index[second].name) : g->index[j].name, *D = g->index[d].name;
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
    text_add(&g->body, "    %s[%s] = 0.75 * (%s - 0.125 * sigmoid(%s) * tanh(%s) * sum[%s](tanh(%s) * %s)) + tanh(%s) * tanh(%s)", S,
             T, before, b.text, k.text, D, k.text, before, k.text, v.text);
    text_add(&g->body, set & BIT(d) && set & BIT(e) ? " * (1 + 0.0 * (%s + %s))\n" : "\n", D, g->index[e].name);
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
    text_add(&g->body, flag ? "    %s = %s != %s or %s\n" : "    %s = (%s * 3 + %s) %% 11\n", S, before, in.text,
             flag ? bool_text(g, scope) : "");
    unsigned dims[G_DIMS], hidden, n = list(g, g->used | BIT(t), dims, &hidden);
    GTensor *state = add_tensor(g, S, flag ? G_BOOL : G_INT, n, dims);
    state->n_hidden = hidden, state->hi = 11;
}

/* --- patterns --- */

static void equations(Gen *g, const Signature *s)
{
    unsigned n = 1 + below(g, 4);
    for (unsigned k = 0; k < n; k++) {
        if (g->n_tensors > G_TENSORS - 6 || g->n_indices > G_INDICES - 4) return;
        unsigned kind = below(g, 19);
        if (kind < 5) plain_equation(g, s, G_REAL);
        else if (kind < 7) plain_equation(g, s, G_BOOL);
        else if (kind < 8) plain_equation(g, s, G_INT);
        else if (kind < 9) rank_equation(g, s);
        else if (kind < 11) selection(g, s);
        else if (kind < 14) attention(g, s);
        else if (kind < 15) delta_rule(g, s);
        else if (kind < 16) small_state(g, s);
        else recurrence(g, s);
    }
}

static void output_equations(Gen *g, const Signature *s)
{
    for (unsigned k = 0; k < s->n_outputs; k++) {
        Set scope = BIT(s->n_ambient) - 1;
        g->work = 1;
        for (unsigned d = 0; d < s->n_output_dims[k]; d++) scope |= BIT(s->output_dims[k][d]);
        for (unsigned d = 0; d < g->n_indices; d++) g->work *= scope & BIT(d) && g->index[d].extent ? g->index[d].extent : 1;
        Expr e = s->output_int[k] ? gen_int(g, scope, 3) : gen_real(g, scope, 4);
        text_add(&g->body, "    %s = %s\n", s->output_name[k], e.text);
    }
}

/* Inputs and captures. */
static Signature *signature(Gen *g)
{
    Signature *s = NEW(g->c, Signature);
    s->over.c = s->with.c = s->example.c = s->inputs_text.c = s->extents.c = g->c;
    text_add(&s->with, "%s", "");
    ambient_and_base(g, s);
    float_inputs(g, s);
    s->n_inputs = g->n_tensors;
    sizes(g, s, &s->extents);
    unsigned captures = below(g, 4);
    for (unsigned k = 0; k < captures; k++) capture(g, s, !k);
    s->n_bound = g->n_tensors;
    text_add(&s->inputs_text, "%s", s->over.at);
    return s;
}

/* An argument: the tensor itself, or an equation of the same dimensions; `from` may run as `to`. */
static const char *argument(Gen *g, const Signature *s, const GTensor *t, int from, int to)
{
    unsigned hidden = t->n_hidden, n = t->n_dims - hidden;
    bool renamed = false;
    for (unsigned d = 0; d < t->n_dims; d++) renamed |= (int)t->dims[d] == from;
    if (renamed && to >= 0) return format(g->c, "%s[%s = %s]", t->name, g->index[from].name, g->index[to].name);
    if (t->type != G_REAL || !n || !maybe(g, 40)) return t->name;
    Set scope = BIT(s->n_ambient) - 1;
    for (unsigned d = hidden; d < t->n_dims; d++) scope |= BIT(t->dims[d]);
    for (unsigned d = hidden; d < t->n_dims; d++)
        if (g->index[t->dims[d]].ambient) return t->name;
    g->used = 0;
    g->work = 100;
    Expr e = gen_real(g, scope, 1);
    const char *name = new_name(g, "z");
    text_add(&g->body, "    ");
    written_dims(g, &g->body, name, n, t->dims + hidden);
    text_add(&g->body, " = %s\n", e.text);
    return name;
}

static void call(Gen *g, const Signature *s, const Callee *callee)
{
    const Signature *o = callee->signature;
    int from = -1, to = -1;
    for (unsigned k = 0; k < g->n_indices; k++)
        if (g->index[k].kind == G_LIKE && maybe(g, 60)) from = (int)g->index[k].of[0], to = (int)k;
    for (unsigned k = 0; k < s->n_bound; k++) /* a range or an origin belongs to an index */
        if (from >= 0 && (g->tensor[k].range_of == from || g->index[from].origin)) from = to = -1;
    Text text = {.c = g->c};
    text_add(&text, "%s(", callee->name);
    for (unsigned k = 0; k < s->n_bound; k++) {
        const GTensor t = g->tensor[k];
        const char *a = argument(g, s, &t, from, to);
        if (k < s->n_inputs) text_add(&text, "%s%s", k ? ", " : "", a);
        else text_add(&text, ", %s = %s", t.name, a);
    }
    for (unsigned k = 0; k < callee->n_params; k++)
        if (callee->param[k].type == G_INT && maybe(g, 50)) text_add(&text, ", %s = %u", callee->param[k].name, below(g, 4));
    text_add(&text, ")");
    unsigned which = below(g, o->n_outputs);
    Set set = BIT(s->n_ambient) - 1;
    for (unsigned d = 0; d < o->n_output_dims[which]; d++)
        set |= (int)o->output_dims[which][d] == from ? BIT(to) : BIT(o->output_dims[which][d]);
    GTensor *t = define(g, new_name(g, "s"), o->output_int[which] ? G_INT : G_REAL, set, g->written || maybe(g, 30));
    t->bound = 16, t->lo = -100, t->hi = 100;
    text_add(&g->body, " = %s%s%s\n", text.at, o->n_outputs > 1 ? "." : "", o->n_outputs > 1 ? o->output_name[which] : "");
}

static const char *pattern(Gen *g, const char *name, Signature *s, const Callee *callee)
{
    Text parameters = {.c = g->c}, out = {.c = g->c};
    text_add(&parameters, "%s", "");
    params(g, &parameters);
    s->over.n = 0;
    text_add(&s->over, "%s", s->inputs_text.at);
    outputs(g, s);
    unsigned declarations = below(g, 4);
    for (unsigned k = 0; k < declarations; k++) declare(g, s);
    if (callee) call(g, s, callee);
    equations(g, s);
    output_equations(g, s);
    text_add(&out, "pattern %s(%s)\n    ", name, parameters.at);
    if (s->n_ambient) text_add(&out, "over %s: ", s->n_ambient == 1 ? "b" : "b, h");
    text_add(&out, "%s\n%s%s    example %s%s\n{\n%s}\n", s->over.at, s->with.at, *s->with.at ? "\n" : "",
             s->extents.at, s->example.at, g->body.at);
    return out.at;
}

static void functions(Gen *g, Text *out)
{
    g->has_fn = maybe(g, 30), g->has_mask = maybe(g, 40);
    text_add(out, "%s", "");
    if (g->has_fn) text_add(out, "fn cap%u(x, c) = c * tanh(x / c)\n", g->number);
    if (g->has_mask && maybe(g, 50)) text_add(out, "mask mine%u(i, j) = 0 <= i - j < 3 or j == 0\n", g->number);
    else if (g->has_mask)
        text_add(out, "mask mine%u(i, j) {\n    far = abs(i - j)\n    half = (i + j) // 2\n"
                      "    far %% 2 == 0 or half < 2\n}\n", g->number);
}

RandomProgram random_program(Compilation *c, uint64_t seed, unsigned number, bool smooth)
{
    Gen *g = NEW(c, Gen);
    *g = (Gen){.c = c, .r = {seed * 0x9e3779b97f4a7c15u + number}, .number = number, .smooth = smooth, .work = 1};
    g->body.c = c;
    text_add(&g->body, "%s", "");
    random_bits(&g->r);
    Text text = {.c = c};
    functions(g, &text);
    const char *name = format(c, "p%u", number);
    Signature *s = signature(g);
    if (maybe(g, 25)) {
        Gen *inner = NEW(c, Gen);
        Signature *of = NEW(c, Signature);
        Callee callee = {format(c, "callee%u", number), of, {{0}}, 0};
        *inner = *g, *of = *s;
        of->over = (Text){.c = c};
        text_add(&text, "%s", pattern(inner, callee.name, of, NULL));
        callee.n_params = inner->n_params;
        memcpy(callee.param, inner->param, sizeof callee.param);
        g->r = inner->r, g->n_names = inner->n_names;
        g->std_masks = inner->std_masks, g->std_math = inner->std_math;
        text_add(&text, "%s", pattern(g, name, s, &callee));
    } else text_add(&text, "%s", pattern(g, name, s, NULL));
    const char *uses = format(c, "%s%s", g->std_masks ? "use \"std/masks.attn\"\n" : "",
                              g->std_math ? "use \"std/functions.attn\"\n" : "");
    return (RandomProgram){uses, text.at, name};
}
