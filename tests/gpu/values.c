/* Reads instructions with numbers, and makes a kernel of them. */
#include "values.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *trimmed(Compilation *c, const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from)) from++;
    while (to > from && isspace((unsigned char)to[-1])) to--;
    return format(c, "%.*s", (int)(to - from), from);
}

static uint64_t float_in(Type t, double x)
{
    _Float16 half = (_Float16)x;
    float single = (float)x;
    uint64_t bits = 0;
    if (t == T_f64)
        memcpy(&bits, &x, sizeof x);
    else if (t == T_f16)
        memcpy(&bits, &half, sizeof half);
    else
        memcpy(&bits, &single, sizeof single);
    return t == T_bf16 ? bits >> 16 : bits;
}

static bool read_number(Compilation *c, const char *text, Type t, Number *n)
{
    const char *colon = strchr(text, ':');
    *n = (Number){.literal = text[0] == '#', .text = text[0] == '#' ? text + 1 : text};
    n->type = colon ? type_find(colon + 1, strlen(colon + 1)) : t;
    if (colon) text = format(c, "%.*s", (int)(colon - text), text);
    if (n->literal) return true;
    char *end;
    bool fraction = type_kind(n->type) == FLOAT && strncmp(text, "0x", 2) && strncmp(text, "-0x", 3);
    if (fraction)
        n->bits = float_in(n->type, strtod(text, &end));
    else
        n->bits = (uint64_t)strtoll(text, &end, 0);
    if (!fraction && !*end && text[0] != '-') n->bits = strtoull(text, &end, 0);
    n->bits = keep_bits(n->bits, type_bits(n->type) == 1 ? 1 : type_bits(n->type));
    return n->type && end != text && !*end;
}

/* The types of an opcode: the first and the last of its parts that are types. */
static void opcode_types(const char *opcode, Type *first, Type *last)
{
    *first = *last = NO_TYPE;
    for (const char *at = opcode; at; at = strchr(at, '.')) {
        at += *at == '.';
        Type t = type_find(at, strcspn(at, "."));
        if (t && !*first) *first = t;
        if (t) *last = t;
    }
}

static bool read_list(Compilation *c, const char *text, Type t, Number *list, unsigned most, unsigned *n)
{
    for (*n = 0; *text && *n < most; (*n)++) {
        size_t length = strcspn(text, ",");
        if (!read_number(c, trimmed(c, text, text + length), t, &list[*n])) return false;
        text += length + (text[length] == ',');
    }
    return !*text && *n;
}

static bool read_case(Compilation *c, const char *line, Case *t)
{
    size_t length = strcspn(line, " ");
    t->opcode = format(c, "%.*s", (int)length, line);
    Type first, last;
    opcode_types(t->opcode, &first, &last);
    const char *equal = strpbrk(line, "=~");
    if (!equal) return false;
    t->nearly = *equal == '~';
    return read_list(c, trimmed(c, line + length, equal), last, t->operands, 6, &t->n_operands) &&
           read_list(c, trimmed(c, equal + 1, line + strlen(line)), first, t->results, 2, &t->n_results);
}

const char *values_read(Compilation *c, const char *text, Cases *cases)
{
    for (unsigned line = 1; *text; line++) {
        size_t length = strcspn(text, "\n");
        const char *comment = strstr(text, "//");
        const char *end = comment && comment < text + length ? comment : text + length;
        Case t = {.line = line};
        const char *own = trimmed(c, text, end);
        if (*own && !read_case(c, own, &t)) return format(c, "line %u cannot be read: %s", line, own);
        if (*own) PUSH(c, cases, t);
        text += length + (text[length] == '\n');
    }
    return NULL;
}

static const char *register_type(Type t)
{
    unsigned bits = type_bits(t);
    return bits == 1 ? "pred" : bits == 64 ? "b64" : bits == 16 ? "b16" : "b32";
}

static void write_operand(Text *out, const Number *n, unsigned k)
{
    if (n->literal) return;
    text_add(out, ".reg .%s a%u; ", register_type(n->type), k);
    if (n->type == T_pred)
        text_add(out, "setp.ne.u32 a%u, %u, 0; ", k, (unsigned)n->bits);
    else
        text_add(out, "mov.%s a%u, 0x%llx; ", register_type(n->type), k, (unsigned long long)n->bits);
}

static void write_case(Text *out, const Case *t, uint32_t k)
{
    text_add(out, "{ ");
    for (unsigned n = 0; n < t->n_operands; n++) write_operand(out, &t->operands[n], n);
    for (unsigned n = 0; n < t->n_results; n++)
        text_add(out, ".reg .%s d%u; ", register_type(t->results[n].type), n);
    text_add(out, "%s d0%s", t->opcode, t->n_results == 2 ? "|d1" : "");
    for (unsigned n = 0; n < t->n_operands; n++)
        if (t->operands[n].literal)
            text_add(out, ", %s", t->operands[n].text);
        else
            text_add(out, ", a%u", n);
    text_add(out, "; ");
    for (unsigned n = 0; n < t->n_results; n++) {
        Type type = t->results[n].type;
        if (type == T_pred) text_add(out, ".reg .b32 s%u; selp.b32 s%u, 1, 0, d%u; ", n, n, n);
        text_add(out, "st.global.%s [%%rd0+%u], %c%u; ", type == T_pred ? "b32" : register_type(type),
                 16 * k + 8 * n, type == T_pred ? 's' : 'd', n);
    }
    text_add(out, "}\n");
}

const char *values_module(Compilation *c, const Cases *cases)
{
    Text out = {.c = c};
    text_add(&out,
             ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry values(.param .u64 out)\n{\n"
             ".reg .b64 %%rd<1>;\nld.param.u64 %%rd0, [out];\n");
    for (uint32_t k = 0; k < cases->n; k++) write_case(&out, &cases->at[k], k);
    text_add(&out, "ret;\n}\n");
    return out.at;
}

bool values_equal(const Case *t, unsigned result, uint64_t bits)
{
    const Number *want = &t->results[result];
    bool is_nan = want->type && !strncmp(want->text, "nan", 3);
    if (is_nan) return isnan(to_double(want->type, bits));
    if (!t->nearly) return bits == want->bits;
    double x = to_double(want->type, bits), y = to_double(want->type, want->bits);
    return fabs(x - y) <= fabs(y) * 0x1p-20;
}
