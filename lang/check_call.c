/* Calls of masks and functions: inlined; arguments are elaborated where they are used. */
#include "check.h"

#include <string.h>

/* By text, not by time: an argument belongs to the caller, wherever it is evaluated. */
bool calls_itself(const Scope *s, const void *what)
{
    for (; s; s = s->caller)
        if (s->inlined == what) return true;
    return false;
}

bool may_enter(const Env *e, const void *what, Span span, const char *name)
{
    if (!calls_itself(e->scope, what)) return true;
    report(e->k->c, E406, span, "`%s` calls itself", name);
    return false;
}

static void hint_form(const Env *e, Diag *d, const AstFunction *f)
{
    Text text = {.c = e->k->c};
    for (uint32_t n = 0; n < f->args.n; n++)
        text_add(&text, f->args.at[n].is_index ? "%s[%s]" : "%s%s", n ? ", " : "", f->args.at[n].name.name);
    diag_note(e->k->c, d, f->name.span, "defined here");
    diag_hint(e->k->c, d, "write `%s(%s)`", f->name.name, f->args.n ? text.at : "");
}

static Value wrong_count(const Env *e, const Ast *a, const AstFunction *f)
{
    Diag *d;
    Value none = fail(e, &d, E105, a->span, "`%s` takes %u argument%s, not %u", a->name, f->args.n,
                      f->args.n == 1 ? "" : "s", a->n);
    hint_form(e, d, f);
    return none;
}

/* An index argument `[d]`. */
static bool pass_index(const Env *e, Scope *s, const AstFunctionArg *to, AstArg from, const Ast *a)
{
    const Ast *v = from.value;
    if (!from.is_index) {
        Diag *d;
        fail(e, &d, E105, from.span, "`%s` of `%s` is the name of an index", to->name.name, a->name);
        if (v && v->kind == AST_NAME) diag_hint(e->k->c, d, "write `[%s]`", v->name);
        return false;
    }
    Index *index = find_index(e, v->name, v->span);
    if (!index) return false;
    PUSH(e->k->c, &s->symbols,
         (Symbol){.name = to->name.name, .kind = SYMBOL_INDEX, .span = to->name.span, .index = index});
    return true;
}

Closure *closure_new(Checker *k, const Ast *a, Scope *scope)
{
    Closure *made = NEW(k->c, Closure);
    made->ast = a;
    made->scope = scope;
    return made;
}

static bool pass(const Env *e, Scope *s, const AstFunctionArg *to, AstArg from, const Ast *a)
{
    if (to->is_index) return pass_index(e, s, to, from, a);
    if (from.is_index) {
        Diag *d;
        fail(e, &d, E105, from.span, "`%s` of `%s` is a value, not the name of an index", to->name.name,
             a->name);
        diag_hint(e->k->c, d, "write it without the square brackets");
        return false;
    }
    Closure *made = closure_new(e->k, from.value, e->scope);
    PUSH(e->k->c, &s->symbols,
         (Symbol){.name = to->name.name, .kind = SYMBOL_CLOSURE, .span = to->name.span, .closure = made});
    return true;
}

AstArg argument_for(const AstFunction *f, const Ast *a, uint32_t n)
{
    uint32_t positional = 0;
    for (uint32_t k = 0; k < a->n; k++) {
        AstArg arg = ast_arg(a, k);
        if (arg.name ? arg.name == f->args.at[n].name.name : positional++ == n) return arg;
    }
    return (AstArg){0};
}

Value call_function(const Env *e, const Ast *a, const Global *g)
{
    Checker *k = e->k;
    const AstFunction *f = g->function;
    if (a->n != f->args.n) return wrong_count(e, a, f);
    Scope *s = NEW(k->c, Scope);
    *s = (Scope){.file = g->home, .function = f->name.name, .inlined = f, .caller = e->scope};
    bool good = true;
    for (uint32_t n = 0; n < f->args.n; n++) {
        AstArg arg = argument_for(f, a, n);
        if (!arg.value) {
            Diag *d;
            fail(e, &d, E105, a->span, "`%s` of `%s` is missing", f->args.at[n].name.name, a->name);
            hint_form(e, d, f);
            return value_none();
        }
        good &= pass(e, s, &f->args.at[n], arg, a);
    }
    for (uint32_t n = 0; n < f->locals.n; n++) {
        const AstLocal *l = &f->locals.at[n];
        Scope *earlier = NEW(k->c, Scope); /* a definition sees those above it */
        *earlier = *s;
        good &= scope_add(k, s, (Symbol){.name = l->name.name, .kind = SYMBOL_CLOSURE, .span = l->name.span,
                                         .closure = closure_new(k, l->value, earlier)});
    }
    if (!good || !may_enter(e, f, a->span, f->name.name)) return value_none();
    Env inner = *e;
    inner.scope = s;
    Value v = elaborate(&inner, f->body);
    if (!f->is_mask && v.node && v.node->type == TYPE_BOOL) {
        Diag *d;
        fail(e, &d, E104, f->body->span, "`%s` is a bool", f->name.name);
        diag_hint(k->c, d, "functions to bool are declared by `mask`");
        return value_none();
    }
    return f->is_mask ? value_convert(e, v, TYPE_BOOL, f->body->span, "the body of a mask") : v;
}
