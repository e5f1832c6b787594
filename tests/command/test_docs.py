#!/usr/bin/env python3
"""The documents that are generated are up to date."""
import os
import pathlib
import subprocess

SCRIPTS = pathlib.Path(os.environ["ATTN_SOURCE"]) / "scripts"
for script in ("make-errors-doc", "make-c-api-doc"):
    subprocess.run([SCRIPTS / script, "--check"], check=True)
