"""Looks for what would stop or hurt a study, before any work: nothing is written, all is told."""

from search.commands.doctor.check_result import CheckResult, findings_text
from search.commands.doctor.examination import examine

__all__ = ["CheckResult", "examine", "findings_text"]
