"""Which commands of a page need a Ray cluster."""

from __future__ import annotations

import re

BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
_NEEDS_CLUSTER = re.compile(r"^(ray job|scenario-search submit) ", re.MULTILINE)


def needs_cluster(block: str) -> bool:
    """Return whether a block of commands talks to a cluster."""
    return _NEEDS_CLUSTER.search(block) is not None


def cluster_blocks(page: str) -> list[str]:
    """Return the blocks of a page that do."""
    return [text for text in BLOCK.findall(page) if needs_cluster(text)]
