#!/usr/bin/env python3
"""The files of editors/ know the words of the language: those of the scanner's and the checker's lists, and no others;
and the grammars colour the library."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["ATTN_SOURCE"])
EDITORS = SOURCE / "editors"
failed = 0


def expect(good, what):
    global failed
    if not good:
        print("FAIL:", what)
        failed += 1


def listed(name, pattern):
    return set(re.findall(pattern, (SOURCE / "lang" / name).read_text(), re.M))


KEYWORDS = listed("keyword_list.h", r'^KEYWORD\(\w+, "(\w+)"\)')
FUNCTIONS = listed("function_list.h", r"^FUNCTION\((\w+),")
TYPES = listed("storage_list.h", r'^STORAGE\(\w+, "(\w+)"\)')
CONSTANTS = {"pi", "inf"}
expect(len(KEYWORDS) == 27 and len(FUNCTIONS) > 50 and len(TYPES) == 7, "the lists are read")


def same(got, wanted, what):
    got = set(got)
    expect(got == wanted, f"{what}: missing {sorted(wanted - got)}, too many {sorted(got - wanted)}")


def alternatives(pattern, separator="|"):
    return re.search(r"\((?:\?:)?([a-z][\w|\\]*)\)", pattern)[1].split(separator)


def textmate():
    grammar = json.loads((EDITORS / "vscode/syntaxes/attn.tmLanguage.json").read_text())
    rules = grammar["repository"]
    words = {rule["name"]: alternatives(rule["match"]) for rule in rules["word"]["patterns"]}
    functions = words.pop("support.function.attn")
    same([w for group in words.values() for w in group], KEYWORDS | CONSTANTS, "TextMate: reserved words")
    same(functions, FUNCTIONS, "TextMate: functions")
    same(re.search(r"\(([a-z]\w*(?:\|\w+)+)\)", rules["type"]["match"])[1].split("|"), TYPES, "TextMate: types")
    for include in grammar["patterns"]:
        expect(include["include"][1:] in rules, include)
    for rule in [*rules.values(), *rules["word"]["patterns"]]:
        if "match" in rule:
            re.compile(rule["match"])


def vim():
    text = (EDITORS / "vim/syntax/attn.vim").read_text()
    groups = re.findall(r"^syn keyword (\w+) (.*)$", text, re.M)
    words = [w for group, line in groups if group != "attnTodo" for w in line.split()]
    same(words, KEYWORDS | CONSTANTS, "Vim: reserved words")
    expect(len(words) == len(set(words)), "Vim: a word twice")
    for group, wanted in ("attnFunction", FUNCTIONS), ("attnType", TYPES):
        found = re.search(rf"^syn match {group} /.*?\\%\((.*?)\\\)", text, re.M)[1]
        same(found.split("\\|"), wanted, "Vim: " + group)
    for group in set(re.findall(r"^syn \w+ (\w+)", text, re.M)):
        expect(f"hi def link {group} " in text, f"Vim: {group} has no colour")


def run_vim():
    """Vim itself, where there is one."""
    program = shutil.which("vim")
    if (
        not program
        or "+syntax" not in subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    ):
        return
    out = pathlib.Path(os.environ["ATTN_BUILD"]) / "vim.txt"
    file = SOURCE / "patterns/window/sliding_window.attn"
    line = [n for n, text in enumerate(file.read_text().split("\n"), 1) if "softmax" in text][0]
    script = (
        f"call writefile([synIDattr(synID({line}, stridx(getline({line}), 'softmax') + 1, 1), 'name')], '{out}')"
    )
    subprocess.run(
        [
            program,
            "-u",
            "NONE",
            "-i",
            "NONE",
            "-es",
            "-c",
            f"set rtp^={EDITORS}/vim",
            "-c",
            "syntax on",
            "-c",
            "filetype on",
            "-c",
            f"edit {file}",
            "-c",
            "set ft=attn",
            "-c",
            script,
            "-c",
            "qa!",
        ],
        timeout=60,
    )
    expect(out.read_text() == "attnFunction\n", "Vim: softmax is a function")


def extension():
    folder = EDITORS / "vscode"
    package = json.loads((folder / "package.json").read_text())
    json.loads((folder / "language-configuration.json").read_text())
    contributes = package["contributes"]
    for path in (contributes["grammars"][0]["path"], contributes["languages"][0]["configuration"], package["main"]):
        expect((folder / path).is_file(), path)
    arguments = contributes["configuration"]["properties"]["attnc.arguments"]["default"]
    got = subprocess.run([os.environ["ATTNC"], *arguments, "--help"], capture_output=True)
    expect(got.returncode == 0, "the extension starts a command that exists")
    version = subprocess.run([os.environ["ATTNC"], "--version"], capture_output=True, text=True).stdout
    expect(version == f"attnc {package['version']}\n", "the extension has the version of attnc")


def functions():
    """The list of functions is that of the checker."""
    known = listed("check_builtin.c", r'\{"(\w+)", [A-Z_]+, N_') | listed(
        "check_binder.c", r'\{"(\w+)", N_\w+, 0\}'
    )
    for name, macro in ("reduction", "REDUCTION"), ("normaliser", "NORMALISER"), ("scan", "SCAN_KIND"):
        known |= listed(name + "_list.h", rf'^{macro}\(\w+, "(\w+)"\)')
    same(FUNCTIONS, known, "lang/function_list.h")


functions()
textmate()
vim()
run_vim()
extension()
sys.exit(failed > 0)
