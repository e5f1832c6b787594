/* attn_test: runs text-file tests. A test is a .attn file whose last comment lines, each beginning with `#!`,
 * hold what must come out of it; the source proper ends in front of them.
 *
 *   #! mode MODE          syntax, check, ast, tokens, program, graph, plan, loops or performance; by default
 *                         ast, under errors/ check, for errors/syntax-* and errors/performance-* syntax and
 *                         performance, under plans/ plan
 *   #! ok                 no output and no diagnostics
 *   #! E012 5:9 text      a diagnostic: code, line:column, exact text; all of them, ordered by place
 *   #! note 4:3 text      a note of the diagnostic above (FILE:4:3 in another file; some have no place)
 *   #! hint text          a hint of it
 *   #!| line              modes ast, tokens, and from program on: the output. Else the diagnostics as people
 *                         see them; if a file has such lines, they are compared (and kept by --update) besides
 *                         the lines above
 *   #! pad N              N empty lines are added to the source
 *   #! define NAME=VALUE  a parameter is fixed (mode check)
 *   #! pattern NAME       only that pattern is checked (mode check) */
#ifndef ATTN_TESTS_RUNNER_H
#define ATTN_TESTS_RUNNER_H

#include "lang/lang.h"

typedef enum Mode {
    MODE_DEFAULT, MODE_SYNTAX, MODE_CHECK, MODE_AST, MODE_TOKENS,
    MODE_PROGRAM, MODE_GRAPH, MODE_PLAN, MODE_LOOPS, MODE_PERFORMANCE, MODE_EXPLAIN, /* of a checked source */
    MODES
} Mode;
extern const char *const mode_names[MODES];

/* A test file taken apart. Text lives in the arena of `c`. */
typedef struct TextTest {
    Compilation *c;
    const char *path;
    Mode mode;
    bool mode_written, carets;
    size_t source_length, pad;
    const char *text;     /* the whole file; the source is its beginning */
    size_t length;
    VEC(Definition) definitions;
    const char *pattern;
    Text directives;      /* as written, kept by --update */
    Text expected;        /* the lines that are compared */
} TextTest;

/* Reads a whole file into the arena; NULL if that fails. */
const char *read_file(Compilation *c, const char *path, size_t *length);
/* Takes the file apart; false: it cannot be read. */
bool text_test_read(Compilation *c, const char *path, Mode mode, TextTest *test);
/* The lines that the file should hold, as comments. */
void text_test_run(TextTest *test, Text *actual);
/* Writes the file anew with `actual` as its expectation. */
bool text_test_update(const TextTest *test, const Text *actual);

#endif
