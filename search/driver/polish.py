"""What is evaluated once every target is met: nearer to what is preferred, or in another way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial

from search.driver.standings import Standings
from search.sampling.target import TargetSampler
from search.storage.attributes import ALTERNATIVE, POLISHED, POLISHING
from search.storage.trials import read_trials
from search.study import StudySpec
from search.study.alternatives import MOST_ALTERNATIVES
from search.study.values import Scalar


class Polish:
    """Proposes the evaluations after the first hit, at most as many as the study file allows.

    What it proposes follows from the trials alone, so that an interrupted search goes on as it
    would have.

    Args:
        spec: The study.
        batch_size: Candidates of one iteration of the search.

    Attributes:
        used: Evaluations so far, those of earlier runs included.
    """

    def __init__(self, spec: StudySpec, batch_size: int) -> None:
        self._spec = spec
        # Half a batch: each learns from the one before, as the search itself does not need to.
        self._size = max(1, batch_size // 2)
        self.used = 0

    def note(self, lineage: str | None) -> None:
        """Count a trial of an earlier run, if it was one of these."""
        self.used += lineage in POLISHING

    def propose(
        self,
        standings: Standings,
        sampler: TargetSampler,
        finished: Sequence[FrozenTrial],
        *,
        room: int,
    ) -> tuple[str, list[Mapping[str, Scalar]]]:
        """Return what to evaluate next and its lineage; nothing when no more is to be gained.

        Args:
            standings: The leaderboard; every target is met.
            sampler: Models the metrics.
            finished: The study's trials.
            room: Evaluations that the study's other limits leave.
        """
        search = self._spec.search
        count = min(self._size, search.polish - self.used, room)
        if search.prefer == "none" or not standings.is_converged or count <= 0:
            return POLISHED, []
        preference = standings.preference
        lineage, nearer = POLISHED, sampler.nearer(finished, preference, count=count)
        if not nearer and not self._has_others(standings, finished):
            lineage, count = ALTERNATIVE, min(count, MOST_ALTERNATIVES)
            nearer = sampler.nearer(finished, preference, count=count, is_for_others=True)
        self.used += len(nearer)
        return lineage, list(nearer)

    def _has_others(self, standings: Standings, finished: Sequence[FrozenTrial]) -> bool:
        """Return whether other ways were looked for, or are known."""
        was_looked = any(trial.lineage == ALTERNATIVE for trial in read_trials(finished))
        return was_looked or len(standings.alternatives) > 1
