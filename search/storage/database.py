"""Opening an Optuna storage: durable, checked, and able to group writes in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import URL, make_url

from search.errors import StorageError
from search.storage import sqlite
from search.storage.damage import ReadableStorage
from search.storage.urls import masked as masked
from search.storage.vendor import models, numbered, trial_id_of

INSTALL_HINTS = {
    "psycopg2": "pip install psycopg2-binary",
    "psycopg": "pip install 'scenario-search[postgresql]'",
    "pg8000": "pip install pg8000",
}


class _GroupingSession(orm.Session):
    """A session whose commits wait while its storage groups them."""

    group: _Group | None = None

    def commit(self) -> None:
        if self.group is None:
            super().commit()
        elif self.group.is_broken:
            raise sqlalchemy.exc.InvalidRequestError("an earlier write of this group failed")
        else:
            self.flush()

    def rollback(self) -> None:
        if self.group is not None:
            self.group.is_broken = True
        super().rollback()

    def close(self) -> None:
        if self.group is None:
            super().close()


class _Group:
    """One open transaction: whether a write in it failed, so that nothing of it may stay."""

    is_broken = False


class GroupingStorage(ReadableStorage):
    """An ``RDBStorage`` that can write many things in one transaction.

    Optuna commits each attribute, parameter and state alone, and each commit waits for
    the disk. Inside ``transaction()`` they become durable together or not at all, for
    every sampler and every database, since Optuna's own code does the writing.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None) -> None:
        # RDBStorage formats its URL with str.format, so braces in a path must be doubled.
        super().__init__(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=engine_kwargs)
        self._group_sessions()

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self._group_sessions()

    def _group_sessions(self) -> None:
        self.scoped_session = orm.scoped_session(
            orm.sessionmaker(bind=self.engine, class_=_GroupingSession)
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that this thread writes inside the block at once; nests.

        Raises:
            StorageError: If the database refused a write or the commit; nothing was kept.
        """
        session = self.scoped_session()
        assert isinstance(session, _GroupingSession)
        if session.group is not None:
            yield
            return
        session.group = group = _Group()
        try:
            with self.translated():
                yield
                if group.is_broken:
                    raise optuna.exceptions.StorageInternalError("a write of the group failed")
                session.group = None
                session.commit()
        finally:
            session.group = None
            # Rolls back whatever has not been committed by now.
            session.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the database's errors inside the block into one clear sentence.

        Raises:
            StorageError: If the database failed; a write of the block was not kept.
        """
        try:
            yield
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            advice = "nothing was written; check disk, server and other writers, then start again"
            raise StorageError(_sentence(self.url, _reason(error), advice)) from error
        except KeyError as error:
            if error.args != (models.NOT_FOUND_MSG,):
                raise
            wrong = "the study or a trial of it was deleted by another program while it was used"
            advice = "what was finished is in the audit trail; start again for a new study"
            raise StorageError(_sentence(self.url, wrong, advice)) from error

    def set_trial_user_attrs(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Write several attributes of one unfinished trial with one statement.

        Raises:
            StorageError: If the database refused.
        """
        with self.transaction():
            session = self.scoped_session()
            trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session)
            self.check_trial_is_updatable(trial_id, trial.state)
            self._write_attributes({trial_id: attributes})

    def set_study_user_attrs(self, study_id: int, attributes: Mapping[str, Any]) -> None:
        """Write several attributes of a study in one transaction.

        Raises:
            StorageError: If the database refused.
        """
        with self.transaction():
            for key, value in attributes.items():
                self.set_study_user_attr(study_id, key, value)

    def start_trials(
        self, study_id: int, templates: Sequence[optuna.trial.FrozenTrial]
    ) -> list[optuna.trial.FrozenTrial]:
        """Create running trials with their parameters and attributes in one transaction.

        Returns:
            The trials with the numbers and ids that the storage gave them.

        Raises:
            StorageError: If the database refused; no trial was created.
        """
        with self.transaction():
            session = self.scoped_session()
            # Trial numbers count the study's trials, so another creator must wait.
            models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
            rows: list[Any] = [
                models.TrialModel(
                    study_id=study_id,
                    number=None,
                    state=optuna.trial.TrialState.RUNNING,
                    datetime_start=template.datetime_start,
                )
                for template in templates
            ]
            session.add_all(rows)
            session.flush()
            rows.sort(key=lambda row: row.trial_id)
            first = rows[0].count_past_trials(session) if rows else 0
            started = []
            for number, (row, template) in enumerate(zip(rows, templates, strict=True), first):
                row.number = number
                started.append(numbered(template, number=number, trial_id=row.trial_id))
            session.flush()
            self._write_parameters(session, started)
            self._write_attributes({trial_id_of(trial): trial.user_attrs for trial in started})
            noted = {trial_id_of(trial): trial.system_attrs for trial in started}
            self._write_attributes(noted, models.TrialSystemAttributeModel)
        return started

    def _write_parameters(
        self, session: orm.Session, trials: Sequence[optuna.trial.FrozenTrial]
    ) -> None:
        rows = [
            {
                "trial_id": trial_id_of(trial),
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": distribution_to_json(trial.distributions[name]),
            }
            for trial in trials
            for name, value in trial.params.items()
        ]
        if rows:
            session.execute(sqlalchemy.insert(models.TrialParamModel), rows)

    def finish_trials(self, ended: Mapping[int, optuna.trial.FrozenTrial]) -> None:
        """Write how trials ended, their attributes, values and states, in one transaction.

        Args:
            ended: What each trial is to be, by its id.

        Raises:
            StorageError: If the database refused; no trial was changed.
            KeyError: If there is no such trial.
            optuna.exceptions.UpdateFinishedTrialError: If one of them ended before.
        """
        table = models.TrialModel.__table__
        held = sqlalchemy.select(table.c.trial_id, table.c.state)
        held = held.where(table.c.trial_id.in_(list(ended))).with_for_update()
        change = sqlalchemy.update(table).where(table.c.trial_id == sqlalchemy.bindparam("id"))
        with self.transaction():
            # Not through mapped objects: there may be many trials, and this is all per trial.
            connection = self.scoped_session().connection()
            states: dict[int, Any] = dict(connection.execute(held).all())
            for trial_id in ended:
                if trial_id not in states:
                    raise KeyError(models.NOT_FOUND_MSG)
                self.check_trial_is_updatable(trial_id, states[trial_id])
            changes = [
                {"id": key, "state": end.state, "datetime_complete": end.datetime_complete}
                for key, end in ended.items()
            ]
            if changes:
                connection.execute(change, changes)
            self._write_attributes({key: end.user_attrs for key, end in ended.items()})
            noted = {key: end.system_attrs for key, end in ended.items()}
            self._write_attributes(noted, models.TrialSystemAttributeModel)
            values = [row for key, end in ended.items() for row in _value_rows(key, end)]
            if values:
                connection.execute(sqlalchemy.insert(models.TrialValueModel.__table__), values)

    def _write_attributes(
        self,
        attributes: Mapping[int, Mapping[str, Any]],
        model: Any = models.TrialUserAttributeModel,
    ) -> None:
        """Write attributes of trials, by trial id and key, with one statement."""
        rows: list[dict[str, Any]] = [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for trial_id, attribute in attributes.items()
            for key, value in attribute.items()
        ]
        if not rows:
            return
        statement = _upsert(self.engine.name, model)
        if statement is not None:
            self.scoped_session().connection().execute(statement, rows)
            return
        is_users = model is models.TrialUserAttributeModel
        write = self.set_trial_user_attr if is_users else self.set_trial_system_attr
        for row in rows:
            write(row["trial_id"], row["key"], json.loads(row["value_json"]))


@cache
def _upsert(dialect: str, model: Any) -> Any:
    """Return the statement that writes attributes of trials, new or known; None if none can."""
    inserts: dict[str, Any] = {
        "sqlite": sqlite_dialect.insert,
        "postgresql": postgresql_dialect.insert,
    }
    if dialect not in inserts:
        return None
    statement = inserts[dialect](model.__table__)
    return statement.on_conflict_do_update(
        index_elements=[model.trial_id, model.key],
        set_={"value_json": statement.excluded.value_json},
    )


def _value_rows(trial_id: int, trial: optuna.trial.FrozenTrial) -> list[dict[str, Any]]:
    rows = []
    for objective, value in enumerate(trial.values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        rows.append(
            {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
        )
    return rows


def open_storage(url: str) -> GroupingStorage:
    """Return the storage at ``url``, created when it does not exist.

    SQLite runs with a write-ahead log, ``synchronous=FULL``, a busy timeout of 90 s and
    foreign keys; its parent folder is created. PostgreSQL and others need their driver.

    Raises:
        StorageError: If it cannot be opened; the message names the URL (password masked),
            what is wrong and what to do.
    """
    parsed = _parse(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if parsed.get_backend_name() == "sqlite":
        _check_sqlite(url, parsed)
        options = sqlite.engine_options()
    # Optuna reports on stderr by itself (schema, each new study); this package logs its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with _one_at_a_time(parsed):
            if parsed.get_backend_name() == "sqlite":
                sqlite.make(Path(str(parsed.database)))
            return GroupingStorage(url, engine_kwargs=options)
    except ImportError as error:
        raise StorageError(_missing_driver(url, parsed, error)) from error
    except sqlalchemy.exc.NoSuchModuleError as error:
        raise StorageError(
            _sentence(url, f"the scheme {parsed.drivername!r} is unknown", _KNOWN_SCHEMES)
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        advice = "check that the server runs, and host, port, user and password"
        if parsed.get_backend_name() == "sqlite":
            advice = "check the disk and that no other program locks the file, or name another file"
        raise StorageError(_sentence(url, _reason(error), advice)) from error
    except (RuntimeError, AssertionError) as error:
        advice = "install the optuna that wrote it, or upgrade it with `optuna storage upgrade`"
        raise StorageError(_sentence(url, _reason(error), advice)) from error


@contextmanager
def _one_at_a_time(url: URL) -> Iterator[None]:
    """Keep others from making the tables of a PostgreSQL database meanwhile.

    Optuna makes them with ``CREATE TABLE`` where they are missing, which fails when two programs
    begin at once. The lock is the session's, so that the server frees it with a dead program.
    """
    if url.get_backend_name() != "postgresql":
        yield
        return
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    with engine.connect() as connection:
        key = int.from_bytes(b"studies", "big")
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(key)))
        yield


_KNOWN_SCHEMES = "use sqlite:///folder/study.db or postgresql://user:password@host:5432/database"


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise StorageError(_sentence(url, "it is not a database URL", _KNOWN_SCHEMES)) from error


def _check_sqlite(url: str, parsed: URL) -> None:
    if not parsed.database or parsed.database == ":memory:":
        raise StorageError(_sentence(url, "it keeps nothing once the process ends", _KNOWN_SCHEMES))
    wrong = sqlite.fault(Path(parsed.database))
    if wrong is not None:
        advice = "restore the file from a backup, move it away, or name another file"
        raise StorageError(_sentence(url, wrong, advice))


def _missing_driver(url: str, parsed: URL, error: ImportError) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    module = getattr(cause, "name", None) or parsed.get_driver_name()
    advice = f"install it ({INSTALL_HINTS.get(module, f'pip install {module}')})"
    return _sentence(url, f"its driver {module!r} is not installed", advice)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in one line, without SQLAlchemy's statement dump."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "orig", None) or error)
    return " ".join(text.split("[SQL:")[0].split("(Background on")[0].split()).rstrip(".")


def _sentence(url: str, wrong: str, advice: str) -> str:
    return f"storage {masked(url)} cannot be used: {wrong}; {advice}"
