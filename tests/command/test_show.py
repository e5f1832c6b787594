#!/usr/bin/env python3
"""attnc show: terminal output as it should be, pixels of .png and paths of .svg against masks evaluated here, counts
against attnc explain for the whole library, and the time of large masks."""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib

import numpy as np

ATTNC = os.environ["ATTNC"]
SOURCE = os.environ["ATTN_SOURCE"]
PATTERNS = os.path.join(SOURCE, "patterns")
GOLDEN = os.path.join(SOURCE, "tests", "command", "show")
WORK = os.path.join(os.environ["ATTN_BUILD"], "command-show")
BLUE, ORANGE, GREY, WHITE = (31, 90, 180), (235, 125, 20), (150, 150, 150), (255, 255, 255)


def run(*words, code=0, **environment):
    done = subprocess.run([ATTNC, *words], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "COLUMNS": "60", **environment})
    assert done.returncode == code, (words, done.returncode, done.stderr)
    return done.stdout


def pattern(name):
    return os.path.join(PATTERNS, name + ".attn")


def show(name, *words):
    return json.loads(run("show", pattern(name), "--json", *words))


def sizes(**list_of):
    return [word for name, n in list_of.items() for word in ("--size", f"{name}={n}")]


# ---- masks, evaluated here ----

def window(n, w):
    i, j = np.arange(n)[:, None], np.arange(n)[None, :]
    return (j <= i) & (i - j < w)


def causal(rows, columns):
    return np.arange(columns)[None, :] <= np.arange(rows)[:, None] + columns - rows


def documents(doc):
    return causal(len(doc), len(doc)) & (doc[:, None] == doc[None, :])


def neighbourhood(n, w):
    start = np.clip(np.arange(n) - w // 2, 0, max(n - w, 0))
    k = np.arange(n)
    return (start[:, None] <= k) & (k < start[:, None] + w)


def flattened(y, x):
    return (y[:, None, :, None] & x[None, :, None, :]).reshape(len(y) * len(x), -1)


def pooled(mask, n):
    """Shares of n x n cells; what is over makes smaller ones."""
    rows = np.add.reduceat(mask.astype(float), np.arange(0, mask.shape[0], n), 0)
    sums = np.add.reduceat(rows, np.arange(0, mask.shape[1], n), 1)
    high = np.minimum(n, mask.shape[0] - np.arange(0, mask.shape[0], n))
    wide = np.minimum(n, mask.shape[1] - np.arange(0, mask.shape[1], n))
    return sums / (high[:, None] * wide[None, :])


# ---- files ----

def unfilter(kind, row, above):
    if kind == 0:
        return row
    if kind == 1:
        return (np.cumsum(row.reshape(-1, 3), 0) % 256).reshape(-1)
    if kind == 2:
        return (row + above) % 256
    out = np.zeros(len(row) + 3, int) # three zeros before it
    over = np.concatenate([np.zeros(3, int), above])
    for x in range(3, len(out)):
        left, up, corner = out[x - 3], over[x], over[x - 3]
        by = [abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)]
        out[x] = (row[x - 3] + ((left + up) // 2 if kind == 3 else (left, up, corner)[by.index(min(by))])) % 256
    return out[3:]


def png(path):
    with open(path, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + n:at + 12 + n])[0]
        if kind == b"IHDR":
            width, height, depth, colours, _, _, laced = struct.unpack(">IIBBBBB", body)
            assert (depth, colours, laced) == (8, 2, 0)
        packed += body if kind == b"IDAT" else b""
        at += 12 + n
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 3 * width + 1).astype(int)
    out = np.zeros((height, 3 * width), int)
    for y in range(height):
        out[y] = unfilter(raw[y, 0], raw[y, 1:], out[y - 1] if y else np.zeros(3 * width, int))
    return out.reshape(height, width, 3)


def cells_of_png(pixels, height, width, left=12):
    """The middle of every cell of the picture that begins at x = left, and how wide a cell is."""
    zoom = (pixels.shape[0] - 24) // height
    assert pixels.shape[0] == 24 + zoom * height
    y, x = 12 + zoom * np.arange(height) + zoom // 2, left + zoom * np.arange(width) + zoom // 2
    return pixels[y[:, None], x[None, :]], zoom


def check_png(name, mask, scale, *words):
    path = os.path.join(WORK, "picture.png")
    run("show", pattern(name), "-o", path, *words)
    share = pooled(mask, scale)
    cells, zoom = cells_of_png(png(path), *share.shape)
    if scale == 1:
        seen = (cells == BLUE).all(2) | (cells == ORANGE).all(2)
        assert (seen == mask).all(), name
        assert (seen | (cells == WHITE).all(2)).all(), name
        return cells, zoom
    # A share of blue or of orange: red and blue of white, of blue and of orange tell how much of each.
    full = 255 - cells
    mix = np.linalg.lstsq(255.0 - np.array([BLUE, ORANGE]).T, full.reshape(-1, 3).T.astype(float), rcond=None)[0]
    got = mix.sum(0).reshape(share.shape)
    assert np.abs(got - share).max() < 0.01, (name, np.abs(got - share).max())
    return cells, zoom


def svg_pictures(path):
    """The share of every cell of every picture, and its edges of boxes: [(top, left, height, width)] by class."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    pictures = []
    for part in text.split('<g transform="scale(')[1:]:
        width, height = map(int, re.search(r'<rect width="(\d+)" height="(\d+)"', part).groups())
        share, boxes = np.zeros((height, width)), {}
        for opacity, path_of in re.findall(r'fill-opacity="([\d.]+)" d="([^"]*)"', part):
            for x, y, n in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path_of):
                x, y, n = int(x), int(y), int(n)
                assert (share[y, x:x + n] == 0).all(), "a cell is drawn twice"
                share[y, x:x + n] = float(opacity)
        for kind, path_of in re.findall(r'<path class="(\w+)" [^>]* d="([^"]*)"', part):
            boxes[kind] = [(float(y), float(x), float(h), float(w)) for x, y, w, h in
                           re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", path_of)]
        pictures.append((share, boxes))
    return pictures


def check_svg(name, mask, scale, counts, *words):
    path = os.path.join(WORK, "picture.svg")
    run("show", pattern(name), "-o", path, *words)
    share, boxes = svg_pictures(path)[-1]
    expected = pooled(mask, scale)
    assert share.shape == expected.shape
    assert (np.ceil(expected * 8 - 1e-9) / 8 == share).all(), name
    if not boxes["full"] + boxes["partial"]:
        return # flattened indices: boxes are no rectangles
    assert len(boxes["full"]) == counts["full"] and len(boxes["partial"]) == counts["partial"], (name, counts)
    covered = np.zeros(mask.shape, int)
    for kind, list_of in boxes.items():
        for y, x, h, w in list_of:
            y, x, h, w = (round(v * scale) for v in (y, x, h, w))
            assert kind != "full" or mask[y:y + h, x:x + w].all(), (name, y, x, h, w)
            covered[y:y + h, x:x + w] += 1
    assert covered.max() <= 1 and (covered[mask] == 1).all(), (name, "a visible pair is in no box, or in two")


def check_masks():
    rng = np.random.default_rng(1)
    doc = np.sort(rng.integers(0, 5, 96))
    np.save(os.path.join(WORK, "doc.npy"), doc[None])
    two = neighbourhood(9, 3)
    cases = [
        ("window/sliding_window", window(64, 12), sizes(i=64, j=64) + ["-D", "window=12"]),
        ("window/sliding_window", window(3000, 100), sizes(i=3000, j=3000) + ["-D", "window=100"]),
        ("mask/causal", causal(37, 70), sizes(i=37, j=70)),
        ("mask/causal", causal(1, 5), sizes(i=1, j=5)),
        ("mask/documents", documents(doc), sizes(i=96) + ["-i", "doc=" + os.path.join(WORK, "doc.npy")]),
        ("window/neighborhood2d", flattened(two, two), sizes(y=9, x=9, ky=9, kx=9) + ["-D", "window=3"]),
        ("score/full", np.ones((20, 30), bool), sizes(i=20, j=30)),
    ]
    for name, mask, words in cases:
        whole = show(name, *words)["pictures"][-1]
        assert (whole["rows"], whole["columns"]) == mask.shape
        assert whole["visible_pairs"] == mask.sum(), (name, whole, mask.sum())
        assert whole["empty_rows"] == (~mask.any(1)).sum(), name
        if "neighborhood" not in name: # two pictures in one .png: below
            check_png(name, mask, -(-max(mask.shape) // 1024), *words)
        check_svg(name, mask, -(-max(mask.shape) // 384), whole["boxes"], *words)


def check_query():
    """The keys of one query, then all of them, in one row; the slices of three dimensions."""
    path = os.path.join(WORK, "query.png")
    one = neighbourhood(9, 3)
    words = sizes(y=9, x=9, ky=9, kx=9) + ["-D", "window=3", "--query", "0,7"]
    run("show", pattern("window/neighborhood2d"), "-o", path, *words)
    pixels = png(path)
    zoom = (pixels.shape[0] - 24) // 81
    at = 12 + zoom * np.arange(9) + zoom // 2
    keys = (pixels[at[:, None], at[None, :]] != 255).any(2)
    assert (keys == (one[0][:, None] & one[7][None, :])).all()
    pictures = show("window/neighborhood3d", "--query", "2,0,5")["pictures"]
    assert [p["title"] for p in pictures] == ["query z, y, x = 2, 0, 5, kz = 1", "query z, y, x = 2, 0, 5, kz = 2",
                                              "flattened"]
    row = show("window/sliding_window", "--query", "20")["pictures"][0]
    assert (row["rows"], row["columns"], row["visible_pairs"]) == (1, 64, 12)


def check_heads():
    heads = [p["title"] for p in show("mask/s2_attention")["pictures"]]
    assert heads == ["h = 0, 1", "h = 2, 3"], heads
    one = show("mask/s2_attention", "--head", "3")["pictures"]
    assert len(one) == 1 and one[0]["visible_pairs"] == show("mask/s2_attention")["pictures"][1]["visible_pairs"]
    total = sum(show("mask/block_sparse", "--head", str(h))["pictures"][0]["visible_pairs"] for h in range(2))
    assert show("mask/block_sparse")["visible_pairs"] == 2 * total
    for b in range(2): # a batch has documents of its own
        assert show("mask/documents", "--at", f"b={b}")["pictures"][0]["visible_pairs"] > 0
    total = sum(show("mask/documents", "--at", f"b={b}")["pictures"][0]["visible_pairs"] for b in range(2))
    assert show("mask/documents")["visible_pairs"] == 2 * total


# ---- against attnc explain ----

def patterns_of(path):
    with open(path, encoding="utf-8") as f:
        return re.findall(r"^pattern (\w+)", f.read(), re.M)


def check_library():
    """Visible pairs of every stage that both know of. Returns how many."""
    checked = masked = 0
    for folder, _, files in sorted(os.walk(PATTERNS)):
        for name in files if not folder.endswith("/std") else []:
            path = os.path.join(folder, name)
            for p in patterns_of(path):
                first = json.loads(run("show", path, "-p", p, "--json"))
                if not first["map"]:
                    continue
                known = {first["map"]: first}
                for stage in json.loads(run("explain", path, "-p", p, "--json"))["stages"]:
                    if stage["visible_pairs"] is None:
                        continue
                    mine = [m for m in first["maps"] if m.rsplit(".", 1)[0] == stage["output"] and m[-1].isdigit()
                            or m == stage["output"]]
                    for m in mine:
                        known.setdefault(m, None)
                        known[m] = known[m] or json.loads(run("show", path, "-p", p, "--json", "--stage", m))
                    if not mine:
                        continue
                    most = max(known[m]["visible_pairs"] for m in mine)
                    assert most == stage["visible_pairs"], (path, p, stage["output"], most, stage["visible_pairs"])
                    checked += 1
                    masked += known[mine[0]]["masked"]
    return checked, masked


# ---- time ----

def check_time():
    """Of a whole process, the best of several: other tests run beside this one."""
    limit = 0.3 * (20 if os.environ.get("ATTN_SANITIZE") else 1)
    n = sizes(i=4096, j=4096)
    for name, words in [("window/sliding_window", n + ["-D", "window=256"]), ("mask/causal", n),
                        ("mask/documents", sizes(i=4096))]:
        best = 1e9
        for _ in range(8):
            start = time.perf_counter()
            run("show", pattern(name), *words)
            best = min(best, time.perf_counter() - start)
            if best < limit:
                break
        assert best <= limit, (name, best)
        boxes = show(name, *words)["pictures"][0]["boxes"] # and not by evaluating every pair
        assert boxes["partial"] * 1024 < 0.05 * 4096 * 4096, (name, boxes)


# ---- the terminal ----

GOLDENS = {
    "window": ["window/sliding_window", *sizes(i=24, j=24), "-D", "window=6"],
    "scaled": ["mask/causal", *sizes(i=500, j=500)],
    "heads": ["mask/s2_attention"],
    "query": ["window/neighborhood2d", *sizes(y=6, x=6, ky=6, kx=6), "-D", "window=3"],
    "stages": ["two_level/combiner"],
    "none": ["linear/lightning"],
}


def check_terminal():
    for name, words in GOLDENS.items():
        got = run("show", pattern(words[0]), *words[1:])
        path = os.path.join(GOLDEN, name + ".txt")
        if "--update" in sys.argv:
            with open(path, "w", encoding="utf-8") as f:
                f.write(got)
        with open(path, encoding="utf-8") as f:
            assert got == f.read(), f"{name}: {path} differs from\n{got}"
        assert max(map(len, (line for line in got.splitlines() if line[:1] in "│┌└")), default=0) <= 60
    assert "\033" not in run("show", pattern("mask/causal"))


def check_colours():
    """On a terminal: colours unless NO_COLOR is set."""
    import pty
    for no_colour, expected in ("", True), ("1", False):
        parent, child = pty.openpty()
        environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm", "NO_COLOR": no_colour}
        process = subprocess.Popen([ATTNC, "show", pattern("mask/causal")], stdout=child, env=environment)
        os.close(child)
        text = b""
        try:
            while part := os.read(parent, 65536):
                text += part
        except OSError:
            pass
        os.close(parent)
        assert process.wait(30) == 0
        assert (b"\033[" in text) == expected, no_colour


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    check_terminal()
    check_colours()
    check_masks()
    check_query()
    check_heads()
    checked, masked = check_library()
    print(f"{checked} stages as attnc explain counts them, {masked} of them with a mask")
    assert checked >= 90 and masked >= 30, (checked, masked)
    if not os.environ.get("ATTN_SANITIZE"):
        check_time()


main()
