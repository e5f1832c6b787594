/* The clauses of a signature (example, cost), `require`, and conditions that are checked when tensors are
 * bound. */
#include "check.h"

#include <string.h>

/* ---- conditions ---- */

static ProveScope known_conditions(Checker *k)
{
    ProveScope s = {0};
    for (uint32_t n = 0; n < k->pattern->conditions.n; n++)
        PUSH(k->c, &s.conditions, k->pattern->conditions.at[n].test);
    return s;
}

static void state_condition(Checker *k, Node *test, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void state_condition(Checker *k, Node *test, Span span, const char *fmt, ...)
{
    for (uint32_t n = 0; n < k->pattern->conditions.n; n++)
        if (k->pattern->conditions.at[n].test == test) return;
    Text stated = {.c = k->c};
    node_print_short(&stated, test);
    va_list args;
    va_start(args, fmt);
    text_add(&stated, " (");
    text_add_v(&stated, fmt, args);
    text_add(&stated, ")");
    va_end(args);
    PUSH(k->c, &k->pattern->conditions, (Condition){test, stated.at, span});
}

void add_condition(Checker *k, Node *test, Span span, DiagCode code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    Text text = {.c = k->c};
    text_add_v(&text, fmt, args);
    va_end(args);
    if (node_is_bool(test, true)) return;
    ProveScope scope = known_conditions(k);
    int truth = node_is_bool(test, false) ? 0 : prove_truth(k->c, &scope, test);
    if (truth == 1) return;
    if (node_is_bool(test, false)) {
        report(k->c, code, span, "%s", text.at);
        return;
    }
    if (test->op == N_AND) { /* one by one, so that a failure says which */
        add_condition(k, test->args[0], span, code, "%s", text.at);
        add_condition(k, test->args[1], span, code, "%s", text.at);
        return;
    }
    state_condition(k, test, span, "%s", text.at);
}

/* Sizes for which an extent would leave 64 bits are refused: conditions are evaluated with overflow checks. */
void add_extent_condition(Checker *k, const Index *index, Span span)
{
    Node *test = node_binary(k->c, N_LE, node_int(k->c, 0), index->extent);
    if (test->op == N_BOOL || !int_may_wrap(k->c, index->extent)) return;
    state_condition(k, test, span, "the extent of `%s` must fit 64 bits", index->name);
}

static void require(Instance *in, const AstStatement *s)
{
    Checker *k = in->k;
    Env e = {.k = k, .scope = &in->scope};
    Node *n = elaborate_scalar(&e, s->value, TYPE_BOOL, E120, "a `require`");
    if (!n || node_is_bool(n, true)) return;
    if (node_is_bool(n, false)) {
        report(k->c, E121, s->value->span, "`require %s` can never hold", cited(k->c, s->value->span));
        return;
    }
    const Source *source = &k->c->sources.at[s->value->span.source];
    const char *text = format(k->c, "%.*s", (int)(s->value->span.to - s->value->span.from),
                              source->text + s->value->span.from);
    PUSH(k->c, &k->pattern->conditions, (Condition){n, text, s->value->span});
}

void elaborate_requires(Instance *in)
{
    for (uint32_t n = 0; n < in->ast->body.n; n++)
        if (in->ast->body.at[n]->kind == AST_REQUIRE) require(in, in->ast->body.at[n]);
}

/* ---- example ---- */

static Param *find_param(const Pattern *p, const char *name)
{
    for (uint32_t n = 0; n < p->params.n; n++)
        if (p->params.at[n]->name == name) return p->params.at[n];
    return NULL;
}

/* ---- distributions ---- */

typedef struct Distribution { const char *name; unsigned args; bool bools, ints, reals; } Distribution;
static const Distribution distributions[] = {
    {"uniform", 2, false, false, true}, {"normal", 2, false, false, true}, {"integers", 2, false, true, true},
    {"sorted", 2, false, true, true}, {"sorted", 0, false, true, true}, {"distinct", 0, false, true, true},
    {"distinct", 2, false, true, true}, {"chance", 1, true, false, false}};

static void bad_distribution(Instance *in, const Ast *a, const char *why)
{
    Diag *d = report(in->k->c, E506, a->span, "%s", why);
    diag_hint(in->k->c, d,
              "floats: a number, uniform(lo, hi), normal(mean, sd); ints: a number, integers(lo, hi), "
              "sorted(lo, hi), distinct; bools: true, false, chance(p)");
}

static void check_distribution(Instance *in, const Env *e, const Tensor *t, const Ast *a)
{
    bool named = false;
    for (size_t n = 0; n < sizeof distributions / sizeof *distributions; n++) {
        const Distribution *x = &distributions[n];
        if (strcmp(x->name, a->name)) continue;
        named = true;
        bool plain = x->args == a->n;
        for (uint32_t k = 0; k < a->n; k++) plain &= ast_is_plain(a->operands[k]);
        if (!plain) continue;
        bool fits = t->type == TYPE_REAL ? x->reals : t->type == TYPE_INT ? x->ints : x->bools;
        if (!fits)
            bad_distribution(in, a, format(in->k->c, "`%s` does not give %ss", a->name, type_name(t->type)));
        for (uint32_t k = 0; fits && k < a->n; k++)
            elaborate_scalar(e, a->operands[k], TYPE_REAL, E506,
                            format(in->k->c, "an argument of `%s`", a->name));
        return;
    }
    bad_distribution(in, a, named ? format(in->k->c, "`%s` takes other arguments", a->name)
                                  : format(in->k->c, "`%s` is no distribution", a->name));
}

static bool is_distribution(const Ast *a)
{
    return (a->kind == AST_CALL && !is_builtin(a->name)) ||
           (a->kind == AST_NAME && (!strcmp(a->name, "distinct") || !strcmp(a->name, "sorted")));
}

/* Extents, parameters and numbers everywhere are scalars of earlier ones. */
static void example_value(Instance *in, const Example *x)
{
    Env e = {.k = in->k, .scope = &in->scope, .cost = true};
    if (x->tensor && is_distribution(x->value)) check_distribution(in, &e, x->tensor, x->value);
    else
        elaborate_scalar(&e, x->value,
                         x->index   ? TYPE_INT
                         : x->param ? x->param->type
                                    : x->tensor->type,
                         E506, format(in->k->c, "`%s` of the example", x->name));
}

static void example(Instance *in, const AstExample *a)
{
    Checker *k = in->k;
    Example x = {.name = a->name.name, .value = a->value, .param = find_param(k->pattern, a->name.name)};
    Symbol *s = scope_find(&in->scope, x.name);
    if (s && s->kind == SYMBOL_INDEX) x.index = s->index;
    if (s && s->kind == SYMBOL_ENTITY && (s->entity->role == ROLE_INPUT || s->entity->role == ROLE_CAPTURE))
        x.tensor = s->entity->tensor;
    for (uint32_t n = 0; n < k->pattern->examples.n; n++)
        if (k->pattern->examples.at[n].name == x.name) {
            report(k->c, E506, a->name.span, "`%s` stands twice in the example", x.name);
            return;
        }
    if (x.param || x.index || x.tensor) {
        example_value(in, &x);
        PUSH(k->c, &k->pattern->examples, x);
        return;
    }
    Diag *d = report(k->c, E506, a->name.span,
                     s ? "an example gives extents, parameters and inputs, and `%s` is none of them"
                       : "the example names `%s`, which does not exist",
                     x.name);
    if (!s) hint_name(k, d, &in->scope, x.name, false);
}

static const Example *find_example(const Pattern *p, const char *name)
{
    for (uint32_t n = 0; n < p->examples.n; n++)
        if (p->examples.at[n].name == name) return &p->examples.at[n];
    return NULL;
}

static void missing_example(Instance *in, const char *name, const char *what, const char *hint)
{
    Compilation *c = in->k->c;
    Diag *d =
        report(c, E506, in->ast->examples.at[0].name.span, "the example says nothing of %s `%s`", what, name);
    diag_hint(c, d, hint, name);
}

void resolve_examples(Instance *in)
{
    Pattern *p = in->k->pattern;
    if (!in->ast->examples.n) return;
    for (uint32_t n = 0; n < in->ast->examples.n; n++) example(in, &in->ast->examples.at[n]);
    for (uint32_t n = 0; n < p->indices.n; n++)
        if (!p->indices.at[n]->ambient && !find_example(p, p->indices.at[n]->name))
            missing_example(in, p->indices.at[n]->name, "the extent", "add `%s = 16`");
    for (uint32_t n = 0; n < p->params.n; n++)
        if (!p->params.at[n]->has_default && !p->params.at[n]->fixed &&
            !find_example(p, p->params.at[n]->name))
            missing_example(in, p->params.at[n]->name, "the parameter",
                            "add `%s = ...`, or give it a default");
    for (uint32_t n = 0; n < p->tensors.n; n++) {
        const Tensor *t = p->tensors.at[n];
        bool given = t->role == ROLE_INPUT || t->role == ROLE_CAPTURE;
        if (given && !t->optional && t->storage == STORAGE_INT && !t->lo && !find_example(p, t->name))
            missing_example(in, t->name, "the int tensor", "add `%s = integers(0, 4)`, or declare its range");
    }
}

/* ---- cost ---- */

void resolve_cost(Instance *in)
{
    if (!in->ast->cost) return;
    Checker *k = in->k;
    Env e = {.k = k, .scope = &in->scope, .cost = true};
    Value v = value_convert(&e, elaborate(&e, in->ast->cost), TYPE_REAL, in->ast->cost->span, "a cost");
    if (v.node) k->pattern->cost = value_node(k, v);
}
