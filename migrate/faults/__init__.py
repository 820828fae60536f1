"""Counterfactual faults: what a layer's output would be if one thing went wrong.

    site.py           a layer in its place, and as it ran
    catalogue.py      FAULTS: the faults by name; each says where it exists and what it makes
    of_products.py    lost terms, flipped kernels, wrong groups, overflowing sums
    of_branches.py    what may happen where inputs are joined
    of_outputs.py     what may happen to any output on its way to memory
    injection.py      FAULT@LAYER as a watch of the interpreter

None of them is a claim about Apple hardware; they are what simulated records and explanations are
made from.
"""

from __future__ import annotations

# what is imported first is tried first
# isort: off
from migrate.faults import of_products, of_outputs, of_branches  # noqa: F401

# isort: on
from migrate.faults.catalogue import FAULTS, Counterfactual, Fault, FaultError, all_faults
from migrate.faults.injection import fault
from migrate.faults.site import Place, Site, places

__all__ = [
    "FAULTS",
    "Counterfactual",
    "Fault",
    "FaultError",
    "Place",
    "Site",
    "all_faults",
    "fault",
    "places",
]
