"""Few queries, as in decoding: keys in chunks, lists of those that are visible, rows that heads share."""
import os
import subprocess
import tempfile
import unittest

import numpy as np

from attn import ATTNC, Rng, attention, close, main, run, scores, sigmoid, softmax

HEAD = """
pattern decoding(w: int = 40)
    over b, h: q[i, d], k: KEYS[j, d], v: KEYS[j, e] -> o[i, e]OUTPUTS
MORE    example i = 1, j = 90, d = 4, e = 3
{
    index i from size(j) - size(i)
    s = sum[d](q * k) / sqrt(size(d))
    BODY
}
"""
SOFTMAX = "o = sum[j](softmax[j](s where WHERE) * v)"


class Few(unittest.TestCase):
    def setUp(self):
        self.r = Rng(5)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "decoding.attn")

    def write(self, body, more="", keys="float", outputs=""):
        text = HEAD
        for name, value in (("BODY", body), ("MORE", more), ("KEYS", keys), ("OUTPUTS", outputs)):
            text = text.replace(name, value)
        with open(self.file, "w") as file:
            file.write(text)
        loops = subprocess.run([ATTNC, "compile", self.file, "--emit=loops"], capture_output=True, text=True)
        self.assertIn("few queries", loops.stdout)
        return loops.stdout

    def inputs(self, i, j, heads=6, of_keys=2, b=2, d=5):
        q = self.r.normal(b, heads, i, d)
        return q, self.r.normal(b, of_keys, j, d), self.r.normal(b, of_keys, j, 3)

    def decode(self, outputs="o", **inputs):
        return run(self.file, outputs, **inputs)

    def test_masks(self):
        """What nobody sees may be NaN."""
        for where, keep in (
            ("j <= i", lambda i, j: j <= i),
            ("j <= i and i - j < w", lambda i, j: (j <= i) & (i - j < 40)),
            ("j <= i and (j < 5 or i - j < w)", lambda i, j: (j <= i) & ((j < 5) | (i - j < 40))),
            ("j % 7 == 2 and j <= i", lambda i, j: (j % 7 == 2) & (j <= i)),
            ("j < 0", lambda i, j: (j < 0) & (i < 0)),
        ):
            self.write(SOFTMAX.replace("WHERE", where))
            for i, j in ((1, 1), (1, 45), (2, 530), (1, 1601)):
                q, k, v = self.inputs(i, j)
                seen = keep((np.arange(i) + j - i)[:, None], np.arange(j)[None, :])
                expected = attention(q, np.repeat(k, 3, 1), np.repeat(v, 3, 1), seen)
                for x in (k, v):
                    x[:, :, ~seen.any(0)] = np.nan
                close(self.decode(q=q, k=k, v=v), expected, f"{where}, {i} {j}")

    def test_heads(self):
        """Each head has its own keys; lengths of sequences, one of them 0."""
        i, j = 1, 1200
        self.write(SOFTMAX.replace("WHERE", "j < len and (full or j < 5 or i - j < w)"),
                   "    with full: bool[h], len: int[b] in 0..size(j) + 1\n")
        for full in ([0, 1, 1, 0, 1, 0], [0] * 6, [1] * 6):
            q, k, v = self.inputs(i, j)
            full, lengths = np.array(full, bool), np.array([0, 700])
            at = np.arange(j)
            seen = full[None, :, None, None] | (at < 5) | (j - 1 - at < 40)
            seen = seen & (at < lengths[:, None, None, None])
            o = self.decode(q=q, k=k, v=v, full=full, len=lengths)
            close(o, attention(q, np.repeat(k, 3, 1), np.repeat(v, 3, 1), seen))

    def test_groups(self):
        """As many heads of keys as divide those of queries, of half precision too: their rows are copied."""
        for keys, kind in (("float", None), ("f16", "f2")):
            self.write(SOFTMAX.replace("WHERE", "true"), keys=keys)
            for heads, of_keys in ((1, 1), (6, 1), (6, 2), (6, 3), (6, 6), (8, 2), (16, 2)):
                q, k, v = self.inputs(1, 600, heads, of_keys, d=16)
                if kind:
                    k, v = k.astype(kind), v.astype(kind)
                wide = [np.repeat(x, heads // of_keys, 1).astype("f8") for x in (k, v)]
                close(self.decode(q=q, k=k, v=v), attention(q, *wide), f"{keys} {heads} {of_keys}")

    def together(self, j, d=37, e=83, keys=None):
        """Heads by fours share their keys; d and e leave something over for every width of registers."""
        q, k, v = self.r.normal(2, 8, 1, d), self.r.normal(2, 2, j, d), self.r.normal(2, 2, j, e)
        if keys:
            k, v = k.astype(keys), v.astype(keys)
        return q, k, v, np.repeat(k, 4, 1).astype("f8"), np.repeat(v, 4, 1).astype("f8")

    def test_together(self):
        for keys, kind in (("float", None), ("f16", "f2")):
            loops = self.write(SOFTMAX.replace("WHERE", "j % 5 != 2 and j <= i"), keys=keys)
            self.assertIn("if together and unit(k) and unit(v)", loops)
            for j, d, e in ((1, 37, 83), (16, 16, 64), (23, 8, 16), (530, 37, 83), (700, 48, 200)):
                q, k, v, wide_k, wide_v = self.together(j, d, e, kind)
                seen = (np.arange(j) % 5 != 2)[None, :]
                k[:, :, 2::5] = v[:, :, 2::5] = np.nan
                close(self.decode(q=q, k=k, v=v), attention(q, wide_k, wide_v, seen), f"{keys} {j} {d} {e}")

    def test_together_terms(self):
        """Biases of their own, two softmaxes, scores in two sums, plain weights."""
        q, k, v, wide_k, wide_v = self.together(600)
        s, bias = scores(q, wide_k), self.r.normal(8, 600)
        self.write("o = sum[j]((softmax[j](s + bias) - 0.3 * softmax[j](0.5 * s)) * v)", "    with bias[h, j]\n")
        expected = (softmax(s + bias[None, :, None]) - 0.3 * softmax(0.5 * s)) @ wide_v
        close(self.decode(q=q, k=k, v=v, bias=bias), expected)
        other = self.r.normal(8, 37)
        self.write("t = s + sum[d](k * a)\n    o = sum[j](softmax[j](t) * v)", "    with a[h, d]\n")
        more = np.einsum("bhjd,hd->bhj", wide_k, other)[:, :, None]
        close(self.decode(q=q, k=k, v=v, a=other), softmax(s + more) @ wide_v)
        self.write("o = sum[j](sigmoid(s + bias) * v)", "    with bias[h, j]\n")
        close(self.decode(q=q, k=k, v=v, bias=bias), sigmoid(s + bias[None, :, None]) @ wide_v)

    def test_together_guards(self):
        self.write("t = sum[d](q * (k[j = j - 3] + m[j = j - 3]))\n"
                   "    o = sum[j](softmax[j](t where j >= 3 and j <= i) * v[j = j - 3])", "    with m[b, j, d]\n")
        for j in (4, 40, 1111):
            q, k, v, wide_k, wide_v = self.together(j)
            m = self.r.normal(2, j, 37)
            s = np.einsum("bhid,bhjd->bhij", q, (wide_k + m[:, None])[:, :, :-3])
            close(self.decode(q=q, k=k, v=v, m=m), softmax(s) @ wide_v[:, :, :-3])

    def test_guards(self):
        """Reads that are in range for visible keys alone, and keys computed as they are read."""
        self.write("t = sum[d](q * (k[j = j - 3] + 2 * m[j = j - 3]))\n"
                   "    o = sum[j](softmax[j](t where j >= 3 and j <= i) * v[j = j - 3])", "    with m[b, j, d]\n")
        for j in (4, 40, 1111):
            q, k, v = self.inputs(1, j)
            m = self.r.normal(2, j, 5)
            wide_k, wide_v = np.repeat(k, 3, 1) + 2 * m[:, None], np.repeat(v, 3, 1)
            close(self.decode(q=q, k=k, v=v, m=m),
                  softmax(np.einsum("bhid,bhjd->bhij", q, wide_k[:, :, :-3])) @ wide_v[:, :, :-3])

    def test_weights(self):
        """Plain weights, two softmaxes, biases, sinks, and what is kept beside."""
        q, k, v = self.inputs(1, 777)
        s, wide_v = scores(q, np.repeat(k, 3, 1)), np.repeat(v, 3, 1)
        bias, other = self.r.normal(6, 777), 0.5 * s
        self.write("o = sum[j](sigmoid(s + bias) * v)", "    with bias[h, j]\n")
        close(self.decode(q=q, k=k, v=v, bias=bias), sigmoid(s + bias[None, :, None]) @ wide_v)
        self.write("o = sum[j]((softmax[j](s + bias) - 0.3 * softmax[j](0.5 * s)) * v)", "    with bias[h, j]\n")
        expected = (softmax(s + bias[None, :, None]) - 0.3 * softmax(other)) @ wide_v
        close(self.decode(q=q, k=k, v=v, bias=bias), expected)
        self.write("o = sum[j](softmax[j](s, sink = a) * v)", "    with a[h]\n")
        a = self.r.normal(6)
        weights = np.exp(s) / (np.exp(s).sum(-1, keepdims=True) + np.exp(a)[None, :, None, None])
        close(self.decode(q=q, k=k, v=v, a=a), weights @ wide_v)
        self.write("o = sum[j](softmax[j](s) * v)\n    l = logsumexp[j](s)", outputs=", l[i]")
        o, l = self.decode(("o", "l"), q=q, k=k, v=v)
        close(o, softmax(s) @ wide_v)
        close(l, np.log(np.exp(s).sum(-1)))


if __name__ == "__main__":
    main()
