/* The syntax tree of a .attn file: what was written, nothing resolved. Built by parser.y through the ast_* makers. */
#ifndef ATTN_LANG_AST_H
#define ATTN_LANG_AST_H

#include "base.h"

typedef struct Ast Ast;
typedef VEC(Ast *) AstList;

typedef enum AstKind {
#define AST(kind) AST_##kind,
#include "ast_list.h"
#undef AST
    AST_KINDS
} AstKind;

typedef enum AstOp {
#define AST_OP(name, text) OP_##name,
#include "ast_op_list.h"
#undef AST_OP
    AST_OPS
} AstOp;

/* One binder inside brackets: `j`, `j | c`, `j -> r`. */
typedef struct AstBinder { const char *name; const char *block; const char *to; Span span, block_span, to_span; } AstBinder;
typedef VEC(AstBinder) AstBinders;

/* An expression, small because a file has millions of them. All that it is made of are its operands, so that what
 * walks a tree needs one loop: UNARY 1, BINARY 2, COMPARE two or more, IF condition, then, else; SUBSCRIPT all
 * positional or all NAMED; CALL its arguments; BRACKET its arguments and then its condition; MEMBER the call; NAMED
 * the value; INDEX_NAME the NAME. */
struct Ast {
    AstKind kind : 8;
    AstOp op : 8;             /* UNARY, BINARY */
    uint32_t depth : 16;      /* levels of the tree, at most a thousand or so: passes may recurse */
    uint32_t n;               /* operands */
    Span span;                /* the whole expression */
    Span name_span;           /* the name or the operator alone */
    union {
        const char *name;     /* NAME, SUBSCRIPT, CALL, BRACKET (sum, topk, join, ...), MEMBER, NAMED, INDEX_NAME */
        int64_t integer;      /* INTEGER */
        double real;          /* REAL */
        bool boolean;         /* BOOLEAN */
        const AstOp *ops;     /* COMPARE: n - 1 operators */
    };
    Ast **operands;
};
typedef struct AstBracket { Ast ast; AstBinders binders; Ast *where; } AstBracket; /* where: an operand, or NULL */

static inline AstBinders ast_binders(const Ast *a)
{
    return a->kind == AST_BRACKET ? ((const AstBracket *)a)->binders : (AstBinders){0};
}
static inline Ast *ast_where(const Ast *a)
{
    return a->kind == AST_BRACKET ? ((const AstBracket *)a)->where : NULL;
}
/* NAME, SUBSCRIPT, CALL, BRACKET or MEMBER: its name, else NULL. */
static inline const char *ast_named_by(const Ast *a)
{
    return a->kind >= AST_NAME && a->kind <= AST_MEMBER ? a->name : NULL;
}
static inline bool ast_is_named(const Ast *subscript)
{
    return subscript->n && subscript->operands[0]->kind == AST_NAMED;
}

/* One argument: positional (name NULL), `name = value`, or `[d]` (is_index; value: its NAME). */
typedef struct AstArg { const char *name; Ast *value; bool is_index; Span span, name_span; } AstArg;
static inline uint32_t ast_n_args(const Ast *a) { return a->n - (ast_where(a) != NULL); }
static inline AstArg ast_arg(const Ast *a, uint32_t k)
{
    Ast *e = a->operands[k];
    if (e->kind == AST_NAMED) return (AstArg){e->name, e->operands[0], false, e->span, e->name_span};
    if (e->kind == AST_INDEX_NAME) return (AstArg){NULL, e->operands[0], true, e->span, e->name_span};
    return (AstArg){NULL, e, false, e->span, e->name_span};
}
static inline bool ast_is_plain(const Ast *argument)
{
    return argument->kind != AST_NAMED && argument->kind != AST_INDEX_NAME;
}

typedef enum StorageType {
#define STORAGE(name, text) STORAGE_##name,
#include "storage_list.h"
#undef STORAGE
    STORAGES
} StorageType;

/* `: type` or `: int in lo..hi`; absent: STORAGE_FLOAT, span.to == 0. */
typedef struct AstType { StorageType type; Ast *lo, *hi; Span span; } AstType;
typedef struct AstName { const char *name; Span span; } AstName;
typedef VEC(AstName) AstNames;
/* A tensor of a signature; `with t` (a scalar) has no dims. Also the left side of an equation, with expressions. */
typedef struct AstTensor { AstName name; AstNames dims; bool has_dims; AstType type; Span span; } AstTensor;
typedef struct AstParam { AstName name; AstType type; Ast *value; Span span; } AstParam; /* value: default or NULL */
typedef VEC(AstTensor *) AstTensors;
typedef VEC(AstParam) AstParams;

typedef enum AstStatementKind {
    AST_EQUATION, AST_REQUIRE, AST_CARRY, AST_INDEX, AST_BLOCK
} AstStatementKind;
typedef enum AstIndexKind {
    AST_INDEX_EXTENT, AST_INDEX_LIKE, AST_INDEX_FROM, AST_INDEX_FLATTEN, AST_INDEX_JOIN
} AstIndexKind;
/* One axis of a block: `c of j`. */
typedef struct AstAxis { AstName name, of; } AstAxis;

typedef struct AstStatement {
    AstStatementKind kind;
    Span span;
    AstName name;           /* EQUATION, INDEX, BLOCK (the block index), or "" */
    bool has_subscripts;    /* EQUATION: NAME[...] = */
    AstList subscripts;     /* EQUATION: expressions (index names, or the one recurrence subscript) */
    AstType type;           /* EQUATION: annotation */
    Ast *value;             /* EQUATION, REQUIRE; INDEX_EXTENT/FROM: extent or origin; BLOCK: by/into */
    AstNames names;         /* CARRY; INDEX_LIKE: 1; FLATTEN, JOIN: the parts */
    AstIndexKind index_kind;
    AstName block_of;       /* BLOCK */
    bool block_into;        /* BLOCK: `into` instead of `by` */
    const char *doc;
} AstStatement;
typedef VEC(AstStatement *) AstStatements;
typedef struct AstExample { AstName name; Ast *value; } AstExample;
typedef VEC(AstExample) AstExamples;

/* mask, fn: `body` for the expression form; block form: local definitions then the last expression as `body`. */
typedef struct AstFunctionArg { AstName name; bool is_index; } AstFunctionArg;
typedef struct AstLocal { AstName name; Ast *value; } AstLocal;
typedef VEC(AstFunctionArg) AstFunctionArgs;
typedef VEC(AstLocal) AstLocals;
typedef struct AstFunction {
    bool is_mask;
    AstName name;
    AstFunctionArgs args;
    AstLocals locals;
    Ast *body;
    const char *doc;
    Span span;
} AstFunction;

typedef struct AstPattern {
    AstName name;
    AstParams params;
    bool has_over;
    AstNames ambient;
    AstTensors inputs, outputs, captures;
    AstExamples examples;
    Ast *cost;
    AstStatements body;
    const char *doc; /* comment lines right above, without `#`, or NULL */
    Span span;
} AstPattern;

typedef struct AstUse { AstName path; } AstUse;
typedef struct AstFile {
    uint32_t source;
    VEC(AstUse) uses;
    VEC(AstFunction *) functions;
    VEC(AstPattern *) patterns;
} AstFile;

/* Scans and parses source number `source`. Syntax errors become diagnostics; the parser recovers at the next statement
 * or declaration, so that one file may report several. Never NULL. */
AstFile *ast_parse(Compilation *c, uint32_t source);
/* `--emit=tokens` and `--emit=ast`. Deterministic. */
void ast_print_tokens(Text *out, Compilation *c, uint32_t source);
void ast_print(Text *out, const AstFile *file);
void ast_print_expression(Text *out, const Ast *e); /* on one line, fully bracketed only where needed */

#endif
