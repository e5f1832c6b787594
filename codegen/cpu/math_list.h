/*
 * The elementary functions: MATH(NAME, name, arguments, ulp_f32, ulp_f64).
 *
 * The last two are the largest errors promised, in units in the last place of the result;
 * tests/codegen/test_math.c holds every function to them, docs/numerics.md explains them. 0.5 is correctly
 * rounded.
 */
/* Emitted as polynomials. */
MATH(EXP,   exp,   1, 1.0, 1.0)
MATH(EXP2,  exp2,  1, 1.0, 1.0)
MATH(EXPM1, expm1, 1, 1.5, 1.5)
MATH(EXP_DOWN, exp_down, 1, 5.0, 1.0) /* of arguments up to 0 */
MATH(EXP2_DOWN, exp2_down, 1, 2.2, 1.0)
MATH(SIGMOID, sigmoid, 1, 6.5, 2.5) /* 1 / (1 + e^-x) */
MATH(LOG,   log,   1, 1.0, 1.0)
MATH(LOG2,  log2,  1, 1.5, 1.5)
MATH(LOG1P, log1p, 1, 1.5, 1.5)
MATH(TANH,  tanh,  1, 2.0, 2.0)
MATH(ERF,   erf,   1, 1.5, 1.5)
MATH(SIN,   sin,   1, 0.6, 1.0)
MATH(COS,   cos,   1, 0.6, 1.0)
MATH(ATAN,  atan,  1, 1.5, 1.5)
MATH(POW,   pow,   2, 0.6, 2.0)
MATH(RSQRT, rsqrt, 1, 1.5, 1.5)
/* LLVM intrinsics. */
MATH(SQRT,  sqrt,      1, 0.5, 0.5)
MATH(ABS,   fabs,      1, 0.5, 0.5)
MATH(FLOOR, floor,     1, 0.5, 0.5)
MATH(CEIL,  ceil,      1, 0.5, 0.5)
MATH(ROUND, roundeven, 1, 0.5, 0.5)
MATH(MIN,   minimum,   2, 0.5, 0.5)
MATH(MAX,   maximum,   2, 0.5, 0.5)
