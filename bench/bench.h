/* bench/run: the cases, how one is measured, how the results are shown.
 *   cases.c    the table of cases and the pairs that each of them must visit
 *   inputs.c   numbers for the tensors of a case
 *   measure.c  one case: compiled, bound, run
 *   predict.c  what attnc explain says of the time
 *   report.c   the table and the JSON
 * What the machine can do is measured by compiler/command/host.c. */
#ifndef ATTN_BENCH_H
#define ATTN_BENCH_H

#include <attn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a case is measured against: AGAINST(name, text). Shares above 1 are better than it. */
#define AGAINSTS(X) \
    X(NOTHING, "")                          \
    X(SGEMM, "sgemm")                       /* of as many threads as the case has */ \
    X(CASE, "")                             /* the rate of another case */ \
    X(QUERY, " per query")                  /* the time per query of another case */ \
    X(ONE_THREAD, "one thread")             /* the same case, both at their best */ \
    X(READ, "read bandwidth")               /* plain reads of the same keys and values, of as many threads */
typedef enum Against {
#define AGAINST(name, text) OF_##name,
    AGAINSTS(AGAINST)
#undef AGAINST
} Against;

/* One figure. What is 0 stands for: 4096 queries and keys, 8 heads, one thread, one map of scores. */
typedef struct Case {
    const char *name;
    const char *file;        /* bench/cases/FILE.attn; NULL: as the name */
    const char *sizes;       /* `i=4096 j=4096 d=64 e=64`: an extent for every index but b and h */
    Against of;
    const char *other;       /* OF_CASE, OF_QUERY: the name of a case that stands before this one */
    double floor;            /* the share that is asked for; 0: none */
    double peak_floor;       /* the share of the FMA peak that is asked for besides; 0: none */
    /* Does query i see key j? NULL: a causal window of w keys. */
    bool (*visible)(const struct Case *, int i, int j);
    int w, r, side;          /* what `visible` needs */
    int queries, keys, heads, key_heads, threads, maps;
} Case;

typedef struct Result {
    double seconds, best;    /* median and least; of the thread, or of the clock if there are several */
    double one_thread;       /* OF_ONE_THREAD: the least of one thread */
    double pairs, flops;     /* visible pairs of all heads; 2 (d + e) for each of them and map */
    double bytes;            /* of keys and values */
    double read;             /* OF_READ: bytes per second */
    double workspace;        /* bytes beside the tensors */
    double predicted;        /* seconds; 0: it is not */
} Result;

typedef struct Machine {     /* per second; [n - 1]: of n threads */
    double peak[2], read[2];
    double sgemm, blas_attention;
} Machine;

typedef struct Options {
    bool quick;              /* one round */
    const char *cpu;         /* code for this CPU instead of the machine's; or NULL */
    bool narrow;             /* that CPU has no AVX-512 */
    const char *only, *json; /* one case with those that it is measured against; the file to write; or NULL */
} Options;

/* cases.c */
extern const Case cases[];
extern const int n_cases;
int case_number(const char *name);             /* -1: none */
int64_t case_extent(const Case *c, const char *index);
double case_visible_pairs(const Case *c);      /* of all heads */
static inline int case_threads(const Case *c) { return c->threads ? c->threads : 1; }

/* inputs.c: which numbers is no promise, but they are the same in every run. */
bool input_block_kept(int a, int c);           /* does the a-th block of 64 queries see the c-th of keys? */
int input_document(int position);              /* of documents with 128 to 1024 positions */
int input_cluster(int position);  /* one of 64, at random */
/* n numbers of a tensor; NULL: no memory, or no such tensor. */
void *input_new(const AttnTensorDesc *tensor, size_t n, const int64_t *shape, unsigned seed);

/* measure.c: a failure ends the program. */
Result measure_case(const Case *c, const Options *options);

/* predict.c */
double predict_case(const Case *c, const AttnPatternDesc *pattern, const Options *options); /* 0: it is not */
double predict_error(const Result *results);   /* the median of |predicted / measured - 1| */

/* report.c */
double report_share(int number, const Result *results, const Machine *machine);
void report_machine(const Machine *machine, const Options *options);
void report_row(int number, const Result *results, const Machine *machine);
/* `shown`: which cases were measured. False: the file cannot be written. */
void report_end(const Result *results);
bool report_json(const Options *options, const Machine *machine, const Result *results, const bool *shown);

#endif
