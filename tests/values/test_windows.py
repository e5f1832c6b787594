"""Windows in one, two and three dimensions, from the definitions of their authors."""
import itertools
import unittest

import numpy as np

from attn import Rng, attention, close, main, run, scores, softmax


def natten(i, n, w, r):
    """NATTEN's neighbours of position i among n at dilation r: the window slides inside at the borders."""
    group = [j for j in range(n) if j % r == i % r]
    at = group.index(i)
    start = min(max(at - w // 2, 0), max(len(group) - w, 0))
    return group[start:start + w]


def near(n, w, r):
    m = np.zeros((n, n), bool)
    for i in range(n):
        m[i, natten(i, n, w, r)] = True
    return m


def shared(n, w, s, r, causal):
    """Generalised neighbourhoods by NATTEN's own definition: queries in groups of s share one window."""
    m = np.zeros((n, n), bool)
    for i in range(n):
        group = list(range(i % r, n, r))
        at, cells, left = group.index(i), len(group), w // 2
        right = w // 2 + w % 2 - 1
        if causal:
            lead = min(at // s * s + s - 1, cells - 1)
            start, end = max(lead - left - right, 0), min(at + 1, cells)
        else:
            lead = min(at // s * s + s // 2, cells - 1)
            start = max(lead - left, 0) + (cells - right - lead - 1 if lead + right >= cells else 0)
            end = start + w
        m[i, group[max(start, 0):end]] = True
    return m


def flat(t):
    """[b, h, axes ..., c] with the axes as one."""
    return t.reshape(t.shape[0], t.shape[1], -1, t.shape[-1])


class Windows(unittest.TestCase):
    def setUp(self):
        self.r = Rng()

    def grid(self, *axes, d=3, e=2):
        return (self.r.normal(2, 2, *axes, d), self.r.normal(2, 2, *axes, d), self.r.normal(2, 2, *axes, e))

    def is_masked(self, name, axes, mask, pattern=None, params=None, bias=0.0, **more):
        q, k, v = self.grid(*axes)
        o = run(name, "o", pattern, params=params, q=q, k=k, v=v, **more)
        close(flat(o), attention(flat(q), flat(k), flat(v), mask, bias), name)

    def test_one_axis(self):
        for w, r, n in ((5, 2, 17), (4, 1, 9), (3, 3, 8), (7, 1, 5)):
            self.is_masked("window/neighborhood1d", (n,), near(n, w, r), params={"window": w, "dilation": r})
        self.assertTrue((near(17, 5, 2).sum(1) == 5).all())

    def test_two_axes(self):
        for w, r in ((3, 1), (3, 2), (9, 1)):
            mask = np.einsum("ab,cd->acbd", near(6, w, r), near(7, w, r)).reshape(42, 42)
            self.is_masked("window/neighborhood2d", (6, 7), mask, params={"window": w, "dilation": r})

    def test_three_axes(self):
        z = np.subtract.outer(np.arange(3), np.arange(3))
        past = (z >= 0) & (z < 2)
        mask = np.einsum("ab,cd,ef->acebdf", past, near(4, 3, 1), near(5, 3, 1)).reshape(60, 60)
        self.is_masked("window/neighborhood3d", (3, 4, 5), mask, params={"depth": 2, "window": 3})

    def test_dinat(self):
        w, r, n = 3, 2, 7
        bias = self.r.normal(2, 5, 5)
        b, mask = np.zeros((2, n, n, n, n)), np.zeros((n, n, n, n), bool)
        for y, x in np.ndindex(n, n):
            for ky, kx in itertools.product(natten(y, n, w, r), natten(x, n, w, r)):
                mask[y, x, ky, kx] = True
                b[:, y, x, ky, kx] = bias[:, (ky - y) // r + w - 1, (kx - x) // r + w - 1]
        q, k, v = self.grid(n, n)
        o = run("window/dinat", "o", params={"window": w, "dilation": r}, q=q, k=k, v=v, bias=bias)
        close(flat(o), attention(flat(q), flat(k), flat(v), mask.reshape(n * n, -1), b.reshape(2, n * n, -1)))

    def test_swin(self):
        """The paper's way: roll by -shift, cut windows, mask regions, attend, put together, roll back."""
        n, m, shift = 6, 3, 1
        q, k, v = self.grid(n, n)
        table = self.r.normal(2, 2 * m - 1, 2 * m - 1)
        cut = np.zeros(n, int)
        cut[n - m:n - shift], cut[n - shift:] = 1, 2
        region = cut[:, None] * 3 + cut[None, :]
        rolled = [np.roll(t, (-shift, -shift), (2, 3)) for t in (q, k, v)]
        at = np.array(list(np.ndindex(m, m)))
        delta = at[:, None] - at[None, :] + m - 1
        bias = table[:, delta[..., 0], delta[..., 1]]
        out = np.zeros_like(v)
        for y, x in itertools.product(range(0, n, m), range(0, n, m)):
            part = [t[:, :, y:y + m, x:x + m].reshape(2, 2, m * m, -1) for t in rolled]
            ids = region[y:y + m, x:x + m].reshape(-1)
            o = attention(*part, ids[:, None] == ids[None, :], bias)
            out[:, :, y:y + m, x:x + m] = o.reshape(2, 2, m, m, -1)
        out = np.roll(out, (shift, shift), (2, 3))
        close(run("window/swin", "o", params={"win": m, "shift": shift}, q=q, k=k, v=v, table=table), out)

    def test_swin_one_window(self):
        q, k, v = self.grid(3, 3)
        table = self.r.normal(2, 7, 7)
        at = np.array(list(np.ndindex(3, 3)))
        delta = at[:, None] - at[None, :] + 3
        o = run("window/swin", "o", params={"win": 4, "shift": 0}, q=q, k=k, v=v, table=table)
        close(flat(o), attention(flat(q), flat(k), flat(v), True, table[:, delta[..., 0], delta[..., 1]]))

    def test_shifted_in_time(self):
        f, y, x = 4, 3, 2
        axes = [np.arange(n) for n in (f, y, x)]
        same = [np.equal.outer(a, a) for a in ((axes[0] - 1) // 3, axes[1] // 2, axes[2] // 2)]
        mask = np.einsum("ab,cd,ef->acebdf", *same).reshape(f * y * x, -1)
        params = {"wf": 3, "wy": 2, "wx": 2, "shift": 1}
        self.is_masked("state/lingen", (f, y, x), mask, "lingen_te", params)

    def test_hilo(self):
        """Heads below `hi` attend in windows, the others to pooled keys and values."""
        q, k, v = self.grid(4, 6)
        o = run("two_level/hilo", "o", params={"hi": 1, "side": 2}, q=q, k=k, v=v)
        cell = (np.arange(4)[:, None] // 2 * 3 + np.arange(6) // 2).reshape(-1)
        high = attention(flat(q)[:, :1], flat(k)[:, :1], flat(v)[:, :1], cell[:, None] == cell[None])
        pool = [t.reshape(2, 2, 2, 2, 3, 2, -1).mean((3, 5)).reshape(2, 2, 6, -1)[:, 1:] for t in (k, v)]
        close(flat(o), np.concatenate([high, softmax(scores(flat(q)[:, 1:], pool[0])) @ pool[1]], 1))


    def test_halo(self):
        """Block by block: the queries of a block against a cut-out of the padded keys."""
        n, m, side, a = 5, 7, 3, 2
        q, k, v = self.grid(n, m)
        r = 2 * (side + a) - 1
        rely, relx = self.r.normal(2, r, 3), self.r.normal(2, r, 3)
        out = np.zeros(v.shape)
        for y, x in itertools.product(range(0, n, side), range(0, m, side)):
            ys, xs = np.arange(max(y - a, 0), min(y + side + a, n)), np.arange(max(x - a, 0), min(x + side + a, m))
            part = [flat(t[:, :, ys][:, :, :, xs]) for t in (k, v)]
            for i, j in itertools.product(range(y, min(y + side, n)), range(x, min(x + side, m))):
                rel = rely[:, ys - i + side + a - 1][:, :, None] + relx[:, xs - j + side + a - 1][:, None]
                one = q[:, :, i:i + 1, j]
                out[:, :, i:i + 1, j] = attention(one, part[0] + rel.reshape(2, -1, 3), part[1])
        o = run("window/halonet", "o", params={"side": side, "reach": a}, q=q, k=k, v=v, rely=rely, relx=relx)
        close(o, out)

    def test_halo_of_one(self):
        """Blocks of one position: an ordinary window that ends at the borders."""
        near = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) <= 1
        mask = np.einsum("ab,cd->acbd", near, near).reshape(36, 36)
        zero = np.zeros((2, 3, 3))
        self.is_masked("window/halonet", (6, 6), mask, params={"side": 1, "reach": 1}, rely=zero, relx=zero)

    def test_generalised(self):
        for y, x in (((4, 2, 1, False), (3, 3, 1, False)), ((3, 2, 2, False), (3, 2, 1, True)),
                     ((2, 1, 3, True), (5, 4, 1, False)), ((6, 6, 1, False), (7, 1, 1, False))):
            params = {name + axis: value for axis, of in zip("yx", (y, x)) for name, value in zip("wsrc", of)}
            mask = np.einsum("ab,cd->acbd", shared(6, *y), shared(7, *x)).reshape(42, 42)
            self.is_masked("window/gna", (6, 7), mask, params=params)
        self.assertTrue((shared(11, 5, 2, 2, False).sum(1) == 5).all())
        self.assertTrue((shared(9, 4, 1, 2, False) == near(9, 4, 2)).all(), "a stride of 1 slides")
        self.assertTrue((shared(9, 3, 3, 1, False) == np.kron(np.eye(3), np.ones((3, 3)))).all(), "blocks")

    def test_axial(self):
        """A row, a column at a time; rows and then columns see the whole map."""
        q, k, v = self.grid(4, 5)
        for masked in (False, True):
            rows = [attention(q[:, :, y], k[:, :, y], v[:, :, y], np.tri(5, dtype=bool) | (not masked))
                    for y in range(4)]
            columns = [attention(q[:, :, :, x], k[:, :, :, x], v[:, :, :, x], np.tri(4, dtype=bool) | (not masked))
                       for x in range(5)]
            o = run("window/axial", "o", "axial_row", {"masked": masked}, q=q, k=k, v=v)
            close(o, np.stack(rows, 2))
            o = run("window/axial", "o", "axial_column", {"masked": masked}, q=q, k=k, v=v)
            close(o, np.stack(columns, 3))

if __name__ == "__main__":
    main()
