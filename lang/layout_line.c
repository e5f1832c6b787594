/* One segment: spaces between its tokens, and where it is broken.
 *
 * Breaks that were written are kept if they stand at operators, commas, `where`, `then` or `else` and every
 * line fits. Otherwise a segment that is too long is broken at its loosest operators, line by line as much as
 * fits, and what is still too long inside. A broken line goes on under the first token of the innermost
 * bracket, or of the expression. */
#include "layout_private.h"

enum { FORCED = -2, TIGHTEST = 100 }; /* levels of breaks: the loosest is least */

static bool is_binary(const LayoutItem *item)
{
    if (item->kind == T_AND || item->kind == T_OR) return true;
    return item->kind >= T_EQ && item->kind <= T_POWER && !item->unary;
}

/* ---- spaces ---- */

/* `t-1` alone between brackets. */
static bool is_step(const LayoutSource *s, uint32_t k)
{
    const LayoutItem *at = &s->items.at[k];
    if (k < 2 || k + 2 >= s->items.n || (at->kind != T_MINUS && at->kind != T_PLUS)) return false;
    return at[-2].kind == T_LBRACKET && at[-1].kind == T_NAME && at[1].kind == T_INTEGER &&
           at[2].kind == T_RBRACKET;
}

static bool space_between(const LayoutSource *s, uint32_t k)
{
    const LayoutItem *before = &s->items.at[k - 1], *item = &s->items.at[k];
    switch (before->kind) {
    case T_LPAREN:
    case T_LBRACKET:
    case T_DOT:
    case T_DOTS: return false;
    case T_MINUS:
    case T_PLUS: return !before->unary && !is_step(s, k - 1);
    default: break;
    }
    switch (item->kind) {
    case T_RPAREN:
    case T_RBRACKET:
    case T_COMMA:
    case T_COLON:
    case T_DOT:
    case T_DOTS: return false;
    case T_LPAREN:
    case T_LBRACKET: return before->kind != T_NAME && before->kind != T_RBRACKET;
    case T_MINUS:
    case T_PLUS: return !is_step(s, k);
    default: return true;
    }
}

void layout_space(LayoutSource *s, uint32_t k) { s->items.at[k].space = k && space_between(s, k); }

uint32_t layout_flat(const LayoutSource *s, uint32_t from, uint32_t to)
{
    uint32_t columns = 0;
    for (uint32_t k = from; k < to; k++) {
        if (k > from && s->items.at[k].space) columns++;
        columns += s->items.at[k].width;
    }
    return columns;
}

/* ---- places ---- */

bool layout_must_break(const LayoutSource *s, const LayoutSegment *g, uint32_t item)
{
    return item > g->from && (s->items.at[item].n || s->items.at[item - 1].trailing);
}

/* How loose a break in front of item k is; TIGHTEST: there is none. */
static int level(const LayoutSource *s, const LayoutSegment *g, uint32_t k)
{
    const LayoutItem *item = &s->items.at[k], *before = item - 1;
    if (layout_must_break(s, g, k)) return FORCED;
    if (before->kind == T_COMMA) return 0;
    if (before->kind == T_ARROW && g->kind == LAYOUT_LIST && !item->depth) return -1;
    if (item->kind == T_WHERE) return 1;
    if (before->kind == T_ELSE && item->kind == T_IF) return 2;
    if (item->kind == T_THEN || (item->kind == T_ELSE && item[1].kind != T_IF)) return 3;
    if (!is_binary(before)) return TIGHTEST;
    switch (before->kind) {
    case T_OR: return 4;
    case T_AND: return 5;
    case T_BAR: return 7;
    case T_CARET: return 8;
    case T_AMPERSAND: return 9;
    case T_SHL:
    case T_SHR: return 10;
    case T_PLUS:
    case T_MINUS: return is_step(s, k - 1) ? TIGHTEST : 11;
    case T_STAR:
    case T_SLASH:
    case T_FLOOR:
    case T_PERCENT: return 12;
    case T_POWER: return 13;
    default: return 6; /* comparisons */
    }
}

/* May a break that was written stay? */
static bool may_stay(const LayoutSource *s, const LayoutSegment *g, uint32_t k)
{
    const LayoutItem *item = &s->items.at[k];
    if (k <= g->base || item[-1].kind == T_ASSIGN) return false;
    if (level(s, g, k) < TIGHTEST || item->kind == T_ELSE) return true;
    return (is_binary(item) && !is_step(s, k)) || item[-1].kind == T_THEN || item[-1].kind == T_ELSE;
}

/* ---- columns ---- */

LayoutCursor layout_cursor(const LayoutSegment *g)
{
    return (LayoutCursor){.column = g->indent, .base = g->indent + LAYOUT_STEP};
}

uint32_t layout_step(LayoutCursor *at, const LayoutSource *s, const LayoutSegment *g, uint32_t k)
{
    const LayoutItem *item = &s->items.at[k];
    bool closes = item->kind == T_RPAREN || item->kind == T_RBRACKET;
    uint32_t white = k == g->from ? g->indent : item->space ? 1 : 0;
    if (k == g->assign && k) white += g->pad;
    if (item->broken)
        white = at->column = at->depth ? at->inner[at->depth] : at->base;
    else if (k > g->from)
        at->column += white;
    if (closes && at->depth) at->depth--;
    bool near = at->column <= LAYOUT_COLUMNS / 2;
    if (k == g->base && k > g->from) at->base = near ? at->column : g->indent + 2 * LAYOUT_STEP;
    at->column += item->width;
    if (item->kind == T_LPAREN || item->kind == T_LBRACKET) at->inner[++at->depth] = at->column;
    return white;
}

static bool fits(const LayoutSource *s, const LayoutSegment *g)
{
    LayoutCursor at = layout_cursor(g);
    for (uint32_t k = g->from; k < g->to; k++) {
        layout_step(&at, s, g, k);
        if (at.column > LAYOUT_COLUMNS) return false;
    }
    return true;
}

/* ---- breaking what is too long ---- */

typedef struct Fill {
    LayoutSource *s;
    const LayoutSegment *g;
    uint32_t *flat, *forced;
} Fill;
/* Items [from, to) that go on in column `under`; `tail` columns must still fit behind them. */
typedef struct Part {
    uint32_t from, to, under, tail;
} Part;

static uint32_t flat(const Fill *f, Part p)
{
    const LayoutItem *first = &f->s->items.at[p.from];
    return f->flat[p.to - f->g->from] - f->flat[p.from - f->g->from] - (first->space ? 1 : 0);
}

static bool fits_flat(const Fill *f, Part p, uint32_t column)
{
    bool forced = f->forced[p.to - f->g->from] != f->forced[p.from + 1 - f->g->from];
    return !forced && column + flat(f, p) + p.tail <= LAYOUT_COLUMNS;
}

static uint32_t fill(const Fill *f, Part p, uint32_t column);

/* Nothing to break outside of brackets: inside, one after the other. */
static uint32_t fill_brackets(const Fill *f, Part p, uint32_t column)
{
    const LayoutItem *items = f->s->items.at;
    for (uint32_t k = p.from; k < p.to; k++) {
        if (k > p.from && items[k].space) column++;
        column += items[k].width;
        uint32_t close = items[k].partner, next = close + 1;
        if (!close || close == k + 1 || close >= p.to) continue;
        while (next < p.to && !items[next].partner) next++;
        bool last = next >= p.to;
        uint32_t behind = flat(f, (Part){close, last ? p.to : next + 1, 0, 0});
        column = fill(f, (Part){k + 1, close, column, behind + (last ? p.tail : 0)}, column);
        k = close - 1;
    }
    return column;
}

static int loosest(const Fill *f, Part p)
{
    int least = TIGHTEST;
    for (uint32_t k = p.from + 1; k < p.to; k++) {
        if (f->s->items.at[k].depth != f->s->items.at[p.from].depth) continue;
        int here = level(f->s, f->g, k);
        if (here < least) least = here;
    }
    return least;
}

/* Lays out p from `column` on; the column behind it. */
static uint32_t fill(const Fill *f, Part p, uint32_t column)
{
    LayoutItem *items = f->s->items.at;
    if (fits_flat(f, p, column)) return column + flat(f, p);
    int least = loosest(f, p);
    if (least == TIGHTEST) return fill_brackets(f, p, column);
    for (uint32_t from = p.from, to; from < p.to; from = to) {
        for (to = from + 1; to < p.to; to++)
            if (items[to].depth == items[p.from].depth && level(f->s, f->g, to) == least) break;
        Part piece = {from, to, p.under, to == p.to ? p.tail : 0};
        uint32_t space = from > p.from && items[from].space ? 1 : 0;
        bool broken = from > p.from && (least == FORCED || !fits_flat(f, piece, column + space));
        if (broken) items[from].broken = true;
        column = broken ? p.under : column + space;
        column = fill(f, piece, column);
    }
    return column;
}

static void fill_segment(LayoutSource *s, const LayoutSegment *g)
{
    uint32_t n = g->to - g->from;
    Fill f = {s, g, NEW_ARRAY(s->c, uint32_t, n + 2), NEW_ARRAY(s->c, uint32_t, n + 2)};
    for (uint32_t k = 0; k < n; k++) {
        const LayoutItem *item = &s->items.at[g->from + k];
        f.flat[k + 1] = f.flat[k] + item->width + (item->space ? 1 : 0);
        f.forced[k + 1] = f.forced[k] + layout_must_break(s, g, g->from + k);
    }
    LayoutCursor at = layout_cursor(g);
    for (uint32_t k = g->from; k <= g->base; k++) layout_step(&at, s, g, k);
    fill(&f, (Part){g->base, g->to, at.base, 0}, at.column - s->items.at[g->base].width);
}

static void take_breaks(LayoutSource *s, const LayoutSegment *g, bool written)
{
    for (uint32_t k = g->from; k < g->to; k++) {
        LayoutItem *item = &s->items.at[k];
        item->broken = layout_must_break(s, g, k) || (written && item->first && may_stay(s, g, k));
    }
}

void layout_break(LayoutSource *s, const LayoutSegment *g)
{
    for (uint32_t k = g->from; k < g->to; k++) layout_space(s, k);
    take_breaks(s, g, g->kind == LAYOUT_EXPRESSION);
    if (g->kind == LAYOUT_EXPRESSION && fits(s, g)) return;
    take_breaks(s, g, false);
    if (!fits(s, g)) fill_segment(s, g);
}
