"""Every proposal of some searches is the recorded one.

They are recorded anew only where the sampler changes on purpose, the last time when evaluations far
from the target came to count with a blur, and a search that stalls to look at unexplored parts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recorded_searches import RECORDED
from searches import Search
from studies import TINY

FILE = Path(__file__).parent / "recorded" / "proposals.json"
PROPOSALS: dict[str, Any] = json.loads(FILE.read_text())


@pytest.mark.parametrize("name", RECORDED)
def test_proposals_are_the_recorded_ones(name: str, tmp_path: Path) -> None:
    case, recorded = RECORDED[name], PROPOSALS[name]
    study = Search(tmp_path, case.formula, case.document(TINY))
    end = study.run()
    found = [list(trial.params.values()) for trial in study.trials()]
    for number, (values, wanted) in enumerate(zip(found, recorded["candidates"], strict=True)):
        texts = [one for one in wanted if isinstance(one, str)]
        assert [one for one in values if isinstance(one, str)] == texts
        numbers = [one for one in wanted if not isinstance(one, str)]
        assert [one for one in values if not isinstance(one, str)] == pytest.approx(
            numbers, rel=1e-6, abs=1e-9
        ), f"trial {number}"
    assert end.best is not None
    assert (end.reason, end.best.number) == (recorded["reason"], recorded["best"])
