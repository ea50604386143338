"""What Dagster loads: ``dagster dev -m dagster_defs.definitions``."""

from __future__ import annotations

from dagster_defs.build import definitions
from dagster_defs.locations import Places

defs = definitions(Places.from_environment())
