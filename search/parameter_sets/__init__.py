"""Parameter sets: versioned values of the parameters, written to the dbt project."""
