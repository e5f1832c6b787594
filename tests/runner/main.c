/* attn_test [--update] [--mode MODE] PATH...
 *     runs the text-file tests of files and folders (runner.h says how one looks); each failure shows a diff
 *     and how to run that file again
 * attn_test --codes FOLDER
 *     fails if a diagnostic code has no test in FOLDER
 *
 * Exit code: 0 all passed, 1 some failed, 2 usage. */
#include "runner.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Run {
    Compilation paths; /* holds the list of files */
    VEC(const char *) files;
    const char *program;
    Mode mode;
    bool update;
    unsigned passed, failed;
} Run;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds a file, or the .attn files of a folder and the folders in it. */
static bool add_path(Run *run, const char *path, bool named)
{
    Compilation *c = &run->paths;
    struct stat info;
    if (stat(path, &info)) return fprintf(stderr, "attn_test: cannot read %s\n", path), false;
    size_t n = strlen(path);
    if (!S_ISDIR(info.st_mode)) {
        if (named || (n > 5 && !strcmp(path + n - 5, ".attn"))) PUSH(c, &run->files, format(c, "%s", path));
        return true;
    }
    DIR *folder = opendir(path);
    if (!folder) return fprintf(stderr, "attn_test: cannot read %s\n", path), false;
    bool ok = true;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.') ok = add_path(run, format(c, "%s/%s", path, entry->d_name), false) && ok;
    closedir(folder);
    return ok;
}

typedef VEC(const char *) Lines;

static Lines split(Compilation *c, const char *text)
{
    Lines lines = {0};
    while (*text) {
        size_t n = strcspn(text, "\n");
        PUSH(c, &lines, format(c, "%.*s", (int)n, text));
        text += n + (text[n] == '\n');
    }
    return lines;
}

/* Both texts line by line, with a longest common subsequence shown once. */
static void show_diff(Compilation *c, const char *expected, const char *actual)
{
    Lines e = split(c, expected), a = split(c, actual);
    size_t width = (size_t)a.n + 1;
    uint32_t *common = NEW_ARRAY(c, uint32_t, width * (e.n + 1)); /* of the lines from i and from j on */
    for (uint32_t i = e.n; i-- > 0;)
        for (uint32_t j = a.n; j-- > 0;) {
            uint32_t down = common[(i + 1) * width + j], right = common[i * width + j + 1];
            bool same = !strcmp(e.at[i], a.at[j]);
            common[i * width + j] = same ? common[(i + 1) * width + j + 1] + 1 : down > right ? down : right;
        }
    for (uint32_t i = 0, j = 0; i < e.n || j < a.n;) {
        bool same = i < e.n && j < a.n && !strcmp(e.at[i], a.at[j]);
        bool gone = i < e.n && (j == a.n || common[(i + 1) * width + j] >= common[i * width + j + 1]);
        if (same) printf("    %s\n", e.at[i]), i++, j++;
        else if (gone) printf("  - %s\n", e.at[i++]);
        else printf("  + %s\n", a.at[j++]);
    }
}

static bool run_loaded(Run *run, TextTest *test, Text *actual)
{
    text_test_run(test, actual);
    if (!strcmp(test->expected.at, actual->at)) return true;
    if (run->update) {
        printf("updated %s\n", test->path);
        return text_test_update(test, actual);
    }
    printf("FAIL %s (mode %s)\n", test->path, mode_names[test->mode]);
    show_diff(test->c, test->expected.at, actual->at);
    printf("  again: %s %s    accept: %s --update %s\n", run->program, test->path, run->program, test->path);
    return false;
}

static void run_file(Run *run, const char *path)
{
    Compilation c;
    compilation_init(&c);
    bool ok = false;
    if (setjmp(c.escape)) {
        printf("FAIL %s: %s\n  again: %s %s\n", path, c.fatal, run->program, path);
    } else {
        TextTest test;
        Text actual = {.c = &c};
        text_add(&actual, "%s", "");
        if (text_test_read(&c, path, run->mode, &test)) ok = run_loaded(run, &test, &actual);
        else printf("FAIL %s: cannot be read\n", path);
    }
    *(ok ? &run->passed : &run->failed) += 1;
    compilation_free(&c);
}

/* Every code of diag_list.h must stand in some expectation. */
static void check_codes(Run *run)
{
    bool seen[DIAG_CODES] = {false};
    for (uint32_t i = 0; i < run->files.n; i++) {
        TextTest test;
        if (!text_test_read(&run->paths, run->files.at[i], MODE_DEFAULT, &test)) continue;
        for (int code = 0; code < DIAG_CODES; code++)
            seen[code] |=
                strstr(test.expected.at, format(&run->paths, "#! %s ", diag_code_name((DiagCode)code)))
                != NULL;
    }
    for (int code = 0; code < DIAG_CODES; code++) {
        if (!seen[code]) printf("FAIL no test expects %s\n", diag_code_name((DiagCode)code));
        *(seen[code] ? &run->passed : &run->failed) += 1;
    }
}

static int usage(void)
{
    fprintf(stderr, "usage: attn_test [--update] [--mode MODE] PATH...\n       attn_test --codes FOLDER\n");
    return 2;
}

static int run_all(Run *run, int argc, char **argv)
{
    bool codes = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--update")) run->update = true;
        else if (!strcmp(argv[i], "--codes")) codes = true;
        else if (!strcmp(argv[i], "--mode") && i + 1 < argc) {
            i++;
            for (int mode = 1; mode < MODES; mode++)
                if (!strcmp(argv[i], mode_names[mode])) run->mode = (Mode)mode;
            if (run->mode == MODE_DEFAULT) return usage();
        } else if (argv[i][0] == '-') return usage();
        else if (!add_path(run, argv[i], true)) return 2;
    }
    if (!run->files.n) return usage();
    qsort(run->files.at, run->files.n, sizeof *run->files.at, by_name);
    if (codes) check_codes(run);
    else
        for (uint32_t i = 0; i < run->files.n; i++) run_file(run, run->files.at[i]);
    printf("%u passed, %u failed\n", run->passed, run->failed);
    return run->failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    static Run run;
    run.program = argv[0];
    compilation_init(&run.paths);
    int status = 2;
    if (setjmp(run.paths.escape)) fprintf(stderr, "attn_test: %s\n", run.paths.fatal);
    else status = run_all(&run, argc, argv);
    compilation_free(&run.paths);
    return status;
}
