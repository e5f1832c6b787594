/* Names in the bodies of masks and functions, whether they are called or not: arguments, locals, other
 * functions. */
#include "check.h"

#include <string.h>

typedef struct Names { Checker *k; const AstFunction *f; Scope scope; } Names;

static void unknown(Names *x, const Ast *a, const char *name, Span span, bool function)
{
    if (function) {
        if (global_find(x->scope.file, name) || is_builtin(name) || is_bracket(name)) return;
        Diag *d = report(x->k->c, E102, span, "unknown function `%s`", name);
        hint_name(x->k, d, &x->scope, name, true);
        return;
    }
    bool known = scope_find(&x->scope, name) || !strcmp(name, "pi") || !strcmp(name, "inf");
    if (known) return;
    if (global_find(x->scope.file, name) || is_builtin(name) || is_bracket(name))
        return; /* reported at a call */
    (void)a;
    Diag *d = report(x->k->c, E101, span, "unknown name `%s`", name);
    hint_name(x->k, d, &x->scope, name, false);
    diag_hint(x->k->c, d, "`%s` sees its arguments alone: what it uses has to be passed", x->f->name.name);
}

static void check_names(Names *x, const Ast *a)
{
    if (a->kind == AST_NAME || a->kind == AST_SUBSCRIPT) unknown(x, a, a->name, a->name_span, false);
    bool call = a->kind == AST_CALL && !scope_find(&x->scope, a->name);
    if (call) unknown(x, a, a->name, a->name_span, true);
    for (uint32_t n = 0; n < a->n; n++) check_names(x, a->operands[n]);
}

static void add_name(Names *x, AstName name)
{
    scope_add(x->k, &x->scope, (Symbol){.name = name.name, .kind = SYMBOL_NODE, .span = name.span});
}

static void check_function(Checker *k, FileScope *file, const AstFunction *f)
{
    Names x = {.k = k, .f = f, .scope = {.file = file, .function = f->name.name}};
    for (uint32_t n = 0; n < f->args.n; n++) add_name(&x, f->args.at[n].name);
    for (uint32_t n = 0; n < f->locals.n; n++) {
        check_names(&x, f->locals.at[n].value);
        add_name(&x, f->locals.at[n].name);
    }
    if (f->body) check_names(&x, f->body);
}

void check_functions(Checker *k, FileScope *f)
{
    for (uint32_t n = 0; n < f->file->functions.n; n++) check_function(k, f, f->file->functions.at[n]);
}
