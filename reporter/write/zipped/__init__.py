"""A report's zip: made the same each time, opened without trust, verified."""
