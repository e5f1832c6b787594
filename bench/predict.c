/* What `attnc explain` predicts for a case: asked of the program. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#if !defined ATTN_CASES || !defined ATTN_PROGRAM
#error "the folder of the cases, and the program attnc"
#endif

/* It draws other ints than inputs.c, knows no heads that share keys, and looks at this machine alone. */
static bool is_predictable(const Case *c, const AttnPatternDesc *p, const Options *o)
{
    for (int k = 0; k < p->n_tensors; k++)
        if (p->tensors[k].type.code != kDLFloat && p->tensors[k].type.code != kDLBfloat) return false;
    return !c->key_heads && !o->cpu;
}

double predict_case(const Case *c, const AttnPatternDesc *p, const Options *o)
{
    static const char key[] = "\"predicted_seconds\": ";
    char command[4096], line[4096];
    double seconds = 0;
    if (!is_predictable(c, p, o)) return 0;
    int n = snprintf(command, sizeof command, "'%s' explain '%s/%s.attn' --json --threads %d", ATTN_PROGRAM,
                     ATTN_CASES, c->file ? c->file : c->name, case_threads(c));
    for (int k = 0; k < p->n_indices && n < (int)sizeof command; k++)
        n += snprintf(command + n, sizeof command - (size_t)n, " --size %s=%lld", p->indices[k],
                      (long long)case_extent(c, p->indices[k]));
    FILE *f = n < (int)sizeof command ? popen(command, "r") : NULL;
    while (f && fgets(line, sizeof line, f)) /* the last one is that of all stages */
        for (const char *at = line; (at = strstr(at, key)); at++) seconds = strtod(at + sizeof key - 1, NULL);
    return f && pclose(f) == 0 ? seconds : 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double predict_error(const Result *results)
{
    double errors[64];
    size_t n = 0;
    for (int k = 0; k < n_cases && n < sizeof errors / sizeof *errors; k++)
        if (results[k].predicted > 0) errors[n++] = fabs(results[k].predicted / results[k].seconds - 1);
    qsort(errors, n, sizeof *errors, by_size);
    return n ? errors[n / 2] : 0;
}
