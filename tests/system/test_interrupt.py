"""SIGTERM and a closed terminal end a process of ours like Ctrl-C; a second signal at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, time
from search.cli import main as cli
from search.errors import EXIT_INTERRUPTED

def work(words, standalone_mode):
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        # A terminal that closes sends several at once: they count as one.
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


STUCK = """
import os, signal, sys, time
from search.cli import main as cli
from search.system.scratch import create_scratch

def work(words, standalone_mode):
    create_scratch()
    while True:
        try:
            print("working", flush=True)
            time.sleep(60)
        except BaseException as error:  # as some libraries do
            print(type(error).__name__, flush=True)
            time.sleep(60)

cli.main = work
cli.entry_point()
"""


@pytest.mark.fault
@pytest.mark.parametrize("signals", [1, 2])
def test_a_process_that_swallows_the_interrupt_ends_all_the_same(
    signals: int, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "working\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "KeyboardInterrupt\n"
        if signals == 2:
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        seconds = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130 and "ended at once" in err
    assert (seconds < 3) == (signals == 2)
    assert list(tmp_path.iterdir()) == []


LEAVING = """
import atexit, gc, sys
import duckdb
from search.cli import main as cli

def work(words, standalone_mode):
    kept = [duckdb.connect()]
    kept.append(kept)
    gc.freeze()  # it is there to the end, as what dbt's modules keep
    atexit.register(print, "in order")
    print("a result")
    return 3

cli.main = work
cli.entry_point()
"""


def test_nothing_is_said_behind_a_result() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "a result\nin order\n", "")


TAKEN_DOWN = PROGRAM.replace(
    """        print("working", flush=True)
        time.sleep(60)
""",
    """        class Slow:
            def __del__(self):
                print("working", flush=True)
                time.sleep(2)

        Slow()
        interrupt.check()
        time.sleep(60)
""",
).replace("import os,", "from search.system import interrupt\nimport os,")


@pytest.mark.fault
def test_an_interrupt_while_an_object_is_taken_down_is_kept_and_prints_nothing() -> None:
    """Python ignores an exception there, and would print it with its traceback."""
    with subprocess.Popen(
        [sys.executable, "-c", TAKEN_DOWN],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "saved\n"), err
    assert "interrupted; the state is saved" in err and "Traceback" not in err


LIBRARY = """
import logging, os, signal, sys, time
from search.system.interrupt import end_in_order_on_signals

end_in_order_on_signals()
end_in_order_on_signals()
try:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except BaseException:
        logging.getLogger("sqlalchemy.pool").error("Exception closing connection", exc_info=True)
        raise
except KeyboardInterrupt:
    logging.getLogger("other").error("a true error")
    sys.exit(0)
"""


@pytest.mark.fault
def test_a_library_does_not_print_the_interrupt_as_an_error_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "a true error\n")
