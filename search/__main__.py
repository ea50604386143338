"""``python -m search`` is ``scenario-search``."""

from search.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
