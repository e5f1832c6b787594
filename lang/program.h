/* Program: what the checker makes of a file. Every pattern is self-contained: masks, functions and other patterns are
 * inlined, indices resolved, types known, every subscript proved or turned into a bind condition. */
#ifndef ATTN_LANG_PROGRAM_H
#define ATTN_LANG_PROGRAM_H

#include "ast.h"
#include "node.h"

struct Index {
    const char *name;
    uint32_t id;            /* unique in the compilation, < MAX_INDICES per pattern after renumbering */
    Node *extent;           /* derived: over SIZE leaves, parameters, literals; NULL: bound with tensors (a SIZE leaf) */
    Node *origin;           /* position of coordinate 0; NULL: 0. May read int tensors over ambient indices */
    Index *root;            /* `like` and renamed copies: the index with the same positions; else itself */
    bool ambient;
    bool heads;             /* the last ambient index: tensors may be bound with a divisor of its extent */
    unsigned number;        /* bound indices: position in Pattern.indices */
    Index *variant;         /* a stand-in for renaming (index_variant) */
    Span span;
    /* block index: block k of `block_of` holds its coordinates [block_lo, block_hi), expressions over INDEX(this) */
    Index *block_of;
    Node *block_lo, *block_hi, *block_at; /* block_at: the block of INDEX(block_of) */
};

struct Param {
    const char *name;
    Type type;
    bool fixed;             /* by -D: value is used as a literal */
    bool has_default;
    bool bounded;           /* a subscript was proved with it (lang/prove.h): refused when bound beyond +-2**31 */
    union { int64_t integer; double real; } value; /* default or fixed; bools as integer 0/1 */
    unsigned number;
    Span span;
};

typedef enum Role { ROLE_INPUT, ROLE_CAPTURE, ROLE_OUTPUT, ROLE_EQUATION } Role;

/* A tensor of the signature or an equation. */
struct Tensor {
    const char *name;
    uint32_t id;
    Role role;
    StorageType storage;    /* as declared; equations: FLOAT, INT or BOOL */
    Type type;
    unsigned n_dims, n_ambient; /* the first n_ambient dims are implicit ambient ones */
    Index **dims;
    Node *lo, *hi;          /* int inputs with a declared range lo <= x < hi; over SIZE and PARAM; else NULL */
    bool optional;          /* S.start and S.last: may be left unbound */
    unsigned number;        /* signature tensors: position in Pattern.tensors */
    Node *body;             /* OUTPUT, EQUATION: the value at INDEX(dims[0]), ... */
    int recurrence_axis;    /* position in dims, or -1; the cycle runs along it */
    int recurrence_step;    /* +1: reads earlier coordinates; -1: later ones */
    unsigned group;         /* equations of one recurrence have one group number > 0 */
    bool data;              /* the value depends on the numbers of a float tensor (Node.data of the body) */
    Tensor *carry_start, *carry_last; /* of a carried equation: its optional input and output */
    Span span;
    const char *doc;
};

/* A condition checked when tensors are bound: over SIZE, PARAM, GIVEN. */
typedef struct Condition { Node *test; const char *text; Span span; } Condition;
/* An int value that is checked as it runs (Node CHECK). */
typedef struct RunCheck { const char *text; Span span; } RunCheck;
/* What a proof (prove.h) came from: facts and conditions of its scope (of the first 64), variables whose ranges were
 * used. */
typedef VEC(Node *) ProveNodes;
typedef struct ProveUsed { ProveNodes facts, conditions, variables; } ProveUsed;
/* Why a subscript is in range: one dimension of one read, for words. */
typedef struct Subscript {
    const Tensor *reader, *tensor; /* the equation that reads, and what is read */
    unsigned dim;
    Node *at;
    const char *rules;      /* of docs/safety.md: "S1 S2"; NULL: it is the range itself that stands around it */
    ProveUsed used;
    Node *condition;        /* checked when tensors are bound, or NULL */
    bool guarded;           /* holds only where facts around the read do */
    Span span;
} Subscript;
typedef struct Example { const char *name; Ast *value; Index *index; Param *param; Tensor *tensor; } Example;

typedef struct Pattern {
    const char *name, *doc;
    Span span;
    VEC(Param *) params;
    VEC(Index *) indices;       /* bound ones: those whose extent comes from tensors (or outputs), in signature order */
    VEC(Tensor *) tensors;      /* inputs, captures, outputs, then carried S.start and S.last */
    VEC(Tensor *) equations;    /* all tensors with a body, every one after what it reads (recurrences apart) */
    VEC(Condition) conditions;
    VEC(RunCheck) checks;
    VEC(Subscript) subscripts;  /* those that are more than the index of the dimension itself */
    unsigned plain_subscripts;  /* how many the others are */
    VEC(Example) examples;
    Node *cost;                 /* real; over SIZE and PARAM; count(mask) is a REDUCE SUM over the mask; or NULL */
    const AstPattern *ast;
} Pattern;

typedef struct Program {
    const AstFile *file;
    VEC(Pattern *) patterns;    /* those of the file itself, not of files it uses */
    VEC(uint32_t) sources;      /* all files read, the main one first */
} Program;

/* Equations with dimensions, types and conditions, as text. */
void pattern_print(Text *out, const Pattern *p);
void program_print(Text *out, const Program *program);

#endif
