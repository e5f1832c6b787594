/* The parser on what no text file shows well: hostile bytes, cut and changed texts, failing memory, threads,
 * and that a printed tree parses to the same tree. */
#include "lang/ast.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char sample[] =
    "use \"std/masks.attn\"\n"
    "# documented\n"
    "mask near(i, j, w) = 0 <= i - j < w and\n    i != 3\n"
    "fn unit(x, [d]) {\n    r = sum[d](x * x)\n    x * rsqrt(r)\n}\n"
    "pattern p(w: int = 4, f: float = 0.5)\n"
    "    over b, h: q[i, d], k[j, d], v: int[j, e] in 0..size(d) -> o[i, e]\n"
    "    with t\n    example i = 4, t = uniform(0, 1)\n    cost i * j\n{\n"
    "    index i from size(j) - size(i)\n    index u: join(c, j)\n    block c of j by 64\n    carry S\n"
    "    require size(d) % 4 == 0\n"
    "    S[t] = if not f > 1 then S[t - 1] else (k[j = 3] + 2) ** -w\n"
    "    o = sum[j | c](softmax[j](s where near(i, j, w), sink = 1) * top_index[j -> r](v, 3)) | f(q).last\n"
    "}\n";

/* Parses; the printed tree, or NULL if there were errors (then *rendered holds them). malloc'd. */
static char *parse(const char *text, size_t length, char **rendered)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) cr_assert_fail("%s", c.fatal);
    AstFile *file = ast_parse(&c, compilation_add_source(&c, "t.attn", text, length));
    cr_assert_not_null(file);
    cr_assert_leq(c.diags.n, 21);
    char *printed = NULL;
    Text out = {.c = &c};
    if (!c.errors) {
        ast_print(&out, file);
        printed = strdup(out.at);
    }
    char *errors = strdup(diag_render(&c, DIAG_LINES));
    free(strdup(diag_render(&c, DIAG_CARETS)));
    if (rendered) *rendered = errors;
    else free(errors);
    compilation_free(&c);
    return printed;
}

static char *must_parse(const char *text, size_t length)
{
    char *errors, *printed = parse(text, length, &errors);
    cr_assert_not_null(printed, "%s", errors);
    free(errors);
    return printed;
}

Test(parser, line_ends_and_byte_order_mark_change_nothing)
{
    char text[2 * sizeof sample + 3], *expected = must_parse(sample, strlen(sample));
    size_t n = 0;
    memcpy(text, "\xEF\xBB\xBF", 3);
    n = 3;
    for (const char *at = sample; *at; at++) {
        if (*at == '\n') text[n++] = '\r';
        text[n++] = *at;
    }
    char *printed = must_parse(text, n), *cut = must_parse(sample, strlen(sample) - 1);
    cr_assert_str_eq(printed, expected);
    cr_assert_str_eq(cut, expected);
    free(expected);
    free(printed);
    free(cut);
}

Test(parser, files_without_declarations)
{
    static const char *const texts[] = {"", "\n", "# only a comment", "\n\n# two\n# lines\n\n", "\t \r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *printed = must_parse(texts[i], strlen(texts[i]));
        cr_assert_str_eq(printed, "");
        free(printed);
    }
}

Test(parser, zero_bytes_are_errors_at_their_place)
{
    char *errors;
    cr_assert_null(parse("fn f(x) = x \0+ 1\nfn g(x) = x\0", 29, &errors));
    const char *second = strstr(errors, "\nt.attn:2");
    cr_assert_not_null(second);
    cr_assert(!strncmp(errors, "t.attn:1:13: error[E002]: unexpected control character (byte 0x00)\n", 67));
    cr_assert(!strncmp(second, "\nt.attn:2:12: error[E002]: unexpected control character (byte 0x00)\n", 68));
    free(errors);
    cr_assert_null(parse("fn f(x) = x # \0 here\n", 21, &errors)); /* comments are documentation */
    cr_assert(!strncmp(errors, "t.attn:1:15: error[E002]: unexpected control character (byte 0x00)\n", 67));
    free(errors);
}

Test(parser, every_prefix_and_every_missing_or_changed_byte_is_survived)
{
    size_t n = strlen(sample), failed = 0;
    char text[sizeof sample];
    for (size_t i = 0; i < n; i++) {
        free(parse(sample, i, NULL));
        memcpy(text, sample, i);
        memcpy(text + i, sample + i + 1, n - i - 1);
        free(parse(text, n - 1, NULL));
        memcpy(text, sample, n);
        for (const char *other = "({[)]}\"\n=#\xFF"; *other; other++) {
            text[i] = *other;
            char *printed = parse(text, n, NULL);
            failed += !printed;
            free(printed);
        }
    }
    cr_assert_gt(failed, n * 5); /* most of them are no longer programs */
}

static char *repeated(const char *before, const char *text, size_t times, const char *after)
{
    size_t n = strlen(text), b = strlen(before);
    char *all = malloc(b + n * times + strlen(after) + 1), *at = all + b;
    memcpy(all, before, b);
    for (size_t i = 0; i < times; i++, at += n) memcpy(at, text, n);
    strcpy(at, after);
    return all;
}

Test(parser, depth_is_bounded, .timeout = 60)
{
    static const struct { const char *text; size_t times; bool ok;
    } cases[] = {
        {"(", 190, true},
        {"(", 1000000, false},
        {"-", 900, true},
        {"-", 1000000, false},
        {"not ", 1000000, false},
        {"if x then 1 else ", 900, true},
        {"if x then 1 else ", 100000, false},
        {"if ", 100000, false},
        {"x + ", 900, true},
        {"x + ", 100000, false},
        {"2 ** ", 900, true},
        {"2 ** ", 100000, false},
        {"x[", 100000, false},
        {"f(", 100000, false},
        {"sum[j](", 100000, false},
        {"x < ", 100000, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool open = cases[i].ok && cases[i].text[0] == '(';
        char *close = repeated("x", ")", open ? cases[i].times : 0, "\n");
        char *text = repeated("fn f(x) = ", cases[i].text, cases[i].times, close), *errors;
        char *printed = parse(text, strlen(text), &errors);
        cr_assert_eq(printed != NULL, cases[i].ok, "%s: %.300s", cases[i].text, errors);
        if (!cases[i].ok)
            cr_assert_not_null(strstr(errors, "error[E008]"), "%s: %.300s", cases[i].text, errors);
        free(printed);
        free(errors);
        free(text);
        free(close);
    }
}

/* The number of allocations of a parse with errors, or 0 if the one number `fail_at` failed. */
static size_t parse_failing(const char *text, size_t fail_at)
{
    Compilation c;
    compilation_init(&c);
    c.fail_at = fail_at;
    size_t allocations = 0;
    if (setjmp(c.escape)) {
        cr_assert_str_eq(c.fatal, "out of memory");
    } else {
        AstFile *file = ast_parse(&c, compilation_add_source(&c, "t.attn", text, strlen(text)));
        Text out = {.c = &c};
        ast_print(&out, file);
        diag_render(&c, DIAG_CARETS);
        allocations = c.allocations;
    }
    compilation_free(&c);
    return allocations;
}

Test(parser, every_failing_allocation_is_survived)
{
    char *deep = repeated("fn f(x) = ", "if x then 1 else ", 400, "(x +\nfn g(x) = sum[j + 1](x where 1\n");
    const char *texts[] = {sample, deep,
                           "pattern p( = 3 {\n o = q +* 2\n s = 1 & & 2\n q = x[\n p = .5\n}}\n"};
    for (size_t i = 0; i < 3; i++) {
        size_t all = parse_failing(texts[i], 0), step = all / 1000 + 1;
        cr_assert_gt(all, 10);
        for (size_t fail_at = 1; fail_at <= all; fail_at += step)
            cr_assert_eq(parse_failing(texts[i], fail_at), 0);
    }
    free(deep);
}

static void *parse_often(void *expected)
{
    for (int i = 0; i < 100; i++) {
        char *printed = must_parse(sample, strlen(sample));
        if (strcmp(printed, expected)) return printed;
        free(printed);
    }
    return NULL;
}

Test(parser, threads_do_not_meet)
{
    pthread_t threads[4];
    char *expected = must_parse(sample, strlen(sample));
    for (int i = 0; i < 4; i++) cr_assert_eq(pthread_create(&threads[i], NULL, parse_often, expected), 0);
    for (int i = 0; i < 4; i++) {
        void *differs;
        pthread_join(threads[i], &differs);
        cr_assert_null(differs);
    }
    free(expected);
}

static void check_fixed_point(const char *text, size_t length, const char *what)
{
    char *errors, *once = parse(text, length, &errors);
    cr_assert_not_null(once, "%s: %s", what, errors);
    char *twice = must_parse(once, strlen(once));
    cr_assert_str_eq(once, twice);
    free(errors);
    free(once);
    free(twice);
}

/* Every pattern of the library prints as text that parses to what it was. */
static unsigned check_folder(const char *path)
{
    unsigned n = 0;
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        char name[1000];
        if (entry->d_name[0] == '.' || snprintf(name, sizeof name, "%s/%s", path, entry->d_name) >= 1000)
            continue;
        size_t end = strlen(name);
        if (entry->d_type == DT_DIR) n += check_folder(name);
        if (end < 5 || strcmp(name + end - 5, ".attn")) continue;
        FILE *file = fopen(name, "rb");
        static char text[1 << 20];
        size_t length = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[length] = 0;
        if (strstr(text, "\n#! mode tokens")) continue; /* need not parse */
        check_fixed_point(text, length, name);
        n++;
    }
    if (folder) closedir(folder);
    return n;
}

Test(parser, printing_is_a_fixed_point)
{
    check_fixed_point(sample, strlen(sample), "sample");
    check_folder(ATTN_PATTERN_DIR_SOURCE);
    const char *source = getenv("ATTN_SOURCE");
    char language[1000];
    snprintf(language, sizeof language, "%s/tests/language", source ? source : ATTN_PATTERN_DIR_SOURCE "/..");
    if (source) cr_assert_gt(check_folder(language), 5);
}
