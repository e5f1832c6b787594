/* The canonical layout of a .attn file (`attnc fmt`; docs/command.md describes it). */
#ifndef ATTN_LANG_LAYOUT_H
#define ATTN_LANG_LAYOUT_H

#include "base.h"

enum { LAYOUT_COLUMNS = 110 /* of code; comments may stand further right */ };

/* Appends source number `source` in its canonical layout. Tokens and comments are those of the source, in the same
 * order (verified; anything else is a BUG): only white space changes. A second time changes nothing. False: errors,
 * in c->diags; *out is then left alone. */
bool layout_source(Compilation *c, uint32_t source, Text *out);

#endif
