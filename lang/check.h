/* Private to the checker (check*.c, use.c): how a parsed pattern is elaborated into equations over core
 * expressions.
 *
 * Names mean Symbols in a Scope (lexical). What coordinate an index stands at is a Map (dynamic: binders,
 * joins and block ranges add to it), so an argument of a function is evaluated where it is used. A pattern
 * under elaboration is an Instance: the root, or a callee whose equations become equations of the root
 * pattern. */
#ifndef ATTN_LANG_CHECK_H
#define ATTN_LANG_CHECK_H

#include "lang.h"
#include "names.h"
#include "prove.h"

typedef struct Checker Checker;
typedef struct Instance Instance;
typedef struct Scope Scope;
typedef struct Entity Entity;
typedef struct FileScope FileScope;

/* Where indices stand: the innermost entry first. An index without an entry stands at its own INDEX. */
typedef struct Map Map;
struct Map { Map *up; Index *index; Node *at; };

/* The meaning of an expression. node NULL: an error was reported. */
typedef struct Value {
    Node *node;
    Node *kept;           /* bool: not left out by a normaliser; NULL: always */
    Node *inside;         /* bool: every read is in range (collected for `pad` alone); NULL: always */
    const IndexSet *free; /* as written: folding removes none */
    bool guard;           /* node is to be evaluated where kept holds; elsewhere the value is 0 */
} Value;

typedef struct Memo { Map *map; bool pad; Value value; } Memo;
typedef struct Inferred { const IndexSet *free; int type; } Inferred; /* type -1: not known yet */
typedef struct Closure {
    const Ast *ast;
    Scope *scope;
    bool active, inferred;
    VEC(Memo) memo;
    Inferred result;
} Closure;

typedef enum SymbolKind { SYMBOL_INDEX, SYMBOL_NODE, SYMBOL_ENTITY, SYMBOL_CLOSURE } SymbolKind;
typedef struct Symbol {
    const char *name;
    SymbolKind kind;
    Span span;
    union { Index *index; Node *node; Entity *entity; Closure *closure; };
} Symbol;
struct Scope {
    VEC(Symbol) symbols;
    NameTable numbers;    /* of the symbols, where scope_add has added all of them */
    FileScope *file;      /* functions and patterns */
    Instance *instance;   /* of the pattern; NULL in a function */
    const char *function; /* name of the function, or NULL */
    const void *inlined;  /* the function or pattern whose text this is, */
    Scope *caller;        /* and where it was called, or NULL */
};

typedef struct Global {
    const char *name;
    const AstFunction *function;
    const AstPattern *pattern;
    FileScope *home;
    Span span;
} Global;
struct FileScope { const AstFile *file; const char *path; VEC(Global) globals; NameTable numbers; };

/* What the checker knows of an index besides program.h. */
typedef struct IndexInfo {
    const AstStatement *extent, *origin; /* declarations (extent: also like, flatten, join, block) */
    const Ast *selected;                 /* made by a selection: its count */
    VEC(Index *) parts;                  /* flatten, join */
    bool flatten, join;
    bool signature;                      /* a dimension of a tensor of the signature */
    bool resolving, resolved;
    Index *self;
    Index *outer;                        /* callee: the caller's index that it runs over, or NULL */
    Instance *owner;
} IndexInfo;

typedef struct Initial {
    int64_t back;
    const AstStatement *statement;
    Node *node;
    bool active, poisoned;
} Initial;

/* A tensor of the signature, an equation, or an argument of a callee. */
typedef enum EntityState { ENTITY_PENDING, ENTITY_ACTIVE, ENTITY_DONE } EntityState;
struct Entity {
    const char *name;
    Span span;
    Instance *owner;
    EntityState state;
    bool poisoned;
    Role role;
    const AstTensor *declared;       /* signature */
    const AstStatement *equation;    /* its (main) equation */
    VEC(Initial) initials;           /* states before the first step */
    unsigned n_dims, n_ambient;
    Index **dims;
    bool written;                    /* positional subscripts are allowed */
    bool single;                     /* NAME[t] = ...: one subscript addresses `axis` */
    bool carried;
    Type type;
    Tensor *tensor;
    Node *argument;                  /* of a callee: the value over `from` */
    Index **from;
    Index *axis;                     /* recurrence */
    int step;
    unsigned component;              /* entities of one cycle share a number > 0 */
    Node *kept;                      /* over INDEX(dims), or NULL */
    Tensor *kept_tensor;
    unsigned check;                  /* number of its run-time check + 1 */
    Tensor *start;                   /* carried: S.start */
    /* inference and search for cycles */
    const IndexSet *inferred;
    int inferred_type;               /* -1: unknown yet */
    int visit, low;
    bool on_stack;
    VEC(Entity *) mentions;
};

struct Instance {
    Checker *k;
    Instance *caller;
    const AstPattern *ast;
    Scope scope;
    const char *prefix;              /* of the names of its equations: "", or "callee." */
    VEC(Entity *) entities;          /* outputs and equations: what has a body */
    VEC(Symbol) matched;             /* callee: its index names and the caller's indices */
    VEC(Node *) key;                 /* callee: arguments, to find an equal call again */
    VEC(Index *) key_dims;
};

typedef struct Aux { Node *node; Tensor *tensor; } Aux;
/* A condition of the pattern's own text: true, false, or (-1) not known or not the same wherever it stands. */
typedef struct Decided { const Ast *ast; int truth; } Decided;

struct Checker {
    Compilation *c;
    const LangOptions *options;
    Program *program;
    VEC(FileScope *) files;
    /* of the pattern at hand */
    Pattern *pattern;
    Instance *root;
    IndexInfo info[MAX_INDICES];
    VEC(Instance *) instances;
    VEC(Entity *) entities;          /* outputs and equations of all instances */
    VEC(Tensor *) tensors;           /* every equation made so far, */
    NameTable tensor_names;          /* and those of its first n_named */
    uint32_t n_named;
    VEC(Aux) aux;
    VEC(Map *) maps;
    VEC(Decided) decided;
    unsigned depth, work, component, n_components;
    bool too_large;
    const char *equation;            /* being elaborated: names auxiliary ones */
    unsigned n_conditions_told;
};

/* Where an expression is elaborated. */
typedef struct Env { Checker *k; Scope *scope; Map *map; bool pad; bool cost; } Env;

/* ---- check_scope.c: names ---- */
Symbol *scope_find(Scope *s, const char *name);
/* Adds a symbol; a name that exists is an error E501 (false). */
bool scope_add(Checker *k, Scope *s, Symbol symbol);
Global *global_find(FileScope *f, const char *name);
/* Adds "did you mean `x`?" if a name in reach is close. */
void hint_name(Checker *k, Diag *d, Scope *s, const char *name, bool functions);
/* ... one of n names; false: none is like it. */
bool hint_among(Checker *k, Diag *d, const char *name, uint32_t n, const char *const *names);
const char *cited(Compilation *c, Span span); /* what stands there, on one line and not too long */
Index *find_index(const Env *e, const char *name, Span span); /* an error E103 and NULL if it is none */
/* The tensor that a name stands for, through arguments of functions; NULL: another kind of thing. */
Entity *find_entity(Scope *s, const char *name);

/* ---- check_map.c: coordinates ---- */
Map *map_push(Checker *k, Map *map, Index *index, Node *at);
Node *coordinate(const Env *e, Index *index);
Node *origin_of(const Env *e, Index *index);   /* NULL: 0 */
Node *position(const Env *e, Index *index);
Node *from_position(const Env *e, Index *index, Node *position);
/* n, written over the default coordinates, at those of the map. */
Node *at_map(const Env *e, Node *n);
/* Binds `index` for the inside of a binder; *var is it, or a variant if the map mentions it otherwise. */
Map *map_bind(const Env *e, Index *index, Index **var);
bool is_axis(const Checker *k, const Index *axis, const Index *flat);

/* ---- check_value.c: values and types ---- */
Value value_none(void);
Value value_make(Checker *k, Node *n);
Node *value_node(Checker *k, Value v); /* with its guard spelled out */
Value value_operator(const Env *e, const Ast *a, AstOp op, Value x, Value y);
Value value_convert(const Env *e, Value v, Type type, Span span,
                    const char *what); /* int to real; else E104 */
bool value_unify(const Env *e, Value *x, Value *y, Span span, const char *what);
Node *to_real(Compilation *c, Node *n);
Node *both(Checker *k, Node *a, Node *b);   /* NULL: true */
Node *zero_of(Compilation *c, Type type);
/* What is elaborated between the two must not leave 64 bits where constants fold: did it? They may be nested. */
bool exact_begin(Compilation *c);
bool exact_end(Compilation *c, bool begun);
const char *type_name(Type t);
Type storage_type(StorageType t);
/* A diagnostic, unless the same one was given at the same place: a function is inlined several times. */
Diag *report(Compilation *c, DiagCode code, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
Value fail(const Env *e, Diag **d, DiagCode code, Span span, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- check_expression.c ---- */
Value elaborate(const Env *e, const Ast *a);
Value closure_value(const Env *e, Closure *closure);
/* An expression over extents, parameters and literals; NULL after an error of `code`. */
Node *elaborate_scalar(const Env *e, const Ast *a, Type type, DiagCode code, const char *what);

/* ---- check_builtin.c ---- */
bool is_builtin(const char *name);
Value builtin_call(const Env *e, const Ast *a);

/* ---- check_binder.c, check_select.c ---- */
bool is_bracket(const char *name);
Value elaborate_bracket(const Env *e, const Ast *a);
typedef struct Bound {
    unsigned n;
    Index **index, **var;
    Node **lo, **hi;
    Map *map;             /* inside */
    bool failed;
} Bound;
Bound bind(const Env *e, const Ast *a, bool keeps);
Value elaborate_selection(const Env *e, const Ast *a);
/* Closes a binder: hides what it binds in `free`; ranges needed by `pad` hold for all of them. */
Value bound_value(const Env *e, const Bound *b, Node *node, Value where, Value body, bool keeps);
/* The value of a binder that keeps its position, at the coordinates outside. */
Value keep_position(const Env *e, const Ast *a, const Bound *b, Node *node, Value v, const char *suffix,
                    bool always);

/* ---- check_read.c ---- */
Value read_bare(const Env *e, Entity *t, Span span);
Value elaborate_subscript(const Env *e, const Ast *a);
Value check_read_at(const Env *e, Entity *t, Node **at, const bool *given, const IndexSet *free, Span span);
Node *read_tensor(Checker *k, Tensor *t, const Env *e); /* at the current coordinates */

/* ---- check_equation.c ---- */
void entity_elaborate(Entity *t);
Tensor *equation_new(Checker *k, const char *name, unsigned n_dims, Index **dims, Type type, Span span);
Tensor *aux_equation(Checker *k, const char *suffix, Node *node, Span span);
void entity_tensor(Entity *t, unsigned n_dims, Index **dims, Type type, bool data);
void entity_covers(const Env *e, Entity *t, const IndexSet *free); /* else E107 */
bool entity_mixes(const Env *e, Entity *t, const IndexSet *free); /* then E108 */
void count_ambient(Entity *t);
void entity_prepend_ambient(Entity *t, const IndexSet *free);
Value entity_right_side(const Env *e, Entity *t, const Ast *a); /* elaborated, of the declared type */
Node *entity_check(const Env *e, Entity *t, Node *n); /* within the range of its type; NULL: error */
Map *left_map(Entity *t);                                       /* the indices that its left side gives */
unsigned set_list(Checker *k, const IndexSet *s, Index ***list); /* in the standard order */
Index *index_by_id(const Checker *k, unsigned id);

/* ---- check_recurrence.c, check_infer.c ---- */
void instance_equations(Instance *in);  /* orders, infers cycles, elaborates all */
Inferred infer_expression(const Env *e, const Ast *a);
void infer_component(Checker *k, unsigned n, Entity **members);
Value read_recurrent(const Env *e, Entity *t, Node **at, unsigned axis);
void carry_tensors(Instance *in);
void check_recurrences(Checker *k);     /* groups, axes, steps; orders pattern->equations */

/* ---- check_signature.c, check_index.c ---- */
void declare_parameters(Instance *in);
void declare_signature(Instance *in);
void declare_ranges(Instance *in);
void declare_body(Instance *in);
void resolve_index(Checker *k, Index *index);
void resolve_indices(Instance *in);
Index *declare_index(Instance *in, const char *name, Span span);

/* ---- check_call.c, check_pattern_call.c ---- */
AstArg argument_for(const AstFunction *f, const Ast *a, uint32_t n); /* value NULL: it is not given */
Closure *closure_new(Checker *k, const Ast *a, Scope *scope);
Inferred infer_pattern_call(const Env *e, const Ast *a, const Global *g, const AstName *member);
Value call_function(const Env *e, const Ast *a, const Global *g);
Value call_pattern(const Env *e, const Ast *a, const Global *g, const AstName *member);
bool calls_itself(const Scope *s, const void *what); /* does text in `s` stand inside `what`? */
bool may_enter(const Env *e, const void *what, Span span, const char *name); /* false: E406 was told */
typedef struct CallDims { unsigned n; Index **dims; } CallDims;

/* ---- check_clauses.c: example, cost, require, conditions ---- */
void resolve_examples(Instance *in);
void resolve_cost(Instance *in);
void elaborate_requires(Instance *in);
/* `test` must hold when tensors are bound; dropped if known, an error if it cannot. */
void add_condition(Checker *k, Node *test, Span span, DiagCode code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void add_extent_condition(Checker *k, const Index *index, Span span);

/* ---- check_safety.c ---- */
void check_safety(Checker *k);

/* ---- check_function.c ---- */
void check_functions(Checker *k, FileScope *f); /* names of bodies, whether called or not */

/* ---- check_warn.c ---- */
Value condition_of(const Env *e, const Ast *a); /* the `where` of its brackets, or true */
void note_condition(const Env *e, const Ast *a, Node *test); /* elaborated at these coordinates */
void warn_pattern(Checker *k, const AstPattern *ast, FileScope *file);
void warn_file(Checker *k, FileScope *f); /* functions and `use` */

/* ---- use.c ---- */
FileScope *use_file(Checker *k, uint32_t source);
FileScope *find_file(Checker *k, const FileScope *f, const char *path); /* what `use "path"` in f means, or NULL */
/* The file of the library's std/ that defines the function or mask; NULL: none does. */
const char *library_file(Checker *k, const FileScope *f, const char *name);

#endif
