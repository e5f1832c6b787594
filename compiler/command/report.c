/* Messages on stderr and texts on stdout. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/command/command.h"

int complain(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("attnc: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return EXIT_INPUT;
}

static void print_text(const Text *text)
{
    if (text->n) fwrite(text->at, 1, text->n, stderr);
}

/* An error without a place in a source. */
static void complain_json(Compilation *c, const char *text)
{
    Text out = {.c = c};
    text_add_json(&out, text);
    fprintf(stderr,
            "{\"code\": null, \"severity\": \"error\", \"message\": %s, \"notes\": [], \"hints\": []}\n",
            out.at);
}

int pipeline_report(Pipeline *p, const Options *o)
{
    if (p->c->diags.n) fputs(diag_render(p->c, o->format), stderr);
    print_text(&p->trace);
    if (p->times.n) fputs("--- time ---\n", stderr);
    print_text(&p->times);
    if (p->error && o->format == DIAG_JSON)
        complain_json(p->c, p->error);
    else if (p->error)
        complain("%s", p->error);
    return p->status == PIPELINE_OK ? EXIT_FINE : EXIT_INPUT;
}


void add_json_number(Text *out, const char *key, double value)
{
    text_add(out, "\"%s\": ", key);
    if (isfinite(value))
        text_add(out, value == floor(value) && fabs(value) < 1e15 ? "%.0f" : "%.6g", value);
    else
        text_add(out, "null");
}

static bool write_all(FILE *file, const Text *text)
{
    bool ok = !text->n || fwrite(text->at, 1, text->n, file) == text->n;
    int error = errno;
    ok = fclose(file) == 0 && ok;
    if (!ok && error) errno = error;
    return ok;
}

const char *write_text(Compilation *c, const char *path, const Text *text)
{
    if (!path || !strcmp(path, "-")) {
        if (text->n) fwrite(text->at, 1, text->n, stdout);
        return NULL; /* main looks at ferror */
    }
    struct stat info;
    bool exists = !stat(path, &info), direct = exists && !S_ISREG(info.st_mode); /* a device, a pipe */
    char *real = exists && !direct ? realpath(path, NULL) : NULL;                  /* links stay links */
    if (real) path = intern(c, real, strlen(real));
    free(real);
    const char *temporary = direct ? path : format(c, "%s.%ld.tmp", path, (long)getpid());
    FILE *file = fopen(temporary, "wbe");
    if (file && exists && !direct) fchmod(fileno(file), info.st_mode & 07777);
    if (file && write_all(file, text) && (direct || !rename(temporary, path))) return NULL;
    int error = errno;
    if (file && !direct) unlink(temporary);
    return format(c, "cannot write %s: %s", path, strerror(error));
}
