"""A study in the storage: what a trial carries, how it ends, and what a dead driver leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search.errors import StorageError
from search.sampling.feasible import SpaceExhaustedError
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.storage.attributes import Conclusion, Proposal
from search.storage.database import GroupingStorage, open_storage
from search.storage.study_store import StudyStore
from search.storage.trials import StoredTrial
from search.storage.versions import StudyVersion, latest_version, next_version, versions

SPACE = {
    "rate": optuna.distributions.FloatDistribution(0.0, 1.0),
    "age": optuna.distributions.IntDistribution(1, 9),
    "timing": optuna.distributions.CategoricalDistribution(["january", "anniversary"]),
}
VALUES = {"rate": 0.1 + 0.2, "age": 3, "timing": "anniversary"}


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GroupingStorage]:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")()
    opened = open_storage(url)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def store(storage: GroupingStorage) -> StudyStore:
    return StudyStore.create_or_load(storage, "pay")


def outcome(
    trial: int, *, seed: int = 1, attempt: int = 1, failure: Failure | None = None
) -> Outcome:
    return Outcome(
        request=EvaluationRequest(trial=trial, values=VALUES, replication=seed, attempt=attempt),
        metrics={} if failure else {"cost": 50.0 + seed},
        failure=failure,
        started_at=1_000_000.0 + seed,
        seconds=2.0,
        stage_seconds={"bind": 0.5, "step": 1.5},
        peak_memory_bytes=100 * seed,
        worker=f"host:{seed}",
        engine="compiled",
        isolation="overlay",
    )


def test_everything_to_repeat_a_trial_is_there_before_dispatch(store: StudyStore) -> None:
    proposal = Proposal(VALUES, iteration=2, replications=(1, 2), details={"run_id": "r1"})
    (number,) = store.start([proposal], SPACE)
    (trial,) = StudyStore.load(open_storage(store._storage.url), "pay").trials()
    assert trial.number == number
    assert trial.state == TrialState.RUNNING
    assert trial.params == VALUES
    assert trial.user_attrs["candidate"] == VALUES
    assert trial.user_attrs["iteration"] == 2
    assert trial.user_attrs["lineage"] == "proposed"
    assert trial.user_attrs["replications"] == [1, 2]
    assert trial.user_attrs["run_id"] == "r1"
    assert trial.user_attrs["dispatched_at"].endswith("+00:00")


def test_a_batch_is_numbered_in_order_across_studies(storage: GroupingStorage) -> None:
    first, second = (StudyStore.create_or_load(storage, name) for name in ("one", "two"))
    for store in (first, second):
        assert store.start([Proposal(VALUES, 1)] * 3, SPACE) == [0, 1, 2]
    assert first.start([Proposal(VALUES, 2)] * 2, SPACE) == [3, 4]
    assert first.start([], SPACE) == []


def test_a_complete_trial_carries_its_outcome(store: StudyStore) -> None:
    (number,) = store.start([Proposal(VALUES, 1)], SPACE)
    conclusion = Conclusion(
        outcomes=[outcome(number, seed=1), outcome(number, seed=2, attempt=2)],
        values=[0.25],
        metrics={"cost": 51.5},
        variances={"cost": 0.03},
        is_all_targets_met=False,
    )
    store.finish(number, conclusion)
    (trial,) = store.finished()
    assert trial.state == TrialState.COMPLETE
    assert trial.value == 0.25
    assert trial.user_attrs["metric:cost"] == 51.5
    assert trial.user_attrs["variance:cost"] == 0.03
    assert trial.user_attrs["all_targets_met"] is False
    stored = trial.user_attrs["outcome"]
    assert stored["state"] == "complete"
    assert stored["attempts"] == 2
    assert stored["seconds"] == 4.0
    assert stored["stage_seconds"] == {"bind": 1.0, "step": 3.0}
    assert stored["peak_memory_bytes"] == 200
    assert stored["engine"] == "compiled"
    assert [one["replication"] for one in stored["evaluations"]] == [1, 2]


def test_a_failed_trial_says_why(store: StudyStore) -> None:
    failure = Failure("step", "division by zero", step="steps[0]", model="fct_pay")
    (number,) = store.start([Proposal(VALUES, 1)], SPACE)
    store.finish(number, Conclusion(outcomes=[outcome(number, failure=failure)], failure=failure))
    (trial,) = store.finished()
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["outcome"]["failure"]["model"] == "fct_pay"


def test_a_trial_ends_once(store: StudyStore) -> None:
    (number,) = store.start([Proposal(VALUES, 1)], SPACE)
    store.finish(number, Conclusion(outcomes=[], values=[1.0]))
    with pytest.raises(StorageError, match="must be running"):
        store.finish(number, Conclusion(outcomes=[], values=[2.0]))
    assert store.finished()[0].value == 1.0


def test_trials_end_together_or_not_at_all(store: StudyStore) -> None:
    first, second, third = store.start([Proposal(VALUES, 1)] * 3, SPACE)
    store.finish_all({second: Conclusion([], values=[2.0]), first: Conclusion([], values=[1.0])})
    assert [one.value for one in store.finished()] == [1.0, 2.0]
    with pytest.raises(StorageError, match="must be running"):
        store.finish_all({third: Conclusion([], values=[3.0]), first: Conclusion([], values=[9.0])})
    assert [one.value for one in store.finished()] == [1.0, 2.0]
    store.finish(third, Conclusion([], values=[3.0]))
    assert [one.value for one in store.finished()] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("sampler", [optuna.samplers.TPESampler, optuna.samplers.NSGAIISampler])
def test_any_sampler_can_propose(storage: GroupingStorage, sampler: type) -> None:
    store = StudyStore.create_or_load(storage, "two", directions=("minimize", "maximize"))
    made = sampler(seed=1)
    for _ in range(12):
        asked = store.ask_all(1, SPACE, lambda params: Proposal(dict(params), 1), lambda: made)
        ((number, proposal),) = asked.items()
        store.finish(
            number, Conclusion(outcomes=[], values=[proposal.values["rate"], float(number)])
        )
    assert [trial.state for trial in store.finished()] == [TrialState.COMPLETE] * 12
    assert all(trial.user_attrs["candidate"] == trial.params for trial in store.finished())


@pytest.mark.parametrize(
    "sampler",
    [
        lambda: optuna.samplers.NSGAIISampler(seed=1, population_size=4),
        lambda: optuna.samplers.GridSampler({"rate": [0.1, 0.5, 0.9], "age": [1, 2, 3, 4]}, seed=1),
        lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=4, multivariate=True),
    ],
)
def test_what_is_in_memory_is_what_is_stored(storage: GroupingStorage, sampler: Any) -> None:
    space = {name: SPACE[name] for name in ("rate", "age")}
    store = StudyStore.create_or_load(storage, "pay", directions=("minimize",))
    for _ in range(3):
        asked = store.ask_all(3, space, lambda params: Proposal(dict(params), 1), sampler)
        for number, proposal in asked.items():
            score = float(proposal.values["rate"]) - 0.1 * int(proposal.values["age"])
            failure = Failure("step", "no") if number == 4 else None
            store.finish(
                number,
                Conclusion(
                    outcomes=[outcome(number, failure=failure)],
                    values=[score],
                    failure=failure,
                    constraints={"cost": -score},
                ),
            )
    again = StudyStore.load(storage, "pay")
    for mine, stored in zip(store.trials(), again.trials(), strict=True):
        for field in ("number", "state", "params", "distributions", "values", "user_attrs"):
            assert getattr(mine, field) == getattr(stored, field)
        assert mine.system_attrs == stored.system_attrs
        assert (mine.datetime_start, mine.datetime_complete) == (
            stored.datetime_start,
            stored.datetime_complete,
        )
    noted = [
        one.study._storage.get_study_system_attrs(one.study._study_id) for one in (store, again)
    ]
    assert noted[0] == noted[1]


def test_another_program_that_puts_trials_there_is_told(
    storage: GroupingStorage, store: StudyStore
) -> None:
    store.start([Proposal(VALUES, 1)], SPACE)
    optuna.load_study(study_name="pay", storage=storage).ask(SPACE)
    describe = lambda params: Proposal(dict(params), 1)  # noqa: E731
    with pytest.raises(StorageError, match="another one did; start again"):
        store.ask_all(2, SPACE, describe, optuna.samplers.RandomSampler)
    assert [trial.number for trial in store.trials()] == [0, 1]
    # Now it knows of that trial.
    assert sorted(store.ask_all(2, SPACE, describe, optuna.samplers.RandomSampler)) == [2, 3]
    optuna.load_study(study_name="pay", storage=storage).ask(SPACE)
    assert store.start([Proposal(VALUES, 1)], SPACE) == [5]
    assert [trial.number for trial in store.trials()] == list(range(6))


def test_a_proposal_that_cannot_be_described_leaves_no_trial(store: StudyStore) -> None:
    def refuse(_: object) -> Proposal:
        raise ValueError("violates a constraint")

    with pytest.raises(ValueError, match="violates"):
        store.ask_all(1, SPACE, refuse, optuna.samplers.RandomSampler)
    assert StudyStore.load(store._storage, "pay").trials() == []


def test_a_dead_drivers_trials_run_again_under_their_numbers(storage: GroupingStorage) -> None:
    dead = StudyStore.create_or_load(storage, "pay")
    dead.start([Proposal(VALUES, 3, replications=(7,))] * 3, SPACE)
    dead.finish(0, Conclusion(outcomes=[], values=[1.0]))

    heir = StudyStore.create_or_load(storage, "pay")
    first, second = heir.take_up(begun={1})
    assert (first.trial, first.deaths, second.trial, second.deaths) == (1, 1, 2, 0)
    assert first.proposal == Proposal(VALUES, 3, replications=(7,))
    # A driver that dies before it does anything with them loses none.
    again = StudyStore.create_or_load(storage, "pay")
    assert [(one.trial, one.deaths) for one in again.take_up()] == [(1, 2), (2, 1)]
    again.finish(2, Conclusion(outcomes=[], values=[2.0]))
    assert [trial.state for trial in again.trials()] == [
        TrialState.COMPLETE, TrialState.RUNNING, TrialState.COMPLETE,
    ]  # fmt: skip


def test_what_is_set_aside_waits_and_is_no_death(storage: GroupingStorage) -> None:
    store = StudyStore.create_or_load(storage, "pay")
    store.start([Proposal(VALUES, 1)], SPACE)
    store.set_aside()
    assert [trial.state for trial in store.trials()] == [TrialState.WAITING]
    heir = StudyStore.create_or_load(storage, "pay")
    (waiting,) = heir.take_up()
    assert (waiting.trial, waiting.deaths) == (0, 0)
    assert [trial.state for trial in heir.trials()] == [TrialState.RUNNING]


def test_a_trial_that_nobody_can_repeat_is_failed(storage: GroupingStorage) -> None:
    store = StudyStore.create_or_load(storage, "pay")
    optuna.load_study(study_name="pay", storage=storage).ask(SPACE)
    assert StudyStore.create_or_load(storage, "pay").take_up() == []
    assert [trial.state for trial in store.trials()] == [TrialState.FAIL]


def test_an_exhausted_sampler_leaves_what_it_found_and_nothing_else(store: StudyStore) -> None:
    class Two(optuna.samplers.RandomSampler):
        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            if trial.number >= 2:
                raise SpaceExhaustedError
            return super().sample_relative(study, trial, search_space)

    asked = store.ask_all(5, SPACE, lambda params: Proposal(dict(params), 1), lambda: Two(seed=1))
    assert sorted(asked) == [0, 1]
    assert [trial.number for trial in store.trials()] == [0, 1]
    for number in asked:
        store.finish(number, Conclusion(outcomes=[], values=[1.0]))
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 2


def test_an_interrupted_batch_leaves_nothing_to_set_aside(store: StudyStore) -> None:
    class Interrupted(optuna.samplers.RandomSampler):
        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            if trial.number == 2:
                raise KeyboardInterrupt
            return super().sample_relative(study, trial, search_space)

    (kept,) = store.ask_all(
        1, SPACE, lambda params: Proposal(dict(params), 1), optuna.samplers.RandomSampler
    )
    with pytest.raises(KeyboardInterrupt):
        store.ask_all(3, SPACE, lambda params: Proposal(dict(params), 1), Interrupted)
    assert [trial.number for trial in store.trials()] == [kept]
    store.set_aside()
    assert [trial.state for trial in store.trials()] == [TrialState.WAITING]


def test_study_attributes_are_written_at_once(store: StudyStore) -> None:
    store.set_attributes({"spec": {"a": [1]}, "engine": "dbt"})
    store.set_attributes({"engine": "compiled"})
    assert store.attributes() | {"base_name": "pay"} == {
        "base_name": "pay",
        "spec": {"a": [1]},
        "engine": "compiled",
    }


def test_other_directions_are_refused(storage: GroupingStorage, store: StudyStore) -> None:
    with pytest.raises(StorageError, match="another study name"):
        StudyStore.create_or_load(storage, "pay", directions=("minimize", "minimize"))


def test_a_missing_study_is_named(storage: GroupingStorage, store: StudyStore) -> None:
    with pytest.raises(StorageError, match=r"'bonus' must be in .* only \['pay'\]"):
        StudyStore.load(storage, "bonus")


def test_versions_follow_each_other(storage: GroupingStorage) -> None:
    assert latest_version(storage, "pay") is None
    for name in ("pay", "pay-v2", "pay-v3"):
        version = next_version(storage, "pay")
        assert version.name == name
        StudyStore.create_or_load(storage, version.name, base_name="pay")
    assert latest_version(storage, "pay") == StudyVersion("pay", 3)


def test_a_study_that_is_named_like_a_version_is_none(storage: GroupingStorage) -> None:
    StudyStore.create_or_load(storage, "pay")
    StudyStore.create_or_load(storage, "pay-v2")
    assert latest_version(storage, "pay") == StudyVersion("pay", 1)
    assert next_version(storage, "pay") == StudyVersion("pay", 3)
    assert versions(storage, "pay-v2") == [StudyVersion("pay-v2", 1)]


@pytest.mark.parametrize(
    ("lineage", "parent"),
    [("retry of trial 4", 4), ("resumption of trial 12", 12), ("proposed", None)],
)
def test_lineages_of_earlier_versions_name_their_parent(
    store: StudyStore, lineage: str, parent: int | None
) -> None:
    store.start([Proposal(VALUES, 1, lineage=lineage)], SPACE)
    assert StoredTrial(store.trials()[0]).parent == parent


def test_values_keep_every_digit(store: StudyStore) -> None:
    rate = math.nextafter(0.3, 1.0)
    store.start([Proposal({**VALUES, "rate": rate}, 1)], SPACE)
    assert (
        StudyStore.load(store._storage, "pay").trials()[0].user_attrs["candidate"]["rate"] == rate
    )
