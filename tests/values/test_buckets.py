"""Masks that ask for equal labels: queries and keys run in the order of their labels."""
import os
import subprocess
import tempfile
import unittest

import numpy as np

from attn import ATTNC, Rng, attention, close, main, run

PATTERN = """
pattern labelled(w: int = 9)
    over AMBIENT: q[i, d], k[j, d], v[j, e] -> o[i, e]
    with f: int[F], g: int[G]
    example i = 50, j = 50, d = 4, e = 3, f = integers(0, 4), g = integers(0, 4)
{
    o = sum[j](softmax[j](sum[d](q * k) / sqrt(size(d)) where WHERE) * v)
}
"""
SELF = """
pattern labelled(w: int = 9)
    over AMBIENT: q[i, d], k[i, d], v[i, e] -> o[i, e]
    with f: int[F]
    example i = 50, d = 4, e = 3, f = integers(0, 4)
{
    index j like i
    o = sum[j](softmax[j](sum[d](q * k[i = j]) / sqrt(size(d)) where WHERE) * v[i = j])
}
"""
LOOK_UPS = SELF.replace("int[F]", "int[b, i], g: int[b, i], c: int[b, i], seen: bool[b, i], last: int[i]")
DRAWN = ", ".join(f"{name} = integers(0, 4)" for name in ("f", "g", "c", "last"))
LOOK_UPS = LOOK_UPS.replace("f = integers(0, 4)", DRAWN)


class Buckets(unittest.TestCase):
    def setUp(self):
        self.r = Rng(11)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "labelled.attn")

    def write(self, text, where, ambient="b, h", of_f="b, i", of_g="b, j"):
        changes = ("AMBIENT", ambient), ("WHERE", where), ("[F]", f"[{of_f}]"), ("[G]", f"[{of_g}]")
        for name, value in changes:
            text = text.replace(name, value)
        with open(self.file, "w") as file:
            file.write(text)

    def check(self, f, g, where, keep, i, j, shape=(2, 2), **dims):
        """keep: of positions [i, 1] and [1, j], beside equal labels. f and g broadcast over `shape`."""
        self.write(PATTERN, where, **dims)
        q, k, v = self.r.normal(*shape, i, 4), self.r.normal(*shape, j, 4), self.r.normal(*shape, j, 3)
        wide_f = np.broadcast_to(f[0], shape + (i,))[..., :, None]
        wide_g = np.broadcast_to(g[0], shape + (j,))[..., None, :]
        at = np.arange(i)[:, None], np.arange(j)[None, :]
        o = run(self.file, "o", q=q, k=k, v=v, f=f[1], g=g[1])
        close(o, attention(q, k, v, (wide_f == wide_g) & keep(*at)), where)

    def rows(self, lo, hi, n, b=2):
        x = self.r.integers(lo, hi, b, n)
        return x[:, None, :], x

    def test_conditions(self):
        cases = (
            ("f == g", lambda i, j: True),
            ("g == f and j <= i", lambda i, j: j <= i),
            ("j <= i and f == g and i - j < w", lambda i, j: (j <= i) & (i - j < 9)),
            ("abs(i - j) <= 2 * w and f == g", lambda i, j: abs(i - j) <= 18),
            ("f == g and (i + 2 * j) % 3 > 0", lambda i, j: (i + 2 * j) % 3 > 0),
            ("f == g and j >= i // 8 * 8 and j % 5 != 2", lambda i, j: (j >= i // 8 * 8) & (j % 5 != 2)),
            ("f == g and (i - j) % 3 == 0", lambda i, j: (i - j) % 3 == 0),
            ("f == g and i < 20", lambda i, j: i < 20),
        )
        for where, keep in cases:
            for i, j in ((50, 50), (129, 77), (33, 260)):
                self.check(self.rows(-3, 4, i), self.rows(-5, 3, j), where, keep, i, j)

    def test_either(self):
        """Labels that are not the only way to be seen."""
        f, g = self.r.integers(0, 4, 2, 70), self.r.integers(0, 4, 2, 70)
        self.write(PATTERN, "f == g or j < 3")
        q, k, v = self.r.qkv(i=70, j=70)
        keep = (f[:, None, :, None] == g[:, None, None, :]) | (np.arange(70) < 3)
        close(run(self.file, "o", q=q, k=k, v=v, f=f, g=g), attention(q, k, v, keep))

    def test_look_ups(self):
        """What else the condition looks up, for a query or for a key."""
        n = 83
        f, g, c = (self.r.integers(0, m, 2, n) for m in (2, 3, 4))
        seen, last = self.r.chance(0.7, 2, n), self.r.integers(0, n, n)
        at = np.arange(n)
        q, k, v = (self.r.normal(2, 2, n, d) for d in (4, 4, 3))
        same = (f[:, None, :, None] == f[:, None, None, :]) & (at <= at[:, None])
        for where, keep in (
            ("c == c[i = j]", c[:, None, :, None] == c[:, None, None, :]),
            ("c == c[i = j] and g == c[i = j]",
             (c[:, None, :, None] == c[:, None, None, :]) & (g[:, None, :, None] == c[:, None, None, :])),
            ("seen[i = j]", seen[:, None, None, :]),
            ("j >= last - 20 and g >= 1 and (c[i = j] > c or seen or j % 5 == 0)",
             (at >= last[:, None] - 20) & (g[:, None, :, None] >= 1)
             & ((c[:, None, None, :] > c[:, None, :, None]) | seen[:, None, :, None] | (at % 5 == 0))),
        ):
            self.write(LOOK_UPS, "j <= i and f == f[i = j] and " + where)
            o = run(self.file, "o", q=q, k=k, v=v, f=f, g=g, c=c, seen=seen, last=last)
            close(o, attention(q, k, v, same & keep), where)

    def test_labels(self):
        n = 75
        far = np.array([-(2**63), 2**63 - 1, 0, -1, 2**40, 2**40 + 1])
        for labels in (
            np.zeros((2, n), int),
            np.arange(n)[::-1] * 1000 - 7 + np.zeros((2, 1), int),
            np.sort(self.r.integers(0, 5, 2, n)),
            self.r.integers(0, 70000, 2, n) // 7000 * 70001 - 300000,
            far[self.r.integers(0, 6, 2, n)],
        ):
            both = labels[:, None, :], labels
            self.check(both, both, "f == g and j <= i", lambda i, j: j <= i, n, n)
        self.check(self.rows(0, 3, n), self.rows(5, 9, n), "f == g", lambda i, j: True, n, n)

    def test_dimensions(self):
        for shape, ambient, f, g, f_at, g_at in (
            ((3,), "h", "h, i", "j", (3,), ()),
            ((2, 3), "b, h", "i", "h, j", (), (1, 3)),
            ((2, 3), "b, h", "b, h, i", "b, j", (2, 3), (2, 1)),
            ((2, 2, 3), "a, b, h", "a, h, i", "b, j", (2, 1, 3), (1, 2, 1)),
        ):
            i, j = 61, 47
            x, y = self.r.integers(-2, 3, *f_at, i), self.r.integers(-2, 3, *g_at, j)
            own_x = x.reshape([n for n in x.shape[:-1] if n > 1] + [i])
            own_y = y.reshape([n for n in y.shape[:-1] if n > 1] + [j])
            self.check((x, own_x), (y, own_y), "f == g and j <= i + 3", lambda i, j: j <= i + 3, i, j, shape,
                       ambient=ambient, of_f=f, of_g=g)

    def own(self, n, f, **inputs):
        q, k, v = (self.r.normal(2, 2, n, d) for d in (4, 4, 3))
        for name, change in inputs.items():
            change({"q": q, "k": k, "v": v}[name])
        o = run(self.file, "o", q=q, k=k, v=v, f=f)
        hidden = np.tril(f[:, None, :, None] == f[:, None, None, :])
        close(o, attention(q, np.nan_to_num(k), np.nan_to_num(v), hidden))

    def test_self(self):
        self.write(SELF, "j <= i and f == f[i = j]")
        for n in (1, 2, 8, 31, 64, 100, 257):
            self.own(n, self.r.integers(-2, 4, 2, n))

    def test_poison(self):
        """What nobody sees may be NaN: the keys of a label that comes last, and of one that no query has."""
        n = 90
        f = self.r.integers(0, 3, 2, n)
        f[:, -1] = 1
        self.write(SELF, "j <= i and f == f[i = j] and (j < 80 or i == j)")
        q, k, v = (self.r.normal(2, 2, n, d) for d in (4, 4, 3))
        i, j = np.arange(n)[:, None], np.arange(n)[None, :]
        keep = (f[:, None, :, None] == f[:, None, None, :]) & (j <= i) & ((j < 80) | (i == j))
        expected = attention(q, k, v, keep)
        k[:, :, 85], v[:, :, 86] = np.nan, np.inf
        o = run(self.file, "o", q=q, k=k, v=v, f=f)
        seen = np.r_[0:85, 87:n]
        close(o[:, :, seen], expected[:, :, seen])

    def test_threads(self):
        """Not a bit depends on the number of threads."""
        self.write(SELF, "j <= i and f == f[i = j]")
        sums = set()
        for threads in "1", "2", "3":
            command = [ATTNC, "run", self.file, "--size", "i=700", "--size", "d=16", "--threads", threads]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            sums.add([line for line in output.splitlines() if "checksum" in line][0])
        self.assertEqual(len(sums), 1)


if __name__ == "__main__":
    main()
