"""What people are shown, worked out once: terminal, page, rows and Dagster render it."""
