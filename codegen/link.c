/* Objects -> files. See link.h. */
#include "codegen/link.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "runtime/abi.h"

extern char **environ;

/* --- files --- */

static bool write_all(int fd, const void *bytes, size_t n)
{
    for (const char *at = bytes; n;) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

/* A new file beside `path`, with the rights that any new file has; the name is returned, the descriptor left
 * in *fd. */
static char *temporary(Compilation *c, const char *path, const char *suffix, int *fd)
{
    char *name = NULL;
    for (unsigned k = 0; k < 1000; k++) {
        name = format(c, "%s.%ld.%u%s", path, (long)getpid(), k, suffix);
        *fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0 || errno != EEXIST) break;
    }
    return name;
}

static const char *write_new(Compilation *c, Bytes bytes, const char *path, const char *suffix, char **name)
{
    int fd;
    *name = temporary(c, path, suffix, &fd);
    if (fd < 0) return format(c, "cannot create %s: %s", *name, strerror(errno));
    bool good = write_all(fd, bytes.at, bytes.n);
    int reason = errno;
    if (close(fd) && good) {
        good = false;
        reason = errno;
    }
    if (good) return NULL;
    unlink(*name);
    return format(c, "cannot write %s: %s", *name, strerror(reason));
}

const char *link_write(Compilation *c, Bytes bytes, const char *path)
{
    char *name;
    const char *error = write_new(c, bytes, path, "", &name);
    if (error) return error;
    if (!rename(name, path)) return NULL;
    error = format(c, "cannot write %s: %s", path, strerror(errno));
    unlink(name);
    return error;
}

static void *read_file(const char *path, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    char *bytes = NULL;
    if (fd >= 0 && !fstat(fd, &info) && info.st_size >= 0 && (bytes = malloc((size_t)info.st_size + 1))) {
        size_t size = (size_t)info.st_size;
        for (*n = 0; *n < size;) {
            ssize_t done = read(fd, bytes + *n, size - *n);
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) break;
            *n += (size_t)done;
        }
        if (*n < size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (fd >= 0) close(fd);
    return bytes;
}

/* --- what an object needs, what a shared object says --- */

bool link_has_undefined(Bytes object)
{
    const char *base = object.at;
    Elf64_Ehdr head;
    if (object.n < sizeof head) return false;
    memcpy(&head, base, sizeof head);
    for (unsigned k = 0; k < head.e_shnum; k++) {
        Elf64_Shdr section;
        size_t at = head.e_shoff + k * sizeof section;
        if (at > object.n - sizeof section) return false;
        memcpy(&section, base + at, sizeof section);
        if (section.sh_type != SHT_SYMTAB || section.sh_offset + section.sh_size > object.n) continue;
        for (size_t s = 1; s < section.sh_size / sizeof(Elf64_Sym); s++) {
            Elf64_Sym symbol;
            memcpy(&symbol, base + section.sh_offset + s * sizeof symbol, sizeof symbol);
            if (symbol.st_shndx == SHN_UNDEF) return true;
        }
    }
    return false;
}

static char *find_note(char *segment, size_t n)
{
    while (n >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, segment, sizeof note);
        size_t name = ((size_t)note.n_namesz + 3) & ~(size_t)3,
               text = ((size_t)note.n_descsz + 3) & ~(size_t)3;
        size_t size = sizeof note + name + text;
        if (size > n) return NULL;
        bool ours = note.n_namesz == sizeof ATTN_NOTE_NAME && note.n_descsz == sizeof(AttnNote) &&
                    note.n_type == ATTN_NOTE_TYPE &&
                    !memcmp(segment + sizeof note, ATTN_NOTE_NAME, sizeof ATTN_NOTE_NAME);
        if (ours) return segment + sizeof note + name;
        segment += size;
        n -= size;
    }
    return NULL;
}

bool link_stamp_note(void *file, size_t n)
{
    Elf64_Ehdr head;
    if (n < sizeof head) return false;
    memcpy(&head, file, sizeof head);
    char *note = NULL;
    for (unsigned k = 0; k < head.e_phnum && !note; k++) {
        Elf64_Phdr segment;
        size_t at = head.e_phoff + k * sizeof segment;
        if (at > n - sizeof segment) return false;
        memcpy(&segment, (char *)file + at, sizeof segment);
        if (segment.p_type == PT_NOTE && segment.p_offset <= n && segment.p_filesz <= n - segment.p_offset)
            note = find_note((char *)file + segment.p_offset, segment.p_filesz);
    }
    if (!note) return false;
    AttnNote content;
    memcpy(&content, note, sizeof content);
    content.size = n;
    content.checksum = 0;
    memcpy(note, &content, sizeof content);
    content.checksum = XXH3_64bits(file, n);
    memcpy(note, &content, sizeof content);
    return true;
}

/* --- running a linker --- */

/* Runs args[0]. Returns 0 (fine), 1 (it failed: *text is what it said), -1 (there is no such program). */
static int run(Compilation *c, char **args, const char **text)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC)) {
        *text = format(c, "cannot make a pipe: %s", strerror(errno));
        return 1;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
    pid_t child;
    int failure = posix_spawnp(&child, args[0], &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    Text said = {.c = c};
    char buffer[512];
    for (ssize_t n; !failure && (n = read(pipes[0], buffer, sizeof buffer)) != 0;) {
        if (n < 0 && errno != EINTR) break;
        if (n > 0) text_add_bytes(&said, buffer, (size_t)n);
    }
    close(pipes[0]);
    if (failure) return -1;
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    *text = said.n ? said.at : "it said nothing";
    return WIFEXITED(status) && WEXITSTATUS(status) == 127 && !said.n ? -1 : status != 0;
}

/* ld, lld and cc in turn; `libraries`: the object needs some. */
static const char *run_linkers(Compilation *c, const char *object, const char *output, bool libraries)
{
    static const char *const linkers[] = {"ld", "ld.lld", "ld.lld-19", "cc", NULL};
    static const char *const folders[] = {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
                                          "/usr/lib64"};
    const char *text = "";
    for (unsigned k = 0; linkers[k]; k++) {
        bool cc = !strcmp(linkers[k], "cc");
        const char *args[40];
        unsigned n = 0;
        args[n++] = linkers[k];
        args[n++] = "-shared";
        if (cc) args[n++] = "-nostdlib";
        static const char *const options[] = {"defs", "relro", "now", "noexecstack"};
        for (unsigned i = 0; i < 4; i++) {
            args[n++] = "-z";
            args[n++] = options[i];
        }
        args[n++] = cc ? "-Wl,--build-id=none" : "--build-id=none";
        args[n++] = "-o";
        args[n++] = output;
        args[n++] = object;
        if (libraries) {
            args[n++] = cc ? "-Wl,--as-needed" : "--as-needed";
            for (unsigned i = 0; i < 4 && !cc; i++) args[n++] = format(c, "-L%s", folders[i]);
            args[n++] = "-l:libm.so.6";
            args[n++] = "-l:libc.so.6";
        }
        args[n] = NULL;
        char *copies[40]; /* posix_spawn takes them without const */
        memcpy(copies, args, sizeof copies);
        int result = run(c, copies, &text);
        if (result == 0) return NULL;
        if (result == 1) return format(c, "%s failed: %s", linkers[k], text);
    }
    return "no linker was found (ld, ld.lld or cc)";
}

static const char *stamp_file(Compilation *c, const char *path)
{
    size_t n = 0;
    char *bytes = read_file(path, &n);
    if (!bytes) return format(c, "cannot read %s: %s", path, strerror(errno));
    const char *error = NULL;
    int fd = -1;
    if (!link_stamp_note(bytes, n)) error = "the linker has dropped the note of the module";
    else if ((fd = open(path, O_WRONLY | O_CLOEXEC)) < 0 || !write_all(fd, bytes, n))
        error = format(c, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0 && close(fd) && !error) error = format(c, "cannot write %s: %s", path, strerror(errno));
    free(bytes);
    return error;
}

const char *link_shared(Compilation *c, Bytes object, const char *path)
{
    char *input, *output;
    const char *error = write_new(c, object, path, ".o", &input);
    if (error) return error;
    int fd;
    output = temporary(c, path, ".so", &fd);
    if (fd < 0) error = format(c, "cannot create %s: %s", output, strerror(errno));
    else close(fd);
    if (!error) error = run_linkers(c, input, output, link_has_undefined(object));
    if (!error) error = stamp_file(c, output);
    if (!error && rename(output, path)) error = format(c, "cannot write %s: %s", path, strerror(errno));
    unlink(input);
    if (error && fd >= 0) unlink(output);
    return error;
}

/* --- archives --- */

static void add_member(Text *out, const char *name, size_t size)
{
    text_add(out, "%-16s%-12d%-6d%-6d%-8s%-10zu`\n", name, 0, 0, 0, "644", size);
}

static void add_big_endian(Text *out, size_t value)
{
    char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value};
    text_add_bytes(out, bytes, 4);
}

const char *link_archive(Compilation *c, Bytes object, const char *const *symbols, unsigned n,
                         const char *path)
{
    size_t index = 4 + 4 * (size_t)n;
    for (unsigned k = 0; k < n; k++) index += strlen(symbols[k]) + 1;
    size_t member = 8 + 60 + index + index % 2;
    Text out = {.c = c};
    text_add(&out, "!<arch>\n");
    add_member(&out, "/", index);
    add_big_endian(&out, n);
    for (unsigned k = 0; k < n; k++) add_big_endian(&out, member);
    for (unsigned k = 0; k < n; k++) text_add_bytes(&out, symbols[k], strlen(symbols[k]) + 1);
    if (index % 2) text_add_bytes(&out, "\n", 1);
    add_member(&out, "attn.o/", object.n);
    text_add_bytes(&out, object.at, object.n);
    if (object.n % 2) text_add_bytes(&out, "\n", 1);
    return link_write(c, (Bytes){out.at, out.n}, path);
}
