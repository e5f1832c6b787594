/* attnc show: pictures of what a pattern's mask lets through, with counts. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/command/show.h"

enum { IMAGE_CELLS = 1024, SVG_CELLS = 384 };

typedef enum Kind { TERMINAL, JSON, PNG, SVG, HTML } Kind;

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* What -o, --html and --json ask for. NULL, or what is wrong with them. */
static const char *kind_of(const Options *o, Kind *kind)
{
    unsigned asked = o->outputs.n + (o->html != NULL) + o->json;
    if (asked > 1) return "one of -o, --html and --json, once";
    *kind = o->json ? JSON : o->html ? HTML : TERMINAL;
    if (!o->outputs.n) return NULL;
    const char *path = o->outputs.at[0];
    *kind = ends_with(path, ".png") ? PNG : SVG;
    if (*kind == SVG && !ends_with(path, ".svg"))
        return format(o->c, "-o %s: the suffix must be .png or .svg", path);
    return NULL;
}

static const char *make(Scene *s, Kind kind, Text *out)
{
    unsigned width = show_columns();
    s->most_width = kind == PNG ? IMAGE_CELLS : kind == SVG ? SVG_CELLS : width - 2;
    s->most_height = s->most_width;
    const char *wrong = scene_draw(s);
    if (wrong) return wrong;
    switch (kind) {
    case TERMINAL: show_terminal(s, show_in_colour(), width, out); return NULL;
    case JSON: show_json(s, out); return NULL;
    case PNG: return show_png(s, out);
    case SVG: show_svg(s, out); return NULL;
    case HTML: return show_html(s, out);
    }
    return NULL;
}

/* Nothing to draw is fine unless a file is wanted. */
static int without_mask(const Scene *s, Kind kind)
{
    const char *words = format(s->c, "pattern '%s' has no sum over keys, so no mask", s->pattern->name);
    if (kind != TERMINAL && kind != JSON) return complain("%s", words);
    Text out = {.c = s->c};
    if (kind == JSON) {
        text_add(&out, "{\"pattern\": ");
        text_add_json(&out, s->pattern->name);
        text_add(&out, ", \"map\": null}");
    } else
        text_add(&out, "%s", words);
    puts(out.at);
    return EXIT_FINE;
}

int command_show(Compilation *c, const Options *o, const char *file)
{
    PipelineOptions options = pipeline_options(o, file);
    if (o->html) options.n_definitions = 0; /* parameters stay parameters: the page moves them */
    Pipeline p;
    Kind kind;
    const char *wrong = kind_of(o, &kind);
    if (wrong) return complain("%s", wrong), EXIT_USAGE;
    pipeline_init(&p, c, &options);
    if (!pipeline_check(&p)) return pipeline_report(&p, o);
    Scene *s = NEW(c, Scene);
    *s = (Scene){.c = c, .o = o, .p = &p};
    Text out = {.c = c};
    wrong = scene_make(s, file);
    if (!wrong && !s->map) return without_mask(s, kind);
    if (!wrong) wrong = make(s, kind, &out);
    if (!wrong) wrong = write_text(c, o->html ? o->html : o->outputs.n ? o->outputs.at[0] : NULL, &out);
    if (wrong) return complain("%s", wrong);
    return pipeline_report(&p, o);
}

/* ---- JSON ---- */

static void json_picture(const Picture *picture, Text *out)
{
    const ShowPanel *p = &picture->panel;
    text_add(out, "\n  {\"title\": ");
    text_add_json(out, picture->title ? picture->title : "");
    text_add(out, ", \"whole\": %s, ", picture->whole ? "true" : "false");
    add_json_number(out, "rows", (double)p->rows);
    text_add(out, ", ");
    add_json_number(out, "columns", (double)p->columns);
    text_add(out, ", ");
    add_json_number(out, "visible_pairs", p->visible);
    text_add(out, ", ");
    add_json_number(out, "empty_rows", p->empty_rows);
    text_add(out, ", \"boxes\": {");
    add_json_number(out, "empty", p->boxes[HALVING_EMPTY]);
    text_add(out, ", ");
    add_json_number(out, "full", p->boxes[HALVING_FULL]);
    text_add(out, ", ");
    add_json_number(out, "partial", p->boxes[HALVING_PARTIAL]);
    text_add(out, "}}");
}

void show_json(const Scene *s, Text *out)
{
    text_add(out, "{\"pattern\": ");
    text_add_json(out, s->pattern->name);
    text_add(out, ", \"map\": ");
    text_add_json(out, s->map->name);
    text_add(out, ", \"masked\": %s, \"condition\": ", show_is_masked(s->map) ? "true" : "false");
    text_add_json(out, scene_condition(s, s->map));
    text_add(out, ",\n \"sizes\": {");
    case_json_sizes(out, &s->call);
    text_add(out, "}, \"parameters\": {");
    case_json_params(out, &s->call);
    text_add(out, "},\n \"maps\": [");
    for (uint32_t k = 0; k < s->maps.n; k++) {
        text_add(out, "%s", k ? ", " : "");
        text_add_json(out, s->maps.at[k].name);
    }
    text_add(out, "],\n ");
    add_json_number(out, "visible_pairs", s->visible);
    text_add(out, ", ");
    add_json_number(out, "pairs", s->points);
    text_add(out, ",\n \"pictures\": [");
    for (uint32_t k = 0; k < s->pictures.n; k++) {
        text_add(out, "%s", k ? "," : "");
        json_picture(&s->pictures.at[k], out);
    }
    text_add(out, "]}\n");
}
