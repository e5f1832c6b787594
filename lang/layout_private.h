/* Private to layout*.c: tokens with the comments between them, and the segments that become lines.
 *
 * layout_read.c    the source to items and comments; whether two sources have the same ones
 * layout_line.c    one segment: spaces inside, where it is broken
 * layout.c         segments of a file, alignment of `=` and of comments, the text */
#ifndef ATTN_LANG_LAYOUT_PRIVATE_H
#define ATTN_LANG_LAYOUT_PRIVATE_H

#include "layout.h"
#include "syntax.h"

#include <assert.h>

/* A comment without the white space at its end. */
typedef struct LayoutComment {
    uint32_t from, n;
    uint32_t column : 31; /* as written, from 0 */
    uint32_t blank : 1;   /* an empty line in front of it */
} LayoutComment;

/* A token. The last item of a source is its end. */
typedef struct LayoutItem {
    uint32_t from, width;   /* in the source */
    uint32_t column;
    uint32_t comments, n;   /* those on lines of their own in front of it */
    uint32_t trailing;      /* number of the comment behind it + 1; 0: none */
    uint32_t partner;       /* of an opening bracket */
    uint16_t kind;
    uint8_t depth;          /* brackets around it */
    bool first : 1;         /* begins a line as written */
    bool blank : 1;         /* an empty line in front of it, behind its comments */
    bool ends : 1;          /* the newline behind it ends something */
    bool unary : 1;         /* a `-` without a left side */
    bool space : 1;         /* one in front of it, where it does not begin a line */
    bool broken : 1;        /* begins a line in the layout */
} LayoutItem;
static_assert(DEPTH_MAX < 256 && sizeof(LayoutItem) == 32, "a file has millions of them");

typedef struct LayoutSource {
    Compilation *c;
    uint32_t source;
    VEC(LayoutItem) items;
    VEC(LayoutComment) comments;
} LayoutSource;

typedef enum LayoutKind {
    LAYOUT_LIST,      /* filled line by line, whatever breaks were written */
    LAYOUT_EXPRESSION /* breaks as written where they are good ones and all fits */
} LayoutKind;

/* Items [from, to) that begin on a line of their own. */
typedef struct LayoutSegment {
    LayoutKind kind;
    uint32_t from, to;
    uint32_t base;   /* the item under which broken lines go on; `from`: two steps in */
    uint32_t indent;
    uint32_t assign; /* equations: the `=`; else 0 */
    uint32_t pad;    /* spaces in front of `assign` beyond one */
} LayoutSegment;

/* ---- layout_read.c ---- */
void layout_read(LayoutSource *s, Compilation *c, uint32_t source);
bool layout_same(const LayoutSource *a, const LayoutSource *b);

/* ---- layout_line.c ---- */
enum { LAYOUT_STEP = 4 };
void layout_space(LayoutSource *s, uint32_t item);   /* decides `space` */
bool layout_must_break(const LayoutSource *s, const LayoutSegment *g, uint32_t item); /* a comment wants it */
uint32_t layout_flat(const LayoutSource *s, uint32_t from, uint32_t to); /* columns on one line */
void layout_break(LayoutSource *s, const LayoutSegment *g);              /* decides `broken` of its items */
/* Where a broken line goes on: call for every item in turn, first with column = indent. */
typedef struct LayoutCursor { uint32_t column, base, depth, inner[DEPTH_MAX + 1]; } LayoutCursor;
LayoutCursor layout_cursor(const LayoutSegment *g);
/* Columns of white space in front of item k (from the left margin if it is broken); moves behind it. */
uint32_t layout_step(LayoutCursor *at, const LayoutSource *s, const LayoutSegment *g, uint32_t k);

#endif
