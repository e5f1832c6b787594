/* Messages of the language server: a header with Content-Length, an empty line, JSON. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/command/lsp.h"

enum { HEADER_MAX = 8 << 10, BODY_MAX = 128 << 20 };
#define FIELD "content-length:"

bool lsp_waiting(const LspReader *r)
{
    struct pollfd one = {.fd = r->fd, .events = POLLIN};
    return r->to > r->from || poll(&one, 1, 0) > 0;
}

void lsp_reader_free(LspReader *r)
{
    free(r->at);
    free(r->body);
}

/* Reads some more; false at the end, after an error, or without memory. */
static bool more(LspReader *r)
{
    if (r->from) memmove(r->at, r->at + r->from, r->to - r->from);
    r->to -= r->from;
    r->from = 0;
    if (r->to == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 2 * HEADER_MAX;
        char *grown = realloc(r->at, capacity);
        if (!grown) return false;
        r->at = grown;
        r->capacity = capacity;
    }
    ssize_t n = read(r->fd, r->at + r->to, r->capacity - r->to);
    if (n > 0) r->to += (size_t)n;
    return n > 0;
}

/* Bytes of the header with its empty line; 0: it is not complete. */
static size_t header_length(const LspReader *r)
{
    size_t n = r->to - r->from;
    const char *at = r->at + r->from, *end = n ? memmem(at, n, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - at) + 4 : 0;
}

static bool field_at(const char *at, size_t left)
{
    return left >= strlen(FIELD) && !strncasecmp(at, FIELD, strlen(FIELD));
}

/* The number of the field, or -1. */
static long long content_length(const char *header, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if ((k && header[k - 1] != '\n') || !field_at(header + k, n - k)) continue;
        const char *digit = header + k + strlen(FIELD), *end = header + n;
        long long value = 0;
        while (digit < end && *digit == ' ') digit++;
        if (digit == end || *digit < '0' || *digit > '9') return -1;
        for (; digit < end && *digit >= '0' && *digit <= '9' && value <= INT64_MAX / 16; digit++)
            value = 10 * value + (*digit - '0');
        return digit < end && (*digit == '\r' || *digit == ' ') ? value : -1;
    }
    return -1;
}

/* Drops bytes up to the next thing that looks like a header. */
static void resynchronize(LspReader *r)
{
    size_t n = r->to - r->from, k = n ? 1 : 0;
    while (k < n && !field_at(r->at + r->from + k, n - k)) k++;
    size_t keep = strlen(FIELD) - 1; /* it may have begun */
    if (k == n) k = n > keep ? n - keep : n ? 1 : 0;
    r->from += k;
}

static bool skip(LspReader *r, size_t n)
{
    while (n > r->to - r->from) {
        n -= r->to - r->from;
        r->from = r->to;
        if (!more(r)) return false;
    }
    r->from += n;
    return true;
}

static LspFrame read_body(LspReader *r, size_t n, const char **wrong)
{
    if (n > BODY_MAX) {
        *wrong = "a message of more than 128 MiB";
        return skip(r, n) ? LSP_MALFORMED : LSP_ENDED;
    }
    while (r->to - r->from < n)
        if (!more(r)) return LSP_ENDED;
    free(r->body);
    r->body = malloc(n + 1);
    if (!r->body) return LSP_ENDED;
    memcpy(r->body, r->at + r->from, n);
    r->body[n] = 0;
    r->from += n;
    return LSP_FRAME;
}

LspFrame lsp_read(LspReader *r, size_t *length, const char **wrong)
{
    size_t header;
    while (!(header = header_length(r))) {
        if (r->to - r->from > HEADER_MAX) {
            *wrong = "a header that does not end";
            resynchronize(r);
            return LSP_MALFORMED;
        }
        if (!more(r)) return LSP_ENDED;
    }
    long long n = content_length(r->at + r->from, header);
    if (n < 0) {
        *wrong = "a header without Content-Length";
        resynchronize(r);
        return LSP_MALFORMED;
    }
    r->from += header;
    *length = (size_t)n;
    return read_body(r, (size_t)n, wrong);
}

bool lsp_write(const json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT);
    if (!text) return false;
    bool ok = printf("Content-Length: %zu\r\n\r\n%s", strlen(text), text) > 0 && !fflush(stdout);
    free(text);
    return ok;
}

json_t *lsp_string(const char *text)
{
    json_t *string = json_string(text);
    size_t n = strlen(text);
    char *clean = string ? NULL : malloc(3 * n + 1), *to = clean;
    if (!clean) return string;
    for (const char *at = text; *at;) {
        uint32_t code;
        unsigned length = utf8_decode(at, n - (size_t)(at - text), &code);
        memcpy(to, length ? at : "\xEF\xBF\xBD", length ? length : 3);
        to += length ? length : 3;
        at += length ? length : 1;
    }
    string = json_stringn(clean, (size_t)(to - clean));
    free(clean);
    return string;
}
