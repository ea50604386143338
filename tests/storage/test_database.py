"""Opening a storage: what is refused and how, durability, and grouped transactions."""

from __future__ import annotations

import contextlib
import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from search.errors import StorageError
from search.storage.database import GroupingStorage, masked, open_storage

SPACE = {"rate": optuna.distributions.FloatDistribution(0.0, 1.0)}


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def storage(tmp_path: Path) -> GroupingStorage:
    return open_storage(url_of(tmp_path / "deep" / "study.db"))


def pragma(storage: GroupingStorage, name: str) -> object:
    with storage.engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_sqlite_is_durable_and_lets_readers_in(storage: GroupingStorage) -> None:
    assert pragma(storage, "journal_mode") == "wal"
    assert pragma(storage, "synchronous") == 2
    assert pragma(storage, "busy_timeout") == 90_000
    assert pragma(storage, "foreign_keys") == 1


def test_braces_in_a_path_are_no_template(tmp_path: Path) -> None:
    path = tmp_path / "a{b}" / "study.db"
    open_storage(url_of(path))
    assert path.exists()


def test_opening_twice_keeps_what_is_there(tmp_path: Path) -> None:
    url = url_of(tmp_path / "study.db")
    optuna.create_study(storage=open_storage(url), study_name="kept")
    assert optuna.get_all_study_names(open_storage(url)) == ["kept"]


READER = """
import pathlib, sys, time, optuna

print("reads", flush=True)
for path in map(pathlib.Path, sys.argv[1:]):
    while not path.exists():
        time.sleep(0.0005)
    optuna.get_all_study_names(optuna.storages.RDBStorage(f"sqlite:///{path}"))
"""


def test_whoever_sees_a_new_file_can_use_it(tmp_path: Path) -> None:
    files = [tmp_path / f"study [{number}].db" for number in range(8)]
    command = [sys.executable, "-c", READER, *map(str, files)]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reads\n"
    for file in files:
        open_storage(url_of(file)).engine.dispose()
    for reader in readers:
        _, errors = reader.communicate(timeout=60)
        assert reader.returncode == 0, errors
    assert not list(tmp_path.glob(".*"))


def test_a_dead_programs_draft_is_removed(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".study.db.dead.new", tmp_path / ".study.db.alive.new"
    for draft in (dead, alive):
        draft.write_bytes(b"half")
    os.utime(dead, (0, 0))
    open_storage(url_of(tmp_path / "study.db"))
    assert alive.exists()
    assert not dead.exists()


def test_without_links_optuna_makes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    storage = open_storage(url_of(tmp_path / "study.db"))
    assert optuna.get_all_study_names(storage) == []
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    storage = open_storage(url_of(tmp_path / "study.db"))
    optuna.create_study(storage=storage, study_name="silent")
    assert capfd.readouterr() == ("", "")


def corrupt(path: Path) -> None:
    storage = open_storage(url_of(path))
    study = optuna.create_study(storage=storage)
    with storage.transaction():
        for _ in range(30):
            study.tell(study.ask(SPACE), 1.0)
    storage.engine.dispose()
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    content = bytearray(path.read_bytes())
    content[8192:40000] = os.urandom(40000 - 8192)
    path.write_bytes(content)


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()


def stranger(path: Path) -> None:
    path.write_text("not a database at all")


def folder(path: Path) -> None:
    path.mkdir()


def under_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file where a folder must be")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (corrupt, "damaged"),
        (foreign, "something else (tables: invoices)"),
        (stranger, "not a SQLite database"),
        (folder, "it is a folder"),
        (under_a_file, "its folder cannot be created"),
    ],
)
def test_a_file_that_holds_no_study_is_refused_untouched(
    tmp_path: Path, make: object, says: str
) -> None:
    path = tmp_path / "inner" / "study.db"
    path.parent.mkdir()
    make(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StorageError) as caught:
        open_storage(url_of(path))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="not writable"):
            open_storage(url_of(tmp_path / "study.db"))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "not a database URL"),
        ("warehouse://host/db", "scheme 'warehouse' is unknown"),
        ("sqlite:///:memory:", "keeps nothing"),
        ("sqlite://", "keeps nothing"),
        ("mysql+oursql_x://u:p@h/x", "unknown"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, says: str) -> None:
    with pytest.raises(StorageError, match=says):
        open_storage(url)


def test_a_missing_driver_is_named_and_the_password_is_not() -> None:
    with pytest.raises(StorageError) as caught:
        open_storage("oracle+cx_oracle://me:se@cret@localhost:1/studies")
    assert "pip install cx_Oracle" in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@db:5432/s", "postgresql://me:***@db:5432/s"),
        ("postgresql+psycopg2://me:a:b@c@db/s", "postgresql+psycopg2://me:***@db/s"),
        ("sqlite:////data/study.db", "sqlite:////data/study.db"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_a_group_is_kept_as_a_whole(storage: GroupingStorage) -> None:
    study = optuna.create_study(storage=storage)
    with storage.transaction():
        trial = study.ask(SPACE)
        trial.set_user_attr("a", 1)
        study.tell(trial, 1.0)
    assert study.trials[0].user_attrs == {"a": 1}
    assert study.trials[0].value == 1.0


def test_a_group_that_fails_leaves_nothing(storage: GroupingStorage) -> None:
    study = optuna.create_study(storage=storage)
    with pytest.raises(KeyError), storage.transaction():
        study.ask(SPACE)
        raise KeyError("the driver's own mistake")
    assert storage.get_all_trials(study._study_id) == []


def test_others_see_a_group_only_when_it_is_whole(storage: GroupingStorage, tmp_path: Path) -> None:
    study = optuna.create_study(storage=storage)
    other = open_storage(storage.url)
    with storage.transaction():
        study.ask(SPACE)
        assert other.get_all_trials(study._study_id) == []
    assert len(other.get_all_trials(study._study_id)) == 1


def test_a_storage_that_fails_says_so_in_a_sentence(storage: GroupingStorage) -> None:
    study = optuna.create_study(storage=storage)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE trial_user_attributes")
    with pytest.raises(StorageError, match="no such table.*nothing was written"):
        storage.set_trial_user_attrs(storage.create_new_trial(study._study_id), {"a": 1})


def test_a_storage_crosses_processes(storage: GroupingStorage) -> None:
    study = optuna.create_study(storage=storage, study_name="travels")
    copy = pickle.loads(pickle.dumps(storage))
    with copy.transaction():
        copy.create_new_trial(study._study_id)
    assert len(storage.get_all_trials(study._study_id)) == 1
    assert pragma(copy, "synchronous") == 2


@pytest.mark.parametrize("kept", [1, 3, 7])
def test_a_storage_that_was_being_made_when_its_driver_died_is_made_good(
    tmp_path: Path, kept: int
) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    open_storage(url).engine.dispose()
    connection = sqlite3.connect(tmp_path / "study.db")
    tables = connection.execute(
        "select name from sqlite_master where type = 'table' order by rowid"
    ).fetchall()
    connection.execute("pragma foreign_keys = off")
    for (name,) in reversed(tables[kept:]):
        connection.execute(f"drop table {name}")
    connection.commit()
    connection.close()
    storage = open_storage(url)
    study = optuna.create_study(storage=storage)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert study.best_value == 1.0
    storage.engine.dispose()


@pytest.mark.parametrize(
    ("table", "read"),
    [("trial_user_attributes", "trials"), ("study_user_attributes", "study"),
     ("trial_params", "trials")],
)  # fmt: skip
def test_a_value_that_is_damaged_is_told_with_its_row(
    tmp_path: Path, table: str, read: str
) -> None:
    storage = open_storage(url_of(tmp_path / "study.db"))
    study = optuna.create_study(storage=storage, study_name="pay")
    study.set_user_attr("spec", {"study": "pay"})
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    trial.set_user_attr("metrics", {"v": 1.0})
    study.tell(trial, 1.0)
    column = "distribution_json" if table == "trial_params" else "value_json"
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute(f"update {table} set {column} = '{{\"v' ")
        connection.commit()
    again = open_storage(url_of(tmp_path / "study.db"))
    with pytest.raises(StorageError, match=rf"{table}\.{column} of row 1 is damaged"):
        if read == "trials":
            again.get_all_trials(1)
        else:
            again.get_study_user_attrs(1)
