/* Operations of the core expression language, shared by Program, Graph, Plan and Loops.
 * NODE(name, text, class): class LEAF, UNARY, BINARY, TERNARY, BINDER, OTHER. Types are those of the result; arithmetic
 * exists for int and real (operands and result have one type), comparisons take two operands of one type. */
NODE(INT, "int", LEAF)            /* .integer */
NODE(REAL, "real", LEAF)          /* .real */
NODE(BOOL, "bool", LEAF)          /* .integer is 0 or 1 */
NODE(INDEX, "index", LEAF)        /* .index: the coordinate, counted from 0 whatever the origin; int */
NODE(SIZE, "size", LEAF)          /* .index: an extent that is known when tensors are bound; int */
NODE(PARAM, "param", LEAF)        /* .param */
NODE(GIVEN, "given", LEAF)        /* .tensor: is this optional input bound? bool */
NODE(GROUP, "group", LEAF)        /* .tensor: so many consecutive heads share one head of it as it is bound, at least 1; int. 1
                                   * is never wrong: nothing but the work may depend on it; only in Loops */
NODE(UNIT, "unit", LEAF)          /* .tensor: do its elements lie side by side along the last dimension, as it is bound? bool.
                                   * False is never wrong; only in Loops */
NODE(LOCAL, "local", LEAF)        /* .local: a scalar variable; only in Loops */
NODE(READ, "read", OTHER)         /* .tensor, args: one coordinate per dimension */
NODE(TO_REAL, "to_real", UNARY)   /* int or bool to real */
NODE(TO_INT, "to_int", UNARY)     /* real to int: truncates, saturates, NaN gives 0; bool to int */
NODE(NEG, "neg", UNARY)
NODE(NOT, "not", UNARY)           /* bool */
NODE(ADD, "add", BINARY)
NODE(SUB, "sub", BINARY)
NODE(MUL, "mul", BINARY)
NODE(DIV, "div", BINARY)          /* real */
NODE(FLOORDIV, "floordiv", BINARY) /* int; x // 0 is 0 */
NODE(MOD, "mod", BINARY)          /* int, floored; x % 0 is x */
NODE(POW, "pow", BINARY)          /* real */
NODE(BITAND, "bitand", BINARY)
NODE(BITOR, "bitor", BINARY)
NODE(BITXOR, "bitxor", BINARY)
NODE(SHL, "shl", BINARY)          /* modulo 64 */
NODE(SHR, "shr", BINARY)          /* arithmetic, modulo 64 */
NODE(MIN, "min", BINARY)          /* NaN propagates */
NODE(MAX, "max", BINARY)
NODE(EQ, "eq", BINARY)
NODE(NE, "ne", BINARY)
NODE(LT, "lt", BINARY)
NODE(LE, "le", BINARY)
NODE(AND, "and", BINARY)          /* the right side is evaluated only if the left is true */
NODE(OR, "or", BINARY)            /* ... only if the left is false */
NODE(IF, "if", TERNARY)           /* condition, then, else; only one is evaluated */
NODE(EXP, "exp", UNARY)
NODE(EXP2, "exp2", UNARY)
NODE(EXPM1, "expm1", UNARY)
NODE(EXP_DOWN, "exp_down", UNARY) /* e^x for an x known to be at most 0, or NaN: the weights of softmaxes; only in Plan and Loops */
NODE(EXP2_DOWN, "exp2_down", UNARY) /* 2^x likewise */
NODE(LOG, "log", UNARY)
NODE(LOG2, "log2", UNARY)
NODE(LOG1P, "log1p", UNARY)
NODE(SQRT, "sqrt", UNARY)
NODE(RSQRT, "rsqrt", UNARY)
NODE(TANH, "tanh", UNARY)
NODE(SIN, "sin", UNARY)
NODE(COS, "cos", UNARY)
NODE(ATAN, "atan", UNARY)
NODE(ERF, "erf", UNARY)
NODE(ABS, "abs", UNARY)           /* int or real */
NODE(SIGN, "sign", UNARY)         /* int or real; NaN stays */
NODE(FLOOR, "floor", UNARY)       /* real to real */
NODE(CEIL, "ceil", UNARY)
NODE(ROUND, "round", UNARY)       /* to even */
NODE(POPCOUNT, "popcount", UNARY)
NODE(STOP, "stop", UNARY)         /* identity; no gradient passes */
NODE(RAND, "rand", OTHER)         /* args: seed and four ints; real on [0, 1), Philox4x32-10 */
NODE(CHECK, "check", OTHER)       /* args: int x, lo, hi; x, reported (.check) when not lo <= x < hi; then clamped */
/* Binders. args: lo and hi of every variable (evaluated outside), then `where` and the body (evaluated inside, for
 * every coordinate lo <= variable < hi), then what the operation needs besides (evaluated outside). */
NODE(REDUCE, "reduce", BINDER)    /* .reduction; where, body. */
NODE(NORMALISE, "normalise", BINDER) /* .normaliser; where, score [, sink]: the weight at the current coordinates */
NODE(SCAN, "scan", BINDER)        /* .scan; where, body: the value at the current coordinate */
NODE(TOPK, "topk", BINDER)        /* where, score, n: bool at the current coordinates */
NODE(TOPP, "topp", BINDER)        /* where, weight, mass: bool at the current coordinates */
NODE(RANK, "rank", BINDER)        /* where, x: int at the current coordinates, -1 if left out */
NODE(TOP_INDEX, "top_index", BINDER) /* where, score, r: the row-major position of the r-th best (r from 0), or -1 */
NODE(POSITIONS, "positions", BINDER) /* where, true, r: the row-major position of the r-th that holds, or -1 */
