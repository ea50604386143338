"""How dbt's nodes ended, and what went wrong, in our words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from search.errors import OUTSIDE, ScenarioError
from search.scenario.writes import refusal_advice

_LOCK_MESSAGE = "Could not set lock"


@dataclass(frozen=True)
class NodeResult:
    """How one dbt node ended.

    Attributes:
        unique_id: dbt's id, for example ``model.workforce.fct_yearly_events``.
        status: dbt's word: ``success``, ``pass``, ``error``, ``fail``, ``skipped``, ``warn``.
        message: dbt's message, when it has result.
        seconds: Execution time.
        selector: What selects the node by its place in the project.
        parents: Ids of the nodes that it depends on.
        severity: Of a data test: ``ERROR`` or ``WARN``.
    """

    unique_id: str
    status: str
    message: str | None
    seconds: float
    selector: str = ""
    parents: tuple[str, ...] = ()
    severity: str = "ERROR"

    @property
    def is_failure(self) -> bool:
        """Whether the node failed, or was skipped because another did."""
        return self.status in ("error", "fail", "runtime error", "partial success")

    @property
    def is_built(self) -> bool:
        """Whether it is a relation that was made."""
        is_relation = self.unique_id.startswith(("model.", "seed.", "snapshot."))
        return is_relation and self.status == "success"


def message_of(error: BaseException | None) -> str:
    """Return what an error of dbt says, on one line."""
    if error is None:
        return "no message"
    # dbt's errors name the file only in their long form, and only when they know the node.
    has_node = getattr(error, "node", None) is not None
    message = (not has_node and getattr(error, "msg", None)) or str(error) or type(error).__name__
    return " ".join(_uncoloured(str(message)).split())


def _uncoloured(text: str) -> str:
    """Return a text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def node_result(result: Any) -> NodeResult:
    """Return how a node ended, from dbt's own result."""
    node = getattr(result, "node", None)
    config = getattr(node, "config", None)
    return NodeResult(
        unique_id=getattr(node, "unique_id", ""),
        status=str(result.status),
        message=result.message and _uncoloured(result.message),
        seconds=result.execution_time,
        selector="fqn:" + ".".join(getattr(node, "fqn", ())),
        parents=tuple(getattr(node, "depends_on_nodes", ())),
        severity=str(getattr(config, "severity", "ERROR")).upper(),
    )


def stopped_error(error: BaseException | None, command: str) -> ScenarioError:
    """Return our error for a command that dbt itself ended."""
    text = message_of(error)
    advice = refusal_advice(text)
    return ScenarioError(
        f"dbt {command} stopped: {text}{advice or ''}",
        stage="step" if advice is None else OUTSIDE,
        is_retryable=_LOCK_MESSAGE in text,
    )


def node_error(failed: Sequence[NodeResult], attached: Iterable[str]) -> ScenarioError:
    """Return our error for nodes that failed, the first of which is named."""
    first = failed[0]
    message = " ".join(_without_traceback(first.message or first.status).split())
    advice = refusal_advice(message, attached)
    more = f" (and {len(failed) - 1} more failed)" if len(failed) > 1 else ""
    return ScenarioError(
        f"{message}{advice or ''}{more}",
        stage="step" if advice is None else OUTSIDE,
        model=first.unique_id,
        is_retryable=_LOCK_MESSAGE in message,
    )


def _without_traceback(message: str) -> str:
    """Return a Python model's message with its last line in place of the traceback."""
    head, mark, trace = message.partition("Traceback (most recent call last):")
    return head + trace.strip().splitlines()[-1] if mark and trace.strip() else message
