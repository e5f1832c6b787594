/* See fake.h. */
#include "fake.h"
#include "runtime/note.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

char *fake_read(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s: %s", path, strerror(errno));
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *bytes = malloc((size_t)n + 1);
    *size = fread(bytes, 1, (size_t)n, f);
    bytes[*size] = 0;
    fclose(f);
    return bytes;
}

void fake_write(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f, "%s: %s", path, strerror(errno));
    cr_assert_eq(fwrite(bytes, 1, size, f), size);
    cr_assert_eq(fclose(f), 0);
}

/* Where the note's descriptor starts. */
static size_t find_note(const char *bytes, size_t size)
{
    uint32_t head[3] = {6, sizeof(AttnNote), ATTN_NOTE_TYPE};
    for (size_t i = 0; i + 20 + sizeof(AttnNote) <= size; i += 4)
        if (memcmp(bytes + i, head, sizeof head) == 0 && memcmp(bytes + i + 12, ATTN_NOTE_NAME, 6) == 0)
            return i + 20;
    return 0;
}

void fake_seal(const char *path)
{
    size_t size;
    char *bytes = fake_read(path, &size);
    size_t at = find_note(bytes, size);
    cr_assert(at, "%s has no note", path);
    AttnNote note;
    memcpy(&note, bytes + at, sizeof note);
    note.size = size;
    note.source[1]++; /* so that sealing twice makes two modules */
    memcpy(bytes + at, &note, sizeof note);
    note.checksum = attn_note_checksum(bytes, size, at);
    memcpy(bytes + at, &note, sizeof note);
    fake_write(path, bytes, size);
    free(bytes);
}

static bool newer(const char *path, const struct stat *than)
{
    struct stat st;
    return stat(path, &st) != 0 || st.st_mtim.tv_sec > than->st_mtim.tv_sec;
}

static bool fresh(const char *path, const char *source)
{
    char header[512];
    snprintf(header, sizeof header, "%s/runtime/abi.h", variable("ATTN_SOURCE", "."));
    struct stat st;
    return stat(path, &st) == 0 && !newer(source, &st) && !newer(header, &st);
}

static void build(const char *path, const char *source, const char *flags, bool module)
{
    char temporary[600], command[4096];
    snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
    snprintf(command, sizeof command, "%s -shared -fPIC -O1 -Wall -fvisibility=hidden -I'%s' %s '%s' -o '%s'",
             variable("CC", "cc"), variable("ATTN_SOURCE", "."), flags, source, temporary);
    cr_assert_eq(system(command), 0, "%s", command);
    if (module)
        fake_seal(temporary);
    cr_assert_eq(rename(temporary, path), 0);
}

/* Tests run side by side: one builds, the others wait, so that a file once seen stays the same. */
const char *fake_build(const char *name, const char *flags)
{
    static char path[512];
    char source[512], lock[600], all[1024], key[1200];
    snprintf(all, sizeof all, "%s %s", flags, strstr(flags, "-s ") ? "" : variable("ATTN_CFLAGS", ""));
    snprintf(key, sizeof key, "%s %s", all, variable("CC", "cc"));
    snprintf(source, sizeof source, "%s/tests/abi/module/%s.c", variable("ATTN_SOURCE", "."), name);
    snprintf(path, sizeof path, "%s/tests/%s-%016llx.so", variable("ATTN_BUILD", "."), name,
             (unsigned long long)XXH3_64bits(key, strlen(key)));
    snprintf(lock, sizeof lock, "%s.lock", path);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0, "%s: %s", lock, strerror(errno));
    if (!fresh(path, source))
        build(path, source, all, strstr(name, "module") && !strstr(flags, "FAKE_NO_NOTE"));
    close(fd);
    return path;
}

const char *fake_module(void) { return fake_build("fake_module", ""); }

AttnLibrary *fake_open(void)
{
    AttnError error;
    AttnLibrary *library = NULL;
    OK(attn_open(fake_module(), &library, &error));
    return library;
}

const char *fake_folder(void)
{
    static char path[512];
    char command[600];
    snprintf(path, sizeof path, "%s/tests/abi-%s-%s", variable("ATTN_BUILD", "."),
             criterion_current_test->category, criterion_current_test->name);
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    cr_assert_eq(system(command), 0, "%s", command);
    cr_assert_eq(mkdir(path, 0700), 0, "%s: %s", path, strerror(errno));
    return path;
}

void fake_tensor(Fake *f, void *data, int code, int bits, const int64_t *shape)
{
    memset(f, 0, sizeof *f);
    int n = 0;
    for (; shape[n] >= 0; n++)
        f->shape[n] = shape[n];
    for (uint64_t i = (uint64_t)n, stride = 1; i-- > 0; stride *= (uint64_t)f->shape[i])
        f->strides[i] = (int64_t)stride;
    f->t = (DLTensor){.data = data,
                      .device = {kDLCPU, 0},
                      .ndim = n,
                      .shape = f->shape,
                      .strides = f->strides,
                      .dtype = {(uint8_t)code, (uint8_t)bits, 1}};
}

void fake_expect(AttnStatus got, AttnStatus want, const AttnError *error, const char *part, const char *file,
                 int line)
{
    cr_assert_eq(got, want, "%s:%d: %s instead of %s: %s", file, line, attn_status_text(got),
                 attn_status_text(want), got ? error->text : "");
    if (got)
        cr_assert(strstr(error->text, part), "%s:%d: `%s` does not say `%s`", file, line, error->text, part);
    if (got)
        cr_assert_eq(error->status, got);
}
