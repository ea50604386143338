"""Outcomes that wait on disk until the driver has stored them."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.workers.spool import Spool, SpoolingEvaluator

VALUES = {"x": 0.1 + 0.2, "timing": "july", "is_on": True, "age": 3}
REQUEST = EvaluationRequest(trial=4, values=VALUES, replication=7)
OUTCOME = Outcome(
    request=REQUEST,
    metrics={"v": 1 / 3},
    started_at=1.5,
    seconds=2.5,
    stage_seconds={"steps[0]": 2.0},
    peak_memory_bytes=5,
    worker="host:1",
)


class Fixed:
    """Answers with what it is given, and counts."""

    def __init__(self, answer: Outcome) -> None:
        self.answer = answer
        self.calls = 0

    def open(self) -> None:
        """Nothing to prepare."""

    def evaluate(self, request: EvaluationRequest) -> Outcome:
        """Return the answer."""
        self.calls += 1
        return self.answer

    def close(self) -> None:
        """Nothing to release."""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", "study/scenario/engine")


def written(spool: Spool) -> Path:
    SpoolingEvaluator(Fixed(OUTCOME), spool).evaluate(REQUEST)
    (path,) = spool.folder.iterdir()
    return path


def test_an_outcome_is_read_back_exactly(spool: Spool) -> None:
    written(spool)
    assert pickle.loads(pickle.dumps(spool)).outcomes(4, VALUES) == {7: OUTCOME}
    assert spool.outcomes(4, VALUES | {"age": 4}) == {}
    assert spool.outcomes(5, VALUES) == {}
    assert Spool(spool.folder, "another study").outcomes(4, VALUES) == {}
    spool.forget(4)
    assert spool.outcomes(4, VALUES) == {}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content.replace(b"0.333", b"0.334"),
        lambda content: content[:50] + bytes([content[50] ^ 1]) + content[51:],
        lambda content: content.replace(b'"format_version": 1', b'"format_version": 2'),
    ],
)
def test_a_damaged_file_is_no_outcome(spool: Spool, damage: Callable[[bytes], bytes]) -> None:
    path = written(spool)
    changed = damage(path.read_bytes())
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    assert spool.outcomes(4, VALUES) == {}


@pytest.mark.parametrize(("is_retryable", "count"), [(True, 0), (False, 1)])
def test_a_failure_counts_when_no_attempt_could_mend_it(
    spool: Spool, is_retryable: bool, count: int
) -> None:
    failure = Failure("step", "no", is_retryable=is_retryable)
    failed = Outcome(request=REQUEST, failure=failure)
    SpoolingEvaluator(Fixed(failed), spool).evaluate(REQUEST)
    assert len(spool.outcomes(4, VALUES)) == count


def test_another_attempt_takes_what_a_dead_worker_had_written(spool: Spool) -> None:
    written(spool)
    inner = Fixed(OUTCOME)
    again = EvaluationRequest(trial=4, values=VALUES, replication=7, attempt=2)
    assert SpoolingEvaluator(inner, spool).evaluate(again) == OUTCOME
    assert inner.calls == 0
    other = EvaluationRequest(trial=4, values=VALUES, replication=8, attempt=2)
    SpoolingEvaluator(inner, spool).evaluate(other)
    assert inner.calls == 1


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from test_spool import OUTCOME, REQUEST, Fixed
from search.workers.spool import Spool, SpoolingEvaluator

class DiesBeforeItAnswers(SpoolingEvaluator):
    def evaluate(self, request):
        super().evaluate(request)
        os.kill(os.getpid(), signal.SIGKILL)

spool = Spool(Path({folder!r}), "study/scenario/engine")
DiesBeforeItAnswers(Fixed(OUTCOME), spool).evaluate(REQUEST)
"""


@pytest.mark.fault
def test_a_worker_killed_before_it_answers_has_not_worked_in_vain(spool: Spool) -> None:
    path = [str(Path(__file__).parent), *sys.path]
    code = KILLED.format(path=path, folder=str(spool.folder))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    inner = Fixed(OUTCOME)
    again = replace(REQUEST, attempt=2)
    assert SpoolingEvaluator(inner, spool).evaluate(again) == OUTCOME
    assert inner.calls == 0 and not list(spool.folder.glob(".tmp*"))


def test_what_a_process_died_of_is_known(spool: Spool) -> None:
    class Dies(Fixed):
        def evaluate(self, request: EvaluationRequest) -> Outcome:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SpoolingEvaluator(Dies(OUTCOME), spool).evaluate(REQUEST)
    assert spool.begun() == {4} and spool.outcomes(4, VALUES) == {}
    spool.keep([4])
    assert spool.begun() == {4}
    spool.keep([])
    assert not spool.folder.exists()


def test_a_spool_that_cannot_be_written_stands_in_nobodys_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    for folder, says in ((tmp_path / "none" / "spool", ""), (tmp_path / "file" / "s", "crash")):
        inner = Fixed(OUTCOME)
        assert SpoolingEvaluator(inner, Spool(folder, "k")).evaluate(REQUEST) == OUTCOME
        assert inner.calls == 1 and says in caplog.text
        assert Spool(folder, "k").begun() == set()
