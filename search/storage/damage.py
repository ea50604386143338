"""Values of a storage that cannot be read any more: told with table and row."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Container, Iterable, Iterator
from typing import Any

import optuna
import sqlalchemy

from search.errors import StorageError
from search.storage.vendor import models

_JSON_COLUMNS = (
    (models.StudyUserAttributeModel, "value_json"),
    (models.StudySystemAttributeModel, "value_json"),
    (models.TrialUserAttributeModel, "value_json"),
    (models.TrialSystemAttributeModel, "value_json"),
    (models.TrialParamModel, "distribution_json"),
)


class ReadableStorage(optuna.storages.RDBStorage):
    """An ``RDBStorage`` that says which value is damaged when one is.

    SQLite's own checks see pages, not texts: a flipped bit inside one is found by who parses it.
    """

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[optuna.trial.TrialState] | None = None,
    ) -> list[optuna.trial.FrozenTrial]:
        """Return a study's trials.

        Raises:
            StorageError: If one of their values is damaged; names its row.
        """
        with self._telling_damage():
            return super().get_all_trials(study_id, deepcopy, states)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what is kept at a study.

        Raises:
            StorageError: If a value is damaged; names its row.
        """
        with self._telling_damage():
            return super().get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what samplers keep at a study.

        Raises:
            StorageError: If a value is damaged; names its row.
        """
        with self._telling_damage():
            return super().get_study_system_attrs(study_id)

    @contextlib.contextmanager
    def _telling_damage(self) -> Iterator[None]:
        try:
            yield
        except json.JSONDecodeError as error:
            url = self.engine.url.render_as_string(hide_password=True)
            raise StorageError(
                f"every value of the storage {url} must be JSON, but "
                f"{_first_damaged(self.engine) or error} is damaged; restore the file from a "
                "backup, or start the study anew with --restart under another --results"
            ) from error


def _first_damaged(engine: sqlalchemy.Engine) -> str | None:
    """Return the place of the first value that is no JSON, in words; None if all are."""
    with engine.connect() as connection:
        for model, column in _JSON_COLUMNS:
            table = model.__table__
            key = next(iter(table.primary_key.columns))
            rows = connection.execute(sqlalchemy.select(key, table.c[column]).order_by(key))
            for number in _undecodable(rows):
                return f"{table.name}.{column} of row {number}"
    return None


def _undecodable(rows: Iterable[Any]) -> Iterator[int]:
    for number, text in rows:
        try:
            json.loads(text)
        except ValueError:
            yield number
