/* Opening modules: what they say about themselves, and that no broken file reaches the dynamic loader. */
#include "fake.h"
#include "runtime/internal.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static AttnError error;

Test(load, describes_itself)
{
    AttnLibrary *l = fake_open();
    AttnLibraryDesc desc = attn_library_desc(l);
    cr_assert_str_eq(desc.compiler, "by hand");
    cr_assert_str_eq(desc.source, "fake.attn");
    cr_assert_str_eq(desc.path, fake_module());
    cr_assert_eq(attn_pattern_count(l), 7);
    cr_assert_null(attn_pattern_at(l, 7));
    cr_assert_null(attn_pattern_at(l, -1));
    cr_assert_null(attn_pattern_find(l, "nothing"));
    const AttnPatternDesc *p = attn_pattern_find(l, "score");
    cr_assert_eq(p, attn_pattern_at(l, 0));
    cr_assert_str_eq(p->doc, "Scores.");
    cr_assert_str_eq(p->signature, "pattern score(...)");
    cr_assert_eq(p->n_indices, 6);
    cr_assert_str_eq(p->indices[5], "page");
    cr_assert_eq(p->n_tensors, 6);
    const AttnTensorDesc *q = &p->tensors[0], *table = &p->tensors[3], *o = &p->tensors[5];
    cr_assert_str_eq(q->name, "q");
    cr_assert_str_eq(q->indices[0], "b");
    cr_assert_str_eq(q->indices[3], "d");
    cr_assert_eq(q->n_ambient, 2);
    cr_assert_eq(q->heads, 1);
    cr_assert_eq(q->type.code, kDLFloat);
    cr_assert_eq(q->type.bits, 32);
    cr_assert_str_eq(table->range, "0..size(page)");
    cr_assert_eq(table->role, ATTN_ROLE_CAPTURE);
    cr_assert_eq(table->type.code, kDLInt);
    cr_assert(p->tensors[4].optional);
    cr_assert_eq(o->role, ATTN_ROLE_OUTPUT);
    cr_assert_eq(p->params[0].integer, 1000);
    cr_assert_eq(p->params[1].kind, ATTN_PARAM_FLOAT);
    cr_assert(!p->params[1].has_default);
    cr_assert_eq(attn_pattern_find(l, "pick")->n_variants, 3);
    attn_close(l);
    attn_close(NULL);
}

Test(load, refuses_what_is_no_module)
{
    AttnLibrary *l = (void *)1;
    char path[600];
    const char *folder = fake_folder();
    EXPECT(IO, &error, "No such file", attn_open("/nowhere/x.so", &l, &error));
    EXPECT(IO, &error, "not a regular file", attn_open("/", &l, &error));
    EXPECT(IO, &error, "not a regular file", attn_open("/dev/zero", &l, &error));
    snprintf(path, sizeof path, "%s/fifo", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    EXPECT(IO, &error, "not a regular file", attn_open(path, &l, &error));
    snprintf(path, sizeof path, "%s/x.so", folder);
    fake_write(path, "", 0);
    EXPECT(FILE, &error, "empty", attn_open(path, &l, &error));
    fake_write(path, "hello", 5);
    EXPECT(FILE, &error, "not a shared object", attn_open(path, &l, &error));
    EXPECT(FILE, &error, "not made by attnc",
           attn_open(fake_build("fake_module", "-DFAKE_NO_NOTE"), &l, &error));
    EXPECT(USAGE, &error, "NULL", attn_open(NULL, &l, &error));
    cr_assert_eq(attn_open("/nowhere/x.so", &l, NULL), ATTN_STATUS_IO);
    cr_assert_eq(l, (void *)1, "a failed call changes nothing");
}

Test(load, refuses_other_versions)
{
    AttnLibrary *l;
    EXPECT(ABI, &error, "ABI 0 by an older attnc",
           attn_open(fake_build("fake_module", "-DFAKE_ABI=0"), &l, &error));
    EXPECT(ABI, &error, "ABI 99 by a newer attnc",
           attn_open(fake_build("fake_module", "-DFAKE_ABI=99"), &l, &error));
}

/* In exact allocations, so that the address sanitizer sees reads past the end. */
static AttnStatus check_copy(const char *bytes, size_t size)
{
    char *copy = malloc(size ? size : 1);
    AttnNote note;
    if (size)
        memcpy(copy, bytes, size);
    error.text[0] = 0;
    AttnStatus status = rt_elf_check(copy, size, "x.so", &note, &error);
    free(copy);
    return status;
}

static char *small_module(size_t *size)
{
    return fake_read(fake_build("fake_module", "-s -nostdlib -Wl,-z,noseparate-code"), size);
}

Test(load, every_truncation_has_a_reason)
{
    size_t size;
    char *bytes = small_module(&size);
    cr_assert_eq(check_copy(bytes, size), ATTN_OK);
    for (size_t n = 0; n < size; n++) {
        cr_assert_eq(check_copy(bytes, n), ATTN_STATUS_FILE, "%zu bytes", n);
        cr_assert(strlen(error.text) > strlen("x.so: "), "%zu bytes", n);
    }
    free(bytes);
}

Test(load, every_flipped_byte_has_a_reason)
{
    static const char flips[] = {1, 64, -128, -1};
    size_t size;
    char *bytes = small_module(&size);
    for (size_t at = 0; at < size; at++) {
        for (int i = 0; i < 4; i++) {
            char flip = flips[i];
            bytes[at] ^= flip;
            cr_assert_neq(check_copy(bytes, size), ATTN_OK, "byte %zu", at);
            cr_assert(strlen(error.text) > strlen("x.so: "), "byte %zu", at);
            bytes[at] ^= flip;
        }
    }
    free(bytes);
}

Test(load, truncated_and_damaged_files_are_not_opened)
{
    size_t size;
    AttnLibrary *l;
    char *bytes = fake_read(fake_module(), &size), path[600];
    snprintf(path, sizeof path, "%s/x.so", fake_folder());
    for (size_t n = 1; n < size; n += 997) {
        fake_write(path, bytes, n);
        EXPECT(FILE, &error, "", attn_open(path, &l, &error));
    }
    bytes[size / 2] ^= 1;
    fake_write(path, bytes, size);
    EXPECT(FILE, &error, "checksum", attn_open(path, &l, &error));
    bytes[size / 2] ^= 1;
    bytes = realloc(bytes, size + 1);
    fake_write(path, bytes, size + 1);
    EXPECT(FILE, &error, "written with", attn_open(path, &l, &error));
    free(bytes);
}

static uint64_t number(const AttnLibrary *l) { return attn_library_desc(l).source_hash[1]; }

static void copy(const char *from, const char *to)
{
    size_t size;
    char temporary[700], *bytes = fake_read(from, &size);
    snprintf(temporary, sizeof temporary, "%s.new", to);
    fake_write(temporary, bytes, size);
    free(bytes);
    cr_assert_eq(rename(temporary, to), 0);
}

/* The dynamic loader knows files by name: a file that was replaced, or a descriptor that was used before,
 * must not bring back old code. */
Test(load, a_replaced_file_is_new)
{
    char path[600], one[600], two[600];
    snprintf(path, sizeof path, "%s/x.so", fake_folder());
    snprintf(one, sizeof one, "%s", fake_build("fake_module", "-DFAKE_NUMBER=1"));
    snprintf(two, sizeof two, "%s", fake_build("fake_module", "-DFAKE_NUMBER=2"));
    AttnLibrary *first, *again, *second;
    copy(one, path);
    OK(attn_open(path, &first, &error));
    OK(attn_open(path, &again, &error));
    copy(two, path);
    attn_close(first); /* its descriptor is free now, its code still there */
    OK(attn_open(path, &second, &error));
    cr_assert_eq(number(again), 1);
    cr_assert_eq(number(second), 2);
    attn_close(again);
    attn_close(second);
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

Test(load, nothing_is_left_open)
{
    AttnLibrary *l;
    char path[600];
    snprintf(path, sizeof path, "%s/x.so", fake_folder());
    fake_write(path, "hello", 5);
    attn_close(fake_open());
    int before = open_descriptors();
    for (int i = 0; i < 10; i++) {
        attn_close(fake_open());
        EXPECT(FILE, &error, "", attn_open(path, &l, &error));
    }
    cr_assert_eq(open_descriptors(), before);
}

Test(load, a_binding_keeps_its_library)
{
    AttnLibrary *l = fake_open();
    AttnBinding *b;
    OK(attn_binding_new(l, "pick", &b, &error));
    attn_close(l);
    float x[4] = {0};
    int64_t o = 0;
    OK(attn_bind_dense(b, "x", x, 1, (int64_t[]){4}, &error));
    OK(attn_bind_dense(b, "o", &o, 0, NULL, &error));
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o, 2);
    cr_assert_str_eq(attn_binding_pattern(b)->name, "pick");
    attn_binding_free(b);
    attn_binding_free(NULL);
}

Test(load, statuses_have_texts)
{
    for (int s = ATTN_OK; s <= ATTN_STATUS_USAGE; s++)
        cr_assert(strlen(attn_status_text((AttnStatus)s)) > 0);
    cr_assert_str_eq(attn_version(), ATTN_VERSION);
}
