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

unsigned random_below(Random *r, unsigned n)
{
    unsigned wanted = n <= 256 ? 1 : 2, value = 0;
    if (r->end - r->bytes < wanted) return (unsigned)(random_bits(r) >> 33) % n;
    for (; wanted; wanted--) value = value << 8 | *r->bytes++;
    return value % n;
}

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

/* A pattern of the same file, called by the one that is generated: they share inputs and captures. */
typedef struct Callee {
    const char *name;
    const Signature *signature;
    GParam param[G_PARAMS];
    unsigned n_params;
} Callee;

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
    for (unsigned k = 0; k < s->n_base; k++)
        add_index(g, base[(first + k) % 7], G_BASE, below(g, 12) ? 1 + below(g, 6) : 0);
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

unsigned any_base(Gen *g, const Signature *s) { return s->n_ambient + below(g, s->n_base); }

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

void written_dims(Gen *g, Text *out, const char *name, unsigned n, const unsigned *dims)
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
        if (maybe(g, 60))
            text_add(&s->with, " in -2..6");
        else
            text_add(&s->example, ", %s = integers(-2, 5)", left);
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
    s->n_outputs = g->small ? 1 : 1 + below(g, 2);
    for (unsigned k = 0; k < s->n_outputs; k++) {
        s->n_output_dims[k] = some_base(g, s, 3, s->output_dims[k]);
        s->output_name[k] = new_name(g, "o");
        text_add(&s->over, k ? ", " : " -> ");
        s->output_int[k] = maybe(g, 15);
        if (s->output_int[k]) {
            text_add(&s->over, "%s: int", s->output_name[k]);
            written_dims(g, &s->over, "", s->n_output_dims[k], s->output_dims[k]);
        } else
            written_dims(g, &s->over, s->output_name[k], s->n_output_dims[k], s->output_dims[k]);
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
        if (p->type == G_INT)
            text_add(out, "%s: int = %d", p->name, p->value);
        else if (p->type == G_REAL)
            text_add(out, "%s: float = 0.6%u", p->name, below(g, 100));
        else
            text_add(out, "%s: bool = %s", p->name, p->value ? "true" : "false");
    }
}

/* --- patterns --- */

static void output_equations(Gen *g, const Signature *s)
{
    for (unsigned k = 0; k < s->n_outputs; k++) {
        Set scope = BIT(s->n_ambient) - 1;
        g->work = 1;
        for (unsigned d = 0; d < s->n_output_dims[k]; d++) scope |= BIT(s->output_dims[k][d]);
        for (unsigned d = 0; d < g->n_indices; d++)
            g->work *= scope & BIT(d) && g->index[d].extent ? g->index[d].extent : 1;
        Expr e = s->output_int[k] ? gen_int(g, scope, 3) : gen_real(g, scope, g->small ? 3 : 4);
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
    if (renamed && to >= 0)
        return format(g->c, "%s[%s = %s]", t->name, g->index[from].name, g->index[to].name);
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
        if (k < s->n_inputs)
            text_add(&text, "%s%s", k ? ", " : "", a);
        else
            text_add(&text, ", %s = %s", t.name, a);
    }
    for (unsigned k = 0; k < callee->n_params; k++)
        if (callee->param[k].type == G_INT && maybe(g, 50))
            text_add(&text, ", %s = %u", callee->param[k].name, below(g, 4));
    text_add(&text, ")");
    unsigned which = below(g, o->n_outputs);
    Set set = BIT(s->n_ambient) - 1;
    for (unsigned d = 0; d < o->n_output_dims[which]; d++)
        set |= (int)o->output_dims[which][d] == from ? BIT(to) : BIT(o->output_dims[which][d]);
    GTensor *t =
        define(g, new_name(g, "s"), o->output_int[which] ? G_INT : G_REAL, set, g->written || maybe(g, 30));
    t->bound = 16, t->lo = -100, t->hi = 100;
    text_add(&g->body, " = %s%s%s\n", text.at, o->n_outputs > 1 ? "." : "",
             o->n_outputs > 1 ? o->output_name[which] : "");
}

static const char *pattern(Gen *g, const char *name, Signature *s, const Callee *callee)
{
    Text parameters = {.c = g->c}, out = {.c = g->c};
    text_add(&parameters, "%s", "");
    params(g, &parameters);
    s->over.n = 0;
    text_add(&s->over, "%s", s->inputs_text.at);
    outputs(g, s);
    unsigned declarations = below(g, g->small ? 2 : 4);
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
    if (g->has_mask && maybe(g, 50))
        text_add(out, "mask mine%u(i, j) = 0 <= i - j < 3 or j == 0\n", g->number);
    else if (g->has_mask)
        text_add(out,
                 "mask mine%u(i, j) {\n    far = abs(i - j)\n    half = (i + j) // 2\n"
                 "    far %% 2 == 0 or half < 2\n}\n",
                 g->number);
}

RandomProgram random_program(Compilation *c, uint64_t seed, unsigned number, bool smooth)
{
    Random r = {.state = seed * 0x9e3779b97f4a7c15u + number};
    random_bits(&r);
    return random_program_from(c, r, number, smooth);
}

RandomProgram random_program_from(Compilation *c, Random r, unsigned number, bool smooth)
{
    Gen *g = NEW(c, Gen);
    *g = (Gen){.c = c, .r = r, .number = number, .smooth = smooth, .work = 1};
    g->small = maybe(g, 90);
    g->body.c = c;
    text_add(&g->body, "%s", "");
    Text text = {.c = c};
    functions(g, &text);
    const char *name = format(c, "p%u", number);
    Signature *s = signature(g);
    if (!g->small && maybe(g, 50)) {
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
    } else
        text_add(&text, "%s", pattern(g, name, s, NULL));
    const char *uses = format(c, "%s%s", g->std_masks ? "use \"std/masks.attn\"\n" : "",
                              g->std_math ? "use \"std/functions.attn\"\n" : "");
    return (RandomProgram){uses, text.at, name};
}
