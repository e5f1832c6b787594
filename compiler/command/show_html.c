#include "compiler/command/show.h"
const char *show_html(Scene *s, Text *out) { (void)s; (void)out; return "not yet"; }
