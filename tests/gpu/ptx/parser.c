/* A module of PTX: variables, functions, and in them statements whose names are resolved to symbols.
 *
 * Requires: the text, of version 6 or later with 64-bit addresses. Ensures: every register has a slot in its
 * function, every variable an offset or an address, every label a statement. */
#include "lexer.h"

#include <string.h>

typedef struct NameEntry {
    const char *name;
    Symbol *symbol;
} NameEntry;
typedef struct Scope {
    uint32_t symbols, labels, uses;
} Scope; /* where its part of the lists begins */

typedef struct Parser {
    Lexer l;
    PtxModule *m;
    Compilation *c;
    PtxFunction *f;   /* inside one */
    NameEntry *names; /* open addressing by pointer */
    uint32_t n_names, capacity;
    VEC(Symbol *) declared, labels, uses; /* of all open scopes; uses: of labels, not yet found */
    uint32_t source_line;
} Parser;

/* ---- Names ---- */
static NameEntry *name_slot(const Parser *p, const char *name)
{
    size_t hash = (size_t)(uintptr_t)name / 16 * 0x9e3779b97f4a7c15ull >> 20;
    for (;; hash++) {
        NameEntry *e = &p->names[hash & (p->capacity - 1)];
        if (!e->name || e->name == name) return e;
    }
}

static void grow_names(Parser *p)
{
    NameEntry *old = p->names;
    uint32_t n = p->capacity;
    p->capacity = n ? n * 2 : 1024;
    p->names = NEW_ARRAY(p->c, NameEntry, p->capacity);
    for (uint32_t k = 0; k < n; k++)
        if (old[k].name) *name_slot(p, old[k].name) = old[k];
}

static Symbol *lookup(const Parser *p, const char *name) { return name_slot(p, name)->symbol; }

static Symbol *declare(Parser *p, const char *name, SymbolKind kind)
{
    if (p->n_names >= p->capacity / 2) grow_names(p);
    NameEntry *e = name_slot(p, name);
    if (!e->name) p->n_names++;
    Symbol *s = NEW(p->c, Symbol);
    *s = (Symbol){.name = name, .kind = kind, .outer = e->symbol};
    *e = (NameEntry){name, s};
    PUSH(p->c, &p->declared, s);
    return s;
}

static Scope open_scope(const Parser *p) { return (Scope){p->declared.n, p->labels.n, p->uses.n}; }

/* Uses of labels of this scope are found; others are left to the scope around it. */
static void close_scope(Parser *p, Scope s)
{
    uint32_t kept = s.uses;
    for (uint32_t u = s.uses; u < p->uses.n; u++) {
        Symbol *use = p->uses.at[u];
        for (uint32_t k = s.labels; k < p->labels.n && !use->defined; k++)
            if (p->labels.at[k]->name == use->name) {
                use->defined = true;
                use->pc = p->labels.at[k]->pc;
                use->targets.at = p->labels.at[k]->targets.at;
                use->targets.n = p->labels.at[k]->targets.n;
            }
        if (!use->defined) p->uses.at[kept++] = use;
    }
    p->uses.n = kept;
    p->labels.n = s.labels;
    while (p->declared.n > s.symbols) {
        Symbol *symbol = p->declared.at[--p->declared.n];
        name_slot(p, symbol->name)->symbol = symbol->outer;
    }
}

/* ---- Types and variables ---- */
static Type type_word(Parser *p)
{
    Type t = NO_TYPE;
    if (p->l.kind == TOKEN_WORD && p->l.text[0] == '.') t = type_find(p->l.text + 1, p->l.length - 1);
    if (t) lexer_next(&p->l);
    return t;
}

static uint64_t align_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

static uint32_t take(uint32_t *size, const Symbol *v)
{
    uint64_t offset = align_up(*size, v->align);
    *size = (uint32_t)(offset + v->size);
    return (uint32_t)offset;
}

/* `.align 8 .b8 name[16]`, with attributes before the type that do not matter here. */
static Symbol *variable(Parser *p, Space space)
{
    uint32_t align = 0, vector = 1;
    Type t = NO_TYPE;
    while (p->l.kind == TOKEN_WORD && p->l.text[0] == '.') {
        if (lexer_accept_word(&p->l, ".align"))
            align = (uint32_t)lexer_integer(&p->l);
        else if (lexer_accept_word(&p->l, ".v2"))
            vector = 2;
        else if (lexer_accept_word(&p->l, ".v4"))
            vector = 4;
        else if (!t && (t = type_word(p)))
            continue;
        else if (!lexer_accept_word(&p->l, ".ptr") && !lexer_accept_word(&p->l, ".global") &&
                 !lexer_accept_word(&p->l, ".shared") && !lexer_accept_word(&p->l, ".const") &&
                 !lexer_accept_word(&p->l, ".local") && !lexer_accept_word(&p->l, ".managed"))
            module_fail(p->m, p->l.token_line, "unknown attribute `%.*s`", (int)p->l.length, p->l.text);
    }
    if (!t) module_fail(p->m, p->l.token_line, "a variable without a type");
    uint32_t bytes = type_bits(t) / 8 * vector;
    if (align == 0 || t != T_b8) align = align > bytes ? align : bytes;
    Symbol *v = declare(p, lexer_name(&p->l), VARIABLE);
    *v = (Symbol){.name = v->name,
                  .kind = VARIABLE,
                  .outer = v->outer,
                  .type = t,
                  .space = space,
                  .align = align,
                  .size = bytes};
    while (lexer_accept(&p->l, '[')) {
        if (lexer_is_mark(&p->l, ']'))
            v->dynamic = true, v->size = 0;
        else
            v->size *= (uint64_t)lexer_integer(&p->l);
        lexer_expect(&p->l, ']');
    }
    return v;
}

static void initializer(Parser *p, Symbol *v)
{
    unsigned char *at = ptx_bytes(p->m->device, v->address, v->size);
    size_t bytes = type_bits(v->type) / 8, n = 0;
    bool list = lexer_accept(&p->l, '{');
    do {
        if (list && lexer_is_mark(&p->l, '}')) break;
        uint64_t value;
        if (p->l.kind == TOKEN_DOUBLE) {
            value = from_double(v->type, p->l.number, M_RN);
            lexer_next(&p->l);
        } else {
            value = (uint64_t)lexer_integer(&p->l);
        }
        if ((n + 1) * bytes > v->size) module_fail(p->m, p->l.token_line, "too many values for %s", v->name);
        memcpy(at + n++ * bytes, &value, bytes);
    } while (lexer_accept(&p->l, ','));
    if (list) lexer_expect(&p->l, '}');
}

static void global_variable(Parser *p, Space space)
{
    Symbol *v = variable(p, space);
    v->address = ptx_alloc(p->m->device, v->size ? v->size : 1);
    if (!v->address) module_fail(p->m, p->l.token_line, "out of memory");
    memset(ptx_bytes(p->m->device, v->address, v->size), 0, v->size);
    if (lexer_accept(&p->l, '=')) initializer(p, v);
    lexer_expect(&p->l, ';');
    PUSH(p->c, &p->m->variables, v);
}

/* Of a kernel in its own part; of the module and of device functions in a part that all kernels have. */
static void shared_variable(Parser *p)
{
    Symbol *v = variable(p, SHARED);
    bool own = p->f && p->f->entry;
    if (!v->dynamic) v->offset = take(own ? &p->f->shared_size : &p->m->shared_size, v);
    v->function = own ? p->f : NULL;
    lexer_expect(&p->l, ';');
}

static void local_variable(Parser *p)
{
    do {
        Symbol *v = variable(p, LOCAL);
        v->offset = take(&p->f->local_size, v);
        v->function = p->f;
    } while (lexer_accept(&p->l, ','));
    lexer_expect(&p->l, ';');
}

static void registers(Parser *p)
{
    Type t = type_word(p);
    if (!t)
        module_fail(p->m, p->l.token_line, "unknown type of a register `%.*s`", (int)p->l.length, p->l.text);
    do {
        const char *name = lexer_name(&p->l);
        int64_t n = -1;
        if (lexer_accept(&p->l, '<')) {
            n = lexer_integer(&p->l);
            lexer_expect(&p->l, '>');
        }
        for (int64_t k = 0; k < (n < 0 ? 1 : n); k++) {
            const char *full = n < 0 ? name : format(p->c, "%s%d", name, (int)k);
            Symbol *r = declare(p, intern(p->c, full, strlen(full)), REGISTER);
            r->type = t;
            r->slot = p->f->n_rows;
            p->f->n_rows += rows_of(width_of(t));
        }
    } while (lexer_accept(&p->l, ','));
    lexer_expect(&p->l, ';');
}

/* ---- Operands ---- */
static bool special_operand(const Parser *p, Operand *o)
{
    static const struct {
        const char *text;
        Type type;
    } list[] = {
#define SPECIAL(name, text, type) {text, T_##type},
#include "special_list.h"
#undef SPECIAL
    };
    for (int32_t k = 0; k < SPECIALS; k++)
        if (lexer_is_word(&p->l, list[k].text)) {
            *o = (Operand){.kind = O_SPECIAL, .slot = k, .type = list[k].type};
            return true;
        }
    return false;
}

static Symbol *label_use(Parser *p, const char *name)
{
    Symbol *use = NEW(p->c, Symbol);
    *use = (Symbol){.name = name, .kind = LABEL, .pc = p->l.token_line};
    PUSH(p->c, &p->uses, use);
    return use;
}

static Operand named_operand(Parser *p)
{
    Operand o = {0};
    if (special_operand(p, &o)) {
        lexer_next(&p->l);
        return o;
    }
    if (lexer_accept_word(&p->l, "_")) return (Operand){.kind = O_SINK};
    if (lexer_accept_word(&p->l, "WARP_SZ")) return (Operand){.kind = O_INTEGER, .integer = LANES};
    const char *name = lexer_name(&p->l);
    if (name[0] == '%' && !lookup(p, name))
        module_fail(p->m, p->l.token_line, "`%s` is no register that is known here", name);
    Symbol *s = lookup(p, name);
    if (s && s->kind == REGISTER) return (Operand){.kind = O_REGISTER, .type = s->type, .slot = s->slot};
    return (Operand){.kind = O_SYMBOL, .symbol = s ? s : label_use(p, name)};
}

static int64_t offset_after(Parser *p)
{
    if (lexer_accept(&p->l, '+')) return lexer_integer(&p->l);
    return lexer_is_mark(&p->l, '-') ? lexer_integer(&p->l) : 0;
}

static Operand operand(Parser *p);

static Operand vector_operand(Parser *p)
{
    Operand v = {.kind = O_VECTOR, .at = NEW_ARRAY(p->c, Operand, MAX_VECTOR)};
    do {
        if (v.n == MAX_VECTOR) module_fail(p->m, p->l.token_line, "a vector of more than %d", MAX_VECTOR);
        v.at[v.n++] = operand(p);
    } while (lexer_accept(&p->l, ','));
    lexer_expect(&p->l, '}');
    return v;
}

static Operand address_operand(Parser *p)
{
    Operand o = {.kind = O_ADDRESS};
    if (p->l.kind == TOKEN_WORD) {
        o.at = NEW(p->c, Operand);
        *o.at = named_operand(p);
        o.integer = offset_after(p);
    } else {
        o.integer = lexer_integer(&p->l);
    }
    lexer_expect(&p->l, ']');
    return o;
}

static Operand operand(Parser *p)
{
    if (lexer_accept(&p->l, '{')) return vector_operand(p);
    if (lexer_accept(&p->l, '[')) return address_operand(p);
    if (lexer_accept(&p->l, '!')) {
        Operand o = operand(p);
        o.negated = true;
        return o;
    }
    if (p->l.kind == TOKEN_WORD) {
        Operand o = named_operand(p);
        if (o.kind == O_SYMBOL) o.integer = offset_after(p);
        return o;
    }
    bool negative = lexer_accept(&p->l, '-');
    if (p->l.kind != TOKEN_DOUBLE) {
        int64_t v = lexer_integer(&p->l);
        return (Operand){.kind = O_INTEGER, .integer = negative ? (int64_t)(0 - (uint64_t)v) : v};
    }
    Operand o = {.kind = O_DOUBLE, .number = negative ? -p->l.number : p->l.number};
    lexer_next(&p->l);
    return o;
}

static void operands(Parser *p, Statement *s)
{
    Operand list[MAX_OPERANDS];
    while (!lexer_is_mark(&p->l, ';')) {
        if (s->n == MAX_OPERANDS) module_fail(p->m, p->l.token_line, "more than %d operands", MAX_OPERANDS);
        Operand o = operand(p);
        if (lexer_accept(&p->l, '|')) { /* d|p */
            o.n = 1;
            Operand second = operand(p);
            o.at = NEW(p->c, Operand);
            *o.at = second;
        }
        list[s->n++] = o;
        if (!lexer_accept(&p->l, ',')) break;
    }
    s->operands = NEW_ARRAY(p->c, Operand, s->n);
    if (s->n) memcpy(s->operands, list, s->n * sizeof *list);
}

/* ---- Statements ---- */
static void opcode(Parser *p, Statement *s)
{
    const char *at = p->l.text, *end = at + p->l.length;
    while (at < end) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        if (!dot) dot = end;
        if (s->n_parts == MAX_PARTS)
            module_fail(p->m, p->l.token_line, "an opcode of more than %d parts", MAX_PARTS);
        s->parts[s->n_parts++] = intern(p->c, at, (size_t)(dot - at));
        at = dot + 1;
    }
    lexer_next(&p->l);
}

static Symbol *call_variable(Parser *p)
{
    const char *name = lexer_name(&p->l);
    Symbol *v = lookup(p, name);
    if (!v || v->kind != VARIABLE) module_fail(p->m, p->l.token_line, "`%s` is no .param variable", name);
    return v;
}

/* call (results), callee, (arguments); each list may be missing */
static void call(Parser *p, Statement *s)
{
    if (lexer_accept(&p->l, '(')) {
        do PUSH(p->c, &s->results, call_variable(p));
        while (lexer_accept(&p->l, ','));
        lexer_expect(&p->l, ')');
        lexer_expect(&p->l, ',');
    }
    const char *name = lexer_name(&p->l);
    s->callee = lookup(p, name);
    if (!s->callee || s->callee->kind != FUNCTION)
        module_fail(p->m, p->l.token_line,
                    "call of `%s`, which is no function (indirect calls are not known)", name);
    if (lexer_accept(&p->l, ',') && lexer_accept(&p->l, '(')) {
        if (!lexer_is_mark(&p->l, ')')) do
                PUSH(p->c, &s->arguments, call_variable(p));
            while (lexer_accept(&p->l, ','));
        lexer_expect(&p->l, ')');
    }
}

static void statement(Parser *p)
{
    Statement s = {.line = p->l.token_line, .source_line = p->source_line};
    if (lexer_accept(&p->l, '@')) s.guard = operand(p);
    if (p->l.kind != TOKEN_WORD) module_fail(p->m, p->l.token_line, "expected an instruction");
    s.line = p->l.token_line;
    opcode(p, &s);
    bool calls = !strcmp(s.parts[0], "call");
    if (calls)
        call(p, &s);
    else
        operands(p, &s);
    lexer_expect(&p->l, ';');
    PUSH(p->c, &p->f->statements, s);
    if (calls) {
        s.ends_call = true;
        s.guard = (Operand){0};
        PUSH(p->c, &p->f->statements, s);
    }
}

static void label(Parser *p, const char *name)
{
    Symbol *s = NEW(p->c, Symbol);
    *s = (Symbol){.name = name, .kind = LABEL, .pc = p->f->statements.n};
    if (lexer_accept_word(&p->l, ".branchtargets")) {
        do PUSH(p->c, &s->targets, label_use(p, lexer_name(&p->l)));
        while (lexer_accept(&p->l, ','));
        lexer_expect(&p->l, ';');
    }
    PUSH(p->c, &p->labels, s);
}

static void source_location(Parser *p) /* .loc file line column ... */
{
    lexer_integer(&p->l);
    p->source_line = (uint32_t)lexer_integer(&p->l);
    lexer_skip_line(&p->l);
}

static bool is_label(const Lexer *l)
{
    const char *at = l->at;
    while (at < l->end && (*at == ' ' || *at == '\t')) at++;
    return at < l->end && *at == ':';
}

static void body(Parser *p)
{
    Scope s = open_scope(p);
    while (!lexer_is_mark(&p->l, '}')) {
        if (p->l.kind == TOKEN_END) module_fail(p->m, p->l.token_line, "the text ends inside a function");
        if (lexer_accept(&p->l, ';')) continue;
        if (lexer_accept(&p->l, '{'))
            body(p);
        else if (lexer_accept_word(&p->l, ".reg"))
            registers(p);
        else if (lexer_accept_word(&p->l, ".shared"))
            shared_variable(p);
        else if (lexer_accept_word(&p->l, ".local") || lexer_accept_word(&p->l, ".param"))
            local_variable(p);
        else if (lexer_accept_word(&p->l, ".loc"))
            source_location(p);
        else if (lexer_is_word(&p->l, ".pragma") || lexer_is_word(&p->l, ".file"))
            lexer_skip_line(&p->l);
        else if (p->l.kind == TOKEN_WORD && is_label(&p->l)) {
            const char *name = lexer_name(&p->l);
            lexer_expect(&p->l, ':');
            label(p, name);
        } else
            statement(p);
    }
    close_scope(p, s);
    lexer_next(&p->l);
}

/* ---- Functions ---- */
static void parameters(Parser *p, PtxFunction *f, bool results)
{
    if (!lexer_accept(&p->l, '(')) return;
    while (!lexer_accept(&p->l, ')')) {
        if (!lexer_accept_word(&p->l, ".param"))
            module_fail(p->m, p->l.token_line, "expected .param (registers as parameters are not known)");
        Symbol *v = variable(p, f->entry ? PARAM : LOCAL);
        v->offset = take(f->entry ? &f->params_size : &f->local_size, v);
        v->function = f;
        if (results)
            PUSH(p->c, &f->results, v);
        else
            PUSH(p->c, &f->params, v);
        lexer_accept(&p->l, ',');
    }
}

static void function_attributes(Parser *p, PtxFunction *f)
{
    f->max_threads = 1024;
    while (!lexer_is_mark(&p->l, '{') && !lexer_is_mark(&p->l, ';')) {
        bool threads = lexer_is_word(&p->l, ".maxntid") || lexer_is_word(&p->l, ".reqntid");
        const char *name = lexer_name(&p->l);
        if (name[0] != '.') module_fail(p->m, p->l.token_line, "unexpected `%s`", name);
        uint32_t product = 1;
        while (p->l.kind == TOKEN_INTEGER) {
            product *= (uint32_t)lexer_integer(&p->l);
            lexer_accept(&p->l, ',');
        }
        if (threads) f->max_threads = product;
        if (p->l.kind == TOKEN_STRING) lexer_next(&p->l); /* .pragma "..."; */
    }
}

static PtxFunction *function_named(Parser *p, const char *name, bool entry)
{
    Symbol *s = lookup(p, name);
    if (!s) {
        s = declare(p, name, FUNCTION);
        s->function = NEW(p->c, PtxFunction);
        PUSH(p->c, &p->m->functions, s->function);
    }
    if (s->kind != FUNCTION || s->function->has_body)
        module_fail(p->m, p->l.token_line, "`%s` is there twice", name);
    *s->function = (PtxFunction){.name = name, .module = p->m, .entry = entry, .return_slot = NO_SLOT};
    return s->function;
}

static void function(Parser *p, bool entry)
{
    PtxFunction results = {.entry = entry};
    Scope s = open_scope(p);
    parameters(p, &results, true); /* before the name, so kept until it is known */
    uint32_t n_declared = p->declared.n;
    const char *name = lexer_name(&p->l);
    PtxFunction *f = function_named(p, name, entry);
    if (p->declared.n > n_declared) { /* the function itself belongs to the module, below its results */
        Symbol *own = p->declared.at[p->declared.n - 1];
        memmove(&p->declared.at[s.symbols + 1], &p->declared.at[s.symbols],
                (p->declared.n - 1 - s.symbols) * sizeof(Symbol *));
        p->declared.at[s.symbols++] = own;
    }
    f->results = results.results;
    f->local_size = results.local_size;
    for (uint32_t k = 0; k < f->results.n; k++) f->results.at[k]->function = f;
    parameters(p, f, false);
    function_attributes(p, f);
    if (!entry) f->return_slot = f->n_rows++;
    if (!lexer_accept(&p->l, ';')) {
        lexer_expect(&p->l, '{');
        f->has_body = true;
        p->f = f;
        p->source_line = 0;
        body(p);
        p->f = NULL;
        if (p->uses.n) module_fail(p->m, p->uses.at[0]->pc, "`%s` is not declared", p->uses.at[0]->name);
    }
    close_scope(p, s);
}

static void skip_braces(Parser *p)
{
    while (p->l.kind != TOKEN_END && !lexer_accept(&p->l, '{')) lexer_next(&p->l);
    for (int depth = 1; depth && p->l.kind != TOKEN_END; lexer_next(&p->l))
        depth += lexer_is_mark(&p->l, '{') - lexer_is_mark(&p->l, '}');
}

static void top_level(Parser *p)
{
    Lexer *l = &p->l;
    if (lexer_accept_word(l, ".entry"))
        function(p, true);
    else if (lexer_accept_word(l, ".func")) {
        while (lexer_accept_word(l, ".noreturn")) continue;
        function(p, false);
    } else if (lexer_accept_word(l, ".global"))
        global_variable(p, GLOBAL);
    else if (lexer_accept_word(l, ".const"))
        global_variable(p, CONSTANT);
    else if (lexer_accept_word(l, ".shared"))
        shared_variable(p);
    else if (lexer_is_word(l, ".section"))
        skip_braces(p);
    else if (lexer_is_word(l, ".version") || lexer_is_word(l, ".target") ||
             lexer_is_word(l, ".address_size") || lexer_is_word(l, ".file") || lexer_is_word(l, ".loc") ||
             lexer_is_word(l, ".pragma"))
        lexer_skip_line(l);
    else if (!lexer_accept_word(l, ".visible") && !lexer_accept_word(l, ".extern") &&
             !lexer_accept_word(l, ".weak") && !lexer_accept_word(l, ".common"))
        module_fail(p->m, l->token_line, "unknown at top level: `%.*s`", (int)l->length, l->text);
}

void module_parse(PtxModule *m, const char *text, size_t length)
{
    Parser p = {.m = m, .c = &m->c, .l = {.m = m, .at = text, .end = text + length, .line = 1}};
    grow_names(&p);
    lexer_next(&p.l);
    if (!lexer_is_word(&p.l, ".version"))
        module_fail(m, p.l.token_line, "a module of PTX begins with .version");
    while (p.l.kind != TOKEN_END) top_level(&p);
}
