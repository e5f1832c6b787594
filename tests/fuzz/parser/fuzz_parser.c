/* One input for the parser, as libFuzzer calls it. It must neither crash nor hang nor run out of bounds;
 * diagnostics lie inside the text and render; without errors, the printed tree parses to the same tree, and
 * so does the canonical layout, which a second time does not change. */
#include "lang/ast.h"
#include "lang/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "fuzz_parser: %s\n%s\n", what, text);
    abort();
}

static void check_diagnostics(Compilation *c, size_t size)
{
    if (c->diags.n > 21) fail("too many diagnostics", diag_render(c, DIAG_LINES));
    for (uint32_t i = 0; i < c->diags.n; i++) {
        Span span = c->diags.at[i]->span;
        if (span.from > span.to || span.to > size)
            fail("diagnostic outside of the text", c->diags.at[i]->text);
    }
    diag_render(c, DIAG_CARETS);
    diag_render(c, DIAG_LINES);
}

/* layout_source itself looks at tokens and comments. */
static void check_layout(Compilation *c, uint32_t source, const char *tree)
{
    Text once = {.c = c}, twice = {.c = c}, printed = {.c = c};
    if (!layout_source(c, source, &once)) fail("no layout", diag_render(c, DIAG_LINES));
    uint32_t laid_out = compilation_add_source(c, "layout", once.n ? once.at : "", once.n);
    if (!layout_source(c, laid_out, &twice)) fail("the layout has no layout", once.at);
    if (once.n != twice.n || (once.n && memcmp(once.at, twice.at, once.n)))
        fail("a second time changes the layout", once.at);
    ast_print(&printed, ast_parse(c, laid_out));
    if (strcmp(tree, printed.at)) fail("the layout is another tree", once.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Compilation c;
    compilation_init(&c);
    if (setjmp(c.escape)) fail("fatal", c.fatal);
    uint32_t source = compilation_add_source(&c, "input", (const char *)data, size);
    AstFile *file = ast_parse(&c, source);
    check_diagnostics(&c, size);
    Text tokens = {.c = &c}, once = {.c = &c}, twice = {.c = &c};
    ast_print(&once, file); /* also what is left after errors */
    if (!c.errors) {
        ast_print(&twice, ast_parse(&c, compilation_add_source(&c, "printed", once.at, once.n)));
        if (c.errors) fail("a printed tree does not parse", diag_render(&c, DIAG_LINES));
        if (strcmp(once.at, twice.at)) fail("a printed tree parses to another one", once.at);
        check_layout(&c, source, once.at);
    }
    ast_print_tokens(&tokens, &c, source);
    compilation_free(&c);
    return 0;
}
