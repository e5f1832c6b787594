"""Recurrences: unrolled step by step, and in their other (parallel, split, dense) forms."""
import unittest

import numpy as np

from attn import Rng, close, main, run, scores, sigmoid, softmax


def elu1(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def delta(q, k, v, a, beta, state):
    """The gated delta rule, step by step; state [.., d, e]."""
    out, s = [], state.copy()
    for t in range(q.shape[-2]):
        kt, at, bt = k[..., t, :], a[..., t, None, None], beta[..., t, None, None]
        read = np.einsum("...d,...de->...e", kt, s)
        s = at * (s - bt * kt[..., :, None] * read[..., None, :]) + bt * kt[..., :, None] * v[..., t, None, :]
        out.append(np.einsum("...d,...de->...e", q[..., t, :], s))
    return np.stack(out, -2), s


def scan(decay, add, start=0.0, axis=0, back=False):
    """s[t] = decay[t] * s[t-1] + add[t]; all states, along `axis`."""
    decay, add = np.broadcast_arrays(decay, add)
    decay, add = np.moveaxis(decay, axis, 0), np.moveaxis(add, axis, 0)
    s, out = np.zeros(add.shape[1:]) + start, np.zeros(add.shape)
    for t in reversed(range(len(add))) if back else range(len(add)):
        s = out[t] = decay[t] * s + add[t]
    return np.moveaxis(out, 0, axis)


def decayed(q, k, v, log_decay, scale=1.0):
    """Parallel form: (Q K^T . D) V with D[i, j] = exp(decay * (i - j)), j <= i."""
    n = q.shape[-2]
    d = np.subtract.outer(np.arange(n), np.arange(n))
    weight = np.where(d >= 0, np.exp(np.maximum(d, 0) * log_decay), 0)
    return (np.einsum("...id,...jd->...ij", q, k) * weight * scale) @ v


class Recurrences(unittest.TestCase):
    def setUp(self):
        self.r = Rng()
        self.q, self.k, self.v = self.r.qkv(i=13, j=13)
        self.t = {"q": self.q, "k": self.k, "v": self.v}

    def test_gated_delta(self):
        a, beta = self.r.uniform(0.9, 1, 2, 2, 13), self.r.uniform(0, 1, 2, 2, 13)
        start = self.r.normal(2, 2, 4, 3)
        o, last = run("recurrence/gated_delta", ("o", "last"), a=a, beta=beta, start=start, **self.t)
        expected, state = delta(self.q, self.k, self.v, a, beta, start)
        close(o, expected)
        close(last, state)

    def test_no_steps(self):
        """With no steps the last state is the start."""
        start, none = self.r.normal(2, 2, 4, 3), np.zeros((2, 2, 0))
        q = np.zeros((2, 2, 0, 4))
        o, last = run("recurrence/gated_delta", ("o", "last"), q=q, k=q, v=np.zeros((2, 2, 0, 3)), a=none, beta=none,
                      start=start)
        close(last, start)
        self.assertEqual(o.shape, (2, 2, 0, 3))

    def test_memory_read(self):
        a, beta = self.r.uniform(0.9, 1, 2, 2, 13), self.r.uniform(0, 1, 2, 2, 13)
        start, q = self.r.normal(2, 2, 4, 3), self.r.normal(2, 2, 5, 4)
        o = run("recurrence/memory_read", "o", q=q, k=self.k, v=self.v, a=a, beta=beta, start=start)
        close(o, q @ delta(self.k, self.k, self.v, a, beta, start)[1])

    def test_retention(self):
        gamma = np.log(1 - 2.0 ** (-5 - np.arange(2)))[:, None, None]
        close(run("recurrence/retention", "o", **self.t), decayed(self.q, self.k, self.v, gamma, 0.5))

    def test_gated_linear(self):
        """Split in two calls by the carried state, and unrolled: decays are cumulative sums."""
        g = self.r.uniform(-0.3, 0, 2, 2, 13, 4)
        o, last = run("recurrence/gated_linear", ("o", "S.last"), g=g, **self.t)
        total = np.cumsum(g, 2)
        w = np.exp(total[:, :, :, None] - total[:, :, None]) * np.tril(np.ones((13, 13)))[:, :, None]
        close(o, np.einsum("bhid,bhijd,bhjd,bhje->bhie", self.q, w, self.k, self.v) / 2)
        first = {n: t[:, :, :5] for n, t in {"g": g, **self.t}.items()}
        rest = {n: t[:, :, 5:] for n, t in {"g": g, **self.t}.items()}
        o1, state = run("recurrence/gated_linear", ("o", "S.last"), **first)
        o2, end = run("recurrence/gated_linear", ("o", "S.last"), S_start=state, **rest)
        close(np.concatenate([o1, o2], 2), o)
        close(end, last)

    def test_lightning(self):
        slope, start = self.r.uniform(0, 1, 2), np.zeros((2, 2, 4, 3), np.float32)
        o = run("linear/lightning", "o", slope=slope, start=start, **self.t)
        close(o, decayed(self.q, self.k, self.v, -slope[:, None, None]))
        start = self.r.normal(2, 2, 4, 3).astype(np.float32).astype(float)
        o = run("linear/lightning", "o", slope=slope, start=start, **self.t)
        fade = np.exp(-slope[:, None, None] * (np.arange(13) + 1)[:, None])
        close(o, decayed(self.q, self.k, self.v, -slope[:, None, None]) + fade * (self.q @ start))

    def test_linear(self):
        a = np.einsum("...id,...jd->...ij", elu1(self.q), elu1(self.k))
        close(run("linear/linear_attention", "o", "linear_attention", **self.t), a @ self.v / a.sum(-1, keepdims=True))
        a = np.tril(a)
        o = run("linear/linear_attention", "o", "causal_linear_attention", **self.t)
        close(o, a @ self.v / a.sum(-1, keepdims=True))

    def test_based(self):
        s = scores(self.q, self.k)
        a = np.tril(1 + s + s * s / 2)
        expected = a @ self.v / (a.sum(-1, keepdims=True) + 1e-12)
        close(run("linear/based", "o", "based", **self.t), expected)
        close(run("linear/based", "o", "based_recurrent", **self.t), expected, limit=1e-11)

    def test_wkv(self):
        """The three forms are one softmax: key j weighs exp(k_j - (t - 1 - j) w), the current one exp(u + k)."""
        r, k, v = (self.r.normal(2, 13, 5) for _ in range(3))
        w, u = self.r.uniform(0, 1, 5), self.r.normal(5)
        d = np.subtract.outer(np.arange(13), np.arange(13))[:, :, None]
        s = np.where(d == 0, u + k[:, None], k[:, None] - (d - 1) * w)
        expected = sigmoid(r) * np.einsum("btjc,bjc->btc", softmax(s, 2, d >= 0), v)
        for pattern in ("wkv4", "wkv4_carried", "wkv4_dense"):
            close(run("recurrence/wkv4", "o", pattern, r=r, k=k, v=v, w=w, u=u), expected, pattern)
        first, rest = ({"r": r[:, a:b], "k": k[:, a:b], "v": v[:, a:b]} for a, b in ((0, 6), (6, 13)))
        names = ("o", "m.last", "A.last", "B.last")
        o1, m, a, b = run("recurrence/wkv4", names, "wkv4_carried", w=w, u=u, **first)
        o2 = run("recurrence/wkv4", "o", "wkv4_carried", w=w, u=u, m_start=m, A_start=a, B_start=b, **rest)
        close(np.concatenate([o1, o2], 1), expected)

    def test_spikes(self):
        x = 1 + self.r.normal(2, 30, 4, scale=1.5)
        p, expected = np.zeros((2, 4)), np.zeros(x.shape)
        for t in range(30):
            h = (p + x[:, t]) / 2
            expected[:, t] = h >= 1
            p = np.where(h >= 1, 0, h)
        spike, last = run("recurrence/wkv4", ("spike", "p.last"), "lif", x=x)
        close(spike, expected)
        close(last, p)

    def test_titans(self):
        """Weights of a two-layer perceptron learn by gradient descent with momentum and decay."""
        q, k, v = (x[:, :1, :9] for x in (self.q, self.k, self.v))
        a0, b0 = self.r.normal(1, 4, 5, scale=0.5), self.r.normal(1, 5, 3, scale=0.5)
        eta, theta, alpha = (self.r.uniform(0, x, 2, 1, 9) for x in (0.9, 0.1, 0.1))
        for chunk in (1, 4):
            out = np.zeros(v.shape)
            for n in range(2):
                A, B = a0[0].copy(), b0[0].copy()
                P, Q = np.zeros_like(A), np.zeros_like(B)
                for t in range(9):
                    if t % chunk == 0:
                        C, D = A, B
                    x = C.T @ k[n, 0, t]
                    err = D.T @ (x * sigmoid(x)) - v[n, 0, t]
                    slope = sigmoid(x) * (1 + x * (1 - sigmoid(x)))
                    P = eta[n, 0, t] * P - 2 * theta[n, 0, t] * np.outer(k[n, 0, t], slope * (D @ err))
                    Q = eta[n, 0, t] * Q - 2 * theta[n, 0, t] * np.outer(x * sigmoid(x), err)
                    A, B = (1 - alpha[n, 0, t]) * A + P, (1 - alpha[n, 0, t]) * B + Q
                    y = A.T @ q[n, 0, t]
                    out[n, 0, t] = B.T @ (y * sigmoid(y))
            o = run("recurrence/titans", "o", params={"chunk": chunk}, q=q, k=k, v=v, eta=eta, theta=theta,
                    alpha=alpha, a0=a0, b0=b0)
            close(o, out, f"chunk {chunk}")


class StateSpaces(unittest.TestCase):
    def setUp(self):
        self.r = Rng(2)

    def test_bidirectional(self):
        x, a = self.r.normal(2, 11, 3), self.r.uniform(0.5, 1, 2, 11, 3)
        close(run("state/bidirectional", "y", x=x, a=a), scan(a, x, axis=1) + scan(a, x, axis=1, back=True) - x)

    def test_selective_scan(self):
        x, dt = self.r.normal(2, 11, 3), self.r.uniform(0.001, 0.1, 2, 11, 3)
        B, C = self.r.normal(2, 11, 4), self.r.normal(2, 11, 4)
        A, D = self.r.uniform(-1, 0, 3, 4), self.r.normal(3)
        z = scan(np.exp(dt[..., None] * A), (dt * x)[..., None] * B[:, :, None], axis=1)
        close(run("state/selective_scan", "y", x=x, dt=dt, B=B, C=C, A=A, D=D),
              np.einsum("btn,btcn->btc", C, z) + D * x)

    def test_oscillator(self):
        """Two steps back; both states before the first step."""
        u, A, dt, B = self.r.normal(2, 11, 2), self.r.uniform(0, 4, 3), self.r.uniform(0.05, 0.4, 3), self.r.normal(3, 2)
        force = np.einsum("nc,btc->btn", B, u)
        older, old, z = np.zeros((2, 3)), np.full((2, 3), 0.5), []
        for t in range(11):
            older, old = old, 2 * old - older + dt**2 * (force[:, t] - A * old)
            z.append(old)
        y, end = run("state/oscillator", ("y", "z_end"), u=u, A=A, dt=dt, B=B)
        close(y, np.stack(z, 1))
        close(end, old)

    def test_linear_system(self):
        u, B, C = self.r.normal(2, 11, 3), self.r.normal(2, 11, 4), self.r.normal(2, 11, 4)
        a, D, start = self.r.uniform(0.8, 1, 2, 11, 4), self.r.normal(3), self.r.normal(2, 4, 3)
        z = scan(a[..., None], B[..., None] * u[:, :, None], start, axis=1)
        y, last = run("state/linear_system", ("y", "last"), "linear_system", u=u, B=B, C=C, a=a, D=D, start=start)
        close(y, np.einsum("btn,btnc->btc", C, z) + D * u)
        close(last, z[:, -1])
        A = self.r.normal(2, 11, 4, 4, scale=0.4)
        s, out = np.zeros((2, 4, 3)), []
        for t in range(11):
            s = A[:, t] @ s + B[:, t, :, None] * u[:, t, None]
            out.append(np.einsum("bn,bnc->bc", C[:, t], s))
        close(run("state/linear_system", "y", "linear_system_full", u=u, B=B, C=C, A=A), np.stack(out, 1))

    def test_lingen(self):
        """Review tokens, then the grid row by row, both ways."""
        f, y, x, g = 2, 3, 4, 3
        u, gu = self.r.normal(2, 2, f, y, x, 3), self.r.normal(2, 2, g, 3)
        B, C, gB = self.r.normal(2, 2, f, y, x, 2), self.r.normal(2, 2, f, y, x, 2), self.r.normal(2, 2, g, 2)
        dt, gdt = self.r.uniform(0.01, 0.5, 2, 2, f, y, x), self.r.uniform(0.01, 0.5, 2, 2, g)
        A, D = self.r.uniform(-1, 0, 2), self.r.normal(2)
        rows = lambda first, t: np.concatenate([first, t.reshape(2, 2, f * y * x, *t.shape[5:])], 2)
        step = rows(gdt, dt)[..., None, None]
        keep = np.exp(step * A[:, None, None, None])
        add = step * rows(gu, u)[..., None, :] * rows(gB, B)[..., None]
        both = (scan(keep, add, axis=2) + scan(keep, add, axis=2, back=True))[:, :, g:]
        o = np.einsum("bhtn,bhtnp->bhtp", C.reshape(2, 2, -1, 2), both).reshape(u.shape)
        close(run("state/lingen", "o", "lingen_ma", u=u, B=B, C=C, dt=dt, gu=gu, gB=gB, gdt=gdt, A=A, D=D),
              o + D[:, None, None, None, None] * u)

    def test_serpentine(self):
        """Four walks over the grid as lists of places."""
        Y, X = 4, 5
        u = self.r.normal(2, Y, X, 3)
        dt = self.r.uniform(0.001, 0.1, 2, 4, Y, X, 3)
        B, C = self.r.normal(2, 4, Y, X, 2), self.r.normal(2, 4, Y, X, 2)
        A, D = self.r.uniform(-1, 0, 4, 3, 2), self.r.normal(4, 3)
        rows = [(y, x if y % 2 == 0 else X - 1 - x) for y in range(Y) for x in range(X)]
        columns = [(y if x % 2 else Y - 1 - y, x) for x in range(X) for y in range(Y)]
        out = D.sum(0) * u
        for g, walk in enumerate((rows, rows[::-1], columns, columns[::-1])):
            z = np.zeros((2, 3, 2))
            for y, x in walk:
                step = dt[:, g, y, x, :, None]
                z = np.exp(step * A[g]) * z + step * B[:, g, y, x, None] * u[:, y, x, :, None]
                out[:, y, x] += np.einsum("bn,bcn->bc", C[:, g, y, x], z)
        close(run("state/serpentine", "o", u=u, dt=dt, B=B, C=C, A=A, D=D), out)

    def test_conv_s5(self):
        """Complex numbers, kernels and states, padded by hand."""
        T, Y, X, c, f, p = 4, 4, 5, 2, 3, 2
        u = self.r.normal(2, T, Y, X, c)
        A, B, C = self.r.uniform(-0.6, 0.6, 2, p), self.r.normal(2, 3, 3, c, p), self.r.normal(2, 3, 3, p, f)
        conv = lambda t, w: sum(np.pad(t, ((0, 0), (1, 1), (1, 1), (0, 0)))[:, m:m + Y, n:n + X] @ w[m, n]
                                for m in range(3) for n in range(3))
        cA, cB, cC = (w[0] + 1j * w[1] for w in (A, B, C))
        z, out = np.zeros((2, Y, X, p), complex), []
        for t in range(T):
            z = cA * z + conv(u[:, t], cB)
            out.append(2 * conv(z, cC).real)
        o, last = run("state/conv_s5", ("o", "z.last"), u=u, A=A, B=B, C=C)
        close(o, np.stack(out, 1))
        self.assertEqual(last.size, 2 * z.size)

    def test_mobile_mamba(self):
        u = self.r.normal(2, 6, 8, 3)
        impulse = np.zeros((4, 3, 3, 3))
        impulse[:, :, 1, 1] = 1
        close(run("state/mobile_mamba", "o", "wavelet_conv", u=u, w=impulse), u, "perfect reconstruction")
        dt = self.r.uniform(0.001, 0.1, 2, 2, 6, 8, 3)
        B, C, D = self.r.normal(2, 2, 6, 8, 4), self.r.normal(2, 2, 6, 8, 4), self.r.normal(2, 3)
        A = self.r.uniform(-1, 0, 2, 3, 4)
        out = D.sum(0) * u
        for g in range(2):
            w = (dt[:, g] * u)[..., None] * B[:, g, :, :, None]
            z = scan(np.exp(dt[:, g, ..., None] * A[g]).reshape(2, 48, 3, 4), w.reshape(2, 48, 3, 4), axis=1,
                     back=g == 1)
            out += np.einsum("byxn,byxcn->byxc", C[:, g], z.reshape(2, 6, 8, 3, 4))
        close(run("state/mobile_mamba", "o", "scan2d_bi", u=u, dt=dt, B=B, C=C, A=A, D=D), out)
        a, l = self.r.normal(2, 6, 8, 3), self.r.normal(2, 6, 8, 3)
        o = run("state/mobile_mamba", "o", "mobile_mix", {"global": 1, "local": 1}, a=a, l=l, u=u)
        close(o, np.concatenate([a[..., :1], l[..., 1:2], u[..., 2:]], -1))


if __name__ == "__main__":
    main()
