#!/usr/bin/env python3
"""attnc lsp by a scripted client: life cycle, diagnostics, hover, definition, completion, outline, formatting; then
messages that are none."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

ATTNC = os.environ["ATTNC"]
SOURCE = pathlib.Path(os.environ["ATTN_SOURCE"])
WORK = pathlib.Path(os.environ["ATTN_BUILD"]) / "command lsp"  # the space is %20 in URIs
failed = 0


def expect(good, what, got=None):
    global failed
    if not good:
        print("FAIL:", what, "" if got is None else f"\n  got {got}")
        failed += 1


class Client:
    def __init__(self, *arguments):
        self.process = subprocess.Popen([ATTNC, "lsp", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.number = 0
        self.diagnostics = {}

    def raw(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, **message):
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.raw(b"Content-Length: %d\r\n\r\n" % len(data) + data)

    def receive(self):
        length = None
        while line := self.process.stdout.readline().strip():
            name, value = line.split(b":")
            assert name == b"Content-Length"
            length = int(value)
        if length is None:
            return None
        message = json.loads(self.process.stdout.read(length))
        assert message["jsonrpc"] == "2.0"
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]
        return message

    def request(self, method, **params):
        self.number += 1
        self.send(id=self.number, method=method, params=params)
        while True:
            message = self.receive()
            if message is None or message.get("id") == self.number:
                return message

    def result(self, method, **params):
        return self.request(method, **params)["result"]

    def notify(self, method, **params):
        self.send(method=method, params=params)

    def open(self, uri, text, version=1):
        self.notify(
            "textDocument/didOpen",
            textDocument={"uri": uri, "languageId": "attn", "version": version, "text": text},
        )
        return self.wait(uri, version)

    def change(self, uri, text, version):
        self.notify(
            "textDocument/didChange", textDocument={"uri": uri, "version": version}, contentChanges=[{"text": text}]
        )
        return self.wait(uri, version)

    def wait(self, uri, version):
        """The diagnostics of a version."""
        while self.diagnostics.get(uri, {}).get("version") != version:
            assert self.receive() is not None
        return self.diagnostics[uri]["diagnostics"]

    def at(self, method, uri, text, mark, shift=0, whole=False, **more):
        """A request at the place of `mark` in the text."""
        before = text[: text.index(mark) + shift]
        line = before.count("\n")
        character = len(before[before.rfind("\n") + 1 :].encode("utf-16-le")) // 2
        place = {"line": line, "character": character}
        got = self.request("textDocument/" + method, textDocument={"uri": uri}, position=place, **more)
        return got if whole else got["result"]

    def stop(self):
        self.result("shutdown")
        self.notify("exit")
        return self.process.wait(20)


def start(*arguments):
    client = Client(*arguments)
    client.result("initialize", processId=None, rootUri=None, capabilities={})
    client.notify("initialized")
    return client


def bounds(text, range_):
    """Where a range begins and ends."""
    lines = text.split("\n")

    def offset(place):
        line = lines[place["line"]].encode("utf-16-le")
        return len("\n".join(lines[: place["line"]] + [""])) + len(
            line[: 2 * place["character"]].decode("utf-16-le")
        )

    return offset(range_["start"]), offset(range_["end"])


def of(text, range_):
    """The text of a range."""
    return text[slice(*bounds(text, range_))]


def applied(text, edits):
    for edit in sorted(edits, key=lambda one: bounds(text, one["range"]), reverse=True):
        start, end = bounds(text, edit["range"])
        text = text[:start] + edit["newText"] + text[end:]
    return text


TEXT = """use "near.attn"
use "std/masks.attn"

# Scores squashed.
fn cap(x, c) = c * tanh(x / c)

# Windowed attention \U0001f600 in a comment.
pattern local(w: int = 16)
    over b, h: q[i, d], k[j, d], v[j, e] -> o[i, e]
    with page: int[b, n] in 0..size(j)
    example i = 8, j = 8, d = 4, e = 4, n = 2, w = 3
{
    index i from size(j) - size(i)
    block c of j by 4
    # The scores.
    s = sum[d](q * k) / sqrt(size(d))
    far: int in 0..8 = clamp(i - j, 0, 7)
    S[-1] = 0
    S[i] = 0.5 * S[i-1] + sum[n](int(page == i))
    p = softmax[j](cap(s, c = 2.0) + 0.1 * far where near(i, j, w) and causal(i, j) and c(i) == c(j))
    o = sum[j](p * v) + S
}

pattern outer()
    over b, h: x[t, d] -> y[t, d]
    with pages: int[b, n] in 0..size(t)
{
    y = local(x, x, x, w = 4, page = pages, i = t).o
}
"""
NEAR = "# Close by.\nmask near(i, j, w) = abs(i - j) < w\n"


def life():
    client = Client("--stdio")
    expect(client.request("textDocument/hover")["error"]["code"] == -32002, "nothing before initialize")
    got = client.result("initialize", processId=1, rootUri=None, capabilities={})
    expect(got["serverInfo"]["name"] == "attnc" and got["capabilities"]["hoverProvider"], "capabilities", got)
    expect(client.request("initialize")["error"]["code"] == -32600, "initialize once")
    expect(client.request("no/such")["error"]["code"] == -32601, "an unknown method")
    expect(
        client.request("textDocument/hover", textDocument={"uri": "file:///x"})["error"]["code"] == -32602,
        "not open",
    )
    client.notify("$/cancelRequest", id=1)
    expect(client.result("shutdown") is None, "shutdown")
    expect(client.request("textDocument/hover")["error"]["code"] == -32600, "nothing after shutdown")
    client.notify("exit")
    expect(client.process.wait(20) == 0, "exit after shutdown")
    client = start()
    client.notify("exit")
    expect(client.process.wait(20) == 1, "exit without shutdown")
    client = start()
    client.process.stdin.close()
    expect(client.process.wait(20) == 1, "the end of stdin")
    expect(subprocess.run([ATTNC, "lsp", "file"], capture_output=True).returncode == 2, "files")


def work():
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "sub").mkdir(parents=True)
    (WORK / "near.attn").write_text(NEAR)
    (WORK / "sub" / "other.attn").write_text(NEAR)
    uri, near = (WORK / "main.attn").as_uri(), (WORK / "near.attn").as_uri()
    client = start()
    got = client.open(uri, TEXT)
    expect([d for d in got if d["severity"] < 3] == [], "a good text", got)

    # diagnostics, with UTF-16 columns and related information
    bad = TEXT.replace("0.1 * far", "0.1 * faar")
    got = client.change(uri, bad, 2)
    expect(
        len(got) == 1
        and got[0]["severity"] == 1
        and got[0]["code"] == "E101"
        and of(bad, got[0]["range"]) == "faar",
        "a diagnostic",
        got,
    )
    expect(any("did you mean `far`" in r["message"] for r in got[0].get("relatedInformation", [])), "its hint", got)
    odd = '# \U0001f600\nuse "\U0001f600" \U0001f600\n'
    got = client.change(uri, odd, 3)
    expect({of(odd, d["range"]) for d in got} <= {'"\U0001f600"', "\U0001f600"} and got, "columns in UTF-16", got)
    # an unsaved text that is used; what is wrong there is told at the `use`
    client.open(near, NEAR.replace("near", "nearby"), 1)
    got = client.change(uri, TEXT, 4)
    expect(len(got) == 1 and "near" in got[0]["message"], "an open text stands for its file", got)
    client.change(near, "mask near(i, j, w) = )\n", 2)
    got = client.change(uri, TEXT, 5)
    expect(
        [of(TEXT, d["range"]) for d in got] == ['"near.attn"']
        and got[0]["relatedInformation"][0]["location"]["uri"] == near,
        "an error in a used file",
        got,
    )
    client.notify("textDocument/didClose", textDocument={"uri": near})
    expect(client.change(uri, TEXT, 6) == [], "closed: the file counts again")
    slow = (SOURCE / "patterns/score/full.attn").read_text()
    expect(client.open("untitled:One", slow) is not None, "a text without a file")

    # hover
    def hover(mark, shift=0):
        got = client.at("hover", uri, TEXT, mark, shift)
        return got["contents"]["value"] if got else ""

    for mark, shift, wanted in [
        ("s = sum", 0, ["s[b, h, i, j]: float", "s = sum[d](q * k)", "equation of `local`", "The scores."]),
        ("far: int", 1, ["far[i, j]: int in 0..8"]),
        ("page: int", 0, ["page[b, n]: int in 0..size(j)", "captured tensor"]),
        ("q * k", 0, ["q[b, h, i, d]: float", "input of `local`"]),
        ("+ S\n", 2, ["S[b, i]: float", "recurrence along `i`, forward"]),
        ("w: int", 0, ["w: int = 16", "parameter"]),
        ("block c", 6, ["block c of j by 4", "index of `local`"]),
        ("from size", -2, ["index i from size(j) - size(i)", "Extent: that of the tensors bound, from `"]),
        ("near(i, j, w) and", 1, ["mask near(i, j, w) = abs(i - j) < w", "Close by."]),
        ("cap(s", 1, ["fn cap(x, c) = c * tanh(x / c)", "Scores squashed."]),
        ("softmax[j]", 2, ["softmax[j](x where c, sink = a)"]),
        ("local(x, x", 1, ["pattern local(w: int = 16)", "Windowed attention \U0001f600"]),
        (".o\n", 1, ["o[b, h, i, e]", "output of `local`"]),
    ]:
        got = hover(mark, shift)
        for one in wanted:
            expect(one in got, f"hover at {mark!r}: {one!r}", got)
    expect(hover("/ sqrt", 0) == "", "nothing to hover over")

    # definition, references
    def definition(mark, shift=0):
        got = client.at("definition", uri, TEXT, mark, shift)
        return (got["uri"], of(TEXT if got["uri"] == uri else NEAR, got["range"]), got["range"]["start"]["line"])

    line = {
        mark: TEXT[: TEXT.index(mark)].count("\n") for mark in ("s = sum", "over b", "S[i] =", "w: int", "fn cap")
    }
    expect(definition("s, c = 2") == (uri, "s", line["s = sum"]), "an equation", definition("s, c = 2"))
    expect(
        definition("+ S\n", 2) == (uri, "S", line["S[i] ="]), "a recurrence, not its start", definition("+ S\n", 2)
    )
    expect(definition("q * k") == (uri, "q", line["over b"]), "an input")
    expect(definition("cap(s") == (uri, "cap", line["fn cap"]), "a function")
    expect(definition("w = 4") == (uri, "w", line["w: int"]), "a parameter by name")
    expect(
        definition("near(i, j, w) and") == (near, "near", 1),
        "a mask of another file",
        definition("near(i, j, w) and"),
    )
    expect(definition('"near.attn"', 3)[0] == near, "a file")
    got = client.at("definition", uri, TEXT, "causal(i")
    expect(got["uri"].endswith("/std/masks.attn"), "the library", got)
    expect(client.at("definition", uri, TEXT, "sqrt(") is None, "a function of the language")
    got = client.at("references", uri, TEXT, "s = sum", context={"includeDeclaration": True})
    expect([of(TEXT, one["range"]) for one in got] == ["s", "s"], "references", got)
    expect(len(client.at("documentHighlight", uri, TEXT, "w: int")) == 4, "highlights")

    # rename
    def renamed(mark, name, shift=0):
        return applied(TEXT, client.at("rename", uri, TEXT, mark, shift, newName=name)["changes"][uri])

    expect(renamed("S[i] =", "state") == re.sub(r"\bS\b", "state", TEXT), "rename an equation")
    expect(renamed("w = 4", "width").count("width") == 4, "rename a parameter", renamed("w = 4", "width"))
    expect(renamed("cap(s", "squash") == TEXT.replace("cap(", "squash("), "rename a function")
    for mark, name in (
        ("S[i] =", "where"),
        ("S[i] =", "2x"),
        ("S[i] =", "far"),
        ("near(i, j, w) and", "close"),
        ("/ sqrt", "x"),
    ):
        got = client.at("rename", uri, TEXT, mark, newName=name, whole=True)
        expect(got.get("error", {}).get("code") == -32602, f"no {name}", got)

    # completion
    def labels(text, mark, shift=0):
        got = client.at("completion", uri, text, mark, shift)
        return {one["label"]: one for one in got}

    got = labels(TEXT, "p * v")
    expect(
        {"q", "w", "far", "cap", "near", "causal", "local", "where", "softmax", "bf16", "pi"} <= set(got),
        "completion",
    )
    expect(
        got["softmax"]["detail"] == "[j](x where c, sink = a)" and got["s"]["kind"] == 6, "details", got["softmax"]
    )
    expect("x" not in got and "pages" not in got, "no names of other patterns")
    expect({"near.attn", "sub/other.attn", "std/masks.attn"} <= set(labels(TEXT, "near.attn")), "files")
    expect(labels(TEXT, "The scores") == {}, "nothing in comments")
    half = TEXT.replace("    o = sum[j](p * v) + S\n", "    o = sum[j](so")
    client.change(uri, half, 7)
    expect({"far", "softmax", "s"} <= set(labels(half, "(so", 3)), "while an equation is written")
    broken = TEXT.replace("pattern local(w: int = 16)", "pattern local(w: int = ")
    client.change(uri, broken, 8)
    expect({"far", "softmax", "page"} <= set(labels(broken, "p * v")), "while a signature is written")
    client.change(uri, TEXT, 9)

    # outline, formatting
    got = client.result("textDocument/documentSymbol", textDocument={"uri": uri})
    expect([one["name"] for one in got] == ["cap", "local", "outer"], "outline", got)
    inner = {one["name"]: one["detail"] for one in got[1]["children"]}
    expect(
        inner["s"] == "equation" and inner["o"] == "output" and inner["c"] == "index" and inner["w"] == "parameter",
        "outline of a pattern",
        inner,
    )
    expect(
        of(TEXT, got[1]["range"]).startswith("pattern local") and of(TEXT, got[1]["range"]).endswith("}"),
        "its range",
    )
    options = {"tabSize": 4, "insertSpaces": True}
    expect(client.result("textDocument/formatting", textDocument={"uri": uri}, options=options) == [], "laid out")
    ugly = TEXT.replace("p * v", "p*v")
    client.change(uri, ugly, 10)
    got = client.result("textDocument/formatting", textDocument={"uri": uri}, options=options)
    expect(len(got) == 1 and got[0]["newText"] == TEXT and of(ugly, got[0]["range"]) == ugly, "formatting", got)
    client.change(uri, "pattern", 11)
    expect(
        client.result("textDocument/formatting", textDocument={"uri": uri}, options=options) is None,
        "a broken text",
    )

    # performance
    slow, path = (SOURCE / "tests/errors/performance-gather.attn").read_text(), (WORK / "slow.attn").as_uri()
    severities = lambda got: {one["severity"] for one in got}
    expect(severities(client.open(path, slow)) == {3}, "performance of an opened text", client.diagnostics[path])
    expect(severities(client.change(path, slow, 2)) == {3}, "while one types", client.diagnostics[path])
    client.notify("textDocument/didSave", textDocument={"uri": path})
    client.diagnostics.clear()
    expect(severities(client.wait(path, 2)) == {3}, "performance of a saved text", client.diagnostics[path])
    expect(client.stop() == 0, "the end")


def hostile():
    client = start()

    def malformed(data, what):
        client.raw(data)
        got = client.receive()
        expect(got.get("error", {}).get("code") in (-32700, -32600) and got["id"] is None, what, got)

    malformed(b"Content-Length: 5\r\n\r\n{abc}", "no JSON")
    malformed(b"Content-Length: 4\r\n\r\n\xff\xfe\x00\x01", "no UTF-8")
    malformed(b"Content-Length: 2\r\n\r\n[]", "a batch")
    malformed(b"Content-Length: 4\r\n\r\nnull", "no object")
    malformed(b"Content-Length: 20\r\n\r\n" + b'{"jsonrpc":"2.0"}   ', "no method")
    malformed(b"Content-Length: 25\r\n\r\n" + b'{"id": {}, "method": "x"}', "an id that is none")
    malformed(b"Content-Type: x\r\n\r\n", "no length")
    client.raw(b"Content-Length: 17\r\n\r\n" + b'{"jsonrpc":"2.0"}')
    client.receive()
    malformed(b"Content-Length: -3\r\n\r\n", "a negative length")
    client.raw(b"Content-Length: 17\r\n\r\n" + b'{"jsonrpc":"2.0"}')
    client.receive()
    malformed(b"content-length: 17\r\nX-Other: 1\r\n\r\n" + b'{"jsonrpc":"2.0"}', "small letters")
    deep = b"[" * 5000 + b"]" * 5000
    malformed(b"Content-Length: %d\r\n\r\n" % len(deep) + deep, "nested deeply")
    got = client.request("textDocument/hover", textDocument=7)
    expect(got["error"]["code"] == -32602, "params of another kind", got)
    client.send(id="text", method="no/such")
    expect(client.receive()["id"] == "text", "an id that is a string")
    client.notify("textDocument/didOpen")
    client.notify("textDocument/didChange", textDocument={"uri": 3}, contentChanges={})
    client.notify("textDocument/didClose", textDocument={"uri": "file:///none"})

    # texts that are no sources, cut and changed ones, and every request everywhere
    dice = random.Random(3)
    uri, version = "file:///tmp/h%C3%A4lf%ZZ.attn", 1
    client.open(uri, "\0\1\ud83d\ude00\x7f")
    for k in range(60):
        version += 1
        text = list(TEXT)
        for _ in range(dice.randrange(1, 12)):
            at = dice.randrange(len(text))
            text[at : at + dice.randrange(4)] = dice.choice(
                ["(", "]", '"', "#", "\n", "{", "}", "\0", "index ", " if ", "\u20ac"]
            )
        if dice.random() < 0.4:
            text = text[: dice.randrange(len(text))]
        text = "".join(text)
        client.change(uri, text, version)
        for method in ("hover", "definition", "completion", "references", "documentSymbol", "formatting"):
            place = {"line": dice.randrange(-1, 40), "character": dice.randrange(-1, 90)}
            got = client.request("textDocument/" + method, textDocument={"uri": uri}, position=place, options={})
            expect("result" in got, f"{method} in a broken text", got)
    place = {"line": 10**12, "character": 10**12}
    client.result("textDocument/hover", textDocument={"uri": uri}, position=place)
    large = "fn f(x) = " + " + ".join(["x"] * 200000) + "\n"
    client.change(uri, large, version + 1)
    client.result("textDocument/hover", textDocument={"uri": uri}, position={"line": 0, "character": 3})
    many = "".join(f"fn f{k}(x) = x\n" for k in range(5000))
    many += (
        "pattern p()\n    x[i] -> y[i]\n{\n" + "".join(f"    e{k} = x\n" for k in range(5000)) + "    y = x\n}\n"
    )
    many += "fn g(x) = max(" + "x, " * 50000 + "x)\n"
    began = time.monotonic()
    client.notify(
        "textDocument/didChange", textDocument={"uri": uri, "version": 7}, contentChanges=[{"text": many}]
    )
    got = client.result("textDocument/documentSymbol", textDocument={"uri": uri})
    expect(len(got) == 5002 and len(got[5001]["children"]) == 5003, "a large outline", len(got))
    got = client.at("references", uri, many, "g(x)", 2)
    expect(len(got) == 50002 and time.monotonic() - began < 20, "much at once", time.monotonic() - began)
    for path in ("/dev/stdin", "/dev/zero", "/", "/proc/self/fd/0"):
        got = client.change(uri, f'use "{path}"\n', version + len(path) + 1000)
        expect([d["code"] for d in got] == ["E510"], "a `use` of what is no file", got)
    client.change(uri, "#" * (17 << 20), version + 5000)
    expect("E009" in [d["code"] for d in client.diagnostics[uri]["diagnostics"]], "a text that is too large")
    expect(client.stop() == 0, "the end")

    client = start()
    client.raw(bytes(dice.randrange(256) for _ in range(100000)) + b"\r\n\r\n")
    client.process.stdin.close()
    while client.receive() is not None:
        pass
    expect(client.process.wait(20) == 1, "noise")


life()
work()
hostile()
sys.exit(failed > 0)
