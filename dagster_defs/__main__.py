"""``python -m dagster_defs``: prepare the Dagster instance that ``DAGSTER_HOME`` names.

It gets our settings and the scenarios of all study files. The UI's sensor adds scenarios as
well, every half a minute; this is for shells and scripts without it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from search.errors import EXIT_BAD_INPUT, EXIT_OK
from search.system.packages import extra_missing

SETTINGS = Path(__file__).with_name("dagster.yaml")


def main() -> int:
    """Prepare the instance and say which scenarios there are; returns the exit code."""
    try:
        import dagster as dg
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{extra_missing(error.name or '', 'Dagster') or error}\n")
        return EXIT_BAD_INPUT
    from dagster_defs.locations import Places
    from dagster_defs.scenarios import SCENARIOS, study_files

    home = os.environ.get("DAGSTER_HOME")
    if not home or not os.path.isabs(home):
        sys.stderr.write(
            "DAGSTER_HOME must name the folder of the Dagster instance by an absolute path, "
            f"but is {home!r}; `make ui` uses results/.dagster/home\n"
        )
        return EXIT_BAD_INPUT
    settings = Path(home, SETTINGS.name)
    settings.parent.mkdir(parents=True, exist_ok=True)
    if not settings.exists():  # people may have changed theirs
        shutil.copyfile(SETTINGS, settings)
    places = Places.from_environment()
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(SCENARIOS.name), list(study_files(places.configs)))
        known = instance.get_dynamic_partitions(str(SCENARIOS.name))
    sys.stdout.write(f"scenarios: {', '.join(sorted(known)) or 'none'}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
