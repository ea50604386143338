"""Makes the helpers of this folder and the cluster's importable."""

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "workers"):
    sys.path.insert(0, str(folder))
