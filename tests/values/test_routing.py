"""Selections and routing: loops over queries, with ties kept away by random scores."""
import unittest

import numpy as np

from attn import Rng, attention, causal, close, main, philox, run, scores, sigmoid, softmax


def best(x, n, where=None):
    """True for the n largest of a vector (of those in `where`); the lowest index wins ties."""
    x = np.asarray(x, float)
    order = np.argsort(-x.reshape(-1), kind="stable")
    if where is not None:
        order = [a for a in order if where.reshape(-1)[a]]
    m = np.zeros(x.size, bool)
    m[list(order)[:max(n, 0)]] = True
    return m.reshape(x.shape)


def blocks(n, size):
    return [slice(a, min(a + size, n)) for a in range(0, n, size)]


def rotate(x, position, pairs):
    """Rotary embedding of x[..., d] with the halves as real and imaginary parts."""
    z = x[..., :pairs] + 1j * x[..., pairs:]
    z = z * np.exp(1j * np.asarray(position)[..., None] * 10000.0 ** (-np.arange(pairs) / pairs))
    return np.concatenate([z.real, z.imag], -1)


class Routing(unittest.TestCase):
    def setUp(self):
        self.r = Rng(3)

    def test_moba(self):
        q, k, v = self.r.qkv(i=150, j=150)
        gate = np.stack([q @ k[:, :, b].mean(2)[..., None] for b in blocks(150, 64)], -1)[..., 0, :]
        keep = np.zeros((2, 2, 150, 150), bool)
        for b, h, i in np.ndindex(2, 2, 150):
            pick = best(gate[b, h, i], 1, np.arange(3) < i // 64)
            keep[b, h, i] = pick[np.arange(150) // 64] | (np.arange(150) // 64 == i // 64)
        o = run("routing/moba", "o", params={"top": 1}, q=q, k=k, v=v)
        close(o, attention(q, k, v, keep & causal(150, 150)))
        close(run("routing/moba", "o", params={"top": 3}, q=q, k=k, v=v), attention(q, k, v, causal(150, 150)))

    def test_expert_choice(self):
        x, gate = self.r.normal(2, 9, 3), self.r.normal(2, 9)
        y, place = run("routing/expert_choice", ("y", "place"), params={"n": 4}, x=x, gate=gate)
        order = np.argsort(-gate, 1)[:, :4]
        out = np.zeros(x.shape)
        for b in range(2):
            out[b, order[b]] = sigmoid(gate[b, order[b]])[:, None] * x[b, order[b]]
        close(place, order)
        close(y, out)
        place = run("routing/expert_choice", "place", params={"n": 12}, x=x, gate=gate)
        close(place[:, 9:], np.full((2, 3), -1))

    def test_routing_transformer(self):
        """Gather w queries and w keys per centroid, attend, scatter the mean."""
        q, k, v = self.r.qkv(i=12, j=12)
        mu = self.r.normal(2, 3, 4)
        unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
        out, count = np.zeros(v.shape), np.zeros((2, 2, 12))
        for b, h, c in np.ndindex(2, 2, 3):
            mine = np.sort(np.argsort(-(unit(q[b, h]) @ mu[h, c]))[:5])
            theirs = np.sort(np.argsort(-(unit(k[b, h]) @ mu[h, c]))[:5])
            seen = theirs[None, :] <= mine[:, None]
            out[b, h, mine] += attention(q[b, h, mine], k[b, h, theirs], v[b, h, theirs], seen)
            count[b, h, mine] += 1
        o = run("routing/routing_attention", "o", params={"w": 5}, q=q, k=k, v=v, mu=mu)
        close(o, out / np.maximum(count, 1)[..., None])

    def test_llsa(self):
        """The pyramid by hand, on a ragged length."""
        n, side, top1, top2 = 39, 4, 3, 2
        q, k, v = self.r.qkv(i=n, j=n)
        fine = blocks(n, side)
        wide = blocks(len(fine), side)
        pool = lambda x, parts: np.stack([x[..., p, :].mean(-2) for p in parts], -2)
        q1, k1, v1 = (pool(x, fine) for x in (q, k, v))
        q2, k2, v2 = (pool(x, wide) for x in (q1, k1, v1))
        n1 = np.array([p.stop - p.start for p in fine])
        n2 = np.array([n1[p].sum() for p in wide])
        out = np.zeros(v.shape)
        for b, h, i in np.ndindex(2, 2, n):
            a, A = i // side, i // side // side
            w = best(k2[b, h] @ q2[b, h, A], top2)
            f = best(k1[b, h] @ q1[b, h, a], top1, w[np.arange(len(fine)) // side])
            parts = [(k[b, h], v[b, h], np.ones(n), f[np.arange(n) // side]),
                     (k1[b, h], v1[b, h], n1, w[np.arange(len(fine)) // side]),
                     (k2[b, h], v2[b, h], n2, np.ones(len(wide), bool))]
            keys, values, counts, keep = (np.concatenate(x) for x in zip(*parts))
            p = softmax(keys @ q[b, h, i] / 2 + np.log(counts), where=keep)
            out[b, h, i] = p @ values
        o = run("routing/llsa", "o", params={"side": side, "top1": top1, "top2": top2}, q=q, k=k, v=v)
        close(o, out)

    def test_vmoba(self):
        """All pairs of a head are taken from the largest gate down until the share is reached."""
        t = [self.r.normal(2, 2, 2, 4, 4, d) for d in (4, 4, 3)]
        q, k, v = (x.reshape(2, 2, 32, -1) for x in t)
        block = (np.arange(32) // 16 * 4 + np.arange(32) // 4 % 4 // 2 * 2 + np.arange(32) % 4 // 2)
        mean = np.stack([k[:, :, block == c].mean(2) for c in range(8)], 2)
        gate = q @ np.swapaxes(mean, -1, -2)
        keep = np.zeros((2, 2, 32, 8), bool)
        for b, h in np.ndindex(2, 2):
            g = (gate[b, h] - gate[b, h].min()) / (gate[b, h].max() - gate[b, h].min())
            own = block[:, None] == np.arange(8)
            need = 0.5 * g.sum() - g[own].sum()
            total, keep[b, h] = 0, own
            for at in np.argsort(-g.reshape(-1)):
                if own.reshape(-1)[at]:
                    continue
                if total >= need:
                    break
                total += g.reshape(-1)[at]
                keep[b, h].reshape(-1)[at] = True
        o = run("routing/vmoba", "o", params={"st": 1, "sy": 2, "sx": 2, "mass": 0.5}, q=t[0], k=t[1], v=t[2])
        close(o.reshape(2, 2, 32, -1), attention(q, k, v, keep[..., block]))

    def test_biformer(self):
        """Region by region: the chosen regions' tokens are gathered; the last regions are cut short."""
        y, x, side = 5, 7, 3
        q, k, v = (self.r.normal(2, 2, y, x, d) for d in (4, 4, 3))
        cells = [(a, c) for a in blocks(y, side) for c in blocks(x, side)]
        gather = lambda t, at: np.concatenate([t[:, a, c].reshape(2, -1, t.shape[-1]) for a, c in at], 1)
        out = np.zeros(v.shape)
        for b in range(2):
            mean = lambda t: np.stack([t[b][:, a, c].mean((1, 2)).reshape(-1) for a, c in cells])
            fit = mean(q) @ mean(k).T
            for n, (a, c) in enumerate(cells):
                at = [cells[m] for m in np.flatnonzero(best(fit[n], 2))]
                o = attention(gather(q[b], [(a, c)]), gather(k[b], at), gather(v[b], at))
                out[b][:, a, c] = o.reshape(out[b][:, a, c].shape)
        close(run("routing/biformer", "o", params={"top": 2, "side": side}, q=q, k=k, v=v), out)
        o = run("routing/biformer", "o", params={"top": 9, "side": side}, q=q, k=k, v=v)
        flat = [t.reshape(2, 2, y * x, -1) for t in (q, k, v)]
        close(o.reshape(2, 2, y * x, -1), attention(*flat), "all regions")

    def test_seer(self):
        q, k, v = self.r.qkv(i=18, j=18)
        wq, wmax, wmin, wavg = (self.r.normal(2, 4, 3) for _ in range(4))
        cut = blocks(18, 4)
        keep = np.zeros((2, 2, 18, 18), bool)
        for b, h, i in np.ndindex(2, 2, 18):
            a = i // 4
            gq = q[b, h, cut[a]].mean(0) @ wq[h]
            gk = np.stack([k[b, h, s].max(0) @ wmax[h] + k[b, h, s].min(0) @ wmin[h] + k[b, h, s].mean(0) @ wavg[h]
                           for s in cut])
            pick = best(gk @ gq, 2, np.arange(5) <= a)
            keep[b, h, i] = pick[np.arange(18) // 4] | (np.arange(18) // 4 == a)
        keep &= causal(18, 18)
        w = {"wq": wq, "wmax": wmax, "wmin": wmin, "wavg": wavg}
        close(run("routing/seer", "o", "seer", {"top": 2, "bs": 4}, q=q, k=k, v=v, **w), attention(q, k, v, keep))
        o, m = run("routing/seer", ("o", "m"), "seer_target", {"bs": 4}, q=q, k=k, v=v)
        p = softmax(scores(q, k), where=causal(18, 18))
        close(m, np.stack([np.stack([p[:, :, a, c].max((2, 3)) for c in cut], -1) for a in cut], -2))
        close(o, p @ v)

    def test_minference(self):
        q, k, v = self.r.qkv(i=16, j=16, h=3)
        n, last, front, near, cols, lines, top, bs = 16, 4, 1, 2, 3, 4, 2, 4
        keep = np.zeros((2, 3, n, n), bool)
        i, j = np.arange(n)[:, None], np.arange(n)[None]
        for b in range(2):
            keep[b, 0] = (j < 2) | (i - j < 4)
            rows = np.arange(n - last, n)
            p = softmax(scores(q[b, 1, rows], k[b, 1]), where=j <= rows[:, None])
            col = best(np.where(np.arange(n) < front, np.inf, p.sum(0)), cols)
            slash = [sum(p[r, row - t] for r, row in enumerate(rows) if 0 <= row - t) for t in range(n)]
            line = best(np.where(np.arange(n) < near, np.inf, slash), lines)
            keep[b, 1] = col[None, :] | (line[np.clip(i - j, 0, None)] & (i >= j))
            pool = lambda x: x.reshape(n // bs, bs, -1).mean(1)
            g = pool(q[b, 2]) @ pool(k[b, 2]).T
            for a in range(n // bs):
                keep[b, 2, a * bs:(a + 1) * bs] = np.repeat(best(g[a], top, np.arange(n // bs) <= a), bs)
        params = {"sinks": 2, "recent": 4, "cols": cols, "lines": lines, "top": top, "last": last, "front": front,
                  "close": near, "bs": bs}
        o = run("routing/minference", "o", params=params, q=q, k=k, v=v, kind=np.arange(3))
        close(o, attention(q, k, v, keep & causal(n, n)))

    def test_long_heads(self):
        """As long as all chunks fit, plain rotary attention; else the picked chunks are laid end to end."""
        n, w, d = 28, 4, 8
        q, k, v, ck = self.r.normal(2, 2, n, d), self.r.normal(2, 2, n, d), self.r.normal(2, 2, n, 3), \
            self.r.normal(2, 2, 7, d)
        at = np.arange(n)
        o = run("routing/long_heads", "o", "long_heads", {"top": 7, "w": w}, q=q, k=k, v=v, ck=ck)
        close(o, attention(rotate(q, at, 4), rotate(k, at, 4), v, causal(n, n)))
        out = np.zeros(v.shape)
        for b, h, i in np.ndindex(2, 2, n):
            c = np.arange(7)
            forced = (c == i // w) | (c == i // w - 1) | (c == 0)
            pick = best(np.where(forced, np.inf, ck[b, h] @ q[b, h, i]), 4, c <= i // w)
            slot = np.cumsum(pick) - 1
            seen = pick[at // w] & (at <= i)
            place = slot[at // w] * w + at % w
            out[b, h, i] = attention(rotate(q[b, h, i:i + 1], place[i:i + 1], 4), rotate(k[b, h], place, 4), v[b, h],
                                     seen)[0]
        o = run("routing/long_heads", "o", "long_heads", {"top": 4, "w": w}, q=q, k=k, v=v, ck=ck)
        close(o, out)

    def test_chunk_keys(self):
        qr, kr, v = self.r.qkv(i=10, j=10, d=4, e=4)
        own = np.arange(10) // 4
        a = attention(qr, kr, v, own[:, None] == own)
        expected = []
        for s in blocks(10, 4):
            cv = a[:, :, s].mean(2, keepdims=True)
            expected.append(attention(cv, kr[:, :, s], kr[:, :, s])[:, :, 0])
        close(run("routing/long_heads", "ck", "chunk_keys", {"w": 4}, qr=qr, kr=kr, v=v), np.stack(expected, 2))

    def test_deformable(self):
        """Fields that are affine in the coordinates are reproduced at fractional points."""
        kt, ky, kx, d, e = 4, 5, 6, 3, 2
        at = np.stack(np.meshgrid(np.arange(kt), np.arange(ky), np.arange(kx), indexing="ij"), -1)
        K, V = self.r.normal(3, d), self.r.normal(3, e)
        k = np.broadcast_to(at @ K, (2, 2, kt, ky, kx, d))
        v = np.broadcast_to(at @ V, (2, 2, kt, ky, kx, e))
        points = np.stack([self.r.uniform(0, n - 1, 2, 2, 7, 4) for n in (kt, ky, kx)], -1)
        q = self.r.normal(2, 2, 7, d)
        p = softmax(np.einsum("bhid,bhind->bhin", q, points @ K) / np.sqrt(d))
        o = run("routing/deformable", "o", q=q, k=k, v=v, pt=points[..., 0], py=points[..., 1], px=points[..., 2])
        close(o, np.einsum("bhin,bhine->bhie", p, points @ V))
        far = np.full((2, 2, 7, 4), 1e300)
        o = run("routing/deformable", "o", q=q, k=k, v=v, pt=far, py=-far, px=far)
        close(o, np.zeros(o.shape))

    def test_moh(self):
        q, k, v = self.r.qkv(i=9, j=9, h=6)
        shared, routed, mix = self.r.normal(2, 9, 2), self.r.normal(2, 9, 4), self.r.normal(2, 9, 2)
        full, m = attention(q, k, v), 2 * softmax(mix)
        out = np.zeros(full.shape)
        for b, i in np.ndindex(2, 9):
            on = best(routed[b, i], 2)
            g = np.concatenate([m[b, i, 0] * 2 * softmax(shared[b, i]),
                                m[b, i, 1] * 2 * softmax(routed[b, i], where=on)])
            out[b, :, i] = g[:, None] * full[b, :, i]
        close(run("routing/moh", "o", params={"top": 2}, q=q, k=k, v=v, shared=shared, routed=routed, mix=mix), out)

    def test_hyper(self):
        """Ranks of Gray-coded buckets; without samples, blocks of the two orders; one block is full attention."""
        q, k, v = self.r.qkv(i=12, j=12, d=4)
        plane = self.r.normal(2, 3, 4)
        gray = lambda x: x ^ (x >> 1)
        code = lambda x: gray(np.sum((np.einsum("bhid,hrd->bhir", x, plane) > 0) << np.arange(3), -1))
        rank = lambda c: np.argsort(np.argsort(c, -1, kind="stable"), -1, kind="stable")
        near = (rank(code(q)) // 3)[..., :, None] == (rank(code(k)) // 3)[..., None, :]
        t = {"q": q, "k": k, "v": v, "plane": plane}
        close(run("routing/hyper", "o", "hyper_attention", {"w": 3, "samples": 0}, **t), attention(q, k, v, near))
        close(run("routing/hyper", "o", "hyper_attention", {"w": 12, "samples": 0}, **t), attention(q, k, v))
        draws = np.array([[[int(philox(7, b, h, m) * 12) for m in range(5)] for h in range(2)] for b in range(2)])
        hits = np.sum(draws[..., None, :] == rank(code(k))[..., None], -1)[:, :, None, :]
        count = near + hits * 12 / 5
        with np.errstate(divide="ignore"):
            expected = attention(q, k, v, count > 0, np.log(count))
        o = run("routing/hyper", "o", "hyper_attention", {"w": 3, "samples": 5, "seed": 7}, **t)
        close(o, expected)

    def test_hyper_causal(self):
        """With whole halves as blocks and no samples every earlier key counts once."""
        q, k, v = self.r.qkv(i=16, j=16, d=4)
        params = {"levels": 2, "w": 16, "samples": 0}
        o = run("routing/hyper", "o", "hyper_attention_causal", params, q=q, k=k, v=v, plane=self.r.normal(2, 3, 4))
        close(o, attention(q, k, v, causal(16, 16)))


if __name__ == "__main__":
    main()
