"""Masks and scores: every row by NumPy, with the mask as an array."""
import unittest

import numpy as np

from attn import Rng, attention, causal, close, main, philox, places, run, scores, softmax

class Masks(unittest.TestCase):
    def setUp(self):
        self.r = Rng()
        self.q, self.k, self.v = self.r.qkv(i=9, j=13)
        self.i, self.j = places(9, 13)
        self.t = {"q": self.q, "k": self.k, "v": self.v}

    def is_masked(self, name, where, params=None, bias=0.0, pattern=None, **more):
        o = run(name, "o", pattern, params=params, **self.t, **more)
        close(o, attention(self.q, self.k, self.v, where, bias), name)

    def test_full(self):
        self.is_masked("score/full", True)

    def test_causal(self):
        self.is_masked("mask/causal", causal(9, 13))

    def test_sliding_window(self):
        near = causal(9, 13) & (self.i - self.j < 4)
        self.is_masked("window/sliding_window", near, {"window": 4})
        self.is_masked("window/sliding_window", causal(9, 13), {"window": 13})
        self.is_masked("window/sliding_window", False & near, {"window": 0})

    def test_dilated(self):
        d = self.i - self.j
        self.is_masked("window/dilated", (d >= 0) & (d < 9) & (d % 3 == 0), {"window": 3, "rate": 3})

    def test_prefix(self):
        self.is_masked("mask/prefix_lm", causal(9, 13) | (self.j < 7), {"prefix": 7})

    def test_global_tokens(self):
        i = np.arange(9)[:, None]
        seen = (np.abs(i - self.j) <= 2) | (i < 3) | (self.j < 3)
        self.is_masked("mask/global_tokens", seen, {"reach": 2, "globals": 3})

    def test_documents(self):
        q, k, v = self.r.qkv(i=12, j=12)
        doc = np.sort(self.r.integers(0, 4, 2, 12))
        same = (doc[:, None, :, None] == doc[:, None, None, :]) & causal(12, 12)
        close(run("mask/documents", "o", q=q, k=k, v=v, doc=doc), attention(q, k, v, same))

    def test_block_sparse(self):
        keep = self.r.chance(0.5, 2, 3, 4)
        i = np.arange(9)[:, None]
        self.is_masked("mask/block_sparse", keep[:, i // 4, self.j // 4], {"size_of_block": 4}, keep=keep)

    def test_wide_blocks(self):
        """Blocks of 64 queries have strips of twice the lanes; the last ones are not full."""
        q, k, v = self.r.qkv(i=150, j=200)
        keep = self.r.chance(0.5, 2, 3, 4)
        i, j = np.arange(150)[:, None], np.arange(200)
        o = run("mask/block_sparse", "o", params={"size_of_block": 64}, q=q, k=k, v=v, keep=keep)
        close(o, attention(q, k, v, keep[:, i // 64, j // 64]))

    def test_alibi(self):
        slope = np.array([0.5, 0.1])
        bias = -slope[:, None, None] * (self.i - self.j)
        self.is_masked("score/alibi", causal(9, 13), bias=bias, slope=slope)

    def test_relative(self):
        rel = self.r.normal(2, 13, 4)
        at = np.clip(self.j - self.i + 12, 0, 12)
        bias = np.einsum("bhid,hijd->bhij", self.q, rel[:, at]) / 2
        self.is_masked("score/relative", causal(9, 13), bias=bias, rel=rel)

    def test_relative_local(self):
        """A query against the cut-out of its own block and the one before, with the rows of the table turned round."""
        rel, q, k, v = self.r.normal(2, 10, 4), *self.r.qkv(i=11, j=11)
        out = np.zeros(v.shape)
        for i in range(11):
            at = np.arange(max(i // 4 * 4 - 4, 0), i + 1)
            s = q[:, :, i:i + 1] @ np.swapaxes(k[:, :, at] + rel[:, ::-1][:, i - at], -1, -2) / 2
            out[:, :, i] = (softmax(s) @ v[:, :, at])[:, :, 0]
        close(run("score/relative_local", "o", params={"w": 4}, q=q, k=k, v=v, rel=rel), out)

    def test_soft_cap(self):
        s = 2.0 * np.tanh(scores(self.q, self.k) / 2.0)
        o = run("score/soft_cap", "o", params={"cap": 2.0}, **self.t)
        close(o, softmax(s, where=causal(9, 13)) @ self.v)

    def test_sink(self):
        """A sink is one more key of the given score whose value is 0."""
        sinks = self.r.normal(2)
        seen = causal(9, 13) & (self.i - self.j < 5)
        s = np.concatenate([scores(self.q, self.k), np.broadcast_to(sinks[:, None, None], (2, 2, 9, 1))], -1)
        w = softmax(s, where=np.concatenate([seen, np.ones((9, 1), bool)], 1))[..., :-1]
        close(run("score/sink", "o", params={"window": 5}, sinks=sinks, **self.t), w @ self.v)

    def test_mssa(self):
        z = self.r.normal(2, 2, 7, 4)
        close(run("score/mssa", "o", z=z), attention(z, z, z))

    def test_illama(self):
        w = softmax(scores(self.q, self.k)) * np.where(causal(9, 13), 1, 0.25)
        close(run("score/illama", "o", params={"alpha": 0.25}, **self.t), w @ self.v)

    def test_selective(self):
        """Temperatures folded into the queries, and into the values."""
        tq, tv, beta = self.r.uniform(-1, 1, 2, 2, 9), self.r.uniform(-1, 1, 2, 2, 13), 0.3
        heat = tq + 1 + np.exp(-np.exp(beta)) * np.log(self.i[:, 0] + 1)
        o = run("score/selective", "o", tq=tq, tv=tv, beta=beta, **self.t)
        close(o, attention(heat[..., None] * self.q, self.k, tv[..., None] * self.v, causal(9, 13)))
        o = run("score/selective", "o", tq=0 * tq, tv=0 * tv + 1, beta=50.0, **self.t)
        close(o, attention(self.q, self.k, self.v, causal(9, 13)), "no selection")

    def test_monotone(self):
        s = scores(self.q, self.k)
        o, peak = run("score/monotone", ("o", "peak"), **self.t)
        close(o, softmax(np.maximum.accumulate(s, -1), where=causal(9, 13)) @ self.v)
        close(peak, np.argmax(np.where(causal(9, 13), s, -np.inf), -1))

    def test_sink_shift(self):
        """The authors' way: roll half of the heads, cut into groups, causal attention, roll back; then the sinks."""
        for groups, sinks in ((4, 0), (3, 2), (1, 0)):
            n, g = 12, 12 // groups
            keep = np.zeros((4, n, n), bool)
            for h in range(4):
                order = np.roll(np.arange(n), -(g // 2) if h >= 2 else 0)
                for part in order.reshape(groups, g):
                    for a in range(g):
                        keep[h, part[a], part[:a + 1]] = True
            keep |= causal(n, n) & (np.arange(n) < sinks)
            q, k, v = self.r.qkv(i=n, j=n, h=4)
            o = run("mask/sink_shift", "o", params={"groups": groups, "sinks": sinks}, q=q, k=k, v=v)
            close(o, attention(q, k, v, keep), f"{groups} groups")

    def test_visual_neighbours(self):
        """Pairs one by one: text first, a row of patches after it, text again."""
        visual, seeing = self.r.chance(0.6, 2, 13), np.array([True, False])
        row, col = self.r.integers(0, 4, 2, 13), self.r.integers(0, 4, 2, 13)
        keep = np.zeros((2, 2, 9, 13), bool)
        for b, h, i, j in np.ndindex(2, 2, 9, 13):
            a = i + 4
            far = max(abs(row[b, a] - row[b, j]), abs(col[b, a] - col[b, j])) > 1
            hidden = visual[b, a] and ((visual[b, j] and far) or not seeing[h])
            keep[b, h, i, j] = j <= a and not hidden
        t = {"visual": visual, "row": row, "col": col, "seeing": seeing}
        self.is_masked("mask/visual_neighbours", keep, {"radius": 1}, **t)
        t["seeing"] = np.array([True, True])
        self.is_masked("mask/visual_neighbours", causal(9, 13), {"radius": 3}, **t)

    def test_groups(self):
        """Grouped heads: every key head serves as many consecutive query heads."""
        q = self.r.normal(2, 6, 9, 4)
        k, v = self.r.normal(2, 2, 13, 4), self.r.normal(2, 2, 13, 3)
        o = run("mask/causal", "o", q=q, k=k, v=v)
        wide = attention(q, np.repeat(k, 3, 1), np.repeat(v, 3, 1), causal(9, 13))
        close(o, wide)
        close(run("mask/causal", "o", q=q, k=k[:, :1], v=v[:1]), attention(q, k[:, :1], np.repeat(v, 3, 1)[:1],
                                                                         causal(9, 13)))

    def test_sparse_queries(self):
        """Sparse query attention (2025): fewer heads of queries, each with its group's keys. Queries and keys that all
        sequences share (FixedSeqQK, 2025) have one batch."""
        q, k, v = self.r.normal(2, 4, 9, 4), self.r.normal(2, 2, 13, 4), self.r.normal(2, 2, 13, 3)
        o = run("mask/causal", "o", q=q, k=k, v=v)
        for h in range(4):
            close(o[:, h], attention(q[:, h], k[:, h // 2], v[:, h // 2], causal(9, 13)), f"head {h}")
        q, k = self.r.normal(1, 2, 9, 4), self.r.normal(1, 2, 13, 4)
        p = softmax(scores(q, k), where=causal(9, 13))[0]
        close(run("mask/causal", "o", q=q, k=k, v=v), np.einsum("hij,bhje->bhie", p, v))

    def test_queries_are_the_last(self):
        """Decoding one position is the last row of all."""
        whole = run("window/sliding_window", "o", params={"window": 5}, q=self.q, k=self.k, v=self.v)
        last = run("window/sliding_window", "o", params={"window": 5}, q=self.q[:, :, -1:], k=self.k, v=self.v)
        close(last, whole[:, :, -1:])

    def test_s2(self):
        q = self.r.normal(1, 4, 150, 2)
        k, v = self.r.normal(1, 2, 150, 2), self.r.normal(1, 2, 150, 2)
        i, j = places(150, 150)
        g = np.arange(4)[:, None, None] // 2
        keep = (j <= i) & ((i // 64 - j // 64 < 1) | ((j // 64 + g) % 2 == 0))
        o = run("mask/s2_attention", "o", params={"local": 1, "stride": 2}, q=q, k=k, v=v)
        close(o, attention(q, np.repeat(k, 2, 1), np.repeat(v, 2, 1), keep))

    def test_subsampled(self):
        draws = np.array([[[philox(5, b, h, j) for j in range(13)] for h in range(2)] for b in range(2)])
        rank = np.argsort(np.argsort(-draws, -1), -1)
        self.is_masked("mask/subsampled", (rank < 4)[:, :, None, :], {"seed": 5, "kept": 4}, pattern="ssa")
        self.is_masked("mask/subsampled", True, {"seed": 5, "kept": 13}, pattern="ssa")

    def test_subsampled_local(self):
        near = np.zeros((2, 2, 9, 13), bool)
        for b, h, i, j in np.ndindex(near.shape):
            a, c = i // 4, j // 4
            near[b, h, i, j] = a == c or philox(3, b, h, a, c) < 0.9 * np.exp(-abs(a - c) / 2.0)
        params = {"seed": 3, "tile": 4, "reach": 2.0, "rate": 0.9}
        self.is_masked("mask/subsampled", near, params, pattern="ssa_local")

    def test_frame_causal(self):
        q, k, v = self.r.normal(2, 3, 2, 4, 4), self.r.normal(2, 3, 2, 10, 4), self.r.normal(2, 3, 2, 10, 5)
        frame = self.r.integers(-1, 10, 2, 10)
        seen = (frame[:, None, :] >= 0) & (frame[:, None, :] <= 6 + np.arange(4)[:, None])
        o = run("mask/frame_causal", "o", "frame_causal", {"first": 6}, q=q, k=k, v=v, frame=frame)
        close(o, attention(q, k, v, seen[:, None, None]))
        u, table = self.r.normal(2, 3, 7, 4), self.r.normal(5, 4)
        o = run("mask/frame_causal", "o", "cyclic_embed", {"first": 3}, u=u, table=table)
        close(o, u + table[(3 + np.arange(7)) % 5])


if __name__ == "__main__":
    main()
