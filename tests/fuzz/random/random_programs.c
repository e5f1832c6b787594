/* random_programs [-t SECONDS] [-j PROCESSES] [-l LEAST] [-s SEED] [-n NUMBER] [-k FOLDER] [-r] [-c]
 * [FILE.attn...] Regression files first, then random programs until the time is over: the oracle, Loops and
 * machine code must agree on all of them. A finding is minimised and printed (-k: kept in a folder). -n: this
 * program of the seed alone, printed   -r: tell why programs are rejected -m: minimise files that fail, too
 * -q: minimise for a short time only   -c: machine code of the first CUDA device; skipped where there is no
 * NVRTC -l: so many programs have to agree, or would have on an idle machine: by their processor time */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/attn.h"
#include "trial.h"

enum { BATCH = 12, FINDINGS_MAX = 12 };

/* Of all processes. */
typedef struct Totals {
    atomic_uint batches, programs, count[FAILED + 1];
} Totals;

typedef struct Fuzz {
    Totals *all;
    uint64_t seed;
    double until;
    const char *keep;
    bool show_rejected, quick, minimise;
    const char *target;
    Outcome findings[FINDINGS_MAX];
    unsigned n_findings;
} Fuzz;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void keep(const Fuzz *f, const char *text, const char *name, const Outcome *o,
                 const TrialOptions *options)
{
    if (!f->keep) return;
    char path[4096];
    snprintf(path, sizeof path, "%s/seed-%llu-%s.attn", f->keep, (unsigned long long)f->seed, name);
    FILE *file = fopen(path, "we");
    if (!file) return;
    fprintf(file, "# %.*s\n# %s, seed %llu\n%s", (int)strcspn(o->text, "\n"), o->text,
            options->f64 ? "f64" : "f32", (unsigned long long)options->seed, text);
    fclose(file);
}

static void report(Fuzz *f, const RandomProgram *p, const Outcome *o, const TrialOptions *options)
{
    for (unsigned k = 0; k < f->n_findings; k++)
        if (same_failure(&f->findings[k], o)) {
            printf("again (%s of seed %llu): %.120s\n", p->name, (unsigned long long)f->seed, o->text);
            return;
        }
    if (f->n_findings < FINDINGS_MAX) f->findings[f->n_findings++] = *o;
    char *whole = malloc(strlen(p->uses) + strlen(p->text) + 1);
    if (!whole) return;
    strcat(strcpy(whole, p->uses), p->text);
    char *small = minimise(whole, p->name, options, o, f->quick ? 10 : 60);
    printf("FAILED (%s of seed %llu, %s): %s\n%s\n", p->name, (unsigned long long)f->seed,
           options->f64 ? "f64" : "f32", o->text, small);
    if (small) keep(f, small, p->name, o, options);
    fflush(stdout);
    free(small);
    free(whole);
}

static TrialOptions batch_options(const Fuzz *f, unsigned first)
{
    unsigned number = first / BATCH;
    return (TrialOptions){.f64 = number % 4 != 3,
                          .generate_code = true,
                          .target = f->target,
                          .variants = number % 10 == 4,
                          .sizes = 3,
                          .seed = f->seed + first,
                          .definition = number % 3 == 1 ? "n0=2" : NULL};
}

static void batch(Fuzz *f, unsigned first)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) {
        printf("the generator: %s\n", c.fatal);
        f->all->count[FAILED]++;
        return;
    }
    TrialOptions options = batch_options(f, first);
    RandomProgram programs[BATCH];
    Outcome outcomes[BATCH];
    for (unsigned k = 0; k < BATCH; k++) programs[k] = random_program(&c, f->seed, first + k, !options.f64);
    try_programs(programs, BATCH, &options, outcomes);
    for (unsigned k = 0; k < BATCH; k++) {
        f->all->count[outcomes[k].verdict]++;
        f->all->programs++;
        if (outcomes[k].verdict == FAILED) report(f, &programs[k], &outcomes[k], &options);
        if (outcomes[k].verdict == REJECTED && f->show_rejected)
            printf("rejected: %s%s%s\n", outcomes[k].text, programs[k].uses, programs[k].text);
        if (outcomes[k].verdict < FAILED && *outcomes[k].text && f->show_rejected)
            printf("refused %d: %s\n", outcomes[k].verdict, outcomes[k].text);
    }
    compilation_free(&c);
}

static void one(Fuzz *f, unsigned number)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) return;
    unsigned first = number / BATCH * BATCH;
    TrialOptions options = batch_options(f, first);
    RandomProgram p = random_program(&c, f->seed, number, !options.f64);
    Outcome o;
    printf("%s%s", p.uses, p.text);
    try_programs(&p, 1, &options, &o);
    if (o.verdict == FAILED) report(f, &p, &o, &options);
    printf("# verdict %d: %s\n", o.verdict, o.text);
}

/* A file: f64 and f32, more sizes. */
static void file(Fuzz *f, const char *path)
{
    FILE *in = fopen(path, "re");
    char *text = calloc(1, 1 << 16);
    bool ok = in && text && fread(text, 1, (1 << 16) - 1, in) > 0;
    if (in) fclose(in);
    for (unsigned k = 0; k < 2; k++) {
        TrialOptions options = {
            .f64 = !k, .generate_code = true, .target = f->target, .sizes = 4, .seed = f->seed};
        Outcome o = {FAILED, "cannot be read"};
        RandomProgram p = {"", text, path};
        if (ok) try_programs(&p, 1, &options, &o);
        if (k && strstr(text, "# f64 only")) break;
        f->all->count[o.verdict == FAILED ? FAILED : FINE]++;
        if (o.verdict == FAILED || o.verdict == REJECTED) {
            printf("FAILED %s (%s): %s\n", path, k ? "f32" : "f64", o.text);
            if (o.verdict == REJECTED) f->all->count[FAILED]++;
            char *small = f->minimise ? minimise(text, path, &options, &o, 60) : NULL;
            if (small) printf("%s\n", small);
            free(small);
        }
    }
    free(text);
}

/* Opens the compiler, for all children at once. False: it lacks NVRTC. */
static bool open_compiler(const char *target)
{
    AttnCompileOptions options = {.target = target, .no_cache = 1};
    AttnError error;
    AttnLibrary *library;
    const char *text = "pattern p()\n    over b: x[i] -> y[i]\n    example i = 1\n{\n    y = x\n}\n";
    if (!attn_compile_string(text, NULL, &options, &library, &error)) return attn_close(library), true;
    bool lacks = target && strstr(error.text, "NVRTC");
    if (lacks) printf("skipped: %s\n", error.text);
    return !lacks;
}

/* Batches until the time is over, in so many processes. */
static void search(Fuzz *f, unsigned processes)
{
    fflush(NULL);
    for (unsigned k = 0; k < processes; k++) {
        if (fork()) continue;
        while (now() < f->until) batch(f, BATCH * f->all->batches++);
        exit(0);
    }
    for (int status; wait(&status) > 0;)
        if (status) {
            f->all->count[FAILED]++;
            printf("FAILED: a process ended with status %d\n", status);
        }
}

/* Programs in a minute of as many processors as there are processes. */
static double in_a_minute(const Fuzz *f, unsigned processes)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    double seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                     1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    return seconds > 0 ? 60 * processes * f->all->count[FINE] / seconds : 0;
}

static int conclude(const Fuzz *f, unsigned processes, unsigned least)
{
    const Totals *t = f->all;
    double rate = in_a_minute(f, processes);
    printf("%u programs: %u agree, %u rejected, %u refused, %u too long, %u failed; %.0f in a minute of %u "
           "processors\n",
           t->programs, t->count[FINE], t->count[REJECTED], t->count[REFUSED], t->count[LONG],
           t->count[FAILED], rate, processes);
    bool accepted = t->programs < 100 || t->count[REJECTED] * 5 < t->programs, enough = rate >= least;
    if (!accepted) puts("too many are rejected: the generator no longer fits the checker");
    if (!enough) printf("at least %u in a minute were wanted\n", least);
    return t->count[FAILED] || !accepted || !enough;
}

int main(int argc, char **argv)
{
    Fuzz f = {.seed = 1};
    double seconds = 60;
    int option, number = -1;
    unsigned processes = 1, least = 0;
    while ((option = getopt(argc, argv, "t:j:l:s:n:k:rqmc")) != -1) switch (option) {
        case 't': seconds = atof(optarg); break;
        case 'j': processes = (unsigned)atoi(optarg); break;
        case 'l': least = (unsigned)atoi(optarg); break;
        case 's': f.seed = strtoull(optarg, NULL, 0); break;
        case 'n': number = atoi(optarg); break;
        case 'k': f.keep = optarg; break;
        case 'r': f.show_rejected = true; break;
        case 'm': f.minimise = true; break;
        case 'q': f.quick = true; break;
        case 'c': f.target = "cuda:compute_80"; break;
        default: return 2;
        }
    f.all = mmap(NULL, sizeof *f.all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f.all == MAP_FAILED) return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!open_compiler(f.target)) return 77;
    if (number >= 0) return one(&f, (unsigned)number), 0;
    for (int k = optind; k < argc; k++) file(&f, argv[k]);
    f.until = now() + seconds;
    if (seconds > 0) search(&f, processes);
    return conclude(&f, processes, least);
}
