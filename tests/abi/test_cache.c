/* Compiling as the program runs, and the cache on the disk, with a compiler that compiles nothing
 * (module/fake_jit.c). */
#include "fake.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static AttnError error;
static char root[512], folder[600], log_path[600], nvrtc[600];

/* An empty cache of this test's own. */
static void set_up(void)
{
    snprintf(root, sizeof root, "%s", fake_folder());
    snprintf(folder, sizeof folder, "%s/attnc", root);
    snprintf(log_path, sizeof log_path, "%s/log", root);
    fake_write(log_path, "", 0);
    setenv("XDG_CACHE_HOME", root, 1);
    setenv("FAKE_LOG", log_path, 1);
    setenv("FAKE_MODULE", fake_module(), 1);
    setenv("ATTN_JIT", fake_build("fake_jit", ""), 1);
    snprintf(nvrtc, sizeof nvrtc, "%s/nvrtc", root);
    fake_write(nvrtc, "1", 1);
    setenv("FAKE_NVRTC", nvrtc, 1);
    unsetenv("ATTN_NVRTC");
    unsetenv("ATTN_CACHE_SIZE");
}

static int compiled(void)
{
    struct stat st;
    return stat(log_path, &st) == 0 ? (int)st.st_size : -1;
}

static AttnLibrary *get(const char *text, const AttnCompileOptions *options)
{
    AttnLibrary *l = NULL;
    OK(attn_compile_string(text, NULL, options, &l, &error));
    cr_assert_not_null(attn_pattern_find(l, "busy"));
    return l;
}

/* Compiles a text; whether it came from the cache. */
static bool cached(const char *text, const AttnCompileOptions *options)
{
    AttnLibrary *l = get(text, options);
    bool hit = attn_library_desc(l).cached != 0;
    attn_close(l);
    return hit;
}

static const char *remark_of(const char *text, const AttnCompileOptions *options)
{
    static char remark[256];
    AttnLibrary *l = get(text, options);
    snprintf(remark, sizeof remark, "%s", attn_library_desc(l).remark ? attn_library_desc(l).remark : "");
    attn_close(l);
    return remark;
}

/* Calls a function for the files of the cache whose name ends so; returns their number. */
static int each_file(const char *end, void (*call)(const char *path, void *data), void *data)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t length = strlen(e->d_name), tail = strlen(end);
        char path[1000];
        if (e->d_name[0] == '.' || length < tail || strcmp(e->d_name + length - tail, end) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        n++;
        if (call)
            call(path, data);
    }
    if (d)
        closedir(d);
    return n;
}

static void keep_path(const char *path, void *data) { snprintf(data, 1000, "%s", path); }

Test(cache, hit, .init = set_up)
{
    cr_assert(!cached("one", NULL));
    cr_assert(cached("one", NULL));
    cr_assert(!cached("two", NULL));
    cr_assert(cached("one", NULL));
    cr_assert_eq(compiled(), 2);
    cr_assert_eq(each_file(".key", NULL, NULL), 2);
    cr_assert_eq(each_file("", NULL, NULL), 4, "no temporary files");
}

Test(cache, a_module_from_the_cache_runs, .init = set_up)
{
    attn_close(get("one", NULL));
    AttnLibrary *l = get("one", NULL);
    AttnBinding *b;
    int64_t o[7] = {0};
    OK(attn_binding_new(l, "busy", &b, &error));
    OK(attn_bind_dense(b, "o", o, 1, (int64_t[]){7}, &error));
    OK(attn_run(b, NULL, &error));
    cr_assert_eq(o[6], 1);
    attn_binding_free(b);
    attn_close(l);
}

Test(cache, every_option_counts, .init = set_up)
{
    static const char *const list[] = {"a=1", NULL}, *const other[] = {"a=2", NULL},
                             *const more[] = {"a=1", "b=2", NULL};
    const AttnCompileOptions options[] = {
        {0},
        {.pattern = "busy"},
        {.definitions = list},
        {.definitions = other},
        {.definitions = more},
        {.includes = list},
        {.sizes = list},
        {.cpu = "x86-64-v3"},
        {.f64 = 1},
        {.debug = 1},
        {.target = "cuda"},
        {.target = "cuda:sm_90"},
        {.target = "cuda", .real = "f16"},
    };
    enum { N = sizeof options / sizeof *options };
    for (int i = 0; i < N; i++)
        cr_assert(!cached("one", &options[i]), "options %d", i);
    for (int i = 0; i < N; i++)
        cr_assert(cached("one", &options[i]), "options %d", i);
    cr_assert_eq(compiled(), N);
}

Test(cache, targets, .init = set_up)
{
    cr_assert_str_eq(remark_of("target 1", NULL), "target -, -, -");
    cr_assert_str_eq(remark_of("target 2", &(AttnCompileOptions){.target = "cpu"}), "target -, -, -");
    cr_assert_str_eq(remark_of("target", &(AttnCompileOptions){.target = "cuda"}), "target cuda, -, -");
    AttnCompileOptions options = {.target = "cuda:sm_80,sm_90", .real = "bf16"};
    cr_assert_str_eq(remark_of("target", &options), "target cuda, sm_80,sm_90, bf16");
    static const char *const wrong[] = {"gpu", "cuda:", "cudasm_80", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        AttnLibrary *l;
        options.target = wrong[i];
        EXPECT(USAGE, &error, "expected cpu, cuda, or cuda:sm_80,sm_90",
               attn_compile_string("one", NULL, &options, &l, &error));
    }
}

/* The CUDA compiler: the one named, and what its file is. */
Test(cache, nvrtc, .init = set_up)
{
    AttnCompileOptions cuda = {.target = "cuda"};
    cr_assert(!cached("one", &cuda) && cached("one", &cuda));
    fake_write(nvrtc, "22", 2);
    cr_assert(!cached("one", &cuda) && cached("one", &cuda));
    cr_assert(!cached("one", NULL) && cached("one", NULL));
    setenv("ATTN_NVRTC", "/another", 1);
    cr_assert(!cached("one", &cuda) && cached("one", &cuda));
    cr_assert(cached("one", NULL));
}

Test(cache, the_place_of_the_source_counts, .init = set_up)
{
    AttnLibrary *l;
    char path[600];
    snprintf(path, sizeof path, "%s/s.attn", root);
    fake_write(path, "one", 3);
    OK(attn_compile_file(path, NULL, &l, &error));
    attn_close(l);
    OK(attn_compile_file(path, NULL, &l, &error));
    cr_assert(attn_library_desc(l).cached);
    attn_close(l);
    OK(attn_compile_string("one", "other.attn", NULL, &l, &error));
    cr_assert(!attn_library_desc(l).cached);
    attn_close(l);
    cr_assert_eq(chdir(root), 0);
    OK(attn_compile_string("one", "other.attn", NULL, &l, &error));
    cr_assert(!attn_library_desc(l).cached, "another working folder");
    attn_close(l);
    fake_write(path, "o\0e", 3);
    EXPECT(SOURCE, &error, "zero byte", attn_compile_file(path, NULL, &l, &error));
    EXPECT(IO, &error, "No such file", attn_compile_file("/nowhere/s.attn", NULL, &l, &error));
    EXPECT(USAGE, &error, "NULL", attn_compile_string(NULL, NULL, NULL, &l, &error));
}

Test(cache, used_files, .init = set_up)
{
    char used[600], first[610], text[700];
    snprintf(used, sizeof used, "%s/masks.attn", root);
    snprintf(first, sizeof first, "%s.first", used);
    snprintf(text, sizeof text, "use %s\n", used);
    fake_write(used, "mask", 4);
    cr_assert(!cached(text, NULL));
    cr_assert(cached(text, NULL));
    fake_write(used, "Mask", 4);
    cr_assert(!cached(text, NULL));
    cr_assert(cached(text, NULL));
    fake_write(first, "mask", 4); /* found before the other one */
    cr_assert(!cached(text, NULL));
    cr_assert(cached(text, NULL));
    unlink(first);
    cr_assert(!cached(text, NULL));
    unlink(used);
    cr_assert(!cached(text, NULL));
    cr_assert_eq(compiled(), 5);
}

Test(cache, what_the_compiler_says, .init = set_up)
{
    AttnLibrary *l = (void *)1;
    EXPECT(SOURCE, &error, "s.attn:1:1: error[E001]: wrong",
           attn_compile_string("error", NULL, NULL, &l, &error));
    EXPECT(COMPILER, &error, "no linker", attn_compile_string("fail", NULL, NULL, &l, &error));
    EXPECT(COMPILER, &error, "failed", attn_compile_string("silent", NULL, NULL, &l, &error));
    EXPECT(COMPILER, &error, "left no", attn_compile_string("nothing", NULL, NULL, &l, &error));
    EXPECT(FILE, &error, "not a shared object", attn_compile_string("rubbish", NULL, NULL, &l, &error));
    cr_assert_eq(l, (void *)1);
    cr_assert_str_eq(remark_of("warn", NULL), "a warning");
    cr_assert_str_eq(remark_of("fine", NULL), "");
    cr_assert_eq(each_file("", NULL, NULL), 4, "failures leave nothing behind");
    setenv("ATTN_JIT", "/nowhere/libattn_jit.so", 1);
    EXPECT(COMPILER, &error, "cannot open the compiler: /nowhere/libattn_jit.so",
           attn_compile_string("one", NULL, NULL, &l, &error));
    setenv("ATTN_JIT", fake_module(), 1);
    EXPECT(COMPILER, &error, "is no compiler of attnc", attn_compile_string("one", NULL, NULL, &l, &error));
}

static void flip_middle(const char *path, void *data)
{
    (void)data;
    size_t size;
    char *bytes = fake_read(path, &size);
    bytes[size / 2] ^= 1;
    fake_write(path, bytes, size);
    free(bytes);
}
static void cut(const char *path, void *data) { cr_assert_eq(truncate(path, *(off_t *)data), 0); }
static void put(const char *path, void *data)
{
    size_t size;
    char *bytes = fake_read(data, &size);
    fake_write(path, bytes, size);
    free(bytes);
}
static void drop(const char *path, void *data)
{
    (void)data;
    unlink(path);
}

/* Whatever happened to the files: compiled anew, and good afterwards. */
static void expect_replaced(void)
{
    cr_assert(!cached("one", NULL));
    cr_assert(cached("one", NULL));
}

Test(cache, damaged_entries, .init = set_up)
{
    off_t sizes[] = {0, 1, 100, 5000};
    cached("one", NULL);
    each_file(".so", flip_middle, NULL), expect_replaced();
    each_file(".key", flip_middle, NULL), expect_replaced();
    for (int i = 0; i < 4; i++) {
        each_file(".so", cut, &sizes[i]), expect_replaced();
        if (i < 3)
            each_file(".key", cut, &sizes[i]), expect_replaced();
    }
    each_file(".so", drop, NULL), expect_replaced();
    each_file(".key", drop, NULL), expect_replaced();
    char other[512];
    snprintf(other, sizeof other, "%s", fake_build("fake_module", "-DFAKE_NUMBER=5"));
    each_file(".so", put, other), expect_replaced(); /* a good module, but not the one */
    snprintf(other, sizeof other, "%s", fake_build("fake_module", "-DFAKE_ABI=99"));
    each_file(".so", put, other), expect_replaced();
}

Test(cache, a_key_with_any_byte_flipped, .init = set_up)
{
    char path[1000];
    size_t size;
    cached("one", NULL);
    each_file(".key", keep_path, path);
    char *bytes = fake_read(path, &size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x11;
        fake_write(path, bytes, size);
        bytes[i] ^= 0x11;
        cr_assert(!cached("one", NULL), "byte %zu", i);
        fake_write(path, bytes, size);
    }
    cr_assert(cached("one", NULL));
    free(bytes);
}

static void expect_private(const char *path, void *data)
{
    (void)data;
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600, "%s has mode %o", path, st.st_mode & 0777);
}

Test(cache, belongs_to_the_owner_alone, .init = set_up)
{
    struct stat st;
    umask(0);
    cached("one", NULL);
    cr_assert_eq(stat(folder, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0700);
    each_file("", expect_private, NULL);
    for (mode_t mode = 0; mode < 2; mode++) {
        chmod(folder, mode ? 0720 : 0702);
        cr_assert(strstr(remark_of("one", NULL), "others may write to the folder"));
        cr_assert(!cached("one", NULL));
    }
    chmod(folder, 0700);
    cr_assert(cached("one", NULL));
    if (geteuid() == 0 && chown(folder, 1, 1) == 0)
        cr_assert(strstr(remark_of("one", NULL), "belongs to another user"));
}

Test(cache, does_not_follow_a_link, .init = set_up)
{
    char elsewhere[600];
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", root);
    mkdir(elsewhere, 0700);
    cr_assert_eq(symlink(elsewhere, folder), 0);
    cr_assert(strstr(remark_of("one", NULL), "no cache"));
}

Test(cache, without_a_folder, .init = set_up)
{
    setenv("XDG_CACHE_HOME", log_path, 1); /* a file */
    cr_assert(strstr(remark_of("one", NULL), "no cache"));
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", root, 1);
    cr_assert(!cached("one", NULL));
    cr_assert(cached("one", NULL), "~/.cache instead");
    unsetenv("HOME");
    cr_assert(strstr(remark_of("one", NULL), "neither XDG_CACHE_HOME nor HOME"));
    setenv("TMPDIR", "/nowhere", 1);
    AttnLibrary *l;
    EXPECT(IO, &error, "/nowhere", attn_compile_string("one", NULL, NULL, &l, &error));
}

Test(cache, can_be_turned_off, .init = set_up)
{
    cr_assert(!cached("one", &(AttnCompileOptions){.no_cache = 1}));
    cr_assert_eq(each_file("", NULL, NULL), 0);
    setenv("ATTN_CACHE_SIZE", "0", 1);
    cr_assert(strstr(remark_of("one", NULL), "ATTN_CACHE_SIZE is 0"));
    cr_assert_eq(each_file("", NULL, NULL), 0);
    setenv("ATTN_CACHE_SIZE", "1G", 1);
    cr_assert(!cached("one", NULL));
    cr_assert(cached("one", NULL));
    cr_assert(!cached("one", &(AttnCompileOptions){.no_cache = 1}), "not read either");
}

static void add_size(const char *path, void *data)
{
    struct stat st;
    if (stat(path, &st) == 0)
        *(int64_t *)data += st.st_size;
}

static void age(const char *path, void *data)
{
    struct timespec times[2];
    times[0].tv_sec = times[1].tv_sec = time(NULL) - *(time_t *)data;
    times[0].tv_nsec = times[1].tv_nsec = 0;
    utimensat(AT_FDCWD, path, times, 0);
}

Test(cache, is_bounded, .init = set_up)
{
    int64_t one = 0, all;
    char text[32];
    time_t minute = 60;
    cached("one", NULL);
    each_file("", add_size, &one);
    snprintf(text, sizeof text, "%lld", (long long)(3 * one + one / 2));
    setenv("ATTN_CACHE_SIZE", text, 1);
    for (int i = 0; i < 8; i++) {
        each_file("", age, &minute);
        cr_assert(i == 0 || cached("one", NULL), "what is used stays");
        snprintf(text, sizeof text, "text %d", i);
        cr_assert(!cached(text, NULL));
        cr_assert(cached(text, NULL), "what is new stays");
        all = 0;
        each_file("", add_size, &all);
        cr_assert(all <= 3 * one + one / 2);
    }
    setenv("ATTN_CACHE_SIZE", "1K", 1);
    cr_assert(!cached("big", NULL), "larger than the cache, but it works");
}

Test(cache, old_temporary_files_go, .init = set_up)
{
    char path[700];
    time_t day = 86400;
    cached("one", NULL);
    snprintf(path, sizeof path, "%s/tmp-1-0000000000000000.so", folder);
    fake_write(path, "x", 1);
    age(path, &day);
    cached("two", NULL);
    cr_assert_neq(access(path, F_OK), 0);
    fake_write(path, "x", 1);
    cached("three", NULL);
    cr_assert_eq(access(path, F_OK), 0, "somebody may be writing it");
}

/* A disk that takes the module but not the key. */
Test(cache, a_full_disk_is_remarked, .init = set_up)
{
    enum { LARGE = 1 << 20 };
    char *text = malloc(LARGE + 1);
    memset(text, ' ', LARGE);
    text[LARGE] = 0;
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {LARGE / 2, LARGE / 2};
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert(strstr(remark_of(text, NULL), "cannot write to the cache"));
    cr_assert_eq(each_file(".key", NULL, NULL), 0);
    cr_assert_eq(each_file("tmp-", NULL, NULL), 0);
    free(text);
}

/* ---- several processes at once, one of which does nothing but harm ---- */

static void harm(const char *path, void *data)
{
    unsigned *state = data;
    *state = *state * 1664525 + 1013904223;
    off_t size = (off_t)(*state >> 20);
    if (strstr(path, "/tmp-"))
        return; /* being written */
    if (*state >> 30 == 0)
        unlink(path);
    else if (*state >> 30 == 1 && strstr(path, ".key") && truncate(path, size) != 0)
        return;
}

static void use(int number)
{
    for (int i = 0; i < 60; i++) {
        char text[32];
        AttnLibrary *l;
        snprintf(text, sizeof text, "text %d", (i * 7 + number) % 5);
        if (attn_compile_string(text, NULL, NULL, &l, &error)) {
            fprintf(stderr, "%s\n", error.text);
            _exit(1);
        }
        AttnBinding *b;
        int64_t o[9] = {0};
        if (attn_binding_new(l, "busy", &b, &error) ||
            attn_bind_dense(b, "o", o, 1, (int64_t[]){9}, &error) ||
            attn_run(b, &(AttnRunOptions){.threads = 1}, &error) || o[8] != 1)
            _exit(2);
        attn_binding_free(b);
        attn_close(l);
    }
    _exit(0);
}

static void race(bool with_harm)
{
    enum { PROCESSES = 6 };
    pid_t children[PROCESSES], vandal = 0;
    for (int i = 0; i < PROCESSES; i++)
        if ((children[i] = fork()) == 0)
            use(i);
    if (with_harm && (vandal = fork()) == 0)
        for (unsigned state = 1; getppid() != 1;) {
            each_file("", harm, &state);
            usleep(500);
        }
    int bad = 0, status;
    for (int i = 0; i < PROCESSES; i++)
        bad += waitpid(children[i], &status, 0) != children[i] || status != 0;
    if (with_harm) {
        kill(vandal, SIGKILL);
        waitpid(vandal, NULL, 0);
    }
    cr_assert_eq(bad, 0);
}

Test(cache, processes, .init = set_up, .timeout = 120)
{
    race(false);
    cr_assert_eq(each_file(".key", NULL, NULL), 5);
    cr_assert(compiled() <= 30, "%d", compiled());
    for (int i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "text %d", i);
        cr_assert(cached(text, NULL));
    }
}

Test(cache, processes_and_a_vandal, .init = set_up, .timeout = 120)
{
    setenv("ATTN_CACHE_SIZE", "60K", 1); /* and too small, so that all clean up all the time */
    race(true);
}
