#!/usr/bin/env python3
"""attnc fmt: the library is laid out; texts and their layout; what changed white space cannot change; files, errors."""

import os
import pathlib
import random
import re
import resource
import signal
import stat
import subprocess
import sys

ATTNC = os.environ["ATTNC"]
SOURCE = pathlib.Path(os.environ["ATTN_SOURCE"])
WORK = pathlib.Path(os.environ["ATTN_BUILD"]) / "command-fmt"
failed = 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # children inherit it


def attnc(*arguments, text=None):
    data = text.encode() if isinstance(text, str) else text
    return subprocess.run([ATTNC, *map(str, arguments)], input=data, capture_output=True)


def expect(good, what):
    global failed
    if not good:
        print("FAIL:", what)
        failed += 1


def fmt(text):
    got = attnc("fmt", "-", text=text)
    expect(got.returncode == 0, f"fmt of\n{text}\n{got.stderr.decode()}")
    return got.stdout.decode()


# As written, laid out.
PAIRS = [
    ("", ""),
    ("\n\n# alone\n\n\n\n# two", "# alone\n\n# two\n"),
    (
        '\ufeffuse   "a.attn"\r\n\r\n\r\n#  doc \t\r\nmask  m( i,j )=j<=i and not-i<3\r\n',
        'use "a.attn"\n\n#  doc\nmask m(i, j) = j <= i and not -i < 3\n',
    ),
    (
        "fn f(x,[d]){a=x\nlonger   =  a\n\n\n  sum [ d ](longer*x)}\nfn g(x)=x",
        "fn f(x, [d]) {\n    a = x\n    longer = a\n\n    sum[d](longer * x)\n}\n\nfn g(x) = x\n",
    ),
    # a signature in parts, steps without spaces, types and ranges
    (
        "pattern p(w:int=4,f:float=-0.5)over b,h:x[t,d],n:int[ t ]in 0 .. size(d)"
        "->y[t,d]example t=4,d=3 cost t*d{carry S\n"
        "S[t]=S[ t - 1 ]*S[t=t-1]+x\ny:f32=S**-w\n}",
        "pattern p(w: int = 4, f: float = -0.5)\n    over b, h: x[t, d], n: int[t] in 0..size(d) -> y[t, d]\n"
        "    example t = 4, d = 3\n    cost t * d\n{\n    carry S"
        "\n    S[t] = S[t-1] * S[t = t - 1] + x\n    y: f32 = S ** -w\n}\n",
    ),
    # `=` in one column stays so if it was meant; comments stay with what they are about
    (
        "mask m(i) {\n  a     = 1 # one\n# about long\n  long  = 2 # two"
        "\n\n  x = 3\n  yy = 4   # four\n           # more\n  # end\n"
        "  a + long + x + yy == i\n  # last\n}   # after\n",
        "mask m(i) {\n    a    = 1  # one\n    # about long\n    long = 2  # two\n\n    x = 3\n    yy = 4  # four\n"
        "            # more\n    # end\n    a + long + x + yy == i\n    # last\n}   # after\n",
    ),
    # comments inside
    (
        "pattern p(   # name\n  # first\n  w: int = 1)\n  # inputs\n  x[i], # x\n # z\n  z[i] -> y[i] # y\n{ # body\n\n"
        "y = x *   # times\n     # the other\n  (z + # plus\n w)\n}",
        "pattern p(   # name\n          # first\n          w: int = 1)\n    # inputs\n    x[i],  # x\n        # z\n"
        "        z[i] -> y[i]  # y\n{  # body\n    y = x *  # times"
        "\n        # the other\n        (z +  # plus\n         w)\n}\n",
    ),
    # a left side on two lines takes no part in a row
    (
        "pattern p()\n x[i, j] -> y[i, j]\n{\ny[i, # a\n j]   = z\nz     = x\n}",
        "pattern p()\n    x[i, j] -> y[i, j]\n{\n    y[i,  # a\n      j] = z\n    z = x\n}\n",
    ),
    # breaks that were written stay where they are good ones
    (
        "fn f(a, b) = if a then\n b else\nif b then a\n + b\n else\n a * (\n b)\n",
        "fn f(a, b) = if a then\n             b else\n             if b then a\n             + b\n             else\n"
        "             a * (b)\n",
    ),
]


def long_lines():
    """Too long: broken at the loosest operators, then inside."""
    terms = [f"alpha{k} * beta{k}" for k in range(20)]
    sums = fmt("fn f(x) = " + " + ".join(terms))
    args = fmt("fn f(x) = clamp(" + ", ".join(terms) + ", 1) or x")
    chain = fmt(
        "fn f(x) = " + " else ".join(f"if x == {k} then some_value_that_is_long_{k}" for k in range(5)) + " else 0"
    )
    deep = fmt("fn f(x) = " + "g(" * 60 + "x" + ", y)" * 60)
    where = fmt(
        "pattern p()\n x[i] -> y[i]\n{\n y = sum[j](softmax[j]("
        + " + ".join(terms[:5])
        + " where "
        + " and ".join(f"condition{k} < j" for k in range(5))
        + ", sink = 1) * v)\n}"
    )
    for text in (sums, args, chain, where):
        expect(max(map(len, text.splitlines())) <= 110, "a line of more than 110 columns:\n" + text)
        expect(text.count("\n") > 1, "not broken:\n" + text)
    expect(sums.splitlines()[1].startswith(" " * 10 + "alpha"), "under the expression:\n" + sums)
    expect(args.splitlines()[1].startswith(" " * 16 + "alpha"), "under the bracket:\n" + args)
    expect(all(line.lstrip().startswith("if x") for line in chain.splitlines()[1:-1]), "a line a case:\n" + chain)
    expect("\n" + " " * 26 + "where condition0" in where, "before where:\n" + where)
    for text in (sums, args, chain, deep, where):
        expect(fmt(text) == text, "a second time changes\n" + text)


def ast(text):
    got = attnc("compile", "/dev/stdin", "--emit=ast", text=text)
    expect(got.returncode == 0, got.stderr.decode())
    return got.stdout


def disturb(text, dice):
    """White space changed at random where it means nothing."""
    lines = []
    depth = 0
    for line in text.splitlines():
        code, mark, comment = line.partition("#")
        out = ""
        for part in re.split(r"( +|[\[\](),])", code.strip()):
            if part in ("(", "["):
                depth += 1
            if part in (")", "]"):
                depth -= 1
            if part.startswith(" ") and part:
                part = (
                    " " * dice.choice((1, 1, 2, 5))
                    if not depth or dice.random() < 0.8
                    else "\n" + " " * dice.randrange(9)
                )
            elif depth and part == "," and dice.random() < 0.2:
                part += " # why\n" if dice.random() < 0.3 else "\n\n   # what\n"
            out += part
        indent = " " * dice.randrange(9) if code.strip() else ""
        lines.append(indent + out + ("  " + mark + comment if mark and out else mark + comment))
        if not depth and mark == "" and code.strip() and dice.random() < 0.1:
            lines.append("\n")
    return "\n".join(lines)


def library():
    files = sorted((SOURCE / "patterns").rglob("*.attn"))
    expect(len(files) > 80, "the library")
    got = attnc("fmt", "--check", *files)
    expect(got.returncode == 0, "not laid out: " + got.stdout.decode() + got.stderr.decode())
    dice = random.Random(5)
    for file in files[:: 1 if os.environ.get("ATTN_TEST_FULL") else 5]:
        text = file.read_text()
        changed = disturb(text, dice)
        first = fmt(changed)
        expect(fmt(first) == first, f"{file}: a second time changes\n{changed}")
        count = lambda t: (re.sub(r"#.*", "", t).split(), sorted(c.strip() for c in re.findall(r"#.*", t)))
        flat = lambda t: re.sub(r"\s", "", re.sub(r"#.*", "", t))
        expect(
            flat(first) == flat(changed) and count(first)[1] == count(changed)[1],
            f"{file}: a token or comment is lost",
        )
        if "# w" not in changed:
            expect(ast(first) == ast(text), f"{file}: another tree")


def files():
    WORK.mkdir(parents=True, exist_ok=True)
    good, bad, link = WORK / "good.attn", WORK / "bad.attn", WORK / "link.attn"
    good.write_text("fn f(x)=x\n")
    good.chmod(0o640)
    bad.write_text("fn f(x)=x\nfn g(x) = (x\n")
    if not link.is_symlink():
        link.symlink_to(good)
    got = attnc("fmt", "--check", good, bad)
    expect(
        got.returncode == 1 and got.stdout.decode() == f"{good}\n" and b"error[E004]" in got.stderr,
        "--check names files",
    )
    expect(
        attnc("fmt", good).stdout == b"fn f(x) = x\n" and good.read_text() == "fn f(x)=x\n",
        "stdout leaves the file",
    )
    got = attnc("fmt", "-i", "--diagnostics=lines", bad, link)
    expect(got.returncode == 1 and b"bad.attn:2:" in got.stderr and not got.stdout, "-i tells what is wrong")
    expect(bad.read_text() == "fn f(x)=x\nfn g(x) = (x\n", "a broken file stays")
    expect(good.read_text() == "fn f(x) = x\n" and link.is_symlink(), "-i follows a link")
    expect(stat.S_IMODE(good.stat().st_mode) == 0o640, "permissions stay")
    before = good.stat().st_mtime_ns, good.stat().st_ino
    expect(attnc("fmt", "-i", good).returncode == 0, "-i")
    expect((good.stat().st_mtime_ns, good.stat().st_ino) == before, "what is laid out is not written")
    expect([p.name for p in WORK.iterdir() if "tmp" in p.name] == [], "nothing is left over")
    good.write_text("fn f(x)=x\n")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5, 5))
    got = subprocess.run([ATTNC, "fmt", "-i", good], capture_output=True, preexec_fn=limit, restore_signals=False)
    expect(got.returncode == 1 and b"cannot write" in got.stderr, f"a full disk {got}")
    expect(good.read_text() == "fn f(x)=x\n", "a full disk leaves the file")
    expect([p.name for p in WORK.iterdir() if "tmp" in p.name] == [], "a full disk: nothing is left over")
    expect(attnc("fmt", WORK / "absent.attn").returncode == 1, "a file that is absent")
    expect(attnc("fmt", "-", text=os.urandom(3000)).returncode == 1, "noise")
    expect(attnc("fmt", "-", text="# \0 zero\nfn f(x)=x").returncode == 1, "a zero byte in a comment")
    expect(attnc("fmt").returncode == 2, "no file")
    expect(attnc("fmt", "-p", "x", good).returncode == 2, "an option of others")
    large = "fn f(x) = " + " + ".join(["x"] * 300000) + "\n"
    expect(attnc("fmt", "-", text=large).returncode in (0, 1), "a long line")


for written, wanted in PAIRS:
    got = fmt(written)
    expect(got == wanted, f"expected\n{wanted}\ngot\n{got}")
    expect(fmt(got) == got, f"a second time changes\n{got}")
long_lines()
library()
files()
sys.exit(failed > 0)
