/* A source as the layout sees it: tokens, and the comments and empty lines between them.
 *
 * Requires: a source without syntax errors. Ensures: every comment belongs to one item: behind it, or on a
 * line of its own in front of it. */
#include "layout_private.h"

#include <string.h>

/* What stands between two tokens. */
typedef struct Gap {
    uint32_t at, to, line_start;
    unsigned newlines;
} Gap;

static void skip_white(const Source *s, Gap *gap)
{
    for (; gap->at < gap->to && s->text[gap->at] != '#'; gap->at++)
        if (s->text[gap->at] == '\n') gap->newlines++, gap->line_start = gap->at + 1;
}

static LayoutComment take_comment(const Source *s, Gap *gap)
{
    uint32_t from = gap->at, to;
    const char *end = memchr(s->text + from, '\n', gap->to - from);
    gap->at = to = end ? (uint32_t)(end - s->text) : gap->to;
    while (strchr(" \t\r", s->text[to - 1]) && s->text[to - 1]) to--;
    LayoutComment comment = {from, to - from, (from - gap->line_start) & INT32_MAX, gap->newlines > 1};
    gap->newlines = 0;
    return comment;
}

/* The comments up to `item`, which begins at gap->to. */
static void read_gap(LayoutSource *l, Gap *gap, LayoutItem *item)
{
    const Source *s = &l->c->sources.at[l->source];
    item->comments = l->comments.n;
    gap->newlines = 0;
    for (skip_white(s, gap); gap->at < gap->to; skip_white(s, gap)) {
        bool behind = !gap->newlines && l->items.n && l->comments.n == item->comments;
        PUSH(l->c, &l->comments, take_comment(s, gap));
        if (behind) {
            l->items.at[l->items.n - 1].trailing = l->comments.n;
            item->comments = l->comments.n;
        } else
            item->n++;
    }
    item->blank = gap->newlines > 1;
}

static bool ends_operand(int kind)
{
    return kind == T_NAME || kind == T_INTEGER || kind == T_REAL || kind == T_TRUE || kind == T_FALSE ||
           kind == T_RPAREN || kind == T_RBRACKET;
}

static void add_token(LayoutSource *l, Parser *p, int kind, Span span, Gap *gap, uint8_t *depth)
{
    LayoutItem item = {.kind = (uint16_t)kind,
                       .from = span.from,
                       .width = span.to - span.from,
                       .depth = *depth,
                       .column = p->previous.column,
                       .first = p->previous.first};
    const LayoutItem *before = l->items.n ? &l->items.at[l->items.n - 1] : NULL;
    item.unary = kind == T_MINUS && !(before && ends_operand(before->kind));
    gap->to = span.from;
    read_gap(l, gap, &item);
    gap->at = span.to;
    if (kind == T_RPAREN || kind == T_RBRACKET) item.depth = --*depth;
    if (kind == T_LPAREN || kind == T_LBRACKET) ++*depth;
    PUSH(l->c, &l->items, item);
}

static void find_partners(LayoutSource *l)
{
    uint32_t open[DEPTH_MAX + 1];
    for (uint32_t k = 0; k < l->items.n; k++) {
        LayoutItem *item = &l->items.at[k];
        if (item->kind == T_LPAREN || item->kind == T_LBRACKET) open[item->depth] = k;
        if (item->kind == T_RPAREN || item->kind == T_RBRACKET) l->items.at[open[item->depth]].partner = k;
    }
}

void layout_read(LayoutSource *l, Compilation *c, uint32_t source)
{
    *l = (LayoutSource){.c = c, .source = source};
    l->items.capacity = c->sources.at[source].length + 1; /* pages that are not needed are not touched */
    if (l->items.capacity > TOKENS_MAX) l->items.capacity = TOKENS_MAX;
    l->items.at = NEW_ARRAY(c, LayoutItem, l->items.capacity);
    Parser *p = NEW(c, Parser);
    *p = (Parser){.c = c, .source = source};
    tokens_start(p);
    PARSER_STYPE value;
    Span span;
    Gap gap = {0};
    uint8_t depth = 0;
    int kind;
    do {
        kind = parser_lex(&value, &span, p);
        if (kind != T_NEWLINE)
            add_token(l, p, kind, span, &gap, &depth);
        else if (l->items.n)
            l->items.at[l->items.n - 1].ends = true;
    } while (kind != T_END);
    find_partners(l);
}

static bool same_text(const LayoutSource *a, uint32_t x, const LayoutSource *b, uint32_t y, uint32_t n)
{
    return !memcmp(a->c->sources.at[a->source].text + x, b->c->sources.at[b->source].text + y, n);
}

bool layout_same(const LayoutSource *a, const LayoutSource *b)
{
    if (a->items.n != b->items.n || a->comments.n != b->comments.n) return false;
    for (uint32_t k = 0; k < a->items.n; k++) {
        const LayoutItem *x = &a->items.at[k], *y = &b->items.at[k];
        if (x->kind != y->kind || x->ends != y->ends || x->n != y->n || !x->trailing != !y->trailing ||
            x->width != y->width || !same_text(a, x->from, b, y->from, x->width))
            return false;
    }
    for (uint32_t k = 0; k < a->comments.n; k++) {
        LayoutComment x = a->comments.at[k], y = b->comments.at[k];
        if (x.n != y.n || !same_text(a, x.from, b, y.from, x.n)) return false;
    }
    return true;
}
