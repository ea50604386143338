"""The loop of a search, and what belongs to one run of a study."""
