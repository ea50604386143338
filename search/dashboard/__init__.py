"""Optuna's dashboard of a study: it looks and never touches."""
