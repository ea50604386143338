"""What people ask for: run, evaluate, compare, explain, doctor."""
