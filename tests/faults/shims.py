"""Libraries that stand between a program and the kernel, compiled when a C compiler is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def compiled(source: str, folder: Path, name: str) -> Path:
    """Compile a library for ``LD_PRELOAD`` and return it; skip where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(f"a C compiler must be there for {name}, but is not")
    file, library = folder / f"{name}.c", folder / f"{name}.so"
    file.write_text(source)
    words = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(file), "-ldl"]
    subprocess.run(words, check=True)
    return library
