/* Texts of the pattern in messages: the numbers behind a declared range, the values of what a condition
 * names, and the element of a tensor that broke its range. */
#include "internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- a small evaluator: ints, size(index), parameters, + - * // %, min, max ---- */

typedef struct Reader {
    const AttnBinding *b;
    const char *at;
    bool failed;
    int depth;
} Reader;

static int64_t read_sum(Reader *r);

static void skip(Reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

static bool accept(Reader *r, const char *token)
{
    skip(r);
    size_t n = strlen(token);
    if (strncmp(r->at, token, n) != 0)
        return false;
    r->at += n;
    return true;
}

static int64_t fail(Reader *r)
{
    r->failed = true;
    return 0;
}

static bool name_start(char c) { return isalpha((unsigned char)c) || c == '_'; }
static bool name_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

static size_t name_length(const char *at)
{
    size_t n = 0;
    while (name_char(at[n]))
        n++;
    return n;
}

static int64_t read_size(Reader *r)
{
    skip(r);
    size_t n = name_length(r->at);
    int index = rt_index_find(r->b, r->at, n);
    r->at += n;
    return index < 0 || r->b->extents[index] < 0 || !accept(r, ")") ? fail(r) : r->b->extents[index];
}

static int64_t read_pair(Reader *r, bool greatest)
{
    int64_t a = read_sum(r), b = accept(r, ",") ? read_sum(r) : fail(r);
    if (!accept(r, ")"))
        return fail(r);
    return (a > b) == greatest ? a : b;
}

static int64_t read_name(Reader *r)
{
    const char *name = r->at;
    size_t n = name_length(name);
    r->at += n;
    if (accept(r, "(")) {
        if (n == 4 && memcmp(name, "size", 4) == 0)
            return read_size(r);
        if (n == 3 && (memcmp(name, "min", 3) == 0 || memcmp(name, "max", 3) == 0))
            return read_pair(r, name[1] == 'a');
        return fail(r);
    }
    int param = rt_param_find(r->b, name, n);
    if (param < 0 || r->b->kernel->desc.params[param].kind != ATTN_PARAM_INT)
        return fail(r);
    return r->b->params[param];
}

static int64_t read_number(Reader *r)
{
    int64_t value = 0;
    for (; isdigit((unsigned char)*r->at); r->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *r->at - '0', &value))
            return fail(r);
    return value;
}

static int64_t read_operand(Reader *r)
{
    if (r->failed || ++r->depth > 200)
        return fail(r);
    int64_t value;
    skip(r);
    if (accept(r, "-")) {
        value = (int64_t)-(uint64_t)read_operand(r);
    } else if (accept(r, "(")) {
        value = read_sum(r);
        if (!accept(r, ")"))
            fail(r);
    } else if (isdigit((unsigned char)*r->at)) {
        value = read_number(r);
    } else {
        value = name_start(*r->at) ? read_name(r) : fail(r);
    }
    r->depth--;
    return value;
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    if (b == -1)
        return (int64_t)-(uint64_t)a;
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t read_product(Reader *r)
{
    int64_t value = read_operand(r);
    for (;;) {
        if (accept(r, "**"))
            return fail(r);
        if (accept(r, "*")) {
            value = (int64_t)((uint64_t)value * (uint64_t)read_operand(r));
        } else if (accept(r, "//")) {
            value = floor_divide(value, read_operand(r));
        } else if (accept(r, "%")) {
            int64_t by = read_operand(r);
            value = (int64_t)((uint64_t)value - (uint64_t)floor_divide(value, by) * (uint64_t)by);
        } else {
            return value;
        }
    }
}

static int64_t read_sum(Reader *r)
{
    int64_t value = read_product(r);
    while (!r->failed) {
        if (accept(r, "+"))
            value = (int64_t)((uint64_t)value + (uint64_t)read_product(r));
        else if (accept(r, "-"))
            value = (int64_t)((uint64_t)value - (uint64_t)read_product(r));
        else
            break;
    }
    return value;
}

bool rt_range(const AttnBinding *b, const char *text, int64_t *low, int64_t *high)
{
    Reader r = {.b = b, .at = text};
    *low = read_sum(&r);
    if (!accept(&r, ".."))
        return false;
    *high = read_sum(&r);
    skip(&r);
    return !r.failed && *r.at == 0;
}

bool rt_derived_extent(const AttnBinding *b, int index, int64_t *extent)
{
    const AttnPattern *p = b->kernel->variants;
    char head[128];
    int n = snprintf(head, sizeof head, "size(%s) == ", p->indices[index].name);
    for (int32_t i = 0; i < p->n_checks && n > 0 && (size_t)n < sizeof head; i++) {
        Reader r = {.b = b, .at = p->checks[i].text + n};
        if (p->checks[i].kind != ATTN_CHECK_CONDITION || strncmp(p->checks[i].text, head, (size_t)n) != 0)
            continue;
        int64_t value = read_sum(&r);
        skip(&r);
        if (!r.failed && *r.at == 0 && value >= 0) {
            *extent = value;
            return true;
        }
    }
    return false;
}

/* ---- values of names ---- */

/* Adds `name = value` once. */
static void add_value(char *out, size_t bytes, const char *name, const char *value)
{
    size_t n = strlen(out);
    char item[256];
    int length = snprintf(item, sizeof item, ", %s = %s", name, value);
    if (length < 0 || (size_t)length >= sizeof item || n + (size_t)length >= bytes)
        return;
    if (strncmp(out, item + 2, (size_t)length - 2) != 0 && strstr(out, item) == NULL)
        strcpy(out + n, n ? item : item + 2);
}

static void add_param(const AttnBinding *b, int param, char *out, size_t bytes)
{
    const AttnParamDesc *desc = &b->kernel->desc.params[param];
    char value[40];
    double real;
    memcpy(&real, &b->params[param], sizeof real);
    if (desc->kind == ATTN_PARAM_FLOAT)
        snprintf(value, sizeof value, "%.17g", real);
    else if (desc->kind == ATTN_PARAM_BOOL)
        snprintf(value, sizeof value, "%s", b->params[param] ? "true" : "false");
    else
        snprintf(value, sizeof value, "%lld", (long long)b->params[param]);
    add_value(out, bytes, desc->name, value);
}

void rt_describe_values(const AttnBinding *b, const char *text, char *out, size_t bytes)
{
    *out = 0;
    for (const char *at = text; *at;) {
        size_t n = name_length(at);
        if (!name_start(*at) || n == 0) {
            at += n ? n : 1;
            continue;
        }
        int index = -1, param = rt_param_find(b, at, n);
        size_t inner = 0;
        if (n == 4 && strncmp(at, "size(", 5) == 0) {
            inner = name_length(at + 5);
            index = rt_index_find(b, at + 5, inner);
        }
        if (index >= 0 && b->extents[index] >= 0) {
            char name[128], value[24];
            snprintf(name, sizeof name, "size(%s)", b->kernel->desc.indices[index]);
            snprintf(value, sizeof value, "%lld", (long long)b->extents[index]);
            add_value(out, bytes, name, value);
            n += 1 + inner;
        } else if (param >= 0) {
            add_param(b, param, out, bytes);
        }
        at += n;
    }
}

/* ---- the element that is out of range ---- */

static int64_t load(const char *at, AttnType type)
{
    switch (type) {
    case ATTN_I8: return *(const int8_t *)at;
    case ATTN_I16: return *(const int16_t *)(const void *)at;
    case ATTN_I32: return *(const int32_t *)(const void *)at;
    case ATTN_U8: return *(const uint8_t *)at;
    case ATTN_U16: return *(const uint16_t *)(const void *)at;
    case ATTN_U32: return *(const uint32_t *)(const void *)at;
    case ATTN_U64: return (int64_t)*(const uint64_t *)(const void *)at;
    default: return *(const int64_t *)(const void *)at;
    }
}

/* The first element outside [low, high), in row-major order; `subscripts` says where. */
static bool find_outside(const RtTensor *t, int rank, int64_t low, int64_t high, int64_t *subscripts,
                         int64_t *value)
{
    const char *at = t->data;
    int64_t element = (int64_t)rt_type_bytes(t->type);
    for (int i = 0; i < rank; i++)
        subscripts[i] = 0;
    for (int64_t n = 0; n < t->count; n++) {
        *value = load(at, t->type);
        if (*value < low || *value >= high)
            return true;
        for (int i = rank - 1; i >= 0; i--) {
            at += t->strides[i] * element;
            if (++subscripts[i] < t->shape[i])
                break;
            at -= t->shape[i] * t->strides[i] * element;
            subscripts[i] = 0;
        }
    }
    return false;
}

AttnStatus rt_range_error(const AttnBinding *b, int tensor, bool readable, const char *check,
                          AttnError *error)
{
    enum { RANK_MAX = 32 };
    const AttnTensorDesc *desc = &b->kernel->desc.tensors[tensor];
    int64_t low, high, value, subscripts[RANK_MAX];
    bool found = readable && desc->range && desc->rank <= RANK_MAX && rt_range(b, desc->range, &low, &high) &&
                 find_outside(&b->tensors[tensor], desc->rank, low, high, subscripts, &value);
    if (!found)
        return rt_wrong(b, error, DATA, "a value of %s is outside its range: %s", desc->name,
                        desc->range ? desc->range : check);
    char place[RANK_MAX * 22] = "";
    for (int i = 0, n = 0; i < desc->rank; i++)
        n += snprintf(place + n, sizeof place - (size_t)n, "%s%lld%s", i ? ", " : "[",
                      (long long)subscripts[i], i == desc->rank - 1 ? "]" : "");
    return rt_wrong(b, error, DATA, "%s%s = %lld is outside %s = %lld..%lld", desc->name, place,
                    (long long)value, desc->range, (long long)low, (long long)high);
}
