"""What has been proposed already, whatever became of it."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.sampling.feasible import Candidate, ProposedKeys

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}


def trial(number: int, state: TrialState, x: float | None) -> FrozenTrial:
    made = create_trial(
        state=state,
        value=1.0 if state == TrialState.COMPLETE else None,
        params={} if x is None else {"x": x},
        distributions={} if x is None else SPACE,
    )
    made.number = number
    return made


class Counted:
    """A key that counts how often it was worked out."""

    calls = 0

    def __call__(self, candidate: Candidate) -> str:
        self.calls += 1
        return str(candidate["x"])


def test_each_key_is_worked_out_once_and_stays() -> None:
    keys, key = ProposedKeys(), Counted()
    trials = [
        trial(0, TrialState.COMPLETE, 0.1),
        trial(1, TrialState.FAIL, 0.2),
        trial(2, TrialState.RUNNING, 0.3),
        trial(3, TrialState.COMPLETE, 0.4),
        trial(4, TrialState.RUNNING, None),
    ]
    for _ in range(2):
        assert keys.update(trials, SPACE.keys(), key) == {"0.1", "0.2", "0.3", "0.4"}
    assert key.calls == 4
    trials[2] = trial(2, TrialState.FAIL, 0.3)
    trials[4] = trial(4, TrialState.RUNNING, 0.5)
    assert keys.update(trials, SPACE.keys(), key) == {"0.1", "0.2", "0.3", "0.4", "0.5"}
    assert key.calls == 5


def test_a_number_that_is_given_to_another_candidate_counts_for_that_one() -> None:
    keys, key = ProposedKeys(), Counted()
    kept = [trial(0, TrialState.COMPLETE, 0.1)]
    withdrawn = [*kept, trial(1, TrialState.RUNNING, 0.2)]
    assert keys.update(withdrawn, SPACE.keys(), key) == {"0.1", "0.2"}
    again = [*kept, trial(1, TrialState.RUNNING, 0.3)]
    assert keys.update(again, SPACE.keys(), key) == {"0.1", "0.3"}
    assert keys.update(kept, SPACE.keys(), key) == {"0.1"}


def test_trials_of_other_parameters_do_not_count() -> None:
    keys = ProposedKeys()
    other = create_trial(value=1.0, params={"y": 0.5}, distributions={"y": SPACE["x"]})
    assert keys.update([other], SPACE.keys(), Counted()) == set()
