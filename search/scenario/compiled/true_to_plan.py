"""Whether what is recorded now is what the scenario's fingerprint speaks of."""

from __future__ import annotations

from search.errors import ProjectError
from search.scenario.input_content import input_files
from search.scenario.plan import ScenarioPlan
from search.scenario.project import DbtProject
from search.system.unchanged import Untouched


def as_planned(plan: ScenarioPlan) -> Untouched | None:
    """Refuse another project than the plan was made from; return what says that it stays so.

    None where the files are copies that nobody edits: on a node of a cluster, and in a plan that
    was made without them.

    Raises:
        ProjectError: If the dbt project or what the scenario reads is another one by now.
    """
    if not plan.files_fingerprint:
        return None
    project = DbtProject(plan.project_dir)
    inputs = tuple(plan.inputs())
    untouched = Untouched(
        lambda: [*(file for _, file in project.read_files()), *input_files(inputs)]
    )
    is_all_known = not set(inputs) - set(plan.seen)
    if project.fingerprint() != plan.files_fingerprint or (
        is_all_known and plan.with_world().fingerprints != plan.fingerprints
    ):
        raise ProjectError(
            f"the dbt project {plan.project_dir}, or what it reads, changed since the study was "
            "prepared; start again"
        )
    return untouched
