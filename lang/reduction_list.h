/* Reductions: name, text. Values over nothing are those of docs/language.md. ARGMAX and ARGMIN give the row-major
 * position over the bound variables (counted from 0), -1 over nothing. MEAN divides by the number of kept elements. */
REDUCTION(SUM, "sum")
REDUCTION(PROD, "prod")
REDUCTION(MAX, "max")
REDUCTION(MIN, "min")
REDUCTION(MEAN, "mean")
REDUCTION(ANY, "any")
REDUCTION(ALL, "all")
REDUCTION(ARGMAX, "argmax")
REDUCTION(ARGMIN, "argmin")
REDUCTION(LOGSUMEXP, "logsumexp")
