"""Puts the mutant that the environment names into each Python process that a test starts."""

import os

if "MUTANT" in os.environ:
    import check

    number, file = os.environ["MUTANT"].split(" ", 1)
    check.put(check.Path(file), int(number))
