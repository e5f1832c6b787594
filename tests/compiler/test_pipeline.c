/* The pipeline: variants, what it reads and remembers of files; every failed allocation is survived. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/pipeline.h"

static const char text[] =
    "use \"std/masks.attn\"\n"
    "pattern a(w: int = 4)\n    over b: q[i, d], k[j, d] -> o[i]\n"
    "    example i = 4, j = 4, d = 2\n"
    "{\n    o = sum[j](sum[d](q * k) where causal(i, j) and i - j < w)\n}\n"
    "pattern b()\n    over b: x[t, c] -> y[t, c]\n    example t = 4, c = 2\n"
    "{\n    y[t] = y[t - 1] + x\n}\n";

static const char *const includes[] = {"/nonexistent", ATTN_PATTERN_DIR_SOURCE};

static PipelineOptions options(void)
{
    return (PipelineOptions){.path = "memory/test.attn", .text = text, .length = sizeof text - 1,
                             .includes = includes, .n_includes = 2};
}

/* Runs the pipeline up to its job; returns its status, or -1 where it left by the escape. */
static int run(Compilation *c, const PipelineOptions *o, Pipeline *p, BackendJob *job)
{
    if (setjmp(c->escape)) return -1;
    pipeline_init(p, c, o);
    pipeline_job(p, job);
    return (int)p->status;
}

#define CASE(o) \
    Compilation c; \
    Pipeline p; \
    BackendJob job; \
    compilation_init(&c); \
    int status = run(&c, &(o), &p, &job)

Test(pipeline, all_patterns)
{
    PipelineOptions o = options();
    CASE(o);
    cr_assert_eq(status, PIPELINE_OK);
    cr_assert_eq(job.variants.n, 2);
    cr_assert_str_eq(job.variants.at[1].kernel->pattern->name, "b");
    compilation_free(&c);
}

/* d=2,4 for `a` alone; the general variant last; every combination with every CPU. */
Test(pipeline, variants)
{
    static const char *const sizes[] = {"d=2,4", "j=8", "d=6"};
    PipelineOptions o = options();
    o.sizes = sizes, o.n_sizes = 3, o.cpus = "x,y";
    CASE(o);
    cr_assert_eq(status, PIPELINE_OK);
    cr_assert_eq(job.variants.n, (3 + 1) * 2 + 2);
    const Pattern *a = job.variants.at[0].kernel->pattern;
    int64_t seen = 0;
    for (unsigned k = 0; k < 6; k++) {
        const Variant *v = &job.variants.at[k];
        cr_assert_str_eq(v->cpu, k % 2 ? "y" : "x");
        for (uint32_t i = 0; i < a->indices.n; i++) {
            const char *name = a->indices.at[i]->name;
            if (!strcmp(name, "d")) seen += v->fixed[i];
            else cr_assert_eq(v->fixed[i], strcmp(name, "j") ? -1 : 8);
        }
    }
    cr_assert_eq(seen, 2 * (2 + 4 + 6));
    for (unsigned k = 6; k < 10; k++) cr_assert_null(job.variants.at[k].fixed);
    compilation_free(&c);
}

Test(pipeline, wrong_options)
{
    static const char *const bad[] = {"d",  "d=",   "d=-1", "d=1,",
                                      "=1", "d=1x", "z=1",  "d=99999999999999999999"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        PipelineOptions o = options();
        o.sizes = &bad[k], o.n_sizes = 1;
        CASE(o);
        cr_assert_eq(status, PIPELINE_SOURCE, "--size %s", bad[k]);
        cr_assert_not_null(p.error);
        compilation_free(&c);
    }
    static const char *const definitions[] = {"w", "=2", "v=2"};
    for (size_t k = 0; k < sizeof definitions / sizeof *definitions; k++) {
        PipelineOptions o = options();
        o.definitions = &definitions[k], o.n_definitions = 1;
        CASE(o);
        cr_assert_eq(status, PIPELINE_SOURCE, "-D %s", definitions[k]);
        compilation_free(&c);
    }
}

/* Every file that `use` looked for, in order, and whether it was there. */
Test(pipeline, files)
{
    PipelineOptions o = options();
    CASE(o);
    cr_assert_eq(status, PIPELINE_OK);
    cr_assert_eq(p.files.n, 3);
    cr_assert_not(p.files.at[0].found);
    cr_assert_not(p.files.at[1].found);
    cr_assert(p.files.at[2].found);
    cr_assert_str_eq(p.files.at[0].path, "memory/std/masks.attn");
    cr_assert_str_eq(p.files.at[1].path, "/nonexistent/std/masks.attn");
    cr_assert(p.files.at[2].hash[0]);
    compilation_free(&c);
}

Test(pipeline, hash)
{
    PipelineOptions o = options();
    uint64_t first[2];
    {
        CASE(o);
        cr_assert_eq(status, PIPELINE_OK);
        memcpy(first, job.source_hash, sizeof first);
        compilation_free(&c);
    }
    {
        CASE(o);
        cr_assert_eq(status, PIPELINE_OK);
        cr_assert_arr_eq(first, job.source_hash, sizeof first);
        compilation_free(&c);
    }
    char other[sizeof text];
    memcpy(other, text, sizeof text);
    *strstr(other, "w: int = 4") = 'w';
    strstr(other, "= 4")[2] = '5';
    o.text = other;
    CASE(o);
    cr_assert_eq(status, PIPELINE_OK);
    cr_assert(first[0] != job.source_hash[0]);
    compilation_free(&c);
}

/* Each allocation fails in turn: the pipeline leaves by the escape and leaks nothing. */
Test(pipeline, out_of_memory)
{
    char path[] = "/tmp/attn-pipeline-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0 && write(file, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
    close(file);
    PipelineOptions o = options();
    o.path = path, o.text = NULL; /* read from a file */
    size_t step = 1, failures = 0;
    for (size_t n = 1;; n += step) {
        Compilation c;
        Pipeline p;
        BackendJob job;
        compilation_init(&c);
        c.fail_at = n;
        int status = run(&c, &o, &p, &job);
        bool done = status == PIPELINE_OK;
        if (!done) {
            cr_assert_eq(status, -1, "allocation %zu: status %d", n, status);
            cr_assert_str_eq(c.fatal, "out of memory");
            failures++;
        }
        compilation_free(&c);
        if (done) break;
        if (n > 300) step = 37; /* all of the beginning, then some */
    }
    unlink(path);
    cr_assert(failures > 100);
}

Test(pipeline, absent_file)
{
    PipelineOptions o = options();
    o.path = "/nonexistent/x.attn", o.text = NULL;
    CASE(o);
    cr_assert_eq(status, PIPELINE_SOURCE);
    cr_assert(strstr(p.error, "/nonexistent/x.attn: No such file"));
    compilation_free(&c);
}
