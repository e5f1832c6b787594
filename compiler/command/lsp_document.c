/* Texts that the editor has open: where they lie, positions in them, and what is wrong with them. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler/command/lsp.h"

#define PERFORMANCE_SECONDS 0.1 /* that nobody waits for while typing */

/* ---- URIs ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a file: URI, or the URI itself; of malloc. */
static char *path_of(const char *uri)
{
    char *path = malloc(strlen(uri) + 1), *to = path;
    if (!path) return NULL;
    if (strncmp(uri, "file://", 7)) return strcpy(path, uri);
    const char *at = uri + 7;
    at += strcspn(at, "/"); /* a host */
    for (; *at; at++) {
        bool escaped = *at == '%' && hex(at[1]) >= 0 && hex(at[2]) >= 0 && (hex(at[1]) || hex(at[2]));
        *to++ = escaped ? (char)(hex(at[1]) * 16 + hex(at[2])) : *at;
        if (escaped) at += 2;
    }
    *to = 0;
    return path;
}

static const char *uri_of(Compilation *c, const char *path)
{
    Text out = {.c = c};
    char *real = realpath(path, NULL);
    text_add(&out, "file://");
    for (const char *at = real ? real : path; *at; at++) {
        bool plain = (*at >= '0' && *at <= '9') || ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z');
        if (plain || strchr("/-._~", *at))
            text_add_bytes(&out, at, 1);
        else
            text_add(&out, "%%%02X", (unsigned char)*at);
    }
    free(real);
    return out.at;
}

/* ---- texts ---- */

LspDocument *lsp_document(const LspServer *s, const char *uri)
{
    for (size_t k = 0; k < s->n; k++)
        if (!strcmp(s->documents[k]->uri, uri)) return s->documents[k];
    return NULL;
}

static char *copy(const char *text, size_t n)
{
    char *own = malloc(n + 1);
    if (!own) return NULL;
    memcpy(own, text, n);
    own[n] = 0;
    return own;
}

/* A text may be used by any other. */
static void all_dirty(LspServer *s)
{
    for (size_t k = 0; k < s->n; k++) s->documents[k]->dirty = true;
}

bool lsp_change(LspServer *s, LspDocument *d, const char *text, size_t length, json_int_t version)
{
    char *own = copy(text, length);
    if (!own) return false;
    free(d->text);
    d->text = own;
    d->length = length;
    d->version = version;
    all_dirty(s);
    return true;
}

static void document_free(LspDocument *d)
{
    if (!d) return;
    free(d->uri);
    free(d->path);
    free(d->text);
    free(d);
}

bool lsp_open(LspServer *s, const char *uri, const char *text, size_t length, json_int_t version)
{
    LspDocument *d = lsp_document(s, uri);
    if (!d) {
        LspDocument **grown = realloc(s->documents, (s->n + 1) * sizeof *grown);
        if (grown) s->documents = grown;
        d = grown ? calloc(1, sizeof *d) : NULL;
        if (d) *d = (LspDocument){.uri = copy(uri, strlen(uri)), .path = path_of(uri)};
        if (!d || !d->uri || !d->path) return document_free(d), false;
        s->documents[s->n++] = d;
    }
    d->saved = true;
    return lsp_change(s, d, text, length, version);
}

void lsp_close(LspServer *s, LspDocument *d)
{
    size_t k = 0;
    while (s->documents[k] != d) k++;
    s->documents[k] = s->documents[--s->n];
    document_free(d);
    all_dirty(s);
}

/* For `use`: texts that are open stand for their files. */
static char *read_open(void *context, const char *path, size_t *length)
{
    const LspServer *s = context;
    char *real = realpath(path, NULL), *text = NULL;
    for (size_t k = 0; k < s->n && !text; k++) {
        const LspDocument *d = s->documents[k];
        char *other = d->text ? realpath(d->path, NULL) : NULL;
        bool same = !strcmp(d->path, path) || (real && other && !strcmp(real, other));
        if (same && d->text) text = copy(d->text, *length = d->length);
        free(other);
    }
    free(real);
    return text;
}

/* ---- positions ---- */

/* Bytes of the character at `at`, and its UTF-16 units. */
static unsigned step(const Source *s, uint32_t at, unsigned *units)
{
    uint32_t code = 0;
    unsigned n = utf8_decode(s->text + at, s->length - at, &code);
    *units = code > 0xFFFF ? 2 : 1;
    return n ? n : 1;
}

static bool is_line_end(const Source *s, uint32_t at)
{
    return s->text[at] == '\n' || (s->text[at] == '\r' && s->text[at + 1] == '\n');
}

uint32_t lsp_offset(const LspText *t, const json_t *position)
{
    const Source *s = &t->c->sources.at[t->source];
    json_int_t line = json_integer_value(json_object_get(position, "line"));
    json_int_t character = json_integer_value(json_object_get(position, "character"));
    if (line >= t->n_lines) return s->length;
    uint32_t at = t->lines[line < 0 ? 0 : line];
    for (unsigned units = 0; at < s->length && character > 0 && !is_line_end(s, at); character -= units)
        at += step(s, at, &units);
    return at;
}

/* Where lines of the text begin. */
static void find_lines(LspText *t)
{
    const Source *s = &t->c->sources.at[t->source];
    VEC(uint32_t) lines = {0};
    PUSH(t->c, &lines, 0);
    for (const char *at = s->text, *end = s->text + s->length; (at = memchr(at, '\n', (size_t)(end - at)));)
        PUSH(t->c, &lines, (uint32_t)(++at - s->text));
    t->lines = lines.at;
    t->n_lines = lines.n;
    t->last = NEW(t->c, LspPlace);
}

/* The line of an offset, from 0, and where it begins. */
static uint32_t line_of(const LspText *t, uint32_t source, uint32_t offset, uint32_t *start)
{
    if (source != t->source) {
        unsigned line, column;
        span_position(t->c, (Span){source, offset, offset}, &line, &column);
        return *start = offset - (column - 1), line - 1;
    }
    uint32_t low = 0, high = t->n_lines; /* it begins at or behind low, in front of high */
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (t->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return *start = t->lines[low], low;
}

static json_t *position(const LspText *t, uint32_t source, uint32_t offset)
{
    const Source *s = &t->c->sources.at[source];
    LspPlace at = {0}, *last = source == t->source ? t->last : NULL;
    if (offset > s->length) offset = s->length;
    json_int_t line = line_of(t, source, offset, &at.start);
    at.offset = at.start;
    if (last && last->start == at.start && last->offset <= offset) at = *last;
    for (unsigned units; at.offset < offset; at.character += units) at.offset += step(s, at.offset, &units);
    if (last) *last = at;
    return json_pack("{s:I, s:I}", "line", line, "character", at.character);
}

json_t *lsp_range(const LspText *t, Span span)
{
    json_t *start = position(t, span.source, span.from);
    return json_pack("{s:o, s:o}", "start", start, "end", position(t, span.source, span.to));
}

json_t *lsp_location(const LspText *t, Span span)
{
    bool own = span.source == t->source;
    const char *uri = own ? t->document->uri : uri_of(t->c, t->c->sources.at[span.source].path);
    return json_pack("{s:o, s:o}", "uri", lsp_string(uri), "range", lsp_range(t, span));
}

void lsp_text(LspText *t, const LspServer *s, const LspDocument *d, Compilation *c)
{
    *t = (LspText){.c = c, .document = d};
    t->options = pipeline_options(s->options, d->path);
    t->options.text = d->text;
    t->options.length = d->length;
    t->options.read = read_open;
    t->options.read_context = (void *)(uintptr_t)s;
    pipeline_init(&t->pipeline, c, &t->options);
    pipeline_read(&t->pipeline);
    t->source = t->pipeline.source;
    find_lines(t);
}

/* ---- diagnostics ---- */

static bool has_place(const Compilation *c, Span span) { return span.to > 0 && span.source < c->sources.n; }

static json_t *related(const LspText *t, const Diag *d, Span own)
{
    json_t *list = json_array();
    if (own.source != d->span.source || own.from != d->span.from)
        json_array_append_new(
            list, json_pack("{s:o, s:s}", "location", lsp_location(t, d->span), "message", "it stands here"));
    for (uint32_t k = 0; k < d->notes.n; k++) {
        const DiagNote *note = &d->notes.at[k];
        Span span = has_place(t->c, note->span) ? note->span : own;
        const char *text = format(t->c, note->hint ? "hint: %s" : "%s", note->text);
        json_array_append_new(
            list, json_pack("{s:o, s:o}", "location", lsp_location(t, span), "message", lsp_string(text)));
    }
    return list;
}

/* Where this text is to blame for what is wrong in a file that it uses: the path of that `use`. */
static Span place(LspText *t, const AstFile *file, Span span)
{
    if (span.source == t->source) return span;
    uint32_t source;
    for (uint32_t k = 0; k < file->uses.n; k++) {
        const AstName *path = &file->uses.at[k].path;
        if (pipeline_find_used(&t->pipeline, t->document->path, path->name, &source) && source == span.source)
            return path->span;
    }
    return file->uses.n ? file->uses.at[0].path.span : (Span){t->source, 0, 0};
}

static json_t *diagnostic(LspText *t, const AstFile *file, const Diag *d)
{
    static const json_int_t severities[] = {1, 2, 3}; /* error, warning, information: performance */
    Span span = has_place(t->c, d->span) ? place(t, file, d->span) : (Span){t->source, 0, 0};
    json_t *one = json_pack("{s:o, s:I, s:s, s:s, s:o}", "range", lsp_range(t, span), "severity",
                            severities[d->severity], "code", diag_code_name(d->code), "source", "attnc",
                            "message", lsp_string(d->text));
    json_t *more = related(t, d, span);
    if (json_array_size(more)) json_object_set(one, "relatedInformation", more);
    json_decref(more);
    return one;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void look_at_performance(LspText *t, LspDocument *d)
{
    double start = now();
    for (uint32_t k = 0; k < t->pipeline.program->patterns.n; k++)
        pipeline_kernel(&t->pipeline, t->pipeline.program->patterns.at[k]);
    d->slow = now() - start > PERFORMANCE_SECONDS;
}

static json_t *diagnostics(LspText *t, LspDocument *d)
{
    json_t *list = json_array();
    Compilation *c = t->c;
    t->options.performance = d->saved || !d->slow;
    if (pipeline_check(&t->pipeline) && t->options.performance) look_at_performance(t, d);
    const Diag **sorted = diag_sorted(c);
    uint32_t n = c->diags.n;
    const AstFile *file = n ? ast_parse(c, t->source) : NULL;
    for (uint32_t k = 0; k < n; k++) json_array_append_new(list, diagnostic(t, file, sorted[k]));
    return list;
}

json_t *lsp_publish(LspServer *s, LspDocument *d)
{
    static Compilation c;
    json_t *volatile list = NULL;
    compilation_init(&c);
    if (!setjmp(c.escape)) {
        LspText t;
        lsp_text(&t, s, d, &c);
        list = diagnostics(&t, d);
    } else
        complain("%s: %s", d->path, c.fatal);
    compilation_free(&c);
    d->dirty = d->saved = false;
    return json_pack("{s:o, s:I, s:o}", "uri", lsp_string(d->uri), "version", d->version, "diagnostics",
                     list ? list : json_array());
}
