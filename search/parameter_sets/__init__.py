"""Parameter sets: versioned values of the levers, written to the dbt project."""
