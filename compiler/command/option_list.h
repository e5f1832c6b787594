/* The options of attnc: OPTION(ID, brief, name, value, commands, how shells complete the value, its words, what it does).
 * value NULL: it takes none. words: all that the value may be, by spaces; NULL: anything. An option that means several things
 * has a row for each; IDs name what options.c does. Their order is that of the help texts. */
OPTION(PATTERN, "-p", "--pattern", "NAME", CHECK | COMPILE | LIST, PATTERNS, NULL, "this pattern alone; else all of the file")
OPTION(PATTERN, "-p", "--pattern", "NAME", RUN | BENCH | EXPLAIN | SHOW, PATTERNS, NULL,
       "which pattern, if the file has several")
OPTION(OUTPUT, "-o", "--output", "FILE", COMPILE, FILES, NULL, "what is made follows its suffix, see above")
OPTION(HEADER, NULL, "--header", "FILE.h", COMPILE, FILES, NULL,
       "the C header beside the object; a .so then has the C functions too")
OPTION(INPUT, "-i", "--input", "NAME=FILE", RUN, INPUTS, NULL,
       "a tensor from a .npy file of any number type. A carried state S is handed in as S.start")
OPTION(INPUT, "-i", "--input", "NAME=FILE", BENCH | EXPLAIN | SHOW, INPUTS, NULL,
       "a tensor from a .npy file, where conditions ask it")
OPTION(OUTPUT, "-o", "--output", "NAME=FILE", RUN, OUTPUTS, NULL,
       "writes an output, or S.last, to a .npy file (NAME= may be left out if there is one output)")
OPTION(OUTPUT, "-o", "--output", "FILE", SHOW, FILES, NULL, "an image, .png or .svg, instead of text")
OPTION(HTML, NULL, "--html", "FILE", SHOW, FILES, NULL, "a page that needs no network, with sliders for sizes and parameters")
OPTION(SIZE, NULL, "--size", "INDEX=N,N", COMPILE, INDICES, NULL, "variants for these extents, beside the general one")
OPTION(SIZE, NULL, "--size", "INDEX=N", RUN | BENCH | EXPLAIN | SHOW, INDICES, NULL, "an extent; the example's otherwise")
OPTION(DEFINE, "-D", "--define", "NAME=VALUE", CHECK | COMPILE | LIST, PARAMETERS, NULL, "makes a parameter constant")
OPTION(DEFINE, "-D", "--define", "NAME=VALUE", RUN | BENCH | EXPLAIN | SHOW, PARAMETERS, NULL, "a parameter")
OPTION(STAGE, NULL, "--stage", "NAME", SHOW, NOTHING, NULL,
       "which sum over keys, if there are several; the first with a mask by default")
OPTION(HEAD, NULL, "--head", "N", SHOW, NOTHING, NULL, "one head alone")
OPTION(AT, NULL, "--at", "INDEX=N", SHOW, INDICES, NULL, "where another ambient index stands, 0 by default")
OPTION(QUERY, NULL, "--query", "N,N", SHOW, NOTHING, NULL, "draws the keys of this query, too; the middle one by default")
OPTION(DTYPE, NULL, "--dtype", "TYPE", COMPILE | RUN | BENCH | EXPLAIN, WORDS, "f32 f64 f16 bf16 tf32",
       "what `float` is, f32 by default; f16, bf16 and tf32 (f32 with products in tf32) with --target cuda")
OPTION(TARGET, NULL, "--target", "TARGET", COMPILE, WORDS, "cpu cuda",
       "cuda: kernels for GPUs, compiled by NVRTC, in a .so for libattn")
OPTION(TARGET, NULL, "--target", "TARGET", RUN | BENCH, WORDS, "cpu cuda",
       "cuda: the first CUDA device ($ATTN_CUDA_DRIVER names another driver)")
OPTION(TARGET, NULL, "--target", "TARGET", EXPLAIN, WORDS, "cpu cuda",
       "cuda, cuda:sm_90: kernels of a GPU: their tiles, what they take of it, what limits them")
OPTION(TILE, NULL, "--tile", "64x32", COMPILE | EXPLAIN, WORDS, "128x128 128x64 64x128 64x64 64x32 64x16 64x8",
       "with --target cuda: queries and keys, or rows and columns, of a tile (64x8: f32); else the compiler chooses")
OPTION(ARCH, NULL, "--arch", "sm_80,sm_90", COMPILE | RUN | BENCH | EXPLAIN, NOTHING, NULL,
       "with --target cuda: code for these architectures, and PTX of the first for newer ones")
OPTION(CPU, NULL, "--cpu", "NAME,NAME", COMPILE, NOTHING, NULL,
       "LLVM's names, this machine's by default; a .so may hold several")
OPTION(CPU, NULL, "--cpu", "NAME", RUN, NOTHING, NULL, "LLVM's name, this machine's by default")
OPTION(BACKEND, NULL, "--backend", "NAME", RUN, WORDS, "cpu cuda loops interpreter",
       "what computes: machine code (cpu, by default), kernels (cuda), the compiler's loops, executed slowly, or the "
       "interpreter: the definition of the language, in f64")
OPTION(VERIFY, NULL, "--check", NULL, RUN, NOTHING, NULL,
       "compares with the interpreter: relative RMS errors, exit code 1 if one is too large")
OPTION(VERIFY, NULL, "--check", NULL, FMT, NOTHING, NULL,
       "prints the names of files that would change, and ends with 1 if there are any")
OPTION(IN_PLACE, "-i", "--in-place", NULL, FMT, NOTHING, NULL, "rewrites the files instead")
OPTION(THREADS, NULL, "--threads", "N", RUN | BENCH | EXPLAIN, NOTHING, NULL, "1 by default")
OPTION(SEED, NULL, "--seed", "N", RUN | BENCH | EXPLAIN | SHOW, NOTHING, NULL, "draws the example's data; 1 by default")
OPTION(REPEAT, NULL, "--repeat", "N", RUN, NOTHING, NULL, "runs several times and tells the shortest time")
OPTION(REPEAT, NULL, "--repeat", "N", BENCH, NOTHING, NULL, "runs, or measurements of each kind (5 by default)")
OPTION(STATES, NULL, "--states", NULL, RUN, NOTHING, NULL, "carried states are outputs too")
OPTION(JSON, NULL, "--json", NULL, BENCH | EXPLAIN, NOTHING, NULL, "one JSON object instead of text")
OPTION(JSON, NULL, "--json", NULL, SHOW, NOTHING, NULL, "the counts alone, as a JSON object")
OPTION(NAMES, NULL, "--names", "WHAT", LIST, WORDS, "patterns parameters indices inputs outputs",
       "only the names of these, one a line")
OPTION(DEBUG, "-g", "--debug", NULL, COMPILE | RUN, NOTHING, NULL, "line tables that point into the source")
OPTION(EMIT, NULL, "--emit", "WHAT", COMPILE, WORDS, "tokens ast program graph plan loops llvm asm cuda ptx obj",
       "a stage of the way as text, on stdout without -o; or obj")
OPTION(NO_CACHE, NULL, "--no-cache", NULL, RUN | BENCH, NOTHING, NULL, "compiles even if the pattern is in the cache")
OPTION(INCLUDE, "-I", "--include", "FOLDER", CHECK | COMPILE | RUN | LIST | BENCH | EXPLAIN | SHOW | LSP, FOLDERS, NULL,
       "where `use` looks, before the installed library")
OPTION(DIAGNOSTICS, NULL, "--diagnostics", "FORMAT", CHECK | COMPILE | RUN | LIST | BENCH | EXPLAIN | SHOW | FMT, WORDS,
       "lines json carets", "lines: one line each, `path:line:col: error[E012]: text`; json: one object a line; carets: "
       "excerpts, by default")
OPTION(DUMP, NULL, "--dump-after", "PASS", CHECK | COMPILE, WORDS, PASS_NAMES " all", "prints what a pass made on stderr")
OPTION(TIMES, NULL, "--time-passes", NULL, CHECK | COMPILE, NOTHING, NULL, "prints how long the passes took on stderr")
OPTION(PERFORMANCE, NULL, "--performance", NULL, CHECK | COMPILE, NOTHING, NULL, "tells, too, what is legal but slow")
OPTION(REQUIRE_FAST, NULL, "--require-fast", NULL, COMPILE | RUN | BENCH, NOTHING, NULL,
       "what is legal but slow is an error (`explain` tells why)")
OPTION(NO_WARNINGS, "-w", "--no-warnings", NULL, CHECK | COMPILE, NOTHING, NULL,
       "says nothing of what is legal and hardly meant")
OPTION(WARNING_ERRORS, NULL, "--warnings-as-errors", NULL, CHECK | COMPILE, NOTHING, NULL, "warnings are errors")
OPTION(WARNING_ERRORS, NULL, "-Werror", NULL, CHECK | COMPILE, NOTHING, NULL, "the same")
OPTION(STDIO, NULL, "--stdio", NULL, LSP, NOTHING, NULL, "changes nothing: there is no other way")
OPTION(MAN, NULL, "--man", NULL, HELP, NOTHING, NULL, "a manual page instead, in the language of man(7); `help --man language` is that of the language, attn(5)")
OPTION(COMPLETION, NULL, "--completion", "SHELL", HELP, WORDS, "bash zsh fish",
       "completions for this shell: source <(attnc help --completion bash)")
OPTION(HELP, "-h", "--help", NULL, CHECK | COMPILE | RUN | LIST | BENCH | EXPLAIN | SHOW | FMT | LSP | HELP, NOTHING, NULL,
       "prints how the command is used")
