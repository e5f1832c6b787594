"""Every pattern of the library has a comment, an example, a cost, and a test of its own beside this file."""
import pathlib
import re
import subprocess
import unittest

from attn import ROOT, main

HERE = pathlib.Path(__file__).parent


class Library(unittest.TestCase):
    def test_patterns(self):
        tests = "".join(p.read_text() for p in HERE.glob("test_*.py"))
        for path in sorted(pathlib.Path(ROOT, "patterns").glob("*/*.attn")):
            text = path.read_text() if path.parent.name != "std" else ""
            names = re.findall(r"^pattern (\w+)", text, re.M)
            for name, head in zip(names, re.split(r"^pattern \w+", text, flags=re.M)[1:]):
                with self.subTest(f"{path.parent.name}/{path.name}: {name}"):
                    head = head[:head.index("\n{")]
                    self.assertRegex(text, rf"(?m)^#.*\npattern {name}\b", "no comment")
                    self.assertRegex(head, r"\n    example ", "no example")
                    self.assertRegex(head, r"\n    cost ", "no cost")
                    self.assertIn(f'"{path.parent.name}/{path.stem}"', tests, "no test")
                    if len(names) > 1:
                        self.assertIn(f'"{name}"', tests, "no test")

    def test_document(self):
        subprocess.run([f"{ROOT}/scripts/make-library-doc", "--check"], check=True)


if __name__ == "__main__":
    main()
