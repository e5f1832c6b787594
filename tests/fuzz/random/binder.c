/* Reductions, normalisers, scans, selections, calls of patterns. */
#include "generate_internal.h"

static Expr real(const char *text, double bound) { return (Expr){text, -bound, bound}; }
static double magnitude(Expr e) { return -e.lo > e.hi ? -e.lo : e.hi; }

static const double WORK_MAX = 3000; /* iterations around a place */

/* --- scopes --- */

bool visible(const Gen *g, Set scope, unsigned index)
{
    if (scope & BIT(index)) return true;
    const GIndex *x = &g->index[index];
    if (x->kind == G_FLATTEN) return (scope & BIT(x->of[0])) && (scope & BIT(x->of[1]));
    for (unsigned k = 0; k < g->n_indices; k++)
        if (g->index[k].kind == G_FLATTEN && (scope & BIT(k)) &&
            (g->index[k].of[0] == index || g->index[k].of[1] == index))
            return true;
    return false;
}

void use_index(Gen *g, Set scope, unsigned index)
{
    const GIndex *x = &g->index[index];
    if (scope & BIT(index))
        g->used |= BIT(index);
    else if (x->kind == G_FLATTEN)
        g->used |= BIT(x->of[0]) | BIT(x->of[1]);
    else
        for (unsigned k = 0; k < g->n_indices; k++)
            if (g->index[k].kind == G_FLATTEN && (scope & BIT(k)) &&
                (g->index[k].of[0] == index || g->index[k].of[1] == index))
                g->used |= BIT(k);
}

/* Binding t hides the axes, and the reverse. */
Set bind_index(const Gen *g, Set scope, unsigned index)
{
    const GIndex *x = &g->index[index];
    if (x->kind == G_FLATTEN) scope &= ~(BIT(x->of[0]) | BIT(x->of[1]));
    for (unsigned k = 0; k < g->n_indices; k++)
        if (g->index[k].kind == G_FLATTEN && (g->index[k].of[0] == index || g->index[k].of[1] == index))
            scope &= ~BIT(k);
    return scope | BIT(index);
}

int pick_index(Gen *g, Set scope)
{
    for (unsigned tries = 0; tries < 10; tries++) {
        unsigned k = below(g, g->n_indices);
        bool hidden = visible(g, scope, k) && !(g->index[k].ambient && maybe(g, 5));
        if (!hidden && g->work * (g->index[k].extent + 1) <= WORK_MAX) return (int)k;
    }
    return -1;
}

/* What a binder does to the state: the body is generated between begin and end. */
typedef struct Binding {
    Set used, bound;
    double work;
} Binding;

static Set begin(Gen *g, Set scope, unsigned n, const unsigned *index, Binding *b)
{
    *b = (Binding){g->used, 0, g->work};
    g->used = 0;
    for (unsigned k = 0; k < n; k++) {
        scope = bind_index(g, scope, index[k]);
        b->bound |= BIT(index[k]);
        g->work *= g->index[index[k]].extent + 1;
    }
    return scope;
}

static void end(Gen *g, const Binding *b, bool keeps)
{
    g->used = (keeps ? g->used | b->bound : g->used & ~b->bound) | b->used;
    g->work = b->work;
}

const char *gen_where(Gen *g, Set scope, unsigned depth)
{
    if (maybe(g, 55)) return "";
    return format(g->c, " where %s", gen_bool(g, scope, depth ? depth - 1 : 0).text);
}

/* One or two indices to bind. */
static unsigned pick_indices(Gen *g, Set scope, unsigned *index)
{
    int a = pick_index(g, scope);
    if (a < 0) return 0;
    index[0] = (unsigned)a;
    if (!maybe(g, 20)) return 1;
    double work = g->work;
    g->work *= g->index[a].extent + 1;
    Set inner = bind_index(g, scope, (unsigned)a);
    int b = pick_index(g, inner);
    g->work = work;
    if (b < 0 || b == a || g->index[b].kind == G_FLATTEN || !(bind_index(g, inner, (unsigned)b) & BIT(a)))
        return 1;
    index[1] = (unsigned)b;
    return 2;
}

static const char *names(Gen *g, unsigned n, const unsigned *index)
{
    return n == 1 ? g->index[index[0]].name
                  : format(g->c, "%s, %s", g->index[index[0]].name, g->index[index[1]].name);
}

/* --- reductions --- */

static const struct {
    const char *name;
    double grows;
} reductions[] = {
    {"sum", 6}, {"sum", 6}, {"sum", 6}, {"mean", 1}, {"max", 1}, {"min", 1}, {"prod", 0}, {"logsumexp", 2},
};

static Expr reduced(Gen *g, unsigned op, const char *vars, Expr body, const char *where, double extent)
{
    double bound = op == 6 ? 1 : magnitude(body) * (reductions[op].grows > 2 ? extent + 1 : 1) + 2;
    const char *text = op == 6 ? format(g->c, "tanh(%s)", body.text) : body.text;
    if (op == 7 && magnitude(body) > 8) text = format(g->c, "tanh(%s)", text);
    Expr e = real(format(g->c, "%s[%s](%s%s)", reductions[op].name, vars, text, where), bound);
    if (bound > 30) return real(format(g->c, "tanh(%s * 0.05)", e.text), 1);
    return e;
}

Expr gen_reduction(Gen *g, Set scope, unsigned depth)
{
    unsigned index[2], n = pick_indices(g, scope, index);
    if (!n) return gen_real(g, scope, 0);
    Binding b;
    Set inner = begin(g, scope, n, index, &b);
    Expr body = gen_real(g, inner, depth - 1);
    const char *where = gen_where(g, inner, depth);
    end(g, &b, false);
    double extent = g->index[index[0]].extent * (n > 1 ? g->index[index[1]].extent : 1.0);
    return reduced(g, below(g, 8), names(g, n, index), body, where, extent);
}

/* The body of a normaliser, and its options. */
static const char *normaliser(Gen *g, Set scope, Set inner, const char *vars, unsigned depth)
{
    static const char *const n[] = {"softmax", "softmax", "softmax", "sparsemax", "entmax15"};
    Expr score = gen_real(g, inner, depth);
    if (magnitude(score) > 10) score = real(format(g->c, "tanh(%s)", score.text), 1);
    const char *where = gen_where(g, inner, depth + 1);
    unsigned k = below(g, 5);
    const char *sink = k < 3 && maybe(g, 15) ? format(g->c, ", sink = %s", gen_real(g, scope, 0).text) : "";
    return format(g->c, "%s[%s](%s%s%s)", n[k], vars, score.text, where, sink);
}

/* sum[j](softmax[j](s where m) * v), in one of its forms. */
Expr gen_weighted(Gen *g, Set scope, unsigned depth)
{
    unsigned index[2], n = pick_indices(g, scope, index);
    if (!n) return gen_real(g, scope, 0);
    const char *vars = names(g, n, index), *weight, *text;
    Binding b;
    Set inner = begin(g, scope, n, index, &b);
    switch (below(g, 6)) {
    case 0: weight = format(g->c, "float(%s)", gen_bool(g, inner, depth - 1).text); break;
    case 1: weight = format(g->c, "sigmoid(%s)", gen_real(g, inner, depth - 1).text); break;
    default: weight = normaliser(g, scope & ~b.bound, inner, vars, depth - 1);
    }
    Expr v = gen_real(g, inner, depth - 1);
    text = maybe(g, 50) ? format(g->c, "sum[%s](%s * %s%s)", vars, weight, v.text,
                                 gen_where(g, inner, maybe(g, 80) ? 0 : depth))
                        : format(g->c, "sum[%s](%s * %s)", vars, v.text, weight);
    if (maybe(g, 8)) text = format(g->c, "(%s / (0.5 + sum[%s](%s)))", text, vars, weight);
    end(g, &b, false);
    double bound = magnitude(v) * 7;
    return bound > 30 ? real(format(g->c, "tanh(%s * 0.05)", text), 1) : real(text, bound);
}

/* Normalisers and scans whose index is in scope. */
Expr gen_keeping(Gen *g, Set scope, unsigned depth)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        unsigned k = below(g, g->n_indices);
        if (!(scope & BIT(k)) || g->work * (g->index[k].extent + 1) > WORK_MAX) continue;
        Binding b;
        const char *text;
        Set inner = begin(g, scope, 1, &k, &b);
        double bound = 1;
        if (maybe(g, 50))
            text = normaliser(g, scope & ~BIT(k), inner, g->index[k].name, depth - 1);
        else {
            bool sum = maybe(g, 60);
            Expr e = gen_real(g, inner, depth - 1);
            bound = magnitude(e) * (sum ? g->index[k].extent + 1 : 1);
            text = format(g->c, "%s[%s](%s%s)", sum ? "cumsum" : "cummax", g->index[k].name, e.text,
                          gen_where(g, inner, depth));
        }
        end(g, &b, true);
        return bound > 30 ? real(format(g->c, "tanh(%s * 0.05)", text), 1) : real(text, bound);
    }
    return gen_real(g, scope, 0);
}

/* X[i | a, j | c](...), where both blocks are in scope. */
static bool two_blocks(Gen *g, Set scope, unsigned depth, Expr *e)
{
    unsigned found[2], n = 0, axes[2];
    for (unsigned c = 0; c < g->n_indices && n < 2; c++) {
        unsigned j = g->index[c].of[0];
        bool fits =
            g->index[c].kind == G_BLOCK && (scope & BIT(c)) && !visible(g, scope, j) && (!n || axes[0] != j);
        if (fits) axes[n] = j, found[n++] = c;
    }
    if (n < 2 || g->work * (g->index[axes[0]].extent + 1) * (g->index[axes[1]].extent + 1) > WORK_MAX)
        return false;
    if (!(bind_index(g, bind_index(g, scope, axes[0]), axes[1]) & BIT(axes[0]))) return false;
    Binding b;
    Set inner = begin(g, scope, 2, axes, &b);
    Expr body = gen_real(g, inner, depth - 1);
    const char *where = gen_where(g, inner, depth);
    end(g, &b, false);
    g->used |= BIT(found[0]) | BIT(found[1]);
    const char *vars = format(g->c, "%s | %s, %s | %s", g->index[axes[0]].name, g->index[found[0]].name,
                              g->index[axes[1]].name, g->index[found[1]].name);
    *e = reduced(g, below(g, 8), vars, body, where, 12);
    return true;
}

/* X[j | c](...): reductions where c is in scope, normalisers and scans where j is. */
Expr gen_block_reduction(Gen *g, Set scope, unsigned depth)
{
    Expr two;
    if (maybe(g, 50) && two_blocks(g, scope, depth, &two)) return two;
    for (unsigned c = 0; c < g->n_indices; c++) {
        const GIndex *block = &g->index[c];
        if (block->kind != G_BLOCK || maybe(g, 30)) continue;
        unsigned j = block->of[0];
        if (g->work * (g->index[j].extent + 1) > WORK_MAX) continue;
        const char *vars = format(g->c, "%s | %s", g->index[j].name, block->name);
        Binding b;
        if ((scope & BIT(c)) && !visible(g, scope, j)) {
            Set inner = begin(g, scope, 1, &j, &b);
            Expr body = gen_real(g, inner, depth - 1);
            const char *where = gen_where(g, inner, depth);
            end(g, &b, false);
            g->used |= BIT(c);
            return reduced(g, below(g, 8), vars, body, where, g->index[j].extent);
        }
        if (!(scope & BIT(j)) || visible(g, scope, c)) continue;
        Set inner = begin(g, scope, 1, &j, &b) | BIT(c); /* a tensor over c is read at the block of j */
        bool scan = maybe(g, 40);
        Expr e = scan ? gen_real(g, inner, depth - 1) : real("", 1);
        const char *text = scan ? format(g->c, "cumsum[%s](%s%s)", vars, e.text, gen_where(g, inner, depth))
                                : normaliser(g, scope & ~BIT(j), inner, vars, depth - 1);
        end(g, &b, true);
        g->used &= ~BIT(c) | scope;
        double bound = magnitude(e) * (scan ? 7 : 1);
        return bound > 30 ? real(format(g->c, "tanh(%s * 0.05)", text), 1) : real(text, bound);
    }
    return gen_reduction(g, scope, depth);
}

/* --- ints and bools --- */

Expr gen_count(Gen *g, Set scope, unsigned depth)
{
    unsigned index[2], n = pick_indices(g, scope, index);
    if (!n) return gen_int(g, scope, 0);
    Binding b;
    Set inner = begin(g, scope, n, index, &b);
    const char *vars = names(g, n, index), *text;
    double most = 40;
    switch (below(g, 4)) {
    case 0: text = format(g->c, "sum[%s](int(%s))", vars, gen_bool(g, inner, depth - 1).text); break;
    case 1:
        text = format(g->c, "(%s[%s](%s%s) %% 8)", maybe(g, 50) ? "sum" : "prod", vars,
                      gen_int(g, inner, depth - 1).text, gen_where(g, inner, depth));
        break;
    case 2:
        text = format(g->c, "(%s[%s](%s%s) %% 8)", maybe(g, 50) ? "max" : "min", vars,
                      gen_int(g, inner, depth - 1).text, gen_where(g, inner, depth));
        break;
    default:
        text = format(g->c, "%s[%s](%s%s)", maybe(g, 50) ? "argmax" : "argmin", vars,
                      gen_direct(g, inner).text, gen_where(g, inner, depth));
    }
    end(g, &b, false);
    return (Expr){text, -1, most};
}

Expr gen_any(Gen *g, Set scope, unsigned depth)
{
    unsigned index[2], n = pick_indices(g, scope, index);
    if (!n) return gen_bool(g, scope, 0);
    Binding b;
    Set inner = begin(g, scope, n, index, &b);
    Expr body = gen_bool(g, inner, depth - 1);
    const char *text = format(g->c, "%s[%s](%s%s)", maybe(g, 50) ? "any" : "all", names(g, n, index),
                              body.text, gen_where(g, inner, depth));
    end(g, &b, false);
    return (Expr){text, 0, 1};
}

static bool pick_of_two(Gen *g, Set scope, unsigned depth, Expr *e)
{
    unsigned k[2], n = 0;
    for (unsigned i = 0; i < g->n_indices && n < 2; i++)
        if ((scope & BIT(i)) && !g->index[i].ambient && maybe(g, 70)) k[n++] = i;
    if (n < 2 || g->work * (g->index[k[0]].extent + 1) * (g->index[k[1]].extent + 1) > WORK_MAX) return false;
    Binding b;
    Set inner = begin(g, scope, 2, k, &b);
    const char *x = gen_direct(g, inner).text, *where = gen_where(g, inner, depth);
    const char *text = format(g->c, "topk[%s](%s%s, %u)", names(g, 2, k), x, where, below(g, 5));
    end(g, &b, true);
    *e = (Expr){text, 0, 1};
    return true;
}

Expr gen_pick(Gen *g, Set scope, unsigned depth)
{
    Expr two;
    if (maybe(g, 25) && pick_of_two(g, scope, depth, &two)) return two;

    for (unsigned tries = 0; tries < 8; tries++) {
        unsigned k = below(g, g->n_indices);
        if (!(scope & BIT(k)) || g->work * (g->index[k].extent + 1) > WORK_MAX) continue;
        Binding b;
        Set inner = begin(g, scope, 1, &k, &b);
        const char *x = gen_direct(g, inner).text, *where = gen_where(g, inner, depth), *text;
        Set outer = scope & ~BIT(k);
        if (maybe(g, 70))
            text = format(g->c, "topk[%s](%s%s, %s)", g->index[k].name, x, where, gen_int(g, outer, 0).text);
        else
            text = format(g->c, "topp[%s](sigmoid(%s)%s, 0.6%u)", g->index[k].name, x, where, below(g, 100));
        end(g, &b, true);
        return (Expr){text, 0, 1};
    }
    return gen_bool(g, scope, 0);
}
