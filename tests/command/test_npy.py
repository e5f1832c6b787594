#!/usr/bin/env python3
"""Reading and writing .npy files: number types, byte and memory orders, versions; then hostile files."""
import io
import os
import random
import subprocess
import sys

import numpy as np

ATTNC = os.environ["ATTNC"]
WORK = os.path.join(os.environ["ATTN_BUILD"], "command-npy")
SOURCE = """
pattern copy()
    x[i, j], n: int[i, j], c: bool[i, j] -> y[i, j], m: int[i, j], e: bool[i, j]
    example i = 3, j = 4, n = integers(0, 100)
{
    y = x
    m = n
    e = c
}
pattern scalar()
    x[i] -> y[i]
    with s
    example i = 3
{
    y = x * s
}
pattern states()
    over b: x[t, d] -> y[t, d]
    example b = 2, t = 5, d = 3
{
    carry S
    S[t] = S[t - 1] + x
    y = S
}
pattern broadcast()
    over b, h: x[i], z[i] -> y[i]
    example b = 2, h = 4, i = 3
{
    y = x + z
}
"""
failures = 0


def check(condition, what):
    global failures
    if not condition:
        print("FAIL:", what)
        failures += 1


def attnc(*arguments):
    return subprocess.run([ATTNC, *arguments], capture_output=True, text=True, errors="replace", timeout=120)


def run(pattern, *arguments, backend="interpreter"):
    return attnc("run", "t.attn", "-p", pattern, "--backend", backend, *arguments)


def save(name, array, version=None):
    with open(name, "wb") as file:
        np.lib.format.write_array(file, array, version=version)


def test_types():
    """Each type, both byte orders, C and Fortran order, three versions of the format."""
    rng = np.random.default_rng(1)
    for code in "? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split():
        for order in "<>":
            for fortran in False, True:
                dtype = np.dtype(code if code[-1] in "?1" else order + code)
                data = rng.integers(0, 2 if code == "?" else 100, (3, 4)).astype(dtype)
                data = np.asfortranarray(data) if fortran else data
                version = [(1, 0), (2, 0), (3, 0)][rng.integers(3)]
                save("in.npy", data, version)
                name, out = ("c", "e") if code == "?" else ("n", "m")
                r = run("copy", "-i", f"{name}=in.npy", "-o", f"{out}=out.npy",
                        "-i", "x=in.npy", "-o", "y=y.npy")
                what = (dtype, fortran, version, r.stderr)
                check(r.returncode == 0, what)
                if r.returncode:
                    continue
                result, y = np.load("out.npy"), np.load("y.npy")
                check(result.dtype == (np.bool_ if code == "?" else np.dtype("<i8")), what)
                check(y.dtype == np.dtype("<f4"), what)
                check(np.array_equal(result, data) and np.array_equal(y, data.astype("f4")), what)


def test_values():
    """What is special: signed zeros, NaN, infinities, extremes, rounding, fractions for ints."""
    x = np.array([[0.0, -0.0, np.nan, np.inf], [-np.inf, 1e300, 1 / 3, -1e-320], [1, 2, 3, 4]])
    save("x.npy", x)
    n = np.array([[2**63 - 1, -2**63, 0, -1]] * 3)
    save("n.npy", n)
    for dtype in "f64", "f32":
        for backend in "interpreter", "loops", "cpu":
            r = run("copy", "-i", "x=x.npy", "-i", "n=n.npy", "-o", "y=y.npy", "-o", "m=m.npy",
                    "--dtype", dtype, backend=backend)
            check(r.returncode == 0, (dtype, backend, r.stderr))
            with np.errstate(over="ignore"):
                want = x.astype(dtype.replace("f64", "f8").replace("f32", "f4"))
            got = np.load("y.npy")
            check(got.dtype == want.dtype and got.tobytes() == want.tobytes(), (dtype, backend, got, want))
            check(np.array_equal(np.load("m.npy"), n), (dtype, backend))
    save("u.npy", np.full((3, 4), 2**63, np.uint64))
    check(run("copy", "-i", "x=u.npy").returncode == 0, "uint64 as floats")
    for name, data, text in (
        ("n", np.full((3, 4), 0.5), "holds ints"),
        ("n", np.full((3, 4), 2**63, np.uint64), "holds ints"),
        ("n", np.full((3, 4), np.nan), "holds ints"),
        ("c", np.full((3, 4), 2), "holds bools"),
        ("x", np.zeros((3, 4, 1)), "dimensions"),
        ("x", np.zeros((3, 4), complex), "not supported"),
        ("x", np.zeros((3, 4), "U3"), "not supported"),
        ("x", np.zeros((3, 4), [("a", "f4")]), "not supported"),
        ("x", np.zeros((2, 4)), "extent"),
    ):
        save("w.npy", data)
        save("x.npy", np.zeros((3, 4)))
        more = ["-i", "x=x.npy"] if name != "x" else ["--size", "i=3"]
        r = run("copy", "-i", f"{name}=w.npy", *more)
        check(r.returncode == 1 and text in r.stderr, (name, data.dtype, r.returncode, r.stderr))


def test_shapes():
    """Scalars, empty arrays, broadcasting and head groups, extents from data."""
    save("s.npy", np.float64(3.0))
    save("x.npy", np.array([1.0, 2, 4]))
    r = run("scalar", "-i", "s=s.npy", "-i", "x=x.npy", "-o", "y.npy")
    check(r.returncode == 0 and np.array_equal(np.load("y.npy"), [3, 6, 12]), r.stderr)
    save("x.npy", np.zeros((0,)))
    r = run("scalar", "-i", "x=x.npy", "-o", "y.npy")
    check(r.returncode == 0 and np.load("y.npy").shape == (0,), r.stderr)
    x, z = np.arange(12.0).reshape(1, 4, 3), np.arange(12.0).reshape(2, 2, 3)
    save("x.npy", x)
    save("z.npy", z)
    for backend in "interpreter", "loops", "cpu":
        r = run("broadcast", "-i", "x=x.npy", "-i", "z=z.npy", "-o", "y.npy", "--dtype", "f64",
                backend=backend)
        check(r.returncode == 0, (backend, r.stderr))
        check(np.array_equal(np.load("y.npy"), x + np.repeat(z, 2, axis=1)), backend)


def test_states():
    """A sequence in two parts, handing the state over, is the sequence."""
    x = np.random.default_rng(2).normal(size=(2, 9, 3))
    for backend in "interpreter", "loops", "cpu":
        save("a.npy", x[:, :4])
        save("b.npy", x[:, 4:])
        r = run("states", "-i", "x=a.npy", "-o", "S.last=s.npy", "-o", "y=y1.npy", "--dtype", "f64",
                backend=backend)
        check(r.returncode == 0, (backend, r.stderr))
        r = run("states", "-i", "x=b.npy", "-i", "S.start=s.npy", "-o", "y=y2.npy", "--dtype", "f64",
                backend=backend)
        check(r.returncode == 0, (backend, r.stderr))
        both = np.concatenate([np.load("y1.npy"), np.load("y2.npy")], axis=1)
        check(np.allclose(both, np.cumsum(x, axis=1), rtol=1e-13, atol=0), backend)


def test_seeds():
    """The same seed gives the same data, another seed other data, each tensor its own."""
    sums = [run("copy", "--seed", seed).stdout.split("checksum")[1].split()[0] for seed in ("1", "1", "2")]
    check(sums[0] == sums[1] != sums[2], sums)


def hostile(data, rng):
    """A .npy file with something wrong."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(5)
        at = rng.randrange(len(data)) if rng.random() < 0.3 else rng.randrange(min(len(data), 100))
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = bytes([rng.randrange(256)]) * rng.choice([1, 2, 7, 300])
        elif kind == 3:
            data[at:at + 1] = rng.choice([b"(", b")", b"9" * 30, b"-1", b",", b"'", b"{", b"\\", b"\0"])
        else:
            del data[at:at + rng.randrange(1, 9)]
        data = data or bytearray(b"x")
    return bytes(data)


def test_fuzz(count):
    rng = random.Random(3)
    whole = io.BytesIO()
    np.lib.format.write_array(whole, np.arange(12.0).reshape(3, 4))
    shapes = "(9999999999999, 9999999999)", "(0, 9223372036854775807)", "(-3, -4)", "(3, 4", "3", "()", "(,)"
    for shape in shapes:
        header = "{'descr': '<f8', 'fortran_order': True, 'shape': %s, }" % shape
        header += " " * (117 - len(header)) + "\n"
        with open("h.npy", "wb") as file:
            file.write(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(96))
        r = run("copy", "-i", "x=h.npy")
        check(r.returncode in (0, 1), (shape, r.returncode, r.stderr))
    for k in range(count):
        data = hostile(whole.getvalue(), rng)
        with open("h.npy", "wb") as file:
            file.write(data)
        r = run("copy", "-i", "x=h.npy", "--size", "i=3", "--size", "j=4")
        check(r.returncode in (0, 1), (k, data, r.returncode, r.stderr))
        check(r.returncode == 0 or "h.npy" in r.stderr or "'x'" in r.stderr, (k, data, r.stderr))


os.makedirs(WORK, exist_ok=True)
os.chdir(WORK)
with open("t.attn", "w") as file:
    file.write(SOURCE)
test_types()
test_values()
test_shapes()
test_states()
test_seeds()
test_fuzz(2000 if os.environ.get("ATTN_TEST_FULL") else 300)
sys.exit(1 if failures else 0)
