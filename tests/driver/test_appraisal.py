"""What is said at the end is what evaluating the scenario would say."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from studies import FormulaFactory, load, ten_x_and_rate, tiny_document

from search.driver.appraiser import Appraisal, Appraiser
from search.driver.effects import Effect, interchangeable
from search.driver.loop import Driver
from search.driver.progress import SilentProgress
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study.figures import signed
from search.study.targets import Goal, goals_of
from search.views.appraisal import appraisal_text, confirmation_text, effects_grid
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
        return {"v": 10 * x + rate + (seed % 7 if seed > 2 else 0)}

    found = appraised(
        tmp_path,
        noisy,
        scenario={"replications": {"var": "seed", "values": [1, 2]}},
        targets={"v": {"value": 55.0, "tolerance": 0.1}},
        search={"sampler": "target", "confirm_seeds": 4, "sensitivity": "none"},
    )
    confirmation = found.confirmation
    assert confirmation is not None and len(confirmation.seeds) == 4
    assert all(int(seed) > 1000 for seed in confirmation.seeds)
    (spread,) = confirmation.spreads
    extra = [int(seed) % 7 for seed in confirmation.seeds]
    assert spread.deviation == pytest.approx(statistics.stdev(extra))
    plain = spread.mean - sum(extra) / 4
    met = [abs(plain + one - 55.0) <= 5.5 for one in extra]
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
    assert document["importances"] == {}  # too few trials to say anything


def test_importances_need_fifty_trials_and_the_model_says_how_good_it_is(tmp_path: Path) -> None:
    found = appraised(
        tmp_path,
        bent,
        targets={"v": {"value": 900.0}},
        search={"sampler": "random", "max_iterations": 13, "sensitivity": "model"},
    )
    assert sum(found.importances.values()) == pytest.approx(1.0, abs=0.01)
    (quality,) = found.quality
    assert quality.metric == "v" and quality.left_out == 24
    assert quality.error < 0.02 * quality.varied and not quality.is_bad


def test_a_model_that_foretells_nothing_is_said_to_be_bad(tmp_path: Path) -> None:
    def unforeseen(x: float, rate: float) -> dict[str, float]:
        return {"v": float(hashlib.sha256(repr((x, rate)).encode()).digest()[0])}

    found = appraised(
        tmp_path,
        unforeseen,
        targets={"v": {"value": 900.0}},
        search={"sampler": "random", "max_iterations": 5, "sensitivity": "model"},
    )
    assert found.quality[0].is_bad
    document = found.document({})
    assert [one["is_known"] for one in document["effects"]] == [False, False]
    grid = effects_grid(document, {}, {})
    assert grid is not None and {row[-1] for row in grid.rows} == {"not known"}


def test_parameters_that_act_alike_are_told_with_what_replaces_what(tmp_path: Path) -> None:
    goals = [Goal("cost", "equal", value=100.0), Goal("growth", "equal", value=10.0)]

    def effect(metric: str, parameter: str, step: float, change: float) -> Effect:
        return Effect(metric, parameter, 1.0, 1.0 + step, change, 0.0, evaluated=change)

    effects = [
        effect("cost", "merit", 0.1, 2.0), effect("growth", "merit", 0.1, 0.2),
        effect("cost", "cola", 0.2, 8.0), effect("growth", "cola", 0.2, 0.8),
        effect("cost", "hires", 1.0, 2.0), effect("growth", "hires", 1.0, -0.2),
    ]  # fmt: skip
    (alike,) = interchangeable(goals, effects)
    # 1 of merit does 20 to the cost, 1 of cola does 40.
    assert (alike.parameter, alike.other, alike.targets) == ("merit", "cola", 2)
    assert alike.ratio == pytest.approx(0.5)
    document = Appraisal("converged", interchangeable=(alike,)).document({})
    fractions = {"merit": "fraction", "cola": "fraction"}
    assert appraisal_text(document, {}, fractions) == [
        "merit and cola act alike on all 2 targets: +0.1 points of merit and -0.05 points of cola "
        "change none of them."
    ]
    # An exchange is told that both ranges are wide enough for.
    (narrow,) = interchangeable(goals, effects, {"merit": 4.0, "cola": 0.01, "hires": 5.0})
    assert narrow.largest == pytest.approx(0.02)
    document = Appraisal("converged", interchangeable=(narrow,)).document({})
    assert appraisal_text(document, {}, {"merit": "factor", "cola": "fraction"}) == [
        "merit and cola act alike on all 2 targets: +0.01 factor of merit and -0.5 points of cola "
        "change none of them."
    ]


@pytest.mark.parametrize(
    ("change", "unit", "text"),
    [(-0.5, None, "-0.5"), (12.0, "people", "+12 people"), (0.0, "USD", "+0 USD")],
)
def test_changes_carry_sign_and_unit(change: float, unit: str | None, text: str) -> None:
    assert signed(change, unit) == text


def test_a_bound_that_the_scenario_itself_refuses_is_said_to_be_the_models(tmp_path: Path) -> None:
    """With x up to 8 the target of 95 is out of reach; beyond 8 the scenario fails."""

    def ends(x: float, rate: float) -> Mapping[str, float]:
        return ten_x_and_rate(x, rate) if is_refused else {"v": 10 * x + rate}

    said = []
    for is_refused in (True, False):
        found = appraised(
            tmp_path / str(is_refused),
            ends,
            parameters={"x": {"high": 8.0}},
            targets={"v": {"value": 95.0, "tolerance": 0.01}},
            search={"sampler": "target", "max_iterations": 6, "sensitivity": "none"},
        )
        assert found.diagnosis is not None
        said.append(found.diagnosis.text({}))
    refused, allowed = said
    assert "upper bound of x (8) binds, and it is the model's own" in refused
    assert "x must be at most 8" in refused
    assert "the model's own" not in allowed and "could be met" in allowed
