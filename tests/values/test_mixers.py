"""Linear attention, transforms, convolutions and gates: in the order of operations that their papers give."""
import math
import unittest

import numpy as np

from attn import Rng, attention, causal, close, main, run, scores, sigmoid, softmax


def depthwise(u, w):
    """Depthwise convolution of u[.., y, x, c] with w[c, r, t], zeros outside."""
    r, t = w.shape[-2:]
    wide = np.pad(u, [(0, 0)] * (u.ndim - 3) + [(r // 2, r // 2), (t // 2, t // 2), (0, 0)])
    y, x = u.shape[-3:-1]
    return sum(w[..., a, b] * wide[..., a:a + y, b:b + x, :] for a, b in np.ndindex(r, t))


class LinearAttention(unittest.TestCase):
    def setUp(self):
        self.r = Rng(9)
        self.q, self.k, self.v = self.r.qkv(i=10, j=10)
        self.t = {"q": self.q, "k": self.k, "v": self.v}

    def test_soft(self):
        """Twenty Newton steps are the inverse of the landmark kernel."""
        q, v, l = self.r.normal(2, 2, 6, 3, scale=2), self.r.normal(2, 2, 6, 4), self.r.normal(2, 2, 3, 3, scale=2)
        kernel = lambda a, b: np.exp(-((a[..., :, None, :] - b[..., None, :, :]) ** 2).sum(-1) / (2 * np.sqrt(3)))
        g, inverse = kernel(q, l), np.linalg.inv(kernel(l, l) + 0.01 * np.eye(3))
        close(run("linear/soft", "o", q=q, v=v, l=l), g @ inverse @ np.swapaxes(g, -1, -2) @ v, limit=1e-8)

    def test_flow(self):
        q, k, v = self.r.qkv(i=7, j=10)
        fq, fk = sigmoid(q), sigmoid(k)
        recv = (fq * fk.sum(2, keepdims=True)).sum(-1, keepdims=True)
        send = (fk * fq.sum(2, keepdims=True)).sum(-1, keepdims=True)
        take = (fq * (fk / send).sum(2, keepdims=True)).sum(-1, keepdims=True)
        give = np.clip((fk * (fq / recv).sum(2, keepdims=True)).sum(-1, keepdims=True), -1, 1)
        a = fq / recv @ np.swapaxes(fk, -1, -2)
        close(a.sum(-1), np.ones((2, 2, 7)), "incoming flow is conserved")
        expected = sigmoid(take * 7 / 10) * (a @ (softmax(give, 2) * 10 * v))
        close(run("linear/flow", "o", "flow", q=q, k=k, v=v), expected)

    def test_flow_causal(self):
        """A loop over t with running sums; the past alone counts."""
        sums = {n: 0 for n in ("k", "q", "ks", "qr", "g", "kv")}
        out = np.zeros(self.v.shape)
        for t in range(10):
            fq, fk, v, n = sigmoid(self.q[:, :, t]), sigmoid(self.k[:, :, t]), self.v[:, :, t], t + 1
            dot = lambda a, b: (a * b).sum(-1, keepdims=True)
            sums["k"] = sums["k"] + fk
            sums["q"] = sums["q"] + fq
            recv, send = dot(fq, sums["k"]) / n, dot(fk, sums["q"]) / n
            sums["ks"] = sums["ks"] + fk / send
            sums["qr"] = sums["qr"] + fq / recv
            take, give = dot(fq, sums["ks"]) / n, np.exp(np.clip(dot(fk, sums["qr"]) / n, -1, 1))
            sums["g"] = sums["g"] + give
            sums["kv"] = sums["kv"] + fk[..., :, None] * (v * give / sums["g"] * n)[..., None, :]
            out[:, :, t] = sigmoid(take) * np.einsum("bhd,bhde->bhe", fq / (recv * n), sums["kv"])
        close(run("linear/flow", "o", "flow_causal", **self.t), out)

    def test_l2vit(self):
        """The quadratic order; rows without a positive channel are 0."""
        temperature = self.r.uniform(0.5, 2, 2)
        q, k = 8 * self.q, self.k
        q[0, 0, 3] = -np.abs(q[0, 0, 3])
        a = np.maximum(q, 0) @ np.swapaxes(np.maximum(k, 0), -1, -2)
        self.assertTrue((a.sum(-1) > 100).any() and (a.sum(-1) < 100).any())
        expected = temperature[:, None, None] * (a @ self.v) / np.maximum(a.sum(-1, keepdims=True), 100)
        close(run("linear/l2vit", "o", "l2vit", q=q, k=k, v=self.v, temperature=temperature), expected)
        u, w1, w2 = self.r.normal(2, 3, 5, 6), self.r.normal(3, 3, 5), self.r.normal(3, 3, 5)
        gain, shift = self.r.normal(3), self.r.normal(3)
        gelu = lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
        last = lambda t: np.moveaxis(t, 1, -1)
        mid = gain * gelu(depthwise(last(u), w1)) + shift
        o = run("linear/l2vit", "o", "l2vit_local", u=u, w1=w1, w2=w2, gain=gain, shift=shift)
        close(last(o), depthwise(mid, w2))

    def test_transnormer(self):
        phi = lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))
        a = np.tril(phi(self.q) @ np.swapaxes(phi(self.k), -1, -2)) @ self.v
        o = run("linear/transnormer", "o", "norm_attention", **self.t)
        close(o, a / np.sqrt((a * a).mean(-1, keepdims=True) + 1e-6))
        blocks = [attention(*(t[:, :, s:s + 4] for t in (self.q, self.k, self.v)), np.tri(len(range(s, min(s + 4, 10))),
                                                                                         dtype=bool))
                  for s in range(0, 10, 4)]
        close(run("linear/transnormer", "o", "diag_attention", {"w": 4}, **self.t), np.concatenate(blocks, 2))

    def test_kernel_rpe(self):
        """The Toeplitz factor as a sum over distances, each a shifted product of features."""
        q, k, v = self.r.qkv(i=7, j=9)
        proj, bias = self.r.normal(2, 5, 4), self.r.normal(2, 15)
        phi = lambda x: np.exp(np.einsum("hfd,bhid->bhif", proj, x / np.linalg.norm(x, axis=-1, keepdims=True)) - 0.5)
        top, bottom = np.zeros((2, 2, 7, 3)), np.zeros((2, 2, 7, 1))
        for r in range(-6, 9):
            at = np.array([i for i in range(7) if 0 <= i + r < 9])
            w = np.exp(bias[:, r + 6, None]) * (phi(q)[:, :, at] * phi(k)[:, :, at + r]).sum(-1)
            top[:, :, at] += w[..., None] * v[:, :, at + r]
            bottom[:, :, at] += w[..., None]
        close(run("linear/kernel_rpe", "o", q=q, k=k, v=v, proj=proj, bias=bias), top / bottom)

    def test_rala(self):
        """Complex numbers for the rotations; the quadratic order of the products."""
        y, x, d, e = 3, 5, 8, 4
        q, k, v, g = (self.r.normal(2, 2, y, x, c) for c in (d, d, e, e))
        w = self.r.normal(2, e, 3, 5)
        rate = 10000.0 ** (-np.arange(2))
        angle = np.concatenate([np.arange(y)[:, None, None] * rate + np.zeros((1, x, 1)),
                                np.arange(x)[None, :, None] * rate + np.zeros((y, 1, 1))], -1)

        def turn(u):
            z = (u[..., ::2] + 1j * u[..., 1::2]) * np.exp(1j * angle)
            return np.stack([z.real, z.imag], -1).reshape(u.shape)

        close(run("linear/rala", "r", "rotary2d", u=q), turn(q))
        phi = lambda t: np.where(t > 0, t + 1, np.exp(np.minimum(t, 0)))
        flat = lambda t: t.reshape(2, 2, y * x, -1)
        fq, fk = phi(q), phi(k)
        weight = softmax(np.einsum("bhd,bhjd->bhj", flat(fq).mean(2), flat(fk)) / np.sqrt(d))[..., None]
        near = depthwise(v, w[:, None, None])
        top = np.einsum("bhid,bhjd->bhij", flat(turn(fq)), flat(turn(fk)) * weight) @ flat(v)
        bottom = np.einsum("bhid,bhjd->bhi", flat(fq), flat(fk) * weight)[..., None] + 1e-6
        o = run("linear/rala", "o", "rala", q=q, k=k, v=v, g=g, w=w)
        close(o, g * ((top / bottom).reshape(2, 2, y, x, e) + near))

    def test_hedgehog(self):
        Wq, Wk, cq, ck = self.r.normal(2, 4, 3), self.r.normal(2, 4, 3), self.r.normal(2, 3), self.r.normal(2, 3)
        phi = lambda x, W, c: np.exp(np.concatenate([x @ W + c[:, None], -(x @ W + c[:, None])], -1))
        f = run("linear/hedgehog", "f", "hedgehog_map", x=self.q, W=Wq, c=cq)
        close(f.reshape(2, 2, 10, 6), phi(self.q, Wq, cq))
        a = np.tril(phi(self.q, Wq, cq) @ np.swapaxes(phi(self.k, Wk, ck), -1, -2))
        a /= a.sum(-1, keepdims=True)
        w = {"Wq": Wq, "Wk": Wk, "cq": cq, "ck": ck}
        close(run("linear/hedgehog", "o", "hedgehog", **self.t, **w), a @ self.v)
        p = softmax(scores(self.q, self.k), where=causal(10, 10))
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = -np.where(causal(10, 10), p * np.log(a), 0).sum(-1)
            entropy = -np.where(causal(10, 10), p * np.log(p), 0).sum(-1)
        close(run("linear/hedgehog", "loss", "hedgehog_loss", q=self.q, k=self.k, **w), loss)
        self.assertTrue((loss >= entropy - 1e-12).all())


class Transforms(unittest.TestCase):
    def setUp(self):
        self.r = Rng(10)

    def test_long_convolution(self):
        u, w, skip = self.r.normal(2, 13, 3), self.r.normal(13, 3), self.r.normal(3)
        y = np.stack([np.stack([np.convolve(u[b, :, c], w[:, c])[:13] for c in range(3)], -1) for b in range(2)])
        close(run("convolution/long_convolution", "y", u=u, w=w, skip=skip), y + skip * u)

    def test_h3(self):
        """Convolutions by NumPy; then both filters as the recurrences that generate them."""
        q, k, v = self.r.qkv(i=11, j=11, d=3, e=2)
        f, D1, D2, n = self.r.normal(2, 3, 4), self.r.normal(2, 3), self.r.normal(2), 11
        A = self.r.uniform(0, 0.7, 2, 2, 5)
        C = self.r.normal(2, 2, 5)
        pole, scale = A[:, 0] + 1j * A[:, 1], C[:, 0] + 1j * C[:, 1]
        w = 2 * np.einsum("hn,hnr->hr", scale, pole[..., None] ** np.arange(n)).real
        out = np.zeros((2, 2, n, 2))
        for b, h, d, e in np.ndindex(2, 2, 3, 2):
            keys = np.convolve(k[b, h, :, d], f[h, d])[:n] + D1[h, d] * k[b, h, :, d]
            kv = keys * v[b, h, :, e]
            out[b, h, :, e] += q[b, h, :, d] * (np.convolve(kv, w[h])[:n] + D2[h] * kv)
        t = {"q": q, "k": k, "v": v, "f": f, "D1": D1, "D2": D2}
        close(run("convolution/h3", "o", "h3", w=w, **t), out, limit=1e-11)
        close(run("convolution/h3", "o", "h3_recurrent", A=A, C=C, **t), out, limit=1e-11)

    def test_large_kernel(self):
        """The two depthwise kernels as one dilated after the other, on a padded map; and what a pixel reaches."""
        u, w0, w1 = self.r.normal(2, 7, 9, 3), self.r.normal(3, 5, 3), self.r.normal(3, 3, 5)
        b0, b1, w2, b2 = self.r.normal(3), self.r.normal(3), self.r.normal(3, 3), self.r.normal(3)
        wide = np.zeros((3, 5, 9))
        wide[:, ::2, ::2] = w1
        far = depthwise(depthwise(u, w0) + b0, wide) + b1
        t = {"w0": w0, "b0": b0, "w1": w1, "b1": b1, "w2": w2, "b2": b2}
        o = run("convolution/large_kernel", "o", params={"dilation": 2}, u=u, **t)
        close(o, u * (far @ w2.T + b2))

    def test_spectral_gate(self):
        """The FFT of NumPy, even and odd sides."""
        for y, x in ((4, 6), (5, 7), (1, 2)):
            u, wr, wi = self.r.normal(2, y, x, 3), self.r.normal(y, x // 2 + 1, 3), self.r.normal(y, x // 2 + 1, 3)
            f = np.fft.rfft2(u, axes=(1, 2)) * (wr + 1j * wi)
            o = run("spectral/spectral_gate", "o", u=u, wr=wr, wi=wi)
            close(o, np.fft.irfft2(f, s=(y, x), axes=(1, 2)), limit=1e-11)

    def test_shift(self):
        """A filter that turns phases shifts the map."""
        u = self.r.normal(2, 5, 7, 2)
        f, g = np.arange(5)[:, None], np.arange(4)
        w = np.broadcast_to(np.exp(2j * np.pi * (f * 2 / 5 + g * 3 / 7))[..., None], (5, 4, 2))
        o = run("spectral/spectral_gate", "o", u=u, wr=w.real, wi=w.imag)
        close(o, np.roll(u, (-2, -3), (1, 2)), limit=1e-11)

    def test_orchid(self):
        u, a, g = (self.r.normal(2, 12, 3) for _ in range(3))
        w, D = self.r.normal(12, 3), self.r.normal(3)
        F, I = (lambda t: np.fft.fft(t, axis=-2)), (lambda t: np.fft.ifft(t, axis=-2).real)
        y = I(F(u) * (F(w) + np.abs(F(a)))) + D * u
        close(run("spectral/orchid", "y", "orchid_magnitude", u=u, a=a, w=w, D=D), y, limit=1e-11)
        y = I(F(u) * (F(w) + np.conj(F(a)) * F(g))) + D * u
        close(run("spectral/orchid", "y", "orchid_correlation", u=u, a=a, g=g, w=w, D=D), y, limit=1e-11)


class Gates(unittest.TestCase):
    def setUp(self):
        self.r = Rng(11)

    def strip(self, z, w, gain, shift, groups):
        b, c, n = z.shape
        wide = np.pad(z, ((0, 0), (0, 0), (2, 2)))
        t = sum(w[:, r, None] * wide[:, :, r:r + n] for r in range(5)).reshape(b, groups, -1)
        t = (t - t.mean(-1, keepdims=True)) / np.sqrt(t.var(-1, keepdims=True) + 1e-5)
        return sigmoid(t.reshape(b, c, n) * gain[:, None] + shift[:, None])

    def test_ela(self):
        u, w, gain, shift = self.r.normal(2, 6, 4, 5), self.r.normal(6, 5), self.r.normal(6), self.r.normal(6)
        t = {"w": w, "gain": gain, "shift": shift}
        a = self.strip(u[:, :, :, 0], w, gain, shift, 3)
        close(run("gate/ela", "a", "ela_strip", {"groups": 3}, z=u[:, :, :, 0], **t), a)
        ay, ax = (self.strip(u.mean(k), w, gain, shift, 3) for k in (3, 2))
        o = run("gate/ela", "o", "ela", {"groups": 3}, u=u, **t)
        close(o, u * ay[..., None] * ax[:, :, None])
        turned = run("gate/ela", "o", "ela", {"groups": 3}, u=np.swapaxes(u, 2, 3), **t)
        close(turned, np.swapaxes(o, 2, 3))

    def test_ulsam(self):
        u = self.r.normal(2, 2, 3, 4, 5)
        dw, db, pw, pb = self.r.normal(2, 3), self.r.normal(2, 3), self.r.normal(2, 3), self.r.normal(2)
        a = np.maximum(dw[..., None, None] * u + db[..., None, None], 0)
        wide = np.pad(a, ((0, 0),) * 3 + ((1, 1), (1, 1)), constant_values=-np.inf)
        m = np.max([wide[..., r:r + 4, s:s + 5] for r, s in np.ndindex(3, 3)], 0)
        t = np.maximum((pw[..., None, None] * m).sum(2) + pb[:, None, None], 0)
        p = softmax(t.reshape(2, 2, 20)).reshape(2, 2, 1, 4, 5)
        close(run("gate/ulsam", "o", u=u, dw=dw, db=db, pw=pw, pb=pb), u * (1 + p))

    def test_lama(self):
        x, u, w, ctx = self.r.normal(2, 7, 3), self.r.normal(2, 3), self.r.normal(2, 4), self.r.normal(4)
        p, n = self.r.normal(3, 2), np.array([4, 7])
        t = {"x": x, "u": u, "w": w, "ctx": ctx}
        s = np.einsum("hr,btr->bht", p * np.tanh(w @ ctx), np.tanh(x @ u.T))
        weight = softmax(s, where=np.arange(7) < n[:, None, None])
        close(run("gate/lama", "o", p=p, len=n, **t), weight @ x)
        close(run("gate/lama", "o", p=p, len=np.array([1, 1]), **t), np.repeat(x[:, :1], 3, 1))
        close(run("gate/lama", "o", p=p, len=np.array([0, 0]), **t), np.zeros((2, 3, 3)), "nothing is 0")

    def test_rg_sa(self):
        u, w, bias = self.r.normal(2, 9, 18, 3), self.r.normal(3, 4, 4), self.r.normal(3)

        def reduce(u):
            y, x = u.shape[1] // 4, u.shape[2] // 4
            cut = u[:, :4 * y, :4 * x].reshape(2, y, 4, x, 4, 3)
            return np.einsum("byrxtc,crt->byxc", cut, w) + bias

        close(run("cross/rg_sa", "o", "reduce4", u=u, w=w, bias=bias), reduce(u))
        u = self.r.normal(2, 16, 33, 3)
        close(run("cross/rg_sa", "o", "reduce16", u=u, w=w, bias=bias), reduce(reduce(u)))
        q, k, v = self.r.normal(2, 2, 9, 4), self.r.normal(2, 2, 3, 4, 4), self.r.normal(2, 2, 3, 4, 5)
        w = self.r.normal(2, 5, 3, 3)
        vp = v + depthwise(v, w[:, None, None])
        expected = attention(q, k.reshape(2, 2, 12, 4), vp.reshape(2, 2, 12, 5))
        close(run("cross/rg_sa", "o", "rg_sa", q=q, k=k, v=v, w=w), expected)


if __name__ == "__main__":
    main()
