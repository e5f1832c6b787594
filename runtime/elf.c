/* Checks a module before the dynamic loader sees it: the loader maps what the headers say and dies of
 * SIGBUS where the file is shorter. The whole file is read once; the loader is then given the same open
 * file. */
#include "internal.h"
#include "note.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "libattn: unsupported machine"
#endif
enum { FILE_MAX = 1 << 30 };

typedef struct File {
    const unsigned char *bytes;
    size_t size;
} File;

AttnStatus rt_read_file(int fd, const char *path, char **bytes, size_t *size, AttnError *error)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return rt_fail(error, ATTN_STATUS_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return rt_fail(error, ATTN_STATUS_IO, "%s: not a regular file", path);
    if (st.st_size > FILE_MAX)
        return rt_fail(error, ATTN_STATUS_FILE, "%s: larger than 1 GiB", path);
    size_t want = (size_t)st.st_size, n = 0;
    char *buffer = rt_alloc(want + 1, 1);
    if (!buffer)
        return rt_no_memory(error);
    while (n < want) {
        ssize_t got = pread(fd, buffer + n, want - n, (off_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            rt_fail(error, ATTN_STATUS_IO, "%s: %s", path, strerror(errno));
            rt_free(buffer);
            return ATTN_STATUS_IO;
        }
        if (got == 0)
            break; /* became shorter: the checks below see what is there */
        n += (size_t)got;
    }
    *bytes = buffer;
    *size = n;
    return ATTN_OK;
}

/* Whether [offset, offset + length) lies in the file. */
static bool inside(const File *f, uint64_t offset, uint64_t length)
{
    return offset <= f->size && length <= f->size - offset;
}

static const char *check_header(const File *f, Elf64_Ehdr *h)
{
    if (f->size < SELFMAG || memcmp(f->bytes, ELFMAG, SELFMAG) != 0)
        return "not a shared object";
    if (f->size < sizeof *h)
        return "truncated";
    memcpy(h, f->bytes, sizeof *h);
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != MACHINE)
        return "made for another machine";
    if (h->e_type != ET_DYN || h->e_version != EV_CURRENT || h->e_phentsize != sizeof(Elf64_Phdr))
        return "not a shared object";
    if (h->e_shnum != 0 && h->e_shentsize != sizeof(Elf64_Shdr))
        return "damaged: its section headers have an unknown form";
    if (!inside(f, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)) ||
        !inside(f, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr)))
        return "truncated";
    return NULL;
}

static const char *check_extents(const File *f, const Elf64_Ehdr *h)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, f->bytes + h->e_phoff + i * sizeof p, sizeof p);
        if (!inside(f, p.p_offset, p.p_filesz))
            return "truncated";
    }
    for (unsigned i = 0; i < h->e_shnum; i++) {
        Elf64_Shdr s;
        memcpy(&s, f->bytes + h->e_shoff + i * sizeof s, sizeof s);
        if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL && !inside(f, s.sh_offset, s.sh_size))
            return "truncated";
    }
    return NULL;
}

/* Looks for our note in one segment; returns where its descriptor starts, 0 if it has none. */
static size_t find_note(const File *f, const Elf64_Phdr *segment, size_t *length)
{
    uint64_t align = segment->p_align == 8 ? 8 : 4, at = segment->p_offset, end = at + segment->p_filesz;
    while (at <= end && end - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr n;
        memcpy(&n, f->bytes + at, sizeof n);
        uint64_t name = at + sizeof n;
        uint64_t desc =
            segment->p_offset + ((name + n.n_namesz - segment->p_offset + align - 1) & ~(align - 1));
        if (desc > end || n.n_descsz > end - desc)
            return 0;
        if (n.n_type == ATTN_NOTE_TYPE && n.n_namesz == sizeof ATTN_NOTE_NAME &&
            memcmp(f->bytes + name, ATTN_NOTE_NAME, sizeof ATTN_NOTE_NAME) == 0) {
            *length = n.n_descsz;
            return (size_t)desc;
        }
        at = segment->p_offset + ((desc + n.n_descsz - segment->p_offset + align - 1) & ~(align - 1));
    }
    return 0;
}

static size_t find_notes(const File *f, const Elf64_Ehdr *h, size_t *length)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, f->bytes + h->e_phoff + i * sizeof p, sizeof p);
        size_t found = p.p_type == PT_NOTE ? find_note(f, &p, length) : 0;
        if (found)
            return found;
    }
    return 0;
}

static AttnStatus check_note(const File *f, size_t at, size_t length, const char *path, AttnNote *note,
                             AttnError *e)
{
    uint32_t abi;
    if (length < sizeof abi)
        return rt_fail(e, ATTN_STATUS_FILE, "%s: damaged: its note is too short", path);
    memcpy(&abi, f->bytes + at, sizeof abi);
    if (abi != ATTN_ABI_VERSION)
        return rt_fail(e, ATTN_STATUS_ABI, "%s: made for ABI %u by %s attnc; this libattn (%s) runs ABI %d",
                       path, abi, abi < ATTN_ABI_VERSION ? "an older" : "a newer", ATTN_VERSION,
                       ATTN_ABI_VERSION);
    if (length != sizeof *note)
        return rt_fail(e, ATTN_STATUS_FILE, "%s: damaged: its note has %zu bytes instead of %zu", path,
                       length, sizeof *note);
    memcpy(note, f->bytes + at, sizeof *note);
    if (note->size > f->size)
        return rt_fail(e, ATTN_STATUS_FILE, "%s: truncated: %zu of %llu bytes", path, f->size,
                       (unsigned long long)note->size);
    if (note->size != f->size)
        return rt_fail(e, ATTN_STATUS_FILE, "%s: damaged: %zu bytes, written with %llu", path, f->size,
                       (unsigned long long)note->size);
    if (attn_note_checksum(f->bytes, f->size, at) != note->checksum)
        return rt_fail(e, ATTN_STATUS_FILE, "%s: damaged: its checksum does not fit its content", path);
    return ATTN_OK;
}

AttnStatus rt_elf_check(const void *file, size_t size, const char *path, AttnNote *note, AttnError *error)
{
    File f = {file, size};
    Elf64_Ehdr header;
    const char *reason = size ? check_header(&f, &header) : "empty";
    if (!reason)
        reason = check_extents(&f, &header);
    if (reason)
        return rt_fail(error, ATTN_STATUS_FILE, "%s: %s", path, reason);
    size_t length = 0, at = find_notes(&f, &header, &length);
    if (!at)
        return rt_fail(error, ATTN_STATUS_FILE, "%s: not made by attnc (it has no attnc note)", path);
    return check_note(&f, at, length, path, note, error);
}
