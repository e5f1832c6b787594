/* Calls of patterns: the callee is elaborated as a fresh copy whose equations become equations of the root
 * pattern.
 *
 * Dimensions of tensors match by position from the last; those before become ambient in the callee. Every
 * index of the callee that is not ambient is a new Index over the positions of the caller's (`outer`), so
 * that a callee may declare origins, and one index of the caller may serve several of the callee. */
#include "check.h"

#include <string.h>

/* ---- which dimensions an argument has ---- */

/* `k[j = m]`: k with m in the place of j. */
static bool renamed_dims(const Env *e, const Ast *a, CallDims *dims)
{
    if (a->kind != AST_SUBSCRIPT || !ast_is_named(a)) return false;
    Entity *t = find_entity(e->scope, a->name);
    if (!t || (!t->tensor && !t->argument)) return false;
    dims->n = t->n_dims;
    dims->dims = NEW_ARRAY(e->k->c, Index *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) dims->dims[d] = t->dims[d];
    for (uint32_t n = 0; n < a->n; n++) {
        const Ast *v = a->operands[n]->operands[0];
        Symbol *s = v->kind == AST_NAME ? scope_find(e->scope, v->name) : NULL;
        if (!s || s->kind != SYMBOL_INDEX) return false;
        for (unsigned d = 0; d < t->n_dims; d++)
            if (t->dims[d]->name == a->operands[n]->name) dims->dims[d] = s->index;
    }
    for (unsigned d = 0; d < dims->n; d++)
        for (unsigned m = 0; m < d; m++)
            if (dims->dims[m] == dims->dims[d]) return false;
    return true;
}

/* The dimensions of an argument whose value depends on `free`: declared ones, or the standard order. */
static CallDims argument_dims(const Env *e, const Ast *a, const IndexSet *free)
{
    CallDims dims = {0};
    Entity *t = a->kind == AST_NAME ? find_entity(e->scope, a->name) : NULL;
    if (t && (t->tensor || t->argument)) return (CallDims){t->n_dims, t->dims};
    if (renamed_dims(e, a, &dims)) return dims;
    dims.n = set_list(e->k, free, &dims.dims);
    return dims;
}

/* ---- matching ---- */

typedef struct Argument {
    const AstTensor *to;
    const Ast *value;
    Role role;
    CallDims dims;
    Node *node;
    Node *kept;
} Argument;
typedef struct Call {
    const Env *e;
    const Ast *ast;
    const AstPattern *callee;
    VEC(Argument) arguments;
    VEC(Symbol) matched;      /* names of the callee's indices and the caller's */
    uint32_t renamed;         /* so many of them are given by `x = y` */
    bool quiet, failed;
} Call;

static Value call_error(Call *x, Diag **d, DiagCode code, Span span, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
static Value call_error(Call *x, Diag **d, DiagCode code, Span span, const char *fmt, ...)
{
    *d = NULL;
    x->failed = true;
    if (x->quiet) return value_none();
    va_list args;
    va_start(args, fmt);
    Text text = {.c = x->e->k->c};
    text_add_v(&text, fmt, args);
    va_end(args);
    return fail(x->e, d, code, span, "%s", text.at);
}

static Symbol *matched(const Call *x, const char *name)
{
    for (uint32_t n = 0; n < x->matched.n; n++)
        if (x->matched.at[n].name == name) return &x->matched.at[n];
    return NULL;
}

static bool is_ambient(const AstPattern *p, const char *name)
{
    for (uint32_t n = 0; n < p->ambient.n; n++)
        if (p->ambient.at[n].name == name) return true;
    return false;
}

static bool is_explicit(const AstPattern *p, const AstTensor *t, Role role)
{
    if (role == ROLE_CAPTURE) return true;
    for (uint32_t d = 0; d < t->dims.n; d++)
        if (is_ambient(p, t->dims.at[d].name)) return true;
    return false;
}

static bool has_dimension(const AstTensors *list, const char *name)
{
    for (uint32_t n = 0; n < list->n; n++)
        for (uint32_t d = 0; d < list->at[n]->dims.n; d++)
            if (list->at[n]->dims.at[d].name == name) return true;
    return false;
}

static bool is_index_of(const AstPattern *p, const char *name)
{
    return is_ambient(p, name) || has_dimension(&p->inputs, name) || has_dimension(&p->captures, name) ||
           has_dimension(&p->outputs, name);
}

static const AstTensor *find_tensor(const AstTensors *list, const char *name)
{
    for (uint32_t n = 0; n < list->n; n++)
        if (list->at[n]->name.name == name) return list->at[n];
    return NULL;
}

static int find_parameter(const AstPattern *p, const char *name)
{
    for (uint32_t n = 0; n < p->params.n; n++)
        if (p->params.at[n].name.name == name) return (int)n;
    return -1;
}

static void rename_index(Call *x, AstArg arg)
{
    Symbol *s = arg.value->kind == AST_NAME ? scope_find(x->e->scope, arg.value->name) : NULL;
    if (s && s->kind == SYMBOL_INDEX) {
        PUSH(x->e->k->c, &x->matched,
             (Symbol){.name = arg.name, .kind = SYMBOL_INDEX, .span = arg.span, .index = s->index});
        return;
    }
    Diag *d;
    call_error(x, &d, E103, arg.value->span,
               "`%s` of `%s` is an index, and is given one of the caller's by name", arg.name,
               x->callee->name.name);
    if (d) diag_hint(x->e->k->c, d, "write `%s = y`, with the name of an index for y", arg.name);
}

static void unknown_argument(Call *x, AstArg arg)
{
    Diag *d;
    call_error(x, &d, E402, arg.name_span, "`%s` has no input, capture, parameter or index `%s`",
               x->callee->name.name, arg.name);
    if (!d) return;
    const AstPattern *p = x->callee;
    VEC(const char *) names = {0};
    for (uint32_t n = 0; n < p->captures.n; n++) PUSH(x->e->k->c, &names, p->captures.at[n]->name.name);
    for (uint32_t n = 0; n < p->params.n; n++) PUSH(x->e->k->c, &names, p->params.at[n].name.name);
    hint_among(x->e->k, d, arg.name, names.n, names.at);
    diag_note(x->e->k->c, d, x->callee->name.span, "defined here");
}

static void take_named(Call *x, AstArg arg)
{
    Compilation *c = x->e->k->c;
    const AstTensor *capture = find_tensor(&x->callee->captures, arg.name),
                    *input = find_tensor(&x->callee->inputs, arg.name);
    if (arg.is_index) unknown_argument(x, arg);
    else if (capture)
        PUSH(c, &x->arguments, (Argument){.to = capture, .value = arg.value, .role = ROLE_CAPTURE});
    else if (input) PUSH(c, &x->arguments, (Argument){.to = input, .value = arg.value, .role = ROLE_INPUT});
    else if (find_parameter(x->callee, arg.name) >= 0) return;
    else if (is_index_of(x->callee, arg.name)) rename_index(x, arg);
    else unknown_argument(x, arg);
}

static void take_arguments(Call *x)
{
    Compilation *c = x->e->k->c;
    const AstPattern *p = x->callee;
    uint32_t position = 0;
    Diag *d;
    for (uint32_t n = 0; n < x->ast->n; n++) {
        AstArg arg = ast_arg(x->ast, n);
        if (arg.name || arg.is_index) { take_named(x, arg); continue; }
        if (position < p->inputs.n)
            PUSH(c, &x->arguments,
                 (Argument){.to = p->inputs.at[position], .value = arg.value, .role = ROLE_INPUT});
        else if (position == p->inputs.n) {
            call_error(x, &d, E402, arg.span, "`%s` takes %u inputs by position", p->name.name, p->inputs.n);
            if (d) diag_hint(c, d, "captures and parameters are passed by name: `%s = ...`",
                             p->captures.n ? p->captures.at[0]->name.name : "window");
        }
        position++;
    }
    for (uint32_t n = 0; n < p->inputs.n + p->captures.n; n++) {
        const AstTensor *t = n < p->inputs.n ? p->inputs.at[n] : p->captures.at[n - p->inputs.n];
        unsigned times = 0;
        for (uint32_t m = 0; m < x->arguments.n; m++) times += x->arguments.at[m].to == t;
        if (times == 1) continue;
        call_error(x, &d, times ? E402 : E401, x->ast->span,
                   times ? "`%s` of `%s` is given twice" : "`%s` of `%s` is missing", t->name.name,
                   p->name.name);
        if (d && !times)
            diag_hint(c, d,
                      n < p->inputs.n ? "inputs are passed by position"
                                      : "captures are passed by name: `%s = ...`",
                      t->name.name);
    }
}

static void same_extent(Call *x, Index *a, Index *b, const char *name)
{
    Compilation *c = x->e->k->c;
    if (a == b || x->quiet) return;
    resolve_index(x->e->k, a);
    resolve_index(x->e->k, b);
    Node *one = node_size(c, a), *other = node_size(c, b); /* in this order: operands are sorted by age */
    add_condition(x->e->k, node_binary(c, N_EQ, one, other), x->ast->span, E403,
                  "`%s` and `%s` are one index `%s` of `%s` and must have one extent", a->name, b->name, name,
                  x->callee->name.name);
}

/* Puts the dimensions of an argument in the order of the callee's tensor: renamed ones by name, the others by
 * position from the last; what is left stands in front. */
static void arrange(Call *x, Argument *a)
{
    Compilation *c = x->e->k->c;
    unsigned n = a->to->dims.n, total = a->dims.n;
    Index **order = NEW_ARRAY(c, Index *, total + 1);
    bool *used = NEW_ARRAY(c, bool, total + 1);
    for (unsigned k = 0; k < n; k++) {
        const Symbol *renamed = NULL;
        for (uint32_t m = 0; m < x->renamed; m++)
            if (x->matched.at[m].name == a->to->dims.at[k].name) renamed = &x->matched.at[m];
        for (unsigned d = 0; renamed && d < total; d++)
            if (a->dims.dims[d] == renamed->index && !used[d]) {
                used[d] = true;
                order[total - n + k] = renamed->index;
                break;
            }
    }
    unsigned from = total;
    for (unsigned k = total; k-- > 0;) {
        if (order[k]) continue;
        do from--;
        while (used[from]);
        order[k] = a->dims.dims[from];
    }
    a->dims.dims = order;
}

static void match_dims(Call *x, Argument *a)
{
    Compilation *c = x->e->k->c;
    unsigned n = a->to->dims.n;
    Diag *d;
    if (a->dims.n < n) {
        call_error(x, &d, E403, a->value->span, "this has %u %s, and `%s` of `%s` has %u", a->dims.n,
                   a->dims.n == 1 ? "dimension" : "dimensions", a->to->name.name, x->callee->name.name, n);
        if (d) diag_note(c, d, a->to->span, "declared here");
        if (d) diag_hint(c, d, "dimensions match by position from the last; those before become ambient");
        return;
    }
    arrange(x, a);
    for (unsigned k = 0; k < n; k++) {
        const char *name = a->to->dims.at[k].name;
        Index *outer = a->dims.dims[a->dims.n - n + k];
        Symbol *old = matched(x, name);
        if (old) same_extent(x, outer, old->index, name);
        else
            PUSH(c, &x->matched,
                 (Symbol){.name = name, .kind = SYMBOL_INDEX, .span = a->value->span, .index = outer});
    }
}

/* Dimensions in front: an ambient index of the callee by name, else a new one (which needs no name there). */
static void match_ambient(Call *x, const Argument *a)
{
    for (unsigned k = 0; k + a->to->dims.n < a->dims.n; k++) {
        Index *outer = a->dims.dims[k];
        if (!is_ambient(x->callee, outer->name) || matched(x, outer->name)) continue;
        bool taken = false;
        for (uint32_t n = 0; n < x->matched.n; n++)
            taken |= x->matched.at[n].index == outer && is_ambient(x->callee, x->matched.at[n].name);
        if (!taken)
            PUSH(x->e->k->c, &x->matched,
                 (Symbol){.name = outer->name, .kind = SYMBOL_INDEX, .span = a->value->span, .index = outer});
    }
}

static void match_all(Call *x)
{
    x->renamed = x->matched.n;
    for (uint32_t n = 0; n < x->arguments.n && !x->failed; n++) match_dims(x, &x->arguments.at[n]);
    for (uint32_t n = 0; n < x->arguments.n && !x->failed; n++) match_ambient(x, &x->arguments.at[n]);
}

/* An index of the callee that no argument has: the caller's index of that name. */
static Index *outer_index(const Call *x, const char *name)
{
    Symbol *m = matched(x, name);
    if (m) return m->index;
    Symbol *s = scope_find(x->e->scope, name);
    return s && s->kind == SYMBOL_INDEX ? s->index : NULL;
}

/* ---- outputs ---- */

static const char *output_names(Compilation *c, const AstPattern *p)
{
    Text text = {.c = c};
    for (uint32_t n = 0; n < p->outputs.n; n++)
        text_add(&text, "%s`.%s`", n ? ", " : "", p->outputs.at[n]->name.name);
    return text.n ? text.at : "none";
}

static const AstTensor *which_output(Call *x, const AstName *member)
{
    Compilation *c = x->e->k->c;
    const AstPattern *p = x->callee;
    Diag *d;
    if (!member && p->outputs.n == 1) return p->outputs.at[0];
    if (!member) {
        call_error(x, &d, E404, x->ast->span, "`%s` has %u outputs", p->name.name, p->outputs.n);
        if (d) diag_hint(c, d, "say which: %s", output_names(c, p));
        return NULL;
    }
    const AstTensor *t = find_tensor(&p->outputs, member->name);
    if (t) return t;
    call_error(x, &d, E405, member->span, "`%s` has no output `%s`", p->name.name, member->name);
    if (d) diag_hint(c, d, "it has %s", output_names(c, p));
    return NULL;
}

static Symbol *instance_index(Instance *in, const char *name)
{
    Symbol *s = scope_find(&in->scope, name);
    return s && s->kind == SYMBOL_INDEX ? s : NULL;
}

/* ---- parameters ---- */

static Node *parameter_value(Call *x, const AstParam *p, const Ast *given, Instance *in)
{
    Type type = storage_type(p->type.type);
    Env outer = {.k = x->e->k, .scope = x->e->scope}, inner = {.k = x->e->k, .scope = &in->scope};
    const char *what = format(x->e->k->c, "parameter `%s`", p->name.name);
    if (given) return elaborate_scalar(&outer, given, type, E407, what);
    if (p->value) return elaborate_scalar(&inner, p->value, type, E508, what);
    Diag *d;
    call_error(x, &d, E401, x->ast->span, "parameter `%s` of `%s` is missing", p->name.name,
               x->callee->name.name);
    if (d) diag_hint(x->e->k->c, d, "pass it by name: `%s = ...`", p->name.name);
    return NULL;
}

static void pass_parameters(Call *x, Instance *in)
{
    Checker *k = x->e->k;
    for (uint32_t n = 0; n < x->callee->params.n; n++) {
        const AstParam *p = &x->callee->params.at[n];
        const Ast *given = NULL;
        for (uint32_t m = 0; m < x->ast->n; m++)
            if (ast_arg(x->ast, m).name == p->name.name) given = ast_arg(x->ast, m).value;
        Node *node = parameter_value(x, p, given, in);
        if (!node) x->failed = true;
        scope_add(k, &in->scope,
                  (Symbol){.name = p->name.name, .kind = SYMBOL_NODE, .span = p->name.span, .node = node});
        PUSH(k->c, &in->key, node);
    }
}

/* ---- the instance ---- */

static void callee_index(Call *x, Instance *in, AstName name)
{
    Checker *k = in->k;
    if (instance_index(in, name.name)) return;
    Index *outer = outer_index(x, name.name);
    if (is_ambient(x->callee, name.name)) {
        if (outer && scope_find(&in->scope, name.name) == NULL)
            scope_add(k, &in->scope,
                      (Symbol){.name = name.name, .kind = SYMBOL_INDEX, .span = name.span, .index = outer});
        return;
    }
    Index *index = declare_index(in, name.name, name.span);
    k->info[index->id].outer = outer;
}

static void callee_indices(Call *x, Instance *in)
{
    const AstPattern *p = x->callee;
    for (uint32_t n = 0; n < p->ambient.n; n++) callee_index(x, in, p->ambient.at[n]);
    const AstTensors *lists[] = {&p->inputs, &p->outputs, &p->captures};
    for (unsigned m = 0; m < 3; m++)
        for (uint32_t n = 0; n < lists[m]->n; n++)
            for (uint32_t d = 0; d < lists[m]->at[n]->dims.n; d++)
                callee_index(x, in, lists[m]->at[n]->dims.at[d]);
}

static Entity *callee_entity(Instance *in, const AstTensor *t, Role role)
{
    Checker *k = in->k;
    Entity *made = NEW(k->c, Entity);
    *made = (Entity){.name = t->name.name,
                     .span = t->name.span,
                     .owner = in,
                     .role = role,
                     .declared = t,
                     .written = true,
                     .type = storage_type(t->type.type)};
    return scope_add(k, &in->scope,
                     (Symbol){.name = made->name, .kind = SYMBOL_ENTITY, .span = made->span, .entity = made})
               ? made
               : NULL;
}

/* Declared ranges hold for what is read. */
static Node *in_range(Instance *in, const Argument *a, Node *n)
{
    if (!a->to->type.lo) return n;
    Checker *k = in->k;
    Env e = {.k = k, .scope = &in->scope};
    const char *what = format(k->c, "a bound of the range of `%s`", a->to->name.name);
    Node *lo = elaborate_scalar(&e, a->to->type.lo, TYPE_INT, E509, what);
    Node *hi = elaborate_scalar(&e, a->to->type.hi, TYPE_INT, E509, what);
    if (!lo || !hi) return n;
    if (n->op == N_READ && n->tensor->lo == lo && n->tensor->hi == hi) return n;
    const Source *s = &k->c->sources.at[a->to->type.span.source];
    const char *text =
        format(k->c, "%s%s: %.*s", in->prefix, a->to->name.name,
               (int)(a->to->type.hi->span.to - a->to->type.span.from), s->text + a->to->type.span.from);
    PUSH(k->c, &k->pattern->checks, (RunCheck){text, a->value->span});
    return node_check(k->c, n, lo, hi, k->pattern->checks.n - 1);
}

static void callee_input(Call *x, Instance *in, const Argument *a)
{
    Checker *k = in->k;
    Compilation *c = k->c;
    Entity *t = callee_entity(in, a->to, a->role);
    if (!t) { x->failed = true; return; }
    t->state = ENTITY_DONE;
    unsigned front = a->dims.n - a->to->dims.n;
    t->n_dims = a->dims.n;
    t->n_ambient = front;
    t->dims = NEW_ARRAY(c, Index *, t->n_dims + 1);
    t->from = a->dims.dims;
    for (unsigned d = 0; d < t->n_dims; d++) {
        t->dims[d] = a->dims.dims[d];
        if (d < front) continue;
        Symbol *s = instance_index(in, a->to->dims.at[d - front].name);
        if (s) t->dims[d] = s->index;
    }
    t->argument = in_range(in, a, a->node);
    t->kept = a->kept;
    if (!t->kept) return;
    /* Written over the caller's dimensions; entities keep it over their own. */
    Node **to = NEW_ARRAY(c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) to[d] = node_index(c, t->dims[d]);
    t->kept = node_substitutable(c, t->kept, t->n_dims, t->from, to)
                  ? node_substitute(c, t->kept, t->n_dims, t->from, to)
                  : NULL;
}

static void callee_outputs(Call *x, Instance *in)
{
    Checker *k = in->k;
    for (uint32_t n = 0; n < x->callee->outputs.n; n++) {
        const AstTensor *a = x->callee->outputs.at[n];
        Entity *t = callee_entity(in, a, ROLE_OUTPUT);
        if (!t) { x->failed = true; continue; }
        t->dims = NEW_ARRAY(k->c, Index *, a->dims.n + 1);
        for (uint32_t d = 0; d < a->dims.n; d++) {
            Symbol *s = instance_index(in, a->dims.at[d].name);
            if (s) t->dims[t->n_dims++] = s->index;
        }
        PUSH(k->c, &in->entities, t);
        PUSH(k->c, &k->entities, t);
    }
}

/* ---- arguments ---- */

/* A simple read stays what it is; anything else becomes an equation of the caller. */
static void elaborate_argument(Call *x, Argument *a)
{
    Checker *k = x->e->k;
    Env plain = {.k = k, .scope = x->e->scope};
    Value v = elaborate(&plain, a->value);
    const char *what = format(k->c, "`%s` of `%s`", a->to->name.name, x->callee->name.name);
    v = value_convert(&plain, v, storage_type(a->to->type.type), a->value->span, what);
    if (!v.node) { x->failed = true; return; }
    a->dims = argument_dims(&plain, a->value, v.free);
    Node *n = value_node(k, v);
    a->kept = v.kept;
    bool simple = n->op == N_READ || (n->op == N_TO_REAL && n->args[0]->op == N_READ) || n->op == N_REAL ||
                  n->op == N_INT;
    for (unsigned m = 0; simple && n->op == N_READ && m < n->n_args; m++) simple = !n->args[m]->has_binder;
    if (!simple) {
        const char *name =
            format(k->c, "%s.%s.%s", k->equation ? k->equation : "", x->callee->name.name, a->to->name.name);
        Tensor *t = NULL;
        for (uint32_t m = 0; m < k->aux.n; m++)
            if (k->aux.at[m].node == n) t = k->aux.at[m].tensor;
        if (!t) {
            t = equation_new(k, name, a->dims.n, a->dims.dims, n->type, a->value->span);
            t->body = n;
            t->data = n->data;
            PUSH(k->c, &k->aux, (Aux){n, t});
        }
        n = read_tensor(k, t, &plain);
    }
    a->node = n;
}

static Instance *same_call(Call *x, Instance *in)
{
    Checker *k = x->e->k;
    for (uint32_t n = 0; n < k->instances.n; n++) {
        Instance *old = k->instances.at[n];
        bool same = old->ast == in->ast && old->key.n == in->key.n && old->matched.n == in->matched.n &&
                    old->key_dims.n == in->key_dims.n;
        for (uint32_t m = 0; same && m < in->key.n; m++) same = old->key.at[m] == in->key.at[m];
        for (uint32_t m = 0; same && m < in->key_dims.n; m++)
            same = old->key_dims.at[m] == in->key_dims.at[m];
        for (uint32_t m = 0; same && m < in->matched.n; m++)
            same = old->matched.at[m].name == in->matched.at[m].name &&
                   old->matched.at[m].index == in->matched.at[m].index;
        if (same) return old;
    }
    return NULL;
}

static void instance_key(Call *x, Instance *in)
{
    Compilation *c = in->k->c;
    for (uint32_t n = 0; n < x->arguments.n; n++) {
        PUSH(c, &in->key, x->arguments.at[n].node);
        for (unsigned d = 0; d < x->arguments.at[n].dims.n; d++)
            PUSH(c, &in->key_dims, x->arguments.at[n].dims.dims[d]);
    }
    for (uint32_t n = 0; n < x->matched.n; n++) PUSH(c, &in->matched, x->matched.at[n]);
}

static void fill_instance(Call *x, Instance *in)
{
    Checker *k = in->k;
    callee_indices(x, in);
    for (uint32_t n = 0; n < x->arguments.n; n++) callee_input(x, in, &x->arguments.at[n]);
    callee_outputs(x, in);
    if (x->failed) return;
    const char *equation = k->equation;
    unsigned component = k->component;
    declare_body(in);
    resolve_indices(in);
    for (uint32_t n = 0; n < in->ast->body.n; n++) /* carried states run as written */
        if (in->ast->body.at[n]->kind == AST_CARRY)
            for (uint32_t m = 0; m < in->entities.n; m++) in->entities.at[m]->carried = false;
    elaborate_requires(in);
    instance_equations(in);
    k->equation = equation;
    k->component = component;
}

static Instance *instantiate(Call *x, const Global *g)
{
    Checker *k = x->e->k;
    Instance *in = NEW(k->c, Instance);
    *in = (Instance){
        .k = k, .caller = x->e->scope->instance ? x->e->scope->instance : k->root, .ast = g->pattern};
    in->prefix = format(k->c, "%s.%s.", k->equation ? k->equation : "", g->name);
    in->scope = (Scope){.file = g->home, .instance = in, .inlined = x->callee, .caller = x->e->scope};
    pass_parameters(x, in);
    if (x->failed) return NULL;
    instance_key(x, in);
    Instance *old = same_call(x, in);
    if (old) return old;
    PUSH(k->c, &k->instances, in);
    fill_instance(x, in);
    return x->failed ? NULL : in;
}

/* ---- the value ---- */

static Value read_output(Call *x, Instance *in, const AstTensor *output)
{
    Checker *k = x->e->k;
    Symbol *s = scope_find(&in->scope, output->name.name);
    Entity *t = s->entity;
    if (!t->tensor || t->poisoned) return value_none();
    Env inner = {.k = k, .scope = &in->scope, .map = x->e->map, .pad = false};
    const IndexSet *free = set_empty(k->c);
    Node **at = NEW_ARRAY(k->c, Node *, t->n_dims + 1);
    bool *given = NEW_ARRAY(k->c, bool, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) {
        Index *index = t->dims[d], *outer = k->info[index->id].owner == in ? k->info[index->id].outer : index;
        if (!outer) {
            Diag *dg;
            Value none = fail(x->e, &dg, E403, x->ast->span,
                              "output `%s` of `%s` has an index `%s` that no argument has", t->name,
                              x->callee->name.name, index->name);
            diag_hint(k->c, dg, "declare an index of that name, or rename it: `%s = ...`", index->name);
            return none;
        }
        resolve_index(k, outer);
        if (outer->id > index->id || node_size(k->c, outer) != node_size(k->c, index))
            add_condition(k, node_binary(k->c, N_EQ, node_size(k->c, index), node_size(k->c, outer)),
                          x->ast->span, E403, "the extent of `%s%s` must be that of `%s`", in->prefix,
                          index->name, outer->name);
        at[d] = coordinate(&inner, outer);
        free = set_union(k->c, free, at[d]->free);
    }
    return check_read_at(&inner, t, at, given, free, x->ast->span);
}

Value call_pattern(const Env *e, const Ast *a, const Global *g, const AstName *member)
{
    Call x = {.e = e, .ast = a, .callee = g->pattern};
    const AstTensor *output = which_output(&x, member);
    if (!output || !may_enter(e, g->pattern, a->span, g->name)) return value_none();
    take_arguments(&x);
    for (uint32_t n = 0; n < x.arguments.n && !x.failed; n++) elaborate_argument(&x, &x.arguments.at[n]);
    if (!x.failed) match_all(&x);
    Instance *in = x.failed ? NULL : instantiate(&x, g);
    return in ? read_output(&x, in, output) : value_none();
}

/* ---- inference ---- */

/* Does the expression read an equation whose dimensions are still being inferred? */
static bool is_pending(const Env *e, const Ast *a)
{
    Entity *t = a->kind == AST_NAME || a->kind == AST_SUBSCRIPT ? find_entity(e->scope, a->name) : NULL;
    if (t && t->component && !t->tensor) return true;
    for (uint32_t n = 0; n < a->n; n++)
        if (is_pending(e, a->operands[n])) return true;
    return false;
}

/* Arguments whose dimensions are known say what the indices of the callee are; the others come after them. */
static void match_inferred(Call *x)
{
    x->renamed = x->matched.n;
    for (int pending = 0; pending < 2; pending++)
        for (uint32_t n = 0; n < x->arguments.n; n++) {
            Argument *a = &x->arguments.at[n];
            if (is_pending(x->e, a->value) != (bool)pending) continue;
            a->dims = argument_dims(x->e, a->value, infer_expression(x->e, a->value).free);
            if (a->dims.n < a->to->dims.n) a->dims.n = 0; /* it will have more */
            else match_dims(x, a);
        }
    for (uint32_t n = 0; n < x->arguments.n; n++) match_ambient(x, &x->arguments.at[n]);
}

/* The caller's indices that an argument brings besides those that the callee names. */
static const IndexSet *ambient_of(const Call *x, const Argument *a)
{
    Compilation *c = x->e->k->c;
    const IndexSet *free = set_empty(c);
    unsigned n = a->dims.n ? a->to->dims.n : 0;
    for (unsigned d = 0; d < a->dims.n; d++) {
        bool front = d + n < a->dims.n;
        bool named = !front && is_explicit(x->callee, a->to, a->role) &&
                     is_ambient(x->callee, a->to->dims.at[d + n - a->dims.n].name);
        if (front || named) free = set_union(c, free, set_one(c, a->dims.dims[d]));
    }
    return free;
}

Inferred infer_pattern_call(const Env *e, const Ast *a, const Global *g, const AstName *member)
{
    Checker *k = e->k;
    Call x = {.e = e, .ast = a, .callee = g->pattern, .quiet = true};
    Inferred result = {set_empty(k->c), -1};
    const AstTensor *output = which_output(&x, member);
    if (!output) return result;
    take_arguments(&x);
    if (x.failed) return result;
    match_inferred(&x);
    for (uint32_t n = 0; n < x.arguments.n; n++)
        result.free = set_union(k->c, result.free, ambient_of(&x, &x.arguments.at[n]));
    for (uint32_t d = 0; d < output->dims.n; d++) {
        Index *outer = outer_index(&x, output->dims.at[d].name);
        if (outer) result.free = set_union(k->c, result.free, set_one(k->c, outer));
    }
    result.type = (int)storage_type(output->type.type);
    return result;
}
