"""``python -m search`` is ``scenario-search``."""

from search.cli import entry_point

if __name__ == "__main__":
    entry_point()
