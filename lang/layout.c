/* The layout of a file: its segments, the alignment of `=` and of comments behind code, and the text.
 *
 * Requires: a source. Ensures: the same tokens and comments in the canonical layout, or diagnostics. */
#include "layout_private.h"

#include <string.h>

typedef struct Line {
    uint32_t from, n;      /* of Layout.code */
    uint32_t comment : 31; /* the number of that behind the code + 1; 0: none */
    uint32_t blank : 1;    /* an empty line in front of it */
} Line;

typedef struct Layout {
    LayoutSource s;
    VEC(LayoutSegment) segments; /* equations of a body, until their `=` are aligned */
    VEC(Line) lines;
    Text code;           /* of all lines */
    uint32_t line_start; /* of the line that is being written, in it */
    bool opened, apart;  /* no empty line, an empty line in front of the next one */
    bool too_large;      /* what more there is is left out */
} Layout;

/* ---- lines ---- */

static void end_line(Layout *l, uint32_t comment, bool blank)
{
    uint32_t n = (uint32_t)l->code.n;
    blank = (blank || l->apart) && !l->opened && l->lines.n;
    PUSH(l->s.c, &l->lines, (Line){l->line_start, n - l->line_start, comment & INT32_MAX, blank});
    l->line_start = n;
    l->too_large = n > SOURCE_MAX;
    l->opened = l->apart = false;
}

static const char *text_of(const Layout *l, uint32_t from)
{
    return l->s.c->sources.at[l->s.source].text + from;
}

/* A comment below one that stands behind code, and in its column, goes on with it. */
static bool goes_on(const Layout *l, const LayoutComment *comment)
{
    const Line *above = l->lines.n ? &l->lines.at[l->lines.n - 1] : NULL;
    const LayoutComment *last = above && above->comment ? &l->s.comments.at[above->comment - 1] : NULL;
    return last && last->column == comment->column && !comment->blank;
}

/* The comments in front of item k. */
static void write_comments(Layout *l, uint32_t k, uint32_t indent, bool inside)
{
    const LayoutItem *item = &l->s.items.at[k];
    for (uint32_t n = item->comments; n < item->comments + item->n; n++) {
        const LayoutComment *comment = &l->s.comments.at[n];
        if (goes_on(l, comment)) {
            bool apart = l->apart;
            l->apart = false;
            end_line(l, n + 1, false);
            l->apart = apart;
            continue;
        }
        text_add(&l->code, "%*s", (int)indent, "");
        text_add_bytes(&l->code, text_of(l, comment->from), comment->n);
        end_line(l, 0, comment->blank && !inside);
    }
}

static void write_code(Layout *l, const LayoutSegment *g, bool blank)
{
    layout_break(&l->s, g);
    LayoutCursor at = layout_cursor(g);
    for (uint32_t k = g->from; k < g->to && !l->too_large; k++) {
        const LayoutItem *item = &l->s.items.at[k];
        if (item->broken) {
            end_line(l, item[-1].trailing, blank);
            write_comments(l, k, at.depth ? at.inner[at.depth] : at.base, true);
            blank = false;
        }
        text_add(&l->code, "%*s", (int)layout_step(&at, &l->s, g, k), "");
        text_add_bytes(&l->code, text_of(l, item->from), item->width);
    }
    end_line(l, l->s.items.at[g->to - 1].trailing, blank);
}

/* With the comments in front of it. `header`: empty lines go. */
static void write_segment(Layout *l, const LayoutSegment *g, bool header)
{
    write_comments(l, g->from, g->indent, header);
    write_code(l, g, l->s.items.at[g->from].blank && !header);
}

/* ---- segments ---- */

static int kind(const Layout *l, uint32_t k) { return l->s.items.at[k].kind; }

/* Behind the item that ends what begins at k, inside of braces. */
static uint32_t statement_end(const Layout *l, uint32_t k)
{
    while (!l->s.items.at[k].ends && kind(l, k + 1) != T_RBRACE && kind(l, k + 1) != T_END) k++;
    return k + 1;
}

/* The first item of a kind on this level from k on, before `to`; or `to`. */
static uint32_t find(const Layout *l, uint32_t k, uint32_t to, int wanted)
{
    uint32_t depth = l->s.items.at[k].depth;
    while (k < to && !(kind(l, k) == wanted && l->s.items.at[k].depth == depth)) k++;
    return k;
}

/* Where the expression of a statement begins, or k. */
static uint32_t statement_base(const Layout *l, uint32_t k, uint32_t to)
{
    static const int openers[] = {T_COLON, T_FROM, T_BY, T_INTO};
    switch (kind(l, k)) {
    case T_REQUIRE: return k + 1;
    case T_INDEX:
    case T_BLOCK:
        for (size_t i = 0; i < sizeof openers / sizeof *openers; i++) {
            uint32_t at = find(l, k, to, openers[i]);
            if (at + 1 < to) return at + 1;
        }
        return k;
    case T_CARRY: return k;
    default: {
        uint32_t assign = find(l, k, to, T_ASSIGN);
        return assign + 1 < to ? assign + 1 : k;
    }
    }
}

static LayoutSegment statement_segment(const Layout *l, uint32_t k)
{
    uint32_t to = statement_end(l, k), base = statement_base(l, k, to);
    LayoutKind how = kind(l, k) == T_CARRY ? LAYOUT_LIST : LAYOUT_EXPRESSION;
    LayoutSegment g = {how, k, to, base, LAYOUT_STEP, 0, 0};
    bool equation = base > k && kind(l, base - 1) == T_ASSIGN;
    for (uint32_t n = k; n < base; n++) equation = equation && !layout_must_break(&l->s, &g, n);
    if (equation) g.assign = base - 1;
    return g;
}

/* ---- `=` of equations in a row ---- */

static uint32_t column(const Layout *l, const LayoutSegment *g) { return l->s.items.at[g->assign].column; }
static uint32_t left_width(const Layout *l, const LayoutSegment *g)
{
    return layout_flat(&l->s, g->from, g->assign);
}

static bool is_padded(const Layout *l, const LayoutSegment *g)
{
    const LayoutItem *before = &l->s.items.at[g->assign - 1];
    return column(l, g) > before->column + before->width + 1;
}

/* Behind the last equation of a row that begins with `from`: equations whose `=` were written in one column,
 * with no empty line between them. Those with a type may stand out. */
static uint32_t row_end(const Layout *l, uint32_t from)
{
    const LayoutSegment *at = l->segments.at;
    uint32_t to = from + 1;
    for (uint32_t n = to; n < l->segments.n && at[n].assign; n++) {
        const LayoutItem *item = &l->s.items.at[at[n].from];
        bool blank = item->blank;
        for (uint32_t k = 0; k < item->n; k++) blank = blank || l->s.comments.at[item->comments + k].blank;
        bool joins = column(l, &at[n]) == column(l, &at[from]);
        if (blank || (!joins && find(l, at[n].from, at[n].assign, T_COLON) == at[n].assign)) break;
        if (joins) to = n + 1;
    }
    return to;
}

/* A row keeps its `=` in one column if one of them was padded for it. */
static void align_row(Layout *l, uint32_t from, uint32_t to)
{
    LayoutSegment *at = l->segments.at;
    uint32_t most = 0, row = column(l, &at[from]);
    bool padded = false;
    for (uint32_t n = from; n < to; n++) {
        if (column(l, &at[n]) != row) continue;
        padded = padded || is_padded(l, &at[n]);
        if (left_width(l, &at[n]) > most) most = left_width(l, &at[n]);
    }
    for (uint32_t n = from; padded && n < to; n++)
        if (column(l, &at[n]) == row) at[n].pad = most - left_width(l, &at[n]);
}

static void align(Layout *l)
{
    for (uint32_t n = 0; n < l->segments.n; n++)
        for (uint32_t k = l->segments.at[n].from; k < l->segments.at[n].to; k++) layout_space(&l->s, k);
    for (uint32_t from = 0, to; from < l->segments.n; from = to) {
        to = from + 1;
        if (!l->segments.at[from].assign) continue;
        to = row_end(l, from);
        align_row(l, from, to);
    }
}

/* ---- declarations ---- */

/* From `{` to `}`; behind it. */
static uint32_t write_body(Layout *l, uint32_t k)
{
    l->segments.n = 0;
    l->opened = true;
    while (kind(l, k) != T_RBRACE) {
        LayoutSegment g = statement_segment(l, k);
        PUSH(l->s.c, &l->segments, g);
        k = g.to;
    }
    align(l);
    for (uint32_t n = 0; n < l->segments.n; n++) write_segment(l, &l->segments.at[n], false);
    write_comments(l, k, LAYOUT_STEP, false);
    write_code(l, &(LayoutSegment){LAYOUT_LIST, k, k + 1, k, 0, 0, 0}, false);
    return k + 1;
}

static bool is_part(int kind)
{
    return kind == T_WITH || kind == T_EXAMPLE || kind == T_COST || kind == T_LBRACE;
}

/* Behind the part of a signature that begins at k. */
static uint32_t part_end(const Layout *l, uint32_t k)
{
    for (k++; l->s.items.at[k].depth || !is_part(kind(l, k)); k++) {
    }
    return k;
}

static uint32_t write_pattern(Layout *l, uint32_t k)
{
    uint32_t to = l->s.items.at[k + 2].partner + 1;
    write_segment(l, &(LayoutSegment){LAYOUT_LIST, k, to, k, 0, 0, 0}, false);
    for (k = to; kind(l, k) != T_LBRACE; k = to) {
        to = part_end(l, k);
        bool cost = kind(l, k) == T_COST;
        LayoutSegment g = {
            cost ? LAYOUT_EXPRESSION : LAYOUT_LIST, k, to, cost ? k + 1 : k, LAYOUT_STEP, 0, 0};
        write_segment(l, &g, true);
    }
    write_segment(l, &(LayoutSegment){LAYOUT_LIST, k, k + 1, k, 0, 0, 0}, true);
    return write_body(l, k + 1);
}

static uint32_t write_function(Layout *l, uint32_t k)
{
    uint32_t close = l->s.items.at[k + 2].partner, to = close + 2;
    bool block = kind(l, close + 1) == T_LBRACE;
    if (!block) to = statement_end(l, k);
    uint32_t base = block ? k : close + 2;
    LayoutKind how = block ? LAYOUT_LIST : LAYOUT_EXPRESSION;
    write_segment(l, &(LayoutSegment){how, k, to, base, 0, 0, 0}, false);
    return block ? write_body(l, to) : to;
}

/* Patterns and functions with a body stand between empty lines. */
static bool is_large(const Layout *l, uint32_t k)
{
    if (kind(l, k) == T_PATTERN) return true;
    return kind(l, k) != T_USE && kind(l, l->s.items.at[k + 2].partner + 1) == T_LBRACE;
}

static void write_declarations(Layout *l)
{
    bool large = false;
    uint32_t k = 0;
    while (kind(l, k) != T_END && !l->too_large) {
        bool next = is_large(l, k);
        l->apart = large || next;
        large = next;
        if (kind(l, k) == T_USE) {
            write_segment(l, &(LayoutSegment){LAYOUT_LIST, k, k + 2, k, 0, 0, 0}, false);
            k += 2;
        } else
            k = kind(l, k) == T_PATTERN ? write_pattern(l, k) : write_function(l, k);
    }
    l->apart = false;
    write_comments(l, k, 0, false);
}

/* ---- text ---- */

static const LayoutComment *comment_of(const Layout *l, uint32_t line)
{
    uint32_t n = l->lines.at[line].comment;
    return n ? &l->s.comments.at[n - 1] : NULL;
}

/* Comments behind code in a row, written in one column, keep it if they can: two spaces behind the code, and
 * within the line. */
static uint32_t comment_column(const Layout *l, uint32_t from, uint32_t to)
{
    const Line *lines = l->lines.at;
    uint32_t column = comment_of(l, from)->column, least = 0, longest = 0;
    for (uint32_t n = from; n < to; n++) {
        uint32_t width = comment_of(l, n)->n;
        if (lines[n].n + 2 > least) least = lines[n].n + 2;
        if (width > longest) longest = width;
    }
    uint32_t most = longest < LAYOUT_COLUMNS ? LAYOUT_COLUMNS - longest : 0;
    if (column > most) column = most;
    return column > least ? column : least;
}

static void print_line(Text *out, const Layout *l, uint32_t n, uint32_t column)
{
    const Line *line = &l->lines.at[n];
    const LayoutComment *comment = comment_of(l, n);
    if (line->blank) text_add(out, "\n");
    if (line->n) text_add_bytes(out, l->code.at + line->from, line->n);
    if (comment) {
        text_add(out, "%*s", (int)(column - line->n), "");
        text_add_bytes(out, text_of(l, comment->from), comment->n);
    }
    text_add(out, "\n");
}

static void print_lines(Text *out, const Layout *l)
{
    for (uint32_t from = 0, to; from < l->lines.n; from = to) {
        const LayoutComment *first = comment_of(l, from), *next = first;
        for (to = from + 1; next && to < l->lines.n; to++)
            if (!(next = comment_of(l, to)) || next->column != first->column) break;
        uint32_t column = first ? comment_column(l, from, to) : 0;
        for (uint32_t n = from; n < to; n++) print_line(out, l, n, column);
    }
}

static void verify(const Layout *l, const Text *text)
{
    Compilation *c = l->s.c;
    LayoutSource again;
    layout_read(&again, c, compilation_add_source(c, "layout", text->n ? text->at : "", text->n));
    c->sources.n--;
    if (!layout_same(&l->s, &again))
        BUG(c, "the layout of %s differs from it", c->sources.at[l->s.source].path);
}

bool layout_source(Compilation *c, uint32_t source, Text *out)
{
    unsigned errors = c->errors;
    ast_parse(c, source);
    if (c->errors > errors) return false;
    Layout l = {.code.c = c};
    layout_read(&l.s, c, source);
    write_declarations(&l);
    Text text = {.c = c};
    print_lines(&text, &l);
    if (l.too_large || text.n > SOURCE_MAX) {
        diag(c, E009, (Span){source, 0, 0}, "the layout of this file takes more than %d MiB",
             SOURCE_MAX >> 20);
        return false;
    }
    verify(&l, &text);
    if (text.n) text_add_bytes(out, text.at, text.n);
    return true;
}
