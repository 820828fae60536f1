"""What a report says of its repro script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reporter.measure.identity import ModelIdentity

Kind = Literal["real", "seeded", "exact"]
Word = Literal["survived", "did not survive", "not measured"]


def file_of(kind: Kind) -> str:
    """Return what the script calls a model that it builds."""
    return f"repro-{kind}.mlmodel"


@dataclass(frozen=True)
class Weights:
    """A kind of weights that the script offers, and whether the divergence survived with it."""

    kind: Kind
    file: str  # the model file that has them
    refused: str = ""  # why it is not offered
    identity: ModelIdentity | None = None
    survived: Word = "not measured"
    said: str = ""  # a sentence with the numbers
    records: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def told(self) -> str:
        """What is known of it, in a sentence."""
        if self.refused:
            return f"{self.kind} weights are not offered: {self.refused}"
        own = "the model's own" if self.kind == "real" else self.kind
        return self.said or f"not measured with {own} weights"


@dataclass(frozen=True)
class Repro:
    """A script, and what running it in a clean process showed."""

    script: str
    author: str  # "anereport" or "the user"
    status: str
    output: str = ""
    rebuilds: bool = False  # the same network, weights aside
    own_weights: bool = False  # the seeded weights are the model's own
    building: str = ""  # the part of the script that builds the model
    weights: tuple[Weights, ...] = ()

    @property
    def elsewhere(self) -> tuple[Weights, ...]:
        """The weights other than the model's own with which it is known whether it diverges."""
        own = ("real", "seeded") if self.own_weights else ("real",)
        return tuple(w for w in self.weights if w.kind not in own and w.survived != "not measured")

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        """The models that the script builds: what records may be of, beside the model itself."""
        return tuple(w.identity for w in self.weights if w.identity and w.kind != "real")
