"""Which candidates to try next: the choice of an Optuna sampler, kept inside the constraints."""
