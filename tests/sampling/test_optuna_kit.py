"""Optuna's own tests of samplers, run against the TargetSampler."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from search.sampling.feasible import SpaceExhaustedError
from search.sampling.target import TargetSampler
from search.study.targets import Goal

BY_DESIGN = ("test_single_parameter_objective[<lambda>2]", "test_conditional_parameter_objective")
"""Tests that ask for more trials than there are candidates: a TargetSampler repeats none."""


class TestTargetSampler(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture(autouse=True)
    def _never_repeats(self, request: pytest.FixtureRequest) -> None:
        if request.node.name in BY_DESIGN:
            reason = "the space has fewer candidates than the test has trials"
            request.applymarker(
                pytest.mark.xfail(raises=SpaceExhaustedError, reason=reason, strict=True)
            )

    @pytest.fixture
    def sampler(self) -> Callable[[], optuna.samplers.BaseSampler]:
        return lambda: TargetSampler([Goal("v", "equal", value=1.0)])
