/* Files: shared objects, objects with their header, archives, line tables, texts. Uses cc and readelf where
 * there are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "codegen/link.h"
#include "small.h"

static const char *file(Small *s, const char *name) { return format(&s->c, "%s/%s", s->folder, name); }

/* What a shell command prints; its exit status in *status. */
static const char *shell(Small *s, int *status, const char *command)
{
    Text out = {.c = &s->c};
    text_add(&out, "%s", "");
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text_add_bytes(&out, buffer, n);
    *status = pclose(pipe);
    return out.at ? out.at : "";
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static void begin(Small *s, bool direct)
{
    small_begin(s, "attention", false);
    s->pattern.doc = "Causal attention.\nNothing */ special.";
    Param *scale = small_param(s, "scale", TYPE_REAL), *fixed = small_param(s, "fixed", TYPE_INT);
    scale->has_default = fixed->fixed = true;
    scale->value.real = 0.5;
    small_attention(s);
    small_check(s, CHECK_CONDITION, "size(d) > 0",
                node_binary(&s->c, N_LT, node_int(&s->c, 0), node_size(&s->c, s->pattern.indices.at[3])));
    s->job.direct = direct;
    PUSH(&s->c, &s->job.variants, (Variant){&s->kernel, NULL, NULL});
}

static void end(Small *s)
{
    int status;
    shell(s, &status, format(&s->c, "rm -rf %s", s->folder));
    small_end(s);
}

static const char *emit(Small *s, Emit what, const char *name, Text *out)
{
    return attn_backend()->emit(&s->job, what, name ? file(s, name) : NULL, out);
}

Test(link, shared_object_stands_alone)
{
    Small s;
    begin(&s, false);
    small_open(&s, NULL);
    int status;
    const char *text = shell(&s, &status, format(&s.c, "readelf -dW --dyn-syms %s/k.so", s.folder));
    cr_assert_eq(status, 0);
    cr_assert_null(strstr(text, "libgcc"));
    cr_assert_null(strstr(text, "TEXTREL"));
    cr_assert_not_null(strstr(text, "BIND_NOW"));
    unsigned exported = 0;
    for (const char *at = text; (at = strstr(at, " GLOBAL DEFAULT ")); at++)
        exported += strncmp(at + strlen(" GLOBAL DEFAULT "), " UND", 4) != 0;
    cr_assert_eq(exported, 1); /* attn_module */
    for (const char *at = text; (at = strstr(at, "Shared library: [")); at++) {
        const char *name = at + strlen("Shared library: [");
        cr_assert(!strncmp(name, "libc.so.6", 9) || !strncmp(name, "libm.so.6", 9));
    }
    const AttnPattern *p = s.module->patterns;
    cr_assert_str_eq(p->signature, "attention(scale: float = 0.5, fixed: int is 0)\n"
                                   "    over h: q[h, i, d], k[h, j, d], v[h, j, d] -> o[h, i, d]");
    cr_assert(p->n_tensors == 4 && p->tensors[1].heads == 0 && p->tensors[3].heads == -1 &&
              p->tensors[3].rank == 3);
    cr_assert_eq(p->tensors[2].dims[1], 2);
    cr_assert_str_eq(p->indices[2].name, "j");
    cr_assert_eq(s.module->source_hash[1], 0x5678);
    end(&s);
}

Test(link, note_tells_size_and_checksum)
{
    Small s;
    begin(&s, false);
    small_open(&s, NULL);
    FILE *f = fopen(file(&s, "k.so"), "r");
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof bytes, f), at = 0;
    fclose(f);
    AttnNote note;
    static const char head[20] = {6, 0, 0, 0, sizeof(AttnNote), 0, 0, 0, 1, 0, 0, 0, 'a', 't', 't', 'n', 'c'};
    while (at < n - sizeof note && memcmp(bytes + at, head, sizeof head)) at++;
    memcpy(&note, bytes + at + sizeof head, sizeof note);
    cr_assert_eq(note.abi, ATTN_ABI_VERSION);
    cr_assert_eq(note.size, n);
    cr_assert_eq(note.source[0], 0x1234);
    uint64_t checksum = note.checksum;
    note.checksum = 0;
    memcpy(bytes + at + sizeof head, &note, sizeof note);
    cr_assert_eq(XXH3_64bits(bytes, n), checksum);
    cr_assert(!link_stamp_note(bytes, 10));
    end(&s);
}

/* A program that calls the function of the header; prints the status, the bytes of workspace and two numbers.
 */
static const char program[] =
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "#include \"k.h\"\n"
    "int main(void)\n"
    "{\n"
    "    float q[24], k[24], v[48], o[24];\n"
    "    for (int i = 0; i < 24; i++) q[i] = k[i] = 0, v[i] = v[i + 24] = (float)i, o[i] = -1;\n"
    "    int64_t strides[3] = {24, 8, 2};\n"
    "    struct attention_args a = attention_defaults();\n"
    "    if (a.scale != 0.5) return 1;\n"
    "    a.size_h = 2, a.size_i = 3, a.size_j = 3, a.size_d = 4;\n"
    "    a.q = q, a.k = k, a.v = v, a.o = o, a.k_group = a.v_group = 2, a.v_strides = strides;\n"
    "    size_t bytes = attention_workspace(&a);\n"
    "    if (attention(&a) != -1) return 2;\n"
    "    a.workspace = aligned_alloc(64, bytes);\n"
    "    int status = attention(&a);\n"
    "    printf(\"%d %zu %g %g %g;\", status, bytes, (double)o[0], (double)o[4], (double)o[23]);\n"
    "    a.size_d = 0;\n"
    "    printf(\"%d %zu;\", attention(&a), attention_workspace(&a));\n"
    "    a.size_d = -4;\n"
    "    printf(\"%d\", attention(&a));\n"
    "    free(a.workspace);\n"
    "    return 0;\n"
    "}\n";

static void check_direct(Emit what, const char *name, const char *link)
{
    Small s;
    begin(&s, true);
    Text header = {.c = &s.c};
    cr_assert_null(emit(&s, what, name, NULL));
    cr_assert_null(emit(&s, EMIT_HEADER, NULL, &header));
    write_text(file(&s, "k.h"), header.at);
    write_text(file(&s, "main.c"), program);
    int status;
    const char *said = shell(&s, &status,
                             format(&s.c,
                                    "cd %s && ${CC:-cc} -std=c11 -Wall -Wextra -Wconversion -Werror main.c "
                                    "%s -lm -o main 2>&1 && ./main",
                                    s.folder, link));
    cr_assert_eq(status, 0, "%s", said);
    cr_assert_str_eq(said, "0 64 0 4 14;1 0;-1");
    end(&s);
}

Test(link, object_with_header) { check_direct(EMIT_OBJ, "k.o", "k.o"); }
Test(link, archive_with_header) { check_direct(EMIT_ARCHIVE, "libk.a", "-L. -lk"); }
Test(link, shared_object_with_header) { check_direct(EMIT_SHARED, "libk.so", "-L. -lk -Wl,-rpath,."); }

Test(link, header_is_cpp_too)
{
    Small s;
    begin(&s, true);
    Text header = {.c = &s.c};
    cr_assert_null(emit(&s, EMIT_HEADER, NULL, &header));
    cr_assert_not_null(strstr(header.at, " *   1   does not hold: size(d) > 0\n"));
    cr_assert_null(strstr(header.at, "Nothing */"));
    write_text(file(&s, "k.h"), header.at);
    write_text(file(&s, "main.cc"), "#include \"k.h\"\n");
    int status;
    const char *said = shell(&s, &status,
                             format(&s.c,
                                    "command -v c++ >/dev/null || exit 0; cd %s && c++ -Wall -Werror "
                                    "-fsyntax-only main.cc 2>&1",
                                    s.folder));
    cr_assert_eq(status, 0, "%s", said);
    end(&s);
}

Test(link, line_tables_lead_into_the_source)
{
    Small s;
    begin(&s, false);
    uint32_t source = compilation_add_source(&s.c, "dir/small.attn", "first\nsecond\n  third\n", 22);
    s.job.debug = true;
    s.kernel.phases.at[0].body.at[0]->span = (Span){source, 15, 20}; /* third */
    small_open(&s, NULL);
    int status;
    const char *text = shell(&s, &status, format(&s.c, "readelf --debug-dump=decodedline %s/k.so", s.folder));
    cr_assert_eq(status, 0);
    cr_assert_not_null(strstr(text, "small.attn"));
    cr_assert_not_null(strstr(text, " 3 "));
    end(&s);
}

Test(link, texts)
{
    Small s;
    begin(&s, false);
    Text ir = {.c = &s.c}, assembly = {.c = &s.c};
    cr_assert_null(emit(&s, EMIT_LLVM, NULL, &ir));
    cr_assert_not_null(strstr(ir.at, "@attention.0.prepare(ptr"));
    cr_assert_null(emit(&s, EMIT_ASM, NULL, &assembly));
    cr_assert_not_null(strstr(assembly.at, "attn_module:"));
    end(&s);
}

Test(link, errors_are_texts)
{
    Small s;
    begin(&s, false);
    const char *error = emit(&s, EMIT_SHARED, "no/such/folder/k.so", NULL);
    cr_assert_not_null(error);
    cr_assert_not_null(strstr(error, "No such file or directory"));
    s.job.variants.at[0].cpu = "pentium";
    error = emit(&s, EMIT_SHARED, "k.so", NULL);
    cr_assert_not_null(error);
    cr_assert_not_null(strstr(error, "unknown CPU 'pentium'; known are x86-64, "));
    cr_assert_not_null(link_shared(&s.c, (Bytes){"nonsense", 8}, file(&s, "k.so")));
    struct stat info;
    cr_assert_neq(stat(file(&s, "k.so"), &info), 0);
    end(&s);
}
