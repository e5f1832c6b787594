/* The disk cache of compiled patterns: a folder that belongs to this user alone. HASH is XXH3-128 of a
 * key: the source text with everything that the compiler was told.
 *     HASH.key           the whole key, and what the module was made from beside it (depend.c)
 *     HASH-CHECKSUM.so   a module; its name says which content the key file means
 *     tmp-...            being written
 * Files appear by rename and are never changed, so any number of processes may read, write and clean up at
 * once: whatever is missing, stale, damaged or foreign counts as not there, and is replaced by the next
 * who compiles it. */
#include "internal.h"
#include "note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = 80, STALE_SECONDS = 3600 };
static const int64_t default_limit = INT64_C(256) << 20;
static const char magic[] = "attnc cache 1";

/* ---- the folder ---- */

static int64_t size_limit(void)
{
    const char *text = secure_getenv("ATTN_CACHE_SIZE");
    if (!text || *text < '0' || *text > '9')
        return default_limit;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (errno || (*end && (!shift || end[1])))
        return default_limit;
    return value > INT64_MAX >> shift ? INT64_MAX : value << shift;
}

/* Makes all folders of a path, as the XDG rules want them. */
static void make_folders(char *path)
{
    for (char *at = path + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            mkdir(path, 0700);
            *at = '/';
        }
    mkdir(path, 0700);
}

static char *folder_path(void)
{
    const char *base = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    RtText path = {0};
    if (base && *base == '/')
        rt_text_add(&path, "%s/attnc", base);
    else if (home && *home == '/')
        rt_text_add(&path, "%s/.cache/attnc", home);
    if (path.failed) {
        rt_free(path.at);
        return NULL;
    }
    return path.at;
}

static void set_problem(RtCache *c, const char *reason)
{
    RtText text = {0};
    rt_text_add(&text, "no cache: %s%s%s", c->path ? c->path : "", c->path ? ": " : "", reason);
    c->problem = text.at;
    if (c->folder >= 0)
        close(c->folder);
    c->folder = -1;
}

static void open_folder(RtCache *c)
{
    struct stat st;
    make_folders(c->path);
    c->folder = open(c->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->folder < 0)
        set_problem(c, strerror(errno));
    else if (fstat(c->folder, &st) != 0)
        set_problem(c, strerror(errno));
    else if (st.st_uid != geteuid())
        set_problem(c, "the folder belongs to another user");
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        set_problem(c, "others may write to the folder");
}

bool rt_cache_open(RtCache *c)
{
    *c = (RtCache){.folder = -1, .limit = size_limit()};
    c->path = folder_path();
    if (c->limit == 0)
        set_problem(c, "ATTN_CACHE_SIZE is 0");
    else if (!c->path)
        set_problem(c, "neither XDG_CACHE_HOME nor HOME is an absolute path");
    else
        open_folder(c);
    return c->folder >= 0 || c->problem;
}

void rt_cache_close(RtCache *c)
{
    if (c->folder >= 0)
        close(c->folder);
    rt_free(c->path);
    rt_free(c->problem);
}

static char *path_in(const RtCache *c, const char *name)
{
    RtText path = {0};
    rt_text_add(&path, "%s/%s", c->path, name);
    if (!path.failed)
        return path.at;
    rt_free(path.at);
    return NULL;
}

static void temporary_name(char *name)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)(uintptr_t)name ^ (uint64_t)clock();
    snprintf(name, NAME_BYTES, "tmp-%d-%016llx.so", (int)getpid(), (unsigned long long)random);
}

char *rt_cache_temporary(const RtCache *c)
{
    char name[NAME_BYTES];
    temporary_name(name);
    return path_in(c, name);
}

/* ---- names and key files ---- */

typedef struct Names {
    char key[NAME_BYTES], module[NAME_BYTES];
} Names;

static void key_name(Names *names, const RtText *key)
{
    XXH128_hash_t h = XXH3_128bits(key->at, key->n);
    snprintf(names->key, NAME_BYTES, "%016llx%016llx.key", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}

static void module_name(Names *names, uint64_t checksum)
{
    snprintf(names->module, NAME_BYTES, "%.32s-%016llx.so", names->key, (unsigned long long)checksum);
}

/* magic, checksum of the module, length of the key, checksum of what follows; then the key, then what it
 * was made from. */
static void write_entry(RtText *entry, const RtText *key, const RtText *made_from, uint64_t checksum)
{
    RtText body = {0};
    rt_text_bytes(&body, key->at, key->n);
    rt_text_bytes(&body, made_from->at ? made_from->at : "", made_from->n);
    if (!body.failed) {
        rt_text_add(entry, "%s %016llx %zu %016llx\n", magic, (unsigned long long)checksum, key->n,
                    (unsigned long long)XXH3_64bits(body.at, body.n));
        rt_text_bytes(entry, body.at, body.n);
    }
    entry->failed = entry->failed || body.failed;
    rt_free(body.at);
}

/* Whether an entry is whole, of this very key, and made from what is there now. */
static bool entry_holds(const char *entry, size_t size, const RtText *key, uint64_t *checksum)
{
    unsigned long long module, length, hash;
    const char *body = memchr(entry, '\n', size);
    if (!body || strncmp(entry, magic, sizeof magic - 1) != 0 ||
        sscanf(entry + sizeof magic - 1, " %16llx %llu %16llx", &module, &length, &hash) != 3)
        return false;
    size -= (size_t)(++body - entry);
    if (length != key->n || length > size || XXH3_64bits(body, size) != hash ||
        memcmp(body, key->at, key->n) != 0)
        return false;
    *checksum = module;
    return rt_depend_holds(body + key->n, size - key->n);
}

static bool read_entry(const RtCache *c, const Names *names, const RtText *key, uint64_t *checksum)
{
    char *entry;
    size_t size;
    int fd = openat(c->folder, names->key, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool good = rt_read_file(fd, names->key, &entry, &size, NULL) == ATTN_OK;
    close(fd);
    if (!good)
        return false;
    good = entry_holds(entry, size, key, checksum);
    rt_free(entry);
    return good;
}

AttnLibrary *rt_cache_find(const RtCache *c, const RtText *key)
{
    Names names;
    uint64_t checksum;
    key_name(&names, key);
    if (!read_entry(c, &names, key, &checksum))
        return NULL;
    module_name(&names, checksum);
    char *path = path_in(c, names.module);
    int fd = path ? openat(c->folder, names.module, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) : -1;
    AttnLibrary *library = NULL;
    if (fd >= 0 && rt_library_open(fd, path, &library, NULL) == ATTN_OK && library->checksum != checksum) {
        attn_close(library);
        library = NULL;
    }
    rt_free(path);
    if (library) {
        library->cached = true;
        utimensat(c->folder, names.key, NULL, 0); /* used now: cleaning starts with the oldest */
        utimensat(c->folder, names.module, NULL, 0);
    }
    return library;
}

/* ---- cleaning up ---- */

typedef struct Entry {
    char name[NAME_BYTES];
    int64_t size, time;
} Entry;
typedef struct Entries {
    Entry *at;
    size_t n, capacity;
    int64_t total;
} Entries;

static bool is_ours(const char *name)
{
    size_t n = strlen(name);
    return n < NAME_BYTES && n > 4 &&
           (strncmp(name, "tmp-", 4) == 0 ||
            (strspn(name, "0123456789abcdef") == 32 &&
             (strcmp(name + n - 4, ".key") == 0 || strcmp(name + n - 3, ".so") == 0)));
}

static void collect(const RtCache *c, Entries *e, const char *name, int64_t now)
{
    struct stat st;
    if (!is_ours(name) || fstatat(c->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return;
    if (strncmp(name, "tmp-", 4) == 0 && st.st_mtim.tv_sec < now - STALE_SECONDS) {
        unlinkat(c->folder, name, 0);
        return;
    }
    if (e->n == e->capacity) {
        size_t capacity = 2 * e->capacity + 64;
        Entry *grown = rt_grow(e->at, capacity * sizeof *grown);
        if (!grown)
            return;
        e->at = grown;
        e->capacity = capacity;
    }
    Entry *entry = &e->at[e->n++];
    memcpy(entry->name, name, strlen(name) + 1); /* is_ours: it fits */
    entry->size = st.st_size;
    entry->time = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    e->total += st.st_size;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const Entry *)a)->time, y = ((const Entry *)b)->time;
    return (x > y) - (x < y);
}

/* Removes the oldest files until the rest fits, keeping what was just stored. */
static void clean(const RtCache *c, const Names *keep)
{
    Entries e = {0};
    int fd = openat(c->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder && fd >= 0)
        close(fd);
    for (struct dirent *d; folder && (d = readdir(folder));)
        collect(c, &e, d->d_name, (int64_t)time(NULL));
    if (folder)
        closedir(folder);
    if (e.total > c->limit)
        qsort(e.at, e.n, sizeof *e.at, by_time);
    for (size_t i = 0; i < e.n && e.total > c->limit; i++) {
        if (strcmp(e.at[i].name, keep->key) == 0 || strcmp(e.at[i].name, keep->module) == 0 ||
            strncmp(e.at[i].name, "tmp-", 4) == 0)
            continue;
        if (unlinkat(c->folder, e.at[i].name, 0) == 0)
            e.total -= e.at[i].size;
    }
    rt_free(e.at);
}

/* ---- storing ---- */

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            bytes += written;
            n -= (size_t)written;
        }
    }
    return true;
}

static bool store_entry(const RtCache *c, const Names *names, const RtText *entry)
{
    char temporary[NAME_BYTES];
    temporary_name(temporary);
    int fd = openat(c->folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool good = write_all(fd, entry->at, entry->n);
    good = close(fd) == 0 && good;
    good = good && renameat(c->folder, temporary, c->folder, names->key) == 0;
    int reason = errno;
    if (!good)
        unlinkat(c->folder, temporary, 0);
    errno = reason;
    return good;
}

static void file_module(const RtCache *c, Names *names, const RtText *key, const char *temporary,
                        const RtText *made_from, AttnLibrary *l)
{
    RtText entry = {0}, remark = {0};
    write_entry(&entry, key, made_from, l->checksum);
    if (!entry.failed) {
        bool good = rename(temporary, l->path) == 0 && store_entry(c, names, &entry);
        if (!good)
            rt_text_add(&remark, "cannot write to the cache %s: %s", c->path, strerror(errno));
    }
    rt_free(entry.at);
    l->remark = remark.at;
}

AttnStatus rt_cache_store(const RtCache *c, const RtText *key, const char *temporary, const RtText *made_from,
                          AttnLibrary **library, AttnError *error)
{
    Names names;
    AttnLibrary *l;
    key_name(&names, key);
    int fd = open(temporary, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return rt_fail(error, ATTN_STATUS_COMPILER, "the compiler left no %s: %s", temporary,
                       strerror(errno));
    fchmod(fd, 0600);
    AttnStatus status = rt_library_open(fd, temporary, &l, error);
    char *path = NULL;
    if (!status) {
        module_name(&names, l->checksum);
        path = path_in(c, names.module);
    }
    if (path) {
        rt_free(l->path);
        l->path = path;
        file_module(c, &names, key, temporary, made_from, l);
        clean(c, &names);
    }
    unlink(temporary); /* where it was not renamed */
    if (!status)
        *library = l;
    return status;
}
