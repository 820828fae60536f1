"""The catalogue: a fault's name, where it exists, and what it makes of an output.

A fault is a function from a `Site` to what the output would be, registered with `@counterfactual`.
Its text is FAULT@LAYER, or FAULT:N@LAYER for those that have several forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrate.errors import AnereportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from migrate.faults.site import Place, Site

    Change = Callable[[Site], Tensor]


class FaultError(AnereportError):
    """A fault that does not exist, or that the layer named cannot have."""


@dataclass(frozen=True)
class Fault:
    """One fault of one layer; its text is what `migrate.fault` takes."""

    name: str
    layer: str
    choice: int | None = None

    def __str__(self) -> str:
        form = "" if self.choice is None else f":{self.choice}"
        return f"{self.name}{form}@{self.layer}"


@dataclass(frozen=True)
class Counterfactual:
    """An entry: what the output would be, in words and as a function.

    `lacks` says why a layer cannot have the fault, or nothing; `where` tells whether it may change
    this output; `choices` are the N of its forms, none if it has one form alone.
    """

    name: str
    what: str
    change: Change
    lacks: Callable[[Place], str]
    where: Callable[[Site], bool]
    choices: Callable[[Place], tuple[int, ...]]


FAULTS: dict[str, Counterfactual] = {}


def counterfactual(
    name: str,
    *,
    lacks: Callable[[Place], str] = lambda _: "",
    where: Callable[[Site], bool] = lambda _: True,
    choices: Callable[[Place], tuple[int, ...]] = lambda _: (),
) -> Callable[[Change], Change]:
    """Register a function as a fault; its docstring says what the output would be."""

    def register(change: Change) -> Change:
        what = (change.__doc__ or "").strip().splitlines()[0]
        FAULTS[name] = Counterfactual(name, what, change, lacks, where, choices)
        return change

    return register


def all_faults(place: Place) -> list[tuple[Fault, Counterfactual]]:
    """Return the faults that a layer can have, in the catalogue's order."""
    if not place.layer.outputs:
        return []
    return [
        (Fault(entry.name, place.name, choice), entry)
        for entry in FAULTS.values()
        if not entry.lacks(place)
        for choice in entry.choices(place) or (None,)
    ]
