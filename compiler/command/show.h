/* Private to attnc show: what is drawn, and one function a kind of drawing. */
#ifndef ATTN_COMMAND_SHOW_H
#define ATTN_COMMAND_SHOW_H

#include "compiler/command/case.h"
#include "compiler/show.h"

typedef struct Picture {
    const char *title; /* NULL: it is the only one */
    bool whole;        /* all rows and columns: of one head, flattened; else the keys of one query */
    ShowPanel panel;
} Picture;

typedef struct Scene {
    Compilation *c;
    const Options *o;
    Pipeline *p;
    Pattern *pattern;
    Plan *plan;
    Call call;
    InterpretArguments *arguments;
    ShowMapList maps;
    ShowMap *map;                /* of `maps` */
    int64_t at[HALVING_MOST];    /* of its variables: where ambient ones and the query stand */
    bool chosen[HALVING_MOST];   /* by an option */
    unsigned most_height, most_width; /* cells of a picture */
    VEC(Picture) pictures;
    const char *note;            /* what is not drawn, and why; or NULL */
    int64_t heads;               /* all of which were looked at: so many visible pairs; 0: not all */
    double visible_heads;
    double visible, points;      /* pairs of all heads, all batches; NAN: not known */
} Scene;

/* ---- show_scene.c: NULL, or what is wrong ---- */
const char *scene_make(Scene *s, const char *file); /* up to the map; s->map NULL: there is none */
const char *scene_draw(Scene *s);                   /* the pictures */
/* `j <= i`, or words for no mask at all. */
const char *scene_condition(const Scene *s, const ShowMap *map);

/* ---- one file each ---- */
bool show_in_colour(void);
unsigned show_columns(void); /* of the terminal */
void show_terminal(const Scene *s, bool colour, unsigned width, Text *out);
void show_json(const Scene *s, Text *out);
const char *show_png(const Scene *s, Text *out);
void show_svg(const Scene *s, Text *out);
const char *show_html(Scene *s, Text *out);

#endif
