/* Runs the kernels of a PTX text that says in its comments what they do. */
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 4096 };

typedef struct Program {
    Compilation *c;
    const char *path;
    PtxDevice *device;
    PtxModule *module;
    uint64_t out;
    const PtxFunction *function;
    const char *error; /* of the last run, "" where there was none */
    bool expected;     /* that error was asked for */
    unsigned wrong, line;
} Program;

static void complain(Program *p, const char *what, const char *detail)
{
    fprintf(stderr, "%s:%u: %s%s\n", p->path, p->line, what, detail);
    p->wrong++;
}

/* The last run must have ended as asked for before the next one begins. */
static void end_run(Program *p)
{
    if (p->error && *p->error && !p->expected) complain(p, "the kernel fails: ", p->error);
    p->error = NULL;
    p->expected = false;
}

/* run KERNEL GRID BLOCK [SHARED] */
static void directive_run(Program *p, const char *text)
{
    char name[64];
    unsigned grid, block, shared = 0;
    end_run(p);
    if (sscanf(text, "%63s %u %u %u", name, &grid, &block, &shared) < 3) {
        complain(p, "run KERNEL GRID BLOCK [SHARED], not: ", text);
        return;
    }
    uint32_t *words = ptx_bytes(p->device, p->out, WORDS * sizeof *words);
    for (uint32_t k = 0; k < WORDS; k++) words[k] = k;
    p->function = ptx_find(p->module, name);
    if (!p->function) {
        complain(p, "no kernel ", name);
        return;
    }
    PtxLaunch launch = {p->function, {grid, 1, 1}, {block, 1, 1}, shared, &p->out};
    ptx_launch(p->device, &launch);
    p->error = format(p->c, "%s", ptx_error(p->device));
}

static void directive_error(Program *p, const char *text)
{
    if (!p->error || !strstr(p->error, text))
        complain(p, "this is not in the error: ", p->error ? p->error : "");
    p->expected = true;
}

/* out FIRST = WORD WORD ... */
static void directive_out(Program *p, const char *text)
{
    char *at;
    unsigned long first = strtoul(text, &at, 10);
    const uint32_t *words = ptx_bytes(p->device, p->out, WORDS * sizeof *words);
    at = strchr(at, '=');
    if (!at) {
        complain(p, "out FIRST = WORDS, not: ", text);
        return;
    }
    for (at++; *(at += strspn(at, " ")); first++) {
        char *end;
        uint32_t want = (uint32_t)strtoll(at, &end, 0);
        if (end == at || first >= WORDS) {
            complain(p, "no number: ", at);
            return;
        }
        if (words[first] != want)
            complain(
                p, "another number: ", format(p->c, "out[%lu] is 0x%x, not 0x%x", first, words[first], want));
        at = end;
    }
}

/* count CLASS = WARPS THREADS, or global_load and the like = REQUESTS UNITS IDEAL */
static void directive_count(Program *p, const char *text)
{
    PtxCounters c = ptx_counters(p->function);
    const struct {
        const char *name;
        PtxTraffic t;
    } traffic[] = {{"global_load", c.global_load},
                   {"global_store", c.global_store},
                   {"shared_load", c.shared_load},
                   {"shared_store", c.shared_store}};
    const char *equal = strstr(text, " = "), *is = NULL;
    int length = equal ? (int)(equal - text) : 0;
    for (size_t k = 0; k < 4; k++)
        if (!strncmp(text, traffic[k].name, (size_t)length))
            is = format(p->c, "%u %u %u", (unsigned)traffic[k].t.requests, (unsigned)traffic[k].t.units,
                        (unsigned)traffic[k].t.ideal);
    for (PtxClass k = 0; k < PTX_CLASSES && !is; k++)
        if ((int)strlen(ptx_class_name(k)) == length && !strncmp(text, ptx_class_name(k), (size_t)length))
            is = format(p->c, "%u %u", (unsigned)c.warps[k], (unsigned)c.threads[k]);
    if (!equal || !is)
        complain(p, "no such count: ", text);
    else if (strcmp(is, equal + 3))
        complain(p, "another count: ", format(p->c, "%.*s = %s", length, text, is));
}

static void directive(Program *p, const char *text)
{
    static const struct {
        const char *name;
        void (*run)(Program *, const char *);
    } list[] = {{"run ", directive_run},
                {"error ", directive_error},
                {"out ", directive_out},
                {"count ", directive_count}};
    for (size_t k = 0; k < sizeof list / sizeof *list; k++)
        if (!strncmp(text, list[k].name, strlen(list[k].name))) list[k].run(p, text + strlen(list[k].name));
}

unsigned program_check(Compilation *c, const char *path, const char *text)
{
    Program p = {.c = c, .path = path, .device = ptx_device_new()};
    p.module = ptx_module_load(p.device, text, strlen(text));
    p.out = ptx_alloc(p.device, WORDS * 4);
    ptx_set_limit(p.device, 1000000);
    if (!p.module) complain(&p, "", ptx_error(p.device));
    for (p.line = 1; p.module && *text; p.line++) {
        size_t length = strcspn(text, "\n");
        if (!strncmp(text, "//> ", 4)) directive(&p, format(c, "%.*s", (int)length - 4, text + 4));
        text += length + (text[length] == '\n');
    }
    end_run(&p);
    ptx_module_free(p.module);
    ptx_device_free(p.device);
    return p.wrong;
}
