/* Pictures of attnc show side by side in a .png or .svg file. Blue: in boxes that the analysis calls full.
 * Orange: found one by one. Lines are the edges of boxes that are not empty. */
#include <math.h>
#include <png.h>
#include <string.h>

#include "compiler/command/show.h"

enum { ZOOMED = 512, MOST_ZOOM = 16, LINES_FROM = 4, MARGIN = 12, TITLE = 16, LEVELS = 8, GREY = 150 };

static const unsigned char blue[3] = {31, 90, 180}, orange[3] = {235, 125, 20};

/* Pixels of a cell: small masks are enlarged. */
static unsigned zoom_of(const Scene *s)
{
    unsigned side = 1;
    for (uint32_t k = 0; k < s->pictures.n; k++) {
        const ShowPanel *p = &s->pictures.at[k].panel;
        if (p->width > side) side = p->width;
        if (p->height > side) side = p->height;
    }
    return side >= ZOOMED ? 1 : ZOOMED / side < MOST_ZOOM ? ZOOMED / side : MOST_ZOOM;
}

/* Of all pictures in a row, in pixels. */
static unsigned whole_width(const Scene *s, unsigned zoom)
{
    unsigned width = MARGIN;
    for (uint32_t k = 0; k < s->pictures.n; k++) width += s->pictures.at[k].panel.width * zoom + MARGIN;
    return width;
}

static unsigned whole_height(const Scene *s, unsigned zoom)
{
    unsigned height = 0;
    for (uint32_t k = 0; k < s->pictures.n; k++)
        if (s->pictures.at[k].panel.height > height) height = s->pictures.at[k].panel.height;
    return height * zoom + 2 * MARGIN;
}

static bool has_lines(const ShowPanel *p, unsigned zoom)
{
    return zoom >= LINES_FROM && p->points_y == 1 && p->points_x == 1;
}

/* ---- png ---- */

typedef struct Pixels {
    unsigned width, height;
    unsigned char *at;
} Pixels;

static void fill(Pixels *pixels, unsigned y, unsigned x, unsigned height, unsigned width,
                 const unsigned char rgb[3])
{
    for (unsigned row = y; row < y + height && row < pixels->height; row++)
        for (unsigned column = x; column < x + width && column < pixels->width; column++)
            memcpy(pixels->at + 3 * ((size_t)row * pixels->width + column), rgb, 3);
}

/* White where nothing is seen. */
static void cell_rgb(const ShowPanel *p, unsigned y, unsigned x, unsigned char rgb[3])
{
    size_t cell = (size_t)y * p->width + x;
    double area = show_area(p, y, x), full = p->full[cell] / area, single = p->single[cell] / area;
    for (unsigned k = 0; k < 3; k++)
        rgb[k] = (unsigned char)lround(255 * (1 - full - single) + blue[k] * full + orange[k] * single);
}

static void frame(Pixels *pixels, unsigned y, unsigned x, unsigned height, unsigned width)
{
    static const unsigned char grey[3] = {GREY, GREY, GREY};
    fill(pixels, y, x, 1, width + 1, grey);
    fill(pixels, y + height, x, 1, width + 1, grey);
    fill(pixels, y, x, height + 1, 1, grey);
    fill(pixels, y, x + width, height + 1, 1, grey);
}

static void add_panel(Pixels *pixels, const ShowPanel *p, unsigned left, unsigned zoom)
{
    unsigned char rgb[3];
    for (unsigned y = 0; y < p->height; y++)
        for (unsigned x = 0; x < p->width; x++) {
            cell_rgb(p, y, x, rgb);
            fill(pixels, MARGIN + y * zoom, left + x * zoom, zoom, zoom, rgb);
        }
    for (uint32_t k = 0; has_lines(p, zoom) && k < p->outlines.n; k++) {
        const ShowBox *box = &p->outlines.at[k];
        frame(pixels, MARGIN + (unsigned)box->top * zoom, left + (unsigned)box->left * zoom,
              (unsigned)(box->bottom - box->top) * zoom, (unsigned)(box->right - box->left) * zoom);
    }
    frame(pixels, MARGIN - 1, left - 1, p->height * zoom + 1, p->width * zoom + 1);
}

const char *show_png(const Scene *s, Text *out)
{
    unsigned zoom = zoom_of(s), left = MARGIN;
    Pixels pixels = {whole_width(s, zoom), whole_height(s, zoom), NULL};
    size_t n = (size_t)3 * pixels.width * pixels.height;
    pixels.at = arena_alloc(s->c, n);
    memset(pixels.at, 255, n);
    for (uint32_t k = 0; k < s->pictures.n; k++) {
        const ShowPanel *p = &s->pictures.at[k].panel;
        add_panel(&pixels, p, left, zoom);
        left += p->width * zoom + MARGIN;
    }
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = pixels.width,
                       .height = pixels.height,
                       .format = PNG_FORMAT_RGB};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    char *file = arena_alloc(s->c, bytes);
    if (!png_image_write_to_memory(&image, file, &bytes, 0, pixels.at, 0, NULL))
        return format(s->c, "no image could be made: %s", image.message);
    text_add_bytes(out, file, bytes);
    return NULL;
}

/* ---- svg ---- */

/* 0: nothing is seen; 1 to LEVELS: mostly decided by the analysis; above: mostly found one by one. */
static unsigned level_of(const ShowPanel *p, unsigned y, unsigned x)
{
    size_t cell = (size_t)y * p->width + x;
    unsigned level = (unsigned)ceil(show_share(p, y, x) * (double)LEVELS);
    return level && p->single[cell] > p->full[cell] ? level + LEVELS : level;
}

/* Runs of cells of one level, as one path. */
static void add_level(const ShowPanel *p, unsigned level, Text *out)
{
    bool any = false;
    for (unsigned y = 0; y < p->height; y++)
        for (unsigned x = 0, to; x < p->width; x = to) {
            for (to = x + 1; to < p->width && level_of(p, y, to) == level_of(p, y, x);) to++;
            if (level_of(p, y, x) != level) continue;
            const unsigned char *rgb = level > LEVELS ? orange : blue;
            if (!any)
                text_add(out, "<path fill=\"#%02x%02x%02x\" fill-opacity=\"%g\" d=\"", rgb[0], rgb[1], rgb[2],
                         (level > LEVELS ? level - LEVELS : level) / (double)LEVELS);
            any = true;
            text_add(out, "M%u %uh%uv1h-%uz", x, y, to - x, to - x);
        }
    if (any) text_add(out, "\"/>\n");
}

static void add_lines(const ShowPanel *p, HalvingClass class, const char *stroke, double width, Text *out)
{
    text_add(out, "<path class=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" d=\"",
             class == HALVING_FULL ? "full" : "partial", stroke, width);
    for (uint32_t k = 0; k < p->outlines.n; k++) {
        const ShowBox *box = &p->outlines.at[k];
        double wide = (double)(box->right - box->left) / (double)p->points_x;
        if (box->class == class)
            text_add(out, "M%g %gh%gv%gh%gz", (double)box->left / (double)p->points_x,
                     (double)box->top / (double)p->points_y, wide,
                     (double)(box->bottom - box->top) / (double)p->points_y, -wide);
    }
    text_add(out, "\"/>\n");
}

static void add_text(Text *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            text_add(out, "&lt;");
        else if (*text == '>')
            text_add(out, "&gt;");
        else if (*text == '&')
            text_add(out, "&amp;");
        else
            text_add(out, "%c", *text);
    }
}

static void add_picture(const Picture *picture, unsigned left, unsigned zoom, Text *out)
{
    const ShowPanel *p = &picture->panel;
    text_add(out, "<g transform=\"translate(%u %u)\">\n<text x=\"0\" y=\"-5\">", left, MARGIN + TITLE);
    add_text(out, picture->title ? picture->title : "");
    text_add(out, "</text>\n<g transform=\"scale(%u)\">\n", zoom);
    text_add(out, "<rect width=\"%u\" height=\"%u\" fill=\"white\" stroke=\"#999\" stroke-width=\"%g\"/>\n",
             p->width, p->height, 1.0 / zoom);
    for (unsigned level = 1; level <= 2 * LEVELS; level++) add_level(p, level, out);
    add_lines(p, HALVING_FULL, "#0b2a5c", 0.5 / zoom, out);
    add_lines(p, HALVING_PARTIAL, "#8a4300", 0.5 / zoom, out);
    text_add(out, "</g>\n</g>\n");
}

void show_svg(const Scene *s, Text *out)
{
    unsigned zoom = zoom_of(s), left = MARGIN, width = whole_width(s, zoom),
             height = whole_height(s, zoom) + TITLE;
    text_add(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
             "font-family=\"sans-serif\" font-size=\"11\">\n<title>",
             width, height);
    add_text(out, format(s->c, "%s, %s: ", s->pattern->name, s->map->name));
    add_text(out, scene_condition(s, s->map));
    text_add(out, "</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
    for (uint32_t k = 0; k < s->pictures.n; k++) {
        add_picture(&s->pictures.at[k], left, zoom, out);
        left += s->pictures.at[k].panel.width * zoom + MARGIN;
    }
    text_add(out, "</svg>\n");
}
