"""Makes the helpers of this folder and the cluster's importable."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

for folder in (TESTS / "docs", TESTS / "workers", TESTS / "workers" / "ray"):
    sys.path.insert(0, str(folder))
