"""Token reduction, caches, two-level schemes: by sorting, gathering and concatenating."""
import unittest

import numpy as np

from attn import Rng, attention, causal, close, main, places, run, scores, softmax


class Tokens(unittest.TestCase):
    def setUp(self):
        self.r = Rng(4)

    def test_evit(self):
        q, k, v = self.r.qkv()
        o, a = run("token_reduction/evit", ("o", "a"), "evit_attention", q=q, k=k, v=v)
        p = softmax(scores(q, k))
        close(o, p @ v)
        close(a, p[:, :, 0].mean(1))
        close(a.sum(-1), np.ones(2))
        x, a = self.r.normal(2, 11, 3), self.r.uniform(0, 0.2, 2, 11)
        y, at = run("token_reduction/evit", ("y", "at"), "evit_select", {"keep": 4}, x=x, a=a)
        order = 1 + np.argsort(-a[:, 1:], 1)
        close(at, order[:, :4])
        for b in range(2):
            rest = order[b, 4:]
            close(y[b], np.concatenate([x[b, :1], x[b, order[b, :4]], (a[b, rest, None] * x[b, rest]).sum(0)[None]]))
        y = run("token_reduction/evit", "y", "evit_select", {"keep": 10}, x=x, a=a)
        close(y[:, -1], np.zeros((2, 3)))

    def test_h2o(self):
        q, k, v = self.r.qkv(i=9, j=13)
        o, received, heavy = run("cache/h2o", ("o", "received", "heavy"), params={"budget": 4}, q=q, k=k, v=v)
        p = softmax(scores(q, k), where=causal(9, 13))
        close(o, p @ v)
        close(received, p.sum(2))
        close(heavy, np.argsort(np.argsort(-received)) < 4)

    def test_zipvl(self):
        q, k, v = self.r.qkv(i=12, j=12, h=3)
        a = softmax(scores(q, k), where=causal(12, 12))
        keep = np.zeros((2, 12), bool)
        for b in range(2):
            mass = np.sort(a[b].sum((0, 1)))[::-1]
            n = np.searchsorted(np.cumsum(mass), 0.8 * 36) + 1
            score = a[b].sum((0, 1)) / (3 * np.arange(12, 0, -1))
            keep[b, np.argsort(-score)[:n]] = True
        o, kept = run("token_reduction/zipvl", ("o", "keep"), "zipvl_prefill", {"tau": 0.8}, q=q, k=k, v=v)
        close(kept, keep)
        both = keep[:, None, :, None] & keep[:, None, None, :]
        close(o, attention(q, k, v, causal(12, 12) & both))
        o = run("token_reduction/zipvl", "o", "zipvl_prefill", {"tau": 2.0}, q=q, k=k, v=v)
        close(o, attention(q, k, v, causal(12, 12)), "a mass that is never reached keeps all")

    def test_spatten(self):
        """Whole 8-bit keys where the high halves leave a row open; what is dead is gathered away."""
        q, v = self.r.normal(2, 2, 6, 4), self.r.normal(2, 2, 11, 3)
        key, step = self.r.integers(-128, 128, 2, 2, 11, 4), self.r.uniform(0.01, 0.02, 2, 2)
        old, live = self.r.uniform(0, 1, 2, 11), self.r.chance(0.8, 2, 11)
        names, params = ("o", "score", "head", "alive", "place"), {"keep": 4, "sure": 0.3}
        t = {"q": q, "v": v, "hi": key >> 4, "lo": key & 15, "step": step, "old": old, "live": live}
        o, score, head, alive, place = run("token_reduction/spatten", names, params=params, **t)
        out, got, open_rows = np.zeros(o.shape), old.copy(), 0
        for b, h, i in np.ndindex(2, 2, 6):
            at = np.flatnonzero(live[b])
            p = softmax(step[b, h] * (key[b, h, at] >> 4 << 4) @ q[b, h, i] / 2)
            if p.max() < 0.3:
                p, open_rows = softmax(step[b, h] * key[b, h, at] @ q[b, h, i] / 2), open_rows + 1
            out[b, h, i] = p @ v[b, h, at]
            got[b, at] += p
        self.assertTrue(0 < open_rows < 24)
        close(o, out)
        close(score, got)
        close(head, np.abs(out).sum((2, 3)))
        for b in range(2):
            at = np.flatnonzero(live[b])
            at = np.sort(at[np.argsort(-got[b, at])[:4]])
            close(np.flatnonzero(alive[b]), at)
            close(place[b], at)

    def test_zipvl_decode(self):
        q, k, v = self.r.qkv(i=1, j=5)
        kq, vq = self.r.integers(0, 16, 2, 2, 7, 4), self.r.integers(0, 16, 2, 2, 7, 3)
        ks, kz, vs, vz = (self.r.uniform(lo, hi, 2, 2, 7) for lo, hi in ((0.05, 0.2), (6, 9), (0.05, 0.2), (6, 9)))
        o = run("token_reduction/zipvl", "o", "zipvl_decode", q=q, k=k, v=v, kq=kq, ks=ks, kz=kz, vq=vq, vs=vs, vz=vz)
        keys = np.concatenate([k, (kq - kz[..., None]) * ks[..., None]], 2)
        values = np.concatenate([v, (vq - vz[..., None]) * vs[..., None]], 2)
        close(o, attention(q, keys, values))

    def test_pyramid_drop(self):
        q, k, x = self.r.normal(2, 2, 4), self.r.normal(2, 2, 20, 4), self.r.normal(2, 20, 3)
        params = {"keep": 5, "first": 4, "count": 12}
        y, src = run("token_reduction/pyramid_drop", ("y", "src"), params=params, q=q, k=k, x=x)
        p = softmax(scores(q[:, :, None], k))[:, :, 0].mean(1)
        for b in range(2):
            image = 4 + np.argsort(-p[b, 4:16])[:5]
            stay = np.sort(np.concatenate([np.arange(4), image, np.arange(16, 20)]))
            close(src[b], stay)
            close(y[b], x[b, stay])
        y = run("token_reduction/pyramid_drop", "y", params={"keep": 12, "first": 4, "count": 12}, q=q, k=k, x=x)
        close(y, x)

    def test_mctf(self):
        """A loop port of one direction: matching, then a weighted mean of each odd token and its fused partners."""
        x, held, p = self.r.normal(2, 9, 3), self.r.integers(1, 4, 2, 9) * 1.0, self.r.uniform(0.1, 1, 2, 2, 9, 9)
        rest, odd = run("token_reduction/mctf", ("rest", "odd"), params={"r": 2}, x=x, held=held, p=p)
        for b in range(2):
            z, got = x[b] / np.linalg.norm(x[b], axis=-1, keepdims=True), p[b].mean((0, 1))
            info, slim, a = got.min() / got, held[b].min() / held[b], got * held[b]
            w = (1 + z[::2] @ z[1::2].T) / 2 * np.outer(info[::2], info[1::2]) * np.outer(slim[::2], slim[1::2])
            src = 1 + np.argsort(-w.max(1)[1:])[:2]
            top, bottom = a[1::2, None] * x[b, 1::2], a[1::2].copy()
            for m in src:
                n = w[m].argmax()
                top[n] += a[2 * m] * x[b, 2 * m]
                bottom[n] += a[2 * m]
            close(odd[b], top / bottom[:, None])
            close(rest[b], x[b, 2 * np.array([m for m in range(5) if m not in src])])

    def test_focus_detr(self):
        """Bilinear samples at whole points are the values there; outside they are 0; objects are gathered."""
        v = self.r.normal(2, 2, 18, 3)                       # levels of 2 x 3 and 3 x 4
        start, high, wide = np.array([0, 6]), np.array([2, 3]), np.array([3, 4])
        y, x = np.meshgrid(np.arange(2), np.arange(2), indexing="ij")
        py = np.broadcast_to(((y.reshape(-1) + 0.5)[:, None] / high)[..., None], (2, 2, 4, 2, 1))
        px = np.broadcast_to(((x.reshape(-1) + 0.5)[:, None] / wide)[..., None], (2, 2, 4, 2, 1))
        a = self.r.normal(2, 2, 4, 2, 1)
        o = run("token_reduction/focus_detr", "o", "focusdetr_sample", v=v, py=py, px=px, a=a, start=start, high=high,
                wide=wide)
        at = start + y.reshape(-1)[:, None] * wide + x.reshape(-1)[:, None]
        close(o, np.einsum("bhil,bhile->bhie", a[..., 0], v[:, :, at]))
        o = run("token_reduction/focus_detr", "o", "focusdetr_sample", v=v, py=py + 9, px=px, a=a, start=start,
                high=high, wide=wide)
        close(o, np.zeros(o.shape))
        q, k, v = self.r.qkv()
        x, score = self.r.normal(2, 2, 11, 3), self.r.normal(2, 11)
        o = run("token_reduction/focus_detr", "o", "focusdetr_objects", {"objects": 4}, q=q, k=k, v=v, x=x, score=score)
        for b in range(2):
            pick = np.sort(np.argsort(-score[b])[:4])
            x[b][:, pick] = attention(q[b][:, pick], k[b][:, pick], v[b][:, pick])
        close(o, x)

    def test_pointer(self):
        """A softmax over the free inputs alone; nothing free: 0 everywhere, and no best one."""
        q, k, w = self.r.normal(2, 5, 3), self.r.normal(2, 7, 3), self.r.normal(3)
        n, visited = np.array([4, 7]), self.r.chance(0.4, 2, 5, 7)
        visited[1, 2] = True
        p, best = run("cross/pointer", ("p", "best"), q=q, k=k, w=w, len=n, visited=visited)
        for b, i in np.ndindex(2, 5):
            at = np.array([j for j in range(n[b]) if not visited[b, i, j]], int)
            s = np.tanh(q[b, i] + k[b, at]) @ w
            close(p[b, i, at], softmax(s))
            close(p[b, i].sum(), float(len(at) > 0))
            close(best[b, i], at[s.argmax()] if len(at) else -1)

    def test_crossvit(self):
        q, kc, vc = self.r.normal(2, 2, 4), self.r.normal(2, 2, 1, 4), self.r.normal(2, 2, 1, 3)
        _, k, v = self.r.qkv(j=9)
        o = run("cross/crossvit", "o", q=q, kc=kc, vc=vc, k=k, v=v)
        whole = attention(q[:, :, None], np.concatenate([kc, k], 2), np.concatenate([vc, v], 2))
        close(o, whole[:, :, 0])
        order = self.r.g.permutation(9)
        close(run("cross/crossvit", "o", q=q, kc=kc, vc=vc, k=k[:, :, order], v=v[:, :, order]), o, "any order")

    def test_probing(self):
        """One pooled slice after the other; equal scores give the mean."""
        x, v, u = self.r.normal(2, 9, 4), self.r.normal(2, 9, 3, 2), self.r.normal(3, 4)
        o = run("cross/probing", "o", x=x, v=v, u=u)
        for m in range(3):
            close(o[:, m], attention(np.broadcast_to(u[m], (2, 1, 4)), x, v[:, :, m])[:, 0])
        close(run("cross/probing", "o", x=x, v=v, u=0 * u), v.mean(1))

    def test_dcal(self):
        q, k, v = self.r.qkv()
        rollout = self.r.normal(2, 11)
        o, which = run("cross/dcal", ("o", "which"), "dcal_global", {"share": 0.4}, q=q, k=k, v=v, rollout=rollout)
        for b in range(2):
            at = np.argsort(-rollout[b])[:4]
            close(which[b], at)
            close(o[b], attention(q[b][:, at], k[b], v[b]))
        pair = np.array([1, 0])
        o = run("cross/dcal", "o", "dcal_pair", q=q, k=k, v=v, pair=pair)
        close(o, attention(q, np.concatenate([k, k[pair]], 2), np.concatenate([v, v[pair]], 2)))
        o = run("cross/dcal", "o", "dcal_pair", q=q, k=k, v=v, pair=np.array([0, 1]))
        close(o, attention(q, k, v), "its own partner")


class Caches(unittest.TestCase):
    def setUp(self):
        self.r = Rng(5)

    def test_paged(self):
        """Pages in any order equal the contiguous cache."""
        b, h, p, d, e = 2, 2, 3, 4, 3
        kpool, vpool = self.r.normal(8, h, 16, d), self.r.normal(8, h, 16, e)
        table, n = np.array([[5, 0, 7], [2, 6, 1]]), np.array([37, 48])
        q = self.r.normal(b, h, 2, d)
        o = run("cache/paged", "o", q=q, kpool=kpool, vpool=vpool, table=table, len=n)
        for s in range(b):
            k = np.concatenate([kpool[t] for t in table[s]], 1)[:, :n[s]]
            v = np.concatenate([vpool[t] for t in table[s]], 1)[:, :n[s]]
            close(o[s], attention(q[s], k, v, causal(2, n[s])))

    def test_razor(self):
        """The dropped tokens are so many copies of their mean."""
        q, k, v = self.r.qkv(i=9, j=12)
        full = np.array([True, False])
        o = run("cache/razor", "o", params={"sinks": 2, "recent": 3}, q=q, k=k, v=v, full=full)
        close(o[:, 0], attention(q[:, 0], k[:, 0], v[:, 0], causal(9, 12)))
        for b, i in np.ndindex(2, 9):
            j = np.arange(12)
            seen = (j <= i + 3) & ((j < 2) | (i + 3 - j < 3))
            drop = (j <= i + 3) & ~seen
            keys, values = k[b, 1, seen], v[b, 1, seen]
            if drop.any():
                keys = np.concatenate([keys] + [k[b, 1, drop].mean(0)[None]] * drop.sum())
                values = np.concatenate([values] + [v[b, 1, drop].mean(0)[None]] * drop.sum())
            close(o[b, 1, i], attention(q[b, 1, i:i + 1], keys, values)[0])

    def test_retrieval(self):
        q, k, v = self.r.qkv(i=2, j=12)
        found = self.r.integers(0, 12, 2, 2, 2, 3)
        i, j = places(2, 12)
        keep = (j < 2) | (i - j < 3) | (found[..., None] == np.arange(12)).any(-2)
        o = run("cache/retrieval", "o", params={"sinks": 2, "recent": 3}, q=q, k=k, v=v, found=found)
        close(o, attention(q, k, v, keep & (j <= i)))

    def test_elastic(self):
        q, k, v = self.r.qkv(i=4, j=11)
        old, star = self.r.uniform(0.01, 1, 2, 2, 4), np.array([3, 0])
        t = {"q": q, "k": k, "v": v, "star": star}
        o, now, top, drift = run("cache/elastic", ("o", "now", "top", "drift"), old=old, **t)
        p = softmax(scores(q, k))
        column = np.stack([p[b, :, :, star[b]] for b in range(2)])
        close(o, p @ v)
        close(now, column)
        close(top, p.sum((1, 2)).argmax(-1))
        close(drift, (column * old).sum((1, 2)) / np.sqrt((column**2).sum((1, 2)) * (old**2).sum((1, 2))))
        close(run("cache/elastic", "drift", old=now, **t), np.ones(2))

    def test_duo(self):
        q, k, v = self.r.qkv(i=9, j=12)
        i, j = places(9, 12)
        near = (j <= i) & ((j < 2) | (i - j < 4))
        t, params = {"q": q, "k": k, "v": v}, {"sinks": 2, "recent": 4}
        full = np.array([True, False])
        keep = np.stack([causal(9, 12), near])
        close(run("cache/duo", "o", "duo", params, full=full, **t), attention(q, k, v, keep))
        alpha = np.array([0.25, 0.75])
        mixed = alpha[:, None, None] * attention(q, k, v, causal(9, 12)) + \
            (1 - alpha)[:, None, None] * attention(q, k, v, near)
        close(run("cache/duo", "o", "duo_identify", params, alpha=alpha, **t), mixed)

    def test_token_select(self):
        """Votes of the heads for the tokens in the middle; the picked ones are gathered."""
        q, k, v = self.r.qkv(i=3, j=25, h=3)
        params, mid = {"top": 5, "sinks": 2, "local": 6}, np.arange(2, 19)
        o, keep = run("cache/token_select", ("o", "keep"), params=params, q=q, k=k, v=v)
        for b in range(2):
            vote = sum(softmax(k[b, h, mid] @ q[b, h].mean(0)) for h in range(3))
            at = np.concatenate([[0, 1], np.sort(mid[np.argsort(-vote)[:5]]), np.arange(19, 25)])
            close(np.flatnonzero(keep[b]), at)
            close(o[b], attention(q[b], k[b][:, at], v[b][:, at], at <= 22 + np.arange(3)[:, None]))
        order = [2, 0, 1]
        turned = run("cache/token_select", "keep", params=params, q=q[:, order], k=k[:, order], v=v[:, order])
        close(turned, keep, "heads in another order")

    def test_lserve(self):
        q, k, v = self.r.qkv(i=3, j=200)
        streaming = np.array([False, True])
        i, j = places(3, 200)
        keep = np.zeros((2, 2, 3, 200), bool)
        for b, h, r in np.ndindex(2, 2, 3):
            at = int(i[r, 0])
            bound = []
            for a in range(0, 200, 16):
                page = k[b, h, a:a + 16]
                lo, hi = page.min(0), page.max(0)
                self.assertTrue((page @ q[b, h, r] <= np.maximum(q[b, h, r] * lo, q[b, h, r] * hi).sum() + 1e-9).all())
                bound.append(np.maximum(q[b, h, r] * lo, q[b, h, r] * hi).sum())
            page = np.array([max(bound[c:c + 4]) for c in range(0, 13, 4)])
            page[np.arange(4) > at // 64] = -np.inf
            pick = np.arange(4) == page.argmax()
            keep[b, h, r] = ((j < 4) | (at - j < 32))[0] if streaming[h] else (pick[j // 64] | (j // 64 == at // 64))[0]
        params = {"pages": 1, "sinks": 4, "local": 32}
        o = run("cache/lserve", "o", params=params, q=q, k=k, v=v, streaming=streaming)
        close(o, attention(q, k, v, keep & (j <= i)))


class TwoLevels(unittest.TestCase):
    def setUp(self):
        self.r = Rng(6)

    def test_agent(self):
        q, k, v = self.r.qkv()
        cuts = [slice(a * 11 // 4, (a + 1) * 11 // 4) for a in range(4)]
        g = np.stack([q[:, :, c].mean(2) for c in cuts], 2)
        o = run("two_level/agent", "o", params={"agents": 4}, q=q, k=k, v=v)
        close(o, attention(q, g, attention(g, k, v)))
        close(run("two_level/agent", "o", params={"agents": 11}, q=q, k=k, v=v), attention(q, q, attention(q, k, v)))

    def test_agent2d(self):
        q, k, v = (self.r.normal(2, 2, 4, 6, d) for d in (4, 4, 3))
        pull, push, w = self.r.normal(2, 2, 2, 4, 6), self.r.normal(2, 4, 6, 2, 2), self.r.normal(2, 3, 3, 3)
        a = q.reshape(2, 2, 2, 2, 2, 3, 4).mean((3, 5)).reshape(2, 2, 4, 4)
        fq, fk, fv = (t.reshape(2, 2, 24, -1) for t in (q, k, v))
        va = attention(a, fk, fv, bias=pull.reshape(2, 4, 24))
        o = attention(fq, a, va, bias=push.reshape(2, 24, 4)).reshape(v.shape)
        wide = np.pad(v, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
        for r, t in np.ndindex(3, 3):
            o = o + w[:, None, None, :, r, t] * wide[:, :, r:r + 4, t:t + 6]
        close(run("two_level/agent2d", "o", params={"side": 2}, q=q, k=k, v=v, pull=pull, push=push, w=w), o)

    def test_block_local(self):
        """Prefix and own block in one softmax; without a prefix, blocks alone; decoding is the last row."""
        q, k, v = self.r.qkv()
        for r in (2, 0):
            pk, pv = self.r.normal(2, 2, 3, r, 4), self.r.normal(2, 2, 3, r, 3)
            out = np.zeros(v.shape)
            for i in range(11):
                own = slice(i // 4 * 4, i + 1)
                keys = np.concatenate([pk[:, :, i // 4], k[:, :, own]], 2)
                out[:, :, i] = attention(q[:, :, i:i + 1], keys,
                                         np.concatenate([pv[:, :, i // 4], v[:, :, own]], 2))[:, :, 0]
            t = {"k": k, "v": v, "pk": pk, "pv": pv}
            close(run("two_level/block_local", "o", params={"w": 4}, q=q, **t), out)
            close(run("two_level/block_local", "o", params={"w": 4}, q=q[:, :, -1:], **t), out[:, :, -1:])

    def test_fit(self):
        """Groups as blocks of the flat sequence; causal over groups."""
        q, k, v = (self.r.normal(2, 2, 3, n, d) for n, d in ((4, 4), (5, 4), (5, 3)))
        flat = lambda t: t.reshape(2, 2, -1, t.shape[-1])
        g, f = np.repeat(np.arange(3), 4)[:, None], np.repeat(np.arange(3), 5)
        o = run("two_level/fit", "o", "fit_local", q=q, k=k, v=v)
        close(flat(o), attention(flat(q), flat(k), flat(v), g == f))
        for causal, seen in ((True, f <= g), (False, True)):
            o = run("two_level/fit", "o", "fit_global", {"causal": causal}, q=q, k=k, v=v)
            close(flat(o), attention(flat(q), flat(k), flat(v), seen))
        last = run("two_level/fit", "o", "fit_global", {"causal": True}, q=q[:, :, 2:], k=k, v=v)
        close(flat(last), attention(flat(q[:, :, 2:]), flat(k), flat(v)), "the last group reads all")

    def test_combiner(self):
        q, k, v = self.r.qkv(e=4)
        out = np.zeros(v.shape)
        for b, h, i in np.ndindex(2, 2, 11):
            keys, values = [], []
            for c in range(i // 4):
                part = slice(4 * c, 4 * c + 4)
                keys.append(k[b, h, part].max(0))
                values.append(attention(q[b, h, part].max(0)[None], k[b, h, part], v[b, h, part])[0])
            own = slice(i // 4 * 4, i + 1)
            keys, values = np.concatenate([np.reshape(keys, (-1, 4)), k[b, h, own]]), \
                np.concatenate([np.reshape(values, (-1, 4)), v[b, h, own]])
            out[b, h, i] = attention(q[b, h, i:i + 1], keys, values)[0]
        close(run("two_level/combiner", "o", params={"w": 4}, q=q, k=k, v=v), out)
        for w in (1, 11):
            o = run("two_level/combiner", "o", params={"w": w}, q=q, k=k, v=v)
            close(o, attention(q, k, v, causal(11, 11)), f"w = {w}")

    def test_glmix(self):
        """Scale 0 and no convolution: every token gets the mean of the slots."""
        u, w = self.r.normal(2, 2, 4, 4, 3), self.r.normal(2, 3, 5, 5)
        none = np.zeros(w.shape)
        o = run("two_level/glmix", "o", params={"side": 2, "scale": 0}, u=u, w=none)
        mean = u.mean((2, 3))
        close(o, np.broadcast_to(mean[:, :, None, None], u.shape))
        f = np.moveaxis(u.reshape(2, 2, 16, 3), 1, 2).reshape(2, 16, 6)
        g = np.moveaxis(u.reshape(2, 2, 2, 2, 2, 2, 3).mean((3, 5)).reshape(2, 2, 4, 3), 1, 2).reshape(2, 4, 6)
        unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
        s = 2.0 * unit(g) @ np.swapaxes(unit(f), -1, -2)
        slot = np.einsum("bsn,bhnd->bhsd", softmax(s), u.reshape(2, 2, 16, 3))
        rel = attention(slot, slot, slot)
        expected = np.einsum("bsn,bhsd->bhnd", softmax(s, 1), rel).reshape(u.shape)
        wide = np.pad(u, ((0, 0), (0, 0), (2, 2), (2, 2), (0, 0)))
        for r, t in np.ndindex(5, 5):
            expected = expected + w[:, None, None, :, r, t] * wide[:, :, r:r + 4, t:t + 4]
        close(run("two_level/glmix", "o", params={"side": 2, "scale": 2.0}, u=u, w=w), expected)

    def test_codebook(self):
        """Attention over the members, each replaced by its centroid; then one step of the averages."""
        q, k, v = self.r.normal(2, 9, 4), self.r.normal(2, 5, 4), self.r.normal(2, 5, 3)
        cluster = self.r.integers(0, 4, 20)
        o = run("two_level/codebook", "o", "codebook_attention", q=q, k=k, v=v, cluster=cluster)
        close(o, attention(q, k[:, cluster], v[:, cluster]))
        x, mean0, sum0 = self.r.normal(12, 3), self.r.normal(4, 3), self.r.normal(4, 3)
        count0 = self.r.uniform(1, 10, 4)
        names = ("assign", "sum1", "count1", "mean1")
        assign, sum1, count1, mean1 = run("two_level/codebook", names, "codebook_update", x=x, mean0=mean0, sum0=sum0,
                                          count0=count0)
        near = ((x[:, None] - mean0) ** 2).sum(-1).argmin(1)
        s, n = 0.99 * sum0, 0.99 * count0
        np.add.at(s, near, 0.01 * x)
        np.add.at(n, near, 0.01)
        close(assign, near)
        close(sum1, s)
        close(count1, n)
        close(mean1, s / n[:, None])


if __name__ == "__main__":
    main()
