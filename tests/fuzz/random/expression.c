/* Expressions without binders: scalars, reads, functions. */
#include "generate_internal.h"

static Expr real(const char *text, double bound) { return (Expr){text, -bound, bound}; }
static double magnitude(Expr e) { return -e.lo > e.hi ? -e.lo : e.hi; }

/* --- reads --- */

int pick_tensor(Gen *g, GType type)
{
    for (int tries = 0; g->n_tensors && tries < 12; tries++) {
        bool recent = g->n_tensors > 5 && maybe(g, 50);
        unsigned k = recent ? g->n_tensors - 1 - below(g, 5) : below(g, g->n_tensors);
        if (g->tensor[k].type == type) return (int)k;
    }
    return -1;
}

/* A position of `index` written so that the checker can prove it. */
Expr gen_position(Gen *g, Set scope, unsigned index, unsigned depth)
{
    const GIndex *d = &g->index[index];
    double hi = d->extent ? d->extent - 1.0 : 0;
    Expr range = {NULL, d->origin ? -8 : 0, d->origin ? 12 : hi};
    const char *lo = d->origin ? format(g->c, "first(%s)", d->name) : "0";
    const char *last =
        d->origin || maybe(g, 30) ? format(g->c, "last(%s)", d->name) : format(g->c, "size(%s) - 1", d->name);
    for (unsigned k = 0; k < g->n_indices; k++) {
        const GIndex *x = &g->index[k];
        if (!visible(g, scope, k)) continue;
        bool same = x->root == d->root, block = d->kind == G_BLOCK && g->index[d->of[0]].root == x->root;
        if ((!same && !block) || !maybe(g, 60)) continue;
        use_index(g, scope, k);
        range.text = same ? x->name : format(g->c, "%s(%s)", d->name, x->name);
        return range;
    }
    for (unsigned k = 0; k < g->n_tensors; k++)
        if (g->tensor[k].range_of == (int)d->root && !g->tensor[k].or_none && maybe(g, 40)) {
            range.text = gen_read(g, scope, &g->tensor[k], depth).text;
            return range;
        }
    Expr e = gen_int(g, scope, depth ? depth - 1 : 0);
    unsigned way = below(g, 4);
    if (way == 0 && !d->origin)
        range.text = format(g->c, "%s %% size(%s)", e.text, d->name);
    else if (way == 1 && e.lo >= 0 && !d->origin)
        range.text = format(g->c, "min(%s, %s)", e.text, last);
    else if (way == 2)
        range.text = format(g->c, "max(min(%s, %s), %s)", e.text, last, lo);
    else
        range.text = format(g->c, "clamp(%s, %s, %s)", e.text, lo, last);
    return range;
}

static const char *positional(Gen *g, const GTensor *t, const char *const *subscripts)
{
    Text text = {.c = g->c};
    text_add(&text, "%s[", t->name);
    for (unsigned k = t->n_hidden; k < t->n_dims; k++)
        text_add(&text, "%s%s", k > t->n_hidden ? ", " : "",
                 subscripts[k] ? subscripts[k] : g->index[t->dims[k]].name);
    text_add(&text, "]");
    return text.at;
}

static const char *named(Gen *g, const GTensor *t, const char *const *subscripts)
{
    Text text = {.c = g->c};
    bool any = false;
    text_add(&text, "%s", t->name);
    for (unsigned k = 0; k < t->n_dims; k++) {
        if (!subscripts[k]) continue;
        text_add(&text, "%s%s = %s", any ? ", " : "[", g->index[t->dims[k]].name, subscripts[k]);
        any = true;
    }
    text_add(&text, any ? "]" : "");
    return text.at;
}

static const char *read_text(Gen *g, const GTensor *t, const char *const *subscripts)
{
    bool hidden = false;
    for (unsigned k = 0; k < t->n_hidden; k++) hidden |= subscripts[k] != NULL;
    bool by_position = t->positional && !hidden && t->n_dims > t->n_hidden && maybe(g, 40);
    return by_position ? positional(g, t, subscripts) : named(g, t, subscripts);
}

/* `t` at places that exist, whatever is in scope. */
Expr gen_read(Gen *g, Set scope, const GTensor *t, unsigned depth)
{
    const char *subscripts[G_DIMS] = {0};
    for (unsigned k = 0; k < t->n_dims; k++) {
        if (visible(g, scope, t->dims[k]) && !(depth && maybe(g, 12)))
            use_index(g, scope, t->dims[k]);
        else
            subscripts[k] = gen_position(g, scope, t->dims[k], depth).text;
    }
    const char *text = read_text(g, t, subscripts);
    return t->type == G_REAL ? real(text, t->bound) : (Expr){text, t->lo, t->hi};
}

/* A read that may be out of range, with what it is read at; false: nothing fits. */
static bool gen_risky(Gen *g, Set scope, unsigned depth, const char **read, const char **at, unsigned *index)
{
    int k = pick_tensor(g, G_REAL);
    if (k < 0 || !g->tensor[k].n_dims) return false;
    const GTensor *t = &g->tensor[k];
    unsigned which = below(g, t->n_dims);
    const char *subscripts[G_DIMS] = {0};
    *index = t->dims[which];
    if (g->index[*index].origin) return false;
    for (unsigned d = 0; d < t->n_dims; d++) {
        if (d == which)
            *at = subscripts[d] = gen_int(g, scope, depth ? depth - 1 : 0).text;
        else if (visible(g, scope, t->dims[d]))
            use_index(g, scope, t->dims[d]);
        else
            subscripts[d] = gen_position(g, scope, t->dims[d], 0).text;
    }
    *read = read_text(g, t, subscripts);
    return true;
}

Expr gen_pad(Gen *g, Set scope, unsigned depth)
{
    const char *read, *at;
    unsigned index;
    if (!gen_risky(g, scope, depth, &read, &at, &index)) return gen_real(g, scope, 0);
    Expr other = gen_real(g, scope, 0);
    const char *inside = maybe(g, 30) ? format(g->c, "%s * %s", read, gen_real(g, scope, 0).text) : read;
    return real(format(g->c, "pad(%s, %s)", inside, other.text), 4);
}

Expr gen_guarded(Gen *g, Set scope, unsigned depth)
{
    const char *read, *at;
    unsigned index;
    if (!gen_risky(g, scope, depth, &read, &at, &index)) return gen_real(g, scope, 0);
    const char *name = g->index[index].name;
    const char *other = gen_real(g, scope, 0).text;
    const char *inside = maybe(g, 40) ? format(g->c, "%s * %s", read, gen_real(g, scope, 0).text) : read;
    switch (below(g, 3)) {
    case 0: return real(format(g->c, "(if 0 <= %s < size(%s) then %s else %s)", at, name, inside, other), 4);
    case 1:
        return real(
            format(g->c, "(if %s < 0 or %s >= size(%s) then %s else %s)", at, at, name, other, inside), 4);
    default:
        return real(
            format(g->c, "(if 0 <= %s and %s < size(%s) then %s else %s)", at, at, name, inside, other), 4);
    }
}

/* --- ints --- */

static Expr int_leaf(Gen *g, Set scope)
{
    unsigned k = below(g, g->n_indices);
    switch (below(g, 6)) {
    case 0: {
        int value = (int)below(g, 6) - 1;
        return (Expr){format(g->c, value < 0 ? "(%d)" : "%d", value), value, value};
    }
    case 1: return (Expr){format(g->c, "size(%s)", g->index[k].name), 0, g->index[k].extent};
    case 2:
        if (!g->n_params) break;
        k = below(g, g->n_params);
        if (g->param[k].type == G_INT) return (Expr){g->param[k].name, g->param[k].value, g->param[k].value};
        break;
    case 3:
        k = (unsigned)pick_tensor(g, G_INT);
        if (k < g->n_tensors) return gen_read(g, scope, &g->tensor[k], 0);
        break;
    default: break;
    }
    if (maybe(g, 6)) {
        const GIndex *x = &g->index[below(g, g->n_indices)];
        return (Expr){format(g->c, "%s(%s)", maybe(g, 50) ? "first" : "last", x->name), -8, 12};
    }
    for (unsigned tries = 0; tries < 8; tries++) {
        k = below(g, g->n_indices);
        if (!visible(g, scope, k)) continue;
        use_index(g, scope, k);
        const GIndex *x = &g->index[k];
        return (Expr){x->name, x->origin ? -8 : 0, x->origin ? 12 : x->extent};
    }
    return (Expr){"1", 1, 1};
}

static Expr int_binary(Gen *g, Set scope, unsigned depth)
{
    static const char *const ops[] = {"+", "-", "*", "//", "%", "&", "|", "^", "min", "max", "<<", ">>"};
    unsigned op = below(g, 12), by = 1 + below(g, 4);
    Expr a = gen_int(g, scope, depth - 1), b = {format(g->c, "%u", by), by, by};
    if (op < 3 || (op > 4 && op < 10) || maybe(g, 30)) b = gen_int(g, scope, depth - 1);
    double m = magnitude(a) + 1, n = magnitude(b) + 1;
    double bound = op == 2 ? m * n : op == 10 ? m * 16 : m + n;
    Expr e = {NULL, -bound, bound};
    if (a.lo >= 0 && b.lo >= 0 && op != 1) e.lo = 0;
    if (op == 8 || op == 9)
        e.text = format(g->c, "%s(%s, %s)", ops[op], a.text, b.text);
    else
        e.text = format(g->c, "(%s %s %s)", a.text, ops[op], b.text);
    if (bound < 200) return e;
    return (Expr){format(g->c, "(%s %% 7)", e.text), 0, 7};
}

Expr gen_int(Gen *g, Set scope, unsigned depth)
{
    if (!depth) return int_leaf(g, scope);
    switch (below(g, 12)) {
    case 0: {
        Expr e = gen_int(g, scope, depth - 1);
        return (Expr){format(g->c, "abs(%s)", e.text), 0, magnitude(e)};
    }
    case 1: {
        Expr c = gen_bool(g, scope, depth - 1), a = gen_int(g, scope, depth - 1), b = int_leaf(g, scope);
        return (Expr){format(g->c, "(if %s then %s else %s)", c.text, a.text, b.text),
                      a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
    }
    case 2: return (Expr){format(g->c, "int(%s)", gen_bool(g, scope, depth - 1).text), 0, 1};
    case 3: {
        Expr e = gen_cut(g, scope, depth - 1);
        static const char *const f[] = {"int(%s * 3.0)", "int(floor(%s * 2.0))", "int(round(%s * 3.0))",
                                        "int(sign(%s))", "int(ceil(%s))"};
        return (Expr){format(g->c, f[below(g, 5)], e.text), -3 * magnitude(e) - 1, 3 * magnitude(e) + 1};
    }
    case 4: return (Expr){format(g->c, "popcount(%s)", gen_int(g, scope, depth - 1).text), 0, 64};
    case 5:
    case 6: return gen_count(g, scope, depth);
    case 7: return int_leaf(g, scope);
    default: return int_binary(g, scope, depth);
    }
}

/* --- bools --- */

static Expr boolean(const char *text) { return (Expr){text, 0, 1}; }

static Expr comparison(Gen *g, Set scope, unsigned depth)
{
    static const char *const ops[] = {"<=", "<", ">=", ">", "==", "!="};
    Expr a = gen_int(g, scope, depth), b = gen_int(g, scope, depth ? depth - 1 : 0);
    if (maybe(g, 25))
        return boolean(format(g->c, "(%s %s %s - %s %s %u)", int_leaf(g, scope).text, ops[below(g, 2)],
                              a.text, b.text, ops[below(g, 2)], below(g, 6)));
    return boolean(format(g->c, "(%s %s %s)", a.text, ops[below(g, 6)], b.text));
}

static Expr std_mask(Gen *g, Set scope, unsigned depth)
{
    static const char *const calls[] = {"causal(%s, %s)", "window(%s, %s, 3)", "dilated(%s, %s, 2, 2)",
                                        "band(%s, %s, 1)", "prefix(%s, %s, 2)"};
    Expr a = gen_int(g, scope, depth), b = gen_int(g, scope, 0);
    g->std_masks = true;
    if (maybe(g, 20))
        return boolean(format(g->c, "neighborhood(%s, %s, 6, 3, %u)", a.text, b.text, 1 + below(g, 2)));
    return boolean(format(g->c, calls[below(g, 5)], a.text, b.text));
}

static Expr bool_leaf(Gen *g, Set scope)
{
    int k = pick_tensor(g, G_BOOL);
    if (k >= 0 && maybe(g, 50)) return gen_read(g, scope, &g->tensor[k], 0);
    for (unsigned p = 0; p < g->n_params; p++)
        if (g->param[p].type == G_BOOL && maybe(g, 30)) return boolean(g->param[p].name);
    return comparison(g, scope, 0);
}

Expr gen_bool(Gen *g, Set scope, unsigned depth)
{
    if (!depth) return bool_leaf(g, scope);
    switch (below(g, 12)) {
    case 0: return boolean(format(g->c, "(not %s)", gen_bool(g, scope, depth - 1).text));
    case 1:
    case 2:
        return boolean(format(g->c, "(%s %s %s)", gen_bool(g, scope, depth - 1).text,
                              maybe(g, 50) ? "and" : "or", gen_bool(g, scope, depth - 1).text));
    case 3: return std_mask(g, scope, depth - 1);
    case 4: return gen_any(g, scope, depth);
    case 5: return gen_pick(g, scope, depth);
    case 6: {
        bool direct = maybe(g, 50);
        Expr a = direct ? gen_direct(g, scope) : gen_cut(g, scope, depth - 1);
        return boolean(format(g->c, "(%s %s %s)", a.text, maybe(g, 50) ? "<" : ">=",
                              direct && maybe(g, 50) ? gen_direct(g, scope).text : "0.125"));
    }
    case 7:
        if (g->has_mask)
            return boolean(format(g->c, "mine%u(%s, %s)", g->number, gen_int(g, scope, depth - 1).text,
                                  int_leaf(g, scope).text));
        return bool_leaf(g, scope);
    case 8: return bool_leaf(g, scope);
    case 9:
        return boolean(format(g->c, "(%s %s %s)", bool_leaf(g, scope).text,
                              maybe(g, 50) ? "==" : "!=", bool_leaf(g, scope).text));
    default: return comparison(g, scope, depth - 1);
    }
}

/* --- reals --- */

Expr gen_direct(Gen *g, Set scope)
{
    for (unsigned tries = 0; tries < 12; tries++) {
        unsigned k = below(g, g->n_tensors);
        const GTensor *t = &g->tensor[k];
        if (t->input && t->type == G_REAL) return gen_read(g, scope, t, 0);
    }
    return real("0.375", 1);
}

Expr gen_cut(Gen *g, Set scope, unsigned depth)
{
    if (g->smooth || maybe(g, 50)) return gen_direct(g, scope);
    Expr e = gen_real(g, scope, depth); /* at an odd place, where computed numbers do not meet */
    return real(format(g->c, "(%s * 1.0%u + 0.01%u)", e.text, 137 + below(g, 800), 137 + below(g, 800)),
                1.1 * magnitude(e) + 0.02);
}

static Expr real_leaf(Gen *g, Set scope)
{
    if (maybe(g, 8)) return real(format(g->c, "%u.%u", below(g, 3), below(g, 100)), 3);
    if (maybe(g, 2)) return real(maybe(g, 50) ? "inf" : "(-inf)", 1);
    if (maybe(g, 2)) return real("pi", 3.2);
    if (maybe(g, 6)) {
        Expr e = int_leaf(g, scope);
        return real(format(g->c, "float(%s)", e.text), magnitude(e));
    }
    for (unsigned p = 0; p < g->n_params; p++)
        if (g->param[p].type == G_REAL && maybe(g, 10)) return real(g->param[p].name, 2);
    int k = pick_tensor(g, G_REAL);
    return k < 0 ? real("0.75", 1) : gen_read(g, scope, &g->tensor[k], 1);
}

/* Keeps what follows well conditioned. */
static Expr tame(Gen *g, Expr e, double most)
{
    if (magnitude(e) <= most) return e;
    if (maybe(g, 50)) return real(format(g->c, "tanh(%s * 0.125)", e.text), 1);
    return real(format(g->c, "(%s / %.1f)", e.text, magnitude(e) / most * 2), most);
}

static Expr function(Gen *g, Set scope, unsigned depth)
{
    static const struct {
        const char *text;
        double bound;
    } f[] = {
        {"tanh(%s)", 1},
        {"sigmoid(%s)", 1},
        {"relu(%s)", 4},
        {"elu(%s)", 4},
        {"gelu(%s)", 4},
        {"silu(%s)", 4},
        {"softplus(%s)", 5},
        {"sin(%s)", 1},
        {"cos(%s)", 1},
        {"atan(%s)", 2},
        {"erf(%s)", 1},
        {"exp(-abs(%s))", 1},
        {"exp(min(%s, 1.5))", 5},
        {"exp2(%s * 0.5)", 4},
        {"expm1(%s * 0.5)", 8},
        {"sqrt(abs(%s) + 0.5)", 3},
        {"rsqrt(abs(%s) + 0.5)", 2},
        {"log(abs(%s) + 0.5)", 2},
        {"log2(abs(%s) + 0.5)", 3},
        {"log1p(abs(%s))", 2},
        {"abs(%s)", 4},
        {"(%s ** 2)", 16},
        {"((abs(%s) + 0.5) ** 1.5)", 12},
        {"pow(abs(%s) + 0.5, 0.75)", 4},
        {"(-%s)", 4},
        {"stop(%s)", 4},
        {"clamp(%s, -1.0, 0.75)", 1},
        {"float(%s)", 4},
        {"(0.5 ** %s)", 16},
        {"(%s ** 3)", 64},
    };
    Expr a = tame(g, gen_real(g, scope, depth - 1), 4);
    unsigned k = below(g, sizeof f / sizeof *f);
    return real(format(g->c, f[k].text, a.text), f[k].bound);
}

static Expr binary(Gen *g, Set scope, unsigned depth)
{
    Expr a = gen_real(g, scope, depth - 1), b = tame(g, gen_real(g, scope, depth - 1), 16);
    double m = magnitude(a), n = magnitude(b);
    switch (below(g, 9)) {
    case 0:
    case 1: return real(format(g->c, "(%s + %s)", a.text, b.text), m + n);
    case 2: return real(format(g->c, "(%s - %s)", a.text, b.text), m + n);
    case 3:
        return real(format(g->c, "%s(%s, %s)", maybe(g, 50) ? "min" : "max", a.text, b.text), m > n ? m : n);
    case 4: return real(format(g->c, "(%s / (abs(%s) + 0.5))", a.text, b.text), 2 * m);
    default: return tame(g, real(format(g->c, "(%s * %s)", a.text, b.text), m * n), 16);
    }
}

static Expr choice(Gen *g, Set scope, unsigned depth)
{
    Expr c = gen_bool(g, scope, depth - 1), a = gen_real(g, scope, depth - 1), b = real_leaf(g, scope);
    double m = magnitude(a), n = magnitude(b);
    return real(format(g->c, "(if %s then %s else %s)", c.text, a.text, b.text), m > n ? m : n);
}

/* A vector, scaled along an index of its own. */
static Expr scaled(Gen *g, Set scope)
{
    int d = pick_index(g, scope), k = pick_tensor(g, G_REAL);
    if (d < 0 || k < 0) return real_leaf(g, scope);
    Set inner = bind_index(g, scope, (unsigned)d), used = g->used;
    if ((inner & scope) != scope) return real_leaf(g, scope);
    g->used = 0;
    Expr a = gen_read(g, inner, &g->tensor[k], 0), b = gen_read(g, inner, &g->tensor[k], 0);
    g->used = (g->used & ~BIT(d)) | used;
    g->std_math = true;
    const char *name = g->index[d].name;
    if (maybe(g, 50))
        return real(format(g->c, "sum[%s](rms_norm(%s, [%s], 0.25) * %s)", name, a.text, name, b.text), 12);
    return real(format(g->c, "max[%s](unit(%s + 2.5, [%s]))", name, a.text, name), 1);
}

static Expr odd(Gen *g, Set scope, unsigned depth)
{
    switch (below(g, 6)) {
    case 5: return tame(g, scaled(g, scope), 8);
    case 0:
        return real(format(g->c, "rand(%s, %s)", gen_int(g, scope, depth - 1).text,
                           gen_int(g, scope, depth - 1).text),
                    1);
    case 1:
        return real(format(g->c, "rand(%s, %s, %s, 3)", int_leaf(g, scope).text, int_leaf(g, scope).text,
                           gen_int(g, scope, depth - 1).text),
                    1);
    case 2:
        if (g->has_fn)
            return real(format(g->c, "cap%u(%s, 2.0)", g->number, gen_real(g, scope, depth - 1).text), 2);
        g->std_math = true;
        return real(format(g->c, "soft_cap(%s, 2.0)", gen_real(g, scope, depth - 1).text), 2);
    case 3: return real(format(g->c, "float(%s)", gen_bool(g, scope, depth - 1).text), 1);
    default: {
        Expr a = tame(g, gen_cut(g, scope, depth - 1), 4);
        static const char *const f[] = {"floor(%s * 3.0)", "ceil(%s * 2.0)", "round(%s * 3.0)", "sign(%s)"};
        return real(format(g->c, f[below(g, 4)], a.text), 13);
    }
    }
}

/* A join's parts, where u stands before them. */
static Expr joined(Gen *g, Set scope, unsigned depth)
{
    for (unsigned k = 0; k < g->n_indices; k++) {
        const GIndex *u = &g->index[k];
        if (u->kind != G_JOIN || !(scope & BIT(k)) || !maybe(g, 80)) continue;
        Set first = (scope | BIT(u->of[0])) & ~BIT(k), second = (scope | BIT(u->of[1])) & ~BIT(k);
        Set used = g->used;
        g->used = 0;
        Expr a = gen_real(g, first, depth - 1), b = gen_real(g, second, depth - 1);
        g->used &= ~(BIT(u->of[0]) | BIT(u->of[1])) | scope;
        g->used |= used | BIT(k);
        double m = magnitude(a), n = magnitude(b);
        return real(format(g->c, "join[%s](%s, %s)", u->name, a.text, b.text), m > n ? m : n);
    }
    return gen_reduction(g, scope, depth);
}

Expr gen_real(Gen *g, Set scope, unsigned depth)
{
    if (!depth) return real_leaf(g, scope);
    switch (below(g, 25)) {
    case 0:
    case 1:
    case 2: return function(g, scope, depth);
    case 3:
    case 4:
    case 5: return binary(g, scope, depth);
    case 6: return choice(g, scope, depth);
    case 7: return odd(g, scope, depth);
    case 8:
    case 9: return joined(g, scope, depth);
    case 10:
    case 11:
    case 12: return gen_reduction(g, scope, depth);
    case 13:
    case 14:
    case 15: return gen_weighted(g, scope, depth);
    case 16: return gen_pad(g, scope, depth);
    case 17: return gen_guarded(g, scope, depth);
    case 18:
    case 19: return gen_keeping(g, scope, depth);
    case 20:
    case 21: return gen_block_reduction(g, scope, depth);
    case 22: return gen_weighted(g, scope, depth);
    default: return real_leaf(g, scope);
    }
}
