"""The files that take longest are begun first: at the end, one would leave a process idle.

Only where pytest-xdist keeps this order (check.sh); by itself it begins with those of most tests.
"""

from __future__ import annotations

LONGEST = (
    "test_conformance.py",
    "test_bench.py",
    "test_readme.py",
    "test_faults_on_our_side.py",
    "test_fuzz.py",
    "test_verify_models.py",
)


def longest_first(items):
    """Sort tests so that those of the longest files lead; else the order stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
