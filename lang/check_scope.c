/* Names: scopes, functions and patterns in reach, and suggestions for names that do not exist. */
#include "check.h"

#include <string.h>

Symbol *scope_find(Scope *s, const char *name)
{
    if (s->symbols.n && s->numbers.n == s->symbols.n) {
        int64_t number = names_get(&s->numbers, name);
        return number == NO_NUMBER ? NULL : &s->symbols.at[number];
    }
    for (uint32_t k = s->symbols.n; k-- > 0;)
        if (s->symbols.at[k].name == name) return &s->symbols.at[k];
    return NULL;
}

static bool is_constant(const char *name)
{
    return !strcmp(name, "pi") || !strcmp(name, "inf");
}

bool scope_add(Checker *k, Scope *s, Symbol symbol)
{
    Symbol *old = scope_find(s, symbol.name);
    if (!old && !is_constant(symbol.name)) {
        if (s->numbers.n == s->symbols.n) names_put(k->c, &s->numbers, symbol.name, s->symbols.n);
        PUSH(k->c, &s->symbols, symbol);
        return true;
    }
    Diag *d =
        report(k->c, E501, symbol.span,
               old ? "`%s` is defined twice" : "`%s` is a constant and cannot be redefined", symbol.name);
    if (old) diag_note(k->c, d, old->span, "first defined here");
    diag_hint(
        k->c, d,
        "indices, tensors, parameters and equations of a pattern share one name space: choose another name");
    return false;
}

Global *global_find(FileScope *f, const char *name)
{
    int64_t number = names_get(&f->numbers, name);
    return number == NO_NUMBER ? NULL : &f->globals.at[number];
}

/* Edit distance with transpositions, cut off at `limit`. */
static unsigned distance(const char *a, const char *b, unsigned limit)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > 40 || m > 40 || (n > m ? n - m : m - n) > limit) return limit + 1;
    unsigned row[3][42];
    for (size_t j = 0; j <= m; j++) row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

typedef struct Best { const char *name, *near; unsigned distance; } Best;
static void consider(Best *b, const char *candidate)
{
    unsigned d = distance(b->name, candidate, b->distance - 1);
    if (d >= b->distance || d == 0) return;
    b->distance = d;
    b->near = candidate;
}

static const char *const function_names[] = {
#define FUNCTION(name, arguments, summary) #name,
#include "function_list.h"
#undef FUNCTION
};

static bool tell_best(Checker *k, Diag *d, const Best *b)
{
    if (!b->near || strlen(b->near) <= b->distance) return false;
    diag_hint(k->c, d, "did you mean `%s`?", b->near);
    return true;
}

static Best begin_best(const char *name)
{
    size_t n = strlen(name);
    return (Best){name, NULL, n < 3 ? 2 : n < 6 ? 3 : 4};
}

enum { HINTS_MAX = 200 /* errors for which names are compared */ };

void hint_name(Checker *k, Diag *d, Scope *s, const char *name, bool functions)
{
    if (k->c->errors > HINTS_MAX) return;
    const char *file = functions ? library_file(k, s->file, name) : NULL;
    if (file) {
        diag_hint(k->c, d, "it is in the library: `use \"%s\"`", file);
        return;
    }
    Best b = begin_best(name);
    for (uint32_t i = 0; !functions && i < s->symbols.n; i++) consider(&b, s->symbols.at[i].name);
    for (uint32_t i = 0; functions && i < s->file->globals.n; i++) consider(&b, s->file->globals.at[i].name);
    for (size_t i = 0; functions && i < sizeof function_names / sizeof *function_names; i++)
        consider(&b, function_names[i]);
    tell_best(k, d, &b);
}

bool hint_among(Checker *k, Diag *d, const char *name, uint32_t n, const char *const *names)
{
    Best b = begin_best(name);
    for (uint32_t i = 0; i < n; i++) consider(&b, names[i]);
    return tell_best(k, d, &b);
}

const char *cited(Compilation *c, Span span)
{
    enum { MOST = 60 };
    const char *text = c->sources.at[span.source].text;
    Text out = {.c = c};
    text_add(&out, "%s", "");
    for (uint32_t k = span.from; k < span.to && text[k] != '#'; k++) {
        bool white = strchr(" \t\r\n", text[k]) != NULL;
        if (out.n >= MOST && ((unsigned char)text[k] & 0xC0) != 0x80) return text_add(&out, "..."), out.at;
        if (!white) text_add_bytes(&out, text + k, 1);
        else if (out.n && out.at[out.n - 1] != ' ') text_add(&out, " ");
    }
    return out.at;
}

Index *find_index(const Env *e, const char *name, Span span)
{
    Symbol *s = scope_find(e->scope, name);
    if (s && s->kind == SYMBOL_INDEX) return s->index;
    Compilation *c = e->k->c;
    Diag *d = report(c, E103, span, s ? "`%s` is not an index" : "there is no index `%s`", name);
    if (s) diag_note(c, d, s->span, "`%s` is defined here", name);
    else if (e->scope->function)
        diag_hint(c, d, "a function takes the indices that it binds as arguments in [ ]: `%s(x, [%s])`",
                  e->scope->function, name);
    else hint_name(e->k, d, e->scope, name, false);
    return NULL;
}

Entity *find_entity(Scope *s, const char *name)
{
    for (unsigned steps = 0; steps < 10000; steps++) {
        Symbol *symbol = scope_find(s, name);
        if (symbol && symbol->kind == SYMBOL_ENTITY) return symbol->entity;
        if (!symbol || symbol->kind != SYMBOL_CLOSURE || symbol->closure->ast->kind != AST_NAME) return NULL;
        s = symbol->closure->scope;
        name = symbol->closure->ast->name;
    }
    return NULL;
}
