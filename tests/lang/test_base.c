/* The base: arena, names, vectors, sources, diagnostics, and the ways out when memory fails or we are wrong.
 */
#include "lang/base.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(base, arena_is_aligned_zeroed_and_disjoint)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    unsigned char *previous = NULL;
    size_t previous_bytes = 0;
    for (size_t bytes = 0; bytes < 300000; bytes = bytes * 3 / 2 + 1) {
        unsigned char *at = arena_alloc(&c, bytes);
        cr_assert_eq((uintptr_t)at % 16, 0);
        for (size_t i = 0; i < bytes; i++) cr_assert_eq(at[i], 0);
        memset(at, 0xAB, bytes);
        for (size_t i = 0; i < previous_bytes; i++) cr_assert_eq(previous[i], 0xAB);
        previous = at;
        previous_bytes = bytes;
    }
    compilation_free(&c);
    cr_assert_null(c.blocks);
}

Test(base, equal_names_have_equal_pointers)
{
    static const char *first[5000];
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    char name[20];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5000; i++) {
            int n = snprintf(name, sizeof name, "n%d", i * 7919);
            const char *got = intern(&c, name, (size_t)n);
            cr_assert_str_eq(got, name);
            if (round) cr_assert_eq(got, first[i]);
            first[i] = got;
        }
    cr_assert_eq(intern(&c, "n0xyz", 2), first[0]);
    cr_assert_neq(intern(&c, "", 0), first[0]);
    compilation_free(&c);
}

Test(base, vectors_and_text_grow)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    VEC(uint32_t) numbers = {0};
    Text text = {.c = &c};
    for (uint32_t i = 0; i < 10000; i++) {
        PUSH(&c, &numbers, i * i);
        text_add(&text, "%u,", i);
    }
    for (uint32_t i = 0; i < 10000; i++) cr_assert_eq(numbers.at[i], i * i);
    cr_assert_eq(text.n, strlen(text.at));
    cr_assert(!strncmp(text.at, "0,1,2,3,", 8));
    cr_assert_str_eq(text.at + text.n - 10, "9998,9999,");
    text_add_bytes(&text, "a\0b", 3);
    cr_assert_eq(memcmp(text.at + text.n - 3, "a\0b", 4), 0);
    cr_assert_str_eq(format(&c, "%s-%d", "x", 3), "x-3");
    compilation_free(&c);
}

Test(base, a_failed_allocation_leaves_by_the_escape)
{
    Compilation c;
    compilation_init(&c);
    c.fail_at = 3;
    volatile unsigned allocated = 0;
    if (setjmp(c.escape)) {
        cr_assert_eq(allocated, 2);
        cr_assert_str_eq(c.fatal, "out of memory");
        compilation_free(&c);
        return;
    }
    for (;; allocated++) arena_alloc(&c, 8);
}

Test(base, a_bug_leaves_by_the_escape)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) {
        cr_assert(!strncmp(c.fatal, "internal error at ", 18), "%s", c.fatal);
        cr_assert_not_null(strstr(c.fatal, "test_base.c:"), "%s", c.fatal);
        cr_assert_not_null(strstr(c.fatal, ": 7 is odd"), "%s", c.fatal);
        compilation_free(&c);
        return;
    }
    BUG(&c, "%d is odd", 7);
}

Test(base, places_are_lines_and_bytes)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    uint32_t s = compilation_add_source(&c, "a", "x\r\n\n\t\xC3\xA9z\n", 9);
    static const unsigned expected[][3] = {{0, 1, 1}, {1, 1, 2}, {3, 2, 1}, {4, 3, 1},
                                           {7, 3, 4}, {9, 4, 1}, {99, 4, 1}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        unsigned line, column;
        span_position(&c, (Span){s, expected[i][0], expected[i][0] + 1}, &line, &column);
        cr_assert_eq(line, expected[i][1], "byte %u: line %u", expected[i][0], line);
        cr_assert_eq(column, expected[i][2], "byte %u: column %u", expected[i][0], column);
    }
    compilation_free(&c);
}

Test(base, utf8)
{
    static const struct { const char *bytes; unsigned n; uint32_t code; } cases[] = {
        {"a", 1, 'a'}, {"\xC3\xA9", 2, 0xE9}, {"\xE2\x89\xA4", 3, 0x2264}, {"\xF0\x9F\x98\x80", 4, 0x1F600},
        {"\xC3", 0, 0}, {"\xA9", 0, 0}, {"\xC0\x80", 0, 0}, {"\xE0\x80\x80", 0, 0}, {"\xED\xA0\x80", 0, 0},
        {"\xF4\x90\x80\x80", 0, 0}, {"\xFF", 0, 0}, {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t code = 0;
        unsigned n = utf8_decode(cases[i].bytes, strlen(cases[i].bytes), &code);
        cr_assert_eq(n, cases[i].n, "case %zu: %u", i, n);
        if (n) cr_assert_eq(code, cases[i].code, "case %zu: %x", i, code);
    }
}

Test(base, diagnostics_come_in_the_order_of_their_places)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    uint32_t a = compilation_add_source(&c, "a.attn", "one\ntwo", 7),
             b = compilation_add_source(&c, "b.attn", "three", 5);
    diag(&c, E001, (Span){b, 0, 5}, "fourth");
    Diag *third = diag(&c, E002, (Span){a, 4, 7}, "third");
    diag(&c, E001, (Span){a, 0, 3}, "first");
    diag(&c, E003, (Span){a, 0, 1}, "second %d", 2);
    diag_note(&c, third, (Span){b, 0, 5}, "elsewhere");
    diag_note(&c, third, (Span){0}, "nowhere");
    diag_hint(&c, third, "do %s", "this");
    cr_assert_eq(c.errors, 4);
    cr_assert_str_eq(diag_render(&c, DIAG_LINES),
                     "a.attn:1:1: error[E001]: first\n"
                     "a.attn:1:1: error[E003]: second 2\n"
                     "a.attn:1:1: hint: numbers are decimal: `12`, `0.5`, `1.0`, `1e-5`\n"
                     "a.attn:2:1: error[E002]: third\n"
                     "b.attn:1:1: note: elsewhere\n"
                     "a.attn:2:1: note: nowhere\n"
                     "a.attn:2:1: hint: do this\n"
                     "b.attn:1:1: error[E001]: fourth\n");
    cr_assert_not_null(strstr(diag_render(&c, DIAG_CARETS),
                              "error[E002]: third\n"
                              " --> a.attn:2:1\n"
                              "2 | two\n"
                              "  | ^^^\n"
                              "  = note: elsewhere (b.attn:1:1)\n"
                              "1 | three\n"
                              "  | ^^^^^\n"
                              "  = note: nowhere\n"
                              "  = hint: do this\n"));
    compilation_free(&c);
}

Test(base, no_diagnostics_render_as_nothing)
{
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape));
    cr_assert_str_eq(diag_render(&c, DIAG_CARETS), "");
    cr_assert_str_eq(diag_render(&c, DIAG_LINES), "");
    compilation_free(&c);
}
