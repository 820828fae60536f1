"""What kind of ML Program is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrate.errors import UnsupportedError

PRECISIONS = ("fp16", "fp32")
TARGETS = {f"iOS{n}": n for n in range(15, 19)} | {f"macOS{n - 3}": n for n in range(15, 19)}
FIRST_WITH_HALVES = 16  # iOS release


@dataclass(frozen=True)
class Options:
    """What kind of ML Program is wanted; UnsupportedError for what does not exist, or together."""

    precision: str = "fp16"  # of the arithmetic
    target: str = "iOS16"  # the oldest system that is to run it
    features: str = ""  # precision of the arrays at the interface; "" for what the model declares
    keep_fp32: Sequence[str] = ()  # names of layers that stay float32 in an fp16 program
    max_size: int = 2048  # bound of dimensions that the NeuralNetwork leaves without one

    def __post_init__(self) -> None:
        _choose("precision", self.precision, PRECISIONS)
        _choose("target", self.target, tuple(TARGETS))
        _choose("features", self.features, ("", *PRECISIONS))
        if self.features == "fp16" and self.release < FIRST_WITH_HALVES:
            raise UnsupportedError(f"float16 features need iOS16, the target is {self.target}")
        if self.keep_fp32 and self.precision == "fp32":
            raise UnsupportedError(
                "with precision 'fp32' every layer is float32, so keep_fp32 says nothing"
            )
        if self.max_size < 1:
            raise UnsupportedError(f"max_size {self.max_size} is not a size")

    @property
    def release(self) -> int:
        """The number of the target's iOS release."""
        return TARGETS[self.target]


def _choose(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        names = ", ".join(name for name in known if name)
        raise UnsupportedError(f"{option} '{value}' is not one of {names}")
