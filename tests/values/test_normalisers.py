"""Normalisers other than softmax, low-bit scores, and channels: by their own algorithms."""
import tempfile
import unittest

import numpy as np

from attn import Rng, attention, causal, close, main, run, scores, sigmoid, softmax


def sparsemax(s):
    """Projection on the simplex (Martins and Astudillo 2016), by sorting."""
    z = -np.sort(-s, -1)
    k = np.arange(1, s.shape[-1] + 1)
    total = np.cumsum(z, -1) - 1
    n = np.sum(z * k > total, -1, keepdims=True)
    return np.maximum(s - np.take_along_axis(total, n - 1, -1) / n, 0)


def entmax15(s):
    """1.5-entmax (Peters et al. 2019): sum of max(s / 2 - tau, 0)^2 is 1, by bisection."""
    x = s / 2
    lo, hi = x.max(-1, keepdims=True) - 1, x.max(-1, keepdims=True)
    for _ in range(200):
        tau = (lo + hi) / 2
        over = (np.maximum(x - tau, 0) ** 2).sum(-1, keepdims=True) > 1
        lo, hi = np.where(over, tau, lo), np.where(over, hi, tau)
    return np.maximum(x - lo, 0) ** 2


SPARSE = """pattern masked()
    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e], both[i, e]
    example i = 4, j = 6, d = 2, e = 2
{
    s    = sum[d](q * k) / sqrt(size(d))
    seen = j <= 2 * i - 20 and j >= 2 * i - 100 and j < 145
    p    = normalise[j](s where seen)
    o    = sum[j](p * v)
    both = sum[j](p * v) + sum[j](softmax[j](s where seen) * v)
}
"""


GAINS = """pattern gains()
    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]
    with lam[h], mu[i]
    example i = 4, j = 6, d = 2, e = 2
{
    s    = sum[d](q * k) / sqrt(size(d))
    seen = j + 20 < i
    o    = sum[j]((softmax[j](s where seen) / 3 - mu * softmax[j](2 * s where seen) * lam / (2 - lam)) * v)
}
"""


class Normalisers(unittest.TestCase):
    def setUp(self):
        self.r = Rng(7)
        self.q, self.k, self.v = self.r.qkv(i=9, j=13)
        self.t = {"q": self.q, "k": self.k, "v": self.v}

    def test_sparsemax(self):
        w = sparsemax(scores(self.q, self.k))
        close(w.sum(-1), np.ones(w.shape[:-1]))
        self.assertTrue((w == 0).any())
        close(run("normaliser/sparsemax", "o", "sparsemax_attention", **self.t), w @ self.v)

    def test_entmax(self):
        w = entmax15(scores(self.q, self.k))
        self.assertTrue((w == 0).any())
        close(run("normaliser/sparsemax", "o", "entmax_attention", **self.t), w @ self.v, limit=1e-11)

    def test_sparse_masked(self):
        """Queries that see nothing, poison in hidden keys, a score that is infinite, two sums in a strip."""
        q, k, v = self.r.qkv(i=70, j=150, d=5)
        i, j = np.arange(70)[:, None], np.arange(150)
        seen = (j <= 2 * i - 20) & (j >= 2 * i - 100) & (j < 145)
        for normalise, weights in (("sparsemax", sparsemax), ("entmax15", entmax15)):
            s = np.where(seen, scores(q, k), -1e300)
            w = np.where(seen.any(-1, keepdims=True), weights(s), 0)
            k[:, :, 145:], v[:, :, 145:] = np.nan, np.inf
            t = {"q": q, "k": k, "v": v}
            with tempfile.NamedTemporaryFile("w", suffix=".attn") as file:
                file.write(SPARSE.replace("normalise", normalise))
                file.flush()
                o, both = run(file.name, ("o", "both"), **t)
                close(o, w @ np.where(np.isfinite(v), v, 0), normalise, limit=1e-11)
                p = softmax(scores(q, k), where=seen) @ np.where(np.isfinite(v), v, 0)
                close(both, o + p, normalise, limit=1e-11)
                bad = q.copy()
                bad[0, 0, 40, :] = np.inf * np.sign(k[0, 0, 30])
                o = run(file.name, "o", q=bad, k=k, v=v)
                self.assertTrue(np.isnan(o[0, 0, 40]).all() and np.isfinite(o[0, 0, 41]).all())
            q, k, v = self.r.qkv(i=70, j=150, d=5)

    def test_sparse_steps(self):
        """Scores at which every step of Newton's method leaves out few keys, and equal ones."""
        k = np.zeros((1, 1, 600, 4))
        k[0, 0, :, 0] = -(0.97 ** np.arange(600)) * 2
        k[0, 0, 300:, 1] = 1
        q = self.r.uniform(0, 6, 1, 1, 40, 4)
        v = self.r.normal(1, 1, 600, 3)
        for name, weights in (("sparsemax_attention", sparsemax), ("entmax_attention", entmax15)):
            o = run("normaliser/sparsemax", "o", name, q=q, k=k, v=v)
            close(o, weights(scores(q, k)) @ v, name, limit=1e-11)

    def test_gains(self):
        """What weights are multiplied by in every row does not matter where nothing is seen, even if it is NaN."""
        q, k, v = self.r.qkv(i=70, j=50, d=5)
        lam, mu, seen = np.array([0.3, np.nan]), self.r.normal(70), np.arange(50) + 20 < np.arange(70)[:, None]
        s = scores(q, k)
        a, c = softmax(s, where=seen) @ v, softmax(2 * s, where=seen) @ v
        want = a / 3 - np.where(seen.any(-1)[:, None], (mu[:, None] * lam / (2 - lam)).T[..., None], 0) * c
        with tempfile.NamedTemporaryFile("w", suffix=".attn") as file:
            file.write(GAINS)
            file.flush()
            o = run(file.name, "o", q=q, k=k, v=v, lam=lam, mu=mu)
        close(o[:, 0], want[:, 0])
        self.assertTrue((o[:, 1, :21] == 0).all() and np.isnan(o[:, 1, 21:]).all())

    def test_slots(self):
        shares = softmax(scores(self.q[:, 0], self.k[:, 0]), axis=-2) + 1e-8
        o = run("normaliser/slots", "o", q=self.q[:, 0], k=self.k[:, 0], v=self.v[:, 0])
        close(o, shares / shares.sum(-1, keepdims=True) @ self.v[:, 0])
        o = run("normaliser/slots", "o", q=self.q[:, 0], k=self.k[:, 0], v=np.ones((2, 13, 1)))
        close(o, np.ones((2, 9, 1)))

    def test_differential(self):
        q2, k2 = self.r.normal(2, 2, 9, 4), self.r.normal(2, 2, 13, 4)
        lam, gain = np.array([0.3, 0.6]), self.r.normal(3)
        r = attention(self.q, self.k, self.v, causal(9, 13)) - lam[:, None, None] * attention(q2, k2, self.v, causal(9, 13))
        expected = 0.2 * gain * r / np.sqrt((r * r).mean(-1, keepdims=True) + 1e-5)
        t = {"q1": self.q, "k1": self.k, "v": self.v, "q2": q2, "k2": k2, "gain": gain}
        close(run("normaliser/differential", "o", lam=lam, **t), expected)

    def test_grouped_differential(self):
        """Grouped differential attention (2025): several signal heads share the noise map of one head."""
        q1, k1, v = self.r.normal(2, 6, 9, 4), self.r.normal(2, 6, 13, 4), self.r.normal(2, 6, 13, 3)
        q2, k2 = self.r.normal(2, 2, 9, 4), self.r.normal(2, 2, 13, 4)
        lam, gain = self.r.uniform(0, 1, 6), self.r.normal(3)
        out = np.zeros((2, 6, 9, 3))
        for h in range(6):
            noise = attention(q2[:, h // 3], k2[:, h // 3], v[:, h], causal(9, 13))
            r = attention(q1[:, h], k1[:, h], v[:, h], causal(9, 13)) - lam[h] * noise
            out[:, h] = 0.5 * gain * r / np.sqrt((r * r).mean(-1, keepdims=True) + 1e-5)
        t = {"q1": q1, "k1": k1, "q2": q2, "k2": k2, "v": v, "lam": lam, "gain": gain}
        o = run("normaliser/differential", "o", params={"init": 0.5}, **t)
        close(o, out)

    def test_softplus(self):
        """Row by row, over the keys up to the query."""
        for power, offset in ((3.0, 0.5), (1.0, 0.0), (15.0, 1.0)):
            out = np.zeros((2, 2, 9, 3))
            for b, h, i in np.ndindex(2, 2, 9):
                n = i + 5
                a = np.logaddexp(0, np.log(4) * np.log(n) / 2 * (self.k[b, h, :n] @ self.q[b, h, i]))
                r = np.maximum(n * a / a.sum() - offset, 0) ** power
                out[b, h, i] = r @ self.v[b, h, :n] / r.sum()
            params = {"power": power, "offset": offset}
            close(run("normaliser/softplus", "o", params=params, **self.t), out, limit=1e-11)

    def test_lse(self):
        seen, s = np.tri(9, 13, dtype=bool), scores(self.q, self.k)
        lse = np.log((np.exp(s) * seen).sum(-1))
        close(run("score/with_lse", "lse", **self.t), lse)
        close(run("score/with_lse", "top", **self.t), np.where(seen, s, -np.inf).max(-1))
        close(run("score/with_lse", "o", **self.t), (np.exp(s - lse[..., None]) * seen) @ self.v)

    def test_sigmoid(self):
        w = sigmoid(scores(self.q, self.k) - np.log(13)) * causal(9, 13)
        close(run("normaliser/sigmoid", "o", params={"n": 13}, **self.t), w @ self.v)
        o = run("normaliser/sigmoid", "o", params={"n": 13}, q=0 * self.q, k=self.k, v=self.v)
        close(o, causal(9, 13) @ self.v / 14)

    def test_dependency(self):
        q, k, v = self.r.normal(2, 3, 9, 4), self.r.normal(2, 3, 7, 4), self.r.normal(2, 3, 9, 2)
        select, gate, passed = self.r.normal(2, 9, 3), self.r.normal(2, 9), self.r.uniform(0, 1, 2, 9)
        names = ("o", "m", "received")
        t = {"q": q, "k": k, "select": select, "gate": gate, "passed": passed}
        o, m, received = run("normaliser/dependency", names, params={"tau": 0.1}, v=v, **t)
        mass = passed * sigmoid(gate)
        a = softmax(scores(q, k)) * np.moveaxis(softmax(select / 0.1), -1, 1)[..., None] * mass[:, None, :, None]
        close(o, np.einsum("bhij,bhie->bhje", a, v))
        close(m, mass)
        close(received, a.sum((1, 2)))
        o = run("normaliser/dependency", "o", params={"tau": 0.1}, v=np.ones((2, 3, 9, 1)), **t)
        close(o.sum((1, 2, 3)), mass.sum(1))

    def test_local_linear(self):
        """The weighted normal equations solved directly; as many steps as dimensions are exact."""
        q, k, v = self.r.qkv(i=6, j=9)
        params = {"ridge": 1.5, "steps": 6}
        out = np.zeros((2, 2, 6, 3))
        w = softmax(scores(q, k), where=causal(6, 9))
        for b, h, i in np.ndindex(2, 2, 6):
            z = np.concatenate([np.ones((9, 1)), k[b, h] - q[b, h, i]], 1)
            left = z.T @ (w[b, h, i][:, None] * z) + np.diag([0] + 4 * [1.5])
            out[b, h, i] = np.linalg.solve(left, z.T @ (w[b, h, i][:, None] * v[b, h]))[0]
        close(run("normaliser/local_linear", "o", params=params, q=q, k=k, v=v), out, limit=1e-10)
        o = run("normaliser/local_linear", "o", params={"ridge": 1e12, "steps": 4}, q=q, k=k, v=v)
        close(o, attention(q, k, v, causal(6, 9)), limit=1e-10)

    def test_channels(self):
        q, k, v = self.r.normal(2, 2, 9, 4), self.r.normal(2, 2, 9, 5), self.r.normal(2, 2, 9, 5)
        p = softmax(np.einsum("bgic,bgif->bgcf", q, k) / 2)
        close(run("channel/channel_attention", "o", q=q, k=k, v=v), np.einsum("bgcf,bgif->bgic", p, v))

    def test_eca(self):
        u = self.r.normal(2, 9, 3, 4)
        for r in (1, 3, 5):
            w = self.r.normal(r)
            gate = np.stack([np.correlate(m, w, "same") for m in u.mean((2, 3))])
            close(run("channel/eca", "o", u=u, w=w), u * sigmoid(gate)[..., None, None])

    def test_fourier_karat(self):
        """The whole map of weights, made by complex exponentials."""
        q, k, v = self.r.qkv(i=5, j=7)
        a, c, w = self.r.normal(2, 3, 7, 4), self.r.normal(2, 3, 7, 4), self.r.normal(2, 7, 3)
        wave = np.exp(1j * scores(q, k)[..., None] * np.arange(1, 5))
        t = np.einsum("hrjf,bhijf->bhir", a - 1j * c, wave).real
        close(run("normaliser/fourier_karat", "o", q=q, k=k, v=v, a=a, c=c, w=w),
              np.einsum("hjr,bhir->bhij", w, t) @ v)

    def test_kronecker(self):
        q, k1, v1 = self.r.qkv(i=5, j=6)
        _, k2, v2 = self.r.qkv(i=5, j=4)
        s = np.einsum("bhid,bhjd,bhld->bhijl", q, k1, k2) / 4
        p = softmax(s.reshape(2, 2, 5, 24)).reshape(s.shape)
        expected = np.einsum("bhijl,bhje,bhle->bhie", p, v1, v2)
        close(run("higher_order/kronecker", "o", q=q, k1=k1, k2=k2, v1=v1, v2=v2), expected)
        close(run("higher_order/kronecker", "o", q=q, k1=k2, k2=k1, v1=v2, v2=v1), expected, "exchanged")
        one = np.ones((2, 2, 4, 1))
        o = run("higher_order/kronecker", "o", q=q, k1=k1, k2=np.broadcast_to(one, k2.shape), v1=v1,
                v2=np.broadcast_to(one, v2.shape))
        close(o, attention(q / 2, k1, v1), "ones")

    def test_rotary(self):
        """Complex multiplication; scores depend on distances alone."""
        x = self.r.normal(2, 2, 7, 6)
        z = (x[..., :3] + 1j * x[..., 3:]) * np.exp(1j * np.outer(5 + np.arange(7), 100.0 ** (-np.arange(3) / 3)))
        y = run("position/rotary", "y", params={"base": 100.0, "first": 5}, x=x)
        close(y, np.concatenate([z.real, z.imag], -1))
        later = run("position/rotary", "y", params={"base": 100.0, "first": 9}, x=x)
        close(y @ np.swapaxes(y, -1, -2), later @ np.swapaxes(later, -1, -2))

    def test_adem(self):
        x, k, v = self.r.normal(2, 5, 4), self.r.normal(2, 12, 4), self.r.normal(2, 12, 3)
        silu = lambda t: t * sigmoid(t)
        w = silu(x) @ np.swapaxes(silu(k), -1, -2)
        cut = np.sort(w, -1)[..., 3:4]
        close(run("cross/adem", "o", params={"drop": 0.25}, x=x, k=k, v=v), np.where(w >= cut, w, 0) @ v)
        o = run("cross/adem", "o", params={"drop": 0.0}, x=x, k=k, v=v)
        close(o, silu(x) @ (np.swapaxes(silu(k), -1, -2) @ v), "nothing dropped: linear attention")


class LowBits(unittest.TestCase):
    def setUp(self):
        self.r = Rng(8)

    def test_biattention(self):
        q, k, v = self.r.qkv(i=6, j=9, d=5)
        live = self.r.chance(0.7, 2, 9)
        sign = lambda x: np.where(x < 0, -1.0, 1.0)
        w = (sign(q) @ np.swapaxes(sign(k), -1, -2) > 0) & live[:, None, None]
        o = run("low_bit/biattention", "o", q=q, k=k, v=v, live=live)
        close(o, w.astype(float) @ sign(v))
        same = 5 - 2 * (sign(q)[..., :, None, :] != sign(k)[..., None, :, :]).sum(-1)
        self.assertTrue(((same > 0) == (sign(q) @ np.swapaxes(sign(k), -1, -2) > 0)).all())

    def test_binaryattention(self):
        """Hamming distances of bits, and a table by the difference of coordinates; token 0 is the class token."""
        q, k, v = self.r.qkv(i=11, j=11, d=5)
        bias, ends = self.r.normal(2, 5, 9), self.r.normal(2, 3)
        rel = np.zeros((2, 11, 11))
        for i, j in np.ndindex(11, 11):
            y, x = divmod(i - 1, 4)
            ky, kx = divmod(j - 1, 4)
            rel[:, i, j] = bias[:, y - ky + 2, x - kx + 4] if i and j else ends[:, 0 if i else 1 if j else 2]
        s = self.signs(q, k)
        t = {"q": q, "k": k, "v": v, "bias": bias, "class_bias": ends}
        close(run("low_bit/binaryattention", "o", "binaryattention", {"wide": 4}, **t), softmax(s + rel) @ v)
        o = run("low_bit/binaryattention", "o", "binaryattention_pv8", q=q, k=k, v=v)
        step = 127 / (np.abs(v).max(2, keepdims=True) + 1e-6)
        p = np.round(255 * softmax(s)) / 255
        close(o, p @ (np.round(v * step) / (step + 1e-6)))

    def signs(self, q, k):
        distance = ((q < 0)[..., :, None, :] != (k < 0)[..., None, :, :]).sum(-1)
        scale = np.abs(q).mean((2, 3), keepdims=True) * np.abs(k).mean((2, 3), keepdims=True)
        return scale * (q.shape[-1] - 2 * distance) / np.sqrt(q.shape[-1])

    def test_ecoformer(self):
        """The dense form: every pair weighs code product + c, at least 1."""
        x, v = self.r.normal(2, 2, 7, 3), self.r.normal(2, 2, 7, 4)
        A, mu, anchor = self.r.normal(2, 5, 3), self.r.uniform(0, 1, 2, 3), self.r.normal(2, 3, 3)
        n = x / np.linalg.norm(x, axis=-1, keepdims=True)
        dist = ((n[:, :, :, None] - anchor[:, None]) ** 2).sum(-1)
        y = np.einsum("hrm,bhim->bhir", A, np.exp(-dist / (2 * dist.mean((2, 3), keepdims=True))) - mu[:, None])
        code = np.where(y > 0, 1.0, -1.0)
        w = code @ np.swapaxes(code, -1, -2) + 6
        self.assertTrue((w >= 1).all())
        o = run("low_bit/ecoformer", "o", x=x, v=v, A=A, mu=mu, anchor=anchor)
        close(o, w @ v / w.sum(-1, keepdims=True))

    def test_sale(self):
        q, k, v = self.r.qkv(i=24, j=24)
        t, params = {"q": q, "k": k, "v": v}, {"near": 4, "rows": 4, "cols": 2}
        i, j = np.arange(24)[:, None], np.arange(24)
        base = (j <= i) & ((j // 2 == 0) | (i // 4 * 4 - j < 4))
        tau = np.array([0.1, 0.3])
        mid = k.mean(2, keepdims=True)
        uq, uk = np.abs(q).max(-1, keepdims=True) / 7, np.abs(k - mid).max(-1, keepdims=True) / 7
        q4, k4 = np.clip(np.round(q / uq), -7, 7), np.clip(np.round((k - mid) / uk), -7, 7)
        est = (q4 * uq @ np.swapaxes(k4 * uk, -1, -2) + q @ np.swapaxes(mid, -1, -2)) / 2
        ref = np.log(np.where(base, np.exp(scores(q, k)), 0).sum(-1, keepdims=True))
        hit = (j <= i) & (est >= ref + np.log(tau)[:, None, None])
        tile = hit.reshape(2, 2, 6, 4, 12, 2).any((3, 5))
        keep = (j <= i) & (base | np.repeat(np.repeat(tile, 4, 2), 2, 3))
        close(run("low_bit/sale", "o", params=params, tau=tau, **t), attention(q, k, v, keep))
        close(run("low_bit/sale", "o", params=params, tau=np.zeros(2), **t), attention(q, k, v, j <= i), "tau 0")
        close(run("low_bit/sale", "o", params=params, tau=np.full(2, 1e30), **t), attention(q, k, v, base), "tau inf")


if __name__ == "__main__":
    main()
