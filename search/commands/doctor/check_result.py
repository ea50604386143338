"""What doctor says of one thing, and of all together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from search.errors import SearchError

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class CheckResult:
    """One thing that was checked.

    Attributes:
        check: What was looked at, for example ``memory``.
        level: ``ok``, ``warning`` (a study may suffer) or ``error`` (it will not run).
        message: What was found.
        advice: What to do about it; empty when there is nothing to do.
    """

    check: str
    level: Level
    message: str
    advice: str = ""

    @property
    def is_error(self) -> bool:
        """Whether a study would not run."""
        return self.level == "error"

    def document(self) -> dict[str, str]:
        """Return the finding for programs."""
        return asdict(self)


def findings_text(findings: list[CheckResult]) -> str:
    """Return the findings for people, with a sum at the end."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        message = finding.message.replace("\n", "\n" + " " * (width + 11))
        lines.append(f"{finding.level:<7}  {finding.check:<{width}}  {message}")
        if finding.advice:
            lines.append(" " * (width + 11) + f"-> {finding.advice}")
    errors = sum(finding.is_error for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    end = "ready to run" if not errors else "not ready to run"
    counted = [f"{count} {word}{'s' if count != 1 else ''}" for count, word in
               ((errors, "error"), (warnings, "warning")) if count]  # fmt: skip
    return "\n".join([*lines, "", end + (f": {', '.join(counted)}" if counted else "")])


def guarded(check: str, look: Callable[[], Iterator[CheckResult]]) -> list[CheckResult]:
    """Return what a check finds; when the check itself fails, that is the finding."""
    results: list[CheckResult] = []
    try:
        for finding in look():
            results.append(finding)
    except SearchError as error:
        results.append(finding_of(check, error))
    except Exception as error:
        # A check must not keep the others from being made.
        text = f"could not be checked: {type(error).__name__}: {error}"
        results.append(CheckResult(check, "warning", " ".join(text.split())))
    return results


def finding_of(check: str, error: SearchError, advice: str = "") -> CheckResult:
    return CheckResult(check, "error", str(error), advice)
