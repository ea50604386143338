"""Test modules are imported by path, so the helper beside them has to be made importable."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
