#!/usr/bin/env python3
"""attnc explain of every pattern of the library: it ends well, every subscript has a proof by rules of docs/safety.md or
a condition that is checked when tensors are bound, every equation is somewhere, no derived cost is more than promised."""
import json
import os
import pathlib
import re
import subprocess

ATTNC = os.environ["ATTNC"]
SOURCE = pathlib.Path(os.environ["ATTN_SOURCE"])
RULES = set(re.findall(r"\*\*(S\d+),", (SOURCE / "docs" / "safety.md").read_text()))


def run(*arguments):
    found = subprocess.run([ATTNC, *arguments], capture_output=True, text=True, check=False)
    assert found.returncode == 0, (arguments, found.stderr)
    return found.stdout


def check_subscripts(x):
    for s in x["subscripts"]:
        rules = s["rules"].split()
        assert rules and set(rules) <= RULES, s
        if s["condition"]:
            assert "S12" in rules, s
            assert any(s["condition"] == c["condition"] or c["condition"] in s["condition"] for c in x["conditions"]), s
        if s["guarded"] and s["facts"]:
            assert "S3" in rules or "S9" in rules, s
    assert x["plain_subscripts"] + len(x["subscripts"]) > 0, x["pattern"]


def check_equations(x):
    """Whatever is planned is inside a stage, kept, or an output."""
    inside = {e["name"] for s in x["plan"] for e in s["inside"]} | {e["name"] for e in x["not_computed"]}
    kept = {e["name"] for e in x["stored"]}
    for e in x["equations"]:
        if e["storing"] == "inlined":
            assert e["name"] in inside, e
        else:
            assert e["name"] in kept or e["why"] == "an output", e
    for e in [e for s in x["plan"] for e in s["inside"]] + x["stored"]:
        assert e["because"], e
    for s in x["plan"]:
        assert s["runs"] or s["in_the_pass_of"], s
    assert len(x["plan"]) == len(x["stages"]), x["pattern"]


def check_cost(x):
    cost = x["cost"]
    assert cost["promised"] and cost["derived"], cost
    assert cost["grows_faster_with"] is None, (x["pattern"], cost)


def main():
    files = sorted(p for p in (SOURCE / "patterns").rglob("*.attn") if p.parent.name != "std")
    if os.environ.get("ATTN_SANITIZE"):
        files = files[::6]
    number = 0
    for path in files:
        for name in re.findall(r"^(\w+)\(", run("list", path), re.M):
            x = json.loads(run("explain", path, "-p", name, "--json"))
            check_subscripts(x)
            check_equations(x)
            check_cost(x)
            text = run("explain", path, "-p", name)
            for title in ("stage 1,", "kept between stages", "subscripts, proved to be in range", "cost derived: "):
                assert title in text, (path, title)
            assert max(map(len, text.split("\n"))) <= 220, path
            number += 1
    assert number >= (10 if os.environ.get("ATTN_SANITIZE") else 90), number
    print(number, "patterns")


if __name__ == "__main__":
    main()
