/* Kinds of stages. */
STAGE(PAIRWISE, "pairwise") /* scores over (query space x streamed space), normaliser, weighted sums; never stores the map */
STAGE(CONTRACT, "contract") /* a sum of products */
STAGE(SCAN, "scan")         /* a recurrence */
STAGE(CONVOLVE, "convolve") /* a sum over shifted reads */
STAGE(SELECT, "select")     /* top-k, top-p, positions, ranks */
STAGE(MAP, "map")           /* all the rest: pointwise, gathers, small reductions */
