"""How the numbers of a variant and of the original belong together: plain data, so JSON too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

EQUAL, UP_TO, ANOTHER = "equal", "equal up to", "another model"
CHANNEL = -3


@dataclass(frozen=True)
class Rearrangement:
    """Axes in another order, then blocks of entries along one axis, then the rank."""

    axes: tuple[int, ...] = ()  # as numpy.transpose has them; none: as they are
    blocks: tuple[tuple[int, int], ...] = ()  # [start, stop) in the order wanted; none: all
    axis: int = CHANNEL  # that the blocks are of
    rank: int = 0  # wanted: ones in front are added or dropped; 0: as it is

    def __call__(self, x: Array) -> Array:
        """Return the array rearranged."""
        found = np.transpose(x, self.axes) if self.axes else x
        if self.blocks:
            index = np.concatenate([np.arange(*block) for block in self.blocks])
            found = np.take(found, index, self.axis)
        if self.rank:
            kept = found.shape[max(found.ndim - self.rank, 0) :]
            found = found.reshape((1,) * (self.rank - len(kept)) + kept)
        return found


@dataclass(frozen=True)
class Relation:
    """What a variant's outputs are to the original's."""

    word: str = EQUAL  # EQUAL, UP_TO or ANOTHER
    what: str = ""  # up to what, or which other model
    inputs: Mapping[str, Rearrangement] = field(default_factory=dict)  # of the original's inputs
    outputs: Mapping[str, Rearrangement] = field(default_factory=dict)  # of the variant's outputs
    shows: Mapping[str, str] = field(default_factory=dict)  # blobs of the original, by output

    def __str__(self) -> str:
        return f"{self.word} {self.what}" if self.word == UP_TO else self.word

    @property
    def same_network(self) -> bool:
        """Whether the outputs are the original's, rearranged or not."""
        return self.word != ANOTHER

    def given(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the variant's inputs for inputs of the original."""
        return {name: self.inputs.get(name, Rearrangement())(x) for name, x in inputs.items()}

    def restored(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the original's outputs for outputs of a variant that is equal, or is up to."""
        return {
            name: self.outputs.get(name, Rearrangement())(x)
            for name, x in outputs.items()
            if name not in self.shows
        }


def blocks(index: Array) -> tuple[tuple[int, int], ...]:
    """Return the runs of a list of entries: 0 1 2 5 6 is (0, 3), (5, 7)."""
    ends = np.flatnonzero(np.diff(index) != 1) + 1
    return tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(index, ends) if run.size)
