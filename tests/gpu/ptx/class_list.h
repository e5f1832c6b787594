/* Classes of instructions that counters tell apart: CLASS(name, text). */
CLASS(INTEGER, "integer")
CLASS(FLOAT, "f32")
CLASS(DOUBLE, "f64")
CLASS(HALF, "f16")
CLASS(SPECIAL, "special")           /* lg2, rcp, rsqrt, sqrt, sin, cos, tanh, div of f32 */
CLASS(EXP, "exp2")                  /* ex2 alone */
CLASS(CONVERT, "convert")
CLASS(SELECT, "select")             /* setp, selp and logic of predicates */
CLASS(MOVE, "move")                 /* mov, cvta: mostly gone after register allocation */
CLASS(MMA, "mma")
CLASS(LDMATRIX, "ldmatrix")
CLASS(GLOBAL_LOAD, "global load")
CLASS(GLOBAL_STORE, "global store")
CLASS(ASYNC, "async copy")
CLASS(SHARED_LOAD, "shared load")
CLASS(SHARED_STORE, "shared store")
CLASS(LOCAL, "local")               /* stack and parameters of functions */
CLASS(CONSTANT, "constant")         /* kernel parameters and .const */
CLASS(ATOMIC, "atomic")
CLASS(SHUFFLE, "shuffle")           /* shfl, vote, match, redux */
CLASS(BARRIER, "barrier")           /* bar, fences, waiting for copies */
CLASS(BRANCH, "branch")             /* bra, call, ret, exit */
CLASS(OTHER, "other")
