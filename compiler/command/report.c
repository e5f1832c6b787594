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

bool output_begin(Compilation *c, Output *o, const char *path)
{
    struct stat info;
    bool exists = !stat(path, &info), direct = exists && !S_ISREG(info.st_mode); /* a device, a pipe */
    char *real = exists && !direct ? realpath(path, NULL) : NULL;                /* links stay links */
    *o = (Output){.path = real ? intern(c, real, strlen(real)) : path};
    free(real);
    o->temporary = direct ? NULL : format(c, "%s.%ld.tmp", o->path, (long)getpid());
    o->file = fopen(direct ? path : o->temporary, "wbe");
    o->error = o->file ? 0 : errno;
    if (o->file && exists && !direct) fchmod(fileno(o->file), info.st_mode & 07777);
    return o->file;
}

const char *output_end(Compilation *c, Output *o, bool good)
{
    if (!good && !o->error) o->error = errno;
    if (o->file && fclose(o->file) && !o->error) o->error = errno;
    if (o->file && !o->error && o->temporary && rename(o->temporary, o->path)) o->error = errno;
    if (!o->error) return NULL;
    if (o->file && o->temporary) unlink(o->temporary);
    return format(c, "cannot write %s: %s", o->path, strerror(o->error));
}

const char *write_text(Compilation *c, const char *path, const Text *text)
{
    if (!path || !strcmp(path, "-")) {
        if (text->n) fwrite(text->at, 1, text->n, stdout);
        return NULL; /* main looks at ferror */
    }
    Output o;
    bool good = output_begin(c, &o, path);
    if (good && text->n) good = fwrite(text->at, 1, text->n, o.file) == text->n;
    return output_end(c, &o, good);
}
