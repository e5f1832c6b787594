/* Pictures of attnc show in a terminal: two cells a character, one above the other; shades where cells are
 * averages. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "compiler/command/show.h"

enum { GAP = 2, LEAST_COLUMNS = 20, MOST_COLUMNS = 400, LEVELS = 5 };

bool show_in_colour(void)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && !(terminal && !strcmp(terminal, "dumb"));
}

unsigned show_columns(void)
{
    const char *given = getenv("COLUMNS");
    struct winsize size;
    int64_t n = 80;
    if (!(given && pipeline_parse_int(given, &n)) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        n = size.ws_col;
    return (unsigned)(n < LEAST_COLUMNS ? LEAST_COLUMNS : n > MOST_COLUMNS ? MOST_COLUMNS : n);
}

/* ---- cells ---- */

static const char *shade(double above, double below)
{
    if (above == below && (above == 0 || above == 1)) return above == 0 ? " " : "█";
    if (above == 1 && below == 0) return "▀";
    if (above == 0 && below == 1) return "▄";
    double mean = (above + below) / 2;
    return mean < 0.375 ? "░" : mean < 0.7 ? "▒" : "▓";
}

/* Of the 256 colours: blue what the analysis decided, orange what was evaluated; -1: nothing is seen. */
static int colour(const ShowPanel *p, unsigned y, unsigned x)
{
    static const int decided[LEVELS] = {17, 18, 25, 32, 39}, evaluated[LEVELS] = {52, 94, 130, 172, 214};
    if (y >= p->height) return -1;
    double share = show_share(p, y, x);
    size_t cell = (size_t)y * p->width + x;
    int level = (int)ceil(share * (double)LEVELS) - 1;
    if (level < 0) return -1;
    return (p->full[cell] >= p->single[cell] ? decided : evaluated)[level < LEVELS ? level : LEVELS - 1];
}

static void add_colour(Text *out, int above, int below)
{
    if (above < 0 && below < 0) {
        text_add(out, "\033[0m ");
        return;
    }
    if (above < 0)
        text_add(out, "\033[0;38;5;%dm▄", below);
    else if (below < 0)
        text_add(out, "\033[0;38;5;%dm▀", above);
    else
        text_add(out, "\033[38;5;%d;48;5;%dm▀", above, below);
}

static void add_cells(Text *out, const ShowPanel *p, unsigned line, bool in_colour)
{
    unsigned y = 2 * line;
    for (unsigned x = 0; x < p->width; x++) {
        if (in_colour)
            add_colour(out, colour(p, y, x), colour(p, y + 1, x));
        else
            text_add(out, "%s", shade(show_share(p, y, x), y + 1 < p->height ? show_share(p, y + 1, x) : 0));
    }
    if (in_colour) text_add(out, "\033[0m");
}

/* ---- pictures side by side ---- */

static unsigned lines_of(const ShowPanel *p) { return (p->height + 1) / 2; }

static unsigned width_of(const Picture *picture)
{
    unsigned frame = picture->panel.width + 2;
    unsigned title = picture->title ? (unsigned)strlen(picture->title) : 0;
    return frame > title ? frame : title;
}

static void add_repeated(Text *out, const char *what, unsigned n)
{
    for (unsigned k = 0; k < n; k++) text_add(out, "%s", what);
}

/* Line -2: the title, -1: the upper edge. */
static void add_line(Text *out, const Picture *picture, int line, bool in_colour)
{
    const ShowPanel *p = &picture->panel;
    int lines = (int)lines_of(p);
    unsigned used = p->width + 2;
    if (line == -2) {
        const char *title = picture->title ? picture->title : "";
        text_add(out, "%s", title);
        used = (unsigned)strlen(title);
    } else if (line == -1 || line == lines) {
        text_add(out, line < 0 ? "┌" : "└");
        add_repeated(out, "─", p->width);
        text_add(out, line < 0 ? "┐" : "┘");
    } else if (line < lines) {
        text_add(out, "│");
        add_cells(out, p, (unsigned)line, in_colour);
        text_add(out, "│");
    } else
        used = 0;
    add_repeated(out, " ", width_of(picture) - used);
}

static void trim(Text *out)
{
    while (out->n && out->at[out->n - 1] == ' ') out->at[--out->n] = 0;
}

static void add_row(Text *out, const Picture *list, unsigned n, bool in_colour)
{
    int lines = 0;
    bool titled = false;
    for (unsigned k = 0; k < n; k++) {
        if ((int)lines_of(&list[k].panel) > lines) lines = (int)lines_of(&list[k].panel);
        titled = titled || list[k].title;
    }
    for (int line = titled ? -2 : -1; line <= lines; line++) {
        for (unsigned k = 0; k < n; k++) {
            if (k) add_repeated(out, " ", GAP);
            add_line(out, &list[k], line, in_colour);
        }
        trim(out);
        text_add(out, "\n");
    }
}

static void add_pictures(const Scene *s, bool in_colour, unsigned width, Text *out)
{
    for (uint32_t from = 0, to; from < s->pictures.n; from = to) {
        unsigned used = width_of(&s->pictures.at[from]);
        for (to = from + 1; to < s->pictures.n; to++) {
            used += GAP + width_of(&s->pictures.at[to]);
            if (used > width) break;
        }
        add_row(out, s->pictures.at + from, to - from, in_colour);
    }
}

/* ---- words ---- */

static void add_names(const Scene *s, Text *out, unsigned first, unsigned n)
{
    for (unsigned k = 0; k < n; k++) text_add(out, "%s%s", k ? ", " : "", s->map->variables[first + k]->name);
}

static void add_counts(const Picture *picture, Text *out)
{
    const ShowPanel *p = &picture->panel;
    double all = (double)p->rows * (double)p->columns;
    if (picture->title) text_add(out, "%s: ", picture->title);
    text_add(out, "%lld x %lld, %.0f visible", (long long)p->rows, (long long)p->columns, p->visible);
    if (all > 0) text_add(out, " (%.3g %%)", 100 * p->visible / all);
    if (picture->whole) text_add(out, ", rows with none: %.0f", p->empty_rows);
    text_add(out, "; boxes: %.0f empty, %.0f full, %.0f partial\n", p->boxes[HALVING_EMPTY],
             p->boxes[HALVING_FULL], p->boxes[HALVING_PARTIAL]);
}

static void add_head(const Scene *s, Text *out)
{
    const ShowMap *map = s->map;
    text_add(out, "%s, %s: rows ", s->pattern->name, map->name);
    if (map->n_rows)
        add_names(s, out, map->n_others, map->n_rows);
    else
        text_add(out, "(one)");
    text_add(out, ", columns ");
    add_names(s, out, map->n_others + map->n_rows, map->n_columns);
    text_add(out, "\n  %s\n  ", scene_condition(s, map));
    case_print(out, &s->call);
    for (unsigned k = 0; k < map->n_others; k++)
        if (!map->variables[k]->heads || s->chosen[k])
            text_add(out, "; at %s = %lld", map->variables[k]->name, (long long)s->at[k]);
    text_add(out, "\n");
}

static void add_others(const Scene *s, Text *out)
{
    if (s->maps.n < 2) return;
    text_add(out, "others (--stage):\n");
    for (uint32_t k = 0; k < s->maps.n; k++)
        if (&s->maps.at[k] != s->map)
            text_add(out, "  %s: %s\n", s->maps.at[k].name, scene_condition(s, &s->maps.at[k]));
}

void show_terminal(const Scene *s, bool in_colour, unsigned width, Text *out)
{
    add_head(s, out);
    add_pictures(s, in_colour, width, out);
    for (uint32_t k = 0; k < s->pictures.n; k++) add_counts(&s->pictures.at[k], out);
    if (s->note) text_add(out, "flattened: %s\n", s->note);
    if (isnan(s->visible))
        text_add(out, "all: pairs visible not known\n");
    else if (s->points > 0)
        text_add(out, "all: pairs visible %.0f of %.0f (%.3g %%)\n", s->visible, s->points,
                 100 * s->visible / s->points);
    add_others(s, out);
}
