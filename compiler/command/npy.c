/* .npy files: a magic string, a Python dictionary as text, then the numbers.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include "compiler/command/npy.h"

#include "compiler/command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEADER_MAX = 1 << 16, CHUNK = 1 << 15 };
#define MAGIC "\x93NUMPY"

size_t type_bytes(Type type) { return type == TYPE_BOOL ? 1 : 8; }

/* What the header says. */
typedef struct Header {
    char order, kind; /* '<' or '>' or '|'; 'b' 'i' 'u' 'f' */
    unsigned bytes;   /* of an element */
    bool fortran;
    int rank;
    int64_t shape[ARRAY_RANK_MAX];
    size_t n;
} Header;

/* --- the dictionary --- */

static const char *skip(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t') at++;
    return at;
}

/* The value behind 'key':, or NULL. Keys and types hold no quotes, so a plain search finds them. */
static const char *value_of(const char *dict, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = dict; (at = strstr(at, key)); at += n) {
        if (at == dict || (at[-1] != '\'' && at[-1] != '"') || at[n] != at[-1]) continue;
        const char *colon = skip(at + n + 1);
        if (*colon == ':') return skip(colon + 1);
    }
    return NULL;
}

static bool parse_type(const char *at, Header *h)
{
    if (*at != '\'' && *at != '"') return false;
    const char quote = *at++;
    h->order = '|';
    if (*at && strchr("<>|=", *at)) h->order = *at++;
    h->kind = *at ? *at++ : 0;
    char *end;
    unsigned long bytes = strtoul(at, &end, 10);
    if (end == at && h->kind == '?') bytes = 1, h->kind = 'b';
    if (*end != quote || end - at > 2) return false;
    h->bytes = (unsigned)bytes;
    if (h->kind == 'b') return bytes == 1;
    if (h->kind == 'i' || h->kind == 'u') return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
    return h->kind == 'f' && (bytes == 2 || bytes == 4 || bytes == 8 || (bytes == 16 && h->order != '>'));
}

static const char *parse_shape(Compilation *c, const char *at, Header *h)
{
    if (*at++ != '(') return "its shape is no tuple";
    for (at = skip(at); *at != ')'; at = skip(at)) {
        if (*at < '0' || *at > '9') return "its shape is no tuple of numbers";
        if (h->rank == ARRAY_RANK_MAX) return format(c, "it has more than %d dimensions", ARRAY_RANK_MAX);
        char *end;
        errno = 0;
        h->shape[h->rank++] = strtoll(at, &end, 10);
        if (errno) return "its shape is too large";
        at = skip(end);
        if (*at == ',') at++;
        else if (*at != ')') return "its shape is no tuple of numbers";
    }
    bool empty = false, fits = true;
    uint64_t n = 1;
    for (int k = 0; k < h->rank; k++) {
        empty |= h->shape[k] == 0;
        fits = fits && !__builtin_mul_overflow(n, (uint64_t)h->shape[k], &n) && n <= (uint64_t)1 << 56;
    }
    if (!empty && !fits) return "its shape is too large";
    h->n = empty ? 0 : (size_t)n;
    return NULL;
}

static const char *parse_header(Compilation *c, const char *dict, Header *h)
{
    const char *type = value_of(dict, "descr"), *shape = value_of(dict, "shape");
    const char *order = value_of(dict, "fortran_order");
    if (*skip(dict) != '{' || !type || !order || !shape) return "its header is damaged";
    if (!parse_type(type, h)) return format(c, "its element type %.20s is not supported", type);
    if (strncmp(order, "True", 4) && strncmp(order, "False", 5)) return "its header is damaged";
    h->fortran = *order == 'T';
    return parse_shape(c, shape, h);
}

static const char *read_header(Compilation *c, FILE *file, Header *h)
{
    unsigned char start[12];
    if (fread(start, 1, 8, file) != 8 || memcmp(start, MAGIC, 6)) return "it is no .npy file";
    if (start[6] < 1 || start[6] > 3) return format(c, "it is of an unknown format version %d", start[6]);
    size_t width = start[6] == 1 ? 2 : 4, length = 0;
    if (fread(start + 8, 1, width, file) != width) return "it is truncated";
    for (size_t k = width; k-- > 0;) length = length << 8 | start[8 + k];
    if (length > HEADER_MAX) return "its header is too long";
    char *dict = arena_alloc(c, length + 1);
    if (fread(dict, 1, length, file) != length) return "it is truncated";
    if (memchr(dict, 0, length)) return "its header is damaged";
    return parse_header(c, dict, h);
}

/* --- numbers --- */

static double half(uint16_t bits)
{
    _Float16 x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static double get_float(const unsigned char *at, unsigned bytes)
{
    float f;
    double d;
    long double l;
    uint16_t h;
    switch (bytes) {
    case 2: return memcpy(&h, at, sizeof h), half(h);
    case 4: return memcpy(&f, at, sizeof f), (double)f;
    case 8: return memcpy(&d, at, sizeof d), d;
    default: return memcpy(&l, at, sizeof l), (double)l;
    }
}

static int64_t get_int(const unsigned char *at, unsigned bytes, bool is_signed)
{
    uint64_t x = 0;
    memcpy(&x, at, bytes);
    unsigned shift = 64 - 8 * bytes;
    return is_signed ? (int64_t)(x << shift) >> shift : (int64_t)x;
}

static void put(Array *a, size_t k, const Header *h, const unsigned char *at)
{
    if (a->type == TYPE_REAL && h->kind == 'f') ((double *)a->data)[k] = get_float(at, h->bytes);
    else if (a->type == TYPE_REAL) { /* 64 unsigned bits */
        uint64_t x;
        memcpy(&x, at, sizeof x);
        ((double *)a->data)[k] = (double)x;
    } else if (a->type == TYPE_INT) ((int64_t *)a->data)[k] = get_int(at, h->bytes, h->kind == 'i');
    else ((uint8_t *)a->data)[k] = *at != 0;
}

/* Where the numbers of a Fortran-ordered file go. */
typedef struct Walk { const Header *h; int64_t at[ARRAY_RANK_MAX]; size_t place; } Walk;

static void walk_next(Walk *w)
{
    if (!w->h->fortran) {
        w->place++;
        return;
    }
    size_t place = 0;
    for (int k = 0; k < w->h->rank && ++w->at[k] == w->h->shape[k]; k++) w->at[k] = 0;
    for (int k = 0; k < w->h->rank; k++) place = place * (size_t)w->h->shape[k] + (size_t)w->at[k];
    w->place = place;
}

static void swap(unsigned char *at, unsigned bytes)
{
    for (unsigned k = 0; k < bytes / 2; k++) {
        unsigned char x = at[k];
        at[k] = at[bytes - 1 - k], at[bytes - 1 - k] = x;
    }
}

static const char *read_numbers(FILE *file, const Header *h, Array *a)
{
    unsigned char chunk[CHUNK];
    Walk walk = {.h = h};
    for (size_t left = h->n; left;) {
        size_t count = CHUNK / h->bytes < left ? CHUNK / h->bytes : left;
        if (fread(chunk, h->bytes, count, file) != count)
            return ferror(file) ? strerror(errno) : "it is truncated";
        for (size_t k = 0; k < count; k++, walk_next(&walk)) {
            if (h->order == '>') swap(chunk + k * h->bytes, h->bytes);
            put(a, walk.place, h, chunk + k * h->bytes);
        }
        left -= count;
    }
    return NULL;
}

static Type array_type(const Header *h)
{
    if (h->kind == 'b') return TYPE_BOOL;
    return h->kind == 'f' || (h->kind == 'u' && h->bytes == 8) ? TYPE_REAL : TYPE_INT;
}

/* Large unsigned numbers are doubles unless all of them are ints. */
static bool large_unsigned(FILE *file, const Header *h)
{
    unsigned char chunk[CHUNK];
    if (h->kind != 'u' || h->bytes != 8) return false;
    long start = ftell(file);
    bool large = start < 0; /* cannot go back */
    for (size_t left = h->n, count; left && !large; left -= count) {
        count = fread(chunk, 8, CHUNK / 8 < left ? CHUNK / 8 : left, file);
        for (size_t k = 0; k < count; k++) large |= chunk[8 * k + (h->order == '>' ? 0 : 7)] >= 128;
        if (!count) break;
    }
    return fseek(file, start, SEEK_SET) != 0 || large;
}

static const char *read_file(Compilation *c, FILE *file, Array *a)
{
    Header *h = NEW(c, Header);
    const char *wrong = read_header(c, file, h);
    if (wrong) return wrong;
    struct stat info;
    if (!fstat(fileno(file), &info) && S_ISREG(info.st_mode) && (uint64_t)info.st_size / h->bytes < h->n)
        return "it is truncated"; /* before memory is asked for */
    *a = (Array){.type = array_type(h), .rank = h->rank, .shape = h->shape, .n = h->n};
    if (a->type == TYPE_REAL && h->kind == 'u' && !large_unsigned(file, h)) a->type = TYPE_INT;
    a->data = arena_alloc(c, h->n * type_bytes(a->type) + 1);
    return read_numbers(file, h, a);
}

const char *npy_read(Compilation *c, const char *path, Array *array)
{
    FILE *file = fopen(path, "rbe");
    if (!file) return format(c, "cannot read %s: %s", path, strerror(errno));
    jmp_buf outer;
    memcpy(&outer, &c->escape, sizeof outer);
    if (setjmp(c->escape)) {
        fclose(file);
        memcpy(&c->escape, &outer, sizeof outer);
        longjmp(c->escape, 1);
    }
    const char *wrong = read_file(c, file, array);
    memcpy(&c->escape, &outer, sizeof outer);
    fclose(file);
    return wrong ? format(c, "cannot read %s: %s", path, wrong) : NULL;
}

/* --- writing --- */

static const char *descr(Type type, int float_bytes)
{
    if (type == TYPE_BOOL) return "|b1";
    if (type == TYPE_INT) return "<i8";
    return float_bytes == 8 ? "<f8" : float_bytes == 4 ? "<f4" : "<f2";
}

static bool write_header(FILE *file, const Array *a, int float_bytes)
{
    char dict[64 + 24 * ARRAY_RANK_MAX];
    int n = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                     descr(a->type, float_bytes));
    for (int k = 0; k < a->rank; k++)
        n += snprintf(dict + n, sizeof dict - (size_t)n, k ? ", %lld" : "%lld", (long long)a->shape[k]);
    n += snprintf(dict + n, sizeof dict - (size_t)n, a->rank == 1 ? ",), }" : "), }");
    int padded = (10 + n + 1 + 63) / 64 * 64 - 10;
    unsigned char start[10] = MAGIC "\1";
    start[7] = 0, start[8] = (unsigned char)(padded & 255), start[9] = (unsigned char)(padded >> 8);
    return fwrite(start, 1, 10, file) == 10 && fprintf(file, "%-*s\n", padded - 1, dict) == padded;
}

static bool write_floats(FILE *file, const double *data, size_t n, int bytes)
{
    for (size_t k = 0; k < n; k++) {
        float f = (float)data[k];
        _Float16 h = (_Float16)data[k];
        const void *at = bytes == 8 ? (const void *)&data[k] : bytes == 4 ? &f : (const void *)&h;
        if (fwrite(at, (size_t)bytes, 1, file) != 1) return false;
    }
    return true;
}

const char *npy_write(Compilation *c, const char *path, const Array *a, int float_bytes)
{
    if (a->rank > ARRAY_RANK_MAX) return format(c, "cannot write %s: too many dimensions", path);
    Output o;
    bool ok = output_begin(c, &o, path) && write_header(o.file, a, float_bytes);
    if (a->type == TYPE_REAL) ok = ok && write_floats(o.file, a->data, a->n, float_bytes);
    else ok = ok && fwrite(a->data, type_bytes(a->type), a->n, o.file) == a->n;
    return output_end(c, &o, ok);
}
