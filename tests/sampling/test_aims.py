"""Goals as arrays agree with goals one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.sampling.aims import Aims
from search.study.ranking import loss
from search.study.targets import Goal, all_met

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1e-3)


@st.composite
def goals(draw: st.DrawFn) -> Goal:
    kind = draw(st.sampled_from(["equal", "at_most", "at_least", "between"]))
    value = draw(NUMBERS)
    width = draw(st.floats(1e-3, 1e3))
    tolerance = draw(st.floats(1e-3, 0.5))
    if kind != "equal" and draw(st.booleans()):
        tolerance = 0.0
    weight = draw(st.sampled_from([0.5, 1.0, 2.0, 4.0]))
    common = {"tolerance": tolerance, "weight": weight}
    if kind == "equal":
        return Goal("m", "equal", value=value, **common)
    if kind == "at_most":
        return Goal("m", "at_most", high=value, **common)
    if kind == "at_least":
        return Goal("m", "at_least", low=value, **common)
    return Goal("m", "between", low=value, high=value + width, **common)


@given(goals(), st.floats(-3.0, 3.0))
@settings(deadline=None)
def test_the_loss_is_that_of_the_study(goal: Goal, place: float) -> None:
    anchor = goal.value or goal.low or goal.high or 1.0
    metric = anchor * (1 + place * (goal.tolerance or 0.02))
    mine = float(Aims.of([goal]).loss(np.array([metric])))
    assert mine == pytest.approx(loss([goal], {"m": metric}), rel=1e-5, abs=1e-5)
    if mine > 1e-9:
        assert not all_met([goal], {"m": metric})


@given(goals(), st.floats(-5.0, 5.0))
@settings(deadline=None)
def test_the_residual_falls_with_its_slope(goal: Goal, place: float) -> None:
    aims = Aims.of([goal])
    anchor = goal.value or goal.low or goal.high or 1.0
    unit = max(float(aims.high_unit[0]), float(aims.low_unit[0]))
    metric = anchor + place * unit
    by = 1e-5 * unit
    value, slope = aims.residual(np.array([metric]))
    after, slope_after = aims.residual(np.array([metric + by]))
    if slope[0] == slope_after[0]:
        assert (after[0] - value[0]) / by == pytest.approx(slope[0], rel=1e-3, abs=1e-6 / unit)


def test_goals_left_out_ask_for_nothing() -> None:
    both = [Goal("a", "equal", value=1.0), Goal("b", "maximize", value=2.0)]
    aims = Aims.of(both).only([1])
    assert aims.loss(np.array([50.0, 0.0])) == 0 and aims.has_objective
    assert not Aims.of(both).only([0]).has_objective


def test_objectives_keep_their_order_and_direction() -> None:
    aims = Aims.of([Goal("a", "maximize", value=-10.0)])
    values = aims.objective(np.array([[-12.0], [-10.0], [5.0]]))
    assert list(np.argsort(values)) == [2, 1, 0]


def test_a_change_must_be_resolved_first() -> None:
    with pytest.raises(ValueError, match="resolve_goals"):
        Aims.of([Goal("a", "equal", change=0.1)])
