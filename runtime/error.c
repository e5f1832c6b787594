/* Errors as text, and a text that grows. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

AttnStatus rt_fail(AttnError *error, AttnStatus status, const char *format, ...)
{
    if (!error)
        return status;
    error->status = status;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    if (n < 0)
        snprintf(error->text, sizeof error->text, "%s", attn_status_text(status));
    else if ((size_t)n >= sizeof error->text)
        memcpy(error->text + sizeof error->text - 4, "...", 4);
    return status;
}

AttnStatus rt_no_memory(AttnError *error) { return rt_fail(error, ATTN_STATUS_MEMORY, "out of memory"); }

const char *attn_status_text(AttnStatus status)
{
    switch (status) {
#define STATUS_CASE(name, text)                                                                              \
    case ATTN_STATUS_##name: return text;
        ATTN_STATUSES(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

const char *attn_version(void) { return ATTN_VERSION; }

void rt_text_bytes(RtText *text, const void *bytes, size_t n)
{
    if (text->failed)
        return;
    if (text->capacity - text->n <= n) {
        size_t capacity = 2 * text->capacity + n + 256;
        char *grown = rt_grow(text->at, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->at = grown;
        text->capacity = capacity;
    }
    memcpy(text->at + text->n, bytes, n);
    text->n += n;
    text->at[text->n] = 0;
}

void rt_text_add(RtText *text, const char *format, ...)
{
    char small[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    if (n < 0) {
        text->failed = true;
    } else if ((size_t)n < sizeof small) {
        rt_text_bytes(text, small, (size_t)n);
    } else {
        char *large = rt_alloc((size_t)n + 1, 1);
        text->failed = text->failed || !large;
        if (large) {
            vsnprintf(large, (size_t)n + 1, format, again);
            rt_text_bytes(text, large, (size_t)n);
        }
        rt_free(large);
    }
    va_end(again);
    va_end(args);
}
