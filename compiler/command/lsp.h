/* Private to attnc lsp, a language server (protocol 3.17) over stdin and stdout.
 *
 *   lsp.c            the loop: messages in, requests to their answers, the life of the server
 *   lsp_frame.c      Content-Length framing
 *   lsp_document.c   open texts, positions in UTF-16, diagnostics
 *   lsp_names.c      what names mean: definitions and where they are used
 *   lsp_hover.c, lsp_complete.c, lsp_symbols.c, lsp_edit.c   answers
 *
 * Texts live in malloc, everything about them in a Compilation that lasts for one answer. */
#ifndef ATTN_COMMAND_LSP_H
#define ATTN_COMMAND_LSP_H

#include <jansson.h>

#include "compiler/command/command.h"

/* ---- lsp_frame.c ---- */
typedef struct LspReader {
    int fd;
    char *at;
    size_t from, to, capacity; /* bytes that were read and not yet used */
    char *body;
} LspReader;
typedef enum LspFrame { LSP_FRAME, LSP_MALFORMED, LSP_ENDED } LspFrame;
/* The next message: r->body, `length` bytes, until the next call. After LSP_MALFORMED one may go on reading. */
LspFrame lsp_read(LspReader *r, size_t *length, const char **wrong);
bool lsp_waiting(const LspReader *r); /* is there more to read? */
void lsp_reader_free(LspReader *r);
bool lsp_write(const json_t *message); /* false: nobody reads */

/* A JSON string; bytes that are not UTF-8 become U+FFFD. */
json_t *lsp_string(const char *text);

/* ---- lsp_document.c ---- */
typedef struct LspDocument {
    char *uri, *path, *text; /* path: of the file, or the uri of what is none */
    size_t length;
    json_int_t version;
    bool dirty;              /* its diagnostics are old */
    bool slow;               /* performance took long: it is told when the text is opened or saved alone */
    bool saved;              /* that happened since diagnostics were made */
} LspDocument;
typedef struct LspServer {
    const Options *options;
    LspReader reader;
    LspDocument **documents;
    size_t n;
    bool initialized, shut_down, ended, lost; /* lost: nobody reads what we write */
} LspServer;

LspDocument *lsp_document(const LspServer *s, const char *uri); /* NULL: it is not open */
/* False: no memory. */
bool lsp_open(LspServer *s, const char *uri, const char *text, size_t length, json_int_t version);
bool lsp_change(LspServer *s, LspDocument *d, const char *text, size_t length, json_int_t version);
void lsp_close(LspServer *s, LspDocument *d);
json_t *lsp_publish(LspServer *s, LspDocument *d); /* params of publishDiagnostics */

typedef struct LspPlace { uint32_t start, offset; json_int_t character; } LspPlace;
/* A text under analysis. */
typedef struct LspText {
    Compilation *c;
    const LspDocument *document;
    PipelineOptions options;
    Pipeline pipeline;
    uint32_t source;
    uint32_t *lines, n_lines; /* where lines begin */
    const char *error;        /* why there is no answer */
    LspPlace *last;           /* the position that was asked for last: one finds its neighbours fast */
} LspText;
void lsp_text(LspText *t, const LspServer *s, const LspDocument *d, Compilation *c);
uint32_t lsp_offset(const LspText *t, const json_t *position); /* the end of the line or text if it is beyond */
json_t *lsp_range(const LspText *t, Span span);
json_t *lsp_location(const LspText *t, Span span);

/* ---- lsp_names.c ---- */
typedef enum LspKind {
#define LSP_KIND(name, text, symbol, completion) LSP_##name,
#include "lsp_kind_list.h"
#undef LSP_KIND
    LSP_KINDS
} LspKind;
typedef struct LspScope LspScope;
/* What a name means. */
typedef struct LspName {
    LspKind kind;
    const char *name, *doc;
    Span span;                     /* where it is defined */
    const AstPattern *pattern;     /* in which, or which one it is */
    const AstFunction *function;
    const AstTensor *tensor;       /* as declared in the signature */
    const AstParam *param;
    const AstStatement *statement; /* its equation or declaration */
    LspScope *scope;               /* of a function, mask or pattern */
} LspName;
typedef struct LspUse { Span span; const LspName *name; } LspUse;
struct LspScope {
    Span span;
    const AstPattern *pattern; /* NULL: of a function */
    VEC(LspName *) names;
    LspName **table;           /* the same, hashed; capacity: a power of two */
    uint32_t capacity;
};
typedef struct LspFile { Span span; uint32_t source; bool found; } LspFile; /* of one `use` */
typedef struct LspNames {
    Compilation *c;
    const AstFile *file;
    VEC(LspFile) files;
    LspScope globals;
    VEC(LspScope *) scopes; /* those of other files, too */
    VEC(LspUse) uses;       /* in the text itself; definitions as well */
} LspNames;
const char *lsp_kind_text(LspKind kind);
LspNames *lsp_names(LspText *t);
const LspName *lsp_name_at(const LspNames *n, uint32_t offset, Span *span); /* NULL: none */
LspScope *lsp_scope_at(const LspNames *n, uint32_t offset);
LspName *lsp_find(const LspScope *s, const char *name);
/* Name of the function or symbol of the language at an offset, its span; NULL: none. */
const char *lsp_word_at(const LspText *t, uint32_t offset, Span *span);

/* ---- Answers: the result of a request (a new reference), NULL for `null`. ---- */
typedef json_t *LspAnswer(LspText *t, const json_t *params);
LspAnswer lsp_hover, lsp_definition, lsp_references, lsp_highlight, lsp_complete, lsp_symbols, lsp_format,
    lsp_actions, lsp_rename;

#endif
