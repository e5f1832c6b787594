/* What a compiled module was made from beside its main source: files that `use` found, files it looked for
 * in vain, and the compiler's libraries. One line each; paths with their length, since they may hold
 * anything:
 *     file HASH HASH BYTES PATH       content
 *     absent BYTES PATH               nothing may be there
 *     library SIZE S NS BYTES PATH    size and time of change */
#include "internal.h"
#include "note.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

bool rt_identity(const char *path, RtIdentity *identity)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    *identity = (RtIdentity){st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
    return true;
}

static void add_path(RtText *list, const char *path)
{
    size_t n = strlen(path);
    rt_text_add(list, " %zu ", n);
    rt_text_bytes(list, path, n);
    rt_text_bytes(list, "\n", 1);
}

void rt_depend_file(RtText *list, const AttnJitFile *file)
{
    if (file->found)
        rt_text_add(list, "file %016llx %016llx", (unsigned long long)file->hash[0],
                    (unsigned long long)file->hash[1]);
    else
        rt_text_add(list, "absent");
    add_path(list, file->path);
}

void rt_depend_library(RtText *list, const char *path)
{
    RtIdentity id;
    if (!rt_identity(path, &id))
        return;
    rt_text_add(list, "library %lld %lld %lld", id.size, id.seconds, id.nanoseconds);
    add_path(list, path);
}

/* ---- reading ---- */

typedef struct Line {
    const char *at, *end;
} Line;

static bool next_word(Line *l, char *word, size_t bytes)
{
    size_t n = 0;
    while (l->at < l->end && *l->at != ' ' && *l->at != '\n' && n + 1 < bytes)
        word[n++] = *l->at++;
    word[n] = 0;
    return n > 0 && l->at < l->end && *l->at++ == ' ';
}

static bool next_number(Line *l, int base, unsigned long long *value)
{
    char word[24], *end;
    if (!next_word(l, word, sizeof word))
        return false;
    *value = strtoull(word, &end, base);
    return *end == 0;
}

static bool next_path(Line *l, char *path)
{
    unsigned long long n;
    if (!next_number(l, 10, &n) || n >= PATH_BYTES || n >= (size_t)(l->end - l->at) || l->at[n] != '\n')
        return false;
    memcpy(path, l->at, n);
    path[n] = 0;
    l->at += n + 1;
    return true;
}

static bool content_is(const char *path, const unsigned long long hash[2])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *bytes;
    size_t size;
    if (fd < 0)
        return false;
    bool same = rt_read_file(fd, path, &bytes, &size, NULL) == ATTN_OK;
    close(fd);
    if (!same)
        return false;
    XXH128_hash_t h = XXH3_128bits(bytes, size);
    rt_free(bytes);
    return h.low64 == hash[0] && h.high64 == hash[1];
}

static bool line_holds(Line *l)
{
    char kind[16], path[PATH_BYTES];
    unsigned long long n[3];
    RtIdentity id;
    struct stat st;
    if (!next_word(l, kind, sizeof kind))
        return false;
    if (strcmp(kind, "absent") == 0)
        return next_path(l, path) && stat(path, &st) != 0;
    if (!next_number(l, *kind == 'f' ? 16 : 10, &n[0]) || !next_number(l, *kind == 'f' ? 16 : 10, &n[1]))
        return false;
    if (strcmp(kind, "file") == 0)
        return next_path(l, path) && content_is(path, n);
    return strcmp(kind, "library") == 0 && next_number(l, 10, &n[2]) && next_path(l, path) &&
           rt_identity(path, &id) && (unsigned long long)id.size == n[0] &&
           (unsigned long long)id.seconds == n[1] && (unsigned long long)id.nanoseconds == n[2];
}

bool rt_depend_holds(const char *list, size_t bytes)
{
    Line l = {list, list + bytes};
    while (l.at < l.end)
        if (!line_holds(&l))
            return false;
    return true;
}
