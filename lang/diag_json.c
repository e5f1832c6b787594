/* Diagnostics as JSON, for editors and scripts: docs/command.md says what the members mean. */
#include "base.h"

#include <string.h>

void text_add_json(Text *out, const char *text)
{
    text_add(out, "\"");
    for (size_t left = strlen(text); left > 0;) {
        uint32_t code = 0;
        unsigned n = utf8_decode(text, left, &code);
        if (!n)
            text_add(out, "\\ufffd");
        else if (code < ' ' || code == 0x7F)
            text_add(out, "\\u%04x", (unsigned)code);
        else if (code == '"' || code == '\\')
            text_add(out, "\\%c", (char)code);
        else
            text_add_bytes(out, text, n);
        n = n ? n : 1;
        text += n;
        left -= n;
    }
    text_add(out, "\"");
}

/* Nothing for what has no place. */
static void add_place(Text *out, const Compilation *c, Span span)
{
    if (span.source >= c->sources.n) return;
    unsigned line, column, last, end;
    span_position(c, span, &line, &column);
    span_position(c, (Span){span.source, span.to, span.to}, &last, &end);
    text_add(out, "\"file\": ");
    text_add_json(out, c->sources.at[span.source].path);
    text_add(out, ", \"line\": %u, \"column\": %u, \"end_line\": %u, \"end_column\": %u, ", line, column,
             last, end);
}

static void add_notes(Text *out, const Compilation *c, const Diag *d)
{
    bool any = false;
    for (uint32_t k = 0; k < d->notes.n; k++) {
        const DiagNote *note = &d->notes.at[k];
        if (note->hint) continue;
        text_add(out, any ? ", {" : "{");
        any = true;
        if (note->span.to) add_place(out, c, note->span);
        text_add(out, "\"message\": ");
        text_add_json(out, note->text);
        text_add(out, "}");
    }
}

static void add_hints(Text *out, const Diag *d)
{
    bool any = false;
    for (uint32_t k = 0; k < d->notes.n; k++) {
        if (!d->notes.at[k].hint) continue;
        text_add(out, "%s", any ? ", " : "");
        any = true;
        text_add_json(out, d->notes.at[k].text);
    }
}

void diag_add_json(Text *out, const Compilation *c, const Diag *d)
{
    text_add(out, "{");
    add_place(out, c, d->span);
    text_add(out, "\"code\": \"%s\", \"severity\": \"%s\", \"message\": ", diag_code_name(d->code),
             diag_severity_name(d->severity));
    text_add_json(out, d->text);
    text_add(out, ", \"notes\": [");
    add_notes(out, c, d);
    text_add(out, "], \"hints\": [");
    add_hints(out, d);
    text_add(out, "]}");
}
