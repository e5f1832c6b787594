/* fuzz_front N [SEED] PATH...   feeds all files of the paths, then N changed .attn files, to
 * LLVMFuzzerTestOneInput; the same N and SEED give the same texts. Where one fails, the text is in
 * fuzz_front.input in the working folder. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 1000, LARGEST = 1 << 16 };
typedef struct Input {
    size_t n;
    char at[2 * LARGEST];
} Input;
static const char *const words[] = {
    "pattern ", "mask ",
    "fn ",      "use ",
    "over ",    "with ",
    "example ", "cost ",
    "require ", "carry ",
    "index ",   "block ",
    " of ",     " like ",
    " from ",   " by ",
    " into ",   " in ",
    " where ",  "if ",
    " then ",   " else ",
    " and ",    " or ",
    "not ",     "true",
    "(",        ")",
    "[",        "]",
    "{",        "}",
    ",",        ":",
    ".",        "..",
    "->",       "=",
    "==",       "!=",
    "<",        "<=",
    "|",        "^",
    "&",        "<<",
    "+",        "-",
    "*",        "/",
    "//",       "%",
    "**",       "\n",
    "\n    ",   "\t",
    "\r\n",     "# c\n",
    "\"s\"",    "\"",
    "1",        "1.5",
    ".5",       "9e99",
    "x",        "j",
    "sum[j](",  "j -> r",
    "j | c",    "&&",
    "!",        "\xE2\x89\xA4",
    "\xFF",     "flatten(a, b)",
    "join(",    "int",
    "size(j)",
};

typedef struct Fuzz {
    uint64_t state;
    char *texts[FILES];
    size_t sizes[FILES], n_texts;
    Input input;
} Fuzz;

static size_t below(Fuzz *f, size_t n) /* xorshift64* */
{
    f->state ^= f->state >> 12;
    f->state ^= f->state << 25;
    f->state ^= f->state >> 27;
    return n ? (size_t)((f->state * 0x2545F4914F6CDD1DULL) >> 33) % n : 0;
}

static void load(Fuzz *f, const char *path)
{
    DIR *folder = opendir(path);
    size_t end = strlen(path);
    if (folder) {
        struct dirent **entries;
        int n = scandir(path, &entries, NULL, alphasort);
        for (int i = 0; i < n; i++) {
            char name[1000];
            if (entries[i]->d_name[0] != '.' &&
                snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name) < 1000)
                load(f, name);
            free(entries[i]);
        }
        if (n >= 0) free(entries);
        closedir(folder);
        return;
    }
    FILE *file = end > 5 && !strcmp(path + end - 5, ".attn") && f->n_texts < FILES ? fopen(path, "rb") : NULL;
    if (!file) return;
    char *text = calloc(1, LARGEST);
    f->sizes[f->n_texts] = text ? fread(text, 1, LARGEST - 1, file) : 0;
    if (f->sizes[f->n_texts])
        f->texts[f->n_texts++] = text;
    else
        free(text);
    fclose(file);
}

static void replace(Input *in, size_t from, size_t to, const char *text, size_t n)
{
    if (in->n - (to - from) + n > sizeof in->at) return;
    memmove(in->at + from + n, in->at + to, in->n - to);
    memcpy(in->at + from, text, n);
    in->n = in->n - (to - from) + n;
}

static void mutate(Fuzz *f)
{
    Input *in = &f->input;
    size_t at = below(f, in->n + 1), some = below(f, 24) + 1, to = at + some < in->n ? at + some : in->n;
    const char *word = words[below(f, sizeof words / sizeof *words)], *other = f->texts[below(f, f->n_texts)];
    size_t from = below(f, strlen(other)), rest = strlen(other + from);
    char byte = (char)below(f, 256);
    switch (below(f, 7)) {
    case 0: replace(in, at, to, "", 0); break;
    case 1: replace(in, at, at, word, strlen(word)); break;
    case 2: replace(in, at, to, word, strlen(word)); break;
    case 3: replace(in, at, at, other + from, rest < some ? rest : some); break;
    case 4: replace(in, at, to, other + from, rest < 4 * some ? rest : 4 * some); break;
    case 5: replace(in, at, at < in->n ? at + 1 : at, &byte, 1); break;
    default: replace(in, at, at, other + from, rest < 400 ? rest : 400); break;
    }
}

static void save(const Input *in)
{
    FILE *file = fopen("fuzz_front.input", "wb");
    if (!file) return;
    fwrite(in->at, 1, in->n, file);
    fclose(file);
}

static void feed(const Input *in)
{
    save(in);
    LLVMFuzzerTestOneInput((const uint8_t *)in->at, in->n);
}

int main(int argc, char **argv)
{
    static Fuzz f;
    size_t times = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, first = 2;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    if (seed) first = 3;
    for (int i = (int)first; i < argc; i++) load(&f, argv[i]);
    if (!f.n_texts) return fprintf(stderr, "usage: fuzz_front N [SEED] PATH...\n"), 2;
    f.state = seed + 0x9E3779B97F4A7C15ULL;
    for (size_t i = 0; i < f.n_texts + times; i++) {
        size_t which = i < f.n_texts ? i : below(&f, f.n_texts);
        f.input.n = f.sizes[which];
        memcpy(f.input.at, f.texts[which], f.input.n);
        if (i < f.n_texts) {
            feed(&f.input);
            continue;
        }
        for (size_t n = below(&f, 6) + 1; n > 0; n--) mutate(&f);
        feed(&f.input);
    }
    remove("fuzz_front.input");
    for (size_t i = 0; i < f.n_texts; i++) free(f.texts[i]);
    printf("%zu texts\n", f.n_texts + times);
    return 0;
}
