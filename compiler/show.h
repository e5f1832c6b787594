/* Masks as pictures: what the conditions of pairwise stages let through, as data to draw. Boxes of pairs are
 * decided by box.h where it can (halving.h), so a large mask costs about as much as its border. */
#ifndef ATTN_COMPILER_SHOW_H
#define ATTN_COMPILER_SHOW_H

#include "halving.h"
#include "streams.h"

/* One sum over keys. Its variables: ambient indices that the condition is about, then the positions of the
 * query (rows), then those of the key (columns). */
typedef struct ShowMap {
    const char *name; /* of the tensor that its stage makes; of several sums in a stage: `o.1`, `o.2` */
    const Stage *stage;
    Stream stream;
    Node *condition; /* as people read it */
    Node *test;      /* over the variables, sizes, parameters and tensors with data; see show_prepare */
    unsigned n, n_others, n_rows, n_columns;
    Index *variables[HALVING_MOST];
} ShowMap;
typedef VEC(ShowMap) ShowMapList;

void show_maps(Compilation *c, const Plan *plan, ShowMapList *list);
bool show_is_masked(const ShowMap *map); /* false: every query sees every key */

/* Does the condition need numbers of float tensors, through equations or itself? */
bool show_needs_numbers(Compilation *c, const Plan *plan, const ShowMap *map);
/* Makes `test` of tensors with data alone: equations of conditions are put in, others (selections) evaluated
 * by the interpreter, at most `limit` operations; their data is added to the arguments. A test with sums of
 * its own is evaluated at all pairs. NULL, or what is wrong. */
const char *show_prepare(Compilation *c, const Plan *plan, ShowMap *map, InterpretArguments *arguments,
                         uint64_t limit);

/* top <= row < bottom */
typedef struct ShowBox { int64_t top, bottom, left, right; HalvingClass class; } ShowBox;

/* A picture of rows x columns points, scaled down by area to height x width cells. */
typedef struct ShowPanel {
    int64_t rows, columns;
    unsigned height, width;
    int64_t points_y, points_x; /* rows, columns in a cell; the last may hold fewer */
    double *full, *single;      /* by cell: points in boxes that the analysis calls full; found one by one */
    double visible, empty_rows;
    double boxes[3];            /* by HalvingClass */
    VEC(ShowBox) outlines;      /* of boxes that are not empty; none where rows or columns are flattened */
    uint64_t identity;          /* equal pictures of equal shape have equal ones */
} ShowPanel;

/* What a panel shows of a map: for every variable a fixed coordinate, or whether it runs along rows or
 * columns. */
typedef enum ShowAxis { SHOW_FIXED, SHOW_ROWS, SHOW_COLUMNS } ShowAxis;
typedef struct ShowCut {
    ShowAxis axis[HALVING_MOST];
    int64_t at[HALVING_MOST]; /* FIXED */
} ShowCut;

/* NULL, or why it cannot be drawn. */
const char *show_panel(Compilation *c, const ShowMap *map, const InterpretArguments *arguments,
                       const ShowCut *cut, unsigned most_height, unsigned most_width, ShowPanel *panel);
/* Points of cell (y, x), and the share of them that is visible. */
double show_area(const ShowPanel *panel, unsigned y, unsigned x);
double show_share(const ShowPanel *panel, unsigned y, unsigned x);

#endif
