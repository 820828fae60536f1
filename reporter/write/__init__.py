"""Writing it down: the report, its venues, the script and the bundle."""
