#!/usr/bin/env python3
"""docs/tutorial.md, step by step: files are written, commands run; every line of a `text` block that follows a
command is in its output, in that order (`...` stands for anything). A command fails if its block shows an error,
and else ends with 0; without a block it prints nothing on stderr."""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ATTNC, SOURCE = os.environ["ATTNC"], pathlib.Path(os.environ["ATTN_SOURCE"])


def steps(text):
    """("file", name, text) and ("run", command, expected lines or None), in order."""
    found = []
    pieces = re.finditer(r"```attn (\S+)\n(.*?)```|```text\n(.*?)```|^    (attnc [^\n]*)$", text, re.S | re.M)
    for piece in pieces:
        if piece[1]:
            found.append(["file", piece[1], piece[2]])
        elif piece[4]:
            found.append(["run", piece[4], None])
        else:
            assert found[-1][0] == "run" and found[-1][2] is None, "a text block without a command"
            found[-1][2] = piece[3].split("\n")[:-1]
    return found


def check_output(command, expected, output):
    lines = iter(output.split("\n"))
    for line in expected:
        pattern = ".*".join(re.escape(part) for part in line.split("..."))
        if not any(re.fullmatch(pattern, other.rstrip()) for other in lines):
            sys.exit(f"{command}: no line, or not in this place:\n{line}\nprinted:\n{output}")


def run(command, expected, folder):
    done = subprocess.run([ATTNC] + shlex.split(command)[1:], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    fails = any(re.match(r"error\[|attnc: ", line) for line in expected or [])
    if done.returncode != int(fails):
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stderr}")
    if expected is None and done.stderr:
        sys.exit(f"{command}: prints\n{done.stderr}")
    check_output(command, expected or [], done.stdout + done.stderr)


def main():
    found = steps((SOURCE / "docs" / "tutorial.md").read_text())
    assert len(found) > 20 and sum(step[2] is not None for step in found if step[0] == "run") > 5
    with tempfile.TemporaryDirectory() as folder:
        for kind, name, value in found:
            if kind == "file":
                (pathlib.Path(folder) / name).write_text(value)
            else:
                run(name, value, folder)


if __name__ == "__main__":
    main()
