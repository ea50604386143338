"""A second recording, made by a process of its own while this one makes the first."""

from __future__ import annotations

import threading
from typing import Self

from search.errors import SearchError
from search.scenario.compiled.recording import Recording, RecordingEvaluator
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.system.child import Report, run_in_child


class RecordingAhead:
    """Records one request elsewhere. A context manager; leaving it early ends the process.

    dbt cannot run twice in one process at the same time, so another one is needed.

    Args:
        factory: Makes the reference evaluator.
        request: What to record.
    """

    def __init__(self, factory: DbtEvaluatorFactory, request: EvaluationRequest) -> None:
        self.request = request
        self._factory = factory
        self._stop = threading.Event()
        self._recording: Recording | None = None
        self._error: SearchError | None = None
        self._thread = threading.Thread(target=self._record, name="recording ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def result(self) -> Recording:
        """Wait for the recording.

        Raises:
            SearchError: If the scenario fails at these values.
        """
        while self._thread.is_alive():
            self._thread.join(0.5)  # in slices, so that an interrupt arrives
        if self._error is not None:
            raise self._error
        assert self._recording is not None
        return self._recording

    def _record(self) -> None:
        try:
            self._recording = run_in_child(
                record_once, self._factory, self.request, report=lambda _: None, stop=self._stop
            )
        except SearchError as error:
            self._error = error


def record_once(
    factory: DbtEvaluatorFactory, request: EvaluationRequest, *, report: Report
) -> Recording:
    """Record one request in this process.

    Raises:
        SearchError: If the scenario fails at these values.
    """
    recorder = RecordingEvaluator(factory)
    recorder.open()
    try:
        return recorder.record(request)
    finally:
        recorder.close()
