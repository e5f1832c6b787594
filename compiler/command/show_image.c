/* Pictures of attnc show as .png and .svg files. */
#include "compiler/command/show.h"

const char *show_png(const Scene *s, Text *out) { (void)s; (void)out; return "not yet"; }
void show_svg(const Scene *s, Text *out) { (void)s; (void)out; }
const char *show_html(Scene *s, Text *out) { (void)s; (void)out; return "not yet"; }
