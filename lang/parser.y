/* The grammar of .attn files. Every action is one call of a maker in ast.c; precedence stands in the rules.
 *
 * All values live in the compilation's arena and so do bison's stacks: an error, or a long jump out of an
 * action, leaks nothing and no symbol needs a %destructor. Newlines that end nothing never arrive here
 * (tokens.c). After a syntax error (syntax_error.c writes the message) the parser goes on at the next
 * statement or declaration. */
%code top {
#include "lang/syntax.h"
}
%code {
/* yyparse's own stacks: from the arena, so that running out of memory takes the usual way out. */
#define YYMALLOC(size) arena_alloc(p->c, (size))
#define YYFREE(at) ((void)(at))
#define YYSTACK_USE_ALLOCA 0
#define YYLLOC_DEFAULT(current, rhs, n) \
    ((current) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) \
                     : (Span){p->source, YYRHSLOC(rhs, 0).to, YYRHSLOC(rhs, 0).to})
}
%define api.pure full
%define api.prefix {parser_}
%define api.token.prefix {T_}
%define api.location.type {Span}
%define parse.error custom
%define lr.type canonical-lr       /* an error is seen before any reduction: what was expected is exact */
%locations
%expect 0
%param {Parser *p}
%initial-action { @$ = (Span){p->source, 0, 0}; }

%union {
    int64_t integer;
    double real;
    AstName name;
    AstOp op;
    Ast *ast;
    AstList list;
    AstWhere where;
    AstType *type;
    AstNames names;
    AstTensor *tensor;
    AstTensors tensors;
    AstParam *param;
    AstParams params;
    AstExamples examples;
    AstClauses *clauses;
    AstStatement *statement;
    AstStatements statements;
    AstFunctionArgs function_args;
    AstLocals locals;
    AstBody body;
}

%token END 0 "the end of the file"
%token NEWLINE "the end of the line"
%token <name> NAME "a name" STRING "a string"
%token <integer> INTEGER "an integer"
%token <real> REAL "a number"
%token PATTERN "pattern" MASK "mask" FN "fn" USE "use" OVER "over" WITH "with" EXAMPLE "example" COST "cost"
%token REQUIRE "require" CARRY "carry" INDEX "index" BLOCK "block" OF "of" LIKE "like" FROM "from" BY "by"
%token INTO "into" IN "in" WHERE "where" IF "if" THEN "then" ELSE "else" AND "and" OR "or" NOT "not"
%token TRUE "true" FALSE "false"
%token LPAREN "(" RPAREN ")" LBRACKET "[" RBRACKET "]" LBRACE "{" RBRACE "}"
%token COMMA "," COLON ":" DOT "." DOTS ".." ARROW "->" ASSIGN "="
%token EQ "==" NE "!=" LT "<" LE "<=" GT ">" GE ">=" BAR "|" CARET "^" AMPERSAND "&" SHL "<<" SHR ">>"
%token PLUS "+" MINUS "-" STAR "*" SLASH "/" FLOOR "//" PERCENT "%" POWER "**"

%type <ast> expression either both negation comparison chain bit_or bit_xor bit_and shift sum product unary
%type <ast> power primary
%type <op> compare_op shift_op sum_op product_op
%type <ast> item argument
%type <list> items arguments argument_list
%type <where> where
%type <type> type annotation
%type <names> names over
%type <tensor> tensor typed_tensor
%type <tensors> tensors tensor_list
%type <param> param
%type <params> params param_list
%type <examples> examples
%type <clauses> clauses
%type <statement> statement
%type <statements> statements statement_list
%type <function_args> function_args function_arg_list
%type <locals> locals
%type <body> body

%%

file: %empty
    | declarations
    ;
declarations: NEWLINE     /* no empty beginning: an error in the first token must find a state that shifts `error` */
    | declaration NEWLINE
    | declarations NEWLINE
    | declarations declaration NEWLINE
    ;
declaration:
      "use" STRING                                            { ast_use(p, $2); }
    | "mask" NAME "(" function_args ")" body                  { ast_function(p, @$, true, $2, $4, $6); }
    | "fn" NAME "(" function_args ")" body                    { ast_function(p, @$, false, $2, $4, $6); }
    | "pattern" NAME "(" params ")" over tensors "->" tensor_list clauses "{" statements "}"
                        { ast_pattern(p, @$, $2, $4, $6, $6.n > 0, $7, $9, $10, $12); }
    | "pattern" error                                         { syntax_recovered(p); yyerrok; }
    | "pattern" error "{" statements "}"                      { yyerrok; }
    | error                                                   { syntax_recovered(p); yyerrok; }
    ;

/* Functions */
function_args: %empty                                         { $$ = (AstFunctionArgs){0}; }
    | function_arg_list
    ;
function_arg_list:
      NAME                                  { $$ = ast_add_function_arg(p, (AstFunctionArgs){0}, $1, false); }
    | "[" NAME "]"                           { $$ = ast_add_function_arg(p, (AstFunctionArgs){0}, $2, true); }
    | function_arg_list "," NAME                { $$ = ast_add_function_arg(p, $1, $3, false); }
    | function_arg_list "," "[" NAME "]"        { $$ = ast_add_function_arg(p, $1, $4, true); }
    ;
body: "=" expression                                          { $$ = ast_body((AstLocals){0}, $2); }
    | "{" locals expression "}"                               { $$ = ast_body($2, $3); }
    | "{" error "}"                   { syntax_recovered(p); yyerrok; $$ = ast_body((AstLocals){0}, NULL); }
    ;
locals: %empty                                                { $$ = (AstLocals){0}; }
    | locals NAME "=" expression NEWLINE                      { $$ = ast_add_local(p, $1, $2, $4); }
    ;

/* The signature of a pattern */
params: %empty                                                { $$ = (AstParams){0}; }
    | param_list
    ;
param_list: param                                             { $$ = ast_add_param(p, (AstParams){0}, $1); }
    | param_list "," param                                    { $$ = ast_add_param(p, $1, $3); }
    ;
param: NAME annotation                                        { $$ = ast_param(p, @$, $1, $2, NULL); }
    | NAME annotation "=" expression                          { $$ = ast_param(p, @$, $1, $2, $4); }
    ;
annotation: %empty                                            { $$ = NULL; }
    | ":" type                                                { $$ = $2; }
    | ":" type "in" bit_or ".." bit_or                        { $$ = ast_range(p, @$, $2, $4, $6); }
    ;
type: NAME                                                    { $$ = ast_type(p, @$, $1); }
    ;
over: %empty                                                  { $$ = (AstNames){0}; }
    | "over" names ":"                                        { $$ = $2; }
    ;
names: NAME                                                   { $$ = ast_add_name(p, (AstNames){0}, $1); }
    | names "," NAME                                          { $$ = ast_add_name(p, $1, $3); }
    ;
tensors: %empty                                               { $$ = (AstTensors){0}; }
    | tensor_list
    ;
tensor_list: tensor                                           { $$ = ast_add_tensor(p, (AstTensors){0}, $1); }
    | tensor_list "," tensor                                  { $$ = ast_add_tensor(p, $1, $3); }
    ;
tensor: typed_tensor
    | typed_tensor "in" bit_or ".." bit_or                    { $$ = ast_tensor_range(p, @$, $1, $3, $5); }
    ;
typed_tensor: NAME                      { $$ = ast_tensor(p, @$, $1, NULL, (AstNames){0}, false); }
    | NAME "[" names "]"                { $$ = ast_tensor(p, @$, $1, NULL, $3, true); }
    | NAME ":" type                     { $$ = ast_tensor(p, @$, $1, $3, (AstNames){0}, false); }
    | NAME ":" type "[" names "]"       { $$ = ast_tensor(p, @$, $1, $3, $5, true); }
    ;
clauses: %empty                                               { $$ = ast_clauses(p); }
    | clauses "with" tensor_list                              { $$ = ast_clause_with(p, $1, @2, $3); }
    | clauses "example" examples                              { $$ = ast_clause_example(p, $1, @2, $3); }
    | clauses "cost" expression                               { $$ = ast_clause_cost(p, $1, @2, $3); }
    ;
examples: NAME "=" expression                   { $$ = ast_add_example(p, (AstExamples){0}, $1, $3); }
    | examples "," NAME "=" expression          { $$ = ast_add_example(p, $1, $3, $5); }
    ;

/* The body of a pattern */
statements: %empty                                            { $$ = (AstStatements){0}; }
    | statement_list
    | statement_list NEWLINE                                  /* only where a missing } is made up */
    ;
statement_list: statement                       { $$ = ast_add_statement(p, (AstStatements){0}, $1); }
    | statement_list NEWLINE statement          { $$ = ast_add_statement(p, $1, $3); }
    ;
statement:
      NAME annotation "=" expression           { $$ = ast_equation(p, @$, $1, false, (AstList){0}, $2, $4); }
    | NAME "[" items "]" annotation "=" expression         { $$ = ast_equation(p, @$, $1, true, $3, $5, $7); }
    | "require" expression                                    { $$ = ast_require(p, @$, $2); }
    | "carry" names                                           { $$ = ast_carry(p, @$, $2); }
    | "index" NAME ":" expression                             { $$ = ast_index(p, @$, $2, $4); }
    | "index" NAME "from" expression                          { $$ = ast_index_from(p, @$, $2, $4); }
    | "index" NAME "like" NAME                                { $$ = ast_index_like(p, @$, $2, $4); }
    | "block" NAME "of" NAME "by" expression                  { $$ = ast_block(p, @$, $2, $4, false, $6); }
    | "block" NAME "of" NAME "into" expression                { $$ = ast_block(p, @$, $2, $4, true, $6); }
    | error                                     { syntax_recovered(p); yyerrok; $$ = NULL; }
    ;

/* Expressions, loosest first */
expression: either
    | "if" expression "then" expression "else" expression     { $$ = ast_if(p, @$, $2, $4, $6); }
    ;
either: both
    | either "or" both                                        { $$ = ast_binary(p, @$, OP_OR, @2, $1, $3); }
    ;
both: negation
    | both "and" negation                                     { $$ = ast_binary(p, @$, OP_AND, @2, $1, $3); }
    ;
negation: comparison
    | "not" negation                                          { $$ = ast_unary(p, @$, OP_NOT, @1, $2); }
    ;
comparison: bit_or
    | chain
    ;
chain: bit_or compare_op bit_or                               { $$ = ast_compare(p, @$, $2, @2, $1, $3); }
    | chain compare_op bit_or                                 { $$ = ast_chain(p, @$, $2, $1, $3); }
    ;
bit_or: bit_xor
    | bit_or "|" bit_xor                                     { $$ = ast_binary(p, @$, OP_BITOR, @2, $1, $3); }
    ;
bit_xor: bit_and
    | bit_xor "^" bit_and                                   { $$ = ast_binary(p, @$, OP_BITXOR, @2, $1, $3); }
    ;
bit_and: shift
    | bit_and "&" shift                                     { $$ = ast_binary(p, @$, OP_BITAND, @2, $1, $3); }
    ;
shift: sum
    | shift shift_op sum                                      { $$ = ast_binary(p, @$, $2, @2, $1, $3); }
    ;
sum: product
    | sum sum_op product                                      { $$ = ast_binary(p, @$, $2, @2, $1, $3); }
    ;
product: unary
    | product product_op unary                                { $$ = ast_binary(p, @$, $2, @2, $1, $3); }
    ;
unary: power
    | "-" unary                                               { $$ = ast_unary(p, @$, OP_NEG, @1, $2); }
    ;
power: primary
    | primary "**" unary                                      { $$ = ast_binary(p, @$, OP_POW, @2, $1, $3); }
    ;
compare_op: "==" { $$ = OP_EQ; } | "!=" { $$ = OP_NE; } | "<" { $$ = OP_LT; } | "<=" { $$ = OP_LE; }
    | ">" { $$ = OP_GT; } | ">=" { $$ = OP_GE; }
    ;
shift_op: "<<" { $$ = OP_SHL; } | ">>" { $$ = OP_SHR; }
    ;
sum_op: "+" { $$ = OP_ADD; } | "-" { $$ = OP_SUB; }
    ;
product_op: "*" { $$ = OP_MUL; } | "/" { $$ = OP_DIV; } | "//" { $$ = OP_FLOORDIV; } | "%" { $$ = OP_MOD; }
    ;
primary: INTEGER                                              { $$ = ast_integer(p, @$, $1); }
    | REAL                                                    { $$ = ast_real(p, @$, $1); }
    | "true"                                                  { $$ = ast_boolean(p, @$, true); }
    | "false"                                                 { $$ = ast_boolean(p, @$, false); }
    | NAME                                                    { $$ = ast_name(p, $1); }
    | NAME "[" items "]"                                      { $$ = ast_subscript(p, @$, $1, $3); }
    | NAME "(" arguments ")"                                  { $$ = ast_call(p, @$, $1, $3); }
    | NAME "[" items "]" "(" arguments ")"                    { $$ = ast_bracket(p, @$, $1, $3, $6); }
    | primary "." NAME                                        { $$ = ast_member(p, @$, $1, $3); }
    | "(" expression ")"                                      { $$ = ast_bracketed($2, @$); }
    ;

/* Subscripts and binders look alike until the bracket behind them is seen: `s[i, j]`, `sum[i, j](...)`. */
items: item                                                   { $$ = ast_add(p, (AstList){0}, $1); }
    | items "," item                                          { $$ = ast_add(p, $1, $3); }
    ;
item: expression
    | NAME "=" expression                                     { $$ = ast_named(p, @$, $1, $3); }
    | NAME "->" NAME                                          { $$ = ast_arrow(p, @$, $1, $3); }
    ;
arguments: %empty                                             { $$ = (AstList){0}; }
    | argument_list
    ;
argument_list: argument                                       { $$ = ast_add(p, (AstList){0}, $1); }
    | argument_list "," argument                              { $$ = ast_add(p, $1, $3); }
    ;
argument: expression where                                    { $$ = ast_with(p, $1, $2); }
    | NAME "=" expression where                  { $$ = ast_with(p, ast_named(p, span_join(@1, @3), $1, $3), $4); }
    | "[" NAME "]"                                            { $$ = ast_index_name(p, @$, $2); }
    ;
where: %empty                                                 { $$ = (AstWhere){0}; }
    | "where" expression                                      { $$ = (AstWhere){$2, @1}; }
    ;
%%

const char *token_name(int kind) { return yysymbol_name(YYTRANSLATE(kind)); }

static int yyreport_syntax_error(const yypcontext_t *context, Parser *p)
{
    yysymbol_kind_t symbols[YYNTOKENS];
    int n = yypcontext_expected_tokens(context, symbols, YYNTOKENS);
    Expected expected = {0};
    for (int kind = TOKEN_FIRST; kind < TOKEN_FIRST + TOKEN_KINDS; kind++)
        for (int i = 0; i < n; i++)
            if (YYTRANSLATE(kind) == symbols[i]) expected.kind[kind - TOKEN_FIRST] = true;
    syntax_error(p, &expected);
    return 0;
}
