#!/usr/bin/env python3
"""Every text of a message in the sources is pinned by a test: string literals of several words in lang/ and
compiler/performance.c, outside of BUG() and of what prints dumps, must match the expectation of a file in
tests/errors (conditions for binding tensors: in any text-file test)."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[A-Za-z_]\w*|\s+|.', re.S)
FORMAT = re.compile(r"%%|%[-0-9.*]*(?:ll|z|j)?[sdiucxXgf]")
WORDS = re.compile(r"[a-z]{2}[^\n]* |[a-z`%]+ [^\n]*[a-z]{2}")

# Texts that no file can provoke as a diagnostic, and why or where they are tested.
NOT_FROM_A_FILE = {
    "out of memory": "tests/lang/test_base.c",
    "internal error at %s:%d: ": "for BUG()",
    "top_index positions": "a list of names",
    "size first last": "likewise",
    "Parser *": "a type",
    "the end of the file": "bison's name of a token that no rule waits for alone",
    "an integer": "as well: one may always be any expression",
    "something else": "bison always waits for something",
    "`%s` has more than %d equations that its outputs need": "tests/command/hostile.sh",
    "the patterns of this file in front of `%s` take more than %d MiB of memory": "likewise",
    "more than %d messages; the others are left out": "likewise",
    "the layout of this file takes more than %d MiB": "likewise",
    "a file of more than %d words and signs": "likewise",
    "equations of `%s` read each other through more than %d steps": "likewise",
    "a pattern with more than 512 indices (those of the patterns that it calls included)": "tests/lang",
}


def literals(text):
    """(line, function, string) of every literal; neighbours are joined, those in BUG() left out."""
    found, stack, last, line, current = [], [], "", 1, None
    for match in TOKEN.finditer(text):
        token = match[0]
        blank = token.isspace() or token.startswith(("//", "/*"))
        if token[0] == '"':
            current = (current or (line, ""))[0], (current[1] if current else "") + token[1:-1]
        elif not blank:
            if current and "BUG" not in stack:
                found.append((current[0], stack[-1] if stack else "", current[1]))
            current = None
            if token == "(":
                stack.append(last)
            elif token == ")":
                stack[-1:] = []
            elif token in ";{}":
                stack = []
        if not blank:
            last = token
        line += token.count("\n")
    return found


def source_text(path):
    text = path.read_text()
    if path.suffix in (".l", ".y"):  # C alone: the prologue, and what follows the second %%
        parts = text.split("\n%%")
        between = text.count("\n") - parts[0].count("\n") - parts[-1].count("\n")
        return parts[0] + "\n" * between + parts[-1]
    return text


def pattern(string):
    string = string.encode().decode("unicode_escape").encode("latin-1").decode()
    return ".*".join(re.escape(part) for part in FORMAT.split(string))


def expectations(folder):
    lines = (line[3:] for path in sorted((ROOT / "tests" / folder).glob("**/*.attn"))
             for line in path.read_text(errors="replace").split("\n") if line.startswith(("#! ", "#!| ")))
    return "\n".join(lines)


def main():
    pins, everywhere = expectations("errors"), expectations(".")
    sources = [path for path in sorted((ROOT / "lang").glob("*.[cly]")) if not path.stem.endswith(("_print", "_json"))]
    checked, missing = 0, []
    for path in sources + [ROOT / "compiler" / "performance.c"]:
        for line, function, string in literals(source_text(path)):
            if not WORDS.search(string) or string in NOT_FROM_A_FILE:
                continue
            checked += 1
            text = everywhere if function in ("add_condition", "state_condition") else pins
            if not re.search(pattern(string), text):
                missing.append(f"{path.relative_to(ROOT)}:{line}: no test pins \"{string}\"")
    if missing or checked < 300:
        sys.exit("\n".join(missing) + f"\n{len(missing)} of {checked} texts of messages without a test")
    print(f"{checked} texts of messages are pinned")


if __name__ == "__main__":
    main()
