"""What can be made smaller in a network, and what it was set to: plain data."""

from __future__ import annotations

from dataclasses import dataclass

SEEDS = 3  # weights may be seeded by 0, 1 and 2; a knob at 3 has the model's own
Key = tuple[str, str]


@dataclass(frozen=True)
class Reduction:
    """A knob and what it is set to."""

    kind: str  # "start", "end", "given", "cut", "bypass", "channels", "kernel height", ...
    name: str  # the layer or blob that is meant, if any
    value: int

    @property
    def key(self) -> Key:
        """Which knob it is."""
        return self.kind, self.name


Reductions = tuple[Reduction, ...]  # in the order in which they are made


@dataclass(frozen=True)
class Knob:
    """What can be made smaller: multiples of `step` from `value` down to `least`."""

    kind: str
    name: str
    value: int
    least: int = 1
    step: int = 1
    behind: tuple[Key, ...] = ()  # knobs to be settled before

    @property
    def key(self) -> Key:
        """Which knob it is."""
        return self.kind, self.name

    def at(self, value: int) -> Reduction:
        """Return the reduction to a value."""
        return Reduction(self.kind, self.name, value)
