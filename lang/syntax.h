/* Private to the scanner, the parser and the makers of syntax trees (scanner.l, parser.y, tokens.c,
 * syntax_error.c, ast.c). The scanner gives tokens; tokens.c between scanner and parser applies the newline
 * rule and watches brackets. */
#ifndef ATTN_LANG_SYNTAX_H
#define ATTN_LANG_SYNTAX_H

#include "ast.h"

typedef struct Parser Parser;
typedef struct AstClauses {
    AstTensors captures;
    AstExamples examples;
    Ast *cost;
    Span with, example, cost_span; /* to == 0: absent */
} AstClauses;
typedef struct AstWhere { Ast *condition; Span span; } AstWhere;
typedef struct AstBody { AstLocals locals; Ast *value; } AstBody;

#include "lang/parser.tab.h" /* every value takes 24 bytes or less: the parser copies them all the time */

enum {
    DEPTH_MAX = 200, /* open brackets */
    TREE_MAX = 1000, /* levels of an expression */
    NAME_MAX_BYTES = 255,
    ERRORS_MAX = 20, /* of one file */
    TOKENS_MAX = 4000000 /* of one file: all that passes make of them has to fit into memory */
};

typedef struct Token {
    int kind;
    PARSER_STYPE value;
    Span span;
    bool first;      /* the first one of its line */
    bool reported;   /* the scanner has found fault with it */
    uint32_t column; /* from 0, bytes */
} Token;
typedef struct Bracket { int kind; Span span; } Bracket;

struct Parser {
    Compilation *c;
    AstFile *file;
    uint32_t source;
    void *scanner;
    /* scanner */
    uint32_t offset, line_start;
    bool fresh;            /* no token on this line yet */
    uint32_t tokens;       /* so far */
    bool skipping;         /* after an error: what is wrong inside tokens is not reported */
    /* tokens */
    Token ahead;           /* the next one */
    Token previous, before, before_that; /* the last ones that the parser got */
    Token pushed[4];       /* behind `ahead` after token_push_back, the next one last */
    unsigned n_pushed;
    bool newline_sent, signature, panic, started, stopped;
    Bracket open[DEPTH_MAX];
    uint32_t depth;        /* open ( and [ */
    bool brace_before, signature_before; /* as it was before the token that the parser just got */
    bool skip_declaration; /* what comes before the next declaration is of no use */
    Bracket partner;       /* of the closing bracket that the parser just got; kind 0: there is none */
    Span brace;            /* the open {, to == 0: none */
    bool brace_reported;
    uint32_t declaration;  /* place of the last one that the parser did not want */
    unsigned declarations; /* how often it was given */
    uint32_t statement_column;
    uint32_t statement_diags; /* how many there were where the statement began */
    unsigned errors;
};

/* scanner.l */
void scanner_open(Parser *p);
Token scanner_next(Parser *p);

/* tokens.c */
void tokens_start(Parser *p);
int parser_lex(PARSER_STYPE *value, Span *span, Parser *p);
void token_push_back(Parser *p, Token token);   /* the parser will get it once more */
const char *token_text(Parser *p, Span span);   /* as written, cut short if long */
const char *bracket_name(int kind);
bool is_keyword(int kind);
bool is_declaration(int kind);
Diag *syntax_diag(Parser *p, DiagCode code, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Drops what the makers said about parts of the statement: brackets in the wrong place have misled them. */
void syntax_forget_parts(Parser *p);

/* parser.y */
const char *token_name(int kind); /* "a name", "then" */

/* syntax_error.c */
enum { TOKEN_FIRST = T_NEWLINE, TOKEN_KINDS = T_POWER - T_NEWLINE + 1 };
typedef struct Expected { bool kind[TOKEN_KINDS]; } Expected; /* by kind - TOKEN_FIRST */
void syntax_error(Parser *p, const Expected *expected); /* at p->previous, after p->before */
void parser_error(Span *span, Parser *p, const char *text);
void syntax_recovered(Parser *p);

/* ast.c: one maker an action. Lists are values: a maker takes one and returns it with the item added. */
Ast *ast_integer(Parser *p, Span span, int64_t value);
Ast *ast_real(Parser *p, Span span, double value);
Ast *ast_boolean(Parser *p, Span span, bool value);
Ast *ast_name(Parser *p, AstName name);
Ast *ast_bracketed(Ast *e, Span span);
Ast *ast_unary(Parser *p, Span span, AstOp op, Span op_span, Ast *a);
Ast *ast_binary(Parser *p, Span span, AstOp op, Span op_span, Ast *a, Ast *b);
Ast *ast_compare(Parser *p, Span span, AstOp op, Span op_span, Ast *a, Ast *b);
/* A further operator of a chain. */
Ast *ast_chain(Parser *p, Span span, AstOp op, Ast *chain, Ast *b);
Ast *ast_if(Parser *p, Span span, Ast *condition, Ast *yes, Ast *no);
/* What stands in `name[...]`, or in `name(...)`: expressions, NAMED, INDEX_NAME, ARROW and WHERE. */
Ast *ast_subscript(Parser *p, Span span, AstName name, AstList items);
Ast *ast_call(Parser *p, Span span, AstName name, AstList items);
Ast *ast_bracket(Parser *p, Span span, AstName name, AstList binders, AstList items);
Ast *ast_member(Parser *p, Span span, Ast *base, AstName name);
Ast *ast_named(Parser *p, Span span, AstName name, Ast *value);
Ast *ast_index_name(Parser *p, Span span, AstName name);
Ast *ast_arrow(Parser *p, Span span, AstName from, AstName to);
Ast *ast_with(Parser *p, Ast *item, AstWhere where); /* `item` itself where there is none */
AstList ast_add(Parser *p, AstList list, Ast *e);

AstType *ast_type(Parser *p, Span span, AstName name);
AstType *ast_range(Parser *p, Span span, AstType *type, Ast *lo, Ast *hi);
AstNames ast_add_name(Parser *p, AstNames list, AstName name);
/* type NULL: none is written. */
AstTensor *ast_tensor(Parser *p, Span span, AstName name, const AstType *type, AstNames dims, bool has_dims);
AstTensor *ast_tensor_range(Parser *p, Span span, AstTensor *tensor, Ast *lo, Ast *hi);
AstTensors ast_add_tensor(Parser *p, AstTensors list, AstTensor *tensor);
AstParam *ast_param(Parser *p, Span span, AstName name, const AstType *type, Ast *value);
AstParams ast_add_param(Parser *p, AstParams list, AstParam *param);
AstExamples ast_add_example(Parser *p, AstExamples list, AstName name, Ast *value);
AstClauses *ast_clauses(Parser *p);
AstClauses *ast_clause_with(Parser *p, AstClauses *clauses, Span span, AstTensors captures);
AstClauses *ast_clause_example(Parser *p, AstClauses *clauses, Span span, AstExamples examples);
AstClauses *ast_clause_cost(Parser *p, AstClauses *clauses, Span span, Ast *cost);

AstStatement *ast_equation(Parser *p, Span span, AstName name, bool has_subscripts, AstList subscripts,
                           const AstType *type, Ast *value);
AstStatement *ast_require(Parser *p, Span span, Ast *value);
AstStatement *ast_carry(Parser *p, Span span, AstNames names);
AstStatement *ast_index(Parser *p, Span span, AstName name, Ast *extent);
AstStatement *ast_index_from(Parser *p, Span span, AstName name, Ast *origin);
AstStatement *ast_index_like(Parser *p, Span span, AstName name, AstName other);
AstStatement *ast_block(Parser *p, Span span, AstName name, AstName of, bool into, Ast *value);
AstStatements ast_add_statement(Parser *p, AstStatements list, AstStatement *statement); /* NULL: an error */

AstFunctionArgs ast_add_function_arg(Parser *p, AstFunctionArgs list, AstName name, bool is_index);
AstBody ast_body(AstLocals locals, Ast *value);
AstLocals ast_add_local(Parser *p, AstLocals list, AstName name, Ast *value);
void ast_function(Parser *p, Span span, bool is_mask, AstName name, AstFunctionArgs args, AstBody body);
void ast_pattern(Parser *p, Span span, AstName name, AstParams params, AstNames ambient, bool has_over,
                 AstTensors inputs, AstTensors outputs, AstClauses *clauses, AstStatements body);
void ast_use(Parser *p, AstName path);

#endif
