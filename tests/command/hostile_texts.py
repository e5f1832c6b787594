"""hostile_texts.py FOLDER: writes sources that are large, deep or odd. The first line of what `attnc check` says has to
hold what stands in EXPECTED behind the name (nothing: the source is fine)."""
import os
import sys

HEAD = "pattern p()\n    over b: q[i, d], k[j, d] -> o[i, d]\n    example i = 2, j = 2, d = 2\n{\n"
SLOW = "ATTN_SANITIZE" in os.environ
MANY, BYTES, DEEP = (10_000, 1_000_000, 10_000) if SLOW else (100_000, 10_000_000, 100_000)
BRACKETS, LEVELS, LARGE, AGAIN = "E008", "E008", "E118", "E406"
EXPECTED = {}


def text(name, expected, content):
    EXPECTED[name] = expected
    with open(os.path.join(sys.argv[1], name + ".attn"), "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def body(name, expected, statements):
    text(name, expected, HEAD + statements + "}\n")


def lines(form, n=MANY):
    return "".join(form.format(k, k - 1) for k in range(n))


def nested():
    forms = {"round": ("(", "q", ")"), "square": ("q[i = ", "0", "]"), "reduce": ("sum[j](", "q", ")"),
             "call": ("exp(", "q", ")"), "if": ("(if d < 1 then ", "q", " else q)"), "open": ("(", "", ""),
             "open_square": ("q[", "", "")}
    for name, (left, middle, right) in forms.items():
        body("deep_" + name, BRACKETS, "    o = " + left * DEEP + middle + right * DEEP + "\n")
    chains = {"minus": "-" * DEEP + "q", "not": "if " + "not " * DEEP + "true then q else 0",
              "else": "if d < 1 then q else " * DEEP + "q", "sum": "q + " * DEEP + "q", "power": "q ** " * DEEP + "q"}
    for name, expression in chains.items():
        body("deep_" + name, LEVELS, "    o = " + expression + "\n")
    text("deep_brace", "E001", "pattern p() q[i] -> o[i] " + "{" * DEEP + "}" * DEEP)


def large():
    equation = "    x{0} = q * 1.5 + sum[j](k * {0} where j <= i)\n"
    body("large_equations", "" if SLOW else LARGE, lines(equation, BYTES // 55) + "    o = x0\n")
    text("large_comments", "", "# a line of words\n" * (BYTES // 18) + HEAD + "    o = q\n}\n")
    text("large_comment", "", "# " + "x" * BYTES + "\n" + HEAD + "    o = q\n}\n")
    text("large_newlines", "", "\n" * BYTES + HEAD + "    o = q\n}\n")
    body("large_line", LEVELS, "    o = " + "q+" * (BYTES // 2) + "q\n")
    body("large_name", "E019", "    o = " + "q" * BYTES + "\n")
    body("large_integer", "E003", "    o = " + "1" * BYTES + "\n")
    for name, byte in {"zero": b"\0", "ff": b"\xff", "quote": b'"', "cr": b"\r", "hash_zero": b"#\0\n", "words": b"pattern ",
                       "symbols": b"@#$%^&*()!~", "accent": "é".encode(), "brackets": b"([{"}.items():
        text("large_" + name, "error[", byte * (BYTES // len(byte)))
    text("too_large", "E009", "#" * (17 << 20))
    if not SLOW:
        body("dense_call", "E009", "    o = exp(" + "q," * (BYTES // 2) + "q)\n")
        body("dense_named", "E009", "    o = q[" + "i=i," * (BYTES // 4) + "d=d]\n")
        text("dense_tensors", "E009", "pattern p() " + "q," * (BYTES // 2) + "q->o {\no=q\n}\n")
        text("dense_patterns", "E009", lines("pattern p{0}() q->o {{\no=q\n}}\n", 170_000))
        text("dense_params", "E501", "pattern p(" + "a:int," * 900_000 + "a:int) q[i]->o[i] {\no=q\n}\n")
    body("dense_names", "E106", "    o = sum[" + "j," * (MANY * 19) + "j](k)\n")
    body("dense_layout", "E105", "    o = " + "exp(" * 190 + "q," * 100_000 + "q" + ")" * 190 + "\n")


def many():
    body("many_equations", "", lines("    x{0} = q + {0}\n") + "    o = x0\n")
    body("many_steps", LARGE, "    x0 = q\n" + lines("    x{0} = x{1} * 2\n")[len("    x0 = x-1 * 2\n"):] + f"    o = x{MANY - 1}\n")
    wide = " + ".join(f"(x{k} + x{k + 1} + x{k + 2})" for k in range(0, 3000, 3))
    body("many_needed", LARGE, lines("    x{0} = q + {0}\n", 3000) + "    o = " + wide[:wide.index("(x2700")] + "y\n"
         "    y = " + wide[wide.index("(x2700"):] + "\n")
    text("many_functions", "", lines("fn f{0}(x) = x + {0}\n") + HEAD + "    o = f7(q)\n}\n")
    body("many_indices", LARGE, lines("    index z{0}: 3\n") + "    o = q\n")
    body("many_names", "E101", lines("    x{0} = zz{0}\n") + "    o = q\n")
    body("many_types", "E104", lines("    x{0} = q and 1\n") + "    o = q\n")
    body("many_same", "E501", "    x0 = q\n" * 20_000 + "    o = x0\n")
    body("many_bound", "E106", "    o = sum[" + "j, " * MANY + "j](k)\n")
    text("many_patterns", "", lines("pattern p{0}()\n    q[i] -> o[i]\n{{\n    o = q\n}}\n"))
    text("many_uses", "E510", lines('use "m{0}.attn"\n') + HEAD + "    o = q\n}\n")


def inlined():
    def doubled(first, form):
        return first + "".join(form.format(k, k - 1) for k in range(1, 41))
    pattern = "pattern p{0}()\n    q[i] -> o[i]\n{{\n    o = %s\n}}\n"
    text("twice_function", LARGE, doubled("fn f0(x) = x\n", "fn f{0}(x) = f{1}(x) * f{1}(x + {0})\n")
         + HEAD + "    o = f40(q)\n}\n")
    text("twice_mask", LARGE, doubled("mask f0(i, j) = i < j\n", "mask f{0}(i, j) = f{1}(i, j + {0}) or f{1}(i + {0}, j)\n")
         + HEAD + "    o = sum[j](k where f40(i, j))\n}\n")
    text("twice_pattern", LARGE, doubled(pattern.format(0, 0) % "q", (pattern % "p{1}(q) + p{1}(q + 1)")))
    text("again_function", AGAIN, "fn f(x) = g(x)\nfn g(x) = f(x)\n" + HEAD + "    o = f(q)\n}\n")
    text("again_pattern", AGAIN, pattern.format(0, 0) % "p1(q)" + pattern.format(1, 0) % "p0(q)")


def used():
    folder = sys.argv[1]
    use = 'use "%s"\n' + HEAD + "    o = q\n}\n"
    os.mkfifo(os.path.join(folder, "fifo"))
    os.symlink(".", os.path.join(folder, "loop"))
    os.symlink("nothing.attn", os.path.join(folder, "nothing2.attn"))
    os.symlink("nothing2.attn", os.path.join(folder, "nothing.attn"))
    for name, path in {"self": "use_self.attn", "self_dot": "./use_self_dot.attn", "self_link": "loop/use_self_link.attn",
                       "folder": "loop", "fifo": "fifo", "links": "nothing.attn", "zeros": "/dev/zero",
                       "stdin": "/dev/stdin", "nothing": "no/such"}.items():
        text("use_" + name, "E510", use % path)
    text("use_circle", "", use % "use_circle2.attn")
    text("use_circle2", "", 'use "use_circle.attn"\nfn f(x) = x\n')


for part in nested, large, many, inlined, used:
    part()
for name, expected in EXPECTED.items():
    print(name + ".attn", expected)
