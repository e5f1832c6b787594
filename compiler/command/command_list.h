/* The commands of attnc: COMMAND(ID, name, usage, in short, what it does, examples). Help texts, manual pages and shell
 * completions are made of this and of option_list.h. usage: lines, without `attnc `; what it does: paragraphs, lines that
 * begin with two spaces stay as they are; examples: lines, without `attnc `. */
COMMAND(CHECK, "check", "check [OPTIONS] FILE.attn...",
    "says what is wrong with a pattern, and nothing if it is fine",
    "Reads sources and tells of errors, and of what is legal and hardly meant: equations, parameters, indices and inputs "
    "that nothing needs, conditions that always or never hold, names that look alike. A name that begins with `_` is let "
    "off.",
    "check full.attn\n"
    "check --diagnostics=lines full.attn sliding_window.attn\n"
    "check sliding_window.attn -D window=64\n")
COMMAND(COMPILE, "compile", "compile [OPTIONS] FILE.attn -o FILE",
    "makes a shared object, an object file with a C header, or shows what a pass made",
    "What is made follows the suffix of the file that -o names:\n"
    "  .so  a shared object for libattn; it needs libc and libm alone\n"
    "  .o   an object, .a an archive: one C function a pattern\n"
    "  .h   the header of these functions\n"
    "  .ll  LLVM's intermediate code, .s assembly, .cu CUDA C, .ptx PTX\n",
    "compile full.attn -o full.so\n"
    "compile sliding_window.attn -p sliding_window -D window=64 --size d=64,128 -o window.so\n"
    "compile full.attn --cpu x86-64-v3,x86-64-v4 --dtype f64 -g -o full64.so\n"
    "compile full.attn -o full.o --header full.h\n"
    "compile full.attn --emit=loops\n")
COMMAND(RUN, "run", "run [OPTIONS] FILE.attn",
    "runs a pattern on .npy files or on the data of its example",
    "Runs a pattern once and prints the sizes, the shape and a checksum of every output, and the time. Data that is not "
    "given follows the pattern's example.",
    "run full.attn\n"
    "run sliding_window.attn -D window=16 --size j=100 --size i=100 --check\n"
    "run full.attn --backend interpreter -o o=o.npy\n"
    "run full.attn -i v=o.npy --dtype f64 --threads 2 --seed 7\n")
COMMAND(LIST, "list", "list [OPTIONS] FILE.attn|FILE.so...",
    "prints the patterns of a source or of a shared object",
    "Prints documentation, signatures, parameters with their defaults, and the conditions that tensors must meet.",
    "list full.attn\n"
    "list full.so\n"
    "list full.attn --names indices\n")
COMMAND(BENCH, "bench", "bench [OPTIONS] FILE.attn\nbench compile [OPTIONS] [FILE.attn|FOLDER]...",
    "measures how fast a pattern runs, or with `bench compile` the compiler",
    "The first measures a pattern on sample data, as `run` makes it: the median of 9 runs, beside the pairs of query and "
    "key that are visible, the peak of this machine's multiply-adds, OpenBLAS sgemm and the time that `explain` "
    "predicts.\n"
    "The second measures for every pattern, in milliseconds (medians): `check`; `compile` to a .so; JIT from source to "
    "the first result; the same from the cache; and a program that only loads the .so. Without files: the library.",
    "bench sliding_window.attn -D window=64 --size i=512 --size j=512\n"
    "bench compile full.attn --json --repeat 1\n")
COMMAND(EXPLAIN, "explain", "explain [OPTIONS] FILE.attn",
    "tells what becomes of a pattern and why, and what it takes at given sizes",
    "What was made of the equations and why: stages, what was fused into them and what is kept, how they run, what is "
    "checked when, why each subscript is in range, promised and derived cost.\n"
    "With sizes, too: flops, bytes, visible and visited pairs of query and key, full and partial boxes, workspace, and "
    "the time predicted for this machine; nothing runs but what steers. Legal but slow patterns get performance "
    "diagnostics.",
    "explain full.attn\n"
    "explain full.attn --target cuda:sm_90 --dtype f16\n"
    "explain sliding_window.attn -D window=256 --size i=4096 --size j=4096 --json\n")
COMMAND(SHOW, "show", "show [OPTIONS] FILE.attn",
    "draws what a pattern's mask lets through: terminal, .png, .svg, a page with sliders",
    "Draws which keys (columns) every query (row) sees, with counts, and what the analysis of boxes decided: blue boxes "
    "are full, pairs in orange were found one by one. Keys in two or three dimensions are drawn for one query, and "
    "flattened. Heads with equal masks share a picture.",
    "show sliding_window.attn\n"
    "show sliding_window.attn -D window=256 --size i=4096 --size j=4096 -o window.png\n"
    "show sliding_window.attn --html window.html\n")
COMMAND(FMT, "fmt", "fmt [OPTIONS] FILE.attn...",
    "puts a source into its canonical layout",
    "Prints a source in its canonical layout; `-` reads stdin. Tokens and comments stay what they are.",
    "fmt full.attn\n"
    "fmt --check full.attn sliding_window.attn\n"
    "fmt -i full.attn\n")
COMMAND(LSP, "lsp", "lsp [OPTIONS]",
    "a language server for editors, over stdin and stdout",
    "A language server (protocol 3.17): diagnostics as one types, hover, definition, references, rename, completion, "
    "outline, formatting. The folder editors/ of the sources tells how editors start it.",
    "lsp --help\n")
COMMAND(HELP, "help", "help [OPTIONS] [COMMAND]",
    "prints this, or how a command is used; manual pages; completions for shells",
    "Without options the same as `attnc COMMAND --help`.",
    "help run\n"
    "help --man run\n"
    "help --completion bash\n")
