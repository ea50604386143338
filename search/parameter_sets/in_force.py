"""``current: active`` means what dbt uses: refused when the files say something else."""

from __future__ import annotations

from collections.abc import Callable

from search.errors import SpecError
from search.parameter_sets.commit import PENDING, finish_pending
from search.parameter_sets.journal import sets_folder
from search.study import StudySpec


def require_active(load: Callable[[], StudySpec]) -> StudySpec:
    """Return a study whose active values are those in force.

    Args:
        load: Reads the study file; called again after a change that was cut off is finished.

    Raises:
        SpecError: If a place that ``current: active`` speaks of was edited by hand since.
        AuditError: If the journal of parameter sets is damaged.
    """
    spec = load()
    if (sets_folder(spec) / PENDING).exists():
        finish_pending(sets_folder(spec))
        spec = load()
    if not spec.active:
        return spec
    from search.parameter_sets.sets import ParameterSets

    drifted = [name for name in ParameterSets(spec).drift() if name in spec.active]
    if drifted:
        raise SpecError(
            f"current is active, but {', '.join(drifted)} was edited by hand in the dbt project "
            "since the active set was applied; put the edit back, or write the value as current "
            "and apply a set with it",
            file=str(spec.file),
            key=f"parameters.{drifted[0]}.current",
        )
    return spec
