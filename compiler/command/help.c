/* The help texts. tests/command/examples.sh runs the examples in them: lines that begin with `  attnc`. */
#include <stdio.h>

#include "compiler/command/command.h"

static const char general[] =
"attnc " ATTN_VERSION ": a compiler for attention patterns\n"
"\n"
"usage: attnc COMMAND [OPTIONS] FILE\n"
"\n"
"  check     says what is wrong with a pattern, and nothing if it is fine\n"
"  compile   makes a shared object, an object file with a C header, or shows what a pass made\n"
"  run       runs a pattern on .npy files or on the data of its example\n"
"  list      prints the patterns of a source or of a shared object\n"
"  bench     measures how fast a pattern runs, or with `bench compile` the compiler\n"
"  explain   tells what becomes of a pattern and why, and what it takes at given sizes\n"
"  show      draws what a pattern's mask lets through: terminal, .png, .svg, a page with sliders\n"
"  fmt       puts a source into its canonical layout\n"
"  lsp       a language server for editors, over stdin and stdout\n"
"\n"
"examples:\n"
"  attnc check full.attn\n"
"  attnc compile full.attn -o full.so\n"
"  attnc run full.attn --check\n"
"  attnc list full.so\n"
"\n"
"attnc COMMAND --help tells more. Exit codes: 0 fine, 1 the input is wrong, 2 usage.\n";

static const char check[] =
"usage: attnc check [OPTIONS] FILE.attn...\n"
"\n"
"  -p, --pattern NAME        this pattern alone\n"
"  -D, --define NAME=VALUE   makes a parameter constant\n"
"  -I, --include FOLDER      where `use` looks, before the installed library\n"
"  --diagnostics lines       one line each, `path:line:col: error[E012]: text`, instead of excerpts;\n"
"                            json: one object a line\n"
"  --dump-after PASS         prints what a pass made on stderr: check graph plan loops all\n"
"  --time-passes             prints how long the passes took on stderr\n"
"  --performance             tells, too, what is legal but slow\n"
"  -w, --no-warnings         says nothing of what is legal and hardly meant\n"
"  -Werror, --warnings-as-errors\n"
"\n"
"examples:\n"
"  attnc check full.attn\n"
"  attnc check --diagnostics=lines full.attn sliding_window.attn\n"
"  attnc check sliding_window.attn -D window=64\n";

static const char compile[] =
"usage: attnc compile [OPTIONS] FILE.attn -o FILE\n"
"\n"
"  -o, --output FILE         what is made follows its suffix:\n"
"                              .so  a shared object for libattn; it needs libc and libm alone\n"
"                              .o   an object, .a an archive: one C function a pattern\n"
"                              .h   the header of these functions\n"
"                              .ll  LLVM's intermediate code, .s assembly, .cu CUDA C, .ptx PTX\n"
"  --header FILE.h           the C header beside the object; a .so then has the C functions too\n"
"  -p, --pattern NAME        this pattern alone; else all of the file\n"
"  -D, --define NAME=VALUE   makes a parameter constant\n"
"  --size INDEX=N,N          variants for these extents, beside the general one\n"
"  --dtype f32|f64           what `float` is; f32 by default; f16 and bf16 with --target cuda\n"
"  --target cpu|cuda         cuda: kernels for GPUs, compiled by NVRTC, in a .so for libattn\n"
"  --arch sm_80,sm_90        with it: code for these architectures, and PTX of the first for newer ones\n"
"  --cpu NAME,NAME           LLVM's names, this machine's by default; a .so may hold several\n"
"  -g, --debug               line tables that point into the source\n"
"  --emit WHAT               tokens ast program graph plan loops llvm asm cuda ptx: text, on stdout without\n"
"                            -o; or obj\n"
"  -I, --include FOLDER      where `use` looks, before the installed library\n"
"  --diagnostics lines|json  one line each, for machines\n"
"  --dump-after PASS         prints what a pass made on stderr: check graph plan loops all\n"
"  --time-passes             prints how long the passes took on stderr\n"
"  --performance             tells, too, what is legal but slow; --require-fast: these are errors\n"
"  -w, --no-warnings; -Werror, --warnings-as-errors: as in check\n"
"\n"
"examples:\n"
"  attnc compile full.attn -o full.so\n"
"  attnc compile sliding_window.attn -p sliding_window -D window=64 --size d=64,128 -o window.so\n"
"  attnc compile full.attn --cpu x86-64-v3,x86-64-v4 --dtype f64 -g -o full64.so\n"
"  attnc compile full.attn -o full.o --header full.h\n"
"  attnc compile full.attn --emit=loops\n";

static const char run[] =
"usage: attnc run [OPTIONS] FILE.attn\n"
"\n"
"  -p, --pattern NAME        which pattern, if the file has several\n"
"  -i, --input NAME=FILE     a tensor from a .npy file of any number type; what is not given follows the\n"
"                            pattern's example. A carried state S is handed in as S.start\n"
"  -o, --output NAME=FILE    writes an output, or S.last (NAME= may be left out if there is one output)\n"
"  --size INDEX=N            an extent\n"
"  -D, --define NAME=VALUE   a parameter\n"
"  --backend cpu             machine code (default), `loops`: the compiler's loops, executed slowly,\n"
"                            or `interpreter`: the definition of the language, in f64\n"
"  --target cuda             on the first CUDA device ($ATTN_CUDA_DRIVER names another driver); --arch as in\n"
"                            compile\n"
"  --dtype f32|f64           what `float` is; f32 by default; f16 and bf16 with --target cuda\n"
"  --check                   compares with the interpreter: relative RMS errors, exit code 1 if too large\n"
"  --threads N, --seed N     1 by default; the seed draws the example's data\n"
"  --repeat N                runs several times and tells the shortest time\n"
"  --states                  carried states are outputs too\n"
"  --cpu NAME, -g            as in compile\n"
"  --no-cache                compiles even if the pattern is in the cache\n"
"  --require-fast            ends with 1 where the pattern is legal but slow (`explain` tells why)\n"
"  -I, --include FOLDER; --diagnostics lines|json\n"
"\n"
"examples:\n"
"  attnc run full.attn\n"
"  attnc run sliding_window.attn -D window=16 --size j=100 --size i=100 --check\n"
"  attnc run full.attn --backend interpreter -o o=o.npy\n"
"  attnc run full.attn -i v=o.npy --dtype f64 --threads 2 --seed 7\n";

static const char list[] =
"usage: attnc list [OPTIONS] FILE.attn|FILE.so...\n"
"\n"
"Prints signatures, parameters with their defaults, and the conditions that tensors must meet.\n"
"\n"
"  -p, --pattern NAME        this pattern alone\n"
"  -D, --define NAME=VALUE   makes a parameter constant\n"
"  -I, --include FOLDER      where `use` looks, before the installed library\n"
"  --diagnostics lines|json  one line each, for machines\n"
"\n"
"examples:\n"
"  attnc list full.attn\n"
"  attnc list full.so\n";

static const char bench[] =
"usage: attnc bench [OPTIONS] FILE.attn\n"
"       attnc bench compile [OPTIONS] [FILE.attn|FOLDER]...\n"
"\n"
"The first measures a pattern on sample data, as `run` makes it: the median of 9 runs, beside the pairs\n"
"of query and key that are visible, the peak of this machine's multiply-adds, OpenBLAS sgemm and the time\n"
"that `explain` predicts. The second measures for every pattern, in milliseconds (medians): `check`;\n"
"`compile` to a .so; JIT from source to the first result; the same from the cache; and a program that\n"
"only loads the .so. Without files: the library.\n"
"\n"
"  --size INDEX=N            an extent; the example's otherwise\n"
"  -i, --input NAME=FILE     a tensor from a .npy file\n"
"  -D, --define NAME=VALUE   a parameter\n"
"  --threads N, --seed N     1 by default; the seed draws the sample data\n"
"  --json                    one JSON object\n"
"  --repeat N                runs, or measurements of each kind (5 by default)\n"
"  -p, --pattern NAME        this pattern, of several\n"
"  --require-fast            ends with 1 where the pattern has performance diagnostics (see `explain`)\n"
"  --target cuda             the first CUDA device; --arch as in compile\n"
"  --no-cache; --dtype f32|f64; -I, --include FOLDER\n"
"\n"
"examples:\n"
"  attnc bench sliding_window.attn -D window=64 --size i=512 --size j=512\n"
"  attnc bench compile full.attn --json --repeat 1\n";

static const char explain[] =
"usage: attnc explain [OPTIONS] FILE.attn\n"
"\n"
"What was made of the equations and why: stages, what was fused into them and what is kept, how they run,\n"
"what is checked when, why each subscript is in range, promised and derived cost. With sizes, too: flops,\n"
"bytes, visible and visited pairs of query and key, full and partial boxes, workspace, and the time predicted\n"
"for this machine; nothing runs but what steers. Legal but slow patterns get performance diagnostics.\n"
"\n"
"  -p, --pattern NAME        which pattern, if the file has several\n"
"  --size INDEX=N            an extent; the example's otherwise\n"
"  -i, --input NAME=FILE     a tensor from a .npy file, where conditions ask it\n"
"  -D, --define NAME=VALUE   a parameter\n"
"  --dtype f32|f64           what `float` is; f32 by default\n"
"  --threads N, --seed N     1 by default; the seed draws int and bool tensors\n"
"  --json                    one JSON object\n"
"  -I, --include FOLDER; --diagnostics lines|json\n"
"\n"
"examples:\n"
"  attnc explain full.attn\n"
"  attnc explain sliding_window.attn -D window=256 --size i=4096 --size j=4096 --json\n";

static const char show[] =
"usage: attnc show [OPTIONS] FILE.attn\n"
"\n"
"Draws which keys (columns) every query (row) sees, with counts, and what the analysis of boxes decided:\n"
"blue boxes are full, pairs in orange were found one by one. Keys in two or three dimensions are drawn for\n"
"one query, and flattened. Heads with equal masks share a picture.\n"
"\n"
"  -o FILE.png, -o FILE.svg  an image instead of text; --json: the counts alone\n"
"  --html FILE               a page that needs no network, with sliders for sizes and parameters\n"
"  --stage NAME              which sum over keys, if there are several; the first with a mask by default\n"
"  --head N                  one head alone; --at INDEX=N: another ambient index, 0 by default\n"
"  --query N,N               draws the keys of this query, too; the middle one by default\n"
"  -p, --pattern NAME        which pattern, if the file has several\n"
"  --size INDEX=N            an extent; the example's otherwise\n"
"  -i, --input NAME=FILE     a tensor from a .npy file, where the mask asks it\n"
"  -D, --define NAME=VALUE   a parameter\n"
"  --seed N                  1 by default; draws the example's data, as `run` does\n"
"  -I, --include FOLDER; --diagnostics lines\n"
"\n"
"examples:\n"
"  attnc show sliding_window.attn\n"
"  attnc show sliding_window.attn -D window=256 --size i=4096 --size j=4096 -o window.png\n"
"  attnc show sliding_window.attn --html window.html\n";
static const char fmt[] =
"usage: attnc fmt [OPTIONS] FILE.attn...\n"
"\n"
"Prints a source in its canonical layout; `-` reads stdin. Tokens and comments stay what they are.\n"
"\n"
"  -i, --in-place            rewrites the files instead\n"
"  --check                   prints the names of files that would change, and ends with 1 if there are any\n"
"  --diagnostics lines       one line each, for machines\n"
"\n"
"examples:\n"
"  attnc fmt full.attn\n"
"  attnc fmt --check full.attn sliding_window.attn\n"
"  attnc fmt -i full.attn\n";

static const char lsp[] =
"usage: attnc lsp [OPTIONS]\n"
"\n"
"A language server (protocol 3.17, over stdin and stdout): diagnostics as one types, hover, definition,\n"
"references, rename, completion, outline, formatting. editors/ tells how editors start it.\n"
"\n"
"  -I, --include FOLDER      where `use` looks, before the installed library\n"
"  --stdio                   changes nothing\n"
"\n"
"examples:\n"
"  attnc lsp --help\n";

void help_print(Command command)
{
    switch (command) {
    case COMMAND_CHECK: fputs(check, stdout); return;
    case COMMAND_COMPILE: fputs(compile, stdout); return;
    case COMMAND_RUN: fputs(run, stdout); return;
    case COMMAND_LIST: fputs(list, stdout); return;
    case COMMAND_BENCH: fputs(bench, stdout); return;
    case COMMAND_EXPLAIN: fputs(explain, stdout); return;
    case COMMAND_SHOW: fputs(show, stdout); return;
    case COMMAND_FMT: fputs(fmt, stdout); return;
    case COMMAND_LSP: fputs(lsp, stdout); return;
    }
    fputs(general, stdout);
}
