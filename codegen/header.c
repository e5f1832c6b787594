/* The C header of the direct entries. See header.h. */
#include "codegen/header.h"

#include <ctype.h>
#include <string.h>

static const char *const reserved[] = {
    "alignas",   "alignof",       "and",      "and_eq",   "asm",      "auto",    "bitand",       "bitor",
    "bool",      "break",         "case",     "catch",    "char",     "class",   "compl",        "const",
    "constexpr", "continue",      "default",  "delete",   "do",       "double",  "else",         "enum",
    "explicit",  "export",        "extern",   "false",    "float",    "for",     "friend",       "goto",
    "if",        "inline",        "int",      "long",     "main",     "mutable", "namespace",    "new",
    "noexcept",  "not",           "not_eq",   "nullptr",  "operator", "or",      "or_eq",        "private",
    "protected", "public",        "register", "restrict", "return",   "short",   "signed",       "sizeof",
    "static",    "static_assert", "struct",   "switch",   "template", "this",    "thread_local", "throw",
    "true",      "try",           "typedef",  "typeid",   "typename", "union",   "unsigned",     "using",
    "virtual",   "void",          "volatile", "wchar_t",  "while",    "xor",     "xor_eq",       NULL};

static bool is_reserved(const char *name)
{
    for (unsigned k = 0; reserved[k]; k++)
        if (!strcmp(reserved[k], name)) return true;
    return false;
}

const char *header_symbol(Compilation *c, const Pattern *pattern)
{
    return is_reserved(pattern->name) ? format(c, "%s_", pattern->name) : pattern->name;
}

static bool is_taken(const Fields *fields, const char *name)
{
    for (unsigned k = 0; k < fields->n; k++)
        if (!strcmp(fields->at[k].name, name)) return true;
    return is_reserved(name);
}

static void add_field(Compilation *c, Fields *fields, FieldKind kind, unsigned number, const char *before,
                      const char *name, const char *after)
{
    char *text = format(c, "%s%s%s", before, name, after);
    for (char *at = text; *at; at++)
        if (*at == '.') *at = '_';
    while (is_taken(fields, text)) text = format(c, "%s_", text);
    PUSH(c, fields, (Field){kind, number, text});
}

int header_heads(const Tensor *tensor)
{
    if (tensor->role != ROLE_INPUT && tensor->role != ROLE_CAPTURE) return -1;
    for (unsigned d = 0; d < tensor->n_dims; d++)
        if (tensor->dims[d]->heads) return (int)d;
    return -1;
}

Fields header_fields(Compilation *c, const Pattern *p)
{
    Fields fields = {0};
    add_field(c, &fields, FIELD_WORKSPACE, 0, "", "workspace", "");
    for (unsigned k = 0; k < p->indices.n; k++)
        add_field(c, &fields, FIELD_EXTENT, k, "size_", p->indices.at[k]->name, "");
    for (unsigned k = 0; k < p->params.n; k++)
        if (!p->params.at[k]->fixed) add_field(c, &fields, FIELD_PARAM, k, "", p->params.at[k]->name, "");
    for (unsigned k = 0; k < p->tensors.n; k++) {
        const char *name = p->tensors.at[k]->name;
        add_field(c, &fields, FIELD_DATA, k, "", name, "");
        add_field(c, &fields, FIELD_STRIDES, k, "", name, "_strides");
        if (header_heads(p->tensors.at[k]) >= 0) add_field(c, &fields, FIELD_GROUP, k, "", name, "_group");
    }
    return fields;
}

/* --- printing --- */

static const char *element_name(const BackendJob *job, const Tensor *t)
{
    if (t->type == TYPE_BOOL) return "bool";
    if (t->type == TYPE_INT) return "int64_t";
    switch (t->storage) {
    case STORAGE_F64: return "double";
    case STORAGE_F32: return "float";
    case STORAGE_F16: case STORAGE_BF16: return "uint16_t";
    default: return job->f64 ? "double" : "float";
    }
}

/* Text that stands inside a comment must not end it. */
static void add_comment_text(Text *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        bool ends = at[0] == '*' && at[1] == '/';
        if (*at == '\n') text_add(out, "\n * ");
        else text_add(out, ends ? "* " : "%c", *at);
    }
}

static void print_shape(Text *out, const Tensor *t)
{
    text_add(out, "[");
    for (unsigned d = 0; d < t->n_dims; d++) text_add(out, "%s%s", d ? ", " : "", t->dims[d]->name);
    text_add(out, "]");
}

static void print_param(Text *out, const Param *p, const char *name)
{
    text_add(out, "    %s %s;", p->type == TYPE_REAL ? "double" : "int64_t", name);
    if (p->type == TYPE_BOOL) text_add(out, " /* 0 or 1 */");
    text_add(out, "\n");
}

static void print_data(const BackendJob *job, Text *out, const Tensor *t, const char *name)
{
    bool output = t->role == ROLE_OUTPUT;
    text_add(out, "    %s%s *%s; /* ", output ? "" : "const ", element_name(job, t), name);
    print_shape(out, t);
    if (t->storage == STORAGE_F16) text_add(out, ", IEEE half precision");
    if (t->storage == STORAGE_BF16) text_add(out, ", bfloat16");
    if (t->lo && t->hi) {
        text_add(out, " in ");
        node_print(out, t->lo);
        text_add(out, "..");
        node_print(out, t->hi);
    }
    text_add(out, "%s */\n", t->optional ? "; may be NULL" : "");
}

static void print_fields(const BackendJob *job, Text *out, const Pattern *p)
{
    Fields fields = header_fields(job->c, p);
    for (unsigned k = 0; k < fields.n; k++) {
        const Field *f = &fields.at[k];
        switch (f->kind) {
        case FIELD_WORKSPACE:
            text_add(out, "    void *%s; /* %s_workspace() bytes, aligned to 64; NULL if none */\n", f->name,
                     header_symbol(job->c, p));
            break;
        case FIELD_EXTENT: text_add(out, "    int64_t %s;\n", f->name); break;
        case FIELD_PARAM: print_param(out, p->params.at[f->number], f->name); break;
        case FIELD_DATA: print_data(job, out, p->tensors.at[f->number], f->name); break;
        case FIELD_STRIDES:
            text_add(out, "    const int64_t *%s; /* in elements; NULL: dense, row-major */\n", f->name);
            break;
        case FIELD_GROUP:
            text_add(out, "    int64_t %s; /* this many consecutive %s share one; 0: each has its own */\n",
                     f->name, p->tensors.at[f->number]->dims[header_heads(p->tensors.at[f->number])]->name);
            break;
        }
    }
}

static void print_status(Text *out, const Kernel *k)
{
    text_add(out, " *   0   fine\n *  -1   an extent is negative, or workspace is needed and NULL\n");
    text_add(out, " *  -2   not compiled for these extents\n");
    for (unsigned i = 0; i < k->checks.n; i++) {
        const Check *check = &k->checks.at[i];
        text_add(out, " *  %2u   ", i + 1);
        if (check->kind != CHECK_CONDITION) text_add(out, "not in range: ");
        else text_add(out, "does not hold: ");
        if (check->text) add_comment_text(out, check->text);
        text_add(out, "\n");
    }
}

static void print_defaults(Text *out, const Pattern *p, const char *name, const Fields *fields)
{
    text_add(out, "/* Everything 0, parameters at their defaults. */\n");
    text_add(out, "static inline struct %s_args %s_defaults(void)\n{\n    struct %s_args args;\n", name, name,
             name);
    text_add(out, "    memset(&args, 0, sizeof args);\n");
    for (unsigned k = 0; k < fields->n; k++) {
        if (fields->at[k].kind != FIELD_PARAM) continue;
        const Param *param = p->params.at[fields->at[k].number];
        if (!param->has_default) continue;
        if (param->type == TYPE_REAL && __builtin_isinf(param->value.real))
            text_add(out, "    args.%s = %sHUGE_VAL;\n", fields->at[k].name,
                     param->value.real < 0 ? "-" : "");
        else if (param->type == TYPE_REAL)
            text_add(out, "    args.%s = %.17g;\n", fields->at[k].name, param->value.real);
        else
            text_add(out, "    args.%s = INT64_C(%lld);\n", fields->at[k].name,
                     (long long)param->value.integer);
    }
    text_add(out, "    return args;\n}\n\n");
}

static void print_pattern(const BackendJob *job, Text *out, const Kernel *kernel)
{
    const Pattern *p = kernel->pattern;
    const char *name = header_symbol(job->c, p);
    Fields fields = header_fields(job->c, p);
    text_add(out, "/*");
    if (p->doc) {
        text_add(out, " ");
        add_comment_text(out, p->doc);
        text_add(out, "\n *");
    }
    text_add(out,
             " Outputs may not overlap other tensors. Runs in the calling thread and keeps no state. */\n");
    text_add(out, "struct %s_args {\n", name);
    print_fields(job, out, p);
    text_add(out, "};\n\n");
    print_defaults(out, p, name, &fields);
    text_add(out,
             "/* The bytes of workspace that these extents and parameters need (pointers to tensors are not "
             "followed);\n"
             " * 0 also where %s() would refuse them. */\n",
             name);
    text_add(out, "size_t %s_workspace(const struct %s_args *args);\n\n", name, name);
    text_add(out, "/* Computes the outputs. Returns\n");
    print_status(out, kernel);
    text_add(
        out,
        " * After a status above 0 the outputs are unspecified. */\nint %s(const struct %s_args *args);\n\n",
        name, name);
}

const char *header_print(const BackendJob *job, Text *out)
{
    if (!job->variants.n) return "there is no pattern";
    Text guard = {.c = job->c};
    text_add(&guard, "ATTNC_%s_H", job->variants.at[0].kernel->pattern->name);
    for (char *at = guard.at; *at; at++) *at = (char)toupper((unsigned char)*at);
    text_add(out, "/* Made by attnc " ATTN_VERSION "%s", job->source_path ? " from " : "");
    if (job->source_path) add_comment_text(out, job->source_path);
    text_add(out,
             ". */\n#ifndef %s\n#define %s\n\n#include <math.h>\n#include <stdbool.h>\n#include <stddef.h>\n"
             "#include <stdint.h>\n#include <string.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
             guard.at, guard.at);
    const Pattern *last = NULL;
    for (unsigned k = 0; k < job->variants.n; k++) {
        const Kernel *kernel = job->variants.at[k].kernel;
        if (kernel->pattern != last) print_pattern(job, out, kernel);
        last = kernel->pattern;
    }
    text_add(out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
    return NULL;
}
