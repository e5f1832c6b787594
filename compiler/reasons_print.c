/* Reasons as text, and as JSON. */
#include "reasons.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

typedef struct Print {
    Text *out;
    Compilation *c;
    const Reasons *r;
} Print;

static const char *task_names(Compilation *c, const Stage *s)
{
    Text out = {.c = c};
    for (unsigned k = 0; k < s->n_tasks; k++) text_add(&out, "%s%s", k ? ", " : "", s->tasks[k]->name);
    return out.n ? out.at : NULL;
}

/* ---- lines ---- */

enum { WIDTH = 100, HANG = 4 };

/* A line, broken between words; what follows the first is indented a bit more. */
static void line(Print *p, unsigned indent, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void line(Print *p, unsigned indent, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *at = format_v(p->c, fmt, args);
    va_end(args);
    unsigned column = 0;
    while (*at) {
        size_t n = strcspn(at, " ");
        bool fits = column == 0 || column + 1 + n <= WIDTH;
        if (column && !fits) text_add(p->out, "\n");
        if (!fits || column == 0)
            text_add(p->out, "%*s", (int)(column ? indent + HANG : indent), "");
        else
            text_add(p->out, " ");
        column = column == 0 ? indent : fits ? column + 1 : indent + HANG;
        text_add_bytes(p->out, at, n);
        column += (unsigned)n;
        at += n + (at[n] == ' ');
    }
    text_add(p->out, "\n");
}

static void title(Print *p, const char *text)
{
    text_add(p->out, "\n");
    line(p, 0, "%s", text);
}

/* ` (line 7)`, or nothing. */
static const char *place(Print *p, Span span)
{
    unsigned number, column;
    if (!span.to) return "";
    span_position(p->c, span, &number, &column);
    return format(p->c, " (line %u)", number);
}

/* ---- stages ---- */

static void print_because(Print *p, const ReasonEquation *e, bool stored)
{
    const Equation *q = e->equation;
    const char *depth = format(p->c, ", the last %u steps alone", q->depth);
    line(p, 4, "%s%s%s%s%s%s%s%s: %s", e->shape, stored && e->where ? ", " : "",
         stored && e->where ? e->where : "", q->origin ? ", " : "", q->origin ? q->origin : "",
         q->storing == STATE ? depth : "", *e->readers ? ", read by " : "", e->readers,
         reason_words(q->reason));
}

static void print_sums(Print *p, const ReasonStage *s)
{
    for (uint32_t k = 0; k < s->sums.n; k++) {
        const ReasonSum *sum = &s->sums.at[k];
        const char *where = sum->condition ? format(p->c, " where %s", sum->condition) : "";
        if (*sum->queries)
            line(p, 2, "for every %s: over %s%s", sum->queries, sum->keys, where);
        else
            line(p, 2, "over %s%s", sum->keys, where);
    }
}

static void print_runs(Print *p, const ReasonStage *s)
{
    if (s->beside) line(p, 2, "runs in the pass of %s", s->beside);
    for (uint32_t k = 0; k < s->runs.n; k++) {
        const ReasonRun *run = &s->runs.at[k];
        line(p, 2, "%s%s%s%s%s%s", k ? "or: " : "runs: ", run->how, run->when ? ", where " : "",
             run->when ? run->when : "", run->not_in_lanes ? ", not as strips of queries: " : "",
             run->not_in_lanes ? run->not_in_lanes : "");
    }
    const char *tasks = task_names(p->c, s->stage);
    if (tasks && !s->beside) line(p, 2, "in parallel along %s", tasks);
    if (s->hides)
        line(p, 2,
             "hidden keys weigh 0 and absorb their values: blocks of hidden keys are skipped, and a strip "
             "that met a "
             "value that is not finite behind the mask runs once more and selects pair by pair");
}

static void print_stage(Print *p, const ReasonStage *s, uint32_t number)
{
    title(p, format(p->c, "stage %u, %s: makes %s", number, stage_name(s->stage->kind), s->makes));
    print_sums(p, s);
    print_runs(p, s);
    if (s->fused.n) line(p, 2, "fused into it, never stored:");
    for (uint32_t k = 0; k < s->fused.n; k++) print_because(p, &s->fused.at[k], false);
}

static void print_stored(Print *p)
{
    title(p, p->r->stored.n ? "kept between stages, or from step to step:" : "kept between stages: nothing");
    for (uint32_t k = 0; k < p->r->stored.n; k++) print_because(p, &p->r->stored.at[k], true);
}

static void print_unread(Print *p)
{
    if (p->r->unread.n) title(p, "not computed:");
    for (uint32_t k = 0; k < p->r->unread.n; k++) print_because(p, &p->r->unread.at[k], false);
}

/* ---- conditions ---- */

static void print_conditions(Print *p)
{
    const Pattern *pattern = p->r->pattern;
    if (pattern->conditions.n) title(p, "checked when tensors are bound:");
    for (uint32_t k = 0; k < pattern->conditions.n; k++) {
        const Condition *x = &pattern->conditions.at[k];
        const char *test = reason_text_of(p->c, x->test);
        bool told = !strncmp(test, x->text, strlen(test));
        line(p, 4, "%s%s%s%s", told ? "" : test, told ? "" : ": ", x->text, place(p, x->span));
    }
    bool any = false;
    for (uint32_t k = 0; k < pattern->tensors.n; k++) {
        const Tensor *t = pattern->tensors.at[k];
        if (!t->lo || !t->hi || t->body) continue;
        if (!any) title(p, "checked on the data before anything runs:");
        any = true;
        line(p, 4, "%s in %s..%s", t->name, reason_text_of(p->c, t->lo), reason_text_of(p->c, t->hi));
    }
    if (pattern->checks.n) title(p, "checked as it runs:");
    for (uint32_t k = 0; k < pattern->checks.n; k++)
        line(p, 4, "%s%s", pattern->checks.at[k].text, place(p, pattern->checks.at[k].span));
}

/* ---- subscripts ---- */

/* `j in 0..size(j)`. */
static const char *range_of(Compilation *c, const Node *variable)
{
    return format(c, "%s in 0..%s", variable->index->name, reason_text_of(c, node_size(c, variable->index)));
}

static const char *list_of(Compilation *c, const char *before, const ProveNodes *list, bool ranges)
{
    Text out = {.c = c};
    for (uint32_t k = 0; k < list->n; k++)
        text_add(&out, "%s%s", k ? ", " : before,
                 ranges ? range_of(c, list->at[k]) : reason_text_of(c, list->at[k]));
    return out.n ? out.at : "";
}

/* The place in the order of what is written, and the subscript. */
static void print_subscript(Print *p, const Subscript *s)
{
    const Index *dim = s->tensor->dims[s->dim];
    line(p, 4, "%s reads %s at %s = %s%s", s->reader->name, s->tensor->name, dim->name,
         reason_text_of(p->c, s->at), place(p, s->span));
    line(p, 8, "%s%s%s%s%s%s", s->rules ? s->rules : "S3: its range itself stands around it",
         list_of(p->c, " from ", &s->used.variables, true),
         list_of(p->c, "; known there: ", &s->used.facts, false),
         list_of(p->c, "; required: ", &s->used.conditions, false),
         s->condition ? "; checked when tensors are bound: " : "",
         s->condition ? reason_text_of(p->c, s->condition) : "");
}

static void print_subscripts(Print *p)
{
    const Pattern *pattern = p->r->pattern;
    title(p, "subscripts, proved to be in range by the rules of docs/safety.md:");
    if (pattern->plain_subscripts)
        line(p, 4, "%u are the index of their dimension: S1", pattern->plain_subscripts);
    for (uint32_t k = 0; k < pattern->subscripts.n; k++) print_subscript(p, &pattern->subscripts.at[k]);
}

static bool is_used(const Pattern *pattern, const char *rule)
{
    if (!strcmp(rule, "S1") && pattern->plain_subscripts) return true;
    for (uint32_t k = 0; k < pattern->subscripts.n; k++) {
        const char *at = pattern->subscripts.at[k].rules ? pattern->subscripts.at[k].rules : "S3";
        size_t n = strlen(rule);
        for (; (at = strstr(at, rule)); at += n)
            if (at[n] == ' ' || !at[n]) return true;
    }
    return false;
}

static void print_rules(Print *p)
{
    static const char *const rules[][2] = {
#define RULE(name, summary) {#name, summary},
#include "lang/prove_rule_list.h"
#undef RULE
    };
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
        if (is_used(p->r->pattern, rules[k][0])) line(p, 2, "%s: %s", rules[k][0], rules[k][1]);
}

/* ---- cost ---- */

static void print_cost(Print *p)
{
    const Growth *g = p->r->growth;
    text_add(p->out, "\n");
    if (g->promise) line(p, 0, "cost promised: %s", g->promise);
    line(p, 0, "cost derived: %s%s", g->at_most ? "at most " : "", g->derived);
    if (g->faster)
        line(p, 4, "which is more than promised: it grows faster with %s", g->faster);
    else if (g->promise)
        line(p, 4, "which grows no faster than promised");
}

void reasons_print(Text *out, Compilation *c, const Reasons *r)
{
    Print p = {out, c, r};
    const char *end = strstr(r->signature, "\n    require ");
    text_add(out, "%.*s\n", (int)(end ? end - r->signature : (long)strlen(r->signature)), r->signature);
    for (uint32_t k = 0; k < r->stages.n; k++) print_stage(&p, &r->stages.at[k], k + 1);
    print_unread(&p);
    print_stored(&p);
    print_conditions(&p);
    print_subscripts(&p);
    print_rules(&p);
    print_cost(&p);
}

/* ---- JSON ---- */

static void json_text(Text *out, const char *key, const char *value)
{
    text_add(out, "\"%s\": ", key);
    if (value)
        text_add_json(out, value);
    else
        text_add(out, "null");
}

static void json_member(Text *out, const char *key, const char *value)
{
    text_add(out, ", ");
    json_text(out, key, value);
}

static void json_line(Print *p, Span span)
{
    unsigned line = 0, column;
    if (span.to) span_position(p->c, span, &line, &column);
    text_add(p->out, ", \"line\": %u", line);
}

static void json_equations(Print *p, const char *key, const ReasonEquations *list)
{
    static const char *const storing[] = {[INLINED] = "inlined", [STORED] = "stored", [STATE] = "state"};
    text_add(p->out, "\"%s\": [", key);
    for (uint32_t k = 0; k < list->n; k++) {
        const ReasonEquation *e = &list->at[k];
        text_add(p->out, "%s\n    {", k ? "," : "");
        json_text(p->out, "name", e->equation->tensor->name);
        json_member(p->out, "shape", e->shape);
        json_member(p->out, "sizes", e->where);
        json_member(p->out, "storing", storing[e->equation->storing]);
        json_member(p->out, "because", reason_words(e->equation->reason));
        json_member(p->out, "origin", e->equation->origin);
        json_member(p->out, "readers", e->readers);
        text_add(p->out, "}");
    }
    text_add(p->out, "]");
}

static void json_stage(Print *p, const ReasonStage *s)
{
    text_add(p->out, "\n  {");
    json_text(p->out, "kind", stage_name(s->stage->kind));
    json_member(p->out, "makes", s->makes);
    json_member(p->out, "parallel", task_names(p->c, s->stage));
    json_member(p->out, "in_the_pass_of", s->beside);
    text_add(p->out, ", \"hidden_keys_absorb\": %s,\n   \"sums\": [", s->hides ? "true" : "false");
    for (uint32_t k = 0; k < s->sums.n; k++) {
        text_add(p->out, "%s{", k ? ", " : "");
        json_text(p->out, "queries", s->sums.at[k].queries);
        json_member(p->out, "keys", s->sums.at[k].keys);
        json_member(p->out, "where", s->sums.at[k].condition);
        text_add(p->out, "}");
    }
    text_add(p->out, "],\n   \"runs\": [");
    for (uint32_t k = 0; k < s->runs.n; k++) {
        text_add(p->out, "%s{", k ? ", " : "");
        json_text(p->out, "how", s->runs.at[k].how);
        json_member(p->out, "where", s->runs.at[k].when);
        json_member(p->out, "not_in_strips", s->runs.at[k].not_in_lanes);
        text_add(p->out, "}");
    }
    text_add(p->out, "],\n   ");
    json_equations(p, "inside", &s->fused);
    text_add(p->out, "}");
}

static void json_nodes(Print *p, const char *key, const ProveNodes *list, bool ranges)
{
    text_add(p->out, ", \"%s\": [", key);
    for (uint32_t k = 0; k < list->n; k++) {
        text_add(p->out, "%s", k ? ", " : "");
        text_add_json(p->out, ranges ? range_of(p->c, list->at[k]) : reason_text_of(p->c, list->at[k]));
    }
    text_add(p->out, "]");
}

static void json_subscript(Print *p, const Subscript *s)
{
    text_add(p->out, "\n  {");
    json_text(p->out, "reader", s->reader->name);
    json_member(p->out, "tensor", s->tensor->name);
    json_member(p->out, "index", s->tensor->dims[s->dim]->name);
    json_member(p->out, "at", reason_text_of(p->c, s->at));
    json_member(p->out, "rules", s->rules ? s->rules : "S3");
    json_nodes(p, "ranges", &s->used.variables, true);
    json_nodes(p, "facts", &s->used.facts, false);
    json_nodes(p, "required", &s->used.conditions, false);
    json_member(p->out, "condition", s->condition ? reason_text_of(p->c, s->condition) : NULL);
    text_add(p->out, ", \"guarded\": %s", s->guarded ? "true" : "false");
    json_line(p, s->span);
    text_add(p->out, "}");
}

static void json_conditions(Print *p)
{
    const Pattern *pattern = p->r->pattern;
    bool any = false;
    text_add(p->out, ",\n \"conditions\": [");
    for (uint32_t k = 0; k < pattern->conditions.n; k++) {
        text_add(p->out, "%s\n  {", k ? "," : "");
        json_text(p->out, "condition", reason_text_of(p->c, pattern->conditions.at[k].test));
        json_member(p->out, "why", pattern->conditions.at[k].text);
        json_line(p, pattern->conditions.at[k].span);
        text_add(p->out, "}");
    }
    text_add(p->out, "],\n \"data_ranges\": [");
    for (uint32_t k = 0; k < pattern->tensors.n; k++) {
        const Tensor *t = pattern->tensors.at[k];
        if (!t->lo || !t->hi || t->body) continue;
        text_add(p->out, "%s", any ? ", " : "");
        text_add_json(p->out, format(p->c, "%s in %s..%s", t->name, reason_text_of(p->c, t->lo),
                                     reason_text_of(p->c, t->hi)));
        any = true;
    }
    text_add(p->out, "],\n \"run_checks\": [");
    for (uint32_t k = 0; k < pattern->checks.n; k++) {
        text_add(p->out, "%s", k ? ", " : "");
        text_add_json(p->out, pattern->checks.at[k].text);
    }
    text_add(p->out, "]");
}

static void json_growth(Text *out, const char *key, double times)
{
    if (isfinite(times))
        text_add(out, "\"%s\": %.4g", key, times);
    else
        text_add(out, "\"%s\": null", key);
}

/* How many times as much the work is, where a quantity is doubled: the fastest term's. */
static void json_cost(Print *p)
{
    const Growth *g = p->r->growth;
    text_add(p->out, ",\n \"cost\": {");
    json_text(p->out, "derived", g->derived);
    json_member(p->out, "promised", g->promise);
    json_member(p->out, "grows_faster_with", g->faster);
    text_add(p->out, ", \"at_most\": %s", g->at_most ? "true" : "false");
    text_add(p->out, ", \"doubled\": {");
    for (unsigned k = 0; k < g->n; k++) {
        double times = NAN;
        for (uint32_t t = 0; t < g->terms.n; t++) times = fmax(times, g->terms.at[t].times[k]);
        text_add(p->out, "%s\"%s\": {", k ? ", " : "", g->names[k]);
        json_growth(p->out, "derived", times);
        text_add(p->out, ", ");
        json_growth(p->out, "promised", g->promised ? g->promised[k] : NAN);
        text_add(p->out, "}");
    }
    text_add(p->out, "}}");
}

void reasons_json(Text *out, Compilation *c, const Reasons *r)
{
    Print p = {out, c, r};
    json_member(out, "signature", r->signature);
    text_add(out, ",\n \"plan\": [");
    for (uint32_t k = 0; k < r->stages.n; k++) {
        text_add(out, "%s", k ? "," : "");
        json_stage(&p, &r->stages.at[k]);
    }
    text_add(out, "],\n ");
    json_equations(&p, "stored", &r->stored);
    text_add(out, ",\n ");
    json_equations(&p, "not_computed", &r->unread);
    json_conditions(&p);
    text_add(out, ",\n \"plain_subscripts\": %u, \"subscripts\": [", r->pattern->plain_subscripts);
    for (uint32_t k = 0; k < r->pattern->subscripts.n; k++) {
        text_add(out, "%s", k ? "," : "");
        json_subscript(&p, &r->pattern->subscripts.at[k]);
    }
    text_add(out, "]");
    json_cost(&p);
}
