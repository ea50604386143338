"""The study file: strict models, YAML in, JSON schema and fingerprints out."""

from search.study.fingerprint import (
    changed_keys,
    edited_keys,
    recording_fingerprint,
    scenario_fingerprint,
    study_fingerprint,
)
from search.study.loader import json_schema, load_study, study_as_ran, study_from_document
from search.study.metrics import ExpandedMetric, expand_metrics, metric_ids
from search.study.models import StudySpec
from search.study.steps import ExpandedStep, expand

__all__ = [
    "ExpandedMetric",
    "ExpandedStep",
    "StudySpec",
    "changed_keys",
    "edited_keys",
    "expand",
    "expand_metrics",
    "json_schema",
    "load_study",
    "metric_ids",
    "recording_fingerprint",
    "scenario_fingerprint",
    "study_as_ran",
    "study_fingerprint",
    "study_from_document",
]
