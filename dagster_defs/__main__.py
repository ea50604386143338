"""``python -m dagster_defs``: add the scenarios of all study files to the Dagster instance.

The UI's sensor does the same every half a minute; this is for shells and scripts without it.
"""

from __future__ import annotations

import os
import sys

import dagster as dg

from dagster_defs.places import Places
from dagster_defs.scenarios import SCENARIOS, study_files
from search.errors import EXIT_BAD_INPUT, EXIT_OK


def main() -> int:
    """Add the scenarios and say which there are; returns the exit code."""
    if not os.environ.get("DAGSTER_HOME"):
        sys.stderr.write(
            "DAGSTER_HOME must name the folder of the Dagster instance, but is not set; "
            "`make ui` uses results/.dagster/home\n"
        )
        return EXIT_BAD_INPUT
    places = Places.from_environment()
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(SCENARIOS.name), list(study_files(places.configs)))
        known = instance.get_dynamic_partitions(str(SCENARIOS.name))
    sys.stdout.write(f"scenarios: {', '.join(sorted(known)) or 'none'}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
