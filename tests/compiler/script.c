/* See script.h. */
#include "script.h"

#include "compiler/example.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

void script_init(Script *s)
{
    memset(s, 0, sizeof *s);
    compilation_init(&s->c);
    s->random = 88172645463325252u;
}

void script_free(Script *s) { compilation_free(&s->c); }

static Scalar param_value(Script *s, const Param *p)
{
    double value = example_param(&s->c, s->pattern, p);
    return p->type == TYPE_REAL ? scalar_real(value) : scalar_int((int64_t)value);
}

bool script_open(Script *s, const char *text)
{
    const char *source = getenv("ATTN_SOURCE");
    const char *include[] = {source ? format(&s->c, "%s/patterns", source) : "patterns", NULL};
    LangOptions options = {.include = include};
    Program *program = lang_check(&s->c, compilation_add_source(&s->c, "test", text, strlen(text)), &options);
    if (!program) {
        s->failed = diag_render(&s->c, DIAG_LINES);
        return false;
    }
    s->pattern = program->patterns.at[program->patterns.n - 1];
    for (uint32_t k = 0; k < s->pattern->indices.n; k++)
        s->extents[k] = example_extent(&s->c, s->pattern, s->pattern->indices.at[k]);
    for (uint32_t k = 0; k < s->pattern->params.n; k++)
        s->params[k] = param_value(s, s->pattern->params.at[k]);
    for (uint32_t k = 0; k < s->pattern->tensors.n; k++) s->tensors[k].tensor = s->pattern->tensors.at[k];
    s->graph = graph_build(&s->c, s->pattern);
    s->failed = graph_verify(&s->c, s->graph);
    s->arguments = (InterpretArguments){s->extents, s->params, s->tensors, s->pattern->tensors.n, 0, NULL};
    return !s->failed;
}

static uint32_t index_number(Script *s, const char *index)
{
    for (uint32_t k = 0; k < s->pattern->indices.n; k++)
        if (!strcmp(s->pattern->indices.at[k]->name, index)) return k;
    BUG(&s->c, "the test names an unknown index '%s'", index);
}

void script_size(Script *s, const char *index, int64_t extent)
{
    s->extents[index_number(s, index)] = extent;
}

int64_t script_extent(Script *s, const char *index) { return s->extents[index_number(s, index)]; }

static void set_param(Script *s, const char *param, Scalar value)
{
    for (uint32_t k = 0; k < s->pattern->params.n; k++) {
        if (strcmp(s->pattern->params.at[k]->name, param)) continue;
        s->params[k] = value;
        return;
    }
    BUG(&s->c, "the test names an unknown parameter '%s'", param);
}

void script_int(Script *s, const char *param, int64_t value) { set_param(s, param, scalar_int(value)); }
void script_real(Script *s, const char *param, double value) { set_param(s, param, scalar_real(value)); }

static InterpretTensor *tensor_of(Script *s, const char *name)
{
    for (uint32_t k = 0; k < s->pattern->tensors.n; k++)
        if (!strcmp(s->tensors[k].tensor->name, name)) return &s->tensors[k];
    BUG(&s->c, "the test names an unknown tensor '%s'", name);
}

void script_bind(Script *s, const char *tensor, const void *data)
{
    InterpretTensor *t = tensor_of(s, tensor);
    t->data = (void *)(uintptr_t)data;
    t->given = true;
}

size_t script_elements(Script *s, const Tensor *t)
{
    Interpreter *in = interpreter_new(s->graph, &s->arguments);
    size_t n = 1;
    for (unsigned k = 0; in && k < t->n_dims; k++) n *= (size_t)interpreter_extent(in, t->dims[k]);
    interpreter_free(in);
    return n;
}

double *script_random(Script *s, const char *tensor)
{
    size_t n = script_elements(s, tensor_of(s, tensor)->tensor);
    double *data = NEW_ARRAY(&s->c, double, n + 1);
    for (size_t k = 0; k < n; k++) {
        s->random ^= s->random << 13;
        s->random ^= s->random >> 7;
        s->random ^= s->random << 17;
        data[k] = (double)(s->random >> 11) * 0x1p-52 - 1;
    }
    script_bind(s, tensor, data);
    return data;
}

void *script_run(Script *s, const char *tensor)
{
    const Tensor *t = graph_find(s->graph, tensor);
    if (!t) BUG(&s->c, "the test names an unknown equation '%s'", tensor);
    void *data = NEW_ARRAY(&s->c, double, script_elements(s, t) + 1);
    Interpreter *in = interpreter_new(s->graph, &s->arguments);
    if (!in) BUG(&s->c, "out of memory");
    s->failed = interpreter_conditions(in);
    if (!s->failed) s->failed = interpreter_evaluate(in, t, data);
    if (s->failed) s->failed = format(&s->c, "%s", s->failed);
    s->operations = interpreter_operations(in);
    interpreter_free(in);
    return s->failed ? NULL : data;
}

void *script_checked(Script *s, const char *tensor)
{
    void *data = script_run(s, tensor);
    cr_assert(data, "%s: %s", tensor, s->failed);
    return data;
}
