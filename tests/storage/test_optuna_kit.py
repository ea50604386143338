"""Optuna's own tests of storages, run against ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.testing.pytest_storages import StorageTestCase

from search.storage.database import GroupingStorage, open_storage


class TestGroupingStorage(StorageTestCase):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[GroupingStorage]:
        made = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
        yield made
        made.remove_session()
        made.engine.dispose()
