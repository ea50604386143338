"""SIGTERM and a closed terminal end a process of ours like Ctrl-C, once."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, time
from search.cli import main as cli
from search.errors import EXIT_INTERRUPTED

def work(standalone_mode):
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        # Impatience does not cut the end short.
        os.kill(os.getpid(), signal.SIGTERM), os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.2)
        print("saved", flush=True)

cli.main = work
cli.entry_point()
"""


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_interrupted_process_saves_and_says_so(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", calm(PROGRAM) if number == signal.SIGINT else PROGRAM],
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


@pytest.mark.fault
def test_a_process_that_ignores_the_closed_terminal_goes_on() -> None:
    program = calm(PROGRAM).replace("time.sleep(60)", "os.kill(os.getpid(), signal.SIGHUP)")
    done = subprocess.run(
        ["nohup", sys.executable, "-c", program],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "working\nsaved\n"), done.stderr


def calm(program: str) -> str:
    """The program without its second signal."""
    return "\n".join(line for line in program.splitlines() if "os.kill" not in line)
