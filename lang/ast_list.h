/* Kinds of expressions. */
AST(INTEGER)
AST(REAL)
AST(BOOLEAN)
AST(NAME)
AST(SUBSCRIPT)  /* name[positional, ...] or name[index = value, ...] */
AST(CALL)       /* name(args) */
AST(BRACKET)    /* name[binders](args where condition) */
AST(MEMBER)     /* call.output, or S.start / S.last */
AST(UNARY)
AST(BINARY)
AST(COMPARE)    /* a chain */
AST(IF)
