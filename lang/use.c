/* Files: parsing, `use`, and the name space of functions, masks and patterns. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *read_file(const char *path, size_t *length)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = NULL;
    size_t n = 0, capacity = 0;
    for (;;) {
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 8192;
            char *grown = realloc(text, capacity);
            if (!grown) break;
            text = grown;
        }
        size_t got = fread(text + n, 1, capacity - n, f);
        if (!got) {
            bool good = !ferror(f);
            fclose(f);
            if (good) return *length = n, text;
            free(text);
            return NULL;
        }
        n += got;
    }
    fclose(f);
    free(text);
    return NULL;
}

/* ---- finding ---- */

static const char *beside(Compilation *c, const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return slash ? format(c, "%.*s/%s", (int)(slash - path), path, name) : name;
}

/* The same file may be found by several names: `./x`, a link to it. */
static const uint64_t *file_of(Source *s)
{
    struct stat info;
    if (!s->known && !stat(s->path, &info)) s->file[0] = info.st_dev, s->file[1] = info.st_ino;
    s->known = true;
    return s->file;
}

static bool find_other_name(Compilation *c, const char *path, uint32_t *source)
{
    Source one = {.path = path};
    const uint64_t *file = file_of(&one);
    for (uint32_t n = 0; file[1] && n < c->sources.n; n++)
        if (!memcmp(file_of(&c->sources.at[n]), file, sizeof one.file)) return *source = n, true;
    return false;
}

static bool open_one(Compilation *c, const LangOptions *o, const char *path, uint32_t *source)
{
    for (uint32_t n = 0; n < c->sources.n; n++)
        if (!strcmp(c->sources.at[n].path, path)) return *source = n, true;
    size_t length = 0;
    char *text = o && o->read ? o->read(o->read_context, path, &length) : read_file(path, &length);
    if (!text) return false;
    if (find_other_name(c, path, source)) return free(text), true;
    *source = compilation_take_source(c, path, text, length);
    return true;
}

bool lang_find_used(Compilation *c, const LangOptions *o, const char *from, const char *name, uint32_t *source)
{
    if (name[0] == '/') return open_one(c, o, name, source);
    if (open_one(c, o, beside(c, from, name), source)) return true;
    const char *const *include = o ? o->include : NULL;
    for (; include && *include; include++)
        if (open_one(c, o, format(c, "%s/%s", *include, name), source)) return true;
    return false;
}

/* ---- the name space ---- */

static void add_global(Checker *k, FileScope *f, Global g, Span span, const char *path)
{
    Global *old = global_find(f, g.name);
    bool builtin = is_builtin(g.name) || is_bracket(g.name);
    if (!old && !builtin) {
        names_put(k->c, &f->numbers, g.name, f->globals.n);
        PUSH(k->c, &f->globals, g);
        return;
    }
    if (old && old->function == g.function && old->pattern == g.pattern) return;
    Diag *d;
    if (path)
        d = report(k->c, E501, span, "`%s` of \"%s\" is defined twice", g.name, path);
    else
        d = report(k->c, E501, span, old ? "`%s` is defined twice" : "`%s` is a function of the language",
                   g.name);
    if (old) diag_note(k->c, d, old->span, "the other one");
    if (path) diag_note(k->c, d, g.span, "the one of \"%s\"", path);
    diag_hint(k->c, d,
              path ? "`use` brings in all names of a file: rename one of the two"
                   : "functions, masks and patterns share one name space: choose another name");
}

static void own_globals(Checker *k, FileScope *f)
{
    for (uint32_t n = 0; n < f->file->functions.n; n++) {
        const AstFunction *a = f->file->functions.at[n];
        add_global(k, f, (Global){.name = a->name.name, .function = a, .home = f, .span = a->name.span},
                   a->name.span, NULL);
    }
    for (uint32_t n = 0; n < f->file->patterns.n; n++) {
        const AstPattern *a = f->file->patterns.at[n];
        add_global(k, f, (Global){.name = a->name.name, .pattern = a, .home = f, .span = a->name.span},
                   a->name.span, NULL);
    }
}

static void take_file(Checker *k, FileScope *f, const AstUse *use)
{
    uint32_t source;
    if (!lang_find_used(k->c, k->options, f->path, use->path.name, &source)) {
        Diag *d = report(k->c, E510, use->path.span, "cannot read \"%s\"", use->path.name);
        diag_hint(
            k->c, d,
            "it is looked for beside this file, in the folders given by -I, and in the installed library");
        return;
    }
    FileScope *other = use_file(k, source);
    if (other == f) {
        report(k->c, E510, use->path.span, "a file that uses itself");
        return;
    }
    for (uint32_t n = 0; n < other->globals.n; n++)
        if (other->globals.at[n].home == other)
            add_global(k, f, other->globals.at[n], use->path.span, use->path.name);
}

/* Files that use each other are fine: own names are there before the used files are read. */
FileScope *use_file(Checker *k, uint32_t source)
{
    const char *path = k->c->sources.at[source].path;
    for (uint32_t n = 0; n < k->files.n; n++)
        if (k->files.at[n]->file->source == source) return k->files.at[n];
    FileScope *f = NEW(k->c, FileScope);
    f->path = path;
    f->file = ast_parse(k->c, source);
    PUSH(k->c, &k->files, f);
    PUSH(k->c, &k->program->sources, source);
    own_globals(k, f);
    for (uint32_t n = 0; n < f->file->uses.n && k->c->errors <= DIAGS_MAX; n++)
        take_file(k, f, &f->file->uses.at[n]);
    return f;
}

FileScope *find_file(Checker *k, const FileScope *f, const char *path)
{
    uint32_t source;
    return lang_find_used(k->c, k->options, f->path, path, &source) ? use_file(k, source) : NULL;
}

const char *library_file(Checker *k, const FileScope *f, const char *name)
{
    static const char *const files[] = {"std/masks.attn", "std/functions.attn"};
    for (size_t n = 0; n < sizeof files / sizeof *files; n++) {
        FileScope *file = find_file(k, f, files[n]);
        if (file && global_find(file, name)) return files[n];
    }
    return NULL;
}
