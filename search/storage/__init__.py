"""The truth about a study's trials: one Optuna storage, written by one driver."""
