/* See show.h: a condition as cells, counts and boxes. */
#include "show.h"

#include <math.h>
#include <string.h>

#include "tape.h"

static const double budget = 8e9; /* instructions for single points */
static const char unknown[] = "the mask depends on what is not known before the pattern runs";
enum { MOST_OUTLINES = 1 << 15, MOST_ROWS = 1 << 26 };

typedef struct Drawing {
    Compilation *c;
    Node *test; /* fixed coordinates put in */
    unsigned n_free;
    Index *free[HALVING_MOST]; /* the other variables */
    HalvingBox whole;
    unsigned n[3], axes[3][HALVING_MOST]; /* by ShowAxis: numbers of free variables, slowest first */
    double *changes;                      /* of the number of visible columns, from row to row */
    ShowPanel *panel;
} Drawing;

static int64_t extent_of(const Drawing *d, unsigned variable)
{
    return d->whole.hi[variable] - d->whole.lo[variable];
}

/* The flattened coordinate of a point along one axis. */
static int64_t flattened(const Drawing *d, ShowAxis axis, const int64_t *point)
{
    int64_t at = 0;
    for (unsigned k = 0; k < d->n[axis]; k++) {
        unsigned v = d->axes[axis][k];
        at = at * extent_of(d, v) + point[v];
    }
    return at;
}

/* How many of lo <= point < hi are in a cell. */
static int64_t overlap(unsigned cell, int64_t points, int64_t lo, int64_t hi)
{
    int64_t first = cell * points, last = first + points;
    return (last < hi ? last : hi) - (first > lo ? first : lo);
}

/* Rows [top, bottom) x columns [left, right) are visible. */
static void add_block(Drawing *d, int64_t top, int64_t bottom, int64_t left, int64_t right, double *cells)
{
    ShowPanel *p = d->panel;
    unsigned y = (unsigned)(top / p->points_y), x0 = (unsigned)(left / p->points_x);
    double wide = (double)(right - left);
    d->changes[top] += wide;
    d->changes[bottom] -= wide;
    p->visible += wide * (double)(bottom - top);
    for (; y * p->points_y < bottom; y++) {
        int64_t high = overlap(y, p->points_y, top, bottom);
        for (unsigned x = x0; x * p->points_x < right; x++)
            cells[(size_t)y * p->width + x] += (double)(high * overlap(x, p->points_x, left, right));
    }
}

/* The next point of the box with only the variables that `moves` says; false: it was the last. */
static bool next_point(const Drawing *d, const HalvingBox *box, const bool *moves, int64_t *point)
{
    for (unsigned k = d->n_free; k-- > 0;) {
        if (!moves[k]) continue;
        if (++point[k] < box->hi[k]) return true;
        point[k] = box->lo[k];
    }
    return false;
}

static int64_t length(const Drawing *d, const HalvingBox *box, ShowAxis axis)
{
    if (!d->n[axis]) return 1;
    unsigned v = d->axes[axis][d->n[axis] - 1];
    return box->hi[v] - box->lo[v];
}

/* The last variables of rows and columns make a block, all others are walked through. */
static void add_full(Drawing *d, const HalvingBox *box)
{
    int64_t point[HALVING_MOST], high = length(d, box, SHOW_ROWS), wide = length(d, box, SHOW_COLUMNS);
    bool moves[HALVING_MOST];
    for (unsigned k = 0; k < d->n_free; k++) {
        point[k] = box->lo[k];
        moves[k] = true;
    }
    for (unsigned axis = SHOW_ROWS; axis <= SHOW_COLUMNS; axis++)
        if (d->n[axis]) moves[d->axes[axis][d->n[axis] - 1]] = false;
    do {
        int64_t top = flattened(d, SHOW_ROWS, point), left = flattened(d, SHOW_COLUMNS, point);
        add_block(d, top, top + high, left, left + wide, d->panel->full);
    } while (next_point(d, box, moves, point));
}

/* Runs of visible points along the last variable. */
static void add_points(Drawing *d, const HalvingBox *box, const bool *holds)
{
    unsigned last = d->n_free - 1;
    int64_t point[HALVING_MOST], wide = box->hi[last] - box->lo[last];
    bool moves[HALVING_MOST];
    for (unsigned k = 0; k < d->n_free; k++) {
        point[k] = box->lo[k];
        moves[k] = k != last;
    }
    do {
        int64_t row = flattened(d, SHOW_ROWS, point), column = flattened(d, SHOW_COLUMNS, point);
        for (int64_t from = 0, to; from < wide; from = to + 1) {
            while (from < wide && !holds[from]) from++;
            for (to = from; to < wide && holds[to];) to++;
            if (to > from) add_block(d, row, row + 1, column + from, column + to, d->panel->single);
        }
        holds += wide;
    } while (next_point(d, box, moves, point));
}

static void add_outline(Drawing *d, const HalvingBox *box, HalvingClass class)
{
    ShowPanel *p = d->panel;
    if (class == HALVING_EMPTY || d->n[SHOW_ROWS] > 1 || d->n[SHOW_COLUMNS] > 1 ||
        p->outlines.n >= MOST_OUTLINES)
        return;
    int64_t top = flattened(d, SHOW_ROWS, box->lo), left = flattened(d, SHOW_COLUMNS, box->lo);
    PUSH(d->c, &p->outlines,
         (ShowBox){top, top + length(d, box, SHOW_ROWS), left, left + length(d, box, SHOW_COLUMNS), class});
}

static void visit(void *context, const HalvingBox *box, HalvingClass class, const bool *holds)
{
    Drawing *d = context;
    d->panel->boxes[class]++;
    add_outline(d, box, class);
    if (class == HALVING_FULL) add_full(d, box);
    if (class == HALVING_PARTIAL) add_points(d, box, holds);
}

/* ---- sizes ---- */

static const char *add_free(Drawing *d, Index *index, ShowAxis axis, const InterpretArguments *arguments)
{
    int64_t extent = tape_extent(d->c, index, arguments);
    int64_t *side = axis == SHOW_ROWS ? &d->panel->rows : &d->panel->columns;
    if (extent < 0) return format(d->c, "the extent of '%s' is not known", index->name);
    d->whole.hi[d->n_free] = extent;
    d->axes[axis][d->n[axis]++] = d->n_free;
    d->free[d->n_free++] = index;
    if (!__builtin_mul_overflow(*side, extent, side) && d->panel->rows <= MOST_ROWS) return NULL;
    return "the mask is too large to be drawn: smaller sizes (--size)";
}

static const char *make_axes(Drawing *d, const ShowMap *map, const ShowCut *cut,
                             const InterpretArguments *arguments)
{
    Index *from[HALVING_MOST];
    Node *to[HALVING_MOST];
    unsigned fixed = 0;
    const char *wrong = NULL;
    d->panel->rows = d->panel->columns = 1;
    for (unsigned k = 0; k < map->n && !wrong; k++) {
        if (cut->axis[k] == SHOW_FIXED) {
            from[fixed] = map->variables[k];
            to[fixed++] = node_int(d->c, cut->at[k]);
        } else
            wrong = add_free(d, map->variables[k], cut->axis[k], arguments);
    }
    if (wrong) return wrong;
    if (!node_substitutable(d->c, map->test, fixed, from, to)) return unknown;
    d->test = node_substitute(d->c, map->test, fixed, from, to);
    return NULL;
}

static int64_t points_for(int64_t n, int64_t most) { return n > most ? (n + most - 1) / most : 1; }

/* One scale for both sides unless that would make a side very short. */
static void make_cells(Drawing *d, unsigned most_height, unsigned most_width)
{
    enum { SHORT = 16 };
    ShowPanel *p = d->panel;
    int64_t y = points_for(p->rows, most_height), x = points_for(p->columns, most_width),
            both = y > x ? y : x;
    p->points_y = p->rows < SHORT * both ? y : both;
    p->points_x = p->columns < SHORT * both ? x : both;
    p->height = (unsigned)((p->rows + p->points_y - 1) / p->points_y);
    p->width = (unsigned)((p->columns + p->points_x - 1) / p->points_x);
    p->full = NEW_ARRAY(d->c, double, (size_t)p->height * p->width + 1);
    p->single = NEW_ARRAY(d->c, double, (size_t)p->height * p->width + 1);
    d->changes = NEW_ARRAY(d->c, double, (size_t)p->rows + 2);
}

static void count_empty_rows(Drawing *d)
{
    double visible = 0;
    for (int64_t row = 0; row < d->panel->rows; row++) {
        visible += d->changes[row];
        d->panel->empty_rows += visible == 0;
    }
}

const char *show_panel(Compilation *c, const ShowMap *map, const InterpretArguments *arguments,
                       const ShowCut *cut, unsigned most_height, unsigned most_width, ShowPanel *panel)
{
    *panel = (ShowPanel){0};
    Drawing d = {.c = c, .panel = panel};
    const char *wrong = make_axes(&d, map, cut, arguments);
    if (wrong) return wrong;
    make_cells(&d, most_height, most_width);
    Halving *h = halving_new(c, d.test, d.n_free, d.free, arguments);
    if (!h) return unknown;
    double points = halving_volume(h, &d.whole), leaf = fmax(16, fmin(HALVING_LEAF, points / 1024));
    HalvingOptions options = {leaf, budget, visit, &d};
    if (points > 0 && !halving_run(h, &d.whole, &options, &panel->identity))
        return "the mask is too large to be drawn: smaller sizes (--size)";
    count_empty_rows(&d);
    return NULL;
}

double show_area(const ShowPanel *p, unsigned y, unsigned x)
{
    return (double)(overlap(y, p->points_y, 0, p->rows) * overlap(x, p->points_x, 0, p->columns));
}

double show_share(const ShowPanel *p, unsigned y, unsigned x)
{
    size_t cell = (size_t)y * p->width + x;
    return (p->full[cell] + p->single[cell]) / show_area(p, y, x);
}
