#!/usr/bin/env python3
"""--diagnostics=json: every line is an object, with the places and texts that --diagnostics=lines has."""
import json
import os
import pathlib
import re
import subprocess
import tempfile

ATTNC, SOURCE = os.environ["ATTNC"], pathlib.Path(os.environ["ATTN_SOURCE"])


def attnc(*arguments):
    done = subprocess.run([ATTNC, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stderr.decode("utf-8")


def flat(item):
    """The lines of --diagnostics=lines for one object, notes before hints."""
    def place(of):
        return f'{of["file"]}:{of["line"]}:{of["column"]}: ' if "file" in of else ""
    yield f'{place(item)}{item["severity"]}[{item["code"]}]: {item["message"]}'
    for note in item["notes"]:
        yield f'{place(note) or place(item)}note: {note["message"]}'
    for hint in item["hints"]:
        yield f'{place(item)}hint: {hint}'


def compare(path, command="check"):
    code, lines = attnc(command, "--diagnostics=lines", path)
    same, objects = attnc(command, "--diagnostics=json", path)
    assert code == same, path
    found = [line for text in objects.splitlines() for line in flat(json.loads(text))]
    expected = re.sub(r"\r", "", lines).split("\n")[:-1]
    assert sorted(found) == sorted(expected), (path, set(found) ^ set(expected))
    return [json.loads(text) for text in objects.splitlines()]


def main():
    count = sum(len(compare(path)) for path in sorted((SOURCE / "tests" / "errors").glob("*.attn"))
                if path.name != "syntax-bytes.attn")
    assert count > 300, count
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'a "b".attn'
        path.write_bytes(b"fn f(x, y) = x + y\nfn f(x) = x\nfn g(x) = x \xff + sqroot(x)\n")
        items = [json.loads(line) for line in attnc("check", "--diagnostics=json", path)[1].splitlines()]
        assert [item["code"] for item in items] == ["E501", "E002"] and items[0]["file"] == str(path)
        path.write_text("fn g(x) = sqroot(\n  x)\n")
        unknown, = compare(path)
        path.write_text("fn f(x, y) = x + y\nfn f(x) = x\n")
        twice, = compare(path)
        assert (twice["line"], twice["column"], twice["end_line"], twice["end_column"]) == (2, 4, 2, 5)
        assert twice["notes"][0]["line"] == 1 and twice["notes"][0]["end_column"] == 5
        assert unknown["hints"] == ["did you mean `sqrt`?"]
        code, text = attnc("run", "--diagnostics=json", path.with_name("none.attn"))
        missing = json.loads(text)
        assert code == 1 and missing["code"] is None and "none.attn" in missing["message"]
        for command in ("compile", "run", "explain", "list", "bench"):
            code, text = attnc(command, "--diagnostics=json", path, *(["-o", "x.so"] if command == "compile" else []))
            assert code == 1 and [json.loads(line)["code"] for line in text.splitlines()] == ["E501"], command


if __name__ == "__main__":
    main()
