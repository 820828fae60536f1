"""`anereport variants`: edited networks, and the rounds of a shrink."""
