"""The audit trail: append-only events, and tables that analysts read."""
