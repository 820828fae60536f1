"""A file per command: parse, call one function, print where the result is. No logic."""
