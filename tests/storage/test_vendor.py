"""Canaries: Optuna's insides are what ``search.storage.vendor`` takes them for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial

from search.storage import vendor
from search.storage.database import open_storage

SPACE = {"x": FloatDistribution(0.0, 1.0)}


def test_ids_are_those_of_the_storage(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    optuna.create_study(storage=storage, study_name="first")
    study = optuna.create_study(storage=storage, study_name="second")
    assert vendor.storage_of(study).get_study_name_from_id(vendor.study_id_of(study)) == "second"
    other = optuna.load_study(study_name="first", storage=storage)
    other.ask(SPACE)
    study.ask(SPACE)
    (trial,) = study.trials
    assert (trial.number, storage.get_trial(vendor.trial_id_of(trial)).number) == (0, 0)
    assert storage.get_trial(vendor.trial_id_of(trial)).params == trial.params
    moved = vendor.numbered(trial, number=4, trial_id=9)
    assert (moved.number, vendor.trial_id_of(moved)) == (4, 9)
    assert (trial.number, vendor.trial_id_of(trial) == 9) == (0, False)
    storage.engine.dispose()


def test_a_running_trial_is_one_that_optuna_takes() -> None:
    study = optuna.create_study()
    made = vendor.running_trial({"x": 0.5}, SPACE, {"note": 1})
    vendor.storage_of(study).create_new_trial(vendor.study_id_of(study), template_trial=made)
    (trial,) = study.trials
    assert (trial.params, trial.user_attrs, trial.state.name) == (
        {"x": 0.5},
        {"note": 1},
        "RUNNING",
    )
    study.tell(trial.number, 0.25)
    assert study.best_value == 0.25


def test_constraints_are_where_optuna_puts_and_reads_them() -> None:
    """Optuna's own way and ours must end in the same attributes, and in feasibility."""
    study = optuna.create_study()
    trial = study.ask(SPACE)
    for name, margin in {"cost": -1.0, "growth": 0.5}.items():
        trial.set_constraint(name, margin)
    study.tell(trial, 1.0)
    (ended,) = study.trials
    ours = vendor.constraint_attributes({"cost": -1.0, "growth": 0.5})
    assert {key: ended.system_attrs[key] for key in ours} == ours
    assert sorted(vendor.constraints_of(ended)) == [-1.0, 0.5]
    with pytest.raises(ValueError, match="feasible"):
        _ = study.best_trial
    vendor.with_constraints(ended, [0.5])
    assert ended.system_attrs["constraints"] == [0.5]


class Marked(vendor.ShownTrials):
    """Hands out trials with a mark."""

    def as_shown(self, study_id: int, trials: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
        for trial in trials:
            shown = vendor.numbered(trial, number=trial.number, trial_id=vendor.trial_id_of(trial))
            shown.user_attrs = {"is": "marked"}
            yield shown


def test_every_reader_of_trials_goes_through_one_method(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    asked = optuna.create_study(storage=url, study_name="s")
    asked.tell(asked.ask(SPACE), 1.0)
    study = optuna.load_study(study_name="s", storage=Marked(url))
    assert [one.user_attrs for one in study.trials] == [{"is": "marked"}]
    assert study.best_trial.user_attrs == {"is": "marked"}
