"""What is said at the end is what evaluating the scenario would say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from studies import FormulaFactory, load, tiny_document

from search.driver.appraisal import Appraisal, Appraiser
from search.driver.loop import Driver
from search.driver.progress import SilentProgress
from search.report.appraisal import appraisal_text, confirmation_text, effects_grid
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study.figures import signed
from search.study.targets import goals_of
from search.workers import InlinePool


class NoRecorder:
    """A trail that nobody reads."""

    def event(self, kind: str, **fields: Any) -> None:
        """Take an event."""

    def event_batch(self, kind: str, found: Sequence[Mapping[str, Any]]) -> None:
        for fields in found:
            self.event(kind, **fields)

    def publish(self) -> None:
        """Publish nothing."""


def appraised(folder: Path, formula: Any, **changes: Any) -> Appraisal:
    spec = load(folder, tiny_document(**changes))
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    store = StudyStore.create_or_load(storage, "tiny")
    with InlinePool() as pool:
        pool.open(FormulaFactory(formula, folder / "evaluations"))
        driver = Driver(
            spec=spec,
            goals=goals_of(spec),
            store=store,
            pool=pool,
            batch_size=4,
            recorder=NoRecorder(),
            progress=SilentProgress(),
            details={},
        )
        found = Appraiser(spec, driver.run(), store, pool, SilentProgress()).appraise()
    storage.engine.dispose()
    return found


def bent(x: float, rate: float) -> dict[str, float]:
    return {"v": 10 * x + rate + 0.1 * x**3}


def test_effects_are_central_differences_of_the_scenario(tmp_path: Path) -> None:
    found = appraised(
        tmp_path,
        bent,
        targets={"v": {"value": 40.0, "tolerance": 0.01}},
        search={"sampler": "target", "sensitivity": "checked"},
    )
    effects = {one.parameter: one for one in found.effects}
    x = effects["x"]
    assert isinstance(x.start, float) and isinstance(x.end, float) and x.evaluated is not None
    assert abs(x.end - x.start) == pytest.approx(0.5)
    slope = 0.5 * (10 + 0.3 * x.start**2) + 0.1 * 0.5**3
    assert abs(x.evaluated) == pytest.approx(slope, rel=1e-6)
    assert x.modelled == pytest.approx(x.evaluated, rel=0.2)
    assert abs(effects["rate"].evaluated or 0) == pytest.approx(0.1, rel=1e-6)


def test_a_bound_leaves_one_side(tmp_path: Path) -> None:
    found = appraised(
        tmp_path,
        bent,
        targets={"v": {"value": 210.0, "tolerance": 0.001}},
        search={"sampler": "target", "sensitivity": "checked"},
    )
    x = next(one for one in found.effects if one.parameter == "x")
    assert (x.start, x.end) == (10.0, 9.5)
    assert x.evaluated == pytest.approx(bent(9.5, 0)["v"] - bent(10.0, 0)["v"])


@pytest.mark.parametrize(("asked", "count"), [("none", 0), ("model", 2)])
def test_nothing_is_evaluated_unless_asked(tmp_path: Path, asked: str, count: int) -> None:
    changes = {"search": {"sampler": "target", "sensitivity": asked}}
    found = appraised(tmp_path, bent, **changes)
    assert len(found.effects) == count
    assert all(one.evaluated is None for one in found.effects)


def test_fresh_seeds_give_the_spread_and_the_share_that_meets_each_target(tmp_path: Path) -> None:
    def noisy(x: float, rate: float, seed: int) -> dict[str, float]:
        return {"v": 10 * x + rate + (seed if seed > 2 else 0)}

    found = appraised(
        tmp_path,
        noisy,
        scenario={"replications": {"var": "seed", "values": [1, 2]}},
        targets={"v": {"value": 55.0, "tolerance": 0.1}},
        search={"sampler": "target", "confirm_seeds": 4, "sensitivity": "none"},
    )
    confirmation = found.confirmation
    assert confirmation is not None and confirmation.seeds == (3, 4, 5, 6)
    (spread,) = confirmation.spreads
    assert spread.deviation == pytest.approx(1.2909944)
    assert spread.p90 - spread.p10 == pytest.approx(2.4)
    met = [abs(spread.mean - 4.5 + seed - 55.0) <= 5.5 for seed in (3, 4, 5, 6)]
    assert spread.share_met == confirmation.share_met == sum(met) / 4


def test_the_document_says_in_words_what_was_found(tmp_path: Path) -> None:
    found = appraised(
        tmp_path,
        bent,
        targets={"v": {"value": 900.0, "tolerance": 0.01}},
        search={"sampler": "target", "sensitivity": "checked", "max_iterations": 20},
    )
    document = found.document({"x": "fraction"})
    text = "\n\n".join(appraisal_text(document, {"v": "USD"}, {"x": "fraction"}))
    assert "v can be" in text and "its target lies outside" in text
    assert "USD" in text and "1000 % to 950 %" in text
    grid = effects_grid(document, {"v": "USD"}, {"x": "fraction"})
    assert grid is not None and grid.header == ("parameter", "step", "v")
    assert confirmation_text(document) is None
    assert sum(document["importances"].values()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("change", "unit", "text"),
    [(-0.5, None, "-0.5"), (12.0, "people", "+12 people"), (0.0, "USD", "+0 USD")],
)
def test_changes_carry_sign_and_unit(change: float, unit: str | None, text: str) -> None:
    assert signed(change, unit) == text
