"""What a trial's outcomes come to: metrics, loss, and which targets are met. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from search.driver.standings import Standings
from search.scenario.outcome import Failure, Outcome
from search.storage.attributes import Conclusion
from search.study.ranking import constraint_values, loss, objective_values
from search.study.replication import over_replications
from search.study.targets import all_met, variances


def concluded(
    standings: Standings, iteration: int, outcomes: Sequence[Outcome], statistic: str
) -> Conclusion:
    """Return how a trial ended, by the goals of its search.

    Args:
        standings: Has the goals.
        iteration: Of the trial.
        outcomes: Of all its replications.
        statistic: What of a metric counts over them.
    """
    failure = next(
        (evaluated.failure for evaluated in outcomes if evaluated.failure is not None), None
    )
    if failure is not None:
        return Conclusion(outcomes=outcomes, failure=failure)
    evaluations = [evaluated.metrics for evaluated in outcomes]
    metrics = over_replications(evaluations, statistic)
    goals = standings.goals_for(iteration, metrics, evaluations)
    try:
        values = objective_values(goals, metrics)
    except ValueError as error:
        failure = Failure(stage="metric", message=str(error))
        return Conclusion(outcomes=outcomes, metrics=metrics, failure=failure)
    return Conclusion(
        outcomes=outcomes,
        values=values,
        loss=loss(goals, metrics),
        constraints=constraint_values(goals, metrics),
        metrics=metrics,
        variances=variances(goals, metrics),
        is_all_targets_met=all_met(goals, metrics),
    )
