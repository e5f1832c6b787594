/* Kinds of expressions. */
AST(INTEGER)
AST(REAL)
AST(BOOLEAN)
AST(NAME)
AST(SUBSCRIPT)  /* name[positional, ...] or name[index = value, ...] */
AST(CALL)       /* name(args) */
AST(BRACKET)    /* name[binders](args where condition) */
AST(MEMBER)     /* call.output */
AST(UNARY)
AST(BINARY)
AST(COMPARE)    /* a chain */
AST(IF)
AST(NAMED)      /* an argument or subscript `name = value` */
AST(INDEX_NAME) /* an argument `[d]` */
AST(ARROW)      /* `j -> r` and `x where c`: in the makers of trees alone */
AST(WHERE)
