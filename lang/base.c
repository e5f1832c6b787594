/* The base of the compiler: arena, growing vectors, names, sources, growing text, and the way out of a pass.
 *
 * Requires: compilation_init, and `escape` armed before anything allocates. Ensures: everything lives until
 * compilation_free; a failed allocation or BUG() jumps to `escape` with `fatal` set. */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer every allocation has its own block, so that an overrun is seen. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define BLOCK_BYTES ((size_t)0)
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(BLOCK_BYTES)
#define BLOCK_BYTES ((size_t)0)
#endif
#ifndef BLOCK_BYTES
#define BLOCK_BYTES ((size_t)64 * 1024)
#endif

enum { ALIGNMENT = 16 };

struct ArenaBlock {
    ArenaBlock *next;
    size_t used, capacity;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

typedef struct InternEntry { uint32_t hash, length; const char *text; } InternEntry;
struct InternTable {
    InternEntry *entries; /* open addressing; text NULL: free */
    uint32_t n, capacity; /* capacity: a power of two */
};

void compilation_init(Compilation *c) { *c = (Compilation){0}; }

void compilation_adopt(Compilation *c, Compilation *child)
{
    child->parent = c;
    child->sibling = c->children;
    c->children = child;
}

void compilation_free(Compilation *c)
{
    while (c->children) compilation_free(c->children);
    for (Compilation **link = c->parent ? &c->parent->children : NULL; link && *link; link = &(*link)->sibling)
        if (*link == c) {
            *link = c->sibling;
            break;
        }
    for (ArenaBlock *block = c->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *c = (Compilation){0};
}

static void mark_lines(Compilation *c, Source *s)
{
    uint32_t marks = s->length / SOURCE_STRIDE + 1, n = 0, start = 0, mark = 0;
    s->lines = NEW_ARRAY(c, uint32_t, marks);
    s->starts = NEW_ARRAY(c, uint32_t, marks);
    const char *end = s->text + s->length;
    for (const char *at = s->text;; at++) {
        at = memchr(at, '\n', (size_t)(end - at));
        uint32_t next = at ? (uint32_t)(at - s->text) + 1 : UINT32_MAX;
        for (; mark < marks && mark * SOURCE_STRIDE < next; mark++) s->lines[mark] = n, s->starts[mark] = start;
        if (!at) return;
        n++;
        start = next;
    }
}

uint32_t compilation_add_source(Compilation *c, const char *path, const char *text, size_t length)
{
    size_t path_length = strlen(path);
    char *own_path = arena_alloc(c, path_length + 1);
    memcpy(own_path, path, path_length);
    char *own = NULL;
    if (length <= SOURCE_MAX) {
        own = arena_alloc(c, length + 1);
        if (length) memcpy(own, text, length);
    }
    Source s = {.path = own_path, .text = own ? own : "", .length = own ? (uint32_t)length : 0, .too_large = !own};
    mark_lines(c, &s);
    PUSH(c, &c->sources, s);
    return c->sources.n - 1;
}

uint32_t compilation_take_source(Compilation *c, const char *path, char *text, size_t length)
{
    jmp_buf outer;
    memcpy(&outer, &c->escape, sizeof outer);
    bool failed = setjmp(c->escape) != 0;
    uint32_t source = failed ? 0 : compilation_add_source(c, path, text, length);
    free(text);
    memcpy(&c->escape, &outer, sizeof outer);
    if (failed) longjmp(c->escape, 1);
    return source;
}

_Noreturn void compilation_no_memory(Compilation *c)
{
    c->fatal = "out of memory";
    c->exhausted = true;
    longjmp(c->escape, 1);
}

static ArenaBlock *add_block(Compilation *c, size_t bytes)
{
    size_t capacity = bytes > BLOCK_BYTES / 4 ? bytes : BLOCK_BYTES;
    ArenaBlock *block = calloc(1, sizeof *block + capacity);
    if (!block) compilation_no_memory(c);
    block->capacity = capacity;
    c->bytes += capacity;
    if (c->blocks && capacity == bytes) { /* a block of its own must not end the use of the current one */
        block->next = c->blocks->next;
        c->blocks->next = block;
    } else {
        block->next = c->blocks;
        c->blocks = block;
    }
    return block;
}

void *arena_alloc(Compilation *c, size_t bytes)
{
    if (++c->allocations == c->fail_at || bytes > SIZE_MAX / 2) compilation_no_memory(c);
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    ArenaBlock *block = c->blocks;
    if (!block || bytes > block->capacity - block->used) block = add_block(c, bytes);
    void *at = block->bytes + block->used;
    block->used += bytes;
    return at;
}

void *vec_reserve(Compilation *c, void *at, size_t size, uint32_t n, uint32_t *capacity)
{
    if (n < *capacity) return at;
    if (*capacity > UINT32_MAX / 2) compilation_no_memory(c);
    uint32_t grown = *capacity ? *capacity * 2 : 4;
    void *copy = arena_alloc(c, size * grown);
    if (n) memcpy(copy, at, size * n);
    *capacity = grown;
    return copy;
}

static uint32_t hash_name(const char *text, size_t length)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

static InternEntry *find_name(const InternTable *t, uint32_t hash, const char *text, size_t length)
{
    for (uint32_t i = hash;; i++) {
        InternEntry *e = &t->entries[i & (t->capacity - 1)];
        if (!e->text || (e->hash == hash && e->length == length && !memcmp(e->text, text, length))) return e;
    }
}

static void grow_names(Compilation *c, InternTable *t)
{
    InternTable old = *t;
    uint32_t capacity = old.capacity ? old.capacity * 2 : 256;
    t->entries = NEW_ARRAY(c, InternEntry, capacity);
    t->capacity = capacity;
    for (uint32_t i = 0; i < old.capacity; i++) {
        const InternEntry *e = &old.entries[i];
        if (e->text) *find_name(t, e->hash, e->text, e->length) = *e;
    }
}

const char *intern(Compilation *c, const char *text, size_t length)
{
    if (length >= UINT32_MAX) compilation_no_memory(c);
    if (!c->names) c->names = NEW(c, InternTable);
    if (c->names->n >= c->names->capacity / 2) grow_names(c, c->names);
    uint32_t hash = hash_name(text, length);
    InternEntry *e = find_name(c->names, hash, text, length);
    if (e->text) return e->text;
    char *own = arena_alloc(c, length + 1);
    if (length) memcpy(own, text, length);
    *e = (InternEntry){hash, (uint32_t)length, own};
    c->names->n++;
    return own;
}

char *format_v(Compilation *c, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (length < 0) BUG(c, "bad format: %s", fmt);
    char *text = arena_alloc(c, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, fmt, args);
    return text;
}

char *format(Compilation *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = format_v(c, fmt, args);
    va_end(args);
    return text;
}

static void text_reserve(Text *t, size_t more)
{
    if (t->capacity - t->n > more) return;
    size_t capacity = t->capacity * 2 > t->n + more + 1 ? t->capacity * 2 : t->n + more + 64;
    char *at = arena_alloc(t->c, capacity);
    if (t->n) memcpy(at, t->at, t->n);
    t->at = at;
    t->capacity = capacity;
}

void text_add_v(Text *t, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (length < 0) BUG(t->c, "bad format: %s", fmt);
    text_reserve(t, (size_t)length);
    vsnprintf(t->at + t->n, (size_t)length + 1, fmt, args);
    t->n += (size_t)length;
}

void text_add(Text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    text_add_v(t, fmt, args);
    va_end(args);
}

void text_add_bytes(Text *t, const char *bytes, size_t n)
{
    text_reserve(t, n);
    if (n) memcpy(t->at + t->n, bytes, n);
    t->n += n;
    t->at[t->n] = 0;
}

void compilation_bug(Compilation *c, const char *file, int line, const char *fmt, ...)
{
    int n = snprintf(c->fatal_text, sizeof c->fatal_text, "internal error at %s:%d: ", file, line);
    va_list args;
    va_start(args, fmt);
    if (n > 0 && (size_t)n < sizeof c->fatal_text)
        vsnprintf(c->fatal_text + n, sizeof c->fatal_text - (size_t)n, fmt, args);
    va_end(args);
    c->fatal = c->fatal_text;
    longjmp(c->escape, 1);
}
