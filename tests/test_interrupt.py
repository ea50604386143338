"""SIGTERM ends a process of ours like Ctrl-C, once."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, time
from search import cli
from search.errors import EXIT_INTERRUPTED

def work(standalone_mode):
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # impatience does not cut the end short
        time.sleep(0.2)
        print("saved", flush=True)

cli.main = work
cli.entry_point()
"""


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_process_saves_and_says_so(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM if number == signal.SIGTERM else calm(PROGRAM)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "working\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert out == "saved\n"
    assert "interrupted; the state is saved" in err and "Traceback" not in err


def calm(program: str) -> str:
    """The program without its second signal."""
    return "\n".join(line for line in program.splitlines() if "os.kill" not in line)
