"""Runs patterns of the library on NumPy arrays, for the tests beside this file: what these compute in NumPy is
known without our interpreter, which is tested by it, and machine code with it.

    o = run("score/full", "o", q=q, k=k, v=v)                        # one output, or a tuple of several
    o, last = run("recurrence/gated_linear", ("o", "S.last"), q=...)  # carried states: S_start=, "S.last"
"""
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ATTNC = os.environ.get("ATTNC", "attnc")


def _run(file, outputs, backend, pattern, params, sizes, inputs):
    with tempfile.TemporaryDirectory() as folder:
        command = [ATTNC, "run", file, "--backend", backend, "--dtype", "f64", "--threads", "2"]
        if pattern:
            command += ["-p", pattern]
        for name, value in params.items():
            command += ["-D", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
        for name, value in sizes.items():
            command += ["--size", f"{name}={value}"]
        for name, value in inputs.items():
            path = os.path.join(folder, name + ".npy")
            np.save(path, np.asarray(value))
            command += ["-i", f"{name.replace('_start', '.start')}={path}"]
        for k, name in enumerate(outputs):
            command += ["-o", f"{name}={folder}/out{k}.npy"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise AssertionError(" ".join(command) + "\n" + result.stdout + result.stderr)
        return [np.load(f"{folder}/out{k}.npy") for k in range(len(outputs))]


def run(name, outputs, pattern=None, params=None, sizes=None, **inputs):
    """Outputs of a pattern in f64. The interpreter and machine code must agree."""
    file = name if name.endswith(".attn") else f"{ROOT}/patterns/{name}.attn"
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    arguments = (pattern, params or {}, sizes or {}, inputs)
    results = _run(file, names, "interpreter", *arguments)
    for a, b, output in zip(results, _run(file, names, "cpu", *arguments), names):
        close(b, a, f"machine code, {output}", 1e-11)
    return results[0] if isinstance(outputs, str) else tuple(results)


def close(got, expected, what="", limit=1e-12):
    """Relative RMS error at most `limit`; ints, bools and infinities equal."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, not {expected.shape}"
    if got.dtype.kind in "bi":
        assert np.array_equal(got, expected), f"{what}: {np.argwhere(got != expected)[:5]} differ"
        return
    finite = np.isfinite(expected)
    same = np.array_equal(got[~finite], expected[~finite], equal_nan=True)
    assert same and np.isfinite(got[finite]).all(), f"{what}: nan or inf at other places"
    error = np.sqrt(np.sum((got[finite] - expected[finite]) ** 2))
    scale = np.sqrt(np.sum(expected[finite].astype(float) ** 2))
    assert error <= limit * scale, f"{what}: relative error {error / scale if scale else np.inf:.3g}"


class Rng:
    """Numbers of the tests: normal(2, 3) has shape [2, 3]."""

    def __init__(self, seed=1):
        self.g = np.random.default_rng(seed)

    def normal(self, *shape, scale=1.0):
        return scale * self.g.standard_normal(shape)

    def uniform(self, lo, hi, *shape):
        return self.g.uniform(lo, hi, shape)

    def integers(self, lo, hi, *shape):
        return self.g.integers(lo, hi, shape)

    def chance(self, p, *shape):
        return self.g.random(shape) < p

    def qkv(self, i=11, j=11, d=4, e=3, b=2, h=2):
        return self.normal(b, h, i, d), self.normal(b, h, j, d), self.normal(b, h, j, e)


def philox(seed, *counter):
    """Random123's Philox4x32-10, one word, as a number in [0, 1)."""
    u32 = 0xFFFFFFFF
    c = [x & u32 for x in counter] + [0] * (4 - len(counter))
    k = [seed & u32, seed >> 32 & u32]
    for _ in range(10):
        p, r = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(r >> 32) ^ c[1] ^ k[0], r & u32, (p >> 32) ^ c[3] ^ k[1], p & u32]
        k = [(k[0] + 0x9E3779B9) & u32, (k[1] + 0xBB67AE85) & u32]
    return (c[0] >> 8) * 2.0**-24


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(s, axis=-1, where=True):
    """Zero where left out; a row of nothing is all zero."""
    s = np.where(where, s, -np.inf)
    top = np.max(s, axis=axis, keepdims=True, initial=-np.inf)
    w = np.exp(s - np.where(np.isfinite(top), top, 0))
    total = np.sum(w, axis=axis, keepdims=True)
    return w / np.where(total == 0, 1, total)


def scores(q, k):
    return np.einsum("...id,...jd->...ij", q, k) / np.sqrt(q.shape[-1])


def attention(q, k, v, where=True, bias=0.0):
    return softmax(scores(q, k) + bias, where=where) @ v


def places(i, j):
    """Positions of queries (the last i of j) and of keys, as a column and a row."""
    return (np.arange(i) + j - i)[:, None], np.arange(j)[None, :]


def causal(i, j):
    a, b = places(i, j)
    return b <= a


def main():
    unittest.main(module=sys.modules["__main__"])
