from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from searches import Died, Formula, Search, Stop
from studies import load, ten_x_and_rate, tiny_document

from search.driver.ending import HOPELESS_TRIALS
from search.driver.progress import SilentProgress
from search.driver.proposing import WarmCandidate
from search.errors import StorageError, StudyFailedError
from search.sampling.choice import Samplers
from search.scenario.outcome import EvaluationRequest, Outcome
from search.storage.study_store import StudyStore
from search.storage.trials import StoredTrial
from search.study.ranking import pareto_front
from search.study.space import canonical, constraints_hold, current_candidate
from search.workers import InlinePool
from search.workers.spool import Spool

SAMPLERS = ("random", "grid", "tpe", "cmaes", "nsga2")
NEVER = {"v": {"value": 1000.0, "tolerance": 0.0001}}


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Search]:
    numbers = itertools.count()

    def make(formula: Formula = ten_x_and_rate, **changes: Any) -> Search:
        return Search(tmp_path / str(next(numbers)), formula, tiny_document(**changes))

    return make


Make = Callable[..., Search]


# --- when it stops ----------------------------------------------------------------


def test_it_stops_at_the_first_batch_with_a_candidate_that_meets_all_targets(search: Make) -> None:
    study = search(
        targets={"v": {"tolerance": 0.3}}, search={"max_iterations": 100, "sampler": "tpe"}
    )
    end = study.run()
    assert end.is_converged and end.best is not None
    assert abs(end.best.metrics["v"] / 55 - 1) <= 0.3
    assert end.reason == f"trial {end.best.number} meets every target"
    assert end.iterations < 100 and end.trials == 1 + 4 * end.iterations
    met = [one.number for one in study.trials() if one.user_attrs.get("all_targets_met")]
    assert met and min(met) > 4 * (end.iterations - 1)


def order_of_batches(study: Search) -> list[tuple[str, int]]:
    kinds = {"iteration_proposed", "iteration_completed"}
    return [(kind[10], one["iteration"]) for kind, one in study.recorder.events if kind in kinds]


def test_a_batch_that_does_not_follow_from_the_last_one_is_proposed_meanwhile(search: Make) -> None:
    study = search(search={"max_iterations": 3, "sampler": "random"})
    end = study.run()
    assert (end.iterations, end.trials) == (3, 13)
    ahead = [("c", 0), ("p", 1), ("p", 2), ("c", 1), ("p", 3), ("c", 2), ("c", 3)]
    assert order_of_batches(study) == ahead
    waits = search(search={"max_iterations": 2, "sampler": "tpe"})
    waits.run()
    assert order_of_batches(waits) == [("c", 0), ("p", 1), ("c", 1), ("p", 2), ("c", 2)]


def test_what_was_proposed_ahead_is_finished_when_a_target_is_met(search: Make) -> None:
    study = search(targets={"v": {"tolerance": 0.3}}, search={"max_iterations": 100})
    end = study.run()
    assert end.is_converged and end.iterations == 2 and end.trials == 9
    assert all(one.state.is_finished() for one in study.trials())


def test_outcomes_that_come_together_are_stored_together(
    search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = search(targets=NEVER, search={"max_iterations": 3, "sampler": "tpe"})
    alone.run()
    study = search(targets=NEVER, search={"max_iterations": 3, "sampler": "tpe"})
    stored: list[list[int]] = []

    class Counts(StudyStore):
        def finish_all(self, conclusions: Mapping[int, Any]) -> None:
            stored.append(sorted(conclusions))
            super().finish_all(conclusions)

    study.store_class = Counts
    monkeypatch.setattr(InlinePool, "ready_outcome", InlinePool.next_outcome)
    study.run()
    assert stored == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert story(study) == story(alone)


def test_asking_ahead_stays_inside_the_limits(search: Make) -> None:
    far = {"v": {"value": 1000.0}}
    end = search(targets=far, search={"max_trials": 7, "sampler": "random"}).run()
    assert (end.trials, end.reason) == (7, "max_trials (7) reached")
    end = search(targets=far, search={"sampler": "random"}).run(max_new_iterations=1)
    assert (end.iterations, end.reason) == (1, "the iterations asked for (1) are done")


def test_the_answer_is_told_the_moment_it_is_known(
    search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(SilentProgress, "note", lambda _, line: told.append(line))
    end = search(search={"sampler": "auto", "polish": 4, "max_iterations": 20}).run()
    (first,) = [line for line in told if line.startswith("every target is met by trial")]
    assert "x " in first and "rate " in first and "(v 5" in first
    assert told.index(first) < told.index("looking for what is preferred")
    assert end.best is not None
    last = [line for line in told if " is preferred: " in line or line == first][-1]
    assert f"trial {end.best.number}" in last


def test_current_parameters_that_meet_the_targets_need_no_search(search: Make) -> None:
    end = search(targets={"v": {"value": 11.0}}).run()
    assert end.is_converged and end.iterations == 0 and end.trials == 1


@pytest.mark.parametrize(
    ("limits", "trials", "iterations", "reason"),
    [
        ({"max_iterations": 3}, 13, 3, "max_iterations (3) reached"),
        ({"max_iterations": 9, "max_trials": 7}, 7, 2, "max_trials (7) reached"),
        ({"max_trials": 1}, 1, 0, "max_trials (1) reached"),
    ],
)
def test_it_keeps_to_its_limits(
    search: Make, limits: Any, trials: int, iterations: int, reason: str
) -> None:
    study = search(targets=NEVER, search=limits)
    end = study.run()
    assert not end.is_converged
    assert (end.trials, end.iterations, end.reason) == (trials, iterations, reason)
    assert len(study.trials()) == len(study.evaluated()) == trials


def test_a_run_adds_as_many_iterations_as_it_is_told_and_the_next_goes_on(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 3})
    first = study.run(max_new_iterations=1)
    assert (first.iterations, first.reason) == (1, "the iterations asked for (1) are done")
    assert study.run(max_new_iterations=1).iterations == 2
    assert study.run(max_new_iterations=5).reason == "max_iterations (3) reached"


def test_it_stops_when_its_time_is_up(search: Make) -> None:
    ticks = itertools.count(0, 10)
    study = search(targets=NEVER, search={"timeout": "5m", "max_iterations": 1000})
    end = study.run(clock=lambda: float(next(ticks)))
    assert end.reason == "timeout (300 s) reached"
    assert 1 < end.trials < 200


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_it_ends_when_no_candidate_is_left(search: Make, sampler: str) -> None:
    parameters = {
        "x": {"low": 0.0, "high": 2.0, "step": 0.5, "current": 1.0},
        "rate": {"low": None, "high": None, "choices": [1.0, 2.0], "current": 1.0},
    }
    study = search(
        targets=NEVER,
        parameters=parameters,
        constraints=["x <= 1"],
        search={"sampler": sampler, "max_iterations": 50, "batch_size": 4},
    )
    end = study.run()
    assert end.reason == "every candidate that the constraints allow was evaluated"
    assert end.trials == len(set(study.candidates())) == 6


# --- what it proposes -------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_repeats_a_candidate_or_breaks_a_constraint(search: Make, sampler: str) -> None:
    study = search(
        targets=NEVER,
        constraints=["x + rate <= 9", "x >= 0.5"],
        parameters={"rate": {"step": 1.0}},
        search={"sampler": sampler, "max_iterations": 4, "batch_size": 5},
    )
    end = study.run()
    trials = study.trials()
    assert end.trials == len(trials) == 21 and end.iterations == 4
    assert len(set(study.candidates())) == 21
    assert all(constraints_hold(study.spec, one.params) for one in trials)
    assert all(one.params["x"] % 0.5 == 0 for one in trials)
    assert canonical(study.spec, trials[0].params) == current_candidate(study.spec)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_study(search: Make, sampler: str) -> None:
    def run(seed: int) -> tuple[list[str], list[Any]]:
        study = search(
            targets=NEVER, search={"sampler": sampler, "seed": seed, "max_iterations": 3}
        )
        study.run()
        return study.candidates(), [one.values for one in study.trials()]

    first = run(7)
    assert run(7) == first
    if sampler == "random":
        assert run(8)[0] != first[0]


def test_a_relative_target_refers_to_the_current_parameters(search: Make) -> None:
    targets = {"v": {"value": None, "change": 4.0, "tolerance": 0.2}}
    study = search(targets=targets, search={"max_iterations": 50})
    end = study.run()
    assert end.goals[0].value == pytest.approx(55.0)
    assert end.is_converged and end.best is not None
    assert end.best.metrics["v"] == pytest.approx(55.0, rel=0.2)
    assert study.trials()[0].user_attrs["variance:v"] == pytest.approx(11 / 55 - 1)


def test_an_objective_uses_all_iterations_and_the_best_that_meets_the_rest_wins(
    search: Make,
) -> None:
    def formula(x: float, rate: float) -> dict[str, float]:
        return {"v": 10 * x + rate, "cost": x * rate}

    study = search(
        formula,
        metrics={"cost": {"sql": "select 1"}},
        targets={"v": {"value": None, "at_least": 20.0}, "cost": {"minimize": True}},
        search={"max_iterations": 5},
    )
    end = study.run()
    assert end.iterations == 5 and end.best is not None
    good = [formula(**one.params) for one in study.trials()]
    assert end.best.metrics["cost"] == min(one["cost"] for one in good if one["v"] >= 20)
    assert end.is_converged


def test_replications_are_averaged(search: Make) -> None:
    def formula(x: float, rate: float, seed: int) -> dict[str, float]:
        return {"v": 10 * x + rate + seed}

    study = search(
        formula,
        scenario={"replications": {"var": "seed", "values": [1, 2, 6]}},
        targets=NEVER,
        search={"max_iterations": 1},
    )
    end = study.run()
    assert end.current is not None and end.current.metrics == {"v": 14.0}
    assert [seed for seed, _ in end.current.evaluations] == [1, 2, 6]
    assert len(study.evaluated()) == 3 * end.trials


def test_a_quantile_of_the_replications_may_count(search: Make) -> None:
    def formula(x: float, rate: float, seed: int) -> dict[str, float]:
        return {"v": 10 * x + rate + seed}

    replications = {"var": "seed", "values": [1, 2, 6], "statistic": "p75"}
    study = search(
        formula,
        scenario={"replications": replications},
        targets=NEVER,
        search={"max_iterations": 1},
    )
    end = study.run()
    assert end.current is not None and end.current.metrics == {"v": 15.0}


def test_what_cannot_be_reached_is_recognised_early_and_explained(search: Make) -> None:
    study = search(
        targets={"v": {"value": 500.0, "tolerance": 0.01}},
        search={"sampler": "target", "max_iterations": 30},
    )
    end = study.run()
    assert end.state == "unreachable" and not end.is_converged
    assert end.iterations <= 10 and "cannot all be met" in end.reason
    assert end.diagnosis is not None and end.diagnosis.out_of_range == ("v",)
    assert end.diagnosis.ranges[0].alone[1] == pytest.approx(110.0, rel=0.01)


def test_an_unreachable_study_goes_on_when_told_so(search: Make) -> None:
    study = search(
        targets={"v": {"value": 500.0, "tolerance": 0.01}},
        search={"sampler": "target", "max_iterations": 8, "early_stop": False},
    )
    end = study.run()
    assert end.iterations == 8 and end.reason == "max_iterations (8) reached"
    assert end.diagnosis is not None and end.diagnosis.out_of_range == ("v",)


def test_candidates_of_earlier_studies_come_first(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 2})
    seen: list[float | None] = []

    def warm_start(goals: Any) -> list[WarmCandidate]:
        seen.extend(goal.value for goal in goals)
        chosen = ((1.0, 1.0), (7.0, 2.0), (8.0, 3.0))
        return [WarmCandidate({"x": x, "rate": r}, f"from {x}") for x, r in chosen]

    end = study.run(warm_start=warm_start)
    assert seen == [1000.0]
    trials = study.trials()
    # The current parameters, two of the three earlier ones (the other is current), one batch.
    assert [one.user_attrs["iteration"] for one in trials] == [0, 1, 1, 2, 2, 2, 2]
    assert [one.params["x"] for one in trials[1:3]] == [7.0, 8.0]
    assert trials[1].user_attrs["lineage"] == "from 7.0"
    assert end.iterations == 2
    again = study.run(warm_start=warm_start)
    assert again.trials == end.trials


def test_several_objectives_give_a_front_of_trials_that_meet_the_targets(search: Make) -> None:
    def formula(x: float, rate: float) -> dict[str, float]:
        return {"v": 10 * x + rate, "cost": x * rate, "growth": rate}

    study = search(
        formula,
        metrics={"cost": {"sql": "select 1"}, "growth": {"sql": "select 1"}},
        targets={
            "v": {"value": None, "tolerance": None, "at_least": 20.0},
            "cost": {"minimize": True},
            "growth": {"maximize": True},
        },
        search={"sampler": "nsga2", "max_iterations": 6},
    )
    end = study.run()
    trials = {one.number: one for one in study.trials()}
    assert all(len(one.values) == 2 for one in trials.values())
    front = pareto_front(end.goals, {one.number: one.metrics for one in end.complete})
    assert front
    for number in front:
        metrics = formula(**trials[number].params)
        assert metrics["v"] >= 20.0
        assert trials[number].user_attrs["loss"] < 1
        beaten_by = [
            other
            for other in map(lambda one: formula(**one.params), trials.values())
            if other["v"] >= 20.0
            and other["cost"] <= metrics["cost"]
            and other["growth"] >= metrics["growth"]
            and other != metrics
        ]
        assert not beaten_by
    missed = [t for t in trials.values() if formula(**t.params)["v"] < 20.0]
    assert missed and all(one.system_attrs["constraints:v"] > 0 for one in missed)


def test_the_preflight_is_the_trial_of_the_current_parameters(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 1})
    request = EvaluationRequest(trial=0, values=current_candidate(study.spec))
    end = study.run(Outcome(request=request, metrics={"v": 11.0}))
    assert study.evaluated() == [1, 2, 3, 4]
    assert end.current is not None and end.current.metrics == {"v": 11.0}


# --- failures ---------------------------------------------------------------------


def test_a_failed_trial_is_recorded_and_the_search_goes_on(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 8})
    end = study.run()
    failed = [one for one in study.trials() if one.state == TrialState.FAIL]
    assert failed and all(one.params["x"] > 8 for one in failed)
    assert end.failed_trials == len(failed) and end.trials == 33
    failure = failed[0].user_attrs["outcome"]["failure"]
    assert (failure["stage"], failure["step"]) == ("step", "steps[0]")
    assert failure["model"] == "model.tiny.fct_result"
    assert failure["message"] == "x must be at most 8"


def test_when_everything_fails_it_says_so_early(search: Make) -> None:
    def formula(x: float, rate: float) -> dict[str, float]:
        return ten_x_and_rate(9.0, rate)

    study = search(formula, search={"max_iterations": 100})
    with pytest.raises(StudyFailedError, match="all 9 trials failed .*: x must be at most 8"):
        study.run()
    assert HOPELESS_TRIALS <= len(study.evaluated()) == 9


def test_a_relative_target_without_current_metrics_is_told(search: Make) -> None:
    study = search(
        parameters={"x": {"current": 9.0}}, targets={"v": {"value": None, "change": 0.1}}
    )
    with pytest.raises(StudyFailedError, match="current parameters"):
        study.run()


# --- going on ---------------------------------------------------------------------


ALL_SAMPLERS = [*SAMPLERS, "target"]


def story(study: Search) -> list[Any]:
    """Return all that a study found, without times."""
    return [
        (one.number, one.state.name, one.params, one.values, one.user_attrs["iteration"])
        for one in study.trials()
    ]


@pytest.mark.parametrize(
    ("at", "sampler"),
    [(1, "random"), (2, "random"), *((at, name) for name in ALL_SAMPLERS for at in (5, 8))],
)
def test_interrupted_anywhere_it_goes_on_as_if_nothing_had_been(
    search: Make, at: int, sampler: str
) -> None:
    settings = {"max_iterations": 3, "sampler": sampler, "early_stop": False}
    undisturbed = search(targets=NEVER, search=settings)
    undisturbed.run()
    study = search(Stop(at), targets=NEVER, search=settings)
    with pytest.raises(Died):
        study.run()
    finished = {one.number: one for one in study.trials() if one.state.is_finished()}
    assert len(finished) == at - 1
    end = study.run()
    after = {one.number: one for one in study.trials()}
    assert all(after[number] == trial for number, trial in finished.items())
    assert all(study.evaluated().count(number) == 1 for number in finished)
    assert end.iterations == 3 and end.trials == 13
    assert story(study) == story(undisturbed)


class DiesAsking(optuna.samplers.RandomSampler):
    """Ends the driver in the middle of a batch that is being asked for."""

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        if trial.number == 7:
            raise Died
        return super().sample_relative(study, trial, search_space)


def test_a_batch_is_stored_whole_or_not_at_all(
    search: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"max_iterations": 3, "sampler": "random"}
    undisturbed = search(targets=NEVER, search=settings)
    undisturbed.run()
    study = search(targets=NEVER, search=settings)
    monkeypatch.setattr(Samplers, "of_iteration", lambda *_, **__: DiesAsking(seed=1))
    with pytest.raises(Died):
        study.run()
    monkeypatch.undo()
    # The first batch was stored and evaluated; of the second, nothing is there.
    assert len(study.trials()) == 5
    first = [one.params for one in study.trials()]
    study.run()
    assert [one.params for one in study.trials()][:5] == first
    assert story(study)[5:] != [] and len(study.trials()) == 13
    assert not [one for one in study.trials() if not one.state.is_finished()]


def test_what_was_computed_and_not_told_is_replayed(search: Make) -> None:
    settings = {"max_iterations": 2, "sampler": "tpe"}
    undisturbed = search(targets=NEVER, search=settings)
    undisturbed.run()
    study = search(targets=NEVER, search=settings)
    spool = Spool(study.folder / "spool", "tiny")

    class DiesTelling(StudyStore):
        def finish_all(self, conclusions: Mapping[int, Any]) -> None:
            if 3 in conclusions:
                raise Died
            super().finish_all(conclusions)

    study.store_class = DiesTelling
    with pytest.raises(Died):
        study.run(spool=spool)
    study.store_class = StudyStore
    assert {path.suffix for path in spool.folder.iterdir()} == {".json"}
    study.run(spool=spool)
    assert story(study) == story(undisturbed)
    assert study.evaluated().count(3) == 1
    assert ("outcome_replayed", {"trial": 3, "replication": None}) in study.recorder.events
    assert not spool.folder.exists() or not list(spool.folder.iterdir())


def test_a_candidate_over_which_drivers_die_is_left_alone(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 2, "batch_size": 2})
    spool = Spool(study.folder / "spool", "tiny")
    poison: list[float] = []

    def formula(x: float, rate: float) -> dict[str, float]:
        poison.append(rate)
        if len(poison) > 1 and rate == poison[1]:
            raise Died
        return {"v": 10 * x + rate}

    study.formula = formula
    for _ in range(3):
        with pytest.raises(Died):
            study.run(spool=spool)
    end = study.run(spool=spool)
    assert poison.count(poison[1]) == 3
    assert end.iterations == 2
    left = [one for one in study.trials() if one.state != TrialState.COMPLETE]
    assert [StoredTrial(one).failure.stage for one in left] == ["driver"]
    message = left[0].user_attrs["outcome"]["failure"]["message"]
    assert message == "3 drivers died while they evaluated this candidate; it is left alone"


def test_a_study_that_is_deleted_while_it_runs_ends_with_a_sentence(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 3})
    url = f"sqlite:///{study.folder / 'study.db'}"

    def formula(x: float, rate: float) -> dict[str, float]:
        if len(study.evaluated()) == 7:
            optuna.delete_study(study_name="tiny", storage=url)
        return ten_x_and_rate(x, rate)

    study.formula = formula
    with pytest.raises(StorageError, match="was deleted by another program"):
        study.run()
    study.formula = ten_x_and_rate
    assert study.run().trials == 13


def test_a_finished_study_asked_again_evaluates_nothing(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 2})
    first = study.run()
    before = study.evaluated()
    again = study.run()
    assert study.evaluated() == before
    assert (again.trials, again.iterations, again.best) == (first.trials, 2, first.best)


def test_a_finished_study_goes_on_with_more_iterations(search: Make) -> None:
    undisturbed = search(targets=NEVER, search={"max_iterations": 4})
    undisturbed.run()
    study = search(targets=NEVER, search={"max_iterations": 2})
    study.run()
    study.spec = load(study.folder, tiny_document(targets=NEVER, search={"max_iterations": 4}))
    study.run()
    assert study.candidates() == undisturbed.candidates()


def test_events_tell_the_story_in_order(search: Make) -> None:
    study = search(targets=NEVER, search={"max_iterations": 1, "batch_size": 2})
    study.run()
    assert [kind for kind, _ in study.recorder.events] == [
        "trial_dispatched",
        "trial_finished",
        "iteration_completed",
        "iteration_proposed",
        *["trial_dispatched"] * 2,
        *["trial_finished"] * 2,
        "iteration_completed",
    ]
    assert study.recorder.published == 1
