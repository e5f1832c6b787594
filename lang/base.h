/* Base of the compiler: one Compilation is threaded first through every pass. It owns an arena (everything is freed
 * at once), the source texts and the diagnostics. Running out of memory and BUG() leave the pass by a long jump to
 * the entry point that armed `escape`; nothing is printed and the process is never ended. */
#ifndef ATTN_LANG_BASE_H
#define ATTN_LANG_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Span { uint32_t source, from, to; } Span; /* bytes [from, to) of source number `source` */

typedef struct Source {
    const char *path;
    const char *text; /* ends with a zero byte that is not counted */
    uint32_t length;
    bool known;           /* `file` is set: */
    uint64_t file[2];     /* device and number of the file, or zeros */
    bool too_large; /* more than SOURCE_MAX bytes: not kept, ast_parse reports it */
    uint32_t *lines;  /* [k]: line breaks before byte k * SOURCE_STRIDE */
    uint32_t *starts; /* [k]: where the line of that byte begins */
} Source;
enum { SOURCE_MAX = 16 << 20, SOURCE_STRIDE = 4096 };

#define VEC(T) struct { T *at; uint32_t n, capacity; }
#define PUSH(c, vec, ...) \
    ((vec)->at = vec_reserve((c), (vec)->at, sizeof *(vec)->at, (vec)->n, &(vec)->capacity), \
     (vec)->at[(vec)->n++] = (__VA_ARGS__))

typedef enum DiagCode {
#define DIAG(code, severity, summary, mend) code,
#include "diag_list.h"
#undef DIAG
    DIAG_CODES
} DiagCode;
typedef enum Severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_PERFORMANCE } Severity;
typedef struct DiagNote { Span span; const char *text; bool hint; } DiagNote; /* span.to == 0: no place */
typedef struct Diag {
    DiagCode code;
    Severity severity;
    Span span;
    const char *text;
    VEC(DiagNote) notes;
} Diag;

typedef struct ArenaBlock ArenaBlock;
typedef struct InternTable InternTable;
typedef struct Compilation Compilation;
struct Compilation {
    ArenaBlock *blocks;
    Compilation *parent, *children, *sibling; /* compilation_adopt */
    size_t bytes;            /* of the blocks */
    size_t allocations, fail_at; /* fail_at > 0: that allocation fails (tests inject it) */
    InternTable *names;
    VEC(Source) sources;
    VEC(Diag *) diags;
    struct DiagSet *told;    /* what is in them, by code and place */
    Diag left_out;           /* stands for those that are not kept */
    unsigned errors;         /* with those left out */
    jmp_buf escape;          /* armed by entry points: if (setjmp(c->escape)) { c->fatal says why } */
    const char *fatal;       /* out of memory, or an internal error with file and line */
    bool exhausted;          /* it is lack of memory */
    char fatal_text[256];
    void *nodes;             /* hash-consing table of lang/node.c */
    void *prover;            /* scratch of lang/prove*.c, made on first use */
    uint32_t next_node, next_index, next_tensor;
    bool wrapped;            /* folding of constants has left 64 bits (lang/node_fold.c) */
};

void compilation_init(Compilation *c);
void compilation_free(Compilation *c);
/* `child`, which lies in the arena of c, is freed with it if it was not before: when a pass is left by the long jump. */
void compilation_adopt(Compilation *c, Compilation *child);
_Noreturn void compilation_no_memory(Compilation *c); /* where another allocation than the arena's has failed */
/* Adds a source; the text is copied. Returns its number. */
uint32_t compilation_add_source(Compilation *c, const char *path, const char *text, size_t length);
/* The same; `text` is of malloc, and freed in any case. */
uint32_t compilation_take_source(Compilation *c, const char *path, char *text, size_t length);

void *arena_alloc(Compilation *c, size_t bytes); /* zeroed, aligned to 16; never NULL */
void *vec_reserve(Compilation *c, void *at, size_t size, uint32_t n, uint32_t *capacity);
#define NEW(c, T) ((T *)arena_alloc((c), sizeof(T)))
#define NEW_ARRAY(c, T, n) ((T *)arena_alloc((c), sizeof(T) * (size_t)(n)))
const char *intern(Compilation *c, const char *text, size_t length); /* equal names have equal pointers */
char *format(Compilation *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *format_v(Compilation *c, const char *fmt, va_list args);

/* Text that grows (dumps, messages). */
typedef struct Text { Compilation *c; char *at; size_t n, capacity; } Text;
void text_add(Text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_v(Text *t, const char *fmt, va_list args);
void text_add_bytes(Text *t, const char *bytes, size_t n); /* `at` ends with an uncounted zero byte */

/* Diagnostics. One mistake, one message; notes and hints hang on it. Texts do not repeat the code or the severity.
 * Beyond DIAGS_MAX they are counted and no longer kept: what is returned takes notes and forgets them. */
enum { DIAGS_MAX = 1000 };
Diag *diag(Compilation *c, DiagCode code, Span span, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
Diag *diag_v(Compilation *c, DiagCode code, Span span, const char *fmt, va_list args);
void diag_note(Compilation *c, Diag *d, Span span, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void diag_hint(Compilation *c, Diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool diag_told(const Compilation *c, DiagCode code, Span span); /* is there one of this code and place? */
/* For people; `path:line:col: error[E012]: text`; one JSON object a line. */
typedef enum DiagFormat { DIAG_CARETS, DIAG_LINES, DIAG_JSON } DiagFormat;
const char *diag_render(Compilation *c, DiagFormat format); /* all of them, in the order of their places */
/* c->diags.n of them, in the order of their places; those without a hint get that of their code. */
const Diag **diag_sorted(Compilation *c);
const char *diag_code_name(DiagCode code); /* "E012" */
const char *diag_severity_name(Severity severity); /* "error" */
void diag_add_json(Text *out, const Compilation *c, const Diag *d); /* an object; d of diag_sorted */
void text_add_json(Text *out, const char *text); /* a string of JSON; what is not UTF-8 becomes U+FFFD */
unsigned utf8_decode(const char *at, size_t left, uint32_t *code); /* bytes of the character at `at`, 0: invalid */
void span_position(const Compilation *c, Span span, unsigned *line, unsigned *column); /* both from 1, bytes */
static inline Span span_join(Span a, Span b) { return (Span){a.source, a.from, b.to}; }

#define BUG(c, ...) compilation_bug((c), __FILE__, __LINE__, __VA_ARGS__)
_Noreturn void compilation_bug(Compilation *c, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
