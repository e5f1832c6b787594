#!/usr/bin/env python3
"""attnc show --html in headless Chromium: sliders move, the picture changes, the counts equal those of `attnc show`,
which are those of `attnc explain` (test_show.py)."""
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ATTNC = os.environ["ATTNC"]
PATTERNS = os.path.join(os.environ["ATTN_SOURCE"], "patterns")
WORK = os.path.join(os.environ["ATTN_BUILD"], "command-show-page")
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)

# Ints that need all 64 bits: products that wrap, and operations on bits.
WIDE = """
pattern wide(factor: int = 4000000007)
    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]
    example i = 30, j = 40, d = 4, e = 4
{
    keep = (i + 1) * factor * (j - 20) * factor % 5 < 2 or ((i ^ j) & 6) == 2
    o = sum[j](softmax[j](sum[d](q * k) where keep) * v)
}
pattern large(factor: int = 40000007)
    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]
    example i = 30, j = 40, d = 4, e = 4
{
    o = sum[j](softmax[j](sum[d](q * k) where (i + 1) * factor * (j - 20) * factor // 3 % 5 < 2) * v)
}
"""

# Moves sliders and tells what the page then says, once for every step.
PROBE = """
<pre id="result"></pre>
<script>
const steps = %s, told = [];
function tell() {
  const canvas = element("mask"), data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let seen = 0, hash = 0;
  for (let k = 0; k < data.length; k += 4) {
    if (data[k] !== 255) seen++;
    hash = (Math.imul(hash, 31) + data[k]) | 0;
  }
  const near = element("query"), keys = near.getContext("2d").getImageData(0, 0, near.width, near.height).data;
  let key = 0;
  for (let k = 0; k < keys.length; k += 4) if (keys[k + 3] && keys[k] !== 255) key++;
  told.push({visible: Number(element("visible").value), pairs: Number(element("pairs").value),
             empty: Number(element("empty").value), all: element("all").value, seen, hash, key,
             message: element("message").textContent, shape: [canvas.height, canvas.width]});
}
tell();
for (const step of steps) {
  for (const [name, value] of Object.entries(step)) {
    const input = element("slider-" + name);
    if (Number(input.max) < value) input.max = value;
    input.value = value;
    input.dispatchEvent(new Event("input"));
  }
  tell();
}
element("result").textContent = JSON.stringify(told);
</script>
</body>"""


def source(pattern):
    return os.path.join(PATTERNS if "/" in pattern else WORK, pattern + ".attn")


def show(pattern, arguments):
    text = subprocess.run([ATTNC, "show", source(pattern), "--json", *arguments],
                          check=True, capture_output=True, text=True).stdout
    return json.loads(text)


def page(pattern, arguments, steps):
    path = os.path.join(WORK, os.path.basename(pattern) + ".html")
    subprocess.run([ATTNC, "show", source(pattern), "--html", path, *arguments], check=True)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert not re.search(r'(src|href)=|https?://|url\(|fetch\(|import', text), "the page asks for something outside"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("</body>", PROBE % json.dumps(steps)))
    dom = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                          "--user-data-dir=" + tempfile.mkdtemp(dir=WORK), "--dump-dom", "file://" + path],
                         check=True, capture_output=True, text=True, timeout=300).stdout
    told = re.search(r'<pre id="result">(.*?)</pre>', dom, re.S).group(1)
    assert told, dom[-3000:]
    return json.loads(html.unescape(told))


def compare(told, expected):
    whole = expected["pictures"][-1]
    assert whole["whole"]
    assert told["message"] == "", told
    assert told["visible"] == whole["visible_pairs"], (told, whole)
    assert told["pairs"] == whole["rows"] * whole["columns"], (told, whole)
    assert told["empty"] == whole["empty_rows"], (told, whole)
    assert told["all"] == str(expected["visible_pairs"]), (told, expected)
    if max(told["shape"]) < 1024:
        assert told["seen"] == told["visible"], told
    if not expected["pictures"][0]["whole"] and len(expected["pictures"]) == 2:
        assert told["key"] == expected["pictures"][0]["visible_pairs"], (told, expected)


def sizes(step, names):
    return [word for name, value in step.items()
            for word in (["--size", f"{name}={value}"] if name in names else ["-D", f"{name}={value}"])]


def check(pattern, names, steps, arguments=()):
    told = page(pattern, arguments, steps)
    compare(told[0], show(pattern, arguments))
    state = {}
    for step, after in zip(steps, told[1:]):
        state.update(step)
        compare(after, show(pattern, [*arguments, *sizes(state, names)]))
    pictures = [(t["hash"], *t["shape"]) for t in told]
    assert len(set(pictures)) == len(pictures), "a picture did not change"


def main():
    if not CHROMIUM:
        print("there is no Chromium: the pages of attnc show --html were not tried")
        return 77
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    with open(source("wide"), "w", encoding="utf-8") as f:
        f.write(WIDE)
    check("wide", "ij", [{"factor": 9007199254740881}, {"i": 20}], ["-p", "wide"])
    check("wide", "ij", [{"i": 31}], ["-p", "large"])
    check("window/sliding_window", "bhij", [{"window": 5}, {"i": 40, "j": 50}])
    check("window/dilated", "bhij", [{"window": 3, "rate": 2}, {"i": 9, "j": 70}])
    check("window/neighborhood2d", ["y", "x", "ky", "kx"], [{"window": 3}, {"dilation": 2}])
    check("window/neighborhood3d", ["z", "y", "x", "kz", "ky", "kx"], [{"depth": 1}])
    check("mask/prefix_lm", "bhij", [{"prefix": 0}, {"prefix": 30}])
    check("mask/s2_attention", "bhgij", [{"local": 2}, {"stride": 3, "i": 200, "j": 200}], ["--head", "0"])
    check("score/full", "ij", [{"i": 5}])
    check("mask/documents", "", [], ["--size", "h=3"])              # int tensors
    check("mask/subsampled", "ij", [{"seed": 5, "tile": 2}, {"rate": 0.5}], ["-p", "ssa_local", "--head", "0"])  # rand
    check("routing/moba", "", [], ["--head", "0"])                  # a selection
    check("cache/retrieval", "", [], ["--head", "0"])               # any over a list
    return 0


sys.exit(main())
