/* Diagnostics: collecting them, and rendering them for people (with the source line and carets) and for
 * machines. */
#include "base.h"

#include <stdlib.h>
#include <string.h>

typedef struct DiagInfo {
    const char *name;
    Severity severity;
    const char *mend;
} DiagInfo;
static const DiagInfo diag_info[] = {
#define DIAG(code, severity, summary, mend) {#code, severity, mend},
#include "diag_list.h"
#undef DIAG
};
static const char *const severity_names[] = {"error", "warning", "performance"};

enum { TAB = 4, EXCERPT = 110 /* columns of a source line that are shown */, CUT = 1024 };

/* Open addressing; NULL: free. The capacity is a power of two. */
typedef struct DiagSet { const Diag **slots; uint32_t n, capacity; } DiagSet;

static const Diag **told_slot(const DiagSet *set, DiagCode code, Span span)
{
    uint64_t hash = ((uint64_t)span.from << 32 | span.to) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ (uint64_t)span.source << 16 ^ (uint64_t)code) * 0x9E3779B97F4A7C15u;
    for (uint32_t i = (uint32_t)(hash >> 32);; i++) {
        const Diag **slot = &set->slots[i & (set->capacity - 1)], *d = *slot;
        if (!d || (d->code == code && d->span.source == span.source && d->span.from == span.from
                   && d->span.to == span.to))
            return slot;
    }
}

bool diag_told(const Compilation *c, DiagCode code, Span span)
{
    return c->told && *told_slot(c->told, code, span);
}

static void remember(Compilation *c, const Diag *d)
{
    if (!c->told) c->told = NEW(c, DiagSet);
    if (c->told->n >= c->told->capacity / 2) {
        DiagSet old = *c->told, grown = {.n = old.n, .capacity = old.capacity ? 2 * old.capacity : 64};
        grown.slots = NEW_ARRAY(c, const Diag *, grown.capacity);
        for (uint32_t i = 0; i < old.capacity; i++)
            if (old.slots[i]) *told_slot(&grown, old.slots[i]->code, old.slots[i]->span) = old.slots[i];
        *c->told = grown;
    }
    const Diag **slot = told_slot(c->told, d->code, d->span);
    c->told->n += !*slot;
    *slot = d;
}

static Diag *keep(Compilation *c, DiagCode code, Span span, const char *text)
{
    Diag *d = NEW(c, Diag);
    *d = (Diag){.code = code, .severity = diag_info[code].severity, .span = span, .text = text};
    PUSH(c, &c->diags, d);
    remember(c, d);
    return d;
}

Diag *diag_v(Compilation *c, DiagCode code, Span span, const char *fmt, va_list args)
{
    bool error = diag_info[code].severity == SEVERITY_ERROR;
    if (error) c->errors++;
    if (c->diags.n < DIAGS_MAX) return keep(c, code, span, format_v(c, fmt, args));
    if (error && c->diags.n == DIAGS_MAX)
        keep(c, E010, span, format(c, "more than %d messages; the others are left out", DIAGS_MAX));
    return &c->left_out;
}

Diag *diag(Compilation *c, DiagCode code, Span span, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    Diag *d = diag_v(c, code, span, fmt, args);
    va_end(args);
    return d;
}

void diag_note(Compilation *c, Diag *d, Span span, const char *fmt, ...)
{
    if (d == &c->left_out) return;
    va_list args;
    va_start(args, fmt);
    const char *text = format_v(c, fmt, args);
    va_end(args);
    PUSH(c, &d->notes, (DiagNote){span, text, false});
}

void diag_hint(Compilation *c, Diag *d, const char *fmt, ...)
{
    if (d == &c->left_out) return;
    va_list args;
    va_start(args, fmt);
    const char *text = format_v(c, fmt, args);
    va_end(args);
    PUSH(c, &d->notes, (DiagNote){{0}, text, true});
}

const char *diag_code_name(DiagCode code) { return diag_info[code].name; }

const char *diag_severity_name(Severity severity) { return severity_names[severity]; }

static uint32_t line_start(const Source *s, uint32_t at)
{
    uint32_t mark = at / SOURCE_STRIDE, least = s->starts[mark];
    if (mark * SOURCE_STRIDE > least) least = mark * SOURCE_STRIDE;
    while (at > least && s->text[at - 1] != '\n') at--;
    return at == mark * SOURCE_STRIDE ? s->starts[mark] : at;
}

/* The end of the line without its line break, or `most` bytes on. */
static uint32_t line_end(const Source *s, uint32_t at, uint32_t most)
{
    if (most > s->length - at) most = s->length - at;
    const char *end = memchr(s->text + at, '\n', most);
    uint32_t to = end ? (uint32_t)(end - s->text) : at + most;
    return to > 0 && s->text[to - 1] == '\r' ? to - 1 : to;
}

static Span clip(const Source *s, Span span)
{
    if (span.from > s->length) span.from = s->length;
    if (span.to > s->length) span.to = s->length;
    if (span.to < span.from) span.to = span.from;
    return span;
}

void span_position(const Compilation *c, Span span, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    if (span.source >= c->sources.n) return;
    const Source *s = &c->sources.at[span.source];
    span = clip(s, span);
    uint32_t stride = span.from / SOURCE_STRIDE;
    *line += s->lines[stride];
    for (const char *at = s->text + stride * SOURCE_STRIDE, *end = s->text + span.from;
         (at = memchr(at, '\n', (size_t)(end - at))); at++)
        (*line)++;
    *column = span.from - line_start(s, span.from) + 1;
}

/* Length of the UTF-8 sequence at `at`, its code point in *code; 0 if it is not valid. */
unsigned utf8_decode(const char *at, size_t left, uint32_t *code)
{
    const unsigned char *b = (const unsigned char *)at;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (!left) return 0;
    unsigned n = b[0] < 0x80 ? 1 : b[0] >> 5 == 6 ? 2 : b[0] >> 4 == 14 ? 3 : b[0] >> 3 == 30 ? 4 : 0;
    if (!n || n > left) return 0;
    *code = n == 1 ? b[0] : b[0] & (0x7Fu >> n);
    for (unsigned i = 1; i < n; i++) {
        if (b[i] >> 6 != 2) return 0;
        *code = *code << 6 | (b[i] & 0x3Fu);
    }
    if (*code < least[n] || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000)) return 0;
    return n;
}

/* Columns that a character takes on a terminal. */
static unsigned width_of(uint32_t code)
{
    static const uint32_t none[][2] = {{0x300, 0x36F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};
    static const uint32_t wide[][2] = {
        {0x1100, 0x115F}, {0x2E80, 0xA4CF}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
        {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (code >= none[i][0] && code <= none[i][1]) return 0;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (code >= wide[i][0] && code <= wide[i][1]) return 2;
    return 1;
}

/* Appends one character of a source line as it is shown: tabs become spaces, and what could not be shown or
 * would steer a terminal becomes U+FFFD. Returns its bytes; *column grows by its width. out NULL: only
 * measures. */
static uint32_t show_character(Text *out, const char *at, size_t left, unsigned *column)
{
    uint32_t code = 0;
    unsigned n = utf8_decode(at, left, &code);
    unsigned width = 1;
    if (n && code == '\t') {
        width = TAB - *column % TAB;
        if (out) text_add(out, "%*s", (int)width, "");
    } else if (!n || code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E)
               || (code >= 0x2066 && code <= 0x2069)) {
        if (out) text_add(out, "\xEF\xBF\xBD");
    } else {
        width = width_of(code);
        if (out) text_add_bytes(out, at, n);
    }
    *column += width;
    return n ? n : 1;
}

static unsigned column_of(const Source *s, uint32_t from, uint32_t at)
{
    unsigned column = 0;
    while (from < at) from += show_character(NULL, s->text + from, s->length - from, &column);
    return column;
}

static void add_cut(Text *out, bool cut) { text_add(out, "%s", cut ? "..." : ""); }

/* One source line and the carets under bytes [from, to) of it. Of a long line only the part at the carets is
 * shown. */
static void show_line(Text *out, const Source *s, unsigned line, unsigned gutter, uint32_t from, uint32_t to)
{
    uint32_t start = line_start(s, from), end = line_end(s, from, to - from + CUT), far = start;
    bool cut = from - start > CUT; /* not measured from its beginning */
    if (cut) start = from - CUT / 4;
    while (start > far && ((unsigned char)s->text[start] & 0xC0) == 0x80) start--;
    unsigned a = column_of(s, start, from), b = to > from ? column_of(s, start, to) : a + 1;
    unsigned skip = a > EXCERPT - 20 ? a - 20 : 0, column = 0;
    text_add(out, "%*u | ", (int)gutter, line);
    add_cut(out, skip > 0 || cut);
    uint32_t at = start;
    while (at < end && column < skip) at += show_character(NULL, s->text + at, s->length - at, &column);
    unsigned shown = column;
    while (at < end && column < shown + EXCERPT)
        at += show_character(out, s->text + at, s->length - at, &column);
    add_cut(out, at < end);
    if (b > column + 1) b = column + 1;
    text_add(out, "\n%*s | %*s", (int)gutter, "", (int)(a - shown) + (skip || cut ? 3 : 0), "");
    for (unsigned i = a; i < (b > a ? b : a + 1); i++) text_add(out, "^");
    while (out->n && out->at[out->n - 1] == ' ') out->at[--out->n] = 0;
    text_add(out, "\n");
}

/* The lines of a span: all of it, or for long ones the first and the last line. */
static void show_span(Text *out, const Compilation *c, Span span, unsigned gutter)
{
    const Source *s = &c->sources.at[span.source];
    span = clip(s, span);
    unsigned line, last, column;
    span_position(c, span, &line, &column);
    uint32_t end = span.to > span.from ? span.to - 1 : span.to;
    span_position(c, (Span){span.source, end, end}, &last, &column);
    if (line == last) {
        show_line(out, s, line, gutter, span.from, span.to);
        return;
    }
    show_line(out, s, line, gutter, span.from, line_end(s, span.from, UINT32_MAX));
    if (last > line + 1) text_add(out, "%*s ...\n", (int)gutter, "");
    uint32_t from = line_start(s, end);
    while (from < end && (s->text[from] == ' ' || s->text[from] == '\t')) from++;
    show_line(out, s, last, gutter, from, span.to);
}

static unsigned digits(unsigned n) { return n < 10 ? 1 : 1 + digits(n / 10); }

static bool has_place(const Compilation *c, Span span) { return span.to > 0 && span.source < c->sources.n; }

/* Width of the line numbers of a diagnostic. */
static unsigned gutter_of(const Compilation *c, const Diag *d)
{
    unsigned most = 1, line, column;
    for (uint32_t i = 0; i <= d->notes.n; i++) {
        Span span = i < d->notes.n ? d->notes.at[i].span : d->span;
        if (i < d->notes.n && !has_place(c, span)) continue;
        span_position(c, (Span){span.source, span.to, span.to}, &line, &column);
        if (line > most) most = line;
    }
    return digits(most);
}

static void add_place(Text *out, const Compilation *c, Span span)
{
    unsigned line, column;
    span_position(c, span, &line, &column);
    text_add(out, "%s:%u:%u", c->sources.at[span.source].path, line, column);
}

static void render_carets(Text *out, const Compilation *c, const Diag *d)
{
    unsigned gutter = gutter_of(c, d);
    text_add(out, "%s[%s]: %s\n", severity_names[d->severity], diag_code_name(d->code), d->text);
    if (d->span.source < c->sources.n) {
        text_add(out, "%*s--> ", (int)gutter, "");
        add_place(out, c, d->span);
        text_add(out, "\n");
        show_span(out, c, d->span, gutter);
    }
    for (uint32_t i = 0; i < d->notes.n; i++) {
        const DiagNote *note = &d->notes.at[i];
        bool placed = has_place(c, note->span);
        text_add(out, "%*s = %s: %s", (int)gutter, "", note->hint ? "hint" : "note", note->text);
        if (placed && note->span.source != d->span.source) {
            text_add(out, " (");
            add_place(out, c, note->span);
            text_add(out, ")");
        }
        text_add(out, "\n");
        if (placed) show_span(out, c, note->span, gutter);
    }
}

static void render_lines(Text *out, const Compilation *c, const Diag *d)
{
    bool placed = d->span.source < c->sources.n;
    if (placed) add_place(out, c, d->span);
    text_add(out, "%s%s[%s]: %s\n", placed ? ": " : "", severity_names[d->severity], diag_code_name(d->code),
             d->text);
    for (uint32_t i = 0; i < d->notes.n; i++) {
        const DiagNote *note = &d->notes.at[i];
        Span span = has_place(c, note->span) ? note->span : d->span;
        if (placed) add_place(out, c, span);
        text_add(out, "%s%s: %s\n", placed ? ": " : "", note->hint ? "hint" : "note", note->text);
    }
}

typedef struct Ordered { const Diag *diag; uint32_t number; } Ordered;

static int compare_places(const void *va, const void *vb)
{
    const Ordered *a = va, *b = vb;
    Span p = a->diag->span, q = b->diag->span;
    if (p.source != q.source) return p.source < q.source ? -1 : 1;
    if (p.from != q.from) return p.from < q.from ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static void complete(Compilation *c, Diag *d)
{
    const char *mend = diag_info[d->code].mend;
    for (uint32_t k = 0; k < d->notes.n; k++)
        if (d->notes.at[k].hint) return;
    if (*mend) diag_hint(c, d, "%s", mend);
}

const Diag **diag_sorted(Compilation *c)
{
    for (uint32_t i = 0; i < c->diags.n; i++) complete(c, c->diags.at[i]);
    Ordered *order = NEW_ARRAY(c, Ordered, c->diags.n + 1);
    const Diag **sorted = NEW_ARRAY(c, const Diag *, c->diags.n + 1);
    for (uint32_t i = 0; i < c->diags.n; i++) order[i] = (Ordered){c->diags.at[i], i};
    if (c->diags.n) qsort(order, c->diags.n, sizeof *order, compare_places);
    for (uint32_t i = 0; i < c->diags.n; i++) sorted[i] = order[i].diag;
    return sorted;
}

const char *diag_render(Compilation *c, DiagFormat how)
{
    Text out = {.c = c};
    text_add(&out, "%s", "");
    const Diag **sorted = diag_sorted(c);
    for (uint32_t i = 0; i < c->diags.n; i++) {
        if (how == DIAG_CARETS && i) text_add(&out, "\n");
        if (how == DIAG_CARETS) render_carets(&out, c, sorted[i]);
        if (how == DIAG_LINES) render_lines(&out, c, sorted[i]);
        if (how == DIAG_JSON) diag_add_json(&out, c, sorted[i]), text_add(&out, "\n");
    }
    return out.at;
}
