/* See case.h. */
#include "compiler/command/case.h"

#include <stdlib.h>
#include <string.h>

const char *case_pattern(Pipeline *p, const char *file, Pattern **pattern)
{
    uint32_t n = p->program->patterns.n;
    if (!n) return format(p->c, "%s has no pattern", file);
    if (n > 1) return format(p->c, "%s has %u patterns: choose one by -p", file, n);
    *pattern = p->program->patterns.at[0];
    return NULL;
}

const char *case_value(Compilation *c, const char *text, const char **name)
{
    const char *equals = strchr(text, '=');
    *name = equals ? intern(c, text, (size_t)(equals - text)) : NULL;
    return equals ? equals + 1 : text;
}

const char *case_sizes(Call *call, const Options *o)
{
    const char *wrong = NULL, *name;
    for (uint32_t k = 0; !wrong && k < o->sizes.n; k++) {
        const char *value = case_value(call->c, o->sizes.at[k], &name);
        int64_t extent;
        if (!name || !pipeline_parse_int(value, &extent))
            return format(call->c, "--size %s: expected INDEX=N", o->sizes.at[k]);
        wrong = call_set_size(call, name, extent);
    }
    return wrong;
}

const char *case_inputs(Call *call, const Options *o)
{
    const char *wrong = NULL, *name;
    for (uint32_t k = 0; !wrong && k < o->inputs.n; k++) {
        const char *path = case_value(call->c, o->inputs.at[k], &name);
        Array array = {0};
        if (!name) return format(call->c, "-i %s: expected TENSOR=FILE.npy", path);
        wrong = call_find_input(call, name) ? npy_read(call->c, path, &array) : NULL;
        if (!wrong) wrong = call_set_array(call, name, &array);
    }
    return wrong;
}

const char *case_open(Pipeline *p, const char *file, const Options *o, Pattern **pattern, Call *call)
{
    const char *wrong = case_pattern(p, file, pattern);
    if (wrong) return wrong;
    call_init(call, p->c, *pattern, o->f64);
    call->real = o->real;
    call->tf32 = o->tf32;
    wrong = case_sizes(call, o);
    return wrong ? wrong : case_inputs(call, o);
}

const char *case_define(Call *call, const char *definition)
{
    const char *name, *text = case_value(call->c, definition, &name);
    char *end;
    if (!name || !*text) return format(call->c, "-D %s: expected NAME=VALUE", definition);
    double value = !strcmp(text, "true") ? 1 : !strcmp(text, "false") ? 0 : strtod(text, &end);
    if (strcmp(text, "true") && strcmp(text, "false") && *end)
        return format(call->c, "-D %s: expected a number, true or false", definition);
    return call_set_param(call, name, value);
}

AttnCompileOptions case_jit(Compilation *c, const Options *o, const Pattern *pattern)
{
    Strings definitions = o->definitions, includes = o->includes;
    definitions.at = NULL, includes.at = NULL;
    definitions.n = definitions.capacity = includes.n = includes.capacity = 0;
    for (uint32_t k = 0; k < o->definitions.n; k++) PUSH(c, &definitions, o->definitions.at[k]);
    for (uint32_t k = 0; k < o->includes.n; k++) PUSH(c, &includes, o->includes.at[k]);
    PUSH(c, &definitions, NULL);
    PUSH(c, &includes, NULL);
    const char *archs = o->archs ? format(c, "cuda:%s", o->archs) : "cuda";
    return (AttnCompileOptions){.pattern = pattern->name,
                                .definitions = definitions.at,
                                .includes = includes.at,
                                .cpu = o->cpus,
                                .f64 = o->f64,
                                .debug = o->debug,
                                .no_cache = o->no_cache,
                                .target = o->target == TARGET_CUDA ? archs : NULL,
                                .real = o->tf32 || o->real != STORAGE_FLOAT ? options_dtype(o) : NULL};
}

enum { MOST_FIXED = 512 };

const char *const *case_fixed_sizes(Call *call)
{
    Strings list = {0};
    for (uint32_t k = 0; k < call->pattern->tensors.n; k++) {
        const Tensor *t = call->pattern->tensors.at[k];
        const Index *last = t->n_dims ? t->dims[t->n_dims - 1] : NULL;
        if (!last || last->ambient || last->extent || t->type != TYPE_REAL) continue;
        int64_t extent = call->extents[last->number];
        const char *name = call->pattern->indices.at[last->number]->name;
        const char *text = format(call->c, "%s=%lld", name, (long long)extent);
        bool known = extent > MOST_FIXED;
        for (uint32_t i = 0; i < list.n; i++) known = known || !strcmp(list.at[i], text);
        if (!known) PUSH(call->c, &list, text);
    }
    PUSH(call->c, &list, NULL);
    return list.at;
}

/* ---- what is shown ---- */

static void add_param(Text *out, const Call *call, const Param *p)
{
    Scalar x = call->params[p->number];
    if (p->fixed && p->type == TYPE_REAL) x.r = p->value.real;
    if (p->fixed && p->type != TYPE_REAL) x.i = p->value.integer;
    if (p->type == TYPE_REAL) text_add(out, "%.17g", x.r);
    if (p->type == TYPE_INT) text_add(out, "%lld", (long long)x.i);
    if (p->type == TYPE_BOOL) text_add(out, x.i ? "true" : "false");
}

void case_json_sizes(Text *out, const Call *call)
{
    for (uint32_t k = 0; k < call->pattern->indices.n; k++)
        text_add(out, "%s\"%s\": %lld", k ? ", " : "", call->pattern->indices.at[k]->name,
                 (long long)call->extents[k]);
}

void case_json_params(Text *out, const Call *call)
{
    for (uint32_t k = 0; k < call->pattern->params.n; k++) {
        text_add(out, "%s\"%s\": ", k ? ", " : "", call->pattern->params.at[k]->name);
        add_param(out, call, call->pattern->params.at[k]);
    }
}

void case_print(Text *out, const Call *call)
{
    for (uint32_t k = 0; k < call->pattern->indices.n; k++)
        text_add(out, "%s%s = %lld", k ? ", " : "", call->pattern->indices.at[k]->name,
                 (long long)call->extents[k]);
    for (uint32_t k = 0; k < call->pattern->params.n; k++) {
        text_add(out, "%s%s = ", k || call->pattern->indices.n ? ", " : "",
                 call->pattern->params.at[k]->name);
        add_param(out, call, call->pattern->params.at[k]);
    }
}
