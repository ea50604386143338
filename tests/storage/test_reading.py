"""What is read without Optuna is what Optuna reads."""

from __future__ import annotations

import math
import sqlite3
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages._rdb import models
from optuna.trial import TrialState, create_trial

from search.errors import StorageError
from search.storage import reading
from search.storage.database import GroupingStorage, open_storage
from search.storage.reading import read_study
from search.storage.trials import StoredTrial, Trial

SPACE: dict[str, BaseDistribution] = {
    "merit": FloatDistribution(0.0, 0.08, step=0.005),
    "log": FloatDistribution(1e-6, 1.0, log=True),
    "people": IntDistribution(1, 9, step=2),
    "timing": CategoricalDistribution(["january", "anniversary", True, 3]),
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'with # and % and é'}/study.db"


def fill(storage: GroupingStorage, name: str, values: list[float], state: TrialState) -> None:
    study = optuna.create_study(study_name=name, storage=storage, directions=["minimize"] * 2)
    study.set_user_attr("runs", {"r": [1, None, "é"]})
    study.set_user_attr("base_name", name.removesuffix("-v2"))
    for number, value in enumerate(values):
        study.add_trial(
            create_trial(
                state=state,
                values=[value, -value] if state == TrialState.COMPLETE else None,
                params={"merit": 0.005 * number, "log": 0.1, "people": 3, "timing": True},
                distributions=SPACE,
                user_attrs={"metric:cost": value, "candidate": {"merit": number}},
            )
        )
    study.enqueue_trial({"merit": 0.0})


def parts(trial: Trial) -> tuple[object, ...]:
    stored = StoredTrial(trial)
    ranges = {name: vars(stored.range_of(name)) for name in SPACE}
    said = (trial.number, trial.state.name, trial.values, dict(trial.params))
    when: tuple[datetime | None, ...] = (trial.datetime_start, trial.datetime_complete)
    return (*said, *when, dict(trial.user_attrs), stored.state, stored.is_finished, ranges)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    values=st.lists(
        st.floats(allow_nan=False) | st.sampled_from([math.inf, -math.inf]), max_size=3
    ),
    state=st.sampled_from([TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]),
)
def test_every_trial_is_as_optuna_has_it(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], state: TrialState
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('read')}/study.db"
    storage = open_storage(url)
    fill(storage, "pay", values, state)
    fill(storage, "pay-v2", values[:1], TrialState.COMPLETE)
    fill(storage, "other", values, TrialState.FAIL)
    plain = read_study(url, "pay")
    assert [one.version.name for one in plain] == ["pay", "pay-v2"]
    assert all(isinstance(trial, reading.PlainTrial) for one in plain for trial in one.trials)
    for one, known in zip(plain, reading._read_by_optuna(url, "pay", False), strict=True):
        assert (one.version, one.attributes) == (known.version, known.attributes)
        assert [parts(trial) for trial in one.trials] == [parts(trial) for trial in known.trials]
    assert [one.version for one in read_study(url, "pay", is_newest_only=True)] == [
        plain[-1].version
    ]
    storage.engine.dispose()


def test_nothing_is_made_where_nothing_is(url: str, tmp_path: Path) -> None:
    assert read_study(url, "pay") == [] and list(tmp_path.iterdir()) == []


def test_its_tables_are_those_of_the_optuna_that_is_installed(url: str) -> None:
    storage = open_storage(url)
    assert (models.SCHEMA_VERSION, storage.get_head_version()) == reading.TABLES_FORMAT
    storage.engine.dispose()


def test_the_writer_goes_on_meanwhile(url: str) -> None:
    storage = open_storage(url)
    fill(storage, "pay", [1.0], TrialState.COMPLETE)
    with storage.transaction():
        fill(storage, "pay-v2", [2.0], TrialState.COMPLETE)
        assert [one.version.version for one in read_study(url, "pay")] == [1]
    assert [one.version.version for one in read_study(url, "pay")] == [1, 2]
    storage.engine.dispose()


def test_other_tables_are_read_by_optuna(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(url)
    fill(storage, "pay", [1.0], TrialState.COMPLETE)
    monkeypatch.setattr(reading, "TABLES_FORMAT", (11, "of another time"))
    (study,) = read_study(url, "pay")
    assert isinstance(study.trials[0], optuna.trial.FrozenTrial)
    storage.engine.dispose()


def test_a_damaged_file_is_told_as_ever(url: str) -> None:
    file = Path(url.removeprefix("sqlite:///"))
    storage = open_storage(url)
    storage.engine.dispose()
    content = bytearray(file.read_bytes())
    content[4096 : 4096 * 3] = b"\xff" * 4096 * 2
    file.write_bytes(bytes(content))
    with pytest.raises(StorageError, match="damaged"):
        read_study(url, "pay")


def test_the_log_files_go_with_the_last_reader(url: str) -> None:
    file = Path(url.removeprefix("sqlite:///"))
    storage = open_storage(url)
    fill(storage, "pay", [1.0], TrialState.COMPLETE)
    storage.remove_session()
    storage.engine.dispose()
    read_study(url, "pay")
    assert [one.name for one in file.parent.iterdir()] == [file.name]
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
