"""A grid is counted before it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import load, tiny_document

from search.errors import SpecError


def _document(count: int, **search: Any) -> dict[str, Any]:
    document = tiny_document(search={"sampler": "grid", **search})
    document["parameters"] = {
        f"p{i}": {"low": 0.0, "high": 1.0, "current": 0.0, "bind": {"var": f"p{i}"}}
        for i in range(count)
    }
    return document


def test_a_grid_that_does_not_fit_is_refused_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"search\.sampler.*1,073,741,824 candidates"):
        load(tmp_path, _document(30))
    load(tmp_path, _document(12))
    load(tmp_path, _document(30, sampler="random"))
